// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Who asks: a password, a token of ours, a service's token, or a token of an issuer that we trust.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::Server;
use super::settings::{Jwt, Settings};
use super::ticket::{Purpose, Refused, Sealed, Sealer};
use crate::policy::{Rights, Who};

/// The user of a server without users.
const ANONYMOUS: &str = "anonymous";
/// How long a client that sends its password with every request is believed before it is checked again.
const BELIEVED: Duration = Duration::from_secs(60);
/// How many passwords are checked at once: each takes some 20 MB and a core.
const AT_ONCE: usize = 2;
/// A failed login waits this long, twice as long after the next, and so on up to the longest.
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(8);
/// After this long without one, failures are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// Somebody who has been let in.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) who: Who,
    /// The session that belongs to its token.
    pub(super) session: Option<String>,
    /// By password, so that a token is made to go on with.
    pub(super) by_password: bool,
}

/// What is remembered of those who knocked.
pub(super) struct Door {
    checks: Semaphore,
    failures: Mutex<HashMap<IpAddr, (u32, Instant)>>,
    believed: Mutex<HashMap<[u8; 32], (String, Instant)>>,
    salt: [u8; 32],
    /// The hash of nobody's password, so that an unknown name takes as long as a known one.
    nobody: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

impl Door {
    pub(super) fn new() -> crate::Result<Self> {
        let salt = super::ticket::random()?;
        let password = BASE64_STANDARD.encode(super::ticket::random::<16>()?);
        Ok(Self {
            checks: Semaphore::new(AT_ONCE),
            failures: Mutex::default(),
            believed: Mutex::default(),
            salt,
            nobody: super::user::hash(&password)?,
        })
    }

    /// Waits, the longer the oftener this address has failed.
    async fn punish(&self, peer: Option<SocketAddr>) {
        let Some(ip) = peer.map(|p| p.ip()) else { return tokio::time::sleep(FIRST_DELAY).await };
        let failures = {
            let mut all = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, (_, last)| last.elapsed() < FORGOTTEN);
            let (failures, last) = all.entry(ip).or_insert((0, Instant::now()));
            *failures = failures.saturating_add(1);
            *last = Instant::now();
            *failures
        };
        let delay = FIRST_DELAY.saturating_mul(1 << failures.saturating_sub(1).min(10));
        tokio::time::sleep(delay.min(LONGEST_DELAY)).await;
    }

    fn fingerprint(&self, name: &str, password: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.salt);
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(password);
        hash.finalize().into()
    }
}

impl Server {
    /// Who sends a request, or why it is not answered.
    pub(super) async fn identify(
        &self,
        headers: &MetadataMap,
        peer: Option<SocketAddr>,
    ) -> Result<Known, Status> {
        let header = headers.get("authorization").and_then(|h| h.to_str().ok()).map(str::trim);
        let legacy = headers.get_bin("auth-token-bin").and_then(|h| h.to_bytes().ok());
        let legacy = legacy.as_deref().and_then(|b| std::str::from_utf8(b).ok());
        let (scheme, rest) = match header.and_then(|h| h.split_once(' ')) {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest.trim()),
            None => match legacy {
                Some(token) => ("bearer".to_string(), token),
                None => (String::new(), ""),
            },
        };
        if self.settings.open() {
            let who = anonymous(&self.settings);
            // A token of ours says which session is meant.
            let token = by_token(&self.sealer, rest).ok();
            return Ok(Known {
                who,
                session: token.map(|t| t.number()),
                by_password: scheme == "basic",
            });
        }
        let (found, how) = match scheme.as_str() {
            "basic" => {
                let decoded = BASE64_STANDARD.decode(rest).ok();
                let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
                match decoded.as_deref().and_then(|text| text.split_once(':')) {
                    Some((name, password)) => return self.password(name, password, peer).await,
                    None => (None, "basic"),
                }
            }
            "bearer" => (self.token(rest)?, "token"),
            "" => {
                return Err(Status::unauthenticated(
                    "this server wants a user and a password, or a token",
                ));
            }
            _ => (None, "unknown"),
        };
        match found {
            Some(known) => Ok(known),
            None => Err(self.turned_away("", how, peer).await),
        }
    }

    /// Somebody with a password.
    pub(super) async fn password(
        &self,
        name: &str,
        password: &str,
        peer: Option<SocketAddr>,
    ) -> Result<Known, Status> {
        if self.settings.open() {
            return Ok(Known { who: anonymous(&self.settings), session: None, by_password: true });
        }
        let fingerprint = self.door.fingerprint(name, password);
        let believed = {
            let mut all = self.door.believed.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, (_, since)| since.elapsed() < BELIEVED);
            all.get(&fingerprint).is_some_and(|(of, _)| of == name)
        };
        let user = self.settings.users.get(name);
        let right = match believed {
            true => true,
            false => {
                let hash = user.map_or(&self.door.nobody, |u| &u.password).clone();
                let password = password.to_string();
                let _permit = self.door.checks.acquire().await;
                let checked = tokio::task::spawn_blocking(move || {
                    let hash = PasswordHash::new(&hash);
                    hash.is_ok_and(|hash| {
                        Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
                    })
                });
                checked.await.unwrap_or(false)
            }
        };
        match user {
            Some(user) if right => {
                if !believed {
                    let peer = peer.map_or(String::new(), |p| p.to_string());
                    self.log.login(name, "password", &peer, true);
                    let mut all = self.door.believed.lock().unwrap_or_else(PoisonError::into_inner);
                    all.insert(fingerprint, (name.to_string(), Instant::now()));
                }
                Ok(Known { who: user.who.clone(), session: None, by_password: true })
            }
            _ => Err(self.turned_away(name, "password", peer).await),
        }
    }

    /// A token to go on with, and the session that it stands for.
    pub(super) fn new_token(&self, who: &Who) -> Result<(String, String), Status> {
        let lifetime = self.settings.limits.token_lifetime;
        let token =
            Sealed::new(Purpose::Token, &who.user, lifetime).map_err(super::status::plain)?;
        Ok((BASE64_URL_SAFE_NO_PAD.encode(self.sealer.seal(&token)), token.number()))
    }

    fn token(&self, token: &str) -> Result<Option<Known>, Status> {
        match by_token(&self.sealer, token) {
            Ok(sealed) => {
                let user = self.settings.users.get(&sealed.user);
                return Ok(user.map(|user| Known {
                    who: user.who.clone(),
                    session: Some(sealed.number()),
                    by_password: false,
                }));
            }
            Err(Refused::Expired) => {
                return Err(Status::unauthenticated("the token has expired: log in again"));
            }
            Err(Refused::Foreign) => {}
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        // All are compared, so that the time says nothing.
        for token in &self.settings.tokens {
            if bool::from(token.hash.ct_eq(&hash)) {
                found = Some(token.who.clone());
            }
        }
        let found = found.or_else(|| self.settings.jwt.as_ref().and_then(|jwt| by_jwt(jwt, token)));
        Ok(found.map(|who| Known { who, session: None, by_password: false }))
    }

    async fn turned_away(&self, name: &str, how: &str, peer: Option<SocketAddr>) -> Status {
        self.metrics.failed_login();
        self.log.login(name, how, &peer.map_or(String::new(), |p| p.to_string()), false);
        self.door.punish(peer).await;
        Status::unauthenticated(match how {
            "password" => "the user or the password is wrong",
            "token" => "the token is not valid here",
            _ => "the `authorization` header cannot be read",
        })
    }
}

