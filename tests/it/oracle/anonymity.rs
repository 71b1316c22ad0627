// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! k_anonymise on Adult against ARX's figures, exhaustive optima and pycanon.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{comptoir, data, oracle, python, succeed, target};

/// The columns of ARX's Adult data; the last two stand here in the order of the published figures.
const ADULT: [&str; 9] = [
    "sex",
    "age",
    "race",
    "marital-status",
    "education",
    "native-country",
    "workclass",
    "occupation",
    "salary-class",
];

/// The columns of anjana's Adult data that its hierarchies generalise, and their files.
const ANJANA: [(&str, &str); 6] = [
    ("age", "age"),
    ("education", "education"),
    ("marital-status", "marital"),
    ("occupation", "occupation"),
    ("sex", "sex"),
    ("native-country", "country"),
];

/// The Adult data and its hierarchies, as arguments of `k_anonymise_report`.
struct Adult {
    table: String,
    /// All nine quasi-identifiers.
    nine: String,
    /// Eight of them, the ninth being sensitive.
    occupation: String,
    /// The names of the eight.
    eight: String,
    anjana: String,
}

impl Adult {
    fn new(data: &Path) -> Self {
        let arx = data.join("adult/arx").display().to_string();
        let table = format!("'{arx}/adult.csv?delimiter=;'");
        let levels = |columns: &[&str]| {
            let one = |c: &&str| {
                format!(
                    "hierarchy(\"{c}\", '{arx}/adult_hierarchy_{c}.csv?delimiter=;&header=false')"
                )
            };
            columns.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let eight: Vec<&str> = ADULT.into_iter().filter(|c| *c != "occupation").collect();
        let names: Vec<String> = eight.iter().map(|c| format!("\"{c}\"")).collect();
        let anjana = data.join("adult").display().to_string();
        let plain: Vec<String> = ANJANA
            .iter()
            .map(|(c, _)| format!("trim(CAST(\"{c}\" AS VARCHAR)) AS \"{c}\""))
            .collect();
        // Numbers stay numbers, for Mondrian.
        let plain = plain.join(", ").replacen("trim(CAST(\"age\" AS VARCHAR))", "age", 1);
        let anjana_levels: Vec<String> = ANJANA
            .iter()
            .map(|(c, file)| {
                format!("hierarchy(\"{c}\", '{anjana}/hierarchies/{file}.csv?header=false')")
            })
            .collect();
        Self {
            nine: format!("{table}, quasi => [{}]", levels(&ADULT)),
            occupation: format!(
                "{table}, quasi => [{}], sensitive => [occupation]",
                levels(&eight)
            ),
            eight: names.join(", "),
            anjana: format!(
                "(SELECT {plain} FROM '{anjana}/adult.csv'), quasi => [{}]",
                anjana_levels.join(", ")
            ),
            table,
        }
    }

    /// A query with a report for each run, a name and the arguments after the table.
    fn reports(&self, runs: &[(&str, &str, &str)]) -> String {
        let one = |(run, over, arguments): &(&str, &str, &str)| {
            let over = match *over {
                "nine" => &self.nine,
                "occupation" => &self.occupation,
                _ => &self.anjana,
            };
            format!("SELECT '{run}' AS run, * FROM k_anonymise_report({over}, {arguments})")
        };
        runs.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ")
    }
}

const ADULT_RUNS: [(&str, &str, &str); 8] = [
    ("k5", "nine", "k => 5, max_suppressed => 0.02"),
    ("entropy k5", "nine", "k => 5, max_suppressed => 0.04, metric => 'entropy'"),
    ("rank k2", "nine", "k => 2, metric => 'loss_rank'"),
    ("t0.2", "occupation", "k => 5, t => 0.2, max_suppressed => 0.04"),
    ("anjana k5", "anjana", "k => 5"),
    ("anjana k5 1%", "anjana", "k => 5, max_suppressed => 0.01"),
    ("anjana gcp k5 5%", "anjana", "k => 5, max_suppressed => 0.05, metric => 'gcp'"),
    ("mondrian k5", "anjana", "k => 5, method => 'mondrian'"),
];

/// All other optima that are known of Adult.
const ADULT_TABLE: [(&str, &str, &str); 30] = [
    ("k2 0%", "nine", "k => 2"),
    ("k2 2%", "nine", "k => 2, max_suppressed => 0.02"),
    ("k5 0%", "nine", "k => 5"),
    ("k10 0%", "nine", "k => 10"),
    ("k10 2%", "nine", "k => 10, max_suppressed => 0.02"),
    ("k20 0%", "nine", "k => 20"),
    ("k20 2%", "nine", "k => 20, max_suppressed => 0.02"),
    ("k100 0%", "nine", "k => 100"),
    ("k100 2%", "nine", "k => 100, max_suppressed => 0.02"),
    ("k100 4%", "nine", "k => 100, max_suppressed => 0.04"),
    ("entropy k100 0%", "nine", "k => 100, metric => 'entropy'"),
    ("k5 t0.2 0%", "occupation", "k => 5, t => 0.2"),
    ("k5 l3 0%", "occupation", "k => 5, l => 3"),
    ("k5 l3 4%", "occupation", "k => 5, l => 3, max_suppressed => 0.04"),
    ("k10 t0.3 0%", "occupation", "k => 10, t => 0.3"),
    ("k10 t0.3 4%", "occupation", "k => 10, t => 0.3, max_suppressed => 0.04"),
    ("anjana k2 0%", "anjana", "k => 2"),
    ("anjana k10 0%", "anjana", "k => 10"),
    ("anjana k10 1%", "anjana", "k => 10, max_suppressed => 0.01"),
    ("anjana k50 0%", "anjana", "k => 50"),
    ("anjana gcp k2 0%", "anjana", "k => 2, metric => 'gcp'"),
    ("anjana gcp k5 0%", "anjana", "k => 5, metric => 'gcp'"),
    ("anjana gcp k5 1%", "anjana", "k => 5, max_suppressed => 0.01, metric => 'gcp'"),
    ("anjana gcp k10 0%", "anjana", "k => 10, metric => 'gcp'"),
    ("anjana gcp k10 1%", "anjana", "k => 10, max_suppressed => 0.01, metric => 'gcp'"),
    ("anjana gcp k5 10%", "anjana", "k => 5, max_suppressed => 0.1, metric => 'gcp'"),
    ("anjana gcp k10 5%", "anjana", "k => 10, max_suppressed => 0.05, metric => 'gcp'"),
    ("anjana gcp k10 10%", "anjana", "k => 10, max_suppressed => 0.1, metric => 'gcp'"),
    ("mondrian k10", "anjana", "k => 10, method => 'mondrian'"),
    ("mondrian k50", "anjana", "k => 50, method => 'mondrian'"),
];

#[test]
fn anonymity_is_what_arx_and_pycanon_compute() {
    let Some(data) = data() else { return };
    let written = tempfile::tempdir().expect("a folder for answers");
    let adult = Adult::new(&data);
    let Adult { table, occupation, eight, .. } = &adult;
    let published = format!("'{}'", written.path().join("published.csv").display());
    let published_quasi = format!("quasi => [{eight}], sensitive => [occupation]");
    let l3 = "k => 5, l => 3, l_kind => 'entropy', max_suppressed => 0.04";
    let coarse = "quasi => [sex, race, \"marital-status\"]";
    let queries = [
        (
            "risk",
            format!(
                "SELECT * FROM reid_risk({table}, quasi => [{}])",
                ADULT.map(|c| format!("\"{c}\"")).join(", ")
            ),
        ),
        (
            "measures",
            format!(
                "SELECT l.*, t_equal, t_ordered, k FROM l_diversity({table}, {coarse}, sensitive => [occupation, age]) l \
                 JOIN t_closeness({table}, {coarse}, sensitive => [occupation, age]) t ON l.column_name = t.column_name \
                 CROSS JOIN k_anonymity({table}, {coarse})"
            ),
        ),
        ("reports", adult.reports(&ADULT_RUNS)),
        ("published", format!("SELECT *, occupation AS keep FROM k_anonymise({occupation}, {l3})")),
        (
            "published_measures",
            format!(
                "SELECT l.*, t_equal, k, classes FROM l_diversity({published}, {published_quasi}, l => 3) l \
                 CROSS JOIN t_closeness({published}, {published_quasi}) t \
                 CROSS JOIN k_anonymity({published}, quasi => [{eight}])"
            ),
        ),
    ];
    for (name, sql) in queries {
        let answer = written.path().join(format!("{name}.csv"));
        comptoir(table.trim_matches('\''), &sql, &answer, &[]);
    }
    oracle("anonymity.py", &[&data, written.path(), &pycanon()]);
}

#[test]
#[ignore = "every optimum known of Adult takes ten minutes in debug: cargo test --release --test it -- --ignored optimum"]
fn every_optimum_known_of_adult_is_found() {
    let Some(data) = data() else { return };
    let written = tempfile::tempdir().expect("a folder for answers");
    let adult = Adult::new(&data);
    for (place, runs) in ADULT_TABLE.chunks(4).enumerate() {
        let answer = written.path().join(format!("table_{place}.csv"));
        comptoir(adult.table.trim_matches('\''), &adult.reports(runs), &answer, &[]);
    }
    oracle("anonymity.py", &[&data, written.path()]);
}

/// pycanon in a folder of its own: it asks for an older numpy than it needs.
fn pycanon() -> PathBuf {
    const PYCANON: &str = "pycanon==1.3.5";
    let python = python();
    let home = target().join(PYCANON);
    let lock = File::create(target().join("pycanon.lock")).expect("a lock file");
    lock.lock().expect("the lock, free in the end");
    if !home.join("pycanon/__init__.py").is_file() {
        succeed(
            Command::new(python)
                .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
                .arg(&home)
                .arg(PYCANON),
        );
    }
    home
}
