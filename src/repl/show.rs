// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A result at the prompt: read to its end, shown, and kept as `_` while it is not too large.

use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, SchemaRef};
use unicode_width::UnicodeWidthStr;

use super::fit::Cells;
use super::pager;
use crate::error::{Error, Result};
use crate::execute::Rows;
use crate::sink::{Format, Out, StagedFile};

/// One column a line.
pub(super) const VERTICAL: &str = "vertical";

/// How large a result may be to be kept.
pub(super) const KEPT_BYTES: usize = 64 << 20;

/// How many rows are drawn.
pub(super) const MOST_ROWS: usize = 10_000;

/// How results are written.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    Table,
    Vertical,
    Format(&'static Format),
}

impl Mode {
    /// The mode of that name.
    pub(super) fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "table" => Mode::Table,
            VERTICAL => Mode::Vertical,
            name => match Format::named(name) {
                Ok(format) if !format.binary => Mode::Format(format),
                Ok(format) => {
                    return Err(Error::usage(format!("{} is not for a terminal", format.name))
                        .hint(format!(
                            "write it to a file: `\\output result.{}`",
                            format.extension
                        )));
                }
                Err(error) => return Err(error.hint(format!("or `{VERTICAL}`, one column a line"))),
            },
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Mode::Table => "table",
            Mode::Vertical => VERTICAL,
            Mode::Format(format) => format.name,
        }
    }
}

/// A result that has been read.
pub(super) struct Drained {
    pub(super) schema: SchemaRef,
    /// All rows; the first ones when it was too large.
    pub(super) batches: Vec<RecordBatch>,
    pub(super) rows: usize,
    /// True when all rows are there.
    pub(super) kept: bool,
    /// False when reading stopped because nobody would have seen more.
    pub(super) to_the_end: bool,
}

/// Reads a result; an output gets all of it, and without one reading may stop early.
pub(super) async fn drain(rows: &mut Rows, to: Option<(&Format, Out)>) -> Result<Drained> {
    let mut all = Drained {
        schema: SchemaRef::clone(rows.schema()),
        batches: vec![],
        rows: 0,
        kept: true,
        to_the_end: true,
    };
    let mut size = Size::default();
    let mut next = rows.next().await?;
    // Not before there are rows: it may write a header, after which no progress is shown.
    let mut sink = match to {
        Some((format, out)) => Some(format.open(out, rows.schema())?),
        None => None,
    };
    while let Some(batch) = next {
        if let Some(sink) = &mut sink {
            sink.write(&batch)?;
        } else if !all.kept && batch.num_rows() > 0 {
            // Nobody would see more.
            all.to_the_end = false;
            break;
        }
        all.rows += batch.num_rows();
        if all.kept {
            let batch = compact(&batch)?;
            size.add(&batch);
            all.batches.push(batch);
            if size.bytes > KEPT_BYTES {
                all.kept = false;
                shorten(&mut all.batches);
            }
        }
        next = rows.next().await?;
    }
    if let Some(sink) = sink {
        sink.finish()?.flush()?;
    }
    Ok(all)
}

/// A batch without the texts of rows that it does not have: those that a filter has left point into all that was read.
fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()) as ArrayRef,
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    });
    Ok(RecordBatch::try_new(batch.schema(), columns.collect())?)
}

/// How much memory batches hold that may share theirs.
#[derive(Default)]
struct Size {
    bytes: usize,
    seen: HashSet<usize>,
}

impl Size {
    fn add(&mut self, batch: &RecordBatch) {
        for column in batch.columns() {
            self.array(&column.to_data());
        }
    }

    fn array(&mut self, data: &ArrayData) {
        data.buffers().iter().chain(data.nulls().map(|n| n.buffer())).for_each(|b| self.buffer(b));
        data.child_data().iter().for_each(|child| self.array(child));
    }

    fn buffer(&mut self, buffer: &Buffer) {
        if self.seen.insert(buffer.data_ptr().as_ptr() as usize) {
            self.bytes += buffer.capacity();
        }
    }
}

/// Keeps the first rows only.
fn shorten(batches: &mut Vec<RecordBatch>) {
    let mut room = MOST_ROWS;
    batches.retain_mut(|batch| {
        let part = batch.num_rows().min(room);
        room -= part;
        *batch = batch.slice(0, part);
        part > 0
    });
}

/// The result as text for a terminal of that width, and what it leaves out.
pub(super) fn text(
    drained: &Drained,
    mode: Mode,
    width: Option<usize>,
) -> Result<(String, Vec<String>)> {
    let mut first = drained.batches.clone();
    shorten(&mut first);
    let cells = Cells::of(&drained.schema, &first)?;
    let mut notes = vec![];
    let drawn = match mode {
        Mode::Vertical => vertical(&cells),
        Mode::Table | Mode::Format(_) => {
            let fitted = cells.draw(width);
            if fitted.hidden > 0 {
                let all = cells.names.len();
                notes.push(format!("{} of {all} columns are shown", all - fitted.hidden));
            }
            if fitted.cut {
                notes.push("long texts are cut".into());
            }
            if !notes.is_empty() {
                // What is too large is not kept, and `\last` is for what is.
                let last = if drained.kept { "`\\last` shows everything, " } else { "" };
                notes = vec![format!(
                    "{}: {last}`\\mode {VERTICAL}` one column a line",
                    notes.join(" and ")
                )];
            }
            format!("{}\n", fitted.text)
        }
    };
    if cells.rows.len() < drained.rows {
        notes.push(format!("only the first {} rows are shown", cells.rows.len()));
    }
    if !drained.kept {
        notes.push(format!(
            "the result is larger than {} MiB, and `_` does not hold it",
            KEPT_BYTES >> 20
        ));
    }
    Ok((drawn, notes))
}

