// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! One line a function or analysis: what is measured is a statement over a hundred thousand orders of a demo shop.
//! `cargo bench` measures, `cargo test --benches` only runs each once, over a small shop.

#![expect(clippy::expect_used, reason = "a bench panics")]

use std::time::Duration;

use comptoir::config::Config;
use comptoir::{Engine, demo};
use criterion::Criterion;

const FUNCTIONS: &[(&str, &str)] = &[
    (
        "apportion",
        "SELECT sum(part) FROM (SELECT apportion(CAST(1000 AS DECIMAL(18, 4)), quantity, 4) OVER (PARTITION BY order_id ORDER BY order_line_id) AS part FROM order_lines)",
    ),
    (
        "channel_credits",
        "SELECT sum(c['credit_revenue']) FROM (SELECT unnest(channel_credits(at, touch, channel, NULL, channel = 'direct', order_id, revenue, NULL, NULL)) AS c FROM (SELECT customer_id, created_timestamp AS at, NULL AS touch, NULL AS channel, order_id, subtotal_price AS revenue FROM orders UNION ALL SELECT customer_id, event_timestamp, touchpoint_id, channel, NULL, NULL FROM touchpoints WHERE customer_id IS NOT NULL) GROUP BY customer_id)",
    ),
    (
        "cross_elasticity",
        "SELECT count(cross_elasticity(p, p, 'trend')['n_obs']) FROM (SELECT sku, price_periods(date, quantity, net_price) AS p FROM unit_sales() GROUP BY sku)",
    ),
    (
        "elasticity_fit",
        "SELECT count(elasticity_fit(p, 'ppml')['elasticity']) FROM (SELECT sku, price_periods(date, quantity, net_price) AS p FROM unit_sales() GROUP BY sku)",
    ),
    (
        "elasticity_panel",
        "SELECT elasticity_panel(p) FROM (SELECT sku, price_periods(date, quantity, net_price) AS p FROM unit_sales() GROUP BY sku)",
    ),
    (
        "generalise",
        "SELECT g['report']['dm'] FROM (SELECT generalise(named_struct('k', 5, 'quasi', named_struct('postal_code', ['prefix', '4', '3', '2'], 'city', ['plain'])), n, n, NULL, postal_code, city) AS g FROM (SELECT postal_code, city, count(*) AS n FROM customers GROUP BY postal_code, city))",
    ),
    (
        "journey_credits",
        "SELECT sum(c['credit_revenue']) FROM (SELECT unnest(journey_credits(at, touch, channel, NULL, channel = 'direct', order_id, revenue, NULL, NULL)) AS c FROM (SELECT customer_id, created_timestamp AS at, NULL AS touch, NULL AS channel, order_id, subtotal_price AS revenue FROM orders UNION ALL SELECT customer_id, event_timestamp, touchpoint_id, channel, NULL, NULL FROM touchpoints WHERE customer_id IS NOT NULL) GROUP BY customer_id)",
    ),
    (
        "journeys",
        "SELECT count(c['path']) FROM (SELECT unnest(journeys(at, touch, channel, NULL, channel = 'direct', order_id, revenue, NULL, NULL)) AS c FROM (SELECT customer_id, created_timestamp AS at, NULL AS touch, NULL AS channel, order_id, subtotal_price AS revenue FROM orders UNION ALL SELECT customer_id, event_timestamp, touchpoint_id, channel, NULL, NULL FROM touchpoints WHERE customer_id IS NOT NULL) GROUP BY customer_id)",
    ),
    (
        "k_anonymise",
        "SELECT count(*) FROM k_anonymise(customers, k => 5, quasi => [prefix(postal_code, 4, 3, 2), city, date_parts(created_timestamp, 'month', 'year'), country_code], keep => [acquisition_channel], max_suppressed => 0.02)",
    ),
    (
        "k_anonymise/mondrian",
        "SELECT count(*) FROM k_anonymise(customers, k => 5, quasi => [postal_code, city, created_timestamp, country_code], method => 'mondrian')",
    ),
    (
        "k_anonymise/unit",
        "SELECT count(*) FROM k_anonymise(orders, k => 5, unit => customer_id, quasi => [date_parts(created_timestamp, 'day', 'month', 'year'), width(subtotal_price, 10, 50)], max_suppressed => 0.02)",
    ),
    (
        "k_anonymise_report",
        "SELECT * FROM k_anonymise_report(customers, k => 5, quasi => [prefix(postal_code, 4, 3, 2), country_code], sensitive => [acquisition_channel], l => 2, t => 0.5)",
    ),
    ("k_anonymity", "SELECT * FROM k_anonymity(customers, quasi => [postal_code, city])"),
    ("generalise_date", "SELECT max(generalise_date(created_timestamp, 'month')) FROM orders"),
    ("generalise_number", "SELECT max(generalise_number(subtotal_price, 10.0)) FROM orders"),
    ("generalise_text", "SELECT max(generalise_text(shipping_postal_code, 2)) FROM orders"),
    ("keyed_hash", "SELECT max(keyed_hash(7, order_id, subtotal_price)) FROM orders"),
    (
        "l_diversity",
        "SELECT * FROM l_diversity(customers, quasi => [city], sensitive => [acquisition_channel])",
    ),
    ("mask_email", "SELECT max(mask_email(email)) FROM orders"),
    ("mask_phone", "SELECT max(mask_phone(phone)) FROM customers"),
    (
        "local_time",
        "SELECT count(DISTINCT date_trunc('day', local_time(created_timestamp, 'Europe/Paris'))) FROM orders",
    ),
    (
        "order_summary",
        "SELECT count(s['orders']) FROM (SELECT customer_id, order_summary(order_id, created_timestamp, subtotal_price) AS s FROM orders GROUP BY customer_id)",
    ),
    ("pseudonymise", "SELECT max(pseudonymise(order_id, 'a key of sixteen bytes')) FROM orders"),
    ("redact", "SELECT max(redact(email)) FROM orders"),
    (
        "price_elasticity",
        "SELECT count(e['elasticity']) FROM (SELECT sku, price_elasticity(quantity, price) AS e FROM order_lines GROUP BY sku)",
    ),
    (
        "price_periods",
        "SELECT sum(cardinality(p)) FROM (SELECT sku, price_periods(date, quantity, net_price) AS p FROM unit_sales() GROUP BY sku)",
    ),
    ("profile", "SELECT * FROM profile(orders)"),
    (
        "raise",
        "SELECT sum(CASE WHEN currency = 'EUR' THEN subtotal_price ELSE raise('no euros') END) FROM orders",
    ),
    (
        "reid_risk",
        "SELECT * FROM reid_risk(orders, quasi => [channel, currency], unit => customer_id)",
    ),
    (
        "removal_effects",
        "SELECT removal_effects([channel, medium, channel], 1, 2) FROM touchpoints",
    ),
    ("rescale", "SELECT sum(rescale(subtotal_price, 0.3)) FROM orders"),
    ("score", "SELECT sum(score(subtotal_price, [20, 40, 80, 160])) FROM orders"),
    ("score_bounds", "SELECT score_bounds(subtotal_price, 5) FROM orders"),
    (
        "t_closeness",
        "SELECT * FROM t_closeness(customers, quasi => [city], sensitive => [acquisition_channel])",
    ),
    (
        "touch_credits",
        "SELECT sum(c['credit_revenue']) FROM (SELECT unnest(touch_credits(at, touch, channel, NULL, channel = 'direct', order_id, revenue, NULL, NULL)) AS c FROM (SELECT customer_id, created_timestamp AS at, NULL AS touch, NULL AS channel, order_id, subtotal_price AS revenue FROM orders UNION ALL SELECT customer_id, event_timestamp, touchpoint_id, channel, NULL, NULL FROM touchpoints WHERE customer_id IS NOT NULL) GROUP BY customer_id)",
    ),
];

