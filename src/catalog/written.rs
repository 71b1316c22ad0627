// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What was written where files are read, and may lead to other files tomorrow: a pattern, a folder, a link.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;

use super::{discover, files, real_path, stamp, store};

/// What a session's tables were found by, as written, and the places that were found.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<BTreeMap<PathBuf, Found>>);

#[derive(Debug)]
struct Found {
    /// Whether it was a folder, all of whose files are the table.
    folder: bool,
    places: Vec<String>,
}

/// What begins a place that is told as it was written.
const AS_WRITTEN: &str = "written:";

impl Written {
    pub(super) fn note(&self, origin: &Path, folder: bool, places: Vec<String>) {
        let origin = match files::is_remote(origin) {
            true => origin.to_path_buf(),
            false => std::path::absolute(origin).unwrap_or_else(|_| origin.to_path_buf()),
        };
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.insert(origin, Found { folder, places });
    }
}

impl Found {
    /// Whether what was written can lead nowhere else: to one place, and through no link.
    fn is_fixed(&self, origin: &Path) -> bool {
        files::url(origin, self.folder).is_ok_and(|url| self.places == [store::origin(&url)])
            && (files::is_remote(origin) || real_path(origin) == origin)
    }
}

/// The places that a plan reads, and what was written to find them where that may lead to others tomorrow.
pub(crate) fn places_meant(ctx: &SessionContext, plan: &LogicalPlan) -> Vec<String> {
    let mut places = stamp::places_read(plan);
    let Some(written) = ctx.copied_config().get_extension::<Written>() else { return places };
    let written = written.0.lock().unwrap_or_else(PoisonError::into_inner);
    let read = |found: &String| places.iter().any(|place| stamp::overlap(place, found));
    let meant: Vec<String> = written
        .iter()
        .filter(|(origin, found)| found.places.iter().any(read) && !found.is_fixed(origin))
        .map(|(origin, _)| format!("{AS_WRITTEN}{}", origin.display()))
        .collect();
    places.extend(meant);
    places
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

/// Whether a pattern would find what lies at a place.
pub(super) fn fits(pattern: &Path, place: &str) -> bool {
    super::local_path(place).is_some_and(|file| discover::fits(pattern, &file))
}

/// Whether whoever reads a place reads what lies, or will lie, at another.
pub(crate) fn reads(place: &str, other: &str) -> bool {
    match path_of(place) {
        Some(path) if discover::is_pattern(path) => fits(path, other),
        // The places that it led to are places read as well.
        Some(_) => false,
        None => stamp::overlap(place, other),
    }
}
