// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `--read-only`: no statement may change a table, a file or the session.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;

use super::Gate;
use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct ReadOnly;

impl Gate for ReadOnly {
    fn check(&self, plan: &LogicalPlan) -> Result<()> {
        let mut writes = None;
        // `EXPLAIN ANALYZE COPY …` writes as well, so the whole tree is asked.
        plan.apply_with_subqueries(|node| {
            writes = match node {
                LogicalPlan::Ddl(_) => Some("change a table"),
                LogicalPlan::Dml(_) => Some("change a table's rows"),
                LogicalPlan::Copy(_) => Some("write a file"),
                LogicalPlan::Statement(_) => Some("change the session"),
                _ => None,
            };
            Ok(if writes.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        match writes {
            Some(what) => Err(Error::query(format!("this session is read-only and cannot {what}"))
                .hint("start without `--read-only`")),
            None => Ok(()),
        }
    }
}
