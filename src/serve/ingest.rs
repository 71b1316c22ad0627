// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Rows that a client brings along, into a table: all of them or none.

use std::sync::Arc;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use futures::TryStreamExt;
use tonic::Status;

use super::running::Running;
use super::{Caller, Server, status, ticket};
use crate::engine::{IfExists, Ingest};
use crate::error::Error;

pub(super) async fn ingest(
    server: &Arc<Server>,
    caller: &Caller,
    command: CommandStatementIngest,
    stream: PeekableFlightDataStream,
) -> Result<i64, Status> {
    let into = target(&command)?;
    let session = Arc::clone(&caller.session);
    session.engine.may_ingest(&into).map_err(status::plain)?;
    let number = ticket::number().map_err(status::plain)?;
    let shown = format!("INGEST INTO \"{}\"", into.table.replace('"', "\"\""));
    let running = Running::begin(server, caller, &number, &shown)?;
    let all = async {
        let _seat = running.seat().await?;
        running.query.started();
        take(server, &session, into, stream).await
    };
    let ended = running.within_limits(all).await;
    running.end(&ended);
    ended
}

async fn take(
    server: &Arc<Server>,
    session: &Arc<super::sessions::Session>,
    into: Ingest,
    stream: PeekableFlightDataStream,
) -> Result<i64, Status> {
    let failed = |e| status::flight(e, "");
    let most = server.settings.limits.ingest_bytes;
    // Rows that wait for the last one count like those of any query.
    let reservation = session.engine.reserve("ingest");
    let mut batches = vec![];
    let mut rows = FlightRecordBatchStream::new_from_flight_data(stream.map_err(Into::into));
    while let Some(batch) = rows.try_next().await.map_err(failed)? {
        let bytes = batch.get_array_memory_size();
        if reservation.size() + bytes > most {
            return Err(Status::resource_exhausted(format!(
                "one ingest takes at most {most} bytes: send several, or raise `[serve] ingest_bytes`"
            )));
        }
        reservation.try_grow(bytes).map_err(|e| status::plain(Error::from(e)))?;
        batches.push(batch);
    }
    let schema = match (rows.schema(), batches.first()) {
        (Some(schema), _) => Arc::clone(schema),
        (None, Some(batch)) => batch.schema(),
        (None, None) => return Err(Status::invalid_argument("there is no schema before the rows")),
    };
    let ingested = Arc::clone(&session.engine).ingest(into, schema, batches);
    let count = server.workers.query(ingested)?.done().await?.map_err(status::plain)?;
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

fn target(command: &CommandStatementIngest) -> Result<Ingest, Status> {
    if command.temporary {
        return Err(Status::unimplemented("there are no temporary tables"));
    }
    if command.transaction_id.is_some() {
        return Err(Status::unimplemented("there are no transactions"));
    }
    let options = command.table_definition_options.unwrap_or_default();
    let create = match options.if_not_exist() {
        TableNotExistOption::Create => true,
        TableNotExistOption::Fail | TableNotExistOption::Unspecified => false,
    };
    let if_exists = match options.if_exists() {
        TableExistsOption::Append => IfExists::Append,
        TableExistsOption::Replace => IfExists::Replace,
        TableExistsOption::Fail | TableExistsOption::Unspecified => IfExists::Fail,
    };
    let some = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    if command.table.is_empty() {
        return Err(Status::invalid_argument("the name of the table is missing"));
    }
    Ok(Ingest {
        catalog: some(&command.catalog),
        schema: some(&command.schema),
        table: command.table.clone(),
        create,
        if_exists,
    })
}
