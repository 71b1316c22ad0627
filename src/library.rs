// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The analyses of `sql/`: read, checked, listed, found.
//!
//! An analysis is one file that holds one `CREATE MACRO … AS TABLE`, headed by a comment that the loader reads:
//!
//! ```text
//! -- about    one sentence, more lines indented
//! -- param    name TYPE [3..10 | 'a'|'b'] what it means
//! -- reads    relation(column TYPE, column TYPE?, …)   or   relation through analysis(arg => value)
//! -- column   name = first | second      what to read when the relation has no column of that name
//! -- alias    name: client, client_id    names to suggest when a column is missing
//! -- returns  column TYPE meaning
//! -- grain    one row per …
//! -- groups   column, column             what an aggregate role may group by, where a row is about one person
//! -- withheld column, column             what is one person's own value, where a row is about many: NULL for an aggregate role
//! -- source   where the formula comes from
//! -- example  a statement that runs over the demo shop
//! ```
//!
//! Every column that an analysis reads is a parameter of that name (`relation_column` where two relations have one). A relation read `through` another analysis is
//! expanded by it first, and that analysis's parameters become parameters of this one. Its arguments in the header are constants,
//! or parameters of this one (`tz => tz`), which are passed on where the caller gives them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock};

use datafusion::sql::sqlparser::ast::{self, Expr, FunctionArg, MacroDefinition, Query};

use crate::error::{Error, Result};

mod header;
mod schema;

pub use header::ColumnDoc;
pub use schema::{Class as PrivacyClass, Column as SchemaColumn, Table as SchemaTable, schema};

/// The department of an analyst's own macros.
const OWN: &str = "session";

/// A table macro, from `sql/` or from an analyst's own `CREATE MACRO`.
#[derive(Debug)]
pub struct Definition {
    /// The name it is called by.
    pub name: String,
    /// The folder of `sql/` it stands in; `session` for an analyst's own.
    pub department: String,
    /// What it answers.
    pub about: String,
    /// Its parameters, the positional ones first and in order.
    pub parameters: Vec<Parameter>,
    /// The columns it promises; empty for an analyst's own.
    pub returns: Vec<ColumnDoc>,
    /// `one row per …`.
    pub grain: String,
    /// The columns of its result that groups may be made by where a row is about one person: for the privacy gate.
    pub groups: Vec<String>,
    /// The columns of its result that hold the value of a single person, where a row is about many: for the privacy gate.
    pub withheld: Vec<String>,
    /// Where the formula comes from.
    pub source: String,
    /// Statements that run over the demo shop.
    pub examples: Vec<String>,
    /// The macro's query.
    pub body: Query,
}

/// One parameter of a table macro.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub kind: Kind,
    /// What it takes when the call leaves it out; `None` means that the call must give it.
    pub default: Option<Expr>,
    /// True when it has a place as well as a name.
    pub positional: bool,
    /// True when it belongs to the analysis that a relation is read through, and is only passed on.
    pub inherited: bool,
    /// What it means.
    pub meaning: String,
}

/// What a parameter takes.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A table name, a common table expression, `(SELECT …)`, a file, or another call.
    Relation(Input),
    /// A column of a relation argument, or an expression over it.
    Column(Column),
    /// A constant of a type.
    Scalar(Scalar),
    /// Either of the last two: an analyst's own macro does not say.
    Free,
}

/// What an analysis reads from a relation argument.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// The columns the body sees, and nothing else; empty when the body sees the relation as it is.
    pub columns: Vec<Column>,
    /// True when the analysis does without it.
    pub optional: bool,
    /// The analysis that prepares the relation first, and the arguments it is always given.
    pub through: Option<(Arc<Definition>, Vec<FunctionArg>)>,
    /// True when the same parameter also takes one of a few words (`segments => 'playbook8'`).
    pub or_scalar: Option<Scalar>,
}

/// A column that an analysis reads.
#[derive(Clone, Debug)]
pub struct Column {
    /// The relation parameter it belongs to.
    pub input: String,
    /// Its name in the body.
    pub name: String,
    /// The parameter's name: the same, or `relation_column` where an earlier relation has a column of that name.
    pub parameter: String,
    /// What types it may have.
    pub class: Class,
    /// True when it is NULL where the relation does not have it.
    pub optional: bool,
    /// Expressions to read instead when the relation has no column of that name; the first that plans wins.
    pub instead: Vec<Expr>,
    /// Names under which other shops know it: suggested, never guessed.
    pub aliases: Vec<String>,
}

