// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `PARAMETER day DATE DEFAULT today();` and its uses, `$day`.
//!
//! A value is put in as tokens of SQL, already cast to the declared type, before the text is parsed: so a parameter may
//! stand wherever a constant may, also where the grammar wants a text (`COPY … TO $out || '/day.csv'`), and a value can
//! never be read as anything but a value. A name comes from a parameter only where the script says so twice: the type
//! is `IDENTIFIER`, and the use is quoted (`FROM "$table"`). A list (`PARAMETER skus VARCHAR[]`) stands where a list may,
//! behind `IN` and as an array: `sku IN $skus`, `sku = ANY($skus)`, `array_length($skus)`.

use std::collections::BTreeMap;

use datafusion::common::Span;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{self, Token, TokenWithSpan};

use crate::error::{Error, Result};
use faithful::Faithful;

mod declaration;
mod faithful;
mod list;
mod uses;

pub(super) use declaration::split;
pub use list::numbers_as_text;
pub use uses::Uses;

/// What each parameter is, as text; `None` is NULL. A list is written as JSON: `["a", "b", null]`.
pub type Values = BTreeMap<String, Option<String>>;

/// A parameter that a text declares.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name, without the dollar.
    pub name: String,
    /// Where it is declared.
    pub span: Option<Span>,
    /// The type as it is shown.
    shown: String,
    /// The type's tokens.
    data_type: Vec<Token>,
    class: Class,
    /// What a value may not lose when it becomes one of the type.
    faithful: Faithful,
    /// The default's tokens; the call must give a value when there are none.
    default: Vec<TokenWithSpan>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    Text,
    Identifier,
    List,
    Other,
}

impl Parameter {
    /// True when it names a table or a column.
    pub fn is_identifier(&self) -> bool {
        self.class == Class::Identifier
    }

    /// True when it holds several values.
    pub fn is_list(&self) -> bool {
        self.class == Class::List
    }

    /// True when it may be left out.
    pub fn has_default(&self) -> bool {
        !self.default.is_empty()
    }

    /// The type as it is declared.
    pub fn shown_type(&self) -> &str {
        &self.shown
    }

    /// The query that turns a value, or the default, into the text of a value of the declared type. Earlier parameters
    /// may stand in the default.
    pub fn probe(&self, given: Option<&Option<String>>, earlier: &Uses<'_>) -> Result<String> {
        let data_type = words_of(&self.data_type);
        let constant = self.constant().map(Some);
        let given = given.or(constant.as_ref());
        if self.is_list() {
            return self.probe_list(&data_type, given, earlier);
        }
        Ok(match given {
            Some(Some(text)) => {
                format!("SELECT CAST(CAST({} AS {data_type}) AS VARCHAR)", quoted(text))
            }
            Some(None) => format!("SELECT CAST(CAST(NULL AS {data_type}) AS VARCHAR)"),
            None => {
                let words = self.default_words(earlier)?;
                format!("SELECT CAST(CAST({words} AS {data_type}) AS VARCHAR)")
            }
        })
    }

    fn default_words(&self, earlier: &Uses<'_>) -> Result<String> {
        let mut words = vec![];
        for token in &self.default {
            earlier.put(token, &mut words)?;
        }
        let words: Vec<Token> = words.into_iter().map(|t| t.token).collect();
        Ok(format!("({})", words_of(&words)))
    }

    /// A default that is one text or number, or a list of numbers: as it is written, as `-p` would give it. SQL would
    /// read `1234567890123456.1234` as a DOUBLE first.
    fn constant(&self) -> Option<String> {
        let tokens: Vec<&Token> = self.default.iter().map(|t| &t.token).collect();
        let mut tokens = tokens.as_slice();
        while let [Token::LParen, inner @ .., Token::RParen] = tokens {
            tokens = inner;
        }
        if let [Token::SingleQuotedString(text)] = tokens {
            return Some(text.clone()).filter(|_| !self.is_list());
        }
        let number = |tokens: &[&Token]| match tokens {
            [Token::Plus, Token::Number(number, _)] | [Token::Number(number, _)] => {
                Some(number.clone())
            }
            [Token::Minus, Token::Number(number, _)] => Some(format!("-{number}")),
            _ => None,
        };
        match tokens {
            [Token::LBracket, inner @ .., Token::RBracket] if self.is_list() => {
                let items: Option<Vec<String>> =
                    inner.split(|t| **t == Token::Comma).map(number).collect();
                Some(format!("[{}]", items?.join(",")))
            }
            number_alone => number(number_alone).filter(|_| !self.is_list()),
        }
    }

