// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Outputs in an object store.
//!
//! A large object is sent in parts while the statement runs, and the store shows nothing of it until it is told that the
//! upload is complete, which happens when everything is published. A failure and Ctrl-C abort it, so that no part is kept.
//! A folder is no thing in a store: what is to come is written down, its new objects are completed, then its manifest is
//! written, and then the objects that the manifest before it listed are deleted. Whoever reads between these steps and
//! wants one state reads what the manifest lists; after a kill between them the next run knows the objects as ours.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{FutureExt, TryStreamExt};
use object_store::path::Path as Location;
use object_store::{
    Error as StoreError, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, UploadPart,
};
use serde_json::Value;
use tokio::sync::oneshot;
use url::Url;

use super::outputs::{MANIFEST, listed, manifest_of};
use crate::catalog::store;
use crate::error::{Error, Result};

/// A store, and the address in it that a statement was told to write.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) url: Url,
    pub(crate) at: Location,
    /// The address, as it is shown and compared.
    pub(crate) path: PathBuf,
}

impl Target {
    /// The target of an address.
    pub(crate) fn of(address: &str) -> Result<Self> {
        let url = store::parse(address)?;
        if url.scheme().starts_with("http") {
            return Err(Error::usage(format!(
                "`{}` is on a web server, which takes no files",
                store::shown(&url)
            ))
            .hint("write to a file, or to s3://, gs:// or az://"));
        }
        if address.contains('?') {
            return Err(Error::usage(format!(
                "`{}` has a `?`, behind which nothing is read in a target",
                store::shown(&url)
            ))
            .hint("leave it out; options stand in `OPTIONS (…)`"));
        }
        let at = store::location(&url)?;
        if at.as_ref().is_empty() {
            return Err(Error::usage(format!("`{}` is a whole bucket", store::shown(&url)))
                .hint("write to an object or a folder in it"));
        }
        Ok(Self { store: store::shared(&url)?, path: PathBuf::from(store::shown(&url)), url, at })
    }

    pub(super) fn failed(&self, error: &StoreError) -> Error {
        store::failed(&self.url, error).context("cannot write")
    }

    /// Another object of the same store.
    fn at(&self, at: Location) -> Self {
        let root = &self.url[..url::Position::BeforePath];
        Self { path: PathBuf::from(format!("{root}/{at}")), at, ..self.clone() }
    }
}

/// An object that nobody sees yet.
#[derive(Debug)]
pub struct Object {
    target: Target,
    bytes: u64,
    upload: Upload,
}

#[derive(Debug)]
enum Upload {
    Whole(PutPayload),
    Parts(Parts),
}

/// An upload that is aborted when it is dropped before its end, for whatever reason: a store keeps its parts for ever.
#[derive(Debug)]
pub(super) struct Parts(Option<Box<dyn MultipartUpload>>);

