// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! SQL logic tests: every `.slt` file under `tests/slt/` is one test, with a session of its own. The folders mirror
//! `sql/` (one file an analysis) and `udfs/src/` (`functions/`, one file a function).
//!
//! `cargo test --test slt -- rfm` runs those whose path holds `rfm`; `--complete` writes the answers into the files.
//! Within a file `$DEMO` is a demo shop of 2,000 orders and `$SCRATCH` an empty folder of the file's own.

#![expect(clippy::expect_used, reason = "a test panics")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comptoir::config::Config;
use comptoir::{Engine, Error, Outcome, demo};
use libtest_mimic::{Arguments, Failed, Trial};
use sqllogictest::{
    AsyncDB, DBOutput, DefaultColumnType, Runner, default_normalizer, default_validator,
    strict_column_validator,
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slt");

fn main() {
    let mut arguments: Vec<String> = std::env::args().collect();
    let complete =
        arguments.iter().position(|a| a == "--complete").map(|i| arguments.remove(i)).is_some();
    let arguments = Arguments::from_iter(arguments);
    let mut files = vec![];
    collect(Path::new(ROOT), &mut files);
    // The longest first, so that no thread is left with it when all others have ended.
    files.sort_by_cached_key(|file| {
        let length = std::fs::metadata(file).map_or(0, |file| file.len());
        (std::cmp::Reverse(length), file.clone())
    });
    assert!(!files.is_empty(), "there are no .slt files under {ROOT}");
    let trials = files
        .into_iter()
        .map(|file| {
            let name =
                file.strip_prefix(ROOT).unwrap_or(&file).with_extension("").display().to_string();
            Trial::test(name, move || run(&file, complete).map_err(Failed::from))
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder of .slt files is readable") {
        let path = entry.expect("its entries are readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "slt") {
            files.push(path);
        }
    }
}

fn run(file: &Path, complete: bool) -> Result<(), String> {
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    // What a result looks like must not depend on partitions and batches: the answers are the same for all of these.
    let shapes = if complete { &[(1, 8192)][..] } else { &[(1, 8192), (3, 16)][..] };
    for (threads, batch_size) in shapes {
        let folder = scratch.path().join(format!("{threads}-{batch_size}"));
        std::fs::create_dir(&folder).map_err(|e| e.to_string())?;
        let shape = (*threads, *batch_size);
        let opened = folder.clone();
        let mut runner = Runner::new(move || {
            let folder = opened.clone();
            async move { Session::open(shape, folder).await }
        });
        runner.with_column_validator(strict_column_validator);
        runner.add_label("comptoir");
        let done = runtime.block_on(async {
            if complete {
                let written = runner.update_test_file(
                    file,
                    " ",
                    default_validator,
                    default_normalizer,
                    strict_column_validator,
                );
                written.await.map_err(|e| e.to_string())
            } else {
                runner.run_file_async(file).await.map_err(|e| e.display(false).to_string())
            }
        });
        done.map_err(|e| format!("{threads} partitions, batches of {batch_size}: {e}"))?;
    }
    Ok(())
}

/// One engine over nothing; tables come from the file.
struct Session {
    engine: Arc<Engine>,
    scratch: PathBuf,
}

impl Session {
    async fn open((threads, batch_size): (usize, usize), scratch: PathBuf) -> Result<Self, Error> {
        let config =
            Config { threads: Some(threads), batch_size: Some(batch_size), ..Config::default() };
        Ok(Self { engine: Arc::new(Engine::open(&config).await?), scratch })
    }
}

#[async_trait::async_trait]
impl AsyncDB for Session {
    type Error = Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        let scratch = self.scratch.display().to_string();
        let mut sql = sql.replace("$SCRATCH", &scratch);
        if sql.contains("$DEMO") {
            sql = sql.replace("$DEMO", &demo_shop().display().to_string());
        }
        let mut output = DBOutput::StatementComplete(0);
        for statement in self.engine.parse(&sql)? {
            output = match self.engine.run(&statement).await? {
                Outcome::Done => DBOutput::StatementComplete(0),
                Outcome::Written(rows) | Outcome::Rows(rows) => {
                    let types =
                        rows.schema().fields().iter().map(|f| column_type(f.data_type())).collect();
                    let mut cells = vec![];
                    for batch in rows.collect().await? {
                        append(&batch, &scratch, &mut cells)?;
                    }
                    DBOutput::Rows { types, rows: cells }
                }
            };
        }
        Ok(output)
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "comptoir"
    }
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        t if t.is_integer() => DefaultColumnType::Integer,
        t if t.is_numeric() => DefaultColumnType::FloatingPoint,
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => DefaultColumnType::Text,
        _ => DefaultColumnType::Any,
    }
}

fn append(batch: &RecordBatch, scratch: &str, rows: &mut Vec<Vec<String>>) -> Result<(), Error> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch
        .columns()
        .iter()
        .map(|c| ArrayFormatter::try_new(c.as_ref(), &options))
        .collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        rows.push(
            columns
                .iter()
                .map(|column| match column.value(row).to_string().replace(scratch, "$SCRATCH") {
                    empty if empty.is_empty() => "(empty)".to_string(),
                    text => text,
                })
                .collect(),
        );
    }
    Ok(())
}

/// The shop that all files share: written once a run, under the target folder.
fn demo_shop() -> &'static Path {
    static SHOP: OnceLock<tempfile::TempDir> = OnceLock::new();
    SHOP.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for the demo shop");
        let options = demo::Options {
            dir: folder.path().to_path_buf(),
            orders: 2_000,
            seed: 1,
            format: demo::Format::Parquet,
        };
        demo::generate(&options).expect("the demo shop is written");
        folder
    })
    .path()
}
