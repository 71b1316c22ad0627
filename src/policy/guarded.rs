// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The second barrier: under a policy every table of the catalog stands behind a provider that cannot be scanned.
//!
//! The gate exchanges a [`Guarded`] table for the table behind it, once it has decided what may be read of it. A path to
//! the data that the gate has not seen (a provider handed to a table function, a plan built by hand, a statement kind
//! that somebody forgot) meets [`Guarded::scan`], which has one answer.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProviderList, SchemaProvider, Session, TableProvider};
use datafusion::common::config::CatalogOptions;
use datafusion::common::{DataFusionError, Statistics};
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::declarations::{Declarations, Table};
use super::refusal::{Code, refusal};
use crate::error::{Error, Result};

/// A table behind the gate.
#[derive(Debug)]
pub(super) struct Guarded {
    name: String,
    inner: Arc<dyn TableProvider>,
    /// What the policy says of it; `None` when it says nothing.
    declared: Option<Arc<Table>>,
    /// True in a schema that the policy leaves open.
    open: bool,
}

impl Guarded {
    pub(super) fn new(
        name: String,
        inner: Arc<dyn TableProvider>,
        declared: Option<Arc<Table>>,
        open: bool,
    ) -> Self {
        Self { name, inner, declared, open }
    }

    /// Its name, as the policy writes it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the policy says of it.
    pub(super) fn declared(&self) -> Option<&Arc<Table>> {
        self.declared.as_ref()
    }

    /// True in a schema that the policy leaves open.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// The table itself. This is the token: only what has been through the gate holds it.
    pub(super) fn unlocked(&self) -> Arc<dyn TableProvider> {
        Arc::clone(&self.inner)
    }
}

#[async_trait]
impl TableProvider for Guarded {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        // A view is a view to `DROP VIEW`, too.
        self.inner.table_type()
    }

    /// Nothing is known of the rows: not how many there are, and not the least and the greatest.
    fn statistics(&self) -> Option<Statistics> {
        None
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(vec![TableProviderFilterPushDown::Unsupported; filters.len()])
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        Err(refusal(
            Code::NotAllowed,
            format!("`{}` was reached by a way that the policy does not know", self.name),
        )
        .hint("read it by its name, in a statement")
        .into())
    }
}

/// The tables that all sessions share, without the queries that a session shows as tables.
pub(crate) struct Base(pub(crate) Arc<dyn CatalogProviderList>);

/// Puts every table of the session's catalog behind the gate, but for those that are to stay before it. Tables that are
/// behind it already stay as they are.
pub(super) async fn guard_all(
    ctx: &SessionContext,
    defaults: &CatalogOptions,
    declared: &Declarations,
    is_open: impl Fn(&Place) -> bool,
    stays: impl Fn(&Arc<dyn TableProvider>) -> bool,
) -> Result<Vec<String>> {
    let mut names = vec![];
    for place in places(ctx, defaults) {
        let Some(table) = place.schema.table(&place.table).await? else { continue };
        names.push(place.name.clone());
        if is_view_of_guarded(&table) || table.downcast_ref::<Guarded>().is_some() || stays(&table)
        {
            continue;
        }
        let open = declared.open_schemas.contains(&place.schema_name) && is_open(&place);
        let declared = declared.tables.get(&place.name).cloned().map(Arc::new);
        let guarded = Guarded::new(place.name, table, declared, open);
        place.schema.deregister_table(&place.table)?;
        place.schema.register_table(place.table, Arc::new(guarded))?;
    }
    Ok(names)
}

/// Every table of the session's catalog.
pub(super) async fn all(ctx: &SessionContext) -> Result<Vec<Arc<dyn TableProvider>>> {
    let mut tables = vec![];
    for place in places(ctx, &ctx.copied_config().options().catalog) {
        tables.extend(place.schema.table(&place.table).await?);
    }
    Ok(tables)
}

/// Where a table stands.
pub(super) struct Place {
    schema: Arc<dyn SchemaProvider>,
    schema_name: String,
    table: String,
    /// Its name as the policy writes it.
    pub(super) name: String,
}

fn places(ctx: &SessionContext, defaults: &CatalogOptions) -> Vec<Place> {
    let mut places = vec![];
    let config = ctx.copied_config();
    // Not through the session: what it shows as tables are queries over these, and the gate meets the tables in them.
    let catalogs = match config.get_extension::<Base>() {
        Some(base) => Arc::clone(&base.0),
        None => Arc::clone(ctx.state().catalog_list()),
    };
    for catalog_name in catalogs.catalog_names() {
        let Some(catalog) = catalogs.catalog(&catalog_name) else { continue };
        for schema_name in catalog.schema_names() {
            if schema_name == "information_schema" {
                continue;
            }
            let Some(schema) = catalog.schema(&schema_name) else { continue };
            for table in schema.table_names() {
                let name = policy_name(defaults, &catalog_name, &schema_name, &table);
                let (schema, schema_name) = (Arc::clone(&schema), schema_name.clone());
                places.push(Place { schema, schema_name, table, name });
            }
        }
    }
    places
}

/// How the policy writes a table's name: what is the session's default is left out.
pub(super) fn policy_name(
    defaults: &CatalogOptions,
    catalog: &str,
    schema: &str,
    table: &str,
) -> String {
    match (catalog == defaults.default_catalog, schema == defaults.default_schema) {
        (true, true) => table.to_string(),
        (true, false) => format!("{schema}.{table}"),
        (false, _) => format!("{catalog}.{schema}.{table}"),
    }
}

/// A view over tables that are behind the gate needs no guard of its own: the planner puts its query in its place, and the
/// gate meets the tables in it.
fn is_view_of_guarded(table: &Arc<dyn TableProvider>) -> bool {
    table.table_type() == TableType::View
        && table.get_logical_plan().is_some_and(|plan| scans_only_guarded(&plan))
}

fn scans_only_guarded(plan: &LogicalPlan) -> bool {
    use datafusion::common::tree_node::TreeNodeRecursion;
    let mut only = true;
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            only &= guarded(&scan.source).is_some();
        }
        Ok(TreeNodeRecursion::Continue)
    });
    only && walked.is_ok()
}

/// The guarded table behind a scan's source.
pub(super) fn guarded(
    source: &Arc<dyn datafusion::logical_expr::TableSource>,
) -> Option<Arc<dyn TableProvider>> {
    let provider = datafusion::datasource::source_as_provider(source).ok()?;
    provider.downcast_ref::<Guarded>().is_some().then_some(provider)
}

/// What the policy says must be there.
pub(super) fn missing_table(name: &str, there: &[String]) -> Error {
    let error = Error::usage(format!("the policy declares `{name}`, and there is no such table"));
    match crate::diagnostic::nearest(name, there.iter().map(String::as_str)).as_slice() {
        [] => error.hint("load it with `--data`, or take it out of the policy"),
        near => error.hint(format!("did you mean {}?", crate::diagnostic::or_list(near))),
    }
}
