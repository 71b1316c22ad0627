// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What statements have written and nobody sees yet: files, and folders that are exchanged as a whole.
//!
//! Publishing has two steps. First everything that takes time or can fail is done for all outputs: their bytes are on the
//! disk and they have hidden names beside their targets. Then each is renamed to its target, one right after the other.
//! A folder trades places with the one before it in one system call, so that a reader sees the old files or the new
//! ones, never some of each. No system call renames several outputs at once: a kill between two of these renames leaves
//! the later outputs as they were, whole and old, until the script is run again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::lock::{self, Lock};
use super::remote::{Folder, Object, Target};
use super::staged::{
    Prepared, StagedFile, cannot, folder_of, hidden_name, move_to, nearest, stays_in_place, sweep,
    sync_all, sync_folders,
};
use crate::catalog::planned::overlapping;
use crate::error::{Error, Result};

/// The file that says which files of a folder are ours.
pub(super) const MANIFEST: &str = "_manifest.json";

/// Something that a statement has written.
#[derive(Debug)]
pub enum Output {
    /// A file.
    File(StagedFile),
    /// A folder and everything in it.
    Folder {
        /// Its path.
        root: PathBuf,
        /// Its files, whose targets are under that path.
        files: Vec<StagedFile>,
    },
    /// An object in a store.
    Object(Box<Object>),
    /// A folder of objects in a store.
    Objects(Box<Folder>),
    /// A file of this machine that becomes an object in a store.
    Sent {
        /// The file, which never gets a name.
        file: StagedFile,
        /// The object's address.
        path: PathBuf,
    },
}

/// Something that has appeared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where.
    pub path: PathBuf,
    /// How large it is.
    pub bytes: u64,
}

impl Output {
    /// Groups a statement's files under the folders it was told to write.
    pub(crate) fn group(files: Vec<StagedFile>, roots: &[PathBuf]) -> Result<Vec<Output>> {
        let mut outputs: Vec<Output> = vec![];
        for file in files {
            let Some(root) = roots.iter().find(|root| file.target().starts_with(root)) else {
                let target = file.target().display();
                return Err(Error::query(format!("`{target}` is not what was to be written")));
            };
            if file.target() == root {
                outputs.push(Output::File(file));
                continue;
            }
            let same = outputs.iter_mut().find_map(|output| match output {
                Output::Folder { root: other, files } if other == root => Some(files),
                _ => None,
            });
            match same {
                Some(files) => files.push(file),
                None => outputs.push(Output::Folder { root: root.clone(), files: vec![file] }),
            }
        }
        // A statement without rows writes no file into a folder, and the rows of yesterday must not stay there.
        for root in roots {
            if !outputs.iter().any(|output| output.target() == root) {
                outputs.push(Output::Folder { root: root.clone(), files: vec![] });
            }
        }
        Ok(outputs)
    }

    /// Groups a statement's objects under the folder that it was told to write.
    pub(crate) fn group_objects(objects: Vec<Object>, root: &Target) -> Vec<Output> {
        let (inner, mut outputs): (Vec<Object>, Vec<Object>) =
            objects.into_iter().partition(|object| object.is_within(root));
        let folder = !inner.is_empty() || outputs.is_empty();
        let mut all: Vec<Output> =
            outputs.drain(..).map(|object| Output::Object(Box::new(object))).collect();
        if folder {
            let folder = Folder { root: root.clone(), objects: inner };
            all.push(Output::Objects(Box::new(folder)));
        }
        all
    }

    /// Where it will appear.
    pub fn target(&self) -> &Path {
        match self {
            Output::File(file) => file.target(),
            Output::Folder { root, .. } => root,
            Output::Object(object) => object.path(),
            Output::Objects(folder) => &folder.root.path,
            Output::Sent { path, .. } => path,
        }
    }

