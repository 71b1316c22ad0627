// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The public side of a user's join with private rows.
//!
//! Its rows multiply those of persons, and its numbers weigh them. Who may write such a relation as they like has written a
//! CASE: a weight of 1 for one person's town and 0 for all others, or a million rows for that town, and the sum over
//! everybody is that person's. So a relation that the statement has written itself has one row for a key at most, which has
//! to be seen from its plan, and its columns can make groups but cannot be added up. A table of the policy weighs as it
//! does, whoever asks.

use std::collections::HashSet;

use datafusion::common::Column;
use datafusion::logical_expr::{Distinct, Expr, Filter, LogicalPlan, Values};

use super::gate::bare;
use super::guarded::guarded;
use super::rules::Rows;
use super::state::{Info, Kind, Private};
use crate::expand::Marker;
use crate::library::PrivacyClass as Class;

/// What the public side is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Partner {
    /// A table of the policy: as it stands, or with simple conditions.
    Table {
        /// Whether there are conditions.
        filtered: bool,
    },
    /// Written by the statement, with one row at most for each key.
    Written,
}

impl Partner {
    /// What a relation is that is joined by these columns of it; `None` for what nobody may be joined with.
    pub(super) fn of(plan: &LogicalPlan, keys: &[Column]) -> Option<Self> {
        let mut filtered = false;
        if is_table(plan, &mut filtered) {
            return Some(Partner::Table { filtered });
        }
        let places: Vec<usize> =
            keys.iter().filter_map(|key| plan.schema().maybe_index_of_column(key)).collect();
        one_row_a_key(plan, &places).then_some(Partner::Written)
    }
}

/// The columns of a public relation, for expressions about rows that it is joined with.
pub(super) fn columns(plan: &LogicalPlan, kind: Kind) -> Vec<(Column, Info)> {
    let open = |column: &Column| Info {
        class: Class::Plain,
        origin: column.flat_name(),
        kind,
        compare: true,
        ..Info::constant()
    };
    plan.schema().columns().into_iter().map(|column| (column.clone(), open(&column))).collect()
}

fn is_table(plan: &LogicalPlan, filtered: &mut bool) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => guarded(&scan.source).is_some(),
        LogicalPlan::SubqueryAlias(alias) => is_table(&alias.input, filtered),
        LogicalPlan::Projection(projection) => {
            projection.expr.iter().all(|expr| bare(expr).is_some())
                && is_table(&projection.input, filtered)
        }
        LogicalPlan::Filter(filter) => {
            *filtered = true;
            is_simple(filter) && is_table(&filter.input, filtered)
        }
        LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => false,
    }
}

/// Conditions that a filter of private rows could have: they do not choose how often which key stands there.
fn is_simple(filter: &Filter) -> bool {
    let columns = columns(&filter.input, Kind::Raw);
    let rows = Private { columns, ..Private::default() };
    Rows { private: &rows, schema: filter.input.schema() }.filter(&filter.predicate).is_ok()
}

/// Whether no two rows have the same values in the columns at these places.
fn one_row_a_key(plan: &LogicalPlan, keys: &[usize]) -> bool {
    let all = |width: usize| (0..width).all(|place| keys.contains(&place));
    match plan {
        LogicalPlan::Projection(projection) => {
            let below = |key: &usize| {
                let column = bare(projection.expr.get(*key)?)?;
                projection.input.schema().maybe_index_of_column(column)
            };
            one_row_a_key(&projection.input, &keys.iter().filter_map(below).collect::<Vec<_>>())
        }
        LogicalPlan::SubqueryAlias(alias) => one_row_a_key(&alias.input, keys),
        LogicalPlan::Filter(filter) => one_row_a_key(&filter.input, keys),
        LogicalPlan::Sort(sort) => one_row_a_key(&sort.input, keys),
        LogicalPlan::Limit(limit) => one_row_a_key(&limit.input, keys),
        LogicalPlan::Window(window) => {
            let width = window.input.schema().fields().len();
            let below: Vec<usize> = keys.iter().copied().filter(|key| *key < width).collect();
            one_row_a_key(&window.input, &below)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            all(input.schema().fields().len()) || one_row_a_key(input, keys)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let sets = matches!(aggregate.group_expr.first(), Some(Expr::GroupingSet(_)));
            !sets && all(aggregate.group_expr.len())
        }
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Values(values) => are_distinct(values, keys),
        LogicalPlan::Extension(extension) => {
            Marker::of(extension).is_some_and(|marker| one_row_a_key(&marker.input, keys))
        }
        LogicalPlan::TableScan(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Distinct(Distinct::On(_))
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => false,
    }
}

fn are_distinct(values: &Values, keys: &[usize]) -> bool {
    // Values whose texts differ are different.
    let mut seen: HashSet<Vec<String>> = HashSet::new();
    values.values.iter().all(|row| {
        let key = keys.iter().map(|place| match row.get(*place) {
            Some(Expr::Literal(value, _)) => Some(value.to_string()),
            _ => None,
        });
        key.collect::<Option<Vec<_>>>().is_some_and(|key| seen.insert(key))
    })
}
