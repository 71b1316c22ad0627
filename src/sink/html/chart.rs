// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A result → a drawing. Lines and bars are SVG that stretches with the page; all text is HTML, so that it is as large on
//! a phone as anywhere.

use chrono::{Datelike, NaiveDate, Weekday};

use super::cell::{Cell, Column, Kind, scientific, shortened};
use super::escaped;

/// How many lines one drawing holds.
const LINES: usize = 6;
/// How many bars.
const BARS: usize = 40;
/// How many tiles.
const TILES: usize = 8;

/// Whether many rows may be a line, and so are worth keeping: their first three columns are all it needs.
pub(super) fn may_be_lines(columns: &[Column]) -> bool {
    let kinds: Vec<Kind> = columns.iter().map(|c| c.kind).collect();
    matches!(
        kinds.as_slice(),
        [Kind::Time | Kind::Text, Kind::Number, ..]
            | [Kind::Time | Kind::Text, Kind::Text, Kind::Number, ..]
    )
}

/// When, and how much where that is known.
type Point = (f64, Option<f64>);

/// The drawing that a result gets, if any.
pub(super) fn draw(columns: &[Column], rows: &[Vec<Cell>], title: &str) -> Option<String> {
    let kinds: Vec<Kind> = columns.iter().map(|c| c.kind).collect();
    match (kinds.as_slice(), rows) {
        (kinds, [row]) if kinds.len() <= TILES && kinds.contains(&Kind::Number) => {
            Some(tiles(columns, row))
        }
        (_, [] | [_]) => None,
        ([first, rest @ ..], _) => match (moments(*first, rows), rest) {
            (Some(moments), [Kind::Number, ..]) => lines(columns, rows, &moments, title, 1, None),
            (Some(moments), [Kind::Text, Kind::Number, ..]) => {
                lines(columns, rows, &moments, title, 2, Some(1))
            }
            (None, [Kind::Number, ..]) if *first == Kind::Text => bars(columns, rows, title),
            _ => None,
        },
        _ => None,
    }
}

/// Where each row stands in time, if the first column says so of all of them in one way.
fn moments(kind: Kind, rows: &[Vec<Cell>]) -> Option<Vec<f64>> {
    match kind {
        Kind::Time => rows.iter().map(|row| row[0].number).collect(),
        Kind::Text => {
            let unit = period(&rows.first()?[0].text)?.0;
            let moment = |row: &Vec<Cell>| period(&row[0].text).filter(|(u, _)| *u == unit);
            rows.iter().map(|row| moment(row).map(|(_, moment)| moment)).collect()
        }
        Kind::Number | Kind::Name => None,
    }
}

/// `2026-01`, `2026-01-31`, `2026-W05`, `2026-Q1`: the unit, and how many of them have passed.
fn period(text: &str) -> Option<(char, f64)> {
    let number = |digits: &str, length| {
        let plain = digits.len() <= length && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|_| plain)
    };
    let (year, rest) = text.split_once('-').filter(|(year, _)| year.len() == 4)?;
    // Others are names in digits, such as `1001-22`.
    let year = number(year, 4).filter(|year| (1900..2200).contains(year))?;
    let day = |date: NaiveDate| f64::from(date.num_days_from_ce());
    if let Some(week) = rest.strip_prefix('W') {
        let monday = NaiveDate::from_isoywd_opt(year as i32, number(week, 2)?, Weekday::Mon)?;
        return Some(('W', day(monday)));
    }
    if let Some(quarter) = rest.strip_prefix('Q') {
        let quarter = number(quarter, 1).filter(|q| (1..=4).contains(q))?;
        return Some(('Q', f64::from(year * 4 + quarter)));
    }
    match rest.split_once('-') {
        Some((month, of)) => {
            let date = NaiveDate::from_ymd_opt(year as i32, number(month, 2)?, number(of, 2)?)?;
            Some(('D', day(date)))
        }
        None => {
            let month = number(rest, 2).filter(|m| (1..=12).contains(m))?;
            Some(('M', f64::from(year * 12 + month)))
        }
    }
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

fn bars(columns: &[Column], rows: &[Vec<Cell>], title: &str) -> Option<String> {
    if rows.len() > BARS {
        return None;
    }
    let amounts: Vec<f64> = rows.iter().map(|row| row[1].number.unwrap_or(0.0)).collect();
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
            escaped(&row[1].text)
        ));
    }
    Some(html + &caption(columns, 1, title))
}

