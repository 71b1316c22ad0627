// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Rows that a client brings along → a table.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Column, Constraints, DFSchema, ScalarValue, TableReference};
use datafusion::datasource::{MemTable, TableProvider, provider_as_source};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{
    CreateMemoryTable, DdlStatement, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit,
};
use futures::future::BoxFuture;

use super::Engine;
use crate::diagnostic::nearest;
use crate::error::{Error, Result};
use crate::execute::Rows;
use crate::policy::{Made, Passed};

/// Where rows go.
#[derive(Clone, Debug)]
pub struct Ingest {
    /// The catalog; `None` for the session's.
    pub catalog: Option<String>,
    /// The schema; `None` for the session's.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// Whether a table that is not there is made.
    pub create: bool,
    /// What happens to one that is there.
    pub if_exists: IfExists,
}

/// What happens to a table that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfExists {
    /// It is an error.
    Fail,
    /// The rows are added to it.
    Append,
    /// It is replaced.
    Replace,
}

impl Engine {
    /// Puts rows into a table, all of them or none, and gives their number.
    pub fn ingest<'a>(
        &'a self,
        into: &'a Ingest,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let count = batches.iter().map(|b| b.num_rows() as u64).sum();
            let judged = self.ingesting(into, schema, batches).await;
            let ticket =
                self.write_down(&self.ingest_text(into), judged.as_ref().map(|p| &p.found))?;
            let Passed { plan, masked, .. } = judged?;
            let made = Made::by(&plan);
            let rows = Rows::start(&self.ctx, plan, None, masked, ticket).await;
            rows.map_err(|e| self.explain(e))?.collect().await?;
            self.settle(&made).await?;
            Ok(count)
        })
    }

    /// The plan that puts rows into a table, past the gates.
    async fn ingesting(
        &self,
        into: &Ingest,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<Passed> {
        let name = self.ingest_name(into);
        let exists = self.ctx.table_exist(name.clone())?;
        match (exists, into.if_exists, into.create) {
            (true, IfExists::Fail, _) => {
                return Err(Error::query(format!("the table `{name}` exists already"))
                    .hint("append to it or replace it"));
            }
            (false, _, false) => {
                let bare = TableReference::bare(name.table().to_string());
                return Err(self.functions.unknown_table(&bare));
            }
            _ => {}
        }
        let rows: Arc<dyn TableProvider> = Arc::new(MemTable::try_new(schema, vec![batches])?);
        if let Some(session) = &self.session {
            session.bring(Arc::clone(&rows));
        }
        let rows = LogicalPlanBuilder::scan("ingested", provider_as_source(rows), None)?.build()?;
        let plan = if exists && into.if_exists == IfExists::Append {
            let target = self.ctx.table_provider(name.clone()).await?;
            let rows = fitted(rows, &target.schema(), &name)?;
            let target = provider_as_source(target);
            LogicalPlanBuilder::insert_into(rows, name, target, InsertOp::Append)?.build()?
        } else {
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(CreateMemoryTable {
                name,
                constraints: Constraints::default(),
                input: Arc::new(rows),
                if_not_exists: false,
                or_replace: exists,
                column_defaults: vec![],
                temporary: false,
            }))
        };
        self.refuse_unpublished(&plan)?;
        self.gates.iter().try_for_each(|gate| gate.check(&plan))?;
        self.through_policy(plan, &self.ctx.state())
    }

    /// Fails early for somebody who may not change tables, before any row is read.
    pub fn may_ingest(&self, into: &Ingest) -> Result<()> {
        let name = self.ingest_name(into);
        let plan = LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(CreateMemoryTable {
            name,
            constraints: Constraints::default(),
            input: Arc::new(LogicalPlanBuilder::empty(false).build()?),
            if_not_exists: false,
            or_replace: false,
            column_defaults: vec![],
            temporary: false,
        }));
        let allowed = self.gates.iter().try_for_each(|gate| gate.check(&plan));
        if let Err(error) = &allowed {
            self.write_down(&self.ingest_text(into), Err(error))?;
        }
        allowed
    }

    /// What the audit log has for its text.
    fn ingest_text(&self, into: &Ingest) -> String {
        format!("INGEST INTO {}", self.ingest_name(into))
    }

    fn ingest_name(&self, into: &Ingest) -> TableReference {
        let config = self.ctx.copied_config();
        let defaults = &config.options().catalog;
        TableReference::full(
            into.catalog.clone().unwrap_or_else(|| defaults.default_catalog.clone()),
            into.schema.clone().unwrap_or_else(|| defaults.default_schema.clone()),
            into.table.clone(),
        )
    }
}

/// The rows with the columns of the table, found by name and cast; what is not given is NULL.
fn fitted(rows: LogicalPlan, target: &SchemaRef, name: &TableReference) -> Result<LogicalPlan> {
    let given = Arc::clone(rows.schema());
    for field in given.fields() {
        if target.field_with_name(field.name()).is_err() {
            let names: Vec<&str> = target.fields().iter().map(|f| f.name().as_str()).collect();
            let error = Error::query(format!("`{name}` has no column `{}`", field.name()));
            return Err(match nearest(field.name(), names.iter().copied()).first() {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.note(format!("its columns are {}", names.join(", "))),
            });
        }
    }
    let column = |field: &Arc<arrow::datatypes::Field>| -> Result<Expr> {
        let expr = match given.fields().iter().any(|g| g.name() == field.name()) {
            true => Expr::Column(Column::from_name(field.name())),
            false if field.is_nullable() => lit(ScalarValue::Null),
            false => {
                return Err(Error::query(format!(
                    "`{name}` needs a value for `{}`, and none is given",
                    field.name()
                )));
            }
        };
        Ok(expr.cast_to(field.data_type(), given.as_ref() as &DFSchema)?.alias(field.name()))
    };
    let columns = target.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(rows).project(columns)?.build()?)
}
