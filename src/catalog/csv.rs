// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! CSV options as they were typed → what they mean, and a file → its columns.
//!
//! Types are guessed from the whole file up to 64 MiB of text, and from at least 100,000 rows beyond that: DataFusion's
//! own guess rests on 1,000 rows, and a shop's first cancelled invoice (`C536379`) may well be the 1,001st.

use std::io::ErrorKind;
use std::path::Path;

use arrow::datatypes::{DataType, Field, Schema};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::discover::{DataFile, shown};
use super::kind::{Guess, Kinds, Reading};
use super::nearest;
use super::options::{Compression, TableOptions};
use super::scan::{Dialect, Record, Scanner};
use super::transcode::{Form, Malformed};
use crate::error::{Error, Result};

/// What the options mean for the CSV files of one table.
#[derive(Clone, Debug)]
pub(super) struct Csv {
    pub(super) dialect: Dialect,
    pub(super) form: Form,
    pub(super) reading: Reading,
    pub(super) declared: Declared,
}

/// Columns whose type the user said.
#[derive(Clone, Debug, Default)]
pub(super) struct Declared {
    pub(super) columns: Vec<(String, DataType)>,
    /// The columns stand for the file's by position, whatever its header calls them, as in CREATE EXTERNAL TABLE.
    pub(super) by_position: bool,
}

/// The columns of one file.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    pub(super) schema: Schema,
    /// Columns that hold dates or timestamps in the format the user named.
    pub(super) by_format: Vec<String>,
    /// Whether a value holds a line break, so that the file cannot be cut at line breaks and read in parallel.
    pub(super) multiline: bool,
}

impl Csv {
    /// Reads the options; `first` is a file of the table, whose name and first bytes say what the options do not.
    pub(super) fn new(
        options: &TableOptions,
        first: &DataFile,
        declared: Declared,
    ) -> Result<Self> {
        let mut dialect = Dialect {
            header: options.header.unwrap_or(true),
            escape: options.escape.as_deref().map(|text| byte("escape", text)).transpose()?,
            comment: options.comment.as_deref().map(|text| byte("comment", text)).transpose()?,
            ragged: options.ragged.unwrap_or(false),
            ..Dialect::default()
        };
        let mut blanks = false;
        let name = first.path.to_string_lossy().to_lowercase();
        let tabs = name.contains(".tsv") || name.contains(".tab");
        match options.delimiter.as_deref() {
            None if tabs => dialect.delimiter = b'\t',
            None => {}
            Some("whitespace") => (blanks, dialect.delimiter) = (true, b'\t'),
            Some("tab" | "\\t") => dialect.delimiter = b'\t',
            Some(text) => dialect.delimiter = byte("delimiter", text)?,
        }
        match options.quote.as_deref() {
            None => {}
            // The engine has no switch for quotes; a byte that no text holds does the same.
            Some("none" | "") => dialect.quote = 1,
            Some(text) => dialect.quote = byte("quote", text)?,
        }
        let mut form = Form { compression: first.compression, encoding: UTF_8, blanks };
        form.encoding = match options.encoding.as_deref() {
            Some(label) => encoding(label)?,
            None => sniff_encoding(&first.path, first.compression)?,
        };
        let mut reading = Reading {
            nulls: options.null.clone().unwrap_or_default().0,
            trim: options.trim.unwrap_or(false),
            decimal_comma: options.decimal_comma.unwrap_or(false),
            date_format: options.date_format.clone(),
            timestamp_format: options.timestamp_format.clone(),
        };
        reading.nulls.retain(|null| !null.is_empty());
        if reading.decimal_comma && dialect.delimiter == b',' {
            let error = Error::usage("`decimal_comma` and the delimiter `,` contradict each other");
            return Err(error.hint("such files are mostly delimited by semicolons: `delimiter=;`"));
        }
        Ok(Self { dialect, form, reading, declared })
    }

