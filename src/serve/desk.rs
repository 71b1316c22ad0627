// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The engine as this door sees it: sessions, texts and batches, and nothing of how a statement is held.
//!
//! It is a trait object because the compiler proves of everything that waits in an async function that it may move
//! between threads, and for parsed SQL, with its hundreds of types, that takes minutes. Here it is proven once.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::execution::memory_pool::MemoryReservation;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use prost::bytes::Bytes;

use super::{parameters, statement, wire};
use crate::engine::{Described, Engine, Ingest, Listed, Outcome, Relation};
use crate::error::{Error, Result};
use crate::execute::{Meter, Rows};
use crate::policy::Who;
use crate::statement::Statement;

/// A session of the engine.
pub(super) trait Desk: Send + Sync {
    fn who(&self) -> &Who;
    /// Another session over the same tables.
    fn session(&self, who: Who) -> Result<Arc<dyn Desk>>;
    /// Plans a text for its columns. With values, it can be run.
    fn ready(
        self: Arc<Self>,
        sql: String,
        values: Option<Bytes>,
        views: bool,
    ) -> BoxFuture<'static, Result<Ready>>;
    /// A text without parameters, to run.
    fn bound(self: Arc<Self>, sql: &str) -> Result<Arc<dyn Bound>>;
    /// Runs a statement for its effect.
    fn command<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<()>>;
    fn may_ingest(&self, into: &Ingest) -> Result<()>;
    fn ingest(
        self: Arc<Self>,
        into: Ingest,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> BoxFuture<'static, Result<u64>>;
    fn reserve(&self, name: &str) -> MemoryReservation;
    fn schemas(&self) -> Vec<(String, String)>;
    fn listed(&self, catalog: &str, schema: &str) -> Vec<Listed>;
    fn is_view<'a>(&'a self, listed: &'a Listed) -> BoxFuture<'a, bool>;
    fn relation<'a>(&'a self, listed: &'a Listed) -> BoxFuture<'a, Result<Option<Relation>>>;
    fn functions(&self) -> Vec<(String, String)>;
    fn setting(&self, name: &str) -> Option<String>;
    fn memory_in_use(&self) -> usize;
    fn memory_limit(&self) -> Option<usize>;
}

/// A statement that has been looked into.
pub(super) struct Ready {
    /// Running it changes something.
    pub(super) effect: bool,
    /// Its columns, as they are promised.
    pub(super) promised: SchemaRef,
    /// Its parameters, for a client to know.
    pub(super) parameters: SchemaRef,
    /// What runs, when there are values.
    pub(super) bound: Option<Arc<dyn Bound>>,
}

/// A statement with its values, once for each row of them.
pub(super) trait Bound: Send + Sync {
    /// How many times it runs.
    fn times(&self) -> usize;
    /// The text that errors are drawn over.
    fn text(&self) -> &str;
    /// Runs it for one row of values, up to its first row.
    fn start<'a>(&'a self, time: usize, meter: &'a Arc<Meter>) -> BoxFuture<'a, Result<Answer>>;
}

/// What a statement gives.
pub(super) enum Answer {
    Rows(BoxStream<'static, Result<RecordBatch>>),
    /// The number of rows that it wrote.
    Written(BoxStream<'static, Result<RecordBatch>>),
    Done,
}

struct Statements {
    engine: Arc<Engine>,
    text: String,
    statements: Vec<Statement>,
}

impl Bound for Statements {
    fn times(&self) -> usize {
        self.statements.len()
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn start<'a>(&'a self, time: usize, meter: &'a Arc<Meter>) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async move {
            let Some(statement) = self.statements.get(time) else { return Ok(Answer::Done) };
            Ok(match self.engine.run_within(statement, Some(meter)).await? {
                Outcome::Rows(rows) => Answer::Rows(streamed(rows)),
                Outcome::Written(rows) => Answer::Written(streamed(rows)),
                Outcome::Done => Answer::Done,
            })
        })
    }
}

fn streamed(rows: Rows) -> BoxStream<'static, Result<RecordBatch>> {
    let next = |mut rows: Rows| async move {
        Ok::<_, Error>(rows.next().await?.map(|batch| (batch, rows)))
    };
    stream::try_unfold(rows, next).boxed()
}

