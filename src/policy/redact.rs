// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Texts and plans without their constants, for the audit log and for `EXPLAIN`.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::rows::Reading;
use crate::error::Result;

/// What stands in the place of a constant.
const HIDDEN: &str = "?";

/// A statement's text with `?` in the place of every constant, on one line. What cannot be read at all is not shown at all.
pub(super) fn text(sql: &str) -> String {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else {
        return HIDDEN.into();
    };
    let mut shown = String::new();
    for token in tokens {
        match token {
            // Comments may say anything.
            Token::Whitespace(_) => {
                if !shown.ends_with(' ') && !shown.is_empty() {
                    shown.push(' ');
                }
            }
            Token::Word(word) if word.quote_style.is_some() && !is_plain(&word.value) => {
                // A quoted name may be a path, or a word that somebody wants to be remembered.
                shown.push_str(HIDDEN);
            }
            Token::Word(word) => shown.push_str(&word.value),
            Token::EOF => {}
            other => match is_constant(&other) {
                true => shown.push_str(HIDDEN),
                false => shown.push_str(&other.to_string()),
            },
        }
    }
    shown.trim().to_string()
}

fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn is_constant(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..)
            | Token::Char(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::TripleSingleQuotedString(_)
            | Token::TripleDoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DoubleQuotedByteStringLiteral(_)
            | Token::TripleSingleQuotedByteStringLiteral(_)
            | Token::TripleDoubleQuotedByteStringLiteral(_)
            | Token::SingleQuotedRawStringLiteral(_)
            | Token::DoubleQuotedRawStringLiteral(_)
            | Token::TripleSingleQuotedRawStringLiteral(_)
            | Token::TripleDoubleQuotedRawStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::QuoteDelimitedStringLiteral(_)
            | Token::NationalQuoteDelimitedStringLiteral(_)
    )
}

/// The rows of an `EXPLAIN`: the optimised plan, without constants and without anything about files.
pub(super) fn explained(
    plan: &LogicalPlan,
    reading: &Reading,
    session: &SessionState,
) -> Result<LogicalPlan> {
    let shown = reading.legible(&shown(session.optimize(plan)?)?);
    let rows = LogicalPlanBuilder::values(vec![vec![lit("logical_plan"), lit(shown)]])?;
    let named = [("column1", "plan_type"), ("column2", "plan")];
    let named = named.map(|(from, to)| Expr::Column(Column::new_unqualified(from)).alias(to));
    Ok(rows.project(named)?.build()?)
}

/// A plan as text, without constants and without anything about files.
pub(crate) fn shown(plan: LogicalPlan) -> Result<String> {
    Ok(self::plan(plan)?.display_indent().to_string())
}

/// A plan that shows `?` in the place of every constant.
pub(super) fn plan(plan: LogicalPlan) -> Result<LogicalPlan> {
    let hidden = |expr: Expr| {
        Ok(match expr {
            Expr::Literal(..) => {
                Transformed::yes(Expr::Literal(ScalarValue::Utf8(Some(HIDDEN.into())), None))
            }
            other => Transformed::no(other),
        })
    };
    let done = plan.transform_up_with_subqueries(|node| match node {
        // The number of rows is no constant of an expression.
        LogicalPlan::Values(_) | LogicalPlan::Limit(_) => Ok(Transformed::no(node)),
        other => other.map_expressions(|e| e.transform(hidden)),
    })?;
    Ok(done.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_comments_and_odd_names_are_not_shown() {
        let sql = "SELECT city, 'a''b', 42, $$x$$ -- alice\nFROM \"alice@example.fr\" WHERE e = 'alice@example.fr' /* bob */ LIMIT 5";
        assert_eq!(text(sql), "SELECT city, ?, ?, ? FROM ? WHERE e = ? LIMIT ?");
        assert_eq!(text("SELECT 'open"), "?");
    }
}
