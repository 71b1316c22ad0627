// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Where outputs land: at the place that was named, with every row, and nowhere else.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

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
