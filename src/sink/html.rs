// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A report as one HTML page: no script, no network, light and dark, for a phone and for paper.
//!
//! A result becomes a section. What is drawn above its table follows from its columns:
//!
//! - one row of numbers: a tile for each;
//! - a date, or a text that is one (`2026-01`), and then a number: a line over time; with a text between the two, a line
//!   for each of at most six;
//! - a text and then a number, in 2 to 40 rows: bars, in the order of the rows;
//! - anything else: the table alone.
//!
//! A column whose name is `id`, `year` or ends in `_id` holds names and is not drawn. Amounts have two decimals where they
//! have any, and four where all of a column are smaller than one; a column called `share` is in per cent.

use std::io::Write;

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
    rows: Vec<Vec<Cell>>,
    cut: bool,
}

/// How many rows a table shows.
const MAX_ROWS: usize = 1_000;
/// How many rows stand open under a drawing.
const OPEN_ROWS: usize = 12;
/// From how many characters on a text may be broken into lines.
const LONG: usize = 28;

impl Section {
    /// An empty result with its columns.
    pub fn new(schema: &SchemaRef) -> Self {
        Self { columns: schema.fields().iter().map(|f| Column::of(f)).collect(), ..Self::default() }
    }

    /// Adds rows, as far as they are shown.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let room = MAX_ROWS - self.rows.len();
        self.cut |= batch.num_rows() > room;
        cell::read(&batch.slice(0, batch.num_rows().min(room)), &self.columns, &mut self.rows)
    }

    /// True when more rows would not be shown.
    pub fn is_full(&self) -> bool {
        self.cut
    }

    fn html(&mut self, number: usize) -> String {
        cell::align(&self.columns, &mut self.rows);
        let mut html = format!("<section id=\"s{number}\">\n");
        if !self.title.is_empty() {
            html.push_str(&format!("<h2>{}</h2>\n", escaped(&self.title)));
        }
        if !self.about.is_empty() {
            html.push_str(&format!("<p class=\"about\">{}</p>\n", escaped(&self.about)));
        }
        let drawn = chart::draw(&self.columns, &self.rows, &self.title);
        match (drawn, self.rows.len()) {
            (_, 0) => html.push_str("<p class=\"none\">No rows</p>\n"),
            // The tiles say all that the table would.
            (Some(drawn), 1) => html.push_str(&drawn),
            (Some(drawn), rows) if rows > OPEN_ROWS => html.push_str(&format!(
                "{drawn}<details><summary>All {} rows</summary>\n{}</details>\n",
                cell::grouped(&rows.to_string()),
                self.table()
            )),
            (drawn, _) => html.push_str(&format!("{}{}", drawn.unwrap_or_default(), self.table())),
        }
        if self.cut {
            let shown = cell::grouped(&MAX_ROWS.to_string());
            html.push_str(&format!(
                "<p class=\"none\">Only the first {shown} rows are shown</p>\n"
            ));
        }
        if !self.sql.is_empty() {
            html.push_str(&format!(
                "<details class=\"sql\"><summary>SQL</summary><pre>{}</pre></details>\n",
                escaped(&self.sql)
            ));
        }
        html.push_str("</section>\n");
        html
    }

    fn table(&self) -> String {
        let long = |i: usize| self.rows.iter().any(|row| row[i].text.chars().count() > LONG);
        let classes: Vec<&str> = (self.columns.iter().enumerate())
            .map(|(i, column)| match column.is_right() {
                true => " class=\"n\"",
                false if long(i) => " class=\"t\"",
                false => "",
            })
            .collect();
        let mut html = String::from("<div class=\"wide\"><table>\n<thead><tr>");
        for (column, class) in self.columns.iter().zip(&classes) {
            html.push_str(&format!(
                "<th{} title=\"{}\">{}</th>",
                class,
                escaped(&column.name),
                escaped(&column.heading())
            ));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
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
        if !self.title.is_empty() {
            html.push_str(&format!("<header><h1>{}</h1>", escaped(title)));
            if !self.about.is_empty() {
                html.push_str(&format!("<p class=\"about\">{}</p>", escaped(&self.about)));
            }
            html.push_str("</header>\n");
        }
        for (i, section) in self.sections.iter_mut().enumerate() {
            html.push_str(&section.html(i + 1));
        }
        if !self.checks.is_empty() {
            let good = self.checks.iter().filter(|(good, _)| *good).count();
            html.push_str(&format!(
                "<section class=\"checks\"><h2>Checks</h2><p class=\"about\">{good} of {} hold</p><ul>\n",
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
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::*;

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
