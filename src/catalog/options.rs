// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a user may say about the files of one table.
//!
//! The same keys stand in `comptoir.toml`, in `CREATE EXTERNAL TABLE … OPTIONS (…)` and behind the question mark of a
//! path (`orders.csv?delimiter=;`), so there is one list of them, [`KEYS`], and one place that reads them.

use std::fmt;

use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::nearest;
use crate::error::{Error, Result};

/// What a user may say about the files of one table; whatever is left out is found out from the files.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableOptions {
    /// The format, where the file's name does not say it.
    pub format: Option<Format>,
    /// The compression, where the file's name does not say it.
    pub compression: Option<Compression>,
    /// Whether the first line of a CSV file names the columns; it does unless said otherwise.
    pub header: Option<bool>,
    /// One character, `tab`, or `whitespace`: runs of blanks count as one, and leading blanks as none.
    pub delimiter: Option<String>,
    /// The character around text which may hold delimiters, or `none`.
    pub quote: Option<String>,
    /// The character which takes the meaning from the quote that follows it; a doubled quote always works.
    pub escape: Option<String>,
    /// The character which makes a line a comment when it comes first.
    pub comment: Option<String>,
    /// Texts which mean NULL, besides the empty field.
    pub null: Option<Words>,
    /// Whether blanks around a value are cut off.
    pub trim: Option<bool>,
    /// Whether numbers are written `1.234,56`.
    pub decimal_comma: Option<bool>,
    /// The character encoding, by any name the web knows it by, such as `windows-1252`.
    pub encoding: Option<String>,
    /// Whether a line may have fewer fields than there are columns; the missing ones are NULL.
    pub ragged: Option<bool>,
    /// Names and SQL types of columns whose type is not to be guessed; all of them, in order, without a header.
    pub columns: Option<Columns>,
    /// How dates are written, such as `%d.%m.%Y`.
    pub date_format: Option<String>,
    /// How timestamps are written, such as `%d.%m.%Y %H:%M`.
    pub timestamp_format: Option<String>,
}

/// Every key a user may write, with the other names it goes by; the first is ours, the others are DataFusion's.
const KEYS: &[&[&str]] = &[
    &["columns"],
    &["comment"],
    &["compression"],
    &["date_format"],
    &["decimal_comma"],
    &["delimiter", "sep"],
    &["encoding"],
    &["escape"],
    &["format"],
    &["header", "has_header"],
    &["null", "null_value"],
    &["quote"],
    &["ragged", "truncated_rows"],
    &["timestamp_format"],
    &["trim"],
];

impl TableOptions {
    /// Sets one option from text; `false` when there is no option of this name.
    pub fn set(&mut self, key: &str, value: &str) -> Result<bool> {
        let Some(names) = KEYS.iter().find(|names| names.contains(&key)) else {
            return Ok(false);
        };
        let text = || Some(value.to_owned());
        match names[0] {
            "columns" => self.columns = Some(Columns::parse(value).map_err(Error::usage)?),
            "comment" => self.comment = text(),
            "compression" => self.compression = Some(Compression::parse(value)?),
            "date_format" => self.date_format = text(),
            "decimal_comma" => self.decimal_comma = Some(switch(key, value)?),
            "delimiter" => self.delimiter = text(),
            "encoding" => self.encoding = text(),
            "escape" => self.escape = text(),
            "format" => self.format = Some(Format::parse(value)?),
            "header" => self.header = Some(switch(key, value)?),
            "null" => self.null = Some(Words(vec![value.to_owned()])),
            "quote" => self.quote = text(),
            "ragged" => self.ragged = Some(switch(key, value)?),
            "timestamp_format" => self.timestamp_format = text(),
            _ => self.trim = Some(switch(key, value)?),
        }
        Ok(true)
    }