    /// Reads a file as far as it takes to know its columns.
    pub(super) fn survey(&self, path: &Path) -> Result<Survey> {
        let mut scanner = Scanner::new(self.form.open(path)?, &self.dialect);
        let mut record = Record::default();
        let mut names: Vec<String> = vec![];
        let mut kinds: Vec<Kinds> = vec![];
        let mut first: Option<u64> = None;
        let mut multiline = false;
        let mut rows = 0_u64;
        let mut whole = true;
        loop {
            let more = scanner.next(&mut record).map_err(|error| self.broken(path, &error))?;
            if !more {
                break;
            }
            multiline |= record.multiline;
            let is_header = first.is_none() && self.dialect.header;
            if first.is_none() {
                first = Some(record.line);
                kinds.resize(record.len(), Kinds::default());
            }
            if record.len() != kinds.len() {
                if !self.dialect.ragged {
                    return Err(ragged(
                        path,
                        record.line,
                        kinds.len(),
                        record.len(),
                        self.dialect.header,
                    ));
                }
                if record.len() > kinds.len() && !self.dialect.header {
                    kinds.resize(record.len(), Kinds::default());
                } else if record.len() > kinds.len() {
                    return Err(ragged(path, record.line, kinds.len(), record.len(), true));
                }
            }
            for (field, kinds) in record.fields().zip(&mut kinds) {
                let text =
                    str::from_utf8(field).map_err(|_| self.wrong_encoding(path, record.line))?;
                match is_header {
                    true => names.push(text.trim().to_owned()),
                    false => kinds.see(text, &self.reading),
                }
            }
            rows += u64::from(!is_header);
            if rows >= ENOUGH_ROWS && scanner.read >= ENOUGH_BYTES {
                whole = false;
                break;
            }
        }
        if first.is_none() {
            let error = Error::usage(format!("`{}` holds no line of data", shown(path)));
            return Err(error.hint("a CSV file without rows keeps its header line"));
        }
        // Only a plain file is cut into ranges, so only there does the rest of a long file matter.
        if !whole
            && !multiline
            && self.form.is_plain()
            && self.form.compression == Compression::None
        {
            multiline = self.dialect.escape.is_some() || self.breaks_inside_quotes(path)?;
        }
        let guesses = kinds.iter().map(|kinds| kinds.guess(&self.reading)).collect();
        let (schema, by_format) = self.schema(path, names, guesses)?;
        Ok(Survey { schema, by_format, multiline })
    }

    /// The names and types of the columns, after what the user declared.
    fn schema(
        &self,
        path: &Path,
        names: Vec<String>,
        guesses: Vec<Guess>,
    ) -> Result<(Schema, Vec<String>)> {
        let declared = &self.declared.columns;
        let by_position =
            self.declared.by_position || (!self.dialect.header && !declared.is_empty());
        if by_position && declared.len() != guesses.len() {
            let error = Error::usage(format!(
                "{} columns are declared, but `{}` has {}",
                declared.len(),
                shown(path),
                guesses.len()
            ));
            return Err(error.hint("declare every column, in the file's order"));
        }
        let names = if by_position {
            declared.iter().map(|(name, _)| name.clone()).collect()
        } else {
            unique(names, guesses.len())
        };
        if let Some((stranger, _)) = declared.iter().find(|(name, _)| !names.contains(name)) {
            let error = Error::usage(format!("`{}` has no column `{stranger}`", shown(path)));
            return Err(match nearest(stranger, names.iter().map(String::as_str)) {
                Some(near) => error.hint(format!("did you mean `{near}`")),
                None => error.hint(format!("its columns are {}", names.join(", "))),
            });
        }
        let mut by_format = vec![];
        let mut fields = vec![];
        for (name, guess) in names.into_iter().zip(guesses) {
            let said =
                declared.iter().find(|(declared, _)| *declared == name).map(|(_, t)| t.clone());
            let formatted = match &said {
                Some(DataType::Date32) => self.reading.date_format.is_some(),
                Some(DataType::Timestamp(..)) => self.reading.timestamp_format.is_some(),
                Some(_) => false,
                None => guess.by_format,
            };
            if formatted {
                by_format.push(name.clone());
            }
            fields.push(Field::new(name, said.unwrap_or(guess.data_type), true));
        }
        Ok((Schema::new(fields), by_format))
    }

    /// Whether a line break stands between quotes anywhere; a stray quote makes it say yes, which only costs time.
    fn breaks_inside_quotes(&self, path: &Path) -> Result<bool> {
        let mut input = self.form.open(path)?;
        let mut inside = false;
        loop {
            let buffer = input.fill_buf().map_err(|error| self.broken(path, &error))?;
            if buffer.is_empty() {
                return Ok(false);
            }
            for &byte in buffer {
                inside ^= byte == self.dialect.quote;
                if inside && byte == b'\n' {
                    return Ok(true);
                }
            }
            let length = buffer.len();
            input.consume(length);
        }
    }

