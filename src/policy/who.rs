// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! For whom a session works.

/// A person or a program, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Who {
    /// The name it is known by.
    pub user: String,
    /// Its role in the privacy policy: what it may see. `None` is the policy's default role.
    pub role: Option<String>,
    /// Its rights: what it may change.
    pub rights: Rights,
}

/// What somebody may change. Each may do what those before it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rights {
    /// Reads the tables of the catalog, and nothing else.
    #[default]
    Reader,
    /// Changes tables of the catalog.
    Writer,
    /// Reads and writes files by their paths too, and changes every setting.
    Admin,
}

impl Who {
    /// The user of this process: who may read its files needs no password.
    pub fn local(role: Option<String>) -> Self {
        let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
        Self { user: user.unwrap_or_else(|_| "local".into()), role, rights: Rights::Admin }
    }

    /// What logs and limits call its role: that of the policy, or what it may change.
    pub fn role_name(&self) -> &str {
        self.role.as_deref().unwrap_or(self.rights.word())
    }
}

impl Rights {
    /// All of them, the least first.
    pub const ALL: [Rights; 3] = [Rights::Reader, Rights::Writer, Rights::Admin];

    /// How a configuration writes it.
    pub fn word(self) -> &'static str {
        match self {
            Rights::Reader => "reader",
            Rights::Writer => "writer",
            Rights::Admin => "admin",
        }
    }

    /// The rights of that word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rights| rights.word() == word)
    }
}
