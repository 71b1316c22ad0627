// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Where rows of two sides meet.
//!
//! A user joins persons with their own rows, by the person or by a declared link, and with public relations by columns that
//! may be compared ([`Partner`]). Where a side may have no row, what is worked out from it is about those persons who have
//! one: they are counted on their own. An analysis joins as it needs to; then a row depends on the persons of both sides, and both hidden
//! columns are kept, unless the two are known to be about the same.

use std::sync::Arc;

use datafusion::common::{Column, JoinType, NullEquality};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Join, LogicalPlan, Operator, Projection, lit, when,
};

use super::gate::{Author, Gate, Node, bare, tables_of};
use super::partner::{self, Partner};
use super::persons;
use super::refusal::{Code, refusal};
use super::rules::Rows;
use super::state::{Info, Kind, Outer, Private, State, Support};
use crate::error::Result;
use crate::library::PrivacyClass as Class;

/// A join.
pub(super) fn join(gate: &Gate, plan: &LogicalPlan, join: &Join, author: Author) -> Result<Node> {
    let left = gate.node(&join.left, author)?;
    let right = gate.node(&join.right, author)?;
    match (&left.state, &right.state) {
        (State::Public, State::Public) => {
            gate.over(plan, vec![left.plan, right.plan], State::Public, author)
        }
        (State::Public | State::Released, State::Public | State::Released) => {
            gate.over(plan, vec![left.plan, right.plan], State::Released, author)
        }
        (State::Private(_), _) | (_, State::Private(_)) => {
            let sides = Sides { left, right, join };
            match author {
                Author::User => sides.of_user(gate),
                Author::Analysis => sides.of_analysis(gate),
            }
        }
    }
}

struct Sides<'a> {
    left: Node,
    right: Node,
    join: &'a Join,
}

/// The rows of a side as private ones: those of a public side are about nobody.
pub(super) fn as_private(node: &Node) -> Private {
    match &node.state {
        State::Private(private) => private.clone(),
        State::Public | State::Released => {
            Private { columns: partner::columns(&node.plan, Kind::Raw), ..Private::default() }
        }
    }
}

