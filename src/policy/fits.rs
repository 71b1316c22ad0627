// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What the policy says against what there is: its tables and columns, and the files that stand behind them.

use std::path::PathBuf;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::SessionContext;

use super::declarations::{self, Declarations, Owner};
use super::guarded::{self, Guarded};
use super::{Policy, persons, rows, statements};
use crate::catalog::{local_path, real_path};
use crate::error::{Error, Result};

impl Policy {
    /// Refuses a target that would overwrite what the policy protects.
    pub(super) fn may_write(&self, target: &str) -> Result<()> {
        // As whoever writes it understands it: `x:/../customers.parquet` is a path, and no address.
        let Some(path) = local_path(target) else { return Ok(()) };
        let path = std::path::absolute(path)?;
        let real = real_path(&path);
        match self.paths.iter().any(|p| real.starts_with(p) || p.starts_with(&real)) {
            true => Err(statements::protected(&path.display().to_string(), "written to")),
            false => Ok(()),
        }
    }
}

/// The files of every table behind the gate, and those of the policy.
pub(super) async fn protected_paths(
    ctx: &SessionContext,
    declared: &Declarations,
) -> Result<Vec<PathBuf>> {
    let mut paths = vec![];
    for table in guarded::all(ctx).await? {
        let Some(table) = table.downcast_ref::<Guarded>() else { continue };
        let source = provider_as_source(table.unlocked());
        let plan = LogicalPlanBuilder::scan(table.name(), source, None)?.build()?;
        paths.extend(crate::catalog::paths_read(&plan));
    }
    if let Some(declarations::KeySource::File(file)) = &declared.key {
        paths.push(file.clone());
    }
    paths.extend(declared.audit.iter().map(|audit| audit.folder.clone()));
    paths.extend(declared.file.clone());
    Ok(paths.iter().map(|path| real_path(path)).collect())
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
