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

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{AggregateFunction, InSubquery, SetComparison};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    Aggregate, Distinct, Explain, Expr, Extension, Filter, LogicalPlan, LogicalPlanBuilder,
    Projection, Subquery, SubqueryAlias, TableScan, TableSource, Window,
};

use super::declarations::{Role, SmallGroups};
use super::guarded::{Guarded, guarded};
use super::join;
use super::persons;
use super::refusal::{Code, refusal};
use super::release::{Demand, Release};
use super::rows::{Reading, undeclared};
use super::rules::Rows;
use super::state::{Info, Kind, Private, State, Support};
use crate::error::{Error, Result};
use crate::expand::{Marker, Origin};
use crate::library::PrivacyClass as Class;

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
    own_scans: Cell<usize>,
    /// How many relations of the user's own making analyses have been given.
    foreign: Cell<usize>,
    /// Whether small groups become one.
    merges: bool,
    /// The largest share of a sum that one person may hold.
    dominance: Option<f64>,
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
                && let Some(table) = provider.downcast_ref::<Guarded>().and_then(|g| g.declared())
                && let Some(k) = table.k
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

    /// Refuses a target that would overwrite what the policy protects.
    pub(super) fn may_write(&self, target: &str) -> Result<()> {
        self.reading.policy.may_write(target)
    }

    /// Whether a table holds an answer that this role has kept.
    pub(super) fn is_answer(&self, target: &Arc<dyn TableSource>) -> bool {
        self.reading.policy.is_answer(target)
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
                join::union(self, plan, inputs, author)
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

    /// An expansion, or what a caller gave to one.
    fn extension(&self, extension: &Extension, author: Author) -> Result<Node> {
        let Some(marker) = Marker::of(extension) else {
            return Err(refusal(
                Code::NotAllowed,
                format!("the operator `{}` is not known to the policy", extension.node.name()),
            ));
        };
        match &marker.origin {
            Origin::Argument => {
                let scans = self.own_scans.get();
                let node = self.node(&marker.input, Author::User)?;
                // What an argument reads is the argument's: the analysis is asked for its own.
                self.own_scans.set(scans);
                match &node.state {
                    State::Private(private) if !is_as_declared(&marker.input) => Err(refusal(
                        Code::NotAllowed,
                        format!(
                            "an analysis reads {} through a query of this statement",
                            tables_of(private)
                        ),
                    )
                    .hint("give the table itself; filter and group what the analysis returns")),
                    State::Public | State::Released if !is_as_declared(&marker.input) => {
                        self.foreign.set(self.foreign.get() + 1);
                        Ok(node)
                    }
                    State::Private(_) => {
                        self.own_scans.set(scans + 1);
                        Ok(node)
                    }
                    State::Public | State::Released => Ok(node),
                }
            }
            Origin::Analysis { name, grain, groups, given_columns } => {
                let before = (self.own_scans.get(), self.foreign.get());
                let node = self.node(&marker.input, Author::Analysis)?;
                // Rows that a user has made up, set beside a person's, would show what becomes of that person's.
                if self.own_scans.get() > before.0 && self.foreign.get() > before.1 {
                    return Err(refusal(
                        Code::NotAllowed,
                        format!("`{name}` reads private rows together with a relation of this statement's own"),
                    )
                    .hint("give it tables of the policy only; the operator can declare one for this purpose"));
                }
                if author == Author::User {
                    // What one analysis was given is not held against the next.
                    self.foreign.set(before.1);
                }
                let State::Private(private) = node.state else { return Ok(node) };
                // What an analysis makes of another's result is its own affair: the outermost result is released.
                if author == Author::Analysis && !*given_columns {
                    return Ok(Node { plan: node.plan, state: State::Private(private) });
                }
                if *given_columns {
                    return Err(refusal(
                        Code::NotAllowed,
                        format!("`{name}` reads private rows, so this role cannot tell it which columns to read"),
                    )
                    .hint("leave the column arguments out; a shop whose columns have other names maps them in an analysis of the operator's own"));
                }
                self.analysed(name, grain, groups, node.plan, private)
            }
        }
    }

    /// The result of an analysis: groups are released, rows about single persons stay private.
    fn analysed(
        &self,
        name: &str,
        grain: &str,
        groups: &[String],
        plan: LogicalPlan,
        private: Private,
    ) -> Result<Node> {
        if !private.supports.iter().any(|s| s.by_person) {
            self.step(
                "analysis",
                format!(
                    "`{name}` gives {grain}: rows of fewer than {} persons are left out",
                    self.k.get()
                ),
            );
            let columns = private.columns.iter().map(|(c, _)| c.clone()).collect();
            return self.release(plan, &private, self.k.get(), columns);
        }
        self.step("analysis", format!("`{name}` gives {grain}: private until it is grouped"));
        let columns = private
            .columns
            .into_iter()
            .map(|(column, info)| {
                let info = match groups.contains(&column.name) {
                    true => Info { class: Class::Quasi, kind: Kind::Key, compare: true, ..info },
                    false => info,
                };
                let origin = match info.kind {
                    Kind::Raw => info.origin,
                    _ => format!("{name}.{}", column.name),
                };
                (column, Info { origin, ..info })
            })
            .collect();
        Ok(Node { plan, state: State::Private(Private { columns, keys: None, ..private }) })
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
        let State::Private(private) = input.state else {
            return self.over(plan, vec![input.plan], input.state, author);
        };
        let predicate = match author {
            Author::User => {
                let schema = Arc::clone(input.plan.schema());
                Rows { private: &private, schema: &schema }.filter(&filter.predicate)?
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

    /// Rows become groups. Groups of one person each stay private; others of the user's are released.
    fn group(
        &self,
        input: LogicalPlan,
        private: Private,
        keys: Vec<Expr>,
        calls: Vec<Expr>,
        author: Author,
    ) -> Result<Node> {
        let schema = Arc::clone(input.schema());
        let rows = Rows { private: &private, schema: &schema };
        let sets = matches!(keys.first(), Some(Expr::GroupingSet(_)));
        let each: Vec<Expr> = grouping_set_to_exprlist(&keys)?.into_iter().cloned().collect();
        let key_infos = each
            .iter()
            .map(|key| match author {
                Author::User => rows.derived(key),
                Author::Analysis => Ok(trusted(key, &private)),
            })
            .collect::<Result<Vec<_>>>()?;
        // One group a person, or a part of one: what a key of theirs is equal in, is theirs.
        let by_person = !sets && key_infos.iter().any(|info| info.domain.is_some());
        let by_unit = !sets && key_infos.iter().any(|info| private.is_unit(info));
        let call_infos = match author {
            Author::User => {
                for (key, info) in each.iter().zip(&key_infos) {
                    if !(by_unit && private.is_unit(info)) {
                        rows.key(info, key)?;
                    }
                }
                calls.iter().map(|c| rows.aggregate(c, by_unit)).collect::<Result<Vec<_>>>()?
            }
            Author::Analysis => vec![],
        };
        if author == Author::User && !by_unit {
            return self.released_groups(input, &private, keys, &each, calls);
        }
        let (limit, count) = (self.limit(), calls.len());
        let mut supports = vec![];
        let mut all = calls;
        for support in &private.supports {
            let name = self.hidden("persons");
            all.push(counted(&support.column, limit).alias(name.clone()));
            supports.push(Support {
                column: Column::new_unqualified(name),
                is_set: true,
                unit: support.unit.clone(),
                by_person,
            });
        }
        let aggregate = Aggregate::try_new(Arc::new(input), keys, all)?;
        let fields = aggregate.schema.fields().len();
        let first_call = fields - supports.len() - count;
        let columns: Vec<(Column, Info)> = (0..fields - supports.len())
            .map(|i| {
                let column = Column::from(aggregate.schema.qualified_field(i));
                let info = if i < key_infos.len() {
                    key_infos[i].clone()
                } else if let Some(info) = i.checked_sub(first_call).and_then(|c| call_infos.get(c))
                {
                    info.clone()
                } else {
                    analysed(&column)
                };
                (column, info)
            })
            .collect();
        let keys =
            (!sets).then(|| columns[..key_infos.len()].iter().map(|(c, _)| c.clone()).collect());
        if author == Author::User {
            self.step("aggregate", "one row a person: private until it is grouped again");
        }
        let state = State::Private(Private { columns, supports, keys });
        Ok(Node { plan: LogicalPlan::Aggregate(aggregate), state })
    }

    /// The point where groups leave the private part of a statement.
    fn released_groups(
        &self,
        input: LogicalPlan,
        private: &Private,
        keys: Vec<Expr>,
        each: &[Expr],
        calls: Vec<Expr>,
    ) -> Result<Node> {
        let sets = matches!(keys.first(), Some(Expr::GroupingSet(_)));
        if sets {
            no_set_twice(&keys)?;
        }
        let second_moment = calls.iter().any(is_second_moment);
        let k = if second_moment { self.limit() } else { self.k.get() };
        // What the statement expects to find above: the keys, the number of the grouping set, the calls.
        let asked = Aggregate::try_new(Arc::new(input.clone()), keys.clone(), calls.clone())?;
        let before = asked.schema.fields().len() - calls.len();
        let (input, keys, merged) = match self.merges && !sets && !each.is_empty() {
            true => {
                let (input, keys) = super::merge::small_groups(self, input, private, each, k)?;
                (input, keys, 1)
            }
            false => (input, keys, 0),
        };
        let schema = Arc::clone(input.schema());
        let measures: Vec<super::checked::Measure> = calls
            .iter()
            .map(|call| super::checked::measure(self, call, &schema, private, self.dominance))
            .collect::<Result<_>>()?;
        let mut all: Vec<Expr> = measures.iter().map(|m| m.call.clone()).collect();
        all.extend(
            measures.iter().filter_map(|m| m.share.as_ref().map(|(share, _)| share.clone())),
        );
        let width = all.len();
        for support in &private.supports {
            all.push(counted(&support.column, self.limit()).alias(self.hidden("persons")));
        }
        if sets {
            let [support] = private.supports.as_slice() else {
                return Err(refusal(
                    Code::NotAllowed,
                    "grouping sets over rows of several kinds of units",
                )
                .hint("write one GROUP BY for each set"));
            };
            if support.is_set {
                return Err(refusal(
                    Code::NotAllowed,
                    "grouping sets over rows that were grouped before",
                )
                .hint("write one GROUP BY for each set"));
            }
            let unit = Expr::Column(support.column.clone());
            let count = datafusion::functions_aggregate::expr_fn::count_distinct(unit);
            all.push(count.alias(self.hidden("count")));
        }
        let aggregate = Aggregate::try_new(Arc::new(input), keys, all)?;
        let first = before + merged;
        let lattice = sets.then(|| super::complement::Lattice {
            id: each.len(),
            keys: (0..each.len()).collect(),
            count: aggregate.schema.fields().len() - 1,
        });
        let supports = (0..private.supports.len()).map(|i| first + width + i).collect();
        let made: Vec<Column> = (0..first + calls.len())
            .map(|i| Column::from(aggregate.schema.qualified_field(i)))
            .collect();
        self.step(
            "aggregate",
            match second_moment {
                true => format!("released: groups of at least {k} persons, three times as many because of a second moment"),
                false => format!("released: groups of at least {k} persons"),
            },
        );
        let demand = Demand { supports, k, lattice };
        let released = Release::of(LogicalPlan::Aggregate(aggregate), demand)?;
        // What was added for the policy goes, and the rest gets the names that the statement knows.
        let shown: Vec<Expr> = (0..before + calls.len())
            .map(|i| {
                let (qualifier, field) = asked.schema.qualified_field(i);
                let expr = match i.checked_sub(before) {
                    None => Expr::Column(made[i].clone()),
                    Some(call) => measures[call].shown(made[first + call].clone())?,
                };
                let same = matches!(&expr, Expr::Column(c) if c.name == *field.name() && c.relation.as_ref() == qualifier);
                Ok(if same { expr } else { expr.alias_qualified(qualifier.cloned(), field.name()) })
            })
            .collect::<Result<_>>()?;
        let plan = LogicalPlan::Projection(Projection::try_new(shown, Arc::new(released))?);
        Ok(Node { plan, state: State::Released })
    }

    /// Lets rows pass behind which enough persons stand, with the columns of the statement.
    fn release(
        &self,
        plan: LogicalPlan,
        private: &Private,
        k: usize,
        columns: Vec<Column>,
    ) -> Result<Node> {
        let hidden = private.supports.iter().map(|s| {
            let column = Expr::Column(s.column.clone());
            match s.is_set {
                true => column,
                false => {
                    persons::together(self.limit()).call(vec![column]).alias(self.hidden("persons"))
                }
            }
        });
        let width = columns.len();
        let all: Vec<Expr> = columns.into_iter().map(Expr::Column).chain(hidden).collect();
        let supports = (width..all.len()).collect();
        let plan = LogicalPlan::Projection(Projection::try_new(all, Arc::new(plan))?);
        let plan = Release::of(plan, Demand { supports, k, lattice: None })?;
        Ok(Node { plan, state: State::Released })
    }

    /// Subqueries in the expressions of a node that is not private: they must not be private either.
    fn subqueries(&self, plan: LogicalPlan, author: Author) -> Result<LogicalPlan> {
        let changed = plan.map_expressions(|expr| {
            expr.transform(|e| self.subquery(e, author).map_err(Into::into))
        })?;
        Ok(changed.data)
    }

    /// The expressions of an analysis: its subqueries read what the rest of it reads, and what they give has no columns of
    /// ours.
    pub(super) fn trusted_all(&self, exprs: Vec<Expr>) -> Result<Vec<Expr>> {
        exprs
            .into_iter()
            .map(|expr| {
                let done =
                    expr.transform(|e| self.subquery(e, Author::Analysis).map_err(Into::into));
                Ok(done?.data)
            })
            .collect()
    }

    fn subquery(&self, expr: Expr, author: Author) -> Result<Transformed<Expr>> {
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
        let optimized = self.session.optimize(&inner.plan)?;
        let shown = self.reading.legible(&super::shown(optimized)?);
        let text = |text: &str| Expr::Literal(ScalarValue::Utf8(Some(text.to_string())), None);
        let rows = LogicalPlanBuilder::values(vec![vec![text("logical_plan"), text(&shown)]])?;
        let named = [("column1", "plan_type"), ("column2", "plan")];
        let named = named.map(|(from, to)| Expr::Column(Column::new_unqualified(from)).alias(to));
        Ok(rows.project(named)?.build()?)
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

/// The analysis whose rows a query shows as they are.
fn analysis_within(plan: &LogicalPlan) -> Option<(String, String)> {
    if let LogicalPlan::Extension(extension) = plan
        && let Some(Marker { origin: Origin::Analysis { name, grain, .. }, .. }) =
            Marker::of(extension)
    {
        return Some((name.clone(), grain.clone()));
    }
    plan.inputs().into_iter().find_map(analysis_within)
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

/// A table as it stands, or the result of another analysis.
fn is_as_declared(plan: &LogicalPlan) -> bool {
    match plan {
        // A table that a user has made of answers is not the policy's.
        LogicalPlan::TableScan(scan) => guarded(&scan.source).is_some(),
        LogicalPlan::SubqueryAlias(alias) => is_as_declared(&alias.input),
        LogicalPlan::Extension(extension) => {
            Marker::of(extension).is_some_and(|marker| match marker.origin {
                Origin::Analysis { .. } => true,
                Origin::Argument => is_as_declared(&marker.input),
            })
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
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
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => false,
    }
}

/// Whether a condition of an analysis is false whatever the row: the arguments have decided it.
fn never(predicate: &Expr) -> bool {
    use datafusion::logical_expr::simplify::SimplifyContext;
    use datafusion::optimizer::simplify_expressions::ExprSimplifier;
    match predicate {
        Expr::Literal(value, _) => !matches!(value, ScalarValue::Boolean(Some(true))),
        Expr::BinaryExpr(both) if both.op == datafusion::logical_expr::Operator::And => {
            never(&both.left) || never(&both.right)
        }
        other if other.column_refs().is_empty() && !has_subquery(other) => {
            let simplifier = ExprSimplifier::new(SimplifyContext::default());
            let coerced = simplifier.coerce(other.clone(), &DFSchema::empty());
            match coerced.and_then(|e| simplifier.simplify(e)) {
                Ok(Expr::Literal(value, _)) => {
                    value.is_null() || matches!(value, ScalarValue::Boolean(Some(false)))
                }
                Ok(_) | Err(_) => false,
            }
        }
        _ => false,
    }
}

fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|e| {
        Ok(matches!(
            e,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
        ))
    })
    .unwrap_or(true)
}

/// No rows, of the same columns.
fn nothing(plan: &LogicalPlan) -> Result<Node> {
    let empty = datafusion::logical_expr::EmptyRelation {
        produce_one_row: false,
        schema: Arc::clone(plan.schema()),
    };
    Ok(Node { plan: LogicalPlan::EmptyRelation(empty), state: State::Public })
}

/// The column that an expression is, under whatever name.
pub(super) fn bare(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => bare(&alias.expr),
        _ => None,
    }
}

/// What an expression of an analysis gives: a column stays what it is, everything else is the analysis's own.
pub(super) fn trusted(expr: &Expr, private: &Private) -> Info {
    match (bare(expr).or_else(|| told(expr)).and_then(|column| private.info(column)), expr) {
        (Some(info), _) => info.clone(),
        // NULL stands for any key: it is equal to none.
        (None, _) if is_null(expr) => Info::null(),
        (None, _) => analysed(&Column::new_unqualified(expr.schema_name().to_string())),
    }
}

/// A time in the shop's wall-clock time says what the time in UTC says.
fn told(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Alias(alias) => told(&alias.expr),
        Expr::ScalarFunction(function) if function.name() == "local_time" => {
            function.args.first().and_then(bare)
        }
        _ => None,
    }
}

fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_null(&alias.expr),
        Expr::Cast(cast) => is_null(&cast.expr),
        Expr::Literal(value, _) => value.is_null(),
        _ => false,
    }
}

/// A column that an analysis has worked out.
pub(super) fn analysed(column: &Column) -> Info {
    Info {
        class: Class::Sensitive,
        domain: None,
        origin: column.name.clone(),
        kind: Kind::Analysed,
        compare: false,
    }
}

pub(super) fn counted(column: &Column, limit: usize) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(
        Arc::new(persons::persons(limit)),
        vec![Expr::Column(column.clone())],
        false,
        None,
        vec![],
        None,
    ))
}

fn is_second_moment(call: &Expr) -> bool {
    match call {
        Expr::Alias(alias) => is_second_moment(&alias.expr),
        Expr::AggregateFunction(call) => {
            let name = call.func.name();
            name.starts_with("var") || name.starts_with("stddev")
        }
        _ => false,
    }
}

/// Two equal grouping sets have numbers of another kind, and say nothing that one does not.
fn no_set_twice(keys: &[Expr]) -> Result<()> {
    use datafusion::logical_expr::expr::GroupingSet;
    let Some(Expr::GroupingSet(GroupingSet::GroupingSets(sets))) = keys.first() else {
        return Ok(());
    };
    for (i, set) in sets.iter().enumerate() {
        let same = |other: &Vec<Expr>| {
            other.len() == set.len() && other.iter().all(|key| set.contains(key))
        };
        if sets[..i].iter().any(same) {
            return Err(refusal(Code::NotAllowed, "a grouping set stands there twice")
                .hint("write each set once"));
        }
    }
    Ok(())
}
