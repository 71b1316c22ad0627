// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Door 3: Flight SQL, for programs that draw: BI tools, notebooks, whatever speaks ADBC, JDBC or ODBC over Arrow.
//!
//! ```text
//! service   every request: who asks (auth), in which session (sessions), counted (metrics)
//! commands  what is asked → statement, prepared, catalog, keys, sql_info, xdbc, options, ingest, cancel
//! run       a statement → rows, in its turn (queue), within limits, listed while it lasts (queries), on other threads
//!           than those that speak with clients (workers)
//! ```
//!
//! By default it serves this machine only, without users, and lets nobody change anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::Status;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

mod access_log;
mod auth;
mod cancel;
mod catalog;
mod commands;
mod desk;
mod ingest;
mod keys;
mod metrics;
mod once;
mod options;
mod parameters;
mod prepared;
mod queries;
mod queue;
mod redact;
mod run;
mod running;
mod service;
mod sessions;
mod settings;
mod sql_info;
mod statement;
mod status;
mod ticket;
mod together;
pub mod user;
mod wire;
mod workers;
mod xdbc;

pub use settings::LISTEN;

use crate::config::Config;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::policy::{Rights, Who};
use crate::signals::Signals;
use settings::{Settings, Tls};

/// The largest message that a client may send.
const LARGEST_MESSAGE: usize = 64 << 20;
/// Drivers put every unknown option of their URL into a header.
const LARGEST_HEADERS: u32 = 64 << 10;
/// How often a connection is asked whether it is alive, and how long it may think.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(15);
/// How often what nobody can use any more is forgotten.
const SWEEP: Duration = Duration::from_secs(5);
/// How long answers take at most once everything has been stopped.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What was typed.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// The address to listen on; port 0 takes a free one. Default 127.0.0.1:31337
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// The address of the page of metrics, `GET /metrics`; none by default
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics: Option<String>,
    /// The server's certificate, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Clients must have a certificate from this authority, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub client_ca: Option<PathBuf>,
    /// What clients may change when there are no users: reader (default), writer or admin
    #[arg(long, value_name = "RIGHTS")]
    pub anonymous: Option<String>,
}

/// The server, as its parts see it.
struct Server {
    settings: Settings,
    /// The owner's session; clients' are made from it.
    engine: Arc<dyn desk::Desk>,
    workers: workers::Workers,
    sealer: ticket::Sealer,
    door: auth::Door,
    sessions: sessions::Sessions,
    queue: Arc<queue::Queue>,
    queries: Arc<queries::Queries>,
    once: once::Once,
    metrics: metrics::Metrics,
    log: access_log::AccessLog,
}

/// Who sends a request.
#[derive(Clone)]
struct Caller {
    session: Arc<sessions::Session>,
    /// How long the client will wait.
    timeout: Option<Duration>,
    by_password: bool,
}

impl Server {
    /// A query has ended, well or not.
    fn ended(&self, query: &Arc<queries::Query>, failed: Option<&Status>) {
        use std::sync::atomic::Ordering;
        let code = failed.map_or(tonic::Code::Ok, Status::code);
        self.queries.end(query, code);
        let (rows, bytes) =
            (query.rows.load(Ordering::Relaxed), query.bytes.load(Ordering::Relaxed));
        self.metrics.query(code, query.seconds(), rows, bytes);
        self.log.query(query, code);
    }
}

