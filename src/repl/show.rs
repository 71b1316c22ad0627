// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A result at the prompt: read to its end, shown, and kept as `_` while it is not too large.

use std::io::{BufWriter, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use unicode_width::UnicodeWidthStr;

use super::fit::Cells;
use super::pager;
use crate::error::{Error, Result};
use crate::execute::Rows;
use crate::sink::{Format, Out, Sink, StagedFile};

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

/// Reads a result; a sink gets all of it, and without one reading may stop early.
pub(super) async fn drain(rows: &mut Rows, mut sink: Option<Box<dyn Sink>>) -> Result<Drained> {
    let mut all = Drained {
        schema: SchemaRef::clone(rows.schema()),
        batches: vec![],
        rows: 0,
        kept: true,
        to_the_end: true,
    };
    let mut bytes = 0;
    while let Some(batch) = rows.next().await? {
        if let Some(sink) = &mut sink {
            sink.write(&batch)?;
        }
        all.rows += batch.num_rows();
        if !all.kept {
            continue;
        }
        bytes += batch.get_array_memory_size();
        all.batches.push(batch);
        if bytes > KEPT_BYTES {
            all.kept = false;
            shorten(&mut all.batches);
            // Nobody would see more.
            if sink.is_none() {
                all.to_the_end = false;
                break;
            }
        }
    }
    if let Some(sink) = sink {
        sink.finish()?.flush()?;
    }
    Ok(all)
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
                notes = vec![format!(
                    "{}: `\\last` shows everything, `\\mode {VERTICAL}` one column a line",
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
    let sink = format.open(out, rows.schema())?;
    Ok((drain(&mut rows, Some(sink)).await?, staged))
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

    use arrow::array::Int64Array;

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
