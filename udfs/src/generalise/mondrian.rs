// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Mondrian multidimensional k-anonymity (LeFevre, DeWitt and Ramakrishnan 2006), the strict kind:
//! a box is cut in two at a value of one column, never through it.
//!
//! The box is cut in the column in which it is widest, at the value nearest to the median of its
//! rows at which both halves may be published; where there is none, in the next widest column. A box
//! that cannot be cut is a class. Ties go to the earlier column and the smaller first half, so that
//! the boxes depend on the rows alone. Needs O(n log² n) time for n combinations of values.

use std::collections::HashMap;
use std::sync::Arc;

use super::diversity::Scratch;
use super::domain::{Column, Label, STAR};
use super::problem::{Member, Problem};
use super::solution::Published;

/// How many places are tried in a column when the sensitive values have a say.
const TRIES: usize = 16;

/// The boxes as published columns, or `None` when the whole may not be published.
pub(super) fn search(problem: &Problem) -> Option<Vec<Published>> {
    let mut cutter = Cutter { problem, scratch: Scratch::default(), members: vec![] };
    let mut all: Vec<u32> = (0..problem.len() as u32).collect();
    if all.is_empty() || !cutter.accepts(&all) {
        return all.is_empty().then(|| publish(problem, &[]));
    }
    let mut boxes: Vec<Vec<u32>> = vec![];
    let mut open = vec![std::mem::take(&mut all)];
    while let Some(mut items) = open.pop() {
        match cutter.cut(&mut items) {
            Some(at) => {
                let right = items.split_off(at);
                open.push(right);
                open.push(items);
            }
            None => boxes.push(items),
        }
    }
    Some(publish(problem, &boxes))
}

struct Cutter<'a> {
    problem: &'a Problem,
    scratch: Scratch,
    members: Vec<Member>,
}

impl Cutter<'_> {
    /// Sorts a box by a column and says where to cut it.
    fn cut(&mut self, items: &mut [u32]) -> Option<usize> {
        let columns = &self.problem.columns;
        let mut widths: Vec<(f64, usize)> = (0..columns.len())
            .map(|column| (width(self.problem, column, items), column))
            .filter(|(width, _)| *width > 0.0)
            .collect();
        widths.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, column) in widths {
            if let Some(at) = self.cut_column(column, items) {
                return Some(at);
            }
        }
        None
    }

    fn cut_column(&mut self, column: usize, items: &mut [u32]) -> Option<usize> {
        let problem = self.problem;
        let place = |item: u32| {
            problem.columns[column].places[problem.values(item as usize)[column] as usize]
        };
        items.sort_unstable_by_key(|item| (place(*item), *item));
        // Nobody is counted in both halves unless they have rows in both: a bound, which decides
        // alone when nobody is listed.
        let (mut rows, mut bound) = (0_u64, 0_u64);
        let mut candidates: Vec<(usize, u64, u64)> = vec![];
        for (index, item) in items.iter().enumerate() {
            if index > 0 && place(items[index - 1]) != place(*item) {
                candidates.push((index, rows, bound));
            }
            for record in problem.records_of(*item as usize) {
                rows += record.rows;
                let Member { units, start, end, .. } = record.member;
                bound += units + (end - start) as u64;
            }
        }
        let k = problem.options.k;
        candidates.retain(|(_, _, left)| *left >= k && bound - left >= k);
        candidates.sort_by_key(|(index, left, _)| ((2 * left).abs_diff(rows), *index));
        if problem.persons.is_empty() && !problem.is_judged() {
            return candidates.first().map(|(index, _, _)| *index);
        }
        candidates.iter().take(TRIES).map(|(index, _, _)| *index).find(|index| {
            let (left, right) = items.split_at(*index);
            self.accepts(left) && self.accepts(right)
        })
    }

    fn accepts(&mut self, items: &[u32]) -> bool {
        self.members.clear();
        for item in items {
            let records = self.problem.records_of(*item as usize);
            self.members.extend(records.iter().map(|record| record.member));
        }
        self.problem.accepts(&self.members, &self.problem.persons, &mut self.scratch)
    }
}

/// How wide a box is in a column, from 0 for one value to 1 for the whole; NULL beside other values
/// is as wide as can be, because only a star covers both.
fn width(problem: &Problem, index: usize, items: &[u32]) -> f64 {
    let column = &problem.columns[index];
    let codes = items.iter().map(|item| problem.values(*item as usize)[index]);
    let (mut low, mut high) = (u32::MAX, 0);
    for code in codes {
        let place = column.places[code as usize];
        (low, high) = (low.min(place), high.max(place));
    }
    if low >= high {
        return 0.0;
    }
    if low == 0 && column.has_null() {
        return 1.0;
    }
    match &column.numbers {
        Some(numbers) => share_of_range(column, numbers, low as usize, high as usize),
        None => f64::from(high - low) / (column.len() - 1 - usize::from(column.has_null())) as f64,
    }
}

fn share_of_range(column: &Column, numbers: &[f64], low: usize, high: usize) -> f64 {
    let first = usize::from(column.has_null());
    let whole = numbers[numbers.len() - 1] - numbers[first];
    let share = (numbers[high] - numbers[low]) / whole;
    if share.is_finite() { share } else { 1.0 }
}

/// The label of each box in each column.
fn publish(problem: &Problem, boxes: &[Vec<u32>]) -> Vec<Published> {
    (0..problem.columns.len())
        .map(|index| {
            let column = &problem.columns[index];
            let mut published =
                Published { labels: vec![], shares: vec![], index: vec![0; problem.len()] };
            let mut known: HashMap<Label, u32> = HashMap::new();
            for items in boxes {
                let mut codes: Vec<u32> =
                    items.iter().map(|item| problem.values(*item as usize)[index]).collect();
                codes.sort_unstable();
                codes.dedup();
                let (label, share) = label(column, &codes);
                let code = *known.entry(label.clone()).or_insert_with(|| {
                    published.labels.push(label);
                    published.shares.push(share);
                    published.labels.len() as u32 - 1
                });
                items.iter().for_each(|item| published.index[*item as usize] = code);
            }
            published
        })
        .collect()
}

/// What a box of these values is called, and which share of all values it covers.
fn label(column: &Column, codes: &[u32]) -> (Label, f64) {
    let text = |code: u32| column.texts[code as usize].as_deref().unwrap_or_default();
    match codes {
        [] => (None, 0.0),
        [one] => (column.texts[*one as usize].clone(), 0.0),
        [0, ..] if column.has_null() => (Some(STAR.into()), 1.0),
        [low, .., high] if column.numbers.is_some() => {
            let numbers = column.numbers.as_deref().unwrap_or_default();
            let share = share_of_range(column, numbers, *low as usize, *high as usize);
            (Some(format!("[{},{}]", text(*low), text(*high)).into()), share)
        }
        several => {
            let values = column.len() - usize::from(column.has_null());
            let share = several.len() as f64 / values as f64;
            let label: Arc<str> = match several.len() == values {
                true => STAR.into(),
                false => {
                    let texts: Vec<&str> = several.iter().map(|code| text(*code)).collect();
                    format!("{{{}}}", texts.join(", ")).into()
                }
            };
            (Some(label), share)
        }
    }
}
