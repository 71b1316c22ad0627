// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What the masking functions share: texts in, texts out, row by row.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_datafusion_err, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

/// What stands in the place of what is hidden.
pub(crate) const MASK: &str = "***";

/// The signature of a function whose types are decided by itself.
pub(crate) fn signature() -> Signature {
    Signature {
        type_signature: TypeSignature::UserDefined,
        volatility: Volatility::Immutable,
        parameter_names: None,
    }
}

/// A function of one text: its name, what it makes of a text, and its page of the manual.
pub(crate) fn of_one_text(
    name: &'static str,
    change: fn(&str, &mut String),
    documentation: Option<&'static Documentation>,
) -> ScalarUDF {
    ScalarUDF::from(OfOneText { name, change, documentation, signature: signature() })
}

#[derive(Debug)]
struct OfOneText {
    name: &'static str,
    change: fn(&str, &mut String),
    documentation: Option<&'static Documentation>,
    signature: Signature,
}

// A name has one meaning.
impl PartialEq for OfOneText {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for OfOneText {}

impl Hash for OfOneText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for OfOneText {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Any type that can be a text.
    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [_] => Ok(vec![DataType::Utf8]),
            _ => {
                plan_err!("`{}` takes 1 argument (value), found {}", self.name, arg_types.len())
            }
        }
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        each_text(args, self.change)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.documentation
    }
}

/// Applies a function to every text of the first argument; NULL stays NULL.
pub(crate) fn each_text(
    args: ScalarFunctionArgs,
    mut change: impl FnMut(&str, &mut String),
) -> Result<ColumnarValue> {
    let value = args.args.into_iter().next();
    let value = value.ok_or_else(|| exec_datafusion_err!("a masking function takes a value"))?;
    let is_constant = matches!(value, ColumnarValue::Scalar(_));
    let values = value.into_array(if is_constant { 1 } else { args.number_rows })?;
    let values = values.as_string::<i32>();
    let mut built = StringBuilder::with_capacity(values.len(), values.value_data().len());
    let mut changed = String::new();
    for value in values {
        match value {
            Some(value) => {
                changed.clear();
                change(value, &mut changed);
                built.append_value(&changed);
            }
            None => built.append_null(),
        }
    }
    let array: ArrayRef = Arc::new(built.finish());
    match is_constant {
        true => {
            Ok(ColumnarValue::Scalar(datafusion_common::ScalarValue::try_from_array(&array, 0)?))
        }
        false => Ok(ColumnarValue::Array(array)),
    }
}
