// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `rescale(amount, factor)`: money times a number, still money.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use datafusion_common::utils::take_function_args;
use datafusion_common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};
use datafusion_macros::user_doc;

/// The scalar function `rescale`.
pub(crate) fn rescale() -> ScalarUDF {
    ScalarUDF::from(Rescale::new())
}

#[user_doc(
    doc_section(label = "Marketing"),
    description = "Multiplies an amount by a factor and keeps its type: a decimal is rounded to its own digits, halves away \
from zero, where `amount * factor` would give a DOUBLE or other digits. Precise to 15 digits, as the factor is. NULL when \
either is, or when the factor is NaN or infinite.",
    syntax_example = "rescale(amount, factor)",
    sql_example = r#"```sql
> SELECT rescale(CAST(10 AS DECIMAL(18, 4)), 1.0 / 3) AS third;
+--------+
| third  |
+--------+
| 3.3333 |
+--------+
```"#,
    argument(name = "amount", description = "A decimal of at most 38 digits, or a float."),
    argument(name = "factor", description = "A number.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct Rescale {
    signature: Signature,
}

impl Rescale {
    fn new() -> Self {
        // Coercion is our own because the result follows the amount.
        let type_signature = TypeSignature::UserDefined;
        Self {
            signature: Signature {
                type_signature,
                volatility: Volatility::Immutable,
                parameter_names: None,
            },
        }
    }
}

impl ScalarUDFImpl for Rescale {
    fn name(&self) -> &str {
        "rescale"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [amount, factor] = arg_types else {
            return plan_err!(
                "`rescale` takes 2 arguments (amount, factor), found {}",
                arg_types.len()
            );
        };
        let amount = match amount {
            DataType::Decimal128(_, _) | DataType::Float64 | DataType::Null => amount.clone(),
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
                DataType::Decimal128(*precision, *scale)
            }
            DataType::Float16 | DataType::Float32 => DataType::Float64,
            other => {
                return plan_err!(
                    "`rescale`: argument `amount` must be a decimal of at most 38 digits or a float, found {other}"
                );
            }
        };
        if !factor.is_numeric() && !factor.is_null() {
            return plan_err!("`rescale`: argument `factor` must be a number, found {factor}");
        }
        Ok(vec![amount, DataType::Float64])
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [amount, _] => Ok(amount.clone()),
            _ => {
                plan_err!("`rescale` takes 2 arguments (amount, factor), found {}", arg_types.len())
            }
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [amount, factor] = take_function_args(self.name(), args.args)?;
        let (amount, factor) = (amount.into_array(rows)?, factor.into_array(rows)?);
        let factor = factor.as_primitive::<Float64Type>();
        Ok(ColumnarValue::Array(rescaled(&amount, factor)?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn rescaled(amounts: &ArrayRef, factors: &Float64Array) -> Result<ArrayRef> {
    let factor = |row: usize| {
        (factors.is_valid(row)).then(|| factors.value(row)).filter(|factor| factor.is_finite())
    };
    Ok(match amounts.data_type() {
        DataType::Decimal128(_, _) => {
            let column = amounts.as_primitive::<Decimal128Type>();
            let scaled = (0..column.len())
                .map(|row| match factor(row).filter(|_| column.is_valid(row)) {
                    Some(factor) => times(column.value(row), factor).map(Some),
                    None => Ok(None),
                })
                .collect::<Result<Decimal128Array>>()?;
            Arc::new(scaled.with_data_type(amounts.data_type().clone()))
        }
        DataType::Float64 => {
            let column = amounts.as_primitive::<Float64Type>();
            let scaled = (0..column.len())
                .map(|row| Some(factor(row).filter(|_| column.is_valid(row))? * column.value(row)));
            Arc::new(scaled.collect::<Float64Array>())
        }
        DataType::Null => Arc::clone(amounts),
        other => return exec_err!("`rescale` cannot multiply an amount of type {other}"),
    })
}

/// A factor of 0 or 1 is exact whatever the amount.
fn times(units: i128, factor: f64) -> Result<i128> {
    if factor == 1.0 {
        return Ok(units);
    }
    let product = (units as f64 * factor).round();
    if product.abs() < 1e38 {
        Ok(product as i128)
    } else {
        Err(exec_datafusion_err!("`rescale`: {product} is too large for a decimal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_stay_decimals() -> Result<()> {
        let amounts = Decimal128Array::from(vec![Some(100_000), Some(-15), None, Some(7), Some(7)]);
        let amounts: ArrayRef = Arc::new(amounts.with_data_type(DataType::Decimal128(18, 4)));
        let factors = [Some(1.0 / 3.0), Some(0.5), Some(1.0), None, Some(f64::INFINITY)];
        let found = rescaled(&amounts, &Float64Array::from(factors.to_vec()))?;
        let expected = Decimal128Array::from(vec![Some(33_333), Some(-8), None, None, None]);
        let expected: ArrayRef = Arc::new(expected.with_data_type(DataType::Decimal128(18, 4)));
        assert_eq!(&found, &expected);
        assert_eq!(times(i128::MAX / 2, 1.0)?, i128::MAX / 2);
        assert!(times(i128::MAX / 2, 3.0).is_err());
        Ok(())
    }
}
