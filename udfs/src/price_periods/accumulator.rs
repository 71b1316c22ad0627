// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The accumulators of `price_periods`: the cells of each group, in order of their periods.
//!
//! The state is one column: the cells of a group one after the other, each of [`Cell::WIDTH`] bytes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, LargeBinaryBuilder};
use arrow::datatypes::{Date32Type, Float64Type};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::cells::{Cell, NO_DAY, put};
use super::grain::Grain;
use super::periods::Lists;

/// The cells of all groups.
#[derive(Debug)]
pub(super) struct Periods {
    grain: Grain,
    groups: Vec<Vec<Cell>>,
    /// Cells allocated, in all groups together.
    capacity: usize,
}

impl Periods {
    pub(super) fn new(grain: Grain) -> Self {
        Self { grain, groups: vec![], capacity: 0 }
    }

    fn absorb(&mut self, group: usize, cell: &Cell) -> Result<()> {
        let cells = &mut self.groups[group];
        let before = cells.capacity();
        if self.grain == Grain::Row {
            cells.push(*cell);
        } else {
            put(cells, cell)?;
        }
        self.capacity += cells.capacity() - before;
        Ok(())
    }

    fn absorb_rows(
        &mut self,
        values: &[ArrayRef],
        group_of: impl Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let rows = Rows::new(values);
        for row in 0..rows.len() {
            if filter.is_some_and(|f| f.is_null(row) || !f.value(row)) {
                continue;
            }
            if let Some(cell) = rows.cell(row, self.grain)? {
                self.absorb(group_of(row), &cell)?;
            }
        }
        Ok(())
    }

    fn absorb_state(&mut self, group: usize, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let cell = Cell::read(&mut bytes)?;
            self.absorb(group, &cell)?;
        }
        Ok(())
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<Vec<Cell>> {
        let taken = emit_to.take_needed(&mut self.groups);
        self.capacity -= taken.iter().map(Vec::capacity).sum::<usize>();
        taken
    }

    fn results(&self, groups: &mut [Vec<Cell>]) -> Result<ArrayRef> {
        let mut lists = Lists::new(self.grain);
        for cells in groups {
            // Periods are in order already; rows are put in an order that does not depend on where they came from.
            let undated = if self.grain == Grain::Row {
                cells.len()
            } else {
                cells.partition_point(|c| c.period == NO_DAY)
            };
            cells[..undated].sort_unstable();
            lists.push(&cells[..undated], &cells[undated..])?;
        }
        lists.finish()
    }
}

fn states(groups: &[Vec<Cell>]) -> ArrayRef {
    let mut states = LargeBinaryBuilder::with_capacity(groups.len(), 0);
    let mut bytes = vec![];
    for cells in groups {
        bytes.clear();
        cells.iter().for_each(|cell| cell.write(&mut bytes));
        states.append_value(&bytes);
    }
    Arc::new(states.finish())
}

/// The arguments of a batch.
struct Rows<'a> {
    values: &'a [ArrayRef],
}

impl<'a> Rows<'a> {
    fn new(values: &'a [ArrayRef]) -> Self {
        Self { values }
    }

    fn len(&self) -> usize {
        self.values[0].len()
    }

    /// What a row adds, if anything.
    fn cell(&self, row: usize, grain: Grain) -> Result<Option<Cell>> {
        let days = self.values[0].as_primitive::<Date32Type>();
        let period = match days.is_valid(row) {
            true => grain.period(days.value(row)),
            false => NO_DAY,
        };
        let number = |place: usize| {
            let column = self.values[place].as_primitive::<Float64Type>();
            if column.is_valid(row) { column.value(row) } else { f64::NAN }
        };
        let mark = |place: usize| {
            let column = self.values.get(place).map(|v| v.as_boolean());
            column.is_some_and(|c| c.is_valid(row) && c.value(row))
        };
        let cell = Cell::new(period, number(1), number(2), (mark(3), mark(4)))?;
        Ok(Some(cell).filter(|c| !c.is_empty()))
    }
}

impl GroupsAccumulator for Periods {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize_with(total_num_groups, Vec::new);
        self.absorb_rows(values, |row| group_indices[row], opt_filter)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize_with(total_num_groups, Vec::new);
        let states = values[0].as_binary::<i64>();
        for (state, group) in states.iter().zip(group_indices) {
            self.absorb_state(*group, state.unwrap_or_default())?;
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let mut groups = self.take(emit_to);
        self.results(&mut groups)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![states(&self.take(emit_to))])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = Rows::new(values);
        let mut states = LargeBinaryBuilder::with_capacity(rows.len(), rows.len() * Cell::WIDTH);
        let mut bytes = vec![];
        for row in 0..rows.len() {
            bytes.clear();
            if opt_filter.is_none_or(|f| f.is_valid(row) && f.value(row))
                && let Some(cell) = rows.cell(row, self.grain)?
            {
                cell.write(&mut bytes);
            }
            states.append_value(&bytes);
        }
        Ok(vec![Arc::new(states.finish())])
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.groups.capacity() * size_of::<Vec<Cell>>()
            + self.capacity * size_of::<Cell>()
    }
}

