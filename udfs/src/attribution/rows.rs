// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The touches and conversions of all groups, as flat columns in the order of arrival.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DynComparator, StringViewArray, UInt32Array,
    make_comparator, new_empty_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{SortOptions, cast, concat, filter, take};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, UInt64Type};
use datafusion_common::{Result, exec_datafusion_err};

use crate::pieces::Pieces;

/// Stands for a time, a period or a row that is not there; smaller than any time.
pub(super) const NO_TIME: i64 = i64::MIN;
pub(super) const NO_ROW: u32 = u32::MAX;
/// The channel of what nobody can be credited for.
pub(super) const UNATTRIBUTED: u32 = u32::MAX;
pub(super) const UNATTRIBUTED_NAME: &str = "(unattributed)";
const UNKNOWN_NAME: &str = "(unknown)";

/// The columns of rows, arguments and states alike, after their preparation.
pub(super) struct Columns {
    pub(super) at: ArrayRef,
    pub(super) touch_id: ArrayRef,
    pub(super) channel: ArrayRef,
    pub(super) campaign: ArrayRef,
    pub(super) direct: ArrayRef,
    pub(super) order: ArrayRef,
    /// Of type NULL where no output holds it.
    pub(super) order_id: ArrayRef,
    /// In units; a row with revenue is a conversion, a row without a touch.
    pub(super) revenue: ArrayRef,
    pub(super) margin: ArrayRef,
    pub(super) period: ArrayRef,
}

/// A touch: when, through what, and the row where its id and campaign are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touch {
    pub(super) at: i64,
    channel: u32,
    pub(super) row: u32,
}

impl Touch {
    /// The highest bit of the channel: a direct one.
    const DIRECT: u32 = 1 << 31;

    pub(super) fn channel(self) -> u32 {
        self.channel & !Self::DIRECT
    }

    pub(super) fn is_direct(self) -> bool {
        self.channel & Self::DIRECT != 0
    }
}

/// A conversion as it is stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) at: i64,
    /// The identity of its id; `None` makes it an order of its own.
    pub(super) order: Option<u64>,
    pub(super) revenue: i128,
}

/// See the [module documentation](self).
#[derive(Clone)]
pub(super) struct Rows {
    /// The groups of touches, and the touches but for their rows.
    touch_groups: Vec<u32>,
    touches: Pieces<(i64, u32)>,
    touch_ids: Chunks,
    campaigns: Chunks,
    order_groups: Vec<u32>,
    orders: Pieces<Order>,
    order_ids: Chunks,
    /// Empty when there is none.
    margins: Vec<i128>,
    periods: Vec<i64>,
    channels: Channels,
}

impl Rows {
    pub(super) fn new(touch_id: &DataType, campaign: &DataType, order_id: &DataType) -> Self {
        Self {
            touch_groups: vec![],
            touches: Pieces::default(),
            touch_ids: Chunks::new(touch_id),
            campaigns: Chunks::new(campaign),
            order_groups: vec![],
            orders: Pieces::default(),
            order_ids: Chunks::new(order_id),
            margins: vec![],
            periods: vec![],
            channels: Channels::default(),
        }
    }

