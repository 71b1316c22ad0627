// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `--dry-run`: a statement is planned against the real schemas, and has only those effects that later statements need
//! to be planned too: views, macros, settings, and empty tables in the place of full ones.

use std::path::{Path, PathBuf};

use arrow::datatypes::Fields;
use datafusion::logical_expr::{DdlStatement, EmptyRelation, LogicalPlan};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement as Sql;
use futures::future::BoxFuture;

use super::{Engine, check};
use crate::catalog::{self, planned::Planned};
use crate::error::{Error, Result};
use crate::execute::{Rows, has_place};
use crate::policy;
use crate::statement::Statement;

/// What a statement would do.
#[derive(Clone, Debug, Default)]
pub struct Rehearsed {
    /// The plan, optimised, one operator a line; empty for statements that have none.
    pub plan: String,
    /// The files and folders that it would read.
    pub reads: Vec<PathBuf>,
    /// The file or folder that it would write.
    pub writes: Option<String>,
    /// The columns of the rows that it would give.
    pub columns: Fields,
}

impl Engine {
    /// Plans a statement down to its operators, without reading a row. What it would write appears `together` with
    /// everything else, when the script has ended, or else at once, and can be read by the statements after it.
    pub fn rehearse<'a>(
        &'a self,
        statement: &'a Statement,
        together: bool,
    ) -> BoxFuture<'a, Result<Rehearsed>> {
        Box::pin(async move {
            if let Parsed::Statement(sql) = &statement.parsed
                && matches!(
                    sql.as_ref(),
                    Sql::CreateMacro { .. } | Sql::Prepare { .. } | Sql::Deallocate { .. }
                )
            {
                self.run(statement).await?;
                return Ok(Rehearsed::default());
            }
            if statement.asks_policy || self.takes_purpose(&statement.parsed)? {
                return Ok(Rehearsed::default());
            }
            let plan = self.plan(statement).await?;
            if let Some(assertion) = &statement.assertion {
                check::demand_fits(assertion, plan.schema().inner())?;
            }
            let reads = catalog::paths_read(&plan);
            let planned = self.ctx.copied_config().get_extension::<Planned>();
            if let Some(planned) = &planned {
                planned.refuse_waiting(&catalog::places_meant(&self.ctx, &plan))?;
            }
            let writes = match &plan {
                LogicalPlan::Copy(copy) => Some(copy.output_url.clone()),
                _ => None,
            };
            let columns = plan.schema().fields().clone();
            let shown = match plan {
                LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(mut table)) => {
                    let shown = self.examine(&table.input).await?;
                    // The same statement over nothing: the name, the columns and the constraints are the real ones.
                    table.input = std::sync::Arc::new(LogicalPlan::EmptyRelation(EmptyRelation {
                        produce_one_row: false,
                        schema: std::sync::Arc::clone(table.input.schema()),
                    }));
                    self.have(LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table))).await?;
                    shown
                }
                LogicalPlan::Ddl(DdlStatement::CreateView(view)) => {
                    // A policy looks at a view's query when somebody reads it, and now at what it would give.
                    let read =
                        self.through_policy(view.input.as_ref().clone(), &self.ctx.state())?;
                    let shown = self.examine(&read.plan).await?;
                    self.have(LogicalPlan::Ddl(DdlStatement::CreateView(view))).await?;
                    shown
                }
                plan @ (LogicalPlan::Ddl(_) | LogicalPlan::Statement(_)) => {
                    self.have(plan).await?;
                    String::new()
                }
                LogicalPlan::Copy(copy) => {
                    has_place(&copy)?;
                    if let Some(planned) = planned {
                        planned.add(&copy, together)?;
                    }
                    self.examine(&LogicalPlan::Copy(copy)).await?
                }
                plan => self.examine(&plan).await?,
            };
            Ok(Rehearsed { plan: shown, reads, writes, columns })
        })
    }

    /// Notes a file that a dry run would write with the rows of a query, for the statements after it.
    pub(crate) fn would_write(
        &self,
        file: &Path,
        format: &str,
        columns: &Fields,
        together: bool,
    ) -> Result<()> {
        match self.ctx.copied_config().get_extension::<Planned>() {
            Some(planned) => planned.add_file(
                catalog::place_of(&file.to_string_lossy())?,
                format,
                columns,
                together,
            ),
            None => Ok(()),
        }
    }

    /// Optimises a plan and chooses its operators, which finds what planning alone does not.
    async fn examine(&self, plan: &LogicalPlan) -> Result<String> {
        let state = self.ctx.state();
        let failed = |e| self.explain(Error::from(e));
        let optimized = state.optimize(plan).map_err(failed)?;
        state.query_planner().create_physical_plan(&optimized, &state).await.map_err(failed)?;
        match self.hides_rows() {
            true => policy::shown(optimized),
            false => Ok(optimized.display_indent().to_string()),
        }
    }

    async fn have(&self, plan: LogicalPlan) -> Result<()> {
        let made = policy::Made::by(&plan);
        let rows = Rows::start(&self.ctx, plan, None, self.hides_rows(), None).await;
        rows.map_err(|e| self.explain(e))?.collect().await?;
        self.settle(&made).await
    }
}
