// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A statement → the stream of its rows, or its effect.
//!
//! The rows are made on threads of their own ([`super::workers`]) and handed over through a short channel to a task
//! among those that speak with clients. That task keeps the time, listens for a cancel and sees a client leave, however
//! busy the query is; when it goes, the query and everything that it holds go at the next pause. The seat in the queue
//! is the query's until then. While there is nothing to say the client gets empty batches, because what stands between
//! it and us forgets quiet connections.

use std::pin::pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::utils::batches_to_flight_data;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::Status;

use super::desk::{Answer, Bound};
use super::queries::Query;
use super::running::Running;
use super::sessions::Session;
use super::together::together;
use super::{Caller, Server, status, wire};
use crate::error::{Error, Kind};

/// How many messages wait on either half of their way to a client.
const AHEAD: usize = 3;

/// What is sent to a client.
pub(super) type Sent = BoxStream<'static, Result<FlightData, Status>>;

/// A statement that has a place in the queue.
pub(super) struct Job {
    running: Running,
    work: Work,
}

/// What is worked on.
#[derive(Clone)]
struct Work {
    server: Arc<Server>,
    session: Arc<Session>,
    /// More than one when a statement has several rows of parameters: their rows follow each other.
    statements: Arc<dyn Bound>,
    /// What the rows were promised to look like.
    promised: SchemaRef,
    query: Arc<Query>,
}

impl Job {
    /// Enters the queue, or says that it is full.
    pub(super) fn new(
        server: &Arc<Server>,
        caller: &Caller,
        ticket: &str,
        statements: Arc<dyn Bound>,
        promised: SchemaRef,
    ) -> Result<Self, Status> {
        let running = Running::begin(server, caller, ticket, statements.text())?;
        let work = Work {
            server: Arc::clone(server),
            session: Arc::clone(&caller.session),
            statements,
            promised,
            query: Arc::clone(&running.query),
        };
        Ok(Self { running, work })
    }

    /// The rows, as they come.
    pub(super) fn stream(self) -> Result<Sent, Status> {
        let empty = RecordBatch::new_empty(Arc::clone(&self.work.promised));
        let opening = batches_to_flight_data(&self.work.promised, vec![empty]);
        let mut opening = opening.map_err(status::arrow)?.into_iter();
        let (Some(schema), Some(nothing)) = (opening.next(), opening.next()) else {
            return Err(Status::internal("a schema cannot be encoded"));
        };
        let quiet = self.work.server.settings.limits.keep_alive;
        let (to_client, rows) = mpsc::channel(AHEAD);
        tokio::spawn(self.serve(to_client));
        let rest = stream::unfold((rows, nothing), move |(mut rows, nothing)| async move {
            match tokio::time::timeout(quiet, rows.recv()).await {
                Ok(sent) => sent.map(|sent| (sent, (rows, nothing))),
                Err(_) => Some((Ok(nothing.clone()), (rows, nothing))),
            }
        });
        Ok(stream::once(async { Ok(schema) }).chain(rest).boxed())
    }

    /// Runs the statements for their effects, and gives the number of rows that they changed, or -1 where that is not
    /// known.
    pub(super) async fn count(self) -> Result<i64, Status> {
        self.at_once(Work::changed).await
    }

    /// Runs the statements for their effects, and gives what they say of them.
    pub(super) async fn effect(self) -> Result<Vec<RecordBatch>, Status> {
        self.at_once(Work::collected).await
    }

    /// Serves a client to its end.
    async fn serve(self, to_client: mpsc::Sender<Result<FlightData, Status>>) {
        let ended = tokio::select! {
            ended = self.running.within_limits(self.hand_over(&to_client)) => ended,
            () = to_client.closed() => Err(Status::cancelled("the client is gone")),
        };
        // Before the client knows, so that it finds the query ended when it looks.
        self.running.end(&ended);
        if let Err(status) = ended {
            let _ = to_client.send(Err(status)).await;
        }
    }

    async fn hand_over(
        &self,
        to_client: &mpsc::Sender<Result<FlightData, Status>>,
    ) -> Result<(), Status> {
        let seat = self.running.seat().await?;
        let (to_us, mut made) = mpsc::channel(AHEAD);
        let rows = self.work.server.workers.query(self.work.clone().rows(seat, to_us))?;
        let stall = self.work.server.settings.limits.stall;
        while let Some(data) = made.recv().await {
            match tokio::time::timeout(stall, to_client.send(Ok(data))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Status::cancelled("the client is gone")),
                Err(_) => {
                    return Err(Status::deadline_exceeded(format!(
                        "the client took nothing for {} s",
                        stall.as_secs_f64()
                    )));
                }
            }
        }
        rows.done().await?
    }

    async fn at_once<T, F>(self, run: fn(Work, OwnedSemaphorePermit) -> F) -> Result<T, Status>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Status>> + Send + 'static,
    {
        let all = async {
            let seat = self.running.seat().await?;
            self.work.server.workers.query(run(self.work.clone(), seat))?.done().await?
        };
        let ended = self.running.within_limits(all).await;
        self.running.end(&ended);
        ended
    }
}

