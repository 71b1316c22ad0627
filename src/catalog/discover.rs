// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Paths → tables: which files make which table, and under which name.
//!
//! Nothing here opens a data file; only names and folders are looked at.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use super::options::{Compression, Format, TableOptions};
use super::{files, nearest};
use crate::error::{Error, Result};

/// The files of one table, not yet looked into.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) name: String,
    /// The file or folder it was found at, as the user would write it.
    pub(super) origin: PathBuf,
    pub(super) files: Vec<DataFile>,
    /// The keys of `key=value` folders between `origin` and the files, outermost first.
    pub(super) partitions: Vec<String>,
    /// Whether `origin` is a folder whose files, present and future, are the table.
    pub(super) folder: bool,
}

/// One file with what its name says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DataFile {
    pub(super) path: PathBuf,
    pub(super) format: Format,
    pub(super) compression: Compression,
}

/// What a path given with `--data` holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// The files surely make one table.
    Table(Source),
    /// A sub-folder of files: one table when their columns agree, a schema of tables when they are unrelated.
    Folder(Source),
}

/// Everything at a path given with `--data`.
pub(super) fn discover(path: &Path, options: &TableOptions) -> Result<Vec<Found>> {
    if !exists(path)? {
        return Ok(vec![Found::Table(source(path, options)?)]);
    }
    let children = children(path)?;
    if children.iter().any(|child| files::is_dir(child) && partition(child).is_some()) {
        return Ok(vec![Found::Table(source(path, options)?)]);
    }
    let mut found = vec![];
    let mut strangers = vec![];
    let (folders, files): (Vec<_>, Vec<_>) =
        children.into_iter().partition(|child| files::is_dir(child));
    let wanted = wanted(&files, options);
    for child in folders.into_iter().chain(files) {
        if files::is_dir(&child) {
            if let Some(source) = folder(&child, options)? {
                found.push(Found::Folder(source));
            }
        } else if wanted(&child)
            && let Some(file) = data_file(&child, options)
        {
            let name = table_name(&child);
            let origin = child;
            let files = vec![file];
            found.push(Found::Table(Source {
                name,
                origin,
                files,
                partitions: vec![],
                folder: false,
            }));
        } else {
            strangers.push(child);
        }
    }
    if found.is_empty() { Err(no_data(path, &strangers)) } else { Ok(found) }
}

/// The one table at a path: a file, a folder, or a pattern such as `data/*.parquet`.
pub(super) fn source(path: &Path, options: &TableOptions) -> Result<Source> {
    if is_pattern(path) {
        let files = expand(path, options)?;
        let name = table_name(path);
        return Ok(Source { name, origin: path.into(), files, partitions: vec![], folder: false });
    }
    if exists(path)? {
        return folder(path, options)?
            .ok_or_else(|| no_data(path, &children(path).unwrap_or_default()));
    }
    let file = data_file(path, options).ok_or_else(|| {
        let error =
            Error::usage(format!("the name of `{}` does not say what it holds", shown(path)));
        error
            .hint("say `format=csv`, `parquet`, `json` or `arrow`, such as `orders.txt?format=csv`")
    })?;
    let name = table_name(path);
    Ok(Source { name, origin: path.into(), files: vec![file], partitions: vec![], folder: false })
}

/// One source from several paths.
pub(super) fn sources(name: &str, paths: &[PathBuf], options: &TableOptions) -> Result<Source> {
    let [first, rest @ ..] = paths else {
        return Err(Error::usage(format!("table `{name}` has no path")));
    };
    let mut all = source(first, options)?;
    for path in rest {
        let next = source(path, options)?;
        if !(all.partitions.is_empty() && next.partitions.is_empty()) {
            let error = Error::usage(format!(
                "table `{name}` has several paths and one is hive-partitioned"
            ));
            return Err(error.hint("give a hive-partitioned folder alone"));
        }
        all.files.extend(next.files);
        all.folder = false;
    }
    all.name = name.to_owned();
    Ok(all)
}

/// A path as short as it can be written from here.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().and_then(fs::canonicalize).ok();
    let short = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    short.filter(|short| short.components().next().is_some()).unwrap_or(path).display().to_string()
}

/// `Sales/Orders.csv.gz` → `orders`: small letters, for SQL folds the names it is given.
pub(super) fn table_name(path: &Path) -> String {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().or(absolute.file_name()).unwrap_or(OsStr::new("data"));
    let name = name.to_string_lossy().to_lowercase();
    if files::is_dir(path) {
        return name;
    }
    let mut stem = name.as_str();
    if let Some((left, ending)) = stem.rsplit_once('.')
        && Compression::of_ending(ending).is_some()
        && !left.is_empty()
    {
        stem = left;
    }
    match stem.rsplit_once('.') {
        Some((left, _)) if !left.is_empty() => left.to_owned(),
        _ => stem.to_owned(),
    }
}

