// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `--state FILE`: what the last run did and from what, so that this one need not do it again.
//!
//! A statement is left out when four things hold. Its text, with its parameters in their places, is the same. The session
//! it meets is the same: every earlier statement that makes something for the session (a table, a view, a macro, a
//! setting) is linked into a chain of fingerprints, and one that differs, or whose files have changed, breaks the chain
//! for all that follow. The files that it read are as they were. The files that it wrote are as it left them, and no
//! earlier statement writes them or its inputs in this run.
//!
//! Only what lasts is left out: files that were written, assertions that held. Rows for a person are always shown. What is
//! made for the session is left out when nothing after it runs. A statement that asks for chance, for the time without
//! `--as-of`, or for something that cannot be watched, always runs, and so does everything after it when it makes a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use chrono::DateTime;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement as Sql;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Output;
use crate::catalog::{self, Stamped};
use crate::config::Config;
use crate::engine::{Engine, Footprint};
use crate::error::{Error, Result};
use crate::policy;
use crate::sink::{Lock, StagedFile};
use crate::statement::Statement;

/// Where a job keeps what it did, and what it ran with.
#[derive(Clone, Debug)]
pub struct StateOptions {
    /// The file.
    pub file: PathBuf,
    /// Runs everything, whatever the file says.
    pub full_refresh: bool,
    /// What the session was configured with, as one fingerprint.
    pub setting: String,
    /// The moment at which the clock stands.
    pub as_of: Option<i64>,
}

impl StateOptions {
    /// For a session of this configuration, whose results go there.
    pub fn new(
        file: PathBuf,
        full_refresh: bool,
        config: &Config,
        engine: &Engine,
        output: &Output,
    ) -> Result<Self> {
        if catalog::store::is_remote(&file.to_string_lossy()) {
            return Err(Error::usage(format!(
                "`{}` is in a store, and the state is a file on this machine",
                file.display()
            ))
            .hint("name a file of this machine, and keep it from one run to the next"));
        }
        let target = output.file.as_ref().map(|file| file.display().to_string());
        let policy = config.privacy.as_ref().map(policy::identity).transpose()?.unwrap_or_default();
        // An analysis reads a table that it can do without when there is one.
        let tables = engine.tables().join("\n");
        let target = target.unwrap_or_default();
        let texts = [&config.identity()?, &policy, &tables, output.format.name, &target];
        Ok(Self { file, full_refresh, setting: fingerprint(&texts), as_of: config.as_of })
    }
}

/// What is to be done with a statement, and why.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    Run(String),
    Skip(String),
}

/// A job's memory, from the last run to the next.
#[derive(Debug)]
pub(super) struct State {
    options: StateOptions,
    before: File,
    now: Vec<Entry>,
    /// The session as the statements that have run have made it; `None` when it cannot be told.
    chain: Option<String>,
    _alone: Lock,
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    comptoir_state: u32,
    engine: String,
    setting: String,
    statements: Vec<Entry>,
}

/// A statement that ended well.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
    line: u64,
    /// Fingerprint of its text.
    text: String,
    /// Fingerprint of the session it met.
    chain: String,
    /// When, in seconds since 1970.
    at: i64,
    /// The moment of `--as-of`, if it asked for the time.
    clock: Option<i64>,
    /// Why it must run again in any case.
    never: Option<String>,
    reads: Vec<Stamped>,
    wrote: Vec<Stamped>,
}

const VERSION: u32 = 1;

/// What a statement leaves behind.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    /// Rows for whoever looks.
    Rows,
    /// Files, or the knowledge that an assertion held.
    Lasting,
    /// Something that later statements may use.
    Session,
}

/// A statement of the job.
pub(super) struct Step<'a> {
    pub(super) path: &'a str,
    pub(super) statement: &'a Statement,
    /// The file that takes its rows, for a query under `--output`.
    pub(super) output: Option<String>,
}

