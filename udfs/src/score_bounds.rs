// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`ScoreBounds`]: where each quantile score begins, so that equal values get equal scores.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, UInt64Array};
use arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use datafusion_common::utils::SingleRowListArrayBuilder;
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::format_state_name;
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Signature};
use datafusion_macros::user_doc;

use crate::literal::literal;
use crate::ordered_key::{EXPECTED, Key, coerce, is_wide};
use crate::signature::coerced_by_itself;

/// The aggregate function `score_bounds`.
pub(crate) fn score_bounds() -> AggregateUDF {
    AggregateUDF::from(ScoreBounds::new())
}

const NAME: &str = "score_bounds";
const PARAMETERS: [&str; 3] = ["value", "k", "ties"];
const MIN_K: i64 = 2;
const MAX_K: i64 = 100;

#[user_doc(
    doc_section(label = "Customers"),
    description = "Returns where the quantile scores 2 to k begin: a list of k − 1 values, whose \
element j is the smallest value in the group with a score of at least j + 1, and NULL when no \
value reaches it. `score(value, bounds)` then gives each value its score. Equal values have equal \
scores, whatever the order of the rows. With N values, of which lt(x) are less than x and eq(x) \
equal to x, the score of x is min(k, 1 + ⌊k · lt(x) / N⌋), computed in integers. Without values \
every element is NULL. Needs O(n log n) time for n values and memory for the distinct values \
only.",
    syntax_example = "score_bounds(value, k[, ties])",
    sql_example = r#"```sql
> SELECT score_bounds(frequency, 5) AS bounds
  FROM (VALUES (1), (1), (1), (1), (1), (1), (1), (2), (3), (4)) AS customers(frequency);
