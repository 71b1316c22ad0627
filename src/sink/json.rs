// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! JSON: one array of objects, or one object a line. NULL is written, so that every object has every key.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::WriterBuilder;
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited, Writer};

use super::{Out, Sink};
use crate::error::Result;

pub(super) fn open_array(out: Out, _schema: &SchemaRef) -> Result<Box<dyn Sink>> {
    Ok(Box::new(Json(WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(out))))
}

pub(super) fn open_lines(out: Out, _schema: &SchemaRef) -> Result<Box<dyn Sink>> {
    Ok(Box::new(Json(
        WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(out),
    )))
}

struct Json<F: JsonFormat>(Writer<Out, F>);

impl<F: JsonFormat + Send> Sink for Json<F> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        Ok(self.0.write(batch)?)
    }

    fn finish(mut self: Box<Self>) -> Result<Out> {
        self.0.finish()?;
        let mut out = self.0.into_inner();
        use std::io::Write;
        out.flush()?;
        Ok(out)
    }
}
