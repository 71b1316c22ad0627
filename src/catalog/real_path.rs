// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Where a path of this machine leads, whether or not something is there yet.

use std::path::{Component, Path, PathBuf};

/// The path without links, as far as it is there, and without `..`: a folder that is not there yet may be made on the way.
pub fn real_path(path: &Path) -> PathBuf {
    followed(path, 40)
}

/// The same through so many links to what is not there yet, at most: they may lead in a circle.
fn followed(path: &Path, most: u32) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut real = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => drop(real.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => real.push(part),
        }
        // A link is followed where it stands: `..` behind it starts at what it leads to.
        real = match (real.canonicalize(), real.read_link()) {
            (Ok(there), _) => there,
            (Err(_), Ok(target)) if most > 0 => {
                real.pop();
                followed(&real.join(target), most - 1)
            }
            _ => real,
        };
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
        std::os::unix::fs::symlink("data/new.csv", folder.path().join("later")).expect("is linked");
        std::os::unix::fs::symlink("round", folder.path().join("round")).expect("is linked");
        assert_eq!(real_path(&folder.path().join("later")), data.join("new.csv"));
        assert!(real_path(&folder.path().join("round")).ends_with("round"));
        let out = real_path(&folder.path().join("link/../customers.parquet"));
        assert_eq!(out, folder.path().canonicalize().expect("is there").join("customers.parquet"));
    }
}
