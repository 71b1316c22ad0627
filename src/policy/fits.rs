// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What the policy says against what there is: its tables and columns, and the files that stand behind them.

use std::sync::PoisonError;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::SessionContext;

use super::declarations::{self, Declarations, Owner};
use super::guarded::{self, Guarded};
use super::{Policy, persons, rows, statements};
use crate::catalog::Fence;
use crate::config::Config;
use crate::error::{Error, Result};

impl Policy {
    /// Refuses a target that would overwrite what the policy protects, or add to it.
    pub(super) fn may_write(&self, target: &str) -> Result<()> {
        match self.fence.read().unwrap_or_else(PoisonError::into_inner).holds(target)? {
            true => Err(statements::protected(target, "written to").hint(
                "write to a folder that no table, and nothing of the configuration, is read from",
            )),
            false => Ok(()),
        }
    }

    /// From now on what tables are read from, and what one was said to be read from, is protected.
    pub(super) async fn fence_in(&self, ctx: &SessionContext, locations: &[String]) -> Result<()> {
        let mut more = Fence::default();
        locations.iter().try_for_each(|location| more.add(location))?;
        fence_tables(ctx, &mut more).await?;
        self.fence.write().unwrap_or_else(PoisonError::into_inner).extend(more);
        Ok(())
    }
}

/// The files of the policy and of the configuration, and everything that its tables may be read from.
pub(super) fn fence(declared: &Declarations, config: &Config) -> Result<Fence> {
    let mut fence = Fence::default();
    let tables = config.tables.values().flat_map(|table| &table.paths);
    config.data.iter().chain(tables).try_for_each(|written| fence.add(written))?;
    config.own_files().iter().for_each(|file| fence.add_path(file));
    if let Some(declarations::KeySource::File(file)) = &declared.key {
        fence.add_path(file);
    }
    declared.audit.iter().for_each(|audit| fence.add_path(&audit.folder));
    declared.file.iter().for_each(|file| fence.add_path(file));
    Ok(fence)
}

/// The files of every table behind the gate.
pub(super) async fn fence_tables(ctx: &SessionContext, fence: &mut Fence) -> Result<()> {
    for table in guarded::all(ctx).await? {
        let Some(table) = table.downcast_ref::<Guarded>() else { continue };
        let source = provider_as_source(table.unlocked());
        let plan = LogicalPlanBuilder::scan(table.name(), source, None)?.build()?;
        fence.add_read(&plan)?;
    }
    Ok(())
}

/// Finds columns that the policy names and the table does not have, or that cannot be what it says.
pub(super) fn check_columns(
    name: &str,
    declared: &declarations::Table,
    tables: &rows::Tables,
) -> Result<()> {
    let here = |e: Error| e.context(format_args!("[tables.{name}]"));
    let Some(table) = tables.get(name) else { return Err(rows::undeclared(name)) };
    let schema = table.schema();
    let found: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let missing = |column: &str| {
        let error = Error::usage(format!("the table has no column `{column}`"));
        match crate::diagnostic::nearest(column, found.iter().copied()).as_slice() {
            [] => error.note(format!("its columns are {}", found.join(", "))),
            near => error.hint(format!("did you mean {}?", crate::diagnostic::or_list(near))),
        }
    };
    if let Some(column) = declared.named.iter().find(|c| !found.contains(&c.as_str())) {
        return Err(here(missing(column)));
    }
    if declared.public && declared.classes.is_empty() {
        return Ok(());
    }
    let type_of = |column: &str| schema.field_with_name(column).map(|f| f.data_type().clone());
    let key = |column: &str| -> Result<()> {
        let data_type = type_of(column)?;
        match persons::is_text(&data_type) || data_type.is_integer() {
            true => Ok(()),
            false => Err(Error::usage(format!(
                "`{column}` is of type {data_type}, and a key is text or a whole number"
            ))),
        }
    };
    match &declared.owner {
        Some(Owner::Column(column)) => key(column).map_err(here)?,
        Some(Owner::Link { column, table: target, key: pointed }) => {
            key(column).map_err(here)?;
            let there = tables.get(target).map(|t| t.schema());
            if there.is_none_or(|s| s.field_with_name(pointed).is_err()) {
                return Err(here(Error::usage(format!(
                    "its link leads to `{target}.{pointed}`, and there is no such column"
                ))));
            }
        }
        None => {}
    }
    for column in declared.bounds.keys() {
        if !type_of(column)?.is_numeric() {
            return Err(here(Error::usage(format!("`{column}` has bounds and is not a number"))));
        }
    }
    if let Some(retain) = &declared.retain
        && !matches!(type_of(&retain.column)?, DataType::Timestamp(..) | DataType::Date32)
    {
        return Err(here(Error::usage(format!(
            "`{}` says how old a row is, and is not a date",
            retain.column
        ))));
    }
    Ok(())
}

pub(super) fn check_consent(declared: &Declarations, tables: &rows::Tables) -> Result<()> {
    let Some(consent) = &declared.consent else { return Ok(()) };
    let here = |e: Error| e.context("[consent]");
    let Some(table) = tables.get(&consent.table) else {
        return Err(here(Error::usage(format!("`{}` is not a declared table", consent.table))));
    };
    let columns = [&consent.subject, &consent.purpose, &consent.status, &consent.time];
    let optional = [consent.expires.as_ref(), consent.subject_type.as_ref().map(|(c, _)| c)];
    for column in columns.into_iter().chain(optional.into_iter().flatten()) {
        if table.schema().field_with_name(column).is_err() {
            return Err(here(Error::usage(format!(
                "`{}` has no column `{column}`",
                consent.table
            ))));
        }
    }
    Ok(())
}