    /// How large it is.
    pub fn bytes(&self) -> u64 {
        match self {
            Output::File(file) => file.bytes(),
            Output::Folder { files, .. } => files.iter().map(StagedFile::bytes).sum(),
            Output::Object(object) => object.bytes(),
            Output::Objects(folder) => folder.objects.iter().map(Object::bytes).sum(),
            Output::Sent { file, .. } => file.bytes(),
        }
    }

    async fn prepare(self) -> Result<Ready> {
        Ok(match self {
            Output::File(file) => Ready::File(file.prepare()?),
            Output::Folder { root, files } => Ready::Folder(NewFolder::prepare(root, files)?),
            Output::Object(_) | Output::Objects(_) => Ready::Sent(Some(self)),
            Output::Sent { file, path } => {
                let target = Target::of(&path.to_string_lossy())?;
                let object = Object::send(&target, file.file()).await?;
                Ready::Sent(Some(Output::Object(Box::new(object))))
            }
        })
    }
}

/// The outputs of a script that wait for its end.
#[derive(Debug, Default)]
pub struct Outputs(Mutex<Vec<Output>>);

impl Outputs {
    /// Adds outputs, which must not lie in each other: one of two would be lost, and which of them is not said anywhere.
    pub fn add(&self, outputs: impl IntoIterator<Item = Output>) -> Result<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for output in outputs {
            let new = output.target();
            let old = all.iter().map(Output::target);
            if let Some(old) =
                old.into_iter().find(|old| new.starts_with(old) || old.starts_with(new))
            {
                return Err(overlapping(&old.display().to_string(), &new.display().to_string()));
            }
            all.push(output);
        }
        Ok(())
    }

    /// Where they will appear.
    pub fn targets(&self) -> Vec<PathBuf> {
        let outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.iter().map(|o| o.target().to_path_buf()).collect()
    }

    /// Takes all of them.
    pub fn take(&self) -> Vec<Output> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes outputs appear, all prepared before the first is seen.
pub async fn publish(outputs: Vec<Output>) -> Result<Vec<Published>> {
    // Two runs at once may both win, one after the other, but not half each.
    let targets: Vec<&Path> = outputs.iter().map(Output::target).collect();
    let _alone = Lock::beside(&targets).await?;
    let mut ready: Vec<(Published, Ready)> = vec![];
    // What has been sent is aborted where it is dropped.
    for output in outputs {
        let published = Published { path: output.target().to_path_buf(), bytes: output.bytes() };
        ready.push((published, output.prepare().await?));
    }
    // First what goes over the network, which is what may still fail.
    let mut sent: Vec<String> = vec![];
    for (published, output) in &mut ready {
        let Ready::Sent(output) = output else { continue };
        let done = match output.take() {
            Some(Output::Object(object)) => object.publish().await,
            Some(Output::Objects(folder)) => folder.publish().await,
            _ => Ok(()),
        };
        done.map_err(|error| match sent.is_empty() {
            true => error,
            false => error.note(format!("{} had been replaced before", sent.join(", "))),
        })?;
        sent.push(format!("`{}`", published.path.display()));
    }
    // Nothing but renames stands in this loop, so that it takes microseconds.
    for i in 0..ready.len() {
        ready[i].1.swap().map_err(|error| {
            let before: Vec<String> =
                ready[..i].iter().map(|(p, _)| format!("`{}`", p.path.display())).collect();
            match before.is_empty() {
                true => error,
                false => error.note(format!("{} had been replaced before", before.join(", "))),
            }
        })?;
    }
    ready
        .into_iter()
        .map(|(published, output)| {
            output.finish()?;
            Ok(published)
        })
        .collect()
}

enum Ready {
    File(Prepared),
    Folder(NewFolder),
    /// `None` once it has appeared.
    Sent(Option<Output>),
}

impl Ready {
    fn swap(&mut self) -> Result<()> {
        match self {
            Ready::File(file) => file.swap(),
            Ready::Folder(folder) => folder.swap(),
            Ready::Sent(_) => Ok(()),
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Ready::File(file) => file.finish(),
            Ready::Folder(folder) => folder.finish(),
            Ready::Sent(_) => Ok(()),
        }
    }
}

