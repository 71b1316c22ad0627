// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Branches that the arguments have decided, taken before planning.
//!
//! The optimizer would remove a dead branch too, but only after the branch has had its say in the types: a CASE over
//! decimals that could also give a double is a double. Here `CASE WHEN true`, `'a' = 'b'` and a UNION ALL with nothing
//! are decided on the text, so that money keeps the exactness of its input.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Query, SetExpr, SetOperator, SetQuantifier, UnaryOperator, Value,
    ValueWithSpan,
};

use crate::statement::walk::{self, Flow, Walk};

/// Folds what is decided, everywhere in a query.
pub(super) fn fold(query: &mut Query) {
    let _ = walk::query(query, &mut Fold);
}

struct Fold;

impl Walk for Fold {
    fn leave_expr(&mut self, expr: &mut Expr) -> Flow {
        if let Some(new) = folded(expr) {
            *expr = new;
        }
        ControlFlow::Continue(())
    }

    fn leave_query(&mut self, query: &mut Query) -> Flow {
        prune(&mut query.body);
        ControlFlow::Continue(())
    }
}

/// What an expression is once its decided parts are taken, or `None` when nothing is decided.
fn folded(expr: &mut Expr) -> Option<Expr> {
    match expr {
        Expr::Nested(inner) => truth(inner).map(boolean),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => truth(expr).map(|t| boolean(!t)),
        Expr::IsNull(inner) => null(inner).map(boolean),
        Expr::IsNotNull(inner) => null(inner).map(|n| boolean(!n)),
        Expr::BinaryOp { left, op, right } => match (op, truth(left), truth(right)) {
            (BinaryOperator::And, Some(false), _) | (BinaryOperator::And, _, Some(false)) => {
                Some(boolean(false))
            }
            (BinaryOperator::Or, Some(true), _) | (BinaryOperator::Or, _, Some(true)) => {
                Some(boolean(true))
            }
            (BinaryOperator::And, Some(true), _) | (BinaryOperator::Or, Some(false), _) => {
                Some(right.as_ref().clone())
            }
            (BinaryOperator::And, _, Some(true)) | (BinaryOperator::Or, _, Some(false)) => {
                Some(left.as_ref().clone())
            }
            (BinaryOperator::Eq, ..) => same(left, right).map(boolean),
            (BinaryOperator::NotEq, ..) => same(left, right).map(|s| boolean(!s)),
            _ => None,
        },
        Expr::Case { operand: None, conditions, else_result, .. } => {
            let before = conditions.len();
            conditions.retain(|when| truth(&when.condition) != Some(false));
            if let Some(first) = conditions.first()
                && truth(&first.condition) == Some(true)
            {
                return Some(Expr::Nested(Box::new(first.result.clone())));
            }
            // A certain branch ends the list.
            if let Some(certain) =
                conditions.iter().position(|when| truth(&when.condition) == Some(true))
            {
                *else_result = Some(Box::new(conditions[certain].result.clone()));
                conditions.truncate(certain);
            }
            match conditions.is_empty() && before > 0 {
                true => Some(match else_result {
                    Some(result) => Expr::Nested(result.clone()),
                    None => Expr::Value(Value::Null.into()),
                }),
                false => None,
            }
        }
        _ => None,
    }
}

/// Takes a side of a UNION ALL away when its WHERE is false.
fn prune(body: &mut SetExpr) {
    if let SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left,
        right,
    } = body
    {
        prune(left);
        prune(right);
        if is_nothing(right) {
            *body = left.as_ref().clone();
        } else if is_nothing(left) {
            *body = right.as_ref().clone();
        }
    }
}

fn is_nothing(body: &SetExpr) -> bool {
    matches!(body, SetExpr::Select(select) if select.selection.as_ref().and_then(truth) == Some(false))
}

fn boolean(truth: bool) -> Expr {
    Expr::Value(Value::Boolean(truth).into())
}

fn value(expr: &Expr) -> Option<&Value> {
    match expr {
        Expr::Value(ValueWithSpan { value, .. }) => Some(value),
        // Parameters come cast to their types, which changes neither text, truth nor absence.
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => value(inner),
        _ => None,
    }
}

fn truth(expr: &Expr) -> Option<bool> {
    match value(expr)? {
        Value::Boolean(truth) => Some(*truth),
        _ => None,
    }
}

/// Whether a constant is NULL; `None` for what is not a constant.
fn null(expr: &Expr) -> Option<bool> {
    value(expr)
        .map(|v| matches!(v, Value::Null))
        .filter(|_| !matches!(value(expr), Some(Value::Placeholder(_))))
}

/// Whether two constants are equal: texts, and whole numbers written alike.
fn same(left: &Expr, right: &Expr) -> Option<bool> {
    match (value(left)?, value(right)?) {
        (Value::SingleQuotedString(left), Value::SingleQuotedString(right)) => Some(left == right),
        (Value::Number(left, _), Value::Number(right, _)) => {
            Some(left.parse::<i64>().ok()? == right.parse::<i64>().ok()?)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn check(sql: &str, expected: &str) {
        let parsed = Parser::parse_sql(&GenericDialect {}, sql).expect("parses").pop();
        let Some(Statement::Query(mut query)) = parsed else { panic!("a query") };
        fold(&mut query);
        assert_eq!(query.to_string(), expected);
    }

    #[test]
    fn decided_branches_are_taken() {
        check("SELECT CASE WHEN true THEN a ELSE b END", "SELECT (a)");
        check("SELECT CASE WHEN CAST('x' AS VARCHAR) = 'y' THEN a ELSE b END", "SELECT (b)");
        check(
            "SELECT CASE WHEN c THEN a WHEN NOT false THEN b ELSE d END",
            "SELECT CASE WHEN c THEN a ELSE b END",
        );
        check("SELECT CASE WHEN false THEN a END", "SELECT NULL");
        check("SELECT a WHERE (CAST(NULL AS INT) IS NULL OR b) AND c", "SELECT a WHERE c");
        check("SELECT a WHERE false UNION ALL SELECT b WHERE 5 = 5", "SELECT b WHERE true");
        check("SELECT a WHERE false UNION ALL SELECT b WHERE 'x' <> 'x'", "SELECT a WHERE false");
    }

    #[test]
    fn what_is_not_decided_stays() {
        for sql in [
            "SELECT CASE WHEN c THEN a ELSE b END",
            "SELECT CASE WHEN $1 = 'x' THEN a ELSE b END",
            "SELECT a WHERE $1 IS NULL",
            "SELECT a WHERE NULL",
            "SELECT a WHERE 1.0 = 1",
            "SELECT a WHERE false UNION SELECT b",
        ] {
            check(sql, sql);
        }
    }
}
