// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Tables and outputs at `s3://`, against moto on loopback, and at `http://`, against a web server of our own.

#![expect(clippy::expect_used, reason = "a test panics")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::oracle::environment;
use crate::script::Place;

/// moto as a server, on a port of its own choice, for as long as this lives.
struct Moto {
    child: Child,
    endpoint: String,
    python: PathBuf,
}

const SECRET: &str = "wJalrXUtnFEMI-TOPSECRET";

impl Moto {
    fn start() -> Self {
        let python = environment("moto", &["moto[server]==5.1.16"]);
        let serve = "import sys\nfrom moto.server import ThreadedMotoServer\n\
                     s = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)\ns.start()\n\
                     print(s.get_host_and_port()[1], flush=True)\nsys.stdin.read()\n";
        Self::spawn(python, serve)
    }

    /// A server in Python, which prints its port.
    fn spawn(python: PathBuf, serve: &str) -> Self {
        let mut child = Command::new(&python)
            .args(["-c", serve])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python starts");
        let mut port = String::new();
        BufReader::new(child.stdout.as_mut().expect("its output"))
            .read_line(&mut port)
            .expect("a port");
        let endpoint = format!("http://127.0.0.1:{}", port.trim());
        Self { child, endpoint, python }
    }

    /// Does something with boto3, and gives what it prints.
    fn boto(&self, code: &str) -> String {
        let start = format!(
            "import boto3\ns = boto3.client('s3', endpoint_url='{}', aws_access_key_id='k', aws_secret_access_key='{SECRET}', region_name='us-east-1')\n",
            self.endpoint
        );
        let out = Command::new(&self.python)
            .args(["-c", &(start + code)])
            .output()
            .expect("python starts");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn keys(&self) -> Vec<String> {
        let code = "for o in s.list_objects_v2(Bucket='shop', Prefix='out/').get('Contents', []): print(o['Key'])\n\
                    for u in s.list_multipart_uploads(Bucket='shop').get('Uploads', []): print('UPLOAD', u['Key'])";
        self.boto(code).lines().map(str::to_string).collect()
    }

    /// Runs the program with credentials for this server, or others.
    fn run(
        &self,
        place: &Place,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> (i32, String, String) {
        let mut command = place.command(arguments);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_ACCESS_KEY_ID", "k")
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("COMPTOIR_RETRIES", "1")
            .envs(environment.iter().copied());
        for (name, _) in environment.iter().filter(|(_, value)| value.is_empty()) {
            command.env_remove(name);
        }
        let out = command.output().expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (stdout, stderr) = (text(out.stdout), text(out.stderr));
        assert!(!stderr.contains(SECRET), "a secret is shown: {stderr}");
        (out.status.code().expect("ends by itself"), stdout, stderr)
    }

    fn query(&self, place: &Place, sql: &str) -> (i32, String, String) {
        self.run(place, &["-q", "--format", "csv", "-c", sql], &[])
    }

    /// A server in front of this one that answers some requests itself: a rule is a Python expression of the request's
    /// `command` and `path` which gives a status, or what is false.
    fn front(&self, rule: &str) -> Self {
        let port = self.endpoint.rsplit(':').next().expect("a port");
        let code = FRONT.replace("RULE", rule).replace("PORT", port);
        Self::spawn(self.python.clone(), &code)
    }
}

const FRONT: &str = r#"
import http.client, http.server, sys, threading
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *a): pass
    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers: self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)
    def any(self):
        command, path = self.command, self.path
        sent = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        status = RULE
        if status:
            body = b'<Error><Code>InternalError</Code><Message>TOPSECRET</Message></Error>'
            return self.answer(status, [('Content-Length', str(len(body)))], body)
        c = http.client.HTTPConnection('127.0.0.1', PORT)
        c.request(command, path, sent, dict(self.headers))
        r = c.getresponse(); body = r.read()
        drop = ('transfer-encoding', 'connection', 'content-length', 'server', 'date')
        length = r.getheader('Content-Length') if command == 'HEAD' else str(len(body))
        headers = [(n, v) for n, v in r.getheaders() if n.lower() not in drop]
        self.answer(r.status, headers + [('Content-Length', length or '0')], body)
    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = any
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
print(s.server_address[1], flush=True)
threading.Thread(target=s.serve_forever, daemon=True).start()
sys.stdin.read()
"#;

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_bucket_is_read_as_a_folder_is() {
    let moto = Moto::start();
    let place = Place::new();
    moto.boto(
        "s.create_bucket(Bucket='shop')\n\
         put = lambda key, body: s.put_object(Bucket='shop', Key=key, Body=body)\n\
         put('data/orders.csv', b'id,v\\n1,2\\n2,3\\n')\n\
         put('data/lines/a.csv', b'n\\n1\\n')\nput('data/lines/b.csv', b'n\\n2\\n')\n\
         put('latin.csv', 'name;x\\ncaf\\u00e9;1\\n'.encode('latin-1'))\n\
         put('bad.csv', b'id\\n1\\n2,3\\n')\nput('notes.txt', b'x')\nput('empty.csv', b'')\n\
         put('hive/day=2026-01-01/a.csv', b'v\\n1\\n')\nput('hive/day=2026-01-02/a.csv', b'v\\n5\\n')\n\
         put('with space/a b.csv', b'v\\n7\\n')\nput('holes/a//b.csv', b'v')\nput('broken.parquet', b'PAR1 and no more')",
    );
    let parquet = "COPY (SELECT value AS v FROM generate_series(1, 1000)) TO 's3://shop/p.parquet'";
    assert_eq!(moto.query(&place, parquet).0, 0);
    for (sql, rows) in [
        ("SELECT sum(v) FROM 's3://shop/data/orders.csv'", "5"),
        ("SELECT sum(n) FROM 's3://shop/data/lines/'", "3"),
        ("SELECT sum(n) FROM 's3://shop/data/lines'", "3"),
        ("SELECT sum(n) FROM 's3://shop/data/l*/*.csv'", "3"),
        ("SELECT name FROM 's3://shop/latin.csv?encoding=windows-1252&delimiter=;'", "café"),
        ("SELECT day FROM 's3://shop/hive/' WHERE v > 2", "2026-01-02"),
        ("SELECT sum(v) FROM 's3://shop/p.parquet' WHERE v > 990", "9955"),
        ("SELECT v FROM 's3://shop/with space/a b.csv'", "7"),
        (
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://shop/data/lines/'; SELECT sum(n) FROM t",
            "3",
        ),
    ] {
        let (code, out, said) = moto.query(&place, sql);
        assert_eq!((code, out.lines().last()), (0, Some(rows)), "{sql}: {said}");
    }
    place.write(
        "comptoir.toml",
        "data = [\"s3://shop/data\"]\n[tables.days]\npath = \"s3://shop/hive/\"\n",
    );
    let (code, out, said) = moto.query(
        &place,
        "SELECT (SELECT sum(n) FROM lines) + (SELECT sum(v) FROM days) + count(*) FROM orders",
    );
    assert_eq!((code, out.lines().last()), (0, Some("11")), "{said}");
    fs::remove_file(place.path("comptoir.toml")).expect("removes");
    for (sql, code, said) in [
        ("SELECT * FROM 's3://shop/bad.csv'", 2, "s3://shop/bad.csv:3: this line has 2 fields"),
        ("SELECT * FROM 's3://shop/data/oders.csv'", 2, "did you mean `s3://shop/data/orders.csv`"),
        ("SELECT * FROM 's3://shop/none/'", 2, "no data file"),
        ("SELECT * FROM 's3://nobucket/a.csv'", 2, "there is no bucket for `s3://nobucket/a.csv`"),
        ("SELECT * FROM 's3://shop/notes.txt'", 2, "does not say what it holds"),
        ("SELECT * FROM 's3://shop/empty.csv'", 2, "is empty"),
        ("SELECT * FROM 's3://shop/broken.parquet'", 2, "cut short or damaged"),
        ("SELECT * FROM 'ftp://shop/a.csv'", 2, "there is no store for `ftp://`"),
        ("SELECT * FROM 's3://k:password@shop/a.csv'", 2, "holds a user or a password"),
        ("SELECT * FROM 's3:///a.csv'", 2, "names no bucket"),
        ("SELECT * FROM 's3://shop/holes/a/'", 2, "the name of an object in"),
    ] {
        let (found, _, error) = moto.query(&place, sql);
        assert_eq!(found, code, "{sql}: {error}");
        // The statement itself is drawn under its error, and is the user's own.
        assert!(!error.contains("k:password"), "{error}");
        assert!(error.contains(said), "{sql} should say {said}: {error}");
    }
    let sql = ["-q", "-c", "SELECT * FROM 's3://shop/data/orders.csv'"];
    for (environment, code, said) in [
        (
            &[
                ("AWS_ACCESS_KEY_ID", ""),
                ("AWS_SECRET_ACCESS_KEY", ""),
                ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1"),
            ][..],
            2,
            "there are no credentials",
        ),
        (&[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")], 3, "cannot be reached"),
        (&[("AWS_SECRET_ACCESS_KEY", "")], 2, "cannot be opened from what the environment says"),
        (&[("AWS_ENDPOINT_URL", "localhost:9000")], 2, "`AWS_ENDPOINT_URL` is not the address"),
        (&[("AWS_SESSION_TOKEN", "a\nb")], 2, "`AWS_SESSION_TOKEN` holds a blank"),
        (&[("AWS_ALLOW_HTTP", "")], 2, "or set `AWS_ALLOW_HTTP=true`"),
        (&[("COMPTOIR_RETRIES", "many")], 2, "`COMPTOIR_RETRIES` is a whole number"),
    ] {
        let (found, _, error) = moto.run(&place, &sql, environment);
        assert_eq!(found, code, "{environment:?}: {error}");
        assert!(error.contains(said), "{environment:?} should say {said}: {error}");
    }
}

#[test]
fn what_goes_to_a_bucket_appears_whole_or_not_at_all() {
    let moto = Moto::start();
    let place = Place::new();
    moto.boto("s.create_bucket(Bucket='shop')\ns.put_object(Bucket='shop', Key='theirs/a.csv', Body=b'x')");
    let ok = |sql: &str| {
        let (code, _, said) = moto.query(&place, sql);
        assert_eq!(code, 0, "{sql}: {said}");
    };
    // Large enough for several parts.
    let rows = "SELECT value AS v, random() AS r";
    ok(&format!("COPY ({rows} FROM generate_series(1, 1500000)) TO 's3://shop/out/big.parquet'"));
    assert_eq!(moto.keys(), ["out/big.parquet"]);
    let (code, out, _) =
        moto.query(&place, "SELECT count(*), max(v) FROM 's3://shop/out/big.parquet'");
    assert_eq!((code, out.lines().last()), (0, Some("1500000,1500000")));
    // A failure after the first parts have been sent.
    let bad = format!(
        "COPY ({rows}, CASE WHEN value > 1490000 THEN raise('stop') END AS x FROM generate_series(1, 1500000)) TO 's3://shop/out/bad.parquet'"
    );
    let (code, _, said) = moto.query(&place, &bad);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("stop"), "{said}");
    assert_eq!(moto.keys(), ["out/big.parquet"]);
    // A folder, and what replaces it.
    let folder = "COPY (SELECT value AS v,";
    let rest =
        "FROM generate_series(1, 30)) TO 's3://shop/out/h/' STORED AS PARQUET PARTITIONED BY (p)";
    for p in [3, 2] {
        ok(&format!("{folder} value % {p} AS p {rest}"));
        assert_eq!(
            moto.keys().iter().filter(|k| k.ends_with(".parquet") && k.contains("/p=")).count(),
            p
        );
    }
    assert!(moto.keys().contains(&"out/h/_manifest.json".to_string()));
    // A run that was killed after its first object had appeared: the next one knows what is ours, and cleans up.
    moto.boto(
        "s.put_object(Bucket='shop', Key='out/h/p=9/killed.parquet', Body=b'x')\n\
         s.put_object(Bucket='shop', Key='out/h/_manifest.next.json', Body=b'{\"written_by\": \"comptoir 0.1.0\", \"files\": [{\"path\": \"p=9/killed.parquet\", \"bytes\": 1}]}')",
    );
    ok(&format!("{folder} value % 2 AS p {rest}"));
    assert!(!moto.keys().iter().any(|k| k.contains("killed") || k.contains("next")));
    let (_, out, _) =
        moto.query(&place, "SELECT count(*), count(DISTINCT p) FROM 's3://shop/out/h/'");
    assert_eq!(out.lines().last(), Some("30,2"));
    // One result, a page, and what cannot be.
    let (code, ..) = moto.run(
        &place,
        &["-q", "-c", "SELECT 5 AS five", "--output", "s3://shop/out/five.csv"],
        &[],
    );
    assert_eq!(code, 0);
    ok("COPY (SELECT 5 AS five) TO 's3://shop/out/five.html'");
    for (target, said) in [
        ("'s3://nobucket/x.csv'", "there is no bucket"),
        ("'http://127.0.0.1:9/x.csv'", "takes no files"),
        ("'s3://shop/theirs/' STORED AS CSV", "not written by Comptoir"),
        ("'s3://shop/' STORED AS CSV", "whole bucket"),
    ] {
        let (code, _, error) = moto.query(&place, &format!("COPY (SELECT 1 AS a) TO {target}"));
        assert_eq!(code, 2, "{target}: {error}");
        assert!(error.contains(said), "{target} should say {said}: {error}");
    }
    // Together with the rest of a script, and skipped when nothing has changed.
    place.write("in.csv", "a\n1\n").write(
        "s.sql",
        "PARAMETER good BOOLEAN;\nCOPY (SELECT a FROM 'in.csv') TO 's3://shop/out/one.csv';\nCOPY (SELECT a FROM 'in.csv') TO 'two.csv';\nASSERT $good;\n",
    );
    let before = moto.keys();
    let script =
        |good: &str| moto.run(&place, &["run", "s.sql", "--state", "st.json", "-p", good], &[]);
    let (code, _, said) = script("good=false");
    assert_eq!((code, moto.keys()), (1, before), "{said}");
    assert!(!place.path("two.csv").exists());
    assert_eq!(script("good=true").0, 0);
    assert!(place.path("two.csv").exists() && moto.keys().contains(&"out/one.csv".to_string()));
    let (code, _, said) = script("good=true");
    assert!(code == 0 && said.contains("3 of 3 statements skipped"), "{said}");
    moto.boto("s.put_object(Bucket='shop', Key='out/one.csv', Body=b'touched')");
    let (code, _, said) = script("good=true");
    assert!(
        code == 0
            && said.contains("2 of 3 statements skipped")
            && said.contains("not as it left it"),
        "{said}"
    );
    // Nobody answers when it is to be written: another time it may work.
    let (code, _, said) = moto.run(
        &place,
        &["-c", "COPY (SELECT 1 AS a) TO 's3://shop/out/z.csv'"],
        &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")],
    );
    assert_eq!(code, 3, "{said}");
}

#[test]
fn a_key_is_what_it_is() {
    let moto = Moto::start();
    let place = Place::new();
    moto.boto(
        "s.create_bucket(Bucket='shop')\n\
         put = lambda key, body: s.put_object(Bucket='shop', Key=key, Body=body)\n\
         put('ts/ts=10%3A00/a.csv', b'v\\n1\\n')\nput('ts/ts=a b/a.csv', b'v\\n2\\n')\n\
         put('odd/a%20b.csv', b'v\\n1\\n')\nput('odd/c#1.csv', b'v\\n2\\n')\nput('odd/q?x.csv', b'v\\n4\\n')\nput('odd/s=1.csv', b'v\\n8\\n')\n\
         put('null/k=1/a.csv', b'v\\n1\\n')\nput('null/k=__HIVE_DEFAULT_PARTITION__/a.csv', b'v\\n2\\n')",
    );
    let odd = "'é%#/? '";
    let copy = format!(
        "COPY (SELECT 1 AS v, {odd} AS k) TO 's3://shop/out/odd/' STORED AS PARQUET PARTITIONED BY (k)"
    );
    for sql in [&copy, &copy, "COPY (SELECT 3 AS v) TO 's3://shop/out/week#1.csv'"] {
        let (code, _, said) = moto.query(&place, sql);
        assert_eq!(code, 0, "{sql}: {said}");
    }
    assert!(moto.keys().contains(&"out/week#1.csv".to_string()));
    for (sql, rows) in [
        ("SELECT v FROM 's3://shop/ts/' WHERE ts = '10:00'", "1"),
        ("SELECT v FROM 's3://shop/ts/' WHERE ts = 'a b'", "2"),
        ("SELECT sum(v) FROM 's3://shop/odd/'", "15"),
        ("SELECT v FROM 's3://shop/odd/a%20b.csv'", "1"),
        ("SELECT v FROM 's3://shop/odd/c#1.csv'", "2"),
        ("SELECT sum(v) FROM 's3://shop/null/' WHERE k IS NULL", "2"),
        (&format!("SELECT v FROM 's3://shop/out/odd/' WHERE k = {odd}"), "1"),
        ("SELECT v FROM 's3://shop/out/week#1.csv'", "3"),
    ] {
        let (code, out, said) = moto.query(&place, sql);
        assert_eq!((code, out.lines().last()), (0, Some(rows)), "{sql}: {said}");
    }
    let (code, _, said) = moto.query(&place, "COPY (SELECT 1 AS v) TO 's3://shop/out/q?1.csv'");
    assert!(code == 2 && said.contains("has a `?`"), "{said}");
    // What a script has written under such a name stands, and is known again.
    place.write("s.sql", "COPY (SELECT 1 AS a) TO 's3://shop/out/10%.csv';\n");
    let script = || moto.run(&place, &["run", "s.sql", "--state", "st.json"], &[]);
    assert_eq!(script().0, 0);
    let (code, _, said) = script();
    assert!(code == 0 && said.contains("1 of 1 statements skipped"), "{said}");
    let (code, _, said) = moto.run(&place, &["run", "s.sql", "--state", "s3://shop/st.json"], &[]);
    assert!(code == 2 && said.contains("a file on this machine"), "{said}");
}

#[test]
fn an_upload_that_fails_or_is_stopped_leaves_nothing() {
    let moto = Moto::start();
    let place = Place::new();
    moto.boto("s.create_bucket(Bucket='shop')");
    let copy = |rows: u32| {
        format!(
            "COPY (SELECT value AS v, repeat('x', 1000) AS x FROM generate_series(1, {rows})) TO 's3://shop/out/big.csv'"
        )
    };
    for (rule, code) in [
        ("command in ('PUT', 'POST') and 403", 2),
        ("'partNumber=2' in path and 500", 3),
        ("'partNumber=2' in path and 403", 2),
        ("command == 'POST' and 'uploadId' in path and 500", 3),
        ("command == 'POST' and 'uploadId' in path and 200", 3),
    ] {
        let front = moto.front(rule);
        let (found, _, said) = front.query(&place, &copy(25_000));
        assert_eq!(found, code, "{rule}: {said}");
        assert!(said.contains("out/big.csv"), "{said}");
        assert!(!said.contains("uploadId") && !said.contains("TOPSECRET"), "{said}");
        assert_eq!(moto.keys(), [""; 0], "{rule}");
    }
    // A folder of which only a part has appeared.
    let folder = |p: u32| {
        format!(
            "COPY (SELECT value AS v, value % {p} AS p FROM generate_series(1, 30)) TO 's3://shop/out/h/' STORED AS PARQUET PARTITIONED BY (p)"
        )
    };
    assert_eq!(moto.query(&place, &folder(2)).0, 0);
    let before = moto.keys();
    for rule in [
        "command == 'PUT' and path.endswith('_manifest.json') and 500",
        "command == 'PUT' and 'p%3D2' in path.replace('=', '%3D') and 500",
    ] {
        let (code, _, said) = moto.front(rule).query(&place, &folder(3));
        assert_eq!(code, 3, "{rule}: {said}");
        let mut keys = moto.keys();
        // What was about to come stays written down for the next run.
        keys.retain(|key| key != "out/h/_manifest.next.json");
        assert_eq!(keys, before, "{rule}");
    }
    assert_eq!(moto.query(&place, &folder(2)).0, 0);
    let before = moto.keys();
    for signal in ["-INT", "-TERM"] {
        let mut child = place
            .command(&["-q", "-c", &copy(200_000_000)])
            .env("AWS_ENDPOINT_URL", &moto.endpoint)
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_ACCESS_KEY_ID", "k")
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        while !moto.keys().iter().any(|key| key.starts_with("UPLOAD")) {
            assert!(child.try_wait().expect("asks").is_none(), "it has ended");
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kills").success());
        assert_eq!(child.wait().expect("ends").code(), Some(130), "{signal}");
        assert_eq!(moto.keys(), before, "{signal}");
    }
}

/// A web server with byte ranges and nothing else, over one folder. Notes what it was asked.
struct Web {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn over(files: Vec<(&'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(vec![]));
        let (files, notes) = (Arc::new(files), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, notes) = (Arc::clone(&files), Arc::clone(&notes));
                std::thread::spawn(move || answer(stream, &files, &notes));
            }
        });
        Self { address, asked }
    }
}