const ANALYSES: &[(&str, &str)] = &[
    ("attribution_paths", "SELECT count(*), sum(total_null) FROM attribution_paths()"),
    ("attribution_report", "SELECT * FROM attribution_report()"),
    ("channel_profit", "SELECT * FROM channel_profit()"),
    ("check_accepted", "SELECT * FROM check_accepted(orders, financial_status, ['paid'])"),
    (
        "check_foreign_key",
        "SELECT * FROM check_foreign_key(order_lines, order_id, orders, order_id)",
    ),
    ("check_fresh", "SELECT * FROM check_fresh(orders, created_timestamp)"),
    ("check_not_null", "SELECT * FROM check_not_null(orders, customer_id)"),
    ("check_row_count", "SELECT * FROM check_row_count(orders, minimum => 1)"),
    ("check_unique", "SELECT * FROM check_unique(orders, order_id)"),
    (
        "cross_price_elasticity",
        "SELECT relation, count(*) FROM cross_price_elasticity() GROUP BY relation",
    ),
    ("net_sales", "SELECT sum(net_sales) FROM net_sales()"),
    ("order_margins", "SELECT sum(margin) FROM order_margins()"),
    ("pareto", "SELECT * FROM pareto(net_sales(), id => customer_id, value => net_sales)"),
    (
        "pareto_summary",
        "SELECT * FROM pareto_summary(net_sales(), id => customer_id, value => net_sales)",
    ),
    ("path_attribution", "SELECT * FROM path_attribution(attribution_paths(), model => 'all')"),
    (
        "price_elasticity/analysis",
        "SELECT decision, count(*) FROM price_elasticity() GROUP BY decision",
    ),
    ("product_matrix", "SELECT * FROM product_matrix()"),
    ("product_matrix_thresholds", "SELECT * FROM product_matrix_thresholds()"),
    ("rfm_score", "SELECT segment, count(*), sum(monetary) FROM rfm_score() GROUP BY segment"),
    (
        "rfm_score/nested",
        "SELECT segment, count(*), sum(monetary) FROM rfm_score(nested => true) GROUP BY segment",
    ),
    ("rfm_score_checks", "SELECT * FROM rfm_score_checks()"),
    ("rfm_thresholds", "SELECT * FROM rfm_thresholds()"),
    ("rfm_transitions", "SELECT * FROM rfm_transitions(from_date => '2025-06-30')"),
    ("sku_true_cost", "SELECT * FROM sku_true_cost(storage_rate => 0.05)"),
    ("sku_true_cost/month", "SELECT * FROM sku_true_cost(period => 'month')"),
    ("sku_true_cost_checks", "SELECT * FROM sku_true_cost_checks()"),
    ("unit_sales", "SELECT sum(net_sales) FROM unit_sales()"),
    (
        "weighted_attribution",
        "SELECT channel, sum(credit_revenue) FROM weighted_attribution(grain => 'touch') GROUP BY channel",
    ),
    (
        "weighted_attribution/journeys",
        "SELECT channel, sum(credit_revenue) FROM weighted_attribution() GROUP BY channel",
    ),
    (
        "weighted_attribution/markov",
        "SELECT channel, sum(credit_revenue) FROM weighted_attribution(grain => 'touch', model => 'markov') GROUP BY channel",
    ),
];

