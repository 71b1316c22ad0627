// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Running an `ASSERT`.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use futures::future::BoxFuture;

use super::Engine;
use crate::error::{Error, Result};
use crate::execute::Rows;
use crate::policy::Passed;
use crate::sink::{Format, Out, Sink, StagedFile};
use crate::statement::{Assertion, Demand, Statement};

/// What an assertion found.
#[derive(Debug)]
pub struct Checked {
    /// How many rows fail; for a condition, 1 when it does not hold.
    pub failing: u64,
    /// The first of them; none for a condition.
    pub shown: Vec<RecordBatch>,
    /// In words.
    pub finding: String,
}

impl Checked {
    /// The error of an assertion that does not hold, or `None` when it does.
    pub fn failure(&self, statement: &Statement, assertion: &Assertion) -> Option<Error> {
        if self.failing == 0 {
            return None;
        }
        let error = match &assertion.message {
            Some(message) => Error::query(format!("assertion failed: {message}")),
            None => Error::query("assertion failed"),
        };
        Some(error.at(Some(statement.span)).note(self.finding.clone()))
    }
}

impl Engine {
    /// Runs an assertion's query to its end. The first `show` failing rows are kept, and all of them are written to
    /// `store`, which appears only when there are any.
    pub fn check<'a>(
        &'a self,
        statement: &'a Statement,
        assertion: &'a Assertion,
        show: usize,
        store: Option<&'a Path>,
    ) -> BoxFuture<'a, Result<Checked>> {
        Box::pin(async move {
            store.map_or(Ok(()), |store| self.may_write(store))?;
            let Passed { plan, masked, ticket, .. } = self.passed(statement).await?;
            demand_fits(assertion, plan.schema().inner())?;
            let rows = Rows::start(&self.ctx, plan, None, masked, ticket).await;
            let rows = rows.map_err(|e| self.explain(e))?;
            match assertion.demand {
                Demand::Holds => holds(rows).await,
                Demand::NoRows => no_rows(rows, show, store).await,
            }
        })
    }
}

/// Fails when the query cannot answer what is demanded of it.
pub(super) fn demand_fits(assertion: &Assertion, schema: &SchemaRef) -> Result<()> {
    match (assertion.demand, schema.fields().as_ref()) {
        (Demand::Holds, [field]) if field.data_type() == &DataType::Null => Ok(()),
        (Demand::Holds, [field]) if field.data_type() != &DataType::Boolean => {
            Err(Error::query(format!(
                "the condition of an ASSERT is true or false; this is of type {}",
                field.data_type()
            ))
            .hint("compare it: `ASSERT … > 0`; for rows that should not be there, `ASSERT NO ROWS IN (SELECT …)`"))
        }
        _ => Ok(()),
    }
}

async fn holds(rows: Rows) -> Result<Checked> {
    let mut answers: Vec<Option<bool>> = vec![];
    for batch in rows.collect().await? {
        match batch.column(0).as_boolean_opt() {
            Some(column) => answers.extend(column.iter()),
            None => answers.extend(vec![None; batch.num_rows()]),
        }
    }
    let finding = match answers.as_slice() {
        [Some(true)] => return Ok(Checked { failing: 0, shown: vec![], finding: String::new() }),
        [Some(false)] => "the condition is false",
        // Unknown is not good enough.
        [None] => "the condition is NULL",
        // It stood in a WHERE, which knows no difference.
        [] => "the condition is false or NULL",
        _ => "the condition did not give one answer",
    };
    Ok(Checked { failing: 1, shown: vec![], finding: finding.into() })
}

async fn no_rows(mut rows: Rows, show: usize, store: Option<&Path>) -> Result<Checked> {
    let mut checked = Checked { failing: 0, shown: vec![], finding: String::new() };
    let mut kept = 0;
    let mut stored: Option<(StagedFile, Box<dyn Sink>)> = None;
    let schema = storable(rows.schema());
    while let Some(batch) = rows.next().await? {
        if batch.num_rows() == 0 {
            continue;
        }
        if let (None, Some(path)) = (&stored, store) {
            let file = StagedFile::create_with_folder(path)?;
            let out: Out = Box::new(BufWriter::new(file.file().try_clone()?));
            stored = Some((file, Format::named("parquet")?.open(out, &schema)?));
        }
        if let Some((_, sink)) = &mut stored {
            sink.write(&stored_as(&batch, &schema)?)?;
        }
        checked.failing += batch.num_rows() as u64;
        if kept < show {
            let part = batch.slice(0, batch.num_rows().min(show - kept));
            kept += part.num_rows();
            checked.shown.push(part);
        }
    }
    if let Some((file, sink)) = stored {
        sink.finish()?.flush()?;
        file.publish()?;
    } else if let Some(path) = store {
        // Those of an earlier run, which fail no more.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let rows = if checked.failing == 1 { "row fails" } else { "rows fail" };
    checked.finding = format!("{} {rows}", checked.failing);
    Ok(checked)
}

/// The columns as Parquet can have them: it knows no interval, which is a text then.
fn storable(schema: &SchemaRef) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(storable_field).collect::<Vec<_>>()))
}

fn storable_field(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Interval(_) => DataType::Utf8,
        DataType::List(item) => DataType::List(storable_field(item)),
        DataType::LargeList(item) => DataType::LargeList(storable_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(storable_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(storable_field).collect()),
        _ => return Arc::clone(field),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

fn stored_as(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns: Result<Vec<_>, _> =
        columns.map(|(column, field)| cast(column, field.data_type())).collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns?)?)
}
