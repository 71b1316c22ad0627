// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `CREATE MACRO name(a, b := 1) AS expression`: calls are replaced by the expression before planning.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::Span;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, Ident, MacroArg, Query,
};

use super::{call_of, last_ident, normalise};
use crate::error::{Error, Result};
use crate::statement::walk::{self, EachExpr, Flow, Walk, stop};

/// A scalar macro of a session.
#[derive(Debug)]
pub(crate) struct ScalarMacro {
    name: String,
    parameters: Vec<(String, Option<Expr>)>,
    body: Expr,
}

impl ScalarMacro {
    /// Refuses a body that calls the macro itself.
    pub(super) fn new(name: &str, arguments: Vec<MacroArg>, body: Expr) -> Result<Self> {
        let calls_itself = &mut EachExpr(|e: &mut Expr| match e {
            Expr::Function(f) if normalise(&last_ident(&f.name)) == name => stop(
                Error::query(format!("the macro `{name}` calls itself"))
                    .at(Span::try_from_sqlparser_span(last_ident(&f.name).span)),
            ),
            _ => ControlFlow::Continue(()),
        });
        if let ControlFlow::Break(error) = walk::expr(&mut body.clone(), calls_itself) {
            return Err(*error);
        }
        let parameters =
            arguments.into_iter().map(|a| (normalise(&a.name), a.default_expr)).collect();
        Ok(Self { name: name.to_string(), parameters, body })
    }

    /// How to call it.
    pub(crate) fn signature(&self) -> String {
        let parts: Vec<String> = self
            .parameters
            .iter()
            .map(|(name, default)| {
                default.as_ref().map_or(name.clone(), |d| format!("{name} => {d}"))
            })
            .collect();
        format!("{}({})", self.name, parts.join(", "))
    }

    /// The name it is called by.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn expand(&self, call: &Function) -> Result<Expr> {
        let name: Ident = last_ident(&call.name);
        let place = Span::try_from_sqlparser_span(name.span);
        if call.over.is_some() || call.filter.is_some() {
            return Err(Error::query(format!(
                "the macro `{}` takes neither OVER nor FILTER",
                self.name
            ))
            .at(place));
        }
        let mut values: BTreeMap<String, Expr> = BTreeMap::new();
        for (i, argument) in call_of(call.clone())?.arguments.into_iter().enumerate() {
            let (parameter, value) = match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => {
                    (self.parameters.get(i).map(|p| p.0.clone()), value)
                }
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => (
                    Some(normalise(&name)).filter(|n| self.parameters.iter().any(|p| p.0 == *n)),
                    value,
                ),
                other => {
                    return Err(Error::query(format!(
                        "`{other}` cannot be an argument of `{}`",
                        self.name
                    ))
                    .at(place));
                }
            };
            let parameter = parameter
                .ok_or_else(|| {
                    Error::query(format!("`{}` has no place for `{value}`", self.name)).at(place)
                })
                .map_err(|e| e.hint(format!("write `{}`", self.signature())))?;
            if values.insert(parameter.clone(), value).is_some() {
                return Err(Error::query(format!("`{parameter}` is given twice")).at(place));
            }
        }
        for (parameter, default) in &self.parameters {
            if !values.contains_key(parameter) {
                let default = default.clone().ok_or_else(|| {
                    Error::query(format!("`{}` needs the argument `{parameter}`", self.name))
                        .at(place)
                        .hint(format!("write `{}`", self.signature()))
                })?;
                values.insert(parameter.clone(), default);
            }
        }
        let mut body = self.body.clone();
        let mut put = Put { values: &values, depth: 0, name: &self.name };
        match walk::expr(&mut body, &mut put) {
            ControlFlow::Continue(()) => Ok(Expr::Nested(Box::new(body))),
            ControlFlow::Break(error) => Err(error.at(place)),
        }
    }
}

/// Puts the arguments in the places of the parameters.
struct Put<'a> {
    values: &'a BTreeMap<String, Expr>,
    depth: usize,
    name: &'a str,
}

