// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What an aggregate may be called with: at the point where groups are released, or over the rows of one person.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::kinds::kind_of;
use super::rules::{Rows, not_allowed, of_class};
use super::state::{Info, Kind};
use crate::error::{Error, Result};
use crate::library::PrivacyClass as Class;

impl Rows<'_> {
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
            || name == "approx_distinct";
        if deferred && matches!(name, "min" | "max") {
            let [Expr::Column(column)] = params.args.as_slice() else {
                return Err(self.argument(name, params.args.first()));
            };
            let info = self.column(column)?;
            return match info.class {
                Class::Direct | Class::Text | Class::Identifier => Err(self.identifies(name, info)),
                Class::Quasi | Class::Sensitive | Class::Plain => {
                    // The greatest of what the statement has made up is made up, too: `max(CASE …)` is that CASE.
                    let kind = match info.kind {
                        Kind::Key | Kind::Constant | Kind::Null => Kind::Key,
                        Kind::Raw | Kind::Product | Kind::PerPerson | Kind::Analysed => {
                            Kind::PerPerson
                        }
                    };
                    let info = info.clone();
                    Ok(Info { kind, compare: false, domain: None, absent: None, ..info })
                }
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
}

fn column_type(column: &Column, schema: &DFSchema) -> Result<DataType> {
    Ok(Expr::Column(column.clone()).get_type(schema)?)
}