fn answer(stream: TcpStream, files: &[(&str, Vec<u8>)], asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = vec![];
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_string());
        }
        let range = lines
            .iter()
            .find_map(|l| l.to_lowercase().strip_prefix("range: bytes=").map(str::to_string));
        let words: Vec<&str> = lines[0].split(' ').collect();
        asked.lock().expect("notes").push(format!(
            "{} {} {}",
            words[0],
            words[1],
            range.clone().unwrap_or_default()
        ));
        let found = files.iter().find(|(name, _)| *name == words[1]);
        let (head, body) = match (words[1], found, range) {
            ("/busy.csv", ..) => ("503 Service Unavailable".to_string(), vec![]),
            ("/nohead.csv", ..) if words[0] == "HEAD" => ("405 Not Allowed".to_string(), vec![]),
            ("/noplace.csv", ..) => ("302 Found".to_string(), vec![]),
            ("/circle.csv", ..) => ("302 Found\r\nLocation: /circle.csv".to_string(), vec![]),
            ("/whole.csv", ..) => ("200 OK".to_string(), b"id,v\n1,2\n".to_vec()),
            ("/secret.csv", ..) => ("403 Forbidden".to_string(), b"key=TOPSECRET".to_vec()),
            (_, None, _) => ("404 Not Found".to_string(), vec![]),
            (_, Some((_, bytes)), Some(range)) if words[0] == "GET" => {
                let (from, to) = range.split_once('-').expect("a range");
                let from: usize = from.parse().expect("a number");
                let to = to.parse().map_or(bytes.len(), |to: usize| (to + 1).min(bytes.len()));
                let head = format!(
                    "206 Partial Content\r\nContent-Range: bytes {from}-{}/{}",
                    to - 1,
                    bytes.len()
                );
                (head, bytes[from..to].to_vec())
            }
            (_, Some((_, bytes)), _) => ("200 OK".to_string(), bytes.clone()),
        };
        let head = format!(
            "HTTP/1.1 {head}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nETag: \"1\"\r\n\r\n",
            body.len()
        );
        let body = if words[0] == "HEAD" { vec![] } else { body };
        let stream = reader.get_mut();
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
            return;
        }
    }
}

