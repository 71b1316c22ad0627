// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Constant arguments: their type, what is allowed within the type, and what stands in the body for them.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr as PlanExpr, ExprSchemable};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::ast::{CastKind, Expr, Value, ValueWithSpan};

use super::super::TableFunctions;
use super::columns::reads_outer;
use crate::diagnostic::nearest;
use crate::error::{Error, Result};
use crate::library::{Limit, Parameter, Scalar};

pub(super) fn text(word: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(word.to_string()).into())
}

/// A text, also one that another macro passes on with its type.
pub(in crate::expand) fn is_text(value: &Expr) -> bool {
    match value {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_text(inner),
        Expr::Value(ValueWithSpan { value, .. }) => {
            matches!(value, Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_))
        }
        _ => false,
    }
}

/// What stands in the body for a constant: itself, of the declared type.
pub(super) fn typed(mut value: Expr, scalar: &Scalar) -> Expr {
    // The text of a parameter is one as any other.
    if let Expr::Value(ValueWithSpan { value, .. }) = &mut value
        && let Value::EscapedStringLiteral(text) = value
    {
        *value = Value::SingleQuotedString(std::mem::take(text));
    }
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(value),
        data_type: scalar.data_type.clone(),
        array: false,
        format: None,
    }
}

/// Checks a constant argument: that it is one, its type, and what is allowed within the type.
pub(super) fn check_scalar(
    functions: &TableFunctions,
    declared: &Parameter,
    scalar: &Scalar,
    value: &Expr,
    context: &mut dyn RelationPlannerContext,
) -> Result<()> {
    let (parameter, default) = (&declared.name, &declared.default);
    let wanted = &scalar.data_type;
    let nothing = DFSchema::empty();
    let planned = context.sql_to_expr(value.clone(), &nothing);
    let planned = match planned {
        Ok(expr) if !reads_outer(&expr) => expr,
        _ => {
            let mut error = Error::query(format!(
                "`{parameter}` takes a constant of type {wanted}; found `{value}`"
            ));
            if let (Expr::Identifier(ident), true) = (value, is_texty(wanted)) {
                error = error.hint(format!(
                    "a text is written in single quotes: `{parameter} => '{}'`",
                    ident.value
                ));
            }
            return Err(error);
        }
    };
    let target = context.sql_to_expr(typed(value.clone(), scalar), &nothing)?;
    let target_type = target.get_type(&nothing)?;
    let found = match &planned {
        // A prepared statement's value comes later; the cast in the body checks it then.
        PlanExpr::Placeholder(_)
            if !target_type.is_integer() && (target_type.is_numeric() || is_time(&target_type)) =>
        {
            return Ok(());
        }
        PlanExpr::Placeholder(_) => {
            return Err(Error::query(format!("`{parameter}` decides what is planned and must be a constant; found `{value}`"))
                .hint("prepare the statement through Comptoir's engine, which puts the values in before it plans"));
        }
        expr => expr.get_type(&nothing)?,
    };
    if !suits(&found, &target_type) {
        return Err(Error::query(format!(
            "`{parameter}` takes {wanted}; found `{value}` of type {found}"
        )));
    }
    let state = functions.state()?;
    let constant = evaluate(target, &state.read()).map_err(|e| {
        Error::query(format!("`{parameter}` takes {wanted}; `{value}` is not one"))
            .note(Error::from(e).message)
    })?;
    let Some(constant) = constant else {
        return Err(Error::query(format!(
            "`{parameter}` takes a constant of type {wanted}; found `{value}`"
        )));
    };
    if constant.is_null() {
        let by_default =
            matches!(default, Some(Expr::Value(ValueWithSpan { value: Value::Null, .. })));
        return match by_default {
            true => Ok(()),
            false => Err(Error::query(format!("`{parameter}` may not be NULL"))),
        };
    }
    match &scalar.limit {
        Limit::None => Ok(()),
        Limit::Range(low, high) => {
            let number = match constant.cast_to(&DataType::Float64)? {
                ScalarValue::Float64(Some(number)) => number,
                _ => return Ok(()),
            };
            if (*low..=*high).contains(&number) {
                Ok(())
            } else {
                Err(Error::query(format!(
                    "`{parameter}` is between {low} and {high}; found `{value}`"
                )))
            }
        }
        Limit::Words(words) => {
            let word = constant.to_string();
            if words.contains(&word) {
                return Ok(());
            }
            let all: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
            let error = Error::query(format!(
                "`{parameter}` is one of {}; found `{value}`",
                all.join(", ")
            ));
            Err(match nearest(&word, words.iter().map(String::as_str)).first() {
                Some(near) => error.hint(format!("did you mean `{parameter} => '{near}'`?")),
                None => error,
            })
        }
    }
}

pub(super) fn is_texty(data_type: &datafusion::sql::sqlparser::ast::DataType) -> bool {
    use datafusion::sql::sqlparser::ast::DataType as Sql;
    matches!(data_type, Sql::Varchar(_) | Sql::Text | Sql::String(_))
}

pub(super) fn is_time(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Interval(_)
    )
}

/// Whether a value of one type may be given for another: numbers for numbers, text for text and for times.
pub(super) fn suits(found: &DataType, wanted: &DataType) -> bool {
    let is_text =
        |t: &DataType| matches!(t, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    match (found, wanted) {
        (DataType::Null, _) => true,
        (f, w) if w.is_integer() => f.is_integer(),
        (f, w) if w.is_numeric() => f.is_numeric(),
        (f, w) if is_text(w) => is_text(f),
        (f, w) if is_time(w) => is_time(f) || is_text(f),
        (DataType::Interval(_) | DataType::Utf8 | DataType::Utf8View, DataType::Interval(_)) => {
            true
        }
        (f, DataType::List(item)) => match f {
            DataType::List(found)
            | DataType::LargeList(found)
            | DataType::FixedSizeList(found, _) => suits(found.data_type(), item.data_type()),
            _ => false,
        },
        (f, w) => f == w,
    }
}

/// The value of a constant expression, or `None` when it is only known at run time.
pub(super) fn evaluate(
    expr: PlanExpr,
    state: &SessionState,
) -> Result<Option<ScalarValue>, DataFusionError> {
    let context = SimplifyContext::builder()
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let expr = simplifier.coerce(expr, &DFSchema::empty())?;
    Ok(match simplifier.simplify(expr)? {
        PlanExpr::Literal(value, _) => Some(value),
        _ => None,
    })
}
