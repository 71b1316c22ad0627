// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Roles other than the plain analyst's: pseudonyms, purposes and retention; and what the analyses give an analyst.

use comptoir::config::{Config, Privacy};
use comptoir::demo::{self, Format, Options};
use comptoir::policy::code_of;
use comptoir::{Engine, Error};

use super::{blocking, said, scratch, shop};

/// The number in the first column of the first row.
async fn number(engine: &Engine, sql: &str) -> i64 {
    let batches = engine.query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e} {:?}", e.hints));
    let column = arrow::compute::cast(batches[0].column(0), &arrow::datatypes::DataType::Int64);
    let column = column.expect("is a number");
    arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&column).value(0)
}

#[test]
fn a_pseudonymised_role_sees_rows_and_knows_nobody() {
    blocking(async {
        let engine = shop().open("pseudonymised").await;
        let rows = said(&engine.query("SELECT * FROM customers").await);
        assert!(rows.contains("Zzyzxville") && rows.contains("***"), "{rows}");
        for value in ["VICTIM", "quatrefages", "private.example", "Zoe", "broccoli", "699887766"] {
            assert!(!rows.contains(value), "`{value}` in\n{rows}");
        }
        // Pseudonyms join as the identifiers did, through every link.
        let joined = "SELECT count(*) FROM customers AS c JOIN orders AS o USING (customer_id) JOIN order_lines AS l ON o.order_id = l.order_id";
        let owner = shop().open("owner").await;
        assert_eq!(number(&engine, joined).await, number(&owner, joined).await);
        assert_eq!(
            number(&engine, "SELECT count(*) FROM customers WHERE customer_id = 'VICTIM-4242'")
                .await,
            0
        );
        assert_eq!(
            number(&owner, "SELECT count(*) FROM customers WHERE customer_id = 'VICTIM-4242'")
                .await,
            1
        );
        // Neither a plan nor an error gives the key or a value away.
        let plan = said(&engine.query("EXPLAIN SELECT customer_id FROM customers").await);
        assert!(!plan.contains("the key of"), "{plan}");
        let error = said(&engine.query("SELECT CAST(city AS INTEGER) FROM customers").await);
        assert!(error.contains("not shown to this role") && !error.contains("Paris"), "{error}");
        let error = engine.query("SELECT * FROM information_schema.views").await;
        assert!(error.is_err(), "views may hold anything");
    });
}

#[test]
fn an_owner_sees_everything_and_makes_tables_that_stay_closed() {
    blocking(async {
        let engine = shop().open("owner").await;
        assert_eq!(
            number(
                &engine,
                "SELECT count(*) FROM customers WHERE email = 'zoe.quatrefages@private.example'"
            )
            .await,
            1
        );
        engine.query("CREATE TABLE kept AS SELECT * FROM customers").await.expect("creates");
        engine.query("INSERT INTO kept SELECT * FROM customers").await.expect("inserts");
        assert_eq!(number(&engine, "SELECT count(*) FROM kept").await, 122);
        engine.query("CREATE VIEW seen AS SELECT email FROM customers").await.expect("creates");
        assert_eq!(number(&engine, "SELECT count(*) FROM seen").await, 61);
        engine.query("DROP TABLE kept").await.expect("drops");
    });
}

