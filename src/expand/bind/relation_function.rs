// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The arguments of a relation function written in Rust: relations, columns, lists of columns, constants.

use std::sync::Arc;

use comptoir_udfs::{
    Arguments, CallTakes, ColumnCall, ListedColumn, ParameterKind, RelationFunction,
};
use datafusion::common::{DFSchema, DFSchemaRef, ScalarValue, Span};
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr as PlanExpr, ExprSchemable, cast, lit};
use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, Spanned};

use super::super::{Call, TableFunctions, call_of, last_ident, normalise};
use super::columns::reads_outer;
use super::constant::{evaluate, suits};
use super::{assign, column_argument, place_of, relation, shown};
use crate::diagnostic::nearest;
use crate::error::{Error, Result};

/// Binds a call of a relation function written in Rust.
pub(in crate::expand) fn relation_function(
    functions: &TableFunctions,
    function: &dyn RelationFunction,
    call: &Call,
    context: &mut dyn RelationPlannerContext,
) -> Result<Arguments> {
    let names: Vec<(String, bool)> =
        function.parameters().iter().map(|p| (p.name.to_string(), true)).collect();
    let given = assign(function.name(), &names, &call.arguments)?;
    let mut bound = Arguments::new(function.name());
    let lacks = |name: &str, meaning: &str| {
        Error::query(format!("`{}` needs the argument `{name}`", function.name()))
            .at(call.span())
            .note(format!("`{name}`: {meaning}"))
    };
    let mut input: Option<(String, DFSchemaRef)> = None;
    for parameter in function.parameters() {
        let argument = given.get(parameter.name).copied();
        let place = argument.and_then(|(a, _)| place_of(a)).or(call.span());
        match (&parameter.kind, argument) {
            (
                kind @ (ParameterKind::Relation | ParameterKind::OptionalRelation),
                Some((_, value)),
            ) => {
                let plan = relation(functions, parameter.name, value, context)
                    .map_err(|e| if e.span.is_some() { e } else { e.at(place) })?;
                if input.is_none() && *kind == ParameterKind::Relation {
                    input = Some((shown(value), Arc::clone(plan.schema())));
                }
                bound = bound.with_relation(parameter.name, plan);
            }
            (ParameterKind::Column { .. }, Some((_, value))) => {
                let (relation, schema) =
                    input.as_ref().ok_or_else(|| lacks(parameter.name, parameter.description))?;
                let expr = column_argument(parameter.name, value, schema, relation, context)
                    .map_err(|e| e.at(place))?;
                bound = bound.with_column(parameter.name, expr);
            }
            (ParameterKind::Columns { calls, .. }, Some((_, value))) => {
                let (relation, schema) =
                    input.as_ref().ok_or_else(|| lacks(parameter.name, parameter.description))?;
                let columns =
                    ColumnList { functions, parameter: parameter.name, calls, relation, schema }
                        .bind(value, context)
                        .map_err(|e| if e.span.is_some() { e } else { e.at(place) })?;
                bound = bound.with_columns(parameter.name, columns);
            }
            (ParameterKind::Scalar { data_type, .. }, Some((_, value))) => {
                let wrong = || {
                    Error::query(format!(
                        "`{}` takes a constant of type {data_type}; found `{value}`",
                        parameter.name
                    ))
                    .at(place)
                };
                let planned =
                    context.sql_to_expr(value.clone(), &DFSchema::empty()).map_err(|_| wrong())?;
                if reads_outer(&planned)
                    || !suits(&planned.get_type(&DFSchema::empty())?, data_type)
                {
                    return Err(wrong());
                }
                let state = functions.state()?;
                let expr = match evaluate(planned.clone(), &state.read())? {
                    Some(constant) => lit(constant.cast_to(data_type).map_err(|_| wrong())?),
                    // A prepared statement's value comes later.
                    None => cast(planned, data_type.clone()),
                };
                bound = bound.with_scalar(parameter.name, expr);
            }
            (ParameterKind::Scalar { default: Some(default), .. }, None) => {
                bound = bound.with_scalar(parameter.name, lit(default.clone()));
            }
            (
                ParameterKind::OptionalRelation
                | ParameterKind::Column { optional: true }
                | ParameterKind::Columns { optional: true, .. },
                None,
            ) => {}
            (_, None) => return Err(lacks(parameter.name, parameter.description)),
        }
    }
    Ok(bound)
}

/// What a list of columns is bound with.
struct ColumnList<'a> {
    functions: &'a TableFunctions,
    parameter: &'a str,
    calls: &'static [ColumnCall],
    relation: &'a str,
    schema: &'a DFSchemaRef,
}