/// What the name of a file says about it; `None` when neither the name nor the options tell the format.
pub(super) fn data_file(path: &Path, options: &TableOptions) -> Option<DataFile> {
    let name = path.file_name()?.to_string_lossy();
    let mut parts = name.rsplit('.');
    let mut ending = parts.next()?;
    let packed = Compression::of_ending(ending);
    if packed.is_some() {
        ending = parts.next().unwrap_or_default();
    }
    let by_name = if name.contains('.') { Format::of_ending(ending) } else { None };
    let format = options.format.or(by_name)?;
    let compression = options.compression.or(packed).unwrap_or_default();
    Some(DataFile { path: path.to_owned(), format, compression })
}

/// Which files of a folder are meant when the format is said: those named for it, or all when none is.
fn wanted(files: &[PathBuf], options: &TableOptions) -> impl Fn(&Path) -> bool + use<> {
    let format = options.format;
    let by_name = |path: &Path| data_file(path, &TableOptions::default()).map(|file| file.format);
    let any = files.iter().any(|file| by_name(file).is_some());
    move |path| match format {
        Some(format) if any => by_name(path) == Some(format),
        _ => true,
    }
}

/// Whether the name of a file tells that it holds data.
pub(super) fn known(path: &Path) -> bool {
    data_file(path, &TableOptions::default()).is_some()
}

/// The table a folder makes; `None` when it holds no data.
fn folder(path: &Path, options: &TableOptions) -> Result<Option<Source>> {
    let mut files = vec![];
    let mut keys: Option<Vec<String>> = None;
    walk(path, options, &mut vec![], &mut |file, found| {
        match &keys {
            None => keys = Some(found.to_vec()),
            Some(keys) if keys == found => {}
            Some(keys) => {
                return Err(Error::usage(format!(
                    "the files of `{}` are not partitioned alike: `{}` lies under [{}], the files before it under [{}]",
                    shown(path),
                    shown(&file.path),
                    found.join(", "),
                    keys.join(", "),
                )));
            }
        }
        files.push(file);
        Ok(())
    })?;
    let partitions = keys.unwrap_or_default();
    let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
    let wanted = wanted(&paths, options);
    files.retain(|file| wanted(&file.path));
    let source =
        Source { name: table_name(path), origin: path.into(), files, partitions, folder: true };
    Ok((!source.files.is_empty()).then_some(source))
}

fn walk(
    path: &Path,
    options: &TableOptions,
    keys: &mut Vec<String>,
    visit: &mut dyn FnMut(DataFile, &[String]) -> Result<()>,
) -> Result<()> {
    for child in children(path)? {
        if files::is_dir(&child) {
            if let Some((key, _)) = partition(&child) {
                keys.push(key);
                walk(&child, options, keys, visit)?;
                keys.pop();
            }
        } else if let Some(file) = data_file(&child, options) {
            visit(file, keys)?;
        }
    }
    Ok(())
}

/// `month=07` → (`month`, `07`), `at=10%3A00` → (`at`, `10:00`).
pub(super) fn partition(path: &Path) -> Option<(String, String)> {
    let name = path.file_name()?.to_str()?;
    let (key, value) = name.split_once('=')?;
    let decoded = percent_decode_str(value).decode_utf8().unwrap_or(Cow::Borrowed(value));
    (!key.is_empty()).then(|| (key.to_owned(), decoded.into_owned()))
}

/// What lies in a folder, in the order of names, without what is hidden from us.
fn children(path: &Path) -> Result<Vec<PathBuf>> {
    let mut all = files::children(path)?;
    all.retain(|child| child.file_name().is_some_and(|name| !hidden(name)));
    Ok(all)
}

fn hidden(name: &OsStr) -> bool {
    matches!(name.as_encoded_bytes().first(), None | Some(b'.' | b'_'))
}

/// Whether a path is a folder; an error when there is nothing.
fn exists(path: &Path) -> Result<bool> {
    if files::is_remote(path) {
        return Ok(files::is_dir(path));
    }
    fs::metadata(path).map(|meta| meta.is_dir()).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => missing(path),
        _ => Error::usage(format!("`{}` cannot be read: {error}", shown(path))),
    })
}

