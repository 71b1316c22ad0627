// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The service that clients speak with. Every request comes by here: who asks is found out, counted and written down,
//! before the command is looked at.
//!
//! arrow-flight's own service over `FlightSqlService` leaves `GetSchema`, `PollFlightInfo` and `ListFlights` out, which
//! clients use; so it is wrapped here.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::utils::batches_to_flight_data;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, PollInfo, SchemaResult, Ticket,
};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use prost::bytes::Bytes;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status, Streaming};

use super::commands::Commands;
use super::run::Sent;
use super::sessions::COOKIE;
use super::{Caller, Server, options, status, workers};

/// What an action answers.
pub(super) type Answers = BoxStream<'static, Result<arrow_flight::Result, Status>>;

/// One answer.
pub(super) fn once(body: Bytes) -> Answers {
    stream::once(async { Ok(arrow_flight::Result { body }) }).boxed()
}

/// A list, whole.
pub(super) fn one_batch(batch: RecordBatch) -> Result<Sent, Status> {
    batches(&batch.schema(), vec![batch])
}

/// Rows that are all there.
pub(super) fn batches(schema: &SchemaRef, batches: Vec<RecordBatch>) -> Result<Sent, Status> {
    let messages = batches_to_flight_data(schema, batches).map_err(status::arrow)?;
    Ok(stream::iter(messages.into_iter().map(Ok)).boxed())
}

/// Tells a client its token, in the header that drivers look in.
pub(super) fn bearer<T>(response: &mut Response<T>, token: &str) -> Result<(), Status> {
    let value = MetadataValue::try_from(format!("Bearer {token}"));
    let value = value.map_err(|_| Status::internal("a token cannot be sent"))?;
    response.metadata_mut().insert("authorization", value);
    Ok(())
}

/// The door.
pub(super) struct Flight {
    server: Arc<Server>,
    commands: Commands,
}

impl Flight {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { commands: Commands(Arc::clone(&server)), server }
    }

    async fn within<Q, R, F: Future<Output = Result<Response<R>, Status>>>(
        &self,
        method: &'static str,
        mut request: Request<Q>,
        call: impl FnOnce(Request<Q>) -> F,
    ) -> Result<Response<R>, Status> {
        let answered = async {
            let peer = request.remote_addr();
            let (caller, new) = self.caller(request.metadata(), peer).await?;
            let session = Arc::clone(&caller.session);
            let _held = session.hold();
            let by_password = caller.by_password;
            request.extensions_mut().insert(caller);
            let mut response = call(request).await?;
            if new {
                let cookie = format!("{COOKIE}={}; Path=/; HttpOnly", session.id);
                if let Ok(cookie) = MetadataValue::try_from(cookie) {
                    response.metadata_mut().insert("set-cookie", cookie);
                }
            }
            // A client that sends its password every time is given a token, to use if it will.
            if by_password && new && !self.server.settings.open() {
                let (token, _) = self.server.new_token(session.who())?;
                bearer(&mut response, &token)?;
            }
            Ok(response)
        };
        // A fault that a request brings about is that request's, and nobody else's.
        let answered = AssertUnwindSafe(answered).catch_unwind().await;
        let answered = answered.unwrap_or_else(|_| Err(workers::fault())).map_err(unread);
        self.server.metrics.request(method, code(&answered));
        answered
    }

    /// Who asks, and in which session.
    async fn caller(
        &self,
        headers: &MetadataMap,
        peer: Option<SocketAddr>,
    ) -> Result<(Caller, bool), Status> {
        let known = self.server.identify(headers, peer).await?;
        let cookies: Vec<&str> = headers
            .get_all("cookie")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == COOKIE)
            .map(|(_, id)| id.trim_matches('"'))
            .collect();
        let (session, new) =
            self.server.sessions.find(&known.who, &cookies, known.session.as_deref(), peer)?;
        let timeout = headers.get("grpc-timeout").and_then(|t| t.to_str().ok()).and_then(timeout);
        Ok((Caller { session, timeout, by_password: known.by_password }, new))
    }
}

