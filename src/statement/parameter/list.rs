// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A parameter that holds several values: how they are typed, and what stands for them in SQL.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use serde::de::IgnoredAny;

use super::{Parameter, Uses, Values, is_word, words_of};
use crate::error::{Error, Result};

impl Parameter {
    pub(super) fn probe_list(
        &self,
        data_type: &str,
        given: Option<&Option<String>>,
        earlier: &Uses<'_>,
    ) -> Result<String> {
        let list = match given {
            Some(Some(text)) => words_of(&array(self.items(text)?)),
            Some(None) => "NULL".into(),
            None => self.default_words(earlier)?,
        };
        Ok(format!("SELECT CAST(CAST({list} AS {data_type}) AS VARCHAR[])"))
    }

    /// `[a, 'b, c', "d"]`, or JSON: what is typed → the values.
    fn items(&self, text: &str) -> Result<Vec<Option<String>>> {
        items(text).ok_or_else(|| {
            Error::usage(format!(
                "the parameter `{}` takes {}; `{text}` is not a list",
                self.name,
                self.shown_type()
            ))
            .at(self.span)
            .hint(format!("write `-p {}=[a,b]`, a value with a comma in it as \"a,b\"", self.name))
        })
    }

    /// The tokens that stand for a list: behind `IN` its values in parentheses, elsewhere an array.
    pub(super) fn list_tokens(&self, values: &Values, behind_in: bool) -> Result<Vec<Token>> {
        let constant = self.constant().map(Some);
        let value = match values.get(&self.name).or(constant.as_ref()) {
            Some(Some(text)) => Some(self.items(text)?),
            Some(None) => None,
            None if self.has_default() && !behind_in => return self.tokens(values),
            None if self.has_default() => {
                let words = ["(", "SELECT", "unnest", "("].map(|w| match w {
                    "(" => Token::LParen,
                    word => Token::make_keyword(word),
                });
                let list = self.tokens(values)?;
                return Ok(words
                    .into_iter()
                    .chain(list)
                    .chain([Token::RParen, Token::RParen])
                    .collect());
            }
            None => return Err(self.lacking()),
        };
        if !behind_in {
            return Ok(self.cast(match value {
                Some(items) => array(items),
                None => vec![Token::make_keyword("NULL")],
            }));
        }
        let element = self.data_type.len().saturating_sub(2);
        let cast = |value: Token| {
            let mut tokens = vec![Token::make_keyword("CAST"), Token::LParen, value];
            tokens.push(Token::make_keyword("AS"));
            tokens.extend(self.data_type[..element].iter().cloned());
            tokens.push(Token::RParen);
            tokens
        };
        let null = || Token::make_keyword("NULL");
        let mut tokens = vec![Token::LParen];
        for (i, item) in value.unwrap_or(vec![None]).into_iter().enumerate() {
            if i > 0 {
                tokens.push(Token::Comma);
            }
            tokens.extend(cast(item.map_or_else(null, Token::SingleQuotedString)));
        }
        tokens.push(Token::RParen);
        Ok(tokens)
    }
}

/// `x IN ()` is no SQL, and no value is in no list, unknown or not: `x IS NULL IS NULL` is false whatever x is. Takes the
/// `IN` or `NOT IN` away.
pub(super) fn in_nothing(filled: &mut Vec<TokenWithSpan>) -> Vec<Token> {
    let mut last = || {
        while filled.last().is_some_and(|t| matches!(t.token, Token::Whitespace(_))) {
            filled.pop();
        }
        filled.pop()
    };
    last();
    let before = last();
    let not = before.as_ref().is_some_and(|t| is_word(&t.token, "not"));
    filled.extend(before.filter(|_| !not));
    let words = ["IS", "NULL", "IS", "NOT", "NULL"].into_iter();
    words.filter(|word| not || *word != "NOT").map(Token::make_keyword).collect()
}

/// `['a', NULL]`
fn array(items: Vec<Option<String>>) -> Vec<Token> {
    let mut tokens = vec![Token::LBracket];
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            tokens.push(Token::Comma);
        }
        tokens.push(item.map_or_else(|| Token::make_keyword("NULL"), Token::SingleQuotedString));
    }
    tokens.push(Token::RBracket);
    tokens
}

/// The values of a list: JSON, or the same with the quotes left out.
pub(super) fn items(text: &str) -> Option<Vec<Option<String>>> {
    use serde_json::Value;
    let text = text.trim();
    if serde_json::from_str::<Vec<IgnoredAny>>(text).is_ok()
        && let Ok(list) = serde_json::from_str::<Vec<Value>>(&numbers_as_text(text))
    {
        return list
            .into_iter()
            .map(|value| match value {
                Value::Null => Some(None),
                Value::String(text) => Some(Some(text)),
                Value::Bool(_) => Some(Some(value.to_string())),
                Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
            })
            .collect();
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut items = vec![];
    let mut rest = inner.trim_start();
    loop {
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let (item, after) = match quote {
            Some(quote) => {
                let (item, after) = rest[1..].split_once(quote)?;
                (item, after.trim_start())
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim(), &rest[end..])
            }
        };
        // A bare nothing between two commas is more often a slip than the empty text.
        if quote.is_none() && item.is_empty() {
            return None;
        }
        items.push(Some(item.to_string()));
        match after.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if after.is_empty() => return Some(items),
            None => return None,
        }
    }
}

/// JSON with its numbers as texts, digit for digit: a reader of JSON makes a DOUBLE of `12345678901234567.25`.
pub fn numbers_as_text(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 16);
    let (mut quoted, mut escaped, mut number) = (false, false, false);
    for c in json.chars() {
        // `e` is in `true` too, so a number begins with a digit or its sign.
        let within = !quoted
            && (c.is_ascii_digit() || c == '-' || (number && matches!(c, '.' | 'e' | 'E' | '+')));
        if within != number {
            text.push('"');
            number = within;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::items;

    #[test]
    fn a_list_is_json_or_the_same_without_its_quotes() {
        let some = |texts: &[&str]| Some(texts.iter().map(|t| Some(t.to_string())).collect());
        for (text, expected) in [
            ("[a, b c ,d]", some(&["a", "b c", "d"])),
            (r#"["a,b", 'it', x"y]"#, some(&["a,b", "it", "x\"y"])),
            (r#"["it's", 1.5, true]"#, some(&["it's", "1.5", "true"])),
            (
                r#"[12345678901234567.1234,-0.0000001, "a\"1", 99999999999999999999]"#,
                some(&["12345678901234567.1234", "-0.0000001", "a\"1", "99999999999999999999"]),
            ),
            ("[]", some(&[])),
            ("[a,]", None),
            ("a,b", None),
            ("[[1]]", None),
            ("['a' b]", None),
            ("['a]", None),
        ] {
            // Two brackets are an array of arrays as JSON, and refused there.
            assert_eq!(items(text), expected, "{text}");
        }
    }
}
