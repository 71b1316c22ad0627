// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

#![expect(clippy::expect_used, reason = "a test panics")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder with scripts in it, and what running them there says.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.path(name), text).expect("writes");
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_comptoir"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self
            .command(&[&["run", "--format", "csv"], arguments].concat())
            .output()
            .expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (status.code().expect("ends by itself"), text(stdout), text(stderr))
    }

    /// Every file, hidden ones included.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        walk(self.0.path(), self.0.path(), &mut files);
        files
    }
}

fn walk(root: &Path, folder: &Path, files: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("lists") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            walk(root, &path, files);
        } else {
            files.insert(path.strip_prefix(root).expect("within").display().to_string());
        }
    }
}

#[test]
fn nothing_runs_unless_everything_can_be_read() {
    let place = Place::new();
    place.write("a.sql", "COPY (SELECT 1 AS a) TO 'a.csv'; SELECT 1 AS shown;");
    for (text, said) in [
        ("SELECT (1;", "b.sql:1"),
        ("SELECT $day;", "not declared"),
        ("PARAMETER day DATE; SELECT $day;", "has no value"),
        ("ASSERT NO ROWS IN 5;", "a query in parentheses"),
        ("SELECT 'open", "b.sql"),
    ] {
        place.write("b.sql", text);
        for more in [&[][..], &["--publish", "each"], &["--on-error", "continue"]] {
            let (code, out, error) = place.run(&[&["a.sql", "b.sql"], more].concat());
            assert_eq!((code, out.as_str()), (2, ""), "{text}: {error}");
            assert!(error.contains(said), "{text} should say {said}: {error}");
            assert!(!place.path("a.csv").exists(), "{text}");
        }
    }
}

const TWO_OUTPUTS: &str = "PARAMETER n BIGINT DEFAULT 3;\n\
    CREATE TABLE t AS SELECT value AS id FROM generate_series(1, $n);\n\
    COPY t TO 'first.csv';\n\
    ASSERT (SELECT count(*) FROM t) > 2 MESSAGE 'too few';\n\
    ASSERT NO ROWS IN (SELECT id FROM t WHERE id > 3 ORDER BY id) MESSAGE 'too high';\n\
    COPY t TO 'second/' STORED AS CSV;\n";

#[test]
fn a_failed_assertion_publishes_nothing_and_shows_its_rows() {
    let place = Place::new();
    place.write("a.sql", TWO_OUTPUTS);
    let (code, _, said) = place.run(&["a.sql"]);
    assert_eq!(code, 0, "{said}");
    let before = (place.files(), place.read("first.csv"));
    assert_eq!(before.0.len(), 4, "{:?}", before.0);
    for (n, said) in [("n=1", "too few"), ("n=9", "6 rows fail")] {
        for more in [&[][..], &["--on-error", "continue"]] {
            let run = [&["a.sql", "-p", n, "--show-failures", "2"], more].concat();
            let (code, _, error) = place.run(&run);
            assert_eq!(code, 1, "{error}");
            assert!(error.contains(said) && error.contains("nothing was published"), "{error}");
            assert!(error.contains("a.sql:"), "{error}");
            assert_eq!((place.files(), place.read("first.csv")), before);
            if n == "n=9" {
                assert!(error.contains("| 4  |") && error.contains("| 5  |"), "{error}");
                assert!(!error.contains("| 6  |") && error.contains("the first 2 of 6"), "{error}");
            }
        }
    }
    // Each with its statement: what stands before the assertion has appeared, what stands behind it only when told to.
    let (code, _, _) = place.run(&["a.sql", "-p", "n=9", "--publish", "each"]);
    assert_eq!((code, place.read("first.csv").lines().count()), (1, 10));
    assert_eq!(place.files(), before.0);
    let (code, ..) =
        place.run(&["a.sql", "-p", "n=9", "--publish", "each", "--on-error", "continue"]);
    assert_eq!(code, 1);
    assert_ne!(place.files(), before.0);
}

