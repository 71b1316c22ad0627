// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The accumulators of `price_elasticity`: one [`Moments`] a group.
//!
//! The state has four columns. A group of one row, as nearly all are when partial aggregation is skipped, is the two
//! logarithms of that row; the sums of any other are packed into the fourth.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Float64Builder, Int64Array, Int64Builder,
    LargeBinaryArray, LargeBinaryBuilder, StructArray, UInt64Array,
};
use arrow::datatypes::{Float64Type, Int64Type, UInt64Type};
use datafusion_common::{Result, ScalarValue, exec_err};
use datafusion_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::moments::{Moments, Point};
use super::{NAME, result_fields};
use crate::student_t;

/// The moments of all groups.
///
/// Moments of many groups do not fit into the processor's caches, and rows of a hundred thousand skus come in no order:
/// adding each row at once would wait for memory at each row. So rows wait until there are many, and are then added group
/// by group, which took a third of the time for ten million rows of a hundred thousand groups.
#[derive(Debug)]
pub(super) struct Elasticities {
    confidence: f64,
    groups: Vec<Moments>,
    waiting: Vec<(u32, Point)>,
}

/// Groups whose moments the caches hold, some 1.3 MB.
const FEW_GROUPS: usize = 4096;
/// Rows that wait at most: 6 MB.
const MANY_ROWS: usize = 1 << 18;

impl Elasticities {
    pub(super) fn new(confidence: f64) -> Self {
        Self { confidence, groups: vec![], waiting: vec![] }
    }

    fn add(&mut self, group: usize, point: Point) {
        match u32::try_from(group) {
            Ok(short) if self.groups.len() > FEW_GROUPS => {
                if self.waiting.len() >= MANY_ROWS {
                    self.settle();
                }
                self.waiting.push((short, point));
            }
            _ => self.groups[group].add(point),
        }
    }

    /// Adds the rows that wait. The sums are exact, so that the order does not show.
    fn settle(&mut self) {
        self.waiting.sort_unstable_by_key(|(group, _)| *group);
        for (group, point) in self.waiting.drain(..) {
            self.groups[group as usize].add(point);
        }
    }

    /// The first groups' moments; they are gone afterwards.
    fn take(&mut self, emit_to: EmitTo) -> Vec<Moments> {
        self.settle();
        emit_to.take_needed(&mut self.groups)
    }
}

