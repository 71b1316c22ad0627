// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A source → a table: every file is looked into, the schemas are held against each other, and a `ListingTable`
//! (under a view, when columns are read as text first) reads them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::{ConfigFileType, TableOptions as EngineOptions};
use datafusion::common::{Constraints, DataFusionError, TableReference};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::datasource::provider_as_source;
use datafusion::execution::cache::cache_manager::TableScopedPath;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, SortExpr};
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use url::Url;

use super::csv::{Csv, Declared, Survey};
use super::discover::{DataFile, Source, partition, shown};
use super::drift::{self, FileSchema};
use super::options::{Compression, Format, TableOptions};
use super::view::TypedTable;
use super::written::Written;
use super::{files, json, nearest, sniff, store, transcode, view};
use crate::error::{Error, Result};

/// What CREATE EXTERNAL TABLE says beyond our options.
#[derive(Clone, Debug, Default)]
pub(super) struct Extra {
    /// DataFusion's own options, such as `format.compression_level`.
    pub(super) engine_options: HashMap<String, String>,
    pub(super) declared: Vec<(String, DataType)>,
    pub(super) partition_types: HashMap<String, DataType>,
    pub(super) sort_order: Vec<Vec<SortExpr>>,
    pub(super) constraints: Constraints,
    pub(super) column_defaults: HashMap<String, Expr>,
    pub(super) definition: Option<String>,
}

/// A source whose files have been looked into.
pub(super) struct Surveyed {
    source: Source,
    format: Format,
    compression: Compression,
    pub(super) files: Vec<FileSchema>,
    csv: Option<(Csv, Vec<Survey>)>,
    engine: EngineOptions,
    extra: Extra,
}

/// How many files are opened at a time.
const AT_ONCE: usize = 8;

/// Looks into every file of a source.
pub(super) async fn survey(
    state: &dyn Session,
    source: Source,
    options: &TableOptions,
    extra: Extra,
) -> Result<Surveyed> {
    let (format, compression) = one_kind(&source)?;
    if let Some(option) = options.csv_only()
        && format != Format::Csv
    {
        let error = format!(
            "`{option}` says nothing about `{}`, which is {}",
            shown(&source.origin),
            format.name()
        );
        return Err(Error::usage(error).hint("leave it out; it is for CSV files"));
    }
    let checked: Vec<DataFile> = source.files.clone();
    each_of(checked, |file| sniff::check(&file)).await?;
    let mut engine = state.default_table_options();
    engine.set_config_format(match format {
        Format::Csv => ConfigFileType::CSV,
        Format::Json => ConfigFileType::JSON,
        Format::Parquet | Format::Arrow => ConfigFileType::PARQUET,
    });
    engine.alter_with_string_hash_map(&extra.engine_options)?;
    let paths: Vec<PathBuf> = source.files.iter().map(|file| file.path.clone()).collect();
    let mut surveyed =
        Surveyed { source, format, compression, files: vec![], csv: None, engine, extra };
    surveyed.files = match format {
        Format::Csv => {
            let declared = declared(options, &surveyed.extra).await?;
            let csv = Csv::new(options, &surveyed.source.files[0], declared)?;
            let reader = csv.clone();
            let surveys = each(&paths, move |path| reader.survey(path)).await?;
            let files = pair(&paths, surveys.iter().map(|survey| survey.schema.clone()));
            surveyed.csv = Some((csv, surveys));
            files
        }
        Format::Json => {
            let schemas = each(&paths, move |path| json::survey(path, compression)).await?;
            let declared = declared(options, &surveyed.extra).await?;
            pair(&paths, schemas.into_iter().map(|schema| override_types(schema, &declared)))
        }
        Format::Parquet => {
            let format = ParquetFormat::default().with_options(surveyed.engine.parquet.clone());
            self_describing(state, &format, &paths).await?
        }
        Format::Arrow => self_describing(state, &ArrowFormat, &paths).await?,
    };
    if matches!(format, Format::Parquet | Format::Arrow) {
        let declared = declared(options, &surveyed.extra).await?;
        for file in &mut surveyed.files {
            has_columns(file, &declared)?;
            file.schema = override_types(file.schema.clone(), &declared);
        }
    }
    Ok(surveyed)
}

