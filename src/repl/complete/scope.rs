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

/// The relations of the innermost query around the cursor.
pub(super) fn relations(text: &str, cursor: usize) -> Vec<Relation> {
    let pieces = tokens(text);
    let range = query_around(&pieces, cursor);
    let pieces = &pieces[range];
    let mut found = vec![];
    let mut in_from = false;
    let mut i = 0;
    while i < pieces.len() {
        let piece = &pieces[i];
        let after_distinct = i > 0 && pieces[i - 1].is(Keyword::DISTINCT);
        if piece.is(Keyword::JOIN) || (piece.is(Keyword::FROM) && !after_distinct) {
            in_from = true;
        } else if lex::is_keyword(piece) {
            in_from = false;
        } else if !(in_from && piece.token == Token::Comma) {
            i = if piece.token == Token::LParen { closing(pieces, i) + 1 } else { i + 1 };
            continue;
        }
        i += 1;
        if in_from && let Some((relation, next)) = relation(text, pieces, i) {
            found.push(relation);
            i = next;
        }
    }
    found
}

/// The common table expressions that are complete before the cursor: their text, with `WITH`, and their names.
pub(super) fn with(text: &str, cursor: usize) -> (String, Vec<String>) {
    let pieces = tokens(text);
    let Some(start) = pieces.first().filter(|p| p.is(Keyword::WITH)) else {
        return (String::new(), vec![]);
    };
    let mut names = vec![];
    let mut end = start.range.end;
    let mut i = 1;
    while let [name, between, ..] = &pieces[i.min(pieces.len())..] {
        let (Some(name), true) = (name.name(), between.is(Keyword::AS)) else {
            // `RECURSIVE`, a comma, or the list of columns that may follow the name.
            if !matches!(name.token, Token::Comma) && !name.is(Keyword::RECURSIVE) {
                break;
            }
            i += 1;
            continue;
        };
        let open = i + 2;
        if pieces.get(open).is_none_or(|p| p.token != Token::LParen) {
            break;
        }
        let close = closing(&pieces, open);
        match pieces.get(close) {
            Some(piece) if piece.range.end <= cursor => end = piece.range.end,
            _ => break,
        }
        names.push(name.to_string());
        i = close + 1;
    }
    match names.is_empty() {
        true => (String::new(), names),
        false => (text[start.range.start..end].to_string(), names),
    }
}

fn tokens(text: &str) -> Vec<Piece> {
    let mut pieces = lex(text).0;
    pieces.retain(|p| !p.is_space());
    pieces
}

/// The tokens of the innermost subquery around the cursor, or all.
fn query_around(pieces: &[Piece], cursor: usize) -> std::ops::Range<usize> {
    let mut range = 0..pieces.len();
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
            range = i + 1..close.min(pieces.len());
        }
    }
    // The branches of a UNION read for themselves.
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

/// A relation at a place of the tokens, and the place after it.
fn relation(text: &str, pieces: &[Piece], at: usize) -> Option<(Relation, usize)> {
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
            if pieces.get(last + 1).is_some_and(|p| p.token == Token::LParen) {
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
        assert_eq!(at("SELECT a FROM t WHERE a IN (SELECT | FROM u)"), [pair("u", "u")]);
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
    }
}
