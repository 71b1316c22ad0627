// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Who gets the credit for an order: one pass over the touches and orders of each customer.
//!
//! Four aggregates share the pass and differ in what they give: [`touch_credits`], [`channel_credits`],
//! [`journey_credits`] and [`journeys`]. A row of their input is a touch, or an order when it has revenue.

mod amount;
mod credits;
mod options;
mod output;
mod rows;
mod sweep;
#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion_common::{Result, plan_err};
use datafusion_doc::{DocSection, Documentation};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::format_state_name;
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature};

use crate::signature::coerced_by_itself;
use credits::{Credits, CreditsAccumulator, state_fields};
use options::{Options, unit_of};

/// The aggregate function `touch_credits`.
pub(crate) fn touch_credits() -> AggregateUDF {
    AggregateUDF::from(Attribution::new(Grain::Touch))
}

/// The aggregate function `channel_credits`.
pub(crate) fn channel_credits() -> AggregateUDF {
    AggregateUDF::from(Attribution::new(Grain::Channel))
}

/// The aggregate function `journey_credits`.
pub(crate) fn journey_credits() -> AggregateUDF {
    AggregateUDF::from(Attribution::new(Grain::Journey))
}

/// The aggregate function `journeys`.
pub(crate) fn journeys() -> AggregateUDF {
    AggregateUDF::from(Attribution::new(Grain::Path))
}

/// What a row of the result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Grain {
    /// A touch and its credits of all orders.
    Touch,
    /// A channel of the customer, likewise.
    Channel,
    /// An order and one of its touches.
    Journey,
    /// A journey, with an order or without.
    Path,
}

/// The types of one call, of the arguments after coercion.
#[derive(Clone, Debug)]
struct Types {
    at: DataType,
    touch_id: DataType,
    campaign: DataType,
    /// NULL where no result holds it.
    order_id: DataType,
    revenue: DataType,
    margin: DataType,
    period: DataType,
}

impl Types {
    fn new(grain: Grain, arguments: &[FieldRef]) -> Result<Self> {
        let [at, touch_id, _, campaign, _, order_id, revenue, margin, period, ..] = arguments
        else {
            return wrong_count(grain.name(), arguments.len());
        };
        let order_id = match grain {
            Grain::Touch | Grain::Channel => DataType::Null,
            Grain::Journey | Grain::Path => order_id.data_type().clone(),
        };
        Ok(Self {
            at: at.data_type().clone(),
            touch_id: touch_id.data_type().clone(),
            campaign: campaign.data_type().clone(),
            order_id,
            revenue: revenue.data_type().clone(),
            margin: margin.data_type().clone(),
            period: period.data_type().clone(),
        })
    }
}

/// The arguments: nine columns, then literals, which may be left out from the end.
const ARGUMENTS: [(&str, &str); 19] = [
    (
        "at",
        "When: TIMESTAMP or DATE. A touch without a time belongs to no journey; an order without one has none.",
    ),
    (
        "touch_id",
        "The id of the touch, of any type; decides between touches of one time, and a touch that comes twice counts once. NULL for an order.",
    ),
    (
        "channel",
        "What the touch came through, a VARCHAR; neighbours that are equal are one exposure. NULL is (unknown).",
    ),
    ("campaign", "Anything else of the touch that the result shall have, of any type."),
    ("direct", "Whether the touch came through no channel at all, a BOOLEAN; NULL is false."),
    (
        "order_id",
        "The id of the order, of any type. An order that comes twice counts once, the latest, then the largest. NULL for a touch, or for an order by itself, which counts whatever its revenue.",
    ),
    (
        "revenue",
        "What the order is worth: a decimal, float or integer. NULL for a touch. An order with an id counts when this is above 0.",
    ),
    ("margin", "Another amount of the order that is shared out alike, or NULL."),
    (
        "period",
        "A TIMESTAMP or DATE that grows with the order's time, such as its month, by which credits are kept apart; or NULL.",
    ),
    (
        "models",
        "The models, a VARCHAR: one of first, last, last_non_direct, linear, weighted (the default), position (40/20/40), time_decay, shapley (equal shares for the distinct channels) and markov (linear credits, to be scaled by removal effects), several with commas between them, or all.",
    ),
    (
        "path",
        "Which touches are positions of the journey: exposure (the default; neighbours of one channel are one, at the first of them), none (all touches) or first (the first touch of each channel).",
    ),
    (
        "exclude_direct",
        "When direct touches are left out: unless_only (the default; they count where there is no other), never or always.",
    ),
    (
        "reset",
        "Whether a journey begins after the order before, a BOOLEAN; true by default. Orders of one time share a journey.",
    ),
    (
        "lookback",
        "How long before its order a journey may begin, an INTERVAL of days or less; NULL, the default, is without end.",
    ),
    (
        "first_share",
        "The share of the first position in model weighted, from 0 to 1; 0.3 by default.",
    ),
    (
        "last_share",
        "The share of the last position; the positions between share the rest. 0.3 by default.",
    ),
    (
        "half_life",
        "For model time_decay: the age that halves a weight, an INTERVAL; 7 days by default.",
    ),
    (
        "new_customers",
        "Whether only the first order of each group counts, a BOOLEAN; false by default.",
    ),
    (
        "horizon",
        "The INTERVAL, or the number of days, from the first order of a group in which further orders are credited as the first one in `credit_horizon`; NULL, the default, for none.",
    ),
];
/// Where the literals begin.
const FIRST_OPTION: usize = 9;

