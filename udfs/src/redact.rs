// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `redact(value)`: that there is a value, and nothing of it.

use datafusion_expr::ScalarUDF;
use datafusion_macros::user_doc;

use crate::masking::{MASK, of_one_text};

/// The scalar function `redact`.
pub(crate) fn redact() -> ScalarUDF {
    of_one_text("redact", masked, Redact.doc())
}

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
struct Redact;

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
