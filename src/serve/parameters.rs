// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The values of a prepared statement's parameters. A client sends a column for each parameter and a row for each time
//! that the statement is to run; drivers that do not know a parameter's type send dense unions.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UnionFields, UnionMode};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::server::PeekableFlightDataStream;
use datafusion::common::ScalarValue;
use futures::TryStreamExt;
use prost::bytes::Bytes;
use tonic::Status;

use super::status;
use crate::engine::{Described, literal};
use crate::error::{Error, Result};
use crate::statement::Statement;

/// The most that the values of one statement may take.
const MOST: usize = 16 << 20;

/// What the parameters are, for a client to know. One whose type the statement does not say is a union of the types that
/// drivers have values of.
pub(super) fn schema(described: &Described) -> SchemaRef {
    let fields = described.parameters.iter().map(|(number, data_type)| {
        let data_type = data_type.clone().filter(|t| *t != DataType::Null).unwrap_or_else(anything);
        Arc::new(Field::new(format!("${number}"), data_type, true))
    });
    let fields: Vec<_> = fields.map(|f| super::wire::described(&f, false)).collect();
    Arc::new(Schema::new(fields))
}

fn anything() -> DataType {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let fields = [
        field("string", DataType::Utf8),
        field("bytes", DataType::Binary),
        field("bigint", DataType::Int64),
        field("double", DataType::Float64),
    ];
    DataType::Union(UnionFields::from_fields(fields), UnionMode::Dense)
}

/// The values that a client sends, as they can be kept; empty for none.
pub(super) async fn receive(stream: PeekableFlightDataStream) -> Result<Bytes, Status> {
    let stream = stream.map_err(Into::into);
    let mut batches = FlightRecordBatchStream::new_from_flight_data(stream);
    let failed = |e| status::flight(e, "");
    let mut writer: Option<StreamWriter<Vec<u8>>> = None;
    while let Some(batch) = batches.try_next().await.map_err(failed)? {
        let writer = match &mut writer {
            Some(writer) => writer,
            None => {
                let new = StreamWriter::try_new(vec![], batch.schema_ref());
                writer.insert(new.map_err(status::arrow)?)
            }
        };
        writer.write(&batch).map_err(status::arrow)?;
        if writer.get_ref().len() > MOST {
            return Err(Status::resource_exhausted(format!(
                "the values of a statement's parameters take at most {MOST} bytes: use ingest for more"
            )));
        }
    }
    match writer {
        Some(writer) => Ok(writer.into_inner().map_err(status::arrow)?.into()),
        None => Ok(Bytes::new()),
    }
}

/// The statement with its values, once for each row of them.
pub(super) fn bind(
    statement: &Statement,
    described: &Described,
    values: &Bytes,
) -> Result<Vec<Statement>> {
    let holes: Vec<usize> = described.parameters.keys().copied().collect();
    let batches = if values.is_empty() { vec![] } else { read(values)?.1 };
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if rows == 0 {
        return match holes.len() {
            0 => Ok(vec![statement.clone()]),
            n => Err(Error::query(format!(
                "the statement has {n} parameters, and no values are given"
            ))),
        };
    }
    let mut bound = Vec::with_capacity(rows);
    for batch in &batches {
        if batch.num_columns() < holes.last().copied().unwrap_or(0)
            || (holes.is_empty() && batch.num_columns() > 0)
        {
            return Err(Error::query(format!(
                "the statement has {} parameters, and {} values are given",
                holes.len(),
                batch.num_columns()
            )));
        }
        for row in 0..batch.num_rows() {
            bound.push(statement.with_values(&|number| {
                let column = batch.columns().get(number - 1);
                let column = column
                    .ok_or_else(|| Error::query(format!("there is no value for ${number}")))?;
                let value = inner(ScalarValue::try_from_array(column, row)?);
                let wanted = described.parameters.get(&number).and_then(Option::as_ref);
                literal(&value, wanted).map_err(|e| e.context(format_args!("${number}")))
            })?);
        }
    }
    Ok(bound)
}

/// What a union holds.
fn inner(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Union(Some((_, value)), ..) => inner(*value),
        ScalarValue::Union(None, ..) => ScalarValue::Null,
        value => value,
    }
}

/// Batches as they can be kept.
pub(super) fn written(schema: &Schema, batches: &[RecordBatch]) -> Result<Bytes> {
    let mut writer = StreamWriter::try_new(vec![], schema)?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    Ok(writer.into_inner()?.into())
}

/// Batches that were kept.
pub(super) fn read(kept: &Bytes) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let reader = StreamReader::try_new(Cursor::new(kept.clone()), None)?;
    Ok((reader.schema(), reader.collect::<Result<_, _>>()?))
}
