// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Door 1: run a text, from a file or from `-c`. The whole text is parsed before anything runs.

pub(crate) mod bind;
mod comment;
pub mod job;
pub mod report;
pub mod state;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, UInt64Type};
use futures::future::LocalBoxFuture;

use crate::catalog::store;
use crate::diagnostic;
use crate::engine::{Engine, Outcome};
use crate::error::{Error, Kind, Result, from_io};
use crate::execute::Rows;
use crate::sink::{
    Format, Out, Output as Written, Page, Published, Section, Sink, StagedFile, title_of,
};
use crate::statement::{Assertion, Demand, Severity, Statement, Values, parameters, parse_with};

/// A text without the mark that Windows puts in front of UTF-8.
pub fn unmarked(mut text: String) -> String {
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    text
}

/// Where results and remarks go.
pub struct Output {
    /// How rows are written.
    pub format: &'static Format,
    /// The file that takes the one result, instead of the standard output.
    pub file: Option<PathBuf>,
    /// Opens the standard output.
    pub stdout: fn() -> Out,
    /// Whether nobody reads the standard output any more, as after `head`.
    pub closed: fn() -> bool,
    /// Takes remarks that are not data.
    pub remark: fn(&str),
}

impl Output {
    /// True when one page takes every result.
    fn is_page(&self) -> bool {
        self.format.name == "html"
    }

    /// Whether there is room for one result only.
    fn takes_one(&self) -> bool {
        !self.is_page() && (self.file.is_some() || self.format.binary)
    }

    fn second(&self) -> Error {
        let taker = match self.file {
            Some(_) => "`--output`".to_string(),
            None => format!("`--format {}`", self.format.name),
        };
        Error::usage(format!("{taker} takes one result, and this is the second"))
            .hint("write each with `COPY (…) TO 'file'`")
    }
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
    fn new(error: Error, text: &str, path: &str) -> Self {
        Self { error, text: text.to_string(), path: path.to_string() }
    }

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
        let failed = |error| Failure::new(error, text, path);
        let (mut one, checking) = (OneFile::default(), Checking::default());
        let declared = parameters(text).map_err(failed)?;
        let values = bind::values(engine, &declared, &Values::new()).await.map_err(failed)?;
        let statements = parse_with(text, &values).map_err(failed)?;
        if let Some(second) = statements.iter().filter(|s| s.is_query()).nth(1)
            && output.takes_one()
        {
            return Err(failed(output.second().at(Some(second.span))));
        }
        for statement in statements {
            let ran = run_one(engine, &statement, output, &mut one, &checking);
            // An error that knows no place of its own is at least in this statement.
            let ran = ran.await.map_err(|e| failed(e.at_least(statement.span)))?;
            comment::told(&mut one, text, path, &statement, ran.doubt.as_deref());
            if let Some(doubt) = &ran.doubt {
                let (error, shown) = doubt.as_ref();
                if ran.blocks {
                    (output.remark)(shown.trim_end());
                    return Err(failed(error.clone()));
                }
                (output.remark)(&warning(error, path));
                (output.remark)(shown.trim_end());
            }
        }
        one.finish(output).map_err(failed)?;
        one.appear(engine, output).await.map(drop).map_err(failed)
    })
}

/// What a statement came to.
#[derive(Default)]
struct Ran {
    /// The rows it gave or wrote.
    rows: Option<u64>,
    /// The bytes it wrote to files.
    bytes: u64,
    /// What has appeared by it.
    published: Vec<Published>,
    /// What an assertion found wrong, and the first failing rows as a table.
    doubt: Option<Box<(Error, String)>>,
    /// Whether that ends the script.
    blocks: bool,
}

/// What to do with rows that fail an assertion.
struct Checking {
    /// How many are shown.
    show: usize,
    /// Where all of them are kept.
    store: Option<PathBuf>,
}

impl Default for Checking {
    fn default() -> Self {
        Self { show: 10, store: None }
    }
}

/// The one result that `--output` takes.
#[derive(Default)]
struct OneFile {
    file: Option<StagedFile>,
    /// It has been given, by this run or the last one.
    given: bool,
    /// The page that takes every result.
    page: Option<Page>,
    /// What was checked before it began.
    checks: Vec<(bool, String)>,
}

impl OneFile {
    /// Writes the page of all results; an error when no statement gave rows for the file.
    fn finish(&mut self, output: &Output) -> Result<()> {
        match (self.page.take(), &output.file) {
            (Some(mut page), Some(path)) => {
                if page.title.is_empty() {
                    page.title = title_of(path);
                }
                let mut file = staged(path)?;
                file.write_all(page.html().as_bytes())?;
                self.file = Some(file);
            }
            (Some(page), None) => {
                let mut out = (output.stdout)();
                out.write_all(page.html().as_bytes())?;
                out.flush()?;
            }
            (None, _) => {}
        }
        match &output.file {
            Some(path) if !self.given && self.file.is_none() => Err(no_rows_for(path)),
            _ => Ok(()),
        }
    }

    /// Lets the file appear as what a `COPY` writes does: at once, or with all others.
    async fn appear(&mut self, engine: &Engine, output: &Output) -> Result<Vec<Published>> {
        let (Some(file), Some(path)) = (self.file.take(), &output.file) else { return Ok(vec![]) };
        self.given = true;
        engine.may_write(path)?;
        let written = match store::is_remote(&path.to_string_lossy()) {
            true => Written::Sent { file, path: path.clone() },
            false => Written::File(file),
        };
        match engine.held() {
            Some(held) => held.add([written]).map(|()| vec![]),
            None => crate::sink::publish(vec![written]).await,
        }
    }
}

