// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `[serve]`, `[users]` and `[tokens]` of the configuration → what the server goes by.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::config::{Config, parse_bytes};
use crate::error::{Error, Result};
use crate::policy::{Rights, Who};

/// Where the server listens when nothing is said.
pub const LISTEN: &str = "127.0.0.1:31337";

/// Everything the server goes by.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) listen: SocketAddr,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) tls: Option<Tls>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) tokens: Vec<Token>,
    pub(super) jwt: Option<Jwt>,
    /// What a client may change when there are no users.
    pub(super) anonymous: Rights,
    pub(super) limits: Limits,
    pub(super) roles: BTreeMap<String, RoleLimits>,
    pub(super) access_log: Option<PathBuf>,
    /// Text leaves as `Utf8View`, as the engine has it, and not as the `Utf8` that every client knows.
    pub(super) views: bool,
}

/// A certificate, and perhaps the authority that clients' own must come from.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_ca: Option<PathBuf>,
    pub(super) client_optional: bool,
}

/// Somebody with a password.
#[derive(Clone)]
pub(super) struct User {
    pub(super) who: Who,
    pub(super) password: String,
}

/// A program with a token that never changes.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) who: Who,
    /// SHA-256 of it.
    pub(super) hash: [u8; 32],
}

/// Tokens of somebody else's making.
#[derive(Clone)]
pub(super) struct Jwt {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) algorithm: jsonwebtoken::Algorithm,
    pub(super) key: jsonwebtoken::DecodingKey,
    pub(super) role_claim: String,
    /// The most that a token can give.
    pub(super) rights: Rights,
}

// Nothing that is a secret or the likeness of one may be printed by accident.
macro_rules! hidden {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}
hidden!(User, Token, Jwt);

/// What keeps one client from hurting the others.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) queries: usize,
    pub(super) queue: usize,
    pub(super) query_timeout: Duration,
    pub(super) sessions: usize,
    pub(super) session_idle: Duration,
    pub(super) token_lifetime: Duration,
    pub(super) ticket_lifetime: Duration,
    pub(super) keep_alive: Duration,
    pub(super) stall: Duration,
    pub(super) drain: Duration,
    pub(super) ingest_bytes: usize,
}

