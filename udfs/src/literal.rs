// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Arguments of an aggregate that choose what it does, and so must be known before any row.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::ColumnarValue;
use datafusion_expr::function::AccumulatorArgs;

/// The value of argument number `index`, counted from 0; `None` when the call does not have it.
///
/// This runs when the query starts, not when it is planned, because a parameter of a prepared
/// statement (`$1`) has no value earlier.
pub(crate) fn literal(
    args: &AccumulatorArgs,
    function: &str,
    name: &str,
    index: usize,
) -> Result<Option<ScalarValue>> {
    let Some(expr) = args.exprs.get(index) else { return Ok(None) };
    // A literal is what needs no columns.
    let nothing = RecordBatch::new_empty(Arc::new(Schema::empty()));
    match expr.evaluate(&nothing) {
        Ok(ColumnarValue::Scalar(value)) => Ok(Some(value)),
        Ok(ColumnarValue::Array(_)) | Err(_) => {
            plan_err!("`{function}`: argument `{name}` must be a literal, found `{expr}`")
        }
    }
}
