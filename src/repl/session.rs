// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What lasts from one statement to the next: the last result, values, how results are written.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use datafusion::sql::sqlparser::tokenizer::Token;
use futures::future::LocalBoxFuture;
use tokio::runtime::Handle;

mod act;

use super::command::Action;
use super::complete::{Helper, Known};
use super::lex::lex;
use super::progress::Watched;
use super::queries::Queries;
use super::show::{self, Drained, Mode};
use super::text::{Part, parts};
use super::{LAST, command, folders, pager};
use crate::diagnostic;
use crate::engine::{Engine, Names, Outcome};
use crate::error::{Error, Kind, Result};
use crate::script::{self, Output, bind};
use crate::sink::Out;
use crate::statement::{
    Assertion, Parameter, Severity, Statement, Values, parameters, parse_after,
};

/// How many failing rows of an assertion are shown.
const FAILING: usize = 10;

/// How deep files may read files.
const DEPTH: usize = 16;

/// What comes after what was typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    Go,
    Interrupted,
    Leave,
}

pub(super) struct Session<'a> {
    engine: Arc<Engine>,
    output: &'a Output,
    queries: Queries,
    names: Names,
    colours: bool,
    mode: Mode,
    /// The file that takes the next result.
    file: Option<PathBuf>,
    timing: bool,
    last: Option<Drained>,
    /// Whether `_` is ours to give: a table of that name may have been loaded.
    gives_last: bool,
    /// The last query's text, for `\edit` and `\explain`.
    typed: String,
    declared: Vec<Parameter>,
    values: Values,
    known: Arc<Mutex<Known>>,
    depth: usize,
    /// What is to stand on the next line.
    pub(super) prefill: Option<String>,
}

impl<'a> Session<'a> {
    pub(super) fn new(engine: Arc<Engine>, output: &'a Output, colours: bool) -> Self {
        let names = engine.names();
        let gives_last = !names.tables().iter().any(|t| t == LAST);
        Session {
            engine,
            output,
            queries: Queries::default(),
            names,
            colours,
            mode: Mode::named(output.format.name).unwrap_or(Mode::Format(output.format)),
            file: output.file.clone(),
            timing: true,
            last: None,
            gives_last,
            typed: String::new(),
            declared: vec![],
            values: Values::new(),
            known: Arc::default(),
            depth: 0,
            prefill: None,
        }
    }

    pub(super) fn helper(&self) -> Box<Helper> {
        Box::new(Helper::new(self.names.clone(), Arc::clone(&self.known), Handle::current()))
    }

    pub(super) fn remark(&self) -> fn(&str) {
        self.output.remark
    }

    /// Runs the person's own file, which is there or not.
    pub(super) async fn init(&mut self) {
        if let Some(file) = folders::init().filter(|f| f.symlink_metadata().is_ok()) {
            self.read(&file).await;
        }
    }

    /// Runs what was typed, and tells what went wrong.
    pub(super) async fn take(&mut self, text: &str) -> Next {
        let is_explain = || command::parse(text).is_ok_and(|(c, _)| c.action == Action::Explain);
        match command::is_command(text) && (!text.trim().contains('\n') || is_explain()) {
            true => self.command(text).await,
            // What is pasted may hold both.
            false => self.in_turn(parts(text), "sql").await,
        }
    }

    /// Runs statements and commands up to the first failure.
    async fn in_turn(&mut self, parts: Vec<Part>, path: &str) -> Next {
        let mut next = Next::Go;
        for part in parts {
            let failures = self.failures();
            next = match part {
                Part::Sql(sql) => self.run(&sql, path).await,
                Part::Command(line) => self.command(&line).await,
            };
            if next != Next::Go || self.failures() > failures {
                break;
            }
        }
        next
    }

    /// Runs a file, up to its first failure.
    fn read<'s>(&'s mut self, file: &'s Path) -> LocalBoxFuture<'s, Next> {
        Box::pin(async move {
            let path = file.display().to_string();
            let text = match std::fs::read_to_string(file) {
                Ok(text) if self.depth < DEPTH => script::unmarked(text),
                Ok(_) => {
                    let error = Error::usage(format!("`{path}` is read by a file that it reads"));
                    return self.complain(&error, "", "");
                }
                Err(error) => {
                    let error = Error::usage(format!("cannot read `{path}`: {error}"));
                    return self.complain(&error, "", "");
                }
            };
            self.depth += 1;
            let next = self.in_turn(parts(&text), &path).await;
            self.depth -= 1;
            next
        })
    }

