// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

#![expect(clippy::expect_used, reason = "a test panics")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn comptoir(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_comptoir"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder is readable");
    let mut names: Vec<String> = entries
        .map(|e| e.expect("its entries are readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn data_goes_to_stdout_and_remarks_to_stderr() {
    let out = comptoir(&["--format", "csv", "-c", "SELECT 1 AS a, NULL AS b; SELECT 'x,y' AS c"]);
    assert_eq!(
        (out.status.code(), text(&out.stdout).as_str(), text(&out.stderr).as_str()),
        (Some(0), "a,b\n1,\nc\n\"x,y\"\n", "")
    );
    let out = comptoir(&["-c", "SELECT 1 AS a"]);
    assert!(text(&out.stdout).contains("│ a") && text(&out.stderr).contains("1 row"), "{out:?}");
    assert_eq!(text(&comptoir(&["--quiet", "-c", "SELECT 1 AS a"]).stderr), "");
}

#[test]
fn every_text_format_says_the_same() {
    let ask = |format: &str| {
        text(&comptoir(&["--format", format, "-c", "SELECT 1 AS a, 'x|y' AS b, NULL AS c"]).stdout)
    };
    assert_eq!(ask("json").trim(), r#"[{"a":1,"b":"x|y","c":null}]"#);
    assert_eq!(ask("jsonl").trim(), r#"{"a":1,"b":"x|y","c":null}"#);
    assert_eq!(ask("markdown").trim(), "| a | b | c |\n| ---: | --- | --- |\n| 1 | x\\|y |  |");
    assert_eq!(ask("csv").trim(), "a,b,c\n1,x|y,");
}

#[test]
fn exit_codes_tell_a_failed_query_from_a_wrong_call() {
    for (arguments, code, said) in [
        (&["-c", "SELECT nope"][..], 1, "nope"),
        (&["-c", "SELECT 1 / 0"], 1, "zero"),
        (&["-c", "SELEC 1"], 2, "SELEC"),
        (&["--format", "xml", "-c", "SELECT 1"], 2, "no format `xml`"),
        (&["--data", "no/such/path", "-c", "SELECT 1"], 2, "no/such/path"),
        (&["--config", "no.toml", "-c", "SELECT 1"], 2, "no.toml"),
        (&["--memory-limit", "two", "-c", "SELECT 1"], 2, "`two` is not a size"),
        (&["--threads", "0", "-c", "SELECT 1"], 2, "at least 1"),
        (&["run", "no.sql"], 2, "no.sql"),
        (&["--nonsense"], 2, "--nonsense"),
        (&["demo", "--orders", "0", "--dir", "target/never"], 2, "orders"),
    ] {
        let out = comptoir(arguments);
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {}", text(&out.stderr));
        assert!(
            text(&out.stderr).contains(said),
            "{arguments:?} should say {said}: {}",
            text(&out.stderr)
        );
        assert_eq!(text(&out.stdout), "", "{arguments:?}");
    }
}

#[test]
fn a_long_chain_does_not_exhaust_the_stack() {
    let sql = format!("SELECT nope{}", " + 1".repeat(4_900));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, &sql).expect("writes");
    for arguments in [["-c", &sql], ["run", &file.path().to_string_lossy()]] {
        let out = comptoir(&arguments);
        assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
        assert!(text(&out.stderr).contains("nope"), "{}", text(&out.stderr));
    }
}

#[test]
fn an_error_shows_the_place_in_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("nightly.sql");
    std::fs::write(&file, "-- first\nSELECT 1;\nSELECT *\nFROM rfm_scor(orders);\n")
        .expect("writes");
    let out = comptoir(&["run", &file.to_string_lossy()]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1));
    for part in [
        "there is no table function `rfm_scor`",
        "nightly.sql:4:6",
        "^^^^^^^^",
        "did you mean `rfm_score`",
    ] {
        assert!(said.contains(part), "should say {part}: {said}");
    }
}

#[test]
fn a_mistake_at_the_end_of_a_script_runs_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("a.csv");
    let sql = format!("COPY (SELECT 1 AS a) TO '{}'; SELECT (1;", target.display());
    assert_eq!(comptoir(&["-c", &sql]).status.code(), Some(2));
    assert!(!target.exists());
}

/// A result that fails after a million rows, so that the writer has long begun.
const FAILS_LATE: &str = "SELECT CASE WHEN value = 1900000 THEN raise('late') ELSE value END AS v FROM generate_series(1, 2000000)";

