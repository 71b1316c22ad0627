// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `DECIMAL(10, 2)` → a type, by asking the engine what a cast to it gives.

use arrow::datatypes::DataType;
use datafusion::execution::SessionStateBuilder;

use crate::error::{Error, Result};

pub(super) async fn parse(text: &str) -> Result<DataType> {
    let unknown = || {
        let error = Error::usage(format!("there is no SQL type `{text}`"));
        error.hint("such as `VARCHAR`, `BIGINT`, `DOUBLE`, `DECIMAL(12, 2)`, `DATE`, `TIMESTAMP` or `BOOLEAN`")
    };
    let harmless = |c: char| c.is_ascii_alphanumeric() || " (),_<>[]".contains(c);
    if text.is_empty() || !text.chars().all(harmless) {
        return Err(unknown());
    }
    let state = SessionStateBuilder::new().build();
    let plan = state.create_logical_plan(&format!("SELECT CAST(NULL AS {text}) AS x")).await;
    let plan = plan.map_err(|_| unknown())?;
    match plan.schema().fields().as_ref() {
        [field] => Ok(field.data_type().clone()),
        _ => Err(unknown()),
    }
}
