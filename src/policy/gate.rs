// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The gate of a role that sees groups only: a plan goes in, and one that releases nothing else comes out, or a refusal.
//!
//! It walks the plan from its leaves, before anything is optimised, after table functions, views and macros have become
//! plans. Every node's rows are [`State::Public`], [`State::Private`] or [`State::Released`]. Private rows carry hidden
//! columns that say whom they are about; where rows become groups, the persons of each group are counted, and a
//! [`Release`] lets the large ones pass. What reaches the top must not be private.
//!
//! Both matches over node kinds are exhaustive: a node that a new DataFusion adds does not compile here until somebody has
//! decided what it means.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{InSubquery, SetComparison};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Explain, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Projection,
    Subquery, SubqueryAlias, TableScan, Window,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::resolve_grouping_function::ResolveGroupingFunction;

use super::analysis::{analysed, analysis_within, never, nothing, trusted};
use super::declarations::{Role, SmallGroups};
use super::guarded::{Guarded, guarded};
use super::refusal::{Code, refusal};
use super::rows::{Reading, undeclared};
use super::rules::Rows;
use super::state::{Info, Private, State};
use super::{Policy, groups, join, redact, union};
use crate::error::{Error, Result};

/// A node and what is known of its rows.
pub(super) struct Node {
    pub(super) plan: LogicalPlan,
    pub(super) state: State,
}

/// Whose words a part of a plan is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Author {
    /// Of the user: every expression is looked at.
    User,
    /// Of a reviewed analysis: its expressions are trusted, and its result is thresholded.
    Analysis,
}

/// What the gate has decided, for the log and for `EXPLAIN PRIVACY`.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    pub(super) tables: BTreeSet<String>,
    pub(super) steps: Vec<(String, String)>,
    /// Whether private rows are read.
    pub(super) private: bool,
}

/// One statement's way through the gate.
pub(super) struct Gate<'a> {
    reading: Reading<'a>,
    session: &'a SessionState,
    /// The smallest group: the strictest of the role's and of every table that the statement reads.
    k: Cell<usize>,
    /// How many scans of private tables analyses have made themselves, outside of their arguments.
    pub(super) own_scans: Cell<usize>,
    /// How many relations of the user's own making analyses have been given.
    pub(super) foreign: Cell<usize>,
    /// How many outer joins of private rows there have been.
    outer_joins: Cell<usize>,
    /// Whether small groups become one.
    pub(super) merges: bool,
    /// The largest share of a sum that one person may hold.
    pub(super) dominance: Option<f64>,
    pub(super) trail: RefCell<Trail>,
}

/// Second moments (variance, standard deviation) need groups this many times as large.
const MOMENTS: usize = 3;

impl<'a> Gate<'a> {
    pub(super) fn new(reading: Reading<'a>, role: &Role, session: &'a SessionState) -> Self {
        Self {
            reading,
            session,
            k: Cell::new(usize::try_from(role.k).unwrap_or(usize::MAX)),
            own_scans: Cell::new(0),
            foreign: Cell::new(0),
            outer_joins: Cell::new(0),
            merges: role.small_groups == SmallGroups::Merge,
            dominance: role.dominance,
            trail: RefCell::default(),
        }
    }

    /// A query that may be run.
    pub(super) fn query(&self, plan: &LogicalPlan) -> Result<Node> {
        self.find_k(plan)?;
        let node = self.node(plan, Author::User)?;
        match &node.state {
            State::Public | State::Released => Ok(node),
            State::Private(private) => Err(row_level(plan, private)),
        }
    }

