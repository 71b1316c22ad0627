// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The relations whose columns are in sight at the cursor: those of the query around it, also when they come after it.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::repl::lex::{self, Piece, lex};

/// A relation of a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Relation {
    /// As it is written: a name, a 'file', a call, a subquery.
    pub(super) text: String,
    /// The name that its columns have before their dot.
    pub(super) alias: Option<String>,
}

/// The relations of the innermost query around the cursor, then those of the queries around it that it sees too.
pub(super) fn relations(text: &str, cursor: usize) -> Vec<Relation> {
    let pieces = tokens(text);
    let queries = queries_around(&pieces, cursor);
    queries.into_iter().rev().flat_map(|range| relations_of(text, &pieces[range])).collect()
}

fn relations_of(text: &str, pieces: &[Piece]) -> Vec<Relation> {
    let mut found = vec![];
    let mut in_from = false;
    let mut i = 0;
    while i < pieces.len() {
        let piece = &pieces[i];
        let after_distinct = i > 0 && pieces[i - 1].is(Keyword::DISTINCT);
        let is_into = piece.is(Keyword::INTO);
        if is_into || piece.is(Keyword::JOIN) || (piece.is(Keyword::FROM) && !after_distinct) {
            in_from = true;
        } else if lex::is_keyword(piece) {
            in_from = false;
        } else if !(in_from && piece.token == Token::Comma) {
            i = if piece.token == Token::LParen { closing(pieces, i) + 1 } else { i + 1 };
            continue;
        }
        i += 1;
        if in_from && let Some((relation, next)) = relation(text, pieces, i, !is_into) {
            found.push(relation);
            i = next;
        }
    }
    found
}

/// The names that the query around the cursor gives its columns, where they can be used: behind `BY`.
pub(super) fn aliases(text: &str, cursor: usize) -> Vec<String> {
    use Keyword::{BY, FROM, HAVING, LIMIT, QUALIFY, SELECT, WHERE};
    let pieces = tokens(text);
    let Some(range) = queries_around(&pieces, cursor).pop() else { return vec![] };
    let (mut names, mut clause, mut depth) = (vec![], None, 0);
    for i in range.filter(|i| pieces[*i].range.end <= cursor) {
        match pieces[i].token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ if depth > 0 => {}
            _ if clause == Some(SELECT) && pieces[i].is(Keyword::AS) => {
                names.extend(pieces.get(i + 1).and_then(Piece::name).map(str::to_string));
            }
            _ => {
                let clauses = [SELECT, FROM, WHERE, BY, HAVING, QUALIFY, LIMIT];
                clause = clauses.into_iter().find(|k| pieces[i].is(*k)).or(clause);
            }
        }
    }
    if clause == Some(BY) { names } else { vec![] }
}

/// The common table expressions that are complete before the cursor and in sight: their text, with `WITH`, and their
/// names; one that may read itself is named within itself too.
pub(super) fn with(text: &str, cursor: usize) -> (String, Vec<String>) {
    let pieces = tokens(text);
    let is = |i: usize, token: &Token| pieces.get(i).is_some_and(|p| p.token == *token);
    let is_word = |i: usize, keyword| pieces.get(i).is_some_and(|p| p.is(keyword));
    let (mut names, mut texts, mut recursive) = (vec![], vec![], "");
    for start in (0..pieces.len()).filter(|i| is_in_sight(&pieces, *i, cursor)) {
        let mut i = start + 1;
        if is_word(i, Keyword::RECURSIVE) {
            recursive = "RECURSIVE ";
            i += 1;
        }
        while let Some(name) = pieces.get(i).and_then(Piece::name) {
            let columns = is(i + 1, &Token::LParen);
            let between = if columns { closing(&pieces, i + 1) + 1 } else { i + 1 };
            let mut open = between + 1;
            while is_word(open, Keyword::NOT) || is_word(open, Keyword::MATERIALIZED) {
                open += 1;
            }
            if !is_word(between, Keyword::AS) || !is(open, &Token::LParen) {
                break;
            }
            let close = closing(&pieces, open);
            let Some(end) = pieces.get(close).map(|p| p.range.end).filter(|end| *end <= cursor)
            else {
                if !recursive.is_empty() && pieces[open].range.end <= cursor {
                    names.push(name.to_string());
                }
                break;
            };
            let head = &text[pieces[i].range.start..pieces[between].range.end];
            texts.push(format!("{head} {}", &text[pieces[open].range.start..end]));
            names.push(name.to_string());
            if !is(close + 1, &Token::Comma) {
                break;
            }
            i = close + 2;
        }
    }
    match texts.is_empty() {
        true => (String::new(), names),
        false => (format!("WITH {recursive}{}", texts.join(", ")), names),
    }
}

