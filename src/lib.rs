// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Comptoir answers e-commerce questions in SQL, over Parquet and CSV files.
//!
//! # The way of a query
//!
//! ```text
//! SQL text → statement → session (functions, tables, policy) → plan → policy gates → execute → sink
//!              ↑ library: `name(relation, arg => value)` becomes the analysis's own plan
//! ```
//!
//! A table function is never a black box. It expands, while the statement is planned, into an ordinary logical plan of
//! DataFusion's relational operators and our own aggregate and scalar functions ([`expand`]). So projections and filters
//! push through it, unused columns cost nothing, and grouped aggregates and sorts spill.
//!
//! # Embedding
//!
//! [`register`] adds every function and table function to a session that you built yourself:
//!
//! ```
//! use datafusion::prelude::{SessionConfig, SessionContext};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ctx = SessionContext::new_with_config(SessionConfig::new().with_information_schema(true));
//! comptoir::register(&ctx)?;
//!
//! ctx.sql(
//!     "CREATE TABLE sales AS SELECT * FROM (VALUES
//!         ('o1', 'ann', TIMESTAMP '2024-01-05 10:00:00', 40.0),
//!         ('o2', 'bob', TIMESTAMP '2024-03-01 09:30:00', 15.0),
//!         ('o3', 'ann', TIMESTAMP '2024-03-09 18:00:00', 60.0)
//!      ) AS t(order_id, customer_id, created_timestamp, net_sales)",
//! )
//! .await?;
//! let scores = ctx
//!     .sql("SELECT customer_id, frequency, monetary FROM rfm_score(sales) ORDER BY customer_id")
//!     .await?
//!     .collect()
//!     .await?;
//! assert_eq!(scores[0].num_rows(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! [`Engine`] is the whole product without a door: a session with a memory limit, spilling, tables from files, staged
//! outputs, session macros and errors that know their place.
//!
//! # Invariants
//!
//! - Doors (`script`, `repl`) do not know each other; nothing below a door knows a door.
//! - No Rust file but `demo` names an analysis or a shop table.
//! - Nothing is written in place: every output is staged and renamed.
//! - Printing happens in `main`, `repl` and `sink` only.

// In the order of the flow.
pub mod catalog;
pub mod config;
pub mod demo;
pub mod diagnostic;
pub mod error;
pub mod execute;
pub mod expand;
pub mod library;
pub mod policy;
#[cfg(feature = "repl")]
pub mod repl;
pub mod script;
#[cfg(feature = "serve")]
pub mod serve;
pub mod session;
pub mod signals;
pub mod sink;
pub mod statement;

mod engine;

pub use engine::{
    Checked, Column, Described, Engine, Footprint, Function, IfExists, Ingest, Listed, Names,
    Outcome, Rehearsed, Relation, literal, register,
};
pub use error::{Error, Result};
