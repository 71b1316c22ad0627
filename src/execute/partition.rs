// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `COPY … PARTITIONED BY`: what a folder is called after the value it holds.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast, lit};

use crate::catalog::NULL_FOLDER;
use crate::error::{Error, Result};

/// The same statement with the keys as text, which is all that the name of a folder can hold: the writer knows few types
/// and takes NULL for 0, false or nothing.
pub(super) fn with_written_keys(copy: CopyTo) -> Result<CopyTo> {
    let is_key = |name: &String| copy.partition_by.contains(name);
    if copy.partition_by.is_empty() {
        return Ok(copy);
    }
    let schema = copy.input.schema();
    if schema.fields().iter().all(|field| is_key(field.name())) {
        return Err(Error::query("every column is in `PARTITIONED BY`, and none is left to write")
            .hint("add a column that the rows are not set apart by"));
    }
    let columns = schema.iter().map(|(relation, field)| {
        let column = Expr::from((relation, field));
        match is_key(field.name()) {
            true => coalesce(vec![cast(column, DataType::Utf8), lit(NULL_FOLDER)])
                .alias_qualified(relation.cloned(), field.name()),
            false => column,
        }
    });
    let columns: Vec<Expr> = columns.collect();
    let input = LogicalPlanBuilder::from(Arc::clone(&copy.input)).project(columns)?.build()?;
    Ok(CopyTo { input: Arc::new(input), ..copy })
}