/// The error for a path with nothing there: the nearest name in the deepest folder which is there.
pub(super) fn missing(path: &Path) -> Error {
    if files::is_remote(path) {
        return files::missing(path);
    }
    let error = Error::usage(format!("there is no file or folder `{}`", shown(path)));
    let mut wanted = path;
    while let (Some(parent), Some(name)) = (wanted.parent(), wanted.file_name()) {
        let folder = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        if let Ok(entries) = fs::read_dir(folder) {
            let names: Vec<_> = entries
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            let near = nearest(&name.to_string_lossy(), names.iter().map(String::as_str));
            return match near {
                Some(near) => error.hint(format!("did you mean `{}`", parent.join(near).display())),
                None => {
                    error.hint(format!("`{}` holds nothing with a name like it", shown(folder)))
                }
            };
        }
        wanted = parent;
    }
    error
}

fn no_data(path: &Path, strangers: &[PathBuf]) -> Error {
    let error = Error::usage(format!("there is no data file in `{}`", shown(path)));
    let endings = "files end in `.parquet`, `.csv`, `.tsv`, `.json`, `.ndjson` or `.arrow`; text may be packed as `.gz`, `.zst`, `.bz2` or `.xz`";
    match strangers {
        [] => error.hint(endings),
        [first, rest @ ..] => {
            let more =
                if rest.is_empty() { String::new() } else { format!(" and {} others", rest.len()) };
            error.note(format!("`{}`{more} passed over", shown(first))).hint(endings)
        }
    }
}

/// The files a pattern names; `**` stands for any number of folders.
fn expand(pattern: &Path, options: &TableOptions) -> Result<Vec<DataFile>> {
    let paths = matching(pattern)?;
    let files: Vec<_> = paths.iter().filter_map(|path| data_file(path, options)).collect();
    if files.is_empty() {
        return Err(Error::usage(format!("no data file fits `{}`", pattern.display())));
    }
    Ok(files)
}

/// Whether a path stands for all that it fits.
pub(super) fn is_pattern(path: &Path) -> bool {
    files::has_wildcard(path) && (files::is_remote(path) || !path.exists())
}

/// The files in a folder and below it, or the one file.
pub(super) fn below(path: &Path) -> Vec<PathBuf> {
    if !files::is_dir(path) {
        return vec![path.to_owned()];
    }
    children(path).unwrap_or_default().iter().flat_map(|child| below(child)).collect()
}

/// Whether a pattern fits a path of this machine.
pub(super) fn fits(pattern: &Path, path: &Path) -> bool {
    fn all(pattern: &[&OsStr], path: &[&OsStr]) -> bool {
        match (pattern.split_first(), path.split_first()) {
            (None, None) => true,
            (Some((part, rest)), _) if *part == "**" => {
                (0..=path.len()).any(|skip| all(rest, &path[skip..]))
            }
            (Some((part, pattern)), Some((name, path))) => {
                wild(part.as_encoded_bytes(), name.as_encoded_bytes()) && all(pattern, path)
            }
            _ => false,
        }
    }
    // The path has no links in it, and so the pattern must have none in front of its first wildcard.
    let fixed = pattern.ancestors().find(|folder| !files::has_wildcard(folder)).unwrap_or(pattern);
    let Ok(rest) = pattern.strip_prefix(fixed) else { return false };
    let real = match files::is_remote(fixed) {
        true => fixed.to_path_buf(),
        false => super::real_path(fixed),
    };
    let parts: Vec<&OsStr> = real.iter().chain(rest.iter()).collect();
    all(&parts, &path.iter().collect::<Vec<_>>())
}

/// The files that a pattern fits.
pub(super) fn matching(pattern: &Path) -> Result<Vec<PathBuf>> {
    // An address begins with its store, which is no folder.
    let text = pattern.to_string_lossy();
    let (root, rest) = match text.split_once("://").filter(|_| files::is_remote(pattern)) {
        Some((scheme, rest)) => {
            let (authority, rest) = rest.split_once('/').unwrap_or((rest, ""));
            (PathBuf::from(format!("{scheme}://{authority}/")), Path::new(rest).to_owned())
        }
        None => (PathBuf::new(), pattern.to_owned()),
    };
    let mut paths = vec![root];
    let parts: Vec<_> = rest.components().map(|part| part.as_os_str()).collect();
    for (i, part) in parts.iter().enumerate() {
        let text = part.to_string_lossy();
        let mut next = vec![];
        for path in paths {
            let folder = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
            let named = if files::is_remote(&path) && i + 1 < parts.len() {
                path.join(part).join("")
            } else {
                path.join(part)
            };
            if text == "**" {
                deeper(folder, &mut next);
            } else if text.contains(['*', '?']) {
                let found = children(folder).or_else(|e| match files::is_remote(folder) {
                    true => Err(e),
                    false => Ok(vec![]),
                })?;
                let fits = found.into_iter().filter(|child| {
                    let name = child.file_name().unwrap_or_default();
                    wild(text.as_bytes(), name.as_encoded_bytes())
                });
                // As it was written: a name below `.` has no `./` before it.
                next.extend(fits.map(|child| match files::is_remote(&child) {
                    true => child,
                    false => path.join(child.file_name().unwrap_or_default()),
                }));
            } else if files::exists(&named) {
                next.push(named);
            }
        }
        paths = next;
    }
    paths.retain(|path| files::is_file(path));
    Ok(paths)
}