impl Surveyed {
    /// The one schema all files fit, or why there is none.
    pub(super) fn merge(&self, table: &str) -> Result<Schema> {
        drift::merge(table, self.format, &self.files)
    }

    /// The table.
    pub(super) fn assemble(
        self,
        state: &dyn Session,
        reference: &TableReference,
        merged: &Schema,
    ) -> Result<Arc<dyn TableProvider>> {
        let mut fields: Vec<Field> =
            merged.fields().iter().map(|field| plain_type(field)).collect();
        let partitions = self.partitions();
        if let Some(Partition { key, .. }) =
            partitions.iter().find(|p| fields.iter().any(|field| *field.name() == p.key))
        {
            if self.format == Format::Csv {
                let error = format!(
                    "column `{key}` of `{}` is also the name of its folders",
                    shown(&self.source.origin)
                );
                return Err(Error::usage(error)
                    .hint("rename the folders, or leave the column out of the files"));
            }
            // Writers that keep the column in the file put the folder's value into it, so the folder speaks for it.
            fields.retain(|field| partitions.iter().all(|p| p.key != *field.name()));
        }
        let schema = Schema::new_with_metadata(fields, merged.metadata().clone());
        let (format, in_file, by_format) = self.reader(&schema)?;
        let urls = self.urls(state, reference)?;
        if let Some(written) = state.config().get_extension::<Written>() {
            let places = urls.iter().map(|url| store::origin(url.get_url()));
            written.note(&self.source.origin, self.source.folder, places.collect());
        }
        let mut options = ListingOptions::new(format)
            .with_file_extension("")
            .with_table_partition_cols(partitions.iter().map(Partition::in_names).collect());
        options = options.with_file_sort_order(self.extra.sort_order.clone());
        let config = ListingTableConfig::new_with_multi_paths(urls)
            .with_listing_options(options)
            .with_schema(Arc::new(in_file.clone()));
        let table = ListingTable::try_new(config)?
            .with_cache(state.runtime_env().cache_manager.get_file_statistic_cache())
            .with_definition(self.extra.definition.clone())
            .with_constraints(self.extra.constraints.clone())
            .with_column_defaults(self.extra.column_defaults.clone());
        let table: Arc<dyn TableProvider> = Arc::new(table);
        let csv = self.csv.map(|(csv, _)| csv).filter(|_| in_file != schema);
        let odd = partitions.iter().filter(|p| p.is_odd()).map(|p| (p.key.as_str(), p.nulls));
        let odd: Vec<(&str, bool)> = odd.collect();
        if csv.is_none() && odd.is_empty() {
            return Ok(table);
        }
        let folders = partitions.iter().map(|p| Field::new(&p.key, p.data_type.clone(), p.nulls));
        let columns: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        let all = Schema::new(columns.into_iter().chain(folders).collect::<Vec<_>>());
        let scan = LogicalPlanBuilder::scan(reference.clone(), provider_as_source(table), None)?
            .build()?;
        // Only the columns of a CSV file may be read as another type than they have.
        let texts = if csv.is_some() { in_file.fields().len() } else { 0 };
        let reading = csv.map(|csv| csv.reading).unwrap_or_default();
        let columns = view::projection(scan.schema(), &all, &by_format, &reading, texts, &odd)?;
        let plan = LogicalPlanBuilder::from(scan).project(columns)?.build()?;
        Ok(Arc::new(TypedTable::new(plan, self.extra.definition.clone())))
    }

