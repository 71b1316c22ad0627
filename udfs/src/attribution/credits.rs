// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The accumulators: rows are kept as flat columns until a group is asked for, then swept.
//!
//! The state of a group is the list of its rows, prepared: identities in place of order ids, units in place of amounts.
//! A list of one row costs next to nothing to make, so that a partial aggregation that reduces nothing can be skipped.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, ListArray, NullArray,
    StructArray, UInt32Array, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{cast, filter, is_not_null, take};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::{Result, ScalarValue, exec_err};
use datafusion_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::amount::{Money, UNITS};
use super::options::Options;
use super::output::Output;
use super::rows::{ByGroup, Columns, NO_ROW, NO_TIME, Rows, Touch, UNATTRIBUTED};
use super::sweep::{AMOUNTS, Customer, HORIZON};
use super::{Grain, Types};
use crate::order_summary::identities;

/// See the [module documentation](self).
pub(super) struct Credits {
    grain: Grain,
    types: Types,
    options: Options,
    rows: Rows,
    groups: usize,
}

impl Credits {
    pub(super) fn new(grain: Grain, types: Types, options: Options) -> Self {
        let rows = Rows::new(&types.touch_id, &types.campaign, &types.order_id);
        Self { grain, types, options, rows, groups: 0 }
    }

    /// Arguments to columns.
    fn columns(&self, values: &[ArrayRef]) -> Result<Columns> {
        let [at, touch_id, channel, campaign, direct, order_id, revenue, margin, period, ..] =
            values
        else {
            return exec_err!("credits need nine columns, found {}", values.len());
        };
        let rows = at.len();
        Ok(Columns {
            at: Arc::clone(at),
            touch_id: Arc::clone(touch_id),
            channel: Arc::clone(channel),
            campaign: Arc::clone(campaign),
            direct: Arc::clone(direct),
            order: Arc::new(identities(order_id)?),
            order_id: match self.types.order_id {
                DataType::Null => Arc::new(NullArray::new(rows)),
                _ => Arc::clone(order_id),
            },
            revenue: Arc::new(Money::of(&self.types.revenue)?.units(revenue)?),
            margin: Arc::new(Money::of(&self.types.margin)?.units(margin)?),
            period: Arc::clone(period),
        })
    }

    fn emitted(&self, emit_to: EmitTo) -> usize {
        match emit_to {
            EmitTo::All => self.groups,
            EmitTo::First(groups) => groups.min(self.groups),
        }
    }

    fn take_first(&mut self, emit_to: EmitTo) -> Result<ByGroup> {
        let groups = self.emitted(emit_to);
        let first = self.rows.take_first(groups, self.groups)?;
        self.groups -= groups;
        first.by_group(groups)
    }

    fn results(&self, mut rows: ByGroup) -> Result<ArrayRef> {
        let mut output = Output::new(self.grain, &rows, self.options.models.len());
        let mut customer = Customer::new(&self.options, rows.channels.names.len());
        let mut channels = ChannelSums::new(rows.channels.names.len());
        for group in 0..rows.groups() {
            customer.read(&mut rows, group);
            match self.grain {
                Grain::Touch => self.touches(&mut customer, &mut output),
                Grain::Channel => self.channels(&mut customer, &mut channels, &mut output),
                Grain::Journey => self.journeys(&mut customer, &rows, &mut output),
                Grain::Path => {
                    customer.journeys(|journey| output.journey(&journey, &rows.channels))
                }
            }
            output.end_group()?;
        }
        output.finish(&rows, &self.types)
    }