/// The most that a query of a role gives.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoleLimits {
    pub(super) rows: Option<u64>,
    pub(super) bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    listen: Option<String>,
    metrics: Option<String>,
    tls: Option<WrittenTls>,
    jwt: Option<WrittenJwt>,
    anonymous: Option<String>,
    queries: Option<usize>,
    queue: Option<usize>,
    query_timeout: Option<String>,
    sessions: Option<usize>,
    session_idle: Option<String>,
    token_lifetime: Option<String>,
    ticket_lifetime: Option<String>,
    keep_alive: Option<String>,
    stall: Option<String>,
    drain: Option<String>,
    ingest_bytes: Option<String>,
    access_log: Option<PathBuf>,
    text: Option<String>,
    #[serde(default)]
    limits: BTreeMap<String, WrittenLimits>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTls {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    #[serde(default)]
    client_optional: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenJwt {
    issuer: String,
    audience: String,
    algorithm: String,
    key: PathBuf,
    role_claim: Option<String>,
    rights: Option<String>,
}
hidden!(WrittenJwt);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLimits {
    rows: Option<u64>,
    bytes: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUser {
    password: Option<String>,
    sha256: Option<String>,
    role: Option<String>,
    rights: Option<String>,
}

impl Settings {
    /// Reads the settings; what was typed goes before what the file says.
    pub(super) fn read(config: &Config, typed: &super::Options) -> Result<Self> {
        let written: Written = section(config, "serve")?;
        let within = |path: &Path| config.folder.join(path);
        let listen = typed.listen.as_deref().or(written.listen.as_deref()).unwrap_or(LISTEN);
        let metrics = typed.metrics.as_deref().or(written.metrics.as_deref());
        let tls = match (&typed.certificate, &typed.key) {
            (Some(certificate), Some(key)) => Some(Tls {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: typed.client_ca.clone(),
                client_optional: false,
            }),
            _ => written.tls.map(|tls| Tls {
                certificate: within(&tls.certificate),
                key: within(&tls.key),
                client_ca: tls.client_ca.as_deref().map(within),
                client_optional: tls.client_optional,
            }),
        };
        let anonymous = typed.anonymous.as_deref().or(written.anonymous.as_deref());
        let views = match written.text.as_deref() {
            None | Some("utf8") => false,
            Some("view") => true,
            Some(other) => {
                return Err(Error::usage(format!(
                    "[serve] text is `utf8` or `view`; found `{other}`"
                )));
            }
        };
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let time = |name: &str, text: Option<String>, default: u64| match text {
            Some(text) => duration(&text).map_err(|e| e.context(format_args!("[serve] {name}"))),
            None => Ok(Duration::from_secs(default)),
        };
        let limits = Limits {
            queries: at_least_one("[serve] queries", written.queries, cores.max(4))?,
            queue: written.queue.unwrap_or(256),
            query_timeout: time("query_timeout", written.query_timeout, 600)?,
            sessions: at_least_one("[serve] sessions", written.sessions, 1_000)?,
            session_idle: time("session_idle", written.session_idle, 1_800)?,
            token_lifetime: time("token_lifetime", written.token_lifetime, 8 * 3_600)?,
            ticket_lifetime: time("ticket_lifetime", written.ticket_lifetime, 3_600)?,
            keep_alive: time("keep_alive", written.keep_alive, 20)?,
            stall: time("stall", written.stall, 120)?,
            drain: time("drain", written.drain, 30)?,
            ingest_bytes: match written.ingest_bytes {
                Some(text) => parse_bytes(&text).map_err(|e| e.context("[serve] ingest_bytes"))?,
                None => 1 << 30,
            },
        };
        let settings = Self {
            listen: address(listen)?,
            metrics: metrics.map(address).transpose()?,
            tls,
            users: users(config)?,
            tokens: tokens(config)?,
            jwt: written.jwt.map(|jwt| jwt.read(config)).transpose()?,
            anonymous: match anonymous {
                Some(word) => rights(word)?,
                None => Rights::Reader,
            },
            limits,
            roles: written
                .limits
                .into_iter()
                .map(|(role, l)| {
                    let bytes = l.bytes.as_deref().map(parse_bytes).transpose();
                    let bytes =
                        bytes.map_err(|e| e.context(format_args!("[serve.limits.{role}]")))?;
                    Ok((role, RoleLimits { rows: l.rows, bytes: bytes.map(|b| b as u64) }))
                })
                .collect::<Result<_>>()?,
            access_log: written.access_log.as_deref().map(within),
            views,
        };
        settings.check()?;
        Ok(settings)
    }

    /// Whether everybody is let in.
    pub(super) fn open(&self) -> bool {
        self.users.is_empty() && self.tokens.is_empty() && self.jwt.is_none()
    }

    /// Only this machine may be served without a lock on the door.
    fn check(&self) -> Result<()> {
        if self.listen.ip().is_loopback() {
            return Ok(());
        }
        let listen = self.listen;
        if self.tls.is_none() {
            return Err(Error::usage(format!(
                "`{listen}` can be reached from other machines, and passwords and data would be sent in the clear"
            ))
            .hint("give a certificate: `[serve.tls]` with `certificate` and `key`")
            .hint(format!("or listen on this machine only: `--listen {LISTEN}`")));
        }
        if self.open() {
            return Err(Error::usage(format!(
                "`{listen}` can be reached from other machines, and everybody would be let in"
            ))
            .hint("add a user: `comptoir user add NAME`"));
        }
        Ok(())
    }
}

impl WrittenJwt {
    fn read(self, config: &Config) -> Result<Jwt> {
        use jsonwebtoken::{Algorithm, DecodingKey};
        let path = config.folder.join(&self.key);
        let key = std::fs::read(&path).map_err(|e| {
            Error::usage(format!("[serve.jwt] cannot read the key `{}`: {e}", path.display()))
        })?;
        let wrong = |_| {
            Error::usage(format!(
                "[serve.jwt] `{}` is not a key for {}",
                path.display(),
                self.algorithm
            ))
        };
        let (algorithm, key) = match self.algorithm.as_str() {
            "HS256" => {
                let secret = key.trim_ascii();
                if secret.len() < 32 {
                    return Err(Error::usage(
                        "[serve.jwt] a secret of fewer than 32 bytes can be guessed",
                    ));
                }
                (Algorithm::HS256, DecodingKey::from_secret(secret))
            }
            "RS256" => (Algorithm::RS256, DecodingKey::from_rsa_pem(&key).map_err(wrong)?),
            "EdDSA" => (Algorithm::EdDSA, DecodingKey::from_ed_pem(&key).map_err(wrong)?),
            other => {
                return Err(Error::usage(format!(
                    "[serve.jwt] algorithm is HS256, RS256 or EdDSA; found `{other}`"
                )));
            }
        };
        Ok(Jwt {
            issuer: self.issuer,
            audience: self.audience,
            algorithm,
            key,
            role_claim: self.role_claim.unwrap_or_else(|| "role".into()),
            rights: self.rights.as_deref().map_or(Ok(Rights::Reader), rights)?,
        })
    }
}

fn users(config: &Config) -> Result<BTreeMap<String, User>> {
    let mut users = BTreeMap::new();
    for (name, user) in section::<BTreeMap<String, WrittenUser>>(config, "users")? {
        let wrong = |what: &str| Error::usage(format!("[users.{name}] {what}"));
        if user.sha256.is_some() {
            return Err(wrong("a user has a `password`; `sha256` is for [tokens]"));
        }
        let password = user.password.clone().unwrap_or_default();
        if argon2::PasswordHash::new(&password).is_err() {
            return Err(wrong("`password` is not an Argon2 hash")
                .hint(format!("let `comptoir user add {name}` write it")));
        }
        let who = who(&name, &user)?;
        users.insert(name, User { who, password });
    }
    Ok(users)
}

fn tokens(config: &Config) -> Result<Vec<Token>> {
    let mut tokens = vec![];
    for (name, token) in section::<BTreeMap<String, WrittenUser>>(config, "tokens")? {
        let hash = token.sha256.as_deref().and_then(unhex).ok_or_else(|| {
            Error::usage(format!("[tokens.{name}] needs `sha256`, the token's hash in hexadecimal"))
                .hint(format!("let `comptoir user token {name}` make both"))
        })?;
        tokens.push(Token { who: who(&name, &token)?, hash });
    }
    Ok(tokens)
}

fn who(name: &str, written: &WrittenUser) -> Result<Who> {
    let by_role = || written.role.as_deref().and_then(Rights::named);
    let rights = match &written.rights {
        Some(word) => rights(word)?,
        None => by_role().unwrap_or_default(),
    };
    Ok(Who { user: name.to_string(), role: written.role.clone(), rights })
}

/// The rights of a word, or what words there are.
pub(super) fn rights(word: &str) -> Result<Rights> {
    Rights::named(word).ok_or_else(|| {
        Error::usage(format!("`{word}` are no rights"))
            .hint("rights are `reader`, `writer` or `admin`")
    })
}

fn section<T: Default + for<'de> Deserialize<'de>>(config: &Config, name: &str) -> Result<T> {
    let Some(value) = config.server.get(name) else { return Ok(T::default()) };
    value.clone().try_into().map_err(|e: toml::de::Error| {
        // The text that is quoted could be a hash.
        Error::usage(format!("[{name}] {}", e.message()))
    })
}

fn address(text: &str) -> Result<SocketAddr> {
    let found = text.to_socket_addrs().ok().and_then(|mut found| found.next());
    found.ok_or_else(|| {
        Error::usage(format!("`{text}` is not an address"))
            .hint(format!("write a host and a port: `{LISTEN}`, `[::1]:0`"))
    })
}

fn at_least_one(name: &str, value: Option<usize>, default: usize) -> Result<usize> {
    match value {
        Some(0) => Err(Error::usage(format!("{name} is at least 1; found 0"))),
        value => Ok(value.unwrap_or(default)),
    }
}

/// `500ms`, `30s`, `10m`, `8h`, `7d`.
fn duration(text: &str) -> Result<Duration> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let millis: Option<u64> = match unit.trim() {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let number = number.parse::<u64>().ok().filter(|n| *n > 0);
    number.zip(millis).and_then(|(n, m)| n.checked_mul(m)).map(Duration::from_millis).ok_or_else(
        || {
            Error::usage(format!("`{text}` is not a length of time"))
                .hint("write `500ms`, `30s`, `10m`, `8h` or `7d`")
        },
    )
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings> {
        let config = Config::parse(text, Path::new("")).expect("parses");
        Settings::read(&config, &super::super::Options::default())
    }

    #[test]
    fn other_machines_are_served_only_with_tls_and_users() {
        assert!(read("").expect("loopback").open());
        let error = read("[serve]\nlisten = \"0.0.0.0:1\"").expect_err("no TLS");
        assert!(error.message.contains("in the clear"), "{error}");
        let tls = "[serve]\nlisten = \"0.0.0.0:1\"\n[serve.tls]\ncertificate = \"c\"\nkey = \"k\"";
        let error = read(tls).expect_err("no users");
        assert!(error.message.contains("everybody"), "{error}");
    }

    #[test]
    fn mistakes_are_told_by_their_names_and_without_secrets() {
        for (text, said) in [
            ("[serve]\nqueries = 0", "queries"),
            ("[serve]\nquery_timeout = \"soon\"", "query_timeout"),
            ("[serve]\nlisen = \"x\"", "lisen"),
            ("[users.ann]\npassword = \"hunter2\"", "users.ann"),
            ("[tokens.superset]\nsha256 = \"hunter2\"", "tokens.superset"),
            ("[users.ann]\npassword = \"hunter2\"\nrights = \"god\"", "users.ann"),
        ] {
            let error = read(text).expect_err(text);
            let told = format!("{error} {:?} {:?}", error.notes, error.hints);
            assert!(told.contains(said) && !told.contains("hunter2"), "{text}: {told}");
        }
    }

    #[test]
    fn lengths_of_time_have_units() {
        assert_eq!(duration("90s").expect("reads"), Duration::from_secs(90));
        assert_eq!(duration("2 h").expect("reads"), Duration::from_secs(7_200));
        for text in ["", "10", "0s", "-1s", "1y"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
