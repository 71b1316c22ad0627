// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What is published: the labels of each combination of values, and the classes that they make.

use std::collections::HashMap;

use datafusion_common::{Result, exec_err};

use super::diversity::{self, Scratch};
use super::domain::{Label, STAR};
use super::lattice::{self, Seen, allowed};
use super::mondrian;
use super::options::{Diversity, Method, Options};
use super::problem::{Member, Problem};

/// The class of what is not published, or is published with stars.
pub(super) const SUPPRESSED: u32 = u32::MAX;

/// A published column.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) labels: Vec<Label>,
    /// The share of the column's values that each label covers, 0 for a single one.
    pub(super) shares: Vec<f64>,
    /// The label of each combination.
    pub(super) index: Vec<u32>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Solution {
    pub(super) columns: Vec<Published>,
    /// The class of each combination.
    pub(super) class_of: Vec<u32>,
    /// The combinations of each class.
    pub(super) classes: Vec<Vec<u32>>,
    /// The level of each column, where there is one for all rows.
    pub(super) levels: Option<Vec<usize>>,
}

/// Solves a problem, or says why it cannot be.
pub(super) fn solve(problem: &Problem) -> Result<Solution> {
    let bottom = vec![0; problem.columns.len()];
    if problem.options.method == Method::Measure || problem.len() == 0 {
        return Ok(at_levels(problem, bottom, false));
    }
    if problem.options.method == Method::Mondrian {
        return match mondrian::search(problem) {
            Some(columns) => Ok(solution(problem, columns, None, false)),
            None => infeasible(problem, &Seen::default()),
        };
    }
    let seen = lattice::search(problem)?;
    match seen.best {
        Some(found) => Ok(at_levels(problem, found.levels, true)),
        None => infeasible(problem, &seen),
    }
}

/// The answer at a node of the lattice.
pub(super) fn at_levels(problem: &Problem, levels: Vec<usize>, suppress: bool) -> Solution {
    let columns = levels.iter().enumerate().map(|(index, level)| {
        let level = &problem.columns[index].levels[*level];
        let label = |item: usize| level.codes[problem.values(item)[index] as usize];
        Published {
            labels: level.labels.clone(),
            shares: level.shares.clone(),
            index: (0..problem.len()).map(label).collect(),
        }
    });
    solution(problem, columns.collect(), Some(levels.clone()), suppress)
}

fn solution(
    problem: &Problem,
    mut columns: Vec<Published>,
    levels: Option<Vec<usize>>,
    suppress: bool,
) -> Solution {
    let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
    let mut classes: Vec<Vec<u32>> = vec![];
    for item in 0..problem.len() {
        let labels: Vec<u32> = columns.iter().map(|column| column.index[item]).collect();
        let class = *known.entry(labels).or_insert_with(|| {
            classes.push(vec![]);
            classes.len() as u32 - 1
        });
        classes[class as usize].push(item as u32);
    }
    let mut class_of = vec![SUPPRESSED; problem.len()];
    let mut scratch = Scratch::default();
    if suppress {
        classes.retain(|items| {
            problem.accepts(&members(problem, items), &problem.persons, &mut scratch)
        });
    }
    for (class, items) in classes.iter().enumerate() {
        items.iter().for_each(|item| class_of[*item as usize] = class as u32);
    }
    if class_of.contains(&SUPPRESSED) {
        for column in &mut columns {
            let star = column.labels.len() as u32;
            column.labels.push(Some(STAR.into()));
            column.shares.push(1.0);
            let suppressed = class_of.iter().zip(&mut column.index);
            suppressed.filter(|(class, _)| **class == SUPPRESSED).for_each(|(_, i)| *i = star);
        }
    }
    Solution { columns, class_of, classes, levels }
}

/// The members of some combinations.
pub(super) fn members(problem: &Problem, items: &[u32]) -> Vec<Member> {
    let records = items.iter().flat_map(|item| problem.records_of(*item as usize));
    records.map(|record| record.member).collect()
}