/// arrow-flight calls it its own fault when it cannot read a command.
fn unread(status: Status) -> Status {
    match status.message().strip_prefix("ParseError(") {
        Some(why) if status.code() == Code::Internal => Status::invalid_argument(format!(
            "this is no command of Flight SQL: {}",
            why.trim_end_matches(')').trim_matches('"')
        )),
        _ => status,
    }
}

fn code<T>(answered: &Result<T, Status>) -> Code {
    answered.as_ref().err().map_or(Code::Ok, Status::code)
}

/// `grpc-timeout`: up to eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number.checked_mul(3_600)?),
        "M" => Duration::from_secs(number.checked_mul(60)?),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The actions, and what each is for.
const ACTIONS: [(&str, &str); 8] = [
    ("CreatePreparedStatement", "Prepares a statement"),
    ("ClosePreparedStatement", "Forgets a prepared statement"),
    ("CancelQuery", "Stops a query (older clients)"),
    ("CancelFlightInfo", "Stops a query"),
    ("RenewFlightEndpoint", "Makes a ticket good for longer"),
    (options::SET, "Sets options of the session"),
    (options::GET, "Tells the options of the session"),
    (options::CLOSE, "Ends the session"),
];

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = <Commands as FlightService>::HandshakeStream;
    type ListFlightsStream = <Commands as FlightService>::ListFlightsStream;
    type DoGetStream = <Commands as FlightService>::DoGetStream;
    type DoPutStream = <Commands as FlightService>::DoPutStream;
    type DoActionStream = <Commands as FlightService>::DoActionStream;
    type ListActionsStream = <Commands as FlightService>::ListActionsStream;
    type DoExchangeStream = <Commands as FlightService>::DoExchangeStream;

    /// The one call that nobody need be known for.
    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let answered = self.commands.handshake(request).await;
        self.server.metrics.request("Handshake", code(&answered));
        answered
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        // Tables are listed by Flight SQL's own commands.
        let none = |_| async { Ok(Response::new(stream::empty().boxed())) };
        self.within("ListFlights", request, none).await
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.within("GetFlightInfo", request, |r| self.commands.get_flight_info(r)).await
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        // There is nothing to wait for: rows begin to come when they are fetched.
        let poll = |request| async {
            let info = self.commands.get_flight_info(request).await?.into_inner();
            let mut poll =
                PollInfo::new().with_info(info).try_with_progress(1.0).map_err(status::arrow)?;
            poll.flight_descriptor = None;
            Ok(Response::new(poll))
        };
        self.within("PollFlightInfo", request, poll).await
    }

    async fn get_schema(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<SchemaResult>, Status> {
        self.within("GetSchema", request, |r| self.commands.schema(r)).await
    }

    async fn do_get(
        &self,
        request: Request<Ticket>,
    ) -> Result<Response<Self::DoGetStream>, Status> {
        self.within("DoGet", request, |r| self.commands.do_get(r)).await
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        self.within("DoPut", request, |r| self.commands.do_put(r)).await
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.within("DoExchange", request, |r| self.commands.do_exchange(r)).await
    }

    async fn do_action(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Self::DoActionStream>, Status> {
        self.within("DoAction", request, |r| self.commands.do_action(r)).await
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        let all = |_| async {
            let actions = ACTIONS.map(|(name, what)| {
                Ok(ActionType { r#type: name.into(), description: what.into() })
            });
            Ok(Response::new(stream::iter(actions).boxed()))
        };
        self.within("ListActions", request, all).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_s_patience_is_read() {
        assert_eq!(timeout("500m"), Some(Duration::from_millis(500)));
        assert_eq!(timeout("2H"), Some(Duration::from_secs(7_200)));
        for text in ["", "S", "10", "-1S", "1x"] {
            assert_eq!(timeout(text), None, "{text}");
        }
    }
}
