// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! One file of `sql/` → one checked [`Definition`].

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::{Class, Column, Definition, Input, Kind, Limit, Parameter, Scalar, table_body};
use crate::error::{Error, Result};

/// A column that an analysis returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDoc {
    /// Its name.
    pub name: String,
    /// Its type, as the header writes it; `ANY` follows the input.
    pub data_type: String,
    /// What it means, with its unit.
    pub meaning: String,
}

/// Why a file could not be read.
pub(super) enum Fault {
    /// It reads through an analysis that has not been read yet.
    Waits(String),
    /// It is wrong.
    Wrong(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Wrong(error)
    }
}

/// Reads a file. `find` knows the analyses read before.
pub(super) fn read(
    department: &str,
    file: &str,
    text: &str,
    find: impl Fn(&str) -> Option<Arc<Definition>>,
) -> Result<Definition, Fault> {
    let mut tags = tags(text)?;
    let (name, arguments, body) = macro_of(text)?;
    if name != file {
        return Err(wrong(format!(
            "the macro is called `{name}`; the file's name is the analysis's name"
        ))
        .into());
    }
    let one = |tags: &mut Vec<(String, String)>, tag: &str| -> Result<String> {
        let mut found = take(tags, tag);
        match (found.pop(), found.is_empty()) {
            (Some(text), true) => Ok(text),
            (None, _) => Err(wrong(format!("the header lacks `-- {tag}`"))),
            (Some(_), false) => Err(wrong(format!("the header has `-- {tag}` twice"))),
        }
    };
    let about = one(&mut tags, "about")?;
    let grain = one(&mut tags, "grain")?;
    let source = one(&mut tags, "source")?;
    let examples = take(&mut tags, "example");
    let groups = columns(&mut tags, "groups");
    let withheld = columns(&mut tags, "withheld");
    let returns =
        take(&mut tags, "returns").iter().map(|t| column_doc(t)).collect::<Result<Vec<_>>>()?;
    if examples.is_empty() || returns.is_empty() {
        return Err(wrong("the header needs `-- returns` and `-- example`").into());
    }
    let instead =
        take(&mut tags, "column").iter().map(|t| instead(t)).collect::<Result<Vec<_>>>()?;
    let aliases =
        take(&mut tags, "alias").iter().map(|t| aliases(t)).collect::<Result<Vec<_>>>()?;
    let scalars = take(&mut tags, "param").iter().map(|t| scalar(t)).collect::<Result<Vec<_>>>()?;
    let mut inputs = vec![];
    for text in take(&mut tags, "reads") {
        inputs.push(input(&text, &instead, &aliases, &find)?);
    }
    for (tag, named) in [("groups", &groups), ("withheld", &withheld)] {
        if let Some(column) = named.iter().find(|c| !returns.iter().any(|r| r.name == **c)) {
            return Err(
                wrong(format!("`-- {tag} {column}` is not a column that it returns")).into()
            );
        }
    }
    if let Some((tag, _)) = tags.first() {
        return Err(wrong(format!("`-- {tag}` is not a tag of the header")).into());
    }
    for (name, _) in
        instead.iter().map(|(n, _)| (n, ())).chain(aliases.iter().map(|(n, _)| (n, ())))
    {
        if !inputs.iter().any(|i| i.1.columns.iter().any(|c| c.name == *name)) {
            return Err(wrong(format!(
                "`{name}` has an alias or a replacement but no relation reads it"
            ))
            .into());
        }
    }
    let parameters = parameters(arguments, scalars, inputs)?;
    Ok(Definition {
        name,
        department: department.into(),
        about,
        parameters,
        returns,
        grain,
        groups,
        withheld,
        source,
        examples,
        body,
    })
}

