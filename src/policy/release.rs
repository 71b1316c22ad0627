// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Where groups are released: the operator that lets a row pass when enough persons stand behind it, and drops the
//! columns that say so.
//!
//! It is an operator of its own, and not a filter, because of what an optimizer does with filters: it merges them with
//! those above, and then a `HAVING 1 / (count(*) - 1) > 0` of the user's is evaluated for groups that nobody may know of.
//! Nothing is pushed through this operator: no filter, no limit, no sort. A condition that names no column, which an optimizer
//! would move anywhere, is kept with it and asked of what it lets pass: `HAVING 1 / 0 = 1` or `raise('somebody is there')`
//! below it would fail for a group that nobody may know of. With no threshold it is a wall and nothing else, which keeps
//! what a user filters by away from rows that consent or retention has removed.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DFSchemaRef, internal_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    Partitioning, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use futures::future::ready;
use futures::{StreamExt, TryStreamExt, stream};

use super::analysis::has_subquery;
use super::complement::{self, Lattice};
use super::persons;

/// What a release demands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Demand {
    /// The columns of the input that hold sets of persons.
    pub(super) supports: Vec<usize>,
    /// How many persons each of them must hold.
    pub(super) k: usize,
    /// The grouping sets, whose totals must not give away what is left out.
    pub(super) lattice: Option<Lattice>,
}

/// A release in a plan.
#[derive(Clone, Debug)]
pub(super) struct Release {
    input: LogicalPlan,
    demand: Demand,
    /// Conditions without columns, for what passes.
    conditions: Vec<Expr>,
    kept: Vec<usize>,
    schema: DFSchemaRef,
}

impl Release {
    /// Lets the rows of `input` pass that meet the demand, with the columns that are not part of it.
    pub(super) fn of(input: LogicalPlan, demand: Demand) -> Result<LogicalPlan> {
        let node = Self::new(input, demand, vec![])?;
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }

    fn new(input: LogicalPlan, demand: Demand, conditions: Vec<Expr>) -> Result<Self> {
        let hidden = |i: &usize| {
            demand.supports.contains(i) || demand.lattice.as_ref().is_some_and(|l| l.hides(*i))
        };
        let kept: Vec<usize> = (0..input.schema().fields().len()).filter(|i| !hidden(i)).collect();
        let fields = kept.iter().map(|i| {
            let (qualifier, field) = input.schema().qualified_field(*i);
            (qualifier.cloned(), passed(field, &demand))
        });
        let schema =
            DFSchema::new_with_metadata(fields.collect(), input.schema().metadata().clone())?;
        Ok(Release { input, demand, conditions, kept, schema: Arc::new(schema) })
    }

    /// A wall: all rows, and nothing is moved through it.
    pub(super) fn wall(input: LogicalPlan) -> Result<LogicalPlan> {
        Self::of(input, Demand::default())
    }
}

impl PartialEq for Release {
    fn eq(&self, other: &Self) -> bool {
        self.input == other.input
            && self.demand == other.demand
            && self.conditions == other.conditions
    }
}

impl Eq for Release {}

impl Hash for Release {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.demand.hash(state);
        self.conditions.hash(state);
    }
}

impl PartialOrd for Release {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        if self == other { Some(Ordering::Equal) } else { self.input.partial_cmp(&other.input) }
    }
}

impl UserDefinedLogicalNodeCore for Release {
    fn name(&self) -> &str {
        "Release"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.conditions.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&shown(&self.demand))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let [mut input] = <[LogicalPlan; 1]>::try_from(inputs)
            .map_err(|_| DataFusionError::Internal("a release has one input".into()))?;
        let mut conditions = exprs;
        // The optimizer has moved a condition through: it stays up here.
        while let LogicalPlan::Filter(filter) = &input
            && filter.predicate.column_refs().is_empty()
        {
            if has_subquery(&filter.predicate) {
                return plan_err!("a condition without columns cannot stand over released groups");
            }
            conditions.push(filter.predicate.clone());
            input = filter.input.as_ref().clone();
        }
        if input.schema().fields().len() != self.input.schema().fields().len() {
            return internal_err!("a release has one input, whose columns stay as they are");
        }
        // Types may have been coerced below.
        Self::new(input, self.demand.clone(), conditions)
    }

    /// All columns: which of them the demand needs is known by their places. A wall needs what is read above it.
    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}

/// A column of what passes. A total is one row or, when it is about too few, none: where one value is wanted, that is NULL.
fn passed(field: &FieldRef, demand: &Demand) -> FieldRef {
    match demand.supports.is_empty() || field.is_nullable() {
        true => Arc::clone(field),
        false => Arc::new(field.as_ref().clone().with_nullable(true)),
    }
}

