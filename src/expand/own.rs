// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The analyst's own macros: `CREATE [OR REPLACE] MACRO`, for a table or a scalar, as long as the session lasts.

use std::sync::{Arc, PoisonError};

use datafusion::common::Span;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{MacroArg, MacroDefinition, ObjectName};

use super::{
    LISTING, ScalarMacro, TableFunctions, last_ident, lock, normalise, rewrite, scalar_macro,
};
use crate::error::{Error, Result};
use crate::statement::walk;

impl TableFunctions {
    /// Adds a `CREATE [OR REPLACE] MACRO` of the session.
    pub fn define(
        &self,
        name: &ObjectName,
        arguments: Vec<MacroArg>,
        definition: MacroDefinition,
        or_replace: bool,
    ) -> Result<()> {
        let ident = last_ident(name);
        let place = Span::try_from_sqlparser_span(ident.span);
        let key = normalise(&ident);
        if name.0.len() > 1 {
            return Err(
                Error::query(format!("a macro's name has no schema: write `{key}`")).at(place)
            );
        }
        for (i, argument) in arguments.iter().enumerate() {
            if arguments[..i].iter().any(|a| normalise(&a.name) == normalise(&argument.name)) {
                return Err(Error::query(format!(
                    "the parameter `{}` stands there twice",
                    argument.name.value
                ))
                .at(Span::try_from_sqlparser_span(argument.name.span)));
            }
        }
        let built_in = lock(&self.library).find(&key).is_some()
            || self.relations.contains_key(&key)
            || key == LISTING
            || self.state()?.read().table_functions().contains_key(&key);
        if built_in {
            return Err(Error::query(format!(
                "`{key}` is a function of Comptoir; choose another name"
            ))
            .at(place));
        }
        let taken = lock(&self.own).contains_key(&key) || lock(&self.scalars).contains_key(&key);
        if taken && !or_replace {
            return Err(Error::query(format!("the macro `{key}` exists already"))
                .at(place)
                .hint("write `CREATE OR REPLACE MACRO`"));
        }
        match definition {
            MacroDefinition::Table(body) => {
                let mut body = *body;
                scalar_macro::inline(&lock(&self.scalars), |calls| walk::query(&mut body, calls))?;
                let macro_ = rewrite::own_macro(self, &key, arguments, body)?;
                self.scalars.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
                self.own
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(key, Arc::new(macro_));
            }
            MacroDefinition::Expr(body) => {
                let state = self.state()?;
                if state.read().scalar_functions().contains_key(&key)
                    || state.read().aggregate_functions().contains_key(&key)
                    || state.read().window_functions().contains_key(&key)
                {
                    return Err(Error::query(format!(
                        "`{key}` is a function already; choose another name"
                    ))
                    .at(place));
                }
                let macro_ = ScalarMacro::new(&key, arguments, body)?;
                self.own.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
                self.scalars
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(key, Arc::new(macro_));
            }
        }
        Ok(())
    }

    /// Replaces calls of the session's scalar macros in a statement by their bodies.
    pub fn inline_scalars(&self, statement: &mut Statement) -> Result<()> {
        scalar_macro::inline(&lock(&self.scalars), |calls| walk::statement(statement, calls))
    }
}
