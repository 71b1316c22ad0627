// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The same attacks through every door of the real program: `-c`, a script with its reports, and Flight SQL.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::util::pretty::pretty_format_batches;
use comptoir::statement::parse;
use serde_json::Value;

use super::{Case, attacks, blocking, names_nobody, program, scratch, shop};
use crate::serve::{Serving, query};

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// What the program says without the statement, which a diagnostic draws.
fn without_source(said: &str) -> String {
    said.lines().filter(|l| !l.contains(" | ") || l.starts_with('|')).collect::<Vec<_>>().join("\n")
}

fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().expect("the program starts");
    (output.status.success(), text(&output))
}

/// Fails when a door did something else with an attack than is expected, or said a value of the victim's.
fn holds(case: &Case, ok: bool, rows: Option<usize>, said: &str) {
    let fits = match case.expected.as_str() {
        "safe" => ok,
        "empty" => ok && rows.is_none_or(|rows| rows == 0),
        "refused" => !ok,
        code => !ok && said.contains(code),
    };
    assert!(fits, "expected {}: {}\n{ok} {rows:?}\n{said}", case.expected, case.sql);
    names_nobody(&without_source(said), &case.sql);
}

/// Attacks on analyses that are answered take their time, and are no other behind a door.
fn is_slow(case: &Case) -> bool {
    case.expected == "safe" && case.sql.contains("() ")
        || case.sql.ends_with("()") && case.sql.starts_with("SELECT *")
}

#[test]
fn no_attack_comes_through_the_command_line() {
    let cases: Vec<Case> = attacks().into_iter().filter(|c| !is_slow(c)).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let arguments = ["-q", "--format", "jsonl", "-c", &case.sql];
                    let output = program("analyst", &arguments).output().expect("starts");
                    let rows = output.stdout.iter().filter(|byte| **byte == b'\n').count();
                    holds(case, output.status.success(), Some(rows), &text(&output));
                }
            });
        }
    });
}

/// What a report says of a statement without the statement's own words.
fn said_of(entry: &Value) -> String {
    let message = entry["message"].as_str().unwrap_or_default();
    format!("{message} {} {} {}", entry["rows"], entry["bytes"], entry["peak_memory_bytes"])
}

#[test]
fn no_attack_comes_through_a_script() {
    // What cannot be parsed does not get as far.
    let cases: Vec<(Case, usize)> = attacks()
        .into_iter()
        .filter(|case| !is_slow(case))
        .filter_map(|case| parse(&case.sql).ok().map(|s| s.len()).map(|n| (case, n)))
        .collect();
    assert!(cases.len() > 300, "{} cases", cases.len());
    let folder = scratch();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let script: Vec<&str> = cases.iter().map(|(case, _)| case.sql.as_str()).collect();
    std::fs::write(at("attacks.sql"), script.join("\n;\n")).expect("is written");
    for dry in [false, true] {
        let (report, junit, file) = (at("report.json"), at("junit.xml"), at("attacks.sql"));
        let mut arguments = vec!["-q", "--format", "jsonl", "run", "--on-error", "continue"];
        arguments.extend(["--report", &report, "--junit", &junit]);
        if dry {
            arguments.extend(["--dry-run", "--explain"]);
        }
        arguments.push(&file);
        let output = program("analyst", &arguments).output().expect("starts");
        let read = std::fs::read_to_string(&report).expect("a report is written");
        let report: Value = serde_json::from_str(&read).expect("is JSON");
        let entries = report["statements"].as_array().expect("a list");
        assert_eq!(entries.len(), cases.iter().map(|(_, n)| n).sum::<usize>(), "{}", text(&output));
        let mut place = 0;
        for (case, statements) in &cases {
            place += statements;
            let entry = &entries[place - 1];
            let ok = entry["status"] == "passed" || entry["status"] == "ok";
            let rows = entry["rows"].as_u64().map(|rows| rows as usize);
            assert_eq!(entry["peak_memory_bytes"], 0, "{}", case.sql);
            // A rehearsal runs nothing, so what only fails in the end has not failed.
            if !dry || case.expected.starts_with("PRIV") {
                holds(case, ok, rows.filter(|_| !dry), &said_of(entry));
            }
        }
        // Values of what was answered, without the names of columns: those are the statements' own words.
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Ok(Value::Object(row)) = serde_json::from_str(line) {
                let values: Vec<String> = row.values().map(Value::to_string).collect();
                names_nobody(&values.join(" "), "");
            }
        }
        let junit = std::fs::read_to_string(&junit).expect("is written");
        names_nobody(&junit, &script.join(" "));
    }
}

