// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Files that appear whole or not at all.
//!
//! A staged file has no name while it is written (Linux's `O_TMPFILE`): a failure, a crash or `kill -9` leaves nothing
//! behind, because the kernel forgets a file that nobody holds. Publishing writes it to the disk, links it beside its
//! target and renames it over the target. Where a file system cannot do that, the file has a hidden name beside its
//! target instead, and is removed on failure.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::lock;
use crate::catalog::real_path;
use crate::error::{Error, Kind, Result, from_io};

/// A file on its way to `target`.
#[derive(Debug)]
pub struct StagedFile {
    file: File,
    target: PathBuf,
    /// The hidden name, where the file needs one.
    hidden: Option<PathBuf>,
}

static COUNTER: AtomicU64 = AtomicU64::new(0);

impl StagedFile {
    /// Opens a file that will become `target`. The folder must exist.
    pub fn create(target: &Path) -> Result<Self> {
        // What a link leads to is written, and not the link.
        let target = real_path(target);
        Self::create_beside(&target, folder_of(&target))
    }

    /// Opens a file that will become `target`, in a folder that appears with it where there is none.
    pub fn create_with_folder(target: &Path) -> Result<Self> {
        let target = &real_path(target);
        let folder = folder_of(target);
        // A nameless file can be linked into any folder of its file system, so that no folder need exist yet.
        let nearest = nearest(folder);
        if let Some(file) = folder.ancestors().take_while(|f| *f != nearest).find(|f| f.exists()) {
            let why = format!("`{}` is a file, not a folder", file.display());
            return Err(Error::usage(format!("cannot write `{}`: {why}", target.display())));
        }
        Self::create_beside(target, nearest)
    }

    /// Opens a file that waits here to be sent elsewhere.
    pub fn create_to_send() -> Result<Self> {
        let folder = std::env::temp_dir();
        Self::create(&hidden_name(Path::new("comptoir-output"), &folder))
    }

    fn create_beside(target: &Path, folder: &Path) -> Result<Self> {
        if target.is_dir() {
            return Err(Error::usage(format!("`{}` is a folder, not a file", target.display())));
        }
        if target.exists() && !target.is_file() {
            let refused = format!("`{}` is a device or a pipe, not a file", target.display());
            return Err(Error::usage(refused).hint("the standard output goes there: `… > FILE`"));
        }
        if let Some(file) = nameless(folder) {
            lock::take(&file);
            let target = target.to_path_buf();
            return Ok(Self { file, target, hidden: None });
        }
        let hidden = hidden_name(target, folder);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&hidden)
            .map_err(|e| cannot(target, &e))?;
        lock::take(&file);
        Ok(Self { file, target: target.to_path_buf(), hidden: Some(hidden) })
    }

    /// The file, for writers that want to write at an offset.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path it will have.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// How many bytes it holds so far.
    pub fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |m| m.len())
    }

    /// Makes the file appear under its name, whole, in place of what was there.
    pub fn publish(self) -> Result<()> {
        let mut ready = self.prepare()?;
        ready.swap()?;
        ready.finish()
    }

    /// Does all that takes time or can fail: what is left is a rename.
    pub(super) fn prepare(mut self) -> Result<Prepared> {
        let target = self.target.clone();
        stays_in_place(&target)?;
        let folder = folder_of(&target);
        // A folder that is not there yet appears with the file.
        let nearest = nearest(folder);
        sweep(nearest);
        let hidden = hidden_name(&target, nearest);
        let keep_mode = || match std::fs::metadata(&target) {
            Ok(old) => self.file.set_permissions(old.permissions()),
            Err(_) => Ok(()),
        };
        let placed = keep_mode().and_then(|()| self.file.sync_all());
        placed.and_then(|()| self.link(&hidden)).map_err(|e| cannot(&target, &e))?;
        let file = self.file.try_clone().map_err(|e| cannot(&target, &e))?;
        let nearest = nearest.to_path_buf();
        Ok(Prepared { hidden: Some(hidden), target, nearest, _lock: file })
    }

    /// Gives the finished file a path.
    pub(super) fn link(&mut self, path: &Path) -> io::Result<()> {
        match self.hidden.take() {
            Some(hidden) => std::fs::rename(&hidden, path),
            None => link(&self.file, path),
        }
    }
}