impl Step<'_> {
    fn class(&self) -> Class {
        match &self.statement.parsed {
            _ if self.statement.assertion.is_some() => Class::Lasting,
            Parsed::CopyTo(_) => Class::Lasting,
            Parsed::Explain(_) => Class::Rows,
            Parsed::Statement(sql) => match sql.as_ref() {
                Sql::Query(_) if self.gives_output() => Class::Lasting,
                Sql::Query(_)
                | Sql::Explain { .. }
                | Sql::ExplainTable { .. }
                | Sql::ShowTables { .. }
                | Sql::ShowColumns { .. }
                | Sql::ShowFunctions { .. }
                | Sql::ShowVariable { .. } => Class::Rows,
                // An EXECUTE gives rows or makes something: as the latter it is safe.
                _ => Class::Session,
            },
            Parsed::CreateExternalTable(_) | Parsed::Reset(_) => Class::Session,
        }
    }

    /// Whether its rows go to the one file of `--output`.
    pub(super) fn gives_output(&self) -> bool {
        self.output.is_some() && self.statement.is_query()
    }

    /// Whether it may give rows.
    pub(super) fn may_give_rows(&self) -> bool {
        let executes = matches!(&self.statement.parsed, Parsed::Statement(sql) if matches!(sql.as_ref(), Sql::Execute { .. }));
        self.statement.is_query() || executes || self.class() == Class::Rows
    }

    /// Where it writes.
    pub(super) fn targets(&self) -> Result<Vec<String>> {
        fn of(parsed: &Parsed) -> Option<&str> {
            match parsed {
                Parsed::CopyTo(copy) => Some(&copy.target),
                Parsed::Explain(explain) => of(&explain.statement),
                _ => None,
            }
        }
        let copied = of(&self.statement.parsed).map(str::to_string);
        let given = self.output.clone().filter(|_| self.gives_output());
        copied.or(given).iter().map(|t| catalog::place_of(t)).collect()
    }

    fn text(&self) -> String {
        let assertion = self.statement.assertion.as_ref().map(|a| format!("{a:?}"));
        fingerprint(&[
            &self.statement.text,
            // The parser's own words leave some out, such as the options of an external table.
            &self.statement.filled,
            &assertion.unwrap_or_default(),
            self.output.as_deref().unwrap_or_default(),
        ])
    }
}

impl State {
    /// Takes the lock and reads the file.
    pub(super) fn open(options: &StateOptions) -> Result<Self> {
        let lock = Lock::of(&options.file)?;
        let name = options.file.display();
        let before = match std::fs::read(&options.file) {
            _ if options.full_refresh => File::default(),
            Ok(bytes) => serde_json::from_slice::<File>(&bytes)
                .map_err(|e| e.to_string())
                .and_then(|file| match file.comptoir_state {
                    VERSION => Ok(file),
                    other => {
                        Err(format!("it is of version {other}, and this Comptoir reads {VERSION}"))
                    }
                })
                .map_err(|why| {
                    Error::usage(format!("`{name}` is not the state of a job: {why}")).hint(
                        "`--full-refresh` runs everything and writes it anew; or name another file",
                    )
                })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(error) => {
                return Err(Error::usage(format!("`{name}` cannot be read: {error}"))
                    .hint("`--full-refresh` runs everything without it"));
            }
        };
        Ok(Self {
            options: options.clone(),
            before,
            now: vec![],
            chain: Some(String::new()),
            _alone: lock,
        })
    }

