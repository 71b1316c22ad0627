// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Where a person's own files are: what is theirs in the data folder, what they wrote for us in the configuration's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The file of earlier statements. Never in the working folder, which may be shared, or under version control.
pub(super) fn history() -> Option<PathBuf> {
    folder("XDG_DATA_HOME", ".local/share", |name| std::env::var_os(name))
        .map(|f| f.join("history.txt"))
}

/// What runs before the first prompt.
pub(super) fn init() -> Option<PathBuf> {
    folder("XDG_CONFIG_HOME", ".config", |name| std::env::var_os(name)).map(|f| f.join("init.sql"))
}

fn folder(
    variable: &str,
    otherwise: &str,
    env: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    // The standard says that a relative path there counts as none.
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|p| p.is_absolute());
    let base = env(variable).and_then(absolute).or_else(|| {
        env("HOME").or_else(|| env("USERPROFILE")).and_then(absolute).map(|h| h.join(otherwise))
    });
    base.map(|b| b.join("comptoir"))
}

/// Makes the file and its folder, for their owner only: statements hold what people look for.
pub(super) fn private(file: &Path) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match new_private(file) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => close(file),
        made => made.map(drop),
    }
}

/// Takes a file away from everybody but its owner.
fn close(file: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(file)?) & 0o077 != 0 {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(file, mode)?;
    }
    Ok(())
}

/// A new file for its owner only; an error when there is one already.
pub(super) fn new_private(file: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_could_read_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("history.txt");
        std::fs::write(&file, "SELECT 1;").expect("writes");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&file, mode).expect("opens it");
        private(&file).expect("closes it");
        let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata().expect("is there"));
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&file).expect("is there"), "SELECT 1;");
    }

    #[test]
    fn the_variable_wins_over_the_home() {
        let env = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|p| p.0 == name).map(|p| OsString::from(p.1))
        };
        let found = |pairs| folder("XDG_DATA_HOME", ".local/share", env(pairs));
        assert_eq!(
            found(&[("XDG_DATA_HOME", "/data"), ("HOME", "/home/a")]),
            Some(PathBuf::from("/data/comptoir"))
        );
        let home = Some(PathBuf::from("/home/a/.local/share/comptoir"));
        assert_eq!(found(&[("HOME", "/home/a")]), home);
        assert_eq!(found(&[("XDG_DATA_HOME", "here"), ("HOME", "/home/a")]), home);
        assert_eq!(found(&[]), None);
    }
}
