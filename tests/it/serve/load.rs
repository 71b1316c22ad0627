// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Many clients at once: short questions, long ones, and clients that leave. For 20 seconds, or as long as
//! `COMPTOIR_LOAD_SECONDS` says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::Float64Type;
use futures::StreamExt;

use super::*;

const CLIENTS: u64 = 64;

/// What is asked, and what is right.
const SHORT: [(&str, i64); 4] = [
    ("SELECT 1", 1),
    ("SELECT count(*) FROM orders", 500),
    ("SELECT sum(value) FROM generate_series(1, 1000)", 500_500),
    ("SELECT count(*) FROM (SELECT DISTINCT order_id FROM orders)", 500),
];
const SORT: &str = "SELECT sum(n) FROM (SELECT k, count(*) AS n FROM (SELECT repeat(CAST(value * 7919 % 1000003 AS VARCHAR), 3) AS k FROM generate_series(1, 20000) ORDER BY k) GROUP BY k)";

#[test]
fn many_clients_get_right_answers_and_leave_nothing_behind() {
    let seconds =
        std::env::var("COMPTOIR_LOAD_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let config = "data = [\"shop\"]\nmemory_limit = \"300MB\"\n[serve]\nqueries = 4\nqueue = 256\nquery_timeout = \"60s\"\nsessions = 400\n";
    let server = Arc::new(Serving::start(config, &[]));
    let (right, left, away) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    block_on(async {
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut all = tokio::task::JoinSet::new();
        for id in 0..CLIENTS {
            let (server, right, left, away) =
                (Arc::clone(&server), Arc::clone(&right), Arc::clone(&left), Arc::clone(&away));
            all.spawn(async move {
                let mut client = server.client().await;
                let mut latencies = vec![];
                for turn in id.. {
                    if Instant::now() > until {
                        break;
                    }
                    let asked = Instant::now();
                    match turn % 16 {
                        // One comes, asks for much, and leaves.
                        7 => {
                            let mut leaver = server.client().await;
                            if let Ok(info) = leaver.execute(LONG.into(), None).await
                                && let Ok(mut rows) = leaver
                                    .do_get(info.endpoint[0].ticket.clone().expect("a ticket"))
                                    .await
                            {
                                let _ =
                                    tokio::time::timeout(Duration::from_millis(100), rows.next())
                                        .await;
                            }
                            left.fetch_add(1, Ordering::Relaxed);
                        }
                        11 => match number(&mut client, SORT).await {
                            Ok(n) => assert_eq!(n, 20_000),
                            Err(error) => {
                                assert!(error.contains("try again"), "{error}");
                                away.fetch_add(1, Ordering::Relaxed);
                            }
                        },
                        other => {
                            let (sql, answer) = SHORT[other as usize % SHORT.len()];
                            match number(&mut client, sql).await {
                                Ok(n) => {
                                    assert_eq!(n, answer, "{sql}");
                                    right.fetch_add(1, Ordering::Relaxed);
                                    latencies.push(asked.elapsed());
                                }
                                Err(error) => {
                                    assert!(error.contains("try again"), "{sql}: {error}");
                                    away.fetch_add(1, Ordering::Relaxed);
                                }
                            }
                        }
                    }
                }
                latencies
            });
        }
        let mut each = vec![];
        while let Some(done) = all.join_next().await {
            each.push(done.expect("no wrong answer"));
        }
        // Everybody was served.
        assert!(each.iter().all(|latencies| !latencies.is_empty()), "somebody waited for ever");
        let middle = |mut all: Vec<Duration>, part: usize| {
            all.sort();
            all[(all.len() - 1) * part / 100]
        };
        let medians: Vec<Duration> = each.iter().map(|l| middle(l.clone(), 50)).collect();
        let every: Vec<Duration> = each.into_iter().flatten().collect();
        {
            eprintln!(
                "{CLIENTS} clients, {seconds} s: {} answers, {} left, {} sent away; latency median {:?}, p99 {:?}; the clients' medians {:?} to {:?}",
                right.load(Ordering::Relaxed),
                left.load(Ordering::Relaxed),
                away.load(Ordering::Relaxed),
                middle(every.clone(), 50),
                middle(every, 99),
                middle(medians.clone(), 0),
                middle(medians, 100),
            );
        }
        // Those who left are forgotten, and so is what they held.
        let since = Instant::now();
        while server.metric("comptoir_queries_running")
            + server.metric("comptoir_queries_waiting")
            + server.metric("comptoir_memory_reserved_bytes")
            > 0.0
        {
            assert!(since.elapsed() < Duration::from_secs(60), "something was left behind");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(right.load(Ordering::Relaxed) > 0 && left.load(Ordering::Relaxed) > 0);
        let mut client = server.client().await;
        assert_eq!(
            number(&mut client, "SELECT count(*) FROM sys.queries WHERE memory > 0").await,
            Ok(0)
        );
        let times =
            query(&mut client, "SELECT seconds_to_start FROM sys.queries").await.expect("times");
        assert!(longest(&times, 0) < 60.0, "somebody waited too long for a seat");
    });
    assert!(server.metric("comptoir_sessions_open") <= 400.0);
}

/// The biggest number of a column of seconds.
fn longest(batches: &[RecordBatch], column: usize) -> f64 {
    batches
        .iter()
        .flat_map(|b| b.column(column).as_primitive::<Float64Type>().iter().flatten())
        .fold(0.0, f64::max)
}
