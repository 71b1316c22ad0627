// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The schemas of the files of one table → the table's schema, or the difference that forbids it.

use std::collections::HashSet;
use std::path::PathBuf;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::discover::shown;
use super::options::Format;
use crate::error::{Error, Result};

/// A file and the columns found in it.
#[derive(Clone, Debug)]
pub(super) struct FileSchema {
    pub(super) path: PathBuf,
    pub(super) schema: Schema,
}

/// The schema that all files fit, each column as wide as its widest.
///
/// CSV files must have their columns in one order, for they are read by position. A JSON object may leave a key out,
/// so there the table has every column of every file; elsewhere a missing column is an error, since it is more often a
/// broken export than a wish for NULL.
pub(super) fn merge(table: &str, format: Format, files: &[FileSchema]) -> Result<Schema> {
    let Some((first, rest)) = files.split_first() else {
        return Err(Error::usage(format!("table `{table}` has no files")));
    };
    let mut fields: Vec<Field> =
        first.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    for file in rest {
        if format != Format::Json {
            same_columns(table, format, first, file)?;
        }
        for field in file.schema.fields() {
            match fields.iter_mut().find(|known| known.name() == field.name()) {
                None => fields.push(field.as_ref().clone()),
                Some(known) => {
                    let wider = widen(known.data_type(), field.data_type());
                    let wider = wider.ok_or_else(|| types_differ(table, files, file, field))?;
                    let nullable = known.is_nullable() || field.is_nullable();
                    *known = known.clone().with_data_type(wider).with_nullable(nullable);
                }
            }
        }
    }
    Ok(Schema::new_with_metadata(fields, first.schema.metadata().clone()))
}

/// Whether files lie in one folder by chance: none shares more than half of its columns with the first.
pub(super) fn unrelated(files: &[FileSchema]) -> bool {
    let Some((first, rest)) = files.split_first() else {
        return false;
    };
    let names: HashSet<&String> = first.schema.fields().iter().map(|field| field.name()).collect();
    rest.iter().all(|file| {
        let fields = file.schema.fields();
        let shared = fields.iter().filter(|field| names.contains(field.name())).count();
        shared * 2 <= fields.len()
    })
}

fn same_columns(table: &str, format: Format, first: &FileSchema, file: &FileSchema) -> Result<()> {
    let names = |file: &FileSchema| -> Vec<String> {
        file.schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    let (expected, found) = (names(first), names(file));
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|name| !those.contains(name)).map(|name| format!("`{name}`")).collect()
    };
    let (missing, extra) = (only(&expected, &found), only(&found, &expected));
    if missing.is_empty() && extra.is_empty() {
        if format != Format::Csv || expected == found {
            return Ok(());
        }
        let error = Error::usage(format!(
            "the files of table `{table}` have their columns in different orders: `{}` and `{}`",
            shown(&first.path),
            shown(&file.path),
        ));
        return Err(error.hint(
            "CSV files are read by position: write one of them again, or add them as two tables",
        ));
    }
    let mut parts = vec![];
    if !missing.is_empty() {
        parts.push(format!("lacks {}", missing.join(", ")));
    }
    if !extra.is_empty() {
        parts.push(format!("has {} besides", extra.join(", ")));
    }
    let error = Error::usage(format!(
        "the files of table `{table}` have different columns: `{}` {}, held against `{}`",
        shown(&file.path),
        parts.join(" and "),
        shown(&first.path),
    ));
    Err(error.hint("add them as two tables, and write the `UNION ALL BY NAME` you mean"))
}

fn types_differ(table: &str, files: &[FileSchema], file: &FileSchema, field: &Field) -> Error {
    // The first file whose own type cannot be brought together with this one; the table's type may be wider than any.
    let other = files
        .iter()
        .filter_map(|known| Some((known, known.schema.field_with_name(field.name()).ok()?)))
        .find(|(_, known)| widen(known.data_type(), field.data_type()).is_none());
    let (other, known) = other.unwrap_or((&files[0], field));
    let name = field.name();
    let error = Error::usage(format!(
        "column `{name}` of table `{table}` is {} in `{}` and {} in `{}`",
        sql(known.data_type()),
        shown(&other.path),
        sql(field.data_type()),
        shown(&file.path),
    ));
    error.hint(format!("for CSV files say which it is: `columns = {{ \"{name}\" = \"VARCHAR\" }}`"))
}

