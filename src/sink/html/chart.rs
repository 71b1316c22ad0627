// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A result → a drawing. Lines and bars are SVG that stretches with the page; all text is HTML, so that it is as large on
//! a phone as anywhere.

use super::cell::{Cell, Column, Kind, shortened};
use super::escaped;

/// How many lines one drawing holds.
const LINES: usize = 6;
/// How many bars.
const BARS: usize = 40;
/// How many tiles.
const TILES: usize = 8;

/// The drawing that a result gets, if any.
pub(super) fn draw(columns: &[Column], rows: &[Vec<Cell>], title: &str) -> Option<String> {
    let kinds: Vec<Kind> = columns.iter().map(|c| c.kind).collect();
    match (kinds.as_slice(), rows) {
        (kinds, [row]) if kinds.len() <= TILES && kinds.contains(&Kind::Number) => {
            Some(tiles(columns, row))
        }
        (_, [] | [_]) => None,
        ([first, rest @ ..], _) if is_time(*first, rows) => match rest {
            [Kind::Number, ..] => lines(columns, rows, title, 1, None),
            [Kind::Text, Kind::Number, ..] => lines(columns, rows, title, 2, Some(1)),
            _ => None,
        },
        ([Kind::Text, ..], _) => {
            let value = kinds.iter().position(|k| *k == Kind::Number)?;
            bars(columns, rows, title, value)
        }
        _ => None,
    }
}

fn is_time(kind: Kind, rows: &[Vec<Cell>]) -> bool {
    // `2026-01`, `2026-01-31`, `2026-W05`, `2026-Q1`
    let looks = |text: &str| {
        let mut parts = text.splitn(2, '-');
        let year =
            parts.next().is_some_and(|y| y.len() == 4 && y.bytes().all(|b| b.is_ascii_digit()));
        year && parts.next().is_some_and(|rest| {
            !rest.is_empty()
                && rest.len() <= 5
                && rest.bytes().all(|b| b.is_ascii_digit() || b"-WQ".contains(&b))
        })
    };
    kind == Kind::Time || (kind == Kind::Text && rows.iter().all(|row| looks(&row[0].text)))
}

fn tiles(columns: &[Column], row: &[Cell]) -> String {
    let mut html = String::from("<dl class=\"tiles\">\n");
    for (column, cell) in columns.iter().zip(row) {
        let text = if cell.text.is_empty() { "–" } else { &cell.text };
        html.push_str(&format!(
            "<div><dt>{}</dt><dd{}>{}</dd></div>\n",
            escaped(&column.heading()),
            if text.chars().count() > 12 { " class=\"long\"" } else { "" },
            escaped(text)
        ));
    }
    html + "</dl>\n"
}

fn bars(columns: &[Column], rows: &[Vec<Cell>], title: &str, value: usize) -> Option<String> {
    if rows.len() > BARS {
        return None;
    }
    let amounts: Vec<f64> = rows.iter().map(|row| row[value].number.unwrap_or(0.0)).collect();
    let (low, high) = reach(&amounts);
    if high - low <= 0.0 {
        return None;
    }
    let place = |amount: f64| (amount - low) / (high - low) * 100.0;
    let zero = place(0.0);
    let mut html = format!("<figure class=\"bars\" aria-label=\"{}\">\n", escaped(title));
    for (row, amount) in rows.iter().zip(&amounts) {
        let end = place(*amount);
        let (from, width) = if end < zero { (end, zero - end) } else { (zero, end - zero) };
        let class = if *amount < 0.0 { "bar less" } else { "bar" };
        let label = if row[0].text.is_empty() { "–" } else { &row[0].text };
        html.push_str(&format!(
            "<div class=\"row\"><span class=\"label\" title=\"{0}\">{0}</span>\
             <svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <rect class=\"rail\" width=\"100\" height=\"10\"/>\
             <rect class=\"{class}\" x=\"{from:.2}\" width=\"{width:.2}\" height=\"10\"/></svg>\
             <span class=\"value\">{1}</span></div>\n",
            escaped(label),
            escaped(&row[value].text)
        ));
    }
    Some(html + &caption(&columns[value], &columns[0], title))
}

