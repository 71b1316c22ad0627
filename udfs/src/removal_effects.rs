// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`RemovalEffects`]: what would be lost without a channel, by a Markov chain over journeys.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::signature::coerced_by_itself;
use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, StringArray, StringViewArray,
    StructArray,
};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Fields, Float64Type};
use datafusion_common::utils::SingleRowListArrayBuilder;
use datafusion_common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::format_state_name;
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Signature};
use datafusion_macros::user_doc;
use nalgebra::{DMatrix, DVector};

/// The aggregate function `removal_effects`.
pub(crate) fn removal_effects() -> AggregateUDF {
    AggregateUDF::from(RemovalEffects::new())
}

const NAME: &str = "removal_effects";
/// Solving takes the cube of it; two thousand take some seconds.
const MAX_CHANNELS: usize = 2_000;
/// Counts are whole multiples of 2⁻⁴⁰, so that their sums do not depend on an order.
const UNIT: f64 = 1_099_511_627_776.0;

#[user_doc(
    doc_section(label = "Marketing"),
    description = "Fits a Markov chain of order 1 to journeys and returns what share of the conversions would be lost if a \
channel led nowhere: a list of structs of `channel`, `removal_effect` (DOUBLE, 0 to 1) and `share` (the effect divided by the \
sum of all effects), in the order of the names. A journey goes from the start over its channels to a conversion or to \
nothing; neighbours of one channel are one state, so that there are no transitions of a state to itself. The effects are \
exact: with N = (I − Q)⁻¹ for the transitions Q between channels and x = N·r for those to a conversion, the effect of k is \
the probability N(start, k) / N(k, k) that a journey meets k, times x(k) / x(start). Nothing is simulated. Without conversions \
effects and shares are NULL. Needs O(n) time for n channels of journeys, and O(c³) once for c channels, at most 2,000.",
    syntax_example = "removal_effects(channels, conversions, nulls)",
    sql_example = r#"```sql
> SELECT e['channel'] AS channel, round(e['removal_effect'], 4) AS effect
  FROM (
    SELECT unnest(removal_effects(channels, conversions, nulls)) AS e
    FROM (VALUES
      (['instagram', 'email', 'google'], 1, 0),
      (['google'], 1, 0),
      (['instagram', 'google'], 1, 0),
      (['instagram', 'email', 'email', 'google'], 1, 0),
      (['email', 'google'], 0, 1)
    ) AS journeys(channels, conversions, nulls)
  )
  ORDER BY channel;
