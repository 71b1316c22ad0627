// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `COPY … TO` and nothing half-written.
//!
//! DataFusion's writers finish their files even when the query has failed, which leaves a readable, truncated file at
//! the target. Here they write into an object store that only keeps [`StagedFile`]s: the statement publishes all of them
//! when it has succeeded, and drops them when it has not. Every option and the parallel writing of DataFusion's `COPY`
//! stay as they are.

use std::fmt;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryFutureExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult, UploadPart,
};

use super::remote::{Object, Parts, Target};
use super::staged::StagedFile;
use crate::error::{Error, Kind, from_io};

/// The files that one statement has written so far.
#[derive(Debug, Default)]
pub struct StagingStore {
    finished: Arc<Mutex<Vec<StagedFile>>>,
    /// Where they go that are not for this machine.
    remote: Option<(Target, Arc<Remote>)>,
    /// Why writing failed, which the engine's writers do not always pass on.
    failure: Arc<Mutex<Option<Error>>>,
}

/// What has been sent to another store.
#[derive(Debug, Default)]
struct Remote {
    finished: Mutex<Vec<Object>>,
}

impl StagingStore {
    /// A store whose files go to another one.
    pub(crate) fn over(target: Target) -> Self {
        Self { remote: Some((target, Arc::default())), ..Self::default() }
    }

    /// The objects that are finished.
    pub(crate) fn take_objects(&self) -> Vec<Object> {
        let Some((_, remote)) = &self.remote else { return vec![] };
        std::mem::take(&mut *remote.finished.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The files that are finished.
    pub(crate) fn take(&self) -> Vec<StagedFile> {
        std::mem::take(&mut *self.finished.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets every file of the statement. What its writers were still sending is aborted as they stop.
    pub fn discard(&self) {
        drop((self.take(), self.take_objects()));
    }

    /// Why writing failed, if it did.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The location is the path, letter for letter: a value of a partition, which may be a person's text, was encoded by the
    /// writer, and what it holds must not become a part of the path.
    fn open(&self, location: &Path) -> StoreResult<StagedFile> {
        let target = PathBuf::from(format!("/{location}"));
        StagedFile::create_with_folder(&target).map_err(|error| noted(&self.failure, error))
    }
}

/// Keeps an error, which a writer may pass on as mere text, or not at all.
fn noted(failure: &Mutex<Option<Error>>, error: Error) -> object_store::Error {
    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    failed(error)
}

fn failed(error: Error) -> object_store::Error {
    object_store::Error::Generic { store: "staging", source: Box::new(error) }
}

fn unsupported(operation: &str) -> object_store::Error {
    failed(Error::query(format!("a staged output cannot {operation}")))
}

impl fmt::Display for StagingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("staging")
    }
}

#[async_trait]
impl ObjectStore for StagingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        _options: PutOptions,
    ) -> StoreResult<PutResult> {
        if let Some((target, remote)) = &self.remote {
            let object = Object::whole(target, location.clone(), payload);
            remote.finished.lock().unwrap_or_else(PoisonError::into_inner).push(object);
            return Ok(PutResult { e_tag: None, version: None });
        }
        let mut upload = Upload::new(self.open(location)?, self);
        upload.put_part(payload).await?;
        upload.complete().await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        if let Some((target, remote)) = &self.remote {
            return Ok(Box::new(Sending {
                parts: Some(
                    Parts::begin(target, location)
                        .await
                        .map_err(|error| noted(&self.failure, error))?,
                ),
                failure: Arc::clone(&self.failure),
                bytes: 0,
                at: location.clone(),
                target: target.clone(),
                remote: Arc::clone(remote),
            }));
        }
        Ok(Box::new(Upload::new(self.open(location)?, self)))
    }

    async fn get_opts(&self, _location: &Path, _options: GetOptions) -> StoreResult<GetResult> {
        Err(unsupported("be read"))
    }

    async fn get_ranges(
        &self,
        _location: &Path,
        _ranges: &[Range<u64>],
    ) -> StoreResult<Vec<bytes::Bytes>> {
        Err(unsupported("be read"))
    }

    fn delete_stream(
        &self,
        _locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        futures::stream::once(async { Err(unsupported("be deleted")) }).boxed()
    }

    fn list(&self, _prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        futures::stream::empty().boxed()
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Path>) -> StoreResult<ListResult> {
        Ok(ListResult { common_prefixes: vec![], objects: vec![] })
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> StoreResult<()> {
        Err(unsupported("be copied"))
    }
}

/// One file being written, in parts that may arrive in any order.
#[derive(Debug)]
struct Upload {
    /// `None` once the file is finished.
    file: Option<Arc<StagedFile>>,
    next: u64,
    finished: Arc<Mutex<Vec<StagedFile>>>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Upload {
    fn new(file: StagedFile, store: &StagingStore) -> Self {
        Self {
            file: Some(Arc::new(file)),
            next: 0,
            finished: Arc::clone(&store.finished),
            failure: Arc::clone(&store.failure),
        }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let mut offset = self.next;
        self.next += data.content_length() as u64;
        let file = self.file.clone();
        let failure = Arc::clone(&self.failure);
        let write = tokio::task::spawn_blocking(move || {
            let file = file.ok_or(std::io::ErrorKind::BrokenPipe)?;
            for chunk in data {
                file.file().write_all_at(&chunk, offset)?;
                offset += chunk.len() as u64;
            }
            Ok::<_, std::io::Error>(())
        });
        async move {
            match write.await {
                Ok(written) => written
                    .map_err(|e| noted(&failure, from_io(&e, Kind::Query).context("cannot write"))),
                Err(stopped) => Err(failed(Error::query(stopped.to_string()))),
            }
        }
        .boxed()
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        // Every part has been awaited, so this is the only owner left.
        let file = self.file.take().and_then(Arc::into_inner).ok_or_else(|| {
            failed(Error::query("an output was finished while it was being written"))
        })?;
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).push(file);
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> StoreResult<()> {
        Ok(())
    }
}

/// One object being sent, which is not to appear when its writer has finished.
#[derive(Debug)]
struct Sending {
    /// `None` once they are all sent.
    parts: Option<Parts>,
    failure: Arc<Mutex<Option<Error>>>,
    bytes: u64,
    at: Path,
    target: Target,
    remote: Arc<Remote>,
}

fn finished_already() -> object_store::Error {
    failed(Error::query("an output was finished while it was being written"))
}

#[async_trait]
impl MultipartUpload for Sending {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.bytes += data.content_length() as u64;
        match &mut self.parts {
            Some(parts) => {
                let (part, target) = (parts.put_part(data), self.target.clone());
                let failure = Arc::clone(&self.failure);
                part.map_err(move |error| noted(&failure, target.failed(&error))).boxed()
            }
            None => async { Err(finished_already()) }.boxed(),
        }
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        let parts = self.parts.take().ok_or_else(finished_already)?;
        let object = Object::sent(&self.target, self.at.clone(), parts, self.bytes);
        self.remote.finished.lock().unwrap_or_else(PoisonError::into_inner).push(object);
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> StoreResult<()> {
        self.parts = None;
        Ok(())
    }
}
