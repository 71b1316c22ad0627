// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A query failed while reading → the file, and the line or row group, at fault.
//!
//! The engine's readers do not know the file they read, count lines within a byte range, and quote the whole row, which
//! may be a person's. So when, and only when, a query has failed in a way that data can cause, the files it scans are
//! read once more from their start, slowly, until the fault is found again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow::compute::kernels::cast_utils::{Parser, parse_decimal, string_to_datetime};
use arrow::datatypes::*;
use arrow::error::ArrowError;
use chrono::Utc;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::ListingTable;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;
use encoding_rs::UTF_8;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;

use super::csv::{Csv, Declared, ragged};
use super::discover::shown;
use super::drift::sql;
use super::kind::{Kinds, Reading, is_boolean};
use super::options::Compression;
use super::scan::{Dialect, Record, Scanner};
use super::transcode::Form;
use super::{json, row_group, store};
use crate::error::{Error, Kind, Result};

/// Says which file and which line or row group made a query fail, or what went wrong otherwise.
///
/// `plan` is the query's logical plan before optimisation, in which the columns of a CSV table still stand right above
/// its scan.
pub async fn explain_failure(
    ctx: &SessionContext,
    plan: &LogicalPlan,
    error: DataFusionError,
) -> Error {
    let Some(cause) = cause(&error) else {
        return error.into();
    };
    let (suspects, reads) = suspects(plan);
    for suspect in suspects {
        let found = match suspect.fault(ctx, cause).await {
            Ok(None) => continue,
            Ok(Some(found)) | Err(found) => found,
        };
        // A store that cannot be reached is no fault of the data.
        let kind = match found.kind {
            Kind::Retry | Kind::Resource | Kind::Denied | Kind::Unsupported => found.kind,
            Kind::Query | Kind::Usage | Kind::Interrupted => Kind::Query,
        };
        return Error { kind, ..found };
    }
    match cause {
        // The engine's message quotes the row, and no file explains it any more.
        Cause::Text if reads => Error::query(
            "a line of a file could not be read, but reading it again found nothing wrong",
        )
        .hint("did the file change while the query ran"),
        Cause::Text | Cause::Reading | Cause::Value => error.into(),
    }
}

/// In which way data can have caused an error.
#[derive(Clone, Copy, PartialEq)]
enum Cause {
    /// A line of text did not parse.
    Text,
    /// Bytes could not be read or decoded.
    Reading,
    /// An expression failed on a value; it may be the projection that turns text into typed columns.
    Value,
}

fn cause(error: &DataFusionError) -> Option<Cause> {
    match error.find_root() {
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            // What is being written, not read.
            ArrowError::CsvError(words) if words.starts_with("Nested type") => None,
            ArrowError::CsvError(_) | ArrowError::JsonError(_) => Some(Cause::Text),
            ArrowError::ParseError(_) => Some(Cause::Text),
            ArrowError::CastError(_) | ArrowError::ComputeError(_) => Some(Cause::Value),
            ArrowError::InvalidArgumentError(_) => Some(Cause::Value),
            ArrowError::ParquetError(_) | ArrowError::IpcError(_) => Some(Cause::Reading),
            ArrowError::IoError(..) | ArrowError::ExternalError(_) => Some(Cause::Reading),
            _ => None,
        },
        DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) => Some(Cause::Reading),
        DataFusionError::IoError(_) => Some(Cause::Reading),
        // Our own message is already the answer.
        DataFusionError::External(inner) if inner.downcast_ref::<Error>().is_none() => {
            Some(Cause::Reading)
        }
        DataFusionError::Execution(_) => Some(Cause::Value),
        _ => None,
    }
}

/// A table the query reads, with the projection that types its texts where it has one.
struct Suspect {
    table: Arc<dyn datafusion::catalog::TableProvider>,
    typing: Option<(Vec<Expr>, DFSchema)>,
}