impl GroupsAccumulator for Elasticities {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize(total_num_groups, Moments::default());
        let points = points(values);
        for (row, (point, group)) in points.zip(group_indices).enumerate() {
            if opt_filter.is_some_and(|f| f.is_null(row) || !f.value(row)) {
                continue;
            }
            match point {
                Some(point) => self.add(*group, point),
                None => self.groups[*group].excluded += 1,
            }
        }
        Ok(())
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize(total_num_groups, Moments::default());
        let (x, y) = (values[0].as_primitive::<Int64Type>(), values[1].as_primitive::<Int64Type>());
        let excluded = values[2].as_primitive::<UInt64Type>();
        let sums = values[3].as_binary::<i64>();
        for (row, group) in group_indices.iter().enumerate() {
            if x.is_valid(row) && y.is_valid(row) {
                self.add(*group, Point { x: x.value(row), y: y.value(row) });
            }
            let moments = &mut self.groups[*group];
            if excluded.is_valid(row) {
                moments.excluded += excluded.value(row);
            }
            if sums.is_valid(row) {
                match Moments::read(sums.value(row)) {
                    Some(other) => moments.merge(&other),
                    None => return exec_err!("`{NAME}`: the state is malformed"),
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.take(emit_to);
        results(&groups, self.confidence)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(states(&self.take(emit_to)))
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let counts = |row: usize| opt_filter.is_none_or(|f| f.is_valid(row) && f.value(row));
        let points: Vec<Option<Point>> =
            points(values).enumerate().map(|(row, p)| p.filter(|_| counts(row))).collect();
        let excluded: UInt64Array = points
            .iter()
            .enumerate()
            .map(|(row, point)| u64::from(point.is_none() && counts(row)))
            .collect::<Vec<_>>()
            .into();
        Ok(vec![
            Arc::new(points.iter().map(|p| p.map(|p| p.x)).collect::<Int64Array>()),
            Arc::new(points.iter().map(|p| p.map(|p| p.y)).collect::<Int64Array>()),
            Arc::new(excluded),
            Arc::new(LargeBinaryArray::new_null(rows)),
        ])
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.groups.capacity() * size_of::<Moments>()
            + self.waiting.capacity() * size_of::<(u32, Point)>()
    }
}

/// The logarithms of each row; `None` for a row that does not count.
fn points(values: &[ArrayRef]) -> impl Iterator<Item = Option<Point>> {
    let (quantity, price) =
        (values[0].as_primitive::<Float64Type>(), values[1].as_primitive::<Float64Type>());
    let known = |array: &Float64Array| array.nulls().cloned();
    let (no_quantity, no_price) = (known(quantity), known(price));
    quantity.values().iter().zip(price.values()).enumerate().map(move |(row, (q, p))| {
        let is_known = no_quantity.as_ref().is_none_or(|n| n.is_valid(row))
            && no_price.as_ref().is_none_or(|n| n.is_valid(row));
        if is_known { Point::new(*q, *p) } else { None }
    })
}

fn states(groups: &[Moments]) -> Vec<ArrayRef> {
    let mut sums = LargeBinaryBuilder::with_capacity(groups.len(), 0);
    let mut bytes = Vec::with_capacity(Moments::WIDTH);
    let singles: Vec<Option<Point>> = groups.iter().map(Moments::single).collect();
    for (moments, single) in groups.iter().zip(&singles) {
        if single.is_some() || moments.n == 0 {
            sums.append_null();
        } else {
            bytes.clear();
            moments.write(&mut bytes);
            sums.append_value(&bytes);
        }
    }
    vec![
        Arc::new(singles.iter().map(|p| p.map(|p| p.x)).collect::<Int64Array>()),
        Arc::new(singles.iter().map(|p| p.map(|p| p.y)).collect::<Int64Array>()),
        Arc::new(groups.iter().map(|m| Some(m.excluded)).collect::<UInt64Array>()),
        Arc::new(sums.finish()),
    ]
}

fn results(groups: &[Moments], confidence: f64) -> Result<ArrayRef> {
    let numbers = || Float64Builder::with_capacity(groups.len());
    let mut columns: [Float64Builder; 7] = std::array::from_fn(|_| numbers());
    let mut n = Int64Builder::with_capacity(groups.len());
    let mut excluded = Int64Builder::with_capacity(groups.len());
    let mut quantiles: HashMap<u64, f64> = HashMap::new();
    for moments in groups {
        let fit = moments.fit();
        let inference = fit.and_then(|fit| {
            let (error, df) = (fit.std_error?, moments.n - 2);
            let t =
                *quantiles.entry(df).or_insert_with(|| student_t::quantile(confidence, df as f64));
            let (low, high) = (fit.elasticity - t * error, fit.elasticity + t * error);
            Some((error, low, high, student_t::two_sided(fit.elasticity / error, df as f64)))
        });
        let row = [
            fit.map(|f| f.elasticity),
            fit.map(|f| f.intercept),
            inference.map(|i| i.0),
            inference.map(|i| i.1),
            inference.map(|i| i.2),
            // Equal quantities: 0 within an error of 0, of which nothing can be said.
            inference.map(|i| i.3).filter(|p| !p.is_nan()),
            fit.and_then(|f| f.r2),
        ];
        columns.iter_mut().zip(row).for_each(|(column, value)| column.append_option(value));
        n.append_value(moments.n.cast_signed());
        excluded.append_value(moments.excluded.cast_signed());
    }
    let mut arrays: Vec<ArrayRef> =
        columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
    arrays.push(Arc::new(n.finish()));
    arrays.push(Arc::new(excluded.finish()));
    Ok(Arc::new(StructArray::try_new(result_fields(), arrays, None)?))
}

/// The elasticity of all rows: the same code with a single group.
#[derive(Debug)]
pub(super) struct ElasticityAccumulator {
    all: Elasticities,
}

impl ElasticityAccumulator {
    pub(super) fn new(mut all: Elasticities) -> Self {
        all.groups.resize(1, Moments::default());
        Self { all }
    }
}

impl Accumulator for ElasticityAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for point in points(values) {
            match point {
                Some(point) => self.all.groups[0].add(point),
                None => self.all.groups[0].excluded += 1,
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.all.merge_batch(states, &vec![0; states[0].len()], 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&results(&self.all.groups, self.all.confidence)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        states(&self.all.groups).iter().map(|s| ScalarValue::try_from_array(s, 0)).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self) + size_of::<Moments>()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::LargeBinaryArray;

    use super::*;
    use crate::testing::Random;

    type Row = (usize, Option<f64>, Option<f64>);

    fn random_rows(random: &mut Random, rows: u64, groups: u64) -> Vec<Row> {
        (0..rows)
            .map(|_| {
                let price = 5.0 + random.below(300) as f64 / 100.0;
                let quantity = (30.0 - 3.0 * price + random.below(9) as f64).max(0.0);
                let known = |v, r: &mut Random| (!r.one_in(20)).then_some(v);
                // The last group stays empty.
                (random.below(groups - 1) as usize, known(quantity, random), known(price, random))
            })
            .collect()
    }

    fn columns(rows: &[Row]) -> Vec<ArrayRef> {
        vec![
            Arc::new(rows.iter().map(|r| r.1).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|r| r.2).collect::<Float64Array>()),
        ]
    }

    fn groups(rows: &[Row]) -> Vec<usize> {
        rows.iter().map(|r| r.0).collect()
    }

    #[test]
    fn every_road_gives_the_same_bytes() -> Result<()> {
        let mut random = Random::new(3);
        let mut rows = random_rows(&mut random, 400, 30);
        let mut once = Elasticities::new(0.95);
        once.update_batch(&columns(&rows), &groups(&rows), None, 30)?;
        let expected = once.evaluate(EmitTo::All)?;
        assert_eq!(once.groups.len(), 0);
        for _ in 0..10 {
            random.shuffle(&mut rows);
            let (left, right) = rows.split_at(random.below(400) as usize);
            let mut last = Elasticities::new(0.95);
            let mut partial = Elasticities::new(0.95);
            partial.update_batch(&columns(left), &groups(left), None, 30)?;
            // Emitted in two parts, as memory runs short; and rows that skip partial aggregation.
            let first = partial.state(EmitTo::First(10))?;
            last.merge_batch(&first, &(0..10).collect::<Vec<_>>(), 30)?;
            let rest = partial.state(EmitTo::All)?;
            last.merge_batch(&rest, &(10..30).collect::<Vec<_>>(), 30)?;
            let skipped = last.convert_to_state(&columns(right), None)?;
            last.merge_batch(&skipped, &groups(right), 30)?;
            let head = last.evaluate(EmitTo::First(4))?;
            assert_eq!(&head, &expected.slice(0, 4));
            assert_eq!(&last.evaluate(EmitTo::All)?, &expected.slice(4, 26));
        }
        Ok(())
    }

    #[test]
    fn many_groups_wait_and_lose_nothing() -> Result<()> {
        let mut random = Random::new(7);
        let groups_of_all = 3 * FEW_GROUPS;
        let rows = random_rows(&mut random, 40_000, groups_of_all as u64);
        let mut many = Elasticities::new(0.95);
        let mut few = Elasticities::new(0.95);
        few.groups.resize(groups_of_all, Moments::default());
        for batch in rows.chunks(1000) {
            many.update_batch(&columns(batch), &groups(batch), None, groups_of_all)?;
            for (point, row) in points(&columns(batch)).zip(batch) {
                match point {
                    Some(point) => few.groups[row.0].add(point),
                    None => few.groups[row.0].excluded += 1,
                }
            }
        }
        assert!(many.waiting.len() > 30_000 && many.size() > 30_000 * 24);
        let head = many.evaluate(EmitTo::First(100))?;
        assert_eq!(&head, &few.evaluate(EmitTo::First(100))?);
        many.add(5, Point { x: 1, y: 2 });
        few.groups[5].add(Point { x: 1, y: 2 });
        assert_eq!(&many.evaluate(EmitTo::All)?, &few.evaluate(EmitTo::All)?);
        assert!(many.waiting.is_empty());
        Ok(())
    }

    #[test]
    fn filters_apply_and_nothing_is_nothing() -> Result<()> {
        let rows: Vec<Row> =
            [1.0, 2.0, 4.0, 0.0].map(|p| (0, Some(8.0 / (p * p + 0.1)), Some(p))).into();
        let filter = BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]);
        let mut some = Elasticities::new(0.95);
        some.update_batch(&columns(&rows), &[0; 4], Some(&filter), 2)?;
        let state = some.convert_to_state(&columns(&rows), Some(&filter))?;
        let mut other = Elasticities::new(0.95);
        other.merge_batch(&state, &[0; 4], 2)?;
        let (found, expected) = (some.evaluate(EmitTo::All)?, other.evaluate(EmitTo::All)?);
        assert_eq!(&found, &expected);
        let read = |column: usize| found.as_struct().column(column).as_primitive::<Int64Type>();
        assert_eq!((read(7).value(0), read(8).value(0)), (1, 1));
        assert_eq!((read(7).value(1), read(8).value(1)), (0, 0));
        assert_eq!(found.as_struct().column(0).null_count(), 2);
        Ok(())
    }

