// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `sys.audit`: the audit log as a table, for owners.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{MemorySchemaProvider, Session, TableProvider};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use serde_json::Value;

use super::Policy;
use crate::error::{Error, Result};

/// Where it is to be found, with what else is the engine's own.
pub(super) const SCHEMA: &str = "sys";
const TABLE: &str = "audit";
/// The columns of text, as the lines name them.
const TEXTS: &[&str] = &[
    "event",
    "id",
    "time",
    "user",
    "role",
    "purpose",
    "fingerprint",
    "text",
    "tables",
    "columns",
    "verdict",
    "rule",
    "outcome",
];
const NUMBERS: &[&str] = &["rows", "ms"];

/// Adds the table to a session.
pub(super) fn register(ctx: &SessionContext, policy: &Arc<Policy>) -> Result<()> {
    let config = ctx.copied_config();
    let catalog = ctx.catalog(&config.options().catalog.default_catalog);
    let catalog = catalog.ok_or_else(|| Error::usage("the session has no default catalog"))?;
    match catalog.schema(SCHEMA) {
        // Another session of an owner's has been here; sessions share their tables.
        Some(schema) if schema.table_exist(TABLE) => return Ok(()),
        Some(_) => {}
        None => {
            catalog.register_schema(SCHEMA, Arc::new(MemorySchemaProvider::new()))?;
        }
    }
    let table = AuditTable { policy: Arc::clone(policy), schema: schema() };
    ctx.register_table(TableReference::partial(SCHEMA, TABLE), Arc::new(table))?;
    Ok(())
}

fn schema() -> SchemaRef {
    let texts = TEXTS.iter().map(|name| Field::new(*name, DataType::Utf8, true));
    let numbers = NUMBERS.iter().map(|name| Field::new(*name, DataType::Int64, true));
    let holds = Field::new("chain_holds", DataType::Boolean, false);
    Arc::new(Schema::new(texts.chain(numbers).chain([holds]).collect::<Vec<_>>()))
}

#[derive(Debug)]
struct AuditTable {
    policy: Arc<Policy>,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for AuditTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let lines = match self.policy.log() {
            Some(log) => log.read()?,
            None => vec![],
        };
        let entries: Vec<(Value, bool)> = lines
            .into_iter()
            .map(|(line, holds)| (serde_json::from_str(&line).unwrap_or_default(), holds))
            .collect();
        let text = |name: &str| -> ArrayRef {
            let values = entries.iter().map(|(entry, _)| match entry.get(name)? {
                Value::String(text) => Some(text.clone()),
                Value::Array(items) => {
                    let items = items.iter().filter_map(Value::as_str);
                    Some(items.collect::<Vec<_>>().join(", "))
                }
                _ => None,
            });
            Arc::new(values.collect::<StringArray>())
        };
        let number = |name: &str| -> ArrayRef {
            let values = entries.iter().map(|(entry, _)| entry.get(name)?.as_i64());
            Arc::new(values.collect::<Int64Array>())
        };
        let holds: BooleanArray = entries.iter().map(|(_, holds)| Some(*holds)).collect();
        let columns = TEXTS
            .iter()
            .map(|name| text(name))
            .chain(NUMBERS.iter().map(|name| number(name)))
            .chain([Arc::new(holds) as ArrayRef]);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns.collect())?;
        let schema = Arc::clone(&self.schema);
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], schema, projection.cloned())?)
    }
}