    fn touches(&self, customer: &mut Customer<'_>, output: &mut Output) {
        let mut credited = vec![];
        let periods = customer.periods();
        for model in &self.options.models {
            credited.clear();
            credited.resize(customer.touches.len(), false);
            for range in &periods {
                let period = customer
                    .windows(range.clone())
                    .first()
                    .map_or(NO_TIME, |window| customer.conversion(window).period);
                customer.credit(*model, range.clone(), |place, touch, amounts| {
                    if *amounts != [0; AMOUNTS] {
                        output.touch(Some(touch), *model, period, amounts);
                        credited[place] = true;
                    }
                });
                if let Some(amounts) = customer.unattributed(range.clone()) {
                    output.touch(None, *model, period, &amounts);
                }
            }
            for (touch, _) in
                customer.touches.iter().zip(&credited).filter(|(_, credited)| !**credited)
            {
                output.touch(Some(touch), *model, NO_TIME, &[0; AMOUNTS]);
            }
        }
    }

    fn channels(&self, customer: &mut Customer<'_>, sums: &mut ChannelSums, output: &mut Output) {
        for range in customer.periods() {
            let period = customer
                .windows(range.clone())
                .first()
                .map_or(NO_TIME, |window| customer.conversion(window).period);
            for (index, model) in self.options.models.iter().enumerate() {
                customer.credit(*model, range.clone(), |_, touch, amounts| {
                    let sum = sums.of(touch.channel());
                    sum.amounts.iter_mut().zip(amounts).for_each(|(sum, more)| *sum += more);
                });
                if index == 0 {
                    customer.helps(range.clone(), |channel, last_click, assisted| {
                        let sum = sums.of(channel);
                        sum.last_click += last_click;
                        sum.assisted += assisted;
                    });
                }
                sums.drain(|channel, sum| {
                    output.channel(
                        channel,
                        *model,
                        period,
                        &sum.amounts,
                        sum.last_click,
                        sum.assisted,
                    );
                });
                if let Some(amounts) = customer.unattributed(range.clone()) {
                    output.channel(
                        UNATTRIBUTED,
                        *model,
                        period,
                        &amounts,
                        if index == 0 { amounts[super::sweep::REVENUE] } else { 0 },
                        0,
                    );
                }
            }
        }
    }

    fn journeys(&self, customer: &mut Customer<'_>, rows: &ByGroup, output: &mut Output) {
        let windows = customer.windows(0..customer.conversions.len()).to_vec();
        let mut path: Vec<Touch> = vec![];
        for window in windows {
            let conversion = *customer.conversion(&window);
            path.clear();
            customer.journey(super::options::Model::Linear, window, |_, _, touch, _, _| {
                path.push(*touch)
            });
            output.path(&path, &rows.channels);
            for model in &self.options.models {
                if window.is_empty() {
                    output.position(&conversion, None, *model, 0, 0, 1.0, &conversion.amounts);
                }
                customer.journey(*model, window, |index, length, touch, weight, amounts| {
                    output.position(
                        &conversion,
                        Some(touch),
                        *model,
                        index + 1,
                        length,
                        weight,
                        amounts,
                    );
                });
            }
        }
    }

