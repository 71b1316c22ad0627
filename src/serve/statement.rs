// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Statements: what they will give, their rows, their effects.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::convert::try_schema_from_ipc_buffer;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use prost::Message;
use prost::bytes::Bytes;
use tonic::Status;

use super::desk::{Bound, Ready};
use super::run::{Job, Sent};
use super::ticket::{Purpose, Sealed};
use super::{Caller, Server, parameters, service, status, ticket};
use crate::error::{Error, Result};
use crate::statement::{Statement, parse};

/// A text is one statement; more would have more than one answer.
pub(super) fn one(sql: &str) -> Result<Statement> {
    let mut statements = parse(sql)?;
    match (statements.pop(), statements.len()) {
        (Some(statement), 0) => Ok(statement.numbered()),
        (None, _) => Err(Error::usage("there is no statement in this text")),
        (Some(_), more) => {
            Err(Error::usage(format!("a request has one statement, and this has {}", more + 1))
                .hint("send them one after the other"))
        }
    }
}

/// Plans a statement where queries work.
pub(super) async fn ready(
    server: &Arc<Server>,
    caller: &Caller,
    sql: &str,
    values: Option<&Bytes>,
) -> Result<Ready, Status> {
    let engine = Arc::clone(&caller.session.engine);
    let planned = engine.ready(sql.to_string(), values.cloned(), server.settings.views);
    server.workers.plan(planned).await?.map_err(|e| status::drawn(&e, sql))
}

/// The same, for what is to be run.
pub(super) async fn bound(
    server: &Arc<Server>,
    caller: &Caller,
    sql: &str,
    values: &Bytes,
) -> Result<(SchemaRef, Arc<dyn Bound>), Status> {
    let ready = ready(server, caller, sql, Some(values)).await?;
    Ok((ready.promised, ready.bound.ok_or_else(unbound)?))
}

/// `GetFlightInfo`: the columns, and a ticket for the rows.
///
/// A statement that changes something does so here, once, and its ticket holds what it answers: a client that never
/// fetches has had the effect, one that fetches twice has not had it twice, and the next statement finds it done.
pub(super) async fn info(
    server: &Arc<Server>,
    caller: &Caller,
    sql: &str,
    values: Bytes,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Status> {
    let ready = ready(server, caller, sql, Some(&values)).await?;
    let lifetime = server.settings.limits.ticket_lifetime;
    let new =
        |purpose| Sealed::new(purpose, &caller.session.who().user, lifetime).map_err(status::plain);
    let schema = schema_message(&ready.promised)?;
    let sealed = if ready.effect {
        let sealed = new(Purpose::Answer)?;
        let statements = ready.bound.ok_or_else(unbound)?;
        let promised = Arc::clone(&ready.promised);
        let job = Job::new(server, caller, &sealed.number(), statements, promised)?;
        let answer = parameters::written(&ready.promised, &job.effect().await?);
        Sealed { values: answer.map_err(status::plain)?, ..sealed }
    } else {
        Sealed { sql: sql.to_string(), values, schema, ..new(Purpose::Query)? }
    };
    flight_info(&ready.promised, ticket_of(server, &sealed), descriptor, Some(sealed.expires))
}

fn unbound() -> Status {
    Status::internal("a statement without values")
}

/// The ticket of a statement.
pub(super) fn ticket_of(server: &Server, sealed: &Sealed) -> Ticket {
    let statement = TicketStatementQuery { statement_handle: server.sealer.seal(sealed) };
    Ticket::new(statement.as_any().encode_to_vec())
}

/// Where rows are to be had: one place, here.
pub(super) fn flight_info(
    schema: &Schema,
    ticket: Ticket,
    descriptor: FlightDescriptor,
    expires: Option<u64>,
) -> Result<FlightInfo, Status> {
    let mut endpoint = FlightEndpoint::new().with_ticket(ticket);
    if let Some(expires) = expires {
        let moment = endpoint.expiration_time.get_or_insert_default();
        moment.seconds = i64::try_from(expires).unwrap_or(i64::MAX);
    }
    let info = FlightInfo::new().try_with_schema(schema).map_err(status::arrow)?;
    Ok(info
        .with_endpoint(endpoint)
        .with_descriptor(descriptor)
        .with_total_records(-1)
        .with_total_bytes(-1)
        .with_ordered(true))
}

/// `DoGet` of a ticket: the rows.
pub(super) async fn rows(
    server: &Arc<Server>,
    caller: &Caller,
    ticket: &[u8],
) -> Result<Sent, Status> {
    let purposes = [Purpose::Query, Purpose::Answer];
    let sealed = server.sealer.open(ticket, &purposes).map_err(|r| status::refused(r, "ticket"))?;
    if sealed.user != caller.session.who().user {
        return Err(Status::permission_denied("this ticket is somebody else's"));
    }
    if sealed.purpose() == Purpose::Answer {
        let (schema, batches) = parameters::read(&sealed.values).map_err(status::plain)?;
        return service::batches(&schema, batches);
    }
    let number = sealed.number();
    if server.once.is_cancelled(&number) {
        return Err(Status::cancelled("the query was cancelled"));
    }
    let promised = schema_of(&sealed.schema)?;
    let statements = if sealed.values.is_empty() {
        let (engine, sql) = (Arc::clone(&caller.session.engine), sealed.sql.clone());
        let parsed = server.workers.plan(async move { engine.bound(&sql) }).await?;
        parsed.map_err(|e| status::drawn(&e, &sealed.sql))?
    } else {
        bound(server, caller, &sealed.sql, &sealed.values).await?.1
    };
    Job::new(server, caller, &number, statements, promised)?.stream()
}

/// `DoPut` of an update: runs it, and counts the rows that it changed.
pub(super) async fn update(
    server: &Arc<Server>,
    caller: &Caller,
    sql: &str,
    values: &Bytes,
) -> Result<i64, Status> {
    let (promised, statements) = bound(server, caller, sql, values).await?;
    let number = ticket::number().map_err(status::plain)?;
    Job::new(server, caller, &number, statements, promised)?.count().await
}

/// A schema as the protocol's messages hold it.
pub(super) fn schema_message(schema: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &options));
    Ok(message.map_err(status::arrow)?.0)
}

fn schema_of(bytes: &[u8]) -> Result<SchemaRef, Status> {
    Ok(Arc::new(try_schema_from_ipc_buffer(bytes).map_err(status::arrow)?))
}
