// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A table being written, filled cell by cell from left to right, in bounded memory.
//!
//! The cells of a row are given in the order of the schema. A cell of the wrong type, or a row of the wrong width, is
//! found at the end of the row, so that the code that fills a sheet reads like the table.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int32Builder,
    Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef};

use super::Table;
use super::clock::{FIRST_DAY, SECONDS};
use super::schema::Spec;
use super::write::Sink;
use crate::error::{Error, Result};

const BATCH: usize = 8192;

pub(super) struct Sheet {
    name: &'static str,
    schema: SchemaRef,
    columns: Vec<Column>,
    cursor: usize,
    sound: bool,
    pending: usize,
    rows: u64,
    sink: Sink,
}

enum Column {
    Text(StringBuilder),
    Money(Decimal128Builder),
    Int(Int32Builder),
    Count(Int64Builder),
    Ratio(Float64Builder),
    Flag(BooleanBuilder),
    Date(Date32Builder),
    Time(TimestampMicrosecondBuilder),
}

/// One method a type: `Some` or a plain value fills the cell, `None` leaves it NULL.
macro_rules! cell {
    ($(#[$doc:meta])* $method:ident, $variant:ident, $type:ty, $value:ident => $convert:expr) => {
        $(#[$doc])*
        pub(super) fn $method(&mut self, value: impl Into<Option<$type>>) -> &mut Self {
            if let Some(Column::$variant(builder)) = self.columns.get_mut(self.cursor) {
                builder.append_option(value.into().map(|$value| $convert));
            } else {
                self.sound = false;
            }
            self.cursor += 1;
            self
        }
    };
}

impl Sheet {
    pub(super) fn new(spec: &Spec, sink: Sink) -> Self {
        let columns = spec.schema.fields().iter().map(|f| Column::new(f.data_type())).collect();
        let schema = Arc::clone(&spec.schema);
        Self { name: spec.name, schema, columns, cursor: 0, sound: true, pending: 0, rows: 0, sink }
    }

    cell!(
        /// An amount in cents.
        money, Money, i64, cents => i128::from(cents) * 100
    );
    cell!(int, Int, i32, n => n);
    cell!(count, Count, i64, n => n);
    cell!(ratio, Ratio, f64, x => x);
    cell!(flag, Flag, bool, b => b);
    cell!(
        /// A day of the shop, 0 being the first.
        date, Date, usize, day => FIRST_DAY + day as i32
    );
    cell!(
        /// Seconds since the shop opened.
        time, Time, u32, second => (i64::from(FIRST_DAY) * i64::from(SECONDS) + i64::from(second)) * 1_000_000
    );

    pub(super) fn text<'a>(&mut self, value: impl Into<Option<&'a str>>) -> &mut Self {
        if let Some(Column::Text(builder)) = self.columns.get_mut(self.cursor) {
            builder.append_option(value.into());
        } else {
            self.sound = false;
        }
        self.cursor += 1;
        self
    }

    /// An identifier.
    pub(super) fn id(&mut self, code: impl Into<Option<Code>>) -> &mut Self {
        match code.into() {
            Some(code) => self.text(code.as_str()),
            None => self.text(None),
        }
    }

    pub(super) fn end_row(&mut self) -> Result<()> {
        if !self.sound || self.cursor != self.columns.len() {
            let (name, at, width) = (self.name, self.cursor, self.columns.len());
            return Err(Error::usage(format!(
                "demo table `{name}`: a row of {at} cells does not fit {width} columns"
            )));
        }
        self.cursor = 0;
        self.pending += 1;
        if self.pending == BATCH { self.flush() } else { Ok(()) }
    }

    /// Writes what is left and closes the file, which then waits beside its place.
    pub(super) fn finish(mut self) -> Result<Table> {
        self.flush()?;
        self.sink.close().map_err(|e| e.context(format!("writing {}", self.name)))?;
        Ok(Table { name: self.name, rows: self.rows })
    }

    fn flush(&mut self) -> Result<()> {
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|e| Error::from(e).context(format!("demo table `{}`", self.name)))?;
        self.rows += self.pending as u64;
        self.pending = 0;
        self.sink.write(&batch).map_err(|e| e.context(format!("writing {}", self.name)))
    }
}

impl Column {
    fn new(kind: &DataType) -> Self {
        match kind {
            DataType::Decimal128(..) => {
                Column::Money(Decimal128Builder::with_capacity(BATCH).with_data_type(kind.clone()))
            }
            DataType::Int32 => Column::Int(Int32Builder::with_capacity(BATCH)),
            DataType::Int64 => Column::Count(Int64Builder::with_capacity(BATCH)),
            DataType::Float64 => Column::Ratio(Float64Builder::with_capacity(BATCH)),
            DataType::Boolean => Column::Flag(BooleanBuilder::with_capacity(BATCH)),
            DataType::Date32 => Column::Date(Date32Builder::with_capacity(BATCH)),
            DataType::Timestamp(..) => {
                Column::Time(TimestampMicrosecondBuilder::with_capacity(BATCH))
            }
            _ => Column::Text(StringBuilder::with_capacity(BATCH, BATCH * 12)),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Column::Text(b) => Arc::new(b.finish()),
            Column::Money(b) => Arc::new(b.finish()),
            Column::Int(b) => Arc::new(b.finish()),
            Column::Count(b) => Arc::new(b.finish()),
            Column::Ratio(b) => Arc::new(b.finish()),
            Column::Flag(b) => Arc::new(b.finish()),
            Column::Date(b) => Arc::new(b.finish()),
            Column::Time(b) => Arc::new(b.finish()),
        }
    }
}

/// A short identifier such as `O0000000123-1`, built without the heap: a million orders need some twenty million.
#[derive(Clone, Copy)]
pub(super) struct Code {
    bytes: [u8; 44],
    length: usize,
}

impl Code {
    pub(super) fn new(prefix: &str) -> Self {
        Self { bytes: [0; 44], length: 0 }.and(prefix)
    }

    /// Adds letters; what does not fit is cut.
    pub(super) fn and(self, letters: &str) -> Self {
        self.append(letters.as_bytes())
    }

    /// Adds letters in lower case.
    pub(super) fn lower(self, letters: &str) -> Self {
        let start = self.length;
        let mut code = self.and(letters);
        code.bytes[start..code.length].make_ascii_lowercase();
        code
    }

    /// Adds a number of at least `width` digits.
    pub(super) fn number(self, mut n: u64, width: usize) -> Self {
        let mut digits = [b'0'; 20];
        let mut used = 0;
        while n > 0 || used < width.max(1) {
            used += 1;
            digits[20 - used] = b'0' + (n % 10) as u8;
            n /= 10;
        }
        self.append(&digits[20 - used..])
    }

    fn append(mut self, letters: &[u8]) -> Self {
        let end = (self.length + letters.len()).min(self.bytes.len());
        self.bytes[self.length..end].copy_from_slice(&letters[..end - self.length]);
        self.length = end;
        self
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        assert_eq!(Code::new("O").number(123, 6).and("-").number(1, 1).as_str(), "O000123-1");
        assert_eq!(Code::new("C").number(12_345_678, 6).number(0, 0).as_str(), "C123456780");
    }
}