/// A file that only has to be renamed.
pub(super) struct Prepared {
    hidden: Option<PathBuf>,
    target: PathBuf,
    /// The folder above the target that was there.
    nearest: PathBuf,
    /// Holds the lock that tells others that the hidden file is not abandoned.
    _lock: File,
}

impl Prepared {
    /// The rename.
    pub(super) fn swap(&mut self) -> Result<()> {
        let Some(hidden) = &self.hidden else { return Ok(()) };
        move_to(hidden, &self.target).map_err(|e| cannot(&self.target, &e))?;
        self.hidden = None;
        Ok(())
    }

    /// Makes sure that the rename outlives a power cut.
    pub(super) fn finish(self) -> Result<()> {
        sync_folders(&self.target, &self.nearest).map_err(|e| cannot(&self.target, &e))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(hidden) = self.hidden.take() {
            let _ = std::fs::remove_file(hidden);
        }
    }
}

/// Fails when a path leads elsewhere than it did when it was taken: somebody has put a link into it since.
pub(super) fn stays_in_place(target: &Path) -> Result<()> {
    match real_path(target) == target {
        true => Ok(()),
        false => Err(Error::usage(format!(
            "`{}` has become a link to elsewhere while it was written",
            target.display()
        ))
        .hint("run it again, if that is meant")),
    }
}

/// Puts many files onto the disk. One after the other, each would wait for a write of its own.
#[cfg(target_os = "linux")]
pub(super) fn sync_all(files: &[StagedFile]) -> io::Result<()> {
    match files {
        [first, _, ..] => Ok(rustix::fs::syncfs(&first.file)?),
        few => few.iter().try_for_each(|staged| staged.file.sync_all()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn sync_all(files: &[StagedFile]) -> io::Result<()> {
    files.iter().try_for_each(|staged| staged.file.sync_all())
}

/// Renames into a folder that may have to be made.
pub(super) fn move_to(hidden: &Path, target: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder_of(target))?;
    std::fs::rename(hidden, target)
}

/// Puts the names of a target and of the folders made for it onto the disk, up to the one that was there.
pub(super) fn sync_folders(target: &Path, nearest: &Path) -> io::Result<()> {
    let made = folder_of(target).ancestors().take_while(|folder| *folder != nearest);
    made.chain([nearest]).try_for_each(|folder| File::open(folder)?.sync_all())
}

/// Removes what runs that were killed between their two last steps have left in a folder. Whoever is at work holds a lock,
/// which the kernel takes from the dead.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let found = entry.file_name().to_string_lossy().into_owned();
        // To open a pipe would wait for its other end.
        let is_ours = entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir())
            && is_hidden_name(&found);
        if !is_ours || !File::open(entry.path()).is_ok_and(|f| lock::take(&f)) {
            continue;
        }
        let _ = match entry.path().is_dir() {
            true => std::fs::remove_dir_all(entry.path()),
            false => std::fs::remove_file(entry.path()),
        };
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if let Some(hidden) = self.hidden.take() {
            let _ = std::fs::remove_file(hidden);
        }
    }
}

