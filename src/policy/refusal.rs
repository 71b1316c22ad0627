// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! How the gate says no: a code, what was refused and where, and what is accepted instead. Decided before data is read,
//! so that a refusal depends on the statement and never on a row.

use std::fmt;

use crate::error::Error;

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The result would be about single persons.
    RowLevel,
    /// Something is used in a way that the policy does not allow.
    NotAllowed,
    /// The answer could be subtracted from an earlier one. Kept for the audit of differences: nothing is refused with it yet.
    Differencing,
    /// Nothing is left of what may be asked. Kept for differential privacy: nothing is refused with it yet.
    Budget,
}

impl Code {
    /// The code as users and the audit log see it.
    pub fn word(self) -> &'static str {
        match self {
            Code::RowLevel => "PRIV001",
            Code::NotAllowed => "PRIV002",
            Code::Differencing => "PRIV003",
            Code::Budget => "PRIV004",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A refusal.
pub(super) fn refusal(code: Code, what: impl fmt::Display) -> Error {
    Error::query(format!("{code}: {what}"))
}

/// The code that an error carries.
pub fn code_of(error: &Error) -> Option<&str> {
    let word = error.message.get(..7)?;
    (word.starts_with("PRIV00") && error.message[7..].starts_with(':')).then_some(word)
}
