// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A result → a picture in the terminal. What is drawn follows from the columns' types, unless it is said.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type, SchemaRef, TimeUnit, TimestampMillisecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::diagnostic::{nearest, or_list};
use crate::error::{Error, Result};
use crate::repl::command::first_argument;

mod bars;
mod canvas;
mod plot;

/// A kind of picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bar,
    Line,
    Scatter,
    Histogram,
}

/// The kinds by name, and what each needs.
pub(super) const KINDS: &[(&str, Kind, &str)] = &[
    ("bar", Kind::Bar, "a category and a number"),
    ("line", Kind::Line, "a date and one or more numbers"),
    ("scatter", Kind::Scatter, "two numbers"),
    ("histogram", Kind::Histogram, "one number"),
];

/// At most this many panels of lines, one a number.
const MOST_PANELS: usize = 4;

/// What to draw: a kind and columns by position.
#[derive(Debug, PartialEq)]
struct Choice {
    kind: Kind,
    x: usize,
    ys: Vec<usize>,
    /// The texts that make lines of their own, where several rows have the same date.
    by: Option<usize>,
}

/// Draws a result. `said` is what stands behind `\chart`.
pub(super) fn draw(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    said: &str,
    width: usize,
    height: usize,
) -> Result<String> {
    let choice = choose(schema, said)?;
    let batch = concat_batches(schema, batches)?;
    if batch.num_rows() == 0 {
        return Err(Error::query("the last result has no rows to draw"));
    }
    let name = |column: usize| schema.field(column).name().as_str();
    let drawn = match choice.kind {
        Kind::Bar => {
            let y = choice.ys.first().copied().unwrap_or(choice.x);
            let labels = texts(batch.column(choice.x))?;
            let values = numbers(batch.column(y))?;
            let shown = texts(batch.column(y))?;
            let title = format!("{} by {}", name(y), name(choice.x));
            bars::bars(&title, &labels, &values, &shown, width, height)
        }
        Kind::Line => {
            let xs = moments(batch.column(choice.x))?;
            let series = match choice.by {
                Some(by) if !distinct(&xs) => series(&texts(batch.column(by))?),
                _ => vec![(String::new(), (0..xs.len()).collect())],
            };
            let all = choice.ys.len() * series.len();
            let each = (height / all.clamp(1, MOST_PANELS)).max(6);
            let mut text = String::new();
            let panels = choice.ys.iter().flat_map(|y| series.iter().map(move |s| (*y, s)));
            for (y, (of, rows)) in panels.take(MOST_PANELS) {
                let ys = numbers(batch.column(y))?;
                let (xs, ys): (Vec<_>, Vec<_>) = rows.iter().map(|r| (xs[*r], ys[*r])).unzip();
                let title = format!("{} by {}{of}", name(y), name(choice.x));
                text.push_str(&plot::line(&title, &pairs(&xs, &ys), width, each));
            }
            if all > MOST_PANELS {
                let what = if series.len() > 1 {
                    "lines are drawn; WHERE chooses others".to_string()
                } else {
                    format!("numbers are drawn; name others: `\\chart line {} …`", name(choice.x))
                };
                text.push_str(&format!("the first {MOST_PANELS} of {all} {what}\n"));
            }
            text
        }
        Kind::Scatter => {
            let y = choice.ys.first().copied().unwrap_or(choice.x);
            let points = pairs(&numbers(batch.column(choice.x))?, &numbers(batch.column(y))?);
            plot::scatter((name(choice.x), name(y)), &points, width, height)
        }
        Kind::Histogram => {
            let values = numbers(batch.column(choice.x))?;
            let whole = schema.field(choice.x).data_type().is_integer();
            bars::histogram(name(choice.x), &values, whole, width, height)
        }
    };
    Ok(drawn)
}

/// Which picture: what was said, or the first kind whose columns are there.
fn choose(schema: &SchemaRef, said: &str) -> Result<Choice> {
    let (mut words, mut rest) = (vec![], said.trim_start());
    while !rest.is_empty() {
        let (word, after) = first_argument(rest);
        words.push(word);
        rest = after;
    }
    let kind = match words.first().filter(|_| !said.trim_start().starts_with(['"', '\''])) {
        Some(first) => match KINDS.iter().find(|k| k.0 == first.to_lowercase()) {
            Some((_, kind, _)) => {
                words.remove(0);
                Some(*kind)
            }
            None => None,
        },
        None => None,
    };
    let named = words.iter().map(|w| find(schema, w)).collect::<Result<Vec<_>>>()?;
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let from = if named.is_empty() { &all } else { &named };
    let type_of = |c: &usize| schema.field(*c).data_type();
    let first = |is: fn(&DataType) -> bool| from.iter().copied().find(|c| is(type_of(c)));
    let numeric: Vec<usize> = from.iter().copied().filter(|c| type_of(c).is_numeric()).collect();
    let (date, category) = (first(is_moment), first(is_category));
    let said = Said { kind: kind.is_some(), columns: !named.is_empty() };
    let of = |kind| choice(kind, from, &numeric, date, category, said);
    match kind {
        Some(kind) => of(kind).ok_or_else(|| {
            let needs = KINDS.iter().find(|k| k.1 == kind).map_or("", |k| k.2);
            lacking(schema, from, &format!("this kind of chart needs {needs}"))
        }),
        None => [Kind::Line, Kind::Bar, Kind::Scatter, Kind::Histogram]
            .into_iter()
            .find_map(of)
            .ok_or_else(|| lacking(schema, from, "a chart needs a number")),
    }
}

