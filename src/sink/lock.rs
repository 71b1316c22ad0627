// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! One run at a time. The kernel takes a lock from a process that ends, however it ends, so that none is left behind.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::staged::{cannot, folder_of};
use crate::error::{Error, Kind, Result};

/// Locks that are given back when this is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] Vec<File>);

/// How long publishing waits for another run to have published.
const PATIENCE: Duration = Duration::from_secs(20);

impl Lock {
    /// Takes the lock of something that only one run may work on: a file beside it, whose name ends in `.lock`.
    pub fn of(path: &Path) -> Result<Self> {
        let name = format!("{}.lock", path.display());
        let file = File::options().write(true).create(true).truncate(false).open(&name);
        let file = file.map_err(|e| cannot(Path::new(&name), &e))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(vec![file])),
            Err(Errno::WOULDBLOCK) => Err(Error::new(
                Kind::Retry,
                format!("another run is at work on `{}`", path.display()),
            )
            .hint("try again when it has ended")),
            Err(error) => Err(Error::usage(format!("`{name}` cannot be locked: {error}"))
                .hint("keep it on a file system that has locks")),
        }
    }

    /// Takes the locks of the folders that outputs are to appear in, for as long as it takes to publish them.
    pub(super) async fn beside(targets: &[&Path]) -> Result<Self> {
        // All runs take them in one order, so that none waits for another in a circle.
        let mut folders: Vec<PathBuf> = targets
            .iter()
            .filter_map(|t| folder_of(t).ancestors().find(|f| f.is_dir())?.canonicalize().ok())
            .collect();
        folders.sort();
        folders.dedup();
        let mut taken = vec![];
        let start = Instant::now();
        for folder in folders {
            let Ok(file) = File::open(&folder) else { continue };
            // Where folders cannot be locked, renames are still whole by themselves.
            while flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
                if start.elapsed() > PATIENCE {
                    return Err(Error::new(
                        Kind::Retry,
                        format!("another run is publishing in `{}`", folder.display()),
                    )
                    .hint("try again when it has ended; nothing was published"));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            taken.push(file);
        }
        Ok(Self(taken))
    }
}

/// Takes the lock of a file or folder; false when somebody has it, or when there are no locks here.
pub(super) fn take(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_to_come_again() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("state.json");
        let first = Lock::of(&path).expect("free");
        let error = Lock::of(&path).expect_err("taken");
        assert_eq!(error.kind, Kind::Retry);
        drop(first);
        Lock::of(&path).expect("free again");
        assert_eq!(
            Lock::of(&folder.path().join("no/state")).expect_err("no folder").kind,
            Kind::Usage
        );
    }
}
