// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! How diverse the sensitive values of a class are, and how far from those of the whole.
//!
//! Sources: l-diversity, Machanavajjhala et al. 2007; t-closeness, Li et al. 2007; β-likeness, Cao
//! and Karras 2012; δ-disclosure, Brickell and Shmatikov 2008.

use super::domain::Column;
use super::options::{Distance, Diversity, Options};
use super::problem::Sensitive;

/// What a comparison of doubles forgives: a third is not less than a third.
const TOLERANCE: f64 = 1e-12;

/// Memory that is used again and again.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) persons: Vec<u32>,
    pub(super) pairs: Vec<(u32, u32)>,
    pub(super) counts: Vec<(u32, u64)>,
}

/// Persons by the code of their value, ascending; no count is 0.
type Counts<'a> = &'a [(u32, u64)];

/// Whether a class is as diverse and as close as asked for.
pub(super) fn is_diverse(
    options: &Options,
    sensitive: &Sensitive,
    counts: Counts,
    total: u64,
) -> bool {
    let diverse = options.l.is_none_or(|l| match options.l_kind {
        Diversity::Distinct => counts.len() as f64 >= l,
        Diversity::Entropy => entropy(counts, total) >= l * (1.0 - TOLERANCE),
        Diversity::Recursive => recursive(counts, l as usize).is_some_and(|c| c < options.c),
    });
    let distance = || match options.t_distance {
        Distance::Equal => t_equal(counts, total, &sensitive.shares),
        Distance::Ordered => t_ordered(counts, total, &sensitive.shares),
        Distance::Hierarchical => {
            t_hierarchical(counts, total, &sensitive.shares, &sensitive.column)
        }
    };
    diverse && options.t.is_none_or(|t| distance() <= t + TOLERANCE)
}

/// The share of each value among the persons.
pub(super) fn shares(counts: Counts, total: u64, values: usize) -> Vec<f64> {
    let mut shares = vec![0.0; values];
    counts.iter().for_each(|(code, units)| shares[*code as usize] = *units as f64 / total as f64);
    shares
}

/// e to the Shannon entropy: the number of values that, equally frequent, would be as diverse.
pub(super) fn entropy(counts: Counts, total: u64) -> f64 {
    let mut sizes: Vec<u64> = counts.iter().map(|(_, units)| *units).collect();
    sizes.sort_unstable();
    let total = total as f64;
    let entropy: f64 = sizes
        .iter()
        .map(|size| {
            let share = *size as f64 / total;
            -share * share.ln()
        })
        .sum();
    entropy.exp()
}

/// The c below which a class is not recursively (c, l)-diverse: the most frequent value over the
/// values from the l-th on. `None` when there are fewer than l.
pub(super) fn recursive(counts: Counts, l: usize) -> Option<f64> {
    let mut sizes: Vec<u64> = counts.iter().map(|(_, units)| *units).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let rest: u64 = sizes.get(l.max(1) - 1..)?.iter().sum();
    (rest > 0).then(|| sizes[0] as f64 / rest as f64)
}

/// The share of each value in the class less that in the whole, in the order of the values.
fn differences<'a>(
    counts: Counts<'a>,
    total: u64,
    whole: &'a [f64],
) -> impl Iterator<Item = f64> + 'a {
    let mut counts = counts.iter().peekable();
    whole.iter().enumerate().map(move |(code, share)| {
        let own = counts.next_if(|(own, _)| *own as usize == code);
        own.map_or(0.0, |(_, units)| *units as f64 / total as f64) - share
    })
}

/// The earth mover's distance where any two values are equally far apart.
pub(super) fn t_equal(counts: Counts, total: u64, whole: &[f64]) -> f64 {
    differences(counts, total, whole).fold(0.0, |sum, d| sum + d.abs()) * 0.5
}

/// The earth mover's distance over the places of the values in their order.
pub(super) fn t_ordered(counts: Counts, total: u64, whole: &[f64]) -> f64 {
    let values = whole.iter().filter(|share| **share > 0.0).count();
    if values < 2 {
        return 0.0;
    }
    let (mut moved, mut sum) = (0.0_f64, 0.0);
    for (difference, share) in differences(counts, total, whole).zip(whole) {
        // A value that nobody has is not a step on the way.
        if *share > 0.0 {
            moved += difference;
            sum += moved.abs();
        }
    }
    1.0 / (values - 1) as f64 * sum
}

/// The earth mover's distance in a tree: two values are as far apart as the level is high on which
/// they become one.
pub(super) fn t_hierarchical(counts: Counts, total: u64, whole: &[f64], column: &Column) -> f64 {
    let height = column.levels.len() - 1;
    let mut extras: Vec<f64> = differences(counts, total, whole).collect();
    let mut cost = 0.0;
    for (level, pair) in column.levels.windows(2).enumerate() {
        let mut above = vec![(0.0_f64, 0.0_f64); pair[1].labels.len()];
        for (low, high) in pair[0].up.iter().enumerate() {
            let (gain, lack) = &mut above[*high as usize];
            if extras[low] > 0.0 { *gain += extras[low] } else { *lack -= extras[low] }
        }
        let moved: f64 = above.iter().map(|(gain, lack)| gain.min(*lack)).sum();
        cost += (level + 1) as f64 / height as f64 * moved;
        extras = above.iter().map(|(gain, lack)| gain - lack).collect();
    }
    cost
}

/// The greatest relative gain of a value in the class.
pub(super) fn beta(counts: Counts, total: u64, whole: &[f64]) -> f64 {
    let gain = |(difference, share): (f64, &f64)| difference / share;
    let shares = differences(counts, total, whole).zip(whole).filter(|(_, share)| **share > 0.0);
    shares.map(gain).fold(0.0, f64::max)
}

/// The greatest log of the share of a value in the class over that in the whole, either way.
pub(super) fn delta(counts: Counts, total: u64, whole: &[f64]) -> f64 {
    let ratio = |(code, units): &(u32, u64)| {
        (*units as f64 / total as f64 / whole[*code as usize]).ln().abs()
    };
    counts.iter().map(ratio).fold(0.0, f64::max)
}