pub(super) fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The first folder above that is there.
pub(super) fn nearest(folder: &Path) -> &Path {
    let found = folder.ancestors().find(|f| f.is_dir() || f.as_os_str().is_empty());
    found.filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

const ENDING: &str = ".partial";

pub(super) fn hidden_name(target: &Path, folder: &Path) -> PathBuf {
    let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    folder.join(format!(".{name}.{}-{number}{ENDING}", std::process::id()))
}

/// Whether [`hidden_name`] has made it: `.name.process-number.partial`.
fn is_hidden_name(name: &str) -> bool {
    let numbers = name.strip_prefix('.').and_then(|n| n.strip_suffix(ENDING)?.rsplit_once('.'));
    let numbers = numbers.and_then(|(_, numbers)| numbers.split_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

pub(super) fn cannot(target: &Path, error: &io::Error) -> Error {
    let error =
        from_io(error, Kind::Usage).context(format_args!("cannot write `{}`", target.display()));
    if folder_of(target).is_dir() { error } else { error.hint("the folder must exist") }
}

#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags, open};
    // Needed to give it a name.
    if !Path::new("/proc/self/fd").exists() {
        return None;
    }
    let mode = Mode::from_raw_mode(0o644);
    open(folder, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode).ok().map(File::from)
}

#[cfg(not(target_os = "linux"))]
fn nameless(_folder: &Path) -> Option<File> {
    None
}

#[cfg(target_os = "linux")]
fn link(file: &File, name: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, nameless, CWD, name, AtFlags::SYMLINK_FOLLOW)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn link(_file: &File, _name: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .expect("lists")
            .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_dropped_file_leaves_nothing_and_a_published_one_replaces() {
        let folder = tempfile::tempdir().expect("folder");
        let target = folder.path().join("out.csv");
        std::fs::write(&target, "old").expect("writes");
        let mut staged = StagedFile::create(&target).expect("opens");
        staged.write_all(b"half").expect("writes");
        assert_eq!(names(folder.path()), ["out.csv"]);
        drop(staged);
        assert_eq!(std::fs::read_to_string(&target).expect("reads"), "old");
        let mut staged = StagedFile::create(&target).expect("opens");
        staged.write_all(b"new").expect("writes");
        staged.publish().expect("publishes");
        assert_eq!(std::fs::read_to_string(&target).expect("reads"), "new");
        assert_eq!(names(folder.path()), ["out.csv"]);
    }

    #[test]
    fn a_folder_appears_with_its_file() {
        let folder = tempfile::tempdir().expect("folder");
        let target = folder.path().join("year=2026/month=1/out.csv");
        let mut staged = StagedFile::create_with_folder(&target).expect("opens");
        staged.write_all(b"rows").expect("writes");
        assert_eq!(names(folder.path()), [""; 0]);
        staged.publish().expect("publishes");
        assert_eq!(std::fs::read_to_string(&target).expect("reads"), "rows");
        drop(StagedFile::create_with_folder(&folder.path().join("other/out.csv")).expect("opens"));
        assert_eq!(names(folder.path()), ["year=2026"]);
    }

    #[test]
    fn what_killed_runs_left_is_swept_and_the_living_and_strangers_keep_theirs() {
        let folder = tempfile::tempdir().expect("folder");
        let target = folder.path().join("out.csv");
        let strangers = [".out.csv.old.partial", ".out.csv.1-.partial", ".partial"];
        for name in strangers.iter().chain(&[".out.csv.99-1.partial", ".day=1.1-1.partial"]) {
            std::fs::write(folder.path().join(name), "left").expect("writes");
        }
        let open = || StagedFile::create(&target).expect("opens");
        let living = open().prepare().expect("prepares");
        open().publish().expect("publishes");
        let left = names(folder.path());
        assert_eq!(left.len(), strangers.len() + 2, "{left:?}");
        drop(living);
        let mut expected: Vec<&str> = strangers.into_iter().chain(["out.csv"]).collect();
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn a_link_is_followed_and_what_is_replaced_lends_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("folder");
        let (target, link) = (folder.path().join("out.csv"), folder.path().join("link.csv"));
        std::fs::write(&target, "old").expect("writes");
        std::fs::set_permissions(&target, PermissionsExt::from_mode(0o600)).expect("sets");
        std::os::unix::fs::symlink(&target, &link).expect("links");
        let mut staged = StagedFile::create(&link).expect("opens");
        staged.write_all(b"new").expect("writes");
        staged.publish().expect("publishes");
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&target).expect("reads"), "new");
        let mode = std::fs::metadata(&target).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_is_no_folder_to_write_into_and_a_device_is_not_replaced() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("file"), "").expect("writes");
        let within = folder.path().join("file/day/out.csv");
        let error = StagedFile::create_with_folder(&within).expect_err("a file");
        assert!(error.message.contains("is a file"), "{}", error.message);
        assert!(StagedFile::create(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn a_missing_folder_and_a_folder_as_target_are_said() {
        let folder = tempfile::tempdir().expect("folder");
        let error = StagedFile::create(&folder.path().join("no/out.csv")).expect_err("no folder");
        assert!(error.message.contains("out.csv") && !error.hints.is_empty());
        assert!(StagedFile::create(folder.path()).is_err());
    }
}