impl Work {
    async fn rows(
        self,
        _seat: OwnedSemaphorePermit,
        to_us: mpsc::Sender<FlightData>,
    ) -> Result<(), Status> {
        self.query.started();
        let text = self.statements.text();
        for time in 0..self.statements.times() {
            let batches = match self.start(time).await? {
                Answer::Rows(rows) | Answer::Written(rows) => rows,
                Answer::Done => continue,
            };
            let encoded = FlightDataEncoderBuilder::new()
                .with_schema(Arc::clone(&self.promised))
                // There are none left, and hydrating would check what was promised again.
                .with_dictionary_handling(DictionaryHandling::Resend)
                .build(self.as_promised(batches))
                // The schema, which the client has.
                .skip(1);
            let mut encoded = pin!(encoded);
            while let Some(data) = encoded.next().await {
                let data = data.map_err(|e| status::flight(e, text))?;
                self.count(0, data.data_body.len()).map_err(|e| self.failed(&e))?;
                if to_us.send(data).await.is_err() {
                    return Err(Status::cancelled("the client is gone"));
                }
            }
        }
        Ok(())
    }

    async fn changed(self, _seat: OwnedSemaphorePermit) -> Result<i64, Status> {
        self.query.started();
        let mut changed = 0;
        for time in 0..self.statements.times() {
            match self.start(time).await? {
                Answer::Written(mut rows) => {
                    while let Some(batch) = rows.try_next().await.map_err(|e| self.failed(&e))? {
                        changed += count_in(&batch);
                    }
                }
                // A query sent as an update is run all the same.
                Answer::Rows(mut rows) => {
                    while rows.try_next().await.map_err(|e| self.failed(&e))?.is_some() {}
                    changed = -1;
                }
                Answer::Done => {}
            }
        }
        Ok(changed)
    }

    async fn collected(self, _seat: OwnedSemaphorePermit) -> Result<Vec<RecordBatch>, Status> {
        self.query.started();
        let text = self.statements.text();
        let mut collected = vec![];
        for time in 0..self.statements.times() {
            if let Answer::Rows(rows) | Answer::Written(rows) = self.start(time).await? {
                let rows = self.as_promised(rows).map_err(|e| status::flight(e, text));
                collected.extend(rows.try_collect::<Vec<_>>().await?);
            }
        }
        Ok(collected)
    }

    async fn start(&self, time: usize) -> Result<Answer, Status> {
        let answer = self.statements.start(time, &self.query.meter).await;
        answer.map_err(|e| self.failed(&e))
    }

    /// The rows as they were promised, counted against what the role may take. Where none were promised there are none,
    /// when everything has been done.
    fn as_promised(
        &self,
        rows: BoxStream<'static, crate::error::Result<RecordBatch>>,
    ) -> BoxStream<'static, Result<RecordBatch, FlightError>> {
        let work = self.clone();
        let rows = together(rows).map(move |batch| {
            let batch = batch.map_err(status::to_flight)?;
            if work.promised.fields().is_empty() {
                return Ok(None);
            }
            work.count(batch.num_rows(), 0).map_err(status::to_flight)?;
            Ok(Some(wire::batch(&batch, &work.promised)?))
        });
        rows.try_filter_map(|batch| async { Ok(batch) }).boxed()
    }

    /// Counts what leaves, up to what the role may take.
    fn count(&self, rows: usize, bytes: usize) -> crate::error::Result<()> {
        let (rows, bytes) = self.query.sent(rows, bytes);
        let role = self.session.who().role_name();
        let limits = self.server.settings.roles.get(role).copied().unwrap_or_default();
        if limits.rows.is_some_and(|most| rows > most)
            || limits.bytes.is_some_and(|most| bytes > most)
        {
            return Err(too_much(role, limits));
        }
        Ok(())
    }

    fn failed(&self, error: &Error) -> Status {
        status::drawn(error, self.statements.text())
    }
}

/// The number in the one column of a statement that changes rows.
fn count_in(batch: &RecordBatch) -> i64 {
    use arrow::array::AsArray;
    use arrow::datatypes::UInt64Type;
    let column = batch.columns().first().and_then(|c| c.as_primitive_opt::<UInt64Type>().cloned());
    column.map_or(0, |c| c.iter().flatten().map(|n| i64::try_from(n).unwrap_or(i64::MAX)).sum())
}

fn too_much(role: &str, limits: super::settings::RoleLimits) -> Error {
    let most = match (limits.rows, limits.bytes) {
        (Some(rows), Some(bytes)) => format!("{rows} rows and {bytes} bytes"),
        (Some(rows), None) => format!("{rows} rows"),
        (None, bytes) => format!("{} bytes", bytes.unwrap_or_default()),
    };
    Error::new(
        Kind::Resource,
        format!("the result is larger than the role `{role}` may take: {most}"),
    )
    .hint("ask for fewer columns, add up in SQL, or add a LIMIT")
}