/// The lattice of 12,960 nodes that ARX is tested with, where the public data is at hand: `{data}`.
const ADULT: &[(&str, &str)] = &[
    (
        "k_anonymise_report/adult",
        "SELECT dm FROM k_anonymise_report('{data}/adult.csv?delimiter=;', k => 5, max_suppressed => 0.02, quasi => [{levels}])",
    ),
    (
        "k_anonymise_report/adult mondrian",
        "SELECT gcp FROM k_anonymise_report('{data}/adult.csv?delimiter=;', k => 5, method => 'mondrian', quasi => [{levels}])",
    ),
];
const ADULT_COLUMNS: [&str; 9] = [
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

/// The statements over public data, none without it.
fn adult() -> Vec<(&'static str, String)> {
    let data = std::env::var_os("COMPTOIR_DATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        std::path::PathBuf::from,
    );
    let data = data.join("adult/arx");
    if !data.is_dir() {
        return vec![];
    }
    let data = data.display().to_string();
    let levels: Vec<String> = ADULT_COLUMNS
        .iter()
        .map(|column| {
            format!(
                "hierarchy(\"{column}\", '{data}/adult_hierarchy_{column}.csv?delimiter=;&header=false')"
            )
        })
        .collect();
    let filled = |sql: &str| sql.replace("{data}", &data).replace("{levels}", &levels.join(", "));
    ADULT.iter().map(|(name, sql)| (*name, filled(sql))).collect()
}

fn main() {
    let measuring = std::env::args().any(|a| a == "--bench");
    let shop = tempfile::tempdir().expect("a folder for the shop");
    let orders = if measuring { 100_000 } else { 500 };
    let options = demo::Options {
        dir: shop.path().to_path_buf(),
        orders,
        seed: 1,
        format: demo::Format::Parquet,
    };
    demo::generate(&options).expect("the shop is written");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config =
        Config { data: vec![shop.path().to_string_lossy().into_owned()], ..Config::default() };
    let engine = runtime.block_on(Engine::open(&config)).expect("the shop is loaded");

    let mut criterion = Criterion::default()
        .sample_size(10)
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for (group, statements) in [("functions", FUNCTIONS), ("analyses", ANALYSES)] {
        for (name, sql) in statements {
            criterion.bench_function(&format!("{group}/{name}"), |bencher| {
                bencher.iter(|| runtime.block_on(engine.query(sql)).expect("the statement runs"));
            });
        }
    }
    for (name, sql) in adult() {
        criterion.bench_function(&format!("functions/{name}"), |bencher| {
            bencher.iter(|| runtime.block_on(engine.query(&sql)).expect("the statement runs"));
        });
    }
    gates(&runtime, &mut criterion, if measuring { 10_000_000 } else { 10_000 });
    criterion.final_summary();
}

/// What the privacy gates cost: an allowed aggregate in a role that sees groups only, and the same with the threshold
/// written out for an engine without a policy. The promise is that the first takes at most 1.3 times the second.
const GATES: &[(&str, &str, &str)] = &[
    (
        "channel",
        "SELECT channel, count(*), sum(total_price) FROM sales GROUP BY channel",
        "SELECT channel, count(*), sum(total_price) FROM sales GROUP BY channel HAVING count(DISTINCT customer_id) >= 10",
    ),
    (
        "day",
        "SELECT CAST(created_timestamp AS DATE), count(*), avg(total_price) FROM sales GROUP BY CAST(created_timestamp AS DATE)",
        "SELECT CAST(created_timestamp AS DATE), count(*), avg(total_price) FROM sales GROUP BY CAST(created_timestamp AS DATE) HAVING count(DISTINCT customer_id) >= 10",
    ),
    (
        "filtered",
        "SELECT channel, sum(total_price) FROM sales WHERE created_timestamp >= '2024-03-01' GROUP BY channel",
        "SELECT channel, sum(total_price) FROM sales WHERE created_timestamp >= '2024-03-01' GROUP BY channel HAVING count(DISTINCT customer_id) >= 10",
    ),
];

const GATES_POLICY: &str = "[tables.sales]\nkey = \"customer_id\"\ncompare = [\"created_timestamp\"]\n\
    columns = { channel = \"plain\", created_timestamp = \"quasi\", total_price = \"sensitive\" }\n\
    [roles.analyst]\nopenness = \"aggregate\"\nk = 10\n";

fn gates(runtime: &tokio::runtime::Runtime, criterion: &mut Criterion, orders: u64) {
    let folder = tempfile::tempdir().expect("a folder for orders");
    let path = folder.path().join("sales.parquet");
    let sql = format!(
        "COPY (SELECT 'C' || (value * 7919 % {customers}) AS customer_id, 'channel ' || (value % 23) AS channel, to_timestamp_micros((1704067200 + value % 31536000) * 1000000) AS created_timestamp, CAST(value % 997 AS DECIMAL(18, 4)) AS total_price FROM generate_series(1, {orders})) TO '{}'",
        path.display(),
        customers = orders / 10,
    );
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, GATES_POLICY).expect("the policy is written");
    let data = vec![path.to_string_lossy().into_owned()];
    let plain = Config { data, ..Config::default() };
    let gated = Config {
        privacy: Some(comptoir::config::Privacy::File(policy)),
        role: Some("analyst".into()),
        ..plain.clone()
    };
    let (plain, gated) = runtime.block_on(async {
        let writer = Engine::open(&Config::default()).await.expect("opens");
        writer.query(&sql).await.expect("the orders are written");
        (Engine::open(&plain).await.expect("opens"), Engine::open(&gated).await.expect("opens"))
    });
    for (name, asked, written_out) in GATES {
        for (way, engine, sql) in [("gated", &gated, asked), ("explicit", &plain, written_out)] {
            criterion.bench_function(&format!("gates/{name}/{way}"), |bencher| {
                bencher.iter(|| runtime.block_on(engine.query(sql)).expect("the statement runs"));
            });
        }
    }
}
