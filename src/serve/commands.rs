// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The commands of Flight SQL, each handed to the file that knows it.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::metadata::{
    GetCatalogsBuilder, GetDbSchemasBuilder, GetTablesBuilder, SqlInfoData, SqlInfoDataBuilder,
};
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, Command,
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
    CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes,
    CommandGetTables, CommandGetXdbcTypeInfo, CommandPreparedStatementQuery,
    CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
    CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo,
    TicketStatementQuery,
};
use arrow_flight::{
    Action, BasicAuth, CancelFlightInfoRequest, CancelStatus, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, RenewFlightEndpointRequest, SchemaResult, Ticket,
};
use futures::{Stream, stream};
use prost::Message;
use prost::bytes::Bytes;
use tonic::{Request, Response, Status, Streaming};

use super::service::{Answers, once, one_batch};
use super::sql_info::Functions;
use super::ticket::Sealed;
use super::{
    Caller, Server, cancel, catalog, ingest, keys, options, parameters, prepared, service,
    sql_info, statement, xdbc,
};

/// Flight SQL over the server.
pub(super) struct Commands(pub(super) Arc<Server>);

type Got = Result<Response<<Commands as FlightService>::DoGetStream>, Status>;
type Info = Result<Response<FlightInfo>, Status>;

/// Who asks: put there before a command gets here.
fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>();
    caller.cloned().ok_or_else(|| Status::internal("a request came in by the wrong door"))
}

/// A list is its own ticket: there is nothing in it to protect or to run.
fn list<M: ProstMessageExt>(
    query: &M,
    schema: &Schema,
    request: Request<FlightDescriptor>,
) -> Info {
    let ticket = Ticket::new(query.as_any().encode_to_vec());
    Ok(Response::new(statement::flight_info(schema, ticket, request.into_inner(), None)?))
}

fn got(batch: Result<RecordBatch, Status>) -> Got {
    Ok(Response::new(one_batch(batch?)?))
}

impl Commands {
    fn infos(&self, caller: &Caller) -> Result<SqlInfoData, Status> {
        let engine = &caller.session.engine;
        sql_info::data(&self.0.settings, engine.who(), &Functions::sorted(engine.functions()))
    }

    /// A handle that stands for the same statement, so that clients that take it go on as before.
    fn bound(&self, handle: Bytes) -> DoPutPreparedStatementResult {
        DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) }
    }

    /// `GetSchema`: what a statement will give. Nothing is run.
    pub(super) async fn schema(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<SchemaResult>, Status> {
        let caller = caller(&request)?;
        let command = Any::decode(&*request.get_ref().cmd).map(Command::try_from);
        let (sql, values) = match command {
            Ok(Ok(Command::CommandStatementQuery(query))) => (query.query, Bytes::new()),
            Ok(Ok(Command::CommandPreparedStatementQuery(query))) => {
                let (sealed, values) = self.opened(&caller, &query.prepared_statement_handle)?;
                (sealed.sql, values)
            }
            // A list has the same columns whatever is in it.
            _ => {
                let info = self.get_flight_info(request).await?.into_inner();
                return Ok(Response::new(SchemaResult { schema: info.schema }));
            }
        };
        let values = (!values.is_empty()).then_some(values);
        let ready = statement::ready(&self.0, &caller, &sql, values.as_ref()).await?;
        Ok(Response::new(SchemaResult { schema: statement::schema_message(&ready.promised)? }))
    }

    fn opened(&self, caller: &Caller, handle: &[u8]) -> Result<(Sealed, Bytes), Status> {
        prepared::open(&self.0, caller, handle)
    }
}

