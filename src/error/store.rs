// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What an object store's error comes to. Its own words are never shown: they hold addresses with signatures in them, and
//! what a server chose to answer.

use std::io::ErrorKind;

use object_store::Error as Store;
use object_store::client::{HttpError, HttpErrorKind};

use super::{Error, Kind, io_kind};

/// What is the matter.
#[derive(Debug, PartialEq)]
pub(crate) enum Trouble {
    /// No answer, or none in time.
    Unreachable,
    /// An answer that means later.
    Busy(u16),
    /// Nothing in the environment says who is asking.
    NoCredentials,
    /// Who is asking may not.
    Refused,
    /// The store's bucket or container is not there.
    NoBucket,
    /// Nothing is there by this name.
    NoObject,
    /// The bucket lies in another region.
    Elsewhere,
    /// An answer that nobody expected.
    Status(u16),
    /// Something on this machine, in its own words.
    Here(Kind, String),
}

/// Tells what is the matter.
pub(crate) fn trouble(error: &Store) -> Trouble {
    if let Store::Generic { store: "LocalFileSystem", .. } = error {
        return Trouble::Here(kind_of(error), error.to_string());
    }
    let text = error.to_string();
    // The addresses at which a cloud tells its own machines who they are: asked only when the environment says nothing.
    let asked_the_cloud =
        ["169.254.169.254", "169.254.170.2", "/latest/api/token", "/computeMetadata/"]
            .iter()
            .any(|address| text.contains(address));
    if asked_the_cloud {
        return Trouble::NoCredentials;
    }
    if text.contains("NoSuchBucket") || text.contains("ContainerNotFound") {
        return Trouble::NoBucket;
    }
    if causes(error).any(|cause| {
        cause.downcast_ref::<HttpError>().is_some_and(|e| e.kind() != HttpErrorKind::Decode)
    }) {
        return Trouble::Unreachable;
    }
    match (error, status(&text)) {
        (Store::Unauthenticated { .. } | Store::PermissionDenied { .. }, _)
        | (_, Some(401 | 403)) => Trouble::Refused,
        (Store::NotFound { .. }, _) | (_, Some(404)) => Trouble::NoObject,
        (_, Some(301 | 307 | 308)) => Trouble::Elsewhere,
        (_, Some(code)) if code == 408 || code == 429 || code >= 500 => Trouble::Busy(code),
        (_, Some(code)) => Trouble::Status(code),
        (_, None) if text.contains("redirect without LOCATION") => Trouble::Elsewhere,
        (Store::JoinError { .. }, None) => Trouble::Unreachable,
        (_, None) => Trouble::Here(kind_of(error), error.to_string()),
    }
}

/// The error, for a place that may be named.
pub(crate) fn explain(place: &str, error: &Store) -> Error {
    match trouble(error) {
        Trouble::Unreachable => {
            Error::new(Kind::Retry, format!("the store of `{place}` cannot be reached"))
                .hint("try again; check the network and the address of the store")
        }
        Trouble::Busy(status) => Error::new(
            Kind::Retry,
            format!("the store of `{place}` answers {status}, also after several tries"),
        )
        .hint("try again later"),
        Trouble::NoCredentials => {
            Error::usage(format!("there are no credentials for `{place}`")).hint(lacking(place))
        }
        Trouble::Refused => {
            Error::usage(format!("the store refuses `{place}` to these credentials"))
                .hint("look at the key, and at what it may read and write")
        }
        Trouble::NoBucket => {
            Error::usage(format!("there is no bucket for `{}`", place.trim_end_matches('/')))
                .hint("look at its name, and at the account and the endpoint it should be at")
        }
        Trouble::NoObject => Error::usage(format!("there is nothing at `{place}`")),
        Trouble::Elsewhere => Error::usage(format!("`{place}` lies in another region"))
            .hint("set `AWS_REGION` to the bucket's"),
        Trouble::Status(status) => Error::query(format!("the store of `{place}` answers {status}")),
        Trouble::Here(kind, words) => Error::new(kind, words),
    }
}

/// What to set for a store.
pub(crate) fn lacking(place: &str) -> &'static str {
    match place.split("://").next() {
        Some("gs") => "set `GOOGLE_APPLICATION_CREDENTIALS` to the file of a service account",
        Some("az" | "azure" | "abfs" | "abfss" | "adl") => {
            "set `AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ACCOUNT_KEY`"
        }
        _ => {
            "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, and `AWS_ENDPOINT_URL` for a store that is not Amazon's; `AWS_SKIP_SIGNATURE=true` for a public one"
        }
    }
}

fn causes(error: &Store) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

fn kind_of(error: &Store) -> Kind {
    let io = causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.map_or(Kind::Query, |io| match io.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => Kind::Usage,
        _ => io_kind(io, Kind::Query),
    })
}

/// `… status code: 503 Service Unavailable: …` → 503: the type that holds it is private to the crate.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Store {
        Store::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn answers_are_told_apart_and_their_words_kept_back() {
        for (text, expected) in [
            (
                "Server returned non-2xx status code: 503 Service Unavailable: key=xyzzy",
                Trouble::Busy(503),
            ),
            ("Server returned non-2xx status code: 429 Too Many: xyzzy", Trouble::Busy(429)),
            ("Server returned non-2xx status code: 403 Forbidden: xyzzy", Trouble::Refused),
            ("Server returned non-2xx status code: 418 I'm: xyzzy", Trouble::Status(418)),
            ("status code: 404 Not Found: <Code>NoSuchBucket</Code> xyzzy", Trouble::NoBucket),
            (
                "Error performing PUT http://169.254.169.254/latest/api/token xyzzy",
                Trouble::NoCredentials,
            ),
        ] {
            let error = generic(text);
            assert_eq!(trouble(&error), expected, "{text}");
            let said = format!("{:?}", explain("s3://b/k", &error));
            assert!(!said.contains("xyzzy") && said.contains("s3://b/k"), "{said}");
        }
        let timeout = HttpError::new(HttpErrorKind::Timeout, std::io::Error::other("slow"));
        let error = Store::Generic { store: "S3", source: Box::new(timeout) };
        assert_eq!(explain("s3://b/k", &error).kind, Kind::Retry);
    }
}
