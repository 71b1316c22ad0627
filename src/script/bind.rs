// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The values of a script's parameters: what was typed, over what a file says, over the defaults.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{nearest, or_list};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::statement::{Parameter, Uses, Values, numbers_as_text};

/// What is given from outside.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) values: Values,
    /// Those that are lists where they stand.
    lists: BTreeSet<String>,
}

/// `name=value` of the command line, over the `.json` or `.toml` file.
pub(super) fn given(typed: &[String], file: Option<&Path>) -> Result<Given> {
    let mut given = match file {
        Some(file) => {
            let named = |e: Error| e.context(format_args!("`{}`", file.display()));
            let text =
                std::fs::read_to_string(file).map_err(|e| named(Error::usage(e.to_string())))?;
            let text = super::unmarked(text);
            let json = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
            if json { from_json(&text) } else { from_toml(&text) }.map_err(named)?
        }
        None => Given::default(),
    };
    let mut seen: Vec<String> = vec![];
    for pair in typed {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::usage(format!("`-p {pair}` is not `name=value`")))?;
        let name = name.trim().to_lowercase();
        if seen.contains(&name) {
            return Err(twice(&name));
        }
        given.lists.remove(&name);
        given.values.insert(name.clone(), Some(value.to_string()));
        seen.push(name);
    }
    Ok(given)
}

/// The entries of an object, in order, and one twice when it is there twice.
struct Entries(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of parameters")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = vec![];
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        reader.deserialize_map(Object)
    }
}

fn from_json(text: &str) -> Result<Given> {
    use serde_json::Value;
    let failed = |e: serde_json::Error| Error::usage(e.to_string());
    // The places in errors are those of the text as it is written.
    serde_json::from_str::<IgnoredAny>(text).map_err(failed)?;
    let Entries(all) = serde_json::from_str(&numbers_as_text(text)).map_err(failed)?;
    let mut given = Given::default();
    for (name, value) in all {
        if value.is_array() {
            given.lists.insert(name.to_lowercase());
        }
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            // A list is kept as it is written; whether one is wanted its declaration says.
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => Some(value.to_string()),
            Value::Object(_) => return Err(not_one_value(&name)),
        };
        once(&mut given.values, &name, text)?;
    }
    Ok(given)
}

fn from_toml(text: &str) -> Result<Given> {
    let all = DeTable::parse(text).map_err(|e| Error::usage(e.to_string().trim().to_string()))?;
    let mut given = Given::default();
    for (name, value) in all.get_ref() {
        let (name, value) = (name.get_ref(), value.get_ref());
        if matches!(value, DeValue::Array(_)) {
            given.lists.insert(name.to_lowercase());
        }
        let text = match value {
            DeValue::Array(items) => {
                let items: Option<Vec<String>> =
                    items.iter().map(|i| single(i.get_ref())).collect();
                items.and_then(|items| serde_json::to_string(&items).ok())
            }
            value => single(value),
        };
        once(&mut given.values, name, Some(text.ok_or_else(|| not_one_value(name))?))?;
    }
    Ok(given)
}

/// A value of TOML as it is written, without its quotes.
fn single(value: &DeValue<'_>) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_string(),
        DeValue::Integer(number) => {
            i128::from_str_radix(number.as_str(), number.radix()).ok()?.to_string()
        }
        DeValue::Float(number) => number.as_str().to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => return None,
    })
}

/// Names are the same in capitals: `x` and `X` would be one parameter with two values.
fn once(values: &mut Values, name: &str, text: Option<String>) -> Result<()> {
    let name = name.to_lowercase();
    match values.contains_key(&name) {
        true => Err(twice(&name)),
        false => {
            values.insert(name, text);
            Ok(())
        }
    }
}

fn twice(name: &str) -> Error {
    Error::usage(format!("the parameter `{name}` is given twice"))
}

fn not_one_value(name: &str) -> Error {
    Error::usage(format!(
        "`{name}` is not one value: a parameter is a text, a number, a date, a boolean, or a list of these"
    ))
}

/// Fails for a value that no text declares, and for a list where one value is declared.
pub(super) fn all_known(given: &Given, declared: &[Parameter]) -> Result<()> {
    for name in given.values.keys() {
        if let Some(parameter) = declared.iter().find(|p| p.name == *name) {
            if given.lists.contains(name) && !parameter.is_list() {
                let one = parameter.shown_type();
                return Err(Error::usage(format!(
                    "the parameter `{name}` takes {one}, and a list is given"
                ))
                .at(parameter.span)
                .hint(format!("declare it as a list: `PARAMETER {name} {one}[]`")));
            }
            continue;
        }
        let error = Error::usage(format!("no script declares the parameter `{name}`"));
        return Err(match nearest(name, declared.iter().map(|p| p.name.as_str())).as_slice() {
            [] if declared.is_empty() => {
                error.hint(format!("declare it in the script: `PARAMETER {name} VARCHAR;`"))
            }
            [] => error.note(format!(
                "declared are {}",
                declared.iter().map(|p| format!("`{}`", p.name)).collect::<Vec<_>>().join(", ")
            )),
            near => error.hint(format!("did you mean {}?", or_list(near))),
        });
    }
    Ok(())
}