/// True for a `WITH` whose query goes on at the cursor.
fn is_in_sight(pieces: &[Piece], with: usize, cursor: usize) -> bool {
    let mut depth = 0;
    pieces[with].is(Keyword::WITH)
        && pieces[with..].iter().take_while(|p| p.range.end <= cursor).all(|p| {
            match p.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            depth >= 0
        })
}

fn tokens(text: &str) -> Vec<Piece> {
    let mut pieces = lex(text).0;
    pieces.retain(|p| !p.is_space());
    pieces
}

/// The tokens of the query that the cursor is in, the innermost last, after those of the queries whose rows it sees.
fn queries_around(pieces: &[Piece], cursor: usize) -> Vec<std::ops::Range<usize>> {
    let mut ranges = vec![branch(pieces, 0..pieces.len(), cursor)];
    for (i, piece) in pieces.iter().enumerate() {
        if piece.token != Token::LParen || piece.range.end > cursor {
            continue;
        }
        let close = closing(pieces, i);
        let is_around = pieces.get(close).is_none_or(|p| p.range.start >= cursor);
        let is_query = pieces.get(i + 1).is_some_and(|p| {
            [Keyword::SELECT, Keyword::WITH, Keyword::FROM].into_iter().any(|k| p.is(k))
        });
        if is_around && is_query {
            // What is read from stands by itself; a condition sees the row that it is asked of.
            let reads = [Keyword::FROM, Keyword::JOIN, Keyword::AS];
            let before = i.checked_sub(1).and_then(|i| pieces.get(i));
            if before.is_none_or(|p| reads.into_iter().any(|k| p.is(k))) {
                ranges.clear();
            }
            ranges.push(branch(pieces, i + 1..close.min(pieces.len()), cursor));
        }
    }
    ranges
}

/// The branches of a UNION read for themselves.
fn branch(
    pieces: &[Piece],
    mut range: std::ops::Range<usize>,
    cursor: usize,
) -> std::ops::Range<usize> {
    let cut = |p: &Piece| {
        [Keyword::UNION, Keyword::INTERSECT, Keyword::EXCEPT].into_iter().any(|k| p.is(k))
    };
    let mut depth = 0;
    for i in range.clone() {
        match pieces[i].token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ if depth == 0 && cut(&pieces[i]) && pieces[i].range.end <= cursor => {
                range.start = i + 1
            }
            _ if depth == 0 && cut(&pieces[i]) => return range.start..i,
            _ => {}
        }
    }
    range
}

/// The token that closes the parenthesis, or the end.
fn closing(pieces: &[Piece], open: usize) -> usize {
    let mut depth = 0;
    for (i, piece) in pieces.iter().enumerate().skip(open) {
        match piece.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i;
        }
    }
    pieces.len()
}

/// A relation at a place of the tokens, and the place after it. What is written to has columns in its parentheses, and
/// no arguments.
fn relation(
    text: &str,
    pieces: &[Piece],
    at: usize,
    may_be_call: bool,
) -> Option<(Relation, usize)> {
    let first = pieces.get(at)?;
    let mut name = None;
    let mut last = at;
    match &first.token {
        Token::LParen => last = closing(pieces, at),
        Token::SingleQuotedString(path) => name = stem(path),
        Token::Word(_) => {
            name = Some(first.name()?.to_string());
            while let Some([dot, part]) = pieces.get(last + 1..last + 3)
                && dot.token == Token::Period
            {
                name = part.name().map(str::to_string);
                last += 2;
            }
            if may_be_call && pieces.get(last + 1).is_some_and(|p| p.token == Token::LParen) {
                last = closing(pieces, last + 1);
            }
        }
        _ => return None,
    }
    let end = pieces.get(last)?.range.end;
    let mut next = last + 1;
    if pieces.get(next).is_some_and(|p| p.is(Keyword::AS)) {
        next += 1;
    }
    if let Some(alias) = pieces.get(next).and_then(Piece::name) {
        name = Some(alias.to_string());
        next += 1;
    }
    Some((Relation { text: text[first.range.start..end].to_string(), alias: name }, next))
}