    /// Runs statements. All of them are parsed before the first one runs.
    async fn run(&mut self, text: &str, path: &str) -> Next {
        let ran = self.statements(text).await;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).statements += 1;
        match ran {
            Ok(()) => Next::Go,
            Err(error) if error.kind == Kind::Interrupted => {
                self.complain(&error, "", "");
                Next::Interrupted
            }
            Err(error) => self.complain(&error, text, path),
        }
    }

    /// Draws an error on the standard error.
    fn complain(&self, error: &Error, text: &str, path: &str) -> Next {
        let draw = if self.colours { diagnostic::paint } else { diagnostic::render };
        eprintln!("{}", draw(error, text, path));
        self.known.lock().unwrap_or_else(PoisonError::into_inner).failures += 1;
        Next::Go
    }

    /// How many errors there have been.
    fn failures(&self) -> u64 {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).failures
    }

    async fn statements(&mut self, text: &str) -> Result<()> {
        // What does not parse can be edited too; a file is not what was typed.
        if self.depth == 0 {
            self.typed = text.trim().trim_end_matches(';').to_string();
        }
        let before = self.declared.clone();
        let own = parameters(text)?;
        for parameter in &own {
            self.declare(parameter.clone());
        }
        let ready = self.with_values(text, &own)?;
        let values = match bind::values(&self.engine, &ready, &self.values).await {
            Ok(values) => values,
            Err(error) => {
                // A declaration whose default fails has declared nothing.
                self.declared = before;
                self.tell_variables();
                return Err(error);
            }
        };
        for statement in parse_after(text, &ready, &values)? {
            self.typed.clone_from(&statement.text);
            self.one(&statement).await.map_err(|error| match error.kind {
                Kind::Interrupted => error,
                _ => error.at_least(statement.span),
            })?;
        }
        Ok(())
    }

    fn declare(&mut self, parameter: Parameter) {
        match self.declared.iter_mut().find(|p| p.name == parameter.name) {
            // In its place: others stand behind it because their defaults use it.
            Some(old) => *old = parameter,
            None => self.declared.push(parameter),
        }
        self.tell_variables();
    }

    /// The parameters that a text declares or uses, and those that their defaults use. One that lacks a value and is used
    /// is an error.
    fn with_values(&self, text: &str, own: &[Parameter]) -> Result<Vec<Parameter>> {
        let (pieces, _) = lex(text);
        let used = |name: &str| {
            pieces.iter().any(|p| match &p.token {
                Token::Placeholder(hole) => hole.trim_start_matches('$').eq_ignore_ascii_case(name),
                Token::Word(w) => {
                    w.quote_style.is_some()
                        && w.value.strip_prefix('$').is_some_and(|n| n.eq_ignore_ascii_case(name))
                }
                _ => false,
            })
        };
        let mut ready: Vec<Parameter> = vec![];
        for parameter in self.declared.iter().rev() {
            let wanted = |other: &Parameter| other.default_uses().any(|n| n == parameter.name);
            let is_used = used(&parameter.name) || ready.iter().any(wanted);
            let is_own = own.iter().any(|p| p.name == parameter.name);
            if parameter.has_default() || self.values.contains_key(&parameter.name) {
                if is_used || is_own {
                    ready.push(parameter.clone());
                }
            } else if is_used {
                let error = format!("the parameter `{}` has no value", parameter.name);
                return Err(Error::usage(error)
                    .hint(format!("give it one: `\\set {} VALUE`", parameter.name)));
            }
        }
        ready.reverse();
        Ok(ready)
    }

    async fn one(&mut self, statement: &Statement) -> Result<()> {
        let start = Instant::now();
        if let Some(assertion) = &statement.assertion {
            return self.assert(statement, assertion, start).await;
        }
        let watched = Watched::default();
        let work = Work {
            engine: Arc::clone(&self.engine),
            statement: statement.clone(),
            mode: self.mode,
            file: self.file.clone(),
            stdout: self.output.stdout,
            watched: watched.clone(),
        };
        let got = self.queries.run(pager::is_screen(), &watched, work.run()).await?;
        let output = self.output;
        let time = start.elapsed().as_secs_f64();
        let timed =
            |what: String| if self.timing { format!("{what} in {time:.3} s") } else { what };
        match got {
            Got::Done => (output.remark)(&timed("done".into())),
            Got::Written(rows) => (output.remark)(&timed(format!("{} written", counted(rows)))),
            Got::Filed(drained) => {
                let file = self.file.take().unwrap_or_default();
                let rows = counted(drained.rows as u64);
                (output.remark)(&timed(format!("{rows} written to `{}`", file.display())));
                self.keep(drained)?;
            }
            Got::Streamed(drained) => {
                (output.remark)(&timed(counted(drained.rows as u64)));
                self.keep(drained)?;
            }
            Got::Rows(drained) => {
                if let Some(plan) = show::plan(&drained)? {
                    return pager::print(&plan);
                }
                let (text, notes) = show::text(&drained, self.mode, width())?;
                let more = if drained.to_the_end { "" } else { "more than " };
                let mut told = vec![timed(format!("{more}{}", counted(drained.rows as u64)))];
                told.extend(notes);
                // Kept first: whoever leaves the pager has the result already.
                self.keep(drained)?;
                show::print(&text, &told, output.remark)?;
            }
        }
        Ok(())
    }

    async fn assert(
        &mut self,
        statement: &Statement,
        assertion: &Assertion,
        start: Instant,
    ) -> Result<()> {
        let watched = Watched::default();
        let (engine, one, what) = (Arc::clone(&self.engine), statement.clone(), assertion.clone());
        let work = async move { engine.check(&one, &what, FAILING, None).await };
        let checked = self.queries.run(pager::is_screen(), &watched, work).await?;
        let Some(error) = checked.failure(statement, assertion) else {
            let time = start.elapsed().as_secs_f64();
            (self.output.remark)(&format!("the assertion holds, found in {time:.3} s"));
            return Ok(());
        };
        if let Some(first) = checked.shown.first() {
            let rows = checked.failing as usize;
            let batches = checked.shown.clone();
            let schema = first.schema();
            let shown = Drained { schema, batches, rows, kept: true, to_the_end: true };
            let (text, notes) = show::text(&shown, self.mode, width())?;
            show::print(&text, &notes, self.output.remark)?;
        }
        if assertion.severity == Severity::Error {
            return Err(error);
        }
        let notes: Vec<String> = error.notes.iter().map(|n| format!("; {n}")).collect();
        (self.output.remark)(&format!("warning: {}{}", error.message, notes.concat()));
        Ok(())
    }

    /// Makes a result `_`, for SQL, and the last one, for commands. One that is not kept leaves neither: an earlier one
    /// would pass for it.
    fn keep(&mut self, drained: Drained) -> Result<()> {
        match (self.gives_last, drained.kept) {
            (true, true) => self.engine.keep(LAST, &drained.schema, drained.batches.clone())?,
            (true, false) => self.engine.forget(LAST)?,
            (false, _) => {}
        }
        self.last = Some(drained).filter(|d| d.kept);
        let fields = self.last.iter().flat_map(|d| d.schema.fields());
        let names = fields.map(|f| f.name().clone()).collect();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).last = names;
        Ok(())
    }

    /// Waits for what may take long, or for Ctrl-C.
    async fn wait<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.queries.run(pager::is_screen(), &Watched::default(), work).await
    }

    fn tell_variables(&self) {
        let names = self.declared.iter().map(|p| p.name.clone()).collect();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).variables = names;
    }
}