/// What would make a pseudonym a name again, or a table of the policy another.
#[test]
fn a_pseudonymised_role_finds_no_way_behind_the_pseudonyms() {
    let dir = shop().path().join("data").display().to_string();
    blocking(async {
        let engine = shop().open("pseudonymised").await;
        for sql in [
            "EXPLAIN VERBOSE SELECT email, customer_id FROM customers",
            "SET datafusion.explain.show_statistics = true; EXPLAIN SELECT email, customer_id FROM customers",
            "SET datafusion.explain.physical_plan_only = true; EXPLAIN SELECT * FROM customers",
            "SELECT min(customer_id), max(customer_id), min(email), max(email) FROM customers",
            "SELECT * FROM profile(customers)",
            "SELECT arrow_cast(customer_id, 'Int64') FROM customers",
        ] {
            let text = said(&engine.query(sql).await);
            for value in ["VICTIM", "C001", "C060", "private.example", "person1@"] {
                assert!(!text.contains(value), "`{value}` in the answer to {sql}:\n{text}");
            }
        }
        for sql in [
            "EXPLAIN ANALYZE SELECT email FROM customers".to_string(),
            "DROP TABLE products".into(),
            "CREATE OR REPLACE TABLE products AS SELECT email AS sku FROM customers".into(),
            "CREATE OR REPLACE VIEW products AS SELECT email AS sku FROM customers".into(),
            "CREATE TABLE IF NOT EXISTS customers AS SELECT 1 AS x".into(),
            format!("CREATE EXTERNAL TABLE c STORED AS PARQUET LOCATION '{dir}/customers.parquet'"),
            format!("COPY (SELECT 1 AS x) TO '{dir}/not-there/../customers.parquet'"),
            "INSERT INTO customers SELECT * FROM customers".into(),
            "DELETE FROM customers".into(),
        ] {
            let error = engine.query(&sql).await.expect_err(&sql);
            assert!(code_of(&error).is_some() || sql.starts_with("DELETE"), "{sql}: {error}");
        }
        // A prepared statement is looked at when it is executed, and has none within it.
        for sql in [
            "PREPARE a AS PREPARE b AS EXPLAIN VERBOSE SELECT customer_id FROM customers",
            "PREPARE c AS EXECUTE b",
        ] {
            let error = engine.query(sql).await.expect_err(sql);
            assert!(error.message.contains("does something by itself"), "{sql}: {error}");
        }
        // Rows that it has made into a table stay closed to others, and what others may read takes none.
        engine.query("CREATE TABLE mine AS SELECT * FROM customers").await.expect("creates");
        let shared = shop().open("owner").await;
        let as_role = |role: &str| {
            let who = comptoir::policy::Who::local(Some(role.into()));
            shared.session(who).expect("a session")
        };
        let (analyst, scientist) = (as_role("analyst"), as_role("pseudonymised"));
        let kept = "CREATE TABLE towns AS SELECT city, count(*) AS n FROM customers GROUP BY city";
        analyst.query(kept).await.expect("is an answer");
        analyst.query("SELECT * FROM towns").await.expect("is open");
        let rows = "INSERT INTO towns SELECT city, 1 FROM customers";
        let error = scientist.query(rows).await.expect_err("rows are no answer");
        assert_eq!(code_of(&error), Some("PRIV002"), "{error}");
        shared.query(rows).await.expect("an owner may");
        let error = analyst.query("SELECT * FROM towns").await.expect_err("holds rows now");
        assert_eq!(code_of(&error), Some("PRIV002"), "{error}");
    });
}

#[test]
fn a_purpose_is_asked_for_and_consent_is_the_latest_decision() {
    blocking(async {
        let engine = shop().open("marketer").await;
        let error = engine.query("SELECT count(*) FROM customers").await.expect_err("no purpose");
        assert_eq!(code_of(&error), Some("PRIV002"), "{error}");
        let error = engine.query("SET purpose = 'war'").await.expect_err("no such purpose");
        assert!(error.hints.iter().any(|h| h.contains("marketing")), "{error:?}");
        engine.query("SET purpose = 'marketing'").await.expect("is one of its purposes");
        // 40 agreed, 10 of them changed their minds, and 5 renewed for a day only.
        assert_eq!(number(&engine, "SELECT count(*) FROM customers").await, 25);
        // Orders of those who agreed, and of no guest.
        let mine = number(&engine, "SELECT count(*) FROM orders").await;
        let owner = shop().open("owner").await;
        let all = "SELECT count(*) FROM orders WHERE customer_id BETWEEN 'C016' AND 'C040'";
        assert_eq!(mine, number(&owner, all).await);
        engine.query("RESET purpose").await.expect("resets");
        assert!(engine.query("SELECT count(*) FROM customers").await.is_err());
        // The owner may act for a purpose, too.
        owner.query("SET purpose = 'marketing'").await.expect("sets");
        assert_eq!(number(&owner, "SELECT count(*) FROM customers").await, 25);
    });
}

