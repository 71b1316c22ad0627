// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`OrderSummary`]: one pass over order rows to the numbers of a customer.

mod accumulator;
mod amount;
mod identity;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::format_state_name;
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature,
};
use datafusion_macros::user_doc;

use crate::literal::literal;
use crate::signature::coerced_by_itself;
use accumulator::{Grain, OrderSummaries, OrderSummaryAccumulator, Summaries, Types};
use amount::SmallDecimal;
pub(crate) use identity::identities;

/// The aggregate function `order_summary`.
pub(crate) fn order_summary() -> AggregateUDF {
    AggregateUDF::from(OrderSummary::new())
}

const NAME: &str = "order_summary";
const PARAMETERS: [&str; 4] = ["order_id", "ordered_at", "amount", "grain"];

#[user_doc(
    doc_section(label = "Customers"),
    description = "Summarises the orders of a group, usually a customer, and counts each order \
once. Returns a struct of `first_order_at` and `last_order_at` (the type of `ordered_at`), \
`orders` (BIGINT), `amount` (decimals give DECIMAL(38, same scale), floats DOUBLE, integers \
BIGINT) and `duplicates` (BIGINT). `orders`, `first_order_at` and `last_order_at` regard the \
orders with a positive amount only; `amount` is the sum over all orders, refunds included, and \
NULL when there is none. The result does not depend on the order of the rows or on the number of \
partitions: sums are exact, floats included, which are rounded once. An integer id of 32 or 64 \
bits is compared as it is, any other by a 64-bit hash: among n orders of one group, two different \
ids are taken for one with probability n²/2⁶⁵. Needs O(n log m) time for n rows in groups of m \
rows, and up to 64 bytes of memory per row with an id.",
    syntax_example = "order_summary(order_id, ordered_at, amount[, grain])",
    sql_example = r#"```sql
> SELECT customer_id, s['orders'] AS orders, s['amount'] AS amount, s['duplicates'] AS duplicates
  FROM (
    SELECT customer_id, order_summary(order_id, ordered_at, amount) AS s
    FROM (VALUES
      ('ada', 1, DATE '2026-01-05', 30),
      ('ada', 1, DATE '2026-01-05', 30),
      ('ada', 2, DATE '2026-03-01', 12),
      ('bob', 3, DATE '2026-02-02', -5)
    ) AS orders(customer_id, order_id, ordered_at, amount)
    GROUP BY customer_id
  )
  ORDER BY customer_id;
