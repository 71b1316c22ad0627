// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Addresses → stores: this machine's files, `s3://`, `gs://`, `az://` and `http(s)://`.
//!
//! A store is made when its first address is met, from what stands in the environment, and kept. A session's runtime
//! learns of it, so that DataFusion's readers find it too.
//!
//! The key in an address is the object's name as it is: `s3://shop/c=a%20b/#1.csv`. The URL that is made of it encodes
//! what a URL has to; only the address of a web server is a URL as it is written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path as Location;
use object_store::{BackoffConfig, ClientOptions, Error as StoreError, ObjectStore, RetryConfig};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::Url;

pub(crate) use super::files::in_background;
use super::transcode;
use crate::error::{Error, Result, explain_store, lacking_store};

/// Whether an address names a place that is not on this machine.
pub(crate) fn is_remote(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme != "file"
            && !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

/// Reads the address of an object or of a folder of objects.
pub(crate) fn parse(text: &str) -> Result<Url> {
    let parsed = match text.split_once("://") {
        Some((scheme, rest)) if !is_web(scheme) => {
            let (authority, key) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            Url::parse(&format!("{scheme}://{authority}{}", utf8_percent_encode(key, ENCODED)))
        }
        _ => Url::parse(text),
    };
    let url = parsed.map_err(|e| {
        // A password may hold a slash, and then the address cannot be read.
        let text = without_secrets(text);
        let shown = text.rsplit_once('@').map_or(text.clone(), |(_, host)| format!("…{host}"));
        Error::usage(format!("`{shown}` is not an address: {e}"))
    })?;
    // Neither the parser's error nor any other message may repeat it.
    let is_container = matches!(url.scheme(), "abfs" | "abfss");
    if url.password().is_some() || (!url.username().is_empty() && !is_container) {
        return Err(Error::usage(format!(
            "`{}` holds a user or a password, which would end up in logs",
            shown(&url)
        ))
        .hint("credentials come from the environment"));
    }
    if url.query().is_some() {
        let error = Error::usage(format!("`{}` has a `?` with what is no option", shown(&url)));
        return Err(error.hint(
            "a signed address cannot be read: behind a `?` stand options such as `delimiter=;`",
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        let error = Error::usage(format!("`{text}` names no bucket"));
        return Err(error.hint(format!("write `{}://bucket/folder/file`", url.scheme())));
    }
    Ok(url)
}

/// What is encoded in a key, so that the URL is read back as the key.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'%').add(b'?');

fn is_web(scheme: &str) -> bool {
    matches!(scheme, "http" | "https")
}

/// What a store calls the object of an address.
pub(crate) fn location(url: &Url) -> Result<Location> {
    Location::from_url_path(url.path()).map_err(|_| {
        let error = Error::usage(format!("`{}` cannot be the name of an object", shown(url)));
        error.hint("a part of it is empty, `.` or `..`, or holds a control character")
    })
}

/// The store of an address, the same for all sessions of the process, as its environment is.
pub(crate) fn shared(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    static STORES: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>> = Mutex::new(BTreeMap::new());
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    let key = url[..url::Position::BeforePath].to_string();
    if let Some(known) = stores.get(&key) {
        return Ok(Arc::clone(known));
    }
    let store = open(url)?;
    stores.insert(key, Arc::clone(&store));
    Ok(store)
}

/// The store of an address, known to a session's runtime from now on.
pub(crate) fn of(runtime: &RuntimeEnv, url: &Url) -> Result<Arc<dyn ObjectStore>> {
    if let Ok(known) = runtime.object_store_registry.get_store(url) {
        return Ok(known);
    }
    let store = shared(url)?;
    runtime.register_object_store(url, Arc::clone(&store));
    Ok(store)
}

/// The error of a store, for an address.
pub(crate) fn failed(url: &Url, error: &StoreError) -> Error {
    explain_store(&shown(url), error)
}

/// Where a table's file really lies, whatever store is laid over it: an address, or the URL of a file of this machine.
pub(super) fn origin(url: &Url) -> String {
    match transcode::base(url) {
        Some(base) => written(&base, url.path()),
        None => shown(url),
    }
}

/// An address as it may be shown.
pub(crate) fn shown(url: &Url) -> String {
    written(&without_secrets(&url[..url::Position::BeforePath]), url.path())
}

/// The address of an object in the store of another address.
pub(super) fn beside(address: &str, at: &Location) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let root = format!("{scheme}://{}", rest.split('/').next().unwrap_or_default());
    match Url::parse(&root) {
        Ok(mut url) if is_web(scheme) => {
            url.set_path(at.as_ref());
            url.to_string()
        }
        _ => format!("{root}/{at}"),
    }
}

/// A root and the path of a URL, as an address is written.
fn written(root: &str, path: &str) -> String {
    let scheme = root.split("://").next().unwrap_or_default();
    match is_web(scheme) || scheme == "file" {
        true => format!("{root}{path}"),
        false => format!("{root}{}", percent_decode_str(path).decode_utf8_lossy()),
    }
}

/// An address without what stands before an `@` of its authority, and without what may be a signature.
fn without_secrets(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or(text);
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_string() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some(_) if scheme.starts_with("abfs") => text.to_string(),
        Some((_, host)) => format!("{scheme}://{host}{path}"),
        None => text.to_string(),
    }
}

/// Six tries, which take some ten seconds when all fail: a nightly job waits out a hiccup, and a person learns soon that
/// the network is down.
fn patience() -> Result<RetryConfig> {
    let max_retries = match std::env::var(RETRIES) {
        Ok(text) => text.parse().map_err(|_| {
            Error::usage(format!("`{RETRIES}` is a whole number, not `{text}`"))
                .hint("it says how often a request is repeated that a store has not answered")
        })?,
        Err(_) => 5,
    };
    Ok(RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(5),
            base: 3.0,
        },
        max_retries,
        retry_timeout: Duration::from_secs(30),
    })
}

