// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The threads that statements are worked on, apart from those that speak with clients: a heavy query keeps nobody
//! waiting who wants to log in, to ask what there is, or to cancel it.
//!
//! Threads are shared by asking each task to pause now and then. Some steps cannot: a join whose condition is never
//! met compares for minutes without producing a row to pause after. When a pool has no thread left that answers, new
//! statements get another pool, and the system's scheduler shares the processors between the two. The old one goes with
//! its last statement.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tonic::Status;

use crate::error::Result;
use crate::statement::STACK;

/// How many threads plan.
const PLANNERS: usize = 2;
/// How often a pool is asked whether it has a thread left, and how long it may take to answer.
const ASKED: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_millis(500);
/// How many threads there may be before no pool is added, those that wait for files included.
const MOST_THREADS: usize = 1_024;

pub(super) struct Workers {
    queries: Pools,
    /// Planning is short, and does not wait for queries.
    planners: Pools,
    alive: Arc<AtomicUsize>,
}

impl Workers {
    pub(super) fn start(threads: Option<usize>) -> Result<Self> {
        let of_machine = || std::thread::available_parallelism().map_or(1, usize::from);
        let alive = Arc::<AtomicUsize>::default();
        Ok(Self {
            queries: Pools::start("query", threads.unwrap_or_else(of_machine).max(1), &alive)?,
            planners: Pools::start("plan", PLANNERS, &alive)?,
            alive,
        })
    }

    /// Works on a query.
    pub(super) fn query<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<Task<T>, Status> {
        self.queries.spawn(work)
    }

    /// Plans, or looks something up.
    pub(super) async fn plan<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Status> {
        self.planners.spawn(work)?.done().await
    }

    /// Sees to it, for ever, that the next statement finds a thread.
    pub(super) async fn watch(&self) {
        loop {
            tokio::time::sleep(ASKED).await;
            for pools in [&self.queries, &self.planners] {
                pools.look_after(&self.alive).await;
            }
        }
    }
}

/// Threads for one kind of work: a pool, until it does not answer.
struct Pools {
    name: &'static str,
    threads: usize,
    current: Mutex<Arc<Pool>>,
}

impl Pools {
    fn start(name: &'static str, threads: usize, alive: &Arc<AtomicUsize>) -> Result<Self> {
        let first = Arc::new(Pool::start(name, threads, alive)?);
        Ok(Self { name, threads, current: Mutex::new(first) })
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<Task<T>, Status> {
        let pool = Arc::clone(&self.current());
        Ok(Task { handle: pool.spawn(work)?, _pool: pool })
    }

    async fn look_after(&self, alive: &Arc<AtomicUsize>) {
        let pool = Arc::clone(&self.current());
        if pool.answers().await || alive.load(Ordering::Relaxed) + self.threads > MOST_THREADS {
            return;
        }
        // Where the system gives no more threads, the old ones must do.
        if let Ok(new) = Pool::start(self.name, self.threads, alive) {
            *self.current() = Arc::new(new);
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Arc<Pool>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some threads.
struct Pool(Option<Runtime>);

impl Pool {
    fn start(name: &str, threads: usize, alive: &Arc<AtomicUsize>) -> Result<Self> {
        let (one_more, one_less) = (Arc::clone(alive), Arc::clone(alive));
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name(name)
            .thread_stack_size(STACK)
            .on_thread_start(move || {
                one_more.fetch_add(1, Ordering::Relaxed);
            })
            .on_thread_stop(move || {
                one_less.fetch_sub(1, Ordering::Relaxed);
            })
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<JoinHandle<T>, Status> {
        // There until it is dropped.
        let runtime =
            self.0.as_ref().ok_or_else(|| Status::unavailable("the server is stopping"))?;
        Ok(runtime.spawn(work))
    }

    async fn answers(&self) -> bool {
        match self.spawn(async {}) {
            Ok(asked) => tokio::time::timeout(PATIENCE, asked).await.is_ok(),
            Err(_) => true,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // It may be dropped by a thread of another, which must not wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Work that ends with whoever waits for it.
pub(super) struct Task<T> {
    handle: JoinHandle<T>,
    /// It lives for as long as there is work in it.
    _pool: Arc<Pool>,
}

impl<T> Task<T> {
    /// What came of it.
    pub(super) async fn done(mut self) -> Result<T, Status> {
        (&mut self.handle).await.map_err(|_| fault())
    }
}

/// What a client is told of a panic. Its words may hold values of rows, and are on the server's standard error.
pub(super) fn fault() -> Status {
    Status::internal("this failed by a fault of the server's: please report what was asked")
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn queries_that_never_pause_keep_no_other_from_a_thread() {
        let workers = Arc::new(Workers::start(Some(1)).expect("threads"));
        let watched = Arc::clone(&workers);
        let watching = tokio::spawn(async move { watched.watch().await });
        let (let_go, goes_on) = mpsc::channel::<()>();
        let stuck = workers.query(async move { goes_on.recv().is_ok() }).expect("is taken");
        // The pool is not asked at once, so that the first may wait behind it.
        let mut answers = 0;
        while answers == 0 {
            let next = workers.query(async { 1 }).expect("is taken");
            answers = tokio::time::timeout(Duration::from_millis(100), next.done())
                .await
                .map_or(0, |done| done.expect("does not panic"));
        }
        assert_eq!(workers.plan(async { 2 }).await.expect("plans"), 2);
        assert_eq!(workers.alive.load(Ordering::Relaxed), PLANNERS + 2);
        watching.abort();
        drop(stuck);
        drop(let_go);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_panic_is_an_error_without_its_words() {
        let workers = Workers::start(Some(1)).expect("threads");
        let failed = workers.query(async { panic!("ann@example.org") }).expect("is taken");
        let status = failed.done().await.expect_err("panicked");
        assert_eq!(status.code(), tonic::Code::Internal);
        assert!(!status.message().contains("ann"), "{status}");
        drop(tokio::task::spawn_blocking(|| drop(workers)).await);
    }
}
