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
    /// What another try does not mend: a message in which `{}` is the place, and what to do.
    Wrong(&'static str, &'static str),
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
    let text = std::iter::once(error as &dyn std::error::Error)
        .chain(causes(error).map(|cause| cause as _))
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
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
    if text.contains("AuthorizationHeaderMalformed") {
        return Trouble::Elsewhere;
    }
    if let Some((_, words, hint)) = KNOWN.iter().find(|(sign, ..)| text.contains(sign)) {
        return Trouble::Wrong(words, hint);
    }
    if causes(error).any(|cause| {
        cause.downcast_ref::<HttpError>().is_some_and(|e| e.kind() != HttpErrorKind::Decode)
    }) {
        return Trouble::Unreachable;
    }
    match (error, status(&text)) {
        (Store::Unauthenticated { .. } | Store::PermissionDenied { .. }, _)
        | (_, Some(401 | 403)) => Trouble::Refused,
        (_, Some(405)) => Trouble::Wrong(
            "the server of `{}` does not say what is there: it answers no HEAD request",
            ONE_BY_ONE,
        ),
        (Store::NotFound { .. }, _) | (_, Some(404)) => Trouble::NoObject,
        (_, Some(301 | 307 | 308)) => Trouble::Elsewhere,
        (_, Some(code)) if code == 408 || code == 429 || code >= 500 => Trouble::Busy(code),
        (_, Some(code)) => Trouble::Status(code),
        (_, None) if text.contains("redirect without LOCATION") => Trouble::Elsewhere,
        // An answer of 200 whose text says that it is none.
        (_, None) if text.contains("Server returned error response") => Trouble::Busy(500),
        (Store::JoinError { .. }, None) => Trouble::Unreachable,
        (_, None) if text.contains("://") || text.contains('<') => Trouble::Wrong(
            "the answer of the store of `{}` cannot be read",
            "look at the address and the endpoint: another server may answer there",
        ),
        (_, None) => Trouble::Here(kind_of(error), error.to_string()),
    }
}

/// What the client's errors say, in which none of its types tells them apart.
const KNOWN: [(&str, &str, &str); 8] = [
    (
        "invalid peer certificate",
        "the certificate of the store of `{}` is not trusted",
        "set `SSL_CERT_FILE` to the file with the certificate of whoever signed it",
    ),
    (
        "URL scheme is not allowed",
        "the store of `{}` is at an `http://` address",
        "write `https://`, or allow it with `AWS_ALLOW_HTTP=true`",
    ),
    (
        "too many redirects",
        "the server of `{}` sends in a circle",
        "give the address to which it should lead",
    ),
    (
        "Received non-partial response",
        "the server of `{}` does not give parts of a file",
        ONE_BY_ONE,
    ),
    ("Range request not supported", "the server of `{}` does not give parts of a file", ONE_BY_ONE),
    ("Content-Length", "the server of `{}` does not say how long the file is", ONE_BY_ONE),
    (
        "ExpiredToken",
        "the credentials for `{}` have expired",
        "get new ones, and set `AWS_SESSION_TOKEN` with them",
    ),
    (
        "object with invalid path",
        "the name of an object in `{}` cannot be read",
        "rename it: a part of its name is empty, `.` or `..`, or holds a control character",
    ),
];

const ONE_BY_ONE: &str = "download the file, and read it from there";

/// The error, for a place that may be named.
pub(crate) fn explain(place: &str, error: &Store) -> Error {
    // Our own stores speak through the same type.
    if let Some(ours) = causes(error).find_map(|cause| cause.downcast_ref::<Error>()) {
        return ours.clone();
    }
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
        Trouble::Elsewhere if place.starts_with("http") => {
            Error::usage(format!("the server of `{place}` sends elsewhere, and does not say where"))
                .hint("give the address to which it should lead")
        }
        Trouble::Elsewhere => Error::usage(format!("`{place}` lies in another region"))
            .hint("set `AWS_REGION` to the bucket's"),
        Trouble::Wrong(words, hint) => Error::usage(words.replace("{}", place)).hint(hint),
        Trouble::Status(400) if !place.starts_with("http") => {
            Error::usage(format!("the store of `{place}` answers 400"))
                .hint("the credentials may have expired, or the bucket lies in another region than `AWS_REGION` says")
        }
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

    fn known(sign: &str) -> Trouble {
        let found = KNOWN.iter().find(|(text, ..)| text.contains(sign)).expect("is known");
        Trouble::Wrong(found.1, found.2)
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
            (
                "status code: 400 Bad: <Code>AuthorizationHeaderMalformed</Code> xyzzy",
                Trouble::Elsewhere,
            ),
            ("status code: 400 Bad: <Code>ExpiredToken</Code> xyzzy", known("ExpiredToken")),
            ("error sending request: invalid peer certificate: xyzzy", known("invalid peer")),
            ("Received non-partial response when range requested, xyzzy", known("non-partial")),
            (
                "Server returned error response: <Code>InternalError</Code> xyzzy",
                Trouble::Busy(500),
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

    #[test]
    fn what_a_writer_has_wrapped_is_explained_all_the_same() {
        use datafusion::common::DataFusionError;
        use datafusion::parquet::errors::ParquetError;
        let store = || generic("status code: 503 Service Unavailable: uploadId=xyzzy");
        let io = || std::io::Error::from(store());
        for error in [
            DataFusionError::ObjectStore(Box::new(store())),
            DataFusionError::IoError(io()),
            DataFusionError::External(Box::new(io())),
            DataFusionError::ParquetError(Box::new(ParquetError::External(Box::new(io())))),
            DataFusionError::ArrowError(
                Box::new(arrow::error::ArrowError::IoError("xyzzy".into(), io())),
                None,
            ),
        ] {
            let error = Error::from(error);
            assert_eq!(error.kind, Kind::Retry, "{error:?}");
            assert!(!format!("{error:?}").contains("xyzzy"), "{error:?}");
        }
    }
}