/// The error of a request that no table meets: what binds, and the smallest change that would do.
fn infeasible<T>(problem: &Problem, seen: &Seen) -> Result<T> {
    let options = &problem.options;
    let everything: Vec<u32> = (0..problem.len() as u32).collect();
    let all = members(problem, &everything);
    let mut scratch = Scratch::default();
    let units = problem.units(&all, &problem.persons, &mut scratch);
    if units < options.k {
        let who = if units == 1 { "person" } else { "persons" };
        return exec_err!(
            "no table can be {0}-anonymous: the input has {units} {who}; `k => {units}` would do",
            options.k
        );
    }
    // The most general class is all rows, where every column can become a star.
    if let Some(l) = options.l {
        for (index, sensitive) in problem.sensitive.iter().enumerate() {
            let (counts, total) = problem.histogram(index, &all, &problem.persons, &mut scratch);
            let without_t = Options { t: None, ..options.clone() };
            if diversity::is_diverse(&without_t, sensitive, &counts, total) {
                continue;
            }
            let name = &sensitive.column.name;
            return match options.l_kind {
                Diversity::Distinct => exec_err!(
                    "no table can be {l}-diverse: `{name}` has {0} distinct values in the whole input; `l => {0}` would do",
                    counts.len()
                ),
                Diversity::Entropy => exec_err!(
                    "no table can be entropy {l}-diverse: `{name}` has {0} in the whole input; `l => {0}` would do",
                    (diversity::entropy(&counts, total) * 1000.0).floor() / 1000.0
                ),
                Diversity::Recursive => match diversity::recursive(&counts, l as usize) {
                    Some(c) => exec_err!(
                        "no table can be recursively ({}, {l})-diverse: `{name}` needs a greater c in the whole input; `c => {}` would do",
                        options.c,
                        (c * 1000.0).floor() / 1000.0 + 0.001
                    ),
                    None => exec_err!(
                        "no table can be recursively ({}, {l})-diverse: `{name}` has {1} distinct values in the whole input; `l => {1}` would do",
                        options.c,
                        counts.len()
                    ),
                },
            };
        }
    }
    relaxations(problem, seen)
}

/// Tries each constraint by itself: what is the least change that gives an answer?
fn relaxations<T>(problem: &Problem, seen: &Seen) -> Result<T> {
    let options = &problem.options;
    let feasible = |changed: Options| {
        let changed = problem.with(changed);
        Ok::<bool, datafusion_common::DataFusionError>(lattice::search(&changed)?.best.is_some())
    };
    let mut binding: Vec<&str> = vec![];
    let mut ways: Vec<String> = vec![];
    let lattice = options.method != Method::Mondrian;
    if lattice && options.k > 1 {
        let (mut low, mut high) = (0, options.k);
        // The greatest k that has an answer is from `low` on, where `low` is one, and below `high`.
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match feasible(Options { k: middle, ..options.clone() })? {
                true => low = middle,
                false => high = middle,
            }
        }
        if low > 0 {
            binding.push("k");
            ways.push(format!("`k => {low}`"));
        }
    }
    if lattice && let Some(l) = options.l {
        let (mut low, mut high) = (0_u64, l.ceil() as u64);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match feasible(Options { l: Some(middle as f64), ..options.clone() })? {
                true => low = middle,
                false => high = middle,
            }
        }
        if low > 0 {
            binding.push("l");
            ways.push(format!("`l => {low}`"));
        }
    }
    if lattice && let Some(t) = options.t {
        let (mut low, mut high) = ((t * 1000.0) as u64, 1001);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match feasible(Options { t: Some(middle as f64 / 1000.0), ..options.clone() })? {
                true => high = middle,
                false => low = middle,
            }
        }
        if high < 1001 {
            binding.push("t");
            ways.push(format!("`t => {}`", high as f64 / 1000.0));
        }
    }
    if let Some(fewest) = seen.fewest_suppressed.filter(|fewest| *fewest > allowed(problem)) {
        let share = (fewest as f64 / problem.rows as f64 * 10_000.0).ceil() / 10_000.0;
        if !options.star || feasible(Options { max_suppressed: share, ..options.clone() })? {
            binding.push("max_suppressed");
            ways.push(format!("`max_suppressed => {share}` (at least {fewest} rows)"));
        }
    }
    let stuck = if binding.is_empty() { "all of them together".into() } else { binding.join(", ") };
    let ways = match ways.as_slice() {
        [] => "give the columns more levels".to_string(),
        ways => format!("{} would do, or more levels", ways.join(" or ")),
    };
    exec_err!("no combination of levels meets the request; what binds is {stuck}: {ways}")
}
