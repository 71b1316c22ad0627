// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Roles that see rows: tables as they may read them. An owner may do everything; a role that sees pseudonyms may do nothing
//! by which a table of the policy would become another, or a plan would tell what stands behind a pseudonym.

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement};

use super::declarations::Openness;
use super::guarded::{Guarded, guarded};
use super::rows::{Reading, undeclared};
use super::{Found, redact, statements};
use crate::error::Result;
use crate::expand::Marker;

/// The statement as a role that sees rows may run it.
pub(super) fn pass(
    reading: &Reading,
    plan: LogicalPlan,
    openness: Openness,
    session: &SessionState,
    found: &mut Found,
) -> Result<LogicalPlan> {
    match (openness, &plan) {
        (Openness::Owner, _) => unlock(reading, plan, openness, found),
        // A physical plan shows what is known of columns: how many values they have, the least and the greatest.
        (_, LogicalPlan::Explain(explain)) => {
            let inner = explain.plan.as_ref().clone();
            let inner = pass(reading, inner, openness, session, found)?;
            redact::explained(&inner, reading, session)
        }
        (_, LogicalPlan::Analyze(_)) => Err(statements::no_analyze()),
        (_, LogicalPlan::Copy(copy)) => {
            reading.policy.may_write(&copy.output_url)?;
            unlock(reading, plan, openness, found)
        }
        (_, LogicalPlan::Ddl(ddl)) => {
            defines(reading, ddl, session)?;
            unlock(reading, plan, openness, found)
        }
        (
            _,
            LogicalPlan::Statement(
                Statement::Prepare(_) | Statement::Execute(_) | Statement::Deallocate(_),
            ),
        ) => Err(statements::for_owners("a prepared statement of the engine's own")),
        (_, _) => unlock(reading, plan, openness, found),
    }
}

/// Refuses definitions by which a name of the policy's would mean something else.
fn defines(reading: &Reading, ddl: &DdlStatement, session: &SessionState) -> Result<()> {
    let may_make = |name| reading.policy.may_make(name, session, Openness::Pseudonymised);
    match ddl {
        DdlStatement::CreateMemoryTable(table) => may_make(&table.name),
        DdlStatement::CreateView(view) => may_make(&view.name),
        DdlStatement::DropTable(table) => may_make(&table.name),
        DdlStatement::DropView(view) => may_make(&view.name),
        DdlStatement::CreateExternalTable(_)
        | DdlStatement::CreateCatalogSchema(_)
        | DdlStatement::CreateCatalog(_)
        | DdlStatement::CreateIndex(_)
        | DdlStatement::DropCatalogSchema(_)
        | DdlStatement::CreateFunction(_)
        | DdlStatement::DropFunction(_) => Err(statements::for_owners(ddl.name())),
    }
}

/// The plan of a role that sees rows: tables as it may read them, and no markers.
fn unlock(
    reading: &Reading,
    plan: LogicalPlan,
    openness: Openness,
    found: &mut Found,
) -> Result<LogicalPlan> {
    // A view is kept as it was written: who reads it later has a role of their own.
    if let LogicalPlan::Ddl(DdlStatement::CreateView(view)) = &plan {
        unlock(reading, view.input.as_ref().clone(), openness, found)?;
        return Ok(plan);
    }
    let done = plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::Extension(extension) => match Marker::of(&extension) {
            // A marker may stand directly in another.
            Some(marker) => {
                let mut inner = marker.input.clone();
                while let LogicalPlan::Extension(next) = &inner
                    && let Some(marker) = Marker::of(next)
                {
                    inner = marker.input.clone();
                }
                match table_read(reading, &inner, openness, found)? {
                    Some(table) => Ok(jump(table)),
                    None => Ok(Transformed::yes(inner)),
                }
            }
            None => Ok(Transformed::no(LogicalPlan::Extension(extension))),
        },
        LogicalPlan::Dml(mut dml) => {
            let refused = |name: &str| Err(statements::protected(name, "written to").into());
            if let Some(provider) = guarded(&dml.target)
                && let Some(table) = provider.downcast_ref::<Guarded>()
            {
                if openness != Openness::Owner
                    && (reading.policy.is_loaded(table) || table.is_open())
                {
                    return refused(table.name());
                }
                dml.target = provider_as_source(table.unlocked());
            } else if reading.policy.is_answer(&dml.target) {
                // Everybody may read an answer. With rows in it, it is none.
                if openness != Openness::Owner {
                    return refused(dml.table_name.table());
                }
                reading.policy.set_answer(source_as_provider(&dml.target)?, false);
            }
            Ok(Transformed::yes(LogicalPlan::Dml(dml)))
        }
        node => match table_read(reading, &node, openness, found)? {
            Some(table) => Ok(jump(table)),
            None => Ok(Transformed::no(node)),
        },
    })?;
    Ok(done.data)
}

fn jump(plan: LogicalPlan) -> Transformed<LogicalPlan> {
    Transformed::new(plan, true, TreeNodeRecursion::Jump)
}

fn table_read(
    reading: &Reading,
    node: &LogicalPlan,
    openness: Openness,
    found: &mut Found,
) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::TableScan(scan) = node else { return Ok(None) };
    match guarded(&scan.source) {
        Some(provider) => {
            let Some(table) = provider.downcast_ref::<Guarded>() else { return Ok(None) };
            found.tables.insert(table.name().to_string());
            reading.open(table, &scan.table_name, openness).map(Some)
        }
        // A role that sees pseudonyms reads no file that the policy does not know.
        None if openness == Openness::Owner || reading.policy.is_public_leaf(scan) => Ok(None),
        None => Err(undeclared(&scan.table_name.to_string())),
    }
}
