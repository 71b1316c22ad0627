// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `CancelFlightInfo`, `CancelQuery` and `RenewFlightEndpoint`: what can be done to a query by its ticket.

use arrow_flight::sql::{Any, Command};
use arrow_flight::{CancelFlightInfoResult, CancelStatus, FlightEndpoint, FlightInfo, Ticket};
use prost::Message;
use tonic::Status;

use super::queries::Stop;
use super::ticket::{Purpose, Sealed};
use super::{Caller, Server, status, ticket};
use crate::policy::Rights;

/// Stops a query, or sees to it that it never starts.
pub(super) fn cancel(
    server: &Server,
    caller: &Caller,
    info: &FlightInfo,
) -> Result<CancelStatus, Status> {
    let mut found = CancelStatus::NotCancellable;
    for endpoint in &info.endpoint {
        let Some(sealed) = opened(server, endpoint.ticket.as_ref())? else { continue };
        own(caller, &sealed)?;
        if sealed.purpose() == Purpose::Answer {
            continue;
        }
        let number = sealed.number();
        let running = server.queries.of_ticket(&number);
        running.iter().for_each(|query| query.stop(Stop::Cancelled));
        if running.is_empty() && server.queries.has_ended(&number) {
            continue;
        }
        server.once.cancel(&number, sealed.expires);
        found = CancelStatus::Cancelled;
    }
    Ok(found)
}

/// The answer to `CancelFlightInfo`.
pub(super) fn result(status: CancelStatus) -> Vec<u8> {
    CancelFlightInfoResult { status: status.into() }.encode_to_vec()
}

/// The same ticket, good for longer.
pub(super) fn renew(
    server: &Server,
    caller: &Caller,
    mut endpoint: FlightEndpoint,
) -> Result<FlightEndpoint, Status> {
    let Some(mut sealed) = opened(server, endpoint.ticket.as_ref())? else { return Ok(endpoint) };
    own(caller, &sealed)?;
    sealed.expires = ticket::now() + server.settings.limits.ticket_lifetime.as_secs();
    endpoint.ticket = Some(super::statement::ticket_of(server, &sealed));
    let moment = endpoint.expiration_time.get_or_insert_default();
    moment.seconds = i64::try_from(sealed.expires).unwrap_or(i64::MAX);
    Ok(endpoint)
}

fn own(caller: &Caller, sealed: &Sealed) -> Result<(), Status> {
    let who = caller.session.who();
    if sealed.user == who.user || who.rights == Rights::Admin {
        return Ok(());
    }
    Err(Status::permission_denied("this query is somebody else's"))
}

/// What a ticket of a statement holds; `None` for one of a list, which is there at once.
fn opened(server: &Server, ticket: Option<&Ticket>) -> Result<Option<Sealed>, Status> {
    let Some(ticket) = ticket else { return Ok(None) };
    let any = Any::decode(&*ticket.ticket).map_err(|e| Status::invalid_argument(e.to_string()))?;
    match Command::try_from(any).map_err(status::arrow)? {
        Command::TicketStatementQuery(query) => {
            let purposes = [Purpose::Query, Purpose::Answer];
            let sealed = server.sealer.open(&query.statement_handle, &purposes);
            Ok(Some(sealed.map_err(|r| status::refused(r, "ticket"))?))
        }
        _ => Ok(None),
    }
}
