// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What must not happen twice, and what must not happen at all: tickets of statements with an effect that have been
//! handed in, and tickets that were cancelled. And the values bound to prepared statements, for clients that do not
//! take the new handle.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use prost::bytes::Bytes;
use tonic::{Code, Status};

use super::ticket;

/// The most statements that have values at one time.
const MOST_BOUND: usize = 10_000;

#[derive(Default)]
pub(super) struct Once {
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    effects: HashMap<String, (u64, Effect)>,
    cancelled: HashMap<String, u64>,
    bound: HashMap<Bytes, (u64, Bytes)>,
}

/// How far a statement with an effect is.
enum Effect {
    Running,
    Done,
    Failed(Code, String),
}

impl Once {
    /// Notes that a statement begins; what became of it, when it has begun before.
    pub(super) fn begin(&self, ticket: &str, expires: u64) -> Option<Result<(), Status>> {
        let mut all = self.all();
        match all.effects.get(ticket).map(|(_, effect)| effect) {
            None => {
                all.effects.insert(ticket.to_string(), (expires, Effect::Running));
                None
            }
            Some(Effect::Running) => Some(Err(Status::aborted("this statement is being run"))),
            Some(Effect::Done) => Some(Ok(())),
            Some(Effect::Failed(code, message)) => Some(Err(Status::new(*code, message))),
        }
    }

    /// Notes how it ended.
    pub(super) fn end(&self, ticket: &str, failed: Option<&Status>) {
        if let Some((_, effect)) = self.all().effects.get_mut(ticket) {
            *effect = match failed {
                None => Effect::Done,
                Some(status) => Effect::Failed(status.code(), status.message().to_string()),
            };
        }
    }

    /// It never began.
    pub(super) fn forget(&self, ticket: &str) {
        self.all().effects.remove(ticket);
    }

    pub(super) fn cancel(&self, ticket: &str, expires: u64) {
        self.all().cancelled.insert(ticket.to_string(), expires);
    }

    pub(super) fn is_cancelled(&self, ticket: &str) -> bool {
        self.all().cancelled.contains_key(ticket)
    }

    /// Keeps the values of a prepared statement until others come or it is closed.
    pub(super) fn bind(&self, id: &Bytes, expires: u64, values: Bytes) -> Result<(), Status> {
        let mut all = self.all();
        if all.bound.len() >= MOST_BOUND && !all.bound.contains_key(id) {
            return Err(Status::resource_exhausted(
                "too many prepared statements have values: close those that are done",
            ));
        }
        all.bound.insert(id.clone(), (expires, values));
        Ok(())
    }

    pub(super) fn bound(&self, id: &Bytes) -> Bytes {
        self.all().bound.get(id).map(|(_, values)| values.clone()).unwrap_or_default()
    }

    pub(super) fn close(&self, id: &Bytes) {
        self.all().bound.remove(id);
    }

    /// Forgets what nobody can ask for any more.
    pub(super) fn sweep(&self) {
        let now = ticket::now();
        let mut all = self.all();
        all.effects.retain(|_, (expires, _)| *expires >= now);
        all.cancelled.retain(|_, expires| *expires >= now);
        all.bound.retain(|_, (expires, _)| *expires >= now);
    }

    fn all(&self) -> std::sync::MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