impl Walk for Put<'_> {
    fn enter_query(&mut self, _query: &mut Query) -> Flow {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn leave_query(&mut self, _query: &mut Query) -> Flow {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    // After the children: what is put in is the caller's, and is not looked at again.
    fn leave_expr(&mut self, expr: &mut Expr) -> Flow {
        let Expr::Identifier(ident) = expr else { return ControlFlow::Continue(()) };
        let Some(value) = self.values.get(&normalise(ident)) else {
            return ControlFlow::Continue(());
        };
        if self.depth > 0 {
            // Inside the macro's own subquery an unqualified column could be taken for one of the subquery's.
            let bare = &mut EachExpr(|e: &mut Expr| {
                match e {
                Expr::Identifier(Ident { value: column, .. }) => stop(
                    Error::query(format!(
                        "`{column}` would be read inside a subquery of the macro `{}`, where it may mean another column",
                        self.name
                    ))
                    .hint(format!("qualify it with its table: `table.{column}`")),
                ),
                _ => ControlFlow::Continue(()),
            }
            });
            walk::expr(&mut value.clone(), bare)?;
        }
        *expr = Expr::Nested(Box::new(value.clone()));
        ControlFlow::Continue(())
    }
}

/// How deep macros may call one another, and how many calls a statement may become: two macros that call each other
/// twice would double the statement every round.
const MAX_ROUNDS: usize = 32;
const MAX_CALLS: usize = 10_000;

/// Replaces every call of a scalar macro in what `visit` walks, until none is left.
pub(super) fn inline(
    macros: &BTreeMap<String, Arc<ScalarMacro>>,
    mut visit: impl FnMut(&mut Calls<'_>) -> Flow,
) -> Result<()> {
    if macros.is_empty() {
        return Ok(());
    }
    let mut calls = Calls { macros, found: None, count: 0 };
    for _ in 0..MAX_ROUNDS {
        calls.found = None;
        if let ControlFlow::Break(error) = visit(&mut calls) {
            return Err(*error);
        }
        if calls.found.is_none() {
            return Ok(());
        }
    }
    let (name, place) = calls.found.unwrap_or_default();
    Err(endless(&name).at(place))
}

fn endless(name: &str) -> Error {
    Error::query(format!("the macro `{name}` calls itself through another"))
}

/// Replaces each call that it meets.
pub(super) struct Calls<'a> {
    macros: &'a BTreeMap<String, Arc<ScalarMacro>>,
    found: Option<(String, Option<Span>)>,
    count: usize,
}

impl Walk for Calls<'_> {
    fn leave_expr(&mut self, expr: &mut Expr) -> Flow {
        let Expr::Function(function) = &*expr else { return ControlFlow::Continue(()) };
        let name = last_ident(&function.name);
        let Some(found) = self.macros.get(&normalise(&name)) else {
            return ControlFlow::Continue(());
        };
        let place = Span::try_from_sqlparser_span(name.span);
        self.count += 1;
        if self.count > MAX_CALLS {
            return stop(endless(&found.name).at(place));
        }
        match found.expand(function) {
            Ok(mut new) => {
                // What comes from the body keeps the caller's place, so that an error points into the caller's text.
                let placed = &mut EachExpr(|e: &mut Expr| {
                    if let Expr::Function(f) = e
                        && let Some(ident) = f.name.0.last_mut().and_then(|p| match p {
                            datafusion::sql::sqlparser::ast::ObjectNamePart::Identifier(i) => {
                                Some(i)
                            }
                            datafusion::sql::sqlparser::ast::ObjectNamePart::Function(_) => None,
                        })
                    {
                        ident.span = name.span;
                    }
                    ControlFlow::Continue(())
                });
                walk::expr(&mut new, placed)?;
                self.found = Some((found.name.clone(), place));
                *expr = new;
                ControlFlow::Continue(())
            }
            Err(error) => stop(error),
        }
    }
}
