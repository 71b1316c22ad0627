// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `ASSERT`: what a script demands of its data.
//!
//! ```text
//! ASSERT condition                                 [SEVERITY WARN | ERROR] [MESSAGE 'text']
//! ASSERT NO ROWS IN (query) | table | function(…)  [SEVERITY WARN | ERROR] [MESSAGE 'text']
//! ```

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectName, Query, SelectItem, SetExpr, Statement, Value,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::not_in;
use super::parameter::is_word;
use super::table_factor;
use super::walk::{self, Flow, Walk};

/// What is demanded of a query's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// What passes.
    pub demand: Demand,
    /// What a failure means.
    pub severity: Severity,
    /// What to say when it fails, in the script's words.
    pub message: Option<String>,
}

/// Which result of the assertion's query passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// No row: every row is a failure.
    NoRows,
    /// One row, with one column that is true.
    Holds,
}

/// What a failed assertion means for the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The script has failed.
    Error,
    /// It is told, and the script goes on.
    Warn,
}

/// True when the statement that comes next is an assertion.
pub(super) fn is_next(parser: &Parser<'_>) -> bool {
    is_word(&parser.peek_token().token, "assert")
}

/// Parses one assertion: the query to run, and what is demanded of it.
pub(super) fn parse(parser: &mut Parser<'_>) -> Result<(Query, Assertion), ParserError> {
    parser.next_token();
    let [no, rows, within] = parser.peek_tokens();
    let query = if is_word(&no, "no") && is_word(&rows, "rows") && is_word(&within, "in") {
        for _ in 0..3 {
            parser.next_token();
        }
        let place = parser.peek_token();
        let source = source(parser)?;
        match rows_of(source) {
            Some(query) => (query, Demand::NoRows),
            None => {
                return parser
                    .expected("a query in parentheses, a table or a table function's call", place);
            }
        }
    } else {
        (condition(parser.parse_expr()?)?, Demand::Holds)
    };
    let (query, demand) = query;
    let (mut severity, mut message) = (None, None);
    loop {
        let next = parser.peek_token();
        if severity.is_none() && is_word(&next.token, "severity") {
            parser.next_token();
            let word = parser.next_token();
            severity = Some(match &word.token {
                t if is_word(t, "error") => Severity::Error,
                t if is_word(t, "warn") => Severity::Warn,
                _ => return parser.expected("ERROR or WARN", word),
            });
        } else if message.is_none()
            && (is_word(&next.token, "message") || parser.peek_keyword(Keyword::AS))
        {
            parser.next_token();
            message = Some(parser.parse_literal_string()?);
        } else {
            break;
        }
    }
    let severity = severity.unwrap_or(Severity::Error);
    Ok((query, Assertion { demand, severity, message }))
}

/// What `NO ROWS IN` is about. The parser of expressions does not know `(VALUES …)`.
fn source(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    let [open, values] = parser.peek_tokens();
    if open != Token::LParen || !is_word(&values, "values") {
        return parser.parse_expr();
    }
    parser.next_token();
    let query = parser.parse_query()?;
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Subquery(query))
}

/// `SELECT * FROM source`
fn rows_of(source: Expr) -> Option<Query> {
    let factor = match source {
        Expr::Subquery(query) => return Some(*query),
        Expr::Nested(inner) => return rows_of(*inner),
        Expr::Identifier(name) => table_factor(ObjectName::from(vec![name]), None),
        Expr::CompoundIdentifier(names) => table_factor(ObjectName::from(names), None),
        Expr::Value(value) => {
            let Value::SingleQuotedString(file) = value.value else { return None };
            table_factor(ObjectName::from(vec![Ident::with_quote('\'', file)]), None)
        }
        Expr::Function(Function {
            name, args: FunctionArguments::List(list), over: None, ..
        }) => table_factor(name, Some(list.args)),
        _ => return None,
    };
    let mut query = template("SELECT * FROM t").ok()?;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    select.from.first_mut()?.relation = factor;
    Some(query)
}

/// What a condition asks of queries.
#[derive(Default)]
struct Asks {
    /// For their value.
    scalar: bool,
    /// For what the engine makes a join of.
    joined: bool,
    depth: usize,
}

impl Asks {
    /// Of a condition that must be true, where false and unknown are one.
    fn of(&mut self, condition: &mut Expr) {
        match condition {
            Expr::Nested(inner) => self.of(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
                self.of(left);
                self.of(right);
            }
            Expr::InSubquery { expr: left, negated: false, .. } => {
                self.joined = true;
                let _ = walk::expr(left, self);
            }
            other => drop(walk::expr(other, self)),
        }
    }
}

