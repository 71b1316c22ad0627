// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The rows that a sweep gives, column by column, as one list a group.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Decimal128Array, DictionaryArray, Float64Array, Int8Array, Int32Array,
    Int64Array, ListArray, StringArray, StringViewArray, StructArray, UInt32Array, new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Fields, Int8Type};
use datafusion_common::{Result, exec_datafusion_err, exec_err};

use super::amount::Money;
use super::options::Model;
use super::rows::{ByGroup, Channels, NO_ROW, NO_TIME, Touch, UNATTRIBUTED};
use super::sweep::{Amounts, Conversion, HORIZON, Journey, MARGIN, ORDERS, REVENUE};
use super::{Grain, Types};

/// See the [module documentation](self). A column that the grain does not have stays empty, and so do those of which every row
/// would say the same: there are as many rows as touches, and each column costs memory that nobody has touched before.
pub(super) struct Output {
    grain: Grain,
    has_margin: bool,
    has_period: bool,
    offsets: Vec<i32>,
    touch_rows: Vec<u32>,
    touched_at: Vec<i64>,
    channels: Vec<u32>,
    models: Vec<i8>,
    periods: Vec<i64>,
    order_rows: Vec<u32>,
    conversion_at: Vec<i64>,
    ended_at: Vec<i64>,
    touch_index: Vec<i32>,
    path_length: Vec<i32>,
    weights: Vec<f64>,
    /// Orders, for the grain of channels in thousand-millionths.
    orders: Vec<f64>,
    exact_orders: Vec<i128>,
    revenue: Vec<i128>,
    margin: Vec<i128>,
    horizon: Vec<i128>,
    last_click: Vec<i128>,
    assisted: Vec<i64>,
    /// For each row its text among `texts`.
    paths: Vec<u32>,
    texts: Vec<String>,
    /// The channels of all paths, and where each path ends.
    path_channels: Vec<u32>,
    path_ends: Vec<i32>,
}

/// The fields of a row.
pub(super) fn fields(grain: Grain, types: &Types) -> Result<Fields> {
    let revenue = Money::of(&types.revenue)?.data_type();
    let margin = Money::of(&types.margin)?.data_type();
    let field = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    let touchpoint_id = field("touchpoint_id", types.touch_id.clone());
    let touched_at = field("touched_at", types.at.clone());
    let channel = field("channel", DataType::Utf8View);
    let campaign = field("campaign", types.campaign.clone());
    let model = field("model", model_type());
    let period = field("period", types.period.clone());
    let order_id = field("order_id", types.order_id.clone());
    let conversion_at = field("conversion_at", types.at.clone());
    let credits = |orders| {
        [
            field("credit_orders", orders),
            field("credit_revenue", revenue.clone()),
            field("credit_margin", margin.clone()),
        ]
    };
    let mut fields = vec![];
    match grain {
        Grain::Touch => {
            fields.extend([touchpoint_id, touched_at, channel, campaign, model, period]);
            fields.extend(credits(DataType::Float64));
        }
        Grain::Journey => {
            fields.extend([order_id, conversion_at, touchpoint_id, touched_at, channel, campaign]);
            fields.extend([
                model,
                field("touch_index", DataType::Int32),
                field("path_length", DataType::Int32),
                field("weight", DataType::Float64),
            ]);
            fields.extend(credits(DataType::Float64));
            fields.push(field("path", DataType::Utf8View));
        }
        Grain::Channel => {
            fields.extend([channel, model, period]);
            fields.extend(credits(DataType::Decimal128(38, 9)));
            fields.extend([
                field("credit_horizon", revenue.clone()),
                field("last_click_revenue", revenue.clone()),
                field("assisted_orders", DataType::Int64),
            ]);
        }
        Grain::Path => {
            fields.extend([order_id, field("started_at", types.at.clone())]);
            fields.extend([field("ended_at", types.at.clone()), conversion_at]);
            fields.extend([
                field("channels", DataType::new_list(DataType::Utf8View, true)),
                field("path", DataType::Utf8View),
                field("revenue", revenue.clone()),
                field("margin", margin),
            ]);
        }
    }
    Ok(fields.into())
}