+--------------+
| bounds       |
+--------------+
| [2, 2, 2, 3] |
+--------------+
```"#,
    argument(
        name = "value",
        description = "What is scored, higher is better: a number, DATE, TIMESTAMP or duration. NULL and NaN are ignored: they are not among the N."
    ),
    argument(name = "k", description = "The highest score, a literal integer from 2 to 100."),
    argument(
        name = "ties",
        description = "How equal values share a score, a literal. `'lowest'`, the default: the score of the first of them. `'average'`: the score of their mean rank, that is lt(x) + (eq(x) − 1)/2 in place of lt(x)."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct ScoreBounds {
    signature: Signature,
}

impl ScoreBounds {
    fn new() -> Self {
        // Coercion is our own because the bounds have the type of the value, whichever it is.
        Self { signature: coerced_by_itself(&PARAMETERS) }
    }
}

impl AggregateUDFImpl for ScoreBounds {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerce_arguments(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let [value, ..] = arg_types else { return wrong_count(arg_types.len()) };
        Ok(DataType::new_list(value.clone(), true))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let [value, ..] = args.input_fields else { return wrong_count(args.input_fields.len()) };
        let list = |name, data_type: &DataType| {
            let item = Field::new_list_field(data_type.clone(), true);
            Arc::new(Field::new_list(format_state_name(args.name, name), item, true))
        };
        Ok(vec![list("values", value.data_type()), list("counts", &DataType::UInt64)])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let [value, ..] = args.expr_fields else { return wrong_count(args.expr_fields.len()) };
        if args.is_distinct {
            return plan_err!("`{NAME}` does not support DISTINCT; select distinct values first");
        }
        let k = read_k(literal(&args, NAME, "k", 1)?)?;
        let ties = read_ties(literal(&args, NAME, "ties", 2)?)?;
        Ok(new_accumulator(value.data_type(), k, ties))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn new_accumulator(value: &DataType, k: usize, ties: Ties) -> Box<dyn Accumulator> {
    if is_wide(value) {
        Box::new(ScoreBoundsAccumulator::<i128>::new(value, k, ties))
    } else {
        Box::new(ScoreBoundsAccumulator::<i64>::new(value, k, ties))
    }
}

/// How equal values share a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ties {
    Lowest,
    Average,
}

fn read_k(value: Option<ScalarValue>) -> Result<usize> {
    match value {
        Some(ScalarValue::Int64(Some(k))) if (MIN_K..=MAX_K).contains(&k) => Ok(k as usize),
        found => plan_err!(
            "`{NAME}`: argument `k` must be an integer from {MIN_K} to {MAX_K}, found {}",
            found.unwrap_or(ScalarValue::Null)
        ),
    }
}

fn read_ties(value: Option<ScalarValue>) -> Result<Ties> {
    let Some(value) = value else { return Ok(Ties::Lowest) };
    match value.try_as_str().flatten() {
        Some("lowest") => Ok(Ties::Lowest),
        Some("average") => Ok(Ties::Average),
        _ => plan_err!("`{NAME}`: argument `ties` must be 'lowest' or 'average', found {value}"),
    }
}

fn coerce_arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    let (value, k, ties) = match types {
        [value, k] => (value, k, None),
        [value, k, ties] => (value, k, Some(ties)),
        _ => return wrong_count(types.len()),
    };
    let Some(value) = coerce(value) else { return wrong_type("value", EXPECTED, value) };
    if !(k.is_integer() || k.is_null()) {
        return wrong_type("k", &format!("an integer from {MIN_K} to {MAX_K}"), k);
    }
    let mut coerced = vec![value, DataType::Int64];
    match ties {
        None => {}
        Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null) => {
            coerced.push(DataType::Utf8);
        }
        Some(other) => return wrong_type("ties", "'lowest' or 'average'", other),
    }
    Ok(coerced)
}

fn wrong_type<T>(argument: &str, expected: &str, found: &DataType) -> Result<T> {
    plan_err!("`{NAME}`: argument `{argument}` must be {expected}, found {found}")
}

fn wrong_count<T>(found: usize) -> Result<T> {
    plan_err!("`{NAME}` takes 2 or 3 arguments ({}), found {found}", PARAMETERS.join(", "))
}

/// The distinct values of a group with their counts.
#[derive(Debug)]
struct ScoreBoundsAccumulator<K> {
    data_type: DataType,
    k: usize,
    ties: Ties,
    runs: Runs<K>,
}

impl<K: Key> ScoreBoundsAccumulator<K> {
    fn new(data_type: &DataType, k: usize, ties: Ties) -> Self {
        Self { data_type: data_type.clone(), k, ties, runs: Runs::default() }
    }

    fn list(&self, keys: PrimitiveArray<K::Array>) -> Result<ScalarValue> {
        let values = K::values(keys, &self.data_type)?;
        Ok(SingleRowListArrayBuilder::new(values).build_list_scalar())
    }
}

impl<K: Key> Accumulator for ScoreBoundsAccumulator<K> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let keys = K::keys(&values[0])?;
        if keys.null_count() == 0 {
            self.runs.extend(keys.values());
        } else {
            keys.iter().flatten().for_each(|key| self.runs.extend(&[key]));
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (values, counts) = (states[0].as_list::<i32>(), states[1].as_list::<i32>());
        for row in 0..values.len() {
            if values.is_null(row) || counts.is_null(row) {
                continue;
            }
            let (keys, counts) = (K::keys(&values.value(row))?, counts.value(row));
            let counts = counts.as_primitive::<UInt64Type>();
            if keys.len() != counts.len() {
                return exec_err!("`{NAME}` received a partial state that it did not write");
            }
            self.runs.extend_runs(keys.values(), counts.values());
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.runs.settle();
        let bounds = bounds(&self.runs.keys, &self.runs.counts, self.k, self.ties);
        self.list(bounds.into_iter().collect())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.runs.settle();
        let keys = std::mem::take(&mut self.runs.keys);
        let counts = UInt64Array::from(std::mem::take(&mut self.runs.counts));
        let counts = SingleRowListArrayBuilder::new(Arc::new(counts)).build_list_scalar();
        Ok(vec![self.list(PrimitiveArray::from_iter_values(keys))?, counts])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.runs.size()
    }
}

/// A multiset: sorted distinct keys with counts, and a buffer of keys that are not yet among them.
///
/// The buffer is merged when it outgrows the runs, so that n keys cost O(n log n) however many are
/// distinct, and the memory is that of the distinct keys.
#[derive(Debug)]
struct Runs<K> {
    keys: Vec<K>,
    counts: Vec<u64>,
    /// Keys that count once, as nearly all do.
    single: Vec<K>,
    /// Keys of merged states that count more than once.
    counted: Vec<(K, u64)>,
}

impl<K> Default for Runs<K> {
    fn default() -> Self {
        Self { keys: vec![], counts: vec![], single: vec![], counted: vec![] }
    }
}

impl<K: Copy + Ord> Runs<K> {
    /// A buffer smaller than this is not worth a merge; larger than a batch.
    const MIN_BUFFER: usize = 16_384;

    fn extend(&mut self, keys: &[K]) {
        self.single.extend_from_slice(keys);
        self.settle_when_full();
    }

    fn extend_counted(&mut self, key: K, count: u64) {
        if count == 1 {
            self.single.push(key);
        } else {
            self.counted.push((key, count));
        }
        self.settle_when_full();
    }

    /// Takes the runs of another. Those of a big one are in order already, and this is the step that no other thread can
    /// help with; small ones are gathered first, so that many of them do not move all runs each time.
    fn extend_runs(&mut self, keys: &[K], counts: &[u64]) {
        if keys.len() < Self::MIN_BUFFER.max(self.keys.len() / 4) {
            for (key, count) in keys.iter().zip(counts) {
                self.extend_counted(*key, *count);
            }
            return;
        }
        let own_keys = std::mem::take(&mut self.keys);
        let own_counts = std::mem::take(&mut self.counts);
        self.keys.reserve(own_keys.len() + keys.len());
        self.counts.reserve(own_keys.len() + keys.len());
        let mut own = own_keys.into_iter().zip(own_counts).peekable();
        for (key, count) in keys.iter().zip(counts) {
            while let Some((smaller, its_count)) = own.next_if(|(head, _)| head < key) {
                self.keys.push(smaller);
                self.counts.push(its_count);
            }
            let equal = own.next_if(|(head, _)| head == key).map_or(0, |(_, count)| count);
            self.keys.push(*key);
            self.counts.push(count + equal);
        }
        for (key, count) in own {
            self.keys.push(key);
            self.counts.push(count);
        }
    }

    fn settle_when_full(&mut self) {
        let buffered = self.single.len() + self.counted.len();
        if buffered >= self.keys.len().max(Self::MIN_BUFFER) {
            self.settle();
        }
    }

    /// Merges the buffer into the runs.
    fn settle(&mut self) {
        if self.single.is_empty() && self.counted.is_empty() {
            return;
        }
        self.single.sort_unstable();
        self.counted.sort_unstable();
        let old_keys = std::mem::take(&mut self.keys);
        let old_counts = std::mem::take(&mut self.counts);
        let mut runs = old_keys.into_iter().zip(old_counts).peekable();
        let mut counted = self.counted.drain(..).peekable();
        let mut single = self.single.chunk_by(|left, right| left == right).peekable();
        loop {
            // The smallest key at the head of the three sorted sequences, and all that equal it.
            let heads = [
                runs.peek().map(|(key, _)| *key),
                counted.peek().map(|(key, _)| *key),
                single.peek().and_then(|run| run.first()).copied(),
            ];
            let Some(key) = heads.into_iter().flatten().min() else { break };
            let mut count = 0;
            while let Some((_, more)) = runs.next_if(|(head, _)| *head == key) {
                count += more;
            }
            while let Some((_, more)) = counted.next_if(|(head, _)| *head == key) {
                count += more;
            }
            while let Some(run) = single.next_if(|run| run.first() == Some(&key)) {
                count += run.len() as u64;
            }
            self.keys.push(key);
            self.counts.push(count);
        }
        drop(counted);
        self.single.clear();
    }

    fn size(&self) -> usize {
        self.keys.capacity() * size_of::<K>()
            + self.counts.capacity() * size_of::<u64>()
            + self.single.capacity() * size_of::<K>()
            + self.counted.capacity() * size_of::<(K, u64)>()
    }
}

/// The smallest key of each score from 2 to `k`, given the distinct keys in order.
///
/// With N keys, lt(x) of them less than x and eq(x) equal to x, the score of x is
/// `min(k, 1 + floor(k · r(x) / N))`, where the rank r(x), counted from 0, is lt(x) for the lowest
/// of ties and lt(x) + (eq(x) − 1)/2 for their average. Both grow with x, so that a score is
/// reached by some x and all after it. Twice the rank is an integer, and so there are no floats.
fn bounds<K: Copy>(keys: &[K], counts: &[u64], k: usize, ties: Ties) -> Vec<Option<K>> {
    let all: u128 = counts.iter().map(|count| u128::from(*count)).sum();
    let mut bounds = Vec::with_capacity(k - 1);
    let mut less = 0_u128;
    for (key, count) in keys.iter().zip(counts) {
        let equal = u128::from(*count);
        let twice_rank = match ties {
            Ties::Lowest => 2 * less,
            Ties::Average => 2 * less + equal - 1,
        };
        // The rank is less than N, hence the score at most k. A key fills all bounds up to its
        // score: the scores that it skips begin with it, too.
        let score = 1 + k as u128 * twice_rank / (2 * all);
        while (bounds.len() as u128) + 2 <= score && bounds.len() < k - 1 {
            bounds.push(Some(*key));
        }
        less += equal;
    }
    bounds.resize(k - 1, None);
    bounds
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Float64Array, Int64Array, ListArray};
    use arrow::compute::cast;
    use arrow::datatypes::{Decimal128Type, Int64Type, TimeUnit};

    use super::*;
    use crate::testing::Random;

    fn elements(list: &ScalarValue) -> Result<ArrayRef> {
        let array = list.to_array()?;
        let list: &ListArray = array.as_list();
        Ok(list.value(0))
    }

    fn run(values: &ArrayRef, k: usize, ties: Ties) -> Result<ArrayRef> {
        let mut accumulator = new_accumulator(values.data_type(), k, ties);
        accumulator.update_batch(&[Arc::clone(values)])?;
        elements(&accumulator.evaluate()?)
    }

    /// The definition: the score of each value by counting, then the smallest value per score.
    fn twin(values: &[i64], k: i64, ties: Ties) -> Vec<Option<i64>> {
        let score = |x: i64| {
            let less = values.iter().filter(|y| **y < x).count() as i64;
            let equal = values.iter().filter(|y| **y == x).count() as i64;
            let n = values.len() as i64;
            match ties {
                Ties::Lowest => k.min(1 + k * less / n),
                Ties::Average => k.min(1 + k * (2 * less + equal - 1) / (2 * n)),
            }
        };
        (2..=k)
            .map(|reached| values.iter().copied().filter(|x| score(*x) >= reached).min())
            .collect()
    }

    #[test]
    fn seven_equal_customers_share_a_score() -> Result<()> {
        let frequency: ArrayRef = Arc::new(Int64Array::from(vec![1, 1, 1, 1, 1, 1, 1, 2, 3, 4]));
        let bounds = run(&frequency, 5, Ties::Lowest)?;
        assert_eq!(bounds.as_primitive::<Int64Type>().values(), &[2, 2, 2, 3]);
        // The mean rank of the seven is 3, and 5 · 3 / 10 gives a score of 2.
        let bounds = run(&frequency, 5, Ties::Average)?;
        assert_eq!(bounds.as_primitive::<Int64Type>().values(), &[1, 2, 2, 3]);
        Ok(())
    }

    #[test]
    fn agrees_with_the_definition_through_state_and_merge() -> Result<()> {
        let mut random = Random::new(5);
        for round in 0..200 {
            let distinct = random.below(40) + 1;
            let values: Vec<i64> =
                (0..random.below(200) + 1).map(|_| random.below(distinct) as i64 - 7).collect();
            let k = random.below(12) as usize + 2;
            let ties = if round % 2 == 0 { Ties::Lowest } else { Ties::Average };
            let precision = if random.one_in(2) { 18 } else { 30 };
            let data_type = DataType::Decimal128(precision, 2);

            let mut last = new_accumulator(&data_type, k, ties);
            let mut rest = values.as_slice();
            while !rest.is_empty() {
                let (part, next) = rest.split_at((random.below(60) as usize).min(rest.len()));
                rest = next;
                let part: Decimal128Array = part.iter().map(|v| Some(i128::from(*v))).collect();
                let part: ArrayRef = Arc::new(part.with_data_type(data_type.clone()));
                let mut partial = new_accumulator(&data_type, k, ties);
                partial.update_batch(&[part])?;
                let states = partial
                    .state()?
                    .iter()
                    .map(ScalarValue::to_array)
                    .collect::<Result<Vec<_>>>()?;
                last.merge_batch(&states)?;
            }
            let found = elements(&last.evaluate()?)?;
            assert_eq!(found.data_type(), &data_type);
            let found: Vec<Option<i64>> = found
                .as_primitive::<Decimal128Type>()
                .iter()
                .map(|v| v.map(|v| v as i64))
                .collect();
            assert_eq!(found, twin(&values, k as i64, ties), "{values:?} {k} {ties:?}");
        }
        Ok(())
    }

    #[test]
    fn memory_follows_the_distinct_values() -> Result<()> {
        let mut random = Random::new(6);
        let mut accumulator = ScoreBoundsAccumulator::<i64>::new(&DataType::Int64, 5, Ties::Lowest);
        for _ in 0..200 {
            let batch: Int64Array = (0..8192).map(|_| Some(random.below(100) as i64)).collect();
            accumulator.update_batch(&[Arc::new(batch)])?;
        }
        assert!(accumulator.size() < 400_000, "{}", accumulator.size());
        accumulator.evaluate()?;
        assert_eq!(accumulator.runs.keys.len(), 100);
        assert_eq!(accumulator.runs.counts.iter().sum::<u64>(), 200 * 8192);
        Ok(())
    }

    #[test]
    fn many_small_states_merge() -> Result<()> {
        let mut runs = Runs::default();
        for key in 0..100_000_i64 {
            runs.extend_counted(key % 50_000, 1 + (key as u64 % 2));
        }
        runs.settle();
        assert_eq!(runs.keys.len(), 50_000);
        assert_eq!(runs.counts.iter().sum::<u64>(), 150_000);
        assert!(runs.keys.is_sorted());
        // A big one, of which every second key is known.
        let keys: Vec<i64> = (0..50_000).map(|key| key * 2).collect();
        runs.extend_runs(&keys, &vec![3; keys.len()]);
        assert_eq!(runs.keys.len(), 75_000);
        assert_eq!(runs.counts.iter().sum::<u64>(), 300_000);
        assert!(runs.keys.is_sorted());
        Ok(())
    }

    #[test]
    fn nothing_and_one_value_reach_no_score() -> Result<()> {
        let empty: ArrayRef = Arc::new(Int64Array::from(Vec::<i64>::new()));
        let one: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None]));
        for values in [empty, one] {
            let bounds = run(&values, 4, Ties::Lowest)?;
            assert_eq!((bounds.len(), bounds.null_count()), (3, 3));
        }
        Ok(())
    }

    #[test]
    fn nan_is_no_observation() -> Result<()> {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN, 2.0, f64::NAN]));
        let expected: ArrayRef = Arc::new(Float64Array::from(vec![2.0]));
        assert_eq!(&run(&values, 2, Ties::Lowest)?, &expected);
        Ok(())
    }

    #[test]
    fn bounds_keep_the_type() -> Result<()> {
        for data_type in [
            DataType::Int16,
            DataType::UInt64,
            DataType::Float32,
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Paris".into())),
            DataType::Decimal128(38, 4),
        ] {
            let values = cast(&Int64Array::from(vec![10, 20]), &DataType::Int32)?;
            let values = cast(&values, &data_type)?;
            assert_eq!(&run(&values, 2, Ties::Lowest)?, &values.slice(1, 1), "{data_type}");
        }
        Ok(())
    }

    #[test]
    fn wrong_calls_name_the_argument() {
        let message = |result: Result<()>| {
            result.err().map(|error| error.strip_backtrace()).unwrap_or_default()
        };
        let check = |types: &[DataType], expected: &str| {
            let found = message(coerce_arguments(types).map(drop));
            assert_eq!(found, format!("Error during planning: `score_bounds`{expected}"));
        };
        use DataType::{Float64, Int64, Utf8};
        check(&[Int64], " takes 2 or 3 arguments (value, k, ties), found 1");
        check(&[Utf8, Int64], &format!(": argument `value` must be {EXPECTED}, found Utf8"));
        check(&[Int64, Float64], ": argument `k` must be an integer from 2 to 100, found Float64");
        check(
            &[Int64, Int64, Int64],
            ": argument `ties` must be 'lowest' or 'average', found Int64",
        );
        for k in [1, 101] {
            let found = message(read_k(Some(ScalarValue::from(i64::from(k)))).map(drop));
            assert!(found.contains("argument `k` must be an integer from 2 to 100"), "{found}");
        }
        assert!(read_k(None).is_err());
        assert!(read_ties(Some(ScalarValue::from("middle"))).is_err());
    }
}
