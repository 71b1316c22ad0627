// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a client sets for its session: `catalog`, `schema`, `timezone`, and the engine's settings as far as its rights
//! go. The messages are those of Flight.proto, which arrow-flight leaves out.

use std::collections::HashMap;

use prost::Message;
use prost::bytes::Bytes;
use tonic::Status;

use super::sessions::Session;
use crate::error::Result;

pub(super) const SET: &str = "SetSessionOptions";
pub(super) const GET: &str = "GetSessionOptions";
pub(super) const CLOSE: &str = "CloseSession";

/// The names of the protocol and the settings behind them.
const NAMES: [(&str, &str); 3] = [
    ("catalog", "datafusion.catalog.default_catalog"),
    ("schema", "datafusion.catalog.default_schema"),
    ("timezone", "datafusion.execution.time_zone"),
];

#[derive(Clone, PartialEq, Message)]
struct StringListValue {
    #[prost(string, repeated, tag = "1")]
    values: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionOptionValue {
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    option_value: Option<OptionValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum OptionValue {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Int64(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    StringList(StringListValue),
}

#[derive(Clone, PartialEq, Message)]
struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    session_options: HashMap<String, SessionOptionValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, SetError>,
}

#[derive(Clone, PartialEq, Message)]
struct SetError {
    #[prost(enumeration = "ErrorValue", tag = "1")]
    value: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum ErrorValue {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

#[derive(Clone, PartialEq, Message)]
struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    session_options: HashMap<String, SessionOptionValue>,
}

#[derive(Clone, PartialEq, Message)]
struct CloseSessionResult {
    #[prost(enumeration = "CloseStatus", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum CloseStatus {
    Unspecified = 0,
    Closed = 1,
    Closing = 2,
    NotCloseable = 3,
}

/// Sets what can be set, and says of each other option what is wrong with it.
pub(super) async fn set(session: &Session, body: &[u8]) -> Result<Bytes, Status> {
    let request = SetSessionOptionsRequest::decode(body)
        .map_err(|e| Status::invalid_argument(e.to_string()))?;
    let mut errors = HashMap::new();
    // The catalog first, because the schema is looked for in it.
    let mut options: Vec<_> = request.session_options.into_iter().collect();
    options.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, value) in options {
        if let Err(error) = set_one(session, &name, value.option_value).await {
            errors.insert(name, SetError { value: error.into() });
        }
    }
    Ok(SetSessionOptionsResult { errors }.encode_to_vec().into())
}

async fn set_one(
    session: &Session,
    name: &str,
    value: Option<OptionValue>,
) -> Result<(), ErrorValue> {
    let setting = NAMES.iter().find(|(known, _)| *known == name).map_or(name, |(_, s)| *s);
    let known =
        session.engine.setting(setting).is_some() || NAMES.iter().any(|(known, _)| *known == name);
    if !known || !setting.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c)) {
        return Err(ErrorValue::InvalidName);
    }
    let text = match value {
        // An empty value takes the option back.
        None => {
            let reset = format!("RESET {setting}");
            return session.engine.command(&reset).await.map_err(|_| ErrorValue::Error);
        }
        Some(OptionValue::String(text)) => text,
        Some(OptionValue::Bool(b)) => b.to_string(),
        Some(OptionValue::Int64(n)) => n.to_string(),
        Some(OptionValue::Double(x)) => x.to_string(),
        Some(OptionValue::StringList(_)) => return Err(ErrorValue::InvalidValue),
    };
    let schemas = session.engine.schemas();
    let catalog = session.engine.setting("datafusion.catalog.default_catalog").unwrap_or_default();
    let there = match name {
        "catalog" => schemas.iter().any(|(c, _)| *c == text),
        "schema" => schemas.iter().any(|(c, s)| *c == catalog && *s == text),
        _ => true,
    };
    if !there {
        return Err(ErrorValue::InvalidValue);
    }
    // Through SQL, so that the gates have their say.
    let sql = format!("SET {setting} = '{}'", text.replace('\'', "''"));
    match session.engine.command(&sql).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind == crate::error::Kind::Denied => Err(ErrorValue::Error),
        Err(_) => Err(ErrorValue::InvalidValue),
    }
}

/// What is set.
pub(super) fn get(session: &Session) -> Bytes {
    let option = |(name, setting): (&str, &str)| {
        let value = OptionValue::String(session.engine.setting(setting)?);
        Some((name.to_string(), SessionOptionValue { option_value: Some(value) }))
    };
    let session_options = NAMES.into_iter().filter_map(option).collect();
    GetSessionOptionsResult { session_options }.encode_to_vec().into()
}

/// The answer to a client that ends its session.
pub(super) fn closed() -> Bytes {
    CloseSessionResult { status: CloseStatus::Closed.into() }.encode_to_vec().into()
}
