// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What tells one release of a table from another: which labels it gives to which values.
//!
//! Two releases of one source with other labels can be laid over each other: somebody who is in
//! `[20,30)` of the one and in `[25,35)` of the other is in `[25,30)`, and what is known of both
//! classes is known of fewer than k. Releases with the same labels tell no more than one of them.

use datafusion_common::{Result, exec_err};

use super::domain::{Label, fingerprint};
use super::options::{Method, Releases};
use super::problem::Problem;
use super::report::quoted;
use super::solution::{SUPPRESSED, Solution};

/// A JSON object with the level of each column by its name. Levels of a table of labels, and the boxes
/// of Mondrian, which follow the rows, have a fingerprint.
pub(super) fn generalisation(problem: &Problem, solution: &Solution) -> Option<String> {
    let name = |index: usize| match (&solution.levels, problem.options.method) {
        (_, Method::Measure) => None,
        (Some(levels), _) => {
            let column = &problem.columns[index];
            Some(column.levels[levels[index]].name.clone())
        }
        (None, _) => Some(format!("mondrian {}", boxes(solution))),
    };
    let columns = problem.columns.iter().enumerate();
    let pairs: Option<Vec<String>> = columns
        .map(|(index, column)| Some(format!("{}:{}", quoted(&column.name), quoted(&name(index)?))))
        .collect();
    Some(format!("{{{}}}", pairs?.join(",")))
}

fn boxes(solution: &Solution) -> String {
    let null = |label: &Label| label.as_deref().unwrap_or("NULL").to_string();
    let mut labels: Vec<Vec<String>> = solution
        .classes
        .iter()
        .filter_map(|items| items.first())
        .filter(|item| solution.class_of[**item as usize] != SUPPRESSED)
        .map(|item| {
            let columns = solution.columns.iter();
            columns.map(|c| null(&c.labels[c.index[*item as usize] as usize])).collect()
        })
        .collect();
    labels.sort_unstable();
    fingerprint(labels.iter().flatten().map(String::as_str))
}

/// How many earlier releases have other labels; `None` where nobody asks. Labels that no release has
/// yet are an error where the request refuses them.
pub(super) fn others(problem: &Problem, own: Option<&str>) -> Result<Option<u64>> {
    let Some(own) = own.filter(|_| problem.options.releases != Releases::Ignore) else {
        return Ok(None);
    };
    let others: Vec<&String> = problem.earlier.iter().filter(|text| *text != own).collect();
    let is_new = others.len() == problem.earlier.len();
    match others.last() {
        Some(other) if is_new && problem.options.releases == Releases::Refuse => exec_err!(
            "the labels would be {own}, and an earlier release of the same source has {other}: who has both can tell more than either; write what gives the same labels, or leave `releases` out to publish all the same"
        ),
        _ => Ok(Some(others.len() as u64)),
    }
}