    /// Takes the options behind the question mark of a path: `orders.csv?delimiter=;&header=false`.
    pub fn set_query(&mut self, query: &str) -> Result<()> {
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !self.set(&key, &value)? {
                return Err(unknown(&key));
            }
        }
        Ok(())
    }

    /// The first option given which only means something for CSV files.
    pub(super) fn csv_only(&self) -> Option<&'static str> {
        [
            ("header", self.header.is_some()),
            ("delimiter", self.delimiter.is_some()),
            ("quote", self.quote.is_some()),
            ("escape", self.escape.is_some()),
            ("comment", self.comment.is_some()),
            ("null", self.null.is_some()),
            ("trim", self.trim.is_some()),
            ("decimal_comma", self.decimal_comma.is_some()),
            ("encoding", self.encoding.is_some()),
            ("ragged", self.ragged.is_some()),
            ("date_format", self.date_format.is_some()),
            ("timestamp_format", self.timestamp_format.is_some()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }
}

/// The error for an option nobody knows, with the nearest one that exists.
pub(super) fn unknown(key: &str) -> Error {
    let error = Error::usage(format!("there is no table option `{key}`"));
    match nearest(key, KEYS.iter().flat_map(|names| names.iter().copied())) {
        Some(name) => error.hint(format!("did you mean `{name}`")),
        None => {
            let names: Vec<_> = KEYS.iter().map(|names| format!("`{}`", names[0])).collect();
            error.hint(format!("the options are {}", names.join(", ")))
        }
    }
}

fn switch(key: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(Error::usage(format!("`{key}` is `true` or `false`, not `{value}`"))),
    }
}

/// The formats we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Text with one record a line and a delimiter between its fields.
    Csv,
    /// One JSON object a line.
    Json,
    /// Arrow IPC, file or stream.
    Arrow,
}

impl Format {
    /// Every file name ending we know.
    const ENDINGS: [(&str, Format); 13] = [
        ("parquet", Format::Parquet),
        ("pq", Format::Parquet),
        ("parq", Format::Parquet),
        ("csv", Format::Csv),
        ("tsv", Format::Csv),
        ("tab", Format::Csv),
        ("json", Format::Json),
        ("ndjson", Format::Json),
        ("jsonl", Format::Json),
        ("arrow", Format::Arrow),
        ("arrows", Format::Arrow),
        ("ipc", Format::Arrow),
        ("feather", Format::Arrow),
    ];

    /// The format of a name such as `csv` or `ndjson`, in small or capital letters.
    pub fn parse(name: &str) -> Result<Self> {
        Self::of_ending(name).ok_or_else(|| {
            let error = Error::usage(format!("there is no format `{name}`"));
            error.hint("the formats are `parquet`, `csv`, `json` (one object a line) and `arrow`")
        })
    }

    pub(super) fn of_ending(ending: &str) -> Option<Self> {
        let ending = ending.to_ascii_lowercase();
        Self::ENDINGS.iter().find(|(name, _)| *name == ending).map(|(_, format)| *format)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Parquet => "Parquet",
            Format::Csv => "CSV",
            Format::Json => "JSON",
            Format::Arrow => "Arrow IPC",
        }
    }
}

impl TryFrom<String> for Format {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::parse(&name)
    }
}

/// How a text file is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gz,
    /// Zstandard.
    Zst,
    /// bzip2.
    Bz2,
    /// xz.
    Xz,
}

impl Compression {
    /// The compression of a name such as `gz` or `zstd`, in small or capital letters.
    pub fn parse(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "none" | "uncompressed" => Ok(Compression::None),
            ending => Self::of_ending(ending).ok_or_else(|| {
                let error = Error::usage(format!("there is no compression `{name}`"));
                error.hint("the compressions are `none`, `gz`, `zst`, `bz2` and `xz`")
            }),
        }
    }

    pub(super) fn of_ending(ending: &str) -> Option<Self> {
        match ending.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => Some(Compression::Gz),
            "zst" | "zstd" => Some(Compression::Zst),
            "bz2" | "bzip2" => Some(Compression::Bz2),
            "xz" => Some(Compression::Xz),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gz => "gz",
            Compression::Zst => "zst",
            Compression::Bz2 => "bz2",
            Compression::Xz => "xz",
        }
    }

    pub(super) fn engine(self) -> FileCompressionType {
        match self {
            Compression::None => FileCompressionType::UNCOMPRESSED,
            Compression::Gz => FileCompressionType::GZIP,
            Compression::Zst => FileCompressionType::ZSTD,
            Compression::Bz2 => FileCompressionType::BZIP2,
            Compression::Xz => FileCompressionType::XZ,
        }
    }
}