+-------------+--------+--------+------------+
| customer_id | orders | amount | duplicates |
+-------------+--------+--------+------------+
| ada         | 2      | 42     | 1          |
| bob         | 0      | -5     | 0          |
+-------------+--------+--------+------------+
```"#,
    argument(
        name = "order_id",
        description = "The id of the order, of any type. A row with a NULL id is an order by itself."
    ),
    argument(
        name = "ordered_at",
        description = "When the order was placed: TIMESTAMP or DATE. An order with a NULL time counts, but is neither the first nor the last."
    ),
    argument(
        name = "amount",
        description = "What the row is worth, in one currency: a decimal, float or integer. A row with a NULL amount is ignored: it is neither an order nor a duplicate."
    ),
    argument(
        name = "grain",
        description = "What a row is, a literal. `'order'`, the default: an order; of several rows with one id the one with the latest time counts, then the one with the largest amount, and the others are `duplicates`. `'line'`: a line of an order; the amounts with one id are added up, its time is the earliest, and `duplicates` is 0."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct OrderSummary {
    signature: Signature,
}

impl OrderSummary {
    fn new() -> Self {
        // Coercion is our own because the result follows the type of each argument by itself.
        Self { signature: coerced_by_itself(&PARAMETERS) }
    }
}

impl AggregateUDFImpl for OrderSummary {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerce(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let [_, ordered_at, amount, ..] = arg_types else { return wrong_count(arg_types.len()) };
        Ok(DataType::Struct(result_fields(ordered_at, amount)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let [_, ordered_at, amount, ..] = args.input_fields else {
            return wrong_count(args.input_fields.len());
        };
        let field = |name, data_type| {
            Arc::new(Field::new(format_state_name(args.name, name), data_type, true))
        };
        Ok(vec![
            field("order", DataType::UInt64),
            field("ordered_at", ordered_at.data_type().clone()),
            field("amount", amount.data_type().clone()),
            field("more", DataType::LargeBinary),
        ])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OrderSummaryAccumulator::new(summaries(&args)?)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(summaries(&args)?)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn summaries(args: &AccumulatorArgs) -> Result<Box<dyn Summaries>> {
    let [_, ordered_at, amount, ..] = args.expr_fields else {
        return wrong_count(args.expr_fields.len());
    };
    if args.is_distinct {
        return plan_err!(
            "`{NAME}` does not support DISTINCT; it counts each order once by itself"
        );
    }
    let grain = grain(literal(args, NAME, "grain", 3)?)?;
    new_summaries(grain, ordered_at.data_type(), amount.data_type())
}

fn new_summaries(
    grain: Grain,
    ordered_at: &DataType,
    amount: &DataType,
) -> Result<Box<dyn Summaries>> {
    let types = Types {
        ordered_at: ordered_at.clone(),
        amount: amount.clone(),
        result: result_fields(ordered_at, amount),
    };
    Ok(match amount {
        DataType::Int64 => Box::new(OrderSummaries::<i64>::new(grain, types)),
        DataType::Float64 => Box::new(OrderSummaries::<f64>::new(grain, types)),
        DataType::Decimal128(precision, _) if *precision <= SmallDecimal::MAX_PRECISION => {
            Box::new(OrderSummaries::<SmallDecimal>::new(grain, types))
        }
        DataType::Decimal128(_, _) => Box::new(OrderSummaries::<i128>::new(grain, types)),
        other => return exec_err!("`{NAME}` cannot sum `amount` of type {other}"),
    })
}

fn grain(value: Option<ScalarValue>) -> Result<Grain> {
    let Some(value) = value else { return Ok(Grain::Order) };
    match value.try_as_str().flatten() {
        Some("order") => Ok(Grain::Order),
        Some("line") => Ok(Grain::Line),
        _ => plan_err!("`{NAME}`: argument `grain` must be 'order' or 'line', found {value}"),
    }
}

fn result_fields(ordered_at: &DataType, amount: &DataType) -> Fields {
    let total = match amount {
        DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
        other => other.clone(),
    };
    Fields::from(vec![
        Field::new("first_order_at", ordered_at.clone(), true),
        Field::new("last_order_at", ordered_at.clone(), true),
        Field::new("orders", DataType::Int64, true),
        Field::new("amount", total, true),
        Field::new("duplicates", DataType::Int64, true),
    ])
}

fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
    let (order_id, ordered_at, amount, grain) = match types {
        [order_id, ordered_at, amount] => (order_id, ordered_at, amount, None),
        [order_id, ordered_at, amount, grain] => (order_id, ordered_at, amount, Some(grain)),
        _ => return wrong_count(types.len()),
    };
    let mut coerced = vec![order_id.clone(), coerce_time(ordered_at)?, coerce_amount(amount)?];
    match grain {
        None => {}
        Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null) => {
            coerced.push(DataType::Utf8);
        }
        Some(other) => return wrong_type("grain", "'order' or 'line'", other),
    }
    Ok(coerced)
}

fn coerce_time(found: &DataType) -> Result<DataType> {
    match found {
        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => Ok(found.clone()),
        DataType::Null => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
        DataType::Dictionary(_, values) => coerce_time(values),
        other => wrong_type("ordered_at", "TIMESTAMP or DATE", other),
    }
}

fn coerce_amount(found: &DataType) -> Result<DataType> {
    match found {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Ok(DataType::Int64),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Ok(DataType::Int64),
        DataType::UInt64 => Ok(DataType::Decimal128(20, 0)),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Ok(DataType::Float64),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => Ok(DataType::Decimal128(*precision, *scale)),
        DataType::Null => Ok(DataType::Int64),
        DataType::Dictionary(_, values) => coerce_amount(values),
        other => {
            wrong_type("amount", "a decimal of at most 38 digits, a float or an integer", other)
        }
    }
}

fn wrong_type<T>(argument: &str, expected: &str, found: &DataType) -> Result<T> {
    plan_err!("`{NAME}`: argument `{argument}` must be {expected}, found {found}")
}

fn wrong_count<T>(found: usize) -> Result<T> {
    plan_err!("`{NAME}` takes 3 or 4 arguments ({}), found {found}", PARAMETERS.join(", "))
}
