// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Files of one JSON object a line: their columns, and their guilty lines.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use arrow::json::ReaderBuilder;
use arrow::json::reader::infer_json_schema;

use super::discover::shown;
use super::drift::sql;
use super::options::Compression;
use super::transcode::Form;
use crate::error::{Error, Result};

/// The columns of one file, from all of it up to 64 MiB and from 100,000 lines of a longer one.
pub(super) fn survey(path: &Path, compression: Compression) -> Result<Schema> {
    let mut input = open(path, compression)?;
    let start = input.fill_buf().map_err(|error| super::sniff::unreadable(path, &error))?;
    let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start);
    if start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let name = shown(path);
        let error =
            Error::usage(format!("`{name}` is one JSON array; one object a line is wanted"));
        return Err(error.hint(format!("`jq -c '.[]' {name} > lines.json` writes it so")));
    }
    let long = super::files::length(path).is_some_and(|length| length > ENOUGH_BYTES);
    let limit = long.then_some(ENOUGH_LINES);
    match infer_json_schema(input, limit) {
        Ok((schema, 0)) if schema.fields().is_empty() => {
            Err(Error::usage(format!("`{}` holds no JSON object", shown(path))))
        }
        Ok((schema, _)) => Ok(schema),
        Err(error) => Err(fault(path, compression, None)?.unwrap_or_else(|| {
            // Every line is good by itself, so two lines want different types of one key.
            let _ = error;
            let error = Error::usage(format!("the lines of `{}` hold one key with values that do not go together, such as a text and an object", shown(path)));
            error.hint("declare the columns in `CREATE EXTERNAL TABLE t (…) STORED AS JSON`")
        })),
    }
}

/// The first line that is no JSON object, or does not fit the schema.
pub(super) fn fault(
    path: &Path,
    compression: Compression,
    schema: Option<&Schema>,
) -> Result<Option<Error>> {
    let mut input = open(path, compression)?;
    let mut text = vec![];
    let mut line = 0_u64;
    let place = |line: u64| format!("{}:{line}", shown(path));
    let reader = schema.map(|schema| Arc::new(schema.clone()));
    loop {
        text.clear();
        line += 1;
        let length = input.read_until(b'\n', &mut text);
        if length.map_err(|error| super::sniff::unreadable(path, &error))? == 0 {
            return Ok(None);
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        if str::from_utf8(&text).is_err() {
            return Ok(Some(Error::usage(format!(
                "{}: this is not UTF-8 text, which JSON has to be",
                place(line)
            ))));
        }
        let Ok((found, _)) = infer_json_schema(text.as_slice(), None) else {
            let error = Error::usage(format!("{}: this is not a JSON object", place(line)));
            return Ok(Some(
                error.hint("every line has to hold one whole object, `{\"key\": value, …}`"),
            ));
        };
        let Some(schema) = &reader else { continue };
        if fits(&text, schema.as_ref().clone()) {
            continue;
        }
        let guilty = schema
            .fields()
            .iter()
            .find(|field| !fits(&text, Schema::new(vec![field.as_ref().clone()])));
        return Ok(Some(match guilty {
            Some(field) => mistyped(&place(line), field, &found),
            None => {
                Error::usage(format!("{}: this line does not fit the table's columns", place(line)))
            }
        }));
    }
}

const ENOUGH_LINES: usize = 100_000;
const ENOUGH_BYTES: u64 = 64 << 20;

fn open(path: &Path, compression: Compression) -> Result<Box<dyn BufRead + Send>> {
    Form { compression, encoding: encoding_rs::UTF_8, blanks: false }.open(path)
}

fn fits(line: &[u8], schema: Schema) -> bool {
    let Ok(mut decoder) = ReaderBuilder::new(Arc::new(schema)).build_decoder() else {
        return true;
    };
    decoder.decode(line).is_ok() && decoder.flush().is_ok()
}

fn mistyped(place: &str, field: &Field, found: &Schema) -> Error {
    let name = field.name();
    let kind = match found.field_with_name(name) {
        Ok(found) => sql(found.data_type()),
        Err(_) => "something else".into(),
    };
    let expected = sql(field.data_type());
    let error =
        Error::usage(format!("{place}: column `{name}` holds {kind} where {expected} is expected"));
    error.hint("declare the columns in `CREATE EXTERNAL TABLE t (…) STORED AS JSON`, or put the line right")
}