fn lines(
    columns: &[Column],
    rows: &[Vec<Cell>],
    title: &str,
    value: usize,
    group: Option<usize>,
) -> Option<String> {
    let mut times: Vec<&str> = rows.iter().map(|row| row[0].text.as_str()).collect();
    times.sort_unstable();
    times.dedup();
    let mut series: Vec<(&str, Vec<(usize, f64)>)> = vec![];
    for row in rows {
        let name = group.map_or("", |g| row[g].text.as_str());
        let at = times.binary_search(&row[0].text.as_str()).ok()?;
        let place = match series.iter().position(|(n, _)| *n == name) {
            Some(place) => place,
            None if series.len() == LINES => return None,
            None => {
                series.push((name, vec![]));
                series.len() - 1
            }
        };
        let points = &mut series[place].1;
        // Two values at one time are no line.
        if points.iter().any(|(other, _)| *other == at) {
            return None;
        }
        if let Some(number) = row[value].number {
            points.push((at, number));
        }
    }
    let amounts: Vec<f64> = series.iter().flat_map(|(_, p)| p.iter().map(|(_, n)| *n)).collect();
    let (low, high) = reach(&amounts);
    if times.len() < 2 || high - low <= 0.0 {
        return None;
    }
    let step = nice((high - low) / 4.0);
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    // By the calendar, so that a month without rows is a gap; texts stand side by side.
    let moments: Option<Vec<f64>> = times
        .iter()
        .map(|time| rows.iter().find(|row| row[0].text == *time)?[0].number)
        .collect::<Option<Vec<f64>>>()
        .filter(|m| columns[0].kind == Kind::Time && m.is_sorted() && m.first() < m.last());
    let x = |at: usize| match &moments {
        Some(m) => (m[at] - m[0]) / (m[m.len() - 1] - m[0]) * 100.0,
        None => at as f64 / (times.len() - 1) as f64 * 100.0,
    };
    let y = |n: f64| (high - n) / (high - low) * 100.0;
    let mut svg = String::new();
    let mut ticks = String::new();
    let count = ((high - low) / step).round() as u32;
    for i in 0..=count {
        let at = low + f64::from(i) * step;
        let class = if at.abs() < step / 1e6 { "zero" } else { "grid" };
        svg.push_str(&format!("<path class=\"{class}\" d=\"M0 {0:.2}H100\"/>", y(at)));
        let at = if at.abs() < step / 1e6 { 0.0 } else { at };
        ticks.push_str(&format!("<span style=\"top:{:.2}%\">{}</span>", y(at), short(at)));
    }
    for (i, (_, points)) in series.iter_mut().enumerate() {
        points.sort_by_key(|(at, _)| *at);
        let path: Vec<String> =
            points.iter().map(|(at, n)| format!("{:.2} {:.2}", x(*at), y(*n))).collect();
        let [first, .., last] = points.as_slice() else { continue };
        if group.is_none() {
            svg.push_str(&format!(
                "<path class=\"area\" d=\"M{:.2} {:.2}L{}L{:.2} {:.2}Z\"/>",
                x(first.0),
                y(0.0_f64.clamp(low, high)),
                path.join("L"),
                x(last.0),
                y(0.0_f64.clamp(low, high))
            ));
        }
        svg.push_str(&format!("<path class=\"line c{i}\" d=\"M{}\"/>", path.join("L")));
    }
    let mut legend = String::new();
    if group.is_some() {
        for (i, (name, _)) in series.iter().enumerate() {
            let name = if name.is_empty() { "–" } else { name };
            legend.push_str(&format!("<span><i class=\"c{i}\"></i>{}</span>", escaped(name)));
        }
        legend = format!("<div class=\"legend\">{legend}</div>\n");
    }
    // First days of months stand for the months.
    let months = times.iter().all(|time| time.len() == 10 && time.ends_with("-01"));
    let labels: Vec<&str> = times.iter().map(|t| if months { &t[..7] } else { *t }).collect();
    // The one nearest to the middle, if it leaves room for the ends.
    let middle = (1..labels.len() - 1)
        .min_by(|a, b| (x(*a) - 50.0).abs().total_cmp(&(x(*b) - 50.0).abs()))
        .filter(|at| (35.0..=65.0).contains(&x(*at)));
    let between = middle.map_or(String::new(), |at| {
        format!("<span class=\"mid\" style=\"left:{:.2}%\">{}</span>", x(at), escaped(labels[at]))
    });
    Some(format!(
        "<figure class=\"lines\">\n{legend}<div class=\"plot\"><div class=\"ticks\" aria-hidden=\"true\">{ticks}</div>\
         <svg viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">{svg}</svg></div>\n\
         <div class=\"times\"><div><span>{}</span>{between}<span>{}</span></div></div>\n{}",
        escaped(title),
        escaped(labels[0]),
        escaped(labels[labels.len() - 1]),
        caption(&columns[value], &columns[0], title)
    ))
}

