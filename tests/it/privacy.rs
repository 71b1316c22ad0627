// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The privacy gates: what an analyst must not learn of a planted victim, and what they must be able to ask.
//!
//! The statements stand in privacy/attacks.sql and privacy/useful.sql, so that every door can run the same.

#![expect(clippy::expect_used, reason = "a test panics")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use comptoir::config::{Config, Privacy};
use comptoir::policy::code_of;
use comptoir::{Engine, Error};

mod door; // the real program: -c, a script, Flight SQL
mod metamorphic; // the same question in other words; one person more or fewer
mod oracle; // DuckDB with the explicit HAVING
mod roles; // pseudonyms, purposes, retention, the analyses, the log
mod targets; // where nobody but an owner may write
mod together; // sessions of several roles over the same tables

/// Every value that nobody but the victim has.
const VICTIM: &[&str] = &[
    "VICTIM",
    "quatrefages",
    "private.example",
    "699887766",
    "Quatrefages",
    "Zoe",
    "99123",
    "victimsubscribed",
    "broccoli",
    "98765",
    "SKU-SECRET",
    "2408.9129",
    "1185185",
    "2025-05-05",
    "05:55:55",
    "06:06:06",
];

/// Words that an attack itself writes may come back in what is said of it.
const KNOWN_WORDS: &[&str] = &["Zzyzxville", "carrier-pigeon"];

/// A folder with the shop, its policy and its key.
struct Shop {
    folder: tempfile::TempDir,
}

impl Shop {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self, role: &str) -> Config {
        Config {
            data: vec![self.path().join("data").display().to_string()],
            privacy: Some(Privacy::File(self.path().join("policy.toml"))),
            role: Some(role.into()),
            file: Some(self.path().join("comptoir.toml")),
            threads: Some(2),
            ..Config::default()
        }
    }

    async fn open(&self, role: &str) -> Engine {
        Engine::open(&self.config(role)).await.expect("opens")
    }
}

/// The shop, written once.
fn shop() -> &'static Shop {
    static SHOP: LazyLock<Shop> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a folder for data");
        for (name, text) in [
            ("policy.toml", include_str!("privacy/policy.toml")),
            ("key", "the key of the privacy tests"),
            ("comptoir.toml", "data = [\"data\"]\nprivacy = \"policy.toml\"\nthreads = 2\n"),
        ] {
            std::fs::write(folder.path().join(name), text).expect("is written");
        }
        let sql = include_str!("privacy/shop.sql").replace("{dir}", &data.display().to_string());
        blocking(async move {
            let engine = Engine::open(&Config::default()).await.expect("opens");
            engine.query(&sql).await.expect("writes the shop");
        });
        Shop { folder }
    });
    &SHOP
}

/// Runs to the end on a runtime of its own, from a test or from within another.
fn blocking<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(work)
        });
        thread.join().expect("does not panic")
    })
}

/// A block of a file of statements.
struct Case {
    expected: String,
    sql: String,
}

fn cases(text: &str) -> Vec<Case> {
    let dir = shop().path().join("data").display().to_string();
    text.split("\n\n")
        .filter_map(|block| block.trim().strip_prefix("-- "))
        .filter_map(|block| {
            let (head, sql) = block.split_once('\n')?;
            let expected = head.split_whitespace().next()?.to_string();
            (expected != "Statements").then(|| Case { expected, sql: sql.replace("{dir}", &dir) })
        })
        .collect()
}

fn attacks() -> Vec<Case> {
    let both = [include_str!("privacy/attacks.sql"), include_str!("privacy/hostile.sql")];
    both.into_iter().flat_map(cases).collect()
}

/// What a statement said, whichever way: rows, or everything in an error.
fn said(outcome: &Result<Vec<RecordBatch>, Error>) -> String {
    match outcome {
        Ok(batches) => pretty_format_batches(batches).expect("formats").to_string(),
        Err(error) => {
            format!("{}\n{}\n{}", error.message, error.notes.join("\n"), error.hints.join("\n"))
        }
    }
}

/// Fails when a value of the victim's is in a text, apart from words that the statement wrote itself.
fn names_nobody(said: &str, sql: &str) {
    for value in VICTIM {
        assert!(
            !said.contains(value) || sql.contains(value),
            "`{value}` in the answer to {sql}:\n{said}"
        );
    }
    for value in KNOWN_WORDS {
        assert!(
            !said.contains(value) || sql.contains(value),
            "`{value}` in the answer to {sql}:\n{said}"
        );
    }
}

/// What is wrong with an outcome, if anything is.
fn verdict(case: &Case, outcome: &Result<Vec<RecordBatch>, Error>) -> Option<String> {
    let rows = outcome.as_ref().map(|b| b.iter().map(RecordBatch::num_rows).sum::<usize>());
    let fits = match (case.expected.as_str(), outcome) {
        ("empty", Ok(_)) => rows.is_ok_and(|rows| rows == 0),
        ("safe", Ok(_)) => true,
        ("refused", Err(_)) => true,
        (code, Err(error)) => code_of(error) == Some(code),
        _ => false,
    };
    (!fits).then(|| {
        format!("expected {}, found\n{}\nfor {}\n", case.expected, said(outcome), case.sql)
    })
}

#[test]
fn no_attack_tells_anything_of_the_victim() {
    let cases = attacks();
    assert!(cases.len() >= 350, "{} attacks", cases.len());
    let wrong = blocking(async {
        let mut wrong = vec![];
        let mut engine = shop().open("analyst").await;
        for case in &cases {
            let outcome = engine.query(&case.sql).await;
            let text = said(&outcome);
            // The victim's values may be repeated where the statement wrote them, and nowhere else.
            names_nobody(&text, &case.sql);
            wrong.extend(verdict(case, &outcome));
            if case.sql.contains("CREATE") || case.sql.contains("PREPARE") {
                engine = shop().open("analyst").await;
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    for stolen in ["stolen.csv", "stolen.parquet"] {
        assert!(!shop().path().join("data").join(stolen).exists(), "{stolen} was written");
    }
}

#[test]
fn the_published_example_of_a_threshold_comes_out() {
    let table = blocking(async {
        let engine = shop().open("examiner").await;
        let sql = "SELECT test_id, count(DISTINCT last_name) AS student_count, avg(test_score) AS avg_test_score FROM exams GROUP BY test_id ORDER BY test_id";
        said(&engine.query(sql).await)
    });
    let rows: Vec<&str> = table
        .lines()
        .filter(|l| l.contains("91") || l.contains("25") || l.contains("83"))
        .collect();
    assert_eq!(
        rows,
        [
            "| P91     | 3             | 510.0          |",
            "| U25     | 4             | 516.0          |"
        ]
    );
}

/// A folder for what a test writes.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// The real program on the shop.
fn program(role: &str, arguments: &[&str]) -> Command {
    let config = shop().path().join("comptoir.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_comptoir"));
    command.arg("--config").arg(config).args(["--role", role]).args(arguments);
    command
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp is in target").to_path_buf()
}