    /// Decides about every statement, before the first of them runs.
    pub(super) async fn decide(
        &self,
        engine: &Engine,
        steps: &[&Step<'_>],
    ) -> Result<Vec<Decision>> {
        let mut look = Look { engine, seen: BTreeMap::new(), rewritten: vec![] };
        let mut chain = String::new();
        let mut broken = self.nothing_known();
        let mut decisions = vec![];
        for step in steps {
            let class = step.class();
            let known = match &broken {
                Some(why) => Err(why.clone()),
                None => self.known(step, &chain),
            };
            let fresh = match known {
                Ok(entry) => {
                    look.unchanged(entry, self.options.as_of).await?.map_or(Ok(entry), Err)
                }
                Err(why) => Err(why),
            };
            decisions.push(match (class, fresh) {
                (Class::Rows, _) => {
                    look.rewritten.extend(step.targets()?);
                    Decision::Run("its rows are not kept".into())
                }
                (Class::Lasting, Ok(entry)) => Decision::Skip(format!(
                    "nothing has changed since {}",
                    DateTime::from_timestamp(entry.at, 0).unwrap_or_default().format("%F %T UTC")
                )),
                (Class::Lasting, Err(why)) => {
                    look.rewritten.extend(step.targets()?);
                    Decision::Run(why)
                }
                (Class::Session, Ok(entry)) => {
                    chain = linked(&chain, entry);
                    Decision::Skip("nothing that runs needs it".into())
                }
                (Class::Session, Err(why)) => {
                    let line = step.statement.span.start.line;
                    broken.get_or_insert_with(|| {
                        format!("{}:{line}, which it may use, runs: {why}", step.path)
                    });
                    Decision::Run(why)
                }
            });
        }
        // What the session needs, as far as something runs that may use it.
        let last = decisions.iter().rposition(|d| matches!(d, Decision::Run(_)));
        for (step, decision) in steps.iter().zip(&mut decisions).take(last.unwrap_or_default()) {
            if step.class() == Class::Session && matches!(decision, Decision::Skip(_)) {
                *decision = Decision::Run("what follows may use it".into());
            }
        }
        Ok(decisions)
    }

    /// Why no statement can be known.
    fn nothing_known(&self) -> Option<String> {
        if self.options.full_refresh {
            Some("`--full-refresh`".into())
        } else if self.before.comptoir_state == 0 {
            Some("the state is empty".into())
        } else if self.before.engine != engine_version() {
            Some("the version of Comptoir has changed".into())
        } else if self.before.setting != self.options.setting {
            Some(
                "the configuration, the tables under `--data` or the working folder has changed"
                    .into(),
            )
        } else {
            None
        }
    }

    fn known(&self, step: &Step<'_>, chain: &str) -> Result<&Entry, String> {
        let text = step.text();
        let mut same = self.before.statements.iter().filter(|e| e.text == text);
        let missing = || match self.before.statements.iter().any(|e| e.text == text) {
            true => "what stands before it has changed".to_string(),
            false => {
                "it is new, it did not end well, or its text or a parameter has changed".into()
            }
        };
        same.find(|e| e.chain == chain).ok_or_else(missing)
    }

    /// Notes that a statement was left out.
    pub(super) fn left_out(&mut self, step: &Step<'_>) {
        let Some(chain) = self.chain.clone() else { return };
        let Ok(entry) = self.known(step, &chain).cloned() else { return };
        if step.class() == Class::Session {
            self.chain = Some(linked(&chain, &entry));
        }
        self.now.push(entry);
    }

    /// Notes that a statement has run well, and what it read.
    pub(super) fn ran(&mut self, step: &Step<'_>, footprint: Footprint) -> Result<()> {
        let class = step.class();
        let (Some(chain), true) = (self.chain.clone(), class != Class::Rows) else { return Ok(()) };
        let mut never = footprint.never_the_same;
        if let Parsed::Statement(sql) = &step.statement.parsed
            && matches!(sql.as_ref(), Sql::Execute { .. })
        {
            never.get_or_insert_with(|| "what it gives may be rows, which are not kept".into());
        }
        if footprint.tells_time && self.options.as_of.is_none() {
            never.get_or_insert_with(|| "it asks for the time, which `--as-of` would fix".into());
        }
        let unwatched = |place| Stamped { place, files: vec![] };
        let entry = Entry {
            file: step.path.to_string(),
            line: step.statement.span.start.line,
            text: step.text(),
            chain: chain.clone(),
            at: seconds_since_1970(),
            clock: self.options.as_of.filter(|_| footprint.tells_time),
            never,
            reads: footprint.reads,
            wrote: step.targets()?.into_iter().map(unwatched).collect(),
        };
        if class == Class::Session {
            self.chain = entry.never.is_none().then(|| linked(&chain, &entry));
        }
        self.now.push(entry);
        Ok(())
    }

    /// Notes that a statement has failed.
    pub(super) fn failed(&mut self, step: &Step<'_>) {
        if step.class() == Class::Session {
            self.chain = None;
        }
    }

    /// Writes the file, after everything has been published. After a failure, what was known before and has not been
    /// looked at again is kept.
    pub(super) async fn close(mut self, engine: &Engine, failed: bool) -> Result<()> {
        // What a later statement has written over is not as the earlier one left it.
        for i in 0..self.now.len() {
            let (before, after) = self.now.split_at_mut(i + 1);
            let wrote = |place: &Stamped| {
                let again = |other: &Stamped| catalog::overlap(&place.place, &other.place);
                after.iter().any(|entry| entry.wrote.iter().any(again))
            };
            if before[i].wrote.iter().any(wrote) {
                before[i].never = Some("a later statement writes over what it wrote".into());
            }
        }
        for entry in &mut self.now {
            for place in entry.wrote.iter_mut().filter(|place| place.files.is_empty()) {
                // Published, it may be a folder.
                let target = catalog::place_of(&catalog::shown_place(&place.place))?;
                *place = engine.stamp(&target).await?;
            }
        }
        let mut statements = std::mem::take(&mut self.now);
        if failed && self.nothing_known().is_none() {
            let known = |old: &Entry, all: &[Entry]| {
                all.iter().any(|new| (&new.text, &new.chain) == (&old.text, &old.chain))
            };
            let kept: Vec<Entry> =
                self.before.statements.into_iter().filter(|e| !known(e, &statements)).collect();
            statements.extend(kept);
        }
        let file = File {
            comptoir_state: VERSION,
            engine: engine_version(),
            setting: self.options.setting.clone(),
            statements,
        };
        let text = serde_json::to_vec_pretty(&file).map_err(|e| Error::query(e.to_string()))?;
        let mut staged = StagedFile::create(&self.options.file)?;
        staged.write_all(&text)?;
        staged.publish()
    }
}

/// What lies at the places that entries name, each looked at once.
struct Look<'a> {
    engine: &'a Engine,
    seen: BTreeMap<String, Stamped>,
    /// What is written by statements that run.
    rewritten: Vec<String>,
}

