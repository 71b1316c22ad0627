// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Bars, one a category, and histograms, one a range of values.

use unicode_width::UnicodeWidthStr;

use super::short;
use crate::repl::fit::{on_one_line, shortened};

/// How wide a label may be.
const LABELS: usize = 28;

/// Eighths of a character, from one to seven.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// One bar a row, in the order of the rows; what does not fit is said.
pub(super) fn bars(
    title: &str,
    labels: &[String],
    values: &[Option<f64>],
    shown: &[String],
    width: usize,
    height: usize,
) -> String {
    let most = height.saturating_sub(2).max(5).min(labels.len());
    let labels: Vec<String> =
        labels[..most].iter().map(|l| shortened(&on_one_line(l), LABELS.min(width / 3))).collect();
    let (all, values, shown) = (values.len(), &values[..most], &shown[..most]);
    let label = labels.iter().map(|l| l.width()).max().unwrap_or(0);
    let number = shown.iter().map(|s| s.width()).max().unwrap_or(0);
    let room = width.saturating_sub(label + number + 3).max(1);
    let low = values.iter().flatten().copied().fold(0.0, f64::min);
    let high = values.iter().flatten().copied().fold(0.0, f64::max);
    let mut text = format!("{}\n", shortened(&on_one_line(title), width));
    for ((name, value), shown) in labels.iter().zip(values).zip(shown) {
        let bar = bar(value.unwrap_or(0.0), low, high, room);
        let pad = " ".repeat(label - name.width());
        let end = " ".repeat(room - bar.chars().count());
        text.push_str(&format!("{name}{pad} {bar}{end} {shown:>number$}\n"));
    }
    if most < all {
        text.push_str(&format!(
            "the first {most} of {all} rows are drawn; ORDER BY and LIMIT choose others\n"
        ));
    }
    text
}

/// A bar from zero to a value, where the room goes from the lowest to the highest.
fn bar(value: f64, low: f64, high: f64, room: usize) -> String {
    // Halved, because the distance between two extreme numbers may be no number.
    let span = high / 2.0 - low / 2.0;
    if span <= 0.0 {
        return String::new();
    }
    let eighths = |v: f64| (v / 2.0 / span * room as f64 * 8.0).round() as usize;
    // Both sides together are never longer than the room.
    let zero = (eighths(-low) / 8).min(room);
    if value < 0.0 {
        let length = (eighths(-value) / 8).clamp(1, zero.max(1));
        return format!("{}{}", " ".repeat(zero.saturating_sub(length)), "█".repeat(length));
    }
    let length = eighths(value).min((room - zero) * 8);
    let mut bar = format!("{}{}", " ".repeat(zero), "█".repeat(length / 8));
    match (length % 8).checked_sub(1) {
        Some(rest) => bar.push(EIGHTHS[rest]),
        // A number that is not zero is seen.
        None if length == 0 && value > 0.0 && zero < room => bar.push(EIGHTHS[0]),
        None => {}
    }
    bar
}

/// One bar a range; ranges have round ends and hold their lower one.
pub(super) fn histogram(
    name: &str,
    values: &[Option<f64>],
    whole: bool,
    width: usize,
    height: usize,
) -> String {
    let mut sorted: Vec<f64> = values.iter().flatten().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let left_out = values.len() - sorted.len();
    let [low, .., high] = sorted.as_slice() else {
        let text = match sorted.as_slice() {
            [one] => format!("{name}\n{} 1\n", short(*one)),
            _ => format!("{name}\nnothing to draw: every row is NULL or not finite\n"),
        };
        return text;
    };
    let (start, step, count) = ranges(*low, *high, sorted.len(), whole, height);
    let mut counts = vec![0_u64; count];
    for value in &sorted {
        // 0.6 / 0.2 is a little less than 3.
        let range = ((value - start) / step + 1e-9).floor().max(0.0) as usize;
        counts[range.min(count - 1)] += 1;
    }
    let at = |i: usize| start + step * i as f64;
    // Short numbers may look the same where the ranges are narrow.
    let is_narrow = (0..count).any(|i| short(at(i)) == short(at(i + 1)));
    let digits = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    let edge = |i: usize| if is_narrow { format!("{:.digits$}", at(i)) } else { short(at(i)) };
    let labels: Vec<String> = (0..count)
        .map(|i| {
            if whole && step == 1.0 { edge(i) } else { format!("{} … {}", edge(i), edge(i + 1)) }
        })
        .collect();
    let numbers: Vec<Option<f64>> = counts.iter().map(|c| Some(*c as f64)).collect();
    let shown: Vec<String> = counts.iter().map(u64::to_string).collect();
    let title = format!("{name}: how many of {} rows", sorted.len());
    let mut text = bars(&title, &labels, &numbers, &shown, width, count + 2);
    if left_out > 0 {
        let rows = if left_out == 1 { "row is" } else { "rows are" };
        text.push_str(&format!("{left_out} {rows} NULL or not finite, and left out\n"));
    }
    text
}

/// Where ranges begin, how wide they are, and how many: near the square root of the number of rows, with ends at
/// 1, 2 or 5 times a power of ten.
fn ranges(low: f64, high: f64, rows: usize, whole: bool, height: usize) -> (f64, f64, usize) {
    let most = height.saturating_sub(3).clamp(5, 40);
    let wanted = (rows as f64).sqrt().ceil().clamp(5.0, most as f64);
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return (low, if whole { 1.0 } else { span.max(f64::MIN_POSITIVE) }, 1);
    }
    let rough = span / wanted;
    let power = 10_f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough);
    let mut step = round.unwrap_or(rough);
    if whole {
        step = step.max(1.0);
    }
    let start = (low / step).floor() * step;
    let count = ((high - start) / step).floor() as usize + 1;
    (start, step, count.clamp(1, most * 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_round_and_hold_everything() {
        assert_eq!(ranges(1.0, 5.0, 1000, true, 24), (1.0, 1.0, 5));
        let (start, step, count) = ranges(0.03, 9.7, 400, false, 24);
        assert_eq!((start, step), (0.0, 0.5));
        assert!(start + step * count as f64 > 9.7);
        assert_eq!(ranges(3.0, 3.0, 10, true, 24).2, 1);
    }

    #[test]
    fn an_edge_belongs_to_the_range_that_begins_with_it() {
        let tenths: Vec<Option<f64>> = (1..=10).map(|i| Some(f64::from(i) / 10.0)).collect();
        let text = histogram("price", &tenths, false, 60, 24);
        let counts: Vec<&str> =
            text.lines().skip(1).filter_map(|l| l.split_whitespace().last()).collect();
        assert_eq!(counts, ["1", "2", "2", "2", "2", "1"], "{text}");
    }

    #[test]
    fn a_bar_never_leaves_its_room() {
        for (value, low, high) in [
            (5.0, 0.0, 5.0),
            (-5.0, -5.0, 0.0),
            (1e-9, 0.0, 1.0),
            (f64::MAX, 0.0, f64::MAX),
            (3.0, -7.0, 3.0),
        ] {
            let bar = bar(value, low, high, 20);
            let length = bar.chars().count();
            assert!((1..=20).contains(&length), "{value}: `{bar}`");
        }
        assert_eq!(bar(0.0, 0.0, 0.0, 20), "");
    }
}