fn model_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))
}

impl Output {
    pub(super) fn new(grain: Grain, rows: &ByGroup, models: usize) -> Self {
        // At the grain of touches the rows are known but for those of several periods.
        let capacity = match grain {
            Grain::Touch => (rows.touch_count() + rows.groups()) * models,
            Grain::Channel | Grain::Journey | Grain::Path => 0,
        };
        Self {
            grain,
            has_margin: rows.has_margins(),
            has_period: rows.has_periods(),
            offsets: vec![0],
            touch_rows: Vec::with_capacity(capacity),
            touched_at: Vec::with_capacity(capacity),
            channels: Vec::with_capacity(capacity),
            models: Vec::with_capacity(capacity),
            periods: vec![],
            order_rows: vec![],
            conversion_at: vec![],
            ended_at: vec![],
            touch_index: vec![],
            path_length: vec![],
            weights: vec![],
            orders: Vec::with_capacity(capacity),
            exact_orders: vec![],
            revenue: Vec::with_capacity(capacity),
            margin: vec![],
            horizon: vec![],
            last_click: vec![],
            assisted: vec![],
            paths: vec![],
            texts: vec![],
            path_channels: vec![],
            path_ends: vec![0],
        }
    }

    fn amounts(&mut self, amounts: &Amounts) {
        match self.grain {
            Grain::Touch | Grain::Journey => self.orders.push(amounts[ORDERS] as f64 / 1e9),
            Grain::Channel => self.exact_orders.push(amounts[ORDERS]),
            Grain::Path => {}
        }
        self.revenue.push(amounts[REVENUE]);
        if self.has_margin {
            self.margin.push(amounts[MARGIN]);
        }
    }

    fn period(&mut self, period: i64) {
        if self.has_period {
            self.periods.push(period);
        }
    }

    /// A row of the grain of touches; without a touch what is unattributed.
    pub(super) fn touch(
        &mut self,
        touch: Option<&Touch>,
        model: Model,
        period: i64,
        amounts: &Amounts,
    ) {
        self.touch_rows.push(touch.map_or(NO_ROW, |touch| touch.row));
        self.touched_at.push(touch.map_or(NO_TIME, |touch| touch.at));
        self.channels.push(touch.map_or(UNATTRIBUTED, |touch| touch.channel()));
        self.models.push(model.key());
        self.period(period);
        self.amounts(amounts);
    }

    /// A row of the grain of channels.
    pub(super) fn channel(
        &mut self,
        channel: u32,
        model: Model,
        period: i64,
        amounts: &Amounts,
        last_click: i128,
        assisted: i64,
    ) {
        self.channels.push(channel);
        self.models.push(model.key());
        self.period(period);
        self.amounts(amounts);
        self.horizon.push(amounts[HORIZON]);
        self.last_click.push(last_click);
        self.assisted.push(assisted);
    }

    /// A row of the grain of journeys.
    #[expect(clippy::too_many_arguments, reason = "each argument is a column")]
    pub(super) fn position(
        &mut self,
        conversion: &Conversion,
        touch: Option<&Touch>,
        model: Model,
        index: usize,
        length: usize,
        weight: f64,
        amounts: &Amounts,
    ) {
        self.order_rows.push(conversion.row);
        self.conversion_at.push(conversion.at);
        self.touch_rows.push(touch.map_or(NO_ROW, |touch| touch.row));
        self.touched_at.push(touch.map_or(NO_TIME, |touch| touch.at));
        self.channels.push(touch.map_or(UNATTRIBUTED, |touch| touch.channel()));
        self.models.push(model.key());
        self.touch_index.push(index as i32);
        self.path_length.push(length as i32);
        self.weights.push(weight);
        self.amounts(amounts);
        self.paths.push((self.texts.len() as u32).saturating_sub(1));
    }

