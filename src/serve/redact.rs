// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A statement without what people wrote into it: logs and lists of queries show which tables and functions are used,
//! and never a customer's address or a key.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// The longest text that is kept.
const LONGEST: usize = 2_000;

/// The statement with `?` for every value, and blanks for comments.
pub(super) fn redacted(sql: &str) -> String {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else {
        return "(cannot be read)".to_string();
    };
    let mut text = String::new();
    for token in tokens {
        match token {
            // Spaces of all kinds and comments.
            Token::Whitespace(_) if text.ends_with(' ') || text.is_empty() => {}
            Token::Whitespace(_) => text.push(' '),
            // Names, and signs.
            Token::Word(_) => text.push_str(&token.to_string()),
            token if is_value(&token) => text.push('?'),
            token => text.push_str(&token.to_string()),
        }
        if text.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
            text.truncate(end);
            text.push('…');
            break;
        }
    }
    text.trim_end().to_string()
}

fn is_value(token: &Token) -> bool {
    match token {
        Token::Number(..)
        | Token::Char(_)
        | Token::HexStringLiteral(_)
        | Token::DollarQuotedString(_) => true,
        // What remains that has quotes around it is text of one kind or another.
        token => token.to_string().contains(['\'', '"']),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_comments_are_gone_and_names_stay() {
        let sql = "SELECT \"Total\", b -- ann@example.org\nFROM t WHERE a = 'ann@example.org' AND n > 42 AND x = E'k\\'ey' /* key */";
        let shown = redacted(sql);
        assert_eq!(shown, "SELECT \"Total\", b FROM t WHERE a = ? AND n > ? AND x = ?");
        assert_eq!(redacted("SELECT 'open"), "(cannot be read)");
        assert!(redacted(&"é ".repeat(5_000)).len() < LONGEST + 10);
        assert!(
            !redacted("SELECT $$secret$$, N'secret', X'5ec3e7', '''secret'").contains("secret")
        );
    }
}
