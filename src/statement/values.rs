// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What the parser has read, in the words that the planner understands: the texts of parameters, and `NOT IN`.
//!
//! The texts of parameters, which the parser has seen where values stand, were put in as `E'…'`, which is never a name. Behind the parser they are texts as any other: the planner knows
//! `'…'` in more places. Only an argument of a table function stays as it is, for it may be a relation: `'orders'` names
//! one there, and a parameter's text must not.

use std::collections::HashSet;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, TableFactor, UnaryOperator, Value,
    ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::walk::{self, Flow, Walk};
use crate::error::Result;

/// Makes texts of parameters plain texts where they cannot be taken for names, and `NOT IN` what it means.
pub(super) fn settle(parsed: &mut Parsed) -> Result<()> {
    match walk::statement(parsed, &mut Settle::default()) {
        Flow::Continue(()) => Ok(()),
        Flow::Break(error) => Err(*error),
    }
}

#[derive(Default)]
struct Settle {
    /// Where arguments of table functions stand.
    arguments: HashSet<Span>,
}

impl Settle {
    fn keep(&mut self, arguments: &[FunctionArg]) {
        for argument in arguments {
            match argument {
                FunctionArg::Named { arg: FunctionArgExpr::Expr(value), .. }
                | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(value), .. }
                | FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => self.keep_value(value),
                _ => {}
            }
        }
    }

    fn keep_value(&mut self, value: &Expr) {
        match value {
            Expr::Nested(inner) => self.keep_value(inner),
            Expr::Value(value) => {
                self.arguments.insert(value.span);
            }
            // `f(g($table))`
            Expr::Function(function) => {
                if let FunctionArguments::List(list) = &function.args {
                    self.keep(&list.args);
                }
            }
            _ => {}
        }
    }
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

impl Walk for Settle {
    /// The engine takes `2 NOT IN (SELECT …)` for true where the query gives NULL, and it is unknown. In other words it
    /// knows that.
    fn enter_expr(&mut self, expr: &mut Expr) -> Flow {
        let found = match expr {
            Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => bare(inner),
            Expr::InSubquery { negated: true, .. } => expr,
            _ => return Flow::Continue(()),
        };
        if let Expr::InSubquery { expr: left, .. } = found
            && is_constant(left)
        {
            super::assertion::in_words(found);
        }
        Flow::Continue(())
    }

    fn enter_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        match factor {
            TableFactor::Table { args: Some(arguments), .. } => self.keep(&arguments.args),
            TableFactor::Function { args, .. } => self.keep(args),
            TableFactor::TableFunction { expr, .. } => self.keep_value(expr),
            _ => {}
        }
        Flow::Continue(())
    }

    fn enter_value(&mut self, value: &mut ValueWithSpan) -> Flow {
        if let Value::EscapedStringLiteral(text) = &mut value.value
            && !self.arguments.contains(&value.span)
        {
            value.value = Value::SingleQuotedString(std::mem::take(text));
        }
        Flow::Continue(())
    }
}
