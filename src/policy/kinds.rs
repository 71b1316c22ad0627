// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Kinds of expressions: how messages call them, and which are constants.

use datafusion::logical_expr::Expr;

/// How a message names an expression: by its kind, without its constants.
pub(super) fn kind_of(expr: &Expr) -> &'static str {
    match expr {
        Expr::Alias(_) => "an alias",
        Expr::Column(_) => "a column",
        Expr::ScalarVariable(..) => "a variable",
        Expr::Literal(..) => "a constant",
        Expr::BinaryExpr(_) => "an operator",
        Expr::Like(_) => "LIKE",
        Expr::SimilarTo(_) => "SIMILAR TO",
        Expr::Not(_) => "NOT",
        Expr::IsNotNull(_) | Expr::IsNull(_) => "a test for NULL",
        Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_) => "a test for a truth value",
        Expr::Negative(_) => "a negation",
        Expr::Between(_) => "BETWEEN",
        Expr::Case(_) => "CASE",
        Expr::Cast(_) | Expr::TryCast(_) => "a cast",
        Expr::ScalarFunction(_) | Expr::HigherOrderFunction(_) => "a function",
        Expr::AggregateFunction(_) => "an aggregate",
        Expr::WindowFunction(_) => "a window function",
        Expr::InList(_) => "IN",
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => "a subquery's test",
        Expr::ScalarSubquery(_) => "a subquery",
        #[expect(deprecated, reason = "exhaustive")]
        Expr::Wildcard { .. } => "a wildcard",
        Expr::GroupingSet(_) => "a grouping set",
        Expr::Placeholder(_) => "a parameter without a value",
        Expr::OuterReferenceColumn(..) => "a column of an outer query",
        Expr::Unnest(_) => "UNNEST",
        Expr::Lambda(_) | Expr::LambdaVariable(_) => "a lambda",
    }
}

/// Nodes that give the same value whenever they are asked, apart from functions.
pub(super) fn is_constant_node(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..)
        | Expr::Alias(_)
        | Expr::BinaryExpr(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::InList(_)
        | Expr::Like(_) => true,
        Expr::Column(_)
        | Expr::ScalarVariable(..)
        | Expr::SimilarTo(_)
        | Expr::ScalarFunction(_)
        | Expr::AggregateFunction(_)
        | Expr::WindowFunction(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_)
        | Expr::ScalarSubquery(_)
        | Expr::GroupingSet(_)
        | Expr::Placeholder(_)
        | Expr::OuterReferenceColumn(..)
        | Expr::Unnest(_)
        | Expr::HigherOrderFunction(_)
        | Expr::Lambda(_)
        | Expr::LambdaVariable(_) => false,
        #[expect(deprecated, reason = "exhaustive")]
        Expr::Wildcard { .. } => false,
    }
}