/// Puts the macro's arguments and the header's lines together.
fn parameters(
    arguments: Vec<ast::MacroArg>,
    mut scalars: Vec<(String, Scalar, String)>,
    mut inputs: Vec<(String, Input, String)>,
) -> Result<Vec<Parameter>> {
    let mut parameters = vec![];
    let mut named_only = vec![];
    let mut taken: Vec<String> = vec![];
    for column in inputs.iter_mut().flat_map(|(_, input, _)| &mut input.columns) {
        if taken.contains(&column.name) {
            column.parameter = format!("{}_{}", column.input, column.name);
        }
        taken.push(column.parameter.clone());
    }
    let columns: Vec<Column> =
        inputs.iter().flat_map(|(_, input, _)| input.columns.clone()).collect();
    let mut placed = vec![];
    for argument in arguments {
        let name = argument.name.value;
        let scalar = scalars.iter().position(|(n, ..)| *n == name).map(|i| scalars.remove(i));
        let input = inputs.iter().position(|(n, ..)| *n == name).map(|i| inputs.remove(i));
        let column = columns.iter().find(|c| c.parameter == name).cloned();
        let (kind, meaning) = match (scalar, input, column) {
            (Some((_, scalar, meaning)), None, None) => (Kind::Scalar(scalar), meaning),
            (scalar, Some((_, mut input, meaning)), None) => {
                // What a prepared relation's analysis takes, this one takes too, by name.
                if let Some((through, fixed)) = &input.through {
                    let given = |n: &str| {
                        fixed.iter().any(
                            |a| matches!(a, FunctionArg::Named { name, .. } if name.value == n),
                        )
                    };
                    named_only.extend(
                        through
                            .parameters
                            .iter()
                            .enumerate()
                            .filter(|(i, p)| *i > 0 && !given(&p.name))
                            .map(|(_, p)| Parameter {
                                positional: false,
                                inherited: true,
                                ..p.clone()
                            }),
                    );
                }
                input.or_scalar = scalar.as_ref().map(|(_, s, _)| s.clone());
                let meaning = scalar.map_or(meaning, |(_, _, m)| m);
                (Kind::Relation(input), meaning)
            }
            (None, None, Some(column)) => {
                placed.push(column.parameter.clone());
                let meaning = format!("column of `{}`", column.input);
                (Kind::Column(column), meaning)
            }
            (None, None, None) => {
                return Err(wrong(format!(
                    "the header lacks `-- param {name}` or `-- reads {name}`"
                )));
            }
            (Some(_), _, Some(_)) | (None, Some(_), Some(_)) => {
                return Err(wrong(format!("`{name}` is a column and something else")));
            }
        };
        parameters.push(Parameter {
            name,
            kind,
            default: argument.default_expr,
            positional: true,
            inherited: false,
            meaning,
        });
    }
    if let Some(name) = scalars.first().map(|s| &s.0).or(inputs.first().map(|i| &i.0)) {
        return Err(wrong(format!("`{name}` is in the header but not an argument of the macro")));
    }
    parameters.extend(columns.into_iter().filter(|c| !placed.contains(&c.parameter)).map(|c| {
        Parameter {
            name: c.parameter.clone(),
            meaning: format!("column of `{}`", c.input),
            default: None,
            positional: false,
            inherited: false,
            kind: Kind::Column(c),
        }
    }));
    for parameter in named_only {
        if !parameters.iter().any(|p| p.name == parameter.name) {
            parameters.push(parameter);
        }
    }
    for (analysis, fixed) in parameters.iter().filter_map(|p| match &p.kind {
        Kind::Relation(input) => input.through.as_ref(),
        _ => None,
    }) {
        for argument in fixed {
            if let FunctionArg::Named { arg: FunctionArgExpr::Expr(Expr::Identifier(own)), .. } =
                argument
                && !parameters.iter().any(|p| p.name == own.value && !p.inherited)
            {
                return Err(wrong(format!(
                    "`through {}({argument})`: `{own}` is not a parameter of this analysis",
                    analysis.name
                )));
            }
        }
    }
    let mut names: Vec<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|w| w[0] == w[1]) {
        Some(twice) => Err(wrong(format!("the parameter `{}` stands there twice", twice[0]))),
        None => Ok(parameters),
    }
}

