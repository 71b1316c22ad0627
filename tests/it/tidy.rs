// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

#![expect(clippy::expect_used, reason = "a test panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use comptoir::library::Library;
use datafusion::prelude::SessionContext;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("the folder is readable") {
            let path = entry.expect("its entries are readable").path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = vec![];
    walk(&Path::new(ROOT).join(folder), &mut files);
    files.sort();
    files
}

#[test]
fn there_is_one_version_of_what_must_agree() {
    let lock: toml::Table = read("Cargo.lock").parse().expect("Cargo.lock is toml");
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock["package"].as_array().expect("has packages") {
        let text = |key: &str| package[key].as_str().expect("is text").to_string();
        versions.entry(text("name")).or_default().insert(text("version"));
    }
    let one = |name: &str, prefix: &str| {
        let found = &versions[name];
        assert!(
            found.len() == 1 && found.iter().all(|v| v.starts_with(prefix)),
            "{name}: {found:?}"
        );
    };
    one("object_store", "0.13.");
    one("sqlparser", "0.62.");
    one("tokio", "1.");
    one("serde", "1.");
    for name in versions.keys() {
        if name == "parquet" || name == "arrow" || name.starts_with("arrow-") {
            one(name, "59.3.");
        } else if name == "datafusion" || name.starts_with("datafusion-") {
            one(name, "55.2.");
        }
    }
}

#[test]
fn every_analysis_has_a_test_of_its_own() {
    for analysis in Library::built_in().expect("the library loads").iter() {
        let test = format!("tests/slt/{}/{}.slt", analysis.department, analysis.name);
        assert!(read(&test).contains(&analysis.name), "{test} does not call it");
        for parameter in analysis.parameters.iter().filter(|p| p.positional) {
            assert!(
                !parameter.meaning.is_empty(),
                "{}.{} has no meaning",
                analysis.name,
                parameter.name
            );
        }
    }
}

#[test]
fn every_function_has_a_test_and_a_bench() {
    let bench = read("benches/bench.rs");
    let mut names: Vec<String> =
        comptoir_udfs::scalars().iter().map(|f| f.name().to_string()).collect();
    names.extend(comptoir_udfs::aggregates().iter().map(|f| f.name().to_string()));
    names.extend(comptoir_udfs::windows().iter().map(|f| f.name().to_string()));
    names.extend(comptoir_udfs::relations().iter().map(|f| f.name().to_string()));
    for name in names {
        let test = format!("tests/slt/functions/{name}.slt");
        assert!(read(&test).contains(&format!("{name}(")), "{test} does not call it");
        assert!(bench.contains(&format!("{name}(")), "benches/bench.rs does not measure `{name}`");
    }
}

/// The one name that an analysis and a function share.
const BOTH: &str = "price_elasticity";

#[test]
fn names_are_unique_and_shadow_nothing() {
    let ctx = SessionContext::new();
    let state = ctx.state();
    let mut ours: Vec<String> =
        Library::built_in().expect("the library loads").iter().map(|a| a.name.clone()).collect();
    ours.extend(comptoir_udfs::relations().iter().map(|f| f.name().to_string()));
    ours.extend(comptoir_udfs::scalars().iter().map(|f| f.name().to_string()));
    ours.extend(comptoir_udfs::aggregates().iter().map(|f| f.name().to_string()));
    ours.push(comptoir::expand::LISTING.to_string());
    // `FROM price_elasticity(…)` and `SELECT price_elasticity(…)` cannot be taken for each other, and answer one question.
    assert_eq!(ours.iter().filter(|name| *name == BOTH).count(), 2, "an analysis and an aggregate");
    ours.remove(ours.iter().position(|name| name == BOTH).expect("is there"));
    let unique: BTreeSet<&String> = ours.iter().collect();
    assert_eq!(unique.len(), ours.len(), "{ours:?}");
    for name in &ours {
        let taken = state.scalar_functions().contains_key(name)
            || state.aggregate_functions().contains_key(name)
            || state.window_functions().contains_key(name)
            || state.table_functions().contains_key(name);
        assert!(!taken, "`{name}` is a function of DataFusion");
    }
}

