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
    /// The amount, of a number that is one; the microseconds since 1970, of a time.
    pub(super) number: Option<f64>,
}

impl Column {
    pub(super) fn of(field: &Field) -> Self {
        let name = field.name().clone();
        let low = name.to_lowercase();
        let names = ["id", "year"].contains(&low.as_str()) || low.ends_with("_id");
        let kind = match field.data_type() {
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Kind::Time,
            _ if names => Kind::Name,
            t if t.is_numeric() => Kind::Number,
            _ => Kind::Text,
        };
        Self { name, kind, right: field.data_type().is_numeric() }
    }

    pub(super) fn is_right(&self) -> bool {
        self.right
    }

    /// Whether its amounts are parts of one: a column called `share`, with nothing beyond one in it.
    pub(super) fn is_share(&self, largest: f64) -> bool {
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
        .with_datetime_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f %:z"));
    let first = rows.len();
    rows.extend((0..batch.num_rows()).map(|_| Vec::with_capacity(columns.len())));
    for (array, column) in batch.columns().iter().zip(columns) {
        let shown = ArrayFormatter::try_new(array.as_ref(), &options)?;
        let numbers = match column.kind {
            Kind::Number => Some(cast(array, &DataType::Float64)?),
            Kind::Time => {
                let moments = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
                Some(cast(&cast(&moments, &DataType::Int64)?, &DataType::Float64)?)
            }
            _ => None,
        };
        let numbers = numbers.as_ref().map(|n| n.as_primitive::<Float64Type>());
        for (i, row) in rows[first..].iter_mut().enumerate() {
            let number = numbers
                .filter(|n| !arrow::array::Array::is_null(n, i))
                .map(|n| n.value(i))
                .filter(|n| n.is_finite());
            row.push(Cell { text: shown.value(i).to_string(), number });
        }
    }
    Ok(())
}

/// Writes the values of each column alike. Rows behind those of the table hold only what is drawn.
pub(super) fn align(columns: &[Column], rows: &mut [Vec<Cell>]) {
    for (i, column) in columns.iter().enumerate() {
        let mut cells: Vec<&mut Cell> = rows.iter_mut().filter_map(|row| row.get_mut(i)).collect();
        match column.kind {
            Kind::Number => align_amounts(column, &mut cells),
            Kind::Time => align_times(&mut cells),
            Kind::Name | Kind::Text => {}
        }
    }
}

/// Thousands apart, with two decimals where there are any, and four where all are smaller than one.
fn align_amounts(column: &Column, cells: &mut [&mut Cell]) {
    let amounts = cells.iter().filter_map(|cell| cell.number);
    let largest = amounts.fold(0.0_f64, |most, n| most.max(n.abs()));
    let share = column.is_share(largest);
    let whole = |digits: String| {
        digits.find('.').is_none_or(|at| digits[at + 1..].bytes().all(|b| b == b'0'))
    };
    let places = match cells.iter().filter_map(|cell| digits(cell)).all(whole) {
        true => 0,
        false if largest < 1.0 => 4,
        false => 2,
    };
    // What four decimals cannot tell from nothing is left as it is.
    if largest > 0.0 && largest < 0.001 && !share {
        return;
    }
    for cell in cells {
        let Some(digits) = digits(cell) else { continue };
        cell.text = match share {
            true => grouped(&rounded(&hundredfold(&digits), 1)) + " %",
            false => grouped(&rounded(&digits, places)),
        };
    }
}

/// Days where all are midnights, and seconds where any has some.
fn align_times(cells: &mut [&mut Cell]) {
    let all = |end: &str| {
        let mut clocks = cells.iter().filter_map(|cell| cell.text.split_once(' '));
        clocks.all(|(_, clock)| clock.split(' ').next().is_some_and(|c| c.ends_with(end)))
    };
    let zoned = cells.iter().any(|cell| cell.text.matches(' ').count() > 1);
    let end = match (all("00:00:00"), all(":00")) {
        (true, _) if !zoned => " 00:00:00",
        (_, true) => ":00",
        _ => return,
    };
    for cell in cells {
        // In front of the zone, which may end alike.
        let clock = cell.text.match_indices(' ').nth(1).map_or(cell.text.len(), |(at, _)| at);
        if cell.text[..clock].ends_with(end) {
            cell.text.replace_range(clock - end.len()..clock, "");
        }
    }
}

/// An amount in plain digits: its own text, since a float holds fewer digits than a decimal or a large whole number.
fn digits(cell: &Cell) -> Option<String> {
    let plain = cell.text.bytes().all(|b| b.is_ascii_digit() || b == b'-' || b == b'.');
    cell.number.map(|number| if plain { cell.text.clone() } else { number.to_string() })
}

/// Plain digits with their point two places further: a float's product has digits of its own.
fn hundredfold(digits: &str) -> String {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = format!("{fraction:0<2}");
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |rest| ("-", rest));
    let all = format!("{whole}{}", &fraction[..2]);
    let whole = match all.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    format!("{sign}{whole}.{}", &fraction[2..])
}

