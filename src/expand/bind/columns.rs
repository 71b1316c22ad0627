// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The columns that a body reads from a relation: found by name, said by a column argument, or worked out from others; and
//! of the type that the definition declares.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchemaRef, ScalarValue};
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{
    Expr as PlanExpr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, lit,
};
use datafusion::sql::sqlparser::ast::{Expr, FunctionArg};

use super::{Bound, Call, place_of};
use crate::diagnostic::nearest;
use crate::error::{Error, Result};
use crate::library::{Class, Column, Input};
use crate::statement::walk::{self, EachExpr};

/// Picks what the body reads from a relation, by name, by mapping or by replacement.
pub(super) fn columns(
    bound: &mut Bound,
    input: &Input,
    plan: LogicalPlan,
    given: &HashMap<String, (&FunctionArg, &Expr)>,
    relation: &str,
    call: &Call,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let mut picked = vec![];
    let mut lacking = vec![];
    for column in &input.columns {
        if let Some((argument, value)) = given.get(&column.parameter) {
            let place = place_of(argument);
            let expr = column_argument(&column.parameter, value, &schema, relation, context)
                .map_err(|e| e.at(place))?;
            if expr != PlanExpr::Literal(ScalarValue::Null, None) || !column.optional {
                picked.push(
                    classed(column, expr, &schema, Some(&value.to_string()))
                        .map_err(|e| e.at(place))?,
                );
            } else {
                // `order_id => NULL`: the caller says that there is none.
                bound.given.remove(&column.parameter);
                picked.push(lit(null_of(column.class)).alias(column.name.as_str()));
            }
        } else if let Some(field) = schema.fields().iter().position(|f| f.name() == &column.name) {
            bound.given.insert(column.parameter.clone());
            let (qualifier, field) = schema.qualified_field(field);
            let expr = PlanExpr::from((qualifier, field));
            picked.push(classed(column, expr, &schema, None).map_err(|e| {
                e.at(call.span()).hint(format!(
                    "write `{} => …` with an expression over `{relation}`",
                    column.parameter
                ))
            })?);
        } else if let Some(expr) =
            column.instead.iter().find_map(|e| context.sql_to_expr(e.clone(), &schema).ok())
        {
            // A column that may be missing is there; one that may not is worked out from others, which bodies can tell.
            if column.optional {
                bound.given.insert(column.parameter.clone());
            }
            picked.push(classed(column, expr, &schema, None).map_err(|e| e.at(call.span()))?);
        } else if column.optional {
            picked.push(lit(null_of(column.class)).alias(column.name.as_str()));
        } else {
            lacking.push(column);
        }
    }
    if !lacking.is_empty() {
        return Err(lacking_columns(call, &lacking, &schema, relation).at(call.span()));
    }
    Ok(LogicalPlanBuilder::from(plan).project(picked)?.build()?)
}

fn lacking_columns(
    call: &Call,
    lacking: &[&Column],
    schema: &DFSchemaRef,
    relation: &str,
) -> Error {
    let names: Vec<String> = lacking.iter().map(|c| c.name.clone()).collect();
    let all = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    let error =
        Error::query(format!("`{}` needs {all}, which {relation} does not have", call.shown));
    let found: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let error = error.note(format!(
        "{relation} has {}",
        found.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
    ));
    let mappings: Vec<String> = lacking
        .iter()
        .map(|column| {
            let known = |name: &&str| column.aliases.iter().any(|a| a.eq_ignore_ascii_case(name));
            let near = found.iter().find(|f| known(f)).map(|f| (*f).to_string());
            let near =
                near.or_else(|| nearest(&column.name, found.iter().copied()).into_iter().next());
            format!("{} => {}", column.parameter, near.map_or("…".into(), |n| quoted(&n)))
        })
        .collect();
    error.hint(format!(
        "say which columns they are: `{}({relation}, {})`",
        call.shown,
        mappings.join(", ")
    ))
}

/// A name as it must be written in SQL.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain { name.to_string() } else { format!("\"{name}\"") }
}

