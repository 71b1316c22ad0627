// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The accumulators of `order_summary`: flat columns of rows, folded group by group at the end.
//!
//! Deliveries of one order cannot be told apart from orders before all of them are seen, so that a
//! row with an order id is kept until the end. A row without one is an order by itself and is
//! folded at once.
//!
//! The state has four columns. When a group is one row, as nearly all are when partial aggregation
//! is skipped, the first three are that row and cost nothing to make: the identity of its order
//! id, its `ordered_at` and its `amount`. Anything else is packed into the fourth, [`Packed`].

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, LargeBinaryArray, LargeBinaryBuilder,
    PrimitiveArray, StructArray, UInt64Array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Fields, Int64Type, UInt64Type};
use datafusion_common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::amount::{Amount, Exact, Sum, add_units};
use super::identity::identities;
use super::rows::{NO_TIME, Row, Rows};

/// What one row of the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    /// An order; a second row with its id is a second delivery of it.
    Order,
    /// A line of an order; the lines with its id add up to it.
    Line,
}

/// The types of one call of `order_summary`.
#[derive(Clone, Debug)]
pub(super) struct Types {
    pub(super) ordered_at: DataType,
    pub(super) amount: DataType,
    /// The fields of the result.
    pub(super) result: Fields,
}

/// The summaries of all groups. Apart from the DataFusion trait because a window function asks for
/// results without consuming them.
pub(super) trait Summaries: GroupsAccumulator + Sync {
    /// The results of the first `groups` groups; a group that no batch named is an empty one.
    fn results(&mut self, groups: usize) -> Result<ArrayRef>;
    /// The states of the first `groups` groups.
    fn states(&mut self, groups: usize) -> Result<Vec<ArrayRef>>;
}

/// See the [module documentation](self).
pub(super) struct OrderSummaries<A> {
    grain: Grain,
    types: Types,
    groups: usize,
    /// Rows with an order id.
    rows: Rows<A>,
    /// The folded rows without one; groups beyond its end have none, so that it stays empty when
    /// every order has an id.
    loose: Vec<Loose>,
    /// The odd terms of the sums of `loose`, with their groups.
    odd: Vec<(usize, f64)>,
}

/// The orders without an id of one group.
#[derive(Clone, Debug, Default, PartialEq)]
struct Loose {
    counted: Counted,
    units: i128,
    /// Whether there was any: a sum of nothing is NULL, not 0.
    seen: bool,
}

/// The orders that count, those with a positive amount.
#[derive(Clone, Debug, PartialEq)]
struct Counted {
    first: i64,
    last: i64,
    orders: i64,
}

impl Default for Counted {
    fn default() -> Self {
        Self { first: NO_TIME, last: NO_TIME, orders: 0 }
    }
}

impl Counted {
    fn count(&mut self, at: i64) {
        self.merge(&Self { first: at, last: at, orders: 1 });
    }

    fn merge(&mut self, other: &Self) {
        if self.first == NO_TIME || (other.first != NO_TIME && other.first < self.first) {
            self.first = other.first;
        }
        // `NO_TIME` is smaller than any time.
        self.last = self.last.max(other.last);
        self.orders += other.orders;
    }
}

impl<A: Amount> OrderSummaries<A> {
    pub(super) fn new(grain: Grain, types: Types) -> Self {
        Self { grain, types, groups: 0, rows: Rows::new(), loose: vec![], odd: vec![] }
    }

    /// Takes one order or line per row; a row with a NULL amount is none.
    fn absorb(
        &mut self,
        orders: &UInt64Array,
        times: &Int64Array,
        amounts: &PrimitiveArray<A::Column>,
        groups: &[usize],
    ) -> Result<()> {
        self.rows.reserve(amounts.len() - amounts.null_count().max(orders.null_count()));
        for (index, group) in groups.iter().enumerate() {
            if amounts.is_null(index) {
                continue;
            }
            let amount = A::from_native(amounts.value(index))?;
            let at = if times.is_valid(index) { times.value(index) } else { NO_TIME };
            if orders.is_valid(index) {
                self.rows.push(*group, Row { order: orders.value(index), at, amount })?;
            } else {
                self.absorb_loose(*group, at, amount)?;
            }
        }
        Ok(())
    }

    fn absorb_loose(&mut self, group: usize, at: i64, amount: A) -> Result<()> {
        let exact = amount.exact();
        let loose = loose_at(&mut self.loose, group);
        loose.seen = true;
        if exact.is_positive() {
            loose.counted.count(at);
        }
        match exact {
            Exact::Units(units) => loose.units = add_units(loose.units, units)?,
            Exact::Odd(value) => self.odd.push((group, value)),
        }
        Ok(())
    }

