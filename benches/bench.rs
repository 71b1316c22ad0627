// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! One line a function or analysis: what is measured is a statement over a hundred thousand orders of a demo shop.
//! `cargo bench` measures, `cargo test --benches` only runs each once, over a small shop.

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
        "order_summary",
        "SELECT count(s['orders']) FROM (SELECT customer_id, order_summary(order_id, created_timestamp, subtotal_price) AS s FROM orders GROUP BY customer_id)",
    ),
    ("profile", "SELECT * FROM profile(orders)"),
    (
        "raise",
        "SELECT sum(CASE WHEN currency = 'EUR' THEN subtotal_price ELSE raise('no euros') END) FROM orders",
    ),
    ("score", "SELECT sum(score(subtotal_price, [20, 40, 80, 160])) FROM orders"),
    ("score_bounds", "SELECT score_bounds(subtotal_price, 5) FROM orders"),
];

const ANALYSES: &[(&str, &str)] = &[
    ("net_sales", "SELECT sum(net_sales) FROM net_sales()"),
    ("pareto", "SELECT * FROM pareto(net_sales(), id => customer_id, value => net_sales)"),
    (
        "pareto_summary",
        "SELECT * FROM pareto_summary(net_sales(), id => customer_id, value => net_sales)",
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
];

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
    criterion.final_summary();
}
