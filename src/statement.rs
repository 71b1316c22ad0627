// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Text → statements. The whole text is parsed once, before anything runs, so that every place counts from the start of
//! the text and a mistake at the end stops a script before its first statement has had an effect.

use datafusion::common::{DataFusionError, Span};
use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, ObjectName, Statement as Sql, TableFactor, TableFunctionArgs,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use crate::diagnostic::nearest;
use crate::error::{Error, Kind, Result};

mod assertion;
mod depth;
mod not_in;
mod parameter;
mod values;
pub mod walk;

pub use assertion::{Assertion, Demand, Severity};
pub use depth::STACK;
pub use parameter::{Parameter, Uses, Values, numbers_as_text};

/// One statement of a text.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What the parser understood; of an assertion, the query that it is about.
    pub parsed: Parsed,
    /// What an `ASSERT` demands of that query.
    pub assertion: Option<Assertion>,
    /// True for `EXPLAIN PRIVACY statement`: what the policy says of it, and not what it gives.
    pub asks_policy: bool,
    /// Where it stands in the text.
    pub span: Span,
    /// Its own text, without the semicolon.
    pub text: String,
    /// Its words, with the values of parameters in their places.
    pub filled: String,
}

impl Statement {
    /// Whether it is a query, and no assertion about one.
    pub fn is_query(&self) -> bool {
        self.assertion.is_none()
            && matches!(&self.parsed, Parsed::Statement(sql) if matches!(sql.as_ref(), Sql::Query(_)))
    }

    /// Where a column stands that is not there: the planner may know its name alone.
    pub(crate) fn place_of_column(&self, error: &Error) -> Option<Span> {
        let name = error.message.strip_prefix("column `")?.strip_suffix("` not found")?;
        let tokens = parameter::tokens(&self.text).ok()?;
        let is_it = |t: &Token| matches!(t, Token::Word(w) if w.value.eq_ignore_ascii_case(name));
        let found = Span::try_from_sqlparser_span(tokens.iter().find(|t| is_it(&t.token))?.span)?;
        let start = self.span.start;
        let in_text = |at: datafusion::common::Location| datafusion::common::Location {
            line: at.line + start.line - 1,
            column: if at.line == 1 { at.column + start.column - 1 } else { at.column },
        };
        Some(Span { start: in_text(found.start), end: in_text(found.end) })
    }
}

/// How deep expressions and queries may nest before the text is refused.
const MAX_DEPTH: usize = 128;

/// Splits and parses a text. Nothing is returned unless all of it parses. Parameters have their defaults.
pub fn parse(text: &str) -> Result<Vec<Statement>> {
    parse_with(text, &Values::default())
}

/// The parameters that a text declares, in order.
pub fn parameters(text: &str) -> Result<Vec<Parameter>> {
    Ok(parameter::split(tokens(text)?)?.0)
}

/// Splits and parses a text whose parameters have these values.
pub fn parse_with(text: &str, values: &Values) -> Result<Vec<Statement>> {
    parse_after(text, &[], values)
}

/// The same for a text that comes after declarations, as what is typed at the prompt does.
pub fn parse_after(text: &str, earlier: &[Parameter], values: &Values) -> Result<Vec<Statement>> {
    let (mut declared, rest) = parameter::split(tokens(text)?)?;
    let own: Vec<String> = declared.iter().map(|p| p.name.clone()).collect();
    declared.extend(earlier.iter().filter(|p| !own.contains(&p.name)).cloned());
    let uses = Uses { declared: &declared, values };
    let filled = uses.fill(rest)?;
    depth::check(&filled)?;
    let failed = |error: DataFusionError| uses.at_value(failed(text, error), text);
    let mut parser = DFParserBuilder::new(filled.clone())
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(MAX_DEPTH)
        .build()
        .map_err(failed)?;
    let mut statements = vec![];
    loop {
        while parser.parser.consume_token(&Token::SemiColon) {}
        let first = parser.parser.peek_token();
        if first.token == Token::EOF {
            return Ok(statements);
        }
        let begin = parser.parser.index();
        let asks_policy = takes_words(&mut parser.parser, ["EXPLAIN", "PRIVACY"]);
        let (mut parsed, assertion) = if assertion::is_next(&parser.parser) {
            let (query, assertion) =
                assertion::parse(&mut parser.parser).map_err(|e| failed(e.into()))?;
            (Parsed::Statement(Box::new(Sql::Query(Box::new(query)))), Some(assertion))
        } else {
            (parser.parse_statement().map_err(failed)?, None)
        };
        let after = parser.parser.peek_token();
        if !matches!(after.token, Token::SemiColon | Token::EOF) {
            let error = Error::usage(format!(
                "expected `;` or the end of the text, found `{}`",
                after.token
            ));
            let error = misspelt(text, error.at(Span::try_from_sqlparser_span(after.span)));
            return Err(uses.at_value(error, text));
        }
        values::settle(&mut parsed)?;
        let end = match after.token {
            Token::EOF => end_of(text),
            _ => after.span.start,
        };
        let span = Span { start: place(first.span.start), end: place(end) };
        let text = crate::diagnostic::cut(text, span).trim_end().to_string();
        let filled = parameter::words_of(
            filled[begin..].iter().map(|t| &t.token).take(parser.parser.index() - begin),
        );
        statements.push(Statement { parsed, assertion, asks_policy, span, text, filled });
    }
}

