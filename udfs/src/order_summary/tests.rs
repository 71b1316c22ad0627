// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `order_summary` against a brute-force twin, along every road from rows to results.

use std::collections::BTreeMap;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, StructArray,
};
use arrow::compute::{cast, concat};
use arrow::datatypes::{Date32Type, Decimal128Type, Float64Type, Int64Type};
use datafusion_expr::EmitTo;

use super::*;
use crate::testing::Random;

const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
const AMOUNTS: [DataType; 4] =
    [DataType::Int64, DataType::Float64, DataType::Decimal128(18, 4), DataType::Decimal128(30, 2)];

/// A row; amounts are whole so that every amount type can hold them.
#[derive(Clone, Debug)]
struct Line {
    group: usize,
    id: Option<String>,
    at: Option<i64>,
    amount: Option<i64>,
}

/// first, last, orders, amount, duplicates.
type Summary = (Option<i64>, Option<i64>, i64, Option<i64>, i64);

fn random_lines(random: &mut Random, rows: u64, groups: u64) -> Vec<Line> {
    (0..rows)
        .map(|_| Line {
            // The last group stays empty.
            group: random.below(groups - 1) as usize,
            id: (!random.one_in(4)).then(|| format!("order-{}", random.below(rows / 2))),
            at: (!random.one_in(8)).then(|| random.below(50) as i64),
            amount: (!random.one_in(8)).then(|| random.below(200) as i64 - 60),
        })
        .collect()
}

/// The definition, one group and one order at a time.
fn twin(lines: &[Line], group: usize, grain: Grain) -> Summary {
    let lines = lines.iter().filter(|line| line.group == group);
    let mut orders: BTreeMap<String, Vec<(Option<i64>, i64)>> = BTreeMap::new();
    for (index, line) in lines.enumerate() {
        let Some(amount) = line.amount else { continue };
        let id = line.id.clone().unwrap_or(format!("no id {index}"));
        orders.entry(id).or_default().push((line.at, amount));
    }
    let mut duplicates = 0;
    let orders: Vec<(Option<i64>, i64)> = orders
        .into_values()
        .filter_map(|lines| match grain {
            Grain::Order => {
                duplicates += lines.len() as i64 - 1;
                lines.into_iter().max()
            }
            Grain::Line => Some((
                lines.iter().filter_map(|line| line.0).min(),
                lines.iter().map(|line| line.1).sum(),
            )),
        })
        .collect();
    let counted: Vec<_> = orders.iter().filter(|order| order.1 > 0).collect();
    (
        counted.iter().filter_map(|order| order.0).min(),
        counted.iter().filter_map(|order| order.0).max(),
        counted.len() as i64,
        (!orders.is_empty()).then(|| orders.iter().map(|order| order.1).sum()),
        duplicates,
    )
}

fn columns(lines: &[Line], amount: &DataType, ids: &DataType) -> Result<Vec<ArrayRef>> {
    let id: StringArray = lines.iter().map(|line| line.id.as_deref()).collect();
    let at: Int64Array = lines.iter().map(|line| line.at).collect();
    let amounts: Int64Array = lines.iter().map(|line| line.amount).collect();
    Ok(vec![cast(&id, ids)?, cast(&at, &MICROS)?, cast(&amounts, amount)?])
}

fn groups(lines: &[Line]) -> Vec<usize> {
    lines.iter().map(|line| line.group).collect()
}

fn read(results: &ArrayRef) -> Result<Vec<Summary>> {
    let results = results.as_struct();
    let integers = |name: &str| -> Result<Vec<Option<i64>>> {
        let Some(column) = results.column_by_name(name) else {
            return plan_err!("no column {name}");
        };
        Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().iter().collect())
    };
    let (first, last) = (integers("first_order_at")?, integers("last_order_at")?);
    let (orders, amount) = (integers("orders")?, integers("amount")?);
    let duplicates = integers("duplicates")?;
    Ok((0..results.len())
        .map(|row| {
            (
                first[row],
                last[row],
                orders[row].unwrap_or(-1),
                amount[row],
                duplicates[row].unwrap_or(-1),
            )
        })
        .collect())
}

/// Splits into batches of uneven length, some empty.
fn batches<'a>(random: &mut Random, mut lines: &'a [Line]) -> Vec<&'a [Line]> {
    let mut batches = vec![];
    while !lines.is_empty() {
        let (batch, rest) = lines.split_at((random.below(40) as usize).min(lines.len()));
        batches.push(batch);
        lines = rest;
    }
    batches
}