fn anonymous(settings: &Settings) -> Who {
    let rights = settings.anonymous;
    Who { user: ANONYMOUS.into(), role: rights.word().into(), rights }
}

fn by_token(sealer: &Sealer, token: &str) -> Result<Sealed, Refused> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| Refused::Foreign)?;
    sealer.open(&bytes, &[Purpose::Token])
}

fn by_jwt(jwt: &Jwt, token: &str) -> Option<Who> {
    let mut valid = jsonwebtoken::Validation::new(jwt.algorithm);
    valid.set_issuer(&[&jwt.issuer]);
    valid.set_audience(&[&jwt.audience]);
    valid.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    valid.validate_nbf = true;
    valid.leeway = 30;
    let claims = jsonwebtoken::decode::<Claims>(token, &jwt.key, &valid).ok()?.claims;
    let role = claims.others.get(&jwt.role_claim).and_then(|role| role.as_str());
    let rights = role.and_then(Rights::named).unwrap_or_default().min(jwt.rights);
    let role = match role {
        // A word that would promise more than is given.
        Some(role) if Rights::named(role).is_some_and(|r| r > rights) => rights.word(),
        Some(role) => role,
        None => rights.word(),
    };
    Some(Who { user: claims.sub, role: role.to_string(), rights })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn jwt(secret: &[u8]) -> Jwt {
        Jwt {
            issuer: "https://id".into(),
            audience: "comptoir".into(),
            algorithm: jsonwebtoken::Algorithm::HS256,
            key: jsonwebtoken::DecodingKey::from_secret(secret),
            role_claim: "role".into(),
            rights: Rights::Writer,
        }
    }

    #[test]
    fn an_issuer_s_token_is_taken_whole_or_not_at_all() {
        let secret = b"0123456789abcdef0123456789abcdef";
        let claims = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut claims = serde_json::json!({
                "sub": "ann", "iss": "https://id", "aud": "comptoir", "role": "admin",
                "exp": super::super::ticket::now() + 60,
            });
            change(&mut claims);
            let key = jsonwebtoken::EncodingKey::from_secret(secret);
            jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("encodes")
        };
        let who = by_jwt(&jwt(secret), &claims(&|_| {})).expect("is good");
        // No more than the configuration lets a token give.
        assert_eq!(
            (who.user.as_str(), who.role.as_str(), who.rights),
            ("ann", "writer", Rights::Writer)
        );
        for change in [
            &(|c: &mut serde_json::Value| c["iss"] = "https://other".into()) as &dyn Fn(&mut _),
            &|c| c["aud"] = "other".into(),
            &|c| c["exp"] = 1_000.into(),
            &|c| c["nbf"] = (super::super::ticket::now() + 600).into(),
            &|c| drop(c.as_object_mut().expect("object").remove("exp")),
            &|c| drop(c.as_object_mut().expect("object").remove("aud")),
        ] {
            assert!(by_jwt(&jwt(secret), &claims(change)).is_none());
        }
        assert!(by_jwt(&jwt(b"another secret of thirty-two by."), &claims(&|_| {})).is_none());
        // No signature at all.
        let token = claims(&|_| {});
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", token.split('.').nth(1).expect("claims"));
        assert!(by_jwt(&jwt(secret), &unsigned).is_none());
    }

    #[test]
    fn the_rights_of_the_anonymous_are_those_of_a_reader_unless_said() {
        for (text, rights) in
            [("", Rights::Reader), ("[serve]\nanonymous = \"writer\"", Rights::Writer)]
        {
            let config = Config::parse(text, Path::new("")).expect("parses");
            let settings = Settings::read(&config, &Default::default()).expect("reads");
            assert_eq!(anonymous(&settings).rights, rights);
        }
    }
}
