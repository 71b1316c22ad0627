// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`CrossElasticity`]: how the quantity of one sku answers to the price of another.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Builder, Int64Builder, StringBuilder, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use crate::elasticity_fit::{Controls, Inference, Options, cross};
use crate::price_periods::{list_type, read_periods};
use crate::signature::{Takes, coerce_each, coerced_by_itself};

/// The scalar function `cross_elasticity`.
pub(crate) fn cross_elasticity() -> ScalarUDF {
    ScalarUDF::from(CrossElasticity::new())
}

const NAME: &str = "cross_elasticity";
const PARAMETERS: [&str; 6] =
    ["periods_a", "periods_b", "controls", "exclude_promo", "exclude_stockout", "conf"];

#[user_doc(
    doc_section(label = "Products"),
    description = "Fits how the quantity of a sku a answers to the price of another sku b, its own price held fixed, over \
the periods in which both were on sale, as `price_periods` lists them. Returns a struct of `method` ('loglog' or 'ppml', as \
`elasticity_fit` chooses), `cross_elasticity`, `std_error` (HC1), `ci_low`, `ci_high`, `p_value`, `n_obs` and `reason` \
(why there is none: few_periods, not_identified or not_converged). Above 0 the two are substitutes, below 0 complements. \
Periods in which either was in a promotion or out of stock are left out. Needs O(p · k²) time for p periods and k controls.",
    syntax_example = "cross_elasticity(periods_a, periods_b[, controls[, exclude_promo[, exclude_stockout[, conf]]]])",
    sql_example = r#"```sql
> SELECT round(c['cross_elasticity'], 2) AS cross_elasticity, c['n_obs'] AS n_obs
  FROM (
    SELECT cross_elasticity(price_periods(date, qa, pa), price_periods(date, qb, pb)) AS c
    FROM (VALUES
      (DATE '2026-01-05', 100, 10.0, 50, 5.0), (DATE '2026-01-12', 121, 10.0, 41, 6.0), (DATE '2026-01-19', 79, 11.0, 52, 5.0),
      (DATE '2026-01-26', 97, 11.0, 40, 6.0), (DATE '2026-02-02', 104, 10.0, 45, 5.5)
    ) AS sales(date, qa, pa, qb, pb)
  );
