// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Everything there is to say about a function, of whatever kind, for who asks at the prompt.

use comptoir_udfs::{ParameterKind, RelationFunction};
use datafusion::logical_expr::Documentation;

use super::listing::{self, Line};
use super::{Callee, TableFunctions};
use crate::error::Result;
use crate::library::{ColumnDoc, Definition, Input, Kind, Limit, Parameter, Scalar};

/// The manual page of a function.
#[derive(Clone, Debug, Default)]
pub struct Manual {
    /// Its name.
    pub name: String,
    /// scalar, aggregate, window or table.
    pub kind: &'static str,
    /// How it is called.
    pub signature: String,
    /// What it answers.
    pub about: String,
    /// What it takes; those with a place first.
    pub parameters: Vec<Argument>,
    /// The columns that a table function promises; empty when they depend on the arguments.
    pub returns: Vec<ColumnDoc>,
    /// `one row per …`.
    pub grain: String,
    /// Where the formula comes from.
    pub source: String,
    /// Statements that run.
    pub examples: Vec<String>,
}

/// A parameter on a manual page.
#[derive(Clone, Debug, Default)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub takes: String,
    /// What kind of thing that is.
    pub role: Role,
    /// What it is when it is left out.
    pub default: Option<String>,
    /// What it means.
    pub meaning: String,
    /// The words that are allowed, when only a few are.
    pub words: Vec<String>,
    /// True when it has a place as well as a name.
    pub positional: bool,
}

/// What kind of thing a parameter takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// A relation.
    Relation,
    /// A column of the relation.
    Column,
    /// A constant.
    #[default]
    Constant,
}

impl TableFunctions {
    /// The manual pages of a name: an analysis and an aggregate may share one.
    pub fn manual(&self, name: &str) -> Result<Vec<Manual>> {
        let mut pages = vec![];
        match self.find(name) {
            Some(Callee::Sql(definition)) => pages.push(of_definition(&definition)),
            Some(Callee::Rust(function)) => pages.push(of_relation(function.as_ref())),
            Some(Callee::Listing) | None => {}
        }
        let found = !pages.is_empty();
        let state = self.state()?;
        let state = state.read();
        for line in listing::lines(self)? {
            if line.name != name || (found && line.kind == "table") {
                continue;
            }
            let documentation = match line.kind {
                "scalar" => state.scalar_functions().get(name).and_then(|f| f.documentation()),
                "aggregate" => {
                    state.aggregate_functions().get(name).and_then(|f| f.documentation())
                }
                "window" => state.window_functions().get(name).and_then(|f| f.documentation()),
                _ => None,
            };
            pages.push(of_line(line, documentation));
        }
        Ok(pages)
    }
}

fn of_line(line: Line, documentation: Option<&Documentation>) -> Manual {
    let arguments = documentation.and_then(|d| d.arguments.clone()).unwrap_or_default();
    Manual {
        name: line.name,
        kind: line.kind,
        signature: line.signature,
        about: line.description,
        parameters: arguments
            .into_iter()
            .map(|(name, meaning)| Argument {
                name,
                meaning,
                positional: true,
                ..Argument::default()
            })
            .collect(),
        examples: line.example.into_iter().collect(),
        ..Manual::default()
    }
}

fn of_definition(definition: &Definition) -> Manual {
    Manual {
        name: definition.name.clone(),
        kind: "table",
        signature: definition.signature(),
        about: definition.about.clone(),
        parameters: definition.parameters.iter().map(argument).collect(),
        returns: definition.returns.clone(),
        grain: definition.grain.clone(),
        source: definition.source.clone(),
        examples: definition.examples.clone(),
    }
}

fn argument(parameter: &Parameter) -> Argument {
    let default = parameter.default.as_ref().map(ToString::to_string);
    let mut meaning = parameter.meaning.clone();
    let (takes, role, default) = match &parameter.kind {
        Kind::Relation(input) => {
            let columns: Vec<&str> = input.columns.iter().map(|c| c.name.as_str()).collect();
            if meaning.is_empty() && !columns.is_empty() {
                meaning = format!("a relation with {}", columns.join(", "));
            }
            // Left out, a relation is the shop's table of that name.
            let default = match (&default, input.optional) {
                (Some(default), _) => Some(default.clone()),
                (None, true) => Some("nothing".into()),
                (None, false) => Some(parameter.name.clone()),
            };
            ("relation".into(), Role::Relation, default)
        }
        Kind::Column(column) => {
            if meaning.is_empty() {
                meaning = format!("the column `{}` of `{}`", column.name, column.input);
            }
            let default = default.or_else(|| Some(column.name.clone()));
            (format!("column: {}", column.class.expected()), Role::Column, default)
        }
        Kind::Scalar(scalar) => (scalar.data_type.to_string(), Role::Constant, default),
        Kind::Free => (String::new(), Role::Constant, default),
    };
    let words = match &parameter.kind {
        Kind::Scalar(scalar) | Kind::Relation(Input { or_scalar: Some(scalar), .. }) => {
            words(scalar)
        }
        _ => vec![],
    };
    let takes = match &parameter.kind {
        Kind::Scalar(Scalar { limit: Limit::Range(from, to), .. }) => {
            format!("{takes}, {from} to {to}")
        }
        _ => takes,
    };
    Argument {
        name: parameter.name.clone(),
        takes,
        role,
        default,
        meaning,
        words,
        positional: parameter.positional,
    }
}

fn words(scalar: &Scalar) -> Vec<String> {
    match &scalar.limit {
        Limit::Words(words) => words.clone(),
        Limit::Range(..) | Limit::None => vec![],
    }
}

fn of_relation(function: &dyn RelationFunction) -> Manual {
    let documentation = function.documentation();
    let line = listing::documented(function.name(), "table", Some(documentation));
    let parameters = function.parameters().iter().map(|p| {
        let (takes, role, default) = match &p.kind {
            ParameterKind::Relation | ParameterKind::OptionalRelation => {
                ("relation".into(), Role::Relation, None)
            }
            ParameterKind::Column { .. } => ("column".into(), Role::Column, None),
            ParameterKind::Columns { .. } => ("columns: [a, b]".into(), Role::Column, None),
            ParameterKind::Scalar { data_type, default } => {
                (data_type.to_string(), Role::Constant, default.as_ref().map(ToString::to_string))
            }
        };
        let default = match default {
            None if p.is_optional() => Some("nothing".into()),
            other => other,
        };
        Argument {
            name: p.name.into(),
            takes,
            role,
            default,
            meaning: p.description.into(),
            words: vec![],
            positional: true,
        }
    });
    Manual { parameters: parameters.collect(), ..of_line(line, None) }
}
