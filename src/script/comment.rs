// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a script's comments say about its statements: the titles of a page.
//!
//! The comment right above a statement is its own: the first line is the title, the others explain. The comment at the
//! head of the file, with an empty line or a PARAMETER below it, is the page's.

use std::path::Path;

use crate::error::Error;
use crate::statement::Statement;

use super::OneFile;

/// Gives the result of a statement that has just run its words, and notes what an assertion found.
pub(super) fn told(
    one: &mut OneFile,
    text: &str,
    path: &str,
    statement: &Statement,
    doubt: Option<&(Error, String)>,
) {
    let Some(page) = &mut one.page else {
        // A page begins with what was checked before its first result.
        if let Some(assertion) = &statement.assertion {
            one.checks.push(check(statement, assertion.message.as_deref(), doubt));
        }
        return;
    };
    page.checks.append(&mut one.checks);
    if page.title.is_empty() {
        let head = head(text);
        (page.title, page.about) = title(&head);
        if page.title.is_empty() {
            let stem = Path::new(path).file_stem().map(|s| s.to_string_lossy().replace('_', " "));
            page.title = stem.unwrap_or_default();
        }
    }
    match &statement.assertion {
        Some(assertion) => page.checks.push(check(statement, assertion.message.as_deref(), doubt)),
        None => {
            let line = usize::try_from(statement.span.start.line).unwrap_or_default();
            if let Some(section) = page.sections.last_mut()
                && section.title.is_empty()
                && section.sql == statement.text
            {
                (section.title, section.about) = title(&above(text, line));
            }
        }
    }
}

fn check(
    statement: &Statement,
    message: Option<&str>,
    doubt: Option<&(Error, String)>,
) -> (bool, String) {
    let words = message.map_or_else(
        || statement.text.split_whitespace().collect::<Vec<_>>().join(" "),
        |message| message.to_string(),
    );
    match doubt {
        // A message says what is wrong when it does not hold.
        None if message.is_some() => (true, format!("No finding: {words}")),
        None => (true, words),
        Some((error, _)) => (false, format!("{words}: {}", error.notes.join("; "))),
    }
}

/// The comment lines right above a line, without their dashes.
fn above(text: &str, line: usize) -> Vec<String> {
    let lines: Vec<&str> = text.lines().take(line.saturating_sub(1)).collect();
    let mut found: Vec<String> = lines.iter().rev().map_while(|line| comment(line)).collect();
    found.reverse();
    found.retain(|line| !line.starts_with("SPDX-"));
    found
}

/// The comment at the head of a file, unless it is the first statement's.
fn head(text: &str) -> Vec<String> {
    let mut lines = text.lines().skip_while(|line| line.trim().is_empty()).peekable();
    let mut found = vec![];
    while let Some(words) = lines.peek().and_then(|line| comment(line)) {
        found.push(words);
        lines.next();
    }
    let apart = lines.next().is_none_or(|line| {
        line.trim().is_empty() || line.trim_start().to_lowercase().starts_with("parameter")
    });
    found.retain(|line| apart && !line.starts_with("SPDX-"));
    found
}

fn comment(line: &str) -> Option<String> {
    line.trim().strip_prefix("--").map(|words| words.trim().to_string())
}

/// The first line and the rest; an empty line ends what is meant for readers.
fn title(comment: &[String]) -> (String, String) {
    let mut lines = comment.iter().skip_while(|line| line.is_empty());
    let title = lines.next().cloned().unwrap_or_default();
    // What is indented, or behind an empty line, shows how to run the script.
    let about: Vec<&str> = lines.take_while(|line| !line.is_empty()).map(String::as_str).collect();
    // `# Sales` is a title in other places, too.
    let title = title.trim_start_matches('#').trim_start().trim_end_matches('.');
    (title.to_string(), about.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_titles() {
        let text = "-- SPDX-License-Identifier: Apache-2.0\n--\n-- The shop.\n-- Each month.\n--\n--   comptoir run\n\nPARAMETER a INTEGER;\n\n-- Sales\n-- by month\nSELECT 1;\n\nSELECT 2;";
        assert_eq!(title(&head(text)), ("The shop".into(), "Each month.".into()));
        assert_eq!(title(&above(text, 12)), ("Sales".into(), "by month".into()));
        assert_eq!(title(&above(text, 14)), (String::new(), String::new()));
        assert!(head("-- Sales\nSELECT 1;").is_empty());
        assert_eq!(title(&head("-- ## A\nPARAMETER x INTEGER;")).0, "A");
    }
}
