// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Lines over time and clouds of points, with two axes.

use super::canvas::Canvas;
use super::short;
use crate::repl::fit::{on_one_line, shortened};

/// The points to draw, and how many rows had a NULL, or a number that is not finite, in one of the columns.
pub(super) struct Points {
    pub(super) points: Vec<(f64, f64)>,
    pub(super) left_out: usize,
}

/// How wide the labels of the vertical axis may be.
const LABELS: usize = 8;

/// A line from date to date.
pub(super) fn line(title: &str, points: &Points, width: usize, height: usize) -> String {
    let mut sorted = points.points.clone();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let draw = |canvas: &mut Canvas, at: &dyn Fn((f64, f64)) -> (f64, f64)| {
        for pair in sorted.windows(2) {
            canvas.line(at(pair[0]), at(pair[1]));
        }
        if let [only] = sorted.as_slice() {
            canvas.point(at(*only));
        }
    };
    frame(title, &sorted, points.left_out, width, height, moment, &draw)
}

/// One dot a row.
pub(super) fn scatter(names: (&str, &str), points: &Points, width: usize, height: usize) -> String {
    let draw = |canvas: &mut Canvas, at: &dyn Fn((f64, f64)) -> (f64, f64)| {
        for point in &points.points {
            canvas.point(at(*point));
        }
    };
    let title = format!("{} (up) by {} (across)", names.1, names.0);
    frame(&title, &points.points, points.left_out, width, height, |x, _| short(x), &draw)
}

type Draw<'a> = dyn Fn(&mut Canvas, &dyn Fn((f64, f64)) -> (f64, f64)) + 'a;

fn frame(
    title: &str,
    points: &[(f64, f64)],
    left_out: usize,
    width: usize,
    height: usize,
    label_x: fn(f64, f64) -> String,
    draw: &Draw<'_>,
) -> String {
    let mut text = format!("{}\n", shortened(&on_one_line(title), width));
    if points.is_empty() {
        text.push_str("nothing to draw: every row has a NULL or a number that is not finite\n");
        return text;
    }
    let (x0, x1) = range(points.iter().map(|p| p.0));
    let (y0, y1) = range(points.iter().map(|p| p.1));
    // Halved first, because the distance between two extreme numbers may be no number.
    let part = |v: f64, from: f64, to: f64| match to / 2.0 - from / 2.0 {
        0.0 => 0.5,
        half => (v / 2.0 - from / 2.0) / half,
    };
    let rows = height.saturating_sub(4).max(3);
    let mut canvas = Canvas::new(width.saturating_sub(LABELS + 3).max(8), rows);
    draw(&mut canvas, &|(x, y)| (part(x, x0, x1), part(y, y0, y1)));
    for (i, line) in canvas.lines().enumerate() {
        let label = match i {
            0 => short(y1),
            i if i == rows - 1 => short(y0),
            i if i == rows / 2 => {
                short(y1 - (y1 / 2.0 - y0 / 2.0) * 2.0 * i as f64 / (rows - 1) as f64)
            }
            _ => String::new(),
        };
        let tick = if label.is_empty() { '│' } else { '┤' };
        text.push_str(format!("{label:>LABELS$} {tick}{line}").trim_end());
        text.push('\n');
    }
    let across = width.saturating_sub(LABELS + 3).max(8);
    let (first, last) = (label_x(x0, x1 - x0), label_x(x1, x1 - x0));
    let gap = across.saturating_sub(first.chars().count() + last.chars().count());
    text.push_str(&format!("{:>LABELS$} └{}\n", "", "─".repeat(across)));
    match gap {
        0 => {
            text.push_str(&format!("{:>LABELS$}  {first}\n{:>LABELS$}  {last:>across$}\n", "", ""))
        }
        gap => text.push_str(&format!("{:>LABELS$}  {first}{:gap$}{last}\n", "", "")),
    }
    if left_out > 0 {
        let rows = if left_out == 1 { "row has" } else { "rows have" };
        text.push_str(&format!(
            "{left_out} {rows} a NULL or a number that is not finite: left out\n"
        ));
    }
    text
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

/// Milliseconds as a date; with the time of day when the whole axis is a few days.
fn moment(milliseconds: f64, span: f64) -> String {
    const DAY: f64 = 86_400_000.0;
    match chrono::DateTime::from_timestamp_millis(milliseconds as i64) {
        Some(time) if span < 4.0 * DAY && milliseconds % DAY != 0.0 => {
            time.format("%Y-%m-%d %H:%M").to_string()
        }
        Some(time) => time.format("%Y-%m-%d").to_string(),
        None => short(milliseconds),
    }
}