#[test]
fn a_warning_is_said_and_failing_rows_are_kept_on_request() {
    let place = Place::new();
    place.write(
        "a.sql",
        "ASSERT NO ROWS IN (SELECT value AS v FROM generate_series(1, 30)) SEVERITY WARN MESSAGE 'thirty';\n\
         ASSERT 1 = 1; ASSERT NO ROWS IN (SELECT 1 WHERE false); ASSERT NO ROWS IN (SELECT 2) SEVERITY WARN;\nSELECT 1 AS a;",
    );
    let (code, out, said) = place.run(&["a.sql", "--store-failures", "kept"]);
    assert_eq!((code, out.as_str()), (0, "a\n1\n"), "{said}");
    assert!(said.contains("warning: assertion failed: thirty; 30 rows fail"), "{said}");
    assert!(said.contains("the first 10 of 30") && said.contains("(a.sql:1:1)"), "{said}");
    // Two assertions on one line keep their rows apart; one that holds keeps nothing.
    let kept: Vec<String> = place.files().into_iter().filter(|f| f.starts_with("kept/")).collect();
    assert_eq!(kept, ["kept/a-1.parquet", "kept/a-2-57.parquet"]);
    place.write(
        "b.sql",
        "SELECT count(*) AS n, min(v) AS low, max(v) AS high FROM 'kept/a-1.parquet';",
    );
    assert_eq!(place.run(&["b.sql"]).1, "n,low,high\n30,1,30\n");
    // What no longer fails keeps no rows of the last time, and any type can be kept.
    place.write("a.sql", "ASSERT NO ROWS IN (SELECT 1 WHERE false) SEVERITY WARN;\nASSERT NO ROWS IN (SELECT [INTERVAL '1 day'] AS i) SEVERITY WARN;");
    let (code, _, said) = place.run(&["a.sql", "--store-failures", "kept"]);
    assert_eq!(code, 0, "{said}");
    assert!(!place.path("kept/a-1.parquet").exists() && place.path("kept/a-2.parquet").exists());
}

#[test]
fn failing_rows_of_each_assertion_have_a_file_of_their_own() {
    let place = Place::new();
    for (folder, n) in [("a", 1), ("b", 2)] {
        fs::create_dir(place.path(folder)).expect("a folder");
        place.write(
            &format!("{folder}/s.sql"),
            &format!("ASSERT NO ROWS IN (SELECT {n} AS n, INTERVAL '3 days' AS d) SEVERITY WARN;"),
        );
    }
    let run = ["a/s.sql", "b/s.sql", "--store-failures", "kept", "--show-failures", "0"];
    let (code, _, said) = place.run(&run);
    assert_eq!(code, 0, "{said}");
    place
        .write("q.sql", "SELECT n, d FROM 'kept/s-1.parquet'; SELECT n FROM 'kept/s.2-1.parquet';");
    let (_, out, told) = place.run(&["q.sql"]);
    assert_eq!(out, "n,d\n1,3 days\nn\n2\n", "{told}");
    for file in ["kept/s-1.parquet", "kept/s.2-1.parquet"] {
        assert!(said.contains(&format!("the failing rows are in `{file}`")), "{said}");
    }
}

#[test]
fn the_clock_can_stand_still() {
    let place = Place::new();
    place.write(
        "a.sql",
        "PARAMETER day DATE DEFAULT today() - 1; CREATE MACRO later() AS TABLE SELECT now() AS n;\n\
         SELECT now() AS n, current_date AS d, today() AS t, current_time() AS c, $day AS p, (SELECT n FROM later()) AS m;",
    );
    let (code, out, said) = place.run(&["a.sql", "--as-of", "2026-03-01T00:30:00+01:00"]);
    let row = "2026-02-28T23:30:00,2026-02-28,2026-02-28,23:30:00,2026-02-27,2026-02-28T23:30:00";
    assert_eq!((code, out.lines().nth(1)), (0, Some(row)), "{said}");
    let (code, _, said) = place.run(&["a.sql", "--as-of", "soon"]);
    assert_eq!(code, 2, "{said}");
}

