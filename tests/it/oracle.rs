// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Analyses on public data sets against what pandas makes of the same raw files.
//!
//! The scripts in oracle/ know nothing of comptoir but the columns that it wrote. They run in an
//! environment of their own under target/python, made by the first test that needs it.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test panics, and says what it skips"
)]

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::Command;

use comptoir::demo::{self, Options};

/// CDNOW: every line is an order, and has no id.
const CDNOW: &str = "
SELECT
    customer_id, last_order_at, recency_days, frequency, monetary,
    r_score, f_score, m_score, rfm_score, segment, is_scored, warnings
FROM rfm_score(
    cdnow_master,
    created_timestamp => to_timestamp(CAST(date AS VARCHAR), '%Y%m%d'),
    net_sales => CAST(dollar_value AS DECIMAL(18, 4))
)
ORDER BY customer_id
";

/// Online Retail: the lines of invoices; those whose number begins with C are cancellations, of a
/// negative amount.
const ONLINE_RETAIL: &str = r#"
SELECT
    customer_id, last_order_at, recency_days, frequency, monetary,
    r_score, f_score, m_score, rfm_score, segment, is_scored, warnings
FROM rfm_score(
    online_retail,
    order_id => "InvoiceNo",
    customer_id => "CustomerID",
    created_timestamp => "InvoiceDate",
    net_sales => "Quantity" * CAST("UnitPrice" AS DECIMAL(18, 4)),
    grain => 'line'
)
ORDER BY customer_id
"#;

#[test]
fn rfm_score_is_what_pandas_computes() {
    let Some(data) = data() else { return };
    let written = tempfile::tempdir().expect("a folder for answers");
    let cdnow = written.path().join("cdnow.csv");
    comptoir(&cdnow_data(&data), CDNOW, &cdnow, &[]);
    let online_retail = written.path().join("online_retail.csv");
    let lines = data.join("online_retail/online_retail.csv.gz");
    comptoir(&lines.display().to_string(), ONLINE_RETAIL, &online_retail, &[]);
    oracle("rfm.py", &[&data, &cdnow, &online_retail]);
}

#[test]
fn rfm_score_does_not_depend_on_the_number_of_threads() {
    let Some(data) = data() else { return };
    let written = tempfile::tempdir().expect("a folder for answers");
    let answers = ["1", "2", "8"].map(|threads| {
        let answer = written.path().join(threads);
        comptoir(&cdnow_data(&data), CDNOW, &answer, &["--threads", threads]);
        fs::read(&answer).expect("the answer")
    });
    assert!(answers[0].len() > 1_000_000, "23,570 customers, not {} bytes", answers[0].len());
    assert!(answers[1] == answers[0], "2 threads answer otherwise than 1");
    assert!(answers[2] == answers[0], "8 threads answer otherwise than 1");
}

/// Answers of price_elasticity: the file, the data it is over, and the query.
const ELASTICITIES: [(&str, &str, &str); 11] = [
    (
        "oj.csv",
        "oj",
        "SELECT * FROM price_elasticity(oj, sku => brand, quantity => sales, method => 'loglog')
         UNION ALL SELECT * FROM price_elasticity(oj, sku => 'all', quantity => sales, method => 'loglog')",
    ),
    (
        "oj_promo.csv",
        "oj",
        "SELECT * FROM price_elasticity(
            oj, sku => brand, quantity => sales, promo => feat = 1, exclude_promo => false, method => 'loglog')",
    ),
    (
        "oj_function.csv",
        "oj",
        "SELECT brand, unnest(price_elasticity(sales, price)) FROM (
            SELECT brand, sales, price FROM oj UNION ALL SELECT 'all', sales, price FROM oj) GROUP BY brand",
    ),
    (
        "loglog_none.csv",
        "demo",
        "SELECT * FROM price_elasticity(method => 'loglog', controls => 'none')",
    ),
    (
        "loglog_season.csv",
        "demo",
        "SELECT * FROM price_elasticity(method => 'loglog', controls => 'season')",
    ),
    (
        "ppml_none.csv",
        "demo",
        "SELECT * FROM price_elasticity(method => 'ppml', controls => 'none')",
    ),
    (
        "ppml_season.csv",
        "demo",
        "SELECT * FROM price_elasticity(method => 'ppml', controls => 'season')",
    ),
    ("panel.csv", "demo", "SELECT * FROM price_elasticity(method => 'panel')"),
    ("panel_ppml.csv", "demo", "SELECT * FROM price_elasticity(method => 'panel_ppml')"),
    (
        "panel_all.csv",
        "demo",
        "SELECT * FROM price_elasticity(method => 'panel', exclude_promo => false, exclude_stockout => false)",
    ),
    (
        "panel_ppml_all.csv",
        "demo",
        "SELECT * FROM price_elasticity(method => 'panel_ppml', exclude_promo => false, exclude_stockout => false)",
    ),
];

