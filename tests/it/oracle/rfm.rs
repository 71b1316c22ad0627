// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! rfm_score on CDNOW and Online Retail, against pandas.

use std::fs;
use std::path::Path;

use super::{comptoir, data, oracle};

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

fn cdnow_data(data: &Path) -> String {
    let file = data.join("cdnow/CDNOW_master.txt");
    format!("{}?format=csv&delimiter=whitespace", file.display())
}