/// Plain digits to so many decimals, halves away from zero as `round` does; nothing has no sign.
fn rounded(digits: &str, places: usize) -> String {
    let (sign, amount) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let kept = fraction.bytes().chain(std::iter::repeat(b'0')).take(places);
    let mut all: Vec<u8> = whole.bytes().chain(kept).collect();
    if fraction.as_bytes().get(places).is_some_and(|next| *next >= b'5') {
        let at = all.iter().rposition(|d| *d != b'9').unwrap_or_else(|| {
            all.insert(0, b'0');
            0
        });
        all[at] += 1;
        all[at + 1..].fill(b'0');
    }
    let sign = if all.iter().all(|d| *d == b'0') { "" } else { sign };
    let (whole, fraction) = all.split_at(all.len() - places);
    let text = |digits: &[u8]| digits.iter().map(|d| char::from(*d)).collect::<String>();
    match places {
        0 => format!("{sign}{}", text(whole)),
        _ => format!("{sign}{}.{}", text(whole), text(fraction)),
    }
}

/// At most two decimals, or as many as a small number needs to be told from nothing.
pub(super) fn shortened(number: f64) -> String {
    let places = match number.abs() {
        0.0 => 0,
        n if n >= 100_000.0 => 0,
        n if n >= 1.0 => 2,
        n if n >= 0.001 => 4,
        _ => return scientific(number),
    };
    let text = format!("{number:.places$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    grouped(text)
}

/// `3e-12`, `2.5e15`
pub(super) fn scientific(number: f64) -> String {
    format!("{number:.2e}").replace("0e", "e").replace(".0e", "e")
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
        aligned_as(DataType::Float64, name, texts)
    }

    fn aligned_as(data_type: DataType, name: &str, texts: &[&str]) -> Vec<String> {
        let columns = [Column::of(&Field::new(name, data_type, true))];
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
        // A decimal has more digits than a float, and its halves are halves.
        assert_eq!(
            aligned("a", &["12345678901234567890.12", "9007199254740993.00"]),
            ["12,345,678,901,234,567,890.12", "9,007,199,254,740,993.00"]
        );
        assert_eq!(aligned("a", &["9007199254740993.25"]), ["9,007,199,254,740,993.25"]);
        assert_eq!(aligned("a", &["1.005", "2.675", "-0.125"]), ["1.01", "2.68", "−0.13"]);
        assert_eq!(aligned("a", &["-0.001", "999.995"]), ["0.00", "1,000.00"]);
        assert_eq!(aligned("a", &["1e18", "0.5"]), ["1,000,000,000,000,000,000.00", "0.50"]);
        assert_eq!(aligned("a", &["0.33333", "0.1"]), ["0.3333", "0.1000"]);
        assert_eq!(aligned("a", &["0.00001"]), ["0.00001"]);
        assert_eq!(aligned("net_share", &["0.4332", "1"]), ["43.3 %", "100.0 %"]);
        assert_eq!(
            aligned("net_share", &["0.2885", "-0.0005", "1"]),
            ["28.9 %", "−0.1 %", "100.0 %"]
        );
        assert_eq!(aligned("share", &["43.2"]), ["43.20"]);
        assert_eq!(shortened(12.3456), "12.35");
    }

    #[test]
    fn times_are_as_fine_as_the_finest_of_a_column() {
        let zone = Some("Europe/Paris".into());
        let times =
            |texts: &[&str]| aligned_as(DataType::Timestamp(TimeUnit::Second, None), "at", texts);
        assert_eq!(times(&["2026-01-01 00:00:00", ""]), ["2026-01-01", ""]);
        assert_eq!(
            times(&["2026-01-01 00:00:00", "2026-01-01 12:30:00"]),
            ["2026-01-01 00:00", "2026-01-01 12:30"]
        );
        let fine = ["2026-01-01 12:00:31.123456", "2026-01-01 00:00:45", "2026-01-01 00:00:00"];
        assert_eq!(times(&fine), fine);
        assert_eq!(
            aligned_as(
                DataType::Timestamp(TimeUnit::Second, zone),
                "at",
                &["2026-01-01 00:00:00 +01:00"]
            ),
            ["2026-01-01 00:00 +01:00"]
        );
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
