// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The policy file as typed declarations: what the operator says of tables, columns, purposes and roles.
//!
//! Nothing that a session can say changes any of it. What is not declared is closed: a table without a declaration is
//! refused to every role but an open one, and a column that neither the file nor the canonical shop classes is an
//! identifier.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::Privacy;
use crate::error::{Error, Result};
use crate::library::PrivacyClass as Class;

/// Everything that the policy file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declarations {
    /// Tables by name: `orders`, or `schema.orders`.
    pub tables: BTreeMap<String, Table>,
    /// Purposes by name.
    pub purposes: BTreeMap<String, Purpose>,
    /// Where consent is written down.
    pub consent: Option<Consent>,
    /// Roles by name.
    pub roles: BTreeMap<String, Role>,
    /// The role of a session that names none.
    pub default_role: Option<String>,
    /// Schemas whose undeclared tables are open, unless a role that sees pseudonyms has made them.
    pub open_schemas: BTreeSet<String>,
    /// Where the key of pseudonyms is.
    pub key: Option<KeySource>,
    /// The folder of the audit log.
    pub audit: Option<Audit>,
    /// The file that all this was read from.
    pub file: Option<PathBuf>,
}

/// What is said of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// True for tables about things.
    pub public: bool,
    /// The kind of unit that its rows belong to: `person`.
    pub unit: String,
    /// How a row is known to be somebody's.
    pub owner: Option<Owner>,
    /// The class of every column that has one.
    pub classes: BTreeMap<String, Class>,
    /// The columns of class quasi that a filter may compare with a constant.
    pub compare: BTreeSet<String>,
    /// The public bounds of measures, to which differential privacy will cut them. They are checked against the columns, and
    /// change no answer yet.
    pub bounds: BTreeMap<String, (f64, f64)>,
    /// How long rows may be used.
    pub retain: Option<Retention>,
    /// The purposes for which the table may be read; `None` is every one.
    pub purposes: Option<BTreeSet<String>>,
    /// The smallest group of this table, where it is stricter than the role's.
    pub k: Option<u64>,
    /// The columns that the file names, which therefore have to be there.
    pub named: BTreeSet<String>,
}

/// How a row is known to be somebody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A column holds the unit.
    Column(String),
    /// A column points at a row of another table, whose owner it is.
    Link {
        /// The column that points.
        column: String,
        /// The table that it points at.
        table: String,
        /// The column there.
        key: String,
    },
}

/// How long rows may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The column that says how old a row is.
    pub column: String,
    /// Months and days.
    pub months: i32,
    /// Days on top of the months.
    pub days: i32,
}

/// What data may be used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purpose {
    /// The word of the consent table that allows it; `None` when no consent is needed.
    pub consent: Option<String>,
}

/// The table of consents and its columns. The latest decision wins, and none is a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The table.
    pub table: String,
    /// Who decided.
    pub subject: String,
    /// What about.
    pub purpose: String,
    /// The decision.
    pub status: String,
    /// The word that allows.
    pub granted: String,
    /// When.
    pub time: String,
    /// Until when, where a decision lapses.
    pub expires: Option<String>,
    /// The kind of unit that subjects are.
    pub unit: String,
    /// The column that says which kind of unit a subject is, and the word for ours.
    pub subject_type: Option<(String, String)>,
}

/// What a role may see.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// How open it is.
    pub openness: Openness,
    /// The smallest number of units a released group holds.
    pub k: u64,
    /// The purposes that it may act for; one of them has to be set.
    pub purposes: BTreeSet<String>,
    /// What becomes of smaller groups.
    pub small_groups: SmallGroups,
    /// The largest share of a sum that one unit may hold.
    pub dominance: Option<f64>,
}

/// How open a role is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Openness {
    /// Everything, audited.
    Owner,
    /// Rows, with pseudonyms instead of identifiers.
    Pseudonymised,
    /// Groups of at least k units.
    Aggregate,
}

impl Openness {
    /// The word of the policy file.
    pub fn word(self) -> &'static str {
        match self {
            Openness::Owner => "owner",
            Openness::Pseudonymised => "pseudonymised",
            Openness::Aggregate => "aggregate",
        }
    }
}