#[test]
fn price_elasticity_is_what_statsmodels_and_pyfixest_compute() {
    let Some(data) = data() else { return };
    let written = tempfile::tempdir().expect("a folder for answers");
    let (shop, lines) = (written.path().join("shop"), written.path().join("lines"));
    for (dir, format) in [(&shop, demo::Format::Parquet), (&lines, demo::Format::Csv)] {
        let options = Options { dir: dir.clone(), orders: 5_000, seed: 5, format };
        demo::generate(&options).expect("the demo shop is written");
    }
    let juice = data.join("oj/oj.csv").display().to_string();
    for (name, over, sql) in ELASTICITIES {
        let table = if over == "oj" { juice.clone() } else { shop.display().to_string() };
        comptoir(&table, sql, &written.path().join(name), &[]);
    }
    oracle("elasticity.py", &[&data, &lines, written.path()]);
}

#[test]
fn price_elasticity_does_not_depend_on_the_number_of_threads() {
    let written = tempfile::tempdir().expect("a folder for answers");
    let shop = written.path().join("shop");
    let options =
        Options { dir: shop.clone(), orders: 3_000, seed: 6, format: demo::Format::Parquet };
    demo::generate(&options).expect("the demo shop is written");
    for sql in [
        "SELECT * FROM price_elasticity() ORDER BY sku",
        "SELECT * FROM price_elasticity(method => 'panel')",
        "SELECT sku, unnest(price_elasticity(quantity, price - total_discount / quantity)) FROM order_lines GROUP BY sku ORDER BY sku",
    ] {
        let answers = ["1", "2", "7"].map(|threads| {
            let answer = written.path().join(threads);
            comptoir(&shop.display().to_string(), sql, &answer, &["--threads", threads]);
            fs::read(&answer).expect("the answer")
        });
        assert!(answers[0].len() > 100, "{sql}");
        assert!(answers[1] == answers[0], "2 threads answer otherwise than 1: {sql}");
        assert!(answers[2] == answers[0], "7 threads answer otherwise than 1: {sql}");
    }
}

/// The elasticities that the demo shop was made with lie in their intervals as often as these promise: 95 % of 354, within
/// three deviations of a binomial count. By net prices, which tell also who had a discount code, somewhat less often.
#[test]
fn planted_elasticities_lie_in_their_intervals() {
    let written = tempfile::tempdir().expect("a folder for answers");
    let (mut estimates, mut by_list, mut by_net) = (0.0, 0.0, 0.0);
    for seed in 1..=6 {
        let shop = written.path().join(seed.to_string());
        let options =
            Options { dir: shop.clone(), orders: 5_000, seed, format: demo::Format::Parquet };
        demo::generate(&options).expect("the demo shop is written");
        let truth = shop.join("truth/skus.parquet").display().to_string();
        let answer = written.path().join("answer.csv");
        let sql = "
            SELECT count(l.ci_low), count(*) FILTER (WHERE t.elasticity BETWEEN l.ci_low AND l.ci_high),
                count(*) FILTER (WHERE t.elasticity BETWEEN n.ci_low AND n.ci_high)
            FROM price_elasticity(price_basis => 'list') AS l
            INNER JOIN price_elasticity() AS n ON l.sku = n.sku
            INNER JOIN skus AS t ON l.sku = t.sku
            WHERE l.ci_low IS NOT NULL AND n.ci_low IS NOT NULL";
        comptoir(&shop.display().to_string(), sql, &answer, &["--data", &truth]);
        let text = fs::read_to_string(&answer).expect("the answer");
        let row = text.lines().nth(1).expect("a row");
        let counts: Vec<f64> = row.split(',').map(|c| c.parse().expect("a count")).collect();
        estimates += counts[0];
        by_list += counts[1];
        by_net += counts[2];
    }
    assert!(estimates > 300.0, "{estimates} estimates");
    let allowed = 3.0 * f64::sqrt(0.95 * 0.05 / estimates);
    let (list, net) = (by_list / estimates, by_net / estimates);
    assert!((list - 0.95).abs() < allowed, "{list} of {estimates} by list prices");
    assert!(net > 0.90, "{net} of {estimates} by net prices");
}