/// The periods of all rows: the same code with a single group.
#[derive(Debug)]
pub(super) struct PeriodsAccumulator {
    all: Periods,
}

impl PeriodsAccumulator {
    pub(super) fn new(mut all: Periods) -> Self {
        all.groups.resize_with(1, Vec::new);
        Self { all }
    }
}

impl Accumulator for PeriodsAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.all.absorb_rows(values, |_| 0, None)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0]
            .as_binary::<i64>()
            .iter()
            .try_for_each(|state| self.all.absorb_state(0, state.unwrap_or_default()))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut groups = self.all.groups.clone();
        ScalarValue::try_from_array(&self.all.results(&mut groups)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::try_from_array(&states(&self.all.groups), 0)?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.all.size()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{Date32Array, Float64Array};

    use super::*;
    use crate::price_periods::{Period, read_periods};
    use crate::testing::Random;

    type Row = (usize, Option<i32>, Option<f64>, Option<f64>, Option<bool>, Option<bool>);

    fn random_rows(random: &mut Random, rows: u64, groups: u64) -> Vec<Row> {
        (0..rows)
            .map(|_| {
                let mark = |r: &mut Random| match r.below(12) {
                    0 => Some(true),
                    1 => None,
                    _ => Some(false),
                };
                (
                    random.below(groups - 1) as usize,
                    (!random.one_in(20)).then(|| 19_000 + random.below(300) as i32),
                    (!random.one_in(20)).then(|| random.below(6) as f64 - 1.0),
                    (!random.one_in(20)).then(|| random.below(700) as f64 / 100.0),
                    mark(random),
                    mark(random),
                )
            })
            .collect()
    }

    fn columns(rows: &[Row]) -> Vec<ArrayRef> {
        vec![
            Arc::new(rows.iter().map(|r| r.1).collect::<Date32Array>()),
            Arc::new(rows.iter().map(|r| r.2).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|r| r.3).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|r| r.4).collect::<BooleanArray>()),
            Arc::new(rows.iter().map(|r| r.5).collect::<BooleanArray>()),
        ]
    }

    fn groups(rows: &[Row]) -> Vec<usize> {
        rows.iter().map(|r| r.0).collect()
    }

    /// The definition, one group and one week at a time.
    fn twin(rows: &[Row], group: usize) -> Vec<Period> {
        // Rows without a date are none, among rows that have one.
        let week = |day: i32| (day + 3).div_euclid(7);
        let mut weeks: BTreeMap<i32, Vec<&Row>> = BTreeMap::new();
        for row in rows.iter().filter(|r| r.0 == group) {
            if let Some(day) = row.1 {
                weeks.entry(week(day)).or_default().push(row);
            }
        }
        let sales = |rows: &[&Row]| -> Vec<(f64, f64)> {
            rows.iter().filter_map(|r| r.2.zip(r.3)).filter(|(q, p)| *q > 0.0 && *p > 0.0).collect()
        };
        let sold: Vec<i32> =
            weeks.iter().filter(|(_, r)| !sales(r).is_empty()).map(|w| *w.0).collect();
        let (Some(from), Some(to)) = (sold.first(), sold.last()) else { return vec![] };
        let own = |w: i32| {
            let rows = weeks.get(&w).cloned().unwrap_or_default();
            let sales = sales(&rows);
            let quantity: f64 = sales.iter().map(|s| s.0).sum();
            let offers: Vec<f64> = rows
                .iter()
                .filter(|r| r.2 == Some(0.0))
                .filter_map(|r| r.3)
                .filter(|p| *p > 0.0)
                .collect();
            let price = if quantity > 0.0 {
                Some(sales.iter().map(|s| s.0 * s.1).sum::<f64>() / quantity)
            } else if offers.is_empty() {
                None
            } else {
                Some(offers.iter().sum::<f64>() / offers.len() as f64)
            };
            let promo = rows.iter().any(|r| r.4 == Some(true));
            (quantity, price, promo, rows.iter().any(|r| r.5 == Some(true)))
        };
        (*from..=*to)
            .map(|w| {
                let (quantity, price, promo, out_of_stock) = own(w);
                let usable = |v: &i32| {
                    let (_, price, at_promo, _) = own(*v);
                    (*from..=*to).contains(v) && price.is_some() && (promo || !at_promo)
                };
                let carried = price.is_none();
                let price = price.unwrap_or_else(|| {
                    let away = (1..400).find(|d| usable(&(w - d)) || usable(&(w + d)));
                    let Some(d) = away else { panic!("a price somewhere") };
                    let near: Vec<f64> = [w - d, w + d]
                        .iter()
                        .filter(|v| usable(v))
                        .filter_map(|v| own(*v).1)
                        .collect();
                    near.iter().map(|p| p.ln()).sum::<f64>().exp().powf(1.0 / near.len() as f64)
                });
                Period { day: Some(w * 7 - 3), quantity, price, promo, out_of_stock, carried }
            })
            .collect()
    }

    #[test]
    fn every_road_gives_the_same_periods() -> Result<()> {
        let mut random = Random::new(5);
        for grain in [Grain::Week, Grain::Row, Grain::Month] {
            let mut rows = random_rows(&mut random, 600, 9);
            let mut once = Periods::new(grain);
            once.update_batch(&columns(&rows), &groups(&rows), None, 9)?;
            let expected = once.evaluate(EmitTo::All)?;
            assert_eq!(once.capacity, 0);
            if grain == Grain::Week {
                let mut found = vec![];
                for group in 0..9 {
                    read_periods(expected.as_list(), group, &mut found)?;
                    let twin = twin(&rows, group);
                    assert_eq!(found.len(), twin.len());
                    for (found, twin) in found.iter().zip(&twin) {
                        let price = twin.price;
                        assert!((found.price / price - 1.0).abs() < 1e-12, "{found:?} {twin:?}");
                        assert_eq!(&Period { price, ..*found }, twin);
                    }
                }
            }
            for _ in 0..6 {
                random.shuffle(&mut rows);
                let (left, right) = rows.split_at(random.below(600) as usize);
                let (mut partial, mut last) = (Periods::new(grain), Periods::new(grain));
                partial.update_batch(&columns(left), &groups(left), None, 9)?;
                let first = partial.state(EmitTo::First(4))?;
                last.merge_batch(&first, &[0, 1, 2, 3], 9)?;
                last.merge_batch(&partial.state(EmitTo::All)?, &[4, 5, 6, 7, 8], 9)?;
                let skipped = last.convert_to_state(&columns(right), None)?;
                last.merge_batch(&skipped, &groups(right), 9)?;
                assert!(last.size() > last.capacity);
                assert_eq!(&last.evaluate(EmitTo::First(2))?, &expected.slice(0, 2));
                assert_eq!(&last.evaluate(EmitTo::All)?, &expected.slice(2, 7));
            }
        }
        Ok(())
    }

    #[test]
    fn filters_apply_and_without_groups_it_is_one_group() -> Result<()> {
        let rows = random_rows(&mut Random::new(6), 90, 2);
        let filter: BooleanArray =
            (0..90).map(|i| [Some(true), Some(false), None][i % 3]).collect();
        let kept: Vec<Row> = rows.iter().step_by(3).copied().collect();
        let mut filtered = Periods::new(Grain::Week);
        filtered.update_batch(&columns(&rows), &groups(&rows), Some(&filter), 1)?;
        let converted = filtered.convert_to_state(&columns(&rows), Some(&filter))?;
        let mut merged = Periods::new(Grain::Week);
        merged.merge_batch(&converted, &[0; 90], 1)?;
        let mut alone = PeriodsAccumulator::new(Periods::new(Grain::Week));
        alone.update_batch(&columns(&kept[..9]))?;
        let mut rest = PeriodsAccumulator::new(Periods::new(Grain::Week));
        rest.update_batch(&columns(&kept[9..]))?;
        let state = rest.state()?.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?;
        alone.merge_batch(&state)?;
        let expected = ScalarValue::try_from_array(&filtered.evaluate(EmitTo::All)?, 0)?;
        assert_eq!(alone.evaluate()?, expected);
        assert_eq!(alone.evaluate()?, expected, "a window function evaluates repeatedly");
        assert_eq!(ScalarValue::try_from_array(&merged.evaluate(EmitTo::All)?, 0)?, expected);
        Ok(())
    }

    #[test]
    fn dates_far_apart_and_malformed_states_are_errors() -> Result<()> {
        let rows: [Row; 2] =
            [0, 6_000_000].map(|day| (0, Some(day), Some(1.0), Some(1.0), None, None));
        let mut periods = Periods::new(Grain::Week);
        periods.update_batch(&columns(&rows), &[0, 0], None, 1)?;
        let error = periods.evaluate(EmitTo::All).err().map(|e| e.strip_backtrace());
        assert!(error.unwrap_or_default().contains("400,000 periods apart"));
        let state: ArrayRef = Arc::new(arrow::array::LargeBinaryArray::from_vec(vec![&[1, 2]]));
        assert!(Periods::new(Grain::Week).merge_batch(&[state], &[0], 1).is_err());
        Ok(())
    }
}