/// A folder under a hidden name beside its target.
struct NewFolder {
    hidden: Option<PathBuf>,
    root: PathBuf,
    /// The folder above it that was there.
    nearest: PathBuf,
    /// What was there has the hidden name now.
    holds_old: bool,
    /// Tells others that the hidden folder is not abandoned.
    _lock: File,
}

impl NewFolder {
    fn prepare(root: PathBuf, files: Vec<StagedFile>) -> Result<Self> {
        stays_in_place(&root)?;
        may_replace(&root)?;
        // Folders above it appear with it.
        let nearest = nearest(folder_of(&root)).to_path_buf();
        let build = || -> io::Result<Self> {
            sweep(&nearest);
            let hidden = hidden_name(&root, &nearest);
            fs::create_dir(&hidden)?;
            if let Ok(old) = fs::metadata(&root) {
                fs::set_permissions(&hidden, old.permissions())?;
            }
            let opened = File::open(&hidden)?;
            lock::take(&opened);
            // From here on it is removed when something fails.
            let folder = Self {
                hidden: Some(hidden.clone()),
                root: root.clone(),
                nearest: nearest.clone(),
                holds_old: false,
                _lock: opened,
            };
            let mut listed: Vec<(String, u64)> = vec![];
            let mut folders = vec![hidden.clone()];
            let mut placed = vec![];
            for mut file in files {
                let within = file.target().strip_prefix(&root).map_err(io::Error::other)?;
                let path = hidden.join(within);
                listed.push((within.to_string_lossy().into_owned(), file.bytes()));
                if let Some(parent) = path.parent()
                    && !folders.iter().any(|f| f == parent)
                {
                    fs::create_dir_all(parent)?;
                    folders.push(parent.to_path_buf());
                }
                file.link(&path)?;
                placed.push(file);
            }
            sync_all(&placed)?;
            listed.sort();
            let manifest = File::create(hidden.join(MANIFEST))?;
            serde_json::to_writer_pretty(&manifest, &manifest_of(&listed))?;
            manifest.sync_all()?;
            folders.iter().try_for_each(|f| File::open(f)?.sync_all())?;
            Ok(folder)
        };
        build().map_err(|e| cannot(&root, &e))
    }

    /// Trades places with the folder that is there; what was there goes with the hidden name.
    fn swap(&mut self) -> Result<()> {
        let Some(hidden) = &self.hidden else { return Ok(()) };
        if self.root.exists() {
            exchange(hidden, &self.root).map_err(|e| cannot(&self.root, &e))?;
            self.holds_old = true;
            return Ok(());
        }
        move_to(hidden, &self.root).map_err(|e| cannot(&self.root, &e))?;
        self.hidden = None;
        Ok(())
    }

    /// Makes sure that the rename outlives a power cut; the old folder is removed when this ends.
    fn finish(self) -> Result<()> {
        if let Some(old) = &self.hidden {
            rescue(old, &self.root).map_err(|e| cannot(&self.root, &e))?;
        }
        sync_folders(&self.root, &self.nearest).map_err(|e| cannot(&self.root, &e))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        let Some(hidden) = self.hidden.take() else { return };
        let _ = match self.holds_old && rescue(&hidden, &self.root).is_err() {
            // Somebody's file is in it, which is kept where nobody sweeps.
            true => fs::rename(&hidden, hidden.with_extension("kept")),
            false => fs::remove_dir_all(hidden),
        };
    }
}

/// What somebody has put into the old folder since it was looked at goes on in the new one.
fn rescue(old: &Path, new: &Path) -> io::Result<()> {
    for file in strangers(old)? {
        let Ok(within) = file.strip_prefix(old) else { continue };
        let kept = new.join(within);
        fs::create_dir_all(folder_of(&kept))?;
        fs::rename(&file, &kept)?;
    }
    Ok(())
}

