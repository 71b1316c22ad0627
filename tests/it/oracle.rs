// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Analyses on public data sets against what pandas makes of the same raw files.
//!
//! The scripts in oracle/ know nothing of comptoir but the columns that it wrote. They run in an
//! environment of their own under target/python, made by the first test that needs it.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test panics, and says what it skips"
)]

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::Command;

use comptoir::demo::{self, Options};

/// CDNOW: every line is an order, and has no id.
const CDNOW: &str = "
SELECT
    customer_id, last_order_at, recency_days, frequency, monetary,
    r_score, f_score, m_score, rfm_score, segment, is_scored, warnings
FROM rfm_score(
    cdnow_master,
    created_timestamp => to_timestamp(CAST(date AS VARCHAR), '%Y%m%d'),
    net_sales => CAST(dollar_value AS DECIMAL(18, 4))
)
ORDER BY customer_id
";

/// Online Retail: the lines of invoices; those whose number begins with C are cancellations, of a
/// negative amount.
const ONLINE_RETAIL: &str = r#"
SELECT
    customer_id, last_order_at, recency_days, frequency, monetary,
    r_score, f_score, m_score, rfm_score, segment, is_scored, warnings
FROM rfm_score(
    online_retail,
    order_id => "InvoiceNo",
    customer_id => "CustomerID",
    created_timestamp => "InvoiceDate",
    net_sales => "Quantity" * CAST("UnitPrice" AS DECIMAL(18, 4)),
    grain => 'line'
)
ORDER BY customer_id
"#;

#[test]
fn rfm_score_is_what_pandas_computes() {
    let Some(data) = data() else { return };
    let written = tempfile::tempdir().expect("a folder for answers");
    let cdnow = written.path().join("cdnow.csv");
    comptoir(&cdnow_data(&data), CDNOW, &cdnow, &[]);
    let online_retail = written.path().join("online_retail.csv");
    let lines = data.join("online_retail/online_retail.csv.gz");
    comptoir(&lines.display().to_string(), ONLINE_RETAIL, &online_retail, &[]);
    oracle("rfm.py", &[&data, &cdnow, &online_retail]);
}

#[test]
fn rfm_score_does_not_depend_on_the_number_of_threads() {
    let Some(data) = data() else { return };
    let written = tempfile::tempdir().expect("a folder for answers");
    let answers = ["1", "2", "8"].map(|threads| {
        let answer = written.path().join(threads);
        comptoir(&cdnow_data(&data), CDNOW, &answer, &["--threads", threads]);
        fs::read(&answer).expect("the answer")
    });
    assert!(answers[0].len() > 1_000_000, "23,570 customers, not {} bytes", answers[0].len());
    assert!(answers[1] == answers[0], "2 threads answer otherwise than 1");
    assert!(answers[2] == answers[0], "8 threads answer otherwise than 1");
}

/// ChannelAttribution's own data, each touch of a path being a position, as it has it.
const PATH_DATA: &str = "
SELECT * FROM path_attribution(path_data, model => 'all', path_transform => 'none')
";

const SALES: &str = "SELECT order_id, customer_id, created_timestamp, net_sales FROM net_sales()";

const JOURNEYS: &str = "
SELECT model, order_id, touchpoint_id, weight, credit_revenue
FROM weighted_attribution(model => 'all') WHERE model <> 'markov'
";

const TOUCHES: &str = "
SELECT model, touchpoint_id, credit_revenue
FROM weighted_attribution(model => 'all', grain => 'touch') WHERE model <> 'markov'
";

#[test]
fn attribution_is_what_channel_attribution_and_the_definition_give() {
    let Some(data) = data() else { return };
    let written = tempfile::tempdir().expect("a folder for answers");
    let paths = written.path().join("paths.csv");
    let file = data.join("attribution/path_data.csv");
    comptoir(&file.display().to_string(), PATH_DATA, &paths, &[]);
    let shop = written.path().join("shop");
    let options =
        Options { dir: shop.clone(), orders: 1_500, seed: 5, format: demo::Format::Parquet };
    demo::generate(&options).expect("the demo shop is written");
    let questions = [SALES, "SELECT * FROM touchpoints", JOURNEYS, TOUCHES];
    let answers = questions.map(|sql| {
        let name = format!("{}.csv", questions.iter().position(|q| *q == sql).unwrap_or_default());
        let answer = written.path().join(name);
        comptoir(&shop.display().to_string(), sql, &answer, &[]);
        answer
    });
    let [sales, touchpoints, journeys, touches] = &answers;
    oracle("attribution.py", &[&data, &paths, sales, touchpoints, journeys, touches]);
}

