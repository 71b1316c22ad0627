// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

#![expect(clippy::expect_used, reason = "a test panics")]

use std::path::Path;

use arrow::datatypes::{DataType, TimeUnit};
use comptoir::demo::{self, Format, Options};
use comptoir::library::schema;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn write(folder: &Path, format: Format) -> Vec<demo::Table> {
    let options = Options { dir: folder.to_path_buf(), orders: 1_000, seed: 3, format };
    demo::generate(&options).expect("the demo shop is written")
}

#[test]
fn the_demo_shop_has_the_tables_of_the_schema_and_their_columns() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = write(folder.path(), Format::Parquet);
    let tables = schema().expect("the schema reads");
    let names: Vec<&str> =
        written.iter().map(|t| t.name).filter(|n| !n.starts_with("truth/")).collect();
    for table in &tables {
        assert!(
            names.contains(&table.name.as_str()),
            "`{}` is in the schema, not in the shop",
            table.name
        );
        let file = std::fs::File::open(folder.path().join(format!("{}.parquet", table.name)))
            .expect("is written");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("is Parquet");
        let found = reader.schema();
        let promised: Vec<(String, DataType, bool)> = table
            .columns
            .iter()
            .map(|c| (c.name.clone(), arrow_type(&c.data_type), c.nullable))
            .collect();
        let found: Vec<(String, DataType, bool)> = found
            .fields()
            .iter()
            .map(|f| (f.name().clone(), f.data_type().clone(), f.is_nullable()))
            .collect();
        assert_eq!(promised, found, "{}", table.name);
    }
    assert_eq!(names.len(), tables.len());
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for format in [Format::Parquet, Format::Csv] {
        let (one, two) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        write(two.path(), format);
        for table in write(one.path(), format) {
            let name = format!("{}.{}", table.name, format.extension());
            let bytes = |folder: &Path| std::fs::read(folder.join(&name)).expect("is written");
            assert!(bytes(one.path()) == bytes(two.path()), "{name} differs");
        }
    }
}

fn arrow_type(sql: &str) -> DataType {
    match sql {
        "VARCHAR" => DataType::Utf8,
        "BIGINT" => DataType::Int64,
        "INTEGER" => DataType::Int32,
        "DECIMAL(18,4)" => DataType::Decimal128(18, 4),
        "DOUBLE" => DataType::Float64,
        "BOOLEAN" => DataType::Boolean,
        "DATE" => DataType::Date32,
        "TIMESTAMP" => DataType::Timestamp(TimeUnit::Microsecond, None),
        other => panic!("`{other}` is not a type of the schema"),
    }
}
