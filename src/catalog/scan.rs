// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! CSV text → records with the line each begins on.
//!
//! The engine's own reader counts records, not lines, and restarts the count in every byte range. This one is slower
//! and exact; it accepts the same language (that of `csv-core`), which a test checks. It is used to guess types when a
//! table is added and to find the guilty line when a query has failed.

use std::io::{self, BufRead};

/// How fields and records are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) header: bool,
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) escape: Option<u8>,
    pub(super) comment: Option<u8>,
    pub(super) ragged: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            header: true,
            delimiter: b',',
            quote: b'"',
            escape: None,
            comment: None,
            ragged: false,
        }
    }
}

/// One record; kept and filled again to spare allocations.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The line it begins on, the first line of the file being 1.
    pub(super) line: u64,
    /// Whether a quoted field holds a line break.
    pub(super) multiline: bool,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Record {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let field = &self.bytes[start..end];
            start = end;
            field
        })
    }
}

/// Reads records one by one.
pub(super) struct Scanner<R> {
    input: R,
    dialect: Dialect,
    line: u64,
    after_cr: bool,
    begun: bool,
    /// Bytes of text read so far, after decompression and transcoding.
    pub(super) read: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    StartRecord,
    Comment,
    StartField,
    Field,
    Quoted,
    Escaped,
    QuoteInQuoted,
}

impl<R: BufRead> Scanner<R> {
    pub(super) fn new(input: R, dialect: &Dialect) -> Self {
        Self { input, dialect: dialect.clone(), line: 1, after_cr: false, begun: false, read: 0 }
    }

    /// Fills `record` with the next record; `false` at the end of the file.
    pub(super) fn next(&mut self, record: &mut Record) -> io::Result<bool> {
        record.bytes.clear();
        record.ends.clear();
        record.multiline = false;
        let mut state = State::StartRecord;
        loop {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if buffer.is_empty() {
                return Ok(match state {
                    State::StartRecord | State::Comment => false,
                    _ => {
                        record.ends.push(record.bytes.len());
                        true
                    }
                });
            }
            let mut at = 0;
            // A byte-order mark is no part of the first column's name.
            if !self.begun {
                self.begun = true;
                if buffer.starts_with(b"\xEF\xBB\xBF") {
                    at = 3;
                }
            }
            let mut done = false;
            while at < buffer.len() && !done {
                let byte = buffer[at];
                at += 1;
                let newline = byte == b'\n' || byte == b'\r';
                let swallowed = byte == b'\n' && self.after_cr;
                self.after_cr = byte == b'\r';
                if newline && !swallowed {
                    self.line += 1;
                }
                let d = &self.dialect;
                state = match state {
                    State::StartRecord if newline => State::StartRecord,
                    State::StartRecord if d.comment == Some(byte) => State::Comment,
                    State::StartRecord | State::StartField => {
                        if state == State::StartRecord {
                            record.line = self.line;
                        }
                        if byte == d.quote {
                            State::Quoted
                        } else {
                            field_byte(byte, newline, d, record, &mut done)
                        }
                    }
                    State::Comment if byte == b'\n' => State::StartRecord,
                    State::Comment => State::Comment,
                    State::Field => field_byte(byte, newline, d, record, &mut done),
                    State::Quoted if byte == d.quote => State::QuoteInQuoted,
                    State::Quoted if d.escape == Some(byte) => State::Escaped,
                    State::Quoted | State::Escaped => {
                        record.multiline |= newline;
                        record.bytes.push(byte);
                        State::Quoted
                    }
                    State::QuoteInQuoted if byte == d.quote => {
                        record.bytes.push(byte);
                        State::Quoted
                    }
                    State::QuoteInQuoted => field_byte(byte, newline, d, record, &mut done),
                };
            }
            self.read += at as u64;
            self.input.consume(at);
            if done {
                return Ok(true);
            }
        }
    }
}

fn field_byte(
    byte: u8,
    newline: bool,
    dialect: &Dialect,
    record: &mut Record,
    done: &mut bool,
) -> State {
    if byte == dialect.delimiter {
        record.ends.push(record.bytes.len());
        State::StartField
    } else if newline {
        record.ends.push(record.bytes.len());
        *done = true;
        State::StartRecord
    } else {
        record.bytes.push(byte);
        State::Field
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::AsArray;
    use arrow::csv::ReaderBuilder;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn scan(text: &str, dialect: &Dialect) -> Vec<(u64, Vec<String>)> {
        // A tiny buffer makes every state meet the end of a buffer.
        let input = io::BufReader::with_capacity(3, text.as_bytes());
        let mut scanner = Scanner::new(input, dialect);
        let mut record = Record::default();
        let mut all = vec![];
        while scanner.next(&mut record).unwrap() {
            let fields = record.fields().map(|f| String::from_utf8(f.to_vec()).unwrap()).collect();
            all.push((record.line, fields));
        }
        all
    }

    #[test]
    fn lines_are_physical_lines() {
        let text = "a,b\r\n\r\n1,\"x\r\ny\"\n\n# no\n2,z\r3,w";
        let dialect = Dialect { comment: Some(b'#'), ..Dialect::default() };
        let lines: Vec<u64> = scan(text, &dialect).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [1, 3, 7, 8]);
        assert_eq!(
            scan("\u{feff}a\n1", &dialect),
            [(1, vec!["a".to_owned()]), (2, vec!["1".to_owned()])]
        );
        assert!(scan("", &dialect).is_empty());
    }

    #[test]
    fn same_language_as_the_engine() {
        let texts = [
            "a,b\n1,2\n",
            "\"a\"\"b\",c\r\nd,\"e\nf\"\r\n",
            "\"a\"x,b\n\n\nc,d",
            "a,\"b\nc,d",
            ",\n\"\",\"\"\n",
            "x\"y,z\"\nq,\"r\\\"s\"\n",
        ];
        for escape in [None, Some(b'\\')] {
            for text in texts {
                let dialect = Dialect { header: false, escape, ..Dialect::default() };
                let schema = Schema::new(vec![
                    Field::new("a", DataType::Utf8, true),
                    Field::new("b", DataType::Utf8, true),
                ]);
                let mut builder = ReaderBuilder::new(Arc::new(schema));
                if let Some(escape) = escape {
                    builder = builder.with_escape(escape);
                }
                let theirs: Option<Vec<Vec<String>>> = builder
                    .build(text.as_bytes())
                    .unwrap()
                    .map(|batch| {
                        let batch = batch.ok()?;
                        let column = |i: usize| batch.column(i).as_string::<i32>().clone();
                        let (a, b) = (column(0), column(1));
                        let text = |v: Option<&str>| v.unwrap_or_default().to_owned();
                        Some(
                            a.iter()
                                .zip(b.iter())
                                .map(|(a, b)| vec![text(a), text(b)])
                                .collect::<Vec<_>>(),
                        )
                    })
                    .collect::<Option<Vec<_>>>()
                    .map(|batches| batches.concat());
                let ours = scan(text, &dialect).into_iter().map(|(_, f)| f).collect::<Vec<_>>();
                match theirs {
                    Some(theirs) => assert_eq!(ours, theirs, "{text:?}"),
                    None => assert!(ours.iter().any(|f| f.len() != 2), "{text:?}"),
                }
            }
        }
    }
}
