// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What is being typed → tokens with byte places. Unlike a parser it takes what is not finished yet.

use std::ops::Range;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

/// A token and the bytes that it covers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) token: Token,
    pub(super) range: Range<usize>,
}

impl Piece {
    pub(super) fn is(&self, keyword: Keyword) -> bool {
        matches!(&self.token, Token::Word(w) if w.quote_style.is_none() && w.keyword == keyword)
    }

    pub(super) fn is_comment(&self) -> bool {
        matches!(
            self.token,
            Token::Whitespace(
                Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)
            )
        )
    }

    pub(super) fn is_space(&self) -> bool {
        matches!(self.token, Token::Whitespace(_))
    }

    /// A name that is not a keyword of the grammar: quoted, or a plain word.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.token {
            Token::Word(w) if w.quote_style.is_some() || !is_grammar(w.keyword) => Some(&w.value),
            _ => None,
        }
    }
}

/// The tokens of a text, and where an open quote or comment begins that the text does not close.
pub(super) fn lex(text: &str) -> (Vec<Piece>, Option<usize>) {
    let mut tokens = vec![];
    let whole =
        Tokenizer::new(&GenericDialect {}, text).tokenize_with_location_into_buf(&mut tokens);
    let places = Places::of(text);
    let pieces: Vec<Piece> = tokens
        .into_iter()
        .map(|t| {
            let start = places.byte(t.span.start.line, t.span.start.column);
            let end = places.byte(t.span.end.line, t.span.end.column);
            Piece { token: t.token, range: start..end.max(start) }
        })
        .filter(|p| p.token != Token::EOF)
        .collect();
    let end = pieces.last().map_or(0, |p| p.range.end);
    (pieces, whole.is_err().then_some(end))
}

/// Where each line's characters begin.
struct Places(Vec<Vec<usize>>);

impl Places {
    fn of(text: &str) -> Self {
        let mut lines = vec![];
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let mut bytes: Vec<usize> = line.char_indices().map(|(i, _)| start + i).collect();
            start += line.len();
            bytes.push(start);
            lines.push(bytes);
        }
        if text.is_empty() || text.ends_with('\n') {
            lines.push(vec![text.len()]);
        }
        Places(lines)
    }

    fn byte(&self, line: u64, column: u64) -> usize {
        let at = |n: u64| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
        let end = || self.0.last().and_then(|l| l.last()).copied().unwrap_or(0);
        match self.0.get(at(line)) {
            Some(line) => line.get(at(column)).or(line.last()).copied().unwrap_or_else(end),
            None => end(),
        }
    }
}

/// Keywords that structure a statement, unlike the hundreds that are also good names.
fn is_grammar(keyword: Keyword) -> bool {
    use Keyword::*;
    matches!(
        keyword,
        SELECT
            | FROM
            | WHERE
            | GROUP
            | BY
            | ORDER
            | HAVING
            | LIMIT
            | OFFSET
            | JOIN
            | INNER
            | LEFT
            | RIGHT
            | FULL
            | OUTER
            | CROSS
            | NATURAL
            | ON
            | USING
            | AS
            | AND
            | OR
            | NOT
            | IN
            | IS
            | NULL
            | LIKE
            | ILIKE
            | BETWEEN
            | EXISTS
            | CASE
            | WHEN
            | THEN
            | ELSE
            | END
            | DISTINCT
            | ALL
            | UNION
            | INTERSECT
            | EXCEPT
            | WITH
            | RECURSIVE
            | CREATE
            | TABLE
            | VIEW
            | MACRO
            | EXTERNAL
            | DROP
            | INSERT
            | INTO
            | VALUES
            | COPY
            | TO
            | EXPLAIN
            | ANALYZE
            | DESCRIBE
            | SHOW
            | SET
            | OVER
            | PARTITION
            | QUALIFY
            | ASC
            | DESC
            | CAST
            | TRUE
            | FALSE
            | UPDATE
            | DELETE
            | STORED
            | LOCATION
            | INTERVAL
            | WINDOW
            | FILTER
            | OPTIONS
            | LATERAL
            | PREPARE
            | EXECUTE
            | NULLS
    )
}

/// True for a word that the grammar takes for itself.
pub(super) fn is_keyword(piece: &Piece) -> bool {
    matches!(&piece.token, Token::Word(w) if w.quote_style.is_none() && is_grammar(w.keyword))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_bytes_also_after_accents_and_lines() {
        let text = "select 'é' as \"É\"\nfrom été;";
        let (pieces, open) = lex(text);
        assert_eq!(open, None);
        let words: Vec<&str> =
            pieces.iter().filter(|p| !p.is_space()).map(|p| &text[p.range.clone()]).collect();
        assert_eq!(words, ["select", "'é'", "as", "\"É\"", "from", "été", ";"]);
    }

    #[test]
    fn an_open_quote_is_found_where_it_begins() {
        let (pieces, open) = lex("select * from 'da");
        assert_eq!(open, Some(14));
        assert_eq!(pieces.last().map(|p| p.range.end), Some(14));
        assert_eq!(lex("select /* x").1, Some(7));
        assert_eq!(lex("").1, None);
    }
}