    /// Takes rows, each of its group.
    pub(super) fn push(&mut self, columns: &Columns, groups: &[usize]) -> Result<()> {
        let revenue = columns.revenue.as_primitive::<Decimal128Type>();
        let at = cast(&columns.at, &DataType::Int64)?;
        let at = at.as_primitive::<Int64Type>();
        let small = |group: usize| {
            u32::try_from(group).map_err(|_| exec_datafusion_err!("there are more than 2³² groups"))
        };
        let touch_count = revenue.null_count();
        if touch_count > 0 {
            let channel = columns.channel.as_string_view();
            let direct = columns.direct.as_boolean();
            // A touch without a time belongs to no journey.
            let mut kept = vec![false; groups.len()];
            self.touch_groups.reserve(touch_count);
            for (row, group) in groups.iter().enumerate() {
                if revenue.is_valid(row) || at.is_null(row) {
                    continue;
                }
                let mut code = self.channels.code(channel, row);
                if direct.is_valid(row) && direct.value(row) {
                    code |= Touch::DIRECT;
                }
                self.touches.push((at.value(row), code));
                self.touch_groups.push(small(*group)?);
                kept[row] = true;
            }
            let kept = (touch_count < groups.len() || at.null_count() > 0)
                .then(|| BooleanArray::new(BooleanBuffer::from(kept), None));
            self.touch_ids.push(&columns.touch_id, kept.as_ref())?;
            self.campaigns.push(&columns.campaign, kept.as_ref())?;
        }
        if touch_count < groups.len() {
            let order = columns.order.as_primitive::<UInt64Type>();
            let period = cast(&columns.period, &DataType::Int64)?;
            let period = period.as_primitive::<Int64Type>();
            let margin = (columns.margin.null_count() < columns.margin.len())
                .then(|| columns.margin.as_primitive_opt::<Decimal128Type>())
                .flatten();
            for (row, group) in groups.iter().enumerate().filter(|(row, _)| revenue.is_valid(*row))
            {
                if let Some(margin) = margin.filter(|margin| margin.is_valid(row)) {
                    self.margins.resize(self.orders.len(), 0);
                    self.margins.push(margin.value(row));
                }
                if period.is_valid(row) {
                    self.periods.resize(self.orders.len(), NO_TIME);
                    self.periods.push(period.value(row));
                }
                self.order_groups.push(small(*group)?);
                self.orders.push(Order {
                    at: if at.is_valid(row) { at.value(row) } else { NO_TIME },
                    order: order.is_valid(row).then(|| order.value(row)),
                    revenue: revenue.value(row),
                });
            }
            let kept = (touch_count > 0).then(|| {
                BooleanArray::new(
                    BooleanBuffer::collect_bool(groups.len(), |row| revenue.is_valid(row)),
                    None,
                )
            });
            self.order_ids.push(&columns.order_id, kept.as_ref())?;
        }
        Ok(())
    }

    /// Takes the rows of the first `groups` groups out; those of the others move down to group 0.
    pub(super) fn take_first(&mut self, groups: usize, all: usize) -> Result<Self> {
        let types =
            (&self.touch_ids.data_type, &self.campaigns.data_type, &self.order_ids.data_type);
        let empty = Self::new(types.0, types.1, types.2);
        if groups >= all {
            return Ok(std::mem::replace(self, empty));
        }
        let mut first = Self::new(types.0, types.1, types.2);
        first.channels = self.channels.clone();
        let is_first = |of: &[u32]| -> BooleanArray {
            of.iter().map(|group| Some((*group as usize) < groups)).collect()
        };
        let touches = is_first(&self.touch_groups);
        let orders = is_first(&self.order_groups);
        first.touch_ids = self.touch_ids.split(&touches)?;
        first.campaigns = self.campaigns.split(&touches)?;
        first.order_ids = self.order_ids.split(&orders)?;
        first.touches = split(&mut self.touches, &touches);
        first.touch_groups = split(&mut self.touch_groups, &touches);
        first.orders = split(&mut self.orders, &orders);
        first.order_groups = split(&mut self.order_groups, &orders);
        if !self.margins.is_empty() {
            self.margins.resize(orders.len(), 0);
            first.margins = split(&mut self.margins, &orders);
        }
        if !self.periods.is_empty() {
            self.periods.resize(orders.len(), NO_TIME);
            first.periods = split(&mut self.periods, &orders);
        }
        let left = groups as u32;
        self.touch_groups.iter_mut().chain(&mut self.order_groups).for_each(|group| *group -= left);
        Ok(first)
    }

    /// The rows by group: the counting sort that the sweep works on.
    pub(super) fn by_group(mut self, groups: usize) -> Result<ByGroup> {
        let touch_starts = starts(&self.touch_groups, groups);
        let mut touches = vec![Touch { at: 0, channel: 0, row: 0 }; self.touches.len()];
        place(&self.touch_groups, &touch_starts, |to, row| {
            let (at, channel) = self.touches[row as usize];
            touches[to] = Touch { at, channel, row };
        });
        self.touches = Pieces::default();
        self.touch_groups = vec![];
        let order_starts = starts(&self.order_groups, groups);
        let mut order_rows = vec![0_u32; self.orders.len()];
        place(&self.order_groups, &order_starts, |to, row| order_rows[to] = row);
        self.order_groups = vec![];
        let touch_ids = self.touch_ids.whole()?;
        let campaigns = self.campaigns.whole()?;
        let compare = |array: &ArrayRef| -> Result<Option<DynComparator>> {
            // A column without values tells no rows apart.
            if array.null_count() == array.len() || array.data_type().is_null() {
                return Ok(None);
            }
            Ok(Some(make_comparator(array, array, SortOptions::default())?))
        };
        Ok(ByGroup {
            compare_ids: compare(&touch_ids)?,
            compare_campaigns: compare(&campaigns)?,
            touch_starts,
            touches,
            touch_ids,
            campaigns,
            order_starts,
            order_rows,
            orders: self.orders,
            order_ids: self.order_ids.whole()?,
            margins: self.margins,
            periods: self.periods,
            channels: self.channels,
        })
    }

