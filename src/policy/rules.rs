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
use datafusion::logical_expr::expr::{
    AggregateFunction, Alias, Between, Case, Cast, InList, ScalarFunction,
};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, Volatility, cast, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::gate::bare;
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

fn not_allowed(what: String) -> Error {
    refusal(Code::NotAllowed, what)
}

/// How a message names an expression: by its kind, without its constants.
fn kind_of(expr: &Expr) -> &'static str {
    match expr {
        Expr::Alias(_) => "an alias",
        Expr::Column(_) => "a column",
        Expr::ScalarVariable(..) => "a variable",
        Expr::Literal(..) => "a constant",
        Expr::BinaryExpr(_) => "an operator",
        Expr::Like(_) => "LIKE",
        Expr::SimilarTo(_) => "SIMILAR TO",
        Expr::Not(_) => "NOT",
        Expr::IsNotNull(_) | Expr::IsNull(_) => "a test for NULL",
        Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_) => "a test for a truth value",
        Expr::Negative(_) => "a negation",
        Expr::Between(_) => "BETWEEN",
        Expr::Case(_) => "CASE",
        Expr::Cast(_) | Expr::TryCast(_) => "a cast",
        Expr::ScalarFunction(_) | Expr::HigherOrderFunction(_) => "a function",
        Expr::AggregateFunction(_) => "an aggregate",
        Expr::WindowFunction(_) => "a window function",
        Expr::InList(_) => "IN",
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => "a subquery's test",
        Expr::ScalarSubquery(_) => "a subquery",
        #[expect(deprecated, reason = "exhaustive")]
        Expr::Wildcard { .. } => "a wildcard",
        Expr::GroupingSet(_) => "a grouping set",
        Expr::Placeholder(_) => "a parameter without a value",
        Expr::OuterReferenceColumn(..) => "a column of an outer query",
        Expr::Unnest(_) => "UNNEST",
        Expr::Lambda(_) | Expr::LambdaVariable(_) => "a lambda",
    }
}

