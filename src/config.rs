// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What was typed (`comptoir.toml` and flags) → what it means. Flags win over the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::catalog::TableOptions;
use crate::error::{Error, Result};

/// The file that is read from the working folder when none is named.
pub const FILE: &str = "comptoir.toml";

/// Everything that an [`crate::Engine`] is opened with.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Files and folders whose tables are loaded.
    pub data: Vec<String>,
    /// Tables declared by name.
    pub tables: BTreeMap<String, Table>,
    /// Folders of analyses beside our own.
    pub library: Vec<PathBuf>,
    /// How many bytes queries may hold in memory before they spill; `None` is four fifths of the machine's.
    pub memory_limit: Option<usize>,
    /// How many threads and partitions; `None` is one a core.
    pub threads: Option<usize>,
    /// Rows a batch; `None` is DataFusion's choice.
    pub batch_size: Option<usize>,
    /// Refuse every statement that changes something.
    pub read_only: bool,
    /// What `now()` and `today()` say, in nanoseconds since 1970, UTC; `None` is the clock's time.
    pub as_of: Option<i64>,
    /// Queries published as views, by name or `schema.name`: `[views]`.
    pub views: BTreeMap<String, String>,
    /// `[serve]`, `[users]` and `[tokens]`, for the server to read.
    pub server: toml::Table,
    /// The file that all this was read from.
    pub file: Option<PathBuf>,
    /// The folder that relative paths of the file start at.
    pub folder: PathBuf,
    /// The privacy policy; without one everything is open.
    pub privacy: Option<Privacy>,
    /// The role of the policy in which this process asks.
    pub role: Option<String>,
}

/// Where the privacy policy stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Privacy {
    /// In a file of its own: `privacy = "policy.toml"`.
    File(PathBuf),
    /// Here: `[privacy]`.
    Here {
        /// What stands there.
        table: toml::Table,
        /// The folder at which its relative paths start.
        folder: PathBuf,
    },
}

/// A table of the file: `[tables.orders]`.
#[derive(Clone, Debug)]
pub struct Table {
    /// One or more paths, folders or patterns.
    pub paths: Vec<String>,
    /// How to read them.
    pub options: TableOptions,
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    data: Vec<String>,
    #[serde(default)]
    library: Vec<PathBuf>,
    memory_limit: Option<String>,
    threads: Option<usize>,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    tables: BTreeMap<String, WrittenTable>,
    #[serde(default)]
    views: BTreeMap<String, String>,
    #[serde(default)]
    serve: toml::Table,
    #[serde(default)]
    users: toml::Table,
    #[serde(default)]
    tokens: toml::Table,
    privacy: Option<WrittenPrivacy>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum WrittenPrivacy {
    File(PathBuf),
    Here(toml::Table),
}

#[derive(Debug, Deserialize)]
struct WrittenTable {
    path: OneOrMany,
    #[serde(flatten)]
    options: toml::Table,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Config {
    /// Reads a named file, or `comptoir.toml` of the working folder if it is there.
    pub fn load(named: Option<&Path>) -> Result<Self> {
        let path = match named {
            Some(path) => path,
            None if Path::new(FILE).is_file() => Path::new(FILE),
            None => return Ok(Self::default()),
        };
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::usage(format!("cannot read the configuration `{}`: {e}", path.display()))
        })?;
        let read = Self::parse(&text, path.parent().unwrap_or(Path::new("")))
            .map_err(|e| e.context(format_args!("`{}`", path.display())))?;
        Ok(Self { file: Some(path.to_path_buf()), ..read })
    }

    /// Reads a text whose relative paths start at a folder.
    pub fn parse(text: &str, folder: &Path) -> Result<Self> {
        let wrong = |e: toml::de::Error| Error::usage(e.to_string().trim().to_string());
        let written: Written = toml::from_str(text).map_err(wrong)?;
        let within = |path: &str| -> String {
            if Path::new(path).is_absolute()
                || path.contains("://")
                || folder.as_os_str().is_empty()
            {
                path.to_string()
            } else {
                folder.join(path).to_string_lossy().into_owned()
            }
        };
        let tables = written
            .tables
            .into_iter()
            .map(|(name, table)| {
                let paths = match table.path {
                    OneOrMany::One(path) => vec![within(&path)],
                    OneOrMany::Many(paths) => paths.iter().map(|p| within(p)).collect(),
                };
                let options = table.options.try_into().map_err(|e: toml::de::Error| {
                    wrong(e).context(format_args!("[tables.{name}]"))
                })?;
                Ok((name, Table { paths, options }))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            data: written.data.iter().map(|p| within(p)).collect(),
            tables,
            library: written.library.iter().map(|p| folder.join(p)).collect(),
            memory_limit: written.memory_limit.as_deref().map(parse_bytes).transpose()?,
            threads: written.threads.map(at_least_one).transpose()?,
            batch_size: None,
            read_only: written.read_only,
            as_of: None,
            views: written.views,
            server: [
                ("serve", written.serve),
                ("users", written.users),
                ("tokens", written.tokens),
            ]
            .into_iter()
            .map(|(name, table)| (name.to_string(), toml::Value::Table(table)))
            .collect(),
            file: None,
            folder: folder.to_path_buf(),
            privacy: written.privacy.map(|privacy| match privacy {
                WrittenPrivacy::File(path) => Privacy::File(folder.join(path)),
                WrittenPrivacy::Here(table) => {
                    Privacy::Here { table, folder: folder.to_path_buf() }
                }
            }),
            role: None,
        })
    }
}