/// Answers of price_elasticity: the file, the data it is over, and the query.
const ELASTICITIES: [(&str, &str, &str); 11] = [
    (
        "oj.csv",
        "oj",
        "SELECT * FROM price_elasticity(oj, sku => brand, quantity => sales, method => 'loglog')
         UNION ALL SELECT * FROM price_elasticity(oj, sku => 'all', quantity => sales, method => 'loglog')",
    ),
    (
        "oj_promo.csv",
        "oj",
        "SELECT * FROM price_elasticity(
            oj, sku => brand, quantity => sales, promo => feat = 1, exclude_promo => false, method => 'loglog')",
    ),
    (
        "oj_function.csv",
        "oj",
        "SELECT brand, unnest(price_elasticity(sales, price)) FROM (
            SELECT brand, sales, price FROM oj UNION ALL SELECT 'all', sales, price FROM oj) GROUP BY brand",
    ),
    (
        "loglog_none.csv",
        "demo",
        "SELECT * FROM price_elasticity(method => 'loglog', controls => 'none')",
    ),
    (
        "loglog_season.csv",
        "demo",
        "SELECT * FROM price_elasticity(method => 'loglog', controls => 'season')",
    ),
    (
        "ppml_none.csv",
        "demo",
        "SELECT * FROM price_elasticity(method => 'ppml', controls => 'none')",
    ),
    (
        "ppml_season.csv",
        "demo",
        "SELECT * FROM price_elasticity(method => 'ppml', controls => 'season')",
    ),
    ("panel.csv", "demo", "SELECT * FROM price_elasticity(method => 'panel')"),
    ("panel_ppml.csv", "demo", "SELECT * FROM price_elasticity(method => 'panel_ppml')"),
    (
        "panel_all.csv",
        "demo",
        "SELECT * FROM price_elasticity(method => 'panel', exclude_promo => false, exclude_stockout => false)",
    ),
    (
        "panel_ppml_all.csv",
        "demo",
        "SELECT * FROM price_elasticity(method => 'panel_ppml', exclude_promo => false, exclude_stockout => false)",
    ),
];

#[test]
fn price_elasticity_is_what_statsmodels_and_pyfixest_compute() {
    let Some(data) = data() else { return };
    let written = tempfile::tempdir().expect("a folder for answers");
    let (shop, lines) = (written.path().join("shop"), written.path().join("lines"));
    for (dir, format) in [(&shop, demo::Format::Parquet), (&lines, demo::Format::Csv)] {
        let options = Options { dir: dir.clone(), orders: 5_000, seed: 5, format };
        demo::generate(&options).expect("the demo shop is written");
    }
    let juice = data.join("oj/oj.csv").display().to_string();
    for (name, over, sql) in ELASTICITIES {
        let table = if over == "oj" { juice.clone() } else { shop.display().to_string() };
        comptoir(&table, sql, &written.path().join(name), &[]);
    }
    oracle("elasticity.py", &[&data, &lines, written.path()]);
}

#[test]
fn price_elasticity_does_not_depend_on_the_number_of_threads() {
    let written = tempfile::tempdir().expect("a folder for answers");
    let shop = written.path().join("shop");
    let options =
        Options { dir: shop.clone(), orders: 3_000, seed: 6, format: demo::Format::Parquet };
    demo::generate(&options).expect("the demo shop is written");
    for sql in [
        "SELECT * FROM price_elasticity() ORDER BY sku",
        "SELECT * FROM price_elasticity(method => 'panel')",
        "SELECT sku, unnest(price_elasticity(quantity, price - total_discount / quantity)) FROM order_lines GROUP BY sku ORDER BY sku",
    ] {
        let answers = ["1", "2", "7"].map(|threads| {
            let answer = written.path().join(threads);
            comptoir(&shop.display().to_string(), sql, &answer, &["--threads", threads]);
            fs::read(&answer).expect("the answer")
        });
        assert!(answers[0].len() > 100, "{sql}");
        assert!(answers[1] == answers[0], "2 threads answer otherwise than 1: {sql}");
        assert!(answers[2] == answers[0], "7 threads answer otherwise than 1: {sql}");
    }
}

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

