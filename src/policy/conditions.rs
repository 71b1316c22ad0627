// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a filter may ask of private rows: a column against constants that the gate has worked out itself, typed as the column
//! is.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, Volatility, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::gate::bare;
use super::kinds::{is_constant_node, kind_of};
use super::rules::{Rows, not_allowed, of_class};
use super::state::Kind;
use crate::error::{Error, Result};
use crate::library::PrivacyClass as Class;

impl Rows<'_> {
    /// A condition of a filter, as it will be evaluated.
    pub(super) fn filter(&self, expr: &Expr) -> Result<Expr> {
        self.condition(expr, false)
    }

    /// A conjunction of simple conditions. `cases` are more liberal: they make groups, which have a threshold of their own.
    pub(super) fn condition(&self, expr: &Expr, cases: bool) -> Result<Expr> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Ok(self.condition(left, cases)?.and(self.condition(right, cases)?))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                let (l, r) = (self.condition(left, cases)?, self.condition(right, cases)?);
                let columns = expr.column_refs();
                if columns.len() > 1 {
                    return Err(not_allowed(format!("OR mixes {}", self.origins(expr)))
                        .hint("conditions on different columns are joined with AND only"));
                }
                Ok(l.or(r))
            }
            Expr::Literal(ScalarValue::Boolean(_), _) => Ok(expr.clone()),
            Expr::Not(inner) => match inner.column_refs().len() {
                0 | 1 => Ok(Expr::Not(Box::new(self.condition(inner, cases)?))),
                _ => Err(not_allowed(format!("NOT mixes {}", self.origins(expr)))
                    .hint("write NOT over one comparison")),
            },
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
                let swap = left.column_refs().is_empty();
                let (operand, constant) = if swap { (right, left) } else { (left, right) };
                if operand.column_refs().is_empty() {
                    return Ok(lit(self.constant(expr)?));
                }
                if !constant.column_refs().is_empty() {
                    return Err(not_allowed(format!("a filter compares {}", self.origins(expr)))
                        .hint("compare a column with a constant"));
                }
                self.compared(operand, cases)?;
                let value = self.constant_as(constant, operand)?;
                let (left, right) = if swap {
                    (lit(value), operand.as_ref().clone())
                } else {
                    (operand.as_ref().clone(), lit(value))
                };
                Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), *op, Box::new(right))))
            }
            Expr::Between(Between { expr: operand, negated, low, high }) => {
                self.compared(operand, cases)?;
                Ok(Expr::Between(Between {
                    expr: operand.clone(),
                    negated: *negated,
                    low: Box::new(lit(self.constant_as(low, operand)?)),
                    high: Box::new(lit(self.constant_as(high, operand)?)),
                }))
            }
            Expr::InList(InList { expr: operand, list, negated }) => {
                self.compared(operand, cases)?;
                let list = list
                    .iter()
                    .map(|item| Ok(lit(self.constant_as(item, operand)?)))
                    .collect::<Result<Vec<_>>>()?;
                Ok(Expr::InList(InList { expr: operand.clone(), list, negated: *negated }))
            }
            // Whether an outer join has found a row.
            Expr::IsNotNull(operand) | Expr::IsNull(operand) if self.is_key_of_outer(operand) => {
                Ok(expr.clone())
            }
            Expr::IsNotNull(operand)
            | Expr::IsNull(operand)
            | Expr::IsTrue(operand)
            | Expr::IsFalse(operand)
            | Expr::IsUnknown(operand)
            | Expr::IsNotTrue(operand)
            | Expr::IsNotFalse(operand)
            | Expr::IsNotUnknown(operand) => {
                self.compared(operand, cases)?;
                Ok(expr.clone())
            }
            Expr::Column(_) => {
                self.compared(expr, cases)?;
                Ok(expr.clone())
            }
            Expr::Alias(_)
            | Expr::ScalarVariable(..)
            | Expr::Literal(..)
            | Expr::BinaryExpr(_)
            | Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::Negative(_)
            | Expr::Case(_)
            | Expr::Cast(_)
            | Expr::TryCast(_)
            | Expr::ScalarFunction(_)
            | Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::SetComparison(_)
            | Expr::ScalarSubquery(_)
            | Expr::GroupingSet(_)
            | Expr::Placeholder(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::Unnest(_)
            | Expr::HigherOrderFunction(_)
            | Expr::Lambda(_)
            | Expr::LambdaVariable(_) => Err(self.odd_filter(expr)),
            #[expect(deprecated, reason = "exhaustive")]
            Expr::Wildcard { .. } => Err(self.odd_filter(expr)),
        }
    }

    fn is_key_of_outer(&self, operand: &Expr) -> bool {
        bare(operand).and_then(|c| self.private.info(c)).is_some_and(|info| info.absent.is_some())
    }

    fn odd_filter(&self, expr: &Expr) -> Error {
        let over = self.origins(expr);
        let over = if over.is_empty() { String::new() } else { format!(" over {over}") };
        not_allowed(format!("{}{over} cannot stand in a filter of private rows", kind_of(expr)))
            .hint("a filter compares one column with constants: `column = constant`, `IN (…)`, `BETWEEN … AND …`, `IS NULL`, joined with AND")
    }

    /// Refuses what may not be compared with a constant.
    pub(super) fn compared(&self, operand: &Expr, cases: bool) -> Result<()> {
        let info = self.derived(operand)?;
        let may = match (info.class, info.kind) {
            (Class::Direct | Class::Text | Class::Identifier, _) => false,
            // In a CASE, what was counted or added up for each person may be told apart: the cases are groups.
            (_, Kind::PerPerson) => cases,
            (_, Kind::Product | Kind::Analysed | Kind::Constant | Kind::Null) => false,
            (Class::Sensitive, _) => false,
            (Class::Plain, Kind::Raw | Kind::Key) => true,
            (Class::Quasi, Kind::Raw | Kind::Key) => info.compare,
        };
        if may {
            return Ok(());
        }
        let error =
            not_allowed(format!("`{}` is {} and cannot be compared", info.origin, of_class(&info)));
        Err(match (info.class, info.kind) {
            (Class::Quasi, Kind::Raw | Kind::Key) => error.hint(
                "group by it and read the group that is wanted, or ask for it to be listed under `compare` in the policy",
            ),
            (_, Kind::PerPerson) => error.hint(
                "make groups of it: `CASE WHEN n >= 2 THEN 'repeat' ELSE 'once' END`, and read the group that is wanted",
            ),
            (_, _) => error.hint("filter by a column that many persons share, or filter the groups with HAVING"),
        })
    }

    /// The value of an expression without columns; it is worked out now, so that it cannot fail later.
    pub(super) fn constant(&self, expr: &Expr) -> Result<ScalarValue> {
        let mut fixed = true;
        expr.apply(|node| {
            fixed &= match node {
                Expr::ScalarFunction(call) => {
                    call.func.signature().volatility == Volatility::Immutable
                }
                other => is_constant_node(other),
            };
            Ok(TreeNodeRecursion::Continue)
        })?;
        let unfixed = || {
            not_allowed(format!("{} is not a constant", kind_of(expr)))
                .hint("write the value itself, such as `DATE '2026-01-01'`; the time, random numbers and subqueries change from call to call")
        };
        if !fixed {
            return Err(unfixed());
        }
        match worked_out(expr)? {
            Expr::Literal(value, _) => Ok(value),
            _ => Err(unfixed()),
        }
    }

    /// A constant as a value of the operand's type; one that the type cannot hold exactly is refused.
    pub(super) fn constant_as(&self, expr: &Expr, operand: &Expr) -> Result<ScalarValue> {
        let value = self.constant(expr)?;
        let wanted = operand.get_type(self.schema)?;
        let found = value.data_type();
        let kinds = |t: &DataType| {
            (t.is_numeric(), t.is_string(), t.is_temporal(), matches!(t, DataType::Boolean))
        };
        let (n, s, t, b) = kinds(&wanted);
        let (fn_, fs, ft, fb) = kinds(&found);
        let fits = value.is_null() || (n && fn_) || (s && fs) || (t && (ft || fs)) || (b && fb);
        let wrong = || {
            Error::query(format!(
                "{} is of type {wanted}, and the constant that it is compared with is not",
                self.origins(operand)
            ))
            .hint(format!("write a constant of type {wanted}"))
        };
        if !fits {
            return Err(wrong());
        }
        if value.is_null() {
            return Ok(ScalarValue::try_from(&wanted)?);
        }
        let typed = value.cast_to(&wanted).map_err(|_| wrong())?;
        if typed.is_null() {
            return Err(wrong());
        }
        // `quantity = 1.5` must not become `quantity = 1`.
        let exact = fs || typed.cast_to(&found).is_ok_and(|back| back == value);
        if exact { Ok(typed) } else { Err(wrong()) }
    }
}

/// An expression without columns, as far as it can be worked out before it runs.
pub(super) fn worked_out(expr: &Expr) -> datafusion::error::Result<Expr> {
    let simplifier = ExprSimplifier::new(SimplifyContext::default());
    simplifier.simplify(simplifier.coerce(expr.clone(), &DFSchema::empty())?)
}

fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}
