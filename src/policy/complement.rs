// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Complementary suppression: totals must not give away what is left out.
//!
//! `GROUP BY ROLLUP (country, city)` shows a country and its cities. When one city is left out because it is too small, the
//! country less the other cities is that city. So a parent with exactly one row left out, or with rows left out that have
//! fewer than k persons together, loses its next smallest row as well; and that again, until no parent gives anything
//! away. It also holds the other way round: a parent that is left out is the sum of its parts, so one of them goes as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::internal_err;
use datafusion::error::Result;

/// The grouping sets of an aggregation, and where its columns stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lattice {
    /// The column that says which grouping set a row is of: a bit is set for each key that the set does not have, the
    /// first key's bit the highest.
    pub(super) id: usize,
    /// The keys, in the order of the bits.
    pub(super) keys: Vec<usize>,
    /// The column that counts the persons of a row.
    pub(super) count: usize,
}

impl Lattice {
    /// Whether a column is there for the suppression alone.
    pub(super) fn hides(&self, column: usize) -> bool {
        column == self.count
    }
}

/// The rows that may be shown.
pub(super) fn suppress(
    batch: &RecordBatch,
    lattice: &Lattice,
    enough: &BooleanArray,
    k: usize,
) -> Result<BooleanArray> {
    let ids = grouping_ids(batch.column(lattice.id).as_ref())?;
    let counts = batch.column(lattice.count).as_primitive_opt::<Int64Type>();
    let Some(counts) = counts else { return internal_err!("persons are counted in whole numbers") };
    let mut shown: Vec<bool> = enough.values().iter().collect();
    let mut sets: Vec<u64> = ids.clone();
    sets.sort_unstable();
    sets.dedup();
    let mut families: Vec<Family> = vec![];
    for child in &sets {
        for parent in &sets {
            // The parent lacks keys that the child has, and has none that the child lacks.
            if parent != child && parent & child == *child {
                families.extend(families_of(batch, lattice, &ids, *child, *parent)?);
            }
        }
    }
    // Each round hides a row or is the last.
    while families.iter().any(|family| family.hide_one_more(counts.values(), &mut shown, k as i64))
    {
    }
    Ok(shown.into_iter().map(Some).collect())
}

/// A row and those that add up to it.
#[derive(Default)]
struct Family {
    parent: Option<usize>,
    children: Vec<usize>,
}

impl Family {
    /// Hides the smallest row that is shown, when what is hidden could be worked out from the others.
    fn hide_one_more(&self, counts: &[i64], shown: &mut [bool], k: i64) -> bool {
        let hidden: Vec<usize> = self.children.iter().copied().filter(|row| !shown[*row]).collect();
        let together: i64 = hidden.iter().map(|row| counts[*row]).sum();
        let is_known = match self.parent {
            // Nothing to subtract from.
            None => false,
            Some(parent) if shown[parent] => {
                hidden.len() == 1 || (!hidden.is_empty() && together < k)
            }
            // The sum of what is shown would be the parent.
            Some(_) => hidden.is_empty() && !self.children.is_empty(),
        };
        let rest = self.children.iter().copied().filter(|row| shown[*row]);
        match rest.min_by_key(|row| counts[*row]).filter(|_| is_known) {
            Some(row) => {
                shown[row] = false;
                true
            }
            None => match self.parent.filter(|parent| is_known && shown[*parent]) {
                // All parts are hidden, and are few: their sum is, too.
                Some(parent) if together < k || hidden.len() == 1 => {
                    shown[parent] = false;
                    true
                }
                _ => false,
            },
        }
    }
}

/// The rows of a coarser grouping set with the rows of a finer one that are part of them.
fn families_of(
    batch: &RecordBatch,
    lattice: &Lattice,
    ids: &[u64],
    child: u64,
    parent: u64,
) -> Result<Vec<Family>> {
    let keys = lattice.keys.len();
    let has = |place: &usize| parent >> (keys - 1 - *place) & 1 == 0;
    let columns: Vec<_> =
        (0..keys).filter(has).map(|place| Arc::clone(batch.column(lattice.keys[place]))).collect();
    let mut families: BTreeMap<Vec<u8>, Family> = BTreeMap::new();
    let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let converter = RowConverter::new(fields)?;
    let converted = match columns.is_empty() {
        true => None,
        false => Some(converter.convert_columns(&columns)?),
    };
    for (row, id) in ids.iter().enumerate().filter(|(_, id)| **id == child || **id == parent) {
        let key = converted.as_ref().map(|rows| rows.row(row).as_ref().to_vec());
        let family = families.entry(key.unwrap_or_default()).or_default();
        if *id == child {
            family.children.push(row);
        } else {
            family.parent = Some(row);
        }
    }
    Ok(families.into_values().collect())
}