pub(super) fn vertical(cells: &Cells) -> String {
    let width = cells.names.iter().map(|n| n.width()).max().unwrap_or(0);
    let mut text = String::new();
    for (i, row) in cells.rows.iter().enumerate() {
        text.push_str(&format!("── row {} ──\n", i + 1));
        for (name, value) in cells.names.iter().zip(row) {
            let pad = " ".repeat(width - name.width());
            text.push_str(&format!("{pad}{name} │ {value}\n"));
        }
    }
    text
}

/// The text of an `EXPLAIN`, which is no table; `None` for other results.
pub(super) fn plan(drained: &Drained) -> Result<Option<String>> {
    let names: Vec<&str> = drained.schema.fields().iter().map(|f| f.name().as_str()).collect();
    if names != ["plan_type", "plan"] {
        return Ok(None);
    }
    let mut text = String::new();
    for batch in &drained.batches {
        let options = arrow::util::display::FormatOptions::default();
        let formatter = |c: usize| {
            arrow::util::display::ArrayFormatter::try_new(batch.column(c).as_ref(), &options)
        };
        let (kind, plan) = (formatter(0)?, formatter(1)?);
        for row in 0..batch.num_rows() {
            text.push_str(&format!("{}:\n", kind.value(row)));
            for line in plan.value(row).to_string().lines() {
                text.push_str(&format!("  {}\n", super::fit::on_one_line(line)));
            }
        }
    }
    Ok(Some(text))
}

/// Writes a result to a file that appears whole; in the format of its name, or else of the mode.
pub(super) async fn to_file(
    mut rows: Rows,
    file: &Path,
    mode: Mode,
) -> Result<(Drained, StagedFile)> {
    let format = match (Format::of_file(file), mode) {
        (Some(format), _) | (None, Mode::Format(format)) => format,
        (None, _) => {
            return Err(Error::usage(format!(
                "the format of `{}` does not show in its name",
                file.display()
            ))
            .hint("give it an ending such as .csv or .parquet, or choose one with `\\mode`"));
        }
    };
    let staged = StagedFile::create(file)?;
    let out: Out = Box::new(BufWriter::new(staged.file().try_clone()?));
    Ok((drain(&mut rows, Some((format, out))).await?, staged))
}

/// Prints a text and what it leaves out.
pub(super) fn print(text: &str, notes: &[String], remark: fn(&str)) -> Result<()> {
    pager::print(text)?;
    for note in notes {
        remark(note);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringViewArray};

    use super::*;

    fn drained(rows: usize, kept: bool) -> Drained {
        let values: Vec<i64> = (0..rows as i64).collect();
        let columns = vec![("n", Arc::new(Int64Array::from(values)) as _)];
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        Drained { schema: batch.schema(), batches: vec![batch], rows, kept, to_the_end: true }
    }

    #[test]
    fn what_is_left_out_is_said() {
        let (_, notes) = text(&drained(3, true), Mode::Table, Some(80)).expect("is drawn");
        assert_eq!(notes, Vec::<String>::new());
        let (drawn, notes) =
            text(&drained(10_001, false), Mode::Table, Some(80)).expect("is drawn");
        assert!(drawn.contains("9999 │") && !drawn.contains("10000 │"));
        assert!(notes[0].contains("first 10000 rows") && notes[1].contains("larger than 64 MiB"));
    }

    #[test]
    fn what_is_shared_or_left_behind_counts_once_or_not_at_all() {
        let long = |n: usize| format!("{n}{}", "x".repeat(1000));
        let texts = StringViewArray::from_iter_values((0..1000).map(long));
        let batch = RecordBatch::try_from_iter([("s", Arc::new(texts) as _)]).expect("a batch");
        let mut few = Size::default();
        few.add(&compact(&batch.slice(0, 10)).expect("is compacted"));
        assert!((10_000..50_000).contains(&few.bytes), "{}", few.bytes);
        let mut parts = Size::default();
        (0..10).for_each(|i| parts.add(&batch.slice(i * 100, 100)));
        let mut whole = Size::default();
        whole.add(&batch);
        assert_eq!(parts.bytes, whole.bytes);
    }

    #[test]
    fn vertical_has_one_column_a_line() {
        let (drawn, _) = text(&drained(2, true), Mode::Vertical, Some(80)).expect("is drawn");
        assert_eq!(drawn, "── row 1 ──\nn │ 0\n── row 2 ──\nn │ 1\n");
    }

    #[test]
    fn a_mode_that_a_terminal_cannot_show_is_refused() {
        assert!(Mode::named("parquet").is_err() && Mode::named("nothing").is_err());
        assert_eq!(Mode::named("csv").map(Mode::name).ok(), Some("csv"));
    }
}
