// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Texts whose tree would be too deep for the stack.
//!
//! The parser counts what nests in brackets. It does not count chains: `a OR b OR c OR …` is read in a loop and becomes
//! a tree as deep as the chain is long, which everything after it walks down. So chains are measured here, before there
//! is a tree: no list, however long, is one, because a comma ends it.

use datafusion::common::Span;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result};

/// The stack that a thread needs that plans or runs the longest chains.
pub const STACK: usize = 64 << 20;
/// The most words and signs that follow each other without a comma, what stands in brackets of their own aside.
const LONGEST_RUN: usize = 10_000;
/// The most queries that follow each other in a chain of UNION, EXCEPT or INTERSECT.
const MOST_QUERIES: usize = 1_000;

/// Where the text is within its brackets.
#[derive(Default)]
struct Level {
    run: usize,
    queries: usize,
}

/// Refuses chains that are too long. Keywords may be names too, so none of them ends a chain.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut outer: Vec<Level> = vec![];
    let mut level = Level::default();
    // The runs of all brackets that are open.
    let mut open = 0;
    for token in tokens {
        if matches!(token.token, Token::Whitespace(_)) {
            continue;
        }
        level.run += 1;
        open += 1;
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                outer.push(std::mem::take(&mut level));
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                open -= level.run;
                level = outer.pop().unwrap_or_default();
            }
            Token::Comma => open -= std::mem::take(&mut level.run),
            Token::SemiColon => open -= std::mem::take(&mut level).run,
            Token::Word(word)
                if matches!(
                    word.keyword,
                    Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT
                ) =>
            {
                level.queries += 1;
            }
            _ => {}
        }
        let (what, hint) = if open > LONGEST_RUN {
            ("expression", "compare with a list, `x IN (1, 2, 3)`, or put the values into a table")
        } else if level.queries >= MOST_QUERIES {
            ("chain of queries", "put the rows into a table, or into one `VALUES`")
        } else {
            continue;
        };
        return Err(Error::usage(format!("this {what} is too long"))
            .at(Span::try_from_sqlparser_span(token.span))
            .hint(hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::statement::parse;

    #[test]
    fn chains_are_measured_and_lists_are_not() {
        let many = |part: &str, between: &str, n: usize| vec![part; n].join(between);
        let chain = |n| format!("SELECT {}", many("1", "+", n));
        let longest = chain(4_000);
        let with_stack = std::thread::Builder::new().stack_size(super::STACK);
        let parsed = with_stack.spawn(move || parse(&longest).is_ok()).expect("a thread");
        assert!(parsed.join().expect("does not overflow"));
        for text in [
            chain(6_000),
            format!("SELECT {}", many("(1)", "+", 6_000)),
            format!("SELECT {}", many("CASE WHEN a THEN b END", "+", 6_000)),
            format!("SELECT * FROM t WHERE {}", many("x = 1", " OR ", 3_000)),
            format!("SELECT f(a, {})", many("x = 1", " OR ", 3_000)),
            format!("SELECT x{}", "[1]".repeat(11_000)),
            format!("SELECT {}", many("t.case + union", "+", 3_000)),
            many("SELECT 1, 2, 3", " UNION ALL ", 1_001),
        ] {
            let error = parse(&text).expect_err("is too long");
            assert!(error.message.contains("too long") && error.span.is_some(), "{error:?}");
        }
        for text in [
            format!("SELECT x IN ({})", many("1", ", ", 50_000)),
            format!("VALUES {}", many("(1, 'a')", ", ", 50_000)),
            format!("SELECT CASE {} END", many("WHEN x = 1 THEN 2", " ", 1_000)),
            many("SELECT 1 UNION SELECT 2", "; ", 2_000),
        ] {
            assert!(parse(&text).is_ok(), "{}", &text[..40]);
        }
    }
}
