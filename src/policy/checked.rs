// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Sums that cannot wrap. DataFusion adds whole numbers up modulo 2⁶⁴ and says nothing; here they are added up in 128 bits,
//! and a sum that does not fit its type is NULL.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, cast, try_cast};

use crate::error::Result;

/// Twenty digits hold every whole number of 64 bits; the sum of 10¹⁰ of them has ten digits more.
const WHOLE: DataType = DataType::Decimal128(20, 0);

/// The sum in 128 bits that stands for a sum of whole numbers, and the type that the statement expects.
pub(super) fn sum(call: &Expr, schema: &DFSchema) -> Result<Option<(Expr, DataType)>> {
    let function = match call {
        Expr::Alias(alias) => return sum(&alias.expr, schema),
        Expr::AggregateFunction(function) => function,
        _ => return Ok(None),
    };
    let [argument] = function.params.args.as_slice() else { return Ok(None) };
    if function.func.name() != "sum" || !argument.get_type(schema)?.is_integer() {
        return Ok(None);
    }
    let mut params = function.params.clone();
    params.args = vec![cast(argument.clone(), WHOLE)];
    let wide = AggregateFunction { func: std::sync::Arc::clone(&function.func), params };
    Ok(Some((Expr::AggregateFunction(wide), call.get_type(schema)?)))
}

/// The sum in the expected type, NULL where it does not fit.
pub(super) fn fitted(column: Column, data_type: DataType) -> Expr {
    try_cast(Expr::Column(column), data_type)
}
