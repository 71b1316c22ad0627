// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The texts of parameters, once the parser has seen that they stand where values do.
//!
//! They were put in as `E'…'`, which is never a name. Behind the parser they are texts as any other: the planner knows
//! `'…'` in more places. Only an argument of a table function stays as it is, for it may be a relation: `'orders'` names
//! one there, and a parameter's text must not. On the same walk `NOT IN` is put in other words.

use std::collections::HashSet;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, TableFactor, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::not_in;
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

impl Walk for Settle {
    fn enter_expr(&mut self, expr: &mut Expr) -> Flow {
        not_in::settle(expr);
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