    /// The strictest k of all tables that a plan reads.
    fn find_k(&self, plan: &LogicalPlan) -> Result<()> {
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Some(provider) = guarded(&scan.source)
                && let Some(table) = provider.downcast_ref::<Guarded>()
                && let Some(k) = self.reading.policy.declared().smallest_k(table.name())
            {
                self.k.set(self.k.get().max(usize::try_from(k).unwrap_or(usize::MAX)));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }

    pub(super) fn session(&self) -> &SessionState {
        self.session
    }

    pub(super) fn policy(&self) -> &Policy {
        self.reading.policy
    }

    /// How many persons a group has to hold.
    pub(super) fn k(&self) -> usize {
        self.k.get()
    }

    /// A number for an outer join.
    pub(super) fn outer_join(&self) -> usize {
        self.outer_joins.replace(self.outer_joins.get() + 1)
    }

    /// How many persons a set has to be able to hold.
    pub(super) fn limit(&self) -> usize {
        self.k.get().saturating_mul(MOMENTS)
    }

    /// A name for a hidden column that no other column has.
    pub(super) fn hidden(&self, what: &str) -> String {
        self.reading.hidden(what)
    }

    pub(super) fn step(&self, node: &str, what: impl Into<String>) {
        self.trail.borrow_mut().steps.push((node.to_string(), what.into()));
    }

    /// Plans are as deep as they are written, and the stack is not.
    pub(super) fn node(&self, plan: &LogicalPlan, author: Author) -> Result<Node> {
        stacker::maybe_grow(256 * 1024, 4 * 1024 * 1024, || self.each(plan, author))
    }

    fn each(&self, plan: &LogicalPlan, author: Author) -> Result<Node> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => {
                Ok(Node { plan: self.subqueries(plan.clone(), author)?, state: State::Public })
            }
            LogicalPlan::Projection(projection) => {
                let input = self.node(&projection.input, author)?;
                match input.state {
                    State::Private(private) => {
                        self.project(projection, input.plan, private, author)
                    }
                    state => self.over(plan, vec![input.plan], state, author),
                }
            }
            LogicalPlan::Filter(filter) => self.filter(plan, filter, author),
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.node(&alias.input, author)?;
                let state = match input.state {
                    State::Private(private) => State::Private(private.aliased(&alias.alias)),
                    state => state,
                };
                let alias = SubqueryAlias::try_new(Arc::new(input.plan), alias.alias.clone())?;
                Ok(Node { plan: LogicalPlan::SubqueryAlias(alias), state })
            }
            // What `grouping()` says is read from the number of the grouping set, above the release.
            LogicalPlan::Aggregate(aggregate) if groups::tells_sets(aggregate) => {
                let resolved = ResolveGroupingFunction::new();
                self.node(&resolved.analyze(plan.clone(), &ConfigOptions::default())?, author)
            }
            LogicalPlan::Aggregate(aggregate) => {
                let input = self.node(&aggregate.input, author)?;
                match input.state {
                    State::Private(private) => {
                        self.aggregate(aggregate, input.plan, private, author)
                    }
                    State::Public => self.over(plan, vec![input.plan], State::Public, author),
                    State::Released => self.over(plan, vec![input.plan], State::Released, author),
                }
            }
            LogicalPlan::Join(join) => join::join(self, plan, join, author),
            LogicalPlan::Union(union) => {
                let inputs = union
                    .inputs
                    .iter()
                    .map(|input| self.node(input, author))
                    .collect::<Result<Vec<_>>>()?;
                union::union(self, plan, inputs, author)
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let input = self.node(input, author)?;
                match (input.state, author) {
                    (State::Private(private), Author::Analysis) => {
                        let keys = private.columns.iter().map(|(c, _)| Expr::Column(c.clone()));
                        let keys: Vec<Expr> = keys.collect();
                        self.group(input.plan, private, keys, vec![], author)
                    }
                    (State::Private(private), Author::User) => {
                        Err(self.below("DISTINCT", &private).hint(
                            "write GROUP BY instead: `SELECT city FROM customers GROUP BY city`",
                        ))
                    }
                    (state, _) => self.over(plan, vec![input.plan], state, author),
                }
            }
            LogicalPlan::Distinct(Distinct::On(on)) => {
                let input = self.node(&on.input, author)?;
                match input.state {
                    State::Private(private) => Err(self.below("DISTINCT ON", &private)),
                    state => self.over(plan, vec![input.plan], state, author),
                }
            }
            LogicalPlan::Window(window) => {
                let input = self.node(&window.input, author)?;
                match (input.state, author) {
                    (State::Private(mut private), Author::Analysis) => {
                        let exprs = self.trusted_all(window.window_expr.clone())?;
                        let window = Window::try_new(exprs, Arc::new(input.plan))?;
                        let added = window.schema.fields().len() - window.window_expr.len();
                        for i in added..window.schema.fields().len() {
                            let column = Column::from(window.schema.qualified_field(i));
                            private.columns.push((column.clone(), analysed(&column)));
                        }
                        Ok(Node {
                            plan: LogicalPlan::Window(window),
                            state: State::Private(private),
                        })
                    }
                    (State::Private(private), Author::User) => {
                        Err(self.below("a window function", &private))
                    }
                    (state, _) => self.over(plan, vec![input.plan], state, author),
                }
            }
            LogicalPlan::Sort(sort) => self.in_order(plan, &sort.input, "ORDER BY", author),
            LogicalPlan::Limit(limit) => self.in_order(plan, &limit.input, "LIMIT", author),
            LogicalPlan::Repartition(repartition) => {
                self.in_order(plan, &repartition.input, "a repartition", author)
            }
            LogicalPlan::Unnest(unnest) => {
                let input = self.node(&unnest.input, author)?;
                match (input.state, author) {
                    (State::Private(private), Author::Analysis) => {
                        let unnested = LogicalPlanBuilder::from(input.plan)
                            .unnest_columns_with_options(
                                unnest.exec_columns.clone(),
                                unnest.options.clone(),
                            )?
                            .build()?;
                        let hidden: Vec<Column> =
                            private.supports.iter().map(|s| s.column.clone()).collect();
                        let columns = unnested.schema().columns();
                        let columns = columns
                            .into_iter()
                            .filter(|c| !hidden.contains(c))
                            .map(|c| {
                                let was = unnest.exec_columns.contains(&c);
                                let info = private.info(&c).filter(|_| !was).cloned();
                                let info = info.unwrap_or_else(|| analysed(&c));
                                (c, info)
                            })
                            .collect();
                        let private = Private { columns, keys: None, ..private };
                        Ok(Node { plan: unnested, state: State::Private(private) })
                    }
                    (State::Private(private), Author::User) => Err(self.below("UNNEST", &private)),
                    (state, _) => self.over(plan, vec![input.plan], state, author),
                }
            }
            LogicalPlan::RecursiveQuery(query) => {
                let first = self.node(&query.static_term, author)?;
                let next = self.node(&query.recursive_term, author)?;
                match (&first.state, &next.state) {
                    (State::Private(private), _) | (_, State::Private(private)) => {
                        Err(self.below("a recursive query", private))
                    }
                    (State::Public, State::Public) => {
                        self.over(plan, vec![first.plan, next.plan], State::Public, author)
                    }
                    (_, _) => self.over(plan, vec![first.plan, next.plan], State::Released, author),
                }
            }
            LogicalPlan::Subquery(subquery) => {
                let input = self.node(&subquery.subquery, author)?;
                match input.state {
                    State::Private(private) => Err(self.below("LATERAL", &private)),
                    state => self.over(plan, vec![input.plan], state, author),
                }
            }
            LogicalPlan::Extension(extension) => self.extension(extension, author),
            LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => {
                Err(refusal(Code::NotAllowed, "a statement stands within a query"))
            }
        }
    }

    /// A node whose inputs are not private, over what they have become.
    pub(super) fn over(
        &self,
        plan: &LogicalPlan,
        inputs: Vec<LogicalPlan>,
        state: State,
        author: Author,
    ) -> Result<Node> {
        let plan = plan.with_new_exprs(plan.expressions(), inputs)?;
        Ok(Node { plan: self.subqueries(plan, author)?, state })
    }

    fn in_order(
        &self,
        plan: &LogicalPlan,
        input: &LogicalPlan,
        word: &str,
        author: Author,
    ) -> Result<Node> {
        let input = self.node(input, author)?;
        match (&input.state, author) {
            (State::Private(private), Author::User) => Err(self.below(word, private)),
            (State::Private(_), Author::Analysis) | (State::Public | State::Released, _) => {
                self.over(plan, vec![input.plan], input.state, author)
            }
        }
    }

    fn below(&self, word: &str, private: &Private) -> Error {
        let tables = tables_of(private);
        refusal(Code::NotAllowed, format!("{word} cannot stand below the groups of {tables}")).hint(
            "group first, and write it over the groups: `SELECT * FROM (SELECT … GROUP BY …) …`",
        )
    }

    /// A table, behind what the policy says of it.
    fn scan(&self, scan: &TableScan) -> Result<Node> {
        let name = scan.table_name.to_string();
        if scan.projection.is_some() || !scan.filters.is_empty() || scan.fetch.is_some() {
            return Err(refusal(
                Code::NotAllowed,
                format!("the scan of `{name}` comes with conditions of its own"),
            ));
        }
        let Some(provider) = guarded(&scan.source) else {
            if self.reading.policy.is_public_leaf(scan) {
                return Ok(Node {
                    plan: LogicalPlan::TableScan(scan.clone()),
                    state: State::Public,
                });
            }
            return Err(undeclared(&name));
        };
        let Some(table) = provider.downcast_ref::<Guarded>() else {
            return Err(undeclared(&name));
        };
        self.trail.borrow_mut().tables.insert(table.name().to_string());
        let read = self.reading.private(table, &scan.table_name)?;
        match (&read.state, table.declared()) {
            (State::Private(private), Some(_)) => {
                self.trail.borrow_mut().private = true;
                self.own_scans.set(self.own_scans.get() + 1);
                let classes: BTreeSet<&str> =
                    private.columns.iter().map(|(_, info)| info.class.word()).collect();
                let classes: Vec<&str> = classes.into_iter().collect();
                self.step(
                    "scan",
                    format!("`{name}` is private: columns of class {}", classes.join(", ")),
                );
            }
            (state, _) => self.step("scan", format!("`{name}` is {}", state.word())),
        }
        Ok(read)
    }

    fn project(
        &self,
        projection: &Projection,
        input: LogicalPlan,
        private: Private,
        author: Author,
    ) -> Result<Node> {
        let exprs = match author {
            Author::User => projection.expr.clone(),
            Author::Analysis => self.trusted_all(projection.expr.clone())?,
        };
        let schema = Arc::clone(input.schema());
        let rows = Rows { private: &private, schema: &schema };
        let infos = exprs
            .iter()
            .map(|expr| match author {
                Author::User => rows.derived(expr),
                Author::Analysis => Ok(trusted(expr, &private)),
            })
            .collect::<Result<Vec<_>>>()?;
        let hidden = private.supports.iter().map(|s| Expr::Column(s.column.clone()));
        let all: Vec<Expr> = exprs.into_iter().chain(hidden).collect();
        let projection = Projection::try_new(all, Arc::new(input))?;
        let columns: Vec<(Column, Info)> = infos
            .into_iter()
            .enumerate()
            .map(|(i, info)| (Column::from(projection.schema.qualified_field(i)), info))
            .collect();
        // Keys survive while each of them is passed on as it is.
        let keys = private.keys.as_ref().and_then(|keys| {
            let kept = keys.iter().map(|key| {
                let place = projection.expr.iter().position(|e| bare(e) == Some(key))?;
                Some(Column::from(projection.schema.qualified_field(place)))
            });
            kept.collect::<Option<Vec<_>>>()
        });
        let state = State::Private(Private { columns, keys, ..private });
        Ok(Node { plan: LogicalPlan::Projection(projection), state })
    }

    fn filter(&self, plan: &LogicalPlan, filter: &Filter, author: Author) -> Result<Node> {
        let input = self.node(&filter.input, author)?;
        let State::Private(mut private) = input.state else {
            return self.over(plan, vec![input.plan], input.state, author);
        };
        let predicate = match author {
            Author::User => {
                let schema = Arc::clone(input.plan.schema());
                let predicate =
                    Rows { private: &private, schema: &schema }.filter(&filter.predicate)?;
                // What has found no row of an outer join tells nothing of that join's other side.
                for absent in absent_rows(&predicate, &private) {
                    private = private.without(absent);
                }
                predicate
            }
            Author::Analysis => {
                let predicate = self.trusted_all(vec![filter.predicate.clone()])?;
                let predicate = predicate.into_iter().next().unwrap_or_default();
                // A branch that these arguments do not take reads nobody.
                if never(&predicate) {
                    return nothing(&filter.input);
                }
                predicate
            }
        };
        let filter = Filter::try_new(predicate, Arc::new(input.plan))?;
        Ok(Node { plan: LogicalPlan::Filter(filter), state: State::Private(private) })
    }

    fn aggregate(
        &self,
        aggregate: &Aggregate,
        input: LogicalPlan,
        private: Private,
        author: Author,
    ) -> Result<Node> {
        let (keys, calls) = match author {
            Author::User => (aggregate.group_expr.clone(), aggregate.aggr_expr.clone()),
            Author::Analysis => (
                self.trusted_all(aggregate.group_expr.clone())?,
                self.trusted_all(aggregate.aggr_expr.clone())?,
            ),
        };
        self.group(input, private, keys, calls, author)
    }

    /// Subqueries in the expressions of a node that is not private: they must not be private either.
    fn subqueries(&self, plan: LogicalPlan, author: Author) -> Result<LogicalPlan> {
        let changed = plan.map_expressions(|expr| {
            expr.transform(|e| self.subquery(e, author).map_err(Into::into))
        })?;
        Ok(changed.data)
    }

    pub(super) fn subquery(&self, expr: Expr, author: Author) -> Result<Transformed<Expr>> {
        let inner = |subquery: &Subquery| -> Result<Subquery> {
            let node = self.node(&subquery.subquery, author)?;
            let plan = match node.state {
                State::Public | State::Released => node.plan,
                State::Private(private) if author == Author::Analysis => {
                    let columns = private.columns.iter().map(|(c, _)| Expr::Column(c.clone()));
                    LogicalPlanBuilder::from(node.plan).project(columns)?.build()?
                }
                State::Private(private) => {
                    return Err(refusal(
                        Code::RowLevel,
                        format!(
                            "a subquery in an expression reads rows of {}",
                            tables_of(&private)
                        ),
                    )
                    .hint(
                        "let it give groups: `(SELECT avg(x) FROM …)`, or join on the persons' key",
                    ));
                }
            };
            Ok(subquery.with_plan(Arc::new(plan)))
        };
        Ok(match expr {
            Expr::ScalarSubquery(subquery) => {
                Transformed::yes(Expr::ScalarSubquery(inner(&subquery)?))
            }
            Expr::Exists(mut exists) => {
                exists.subquery = inner(&exists.subquery)?;
                Transformed::yes(Expr::Exists(exists))
            }
            Expr::InSubquery(within) => Transformed::yes(Expr::InSubquery(InSubquery {
                subquery: inner(&within.subquery)?,
                ..within
            })),
            Expr::SetComparison(comparison) => {
                Transformed::yes(Expr::SetComparison(SetComparison {
                    subquery: inner(&comparison.subquery)?,
                    ..comparison
                }))
            }
            other => Transformed::no(other),
        })
    }

    /// `EXPLAIN` for this role: the optimised plan, without constants and without anything about files.
    pub(super) fn explain(&self, explain: &Explain) -> Result<LogicalPlan> {
        let inner = self.query(&explain.plan)?;
        redact::explained(&inner.plan, &self.reading, self.session)
    }
}