/// What stands behind `\chart`.
#[derive(Clone, Copy)]
struct Said {
    kind: bool,
    columns: bool,
}

fn choice(
    kind: Kind,
    from: &[usize],
    numeric: &[usize],
    date: Option<usize>,
    category: Option<usize>,
    said: Said,
) -> Option<Choice> {
    match kind {
        Kind::Line => Some(Choice { kind, x: date?, ys: some(numeric.to_vec())?, by: category }),
        Kind::Bar => {
            // Said so, anything can be the category, also a number: the first column.
            let x =
                if said.kind && said.columns { from.first().copied() } else { category.or(date) };
            let first = numeric.first().copied().filter(|_| said.kind && numeric.len() > 1);
            let x = x.or(first)?;
            let ys: Vec<usize> = numeric.iter().copied().filter(|y| *y != x).collect();
            Some(Choice { kind, x, ys: some(ys)?, by: None })
        }
        Kind::Scatter => match numeric {
            [x, y, ..] => Some(Choice { kind, x: *x, ys: vec![*y], by: None }),
            _ => None,
        },
        Kind::Histogram => Some(Choice { kind, x: *numeric.first()?, ys: vec![], by: None }),
    }
}

fn some(columns: Vec<usize>) -> Option<Vec<usize>> {
    Some(columns).filter(|c| !c.is_empty())
}

fn lacking(schema: &SchemaRef, from: &[usize], what: &str) -> Error {
    let columns: Vec<String> = from
        .iter()
        .map(|c| format!("{} {}", schema.field(*c).name(), schema.field(*c).data_type()))
        .collect();
    Error::query(what.to_string()).note(format!("the columns are: {}", columns.join(", ")))
}

/// A column by its name.
fn find(schema: &SchemaRef, word: &str) -> Result<usize> {
    let name = word.trim_end_matches(',');
    let exact = schema.fields().iter().position(|f| f.name() == name);
    let loose = || schema.fields().iter().position(|f| f.name().eq_ignore_ascii_case(name));
    exact.or_else(loose).ok_or_else(|| {
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .chain(KINDS.iter().map(|k| k.0))
            .collect();
        let error = Error::query(format!("the last result has no column `{name}`"));
        match nearest(name, names.iter().copied()).as_slice() {
            [] => error.note(format!(
                "its columns are: {}",
                names[..names.len() - KINDS.len()].join(", ")
            )),
            near => error.hint(format!("did you mean {}?", or_list(near))),
        }
    })
}

fn is_moment(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
}

fn is_category(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => true,
        DataType::Dictionary(_, value) => is_category(value),
        _ => false,
    }
}

fn numbers(column: &dyn Array) -> Result<Vec<Option<f64>>> {
    let column = cast(column, &DataType::Float64)?;
    let values = column.as_primitive::<Float64Type>().iter();
    Ok(values.map(|v| v.filter(|v| v.is_finite())).collect())
}

/// Milliseconds since 1970.
fn moments(column: &dyn Array) -> Result<Vec<Option<f64>>> {
    let column = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
    let values = column.as_primitive::<TimestampMillisecondType>().iter();
    Ok(values.map(|v| v.map(|v| v as f64)).collect())
}

fn texts(column: &dyn Array) -> Result<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let formatter = ArrayFormatter::try_new(column, &options)?;
    Ok((0..column.len()).map(|row| formatter.value(row).to_string()).collect())
}

/// Whether no value comes twice.
fn distinct(values: &[Option<f64>]) -> bool {
    let mut seen = HashSet::new();
    values.iter().flatten().all(|v| seen.insert(v.to_bits()))
}

