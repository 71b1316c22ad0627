// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A macro's query, rewritten so that no name in it can meet a name of the caller's.
//!
//! Every relation the body reads gets a made-up name: its parameters, its own common table expressions, and the tables
//! of the catalog (which are looked up here, past any expression of the caller's that has the same name). Parameters
//! that are constants are put in their places.

use std::collections::HashMap;
use std::ops::ControlFlow;

use comptoir_udfs::{CallTakes, ColumnCall, ParameterKind};
use datafusion::common::{Span, TableReference};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, MacroArg, ObjectName,
    Query, Select, SelectItem, TableAlias, TableFactor, Value, ValueWithSpan,
};

use super::bind::Bound;
use super::scope::{fresh, is_made_up, keep};
use super::{Callee, TableFunctions, call_of, last_ident, normalise};
use crate::error::{Error, Result};
use crate::library::{Definition, Kind};
use crate::statement::walk::{self, Flow, Walk, stop};

/// The body of a call, ready to be planned anywhere.
pub(super) fn body(
    functions: &TableFunctions,
    definition: &Definition,
    bound: &Bound,
) -> Result<Query> {
    let mut query = definition.body.clone();
    let mut rewriter = Rewriter {
        functions,
        definition: Some(definition),
        bound: Some(bound),
        scopes: vec![],
        read: vec![],
        own: None,
    };
    match walk::query(&mut query, &mut rewriter) {
        ControlFlow::Continue(()) => {
            super::fold::fold(&mut query);
            Ok(query)
        }
        ControlFlow::Break(error) => Err(*error),
    }
}

/// An analyst's own macro: which of its parameters are relations shows in its body.
pub(super) fn own_macro(
    functions: &TableFunctions,
    name: &str,
    arguments: Vec<MacroArg>,
    body: Query,
) -> Result<Definition> {
    let mut rewriter = Rewriter {
        functions,
        definition: None,
        bound: None,
        scopes: vec![],
        read: vec![],
        own: Some(name),
    };
    if let ControlFlow::Break(error) = walk::query(&mut body.clone(), &mut rewriter) {
        return Err(*error);
    }
    let read = rewriter.read;
    Ok(Definition::own(name, arguments, body, |parameter| read.iter().any(|r| r == parameter)))
}

/// Walks a body. With `bound` it rewrites; without, it collects the names that are read as relations.
struct Rewriter<'a> {
    functions: &'a TableFunctions,
    /// Whose body it is, when it is rewritten.
    definition: Option<&'a Definition>,
    bound: Option<&'a Bound>,
    /// The common table expressions in scope, innermost last: their names and what they are called now.
    scopes: Vec<HashMap<String, String>>,
    read: Vec<String>,
    /// The name of the macro being defined, which its body may not call.
    own: Option<&'a str>,
}

