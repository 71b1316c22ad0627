// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The signals that ask a program to stop.

use std::future::Future;

use futures::future::{BoxFuture, FutureExt, Shared};

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

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
        done = work => match done {
            // What was given up because of it, as writing to a pipe that nobody reads.
            Err(_) if stop.clone().now_or_never().is_some() => Err(Error::interrupted().into()),
            done => done,
        },
    }
}

/// Whether this process was started to outlive its terminal. Where that cannot be told, it is taken to be.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The first bit is that of the first signal, which is the hangup.
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask & 1 != 0)
}

/// Ctrl-C, what a machine says that goes down, and a terminal that is closed.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    terminate: Signal,
    /// `None` where `nohup` has said that it is not to be heard.
    #[cfg(unix)]
    hangup: Option<Signal>,
}

impl Signals {
    /// From here on they end nothing by themselves.
    pub fn new() -> Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
            #[cfg(unix)]
            hangup: if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) },
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
            () = async {
                match &mut self.hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            } => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
