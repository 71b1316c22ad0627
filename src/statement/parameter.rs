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
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType, Expr};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{self, Token, TokenWithSpan, Word};

use crate::diagnostic::{nearest, or_list};
use crate::error::{Error, Result};

/// What each parameter is, as text; `None` is NULL. A list is written as JSON: `["a", "b", null]`.
pub type Values = BTreeMap<String, Option<String>>;

/// A parameter that a text declares.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name, without the dollar.
    pub name: String,
    /// Where it is declared.
    pub span: Option<Span>,
    /// The type's tokens; none for an identifier.
    data_type: Vec<Token>,
    class: Class,
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
    pub fn shown_type(&self) -> String {
        match self.class {
            Class::Identifier => "IDENTIFIER".into(),
            _ => self.data_type.iter().map(ToString::to_string).collect(),
        }
    }

    /// The query that turns a value, or the default, into the text of a value of the declared type. Earlier parameters
    /// may stand in the default.
    pub fn probe(&self, given: Option<&Option<String>>, earlier: &Uses<'_>) -> Result<String> {
        let data_type = self.shown_type();
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

    fn probe_list(
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

    fn default_words(&self, earlier: &Uses<'_>) -> Result<String> {
        let mut words = vec![];
        for token in &self.default {
            earlier.put(token, &mut words)?;
        }
        let words: Vec<Token> = words.into_iter().map(|t| t.token).collect();
        Ok(format!("({})", words_of(&words)))
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

    /// The tokens that stand for a list: behind `IN` its values in parentheses, elsewhere an array.
    fn list_tokens(&self, values: &Values, behind_in: bool) -> Result<Vec<Token>> {
        let value = match values.get(&self.name) {
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

    /// The tokens that stand for it.
    fn tokens(&self, values: &Values) -> Result<Vec<Token>> {
        let value = match values.get(&self.name) {
            Some(value) => value,
            None if self.has_default() => {
                let default = self.default.iter().map(|t| t.token.clone());
                let inner = std::iter::once(Token::LParen).chain(default).chain([Token::RParen]);
                return Ok(self.cast(inner.collect()));
            }
            None => return Err(self.lacking()),
        };
        Ok(match (value, self.class) {
            (Some(text), Class::Text) => vec![Token::SingleQuotedString(text.clone())],
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

    /// The error for a parameter that has neither a value nor a default.
    pub fn lacking(&self) -> Error {
        Error::usage(format!("the parameter `{}` has no value", self.name))
            .at(self.span)
            .hint(format!("give it: `-p {}=…` ({})", self.name, self.shown_type()))
    }
}

/// The declarations of a text and the rest of it.
pub(super) fn split(tokens: Vec<TokenWithSpan>) -> Result<(Vec<Parameter>, Vec<TokenWithSpan>)> {
    let mut declared: Vec<Parameter> = vec![];
    let mut rest = Vec::with_capacity(tokens.len());
    for statement in tokens.split_inclusive(|t| t.token == Token::SemiColon) {
        let words: Vec<&TokenWithSpan> =
            statement.iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).collect();
        let is_declaration = words.first().is_some_and(|t| is_word(&t.token, "parameter"))
            && words.get(1).is_some_and(|t| matches!(t.token, Token::Word(_)));
        if !is_declaration {
            rest.extend_from_slice(statement);
            continue;
        }
        let parameter = declaration(&words)?;
        if declared.iter().any(|p| p.name == parameter.name) {
            return Err(
                Error::usage(format!("`{}` is declared twice", parameter.name)).at(parameter.span)
            );
        }
        declared.push(parameter);
    }
    Ok((declared, rest))
}

/// `PARAMETER name TYPE [DEFAULT expression]`
fn declaration(words: &[&TokenWithSpan]) -> Result<Parameter> {
    let place = words.get(1).and_then(|t| Span::try_from_sqlparser_span(t.span));
    let wrong = |why: String| {
        Error::usage(why).at(place).hint("write `PARAMETER name TYPE [DEFAULT constant];`")
    };
    let end = words.iter().position(|t| t.token == Token::SemiColon).unwrap_or(words.len());
    let words: Vec<TokenWithSpan> = words[1..end].iter().map(|t| (*t).clone()).collect();
    let Some(TokenWithSpan { token: Token::Word(name), .. }) = words.first() else {
        return Err(wrong("a parameter needs a name".into()));
    };
    let name = name.value.to_lowercase();
    let default = words
        .iter()
        .position(|t| matches!(&t.token, Token::Word(w) if w.keyword == Keyword::DEFAULT));
    let data_type = &words[1..default.unwrap_or(words.len())];
    let default = default.map_or(vec![], |i| words[i + 1..].to_vec());
    if data_type.is_empty() {
        return Err(wrong(format!("the parameter `{name}` needs a type")));
    }
    let mut parser = Parser::new(&GenericDialect {}).with_tokens_with_locations(data_type.to_vec());
    let parsed = parser.parse_data_type();
    let class = match &parsed {
        Ok(_) if parser.peek_token().token != Token::EOF => {
            return Err(wrong(format!(
                "expected DEFAULT or `;` after the type, found `{}`",
                parser.peek_token().token
            )));
        }
        Ok(DataType::Varchar(None) | DataType::Text | DataType::String(None)) => Class::Text,
        Ok(DataType::Custom(custom, _))
            if custom.to_string().eq_ignore_ascii_case("identifier") =>
        {
            Class::Identifier
        }
        Ok(DataType::Array(ArrayElemTypeDef::SquareBracket(of, None)))
            if !matches!(of.as_ref(), DataType::Array(_) | DataType::Custom(..)) =>
        {
            Class::List
        }
        Ok(DataType::Array(_)) => {
            return Err(wrong(format!(
                "the parameter `{name}` can be a list of values only, such as VARCHAR[]"
            )));
        }
        Ok(_) => Class::Other,
        Err(error) => return Err(wrong(error.to_string())),
    };
    let parameter = Parameter {
        data_type: data_type.iter().map(|t| t.token.clone()).collect(),
        name,
        span: place,
        class,
        default,
    };
    if parameter.has_default() {
        let mut parser =
            Parser::new(&GenericDialect {}).with_tokens_with_locations(parameter.default.clone());
        let parsed = parser.parse_expr().map(|e| match e {
            Expr::Subquery(_) => Err(wrong("a default is a constant".into())),
            _ => Ok(()),
        });
        match parsed {
            Ok(constant) => constant?,
            Err(error) => {
                let (message, at) = crate::diagnostic::parser_place(&error.to_string());
                return Err(wrong(message).at(at));
            }
        }
        let after = parser.peek_token();
        if after.token != Token::EOF {
            return Err(wrong(format!("expected `;` after the default, found `{}`", after.token))
                .at(Span::try_from_sqlparser_span(after.span)));
        }
        if parameter.is_identifier() && parameter.default_name().is_none() {
            return Err(wrong("the default of an IDENTIFIER is one name".into()));
        }
    }
    Ok(parameter)
}

/// Parameters at the places where they are used.
pub struct Uses<'a> {
    /// What is declared.
    pub declared: &'a [Parameter],
    /// What they are.
    pub values: &'a Values,
}

impl Uses<'_> {
    /// Puts the values in their places.
    pub(super) fn fill(&self, tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
        let mut filled = Vec::with_capacity(tokens.len());
        for token in &tokens {
            self.put(token, &mut filled)?;
        }
        Ok(formatted(joined(filled)))
    }

    fn put(&self, token: &TokenWithSpan, filled: &mut Vec<TokenWithSpan>) -> Result<()> {
        let place = Span::try_from_sqlparser_span(token.span);
        match &token.token {
            Token::Placeholder(hole) => {
                let name = hole.trim_start_matches('$').to_lowercase();
                // `$1` belongs to a prepared statement.
                if !hole.starts_with('$') || name.starts_with(|c: char| c.is_ascii_digit()) {
                    filled.push(token.clone());
                    return Ok(());
                }
                let Some(parameter) = self.find(&name) else {
                    return Err(self.undeclared(&name).at(place));
                };
                if parameter.is_identifier() {
                    return Err(Error::usage(format!("`{name}` is a name and not a value"))
                        .at(place)
                        .hint(format!("write `\"${name}\"`")));
                }
                if parameter.is_list() && in_target(filled) {
                    return Err(Error::usage(format!(
                        "`${name}` is a list, and a path is one text"
                    ))
                    .at(place));
                }
                let value = self.values.get(&name);
                let tokens = match value {
                    Some(Some(text))
                        if parameter.is_list() && behind_in(filled) && text == "[]" =>
                    {
                        in_nothing(filled)
                    }
                    Some(Some(text)) if in_target(filled) => {
                        vec![Token::SingleQuotedString(text.clone())]
                    }
                    _ if parameter.is_list() => {
                        parameter.list_tokens(self.values, behind_in(filled))?
                    }
                    _ => parameter.tokens(self.values)?,
                };
                filled.extend(
                    tokens.into_iter().map(|new| TokenWithSpan { token: new, span: token.span }),
                );
            }
            Token::Word(Word { value, quote_style: Some(quote), .. })
                if value.starts_with('$') && self.find(&value[1..].to_lowercase()).is_some() =>
            {
                let name = value[1..].to_lowercase();
                let Some(parameter) = self.find(&name) else { return Ok(()) };
                if !parameter.is_identifier() {
                    return Err(Error::usage(format!(
                        "`{name}` is a value of type {} and not a name",
                        parameter.shown_type()
                    ))
                    .at(place)
                    .hint(format!("write `${name}`, or declare it as IDENTIFIER")));
                }
                let chosen = match self.values.get(&name) {
                    Some(chosen) => chosen.clone(),
                    None => parameter.default_name(),
                };
                let chosen = chosen.ok_or_else(|| parameter.lacking())?;
                let word = Token::make_word(&chosen, Some(*quote));
                filled.push(TokenWithSpan { token: word, span: token.span });
            }
            _ => filled.push(token.clone()),
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&Parameter> {
        self.declared.iter().find(|p| p.name == name)
    }

    fn undeclared(&self, name: &str) -> Error {
        let error = Error::usage(format!("the parameter `${name}` is not declared"));
        match nearest(name, self.declared.iter().map(|p| p.name.as_str())).as_slice() {
            [] => error.hint(format!("declare it first: `PARAMETER {name} VARCHAR;`")),
            near => error.hint(format!("did you mean {}?", or_list(near))),
        }
    }
}

/// True behind `IN`.
fn behind_in(filled: &[TokenWithSpan]) -> bool {
    let last = filled.iter().rev().find(|t| !matches!(t.token, Token::Whitespace(_)));
    last.is_some_and(|t| is_word(&t.token, "in"))
}

/// `x IN ()` is no SQL, and no value is in no list, unknown or not: `x IS NULL IS NULL` is false whatever x is. Takes the
/// `IN` or `NOT IN` away.
fn in_nothing(filled: &mut Vec<TokenWithSpan>) -> Vec<Token> {
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

fn words_of(tokens: &[Token]) -> String {
    tokens
        .iter()
        .map(|token| match token {
            // A token shows a text without doubling the quotes in it.
            Token::SingleQuotedString(text) => quoted(text),
            token => token.to_string(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// The values of a list: JSON, or the same with the quotes left out.
fn items(text: &str) -> Option<Vec<Option<String>>> {
    use serde_json::Value;
    let text = text.trim();
    if let Ok(list) = serde_json::from_str::<Vec<Value>>(text) {
        return list
            .into_iter()
            .map(|value| match value {
                Value::Null => Some(None),
                Value::String(text) => Some(Some(text)),
                Value::Bool(_) | Value::Number(_) => Some(Some(value.to_string())),
                Value::Array(_) | Value::Object(_) => None,
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

/// True where the grammar wants one text: behind `TO` or `LOCATION`, or behind a text there and `||`.
fn in_target(filled: &[TokenWithSpan]) -> bool {
    let mut before = filled.iter().rev().filter(|t| !matches!(t.token, Token::Whitespace(_)));
    loop {
        match before.next().map(|t| &t.token) {
            Some(token) if is_word(token, "to") || is_word(token, "location") => return true,
            Some(Token::StringConcat) => {}
            _ => return false,
        }
        if !matches!(before.next(), Some(TokenWithSpan { token: Token::SingleQuotedString(_), .. }))
        {
            return false;
        }
    }
}

/// `TO 'a' || 'b'` and `LOCATION 'a' || 'b'`: the grammar wants one text there.
fn joined(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut joined: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut words =
        tokens.into_iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).peekable();
    while let Some(token) = words.next() {
        let after_target =
            joined.last().is_some_and(|t| is_word(&t.token, "to") || is_word(&t.token, "location"));
        let Token::SingleQuotedString(first) = &token.token else {
            joined.push(token);
            continue;
        };
        let (mut text, mut span) = (first.clone(), token.span);
        while after_target && words.peek().is_some_and(|t| t.token == Token::StringConcat) {
            let concat = words.next();
            match words.next_if(|t| matches!(t.token, Token::SingleQuotedString(_))) {
                Some(TokenWithSpan { token: Token::SingleQuotedString(more), span: place }) => {
                    text.push_str(&more);
                    span = span.union(&place);
                }
                // Not a text: the parser says what it thinks of that.
                _ => {
                    joined.push(TokenWithSpan {
                        token: Token::SingleQuotedString(text.clone()),
                        span,
                    });
                    joined.extend(concat);
                    text.clear();
                    break;
                }
            }
        }
        let broken = joined.last().is_some_and(|t| after_target && t.token == Token::StringConcat);
        if !broken {
            joined.push(TokenWithSpan { token: Token::SingleQuotedString(text), span });
        }
    }
    joined
}

/// `COPY … TO 'a.html' (FORMAT html)`, as others write it: the grammar knows `STORED AS html`.
fn formatted(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut i = 0;
    while i + 6 <= tokens.len() {
        let found = is_word(&tokens[i].token, "to")
            && matches!(tokens[i + 1].token, Token::SingleQuotedString(_))
            && tokens[i + 2].token == Token::LParen
            && is_word(&tokens[i + 3].token, "format")
            && matches!(&tokens[i + 4].token, Token::Word(_) | Token::SingleQuotedString(_))
            && tokens[i + 5].token == Token::RParen;
        if found {
            tokens[i + 2].token = Token::make_keyword("STORED");
            tokens[i + 3].token = Token::make_keyword("AS");
            if let Token::SingleQuotedString(name) = &tokens[i + 4].token {
                tokens[i + 4].token = Token::make_word(name, None);
            }
            tokens.remove(i + 5);
        }
        i += 1;
    }
    tokens
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
            "SELECT 'x' OR 1=1 --' , CAST ( ( 1 + 1 ) AS INTEGER )"
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
    fn a_list_is_json_or_the_same_without_its_quotes() {
        let some = |texts: &[&str]| Some(texts.iter().map(|t| Some(t.to_string())).collect());
        for (text, expected) in [
            ("[a, b c ,d]", some(&["a", "b c", "d"])),
            (r#"["a,b", 'it', x"y]"#, some(&["a,b", "it", "x\"y"])),
            (r#"["it's", 1.5, true]"#, some(&["it's", "1.5", "true"])),
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

    #[test]
    fn targets_are_put_together() {
        let text = "PARAMETER out VARCHAR; COPY t TO $out || '/a' || '.csv' STORED AS CSV; SELECT $out || 'x', 'a' || b, x SIMILAR TO 'a' || b";
        assert_eq!(
            filled(text, &[("out", Some("/tmp"))]).expect("fills"),
            "COPY t TO '/tmp/a.csv' STORED AS CSV ; SELECT '/tmp' || 'x' , 'a' || b , x SIMILAR TO 'a' || b"
        );
    }

    #[test]
    fn a_format_in_parentheses_is_stored_as() {
        let stored = "COPY t TO 'a' STORED AS html ; SELECT f ( x )";
        assert_eq!(filled("COPY t TO 'a' (FORMAT html); SELECT f(x)", &[]).expect("fills"), stored);
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