/// Takes two words, if they come next.
fn takes_words(parser: &mut Parser<'_>, words: [&str; 2]) -> bool {
    let is = |n: usize| {
        let token = parser.peek_nth_token(n).token;
        matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(words[n]))
    };
    let next = is(0) && is(1);
    if next {
        parser.advance_token();
        parser.advance_token();
    }
    next
}

fn tokens(text: &str) -> Result<Vec<TokenWithSpan>> {
    parameter::tokens(text).map_err(|e| failed(text, ParserError::from(e).into()))
}

/// A text that does not parse was written wrongly, and no data had a part in it.
fn failed(text: &str, error: DataFusionError) -> Error {
    // A text that ends too early fails without a place: its end is the place.
    let end = place(end_of(text));
    let error = Error { kind: Kind::Usage, ..Error::from(error) };
    misspelt(text, error).at_least(Span { start: end, end })
}

/// Adds the word of the grammar that was meant, when one nearly stands at the place or right before it: the parser takes
/// a misspelt one for a name.
fn misspelt(text: &str, error: Error) -> Error {
    const WORDS: [&str; 20] = [
        "SELECT",
        "FROM",
        "WHERE",
        "GROUP",
        "ORDER",
        "HAVING",
        "LIMIT",
        "OFFSET",
        "JOIN",
        "UNION",
        "WITH",
        "VALUES",
        "CREATE",
        "INSERT",
        "DROP",
        "COPY",
        "EXPLAIN",
        "DESCRIBE",
        "ASSERT",
        "PARAMETER",
    ];
    let (Some(span), Ok(tokens)) = (error.span, parameter::tokens(text)) else { return error };
    let upto = |t: &&TokenWithSpan| {
        let start = t.span.start;
        (start.line, start.column) <= (span.start.line, span.start.column)
    };
    let words = tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_)));
    let before: Vec<&TokenWithSpan> = words.take_while(upto).collect();
    let meant = before.iter().rev().take(2).find_map(|t| match &t.token {
        Token::Word(w) if w.quote_style.is_none() && w.keyword == Keyword::NoKeyword => {
            let near = nearest(&w.value, WORDS).into_iter().next()?;
            // `orders` is a good name, and so is `grouped`.
            (!w.value.to_uppercase().contains(&near)).then_some(near)
        }
        _ => None,
    });
    match meant {
        Some(word) => error.hint(format!("did you mean `{word}`?")),
        None => error,
    }
}

/// True when the text needs no more lines to be statements: the prompt's question.
pub fn is_complete(text: &str) -> bool {
    let tokens =
        datafusion::sql::sqlparser::tokenizer::Tokenizer::new(&GenericDialect {}, text).tokenize();
    match tokens {
        // An open quote or comment: the tokenizer cannot finish.
        Err(_) => false,
        Ok(tokens) => {
            let last = tokens.iter().rev().find(|t| !matches!(t, Token::Whitespace(_)));
            matches!(last, None | Some(Token::SemiColon))
        }
    }
}

fn place(at: Location) -> datafusion::common::Location {
    datafusion::common::Location { line: at.line, column: at.column }
}

fn end_of(text: &str) -> Location {
    let line = text.split('\n').count();
    let column = text.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    Location { line: line as u64, column: column as u64 }
}

/// The arguments of a function call that are plain values, by position, or `None` when one is named or a wildcard.
pub fn positional(arguments: &[FunctionArg]) -> Option<Vec<&Expr>> {
    use datafusion::sql::sqlparser::ast::FunctionArgExpr;
    arguments
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect()
}

/// A table, or a table function's call, as it would stand in FROM.
pub(crate) fn table_factor(name: ObjectName, arguments: Option<Vec<FunctionArg>>) -> TableFactor {
    TableFactor::Table {
        name,
        alias: None,
        args: arguments.map(|args| TableFunctionArgs { args, settings: None }),
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_split_by_the_parser_not_by_line() {
        let text = "select ';' -- a; comment\n;\n/* ; */ select 2;;";
        let all = parse(text).expect("parses");
        let texts: Vec<&str> = all.iter().map(|s| s.text.as_str()).collect();
        assert_eq!(texts, ["select ';' -- a; comment", "select 2"]);
        assert_eq!(all[1].span.start.line, 3);
    }

    #[test]
    fn a_mistake_at_the_end_stops_the_whole_text_and_has_a_place() {
        let error = parse("select 1;\nselect (2;").expect_err("does not parse");
        assert_eq!(error.span.map(|s| s.start.line), Some(2));
    }

    #[test]
    fn two_statements_without_a_semicolon_are_refused() {
        let error =
            parse("create view a as select 1 create view b as select 2").expect_err("no semicolon");
        assert!(error.span.is_some(), "{error:?}");
    }

    #[test]
    fn a_misspelt_word_of_the_grammar_gets_the_nearest() {
        for (text, word) in [
            ("SELCT 1", "SELECT"),
            ("SELECT 1 FORM orders", "FROM"),
            ("SELECT * FROM orders WHER a = 1", "WHERE"),
        ] {
            let error = parse(text).expect_err("does not parse");
            assert_eq!(error.hints, [format!("did you mean `{word}`?")], "{text}");
        }
        let error = parse("SELECT * FROM orders 5").expect_err("does not parse");
        assert_eq!(error.hints, Vec::<String>::new());
    }

    #[test]
    fn the_prompt_waits_for_the_semicolon_outside_quotes() {
        assert!(!is_complete("select ';"));
        assert!(!is_complete("select 1"));
        assert!(is_complete("select 1; -- done"));
    }
}
