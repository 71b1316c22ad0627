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
    ("rfm_score", "SELECT segment, count(*), sum(monetary) FROM rfm_score() GROUP BY segment"),
    (
        "rfm_score/nested",
        "SELECT segment, count(*), sum(monetary) FROM rfm_score(nested => true) GROUP BY segment",
    ),
    ("rfm_score_checks", "SELECT * FROM rfm_score_checks()"),
    ("rfm_thresholds", "SELECT * FROM rfm_thresholds()"),
    ("rfm_transitions", "SELECT * FROM rfm_transitions(from_date => '2025-06-30')"),
    ("check_accepted", "SELECT * FROM check_accepted(orders, financial_status, ['paid'])"),
    (
        "check_foreign_key",
        "SELECT * FROM check_foreign_key(order_lines, order_id, orders, order_id)",
    ),
    ("check_fresh", "SELECT * FROM check_fresh(orders, created_timestamp)"),
    ("check_not_null", "SELECT * FROM check_not_null(orders, customer_id)"),
    ("check_row_count", "SELECT * FROM check_row_count(orders, minimum => 1)"),
    ("check_unique", "SELECT * FROM check_unique(orders, order_id)"),
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
