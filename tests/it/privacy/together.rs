// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Sessions of several roles over the same tables, as a server has them.

use std::collections::BTreeMap;

use comptoir::config::{Config, Privacy};
use comptoir::policy::{Who, code_of};
use comptoir::{Engine, Error};

use super::{blocking, said, scratch, shop};

fn session(engine: &Engine, role: &str) -> Engine {
    engine.session(Who::local(Some(role.into()))).expect("a session")
}

async fn refused(engine: &Engine, sql: &str) {
    let error: Error = engine.query(sql).await.expect_err(sql);
    assert_eq!(code_of(&error), Some("PRIV002"), "{sql}: {error}");
}

#[test]
fn an_open_schema_is_open_for_what_was_loaded_and_for_what_an_owner_makes() {
    let folder = scratch();
    let at = |name: &str| folder.path().join(name);
    let text = format!("open_schemas = [\"scratch\"]\n{}", include_str!("policy.toml"));
    std::fs::write(at("policy.toml"), text).expect("is written");
    std::fs::write(at("key"), "the key of the privacy tests").expect("is written");
    std::fs::create_dir_all(at("more/scratch")).expect("is made");
    std::fs::write(at("more/scratch/towns.csv"), "town,size\nParis,1\n").expect("is written");
    let other = "day,free,why\n2025-01-01,true,new\n";
    std::fs::write(at("more/scratch/days.csv"), other).expect("is written");
    let mut config = shop().config("owner");
    config.data.push(at("more").display().to_string());
    config.privacy = Some(Privacy::File(at("policy.toml")));
    blocking(async {
        let owner = Engine::open(&config).await.expect("opens");
        let (analyst, scientist) = (session(&owner, "analyst"), session(&owner, "pseudonymised"));
        analyst.query("SELECT town FROM scratch.towns").await.expect("is open");
        scientist
            .query("CREATE TABLE scratch.leak AS SELECT * FROM customers")
            .await
            .expect("makes it");
        let leak = "SELECT city, customer_id, created_timestamp FROM scratch.leak WHERE city = 'Zzyzxville'";
        refused(&analyst, leak).await;
        refused(&scientist, "INSERT INTO scratch.towns SELECT city, 1 FROM customers").await;
        owner.query("CREATE TABLE scratch.shared AS SELECT 1 AS x").await.expect("makes it");
        analyst.query("SELECT x FROM scratch.shared").await.expect("an owner has opened it");
        refused(&scientist, "INSERT INTO scratch.shared SELECT count(*) FROM customers").await;
    });
}

#[test]
fn a_session_changes_nothing_that_another_reads() {
    let mut config: Config = shop().config("owner");
    let best = "SELECT city, count(*) AS n FROM customers GROUP BY city";
    config.views = BTreeMap::from([("best".to_string(), best.to_string())]);
    blocking(async {
        let owner = Engine::open(&config).await.expect("opens");
        let (analyst, scientist) = (session(&owner, "analyst"), session(&owner, "pseudonymised"));
        for engine in [&analyst, &scientist] {
            refused(engine, "CREATE OR REPLACE VIEW best AS SELECT 'x' AS city, 1 AS n").await;
            refused(engine, "CREATE OR REPLACE TABLE public.best AS SELECT 'x' AS city, 1 AS n")
                .await;
            refused(engine, "DROP VIEW best").await;
        }
        analyst.query("SELECT * FROM best").await.expect("is published");
        let towns = "CREATE TABLE towns AS SELECT city, count(*) AS n FROM customers GROUP BY city";
        analyst.query(towns).await.expect("is an answer");
        scientist.query("CREATE TABLE mine AS SELECT 1 AS x").await.expect("makes it");
        analyst.query("SELECT count(*) FROM towns").await.expect("is an answer still");
        analyst.query("DROP TABLE towns").await.expect("is its own");
    });
}

#[test]
fn a_view_of_the_configuration_is_read_by_analyses_and_one_of_the_analyst_is_not() {
    let mut config: Config = shop().config("analyst");
    let sql = "SELECT sku, net_units, net_revenue FROM sku_true_cost() ORDER BY sku";
    let returns = "SELECT 'none' AS order_line_id, CAST(0 AS DECIMAL(18, 4)) AS subtotal, 0 AS refunded_quantity";
    blocking(async {
        let plain = Engine::open(&config).await.expect("opens");
        let without = said(&plain.query(sql).await);
        config.views = BTreeMap::from([("returns".to_string(), returns.to_string())]);
        let published = Engine::open(&config).await.expect("opens");
        assert_eq!(said(&published.query(sql).await), without);
        assert!(without.contains("SKU"), "{without}");
        plain.query(&format!("CREATE VIEW returns AS {returns}")).await.expect("is made");
        refused(&plain, sql).await;
        // For everything else it is a relation like others.
        plain.query("SELECT * FROM returns").await.expect("is read");
    });
}