const RETRIES: &str = "COMPTOIR_RETRIES";

/// Fails for what the environment says and no request can be made of: the store's client panics on it.
fn check(prefix: &str, environment: impl IntoIterator<Item = (String, String)>) -> Result<()> {
    let variables: BTreeMap<String, String> =
        environment.into_iter().filter(|(name, _)| name.starts_with(prefix)).collect();
    let allows_http = variables.get(&format!("{prefix}ALLOW_HTTP")).is_some_and(|text| {
        matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes" | "y")
    });
    for (name, value) in &variables {
        if ENDPOINTS.contains(&name.as_str()) {
            let url = Url::parse(value).ok();
            let Some(url) = url.filter(|u| is_web(u.scheme()) && u.host_str().is_some()) else {
                return Err(Error::usage(format!("`{name}` is not the address of a server"))
                    .hint("write it with its scheme, as in `https://storage.example.com`"));
            };
            if url.scheme() == "http" && !allows_http {
                return Err(Error::usage(format!(
                    "`{name}` is an `http://` address, over which anybody may listen"
                ))
                .hint(format!("write `https://`, or set `{prefix}ALLOW_HTTP=true`")));
            }
        }
        if IN_HEADERS.contains(&name.as_str()) && !value.bytes().all(|b| b.is_ascii_graphic()) {
            let error = Error::usage(format!(
                "`{name}` holds a blank, a line's end or a letter that no key has"
            ));
            return Err(error.hint("set it again, without what stands around it"));
        }
    }
    Ok(())
}

/// Variables that hold the address of a server.
const ENDPOINTS: [&str; 5] = [
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AZURE_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
];

/// Variables whose values are sent as they are.
const IN_HEADERS: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_TOKEN",
];

