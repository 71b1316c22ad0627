// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`PricePeriods`]: from the sales of a sku to its quantity and price in each period.

mod accumulator;
mod cells;
mod grain;
mod periods;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::format_state_name;
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature,
};
use datafusion_macros::user_doc;

use crate::literal::literal;
use crate::signature::coerced_by_itself;
use accumulator::{Periods, PeriodsAccumulator};
use grain::Grain;

pub(crate) use periods::{Period, list_type, read_periods};

/// The aggregate function `price_periods`.
pub(crate) fn price_periods() -> AggregateUDF {
    AggregateUDF::from(PricePeriods::new())
}

const NAME: &str = "price_periods";
const PARAMETERS: [&str; 6] = ["date", "quantity", "price", "promo", "out_of_stock", "grain"];

#[user_doc(
    doc_section(label = "Products"),
    description = "Returns what a group, usually a sku, sold in each period: a list, in order of time, of structs of \
`period` (DATE, its first day), `quantity` (the sum), `price` (the mean by quantity), `promo` and `out_of_stock` (whether \
any row says so) and `carried` (whether the price is \
that of another period). The list goes from the first to the last period with a sale, without gaps: a period without a sale \
has quantity 0 and the mean of the prices that its rows offer; where they offer none, the price of the nearest period, \
outside promotions of the nearest one outside promotions, and between two as near their geometric mean. Rows with a \
negative quantity (returns) or with a price that is not positive (gifts) are no sales. Each quantity, and each product of \
quantity and price, is rounded to 2⁻⁶⁴ and added up as an integer, so that the result does not depend on the order of the \
rows or the number of partitions. Needs O(n log p) time for n rows in p periods, and 64 bytes per period.",
    syntax_example = "price_periods(date, quantity, price[, promo[, out_of_stock[, grain]]])",
    sql_example = r#"```sql
> SELECT p['period'] AS period, p['quantity'] AS quantity, round(p['price'], 2) AS price, p['carried'] AS carried
  FROM (
    SELECT unnest(price_periods(date, quantity, price)) AS p
    FROM (VALUES
      (DATE '2026-01-05', 3, 10.0), (DATE '2026-01-07', 1, 9.0), (DATE '2026-01-19', 2, 11.0)
    ) AS sales(date, quantity, price)
  );
+------------+----------+-------+---------+
| period     | quantity | price | carried |
+------------+----------+-------+---------+
| 2026-01-05 | 4.0      | 9.75  | false   |
| 2026-01-12 | 0.0      | 10.36 | true    |
| 2026-01-19 | 2.0      | 11.0  | false   |
+------------+----------+-------+---------+
```"#,
    argument(
        name = "date",
        description = "The day of the sale, DATE or TIMESTAMP. A row without one is left out, except in a group where no row has one: there each row is a period by itself, as with the grain 'row'."
    ),
    argument(
        name = "quantity",
        description = "The units sold, a number. A row with 0 offers its price; one with NULL says no more than `promo` and `out_of_stock`."
    ),
    argument(name = "price", description = "The price of a unit, a number."),
    argument(
        name = "promo",
        description = "Whether the period is one of a promotion, BOOLEAN; by default, and for NULL, false."
    ),
    argument(
        name = "out_of_stock",
        description = "Whether the sku was out of stock in the period, BOOLEAN; by default, and for NULL, false."
    ),
    argument(
        name = "grain",
        description = "What a period is, a literal: 'day', 'week' (the default, from Monday), 'month', or 'row', with which each row is one by itself and no gaps are filled."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct PricePeriods {
    signature: Signature,
}

impl PricePeriods {
    fn new() -> Self {
        // Coercion is our own so that an error names the argument.
        Self { signature: coerced_by_itself(&PARAMETERS) }
    }
}

impl AggregateUDFImpl for PricePeriods {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        if !(3..=6).contains(&arg_types.len()) {
            return plan_err!(
                "`{NAME}` takes 3 to 6 arguments ({}), found {}",
                PARAMETERS.join(", "),
                arg_types.len()
            );
        }
        arg_types.iter().enumerate().map(|(place, found)| coerce(place, found)).collect()
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(list_type())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "cells");
        Ok(vec![Arc::new(Field::new(name, DataType::LargeBinary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(PeriodsAccumulator::new(periods_of(&args)?)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(periods_of(&args)?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn periods_of(args: &AccumulatorArgs) -> Result<Periods> {
    if args.is_distinct {
        return plan_err!("`{NAME}` does not support DISTINCT; select distinct rows first");
    }
    Ok(Periods::new(read_grain(literal(args, NAME, "grain", 5)?)?))
}

fn read_grain(value: Option<ScalarValue>) -> Result<Grain> {
    let Some(value) = value else { return Ok(Grain::Week) };
    match value.try_as_str().flatten().and_then(Grain::parse) {
        Some(grain) => Ok(grain),
        None => plan_err!(
            "`{NAME}`: argument `grain` must be 'day', 'week', 'month' or 'row', found {value}"
        ),
    }
}

fn coerce(place: usize, found: &DataType) -> Result<DataType> {
    let found = match found {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    let (accepted, target, expected) = match place {
        0 => (
            matches!(found, DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64),
            DataType::Date32,
            "DATE or TIMESTAMP",
        ),
        1 | 2 => (found.is_numeric(), DataType::Float64, "a number"),
        3 | 4 => (matches!(found, DataType::Boolean), DataType::Boolean, "BOOLEAN"),
        _ => (
            matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
            DataType::Utf8,
            "'day', 'week', 'month' or 'row'",
        ),
    };
    if accepted || found.is_null() {
        return Ok(target);
    }
    plan_err!("`{NAME}`: argument `{}` must be {expected}, found {found}", PARAMETERS[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_calls_name_the_argument() {
        let check = |types: &[DataType], expected: &str| {
            let found = PricePeriods::new().coerce_types(types);
            let found = found.err().map(|e| e.strip_backtrace()).unwrap_or_default();
            assert_eq!(found, format!("Error during planning: `price_periods`{expected}"));
        };
        use DataType::{Date32, Float64, Int64, Utf8};
        check(
            &[Date32, Int64],
            " takes 3 to 6 arguments (date, quantity, price, promo, out_of_stock, grain), found 2",
        );
        check(&[Utf8, Int64, Float64], ": argument `date` must be DATE or TIMESTAMP, found Utf8");
        check(&[Date32, Utf8, Float64], ": argument `quantity` must be a number, found Utf8");
        check(&[Date32, Int64, Float64, Int64], ": argument `promo` must be BOOLEAN, found Int64");
        assert!(read_grain(Some(ScalarValue::from("year"))).is_err());
    }
}
