// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A Markdown table, numbers right-aligned.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{Out, Sink};
use crate::error::Result;

pub(super) fn open(mut out: Out, schema: &SchemaRef) -> Result<Box<dyn Sink>> {
    let names: Vec<String> = schema.fields().iter().map(|f| escaped(f.name())).collect();
    let rules: Vec<&str> = schema
        .fields()
        .iter()
        .map(|f| if f.data_type().is_numeric() { "---:" } else { "---" })
        .collect();
    writeln!(out, "| {} |\n| {} |", names.join(" | "), rules.join(" | "))?;
    Ok(Box::new(Markdown(out)))
}

struct Markdown(Out);

impl Sink for Markdown {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let options = FormatOptions::default();
        let columns = batch
            .columns()
            .iter()
            .map(|c| ArrayFormatter::try_new(c.as_ref(), &options))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let cells: Vec<String> =
                columns.iter().map(|c| escaped(&c.value(row).to_string())).collect();
            writeln!(self.0, "| {} |", cells.join(" | "))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Out> {
        Ok(self.0)
    }
}

/// A bar would end the cell, and so would the end of the line.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('\n', "<br>")
}
