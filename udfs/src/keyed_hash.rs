// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`KeyedHash`]: a number that looks random, and is the same for the same values and key.

use std::hash::Hasher;
use std::sync::Arc;

use crate::signature::coerced_by_itself;
use arrow::array::{Array, AsArray, UInt64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::{Result, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;
use siphasher::sip::SipHasher24;

/// The scalar function `keyed_hash`.
pub(crate) fn keyed_hash() -> ScalarUDF {
    ScalarUDF::from(KeyedHash::new())
}

const NAME: &str = "keyed_hash";

#[user_doc(
    doc_section(label = "Privacy"),
    description = "A 64-bit number that depends on every value and on the key, by SipHash-2-4 over the texts of the values. Never NULL; NULL and the empty text give different numbers. To order rows by it says nothing about the order in which they came. Without the key the numbers cannot be computed, but whoever has the key can try all values: a hash of an identifier is still personal data.",
    syntax_example = "keyed_hash(key, value, …)",
    sql_example = r#"```sql
> SELECT name FROM (VALUES ('ada'), ('bob'), ('eve')) AS people(name) ORDER BY keyed_hash(7, name);
+------+
| name |
+------+
| bob  |
| ada  |
| eve  |
+------+
```"#,
    argument(name = "key", description = "A whole number; NULL is the key 0."),
    argument(name = "value", description = "One value or more, of any type that can be a text.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct KeyedHash {
    signature: Signature,
}

impl KeyedHash {
    fn new() -> Self {
        Self { signature: coerced_by_itself(&[]) }
    }
}

impl ScalarUDFImpl for KeyedHash {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [key, values @ ..] = arg_types else {
            return plan_err!("`{NAME}` takes a key and one value or more, found nothing");
        };
        if values.is_empty() {
            return plan_err!("`{NAME}` takes a key and one value or more, found a key only");
        }
        if !(key.is_integer() || key.is_null()) {
            return plan_err!("`{NAME}`: argument `key` must be a whole number, found {key}");
        }
        let texts = values.iter().map(|_| DataType::Utf8);
        Ok(std::iter::once(DataType::Int64).chain(texts).collect())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some((keys, values)) = arrays.split_first() else {
            return plan_err!("`{NAME}` takes a key and one value or more, found nothing");
        };
        let keys = keys.as_primitive::<Int64Type>();
        let values: Vec<_> = values.iter().map(|array| array.as_string::<i32>()).collect();
        let hash = |row: usize| {
            let key = if keys.is_valid(row) { keys.value(row) } else { 0 };
            let mut hasher = SipHasher24::new_with_keys(key as u64, 0);
            for column in &values {
                if column.is_null(row) {
                    hasher.write(&[0]);
                    continue;
                }
                let text = column.value(row).as_bytes();
                hasher.write(&[1]);
                hasher.write(&(text.len() as u64).to_le_bytes());
                hasher.write(text);
            }
            hasher.finish()
        };
        let hashes: UInt64Array = (0..keys.len()).map(|row| Some(hash(row))).collect();
        Ok(ColumnarValue::Array(Arc::new(hashes)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
