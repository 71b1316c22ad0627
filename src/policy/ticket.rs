// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A statement's two lines in the audit log: what the policy said, before anything leaves, and what left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::{Found, Policy, Session, audit, code_of, redact};
use crate::error::{Error, Result};

static STATEMENTS: AtomicU64 = AtomicU64::new(1);

/// A statement that has been let through, until its last row has left.
#[derive(Debug)]
pub struct Ticket {
    policy: Arc<Policy>,
    id: String,
    started: Instant,
    closed: bool,
}

impl Session {
    /// Writes down what the policy said of a statement. A statement may not run when this fails.
    pub fn write_down(
        &self,
        text: &str,
        said: std::result::Result<&Found, &Error>,
    ) -> Result<Option<Ticket>> {
        let Some(log) = self.policy.log() else { return Ok(None) };
        let redacted = redact::text(text);
        let number = STATEMENTS.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", std::process::id());
        let mut entry = Map::new();
        entry.insert("event".into(), json!("statement"));
        entry.insert("id".into(), json!(id));
        entry.insert("time".into(), json!(time()));
        entry.insert("user".into(), json!(self.who.user));
        entry.insert("role".into(), json!(self.role_name));
        entry.insert("purpose".into(), json!(self.purpose()));
        entry.insert("fingerprint".into(), json!(audit::fingerprint(&redacted)));
        entry.insert("text".into(), json!(redacted));
        let verdict = match said {
            Ok(found) => {
                entry.insert("tables".into(), json!(found.tables));
                entry.insert("columns".into(), json!(found.columns));
                "allowed"
            }
            Err(error) => {
                entry.insert("rule".into(), json!(code_of(error)));
                // What else went wrong is the statement's affair, and may repeat its words.
                if code_of(error).is_some() { "refused" } else { "failed" }
            }
        };
        entry.insert("verdict".into(), json!(verdict));
        log.add(entry)?;
        let ticket = Ticket {
            policy: Arc::clone(&self.policy),
            id,
            started: Instant::now(),
            closed: said.is_err(),
        };
        Ok(Some(ticket))
    }
}

impl Ticket {
    /// Writes down how the statement ended.
    pub fn close(&mut self, outcome: &str, rows: u64) -> Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let Some(log) = self.policy.log() else { return Ok(()) };
        let mut entry: Map<String, Value> = Map::new();
        entry.insert("event".into(), json!("end"));
        entry.insert("id".into(), json!(self.id));
        entry.insert("time".into(), json!(time()));
        entry.insert("outcome".into(), json!(outcome));
        entry.insert("rows".into(), json!(rows));
        entry.insert("ms".into(), json!(self.started.elapsed().as_millis() as u64));
        log.add(entry)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // The first line is there; that the second cannot be written must not become a panic.
        let _ = self.close("not read to its end", 0);
    }
}

fn time() -> String {
    let passed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = passed.ok().and_then(|p| i64::try_from(p.as_nanos()).ok()).unwrap_or_default();
    DateTime::from_timestamp_nanos(nanos).to_rfc3339()
}