/// The type that holds the values of both, if nothing is lost or guessed.
fn widen(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    let text = |t: &DataType| matches!(t, Utf8 | LargeUtf8 | Utf8View);
    let binary = |t: &DataType| matches!(t, Binary | LargeBinary | BinaryView);
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (Null, other) | (other, Null) => Some(other.clone()),
        (a, b) if text(a) && text(b) => Some(Utf8View),
        (a, b) if binary(a) && binary(b) => Some(BinaryView),
        (Dictionary(_, value), other) | (other, Dictionary(_, value)) => widen(value, other),
        (a, b) if a.is_integer() && b.is_integer() => {
            let signed = a.is_signed_integer() || b.is_signed_integer();
            let width = |t: &DataType| {
                let bits = t.primitive_width().unwrap_or(8) * 8;
                if signed && t.is_unsigned_integer() { bits * 2 } else { bits }
            };
            match (signed, width(a).max(width(b))) {
                (true, 8) => Some(Int8),
                (true, 16) => Some(Int16),
                (true, 32) => Some(Int32),
                (true, 64) => Some(Int64),
                (false, 8) => Some(UInt8),
                (false, 16) => Some(UInt16),
                (false, 32) => Some(UInt32),
                (false, 64) => Some(UInt64),
                _ => None,
            }
        }
        (a, b) if a.is_floating() && (b.is_floating() || b.is_integer()) => Some(Float64),
        (a, b) if a.is_integer() && b.is_floating() => Some(Float64),
        (Decimal128(p, s), Decimal128(q, r)) => {
            let scale = *s.max(r);
            let whole = (i32::from(*p) - i32::from(*s)).max(i32::from(*q) - i32::from(*r));
            let precision = u8::try_from(whole + i32::from(scale)).ok()?;
            (precision <= 38).then_some(Decimal128(precision, scale))
        }
        (Date32, Timestamp(unit, zone)) | (Timestamp(unit, zone), Date32) => {
            Some(Timestamp(*unit, zone.clone()))
        }
        (Timestamp(a, zone), Timestamp(b, other)) if zone == other => {
            let finer = if fineness(a) >= fineness(b) { a } else { b };
            Some(Timestamp(*finer, zone.clone()))
        }
        _ => None,
    }
}

fn fineness(unit: &TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}

/// A type by the name an SQL writer would give it.
pub(super) fn sql(data_type: &DataType) -> String {
    use DataType::*;
    match data_type {
        Null => "NULL".into(),
        Boolean => "BOOLEAN".into(),
        Int8 => "TINYINT".into(),
        Int16 => "SMALLINT".into(),
        Int32 => "INT".into(),
        Int64 => "BIGINT".into(),
        UInt8 => "TINYINT UNSIGNED".into(),
        UInt16 => "SMALLINT UNSIGNED".into(),
        UInt32 => "INT UNSIGNED".into(),
        UInt64 => "BIGINT UNSIGNED".into(),
        Float16 | Float32 => "REAL".into(),
        Float64 => "DOUBLE".into(),
        Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s) | Decimal256(p, s) => {
            format!("DECIMAL({p}, {s})")
        }
        Utf8 | LargeUtf8 | Utf8View => "VARCHAR".into(),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "BYTEA".into(),
        Date32 | Date64 => "DATE".into(),
        Time32(_) | Time64(_) => "TIME".into(),
        Timestamp(_, None) => "TIMESTAMP".into(),
        Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE".into(),
        Dictionary(_, value) => sql(value),
        List(item) | LargeList(item) | ListView(item) => format!("{}[]", sql(item.data_type())),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, fields: &[(&str, DataType)]) -> FileSchema {
        let fields: Vec<_> = fields.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect();
        FileSchema { path: name.into(), schema: Schema::new(fields) }
    }

    #[test]
    fn widening() {
        use DataType::*;
        for (a, b, expected) in [
            (Int64, Float64, Some(Float64)),
            (Int32, Int64, Some(Int64)),
            (UInt32, Int32, Some(Int64)),
            (UInt64, Int64, None),
            (Null, Utf8, Some(Utf8)),
            (Int64, Utf8, None),
            (Date32, Timestamp(TimeUnit::Second, None), Some(Timestamp(TimeUnit::Second, None))),
            (Decimal128(10, 2), Decimal128(12, 4), Some(Decimal128(12, 4))),
            (Decimal128(38, 0), Decimal128(38, 10), None),
        ] {
            assert_eq!(widen(&a, &b), expected, "{a} {b}");
            assert_eq!(widen(&b, &a), expected, "{b} {a}");
        }
    }

    #[test]
    fn errors_name_both_files_and_the_column() {
        let a = file("a.csv", &[("id", DataType::Int64), ("x", DataType::Int64)]);
        let b = file("b.csv", &[("id", DataType::Utf8), ("x", DataType::Int64)]);
        let error = merge("t", Format::Csv, &[a.clone(), b]).unwrap_err();
        assert_eq!(
            error.message,
            "column `id` of table `t` is BIGINT in `a.csv` and VARCHAR in `b.csv`"
        );
        let c = file("c.csv", &[("x", DataType::Int64), ("id", DataType::Int64)]);
        assert!(
            merge("t", Format::Csv, &[a.clone(), c.clone()]).unwrap_err().message.contains("order")
        );
        assert!(merge("t", Format::Parquet, &[a.clone(), c]).is_ok());
        let d = file("d.csv", &[("id", DataType::Int64), ("y", DataType::Int64)]);
        let error = merge("t", Format::Csv, &[a.clone(), d.clone()]).unwrap_err();
        assert!(error.message.contains("`d.csv` lacks `x` and has `y` besides"), "{error}");
        assert_eq!(merge("t", Format::Json, &[a, d]).unwrap().fields().len(), 3);
    }

    #[test]
    fn kinship() {
        let a = file("a", &[("id", DataType::Int64), ("x", DataType::Int64)]);
        let b = file("b", &[("sku", DataType::Int64), ("id", DataType::Int64)]);
        let c = file("c", &[("id", DataType::Int64)]);
        assert!(unrelated(&[a.clone(), b]));
        assert!(!unrelated(&[a, c]));
    }
}
