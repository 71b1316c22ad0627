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
//!                └ aggregate:      gate.rs, with rules.rs for expressions, join.rs for two sides, release.rs for groups
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{
    DdlStatement, LogicalPlan, LogicalPlanBuilder, TableScan, TableSource,
};
use datafusion::prelude::SessionContext;

use crate::error::{Error, Result};
use crate::expand::Marker;

mod audit;
mod audit_table;
mod checked;
mod complement;
pub mod declarations;
mod gate;
mod guarded;
mod identity;
mod join;
mod merge;
mod persons;
mod pseudonym;
mod read_only;
mod redact;
mod refusal;
mod release;
mod rights;
mod rows;
mod rules;
mod state;
mod statements;
mod ticket;
mod who;

pub use declarations::Declarations;
pub(crate) use guarded::Base;
pub(crate) use identity::identity;
pub use refusal::{Code, code_of};
pub(crate) use release::Planner;
pub use ticket::Ticket;
pub use who::{Rights, Who};

use declarations::{Openness, Owner, Role};
use guarded::{Guarded, guarded};
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
    /// The files and folders that tables of the policy are read from, and those of the policy itself.
    paths: Vec<PathBuf>,
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
        as_of: Option<i64>,
    ) -> Result<Self> {
        let key = declared.key.as_ref().map(Key::read).transpose()?;
        let names = guard(ctx, &declared).await?;
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
            check_columns(name, table, &tables)?;
        }
        check_consent(&declared, &tables)?;
        let answers = RwLock::default();
        let paths = protected_paths(ctx, &declared).await?;
        let log = declared.audit.as_ref().map(audit::Log::open).transpose()?;
        Ok(Self { declared, names, tables, pointed, key, answers, paths, log, as_of })
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

    /// Refuses a target that would overwrite what the policy protects.
    fn may_write(&self, target: &str) -> Result<()> {
        let path = match url::Url::parse(target) {
            Ok(url) if url.scheme() == "file" => url.to_file_path().ok(),
            Ok(_) => None,
            Err(_) => std::path::absolute(target).ok(),
        };
        let Some(path) = path else { return Ok(()) };
        let real = real_path(&path);
        match self.paths.iter().any(|p| real.starts_with(p) || p.starts_with(&real)) {
            true => Err(statements::protected(&path.display().to_string(), "written to")),
            false => Ok(()),
        }
    }

    fn is_answer(&self, target: &Arc<dyn TableSource>) -> bool {
        let Ok(provider) = source_as_provider(target) else { return false };
        let answers = self.answers.read().unwrap_or_else(PoisonError::into_inner);
        answers.iter().any(|answer| Arc::ptr_eq(answer, &provider))
    }

    /// What the policy file says.
    pub fn declared(&self) -> &Declarations {
        &self.declared
    }

    fn key(&self) -> Result<&Key> {
        self.key.as_ref().ok_or_else(|| Error::usage("the policy names no key for pseudonyms"))
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

/// A plan as text, without constants and without anything about files.
pub(crate) fn shown(plan: LogicalPlan) -> Result<String> {
    Ok(redact::plan(plan)?.display_indent().to_string())
}

/// Puts every table behind the gate that is not yet there.
async fn guard(ctx: &SessionContext, declared: &Declarations) -> Result<Vec<String>> {
    guarded::guard_all(
        ctx,
        |name| declared.tables.get(name).cloned().map(Arc::new),
        |schema| declared.open_schemas.contains(schema),
    )
    .await
}

/// The files of every table behind the gate, and those of the policy.
async fn protected_paths(ctx: &SessionContext, declared: &Declarations) -> Result<Vec<PathBuf>> {
    let mut paths = vec![];
    for table in guarded::all(ctx).await? {
        let Some(table) = table.downcast_ref::<Guarded>() else { continue };
        let source = provider_as_source(table.unlocked());
        let plan = LogicalPlanBuilder::scan(table.name(), source, None)?.build()?;
        paths.extend(crate::catalog::paths_read(&plan));
    }
    if let Some(declarations::KeySource::File(file)) = &declared.key {
        paths.push(file.clone());
    }
    paths.extend(declared.audit.iter().map(|audit| audit.folder.clone()));
    paths.extend(declared.file.clone());
    Ok(paths.iter().map(|path| real_path(path)).collect())
}

/// The path without links, as far as it is there.
fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let there = absolute.ancestors().find_map(|a| Some((a, a.canonicalize().ok()?)));
    match there {
        Some((found, real)) => match absolute.strip_prefix(found) {
            Ok(rest) if rest.as_os_str().is_empty() => real,
            Ok(rest) => real.join(rest),
            Err(_) => absolute,
        },
        None => absolute,
    }
}

