// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `comptoir run`: files as one job, for a machine that wants an exit code, a report, and all of its outputs or none.

use std::path::PathBuf;
use std::time::Instant;

use futures::future::LocalBoxFuture;

use super::report::{Entry, Report, Status};
use super::state::{Decision, State, StateOptions, Step};
use super::{
    Checking, Failure, OneFile, Output, Ran, bind, comment, no_rows_for, run_one, staged, warning,
};
use crate::catalog;
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::signals::{Stop, unless_stopped};
use crate::statement::{Parameter, Statement, parameters, parse_with};

/// A text to run.
#[derive(Clone, Debug)]
pub struct Source {
    /// What it is called in messages.
    pub path: String,
    /// The text.
    pub text: String,
}

/// How a job runs.
pub struct Options {
    /// `name=value`, as typed.
    pub typed: Vec<String>,
    /// A `.json` or `.toml` file of parameters.
    pub parameters: Option<PathBuf>,
    /// Outputs appear together, after the last statement, or not at all; otherwise each with its statement.
    pub publish_all: bool,
    /// Goes on after a failure.
    pub keep_going: bool,
    /// Plans, and reads nothing.
    pub dry_run: bool,
    /// Says what each statement's plan is, in a dry run.
    pub explain: bool,
    /// How many failing rows of an assertion are shown.
    pub show_failures: usize,
    /// The folder in which all of them are kept.
    pub store_failures: Option<PathBuf>,
    /// What the last run did, so that what has not changed is left out.
    pub state: Option<StateOptions>,
    /// Files that the job reads or writes besides, which no statement may write.
    pub taken: Vec<PathBuf>,
    /// Ends the job before its end: the statement at work fails, the others are not run, and the report says so.
    pub stop: Stop,
    /// Takes errors.
    pub complain: fn(&str),
}

/// A text and its statements.
struct Script<'a> {
    source: &'a Source,
    statements: Vec<Statement>,
}

/// Runs files as one job. What failed is in the report.
pub fn run<'a>(
    engine: &'a Engine,
    sources: &'a [Source],
    options: &'a Options,
    output: &'a Output,
) -> LocalBoxFuture<'a, Report> {
    Box::pin(async move {
        let mut job = Job {
            engine,
            sources,
            options,
            output,
            report: Report::default(),
            one: OneFile::default(),
            state: None,
        };
        // Nothing runs unless everything can be read.
        let Some(scripts) = job.read(sources).await else { return job.report };
        let steps: Vec<(&Source, Step<'_>)> = scripts
            .iter()
            .flat_map(|s| {
                s.statements.iter().map(|statement| (s.source, job.as_step(s, statement)))
            })
            .collect();
        let Some(decisions) = job.decide(&steps).await else { return job.report };
        if options.publish_all && !options.dry_run {
            engine.hold_outputs();
        }
        for ((source, step), decision) in steps.iter().zip(decisions) {
            match decision {
                // A failure of something else changes nothing of what is right already.
                Some(Decision::Skip(why)) if job.goes_on() => {
                    job.leave_out(source, step, &why);
                }
                _ => job.step(source, step).await,
            }
        }
        job.end(sources).await;
        job.report
    })
}

struct Job<'a> {
    engine: &'a Engine,
    sources: &'a [Source],
    options: &'a Options,
    output: &'a Output,
    report: Report,
    one: OneFile,
    state: Option<State>,
}

