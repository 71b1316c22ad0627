// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The catalog from outside: tiny files of every good and bad kind, and the real data where it is there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::dataframe::DataFrameWriteOptions;

use super::*;
use crate::error::Kind;

fn session() -> SessionContext {
    let ctx = SessionContext::new();
    install(&ctx);
    ctx
}

struct Shop(tempfile::TempDir);

impl Shop {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    async fn parquet(&self, name: &str, sql: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        let frame = SessionContext::new().sql(sql).await.unwrap();
        let options = DataFrameWriteOptions::new().with_single_file_output(true);
        frame.write_parquet(&path, options, None).await.unwrap();
        path
    }
}

/// The rows as text, cells joined by `|`; or the error, explained.
async fn rows(ctx: &SessionContext, sql: &str) -> Result<Vec<String>> {
    let frame = ctx.sql(sql).await?;
    let plan = frame.logical_plan().clone();
    match frame.collect().await {
        Ok(batches) => Ok(batches.iter().flat_map(show).collect()),
        Err(error) => Err(explain_failure(ctx, &plan, error).await),
    }
}

fn show(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    let row =
        |i| columns.iter().map(|column| column.value(i).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}

async fn check(ctx: &SessionContext, sql: &str, expected: &[&str]) {
    assert_eq!(rows(ctx, sql).await.unwrap(), expected, "{sql}");
}

async fn fails(path: &str, words: &[&str]) {
    let error = add_path(&session(), path, &TableOptions::default()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Usage, "{error}");
    says(&error, words);
}

fn says(error: &Error, words: &[&str]) {
    let text = format!("{} {:?} {:?}", error.message, error.notes, error.hints);
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

fn options(query: &str) -> TableOptions {
    let mut options = TableOptions::default();
    options.set_query(query).unwrap();
    options
}

#[tokio::test]
async fn formats_and_compressions() {
    let shop = Shop::new();
    let text = "id,price\n1,2.5\n2,\n";
    shop.file("plain.csv", text);
    for (name, compression) in [
        ("a.csv.gz", Compression::Gz),
        ("b.csv.zst", Compression::Zst),
        ("c.csv.bz2", Compression::Bz2),
        ("d.csv.xz", Compression::Xz),
    ] {
        let bytes = futures::stream::iter([Ok(bytes::Bytes::from(text))]);
        let packed = compression.engine().convert_to_compress_stream(Box::pin(bytes)).unwrap();
        let packed: Vec<bytes::Bytes> = futures::TryStreamExt::try_collect(packed).await.unwrap();
        shop.file(name, packed.concat());
    }
    shop.file("lines.ndjson", "{\"id\":1,\"price\":2.5}\n{\"id\":2}\n");
    shop.parquet("table.parquet", "SELECT 1 AS id, 2.5 AS price UNION ALL SELECT 2, NULL").await;
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let prices: ArrayRef = Arc::new(Float64Array::from(vec![Some(2.5), None]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("price", prices)]).unwrap();
    let mut writer = arrow::ipc::writer::FileWriter::try_new(vec![], &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    shop.file("ipc.arrow", writer.into_inner().unwrap());
    let ctx = session();
    let mut names = add_path(&ctx, &shop.path(""), &TableOptions::default()).await.unwrap();
    names.sort();
    assert_eq!(names, ["a", "b", "c", "d", "ipc", "lines", "plain", "table"]);
    for name in names {
        check(&ctx, &format!("SELECT id, price FROM \"{name}\" ORDER BY id"), &["1|2.5", "2|NULL"])
            .await;
    }
}

#[tokio::test]
async fn csv_options() {
    let shop = Shop::new();
    let ctx = session();
    let german = "Name;Preis;Menge;Tag\nM\u{fc}ller;1.234,56;1.000;24.12.2024\nn/a;n/a;2;n/a\n";
    let (bytes, _, _) = encoding_rs::WINDOWS_1252.encode(german);
    shop.file("german.csv", bytes);
    let query =
        "delimiter=;&decimal_comma=true&encoding=windows-1252&null=n/a&date_format=%25d.%25m.%25Y";
    add_path(&ctx, &format!("{}?{query}", shop.path("german.csv")), &TableOptions::default())
        .await
        .unwrap();
    let types = "SELECT arrow_typeof(\"Preis\"), arrow_typeof(\"Menge\"), arrow_typeof(\"Tag\") FROM german LIMIT 1";
    check(&ctx, types, &["Float64|Int64|Date32"]).await;
    check(&ctx, "SELECT * FROM german", &["Müller|1234.56|1000|2024-12-24", "NULL|NULL|2|NULL"])
        .await;
    check(&ctx, "SELECT sum(\"Menge\") FROM german WHERE \"Preis\" > 1000", &["1000"]).await;

    shop.file("cdnow.txt", " id  n\r\n 00001  1 \r\n 00002 2\r\n");
    let opts = options("format=csv&delimiter=whitespace");
    add_path(&ctx, &shop.path("cdnow.txt"), &opts).await.unwrap();
    check(&ctx, "SELECT id, n FROM cdnow", &["00001|1", "00002|2"]).await;

    let utf16: Vec<u8> = "\u{feff}a\tb\n1\té\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    shop.file("excel.tsv", utf16);
    add_path(&ctx, &shop.path("excel.tsv"), &TableOptions::default()).await.unwrap();
    check(&ctx, "SELECT a, b FROM excel", &["1|é"]).await;

    shop.file("baskets.csv", "milk,bread\nbeer\n");
    add_path(&ctx, &shop.path("baskets.csv?header=false&ragged=true"), &TableOptions::default())
        .await
        .unwrap();
    check(&ctx, "SELECT * FROM baskets", &["milk|bread", "beer|NULL"]).await;

    shop.file("bom.csv", "\u{feff}id, id ,,x y\n\"1\n2\",2,3,4\n");
    add_path(&ctx, &shop.path("bom.csv"), &TableOptions::default()).await.unwrap();
    check(&ctx, "SELECT id_2, column_3, \"x y\", id FROM bom", &["2|3|4|1\n2"]).await;

    shop.file("typed.csv", "id,price\n1, 2.50\n");
    let opts = options("columns=id VARCHAR, price DECIMAL(10,2)&trim=true");
    add_table(&ctx, "typed", &[shop.path("typed.csv")], &opts).await.unwrap();
    let sql = "SELECT arrow_typeof(id), arrow_typeof(price), price FROM typed";
    check(&ctx, sql, &["Utf8View|Decimal128(10, 2)|2.50"]).await;
}

#[tokio::test]
async fn folders() {
    let shop = Shop::new();
    shop.parquet("orders/a.parquet", "SELECT 1 AS id, 'x' AS sku").await;
    shop.parquet("orders/b.parquet", "SELECT 2.5 AS id, 'y' AS sku").await;
    shop.parquet("truth/customers.parquet", "SELECT 1 AS customer_id, 'x' AS segment").await;
    shop.parquet("truth/skus.parquet", "SELECT 'a' AS sku, 1 AS margin, 2 AS cost").await;
    shop.file("events/day=2024-01-01/shop=a/x.csv", "id\n1\n");
    shop.file("events/day=2024-01-02/shop=b/x.csv", "id\n2\n");
    shop.file("events/_SUCCESS", "");
    let ctx = session();
    let names = add_path(&ctx, &shop.path(""), &TableOptions::default()).await.unwrap();
    assert_eq!(names, ["events", "orders", "truth.customers", "truth.skus"]);
    check(&ctx, "SELECT id FROM orders ORDER BY id", &["1.0", "2.5"]).await;
    check(&ctx, "SELECT segment FROM truth.customers", &["x"]).await;
    check(
        &ctx,
        "SELECT id, day, shop FROM events WHERE day > DATE '2024-01-01'",
        &["2|2024-01-02|b"],
    )
    .await;
    let again = add_path(&ctx, &shop.path("orders"), &TableOptions::default()).await;
    // A folder of plain files is a folder of tables, so `a` and `b` are new names.
    assert_eq!(again.unwrap(), ["a", "b"]);
    let error = add_table(&ctx, "orders", &[shop.path("orders")], &TableOptions::default())
        .await
        .unwrap_err();
    says(&error, &["two sources give the table `orders`", "orders"]);
}

#[tokio::test]
async fn a_partitioned_folder_of_rewritten_text() {
    let shop = Shop::new();
    let ctx = session();
    shop.file("sales/month=01/a.csv", b"name;n\nM\xfcller;-\n");
    shop.file("sales/month=02/b.csv", b"name;n\nMaier;2\n");
    add_path(
        &ctx,
        &shop.path("sales?delimiter=;&encoding=latin1&null=-"),
        &TableOptions::default(),
    )
    .await
    .unwrap();
    check(
        &ctx,
        "SELECT sales.name, n, month FROM sales ORDER BY name",
        &["Maier|2|02", "Müller|NULL|01"],
    )
    .await;
    let plan =
        rows(&ctx, "EXPLAIN SELECT n FROM sales WHERE month = '02'").await.unwrap().join("\n");
    assert!(plan.contains("b.csv") && !plan.contains("a.csv"), "{plan}");
    check(&ctx, "SELECT n FROM sales WHERE month = 2", &["2"]).await;
    shop.file("visits/day=2024-01-01/k=7/a.csv", "n\n1\n");
    shop.file("visits/day=2024-01-02/k=-10/a.csv", "n\n2\n");
    add_path(&ctx, &shop.path("visits"), &TableOptions::default()).await.unwrap();
    check(&ctx, "SELECT n FROM visits WHERE day = DATE '2024-01-02' AND k = -10", &["2"]).await;
    check(&ctx, "SELECT n FROM visits WHERE day = '2024-01-01' AND k < 8", &["1"]).await;
    fs::write(shop.path("sales/month=02/b.csv"), "name;n\nMaier;2\nMaier\n").unwrap();
    says(&rows(&ctx, "SELECT sum(n) FROM sales").await.unwrap_err(), &["b.csv:3", "1 field"]);
}

#[tokio::test]
async fn declared_columns() {
    let shop = Shop::new();
    let ctx = session();
    let path = shop.parquet("t.parquet", "SELECT CAST(1 AS INT) AS id, 'x' AS name").await;
    let sql = format!("CREATE EXTERNAL TABLE t (id BIGINT) STORED AS PARQUET LOCATION '{path}'");
    rows(&ctx, &sql).await.unwrap();
    check(&ctx, "SELECT *, arrow_typeof(id) FROM t", &["1|Int64"]).await;
    let sql = format!("CREATE EXTERNAL TABLE u (ids BIGINT) STORED AS PARQUET LOCATION '{path}'");
    says(
        &rows(&ctx, &sql).await.unwrap_err(),
        &["t.parquet", "no column `ids`", "did you mean `id`"],
    );
    let path = shop.file("c.csv", "id,name\n1,x\n");
    let error = add_path(&ctx, &path, &options("columns=nam VARCHAR")).await.unwrap_err();
    says(&error, &["no column `nam`", "did you mean `name`"]);
    let error = add_path(&ctx, &path, &options("columns=name VERCHAR")).await.unwrap_err();
    says(&error, &["no SQL type `VERCHAR`"]);
    let error =
        add_path(&ctx, &path, &options("header=false&columns=name VARCHAR")).await.unwrap_err();
    says(&error, &["1 columns are declared", "c.csv"]);
}

#[tokio::test]
async fn drift_and_names() {
    let shop = Shop::new();
    shop.file("drift/a.csv", "id,x\n1,1\n");
    shop.file("drift/b.csv", "id,x\nA1,1\n");
    fails(&shop.path(""), &["column `id`", "a.csv", "b.csv", "BIGINT", "VARCHAR"]).await;
    let shop = Shop::new();
    shop.parquet("drift/a.parquet", "SELECT 1 AS id, 2 AS x, 3 AS y").await;
    shop.parquet("drift/b.parquet", "SELECT 1 AS id, 2 AS x").await;
    fails(&shop.path(""), &["b.parquet", "lacks `y`", "a.parquet"]).await;
    let shop = Shop::new();
    shop.file("orders.csv", "id\n1\n");
    shop.file("Orders.json", "{\"id\":1}\n");
    fails(&shop.path(""), &["two sources", "orders.csv", "Orders.json"]).await;
}

#[tokio::test]
async fn bad_files() {
    let shop = Shop::new();
    fails(&shop.file("empty.csv", ""), &["empty.csv", "is empty (0 bytes)"]).await;
    fails(&shop.file("empty.parquet", ""), &["empty.parquet", "is empty (0 bytes)"]).await;
    fails(&shop.file("text.parquet", "id\n1\n"), &["text.parquet", "not a Parquet file"]).await;
    fails(&shop.file("mine.xlsx", "x"), &["mine.xlsx", "does not say what it holds"]).await;
    fails(
        &shop.file("ragged.csv", "a,b\n\"1\n\",2\n\n3\n"),
        &["ragged.csv:5", "has 1 field", "header has 2"],
    )
    .await;
    fails(&shop.file("long.csv", "a,b\r\n1,2,3\r\n"), &["long.csv:2", "has 3 fields"]).await;
    let latin = b"name\nx\nM\xfcller\n";
    fails(&shop.file("latin.csv", latin), &["latin.csv:3", "not UTF-8", "windows-1252"]).await;
    fails(&shop.file("bad.json", "{\"a\":1}\nnope\n"), &["bad.json:2", "not a JSON object"]).await;
    fails(&shop.file("array.json", "[{\"a\":1}]"), &["array.json", "JSON array", "jq"]).await;
    fails(&shop.file("plain.csv.gz", "a\n1\n"), &["plain.csv.gz", "is not packed as gz"]).await;
    let parquet = fs::read(shop.parquet("whole.parquet", "SELECT 1 AS id").await).unwrap();
    fails(
        &shop.file("wrong.csv", &parquet),
        &["wrong.csv", "holds Parquet data", "format=parquet"],
    )
    .await;
    fails(&shop.file("cut.parquet", &parquet[..parquet.len() - 9]), &["cut.parquet", "cut short"])
        .await;
    fails(&shop.path("whole.paquet"), &["there is no file", "whole.parquet"]).await;
    fails(&shop.path("whole.parquet?delimiter=;"), &["`delimiter` says nothing"]).await;
    fails(&shop.path("ragged.csv?delimeter=;"), &["no table option", "`delimiter`"]).await;
    fails(&shop.path("ragged.csv?encoding=klingon"), &["no encoding"]).await;
    fails("s3://bucket/x.parquet", &["there are no credentials for `s3://bucket/x.parquet`"]).await;
    let text: String = (0..20_000).map(|i| format!("{i},{}\n", i * i)).collect();
    let bytes = futures::stream::iter([Ok(bytes::Bytes::from(text))]);
    let packed = Compression::Gz.engine().convert_to_compress_stream(Box::pin(bytes)).unwrap();
    let packed: Vec<bytes::Bytes> = futures::TryStreamExt::try_collect(packed).await.unwrap();
    let packed = packed.concat();
    fails(&shop.file("torn.csv.gz", &packed[..packed.len() / 2]), &["torn.csv.gz", "breaks off"])
        .await;
    let ctx = session();
    add_path(&ctx, &shop.file("header.csv", "id,name\n"), &TableOptions::default()).await.unwrap();
    check(&ctx, "SELECT count(id), arrow_typeof(max(name)) FROM header", &["0|Utf8"]).await;
}

#[tokio::test]
async fn create_external_table() {
    let shop = Shop::new();
    let ctx = session();
    let path = shop.file("in.txt", "a;b\n1;x\n-;y\n");
    let sql = format!(
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{path}' OPTIONS (delimiter ';', 'format.has_header' 'true', null '-')"
    );
    rows(&ctx, &sql).await.unwrap();
    check(&ctx, "SELECT a, b FROM t", &["1|x", "NULL|y"]).await;
    let error = add_table(&ctx, "t", std::slice::from_ref(&path), &options("format=csv"))
        .await
        .unwrap_err();
    says(&error, &["two sources give the table `t`", "in.txt"]);
    rows(&ctx, "DROP TABLE t").await.unwrap();
    let sql = format!(
        "CREATE EXTERNAL TABLE u (x VARCHAR, y VARCHAR) STORED AS CSV LOCATION '{path}' OPTIONS (delimiter ';')"
    );
    rows(&ctx, &sql).await.unwrap();
    check(&ctx, "SELECT x FROM u", &["1", "-"]).await;
    let sql =
        format!("CREATE EXTERNAL TABLE v STORED AS CSV LOCATION '{path}' OPTIONS (delimeter ';')");
    says(&rows(&ctx, &sql).await.unwrap_err(), &["no table option `delimeter`", "`delimiter`"]);
    shop.file("days/day=1/x.json", "{\"a\":1}\n");
    let sql = format!("CREATE EXTERNAL TABLE w STORED AS NDJSON LOCATION '{}'", shop.path("days"));
    rows(&ctx, &sql).await.unwrap();
    check(&ctx, "SELECT a, day FROM w", &["1|1"]).await;
    shop.parquet("out/a.parquet", "SELECT 1 AS n").await;
    let sql = format!("CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '{}/'", shop.path("out"));
    rows(&ctx, &sql).await.unwrap();
    rows(&ctx, "INSERT INTO x SELECT 2").await.unwrap();
    check(&ctx, "SELECT sum(n) FROM x", &["3"]).await;
}

#[tokio::test]
async fn direct_paths() {
    let shop = Shop::new();
    let ctx = session();
    install(&ctx);
    shop.file("a.csv", "id\n1\n");
    shop.file("b.csv", "id\n2\n");
    shop.file("bad.csv", "id,x\n2\n");
    check(&ctx, &format!("SELECT id FROM '{}'", shop.path("a.csv")), &["1"]).await;
    check(&ctx, &format!("SELECT sum(id) FROM \"{}\"", shop.path("?.csv")), &["3"]).await;
    check(
        &ctx,
        &format!("SELECT id FROM '{}?header=false&columns=id VARCHAR' LIMIT 1", shop.path("a.csv")),
        &["id"],
    )
    .await;
    let error = rows(&ctx, &format!("SELECT * FROM '{}'", shop.path("aa.csv"))).await.unwrap_err();
    says(&error, &["there is no file or folder", "did you mean"]);
    let error = rows(&ctx, &format!("SELECT * FROM '{}'", shop.path("bad.csv"))).await.unwrap_err();
    says(&error, &["bad.csv:2"]);
    assert!(ctx.sql("SELECT * FROM nothing").await.is_err());
    rows(&ctx, "CREATE SCHEMA s").await.unwrap();
    rows(&ctx, "DROP SCHEMA s").await.unwrap();
}

#[tokio::test]
async fn failures_while_reading() {
    let shop = Shop::new();
    let ctx = session();
    // The files change after they were added, as they do.
    let csv = shop.file("a.csv", "id,price\n1,2.5\n");
    add_path(&ctx, &csv, &TableOptions::default()).await.unwrap();
    fs::write(&csv, "id,price\n1,2.5\n\"2\",secret\n").unwrap();
    let error = rows(&ctx, "SELECT sum(price) FROM a").await.unwrap_err();
    says(&error, &["a.csv:3", "column `price`", "DOUBLE", "VARCHAR"]);
    assert!(!format!("{error:?}").contains("secret") && error.kind == Kind::Query, "{error:?}");
    fs::write(&csv, "id,price\n1,2.5\n2\n").unwrap();
    says(&rows(&ctx, "SELECT sum(price) FROM a").await.unwrap_err(), &["a.csv:3", "1 field"]);

    let view = shop.file("v.csv", "id;price\n1;2,5\n");
    add_path(&ctx, &view, &options("delimiter=;&decimal_comma=true&null=-")).await.unwrap();
    fs::write(&view, "id;price\n1;-\n2;secret\n").unwrap();
    let error = rows(&ctx, "SELECT sum(price) FROM v").await.unwrap_err();
    says(&error, &["v.csv:3", "column `price`"]);
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");

    let json = shop.file("j.json", "{\"n\":1}\n");
    add_path(&ctx, &json, &TableOptions::default()).await.unwrap();
    fs::write(&json, "{\"n\":1}\n{\"n\":\"secret\"}\n").unwrap();
    let error = rows(&ctx, "SELECT sum(n) FROM j").await.unwrap_err();
    says(&error, &["j.json:2", "column `n`", "VARCHAR", "BIGINT"]);
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");

    let sql = "SELECT CAST(value AS VARCHAR) AS text FROM generate_series(1, 20000)";
    let parquet = shop.parquet("p.parquet", sql).await;
    let mut bytes = fs::read(&parquet).unwrap();
    bytes[100..2000].fill(0xff);
    fs::File::create(&parquet).unwrap().write_all(&bytes).unwrap();
    add_path(&ctx, &parquet, &TableOptions::default()).await.unwrap();
    let error = rows(&ctx, "SELECT min(length(text)) FROM p").await.unwrap_err();
    says(&error, &["p.parquet", "row group 1 of 1", "column `text`"]);
    // What is the query's own fault stays so.
    let error = rows(&ctx, "SELECT CAST('x' || id AS INT) FROM 'nowhere.csv'").await.unwrap_err();
    says(&error, &["there is no file"]);
}

#[tokio::test]
async fn large_files_in_ranges() {
    let shop = Shop::new();
    let ctx = SessionContext::new_with_config(
        datafusion::prelude::SessionConfig::new()
            .with_target_partitions(4)
            .with_repartition_file_min_size(1),
    );
    let mut text = String::from("id,x\n");
    (0..50_000).for_each(|i| text.push_str(&format!("{i},{}\n", i % 7)));
    let path = shop.file("big.csv", &text);
    add_path(&ctx, &path, &TableOptions::default()).await.unwrap();
    let plan = rows(&ctx, "EXPLAIN SELECT sum(x) FROM big").await.unwrap().join("\n");
    assert!(plan.contains("4 groups"), "{plan}");
    fs::write(&path, text.replace("\n44444,", "\n44444,oops")).unwrap();
    says(
        &rows(&ctx, "SELECT sum(x) FROM big").await.unwrap_err(),
        &["big.csv:44446", "column `x`"],
    );
}

#[tokio::test]
async fn parquet_answers_from_statistics() {
    let shop = Shop::new();
    let ctx = session();
    shop.parquet("t/a.parquet", "SELECT 1 AS ts").await;
    shop.parquet("t/b.parquet", "SELECT 2 AS ts").await;
    add_table(&ctx, "t", &[shop.path("t")], &TableOptions::default()).await.unwrap();
    let plan = rows(&ctx, "EXPLAIN SELECT max(ts) FROM t").await.unwrap().join("\n");
    assert!(plan.contains("PlaceholderRowExec"), "{plan}");
}

fn real(name: &str) -> Option<String> {
    let folders = [
        std::env::var("COMPTOIR_DATA").unwrap_or_default(),
        "../shared/data".into(),
        "/work/shared/data".into(),
    ];
    let path = folders
        .iter()
        .map(|folder| PathBuf::from(folder).join(name))
        .find(|path| path.is_file())?;
    Some(path.display().to_string())
}

#[tokio::test]
async fn real_data() {
    let ctx = session();
    let none = TableOptions::default();
    if let Some(path) = real("online_retail/online_retail.csv.gz") {
        add_path(&ctx, &path, &none).await.unwrap();
        let sql = "SELECT count(*), count(distinct \"InvoiceNo\"), count(distinct \"CustomerID\"), arrow_typeof(max(\"InvoiceDate\")), arrow_typeof(max(\"CustomerID\")) FROM online_retail";
        check(&ctx, sql, &["541909|25900|4372|Timestamp(s)|Float64"]).await;
    }
    if let Some(path) = real("cdnow/CDNOW_master.txt") {
        let opts = options("format=csv&delimiter=whitespace&date_format=%25Y%25m%25d");
        add_path(&ctx, &path, &opts).await.unwrap();
        let sql = "SELECT count(*), count(distinct customer_id), sum(number_of_cds), round(sum(dollar_value), 2), min(date) FROM cdnow_master";
        check(&ctx, sql, &["69659|23570|167881|2500315.63|1997-01-01"]).await;
    }
    if let Some(path) = real("adult/arx/adult.csv") {
        add_table(&ctx, "adult", &[path], &options("delimiter=;")).await.unwrap();
        check(&ctx, "SELECT count(*), max(age) FROM adult", &["30162|90"]).await;
    }
    if let Some(path) = real("avocado/avocado.csv") {
        add_path(&ctx, &path, &none).await.unwrap();
        check(&ctx, "SELECT count(\"Total Volume\"), max(year) FROM avocado", &["18249|2018"])
            .await;
    }
    if let Some(path) = real("groceries/groceries.csv") {
        add_path(&ctx, &format!("{path}?header=false&ragged=true"), &none).await.unwrap();
        check(&ctx, "SELECT count(*), count(column_32) FROM groceries", &["9835|1"]).await;
    }
}

#[tokio::test]
async fn other_writers_encode_the_names_of_folders_in_their_own_way() {
    let (ctx, shop) = (session(), Shop::new());
    shop.file("t/at=10%3A00/a.csv", "v\n1\n");
    shop.file("t/at=11:00/a.csv", "v\n2\n");
    let (place, sql) = (shop.path("t/"), |place: &str, at| {
        format!("SELECT v, at FROM '{place}' WHERE at = '{at}'")
    });
    assert_eq!(rows(&ctx, &sql(&place, "10:00")).await.unwrap(), ["1|10:00"]);
    assert_eq!(rows(&ctx, &sql(&place, "11:00")).await.unwrap(), ["2|11:00"]);
}
