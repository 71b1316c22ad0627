// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A table for people to read. Widths need every row, so only the first rows are kept, and the end says so.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table as Drawing};

use super::{Out, Sink};
use crate::error::Result;

/// How many rows a person is shown.
const MAX_ROWS: usize = 10_000;

pub(super) fn open(out: Out, schema: &SchemaRef) -> Result<Box<dyn Sink>> {
    let mut drawing = Drawing::new();
    drawing.load_preset(UTF8_FULL_CONDENSED);
    drawing.set_header(schema.fields().iter().map(|f| f.name().to_string()));
    let right = schema.fields().iter().map(|f| f.data_type().is_numeric()).collect();
    Ok(Box::new(Table { out, drawing, right, rows: 0, cut: false }))
}

struct Table {
    out: Out,
    drawing: Drawing,
    right: Vec<bool>,
    rows: usize,
    cut: bool,
}

impl Sink for Table {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.cut {
            return Ok(());
        }
        let options = FormatOptions::default().with_null("NULL");
        let columns = batch
            .columns()
            .iter()
            .map(|c| ArrayFormatter::try_new(c.as_ref(), &options))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let rows = batch.num_rows().min(MAX_ROWS - self.rows);
        for row in 0..rows {
            self.drawing.add_row(columns.iter().zip(&self.right).map(|(column, right)| {
                let cell = Cell::new(shown(&column.value(row).to_string()));
                if *right { cell.set_alignment(CellAlignment::Right) } else { cell }
            }));
        }
        self.rows += rows;
        self.cut |= rows < batch.num_rows();
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Out> {
        writeln!(self.out, "{}", self.drawing)?;
        if self.cut {
            writeln!(
                self.out,
                "only the first {MAX_ROWS} rows are shown; `--format csv` gives all of them"
            )?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// What a terminal would take for an order is shown as a mark: data does not steer it.
fn shown(text: &str) -> String {
    let is_order = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    text.chars().map(|c| if is_order(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