/// The rows of each text, in the order in which they come, under the words that tell them apart.
fn series(texts: &[String]) -> Vec<(String, Vec<usize>)> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut series: Vec<(String, Vec<usize>)> = vec![];
    for (row, text) in texts.iter().enumerate() {
        let place = *places.entry(text).or_insert_with(|| {
            series.push((format!(", {text}"), vec![]));
            series.len() - 1
        });
        series[place].1.push(row);
    }
    series
}

/// The points of which both halves are there.
fn pairs(xs: &[Option<f64>], ys: &[Option<f64>]) -> plot::Points {
    let points: Vec<(f64, f64)> =
        xs.iter().zip(ys).filter_map(|(x, y)| Some(((*x)?, (*y)?))).collect();
    plot::Points { left_out: xs.len() - points.len(), points }
}

/// A number in few letters: `1.25M`, `-3`, `0.004`.
fn short(value: f64) -> String {
    let size = value.abs();
    let (divisor, unit) = match size {
        s if s >= 1e12 => (1e12, "T"),
        s if s >= 1e9 => (1e9, "G"),
        s if s >= 1e6 => (1e6, "M"),
        s if s >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let value = value / divisor;
    let digits = match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        v if v >= 1e-4 => (1 - v.log10().floor() as i32).clamp(0, 6) as usize,
        _ => return format!("{value:.1e}"),
    };
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
        let fields = columns.iter().map(|(n, t)| Field::new(*n, t.clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    fn chosen(columns: &[(&str, DataType)], said: &str) -> (Kind, usize, Vec<usize>) {
        let choice = choose(&schema(columns), said).expect("can be drawn");
        (choice.kind, choice.x, choice.ys)
    }

    const TEXT: DataType = DataType::Utf8;
    const NUMBER: DataType = DataType::Float64;

    #[test]
    fn the_columns_choose_the_chart() {
        let date = DataType::Date32;
        assert_eq!(chosen(&[("c", TEXT), ("n", NUMBER)], ""), (Kind::Bar, 0, vec![1]));
        assert_eq!(
            chosen(&[("a", NUMBER), ("d", date.clone()), ("b", NUMBER)], ""),
            (Kind::Line, 1, vec![0, 2])
        );
        assert_eq!(chosen(&[("a", NUMBER), ("b", NUMBER)], ""), (Kind::Scatter, 0, vec![1]));
        assert_eq!(chosen(&[("a", NUMBER)], ""), (Kind::Histogram, 0, vec![]));
        assert_eq!(chosen(&[("a", NUMBER), ("b", NUMBER)], "bar"), (Kind::Bar, 0, vec![1]));
        assert_eq!(chosen(&[("a", NUMBER), ("b", NUMBER)], "bar b A"), (Kind::Bar, 1, vec![0]));
        assert_eq!(chosen(&[("a", NUMBER), ("b", NUMBER)], "\"b\""), (Kind::Histogram, 1, vec![]));
        assert_eq!(chosen(&[("d", date), ("n", NUMBER)], "bar").0, Kind::Bar);
        let spaced = [("my a", NUMBER), ("b", NUMBER), ("c d", NUMBER)];
        assert_eq!(chosen(&spaced, "scatter \"c d\" 'my a'"), (Kind::Scatter, 2, vec![0]));
    }

    #[test]
    fn what_cannot_be_drawn_says_what_is_lacking() {
        let said = |columns: &[(&str, DataType)], words: &str| {
            let error = choose(&schema(columns), words).expect_err("cannot be drawn");
            format!("{} {} {}", error.message, error.notes.join(" "), error.hints.join(" "))
        };
        assert!(said(&[("c", TEXT)], "").contains("a chart needs a number"));
        assert!(said(&[("c", TEXT), ("n", NUMBER)], "line").contains("a date and one or more"));
        assert!(said(&[("count", NUMBER)], "coutn").contains("did you mean `count`"));
        assert!(said(&[("n", NUMBER)], "hsitogram").contains("`histogram`"));
    }

    fn drawn(columns: Vec<(&str, ArrayRef)>, said: &str) -> String {
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        draw(&batch.schema(), &[batch], said, 60, 12).expect("is drawn")
    }

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        let text = drawn(
            vec![
                ("channel", Arc::new(StringArray::from(vec![Some("seo"), Some("ads"), None])) as _),
                ("n", Arc::new(Int64Array::from(vec![Some(100), Some(50), None])) as _),
            ],
            "",
        );
        let length = |label: &str| {
            let line = text.lines().find(|l| l.starts_with(label)).expect("has a bar");
            line.chars().filter(|c| *c == '█').count()
        };
        assert!(length("seo").abs_diff(2 * length("ads")) <= 1 && length("ads") > 5, "{text}");
        assert!(length("NULL") == 0 && text.contains("n by channel"), "{text}");
    }

    #[test]
    fn negative_bars_go_the_other_way() {
        let text = drawn(
            vec![
                ("c", Arc::new(StringArray::from(vec!["up", "down"])) as _),
                ("n", Arc::new(Int64Array::from(vec![10, -10])) as _),
            ],
            "",
        );
        let place = |label: &str| {
            let line = text.lines().find(|l| l.starts_with(label)).expect("has a bar");
            line.chars().position(|c| c == '█').expect("is drawn")
        };
        assert!(place("down") < place("up"), "{text}");
    }

    #[test]
    fn a_line_rises_with_its_numbers() {
        let days = Date32Array::from((19_000..19_050).collect::<Vec<_>>());
        let rising = Float64Array::from((0..50).map(f64::from).collect::<Vec<_>>());
        let text = drawn(vec![("day", Arc::new(days) as _), ("n", Arc::new(rising) as _)], "");
        let dots = |c: char| ('\u{2801}'..='\u{28FF}').contains(&c);
        let starts: Vec<usize> = text.lines().filter_map(|l| l.chars().position(dots)).collect();
        assert!(starts.len() >= 5 && starts.windows(2).all(|w| w[0] >= w[1]), "{text}");
        assert!(text.contains("2022-01-08") && text.contains("2022-02-26"), "{text}");
    }

    #[test]
    fn every_text_gets_a_line_where_dates_come_twice() {
        let days = || Arc::new(Date32Array::from(vec![1, 1, 2, 2])) as ArrayRef;
        let text = || Arc::new(StringArray::from(vec!["seo", "ads", "seo", "ads"])) as ArrayRef;
        let n = || Arc::new(Int64Array::from(vec![1, 9, 2, 8])) as ArrayRef;
        let drawn_by = drawn(vec![("day", days()), ("channel", text()), ("n", n())], "");
        assert!(drawn_by.contains("n by day, seo\n"), "{drawn_by}");
        assert!(drawn_by.contains("n by day, ads\n"), "{drawn_by}");
        let each = Arc::new(Date32Array::from(vec![1, 2, 3, 4])) as ArrayRef;
        let alone = drawn(vec![("day", each), ("channel", text()), ("n", n())], "");
        assert!(alone.starts_with("n by day\n"), "{alone}");
    }

    #[test]
    fn a_chart_fits_a_narrow_terminal() {
        let days = Arc::new(Date32Array::from(vec![18_000, 19_000])) as ArrayRef;
        let text = Arc::new(StringArray::from(vec!["a long name of a channel", "ads"])) as ArrayRef;
        let n = Arc::new(Int64Array::from(vec![100, 9])) as ArrayRef;
        let batch = RecordBatch::try_from_iter(vec![("d", days), ("c", text), ("n", n)]);
        let batch = batch.expect("a batch");
        for said in ["line", "bar c n", "histogram n", "scatter n n"] {
            for width in [20, 24, 40] {
                let text = draw(&batch.schema(), std::slice::from_ref(&batch), said, width, 12);
                let text = text.expect("is drawn");
                assert!(
                    text.lines().all(|l| l.chars().count() <= width),
                    "{said} {width}:\n{text}"
                );
            }
        }
    }

    #[test]
    fn narrow_ranges_are_told_apart() {
        let values = Float64Array::from(
            (0..100).map(|i| 20_200.0 + f64::from(i) / 10.0).collect::<Vec<_>>(),
        );
        let text = drawn(vec![("n", Arc::new(values) as _)], "");
        assert!(text.contains("20202 … 20204"), "{text}");
    }

    #[test]
    fn a_histogram_counts_every_value_once() {
        let values = Float64Array::from((0..1000).map(|i| f64::from(i % 37)).collect::<Vec<_>>());
        let text = drawn(vec![("n", Arc::new(values) as _)], "");
        let counts = text.lines().filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok());
        assert_eq!(counts.sum::<u64>(), 1000, "{text}");
    }

    #[test]
    fn one_point_and_equal_points_can_be_drawn() {
        for said in ["line", "scatter", "histogram", "bar"] {
            for n in [1, 3] {
                let text = drawn(
                    vec![
                        ("d", Arc::new(Date32Array::from(vec![1; n])) as _),
                        ("a", Arc::new(Float64Array::from(vec![5.0; n])) as _),
                        ("b", Arc::new(Float64Array::from(vec![f64::MAX; n])) as _),
                    ],
                    said,
                );
                assert!(text.lines().count() > 1, "{said}: {text}");
            }
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1234.0, "1234"),
            (12_345.0, "12.3k"),
            (1_250_000.0, "1.25M"),
            (-3.0, "-3"),
            (0.004, "0.004"),
            (1e-9, "1.0e-9"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
