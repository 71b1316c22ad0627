// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `--state`: what is skipped, and what never is.

use std::fs;

use crate::script::Place;

/// Two outputs, one through a table of the session, and an assertion.
const SCRIPT: &str = "PARAMETER n BIGINT DEFAULT 1;\n\
    ASSERT NO ROWS IN (SELECT * FROM 'b.csv' WHERE b < 0);\n\
    COPY (SELECT b + $n AS b FROM 'b.csv') TO 'out_b.csv';\n\
    CREATE TABLE t AS SELECT a FROM 'a.csv';\n\
    COPY t TO 'out_a/' STORED AS PARQUET;\n";

fn shop() -> Place {
    let place = Place::new();
    place.write("a.csv", "a\n1\n").write("b.csv", "b\n10\n").write("s.sql", SCRIPT);
    place
}

/// Runs with a state, and gives for each line of the script whether it ran.
fn run(place: &Place, arguments: &[&str]) -> (i32, Vec<(u64, bool)>, String) {
    let all = [&["s.sql", "--state", "state.json"], arguments].concat();
    let (code, _, said) = place.run(&all);
    let lines = said.lines().filter_map(|line| {
        let rest = line.strip_prefix("s.sql:")?;
        let (number, what) = rest.split_once(": ")?;
        Some((number.parse().ok()?, what.starts_with("runs")))
    });
    (code, lines.collect(), said)
}

const ALL: [(u64, bool); 4] = [(2, true), (3, true), (4, true), (5, true)];
const NONE: [(u64, bool); 4] = [(2, false), (3, false), (4, false), (5, false)];

#[test]
fn what_has_not_changed_is_skipped_and_what_has_runs() {
    let place = shop();
    let (code, ran, said) = run(&place, &[]);
    assert_eq!((code, ran.as_slice()), (0, &ALL[..]), "{said}");
    let (code, ran, said) = run(&place, &[]);
    assert_eq!((code, ran.as_slice()), (0, &NONE[..]), "{said}");
    assert!(
        said.contains("4 of 4 statements skipped") && said.contains("nothing has changed since"),
        "{said}"
    );
    assert!(place.path("out_b.csv").exists());
    // An input of the first half: the table of the second is not needed.
    place.write("b.csv", "b\n20\n");
    let (_, ran, said) = run(&place, &[]);
    assert_eq!(ran, [(2, true), (3, true), (4, false), (5, false)], "{said}");
    assert!(said.contains("b.csv` has changed"), "{said}");
    assert_eq!(place.read("out_b.csv"), "b\n21\n");
    // An input of the table: what reads the table runs, what stands before it does not.
    place.write("a.csv", "a\n2\n3\n");
    let (_, ran, said) = run(&place, &[]);
    assert_eq!(ran, [(2, false), (3, false), (4, true), (5, true)], "{said}");
    place.write("c.sql", "SELECT sum(a) AS a FROM 'out_a/';");
    assert_eq!(place.run(&["c.sql"]).1, "a\n5\n");
    // A parameter, an output that somebody touched or removed, and the order to run all.
    let (_, ran, said) = run(&place, &["-p", "n=2"]);
    assert_eq!(ran, [(2, false), (3, true), (4, false), (5, false)], "{said}");
    fs::remove_file(place.path("out_b.csv")).expect("removes");
    let (_, ran, said) = run(&place, &["-p", "n=2"]);
    assert_eq!(ran, [(2, false), (3, true), (4, false), (5, false)], "{said}");
    assert!(said.contains("is not as it left it"), "{said}");
    fs::write(place.path("out_a/note.txt"), "mine").expect("writes");
    let (code, ran, said) = run(&place, &["-p", "n=2"]);
    assert_eq!(
        (code, ran.as_slice()),
        (2, &[(2, false), (3, false), (4, true), (5, true)][..]),
        "{said}"
    );
    fs::remove_file(place.path("out_a/note.txt")).expect("removes");
    assert_eq!(run(&place, &["-p", "n=2", "--full-refresh"]).1, ALL);
    // The name of the file in which data is found is part of what a statement means.
    assert_eq!(run(&place, &["-p", "n=2", "--data", "a.csv"]).1, ALL);
}

