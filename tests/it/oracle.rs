// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Analyses on public data sets and planted shops against what other programs make of the same raw files: a file a topic.
//!
//! The scripts in oracle/ know nothing of comptoir but the columns that it wrote. They run in an
//! environment of their own under target/python, made by the first test that needs it.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test panics, and says what it skips"
)]

mod anonymity;
mod attribution;
mod costs;
mod elasticity;
mod rfm;

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of public data sets: `COMPTOIR_DATA`, or shared/data beside the checkout.
///
/// Without it, says so and notes the calling test in target/skipped-tests.txt, which .ci/run
/// reads: a test cannot ignore itself once it runs, and must not look as if it had passed.
#[track_caller]
pub(crate) fn data() -> Option<PathBuf> {
    let folder = match std::env::var_os("COMPTOIR_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no data in {}", folder.display());
    skipped(&folder.display().to_string());
    None
}

/// Notes that the calling test could not run, and why.
#[track_caller]
pub(crate) fn skipped(why: &str) {
    let caller = Location::caller();
    let note = format!("{}:{}: {why}\n", caller.file(), caller.line());
    let notes = target().join("skipped-tests.txt");
    let mut notes =
        OpenOptions::new().create(true).append(true).open(notes).expect("a file of notes");
    // One write, so that the notes of tests that run at the same time do not mix.
    notes.write_all(note.as_bytes()).expect("a note of the skipped test");
}

/// Runs one query over one file with the real binary, which writes `answer` as CSV.
fn comptoir(data: &str, sql: &str, answer: &Path, options: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comptoir"));
    command
        .args(["--data", data, "--format", "csv", "-c", sql, "--output"])
        .arg(answer)
        .args(options);
    // Neither a configuration nor a table that stands about.
    command.current_dir(answer.parent().expect("a folder for answers"));
    succeed(&mut command);
}

/// Runs a script of oracle/, which compares.
pub(crate) fn oracle(script: &str, arguments: &[&Path]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/oracle").join(script);
    succeed(Command::new(python()).arg("-W").arg("error").arg(script).args(arguments));
}

/// The versions that the oracles were written with.
const PACKAGES: [&str; 5] = [
    "ChannelAttribution==2.2.5",
    "numpy==2.3.5",
    "pandas==2.3.3",
    "pyfixest==0.60.0",
    "statsmodels==0.15.0",
];

/// A Python with [`PACKAGES`].
fn python() -> PathBuf {
    environment("python", &PACKAGES)
}

/// A Python with packages, in a folder of target/, made once.
///
/// The lock holds off other tests, which may be other processes. An environment is whole when the
/// list of what it has stands in it: one left half made, or made for other versions, is made anew.
pub(crate) fn environment(name: &str, packages: &[&str]) -> PathBuf {
    let home = target().join(name);
    let python = home.join("bin/python");
    let lock = File::create(target().join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("the lock, free in the end");
    let list = home.join("comptoir-packages.txt");
    if fs::read_to_string(&list).is_ok_and(|has| has == packages.join("\n")) {
        return python;
    }
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
    succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages));
    fs::write(list, packages.join("\n")).expect("the list of packages");
    python
}

/// Cargo's target folder, wherever it is.
pub(crate) fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp is in target")
}

/// Runs a command, and shows what it said when it fails.
pub(crate) fn succeed(command: &mut Command) {
    let output = command.output().expect("a command that starts");
    assert!(
        output.status.success(),
        "{:?} failed with {}\n{}{}",
        command.get_args().collect::<Vec<&OsStr>>(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