fn open(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    let address = &url[..url::Position::BeforePath];
    let patience = patience()?;
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    });
    match url.scheme() {
        "s3" | "s3a" => check("AWS_", environment)?,
        "az" | "azure" | "abfs" | "abfss" | "adl" => check("AZURE_", environment)?,
        _ => {}
    }
    let made: Result<Arc<dyn ObjectStore>, StoreError> = match url.scheme() {
        "s3" | "s3a" => AmazonS3Builder::from_env()
            .with_url(address)
            .with_retry(patience)
            .build()
            .map(|store| Arc::new(store) as _),
        "gs" => GoogleCloudStorageBuilder::from_env()
            .with_url(address)
            .with_retry(patience)
            .build()
            .map(|store| Arc::new(store) as _),
        "az" | "azure" | "abfs" | "abfss" | "adl" => MicrosoftAzureBuilder::from_env()
            .with_url(address)
            .with_retry(patience)
            .build()
            .map(|store| Arc::new(store) as _),
        "http" | "https" => HttpBuilder::new()
            .with_url(address)
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .with_retry(patience)
            .build()
            .map(|store| Arc::new(store) as _),
        other => {
            return Err(Error::usage(format!("there is no store for `{other}://`")).hint(
                "files lie on this machine, or at s3://, gs://, az://, http:// or https://",
            ));
        }
    };
    // A store that cannot be made lacks something in the environment, and its own words may hold what is there.
    made.map_err(|_| {
        let shown = shown(url);
        Error::usage(format!(
            "the store of `{shown}` cannot be opened from what the environment says"
        ))
        .hint(lacking_store(&shown))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths_and_shown_without_secrets() {
        assert!(is_remote("s3://b/k") && is_remote("https://h/x.csv"));
        for local in ["a/b.csv", "file:///a", "C:\\x", "a?x=s3://b", "://x"] {
            assert!(!is_remote(local), "{local}");
        }
        for (text, expected) in [
            ("https://me:pw@host/a/b.csv?sig=1", "https://host/a/b.csv"),
            ("s3://bucket/a@b.csv", "s3://bucket/a@b.csv"),
            (
                "abfss://box@account.dfs.core.windows.net/a",
                "abfss://box@account.dfs.core.windows.net/a",
            ),
        ] {
            assert_eq!(without_secrets(text), expected);
        }
        for text in ["https://me:pw@host/a.csv", "s3://me:pw@b/a.csv", "s3://me:p/pw@b/a.csv"] {
            let error = parse(text).expect_err("refused");
            assert!(!error.message.contains("pw"), "{error}");
        }
        for text in ["s3://", "s3:///x"] {
            assert!(parse(text).expect_err("refused").message.contains("no bucket"));
        }
        let url = Url::parse("ftp://host/a.csv").expect("parses");
        assert!(open(&url).expect_err("no such store").message.contains("ftp://"));
    }

    #[test]
    fn a_key_is_what_is_written() {
        for key in ["a b/c=é/x#1.csv", "ts=10%3A00/p.parquet", "what?/100%.csv", "plain/"] {
            let url = parse(&format!("s3://shop/{key}")).expect("an address");
            assert_eq!(location(&url).expect("a key").as_ref(), key.trim_end_matches('/'));
            assert_eq!(shown(&url), format!("s3://shop/{key}"));
        }
        let url = parse("https://host/a%20b.csv").expect("a URL");
        assert_eq!(location(&url).expect("a path").as_ref(), "a b.csv");
        assert_eq!(beside("https://host/x", &location(&url).expect("a path")), url.as_str());
        for key in ["a//b.csv", "a\tb.csv"] {
            let url = parse(&format!("s3://shop/{key}")).expect("an address");
            assert!(location(&url).is_err(), "{key}");
        }
    }

    #[test]
    fn what_no_request_can_be_made_of_is_refused_by_name() {
        let said = |name: &str, value: &str| {
            let all = [(name.to_string(), value.to_string())];
            check(if name.starts_with("AWS") { "AWS_" } else { "AZURE_" }, all)
                .map_err(|error| error.message)
        };
        for (name, value) in [
            ("AWS_ENDPOINT_URL", ""),
            ("AWS_ENDPOINT_URL", "localhost:9000"),
            ("AWS_ENDPOINT", "http://localhost:9000"),
            ("AZURE_STORAGE_ENDPOINT", "nowhere"),
            ("AWS_ACCESS_KEY_ID", "AKIA\n"),
            ("AWS_SESSION_TOKEN", "se cret"),
            ("AWS_REGION", "é"),
        ] {
            let message = said(name, value).expect_err("refused");
            assert!(message.contains(name), "{message}");
            assert!(value.is_empty() || !message.contains(value), "{message}");
        }
        let both = [("AWS_ENDPOINT_URL", "http://h:9000"), ("AWS_ALLOW_HTTP", "TRUE")];
        assert!(check("AWS_", both.map(|(n, v)| (n.to_string(), v.to_string()))).is_ok());
        assert!(said("AWS_PROFILE", "some body").is_ok());
        let patience = patience().expect("a number");
        assert!(patience.max_retries >= 1 && patience.backoff.init_backoff.as_millis() >= 500);
    }
}
