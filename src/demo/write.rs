// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Files that are either whole or not there: every table is written beside its place under a hidden name, synced, and
//! moved into place when all of them are done.

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::csv;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::schema::types::ColumnPath;

use super::Format;
use super::schema::Spec;
use super::sheet::Sheet;
use crate::error::{Error, Result};

const ROW_GROUP: usize = 128 * 1024;

/// The files of one run. Dropped before [`Staging::commit`], it takes the unfinished ones away.
pub(super) struct Staging<'a> {
    dir: &'a Path,
    format: Format,
    specs: Vec<Spec>,
}

impl<'a> Staging<'a> {
    /// Makes the folders, and refuses a folder that holds tables of somebody else under our names: the demo may replace
    /// a demo, never a shop. `truth/shop` tells the two apart.
    pub(super) fn new(dir: &'a Path, format: Format, specs: Vec<Spec>) -> Result<Self> {
        let staging = Self { dir, format, specs };
        if !staging.place("truth/shop").exists()
            && let Some(spec) = staging.specs.iter().find(|s| staging.place(s.name).exists())
        {
            let file = staging.place(spec.name);
            return Err(Error::usage(format!(
                "`{}` exists and was not written by a demo",
                file.display()
            ))
            .hint("choose another folder with `--dir`"));
        }
        let other = match format {
            Format::Parquet => Format::Csv,
            Format::Csv => Format::Parquet,
        };
        // Two files of one name in a folder would be two sources of one table.
        if dir.join(format!("truth/shop.{}", other.extension())).exists() {
            return Err(Error::usage(format!(
                "`{}` holds a demo shop in {}",
                dir.display(),
                other.extension()
            ))
            .hint("choose another folder with `--dir`, or remove that one"));
        }
        fs::create_dir_all(dir.join("truth"))
            .map_err(|e| Error::from(e).context(format!("creating `{}`", dir.display())))?;
        Ok(staging)
    }

    /// Begins the table of that name.
    pub(super) fn sheet(&self, name: &str) -> Result<Sheet> {
        let spec = self.specs.iter().find(|s| s.name == name);
        let spec =
            spec.ok_or_else(|| Error::usage(format!("demo table `{name}` is not in schema.sql")))?;
        let path = self.aside(name);
        let file = File::create(&path)
            .map_err(|e| Error::from(e).context(format!("creating `{}`", path.display())))?;
        Ok(Sheet::new(spec, Sink::new(file, self.format, spec)?))
    }

    /// Where a table belongs in the order of the schema.
    pub(super) fn position(&self, name: &str) -> usize {
        self.specs.iter().position(|s| s.name == name).unwrap_or(usize::MAX)
    }

    /// Moves every file into place. `truth/shop` goes first, so that a run cut off in the middle of the moves is still
    /// known as a demo by the next one.
    pub(super) fn commit(self) -> Result<()> {
        let mut names: Vec<_> = self.specs.iter().map(|s| s.name).collect();
        names.sort_by_key(|&name| name != "truth/shop");
        for name in names {
            fs::rename(self.aside(name), self.place(name))?;
        }
        for folder in [self.dir.join("truth"), self.dir.to_path_buf()] {
            sync_folder(&folder)?;
        }
        Ok(())
    }

    fn place(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.{}", self.format.extension()))
    }

    fn aside(&self, name: &str) -> PathBuf {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        self.dir.join(folder).join(format!(".{file}.{}.tmp", self.format.extension()))
    }
}

impl Drop for Staging<'_> {
    /// Nothing to remove after a commit; what cannot be removed before one is a hidden file that the next run replaces.
    fn drop(&mut self) {
        for spec in &self.specs {
            let _ = fs::remove_file(self.aside(spec.name));
        }
    }
}

/// A rename is lasting once its folder is synced; not every file system lets a folder be opened for that.
fn sync_folder(folder: &Path) -> Result<()> {
    match File::open(folder).and_then(|f| f.sync_all()) {
        Err(e) if !matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => {
            Err(e.into())
        }
        _ => Ok(()),
    }
}

/// Rows in, bytes out.
pub(super) enum Sink {
    Parquet(Box<ArrowWriter<BufWriter<File>>>),
    Csv(Box<csv::Writer<BufWriter<File>>>),
}

impl Sink {
    fn new(file: File, format: Format, spec: &Spec) -> Result<Self> {
        let out = BufWriter::with_capacity(1 << 18, file);
        Ok(match format {
            Format::Parquet => {
                let schema = std::sync::Arc::clone(&spec.schema);
                Sink::Parquet(Box::new(ArrowWriter::try_new(out, schema, Some(properties(spec)))?))
            }
            Format::Csv => {
                let writer = csv::WriterBuilder::new()
                    .with_header(true)
                    .with_timestamp_format("%Y-%m-%dT%H:%M:%S".to_owned());
                Sink::Csv(Box::new(writer.build(out)))
            }
        })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Sink::Parquet(writer) => writer.write(batch)?,
            Sink::Csv(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    pub(super) fn close(self) -> Result<()> {
        let out = match self {
            Sink::Parquet(writer) => writer.into_inner()?,
            Sink::Csv(writer) => writer.into_inner(),
        };
        let file = out.into_inner().map_err(|e| Error::from(e.into_error()))?;
        file.sync_all()?;
        Ok(())
    }
}

/// Nothing that depends on the hour, the machine or the library's version may enter the file.
fn properties(spec: &Spec) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by("comptoir demo".to_owned())
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP));
    for field in spec.schema.fields() {
        // Such values hardly repeat: a dictionary would be built, filled and thrown away in every row group.
        let unique = [
            "order_id",
            "order_line_id",
            "touchpoint_id",
            "session_id",
            "user_pseudo_id",
            "email",
            "phone",
        ];
        if unique.iter().any(|u| field.name().ends_with(u)) || field.name().ends_with("click_id") {
            properties = properties
                .set_column_dictionary_enabled(ColumnPath::from(field.name().as_str()), false);
        }
    }
    properties.build()
}