async fn run_one(
    engine: &Engine,
    statement: &Statement,
    output: &Output,
    one: &mut OneFile,
    checking: &Checking,
) -> Result<Ran> {
    if let Some(assertion) = &statement.assertion {
        return assert(engine, statement, assertion, checking).await;
    }
    let start = Instant::now();
    match engine.run(statement).await? {
        Outcome::Done => Ok(Ran::default()),
        Outcome::Written(mut rows) => {
            let mut batches = vec![];
            while let Some(batch) = rows.next().await? {
                batches.push(batch);
            }
            let count = count(&batches);
            let unit = if count == 1 { "row" } else { "rows" };
            (output.remark)(&format!("{count} {unit} written"));
            let published = rows.published().to_vec();
            Ok(Ran { rows: Some(count), bytes: rows.bytes(), published, ..Ran::default() })
        }
        Outcome::Rows(rows) => match &output.file {
            _ if output.is_page() => {
                let mut rows = rows;
                let mut section = Section::new(rows.schema());
                let mut count = 0;
                while let Some(batch) = rows.next().await? {
                    count += batch.num_rows() as u64;
                    section.add(&batch)?;
                }
                section.sql.clone_from(&statement.text);
                one.page.get_or_insert_default().sections.push(section);
                Ok(Ran { rows: Some(count), ..Ran::default() })
            }
            None if output.format.binary && std::mem::replace(&mut one.given, true) => {
                Err(output.second())
            }
            None => {
                let count = show(rows, output, start).await?;
                Ok(Ran { rows: Some(count as u64), ..Ran::default() })
            }
            Some(_) if one.given || one.file.is_some() => Err(output.second()),
            Some(file) => {
                let file = staged(file)?;
                let disk = Disk { file: file.file().try_clone()?, failure: Arc::default() };
                let failure = Arc::clone(&disk.failure);
                let out: Out = Box::new(BufWriter::new(disk));
                let written = write(rows, output.format, out, || false).await;
                let count = written.map_err(|error| {
                    match failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                        Some(failure) => from_io(&failure, Kind::Query).context("cannot write"),
                        None => error,
                    }
                })?;
                let ran = Ran { rows: Some(count as u64), bytes: file.bytes(), ..Ran::default() };
                one.file = Some(file);
                Ok(ran)
            }
        },
    }
}

/// A file that remembers why it could not be written, which formats put into words of theirs.
struct Disk {
    file: File,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| {
            let same =
                error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error);
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(same);
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn no_rows_for(path: &Path) -> Error {
    Error::usage(format!("no statement gave rows for `{}`", path.display()))
}

/// A file that will be there, or elsewhere.
fn staged(path: &Path) -> Result<StagedFile> {
    match store::is_remote(&path.to_string_lossy()) {
        true => StagedFile::create_to_send(),
        false => StagedFile::create(path),
    }
}

async fn assert(
    engine: &Engine,
    statement: &Statement,
    assertion: &Assertion,
    checking: &Checking,
) -> Result<Ran> {
    let checked =
        engine.check(statement, assertion, checking.show, checking.store.as_deref()).await?;
    let rows = Some(checked.failing);
    let Some(mut error) = checked.failure(statement, assertion) else {
        return Ok(Ran { rows, ..Ran::default() });
    };
    let kept: usize = checked.shown.iter().map(RecordBatch::num_rows).sum();
    let mut shown = String::new();
    if kept > 0 {
        shown = arrow::util::pretty::pretty_format_batches(&checked.shown)?.to_string();
        if (kept as u64) < checked.failing {
            shown.push_str(&format!("\nthe first {kept} of {} failing rows", checked.failing));
        }
    }
    if let Some(store) = &checking.store
        && assertion.demand == Demand::NoRows
    {
        error = error.note(format!("the failing rows are in `{}`", store.display()));
    }
    let blocks = assertion.severity == Severity::Error;
    Ok(Ran { rows, doubt: Some(Box::new((error, shown))), blocks, ..Ran::default() })
}

/// A failed assertion that does not stop the script.
fn warning(error: &Error, path: &str) -> String {
    let place =
        error.span.map_or(String::new(), |s| format!(":{}:{}", s.start.line, s.start.column));
    let notes: Vec<String> = error.notes.iter().map(|n| format!("; {n}")).collect();
    format!("warning: {}{} ({path}{place})", error.message, notes.concat())
}

/// Writes a result to the standard output, and says how long it took where a person is reading.
async fn show(rows: Rows, output: &Output, start: Instant) -> Result<usize> {
    let count = write(rows, output.format, (output.stdout)(), output.closed).await?;
    if output.format.name == "table" {
        let rows = if count == 1 { "row" } else { "rows" };
        (output.remark)(&format!("{count} {rows} in {:.3} s", start.elapsed().as_secs_f64()));
    }
    Ok(count)
}

/// Streams a result through a format, until its end or until nobody reads it; the number of rows read.
async fn write(
    mut rows: Rows,
    format: &Format,
    out: Out,
    closed: impl Fn() -> bool,
) -> Result<usize> {
    let mut sink: Box<dyn Sink> = format.open(out, rows.schema())?;
    let mut count = 0;
    while let Some(batch) = rows.next().await? {
        count += batch.num_rows();
        sink.write(&batch)?;
        if closed() {
            break;
        }
    }
    sink.finish()?.flush()?;
    Ok(count)
}

/// The one number that `COPY` and `INSERT` give.
pub(crate) fn count(batches: &[RecordBatch]) -> u64 {
    batches
        .iter()
        .filter(|b| b.num_columns() == 1 && b.column(0).data_type() == &DataType::UInt64)
        .flat_map(|b| b.column(0).as_primitive::<UInt64Type>().iter().flatten().collect::<Vec<_>>())
        .sum()
}
