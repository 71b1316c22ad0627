// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A statement → the stream of its rows.
//!
//! A query works on threads of its own kind, apart from those that speak with clients, and hands its rows over through
//! a short channel: it waits when the client is slow, and ends with everything it holds when the client is gone. While
//! there is nothing to say the client gets empty batches, because what stands between it and us forgets quiet
//! connections.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::utils::batches_to_flight_data;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::Status;

use super::desk::{Answer, Bound};
use super::queries::Query;
use super::queue::Place;
use super::sessions::{Held, Session};
use super::{Server, status, wire};
use crate::error::{Error, Kind};

/// How many messages wait for a client.
const AHEAD: usize = 4;

/// What is sent to a client.
pub(super) type Sent = BoxStream<'static, Result<FlightData, Status>>;

/// A query with a place in the queue.
pub(super) struct Job {
    server: Arc<Server>,
    session: Arc<Session>,
    /// More than one when a statement has several rows of parameters: their rows follow each other.
    statements: Arc<dyn Bound>,
    /// What the rows were promised to look like.
    promised: SchemaRef,
    query: Arc<Query>,
    place: Place,
    deadline: Instant,
    _held: Held,
}

impl Job {
    /// Enters the queue, or says that it is full.
    pub(super) fn new(
        server: &Arc<Server>,
        session: &Arc<Session>,
        ticket: &str,
        statements: Arc<dyn Bound>,
        promised: SchemaRef,
        timeout: Option<Duration>,
    ) -> Result<Self, Status> {
        let place = server.queue.enter()?;
        let limit = server.settings.limits.query_timeout;
        let query = server.queries.begin(session.who(), &session.id, ticket, statements.text());
        Ok(Self {
            server: Arc::clone(server),
            session: Arc::clone(session),
            statements,
            promised,
            query,
            place,
            deadline: Instant::now() + timeout.map_or(limit, |t| t.min(limit)),
            _held: session.hold(),
        })
    }

    /// The rows, as they come.
    pub(super) fn stream(self) -> Result<Sent, Status> {
        let empty = RecordBatch::new_empty(Arc::clone(&self.promised));
        let mut opening =
            batches_to_flight_data(&self.promised, vec![empty]).map_err(status::arrow)?.into_iter();
        let (Some(schema), Some(nothing)) = (opening.next(), opening.next()) else {
            return Err(Status::internal("a schema cannot be encoded"));
        };
        let quiet = self.server.settings.limits.keep_alive;
        let (to_client, rows) = mpsc::channel(AHEAD);
        let server = Arc::clone(&self.server);
        let task = Task(server.workers.spawn(self.send(to_client)));
        let rest =
            stream::unfold((rows, nothing, task), move |(mut rows, nothing, task)| async move {
                match tokio::time::timeout(quiet, rows.recv()).await {
                    Ok(Some(sent)) => Some((sent, (rows, nothing, task))),
                    Ok(None) => None,
                    Err(_) => Some((Ok(nothing.clone()), (rows, nothing, task))),
                }
            });
        Ok(stream::once(async { Ok(schema) }).chain(rest).boxed())
    }

    /// Runs the statements for their effects, and gives the number of rows that they changed, or -1 where that is not
    /// known.
    pub(super) async fn count(self) -> Result<i64, Status> {
        let server = Arc::clone(&self.server);
        let work = async move {
            let ended = self.within_limits(self.changed()).await;
            self.end(&ended);
            ended
        };
        at_work(&server, work).await?
    }

    /// Sends everything there is to a client.
    async fn send(self, to_client: mpsc::Sender<Result<FlightData, Status>>) {
        let ended = tokio::select! {
            ended = self.within_limits(self.rows(&to_client)) => ended,
            () = to_client.closed() => Err(Status::cancelled("the client is gone")),
        };
        // Before the client knows, so that it finds the query ended when it looks.
        self.end(&ended);
        if let Err(status) = ended {
            let _ = to_client.send(Err(status)).await;
        }
    }