    /// Why the value is not what was written, be it given or the default; `None` when nothing was lost.
    pub fn unfaithful(&self, given: Option<&Option<String>>, became: &str) -> Option<String> {
        let written = match given {
            Some(given) => given.clone()?,
            // Of an expression, what it came to is all there is to be seen.
            None => self.constant().unwrap_or_else(|| became.to_string()),
        };
        if !self.is_list() {
            return self.faithful.lost(&written, became);
        }
        let (written, became) = (list::items(&written)?, list::items(became)?);
        let mut pairs = written.iter().flatten().zip(became.iter().flatten());
        pairs.find_map(|(written, became)| self.faithful.lost(written, became))
    }

    /// The parameters that stand in the default.
    pub fn default_uses(&self) -> impl Iterator<Item = String> {
        self.default.iter().filter_map(|t| match &t.token {
            Token::Placeholder(hole) => Some(hole.trim_start_matches('$').to_lowercase()),
            _ => None,
        })
    }

    /// The name that an identifier's default gives.
    pub fn default_name(&self) -> Option<String> {
        match self.default.as_slice() {
            [TokenWithSpan { token: Token::Word(word), .. }] => Some(match word.quote_style {
                Some(_) => word.value.clone(),
                None => word.value.to_lowercase(),
            }),
            [TokenWithSpan { token: Token::SingleQuotedString(name), .. }] => Some(name.clone()),
            _ => None,
        }
    }

    /// The tokens that stand for it.
    fn tokens(&self, values: &Values) -> Result<Vec<Token>> {
        let constant = self.constant().map(Some);
        let value = match values.get(&self.name).or(constant.as_ref()) {
            Some(value) => value,
            None if self.has_default() => {
                let default = self.default.iter().map(|t| t.token.clone());
                let inner = std::iter::once(Token::LParen).chain(default).chain([Token::RParen]);
                return Ok(self.cast(inner.collect()));
            }
            None => return Err(self.lacking()),
        };
        Ok(match (value, self.class) {
            (Some(text), Class::Text) => vec![value_only(text)],
            (Some(text), _) => self.cast(vec![Token::SingleQuotedString(text.clone())]),
            (None, _) => self.cast(vec![Token::make_keyword("NULL")]),
        })
    }

    fn cast(&self, value: Vec<Token>) -> Vec<Token> {
        let mut tokens = vec![Token::make_keyword("CAST"), Token::LParen];
        tokens.extend(value);
        tokens.push(Token::make_keyword("AS"));
        tokens.extend(self.data_type.iter().cloned());
        tokens.push(Token::RParen);
        tokens
    }

    /// The error for a value where a name is wanted.
    fn no_name(&self) -> Error {
        let name = &self.name;
        Error::usage(format!("`{name}` is a value of type {} and not a name", self.shown_type()))
            .hint(format!("declare it as IDENTIFIER and write `\"${name}\"`"))
    }

    /// The error for a parameter that has neither a value nor a default.
    pub fn lacking(&self) -> Error {
        Error::usage(format!("the parameter `{}` has no value", self.name))
            .at(self.span)
            .hint(format!("give it: `-p {}=…` ({})", self.name, self.shown_type()))
    }
}

/// A text that is nothing but a value. The grammar takes `'orders'` for a name wherever it wants one, and `E'orders'`
/// never.
fn value_only(text: &str) -> Token {
    Token::EscapedStringLiteral(text.to_string())
}

