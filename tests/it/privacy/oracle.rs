// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What an analyst may ask is answered exactly: DuckDB, which knows no policy, gives the same with the threshold written
//! out as `HAVING count(DISTINCT unit) >= k`.

use std::path::PathBuf;
use std::process::Command;

use arrow::array::RecordBatch;
use arrow::json::ArrayWriter;
use serde_json::{Value, json};

use super::{blocking, scratch, shop, target};

/// DuckDB, in a folder of its own: nothing else needs it.
const DUCKDB: &str = "duckdb==1.4.2";

fn questions() -> Vec<(&'static str, &'static str)> {
    include_str!("useful.sql")
        .split("\n\n")
        .filter(|block| !block.starts_with("--"))
        .filter_map(|block| block.trim().split_once("\n-- duckdb\n"))
        .collect()
}

fn rows(batches: &[RecordBatch]) -> Vec<Value> {
    let mut written = ArrayWriter::new(vec![]);
    for batch in batches {
        // By position, because two engines name columns differently.
        let names: Vec<String> = (0..batch.num_columns()).map(|i| format!("c{i:02}")).collect();
        let named = names.iter().map(String::as_str).zip(batch.columns().iter().cloned());
        written
            .write(
                &RecordBatch::try_from_iter_with_nullable(named.map(|(n, c)| (n, c, true)))
                    .expect("is a batch"),
            )
            .expect("writes");
    }
    written.finish().expect("writes");
    let text = written.into_inner();
    let width = batches.first().map_or(0, RecordBatch::num_columns);
    let objects: Vec<Value> = match text.is_empty() {
        true => vec![],
        false => serde_json::from_slice(&text).expect("is JSON"),
    };
    objects
        .into_iter()
        .map(|row| {
            (0..width).map(|i| row.get(format!("c{i:02}")).cloned().unwrap_or_default()).collect()
        })
        .collect()
}

#[test]
fn useful_questions_are_answered_as_duckdb_answers_them() {
    let questions = questions();
    assert!(questions.len() >= 30, "{} questions", questions.len());
    let answers = blocking(async {
        let engine = shop().open("analyst").await;
        let mut answers = vec![];
        for (sql, duckdb) in questions {
            let found = engine
                .query(sql)
                .await
                .unwrap_or_else(|e| panic!("{sql}\n{}\n{:?}", e.message, e.hints));
            answers.push(json!({ "sql": sql, "duckdb": duckdb, "rows": rows(&found) }));
        }
        answers
    });
    let folder = scratch();
    let file = folder.path().join("answers.json");
    std::fs::write(&file, Value::from(answers).to_string()).expect("is written");
    crate::oracle::oracle("privacy.py", &[&packages(), &shop().path().join("data"), &file]);
}

/// DuckDB, installed once.
fn packages() -> PathBuf {
    let home = target().join("python-duckdb");
    let lock = std::fs::File::create(target().join("python-duckdb.lock")).expect("a lock file");
    lock.lock().expect("the lock, free in the end");
    let list = home.join("comptoir-packages.txt");
    if std::fs::read_to_string(&list).is_ok_and(|has| has == DUCKDB) {
        return home;
    }
    let status = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"])
        .arg(&home)
        .arg(DUCKDB)
        .status()
        .expect("pip starts");
    assert!(status.success(), "pip installs {DUCKDB}");
    std::fs::write(list, DUCKDB).expect("the list of packages");
    home
}
