// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Signatures of functions that coerce their arguments themselves, because each follows its own type.

use arrow::datatypes::DataType;
use datafusion_common::{Result, plan_err};
use datafusion_expr::{Signature, TypeSignature, Volatility};

/// Such a signature, with the names of the parameters where arguments may be given by name.
pub(crate) fn coerced_by_itself(parameters: &[&str]) -> Signature {
    let names = parameters.iter().map(ToString::to_string).collect();
    Signature {
        type_signature: TypeSignature::UserDefined,
        volatility: Volatility::Immutable,
        parameter_names: if parameters.is_empty() { None } else { Some(names) },
    }
}

/// What an argument may be, and the type that the function then receives.
pub(crate) enum Takes {
    /// A value of just this type, or NULL, in the words of an error.
    Exactly(DataType, &'static str),
    Text,
    Boolean,
    Integer,
    Number,
}

impl Takes {
    /// The type that the function receives for an argument of a type, and otherwise what was expected.
    fn coerce(self, found: &DataType) -> Result<DataType, &'static str> {
        let (accepted, target, expected) = match self {
            Self::Exactly(wanted, expected) => {
                (*found == wanted || found.is_null(), wanted, expected)
            }
            Self::Text => (
                matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
                DataType::Utf8,
                "text",
            ),
            Self::Boolean => (*found == DataType::Boolean, DataType::Boolean, "BOOLEAN"),
            Self::Integer => (found.is_integer(), DataType::Int64, "an integer"),
            Self::Number => (found.is_numeric(), DataType::Float64, "a number"),
        };
        if accepted { Ok(target) } else { Err(expected) }
    }
}

/// The types of the arguments of a function of which the first `least` are required; `takes` says what each may be.
pub(crate) fn coerce_each(
    function: &str,
    parameters: &[&str],
    least: usize,
    found: &[DataType],
    takes: impl Fn(usize) -> Takes,
) -> Result<Vec<DataType>> {
    if !(least..=parameters.len()).contains(&found.len()) {
        return plan_err!(
            "`{function}` takes {least} to {} arguments ({}), found {}",
            parameters.len(),
            parameters.join(", "),
            found.len()
        );
    }
    let coerce = |(place, found): (usize, &DataType)| match takes(place).coerce(found) {
        Ok(target) => Ok(target),
        Err(expected) => {
            plan_err!(
                "`{function}`: argument `{}` must be {expected}, found {found}",
                parameters[place]
            )
        }
    };
    found.iter().enumerate().map(coerce).collect()
}