+-----------+--------+
| channel   | effect |
+-----------+--------+
| email     | 0.6    |
| google    | 1.0    |
| instagram | 0.6    |
+-----------+--------+
```"#,
    argument(
        name = "channels",
        description = "The channels of a journey in their order, a list of VARCHAR. An empty or NULL list is no journey; a NULL in it is (unknown)."
    ),
    argument(
        name = "conversions",
        description = "How many such journeys ended in a conversion, a number from 0 on; NULL is 0."
    ),
    argument(
        name = "nulls",
        description = "How many ended without one, a number from 0 on; NULL is 0."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct RemovalEffects {
    signature: Signature,
}

impl RemovalEffects {
    fn new() -> Self {
        // Coercion is our own because any list of texts will do.
        Self { signature: coerced_by_itself(&[]) }
    }
}

impl AggregateUDFImpl for RemovalEffects {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [channels, counts @ ..] = arg_types else { return wrong_count(arg_types.len()) };
        if counts.len() != 2 {
            return wrong_count(arg_types.len());
        }
        let is_texts = match channels {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                matches!(
                    item.data_type(),
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
                )
            }
            DataType::Null => true,
            _ => false,
        };
        if !is_texts {
            return plan_err!(
                "`{NAME}`: argument `channels` must be a list of VARCHAR, found {channels}"
            );
        }
        for (name, count) in ["conversions", "nulls"].iter().zip(counts) {
            if !count.is_numeric() && !count.is_null() {
                return plan_err!("`{NAME}`: argument `{name}` must be a number, found {count}");
            }
        }
        let list = DataType::new_list(DataType::Utf8View, true);
        Ok(vec![list, DataType::Float64, DataType::Float64])
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::new_list(DataType::Struct(result_fields()), true))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "transitions");
        let item = DataType::Struct(state_fields());
        Ok(vec![Arc::new(Field::new(name, DataType::new_list(item, true), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("`{NAME}` does not support DISTINCT; every journey counts");
        }
        Ok(Box::new(Chain::default()))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn wrong_count<T>(found: usize) -> Result<T> {
    plan_err!("`{NAME}` takes 3 arguments (channels, conversions, nulls), found {found}")
}

fn result_fields() -> Fields {
    Fields::from(vec![
        Field::new("channel", DataType::Utf8, true),
        Field::new("removal_effect", DataType::Float64, true),
        Field::new("share", DataType::Float64, true),
    ])
}

/// A transition; NULL stands for the start, and for the end.
fn state_fields() -> Fields {
    let count = DataType::Decimal128(38, 0);
    Fields::from(vec![
        Field::new("from", DataType::Utf8, true),
        Field::new("to", DataType::Utf8, true),
        Field::new("conversions", count.clone(), true),
        Field::new("nulls", count, true),
    ])
}

/// How often journeys went from one state to another, converting journeys and others apart.
#[derive(Debug, Default)]
struct Chain {
    /// The channels, and their numbers plus one; 0 is the start as an origin and the end as a target.
    numbers: BTreeMap<String, u32>,
    transitions: BTreeMap<(u32, u32), [i128; 2]>,
    names: usize,
}

impl Chain {
    fn number(&mut self, channel: &str) -> u32 {
        if let Some(number) = self.numbers.get(channel) {
            return *number;
        }
        let number = self.numbers.len() as u32 + 1;
        self.names += channel.len();
        self.numbers.insert(channel.to_string(), number);
        number
    }

    fn count(&mut self, from: u32, to: u32, counts: [i128; 2]) {
        let sums = self.transitions.entry((from, to)).or_default();
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }

    /// The effects in the order of the names.
    fn effects(&self) -> Result<Vec<(String, Option<f64>)>> {
        let names: Vec<&String> = self.numbers.keys().collect();
        let n = names.len();
        if n > MAX_CHANNELS {
            return exec_err!(
                "`{NAME}` solves for at most {MAX_CHANNELS} channels, found {n}; group the small ones"
            );
        }
        // The numbers follow the order of arrival, which must not matter to the last digit.
        let mut place = vec![0; n + 1];
        for (index, number) in self.numbers.values().enumerate() {
            place[*number as usize] = index;
        }
        let mut totals = vec![0_i128; n + 1];
        for ((from, _), counts) in &self.transitions {
            totals[*from as usize] += counts[0] + counts[1];
        }
        let converted: i128 = self
            .transitions
            .iter()
            .filter(|((_, to), _)| *to == 0)
            .map(|(_, counts)| counts[0])
            .sum();
        if n == 0 || converted == 0 {
            return Ok(names.into_iter().map(|name| (name.clone(), None)).collect());
        }
        let mut chain = DMatrix::<f64>::identity(n, n);
        let mut start = DVector::<f64>::zeros(n);
        let mut ends = DVector::<f64>::zeros(n);
        for ((from, to), counts) in &self.transitions {
            let total = totals[*from as usize] as f64;
            let share = (counts[0] + counts[1]) as f64 / total;
            match (*from as usize, *to as usize) {
                (0, 0) => {}
                (0, to) => start[place[to]] = share,
                (from, 0) => ends[place[from]] = counts[0] as f64 / total,
                (from, to) => chain[(place[from], place[to])] -= share,
            }
        }
        // Every journey ends, so that no set of channels keeps one for ever, and the matrix has an inverse.
        let Some(visits) = chain.try_inverse() else {
            return exec_err!("`{NAME}`: the chain of the journeys cannot be solved");
        };
        let reaches = visits.transpose() * &start;
        let converts = &visits * &ends;
        let all = start.dot(&converts);
        Ok(names
            .into_iter()
            .enumerate()
            .map(|(k, name)| {
                let effect = reaches[k] / visits[(k, k)] * converts[k] / all;
                // What is certain comes out as 1 and 0, not as their neighbours.
                (name.clone(), Some(effect.clamp(0.0, 1.0)))
            })
            .collect())
    }
}

impl Accumulator for Chain {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [lists, conversions, nulls] = values else { return wrong_count(values.len()) };
        let lists = lists.as_list::<i32>();
        let counts = [conversions, nulls].map(|c| c.as_primitive::<Float64Type>());
        for row in 0..lists.len() {
            if lists.is_null(row) || lists.value_length(row) == 0 {
                continue;
            }
            let [conversions, nulls] = [counts[0], counts[1]].map(|counts| {
                let count = if counts.is_valid(row) { counts.value(row) } else { 0.0 };
                if (0.0..=1e15).contains(&count) {
                    Ok((count * UNIT).round() as i128)
                } else {
                    Err(exec_datafusion_err!("`{NAME}`: journeys cannot be counted as {count}"))
                }
            });
            let counted = [conversions?, nulls?];
            if counted == [0, 0] {
                continue;
            }
            let channels = lists.value(row);
            let channels: &StringViewArray = channels.as_string_view();
            let mut from = 0;
            for channel in channels {
                let to = self.number(channel.unwrap_or("(unknown)"));
                if to != from {
                    self.count(from, to, counted);
                }
                from = to;
            }
            self.count(from, 0, counted);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states[0].as_list::<i32>();
        for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
            let rows = lists.value(row);
            let [from, to, conversions, nulls] = rows.as_struct().columns() else {
                return exec_err!("`{NAME}` received a partial state that it did not write");
            };
            let (from, to) = (from.as_string::<i32>(), to.as_string::<i32>());
            let counts = [conversions, nulls].map(|counts| counts.as_primitive::<Decimal128Type>());
            for row in 0..from.len() {
                let mut number = |names: &StringArray| {
                    if names.is_valid(row) { self.number(names.value(row)) } else { 0 }
                };
                let (from, to) = (number(from), number(to));
                self.count(from, to, [counts[0].value(row), counts[1].value(row)]);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let effects = self.effects()?;
        let sum: f64 = effects.iter().filter_map(|(_, effect)| *effect).sum();
        let share = |effect: Option<f64>| effect.filter(|_| sum > 0.0).map(|effect| effect / sum);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(effects.iter().map(|(name, _)| name))),
            Arc::new(effects.iter().map(|(_, effect)| *effect).collect::<Float64Array>()),
            Arc::new(effects.iter().map(|(_, effect)| share(*effect)).collect::<Float64Array>()),
        ];
        let rows = StructArray::try_new(result_fields(), columns, None)?;
        Ok(SingleRowListArrayBuilder::new(Arc::new(rows)).build_list_scalar())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut names = vec![None; self.numbers.len() + 1];
        for (name, number) in &self.numbers {
            names[*number as usize] = Some(name.as_str());
        }
        let end = |of: fn(&(u32, u32)) -> u32| -> StringArray {
            self.transitions.keys().map(|key| names[of(key) as usize]).collect()
        };
        let counts = |of: usize| -> ArrayRef {
            let counts =
                Decimal128Array::from_iter_values(self.transitions.values().map(|c| c[of]));
            Arc::new(counts.with_data_type(DataType::Decimal128(38, 0)))
        };
        let columns: Vec<ArrayRef> =
            vec![Arc::new(end(|key| key.0)), Arc::new(end(|key| key.1)), counts(0), counts(1)];
        let rows = StructArray::try_new(state_fields(), columns, None)?;
        Ok(vec![SingleRowListArrayBuilder::new(Arc::new(rows)).build_list_scalar()])
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.names
            + self.numbers.len() * (size_of::<(String, u32)>() + 16)
            + self.transitions.len() * (size_of::<((u32, u32), [i128; 2])>() + 16)
    }
}

#[cfg(test)]
mod tests {
    use arrow::compute::cast;

    use super::*;
    use crate::testing::Random;

    type Path = (Vec<&'static str>, f64, f64);

    fn batch(paths: &[Path]) -> Result<Vec<ArrayRef>> {
        let mut lists = arrow::array::ListBuilder::new(arrow::array::StringViewBuilder::new());
        for (path, _, _) in paths {
            path.iter().for_each(|channel| lists.values().append_value(channel));
            lists.append(true);
        }
        let list = cast(&lists.finish(), &DataType::new_list(DataType::Utf8View, true))?;
        let count = |of: fn(&Path) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(paths.iter().map(of)))
        };
        Ok(vec![list, count(|p| p.1), count(|p| p.2)])
    }

    fn effects(paths: &[Path]) -> Result<Vec<(String, Option<f64>)>> {
        let mut chain = Chain::default();
        chain.update_batch(&batch(paths)?)?;
        chain.effects()
    }

    #[test]
    fn the_published_example() -> Result<()> {
        let paths = [
            (vec!["instagram", "email", "google"], 1.0, 0.0),
            (vec!["google"], 1.0, 0.0),
            (vec!["instagram", "google"], 1.0, 0.0),
            (vec!["instagram", "email", "email", "google"], 1.0, 0.0),
            (vec!["email", "google"], 0.0, 1.0),
        ];
        let found = effects(&paths)?;
        for ((name, effect), expected) in found.iter().zip([0.6, 1.0, 0.6]) {
            let effect = effect.unwrap_or(f64::NAN);
            assert!((effect - expected).abs() < 1e-14, "{name} {effect}");
        }
        Ok(())
    }

    /// The chain walked: the probability of a conversion, with a channel that leads nowhere.
    fn walked(paths: &[Path], without: &str) -> f64 {
        let mut counts: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for (path, conversions, nulls) in paths.iter().filter(|p| !p.0.is_empty()) {
            let mut path = path.clone();
            path.dedup();
            let mut from = "";
            for to in path {
                *counts.entry((from, to)).or_default() += conversions + nulls;
                from = to;
            }
            *counts.entry((from, "(conversion)")).or_default() += conversions;
            *counts.entry((from, "(null)")).or_default() += nulls;
        }
        let total = |from: &str| -> f64 {
            counts.iter().filter(|((f, _), _)| *f == from).map(|(_, count)| count).sum()
        };
        let mut at: BTreeMap<&str, f64> = BTreeMap::from([("", 1.0)]);
        let mut converted = 0.0;
        for _ in 0..4_000 {
            let mut next: BTreeMap<&str, f64> = BTreeMap::new();
            for ((from, to), count) in &counts {
                let moved = at.get(from).unwrap_or(&0.0) * count / total(from);
                match *to {
                    "(conversion)" => converted += moved,
                    "(null)" => {}
                    to if to == without => {}
                    to => *next.entry(to).or_default() += moved,
                }
            }
            at = next;
        }
        converted
    }

    #[test]
    fn removing_a_channel_loses_what_its_effect_says() -> Result<()> {
        const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
        let mut random = Random::new(31);
        for _ in 0..6 {
            let paths: Vec<Path> = (0..20)
                .map(|_| {
                    let path = (0..random.below(5) + 1).map(|_| NAMES[random.below(5) as usize]);
                    (path.collect(), random.below(4) as f64, 1.0 + random.below(3) as f64)
                })
                .collect();
            let all = walked(&paths, "nothing");
            for (name, effect) in effects(&paths)? {
                let expected = 1.0 - walked(&paths, &name) / all;
                let effect = effect.unwrap_or(f64::NAN);
                assert!((effect - expected).abs() < 1e-9, "{name} {effect} {expected}");
            }
        }
        Ok(())
    }

    #[test]
    fn states_merge_and_the_order_does_not_matter() -> Result<()> {
        let mut random = Random::new(32);
        let mut paths: Vec<Path> = (0..200)
            .map(|_| {
                let path =
                    (0..random.below(6)).map(|_| ["x", "y", "z", "w"][random.below(4) as usize]);
                (path.collect(), random.below(30) as f64 / 7.0, random.below(9) as f64)
            })
            .collect();
        let expected = effects(&paths)?;
        random.shuffle(&mut paths);
        let mut last = Chain::default();
        for part in paths.chunks(17) {
            let mut partial = Chain::default();
            partial.update_batch(&batch(part)?)?;
            let state =
                partial.state()?.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?;
            last.merge_batch(&state)?;
        }
        assert_eq!(last.effects()?, expected);
        Ok(())
    }

    #[test]
    fn nothing_converts_and_nothing_is_there() -> Result<()> {
        assert_eq!(effects(&[])?, vec![]);
        assert_eq!(effects(&[(vec![], 3.0, 0.0)])?, vec![]);
        assert_eq!(
            effects(&[(vec!["a", "b"], 0.0, 3.0)])?,
            [("a".into(), None), ("b".into(), None)]
        );
        assert_eq!(effects(&[(vec!["a"], 2.0, 0.0)])?, [("a".into(), Some(1.0))]);
        assert!(effects(&[(vec!["a"], -1.0, 0.0)]).is_err());
        assert!(effects(&[(vec!["a"], f64::NAN, 0.0)]).is_err());
        Ok(())
    }
}