#[test]
fn rows_whose_retention_has_run_out_are_gone_for_everybody() {
    let text = include_str!("policy.toml").replace(
        "bounds.total_price = [0, 5000]",
        "bounds.total_price = [0, 5000]\nretain = { column = \"created_timestamp\", for = \"3 months\" }",
    );
    let folder = scratch();
    std::fs::write(folder.path().join("policy.toml"), text).expect("is written");
    std::fs::write(folder.path().join("key"), "the key of the privacy tests").expect("is written");
    blocking(async {
        for role in ["owner", "analyst", "pseudonymised"] {
            let config = Config {
                privacy: Some(Privacy::File(folder.path().join("policy.toml"))),
                as_of: Some(comptoir::config::parse_moment("2025-09-01").expect("a moment")),
                ..shop().config(role)
            };
            let engine = Engine::open(&config).await.expect("opens");
            let open = shop().open("owner").await;
            let young = "SELECT count(*) FROM orders WHERE created_timestamp >= '2025-06-01'";
            assert_eq!(
                number(&engine, "SELECT count(*) FROM orders").await,
                number(&open, young).await,
                "{role}"
            );
            // The lines of an order live no longer than the order.
            let lines = "SELECT count(*) FROM order_lines";
            let young = "SELECT count(*) FROM order_lines AS l JOIN orders AS o ON l.order_id = o.order_id WHERE o.created_timestamp >= '2025-06-01'";
            assert_eq!(number(&engine, lines).await, number(&open, young).await, "{role}");
        }
    });
}

#[test]
fn groups_can_be_merged_and_sums_that_one_person_dominates_are_hidden() {
    blocking(async {
        let merged = shop().open("merger").await;
        let plain = shop().open("analyst").await;
        let sql = "SELECT postal_code, count(*) AS n FROM customers GROUP BY postal_code";
        let all = number(&plain, "SELECT count(*) FROM customers").await;
        let shown = number(&merged, &format!("SELECT sum(n) FROM ({sql}) AS t")).await;
        let omitted = number(&plain, &format!("SELECT sum(n) FROM ({sql}) AS t")).await;
        assert!(omitted <= shown && shown <= all, "{omitted} {shown} {all}");
        let dominated = shop().open("dominated").await;
        // The victim's orders are far more than all others together.
        let sums = said(&dominated.query("SELECT country_code, sum(total_price) AS s, count(*) AS n FROM customers AS c JOIN orders AS o ON c.customer_id = o.customer_id GROUP BY country_code ORDER BY 1").await);
        let france = sums.lines().find(|l| l.contains("| FR")).expect("is there");
        assert!(france.contains("|   ") && !france.contains("1185"), "{sums}");
        let belgium = sums.lines().find(|l| l.contains("| BE")).expect("is there");
        assert!(
            belgium.split('|').nth(2).is_some_and(|s| s.trim().parse::<f64>().is_ok()),
            "{sums}"
        );
    });
}

