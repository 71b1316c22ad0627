// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! An error and the SQL it came from → text with a caret, notes and hints. Pure text: nothing here prints.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use datafusion::common::{Location, Span};

use crate::error::Error;

/// Draws the error over the text it came from. `path` names the text (`script.sql`, or `sql` for what was typed).
pub fn render(error: &Error, sql: &str, path: &str) -> String {
    draw(error, sql, path, Renderer::plain())
}

/// The same in colours, for a terminal.
pub fn paint(error: &Error, sql: &str, path: &str) -> String {
    draw(error, sql, path, Renderer::styled())
}

fn draw(error: &Error, sql: &str, path: &str, renderer: Renderer) -> String {
    let mut report = vec![];
    let title = Level::ERROR.primary_title(error.message.as_str());
    let sql = &without_passwords(sql);
    let group = match error.span.and_then(|span| byte_range(sql, span)) {
        Some(range) => title.element(
            Snippet::source(sql).path(path).annotation(AnnotationKind::Primary.span(range)),
        ),
        None => annotate_snippets::Group::with_title(title),
    };
    let group =
        error.notes.iter().fold(group, |g, note| g.element(Level::NOTE.message(note.as_str())));
    report.push(
        error
            .hints
            .iter()
            .fold(group, |g, hint| g.element(Level::HELP.with_name("hint").message(hint.as_str()))),
    );
    renderer.render(&report)
}

/// A text in which a star stands for each character of an address's `user:password`.
pub(crate) fn without_passwords(text: &str) -> String {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let word = after.split(['\'', '"', ' ', '\t', '\n']).next().unwrap_or_default();
        // A password may hold a slash; a port is none, and a key may hold an `@` too.
        let is_port = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let secret = word.rsplit_once('@').map(|(secret, _)| secret).filter(|secret| {
            secret.split_once(':').is_some_and(|(user, password)| {
                !user.contains('/') && !password.split_once('/').is_some_and(|(p, _)| is_port(p))
            })
        });
        let secret = secret.unwrap_or_default();
        shown.extend(secret.chars().map(|_| '*'));
        rest = &after[secret.len()..];
    }
    shown + rest
}

/// Finds the place at the end of one of sqlparser's messages (`… at Line: 1, Column: 8`) and takes it off.
pub fn parser_place(message: &str) -> (String, Option<Span>) {
    let message = message.trim_start_matches("sql parser error: ");
    let Some((words, place)) = message.rsplit_once(" at Line: ") else {
        return (message.to_string(), None);
    };
    let numbers: Vec<u64> = place
        .split(|c: char| !c.is_ascii_digit())
        .filter(|s| !s.is_empty())
        .filter_map(|s| s.parse().ok())
        .collect();
    match numbers.as_slice() {
        [line, column, ..] => {
            let at = Location { line: *line, column: *column };
            (words.to_string(), Some(Span { start: at, end: at }))
        }
        _ => (message.to_string(), None),
    }
}

/// The names nearest to a misspelt one, best first, at most three; none when nothing is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = candidates
        .into_iter()
        .filter(|c| *c != name)
        .map(|c| {
            let found = c.to_lowercase();
            let contains =
                !wanted.is_empty() && (found.contains(&wanted) || wanted.contains(&found));
            let score = strsim::normalized_damerau_levenshtein(&wanted, &found);
            (if contains && wanted.len().min(found.len()) >= 3 { score.max(0.7) } else { score }, c)
        })
        .filter(|(score, _)| *score >= 0.6)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(3).map(|(_, c)| c.to_string()).collect()
}

/// `` `a` ``, `` `a` or `b` ``, `` `a`, `b` or `c` ``.
pub fn or_list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<String> = most.iter().map(|n| format!("`{n}`")).collect();
            format!("{} or `{last}`", most.join(", "))
        }
    }
}

/// The part of a text that a place covers.
pub fn cut(sql: &str, span: Span) -> &str {
    let start = byte_offset(sql, span.start).unwrap_or(0);
    let end = byte_offset(sql, span.end).unwrap_or(sql.len());
    sql.get(start..end.max(start)).unwrap_or(sql)
}

/// The text from a place on.
pub(crate) fn from(sql: &str, start: Location) -> Option<&str> {
    sql.get(byte_offset(sql, start)?..)
}

/// SQL places count lines and characters from one; the drawing wants bytes.
fn byte_range(sql: &str, span: Span) -> Option<std::ops::Range<usize>> {
    let start = byte_offset(sql, span.start)?;
    let end = byte_offset(sql, span.end).unwrap_or(start);
    // A place without length is drawn as one caret, over the whole character.
    let one = sql[start..].chars().next().map_or(0, char::len_utf8);
    Some(start..end.max(start + one))
}

fn byte_offset(sql: &str, at: Location) -> Option<usize> {
    let line = usize::try_from(at.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let start = sql.split_inclusive('\n').take(line).map(str::len).sum::<usize>();
    let rest = sql.get(start..)?;
    let within = rest.char_indices().nth(column).map_or(rest.len(), |(offset, _)| offset);
    Some(start + within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(line: u64, from: u64, to: u64) -> Option<Span> {
        Some(Span { start: Location { line, column: from }, end: Location { line, column: to } })
    }

    #[test]
    fn the_caret_stands_under_the_place_also_after_accents() {
        let text = render(
            &Error::query("no such table").at(span(2, 11, 15)).hint("try x"),
            "-- é\nfrom 'été' nope",
            "sql",
        );
        assert!(
            text.contains("no such table") && text.contains("^^^^") && text.contains("hint: try x"),
            "{text}"
        );
        assert!(text.lines().any(|l| l.ends_with("          ^^^^")), "{text}");
    }

    #[test]
    fn a_password_in_an_address_is_not_drawn() {
        for (sql, shown) in [
            ("FROM 's3://mé:pw@b/x' t", "FROM 's3://*****@b/x' t"),
            ("'s3://me:p/w@b', 's3://b/a@b.csv'", "'s3://******@b', 's3://b/a@b.csv'"),
            ("'http://host:80/a@b.csv'", "'http://host:80/a@b.csv'"),
            ("'abfss://box@account/a'", "'abfss://box@account/a'"),
        ] {
            assert_eq!(without_passwords(sql), shown);
        }
    }

    #[test]
    fn a_place_past_the_end_does_not_panic() {
        for (line, column) in [(1, 99), (9, 9), (0, 0)] {
            render(&Error::query("x").at(span(line, column, column)), "select 1", "sql");
        }
    }

    #[test]
    fn the_parser_place_is_read_and_removed() {
        let (words, place) =
            parser_place("sql parser error: Expected: ), found: EOF at Line: 3, Column: 7");
        assert_eq!((words.as_str(), place), ("Expected: ), found: EOF", span(3, 7, 7)));
    }

    #[test]
    fn near_names_come_best_first() {
        assert_eq!(
            nearest("rfm_scor", ["rfm_score", "rfm_score_checks", "pareto"])[0],
            "rfm_score"
        );
        assert!(nearest("zzz", ["rfm_score", "pareto"]).is_empty());
    }
}
