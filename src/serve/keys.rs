// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Primary keys, as tables declare them, and foreign keys, which nothing here can declare: their lists are empty and of
//! the right shape.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::sql::CommandGetPrimaryKeys;
use tonic::Status;

use super::desk::Desk;
use super::status;
use crate::engine::Listed;

pub(super) fn primary_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

pub(super) fn foreign_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

pub(super) async fn primary(
    engine: &dyn Desk,
    query: &CommandGetPrimaryKeys,
) -> Result<RecordBatch, Status> {
    let asked = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|w| w == name);
    let mut keys: Vec<(Listed, Vec<String>)> = vec![];
    for (catalog, schema) in engine.schemas() {
        if !asked(&query.catalog, &catalog) || !asked(&query.db_schema, &schema) {
            continue;
        }
        // Names here are no patterns.
        for listed in engine.listed(&catalog, &schema) {
            if listed.name == query.table
                && let Ok(Some(relation)) = engine.relation(&listed).await
            {
                keys.push((listed, relation.primary_key));
            }
        }
    }
    let rows: Vec<(&Listed, usize, &String)> = keys
        .iter()
        .flat_map(|(listed, key)| {
            key.iter().enumerate().map(move |(i, column)| (listed, i, column))
        })
        .collect();
    let text = |of: &dyn Fn(&(&Listed, usize, &String)) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let columns: Vec<ArrayRef> = vec![
        text(&|row| row.0.catalog.clone()),
        text(&|row| row.0.schema.clone()),
        text(&|row| row.0.name.clone()),
        text(&|row| row.2.clone()),
        Arc::new(StringArray::from_iter(rows.iter().map(|_| None::<&str>))),
        Arc::new(Int32Array::from_iter_values(
            rows.iter().map(|row| i32::try_from(row.1 + 1).unwrap_or(i32::MAX)),
        )),
    ];
    RecordBatch::try_new(primary_schema(), columns).map_err(status::arrow)
}
