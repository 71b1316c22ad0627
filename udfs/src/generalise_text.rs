// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `generalise_text(value, length)`: the beginning of a text.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use crate::masking::{each_text, signature};

/// The scalar function `generalise_text`.
pub(crate) fn generalise_text() -> ScalarUDF {
    ScalarUDF::from(GeneraliseText { signature: signature() })
}

const NAME: &str = "generalise_text";

#[user_doc(
    doc_section(label = "Privacy"),
    description = "The first characters of a text with `*` for the rest, however long that is: `75*` for the postal code 75011. A text that is no longer than that stays whole. NULL when the value is.",
    syntax_example = "generalise_text(value, length)",
    sql_example = r#"```sql
> SELECT generalise_text('75011', 2) AS area;
+------+
| area |
+------+
| 75*  |
+------+
```"#,
    argument(name = "value", description = "A value of any type that can be a text."),
    argument(name = "length", description = "How many characters are left, a constant from 0 on.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct GeneraliseText {
    signature: Signature,
}

impl ScalarUDFImpl for GeneraliseText {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [_, length] if length.is_integer() => Ok(vec![DataType::Utf8, DataType::Int64]),
            [_, length] => {
                plan_err!("`{NAME}`: argument `length` must be a whole number, found {length}")
            }
            _ => plan_err!("`{NAME}` takes 2 arguments (value, length), found {}", arg_types.len()),
        }
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let length = match args.args.get(1) {
            Some(ColumnarValue::Scalar(ScalarValue::Int64(Some(length)))) if *length >= 0 => {
                *length
            }
            Some(ColumnarValue::Array(array))
                if array.len() == 1 && array.as_primitive::<Int64Type>().value(0) >= 0 =>
            {
                array.as_primitive::<Int64Type>().value(0)
            }
            _ => return exec_err!("`{NAME}`: argument `length` must be a constant from 0 on"),
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        each_text(args, |value, out| match value.char_indices().nth(length) {
            Some((end, _)) => {
                out.push_str(&value[..end]);
                out.push('*');
            }
            None => out.push_str(value),
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
