// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a statement's answer depends on besides its text: files, the clock, chance.

use std::sync::{Mutex, PoisonError};

use datafusion::catalog::MemTable;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use futures::future::BoxFuture;

use super::Engine;
use crate::catalog::{self, Stamped};
use crate::error::Result;

/// What the statements that were planned depend on.
#[derive(Clone, Debug, Default)]
pub struct Footprint {
    /// The files that they read, as they were when the plan was made, before they were read.
    pub reads: Vec<Stamped>,
    /// Whether they ask for the time.
    pub tells_time: bool,
    /// What can be different each time, in words.
    pub never_the_same: Option<String>,
}

/// Footprints since the last time somebody asked, if somebody asks.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Option<Footprint>>);

impl Watch {
    fn is_on(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn add(&self, found: Footprint) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(all) = all.as_mut() else { return };
        all.reads.extend(found.reads);
        all.tells_time |= found.tells_time;
        all.never_the_same = all.never_the_same.take().or(found.never_the_same);
    }
}

impl Engine {
    /// The footprint of all that was planned since the last call; from the first call on, footprints are taken.
    pub fn footprint(&self) -> Footprint {
        let mut all = self.footprint.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.replace(Footprint::default()).unwrap_or_default()
    }

    /// Looks at what lies at a place now.
    pub fn stamp<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Result<Stamped>> {
        Box::pin(catalog::stamp(&self.ctx, place))
    }

    /// Takes the footprint of a plan, when footprints are taken.
    pub(super) async fn watch(&self, plan: &LogicalPlan) -> Result<()> {
        if !self.footprint.is_on() {
            return Ok(());
        }
        let mut found = Footprint::default();
        for place in catalog::places_meant(&self.ctx, plan) {
            found.reads.push(catalog::stamp(&self.ctx, &place).await?);
        }
        plan.apply_with_subqueries(|node| {
            found.see_node(node);
            node.apply_expressions(|expr| {
                expr.apply(|expr| {
                    found.see(expr);
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        self.footprint.add(found);
        Ok(())
    }
}

/// The function that ends a query: it is no constant to the engine, so that it is not called before its time, but it has
/// no answer that could differ.
const RAISE: &str = "raise";

impl Footprint {
    fn see(&mut self, expr: &Expr) {
        let (name, volatility) = match expr {
            Expr::ScalarFunction(call) => (call.name(), call.func.signature().volatility),
            Expr::AggregateFunction(call) => (call.func.name(), call.func.signature().volatility),
            Expr::WindowFunction(call) => (call.fun.name(), call.fun.signature().volatility),
            _ => return,
        };
        match volatility {
            Volatility::Immutable => {}
            Volatility::Stable => self.tells_time = true,
            Volatility::Volatile if name == RAISE => {}
            Volatility::Volatile => {
                self.never_the_same = Some(format!("`{name}()` answers differently each time"));
            }
        }
    }

    fn see_node(&mut self, node: &LogicalPlan) {
        match node {
            LogicalPlan::Dml(dml) if catalog::is_on_disk(&dml.target) => {
                self.never_the_same = Some(format!("it adds to the files of `{}`", dml.table_name));
            }
            LogicalPlan::TableScan(scan) => {
                let Ok(provider) = source_as_provider(&scan.source) else { return };
                let known = catalog::is_on_disk(&scan.source)
                    || provider.downcast_ref::<MemTable>().is_some()
                    || provider.get_logical_plan().is_some()
                    || catalog::is_computed(provider.as_ref());
                if !known {
                    self.never_the_same =
                        Some(format!("`{}` is no table of files", scan.table_name));
                }
            }
            _ => {}
        }
    }
}
