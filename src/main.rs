// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Arguments → a door → the error → the exit code.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use comptoir::config::{self, Config};
use comptoir::script::{self, Failure, Output};
use comptoir::signals::{Signals, Stop, unless_stopped};
use comptoir::sink::Format;
use comptoir::{Engine, Error, demo};
use futures::TryFutureExt;

#[path = "main/job.rs"]
mod job;
#[path = "main/stdout.rs"]
mod stdout;

use stdout::{closed, stdout, watch};

/// The binary's choice; a program that embeds the library makes its own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// E-commerce analytics in SQL, over Parquet and CSV files.
///
/// Without a command or `-c`, statements are read from the standard input.
#[derive(Debug, Parser)]
#[command(name = "comptoir", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str = "Results go to the standard output, everything else to the standard error.\n\
    Exit codes: 0 ok, 1 a query or an assertion failed, 2 usage, configuration, syntax or parameter,\n\
    3 not reachable now, try again, 4 out of memory or disk, 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run SQL files as one job: all are parsed before the first statement runs, and outputs appear together at the end
    Run(job::Run),
    /// Serve tables and analyses to BI tools and programs over Arrow Flight SQL
    #[cfg(feature = "serve")]
    Serve(comptoir::serve::Options),
    /// Add users and services that `serve` lets in
    #[cfg(feature = "serve")]
    #[command(subcommand)]
    User(User),
    /// Write a believable shop with known truths, and show its customer segments; `--format csv` writes CSV files
    Demo {
        /// The folder to write, created if it is not there
        #[arg(long, default_value = "demo")]
        dir: PathBuf,
        /// How many orders the shop has
        #[arg(long, default_value_t = 100_000)]
        orders: u64,
        /// The same seed gives the same bytes
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Look at the privacy policy, before anybody works under it
    #[command(subcommand)]
    Policy(PolicyCommand),
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Check the policy against the tables, and say what every table is to it
    Check,
    /// Say what the policy answers to a statement in the role, and why, without running it
    Explain {
        /// The statement
        sql: String,
    },
}

#[cfg(feature = "serve")]
#[derive(Debug, Subcommand)]
enum User {
    /// Add somebody with a password, which is asked for, or read from the standard input
    Add(comptoir::serve::user::NewUser),
    /// Add a program, and show its token, which is kept nowhere
    Token(comptoir::serve::user::NewUser),
}

#[derive(Args, Debug)]
struct Options {
    /// Run this SQL and leave
    #[arg(short = 'c', long = "command", value_name = "SQL", allow_hyphen_values = true)]
    sql: Option<String>,
    /// Load a file, or a folder of tables; may be repeated
    #[arg(long, value_name = "PATH", global = true)]
    data: Vec<String>,
    /// Read this configuration instead of ./comptoir.toml
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// How results are written: table, csv, json, jsonl, markdown, html, parquet or arrow
    #[arg(long, value_name = "FORMAT", global = true)]
    format: Option<String>,
    /// Write the result to this file, which appears whole or not at all
    #[arg(long, value_name = "FILE", global = true)]
    output: Option<PathBuf>,
    /// Memory that queries may hold before they spill to disk, as in 500MB or 2GB
    #[arg(long, value_name = "SIZE", global = true)]
    memory_limit: Option<String>,
    /// How many threads work on a query
    #[arg(long, value_name = "N", global = true)]
    threads: Option<usize>,
    /// The moment that now() and today() say, such as 2026-11-21 or 2026-11-21T06:00:00+01:00
    #[arg(long, value_name = "MOMENT", global = true)]
    as_of: Option<String>,
    /// Refuse every statement that changes a table, a file or the session
    #[arg(long, global = true)]
    read_only: bool,
    /// The role of the privacy policy in which to ask, instead of COMPTOIR_ROLE
    #[arg(long, value_name = "NAME", global = true)]
    role: Option<String>,
    /// No remarks on the standard error, only errors
    #[arg(short, long, global = true)]
    quiet: bool,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // `--help` and `--version` come this way too, and are no errors.
        Err(told) => {
            let _ = told.print();
            return ExitCode::from(if told.use_stderr() { 2 } else { 0 });
        }
    };
    // The main thread has less stack than long statements need.
    let run = std::thread::Builder::new().stack_size(comptoir::statement::STACK);
    let ended = match run.spawn(move || start(cli)).map(std::thread::JoinHandle::join) {
        Ok(Ok(ended)) => ended,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => Err(End::Plain(error.into())),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(End::Plain(error)) => {
            say(&comptoir::diagnostic::render(&error, "", ""));
            ExitCode::from(error.kind.exit_code())
        }
        Err(End::Said(code)) => ExitCode::from(code),
        Err(End::Drawn(failure)) => {
            say(&failure.render());
            ExitCode::from(failure.error.kind.exit_code())
        }
    }
}