/// What is drawn, from the columns it is drawn from, unless the title says it.
fn caption(value: &Column, over: &Column, title: &str) -> String {
    let words = format!("{} by {}", value.heading(), over.heading().to_lowercase());
    match words.eq_ignore_ascii_case(title) {
        true => "</figure>\n".into(),
        false => format!("<figcaption>{}</figcaption></figure>\n", escaped(&words)),
    }
}

/// From nothing to the largest, or from the smallest where it is less than nothing.
fn reach(amounts: &[f64]) -> (f64, f64) {
    amounts.iter().fold((0.0_f64, 0.0_f64), |(low, high), n| (low.min(*n), high.max(*n)))
}

/// 1, 2 or 5 times a power of ten, and no less than a step.
fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|t| t * power >= step * 0.999);
    times.unwrap_or(10.0) * power
}

/// `12k`, `3.5M`: for an axis.
fn short(number: f64) -> String {
    let (scale, unit) = match number.abs() {
        n if n >= 1e9 => (1e9, "B"),
        n if n >= 1e6 => (1e6, "M"),
        n if n >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    shortened(number / scale) + unit
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn column(name: &str, kind: Kind) -> Column {
        let data_type = match kind {
            Kind::Number => DataType::Float64,
            Kind::Time => DataType::Date32,
            Kind::Text | Kind::Name => DataType::Utf8,
        };
        Column::of(&Field::new(name, data_type, true))
    }

    fn row(texts: &[&str]) -> Vec<Cell> {
        texts.iter().map(|t| Cell { text: t.to_string(), number: t.parse().ok() }).collect()
    }

    #[test]
    fn the_columns_decide_what_is_drawn() {
        let (text, number, time) = (
            |n: &str| column(n, Kind::Text),
            |n: &str| column(n, Kind::Number),
            |n: &str| column(n, Kind::Time),
        );
        let class = |columns: &[Column], rows: &[Vec<Cell>]| {
            let drawn = draw(columns, rows, "t")?;
            drawn.split("class=\"").nth(1)?.split('"').next().map(str::to_string)
        };
        let two = |a: &str, b: &str| vec![row(&[a, "1"]), row(&[b, "2"])];
        assert_eq!(
            class(&[number("a"), number("b")], &[row(&["1", "2"])]).as_deref(),
            Some("tiles")
        );
        assert_eq!(class(&[text("a"), number("b")], &two("x", "y")).as_deref(), Some("bars"));
        assert_eq!(
            class(&[text("a"), number("b")], &two("2026-01", "2026-02")).as_deref(),
            Some("lines")
        );
        assert_eq!(class(&[time("a"), number("b")], &two("x", "y")).as_deref(), Some("lines"));
        let grouped = [row(&["2026-01", "x", "1"]), row(&["2026-02", "y", "3"])];
        assert_eq!(class(&[time("a"), text("g"), number("b")], &grouped).as_deref(), Some("lines"));
        // Two values at one time, nothing to draw, numbers over numbers.
        assert_eq!(class(&[time("a"), number("b")], &two("x", "x")), None);
        assert_eq!(class(&[text("a"), number("b")], &[row(&["x", "0"]), row(&["y", "0"])]), None);
        assert_eq!(class(&[number("a"), number("b")], &two("1", "2")), None);
        assert_eq!(class(&[text("a"), number("b")], &[]), None);
    }

    #[test]
    fn steps_are_round() {
        for (step, expected) in [(0.7, 1.0), (1.0, 1.0), (1.2, 2.0), (23.0, 50.0), (600.0, 1000.0)]
        {
            assert!((nice(step) - expected).abs() < 1e-9, "{step}: {}", nice(step));
        }
        assert_eq!(short(1_250_000.0), "1.25M");
    }
}
