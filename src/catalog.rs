// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Files and folders → tables.
//!
//! A table is a plain DataFusion `ListingTable`, so projections and filters reach the files, Parquet is pruned by its
//! statistics, large CSV files are read in parallel ranges, and plans can be sent to another process. Where the engine's
//! CSV reader cannot read a column as it is meant (other NULLs, decimal commas, date formats), the column is read as
//! text under a view that types it. Where it cannot read the bytes (other encodings, columns set apart by blanks), they
//! are rewritten on the way by an object store.
//!
//! Every file of a table is looked into when the table is added, so that most of what can be wrong with a file is said
//! before a query runs, with the file and the line. What shows up later is found again by [`explain_failure`].

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::catalog::{MemorySchemaProvider, TableProvider};
use datafusion::common::TableReference;
use datafusion::datasource::listing::ListingTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;

mod create;
mod csv;
mod direct;
mod discover;
mod drift;
mod failure;
mod fence;
pub(crate) mod files;
mod json;
mod kind;
pub(crate) mod layer;
mod options;
pub(crate) mod planned;
mod real_path;
mod row_group;
mod scan;
mod sniff;
mod sql_type;
mod stamp;
pub(crate) mod store;
mod table;
#[cfg(test)]
mod tests;
mod transcode;
mod view;
mod written;

pub use failure::explain_failure;
pub(crate) use fence::Fence;
pub use options::{Columns, Compression, Format, TableOptions, Words};
pub use real_path::real_path;
pub use stamp::{Stamp, Stamped};
pub(crate) use stamp::{overlap, place_at, place_of, shown as shown_place, stamp};
pub(crate) use view::NULL_FOLDER;
pub(crate) use written::{Written, places_meant, reads};

use crate::error::{Error, Result};
use discover::{Found, Source, shown};
use table::Extra;

/// Adds what `--data PATH` names: a file as one table, a folder as one table for each file and sub-folder in it. Options
/// may stand behind the path (`orders.txt?format=csv&delimiter=tab`). Gives the names of the tables, as one would write
/// them in SQL but for quotes.
///
/// Nothing is added unless everything can be.
pub async fn add_path(
    ctx: &SessionContext,
    path: &str,
    options: &TableOptions,
) -> Result<Vec<String>> {
    let (text, more) = split_options_over(path, options)?;
    let path = path_of(text)?;
    let folder = files::is_dir(&path);
    let mut ready: Vec<Ready> = vec![];
    for found in discover::discover(&path, &more)? {
        match found {
            Found::Table(source) => {
                let options = if folder { for_file(&more, &source) } else { more.clone() };
                let reference = TableReference::bare(source.name.clone());
                add(ctx, &mut ready, reference, source, &options).await?;
            }
            Found::Folder(source) => add_folder(ctx, &mut ready, source, &more).await?,
        }
    }
    register(ctx, ready)
}

/// Adds one table of the configuration: `[tables.NAME]` with its paths and options.
pub async fn add_table(
    ctx: &SessionContext,
    name: &str,
    paths: &[String],
    options: &TableOptions,
) -> Result<()> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path_of(path)).collect::<Result<_>>()?;
    let source = discover::sources(name, &paths, options)?;
    let mut ready = vec![];
    add(ctx, &mut ready, TableReference::bare(name), source, options).await?;
    register(ctx, ready)?;
    Ok(())
}

/// Teaches a session our `CREATE EXTERNAL TABLE` and `FROM 'file.parquet'`. Calling it twice does no harm.
pub fn install(ctx: &SessionContext) {
    create::install(ctx);
    direct::install(ctx);
}

/// Takes `FROM 'file.parquet'` away from a session again, for good.
pub(crate) fn close_files(ctx: &SessionContext) {
    direct::close(ctx);
}

/// A table that can be added, and where it came from.
struct Ready {
    reference: TableReference,
    origin: PathBuf,
    table: Arc<dyn TableProvider>,
}

