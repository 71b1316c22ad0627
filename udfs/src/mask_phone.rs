// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `mask_phone(value)`: a number of which the last two digits are left.

use datafusion_expr::ScalarUDF;
use datafusion_macros::user_doc;

use crate::masking::{MASK, of_one_text};

/// The scalar function `mask_phone`.
pub(crate) fn mask_phone() -> ScalarUDF {
    of_one_text("mask_phone", masked, MaskPhone.doc())
}

#[user_doc(
    doc_section(label = "Privacy"),
    description = "A phone number of which the last two digits are left, for a customer to recognise it. A text with fewer than six digits is hidden whole. NULL when the value is.",
    syntax_example = "mask_phone(value)",
    sql_example = r#"```sql
> SELECT mask_phone('+33 6 12 34 56 78') AS masked;
+--------+
| masked |
+--------+
| ***78  |
+--------+
```"#,
    argument(name = "value", description = "A text.")
)]
struct MaskPhone;

/// A shorter number would be half shown.
const SHORTEST: usize = 6;

fn masked(value: &str, out: &mut String) {
    out.push_str(MASK);
    let digits: Vec<char> = value.chars().filter(char::is_ascii_digit).collect();
    if digits.len() >= SHORTEST {
        out.extend(&digits[digits.len() - 2..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_are_left() {
        let shown = |value: &str| {
            let mut out = String::new();
            masked(value, &mut out);
            out
        };
        assert_eq!(shown("+33 6 12 34 56 78"), "***78");
        assert_eq!(shown("12345"), "***");
        assert_eq!(shown("call alice"), "***");
    }
}