#[test]
fn no_attack_comes_through_flight_sql() {
    let folder = scratch();
    let at = |name: &str| shop().path().join(name).display().to_string();
    let config = format!(
        "data = [{:?}]\nprivacy = {:?}\nthreads = 2\n[serve]\naccess_log = \"access.jsonl\"\n",
        at("data"),
        at("policy.toml")
    );
    // Rights of an admin, so that everything gets as far as the gate; the policy's role is its default.
    let server = Serving::start_in(folder, &config, &["--anonymous", "admin"]);
    blocking(async {
        let mut client = server.client().await;
        for case in attacks().iter().filter(|case| !is_slow(case)) {
            let statements: Vec<String> = match parse(&case.sql) {
                Ok(parsed) => parsed.into_iter().map(|s| s.text).collect(),
                Err(_) => vec![case.sql.clone()],
            };
            let mut last = Ok(vec![]);
            for statement in &statements {
                last = query(&mut client, statement).await;
            }
            let rows = last.as_ref().ok().map(|b| b.iter().map(|b| b.num_rows()).sum());
            let said = match &last {
                Ok(batches) => pretty_format_batches(batches).expect("formats").to_string(),
                Err(error) => error.clone(),
            };
            holds(case, last.is_ok(), rows, &said);
        }
        // The catalog's calls of Flight SQL say names and types.
        let tables = client
            .get_tables(arrow_flight::sql::CommandGetTables {
                include_schema: true,
                ..Default::default()
            })
            .await
            .expect("are listed");
        assert_eq!(tables.total_records, -1);
        for sql in
            ["SELECT email FROM customers", "SELECT sum(total_price) FROM orders WHERE email = $1"]
        {
            let error = client.prepare(sql.into(), None).await.err().map(|e| e.to_string());
            let error = error.expect("is not prepared");
            assert!(error.contains("PRIV00"), "{sql}: {error}");
        }
    });
}

#[test]
fn the_policy_is_checked_and_explained_for_ci() {
    let (ok, said) = run(&mut program("analyst", &["policy", "check"]));
    assert!(ok && said.contains("orders: private, person in customer_id"), "{said}");
    assert!(
        said.contains("order_lines: private, person through order_id = orders.order_id"),
        "{said}"
    );
    let sql = "SELECT city, count(*) FROM customers GROUP BY city";
    let (ok, said) = run(&mut program("analyst", &["policy", "explain", sql]));
    assert!(
        ok && said.contains("groups of at least 5 persons") && said.contains("allowed"),
        "{said}"
    );
    let (ok, said) =
        run(&mut program("analyst", &["-c", "EXPLAIN PRIVACY SELECT email FROM customers"]));
    assert!(ok && said.contains("refused: PRIV001"), "{said}");
    let (ok, said) = run(&mut program("nobody", &["-c", "SELECT 1"]));
    assert!(!ok && said.contains("`nobody` is not a role"), "{said}");
    let broken = include_str!("policy.toml").replace("[tables.products]", "[tables.prodcts]");
    let folder = scratch();
    std::fs::write(folder.path().join("policy.toml"), broken).expect("is written");
    std::fs::write(folder.path().join("key"), "the key of the privacy tests").expect("is written");
    let config = folder.path().join("comptoir.toml");
    let data = shop().path().join("data").display().to_string();
    std::fs::write(&config, format!("data = [{data:?}]\nprivacy = \"policy.toml\"\n"))
        .expect("is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_comptoir"));
    let (ok, said) = run(command.arg("--config").arg(&config).args(["policy", "check"]));
    assert!(!ok && said.contains("did you mean `products`"), "{said}");
}