    fn absorb_packed(&mut self, group: usize, packed: &[u8]) -> Result<()> {
        let mut packed = Packed(packed);
        if let Some(other) = packed.loose()? {
            let loose = loose_at(&mut self.loose, group);
            loose.seen = true;
            loose.counted.merge(&other.counted);
            loose.units = add_units(loose.units, other.units)?;
            for _ in 0..packed.count()? {
                self.odd.push((group, packed.take()?));
            }
        }
        while !packed.0.is_empty() {
            self.rows.push(group, packed.row()?)?;
        }
        Ok(())
    }

    /// Calls `visit` with everything each of the first `groups` groups holds.
    fn visit(
        &mut self,
        groups: usize,
        mut visit: impl FnMut(&mut [Row<A>], Option<&Loose>, &[(usize, f64)]) -> Result<()>,
    ) -> Result<()> {
        self.groups = self.groups.max(groups);
        let Self { rows, loose, odd, .. } = self;
        odd.sort_unstable_by(|left, right| {
            left.0.cmp(&right.0).then_with(|| left.1.total_cmp(&right.1))
        });
        let mut odd = odd.as_slice();
        rows.visit(groups, self.groups, |group, rows| {
            let (of_group, rest) = odd.split_at(odd.partition_point(|(of, _)| *of <= group));
            odd = rest;
            visit(rows, loose.get(group).filter(|loose| loose.seen), of_group)
        })
    }

    fn drop_first(&mut self, groups: usize) -> Result<()> {
        if groups >= self.groups {
            *self = Self::new(self.grain, self.types.clone());
            return Ok(());
        }
        self.rows.drop_first(groups, self.groups)?;
        self.loose.drain(..groups.min(self.loose.len()));
        self.odd.retain_mut(|(group, _)| {
            let stays = *group >= groups;
            *group = group.saturating_sub(groups);
            stays
        });
        self.groups -= groups;
        Ok(())
    }

    fn emitted(&self, emit_to: EmitTo) -> usize {
        match emit_to {
            EmitTo::All => self.groups,
            EmitTo::First(groups) => groups.min(self.groups),
        }
    }
}

impl<A: Amount> Summaries for OrderSummaries<A> {
    fn results(&mut self, groups: usize) -> Result<ArrayRef> {
        let grain = self.grain;
        let types = self.types.clone();
        let mut results = Results::<A>::with_capacity(groups);
        let mut sum = Sum::default();
        self.visit(groups, |rows, loose, odd| {
            let loose = loose.cloned().unwrap_or_default();
            let mut counted = loose.counted;
            sum.clear();
            sum.units = loose.units;
            sum.odd.extend(odd.iter().map(|(_, value)| *value));
            let duplicates = match grain {
                Grain::Order => fold_deliveries(rows, &mut counted, &mut sum)?,
                Grain::Line => {
                    fold_lines(rows, &mut counted, &mut sum)?;
                    0
                }
            };
            let total = (loose.seen || !rows.is_empty()).then(|| A::total(&mut sum)).transpose()?;
            results.push(&counted, total, duplicates);
            Ok(())
        })?;
        results.finish(&types)
    }

    fn states(&mut self, groups: usize) -> Result<Vec<ArrayRef>> {
        let types = self.types.clone();
        let mut one: Vec<Option<Row<A>>> = Vec::with_capacity(groups);
        let mut more = LargeBinaryBuilder::with_capacity(groups, 0);
        let mut packed = vec![];
        self.visit(groups, |rows, loose, odd| {
            if let ([row], None) = (&*rows, loose) {
                one.push(Some(*row));
                more.append_null();
                return Ok(());
            }
            one.push(None);
            if rows.is_empty() && loose.is_none() {
                more.append_null();
                return Ok(());
            }
            packed.clear();
            pack(rows, loose, odd, &mut packed);
            more.append_value(&packed);
            Ok(())
        })?;
        let orders: UInt64Array = one.iter().map(|row| row.map(|row| row.order)).collect();
        let times: Int64Array =
            one.iter().map(|row| row.map(|row| row.at).filter(|at| *at != NO_TIME)).collect();
        let amounts: PrimitiveArray<A::Column> =
            one.iter().map(|row| row.map(|row| row.amount.to_native())).collect();
        Ok(vec![
            Arc::new(orders),
            cast(&times, &types.ordered_at)?,
            Arc::new(amounts.with_data_type(types.amount)),
            Arc::new(more.finish()),
        ])
    }
}

