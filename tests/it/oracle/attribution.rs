// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! weighted_attribution against ChannelAttribution, and against its definition touch by touch.

use comptoir::demo::{self, Options};

use super::{comptoir, data, oracle};

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