    pub(super) fn size(&self) -> usize {
        self.touch_groups.capacity() * size_of::<u32>()
            + self.touches.size()
            + self.order_groups.capacity() * size_of::<u32>()
            + self.orders.size()
            + self.margins.capacity() * size_of::<i128>()
            + self.periods.capacity() * size_of::<i64>()
            + self.touch_ids.size()
            + self.campaigns.size()
            + self.order_ids.size()
            + self.channels.size
    }
}

/// Where the rows of each group begin, and the end.
fn starts(groups: &[u32], count: usize) -> Vec<usize> {
    let mut starts = vec![0; count + 1];
    for group in groups {
        starts[*group as usize + 1] += 1;
    }
    for group in 0..count {
        starts[group + 1] += starts[group];
    }
    starts
}

/// Calls `put` with the place of every row when rows are ordered by group and, within it, as they came, and the row. Ranges of
/// groups go one after the other, so that what is put lies in the cache.
fn place(groups: &[u32], starts: &[usize], mut put: impl FnMut(usize, u32)) {
    const SHIFT: u32 = 12;
    let mut next: Vec<usize> = starts.iter().copied().step_by(1 << SHIFT).collect();
    let mut rows = vec![0_u32; groups.len()];
    for (row, group) in groups.iter().enumerate() {
        let to = &mut next[(*group >> SHIFT) as usize];
        rows[*to] = row as u32;
        *to += 1;
    }
    let mut next = starts.to_vec();
    for row in rows {
        let to = &mut next[groups[row as usize] as usize];
        put(*to, row);
        *to += 1;
    }
}

/// Takes the chosen items out of a list.
fn split<T, L: Default + Extend<T> + IntoIterator<Item = T>>(
    items: &mut L,
    chosen: &BooleanArray,
) -> L {
    let mut chosen = chosen.values().iter();
    let (taken, left) =
        std::mem::take(items).into_iter().partition(|_| chosen.next().unwrap_or(false));
    *items = left;
    taken
}

/// The rows of all groups, group after group.
pub(super) struct ByGroup {
    touch_starts: Vec<usize>,
    touches: Vec<Touch>,
    pub(super) touch_ids: ArrayRef,
    pub(super) campaigns: ArrayRef,
    compare_ids: Option<DynComparator>,
    compare_campaigns: Option<DynComparator>,
    order_starts: Vec<usize>,
    order_rows: Vec<u32>,
    orders: Pieces<Order>,
    pub(super) order_ids: ArrayRef,
    margins: Vec<i128>,
    periods: Vec<i64>,
    pub(super) channels: Channels,
}

impl ByGroup {
    /// The touches of a group by time, then id; one that came twice stands there once.
    pub(super) fn touches(&mut self, group: usize) -> &[Touch] {
        let touches = &mut self.touches[self.touch_starts[group]..self.touch_starts[group + 1]];
        let names = &self.channels.names;
        let by_row = |compare: &Option<DynComparator>, left: &Touch, right: &Touch| match compare {
            Some(compare) => compare(left.row as usize, right.row as usize),
            None => std::cmp::Ordering::Equal,
        };
        let (ids, campaigns) = (&self.compare_ids, &self.compare_campaigns);
        // The id comes last but for duplicates and missing ids; then the order is that of what is seen of a touch.
        let order = |left: &Touch, right: &Touch| {
            left.at
                .cmp(&right.at)
                .then_with(|| by_row(ids, left, right))
                .then_with(|| names[left.channel() as usize].cmp(&names[right.channel() as usize]))
                .then_with(|| left.is_direct().cmp(&right.is_direct()))
                .then_with(|| by_row(campaigns, left, right))
        };
        if !touches.is_sorted_by(|left, right| order(left, right).is_le()) {
            touches.sort_unstable_by(order);
        }
        let same = |left: &Touch, right: &Touch| {
            left.at == right.at
                && self.touch_ids.is_valid(left.row as usize)
                && self.touch_ids.is_valid(right.row as usize)
                && ids.is_some()
                && by_row(ids, left, right).is_eq()
        };
        let mut kept = touches.len().min(1);
        for index in 1..touches.len() {
            if !same(&touches[kept - 1], &touches[index]) {
                touches[kept] = touches[index];
                kept += 1;
            }
        }
        &touches[..kept]
    }