/// Finds columns that the policy names and the table does not have, or that cannot be what it says.
fn check_columns(name: &str, declared: &declarations::Table, tables: &rows::Tables) -> Result<()> {
    let here = |e: Error| e.context(format_args!("[tables.{name}]"));
    let Some(table) = tables.get(name) else { return Err(rows::undeclared(name)) };
    let schema = table.schema();
    let found: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let missing = |column: &str| {
        let error = Error::usage(format!("the table has no column `{column}`"));
        match crate::diagnostic::nearest(column, found.iter().copied()).as_slice() {
            [] => error.note(format!("its columns are {}", found.join(", "))),
            near => error.hint(format!("did you mean {}?", crate::diagnostic::or_list(near))),
        }
    };
    if let Some(column) = declared.named.iter().find(|c| !found.contains(&c.as_str())) {
        return Err(here(missing(column)));
    }
    if declared.public && declared.classes.is_empty() {
        return Ok(());
    }
    let type_of = |column: &str| schema.field_with_name(column).map(|f| f.data_type().clone());
    let key = |column: &str| -> Result<()> {
        let data_type = type_of(column)?;
        match persons::is_text(&data_type) || data_type.is_integer() {
            true => Ok(()),
            false => Err(Error::usage(format!(
                "`{column}` is of type {data_type}, and a key is text or a whole number"
            ))),
        }
    };
    match &declared.owner {
        Some(Owner::Column(column)) => key(column).map_err(here)?,
        Some(Owner::Link { column, table: target, key: pointed }) => {
            key(column).map_err(here)?;
            let there = tables.get(target).map(|t| t.schema());
            if there.is_none_or(|s| s.field_with_name(pointed).is_err()) {
                return Err(here(Error::usage(format!(
                    "its link leads to `{target}.{pointed}`, and there is no such column"
                ))));
            }
        }
        None => {}
    }
    for column in declared.bounds.keys() {
        if !type_of(column)?.is_numeric() {
            return Err(here(Error::usage(format!("`{column}` has bounds and is not a number"))));
        }
    }
    if let Some(retain) = &declared.retain
        && !matches!(type_of(&retain.column)?, DataType::Timestamp(..) | DataType::Date32)
    {
        return Err(here(Error::usage(format!(
            "`{}` says how old a row is, and is not a date",
            retain.column
        ))));
    }
    Ok(())
}

fn check_consent(declared: &Declarations, tables: &rows::Tables) -> Result<()> {
    let Some(consent) = &declared.consent else { return Ok(()) };
    let here = |e: Error| e.context("[consent]");
    let Some(table) = tables.get(&consent.table) else {
        return Err(here(Error::usage(format!("`{}` is not a declared table", consent.table))));
    };
    let columns = [&consent.subject, &consent.purpose, &consent.status, &consent.time];
    let optional = [consent.expires.as_ref(), consent.subject_type.as_ref().map(|(c, _)| c)];
    for column in columns.into_iter().chain(optional.into_iter().flatten()) {
        if table.schema().field_with_name(column).is_err() {
            return Err(here(Error::usage(format!(
                "`{}` has no column `{column}`",
                consent.table
            ))));
        }
    }
    Ok(())
}