    /// The path of the positions to come.
    pub(super) fn path(&mut self, touches: &[Touch], channels: &Channels) {
        let mut text = String::new();
        for (index, touch) in touches.iter().enumerate() {
            if index > 0 {
                text.push_str(" > ");
            }
            write_name(&channels.names[touch.channel() as usize], &mut text);
        }
        self.texts.push(text);
    }

    /// A row of the grain of paths.
    pub(super) fn journey(&mut self, journey: &Journey<'_>, channels: &Channels) {
        let at = |touch: Option<&Touch>| touch.map_or(NO_TIME, |touch| touch.at);
        let conversion = journey.conversion;
        self.order_rows.push(conversion.map_or(NO_ROW, |conversion| conversion.row));
        self.touched_at.push(at(journey.touches.first()));
        self.ended_at.push(at(journey.touches.last()));
        self.conversion_at.push(conversion.map_or(NO_TIME, |conversion| conversion.at));
        self.amounts(&conversion.map_or([0; 4], |conversion| conversion.amounts));
        self.path(journey.touches, channels);
        self.paths.push(self.texts.len() as u32 - 1);
        self.path_channels.extend(journey.touches.iter().map(|touch| touch.channel()));
        self.path_ends.push(self.path_channels.len() as i32);
    }

    fn rows(&self) -> usize {
        self.revenue.len()
    }

    /// Ends the list of a group.
    pub(super) fn end_group(&mut self) -> Result<()> {
        match i32::try_from(self.rows().max(self.path_channels.len())) {
            Ok(_) => {
                self.offsets.push(self.rows() as i32);
                Ok(())
            }
            Err(_) => exec_err!(
                "more than 2³¹ rows of credits at once; ask for the grain of touches, or for fewer orders"
            ),
        }
    }