fn lines(
    columns: &[Column],
    rows: &[Vec<Cell>],
    moments: &[f64],
    title: &str,
    value: usize,
    group: Option<usize>,
) -> Option<String> {
    let mut series: Vec<(&str, Vec<Point>)> = vec![];
    for (row, at) in rows.iter().zip(moments) {
        let name = group.map_or("", |g| row[g].text.as_str());
        let place = match series.iter().position(|(n, _)| *n == name) {
            Some(place) => place,
            None if series.len() == LINES => return None,
            None => {
                series.push((name, vec![]));
                series.len() - 1
            }
        };
        series[place].1.push((*at, row[value].number));
    }
    for (_, points) in &mut series {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Two values at one time are no line.
        if points.windows(2).any(|two| two[0].0 == two[1].0) {
            return None;
        }
    }
    let amounts: Vec<f64> = rows.iter().filter_map(|row| row[value].number).collect();
    let (low, high) = reach(&amounts);
    let mut times: Vec<(f64, &str)> =
        moments.iter().zip(rows).map(|(at, row)| (*at, row[0].text.as_str())).collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    times.dedup_by_key(|(at, _)| *at);
    let [(first, _), .., (last, _)] = *times else { return None };
    if high - low <= 0.0 {
        return None;
    }
    let share = columns[value].is_share(high.max(-low));
    let step = nice((high - low) / 4.0);
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    // By the calendar, so that a month without rows is a gap.
    let x = |at: f64| (at - first) / (last - first) * 100.0;
    let y = |n: f64| (high - n) / (high - low) * 100.0;
    let mut svg = String::new();
    let mut ticks = String::new();
    let count = ((high - low) / step).round() as u32;
    for i in 0..=count {
        let at = low + f64::from(i) * step;
        let class = if at.abs() < step / 1e6 { "zero" } else { "grid" };
        svg.push_str(&format!("<path class=\"{class}\" d=\"M0 {0:.2}H100\"/>", y(at)));
        let at = if at.abs() < step / 1e6 { 0.0 } else { at };
        let text = if share { shortened(at * 100.0) + " %" } else { short(at) };
        ticks.push_str(&format!("<span style=\"top:{:.2}%\">{text}</span>", y(at)));
    }
    let floor = y(0.0_f64.clamp(low, high));
    for (i, (_, points)) in series.iter().enumerate() {
        // Where there is no value there is no line.
        for points in points.split(|(_, n)| n.is_none()) {
            let places = points.iter().filter_map(|(at, n)| Some((x(*at), y((*n)?)))).collect();
            match thinned(places).as_slice() {
                [] => {}
                [(x, y)] => {
                    svg.push_str(&format!("<path class=\"dot c{i}\" d=\"M{x:.2} {y:.2}h0\"/>"));
                }
                places => {
                    let path: Vec<String> =
                        places.iter().map(|(x, y)| format!("{x:.2} {y:.2}")).collect();
                    let path = path.join("L");
                    if group.is_none() {
                        let (from, to) = (places[0].0, places[places.len() - 1].0);
                        svg.push_str(&format!(
                            "<path class=\"area\" d=\"M{from:.2} {floor:.2}L{path}L{to:.2} {floor:.2}Z\"/>"
                        ));
                    }
                    svg.push_str(&format!("<path class=\"line c{i}\" d=\"M{path}\"/>"));
                }
            }
        }
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
    let months = times.iter().all(|(_, time)| time.len() == 10 && time.ends_with("-01"));
    let label = |time: &str| escaped(if months { &time[..7] } else { time });
    // The one nearest to the middle, if it leaves room for the ends.
    let middle = times[1..times.len() - 1]
        .iter()
        .map(|(at, time)| (x(*at), *time))
        .min_by(|a, b| (a.0 - 50.0).abs().total_cmp(&(b.0 - 50.0).abs()))
        .filter(|(x, _)| (35.0..=65.0).contains(x));
    let between = middle.map_or(String::new(), |(x, time)| {
        // On a phone there is no room for three moments.
        let class = if time.len() > 10 { "mid long" } else { "mid" };
        format!("<span class=\"{class}\" style=\"left:{x:.2}%\">{}</span>", label(time))
    });
    Some(format!(
        "<figure class=\"lines\">\n{legend}<div class=\"plot\"><div class=\"ticks\" aria-hidden=\"true\">{ticks}</div>\
         <svg viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">{svg}</svg></div>\n\
         <div class=\"times\"><div><span>{}</span>{between}<span>{}</span></div></div>\n{}",
        escaped(title),
        label(times[0].1),
        label(times[times.len() - 1].1),
        caption(columns, value, title)
    ))
}

/// At most four points of a thousandth of the width: the first, the lowest, the highest and the last look like all.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept = vec![];
    for near in points.chunk_by(|a, b| (a.0 * 10.0).floor() == (b.0 * 10.0).floor()) {
        let by_height = |a: &usize, b: &usize| near[*a].1.total_cmp(&near[*b].1);
        let low = (0..near.len()).min_by(by_height).unwrap_or_default();
        let high = (0..near.len()).max_by(by_height).unwrap_or_default();
        let mut some = [0, low, high, near.len() - 1].to_vec();
        some.sort_unstable();
        some.dedup();
        kept.extend(some.into_iter().map(|at| near[at]));
    }
    kept
}