/// The `-- tag text` lines above the statement; a line indented by three blanks or more goes on with the tag before.
fn tags(text: &str) -> Result<Vec<(String, String)>> {
    let mut tags: Vec<(String, String)> = vec![];
    for line in text.lines().take_while(|l| l.starts_with("--") || l.trim().is_empty()) {
        let Some(line) = line.strip_prefix("--") else { continue };
        if line.trim().is_empty() || line.trim().starts_with("SPDX-") {
            continue;
        }
        if line.starts_with("   ") {
            let last = tags
                .last_mut()
                .ok_or_else(|| wrong(format!("`{}` goes on with nothing", line.trim())))?;
            last.1.push('\n');
            last.1.push_str(line.trim());
        } else {
            let (tag, rest) =
                line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
            tags.push((tag.to_string(), rest.trim().to_string()));
        }
    }
    for (tag, text) in &mut tags {
        if tag != "example" {
            *text = text.replace('\n', " ");
        }
    }
    Ok(tags)
}

fn take(tags: &mut Vec<(String, String)>, tag: &str) -> Vec<String> {
    let (found, rest): (Vec<_>, Vec<_>) =
        std::mem::take(tags).into_iter().partition(|(t, _)| t == tag);
    *tags = rest;
    found.into_iter().map(|(_, text)| text).collect()
}

/// `column, column`
fn columns(tags: &mut Vec<(String, String)>, tag: &str) -> Vec<String> {
    let lines = take(tags, tag);
    lines.iter().flat_map(|line| line.split(',')).map(|c| c.trim().to_string()).collect()
}

fn macro_of(text: &str) -> Result<(String, Vec<ast::MacroArg>, ast::Query)> {
    let mut statements =
        Parser::parse_sql(&GenericDialect {}, text).map_err(|e| wrong(e.to_string()))?;
    match (statements.pop(), statements.is_empty()) {
        (Some(Statement::CreateMacro { name, args, definition, .. }), true) => {
            let body = table_body(definition)
                .ok_or_else(|| wrong("an analysis is a table macro: `AS TABLE SELECT …`"))?;
            Ok((name.to_string(), args.unwrap_or_default(), body))
        }
        _ => {
            Err(wrong("a file of the library holds one `CREATE MACRO … AS TABLE` and nothing else"))
        }
    }
}

/// `column TYPE meaning`
fn column_doc(text: &str) -> Result<ColumnDoc> {
    let (name, rest) = word(text);
    let (data_type, meaning) = word(rest);
    if meaning.is_empty() {
        return Err(wrong(format!("`-- returns {text}` needs a name, a type and a meaning")));
    }
    let data_type = match Class::parse(data_type) {
        Some(Class::Any | Class::Numeric) => data_type.to_string(),
        _ => sql_type(data_type)
            .map_err(|e| e.context(format_args!("`-- returns {text}`")))?
            .to_string(),
    };
    Ok(ColumnDoc { name: name.to_string(), data_type, meaning: meaning.to_string() })
}

/// The first word and what follows it; a blank between parentheses does not end the word.
fn word(text: &str) -> (&str, &str) {
    let mut depth = 0;
    let end = text.find(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c.is_whitespace() && depth == 0
    });
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    (word, rest.trim())
}

fn sql_type(text: &str) -> Result<ast::DataType> {
    parser(text)?.parse_data_type().map_err(|e| wrong(e.to_string()))
}

