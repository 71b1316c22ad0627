// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The gates that every plan passes before it runs. They belong to the session, so that no door can go around them.
//!
//! Two kinds. [`Gate`]s ask a plan a question. A privacy [`Policy`] changes it: what a session may read, and in which form,
//! becomes part of the plan.
//!
//! ```text
//! policy.toml → declarations → Policy: tables stand behind Guarded providers, which nothing can scan
//! plan → by role ┬ owner:          scans unlocked; retention and consent over them
//!                ├ pseudonymised:  the same, with pseudonyms in the place of identifiers
//!                └ aggregate:      gate.rs, with rules.rs for expressions, join.rs for two sides, groups.rs and release.rs for groups
//! ```

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::common::config::CatalogOptions;
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableScan, TableSource};
use datafusion::prelude::SessionContext;

use crate::catalog::Fence;
use crate::config::Config;
use crate::error::{Error, Result};

mod analysis;
mod audit;
mod audit_table;
mod calls;
mod checked;
mod complement;
mod conditions;
pub mod declarations;
mod fits;
mod gate;
mod groups;
mod guarded;
mod identity;
mod join;
mod kinds;
mod merge;
mod partner;
mod persons;
mod pseudonym;
mod read_only;
mod redact;
mod refusal;
mod release;
mod rights;
mod rows;
mod rules;
mod session;
mod state;
mod statements;
mod ticket;
mod union;
mod unlock;
mod who;
mod written;

pub use declarations::Declarations;
pub(crate) use guarded::Base;
pub(crate) use identity::identity;
pub(crate) use redact::shown;
pub use refusal::{Code, code_of};
pub(crate) use release::Planner;
pub use session::{Made, Session};
pub use ticket::Ticket;
pub use who::{Rights, Who};

use declarations::{Openness, Owner};
use guarded::Guarded;
use pseudonym::Key;

/// One question asked of every plan.
pub trait Gate: std::fmt::Debug + Send + Sync {
    /// Lets the plan pass or says why not.
    fn check(&self, plan: &LogicalPlan) -> Result<()>;
}

/// What a session allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Refuse everything that changes a table, a file or the session.
    pub read_only: bool,
    /// What the session's user may change.
    pub rights: Rights,
}

/// The gates of a session, in the order in which a plan meets them.
pub fn gates(rules: Rules) -> Vec<Box<dyn Gate>> {
    let mut gates: Vec<Box<dyn Gate>> = vec![];
    if rules.read_only {
        // First, because what may not be written need not be examined further.
        gates.push(Box::new(read_only::ReadOnly));
    }
    if rules.rights < Rights::Admin {
        gates.push(Box::new(rights::Allowed(rules.rights)));
    }
    gates
}

/// The privacy policy of an engine: the declarations, and the tables that they speak of.
#[derive(Debug)]
pub struct Policy {
    declared: Declarations,
    /// Every table there was when the policy was read.
    names: Vec<String>,
    tables: rows::Tables,
    /// The columns that links point at.
    pointed: BTreeSet<String>,
    key: Option<Key>,
    /// Tables that hold answers, because a role that sees groups only has made them.
    answers: RwLock<Vec<Arc<dyn TableProvider>>>,
    /// The views of the configuration.
    views: BTreeSet<String>,
    /// What a name without a schema meant when the policy was read.
    defaults: CatalogOptions,
    /// What tables are read from, and what the policy and the configuration are.
    fence: RwLock<Fence>,
    log: Option<audit::Log>,
    as_of: Option<i64>,
}

/// A plan that may be run.
#[derive(Debug)]
pub struct Passed {
    /// The plan.
    pub plan: LogicalPlan,
    /// Whether an error while it runs may hold what this role must not see.
    pub masked: bool,
    /// What it reads, and why it passed.
    pub found: Found,
    /// Its line in the audit log.
    pub ticket: Option<Ticket>,
}

