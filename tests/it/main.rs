// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What SQL cannot reach: the command line, the house rules, outside oracles. SQL behaviour is tested in `slt/`.

mod cli; // the real program: exit codes, streams, outputs that appear whole
mod examples; // every `-- example` of sql/ runs and returns what its header promises
mod generated; // the tables in README.md and sql/README.md are current
mod oracle; // pandas, on public data
mod script; // `comptoir run`: parameters, assertions, outputs together, reports, kill -9
mod serve; // Flight SQL, by the drivers that BI tools use
mod shop; // the demo shop matches sql/schema.sql
mod tidy; // the house rules
