// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What was written where files are read, and may lead to other files tomorrow: a pattern, a folder, a link.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use datafusion::prelude::SessionContext;

use super::{discover, files, real_path, stamp};

/// The places that a session's tables were found at, as written, and the files that were found there.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<BTreeMap<PathBuf, Vec<String>>>);

/// What begins a place that is told as it was written.
const AS_WRITTEN: &str = "written:";

impl Written {
    pub(super) fn note<'a>(&self, origin: &Path, found: impl Iterator<Item = &'a Path>) {
        let origin = match files::is_remote(origin) {
            true => origin.to_path_buf(),
            false => std::path::absolute(origin).unwrap_or_else(|_| origin.to_path_buf()),
        };
        let found = found.filter_map(|file| Some(files::url(file, false).ok()?.to_string()));
        let found = found.collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(origin, found);
    }
}

/// What was written to read the files at some places, as places; those that can mean nothing else are left out.
pub(crate) fn written_for(ctx: &SessionContext, places: &[String]) -> Vec<String> {
    let Some(written) = ctx.copied_config().get_extension::<Written>() else { return vec![] };
    let written = written.0.lock().unwrap_or_else(PoisonError::into_inner);
    let read = |file: &String| places.iter().any(|place| stamp::overlap(place, file));
    let meant = written.iter().filter(|(origin, found)| {
        let fixed = files::url(origin, false)
            .is_ok_and(|url| found.as_slice() == [url.to_string()])
            && (files::is_remote(origin) || real_path(origin) == **origin);
        !fixed && found.iter().any(read)
    });
    meant.map(|(origin, _)| format!("{AS_WRITTEN}{}", origin.display())).collect()
}

/// The path of a place that is told as it was written.
pub(super) fn path_of(place: &str) -> Option<&Path> {
    place.strip_prefix(AS_WRITTEN).map(Path::new)
}

/// The files that lie there now; none when it cannot be looked at.
pub(super) fn found(path: &Path) -> Vec<PathBuf> {
    let found = match discover::is_pattern(path) {
        true => discover::matching(path).unwrap_or_default(),
        false if files::is_remote(path) => vec![],
        false => discover::below(path),
    };
    found
        .iter()
        .map(|file| if files::is_remote(file) { file.clone() } else { real_path(file) })
        .collect()
}

/// Whether what is written for some places would find a file that is not there yet.
pub(crate) fn would_find(place: &str, file: &Path) -> bool {
    path_of(place).is_some_and(|path| discover::is_pattern(path) && discover::fits(path, file))
}
