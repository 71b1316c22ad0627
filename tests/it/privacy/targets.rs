// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Where a role that is no owner's may not write: what tables are read from, now and when the program starts again, and what
//! says who may do what.

use std::fs;
use std::path::Path;

use comptoir::config::Config;
use comptoir::policy::{Who, code_of};
use comptoir::{Engine, Error};

use super::{blocking, scratch, shop};

/// A folder with every kind of source, and what a server goes by.
fn configured(folder: &Path) -> Config {
    let at = |name: &str| folder.join(name);
    for name in ["src/a", "src/b", "src/days#1", "analyses", "out", "data"] {
        fs::create_dir_all(at(name)).expect("is made");
    }
    fs::write(at("policy.toml"), include_str!("policy.toml")).expect("is written");
    fs::write(at("key"), "the key of the privacy tests").expect("is written");
    for file in fs::read_dir(shop().path().join("data")).expect("is a folder") {
        let file = file.expect("is listed");
        let target = match file.file_name() == "orders.parquet" {
            true => at("src/orders-1.parquet"),
            false => at("data").join(file.file_name()),
        };
        fs::copy(file.path(), target).expect("is copied");
    }
    for name in ["src/a/x.csv", "src/b/x.csv", "src/days#1/x.csv"] {
        fs::write(at(name), "n\n1\n").expect("is written");
    }
    let text = r#"
data = ["data"]
privacy = "policy.toml"
library = ["analyses"]
threads = 2
[tables.orders]
path = "src/orders-*.parquet"
[tables.both]
path = ["src/a", "src/b"]
[tables.days]
path = "src/days#1"
[serve]
access_log = "access.jsonl"
[serve.tls]
certificate = "server.crt"
key = "server.key"
[serve.jwt]
issuer = "i"
audience = "a"
algorithm = "RS256"
key = "issuer.key"
"#;
    fs::write(at("comptoir.toml"), text).expect("is written");
    Config::load(Some(&at("comptoir.toml"))).expect("is read")
}

#[test]
fn no_target_changes_what_is_read_or_who_may_read_it() {
    let folder = scratch();
    let config = configured(folder.path());
    blocking(async {
        let owner = Engine::open(&Config { role: Some("owner".into()), ..config }).await;
        let owner = owner.expect("opens");
        let copy = |target: &str| {
            let target = folder.path().join(target).display().to_string();
            format!("COPY (SELECT 1 AS n) TO '{target}' STORED AS CSV")
        };
        let external = folder.path().join("out/late.csv");
        fs::write(&external, "n\n1\n").expect("is written");
        let late = external.display();
        let late = format!("CREATE EXTERNAL TABLE late STORED AS CSV LOCATION '{late}'");
        for role in ["analyst", "pseudonymised"] {
            let session = owner.session(Who::local(Some(role.into()))).expect("a session");
            for target in [
                "comptoir.toml",
                "policy.toml",
                "key",
                "analyses/steal.sql",
                "server.crt",
                "server.key",
                "issuer.key",
                "access.jsonl",
                "src/orders-2.parquet",
                "src/orders-1.parquet",
                "src/",
                "src/a/y.csv",
                "src/b/y.csv",
                "src/b/",
                "src/days#1/y.csv",
                "data/orders.csv",
                "data/new/x.csv",
            ] {
                let error: Error = session.query(&copy(target)).await.expect_err(target);
                assert_eq!(code_of(&error), Some("PRIV002"), "{target}: {error}");
                assert!(!error.hints.is_empty(), "{target}: {error}");
            }
            let beside = format!("out/{role}.csv");
            session.query(&copy(&beside)).await.expect("is nobody's");
            session.query(&copy("src/report.csv")).await.expect("fits no pattern");
        }
        // A table that comes later is read from somewhere, too.
        let analyst = owner.session(Who::local(Some("analyst".into()))).expect("a session");
        analyst.query(&copy("out/late.csv")).await.expect("is nobody's yet");
        owner.query(&late).await.expect("an owner may");
        let error: Error = analyst.query(&copy("out/late.csv")).await.expect_err("is a table's");
        assert_eq!(code_of(&error), Some("PRIV002"), "{error}");
        // An owner may do all.
        owner.query(&copy("src/b/y.csv")).await.expect("an owner may");
    });
}

#[test]
fn what_the_command_line_names_is_asked_about_too() {
    let folder = scratch();
    configured(folder.path());
    let at = |name: &str| folder.path().join(name);
    fs::write(at("j.sql"), "SELECT 1 AS a;").expect("is written");
    fs::write(at("f.sql"), "ASSERT NO ROWS IN (SELECT 1 AS a) SEVERITY WARN;").expect("is written");
    let run = |arguments: &[&str]| {
        let program = std::process::Command::new(env!("CARGO_BIN_EXE_comptoir"))
            .args(arguments)
            .current_dir(folder.path())
            .output();
        let out = program.expect("the program starts");
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let before = fs::read(at("policy.toml")).expect("is read");
    for arguments in [
        &["-c", "SELECT 1 AS a", "--output", "data/products.parquet"][..],
        &["-c", "SELECT 1 AS a", "--format", "html", "--output", "policy.toml"],
        &["run", "j.sql", "--format", "csv", "--output", "policy.toml"],
        &["run", "j.sql", "--report", "policy.toml"],
        &["run", "j.sql", "--junit", "data/junit.xml"],
        &["run", "j.sql", "--state", "policy.toml", "--full-refresh"],
        &["run", "f.sql", "--store-failures", "data"],
    ] {
        let (code, said) = run(arguments);
        assert!(code != Some(0) && said.contains("PRIV002"), "{arguments:?}: {said}");
        assert_eq!(fs::read(at("policy.toml")).expect("is read"), before, "{arguments:?}");
    }
    assert!(!at("data/junit.xml").exists() && !at("data/f-1.parquet").exists());
    let (code, said) = run(&["run", "f.sql", "--store-failures", "out", "--report", "out/r.json"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(at("out/f-1.parquet").exists() && at("out/r.json").exists());
}
