// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Pseudonyms: what a role sees that works with rows and may not know whose they are.
//!
//! An identifier becomes 128 bits of HMAC-SHA-256 under the deployment's key. Equal identifiers give equal pseudonyms, so
//! that tables still join; without the key they mean nothing, and nobody can try all customer numbers. The key is held by
//! the function itself: no plan, error or explanation ever shows it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, cast, lit, when,
};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::declarations::KeySource;
use crate::error::{Error, Result};
use crate::library::PrivacyClass as Class;

/// A key that is never shown.
#[derive(Clone)]
pub(super) struct Key(Arc<[u8]>);

/// Bytes of a pseudonym: enough that no two identifiers share one.
const BYTES: usize = 16;
/// A shorter key could be guessed.
const SHORTEST: usize = 16;
/// What is shown of words.
const MASK: &str = "***";

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Reads the key from where the policy says.
    pub(super) fn read(source: &KeySource) -> Result<Self> {
        let (bytes, place) = match source {
            KeySource::File(path) => {
                let bytes = std::fs::read(path).map_err(|e| {
                    Error::usage(format!(
                        "cannot read the key of pseudonyms `{}`: {e}",
                        path.display()
                    ))
                    .hint("32 random bytes make a good key: `head -c 32 /dev/urandom > FILE`")
                })?;
                (bytes, format!("`{}`", path.display()))
            }
            KeySource::Env(name) => {
                let value = std::env::var(name).map_err(|_| {
                    Error::usage(format!("the environment has no `{name}`, the key of pseudonyms"))
                })?;
                (value.into_bytes(), format!("`{name}`"))
            }
        };
        let trimmed = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if trimmed.len() < SHORTEST {
            return Err(Error::usage(format!(
                "the key in {place} is shorter than {SHORTEST} bytes"
            )));
        }
        Ok(Self(trimmed.into()))
    }

    #[cfg(test)]
    fn of(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// What stands for a value.
    pub(super) fn pseudonym(&self, value: &str) -> EngineResult<String> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.0)
            .map_err(|e| DataFusionError::Internal(e.to_string()))?;
        mac.update(value.as_bytes());
        let code = mac.finalize().into_bytes();
        Ok(code[..BYTES].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What a column of a class becomes for a role that sees pseudonyms.
pub(super) fn shown(key: &Key, column: Column, class: Class, schema: &DFSchema) -> Result<Expr> {
    let data_type = Expr::Column(column.clone()).get_type(schema)?;
    let (qualifier, name) = (column.relation.clone(), column.name.clone());
    let is_text = matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    let value = Expr::Column(column);
    let shown = match class {
        Class::Quasi | Class::Sensitive | Class::Plain => return Ok(value),
        Class::Identifier => {
            ScalarUDF::from(Pseudonym::new(key)).call(vec![cast(value, DataType::Utf8)])
        }
        Class::Direct | Class::Text => {
            let nothing = lit(ScalarValue::try_from(&data_type)?);
            match is_text {
                // Whether there is an address is no address.
                true => when(value.is_null(), nothing).otherwise(cast(lit(MASK), data_type))?,
                false => nothing,
            }
        }
    };
    Ok(shown.alias_qualified(qualifier, name))
}

#[derive(Clone, Debug)]
struct Pseudonym {
    key: Key,
    signature: Signature,
}

impl Pseudonym {
    fn new(key: &Key) -> Self {
        let signature = Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
        Self { key: key.clone(), signature }
    }
}

// One deployment has one key, so one function is as good as another of the same key.
impl PartialEq for Pseudonym {
    fn eq(&self, other: &Self) -> bool {
        self.key.0 == other.key.0
    }
}

impl Eq for Pseudonym {}

impl Hash for Pseudonym {
    fn hash<H: Hasher>(&self, state: &mut H) {
        "pseudonym".hash(state);
    }
}

impl ScalarUDFImpl for Pseudonym {
    fn name(&self) -> &str {
        "pseudonym"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(values) = arrays.first() else {
            return datafusion::common::exec_err!("`pseudonym` takes a value");
        };
        let values = values.as_string::<i32>();
        let mut built = StringBuilder::with_capacity(values.len(), values.len() * BYTES * 2);
        for value in values {
            match value {
                Some(value) => built.append_value(self.key.pseudonym(value)?),
                None => built.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(built.finish()) as ArrayRef))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_join_within_a_deployment_and_not_between_two() {
        let (ours, theirs) = (Key::of(b"0123456789abcdef"), Key::of(b"0123456789abcdeF"));
        let pseudonym = |key: &Key| key.pseudonym("C00001").expect("hashes");
        assert_eq!(pseudonym(&ours), pseudonym(&ours));
        assert_ne!(pseudonym(&ours), pseudonym(&theirs));
        assert_eq!(pseudonym(&ours).len(), 32);
        assert_eq!(format!("{:?}", Pseudonym::new(&ours)).matches("0123").count(), 0);
    }
}