#[test]
fn a_dry_run_finds_mistakes_and_has_no_effect() {
    let place = Place::new();
    place.write("in.csv", "id,amount\n1,2.5\n");
    place.write(
        "a.sql",
        "CREATE TABLE t AS SELECT id, amount FROM 'in.csv';\nCREATE VIEW v AS SELECT id FROM t;\n\
         CREATE MACRO m(x) AS TABLE SELECT id + x AS y FROM v;\nCOPY (SELECT y FROM m(1)) TO 'out.csv';\n\
         ASSERT NO ROWS IN (SELECT * FROM t WHERE raise('ran') IS NULL);\nSELECT raise('ran');\n",
    );
    let (code, out, said) = place.run(&["a.sql", "--dry-run", "--explain"]);
    assert_eq!((code, out.as_str()), (0, ""), "{said}");
    for part in
        ["a.sql:1: planned; reads", "in.csv", "a.sql:4: planned; writes out.csv", "Projection"]
    {
        assert!(said.contains(part), "should say {part}: {said}");
    }
    assert_eq!(place.files().len(), 2, "{:?}", place.files());
    place.write("b.sql", "CREATE TABLE t AS SELECT id FROM 'in.csv';\nSELECT amount FROM t;\nASSERT 5;\nSELECT nope();");
    let (code, _, said) = place.run(&["b.sql", "--dry-run", "--on-error", "continue"]);
    assert_eq!(code, 1, "{said}");
    for part in ["amount", "b.sql:2:8", "true or false", "nope"] {
        assert!(said.contains(part), "should say {part}: {said}");
    }
}