pub(super) fn manifest_of(files: &[(String, u64)]) -> Value {
    let listed: Vec<Value> =
        files.iter().map(|(path, bytes)| json!({"path": path, "bytes": bytes})).collect();
    json!({
        "written_by": concat!("comptoir ", env!("CARGO_PKG_VERSION")),
        "bytes": files.iter().map(|f| f.1).sum::<u64>(),
        "files": listed,
    })
}

/// Fails when replacing a folder would destroy a file that is not ours.
pub(crate) fn may_replace(root: &Path) -> Result<()> {
    if !root.exists() {
        return Ok(());
    }
    let strange = |what: String| {
        Error::usage(format!(
            "`{}` is replaced as a whole, and {what} in it was not written by Comptoir, or has been changed since",
            root.display()
        ))
        .hint("write to a folder of its own, or empty this one")
    };
    match strangers(root).map_err(|e| cannot(root, &e))?.first() {
        Some(file) => {
            let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
            Err(strange(format!("`{name}`")))
        }
        None => Ok(()),
    }
}

/// The files of a folder that its manifest, if it is ours, does not list as they are.
fn strangers(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![];
    walk(root, &mut found)?;
    let manifest = fs::read(root.join(MANIFEST)).ok();
    let manifest: Option<Value> = manifest.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let listed = manifest.as_ref().map(listed).unwrap_or_default();
    let mut ours: HashMap<PathBuf, Option<u64>> =
        listed.into_iter().map(|(path, bytes)| (root.join(path), Some(bytes))).collect();
    if manifest.as_ref().is_some_and(is_ours) {
        ours.insert(root.join(MANIFEST), None);
    }
    found.retain(|file| match ours.get(file) {
        Some(Some(bytes)) => fs::symlink_metadata(file).map_or(true, |m| m.len() != *bytes),
        Some(None) => false,
        None => true,
    });
    Ok(found)
}

/// Whether [`manifest_of`] has made it.
fn is_ours(manifest: &Value) -> bool {
    manifest["written_by"].as_str().is_some_and(|by| by.starts_with("comptoir "))
}

