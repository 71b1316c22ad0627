// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Aggregations that keep their rows, in one stage instead of two.
//!
//! DataFusion aggregates twice: each thread what it reads, then all threads again by key. That pays when the first stage
//! makes a thousand rows one. Functions such as `order_summary` keep something of every row, so the first stage makes
//! nothing smaller and its states cost more to move than the rows. Where such a function stands, this rule sends the rows
//! themselves to the thread of their key. Like sharing, it is an optimisation and nothing else.

use std::sync::Arc;

use comptoir_udfs::keeps_rows;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

/// The rule.
#[derive(Debug)]
pub(super) struct OneStage;

impl PhysicalOptimizerRule for OneStage {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match one_stage(&node)? {
            Some(aggregate) => Ok(Transformed::yes(aggregate)),
            None => Ok(Transformed::no(node)),
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "one_stage"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same aggregation in one stage, where `node` is the last of two and the first would make nothing smaller.
fn one_stage(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(last) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let Some(by_key) = last.input().downcast_ref::<RepartitionExec>() else { return Ok(None) };
    let Some(first) = by_key.input().downcast_ref::<AggregateExec>() else { return Ok(None) };
    let stages = *last.mode() == AggregateMode::FinalPartitioned
        && *first.mode() == AggregateMode::Partial
        && matches!(by_key.partitioning(), Partitioning::Hash(..))
        && first.group_expr().is_single()
        && first.limit_options().is_none()
        && last.limit_options().is_none();
    if !stages || !first.aggr_expr().iter().any(|function| keeps_rows(function.fun().name())) {
        return Ok(None);
    }
    // Rows that were only dealt out to keep all threads busy need not be dealt twice.
    let rows = match first.input().downcast_ref::<RepartitionExec>() {
        Some(dealt) if matches!(dealt.partitioning(), Partitioning::RoundRobinBatch(_)) => {
            Arc::clone(dealt.input())
        }
        _ => Arc::clone(first.input()),
    };
    let partitions = last.input().output_partitioning().partition_count();
    let key = Partitioning::Hash(first.group_expr().input_exprs(), partitions);
    let rows = Arc::new(RepartitionExec::try_new(rows, key)?);
    let single = AggregateExec::try_new(
        AggregateMode::SinglePartitioned,
        first.group_expr().clone(),
        first.aggr_expr().to_vec(),
        first.filter_expr().to_vec(),
        rows,
        first.input_schema(),
    )?;
    Ok(Some(Arc::new(single)))
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;

    use crate::Engine;
    use crate::config::Config;

    async fn text(engine: &Engine, sql: &str) -> String {
        pretty_format_batches(&engine.query(sql).await.expect("runs")).expect("formats").to_string()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn functions_that_keep_their_rows_aggregate_once() {
        let config = Config { threads: Some(3), ..Config::default() };
        let engine = Engine::open(&config).await.expect("opens");
        engine
            .query("CREATE TABLE orders AS SELECT value % 1000 AS c, value AS id, DATE '2026-01-01' AS d, value % 7 AS v FROM generate_series(1, 50000)")
            .await
            .expect("creates");
        let kept = "SELECT count(*), sum(s['orders']), sum(s['amount']) FROM (SELECT c, order_summary(id, d, v) AS s FROM orders GROUP BY c)";
        let plan = text(&engine, &format!("EXPLAIN {kept}")).await;
        assert!(plan.contains("mode=SinglePartitioned, gby=[c"), "{plan}");
        assert!(
            text(&engine, kept).await.contains("| 1000     | 42858          | 150003         |"),
            "{}",
            text(&engine, kept).await
        );
        let reduced = text(&engine, "EXPLAIN SELECT c, sum(v) FROM orders GROUP BY c").await;
        assert!(reduced.contains("mode=FinalPartitioned, gby=[c"), "{reduced}");
    }
}