impl Rewriter<'_> {
    /// What a relation's name becomes, or `None` when it stays.
    fn relation(&mut self, name: &ObjectName) -> Result<Option<String>> {
        if let [part] = name.0.as_slice()
            && let Some(ident) = part.as_ident()
        {
            if is_made_up(&ident.value) {
                return Ok(None);
            }
            let key = normalise(ident);
            if let Some(cte) = self.scopes.iter().rev().find_map(|s| s.get(&key)) {
                return Ok(Some(cte.clone()));
            }
            if let Some(kept) = self.bound.and_then(|b| b.relations.get(&key)) {
                return Ok(Some(kept.clone()));
            }
            self.read.push(key);
        }
        let Some(definition) = self.definition else { return Ok(None) };
        let reference = reference(name);
        match self.functions.table_read_by(definition, reference.clone())? {
            Some(plan) => Ok(Some(keep(reference.table(), plan))),
            None => Err(self.functions.unknown_table(&reference)),
        }
    }

    /// Renames the relations among the arguments of a call in the body.
    fn arguments(&mut self, name: &Ident, arguments: &mut [FunctionArg]) -> Result<()> {
        let key = normalise(name);
        if self.own == Some(key.as_str()) {
            return Err(Error::query(format!("the macro `{key}` calls itself"))
                .at(Span::try_from_sqlparser_span(name.span))
                .hint(
                    "a macro is replaced by its body, which would never end; use `WITH RECURSIVE`",
                ));
        }
        let Some(callee) = self.functions.find(&key) else { return Ok(()) };
        for (i, argument) in arguments.iter_mut().enumerate() {
            let (named, value) = match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (None, value),
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                    (Some(normalise(name)), value)
                }
                _ => continue,
            };
            if let Some(calls) = callee.column_calls(i, named.as_deref()) {
                self.relations_of_columns(calls, value)?;
                continue;
            }
            match callee.relation(i, named.as_deref()) {
                // A parameter that also takes a word takes this one as a word.
                Some(or_word) if or_word && super::bind::is_text(value) => {}
                Some(_) => self.argument(value)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Renames the relations in a list of columns: the table in `hierarchy(city, table)`.
    fn relations_of_columns(&mut self, calls: &[ColumnCall], value: &mut Expr) -> Result<()> {
        match value {
            Expr::Array(array) => {
                array.elem.iter_mut().try_for_each(|e| self.relations_of_columns(calls, e))
            }
            Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) => {
                let name = normalise(&last_ident(name));
                let takes_one = |c: &&ColumnCall| c.name == name && c.takes == CallTakes::Relation;
                match (calls.iter().find(takes_one), list.args.get_mut(1)) {
                    (Some(_), Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(table)))) => {
                        self.argument(table)
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn argument(&mut self, value: &mut Expr) -> Result<()> {
        let name = match value {
            Expr::Nested(inner) => return self.argument(inner),
            Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) => {
                let name = last_ident(name);
                if normalise(&name) == "table" {
                    return match list.args.first_mut() {
                        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(inner))) => {
                            self.argument(inner)
                        }
                        _ => Ok(()),
                    };
                }
                return self.arguments(&name, &mut list.args);
            }
            Expr::Identifier(ident) => {
                // A parameter that may be a word or a relation, and is a word this time.
                let key = normalise(ident);
                if self.bound.is_some_and(|b| {
                    b.scalars.contains_key(&key)
                        && !(b.given.contains(&key) && b.relations.contains_key(&key))
                }) {
                    return Ok(());
                }
                ObjectName::from(vec![ident.clone()])
            }
            Expr::CompoundIdentifier(idents) => ObjectName::from(idents.clone()),
            Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(file), .. })
                if self.bound.is_some() =>
            {
                ObjectName::from(vec![Ident::with_quote('"', file.clone())])
            }
            _ => return Ok(()),
        };
        if let Some(new) = self.relation(&name)? {
            *value = Expr::Identifier(Ident::with_quote('"', new));
        }
        Ok(())
    }

    fn parameter(&self, expr: &Expr) -> Option<Expr> {
        let Expr::Identifier(ident) = expr else { return None };
        self.bound?.scalars.get(&normalise(ident)).cloned()
    }
}

