// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`Apportion`]: a sum of money split by weights, without losing or inventing the smallest part of it.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::signature::coerced_by_itself;
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int32Type, i256};
use datafusion_common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion_expr::{Documentation, PartitionEvaluator, Signature, WindowUDF, WindowUDFImpl};
use datafusion_macros::user_doc;

/// The window function `apportion`.
pub(crate) fn apportion() -> WindowUDF {
    WindowUDF::from(Apportion::new())
}

const NAME: &str = "apportion";
const PARAMETERS: [&str; 3] = ["total", "weight", "decimals"];

#[user_doc(
    doc_section(label = "Money"),
    description = "Splits a total over the rows of a partition in proportion to their weights, so that the parts \
add up to the total exactly, as a DECIMAL of the total's type. Each row gets its exact share rounded down; the smallest \
units that are left go, one each, to the rows with the largest remainders, among equals to the last in the window's \
order. Where the total itself has more decimals than asked for, the crumb goes to the first of these rows. No row is \
further from its exact share than one unit, or a unit and the crumb. Needs O(n log n) time and memory for the partition.",
    syntax_example = "apportion(total, weight, decimals) OVER (PARTITION BY pool ORDER BY key)",
    sql_example = r#"```sql
> SELECT line, apportion(CAST(10 AS DECIMAL(18, 4)), 1, 2) OVER (ORDER BY line) AS part
  FROM (VALUES (1), (2), (3)) AS lines(line)
  ORDER BY line;
