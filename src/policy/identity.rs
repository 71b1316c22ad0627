// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What decides, of a policy, what a statement releases: for who keeps answers and must know when they are out of date.

use super::declarations::Declarations;
use super::pseudonym::Key;
use crate::config::Privacy;
use crate::error::Result;

/// All that the policy says now, and a fingerprint of its key, as one text. Not to be shown.
pub(crate) fn identity(privacy: &Privacy) -> Result<String> {
    let declared = Declarations::of(privacy)?;
    let key = declared.key.as_ref().map(Key::read).transpose()?;
    let key = key.map(|key| key.pseudonym("the key itself")).transpose()?;
    Ok(format!("{declared:?}{key:?}"))
}