fn cdnow_data(data: &Path) -> String {
    let file = data.join("cdnow/CDNOW_master.txt");
    format!("{}?format=csv&delimiter=whitespace", file.display())
}

/// The folder of public data sets: `COMPTOIR_DATA`, or shared/data beside the checkout.
///
/// Without it, says so and notes the calling test in target/skipped-tests.txt, which .ci/run
/// reads: a test cannot ignore itself once it runs, and must not look as if it had passed.
#[track_caller]
pub(crate) fn data() -> Option<PathBuf> {
    let folder = match std::env::var_os("COMPTOIR_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    let caller = Location::caller();
    let note = format!("{}:{}: {}\n", caller.file(), caller.line(), folder.display());
    eprint!("skipped: no data: {note}");
    let notes = target().join("skipped-tests.txt");
    let mut notes =
        OpenOptions::new().create(true).append(true).open(notes).expect("a file of notes");
    // One write, so that the notes of tests that run at the same time do not mix.
    notes.write_all(note.as_bytes()).expect("a note of the skipped test");
    None
}

/// Runs one query over one file with the real binary, which writes `answer` as CSV.
fn comptoir(data: &str, sql: &str, answer: &Path, options: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comptoir"));
    command
        .args(["--data", data, "--format", "csv", "-c", sql, "--output"])
        .arg(answer)
        .args(options);
    // Neither a configuration nor a table that stands about.
    command.current_dir(answer.parent().expect("a folder for answers"));
    succeed(&mut command);
}

/// Runs a script of oracle/, which compares.
pub(crate) fn oracle(script: &str, arguments: &[&Path]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/oracle").join(script);
    succeed(Command::new(python()).arg("-W").arg("error").arg(script).args(arguments));
}

/// The versions that the oracles were written with.
const PACKAGES: [&str; 4] =
    ["numpy==2.3.5", "pandas==2.3.3", "pyfixest==0.60.0", "statsmodels==0.15.0"];

/// A Python with [`PACKAGES`], made once.
///
/// The lock holds off other tests, which may be other processes. An environment is whole when the
/// list of what it has stands in it: one left half made, or made for other versions, is made anew.
fn python() -> PathBuf {
    let home = target().join("python");
    let python = home.join("bin/python");
    let lock = File::create(target().join("python.lock")).expect("a lock file");
    lock.lock().expect("the lock, free in the end");
    let list = home.join("comptoir-packages.txt");
    if fs::read_to_string(&list).is_ok_and(|has| has == PACKAGES.join("\n")) {
        return python;
    }
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
    succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES));
    fs::write(list, PACKAGES.join("\n")).expect("the list of packages");
    python
}

/// Cargo's target folder, wherever it is.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp is in target")
}

/// Runs a command, and shows what it said when it fails.
fn succeed(command: &mut Command) {
    let output = command.output().expect("a command that starts");
    assert!(
        output.status.success(),
        "{:?} failed with {}\n{}{}",
        command.get_args().collect::<Vec<&OsStr>>(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
