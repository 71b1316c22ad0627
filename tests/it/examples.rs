// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

#![expect(clippy::expect_used, reason = "a test panics")]

use arrow::datatypes::{DataType, Field};
use comptoir::config::Config;
use comptoir::library::Library;
use comptoir::{Engine, Outcome, demo};

/// A small shop and an engine over it.
async fn engine() -> (tempfile::TempDir, Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = demo::Options {
        dir: folder.path().to_path_buf(),
        orders: 1_000,
        seed: 7,
        format: demo::Format::Parquet,
    };
    demo::generate(&options).expect("the demo shop is written");
    let config = Config {
        data: vec![folder.path().to_string_lossy().into_owned()],
        threads: Some(2),
        ..Config::default()
    };
    let engine = Engine::open(&config).await.expect("the shop is loaded");
    (folder, engine)
}

#[tokio::test]
async fn every_example_runs_and_gives_rows() {
    let (_shop, engine) = engine().await;
    for analysis in Library::built_in().expect("the library loads").iter() {
        for example in &analysis.examples {
            let batches = engine
                .query(example)
                .await
                .unwrap_or_else(|e| panic!("{}: {example}: {e}", analysis.name));
            assert!(
                batches.iter().any(|b| b.num_rows() > 0),
                "{}: {example} gives no row",
                analysis.name
            );
        }
    }
    engine.query(demo::SHOWCASE).await.expect("the showcase runs");
}

#[tokio::test]
async fn every_analysis_returns_what_its_header_promises() {
    let (_shop, engine) = engine().await;
    for analysis in Library::built_in().expect("the library loads").iter() {
        // The example shows how to call it; its own columns are those of the call alone.
        let example = analysis.examples.first().expect("has an example");
        let start = example.find(&format!("{}(", analysis.name)).expect("the example calls it");
        let call = balanced(&example[start..]);
        let statement = engine.parse(&format!("SELECT * FROM {call}")).expect("parses").remove(0);
        let Outcome::Rows(rows) =
            engine.run(&statement).await.unwrap_or_else(|e| panic!("{call}: {e}"))
        else {
            panic!("{call} gives no rows")
        };
        let fields = rows.schema().fields();
        let promised: Vec<&str> = analysis.returns.iter().map(|c| c.name.as_str()).collect();
        let found: Vec<&str> = fields.iter().map(|f| f.name().as_str()).collect();
        assert_eq!(promised, found, "{}", analysis.name);
        for (column, field) in analysis.returns.iter().zip(fields) {
            assert!(
                fits(&column.data_type, field),
                "{}.{}: {} is promised, {} found",
                analysis.name,
                column.name,
                column.data_type,
                field.data_type()
            );
        }
    }
}

/// The call at the start of a text, up to its closing parenthesis.
fn balanced(text: &str) -> &str {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return &text[..=i],
            ')' => depth -= 1,
            _ => {}
        }
    }
    text
}

fn fits(promised: &str, field: &Field) -> bool {
    let found = field.data_type();
    match promised {
        "ANY" => true,
        "NUMERIC" => found.is_numeric(),
        "VARCHAR" => matches!(found, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8),
        "VARCHAR[]" => matches!(found, DataType::List(item) if fits("VARCHAR", item)),
        "TIMESTAMP" => matches!(found, DataType::Timestamp(..)),
        "INTEGER" => found == &DataType::Int32,
        "BIGINT" => found == &DataType::Int64,
        "DOUBLE" => found == &DataType::Float64,
        "BOOLEAN" => found == &DataType::Boolean,
        "DATE" => found == &DataType::Date32,
        other => panic!("`{other}` is not known to this test"),
    }
}
