// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `pseudonymise(value, key)`: a name that joins and says nothing.

use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::masking::{each_text, signature};

/// The scalar function `pseudonymise`.
pub(crate) fn pseudonymise() -> ScalarUDF {
    ScalarUDF::from(Pseudonymise { signature: signature() })
}

const NAME: &str = "pseudonymise";
/// Bytes that are shown of a code: enough that no two values share one.
const BYTES: usize = 16;
/// A shorter key could be guessed.
const SHORTEST: usize = 16;

#[user_doc(
    doc_section(label = "Privacy"),
    description = "The first 128 bits of HMAC-SHA-256 of the value under a key, in hexadecimal digits: equal values give equal pseudonyms, so that tables still join, and without the key nobody can compute one. NULL when the value is. Whoever has the key can try all values: pseudonyms are personal data. The key stands in the statement; the pseudonyms of a privacy policy have a key of their own that no statement shows.",
    syntax_example = "pseudonymise(value, key)",
    sql_example = r#"```sql
> SELECT pseudonymise('C00001', 'a key of sixteen') AS who;
+----------------------------------+
| who                              |
+----------------------------------+
| 8d38f57173848e2270cec26274945d9c |
+----------------------------------+
```"#,
    argument(name = "value", description = "A value of any type that can be a text."),
    argument(name = "key", description = "A constant text of at least 16 bytes.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct Pseudonymise {
    signature: Signature,
}

impl ScalarUDFImpl for Pseudonymise {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [_, key] if key.is_string() => Ok(vec![DataType::Utf8, DataType::Utf8]),
            [_, key] => plan_err!("`{NAME}`: argument `key` must be a text, found {key}"),
            _ => plan_err!("`{NAME}` takes 2 arguments (value, key), found {}", arg_types.len()),
        }
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let key = match args.args.get(1) {
            Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(key)))) => key.clone(),
            _ => return exec_err!("`{NAME}`: argument `key` must be a constant text"),
        };
        if key.len() < SHORTEST {
            return exec_err!(
                "`{NAME}`: argument `key` must have at least {SHORTEST} bytes, found {}",
                key.len()
            );
        }
        // The key is worked in once, not once a row.
        let keyed = <Hmac<Sha256> as Mac>::new_from_slice(key.as_bytes())
            .map_err(|e| exec_datafusion_err!("`{NAME}`: {e}"))?;
        each_text(args, |value, out| {
            let mut mac = keyed.clone();
            mac.update(value.as_bytes());
            for byte in &mac.finalize().into_bytes()[..BYTES] {
                for digit in [byte >> 4, byte & 15] {
                    out.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
                }
            }
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