impl Sides<'_> {
    /// The conditions: pairs of columns that are equal, left first, and what else there is.
    fn conditions(&self, left: &Private, right: &Private) -> (Vec<(Column, Column)>, Vec<Expr>) {
        let mut pairs = vec![];
        let mut others = vec![];
        let on = self.join.on.iter().map(|(l, r)| l.clone().eq(r.clone()));
        let filter = self.join.filter.iter().flat_map(split_conjunction).cloned();
        for condition in on.chain(filter) {
            if let Expr::BinaryExpr(BinaryExpr { left: a, op: Operator::Eq, right: b }) = &condition
                && let (Some(a), Some(b)) = (bare(a), bare(b))
            {
                if left.info(a).is_some() && right.info(b).is_some() {
                    pairs.push((a.clone(), b.clone()));
                    continue;
                }
                if left.info(b).is_some() && right.info(a).is_some() {
                    pairs.push((b.clone(), a.clone()));
                    continue;
                }
            }
            others.push(condition);
        }
        (pairs, others)
    }

    /// The same join over the sides as they are now.
    fn rebuilt(&self, on: Vec<(Expr, Expr)>, filter: Option<Expr>) -> Result<LogicalPlan> {
        Ok(LogicalPlan::Join(Join::try_new(
            Arc::new(self.left.plan.clone()),
            Arc::new(self.right.plan.clone()),
            on,
            filter,
            self.join.join_type,
            self.join.join_constraint,
            self.join.null_equality,
            self.join.null_aware,
        )?))
    }

    fn of_user(mut self, gate: &Gate) -> Result<Node> {
        let (mut left, mut right) = (as_private(&self.left), as_private(&self.right));
        let both = !left.supports.is_empty() && !right.supports.is_empty();
        let names = match (left.supports.is_empty(), right.supports.is_empty()) {
            (false, true) => tables_of(&left),
            (true, false) => tables_of(&right),
            (_, _) => format!("{} and {}", tables_of(&left), tables_of(&right)),
        };
        let kept_left = self.keeps_left(&left, &right, &names)?;
        let (pairs, others) = self.conditions(&left, &right);
        self.by_allowed_columns(&pairs, &left, &right, both, &names)?;
        let partner = match both {
            true => None,
            false => Some(self.partner(&pairs, right.supports.is_empty(), &names)?),
        };
        if partner == Some(Partner::Written) {
            let (written, plan) = match right.supports.is_empty() {
                true => (&mut right, &self.right.plan),
                false => (&mut left, &self.left.plan),
            };
            written.columns = partner::columns(plan, Kind::Key);
        }
        let schema = self.left.plan.schema().join(self.right.plan.schema())?;
        let columns = left.columns.iter().chain(&right.columns).cloned().collect();
        let all = Private { columns, ..Private::default() };
        let rows = Rows { private: &all, schema: &schema };
        let others: Vec<Expr> = others.iter().map(|o| rows.filter(o)).collect::<Result<_>>()?;
        let outer = (self.join.join_type != JoinType::Inner).then(|| gate.outer_join());
        let multiplies = match partner {
            None => true,
            Some(Partner::Table { filtered }) => filtered || !others.is_empty(),
            Some(Partner::Written) => false,
        };
        let outer = outer.map(|id| Outer { id, multiplies });
        let equal = pairs.iter().map(|(a, b)| Expr::Column(a.clone()).eq(Expr::Column(b.clone())));
        let filter = conjunction(equal.chain(others));
        let (first, second) = if kept_left { (&left, &mut right) } else { (&right, &mut left) };
        if let Some(Outer { id, .. }) = outer {
            for (column, info) in &mut second.columns {
                info.outer.push(id);
                if pairs.iter().any(|(a, b)| a == column || b == column) {
                    info.absent = Some(id);
                }
            }
        }
        let mut supports = first.supports.clone();
        let plan = match (outer, partner) {
            // What the statement has written cannot be added up, and says nothing about how many there are.
            (None, _) | (Some(_), Some(Partner::Written)) => {
                let known = |s: &Support| {
                    s.outer.is_none() && first.supports.iter().any(|f| f.unit == s.unit)
                };
                supports.extend(second.supports.iter().filter(|s| !known(s)).cloned());
                self.rebuilt(vec![], filter)?
            }
            (Some(outer), None) => {
                let may_lack =
                    |s: &Support| Support { outer: s.outer.or(Some(outer)), ..s.clone() };
                supports.extend(second.supports.iter().map(may_lack));
                self.rebuilt(vec![], filter)?
            }
            (Some(outer), Some(Partner::Table { .. })) => {
                let found = gate.hidden("found");
                self.mark(kept_left, &found)?;
                let joined = self.rebuilt(vec![], filter)?;
                let (plan, more) = with_found(gate, joined, &found, &first.supports, outer)?;
                supports.extend(more);
                plan
            }
        };
        let columns = left.columns.into_iter().chain(right.columns).collect();
        gate.step(
            "join",
            if both { "private rows of the same persons" } else { "private rows with public ones" },
        );
        Ok(Node { plan, state: State::Private(Private { columns, supports, keys: None }) })
    }

    /// Whether the rows of the left side are kept, by a kind of join that a user may write.
    fn keeps_left(&self, left: &Private, right: &Private, names: &str) -> Result<bool> {
        if self.join.null_equality == NullEquality::NullEqualsNull {
            return Err(refusal(
                Code::NotAllowed,
                format!("a join of {names} takes NULL for a person"),
            )
            .hint("join with `=`; the rows that `k_anonymise` publishes are an owner's to publish, and `k_anonymise_report` says what a release would be"));
        }
        match self.join.join_type {
            JoinType::Inner => Ok(!left.supports.is_empty()),
            JoinType::Left if !left.supports.is_empty() => Ok(true),
            JoinType::Right if !right.supports.is_empty() => Ok(false),
            JoinType::Left | JoinType::Right => {
                Err(refusal(Code::NotAllowed, format!("an outer join keeps public rows that have no partner in {names}"))
                    .hint("keep the private side, or join with the groups: `… LEFT JOIN (SELECT key, count(*) FROM … GROUP BY key)`"))
            }
            JoinType::Full
            | JoinType::LeftSemi
            | JoinType::RightSemi
            | JoinType::LeftAnti
            | JoinType::RightAnti
            | JoinType::LeftMark
            | JoinType::RightMark => Err(refusal(
                Code::NotAllowed,
                format!("a {} join cannot read {names}", self.join.join_type),
            )
            .hint("accepted are JOIN and LEFT JOIN")),
        }
    }

    /// Refuses a join that is not by persons, links, or columns of one type that may be compared.
    fn by_allowed_columns(
        &self,
        pairs: &[(Column, Column)],
        left: &Private,
        right: &Private,
        both: bool,
        names: &str,
    ) -> Result<()> {
        let mut linked = false;
        for (a, b) in pairs {
            let (Some(l), Some(r)) = (left.info(a), right.info(b)) else { continue };
            if l.domain.is_some() && l.domain == r.domain {
                linked = true;
                continue;
            }
            for info in [l, r] {
                let may = matches!(info.kind, Kind::Raw | Kind::Key)
                    && match info.class {
                        Class::Plain => true,
                        Class::Quasi => info.compare,
                        Class::Direct | Class::Text | Class::Identifier | Class::Sensitive => false,
                    };
                if !may {
                    return Err(refusal(
                        Code::NotAllowed,
                        format!("`{}` of class {} cannot be joined on", info.origin, info.class.word()),
                    )
                    .hint("join persons on their key or on a declared link, and public tables on columns that may be compared"));
                }
            }
            // A conversion can fail on a row, and that it does says that there is one.
            let (one, other) = (
                Expr::Column(a.clone()).get_type(self.left.plan.schema())?,
                Expr::Column(b.clone()).get_type(self.right.plan.schema())?,
            );
            let text = persons::is_text(&one) && persons::is_text(&other);
            let whole = one.is_signed_integer() && other.is_signed_integer();
            if one != other && !text && !whole {
                return Err(refusal(
                    Code::NotAllowed,
                    format!("`{}` of type {one} cannot be joined on `{}` of type {other}", l.origin, r.origin),
                )
                .hint("give the column of the other side the type of the private one: `CAST(column AS …)` in its own query"));
            }
        }
        if both && !linked {
            return Err(refusal(Code::NotAllowed, format!("the join of {names} is not by the person"))
                .hint("join on the persons' key or on a declared link: `ON orders.customer_id = customers.customer_id`"));
        }
        if pairs.is_empty() {
            return Err(refusal(
                Code::NotAllowed,
                format!("the join of {names} has no columns that are equal"),
            )
            .hint("write `JOIN … ON a.column = b.column`"));
        }
        Ok(())
    }

    /// What the public side is.
    fn partner(&self, pairs: &[(Column, Column)], on_right: bool, names: &str) -> Result<Partner> {
        let (plan, keys): (_, Vec<Column>) = match on_right {
            true => (&self.join.right, pairs.iter().map(|(_, b)| b.clone()).collect()),
            false => (&self.join.left, pairs.iter().map(|(a, _)| a.clone()).collect()),
        };
        Partner::of(plan, &keys).ok_or_else(|| {
            let shown: Vec<String> = keys.iter().map(|k| format!("`{}`", k.name)).collect();
            refusal(
                Code::NotAllowed,
                format!(
                    "{names} would be joined with a relation that may have several rows for one {}",
                    shown.join(", ")
                ),
            )
            .hint("let it have one: `JOIN (SELECT key, … FROM … GROUP BY key)`, or `SELECT DISTINCT key`; or join with a table of the policy")
        })
    }

    /// Adds a column to the side that may have no row, which is NULL when it has none.
    fn mark(&mut self, kept_left: bool, name: &str) -> Result<()> {
        let side = if kept_left { &mut self.right } else { &mut self.left };
        let columns = side.plan.schema().columns().into_iter().map(Expr::Column);
        let all: Vec<Expr> = columns.chain([lit(true).alias(name)]).collect();
        side.plan = LogicalPlan::Projection(Projection::try_new(all, Arc::new(side.plan.clone()))?);
        Ok(())
    }

    fn of_analysis(self, gate: &Gate) -> Result<Node> {
        let (left, right) = (as_private(&self.left), as_private(&self.right));
        let (pairs, _) = self.conditions(&left, &right);
        let on = self
            .join
            .on
            .iter()
            .map(|(l, r)| {
                let both = gate.trusted_all(vec![l.clone(), r.clone()])?;
                match <[Expr; 2]>::try_from(both) {
                    Ok([l, r]) => Ok((l, r)),
                    Err(_) => Err(crate::Error::query("a join's condition has two sides")),
                }
            })
            .collect::<Result<Vec<_>>>()?;
        let filter = gate.trusted_all(self.join.filter.iter().cloned().collect())?;
        let plan = self.rebuilt(on, filter.into_iter().next())?;
        let one_side = match self.join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => Some(&left),
            JoinType::RightSemi | JoinType::RightAnti => Some(&right),
            JoinType::LeftMark | JoinType::RightMark => {
                return Err(refusal(Code::NotAllowed, "a mark join is not known to the policy"));
            }
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => None,
        };
        if let Some(side) = one_side {
            // Rows about nobody, picked by rows about somebody, would be about them.
            if side.supports.is_empty() {
                return Err(refusal(
                    Code::NotAllowed,
                    "an analysis picks public rows by private ones",
                )
                .hint("this analysis cannot be read by this role"));
            }
            return Ok(Node { plan, state: State::Private(side.clone()) });
        }
        let columns: Vec<(Column, Info)> =
            left.columns.iter().chain(&right.columns).cloned().collect();
        if left.supports.is_empty() || right.supports.is_empty() {
            let side = if left.supports.is_empty() { right } else { left };
            let state = State::Private(Private { columns, ..side });
            return Ok(Node { plan, state });
        }
        let same_person = pairs.iter().any(|(a, b)| {
            let domain = |side: &Private, c: &Column| side.info(c).and_then(|i| i.domain.clone());
            domain(&left, a).is_some() && domain(&left, a) == domain(&right, b)
        });
        let covers = |keys: &Option<Vec<Column>>, side: fn(&(Column, Column)) -> &Column| {
            keys.as_ref().is_some_and(|keys| {
                !keys.is_empty()
                    && keys.iter().all(|key| pairs.iter().any(|pair| side(pair) == key))
            })
        };
        // Two relations grouped by the same keys are the parts of one: the persons of a row are those of both.
        let same_groups = covers(&left.keys, |pair| &pair.0) && covers(&right.keys, |pair| &pair.1);
        let keys = if same_groups { left.keys.clone() } else { None };
        meet(
            gate,
            plan,
            self.join.join_type,
            columns,
            (&left, &right),
            same_person,
            same_groups,
            keys,
        )
    }
}