/// A session under a policy: who asks, in which role, for which purpose.
#[derive(Debug)]
pub struct Session {
    policy: Arc<Policy>,
    who: Who,
    role_name: String,
    role: Role,
    purpose: Mutex<Option<String>>,
}

impl Session {
    /// A session of somebody's.
    pub fn new(policy: Arc<Policy>, who: Who) -> Result<Self> {
        // A door's own words for what somebody may change are no roles, unless the policy has them.
        let asked = who.role.as_deref().filter(|role| {
            Rights::named(role).is_none() || policy.declared().roles.contains_key(*role)
        });
        let (name, role) = policy.declared().role(asked)?;
        let (role_name, role) = (name.to_string(), role.clone());
        Ok(Self { policy, who, role_name, role, purpose: Mutex::default() })
    }

    /// The policy.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Who asks.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// The role's name.
    pub fn role_name(&self) -> &str {
        &self.role_name
    }

    /// How open the role is.
    pub fn openness(&self) -> Openness {
        self.role.openness
    }

    /// The purpose that is set.
    pub fn purpose(&self) -> Option<String> {
        self.purpose.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds `sys.audit` to an owner's session.
    pub fn show_log(&self, ctx: &SessionContext) -> Result<()> {
        match (self.role.openness, self.policy.log()) {
            (Openness::Owner, Some(_)) => audit_table::register(ctx, &self.policy),
            (_, _) => Ok(()),
        }
    }

    /// `SET purpose = '…'`; `None` takes it back.
    pub fn set_purpose(&self, purpose: Option<&str>) -> Result<()> {
        if let Some(purpose) = purpose {
            let known = self.policy.declared().purposes.contains_key(purpose);
            let allowed = self.role.purposes.is_empty() || self.role.purposes.contains(purpose);
            if !known || !allowed {
                let mine: Vec<&str> = match self.role.purposes.is_empty() {
                    true => self.policy.declared().purposes.keys().map(String::as_str).collect(),
                    false => self.role.purposes.iter().map(String::as_str).collect(),
                };
                return Err(refusal::refusal(
                    Code::NotAllowed,
                    format!("`{purpose}` is not a purpose of the role `{}`", self.role_name),
                )
                .hint(format!("its purposes are: {}", mine.join(", "))));
            }
        }
        *self.purpose.lock().unwrap_or_else(PoisonError::into_inner) = purpose.map(str::to_string);
        Ok(())
    }

    /// Turns a plan into one that this session may run, or refuses it.
    pub fn pass(&self, plan: LogicalPlan, state: &SessionState) -> Result<Passed> {
        let purpose = self.purpose();
        if !self.role.purposes.is_empty() && purpose.is_none() && statements::reads(&plan) {
            let words: Vec<&str> = self.role.purposes.iter().map(String::as_str).collect();
            return Err(refusal::refusal(
                Code::NotAllowed,
                format!("the role `{}` reads for a purpose, and none is set", self.role_name),
            )
            .hint(format!("`SET purpose = '…'` with one of: {}", words.join(", "))));
        }
        let names = statements::columns_named(&plan)?;
        let reading = rows::Reading::new(&self.policy, purpose.as_deref())?;
        match self.role.openness {
            Openness::Aggregate => {
                let gate = gate::Gate::new(reading, &self.role, state);
                let plan = statements::pass(&gate, plan)?;
                let trail = gate.trail.into_inner();
                let mut found =
                    Found { tables: trail.tables, steps: trail.steps, ..Found::default() };
                found.columns = self.policy.classes_of(&found.tables, &names);
                Ok(Passed { plan, masked: trail.private, found, ticket: None })
            }
            openness => {
                let mut found = Found::default();
                let plan = unlock(&reading, plan, openness, &mut found)?;
                let masked = openness != Openness::Owner;
                found.columns = self.policy.classes_of(&found.tables, &names);
                found.steps.push((
                    "scan".into(),
                    format!("rows as the role `{}` sees them", self.role_name),
                ));
                Ok(Passed { plan, masked, found, ticket: None })
            }
        }
    }

    /// After a statement has had its effect: a table that it has made is an answer, or stands behind the gate.
    pub async fn settle(&self, ctx: &SessionContext, made: &Made) -> Result<()> {
        let Made(Some(name)) = made else { return Ok(()) };
        match self.role.openness {
            Openness::Aggregate => {
                let provider = ctx.table_provider(name.clone()).await?;
                let mut answers =
                    self.policy.answers.write().unwrap_or_else(PoisonError::into_inner);
                // A view is its query, which the gate reads each time.
                if provider.get_logical_plan().is_none() {
                    answers.push(provider);
                }
            }
            Openness::Owner | Openness::Pseudonymised => {
                guard(ctx, self.policy.declared()).await?;
            }
        }
        Ok(())
    }
}

/// The table that a statement makes, if it makes one.
#[derive(Clone, Debug)]
pub struct Made(Option<datafusion::common::TableReference>);

impl Made {
    /// What a plan makes.
    pub fn by(plan: &LogicalPlan) -> Self {
        Made(match plan {
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table)) => Some(table.name.clone()),
            LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table)) => Some(table.name.clone()),
            LogicalPlan::Ddl(DdlStatement::CreateView(view)) => Some(view.name.clone()),
            _ => None,
        })
    }
}

