// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The little that is kept of tickets and handles: which tickets were cancelled before they were handed in, and the
//! values bound to prepared statements, for clients that go on with the handle they had before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use prost::bytes::Bytes;
use tonic::Status;

use super::ticket;

/// The most statements that have values at one time.
const MOST_BOUND: usize = 10_000;

#[derive(Default)]
pub(super) struct Once {
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    cancelled: HashMap<String, u64>,
    bound: HashMap<Bytes, (u64, Bytes)>,
}

impl Once {
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
        all.cancelled.retain(|_, expires| *expires >= now);
        all.bound.retain(|_, (expires, _)| *expires >= now);
    }

    fn all(&self) -> std::sync::MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