#[test]
fn a_setting_or_a_macro_counts_for_all_that_follow() {
    let place = shop();
    let text = |y: u32| {
        format!(
            "COPY (SELECT 1 AS a) TO 'first.csv';\nCREATE MACRO m(x) AS x + {y};\nCOPY (SELECT m(a) AS a FROM 'a.csv') TO 'out.csv';\n"
        )
    };
    place.write("s.sql", &text(1));
    run(&place, &[]);
    place.write("s.sql", &text(2));
    let (_, ran, said) = run(&place, &[]);
    assert_eq!(ran, [(1, false), (2, true), (3, true)], "{said}");
    assert_eq!(place.read("out.csv"), "a\n3\n");
}

#[test]
fn what_can_differ_each_time_always_runs() {
    let place = shop();
    for (text, as_of, again) in [
        ("COPY (SELECT random() AS r) TO 'r.csv';", None, true),
        ("COPY (SELECT now() AS n) TO 'r.csv';", None, true),
        ("COPY (SELECT now() AS n) TO 'r.csv';", Some("2026-01-01"), false),
        ("COPY (SELECT 1 AS n) TO 'r.csv';", Some("2026-01-01"), false),
    ] {
        place.write("s.sql", text);
        let arguments: Vec<&str> = as_of.iter().flat_map(|day| ["--as-of", *day]).collect();
        run(&place, &arguments);
        let (_, ran, said) = run(&place, &arguments);
        assert_eq!(ran, [(1, again)], "{text}: {said}");
    }
    // Another moment concerns those only that ask for it.
    assert_eq!(run(&place, &["--as-of", "2026-01-02"]).1, [(1, false)]);
    place.write("s.sql", "COPY (SELECT today() AS n) TO 'r.csv';");
    run(&place, &["--as-of", "2026-01-02"]);
    assert_eq!(run(&place, &["--as-of", "2026-01-03"]).1, [(1, true)]);
    // A table of chance, and all that might read it.
    place.write("s.sql", "CREATE TABLE t AS SELECT random() AS r;\nCOPY t TO 'r.csv';\nSELECT 1;");
    run(&place, &[]);
    assert_eq!(run(&place, &[]).1, [(1, true), (2, true), (3, true)]);
}

#[test]
fn rows_are_shown_each_time_with_what_they_need() {
    let place = shop();
    place.write("s.sql", "CREATE TABLE t AS SELECT a FROM 'a.csv';\nCOPY t TO 'out.csv';\nSELECT a FROM t;\nCREATE TABLE u AS SELECT 1;");
    run(&place, &[]);
    let (_, ran, said) = run(&place, &[]);
    assert_eq!(ran, [(1, true), (2, false), (3, true), (4, false)], "{said}");
    // The one result of `--output` lasts.
    place.write("s.sql", "SELECT a FROM 'a.csv';");
    run(&place, &["--output", "one.csv"]);
    let (code, ran, said) = run(&place, &["--output", "one.csv"]);
    assert_eq!((code, ran.as_slice()), (0, &[(1, false)][..]), "{said}");
    assert_eq!(place.read("one.csv"), "a\n1\n");
}

#[test]
fn a_chain_of_files_is_followed() {
    let place = shop();
    place.write("s.sql", "COPY (SELECT a + 1 AS a FROM 'a.csv') TO 'x.csv';\nCOPY (SELECT a + 1 AS a FROM 'x.csv') TO 'y.csv';");
    assert_eq!(run(&place, &["--publish", "each"]).0, 0);
    assert_eq!(run(&place, &["--publish", "each"]).1, [(1, false), (2, false)]);
    place.write("a.csv", "a\n5\n");
    let (_, ran, said) = run(&place, &["--publish", "each"]);
    assert_eq!(ran, [(1, true), (2, true)], "{said}");
    assert_eq!(place.read("y.csv"), "a\n7\n");
}