    /// The reader, the schema it is to read with, and the columns written in a format the user named.
    fn reader(&self, schema: &Schema) -> Result<(Arc<dyn FileFormat>, Schema, Vec<String>)> {
        let same = |format: Arc<dyn FileFormat>| Ok((format, schema.clone(), vec![]));
        let (csv, surveys) = match (self.format, &self.csv) {
            (Format::Csv, Some(csv)) => csv,
            (Format::Json, _) => {
                let compression = self.compression.engine();
                let format = JsonFormat::default().with_options(self.engine.json.clone());
                return same(Arc::new(format.with_file_compression_type(compression)));
            }
            (Format::Arrow, _) => return same(Arc::new(ArrowFormat)),
            (Format::Parquet | Format::Csv, _) => {
                return same(Arc::new(
                    ParquetFormat::default().with_options(self.engine.parquet.clone()),
                ));
            }
        };
        let by_format: Vec<String> =
            surveys.iter().flat_map(|survey| survey.by_format.clone()).collect();
        let fields = schema.fields().iter().map(|field| {
            let formatted = by_format.contains(field.name());
            match view::needs_view(field.data_type(), formatted, &csv.reading) {
                true => field.as_ref().clone().with_data_type(DataType::Utf8),
                false => field.as_ref().clone(),
            }
        });
        let in_file =
            Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone());
        let packed = if csv.form.is_plain() { self.compression } else { Compression::None };
        let multiline = !csv.form.is_plain() || surveys.iter().any(|survey| survey.multiline);
        let format = CsvFormat::default()
            .with_options(self.engine.csv.clone())
            .with_has_header(csv.dialect.header)
            .with_delimiter(csv.dialect.delimiter)
            .with_quote(csv.dialect.quote)
            .with_escape(csv.dialect.escape)
            .with_comment(csv.dialect.comment)
            .with_truncated_rows(csv.dialect.ragged)
            .with_newlines_in_values(multiline)
            .with_file_compression_type(packed.engine());
        Ok((Arc::new(format), in_file, by_format))
    }

    /// Where the engine finds the files: a folder stands for what lies in it, whatever else is a list of files.
    fn urls(
        &self,
        state: &dyn Session,
        reference: &TableReference,
    ) -> Result<Vec<ListingTableUrl>> {
        let runtime = state.runtime_env();
        let first = files::url(&self.source.files[0].path, false)?;
        store::of(runtime, &first)?;
        let base = ObjectStoreUrl::parse(&first[..url::Position::BeforePath])?;
        let store = match &self.csv {
            Some((csv, _)) if !csv.form.is_plain() => {
                transcode::register(&csv.form, &base, runtime)?
            }
            _ => base,
        };
        if let Some(other) = self.source.files.iter().find(|file| {
            files::url(&file.path, false)
                .is_ok_and(|u| u[..url::Position::BeforePath] != first[..url::Position::BeforePath])
        }) {
            let error = format!(
                "`{}` and `{}` lie in different stores",
                shown(&self.source.files[0].path),
                shown(&other.path)
            );
            return Err(Error::usage(error)
                .hint("give each store a table of its own, and `UNION ALL` them"));
        }
        let on_store = |url: Url| {
            Url::parse(&format!("{}{}", store.as_str().trim_end_matches('/'), url.path()))
        };
        let at = |path: &Path, folder: bool| -> Result<Url> {
            on_store(files::url(path, folder)?).map_err(|_| {
                Error::usage(format!("the path `{}` cannot be written as a URL", shown(path)))
            })
        };
        let ending = common_ending(&self.source);
        if self.source.folder
            && let Some(ending) = ending
        {
            let url = ListingTableUrl::try_new(at(&self.source.origin, true)?, None)?;
            let url = url.with_glob(&format!("[!._]*{ending}"))?.with_table_ref(reference.clone());
            // A listing kept from an earlier table of this name may lack files that were just looked into.
            if let Some(cache) = runtime.cache_manager.get_list_files_cache() {
                cache.remove(&TableScopedPath {
                    table: Some(reference.clone()),
                    path: url.prefix().clone(),
                });
            }
            // The engine takes a `=` for the mark of a folder, and passes such a file over.
            let passed_over = |file: &&DataFile| {
                file.path.file_name().is_some_and(|name| name.as_encoded_bytes().contains(&b'='))
            };
            let others = self.source.files.iter().filter(passed_over);
            if let Some(file) = others.clone().next().filter(|_| !self.source.partitions.is_empty())
            {
                let error = format!(
                    "`{}` has a `=` in its name, and lies in a hive-partitioned folder",
                    shown(&file.path)
                );
                return Err(Error::usage(error)
                    .hint("rename the file: there only folders are called `key=value`"));
            }
            let others = others.map(|f| Ok(ListingTableUrl::try_new(at(&f.path, false)?, None)?));
            return std::iter::once(Ok(url)).chain(others).collect();
        }
        if !self.source.partitions.is_empty() {
            let error =
                format!("the files of `{}` end in different ways", shown(&self.source.origin));
            return Err(
                Error::usage(error).hint("in a hive-partitioned folder all files need one ending")
            );
        }
        let files = self.source.files.iter();
        files.map(|file| Ok(ListingTableUrl::try_new(at(&file.path, false)?, None)?)).collect()
    }

    /// The partition columns: whole numbers, dates, and otherwise text.
    fn partitions(&self) -> Vec<Partition> {
        let mut values: Vec<Vec<String>> = vec![vec![]; self.source.partitions.len()];
        let mut encoded = false;
        for file in &self.source.files {
            let inner = file.path.strip_prefix(&self.source.origin).unwrap_or(&file.path);
            encoded |= inner.parent().is_some_and(|p| p.to_string_lossy().contains('%'));
            let found = inner.ancestors().skip(1).filter_map(partition).collect::<Vec<_>>();
            for ((_, value), values) in found.into_iter().rev().zip(&mut values) {
                values.push(value);
            }
        }
        let typed = |key: &String| self.extra.partition_types.get(key).cloned();
        let keys = self.source.partitions.iter().zip(values);
        keys.map(|(key, mut values)| {
            let all = values.len();
            values.retain(|value| value != view::NULL_FOLDER);
            Partition {
                key: key.clone(),
                data_type: typed(key).unwrap_or_else(|| partition_type(&values)),
                nulls: values.len() < all,
                encoded,
            }
        })
        .collect()
    }
}

