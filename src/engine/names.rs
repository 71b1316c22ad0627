// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a session knows by name, for who helps somebody to type, and the table that holds the last result.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{Location, Span};
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{ObjectNamePart, TableFactor};
use futures::future::BoxFuture;

use super::Engine;
use crate::diagnostic::nearest;
use crate::error::{Error, Result};
use crate::expand::{Manual, TableFunctions, table_names};
use crate::library;
use crate::statement::walk::{self, Flow, Walk};
use crate::statement::{Statement, parse};

/// The names of a session: a handle that can be kept elsewhere and sees what is defined later.
#[derive(Clone)]
pub struct Names {
    ctx: SessionContext,
    functions: Arc<TableFunctions>,
}

/// A function, in one line.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// scalar, aggregate, window or table.
    pub kind: &'static str,
    /// How it is called.
    pub signature: String,
    /// What it answers.
    pub about: String,
}

/// A column of a relation.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: String,
    /// False when it is never NULL.
    pub nullable: bool,
    /// What it means, where that is written down.
    pub meaning: String,
}

impl Names {
    /// The tables and views.
    pub fn tables(&self) -> Vec<String> {
        table_names(&self.ctx.state_ref().read())
    }

    /// The functions, ordered by name and kind.
    pub fn functions(&self) -> Vec<Function> {
        let lines = self.functions.lines().unwrap_or_default();
        lines
            .into_iter()
            .map(|l| Function {
                name: l.name,
                kind: l.kind,
                signature: l.signature,
                about: l.description,
            })
            .collect()
    }

    /// The manual pages of a function, or what is near its name.
    pub fn manual(&self, name: &str) -> Result<Vec<Manual>, Vec<String>> {
        let pages = self.functions.manual(name).unwrap_or_default();
        if !pages.is_empty() {
            return Ok(pages);
        }
        let mut names: Vec<String> = self.functions().into_iter().map(|f| f.name).collect();
        names.dedup();
        Err(nearest(name, names.iter().map(String::as_str)))
    }

    /// The columns of a relation, as it could stand behind FROM: a table, a file in quotes, a call, a subquery. `with`
    /// is what stands before the SELECT (`WITH a AS (…)`). Nothing is run.
    pub fn columns<'a>(
        &'a self,
        with: &'a str,
        relation: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Column>>> {
        Box::pin(async move {
            let text = format!("{with} SELECT * FROM {relation}");
            let statement = parse(&text)?.pop().ok_or_else(|| Error::query("no relation"))?;
            let mut parsed = statement.parsed;
            self.functions.inline_scalars(&mut parsed)?;
            let plan = self.ctx.state().statement_to_plan(parsed).await?;
            let meanings = self.meanings(relation);
            let fields = plan.schema().fields().iter().map(|field| Column {
                name: field.name().clone(),
                data_type: field.data_type().to_string(),
                nullable: field.is_nullable(),
                meaning: meanings
                    .iter()
                    .find(|(name, _)| name == field.name())
                    .map_or(String::new(), |(_, meaning)| meaning.clone()),
            });
            Ok(fields.collect())
        })
    }

    /// What the library says of the columns of a call, or of a table of the canonical shop.
    fn meanings(&self, relation: &str) -> Vec<(String, String)> {
        let name = relation.split('(').next().unwrap_or_default().trim().to_lowercase();
        if relation.contains('(') {
            let pages = self.functions.manual(&name).unwrap_or_default();
            let returns = pages.into_iter().find(|p| p.kind == "table").map(|p| p.returns);
            return returns.unwrap_or_default().into_iter().map(|c| (c.name, c.meaning)).collect();
        }
        let tables = library::schema().unwrap_or_default();
        let table = tables.into_iter().find(|t| t.name == name);
        table.map_or(vec![], |t| t.columns.into_iter().map(|c| (c.name, c.meaning)).collect())
    }
}

impl Engine {
    /// What the session knows by name.
    pub fn names(&self) -> Names {
        Names { ctx: self.ctx.clone(), functions: Arc::clone(&self.functions) }
    }

