// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What there is: catalogs, schemas, tables, their columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::compute::like;
use arrow::datatypes::{Field, Schema};
use arrow_flight::sql::metadata::{GetCatalogsBuilder, GetDbSchemasBuilder, GetTablesBuilder};
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables};
use tonic::Status;

use super::desk::Desk;
use super::{status, wire};
use crate::engine::{Listed, Relation};

/// What a table is called in a list.
const TABLE: &str = "TABLE";
/// And a view.
const VIEW: &str = "VIEW";

pub(super) fn catalogs(engine: &dyn Desk) -> Result<RecordBatch, Status> {
    let mut names: Vec<String> = engine.schemas().into_iter().map(|(catalog, _)| catalog).collect();
    names.dedup();
    let mut builder = GetCatalogsBuilder::new();
    names.iter().for_each(|name| builder.append(name));
    builder.build().map_err(|e| status::flight(e, ""))
}

pub(super) fn schemas(
    engine: &dyn Desk,
    query: &CommandGetDbSchemas,
) -> Result<RecordBatch, Status> {
    let mut builder = GetDbSchemasBuilder::new(None::<String>, None::<String>);
    for (catalog, schema) in engine.schemas() {
        if catalog_fits(&catalog, query.catalog.as_deref())?
            && fits(&schema, query.db_schema_filter_pattern.as_deref())?
        {
            builder.append(catalog, schema);
        }
    }
    builder.build().map_err(|e| status::flight(e, ""))
}

pub(super) fn table_types() -> Result<RecordBatch, Status> {
    let mut builder = CommandGetTableTypes {}.into_builder();
    [TABLE, VIEW].iter().for_each(|name| builder.append(name));
    builder.build().map_err(|e| status::flight(e, ""))
}

pub(super) async fn tables(
    engine: &dyn Desk,
    query: &CommandGetTables,
) -> Result<RecordBatch, Status> {
    let mut builder = GetTablesBuilder::new(
        None::<String>,
        None::<String>,
        None::<String>,
        Vec::<String>::new(),
        query.include_schema,
    );
    // Some clients know tables by the standard's name.
    let wants = |kind: &str| {
        query.table_types.is_empty()
            || query.table_types.iter().any(|wanted| {
                wanted.eq_ignore_ascii_case(kind)
                    || (kind == TABLE && wanted.eq_ignore_ascii_case("BASE TABLE"))
            })
    };
    let listed = matching(
        engine,
        query.catalog.as_deref(),
        query.db_schema_filter_pattern.as_deref(),
        query.table_name_filter_pattern.as_deref(),
    )?;
    for listed in listed {
        // A view that cannot be planned any more cannot be read either, and must not hide the others.
        if !query.include_schema {
            let kind = if engine.is_view(&listed).await { VIEW } else { TABLE };
            if wants(kind) {
                append(&mut builder, &listed, kind, &Schema::empty())?;
            }
        } else if let Ok(Some(relation)) = engine.relation(&listed).await {
            let kind = if relation.view { VIEW } else { TABLE };
            if wants(kind) {
                append(&mut builder, &listed, kind, &described(&listed, &relation))?;
            }
        }
    }
    builder.build().map_err(|e| status::flight(e, ""))
}

fn append(
    builder: &mut GetTablesBuilder,
    listed: &Listed,
    kind: &str,
    schema: &Schema,
) -> Result<(), Status> {
    builder
        .append(&listed.catalog, &listed.schema, &listed.name, kind, schema)
        .map_err(|e| status::flight(e, ""))
}

/// The tables whose names fit.
pub(super) fn matching(
    engine: &dyn Desk,
    catalog: Option<&str>,
    schema: Option<&str>,
    table: Option<&str>,
) -> Result<Vec<Listed>, Status> {
    let mut found = vec![];
    for (in_catalog, in_schema) in engine.schemas() {
        if !catalog_fits(&in_catalog, catalog)? || !fits(&in_schema, schema)? {
            continue;
        }
        for listed in engine.listed(&in_catalog, &in_schema) {
            if fits(&listed.name, table)? {
                found.push(listed);
            }
        }
    }
    Ok(found)
}

/// A table's columns with everything that is known of them.
fn described(listed: &Listed, relation: &Relation) -> Schema {
    let fields = relation.schema.fields().iter().map(|field| {
        let field = wire::described(field, false);
        let mut metadata: HashMap<String, String> = field.metadata().clone();
        let mut add = |key: &str, value: &str| {
            metadata.insert(format!("ARROW:FLIGHT:SQL:{key}"), value.to_string());
        };
        add("CATALOG_NAME", &listed.catalog);
        add("SCHEMA_NAME", &listed.schema);
        add("TABLE_NAME", &listed.name);
        add("IS_AUTO_INCREMENT", "0");
        add(
            "IS_CASE_SENSITIVE",
            if wire::type_name(field.data_type()) == "VARCHAR" { "1" } else { "0" },
        );
        add("IS_READ_ONLY", if relation.view { "1" } else { "0" });
        add("IS_SEARCHABLE", "1");
        if let Some(meaning) = relation.meanings.get(field.name()) {
            add("REMARKS", meaning);
        }
        Arc::new(Field::clone(&field).with_metadata(metadata))
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// A catalog is named whole; drivers that hand patterns on mean `%`.
fn catalog_fits(name: &str, wanted: Option<&str>) -> Result<bool, Status> {
    match wanted {
        Some(wanted) if wanted.contains('%') => fits(name, Some(wanted)),
        Some(wanted) => Ok(name == wanted),
        None => Ok(true),
    }
}

/// SQL's LIKE.
fn fits(name: &str, pattern: Option<&str>) -> Result<bool, Status> {
    let Some(pattern) = pattern else { return Ok(true) };
    let fits = like(&StringArray::from(vec![name]), &StringArray::new_scalar(pattern));
    Ok(fits.map_err(status::arrow)?.value(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns_and_escapes() {
        for (name, pattern, is) in [
            ("orders", "%", true),
            ("orders", "ord_rs", true),
            ("orders", "order", false),
            ("order_items", "order\\_items", true),
            ("orderXitems", "order\\_items", false),
            ("Orders", "orders", false),
        ] {
            assert_eq!(fits(name, Some(pattern)).expect("fits"), is, "{name} {pattern}");
        }
        assert!(catalog_fits("datafusion", None).expect("fits"));
        assert!(catalog_fits("datafusion", Some("%")).expect("fits"));
        assert!(!catalog_fits("a_b", Some("aXb")).expect("fits"));
        assert!(!catalog_fits("datafusion", Some("")).expect("fits"));
    }
}