    /// The conversions of a group by time, each once: of several deliveries of one id the one with the latest time
    /// counts, then the one with the largest amount. An id whose last word is no positive amount is no conversion.
    pub(super) fn orders(&self, group: usize, rows: &mut Vec<u32>) {
        rows.clear();
        rows.extend(&self.order_rows[self.order_starts[group]..self.order_starts[group + 1]]);
        let key = |row: u32| {
            let order = &self.orders[row as usize];
            (order.at, order.revenue, self.margin(row), self.period(row))
        };
        if rows.len() > 1 {
            let id = |row: u32| self.orders[row as usize].order;
            rows.sort_unstable_by_key(|row| (id(*row), key(*row)));
            let mut kept = 0;
            for index in 0..rows.len() {
                let last = rows
                    .get(index + 1)
                    .is_none_or(|next| id(rows[index]).is_none() || id(*next) != id(rows[index]));
                if last {
                    rows[kept] = rows[index];
                    kept += 1;
                }
            }
            rows.truncate(kept);
            rows.retain(|row| self.is_conversion(*row));
            rows.sort_unstable_by_key(|row| (self.orders[*row as usize].at, id(*row), key(*row)));
        } else {
            rows.retain(|row| self.is_conversion(*row));
        }
    }

    fn is_conversion(&self, row: u32) -> bool {
        let order = &self.orders[row as usize];
        order.order.is_none() || order.revenue > 0
    }

    /// The touches of a group as they came.
    pub(super) fn raw_touches(&self, group: usize) -> &[Touch] {
        &self.touches[self.touch_starts[group]..self.touch_starts[group + 1]]
    }

    /// The rows of the conversions of a group as they came.
    pub(super) fn raw_orders(&self, group: usize) -> &[u32] {
        &self.order_rows[self.order_starts[group]..self.order_starts[group + 1]]
    }

    pub(super) fn order(&self, row: u32) -> &Order {
        &self.orders[row as usize]
    }

    pub(super) fn has_margins(&self) -> bool {
        !self.margins.is_empty()
    }

    pub(super) fn has_periods(&self) -> bool {
        !self.periods.is_empty()
    }

    pub(super) fn margin(&self, row: u32) -> i128 {
        self.margins.get(row as usize).copied().unwrap_or(0)
    }

    pub(super) fn period(&self, row: u32) -> i64 {
        self.periods.get(row as usize).copied().unwrap_or(NO_TIME)
    }

    /// How many touches there are, those that came twice included.
    pub(super) fn touch_count(&self) -> usize {
        self.touches.len()
    }

    /// How many groups there are.
    pub(super) fn groups(&self) -> usize {
        self.touch_starts.len() - 1
    }
}

/// A column in pieces, as batches brought them.
#[derive(Clone)]
struct Chunks {
    data_type: DataType,
    chunks: Vec<ArrayRef>,
    /// Rows at the end of which nothing but NULL is known; not held as arrays.
    len: usize,
    held: usize,
    bytes: usize,
}

impl Chunks {
    fn new(data_type: &DataType) -> Self {
        Self { data_type: data_type.clone(), chunks: vec![], len: 0, held: 0, bytes: 0 }
    }