impl ColumnList<'_> {
    /// The columns of `[a, call(b, …)]`, or of one of them without brackets.
    fn bind(
        &self,
        value: &Expr,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<Vec<ListedColumn>> {
        let elements = match value {
            Expr::Array(array) => array.elem.as_slice(),
            other => std::slice::from_ref(other),
        };
        if elements.is_empty() {
            return Err(Error::query(format!("`{}` needs a column", self.parameter))
                .hint(format!("write `{} => [a, b]`", self.parameter)));
        }
        let mut columns: Vec<ListedColumn> = vec![];
        for element in elements {
            let place = Span::try_from_sqlparser_span(element.span());
            let column = self
                .element(element, context)
                .map_err(|e| if e.span.is_some() { e } else { e.at(place) })?;
            if columns.iter().any(|c| c.name == column.name) {
                return Err(Error::query(format!(
                    "`{}` has the column `{}` twice",
                    self.parameter, column.name
                ))
                .at(place));
            }
            columns.push(column);
        }
        Ok(columns)
    }

    fn element(
        &self,
        element: &Expr,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<ListedColumn> {
        if let Expr::Function(function) = element {
            let call = call_of(function.clone())?;
            let name = normalise(&call.name);
            if let Some(known) = self.calls.iter().find(|c| c.name == name) {
                return self.call(known, &call, context);
            }
        }
        let expr = column_argument(self.parameter, element, self.schema, self.relation, context)
            .map_err(|e| self.mention_calls(element, e))?;
        let name = match &expr {
            PlanExpr::Column(column) => column.name.clone(),
            _ => element.to_string(),
        };
        Ok(ListedColumn { name, expr, call: None, values: vec![], relation: None })
    }

    /// A function that nobody knows may be meant for a call of the list's own.
    fn mention_calls(&self, element: &Expr, error: Error) -> Error {
        let Expr::Function(function) = element else { return error };
        if self.calls.is_empty() {
            return error;
        }
        let name = normalise(&last_ident(&function.name));
        let examples: Vec<&str> = self.calls.iter().map(|c| c.example).collect();
        let error = match error.message.starts_with("Invalid function") {
            true => Error::query(format!(
                "there is neither a function nor a way to list a column `{name}`"
            )),
            false => error,
        };
        let error = error.note(format!("`{}` also takes {}", self.parameter, examples.join(", ")));
        match nearest(&name, self.calls.iter().map(|c| c.name)).first() {
            Some(near) => error.hint(format!("did you mean `{near}(…)`?")),
            None => error,
        }
    }

    fn call(
        &self,
        known: &ColumnCall,
        call: &Call,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<ListedColumn> {
        let example = || format!("write it like `{}`", known.example);
        let mut values = vec![];
        for argument in &call.arguments {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => values.push(value),
                other => {
                    return Err(Error::query(format!(
                        "`{other}` cannot be an argument of `{}`",
                        known.name
                    ))
                    .at(place_of(other))
                    .hint(example()));
                }
            }
        }
        let Some((column, rest)) = values.split_first() else {
            return Err(Error::query(format!("`{}` needs a column", known.name)).hint(example()));
        };
        let expr = column_argument(self.parameter, column, self.schema, self.relation, context)
            .map_err(|e| e.at(Span::try_from_sqlparser_span(column.span())))?;
        let name = match &expr {
            PlanExpr::Column(column) => column.name.clone(),
            _ => column.to_string(),
        };
        let mut listed =
            ListedColumn { name, expr, call: Some(known.name), values: vec![], relation: None };
        match (known.takes, rest) {
            (CallTakes::Nothing, []) => {}
            (CallTakes::Relation, [table]) => {
                listed.relation = Some(relation(self.functions, known.name, table, context)?);
            }
            (CallTakes::Values, [_, ..]) => {
                for value in rest {
                    let place = Span::try_from_sqlparser_span(value.span());
                    let constant = self
                        .constant(value, context)?
                        .filter(|constant| !constant.is_null())
                        .ok_or_else(|| {
                            Error::query(format!(
                                "`{}` takes constants after the column; found `{value}`",
                                known.name
                            ))
                            .at(place)
                            .hint(example())
                        })?;
                    listed.values.push(constant);
                }
            }
            (CallTakes::Nothing, _) => {
                return Err(
                    Error::query(format!("`{}` takes a column only", known.name)).hint(example())
                );
            }
            (CallTakes::Relation, _) => {
                return Err(Error::query(format!(
                    "`{}` takes a column and a relation",
                    known.name
                ))
                .hint(example()));
            }
            (CallTakes::Values, _) => {
                return Err(Error::query(format!(
                    "`{}` takes a column and one constant or more",
                    known.name
                ))
                .hint(example()));
            }
        }
        Ok(listed)
    }

    /// The value of an expression without columns, or `None` for another.
    fn constant(
        &self,
        value: &Expr,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<Option<ScalarValue>> {
        match context.sql_to_expr(value.clone(), &DFSchema::empty()) {
            Ok(planned) if !reads_outer(&planned) => {
                let state = self.functions.state()?;
                Ok(evaluate(planned, &state.read())?)
            }
            _ => Ok(None),
        }
    }
}
