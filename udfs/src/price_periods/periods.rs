// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The periods of a sku, as the result lists them and as the functions that fit read them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, BooleanBuilder, Date32Builder, Float64Builder,
    ListArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Date32Type, Field, Fields, Float64Type};
use datafusion_common::{Result, exec_datafusion_err, exec_err};

use super::cells::{Cell, NO_DAY};
use super::grain::{Grain, month_of};

/// What a sku sold in a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Period {
    /// The first day, counted from 1970-01-01; `None` for a row without one.
    pub(crate) day: Option<i32>,
    pub(crate) quantity: f64,
    pub(crate) price: f64,
    pub(crate) promo: bool,
    pub(crate) out_of_stock: bool,
    /// Whether the price is that of another period.
    pub(crate) carried: bool,
}

impl Period {
    /// The month of the year, from 0.
    pub(crate) fn month(&self) -> Option<usize> {
        self.day.map(|day| month_of(day).1 as usize)
    }
}

fn fields() -> Fields {
    let field = |name, data_type| Field::new(name, data_type, true);
    Fields::from(vec![
        field("period", DataType::Date32),
        field("quantity", DataType::Float64),
        field("price", DataType::Float64),
        field("promo", DataType::Boolean),
        field("out_of_stock", DataType::Boolean),
        field("carried", DataType::Boolean),
    ])
}

/// The type of the result.
pub(crate) fn list_type() -> DataType {
    DataType::new_list(DataType::Struct(fields()), true)
}

/// The periods of one row of a column of lists; a period without a price is none.
pub(crate) fn read_periods(lists: &ListArray, row: usize, into: &mut Vec<Period>) -> Result<()> {
    into.clear();
    if lists.is_null(row) {
        return Ok(());
    }
    let list = lists.value(row);
    let Some(list) = list.as_struct_opt() else {
        return exec_err!("a list of periods holds structs, as `price_periods` makes them");
    };
    let [days, quantities, prices, promos, outs, carried, ..] = list.columns() else {
        return exec_err!("a period has the fields that `price_periods` makes");
    };
    let (days, quantities) =
        (days.as_primitive::<Date32Type>(), quantities.as_primitive::<Float64Type>());
    let carried = carried.as_boolean();
    let (prices, promos, outs) =
        (prices.as_primitive::<Float64Type>(), promos.as_boolean(), outs.as_boolean());
    for i in 0..list.len() {
        if list.is_null(i) || quantities.is_null(i) || prices.is_null(i) {
            continue;
        }
        let (quantity, price) = (quantities.value(i), prices.value(i));
        let is_known = (0.0..f64::INFINITY).contains(&quantity) && price > 0.0;
        if is_known && price < f64::INFINITY {
            into.push(Period {
                day: days.is_valid(i).then(|| days.value(i)),
                quantity,
                price,
                promo: promos.is_valid(i) && promos.value(i),
                out_of_stock: outs.is_valid(i) && outs.value(i),
                carried: carried.is_valid(i) && carried.value(i),
            });
        }
    }
    Ok(())
}

/// The price known nearest in time; between two equally near, which differ only where the price changed, their geometric
/// mean. To carry the last price forward would ascribe the missing sales after a rise to the price before it.
fn nearest(at: usize, known: &[(usize, f64, bool)]) -> Option<f64> {
    let next = known.partition_point(|k| k.0 <= at);
    let after = known.get(next);
    let before = next.checked_sub(1).and_then(|i| known.get(i));
    match (before, after) {
        (Some(b), Some(a)) if at - b.0 == a.0 - at => Some((b.1 * a.1).sqrt()),
        (Some(b), Some(a)) => Some(if at - b.0 < a.0 - at { b.1 } else { a.1 }),
        (one, other) => one.or(other).map(|k| k.1),
    }
}