/// Tokens as a text that gives the same tokens.
pub(super) fn words_of<'a>(tokens: impl IntoIterator<Item = &'a Token>) -> String {
    tokens
        .into_iter()
        .map(|token| match token {
            // A token shows a text without doubling the quotes in it.
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => quoted(text),
            token => token.to_string(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// The tokens of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, tokenizer::TokenizerError> {
    tokenizer::Tokenizer::new(&GenericDialect {}, text).tokenize_with_location()
}

/// True for an unquoted word.
pub(super) fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, values: &[(&str, Option<&str>)]) -> Result<String> {
        let (declared, rest) = split(tokens(text).expect("tokens"))?;
        let values: Values =
            values.iter().map(|(n, v)| (n.to_string(), v.map(str::to_string))).collect();
        let filled = Uses { declared: &declared, values: &values }.fill(rest)?;
        let words: Vec<String> = filled.iter().map(|t| t.token.to_string()).collect();
        Ok(words.join(" "))
    }

    #[test]
    fn a_value_is_a_value_whatever_it_holds() {
        let text = "PARAMETER name VARCHAR; PARAMETER n INTEGER DEFAULT 1 + 1; SELECT $name, $N";
        assert_eq!(
            filled(text, &[("name", Some("x' OR 1=1 --"))]).expect("fills"),
            "SELECT E'x' OR 1=1 --' , CAST ( ( 1 + 1 ) AS INTEGER )"
        );
        assert_eq!(
            filled(text, &[("name", None), ("n", Some("7"))]).expect("fills"),
            "SELECT CAST ( NULL AS VARCHAR ) , CAST ( '7' AS INTEGER )"
        );
    }

    #[test]
    fn names_need_the_type_and_the_quotes() {
        let text = "PARAMETER t IDENTIFIER DEFAULT orders; SELECT * FROM \"$t\", \"$other\"";
        let with = filled(text, &[("t", Some("my \"table"))]).expect("fills");
        assert_eq!(with, "SELECT * FROM \"my \"\"table\" , \"$other\"".replace("\"\"", "\""));
        assert!(filled(text, &[]).expect("fills").contains("\"orders\""));
        for (text, said) in [
            ("PARAMETER t IDENTIFIER; SELECT * FROM $t", "not a value"),
            ("PARAMETER l INTEGER[] DEFAULT [1]; SELECT 1 IN ($l)", "is a list already"),
            ("PARAMETER t VARCHAR DEFAULT 'x'; SELECT * FROM \"$t\"", "not a name"),
            ("PARAMETER day DATE; SELECT $dya", "not declared"),
            ("PARAMETER day DATE; SELECT $day", "has no value"),
            ("PARAMETER day DATE; PARAMETER DAY DATE; SELECT 1", "twice"),
            ("PARAMETER day; SELECT 1", "needs a type"),
            ("PARAMETER day DATE 'x'; SELECT 1", "after the type"),
            ("PARAMETER day DATE DEFAULT (1; SELECT 1", "xpected"),
            ("PARAMETER ids INTEGER[][]; SELECT 1", "a list of values only"),
            ("PARAMETER ids VARCHAR[]; COPY t TO $ids", "a path is one text"),
            ("PARAMETER ids VARCHAR[]; SELECT $ids", "has no value"),
        ] {
            let error = filled(text, &[]).expect_err(text);
            assert!(error.message.contains(said), "{text}: {}", error.message);
            assert!(error.span.is_some(), "{text}: {error:?}");
        }
    }

    #[test]
    fn a_list_stands_behind_in_and_as_an_array() {
        let text = "PARAMETER ids INTEGER[]; SELECT a IN $ids, b = ANY($ids)";
        let with = |value| filled(text, &[("ids", value)]).expect("fills");
        assert_eq!(
            with(Some("[1,null]")),
            "SELECT a IN ( CAST ( '1' AS INTEGER ) , CAST ( NULL AS INTEGER ) ) , b = ANY ( CAST ( [ '1' , NULL ] AS INTEGER [ ] ) )"
        );
        assert!(with(Some("[]")).starts_with("SELECT a IS NULL IS NULL , b = ANY"));
        let not = "PARAMETER ids INTEGER[]; SELECT a NOT IN $ids";
        assert_eq!(
            filled(not, &[("ids", Some("[]"))]).expect("fills"),
            "SELECT a IS NULL IS NOT NULL"
        );
        assert!(with(None).contains("IN ( CAST ( NULL AS INTEGER ) )"));
    }

    #[test]
    fn targets_are_put_together() {
        let text = "PARAMETER out VARCHAR; COPY t TO $out || '/a' || '.csv' STORED AS CSV; SELECT $out || 'x', 'a' || b, x SIMILAR TO 'a' || b";
        assert_eq!(
            filled(text, &[("out", Some("/tmp"))]).expect("fills"),
            "COPY t TO '/tmp/a.csv' STORED AS CSV ; SELECT E'/tmp' || 'x' , 'a' || b , x SIMILAR TO 'a' || b"
        );
    }

    #[test]
    fn a_format_in_parentheses_is_stored_as() {
        let stored = "COPY t TO 'a' STORED AS html ; SELECT f ( x )";
        assert_eq!(filled("COPY t TO 'a' (FORMAT html); SELECT f(x)", &[]).expect("fills"), stored);
        assert_eq!(
            filled("COPY t TO 'a' (HEADER, FORMAT csv, DELIMITER ';')", &[]).expect("fills"),
            "COPY t TO 'a' STORED AS csv OPTIONS ( has_header TRUE , DELIMITER ';' )"
        );
        assert_eq!(
            filled("COPY t TO 'a' (format 'html'); SELECT f(x)", &[]).expect("fills"),
            stored
        );
    }

    #[test]
    fn a_value_in_a_target_is_text_whatever_its_type() {
        let text = "PARAMETER day DATE; PARAMETER n INTEGER; COPY t TO 'a/' || $n || '/day=' || $day || '/'; SELECT 'x' || $n";
        assert_eq!(
            filled(text, &[("day", Some("2026-01-02")), ("n", Some("7"))]).expect("fills"),
            "COPY t TO 'a/7/day=2026-01-02/' ; SELECT 'x' || CAST ( '7' AS INTEGER )"
        );
    }

    #[test]
    fn places_of_prepared_statements_are_left_alone() {
        assert_eq!(filled("SELECT $1, $2", &[]).expect("fills"), "SELECT $1 , $2");
    }
}
