// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Where outputs land: at the place that was named, with every row, and nowhere else, whenever the program is killed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::script::Place;

/// Runs a text, and gives the exit code and what was said.
fn run(place: &Place, text: &str) -> (i32, String) {
    place.write("s.sql", text);
    let (code, _, said) = place.run(&["s.sql"]);
    (code, said)
}

#[test]
fn every_way_to_write_a_path_leads_to_one_file() {
    let place = Place::new();
    fs::create_dir_all(place.path("sub/deep")).expect("creates");
    symlink(place.path("sub"), place.path("link")).expect("links");
    fs::write(place.path("sub/old.csv"), "old").expect("writes");
    symlink(place.path("sub/old.csv"), place.path("latest.csv")).expect("links");
    for (target, lands) in [
        ("sub/../a.csv", "a.csv"),
        ("none/../b.csv", "b.csv"),
        ("link/deep/../c.csv", "sub/c.csv"),
        ("new/d%20e.csv", "new/d%20e.csv"),
        ("f#g?.csv", "f#g?.csv"),
        ("at:1.csv", "at:1.csv"),
        ("latest.csv", "sub/old.csv"),
    ] {
        for value in [1, 2] {
            let copy = format!("COPY (SELECT {value} AS v) TO '{target}';");
            let (code, said) = run(&place, &copy);
            assert_eq!((code, place.read(lands)), (0, format!("v\n{value}\n")), "{target} {said}");
        }
    }
    let (code, said) = run(&place, "COPY (SELECT 1 AS v) TO 'sub/../folder/' STORED AS CSV;");
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.files().iter().filter(|f| f.starts_with("folder/")).count(), 2);
    assert!(place.path("latest.csv").is_symlink());
    assert!(!place.files().iter().any(|f| f.contains(".partial")), "{:?}", place.files());
}

#[test]
fn a_key_of_a_partition_is_a_value_and_no_path() {
    let place = Place::new();
    fs::create_dir_all(place.path("deep/er")).expect("creates");
    let (code, said) = run(
        &place,
        "COPY (SELECT * FROM (VALUES ('x/../../../../../evil', 1), ('a/b', 2), ('50%', 3), ('é', 4), ('', 5)) v(k, n))\n\
         TO 'deep/er/text/' STORED AS PARQUET PARTITIONED BY (k);\n\
         COPY (SELECT * FROM (VALUES (0, 1), (NULL, 2), (5, 3)) v(k, n)) TO 'numbers/' STORED AS CSV PARTITIONED BY (k);\n\
         COPY (SELECT DATE '2026-01-02' AS d, CAST('1.50' AS DECIMAL(5, 2)) AS p, true AS b, 7 AS n) TO 'types/' STORED AS CSV PARTITIONED BY (d, p, b);",
    );
    assert_eq!(code, 0, "{said}");
    let files = place.files();
    let outside = files.iter().find(|f| {
        !["deep/er/text/", "numbers/", "types/", "s.sql"].iter().any(|r| f.starts_with(r))
    });
    assert_eq!(outside, None);
    let within = |start: &str| files.iter().filter(|f| f.starts_with(start)).count();
    assert_eq!((within("numbers/k=0/"), within("numbers/k=__HIVE_DEFAULT_PARTITION__/")), (1, 1));
    assert_eq!(within("types/d=2026-01-02/p=1.50/b=true/"), 1, "{files:?}");
    let (code, out, said) = {
        place.write("r.sql", "SELECT k, n FROM 'deep/er/text/' ORDER BY n;");
        place.run(&["r.sql"])
    };
    let expected = "k,n\nx/../../../../../evil,1\na/b,2\n50%,3\né,4\n,5\n";
    assert_eq!((code, out.replace("\"\"", "")), (0, expected.to_string()), "{said}");
    let (code, said) =
        run(&place, "COPY (SELECT 1 AS k) TO 'p/' STORED AS CSV PARTITIONED BY (k);");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("every column is in `PARTITIONED BY`"), "{said}");
}

#[test]
fn outputs_that_lie_in_each_other_are_refused_with_nothing_written() {
    for (first, second) in [
        ("'f/' STORED AS CSV", "'f/sub/' STORED AS CSV"),
        ("'f/' STORED AS CSV", "'f/x.csv'"),
        ("'f/x.csv'", "'f/' STORED AS CSV"),
        ("'f.csv'", "'./none/../f.csv'"),
    ] {
        let place = Place::new();
        let text = format!("COPY (SELECT 1 AS a) TO {first};\nCOPY (SELECT 2 AS a) TO {second};");
        place.write("s.sql", &text);
        for arguments in [&["s.sql"][..], &["s.sql", "--dry-run"]] {
            let (code, _, said) = place.run(arguments);
            assert_eq!(code, 2, "{text} {said}");
            assert!(said.contains("s.sql:2:") && said.contains("appear at the end"), "{said}");
        }
        assert_eq!(place.files().into_iter().collect::<Vec<_>>(), ["s.sql"]);
    }
    let place = Place::new();
    place.write("s.sql", "COPY (SELECT 1 AS a) TO 'o.csv'; SELECT 2 AS a;");
    let (code, _, said) = place.run(&["s.sql", "--output", "o.csv"]);
    assert_eq!(code, 2, "{said}");
}

