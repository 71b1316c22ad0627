// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a name of a table stands for where a call is planned, and what is said when it stands for nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::common::{Span, TableReference};
use datafusion::datasource::{TableProvider, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{ObjectName, Spanned};
use futures::FutureExt;

use super::{Marker, Origin, TableFunctions};
use crate::diagnostic::{nearest, or_list};
use crate::error::{Error, Result};
use crate::library::Definition;
use crate::statement::table_factor;

impl TableFunctions {
    /// Plans what a relation argument names: the caller's own names first, then the catalog.
    pub(super) fn named_relation(
        &self,
        name: ObjectName,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<LogicalPlan> {
        let place = Span::try_from_sqlparser_span(name.span());
        let reference = context.object_name_to_table_reference(name.clone())?;
        // A common table expression, or a table that the statement reads elsewhere too.
        if let Ok(plan) = context.plan(table_factor(name, None)) {
            return Ok(plan);
        }
        match self.catalog_table(reference.clone()).map_err(|e| e.at(place))? {
            Some(plan) => Ok(plan),
            None => Err(self.unknown_table(&reference).at(place)),
        }
    }

    /// A scan of a table of the catalog, whatever names are in scope where it is asked for.
    pub(super) fn catalog_table(&self, reference: TableReference) -> Result<Option<LogicalPlan>> {
        let provider = match self.provider(&reference)? {
            // Somebody has moved to another schema, where the tables of the shop are not.
            None if reference.schema().is_none() => {
                self.provider(&TableReference::partial("public", reference.table().to_string()))?
            }
            found => found,
        };
        let Some(provider) = provider else { return Ok(None) };
        let plan =
            LogicalPlanBuilder::scan(reference, provider_as_source(provider), None)?.build()?;
        Ok(Some(plan))
    }

    /// The same, for a definition whose own word the name is.
    pub(super) fn table_read_by(
        &self,
        definition: &Definition,
        reference: TableReference,
    ) -> Result<Option<LogicalPlan>> {
        let plan = self.catalog_table(reference.clone())?;
        // A macro of the session reads what its analyst could as well have written outside of it.
        let marked = self.marks.load(Ordering::Relaxed) && !definition.is_own();
        Ok(match plan {
            Some(plan) if marked => Some(Marker::around(plan, Origin::Table(reference))),
            plan => plan,
        })
    }

    fn provider(&self, reference: &TableReference) -> Result<Option<Arc<dyn TableProvider>>> {
        let state = self.state()?;
        let Ok(schema) = state.read().schema_for_ref(reference.clone()) else { return Ok(None) };
        let table = reference.table().to_string();
        // Tables in memory answer at once. A file asks the disk, and planning cannot wait: a thread of its own does.
        if let Some(ready) = schema.table(&table).now_or_never() {
            return Ok(ready?);
        }
        let asked = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(schema.table(&table))
        });
        match asked.join() {
            Ok(found) => Ok(found?),
            Err(_) => {
                Err(Error::query(format!("looking up the table `{}` failed", reference.table())))
            }
        }
    }

    /// The error for a table that is not there.
    pub fn unknown_table(&self, reference: &TableReference) -> Error {
        let error = Error::query(format!("there is no table `{reference}`"));
        let Ok(state) = self.state() else { return error };
        // Listing the tables may plan views, and must not hold the session meanwhile.
        let state = state.read_recursive().clone();
        let names = table_names(&state);
        match nearest(reference.table(), names.iter().map(String::as_str)).as_slice() {
            [] if names.is_empty() => {
                error.hint("no table is loaded: give files with `--data PATH`")
            }
            [] if names.len() <= 12 => error.note(format!("tables here: {}", names.join(", "))),
            [] => error.hint("`SHOW TABLES` lists them"),
            near => error.hint(format!("did you mean {}?", or_list(near))),
        }
    }
}

/// Every table of the session that is not part of the information schema.
pub(crate) fn table_names(state: &SessionState) -> Vec<String> {
    let options = &state.config().options().catalog;
    let catalogs = state.catalog_list();
    let Some(catalog) = catalogs.catalog(&options.default_catalog) else { return vec![] };
    let mut names = vec![];
    for schema_name in catalog.schema_names() {
        let Some(schema) =
            catalog.schema(&schema_name).filter(|_| schema_name != "information_schema")
        else {
            continue;
        };
        for table in schema.table_names() {
            names.push(if schema_name == options.default_schema {
                table
            } else {
                format!("{schema_name}.{table}")
            });
        }
    }
    names.sort();
    names
}