    /// The error for bytes that could not be read or unpacked.
    pub(super) fn broken(&self, path: &Path, error: &std::io::Error) -> Error {
        let malformed = error.get_ref().and_then(|inner| inner.downcast_ref::<Malformed>());
        match malformed {
            Some(malformed) => self.wrong_encoding(path, malformed.line),
            _ if error.get_ref().is_some_and(|inner| inner.is::<Error>()) => {
                super::sniff::unreadable(path, error)
            }
            None if matches!(
                error.kind(),
                ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other
            ) && self.form.compression != Compression::None =>
            {
                let packing = self.form.compression.name();
                let error =
                    Error::usage(format!("the {packing} data of `{}` is damaged", shown(path)));
                error.hint("copy it again, or write it again")
            }
            None => super::sniff::unreadable(path, error),
        }
    }

    pub(super) fn wrong_encoding(&self, path: &Path, line: u64) -> Error {
        let encoding = self.form.encoding.name();
        let error = Error::usage(format!("{}:{line}: this is not {encoding} text", shown(path)));
        match self.form.encoding == UTF_8 {
            true => error.hint("spreadsheets often write another encoding: say `encoding = 'windows-1252'`"),
            false => error.hint("say the `encoding` it was written in; `utf-8` and `windows-1252` are the usual ones"),
        }
    }
}

const ENOUGH_ROWS: u64 = 100_000;
const ENOUGH_BYTES: u64 = 64 << 20;

/// The error for a line with too few or too many fields.
pub(super) fn ragged(path: &Path, line: u64, expected: usize, found: usize, header: bool) -> Error {
    let fields = |n: usize| if n == 1 { "1 field".to_owned() } else { format!("{n} fields") };
    let whose = if header { "the header has" } else { "the first line has" };
    let error = Error::usage(format!(
        "{}:{line}: this line has {}, but {whose} {expected}",
        shown(path),
        fields(found)
    ));
    if expected == 1 && found > 1 || found == 1 && expected > 1 {
        return error.hint("is this the right `delimiter`");
    }
    if found > expected {
        return error.hint("a value with a delimiter in it has to stand in quotes");
    }
    error.hint("`ragged = true` fills the missing fields of a short line with NULL")
}

fn byte(key: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(*byte),
        _ => {
            let error = Error::usage(format!("`{key}` is one ASCII character, not `{text}`"));
            Err(match key {
                "delimiter" => error.hint("`tab` and `whitespace` (runs of blanks) can be named"),
                _ => error,
            })
        }
    }
}

fn encoding(label: &str) -> Result<&'static Encoding> {
    Encoding::for_label(label.as_bytes()).ok_or_else(|| {
        let error = Error::usage(format!("there is no encoding `{label}`"));
        error.hint("the usual ones are `utf-8`, `windows-1252`, `iso-8859-15` and `utf-16le`")
    })
}

/// A byte-order mark of UTF-16 declares the encoding as well as an option does.
fn sniff_encoding(path: &Path, compression: Compression) -> Result<&'static Encoding> {
    let mut input = Form { compression, encoding: UTF_8, blanks: false }.open(path)?;
    // A damaged file is reported by whoever reads all of it.
    Ok(match input.fill_buf() {
        Ok([0xff, 0xfe, ..]) => UTF_16LE,
        Ok([0xfe, 0xff, ..]) => UTF_16BE,
        _ => UTF_8,
    })
}

/// Every column needs a name of its own: an empty one is called by its place, a second `x` is called `x_2`.
fn unique(names: Vec<String>, columns: usize) -> Vec<String> {
    let mut all: Vec<String> = vec![];
    let given = names.into_iter().chain(std::iter::repeat_with(String::new));
    for (i, name) in given.take(columns).enumerate() {
        let name = if name.is_empty() { format!("column_{}", i + 1) } else { name };
        let mut free = name.clone();
        let mut count = 2;
        while all.contains(&free) {
            free = format!("{name}_{count}");
            count += 1;
        }
        all.push(free);
    }
    all
}
