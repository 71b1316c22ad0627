// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The row group and the column of a Parquet file whose bytes cannot be read.

use std::fs::File;
use std::path::Path;

use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::discover::shown;
use super::sniff;
use crate::error::{Error, Result};

/// Reads every row group until one fails.
pub(super) fn fault(path: &Path) -> Result<Option<Error>> {
    // The footer of an object was read when its table was added; its row groups are not fetched once more.
    if super::files::is_remote(path) {
        return Ok(None);
    }
    let open = || File::open(path).map_err(|error| sniff::unreadable(path, &error));
    let name = shown(path);
    let again = "write it again, or copy it again from where it was whole";
    let Ok(builder) = ParquetRecordBatchReaderBuilder::try_new(open()?) else {
        let error =
            Error::query(format!("`{name}` is cut short or damaged: its footer cannot be read"));
        return Ok(Some(error.hint(again)));
    };
    let groups = builder.metadata().num_row_groups();
    let columns = builder.parquet_schema().root_schema().get_fields().len();
    let good = |group: usize, column: Option<usize>| -> Result<bool> {
        let Ok(mut builder) = ParquetRecordBatchReaderBuilder::try_new(open()?) else {
            return Ok(false);
        };
        if let Some(column) = column {
            let mask = ProjectionMask::roots(builder.parquet_schema(), [column]);
            builder = builder.with_projection(mask);
        }
        let Ok(mut reader) = builder.with_row_groups(vec![group]).build() else { return Ok(false) };
        Ok(reader.all(|batch| batch.is_ok()))
    };
    for group in 0..groups {
        if good(group, None)? {
            continue;
        }
        let mut where_ = String::new();
        for column in 0..columns {
            if !good(group, Some(column))? {
                let field = &builder.parquet_schema().root_schema().get_fields()[column];
                where_ = format!(", column `{}`", field.name());
                break;
            }
        }
        let number = group + 1;
        let error = Error::query(format!(
            "`{name}`: row group {number} of {groups}{where_}, cannot be read"
        ));
        return Ok(Some(error.hint(again)));
    }
    Ok(None)
}