/// A column that the names of folders give.
struct Partition {
    key: String,
    data_type: DataType,
    /// Whether a folder has the name that stands for NULL.
    nulls: bool,
    /// Whether a value may be written in more than one way.
    encoded: bool,
}

impl Partition {
    /// Whether the engine reads the names as text, because it would get the values wrong.
    fn is_odd(&self) -> bool {
        self.nulls || self.encoded
    }

    fn in_names(&self) -> (String, DataType) {
        let read = if self.is_odd() { DataType::Utf8 } else { self.data_type.clone() };
        (self.key.clone(), read)
    }
}

/// A table in one step.
pub(super) async fn table(
    state: &dyn Session,
    reference: &TableReference,
    source: Source,
    options: &TableOptions,
    extra: Extra,
) -> Result<Arc<dyn TableProvider>> {
    let surveyed = survey(state, source, options, extra).await?;
    let merged = surveyed.merge(reference.table())?;
    surveyed.assemble(state, reference, &merged)
}

fn one_kind(source: &Source) -> Result<(Format, Compression)> {
    let Some((first, rest)) = source.files.split_first() else {
        return Err(Error::usage(format!("`{}` holds no data file", shown(&source.origin))));
    };
    match rest
        .iter()
        .find(|file| (file.format, file.compression) != (first.format, first.compression))
    {
        None => Ok((first.format, first.compression)),
        Some(other) => {
            let what = if other.format == first.format { "compression" } else { "format" };
            let error = Error::usage(format!(
                "the files of table `{}` differ in {what}: `{}` and `{}`",
                source.name,
                shown(&first.path),
                shown(&other.path)
            ));
            Err(error.hint("put them into folders of their own"))
        }
    }
}

async fn each<T: Send + 'static>(
    paths: &[PathBuf],
    look: impl Fn(&Path) -> Result<T> + Clone + Send + 'static,
) -> Result<Vec<T>> {
    each_of(paths.to_vec(), move |path| look(&path)).await
}

/// Does something that waits for files with each of several things, on threads made for waiting.
async fn each_of<I: Send + 'static, T: Send + 'static>(
    all: Vec<I>,
    look: impl Fn(I) -> Result<T> + Clone + Send + 'static,
) -> Result<Vec<T>> {
    let tasks = all.into_iter().map(|one| {
        let look = look.clone();
        async move {
            let task = tokio::task::spawn_blocking(move || look(one)).await;
            task.unwrap_or_else(|error| {
                Err(Error::query(format!("reading a file was broken off: {error}")))
            })
        }
    });
    stream::iter(tasks).buffered(AT_ONCE).try_collect().await
}