/// One partial aggregation: some batches aggregated, some converted row by row; then the final one,
/// whose groups leave in pieces, some of them through another round of state.
fn two_phases(
    random: &mut Random,
    lines: &[Line],
    total: usize,
    grain: Grain,
    amount: &DataType,
) -> Result<Vec<Summary>> {
    let ids = &[DataType::Utf8, DataType::Utf8View, DataType::LargeUtf8][random.below(3) as usize];
    let mut last = new_summaries(grain, &MICROS, amount)?;
    let mut partial = new_summaries(grain, &MICROS, amount)?;
    for batch in batches(random, lines) {
        let columns = columns(batch, amount, ids)?;
        if random.one_in(2) {
            let states = last.convert_to_state(&columns, None)?;
            last.merge_batch(&states, &groups(batch), total)?;
            continue;
        }
        partial.update_batch(&columns, &groups(batch), None, total)?;
        if random.one_in(3) {
            let first = random.below(total as u64 + 1) as usize;
            let states = partial.state(EmitTo::First(first))?;
            last.merge_batch(&states, &(0..first).collect::<Vec<_>>(), total)?;
            let states = partial.state(EmitTo::All)?;
            last.merge_batch(&states, &(first..total).collect::<Vec<_>>(), total)?;
        }
    }
    let states = partial.state(EmitTo::All)?;
    last.merge_batch(&states, &(0..states[0].len()).collect::<Vec<_>>(), total)?;
    let mut results = vec![];
    let mut left = total;
    while left > 0 {
        let first = (random.below(6) as usize + 1).min(left);
        results.extend(read(&last.evaluate(EmitTo::First(first))?)?);
        left -= first;
    }
    assert_eq!(last.evaluate(EmitTo::All)?.len(), 0);
    Ok(results)
}

#[test]
fn agrees_with_the_definition() -> Result<()> {
    let mut random = Random::new(1);
    for round in 0..120 {
        let grain = if round % 2 == 0 { Grain::Order } else { Grain::Line };
        let amount = &AMOUNTS[round % 4 / 2 * 2 + usize::from(random.one_in(2))];
        let total = random.below(30) as usize + 2;
        let rows = random.below(300) + 2;
        let lines = random_lines(&mut random, rows, total as u64);
        let expected: Vec<Summary> = (0..total).map(|group| twin(&lines, group, grain)).collect();

        let mut single = new_summaries(grain, &MICROS, amount)?;
        for batch in batches(&mut random, &lines) {
            let columns = columns(batch, amount, &DataType::Utf8)?;
            single.update_batch(&columns, &groups(batch), None, total)?;
        }
        assert_eq!(read(&single.evaluate(EmitTo::All)?)?, expected, "{grain:?} {amount}");

        let mut shuffled = lines;
        random.shuffle(&mut shuffled);
        let results = two_phases(&mut random, &shuffled, total, grain, amount)?;
        assert_eq!(results, expected, "{grain:?} {amount} in two phases");
    }
    Ok(())
}

#[test]
fn float_bytes_do_not_depend_on_the_order_of_rows() -> Result<()> {
    let mut random = Random::new(2);
    for grain in [Grain::Order, Grain::Line] {
        let mut rows: Vec<(Option<i64>, f64)> = (0..500)
            .map(|_| {
                // Mostly prices; sometimes a value that the exact sum cannot hold.
                let price = random.below(1_000_000) as f64 / 100.0;
                let amount = match random.below(20) {
                    0 => price * 1e-9,
                    1 => price * 1e14,
                    2 => -price,
                    _ => price,
                };
                ((!random.one_in(3)).then(|| random.below(300) as i64), amount)
            })
            .collect();
        let mut seen = None;
        for _ in 0..20 {
            random.shuffle(&mut rows);
            let (left, right) = rows.split_at(random.below(500) as usize);
            let mut last = new_summaries(grain, &MICROS, &DataType::Float64)?;
            for rows in [left, right] {
                let columns: Vec<ArrayRef> = vec![
                    Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
                    cast(&Int64Array::from(vec![7; rows.len()]), &MICROS)?,
                    Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>()),
                ];
                let mut partial = new_summaries(grain, &MICROS, &DataType::Float64)?;
                partial.update_batch(&columns, &vec![0; rows.len()], None, 1)?;
                last.merge_batch(&partial.state(EmitTo::First(1))?, &[0], 1)?;
            }
            let results = last.evaluate(EmitTo::All)?;
            let amount = results.as_struct().column(3).as_primitive::<Float64Type>().value(0);
            assert_eq!(*seen.get_or_insert(amount.to_bits()), amount.to_bits());
        }
    }
    Ok(())
}