/// The types a column parameter accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Anything.
    Any,
    /// Integers, decimals and floating point numbers, kept as exact as they come.
    Numeric,
    /// A timestamp; a date counts as its midnight.
    Timestamp,
    /// A calendar day.
    Date,
    /// Text.
    Varchar,
    /// True or false.
    Boolean,
    /// A whole number.
    Integer,
}

/// A constant parameter's type and what is allowed.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// The type as it is written in SQL.
    pub data_type: ast::DataType,
    /// What is allowed within the type.
    pub limit: Limit,
}

/// What a constant parameter allows within its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// Everything.
    None,
    /// From … to …, both included.
    Range(f64, f64),
    /// One of these words.
    Words(Vec<String>),
}

/// The analyses that a session knows, by name.
#[derive(Clone, Debug, Default)]
pub struct Library {
    analyses: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
enum Entry {
    /// Of a folder, which is checked as a whole.
    Read(Arc<Definition>),
    /// Of our own, read when somebody asks: most sessions use few, and all of them take longer than the rest of the start.
    Embedded(&'static Embedded),
}

/// A file of `sql/`, as the build script embeds it.
#[derive(Debug)]
struct File {
    department: &'static str,
    name: &'static str,
    text: &'static str,
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/library.rs"));

#[derive(Debug)]
struct Embedded {
    file: &'static File,
    read: OnceLock<Option<Arc<Definition>>>,
}

static EMBEDDED: LazyLock<Vec<Embedded>> =
    LazyLock::new(|| FILES.iter().map(|file| Embedded { file, read: OnceLock::new() }).collect());

impl Embedded {
    /// A file that does not read is no analysis: a test below reads all of them.
    fn definition(&self) -> Option<Arc<Definition>> {
        let read = || {
            let find = |name: &str| Library::built_in().ok()?.find(name);
            header::read(self.file.department, self.file.name, self.file.text, find)
                .ok()
                .map(Arc::new)
        };
        self.read.get_or_init(read).clone()
    }
}

impl Entry {
    fn definition(&self) -> Option<Arc<Definition>> {
        match self {
            Entry::Read(definition) => Some(Arc::clone(definition)),
            Entry::Embedded(embedded) => embedded.definition(),
        }
    }

    fn department(&self) -> &str {
        match self {
            Entry::Read(definition) => &definition.department,
            Entry::Embedded(embedded) => embedded.file.department,
        }
    }
}

impl Library {
    /// The analyses that come with Comptoir. A mistake in one of them fails the build's tests, not a user's session.
    pub fn built_in() -> Result<&'static Library> {
        static BUILT_IN: LazyLock<Library> = LazyLock::new(|| Library {
            analyses: EMBEDDED
                .iter()
                .map(|e| (e.file.name.to_string(), Entry::Embedded(e)))
                .collect(),
        });
        Ok(&BUILT_IN)
    }

    /// Adds the `.sql` files of an analyst's or operator's own folder, under the same rules.
    pub fn add_folder(&mut self, folder: &Path) -> Result<()> {
        let failed = |e: std::io::Error| {
            Error::usage(format!("cannot read the folder `{}`: {e}", folder.display()))
        };
        let mut paths = std::fs::read_dir(folder)
            .map_err(failed)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<std::io::Result<Vec<_>>>()
            .map_err(failed)?;
        paths.retain(|p| p.extension().is_some_and(|e| e == "sql"));
        paths.sort();
        let department =
            folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let mut files = vec![];
        for path in paths {
            let name =
                path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            files.push((department.clone(), name, std::fs::read_to_string(&path).map_err(failed)?));
        }
        self.add(files)
    }

    /// Reads (department, name, text) files. One that reads `through` another waits until that one is there.
    fn add(&mut self, files: Vec<(String, String, String)>) -> Result<()> {
        let mut waiting = files;
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut later = vec![];
            let mut missing = None;
            for (department, name, text) in waiting {
                match header::read(&department, &name, &text, |other| self.find(other)) {
                    Ok(definition) => {
                        let entry = Entry::Read(Arc::new(definition));
                        if let Some(earlier) = self.analyses.insert(name.clone(), entry) {
                            return Err(Error::usage(format!(
                                "two analyses are called `{name}`: in `{}` and in `{department}`",
                                earlier.department()
                            )));
                        }
                    }
                    Err(header::Fault::Waits(other)) => {
                        missing = Some(format!(
                            "`{name}` reads through `{other}`, which is not an analysis"
                        ));
                        later.push((department, name, text));
                    }
                    Err(header::Fault::Wrong(error)) => {
                        return Err(error.context(format!("{department}/{name}.sql")));
                    }
                }
            }
            if later.len() == before {
                return Err(Error::usage(missing.unwrap_or_default()));
            }
            waiting = later;
        }
        Ok(())
    }