#[test]
fn every_statement_is_in_the_log_before_it_runs_and_no_value_is() {
    let text = format!("audit = \"log\"\n{}", include_str!("policy.toml"));
    let folder = scratch();
    std::fs::write(folder.path().join("policy.toml"), text).expect("is written");
    std::fs::write(folder.path().join("key"), "the key of the privacy tests").expect("is written");
    let config = |role: &str| Config {
        privacy: Some(Privacy::File(folder.path().join("policy.toml"))),
        ..shop().config(role)
    };
    blocking(async {
        let analyst = Engine::open(&config("analyst")).await.expect("opens");
        analyst
            .query("SELECT city, count(*) FROM customers WHERE country_code = 'FR' GROUP BY city")
            .await
            .expect("is allowed");
        for sql in [
            "SELECT count(*) FROM customers WHERE email = 'zoe.quatrefages@private.example'",
            "SELECT nothing FROM customers",
        ] {
            analyst.query(sql).await.expect_err(sql);
        }
        let error = analyst.query("SELECT * FROM sys.audit").await.expect_err("is for owners");
        assert!(!error.message.contains("quatrefages"), "{error}");
        let log = std::fs::read_to_string(folder.path().join("log/audit-00000001.jsonl"))
            .expect("is there");
        assert!(!log.contains("quatrefages") && !log.contains("'FR'"), "{log}");
        let owner = Engine::open(&config("owner")).await.expect("opens");
        let sql = "SELECT event, role, verdict, rule, text, columns, rows, chain_holds FROM sys.audit WHERE role = 'analyst' OR event = 'end' ORDER BY time LIMIT 4";
        let seen = said(&owner.query(sql).await);
        for word in [
            "allowed",
            "refused",
            "PRIV002",
            "customers.city (quasi)",
            "WHERE country_code = ?",
            "| true",
        ] {
            assert!(seen.contains(word), "`{word}` is not in\n{seen}");
        }
        assert!(!seen.contains("false"), "{seen}");
        // Where an owner has a session too, the log is there: to nobody else, by no other name.
        let who = comptoir::policy::Who::local(Some("analyst".into()));
        let beside = owner.session(who).expect("a session");
        for sql in [
            "SELECT * FROM sys.audit",
            "CREATE TABLE IF NOT EXISTS sys.audit AS SELECT 1 AS x; SELECT * FROM sys.audit",
            "CREATE OR REPLACE VIEW sys.audit AS SELECT 1 AS x",
            "DROP TABLE sys.audit",
        ] {
            let error = beside.query(sql).await.expect_err(sql);
            assert_eq!(code_of(&error), Some("PRIV002"), "{sql}: {error}");
        }
        // Rows that a client brings along are written down, too.
        let into = comptoir::Ingest {
            catalog: None,
            schema: None,
            table: "brought".into(),
            create: true,
            if_exists: comptoir::IfExists::Fail,
        };
        let batches = owner.query("SELECT 1 AS x").await.expect("a row");
        let count = beside.ingest(&into, batches[0].schema(), batches.clone()).await;
        assert_eq!(count.expect("is taken"), 1);
        assert_eq!(number(&beside, "SELECT x FROM brought").await, 1);
        let into = comptoir::Ingest { table: "orders".into(), create: false, ..into };
        let into = comptoir::Ingest { if_exists: comptoir::IfExists::Append, ..into };
        beside
            .ingest(&into, batches[0].schema(), batches)
            .await
            .expect_err("belongs to the policy");
        let ingests = "SELECT string_agg(verdict || coalesce(rule, ''), ',' ORDER BY time) FROM sys.audit WHERE text LIKE 'INGEST INTO %'";
        let seen = said(&owner.query(ingests).await);
        assert!(seen.contains("allowed,") && !seen.contains("allowed,allowed"), "{seen}");
        // A log that cannot be written stops everything, and nothing is read.
        let log = folder.path().join("log");
        std::fs::remove_dir_all(&log).expect("removes");
        std::fs::write(&log, "a file where the folder was").expect("writes");
        let error =
            owner.query("SELECT count(*) FROM customers").await.expect_err("no log, no answer");
        assert_eq!(error.kind, comptoir::error::Kind::Resource, "{error}");
    });
}

/// The demo shop under a policy of its own.
async fn demo_shop(folder: &std::path::Path) -> (Engine, Engine) {
    let data = folder.join("shop");
    let options = Options { dir: data.clone(), orders: 1_200, seed: 1, format: Format::Parquet };
    demo::generate(&options).expect("writes the demo shop");
    std::fs::remove_dir_all(data.join("truth")).ok();
    std::fs::write(folder.join("policy.toml"), include_str!("demo.toml")).expect("is written");
    let config = |role: &str| Config {
        data: vec![data.display().to_string()],
        privacy: Some(Privacy::File(folder.join("policy.toml"))),
        role: Some(role.into()),
        threads: Some(2),
        ..Config::default()
    };
    let open = |role: &str| {
        let config = config(role);
        async move { Engine::open(&config).await.expect("opens") }
    };
    (open("owner").await, open("analyst").await)
}