impl<A: Amount> GroupsAccumulator for OrderSummaries<A> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups = total_num_groups;
        let orders = identities(&values[0])?;
        let times = to_times(&values[1])?;
        let amounts = filtered(values[2].as_primitive::<A::Column>(), opt_filter);
        self.absorb(&orders, &times, &amounts, group_indices)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups = total_num_groups;
        let times = to_times(&values[1])?;
        let amounts = values[2].as_primitive::<A::Column>();
        self.absorb(values[0].as_primitive::<UInt64Type>(), &times, amounts, group_indices)?;
        let more = values[3].as_binary::<i64>();
        if more.null_count() < more.len() {
            for (packed, group) in more.iter().zip(group_indices) {
                if let Some(packed) = packed {
                    self.absorb_packed(*group, packed)?;
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.emitted(emit_to);
        let results = self.results(groups)?;
        self.drop_first(groups)?;
        Ok(results)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.emitted(emit_to);
        let states = self.states(groups)?;
        self.drop_first(groups)?;
        Ok(states)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let amounts = values[2].as_primitive::<A::Column>();
        Ok(vec![
            Arc::new(identities(&values[0])?),
            Arc::clone(&values[1]),
            Arc::new(filtered(amounts, opt_filter)),
            Arc::new(LargeBinaryArray::new_null(amounts.len())),
        ])
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.rows.size()
            + self.loose.capacity() * size_of::<Loose>()
            + self.odd.capacity() * size_of::<(usize, f64)>()
    }
}

/// The summary of all rows: the same code with a single group.
pub(super) struct OrderSummaryAccumulator {
    summaries: Box<dyn Summaries>,
    /// The group of each row of a batch, always 0.
    zeros: Vec<usize>,
}

impl OrderSummaryAccumulator {
    pub(super) fn new(summaries: Box<dyn Summaries>) -> Self {
        Self { summaries, zeros: vec![] }
    }

    fn zeros(&mut self, values: &[ArrayRef]) {
        self.zeros.resize(values[0].len(), 0);
    }
}

impl std::fmt::Debug for OrderSummaryAccumulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderSummaryAccumulator").finish_non_exhaustive()
    }
}

impl Accumulator for OrderSummaryAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.zeros(values);
        self.summaries.update_batch(values, &self.zeros, None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.zeros(states);
        self.summaries.merge_batch(states, &self.zeros, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.summaries.results(1)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.summaries
            .states(1)?
            .iter()
            .map(|state| ScalarValue::try_from_array(state, 0))
            .collect()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.summaries.size() + self.zeros.capacity() * size_of::<usize>()
    }
}

/// Counts each order once: its delivery with the latest time and, among those, the largest amount.
/// Returns the number of other deliveries.
fn fold_deliveries<A: Amount>(
    rows: &mut [Row<A>],
    counted: &mut Counted,
    sum: &mut Sum,
) -> Result<i64> {
    sort(rows);
    let mut duplicates = 0;
    for deliveries in rows.chunk_by(|left, right| left.order == right.order) {
        let [earlier @ .., order] = deliveries else { continue };
        duplicates += earlier.len() as i64;
        let exact = order.amount.exact();
        if exact.is_positive() {
            counted.count(order.at);
        }
        sum.add(exact)?;
    }
    Ok(duplicates)
}

/// Counts each order once: the sum of its lines, at the earliest of their times.
fn fold_lines<A: Amount>(rows: &mut [Row<A>], counted: &mut Counted, sum: &mut Sum) -> Result<()> {
    sort(rows);
    let mut order = Sum::default();
    for lines in rows.chunk_by(|left, right| left.order == right.order) {
        order.clear();
        lines.iter().try_for_each(|line| order.add(line.amount.exact()))?;
        if A::is_positive(&mut order) {
            let earliest = lines.iter().map(|line| line.at).find(|at| *at != NO_TIME);
            counted.count(earliest.unwrap_or(NO_TIME));
        }
        sum.append(&order)?;
    }
    Ok(())
}

/// Sorts by order, then time, then amount: equal rows apart, the result does not depend on the
/// order of arrival.
fn sort<A: Amount>(rows: &mut [Row<A>]) {
    if rows.len() > 1 {
        rows.sort_unstable_by(|left, right| {
            (left.order, left.at)
                .cmp(&(right.order, right.at))
                .then_with(|| left.amount.compare(&right.amount))
        });
    }
}

