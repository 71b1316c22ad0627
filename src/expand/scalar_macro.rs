// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `CREATE MACRO name(a, b := 1) AS expression`: calls are replaced by the expression before planning.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::Span;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, Ident, MacroArg, Query, VisitMut, VisitorMut,
    visit_expressions, visit_expressions_mut,
};

use super::{call_of, last_ident, normalise};
use crate::error::{Error, Result};

/// A scalar macro of a session.
#[derive(Debug)]
pub struct ScalarMacro {
    name: String,
    parameters: Vec<(String, Option<Expr>)>,
    body: Expr,
}

impl ScalarMacro {
    /// Refuses a body that calls the macro itself.
    pub(super) fn new(name: &str, arguments: Vec<MacroArg>, body: Expr) -> Result<Self> {
        let calls_itself = visit_expressions(&body, |e| match e {
            Expr::Function(f) if normalise(&last_ident(&f.name)) == name => {
                ControlFlow::Break(last_ident(&f.name))
            }
            _ => ControlFlow::Continue(()),
        });
        if let ControlFlow::Break(ident) = calls_itself {
            return Err(Error::query(format!("the macro `{name}` calls itself"))
                .at(Span::try_from_sqlparser_span(ident.span)));
        }
        let parameters =
            arguments.into_iter().map(|a| (normalise(&a.name), a.default_expr)).collect();
        Ok(Self { name: name.to_string(), parameters, body })
    }

    /// How to call it.
    pub fn signature(&self) -> String {
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
    pub fn name(&self) -> &str {
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
        let mut put = Put { values: &values, depth: 0 };
        match body.visit(&mut put) {
            ControlFlow::Continue(()) => Ok(Expr::Nested(Box::new(body))),
            // Inside the macro's own subquery an unqualified column could be taken for one of the subquery's.
            ControlFlow::Break(column) => Err(Error::query(format!(
                "`{column}` would be read inside a subquery of the macro `{}`, where it may mean another column",
                self.name
            ))
            .at(place)
            .hint(format!("qualify it with its table: `table.{column}`"))),
        }
    }
}

/// Puts the arguments in the places of the parameters.
struct Put<'a> {
    values: &'a BTreeMap<String, Expr>,
    depth: usize,
}

impl VisitorMut for Put<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<String> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<String> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    // After the children: what is put in is the caller's, and is not looked at again.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        let Expr::Identifier(ident) = expr else { return ControlFlow::Continue(()) };
        let Some(value) = self.values.get(&normalise(ident)) else {
            return ControlFlow::Continue(());
        };
        if self.depth > 0 {
            let bare = visit_expressions(value, |e| match e {
                Expr::Identifier(i) => ControlFlow::Break(i.value.clone()),
                _ => ControlFlow::Continue(()),
            });
            if let ControlFlow::Break(column) = bare {
                return ControlFlow::Break(column);
            }
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
    mut visit: impl FnMut(&mut Calls<'_>),
) -> Result<()> {
    if macros.is_empty() {
        return Ok(());
    }
    let mut calls = Calls { macros, found: None, failed: None, count: 0 };
    for _ in 0..MAX_ROUNDS {
        calls.found = None;
        visit(&mut calls);
        if let Some(error) = calls.failed {
            return Err(error);
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
    failed: Option<Error>,
    count: usize,
}

impl VisitorMut for Calls<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = &*expr else { return ControlFlow::Continue(()) };
        let name = last_ident(&function.name);
        let Some(found) = self.macros.get(&normalise(&name)) else {
            return ControlFlow::Continue(());
        };
        let place = Span::try_from_sqlparser_span(name.span);
        self.count += 1;
        if self.count > MAX_CALLS {
            self.failed = Some(endless(&found.name).at(place));
            return ControlFlow::Break(());
        }
        match found.expand(function) {
            Ok(mut new) => {
                // What comes from the body keeps the caller's place, so that an error points into the caller's text.
                let _ = visit_expressions_mut(&mut new, |e| {
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
                    ControlFlow::<()>::Continue(())
                });
                self.found = Some((found.name.clone(), place));
                *expr = new;
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}