impl Desk for Engine {
    fn who(&self) -> &Who {
        Engine::who(self)
    }

    fn session(&self, who: Who) -> Result<Arc<dyn Desk>> {
        Ok(Arc::new(Engine::session(self, who)?))
    }

    fn ready(
        self: Arc<Self>,
        sql: String,
        values: Option<Bytes>,
        views: bool,
    ) -> BoxFuture<'static, Result<Ready>> {
        Box::pin(async move {
            let statement = statement::one(&sql)?;
            let described = self.describe(&statement).await;
            let mut described = match described {
                Ok(described) => described,
                // The values may be what is missing.
                Err(error)
                    if values.as_ref().is_none_or(|v| v.is_empty())
                        && !error.message.contains("must be a constant") =>
                {
                    return Err(error);
                }
                Err(_) => Described::unplanned(&statement)?,
            };
            let parameters = parameters::schema(&described);
            let mut bound: Option<Arc<dyn Bound>> = None;
            if let Some(values) = values {
                let statements = parameters::bind(&statement, &described, &values)?;
                // And they may decide what the columns are.
                if let (false, Some(first)) = (described.parameters.is_empty(), statements.first())
                {
                    let valued = self.describe(first).await?;
                    // Where they do not, what was promised without them holds: a value may be NULL or not.
                    if !same_columns(&described.schema, &valued.schema) {
                        described = valued;
                    }
                }
                bound = Some(Arc::new(Statements { engine: self, text: sql, statements }));
            }
            let promised = wire::schema(&described.schema, views);
            Ok(Ready { effect: described.effect, promised, parameters, bound })
        })
    }

    fn bound(self: Arc<Self>, sql: &str) -> Result<Arc<dyn Bound>> {
        let statements = vec![statement::one(sql)?];
        Ok(Arc::new(Statements { engine: self, text: sql.to_string(), statements }))
    }

    fn command<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.query(sql).await.map(drop) })
    }

    fn may_ingest(&self, into: &Ingest) -> Result<()> {
        Engine::may_ingest(self, into)
    }

    fn ingest(
        self: Arc<Self>,
        into: Ingest,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> BoxFuture<'static, Result<u64>> {
        Box::pin(async move { Engine::ingest(&self, &into, schema, batches).await })
    }

    fn reserve(&self, name: &str) -> MemoryReservation {
        Engine::reserve(self, name)
    }

    fn schemas(&self) -> Vec<(String, String)> {
        Engine::schemas(self)
    }

    fn listed(&self, catalog: &str, schema: &str) -> Vec<Listed> {
        Engine::listed(self, catalog, schema)
    }

    fn is_view<'a>(&'a self, listed: &'a Listed) -> BoxFuture<'a, bool> {
        Engine::is_view(self, listed)
    }

    fn relation<'a>(&'a self, listed: &'a Listed) -> BoxFuture<'a, Result<Option<Relation>>> {
        Engine::relation(self, listed)
    }

    fn functions(&self) -> Vec<(String, String)> {
        Engine::functions(self)
    }

    fn setting(&self, name: &str) -> Option<String> {
        Engine::setting(self, name)
    }

    fn memory_in_use(&self) -> usize {
        Engine::memory_in_use(self)
    }

    fn memory_limit(&self) -> Option<usize> {
        Engine::memory_limit(self)
    }
}
/// Whether two schemas have the same names and types.
fn same_columns(one: &SchemaRef, other: &SchemaRef) -> bool {
    let column = |f: &FieldRef| (f.name().clone(), f.data_type().clone());
    one.fields().iter().map(column).eq(other.fields().iter().map(column))
}
