// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Reviewed analyses within a statement: their expressions are trusted, their results are not. Groups in a result are released
//! like any others, and rows about one person each stay private until somebody groups them.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, lit};

use super::conditions::worked_out;
use super::gate::{Author, Gate, Node, bare, tables_of};
use super::guarded::guarded;
use super::refusal::{Code, refusal};
use super::state::{Info, Kind, Private, State};
use crate::error::Result;
use crate::expand::{Marker, Origin};
use crate::library::PrivacyClass as Class;

impl Gate<'_> {
    /// An expansion, or what a caller gave to one.
    pub(super) fn extension(&self, extension: &Extension, author: Author) -> Result<Node> {
        let Some(marker) = Marker::of(extension) else {
            return Err(refusal(
                Code::NotAllowed,
                format!("the operator `{}` is not known to the policy", extension.node.name()),
            ));
        };
        match &marker.origin {
            Origin::Table(name) if self.is_the_operators(name, &marker.input) => {
                self.node(&marker.input, author)
            }
            Origin::Argument | Origin::Table(_) => {
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
            Origin::Analysis { name, grain, groups, withheld, given_columns } => {
                let before = (self.own_scans.get(), self.foreign.get());
                let node = self.node(&marker.input, Author::Analysis)?;
                // Rows that a user has made up, set beside a person's, would show what becomes of that person's.
                if self.own_scans.get() > before.0 && self.foreign.get() > before.1 {
                    return Err(refusal(
                        Code::NotAllowed,
                        format!("`{name}` reads private rows together with a relation that is not the policy's"),
                    )
                    .hint("give it tables of the policy only, and keep none of your own under a name that it reads; the operator can declare one for this purpose"));
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
                self.analysed(name, grain, (groups, withheld), node.plan, private)
            }
        }
    }

    /// Whether a table that an analysis reads by its own word is the policy's, or a view of the configuration, and not what
    /// somebody has made under its name.
    fn is_the_operators(&self, name: &TableReference, table: &LogicalPlan) -> bool {
        is_as_declared(table) || self.policy().is_view(name, self.session())
    }

    /// The result of an analysis: groups are released, rows about single persons stay private.
    fn analysed(
        &self,
        name: &str,
        grain: &str,
        (groups, withheld): (&[String], &[String]),
        plan: LogicalPlan,
        private: Private,
    ) -> Result<Node> {
        if !private.supports.iter().any(|s| s.by_person) {
            self.step(
                "analysis",
                format!(
                    "`{name}` gives {grain}: rows of fewer than {} persons are left out",
                    self.k()
                ),
            );
            let columns = private.columns.iter().map(|(c, _)| c.clone()).collect();
            let released = self.release(plan, &private, self.k(), columns)?;
            return self.without(name, withheld, released);
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

    /// A result with NULL in the columns that hold the value of a single person: the least and the greatest of a group.
    fn without(&self, name: &str, withheld: &[String], released: Node) -> Result<Node> {
        if withheld.is_empty() {
            return Ok(released);
        }
        self.step("analysis", format!("`{name}` keeps back {}", withheld.join(", ")));
        let shown = released.plan.schema().iter().map(|(qualifier, field)| {
            if !withheld.contains(field.name()) {
                return Ok(Expr::Column(Column::new(qualifier.cloned(), field.name())));
            }
            let nothing = lit(ScalarValue::try_from(field.data_type())?);
            Ok(nothing.alias_qualified(qualifier.cloned(), field.name()))
        });
        let shown = shown.collect::<Result<Vec<_>>>()?;
        let plan = LogicalPlanBuilder::from(released.plan).project(shown)?.build()?;
        Ok(Node { plan, ..released })
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
}

/// The analysis whose rows a query shows as they are.
pub(super) fn analysis_within(plan: &LogicalPlan) -> Option<(String, String)> {
    if let LogicalPlan::Extension(extension) = plan
        && let Some(Marker { origin: Origin::Analysis { name, grain, .. }, .. }) =
            Marker::of(extension)
    {
        return Some((name.clone(), grain.clone()));
    }
    plan.inputs().into_iter().find_map(analysis_within)
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
                Origin::Argument | Origin::Table(_) => is_as_declared(&marker.input),
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
pub(super) fn never(predicate: &Expr) -> bool {
    match predicate {
        Expr::Literal(value, _) => !matches!(value, ScalarValue::Boolean(Some(true))),
        Expr::BinaryExpr(both) if both.op == datafusion::logical_expr::Operator::And => {
            never(&both.left) || never(&both.right)
        }
        other if other.column_refs().is_empty() && !has_subquery(other) => {
            match worked_out(other) {
                Ok(Expr::Literal(value, _)) => {
                    value.is_null() || matches!(value, ScalarValue::Boolean(Some(false)))
                }
                Ok(_) | Err(_) => false,
            }
        }
        _ => false,
    }
}

pub(super) fn has_subquery(expr: &Expr) -> bool {
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
pub(super) fn nothing(plan: &LogicalPlan) -> Result<Node> {
    let empty = datafusion::logical_expr::EmptyRelation {
        produce_one_row: false,
        schema: Arc::clone(plan.schema()),
    };
    Ok(Node { plan: LogicalPlan::EmptyRelation(empty), state: State::Public })
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
        origin: column.name.clone(),
        kind: Kind::Analysed,
        ..Info::constant()
    }
}
