// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `sql/schema.sql`, the canonical shop: every table and column that an analysis may read, its meaning and its privacy
//! class. The class stands in the comment behind the column, so that the file stays plain DDL that any database reads.

use datafusion::sql::sqlparser::ast::{ColumnOption, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::error::{Error, Result};

/// How close a column is to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Names or reaches a person by itself: never shown, not even as a pseudonym.
    Direct,
    /// What somebody wrote in their own words, and may hold anything.
    Text,
    /// Points at one person, device or transaction of a person: linked on, never shown.
    Identifier,
    /// Narrows a person down together with others.
    Quasi,
    /// Says something of a person that is nobody's business.
    Sensitive,
    /// Is about things.
    Plain,
}

impl Class {
    const ALL: [Class; 6] = [
        Class::Direct,
        Class::Text,
        Class::Identifier,
        Class::Quasi,
        Class::Sensitive,
        Class::Plain,
    ];

    /// The word that stands for it.
    pub fn word(self) -> &'static str {
        match self {
            Class::Direct => "direct",
            Class::Text => "text",
            Class::Identifier => "identifier",
            Class::Quasi => "quasi",
            Class::Sensitive => "sensitive",
            Class::Plain => "plain",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }
}

/// A table of the canonical shop.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
}

/// A column of the canonical shop.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its SQL type.
    pub data_type: String,
    /// False when it is never NULL.
    pub nullable: bool,
    /// How close it is to a person.
    pub class: Class,
    /// What it means, with its unit.
    pub meaning: String,
}

/// Reads the canonical shop.
pub fn schema() -> Result<Vec<Table>> {
    read(include_str!("../../sql/schema.sql"))
}

fn read(text: &str) -> Result<Vec<Table>> {
    let wrong = |what: String| Error::usage(format!("sql/schema.sql: {what}"));
    let statements =
        Parser::parse_sql(&GenericDialect {}, text).map_err(|e| wrong(e.to_string()))?;
    let lines: Vec<&str> = text.lines().collect();
    statements
        .into_iter()
        .map(|statement| {
            let Statement::CreateTable(table) = statement else {
                return Err(wrong("holds something else than `CREATE TABLE`".into()));
            };
            let name = table.name.to_string();
            let columns = table
                .columns
                .iter()
                .map(|column| {
                    let line = usize::try_from(column.name.span.start.line).unwrap_or(0);
                    let comment = lines
                        .get(line.wrapping_sub(1))
                        .and_then(|l| l.split_once("-- "))
                        .map(|(_, c)| c);
                    let (class, meaning) =
                        comment.and_then(|c| c.split_once(": ")).ok_or_else(|| {
                            wrong(format!("`{name}.{}` lacks `-- class: meaning`", column.name))
                        })?;
                    let required = column.options.iter().any(|o| {
                        matches!(o.option, ColumnOption::NotNull | ColumnOption::PrimaryKey(_))
                    });
                    Ok(Column {
                        name: column.name.value.clone(),
                        data_type: column.data_type.to_string(),
                        nullable: !required,
                        class: Class::parse(class.trim()).ok_or_else(|| {
                            wrong(format!("`{}` is not a privacy class", class.trim()))
                        })?,
                        meaning: meaning.trim().to_string(),
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            Ok(Table { name, columns })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_needs_a_class_and_a_meaning() {
        let good = read("CREATE TABLE t (\n  a VARCHAR NOT NULL, -- identifier: who\n  b DECIMAL(18,4) -- plain: how much\n);").expect("good");
        assert_eq!(
            (good[0].columns[0].class, good[0].columns[0].nullable),
            (Class::Identifier, false)
        );
        assert_eq!(good[0].columns[1].data_type, "DECIMAL(18,4)");
        assert!(read("CREATE TABLE t (\n  a VARCHAR -- who\n);").is_err());
        assert!(read("CREATE TABLE t (\n  a VARCHAR -- secret: who\n);").is_err());
    }

    #[test]
    fn the_canonical_shop_is_read() {
        assert!(schema().expect("reads").iter().any(|t| t.name == "orders"));
    }
}
