// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Where rows become groups: one a person, which stay private, or many, which are released when they are large enough.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::functions_aggregate::expr_fn::count_distinct;
use datafusion::logical_expr::expr::{AggregateFunction, GroupingSet};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, LogicalPlan, Operator, Projection, when,
};

use super::analysis::{analysed, trusted};
use super::checked::{Measure, measure};
use super::complement::Lattice;
use super::gate::{Author, Gate, Node};
use super::refusal::{Code, refusal};
use super::release::{Demand, Release};
use super::rules::Rows;
use super::state::{Info, Outer, Private, State, Support};
use super::{merge, persons};
use crate::error::Result;

impl Gate<'_> {
    /// Rows become groups. Groups of one person each stay private; others of the user's are released.
    pub(super) fn group(
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
        // One row a person, whatever an outer join has found, unless the groups are made by what it has found.
        let single = author == Author::User && key_infos.iter().all(|info| info.outer.is_empty());
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
                outer: support.outer.map(|o| Outer { multiplies: o.multiplies && !single, ..o }),
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
        let k = if second_moment { self.limit() } else { self.k() };
        // What the statement expects to find above: the keys, the number of the grouping set, the calls.
        let asked = Aggregate::try_new(Arc::new(input.clone()), keys.clone(), calls.clone())?;
        let before = asked.schema.fields().len() - calls.len();
        let (input, keys, merged) = match self.merges && !sets && !each.is_empty() {
            true => {
                let (input, keys) = merge::small_groups(self, input, private, each, k)?;
                (input, keys, 1)
            }
            false => (input, keys, 0),
        };
        let schema = Arc::clone(input.schema());
        let measures: Vec<Measure> = calls
            .iter()
            .map(|call| measure(self, call, &schema, private, self.dominance))
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
            let required: Vec<&Support> =
                private.supports.iter().filter(|s| s.outer.is_none()).collect();
            let [support] = required.as_slice() else {
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
            let count = count_distinct(unit);
            all.push(count.alias(self.hidden("count")));
        }
        let aggregate = Aggregate::try_new(Arc::new(input), keys, all)?;
        let first = before + merged;
        let lattice = sets.then(|| Lattice {
            id: each.len(),
            keys: (0..each.len()).collect(),
            count: aggregate.schema.fields().len() - 1,
        });
        let place = |support: usize| first + width + support;
        let required = |i: &usize| private.supports[*i].outer.is_none();
        let supports = (0..private.supports.len()).filter(required).map(place).collect();
        let made: Vec<Column> = (0..place(private.supports.len()))
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
                    Some(call) => {
                        let mut value = measures[call].shown(made[first + call].clone())?;
                        // What comes from a side that may have no row is about those who have one.
                        let depends = outer_joins(&calls[call], private);
                        for (i, support) in private.supports.iter().enumerate() {
                            if support.outer.is_some_and(|o| depends.contains(&o.id)) {
                                let set = Expr::Column(made[place(i)].clone());
                                value = when(persons::enough(k).call(vec![set]), value).end()?;
                            }
                        }
                        value
                    }
                };
                let same = matches!(&expr, Expr::Column(c) if c.name == *field.name() && c.relation.as_ref() == qualifier);
                Ok(if same { expr } else { expr.alias_qualified(qualifier.cloned(), field.name()) })
            })
            .collect::<Result<_>>()?;
        let plan = LogicalPlan::Projection(Projection::try_new(shown, Arc::new(released))?);
        Ok(Node { plan, state: State::Released })
    }

    /// Lets rows pass behind which enough persons stand, with the columns of the statement.
    pub(super) fn release(
        &self,
        plan: LogicalPlan,
        private: &Private,
        k: usize,
        columns: Vec<Column>,
    ) -> Result<Node> {
        let hidden = private.supports.iter().filter(|s| s.outer.is_none()).map(|s| {
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

/// Whether a call asks which grouping set a row is of.
pub(super) fn tells_sets(aggregate: &Aggregate) -> bool {
    aggregate.aggr_expr.iter().filter_map(called).any(|call| call.func.name() == "grouping")
}

fn called(call: &Expr) -> Option<&AggregateFunction> {
    match call {
        Expr::Alias(alias) => called(&alias.expr),
        Expr::AggregateFunction(call) => Some(call),
        _ => None,
    }
}

/// Whether a call says how far values lie from each other; a sum of squares does.
fn is_second_moment(call: &Expr) -> bool {
    let Some(call) = called(call) else { return false };
    let name = call.func.name();
    let is_square = |argument: &Expr| match argument {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Multiply, right }) => left == right,
        _ => false,
    };
    name.starts_with("var") || name.starts_with("stddev") || call.params.args.iter().any(is_square)
}

/// The outer joins that a call's result tells of.
fn outer_joins(call: &Expr, private: &Private) -> Vec<usize> {
    let Some(function) = called(call) else { return vec![] };
    let columns = function.params.args.iter().flat_map(Expr::column_refs);
    let mut joins: Vec<usize> =
        columns.filter_map(|c| private.info(c)).flat_map(|info| info.outer.clone()).collect();
    // How often a value stands there makes no difference to how many there are.
    if !function.params.distinct && function.func.name() != "approx_distinct" {
        joins.extend(private.multiplied());
    }
    joins
}

/// Two equal grouping sets have numbers of another kind, and say nothing that one does not.
fn no_set_twice(keys: &[Expr]) -> Result<()> {
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