+------------------+-------+
| cross_elasticity | n_obs |
+------------------+-------+
| 1.08             | 5     |
+------------------+-------+
```"#,
    argument(
        name = "periods_a",
        description = "The periods of the sku whose quantity is explained; they need dates."
    ),
    argument(
        name = "periods_b",
        description = "The periods of the sku whose price may explain it; they need dates."
    ),
    argument(
        name = "controls",
        description = "'auto', the default, 'none', 'trend' or 'season', a literal, as for `elasticity_fit`."
    ),
    argument(
        name = "exclude_promo",
        description = "Whether periods of promotions are left out, a literal; by default true."
    ),
    argument(
        name = "exclude_stockout",
        description = "Whether periods in which either was out of stock are left out, a literal; by default true."
    ),
    argument(
        name = "conf",
        description = "The confidence of the interval, a literal above 0 and below 1; by default 0.95."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct CrossElasticity {
    signature: Signature,
}

impl CrossElasticity {
    fn new() -> Self {
        // Coercion is our own so that an error names the argument.
        Self { signature: coerced_by_itself(&PARAMETERS) }
    }
}

impl ScalarUDFImpl for CrossElasticity {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerce_each(NAME, &PARAMETERS, 2, arg_types, takes)
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(result_fields()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let options = options(&args.args)?;
        let lists = ColumnarValue::values_to_arrays(&args.args[..2])?;
        let (a, b) = (lists[0].as_list::<i32>(), lists[1].as_list::<i32>());
        let mut method = StringBuilder::new();
        let mut numbers: [Float64Builder; 5] = Default::default();
        let mut n_obs = Int64Builder::new();
        let mut reason = StringBuilder::new();
        let (mut left, mut right, mut quantiles) = (vec![], vec![], HashMap::new());
        for row in 0..a.len() {
            read_periods(a, row, &mut left)?;
            read_periods(b, row, &mut right)?;
            let found = cross(&left, &right, &options, &mut quantiles);
            let estimate = found.estimate.as_ref().ok();
            method.append_option(estimate.map(|e| e.method));
            let i: Option<Inference> = estimate.and_then(|e| e.inference);
            let row = [
                estimate.map(|e| e.elasticity),
                i.map(|i| i.std_error),
                i.map(|i| i.low),
                i.map(|i| i.high),
                i.map(|i| i.p_value),
            ];
            numbers
                .iter_mut()
                .zip(row)
                .for_each(|(column, v)| column.append_option(v.filter(|v| v.is_finite())));
            n_obs.append_value(found.n_obs as i64);
            reason.append_option(found.estimate.as_ref().err().copied());
        }
        let mut columns: Vec<ArrayRef> = vec![Arc::new(method.finish())];
        columns.extend(numbers.iter_mut().map(|c| Arc::new(c.finish()) as ArrayRef));
        columns.push(Arc::new(n_obs.finish()));
        columns.push(Arc::new(reason.finish()));
        let result = StructArray::try_new(result_fields(), columns, None)?;
        Ok(ColumnarValue::Array(Arc::new(result)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn takes(place: usize) -> Takes {
    match place {
        0 | 1 => Takes::Exactly(list_type(), "a list that `price_periods` makes"),
        2 => Takes::Text,
        3 | 4 => Takes::Boolean,
        _ => Takes::Number,
    }
}

fn options(args: &[ColumnarValue]) -> Result<Options> {
    let mut options = Options::default();
    for (place, argument) in args.iter().enumerate().skip(2) {
        let ColumnarValue::Scalar(value) = argument else {
            return plan_err!("`{NAME}`: argument `{}` must be a literal", PARAMETERS[place]);
        };
        match (place, value) {
            (2, value) => match value.try_as_str().flatten().and_then(Controls::parse) {
                Some(controls) => options.controls = controls,
                None => {
                    return plan_err!(
                        "`{NAME}`: argument `controls` must be 'auto', 'none', 'trend' or 'season', found {value}"
                    );
                }
            },
            (3, ScalarValue::Boolean(Some(exclude))) => options.exclude_promo = *exclude,
            (4, ScalarValue::Boolean(Some(exclude))) => options.exclude_stockout = *exclude,
            (5, ScalarValue::Float64(Some(conf))) if *conf > 0.0 && *conf < 1.0 => {
                options.conf = *conf;
            }
            (5, found) => {
                return plan_err!(
                    "`{NAME}`: argument `conf` must be above 0 and below 1, such as 0.95, found {found}"
                );
            }
            (place, _) => {
                return plan_err!("`{NAME}`: argument `{}` may not be NULL", PARAMETERS[place]);
            }
        }
    }
    Ok(options)
}

fn result_fields() -> Fields {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let number = |name| Field::new(name, DataType::Float64, true);
    Fields::from(vec![
        text("method"),
        number("cross_elasticity"),
        number("std_error"),
        number("ci_low"),
        number("ci_high"),
        number("p_value"),
        Field::new("n_obs", DataType::Int64, true),
        text("reason"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_calls_name_the_argument() {
        let error = |types: &[DataType]| {
            let found = CrossElasticity::new().coerce_types(types);
            found.err().map(|e| e.strip_backtrace()).unwrap_or_default()
        };
        assert!(error(&[list_type()]).contains("takes 2 to 6 arguments"));
        assert!(error(&[list_type(), DataType::Utf8]).contains("`periods_b` must be a list"));
        let scalar = |v: ScalarValue| ColumnarValue::Scalar(v);
        let none = scalar(ScalarValue::Null);
        let found = options(&[none.clone(), none, scalar(ScalarValue::from("year"))]);
        assert!(found.is_err_and(|e| e.to_string().contains("'season'")));
    }
}