/// The outer joins that have found no row for any row that meets a condition: `WHERE key IS NULL`.
fn absent_rows(predicate: &Expr, private: &Private) -> Vec<usize> {
    let absent = |condition: &Expr| match condition {
        Expr::IsNull(operand) => bare(operand).and_then(|c| private.info(c)?.absent),
        _ => None,
    };
    split_conjunction(predicate).into_iter().filter_map(absent).collect()
}

/// The column that an expression is, under whatever name.
pub(super) fn bare(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => bare(&alias.expr),
        _ => None,
    }
}

fn row_level(plan: &LogicalPlan, private: &Private) -> Error {
    let analysis = analysis_within(plan);
    let error = match &analysis {
        Some((name, grain)) => refusal(
            Code::RowLevel,
            format!("`{name}` gives {grain}, and this role sees groups only"),
        ),
        None => refusal(
            Code::RowLevel,
            format!(
                "the result has rows of {}, and this role sees groups only",
                tables_of(private)
            ),
        ),
    };
    match analysis {
        Some((name, _)) => error.hint(format!("group it: `SELECT segment, count(*) FROM {name}() GROUP BY segment`, with a column that it may be grouped by")),
        None => error.hint("group it: `SELECT country_code, count(*) FROM customers GROUP BY country_code`"),
    }
}

/// The tables that private rows come from.
pub(super) fn tables_of(private: &Private) -> String {
    let tables: BTreeSet<String> = private
        .columns
        .iter()
        .filter_map(|(_, info)| info.origin.rsplit_once('.').map(|(table, _)| format!("`{table}`")))
        .collect();
    match tables.is_empty() {
        true => "private rows".into(),
        false => tables.into_iter().collect::<Vec<_>>().join(", "),
    }
}
