// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Counting persons up to a limit.
//!
//! A threshold asks whether a group holds at least k different persons, never how many exactly. So a set of persons is
//! kept as at most `limit` hashes of 64 bits, sorted, as bytes. The union of two such sets is such a set: a set below
//! the limit is complete, and one at the limit stays there. So sets can be united again when groups are grouped, and the
//! answer to "at least k, for a k up to the limit" is exact at every level, in a few bytes a group instead of all keys.
//! Two persons whose hashes are equal would count as one, which errs towards silence.
//!
//! None of the functions is registered anywhere: SQL cannot name them.

use std::hash::Hasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use siphasher::sip::SipHasher13;

/// The bytes of a hash.
pub(super) const WIDTH: usize = 8;

/// How a unit's column must be typed for the functions here: texts, whose hashes are those of their bytes.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The persons of a group: of a column of texts, or of a column of sets.
pub(super) fn persons(limit: usize) -> AggregateUDF {
    AggregateUDF::from(Persons { limit, signature: Signature::any(1, Volatility::Immutable) })
}

/// The persons of several columns together: NULL where all are NULL.
pub(super) fn together(limit: usize) -> ScalarUDF {
    ScalarUDF::from(Together { limit, signature: Signature::variadic_any(Volatility::Immutable) })
}

/// Whether a set holds at least `k` persons.
pub(super) fn enough(k: usize) -> ScalarUDF {
    let binary = Signature::exact(vec![DataType::Binary], Volatility::Immutable);
    ScalarUDF::from(Enough { k, signature: binary })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Persons {
    limit: usize,
    signature: Signature,
}

impl AggregateUDFImpl for Persons {
    fn name(&self) -> &str {
        "persons"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(args.name, DataType::Binary, true))])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup { limit: self.limit, set: vec![] }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        _args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups { limit: self.limit, sets: vec![], hashes: 0 }))
    }
}

/// A person, or a set of persons, added to a set that is sorted and no longer than the limit.
fn add(set: &mut Vec<u64>, limit: usize, hash: u64) -> usize {
    if set.len() < limit
        && let Err(place) = set.binary_search(&hash)
    {
        set.insert(place, hash);
        return 1;
    }
    0
}

fn hash(text: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(text);
    hasher.finish()
}

/// The values of a column, read one by one.
enum Values<'a> {
    Utf8(&'a arrow::array::StringArray),
    Large(&'a arrow::array::LargeStringArray),
    View(&'a arrow::array::StringViewArray),
    Sets(&'a BinaryArray),
    Nothing,
}

impl<'a> Values<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
        match array.data_type() {
            DataType::Utf8 => Ok(Values::Utf8(array.as_string())),
            DataType::LargeUtf8 => Ok(Values::Large(array.as_string())),
            DataType::Utf8View => Ok(Values::View(array.as_string_view())),
            DataType::Binary => Ok(Values::Sets(array.as_binary())),
            DataType::Null => Ok(Values::Nothing),
            other => internal_err!("persons are counted over texts and sets, not over {other}"),
        }
    }

    /// Adds the value of a row to a set; gives how many are new.
    fn add_to(&self, row: usize, set: &mut Vec<u64>, limit: usize) -> usize {
        // A set that is full says what it will ever say.
        if set.len() >= limit {
            return 0;
        }
        match self {
            Values::Utf8(a) if a.is_valid(row) => add(set, limit, hash(a.value(row).as_bytes())),
            Values::Large(a) if a.is_valid(row) => add(set, limit, hash(a.value(row).as_bytes())),
            Values::View(a) if a.is_valid(row) => add(set, limit, hash(a.value(row).as_bytes())),
            Values::Sets(a) if a.is_valid(row) => {
                let mut new = 0;
                for bytes in a.value(row).chunks_exact(WIDTH) {
                    let mut number = [0; WIDTH];
                    number.copy_from_slice(bytes);
                    new += add(set, limit, u64::from_be_bytes(number));
                }
                new
            }
            // NULL is nobody.
            Values::Utf8(_)
            | Values::Large(_)
            | Values::View(_)
            | Values::Sets(_)
            | Values::Nothing => 0,
        }
    }
}

fn bytes(set: &[u64]) -> Vec<u8> {
    set.iter().flat_map(|hash| hash.to_be_bytes()).collect()
}

#[derive(Debug)]
struct OneGroup {
    limit: usize,
    set: Vec<u64>,
}

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values] = values else { return internal_err!("`persons` takes one column") };
        let read = Values::of(values)?;
        for row in 0..values.len() {
            if self.set.len() >= self.limit {
                break;
            }
            read.add_to(row, &mut self.set, self.limit);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(Some(bytes(&self.set))))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.set.capacity() * WIDTH
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

