// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A file of statements and commands → its parts in order.

use super::command;
use crate::statement::is_complete;

#[derive(Debug, PartialEq)]
pub(super) enum Part {
    /// Statements, behind as many empty lines as stand before them, so that their places are those of the file.
    Sql(String),
    Command(String),
}

/// A command is a line of its own, where a statement could begin.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut parts = vec![];
    let mut sql = String::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is_command = line.trim_start().starts_with(['\\', '.']) && command::is_command(line);
        if is_command && is_complete(&sql) {
            flush(&mut parts, std::mem::take(&mut sql));
            parts.push(Part::Command(line.trim().to_string()));
            sql = "\n".repeat(number + 1);
        } else {
            sql.push_str(line);
        }
    }
    flush(&mut parts, sql);
    parts
}

/// True when nothing more needs to be typed: the text ends with a command or a whole statement.
pub(super) fn is_whole(text: &str) -> bool {
    match parts(text).last() {
        Some(Part::Sql(sql)) => command::is_command(sql) || is_complete(sql),
        Some(Part::Command(_)) | None => true,
    }
}

fn flush(parts: &mut Vec<Part>, sql: String) {
    if !sql.trim().is_empty() {
        parts.push(Part::Sql(sql));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_between_statements_and_never_within_one() {
        let text = "\\timing off\nSELECT 'a\n\\tables';\n.mode csv\nSELECT 2;";
        let sql = |text: &str| Part::Sql(text.into());
        let command = |text: &str| Part::Command(text.into());
        assert_eq!(
            parts(text),
            [
                command("\\timing off"),
                sql("\nSELECT 'a\n\\tables';\n"),
                command(".mode csv"),
                sql("\n\n\n\nSELECT 2;")
            ]
        );
        assert_eq!(parts("SELECT 1"), [sql("SELECT 1")]);
        assert_eq!(parts("\n\n"), []);
    }

    #[test]
    fn a_command_or_a_semicolon_ends_what_is_typed() {
        for text in ["\\timing off", "quit", "SELECT 1;\n\\timing off", "\\timing\nSELECT 1;", ""] {
            assert!(is_whole(text), "{text}");
        }
        for text in ["SELECT 1", "\\timing off\nSELECT 1", "SELECT '\n\\timing"] {
            assert!(!is_whole(text), "{text}");
        }
    }
}
