// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Door 1: run a text, from a file or from `-c`. The whole text is parsed before anything runs.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, UInt64Type};
use futures::future::LocalBoxFuture;

use crate::diagnostic;
use crate::engine::{Engine, Outcome};
use crate::error::{Error, Result};
use crate::execute::Rows;
use crate::sink::{Format, Out, Sink, StagedFile};

/// Where results and remarks go.
pub struct Output {
    /// How rows are written.
    pub format: &'static Format,
    /// The file that takes the one result, instead of the standard output.
    pub file: Option<PathBuf>,
    /// Opens the standard output.
    pub stdout: fn() -> Out,
    /// Takes remarks that are not data.
    pub remark: fn(&str),
}

/// An error and the text it happened in.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub error: Error,
    text: String,
    path: String,
}

impl Failure {
    /// The error drawn over the text.
    pub fn render(&self) -> String {
        diagnostic::render(&self.error, &self.text, &self.path)
    }
}

/// Runs every statement of a text, in order, and stops at the first that fails.
pub fn run<'a>(
    engine: &'a Engine,
    text: &'a str,
    path: &'a str,
    output: &'a Output,
) -> LocalBoxFuture<'a, Result<(), Failure>> {
    Box::pin(async move {
        run_statements(engine, text, output).await.map_err(|error| Failure {
            error,
            text: text.to_string(),
            path: path.to_string(),
        })
    })
}

async fn run_statements(engine: &Engine, text: &str, output: &Output) -> Result<()> {
    let mut staged: Option<StagedFile> = None;
    for statement in engine.parse(text)? {
        let start = Instant::now();
        // An error that knows no place of its own is at least in this statement.
        match engine.run(&statement).await {
            Ok(Outcome::Done) => {}
            Ok(Outcome::Written(rows)) => {
                let count = count(&rows.collect().await.map_err(|e| e.at_least(statement.span))?);
                (output.remark)(&format!("{count} rows written"));
            }
            Ok(Outcome::Rows(rows)) => match &output.file {
                None => show(rows, output, start).await.map_err(|e| e.at_least(statement.span))?,
                Some(_) if staged.is_some() => {
                    return Err(Error::usage(
                        "`--output` takes one result, and this is the second",
                    )
                    .at(Some(statement.span))
                    .hint("write each with `COPY (…) TO 'file'`"));
                }
                Some(file) => {
                    let file = StagedFile::create(file)?;
                    let out: Out = Box::new(BufWriter::new(file.file().try_clone()?));
                    write(rows, output.format, out)
                        .await
                        .map_err(|e| e.at_least(statement.span))?;
                    staged = Some(file);
                }
            },
            Err(error) => return Err(error.at_least(statement.span)),
        }
    }
    match (staged, &output.file) {
        (Some(file), _) => file.publish(),
        (None, Some(file)) => {
            Err(Error::usage(format!("no statement gave rows for `{}`", file.display())))
        }
        (None, None) => Ok(()),
    }
}

/// Writes a result to the standard output, and says how long it took where a person is reading.
async fn show(rows: Rows, output: &Output, start: Instant) -> Result<()> {
    let count = write(rows, output.format, (output.stdout)()).await?;
    if output.format.name == "table" {
        let rows = if count == 1 { "row" } else { "rows" };
        (output.remark)(&format!("{count} {rows} in {:.3} s", start.elapsed().as_secs_f64()));
    }
    Ok(())
}

/// Streams a result through a format; the number of rows read.
async fn write(mut rows: Rows, format: &Format, out: Out) -> Result<usize> {
    let mut sink: Box<dyn Sink> = format.open(out, rows.schema())?;
    let mut count = 0;
    while let Some(batch) = rows.next().await? {
        count += batch.num_rows();
        sink.write(&batch)?;
        if sink.is_full() {
            break;
        }
    }
    sink.finish()?.flush()?;
    Ok(count)
}

/// The one number that `COPY` and `INSERT` give.
fn count(batches: &[RecordBatch]) -> u64 {
    batches
        .iter()
        .filter(|b| b.num_columns() == 1 && b.column(0).data_type() == &DataType::UInt64)
        .flat_map(|b| b.column(0).as_primitive::<UInt64Type>().iter().flatten().collect::<Vec<_>>())
        .sum()
}
