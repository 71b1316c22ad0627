// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Comma-separated values with a header line; NULL is an empty field.

use arrow::array::RecordBatch;
use arrow::csv::{Writer, WriterBuilder};
use arrow::datatypes::SchemaRef;

use super::{Out, Sink};
use crate::error::Result;

pub(super) fn open(out: Out, schema: &SchemaRef) -> Result<Box<dyn Sink>> {
    let mut writer = WriterBuilder::new().with_header(true).build(out);
    // An empty batch writes the header, so that a result without rows still says its columns.
    writer.write(&RecordBatch::new_empty(super::bare(schema)))?;
    Ok(Box::new(Csv(writer)))
}

struct Csv(Writer<Out>);

impl Sink for Csv {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        Ok(self.0.write(batch)?)
    }

    fn finish(self: Box<Self>) -> Result<Out> {
        Ok(self.0.into_inner())
    }
}