/// The rooms in the order of the flow: a room may use those before it, never those after it.
const ROOMS: &[&str] = &[
    "error",
    "signals",
    "diagnostic",
    "statement",
    "library",
    "expand",
    "catalog",
    "config",
    "policy",
    "session",
    "sink",
    "execute",
    "engine",
    "demo",
    "script",
    "repl",
    "serve",
    "main",
];

/// What is allowed against that order: errors suggest near names, and a name is near by `diagnostic`'s measure.
const EXCEPTIONS: &[(&str, &str)] = &[("error", "diagnostic")];

#[test]
fn imports_run_in_one_direction() {
    let rank = |room: &str| ROOMS.iter().position(|r| *r == room);
    for file in rust_files("src") {
        let within = file
            .strip_prefix(Path::new(ROOT).join("src"))
            .expect("is under src")
            .display()
            .to_string();
        let room = within.split(['/', '.']).next().expect("has a room").to_string();
        let Some(mine) = rank(&room) else {
            assert_eq!(room, "lib", "`{room}` has no place in the order of rooms");
            continue;
        };
        for line in read(&file).lines().filter(|l| !l.trim_start().starts_with("//")) {
            for part in line
                .split("crate::")
                .skip(1)
                .chain(line.split("comptoir::").skip(1).filter(|_| room == "main"))
            {
                let other: String =
                    part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let Some(theirs) = rank(&other) else { continue };
                let allowed =
                    theirs <= mine || EXCEPTIONS.contains(&(room.as_str(), other.as_str()));
                assert!(allowed, "{within}: `{room}` uses `{other}`: {line}");
            }
        }
    }
    // Doors do not know each other, except that the prompt runs what is typed as a script.
    assert!(!read("src/script.rs").contains("crate::repl"));
}

#[test]
fn no_rust_file_names_an_analysis_or_a_table_of_the_shop() {
    let mut names: Vec<String> =
        Library::built_in().expect("the library loads").iter().map(|a| a.name.clone()).collect();
    names
        .extend(comptoir::library::schema().expect("the schema reads").into_iter().map(|t| t.name));
    for file in rust_files("src") {
        let within = file.display().to_string();
        // The header's tag `returns` is also the name of a table.
        if within.contains("/demo")
            || within.contains("/tests.rs")
            || within.ends_with("library/header.rs")
        {
            continue;
        }
        let text = read(&file);
        // Comments may give examples, and so may tests.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
            for name in &names {
                for quoted in [format!("\"{name}\""), format!("{name}(")] {
                    let called = quoted.ends_with('(');
                    let is_rust = called
                        && (line.contains(&format!(".{quoted}"))
                            || line.contains(&format!("fn {quoted}"))
                            || line.contains(&format!("::{quoted}")));
                    assert!(
                        !line.contains(&quoted) || is_rust || name.len() < 6,
                        "{within} names `{name}`: {line}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_top_level_holds_what_it_should() {
    let allowed = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "benches",
        "sql",
        "src",
        "tests",
        "udfs",
        "target",
        "demo",
    ];
    for entry in std::fs::read_dir(ROOT).expect("the project is readable") {
        let name =
            entry.expect("its entries are readable").file_name().to_string_lossy().into_owned();
        assert!(
            name.starts_with('.') || allowed.contains(&name.as_str()),
            "`{name}` does not belong at the top level"
        );
    }
}

#[test]
fn every_source_says_its_licence() {
    for file in rust_files("src")
        .into_iter()
        .chain(rust_files("udfs/src"))
        .chain(rust_files("tests"))
        .chain(rust_files("benches"))
    {
        assert!(
            read(&file).starts_with("// SPDX-License-Identifier: Apache-2.0\n"),
            "{}",
            file.display()
        );
    }
}
