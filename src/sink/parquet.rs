// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The two binary formats: Parquet, and Arrow's own file format.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::FileWriter;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;

use super::{Out, Sink, bare};
use crate::error::Result;

pub(super) fn open(out: Out, schema: &SchemaRef) -> Result<Box<dyn Sink>> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .build();
    Ok(Box::new(Parquet(ArrowWriter::try_new(out, bare(schema), Some(properties))?)))
}

struct Parquet(ArrowWriter<Out>);

impl Sink for Parquet {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = batch.clone().with_schema(bare(&batch.schema()))?;
        Ok(self.0.write(&batch)?)
    }

    fn finish(self: Box<Self>) -> Result<Out> {
        Ok(self.0.into_inner()?)
    }
}

pub(super) fn open_arrow(out: Out, schema: &SchemaRef) -> Result<Box<dyn Sink>> {
    Ok(Box::new(Arrow(FileWriter::try_new(out, &bare(schema))?)))
}

struct Arrow(FileWriter<Out>);

impl Sink for Arrow {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        Ok(self.0.write(batch)?)
    }

    fn finish(self: Box<Self>) -> Result<Out> {
        Ok(self.0.into_inner()?)
    }
}
