// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `redact(value)`: that there is a value, and nothing of it.

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use crate::masking::{MASK, each_text, one_text, signature};

/// The scalar function `redact`.
pub(crate) fn redact() -> ScalarUDF {
    ScalarUDF::from(Redact { signature: signature() })
}

const NAME: &str = "redact";

#[user_doc(
    doc_section(label = "Privacy"),
    description = "`***` where there is a value, NULL where there is none: that somebody wrote something may be shown, and what may not.",
    syntax_example = "redact(value)",
    sql_example = r#"```sql
> SELECT redact(note) AS note FROM (VALUES ('call after six'), (NULL)) AS notes(note);
+------+
| note |
+------+
| ***  |
| NULL |
+------+
```"#,
    argument(name = "value", description = "A value of any type that can be a text.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct Redact {
    signature: Signature,
}

impl ScalarUDFImpl for Redact {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        one_text(NAME, arg_types)
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        each_text(args, masked)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn masked(_value: &str, out: &mut String) {
    out.push_str(MASK);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left() {
        let shown = |value: &str| {
            let mut out = String::new();
            masked(value, &mut out);
            out
        };
        assert_eq!(shown("alice"), MASK);
        assert_eq!(shown(""), MASK);
    }
}
