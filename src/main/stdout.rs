// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The standard output of a program whose reader may leave early, or not read at all.

use std::io::{BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use comptoir::Error;
use comptoir::signals::{Signals, Stop};
use comptoir::sink::Out;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

pub(super) fn stdout() -> Out {
    Box::new(BufWriter::new(UntilClosed))
}

static CLOSED: AtomicBool = AtomicBool::new(false);

pub(super) fn closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// The standard output of a pipe whose reader may leave early, as `head` does. That is no failure, and no end for a job
/// that has assertions to check and files to write. A reader that does not read holds nobody who is asked to stop.
struct UntilClosed;

/// What a pipe that can be written takes at once, at least.
const PIPE: usize = 4096;

impl Write for UntilClosed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let out = std::io::stdout();
        let mut ready = [PollFd::new(&out, PollFlags::OUT)];
        let slice = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        while matches!(poll(&mut ready, Some(&slice)), Ok(0) | Err(Errno::INTR)) {
            if STOPPED.load(Ordering::Relaxed) {
                return Err(std::io::Error::other("interrupted"));
            }
        }
        match rustix::io::write(&out, &bytes[..bytes.len().min(PIPE)]) {
            Err(Errno::PIPE) => {
                CLOSED.store(true, Ordering::Relaxed);
                Ok(bytes.len())
            }
            // Somebody else fills the same pipe: it is asked again.
            Err(Errno::AGAIN) => Err(std::io::ErrorKind::Interrupted.into()),
            written => Ok(written?),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Lets what holds the program hear that it is asked to stop. Who asks again does not want to wait for anything.
pub(super) fn watch(stop: &Stop) {
    let stop = stop.clone();
    tokio::spawn(async move {
        stop.await;
        STOPPED.store(true, Ordering::Relaxed);
        if let Ok(mut signals) = Signals::new() {
            signals.next().await;
            std::process::exit(i32::from(Error::interrupted().kind.exit_code()));
        }
    });
}
