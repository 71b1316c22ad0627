// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Files that a dry run has not written: later statements are planned against the columns that they would have.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::dml::CopyTo;

use super::discover::{self, partition};
use super::{stamp, written};
use crate::error::{Error, Result};

/// What a session's dry run would have written by now.
#[derive(Debug, Default)]
pub(crate) struct Planned(Mutex<Vec<Target>>);

#[derive(Clone, Debug)]
struct Target {
    place: String,
    schema: Schema,
    /// It appears only when the script has ended.
    waits: bool,
}

impl Planned {
    /// Notes what a `COPY` would write.
    pub(crate) fn add(&self, copy: &CopyTo, waits: bool) -> Result<()> {
        let columns = copy.input.schema().fields();
        let is_key = |field: &&FieldRef| copy.partition_by.contains(field.name());
        let kept: Fields = columns.iter().filter(|f| !is_key(f)).cloned().collect();
        let format = copy.file_type.get_ext();
        let mut fields = as_read(&kept, format.trim_start_matches('.'));
        let keys = columns.iter().filter(is_key);
        fields.extend(keys.map(|key| Field::new(key.name(), key_type(key.data_type()), true)));
        self.note(stamp::place_of(&copy.output_url)?, fields, waits)
    }

    /// Notes what the rows of a query would be in a file.
    pub(crate) fn add_file(
        &self,
        place: String,
        format: &str,
        columns: &Fields,
        waits: bool,
    ) -> Result<()> {
        self.note(place, as_read(columns, format), waits)
    }

    fn note(&self, place: String, fields: Vec<Field>, waits: bool) -> Result<()> {
        let mut targets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = targets.iter().find(|t| waits && stamp::overlap(&t.place, &place)) {
            return Err(overlapping(&stamp::shown(&old.place), &stamp::shown(&place)));
        }
        targets.push(Target { place, schema: Schema::new(fields), waits });
        Ok(())
    }

    /// Fails for places that would still hold what they held before.
    pub(crate) fn refuse_waiting(&self, places: &[String]) -> Result<()> {
        let targets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = targets.iter().filter(|t| t.waits);
        match waiting
            .into_iter()
            .find(|t| places.iter().any(|place| written::reads(place, &t.place)))
        {
            Some(target) => Err(appears_at_the_end(&stamp::shown(&target.place))),
            None => Ok(()),
        }
    }

    /// The table that would be at a path; `None` when nothing is written there.
    fn table(&self, path: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let place = stamp::place_of(path)?;
        self.refuse_waiting(std::slice::from_ref(&place))?;
        let targets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let within = |target: &&Target| {
            let inner = target.place.strip_prefix(place.trim_end_matches('/'));
            inner.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // The last to write is the one that is read.
        let Some(target) = targets.iter().rev().find(within) else {
            let pattern = std::path::absolute(path).unwrap_or_else(|_| path.into());
            let fits =
                |t: &&Target| discover::is_pattern(&pattern) && written::fits(&pattern, &t.place);
            let fitting = targets.iter().rev().find(fits);
            if let Some(target) = fitting.filter(|t| t.waits) {
                return Err(appears_at_the_end(&stamp::shown(&target.place)));
            }
            return Ok(fitting.map(|t| Arc::new(EmptyTable::new(Arc::new(t.schema.clone()))) as _));
        };
        let rest = target.place[place.trim_end_matches('/').len()..].trim_matches('/');
        let mut fields: Vec<Field> =
            target.schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        for folder in rest.split('/') {
            let Some((key, value)) = partition(std::path::Path::new(folder)) else { continue };
            fields.retain(|field| *field.name() != key);
            fields.push(Field::new(key, super::table::partition_type(&[value]), true));
        }
        Ok(Some(Arc::new(EmptyTable::new(Arc::new(Schema::new(fields))))))
    }
}

/// The table that a path would be, in a dry run that would have written it.
pub(super) fn table(session: &dyn Session, path: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    match session.config().get_extension::<Planned>() {
        Some(planned) => planned.table(path),
        None => Ok(None),
    }
}

/// Two outputs of one script, of which one would be lost at its end.
pub(crate) fn overlapping(old: &str, new: &str) -> Error {
    let what = match old.trim_end_matches('/') == new.trim_end_matches('/') {
        true => format!("`{new}` is written twice"),
        false => format!("`{new}` and `{old}` lie in each other"),
    };
    Error::usage(format!("{what}, and both would appear at the end"))
        .hint("give each a place of its own, or run with `--publish each`")
}

/// The error for what is written earlier in a script and is not there yet.
pub(crate) fn appears_at_the_end(shown: &str) -> Error {
    Error::query(format!("`{shown}` is written earlier in this script and appears at its end"))
        .hint("keep the rows with `CREATE TABLE name AS …`, or run with `--publish each`")
}

/// The columns as they would be read from a file of a format.
fn as_read(columns: &Fields, format: &str) -> Vec<Field> {
    let text = matches!(format, "csv" | "json" | "jsonl");
    let field = |field: &FieldRef| match text {
        true => Field::new(field.name(), read_back(field.data_type()), true),
        false => field.as_ref().clone(),
    };
    columns.iter().map(field).collect()
}

/// The type that a column of text is read back as, if its values look like their type.
fn read_back(data_type: &DataType) -> DataType {
    use DataType::*;
    match data_type {
        Boolean => Boolean,
        t if t.is_integer() => Int64,
        t if t.is_numeric() => Float64,
        Date32 | Date64 => Date32,
        Timestamp(..) => Timestamp(TimeUnit::Microsecond, None),
        List(_) | LargeList(_) | Struct(_) => data_type.clone(),
        _ => Utf8,
    }
}

/// The type that the name of a folder is read back as.
fn key_type(data_type: &DataType) -> DataType {
    match data_type {
        t if t.is_integer() => DataType::Int64,
        DataType::Date32 => DataType::Date32,
        _ => DataType::Utf8,
    }
}
