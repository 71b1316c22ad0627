// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Tables that are laid over a session's catalogs: found where there is none of that name, and gone with the session.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;

/// A schema by its full name.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) catalog: String,
    pub(crate) schema: String,
}

/// What is laid over.
#[async_trait]
pub(crate) trait Layer: Clone + Debug + Send + Sync + 'static {
    /// The schemas that it has tables in, whether they are there without it or not.
    fn schemas(&self, _catalog: &str) -> Vec<String> {
        vec![]
    }

    /// The tables that it shows in lists.
    fn tables(&self, _place: &Place) -> Vec<String> {
        vec![]
    }

    /// What a table of its own is, without looking into it; `None` where it has none that it shows.
    fn table_type(&self, _place: &Place, _name: &str) -> Option<TableType> {
        None
    }

    /// A table of its own.
    async fn table(
        &self,
        place: &Place,
        name: &str,
    ) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError>;
}

/// Lays it over what the session has.
pub(crate) fn lay<L: Layer>(ctx: &SessionContext, layer: L) {
    let inner = Arc::clone(ctx.state().catalog_list());
    ctx.register_catalog_list(Arc::new(Catalogs { inner, layer }));
}

/// The uppermost, if it is of that kind.
pub(crate) fn uppermost<L: Layer>(ctx: &SessionContext) -> Option<L> {
    ctx.state().catalog_list().downcast_ref::<Catalogs<L>>().map(|c| c.layer.clone())
}

fn with_more(mut names: Vec<String>, more: Vec<String>) -> Vec<String> {
    names.extend(more);
    names.sort();
    names.dedup();
    names
}

#[derive(Debug)]
struct Catalogs<L> {
    inner: Arc<dyn CatalogProviderList>,
    layer: L,
}

impl<L: Layer> CatalogProviderList for Catalogs<L> {
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
        Some(Arc::new(Schemas { name: name.to_string(), inner, layer: self.layer.clone() }))
    }
}

#[derive(Debug)]
struct Schemas<L> {
    name: String,
    inner: Arc<dyn CatalogProvider>,
    layer: L,
}

impl<L: Layer> CatalogProvider for Schemas<L> {
    fn schema_names(&self) -> Vec<String> {
        with_more(self.inner.schema_names(), self.layer.schemas(&self.name))
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let inner = match self.inner.schema(name) {
            Some(inner) => inner,
            None if self.layer.schemas(&self.name).iter().any(|s| s == name) => {
                Arc::new(MemorySchemaProvider::new())
            }
            None => return None,
        };
        let place = Place { catalog: self.name.clone(), schema: name.to_string() };
        Some(Arc::new(Tables { place, inner, layer: self.layer.clone() }))
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
struct Tables<L> {
    place: Place,
    inner: Arc<dyn SchemaProvider>,
    layer: L,
}

#[async_trait]
impl<L: Layer> SchemaProvider for Tables<L> {
    fn owner_name(&self) -> Option<&str> {
        self.inner.owner_name()
    }

    fn table_names(&self) -> Vec<String> {
        with_more(self.inner.table_names(), self.layer.tables(&self.place))
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        match self.inner.table(name).await? {
            Some(table) => Ok(Some(table)),
            None => self.layer.table(&self.place, name).await,
        }
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>, DataFusionError> {
        match self.inner.table_type(name).await? {
            Some(table_type) => Ok(Some(table_type)),
            None => Ok(self.layer.table_type(&self.place, name)),
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
        self.inner.table_exist(name) || self.layer.table_type(&self.place, name).is_some()
    }
}