async fn add(
    ctx: &SessionContext,
    ready: &mut Vec<Ready>,
    reference: TableReference,
    source: Source,
    options: &TableOptions,
) -> Result<()> {
    free(ctx, ready, &reference, &source).await?;
    let origin = source.origin.clone();
    let table = table::table(&ctx.state(), &reference, source, options, Extra::default()).await?;
    ready.push(Ready { reference, origin, table });
    Ok(())
}

/// A sub-folder: one table when the columns of its files agree; a schema of tables, such as `truth.customers`, when they
/// have nothing to do with one another; otherwise the files of one table have drifted apart, which is an error.
async fn add_folder(
    ctx: &SessionContext,
    ready: &mut Vec<Ready>,
    source: Source,
    options: &TableOptions,
) -> Result<()> {
    let state = ctx.state();
    let first = &source.files[0];
    let alike = source
        .files
        .iter()
        .all(|file| (file.format, file.compression) == (first.format, first.compression));
    let mut schemas = vec![];
    if alike {
        let own = for_file(options, &source);
        let surveyed = table::survey(&state, source.clone(), &own, Extra::default()).await?;
        let merged = surveyed.merge(&source.name);
        if merged.is_ok() || !source.partitions.is_empty() || !drift::unrelated(&surveyed.files) {
            let reference = TableReference::bare(source.name.clone());
            free(ctx, ready, &reference, &source).await?;
            let table = surveyed.assemble(&state, &reference, &merged?)?;
            ready.push(Ready { reference, origin: source.origin, table });
            return Ok(());
        }
        schemas.extend(surveyed.files);
    } else {
        for file in single_files(&source) {
            let own = for_file(options, &file);
            schemas.extend(table::survey(&state, file, &own, Extra::default()).await?.files);
        }
        if !drift::unrelated(&schemas) || !source.partitions.is_empty() {
            table::survey(&state, source.clone(), options, Extra::default()).await?;
        }
    }
    for file in single_files(&source) {
        let reference = TableReference::partial(source.name.clone(), file.name.clone());
        let own = for_file(options, &file);
        add(ctx, ready, reference, file, &own).await?;
    }
    Ok(())
}

fn single_files(source: &Source) -> impl Iterator<Item = Source> {
    source.files.iter().map(|file| Source {
        name: discover::table_name(&file.path),
        origin: file.path.clone(),
        files: vec![file.clone()],
        partitions: vec![],
        folder: false,
    })
}

/// Options given for a whole folder mean its CSV files; the others take what concerns them.
fn for_file(options: &TableOptions, source: &Source) -> TableOptions {
    match source.files.iter().any(|file| file.format == Format::Csv) {
        true => options.clone(),
        false => TableOptions {
            format: options.format,
            compression: options.compression,
            ..TableOptions::default()
        },
    }
}

/// Fails when the name is taken, naming both sources.
async fn free(
    ctx: &SessionContext,
    ready: &[Ready],
    reference: &TableReference,
    source: &Source,
) -> Result<()> {
    let mut other = None;
    if let Some(ready) = ready.iter().find(|ready| ready.reference == *reference) {
        other = Some(format!("`{}`", shown(&ready.origin)));
    } else if ctx.table_exist(reference.clone()).unwrap_or(false) {
        // An error means that the schema is not there, so neither is the table.
        let provider = ctx.table_provider(reference.clone()).await?;
        other =
            Some(place(&provider).unwrap_or_else(|| "a table that is already there".to_owned()));
    }
    match other {
        None => Ok(()),
        Some(other) => {
            let here = shown(&source.origin);
            let error = Error::usage(format!(
                "two sources give the table `{reference}`: {other} and `{here}`"
            ));
            Err(error.hint(
                "rename one, or give it a name of its own under `[tables.NAME]` in `comptoir.toml`",
            ))
        }
    }
}