/// How many uploads have neither been completed nor aborted.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Waits until what was given up has been aborted, ten seconds at most.
pub async fn aborted() {
    for _ in 0..1000 {
        if OPEN.load(Ordering::Acquire) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Parts {
    /// Begins one. Whoever asks may be dropped before the store has answered, and it has begun all the same.
    pub(super) async fn begin(target: &Target, at: &Location) -> Result<Self> {
        let (sender, receiver) = oneshot::channel();
        let (store, at) = (Arc::clone(&target.store), at.clone());
        OPEN.fetch_add(1, Ordering::AcqRel);
        store::in_background(async move {
            let begun = match store.put_multipart(&at).await {
                Ok(upload) => Ok(Self(Some(upload))),
                Err(error) => {
                    OPEN.fetch_sub(1, Ordering::AcqRel);
                    Err(error)
                }
            };
            // What nobody takes is dropped, which aborts it.
            drop(sender.send(begun));
        });
        let begun = receiver.await.map_err(|_| Error::query("no thread asks the store"))?;
        begun.map_err(|error| target.failed(&error))
    }

    pub(super) fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match &mut self.0 {
            Some(upload) => upload.put_part(data),
            None => futures::future::ready(Err(StoreError::NotImplemented {
                operation: "a part".into(),
                implementer: "an upload that has ended".into(),
            }))
            .boxed(),
        }
    }

    async fn complete(mut self) -> Result<(), StoreError> {
        if let Some(upload) = &mut self.0 {
            upload.complete().await?;
            self.0 = None;
            OPEN.fetch_sub(1, Ordering::AcqRel);
        }
        Ok(())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if let Some(mut upload) = self.0.take() {
            store::in_background(async move {
                // It has failed already: what cannot be aborted is left to the bucket's own rules.
                let _ = upload.abort().await;
                OPEN.fetch_sub(1, Ordering::AcqRel);
            });
        }
    }
}

impl Object {
    /// A small object, kept here until it is published.
    pub(super) fn whole(target: &Target, at: Location, payload: PutPayload) -> Self {
        let bytes = payload.content_length() as u64;
        Self { target: target.at(at), bytes, upload: Upload::Whole(payload) }
    }

    /// An object whose parts have all been sent.
    pub(super) fn sent(target: &Target, at: Location, upload: Parts, bytes: u64) -> Self {
        Self { target: target.at(at), bytes, upload: Upload::Parts(upload) }
    }

    /// Sends a file of this machine.
    pub(super) async fn send(target: &Target, file: &File) -> Result<Self> {
        let length = file.metadata()?.len();
        let read = |from: u64| -> Result<Vec<u8>> {
            let mut part = vec![0; usize::try_from(PART.min(length - from)).unwrap_or_default()];
            file.read_exact_at(&mut part, from)?;
            Ok(part)
        };
        if length <= PART {
            return Ok(Self::whole(target, target.at.clone(), read(0)?.into()));
        }
        let mut upload = Parts::begin(target, &target.at).await?;
        let mut from = 0;
        while from < length {
            upload.put_part(read(from)?.into()).await.map_err(|e| target.failed(&e))?;
            from += PART;
        }
        Ok(Self::sent(target, target.at.clone(), upload, length))
    }

    pub(super) fn path(&self) -> &Path {
        &self.target.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it lies in the folder of a target.
    pub(super) fn is_within(&self, root: &Target) -> bool {
        self.target.at != root.at && self.target.at.prefix_matches(&root.at)
    }

    /// Makes it appear.
    pub(super) async fn publish(self) -> Result<()> {
        let Target { store, at, .. } = &self.target;
        let done = match self.upload {
            Upload::Whole(payload) => store.put(at, payload).await.map(drop),
            Upload::Parts(upload) => upload.complete().await,
        };
        done.map_err(|error| self.target.failed(&error))
    }
}

/// Parts of this size: at least 5 MiB are asked for, and ten thousand of these are 80 GiB.
const PART: u64 = 8 << 20;

/// A folder of objects that nobody sees yet.
#[derive(Debug)]
pub struct Folder {
    pub(super) root: Target,
    pub(super) objects: Vec<Object>,
}

impl Folder {
    pub(super) async fn publish(self) -> Result<()> {
        let Self { root, objects } = self;
        let old = may_replace(&root).await?;
        let new: Vec<Location> = objects.iter().map(|o| o.target.at.clone()).collect();
        let within = |at: &Location| -> String {
            let parts: Vec<String> = at
                .prefix_match(&root.at)
                .into_iter()
                .flatten()
                .map(|p| p.as_ref().to_string())
                .collect();
            parts.join("/")
        };
        let mut listed: Vec<(String, u64)> =
            objects.iter().map(|o| (within(&o.target.at), o.bytes)).collect();
        listed.sort();
        let (kept, gone): (Vec<Location>, Vec<Location>) =
            old.into_iter().partition(|at| new.contains(at));
        // With what a killed run has left, or a second kill would make it unknown.
        let mut known = listed.clone();
        known.extend(gone.iter().map(|at| (within(at), 0)));
        let coming = root.at.clone().join(COMING);
        let put = async |at: &Location, files: &[(String, u64)]| {
            root.store.put(at, manifest(files)).await.map(drop).map_err(|e| root.failed(&e))
        };
        put(&coming, &known).await?;
        let published = async {
            for object in objects {
                object.publish().await?;
            }
            put(&root.at.clone().join(MANIFEST), &listed).await
        };
        if let Err(error) = published.await {
            // Whoever reads the folder is not to find the rows of two runs. What is known stays written down: a manifest
            // may have arrived of which the store did not say so.
            for at in new.iter().filter(|at| !kept.contains(at)) {
                if !matches!(root.store.delete(at).await, Ok(()) | Err(StoreError::NotFound { .. }))
                {
                    return Err(error.note(format!(
                        "`{at}` of this run is still there; the next run removes it"
                    )));
                }
            }
            return Err(error);
        }
        for gone in gone.iter().chain([&coming]) {
            match root.store.delete(gone).await {
                Ok(()) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => {
                    return Err(root
                        .failed(&error)
                        .note(format!("`{gone}` of the run before is still there")));
                }
            }
        }
        Ok(())
    }
}

fn manifest(files: &[(String, u64)]) -> PutPayload {
    format!("{:#}\n", manifest_of(files)).into()
}

/// What a folder is about to hold and what it held, beside its manifest until that says the new.
const COMING: &str = "_manifest.next.json";

/// The objects that replacing a folder would delete; an error when one of them is not ours.
pub(crate) async fn may_replace(root: &Target) -> Result<Vec<Location>> {
    let found: Result<Vec<Location>, StoreError> =
        root.store.list(Some(&root.at)).map_ok(|meta| meta.location).try_collect().await;
    let mut found = found.map_err(|e| root.failed(&e))?;
    let mut ours = vec![root.at.clone()];
    for manifest in [MANIFEST, COMING].map(|name| root.at.clone().join(name)) {
        ours.extend(listed_in(root, &manifest).await?);
        found.retain(|at| *at != manifest);
    }
    if let Some(strange) = found.iter().find(|at| !ours.contains(at)) {
        return Err(Error::usage(format!(
            "`{}` is replaced as a whole, and `{strange}` in it was not written by Comptoir",
            root.path.display()
        ))
        .hint("write to a folder of its own, or empty this one"));
    }
    found.retain(|at| *at != root.at);
    Ok(found)
}

/// The objects that a manifest lists, if it is there.
async fn listed_in(root: &Target, manifest: &Location) -> Result<Vec<Location>> {
    let bytes = match root.store.get(manifest).await {
        Ok(got) => got.bytes().await.map_err(|e| root.failed(&e))?,
        Err(StoreError::NotFound { .. }) => return Ok(vec![]),
        Err(error) => return Err(root.failed(&error)),
    };
    let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let paths = listed(&manifest).into_iter().map(|(path, _)| path);
    // The paths are parts of keys, and need no encoding a second time.
    Ok(paths.filter_map(|path| Location::parse(format!("{}/{path}", root.at)).ok()).collect())
}