#[derive(Debug)]
struct Groups {
    limit: usize,
    sets: Vec<Vec<u64>>,
    /// How many hashes are held in all.
    hashes: usize,
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        let [values] = values else { return internal_err!("`persons` takes one column") };
        let read = Values::of(values)?;
        self.sets.resize_with(groups, Vec::new);
        // An optimizer may have found that some rows of a group say nothing.
        let counts = |row: usize| filter.is_none_or(|f| f.is_valid(row) && f.value(row));
        for (row, group) in group_indices.iter().enumerate().filter(|(row, _)| counts(*row)) {
            self.hashes += read.add_to(row, &mut self.sets[*group], self.limit);
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sets = emit_to.take_needed(&mut self.sets);
        let mut built = BinaryBuilder::with_capacity(sets.len(), sets.len() * WIDTH);
        for set in &sets {
            self.hashes -= set.len();
            built.append_value(bytes(set));
        }
        Ok(Arc::new(built.finish()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        groups: usize,
    ) -> Result<()> {
        self.update_batch(values, group_indices, None, groups)
    }

    /// A row is a set of its own.
    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let [values] = values else { return internal_err!("`persons` takes one column") };
        let mut each = Groups { limit: self.limit, sets: vec![], hashes: 0 };
        let rows: Vec<usize> = (0..values.len()).collect();
        each.update_batch(std::slice::from_ref(values), &rows, filter, values.len())?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.sets.capacity() * size_of::<Vec<u64>>() + self.hashes * 2 * WIDTH
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Together {
    limit: usize,
    signature: Signature,
}

impl ScalarUDFImpl for Together {
    fn name(&self) -> &str {
        "persons_together"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let columns = arrays.iter().map(Values::of).collect::<Result<Vec<_>, DataFusionError>>()?;
        let Some(rows) = arrays.first().map(|a| a.len()) else {
            return exec_err!("`persons_together` takes a column or more");
        };
        let mut built = BinaryBuilder::with_capacity(rows, rows * WIDTH);
        let mut set = vec![];
        for row in 0..rows {
            if arrays.iter().all(|a| a.is_null(row) || a.data_type().is_null()) {
                built.append_null();
                continue;
            }
            set.clear();
            for column in &columns {
                column.add_to(row, &mut set, self.limit);
            }
            built.append_value(bytes(&set));
        }
        Ok(ColumnarValue::Array(Arc::new(built.finish())))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Enough {
    k: usize,
    signature: Signature,
}

impl ScalarUDFImpl for Enough {
    fn name(&self) -> &str {
        "persons_enough"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(sets) = arrays.first().and_then(|a| a.as_binary_opt()) else {
            return internal_err!("`persons_enough` takes a set of persons");
        };
        let enough = (0..sets.len()).map(|row| Some(at_least(sets, row, self.k)));
        Ok(ColumnarValue::Array(Arc::new(enough.collect::<BooleanArray>())))
    }
}

/// Whether the set of a row holds at least `k` persons.
pub(super) fn at_least(sets: &BinaryArray, row: usize, k: usize) -> bool {
    sets.is_valid(row) && sets.value(row).len() >= k * WIDTH
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    #[test]
    fn a_set_counts_each_once_and_stops_at_its_limit() {
        let names: ArrayRef =
            Arc::new(StringArray::from(vec![Some("a"), None, Some("b"), Some("a"), Some("c")]));
        let mut all = OneGroup { limit: 10, set: vec![] };
        all.update_batch(std::slice::from_ref(&names)).expect("counts");
        assert_eq!(all.set.len(), 3);
        let mut two = OneGroup { limit: 2, set: vec![] };
        two.update_batch(&[names]).expect("counts");
        assert_eq!(two.set.len(), 2);
    }

    #[test]
    fn sets_unite_to_what_all_rows_would_have_given() {
        let column = |names: &[&str]| -> ArrayRef { Arc::new(StringArray::from(names.to_vec())) };
        let mut states: Vec<ArrayRef> = vec![];
        for part in [column(&["a", "b"]), column(&["b", "c", "d"]), column(&["a"])] {
            let mut groups = Groups { limit: 3, sets: vec![], hashes: 0 };
            groups
                .update_batch(std::slice::from_ref(&part), &vec![0; part.len()], None, 1)
                .expect("counts");
            states.push(groups.evaluate(EmitTo::All).expect("evaluates"));
        }
        let mut whole = Groups { limit: 3, sets: vec![], hashes: 0 };
        for state in states {
            whole.merge_batch(&[state], &[0], 1).expect("merges");
        }
        assert_eq!(whole.sets[0].len(), 3);
        let array = whole.evaluate(EmitTo::All).expect("evaluates");
        assert!(at_least(array.as_binary(), 0, 3) && !at_least(array.as_binary(), 0, 4));
    }
}
