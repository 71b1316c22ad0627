// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `raise(message)`: stops the query. A silently wrong number is worse than none.

use std::sync::Arc;

use arrow::array::NullArray;
use arrow::datatypes::DataType;
use datafusion_common::utils::take_function_args;
use datafusion_common::{Result, ScalarValue, exec_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion_macros::user_doc;

/// The scalar function `raise`.
pub(crate) fn raise() -> ScalarUDF {
    ScalarUDF::from(Raise::new())
}

#[user_doc(
    doc_section(label = "Data"),
    description = "Stops the query with a message. It belongs in a branch of a CASE that no row may \
reach, such as an amount in an unexpected currency. Where no row reaches it, it does nothing. Its \
type is that of NULL, so that the other branches decide.",
    syntax_example = "raise(message)",
    sql_example = r#"```sql
> SELECT sum(CASE WHEN currency = 'EUR' THEN amount ELSE raise('an amount is not in euros') END) AS total
  FROM (VALUES (10, 'EUR'), (5, 'EUR')) AS sales(amount, currency);
+-------+
| total |
+-------+
| 15    |
+-------+
```"#,
    argument(
        name = "message",
        description = "What is wrong and what to write instead, a VARCHAR."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct Raise {
    signature: Signature,
}

impl Raise {
    fn new() -> Self {
        // Volatile, because the optimizer evaluates what never changes, and would stop every query.
        Self { signature: Signature::string(1, Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for Raise {
    fn name(&self) -> &str {
        "raise"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Null)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // CASE evaluates its branches on the rows that reach them, which may be none.
        if args.number_rows == 0 {
            return Ok(ColumnarValue::Array(Arc::new(NullArray::new(0))));
        }
        let [message] = take_function_args(self.name(), args.args)?;
        let message = match message {
            ColumnarValue::Scalar(message) => message,
            ColumnarValue::Array(messages) => ScalarValue::try_from_array(&messages, 0)?,
        };
        exec_err!("{message}")
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;
    use datafusion_common::config::ConfigOptions;

    use super::*;

    fn call(rows: usize) -> Result<ColumnarValue> {
        Raise::new().invoke_with_args(ScalarFunctionArgs {
            args: vec![ColumnarValue::Scalar(ScalarValue::from("no such currency"))],
            arg_fields: vec![Arc::new(Field::new("message", DataType::Utf8, true))],
            number_rows: rows,
            return_field: Arc::new(Field::new("raise", DataType::Null, true)),
            config_options: Arc::new(ConfigOptions::default()),
        })
    }

    #[test]
    fn it_stops_the_query_when_a_row_reaches_it_and_only_then() {
        assert!(call(0).is_ok());
        let error = call(1).err().map(|e| e.strip_backtrace()).unwrap_or_default();
        assert!(error.ends_with("no such currency"), "{error}");
    }
}
