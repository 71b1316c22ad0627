// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! price_elasticity against statsmodels and pyfixest, and against what the demo shop was made with.

use std::fs;

use comptoir::demo::{self, Options};

use super::{comptoir, data, oracle};

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
