// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What SQL cannot reach: the command line, the house rules, outside oracles. SQL behaviour is tested in `slt/`.

mod cli; // the real program: exit codes, streams, outputs that appear whole
mod examples; // every `-- example` of sql/ runs and returns what its header promises
mod generated; // the tables in README.md and sql/README.md are current
mod incremental; // `--state`: what is skipped, and what never is
mod oracle; // pandas, on public data
mod outputs; // where they land, whoever names them, whole after kill -9
mod page; // `--format html`: escaped, and looked at by a browser
mod parameters; // values for `$name`
mod privacy; // the gates: a planted victim, DuckDB, other words for one question
mod repl; // the prompt, in a pseudo-terminal
mod script; // `comptoir run`: assertions, outputs together, dry runs, reports, exit codes
mod serve; // Flight SQL, by the drivers that BI tools use
mod shop; // the demo shop matches sql/schema.sql
mod stores; // s3:// and http://, read and written
mod tidy; // the house rules
