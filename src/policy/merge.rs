// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Small groups as one: instead of being left out, the rows of groups below k become one group, whose keys are NULL. It is
//! released like any other, when it has k persons itself.

use datafusion::common::{Column, JoinType, ScalarValue};
use datafusion::logical_expr::{
    BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, lit, when,
};

use super::gate::Gate;
use super::groups::counted;
use super::release::{Demand, Release};
use super::state::Private;
use crate::error::Result;

/// The rows with keys that are NULL where the group is small, and those keys. The last key tells that group from one whose
/// keys are NULL in the data.
pub(super) fn small_groups(
    gate: &Gate,
    rows: LogicalPlan,
    private: &Private,
    keys: &[Expr],
    k: usize,
) -> Result<(LogicalPlan, Vec<Expr>)> {
    let names: Vec<String> = keys.iter().map(|_| gate.hidden("key")).collect();
    let named =
        keys.iter().zip(&names).map(|(key, name)| key.clone().unalias().alias(name.clone()));
    let persons: Vec<Expr> = private
        .supports
        .iter()
        .filter(|s| s.outer.is_none())
        .map(|s| counted(&s.column, gate.limit()).alias(gate.hidden("persons")))
        .collect();
    let supports = (keys.len()..keys.len() + persons.len()).collect();
    let groups = LogicalPlanBuilder::from(rows.clone())
        .aggregate(named.collect::<Vec<_>>(), persons)?
        .build()?;
    let large = Release::of(groups, Demand { supports, k, lattice: None })?;
    let is_large = gate.hidden("large");
    let column = |name: &String| Expr::Column(Column::new_unqualified(name.clone()));
    let listed: Vec<Expr> =
        names.iter().map(column).chain([lit(true).alias(is_large.clone())]).collect();
    let large = LogicalPlanBuilder::from(large).project(listed)?.build()?;
    let equal = keys.iter().zip(&names).map(|(key, name)| {
        let (left, right) = (Box::new(column(name)), Box::new(key.clone().unalias()));
        Expr::BinaryExpr(BinaryExpr::new(left, Operator::IsNotDistinctFrom, right))
    });
    let joined = LogicalPlanBuilder::from(large).join_on(rows, JoinType::Right, equal)?.build()?;
    let mut grouped = vec![];
    for name in &names {
        let data_type = joined.schema().field_with_unqualified_name(name)?.data_type().clone();
        let key = when(column(&is_large), column(name))
            .otherwise(lit(ScalarValue::try_from(&data_type)?))?;
        grouped.push(key.alias(gate.hidden("group")));
    }
    grouped.push(column(&is_large));
    Ok((joined, grouped))
}
