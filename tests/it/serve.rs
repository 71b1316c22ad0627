// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The server, as its clients meet it: the real program on a free port, and the drivers that BI tools use.
//!
//! The scripts in serve/ are written against the drivers' documentation. They run in an environment of their own under
//! target/python-serve, made by the first test that needs it.

#![expect(clippy::expect_used, reason = "a test panics")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, UInt64Type};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, FlightInfo};
use comptoir::demo::{self, Options};
use futures::TryStreamExt;
use prost::Message;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

mod limits;
mod load;
mod people;

const VIEWS: &str = "data = [\"shop\"]
[views]
best_customers = \"SELECT * FROM rfm_score(orders) WHERE r_score = 5\"
[serve]
keep_alive = \"300ms\"
";

/// A server, and the folder that it runs in.
pub(crate) struct Serving {
    child: Child,
    /// What it says, after it has said where it listens.
    said: BufReader<ChildStderr>,
    address: String,
    metrics: Option<String>,
    folder: tempfile::TempDir,
}

impl Serving {
    fn start(config: &str, options: &[&str]) -> Self {
        Self::start_in(Self::shop(), config, options)
    }

    /// A folder with a small shop.
    fn shop() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("shop");
        let options = Options { dir, orders: 500, seed: 7, format: demo::Format::Parquet };
        demo::generate(&options).expect("the demo shop is written");
        folder
    }

    pub(crate) fn start_in(folder: tempfile::TempDir, config: &str, options: &[&str]) -> Self {
        fs::write(folder.path().join("comptoir.toml"), config).expect("the configuration");
        let mut child = Command::new(env!("CARGO_BIN_EXE_comptoir"))
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"])
            .args(options)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut said = BufReader::new(child.stderr.take().expect("is piped"));
        let (mut address, mut metrics, mut all) = (None, None, String::new());
        while address.is_none() {
            let mut line = String::new();
            let read = said.read_line(&mut line).expect("it speaks");
            assert!(read > 0, "the server ended: {all}");
            all.push_str(&line);
            if let Some(at) = line.trim().strip_prefix("metrics on http://") {
                metrics = at.strip_suffix("/metrics").map(str::to_string);
            }
            address = line
                .trim()
                .split_once("://")
                .map(|(_, at)| at.to_string())
                .filter(|_| line.starts_with("listening"));
        }
        let address = address.expect("it listens");
        Self { child, said, address, metrics, folder }
    }

    fn uri(&self) -> String {
        format!("grpc://{}", self.address)
    }

    pub(crate) async fn client(&self) -> FlightSqlServiceClient<Channel> {
        let channel = Channel::from_shared(format!("http://{}", self.address)).expect("an address");
        FlightSqlServiceClient::new(channel.connect().await.expect("it answers"))
    }

    /// One number of the page of metrics.
    fn metric(&self, name: &str) -> f64 {
        let address = self.metrics.as_deref().expect("has a page of metrics");
        let mut stream = TcpStream::connect(address).expect("it answers");
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("is sent");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("is read");
        let line = page.lines().find(|l| l.split([' ', '{']).next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("there is no {name} in {page}"));
        line.rsplit(' ').next().expect("a number").parse().expect("a number")
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for the end, and gives what was said until then.
    fn ended(&mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.said.read_to_string(&mut said).expect("it speaks");
        (self.child.wait().expect("it ends").code(), said)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The versions that the scripts were written with.
const PACKAGES: [&str; 9] = [
    "adbc-driver-flightsql==1.13.0",
    "adbc-driver-manager==1.13.0",
    "duckdb==1.3.2",
    "flightsql-dbapi==0.2.2",
    "harlequin==2.17.0",
    "harlequin-adbc==0.1.2",
    "pandas==2.3.3",
    "pyarrow==26.0.1",
    "sqlalchemy==1.4.54",
];

/// A Python with [`PACKAGES`], made once; the lock holds off other tests, which may be other processes.
fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp is in target");
    let home = target.join("python-serve");
    let python = home.join("bin/python");
    let lock = File::create(target.join("python-serve.lock")).expect("a lock file");
    lock.lock().expect("the lock, free in the end");
    let list = home.join("comptoir-packages.txt");
    if fs::read_to_string(&list).is_ok_and(|has| has == PACKAGES.join("\n")) {
        return python;
    }
    crate::oracle::succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
    let mut install = Command::new(&python);
    crate::oracle::succeed(install.args(["-m", "pip", "install", "--quiet"]).args(PACKAGES));
    fs::write(list, PACKAGES.join("\n")).expect("the list of packages");
    python
}

/// Runs a script of serve/.
fn script(name: &str, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/serve").join(name);
    crate::oracle::succeed(Command::new(python()).arg(script).args(arguments));
}

async fn fetch(
    client: &mut FlightSqlServiceClient<Channel>,
    info: FlightInfo,
) -> Result<Vec<RecordBatch>, String> {
    let mut batches = vec![];
    for endpoint in info.endpoint {
        let ticket = endpoint.ticket.expect("a ticket");
        let rows = client.do_get(ticket).await.map_err(|e| e.to_string())?;
        batches.extend(rows.try_collect::<Vec<_>>().await.map_err(|e| e.to_string())?);
    }
    Ok(batches)
}

pub(crate) async fn query(
    client: &mut FlightSqlServiceClient<Channel>,
    sql: &str,
) -> Result<Vec<RecordBatch>, String> {
    let info = client.execute(sql.to_string(), None).await.map_err(|e| e.to_string())?;
    fetch(client, info).await
}

/// The one number of an answer.
async fn number(client: &mut FlightSqlServiceClient<Channel>, sql: &str) -> Result<i64, String> {
    let batches = query(client, sql).await?;
    let batch = batches.iter().find(|b| b.num_rows() == 1).ok_or("no row")?;
    let column = batch.column(0);
    let signed = column.as_primitive_opt::<Int64Type>().map(|c| c.value(0));
    let unsigned =
        || column.as_primitive_opt::<UInt64Type>().and_then(|c| i64::try_from(c.value(0)).ok());
    signed.or_else(unsigned).ok_or_else(|| format!("no number: {batch:?}"))
}

/// A query that takes as long as it is let.
const LONG: &str = "SELECT sum(a.value * b.value % 7) FROM generate_series(1, 200000) AS a CROSS JOIN generate_series(1, 200000) AS b";

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

#[test]
fn python_reads_writes_and_cancels_over_adbc() {
    let server = Serving::start(VIEWS, &["--anonymous", "writer"]);
    script("adbc.py", &[&server.uri()]);
}

#[test]
fn superset_s_driver_reads_tables_and_charts() {
    let server = Serving::start(VIEWS, &[]);
    let (host, port) = server.address.split_once(':').expect("a port");
    script("superset.py", &[host, port]);
}

#[test]
fn the_calls_of_jdbc_and_power_bi_are_answered() {
    let server = Serving::start(VIEWS, &["--anonymous", "writer"]);
    script("drivers.py", &[&server.uri()]);
}

#[test]
fn what_no_driver_sends_has_an_answer_too() {
    let server = Serving::start(VIEWS, &[]);
    script("hostile.py", &[&server.uri()]);
}

#[test]
fn harlequin_loads_its_catalog() {
    let server = Serving::start(VIEWS, &[]);
    script("catalog.py", &[&server.uri()]);
}

#[test]
fn rust_s_client_prepares_and_binds() {
    let server = Serving::start(VIEWS, &[]);
    block_on(async {
        let mut client = server.client().await;
        assert_eq!(number(&mut client, "SELECT count(*) FROM orders").await, Ok(500));
        let mut prepared = client
            .prepare("SELECT value * $1 AS x FROM generate_series(1, 3)".into(), None)
            .await
            .expect("prepares");
        assert_eq!(prepared.parameter_schema().expect("a schema").fields().len(), 1);
        let promised = prepared.dataset_schema().expect("a schema").clone();
        let values = RecordBatch::try_from_iter([(
            "1",
            std::sync::Arc::new(arrow::array::Int64Array::from(vec![5])) as arrow::array::ArrayRef,
        )]);
        prepared.set_parameters(values.expect("a batch")).expect("takes them");
        let info = prepared.execute().await.expect("executes");
        assert_eq!(info.clone().try_decode_schema().expect("a schema"), promised);
        let batches = fetch(&mut client, info).await.expect("rows");
        let sum: i64 = batches
            .iter()
            .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec())
            .sum();
        assert_eq!(sum, 30);
        // Polled, a query is ready at once; and the health service says so of the server.
        let command = CommandStatementQuery { query: "SELECT 9 AS n".into(), transaction_id: None };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let poll =
            client.inner_mut().poll_flight_info(descriptor).await.expect("polls").into_inner();
        assert!(poll.flight_descriptor.is_none() && poll.progress == Some(1.0));
        let batches = fetch(&mut client, poll.info.expect("a ticket")).await.expect("rows");
        assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 9);
        let channel =
            Channel::from_shared(format!("http://{}", server.address)).expect("an address");
        let mut health = HealthClient::new(channel.connect().await.expect("it answers"));
        let request = HealthCheckRequest { service: "arrow.flight.protocol.FlightService".into() };
        let status = health.check(request).await.expect("answers").into_inner().status;
        assert_eq!(status, i32::from(ServingStatus::Serving));
        // A reader reads, and that is all.
        for (sql, said) in [
            ("CREATE TABLE t AS SELECT 1", "a reader cannot change tables"),
            ("INSERT INTO orders SELECT * FROM orders", "a reader cannot change a table's rows"),
            ("EXPLAIN ANALYZE COPY orders TO 'x.csv'", "a reader cannot write files"),
            ("SELECT * FROM 'comptoir.toml'", "no table"),
            ("SELECT * FROM rfm_score('shop/orders.parquet')", "no table"),
            ("SELECT * FROM 's3://bucket/x.parquet'", "no table"),
            ("SET datafusion.execution.target_partitions = 1", "cannot change the setting"),
            ("PREPARE p AS DROP TABLE orders", ""),
        ] {
            let found = match query(&mut client, sql).await {
                Ok(_) if said.is_empty() => query(&mut client, "EXECUTE p").await,
                found => found,
            };
            let error = found.expect_err(sql);
            assert!(
                error.contains(said)
                    && (!said.is_empty() || error.contains("cannot change tables")),
                "{sql}: {error}"
            );
        }
        assert_eq!(number(&mut client, "SELECT count(*) FROM orders").await, Ok(500));
        assert!(!server.folder.path().join("x.csv").exists());
    });
}