/// Formats that carry their schema: Parquet in its footer, Arrow in its first message.
async fn self_describing(
    state: &dyn Session,
    format: &dyn FileFormat,
    paths: &[PathBuf],
) -> Result<Vec<FileSchema>> {
    let tasks = paths.iter().map(|path| async move {
        let url = files::url(path, false)?;
        let store = store::of(state.runtime_env(), &url)?;
        let location = store::location(&url)?;
        let meta = store.head(&location).await.map_err(|error| store::failed(&url, &error))?;
        let schema = format.infer_schema(state, &store, &[meta]).await.map_err(|error| {
            if let DataFusionError::ObjectStore(error) = error.find_root()
                && url.scheme() != "file"
            {
                return store::failed(&url, error);
            }
            let error = Error::usage(format!(
                "`{}` is cut short or damaged: its schema cannot be read",
                shown(path)
            ));
            error
                .hint("write it again, or copy it again; the end of a Parquet file is written last")
        })?;
        Ok(FileSchema { path: path.clone(), schema: schema.as_ref().clone() })
    });
    stream::iter(tasks.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await
}

fn pair(paths: &[PathBuf], schemas: impl Iterator<Item = Schema>) -> Vec<FileSchema> {
    paths.iter().cloned().zip(schemas).map(|(path, schema)| FileSchema { path, schema }).collect()
}

async fn declared(options: &TableOptions, extra: &Extra) -> Result<Declared> {
    if !extra.declared.is_empty() {
        return Ok(Declared { columns: extra.declared.clone(), by_position: true });
    }
    let mut columns = vec![];
    for (name, text) in options.columns.iter().flat_map(|columns| &columns.0) {
        columns.push((name.clone(), super::sql_type::parse(text).await?));
    }
    Ok(Declared { columns, by_position: false })
}

/// A file that carries its schema has every column that is declared for it.
fn has_columns(file: &FileSchema, declared: &Declared) -> Result<()> {
    let missing =
        declared.columns.iter().find(|(name, _)| file.schema.field_with_name(name).is_err());
    let Some((missing, _)) = missing else { return Ok(()) };
    let error = Error::usage(format!("`{}` has no column `{missing}`", shown(&file.path)));
    let names = file.schema.fields().iter().map(|field| field.name().as_str());
    Err(match nearest(missing, names.clone()) {
        Some(near) => error.hint(format!("did you mean `{near}`")),
        None => error.hint(format!("its columns are {}", names.collect::<Vec<_>>().join(", "))),
    })
}

fn override_types(schema: Schema, declared: &Declared) -> Schema {
    if declared.by_position {
        let fields = declared
            .columns
            .iter()
            .map(|(name, data_type)| Field::new(name, data_type.clone(), true));
        return Schema::new(fields.collect::<Vec<_>>());
    }
    let fields = schema.fields().iter().map(|field| {
        let said = declared.columns.iter().find(|(name, _)| name == field.name());
        let data_type = said.map_or(field.data_type(), |(_, data_type)| data_type);
        field.as_ref().clone().with_data_type(data_type.clone())
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// A column in which nothing was ever seen is text.
fn plain_type(field: &Field) -> Field {
    match field.data_type() {
        DataType::Null => field.clone().with_data_type(DataType::Utf8),
        _ => field.clone(),
    }
}

pub(super) fn partition_type(values: &[String]) -> DataType {
    // The engine turns `month = 7` into the folder `month=7`, so a number has to be written as it would write it: `07`
    // read as a number would silently find nothing.
    let whole =
        |value: &String| value.parse::<i64>().is_ok_and(|number| number.to_string() == *value);
    if values.is_empty() {
        DataType::Utf8
    } else if values.iter().all(whole) {
        DataType::Int64
    } else if values
        .iter()
        .all(|value| value.len() == 10 && value.parse::<chrono::NaiveDate>().is_ok())
    {
        DataType::Date32
    } else {
        DataType::Utf8
    }
}

/// `.csv.gz` when all files end so.
fn common_ending(source: &Source) -> Option<String> {
    let endings: HashSet<String> = source
        .files
        .iter()
        .map(|file| {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy();
            let parts = if file.compression == Compression::None { 1 } else { 2 };
            let mut ending: Vec<&str> = name.rsplitn(parts + 1, '.').take(parts).collect();
            ending.reverse();
            format!(".{}", ending.join("."))
        })
        .collect();
    let mut endings = endings.into_iter();
    let simple =
        |ending: &String| ending.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    endings.next().filter(simple).filter(|_| endings.next().is_none())
}