/// What is drawn, from the columns it is drawn from, unless the title says it.
fn caption(columns: &[Column], value: usize, title: &str) -> String {
    let mut words =
        format!("{} by {}", columns[value].heading(), columns[0].heading().to_lowercase());
    if columns.iter().filter(|column| column.kind == Kind::Number).count() > 1 {
        words.push_str("; the other amounts are in the table");
    }
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
        n if n >= 1e15 => return scientific(number),
        n if n >= 1e12 => (1e12, "T"),
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
        assert_eq!(class(&[time("a"), number("b")], &two("1", "2")).as_deref(), Some("lines"));
        let grouped = [row(&["1", "x", "1"]), row(&["2", "y", "3"])];
        assert_eq!(class(&[time("a"), text("g"), number("b")], &grouped).as_deref(), Some("lines"));
        // Two values at one time, nothing to draw, numbers over numbers.
        assert_eq!(class(&[time("a"), number("b")], &two("1", "1")), None);
        assert_eq!(class(&[text("a"), number("b")], &[row(&["x", "0"]), row(&["y", "0"])]), None);
        assert_eq!(class(&[number("a"), number("b")], &two("1", "2")), None);
        assert_eq!(class(&[text("a"), number("b")], &[]), None);
        // A time that is not known, and two texts, which no bar's label would hold.
        assert_eq!(class(&[time("a"), number("b")], &two("", "1")), None);
        let both = [row(&["FR", "web", "1"]), row(&["FR", "store", "2"])];
        assert_eq!(class(&[text("a"), text("b"), number("c")], &both), None);
        // Names in digits are no months.
        for sku in ["1001-22", "2026-13", "2026-02-30", "2026-Q5", "2026-W60", "2026-+1"] {
            let drawn = class(&[text("a"), number("b")], &two(sku, "2026-01"));
            assert_eq!(drawn.as_deref(), Some("bars"), "{sku}");
        }
    }

    #[test]
    fn periods_stand_in_their_order() {
        let ordered = |texts: &[&str]| {
            texts.windows(2).all(|two| match (period(two[0]), period(two[1])) {
                (Some(a), Some(b)) => a.0 == b.0 && a.1 < b.1,
                _ => false,
            })
        };
        assert!(ordered(&["2025-12", "2026-1", "2026-2", "2026-10"]));
        assert!(ordered(&["2025-12-31", "2026-01-01", "2026-1-2"]));
        assert!(ordered(&["2025-W52", "2026-W01", "2026-W10"]));
        assert!(ordered(&["2025-Q4", "2026-Q1"]));
    }

    #[test]
    fn a_line_has_gaps_and_single_points_are_dots() {
        let columns = [column("d", Kind::Time), column("k", Kind::Text), column("v", Kind::Number)];
        let rows = [
            row(&["1", "a", "1"]),
            row(&["2", "a", "2"]),
            row(&["3", "a", ""]),
            row(&["4", "a", "4"]),
            row(&["4", "b", "5"]),
        ];
        let drawn = draw(&columns, &rows, "t").expect("a drawing");
        assert!(
            drawn.contains("<path class=\"line c0\" d=\"M0.00 83.33L33.33 66.67\"/>"),
            "{drawn}"
        );
        assert_eq!(drawn.matches("class=\"dot c0\"").count(), 1, "{drawn}");
        assert_eq!(drawn.matches("class=\"dot c1\"").count(), 1, "{drawn}");
    }

    #[test]
    fn what_is_drawn_is_said_as_the_table_says_it() {
        let columns =
            [column("d", Kind::Time), column("share", Kind::Number), column("n", Kind::Number)];
        let drawn =
            draw(&columns, &[row(&["1", "0.1", "7"]), row(&["2", "0.4", "8"])], "Share by d");
        let drawn = drawn.expect("a drawing");
        assert!(drawn.contains(">40 %</span>"), "{drawn}");
        assert!(drawn.contains("Share by d; the other amounts are in the table"), "{drawn}");
    }

    #[test]
    fn of_many_points_the_extremes_are_drawn() {
        let points =
            (0..100_000).map(|i| (f64::from(i) / 1000.0, if i == 777 { 0.0 } else { 50.0 }));
        let kept = thinned(points.collect());
        assert!(kept.len() <= 4_000 && kept.contains(&(0.777, 0.0)), "{}", kept.len());
        assert_eq!(thinned(vec![(0.0, 1.0), (50.0, 2.0), (100.0, 1.0)]).len(), 3);
    }

    #[test]
    fn steps_are_round() {
        for (step, expected) in [(0.7, 1.0), (1.0, 1.0), (1.2, 2.0), (23.0, 50.0), (600.0, 1000.0)]
        {
            assert!((nice(step) - expected).abs() < 1e-9, "{step}: {}", nice(step));
        }
        assert_eq!(short(1_250_000.0), "1.25M");
        assert_eq!(
            (short(4e15), short(2e12), short(3e-12)),
            ("4e15".into(), "2T".into(), "3e-12".into())
        );
    }
}