    fn push(&mut self, array: &ArrayRef, kept: Option<&BooleanArray>) -> Result<()> {
        let rows = kept.map_or(array.len(), BooleanArray::true_count);
        if array.logical_null_count() == array.len() {
            self.len += rows;
            return Ok(());
        }
        self.fill();
        let array = match kept {
            Some(kept) => filter(array, kept)?,
            None => Arc::clone(array),
        };
        self.append(compact(array));
        Ok(())
    }

    fn append(&mut self, array: ArrayRef) {
        self.bytes += array.get_array_memory_size();
        self.held += array.len();
        self.len = self.held;
        self.chunks.push(array);
    }

    /// Makes arrays of the NULLs at the end.
    fn fill(&mut self) {
        if self.len > self.held {
            self.append(arrow::array::new_null_array(&self.data_type, self.len - self.held));
        }
    }

    fn whole(&mut self) -> Result<ArrayRef> {
        if self.held == 0 {
            return Ok(arrow::array::new_null_array(&self.data_type, self.len));
        }
        self.fill();
        let chunks: Vec<&dyn Array> = self.chunks.iter().map(|chunk| chunk.as_ref()).collect();
        Ok(match chunks.as_slice() {
            [] => new_empty_array(&self.data_type),
            [_] => Arc::clone(&self.chunks[0]),
            several => concat(several)?,
        })
    }

    fn split(&mut self, chosen: &BooleanArray) -> Result<Self> {
        let mut first = Self::new(&self.data_type);
        if self.held == 0 {
            first.len = chosen.true_count();
            self.len -= first.len;
            return Ok(first);
        }
        let whole = self.whole()?;
        *self = Self::new(&self.data_type);
        self.append(compact(filter(&whole, &arrow::compute::not(chosen)?)?));
        first.append(filter(&whole, chosen)?);
        Ok(first)
    }

    fn size(&self) -> usize {
        self.bytes + self.chunks.capacity() * size_of::<ArrayRef>()
    }
}

/// Copies strings out of buffers that hold much else.
fn compact(array: ArrayRef) -> ArrayRef {
    let Some(views) = array.as_string_view_opt() else { return array };
    let held: usize = views.data_buffers().iter().map(|buffer| buffer.len()).sum();
    if held > 2 * views.total_buffer_bytes_used() + 1_024 { Arc::new(views.gc()) } else { array }
}

/// The channels seen, numbered.
#[derive(Clone, Default)]
pub(super) struct Channels {
    pub(super) names: Vec<Arc<str>>,
    /// Names of up to twelve bytes, by the sixteen that stand for them in an array.
    short: HashMap<u128, u32>,
    long: HashMap<Arc<str>, u32>,
    last: Option<(u128, u32)>,
    size: usize,
}

impl Channels {
    fn code(&mut self, channels: &StringViewArray, row: usize) -> u32 {
        if channels.is_null(row) {
            return self.long_code(UNKNOWN_NAME);
        }
        let view = channels.views()[row];
        // The low half of a view begins with the length.
        let is_short = view as u32 <= 12;
        if let Some((seen, code)) = self.last
            && is_short
            && seen == view
        {
            return code;
        }
        let name = channels.value(row);
        if !is_short {
            return self.long_code(name);
        }
        let code = match self.short.get(&view) {
            Some(code) => *code,
            None => {
                let code = self.long_code(name);
                self.short.insert(view, code);
                self.size += size_of::<(u128, u32)>();
                code
            }
        };
        self.last = Some((view, code));
        code
    }

    fn long_code(&mut self, name: &str) -> u32 {
        if let Some(code) = self.long.get(name) {
            return *code;
        }
        let code = self.names.len() as u32;
        let name: Arc<str> = name.into();
        self.size += 2 * (name.len() + 2 * size_of::<Arc<str>>());
        self.names.push(Arc::clone(&name));
        self.long.insert(name, code);
        code
    }

    /// The names of codes; [`UNATTRIBUTED`] has its own.
    pub(super) fn column(&self, mut codes: Vec<u32>) -> Result<ArrayRef> {
        let unattributed = self.names.len() as u32;
        let names = self.names.iter().map(AsRef::as_ref).chain([UNATTRIBUTED_NAME]);
        let names = StringViewArray::from_iter_values(names);
        for code in codes.iter_mut().filter(|code| **code == UNATTRIBUTED) {
            *code = unattributed;
        }
        Ok(take(&names, &UInt32Array::from(codes), None)?)
    }
}
