// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `FROM 'orders.parquet'`: a name no schema knows, and which looks like a path, is read as one.
//!
//! DataFusion's `DynamicFileCatalog` does the same but cannot drop a schema, hides why a file could not be read, and
//! knows neither our options nor our checks.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;

use super::discover::{self, known};
use super::table::{Extra, table};
use super::{local_path, path_of, planned, split_options, store};
use crate::error::Result;

/// Lays the resolver over the session's catalogs; a second call changes nothing.
pub(super) fn install(ctx: &SessionContext) {
    let state = ctx.state();
    let inner = Arc::clone(state.catalog_list());
    if inner.is::<Catalogs>() {
        return;
    }
    // Only the configuration and the runtime are needed, and a copy of them keeps no session alive.
    let session = SessionStateBuilder::new()
        .with_config(state.config().clone())
        .with_runtime_env(Arc::clone(state.runtime_env()))
        .build();
    let files = Files { session: Arc::new(session), closed: Arc::default() };
    ctx.register_catalog_list(Arc::new(Catalogs { inner, files }));
}

/// From now on no path is read: under a privacy policy a file is read as the table that the policy knows, or not at all.
/// Even its columns' names would tell, for options can make any line of a file the line of names.
pub(super) fn close(ctx: &SessionContext) {
    if let Some(catalogs) = ctx.state().catalog_list().downcast_ref::<Catalogs>() {
        catalogs.files.closed.store(true, Ordering::Relaxed);
    }
}

/// The table at a path; `None` when the name is no path.
async fn resolve(session: &SessionState, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    let (text, options) = split_options(name)?;
    let path = match local_path(text) {
        Some(path) if looks_like_path(text, &path) => path,
        None if store::is_remote(text) => path_of(text)?,
        _ => return Ok(None),
    };
    if let Some(planned) = planned::table(session, text)? {
        return Ok(Some(planned));
    }
    let source = discover::source(&path, &options)?;
    let reference = TableReference::bare(name);
    table(session, &reference, source, &options, Extra::default()).await.map(Some)
}

fn looks_like_path(text: &str, path: &Path) -> bool {
    text.contains(['/', '*', '\\']) || known(path) || (text.contains('.') && path.is_file())
}

#[derive(Clone)]
struct Files {
    session: Arc<SessionState>,
    closed: Arc<AtomicBool>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files")
    }
}

#[derive(Debug)]
struct Catalogs {
    inner: Arc<dyn CatalogProviderList>,
    files: Files,
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
        Some(Arc::new(Schemas { inner, files: self.files.clone() }))
    }
}

#[derive(Debug)]
struct Schemas {
    inner: Arc<dyn CatalogProvider>,
    files: Files,
}

impl CatalogProvider for Schemas {
    fn schema_names(&self) -> Vec<String> {
        self.inner.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let inner = self.inner.schema(name)?;
        Some(Arc::new(Tables { inner, files: self.files.clone() }))
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
    inner: Arc<dyn SchemaProvider>,
    files: Files,
}

#[async_trait]
impl SchemaProvider for Tables {
    fn owner_name(&self) -> Option<&str> {
        self.inner.owner_name()
    }

    fn table_names(&self) -> Vec<String> {
        self.inner.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        match self.inner.table(name).await? {
            Some(table) => Ok(Some(table)),
            None if self.files.closed.load(Ordering::Relaxed) => Ok(None),
            None => Ok(resolve(&self.files.session, name).await?),
        }
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>, DataFusionError> {
        self.inner.table_type(name).await
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
        self.inner.table_exist(name)
    }
}