+------+--------+
| line | part   |
+------+--------+
| 1    | 3.3300 |
| 2    | 3.3300 |
| 3    | 3.3400 |
+------+--------+
```"#,
    argument(
        name = "total",
        description = "What is split: a DECIMAL or an integer, the same in all rows of a partition, of any sign. Where it is NULL, the parts are NULL."
    ),
    argument(
        name = "weight",
        description = "A DECIMAL or an integer, not negative; NULL weighs nothing. Where no row of the partition weighs anything, the parts are NULL."
    ),
    argument(
        name = "decimals",
        description = "To how many decimals parts are rounded, an INT constant from 0; more than the total's type has are as many as it has."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct Apportion {
    signature: Signature,
}

impl Apportion {
    fn new() -> Self {
        // Coercion is our own: decimals of any precision stay as they are, and integers become such.
        Self { signature: coerced_by_itself(&PARAMETERS) }
    }
}

impl WindowUDFImpl for Apportion {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [total, weight, decimals] = arg_types else {
            return plan_err!(
                "`{NAME}` takes 3 arguments ({}), found {}",
                PARAMETERS.join(", "),
                arg_types.len()
            );
        };
        if !decimals.is_integer() {
            return plan_err!(
                "`{NAME}`: argument `decimals` must be a whole number, found {decimals}"
            );
        }
        Ok(vec![exact("total", total)?, exact("weight", weight)?, DataType::Int32])
    }

    fn partition_evaluator(
        &self,
        _args: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let total = args.get_input_field(0).map(|f| f.data_type().clone());
        let total =
            total.map_or_else(|| exact("total", &DataType::Null), |t| exact("total", &t))?;
        Ok(Arc::new(Field::new(args.name(), total, true)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The decimal type as which an argument is read.
fn exact(parameter: &str, found: &DataType) -> Result<DataType> {
    match found {
        DataType::Decimal128(_, scale) if *scale >= 0 => Ok(found.clone()),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale)
            if *scale >= 0 =>
        {
            Ok(DataType::Decimal128(*precision, *scale))
        }
        DataType::Null => Ok(DataType::Decimal128(18, 4)),
        integer if integer.is_integer() => Ok(DataType::Decimal128(20, 0)),
        other => plan_err!(
            "`{NAME}`: argument `{parameter}` must be a DECIMAL or an integer, found {other}; \
write `CAST({parameter} AS DECIMAL(18, 4))`"
        ),
    }
}

#[derive(Debug)]
struct Evaluator;

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let [totals, weights, decimals] = values else {
            return exec_err!("`{NAME}` takes 3 arguments, found {}", values.len());
        };
        let of_type = exact("total", totals.data_type())?;
        let totals = cast(totals, &of_type)?;
        let weights = cast(weights, &exact("weight", weights.data_type())?)?;
        let decimals = cast(decimals, &DataType::Int32)?;
        let (totals, weights, decimals) = (
            totals.as_primitive::<Decimal128Type>(),
            weights.as_primitive::<Decimal128Type>(),
            decimals.as_primitive::<Int32Type>(),
        );
        let none = || Arc::new(Decimal128Array::new_null(rows).with_data_type(of_type.clone()));
        if rows == 0 || totals.is_null(0) {
            return match totals.null_count() == rows {
                true => Ok(none()),
                false => differs(),
            };
        }
        let total = totals.value(0);
        if totals.null_count() > 0 || totals.values().iter().any(|t| *t != total) {
            return differs();
        }
        let asked = decimals.iter().next().flatten().unwrap_or(-1);
        if asked < 0 || decimals.iter().any(|d| d != Some(asked)) {
            return exec_err!("`{NAME}`: argument `decimals` must be a constant from 0");
        }
        let mut known = Vec::with_capacity(rows);
        for weight in weights {
            match weight.unwrap_or(0) {
                negative if negative < 0 => {
                    return exec_err!(
                        "`{NAME}`: a weight is negative; write `greatest(weight, 0)` or leave the row out"
                    );
                }
                weight => known.push(weight),
            }
        }
        // The smallest part, in units of the total's type.
        let unit = 10_i128.pow((i32::from(totals.scale()) - asked).clamp(0, 38) as u32);
        match split(total, unit, &known)? {
            Some(parts) => Ok(Arc::new(Decimal128Array::from(parts).with_data_type(of_type))),
            None => Ok(none()),
        }
    }
}

fn differs() -> Result<ArrayRef> {
    exec_err!(
        "`{NAME}`: the total must be the same in all rows of a partition; add its key to PARTITION BY"
    )
}

/// Splits `total` into multiples of `unit` (and one crumb) by largest remainder. `None` where nothing weighs.
fn split(total: i128, unit: i128, weights: &[i128]) -> Result<Option<Vec<i128>>> {
    let overflow = || exec_datafusion_err!("`{NAME}`: the weights are too large to be added up");
    let mut whole = i256::ZERO;
    for weight in weights {
        whole = whole.checked_add(i256::from_i128(*weight)).ok_or_else(overflow)?;
    }
    if whole <= i256::ZERO {
        return Ok(None);
    }
    // Below zero too, parts are rounded down, so that what is left is never negative.
    let (units, crumb) = (total.div_euclid(unit), total.rem_euclid(unit));
    let mut left = units;
    let mut parts = Vec::with_capacity(weights.len());
    let mut order = Vec::with_capacity(weights.len());
    for (i, weight) in weights.iter().enumerate() {
        // Two numbers of 127 bits: the product fits 256.
        let product = i256::from_i128(units).wrapping_mul(i256::from_i128(*weight));
        let mut floor = product.wrapping_div(whole);
        let mut rest = product.wrapping_rem(whole);
        if rest < i256::ZERO {
            floor = floor.wrapping_sub(i256::ONE);
            rest = rest.wrapping_add(whole);
        }
        let floor = floor.to_i128().ok_or_else(overflow)?;
        left -= floor;
        parts.push(floor);
        order.push((Reverse(rest), Reverse(*weight > 0), Reverse(i)));
    }
    order.sort_unstable();
    for (rank, (_, _, Reverse(i))) in order.iter().enumerate() {
        if (rank as i128) < left {
            parts[*i] += 1;
        }
        parts[*i] *= unit;
        if rank == 0 {
            parts[*i] += crumb;
        }
    }
    Ok(Some(parts))
}

#[cfg(test)]
mod tests {
    use arrow::array::Int32Array;

    use super::*;

    fn parts(total: i128, unit: i128, weights: &[i128]) -> Vec<i128> {
        split(total, unit, weights).ok().flatten().unwrap_or_default()
    }

    #[test]
    fn what_is_left_goes_to_the_largest_remainders() {
        // 10.00 in cents over three equal lines.
        assert_eq!(parts(1000, 1, &[1, 1, 1]), [333, 333, 334]);
        assert_eq!(parts(1001, 1, &[1, 1, 1]), [333, 334, 334]);
        assert_eq!(parts(100, 1, &[2, 1, 3]), [33, 17, 50]);
        // In tens, with a crumb of 3, which goes to the largest remainder.
        assert_eq!(parts(1003, 10, &[1, 1, 1]), [330, 330, 343]);
        // Where all is even, to the last that weighs.
        assert_eq!(parts(203, 10, &[1, 1, 0]), [100, 103, 0]);
        assert_eq!(parts(-1000, 1, &[1, 1, 1]), [-334, -333, -333]);
        assert_eq!(parts(0, 1, &[1, 2]), [0, 0]);
        assert_eq!(parts(7, 1, &[0, 0]), [] as [i128; 0]);
        assert_eq!(parts(i128::MAX, 1, &[i128::MAX / 3; 3]).iter().sum::<i128>(), i128::MAX);
    }

    /// The twin: units handed out one by one, each to the row that is furthest below its share.
    fn one_by_one(total: i128, weights: &[i128]) -> Vec<i128> {
        let whole: i128 = weights.iter().sum();
        let mut parts: Vec<i128> = weights.iter().map(|w| total * w / whole).collect();
        while parts.iter().sum::<i128>() < total {
            let lacks = |i: usize| total * weights[i] - parts[i] * whole;
            let neediest = (0..weights.len()).max_by_key(|&i| (lacks(i), i)).unwrap_or_default();
            parts[neediest] += 1;
        }
        parts
    }

    #[test]
    fn nothing_is_lost_and_nobody_is_a_unit_off() {
        let mut seed = 7_u64;
        let mut next = |below: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            i128::from((seed >> 33) % below)
        };
        for _ in 0..2000 {
            let weights: Vec<i128> = (0..=next(9)).map(|_| next(20) * next(3)).collect();
            let whole: i128 = weights.iter().sum();
            if whole == 0 {
                continue;
            }
            let total = next(5000);
            let found = parts(total, 1, &weights);
            assert_eq!(found, one_by_one(total, &weights), "{total} by {weights:?}");
            let below = parts(-total, 1, &weights);
            for (part, weight) in found.iter().zip(&weights) {
                assert!((part * whole - total * weight).abs() < whole);
            }
            for (part, weight) in below.iter().zip(&weights) {
                assert!((part * whole + total * weight).abs() < whole);
            }
            let unit = 1 + next(40);
            let coarse = parts(total, unit, &weights);
            for sum in
                [found.iter().sum::<i128>(), -below.iter().sum::<i128>(), coarse.iter().sum()]
            {
                assert_eq!(sum, total);
            }
            assert!(coarse.iter().filter(|part| *part % unit != 0).count() <= 1);
        }
    }

    fn call(
        totals: Vec<Option<i128>>,
        weights: Vec<Option<i128>>,
        decimals: i32,
    ) -> Result<ArrayRef> {
        let rows = totals.len();
        let totals = Decimal128Array::from(totals).with_data_type(DataType::Decimal128(18, 4));
        let weights = Decimal128Array::from(weights).with_data_type(DataType::Decimal128(38, 12));
        let decimals = Int32Array::from(vec![decimals; rows]);
        Evaluator.evaluate_all(&[Arc::new(totals), Arc::new(weights), Arc::new(decimals)], rows)
    }

    #[test]
    fn missing_totals_and_weights() -> Result<()> {
        let found = call(vec![Some(100_000); 3], vec![Some(1), None, Some(2)], 2)?;
        assert_eq!(found.data_type(), &DataType::Decimal128(18, 4));
        let values: Vec<_> = found.as_primitive::<Decimal128Type>().iter().collect();
        assert_eq!(values, [Some(33_300), Some(0), Some(66_700)]);
        for nothing in [
            call(vec![None; 2], vec![Some(1); 2], 2)?,
            call(vec![Some(5); 2], vec![Some(0), None], 2)?,
        ] {
            assert_eq!((nothing.len(), nothing.null_count()), (2, 2));
        }
        assert_eq!(call(vec![], vec![], 2)?.len(), 0);
        Ok(())
    }

    #[test]
    fn bad_input_is_refused() {
        let said = |result: Result<ArrayRef>| {
            result.err().map(|e| e.strip_backtrace()).unwrap_or_default()
        };
        for totals in [vec![Some(1), Some(2)], vec![None, Some(2)], vec![Some(2), None]] {
            assert!(said(call(totals, vec![Some(1); 2], 2)).contains("same in all rows"));
        }
        assert!(said(call(vec![Some(1)], vec![Some(-1)], 2)).contains("a weight is negative"));
        assert!(said(call(vec![Some(1)], vec![Some(1)], -1)).contains("a constant from 0"));
        let wrong =
            Apportion::new().coerce_types(&[DataType::Float64, DataType::Int8, DataType::Int8]);
        let wrong = wrong.err().map(|e| e.strip_backtrace()).unwrap_or_default();
        assert!(
            wrong.contains("`total` must be a DECIMAL or an integer, found Float64"),
            "{wrong}"
        );
    }
}