    /// Makes rows a table of the session, in place of an earlier one of that name. Columns that share a name get a
    /// number, as a table needs.
    pub fn keep(&self, name: &str, schema: &SchemaRef, batches: Vec<RecordBatch>) -> Result<()> {
        let schema = distinct(schema);
        let batches = batches
            .into_iter()
            .map(|b| RecordBatch::try_new(SchemaRef::clone(&schema), b.columns().to_vec()))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let table: Arc<dyn TableProvider> = Arc::new(MemTable::try_new(schema, vec![batches])?);
        self.ctx.deregister_table(name)?;
        self.ctx.register_table(name, Arc::clone(&table))?;
        self.keeps_answer(table);
        Ok(())
    }

    /// Takes a table of the session away, which may not be there.
    pub fn forget(&self, name: &str) -> Result<()> {
        self.ctx.deregister_table(name)?;
        Ok(())
    }
}

/// An error that knows no place of its own, at the file in quotes that it names.
pub(super) fn at_file(error: Error, statement: &Statement) -> Error {
    if error.span.is_some() {
        return error;
    }
    let mut files = Files::default();
    // The walk goes to the end.
    let _ = walk::statement(&mut statement.parsed.clone(), &mut files);
    let named = files.0.iter().find(|file| {
        let path = file.split('?').next().unwrap_or_default();
        error.message.contains(path.trim_end_matches('/'))
    });
    // The parser keeps no place of a name in single quotes.
    let found = named.and_then(|file| {
        let quoted = format!("'{file}'");
        let start = after(statement.span.start, statement.text.split_once(&quoted)?.0);
        Some(Span { start, end: after(start, &quoted) })
    });
    error.at(found)
}

/// The place behind a text that begins at a place.
fn after(start: Location, text: &str) -> Location {
    let count = |text: &str| text.chars().count() as u64;
    match text.rsplit_once('\n') {
        Some((lines, last)) => Location {
            line: start.line + 1 + lines.matches('\n').count() as u64,
            column: 1 + count(last),
        },
        None => Location { column: start.column + count(text), ..start },
    }
}

/// The files in quotes that `FROM` reads.
#[derive(Default)]
struct Files(Vec<String>);

impl Walk for Files {
    fn enter_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        if let TableFactor::Table { name, .. } = factor
            && let [ObjectNamePart::Identifier(file)] = name.0.as_slice()
            && file.quote_style == Some('\'')
            && !file.value.is_empty()
        {
            self.0.push(file.value.clone());
        }
        Flow::Continue(())
    }
}

/// The schema with one column a name.
fn distinct(schema: &SchemaRef) -> SchemaRef {
    let mut taken: Vec<String> = vec![];
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            let plain = field.name();
            let name = std::iter::once(plain.clone())
                .chain((2..).map(|n| format!("{plain}_{n}")))
                .find(|n| !taken.contains(n))
                .unwrap_or_default();
            taken.push(name.clone());
            // A column that was declared without NULLs may still hold some after an outer join.
            Field::new(name, field.data_type().clone(), true)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn an_error_is_placed_at_the_file_that_it_names() {
        let sql = "SELECT 1;\nSELECT *\nFROM 'é.csv' a, 'b.csv?header=no' b, \"c.csv\"";
        let statement = parse(sql).expect("parses").pop().expect("one");
        let cut = |message: &str| {
            let error = at_file(Error::usage(message), &statement);
            error.span.map(|span| crate::diagnostic::cut(sql, span).to_string())
        };
        assert_eq!(cut("`é.csv` is empty").as_deref(), Some("'é.csv'"));
        assert_eq!(cut("`b.csv` is empty").as_deref(), Some("'b.csv?header=no'"));
        assert_eq!(cut("it rains"), None);
    }

    #[test]
    fn columns_of_one_name_are_told_apart() {
        let field = |name: &str| Field::new(name, DataType::Int64, false);
        let schema = distinct(&Arc::new(Schema::new(vec![field("a"), field("a_2"), field("a")])));
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["a", "a_2", "a_3"]);
    }
}