/// The files that a manifest of ours lists, and their sizes.
pub(super) fn listed(manifest: &Value) -> Vec<(String, u64)> {
    let files = manifest["files"].as_array().filter(|_| is_ours(manifest));
    let file = |f: &Value| Some((f["path"].as_str()?.to_string(), f["bytes"].as_u64()?));
    files.into_iter().flatten().filter_map(file).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // A link to a folder is a thing in it, and is not followed.
        match path.is_dir() && !path.is_symlink() {
            true => walk(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}

/// Two folders trade names.
#[cfg(target_os = "linux")]
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // File systems without the exchange.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => one_after_the_other(new, old),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    one_after_the_other(new, old)
}

/// Leaves a moment in which the target is not there; never one in which it is half there.
fn one_after_the_other(new: &Path, old: &Path) -> io::Result<()> {
    let aside = hidden_name(old, folder_of(old));
    fs::rename(old, &aside)?;
    if let Err(error) = fs::rename(new, old) {
        fs::rename(&aside, old)?;
        return Err(error);
    }
    // As after an exchange, the hidden name holds the old folder.
    fs::rename(&aside, new)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn publish(outputs: Vec<Output>) -> Result<Vec<Published>> {
        futures::executor::block_on(super::publish(outputs))
    }

    fn folder_with(root: &Path, name: &str, text: &str) -> Output {
        let mut file = StagedFile::create_with_folder(&root.join(name)).expect("opens");
        file.write_all(text.as_bytes()).expect("writes");
        let grouped = Output::group(vec![file], &[root.to_path_buf()]).expect("within");
        grouped.into_iter().next().expect("one")
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut found = vec![];
        walk(folder, &mut found).expect("lists");
        let mut names: Vec<String> = found
            .iter()
            .map(|p| p.strip_prefix(folder).expect("within").display().to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_is_replaced_whole_and_lists_its_files() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path().join("sales");
        publish(vec![folder_with(&root, "p=1/a.csv", "old")]).expect("publishes");
        let done = publish(vec![folder_with(&root, "p=2/b.csv", "newer")]).expect("publishes");
        assert_eq!(done, [Published { path: root, bytes: 5 }]);
        assert_eq!(names(folder.path()), ["sales/_manifest.json", "sales/p=2/b.csv"]);
        let manifest =
            fs::read_to_string(folder.path().join("sales/_manifest.json")).expect("reads");
        assert!(manifest.contains("p=2/b.csv") && manifest.contains("5"), "{manifest}");
    }

    #[test]
    fn no_rows_replace_the_rows_that_were_there() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path().join("sales");
        publish(vec![folder_with(&root, "a.csv", "old")]).expect("publishes");
        let none = Output::group(vec![], std::slice::from_ref(&root)).expect("a folder");
        publish(none).expect("publishes");
        assert_eq!(names(folder.path()), ["sales/_manifest.json"]);
        publish(vec![folder_with(&root, "b.csv", "new")]).expect("publishes");
        assert_eq!(names(folder.path()), ["sales/_manifest.json", "sales/b.csv"]);
    }

    #[test]
    fn nothing_of_somebody_else_is_destroyed() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path().join("sales");
        publish(vec![folder_with(&root, "a.csv", "old")]).expect("publishes");
        fs::write(root.join("notes.txt"), "mine").expect("writes");
        let error = publish(vec![folder_with(&root, "b.csv", "new")]).expect_err("refuses");
        assert!(error.message.contains("notes.txt"), "{}", error.message);
        assert_eq!(names(&root), ["_manifest.json", "a.csv", "notes.txt"]);
        fs::remove_file(root.join("notes.txt")).expect("removes");
        publish(vec![folder_with(&root, "b.csv", "new")]).expect("publishes");
        assert_eq!(names(folder.path()), ["sales/_manifest.json", "sales/b.csv"]);
    }

    #[test]
    fn what_came_while_a_folder_was_written_goes_on_in_the_new_one() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path().join("sales");
        publish(vec![folder_with(&root, "a.csv", "old")]).expect("publishes");
        let Output::Folder { root, files } = folder_with(&root, "a.csv", "new") else {
            unreachable!("a folder")
        };
        let mut new = NewFolder::prepare(root.clone(), files).expect("prepares");
        fs::create_dir(root.join("mine")).expect("creates");
        fs::write(root.join("mine/notes.txt"), "mine").expect("writes");
        new.swap().expect("renames");
        new.finish().expect("finishes");
        assert_eq!(
            names(folder.path()),
            ["sales/_manifest.json", "sales/a.csv", "sales/mine/notes.txt"]
        );
    }

    #[test]
    fn outputs_do_not_lie_in_each_other() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path().join("sales");
        for (old, new) in [("a", "a"), ("a", "a/b"), ("a/b", "a")] {
            let outputs = Outputs::default();
            let at = |name: &str| folder_with(&root.join(name), "x.csv", "");
            outputs.add([at(old)]).expect("is the first");
            assert_eq!(
                outputs.add([at(new)]).expect_err("overlaps").kind.exit_code(),
                2,
                "{old} {new}"
            );
        }
    }

    #[test]
    fn one_that_cannot_be_prepared_keeps_all_from_appearing() {
        let folder = tempfile::tempdir().expect("folder");
        let foreign = folder.path().join("foreign");
        fs::create_dir(&foreign).expect("creates");
        fs::write(foreign.join("x"), "mine").expect("writes");
        let first = folder_with(&folder.path().join("first"), "a.csv", "new");
        assert!(publish(vec![first, folder_with(&foreign, "a.csv", "new")]).is_err());
        assert_eq!(names(folder.path()), ["foreign/x"]);
    }
}