/// A statement on its way to a result; it owns what it needs, because it runs on another thread.
struct Work {
    engine: Arc<Engine>,
    statement: Statement,
    mode: Mode,
    file: Option<PathBuf>,
    stdout: fn() -> Out,
    watched: Watched,
}

impl Work {
    async fn run(self) -> Result<Got> {
        let mut rows = match self.engine.run(&self.statement).await? {
            Outcome::Done => return Ok(Got::Done),
            Outcome::Written(mut rows) => {
                self.watched.is(rows.progress());
                let mut batches = vec![];
                while let Some(batch) = rows.next().await? {
                    batches.push(batch);
                }
                return Ok(Got::Written(script::count(&batches)));
            }
            Outcome::Rows(rows) => rows,
        };
        self.watched.is(rows.progress());
        Ok(match (&self.file, self.mode) {
            (Some(file), mode) => {
                self.engine.may_write(file)?;
                let (drained, staged) = show::to_file(rows, file, mode).await?;
                staged.publish()?;
                Got::Filed(drained)
            }
            (None, Mode::Format(format)) => {
                let out = self.watched.out((self.stdout)(), std::io::stdout().is_terminal());
                Got::Streamed(show::drain(&mut rows, Some((format, out))).await?)
            }
            (None, _) => Got::Rows(show::drain(&mut rows, None).await?),
        })
    }
}

/// What a statement gave.
enum Got {
    Done,
    Written(u64),
    Filed(Drained),
    Streamed(Drained),
    Rows(Drained),
}

/// The width to fit tables to, where somebody is looking.
fn width() -> Option<usize> {
    std::io::stdout().is_terminal().then(|| pager::size().0)
}

fn counted(rows: u64) -> String {
    if rows == 1 { "1 row".into() } else { format!("{rows} rows") }
}