/// Serves until it is told to stop: the first signal lets running queries end, the second does not.
pub fn run<'a>(
    config: &'a Config,
    options: &'a Options,
    remark: fn(&str),
) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let settings = Settings::read(config, options)?;
        let workers = workers::Workers::start(config.threads)?;
        let engine = Engine::open(config).await?;
        let server = Arc::new(server(settings, engine, workers)?);
        let listener = bind(server.settings.listen).await?;
        let address = listener.local_addr()?;
        if let Some(metrics) = server.settings.metrics {
            let listener = bind(metrics).await?;
            remark(&format!("metrics on http://{}/metrics", listener.local_addr()?));
            tokio::spawn(metrics::answer(listener, Arc::clone(&server)));
        }
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_serving::<FlightServiceServer<service::Flight>>().await;
        let flight = FlightServiceServer::new(service::Flight::new(Arc::clone(&server)))
            .max_decoding_message_size(LARGEST_MESSAGE)
            .max_encoding_message_size(usize::MAX);
        let mut builder = tonic::transport::Server::builder()
            .http2_max_header_list_size(LARGEST_HEADERS)
            .http2_keepalive_interval(Some(PING))
            .http2_keepalive_timeout(Some(PONG))
            .http2_adaptive_window(Some(true));
        if let Some(tls) = &server.settings.tls {
            builder = builder.tls_config(certificates(tls)?).map_err(|e| {
                Error::usage(format!("the certificate or its key cannot be used: {}", causes(&e)))
            })?;
        }
        let router = builder.add_service(health).add_service(flight);
        let (stop, stopped) = oneshot::channel::<()>();
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = tokio::spawn(router.serve_with_incoming_shutdown(incoming, async {
            // A sender that is gone means the same.
            let _ = stopped.await;
        }));
        let sweeping = tokio::spawn(sweep(Arc::clone(&server)));
        let watched = Arc::clone(&server);
        let watching = tokio::spawn(async move { watched.workers.watch().await });
        let scheme = if server.settings.tls.is_some() { "grpc+tls" } else { "grpc" };
        remark(&format!("listening on {scheme}://{address}"));
        let mut signals = Signals::new()?;
        signals.next().await;
        remark("stopping: running queries may end; a second signal stops them");
        server.queue.drain();
        reporter.set_not_serving::<FlightServiceServer<service::Flight>>().await;
        let _ = stop.send(());
        let mut serving = serving;
        let drained = tokio::select! {
            _ = &mut serving => true,
            () = signals.next() => false,
            () = tokio::time::sleep(server.settings.limits.drain) => false,
        };
        if !drained {
            server.queries.stop_all();
            // The clients are told; one that does not listen is not waited for.
            let _ = tokio::time::timeout(LAST_WORDS, &mut serving).await;
            serving.abort();
        }
        sweeping.abort();
        watching.abort();
        remark("stopped");
        Ok(())
    })
}

fn server(settings: Settings, engine: Engine, workers: workers::Workers) -> Result<Server> {
    let queries = Arc::<queries::Queries>::default();
    let table = Arc::new(queries::QueriesTable(Arc::clone(&queries)));
    engine.add_table(queries::SCHEMA, queries::TABLE, table)?;
    let engine: Arc<dyn desk::Desk> = Arc::new(engine);
    let nobody = Who { user: "nobody".into(), role: None, rights: Rights::Reader };
    let limits = settings.limits.clone();
    Ok(Server {
        sessions: sessions::Sessions::new(
            engine.session(nobody)?,
            limits.sessions,
            limits.session_idle,
        ),
        engine,
        workers,
        sealer: ticket::Sealer::new()?,
        door: auth::Door::new()?,
        queue: queue::Queue::new(limits.queries, limits.queue),
        queries,
        once: once::Once::default(),
        metrics: metrics::Metrics::default(),
        log: access_log::AccessLog::open(settings.access_log.as_deref())?,
        settings,
    })
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|e| Error::usage(format!("cannot listen on `{address}`: {e}")))
}

fn certificates(tls: &Tls) -> Result<ServerTlsConfig> {
    let read = |path: &Path| {
        std::fs::read(path)
            .map_err(|e| Error::usage(format!("cannot read `{}`: {e}", path.display())))
    };
    let identity = Identity::from_pem(read(&tls.certificate)?, read(&tls.key)?);
    let config = ServerTlsConfig::new().identity(identity);
    Ok(match &tls.client_ca {
        Some(ca) => config
            .client_ca_root(Certificate::from_pem(read(ca)?))
            .client_auth_optional(tls.client_optional),
        None => config,
    })
}

fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Forgets, now and then, what is out of date.
async fn sweep(server: Arc<Server>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        server.sessions.sweep();
        server.once.sweep();
    }
}
