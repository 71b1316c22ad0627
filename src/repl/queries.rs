// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Queries run on threads of their own. A join without a condition can keep a thread busy for minutes without a pause in
//! which it could be stopped; the prompt must hear Ctrl-C, and go on, all the same.

use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::progress::{Watched, watch};
use crate::error::{Error, Result};
use crate::statement::STACK;

/// How long a query that was given up may take to let go.
const GRACE: Duration = Duration::from_millis(500);

/// The threads, made with the first query, and made anew when a query does not give them back.
#[derive(Default)]
pub(super) struct Queries(Option<Runtime>);

impl Queries {
    /// Runs the work to its end, or to Ctrl-C.
    pub(super) async fn run<T: Send + 'static>(
        &mut self,
        visible: bool,
        watched: &Watched,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let runtime = match self.0.take() {
            Some(runtime) => runtime,
            None => Builder::new_multi_thread()
                .worker_threads(Handle::current().metrics().num_workers())
                .thread_stack_size(STACK)
                .enable_all()
                .build()?,
        };
        let runtime = self.0.insert(runtime);
        let others = runtime.metrics().num_alive_tasks();
        let mut task = runtime.spawn(work);
        let done = tokio::select! {
            biased;
            Ok(()) = tokio::signal::ctrl_c() => None,
            done = watch(visible, watched, &mut task) => Some(done),
        };
        match done {
            Some(Ok(result)) => result,
            Some(Err(stopped)) => Err(Error::query(format!("the query stopped: {stopped}"))
                .hint("this is our bug: please report the statement")),
            None => {
                watched.stop();
                task.abort();
                // Its parts run as tasks of their own, and may be busy when it has gone.
                let gone = async {
                    let _ = task.await;
                    while runtime.metrics().num_alive_tasks() > others {
                        tokio::time::sleep(GRACE / 50).await;
                    }
                };
                if tokio::time::timeout(GRACE, gone).await.is_ok() {
                    return Err(Error::interrupted());
                }
                self.leave();
                Err(Error::interrupted()
                    .note("the query is in the middle of a long step, and ends behind the scenes"))
            }
        }
    }

    fn leave(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Queries {
    fn drop(&mut self) {
        self.leave();
    }
}