impl Grain {
    fn name(self) -> &'static str {
        match self {
            Self::Touch => "touch_credits",
            Self::Channel => "channel_credits",
            Self::Journey => "journey_credits",
            Self::Path => "journeys",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Touch => {
                "Shares the orders of a group, usually a customer, out among its touches and returns a list of one \
struct per touch, model and period: `touchpoint_id`, `touched_at`, `channel`, `campaign`, `model`, `period`, `credit_orders` \
(DOUBLE), `credit_revenue` and `credit_margin`. A touch that gets nothing stands there once, with zeros; what has no touch at \
all is one more struct of the channel (unattributed)."
            }
            Self::Channel => {
                "Shares the orders of a group, usually a customer, out among its touches and returns the sums in a list \
of one struct per channel, model and period: `channel`, `model`, `period`, `credit_orders` (DECIMAL(38,9)), `credit_revenue`, \
`credit_margin`, `credit_horizon`, and with the first model `last_click_revenue`, the revenue of the orders whose journey the \
channel closed, and `assisted_orders`, the number of orders that it helped and another closed. What has no touch is of the \
channel (unattributed)."
            }
            Self::Journey => {
                "Shares the orders of a group, usually a customer, out among its touches and returns a list of one \
struct per order, model and position of its journey: `order_id`, `conversion_at`, `touchpoint_id`, `touched_at`, `channel`, \
`campaign`, `model`, `touch_index`, `path_length`, `weight`, `credit_orders` (DOUBLE), `credit_revenue`, `credit_margin` and \
`path`. An order without a touch is one struct of the channel (unattributed)."
            }
            Self::Path => {
                "Returns the journeys of a group, usually a customer, as a list of structs: `order_id`, `started_at`, \
`ended_at`, `conversion_at`, `channels` (a list), `path` (its text), `revenue` and `margin`. First one per order, without \
channels where no touch came before it; then one per journey that ended without an order: touches that no order's journey \
holds, as long as neither an order nor more than the lookback lies between them. Its `conversion_at` and `revenue` are NULL. \
The `models`, weights and half-life do not matter."
            }
        }
    }

    fn example(self) -> (&'static str, &'static str) {
        match self {
            Self::Touch => (
                "c['channel'] AS channel, c['credit_revenue'] AS revenue",
                "
+---------+---------+
| channel | revenue |
+---------+---------+
| ads     | 30.0000 |
| email   | 40.0000 |
| search  | 30.0000 |
+---------+---------+",
            ),
            Self::Channel => (
                "c['channel'] AS channel, c['last_click_revenue'] AS last_click, c['assisted_orders'] AS assisted",
                "
+---------+------------+----------+
| channel | last_click | assisted |
+---------+------------+----------+
| ads     | 0.0000     | 1        |
| email   | 0.0000     | 1        |
| search  | 100.0000   | 0        |
+---------+------------+----------+",
            ),
            Self::Journey => (
                "c['channel'] AS channel, c['touch_index'] AS i, c['weight'] AS weight",
                "
+---------+---+--------+
| channel | i | weight |
+---------+---+--------+
| ads     | 1 | 0.3    |
| email   | 2 | 0.4    |
| search  | 3 | 0.3    |
+---------+---+--------+",
            ),
            Self::Path => (
                "c['path'] AS channel, c['revenue'] AS revenue",
                "
+----------------------+----------+
| channel              | revenue  |
+----------------------+----------+
| ads > email > search | 100.0000 |
+----------------------+----------+",
            ),
        }
    }

    fn documentation(self) -> &'static Documentation {
        static ALL: LazyLock<[Documentation; 4]> = LazyLock::new(|| {
            [Grain::Touch, Grain::Channel, Grain::Journey, Grain::Path].map(document)
        });
        &ALL[self as usize]
    }
}

