// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `IN` and `NOT IN` of a query, in words in which the engine knows what is unknown.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use super::walk::{self, Flow, Walk};

/// Puts `2 NOT IN (SELECT …)` in other words: where the query gives NULL the engine takes it for true, and it is unknown.
pub(super) fn settle(expr: &mut Expr) {
    let found = match expr {
        Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => bare(inner),
        Expr::InSubquery { negated: true, .. } => expr,
        _ => return,
    };
    if let Expr::InSubquery { expr: left, .. } = found
        && is_constant(left)
    {
        in_words(found);
    }
}

/// `x = ANY (query)` for `x IN (query)`, and `x <> ALL (query)` for `x NOT IN (query)`.
pub(super) fn in_words(expr: &mut Expr) {
    let Expr::InSubquery { expr: left, subquery, negated } = expr else { return };
    let (left, right) = (left.clone(), Box::new(Expr::Subquery(subquery.clone())));
    *expr = match negated {
        true => Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right },
        false => Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, is_some: false },
    };
}

/// Whether a value is the same for all rows.
fn is_constant(value: &Expr) -> bool {
    #[derive(Default)]
    struct Varies(bool);
    impl Walk for Varies {
        fn enter_expr(&mut self, expr: &mut Expr) -> Flow {
            self.0 |= match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Subquery(_) => true,
                // Of what type it is shows in the query that it is compared with.
                Expr::Value(value) => matches!(value.value, Value::Placeholder(_)),
                _ => false,
            };
            Flow::Continue(())
        }
    }
    let mut varies = Varies::default();
    walk::expr(&mut value.clone(), &mut varies).is_continue() && !varies.0
}

/// `x IN (query)` in parentheses or without.
fn bare(expr: &mut Expr) -> &mut Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        expr => expr,
    }
}
