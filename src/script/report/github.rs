// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! GitHub Actions: annotations at the lines of the script, and a summary of the step.

use std::fmt::Write;

use super::{Entry, Report, Status};

/// A summary may hold a mebibyte; this many rows stay well below it.
const ROWS: usize = 500;

pub(super) fn annotations(report: &Report) -> Vec<String> {
    report.entries.iter().filter_map(annotation).collect()
}

fn annotation(entry: &Entry) -> Option<String> {
    let command = match entry.status {
        Status::Failed => "error",
        Status::Warned => "warning",
        Status::Passed | Status::Skipped => return None,
    };
    let mut place = format!("file={}", property(&entry.path));
    if let Some(span) = entry.span {
        let _ = write!(place, ",line={},endLine={}", span.start.line, span.end.line);
        // GitHub takes columns only within one line.
        if span.start.line == span.end.line {
            let _ = write!(place, ",col={},endColumn={}", span.start.column, span.end.column);
        }
    }
    let title = if entry.assertion { "Assertion failed" } else { "Statement failed" };
    let message = data(entry.message.as_deref().unwrap_or_default());
    Some(format!("::{command} {place},title={title}::{message}"))
}

pub(super) fn summary(report: &Report) -> String {
    let count = |status| report.entries.iter().filter(|e| e.status == status).count();
    let mut text = format!(
        "### Comptoir: {}\n\n{} passed, {} warned, {} failed, {} skipped\n\n",
        if report.failure.is_some() { "failed" } else { "passed" },
        count(Status::Passed),
        count(Status::Warned),
        count(Status::Failed),
        count(Status::Skipped)
    );
    text.push_str("| status | place | statement | rows | seconds | message |\n");
    text.push_str("| --- | --- | --- | ---: | ---: | --- |\n");
    // What needs attention first, should not all of it fit.
    let mut entries: Vec<&Entry> = report.entries.iter().collect();
    if entries.len() > ROWS {
        entries.sort_by_key(|e| matches!(e.status, Status::Passed | Status::Skipped));
        entries.truncate(ROWS);
    }
    for entry in entries {
        let rows = entry.rows.map_or(String::new(), |r| r.to_string());
        let _ = writeln!(
            text,
            "| {} | {}:{} | `{}` | {rows} | {:.3} | {} |",
            entry.status.name(),
            cell(&entry.path),
            entry.line(),
            code(&entry.title()),
            entry.seconds,
            cell(entry.message.as_deref().unwrap_or_default())
        );
    }
    if report.entries.len() > ROWS {
        let _ = writeln!(text, "\n{} of {} statements", ROWS, report.entries.len());
    }
    for published in &report.published {
        let _ =
            writeln!(text, "\npublished `{}`, {} bytes", published.path.display(), published.bytes);
    }
    text
}

fn cell(text: &str) -> String {
    let short: String = text.chars().take(300).collect();
    short.replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}

/// Within backticks markdown shows `<` as it stands.
fn code(text: &str) -> String {
    text.replace('|', "\\|").replace('`', "'").replace(['\n', '\r'], " ")
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use datafusion::common::{Location, Span};

    use super::*;

    #[test]
    fn a_title_is_code_and_a_message_is_not() {
        let mut entry = Entry::new("a.sql", None, "ASSERT `a` < 5 | 1");
        entry.message = Some("<b>".into());
        let report = Report { entries: vec![entry], ..Report::default() };
        let summary = summary(&report);
        assert!(summary.contains(r"| `ASSERT 'a' < 5 \| 1` |"), "{summary}");
        assert!(summary.contains("&lt;b>"), "{summary}");
    }

    #[test]
    fn an_annotation_is_one_line_at_its_place() {
        let at = |line, column| Location { line, column };
        let mut entry =
            Entry::new("a,b:c.sql", Some(Span { start: at(3, 1), end: at(3, 9) }), "SELECT 1");
        assert_eq!(annotation(&entry), None);
        entry.status = Status::Failed;
        entry.message = Some("50% wrong\nreally".into());
        assert_eq!(
            annotation(&entry).as_deref(),
            Some(
                "::error file=a%2Cb%3Ac.sql,line=3,endLine=3,col=1,endColumn=9,title=Statement failed::50%25 wrong%0Areally"
            )
        );
    }
}
