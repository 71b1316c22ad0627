// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The queries that run, wait, and have run: `SELECT * FROM sys.queries`. Everybody sees their own, and an admin all.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrow::array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use tokio::sync::watch;
use tonic::{Code, Status};

use super::redact::redacted;
use crate::execute::Meter;
use crate::policy::{Rights, Who};

/// How many that have ended are remembered.
const REMEMBERED: usize = 1_000;

/// Where it is to be found.
pub(super) const SCHEMA: &str = "sys";
/// Its name.
pub(super) const TABLE: &str = "queries";

/// One query, from when it is asked to when it is forgotten.
pub(super) struct Query {
    pub(super) id: u64,
    /// The number of its ticket.
    pub(super) ticket: String,
    pub(super) who: Who,
    session: String,
    sql: String,
    pub(super) meter: Arc<Meter>,
    pub(super) rows: AtomicU64,
    pub(super) bytes: AtomicU64,
    asked: (SystemTime, Instant),
    times: Mutex<Times>,
    stop: watch::Sender<Option<Stop>>,
}

#[derive(Clone, Default)]
struct Times {
    started: Option<Instant>,
    first_row: Option<Instant>,
    ended: Option<Instant>,
    code: Option<Code>,
}

/// Why a query is stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody cancelled it.
    Cancelled,
    /// The server ends.
    Shutdown,
}

impl Query {
    /// It has a seat.
    pub(super) fn started(&self) {
        self.times().started = Some(Instant::now());
    }

    pub(super) fn has_started(&self) -> bool {
        self.times().started.is_some()
    }

    /// Rows have left.
    pub(super) fn sent(&self, rows: usize, bytes: usize) -> (u64, u64) {
        self.times().first_row.get_or_insert_with(Instant::now);
        let rows = rows as u64;
        let bytes = bytes as u64;
        (
            self.rows.fetch_add(rows, Ordering::Relaxed) + rows,
            self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes,
        )
    }

    /// Seconds from asking to the end, or to now.
    pub(super) fn seconds(&self) -> f64 {
        let ended = self.times().ended;
        ended.unwrap_or_else(Instant::now).duration_since(self.asked.1).as_secs_f64()
    }

    /// The statement without its values.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// Ends when somebody stops the query.
    pub(super) async fn stopped(&self) -> Status {
        let mut stop = self.stop.subscribe();
        // The sender is ours, so that waiting ends only with a reason.
        let why = stop.wait_for(Option::is_some).await.map(|why| *why);
        match why {
            Ok(Some(Stop::Shutdown)) => Status::unavailable("the server is stopping"),
            _ => Status::cancelled("the query was cancelled"),
        }
    }

    pub(super) fn stop(&self, why: Stop) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(why);
            first
        });
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(times: &Times) -> String {
        match (times.code, times.started) {
            (Some(Code::Ok), _) => "finished".into(),
            (Some(Code::Cancelled), _) => "cancelled".into(),
            (Some(_), _) => "failed".into(),
            (None, Some(_)) => "running".into(),
            (None, None) => "waiting".into(),
        }
    }
}

/// All that are known.
#[derive(Default)]
pub(super) struct Queries {
    next: AtomicU64,
    lists: Mutex<Lists>,
}

#[derive(Default)]
struct Lists {
    alive: Vec<Arc<Query>>,
    ended: VecDeque<Arc<Query>>,
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queries")
    }
}

impl Queries {
    pub(super) fn begin(&self, who: &Who, session: &str, ticket: &str, sql: &str) -> Arc<Query> {
        let query = Arc::new(Query {
            id: self.next.fetch_add(1, Ordering::Relaxed) + 1,
            ticket: ticket.to_string(),
            who: who.clone(),
            // Enough to tell sessions apart, and not enough to enter one.
            session: session.chars().take(8).collect(),
            sql: redacted(sql),
            meter: Arc::default(),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            asked: (SystemTime::now(), Instant::now()),
            times: Mutex::default(),
            stop: watch::Sender::new(None),
        });
        self.lists().alive.push(Arc::clone(&query));
        query
    }

    pub(super) fn end(&self, query: &Arc<Query>, code: Code) {
        {
            let mut times = query.times();
            times.ended = Some(Instant::now());
            times.code = Some(code);
        }
        let mut lists = self.lists();
        lists.alive.retain(|q| q.id != query.id);
        lists.ended.push_back(Arc::clone(query));
        if lists.ended.len() > REMEMBERED {
            lists.ended.pop_front();
        }
    }

