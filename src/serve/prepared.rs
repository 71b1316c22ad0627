// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Prepared statements. A handle is the signed text of the statement; only bound values are kept here, for drivers that
//! go on with the handle they had before they bound them.

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow_flight::sql::ActionCreatePreparedStatementResult;
use prost::bytes::Bytes;
use tonic::Status;

use super::run::{Job, Sent};
use super::ticket::{Purpose, Sealed};
use super::{Caller, Server, statement, status};

/// `CreatePreparedStatement`
pub(super) async fn create(
    server: &Arc<Server>,
    caller: &Caller,
    sql: &str,
) -> Result<ActionCreatePreparedStatementResult, Status> {
    let ready = statement::ready(server, caller, sql, None).await?;
    // A handle lives as long as a login: a pool prepares once and goes on all day.
    let lifetime = server.settings.limits.token_lifetime;
    let user = &caller.session.who().user;
    let sealed = Sealed::new(Purpose::Prepared, user, lifetime).map_err(status::plain)?;
    let sealed = Sealed { sql: sql.to_string(), ..sealed };
    // Drivers take a statement with columns for a query, and one without for an update.
    let columns = if ready.effect { Schema::empty() } else { ready.promised.as_ref().clone() };
    Ok(ActionCreatePreparedStatementResult {
        prepared_statement_handle: server.sealer.seal(&sealed),
        dataset_schema: statement::schema_message(&columns)?,
        parameter_schema: statement::schema_message(&ready.parameters)?,
    })
}

/// The statement of a handle, and the values bound to it.
pub(super) fn open(
    server: &Server,
    caller: &Caller,
    handle: &[u8],
) -> Result<(Sealed, Bytes), Status> {
    let sealed = server.sealer.open(handle, &[Purpose::Prepared]);
    let sealed = sealed.map_err(|r| status::refused(r, "prepared statement"))?;
    if sealed.user != caller.session.who().user {
        return Err(Status::permission_denied("this prepared statement is somebody else's"));
    }
    let values = server.once.bound(&sealed.id);
    Ok((sealed, values))
}

/// `DoGet` of a handle, which some drivers do without asking for a ticket first.
pub(super) async fn rows(
    server: &Arc<Server>,
    caller: &Caller,
    handle: &[u8],
) -> Result<Sent, Status> {
    let (sealed, values) = open(server, caller, handle)?;
    let (promised, statements) = statement::bound(server, caller, &sealed.sql, &values).await?;
    let number = sealed.number();
    Job::new(server, caller, &number, statements, promised)?.stream()
}
