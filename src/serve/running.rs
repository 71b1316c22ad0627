// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A query while it lasts: its place in the queue, its line in the list, its time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::queries::Query;
use super::queue::Place;
use super::sessions::{Held, Session};
use super::{Caller, Server};

pub(super) struct Running {
    server: Arc<Server>,
    pub(super) query: Arc<Query>,
    place: Place,
    asked: Instant,
    allowed: Duration,
    _held: Held,
}

impl Running {
    /// Enters the queue, or says that it is full.
    pub(super) fn begin(
        server: &Arc<Server>,
        caller: &Caller,
        ticket: &str,
        text: &str,
    ) -> Result<Self, Status> {
        let place = server.queue.enter()?;
        let session: &Arc<Session> = &caller.session;
        let query = server.queries.begin(session.who(), &session.id, ticket, text);
        let most = server.settings.limits.query_timeout;
        Ok(Self {
            server: Arc::clone(server),
            query,
            place,
            asked: Instant::now(),
            allowed: caller.timeout.map_or(most, |t| t.min(most)),
            _held: session.hold(),
        })
    }

    /// Waits for a seat.
    pub(super) async fn seat(&self) -> Result<OwnedSemaphorePermit, Status> {
        self.place.seat().await
    }

    /// Lets something run until it ends, somebody stops it, or its time is up.
    pub(super) async fn within_limits<T>(
        &self,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        tokio::select! {
            ended = work => ended,
            stopped = self.query.stopped() => Err(stopped),
            () = tokio::time::sleep_until((self.asked + self.allowed).into()) => {
                let seconds = self.allowed.as_secs_f64();
                Err(Status::deadline_exceeded(match self.query.has_started() {
                    true => format!("the query took longer than {seconds} s"),
                    false => format!("the query waited for longer than {seconds} s for its turn"),
                }))
            }
        }
    }

    pub(super) fn end<T>(&self, ended: &Result<T, Status>) {
        self.server.ended(&self.query, ended.as_ref().err());
    }
}

impl Drop for Running {
    /// What never came to its end was dropped by a client that left.
    fn drop(&mut self) {
        if self.server.queries.is_alive(&self.query) {
            let gone = Status::cancelled("the client is gone");
            self.server.ended(&self.query, Some(&gone));
        }
    }
}
