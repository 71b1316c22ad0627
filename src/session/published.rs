// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Queries that look like tables, for programs that know only those: the `[views]` of the configuration, and in the
//! schema `analyses` every analysis of the library that the tables at hand suffice for.
//!
//! A view is planned when it is asked for, in the session that asks: so it reads that session's tables under that
//! session's policy, and a table that appears later brings its analyses with it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableType};
use datafusion::prelude::SessionContext;
use futures::FutureExt;
use parking_lot::RwLock;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::library::Library;
use crate::policy::Who;
use crate::statement::parse;

/// The schema of the analyses that need no arguments.
pub const ANALYSES: &str = "analyses";

/// Lays the views over a session's catalogs. The owner, who calls analyses by their names, has no views of them.
pub(super) fn install(ctx: &SessionContext, config: &Config, library: &Library, who: &Who) {
    let state = ctx.state();
    let options = &state.config().options().catalog;
    let mut schemas: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (name, sql) in &config.views {
        let reference = TableReference::parse_str(name);
        let schema = reference.schema().unwrap_or(&options.default_schema).to_string();
        schemas.entry(schema).or_default().insert(reference.table().to_string(), sql.clone());
    }
    let views = Views {
        state: ctx.state_weak_ref(),
        catalog: options.default_catalog.clone(),
        schema: options.default_schema.clone(),
        schemas,
        analyses: match *who == Who::local(config.role.clone()) {
            true => vec![],
            false => library.iter().map(|a| a.name.clone()).collect(),
        },
        answering: Mutex::default(),
    };
    let inner = Arc::clone(state.catalog_list());
    ctx.register_catalog_list(Arc::new(Catalogs { inner, views: Arc::new(views) }));
}

/// Plans every view of the configuration, so that a mistake is found when the program starts.
pub(crate) async fn check(ctx: &SessionContext, config: &Config) -> Result<()> {
    for name in config.views.keys() {
        let wrong = |e: Error| e.context(format_args!("[views] {name}"));
        let reference = TableReference::parse_str(name);
        let schema = ctx.state().schema_for_ref(reference.clone());
        let schema = schema.map_err(|e| wrong(e.into()))?;
        let found = schema.table(reference.table()).await.map_err(|e| wrong(e.into()))?;
        if found.is_none_or(|table| table.table_type() != TableType::View) {
            return Err(wrong(Error::usage("there is a table of that name already")));
        }
    }
    Ok(())
}

/// The published queries of a session.
struct Views {
    state: Weak<RwLock<SessionState>>,
    catalog: String,
    schema: String,
    /// Schema → name → query.
    schemas: BTreeMap<String, BTreeMap<String, String>>,
    analyses: Vec<String>,
    /// The tables at hand when it was last asked which analyses they suffice for, and those.
    answering: Mutex<(Vec<String>, Vec<String>)>,
}

thread_local! {
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Views").field(&self.schemas).finish()
    }
}

impl Views {
    /// Plans a query where the session began, wherever its user has moved since.
    async fn plan(&self, sql: &str) -> Result<LogicalPlan> {
        let ended = || Error::query("the session that this view belongs to has ended");
        let mut state = self.state.upgrade().ok_or_else(ended)?.read_recursive().clone();
        let options = state.config_mut().options_mut();
        options.catalog.default_catalog.clone_from(&self.catalog);
        options.catalog.default_schema.clone_from(&self.schema);
        // Places in a text that the user does not see.
        options.sql_parser.collect_spans = false;
        let [statement] =
            <[_; 1]>::try_from(parse(sql)?).map_err(|_| Error::usage("a view is one query"))?;
        let plan = state.statement_to_plan(statement.parsed).await?;
        match plan {
            LogicalPlan::Ddl(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::Statement(_) => {
                Err(Error::usage("a view is a query, and changes nothing"))
            }
            plan => Ok(plan),
        }
    }

    fn query(&self, schema: &str, name: &str) -> Option<String> {
        let published = self.schemas.get(schema).and_then(|views| views.get(name));
        let analysis = || {
            (schema == ANALYSES && self.analyses.iter().any(|a| a == name))
                .then(|| format!("SELECT * FROM {name}()"))
        };
        published.cloned().or_else(analysis)
    }

    /// The views of a schema: all that are published, and the analyses that can be planned.
    fn names(&self, schema: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .schemas
            .get(schema)
            .map(|views| views.keys().cloned().collect())
            .unwrap_or_default();
        if schema == ANALYSES {
            names.extend(self.answering());
        }
        names
    }

    fn answering(&self) -> Vec<String> {
        let Some(state) = self.state.upgrade() else { return vec![] };
        // Recursive, because errors are written with the session in hand, and list its tables.
        let catalogs = Arc::clone(state.read_recursive().catalog_list());
        let mut tables: Vec<String> = catalogs
            .catalog(&self.catalog)
            .and_then(|catalog| catalog.schema(&self.schema))
            .map(|schema| schema.table_names())
            .unwrap_or_default();
        tables.sort();
        {
            let known = self.answering.lock().unwrap_or_else(PoisonError::into_inner);
            if known.0 == tables {
                return known.1.clone();
            }
        }
        // An analysis that does not plan has an error that lists the tables, which asks this again.
        if ASKING.replace(true) {
            return vec![];
        }
        let plans = |name: &&String| {
            let sql = format!("SELECT * FROM {name}()");
            matches!(self.plan(&sql).now_or_never(), Some(Ok(_)))
        };
        let answering: Vec<String> = self.analyses.iter().filter(plans).cloned().collect();
        ASKING.set(false);
        *self.answering.lock().unwrap_or_else(PoisonError::into_inner) =
            (tables, answering.clone());
        answering
    }
}

#[derive(Debug)]
struct Catalogs {
    inner: Arc<dyn CatalogProviderList>,
    views: Arc<Views>,
}

impl CatalogProviderList for Catalogs {
    fn register_catalog(
        &self,
        name: String,
        catalog: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        self.inner.register_catalog(name, catalog)
    }