/// `name TYPE 3..10 meaning`, `name TYPE 'a'|'b' meaning`, `name TYPE meaning`
fn scalar(text: &str) -> Result<(String, Scalar, String)> {
    let (name, rest) = word(text);
    let (data_type, after) = word(rest);
    let data_type =
        sql_type(data_type).map_err(|e| e.context(format_args!("`-- param {text}`")))?;
    let (first, others) = word(after);
    let (limit, meaning) = if let Some((low, high)) = first.split_once("..")
        && let (Ok(low), Ok(high)) = (low.parse(), high.parse())
    {
        (Limit::Range(low, high), others)
    } else if first.starts_with('\'') {
        (Limit::Words(first.split('|').map(|w| w.trim_matches('\'').to_string()).collect()), others)
    } else {
        (Limit::None, after)
    };
    if meaning.trim().is_empty() {
        return Err(wrong(format!("`-- param {text}` needs a meaning")));
    }
    Ok((name.to_string(), Scalar { data_type, limit }, meaning.trim().to_string()))
}

/// `relation(column TYPE, column TYPE?) meaning`, `relation? (…)`, `relation through analysis(arg => value) meaning`
fn input(
    text: &str,
    instead: &[(String, Vec<Expr>)],
    aliases: &[(String, Vec<String>)],
    find: impl Fn(&str) -> Option<Arc<Definition>>,
) -> Result<(String, Input, String), Fault> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let (optional, rest) = match rest.strip_prefix('?') {
        Some(rest) => (true, rest.trim()),
        None => (false, rest.trim()),
    };
    if let Some(rest) = rest.strip_prefix("through ") {
        let (call, meaning) =
            rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        // The arguments may hold blanks: the call ends with its closing parenthesis.
        let (call, meaning) = match rest.find(')') {
            Some(end) if call.contains('(') => (&rest[..=end], rest[end + 1..].trim()),
            _ => (call, meaning),
        };
        let (analysis, fixed) = through(call.trim())?;
        let definition = find(&analysis).ok_or(Fault::Waits(analysis))?;
        let input = Input { optional, through: Some((definition, fixed)), ..Input::default() };
        return Ok((name.to_string(), input, meaning.to_string()));
    }
    let close = rest.find(')').ok_or_else(|| wrong(format!("`-- reads {text}` lacks `)`")))?;
    let list = rest[..close].trim_start_matches('(');
    let mut columns = vec![];
    for item in list.split(',').map(str::trim).filter(|i| !i.is_empty()) {
        let (column, class) = item
            .split_once(char::is_whitespace)
            .ok_or_else(|| wrong(format!("column `{item}` needs a type")))?;
        let (class, optional) = match class.trim().strip_suffix('?') {
            Some(class) => (class, true),
            None => (class.trim(), false),
        };
        columns.push(Column {
            input: name.to_string(),
            name: column.to_string(),
            parameter: column.to_string(),
            class: Class::parse(class)
                .ok_or_else(|| wrong(format!("column `{column}`: `{class}` is not a type here")))?,
            optional,
            instead: instead
                .iter()
                .find(|(n, _)| n == column)
                .map(|(_, e)| e.clone())
                .unwrap_or_default(),
            aliases: aliases
                .iter()
                .find(|(n, _)| n == column)
                .map(|(_, a)| a.clone())
                .unwrap_or_default(),
        });
    }
    let meaning = rest[close + 1..].trim().to_string();
    Ok((name.to_string(), Input { columns, optional, ..Input::default() }, meaning))
}

/// `analysis` or `analysis(arg => value, …)`
fn through(call: &str) -> Result<(String, Vec<FunctionArg>)> {
    if !call.contains('(') {
        return Ok((call.to_string(), vec![]));
    }
    match parser(call)?.parse_expr().map_err(|e| wrong(format!("`through {call}`: {e}")))? {
        Expr::Function(ast::Function {
            name, args: ast::FunctionArguments::List(list), ..
        }) => Ok((name.to_string(), list.args)),
        _ => Err(wrong(format!("`through {call}` is not a call"))),
    }
}

