// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! How fast the server is, through ADBC from Python: rows a second of a large SELECT, beside a server that does nothing
//! but send one batch again and again; and how long small questions take.
//!
//! ```text
//! cargo bench --bench serve
//! ```
//!
//! makes what it needs under target/: a Python with the driver, and a Parquet file of ten million rows.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that measures, and says what"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt, SqlInfo, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use comptoir::Engine;
use comptoir::config::Config;
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

const PACKAGES: [&str; 3] =
    ["adbc-driver-flightsql==1.13.0", "adbc-driver-manager==1.13.0", "pyarrow==26.0.1"];

/// The questions, by the columns they want.
const COLUMNS: [(&str, &str); 2] = [
    ("numbers", "id, quantity, price, created"),
    ("numbers and text", "id, quantity, price, created, sku"),
];

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let rows: u64 = if std::env::args().any(|a| a == "--bench") { 10_000_000 } else { 20_000 };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serve-bench-snappy");
    fs::create_dir_all(&folder).expect("a folder");
    let python = python();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let file = folder.join(format!("lines_{rows}.parquet"));
    if !file.is_file() {
        runtime.block_on(make(&file, rows));
    }
    let mut server = Command::new(env!("CARGO_BIN_EXE_comptoir"))
        .args(["serve", "--anonymous", "writer", "--listen", "127.0.0.1:0", "--data"])
        .arg(&file)
        .current_dir(&folder)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut said = BufReader::new(server.stderr.take().expect("is piped"));
    let mut line = String::new();
    while !line.starts_with("listening") {
        line.clear();
        assert!(said.read_line(&mut line).expect("it speaks") > 0, "the server ended");
    }
    let ours = line.trim().trim_start_matches("listening on ").to_string();
    // What the server costs shows where the engine has nothing to do; reading the file comes on top.
    let held = format!("CREATE TABLE held AS SELECT * FROM lines_{rows}");
    measure(&python, &["do", &ours, "", &held]);
    for (name, columns) in COLUMNS {
        let sql = format!("SELECT {columns} FROM lines_{rows}");
        let plain = runtime.block_on(plain(&file, columns, rows));
        println!("{name}: {rows} rows");
        measure(&python, &["rows", &format!("grpc://{plain}"), "one batch again and again", &sql]);
        let held = format!("SELECT {columns} FROM held");
        measure(&python, &["rows", &ours, "comptoir, a table held", &held]);
        measure(&python, &["rows", &ours, "comptoir, a Parquet file", &sql]);
    }
    measure(&python, &["latency", &ours, "comptoir", &format!("SELECT * FROM lines_{rows}")]);
    server.kill().expect("it ends");
    server.wait().expect("it ends");
}

fn measure(python: &Path, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/serve/measure.py");
    let status = Command::new(python).arg(script).args(arguments).status().expect("Python runs");
    assert!(status.success());
}

/// A table of numbers and words, none of which repeat too nicely, compressed as most writers of Parquet do.
async fn make(file: &Path, rows: u64) {
    let engine = Engine::open(&Config::default()).await.expect("opens");
    let sql = format!(
        "COPY (SELECT value AS id, CAST(value * 7919 % 13 AS INT) AS quantity, value % 99991 / 100.0 AS price,
            to_timestamp_seconds(1704067200 + value) AS created,
            'sku-' || CAST(value * 104729 % 5000 AS VARCHAR) AS sku
         FROM generate_series(1, {rows})) TO '{}' OPTIONS (compression 'snappy')",
        file.display()
    );
    engine.query(&sql).await.expect("is written");
}

/// The limit of the protocol: no SQL, no file, one batch in memory.
async fn plain(file: &Path, columns: &str, rows: u64) -> std::net::SocketAddr {
    let engine = Engine::open(&Config::default()).await.expect("opens");
    let sql = format!("SELECT {columns} FROM '{}' LIMIT 8192", file.display());
    let batches = engine.query(&sql).await.expect("reads");
    let batch =
        arrow::compute::concat_batches(batches[0].schema_ref(), &batches).expect("one batch");
    let fields: Vec<Field> = batch
        .schema()
        .fields()
        .iter()
        .map(|f| {
            let text = matches!(f.data_type(), DataType::Utf8View);
            let data_type = if text { DataType::Utf8 } else { f.data_type().clone() };
            Field::new(f.name(), data_type, f.is_nullable())
        })
        .collect();
    let columns =
        batch.columns().iter().zip(&fields).map(|(c, f)| cast(c, f.data_type()).expect("casts"));
    let batch = RecordBatch::try_new(Schema::new(fields.clone()).into(), columns.collect())
        .expect("a batch");
    let service = FlightServiceServer::new(Plain { batch, rows });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(
        tonic::transport::Server::builder()
            .http2_adaptive_window(Some(true))
            .add_service(service)
            .serve_with_incoming(incoming),
    );
    address
}

struct Plain {
    batch: RecordBatch,
    rows: u64,
}

#[tonic::async_trait]
impl FlightSqlService for Plain {
    type FlightService = Plain;

    async fn get_flight_info_statement(
        &self,
        _: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let ticket = TicketStatementQuery { statement_handle: vec![1].into() };
        let endpoint =
            FlightEndpoint::new().with_ticket(Ticket::new(ticket.as_any().encode_to_vec()));
        let info = FlightInfo::new().try_with_schema(&self.batch.schema()).expect("a schema");
        Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(request.into_inner())))
    }

    async fn do_get_statement(
        &self,
        _: TicketStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let (batch, size) = (self.batch.clone(), self.batch.num_rows() as u64);
        let whole = self.rows / size;
        let last = batch.slice(0, usize::try_from(self.rows % size).unwrap_or(0));
        let schema: SchemaRef = batch.schema();
        let batches = stream::iter((0..whole).map(move |_| Ok(batch.clone())).chain([Ok(last)]));
        let encoded = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
        Ok(Response::new(encoded.map_err(Into::into).boxed()))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

/// A Python with the driver, made once.
fn python() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-serve-bench");
    let python = home.join("bin/python");
    let list = home.join("comptoir-packages.txt");
    if fs::read_to_string(&list).is_ok_and(|has| has == PACKAGES.join("\n")) {
        return python;
    }
    let run = |command: &mut Command| assert!(command.status().expect("it runs").success());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES));
    fs::write(list, PACKAGES.join("\n")).expect("the list of packages");
    python
}