/// The files' tables, and whether any table is read.
fn suspects(plan: &LogicalPlan) -> (Vec<Suspect>, bool) {
    let mut all: Vec<Suspect> = vec![];
    let mut reads = false;
    // The closure never fails.
    let _ = plan.apply_with_subqueries(|node| {
        let (scan, typing) = match node {
            LogicalPlan::Projection(projection) => match projection.input.as_ref() {
                LogicalPlan::TableScan(scan) => (
                    scan,
                    Some((projection.expr.clone(), projection.input.schema().as_ref().clone())),
                ),
                _ => return Ok(TreeNodeRecursion::Continue),
            },
            LogicalPlan::TableScan(scan) => (scan, None),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        reads = true;
        if let Ok(table) = source_as_provider(&scan.source)
            && table.downcast_ref::<ListingTable>().is_some()
        {
            all.push(Suspect { table, typing });
        }
        Ok(TreeNodeRecursion::Continue)
    });
    (all, reads)
}

impl Suspect {
    async fn fault(&self, ctx: &SessionContext, cause: Cause) -> Result<Option<Error>> {
        let Some(table) = self.table.downcast_ref::<ListingTable>() else {
            return Ok(None);
        };
        let format = Arc::clone(&table.options().format);
        let partitions = table.options().table_partition_cols.len();
        let schema = self.table.schema();
        let schema = Schema::new(schema.fields()[..schema.fields().len() - partitions].to_vec());
        let files = files(ctx, table).await?;
        if let Some(csv) = format.downcast_ref::<CsvFormat>() {
            let Some(csv) = dialect(ctx, table, csv) else { return Ok(None) };
            let typing = self.typing(ctx, &schema)?;
            if typing.is_empty() && cause == Cause::Value {
                return Ok(None);
            }
            return first(files, move |path| csv_fault(path, &csv, &schema, &typing)).await;
        }
        if cause == Cause::Value {
            return Ok(None);
        }
        if let Some(json) = format.downcast_ref::<JsonFormat>() {
            let compression = compression(json.options().compression.into());
            return first(files, move |path| json::fault(path, compression, Some(&schema))).await;
        }
        if format.downcast_ref::<ParquetFormat>().is_some() {
            return first(files, row_group::fault).await;
        }
        Ok(None)
    }

    /// The expressions over the texts of the scan, ready to be tried on a few lines at a time.
    fn typing(&self, ctx: &SessionContext, schema: &Schema) -> Result<Vec<Typing>> {
        let Some((exprs, input)) = &self.typing else {
            return Ok(vec![]);
        };
        let texts = schema.fields().iter().any(|field| field.data_type() == &DataType::Utf8);
        let mut all = vec![];
        for expr in exprs.iter().filter(|_| texts) {
            let bare = expr.clone().unalias();
            if matches!(bare, Expr::Column(_) | Expr::Literal(..)) {
                continue;
            }
            let name = expr.qualified_name().1;
            let physical = ctx.create_physical_expr(bare, input)?;
            let data_type = physical.data_type(input.as_arrow())?;
            all.push(Typing {
                name,
                data_type,
                expr: physical,
                scan: Arc::new(input.as_arrow().clone()),
            });
        }
        Ok(all)
    }
}

struct Typing {
    name: String,
    data_type: DataType,
    expr: Arc<dyn PhysicalExpr>,
    scan: SchemaRef,
}

/// The files of a table.
async fn files(ctx: &SessionContext, table: &ListingTable) -> Result<Vec<PathBuf>> {
    let state = ctx.state();
    let local = LocalFileSystem::new();
    let mut all = vec![];
    for url in table.table_paths() {
        let store = ctx.runtime_env().object_store(url)?;
        let listed =
            url.list_all_files(&state, store.as_ref(), &table.options().file_extension).await;
        let listed: Vec<_> = match listed {
            Ok(stream) => stream.try_collect().await,
            Err(error) => Err(error),
        }
        .map_err(|error| match error.find_root() {
            DataFusionError::ObjectStore(inner)
                if matches!(**inner, object_store::Error::NotFound { .. }) =>
            {
                let path = local.path_to_filesystem(url.prefix()).unwrap_or_default();
                super::discover::missing(&path).note("it was there when the table was added")
            }
            _ => error.into(),
        })?;
        for meta in listed {
            let address = store::origin(url.get_url());
            all.extend(match store::is_remote(&address) {
                true => Some(PathBuf::from(store::beside(&address, &meta.location))),
                false => local.path_to_filesystem(&meta.location).ok(),
            });
        }
    }
    all.sort();
    Ok(all)
}

async fn first(
    files: Vec<PathBuf>,
    look: impl Fn(&Path) -> Result<Option<Error>> + Send + 'static,
) -> Result<Option<Error>> {
    let task = tokio::task::spawn_blocking(move || {
        for path in &files {
            if let Some(found) = look(path)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    });
    task.await.unwrap_or_else(|error| {
        Err(Error::query(format!("reading a file was broken off: {error}")))
    })
}

/// How the files of a CSV table are read, from what the table itself says.
fn dialect(ctx: &SessionContext, table: &ListingTable, csv: &CsvFormat) -> Option<Csv> {
    let options = csv.options();
    let header = options.has_header.unwrap_or(ctx.copied_config().options().catalog.has_header);
    let plain = Form {
        compression: compression(options.compression.into()),
        encoding: UTF_8,
        blanks: false,
    };
    let form =
        table.table_paths().first().and_then(|url| Form::of_url(url.get_url())).unwrap_or(plain);
    Some(Csv {
        dialect: Dialect {
            header,
            delimiter: options.delimiter,
            quote: options.quote,
            escape: options.escape,
            comment: options.comment,
            ragged: options.truncated_rows.unwrap_or(false),
        },
        form,
        reading: Reading::default(),
        declared: Declared::default(),
    })
}

fn compression(
    engine: datafusion::datasource::file_format::file_compression_type::FileCompressionType,
) -> Compression {
    let all =
        [Compression::None, Compression::Gz, Compression::Zst, Compression::Bz2, Compression::Xz];
    all.into_iter().find(|compression| compression.engine() == engine).unwrap_or_default()
}

/// The first line of a CSV file that is ragged, not text, or not of the columns' types.
fn csv_fault(path: &Path, csv: &Csv, schema: &Schema, typing: &[Typing]) -> Result<Option<Error>> {
    let mut scanner = Scanner::new(csv.form.open(path)?, &csv.dialect);
    let mut record = Record::default();
    let mut header = csv.dialect.header;
    let mut pending = Pending::default();
    loop {
        match scanner.next(&mut record) {
            Err(error) => return Ok(Some(csv.broken(path, &error))),
            Ok(false) => return pending.fault(path, schema, typing),
            Ok(true) => {}
        }
        let (expected, found) = (schema.fields().len(), record.len());
        if found > expected || (found < expected && !csv.dialect.ragged) {
            let ragged = ragged(path, record.line, expected, found, csv.dialect.header);
            return Ok(pending.fault(path, schema, typing)?.or(Some(ragged)));
        }
        if std::mem::take(&mut header) {
            continue;
        }
        let mut texts = vec![];
        for (field, bytes) in schema.fields().iter().zip(record.fields()) {
            let Ok(text) = str::from_utf8(bytes) else {
                return Ok(Some(csv.wrong_encoding(path, record.line)));
            };
            if !text.is_empty() && !parses(field.data_type(), text) {
                let wrong =
                    mistyped(path, record.line, field.name(), field.data_type(), Some(text));
                return Ok(pending.fault(path, schema, typing)?.or(Some(wrong)));
            }
            texts.push((!text.is_empty()).then(|| text.to_owned()));
        }
        if !typing.is_empty() {
            texts.resize(expected, None);
            pending.lines.push(record.line);
            pending.rows.push(texts);
            if pending.rows.len() == 4096
                && let Some(found) = std::mem::take(&mut pending).fault(path, schema, typing)?
            {
                return Ok(Some(found));
            }
        }
    }
}

/// Lines that wait to be tried with the expressions that type them.
#[derive(Default)]
struct Pending {
    lines: Vec<u64>,
    rows: Vec<Vec<Option<String>>>,
}

impl Pending {
    fn fault(&self, path: &Path, schema: &Schema, typing: &[Typing]) -> Result<Option<Error>> {
        let Some(one) = typing.first() else { return Ok(None) };
        if self.rows.is_empty() {
            return Ok(None);
        }
        let columns = one.scan.fields().iter().enumerate().map(|(i, field)| -> ArrayRef {
            match field.data_type() {
                DataType::Utf8 if i < schema.fields().len() => {
                    Arc::new(self.rows.iter().map(|row| row[i].as_deref()).collect::<StringArray>())
                }
                other => new_null_array(other, self.rows.len()),
            }
        });
        // Nulls stand for columns that are not looked at, whatever the schema promises.
        let fields =
            one.scan.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let scan = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        let batch = RecordBatch::try_new_with_options(scan, columns.collect(), &options)?;
        let mut worst: Option<(usize, &Typing)> = None;
        for typing in typing {
            let fails = |length: usize| typing.expr.evaluate(&batch.slice(0, length)).is_err();
            if !fails(self.rows.len()) {
                continue;
            }
            let (mut good, mut bad) = (0, self.rows.len());
            while bad - good > 1 {
                let middle = usize::midpoint(good, bad);
                if fails(middle) { bad = middle } else { good = middle }
            }
            if worst.is_none_or(|(row, _)| good < row) {
                worst = Some((good, typing));
            }
        }
        Ok(worst.map(|(row, typing)| {
            mistyped(path, self.lines[row], &typing.name, &typing.data_type, None)
        }))
    }
}

fn mistyped(
    path: &Path,
    line: u64,
    column: &str,
    expected: &DataType,
    text: Option<&str>,
) -> Error {
    let found = text.map(|text| {
        let mut kinds = Kinds::default();
        kinds.see(text, &Reading::default());
        kinds.guess(&Reading::default()).data_type
    });
    let place = format!("{}:{line}", shown(path));
    let expected_name = sql(expected);
    let message = match found {
        Some(found) if sql(&found) != expected_name => {
            format!(
                "{place}: column `{column}` is {expected_name}, but this line holds a {}",
                sql(&found)
            )
        }
        _ => format!("{place}: the value of column `{column}` is no {expected_name}"),
    };
    Error::query(message).hint(format!(
        "say `columns = {{ \"{column}\" = \"VARCHAR\" }}` to read it as text, or name what means NULL with `null`"
    ))
}

/// Whether arrow-csv turns this text into this type.
fn parses(data_type: &DataType, text: &str) -> bool {
    fn by<T: Parser>(text: &str) -> bool {
        T::parse(text).is_some()
    }
    match data_type {
        DataType::Boolean => is_boolean(text),
        DataType::Int8 => by::<Int8Type>(text),
        DataType::Int16 => by::<Int16Type>(text),
        DataType::Int32 => by::<Int32Type>(text),
        DataType::Int64 => by::<Int64Type>(text),
        DataType::UInt8 => by::<UInt8Type>(text),
        DataType::UInt16 => by::<UInt16Type>(text),
        DataType::UInt32 => by::<UInt32Type>(text),
        DataType::UInt64 => by::<UInt64Type>(text),
        DataType::Float32 => by::<Float32Type>(text),
        DataType::Float64 => by::<Float64Type>(text),
        DataType::Date32 => by::<Date32Type>(text),
        DataType::Date64 => by::<Date64Type>(text),
        DataType::Time64(TimeUnit::Microsecond) => by::<Time64MicrosecondType>(text),
        DataType::Time64(TimeUnit::Nanosecond) => by::<Time64NanosecondType>(text),
        DataType::Timestamp(..) => string_to_datetime(&Utc, text).is_ok(),
        DataType::Decimal128(precision, scale) => {
            parse_decimal::<Decimal128Type>(text, *precision, *scale).is_ok()
        }
        DataType::Decimal256(precision, scale) => {
            parse_decimal::<Decimal256Type>(text, *precision, *scale).is_ok()
        }
        _ => true,
    }
}