/// The persons whose rows have found a partner.
fn with_found(
    gate: &Gate,
    joined: LogicalPlan,
    found: &str,
    supports: &[Support],
    outer: Outer,
) -> Result<(LogicalPlan, Vec<Support>)> {
    let mark = Column::new_unqualified(found);
    let columns = joined.schema().columns().into_iter().filter(|c| *c != mark).map(Expr::Column);
    let mut all: Vec<Expr> = columns.collect();
    let mut more = vec![];
    for support in supports.iter().filter(|s| s.outer.is_none()) {
        let name = gate.hidden("persons");
        let unit = Expr::Column(support.column.clone());
        all.push(when(Expr::Column(mark.clone()), unit).end()?.alias(name.clone()));
        let column = Column::new_unqualified(name);
        more.push(Support { column, outer: Some(outer), ..support.clone() });
    }
    let plan = LogicalPlan::Projection(Projection::try_new(all, Arc::new(joined))?);
    Ok((plan, more))
}

/// The hidden columns of a join of two private sides.
#[expect(clippy::too_many_arguments, reason = "what is known of one join")]
fn meet(
    gate: &Gate,
    plan: LogicalPlan,
    join_type: JoinType,
    columns: Vec<(Column, Info)>,
    (left, right): (&Private, &Private),
    same_person: bool,
    same_groups: bool,
    keys: Option<Vec<Column>>,
) -> Result<Node> {
    let (first, second) = match join_type {
        JoinType::Right => (&right.supports, &left.supports),
        _ => (&left.supports, &right.supports),
    };
    if same_person && matches!(join_type, JoinType::Inner | JoinType::Left | JoinType::Right) {
        let state = State::Private(Private { columns, supports: first.clone(), keys });
        return Ok(Node { plan, state });
    }
    let set = |s: &Support| match s.is_set {
        true => Expr::Column(s.column.clone()),
        false => persons::together(gate.limit()).call(vec![Expr::Column(s.column.clone())]),
    };
    let either =
        |a: &Support, b: &Support| datafusion::functions::expr_fn::coalesce(vec![set(a), set(b)]);
    let both = |a: &Support, b: &Support| {
        let columns = [a, b].map(|s| Expr::Column(s.column.clone()));
        persons::together(gate.limit()).call(columns.to_vec())
    };
    let mut made: Vec<(Expr, bool, String)> = vec![];
    if same_person || same_groups {
        for i in 0..first.len().max(second.len()) {
            // A side with fewer stands with its last for the rest.
            let a = first.get(i).unwrap_or(&first[first.len() - 1]);
            let b = second.get(i).unwrap_or(&second[second.len() - 1]);
            let expr = if same_person { either(a, b) } else { both(a, b) };
            made.push((expr, a.by_person || b.by_person, a.unit.clone()));
        }
    } else {
        // A row that an outer join fills up with NULL is about the other side's persons alone.
        for (own, other) in [(first, second), (second, first)] {
            for support in own {
                let expr = match join_type {
                    JoinType::Inner => set(support),
                    _ => either(support, &other[0]),
                };
                made.push((expr, support.by_person, support.unit.clone()));
            }
        }
    }
    let mut exprs: Vec<Expr> = columns.iter().map(|(c, _)| Expr::Column(c.clone())).collect();
    let mut supports = vec![];
    for (expr, by_person, unit) in made {
        let name = gate.hidden("persons");
        exprs.push(expr.alias(name.clone()));
        supports.push(Support {
            column: Column::new_unqualified(name),
            is_set: true,
            unit,
            by_person,
            outer: None,
        });
    }
    let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?);
    Ok(Node { plan, state: State::Private(Private { columns, supports, keys }) })
}