/// What a statement reads and how the policy judged it, for the audit log and for `EXPLAIN PRIVACY`.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The tables of the policy that it reads.
    pub tables: BTreeSet<String>,
    /// Their columns that it names, each with its class: `customers.city (quasi)`.
    pub columns: BTreeSet<String>,
    /// What was decided, node by node from the leaves: the node, and what became of its rows.
    pub steps: Vec<(String, String)>,
}

impl Policy {
    /// Puts the tables of a session behind the gate, and finds what the policy says of tables and columns that are not
    /// there.
    pub async fn attach(
        ctx: &SessionContext,
        declared: Declarations,
        config: &Config,
    ) -> Result<Self> {
        let key = declared.key.as_ref().map(Key::read).transpose()?;
        let defaults = ctx.copied_config().options().catalog.clone();
        let names = guarded::guard_all(ctx, &defaults, &declared, |_| true, |_| false).await?;
        let mut tables = rows::Tables::new();
        for name in declared.tables.keys() {
            if !names.contains(name) {
                return Err(guarded::missing_table(name, &names));
            }
            let provider = ctx.table_provider(name.as_str()).await?;
            let table = provider.downcast_ref::<Guarded>().map(|g| {
                let inner = g.unlocked();
                Guarded::new(name.clone(), inner, g.declared().cloned(), g.is_open())
            });
            let table = table.ok_or_else(|| guarded::missing_table(name, &names))?;
            tables.insert(name.clone(), Arc::new(table));
        }
        let mut pointed = BTreeSet::new();
        for (name, table) in &declared.tables {
            if let Some(Owner::Link { table, key, .. }) = &table.owner {
                pointed.insert(format!("{table}.{key}"));
            }
            fits::check_columns(name, table, &tables)?;
        }
        fits::check_consent(&declared, &tables)?;
        let answers = RwLock::default();
        let mut fence = fits::fence(&declared, config)?;
        fits::fence_tables(ctx, &mut fence).await?;
        let log = declared.audit.as_ref().map(audit::Log::open).transpose()?;
        let mut policy = Self {
            declared,
            names,
            tables,
            pointed,
            key,
            answers,
            views: BTreeSet::new(),
            defaults: defaults.clone(),
            fence: RwLock::new(fence),
            log,
            as_of: config.as_of,
        };
        let view = |name: &String| policy.known_as(&TableReference::parse_str(name), &defaults);
        policy.views = config.views.keys().map(view).collect();
        Ok(policy)
    }

    fn log(&self) -> Option<&audit::Log> {
        self.log.as_ref()
    }

    /// What every table is to the policy, and what is closed because nobody has said anything: for `policy check`.
    pub fn summary(&self) -> Vec<String> {
        let mut lines = vec![];
        for name in &self.names {
            let Some(table) = self.tables.get(name) else {
                lines.push(format!("{name}: undeclared, refused to every role but an owner's"));
                continue;
            };
            let Some(declared) = table.declared() else { continue };
            let whose = match &declared.owner {
                None => "public".to_string(),
                Some(Owner::Column(column)) => format!("private, {} in {column}", declared.unit),
                Some(Owner::Link { column, table, key }) => {
                    format!("private, {} through {column} = {table}.{key}", declared.unit)
                }
            };
            lines.push(format!("{name}: {whose}"));
            let schema = table.schema();
            let unclassed: Vec<&str> = schema
                .fields()
                .iter()
                .map(|f| f.name().as_str())
                .filter(|c| !declared.public && !declared.classes.contains_key(*c))
                .collect();
            if !unclassed.is_empty() {
                lines.push(format!(
                    "  without a class, and so identifiers: {}",
                    unclassed.join(", ")
                ));
            }
        }
        for (name, role) in &self.declared.roles {
            let k = match role.openness {
                Openness::Aggregate => format!(", k {}", role.k),
                Openness::Owner | Openness::Pseudonymised => String::new(),
            };
            lines.push(format!("role {name}: {}{k}", role.openness.word()));
        }
        lines
    }

