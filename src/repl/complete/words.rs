// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a completion can be, and which of them fit the word under the cursor.

use std::path::Path;

use crate::repl::lex::{self, lex};

/// One thing that could be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) value: String,
    pub(super) about: String,
    /// Whether a space follows.
    pub(super) space: bool,
}

impl Candidate {
    pub(super) fn new(value: impl Into<String>, about: impl Into<String>) -> Self {
        Self { value: value.into(), about: about.into(), space: false }
    }

    pub(super) fn spaced(self) -> Self {
        Self { space: true, ..self }
    }
}

/// Those that begin with the word, group by group; when none does, those that contain it.
pub(super) fn fitting(word: &str, groups: Vec<Vec<Candidate>>) -> Vec<Candidate> {
    let word = word.to_lowercase();
    let key = |c: &Candidate| c.value.trim_start_matches(['"', '\'']).to_lowercase();
    let all = || groups.iter().flatten();
    let begins: Vec<Candidate> = all().filter(|c| key(c).starts_with(&word)).cloned().collect();
    if !begins.is_empty() || word.len() < 2 {
        return begins;
    }
    all().filter(|c| key(c).contains(&word)).cloned().collect()
}

/// Keywords in the case in which the person types.
pub(super) fn keywords(words: &[&str], typed: &str) -> Vec<Candidate> {
    let lower = typed.chars().any(char::is_lowercase);
    let word = |w: &&str| if lower { w.to_lowercase() } else { w.to_string() };
    words.iter().map(|w| Candidate::new(word(w), "").spaced()).collect()
}

/// The entries of a folder that a path could mean. A file ends the quote that it stands in, and begins one where it
/// must.
pub(super) fn files(path: &str, in_quotes: bool) -> Vec<Candidate> {
    let typed = if in_quotes { path.replace("''", "'") } else { path.to_string() };
    let path = typed.as_str();
    let (folder, begin) = path.rsplit_once('/').map_or(("", path), |(f, b)| (f, b));
    let within = match (folder, path.starts_with('/')) {
        ("", true) => "/".to_string(),
        ("", false) => ".".to_string(),
        _ => folder.to_string(),
    };
    let Ok(entries) = std::fs::read_dir(Path::new(&within)) else { return vec![] };
    let mut found: Vec<Candidate> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let is_hidden = name.starts_with('.') && !begin.starts_with('.');
            if is_hidden || !name.starts_with(begin) {
                return None;
            }
            let stem = &path[..path.len() - begin.len()];
            let is_folder = entry.path().is_dir();
            let slash = if is_folder { "/" } else { "" };
            let whole = format!("{stem}{name}{slash}");
            let must = whole.contains(|c: char| c.is_whitespace() || matches!(c, '\'' | '"'));
            let begin = if must && !in_quotes { "'" } else { "" };
            let end = if (must || in_quotes) && !is_folder { "'" } else { "" };
            let written = if must || in_quotes { whole.replace('\'', "''") } else { whole };
            let about = if is_folder { "folder" } else { "" };
            Some(Candidate::new(format!("{begin}{written}{end}"), about))
        })
        .collect();
    found.sort_by(|a, b| a.value.cmp(&b.value));
    found
}

/// A name as SQL must write it.
pub(super) fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !lex(name).0.iter().any(lex::is_keyword);
    if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A table's name, which may have a schema.
pub(super) fn dotted(name: &str) -> String {
    name.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

pub(super) const STARTS: &[&str] = &[
    "SELECT",
    "WITH",
    "FROM",
    "EXPLAIN",
    "EXPLAIN ANALYZE",
    "DESCRIBE",
    "SHOW TABLES",
    "SHOW FUNCTIONS",
    "COPY",
    "CREATE TABLE",
    "CREATE VIEW",
    "CREATE EXTERNAL TABLE",
    "CREATE MACRO",
    "CREATE OR REPLACE",
    "DROP TABLE",
    "DROP VIEW",
    "INSERT INTO",
    "ASSERT",
    "ASSERT NO ROWS IN",
    "PARAMETER",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "SET",
    "VALUES",
];

pub(super) const WORDS: &[&str] = &[
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "LEFT JOIN",
    "RIGHT JOIN",
    "FULL JOIN",
    "CROSS JOIN",
    "INNER JOIN",
    "OUTER JOIN",
    "ANTI JOIN",
    "SEMI JOIN",
    "LEFT ANTI JOIN",
    "LEFT SEMI JOIN",
    "ON",
    "USING",
    "AS",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS NULL",
    "IS NOT NULL",
    "LIKE",
    "ILIKE",
    "BETWEEN",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "ASC",
    "DESC",
    "NULLS FIRST",
    "NULLS LAST",
    "UNION ALL",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "OVER",
    "FILTER",
    "QUALIFY",
    "BY",
    "PARTITION BY",
    "TO",
    "STORED AS",
    "LOCATION",
    "OPTIONS",
    "SELECT",
    "VALUES",
    "SET",
    "TABLE",
    "VIEW",
    "MACRO",
    "EXTERNAL TABLE",
    "OR REPLACE",
    "IF EXISTS",
    "IF NOT EXISTS",
    "INTO",
    "TABLES",
    "FUNCTIONS",
    "SEVERITY WARN",
    "MESSAGE",
    "DEFAULT",
    "AS TABLE",
];

pub(super) const IN_EXPRESSIONS: &[&str] = &[
    "CASE",
    "CAST",
    "DISTINCT",
    "EXISTS",
    "FALSE",
    "INTERVAL",
    "NOT",
    "NULL",
    "TRUE",
    "DATE",
    "TIMESTAMP",
    "EXTRACT",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_only_when_they_must_be() {
        for (name, written) in [
            ("net", "net"),
            ("Net", "\"Net\""),
            ("a b", "\"a b\""),
            ("order", "\"order\""),
            ("1a", "\"1a\""),
        ] {
            assert_eq!(quoted(name), written);
        }
    }
}
