// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a script's comments say about its statements: the titles of a page.
//!
//! The comment right above a statement is its own: the first line is the title, the others explain. The comment at the
//! head of the file, with an empty line or a PARAMETER below it, is the page's.

use std::path::Path;

use crate::error::Error;
use crate::sink::title_of;
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
        // What was typed is no file, and has no name.
        if page.title.is_empty() && Path::new(path).extension().is_some() {
            page.title = title_of(path);
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

/// Notes a statement that failed, so that the page of a script that goes on does not look whole.
pub(super) fn failed(one: &mut OneFile, text: &str, statement: &Statement, error: &Error) {
    let line = usize::try_from(statement.span.start.line).unwrap_or_default();
    let (title, _) = title(&above(text, line));
    let what = if title.is_empty() { format!("Line {line}") } else { title };
    let checks = one.page.as_mut().map_or(&mut one.checks, |page| &mut page.checks);
    checks.push((false, format!("{what} failed: {}", error.message)));
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

/// The comment lines right above a line, without their signs.
fn above(text: &str, line: usize) -> Vec<String> {
    let lines = comments(text);
    let before = lines.iter().take(line.saturating_sub(1)).rev();
    let mut found: Vec<String> = before.map_while(Clone::clone).collect();
    found.reverse();
    found.retain(|line| !line.starts_with("SPDX-"));
    found
}

/// The comment at the head of a file, unless it is the first statement's.
fn head(text: &str) -> Vec<String> {
    let first = text.lines().take_while(|line| line.trim().is_empty()).count();
    let mut found: Vec<String> =
        comments(text).iter().skip(first).map_while(Clone::clone).collect();
    let apart = text.lines().nth(first + found.len()).is_none_or(|line| {
        line.trim().is_empty() || line.trim_start().to_lowercase().starts_with("parameter")
    });
    found.retain(|line| apart && !line.starts_with("SPDX-"));
    found
}

/// The words of each line that is a comment and nothing else: `-- so`, or a line of `/* so */`.
fn comments(text: &str) -> Vec<Option<String>> {
    let mut within = false;
    let words = |line: &str| {
        let line = line.trim();
        let block = if within { Some(line) } else { line.strip_prefix("/*") };
        let Some(block) = block else { return Some(line.strip_prefix("--")?.trim().to_string()) };
        let (words, code) = block.split_once("*/").unwrap_or((block, ""));
        within = !block.contains("*/");
        code.trim().is_empty().then(|| words.trim().trim_start_matches('*').trim().to_string())
    };
    text.trim_start_matches('\u{feff}').lines().map(words).collect()
}

/// The first line and the rest; an empty line ends what is meant for readers, and a rule is no words.
fn title(comment: &[String]) -> (String, String) {
    let words = |line: &&String| line.is_empty() || line.chars().any(char::is_alphanumeric);
    let mut lines = comment.iter().filter(words).skip_while(|line| line.is_empty());
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
        assert_eq!(title(&head("\u{feff}-- A\r\n\r\nSELECT 1;\r\n")).0, "A");
    }

    #[test]
    fn blocks_are_comments_and_rules_are_no_titles() {
        let text = "/* The shop\n * each month. */\n\n-- =====\n-- Sales\n-- =====\n-- by month\nSELECT 1;\n\n/**\n * Best\n */\nSELECT 2; /* no */\nSELECT 3;";
        assert_eq!(title(&head(text)), ("The shop".into(), "each month.".into()));
        assert_eq!(title(&above(text, 8)), ("Sales".into(), "by month".into()));
        assert_eq!(title(&above(text, 13)), ("Best".into(), String::new()));
        assert_eq!(title(&above(text, 14)), (String::new(), String::new()));
        // Code behind the end is code.
        assert!(above("/* a\n b */ SELECT 1;\nSELECT 2;", 3).is_empty());
    }
}