/// What costs.py asks of its random shops, in its order.
const COSTS: [&str; 6] = [
    "",
    ", fulfillment_key => 'revenue', resale_basis => 'observed'",
    ", fulfillment_key => 'half', unattributed_spend => 'leave'",
    ", fulfillment_key => 'equal', period => 'month'",
    ", from_date => '2024-01-20', to_date => '2024-02-25'",
    ", period => 'month', overhead_key => 'quantity'",
];

/// CSV has no lists.
fn sku_true_cost(arguments: &str) -> String {
    format!(
        "SELECT * EXCEPT (missing_components, assumed_components) \
         FROM sku_true_cost(detail => true, storage_rate => 0.05{arguments}) ORDER BY sku, period_start"
    )
}

#[test]
fn sku_true_cost_is_what_a_row_by_row_reference_computes() {
    let folder = tempfile::tempdir().expect("a folder for shops and answers");
    oracle("costs.py", &[Path::new("make"), folder.path()]);
    let mut answers = vec![];
    for (number, arguments) in COSTS.iter().enumerate() {
        let shop = folder.path().join(format!("shop_{number}"));
        let answer = folder.path().join(format!("{number}.csv"));
        comptoir(&shop.display().to_string(), &sku_true_cost(arguments), &answer, &[]);
        answers.push(answer);
    }
    let mut arguments = vec![Path::new("check"), folder.path()];
    arguments.extend(answers.iter().map(PathBuf::as_path));
    oracle("costs.py", &arguments);
}

#[test]
fn sku_true_cost_of_the_demo_shop_is_the_reference_s_at_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("a folder for a shop and its answers");
    let shop = folder.path().join("shop");
    let options = Options { dir: shop.clone(), orders: 1_500, seed: 2, format: demo::Format::Csv };
    demo::generate(&options).expect("the demo shop is written");
    let answers = ["1", "3"].map(|threads| {
        let answer = folder.path().join(format!("{threads}.csv"));
        let options = ["--threads", threads];
        comptoir(&shop.display().to_string(), &sku_true_cost(""), &answer, &options);
        answer
    });
    oracle("costs.py", &[Path::new("demo"), &shop, &answers[0]]);
    let bytes = answers.map(|answer| fs::read(answer).expect("the answer"));
    assert!(bytes[0] == bytes[1], "3 threads answer otherwise than 1");
}

/// The elasticities that the demo shop was made with lie in their intervals as often as these promise: 95 % of 354, within
/// three deviations of a binomial count. By net prices, which tell also who had a discount code, somewhat less often.
#[test]
fn planted_elasticities_lie_in_their_intervals() {
    let written = tempfile::tempdir().expect("a folder for answers");
    let (mut estimates, mut by_list, mut by_net) = (0.0, 0.0, 0.0);
    for seed in 1..=6 {
        let shop = written.path().join(seed.to_string());
        let options =
            Options { dir: shop.clone(), orders: 5_000, seed, format: demo::Format::Parquet };
        demo::generate(&options).expect("the demo shop is written");
        let truth = shop.join("truth/skus.parquet").display().to_string();
        let answer = written.path().join("answer.csv");
        let sql = "
            SELECT count(l.ci_low), count(*) FILTER (WHERE t.elasticity BETWEEN l.ci_low AND l.ci_high),
                count(*) FILTER (WHERE t.elasticity BETWEEN n.ci_low AND n.ci_high)
            FROM price_elasticity(price_basis => 'list') AS l
            INNER JOIN price_elasticity() AS n ON l.sku = n.sku
            INNER JOIN skus AS t ON l.sku = t.sku
            WHERE l.ci_low IS NOT NULL AND n.ci_low IS NOT NULL";
        comptoir(&shop.display().to_string(), sql, &answer, &["--data", &truth]);
        let text = fs::read_to_string(&answer).expect("the answer");
        let row = text.lines().nth(1).expect("a row");
        let counts: Vec<f64> = row.split(',').map(|c| c.parse().expect("a count")).collect();
        estimates += counts[0];
        by_list += counts[1];
        by_net += counts[2];
    }
    assert!(estimates > 300.0, "{estimates} estimates");
    let allowed = 3.0 * f64::sqrt(0.95 * 0.05 / estimates);
    let (list, net) = (by_list / estimates, by_net / estimates);
    assert!((list - 0.95).abs() < allowed, "{list} of {estimates} by list prices");
    assert!(net > 0.90, "{net} of {estimates} by net prices");
}

