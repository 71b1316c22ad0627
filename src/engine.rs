// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`Engine`]: everything below a door, behind one handle.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::memory_pool::PeakRecordingPool;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{ShowStatementFilter, Statement as Sql};
use futures::future::BoxFuture;

mod check;
mod describe;
mod footprint;
mod ingest;
mod listing;
mod names;
mod prepared;
mod private;
mod rehearse;
mod sessions;

pub use check::Checked;
pub use describe::Described;
pub use footprint::Footprint;
pub use ingest::{IfExists, Ingest};
pub use listing::{Listed, Relation};
pub use names::{Column, Function, Names};
pub use prepared::literal;
pub use rehearse::Rehearsed;

use crate::catalog;
use crate::config::Config;
use crate::diagnostic::{nearest, or_list};
use crate::error::{Error, Kind, Result};
use crate::execute::{Meter, Rows};
use crate::expand::{LISTING, TableFunctions};
use crate::library::{Library, normalised};
use crate::policy::{self, Gate, Passed, Policy, Who};
use crate::session;
use crate::sink::{self, Outputs, Published};
use crate::statement::{Severity, Statement, parse};

/// A session with tables, functions, gates and outputs that appear whole.
///
/// What takes time returns a boxed future, so that it is compiled once, here, and not again in every program that waits for it.
pub struct Engine {
    ctx: SessionContext,
    shared: Arc<session::Shared>,
    who: Who,
    functions: Arc<TableFunctions>,
    gates: Vec<Box<dyn Gate>>,
    /// The privacy policy, where there is one.
    policy: Option<Arc<Policy>>,
    /// Who asks, under it.
    session: Option<policy::Session>,
    prepared: Mutex<prepared::Prepared>,
    tables: Vec<String>,
    /// Where outputs wait, while they do.
    held: Mutex<Option<Arc<Outputs>>>,
    footprint: footprint::Watch,
}

/// What a statement gave.
pub enum Outcome {
    /// Rows to read to their end.
    Rows(Rows),
    /// A number of rows that is known, and a file that appears, once the rows have been read to their end.
    Written(Rows),
    /// Its effect, which has been had.
    Done,
}

/// Adds every function and table function of Comptoir to somebody else's session.
///
/// Relation arguments that are bare names must be tables that the session's catalog gives at once, as in-memory schemas
/// do; files in quotes are looked up by a helper thread. For the best error places switch
/// `datafusion.sql_parser.collect_spans` on.
pub fn register(ctx: &SessionContext) -> Result<()> {
    session::register_library(ctx, Library::built_in()?.clone()).map(|_| ())
}