/// What an analyst asks of the analyses, and how the answer compares with the owner's.
const ANALYSES: &[(&str, Compared)] = &[
    (
        "SELECT segment, count(*) AS n, avg(monetary) AS m, avg(recency_days) AS r FROM rfm_score() GROUP BY segment ORDER BY segment",
        Compared::Part,
    ),
    (
        "SELECT segment_label, r_score, count(*) AS n FROM rfm_score() WHERE is_scored AND r_score >= 3 GROUP BY segment_label, r_score ORDER BY 1, 2",
        Compared::Part,
    ),
    ("SELECT * FROM rfm_thresholds() ORDER BY measure, score", Compared::Not),
    (
        "SELECT * FROM rfm_transitions(from_date => '2025-06-30', to_date => '2025-12-31') ORDER BY customers DESC, from_segment, to_segment LIMIT 5",
        Compared::Not,
    ),
    ("SELECT * FROM attribution_report() ORDER BY channel", Compared::Part),
    (
        "SELECT * FROM attribution_paths() ORDER BY total_conversions DESC, path LIMIT 3",
        Compared::Not,
    ),
    ("SELECT * FROM channel_profit() ORDER BY channel", Compared::Not),
    (
        "SELECT channel, sum(credit_revenue) AS r FROM weighted_attribution() GROUP BY channel ORDER BY channel",
        Compared::Not,
    ),
    (
        "SELECT sku, units_sold, net_revenue, margin_rate FROM sku_true_cost() ORDER BY sku",
        Compared::Part,
    ),
    (
        "SELECT quadrant, count(*) AS products FROM product_matrix() GROUP BY quadrant ORDER BY quadrant",
        Compared::Not,
    ),
    ("SELECT sku, elasticity, n_obs FROM price_elasticity() ORDER BY sku", Compared::Not),
    (
        "SELECT date_trunc('month', created_timestamp) AS m, count(*) AS orders, sum(net_sales) AS s FROM net_sales() GROUP BY 1 ORDER BY 1",
        Compared::Part,
    ),
    (
        "SELECT sku, sum(quantity) AS q, sum(net_sales) AS s FROM unit_sales() GROUP BY sku ORDER BY sku",
        Compared::Part,
    ),
    (
        "SELECT total > 0 AS is_some FROM pareto_summary(unit_sales_of_skus, id => sku, value => s)",
        Compared::Not,
    ),
    (
        "SELECT classes, k_real, k_unit_real, suppressed_units, max_risk, levels FROM k_anonymise_report(customers, k => 20, quasi => [country_code, city])",
        Compared::Part,
    ),
    (
        "SELECT * FROM k_anonymity(customers, quasi => [country_code], unit => customer_id)",
        Compared::Part,
    ),
    ("SELECT * FROM reid_risk(customers, quasi => [country_code, city])", Compared::Part),
];

#[derive(Clone, Copy, PartialEq)]
enum Compared {
    /// Small groups are left out, and the others are as the owner sees them.
    Part,
    /// Its owner's answer would take the test long.
    Not,
}

#[test]
fn every_analysis_is_useful_to_an_analyst() {
    let folder = scratch();
    blocking(async {
        let (owner, analyst) = demo_shop(folder.path()).await;
        let kept = "CREATE TABLE unit_sales_of_skus AS SELECT sku, sum(net_sales) AS s FROM unit_sales() GROUP BY sku";
        analyst.query(kept).await.expect("an answer is kept");
        let mut wrong = vec![];
        for (sql, compared) in ANALYSES {
            let found = analyst.query(sql).await;
            let rows = found.as_ref().map_or(0, |b| b.iter().map(|b| b.num_rows()).sum::<usize>());
            let text = said(&found);
            let expected = match compared {
                Compared::Part => said(&owner.query(sql).await),
                Compared::Not => text.clone(),
            };
            let data = |text: &str| -> Vec<String> {
                let lines = text.lines().filter(|l| l.starts_with('|')).skip(1);
                lines.map(|l| l.split('|').map(str::trim).collect::<Vec<_>>().join("|")).collect()
            };
            let expected_rows = data(&expected);
            if rows == 0 || !data(&text).iter().all(|row| expected_rows.contains(row)) {
                wrong.push(format!("{sql}\nowner\n{expected}\nanalyst\n{text}"));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ANALYSES.len(), wrong.join("\n"));
        for sql in
            ["SELECT * FROM rfm_score()", "SELECT * FROM net_sales()", "SELECT * FROM unit_sales()"]
        {
            let error: Error = analyst.query(sql).await.expect_err(sql);
            assert_eq!(code_of(&error), Some("PRIV001"), "{sql}: {error}");
            assert!(error.hints.iter().any(|h| h.contains("GROUP BY")), "{sql}: {:?}", error.hints);
        }
        // Rows are an owner's to publish.
        let rows = "SELECT * FROM k_anonymise(customers, k => 20, quasi => [country_code, city])";
        let error: Error = analyst.query(rows).await.expect_err("gives rows");
        assert!(error.hints.iter().any(|h| h.contains("k_anonymise_report")), "{error}");
        owner.query(rows).await.expect("is allowed");
    });
}
