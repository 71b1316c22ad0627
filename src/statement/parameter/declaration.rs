// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `PARAMETER name TYPE [DEFAULT expression];` in a text.

use datafusion::common::Span;
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType, Expr};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{Class, Faithful, Parameter, is_word};
use crate::error::{Error, Result};

/// The declarations of a text and the rest of it.
pub(in crate::statement) fn split(
    tokens: Vec<TokenWithSpan>,
) -> Result<(Vec<Parameter>, Vec<TokenWithSpan>)> {
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
    let is_default =
        |t: &TokenWithSpan| matches!(&t.token, Token::Word(w) if w.keyword == Keyword::DEFAULT);
    // The name may be the same word.
    let default = words.iter().skip(1).position(is_default).map(|i| i + 1);
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
        Ok(data_type) if Faithful::of(data_type).is_text() && !is_array(data_type) => Class::Text,
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
    let faithful = parsed.as_ref().map_or(Faithful::Anything, Faithful::of);
    let text = [Token::make_keyword("VARCHAR"), Token::LBracket, Token::RBracket];
    let parameter = Parameter {
        shown: parsed.map_or_else(|e| e.to_string(), |data_type| data_type.to_string()),
        // The engine knows a text by one name, and no length.
        data_type: match class {
            Class::Text => text[..1].to_vec(),
            Class::List if faithful.is_text() => text.to_vec(),
            _ => data_type.iter().map(|t| t.token.clone()).collect(),
        },
        name,
        span: place,
        class,
        faithful,
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

fn is_array(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Array(_))
}
