// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Errors → gRPC's codes.

use std::time::Duration;

use arrow::error::ArrowError;
use arrow_flight::error::FlightError;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::ticket::Refused;
use crate::diagnostic::render;
use crate::error::{Error, Kind};

/// The longest message, as it is sent: clients allow 8 KB for everything in a header.
const LONGEST: usize = 5_000;

/// The code of each kind of error. There is no catch-all, so that a new kind is thought about here.
pub(super) fn code(kind: Kind) -> Code {
    match kind {
        Kind::Query | Kind::Usage => Code::InvalidArgument,
        // The same request may work later.
        Kind::Retry => Code::Unavailable,
        Kind::Resource => Code::ResourceExhausted,
        Kind::Interrupted => Code::Cancelled,
        Kind::Denied => Code::PermissionDenied,
        Kind::Unsupported => Code::Unimplemented,
    }
}

/// The error with its place in the statement drawn.
pub(super) fn drawn(error: &Error, sql: &str) -> Status {
    Status::new(code(error.kind), shortened(render(error, sql, "query")))
}

/// An error that has no place in a statement.
pub(super) fn plain(error: Error) -> Status {
    drawn(&error, "")
}

/// The server has too much to do; the client may ask again in a while.
pub(super) fn busy(message: &str, retry: Duration) -> Status {
    let mut status = Status::unavailable(message);
    let seconds = retry.as_secs().max(1);
    status.metadata_mut().insert("retry-after", MetadataValue::from(seconds));
    status
}

/// A ticket or handle that is not taken.
pub(super) fn refused(refused: Refused, what: &str) -> Status {
    match refused {
        Refused::Foreign => Status::invalid_argument(format!(
            "this {what} is not one of this server's; it may be from before a restart"
        )),
        Refused::Expired => {
            Status::failed_precondition(format!("this {what} has expired: run the statement again"))
        }
    }
}

/// An error of the encoder, or of a client's stream, over the statement that it is about.
pub(super) fn flight(error: FlightError, sql: &str) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        FlightError::ExternalError(source) => match source.downcast::<Error>() {
            Ok(ours) => drawn(&ours, sql),
            Err(other) => Status::internal(other.to_string()),
        },
        FlightError::Arrow(error) => arrow(error),
        other => Status::invalid_argument(other.to_string()),
    }
}

/// An error of ours on its way through the encoder.
pub(super) fn to_flight(error: Error) -> FlightError {
    FlightError::ExternalError(Box::new(error))
}

/// An error of the arrays.
pub(super) fn arrow(error: ArrowError) -> Status {
    plain(error.into())
}

/// gRPC writes everything but plain ASCII as `%XX`.
fn shortened(message: String) -> String {
    let mut sent = 0;
    for (at, c) in message.char_indices() {
        sent += if (' '..='~').contains(&c) && c != '%' { 1 } else { 3 * c.len_utf8() };
        if sent > LONGEST {
            return format!("{}…", &message[..at]);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_drawn_and_never_too_long_for_a_header() {
        let status = drawn(&Error::query("no such column"), "SELECT nope");
        assert_eq!(
            (status.code(), status.message()),
            (Code::InvalidArgument, "error: no such column")
        );
        let long = drawn(&Error::query("é".repeat(10_000)), "");
        let plain =
            long.message().bytes().filter(|b| (b' '..=b'~').contains(b) && *b != b'%').count();
        let sent = plain + 3 * (long.message().len() - plain);
        // The ellipsis is the only thing beyond.
        assert!(sent > LONGEST - 9 && sent <= LONGEST + 9, "{sent}");
    }
}
