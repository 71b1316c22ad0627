// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Rows → a table no wider than the terminal. Numbers are never cut: long texts are, then columns in the middle go, and
//! the table says so.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table as Drawing};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::error::Result;

/// A text column is not cut below this width.
const LEAST: usize = 12;

/// A drawn table, and what it leaves out.
pub(super) struct Fitted {
    pub(super) text: String,
    /// How many columns are not drawn.
    pub(super) hidden: usize,
    /// True when some text was cut.
    pub(super) cut: bool,
}

/// The cells of a result as text.
pub(super) struct Cells {
    pub(super) names: Vec<String>,
    pub(super) numeric: Vec<bool>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Cells {
    pub(super) fn of(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Self> {
        let options = FormatOptions::default().with_null("NULL");
        let mut rows = vec![];
        for batch in batches {
            let columns = batch
                .columns()
                .iter()
                .map(|c| ArrayFormatter::try_new(c.as_ref(), &options))
                .collect::<std::result::Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                rows.push(columns.iter().map(|c| on_one_line(&c.value(row).to_string())).collect());
            }
        }
        let fields = schema.fields();
        Ok(Cells {
            names: fields.iter().map(|f| on_one_line(f.name())).collect(),
            numeric: fields.iter().map(|f| is_numeric(f.data_type())).collect(),
            rows,
        })
    }

    /// Draws the table; without a width, whole.
    pub(super) fn draw(&self, width: Option<usize>) -> Fitted {
        let natural: Vec<usize> = (0..self.names.len())
            .map(|c| {
                let cells = self.rows.iter().map(|r| r[c].width());
                cells.chain([self.names[c].width()]).max().unwrap_or(0)
            })
            .collect();
        let plan = match width {
            Some(width) => arrange(&natural, &self.numeric, width),
            None => natural.iter().map(|w| Some(*w)).collect(),
        };
        let hidden = plan.iter().filter(|w| w.is_none()).count();
        let mut drawing = Drawing::new();
        drawing.load_preset(UTF8_FULL_CONDENSED);
        drawing.set_header(self.line(&self.names, &plan, false));
        for row in &self.rows {
            drawing.add_row(self.line(row, &plan, true));
        }
        let cut = plan.iter().zip(&natural).any(|(w, n)| w.is_some_and(|w| w < *n));
        Fitted { text: drawing.to_string(), hidden, cut }
    }

    fn line(&self, texts: &[String], plan: &[Option<usize>], is_row: bool) -> Vec<Cell> {
        let mut cells = vec![];
        let mut gap = false;
        for ((text, width), numeric) in texts.iter().zip(plan).zip(&self.numeric) {
            match width {
                Some(width) => {
                    let cell = Cell::new(shortened(text, *width));
                    let right = *numeric && is_row;
                    cells.push(if right { cell.set_alignment(CellAlignment::Right) } else { cell });
                    gap = false;
                }
                // One column stands for all that are left out side by side.
                None if !gap => {
                    cells.push(Cell::new("…"));
                    gap = true;
                }
                None => {}
            }
        }
        cells
    }
}

pub(super) fn is_numeric(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// The width of each column, `None` for those that are left out.
fn arrange(natural: &[usize], numeric: &[bool], width: usize) -> Vec<Option<usize>> {
    let mut plan: Vec<Option<usize>> = natural.iter().map(|w| Some(*w)).collect();
    if total(&plan) <= width {
        return plan;
    }
    // The widest texts give way first, all to the same width.
    let widest = natural.iter().zip(numeric).filter(|(_, n)| !**n).map(|(w, _)| *w).max();
    for limit in (LEAST..widest.unwrap_or(0)).rev() {
        for ((w, natural), numeric) in plan.iter_mut().zip(natural).zip(numeric) {
            if !numeric {
                *w = Some(limit.min(*natural));
            }
        }
        if total(&plan) <= width {
            return plan;
        }
    }
    // Then the columns in the middle go; the first and the last usually matter.
    while total(&plan) > width {
        let shown: Vec<usize> =
            plan.iter().enumerate().filter(|(_, w)| w.is_some()).map(|(i, _)| i).collect();
        if shown.len() <= 1 {
            break;
        }
        plan[shown[shown.len() / 2]] = None;
    }
    // What one column alone cannot hold is cut, number or not, so that the lines stay whole.
    if total(&plan) > width
        && let Some(only) = plan.iter_mut().flatten().next()
    {
        let hidden = if natural.len() > 1 { 4 } else { 0 };
        *only = (*only).min(width.saturating_sub(4 + hidden)).max(1);
    }
    plan
}

/// How wide the table is: a border and a space on both sides of every column.
fn total(plan: &[Option<usize>]) -> usize {
    let mut sum = 1;
    let mut gap = false;
    for width in plan {
        match width {
            Some(width) => sum += width + 3,
            None if !gap => sum += 4,
            None => {}
        }
        gap = width.is_none();
    }
    sum
}

/// Cuts a text to a width, with a sign that it is cut.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_string();
    }
    let mut short = String::new();
    let mut used = 0;
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if used + w + 1 > width {
            break;
        }
        used += w;
        short.push(c);
    }
    short.push('…');
    short
}