#[test]
fn what_cannot_be_written_is_said_before_anything_appears() {
    let place = Place::new();
    place.write("file", "f");
    for target in ["file/two.csv", "/proc/none.csv"] {
        let (code, said) = run(
            &place,
            &format!("COPY (SELECT 1 AS a) TO 'one.csv'; COPY (SELECT 2 AS a) TO '{target}';"),
        );
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("cannot write") && !said.contains("please report"), "{said}");
        assert!(!place.path("one.csv").exists());
    }
    place.write("s.sql", "COPY (SELECT 1 AS a) TO 'one.csv';");
    for report in ["--report", "--junit"] {
        let (code, _, said) = place.run(&["s.sql", report, "none/r"]);
        assert_eq!((code, place.path("one.csv").exists()), (2, false), "{said}");
    }
    let (code, _, said) = place.run(&["none.sql", "--report", "r.json"]);
    assert_eq!(code, 2, "{said}");
    assert!(place.read("r.json").contains("cannot read `none.sql`"), "{}", place.read("r.json"));
    let (code, _, said) = place.run(&["s.sql", "--output", "/dev/null"]);
    assert_eq!(code, 2, "{said}");
}

#[test]
fn a_job_goes_on_when_nobody_reads_its_rows() {
    let place = Place::new();
    place.write(
        "s.sql",
        "SELECT value FROM generate_series(1, 1000000); COPY (SELECT 1 AS a) TO 'a.csv'; ASSERT 1 = 2;",
    );
    for publish in ["each", "all"] {
        let _ = fs::remove_file(place.path("a.csv"));
        let arguments =
            ["run", "--format", "csv", "--publish", publish, "--report", "r.json", "s.sql"];
        let mut job = place.command(&arguments);
        let mut job = job.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        // Both readers leave at once.
        drop((job.stdout.take(), job.stderr.take()));
        assert_eq!(job.wait().expect("ends").code(), Some(1));
        assert_eq!(place.path("a.csv").exists(), publish == "each");
        assert!(place.read("r.json").contains("ASSERT 1 = 2"), "{}", place.read("r.json"));
    }
}

#[test]
fn rows_are_counted_and_errors_found_beyond_what_is_shown() {
    let place = Place::new();
    let count = "SELECT value FROM generate_series(1, 100000);";
    let late = "SELECT CASE WHEN value = 90000 THEN raise('late') ELSE value END FROM generate_series(1, 100000);";
    let table = |text: &str| {
        place.write("s.sql", text);
        let output =
            place.command(&["run", "--format", "table", "s.sql"]).output().expect("starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = table(count);
    assert!(code == Some(0) && said.contains("100000 rows in"), "{said}");
    let (code, said) = table(late);
    assert!(code == Some(1) && said.contains("late"), "{said}");
}

#[test]
fn rows_are_not_added_to_files() {
    let place = Place::new();
    fs::create_dir(place.path("t")).expect("creates");
    place.write("t/a.csv", "v\n1\n");
    let text = "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 't/' OPTIONS ('format.has_header' 'true'); INSERT INTO t VALUES (7);";
    place.write("s.sql", text);
    for publish in ["each", "all"] {
        let (code, _, said) = place.run(&["s.sql", "--publish", publish]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("a failure would leave some of the rows"), "{said}");
    }
    assert_eq!(place.files().len(), 2);
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
    symlink(place.path("real"), place.path("link")).expect("links");
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

#[test]
fn a_link_to_what_is_not_there_yet_leads_there() {
    let place = Place::new();
    fs::create_dir(place.path("days")).expect("creates");
    symlink("days/today.csv", place.path("latest.csv")).expect("links");
    let (code, said) = run(&place, "COPY (SELECT 1 AS a) TO 'latest.csv';");
    assert_eq!((code, place.read("days/today.csv").as_str()), (0, "a\n1\n"), "{said}");
    assert!(place.path("latest.csv").is_symlink());
}

#[test]
fn what_is_not_as_it_was_written_is_not_replaced() {
    let place = Place::new();
    fs::create_dir(place.path("photos")).expect("creates");
    place.write("photos/a.csv", "precious");
    // Somebody else's manifest, and ours of a file that has been edited since.
    for manifest in [
        r#"{"files":[{"path":"a.csv","bytes":8}]}"#,
        r#"{"written_by":"comptoir 0.1.0","files":[{"path":"a.csv","bytes":7}]}"#,
    ] {
        place.write("photos/_manifest.json", manifest);
        let (code, said) = run(&place, "COPY (SELECT 1 AS x) TO 'photos/' STORED AS CSV;");
        assert_eq!((code, place.read("photos/a.csv").as_str()), (2, "precious"), "{said}");
    }
    place.write(
        "photos/_manifest.json",
        r#"{"written_by":"comptoir 0.1.0","files":[{"path":"a.csv","bytes":8}]}"#,
    );
    let (code, said) = run(&place, "COPY (SELECT 1 AS x) TO 'photos/' STORED AS CSV;");
    assert_eq!((code, place.path("photos/a.csv").exists()), (0, false), "{said}");
}

#[test]
fn a_pipe_in_the_folder_holds_nobody() {
    let place = Place::new();
    let pipe = place.path(".p.1-1.partial");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let (code, said) = run(&place, "COPY (SELECT 1 AS x) TO 'b.csv';");
    assert_eq!((code, place.read("b.csv").as_str()), (0, "x\n1\n"), "{said}");
    fs::remove_file(pipe).expect("is left alone");
}
