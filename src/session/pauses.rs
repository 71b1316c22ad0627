// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Joins that pause.
//!
//! A thread works on many queries by turns, and a query can be cancelled, because every stream that reads something ends
//! its turn after a while. DataFusion sees to that where rows come in, and takes it that what lies above gives a batch
//! for a batch. A join may give millions for one, and then neither turns nor ends: so here joins take turns too.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::SchedulingType;

/// The rule.
#[derive(Debug)]
pub(super) struct Pauses;

impl PhysicalOptimizerRule for Pauses {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            // Every join has two inputs, and what else has two is not slower for it.
            let pauses = node.properties().scheduling_type == SchedulingType::Cooperative;
            Ok(match node.children().len() == 2 && !pauses {
                true => Transformed::yes(Arc::new(CooperativeExec::new(node)) as _),
                false => Transformed::no(node),
            })
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "pauses"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::Engine;
    use crate::config::Config;

    #[tokio::test(flavor = "current_thread")]
    async fn a_join_without_a_condition_can_be_given_up() {
        let config = Config { threads: Some(1), ..Config::default() };
        let engine = Engine::open(&config).await.expect("opens");
        let long = "SELECT sum(a.value * b.value % 7) FROM generate_series(1, 200000) AS a CROSS JOIN generate_series(1, 200000) AS b";
        // On one thread: nobody else could watch the time.
        tokio::time::timeout(Duration::from_millis(100), engine.query(long))
            .await
            .expect_err("it takes hours");
    }
}