/// The times in their own unit; a timestamp is not copied.
fn to_times(times: &ArrayRef) -> Result<Int64Array> {
    Ok(cast(times, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// The amounts, with NULL where the filter excludes the row.
fn filtered<T: ArrowPrimitiveType>(
    amounts: &PrimitiveArray<T>,
    filter: Option<&BooleanArray>,
) -> PrimitiveArray<T> {
    let Some(filter) = filter else { return amounts.clone() };
    let kept = match filter.nulls() {
        Some(known) => filter.values() & known.inner(),
        None => filter.values().clone(),
    };
    let nulls = NullBuffer::union(amounts.nulls(), Some(&NullBuffer::new(kept)));
    PrimitiveArray::new(amounts.values().clone(), nulls).with_data_type(amounts.data_type().clone())
}

fn loose_at(loose: &mut Vec<Loose>, group: usize) -> &mut Loose {
    if loose.len() <= group {
        loose.resize(group + 1, Loose::default());
    }
    &mut loose[group]
}

/// Packs a group: a byte that says whether loose orders follow; they; then its rows to the end.
/// All numbers are little-endian, so that machines can exchange state.
fn pack<A: Amount>(
    rows: &[Row<A>],
    loose: Option<&Loose>,
    odd: &[(usize, f64)],
    bytes: &mut Vec<u8>,
) {
    bytes.push(u8::from(loose.is_some()));
    if let Some(loose) = loose {
        loose.counted.first.write(bytes);
        loose.counted.last.write(bytes);
        loose.counted.orders.write(bytes);
        loose.units.write(bytes);
        (odd.len() as i64).write(bytes);
        odd.iter().for_each(|(_, value)| value.write(bytes));
    }
    for row in rows {
        bytes.extend_from_slice(&row.order.to_le_bytes());
        row.at.write(bytes);
        row.amount.write(bytes);
    }
}

/// What is left to read of a packed group.
struct Packed<'a>(&'a [u8]);

impl Packed<'_> {
    fn loose(&mut self) -> Result<Option<Loose>> {
        let Some((has_loose, rest)) = self.0.split_first() else { return malformed() };
        self.0 = rest;
        if *has_loose == 0 {
            return Ok(None);
        }
        let counted = Counted { first: self.take()?, last: self.take()?, orders: self.take()? };
        Ok(Some(Loose { counted, units: self.take()?, seen: true }))
    }

    fn count(&mut self) -> Result<i64> {
        self.take()
    }

    fn row<A: Amount>(&mut self) -> Result<Row<A>> {
        let order = self.take::<i64>()?.cast_unsigned();
        Ok(Row { order, at: self.take()?, amount: self.take()? })
    }

    fn take<A: Amount>(&mut self) -> Result<A> {
        let value = A::read(self.0);
        match (value, self.0.get(A::WIDTH..)) {
            (Some(value), Some(rest)) => {
                self.0 = rest;
                Ok(value)
            }
            _ => malformed(),
        }
    }
}

fn malformed<T>() -> Result<T> {
    exec_err!("`order_summary` received a partial state that it did not write")
}

/// The result columns.
struct Results<A: Amount> {
    first: Vec<i64>,
    last: Vec<i64>,
    orders: Vec<i64>,
    amount: Vec<<A::Total as ArrowPrimitiveType>::Native>,
    has_amount: Vec<bool>,
    duplicates: Vec<i64>,
}

impl<A: Amount> Results<A> {
    fn with_capacity(groups: usize) -> Self {
        Self {
            first: Vec::with_capacity(groups),
            last: Vec::with_capacity(groups),
            orders: Vec::with_capacity(groups),
            amount: Vec::with_capacity(groups),
            has_amount: Vec::with_capacity(groups),
            duplicates: Vec::with_capacity(groups),
        }
    }

    fn push(
        &mut self,
        counted: &Counted,
        total: Option<<A::Total as ArrowPrimitiveType>::Native>,
        duplicates: i64,
    ) {
        self.first.push(counted.first);
        self.last.push(counted.last);
        self.orders.push(counted.orders);
        self.amount.push(total.unwrap_or_default());
        self.has_amount.push(total.is_some());
        self.duplicates.push(duplicates);
    }

    fn finish(self, types: &Types) -> Result<ArrayRef> {
        let known = |times: Vec<i64>| {
            let known = BooleanBuffer::collect_bool(times.len(), |group| times[group] != NO_TIME);
            let nulls = Some(NullBuffer::new(known));
            cast(&Int64Array::new(times.into(), nulls), &types.ordered_at)
        };
        let [_, _, _, amount, _] = &types.result[..] else {
            return Err(exec_datafusion_err!("`order_summary` returns five fields"));
        };
        let nulls = Some(NullBuffer::from(self.has_amount));
        let amounts = PrimitiveArray::<A::Total>::new(self.amount.into(), nulls);
        let columns: Vec<ArrayRef> = vec![
            known(self.first)?,
            known(self.last)?,
            Arc::new(Int64Array::from(self.orders)),
            Arc::new(amounts.with_data_type(amount.data_type().clone())),
            Arc::new(Int64Array::from(self.duplicates)),
        ];
        Ok(Arc::new(StructArray::try_new(types.result.clone(), columns, None)?))
    }
}
