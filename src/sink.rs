// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Result rows → bytes: one list of formats, each a file of its own that takes batches and writes to anything.

use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::error::{Error, Result};

mod csv;
mod html;
mod json;
mod lock;
mod markdown;
mod outputs;
mod parquet;
mod remote;
mod staged;
mod staging_store;
mod table;

pub use html::{Page, Section, title_of};
pub use lock::Lock;
pub(crate) use outputs::may_replace;
pub use outputs::{Output, Outputs, Published, publish};
pub use remote::{Folder, Object, aborted};
pub(crate) use remote::{Target, may_replace as may_replace_objects};
pub use staged::StagedFile;
pub use staging_store::StagingStore;

/// Where a format puts its bytes.
pub type Out = Box<dyn Write + Send>;

/// A format at work: batches in, bytes out.
pub trait Sink: Send {
    /// Writes a batch.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Writes what stands at the end and gives the output back.
    fn finish(self: Box<Self>) -> Result<Out>;
}

/// A format.
#[derive(Debug)]
pub struct Format {
    /// Its name, as in `--format`.
    pub name: &'static str,
    /// What a file of it ends in.
    pub extension: &'static str,
    /// False for text, which a terminal can show.
    pub binary: bool,
    open: fn(Out, &SchemaRef) -> Result<Box<dyn Sink>>,
}

/// Every format, in the order of the help text.
pub const FORMATS: &[Format] = &[
    Format { name: "table", extension: "txt", binary: false, open: table::open },
    Format { name: "csv", extension: "csv", binary: false, open: csv::open },
    Format { name: "json", extension: "json", binary: false, open: json::open_array },
    Format { name: "jsonl", extension: "jsonl", binary: false, open: json::open_lines },
    Format { name: "markdown", extension: "md", binary: false, open: markdown::open },
    Format { name: "html", extension: "html", binary: false, open: html::open },
    Format { name: "parquet", extension: "parquet", binary: true, open: parquet::open },
    Format { name: "arrow", extension: "arrow", binary: true, open: parquet::open_arrow },
];

impl Format {
    /// The format of that name.
    pub fn named(name: &str) -> Result<&'static Format> {
        FORMATS.iter().find(|f| f.name == name).ok_or_else(|| {
            let names: Vec<&str> = FORMATS.iter().map(|f| f.name).collect();
            Error::usage(format!("there is no format `{name}`"))
                .hint(format!("the formats are {}", names.join(", ")))
        })
    }

    /// The format that a file's name asks for.
    pub fn of_file(path: &std::path::Path) -> Option<&'static Format> {
        let extension = path.extension()?.to_str()?;
        FORMATS.iter().find(|f| f.extension == extension)
    }

    /// Opens the format over an output.
    pub fn open(&self, out: Out, schema: &SchemaRef) -> Result<Box<dyn Sink>> {
        (self.open)(out, schema)
    }
}

/// Teaches a session the formats that `COPY` can write and the engine does not know.
pub(crate) fn install(ctx: &datafusion::prelude::SessionContext) -> Result<()> {
    html::install(ctx)
}

/// The schema without qualifiers and metadata, which files should not carry.
pub(crate) fn bare(schema: &SchemaRef) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().clone()))
}