fn document(grain: Grain) -> Documentation {
    let description = format!(
        "{} The journey of an order is the touches of its group up to its time, as `reset`, `lookback`, `exclude_direct` and \
`path` bound them. Decimals and integers give decimals of four digits or more, floats give DOUBLE. Credits add up to the \
orders exactly: rounding leaves the last position with what the others have not. Model markov adds up in all, once scaled. \
Needs O(n log n) time for n rows, whatever the lengths of journeys, plus the rows that it returns; with overlapping journeys \
(`reset` false) and distinct channels, O(c log n) for each order and its c channels. Keeps the rows of a group, some 60 \
bytes each and the ids.",
        grain.description()
    );
    let name = grain.name();
    let (columns, table) = grain.example();
    let example = format!(
        "```sql
> SELECT {columns}
  FROM (
    SELECT unnest({name}(at, touch, channel, NULL, channel = 'direct', order_id, revenue, NULL, NULL, 'weighted')) AS c
    FROM (VALUES
      (DATE '2026-01-01', 1, 'ads', NULL, NULL),
      (DATE '2026-01-15', 2, 'email', NULL, NULL),
      (DATE '2026-01-22', 3, 'search', NULL, NULL),
      (DATE '2026-01-22', NULL, NULL, 'A-1', 100)
    ) AS history(at, touch, channel, order_id, revenue)
  )
  ORDER BY channel;{table}
```"
    );
    let mut syntax = format!("{name}(");
    for (index, (argument, _)) in ARGUMENTS.iter().enumerate() {
        let separator = match index {
            0 => "",
            FIRST_OPTION => "[, ",
            _ => ", ",
        };
        // Writing to a string does not fail.
        let _ = write!(syntax, "{separator}{argument}");
    }
    syntax.push_str("])");
    let mut builder = Documentation::builder(
        DocSection { include: true, label: "Marketing", description: None },
        description,
        syntax,
    )
    .with_sql_example(example);
    for (name, meaning) in ARGUMENTS {
        builder = builder.with_argument(name, meaning);
    }
    builder.build()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Attribution {
    grain: Grain,
    signature: Signature,
}

impl Attribution {
    fn new(grain: Grain) -> Self {
        // Coercion is our own because the result follows the types of the arguments.
        Self { grain, signature: coerced_by_itself(&[]) }
    }

    fn credits(&self, args: &AccumulatorArgs) -> Result<Credits> {
        let name = self.grain.name();
        if args.is_distinct {
            return plan_err!(
                "`{name}` does not support DISTINCT; it counts each touch and order once by itself"
            );
        }
        let types = Types::new(self.grain, args.expr_fields)?;
        let options = Options::read(args, name, unit_of(&types.at))?;
        Ok(Credits::new(self.grain, types, options))
    }
}

impl AggregateUDFImpl for Attribution {
    fn name(&self) -> &str {
        self.grain.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerce(self.grain.name(), arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let fields: Vec<FieldRef> =
            arg_types.iter().map(|t| Arc::new(Field::new("", t.clone(), true))).collect();
        let types = Types::new(self.grain, &fields)?;
        Ok(DataType::new_list(DataType::Struct(output::fields(self.grain, &types)?), true))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let types = Types::new(self.grain, args.input_fields)?;
        let row = DataType::Struct(state_fields(&types));
        let name = format_state_name(args.name, "rows");
        Ok(vec![Arc::new(Field::new(name, DataType::new_list(row, true), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(CreditsAccumulator::new(self.credits(&args)?)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.credits(&args)?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(self.grain.documentation())
    }
}

fn coerce(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    if types.len() < FIRST_OPTION || types.len() > ARGUMENTS.len() {
        return wrong_count(function, types.len());
    }
    let expected = |index: usize| match index {
        0 | 8 => "TIMESTAMP or DATE",
        2 | 9..=11 => "VARCHAR",
        4 | 12 | 17 => "BOOLEAN",
        6 | 7 => "a decimal of at most 38 digits, a float or an integer",
        13 | 16 | 18 => "INTERVAL",
        _ => "a number",
    };
    types
        .iter()
        .enumerate()
        .map(|(index, found)| match coerce_argument(index, found) {
            Some(coerced) => Ok(coerced),
            None => plan_err!(
                "`{function}`: argument `{}` must be {}, found {found}",
                ARGUMENTS[index].0,
                expected(index)
            ),
        })
        .collect()
}

fn coerce_argument(index: usize, found: &DataType) -> Option<DataType> {
    use DataType::*;
    if let Dictionary(_, values) = found
        && !matches!(index, 1 | 3 | 5)
    {
        return coerce_argument(index, values);
    }
    let is_text = matches!(found, Utf8 | LargeUtf8 | Utf8View | Null);
    Some(match index {
        0 | 8 => match found {
            Timestamp(_, _) => found.clone(),
            Date32 | Date64 | Null => Timestamp(TimeUnit::Microsecond, None),
            _ => return None,
        },
        // Ids and what goes along stay as they are.
        1 | 3 | 5 => found.clone(),
        2 if is_text => Utf8View,
        9..=11 if is_text => Utf8,
        4 | 12 | 17 if matches!(found, Boolean | Null) => Boolean,
        6 if *found == Null => Decimal128(20, 0),
        6 | 7 => return amount::coerce(found),
        18 if found.is_numeric() => Float64,
        13 | 16 | 18 => match found {
            Interval(_) | Null => Interval(IntervalUnit::MonthDayNano),
            _ => return None,
        },
        14 | 15 if found.is_numeric() || found.is_null() => Float64,
        _ => return None,
    })
}

fn wrong_count<T>(function: &str, found: usize) -> Result<T> {
    let names = ARGUMENTS.map(|(name, _)| name).join(", ");
    plan_err!(
        "`{function}` takes {FIRST_OPTION} to {} arguments ({names}), found {found}",
        ARGUMENTS.len()
    )
}
