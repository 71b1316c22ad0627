// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a statement will give, before it is run.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement as Sql;
use futures::future::BoxFuture;

use super::{Engine, prepared};
use crate::error::Result;
use crate::statement::Statement;

/// A statement's columns and parameters.
#[derive(Clone, Debug)]
pub struct Described {
    /// The columns of its rows.
    pub schema: SchemaRef,
    /// True when running it changes something, so that it must not run twice.
    pub effect: bool,
    /// Its parameters `$1`, `$2`, … by number, and the types they will be read as, where the statement says.
    pub parameters: BTreeMap<usize, Option<DataType>>,
}

impl Described {
    /// What is known of a statement that cannot be planned without the values of its parameters.
    pub fn unplanned(statement: &Statement) -> Result<Self> {
        let parameters = statement.holes()?.into_iter().map(|hole| (hole, None)).collect();
        Ok(Self { schema: Arc::new(Schema::empty()), effect: false, parameters })
    }
}

impl Engine {
    /// Plans a statement for its columns.
    pub fn describe<'a>(&'a self, statement: &'a Statement) -> BoxFuture<'a, Result<Described>> {
        Box::pin(async move {
            let nothing = |effect| Described {
                schema: Arc::new(Schema::empty()),
                effect,
                parameters: BTreeMap::new(),
            };
            if let Parsed::Statement(sql) = &statement.parsed
                && matches!(
                    sql.as_ref(),
                    Sql::CreateMacro { .. } | Sql::Prepare { .. } | Sql::Deallocate { .. }
                )
            {
                return Ok(nothing(true));
            }
            if statement.asks_policy {
                return Ok(Described { schema: self.findings_schema()?, ..nothing(false) });
            }
            let holes = statement.holes()?;
            let plan = match self.plan(statement).await {
                Ok(plan) => plan,
                Err(error) if holes.is_empty() => return Err(error),
                // An analysis needs the values of its constants to be planned; NULL leaves them at their defaults.
                Err(error) => {
                    let filled = statement.with_values(&|_| Ok(prepared::null()))?;
                    self.plan(&filled).await.map_err(|_| error)?
                }
            };
            let mut parameters: BTreeMap<usize, Option<DataType>> =
                holes.into_iter().map(|hole| (hole, None)).collect();
            for (name, field) in plan.get_parameter_fields().unwrap_or_default() {
                if let Some(parameter) = name
                    .strip_prefix('$')
                    .and_then(|n| n.parse().ok())
                    .and_then(|n: usize| parameters.get_mut(&n))
                {
                    *parameter = field.map(|f| f.data_type().clone());
                }
            }
            if statement.assertion.is_some() {
                return Ok(Described { parameters, ..nothing(false) });
            }
            // What is written is counted, and the count is no result.
            if matches!(plan, LogicalPlan::Dml(_) | LogicalPlan::Copy(_)) {
                return Ok(Described { parameters, ..nothing(true) });
            }
            let schema = Arc::new(plan.schema().as_arrow().clone());
            Ok(Described { schema, effect: has_effect(&plan)?, parameters })
        })
    }
}

/// Whether running a plan changes something; `EXPLAIN ANALYZE INSERT …` does.
fn has_effect(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found = matches!(
            node,
            LogicalPlan::Ddl(_)
                | LogicalPlan::Dml(_)
                | LogicalPlan::Copy(_)
                | LogicalPlan::Statement(_)
        );
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