impl Walk for Rewriter<'_> {
    fn enter_query(&mut self, query: &mut Query) -> Flow {
        self.scopes.push(HashMap::new());
        let Some(with) = &mut query.with else { return ControlFlow::Continue(()) };
        // Each expression sees those before it, and itself only when it is recursive; the walk that follows visits them
        // again and finds nothing left to rename.
        let recursive = with.recursive;
        for cte in &mut with.cte_tables {
            if is_made_up(&cte.alias.name.value) {
                continue;
            }
            let name = normalise(&cte.alias.name);
            let new = if self.bound.is_some() { fresh(&name) } else { name.clone() };
            if recursive {
                self.scope().insert(name.clone(), new.clone());
            }
            walk::query(&mut cte.query, self)?;
            self.scope().insert(name, new.clone());
            if self.bound.is_some() {
                cte.alias.name = Ident::with_quote('"', new);
            }
        }
        ControlFlow::Continue(())
    }

    fn leave_query(&mut self, _query: &mut Query) -> Flow {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn enter_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => match self.relation(name) {
                Ok(Some(new)) => {
                    let old = last_ident(name);
                    *name = ObjectName::from(vec![Ident::with_quote('"', new)]);
                    // What the body calls the relation, it goes on calling it.
                    alias.get_or_insert_with(|| TableAlias {
                        explicit: true,
                        name: old,
                        columns: vec![],
                        at: None,
                    });
                    ControlFlow::Continue(())
                }
                Ok(None) => ControlFlow::Continue(()),
                Err(error) => stop(error),
            },
            TableFactor::Table { name, args: Some(arguments), .. } => {
                match self.arguments(&last_ident(name), &mut arguments.args) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => stop(error),
                }
            }
            TableFactor::TableFunction { expr: Expr::Function(function), .. } => {
                let name = last_ident(&function.name);
                match &mut function.args {
                    FunctionArguments::List(list) => match self.arguments(&name, &mut list.args) {
                        Ok(()) => ControlFlow::Continue(()),
                        Err(error) => stop(error),
                    },
                    _ => ControlFlow::Continue(()),
                }
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn enter_select(&mut self, select: &mut Select) -> Flow {
        // `SELECT k` gives a column `k`, not one named after what stands for `k`.
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && let Some(value) = self.parameter(expr)
            {
                let shown = match (&value, self.bound) {
                    (Expr::Identifier(hidden), Some(bound)) => {
                        bound.hidden.get(&hidden.value).cloned()
                    }
                    _ => None,
                };
                let alias = match (shown, &*expr) {
                    (Some(name), _) => Ident::with_quote('"', name),
                    (None, Expr::Identifier(ident)) => ident.clone(),
                    (None, _) => continue,
                };
                *item = SelectItem::ExprWithAlias { expr: value, alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> Flow {
        if let Some(value) = self.parameter(expr) {
            *expr = value;
        } else if let (Some(bound), Expr::Function(function)) = (self.bound, &*expr)
            && last_ident(&function.name).value.eq_ignore_ascii_case("given")
            && let Ok(call) = call_of(function.clone())
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(name)))] =
                call.arguments.as_slice()
        {
            let is_given = bound.given.contains(&normalise(name));
            *expr = Expr::Value(Value::Boolean(is_given).with_empty_span());
        }
        ControlFlow::Continue(())
    }
}

impl Rewriter<'_> {
    fn scope(&mut self) -> &mut HashMap<String, String> {
        if self.scopes.is_empty() {
            self.scopes.push(HashMap::new());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }
}

impl Callee {
    /// What the list of columns at a place, or of a name, may hold besides columns.
    fn column_calls(&self, place: usize, name: Option<&str>) -> Option<&'static [ColumnCall]> {
        let Callee::Rust(function) = self else { return None };
        let parameter = match name {
            Some(name) => function.parameters().iter().find(|p| p.name == name),
            None => function.parameters().get(place),
        };
        match parameter?.kind {
            ParameterKind::Columns { calls, .. } => Some(calls),
            _ => None,
        }
    }

    /// Whether the argument at a place, or of a name, is a relation; and if so, whether it may be a word instead.
    fn relation(&self, place: usize, name: Option<&str>) -> Option<bool> {
        match self {
            Callee::Listing => None,
            Callee::Rust(function) => {
                let parameter = match name {
                    Some(name) => function.parameters().iter().find(|p| p.name == name),
                    None => function.parameters().get(place),
                };
                let is_relation = |kind: &ParameterKind| {
                    matches!(kind, ParameterKind::Relation | ParameterKind::OptionalRelation)
                };
                parameter.filter(|p| is_relation(&p.kind)).map(|_| false)
            }
            Callee::Sql(definition) => {
                let parameter = match name {
                    Some(name) => definition.parameter(name),
                    None => definition.parameters.iter().filter(|p| p.positional).nth(place),
                };
                match &parameter?.kind {
                    Kind::Relation(input) => Some(input.or_scalar.is_some()),
                    _ => None,
                }
            }
        }
    }
}

fn reference(name: &ObjectName) -> TableReference {
    let parts: Vec<String> = name.0.iter().filter_map(|p| p.as_ident()).map(normalise).collect();
    match parts.as_slice() {
        [table] => TableReference::bare(table.as_str()),
        [schema, table] => TableReference::partial(schema.as_str(), table.as_str()),
        [catalog, schema, table] => {
            TableReference::full(catalog.as_str(), schema.as_str(), table.as_str())
        }
        _ => TableReference::bare(name.to_string()),
    }
}
