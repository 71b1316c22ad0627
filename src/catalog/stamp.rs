// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What lies at a place, told by names, sizes, times and tags, so that a later run can see whether it is still the same.

use std::path::{Path, PathBuf};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use object_store::{Error as StoreError, ObjectMeta, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{store, written};
use crate::error::{Error, Result};

/// A place and the files in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// The URL of a file, or of a folder, which ends in a slash; or what was written to find files.
    pub place: String,
    /// In the order of their names.
    pub files: Vec<Stamp>,
}

/// A file as it can be told from a changed one without reading it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// Its path in its store.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written, in microseconds since 1970.
    pub modified: i64,
    /// What its store calls this version of it; a file system gives its inode.
    pub etag: Option<String>,
}

impl Stamped {
    /// Which file is no longer what it was, in words; `None` when nothing has changed.
    pub fn difference(&self, now: &Stamped) -> Option<String> {
        if self.files.is_empty() && now.files.is_empty() {
            return Some(format!("`{}` is not there", shown(&self.place)));
        }
        let named = |files: &'_ [Stamp], name: &str| files.iter().any(|f| f.name == name);
        if let Some(gone) = self.files.iter().find(|f| !named(&now.files, &f.name)) {
            return Some(format!("`{}` is gone", self.shown(gone)));
        }
        if let Some(new) = now.files.iter().find(|f| !named(&self.files, &f.name)) {
            return Some(format!("`{}` is new", self.shown(new)));
        }
        let changed = now.files.iter().find(|f| !self.files.contains(f))?;
        Some(format!("`{}` has changed", self.shown(changed)))
    }

    /// A place that holds all of its files.
    pub fn around(&self) -> String {
        let Some(path) = written::path_of(&self.place) else { return self.place.clone() };
        let fixed = path.ancestors().find(|folder| !super::files::has_wildcard(folder));
        let fixed = fixed.unwrap_or(path).display().to_string();
        place_of(&fixed).unwrap_or(fixed)
    }

    /// The name of a file of this place, as a person would write it.
    fn shown(&self, file: &Stamp) -> String {
        if written::path_of(&self.place).is_some() {
            return file.name.clone();
        }
        let Some((scheme, rest)) = self.place.split_once("://") else { return file.name.clone() };
        let authority = rest.split('/').next().unwrap_or_default();
        shown(&format!("{scheme}://{authority}/{}", file.name))
    }
}

/// Where a plan reads files, in order.
pub(super) fn places_read(plan: &LogicalPlan) -> Vec<String> {
    let mut places = vec![];
    // The closure never fails.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(table) = provider.downcast_ref::<ListingTable>()
        {
            places.extend(table.table_paths().iter().map(|url| store::origin(url.get_url())));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    places.sort();
    places.dedup();
    places
}

/// The URL of what `COPY … TO` is told to write.
pub(crate) fn place_of(target: &str) -> Result<String> {
    if store::is_remote(target) {
        return Ok(store::shown(&store::parse(target)?));
    }
    let path = super::local_path(target).ok_or_else(|| no_url(target))?;
    let folder = target.ends_with('/');
    let place = place_at(&super::real_path(&path))?;
    Ok(if folder && !place.ends_with('/') { place + "/" } else { place })
}

/// The URL of an output: its path, without links, or its address.
pub(crate) fn place_at(target: &Path) -> Result<String> {
    if super::files::is_remote(target) {
        return Ok(target.display().to_string());
    }
    let folder = target.is_dir();
    let url = if folder { Url::from_directory_path(target) } else { Url::from_file_path(target) };
    Ok(url.map_err(|()| no_url(&target.display().to_string()))?.to_string())
}

fn no_url(target: &str) -> Error {
    Error::usage(format!("`{target}` cannot be written as a URL"))
}

/// Whether one of two places lies in the other, or they are the same.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        let outer = outer.trim_end_matches('/');
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(a, b) || within(b, a)
}

/// Looks at a place. Nothing there is no error: it is what a later run compares with.
pub(crate) async fn stamp(ctx: &SessionContext, place: &str) -> Result<Stamped> {
    if let Some(path) = written::path_of(place) {
        let stamp = |file: PathBuf| {
            let name = super::discover::shown(&file);
            Stamp { name, bytes: 0, modified: 0, etag: None }
        };
        let mut files: Vec<Stamp> = written::found(path).into_iter().map(stamp).collect();
        files.sort();
        return Ok(Stamped { place: place.to_string(), files });
    }
    let url = match store::is_remote(place) {
        true => ListingTableUrl::try_new(store::parse(place)?, None)?,
        false => ListingTableUrl::parse(place)?,
    };
    let store = store::of(&ctx.runtime_env(), url.get_url())?;
    let found: Result<Vec<ObjectMeta>, StoreError> = match url.is_collection() {
        true => store.list(Some(url.prefix())).try_collect().await,
        false => store.head(url.prefix()).await.map(|meta| vec![meta]),
    };
    let found = match found {
        Ok(found) => found,
        Err(StoreError::NotFound { .. }) => vec![],
        Err(error) => return Err(store::failed(url.get_url(), &error)),
    };
    let mut files: Vec<Stamp> = found
        .into_iter()
        .map(|meta| Stamp {
            name: meta.location.to_string(),
            bytes: meta.size,
            modified: meta.last_modified.timestamp_micros(),
            etag: meta.e_tag,
        })
        .collect();
    files.sort();
    Ok(Stamped { place: place.to_string(), files })
}

/// A place as a person would write it.
pub(crate) fn shown(place: &str) -> String {
    if let Some(path) = written::path_of(place) {
        return super::discover::shown(path);
    }
    match Url::parse(place).ok().filter(|url| url.scheme() == "file") {
        Some(url) => url.to_file_path().map_or(place.to_string(), |p| super::discover::shown(&p)),
        None => place.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_overlap_by_whole_names() {
        for (a, b, expected) in [
            ("file:///a/b.csv", "file:///a/b.csv", true),
            ("file:///a/", "file:///a/b.csv", true),
            ("file:///a/b/day=1/", "file:///a/b/", true),
            ("file:///a/b.csv", "file:///a/b", false),
            ("s3://x/a/", "s3://y/a/", false),
        ] {
            assert_eq!(overlap(a, b), expected, "{a} {b}");
            assert_eq!(overlap(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn a_difference_names_the_file() {
        let stamp = |name: &str, bytes| Stamp { name: name.into(), bytes, modified: 0, etag: None };
        let at = |files: &[Stamp]| Stamped { place: "file:///a/".into(), files: files.to_vec() };
        let old = at(&[stamp("a", 1), stamp("b", 1)]);
        assert_eq!(old.difference(&old), None);
        let say = |files: &[Stamp]| old.difference(&at(files)).expect("differs");
        assert_eq!(say(&[stamp("a", 1)]), "`/b` is gone");
        assert_eq!(say(&[stamp("a", 1), stamp("b", 1), stamp("c", 1)]), "`/c` is new");
        assert_eq!(say(&[stamp("a", 2), stamp("b", 1)]), "`/a` has changed");
        assert!(at(&[]).difference(&at(&[])).is_some());
    }
}