/// How a run ends that does not end well.
enum End {
    Plain(Error),
    Drawn(Box<Failure>),
    /// Everything has been said.
    Said(u8),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        End::Plain(error)
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        End::Drawn(Box::new(failure))
    }
}

fn start(cli: Cli) -> Result<(), End> {
    let config = configure(&cli.options)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.thread_stack_size(comptoir::statement::STACK);
    if let Some(threads) = config.threads {
        runtime.worker_threads(threads);
    }
    let runtime = runtime.enable_all().build().map_err(Error::from)?;
    let ended = runtime.block_on(async {
        let stop = Signals::stop();
        let ended = match &cli.command {
            // The prompt has its own answer: it keeps the session.
            None if cli.options.sql.is_none() => go(cli, config, stop).await,
            // A job writes its reports all the same.
            Some(Command::Run(_)) => go(cli, config, stop).await,
            // The server lets its queries end.
            #[cfg(feature = "serve")]
            Some(Command::Serve(_)) => go(cli, config, stop).await,
            _ => {
                watch(&stop);
                unless_stopped(&stop.clone(), go(cli, config, stop)).await
            }
        };
        // An upload that was given up leaves nothing in its store; who is in a hurry asks twice.
        tokio::select! {
            () = comptoir::sink::aborted() => ended,
            () = Signals::stop() => ended,
        }
    });
    // A query that is still at work on another thread is left behind, not waited for.
    runtime.shutdown_background();
    ended
}

async fn go(cli: Cli, mut config: Config, stop: Stop) -> Result<(), End> {
    if let Some(Command::Demo { dir, orders, seed }) = cli.command {
        let format = match cli.options.format.as_deref() {
            None | Some("parquet") => demo::Format::Parquet,
            Some("csv") => demo::Format::Csv,
            Some(other) => {
                return Err(Error::usage(format!(
                    "the demo shop is written as parquet or csv; found `{other}`"
                ))
                .into());
            }
        };
        let output = output(&Options { format: None, ..cli.options })?;
        let options = demo::Options { dir: dir.clone(), orders, seed, format };
        let tables = tokio::task::spawn_blocking(move || demo::generate(&options))
            .await
            .map_err(|e| Error::query(e.to_string()))??;
        (output.remark)(&format!(
            "{} rows in {} tables under `{}`",
            tables.iter().map(|t| t.rows).sum::<u64>(),
            tables.len(),
            dir.display()
        ));
        config.data = vec![dir.to_string_lossy().into_owned()];
        let engine = Engine::open(&config).await?;
        return Ok(script::run(&engine, demo::SHOWCASE, "demo", &output).await?);
    }
    let output = output(&cli.options)?;
    #[cfg(feature = "serve")]
    match &cli.command {
        Some(Command::Serve(options)) => {
            return Ok(comptoir::serve::run(&config, options, output.remark).await?);
        }
        Some(Command::User(user)) => return Ok(add_user(&cli.options, user, output.remark)?),
        _ => {}
    }
    if let Some(Command::Run(run)) = cli.command {
        return match cli.options.sql {
            Some(_) => Err(Error::usage("`run` and `-c` cannot go together").into()),
            None => job::run(run, &output, &config, stop).await,
        };
    }
    let engine = Engine::open(&config).await?;
    match (cli.command, cli.options.sql) {
        (Some(Command::Policy(command)), _) => policy(&engine, command, &output).await,
        (None, Some(sql)) => Ok(script::run(&engine, &sql, "sql", &output).await?),
        (None, None) => prompt(engine, &output, &stop).await,
        (Some(_), _) => Ok(()),
    }
}

