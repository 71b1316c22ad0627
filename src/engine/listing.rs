// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a session's catalog holds.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::information_schema::{INFORMATION_SCHEMA, INFORMATION_SCHEMA_TABLES};
use datafusion::common::{Constraint, TableReference};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{ScalarUDF, TableType};
use futures::future::BoxFuture;

use super::Engine;
use crate::error::Result;
use crate::library::schema;

/// A table or a view by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its catalog.
    pub catalog: String,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
}

/// A table or a view, looked into.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Whether it is a view.
    pub view: bool,
    /// Its columns.
    pub schema: SchemaRef,
    /// The columns of its primary key, in order.
    pub primary_key: Vec<String>,
    /// What its columns mean, by name, as far as that is written down.
    pub meanings: BTreeMap<String, String>,
}

impl Engine {
    /// The catalogs and their schemas.
    pub fn schemas(&self) -> Vec<(String, String)> {
        let state = self.ctx.state();
        let mut names = vec![];
        for catalog in state.catalog_list().catalog_names() {
            let schemas = state.catalog_list().catalog(&catalog).map(|c| c.schema_names());
            names.extend(schemas.unwrap_or_default().into_iter().map(|s| (catalog.clone(), s)));
            names.push((catalog, INFORMATION_SCHEMA.to_string()));
        }
        names.sort();
        names.dedup();
        names
    }

    /// The tables and views of a schema, by name.
    pub fn listed(&self, catalog: &str, schema: &str) -> Vec<Listed> {
        let state = self.ctx.state();
        let listed = |name: String| Listed {
            catalog: catalog.to_string(),
            schema: schema.to_string(),
            name,
        };
        let mut names: Vec<Listed> = if schema == INFORMATION_SCHEMA {
            INFORMATION_SCHEMA_TABLES.iter().map(|name| listed((*name).to_string())).collect()
        } else {
            let schema = state.catalog_list().catalog(catalog).and_then(|c| c.schema(schema));
            schema.map(|s| s.table_names()).unwrap_or_default().into_iter().map(listed).collect()
        };
        names.sort();
        names
    }

    /// Whether a name is a view's, without looking into it.
    pub fn is_view<'a>(&'a self, listed: &'a Listed) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let catalog = self.ctx.state().catalog_list().catalog(&listed.catalog);
            match catalog.and_then(|c| c.schema(&listed.schema)) {
                Some(schema) => {
                    matches!(schema.table_type(&listed.name).await, Ok(Some(TableType::View)))
                }
                None => listed.schema == INFORMATION_SCHEMA,
            }
        })
    }

    /// What a setting of the session is; `None` where there is no such setting, or it is not set.
    pub fn setting(&self, name: &str) -> Option<String> {
        let config = self.ctx.copied_config();
        config.options().entries().into_iter().find(|e| e.key == name).and_then(|e| e.value)
    }

    /// Memory that a door needs for rows of its own, out of what all statements share.
    pub fn reserve(&self, name: &str) -> MemoryReservation {
        MemoryConsumer::new(name).register(&self.ctx.runtime_env().memory_pool)
    }

    /// Looks into a table; `None` when it is gone.
    pub fn relation<'a>(&'a self, listed: &'a Listed) -> BoxFuture<'a, Result<Option<Relation>>> {
        Box::pin(async move {
            if let Some(schema) =
                self.shared.listed_columns(&self.who, &listed.catalog, &listed.schema, &listed.name)
            {
                let meanings = self.meanings(&listed.name)?;
                return Ok(Some(Relation { view: true, primary_key: vec![], meanings, schema }));
            }
            let reference = TableReference::full(
                listed.catalog.as_str(),
                listed.schema.as_str(),
                listed.name.as_str(),
            );
            let Ok(schema) = self.ctx.state().schema_for_ref(reference) else { return Ok(None) };
            let Some(table) = schema.table(&listed.name).await? else { return Ok(None) };
            let columns = table.schema();
            let key = |constraint: &Constraint| match constraint {
                Constraint::PrimaryKey(columns) => Some(columns.clone()),
                Constraint::Unique(_) => None,
            };
            let primary_key = table
                .constraints()
                .and_then(|constraints| constraints.iter().find_map(key))
                .unwrap_or_default()
                .into_iter()
                .filter_map(|i| columns.fields().get(i).map(|f| f.name().clone()))
                .collect();
            Ok(Some(Relation {
                view: table.table_type() == TableType::View || listed.schema == INFORMATION_SCHEMA,
                primary_key,
                meanings: self.meanings(&listed.name)?,
                schema: columns,
            }))
        })
    }

    /// What the columns of a table of the canonical shop, or of an analysis, mean.
    fn meanings(&self, name: &str) -> Result<BTreeMap<String, String>> {
        if let Some(analysis) = self.shared.library().find(name) {
            let columns = analysis.returns.iter();
            return Ok(columns.map(|c| (c.name.clone(), c.meaning.clone())).collect());
        }
        let table = schema()?.into_iter().find(|table| table.name == name);
        let columns = table.map(|table| table.columns).unwrap_or_default();
        Ok(columns.into_iter().map(|c| (c.name, c.meaning)).collect())
    }

    /// The functions of one row, with the section of the manual that each is in.
    pub fn functions(&self) -> Vec<(String, String)> {
        let state = self.ctx.state();
        let section =
            |f: &ScalarUDF| f.documentation().map_or("", |d| d.doc_section.label).to_string();
        let mut functions: Vec<(String, String)> =
            state.scalar_functions().iter().map(|(name, f)| (name.clone(), section(f))).collect();
        functions.sort();
        functions
    }

    /// What an analysis answers, or `None` for a name that is none.
    pub fn about(&self, name: &str) -> Option<String> {
        self.shared.library().find(name).map(|analysis| analysis.about.clone())
    }
}