#[test]
fn a_failure_is_not_remembered_as_done() {
    let place = shop();
    run(&place, &[]);
    let before = place.read("state.json");
    place.write("b.csv", "b\n-1\n");
    let (code, _, said) = run(&place, &[]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(place.read("state.json"), before);
    // What was published with its statement need not be done again.
    place.write(
        "s.sql",
        "COPY (SELECT 1 AS a) TO 'x.csv';\nASSERT NO ROWS IN (SELECT * FROM 'b.csv' WHERE b < 0);",
    );
    assert_eq!(run(&place, &["--publish", "each"]).0, 1);
    let (code, ran, said) = run(&place, &["--publish", "each"]);
    assert_eq!((code, ran.as_slice()), (1, &[(1, false), (2, true)][..]), "{said}");
    // A warning is given each time.
    place.write("s.sql", "ASSERT NO ROWS IN (SELECT * FROM 'b.csv' WHERE b < 0) SEVERITY WARN;");
    run(&place, &[]);
    assert_eq!(run(&place, &[]).1, [(1, true)]);
}

#[test]
fn a_bad_state_and_a_second_run_are_told_apart() {
    let place = shop();
    for text in [
        "",
        "{",
        "[]",
        "{\"comptoir_state\": 99, \"engine\": \"\", \"setting\": \"\", \"statements\": []}",
    ] {
        place.write("state.json", text);
        let (code, _, said) = run(&place, &[]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("state.json") && said.contains("--full-refresh"), "{said}");
    }
    assert_eq!(run(&place, &["--full-refresh"]).0, 0);
    assert_eq!(run(&place, &[]).1, NONE);
    // Somebody else is at work.
    let lock =
        fs::File::options().write(true).open(place.path("state.json.lock")).expect("a lock file");
    lock.lock().expect("locks");
    let (code, ran, said) = run(&place, &[]);
    assert_eq!((code, ran.len()), (3, 0), "{said}");
    assert!(said.contains("another run"), "{said}");
    drop(lock);
    assert_eq!(run(&place, &[]).0, 0);
    assert_eq!(run(&place, &["--dry-run"]).0, 2);
    assert_eq!(place.run(&["s.sql", "--full-refresh"]).0, 2);
}

#[test]
fn reports_say_what_was_skipped() {
    let place = shop();
    run(&place, &[]);
    let (code, _, said) = run(&place, &["--report", "r.json", "--junit", "j.xml"]);
    assert_eq!(code, 0, "{said}");
    let report: serde_json::Value = serde_json::from_str(&place.read("r.json")).expect("is JSON");
    let statements = report["statements"].as_array().expect("a list");
    assert_eq!(statements.len(), 4);
    for statement in statements {
        assert_eq!(statement["status"], "skipped");
        assert!(statement["message"].as_str().is_some_and(|m| m.starts_with("skipped: ")));
    }
    assert!(place.read("j.xml").contains("skipped=\"4\""));
}

#[test]
fn a_policy_that_has_changed_runs_everything_under_it() {
    let place = Place::new();
    let policy = |k: usize, key: &str| {
        place.write("key", key).write(
            "policy.toml",
            &format!(
                "key_file = \"key\"\ndefault_role = \"analyst\"\n[tables.people]\nkey = \"id\"\n\
                 columns = {{ city = \"quasi\" }}\n\
                 [roles.analyst]\nopenness = \"aggregate\"\nk = {k}\n"
            ),
        );
    };
    place
        .write("comptoir.toml", "data = [\"people.csv\"]\nprivacy = \"policy.toml\"\n")
        .write("people.csv", "id,city\n1,Paris\n2,Paris\n3,Lyon\n4,Lyon\n5,Lyon\n")
        .write(
            "s.sql",
            "COPY (SELECT city, count(*) AS n FROM people GROUP BY city ORDER BY city) TO 'n.csv';",
        );
    policy(2, "the first key of this test");
    let (code, ran, said) = run(&place, &[]);
    assert_eq!((code, ran.as_slice()), (0, &[(1, true)][..]), "{said}");
    assert_eq!(run(&place, &[]).1, [(1, false)]);
    assert_eq!(place.read("n.csv"), "city,n\nLyon,3\nParis,2\n");
    policy(3, "the first key of this test");
    let (_, ran, said) = run(&place, &[]);
    assert_eq!(ran, [(1, true)], "{said}");
    assert_eq!(place.read("n.csv"), "city,n\nLyon,3\n");
    policy(3, "the second key of this test");
    assert_eq!(run(&place, &[]).1, [(1, true)]);
}

#[test]
fn what_is_written_may_come_to_mean_other_files() {
    let place = Place::new();
    for folder in ["glob", "mixed"] {
        fs::create_dir(place.path(folder)).expect("creates");
    }
    place
        .write("glob/1.csv", "a\n1\n")
        .write("mixed/1.csv", "a\n1\n")
        .write("mixed/2.CSV", "a\n2\n");
    place.write("old.csv", "a\n1\n").write("new.csv", "a\n7\n");
    std::os::unix::fs::symlink("old.csv", place.path("link.csv")).expect("links");
    place.write(
        "s.sql",
        "COPY (SELECT sum(a) AS s FROM 'glob/*.csv') TO 'o1.csv';\n\
         COPY (SELECT sum(a) AS s FROM 'mixed/') TO 'o2.csv';\n\
         COPY (SELECT sum(a) AS s FROM 'link.csv') TO 'o3.csv';\n\
         COPY (WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r) TO 'o4.csv';\n",
    );
    let ran = || {
        run(&place, &[])
            .1
            .into_iter()
            .filter(|(_, ran)| *ran)
            .map(|(line, _)| line)
            .collect::<Vec<_>>()
    };
    assert_eq!(ran(), [1, 2, 3, 4]);
    assert_eq!(ran(), [0; 0]);
    place.write("glob/2.csv", "a\n5\n");
    assert_eq!((ran(), place.read("o1.csv")), (vec![1], "s\n6\n".to_string()));
    place.write("mixed/3.csv", "a\n5\n");
    assert_eq!((ran(), place.read("o2.csv")), (vec![2], "s\n8\n".to_string()));
    fs::remove_file(place.path("link.csv")).expect("removes");
    std::os::unix::fs::symlink("new.csv", place.path("link.csv")).expect("links");
    assert_eq!((ran(), place.read("o3.csv")), (vec![3], "s\n7\n".to_string()));
    assert_eq!(ran(), [0; 0]);
}

#[test]
fn a_table_that_an_analysis_can_do_without_counts_when_it_comes() {
    let place = Place::new();
    fs::create_dir(place.path("data")).expect("creates");
    place.write("data/a.csv", "a\n1\n").write("s.sql", "COPY (SELECT a FROM a) TO 'o.csv';\n");
    let ran = || run(&place, &["--data", "data"]).1;
    assert_eq!((ran(), ran()), (vec![(1, true)], vec![(1, false)]));
    place.write("data/b.csv", "b\n1\n");
    assert_eq!((ran(), ran()), (vec![(1, true)], vec![(1, false)]));
}

#[test]
fn chains_are_followed_through_links_and_past_what_is_written_twice() {
    let place = Place::new();
    fs::create_dir(place.path("real")).expect("creates");
    std::os::unix::fs::symlink("real", place.path("link")).expect("links");
    place.write("in.csv", "a\n1\n").write(
        "s.sql",
        "COPY (SELECT a FROM 'in.csv') TO 'link/x.csv';\n\
         COPY (SELECT a * 10 AS a FROM 'link/x.csv') TO 'y.csv';\n\
         COPY (SELECT 1 AS a) TO 'twice.csv';\n\
         COPY (SELECT 2 AS a) TO 'twice.csv';\n\
         PREPARE p AS SELECT 42 AS n; EXECUTE p;\n",
    );
    let ran = || run(&place, &["--publish", "each"]);
    assert_eq!(ran().0, 0);
    place.write("in.csv", "a\n2\n");
    let (_, lines, said) = ran();
    assert_eq!(place.read("y.csv"), "a\n20\n", "{said}");
    assert!(lines.contains(&(3, true)) && lines.contains(&(5, true)), "{said}");
    place.write("in.csv", "a\n2\n");
    let text = place.read("s.sql").replace("COPY (SELECT 2 AS a) TO 'twice.csv';\n", "");
    place.write("s.sql", &text);
    assert_eq!((ran().0, place.read("twice.csv")), (0, "a\n1\n".to_string()));
}

#[test]
fn what_is_skipped_stays_so_when_something_else_fails() {
    let place = Place::new();
    place.write(
        "s.sql",
        "COPY (SELECT 1 AS a) TO 'a.csv';\nASSERT 1 = 2;\nCOPY (SELECT 2 AS b) TO 'b.csv';\n",
    );
    let arguments = ["--publish", "each", "--on-error", "continue", "--report", "r.json"];
    assert_eq!(run(&place, &arguments).0, 1);
    let (code, ran, said) = run(&place, &arguments);
    assert_eq!((code, ran.as_slice()), (1, &[(1, false), (2, true), (3, false)][..]), "{said}");
    assert!(!said.contains("rows written"), "{said}");
    let report: serde_json::Value = serde_json::from_str(&place.read("r.json")).expect("is JSON");
    assert_eq!(report["statements"][2]["status"], "skipped");
}

#[test]
fn an_output_that_did_not_appear_is_not_skipped() {
    let place = Place::new();
    place.write("s.sql", "SELECT x FROM 'in.csv';\nASSERT (SELECT max(ok) FROM 'flag.csv') = 1;\n");
    for publish in ["each", "all"] {
        for (x, ok, code) in [(1, 1, 0), (2, 0, 1), (2, 1, 0), (2, 1, 0)] {
            place.write("in.csv", &format!("x\n{x}\n")).write("flag.csv", &format!("ok\n{ok}\n"));
            let arguments = ["--publish", publish, "--output", "out.csv"];
            let (ended, _, said) = run(&place, &arguments);
            assert_eq!(ended, code, "{publish}: {said}");
            // What has passed under `each` is there; under `all` the old one is.
            let seen = if publish == "all" && code == 1 { 1 } else { x };
            assert_eq!(place.read("out.csv"), format!("x\n{seen}\n"), "{publish}: {said}");
        }
        fs::remove_file(place.path("state.json")).expect("removes");
    }
}

#[test]
fn a_parameter_in_the_options_or_columns_of_a_table_counts() {
    let place = Place::new();
    place.write("in.csv", "a;b,c\n1;2,3\n");
    place.write(
        "s.sql",
        "PARAMETER d VARCHAR; PARAMETER n IDENTIFIER DEFAULT a;\n\
         CREATE EXTERNAL TABLE x (\"$n\" VARCHAR, y VARCHAR) STORED AS CSV LOCATION 'in.csv' OPTIONS ('format.delimiter' $d, 'has_header' 'true');\n\
         COPY (SELECT * FROM x) TO 'out.csv';\n",
    );
    for (arguments, row) in [
        (["-p", "d=;", "-p", "n=a"], "1,\"2,3\""),
        (["-p", "d=,", "-p", "n=a"], "1;2,3"),
        (["-p", "d=,", "-p", "n=z"], "1;2,3"),
    ] {
        let (code, ran, said) = run(&place, &arguments);
        assert_eq!((code, ran.as_slice()), (0, &[(2, true), (3, true)][..]), "{said}");
        let written = place.read("out.csv");
        assert_eq!(written.lines().nth(1), Some(row), "{written}");
        let name = if arguments[3] == "n=z" { "z,y" } else { "a,y" };
        assert_eq!(written.lines().next(), Some(name), "{written}");
        assert_eq!(run(&place, &arguments).1, [(2, false), (3, false)]);
    }
}