impl Look<'_> {
    /// Why an entry no longer holds.
    async fn unchanged(&mut self, entry: &Entry, as_of: Option<i64>) -> Result<Option<String>> {
        if let Some(never) = &entry.never {
            return Ok(Some(never.clone()));
        }
        if entry.clock.is_some() && entry.clock != as_of {
            return Ok(Some("it asks for the time, and `--as-of` is another".into()));
        }
        for (places, wrote) in [(&entry.reads, false), (&entry.wrote, true)] {
            for before in places {
                let shown = catalog::shown_place(&before.place);
                let around = before.around();
                if self.rewritten.iter().any(|place| catalog::overlap(place, &around)) {
                    return Ok(Some(format!("`{shown}` is written before it in this run")));
                }
                if !self.seen.contains_key(&before.place) {
                    let now = self.engine.stamp(&before.place).await?;
                    self.seen.insert(before.place.clone(), now);
                }
                let difference =
                    self.seen.get(&before.place).and_then(|now| before.difference(now));
                if let Some(difference) = difference {
                    let what =
                        if wrote { "its output is not as it left it" } else { "it reads it" };
                    return Ok(Some(format!("{difference}, and {what}")));
                }
            }
        }
        Ok(None)
    }
}

fn seconds_since_1970() -> i64 {
    let passed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(passed.as_secs()).unwrap_or_default()
}

fn engine_version() -> String {
    format!("{} on DataFusion {}", env!("CARGO_PKG_VERSION"), datafusion::DATAFUSION_VERSION)
}

/// The session after a statement.
fn linked(chain: &str, entry: &Entry) -> String {
    let reads = serde_json::to_string(&entry.reads).unwrap_or_default();
    fingerprint(&[chain, &entry.text, &reads, &format!("{:?}", entry.clock)])
}

/// One fingerprint of several texts, whose ends count.
fn fingerprint(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
