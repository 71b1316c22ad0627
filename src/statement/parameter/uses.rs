// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The places where parameters are used, and the tokens put there.

use datafusion::common::Span;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::list::in_nothing;
use super::{Parameter, Values, is_word, value_only};
use crate::diagnostic::{nearest, or_list};
use crate::error::{Error, Result};

/// Parameters at the places where they are used.
pub struct Uses<'a> {
    /// What is declared.
    pub declared: &'a [Parameter],
    /// What they are.
    pub values: &'a Values,
}

impl Uses<'_> {
    /// Puts the values in their places.
    pub(in crate::statement) fn fill(
        &self,
        tokens: Vec<TokenWithSpan>,
    ) -> Result<Vec<TokenWithSpan>> {
        let mut filled = Vec::with_capacity(tokens.len());
        for token in &tokens {
            self.put(token, &mut filled)?;
        }
        Ok(formatted(joined(filled)))
    }

    pub(super) fn put(&self, token: &TokenWithSpan, filled: &mut Vec<TokenWithSpan>) -> Result<()> {
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
                if parameter.is_list() && in_parentheses_behind_in(filled) {
                    return Err(Error::usage(format!("`${name}` is a list already"))
                        .at(place)
                        .hint(format!("write `IN ${name}`")));
                }
                let constant = parameter.constant().map(Some);
                let value = self.values.get(&name).or(constant.as_ref());
                let tokens = match value {
                    Some(Some(text))
                        if parameter.is_list() && behind(filled, &["in"]) && text == "[]" =>
                    {
                        in_nothing(filled)
                    }
                    Some(Some(text)) if in_target(filled) => {
                        vec![Token::SingleQuotedString(text.clone())]
                    }
                    Some(Some(text)) if behind(filled, &["interval", "message"]) => {
                        vec![value_only(text)]
                    }
                    _ if parameter.is_list() => {
                        parameter.list_tokens(self.values, behind(filled, &["in"]))?
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
                    let hint = format!("write `${name}`, or declare it as IDENTIFIER");
                    return Err(Error { hints: vec![hint], ..parameter.no_name() }.at(place));
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

    /// A parser's error at a parameter, in words about the parameter and without its value.
    pub(in crate::statement) fn at_value(&self, error: Error, text: &str) -> Error {
        let Some(rest) = error.span.and_then(|span| crate::diagnostic::from(text, span.start))
        else {
            return error;
        };
        let name: String = rest
            .strip_prefix('$')
            .unwrap_or_default()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let Some(parameter) = self.find(&name.to_lowercase()) else { return error };
        if parameter.is_identifier() {
            return error;
        }
        let expected = error.message.split(", found").next().unwrap_or_default();
        let message = match expected.contains("identifier") {
            true => return parameter.no_name().at(error.span),
            false => format!("{expected}, found the value of `${name}`"),
        };
        let name_wanted = format!("for a name, declare it as IDENTIFIER and write `\"${name}\"`");
        Error { message, ..error }.hint(name_wanted)
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

/// True behind one of these words.
fn behind(filled: &[TokenWithSpan], words: &[&str]) -> bool {
    let last = filled.iter().rev().find(|t| !matches!(t.token, Token::Whitespace(_)));
    last.is_some_and(|t| words.iter().any(|word| is_word(&t.token, word)))
}

/// True behind `IN (`.
fn in_parentheses_behind_in(filled: &[TokenWithSpan]) -> bool {
    let mut before = filled.iter().rev().filter(|t| !matches!(t.token, Token::Whitespace(_)));
    before.next().is_some_and(|t| t.token == Token::LParen)
        && before.next().is_some_and(|t| is_word(&t.token, "in"))
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

/// `COPY … TO 'a.csv' (FORMAT csv, HEADER)`, as others write it: the grammar knows `STORED AS csv OPTIONS (has_header
/// true)`.
fn formatted(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut i = 0;
    while i + 4 < tokens.len() {
        if is_word(&tokens[i].token, "to")
            && matches!(tokens[i + 1].token, Token::SingleQuotedString(_))
            && tokens[i + 2].token == Token::LParen
            && let Some(length) = tokens[i + 3..].iter().position(|t| t.token == Token::RParen)
            && length > 0
        {
            let inner = i + 3..i + 3 + length;
            let written = stored(&tokens[inner.clone()], &tokens[i + 2]);
            tokens.splice(inner.start - 1..=inner.end, written);
        }
        i += 1;
    }
    tokens
}

/// What stood in parentheses, in the grammar's words.
fn stored(given: &[TokenWithSpan], place: &TokenWithSpan) -> Vec<TokenWithSpan> {
    let at = |token| TokenWithSpan { token, span: place.span };
    let keyword = |word| at(Token::make_keyword(word));
    let (mut stored, mut options) = (vec![], vec![]);
    for option in given.split(|t| t.token == Token::Comma) {
        match option {
            [name, format] if is_word(&name.token, "format") => {
                let word = match &format.token {
                    Token::SingleQuotedString(name) => Token::make_word(name, None),
                    other => other.clone(),
                };
                stored = vec![keyword("STORED"), keyword("AS")];
                stored.push(TokenWithSpan { token: word, span: format.span });
                continue;
            }
            [name, value @ ..] if is_word(&name.token, "header") => {
                options.push(at(Token::make_word("has_header", None)));
                options.extend(value.first().cloned().or(Some(keyword("TRUE"))));
                options.extend(value.iter().skip(1).cloned());
            }
            other => options.extend_from_slice(other),
        }
        options.push(at(Token::Comma));
    }
    if options.pop().is_some() {
        stored.extend([keyword("OPTIONS"), at(Token::LParen)]);
        stored.extend(options);
        stored.push(at(Token::RParen));
    }
    stored
}