fn grouping_ids(column: &dyn Array) -> Result<Vec<u64>> {
    if let Some(ids) = column.as_primitive_opt::<UInt8Type>() {
        return Ok(ids.values().iter().map(|id| u64::from(*id)).collect());
    }
    if let Some(ids) = column.as_primitive_opt::<UInt16Type>() {
        return Ok(ids.values().iter().map(|id| u64::from(*id)).collect());
    }
    if let Some(ids) = column.as_primitive_opt::<UInt32Type>() {
        return Ok(ids.values().iter().map(|id| u64::from(*id)).collect());
    }
    match column.as_primitive_opt::<UInt64Type>() {
        Some(ids) => Ok(ids.values().to_vec()),
        None => internal_err!("a grouping id is a number"),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringArray, UInt8Array};

    use super::*;

    /// A rollup of country and city: id 0 is both, 1 is the country, 3 the total.
    fn rollup(rows: &[(Option<&str>, Option<&str>, u8, i64)]) -> RecordBatch {
        let column = |texts: Vec<Option<&str>>| Arc::new(StringArray::from(texts)) as ArrayRef;
        RecordBatch::try_from_iter_with_nullable([
            ("country", column(rows.iter().map(|r| r.0).collect()), true),
            ("city", column(rows.iter().map(|r| r.1).collect()), true),
            ("id", Arc::new(UInt8Array::from_iter_values(rows.iter().map(|r| r.2))) as _, false),
            ("n", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.3))) as _, false),
        ])
        .expect("is a batch")
    }

    fn shown(batch: &RecordBatch, k: i64) -> Vec<bool> {
        let lattice = Lattice { id: 2, keys: vec![0, 1], count: 3 };
        let counts = batch.column(3).as_primitive::<Int64Type>();
        let enough: BooleanArray = counts.values().iter().map(|n| Some(*n >= k)).collect();
        let mask = suppress(batch, &lattice, &enough, k as usize).expect("suppresses");
        mask.values().iter().collect()
    }

    #[test]
    fn a_single_hidden_city_takes_the_next_smallest_with_it() {
        let batch = rollup(&[
            (Some("FR"), Some("Paris"), 0, 50),
            (Some("FR"), Some("Lyon"), 0, 20),
            (Some("FR"), Some("Vire"), 0, 3),
            (Some("BE"), Some("Gent"), 0, 30),
            (Some("BE"), Some("Brugge"), 0, 31),
            (Some("FR"), None, 1, 73),
            (Some("BE"), None, 1, 61),
            (None, None, 3, 134),
        ]);
        // Vire is too small and Lyon hides it. Then the total less what is shown is both together, which is a group.
        assert_eq!(shown(&batch, 5), [true, false, false, true, true, true, true, true]);
    }

    #[test]
    fn hidden_rows_that_are_few_together_need_another() {
        let batch = rollup(&[
            (Some("FR"), Some("A"), 0, 1),
            (Some("FR"), Some("B"), 0, 1),
            (Some("FR"), Some("C"), 0, 40),
            (Some("FR"), Some("D"), 0, 30),
            (Some("FR"), None, 1, 72),
        ]);
        assert_eq!(shown(&batch, 5), [false, false, true, false, true]);
    }

    #[test]
    fn a_hidden_country_is_not_worked_out_from_the_total() {
        let batch = rollup(&[
            (Some("FR"), None, 1, 72),
            (Some("BE"), None, 1, 2),
            (Some("DE"), None, 1, 9),
            (None, None, 3, 83),
        ]);
        assert_eq!(shown(&batch, 5), [true, false, false, true]);
    }

    #[test]
    fn a_country_that_hides_another_is_not_the_sum_of_its_cities() {
        let batch = rollup(&[
            (Some("FR"), None, 1, 72),
            (Some("BE"), None, 1, 2),
            (Some("DE"), None, 1, 19),
            (Some("DE"), Some("Bonn"), 0, 8),
            (Some("DE"), Some("Ulm"), 0, 11),
        ]);
        let total = rollup(&[(None, None, 3, 93)]);
        let batch = arrow::compute::concat_batches(&batch.schema(), &[batch, total]).expect("fits");
        // Belgium is too small, Germany hides it, and Bonn hides Germany; then Ulm is all that is shown of Germany.
        let mask = shown(&batch, 5);
        assert_eq!(mask[..4], [true, false, false, false], "{mask:?}");
        assert!(mask[5], "the total stays: {mask:?}");
    }
}