/// Builds the lists, a group after the other.
pub(super) struct Lists {
    grain: Grain,
    ends: Vec<usize>,
    days: Date32Builder,
    quantities: Float64Builder,
    prices: Float64Builder,
    promos: BooleanBuilder,
    outs: BooleanBuilder,
    carried: BooleanBuilder,
}

impl Lists {
    pub(super) fn new(grain: Grain) -> Self {
        Self {
            grain,
            ends: vec![],
            days: Date32Builder::new(),
            quantities: Float64Builder::new(),
            prices: Float64Builder::new(),
            promos: BooleanBuilder::new(),
            outs: BooleanBuilder::new(),
            carried: BooleanBuilder::new(),
        }
    }

    /// The list of one sku: its periods; where none has a sale, the rows that are periods by themselves.
    pub(super) fn push(&mut self, rows: &[Cell], periods: &[Cell]) -> Result<()> {
        if periods.iter().any(|c| c.quantity > 0) {
            self.without_gaps(periods)?;
        } else {
            rows.iter().filter(|c| c.price().is_some()).for_each(|c| self.row(c, c.price(), false));
        }
        self.ends.push(self.days.len());
        Ok(())
    }

    fn without_gaps(&mut self, cells: &[Cell]) -> Result<()> {
        let sold = |c: &Cell| c.quantity > 0;
        let (Some(first), Some(last)) = (cells.iter().position(sold), cells.iter().rposition(sold))
        else {
            return Ok(());
        };
        let cells = &cells[first..=last];
        let (from, to) = (cells[0].period, cells[cells.len() - 1].period);
        // A typing error such as the year 20223 would make a list of thousands of years.
        if i64::from(to) - i64::from(from) > 400_000 {
            return Err(exec_datafusion_err!(
                "`{}`: the dates of one group lie more than 400,000 periods apart; filter the wrong ones",
                super::NAME
            ));
        }
        let mut rest = cells.iter().peekable();
        let mut line = vec![];
        for period in from..=to {
            let gap = Cell { period, ..Cell::default() };
            line.push(*rest.next_if(|c| c.period == period).unwrap_or(&gap));
        }
        let known: Vec<(usize, f64, bool)> = line
            .iter()
            .enumerate()
            .filter_map(|(at, c)| c.price().map(|price| (at, price, c.promo)))
            .collect();
        let regular: Vec<(usize, f64, bool)> =
            known.iter().filter(|(_, _, promo)| !promo).copied().collect();
        for (at, cell) in line.iter().enumerate() {
            let own = cell.price();
            // What was asked in a promotion says nothing of other periods, unless there is nothing else.
            let price = own.or_else(|| {
                let among = if cell.promo || regular.is_empty() { &known } else { &regular };
                nearest(at, among)
            });
            self.row(cell, price, own.is_none());
        }
        Ok(())
    }

    fn row(&mut self, cell: &Cell, price: Option<f64>, carried: bool) {
        let known = cell.period != NO_DAY;
        self.days.append_option(known.then(|| self.grain.first_day(cell.period)));
        self.quantities.append_value(cell.quantity());
        self.prices.append_option(price);
        self.promos.append_value(cell.promo);
        self.outs.append_value(cell.out_of_stock);
        self.carried.append_value(carried);
    }

    pub(super) fn finish(mut self) -> Result<ArrayRef> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.days.finish()),
            Arc::new(self.quantities.finish()),
            Arc::new(self.prices.finish()),
            Arc::new(self.promos.finish()),
            Arc::new(self.outs.finish()),
            Arc::new(self.carried.finish()),
        ];
        let items = StructArray::try_new(fields(), columns, None)?;
        let mut start = 0;
        let lengths = self.ends.iter().map(|end| end - std::mem::replace(&mut start, *end));
        if items.len() > i32::MAX as usize {
            return exec_err!("`{}`: more than 2 billion periods in one batch", super::NAME);
        }
        let offsets = OffsetBuffer::from_lengths(lengths);
        let item = Arc::new(Field::new_list_field(DataType::Struct(fields()), true));
        Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(items), None)?))
    }
}
