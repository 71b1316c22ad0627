// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A report as one HTML page: no script, no network, light and dark, for a phone and for paper.
//!
//! A result becomes a section. What is drawn above its table follows from its columns:
//!
//! - one row of numbers: a tile for each;
//! - a date, or a text that is one (`2026-01`), and then a number: a line over time; with a text between the two, a line
//!   for each of at most six, and a gap where there is no value;
//! - a text and then a number, in 2 to 40 rows: bars, in the order of the rows;
//! - anything else: the table alone.
//!
//! A column whose name is `id`, `year` or ends in `_id` holds names and is not drawn. Amounts have two decimals where they
//! have any, and four where all of a column are smaller than one; a column called `share` is in per cent.
//! A table shows the first 1,000 rows, and a line is drawn of the first 100,000.

use std::io::Write;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::{Out, Sink};
use crate::error::Result;

mod cell;
mod chart;
mod copy;

use cell::{Cell, Column};
pub(super) use copy::install;

/// A page: what a script found, in the order of its statements.
#[derive(Debug, Default)]
pub struct Page {
    /// What stands at its head.
    pub title: String,
    /// What it is about, in a sentence or two.
    pub about: String,
    /// What it found.
    pub sections: Vec<Section>,
    /// What was checked, and what came of it.
    pub checks: Vec<(bool, String)>,
}

/// A statement's result.
#[derive(Debug, Default)]
pub struct Section {
    /// What it shows.
    pub title: String,
    /// What else there is to say of it.
    pub about: String,
    /// The statement.
    pub sql: String,
    columns: Vec<Column>,
    /// Those of the table, and behind them what a line needs of others.
    rows: Vec<Vec<Cell>>,
    total: usize,
}

/// How many rows a table shows.
const MAX_ROWS: usize = 1_000;
/// How many rows a line is drawn of.
const MAX_POINTS: usize = 100_000;
/// How many rows stand open under a drawing.
const OPEN_ROWS: usize = 12;
/// Behind how many columns a table is printed small.
const MANY: usize = 6;
/// From how many characters on a text may be broken into lines.
const LONG: usize = 28;

impl Section {
    /// An empty result with its columns.
    pub fn new(schema: &SchemaRef) -> Self {
        Self { columns: schema.fields().iter().map(|f| Column::of(f)).collect(), ..Self::default() }
    }

    /// Adds rows, as far as they are shown; the others are counted.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        self.total += batch.num_rows();
        let shown = batch.num_rows().min(MAX_ROWS.saturating_sub(self.rows.len()));
        cell::read(&batch.slice(0, shown), &self.columns, &mut self.rows)?;
        if chart::may_be_lines(&self.columns) {
            let drawn = (batch.num_rows() - shown).min(MAX_POINTS - self.rows.len());
            let columns: Vec<usize> = (0..self.columns.len().min(3)).collect();
            let drawn = batch.slice(shown, drawn).project(&columns)?;
            cell::read(&drawn, &self.columns, &mut self.rows)?;
        }
        Ok(())
    }

    fn html(&mut self, number: usize) -> String {
        cell::align(&self.columns, &mut self.rows);
        // A section has a heading; what has none is only a part.
        let tag = if self.title.is_empty() { "div" } else { "section" };
        let mut html = format!("<{tag} class=\"part\" id=\"s{number}\">\n");
        if !self.title.is_empty() {
            html.push_str(&format!("<h2>{}</h2>\n", escaped(&self.title)));
        }
        if !self.about.is_empty() {
            html.push_str(&format!("<p class=\"about\">{}</p>\n", escaped(&self.about)));
        }
        let drawn = chart::draw(&self.columns, &self.rows, &self.title);
        let number = |rows: usize| cell::grouped(&rows.to_string());
        let (shown, all) = (number(MAX_ROWS), number(self.total));
        let cut = match (&drawn, self.total) {
            (_, ..=MAX_ROWS) => None,
            (None, _) => Some(format!("Only the first {shown} of {all} rows are shown")),
            (Some(_), ..=MAX_POINTS) => {
                Some(format!("All {all} rows are drawn; the table shows the first {shown}"))
            }
            (Some(_), _) => Some(format!(
                "The first {} of {all} rows are drawn; the table shows the first {shown}",
                number(MAX_POINTS)
            )),
        };
        match (drawn, self.total) {
            (_, 0) => html.push_str("<p class=\"none\">No rows</p>\n"),
            // The tiles say all that the table would.
            (Some(drawn), 1) => html.push_str(&drawn),
            (Some(drawn), rows) if rows > OPEN_ROWS => {
                let rows = match cut {
                    Some(_) => format!("The first {shown} of {all} rows"),
                    None => format!("All {all} rows"),
                };
                html.push_str(&format!(
                    "{drawn}<details><summary>{rows}</summary>\n{}</details>\n",
                    self.table()
                ));
            }
            (drawn, _) => html.push_str(&format!("{}{}", drawn.unwrap_or_default(), self.table())),
        }
        if let Some(cut) = cut {
            html.push_str(&format!("<p class=\"none\">{cut}</p>\n"));
        }
        if !self.sql.is_empty() {
            html.push_str(&format!(
                "<details class=\"sql\"><summary>SQL</summary><pre>{}</pre></details>\n",
                escaped(&self.sql)
            ));
        }
        html.push_str(&format!("</{tag}>\n"));
        html
    }

    fn table(&self) -> String {
        let rows = &self.rows[..self.rows.len().min(MAX_ROWS)];
        let long = |i: usize| rows.iter().any(|row| row[i].text.chars().count() > LONG);
        let classes: Vec<&str> = (self.columns.iter().enumerate())
            .map(|(i, column)| match column.is_right() {
                true => " class=\"n\"",
                false if long(i) => " class=\"t\"",
                false => "",
            })
            .collect();
        let many = if classes.len() > MANY { " class=\"many\"" } else { "" };
        let mut html = format!("<div class=\"wide\"><table{many}>\n<thead><tr>");
        for (column, class) in self.columns.iter().zip(&classes) {
            html.push_str(&format!(
                "<th{} title=\"{}\">{}</th>",
                class,
                escaped(&column.name),
                escaped(&column.heading())
            ));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in rows {
            html.push_str("<tr>");
            for (cell, class) in row.iter().zip(&classes) {
                html.push_str(&format!("<td{}>{}</td>", class, escaped(&cell.text)));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
        html
    }
}

impl Page {
    /// The page as bytes of HTML.
    pub fn html(mut self) -> String {
        let title = if self.title.is_empty() { "Report" } else { self.title.as_str() };
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{0}</title>\n<style>\n{1}</style>\n</head>\n<body>\n<main>\n",
            escaped(title),
            include_str!("html/page.css")
        );
        html.push_str(&format!("<header><h1>{}</h1>", escaped(title)));
        if !self.about.is_empty() {
            html.push_str(&format!("<p class=\"about\">{}</p>", escaped(&self.about)));
        }
        html.push_str("</header>\n");
        for (i, section) in self.sections.iter_mut().enumerate() {
            html.push_str(&section.html(i + 1));
        }
        if !self.checks.is_empty() {
            let good = self.checks.iter().filter(|(good, _)| *good).count();
            html.push_str(&format!(
                "<section class=\"part checks\"><h2>Checks</h2><p class=\"about\">{good} of {} hold</p><ul>\n",
                self.checks.len()
            ));
            for (good, words) in &self.checks {
                let (class, mark) = if *good { ("good", "✓") } else { ("bad", "!") };
                html.push_str(&format!(
                    "<li class=\"{class}\"><span>{mark}</span>{}</li>\n",
                    escaped(words)
                ));
            }
            html.push_str("</ul></section>\n");
        }
        html.push_str(&format!(
            "</main>\n<footer>Comptoir {}</footer>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION")
        ));
        html
    }
}