impl Config {
    /// The file itself, and the files and folders that it names besides tables: analyses, and what a server goes by.
    pub fn own_files(&self) -> Vec<PathBuf> {
        let mut files = self.library.clone();
        files.extend(self.file.clone());
        let section = |name: &str| self.server.get("serve")?.as_table()?.get(name);
        for (table, key) in
            [("tls", "certificate"), ("tls", "key"), ("tls", "client_ca"), ("jwt", "key")]
        {
            let file = section(table).and_then(|table| table.get(key)?.as_str());
            files.extend(file.map(|file| self.folder.join(file)));
        }
        let log = section("access_log").and_then(toml::Value::as_str);
        files.extend(log.map(|file| self.folder.join(file)));
        files
    }

    /// All that decides what the names in a statement mean, as one text; not how fast it runs, and not what time it is.
    pub fn identity(&self) -> Result<String> {
        let fast = Self {
            memory_limit: None,
            threads: None,
            batch_size: None,
            as_of: None,
            file: None,
            ..self.clone()
        };
        let mut text = format!("{}\n{fast:?}", std::env::current_dir()?.display());
        let mut folders = self.library.clone();
        while let Some(folder) = folders.pop() {
            let mut entries: Vec<PathBuf> =
                std::fs::read_dir(&folder)?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
            entries.sort();
            for path in entries {
                match path.is_dir() {
                    true => folders.push(path),
                    false if path.extension().is_some_and(|e| e == "sql") => {
                        text.push_str(&std::fs::read_to_string(path)?);
                    }
                    false => {}
                }
            }
        }
        Ok(text)
    }
}

/// `0` threads would never run anything.
pub fn at_least_one(threads: usize) -> Result<usize> {
    if threads == 0 { Err(Error::usage("`threads` is at least 1; found 0")) } else { Ok(threads) }
}

/// `2026-11-21`, `2026-11-21 06:00`, `2026-11-21T06:00:00+01:00`: a moment; UTC where no offset is given.
pub fn parse_moment(text: &str) -> Result<i64> {
    let text = text.trim();
    let naive =
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
            .iter()
            .find_map(|format| {
                chrono::NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), format).ok()
            });
    let day = || chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let zoned = || chrono::DateTime::parse_from_rfc3339(text).ok().map(|t| t.naive_utc());
    zoned().or(naive).or_else(day).and_then(|t| t.and_utc().timestamp_nanos_opt()).ok_or_else(
        || {
            Error::usage(format!("`{text}` is not a moment"))
                .hint("write `2026-11-21`, `2026-11-21 06:00` or `2026-11-21T06:00:00+01:00`")
        },
    )
}

/// `500MB`, `2GB`, `1.5 GiB`, `1000000`: powers of a thousand, or of 1,024 with an `i`.
pub fn parse_bytes(text: &str) -> Result<usize> {
    let wrong = || {
        Error::usage(format!("`{text}` is not a size"))
            .hint("write something like `500MB`, `2GB` or `1.5GiB`")
    };
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let bytes = number * unit;
    if !(1.0..=1e15).contains(&bytes) {
        return Err(wrong());
    }
    Ok(bytes as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in
            [("2GB", 2_000_000_000), ("1.5 GiB", 1_610_612_736), ("512", 512), ("64kb", 64_000)]
        {
            assert_eq!(parse_bytes(text).expect(text), bytes);
        }
        for text in ["", "GB", "-1GB", "2 apples", "0", "1e99GB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_read_in_utc() {
        for (text, seconds) in [
            ("1970-01-02", 86_400),
            ("1970-01-01 01:00", 3_600),
            ("1970-01-01T00:00:01Z", 1),
            ("1970-01-01T02:00:00+01:00", 3_600),
        ] {
            assert_eq!(parse_moment(text).expect(text), seconds * 1_000_000_000, "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "2026-11-21 25:00", "9999-01-01"] {
            assert!(parse_moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_is_read_and_its_paths_start_at_its_folder() {
        let text = "memory_limit = \"1GB\"\nthreads = 2\ndata = [\"shop\"]\n[tables.sales]\npath = \"s/*.csv\"\ndelimiter = \";\"\n";
        let config = Config::parse(text, Path::new("/etc/shop")).expect("parses");
        assert_eq!((config.memory_limit, config.threads), (Some(1_000_000_000), Some(2)));
        assert_eq!(config.data, ["/etc/shop/shop"]);
        assert_eq!(config.tables["sales"].paths, ["/etc/shop/s/*.csv"]);
        assert_eq!(config.tables["sales"].options.delimiter.as_deref(), Some(";"));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = Config::parse("thread = 2", Path::new("")).expect_err("unknown");
        assert!(error.message.contains("thread"), "{error}");
        let error = Config::parse("[tables.a]\npath = \"x\"\ndelimeter = \";\"", Path::new(""))
            .expect_err("unknown");
        assert!(
            error.message.contains("delimeter") && error.message.contains("tables.a"),
            "{error}"
        );
        assert!(Config::parse("threads = 0", Path::new("")).is_err());
    }
}
