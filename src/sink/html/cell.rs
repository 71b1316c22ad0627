// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Values as people read them: `1,234,567.89`, and the number behind it for drawing.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::Result;

/// A column of a result.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    right: bool,
}

/// What a column's values are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// An amount, which can be drawn.
    Number,
    /// What names something, in digits or letters.
    Name,
    /// A day or a moment.
    Time,
    Text,
}

/// A value.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    /// The amount, of a number that is one; the seconds since 1970, of a time.
    pub(super) number: Option<f64>,
}

impl Column {
    pub(super) fn of(field: &Field) -> Self {
        let name = field.name().clone();
        let low = name.to_lowercase();
        let names = ["id", "year"].contains(&low.as_str()) || low.ends_with("_id");
        let kind = match field.data_type() {
            _ if names => Kind::Name,
            t if t.is_numeric() => Kind::Number,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Kind::Time,
            _ => Kind::Text,
        };
        Self { name, kind, right: field.data_type().is_numeric() }
    }

    pub(super) fn is_right(&self) -> bool {
        self.right
    }

    /// Whether its amounts are parts of one: a column called `share`, with nothing beyond one in it.
    fn is_share(&self, largest: f64) -> bool {
        let name = self.name.to_lowercase();
        (name == "share" || name.ends_with("_share")) && largest <= 1.0
    }

    /// `net_sales` → `Net sales`; a name with capitals or other signs of its own is left alone.
    pub(super) fn heading(&self) -> String {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !self.name.chars().all(plain) {
            return self.name.clone();
        }
        let words = self.name.replace('_', " ");
        let mut letters = words.chars();
        letters
            .next()
            .map_or(String::new(), |c| c.to_ascii_uppercase().to_string() + letters.as_str())
    }
}

/// Reads the rows of a batch.
pub(super) fn read(
    batch: &RecordBatch,
    columns: &[Column],
    rows: &mut Vec<Vec<Cell>>,
) -> Result<()> {
    let options = FormatOptions::default()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M %:z"));
    let first = rows.len();
    rows.extend((0..batch.num_rows()).map(|_| Vec::with_capacity(columns.len())));
    for (array, column) in batch.columns().iter().zip(columns) {
        let shown = ArrayFormatter::try_new(array.as_ref(), &options)?;
        let numbers = match column.kind {
            Kind::Number => Some(cast(array, &DataType::Float64)?),
            Kind::Time => {
                let seconds = cast(array, &DataType::Timestamp(TimeUnit::Second, None))?;
                Some(cast(&cast(&seconds, &DataType::Int64)?, &DataType::Float64)?)
            }
            _ => None,
        };
        let numbers = numbers.as_ref().map(|n| n.as_primitive::<Float64Type>());
        for (i, row) in rows[first..].iter_mut().enumerate() {
            let number = numbers
                .filter(|n| !arrow::array::Array::is_null(n, i))
                .map(|n| n.value(i))
                .filter(|n| n.is_finite());
            let text = shown.value(i).to_string();
            let text = match column.kind {
                // Midnights are days.
                Kind::Time => text.strip_suffix(" 00:00").unwrap_or(&text).to_string(),
                _ => text,
            };
            row.push(Cell { text, number });
        }
    }
    Ok(())
}

/// Writes the amounts of each column alike: thousands apart, with two decimals where they have any, and four where all
/// are smaller than one.
pub(super) fn align(columns: &[Column], rows: &mut [Vec<Cell>]) {
    for (i, column) in columns.iter().enumerate().filter(|(_, c)| c.kind == Kind::Number) {
        let amounts = || rows.iter().filter_map(|row| row[i].number);
        let largest = amounts().fold(0.0_f64, |most, n| most.max(n.abs()));
        let share = column.is_share(largest);
        let places = match amounts().all(|n| n.fract() == 0.0) {
            true => 0,
            false if largest < 1.0 => 4,
            false => 2,
        };
        // What four decimals cannot tell from nothing is left as it is.
        let tiny = largest > 0.0 && largest < 0.001 && !share;
        for cell in rows.iter_mut().map(|row| &mut row[i]).filter(|_| !tiny) {
            let Some(number) = cell.number else { continue };
            cell.text = match share {
                true => format!("{:.1} %", number * 100.0),
                // The digits of a large whole number are more than a float holds.
                false
                    if places == 0
                        && cell.text.bytes().all(|b| b.is_ascii_digit() || b == b'-') =>
                {
                    grouped(&cell.text)
                }
                false => grouped(&format!("{number:.places$}")),
            };
        }
    }
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

    fn aligned(name: &str, texts: &[&str]) -> Vec<String> {
        let columns = [Column::of(&Field::new(name, DataType::Float64, true))];
        let cell = |t: &&str| Cell { text: t.to_string(), number: t.parse().ok() };
        let mut rows: Vec<Vec<Cell>> = texts.iter().map(|t| vec![cell(t)]).collect();
        align(&columns, &mut rows);
        rows.into_iter().map(|mut row| row.remove(0).text).collect()
    }

    #[test]
    fn the_amounts_of_a_column_are_written_alike() {
        assert_eq!(aligned("a", &["195361.7000", "5.0", ""]), ["195,361.70", "5.00", ""]);
        assert_eq!(aligned("a", &["1234567", "-2"]), ["1,234,567", "−2"]);
        assert_eq!(aligned("a", &["9007199254740993"]), ["9,007,199,254,740,993"]);
        assert_eq!(aligned("a", &["0.33333", "0.1"]), ["0.3333", "0.1000"]);
        assert_eq!(aligned("a", &["0.00001"]), ["0.00001"]);
        assert_eq!(aligned("net_share", &["0.4332", "1"]), ["43.3 %", "100.0 %"]);
        assert_eq!(aligned("share", &["43.2"]), ["43.20"]);
        assert_eq!(shortened(12.3456), "12.35");
    }

    #[test]
    fn headings_are_words_and_names_are_no_amounts() {
        let column = |name: &str| Column::of(&Field::new(name, DataType::Int64, true));
        assert_eq!(column("net_sales").heading(), "Net sales");
        assert_eq!(column("count(*)").heading(), "count(*)");
        assert_eq!(column("order_id").kind, Kind::Name);
        assert_eq!(column("orders").kind, Kind::Number);
        assert_eq!(Column::of(&Field::new("order_id", DataType::Utf8, true)).kind, Kind::Name);
    }
}