fn shown(demand: &Demand) -> String {
    match (demand.supports.is_empty(), &demand.lattice) {
        (true, _) => "Wall".into(),
        (false, None) => "Release: groups that are large enough".into(),
        (false, Some(_)) => {
            "Release: groups that are large enough, without giving others away".into()
        }
    }
}

/// The physical side of a release.
#[derive(Debug)]
struct ReleaseExec {
    input: Arc<dyn ExecutionPlan>,
    demand: Demand,
    kept: Vec<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl ReleaseExec {
    fn new(
        input: Arc<dyn ExecutionPlan>,
        demand: Demand,
        kept: Vec<usize>,
        schema: SchemaRef,
    ) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(partitions),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, demand, kept, schema, properties: Arc::new(properties) }
    }
}

impl ReleaseExec {
    /// The same over another input.
    fn over(&self, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(child) = children.pop() else { return internal_err!("ReleaseExec has one child") };
        let (demand, kept) = (self.demand.clone(), self.kept.clone());
        Ok(Arc::new(Self::new(child, demand, kept, Arc::clone(&self.schema))))
    }
}

impl DisplayAs for ReleaseExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReleaseExec: {}", shown(&self.demand))
    }
}

impl ExecutionPlan for ReleaseExec {
    fn name(&self) -> &str {
        "ReleaseExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        // Which rows of other grouping sets have to go is known when all rows are there.
        match self.demand.lattice {
            Some(_) => vec![Distribution::SinglePartition],
            None => vec![Distribution::UnspecifiedDistribution],
        }
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.over(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.over(children)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let (demand, kept, schema) =
            (self.demand.clone(), self.kept.clone(), Arc::clone(&self.schema));
        let passed = match &demand.lattice {
            None => {
                let pass = move |batch: RecordBatch| {
                    let mask = large_enough(&batch, &demand)?;
                    only(&batch, &mask, &kept, &schema)
                };
                input.map(move |batch| pass(batch?)).boxed()
            }
            Some(_) => {
                let (held, all) = (demand, input.schema());
                stream::once(async move {
                    let batches: Vec<RecordBatch> = input.try_collect().await?;
                    let batch = arrow::compute::concat_batches(&all, &batches)?;
                    let enough = large_enough(&batch, &held)?;
                    let mask = match &held.lattice {
                        Some(lattice) => complement::suppress(&batch, lattice, &enough, held.k)?,
                        None => enough,
                    };
                    only(&batch, &mask, &kept, &schema)
                })
                .boxed()
            }
        };
        // A batch without rows would say that there was a group, to an expression above that fails even for no row.
        let passed = passed.try_filter(|batch| ready(batch.num_rows() > 0));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), passed)))
    }
}

/// The rows behind which enough persons stand, in every support.
fn large_enough(batch: &RecordBatch, demand: &Demand) -> Result<BooleanArray> {
    let sets = demand
        .supports
        .iter()
        .map(|i| {
            batch.column(*i).as_binary_opt::<i32>().ok_or_else(|| {
                DataFusionError::Internal("a support is not a set of persons".into())
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let enough = |row| sets.iter().all(|set| persons::at_least(set, row, demand.k));
    Ok((0..batch.num_rows()).map(|row| Some(enough(row))).collect())
}

fn only(
    batch: &RecordBatch,
    mask: &BooleanArray,
    kept: &[usize],
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let shown = filter_record_batch(&batch.project(kept)?, mask)?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(shown.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), shown.columns().to_vec(), &options)?)
}

/// Plans queries as DataFusion does, and releases.
#[derive(Debug)]
pub(crate) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session_state: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Releases)])
            .create_physical_plan(logical_plan, session_state)
            .await
    }
}

struct Releases;

#[async_trait]
impl ExtensionPlanner for Releases {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(release), [input]) = (node.as_any().downcast_ref::<Release>(), physical_inputs)
        else {
            return Ok(None);
        };
        let read = input.schema();
        let fields = release.kept.iter().map(|i| passed(&read.fields()[*i], &release.demand));
        let fields: Vec<FieldRef> = fields.collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, read.metadata().clone()));
        let released: Arc<dyn ExecutionPlan> = Arc::new(ReleaseExec::new(
            Arc::clone(input),
            release.demand.clone(),
            release.kept.clone(),
            schema,
        ));
        let Some(condition) = conjunction(release.conditions.clone()) else {
            return Ok(Some(released));
        };
        let condition =
            planner.create_physical_expr(&condition, &release.schema, session, context)?;
        Ok(Some(Arc::new(FilterExec::try_new(condition, released)?)))
    }
}