/// The plan of a role that sees rows: tables as it may read them, and no markers.
fn unlock(
    reading: &rows::Reading,
    plan: LogicalPlan,
    openness: Openness,
    found: &mut Found,
) -> Result<LogicalPlan> {
    // A view is kept as it was written: who reads it later has a role of their own.
    if let LogicalPlan::Ddl(DdlStatement::CreateView(view)) = &plan {
        unlock(reading, view.input.as_ref().clone(), openness, found)?;
        return Ok(plan);
    }
    let done = plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::Extension(extension) => match Marker::of(&extension) {
            // A marker may stand directly in another.
            Some(marker) => {
                let mut inner = marker.input.clone();
                while let LogicalPlan::Extension(next) = &inner
                    && let Some(marker) = Marker::of(next)
                {
                    inner = marker.input.clone();
                }
                match table_read(reading, &inner, openness, found)? {
                    Some(table) => Ok(jump(table)),
                    None => Ok(Transformed::yes(inner)),
                }
            }
            None => Ok(Transformed::no(LogicalPlan::Extension(extension))),
        },
        LogicalPlan::Dml(mut dml) => {
            if let Some(provider) = guarded(&dml.target)
                && let Some(table) = provider.downcast_ref::<Guarded>()
            {
                if openness != Openness::Owner && table.declared().is_some() {
                    return Err(statements::protected(table.name(), "written to").into());
                }
                dml.target = provider_as_source(table.unlocked());
            }
            Ok(Transformed::yes(LogicalPlan::Dml(dml)))
        }
        node => match table_read(reading, &node, openness, found)? {
            Some(table) => Ok(jump(table)),
            None => Ok(Transformed::no(node)),
        },
    })?;
    Ok(done.data)
}

fn jump(plan: LogicalPlan) -> Transformed<LogicalPlan> {
    Transformed::new(plan, true, datafusion::common::tree_node::TreeNodeRecursion::Jump)
}

fn table_read(
    reading: &rows::Reading,
    node: &LogicalPlan,
    openness: Openness,
    found: &mut Found,
) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::TableScan(scan) = node else { return Ok(None) };
    match guarded(&scan.source) {
        Some(provider) => {
            let Some(table) = provider.downcast_ref::<Guarded>() else { return Ok(None) };
            found.tables.insert(table.name().to_string());
            reading.open(table, &scan.table_name, openness).map(Some)
        }
        // A role that sees pseudonyms reads no file that the policy does not know.
        None if openness == Openness::Owner || reading.policy.is_public_leaf(scan) => Ok(None),
        None => Err(rows::undeclared(&scan.table_name.to_string())),
    }
}