#[test]
fn a_dry_run_reads_what_would_have_been_written() {
    let place = Place::new();
    place.write(
        "a.sql",
        "COPY (SELECT 1 AS a, 2.5 AS x, DATE '2026-01-01' AS d, 'x' AS p) TO 'w.csv';\n\
         SELECT a + 1, x * 2, d + INTERVAL '1 day', upper(p) FROM 'w.csv';\n\
         COPY (SELECT 1 AS a, 'x' AS p) TO 'h/' STORED AS PARQUET PARTITIONED BY (p);\n\
         COPY (SELECT 1 AS a) TO 'g/day=2026-01-01/' STORED AS PARQUET;\n\
         SELECT a, p FROM 'h/';\nSELECT a, day + INTERVAL '1 day' FROM 'g/';\n\
         CREATE EXTERNAL TABLE e STORED AS PARQUET LOCATION 'h/';\nSELECT a, p FROM e;\nSELECT b FROM 'h/';\n",
    );
    let (code, _, said) = place.run(&["a.sql", "--dry-run", "--publish", "each"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("a.sql:9:8") && said.contains("column") && said.contains("a.sql:8: planned"),
        "{said}"
    );
    // Together at the end, a later statement cannot read it, and the dry run says so as the run would.
    let (code, _, said) = place.run(&["a.sql", "--dry-run"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("a.sql:2:58") && said.contains("appears at its end"), "{said}");
    place.write("w.csv", "old\n1\n");
    assert!(place.run(&["a.sql", "--dry-run"]).2.contains("appears at its end"));
    assert!(place.run(&["a.sql", "--dry-run", "--publish", "each"]).2.contains("a.sql:2: planned"));
    assert_eq!(place.files().len(), 2);
}

#[test]
fn exit_codes_tell_what_to_do_about_it() {
    let place = Place::new();
    place.write(
        "a.sql",
        "SELECT count(*) FROM (SELECT value, count(*) AS n FROM generate_series(1, 2000000) GROUP BY value ORDER BY n);",
    );
    let (code, _, said) = place.run(&["a.sql", "--memory-limit", "2MB"]);
    assert_eq!(code, 4, "{said}");
    // The first failure decides, also when the job goes on.
    place.write("b.sql", "SELECT nope; SELECT 7 AS seven; SELECT CAST('x' AS INTEGER);");
    let (code, out, said) = place.run(&["b.sql", "--on-error", "continue"]);
    assert_eq!((code, out.as_str()), (1, "seven\n7\n"), "{said}");
    assert_eq!(place.run(&["b.sql"]).1, "");
    assert_eq!(place.run(&["no.sql"]).0, 2);
}

#[test]
fn the_reports_say_what_happened_to_every_statement() {
    let place = Place::new();
    place.write(
        "a.sql",
        "COPY (SELECT 1 AS a) TO 'a.csv';\nASSERT 1 > 2 SEVERITY WARN MESSAGE 'a <b> & \"c\"';\n\
         ASSERT NO ROWS IN (SELECT 1 AS x UNION ALL SELECT 2)\n  MESSAGE '100%';\nSELECT 5;\n",
    );
    place.write("b.sql", "SELECT 6;");
    let run = ["run", "a.sql", "b.sql", "--junit", "j.xml", "--report", "r.json", "--github"];
    let out = place
        .command(&run)
        .env("GITHUB_STEP_SUMMARY", place.path("summary.md"))
        .output()
        .expect("the program starts");
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    for part in [
        "::stop-commands::",
        "::warning file=a.sql,line=2,endLine=2,col=1,endColumn=49,title=Assertion failed::assertion failed: a <b> & \"c\"",
        "::error file=a.sql,line=3,endLine=4,title=Assertion failed::assertion failed: 100%25; 2 rows fail",
    ] {
        assert!(said.contains(part), "should say {part}: {said}");
    }
    // Nothing that a value says is a command: GitHub waits for a word that it cannot know.
    let token = said.split("::stop-commands::").nth(1).and_then(|rest| rest.lines().next());
    let token = token.filter(|t| t.len() == 32).expect("a token");
    let resumed = said.find(&format!("\n::{token}::\n")).expect("resumes");
    assert!(
        said.starts_with("::stop-commands::") && Some(resumed) < said.find("::warning"),
        "{said}"
    );
    let report: serde_json::Value = serde_json::from_str(&place.read("r.json")).expect("is JSON");
    let statements = report["statements"].as_array().expect("a list");
    let status: Vec<&str> =
        statements.iter().map(|s| s["status"].as_str().expect("text")).collect();
    assert_eq!(status, ["passed", "warned", "failed", "skipped", "skipped"]);
    assert_eq!(
        (&report["exit_code"], report["published"].as_array().map(Vec::len)),
        (&1.into(), Some(0))
    );
    assert_eq!((&statements[0]["rows"], &statements[0]["bytes"]), (&1.into(), &4.into()));
    assert_eq!((&statements[2]["rows"], &statements[2]["place"]["line"]), (&2.into(), &3.into()));
    assert_eq!(statements[4]["file"], "b.sql");
    assert!(statements.iter().take(3).all(|s| s["seconds"].as_f64().is_some_and(|s| s > 0.0)));
    let junit = place.read("j.xml");
    for part in [
        "<testsuites name=\"comptoir\" tests=\"5\" failures=\"1\" errors=\"0\" skipped=\"2\"",
        "<testsuite name=\"a.sql\" tests=\"4\"",
        "<testsuite name=\"b.sql\" tests=\"1\"",
        "warning: assertion failed: a &lt;b&gt; &amp; &quot;c&quot;",
        "<failure message=\"assertion failed: 100%; 2 rows fail\">",
    ] {
        assert!(junit.contains(part), "should say {part}: {junit}");
    }
    for (open, close) in [("<testcase ", "</testcase>"), ("<testsuite ", "</testsuite>")] {
        let alone = junit.lines().filter(|l| l.trim_start().starts_with(open) && l.ends_with("/>"));
        assert_eq!(junit.matches(open).count(), junit.matches(close).count() + alone.count());
    }
    let summary = place.read("summary.md");
    assert!(summary.contains("1 passed, 1 warned, 1 failed, 2 skipped"), "{summary}");
    assert!(!place.path("a.csv").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_job_that_is_stopped_says_so_in_its_reports() {
    let place = Place::new();
    place.write(
        "a.sql",
        "SELECT nope;\nCOPY (SELECT 1 AS a) TO 'a.csv'; SELECT 'begun' AS now;\n\
         SELECT sum(sin(value)) FROM generate_series(1, 200000000000);\nCOPY (SELECT 2 AS a) TO 'b.csv';\n",
    );
    for signal in ["-INT", "-TERM"] {
        let mut child = place
            .command(&["run", "a.sql", "--on-error", "continue", "--format", "csv"])
            .args(["--junit", "j.xml", "--report", "r.json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        assert!(lines.any(|line| line.expect("reads") == "begun"));
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
        let out = child.wait_with_output().expect("ends");
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(130), "{said}");
        assert!(said.contains("error: interrupted") && said.contains("a.sql:3:1"), "{said}");
        let report = serde_json::from_str(&place.read("r.json"));
        let report: serde_json::Value = report.expect("is JSON");
        let statements = report["statements"].as_array().expect("a list");
        let told: Vec<&str> = statements.iter().filter_map(|s| s["message"].as_str()).collect();
        assert_eq!((&report["exit_code"], statements.len(), told.len()), (&130.into(), 5, 3));
        assert_eq!(told[1..], ["interrupted", "not run: an earlier statement was interrupted"]);
        assert!(place.read("j.xml").contains("<error message=\"interrupted\""));
        assert_eq!(place.files(), ["a.sql", "j.xml", "r.json"].map(String::from).into());
    }
}

#[test]
fn a_job_without_its_tables_has_a_report_too() {
    let place = Place::new();
    place.write("a.sql", "SELECT 1;");
    let (code, _, said) = place.run(&["a.sql", "--data", "nowhere", "--report", "r.json"]);
    assert_eq!(code, 2, "{said}");
    let report: serde_json::Value = serde_json::from_str(&place.read("r.json")).expect("is JSON");
    let message = report["statements"][0]["message"].as_str().expect("text");
    assert!(message.contains("nowhere"), "{message}");
    assert_eq!(report["exit_code"], 2);
}

#[test]
fn there_is_room_for_one_result() {
    let place = Place::new();
    place.write("a.sql", "SELECT 1 AS a;").write("o.csv", "a\n9\n");
    place.write("b.sql", "SELECT 1 AS a;\nSELECT 2 AS b;");
    let state = ["--state", "st.json", "--output", "o.csv"];
    assert_eq!(place.run(&[&["a.sql"][..], &state].concat()).0, 0);
    for more in [&state[..], &["--output", "o.csv"], &["--output", "o.csv", "--dry-run"]] {
        let (code, _, said) = place.run(&[&["b.sql"], more].concat());
        assert_eq!((code, place.read("o.csv").as_str()), (2, "a\n1\n"), "{said}");
        assert!(said.contains("this is the second") && said.contains("b.sql:2:1"), "{said}");
    }
    for format in ["parquet", "arrow"] {
        let out = place.command(&["run", "b.sql", "--format", format]).output().expect("starts");
        assert_eq!(out.status.code(), Some(2));
        let out = place.command(&["run", "a.sql", "--format", format]).output().expect("starts");
        assert_eq!(out.status.code(), Some(0));
    }
    // It is an output as others are: not read before it is there, and in no other.
    place.write("r.sql", "SELECT 2 AS a; COPY (SELECT a FROM 'o.csv') TO 'copy.csv';");
    let (code, _, said) = place.run(&["r.sql", "--output", "o.csv"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("appears at its end") && !place.path("copy.csv").exists(), "{said}");
    assert_eq!(place.run(&["r.sql", "--output", "o.csv", "--dry-run"]).0, 1);
    let (code, _, said) = place.run(&["r.sql", "--output", "o.csv", "--publish", "each"]);
    assert_eq!((code, place.read("copy.csv").as_str()), (0, "a\n2\n"), "{said}");
}

#[test]
fn what_the_job_itself_needs_is_not_written() {
    let place = Place::new();
    place.write("a.sql", "COPY (SELECT 1 AS a) TO 'out.json';\nCOPY (SELECT 1 AS a) TO 'sub/../a.sql' STORED AS CSV;");
    place.write("b.sql", "COPY (SELECT 1 AS a) TO 'o.csv'; SELECT 2 AS a;");
    for (arguments, part) in [
        (&["a.sql"][..], "`a.sql` is read or written by the job itself"),
        (&["a.sql", "--report", "out.json"], "`out.json` is read or written by the job itself"),
        (&["a.sql", "--report", "r", "--junit", "./r"], "given for two purposes"),
        (&["b.sql", "--report", "b.sql"], "given for two purposes"),
        (&["b.sql", "--output", "o.csv", "--report", "o.csv"], "given for two purposes"),
        (&["b.sql", "--output", "o.csv", "--publish", "each"], "`o.csv` is read or written"),
        (&["b.sql", "--output", "o.csv", "--dry-run"], "`o.csv` is read or written"),
    ] {
        let (code, _, said) = place.run(arguments);
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?} should say {part}: {said}");
        let scripts: Vec<String> = place
            .files()
            .into_iter()
            .filter(|f| !matches!(f.as_str(), "r" | "out.json" | "o.csv"))
            .collect();
        assert_eq!(scripts, ["a.sql", "b.sql"]);
        assert!(place.read("b.sql").starts_with("COPY"), "{arguments:?}");
        for left in ["r", "out.json", "o.csv"] {
            let _ = fs::remove_file(place.path(left));
        }
    }
}

#[test]
fn a_dry_run_fails_where_the_run_would() {
    let place = Place::new();
    for (text, arguments, code) in [
        ("SELECT 1 AS a;", &["--output", "none/o.csv"][..], 2),
        ("ASSERT true;", &["--output", "o.csv"], 2),
        ("COPY (SELECT [1] AS l) TO 'l.csv';", &[], 1),
        (
            "COPY (SELECT 1 AS a) TO 'w1.csv'; SELECT sum(a) AS a FROM 'w*.csv';",
            &["--publish", "each"],
            0,
        ),
    ] {
        place.write("s.sql", text);
        let planned = place.run(&[&["s.sql", "--dry-run"], arguments].concat());
        assert_eq!(place.files().len(), 1, "{text}");
        let ran = place.run(&[&["s.sql"], arguments].concat());
        assert_eq!((planned.0, ran.0), (code, code), "{text} {} {}", planned.2, ran.2);
        for file in place.files().iter().filter(|f| *f != "s.sql") {
            fs::remove_file(place.path(file)).expect("removes");
        }
    }
}

#[test]
fn what_has_appeared_by_itself_is_in_the_report() {
    let place = Place::new();
    place.write("a.sql", "COPY (SELECT 1 AS a) TO 'a.csv'; SELECT 2 AS a; ASSERT false;");
    let run = ["a.sql", "--publish", "each", "--report", "r.json", "--output", "o.csv"];
    assert_eq!(place.run(&run).0, 1);
    let report: serde_json::Value = serde_json::from_str(&place.read("r.json")).expect("is JSON");
    let published = report["published"].as_array().expect("a list");
    let names: Vec<&str> =
        published.iter().filter_map(|p| p["path"].as_str()?.rsplit('/').next()).collect();
    assert_eq!(names, ["a.csv", "o.csv"]);
}

#[test]
fn the_nightly_example_runs_twice_with_the_same_outcome() {
    let place = Place::new();
    let demo = ["demo", "--dir", "shop", "--orders", "1500", "--quiet"];
    assert!(place.command(&demo).output().expect("starts").status.success());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/nightly.sql");
    let run = [script, "--data", "shop", "-p", "out=out", "--as-of", "2026-01-01"];
    let mut first = None;
    for _ in 0..2 {
        let (code, _, said) = place.run(&run);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("guests are in no segment"), "{said}");
        let outputs = place.files().iter().filter(|f| f.starts_with("out/")).count();
        let seen = (place.read("out/segments.csv"), outputs);
        assert_eq!(first.get_or_insert_with(|| seen.clone()), &seen);
    }
    let (code, _, said) = place.run(&[&run[..], &["-p", "fewest_orders=2000"]].concat());
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("too few orders"), "{said}");
    let (code, _, said) = place.run(&[&run[..], &["--dry-run"]].concat());
    assert_eq!(code, 0, "{said}");
    place.write(
        "q.sql",
        "SELECT count(*) > 0 AS some FROM 'out/scores/'; SELECT count(*) AS n FROM 'out/sales/';",
    );
    assert_eq!(place.run(&["q.sql"]).1, "some\ntrue\nn\n1\n");
}
