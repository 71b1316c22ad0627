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

use comptoir::demo;

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

/// What costs.py asks of its random shops, in its order.
const COSTS: [&str; 6] = [
    "",
    ", fulfillment_key => 'revenue', resale_basis => 'observed'",
    ", fulfillment_key => 'half', unattributed_spend => 'leave'",
    ", fulfillment_key => 'equal', period => 'month'",
    ", from_date => '2024-01-20', to_date => '2024-02-25'",
    ", period => 'month', overhead_key => 'quantity'",
];

/// CSV has no lists.
fn sku_true_cost(arguments: &str) -> String {
    format!(
        "SELECT * EXCEPT (missing_components, assumed_components) \
         FROM sku_true_cost(detail => true, storage_rate => 0.05{arguments}) ORDER BY sku, period_start"
    )
}

#[test]
fn sku_true_cost_is_what_a_row_by_row_reference_computes() {
    let folder = tempfile::tempdir().expect("a folder for shops and answers");
    oracle("costs.py", &[Path::new("make"), folder.path()]);
    let mut answers = vec![];
    for (number, arguments) in COSTS.iter().enumerate() {
        let shop = folder.path().join(format!("shop_{number}"));
        let answer = folder.path().join(format!("{number}.csv"));
        comptoir(&shop.display().to_string(), &sku_true_cost(arguments), &answer, &[]);
        answers.push(answer);
    }
    let mut arguments = vec![Path::new("check"), folder.path()];
    arguments.extend(answers.iter().map(PathBuf::as_path));
    oracle("costs.py", &arguments);
}

#[test]
fn sku_true_cost_of_the_demo_shop_is_the_reference_s_at_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("a folder for a shop and its answers");
    let shop = folder.path().join("shop");
    let options =
        demo::Options { dir: shop.clone(), orders: 1_500, seed: 2, format: demo::Format::Csv };
    demo::generate(&options).expect("the demo shop is written");
    let answers = ["1", "3"].map(|threads| {
        let answer = folder.path().join(format!("{threads}.csv"));
        let options = ["--threads", threads];
        comptoir(&shop.display().to_string(), &sku_true_cost(""), &answer, &options);
        answer
    });
    oracle("costs.py", &[Path::new("demo"), &shop, &answers[0]]);
    let bytes = answers.map(|answer| fs::read(answer).expect("the answer"));
    assert!(bytes[0] == bytes[1], "3 threads answer otherwise than 1");
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
const PACKAGES: [&str; 2] = ["numpy==2.3.5", "pandas==2.3.3"];

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