    pub(super) fn finish(self, rows: &ByGroup, types: &Types) -> Result<ArrayRef> {
        let fields = fields(self.grain, types)?;
        let revenue = Money::of(&types.revenue)?;
        let margin = Money::of(&types.margin)?;
        let out = self;
        let len = out.rows();
        let time = |times: Vec<i64>, data_type: &DataType| -> Result<ArrayRef> {
            let known = times.contains(&NO_TIME).then(|| known(len, |row| times[row] != NO_TIME));
            Ok(cast(&Int64Array::new(times.into(), known), data_type)?)
        };
        let periods = |periods: Vec<i64>| -> Result<ArrayRef> {
            if out.has_period {
                time(periods, &types.period)
            } else {
                Ok(new_null_array(&types.period, len))
            }
        };
        let margins =
            |units: Vec<i128>| margin.credits(if out.has_margin { units } else { vec![0; len] });
        let indices = |rows: Vec<u32>| {
            let known = rows.contains(&NO_ROW).then(|| known(len, |row| rows[row] != NO_ROW));
            UInt32Array::new(rows.into(), known)
        };
        let taken = |array: &ArrayRef, rows: &UInt32Array| -> Result<ArrayRef> {
            if array.logical_null_count() == array.len() {
                return Ok(new_null_array(array.data_type(), rows.len()));
            }
            Ok(take(array, rows, None)?)
        };
        let model = |keys: Vec<i8>| -> Result<ArrayRef> {
            let names = StringArray::from_iter_values(Model::ALL.map(|(name, _)| name));
            Ok(Arc::new(DictionaryArray::<Int8Type>::try_new(
                Int8Array::from(keys),
                Arc::new(names),
            )?))
        };
        let paths = |paths: Vec<u32>, texts: Vec<String>| -> Result<ArrayRef> {
            if texts.is_empty() {
                return Ok(new_null_array(&DataType::Utf8View, paths.len()));
            }
            let texts = StringViewArray::from_iter(
                texts.iter().map(|text| (!text.is_empty()).then_some(text.as_str())),
            );
            Ok(take(&texts, &UInt32Array::from(paths), None)?)
        };
        let touch_rows = indices(out.touch_rows);
        let columns: Vec<ArrayRef> = match out.grain {
            Grain::Touch => vec![
                taken(&rows.touch_ids, &touch_rows)?,
                time(out.touched_at, &types.at)?,
                rows.channels.column(out.channels)?,
                taken(&rows.campaigns, &touch_rows)?,
                model(out.models)?,
                periods(out.periods)?,
                Arc::new(Float64Array::from(out.orders)),
                revenue.credits(out.revenue),
                margins(out.margin),
            ],
            Grain::Journey => {
                let places = |places: Vec<i32>| -> ArrayRef {
                    Arc::new(Int32Array::new(places.into(), touch_rows.nulls().cloned()))
                };
                vec![
                    taken(&rows.order_ids, &indices(out.order_rows))?,
                    time(out.conversion_at, &types.at)?,
                    taken(&rows.touch_ids, &touch_rows)?,
                    time(out.touched_at, &types.at)?,
                    rows.channels.column(out.channels)?,
                    taken(&rows.campaigns, &touch_rows)?,
                    model(out.models)?,
                    places(out.touch_index),
                    Arc::new(Int32Array::from(out.path_length)),
                    Arc::new(Float64Array::from(out.weights)),
                    Arc::new(Float64Array::from(out.orders)),
                    revenue.credits(out.revenue),
                    margins(out.margin),
                    paths(out.paths, out.texts)?,
                ]
            }
            Grain::Channel => vec![
                rows.channels.column(out.channels)?,
                model(out.models)?,
                periods(out.periods)?,
                Arc::new(Decimal128Array::from(out.exact_orders).with_precision_and_scale(38, 9)?),
                revenue.credits(out.revenue),
                margins(out.margin),
                revenue.credits(out.horizon),
                revenue.credits(out.last_click),
                Arc::new(Int64Array::from(out.assisted)),
            ],
            Grain::Path => {
                let item = Arc::new(Field::new_list_field(DataType::Utf8View, true));
                let ends = OffsetBuffer::new(ScalarBuffer::from(out.path_ends));
                let names = rows.channels.column(out.path_channels)?;
                let order_rows = indices(out.order_rows);
                let of_orders = |amounts: ArrayRef| -> Result<ArrayRef> {
                    if amounts.data_type().is_null() {
                        return Ok(amounts);
                    }
                    let nulls = order_rows.nulls().cloned();
                    let data = amounts.to_data().into_builder().nulls(nulls).build()?;
                    Ok(arrow::array::make_array(data))
                };
                vec![
                    taken(&rows.order_ids, &order_rows)?,
                    time(out.touched_at, &types.at)?,
                    time(out.ended_at, &types.at)?,
                    time(out.conversion_at, &types.at)?,
                    Arc::new(ListArray::try_new(item, ends, names, None)?),
                    paths(out.paths, out.texts)?,
                    of_orders(revenue.credits(out.revenue))?,
                    of_orders(margins(out.margin))?,
                ]
            }
        };
        if columns.iter().any(|column| column.len() != len) {
            return Err(exec_datafusion_err!("the columns of credits differ in length"));
        }
        let structs = StructArray::try_new(fields.clone(), columns, None)?;
        let item = Arc::new(Field::new_list_field(DataType::Struct(fields), true));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(out.offsets));
        Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(structs), None)?))
    }
}

/// Which of so many rows are known.
fn known(rows: usize, is_known: impl FnMut(usize) -> bool) -> NullBuffer {
    NullBuffer::new(BooleanBuffer::collect_bool(rows, is_known))
}

/// A name as it stands in the text of a path: in double quotes where it could be taken for more than one.
fn write_name(name: &str, text: &mut String) {
    if name.contains(['>', '"']) || name.trim() != name || name.is_empty() {
        text.push('"');
        text.push_str(&name.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(name);
    }
}
