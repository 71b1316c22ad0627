// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Values as people read them: `1,234,567.89`, and the number behind it for drawing.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::Result;

/// A column of a result.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What a column's values are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// An amount, which can be drawn.
    Number,
    /// Digits that name something.
    Name,
    /// A day or a moment.
    Time,
    Text,
}

/// A value.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    /// The amount, of a number that is one.
    pub(super) number: Option<f64>,
}

impl Column {
    pub(super) fn of(field: &Field) -> Self {
        let name = field.name().clone();
        let low = name.to_lowercase();
        let names = ["id", "year"].contains(&low.as_str()) || low.ends_with("_id");
        let kind = match field.data_type() {
            t if t.is_numeric() && names => Kind::Name,
            t if t.is_numeric() => Kind::Number,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Kind::Time,
            _ => Kind::Text,
        };
        Self { name, kind }
    }

    pub(super) fn is_right(&self) -> bool {
        matches!(self.kind, Kind::Number | Kind::Name)
    }

    /// `net_sales` → `Net sales`; a name with capitals or other signs of its own is left alone.
    pub(super) fn heading(&self) -> String {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !self.name.chars().all(plain) {
            return self.name.clone();
        }
        let words = self.name.replace('_', " ");
        let mut letters = words.chars();
        letters.next().map_or(String::new(), |c| c.to_ascii_uppercase().to_string() + letters.as_str())
    }
}

/// Reads the rows of a batch.
pub(super) fn read(batch: &RecordBatch, columns: &[Column], rows: &mut Vec<Vec<Cell>>) -> Result<()> {
    let options = FormatOptions::default()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M %:z"));
    let first = rows.len();
    rows.extend((0..batch.num_rows()).map(|_| Vec::with_capacity(columns.len())));
    for (array, column) in batch.columns().iter().zip(columns) {
        let shown = ArrayFormatter::try_new(array.as_ref(), &options)?;
        let numbers = match column.kind {
            Kind::Number => Some(cast(array, &DataType::Float64)?),
            _ => None,
        };
        let numbers = numbers.as_ref().map(|n| n.as_primitive::<Float64Type>());
        for (i, row) in rows[first..].iter_mut().enumerate() {
            let number = numbers
                .filter(|n| !arrow::array::Array::is_null(n, i))
                .map(|n| n.value(i))
                .filter(|n| n.is_finite());
            let text = shown.value(i).to_string();
            let text = match (number, column.kind) {
                (Some(number), Kind::Number) => amount(number, &text),
                // Midnights are days.
                (_, Kind::Time) => text.strip_suffix(" 00:00").unwrap_or(&text).to_string(),
                _ => text,
            };
            row.push(Cell { text, number });
        }
    }
    Ok(())
}

/// A number for people: thousands apart, and no more decimals than help. Exact decimals keep theirs.
fn amount(number: f64, text: &str) -> String {
    let exact = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.'));
    let decimals = text.split_once('.').map_or(0, |(_, d)| d.len());
    if exact && decimals <= 4 {
        let trimmed = match text.strip_suffix(".0") {
            Some(whole) => whole,
            None => text,
        };
        return grouped(trimmed);
    }
    shortened(number)
}

/// At most two decimals, or as many as a small number needs to be told from nothing.
pub(super) fn shortened(number: f64) -> String {
    let places = match number.abs() {
        0.0 => 0,
        n if n >= 100_000.0 => 0,
        n if n >= 1.0 => 2,
        n if n >= 0.001 => 4,
        _ => return format!("{number:.2e}"),
    };
    let text = format!("{number:.places$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    grouped(text)
}

/// `1234567.5` → `1,234,567.5`
pub(super) fn grouped(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("−", rest));
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::from(sign);
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(c);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        for (number, text, expected) in [
            (1234567.0, "1234567", "1,234,567"),
            (-1234.5, "-1234.50", "−1,234.50"),
            (5.0, "5.0", "5"),
            (0.333333333, "0.3333333333333", "0.3333"),
            (12.3456789, "12.3456789", "12.35"),
            (1e-9, "1e-9", "1.00e-9"),
            (1234567.891234, "1234567.891234", "1,234,568"),
            (100.0, "100", "100"),
        ] {
            assert_eq!(amount(number, text), expected);
        }
    }

    #[test]
    fn headings_are_words_and_names_are_no_amounts() {
        let column = |name: &str| Column::of(&Field::new(name, DataType::Int64, true));
        assert_eq!(column("net_sales").heading(), "Net sales");
        assert_eq!(column("count(*)").heading(), "count(*)");
        assert_eq!(column("order_id").kind, Kind::Name);
        assert_eq!(column("orders").kind, Kind::Number);
    }
}
