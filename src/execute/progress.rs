// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! How far a running statement is, read from the metrics of its plan.

use std::sync::Arc;

use datafusion::common::stats::Precision;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

/// A running plan, to be asked how far it is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The operators that read: files, tables in memory, series.
    sources: Vec<Arc<dyn ExecutionPlan>>,
    total: Option<u64>,
}

impl Progress {
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let mut sources = vec![];
        collect(plan, &mut sources);
        let totals: Option<Vec<u64>> = sources.iter().map(rows_of).collect();
        // One source of unknown size makes the whole unknown.
        let total = totals.map(|t| t.iter().sum()).filter(|t| *t > 0);
        Self { sources, total }
    }

    /// Nothing to tell: how many rows a filter has left to read says what is in them.
    pub(super) fn hidden() -> Self {
        Self { sources: vec![], total: None }
    }

    /// How many rows have been read from files and tables.
    pub fn rows(&self) -> u64 {
        self.sources.iter().map(read_by).sum()
    }

    /// How many rows there are to read, where all sources know.
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

/// A source that several operators share stands in the tree several times, and is read once.
fn collect(plan: &Arc<dyn ExecutionPlan>, sources: &mut Vec<Arc<dyn ExecutionPlan>>) {
    let children = plan.children();
    if children.is_empty() && !sources.iter().any(|s| Arc::ptr_eq(s, plan)) {
        sources.push(Arc::clone(plan));
    }
    for child in children {
        collect(child, sources);
    }
}

fn rows_of(source: &Arc<dyn ExecutionPlan>) -> Option<u64> {
    let statistics = StatisticsContext::new().compute(source.as_ref(), &StatisticsArgs::new());
    match statistics.ok()?.num_rows {
        Precision::Exact(rows) | Precision::Inexact(rows) => Some(rows as u64),
        Precision::Absent => None,
    }
}

fn read_by(source: &Arc<dyn ExecutionPlan>) -> u64 {
    let Some(metrics) = source.metrics() else { return 0 };
    // A row that a filter in the reader has dropped has been read too.
    let dropped = metrics.sum_by_name("pushdown_rows_pruned").map_or(0, |m| m.as_usize());
    (metrics.output_rows().unwrap_or(0) + dropped) as u64
}