/// One customer's rows through the accumulator for a query without GROUP BY.
fn ungrouped(grain: Grain, ids: ArrayRef, at: ArrayRef, amounts: ArrayRef) -> Result<StructArray> {
    let new = || {
        let summaries = new_summaries(grain, at.data_type(), amounts.data_type())?;
        Result::<_>::Ok(OrderSummaryAccumulator::new(summaries))
    };
    let columns = [ids, Arc::clone(&at), Arc::clone(&amounts)];
    let middle = at.len() / 2;
    let mut last = new()?;
    for (from, length) in [(0, middle), (middle, at.len() - middle)] {
        let mut partial = new()?;
        let half: Vec<ArrayRef> = columns.iter().map(|column| column.slice(from, length)).collect();
        partial.update_batch(&half)?;
        let states =
            partial.state()?.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?;
        last.merge_batch(&states)?;
    }
    let once = last.evaluate()?;
    assert_eq!(once, last.evaluate()?, "a window function evaluates repeatedly");
    Ok(once.to_array()?.as_struct().clone())
}

#[test]
fn ungrouped_and_dates() -> Result<()> {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(1), None, None, Some(2)]));
    let at = cast(&Int64Array::from(vec![10, 10, 20, 5, 1]), &DataType::Int32)?;
    let at = cast(&at, &DataType::Date32)?;
    let amounts = Int64Array::from(vec![100, 250, 50, 50, -70]);
    let amounts = cast(&amounts, &DataType::Decimal128(12, 2))?;
    let one = ungrouped(Grain::Order, Arc::clone(&ids), Arc::clone(&at), Arc::clone(&amounts))?;
    assert_eq!(one.column(0).as_primitive::<Date32Type>().value(0), 5);
    assert_eq!(one.column(1).as_primitive::<Date32Type>().value(0), 20);
    assert_eq!(one.column(2).as_primitive::<Int64Type>().value(0), 3);
    assert_eq!(one.column(3).data_type(), &DataType::Decimal128(38, 2));
    assert_eq!(one.column(3).as_primitive::<Decimal128Type>().value(0), 28_000);
    assert_eq!(one.column(4).as_primitive::<Int64Type>().value(0), 1);
    let one = ungrouped(Grain::Line, ids, at, amounts)?;
    assert_eq!(one.column(3).as_primitive::<Decimal128Type>().value(0), 38_000);
    assert_eq!(one.column(4).as_primitive::<Int64Type>().value(0), 0);
    Ok(())
}

#[test]
fn nothing_is_no_order_and_no_amount() -> Result<()> {
    let mut nothing =
        OrderSummaryAccumulator::new(new_summaries(Grain::Order, &MICROS, &DataType::Float64)?);
    assert_eq!(read(&nothing.evaluate()?.to_array()?)?, vec![(None, None, 0, None, 0)]);
    assert_eq!(nothing.state()?.len(), 4);
    Ok(())
}

#[test]
fn types_survive_the_state() -> Result<()> {
    let zoned = DataType::Timestamp(TimeUnit::Second, Some("Europe/Paris".into()));
    for time in [MICROS, zoned, DataType::Date32, DataType::Date64] {
        for amount in AMOUNTS {
            let mut summaries = new_summaries(Grain::Order, &time, &amount)?;
            let at =
                cast(&cast(&Int64Array::from(vec![86_400]), &DataType::Int32)?, &DataType::Date32)?;
            let columns: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from(vec![1])),
                cast(&at, &time)?,
                cast(&Int64Array::from(vec![3]), &amount)?,
            ];
            let converted = summaries.convert_to_state(&columns, None)?;
            summaries.update_batch(&columns, &[1], None, 2)?;
            let states = summaries.state(EmitTo::All)?;
            for (state, converted) in states.iter().zip(&converted) {
                assert_eq!(state.data_type(), converted.data_type());
                assert_eq!(&state.slice(1, 1), converted);
            }
            summaries.merge_batch(&states, &[0, 0], 1)?;
            let results = summaries.evaluate(EmitTo::All)?;
            assert_eq!(results.data_type(), &DataType::Struct(result_fields(&time, &amount)));
        }
    }
    Ok(())
}

