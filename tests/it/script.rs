// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

#![expect(clippy::expect_used, reason = "a test panics")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

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
fn parameters_come_from_the_line_the_file_and_the_script_in_that_order() {
    let place = Place::new();
    place.write(
        "a.sql",
        "PARAMETER a INTEGER DEFAULT 1; PARAMETER b VARCHAR DEFAULT 'x'; PARAMETER c DATE DEFAULT DATE '2026-01-31' + $a;\n\
         PARAMETER t IDENTIFIER DEFAULT one;\n\
         CREATE TABLE one AS SELECT 'one' AS name; CREATE TABLE \"T w\" AS SELECT 'two' AS name;\n\
         SELECT $a AS a, arrow_typeof($a) AS ta, $b AS b, $c AS c, name FROM \"$t\";\n",
    );
    place.write("p.toml", "a = 5\nb = \"it's\"").write("p.json", r#"{"a": 7, "b": null}"#);
    for (arguments, row) in [
        (&["a.sql"][..], "1,Int32,x,2026-02-01,one"),
        (&["a.sql", "--params", "p.toml"], "5,Int32,it's,2026-02-05,one"),
        (&["a.sql", "--params", "p.json"], "7,Int32,,2026-02-07,one"),
        (
            &["a.sql", "--params", "p.toml", "-p", "a=-2", "-p", "T=T w"],
            "-2,Int32,it's,2026-01-29,two",
        ),
        (
            &["a.sql", "-p", "b='; DROP TABLE one; --"],
            "1,Int32,'; DROP TABLE one; --,2026-02-01,one",
        ),
    ] {
        let (code, out, said) = place.run(arguments);
        assert_eq!((code, out.lines().nth(1)), (0, Some(row)), "{arguments:?}: {said}");
    }
    for (arguments, said) in [
        (&["-p", "a=five"][..], "takes INTEGER; `five` is not one"),
        (&["-p", "a=2.5"], "takes INTEGER"),
        (&["-p", "c=31.01.2026"], "takes DATE"),
        (&["-p", "bb=1"], "no script declares the parameter `bb`"),
        (&["-p", "a"], "not `name=value`"),
        (&["-p", "a=1", "-p", "a=2"], "given twice"),
        (&["--params", "no.json"], "no.json"),
        (&["-p", "t=nothing"], "there is no table `nothing`"),
    ] {
        let (code, out, error) = place.run(&[&["a.sql"], arguments].concat());
        let expected = if error.contains("there is no table") { 1 } else { 2 };
        assert_eq!((code, out.as_str()), (expected, ""), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?} should say {said}: {error}");
    }
}

#[test]
fn a_value_is_what_was_written_or_refused() {
    let place = Place::new();
    let show = |data_type: &str, more: &[&str]| {
        place.write("a.sql", &format!("PARAMETER x {data_type}; SELECT $x AS x;"));
        place.run(&[&["a.sql"], more].concat())
    };
    for (data_type, value, shown) in [
        ("DECIMAL(38,10)", "12345678901234567.1234", "12345678901234567.1234000000"),
        ("DECIMAL(18,8)", "0.0000001", "0.00000010"),
        ("DECIMAL(38,0)", "99999999999999999999", "99999999999999999999"),
        ("DECIMAL(18,2)", "1.5000", "1.50"),
        ("DOUBLE PRECISION", "1.5", "1.5"),
        ("BIGINT UNSIGNED", "5", "5"),
        ("TIMESTAMP WITHOUT TIME ZONE", "2026-01-01T00:00:00", "2026-01-01T00:00:00"),
        ("TIMESTAMP WITH TIME ZONE", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00"),
        ("CHARACTER VARYING", "abc", "abc"),
        ("VARCHAR(3)", "abc", "abc"),
    ] {
        let (code, out, said) = show(data_type, &["-p", &format!("x={value}")]);
        let expected = format!("x\n{shown}\n");
        assert_eq!((code, &out), (0, &expected), "{data_type}: {said}");
        if !data_type.starts_with("DECIMAL") {
            continue;
        }
        // The same from a file of either kind and as a default.
        place.write("p.json", &format!("{{\"x\": {value}}}"));
        place.write("p.toml", &format!("x = {value}"));
        for file in ["p.json", "p.toml"] {
            let (_, out, said) = show(data_type, &["--params", file]);
            assert_eq!(out, expected, "{data_type} {file}: {said}");
        }
        let (_, out, said) = show(&format!("{data_type} DEFAULT {value}"), &[]);
        assert_eq!(out, expected, "{data_type}: {said}");
    }
    place.write("l.sql", "PARAMETER x INT UNSIGNED[]; SELECT $x[1] AS x, 6 IN $x AS i;");
    assert_eq!(place.run(&["l.sql", "-p", "x=[5,6]"]).1, "x,i\n5,true\n");
    for (data_type, value, why) in [
        ("DECIMAL(18,4)", "1.23456", "never rounded"),
        ("BIGINT", "1.5", "takes BIGINT"),
        ("DOUBLE", "1e400", "larger than the largest"),
        ("VARCHAR(3)", "abcdef", "it has 6 characters"),
        ("DECIMAL(18,4)[]", "[1.2,1.23456]", "never rounded"),
    ] {
        let (code, out, said) = show(data_type, &["-p", &format!("x={value}")]);
        assert_eq!((code, out.as_str()), (2, ""), "{data_type}: {said}");
        assert!(said.contains(why) && said.contains(&format!("takes {data_type}")), "{said}");
        let quote = if data_type.starts_with("VARCHAR") { "'" } else { "" };
        let (code, _, said) = show(&format!("{data_type} DEFAULT {quote}{value}{quote}"), &[]);
        assert_eq!(code, 2, "{data_type} DEFAULT {value}: {said}");
    }
    place.write("p.json", r#"{"x": 1, "X": 2}"#);
    let (code, _, said) = show("BIGINT", &["--params", "p.json"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("`x` is given twice"), "{said}");
}

#[test]
fn a_text_is_never_a_name() {
    let place = Place::new();
    for (text, at) in [
        ("SELECT count(*) FROM $p;", "a.sql:2:22"),
        ("DROP TABLE $p;", "a.sql:2:12"),
        ("CREATE TABLE $p AS SELECT 1;", "a.sql:2:14"),
        ("INSERT INTO $p VALUES (1);", "a.sql:2:13"),
        ("SELECT 1 AS $p;", "a.sql:2:13"),
        ("SELECT * FROM check_unique($p, a);", "a.sql:2:28"),
    ] {
        place.write(
            "a.sql",
            &format!("PARAMETER p VARCHAR; CREATE TABLE orders AS SELECT 1 AS a;\n{text}"),
        );
        let (code, out, said) = place.run(&["a.sql", "-p", "p=orders"]);
        assert_eq!((code, out.as_str()), (2, ""), "{text}: {said}");
        assert!(
            said.contains(at) && said.contains("IDENTIFIER"),
            "{text} should point at {at}: {said}"
        );
    }
    place.write("a.sql", "PARAMETER p VARCHAR;\nCOPY (SELECT $p AS p) TO $p; CREATE EXTERNAL TABLE t STORED AS CSV LOCATION $p OPTIONS ('format.has_header' $h); SELECT * FROM t;\nPARAMETER h VARCHAR DEFAULT 'true';");
    let (code, out, said) = place.run(&["a.sql", "--publish", "each", "-p", "p=o.csv"]);
    assert_eq!((code, out.as_str()), (0, "p\no.csv\n"), "{said}");
}

#[test]
fn the_mark_of_windows_is_no_part_of_a_text() {
    let place = Place::new();
    place.write("a.sql", "\u{feff}PARAMETER x INTEGER; SELECT $x AS x;");
    place.write("p.json", "\u{feff}{\"x\": 1}").write("p.toml", "\u{feff}x = 1");
    for file in ["p.json", "p.toml"] {
        let (code, out, said) = place.run(&["a.sql", "--params", file]);
        assert_eq!((code, out.as_str()), (0, "x\n1\n"), "{said}");
    }
    place.write("b.sql", "\u{feff}SELECT nope;");
    assert!(place.run(&["b.sql"]).2.contains("b.sql:1:8"));
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
fn a_script_does_not_read_the_old_content_of_what_it_writes() {
    let place = Place::new();
    place.write("a.sql", "COPY (SELECT 2 AS a) TO 'a.csv'; SELECT a FROM 'a.csv';");
    let (code, _, said) = place.run(&["a.sql"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("is written earlier in this script"), "{said}");
    place.write("a.csv", "a\n1\n");
    let (code, out, said) = place.run(&["a.sql"]);
    assert_eq!((code, out.as_str()), (1, ""), "{said}");
    assert!(said.contains("appears at its end") && said.contains("--publish each"), "{said}");
    assert_eq!(place.run(&["a.sql", "--publish", "each"]).1, "a\n2\n");
    // However it is written, and where a pattern would find it.
    fs::create_dir(place.path("real")).expect("creates");
    std::os::unix::fs::symlink(place.path("real"), place.path("link")).expect("links");
    place.write("real/x.csv", "a\n1\n");
    for (target, read) in [("link/x.csv", "link/x.csv"), ("real/y.csv", "link/*.csv")] {
        place.write(
            "c.sql",
            &format!("COPY (SELECT 2 AS a) TO '{target}'; SELECT a FROM '{read}';"),
        );
        for arguments in [&["c.sql"][..], &["c.sql", "--dry-run"]] {
            let (code, out, said) = place.run(arguments);
            assert_eq!((code, out.as_str()), (1, ""), "{read} {said}");
        }
    }
    // Before it is written the old content is the right one.
    place
        .write("b.sql", "SELECT a FROM 'a.csv'; COPY (SELECT a + 1 AS a FROM 'a.csv') TO 'a.csv';");
    assert_eq!(
        (place.run(&["b.sql"]).1.as_str(), place.read("a.csv").as_str()),
        ("a\n2\n", "a\n3\n")
    );
}

#[test]
fn a_folder_is_replaced_by_its_own_script_only() {
    let place = Place::new();
    place.write(
        "a.sql",
        "PARAMETER d DATE; COPY (SELECT value AS v FROM generate_series(1, 3)) TO 'sales/day=' || $d || '/' STORED AS CSV;",
    );
    for day in ["2026-01-01", "2026-01-02", "2026-01-02"] {
        let (code, _, said) = place.run(&["a.sql", "-p", &format!("d={day}")]);
        assert_eq!(code, 0, "{said}");
    }
    place.write("b.sql", "SELECT day, count(*) AS n FROM 'sales/' GROUP BY day ORDER BY day;");
    assert_eq!(place.run(&["b.sql"]).1, "day,n\n2026-01-01,3\n2026-01-02,3\n");
    place.write("sales/day=2026-01-02/mine.csv", "v\n9\n");
    let (code, _, said) = place.run(&["a.sql", "-p", "d=2026-01-02"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("mine.csv") && said.contains("not written by Comptoir"), "{said}");
    assert_eq!(place.run(&["b.sql"]).1, "day,n\n2026-01-01,3\n2026-01-02,4\n");
    // A run without rows leaves none of the run before.
    place.write(
        "d.sql",
        "PARAMETER n BIGINT DEFAULT 2; CREATE TABLE t AS SELECT value AS v, value % 2 AS p FROM generate_series(1, $n);\n\
         COPY t TO 'f/' STORED AS CSV; COPY t TO 'g/' STORED AS PARQUET PARTITIONED BY (p); COPY t TO 'h.csv';",
    );
    let outputs = || -> Vec<String> {
        let written = |f: &String| f.starts_with("f/") || f.starts_with("g/");
        place.files().into_iter().filter(written).collect()
    };
    for (run, count) in [(&["d.sql"][..], 5), (&["d.sql", "-p", "n=0"], 2), (&["d.sql"], 5)] {
        let (code, _, said) = place.run(run);
        assert_eq!((code, outputs().len()), (0, count), "{said} {:?}", outputs());
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
fn a_list_is_a_parameter_too() {
    let place = Place::new();
    place.write(
        "a.sql",
        "PARAMETER skus VARCHAR[] DEFAULT ['a', 'it''s']; PARAMETER ids BIGINT[] DEFAULT [];\n\
         SELECT x, x IN $skus AS i, x NOT IN $skus AS n, x = ANY($skus) AS a, coalesce(array_length($skus), 0) AS l, 1 IN $ids AS e\n\
         FROM (VALUES ('a'), ('c,d'), ('it''s')) AS t(x);\n\
         SELECT count(*) AS n FROM (VALUES (1), (NULL)) AS t(x) WHERE x NOT IN $ids;\n",
    );
    place.write("p.json", r#"{"skus": ["c,d"], "ids": [1, 2]}"#).write("p.toml", "ids = [1]");
    let ids = |e: &str, n: u32| (e.to_string(), n);
    for (arguments, rows, (e, n)) in [
        (&[][..], ["a,true,false,true,2", "\"c,d\",false,true,false,2"], ids("false", 2)),
        (
            &["-p", "skus=[]"],
            ["a,false,true,false,0", "\"c,d\",false,true,false,0"],
            ids("false", 2),
        ),
        (
            &["-p", "skus=[x, a]"],
            ["a,true,false,true,2", "\"c,d\",false,true,false,2"],
            ids("false", 2),
        ),
        (
            &["--params", "p.json"],
            ["a,false,true,false,1", "\"c,d\",true,false,true,1"],
            ids("true", 0),
        ),
        (
            &["--params", "p.toml"],
            ["a,true,false,true,2", "\"c,d\",false,true,false,2"],
            ids("true", 0),
        ),
    ] {
        let (code, out, said) = place.run(&[&["a.sql"], arguments].concat());
        let lines: Vec<&str> = out.lines().collect();
        let row = |i: usize| format!("{},{e}", rows[i]);
        assert_eq!(
            (code, lines[1], lines[2]),
            (0, row(0).as_str(), row(1).as_str()),
            "{arguments:?} {said}"
        );
        assert_eq!(lines.last(), Some(&n.to_string().as_str()), "{arguments:?}: {out}");
    }
    for (value, said) in [
        ("skus=a,b", "is not a list"),
        ("skus=[a,,b]", "is not a list"),
        ("ids=[1,x]", "takes BIGINT[]; `[1,x]` is not one"),
        ("ids=[[1]]", "is not"),
    ] {
        let (code, _, error) = place.run(&["a.sql", "-p", value]);
        assert_eq!(code, 2, "{value}: {error}");
        assert!(error.contains(said), "{value} should say {said}: {error}");
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
fn a_full_disk_is_a_limit_and_no_mistake() {
    let place = Place::new();
    place.write(
        "a.sql",
        "COPY (SELECT value, random() AS r FROM generate_series(1, 300000)) TO 'a.csv';",
    );
    // The largest file that this shell and its children may write; the signal would otherwise end them.
    let program = env!("CARGO_BIN_EXE_comptoir");
    place.write("o.sql", "SELECT value, random() AS r FROM generate_series(1, 300000);");
    for arguments in ["a.sql", "o.sql --output o.csv", "o.sql --output o.parquet"] {
        let limited = format!("trap '' XFSZ; ulimit -f 100; exec '{program}' run {arguments}");
        let out = Command::new("sh").args(["-c", &limited]).current_dir(place.path("")).output();
        let out = out.expect("the program starts");
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(4), "{arguments} {said}");
        assert!(said.contains("make room on the disk"), "{said}");
        assert_eq!(place.files().len(), 2);
    }
    // What may be spilled.
    place.write(
        "b.sql",
        "SET datafusion.runtime.max_temp_directory_size = '1M';\n\
         COPY (SELECT value, random() AS r FROM generate_series(1, 3000000) ORDER BY r) TO 'b.parquet';",
    );
    let (code, _, said) = place.run(&["b.sql", "--memory-limit", "40MB"]);
    assert_eq!(code, 4, "{said}");
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

/// What each output of a generation holds.
const ROWS: usize = 5_000;

/// The generation of an output, which must be one, and whole.
fn generation(place: &Place, output: &str) -> String {
    let texts: Vec<String> = match output.ends_with('/') {
        false => vec![place.read(output)],
        true => place
            .files()
            .iter()
            .filter(|f| f.starts_with(output) && f.ends_with(".csv"))
            .map(|f| place.read(f))
            .collect(),
    };
    let lines: Vec<&str> = texts.iter().flat_map(|t| t.lines().skip(1)).collect();
    assert_eq!(lines.len(), ROWS, "{output}");
    let found: BTreeSet<&str> =
        lines.iter().map(|l| l.split(',').next().unwrap_or_default()).collect();
    assert_eq!(found.len(), 1, "{output} holds rows of several runs: {found:?}");
    found.into_iter().next().unwrap_or_default().to_string()
}

#[cfg(unix)]
#[test]
fn killed_at_any_moment_every_output_is_whole() {
    let place = Place::new();
    let rows =
        format!("SELECT $g AS g, value AS v, value % 7 AS p FROM generate_series(1, {ROWS})");
    place.write(
        "a.sql",
        &format!(
            "PARAMETER g INTEGER; COPY ({rows}) TO 'a.csv'; COPY ({rows}) TO 'b/' STORED AS CSV PARTITIONED BY (p);\n\
             COPY ({rows}) TO 'c/d.csv'; ASSERT true;"
        ),
    );
    let outputs = ["a.csv", "b/", "c/d.csv"];
    let (code, _, said) = place.run(&["a.sql", "-p", "g=0"]);
    assert_eq!(code, 0, "{said}");
    let whole = place.files().len();
    let start = std::time::Instant::now();
    assert_eq!(place.run(&["a.sql", "-p", "g=0"]).0, 0);
    let takes = u64::try_from(start.elapsed().as_millis()).expect("is short");
    let mut seen = BTreeSet::new();
    for run in 1..=16_u64 {
        let mut child = place
            .command(&["run", "a.sql", "-q", "-p", &format!("g={run}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        // Most of the time goes by before anything is written: the moments lie close together where outputs appear.
        let late = takes * 7 / 10 + takes * (run * 7919 % 13) / 26;
        let moment = if run % 4 == 0 { takes * run / 16 } else { late };
        std::thread::sleep(Duration::from_millis(moment));
        // On Unix this is SIGKILL.
        child.kill().expect("can be killed");
        child.wait().expect("ends");
        for output in outputs {
            seen.insert(generation(&place, output));
        }
    }
    let (code, _, said) = place.run(&["a.sql", "-p", "g=99"]);
    assert_eq!(code, 0, "{said}");
    for output in outputs {
        assert_eq!(generation(&place, output), "99", "after {seen:?}");
    }
    // The last run has swept what the killed ones left.
    assert_eq!(place.files().len(), whole, "{:?}", place.files());
}