/// A column argument in the scope of the relation it belongs to. A name written without quotes finds a column that
/// differs only in case, as long as there is one such column.
pub(super) fn column_argument(
    parameter: &str,
    value: &Expr,
    schema: &DFSchemaRef,
    relation: &str,
    context: &mut dyn RelationPlannerContext,
) -> Result<PlanExpr> {
    let mut value = value.clone();
    let as_written = &mut EachExpr(|expr: &mut Expr| {
        if let Expr::Identifier(ident) = expr
            && ident.quote_style.is_none()
            && schema.field_with_unqualified_name(&ident.value.to_lowercase()).is_err()
        {
            let mut same =
                schema.fields().iter().filter(|f| f.name().eq_ignore_ascii_case(&ident.value));
            if let (Some(field), None) = (same.next(), same.next()) {
                ident.value.clone_from(field.name());
                ident.quote_style = Some('"');
            }
        }
        std::ops::ControlFlow::Continue(())
    });
    let _ = walk::expr(&mut value, as_written);
    let planned = context.sql_to_expr(value.clone(), schema).map_err(|e| {
        let error = Error::from(e);
        let found: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        match &value {
            Expr::Identifier(ident) => {
                let error = Error::query(format!("{relation} has no column `{}`", ident.value));
                match nearest(&ident.value, found.iter().copied()).as_slice() {
                    [] => error.note(format!("{relation} has {}", found.join(", "))),
                    near => {
                        error.hint(format!("did you mean `{parameter} => {}`?", quoted(&near[0])))
                    }
                }
            }
            _ => error,
        }
    })?;
    if reads_outer(&planned) {
        return Err(Error::query(format!(
            "`{parameter}` reads a column that is not in {relation}"
        )));
    }
    Ok(planned)
}

/// Whether it reads a column of the query around.
pub(super) fn reads_outer(expr: &PlanExpr) -> bool {
    expr.exists(|e| Ok(matches!(e, PlanExpr::OuterReferenceColumn(..)))).unwrap_or(true)
}

/// Checks a column's type and gives it the parameter's name.
fn classed(
    column: &Column,
    expr: PlanExpr,
    schema: &DFSchemaRef,
    written: Option<&str>,
) -> Result<PlanExpr> {
    let found = expr.get_type(schema.as_ref())?;
    let found = match &found {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        other => other.clone(),
    };
    let accepted = match column.class {
        Class::Any => true,
        Class::Numeric => found.is_numeric(),
        Class::Timestamp => {
            matches!(found, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
        }
        Class::Date => {
            matches!(found, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
        }
        Class::Varchar => {
            matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        }
        Class::Boolean => found == DataType::Boolean,
        Class::Integer => found.is_integer(),
    };
    let unknown = found == DataType::Null;
    if !accepted && !unknown {
        let what = written.map_or(format!("the column `{}`", column.name), |w| format!("`{w}`"));
        let error = Error::query(format!(
            "`{}` takes {}; {what} is of type {found}",
            column.name,
            column.class.expected()
        ));
        return Err(match (column.class, &found) {
            (Class::Timestamp, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8) => error
                .hint(format!(
                    "write `{} => to_timestamp({}, '%Y-%m-%d %H:%M:%S')`",
                    column.name,
                    written.unwrap_or(&column.name)
                )),
            (Class::Timestamp, other) if other.is_integer() => error.hint(format!(
                "for a day like 20240131 write `{} => to_timestamp(CAST({} AS VARCHAR), '%Y%m%d')`",
                column.name,
                written.unwrap_or(&column.name)
            )),
            (Class::Numeric, _) => error.hint(format!(
                "write `{} => CAST({} AS DECIMAL(18,4))`",
                column.name,
                written.unwrap_or(&column.name)
            )),
            (Class::Varchar, _) => error.hint(format!(
                "write `{} => CAST({} AS VARCHAR)`",
                column.name,
                written.unwrap_or(&column.name)
            )),
            _ => error,
        });
    }
    let expr = match (column.class, &found) {
        (_, DataType::Null) => cast(expr, null_of(column.class).data_type()),
        (Class::Timestamp, DataType::Date32 | DataType::Date64) => {
            cast(expr, DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        // A time zone is only how an instant is shown; analyses count in UTC.
        (Class::Timestamp, DataType::Timestamp(unit, Some(_))) => {
            cast(expr, DataType::Timestamp(*unit, None))
        }
        (Class::Date, DataType::Timestamp(..) | DataType::Date64) => cast(expr, DataType::Date32),
        _ => expr,
    };
    Ok(expr.alias(column.name.as_str()))
}

/// The NULL of a column that is not there.
pub(super) fn null_of(class: Class) -> ScalarValue {
    match class {
        // Nothing is known of its type, and it must not decide that of an expression it meets.
        Class::Any => ScalarValue::Null,
        Class::Varchar => ScalarValue::Utf8View(None),
        Class::Numeric => ScalarValue::Decimal128(None, 18, 4),
        Class::Timestamp => ScalarValue::TimestampMicrosecond(None, None),
        Class::Date => ScalarValue::Date32(None),
        Class::Boolean => ScalarValue::Boolean(None),
        Class::Integer => ScalarValue::Int64(None),
    }
}