    #[test]
    fn without_groups() -> Result<()> {
        let rows: Vec<Row> = random_rows(&mut Random::new(4), 100, 2);
        let mut grouped = Elasticities::new(0.9);
        grouped.update_batch(&columns(&rows), &groups(&rows), None, 1)?;
        let mut last = ElasticityAccumulator::new(Elasticities::new(0.9));
        for part in rows.chunks(33) {
            let mut partial = ElasticityAccumulator::new(Elasticities::new(0.9));
            partial.update_batch(&columns(part))?;
            let state =
                partial.state()?.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?;
            last.merge_batch(&state)?;
        }
        let expected = ScalarValue::try_from_array(&grouped.evaluate(EmitTo::All)?, 0)?;
        assert_eq!(last.evaluate()?, expected);
        assert_eq!(last.evaluate()?, expected, "a window function evaluates repeatedly");
        Ok(())
    }

    #[test]
    fn malformed_state_is_an_error() {
        let none: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        let states: Vec<ArrayRef> = vec![
            Arc::clone(&none),
            none,
            Arc::new(UInt64Array::from(vec![0])),
            Arc::new(LargeBinaryArray::from_vec(vec![&[1, 2, 3]])),
        ];
        assert!(Elasticities::new(0.95).merge_batch(&states, &[0], 1).is_err());
    }
}
