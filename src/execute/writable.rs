// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Whether a format has a place for what is to be written in it.

use datafusion::logical_expr::dml::CopyTo;

use crate::error::{Error, Result};

/// Fails for lists and structs in CSV.
pub(crate) fn has_place(copy: &CopyTo) -> Result<()> {
    if copy.file_type.get_ext().trim_start_matches('.') != "csv" {
        return Ok(());
    }
    match copy.input.schema().fields().iter().find(|field| field.data_type().is_nested()) {
        Some(field) => Err(Error::query(format!(
            "a CSV file cannot hold lists or structs, which are in `{}`",
            field.name()
        ))
        .hint("write JSON or Parquet, or take the values out: `column[1]`, `column['field']`")),
        None => Ok(()),
    }
}
