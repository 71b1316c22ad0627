// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `comptoir run`: what its options mean, which files it takes for itself, and its reports.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use comptoir::catalog;
use comptoir::config::Config;
use comptoir::script::job::{self, Source};
use comptoir::script::report::{self, Report};
use comptoir::script::state::StateOptions;
use comptoir::script::{self, Output};
use comptoir::signals::{Stop, unless_stopped};
use comptoir::sink::StagedFile;
use comptoir::{Engine, Error};

use super::stdout::watch;
use super::{End, say, typed_in};

#[derive(Args, Debug)]
pub(super) struct Run {
    /// The files, `-` for the standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The value of a parameter that a file declares; may be repeated
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    param: Vec<String>,
    /// A .json or .toml file of parameters; `-p` wins over it
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// When outputs appear: all together when everything has passed, or each with its statement
    #[arg(long, value_enum, default_value_t = Publish::All)]
    publish: Publish,
    /// What to do after a failure; the job has failed either way
    #[arg(long, value_enum, default_value_t = OnError::Stop)]
    on_error: OnError,
    /// Plan and type-check every statement, and read and write nothing
    #[arg(long)]
    dry_run: bool,
    /// A dry run that shows the plans
    #[arg(long, conflicts_with = "state")]
    explain: bool,
    /// Remember in this file what was done, and skip what has not changed since: text, parameters, files read and written
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    state: Option<PathBuf>,
    /// With --state: run everything, whatever the file says, and write it anew
    #[arg(long, requires = "state")]
    full_refresh: bool,
    /// How many failing rows of an assertion are shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    show_failures: usize,
    /// Keep all failing rows in this folder, a Parquet file for each assertion that fails
    #[arg(long, value_name = "FOLDER")]
    store_failures: Option<PathBuf>,
    /// Write a report as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a report as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Annotate the lines at fault and write the step's summary, in GitHub Actions
    #[arg(long)]
    github: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum Publish {
    Each,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum OnError {
    Stop,
    Continue,
}

/// Runs it, with its reports.
pub(super) async fn run(run: Run, output: &Output, config: &Config, stop: Stop) -> Result<(), End> {
    let taken = all_apart(&run, output)?;
    // What cannot be written is said before anything runs.
    let reports =
        [(&run.junit, Report::junit as fn(&Report) -> String), (&run.report, Report::json)];
    let reports = reports.into_iter().filter_map(|(file, text)| Some((file.as_ref()?, text)));
    let reports = reports.map(|(file, text)| Ok((StagedFile::create(file)?, text)));
    let mut reports = reports.collect::<Result<Reports, Error>>()?;
    let summary = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|_| run.github).map(PathBuf::from);
    let summary = summary.map(|path| {
        let file = std::fs::File::options().append(true).create(true).open(&path);
        let shown = path.display();
        file.map_err(|e| Error::usage(format!("GITHUB_STEP_SUMMARY: cannot write `{shown}`: {e}")))
    });
    let summary = summary.transpose()?;
    watch(&stop);
    // What is said and shown until the end is data, and no command to GitHub whatever its lines begin with.
    let token = if run.github { Some(report::stop_token()?) } else { None };
    if let Some(token) = &token {
        say(&format!("::stop-commands::{token}"));
    }
    let report =
        job_of(&run, output, config, (taken, &mut reports), stop).await.unwrap_or_else(|unready| {
            let (path, error) = unready.as_ref();
            say(&comptoir::diagnostic::render(error, "", ""));
            Report::of_failure(path, error)
        });
    if let Some(token) = &token {
        say(&format!("::{token}::"));
    }
    for (mut file, text) in reports {
        file.write_all(text(&report).as_bytes()).map_err(Error::from)?;
        file.publish()?;
    }
    if run.github {
        report.annotations().iter().for_each(|line| say(line));
    }
    if let Some(mut summary) = summary {
        summary.write_all(report.summary().as_bytes()).map_err(Error::from)?;
    }
    match report.exit_code() {
        0 => Ok(()),
        code => Err(End::Said(code)),
    }
}

/// Reports that will be written, and how each tells of the job.
type Reports = Vec<(StagedFile, fn(&Report) -> String)>;

/// Runs a job; what it needs and cannot be had is an error, with what it is the error of.
async fn job_of(
    run: &Run,
    output: &Output,
    config: &Config,
    (taken, reports): (Vec<PathBuf>, &mut Reports),
    stop: Stop,
) -> Result<Report, Box<(String, Error)>> {
    let in_session = |error| Box::new(("session".to_string(), error));
    let sources = read_all(&run.files)?;
    let engine = unless_stopped(&stop, Engine::open(config)).await.map_err(in_session)?;
    for file in run.junit.iter().chain(&run.report).chain(&run.state) {
        engine.may_write(file).map_err(|error| {
            reports.clear();
            in_session(error)
        })?;
    }
    let state = run.state.clone();
    let state =
        state.map(|file| StateOptions::new(file, run.full_refresh, config, &engine, output));
    let options = job::Options {
        state: state.transpose().map_err(in_session)?,
        typed: run.param.clone(),
        parameters: run.params.clone(),
        publish_all: run.publish == Publish::All,
        keep_going: run.on_error == OnError::Continue,
        dry_run: run.dry_run || run.explain,
        explain: run.explain,
        show_failures: run.show_failures,
        store_failures: run.store_failures.clone(),
        taken,
        stop,
        complain: |text| {
            if !text.is_empty() {
                say(text);
            }
        },
    };
    Ok(job::run(&engine, &sources, &options, output).await)
}

/// The files that a job itself reads and writes, each for one purpose only.
fn all_apart(run: &Run, output: &Output) -> Result<Vec<PathBuf>, Error> {
    let files: Vec<&PathBuf> = run
        .files
        .iter()
        .chain(&run.params)
        .chain(&run.junit)
        .chain(&run.report)
        .chain(&run.state)
        .collect();
    let written = [&run.junit, &run.report, &run.state, &output.file];
    for file in written.into_iter().flatten() {
        let same = |other: &&&PathBuf| catalog::real_path(other) == catalog::real_path(file);
        let own = usize::from(output.file.as_ref() != Some(file));
        if files.iter().filter(same).count() > own {
            let shown = file.display();
            return Err(Error::usage(format!(
                "`{shown}` is given for two purposes, and one of them would be lost"
            ))
            .hint("name another file"));
        }
    }
    Ok(files.into_iter().cloned().collect())
}

fn read_all(files: &[PathBuf]) -> Result<Vec<Source>, Box<(String, Error)>> {
    let read = |file: &PathBuf| {
        let path = file.to_string_lossy().into_owned();
        let text = if path == "-" { typed_in() } else { std::fs::read_to_string(file) };
        match text {
            Ok(text) => Ok(Source { path, text: script::unmarked(text) }),
            Err(e) => {
                let error = Error::usage(format!("cannot read `{path}`: {e}"));
                Err(Box::new((path, error)))
            }
        }
    };
    files.iter().map(read).collect()
}
