// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What an expression of the user's may do with private rows, kind by kind, without a wildcard: an expression that a new
//! DataFusion adds does not compile here until somebody has decided.
//!
//! What is allowed cannot fail and cannot tell one person from others. So no error depends on a row, and comparisons are
//! with constants that the gate has worked out itself, typed as the column is.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Alias, Case, Cast, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast, lit};

use super::kinds::kind_of;
use super::refusal::{Code, refusal};
use super::state::{Info, Kind, Private};
use crate::error::{Error, Result};
use crate::library::PrivacyClass as Class;

/// The rows that expressions are about.
pub(super) struct Rows<'a> {
    pub(super) private: &'a Private,
    pub(super) schema: &'a DFSchema,
}

/// Functions that turn a column into a coarser one, and cannot fail: their first or last column argument is the column,
/// the others are constants.
const COARSER: &[&str] = &[
    "date_part",
    "date_trunc",
    "generalise_date",
    "generalise_number",
    "generalise_text",
    "left",
    "lower",
    "upper",
];

pub(super) fn not_allowed(what: String) -> Error {
    refusal(Code::NotAllowed, what)
}

impl Rows<'_> {
    pub(super) fn column(&self, column: &Column) -> Result<&Info> {
        self.private.info(column).ok_or_else(|| {
            not_allowed(format!("the column `{}` is not known to the policy", column.name))
        })
    }

    /// What an expression gives that stands in a list of columns, or among the keys of groups.
    pub(super) fn derived(&self, expr: &Expr) -> Result<Info> {
        match expr {
            Expr::Alias(Alias { expr, .. }) => self.derived(expr),
            Expr::Column(column) => self.column(column).cloned(),
            Expr::Literal(value, _) if value.is_null() => Ok(Info::null()),
            Expr::Literal(..) => Ok(Info::constant()),
            Expr::ScalarFunction(function) => self.coarser(function),
            Expr::Cast(Cast { expr: inner, field }) => self.converted(inner, field.data_type()),
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Multiply, right }) => {
                self.product(left, right)
            }
            Expr::Case(case) => self.cases(case),
            Expr::ScalarVariable(..)
            | Expr::BinaryExpr(_)
            | Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::Not(_)
            | Expr::IsNotNull(_)
            | Expr::IsNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Negative(_)
            | Expr::Between(_)
            | Expr::TryCast(_)
            | Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::InList(_)
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
            | Expr::LambdaVariable(_) => Err(self.over_rows(expr)),
            #[expect(deprecated, reason = "exhaustive")]
            Expr::Wildcard { .. } => Err(self.over_rows(expr)),
        }
    }

    fn over_rows(&self, expr: &Expr) -> Error {
        let columns = self.origins(expr);
        let over = if columns.is_empty() { String::new() } else { format!(" over {columns}") };
        not_allowed(format!("{} cannot be worked out{over} row by row", kind_of(expr)))
            .hint("group first, and calculate with the groups' sums and counts: `SELECT … FROM (SELECT key, sum(x) AS x FROM … GROUP BY key)`")
            .hint("or group by a column, `date_trunc('month', column)`, `CAST(column AS DATE)`, `left(column, n)` or `CASE WHEN column >= constant THEN 'word' … END`")
    }

    pub(super) fn origins(&self, expr: &Expr) -> String {
        let mut found: Vec<String> = expr
            .column_refs()
            .into_iter()
            .map(|c| self.private.info(c).map_or(c.name.clone(), |i| i.origin.clone()))
            .map(|o| format!("`{o}`"))
            .collect();
        found.sort();
        found.dedup();
        found.join(", ")
    }

    fn coarser(&self, function: &ScalarFunction) -> Result<Info> {
        let name = function.name();
        let whole = Expr::ScalarFunction(function.clone());
        if !COARSER.contains(&name) {
            return Err(not_allowed(format!(
                "the function `{name}` cannot be called over {} row by row",
                self.origins(&whole)
            ))
            .hint(format!("functions that are accepted: {}", COARSER.join(", ")))
            .hint("or call it on the groups: over a subquery with `GROUP BY`"));
        }
        let (columns, constants): (Vec<&Expr>, Vec<&Expr>) =
            function.args.iter().partition(|a| !a.column_refs().is_empty());
        for constant in constants {
            self.constant(constant)?;
        }
        let [column] = columns.as_slice() else {
            return Err(not_allowed(format!("`{name}` takes one column and constants here")));
        };
        let info = self.derived(column)?;
        self.key(&info, column)?;
        self.cannot_fail(function, column)?;
        Ok(Info { kind: Kind::Key, domain: None, absent: None, ..info })
    }

    /// Refuses a call that would fail when there is a row: that it fails would say that there is one.
    fn cannot_fail(&self, function: &ScalarFunction, column: &Expr) -> Result<()> {
        let (name, data_type) = (function.name(), column.get_type(self.schema)?);
        let fits = match name {
            "date_part" | "date_trunc" | "generalise_date" => {
                matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
            }
            "generalise_number" => data_type.is_numeric(),
            _ => data_type.is_string(),
        };
        if !fits {
            return Err(not_allowed(format!(
                "`{name}` of {}, which is of type {data_type}, can fail",
                self.origins(column)
            ))
            .hint("group by the column itself"));
        }
        // The call for some value: what is wrong with its constants is wrong for every one.
        let some = ScalarValue::new_zero(&data_type)
            .or_else(|_| ScalarValue::Utf8(Some("a".into())).cast_to(&data_type))?;
        let args = function.args.iter().map(|arg| match arg.column_refs().is_empty() {
            true => arg.clone(),
            false => lit(some.clone()),
        });
        let call = ScalarFunction { func: Arc::clone(&function.func), args: args.collect() };
        self.constant(&Expr::ScalarFunction(call)).map(drop).map_err(|_| {
            not_allowed(format!("`{name}` of {} fails for every value", self.origins(column)))
                .hint("look at its other arguments")
        })
    }

    fn outer_joins(&self, expr: &Expr) -> Vec<usize> {
        let columns = expr.column_refs();
        let infos = columns.into_iter().filter_map(|column| self.private.info(column));
        infos.flat_map(|info| info.outer.clone()).collect()
    }

    /// `CAST(timestamp AS DATE)` and conversions that cannot fail.
    fn converted(&self, inner: &Expr, to: &DataType) -> Result<Info> {
        let from = inner.get_type(self.schema)?;
        if inner.column_refs().is_empty() {
            let value = self.constant(&cast(inner.clone(), to.clone()))?;
            return Ok(if value.is_null() { Info::null() } else { Info::constant() });
        }
        let info = self.derived(inner)?;
        if from == *to {
            return Ok(info);
        }
        let day = matches!(from, DataType::Timestamp(..)) && *to == DataType::Date32;
        let wider = widens(&from, to);
        if day {
            self.key(&info, inner)?;
            return Ok(Info { kind: Kind::Key, domain: None, absent: None, ..info });
        }
        if wider {
            return Ok(Info { domain: None, absent: None, ..info });
        }
        Err(not_allowed(format!(
            "a cast of {} to {to} can fail, and would show the value that it fails on",
            self.origins(inner)
        ))
        .hint("cast the groups' results instead, or `CAST(timestamp AS DATE)`"))
    }

    pub(super) fn product(&self, left: &Expr, right: &Expr) -> Result<Info> {
        let mut class = Class::Plain;
        let mut outer = vec![];
        for side in [left, right] {
            let Expr::Column(column) = side else {
                return Err(not_allowed(format!("{} cannot be a factor of a measure", kind_of(side)))
                    .hint("multiply two columns: `sum(price * quantity)`; multiply by constants outside of the sum"));
            };
            let info = self.column(column)?;
            outer.extend(&info.outer);
            if info.kind != Kind::Raw {
                return Err(not_allowed(format!(
                    "`{}` cannot be a factor of a measure",
                    info.origin
                ))
                .hint("multiply two columns of the table"));
            }
            self.measure(info)?;
            class = if info.class == Class::Plain { class } else { Class::Sensitive };
            // A product that does not fit is an error that a row has caused.
            let data_type = side.get_type(self.schema)?;
            let fits = matches!(
                data_type,
                DataType::Int8
                    | DataType::Int16
                    | DataType::Int32
                    | DataType::UInt8
                    | DataType::UInt16
                    | DataType::UInt32
                    | DataType::Float32
                    | DataType::Float64
            ) || matches!(data_type, DataType::Decimal128(precision, _) if precision <= 18);
            let both_whole =
                [left, right].iter().all(|e| e.get_type(self.schema).is_ok_and(|t| t.is_integer()));
            if !fits || both_whole {
                return Err(not_allowed(format!("a product with `{}` of type {data_type} may not fit its type", info.origin))
                    .hint("products of decimals of up to 18 digits, floats and whole numbers of 32 bits are accepted"));
            }
        }
        let origin = "a product".to_string();
        Ok(Info { class, origin, kind: Kind::Product, outer, ..Info::constant() })
    }

    /// `CASE WHEN column >= constant THEN 'word' … END`
    fn cases(&self, case: &Case) -> Result<Info> {
        let outer = self.outer_joins(&Expr::Case(case.clone()));
        let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
        let mut types: Vec<DataType> = vec![];
        for result in results.chain(case.else_expr.as_deref()) {
            if !result.column_refs().is_empty() {
                return Err(not_allowed(format!(
                    "a CASE over {} gives a column",
                    self.origins(result)
                ))
                .hint(
                    "let it give constants: `CASE WHEN column >= 10 THEN 'many' ELSE 'few' END`",
                ));
            }
            let value = self.constant(result)?;
            types.extend((!value.is_null()).then(|| value.data_type()));
        }
        // A conversion that fails would fail for those rows only that the case is about.
        if let Some(other) = types.iter().find(|t| **t != types[0]) {
            return Err(not_allowed(format!(
                "a CASE gives constants of type {} and of type {other}",
                types[0]
            ))
            .hint("give all of them one type: `CASE WHEN … THEN 'many' ELSE 'few' END`"));
        }
        for (when, _) in &case.when_then_expr {
            match &case.expr {
                Some(column) => {
                    self.compared(column, true)?;
                    self.constant_as(when, column)?;
                }
                None => drop(self.condition(when, true)?),
            }
        }
        let origin = "a CASE".to_string();
        Ok(Info { class: Class::Quasi, origin, kind: Kind::Key, outer, ..Info::constant() })
    }

    /// Refuses what groups may not be made by.
    pub(super) fn key(&self, info: &Info, expr: &Expr) -> Result<()> {
        if info.is_key() {
            return Ok(());
        }
        let shown = match info.kind {
            Kind::Raw | Kind::PerPerson => format!("`{}`", info.origin),
            Kind::Key | Kind::Product | Kind::Analysed | Kind::Constant | Kind::Null => {
                match expr {
                    Expr::Column(column) => format!("`{}`", column.name),
                    _ => info.origin.clone(),
                }
            }
        };
        let error = not_allowed(format!("{shown} is {} and cannot make groups", of_class(info)));
        Err(match info.class {
            Class::Direct | Class::Text | Class::Identifier => error
                .hint("group by a column that many persons share, such as a country or a month"),
            Class::Quasi | Class::Sensitive | Class::Plain => error
                .hint("add it up or average it: `sum(column)`, `avg(column)`")
                .hint("or group by a column that many persons share"),
        })
    }

    pub(super) fn measure(&self, info: &Info) -> Result<()> {
        if info.is_measure() {
            return Ok(());
        }
        Err(not_allowed(format!("`{}` is {} and cannot be added up", info.origin, of_class(info)))
            .hint("`count(*)` counts rows, and `count(DISTINCT …)` of the persons' key counts persons"))
    }
}

/// `of class quasi`, or what it is instead.
pub(super) fn of_class(info: &Info) -> String {
    match info.kind {
        Kind::Raw => format!("of class {}", info.class.word()),
        Kind::Key => "worked out for grouping".into(),
        Kind::Product => "a product".into(),
        Kind::PerPerson => "worked out for each person".into(),
        Kind::Analysed => "worked out for each person by an analysis".into(),
        Kind::Constant | Kind::Null => "a constant".into(),
    }
}

/// Whether every value of the one type is a value of the other.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        (Int8, Int16 | Int32 | Int64)
        | (Int16, Int32 | Int64)
        | (Int32, Int64)
        | (UInt8, UInt16 | UInt32 | UInt64 | Int16 | Int32 | Int64)
        | (UInt16, UInt32 | UInt64 | Int32 | Int64)
        | (UInt32, UInt64 | Int64)
        | (Float32, Float64)
        | (Utf8 | Utf8View | LargeUtf8, Utf8 | Utf8View | LargeUtf8) => true,
        (a, Float64) if a.is_integer() || matches!(a, Decimal128(..)) => true,
        _ => false,
    }
}