/// A file's columns are qualified by its name.
fn stem(path: &str) -> Option<String> {
    Some(std::path::Path::new(path).file_stem()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The relations and the names of their columns, at `|`.
    fn at(text: &str) -> Vec<(String, String)> {
        let cursor = text.find('|').expect("a cursor");
        relations(&text.replacen('|', "", 1), cursor)
            .into_iter()
            .map(|r| (r.text, r.alias.unwrap_or_default()))
            .collect()
    }

    fn pair(text: &str, alias: &str) -> (String, String) {
        (text.to_string(), alias.to_string())
    }

    #[test]
    fn relations_are_found_before_and_after_the_cursor() {
        assert_eq!(at("SELECT | FROM orders"), [pair("orders", "orders")]);
        assert_eq!(
            at("SELECT a FROM orders o JOIN 'x/lines.csv' AS l ON | WHERE b"),
            [pair("orders", "o"), pair("'x/lines.csv'", "l")]
        );
        assert_eq!(
            at("SELECT | FROM rfm_score(orders, k => 4) r, s.t"),
            [pair("rfm_score(orders, k => 4)", "r"), pair("s.t", "t")]
        );
        assert_eq!(
            at("SELECT | FROM (SELECT 1 AS a FROM u) q"),
            [pair("(SELECT 1 AS a FROM u)", "q")]
        );
        assert_eq!(at("SELECT a IS DISTINCT FROM b, | FROM c"), [pair("c", "c")]);
        assert_eq!(at("SELECT |"), []);
    }

    #[test]
    fn only_the_query_around_the_cursor_counts() {
        assert_eq!(
            at("SELECT a FROM t WHERE a IN (SELECT | FROM u)"),
            [pair("u", "u"), pair("t", "t")]
        );
        assert_eq!(at("SELECT a FROM t JOIN (SELECT | FROM u) q"), [pair("u", "u")]);
        assert_eq!(at("INSERT INTO t (|) SELECT a"), [pair("t", "t")]);
        assert_eq!(at("SELECT | FROM t WHERE a IN (SELECT b FROM u)"), [pair("t", "t")]);
        assert_eq!(at("SELECT a FROM t UNION ALL SELECT | FROM u"), [pair("u", "u")]);
        assert_eq!(at("SELECT | FROM t UNION ALL SELECT b FROM u"), [pair("t", "t")]);
    }

    #[test]
    fn common_table_expressions_count_once_they_are_complete() {
        let text = "WITH a AS (SELECT 1), b AS (SELECT 2 FROM a) SELECT * FROM b";
        assert_eq!(with(text, text.len()).1, ["a", "b"]);
        assert_eq!(with(text, text.len()).0, "WITH a AS (SELECT 1), b AS (SELECT 2 FROM a)");
        assert_eq!(with(text, 30), ("WITH a AS (SELECT 1)".into(), vec!["a".to_string()]));
        assert_eq!(with("SELECT 1", 8), (String::new(), vec![]));
        assert_eq!(with("WITH", 4).1, Vec::<String>::new());
        for (text, names) in [
            ("EXPLAIN WITH a(x, y) AS (SELECT 1, 2) SELECT ", vec!["a"]),
            ("CREATE TABLE t AS WITH a AS MATERIALIZED (SELECT 1) SELECT ", vec!["a"]),
            ("WITH a AS (SELECT 1) SELECT * FROM (WITH b AS (SELECT 2) SELECT ", vec!["a", "b"]),
            ("SELECT * FROM (WITH b AS (SELECT 2) SELECT 1) q WHERE ", vec![]),
            ("WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT ", vec!["a"]),
            ("WITH a AS (SELECT ", vec![]),
        ] {
            assert_eq!(with(text, text.len()).1, names, "{text}");
        }
    }

    #[test]
    fn names_of_columns_count_behind_by() {
        let named = |text: &str| aliases(text, text.len());
        assert_eq!(named("SELECT a AS x, f(b AS z) AS y FROM t ORDER BY "), ["x", "y"]);
        assert_eq!(named("SELECT a AS x FROM t WHERE "), Vec::<String>::new());
        assert_eq!(named("SELECT a AS x FROM t GROUP BY x HAVING "), Vec::<String>::new());
    }
}