    fn catalog_names(&self) -> Vec<String> {
        self.inner.catalog_names()
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        let inner = self.inner.catalog(name)?;
        if name != self.views.catalog {
            return Some(inner);
        }
        Some(Arc::new(Schemas { inner, views: Arc::clone(&self.views) }))
    }
}

#[derive(Debug)]
struct Schemas {
    inner: Arc<dyn CatalogProvider>,
    views: Arc<Views>,
}

impl CatalogProvider for Schemas {
    fn schema_names(&self) -> Vec<String> {
        let mut names = self.inner.schema_names();
        names.extend(self.views.schemas.keys().cloned());
        if !self.views.analyses.is_empty() {
            names.push(ANALYSES.to_string());
        }
        names.sort();
        names.dedup();
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let inner = self.inner.schema(name);
        let analyses = name == ANALYSES && !self.views.analyses.is_empty();
        if !analyses && !self.views.schemas.contains_key(name) {
            return inner;
        }
        // Views may stand where there is nothing else.
        let inner = inner.unwrap_or_else(|| Arc::new(MemorySchemaProvider::new()));
        Some(Arc::new(Tables { name: name.to_string(), inner, views: Arc::clone(&self.views) }))
    }

    fn register_schema(
        &self,
        name: &str,
        schema: Arc<dyn SchemaProvider>,
    ) -> Result<Option<Arc<dyn SchemaProvider>>, DataFusionError> {
        self.inner.register_schema(name, schema)
    }

    fn deregister_schema(
        &self,
        name: &str,
        cascade: bool,
    ) -> Result<Option<Arc<dyn SchemaProvider>>, DataFusionError> {
        self.inner.deregister_schema(name, cascade)
    }
}

#[derive(Debug)]
struct Tables {
    name: String,
    inner: Arc<dyn SchemaProvider>,
    views: Arc<Views>,
}

#[async_trait]
impl SchemaProvider for Tables {
    fn owner_name(&self) -> Option<&str> {
        self.inner.owner_name()
    }

    fn table_names(&self) -> Vec<String> {
        let mut names = self.inner.table_names();
        // Asking which analyses the tables suffice for asks for the tables.
        names.extend(self.views.names(&self.name));
        names.sort();
        names.dedup();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if let Some(table) = self.inner.table(name).await? {
            return Ok(Some(table));
        }
        let Some(sql) = self.views.query(&self.name, name) else { return Ok(None) };
        let plan = self.views.plan(&sql).await?;
        Ok(Some(Arc::new(ViewTable::new(plan, Some(sql)))))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>, DataFusionError> {
        match self.inner.table_type(name).await? {
            Some(table_type) => Ok(Some(table_type)),
            None => Ok(self.views.query(&self.name, name).map(|_| TableType::View)),
        }
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        self.inner.register_table(name, table)
    }

    fn deregister_table(
        &self,
        name: &str,
    ) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        self.inner.deregister_table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name) || self.views.query(&self.name, name).is_some()
    }
}