/// `name = first | second`
fn instead(text: &str) -> Result<(String, Vec<Expr>)> {
    let (name, list) =
        text.split_once('=').ok_or_else(|| wrong(format!("`-- column {text}` needs `=`")))?;
    let choices = list
        .split('|')
        .map(|choice| {
            parser(choice.trim())?
                .parse_expr()
                .map_err(|e| wrong(format!("`-- column {text}`: {e}")))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok((name.trim().to_string(), choices))
}

/// `name: one, two`
fn aliases(text: &str) -> Result<(String, Vec<String>)> {
    let (name, list) =
        text.split_once(':').ok_or_else(|| wrong(format!("`-- alias {text}` needs `:`")))?;
    Ok((name.trim().to_string(), list.split(',').map(|a| a.trim().to_string()).collect()))
}

fn parser(text: &str) -> Result<Parser<'static>> {
    Parser::new(&GenericDialect {}).try_with_sql(text).map_err(|e| wrong(e.to_string()))
}

fn wrong(message: impl Into<String>) -> Error {
    Error::usage(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
-- about    counts things,
--          carefully
-- param    k INTEGER 3..10 how many
-- param    word VARCHAR 'a'|'b' which
-- reads    t(x NUMERIC, y TIMESTAMP?) the table
-- column   x = u - coalesce(v, 0) | w
-- alias    x: ex, the_x
-- returns  n BIGINT how many
-- returns  m DECIMAL(18,4) money in the shop's currency
-- grain    one row
-- source   ours
-- example  SELECT * FROM f(t)
CREATE MACRO f(t, k := 5, word := 'a') AS TABLE SELECT count(*) AS n FROM t WHERE x > k;
";

    fn load(text: &str) -> Result<Definition, String> {
        match read("d", "f", text, |_| None) {
            Ok(definition) => Ok(definition),
            Err(Fault::Wrong(error)) => Err(error.message),
            Err(Fault::Waits(name)) => Err(format!("waits for {name}")),
        }
    }

    #[test]
    fn a_good_header_is_read_whole() {
        let f = load(GOOD).expect("is good");
        assert_eq!(f.about, "counts things, carefully");
        let names: Vec<(&str, bool)> =
            f.parameters.iter().map(|p| (p.name.as_str(), p.positional)).collect();
        assert_eq!(names, [("t", true), ("k", true), ("word", true), ("x", false), ("y", false)]);
        assert_eq!(f.returns[1].data_type, "DECIMAL(18,4)");
        assert_eq!(f.returns[1].meaning, "money in the shop's currency");
        match &f.parameters[1].kind {
            Kind::Scalar(s) => assert_eq!(s.limit, Limit::Range(3.0, 10.0)),
            other => panic!("{other:?}"),
        }
        match &f.parameters[3].kind {
            Kind::Column(c) => {
                assert_eq!((c.instead.len(), c.aliases.len(), c.optional), (2, 2, false))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bad_header_is_refused_with_the_reason() {
        for (from, to, said) in [
            ("-- grain    one row\n", "", "lacks `-- grain`"),
            ("-- grain ", "-- grane ", "lacks `-- grain`"),
            ("-- source", "-- sauce x\n-- source", "`-- sauce` is not a tag"),
            ("-- param    k INTEGER 3..10 how many\n", "", "lacks `-- param k`"),
            ("k := 5, ", "", "not an argument of the macro"),
            ("x NUMERIC", "x MONEY", "`MONEY` is not a type here"),
            ("MACRO f(", "MACRO g(", "the file's name is the analysis's name"),
            ("-- alias    x:", "-- alias    z:", "no relation reads it"),
            (
                "-- reads    t(x NUMERIC, y TIMESTAMP?) the table\n-- column   x = u - coalesce(v, 0) | w\n-- alias    x: ex, the_x",
                "-- reads    t through nothing",
                "waits for nothing",
            ),
        ] {
            let error = load(&GOOD.replace(from, to)).expect_err(said);
            assert!(error.contains(said), "{error} should say {said}");
        }
    }
}