fn deeper(folder: &Path, all: &mut Vec<PathBuf>) {
    all.push(folder.to_owned());
    for child in children(folder).unwrap_or_default() {
        if files::is_dir(&child) {
            deeper(&child, all);
        }
    }
}

fn wild(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|skip| wild(rest, &name[skip..])),
        (Some((b'?', rest)), Some((_, name))) => wild(rest, name),
        (Some((byte, rest)), Some((other, name))) => byte == other && wild(rest, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    fn names(path: &Path) -> Vec<(String, usize, Vec<String>)> {
        discover(path, &TableOptions::default())
            .unwrap()
            .into_iter()
            .map(|found| match found {
                Found::Table(s) | Found::Folder(s) => (s.name, s.files.len(), s.partitions),
            })
            .collect()
    }

    #[test]
    fn a_pattern_fits_a_file_that_is_not_there_yet() {
        for (pattern, fits_it) in [
            ("/none/*.csv", true),
            ("/none/?.csv", true),
            ("/none/*.parquet", false),
            ("/*/a.csv", true),
            ("/**/a.csv", true),
            ("/none/**/*.csv", true),
            ("/none/*/a.csv", false),
        ] {
            assert_eq!(fits(Path::new(pattern), Path::new("/none/a.csv")), fits_it, "{pattern}");
        }
    }

    #[test]
    fn a_folder_of_files_and_folders() {
        let shop = shop(&[
            "Orders.parquet",
            "customers.csv.gz",
            "notes.txt",
            "_tmp.csv",
            ".hidden.csv",
            "lines/a.parquet",
            "lines/b.parquet",
            "events/day=2024-01-01/hour=1/a.json",
            "events/day=2024-01-02/hour=1/a.json",
            "docs/readme.md",
        ]);
        let hive = vec!["day".to_owned(), "hour".to_owned()];
        let expected = [
            ("orders".to_owned(), 1, vec![]),
            ("customers".to_owned(), 1, vec![]),
            ("events".to_owned(), 2, hive.clone()),
            ("lines".to_owned(), 2, vec![]),
        ];
        let found = names(shop.path());
        assert_eq!(found.len(), expected.len());
        assert!(expected.iter().all(|table| found.contains(table)), "{found:?}");
        assert_eq!(names(&shop.path().join("events")), [("events".to_owned(), 2, hive)]);
    }

    #[test]
    fn nothing_there() {
        let shop = shop(&["orders.csv", "notes.txt", "docs/readme.md"]);
        let options = TableOptions::default();
        let error = discover(&shop.path().join("oders.csv"), &options).unwrap_err();
        assert!(error.message.contains("there is no file or folder"), "{error}");
        assert!(error.hints[0].ends_with("orders.csv`"), "{:?}", error.hints);
        let error = discover(&shop.path().join("docs"), &options).unwrap_err();
        assert!(error.message.contains("no data file"), "{error}");
        assert!(error.notes[0].contains("readme.md"), "{error:?}");
        let error = source(&shop.path().join("notes.txt"), &options).unwrap_err();
        assert!(error.message.contains("does not say what it holds"), "{error}");
        let error = source(&shop.path().join("*.json"), &options).unwrap_err();
        assert!(error.message.contains("no data file fits"), "{error}");
    }

    #[test]
    fn mixed_partitions() {
        let shop = shop(&["a=1/x.csv", "b=1/x.csv"]);
        let error = discover(shop.path(), &TableOptions::default()).unwrap_err();
        assert!(error.message.contains("not partitioned alike"), "{error}");
    }

    #[test]
    fn patterns() {
        let shop = shop(&["2023/a.csv", "2024/b.csv", "2024/c.parquet", "d.csv"]);
        let count = |pattern: &str| {
            source(&shop.path().join(pattern), &TableOptions::default()).unwrap().files.len()
        };
        assert_eq!(count("*/*.csv"), 2);
        assert_eq!(count("202?/?.csv"), 2);
        assert_eq!(count("**/*.csv"), 3);
    }
}