/// Line ends would break the table, and escape codes in the data could do anything to the terminal.
pub(super) fn on_one_line(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_string();
    }
    text.chars()
        .map(|c| match c {
            '\n' => '↵',
            '\t' => ' ',
            c if c.is_control() => '\u{FFFD}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(names: &[&str], numeric: &[bool], rows: &[&[&str]]) -> Cells {
        let own = |texts: &[&str]| texts.iter().map(|t| t.to_string()).collect::<Vec<_>>();
        Cells {
            names: own(names),
            numeric: numeric.to_vec(),
            rows: rows.iter().map(|r| own(r)).collect(),
        }
    }

    fn widest(text: &str) -> usize {
        text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0)
    }

    #[test]
    fn numbers_stand_on_the_right_and_a_small_table_is_whole() {
        let drawn =
            cells(&["name", "n"], &[false, true], &[&["a", "1"], &["b", "100"]]).draw(Some(80));
        assert!(drawn.text.contains("│ a    ┆   1 │"), "{}", drawn.text);
        assert!(!drawn.cut && drawn.hidden == 0);
    }

    #[test]
    fn texts_are_cut_before_numbers() {
        let long = "x".repeat(100);
        let drawn =
            cells(&["t", "n"], &[false, true], &[&[&long, "12345678901234567890"]]).draw(Some(60));
        assert!(drawn.cut && drawn.hidden == 0);
        assert_eq!(widest(&drawn.text), 60);
        assert!(drawn.text.contains("12345678901234567890") && drawn.text.contains("x…"));
    }

    #[test]
    fn columns_in_the_middle_go_when_cutting_is_not_enough() {
        let names: Vec<String> = (0..30).map(|i| format!("column_{i:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let values = vec!["123456"; 30];
        for width in [20, 40, 79, 120] {
            let drawn = cells(&names, &[true; 30], &[&values]).draw(Some(width));
            assert!(widest(&drawn.text) <= width, "{width}:\n{}", drawn.text);
            assert!(drawn.hidden > 0 && drawn.text.contains("column_00"), "{}", drawn.text);
        }
    }

    #[test]
    fn no_width_is_too_small_and_no_text_too_strange() {
        let rows: &[&[&str]] = &[&["日本語の長い名前です", "e\u{301}👩‍👩‍👧", "1"]];
        for width in 0..40 {
            let drawn = cells(&["a", "b", "c"], &[false, false, true], rows).draw(Some(width));
            assert!(width < 16 || widest(&drawn.text) <= width, "{width}:\n{}", drawn.text);
        }
        assert_eq!(on_one_line("a\nb\u{1b}[2Jc"), "a↵b\u{FFFD}[2Jc");
        assert_eq!(shortened("日本語", 4), "日…");
        let nothing = cells(&[], &[], &[]).draw(Some(80));
        assert!(!nothing.cut);
    }
}
