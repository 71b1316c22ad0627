// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The same attacks through the real program, and through a script.

use std::process::{Command, Output};

use super::{attacks, names_nobody, program, scratch, shop};

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

#[test]
fn a_handful_of_attacks_fails_on_the_command_line() {
    let cases = attacks();
    // One of every ten, so that each kind is there.
    for case in cases.iter().step_by(17) {
        let (ok, said) = run(&mut program("analyst", &["-c", &case.sql]));
        match case.expected.as_str() {
            "safe" | "empty" => assert!(ok, "{}\n{said}", case.sql),
            "refused" => assert!(!ok, "{}\n{said}", case.sql),
            code => assert!(!ok && said.contains(code), "expected {code}: {}\n{said}", case.sql),
        }
        names_nobody(&without_source(&said), &case.sql);
    }
}

#[test]
fn a_script_is_asked_the_same() {
    let folder = scratch();
    let mut cases = attacks();
    cases.retain(|c| c.expected.starts_with("PRIV"));
    for case in cases.iter().step_by(29) {
        let file = folder.path().join("attack.sql");
        std::fs::write(&file, format!("{};\n", case.sql)).expect("is written");
        let path = file.display().to_string();
        let (ok, said) = run(&mut program("analyst", &["run", &path]));
        assert!(!ok && said.contains(&case.expected), "{}: {}\n{said}", case.expected, case.sql);
        let (ok, said) = run(&mut program("analyst", &["run", "--dry-run", "--explain", &path]));
        assert!(!ok && said.contains(&case.expected), "{}: {}\n{said}", case.expected, case.sql);
    }
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
