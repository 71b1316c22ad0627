// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The gates that every plan passes before it runs. They belong to the session, so that no door can go around them.

use datafusion::logical_expr::LogicalPlan;

use crate::error::Result;

mod read_only;
mod rights;
mod who;

pub use who::{Rights, Who};

/// One question asked of every plan.
pub trait Gate: std::fmt::Debug + Send + Sync {
    /// Lets the plan pass or says why not.
    fn check(&self, plan: &LogicalPlan) -> Result<()>;
}

/// What a session allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Refuse everything that changes a table, a file or the session.
    pub read_only: bool,
    /// What the session's user may change.
    pub rights: Rights,
}

/// The gates of a session, in the order in which a plan meets them.
pub fn gates(rules: Rules) -> Vec<Box<dyn Gate>> {
    let mut gates: Vec<Box<dyn Gate>> = vec![];
    if rules.read_only {
        // First, because what may not be written need not be examined further.
        gates.push(Box::new(read_only::ReadOnly));
    }
    if rules.rights < Rights::Admin {
        gates.push(Box::new(rights::Allowed(rules.rights)));
    }
    gates
}