pub(super) fn open(out: Out, schema: &SchemaRef) -> Result<Box<dyn Sink>> {
    Ok(Box::new(Html { out, section: Section::new(schema) }))
}

/// One result as a page.
struct Html {
    out: Out,
    section: Section,
}

impl Sink for Html {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.section.add(batch)
    }

    fn finish(mut self: Box<Self>) -> Result<Out> {
        let page = Page { sections: vec![self.section], ..Page::default() };
        self.out.write_all(page.html().as_bytes())?;
        Ok(self.out)
    }
}

/// What a file's name says: `net_sales.sql` → `net sales`.
pub fn title_of(path: impl AsRef<Path>) -> String {
    path.as_ref().file_stem().map(|s| s.to_string_lossy().replace('_', " ")).unwrap_or_default()
}

/// Text that is text wherever it stands in the page, also between quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // No browser shows them, and some editors choke on them.
            c if c.is_control() && !matches!(c, '\n' | '\r' | '\t') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Float64Array, Int32Array, StringArray};

    use super::*;

    #[test]
    fn a_line_is_drawn_of_all_rows_and_the_table_says_what_it_shows() {
        let html = |rows: i32| {
            let days: ArrayRef = Arc::new(Date32Array::from_iter_values(0..rows));
            let values: ArrayRef = Arc::new(Int32Array::from_iter_values(0..rows));
            let columns = [
                ("day", days),
                ("n", Arc::clone(&values)),
                ("m", Arc::clone(&values)),
                ("last", values),
            ];
            let batch = RecordBatch::try_from_iter(columns).expect("a batch");
            let mut section = Section::new(&batch.schema());
            for from in (0..batch.num_rows()).step_by(900) {
                let part = batch.slice(from, 900.min(batch.num_rows() - from));
                section.add(&part).expect("rows");
            }
            section.html(1)
        };
        let page = html(1_096);
        for part in [
            "<span>1970-01-01</span>",
            "<span>1972-12-31</span>",
            "<summary>The first 1,000 of 1,096 rows</summary>",
            "All 1,096 rows are drawn; the table shows the first 1,000",
            "<td class=\"n\">999</td></tr>\n</tbody>",
        ] {
            assert!(page.contains(part), "should hold {part}");
        }
        assert!(html(1_000).contains("<summary>All 1,000 rows</summary>"));
        let page = html(150_000);
        assert!(page.contains("The first 100,000 of 150,000 rows are drawn"));
        assert!(page.len() < 400_000, "{}", page.len());
    }

    #[test]
    fn nothing_in_the_data_is_markup() {
        let evil = "</td><script>alert('1')</script>\"\u{0}";
        let names: ArrayRef = Arc::new(StringArray::from(vec![evil, "b"]));
        let values: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
        let batch = RecordBatch::try_from_iter([(evil, names), ("v", values)]).expect("a batch");
        let mut section = Section::new(&batch.schema());
        section.add(&batch).expect("rows");
        (section.title, section.about, section.sql) = (evil.into(), evil.into(), evil.into());
        let page = Page {
            title: evil.into(),
            about: evil.into(),
            sections: vec![section],
            checks: vec![(false, evil.into())],
        };
        let html = page.html();
        assert!(!html.contains("<script") && !html.contains("\"\u{0}"), "{html}");
        assert!(html.matches("&lt;script&gt;").count() >= 8, "{html}");
        assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    }
}