    /// The analysis of that name.
    pub fn find(&self, name: &str) -> Option<Arc<Definition>> {
        self.analyses.get(name)?.definition()
    }

    /// Every analysis, by name.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Definition>> {
        self.analyses.values().filter_map(Entry::definition)
    }

    /// The names, for which nothing needs to be read.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.analyses.keys()
    }
}

impl Definition {
    /// An analyst's own `CREATE MACRO name(…) AS TABLE …`: parameters are told apart by how the body uses them.
    pub fn own(
        name: &str,
        arguments: Vec<ast::MacroArg>,
        body: Query,
        is_relation: impl Fn(&str) -> bool,
    ) -> Self {
        let parameters = arguments
            .into_iter()
            .map(|argument| (normalised(&argument.name), argument))
            .map(|(name, argument)| Parameter {
                kind: if is_relation(&name) {
                    Kind::Relation(Input::default())
                } else {
                    Kind::Free
                },
                name,
                default: argument.default_expr,
                positional: true,
                inherited: false,
                meaning: String::new(),
            })
            .collect();
        Definition {
            name: name.to_string(),
            department: OWN.into(),
            about: "a macro of this session".into(),
            parameters,
            returns: vec![],
            grain: String::new(),
            groups: vec![],
            withheld: vec![],
            source: String::new(),
            examples: vec![],
            body,
        }
    }

    /// True for an analyst's own macro.
    pub fn is_own(&self) -> bool {
        self.department == OWN
    }

    /// The parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|p| p.name == name)
    }

    /// How to call it: `rfm_score(orders => …, k => 5, …)`.
    pub fn signature(&self) -> String {
        let parts: Vec<String> = self
            .parameters
            .iter()
            .filter(|p| p.positional)
            .map(|p| match (&p.kind, &p.default) {
                (Kind::Relation(input), None) if input.optional => {
                    format!("{} => relation", p.name)
                }
                (_, Some(default)) => format!("{} => {default}", p.name),
                (Kind::Column(_), None) if !p.positional => format!("{0} => {0}", p.name),
                (_, None) => p.name.clone(),
            })
            .collect();
        format!("{}({})", self.name, parts.join(", "))
    }
}

impl Class {
    /// The class of a header's type word.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_str() {
            "ANY" => Class::Any,
            "NUMERIC" => Class::Numeric,
            "TIMESTAMP" => Class::Timestamp,
            "DATE" => Class::Date,
            "VARCHAR" => Class::Varchar,
            "BOOLEAN" => Class::Boolean,
            "INTEGER" => Class::Integer,
            _ => return None,
        })
    }

    /// What an error says was expected.
    pub fn expected(self) -> &'static str {
        match self {
            Class::Any => "any type",
            Class::Numeric => "a number",
            Class::Timestamp => "a timestamp or a date",
            Class::Date => "a date",
            Class::Varchar => "text",
            Class::Boolean => "true or false",
            Class::Integer => "a whole number",
        }
    }
}

/// SQL's rule for names: what is not quoted is lower case.
pub(crate) fn normalised(ident: &ast::Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// The body of a `CREATE MACRO … AS TABLE`.
pub(crate) fn table_body(definition: MacroDefinition) -> Option<Query> {
    match definition {
        MacroDefinition::Table(query) => Some(*query),
        MacroDefinition::Expr(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_library_reads() {
        // As a folder is read: with a message, and without waiting for itself in a circle.
        let files = FILES.iter().map(|f| (f.department.into(), f.name.into(), f.text.into()));
        let mut library = Library::default();
        library.add(files.collect()).expect("all files read");
        let built_in = Library::built_in().expect("is there");
        assert!(FILES.len() > 20 && built_in.iter().count() == FILES.len());
        assert_eq!(library.names().collect::<Vec<_>>(), built_in.names().collect::<Vec<_>>());
    }
}
