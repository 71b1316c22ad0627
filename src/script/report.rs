// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a job did, for machines: JSON, JUnit's XML, and GitHub's annotations and summary.

use datafusion::common::Span;
use serde_json::{Value, json};

use crate::diagnostic::without_passwords;
use crate::error::{Error, Kind};
use crate::sink::Published;

mod github;
mod junit;

/// What a job did.
#[derive(Debug, Default)]
pub struct Report {
    /// One for each statement, in order.
    pub entries: Vec<Entry>,
    /// The outputs that appeared, each with its statement or all at the end.
    pub published: Vec<Published>,
    /// The kind of the first failure, or that the job was interrupted.
    pub failure: Option<Kind>,
}

/// What GitHub is told to wait for before it obeys again: nobody can guess it, so no value can say it.
pub fn stop_token() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::query(format!("no randomness: {e}")))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// How a statement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Well.
    Passed,
    /// With a doubt that does not stop the job.
    Warned,
    /// With an error, or an assertion that does not hold.
    Failed,
    /// It was not run.
    Skipped,
}

impl Status {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Status::Passed => "passed",
            Status::Warned => "warned",
            Status::Failed => "failed",
            Status::Skipped => "skipped",
        }
    }
}

/// One statement.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The file.
    pub path: String,
    /// The place in it.
    pub span: Option<Span>,
    /// The statement's own text.
    pub text: String,
    /// True for an `ASSERT`.
    pub assertion: bool,
    /// How it ended.
    pub status: Status,
    /// Why, unless it ended well.
    pub message: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// The rows it gave or wrote; of an assertion, those that fail.
    pub rows: Option<u64>,
    /// The bytes it wrote to files.
    pub bytes: u64,
    /// The most memory that its operators held, in bytes.
    pub peak_memory: u64,
}

impl Entry {
    pub(super) fn new(path: &str, span: Option<Span>, text: &str) -> Self {
        Self {
            path: path.to_string(),
            span,
            text: without_passwords(text),
            assertion: false,
            status: Status::Passed,
            message: None,
            seconds: 0.0,
            rows: None,
            bytes: 0,
            peak_memory: 0,
        }
    }

    pub(super) fn fail(&mut self, error: &Error) {
        self.status = Status::Failed;
        // A more precise place within the statement is the better one to point at.
        self.span = error.span.or(self.span);
        let notes = error.notes.iter().chain(&error.hints);
        let words: Vec<&str> =
            std::iter::once(&error.message).chain(notes).map(String::as_str).collect();
        self.message = Some(words.join("; "));
    }

    /// The statement's first line, cut to what fits a list.
    fn title(&self) -> String {
        let line = self.text.lines().next().unwrap_or_default();
        match line.char_indices().nth(80) {
            Some((cut, _)) => format!("{}…", &line[..cut]),
            None => line.to_string(),
        }
    }

    fn line(&self) -> u64 {
        self.span.map_or(1, |s| s.start.line)
    }
}

impl Report {
    /// Of a job that could not begin.
    pub fn of_failure(path: &str, error: &Error) -> Self {
        let mut report = Self::default();
        let mut entry = Entry::new(path, error.span, "");
        entry.fail(error);
        report.add(entry, Some(error.kind));
        report
    }

    pub(super) fn add(&mut self, entry: Entry, failure: Option<Kind>) {
        match failure {
            // Whoever stops a job hears that it was stopped, whatever failed before.
            Some(Kind::Interrupted) => self.failure = failure,
            _ => self.failure = self.failure.or(failure),
        }
        self.entries.push(entry);
    }

    pub(super) fn interrupted(&self) -> bool {
        self.failure == Some(Kind::Interrupted)
    }

    /// The exit code of the job: that of its first failure, unless it was interrupted.
    pub fn exit_code(&self) -> u8 {
        self.failure.map_or(0, Kind::exit_code)
    }

    /// The whole report as JSON.
    pub fn json(&self) -> String {
        let place = |span: Option<Span>| {
            span.map(|s| {
                json!({
                    "line": s.start.line, "column": s.start.column,
                    "end_line": s.end.line, "end_column": s.end.column,
                })
            })
        };
        let statements: Vec<Value> = self
            .entries
            .iter()
            .map(|e| {
                json!({
                    "file": e.path, "place": place(e.span), "statement": e.text,
                    "kind": if e.assertion { "assertion" } else { "statement" },
                    "status": e.status.name(), "message": e.message, "seconds": e.seconds,
                    "rows": e.rows, "bytes": e.bytes, "peak_memory_bytes": e.peak_memory,
                })
            })
            .collect();
        let published: Vec<Value> = self
            .published
            .iter()
            .map(|p| json!({"path": p.path.display().to_string(), "bytes": p.bytes}))
            .collect();
        let report = json!({
            "comptoir": env!("CARGO_PKG_VERSION"),
            "exit_code": self.exit_code(),
            "statements": statements,
            "published": published,
        });
        format!("{report:#}\n")
    }

    /// The report as JUnit's XML: a suite a file, a case a statement.
    pub fn junit(&self) -> String {
        junit::xml(self)
    }

    /// GitHub's workflow commands: what failed and what is doubtful, at its place.
    pub fn annotations(&self) -> Vec<String> {
        github::annotations(self)
    }

    /// GitHub's step summary, in markdown.
    pub fn summary(&self) -> String {
        github::summary(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_keeps_no_password() {
        let entry = Entry::new("a.sql", None, "SELECT * FROM 's3://k:secret@shop/a.csv'");
        assert_eq!(entry.text, "SELECT * FROM 's3://********@shop/a.csv'");
    }
}