fn cdnow_data(data: &Path) -> String {
    let file = data.join("cdnow/CDNOW_master.txt");
    format!("{}?format=csv&delimiter=whitespace", file.display())
}

/// The folder of public data sets: `COMPTOIR_DATA`, or shared/data beside the checkout.
///
/// Without it, says so and notes the calling test in target/skipped-tests.txt, which .ci/run
/// reads: a test cannot ignore itself once it runs, and must not look as if it had passed.
#[track_caller]
pub(crate) fn data() -> Option<PathBuf> {
    let folder = match std::env::var_os("COMPTOIR_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no data in {}", folder.display());
    skipped(&folder.display().to_string());
    None
}

/// Notes that the calling test could not run, and why.
#[track_caller]
pub(crate) fn skipped(why: &str) {
    let caller = Location::caller();
    let note = format!("{}:{}: {why}\n", caller.file(), caller.line());
    let notes = target().join("skipped-tests.txt");
    let mut notes =
        OpenOptions::new().create(true).append(true).open(notes).expect("a file of notes");
    // One write, so that the notes of tests that run at the same time do not mix.
    notes.write_all(note.as_bytes()).expect("a note of the skipped test");
}

/// Runs one query over one file with the real binary, which writes `answer` as CSV.
fn comptoir(data: &str, sql: &str, answer: &Path, options: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comptoir"));
    command
        .args(["--data", data, "--format", "csv", "-c", sql, "--output"])
        .arg(answer)
        .args(options);
    // Neither a configuration nor a table that stands about.
    command.current_dir(answer.parent().expect("a folder for answers"));
    succeed(&mut command);
}

/// Runs a script of oracle/, which compares.
pub(crate) fn oracle(script: &str, arguments: &[&Path]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/oracle").join(script);
    succeed(Command::new(python()).arg("-W").arg("error").arg(script).args(arguments));
}

/// The versions that the oracles were written with.
const PACKAGES: [&str; 5] = [
    "ChannelAttribution==2.2.5",
    "numpy==2.3.5",
    "pandas==2.3.3",
    "pyfixest==0.60.0",
    "statsmodels==0.15.0",
];

/// A Python with [`PACKAGES`].
fn python() -> PathBuf {
    environment("python", &PACKAGES)
}

/// A Python with packages, in a folder of target/, made once.
///
/// The lock holds off other tests, which may be other processes. An environment is whole when the
/// list of what it has stands in it: one left half made, or made for other versions, is made anew.
pub(crate) fn environment(name: &str, packages: &[&str]) -> PathBuf {
    let home = target().join(name);
    let python = home.join("bin/python");
    let lock = File::create(target().join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("the lock, free in the end");
    let list = home.join("comptoir-packages.txt");
    if fs::read_to_string(&list).is_ok_and(|has| has == packages.join("\n")) {
        return python;
    }
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
    succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages));
    fs::write(list, packages.join("\n")).expect("the list of packages");
    python
}

/// Cargo's target folder, wherever it is.
pub(crate) fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp is in target")
}

/// Runs a command, and shows what it said when it fails.
pub(crate) fn succeed(command: &mut Command) {
    let output = command.output().expect("a command that starts");
    assert!(
        output.status.success(),
        "{:?} failed with {}\n{}{}",
        command.get_args().collect::<Vec<&OsStr>>(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
