// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Places that a target must not lead to, whatever it is called.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use datafusion::logical_expr::LogicalPlan;

use super::{discover, files, local_path, real_path, split_options, stamp, store};
use crate::error::{Error, Result};

/// Files, folders and patterns, on this machine and in stores.
#[derive(Debug, Default)]
pub(crate) struct Fence(BTreeSet<Kept>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    /// Without links, or an address as [`address`] writes it.
    path: PathBuf,
    /// Whether it stands for all that it fits.
    pattern: bool,
}

impl Fence {
    /// What a configuration or a statement says that a table is read from, with its options.
    pub(crate) fn add(&mut self, written: &str) -> Result<()> {
        let (text, _) = split_options(written)?;
        let kept = match local_path(text) {
            Some(path) if discover::is_pattern(&path) => {
                Kept { path: std::path::absolute(path)?, pattern: true }
            }
            None if files::has_wildcard(Path::new(text)) => {
                Kept { path: address(text, None)?, pattern: true }
            }
            _ => Kept { path: place(text)?, pattern: false },
        };
        self.0.insert(kept);
        Ok(())
    }

    /// A file or a folder of this machine.
    pub(crate) fn add_path(&mut self, path: &Path) {
        self.0.insert(Kept { path: real_path(path), pattern: false });
    }

    /// The files and folders that a plan reads.
    pub(crate) fn add_read(&mut self, plan: &LogicalPlan) -> Result<()> {
        for read in stamp::places_read(plan) {
            self.0.insert(Kept { path: place(&read)?, pattern: false });
        }
        Ok(())
    }

    /// All that another holds.
    pub(crate) fn extend(&mut self, other: Fence) {
        self.0.extend(other.0);
    }

    /// Whether what is written to a target, a file or a folder of files, would be one of these, or lie in one or around one.
    pub(crate) fn holds(&self, target: &str) -> Result<bool> {
        let target = place(target)?;
        let way = identities(&target);
        Ok(self.0.iter().any(|kept| match kept.pattern {
            // A folder may come to hold what the pattern fits.
            true => kept.path.ancestors().any(|part| discover::fits(part, &target)),
            false => {
                target.starts_with(&kept.path)
                    || kept.path.starts_with(&target)
                    || identity(&kept.path).is_some_and(|one| way.contains(&one))
            }
        }))
    }
}

/// Where a path or an address leads, written in one way.
fn place(text: &str) -> Result<PathBuf> {
    if let Some(path) = local_path(text) {
        return Ok(real_path(&path));
    }
    if !store::is_remote(text) {
        return Err(Error::usage(format!(
            "`{text}` is neither a path of this machine nor an address"
        )));
    }
    let url = store::parse(text)?;
    address(text, Some(store::location(&url)?.as_ref()))
}

/// An address without the names that a store has besides: `s3a://b/k` is `s3://b/k`, and an account's name is left out. The
/// key is the one given, or as it is written.
fn address(text: &str, key: Option<&str>) -> Result<PathBuf> {
    let wrong = || Error::usage(format!("`{text}` is not an address"));
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let (authority, written) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "s3a" => "s3".to_string(),
        "azure" | "abfs" | "abfss" | "adl" => "az".to_string(),
        other => other.to_string(),
    };
    let bucket = authority.split('@').next().unwrap_or(authority).to_ascii_lowercase();
    let key = key.unwrap_or(written).trim_matches('/');
    Ok(PathBuf::from(format!("{scheme}://{bucket}/{key}")))
}

/// What the file system calls a file or a folder: a mount and a hard link show one at two places.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// The same for it and for all that it lies in, as far as they are there.
fn identities(path: &Path) -> Vec<(u64, u64)> {
    path.ancestors().filter_map(identity).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_held_by_whatever_name_it_has() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        for name in ["data", "src#1", "days", "out"] {
            fs::create_dir(at(name)).expect("is made");
        }
        fs::write(at("data/a.csv"), "x\n1\n").expect("is written");
        fs::hard_link(at("data/a.csv"), at("out/linked.csv")).expect("is linked");
        std::os::unix::fs::symlink(at("days"), at("link")).expect("is linked");
        let mut fence = Fence::default();
        for written in ["data/a.csv?delimiter=;", "src#1", "link/d-*.csv", "deep/**/x.csv"] {
            fence.add(&at(written)).expect("is a place");
        }
        for written in ["s3://shop/data/", "s3://shop/days/d-*.csv", "az://box/a"] {
            fence.add(written).expect("is a place");
        }
        for target in [
            "data/a.csv",
            "data",
            "",
            "out/linked.csv",
            "src#1/new.csv",
            "days/d-2.csv",
            "link/d-3.csv",
            "days",
            "days/",
            "deep/er/x.csv",
            "deep",
        ] {
            assert!(fence.holds(&at(target)).expect("is a place"), "{target}");
        }
        for target in ["data/b.csv", "out/x.csv", "days/e.csv", "src#2/x.csv", "src/1"] {
            assert!(!fence.holds(&at(target)).expect("is a place"), "{target}");
        }
        for target in [
            "s3://shop/data/new.csv",
            "s3a://shop/data/new.csv",
            "S3://shop/x/../data/new.csv",
            "s3://shop/days/d-1.csv",
            "s3://shop/",
            "s3://shop/days",
            "az://box/a",
            "abfss://box@account.dfs.core.windows.net/a/b.csv",
        ] {
            assert!(fence.holds(target).expect("is a place"), "{target}");
        }
        for target in
            ["s3://other/data/new.csv", "s3://shop/days/e.csv", "s3://shop/data2", "az://box/b"]
        {
            assert!(!fence.holds(target).expect("is a place"), "{target}");
        }
        for target in ["file://host/x.csv", "x y://z/../data/a.csv"] {
            assert!(fence.holds(target).is_err(), "{target}");
        }
    }
}