impl Job<'_> {
    /// Reads all texts with their parameters, or complains.
    async fn read<'s>(&mut self, sources: &'s [Source]) -> Option<Vec<Script<'s>>> {
        let nowhere = Source { path: "parameters".into(), text: String::new() };
        let given = bind::given(&self.options.typed, self.options.parameters.as_deref());
        let given = match given {
            Ok(given) => given,
            Err(error) => return self.unread(&nowhere, error),
        };
        let mut declared: Vec<(&Source, Vec<Parameter>)> = vec![];
        for source in sources {
            match parameters(&source.text) {
                Ok(found) => declared.push((source, found)),
                Err(error) => return self.unread(source, error),
            }
        }
        let all: Vec<Parameter> = declared.iter().flat_map(|(_, p)| p.clone()).collect();
        if let Err(error) = bind::all_known(&given, &all) {
            return self.unread(&nowhere, error);
        }
        let mut scripts = vec![];
        for (source, declared) in declared {
            let values = bind::values(self.engine, &declared, &given.values);
            let values = match unless_stopped(&self.options.stop, values).await {
                Ok(values) => values,
                Err(error) => return self.unread(source, error),
            };
            match parse_with(&source.text, &values) {
                Ok(statements) => scripts.push(Script { source, statements }),
                Err(error) => return self.unread(source, error),
            }
        }
        let all = scripts.iter().flat_map(|s| s.statements.iter().map(|x| (s.source, x)));
        if let Some((source, second)) = all.filter(|(_, s)| s.is_query()).nth(1)
            && self.output.takes_one()
        {
            return self.unread(source, self.output.second().at(Some(second.span)));
        }
        for script in &scripts {
            for statement in &script.statements {
                if let Err(error) = self.is_free(&self.as_step(script, statement)) {
                    return self.unread(script.source, error.at(Some(statement.span)));
                }
            }
        }
        let rows = |s: &Script<'_>| s.statements.iter().any(|x| self.as_step(s, x).may_give_rows());
        if let (Some(file), false) = (&self.output.file, scripts.iter().any(rows)) {
            return self.unread(sources.last().unwrap_or(&nowhere), no_rows_for(file));
        }
        Some(scripts)
    }

    /// Fails for a statement that would write what the job itself needs: one of the two would be lost.
    fn is_free(&self, step: &Step<'_>) -> Result<()> {
        let output = self.output.file.iter().filter(|_| !step.gives_output());
        for other in output.chain(&self.options.taken) {
            let place = catalog::place_of(&other.to_string_lossy())?;
            if step.targets()?.iter().any(|target| catalog::overlap(target, &place)) {
                let shown = other.display();
                return Err(Error::usage(format!(
                    "`{shown}` is read or written by the job itself"
                ))
                .hint("write to another place"));
            }
        }
        Ok(())
    }

    fn unread<T>(&mut self, source: &Source, error: Error) -> Option<T> {
        self.report = Report::of_failure(&source.path, &error);
        let failure = Failure::new(error, &source.text, &source.path);
        (self.options.complain)(&failure.render());
        None
    }

    /// Whether what comes next is still to be done.
    fn goes_on(&self) -> bool {
        match self.report.failure {
            None => true,
            Some(_) => self.options.keep_going && !self.report.interrupted(),
        }
    }

    fn as_step<'s>(&self, script: &Script<'s>, statement: &'s Statement) -> Step<'s> {
        // A page of all results is made of all of them.
        let file = self.output.file.as_ref().filter(|_| !self.output.is_page());
        Step {
            path: &script.source.path,
            statement,
            output: file.map(|file| file.display().to_string()),
        }
    }

    /// Opens the state and says of each statement whether it need run, or complains.
    async fn decide(&mut self, steps: &[(&Source, Step<'_>)]) -> Option<Vec<Option<Decision>>> {
        let Some(options) = &self.options.state else { return Some(vec![None; steps.len()]) };
        let nowhere = Source { path: options.file.display().to_string(), text: String::new() };
        let state = match State::open(options) {
            Ok(state) => state,
            Err(error) => return self.unread(&nowhere, error),
        };
        let all: Vec<&Step<'_>> = steps.iter().map(|(_, step)| step).collect();
        let decisions = state.decide(self.engine, &all);
        let decisions = match unless_stopped(&self.options.stop, decisions).await {
            Ok(decisions) => decisions,
            Err(error) => return self.unread(&nowhere, error),
        };
        for ((_, step), decision) in steps.iter().zip(&decisions) {
            let place = format!("{}:{}", step.path, step.statement.span.start.line);
            (self.output.remark)(&match decision {
                Decision::Run(why) => format!("{place}: runs: {why}"),
                Decision::Skip(why) => format!("{place}: skipped: {why}"),
            });
        }
        let skipped = decisions.iter().filter(|d| matches!(d, Decision::Skip(_))).count();
        (self.output.remark)(&format!("{skipped} of {} statements skipped", decisions.len()));
        self.state = Some(state);
        Some(decisions.into_iter().map(Some).collect())
    }

    fn leave_out(&mut self, source: &Source, step: &Step<'_>, why: &str) {
        let mut entry = Entry::new(&source.path, Some(step.statement.span), &step.statement.text);
        entry.assertion = step.statement.assertion.is_some();
        entry.status = Status::Skipped;
        entry.message = Some(format!("skipped: {why}"));
        self.report.add(entry, None);
        self.one.given |= step.gives_output();
        comment::told(&mut self.one, &source.text, &source.path, step.statement, None);
        if let Some(state) = &mut self.state {
            state.left_out(step);
        }
    }

    async fn step(&mut self, source: &Source, step: &Step<'_>) {
        let statement = step.statement;
        let mut entry = Entry::new(&source.path, Some(statement.span), &statement.text);
        entry.assertion = statement.assertion.is_some();
        if !self.goes_on() {
            let why = if self.report.interrupted() { "was interrupted" } else { "failed" };
            entry.status = Status::Skipped;
            entry.message = Some(format!("not run: an earlier statement {why}"));
            return self.report.add(entry, None);
        }
        let start = Instant::now();
        self.engine.peak_memory();
        if self.state.is_some() {
            self.engine.footprint();
        }
        let stop = &self.options.stop;
        let ran = match self.options.dry_run {
            true => unless_stopped(stop, self.rehearse(source, step)).await,
            false => {
                let checking = Checking {
                    show: self.options.show_failures,
                    store: self.store(source, statement),
                };
                let (engine, output, one) = (self.engine, self.output, &mut self.one);
                let ran = async {
                    let mut ran = run_one(engine, statement, output, one, &checking).await?;
                    ran.published.extend(one.appear(engine, output).await?);
                    Ok(ran)
                };
                unless_stopped(stop, ran).await
            }
        };
        entry.seconds = start.elapsed().as_secs_f64();
        entry.peak_memory = self.engine.peak_memory() as u64;
        let mut kind = None;
        if let Ok(ran) = &ran
            && !self.options.dry_run
        {
            let doubt = ran.doubt.as_deref();
            comment::told(&mut self.one, &source.text, &source.path, statement, doubt);
        }
        match ran {
            Ok(Ran { rows, bytes, published, doubt, blocks }) => {
                (entry.rows, entry.bytes) = (rows, bytes);
                self.report.published.extend(published);
                if let Some(doubt) = doubt {
                    let (error, shown) = *doubt;
                    entry.fail(&error);
                    if blocks {
                        kind = Some(Kind::Query);
                        let failure = Failure::new(error, &source.text, &source.path);
                        (self.options.complain)(&failure.render());
                        (self.options.complain)(&shown);
                    } else {
                        entry.status = Status::Warned;
                        (self.output.remark)(&warning(&error, &source.path));
                        (self.output.remark)(&shown);
                    }
                }
            }
            Err(error) => {
                let error = error.at_least(statement.span);
                entry.fail(&error);
                kind = Some(error.kind);
                comment::failed(&mut self.one, &source.text, statement, &error);
                (self.options.complain)(&Failure::new(error, &source.text, &source.path).render());
            }
        }
        if let Some(state) = &mut self.state {
            match entry.status {
                Status::Passed => {
                    if let Err(error) = state.ran(step, self.engine.footprint()) {
                        (self.options.complain)(&crate::diagnostic::render(&error, "", ""));
                    }
                }
                _ => state.failed(step),
            }
        }
        self.report.add(entry, kind);
    }

    async fn rehearse(&self, source: &Source, step: &Step<'_>) -> Result<Ran> {
        let (statement, together) = (step.statement, self.options.publish_all);
        let mut rehearsed = self.engine.rehearse(statement, together).await?;
        if let (Some(file), true) = (&self.output.file, step.gives_output()) {
            drop(staged(file)?);
            self.engine.would_write(file, self.output.format.name, &rehearsed.columns, together)?;
            rehearsed.writes = step.output.clone();
        }
        let line = statement.span.start.line;
        let mut said = format!("{}:{line}: planned", source.path);
        let reads: Vec<String> = rehearsed.reads.iter().map(|p| p.display().to_string()).collect();
        if !reads.is_empty() {
            said.push_str(&format!("; reads {}", reads.join(", ")));
        }
        if let Some(target) = &rehearsed.writes {
            said.push_str(&format!("; writes {target}"));
        }
        (self.output.remark)(&said);
        if self.options.explain && !rehearsed.plan.is_empty() {
            (self.output.remark)(&rehearsed.plan);
        }
        Ok(Ran::default())
    }

    /// Where the failing rows of an assertion are kept.
    fn store(&self, source: &Source, statement: &Statement) -> Option<PathBuf> {
        let folder = self.options.store_failures.as_ref()?;
        let stem = |source: &Source| {
            std::path::Path::new(&source.path).file_stem().map(|s| s.to_string_lossy().into_owned())
        };
        // Two files may have one name, in two folders.
        let earlier = self.sources.iter().take_while(|s| !std::ptr::eq(*s, source));
        let mut stem_here = stem(source)?;
        match earlier.filter(|s| stem(s).as_ref() == Some(&stem_here)).count() {
            0 => {}
            n => stem_here.push_str(&format!(".{}", n + 1)),
        }
        let at = statement.span.start;
        // Two assertions may stand on one line.
        let column = if at.column > 1 { format!("-{}", at.column) } else { String::new() };
        Some(folder.join(format!("{stem_here}-{}{column}.parquet", at.line)))
    }

    /// Publishes what waits, or forgets it, and writes the state.
    async fn end(&mut self, sources: &[Source]) {
        let one = std::mem::take(&mut self.one);
        if self.options.dry_run {
            return;
        }
        let held = self.engine.held();
        let waiting = held.as_ref().map_or(0, |held| held.targets().len());
        let state = self.state.take();
        if self.report.failure.is_some() && held.is_some() {
            self.engine.discard();
            if waiting > 0 {
                (self.output.remark)(&format!(
                    "nothing was published: {waiting} outputs are dropped"
                ));
            }
            return;
        }
        // A page says what failed, and so is worth reading all the same.
        let page = one.page.is_some() && self.goes_on();
        let ended = match self.report.failure {
            // What was published with its statement need not be done again.
            Some(_) if !page => self.close(state).await,
            _ => match unless_stopped(&self.options.stop, self.publish(one)).await {
                Ok(()) => self.close(state).await,
                failed => failed,
            },
        };
        if let Err(error) = ended {
            (self.options.complain)(&crate::diagnostic::render(&error, "", ""));
            let path = sources.last().map_or("", |s| s.path.as_str());
            let mut entry = Entry::new(path, None, "publish");
            entry.fail(&error);
            self.report.add(entry, Some(error.kind));
        }
    }

    async fn publish(&mut self, mut one: OneFile) -> Result<()> {
        one.finish(self.output)?;
        self.report.published.extend(one.appear(self.engine, self.output).await?);
        self.report.published.extend(self.engine.publish().await?);
        Ok(())
    }

    async fn close(&self, state: Option<State>) -> Result<()> {
        match state {
            Some(state) => state.close(self.engine, self.report.failure.is_some()).await,
            None => Ok(()),
        }
    }
}
