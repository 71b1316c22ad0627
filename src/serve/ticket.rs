// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a client is given to hand back later: tickets, handles of prepared statements, tokens. The server keeps none of
//! them; it knows its own by their signature, with a key that is made when it starts and never leaves it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use prost::Message;
use prost::bytes::Bytes;
use sha2::Sha256;

use crate::error::{Error, Result};

/// The length of a signature.
const SIGNATURE: usize = 32;

/// The key of this server's signatures.
pub(super) struct Sealer {
    key: [u8; 64],
}

/// What something sealed is for: a token is no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Purpose {
    Nothing = 0,
    /// Rows of a statement.
    Query = 1,
    /// What a statement answered that has been run: one that changes something runs before there is a ticket.
    Answer = 2,
    /// A prepared statement.
    Prepared = 3,
    /// Somebody who has logged in.
    Token = 4,
}

/// Why something sealed is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not ours, or was changed.
    Foreign,
    /// It was ours, for a while.
    Expired,
}

/// What is sealed.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Sealed {
    #[prost(enumeration = "Purpose", tag = "1")]
    pub(super) purpose: i32,
    /// Whose it is.
    #[prost(string, tag = "2")]
    pub(super) user: String,
    /// Its own number, drawn at random.
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) id: Bytes,
    /// Seconds since 1970.
    #[prost(uint64, tag = "4")]
    pub(super) expires: u64,
    /// The statement.
    #[prost(string, tag = "5")]
    pub(super) sql: String,
    /// The values of its parameters, or an answer, as an Arrow stream; empty for none.
    #[prost(bytes = "bytes", tag = "6")]
    pub(super) values: Bytes,
    /// The columns that were promised.
    #[prost(bytes = "bytes", tag = "7")]
    pub(super) schema: Bytes,
}

impl Sealer {
    /// A new key.
    pub(super) fn new() -> Result<Self> {
        Ok(Self { key: random()? })
    }

    /// Signs.
    pub(super) fn seal(&self, sealed: &Sealed) -> Bytes {
        let content = sealed.encode_to_vec();
        let mut bytes = Vec::with_capacity(SIGNATURE + content.len());
        bytes.extend_from_slice(&self.sign(&content).finalize().into_bytes());
        bytes.extend_from_slice(&content);
        bytes.into()
    }

    /// Checks the signature, the purpose and the time.
    pub(super) fn open(&self, bytes: &[u8], purposes: &[Purpose]) -> Result<Sealed, Refused> {
        let (signature, content) = bytes.split_at_checked(SIGNATURE).ok_or(Refused::Foreign)?;
        // Compares in constant time.
        self.sign(content).verify_slice(signature).map_err(|_| Refused::Foreign)?;
        let sealed = Sealed::decode(content).map_err(|_| Refused::Foreign)?;
        if !purposes.contains(&sealed.purpose()) {
            return Err(Refused::Foreign);
        }
        if sealed.expires < now() {
            return Err(Refused::Expired);
        }
        Ok(sealed)
    }

    fn sign(&self, content: &[u8]) -> Hmac<Sha256> {
        // As long as the hash's block: it is used as it is.
        let mut mac = <Hmac<Sha256> as Mac>::new((&self.key).into());
        mac.update(content);
        mac
    }
}

impl Sealed {
    /// Something new, good for a while.
    pub(super) fn new(purpose: Purpose, user: &str, lifetime: Duration) -> Result<Self> {
        Ok(Self {
            purpose: purpose.into(),
            user: user.to_string(),
            id: Bytes::copy_from_slice(&random::<16>()?),
            expires: now().saturating_add(lifetime.as_secs().max(1)),
            sql: String::new(),
            values: Bytes::new(),
            schema: Bytes::new(),
        })
    }

    /// Its number, to write down.
    pub(super) fn number(&self) -> String {
        hex(&self.id)
    }
}

/// A number of its own for something that needs no ticket.
pub(super) fn number() -> Result<String> {
    Ok(hex(&random::<16>()?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::usage(format!("the system gives no random numbers: {e}")))?;
    Ok(bytes)
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_only_and_only_as_it_was() {
        let sealer = Sealer::new().expect("a key");
        let ticket = Sealed {
            sql: "SELECT 1".into(),
            ..Sealed::new(Purpose::Query, "ann", Duration::from_secs(60)).expect("a number")
        };
        let bytes = sealer.seal(&ticket);
        assert_eq!(sealer.open(&bytes, &[Purpose::Query]).as_ref(), Ok(&ticket));
        assert_eq!(sealer.open(&bytes, &[Purpose::Token]), Err(Refused::Foreign));
        for i in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[i] ^= 1;
            assert_eq!(sealer.open(&changed, &[Purpose::Query]), Err(Refused::Foreign), "{i}");
        }
        assert_eq!(sealer.open(&bytes[..20], &[Purpose::Query]), Err(Refused::Foreign));
        let other = Sealer::new().expect("a key");
        assert_eq!(other.open(&bytes, &[Purpose::Query]), Err(Refused::Foreign));
        let old = Sealed { expires: 1, ..ticket };
        let bytes = sealer.seal(&old);
        assert_eq!(sealer.open(&bytes, &[Purpose::Query]), Err(Refused::Expired));
    }
}
