// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `generalise_number(value, width)`: the step of a scale that a number stands on.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use crate::masking::signature;

/// The scalar function `generalise_number`.
pub(crate) fn generalise_number() -> ScalarUDF {
    ScalarUDF::from(GeneraliseNumber { signature: signature() })
}

const NAME: &str = "generalise_number";

#[user_doc(
    doc_section(label = "Privacy"),
    description = "The lower end of the step that a number stands on, where steps are as wide as is said and one of them begins at 0: 30 stands for 30 up to 39 with a width of 10. Negative numbers go down: -1 stands on -10. NULL when the value is, or is NaN or infinite.",
    syntax_example = "generalise_number(value, width)",
    sql_example = r#"```sql
> SELECT generalise_number(34, 10) AS age;
+-----+
| age |
+-----+
| 30  |
+-----+
```"#,
    argument(
        name = "value",
        description = "A number. Whole numbers give a BIGINT, others a DOUBLE."
    ),
    argument(
        name = "width",
        description = "How wide a step is, a constant above 0; a whole number where the value is one."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct GeneraliseNumber {
    signature: Signature,
}

impl ScalarUDFImpl for GeneraliseNumber {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [value, width] = arg_types else {
            return plan_err!(
                "`{NAME}` takes 2 arguments (value, width), found {}",
                arg_types.len()
            );
        };
        if !(value.is_numeric() || value.is_null()) || !width.is_numeric() {
            return plan_err!("`{NAME}` takes two numbers, found {value} and {width}");
        }
        let whole = |t: &DataType| t.is_integer() && *t != DataType::UInt64;
        Ok(match whole(value) && whole(width) {
            true => vec![DataType::Int64; 2],
            false => vec![DataType::Float64; 2],
        })
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [value, _] => Ok(value.clone()),
            _ => plan_err!("`{NAME}` takes 2 arguments (value, width), found {}", arg_types.len()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [value, width] = args.args.as_slice() else {
            return exec_err!("`{NAME}` takes a value and a width");
        };
        let width = match width {
            ColumnarValue::Scalar(width) => width.clone(),
            ColumnarValue::Array(array) if array.len() == 1 => {
                ScalarValue::try_from_array(array, 0)?
            }
            ColumnarValue::Array(_) => {
                return exec_err!("`{NAME}`: argument `width` must be a constant");
            }
        };
        let values = value.to_array(rows)?;
        let steps: ArrayRef = match width {
            ScalarValue::Int64(Some(width)) if width > 0 => {
                let step = |value: i64| value.div_euclid(width).checked_mul(width);
                let steps = values.as_primitive::<Int64Type>().iter().map(|v| v.and_then(step));
                Arc::new(steps.collect::<Int64Array>())
            }
            ScalarValue::Float64(Some(width)) if width > 0.0 && width.is_finite() => {
                let step =
                    |value: f64| Some((value / width).floor() * width).filter(|s| s.is_finite());
                let steps = values.as_primitive::<Float64Type>().iter().map(|v| v.and_then(step));
                Arc::new(steps.collect::<Float64Array>())
            }
            _ => return exec_err!("`{NAME}`: argument `width` must be a constant above 0"),
        };
        Ok(ColumnarValue::Array(steps))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
