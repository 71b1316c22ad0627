// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! sku_true_cost against a reference that goes row by row.

use std::fs;
use std::path::{Path, PathBuf};

use comptoir::demo::{self, Options};

use super::{comptoir, oracle};

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