#[cfg(feature = "serve")]
fn add_user(options: &Options, user: &User, remark: fn(&str)) -> Result<(), Error> {
    let file = options.config.clone().unwrap_or_else(|| PathBuf::from(config::FILE));
    match user {
        User::Add(user) => {
            comptoir::serve::user::add(&file, user)?;
            remark(&format!("`{}` is in `{}`", user.name, file.display()));
        }
        User::Token(user) => {
            let token = comptoir::serve::user::token(&file, user)?;
            let mut out = std::io::stdout();
            writeln!(out, "{token}").map_err(Error::from)?;
            remark(&format!(
                "`{}` is in `{}`; its token is shown this once",
                user.name,
                file.display()
            ));
        }
    }
    Ok(())
}

async fn policy(engine: &Engine, command: PolicyCommand, output: &Output) -> Result<(), End> {
    let Some(session) = engine.privacy() else {
        return Err(Error::usage("there is no privacy policy")
            .hint("name one with `privacy = \"policy.toml\"` in comptoir.toml")
            .into());
    };
    match command {
        PolicyCommand::Check => {
            let mut out = (output.stdout)();
            for line in session.policy().summary() {
                writeln!(out, "{line}").map_err(Error::from)?;
            }
            Ok(out.flush().map_err(Error::from)?)
        }
        PolicyCommand::Explain { sql } => {
            Ok(script::run(engine, &format!("EXPLAIN PRIVACY {sql}"), "sql", output).await?)
        }
    }
}

/// A terminal gets a prompt; anything else is a script.
async fn prompt(engine: Engine, output: &Output, stop: &Stop) -> Result<(), End> {
    #[cfg(feature = "repl")]
    if std::io::stdin().is_terminal() {
        return Ok(comptoir::repl::run(std::sync::Arc::new(engine), output).await?);
    }
    let text = typed_in().map_err(Error::from)?;
    watch(stop);
    let ran = script::run(&engine, &text, "standard input", output);
    unless_stopped(stop, ran.map_err(End::from)).await
}

fn typed_in() -> std::io::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(script::unmarked(text))
}

/// What was typed, over what the file says.
fn configure(options: &Options) -> Result<Config, Error> {
    let mut config = Config::load(options.config.as_deref())?;
    config.data.extend(options.data.iter().cloned());
    if let Some(size) = &options.memory_limit {
        config.memory_limit = Some(config::parse_bytes(size)?);
    }
    if let Some(threads) = options.threads {
        config.threads = Some(config::at_least_one(threads)?);
    }
    if let Some(moment) = &options.as_of {
        config.as_of = Some(config::parse_moment(moment)?);
    }
    config.role = options.role.clone().or_else(|| std::env::var("COMPTOIR_ROLE").ok());
    config.read_only |= options.read_only;
    Ok(config)
}

fn output(options: &Options) -> Result<Output, Error> {
    let named = options.format.as_deref().map(Format::named).transpose()?;
    let by_file = options.output.as_deref().and_then(Format::of_file);
    let format = match named.or(by_file) {
        Some(format) => format,
        None if options.output.is_some() => {
            return Err(Error::usage("the format of `--output` does not show in its name")
                .hint("add `--format`"));
        }
        None => Format::named("table")?,
    };
    if format.binary && options.output.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::usage(format!("{} is not for a terminal", format.name))
            .hint("add `--output FILE`"));
    }
    let remark: fn(&str) = if options.quiet { |_| {} } else { say };
    Ok(Output { format, file: options.output.clone(), stdout, closed, remark })
}

/// Says something to people, if they still listen.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
