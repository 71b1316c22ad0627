// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Arrow as clients know it.
//!
//! A result's schema is chosen once, from the statement's plan, and is the same wherever it is told: clients compare
//! what they were promised with what they get, nullability included. Types that drivers do not read leave as others
//! that hold the same values.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

/// Protocol's names of a column's properties.
const TYPE_NAME: &str = "ARROW:FLIGHT:SQL:TYPE_NAME";
const PRECISION: &str = "ARROW:FLIGHT:SQL:PRECISION";
const SCALE: &str = "ARROW:FLIGHT:SQL:SCALE";

/// What a schema is on the wire. `views` keeps `Utf8View` as it is.
pub(super) fn schema(schema: &Schema, views: bool) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(|f| described(f, views)).collect();
    Arc::new(Schema::new(fields))
}

/// A batch under the schema that was promised for it.
pub(super) fn batch(batch: &RecordBatch, promised: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(promised.fields());
    let columns: Vec<ArrayRef> = columns
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                cast(column, field.data_type())
            }
        })
        .collect::<Result<_, _>>()?;
    // A plan may promise more than it keeps. That is the engine's fault, and no reason to keep the rows back.
    let broken =
        columns.iter().zip(promised.fields()).any(|(c, f)| !f.is_nullable() && c.null_count() > 0);
    let schema = if broken { nullable(promised) } else { Arc::clone(promised) };
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options)
}

fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields: Vec<Field> = fields.map(|f| f.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

/// A column with the properties that drivers ask for.
pub(super) fn described(field: &FieldRef, views: bool) -> FieldRef {
    let data_type = sent_as(field.data_type(), views);
    let mut metadata = HashMap::from([(TYPE_NAME.to_string(), type_name(&data_type).to_string())]);
    if let Some((precision, scale)) = digits(&data_type) {
        metadata.insert(PRECISION.into(), precision.to_string());
        metadata.insert(SCALE.into(), scale.to_string());
    }
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata))
}

/// The type that a type leaves as.
fn sent_as(data_type: &DataType, views: bool) -> DataType {
    let inner = |field: &FieldRef| {
        let inner = sent_as(field.data_type(), views);
        Arc::new(Field::new(field.name(), inner, field.is_nullable()))
    };
    match data_type {
        DataType::Utf8View if !views => DataType::Utf8,
        DataType::BinaryView if !views => DataType::Binary,
        DataType::Dictionary(_, values) => sent_as(values, views),
        DataType::RunEndEncoded(_, values) => sent_as(values.data_type(), views),
        // Drivers read no others.
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::List(item) | DataType::ListView(item) => DataType::List(inner(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => {
            DataType::LargeList(inner(item))
        }
        DataType::FixedSizeList(item, n) => DataType::FixedSizeList(inner(item), *n),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}

/// SQL's name of a type, one of those that `GetXdbcTypeInfo` lists.
pub(super) fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Null => "NULL",
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INTEGER",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INTEGER UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float16 | DataType::Float32 => "REAL",
        DataType::Float64 => "DOUBLE",
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => "DECIMAL",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR",
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "VARBINARY",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE",
        DataType::Duration(_) | DataType::Interval(_) => "INTERVAL",
        DataType::List(_)
        | DataType::ListView(_)
        | DataType::LargeList(_)
        | DataType::LargeListView(_)
        | DataType::FixedSizeList(..) => "ARRAY",
        DataType::Struct(_) => "STRUCT",
        DataType::Map(..) => "MAP",
        DataType::Union(..) => "UNION",
        DataType::Dictionary(_, values) => type_name(values),
        DataType::RunEndEncoded(_, values) => type_name(values.data_type()),
    }
}

fn digits(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => Some((*p, *s)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal64Array, StringViewArray};

    use super::*;

    #[test]
    fn types_that_drivers_do_not_read_leave_as_others() {
        let names = DataType::Struct(vec![Field::new("n", DataType::Utf8View, true)].into());
        let fields = vec![
            Field::new("text", DataType::Utf8View, false),
            Field::new("price", DataType::Decimal64(9, 2), true),
            Field::new("names", names, true),
        ];
        let sent = schema(&Schema::new(fields.clone()), false);
        assert_eq!(sent.field(0).data_type(), &DataType::Utf8);
        assert!(!sent.field(0).is_nullable());
        assert_eq!(sent.field(1).metadata()[PRECISION], "9");
        assert!(sent.field(2).data_type().to_string().contains("Utf8"));
        let kept = schema(&Schema::new(fields), true);
        assert_eq!(kept.field(0).data_type(), &DataType::Utf8View);
    }

    #[test]
    fn a_batch_takes_the_promised_types() {
        let price = Decimal64Array::from(vec![1_250]).with_precision_and_scale(9, 2);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("text", Arc::new(StringViewArray::from(vec!["a"]))),
            ("price", Arc::new(price.expect("fits"))),
        ];
        let rows = RecordBatch::try_from_iter(columns).expect("a batch");
        let promised = schema(rows.schema_ref(), false);
        let sent = batch(&rows, &promised).expect("casts");
        assert_eq!(sent.schema(), promised);
        assert_eq!(sent.column(0).data_type(), &DataType::Utf8);
    }
}
