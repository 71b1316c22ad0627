// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Where rows stand below each other: `UNION ALL`.

use std::sync::Arc;

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection, Union, lit};

use super::gate::{Author, Gate, Node, tables_of};
use super::join::as_private;
use super::persons;
use super::refusal::{Code, refusal};
use super::state::{Info, Kind, Private, State, Support};
use crate::error::Result;
use crate::library::PrivacyClass as Class;

/// `UNION ALL`.
pub(super) fn union(
    gate: &Gate,
    plan: &LogicalPlan,
    inputs: Vec<Node>,
    author: Author,
) -> Result<Node> {
    let private: Vec<&Private> = inputs
        .iter()
        .filter_map(|n| match &n.state {
            State::Private(private) => Some(private),
            State::Public | State::Released => None,
        })
        .collect();
    let Some(first) = private.first() else {
        let released = inputs.iter().any(|n| matches!(n.state, State::Released));
        let state = if released { State::Released } else { State::Public };
        return gate.over(plan, inputs.into_iter().map(|n| n.plan).collect(), state, author);
    };
    if author == Author::User {
        if private.len() < inputs.len() {
            return Err(refusal(
                Code::NotAllowed,
                format!("UNION puts rows of {} beside rows of another kind", tables_of(first)),
            )
            .hint("group each part first, and put the groups together"));
        }
        return union_of_user(gate, plan, &inputs);
    }
    let most = private.iter().map(|p| p.supports.len()).max().unwrap_or(0);
    let names: Vec<String> = (0..most).map(|_| gate.hidden("persons")).collect();
    let mut supports: Vec<Support> = names
        .iter()
        .enumerate()
        .map(|(i, name)| Support {
            column: Column::new_unqualified(name.clone()),
            is_set: true,
            unit: first
                .supports
                .get(i)
                .map_or_else(|| first.supports[0].unit.clone(), |s| s.unit.clone()),
            by_person: false,
            outer: None,
        })
        .collect();
    let width = plan.schema().fields().len();
    let mut infos: Vec<Option<Info>> = vec![None; width];
    let mut branches = vec![];
    for input in &inputs {
        let own = as_private(input);
        let mut exprs: Vec<Expr> =
            own.columns.iter().map(|(c, _)| Expr::Column(c.clone())).collect();
        for (i, support) in supports.iter_mut().enumerate() {
            let expr = match own.supports.get(i).or(own.supports.last()) {
                // Nobody: the row counts for no group.
                None => Expr::Literal(ScalarValue::Binary(None), None),
                Some(s) => {
                    support.by_person |= s.by_person;
                    let column = Expr::Column(s.column.clone());
                    match s.is_set {
                        true => column,
                        false => persons::together(gate.limit()).call(vec![column]),
                    }
                }
            };
            exprs.push(expr.alias(names[i].clone()));
        }
        if !matches!(input.plan, LogicalPlan::EmptyRelation(_)) {
            add(&mut infos, &own);
        }
        let branch = Projection::try_new(exprs, Arc::new(input.plan.clone()))?;
        branches.push(Arc::new(LogicalPlan::Projection(branch)));
    }
    united(branches, infos, supports)
}

/// A user's union: its parts may be chosen so that one holds the persons and another the amounts of one of them. So a
/// group needs enough persons of each part.
fn union_of_user(gate: &Gate, plan: &LogicalPlan, inputs: &[Node]) -> Result<Node> {
    let parts: Vec<Private> = inputs.iter().map(as_private).collect();
    let mut infos: Vec<Option<Info>> = vec![None; plan.schema().fields().len()];
    let mut supports = vec![];
    let mut hidden = vec![];
    for (part, (private, input)) in parts.iter().zip(inputs).enumerate() {
        add(&mut infos, private);
        for support in &private.supports {
            let column = Column::new_unqualified(gate.hidden("persons"));
            let data_type = Expr::Column(support.column.clone()).get_type(input.plan.schema())?;
            hidden.push((part, support.column.clone(), ScalarValue::try_from(&data_type)?));
            supports.push(Support { column, ..support.clone() });
        }
    }
    let mut branches = vec![];
    for (part, (private, input)) in parts.iter().zip(inputs).enumerate() {
        let columns = private.columns.iter().map(|(c, _)| Expr::Column(c.clone()));
        let persons = hidden.iter().zip(&supports).map(|((whose, column, nobody), support)| {
            let persons = match *whose == part {
                true => Expr::Column(column.clone()),
                false => lit(nobody.clone()),
            };
            persons.alias(support.column.name.clone())
        });
        let all: Vec<Expr> = columns.chain(persons).collect();
        let branch = Projection::try_new(all, Arc::new(input.plan.clone()))?;
        branches.push(Arc::new(LogicalPlan::Projection(branch)));
    }
    gate.step("union", "each part has to hold enough persons of a group");
    united(branches, infos, supports)
}

/// What is known of the columns, with those of one more branch.
fn add(infos: &mut [Option<Info>], branch: &Private) {
    for (info, (_, own)) in infos.iter_mut().zip(&branch.columns) {
        *info = Some(match info.take() {
            None => own.clone(),
            Some(earlier) => combined(earlier, own),
        });
    }
}

fn united(
    branches: Vec<Arc<LogicalPlan>>,
    infos: Vec<Option<Info>>,
    mut supports: Vec<Support>,
) -> Result<Node> {
    let union = Union::try_new_with_loose_types(branches)?;
    let width = infos.len();
    let columns = (0..width)
        .zip(infos)
        .map(|(i, info)| {
            let column = Column::from(union.schema.qualified_field(i));
            (column, info.unwrap_or_else(Info::null))
        })
        .collect();
    for (i, support) in supports.iter_mut().enumerate() {
        support.column = Column::from(union.schema.qualified_field(width + i));
    }
    Ok(Node {
        plan: LogicalPlan::Union(union),
        state: State::Private(Private { columns, supports, keys: None }),
    })
}

/// What is known of a column that two branches give: the more careful of both.
fn combined(a: Info, b: &Info) -> Info {
    let strictness = |class: Class| match class {
        Class::Direct => 5,
        Class::Text => 4,
        Class::Identifier => 3,
        Class::Sensitive => 2,
        Class::Quasi => 1,
        Class::Plain => 0,
    };
    // A NULL on one side takes nothing away. Another constant does: it may be somebody's key.
    if a.kind == Kind::Null {
        return b.clone();
    }
    if b.kind == Kind::Null {
        return a;
    }
    let domain = if a.domain == b.domain { a.domain.clone() } else { None };
    let class = if strictness(a.class) >= strictness(b.class) { a.class } else { b.class };
    let kind = match (a.kind, b.kind) {
        (x, y) if x == y => x,
        (Kind::Analysed, _) | (_, Kind::Analysed) => Kind::Analysed,
        (
            Kind::Raw | Kind::Key | Kind::Product | Kind::PerPerson | Kind::Constant | Kind::Null,
            _,
        ) => Kind::Key,
    };
    let mut outer = a.outer.clone();
    outer.extend(&b.outer);
    Info { class, domain, kind, compare: a.compare && b.compare, outer, absent: None, ..a }
}