#[tonic::async_trait]
impl FlightSqlService for Commands {
    type FlightService = Commands;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<
        Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>,
        Status,
    > {
        let server = &self.0;
        let peer = request.remote_addr();
        let by_header = request.metadata().contains_key("authorization");
        let known = if by_header || server.settings.open() {
            server.identify(request.metadata(), peer).await?
        } else {
            // The older way: the user and the password in the first message.
            let first = request.into_inner().message().await?;
            let auth = first.and_then(|m| BasicAuth::decode(m.payload).ok());
            let auth = auth.ok_or_else(|| {
                Status::unauthenticated("this server wants a user and a password, or a token")
            })?;
            server.password(&auth.username, &auth.password, peer).await?
        };
        let (token, session) = server.new_token(&known.who)?;
        server.sessions.open_as(&known.who, &session)?;
        let answer = HandshakeResponse { protocol_version: 0, payload: token.clone().into() };
        let mut response = Response::new(Box::pin(stream::iter([Ok(answer)])) as Pin<Box<_>>);
        service::bearer(&mut response, &token)?;
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let caller = caller(&request)?;
        no_transaction(query.transaction_id.as_ref())?;
        let info =
            statement::info(&self.0, &caller, &query.query, Bytes::new(), request.into_inner());
        Ok(Response::new(info.await?))
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let caller = caller(&request)?;
        let (sealed, values) = self.opened(&caller, &query.prepared_statement_handle)?;
        let info = statement::info(&self.0, &caller, &sealed.sql, values, request.into_inner());
        Ok(Response::new(info.await?))
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list(&query, &GetCatalogsBuilder::new().schema(), request)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = GetDbSchemasBuilder::new(None::<String>, None::<String>).schema();
        list(&query, &schema, request)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let builder: GetTablesBuilder = query.clone().into_builder();
        list(&query, &builder.schema(), request)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list(&query, &query.into_builder().schema(), request)
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list(&query, SqlInfoDataBuilder::schema(), request)
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list(&query, &keys::primary_schema(), request)
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list(&query, &keys::foreign_schema(), request)
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list(&query, &keys::foreign_schema(), request)
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list(&query, &keys::foreign_schema(), request)
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list(&query, &xdbc::types()?.schema(), request)
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Got {
        let caller = caller(&request)?;
        let rows = statement::rows(&self.0, &caller, &ticket.statement_handle).await?;
        Ok(Response::new(rows))
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Got {
        let caller = caller(&request)?;
        let rows = prepared::rows(&self.0, &caller, &query.prepared_statement_handle).await?;
        Ok(Response::new(rows))
    }

    async fn do_get_catalogs(&self, _: CommandGetCatalogs, request: Request<Ticket>) -> Got {
        got(catalog::catalogs(caller(&request)?.session.engine.as_ref()))
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, request: Request<Ticket>) -> Got {
        got(catalog::schemas(caller(&request)?.session.engine.as_ref(), &query))
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> Got {
        // Columns of views are known by planning them.
        let session = caller(&request)?.session;
        let tables = async move { catalog::tables(session.engine.as_ref(), &query).await };
        got(self.0.workers.plan(tables).await?)
    }

    async fn do_get_table_types(&self, _: CommandGetTableTypes, _: Request<Ticket>) -> Got {
        got(catalog::table_types())
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, request: Request<Ticket>) -> Got {
        let infos = self.infos(&caller(&request)?)?;
        got(query.into_builder(&infos).build().map_err(|e| super::status::flight(e, "")))
    }

    async fn do_get_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<Ticket>,
    ) -> Got {
        let session = caller(&request)?.session;
        let found = async move { keys::primary(session.engine.as_ref(), &query).await };
        got(self.0.workers.plan(found).await?)
    }

    async fn do_get_exported_keys(&self, _: CommandGetExportedKeys, _: Request<Ticket>) -> Got {
        got(Ok(RecordBatch::new_empty(keys::foreign_schema())))
    }

    async fn do_get_imported_keys(&self, _: CommandGetImportedKeys, _: Request<Ticket>) -> Got {
        got(Ok(RecordBatch::new_empty(keys::foreign_schema())))
    }

    async fn do_get_cross_reference(&self, _: CommandGetCrossReference, _: Request<Ticket>) -> Got {
        got(Ok(RecordBatch::new_empty(keys::foreign_schema())))
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        _: Request<Ticket>,
    ) -> Got {
        let types = xdbc::types()?.record_batch(query.data_type);
        got(types.map_err(|e| super::status::flight(e, "")))
    }

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = caller(&request)?;
        no_transaction(command.transaction_id.as_ref())?;
        statement::update(&self.0, &caller, &command.query, &Bytes::new()).await
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = caller(&request)?;
        ingest::ingest(&self.0, &caller, command, request.into_inner()).await
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let caller = caller(&request)?;
        let (sealed, _) = self.opened(&caller, &query.prepared_statement_handle)?;
        let values = parameters::receive(request.into_inner()).await?;
        self.0.once.bind(&sealed.id, sealed.expires, values)?;
        Ok(self.bound(query.prepared_statement_handle))
    }

    async fn do_put_prepared_statement_update(
        &self,
        query: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = caller(&request)?;
        let (sealed, bound) = self.opened(&caller, &query.prepared_statement_handle)?;
        let sent = parameters::receive(request.into_inner()).await?;
        let values = if sent.is_empty() { bound } else { sent };
        statement::update(&self.0, &caller, &sealed.sql, &values).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        no_transaction(query.transaction_id.as_ref())?;
        prepared::create(&self.0, &caller(&request)?, &query.query).await
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        // One that is expired or from before a restart is closed already.
        if let Ok((sealed, _)) = self.opened(&caller(&request)?, &query.prepared_statement_handle) {
            self.0.once.close(&sealed.id);
        }
        Ok(())
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let info =
            FlightInfo::decode(query.info).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let status = cancel::cancel(&self.0, &caller(&request)?, &info)?;
        // The two messages number their words alike.
        let cancelled = matches!(status, CancelStatus::Cancelled);
        Ok(ActionCancelQueryResult { result: if cancelled { 1 } else { 3 } })
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        let caller = caller(&request)?;
        let action = request.into_inner();
        let wrong = |e: prost::DecodeError| Status::invalid_argument(e.to_string());
        let body: Answers = match action.r#type.as_str() {
            options::SET => once(options::set(&caller.session, &action.body).await?),
            options::GET => once(options::get(&caller.session)),
            options::CLOSE => {
                self.0.sessions.close(&caller.session.id);
                once(options::closed())
            }
            "CancelFlightInfo" => {
                let request = CancelFlightInfoRequest::decode(action.body).map_err(wrong)?;
                let info = request.info.unwrap_or_default();
                once(cancel::result(cancel::cancel(&self.0, &caller, &info)?).into())
            }
            "RenewFlightEndpoint" => {
                let request = RenewFlightEndpointRequest::decode(action.body).map_err(wrong)?;
                let endpoint = request.endpoint.unwrap_or_default();
                once(cancel::renew(&self.0, &caller, endpoint)?.encode_to_vec().into())
            }
            other => {
                return Err(Status::unimplemented(format!("there is no action `{other}`")));
            }
        };
        Ok(Response::new(body))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

/// Every statement stands alone.
fn no_transaction(id: Option<&Bytes>) -> Result<(), Status> {
    match id.filter(|id| !id.is_empty()) {
        Some(_) => Err(Status::unimplemented("there are no transactions")),
        None => Ok(()),
    }
}