    /// The queries of a ticket that are still at work.
    pub(super) fn of_ticket(&self, ticket: &str) -> Vec<Arc<Query>> {
        self.lists().alive.iter().filter(|q| q.ticket == ticket).cloned().collect()
    }

    /// Whether a query of that ticket has ended.
    pub(super) fn has_ended(&self, ticket: &str) -> bool {
        self.lists().ended.iter().any(|q| q.ticket == ticket)
    }

    pub(super) fn is_alive(&self, query: &Query) -> bool {
        self.lists().alive.iter().any(|q| q.id == query.id)
    }

    pub(super) fn stop_all(&self) {
        for query in &self.lists().alive {
            query.stop(Stop::Shutdown);
        }
    }

    fn lists(&self) -> std::sync::MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn batch(&self, who: &Who) -> Result<RecordBatch, DataFusionError> {
        let lists = self.lists();
        let all: Vec<(Arc<Query>, Times)> = lists
            .ended
            .iter()
            .chain(&lists.alive)
            .filter(|q| who.rights == Rights::Admin || q.who.user == who.user)
            .map(|q| (Arc::clone(q), q.times().clone()))
            .collect();
        drop(lists);
        let since = |q: &Query, at: Option<Instant>| {
            at.map(|at| at.duration_since(q.asked.1).as_secs_f64())
        };
        let text = |of: &dyn Fn(&Query, &Times) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(all.iter().map(|(q, t)| of(q, t))))
        };
        let number = |of: &dyn Fn(&Query) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(all.iter().map(|(q, _)| of(q))))
        };
        let seconds = |of: &dyn Fn(&Query, &Times) -> Option<f64>| -> ArrayRef {
            Arc::new(Float64Array::from_iter(all.iter().map(|(q, t)| of(q, t))))
        };
        let asked = all.iter().map(|(q, _)| {
            let since = q.asked.0.duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        });
        let code = |t: &Times| t.code.filter(|c| *c != Code::Ok).map(|c| format!("{c:?}"));
        let columns: Vec<ArrayRef> = vec![
            number(&|q| q.id),
            text(&|q, _| q.who.user.clone()),
            text(&|q, _| q.who.role_name().to_string()),
            text(&|q, _| q.session.clone()),
            text(&|q, _| q.sql.clone()),
            text(&|_, t| Query::state(t)),
            Arc::new(StringArray::from_iter(all.iter().map(|(_, t)| code(t)))),
            number(&|q| q.rows.load(Ordering::Relaxed)),
            number(&|q| q.bytes.load(Ordering::Relaxed)),
            number(&|q| q.meter.used() as u64),
            number(&|q| q.meter.peak() as u64),
            Arc::new(TimestampMicrosecondArray::from_iter_values(asked).with_timezone("+00:00")),
            seconds(&|q, t| since(q, t.started)),
            seconds(&|q, t| since(q, t.first_row)),
            seconds(&|q, t| since(q, t.ended)),
        ];
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

fn schema() -> SchemaRef {
    let field = |name: &str, data_type, nullable| Field::new(name, data_type, nullable);
    let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    Arc::new(Schema::new(vec![
        field("query_id", DataType::UInt64, false),
        field("user_name", DataType::Utf8, false),
        field("role", DataType::Utf8, false),
        field("session", DataType::Utf8, false),
        field("sql", DataType::Utf8, false),
        field("state", DataType::Utf8, false),
        field("error_code", DataType::Utf8, true),
        field("rows", DataType::UInt64, false),
        field("bytes", DataType::UInt64, false),
        field("memory", DataType::UInt64, false),
        field("peak_memory", DataType::UInt64, false),
        field("asked_at", moment, false),
        field("seconds_to_start", DataType::Float64, true),
        field("seconds_to_first_row", DataType::Float64, true),
        field("seconds_to_end", DataType::Float64, true),
    ]))
}

/// The table.
#[derive(Debug)]
pub(super) struct QueriesTable(pub(super) Arc<Queries>);

#[async_trait]
impl TableProvider for QueriesTable {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        // A session without a user sees nothing.
        let nobody = Who { user: String::new(), role: None, rights: Rights::Reader };
        let who = session.config().get_extension::<Who>();
        let batch = self.0.batch(who.as_deref().unwrap_or(&nobody))?;
        let table = MemTable::try_new(schema(), vec![vec![batch]])?;
        table.scan(session, projection, filters, limit).await
    }
}
