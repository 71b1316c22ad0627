// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The signals that ask a program to stop.

use std::future::Future;

use futures::future::{BoxFuture, FutureExt, Shared};

use crate::error::{Error, Result};

/// Ends when the program is asked to stop; every copy of it does. One that never ends is `pending().boxed().shared()`.
pub type Stop = Shared<BoxFuture<'static, ()>>;

/// What work comes to, unless the program is asked to stop before; then the work is dropped.
pub async fn unless_stopped<T, E: From<Error>>(
    stop: &Stop,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::select! {
        biased;
        () = stop.clone() => Err(Error::interrupted().into()),
        done = work => done,
    }
}

/// Ctrl-C, and what a machine says that goes down.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// From here on they end nothing by themselves.
    pub fn new() -> Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
        })
    }

    /// The first of them, from when somebody waits for it; until then they end the program.
    pub fn stop() -> Stop {
        let first = async {
            match Self::new() {
                Ok(mut signals) => signals.next().await,
                // They go on ending the program.
                Err(_) => std::future::pending().await,
            }
        };
        first.boxed().shared()
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