    fn is_answer(&self, target: &Arc<dyn TableSource>) -> bool {
        source_as_provider(target).is_ok_and(|provider| self.is_answer_table(&provider))
    }

    fn is_answer_table(&self, table: &Arc<dyn TableProvider>) -> bool {
        let answers = self.answers.read().unwrap_or_else(PoisonError::into_inner);
        answers.iter().any(|answer| Arc::ptr_eq(answer, table))
    }

    /// A table holds more than answers from now on, or again nothing else.
    fn set_answer(&self, table: Arc<dyn TableProvider>, is_answer: bool) {
        let mut answers = self.answers.write().unwrap_or_else(PoisonError::into_inner);
        // One that only this list holds has been dropped.
        answers.retain(|answer| !Arc::ptr_eq(answer, &table) && Arc::strong_count(answer) > 1);
        if is_answer {
            answers.push(table);
        }
    }

    /// What the policy file says.
    pub fn declared(&self) -> &Declarations {
        &self.declared
    }

    fn key(&self) -> Result<&Key> {
        self.key.as_ref().ok_or_else(|| Error::usage("the policy names no key for pseudonyms"))
    }

    /// How the policy writes a name of a session's, wherever its user has moved.
    fn known_as(&self, name: &TableReference, session: &CatalogOptions) -> String {
        let catalog = name.catalog().unwrap_or(&session.default_catalog);
        let schema = name.schema().unwrap_or(&session.default_schema);
        guarded::policy_name(&self.defaults, catalog, schema, name.table())
    }

    /// Whether a name is that of a view of the configuration.
    fn is_view(&self, name: &TableReference, session: &SessionState) -> bool {
        self.views.contains(&self.known_as(name, &session.config().options().catalog))
    }

    fn table(&self, name: &str) -> Result<&Guarded> {
        self.tables.get(name).map(AsRef::as_ref).ok_or_else(|| rows::undeclared(name))
    }

    fn is_pointed_at(&self, table: &str, column: &str) -> bool {
        self.pointed.contains(&format!("{table}.{column}"))
    }

    /// The columns of tables that have one of these names, with their classes.
    fn classes_of(&self, tables: &BTreeSet<String>, names: &BTreeSet<String>) -> BTreeSet<String> {
        let mut columns = BTreeSet::new();
        for table in tables {
            let Some(guarded) = self.tables.get(table) else { continue };
            let classes = guarded.declared().map(|d| &d.classes);
            for field in guarded.schema().fields().iter().filter(|f| names.contains(f.name())) {
                let class =
                    classes.and_then(|c| c.get(field.name())).map_or("identifier", |c| c.word());
                columns.insert(format!("{table}.{} ({class})", field.name()));
            }
        }
        columns
    }

    /// The moment from which retention and consent count, in nanoseconds since 1970.
    fn now(&self) -> i64 {
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let clock = clock.ok().and_then(|passed| i64::try_from(passed.as_nanos()).ok());
        self.as_of.or(clock).unwrap_or(i64::MAX)
    }

    /// Tables that hold nothing of persons without standing behind the gate: series of numbers, the names and types of the
    /// information schema, and answers that were kept.
    fn is_public_leaf(&self, scan: &TableScan) -> bool {
        if self.is_answer(&scan.source) {
            return true;
        }
        let Ok(provider) = source_as_provider(&scan.source) else { return false };
        if provider
            .downcast_ref::<datafusion::functions_table::generate_series::GenerateSeriesTable>()
            .is_some()
        {
            return true;
        }
        // What a recursion has found so far: its terms have been looked at, and are not private.
        if provider.downcast_ref::<datafusion::catalog::cte_worktable::CteWorkTable>().is_some() {
            return true;
        }
        // The definitions of views are other people's texts.
        scan.table_name.schema() == Some("information_schema")
            && scan.table_name.table() != "views"
            && provider.downcast_ref::<datafusion::catalog::streaming::StreamingTable>().is_some()
    }
}
