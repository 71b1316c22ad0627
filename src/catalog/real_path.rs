// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Where a path of this machine leads, whether or not something is there yet.

use std::path::{Component, Path, PathBuf};

/// The path without links, as far as it is there, and without `..`: a folder that is not there yet may be made on the way.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut real = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => drop(real.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => real.push(part),
        }
        // A link is followed where it stands: `..` behind it starts at what it leads to.
        real = real.canonicalize().unwrap_or(real);
    }
    real
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_same_however_it_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().canonicalize().expect("is there").join("data");
        std::fs::create_dir(&data).expect("is made");
        std::os::unix::fs::symlink(&data, folder.path().join("link")).expect("is linked");
        let file = data.join("customers.parquet");
        for way in
            ["data/customers.parquet", "data/not/../customers.parquet", "link/./customers.parquet"]
        {
            assert_eq!(real_path(&folder.path().join(way)), file, "{way}");
        }
        let out = real_path(&folder.path().join("link/../customers.parquet"));
        assert_eq!(out, folder.path().canonicalize().expect("is there").join("customers.parquet"));
    }
}