impl Walk for Asks {
    fn enter_query(&mut self, _query: &mut Query) -> Flow {
        self.depth += 1;
        Flow::Continue(())
    }

    fn leave_query(&mut self, _query: &mut Query) -> Flow {
        self.depth -= 1;
        Flow::Continue(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> Flow {
        if self.depth > 0 {
            return Flow::Continue(());
        }
        match expr {
            Expr::Subquery(_) => self.scalar = true,
            Expr::Exists { .. } => self.joined = true,
            // The same in other words: for the engine `NOT (2 IN (1, NULL))` of constants is true, and it is unknown.
            Expr::InSubquery { .. } => {
                self.joined = true;
                not_in::in_words(expr);
            }
            Expr::AllOp { right, .. } | Expr::AnyOp { right, .. } => {
                self.joined |= matches!(right.as_ref(), Expr::Subquery(_));
            }
            _ => {}
        }
        Flow::Continue(())
    }
}

/// `SELECT condition AS holds`, or `SELECT true AS holds WHERE condition` for what the engine can only do in a `WHERE`.
fn condition(mut expr: Expr) -> Result<Query, ParserError> {
    let mut asks = Asks::default();
    asks.of(&mut expr);
    let Asks { scalar, joined, .. } = asks;
    let mut query = template(match (joined, scalar) {
        (true, _) => "SELECT true AS holds WHERE 1",
        // A query without rows is NULL, whatever the engine thinks of its column.
        (false, true) => "SELECT nullif(1, NULL) AS holds",
        (false, false) => "SELECT 1 AS holds",
    })?;
    let SetExpr::Select(select) = query.body.as_mut() else { return Ok(query) };
    if joined {
        select.selection = Some(expr);
        return Ok(query);
    }
    if let Some(SelectItem::ExprWithAlias { expr: place, .. }) = select.projection.first_mut() {
        let place = match place {
            Expr::Function(Function { args: FunctionArguments::List(list), .. }) => {
                match list.args.first_mut() {
                    Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) => first,
                    _ => return Ok(query),
                }
            }
            place => place,
        };
        *place = expr;
    }
    Ok(query)
}

fn template(sql: &str) -> Result<Query, ParserError> {
    match Parser::parse_sql(&GenericDialect {}, sql)?.pop() {
        Some(Statement::Query(query)) => Ok(*query),
        _ => Err(ParserError::ParserError("an assertion needs a query".into())),
    }
}

#[cfg(test)]
mod tests {
    use crate::statement::{Demand, Severity, parse};

    #[test]
    fn both_kinds_are_read_with_severity_and_message() {
        let text = "ASSERT (SELECT count(*) FROM t) > 3 AND true SEVERITY warn MESSAGE 'few'; \
                    ASSERT NO ROWS IN (SELECT 1 WHERE false) MESSAGE 'm' SEVERITY ERROR; \
                    assert no rows in check_it(t, a => 1); ASSERT NO ROWS IN s.t; ASSERT x IS NOT NULL AS 'why'";
        let all = parse(text).expect("parses");
        let shown: Vec<(Demand, Severity, Option<String>, String)> = all
            .into_iter()
            .map(|s| (s.assertion.expect("is one"), s.parsed.to_string()))
            .map(|(a, query)| (a.demand, a.severity, a.message, query))
            .collect();
        let some = |text: &str| Some(text.to_string());
        assert_eq!(
            shown,
            [
                (
                    Demand::Holds,
                    Severity::Warn,
                    some("few"),
                    "SELECT nullif((SELECT count(*) FROM t) > 3 AND true, NULL) AS holds".into()
                ),
                (Demand::NoRows, Severity::Error, some("m"), "SELECT 1 WHERE false".into()),
                (Demand::NoRows, Severity::Error, None, "SELECT * FROM check_it(t, a => 1)".into()),
                (Demand::NoRows, Severity::Error, None, "SELECT * FROM s.t".into()),
                (
                    Demand::Holds,
                    Severity::Error,
                    some("why"),
                    "SELECT x IS NOT NULL AS holds".into()
                ),
            ]
        );
    }

    #[test]
    fn a_wrong_assertion_is_refused_at_its_place() {
        for text in [
            "ASSERT",
            "ASSERT NO ROWS IN 1 + 1",
            "ASSERT true SEVERITY fatal",
            "ASSERT true MESSAGE 5",
            "ASSERT true MESSAGE 'a' MESSAGE 'b'",
            "ASSERT NO ROWS IN SELECT 1",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.span.is_some(), "{text}: {error:?}");
        }
    }
}
