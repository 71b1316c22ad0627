// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a statement computes twice, computed once.
//!
//! DataFusion plans a common table expression once for every place that reads it, so an analysis that looks at all
//! customers to find the cut points, and again to score them, would aggregate its orders twice. This rule runs after all
//! others, when the two are equal plans, and makes them readers of one [`SharedExec`]. It is an optimisation and nothing
//! else: without it (in an embedder's session, or on a distributed engine) the same plan gives the same answer.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ExecutionPlan, displayable};

use super::shared_exec::{Shared, SharedExec};

/// The rule.
#[derive(Debug)]
pub(super) struct ShareSubplans;

impl PhysicalOptimizerRule for ShareSubplans {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut seen: Vec<(Identity, usize)> = vec![];
        plan.apply(|node| {
            if let Some(identity) = identity(node)? {
                match seen.iter_mut().find(|(other, _)| *other == identity) {
                    Some((_, times)) => *times += 1,
                    None => seen.push((identity, 1)),
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        seen.retain(|(_, times)| *times > 1);
        if seen.is_empty() {
            return Ok(plan);
        }
        let mut shared: Vec<Option<Arc<Shared>>> = vec![None; seen.len()];
        let plan = plan.transform_down(|node| {
            let place = match identity(&node)? {
                Some(identity) => seen.iter().position(|(other, _)| *other == identity),
                None => None,
            };
            let Some(place) = place else { return Ok(Transformed::no(node)) };
            let buffer = shared[place]
                .get_or_insert_with(|| Arc::new(Shared::new(Arc::clone(&node), seen[place].1)));
            let reader: Arc<dyn ExecutionPlan> = Arc::new(SharedExec::new(Arc::clone(buffer)));
            // What lies below is read through the buffer, and is not looked at again.
            Ok(Transformed::new(reader, true, TreeNodeRecursion::Jump))
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &str {
        "share_subplans"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// By what a computation is known to be equal to another.
#[derive(PartialEq)]
struct Identity {
    /// The plan as it is shown, with the types of its columns, and names of the planner's making renumbered.
    text: String,
    /// What the text does not tell apart: the names of the result,
    schema: SchemaRef,
    /// constants, which stand there without quotes, from columns, which are none,
    constants: Vec<Option<ScalarValue>>,
    /// the subqueries whose values it reads,
    subqueries: Vec<Arc<dyn PhysicalExpr>>,
    /// and of the filters that its own operators fill at run time those that it reads, by who fills them.
    filters: Vec<usize>,
}

/// The identity of an aggregation over files, or `None` for what is not worth sharing, or of which not all is known: tables in
/// memory, and filters that an operator outside of it fills.
fn identity(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Identity>> {
    let Some(aggregate) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    if matches!(aggregate.mode(), AggregateMode::Partial | AggregateMode::PartialReduce)
        || aggregate.group_expr().is_empty()
    {
        return Ok(None);
    }
    let mut only_files = true;
    let (mut subqueries, mut filled, mut read, mut constants) = (vec![], vec![], vec![], vec![]);
    node.apply(|node| {
        if node.children().is_empty() {
            let scan = node.downcast_ref::<DataSourceExec>();
            only_files &=
                scan.is_some_and(|s| s.data_source().downcast_ref::<FileScanConfig>().is_some());
        }
        if !only_files {
            return Ok(TreeNodeRecursion::Stop);
        }
        filled.extend(node.dynamic_expressions_produced().iter().map(|e| e.expression_id()));
        node.apply_expressions(&mut |root| {
            root.apply(|expression| {
                if expression.downcast_ref::<ScalarSubqueryExpr>().is_some() {
                    subqueries.push(Arc::clone(expression));
                }
                read.extend(expression.expression_id());
                if let Some(constant) = expression.downcast_ref::<Literal>() {
                    constants.push(Some(constant.value().clone()));
                } else if expression.children().is_empty() {
                    constants.push(None);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    if !only_files {
        return Ok(None);
    }
    let filters: Option<Vec<usize>> =
        read.iter().map(|id| filled.iter().position(|filled| *filled == Some(*id))).collect();
    let text = displayable(node.as_ref()).set_show_schema(true).indent(true).to_string();
    // An operator that does not show all of its expressions to us would hide what tells two plans apart. What a scan prunes
    // by is made of its predicate, which it does show.
    let shown = |what: &str| -> usize {
        let own = |line: &str| {
            line.split("pruning_predicate=").next().map_or(0, |o| o.matches(what).count())
        };
        text.lines().map(own).sum()
    };
    let all_seen =
        shown("scalar_subquery(") <= subqueries.len() && shown("DynamicFilter") <= read.len();
    let (text, schema) = (renumbered(&text), node.schema());
    let identity = |filters| Identity { text, schema, constants, subqueries, filters };
    Ok(filters.filter(|_| all_seen).map(identity))
}

/// The names that the planner makes up are numbered on and on, in each copy of a plan from where the one before has ended.
const MADE_UP: [&str; 2] = ["__common_expr_", "__datafusion_extracted_"];

/// A plan's text with these numbers in the order in which they stand there.
fn renumbered(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut seen: Vec<&str> = vec![];
    let mut rest = text;
    while let Some((at, prefix)) = MADE_UP.iter().filter_map(|p| Some((rest.find(p)?, p))).min() {
        let (before, name) = rest.split_at(at);
        let digits = name[prefix.len()..].bytes().take_while(u8::is_ascii_digit).count();
        let (name, after) = name.split_at(prefix.len() + digits);
        let place = seen.iter().position(|s| *s == name).unwrap_or_else(|| {
            seen.push(name);
            seen.len() - 1
        });
        shown.push_str(before);
        shown.push_str(&format!("{prefix}{place}"));
        rest = after;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;

    use crate::config::Config;
    use crate::{Engine, Outcome};

    /// Reads its groups twice: once to add them up, once to divide by the sum.
    const TWICE: &str = "
        WITH groups AS (SELECT k, sum(v) AS v, count(*) AS n FROM big GROUP BY k),
        total AS (SELECT sum(v) AS v, min(n) AS n FROM groups)
        SELECT count(*) AS groups, sum(groups.v) AS v, sum(groups.n * total.n) AS w, min(total.v) AS total
        FROM total CROSS JOIN groups";

    async fn engine(
        folder: &std::path::Path,
        memory_limit: Option<usize>,
        threads: usize,
    ) -> Engine {
        let config = Config {
            data: vec![folder.join("big.parquet").to_string_lossy().into_owned()],
            memory_limit,
            threads: Some(threads),
            ..Config::default()
        };
        Engine::open(&config).await.expect("opens")
    }

    async fn big_table(folder: &std::path::Path) {
        let writer = Engine::open(&Config::default()).await.expect("opens");
        let sql = format!(
            "COPY (SELECT repeat('k', 30) || (value % 200000) AS k, value AS v FROM generate_series(1, 400000)) TO '{}'",
            folder.join("big.parquet").display()
        );
        writer.query(&sql).await.expect("writes");
    }

    async fn text(engine: &Engine, sql: &str) -> String {
        pretty_format_batches(&engine.query(sql).await.expect("runs")).expect("formats").to_string()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn equal_aggregations_are_computed_once_and_spill() {
        let folder = tempfile::tempdir().expect("a folder");
        big_table(folder.path()).await;
        let plenty = engine(folder.path(), None, 3).await;
        let plan = text(&plenty, &format!("EXPLAIN {TWICE}")).await;
        assert_eq!(plan.matches("SharedExec").count(), 2, "{plan}");
        let expected = text(&plenty, TWICE).await;
        assert!(expected.contains("200000"), "{expected}");
        for (limit, threads) in [(60_000_000, 1), (30_000_000, 2)] {
            let tight = engine(folder.path(), Some(limit), threads).await;
            assert_eq!(text(&tight, TWICE).await, expected, "with {limit} bytes");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_failure_reaches_every_reader_and_a_reader_may_leave() {
        let folder = tempfile::tempdir().expect("a folder");
        big_table(folder.path()).await;
        let engine = engine(folder.path(), None, 2).await;
        let failing = TWICE.replace(
            "sum(v) AS v, count",
            "sum(CASE WHEN v = 399999 THEN raise('late') ELSE v END) AS v, count",
        );
        let error = engine.query(&failing).await.expect_err("fails");
        assert!(error.message.contains("late"), "{error}");
        let statement = engine.parse(&TWICE.replace("count(*) AS groups, sum(groups.v) AS v, sum(groups.n * total.n) AS w, min(total.v) AS total", "groups.k")).expect("parses").remove(0);
        let Ok(Outcome::Rows(mut rows)) = engine.run(&statement).await else {
            panic!("gives rows")
        };
        assert!(rows.next().await.expect("runs").is_some());
        drop(rows);
        assert!(text(&engine, TWICE).await.contains("200000"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn subqueries_and_filters_of_joins_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        big_table(folder.path()).await;
        let engine = engine(folder.path(), None, 2).await;
        // The join fills a filter for the scan of its other side.
        let groups = |limit: &str| {
            format!(
                "(SELECT b.k, count(*) AS n FROM (SELECT k FROM big WHERE v <= 10) AS few JOIN big AS b ON few.k = b.k \
                 WHERE b.v > (SELECT {limit} FROM big) GROUP BY b.k)"
            )
        };
        let both = |left: &str, right: &str| {
            format!(
                "SELECT count(*) AS n, min(x.n) AS m FROM {} AS x JOIN {} AS y ON x.n = y.n",
                groups(left),
                groups(right)
            )
        };
        let same = both("min(v) + 1", "min(v) + 1");
        let plan = text(&engine, &format!("EXPLAIN {same}")).await;
        assert_eq!(plan.matches("SharedExec").count(), 2, "{plan}");
        // Of the ten keys eight are there twice, and two once, since their first row is cut off: 8 · 8 + 2 · 2.
        assert!(
            text(&engine, &same).await.contains("| 68 | 1 |"),
            "{}",
            text(&engine, &same).await
        );
        let other = both("min(v) + 1", "max(v) - 1");
        assert!(!text(&engine, &format!("EXPLAIN {other}")).await.contains("SharedExec"));
        assert!(text(&engine, &other).await.contains("| 0 "), "{}", text(&engine, &other).await);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn made_up_names_do_not_tell_plans_apart_and_constants_do() {
        let folder = tempfile::tempdir().expect("a folder");
        big_table(folder.path()).await;
        let engine = engine(folder.path(), None, 2).await;
        // The planner makes up a name for what stands there twice, another in each copy.
        let sql = TWICE.replace(
            "sum(v) AS v, count",
            "sum(CASE WHEN v * 7 > 50 THEN v * 7 ELSE 0 END) AS v, count",
        );
        let plan = text(&engine, &format!("EXPLAIN {sql}")).await;
        assert!(plan.contains("__common_expr_2"), "{plan}");
        assert_eq!(plan.matches("SharedExec").count(), 2, "{plan}");
        // 7 · (8 + … + 400,000).
        assert!(text(&engine, &sql).await.contains("| 200000 | 560001399804 |"));
        // A column and a constant that is shown in the same way.
        let groups = |what: &str| {
            format!("(SELECT k, count(*) AS n FROM big WHERE lower(k) = {what} GROUP BY k)")
        };
        let sql = |a: &str, b: &str| {
            format!(
                "SELECT x.n, y.n FROM (SELECT count(*) AS n FROM {}) AS x, (SELECT count(*) AS n FROM {}) AS y",
                groups(a),
                groups(b)
            )
        };
        let found = text(&engine, &sql("k", "'k@0'")).await;
        assert!(found.contains("| 200000 | 0 |"), "{found}");
    }

    #[tokio::test]
    async fn tables_in_memory_are_not_taken_for_equal() {
        let engine = Engine::open(&Config::default()).await.expect("opens");
        engine.query("CREATE TABLE a AS SELECT 1 AS k, 10 AS v; CREATE TABLE b AS SELECT 1 AS k, 20 AS v").await.expect("creates");
        let sql = "SELECT x.v + y.v AS s FROM (SELECT k, sum(v) AS v FROM a GROUP BY k) x JOIN (SELECT k, sum(v) AS v FROM b GROUP BY k) y ON x.k = y.k";
        assert!(text(&engine, sql).await.contains("30"));
        assert!(!text(&engine, &format!("EXPLAIN {sql}")).await.contains("SharedExec"));
    }
}