#[test]
fn filters_apply_to_rows_and_to_converted_state() -> Result<()> {
    let lines: Vec<Line> = (1..=4)
        .map(|at| Line { group: 0, id: Some(at.to_string()), at: Some(at), amount: Some(10) })
        .collect();
    let columns = columns(&lines, &DataType::Int64, &DataType::Utf8)?;
    let filter = BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]);
    let mut summaries = new_summaries(Grain::Order, &MICROS, &DataType::Int64)?;
    summaries.update_batch(&columns, &[0; 4], Some(&filter), 1)?;
    let expected = vec![(Some(1), Some(4), 2, Some(20), 0)];
    assert_eq!(read(&summaries.evaluate(EmitTo::All)?)?, expected);
    let states = summaries.convert_to_state(&columns, Some(&filter))?;
    summaries.merge_batch(&states, &[0; 4], 1)?;
    assert_eq!(read(&summaries.evaluate(EmitTo::All)?)?, expected);
    Ok(())
}

#[test]
fn memory_is_accounted_and_released() -> Result<()> {
    let mut random = Random::new(3);
    let lines = random_lines(&mut random, 10_000, 100);
    let columns = columns(&lines, &DataType::Int64, &DataType::Utf8)?;
    let mut summaries = new_summaries(Grain::Order, &MICROS, &DataType::Int64)?;
    let empty = summaries.size();
    summaries.update_batch(&columns, &groups(&lines), None, 100)?;
    assert!(summaries.size() > 6_000 * 28, "{}", summaries.size());
    let states = summaries.state(EmitTo::All)?;
    assert_eq!(summaries.size(), empty);
    // State of state is the same state.
    summaries.merge_batch(&states, &(0..100).collect::<Vec<_>>(), 100)?;
    let again = summaries.state(EmitTo::All)?;
    assert_eq!(concat(&[&states[3]])?.len(), again[3].len());
    Ok(())
}

#[test]
fn sums_beyond_the_result_are_errors() -> Result<()> {
    let mut summaries = new_summaries(Grain::Order, &MICROS, &DataType::Int64)?;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2])),
        cast(&Int64Array::from(vec![1, 2]), &MICROS)?,
        Arc::new(Int64Array::from(vec![i64::MAX, 1])),
    ];
    summaries.update_batch(&columns, &[0, 0], None, 1)?;
    let error = summaries.evaluate(EmitTo::All).err().map(|error| error.strip_backtrace());
    let error = error.unwrap_or_default();
    assert!(error.contains("the sum of `amount`, 9223372036854775808, exceeds BIGINT"), "{error}");
    Ok(())
}

#[test]
fn wrong_calls_name_the_argument() {
    let check = |types: &[DataType], expected: &str| {
        let found = coerce(types).err().map(|error| error.strip_backtrace()).unwrap_or_default();
        assert_eq!(found, format!("Error during planning: `order_summary`{expected}"));
    };
    use DataType::{Boolean, Float64, Int64, Utf8};
    check(
        &[Int64, MICROS],
        " takes 3 or 4 arguments (order_id, ordered_at, amount, grain), found 2",
    );
    check(&[Int64, Utf8, Int64], ": argument `ordered_at` must be TIMESTAMP or DATE, found Utf8");
    check(
        &[Int64, MICROS, Boolean],
        ": argument `amount` must be a decimal of at most 38 digits, a float or an integer, found Boolean",
    );
    check(
        &[Int64, MICROS, Float64, Int64],
        ": argument `grain` must be 'order' or 'line', found Int64",
    );
    let error = grain(Some(ScalarValue::from("lines"))).err().map(|error| error.strip_backtrace());
    assert_eq!(
        error.unwrap_or_default(),
        "Error during planning: `order_summary`: argument `grain` must be 'order' or 'line', found lines"
    );
}

#[test]
fn malformed_state_is_an_error() -> Result<()> {
    let mut summaries = new_summaries(Grain::Order, &MICROS, &DataType::Int64)?;
    let none = Int64Array::from(vec![None]);
    let packed: Vec<&[u8]> = vec![&[1, 2, 3]];
    let states: Vec<ArrayRef> = vec![
        cast(&none, &DataType::UInt64)?,
        cast(&none, &MICROS)?,
        Arc::new(none),
        Arc::new(arrow::array::LargeBinaryArray::from_vec(packed)),
    ];
    assert!(summaries.merge_batch(&states, &[0], 1).is_err());
    Ok(())
}
