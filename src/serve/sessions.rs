// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The sessions of clients: settings, macros and prepared statements that last from one request to the next.
//!
//! A client shows its session by a cookie or by the token of its handshake. One that keeps neither has a session for as
//! long as it keeps its connection, as with any database.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tonic::Status;

use super::desk::Desk;
use super::{status, ticket};
use crate::policy::Who;

/// The name of the cookie.
pub(super) const COOKIE: &str = "comptoir_session";

/// One client's session.
pub(super) struct Session {
    /// Nobody can guess it.
    pub(super) id: String,
    pub(super) engine: Arc<dyn Desk>,
    last: Mutex<Instant>,
    /// How many requests and queries are at work in it.
    busy: AtomicUsize,
}

impl Session {
    pub(super) fn who(&self) -> &Who {
        self.engine.who()
    }

    /// Keeps the session alive for as long as what is returned.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(self))
    }

    fn idle(&self) -> Option<Duration> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (self.busy.load(Ordering::Relaxed) == 0).then(|| last.elapsed())
    }
}

/// A session at work.
pub(super) struct Held(Arc<Session>);

impl Drop for Held {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All of them.
pub(super) struct Sessions {
    engine: Arc<dyn Desk>,
    most: usize,
    idle: Duration,
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    by_id: HashMap<String, Arc<Session>>,
    /// The sessions of connections, by user.
    by_peer: HashMap<(String, SocketAddr), String>,
}

impl Sessions {
    pub(super) fn new(engine: Arc<dyn Desk>, most: usize, idle: Duration) -> Self {
        Self { engine, most, idle, all: Mutex::default() }
    }

    /// The session of a request, and whether it is new: that of a cookie, of a token, or of the connection.
    pub(super) fn find(
        &self,
        who: &Who,
        cookies: &[&str],
        token: Option<&str>,
        peer: Option<SocketAddr>,
    ) -> Result<(Arc<Session>, bool), Status> {
        let mut all = self.all();
        for id in cookies.iter().copied().chain(token) {
            // Knowing the number is not enough: it must be one's own.
            if let Some(session) = all.by_id.get(id).filter(|s| s.who() == who) {
                return Ok((Arc::clone(session), false));
            }
        }
        // The session of a token that has been idle for too long begins anew.
        if let Some(token) = token {
            return Ok((self.begin(&mut all, who, token.to_string())?, true));
        }
        let key = peer.map(|peer| (who.user.clone(), peer));
        if let Some(session) =
            key.as_ref().and_then(|key| all.by_peer.get(key)).and_then(|id| all.by_id.get(id))
            && session.who() == who
        {
            return Ok((Arc::clone(session), false));
        }
        let id = ticket::number().map_err(status::plain)?;
        let session = self.begin(&mut all, who, id.clone())?;
        if let Some(key) = key {
            all.by_peer.insert(key, id);
        }
        Ok((session, true))
    }

    /// Begins the session of a token.
    pub(super) fn open_as(&self, who: &Who, id: &str) -> Result<(), Status> {
        self.begin(&mut self.all(), who, id.to_string()).map(drop)
    }

    fn begin(&self, all: &mut All, who: &Who, id: String) -> Result<Arc<Session>, Status> {
        if all.by_id.len() >= self.most {
            all.forget(self.idle);
        }
        if all.by_id.len() >= self.most && !all.forget_oldest() {
            return Err(status::busy(
                &format!("all {} sessions are at work", self.most),
                Duration::from_secs(5),
            ));
        }
        let engine = self.engine.session(who.clone()).map_err(status::plain)?;
        let session = Arc::new(Session {
            id: id.clone(),
            engine,
            last: Mutex::new(Instant::now()),
            busy: AtomicUsize::new(0),
        });
        all.by_id.insert(id, Arc::clone(&session));
        Ok(session)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a session; what is still at work in it goes on.
    pub(super) fn close(&self, id: &str) {
        let mut all = self.all();
        all.by_id.remove(id);
        all.by_peer.retain(|_, of| of != id);
    }

    /// Ends those that have been idle for too long.
    pub(super) fn sweep(&self) {
        self.all().forget(self.idle);
    }

    pub(super) fn count(&self) -> usize {
        self.all().by_id.len()
    }
}

impl All {
    fn forget(&mut self, idle: Duration) {
        self.by_id.retain(|_, session| session.idle().is_none_or(|since| since < idle));
        let ids = &self.by_id;
        self.by_peer.retain(|_, id| ids.contains_key(id));
    }

    /// Makes room: the session that has been idle the longest goes.
    fn forget_oldest(&mut self) -> bool {
        let oldest = self
            .by_id
            .values()
            .filter_map(|s| s.idle().map(|since| (since, s.id.clone())))
            // A client that has just come must not lose its session to the next one that comes.
            .filter(|(since, _)| *since > Duration::from_secs(1))
            .max();
        let Some((_, id)) = oldest else { return false };
        self.by_id.remove(&id);
        self.by_peer.retain(|_, of| *of != id);
        true
    }
}