/// Every parameter's value, checked against its type and written as the type writes it. Defaults are evaluated once, so
/// that `now()` or `random()` in one is the same for every statement.
pub(crate) async fn values(
    engine: &Engine,
    declared: &[Parameter],
    given: &Values,
) -> Result<Values> {
    let mut values = Values::new();
    for (i, parameter) in declared.iter().enumerate() {
        let value = given.get(&parameter.name);
        if value.is_none() && !parameter.has_default() {
            return Err(parameter.lacking());
        }
        if parameter.is_identifier() {
            let name = match value {
                Some(name) => name.clone(),
                None => parameter.default_name(),
            };
            let name = name.filter(|n| !n.is_empty() && !n.contains('\0')).ok_or_else(|| {
                Error::usage(format!("the parameter `{}` is the name of nothing", parameter.name))
                    .at(parameter.span)
            })?;
            values.insert(parameter.name.clone(), Some(name));
            continue;
        }
        let earlier = Uses { declared: &declared[..i], values: &values };
        let probe = parameter.probe(value, &earlier)?;
        let wrong = |why: String| {
            let what = match value {
                Some(Some(text)) => format!("`{text}` is not one"),
                Some(None) => "NULL is not one".into(),
                None => "the default is not one".into(),
            };
            Error::usage(format!(
                "the parameter `{}` takes {}; {what}",
                parameter.name,
                parameter.shown_type()
            ))
            .note(why)
            .at(parameter.span)
        };
        let batches = engine.query(&probe).await.map_err(|e| wrong(e.message))?;
        let text = match parameter.is_list() {
            true => list_of(&batches)?,
            false => text_of(&batches)?,
        };
        if let Some(why) = text.as_ref().and_then(|text| parameter.unfaithful(value, text)) {
            return Err(wrong(why));
        }
        values.insert(parameter.name.clone(), text);
    }
    Ok(values)
}

/// The one value as text; `None` is NULL.
fn text_of(batches: &[RecordBatch]) -> Result<Option<String>> {
    let Some(batch) = batches.iter().find(|b| b.num_rows() > 0) else { return Ok(None) };
    let column = cast(batch.column(0), &DataType::Utf8)?;
    Ok(column.as_string::<i32>().iter().next().flatten().map(str::to_string))
}

/// A list's values as JSON; `None` is NULL.
fn list_of(batches: &[RecordBatch]) -> Result<Option<String>> {
    let Some(batch) = batches.iter().find(|b| b.num_rows() > 0) else { return Ok(None) };
    let lists = batch.column(0).as_list_opt::<i32>().filter(|lists| lists.is_valid(0));
    let Some(lists) = lists else { return Ok(None) };
    let items = cast(&lists.value(0), &DataType::Utf8)?;
    let items: Vec<Option<&str>> = items.as_string::<i32>().iter().collect();
    let text = serde_json::to_string(&items).map_err(|e| Error::query(e.to_string()))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_give_single_values() {
        let json =
            from_json(r#"{"Day": "2026-01-01", "n": 5, "x": 1.50, "b": true, "none": null}"#);
        let json: Vec<_> = json.expect("reads").values.into_iter().collect();
        let some = |text: &str| Some(text.to_string());
        assert_eq!(
            json,
            [
                ("b".into(), some("true")),
                ("day".into(), some("2026-01-01")),
                ("n".into(), some("5")),
                ("none".into(), None),
                ("x".into(), some("1.50")),
            ]
        );
        let toml = from_toml("day = 2026-01-01\nn = -5\nname = 'it''s'").map(|_| ());
        assert!(toml.is_err());
        let toml = from_toml("day = 2026-01-01\nn = -5\nname = \"it's\"").expect("reads");
        assert_eq!(toml.values["day"], some("2026-01-01"));
        assert_eq!(
            (toml.values["n"].clone(), toml.values["name"].clone()),
            (some("-5"), some("it's"))
        );
        assert!(from_json(r#"{"a": {"b": 1}}"#).is_err() && from_toml("[a]\nb = 1").is_err());
        assert_eq!(
            from_json(r#"{"a": [1, "x"]}"#).expect("reads").values["a"],
            some("[\"1\",\"x\"]")
        );
        let toml = from_toml("a = [\"it's\", 1, 2026-01-01]").expect("reads");
        assert_eq!(toml.values["a"], some("[\"it's\",\"1\",\"2026-01-01\"]"));
        assert!(from_toml("a = [[1]]").is_err());
    }

    #[test]
    fn a_number_of_a_file_is_its_digits() {
        let some = |text: &str| Some(text.to_string());
        for number in
            ["12345678901234567.1234", "0.0000001", "-1E-7", "18446744073709551616", "1e400"]
        {
            let json =
                from_json(&format!(r#"{{"a-1": {number}, "l": [{number}]}}"#)).expect(number);
            assert_eq!(
                (&json.values["a-1"], &json.values["l"]),
                (&some(number), &some(&format!("[\"{number}\"]")))
            );
        }
        let toml = from_toml("a = 12_345_678_901_234_567.1234\nb = 0x1F\nc = [0.0000001]");
        let toml = toml.expect("reads");
        assert_eq!(
            (&toml.values["a"], &toml.values["b"]),
            (&some("12345678901234567.1234"), &some("31"))
        );
        assert_eq!(toml.values["c"], some("[\"0.0000001\"]"));
        for wrong in [r#"{"a": 01}"#, r#"{"a": 1.}"#, r#"{"a": 1-2}"#, "[1]", "1", "{"] {
            assert!(from_json(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_gives_a_parameter_once() {
        for json in [r#"{"x": 1, "X": 2}"#, r#"{"x": 1, "x": 1}"#] {
            assert!(from_json(json).expect_err(json).message.contains("`x` is given twice"));
        }
        assert!(from_toml("x = 1\nX = 2").expect_err("twice").message.contains("given twice"));
    }

    #[test]
    fn typed_values_are_pairs_and_stand_once() {
        let typed = |pairs: &[&str]| {
            given(&pairs.iter().map(ToString::to_string).collect::<Vec<_>>(), None)
        };
        assert_eq!(typed(&["a=x=y", "B="]).expect("reads").values.len(), 2);
        assert!(typed(&["a"]).is_err() && typed(&["a=1", "A=2"]).is_err());
    }
}