#[test]
fn a_web_server_gives_files_and_ranges_of_them() {
    let place = Place::new();
    let sql =
        "COPY (SELECT value AS v, random() AS r FROM generate_series(1, 300000)) TO 'p.parquet'";
    assert!(place.command(&["-q", "-c", sql]).status().expect("starts").success());
    let mut parquet = vec![];
    fs::File::open(place.path("p.parquet"))
        .expect("opens")
        .read_to_end(&mut parquet)
        .expect("reads");
    let length = parquet.len();
    let web = Web::over(vec![("/a.csv", b"id,v\n1,2\n2,3\n".to_vec()), ("/p.parquet", parquet)]);
    let run = |sql: &str| {
        let sql = sql.replace("WEB", &web.address);
        let mut command = place.command(&["-q", "--format", "csv", "-c", &sql]);
        let out = command.env("COMPTOIR_RETRIES", "1").output().expect("starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (out.status.code().expect("ends"), text(out.stdout), text(out.stderr))
    };
    for (sql, row) in [
        ("SELECT sum(v) FROM 'WEB/a.csv'", "5"),
        ("SELECT sum(v) FROM 'WEB/p.parquet'", "45000150000"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'WEB/a.csv'; SELECT sum(id) FROM t", "3"),
    ] {
        let (code, out, said) = run(sql);
        assert_eq!((code, out.lines().last()), (0, Some(row)), "{sql}: {said}");
    }
    // The one column of two is fetched, by its place in the file.
    let asked = web.asked.lock().expect("notes").clone();
    let ranges = asked
        .iter()
        .filter(|a| a.starts_with("GET /p.parquet"))
        .filter_map(|a| a.rsplit(' ').next()?.split_once('-'));
    let fetched: usize = ranges
        .map(|(a, b)| {
            b.parse::<usize>().expect("a number") + 1 - a.parse::<usize>().expect("a number")
        })
        .sum();
    assert!(fetched > 0 && fetched < length, "{fetched} of {length} bytes: {asked:?}");
    for (sql, code, said) in [
        ("SELECT * FROM 'WEB/none.csv'", 2, "there is nothing at"),
        ("SELECT * FROM 'WEB/folder/'", 2, "lists nothing"),
        ("SELECT * FROM 'WEB/*.csv'", 2, "lists nothing"),
        ("SELECT * FROM 'WEB/secret.csv'", 2, "refuses"),
        ("SELECT * FROM 'WEB/busy.csv'", 3, "503"),
        ("SELECT * FROM 'WEB/nohead.csv'", 2, "answers no HEAD request"),
        ("SELECT * FROM 'WEB/noplace.csv'", 2, "does not say where"),
        ("SELECT * FROM 'WEB/circle.csv'", 2, "sends in a circle"),
        ("SELECT * FROM 'WEB/whole.csv'", 2, "does not give parts of a file"),
        ("SELECT * FROM 'WEB/a.csv?sig=1'", 2, "a signed address cannot be read"),
    ] {
        let (found, _, error) = run(sql);
        assert_eq!(found, code, "{sql}: {error}");
        assert!(
            error.contains(said) && !error.contains("TOPSECRET"),
            "{sql} should say {said}: {error}"
        );
    }
}