impl Engine {
    /// Opens a session as configured, with its tables.
    pub fn open(config: &Config) -> BoxFuture<'_, Result<Self>> {
        Box::pin(async move {
            let shared = Arc::new(session::Shared::new(config)?);
            let mut engine = Self::over(shared, Who::local(config.role.clone()))?;
            engine.tables = session::load(&engine.ctx, config).await?;
            session::check_published(&engine.ctx, config).await?;
            engine.policy = private::attach(&engine.ctx, config).await?;
            engine.enter()?;
            Ok(engine)
        })
    }

    /// Splits and parses a text: all of it, before any of it runs.
    pub fn parse(&self, text: &str) -> Result<Vec<Statement>> {
        parse(text)
    }

    /// Plans a statement, without running it.
    pub fn plan<'a>(&'a self, statement: &'a Statement) -> BoxFuture<'a, Result<LogicalPlan>> {
        Box::pin(async move { Ok(self.passed(statement).await?.plan) })
    }

    /// Plans a statement and sends the plan through the gates.
    fn passed<'a>(&'a self, statement: &'a Statement) -> BoxFuture<'a, Result<Passed>> {
        Box::pin(async move {
            let passed = self.judged(statement).await;
            let ticket = self.write_down(&statement.text, passed.as_ref().map(|p| &p.found))?;
            Ok(Passed { ticket, ..passed? })
        })
    }

    async fn judged(&self, statement: &Statement) -> Result<Passed> {
        let mut parsed = rewritten(&self.filled(&statement.parsed)?)?;
        self.functions.inline_scalars(&mut parsed)?;
        let state = self.ctx.state();
        let plan = state.statement_to_plan(parsed).await;
        let plan = plan.map_err(|e| {
            let error = self.told_of_outputs(self.explain(Error::from(e)));
            let named = error.span.is_none().then(|| statement.place_of_column(&error)).flatten();
            names::at_file(error.at(named), statement)
        })?;
        self.gates.iter().try_for_each(|gate| gate.check(&plan))?;
        let passed = self.through_policy(plan, &state)?;
        self.refuse_unpublished(&passed.plan)?;
        self.watch(&passed.plan).await?;
        Ok(passed)
    }

    /// Runs a statement up to its first row.
    pub fn run<'a>(&'a self, statement: &'a Statement) -> BoxFuture<'a, Result<Outcome>> {
        self.run_within(statement, None)
    }

    /// The same, under a meter for the memory that it holds.
    pub fn run_within<'a>(
        &'a self,
        statement: &'a Statement,
        meter: Option<&'a Arc<Meter>>,
    ) -> BoxFuture<'a, Result<Outcome>> {
        Box::pin(async move {
            if statement.asks_policy {
                return Ok(Outcome::Rows(self.explain_privacy(statement).await?));
            }
            if let Some(assertion) = &statement.assertion {
                let checked = self.check(statement, assertion, 0, None).await?;
                return match checked.failure(statement, assertion) {
                    Some(error) if assertion.severity == Severity::Error => Err(error),
                    _ => Ok(Outcome::Done),
                };
            }
            if let Parsed::Statement(sql) = &statement.parsed
                && let Sql::CreateMacro { or_replace, name, args, definition, .. } = sql.as_ref()
            {
                self.write_word_down(&statement.text)?;
                self.functions.define(
                    name,
                    args.clone().unwrap_or_default(),
                    definition.clone(),
                    *or_replace,
                )?;
                return Ok(Outcome::Done);
            }
            if let Parsed::Statement(sql) = &statement.parsed
                && let Some(done) = self.prepare(sql)?
            {
                self.write_word_down(&statement.text)?;
                return Ok(done);
            }
            if self.takes_purpose(&statement.parsed)? {
                self.write_word_down(&statement.text)?;
                return Ok(Outcome::Done);
            }
            let Passed { plan, masked, ticket, .. } = self.passed(statement).await?;
            let made = policy::Made::by(&plan);
            let defines = matches!(plan, LogicalPlan::Ddl(_) | LogicalPlan::Statement(_));
            let writes = matches!(plan, LogicalPlan::Copy(_) | LogicalPlan::Dml(_));
            let rows =
                Rows::start_within(&self.ctx, plan, self.held(), masked, ticket, meter).await;
            let rows = rows.map_err(|e| self.explain(e))?;
            self.settle(&made).await?;
            if writes {
                return Ok(Outcome::Written(rows));
            }
            Ok(if defines && rows.schema().fields().is_empty() {
                Outcome::Done
            } else {
                Outcome::Rows(rows)
            })
        })
    }

    /// Runs one statement and collects its rows: for programs and tests with small results.
    pub fn query<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Vec<RecordBatch>>> {
        Box::pin(async move {
            let mut last = vec![];
            for statement in parse(sql)? {
                last = match self.run(&statement).await? {
                    Outcome::Rows(rows) | Outcome::Written(rows) => rows.collect().await?,
                    Outcome::Done => vec![],
                };
            }
            Ok(last)
        })
    }

    /// From now on what statements write waits for [`Engine::publish`].
    pub fn hold_outputs(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::default());
    }

    /// The outputs that wait, while they do.
    pub fn held(&self) -> Option<Arc<Outputs>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets everything appear that has waited. What is written from now on appears at once.
    pub fn publish(&self) -> BoxFuture<'_, Result<Vec<Published>>> {
        Box::pin(async move {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
            match held {
                Some(held) => sink::publish(held.take()).await,
                None => Ok(vec![]),
            }
        })
    }

    /// Forgets everything that has waited.
    pub fn discard(&self) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(held.map(|held| held.take()));
    }

    /// The most memory that operators have held since the last time this was asked, in bytes; what flows between them
    /// is not counted. 0 for who sees no rows: memory tells how many groups there were, those left out as well.
    pub fn peak_memory(&self) -> usize {
        let runtime = self.ctx.runtime_env();
        let peak = PeakRecordingPool::from_pool(runtime.memory_pool.as_ref()).map(|pool| {
            let peak = pool.peak_reserved();
            pool.reset_peak();
            peak
        });
        peak.filter(|_| !self.hides_rows()).unwrap_or(0)
    }

    /// A file that waits to be published still has its old content: reading it now would give old numbers.
    fn refuse_unpublished(&self, plan: &LogicalPlan) -> Result<()> {
        plan.apply_with_subqueries(|node| match node {
            LogicalPlan::Dml(dml) if catalog::is_on_disk(&dml.target) => Err(Error::query(format!(
                "`{}` is a table of files, and a failure would leave some of the rows in it",
                dml.table_name
            ))
            .hint("write a folder of its own for each run: `COPY (…) TO 'table/day=2026-11-21/'`, which a second run replaces")
            .into()),
            // `EXPLAIN ANALYZE` writes as well, and `EXPLAIN` does not.
            LogicalPlan::Explain(_) => Ok(TreeNodeRecursion::Jump),
            _ => Ok(TreeNodeRecursion::Continue),
        })?;
        let Some(held) = self.held() else { return Ok(()) };
        let targets = held.targets();
        if targets.is_empty() {
            return Ok(());
        }
        let places = catalog::places_meant(&self.ctx, plan);
        for target in &targets {
            let place = catalog::place_at(target)?;
            if places.iter().any(|read| catalog::reads(read, &place)) {
                return Err(catalog::planned::appears_at_the_end(&target.display().to_string()));
            }
        }
        Ok(())
    }

    /// The same for a file that is not there yet.
    fn told_of_outputs(&self, error: Error) -> Error {
        let targets = self.held().map_or(vec![], |held| held.targets());
        // A path that the error names, or the name of its table.
        let is_in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '=');
        let words: Vec<&str> = error.message.split(|c| !is_in_word(c)).collect();
        let meant = |t: &std::path::PathBuf| {
            t.file_name().is_some_and(|n| words.contains(&&*n.to_string_lossy()))
        };
        match targets.into_iter().find(meant) {
            Some(target) => Error { kind: Kind::Query, ..error }
                .note(format!(
                    "`{}` is written earlier in this script and appears at its end",
                    target.display()
                ))
                .hint("keep the rows with `CREATE TABLE name AS …`, or run with `--publish each`"),
            None => error,
        }
    }

    /// Keeps or forgets a prepared statement.
    fn prepare(&self, sql: &Sql) -> Result<Option<Outcome>> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        match sql {
            Sql::Prepare { name, data_types, statement } => {
                prepared.add(&normalised(name), data_types, statement)?;
                Ok(Some(Outcome::Done))
            }
            Sql::Deallocate { name, .. } => {
                prepared.remove(&normalised(name))?;
                Ok(Some(Outcome::Done))
            }
            _ => Ok(None),
        }
    }

    /// `EXECUTE name(values)` becomes the statement that was prepared, with its values.
    fn filled(&self, parsed: &Parsed) -> Result<Parsed> {
        if let Parsed::Statement(sql) = parsed
            && let Sql::Execute { name: Some(name), parameters, .. } = sql.as_ref()
            && let Some(ident) = name.0.last().and_then(|p| p.as_ident())
        {
            let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(Parsed::Statement(Box::new(prepared.fill(&normalised(ident), parameters)?)));
        }
        Ok(parsed.clone())
    }

    /// The tables that the configuration loaded.
    pub fn tables(&self) -> &[String] {
        &self.tables
    }

    /// The analyses that come with Comptoir.
    pub fn library(&self) -> Result<&'static Library> {
        Library::built_in()
    }

    /// Adds what only the session knows to an error of DataFusion's: the names that exist.
    fn explain(&self, error: Error) -> Error {
        let quoted = |prefix: &str| {
            let rest = error.message.strip_prefix(prefix)?;
            rest.split('\'').next().map(str::to_string)
        };
        if let Some(table) = quoted("table '")
            && error.message.ends_with("not found")
        {
            // `catalog.schema.name`, the name as it was written, with its dots and capitals.
            let reference = match table.splitn(3, '.').collect::<Vec<_>>().as_slice() {
                [_, "public", name] => TableReference::bare(*name),
                [_, schema, name] => TableReference::partial(*schema, *name),
                _ => TableReference::bare(table.as_str()),
            };
            return self.functions.unknown_table(&reference).at(error.span);
        }
        if error.message.starts_with("There is no registered file format") {
            return error.hint(
                "COPY writes parquet, csv, json (an object a line, as JSONL is), arrow and html: \
                 name the file so, or add `STORED AS JSON`; `--output FILE` knows more formats",
            );
        }
        let function =
            quoted("Invalid function '").or_else(|| quoted("There is no window function named "));
        if let Some(name) = function.map(|n| n.trim().to_string()) {
            let unknown = Error::query(format!("there is no function `{name}`")).at(error.span);
            if self.functions.knows(&name) {
                return unknown
                    .note(format!("`{name}` is a table function"))
                    .hint(format!("write `SELECT … FROM {name}(…)`"));
            }
            let mut names = self.functions.names();
            let state = self.ctx.state();
            names.extend(state.scalar_functions().keys().cloned());
            names.extend(state.aggregate_functions().keys().cloned());
            names.extend(state.window_functions().keys().cloned());
            return match nearest(&name, names.iter().map(String::as_str)).as_slice() {
                [] => unknown.hint(format!("`SELECT * FROM {LISTING}()` lists all of them")),
                near => unknown.hint(format!("did you mean {}?", or_list(near))),
            };
        }
        error
    }
}

/// `SHOW FUNCTIONS` knows nothing of table functions upstream: ours reads our own listing.
fn rewritten(parsed: &Parsed) -> Result<Parsed> {
    let Parsed::Statement(sql) = parsed else { return Ok(parsed.clone()) };
    let Sql::ShowFunctions { filter, .. } = sql.as_ref() else { return Ok(parsed.clone()) };
    let condition = match filter {
        None => String::new(),
        Some(ShowStatementFilter::Like(pattern)) => {
            format!(" WHERE name LIKE '{}'", pattern.replace('\'', "''"))
        }
        Some(ShowStatementFilter::ILike(pattern)) => {
            format!(" WHERE name ILIKE '{}'", pattern.replace('\'', "''"))
        }
        Some(ShowStatementFilter::Where(condition)) => format!(" WHERE {condition}"),
        Some(ShowStatementFilter::NoKeyword(word)) => {
            format!(" WHERE name LIKE '{}'", word.replace('\'', "''"))
        }
    };
    let statements = parse(&format!("SELECT * FROM {LISTING}(){condition} ORDER BY name, kind"))?;
    statements
        .into_iter()
        .next()
        .map(|s| s.parsed)
        .ok_or_else(|| Error::query("SHOW FUNCTIONS failed"))
}
