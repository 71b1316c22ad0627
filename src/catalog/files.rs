// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Files and folders, on this machine or in a store. The rest of the catalog does not ask which.
//!
//! A path in a store is its address, `s3://bucket/folder/a.csv`, see [`store`]; that of a folder ends in a slash, see
//! [`settled`]. Names are cut and joined as those of this machine are.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, mpsc};

use bytes::Bytes;
use object_store::path::Path as Location;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;
use url::Url;

use super::store;
use crate::error::{Error, Result};

/// Whether a path is an address in a store.
pub(super) fn is_remote(path: &Path) -> bool {
    path.to_str().is_some_and(store::is_remote)
}

/// Gives the address of a folder the slash at its end, by asking its store; other paths are what they are.
pub(super) fn settled(path: PathBuf) -> Result<PathBuf> {
    if !is_remote(&path) || ends_in_slash(&path) || has_wildcard(&path) {
        return Ok(path);
    }
    let object = Object::of(&path)?;
    if object.at.as_ref().is_empty() {
        return Ok(PathBuf::from(format!("{}/", path.display())));
    }
    match object.wait(|store, at| async move { store.head(&at).await }) {
        Ok(_) => Ok(path),
        Err(StoreError::NotFound { .. }) if !object.url.scheme().starts_with("http") => {
            let folder = PathBuf::from(format!("{}/", path.display()));
            // No folder and no bucket are told apart by listing.
            match children(&folder)?.is_empty() {
                true => Err(missing(&path)),
                false => Ok(folder),
            }
        }
        Err(error) => Err(store::failed(&object.url, &error)),
    }
}

/// Whether a path is a folder; nothing there is none.
pub(super) fn is_dir(path: &Path) -> bool {
    if is_remote(path) { ends_in_slash(path) } else { path.is_dir() }
}

/// Whether a path is a file; of an address its form decides.
pub(super) fn is_file(path: &Path) -> bool {
    if is_remote(path) { !ends_in_slash(path) } else { path.is_file() }
}

/// Whether there is anything at a path. A settled address has been looked at.
pub(super) fn exists(path: &Path) -> bool {
    is_remote(path) || path.exists()
}

/// What lies in a folder, hidden things too, in the order of names.
pub(super) fn children(path: &Path) -> Result<Vec<PathBuf>> {
    let mut all = vec![];
    if is_remote(path) {
        let object = Object::of(path)?;
        if object.url.scheme().starts_with("http") {
            let error = Error::usage(format!(
                "`{}` is on a web server, which lists nothing",
                path.display()
            ));
            return Err(
                error.hint("name each file: a table of `comptoir.toml` may have several paths")
            );
        }
        let listed = object.wait(|store, at| async move {
            store.list_with_delimiter(Some(&at).filter(|at| !at.as_ref().is_empty())).await
        });
        let listed = listed.map_err(|error| match error {
            // Only a bucket can be missing: an empty folder is an empty list.
            StoreError::NotFound { .. } => Error::usage(format!(
                "there is no bucket for `{}`",
                store::shown(&object.url).trim_end_matches('/')
            ))
            .hint("look at its name, and at the account and the endpoint it should be at"),
            error => store::failed(&object.url, &error),
        })?;
        let text = path.to_string_lossy();
        let base = text.trim_end_matches('/');
        all.extend(
            listed.common_prefixes.iter().filter_map(|prefix| {
                Some(PathBuf::from(format!("{base}/{}/", prefix.filename()?)))
            }),
        );
        all.extend(listed.objects.iter().filter_map(|meta| {
            // Some tools mark a folder by an empty object of its name.
            let name = meta.location.filename().filter(|_| meta.location != object.at)?;
            Some(PathBuf::from(format!("{base}/{name}")))
        }));
    } else {
        let unreadable = |error| {
            Error::usage(format!("`{}` cannot be listed: {error}", super::discover::shown(path)))
        };
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            all.push(entry.map_err(unreadable)?.path());
        }
    }
    all.sort();
    Ok(all)
}

/// Opens a file from its start.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    if !is_remote(path) {
        let file = std::fs::File::open(path).map_err(|e| super::sniff::unreadable(path, &e))?;
        return Ok(Box::new(file));
    }
    let object = Object::of(path)?;
    let length = object.length()?;
    Ok(Box::new(Ranges { object, next: 0, length, chunk: Bytes::new() }))
}

