// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Addresses → stores: this machine's files, `s3://`, `gs://`, `az://` and `http(s)://`.
//!
//! A store is made when its first address is met, from what stands in the environment, and kept. A session's runtime
//! learns of it, so that DataFusion's readers find it too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientOptions, Error as StoreError, ObjectStore, RetryConfig};
use url::Url;

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
    let url = Url::parse(text)
        .map_err(|e| Error::usage(format!("`{}` is not an address: {e}", without_secrets(text))))?;
    // Neither the parser's error nor any other message may repeat it.
    let is_container = matches!(url.scheme(), "abfs" | "abfss");
    if url.password().is_some() || (!url.username().is_empty() && !is_container) {
        return Err(Error::usage(format!(
            "`{}` holds a user or a password, which would end up in logs",
            shown(&url)
        ))
        .hint("credentials come from the environment"));
    }
    Ok(url)
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

/// Where a table's file really lies, whatever store is laid over it.
pub(super) fn origin(url: &Url) -> String {
    match transcode::base(url) {
        Some(base) => format!("{base}{}", url.path()),
        None => without_secrets(url.as_str()),
    }
}

/// An address as it may be shown.
pub(crate) fn shown(url: &Url) -> String {
    without_secrets(url.as_str())
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

/// A few tries within half a minute: a nightly job waits out a hiccup, and a person learns soon that the network is down.
fn patience() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 4,
        retry_timeout: Duration::from_secs(30),
    }
}

fn open(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    let address = &url[..url::Position::BeforePath];
    let made: Result<Arc<dyn ObjectStore>, StoreError> = match url.scheme() {
        "s3" | "s3a" => AmazonS3Builder::from_env()
            .with_url(address)
            .with_retry(patience())
            .build()
            .map(|store| Arc::new(store) as _),
        "gs" => GoogleCloudStorageBuilder::from_env()
            .with_url(address)
            .with_retry(patience())
            .build()
            .map(|store| Arc::new(store) as _),
        "az" | "azure" | "abfs" | "abfss" | "adl" => MicrosoftAzureBuilder::from_env()
            .with_url(address)
            .with_retry(patience())
            .build()
            .map(|store| Arc::new(store) as _),
        "http" | "https" => HttpBuilder::new()
            .with_url(address)
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .with_retry(patience())
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
        let error = parse("https://me:pw@host/a.csv").expect_err("refused");
        assert!(!error.message.contains("pw"), "{error}");
        let url = Url::parse("ftp://host/a.csv").expect("parses");
        assert!(open(&url).expect_err("no such store").message.contains("ftp://"));
    }
}
