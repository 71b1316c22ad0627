// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Numbers for Prometheus, on a page of their own: `GET /metrics`. Off unless an address is given.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;
use tonic::Code;

use super::Server;

type Labels = Vec<(&'static str, String)>;

pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    queries: Family<Labels, Counter>,
    query_seconds: Histogram,
    rows: Counter,
    bytes: Counter,
    failed_logins: Counter,
    running: Gauge,
    waiting: Gauge,
    sessions: Gauge,
    memory: Gauge,
    memory_limit: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("comptoir");
        let metrics = Self {
            requests: Family::default(),
            queries: Family::default(),
            query_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 20)),
            rows: Counter::default(),
            bytes: Counter::default(),
            failed_logins: Counter::default(),
            running: Gauge::default(),
            waiting: Gauge::default(),
            sessions: Gauge::default(),
            memory: Gauge::default(),
            memory_limit: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "requests",
            "Requests, by method and gRPC code",
            metrics.requests.clone(),
        );
        registry.register(
            "queries",
            "Queries that have ended, by gRPC code",
            metrics.queries.clone(),
        );
        registry.register_with_unit(
            "query",
            "From asking to the last row",
            Unit::Seconds,
            metrics.query_seconds.clone(),
        );
        registry.register("rows", "Rows sent", metrics.rows.clone());
        registry.register_with_unit(
            "sent",
            "Rows sent, in bytes",
            Unit::Bytes,
            metrics.bytes.clone(),
        );
        registry.register(
            "failed_logins",
            "Requests that were not let in",
            metrics.failed_logins.clone(),
        );
        registry.register("queries_running", "Queries at work", metrics.running.clone());
        registry.register("queries_waiting", "Queries in the queue", metrics.waiting.clone());
        registry.register("sessions_open", "Sessions", metrics.sessions.clone());
        registry.register_with_unit(
            "memory_reserved",
            "Memory that queries hold",
            Unit::Bytes,
            metrics.memory.clone(),
        );
        registry.register_with_unit(
            "memory_limit",
            "Memory that they may hold together",
            Unit::Bytes,
            metrics.memory_limit.clone(),
        );
        Self { registry, ..metrics }
    }
}

impl Metrics {
    pub(super) fn request(&self, method: &'static str, code: Code) {
        let labels = vec![("method", method.to_string()), ("code", format!("{code:?}"))];
        self.requests.get_or_create(&labels).inc();
    }

    pub(super) fn query(&self, code: Code, seconds: f64, rows: u64, bytes: u64) {
        self.queries.get_or_create(&vec![("code", format!("{code:?}"))]).inc();
        self.query_seconds.observe(seconds);
        self.rows.inc_by(rows);
        self.bytes.inc_by(bytes);
    }

    pub(super) fn failed_login(&self) {
        self.failed_logins.inc();
    }
}

/// Answers scrapes until the program ends.
pub(super) async fn answer(listener: TcpListener, server: Arc<Server>) {
    let pages = Router::new().route("/metrics", get(page)).with_state(server);
    // It ends only with the program.
    let _ = axum::serve(listener, pages).await;
}

async fn page(State(server): State<Arc<Server>>) -> Response {
    let metrics = &server.metrics;
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    metrics.running.set(count(server.queue.running()));
    metrics.waiting.set(count(server.queue.waiting()));
    metrics.sessions.set(count(server.sessions.count()));
    metrics.memory.set(count(server.engine.memory_in_use()));
    metrics.memory_limit.set(count(server.engine.memory_limit().unwrap_or(0)));
    let mut text = String::new();
    match encode(&mut text, &metrics.registry) {
        Ok(()) => {
            let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, form)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
