// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Who asks.

/// The person or program behind a session, as a door has established it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The name that the audit log shows.
    pub user: String,
    /// The role of the policy that they act in; `None` is the policy's default role.
    pub role: Option<String>,
}

impl Who {
    /// The user of this process: who may read its files needs no password.
    pub fn local(role: Option<String>) -> Self {
        let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
        Self { user: user.unwrap_or_else(|_| "local".into()), role }
    }
}
