// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Who asked what, a line of JSON each. Values that people wrote into their statements are not in it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tonic::Code;

use super::queries::Query;
use super::ticket;
use crate::error::{Error, Result};

/// The log, if one is kept.
#[derive(Default)]
pub(super) struct AccessLog {
    file: Option<Mutex<File>>,
}

impl AccessLog {
    /// Adds to a file.
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let file = File::options().create(true).append(true).open(path).map_err(|e| {
            Error::usage(format!("cannot write the access log `{}`: {e}", path.display()))
        })?;
        Ok(Self { file: Some(Mutex::new(file)) })
    }

    /// A query has ended.
    pub(super) fn query(&self, query: &Query, code: Code) {
        self.write(|| {
            json!({
                "event": "query",
                "query_id": query.id,
                "user": query.who.user,
                "role": query.who.role_name(),
                "sql": query.sql(),
                "code": format!("{code:?}"),
                "rows": query.rows.load(Ordering::Relaxed),
                "bytes": query.bytes.load(Ordering::Relaxed),
                "peak_memory": query.meter.peak(),
                "seconds": query.seconds(),
            })
        });
    }

    /// Somebody was let in, or not.
    pub(super) fn login(&self, user: &str, how: &str, peer: &str, let_in: bool) {
        self.write(|| {
            json!({ "event": "login", "user": user, "how": how, "peer": peer, "let_in": let_in })
        });
    }

    fn write(&self, line: impl FnOnce() -> Value) {
        let Some(file) = &self.file else { return };
        let mut line = line();
        if let Value::Object(fields) = &mut line {
            fields.insert("at".into(), ticket::now().into());
        }
        // One write, so that lines of two queries cannot mix. A full disk must not stop the answers.
        let text = format!("{line}\n");
        let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes());
    }
}
