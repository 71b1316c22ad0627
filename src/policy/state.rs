// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What the gate knows of the rows of a node, from the leaves up.

use datafusion::common::{Column, TableReference};

use crate::library::PrivacyClass as Class;

/// What the rows of a node are.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// About things, or written in the statement.
    Public,
    /// Groups that are large enough. All that happens to them from here on is arithmetic on an answer.
    Released,
    /// About persons.
    Private(Private),
}

impl State {
    pub(super) fn word(&self) -> &'static str {
        match self {
            State::Public => "public",
            State::Released => "released",
            State::Private(_) => "private",
        }
    }
}

/// Rows about persons. Beside the columns of the statement they carry hidden ones, which say whom a row is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Private {
    /// The columns of the statement, in order.
    pub(super) columns: Vec<(Column, Info)>,
    /// The hidden columns. A row that comes of several things has one for each, and each has to hold enough persons.
    pub(super) supports: Vec<Support>,
    /// The keys by which the rows were grouped last, while all of them are there.
    pub(super) keys: Option<Vec<Column>>,
}

/// A hidden column that says whom a row is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Support {
    pub(super) column: Column,
    /// Whether it holds a set of persons, or one.
    pub(super) is_set: bool,
    /// The kind of unit.
    pub(super) unit: String,
    /// Whether rows may be about one person each, as far as is known.
    pub(super) by_person: bool,
    /// Set when it stands for the side of an outer join that may have no row. A group is released without it; what was
    /// worked out from that side is not.
    pub(super) outer: Option<Outer>,
}

/// An outer join, seen from the side that may have no row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outer {
    /// Which of the statement's outer joins.
    pub(super) id: usize,
    /// Whether rows of the other side stand there once for each row of this one, so that their number tells of it.
    pub(super) multiplies: bool,
}

/// What is known of a column of private rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Info {
    pub(super) class: Class,
    /// What values of the column stand for, when two columns that are equal are about one person: the unit itself, or a
    /// key that a link points at (`orders.order_id`).
    pub(super) domain: Option<String>,
    /// Where it comes from, for messages.
    pub(super) origin: String,
    pub(super) kind: Kind,
    /// Whether a filter may compare it with a constant.
    pub(super) compare: bool,
    /// The outer joins that may have put NULL in its place.
    pub(super) outer: Vec<usize>,
    /// The outer join that has found no row when this column is NULL, because it is a key of it.
    pub(super) absent: Option<usize>,
}

/// How a column came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it stands in the table.
    Raw,
    /// Worked out for grouping: a month, a prefix, a word for a case.
    Key,
    /// A product of measures.
    Product,
    /// An aggregate over the rows of one person.
    PerPerson,
    /// Worked out by a reviewed analysis.
    Analysed,
    /// A value of the statement.
    Constant,
    /// NULL, which is equal to nothing.
    Null,
}

impl Info {
    pub(super) fn constant() -> Self {
        Info {
            class: Class::Plain,
            domain: None,
            origin: "a constant".into(),
            kind: Kind::Constant,
            compare: false,
            outer: vec![],
            absent: None,
        }
    }

    pub(super) fn null() -> Self {
        Info { kind: Kind::Null, ..Self::constant() }
    }

    /// Whether groups may be made by it.
    pub(super) fn is_key(&self) -> bool {
        let class = matches!(self.class, Class::Quasi | Class::Plain);
        class
            && match self.kind {
                Kind::Raw | Kind::Key | Kind::PerPerson | Kind::Constant | Kind::Null => true,
                Kind::Product | Kind::Analysed => false,
            }
    }

    /// Whether it may be added up.
    pub(super) fn is_measure(&self) -> bool {
        let class = matches!(self.class, Class::Quasi | Class::Plain | Class::Sensitive);
        class
            && match self.kind {
                Kind::Raw | Kind::Product | Kind::PerPerson | Kind::Analysed => true,
                Kind::Key | Kind::Constant | Kind::Null => false,
            }
    }
}

impl Private {
    /// What is known of a column. A name without its table finds the one column of that name.
    pub(super) fn info(&self, column: &Column) -> Option<&Info> {
        if let Some((_, info)) = self.columns.iter().find(|(c, _)| same(c, column)) {
            return Some(info);
        }
        let mut named = self.columns.iter().filter(|(c, _)| c.name == column.name);
        match (column.relation.is_none(), named.next(), named.next()) {
            (true, Some((_, info)), None) => Some(info),
            _ => None,
        }
    }

    /// Whether values of a column are units themselves.
    pub(super) fn is_unit(&self, info: &Info) -> bool {
        self.supports.iter().any(|s| info.domain.as_deref() == Some(s.unit.as_str()))
    }

    /// The outer joins by which rows may have become more.
    pub(super) fn multiplied(&self) -> impl Iterator<Item = usize> {
        self.supports.iter().filter_map(|s| s.outer).filter(|o| o.multiplies).map(|o| o.id)
    }

    /// The same rows, when it is known that an outer join has found no row for any of them.
    pub(super) fn without(mut self, id: usize) -> Self {
        self.supports.retain(|s| s.outer.is_none_or(|o| o.id != id));
        for (_, info) in &mut self.columns {
            info.outer.retain(|outer| *outer != id);
        }
        self
    }

    /// The same under another table name.
    pub(super) fn aliased(&self, alias: &TableReference) -> Self {
        let under = |c: &Column| Column::new(Some(alias.clone()), c.name.clone());
        Private {
            columns: self.columns.iter().map(|(c, i)| (under(c), i.clone())).collect(),
            supports: self
                .supports
                .iter()
                .map(|s| Support { column: under(&s.column), ..s.clone() })
                .collect(),
            keys: self.keys.as_ref().map(|keys| keys.iter().map(under).collect()),
        }
    }
}

/// Whether two names are of one column, wherever they were written.
pub(super) fn same(a: &Column, b: &Column) -> bool {
    a.name == b.name && a.relation == b.relation
}
