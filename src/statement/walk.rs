// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Walks over parsed SQL.
//!
//! sqlparser's visitor is generic, and the compiler writes its several hundred functions out once more for each type of
//! visitor and each closure: a minute of the optimised build apiece. These walks go through one visitor that knows the
//! others as trait objects.

use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{
    Expr, Query, Select, Statement, TableFactor, ValueWithSpan, VisitMut, VisitorMut,
};

use crate::error::Error;

/// Whether a walk goes on, or why not.
pub type Flow = ControlFlow<Box<Error>>;

/// Ends a walk.
pub fn stop(error: Error) -> Flow {
    ControlFlow::Break(Box::new(error))
}

/// What a walk does at the nodes it cares about: `enter_` before the node's children, `leave_` after them.
pub trait Walk {
    /// Before a query.
    fn enter_query(&mut self, _query: &mut Query) -> Flow {
        ControlFlow::Continue(())
    }
    /// After a query.
    fn leave_query(&mut self, _query: &mut Query) -> Flow {
        ControlFlow::Continue(())
    }
    /// Before a `SELECT`.
    fn enter_select(&mut self, _select: &mut Select) -> Flow {
        ControlFlow::Continue(())
    }
    /// Before something that `FROM` reads.
    fn enter_table_factor(&mut self, _factor: &mut TableFactor) -> Flow {
        ControlFlow::Continue(())
    }
    /// Before an expression.
    fn enter_expr(&mut self, _expr: &mut Expr) -> Flow {
        ControlFlow::Continue(())
    }
    /// Before a constant.
    fn enter_value(&mut self, _value: &mut ValueWithSpan) -> Flow {
        ControlFlow::Continue(())
    }
    /// After an expression.
    fn leave_expr(&mut self, _expr: &mut Expr) -> Flow {
        ControlFlow::Continue(())
    }
}

/// Walks a query.
pub fn query(node: &mut Query, walk: &mut dyn Walk) -> Flow {
    node.visit(&mut Walker(walk))
}

/// Walks an expression.
pub fn expr(node: &mut Expr, walk: &mut dyn Walk) -> Flow {
    node.visit(&mut Walker(walk))
}

/// Walks a statement, those inside DataFusion's own kinds (`COPY`, `EXPLAIN`) included.
pub fn statement(node: &mut Parsed, walk: &mut dyn Walk) -> Flow {
    match node {
        Parsed::Statement(inner) => sql(inner, walk),
        Parsed::Explain(inner) => statement(&mut inner.statement, walk),
        Parsed::CopyTo(inner) => match &mut inner.source {
            CopyToSource::Query(inner) => query(inner, walk),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        Parsed::CreateExternalTable(_) | Parsed::Reset(_) => ControlFlow::Continue(()),
    }
}

/// Walks a statement of SQL.
pub fn sql(node: &mut Statement, walk: &mut dyn Walk) -> Flow {
    node.visit(&mut Walker(walk))
}

/// Does the same at every expression, before its children.
pub struct EachExpr<F>(pub F);

impl<F: FnMut(&mut Expr) -> Flow> Walk for EachExpr<F> {
    fn enter_expr(&mut self, expr: &mut Expr) -> Flow {
        self.0(expr)
    }
}

/// The one visitor.
struct Walker<'a>(&'a mut dyn Walk);

impl VisitorMut for Walker<'_> {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        self.0.enter_query(query)
    }
    fn post_visit_query(&mut self, query: &mut Query) -> Flow {
        self.0.leave_query(query)
    }
    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        self.0.enter_select(select)
    }
    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        self.0.enter_table_factor(factor)
    }
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        self.0.enter_expr(expr)
    }
    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> Flow {
        self.0.enter_value(value)
    }
    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        self.0.leave_expr(expr)
    }
}
