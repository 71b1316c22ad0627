// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The audit log: who asked what, what the policy said, and what left.
//!
//! A file of JSON lines that only grows. Every line holds the SHA-256 of the line before it and of its own content, so that a
//! line that is changed, left out or put in shows. A line is on the disk before a statement's first row leaves, and a
//! second one when its last row has; when a line cannot be written, the statement does not run. A file that is full is
//! closed and the next begun, whose first line goes on with the chain.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::declarations::Audit;
use crate::error::{Error, Kind, Result};

/// What stands where the first line of all has no predecessor.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const PREFIX: &str = "audit-";
const ENDING: &str = ".jsonl";

/// The log of a deployment. Several processes may share its folder: each line is written under a lock on the folder.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    rotate: u64,
    /// One writer a process; the lock file keeps other processes away.
    lock: Mutex<File>,
}

impl Log {
    /// Opens the log, and fails when it cannot be written.
    pub(super) fn open(audit: &Audit) -> Result<Self> {
        let folder = audit.folder.clone();
        std::fs::create_dir_all(&folder).map_err(|e| unwritable(&folder, &e))?;
        let lock = OpenOptions::new().create(true).append(true).open(folder.join(".lock"));
        let lock = lock.map_err(|e| unwritable(&folder, &e))?;
        Ok(Self { folder, rotate: audit.rotate, lock: Mutex::new(lock) })
    }

    /// Adds a line, which is on the disk when this returns.
    pub(super) fn add(&self, entry: Map<String, Value>) -> Result<()> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |e: std::io::Error| unwritable(&self.folder, &e);
        lock.lock().map_err(failed)?;
        let written = self.append(entry).map_err(failed);
        lock.unlock().map_err(failed)?;
        written
    }

    fn append(&self, mut entry: Map<String, Value>) -> std::io::Result<()> {
        let files = files(&self.folder)?;
        let newest = files.last();
        let previous = match newest {
            Some(path) => last_line(path)?.and_then(|line| hash_of(&line)),
            None => None,
        };
        let full = match newest {
            Some(path) => path.metadata()?.len() >= self.rotate,
            None => true,
        };
        let path = match (newest, full) {
            (Some(path), false) => path.clone(),
            (_, _) => self.folder.join(format!("{PREFIX}{:08}{ENDING}", files.len() + 1)),
        };
        entry.insert("previous".into(), json!(previous.as_deref().unwrap_or(GENESIS)));
        let content = Value::Object(entry.clone()).to_string();
        entry.insert("hash".into(), json!(hex(&Sha256::digest(content.as_bytes()))));
        let line = format!("{}\n", Value::Object(entry));
        let begun = !path.exists();
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        // What a crash has left half written is ended, and shows as a line that is no entry.
        if !begun && !ends_with_newline(&path)? {
            file.write_all(b"\n")?;
        }
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        if begun {
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Every line, oldest first, and whether the chain holds up to it.
    pub(super) fn read(&self) -> Result<Vec<(String, bool)>> {
        let failed = |e: std::io::Error| unwritable(&self.folder, &e);
        let mut lines = vec![];
        let mut previous = GENESIS.to_string();
        let mut holds = true;
        for path in files(&self.folder).map_err(failed)? {
            for line in BufReader::new(File::open(path).map_err(failed)?).lines() {
                let line = line.map_err(failed)?;
                if line.is_empty() {
                    continue;
                }
                match hash_of(&line) {
                    Some(hash) if follows(&line, &previous) => previous = hash,
                    _ => holds = false,
                }
                lines.push((line, holds));
            }
        }
        Ok(lines)
    }
}

fn unwritable(folder: &Path, error: &std::io::Error) -> Error {
    Error::new(
        Kind::Resource,
        format!("the audit log in `{}` cannot be written: {error}", folder.display()),
    )
    .hint("no statement runs without a line in the log: make room for it, or mend its folder")
}

/// The files of the log, oldest first.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = vec![];
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with(PREFIX) && name.ends_with(ENDING) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn last_line(path: &Path) -> std::io::Result<Option<String>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // Lines are short; a longer tail is read when the last one is not.
    let mut tail = 64 * 1024;
    loop {
        file.seek(SeekFrom::Start(length.saturating_sub(tail)))?;
        let mut text = vec![];
        file.read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines().rev().filter(|l| hash_of(l).is_some());
        match lines.next() {
            Some(line) => return Ok(Some(line.to_string())),
            None if tail >= length => return Ok(None),
            None => tail *= 4,
        }
    }
}

fn ends_with_newline(path: &Path) -> std::io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn hash_of(line: &str) -> Option<String> {
    let entry: Value = serde_json::from_str(line).ok()?;
    Some(entry.get("hash")?.as_str()?.to_string())
}

/// Whether a line is whole and goes on with the chain.
fn follows(line: &str, previous: &str) -> bool {
    let Ok(Value::Object(mut entry)) = serde_json::from_str(line) else { return false };
    let Some(Value::String(hash)) = entry.remove("hash") else { return false };
    let own = hex(&Sha256::digest(Value::Object(entry.clone()).to_string().as_bytes()));
    own == hash && entry.get("previous").and_then(Value::as_str) == Some(previous)
}

/// A statement's fingerprint: the hash of its text without constants.
pub(super) fn fingerprint(redacted: &str) -> String {
    hex(&Sha256::digest(redacted.as_bytes()))[..16].to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u64) -> Map<String, Value> {
        let mut entry = Map::new();
        entry.insert("n".into(), json!(n));
        entry
    }

    #[test]
    fn the_chain_holds_over_files_and_breaks_where_a_line_is_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = Audit { folder: folder.path().to_path_buf(), rotate: 400 };
        let log = Log::open(&audit).expect("opens");
        for n in 0..10 {
            log.add(entry(n)).expect("is written");
        }
        let lines = log.read().expect("reads");
        assert_eq!((lines.len(), lines.iter().all(|(_, holds)| *holds)), (10, true));
        let all = files(folder.path()).expect("lists");
        assert!(all.len() > 1, "one file only");
        let text = std::fs::read_to_string(&all[0]).expect("reads");
        std::fs::write(&all[0], text.replace("\"n\":1", "\"n\":7")).expect("writes");
        let lines = log.read().expect("reads");
        assert!(lines[0].1 && !lines[1].1 && !lines[9].1, "{lines:?}");
    }

    #[test]
    fn a_half_written_line_stops_nothing_and_shows() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = Audit { folder: folder.path().to_path_buf(), rotate: 1_000_000 };
        let log = Log::open(&audit).expect("opens");
        log.add(entry(1)).expect("is written");
        let path = files(folder.path()).expect("lists").remove(0);
        let mut file = OpenOptions::new().append(true).open(path).expect("opens");
        file.write_all(b"{\"n\":2,\"prev").expect("writes");
        log.add(entry(3)).expect("is written");
        let lines = log.read().expect("reads");
        assert_eq!(lines.iter().map(|(_, holds)| *holds).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_of_resources() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("writes");
        let audit = Audit { folder: file.join("log"), rotate: 1 };
        assert_eq!(Log::open(&audit).expect_err("cannot").kind, Kind::Resource);
    }
}