impl TryFrom<String> for Compression {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::parse(&name)
    }
}

/// One text or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor).map(Words)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut words = vec![];
        while let Some(word) = seq.next_element()? {
            words.push(word);
        }
        Ok(words)
    }
}

/// Column names with SQL types, in the order they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns(pub Vec<(String, String)>);

impl Columns {
    /// Reads `order_id VARCHAR, "unit price" DECIMAL(10, 2)`, the way columns are written in CREATE TABLE.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut depth = 0;
        let mut quoted = false;
        let parts = text.split(|c| {
            match c {
                '"' => quoted = !quoted,
                '(' | '<' if !quoted => depth += 1,
                ')' | '>' if !quoted => depth -= 1,
                _ => {}
            }
            c == ',' && depth == 0 && !quoted
        });
        parts.map(column).collect::<Result<_, _>>().map(Columns)
    }
}

fn column(text: &str) -> Result<(String, String), String> {
    let text = text.trim();
    let (name, kind) = match text.strip_prefix('"') {
        Some(rest) => rest.split_once('"').unwrap_or((rest, "")),
        None => text.split_once(char::is_whitespace).unwrap_or((text, "")),
    };
    let kind = kind.trim();
    if name.is_empty() || kind.is_empty() {
        return Err(format!("`columns` wants `name TYPE, …`, found `{text}`"));
    }
    Ok((name.to_owned(), kind.to_owned()))
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ColumnsVisitor)
    }
}

struct ColumnsVisitor;

impl<'de> Visitor<'de> for ColumnsVisitor {
    type Value = Columns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a table of names and SQL types, or a list such as [\"id BIGINT\", \"name VARCHAR\"]",
        )
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Columns, E> {
        Columns::parse(text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Columns, A::Error> {
        let mut columns = vec![];
        while let Some(text) = seq.next_element::<String>()? {
            columns.push(column(&text).map_err(serde::de::Error::custom)?);
        }
        Ok(Columns(columns))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
        let mut columns = vec![];
        while let Some(entry) = map.next_entry()? {
            columns.push(entry);
        }
        Ok(Columns(columns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_and_query_say_the_same() {
        let toml: TableOptions = toml::from_str(
            "format = 'csv'\ndelimiter = ';'\nnull = 'NA'\ndecimal_comma = true\ncolumns = ['id VARCHAR', 'price DECIMAL(10, 2)']",
        )
        .unwrap();
        let mut query = TableOptions::default();
        query
            .set_query("format=CSV&delimiter=%3B&null=NA&decimal_comma=yes&columns=id VARCHAR, price DECIMAL(10, 2)")
            .unwrap();
        assert_eq!(toml, query);
        let table: TableOptions =
            toml::from_str("null = ['NA', '-']\ncolumns = { id = 'VARCHAR' }").unwrap();
        assert_eq!(table.null, Some(Words(vec!["NA".into(), "-".into()])));
        assert_eq!(table.columns, Some(Columns(vec![("id".into(), "VARCHAR".into())])));
    }

    #[test]
    fn mistakes_name_the_nearest() {
        let error = TableOptions::default().set_query("delimeter=;").unwrap_err();
        assert_eq!(error.message, "there is no table option `delimeter`");
        assert_eq!(error.hints, ["did you mean `delimiter`"]);
        assert!(toml::from_str::<TableOptions>("delimeter = ';'").is_err());
        assert!(TableOptions::default().set("header", "perhaps").is_err());
        assert!(TableOptions::default().set("columns", "id").is_err());
        assert!(Format::parse("xlsx").is_err());
        assert!(Compression::parse("rar").is_err());
    }

    #[test]
    fn every_key_can_be_set() {
        for names in KEYS {
            for name in *names {
                let value = match names[0] {
                    "columns" => "a INT",
                    "compression" => "gz",
                    "format" => "csv",
                    _ => "true",
                };
                assert!(TableOptions::default().set(name, value).unwrap(), "{name}");
            }
        }
    }
}
