// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `COPY … TO 'report.html'`: the page as a format of the engine's, which can be written and not read.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DataFusionError, GetExt, Statistics, not_impl_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSinkConfig, FileSource};
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::{Page, Section, title_of};
use crate::error::{Error, Result};

type EngineResult<T> = Result<T, DataFusionError>;

/// Teaches a session the format. Calling it twice does no harm.
pub(in crate::sink) fn install(ctx: &SessionContext) -> Result<()> {
    Ok(ctx.state_ref().write().register_file_format(Arc::new(Factory), true)?)
}

#[derive(Debug)]
struct Factory;

impl GetExt for Factory {
    fn get_ext(&self) -> String {
        "html".into()
    }
}

impl FileFormatFactory for Factory {
    fn create(
        &self,
        _: &dyn Session,
        options: &HashMap<String, String>,
    ) -> EngineResult<Arc<dyn FileFormat>> {
        match options.keys().next() {
            Some(option) => Err(Error::usage(format!("HTML has no option `{option}`")).into()),
            None => Ok(Arc::new(Html)),
        }
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        Arc::new(Html)
    }
}

#[derive(Debug)]
struct Html;

#[async_trait]
impl FileFormat for Html {
    fn get_ext(&self) -> String {
        "html".into()
    }

    fn get_ext_with_compression(&self, packing: &FileCompressionType) -> EngineResult<String> {
        match packing.is_compressed() {
            true => not_impl_err!("a page is not compressed"),
            false => Ok(self.get_ext()),
        }
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        None
    }

    async fn infer_schema(
        &self,
        _: &dyn Session,
        _: &Arc<dyn ObjectStore>,
        _: &[ObjectMeta],
    ) -> EngineResult<SchemaRef> {
        not_impl_err!("a page cannot be read as a table")
    }

    async fn infer_stats(
        &self,
        _: &dyn Session,
        _: &Arc<dyn ObjectStore>,
        schema: SchemaRef,
        _: &ObjectMeta,
    ) -> EngineResult<Statistics> {
        Ok(Statistics::new_unknown(&schema))
    }

    async fn create_physical_plan(
        &self,
        _: &dyn Session,
        _: FileScanConfig,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        not_impl_err!("a page cannot be read as a table")
    }

    async fn create_writer_physical_plan(
        &self,
        input: Arc<dyn ExecutionPlan>,
        _: &dyn Session,
        config: FileSinkConfig,
        order: Option<LexRequirement>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let url = config.table_paths.first();
        if !config.table_partition_cols.is_empty() || url.is_none_or(|url| url.is_collection()) {
            return Err(Error::usage("a page is one file, not a folder")
                .hint("write `COPY … TO 'report.html'`")
                .into());
        }
        let sink = Arc::new(Writer { schema: Arc::clone(&config.output_schema), config });
        Ok(Arc::new(DataSinkExec::new(input, sink, order)))
    }

    fn file_source(&self, schema: TableSchema) -> Arc<dyn FileSource> {
        // Asked for only by scans, and `infer_schema` has refused before.
        datafusion::datasource::file_format::csv::CsvFormat::default().file_source(schema)
    }
}

#[derive(Debug)]
struct Writer {
    schema: SchemaRef,
    config: FileSinkConfig,
}

impl DisplayAs for Writer {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HTML")
    }
}

#[async_trait]
impl DataSink for Writer {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn write_all(
        &self,
        mut data: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
    ) -> EngineResult<u64> {
        let mut section = Section::new(&self.schema);
        let mut rows = 0;
        // To the end, so that an error behind the rows that are shown is still an error.
        while let Some(batch) = data.try_next().await? {
            rows += batch.num_rows() as u64;
            section.add(&batch)?;
        }
        let Some(url) = self.config.table_paths.first() else { return Ok(0) };
        let title = title_of(url.prefix().as_ref());
        let page = Page { title, sections: vec![section], ..Page::default() };
        let store = context.runtime_env().object_store(&self.config.object_store_url)?;
        store.put(url.prefix(), page.html().into()).await?;
        Ok(rows)
    }
}
