// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Outputs in an object store.
//!
//! A large object is sent in parts while the statement runs, and the store shows nothing of it until it is told that the
//! upload is complete, which happens when everything is published. A failure aborts the upload, so that no part is kept.
//! A folder is no thing in a store: what is to come is written down, its new objects are completed, then its manifest is
//! written, and then the objects that the manifest before it listed are deleted. Whoever reads between these steps and
//! wants one state reads what the manifest lists; after a kill between them the next run knows the objects as ours.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path as Location;
use object_store::{Error as StoreError, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use serde_json::Value;
use url::Url;

use super::outputs::{MANIFEST, manifest_of};
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

    fn failed(&self, error: &StoreError) -> Error {
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
    Parts(Box<dyn MultipartUpload>),
}

impl Object {
    /// A small object, kept here until it is published.
    pub(super) fn whole(target: &Target, at: Location, payload: PutPayload) -> Self {
        let bytes = payload.content_length() as u64;
        Self { target: target.at(at), bytes, upload: Upload::Whole(payload) }
    }

    /// An object whose parts have all been sent.
    pub(super) fn sent(
        target: &Target,
        at: Location,
        upload: Box<dyn MultipartUpload>,
        bytes: u64,
    ) -> Self {
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
        let upload = target.store.put_multipart(&target.at).await;
        let mut upload = upload.map_err(|e| target.failed(&e))?;
        let mut from = 0;
        while from < length {
            let sent = match read(from) {
                Ok(part) => upload.put_part(part.into()).await.map_err(|e| target.failed(&e)),
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                let _ = upload.abort().await;
                return Err(error);
            }
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
            Upload::Whole(payload) => store.put(at, payload).await,
            Upload::Parts(mut upload) => match upload.complete().await {
                Ok(done) => Ok(done),
                Err(error) => {
                    let _ = upload.abort().await;
                    Err(error)
                }
            },
        };
        done.map(drop).map_err(|error| self.target.failed(&error))
    }

    /// Forgets it, here and in the store.
    pub(super) async fn abort(self) {
        if let Upload::Parts(mut upload) = self.upload {
            // It has failed already: what cannot be aborted is left to the bucket's own rules.
            let _ = upload.abort().await;
        }
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
        let old = match may_replace(&root).await {
            Ok(old) => old,
            Err(error) => {
                for object in objects {
                    object.abort().await;
                }
                return Err(error);
            }
        };
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
        let gone: Vec<Location> = old.into_iter().filter(|at| !new.contains(at)).collect();
        // With what a killed run has left, or a second kill would make it unknown.
        let mut known = listed.clone();
        known.extend(gone.iter().map(|at| (within(at), 0)));
        let coming = root.at.clone().join(COMING);
        let put = root.store.put(&coming, manifest(&known)).await;
        if let Err(error) = put {
            for object in objects {
                object.abort().await;
            }
            return Err(root.failed(&error));
        }
        let mut waiting = objects.into_iter();
        while let Some(object) = waiting.next() {
            if let Err(error) = object.publish().await {
                for object in waiting {
                    object.abort().await;
                }
                return Err(error);
            }
        }
        let put = root.store.put(&root.at.clone().join(MANIFEST), manifest(&listed)).await;
        put.map_err(|e| root.failed(&e))?;
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
    let files = manifest["files"].as_array().cloned().unwrap_or_default();
    let paths = files.iter().filter_map(|file| file["path"].as_str());
    // The paths are parts of keys, and need no encoding a second time.
    Ok(paths.filter_map(|path| Location::parse(format!("{}/{path}", root.at)).ok()).collect())
}