#[test]
fn a_failed_output_leaves_the_old_file_and_nothing_else() {
    for (name, format) in [
        ("old.csv", "csv"),
        ("old.parquet", "parquet"),
        ("old.jsonl", "jsonl"),
        ("old.arrow", "arrow"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join(name);
        std::fs::write(&target, "old").expect("writes");
        let shown = target.to_string_lossy();
        let out = comptoir(&["--output", &shown, "--format", format, "-c", FAILS_LATE]);
        assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
        assert!(text(&out.stderr).contains("late"), "{}", text(&out.stderr));
        let stored = if format == "jsonl" { "json" } else { format };
        let out =
            comptoir(&["-c", &format!("COPY ({FAILS_LATE}) TO '{shown}' STORED AS {stored}")]);
        assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
        assert_eq!(std::fs::read_to_string(&target).expect("is there"), "old", "{name}");
        assert_eq!(names(folder.path()), [name]);
    }
}

#[test]
fn a_finished_output_replaces_the_old_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("new.parquet");
    std::fs::write(&target, "old").expect("writes");
    let shown = target.to_string_lossy();
    let out = comptoir(&[
        "-c",
        &format!("COPY (SELECT 42 AS a) TO '{shown}'; SELECT a FROM '{shown}'"),
        "--format",
        "csv",
    ]);
    assert_eq!(text(&out.stdout), "a\n42\n", "{}", text(&out.stderr));
    let out = comptoir(&["--output", &shown, "-c", "SELECT 43 AS a"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let out = comptoir(&["--format", "csv", "-c", &format!("SELECT a FROM '{shown}'")]);
    assert_eq!(text(&out.stdout), "a\n43\n", "{}", text(&out.stderr));
    assert_eq!(names(folder.path()), ["new.parquet"]);
}

#[test]
fn a_second_result_does_not_overwrite_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("a.csv");
    let out = comptoir(&["--output", &target.to_string_lossy(), "-c", "SELECT 1; SELECT 2"]);
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
    assert!(names(folder.path()).is_empty());
}

#[cfg(unix)]
#[test]
fn killed_at_any_moment_the_old_file_stays_and_nothing_else() {
    let endless = "SELECT value AS v, repeat('x', 100) AS w FROM generate_series(1, 2000000000)";
    for (i, delay) in [150, 400, 700, 1000].into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("old.parquet");
        std::fs::write(&target, "old").expect("writes");
        let shown = target.to_string_lossy();
        let copy = format!("COPY ({endless}) TO '{shown}'");
        let arguments: Vec<&str> =
            if i % 2 == 0 { vec!["-c", &copy] } else { vec!["--output", &shown, "-c", endless] };
        let mut child = Command::new(env!("CARGO_BIN_EXE_comptoir"))
            .args(arguments)
            .spawn()
            .expect("the program starts");
        std::thread::sleep(Duration::from_millis(delay));
        // On Unix this is SIGKILL.
        child.kill().expect("can be killed");
        child.wait().expect("ends");
        assert_eq!(std::fs::read_to_string(&target).expect("is there"), "old");
        assert_eq!(names(folder.path()), ["old.parquet"], "after {delay} ms");
    }
}