/// What becomes of groups below k.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmallGroups {
    /// They are left out.
    #[default]
    Omit,
    /// They become one row whose keys are NULL, if that has k units.
    Merge,
}

/// Where the key of pseudonyms is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file; its bytes are the key.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// The audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Its folder.
    pub folder: PathBuf,
    /// The size at which a file is closed and the next begun, in bytes.
    pub rotate: u64,
}

impl Declarations {
    /// Reads the file at a path; paths in it start at its folder.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::usage(format!("cannot read the privacy policy `{}`: {e}", path.display()))
        })?;
        let read = Self::parse(&text, path.parent().unwrap_or(Path::new("")))
            .map_err(|e| e.context(format_args!("`{}`", path.display())))?;
        Ok(Self { file: Some(path.to_path_buf()), ..read })
    }

    /// Reads what a configuration says of privacy.
    pub fn of(privacy: &Privacy) -> Result<Self> {
        match privacy {
            Privacy::File(path) => Self::load(path),
            Privacy::Here { table, folder } => Self::of_table(table.clone(), folder),
        }
    }

    /// Finds what contradicts within the file, before any table is looked at.
    pub(super) fn agrees_with_itself(&self) -> Result<()> {
        if self.roles.is_empty() {
            return Err(Error::usage("a privacy policy needs a role")
                .hint("write for example `[roles.analyst]` with `openness = \"aggregate\"`"));
        }
        if let Some(role) = &self.default_role {
            self.role(Some(role)).map_err(|e| e.context("`default_role`"))?;
        }
        for (name, role) in &self.roles {
            for purpose in &role.purposes {
                self.known_purpose(purpose)
                    .map_err(|e| e.context(format_args!("[roles.{name}]")))?;
            }
            if role.openness == Openness::Pseudonymised && self.key.is_none() {
                return Err(Error::usage(format!(
                    "the role `{name}` needs a key for its pseudonyms"
                ))
                .hint("name one with `key_file = \"…\"` or `key_env = \"…\"`"));
            }
        }
        for (name, purpose) in &self.purposes {
            if purpose.consent.is_some() && self.consent.is_none() {
                return Err(Error::usage(format!(
                    "the purpose `{name}` needs consent, and no [consent] says where it is kept"
                )));
            }
        }
        for (name, table) in &self.tables {
            let here = |e: Error| e.context(format_args!("[tables.{name}]"));
            for purpose in table.purposes.iter().flatten() {
                self.known_purpose(purpose).map_err(here)?;
            }
            if table.public {
                let personal = table.classes.iter().find(|(_, class)| **class != Class::Plain);
                if let Some((column, class)) = personal {
                    return Err(here(Error::usage(format!(
                        "the table is public, and its column `{column}` is of class {}",
                        class.word()
                    ))));
                }
            }
            self.ends_at_a_unit(name, &mut vec![]).map_err(here)?;
        }
        Ok(())
    }

    /// The tables of a name and of its links, up to the one that holds the unit.
    pub(super) fn line_of(&self, name: &str) -> impl Iterator<Item = (&str, &Table)> {
        let first = self.tables.get_key_value(name);
        std::iter::successors(first, |(_, table)| match &table.owner {
            Some(Owner::Link { table, .. }) => self.tables.get_key_value(table),
            Some(Owner::Column(_)) | None => None,
        })
        .map(|(name, table)| (name.as_str(), table))
    }

    /// The strictest k of a table and of those that its links lead to: its rows are theirs.
    pub(super) fn smallest_k(&self, name: &str) -> Option<u64> {
        self.line_of(name).filter_map(|(_, table)| table.k).max()
    }

    /// Follows links to the table that holds the unit.
    fn ends_at_a_unit(&self, name: &str, path: &mut Vec<String>) -> Result<()> {
        if path.iter().any(|p| p == name) {
            return Err(Error::usage(format!("the links go round: {} → {name}", path.join(" → "))));
        }
        path.push(name.to_string());
        let Some(table) = self.tables.get(name) else {
            return Err(Error::usage(format!("its link leads to `{name}`, which is not declared")));
        };
        match &table.owner {
            None if path.len() > 1 => {
                Err(Error::usage(format!("its link leads to `{name}`, which belongs to nobody")))
            }
            None | Some(Owner::Column(_)) => Ok(()),
            Some(Owner::Link { table, .. }) => self.ends_at_a_unit(table, path),
        }
    }

    fn known_purpose(&self, purpose: &str) -> Result<()> {
        if self.purposes.contains_key(purpose) {
            return Ok(());
        }
        let names: Vec<&str> = self.purposes.keys().map(String::as_str).collect();
        Err(Error::usage(format!("`{purpose}` is not a purpose of the policy"))
            .note(format!("its purposes are {}", names.join(", "))))
    }

    /// The role of that name, or the default one.
    pub fn role(&self, name: Option<&str>) -> Result<(&str, &Role)> {
        let names: Vec<&str> = self.roles.keys().map(String::as_str).collect();
        let Some(name) = name.or(self.default_role.as_deref()) else {
            return Err(Error::usage(
                "this configuration has a privacy policy, and no role is named",
            )
            .hint(format!("name one with `--role NAME`: {}", names.join(", "))));
        };
        self.roles.get_key_value(name).map(|(name, role)| (name.as_str(), role)).ok_or_else(|| {
            Error::usage(format!("`{name}` is not a role of the privacy policy"))
                .note(format!("its roles are {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
default_role = "analyst"
key_env = "K"
audit = "audit"
[tables.customers]
key = "customer_id"
compare = ["country_code"]
[tables.order_lines]
link = { column = "order_id", to = "orders.order_id" }
[tables.orders]
key = "customer_id"
retain = { column = "created_timestamp", for = "3 years" }
bounds.total_price = [0, 5000]
[tables.products]
public = true
[purposes.marketing]
consent = "email_marketing"
[consent]
table = "consents"
subject = "subject_id"
purpose = "purpose"
status = "status"
granted = "granted"
time = "consent_timestamp"
[roles.analyst]
openness = "aggregate"
k = 5
purposes = ["marketing"]
[roles.boss]
openness = "owner"
"#;

    #[test]
    fn a_good_policy_is_read_with_the_shops_classes() {
        let policy = Declarations::parse(GOOD, Path::new("/etc")).expect("is good");
        assert_eq!(policy.tables["customers"].classes["email"], Class::Direct);
        assert_eq!(policy.tables["orders"].retain.as_ref().map(|r| r.months), Some(36));
        assert_eq!(policy.role(None).expect("has one").0, "analyst");
        assert_eq!(policy.audit.as_ref().map(|a| a.folder.clone()), Some("/etc/audit".into()));
        assert!(policy.role(Some("nobody")).is_err());
    }

    #[test]
    fn contradictions_are_refused_with_the_reason() {
        for (from, to, said) in [
            ("k = 5", "k = 1", "`k` is from 2"),
            ("public = true", "", "nothing says whose the rows are"),
            ("public = true", "public = true\nkey = \"sku\"", "public and has an owner"),
            ("public = true", "public = true\ncolumns.sku = \"quasi\"", "`sku` is of class quasi"),
            ("to = \"orders.order_id\"", "to = \"order_lines.order_id\"", "go round"),
            ("to = \"orders.order_id\"", "to = \"products.sku\"", "belongs to nobody"),
            ("to = \"orders.order_id\"", "to = \"nothing.sku\"", "not declared"),
            ("[\"country_code\"]", "[\"email\"]", "only columns of class quasi"),
            ("[\"marketing\"]", "[\"war\"]", "`war` is not a purpose"),
            ("default_role = \"analyst\"", "default_role = \"x\"", "`x` is not a role"),
            ("\"3 years\"", "\"soon\"", "not a length of time"),
            ("[0, 5000]", "[5000, 0]", "not a low and a high"),
            ("openness = \"owner\"", "openness = \"owner\"\nk = 4", "sees rows"),
            ("openness = \"owner\"", "openness = \"all\"", "all"),
            ("audit = \"audit\"", "audits = \"audit\"", "audits"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let error = Declarations::parse(&GOOD.replacen(from, to, 1), Path::new(""));
            let error = error.expect_err(said).message;
            assert!(error.contains(said), "{error} should say {said}");
        }
    }
}