/// How long a file is.
pub(super) fn length(path: &Path) -> Option<u64> {
    match is_remote(path) {
        true => Object::of(path).ok()?.length().ok(),
        false => std::fs::metadata(path).ok().map(|meta| meta.len()),
    }
}

/// The URL of a path, which for a file of this machine must be there.
pub(super) fn url(path: &Path, folder: bool) -> Result<Url> {
    if is_remote(path) {
        return store::parse(&path.to_string_lossy());
    }
    let absolute = path.canonicalize().map_err(|error| super::sniff::unreadable(path, &error))?;
    let url =
        if folder { Url::from_directory_path(absolute) } else { Url::from_file_path(absolute) };
    url.map_err(|()| {
        let shown = super::discover::shown(path);
        Error::usage(format!("the path `{shown}` cannot be written as a URL"))
    })
}

/// The error for an address with nothing there: the nearest name in its folder.
pub(super) fn missing(path: &Path) -> Error {
    let error = Error::usage(format!("there is nothing at `{}`", path.display()));
    let text = path.to_string_lossy();
    let Some((folder, name)) = text.trim_end_matches('/').rsplit_once('/') else { return error };
    if folder.ends_with('/') || folder.starts_with("http") {
        return error;
    }
    let near = match children(Path::new(&format!("{folder}/"))) {
        Ok(near) => near,
        // The bucket is not there either.
        Err(error) => return error,
    };
    let names: Vec<_> =
        near.iter().filter_map(|p| Some(p.file_name()?.to_string_lossy())).collect();
    match super::nearest(name, names.iter().map(|name| name.as_ref())) {
        Some(near) => error.hint(format!("did you mean `{folder}/{near}`")),
        None => error,
    }
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

pub(super) fn has_wildcard(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b'*' | b'?'))
}

/// Something in a store.
struct Object {
    store: Arc<dyn ObjectStore>,
    at: Location,
    url: Url,
}

impl Object {
    fn of(path: &Path) -> Result<Self> {
        let url = store::parse(&path.to_string_lossy())?;
        Ok(Self { store: store::shared(&url)?, at: store::location(&url)?, url })
    }

    fn length(&self) -> Result<u64> {
        let meta = self.wait(|store, at| async move { store.head(&at).await });
        Ok(meta.map_err(|error| store::failed(&self.url, &error))?.size)
    }

    /// Waits for a store. The thread that waits may itself be one that drives futures, so others have to drive this one.
    fn wait<T, F>(
        &self,
        ask: impl FnOnce(Arc<dyn ObjectStore>, Location) -> F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let broken = || StoreError::Generic { store: "store", source: "no thread asks it".into() };
        let future = ask(Arc::clone(&self.store), self.at.clone());
        let (sender, receiver) = mpsc::channel();
        drivers().ok_or_else(broken)?.spawn(async move {
            // Nobody waits any more when the query has been cancelled.
            let _ = sender.send(future.await);
        });
        receiver.recv().map_err(|_| broken())?
    }
}

/// Lets something be done with a store that nobody waits for.
pub(crate) fn in_background(future: impl Future<Output = ()> + Send + 'static) {
    if let Some(drivers) = drivers() {
        drivers.spawn(future);
    }
}

fn drivers() -> Option<&'static Runtime> {
    static DRIVERS: OnceLock<Option<Runtime>> = OnceLock::new();
    let build = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("stores").enable_all().build().ok()
    };
    DRIVERS.get_or_init(build).as_ref()
}

/// An object, read in ranges from its start.
struct Ranges {
    object: Object,
    next: u64,
    length: u64,
    chunk: Bytes,
}

const SMALLEST: u64 = 64 << 10;
const LARGEST: u64 = 8 << 20;

impl Read for Ranges {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() && self.next < self.length {
            // Whoever looks at the first bytes alone should not wait for more; who goes on gets more at a time.
            let size = (self.next * 4).clamp(SMALLEST, LARGEST);
            let range = self.next..self.length.min(self.next + size);
            let ask = range.clone();
            let chunk = self
                .object
                .wait(|store, at| async move { store.get_range(&at, ask).await })
                .map_err(|error| io::Error::other(store::failed(&self.object.url, &error)))?;
            self.chunk = chunk;
            self.next = range.end;
        }
        let length = buffer.len().min(self.chunk.len());
        buffer[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }
}