/// The signals of which the kernel says something of a process, as bits: caught, ignored.
#[cfg(target_os = "linux")]
fn signals(process: &str, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix(what)?.strip_prefix(':'));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Waits until a process has a handler for the interrupt, which a busy machine may take its time to give it.
#[cfg(target_os = "linux")]
fn wait_until_it_listens(process: u32) {
    for _ in 0..600 {
        if signals(&process.to_string(), "SigCgt") & 0b10 != 0 {
            return std::thread::sleep(Duration::from_millis(200));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_ends_with_130_and_leaves_the_old_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("old.csv");
    std::fs::write(&target, "old").expect("writes");
    let child = Command::new(env!("CARGO_BIN_EXE_comptoir"))
        .args([
            "--output",
            &target.to_string_lossy(),
            "-c",
            "SELECT value FROM generate_series(1, 2000000000)",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    wait_until_it_listens(child.id());
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill runs").success());
    let out = child.wait_with_output().expect("ends");
    assert_eq!(out.status.code(), Some(130), "{}", text(&out.stderr));
    assert_eq!(std::fs::read_to_string(&target).expect("is there"), "old");
    assert_eq!(names(folder.path()), ["old.csv"]);
}

#[cfg(target_os = "linux")]
#[test]
fn who_is_told_to_stop_does_even_when_nobody_reads() {
    for (signal, arguments) in [
        ("-TERM", ["-c", "SELECT value FROM generate_series(1, 3000000)"].as_slice()),
        ("-HUP", &["-c", "SELECT sum(sin(value)) FROM generate_series(1, 200000000000)"]),
    ] {
        let child = Command::new(env!("CARGO_BIN_EXE_comptoir"))
            .args(["--format", "csv"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        wait_until_it_listens(child.id());
        let id = child.id().to_string();
        let kill = |signal: &str| {
            Command::new("kill").args([signal, id.as_str()]).status().expect("kill runs")
        };
        assert!(kill(signal).success());
        if signal == "-HUP" && signals("self", "SigIgn") & 1 != 0 {
            // These tests run under `nohup`, which is for what they start too.
            std::thread::sleep(Duration::from_millis(500));
            assert!(kill("-TERM").success(), "it outlives its terminal");
        }
        // Its output is read only after it has had the time to end.
        let ended = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            status.is_empty() || status.contains("State:\tZ")
        });
        assert!(ended, "{signal} is heard");
        let out = child.wait_with_output().expect("ends");
        assert_eq!(out.status.code(), Some(130), "{signal}: {}", text(&out.stderr));
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let program = env!("CARGO_BIN_EXE_comptoir");
    let script = format!(
        "'{program}' --format csv -c 'SELECT value FROM generate_series(1, 3000000)' | head -n 2; exit ${{PIPESTATUS[0]}}"
    );
    let out = Command::new("bash").args(["-c", &script]).output().expect("bash runs");
    assert_eq!(
        (out.status.code(), text(&out.stdout).as_str(), text(&out.stderr).as_str()),
        (Some(0), "value\n1\n", "")
    );
}

#[test]
fn a_read_only_session_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("a.csv");
    for sql in [
        format!("COPY (SELECT 1) TO '{}'", target.display()),
        format!("EXPLAIN ANALYZE COPY (SELECT 1) TO '{}'", target.display()),
        "CREATE TABLE t AS SELECT 1".to_string(),
        "SET datafusion.execution.batch_size = 1".to_string(),
    ] {
        let out = comptoir(&["--read-only", "-c", &sql]);
        assert_eq!(out.status.code(), Some(1), "{sql}");
        assert!(text(&out.stderr).contains("read-only"), "{sql}: {}", text(&out.stderr));
    }
    assert!(names(folder.path()).is_empty());
    assert_eq!(comptoir(&["--read-only", "-c", "SELECT 1"]).status.code(), Some(0));
}

#[test]
fn the_configuration_declares_tables_and_options() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("ventes.txt"),
        "numero;client;date_cmd;total\n1;anne;2024-01-05;1.234,50\n2;bob;2024-02-01;15,00\n",
    )
    .expect("writes");
    let config = folder.path().join("comptoir.toml");
    std::fs::write(&config, "[tables.ventes]\npath = \"ventes.txt\"\nformat = \"csv\"\ndelimiter = \";\"\ndecimal_comma = true\n")
        .expect("writes");
    let sql = "SELECT customer_id, monetary FROM rfm_score(ventes, order_id => numero, customer_id => client, \
               created_timestamp => date_cmd, net_sales => total) ORDER BY 1";
    let out = comptoir(&["--config", &config.to_string_lossy(), "--format", "csv", "-c", sql]);
    assert_eq!(
        text(&out.stdout),
        "customer_id,monetary\nanne,1234.5\nbob,15.0\n",
        "{}",
        text(&out.stderr)
    );
}

#[test]
fn standard_input_is_a_script() {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_comptoir"))
        .args(["--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child
        .stdin
        .take()
        .expect("is piped")
        .write_all(b"SELECT 1 AS a;\nSELECT ';' AS b")
        .expect("writes");
    let out = child.wait_with_output().expect("ends");
    assert_eq!(text(&out.stdout), "a\n1\nb\n;\n");
}

#[test]
fn a_query_that_does_not_fit_in_memory_spills() {
    // 2 million groups of 60 bytes each hold far more than the limit.
    let sql = "SELECT count(*) AS n, sum(c) AS c FROM (SELECT repeat('k', 20) || value AS k, count(*) AS c \
               FROM generate_series(1, 1000000) GROUP BY k)";
    let out = comptoir(&["--memory-limit", "40MB", "--threads", "2", "--format", "csv", "-c", sql]);
    assert_eq!(text(&out.stdout), "n,c\n1000000,1000000\n", "{}", text(&out.stderr));
}