impl Rows<'_> {
    fn column(&self, column: &Column) -> Result<&Info> {
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

    fn origins(&self, expr: &Expr) -> String {
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

    fn product(&self, left: &Expr, right: &Expr) -> Result<Info> {
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

    fn measure(&self, info: &Info) -> Result<()> {
        if info.is_measure() {
            return Ok(());
        }
        Err(not_allowed(format!("`{}` is {} and cannot be added up", info.origin, of_class(info)))
            .hint("`count(*)` counts rows, and `count(DISTINCT …)` of the persons' key counts persons"))
    }

    /// A call at the point where groups are released, or, `deferred`, over the rows of one person.
    pub(super) fn aggregate(&self, expr: &Expr, deferred: bool) -> Result<Info> {
        let call = match expr {
            Expr::Alias(alias) => return self.aggregate(&alias.expr, deferred),
            Expr::AggregateFunction(call) => call,
            other => return Err(not_allowed(format!("{} is not an aggregate", kind_of(other)))),
        };
        let AggregateFunction { func, params } = call;
        let name = func.name();
        if params.filter.is_some() {
            return Err(not_allowed(format!(
                "`{name}` with FILTER counts persons that a condition picks"
            ))
            .hint("group by the condition's column, and look at the group"));
        }
        if !params.order_by.is_empty() || params.null_treatment.is_some() {
            return Err(not_allowed(format!("`{name}` with an order shows values of single rows"))
                .hint("accepted are count, sum, avg, var, stddev and approx_distinct"));
        }
        let whole = matches!(name, "count" | "sum" | "avg" | "mean")
            || matches!(
                name,
                "var" | "var_samp" | "var_pop" | "stddev" | "stddev_samp" | "stddev_pop"
            )
            || matches!(name, "approx_distinct" | "grouping");
        if deferred && matches!(name, "min" | "max") {
            let [Expr::Column(column)] = params.args.as_slice() else {
                return Err(self.argument(name, params.args.first()));
            };
            let info = self.column(column)?;
            return match info.class {
                Class::Direct | Class::Text | Class::Identifier => Err(self.identifies(name, info)),
                Class::Quasi | Class::Sensitive | Class::Plain => Ok(Info {
                    kind: Kind::PerPerson,
                    compare: false,
                    domain: None,
                    absent: None,
                    ..info.clone()
                }),
            };
        }
        if !whole {
            let error = not_allowed(format!("`{name}` can show the value of a single person"));
            return Err(match name {
                "min" | "max" | "median" | "percentile_cont" | "approx_median"
                | "approx_percentile_cont" => error
                    .hint("count persons by steps of the value: `GROUP BY generalise_number(column, 10)`, or use `avg`"),
                _ => error.hint("accepted are count, sum, avg, var, stddev and approx_distinct"),
            });
        }
        if params.distinct && name != "count" {
            return Err(not_allowed(format!(
                "`{name}(DISTINCT …)` shows when two persons have one value"
            ))
            .hint(format!("write `{name}(…)`")));
        }
        let info = match (name, params.args.as_slice()) {
            ("grouping", _) => return Ok(Info::constant()),
            ("count", [Expr::Literal(value, _)]) if !value.is_null() => Info::constant(),
            ("count" | "approx_distinct", [Expr::Column(column)]) => {
                let info = self.column(column)?;
                match info.class {
                    // How many persons there are is what the threshold is about.
                    Class::Identifier if self.private.is_unit(info) => {}
                    Class::Direct | Class::Text | Class::Identifier => {
                        return Err(self.identifies(name, info));
                    }
                    Class::Quasi | Class::Sensitive | Class::Plain => {}
                }
                if info.kind == Kind::Key {
                    return Err(self.argument(name, params.args.first()));
                }
                info.clone()
            }
            (_, [Expr::Column(column)]) if name != "count" => {
                let info = self.column(column)?;
                match info.class {
                    Class::Direct | Class::Text | Class::Identifier => {
                        return Err(self.identifies(name, info));
                    }
                    Class::Quasi | Class::Sensitive | Class::Plain => self.measure(info)?,
                }
                let data_type = column_type(column, self.schema)?;
                if !data_type.is_numeric() {
                    return Err(not_allowed(format!(
                        "`{}` of type {data_type} cannot be an argument of `{name}`",
                        info.origin
                    ))
                    .hint("`count(*)` counts rows, and GROUP BY makes groups of them"));
                }
                info.clone()
            }
            (_, [Expr::BinaryExpr(BinaryExpr { left, op: Operator::Multiply, right })])
                if name != "count" && name != "approx_distinct" =>
            {
                self.product(left, right)?
            }
            (_, arguments) => return Err(self.argument(name, arguments.first())),
        };
        let mut outer = info.outer.clone();
        if !params.distinct && name != "approx_distinct" {
            outer.extend(self.private.multiplied());
        }
        // The number of somebody's rows is shared by many; amounts hardly ever are.
        let class = if name == "count" { Class::Quasi } else { Class::Sensitive };
        Ok(Info {
            class,
            origin: format!("{name}({})", info.origin),
            kind: Kind::PerPerson,
            outer,
            ..Info::constant()
        })
    }

    fn identifies(&self, name: &str, info: &Info) -> Error {
        not_allowed(format!(
            "`{}` is {} and cannot be an argument of `{name}`",
            info.origin,
            of_class(info)
        ))
        .hint("`count(*)` counts rows, and `count(DISTINCT …)` of the persons' key counts persons")
    }

    fn argument(&self, name: &str, argument: Option<&Expr>) -> Error {
        let what = argument.map_or("nothing", kind_of);
        let over = argument.map(|a| self.origins(a)).filter(|o| !o.is_empty());
        let over = over.map_or(String::new(), |o| format!(" over {o}"));
        not_allowed(format!(
            "`{name}` takes a column of the table, or a product of two; found {what}{over}"
        ))
        .hint("add up the column itself and group by what the expression depends on")
    }

    /// A condition of a filter, as it will be evaluated.
    pub(super) fn filter(&self, expr: &Expr) -> Result<Expr> {
        self.condition(expr, false)
    }

    /// A conjunction of simple conditions. `cases` are more liberal: they make groups, which have a threshold of their own.
    fn condition(&self, expr: &Expr, cases: bool) -> Result<Expr> {
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
    fn compared(&self, operand: &Expr, cases: bool) -> Result<()> {
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
    fn constant(&self, expr: &Expr) -> Result<ScalarValue> {
        use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
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
        let context = SimplifyContext::default();
        let simplifier = ExprSimplifier::new(context);
        let empty = DFSchema::empty();
        let coerced = simplifier.coerce(expr.clone(), &empty)?;
        match simplifier.simplify(coerced)? {
            Expr::Literal(value, _) => Ok(value),
            _ => Err(unfixed()),
        }
    }

    /// A constant as a value of the operand's type; one that the type cannot hold exactly is refused.
    fn constant_as(&self, expr: &Expr, operand: &Expr) -> Result<ScalarValue> {
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

fn column_type(column: &Column, schema: &DFSchema) -> Result<DataType> {
    Ok(Expr::Column(column.clone()).get_type(schema)?)
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

/// Nodes that give the same value whenever they are asked, apart from functions.
fn is_constant_node(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..)
        | Expr::Alias(_)
        | Expr::BinaryExpr(_)
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
        | Expr::Case(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::InList(_)
        | Expr::Like(_) => true,
        Expr::Column(_)
        | Expr::ScalarVariable(..)
        | Expr::SimilarTo(_)
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
        | Expr::LambdaVariable(_) => false,
        #[expect(deprecated, reason = "exhaustive")]
        Expr::Wildcard { .. } => false,
    }
}

/// `of class quasi`, or what it is instead.
fn of_class(info: &Info) -> String {
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