    /// Lets something run until it ends, somebody stops it, or its time is up.
    async fn within_limits<T>(
        &self,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        tokio::select! {
            ended = work => ended,
            stopped = self.query.stopped() => Err(stopped),
            () = tokio::time::sleep_until(self.deadline.into()) => Err(Status::deadline_exceeded(
                format!("the query took longer than {} s", self.server.settings.limits.query_timeout.as_secs_f64()),
            )),
        }
    }

    async fn rows(
        &self,
        to_client: &mpsc::Sender<Result<FlightData, Status>>,
    ) -> Result<(), Status> {
        let _seat = self.place.seat().await?;
        self.query.started();
        let limits = self.server.settings.roles.get(&self.session.who().role).copied();
        let limits = limits.unwrap_or_default();
        let text = self.statements.text();
        let failed = |e: Error| status::drawn(&e, text);
        for time in 0..self.statements.times() {
            let answer = self.statements.start(time, &self.query.meter).await;
            let mut batches = match answer.map_err(failed)? {
                Answer::Rows(rows) | Answer::Written(rows) => rows,
                Answer::Done => continue,
            };
            if self.promised.fields().is_empty() {
                while batches.try_next().await.map_err(failed)?.is_some() {}
                continue;
            }
            let promised = Arc::clone(&self.promised);
            let query = Arc::clone(&self.query);
            let role = self.session.who().role.clone();
            let batches = batches.map(move |batch| {
                let batch = batch.map_err(status::to_flight)?;
                let (rows, bytes) = query.sent(batch.num_rows(), 0);
                if limits.rows.is_some_and(|most| rows > most)
                    || limits.bytes.is_some_and(|most| bytes > most)
                {
                    return Err(status::to_flight(too_much(&role, limits)));
                }
                Ok(wire::batch(&batch, &promised)?)
            });
            let encoded = FlightDataEncoderBuilder::new()
                .with_schema(Arc::clone(&self.promised))
                // There are none left, and hydrating would check what was promised again.
                .with_dictionary_handling(DictionaryHandling::Resend)
                .build(batches)
                // The schema, which the client has.
                .skip(1);
            let mut encoded = pin!(encoded);
            while let Some(data) = encoded.next().await {
                let data = data.map_err(|e| status::flight(e, text))?;
                self.query.sent(0, data.data_body.len());
                let stall = self.server.settings.limits.stall;
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
        }
        Ok(())
    }

    async fn changed(&self) -> Result<i64, Status> {
        let _seat = self.place.seat().await?;
        self.query.started();
        let mut changed = 0;
        let failed = |e: Error| status::drawn(&e, self.statements.text());
        for time in 0..self.statements.times() {
            let answer = self.statements.start(time, &self.query.meter).await;
            match answer.map_err(failed)? {
                Answer::Written(mut rows) => {
                    while let Some(batch) = rows.try_next().await.map_err(failed)? {
                        changed += count_in(&batch);
                    }
                }
                // A query sent as an update is run all the same.
                Answer::Rows(mut rows) => {
                    while rows.try_next().await.map_err(failed)?.is_some() {}
                    changed = -1;
                }
                Answer::Done => {}
            }
        }
        Ok(changed)
    }

    fn end<T>(&self, ended: &Result<T, Status>) {
        self.server.ended(&self.query, ended.as_ref().err());
    }
}

impl Drop for Job {
    /// A job that never came to its end was dropped by a client that left.
    fn drop(&mut self) {
        if self.server.queries.is_alive(&self.query) {
            let gone = Status::cancelled("the client is gone");
            self.server.ended(&self.query, Some(&gone));
        }
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

/// Lets something be worked on where queries are.
pub(super) async fn at_work<T: Send + 'static>(
    server: &Server,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Status> {
    let mut task = Task(server.workers.spawn(work));
    (&mut task.0).await.map_err(|e| Status::internal(e.to_string()))
}

/// A task that ends with whoever waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