/// Where a table of ours reads from.
fn place(provider: &Arc<dyn TableProvider>) -> Option<String> {
    if let Some(view) = provider.downcast_ref::<view::TypedTable>()
        && let LogicalPlan::Projection(projection) = view.plan()
        && let LogicalPlan::TableScan(scan) = projection.input.as_ref()
    {
        return place(&datafusion::datasource::source_as_provider(&scan.source).ok()?);
    }
    let url = provider.downcast_ref::<ListingTable>()?.table_paths().first()?;
    let origin = store::origin(url.get_url());
    if store::is_remote(&origin) {
        return Some(format!("`{origin}`"));
    }
    let path = object_store::local::LocalFileSystem::new().path_to_filesystem(url.prefix()).ok()?;
    Some(format!("`{}`", shown(&path)))
}

/// The files and folders that a plan reads, in order, as far as they are on this machine.
pub(crate) fn paths_read(plan: &LogicalPlan) -> Vec<PathBuf> {
    let disk = object_store::local::LocalFileSystem::new();
    let mut paths = vec![];
    // The closure never fails.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = datafusion::datasource::source_as_provider(&scan.source)
            && let Some(table) = provider.downcast_ref::<ListingTable>()
        {
            let urls = table.table_paths().iter();
            paths.extend(urls.filter_map(|url| disk.path_to_filesystem(url.prefix()).ok()));
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    });
    paths.sort();
    paths.dedup();
    paths
}

/// Whether what is written to a table is written to files.
pub(crate) fn is_on_disk(target: &Arc<dyn datafusion::logical_expr::TableSource>) -> bool {
    datafusion::datasource::source_as_provider(target)
        .is_ok_and(|provider| provider.downcast_ref::<ListingTable>().is_some())
}

/// Whether a table is made from nothing but its arguments, or by the query that reads it.
pub(crate) fn is_computed(provider: &dyn TableProvider) -> bool {
    use datafusion::catalog::cte_worktable::CteWorkTable;
    use datafusion::functions_table::generate_series::GenerateSeriesTable;
    provider.downcast_ref::<GenerateSeriesTable>().is_some()
        || provider.downcast_ref::<CteWorkTable>().is_some()
}

fn register(ctx: &SessionContext, ready: Vec<Ready>) -> Result<Vec<String>> {
    let mut names = vec![];
    for Ready { reference, table, .. } in ready {
        if let Some(schema) = reference.schema() {
            let config = ctx.copied_config();
            let catalog = ctx.catalog(&config.options().catalog.default_catalog);
            let catalog =
                catalog.ok_or_else(|| Error::usage("the session has no default catalog"))?;
            if catalog.schema(schema).is_none() {
                catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()))?;
            }
        }
        names.push(reference.to_string());
        ctx.register_table(reference, table)?;
    }
    Ok(names)
}

/// A path on this machine's file system; `None` for an address elsewhere.
pub(crate) fn local_path(text: &str) -> Option<PathBuf> {
    if text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("file:/")) {
        return url::Url::parse(text).ok()?.to_file_path().ok();
    }
    (!text.contains("://")).then(|| PathBuf::from(text))
}

/// A path on this machine, or an address in a store.
fn path_of(text: &str) -> Result<PathBuf> {
    match local_path(text) {
        Some(path) => Ok(path),
        None => files::settled(PathBuf::from(store::shown(&store::parse(text)?))),
    }
}

/// `orders.csv?delimiter=;` → the path and the options. A question mark may also be part of a pattern or a name, so only
/// one with a `key=` behind it begins the options.
fn split_options(text: &str) -> Result<(&str, TableOptions)> {
    split_options_over(text, &TableOptions::default())
}

fn split_options_over<'a>(
    text: &'a str,
    options: &TableOptions,
) -> Result<(&'a str, TableOptions)> {
    let mut options = options.clone();
    match text.split_once('?') {
        Some((path, query)) if query.contains('=') && !std::path::Path::new(text).exists() => {
            options.set_query(query).map_err(|error| match store::is_remote(path) {
                true => error.note(
                    "a signed address cannot be read: what stands behind its `?` are options",
                ),
                false => error,
            })?;
            Ok((path, options))
        }
        _ => Ok((text, options)),
    }
}

/// The candidate most like a name, if any is like it.
fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
