// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Who runs now and who waits: so many queries at once, so many behind them in the order of their coming, and the next
//! one is told to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::status;

pub(super) struct Queue {
    /// First come, first served.
    seats: Arc<Semaphore>,
    most: usize,
    waiting: AtomicUsize,
    most_waiting: usize,
    draining: AtomicBool,
}

/// A place in the queue.
pub(super) struct Place {
    queue: Arc<Queue>,
    waits: AtomicBool,
}

impl Queue {
    pub(super) fn new(most: usize, most_waiting: usize) -> Arc<Self> {
        Arc::new(Self {
            seats: Arc::new(Semaphore::new(most)),
            most,
            waiting: AtomicUsize::new(0),
            most_waiting,
            draining: AtomicBool::new(false),
        })
    }

    /// A place, unless the queue is full or the server is about to stop.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Place, Status> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(status::busy("the server is stopping", Duration::from_secs(5)));
        }
        // Those that will find a seat at once have a place here for a moment too.
        let allowed = self.most_waiting + self.seats.available_permits();
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= allowed {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            let message = format!(
                "{} queries are running and {} are waiting: try again in a while",
                self.most, self.most_waiting
            );
            return Err(status::busy(&message, Duration::from_secs(2)));
        }
        Ok(Place { queue: Arc::clone(self), waits: AtomicBool::new(true) })
    }

    /// From now on nobody is let in.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn running(&self) -> usize {
        self.most - self.seats.available_permits()
    }
}

impl Place {
    /// Waits for a seat.
    pub(super) async fn seat(&self) -> Result<OwnedSemaphorePermit, Status> {
        let seat = Arc::clone(&self.queue.seats).acquire_owned().await;
        self.leave();
        seat.map_err(|_| status::busy("the server is stopping", Duration::from_secs(5)))
    }

    fn leave(&self) {
        if self.waits.swap(false, Ordering::Relaxed) {
            self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn those_who_come_wait_in_their_order_and_the_last_is_sent_away() {
        let queue = Queue::new(1, 2);
        let enter = || queue.enter();
        let first = enter().expect("a place");
        let first = first.seat().now_or_never().expect("at once").expect("a seat");
        let (second, third) = (enter().expect("waits"), enter().expect("waits"));
        let Err(status) = enter() else { panic!("the queue is full") };
        assert_eq!(status.code(), tonic::Code::Unavailable);
        assert!(status.metadata().contains_key("retry-after"));
        {
            let mut seat_of_second = Box::pin(second.seat());
            let mut seat_of_third = Box::pin(third.seat());
            assert!(seat_of_second.as_mut().now_or_never().is_none());
            assert!(seat_of_third.as_mut().now_or_never().is_none());
            drop(first);
            assert!(seat_of_third.as_mut().now_or_never().is_none(), "not its turn");
            assert!(seat_of_second.as_mut().now_or_never().is_some());
        }
        // One that goes away while it waits makes room.
        drop((second, third));
        assert_eq!(queue.waiting(), 0);
        queue.drain();
        assert!(queue.enter().is_err());
    }
}