    fn states(&self, rows: &ByGroup) -> Result<Vec<ArrayRef>> {
        let mut lengths = Vec::with_capacity(rows.groups());
        let (mut at, mut channel, mut direct, mut period) = (vec![], vec![], vec![], vec![]);
        let (mut touch_rows, mut order_rows) = (vec![], vec![]);
        let (mut order, mut revenue, mut margin) = (vec![], vec![], vec![]);
        for group in 0..rows.groups() {
            let before = at.len();
            for touch in rows.raw_touches(group) {
                at.push(touch.at);
                channel.push(touch.channel());
                direct.push(touch.is_direct());
                touch_rows.push(Some(touch.row));
                order_rows.push(None);
                order.push(None);
                revenue.push(None);
                margin.push(None);
                period.push(NO_TIME);
            }
            for row in rows.raw_orders(group) {
                let conversion = rows.order(*row);
                at.push(conversion.at);
                channel.push(NO_ROW);
                direct.push(false);
                touch_rows.push(None);
                order_rows.push(Some(*row));
                order.push(conversion.order);
                revenue.push(Some(conversion.revenue));
                margin.push(rows.has_margins().then(|| rows.margin(*row)));
                period.push(rows.period(*row));
            }
            lengths.push(at.len() - before);
        }
        let time = |times: Vec<i64>, data_type: &DataType| -> Result<ArrayRef> {
            let known = NullBuffer::from_iter(times.iter().map(|at| *at != NO_TIME));
            Ok(cast(&Int64Array::new(times.into(), Some(known)), data_type)?)
        };
        let (touch_rows, order_rows) =
            (UInt32Array::from(touch_rows), UInt32Array::from(order_rows));
        let columns = Columns {
            at: time(at, &self.types.at)?,
            touch_id: take(&rows.touch_ids, &touch_rows, None)?,
            channel: rows.channels.column(channel)?,
            campaign: take(&rows.campaigns, &touch_rows, None)?,
            direct: Arc::new(BooleanArray::from(direct)),
            order: Arc::new(UInt64Array::from(order)),
            order_id: take(&rows.order_ids, &order_rows, None)?,
            revenue: Arc::new(Decimal128Array::from(revenue).with_data_type(UNITS)),
            margin: Arc::new(Decimal128Array::from(margin).with_data_type(UNITS)),
            period: time(period, &self.types.period)?,
        };
        Ok(vec![self.list(columns, OffsetBuffer::from_lengths(lengths))?])
    }

    fn list(&self, columns: Columns, offsets: OffsetBuffer<i32>) -> Result<ArrayRef> {
        let Columns {
            at,
            touch_id,
            channel,
            campaign,
            direct,
            order,
            order_id,
            revenue,
            margin,
            period,
        } = columns;
        let columns =
            vec![at, touch_id, channel, campaign, direct, order, order_id, revenue, margin, period];
        let fields = state_fields(&self.types);
        let rows = StructArray::try_new(fields.clone(), columns, None)?;
        let item = Arc::new(Field::new_list_field(DataType::Struct(fields), true));
        Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(rows), None)?))
    }
}

/// The fields of a row of the state.
pub(super) fn state_fields(types: &Types) -> Fields {
    let field = |name: &str, data_type: &DataType| Field::new(name, data_type.clone(), true);
    Fields::from(vec![
        field("at", &types.at),
        field("touch_id", &types.touch_id),
        field("channel", &DataType::Utf8View),
        field("campaign", &types.campaign),
        field("direct", &DataType::Boolean),
        field("order", &DataType::UInt64),
        field("order_id", &types.order_id),
        field("revenue", &UNITS),
        field("margin", &UNITS),
        field("period", &types.period),
    ])
}

