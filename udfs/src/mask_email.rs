// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `mask_email(value)`: an address of which the first letter and the top-level domain are left.

use datafusion_expr::ScalarUDF;
use datafusion_macros::user_doc;

use crate::masking::{MASK, of_one_text};

/// The scalar function `mask_email`.
pub(crate) fn mask_email() -> ScalarUDF {
    of_one_text("mask_email", masked, MaskEmail.doc())
}

#[user_doc(
    doc_section(label = "Privacy"),
    description = "An e-mail address of which the first letter and the top-level domain are left. A text that is no address is hidden whole, for it may be a name. NULL when the value is. People with a rare letter in a small shop may still be known by it.",
    syntax_example = "mask_email(value)",
    sql_example = r#"```sql
> SELECT mask_email('alice.martin@example.fr') AS masked;
+-------------+
| masked      |
+-------------+
| a***@***.fr |
+-------------+
```"#,
    argument(name = "value", description = "A text.")
)]
struct MaskEmail;

fn masked(value: &str, out: &mut String) {
    let address = value.trim();
    let parts = address.rsplit_once('@').and_then(|(local, domain)| {
        let first = local.chars().next().filter(|c| c.is_alphanumeric())?;
        let top = domain.rsplit_once('.').map(|(_, top)| top)?;
        (top.chars().all(|c| c.is_ascii_alphabetic()) && (2..=6).contains(&top.len()))
            .then_some((first, top))
    });
    match parts {
        Some((first, top)) => {
            out.push(first);
            out.push_str(MASK);
            out.push('@');
            out.push_str(MASK);
            out.push('.');
            out.push_str(top);
        }
        None => out.push_str(MASK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_of_an_address_is_left() {
        let shown = |value: &str| {
            let mut out = String::new();
            masked(value, &mut out);
            out
        };
        assert_eq!(shown("alice.martin@example.fr"), "a***@***.fr");
        assert_eq!(shown(" Émile@b.example.CO "), "É***@***.CO");
        for odd in ["alice", "@example.fr", "a@localhost", "a@b.c0m", "", "a@b.alicemartin"] {
            assert_eq!(shown(odd), MASK, "{odd}");
        }
    }
}
