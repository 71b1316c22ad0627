// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The policy file as it is written, and what is made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::declarations::{
    Audit, Consent, Declarations, KeySource, Openness, Owner, Purpose, Retention, Role,
    SmallGroups, Table,
};
use crate::error::{Error, Result};
use crate::library::{self, PrivacyClass as Class};

/// The smallest k that is still a group.
const SMALLEST_K: u64 = 2;
/// The k of a role that names none.
const DEFAULT_K: u64 = 10;
const DEFAULT_UNIT: &str = "person";
const DEFAULT_ROTATE: &str = "64MB";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    default_role: Option<String>,
    #[serde(default)]
    open_schemas: BTreeSet<String>,
    key_file: Option<PathBuf>,
    key_env: Option<String>,
    audit: Option<PathBuf>,
    audit_rotate: Option<String>,
    #[serde(default)]
    tables: BTreeMap<String, WrittenTable>,
    #[serde(default)]
    purposes: BTreeMap<String, WrittenPurpose>,
    consent: Option<WrittenConsent>,
    #[serde(default)]
    roles: BTreeMap<String, WrittenRole>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTable {
    #[serde(default)]
    public: bool,
    unit: Option<String>,
    key: Option<String>,
    link: Option<WrittenLink>,
    #[serde(default)]
    columns: BTreeMap<String, Class>,
    #[serde(default)]
    compare: BTreeSet<String>,
    #[serde(default)]
    bounds: BTreeMap<String, (f64, f64)>,
    retain: Option<WrittenRetention>,
    purposes: Option<BTreeSet<String>>,
    k: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLink {
    column: String,
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRetention {
    column: String,
    #[serde(rename = "for")]
    length: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPurpose {
    consent: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenConsent {
    table: String,
    subject: String,
    purpose: String,
    status: String,
    granted: String,
    time: String,
    expires: Option<String>,
    unit: Option<String>,
    subject_type: Option<WrittenSubjectType>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSubjectType {
    column: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRole {
    openness: Openness,
    k: Option<u64>,
    #[serde(default)]
    purposes: BTreeSet<String>,
    #[serde(default)]
    small_groups: SmallGroups,
    dominance: Option<f64>,
}

impl Declarations {
    /// Reads a text whose relative paths start at a folder.
    pub fn parse(text: &str, folder: &Path) -> Result<Self> {
        let written: Written = toml::from_str(text).map_err(wrong)?;
        Self::build(written, folder)
    }

    /// Reads the `[privacy]` of a configuration.
    pub(super) fn of_table(table: toml::Table, folder: &Path) -> Result<Self> {
        let written: Written = table.try_into().map_err(|e| wrong(e).context("[privacy]"))?;
        Self::build(written, folder)
    }

    fn build(written: Written, folder: &Path) -> Result<Self> {
        let shop = library::schema()?;
        let mut tables = BTreeMap::new();
        for (name, table) in written.tables {
            let known = shop.iter().find(|t| t.name == name);
            let read =
                read_table(table, known).map_err(|e| e.context(format_args!("[tables.{name}]")))?;
            tables.insert(name, read);
        }
        let roles = written
            .roles
            .into_iter()
            .map(|(name, role)| {
                let role =
                    read_role(role).map_err(|e| e.context(format_args!("[roles.{name}]")))?;
                Ok((name, role))
            })
            .collect::<Result<_>>()?;
        let key = match (written.key_file, written.key_env) {
            (Some(_), Some(_)) => {
                return Err(Error::usage("`key_file` and `key_env` are two places for one key")
                    .hint("keep one of them"));
            }
            (Some(file), None) => Some(KeySource::File(folder.join(file))),
            (None, Some(name)) => Some(KeySource::Env(name)),
            (None, None) => None,
        };
        let rotate = written.audit_rotate.as_deref().unwrap_or(DEFAULT_ROTATE);
        let rotate = crate::config::parse_bytes(rotate)? as u64;
        let read = Self {
            tables,
            purposes: written
                .purposes
                .into_iter()
                .map(|(name, p)| (name, Purpose { consent: p.consent }))
                .collect(),
            consent: written.consent.map(|c| Consent {
                table: c.table,
                subject: c.subject,
                purpose: c.purpose,
                status: c.status,
                granted: c.granted,
                time: c.time,
                expires: c.expires,
                unit: c.unit.unwrap_or_else(|| DEFAULT_UNIT.into()),
                subject_type: c.subject_type.map(|t| (t.column, t.value)),
            }),
            roles,
            default_role: written.default_role,
            open_schemas: written.open_schemas,
            key,
            file: None,
            audit: written
                .audit
                .map(|folder_name| Audit { folder: folder.join(folder_name), rotate }),
        };
        read.agrees_with_itself()?;
        Ok(read)
    }
}

fn wrong(error: toml::de::Error) -> Error {
    Error::usage(error.to_string().trim().to_string())
}

fn read_table(written: WrittenTable, known: Option<&library::SchemaTable>) -> Result<Table> {
    let mut classes: BTreeMap<String, Class> = known
        .map(|t| t.columns.iter().map(|c| (c.name.clone(), c.class)).collect())
        .unwrap_or_default();
    let mut named: BTreeSet<String> = written.columns.keys().cloned().collect();
    named.extend(written.compare.iter().cloned());
    named.extend(written.bounds.keys().cloned());
    named.extend(written.retain.iter().map(|r| r.column.clone()));
    named.extend(written.key.iter().cloned());
    named.extend(written.link.iter().map(|l| l.column.clone()));
    classes.extend(written.columns);
    let unit = written.unit.unwrap_or_else(|| DEFAULT_UNIT.into());
    let owner = match (written.key, written.link) {
        (Some(_), Some(_)) => {
            return Err(Error::usage("`key` and `link` both say whose a row is")
                .hint("`key` when a column of the table holds the person, `link` when another table knows"));
        }
        (Some(column), None) => Some(Owner::Column(column)),
        (None, Some(link)) => {
            let Some((table, key)) = link.to.rsplit_once('.') else {
                return Err(Error::usage(format!("`{}` is not `table.column`", link.to)));
            };
            Some(Owner::Link { column: link.column, table: table.into(), key: key.into() })
        }
        (None, None) => None,
    };
    match (written.public, &owner) {
        (true, Some(_)) => {
            return Err(Error::usage("the table is public and has an owner")
                .hint("leave one of the two out"));
        }
        (false, None) => {
            return Err(Error::usage("nothing says whose the rows are")
                .hint("write `key = \"customer_id\"`, `link = { column = \"order_id\", to = \"orders.order_id\" }`, or `public = true`"));
        }
        (true, None) | (false, Some(_)) => {}
    }
    for (column, (low, high)) in &written.bounds {
        if low.partial_cmp(high) != Some(std::cmp::Ordering::Less) {
            return Err(Error::usage(format!("the bounds of `{column}` are not a low and a high")));
        }
    }
    for column in &written.compare {
        match classes.get(column) {
            Some(Class::Quasi | Class::Plain) => {}
            Some(class) => {
                return Err(Error::usage(format!(
                    "`{column}` is of class {}, and only columns of class quasi can be compared",
                    class.word()
                )));
            }
            None => {
                return Err(Error::usage(format!("`{column}` may be compared but has no class"))
                    .hint(format!("write `columns.{column} = \"quasi\"`")));
            }
        }
    }
    Ok(Table {
        named,
        public: written.public,
        unit,
        owner,
        classes,
        compare: written.compare,
        bounds: written.bounds,
        retain: written.retain.map(read_retention).transpose()?,
        purposes: written.purposes,
        k: written.k.map(at_least_two).transpose()?,
    })
}

fn read_retention(written: WrittenRetention) -> Result<Retention> {
    let wrong = || {
        Error::usage(format!("`{}` is not a length of time", written.length))
            .hint("write something like `25 months`, `3 years` or `90 days`")
    };
    let (number, unit) = written.length.trim().split_once(' ').ok_or_else(wrong)?;
    let number: i32 = number.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
    let (months, days) = match unit.trim().trim_end_matches('s') {
        "day" => (0, number),
        "month" => (number, 0),
        "year" => (number.checked_mul(12).ok_or_else(wrong)?, 0),
        _ => return Err(wrong()),
    };
    Ok(Retention { column: written.column, months, days })
}

fn read_role(written: WrittenRole) -> Result<Role> {
    let aggregate = written.openness == Openness::Aggregate;
    if !aggregate && (written.k.is_some() || written.dominance.is_some()) {
        return Err(Error::usage(format!(
            "`k` and `dominance` are of groups, and a role of openness {} sees rows",
            written.openness.word()
        )));
    }
    if let Some(share) = written.dominance
        && !(share > 0.0 && share <= 1.0)
    {
        return Err(Error::usage("`dominance` is a share above 0 and up to 1"));
    }
    Ok(Role {
        openness: written.openness,
        k: at_least_two(written.k.unwrap_or(DEFAULT_K))?,
        purposes: written.purposes,
        small_groups: written.small_groups,
        dominance: written.dominance,
    })
}

fn at_least_two(k: u64) -> Result<u64> {
    if (SMALLEST_K..=10_000).contains(&k) {
        Ok(k)
    } else {
        Err(Error::usage(format!("`k` is from {SMALLEST_K} to 10000; found {k}")))
    }
}