impl GroupsAccumulator for Credits {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups = total_num_groups;
        let Some(chosen) = opt_filter else {
            let columns = self.columns(values)?;
            return self.rows.push(&columns, group_indices);
        };
        let groups: Vec<usize> = group_indices
            .iter()
            .enumerate()
            .filter(|(row, _)| chosen.is_valid(*row) && chosen.value(*row))
            .map(|(_, group)| *group)
            .collect();
        let values = values.iter().map(|v| Ok(filter(v, chosen)?)).collect::<Result<Vec<_>>>()?;
        let columns = self.columns(&values)?;
        self.rows.push(&columns, &groups)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups = total_num_groups;
        let present = is_not_null(&values[0])?;
        let lists = filter(&values[0], &present)?;
        let lists = lists.as_list::<i32>();
        let groups = group_indices.iter().zip(present.values()).filter(|(_, present)| *present);
        let lengths = lists.offsets().lengths();
        let groups: Vec<usize> = groups
            .zip(lengths)
            .flat_map(|((group, _), length)| std::iter::repeat_n(*group, length))
            .collect();
        let (Some(start), Some(end)) = (lists.offsets().first(), lists.offsets().last()) else {
            return Ok(());
        };
        let rows = lists.values().slice(*start as usize, (end - start) as usize);
        let [at, touch_id, channel, campaign, direct, order, order_id, revenue, margin, period] =
            rows.as_struct().columns()
        else {
            return exec_err!("a partial state of credits has columns that it does not have");
        };
        let columns = Columns {
            at: Arc::clone(at),
            touch_id: Arc::clone(touch_id),
            channel: Arc::clone(channel),
            campaign: Arc::clone(campaign),
            direct: Arc::clone(direct),
            order: Arc::clone(order),
            order_id: Arc::clone(order_id),
            revenue: Arc::clone(revenue),
            margin: Arc::clone(margin),
            period: Arc::clone(period),
        };
        self.rows.push(&columns, &groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let rows = self.take_first(emit_to)?;
        self.results(rows)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let rows = self.take_first(emit_to)?;
        self.states(&rows)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let Some(chosen) = opt_filter else {
            let offsets = OffsetBuffer::new(ScalarBuffer::from_iter(0..=rows as i32));
            return Ok(vec![self.list(self.columns(values)?, offsets)?]);
        };
        let values = values.iter().map(|v| Ok(filter(v, chosen)?)).collect::<Result<Vec<_>>>()?;
        let lengths = chosen.iter().map(|chosen| usize::from(chosen == Some(true)));
        Ok(vec![self.list(self.columns(&values)?, OffsetBuffer::from_lengths(lengths))?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.size()
    }
}

/// The sums of one customer by channel.
struct ChannelSums {
    /// For each channel its place in `sums` plus one; 0 for none.
    places: Vec<u32>,
    channels: Vec<u32>,
    sums: Vec<ChannelSum>,
}

#[derive(Default)]
struct ChannelSum {
    amounts: [i128; AMOUNTS],
    last_click: i128,
    assisted: i64,
}

impl ChannelSums {
    fn new(channels: usize) -> Self {
        Self { places: vec![0; channels], channels: vec![], sums: vec![] }
    }

    fn of(&mut self, channel: u32) -> &mut ChannelSum {
        let place = &mut self.places[channel as usize];
        if *place == 0 {
            self.channels.push(channel);
            self.sums.push(ChannelSum::default());
            *place = self.sums.len() as u32;
        }
        &mut self.sums[*place as usize - 1]
    }

    /// Calls `visit` with what is not zero, and forgets it.
    fn drain(&mut self, mut visit: impl FnMut(u32, &ChannelSum)) {
        for (channel, sum) in self.channels.drain(..).zip(self.sums.drain(..)) {
            self.places[channel as usize] = 0;
            if sum.amounts[..HORIZON + 1] != [0; AMOUNTS]
                || sum.last_click != 0
                || sum.assisted != 0
            {
                visit(channel, &sum);
            }
        }
    }
}

/// The credits of all rows: the same code with a single group.
pub(super) struct CreditsAccumulator {
    credits: Credits,
    /// The group of each row of a batch, always 0.
    zeros: Vec<usize>,
}

impl CreditsAccumulator {
    pub(super) fn new(mut credits: Credits) -> Self {
        credits.groups = 1;
        Self { credits, zeros: vec![] }
    }

    fn one(array: ArrayRef) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&array, 0)
    }
}

impl std::fmt::Debug for CreditsAccumulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreditsAccumulator").finish_non_exhaustive()
    }
}

impl Accumulator for CreditsAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.zeros.resize(values[0].len(), 0);
        self.credits.update_batch(values, &self.zeros, None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.zeros.resize(states[0].len(), 0);
        self.credits.merge_batch(states, &self.zeros, 1)
    }

    /// A window function asks again and again, and so nothing is consumed.
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let rows = self.credits.rows.clone().by_group(1)?;
        Self::one(self.credits.results(rows)?)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.credits.state(EmitTo::All)?.into_iter().map(Self::one).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.credits.size() + self.zeros.capacity() * size_of::<usize>()
    }
}
