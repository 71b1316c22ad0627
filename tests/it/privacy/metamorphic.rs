// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The same question in other words gets the same verdict, and what is released does not depend on one person.

use comptoir::Engine;
use comptoir::config::{Config, Privacy};
use comptoir::policy::code_of;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::{blocking, said, scratch, shop};

/// A question, and ways to say it.
const WAYS: &[(&str, &[&str])] = &[
    (
        "SELECT city, count(*) AS n FROM customers GROUP BY city ORDER BY city",
        &[
            "WITH c AS (SELECT * FROM customers) SELECT city, count(*) AS n FROM c GROUP BY city ORDER BY city",
            "SELECT city, count(*) AS n FROM (SELECT customer_id, city FROM customers) AS t GROUP BY city ORDER BY city",
            "SELECT city, count(*) AS n FROM (SELECT city FROM (SELECT * FROM customers) AS a) AS b GROUP BY city ORDER BY city",
            "SELECT x.city, count(*) AS n FROM customers AS x GROUP BY x.city ORDER BY x.city",
            "SELECT \"city\", count(*) AS n FROM \"customers\" GROUP BY 1 ORDER BY 1",
            "SELECT /* who */ city, count(1) AS n -- what\nFROM datafusion.public.customers GROUP BY city ORDER BY city",
            "SELECT CAST(city AS VARCHAR) AS city, count(*) AS n FROM customers GROUP BY CAST(city AS VARCHAR) ORDER BY city",
        ],
    ),
    (
        "SELECT email FROM customers",
        &[
            "WITH c AS (SELECT email FROM customers) SELECT * FROM c",
            "SELECT t.e FROM (SELECT email AS e FROM customers) AS t",
            "SELECT \"email\" FROM \"customers\"",
            "SELECT CAST(email AS VARCHAR) FROM customers",
            "SELECT email -- a comment\nFROM public.customers",
            "CREATE VIEW v AS SELECT email FROM customers",
        ],
    ),
];

#[test]
fn the_same_question_in_other_words_gets_the_same_answer() {
    blocking(async {
        let engine = shop().open("analyst").await;
        for (plain, others) in WAYS {
            let expected = engine.query(plain).await;
            for other in *others {
                let found = engine.query(other).await;
                match (&expected, &found) {
                    (Ok(_), Ok(_)) => assert_eq!(said(&found), said(&expected), "{other}"),
                    (Err(e), Err(f)) => assert_eq!(code_of(f), code_of(e), "{other}: {f}"),
                    (_, _) => panic!("{plain}\n{}\n{other}\n{}", said(&expected), said(&found)),
                }
            }
        }
        engine
            .query("CREATE VIEW towns AS SELECT city, count(*) AS n FROM customers GROUP BY city")
            .await
            .expect("is released");
        let seen = engine.query("SELECT * FROM towns ORDER BY city").await;
        assert_eq!(said(&seen), said(&engine.query(WAYS[0].0).await));
    });
}

const K: usize = 4;

/// A random question over the visits, and the same with the threshold written out for who sees everything.
struct Question {
    asked: String,
    truth: String,
    /// Whether more may be left out than the threshold does, so that totals give nothing away.
    may_hide_more: bool,
}

fn question(random: &mut ChaCha8Rng) -> Question {
    let pick = |random: &mut ChaCha8Rng, of: &[&str]| {
        of[random.next_u32() as usize % of.len()].to_string()
    };
    let keys = [
        "a",
        "b",
        "a, b",
        "date_trunc('month', day)",
        "left(b, 1)",
        "CASE WHEN n >= 2 THEN 'x' ELSE 'y' END",
    ];
    let calls = [
        "count(*)",
        "sum(x)",
        "avg(x)",
        "count(DISTINCT person)",
        "sum(n)",
        "stddev(x)",
        "count(b)",
    ];
    let filters = [
        "",
        "WHERE a = 'u'",
        "WHERE n BETWEEN 1 AND 2",
        "WHERE b IN ('p1', 'p2') AND n <> 3",
        "WHERE a IS NULL OR a = 'v'",
    ];
    let after = ["true", "count(*) > 1", "sum(n) <> 7", "1 / (count(*) - 2) >= 0"];
    let (key, call, filter) = (pick(random, &keys), pick(random, &calls), pick(random, &filters));
    let k = if call.starts_with("stddev") { 3 * K } else { K };
    let enough = format!("count(DISTINCT person) >= {k}");
    let (asked, truth, may_hide_more) = match random.next_u32() % 7 {
        0 => {
            let asked = format!("SELECT {call} AS m FROM visits {filter}");
            let truth = format!(
                "SELECT m FROM (SELECT {call} AS m, count(DISTINCT person) AS p FROM visits {filter}) AS t WHERE p >= {k}"
            );
            (asked, truth, false)
        }
        1 => {
            let having = pick(random, &after);
            let groups = format!("FROM (SELECT * FROM visits) AS t {filter} GROUP BY {key}");
            let asked = format!("SELECT {key}, {call} AS m {groups} HAVING {having}");
            let truth = format!(
                "SELECT * FROM (SELECT {key}, {call} AS m, count(*) AS c, sum(n) AS s {groups} HAVING {enough}) AS t WHERE {}",
                having
                    .replace("count(*)", "c")
                    .replace("sum(n)", "s")
                    .replace("1 / (c - 2) >= 0", "true")
            );
            // What was added for the condition is taken off again.
            let listed = if key == "a, b" { 2 } else { 1 };
            (asked, format!("-- {listed}\n{truth}"), false)
        }
        2 => {
            let inner = format!(
                "SELECT person, CASE WHEN count(*) >= 2 THEN 'many' ELSE 'few' END AS g FROM visits {filter} GROUP BY person"
            );
            let asked = format!("SELECT g, count(*) AS m FROM ({inner}) AS t GROUP BY g");
            let truth = format!("{asked} HAVING count(DISTINCT person) >= {K}");
            (asked, truth, false)
        }
        3 => {
            let asked =
                format!("SELECT a, b, {call} AS m FROM visits {filter} GROUP BY ROLLUP (a, b)");
            let truth = format!("{asked} HAVING {enough}");
            (asked, truth, true)
        }
        4 => {
            // Everybody is kept, and some have a partner: what comes from there rests on those.
            let call = pick(random, &["sum(q.x)", "count(q.n)", "count(*)", "avg(q.n)"]);
            let day = pick(random, &["q.b = 'p1'", "q.n = 3", "v.a = 'u'"]);
            let rows = format!(
                "FROM visits AS v LEFT JOIN visits AS q ON v.person = q.person AND {day} GROUP BY v.b"
            );
            let asked = format!("SELECT v.b, {call} AS m {rows}");
            let truth = format!(
                "SELECT v.b, CASE WHEN count(DISTINCT q.person) >= {K} THEN {call} END AS m {rows} HAVING count(DISTINCT v.person) >= {K}"
            );
            (asked, truth, false)
        }
        5 => {
            // Two parts, of which one could hold the persons and the other the amounts.
            let parts = |what: &str| {
                format!(
                    "(SELECT {what}1 AS part, a, x FROM visits WHERE b = 'p1' UNION ALL SELECT {what}2, a, x FROM visits WHERE n < 3) AS t GROUP BY a"
                )
            };
            let asked = format!("SELECT a, sum(x) AS m FROM {}", parts(""));
            let of = |part: u8| {
                format!("count(DISTINCT CASE WHEN part = {part} THEN person END) >= {K}")
            };
            let truth = format!(
                "SELECT a, sum(x) AS m FROM {} HAVING {} AND {}",
                parts("person, "),
                of(1),
                of(2)
            );
            (asked, truth, false)
        }
        _ => {
            let call = call.replace("person", "v.person");
            let asked = format!(
                "SELECT v.a, {call} AS m FROM visits AS v JOIN persons AS p ON v.person = p.person GROUP BY v.a"
            );
            let truth = format!("{asked} HAVING {}", enough.replace("person", "v.person"));
            (asked, truth, false)
        }
    };
    Question { asked, truth, may_hide_more }
}

/// Rows of `visits`, as SQL values.
fn visits(random: &mut ChaCha8Rng, persons: usize) -> Vec<(usize, String)> {
    let mut rows = vec![];
    for person in 0..persons {
        for _ in 0..1 + random.next_u32() % 3 {
            let a = ["'u'", "'v'", "NULL"][random.next_u32() as usize % 3];
            let b = ["'p1'", "'p2'", "'q1'"][random.next_u32() as usize % 3];
            let (n, x) = (random.next_u32() % 4, random.next_u32() % 50);
            let month = 1 + random.next_u32() % 3;
            rows.push((
                person,
                format!(
                    "('P{person}', {a}, {b}, {n}, {x}.5, TIMESTAMP '2025-0{month}-03 10:00:00')"
                ),
            ));
        }
    }
    rows
}

async fn shop_of(rows: &[(usize, String)], folder: &std::path::Path) -> (Engine, Engine) {
    let data = folder.join("data");
    std::fs::remove_dir_all(&data).ok();
    std::fs::create_dir(&data).expect("a folder");
    let values: Vec<&str> = rows.iter().map(|(_, row)| row.as_str()).collect();
    let mut persons: Vec<String> = rows.iter().map(|(p, _)| format!("('P{p}')")).collect();
    persons.sort();
    persons.dedup();
    let writer = Engine::open(&Config::default()).await.expect("opens");
    let sql = format!(
        "COPY (SELECT * FROM (VALUES {}) AS t(person, a, b, n, x, day)) TO '{dir}/visits.parquet'; COPY (SELECT * FROM (VALUES {}) AS t(person)) TO '{dir}/persons.parquet'",
        values.join(", "),
        persons.join(", "),
        dir = data.display()
    );
    writer.query(&sql).await.expect("writes");
    let policy = format!(
        "[tables.persons]\nkey = \"person\"\n[tables.visits]\nkey = \"person\"\ncompare = [\"a\", \"b\", \"n\"]\n\
         columns = {{ a = \"quasi\", b = \"quasi\", n = \"quasi\", x = \"sensitive\", day = \"quasi\" }}\n\
         [roles.owner]\nopenness = \"owner\"\n[roles.analyst]\nopenness = \"aggregate\"\nk = {K}\n"
    );
    std::fs::write(folder.join("policy.toml"), policy).expect("is written");
    let open = |role: &str| Config {
        data: vec![data.display().to_string()],
        privacy: Some(Privacy::File(folder.join("policy.toml"))),
        role: Some(role.into()),
        threads: Some(1),
        ..Config::default()
    };
    let (owner, analyst) = (open("owner"), open("analyst"));
    (Engine::open(&owner).await.expect("opens"), Engine::open(&analyst).await.expect("opens"))
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .filter(|l| l.starts_with('|'))
        .skip(1)
        .map(|l| l.split('|').map(str::trim).collect::<Vec<_>>().join("|"))
        .collect();
    lines.sort();
    lines
}

/// The rows of the truth, without the two columns that a condition needed.
async fn truth(owner: &Engine, question: &Question) -> Vec<String> {
    let all = owner.query(&question.truth).await;
    assert!(all.is_ok(), "{}\n{}", question.truth, said(&all));
    let mut rows = lines(&said(&all));
    if let Some(listed) = question.truth.strip_prefix("-- ").and_then(|t| t.split('\n').next()) {
        let kept = 2 + listed.parse::<usize>().expect("a number of keys");
        rows = rows
            .iter()
            .map(|r| format!("{}|", r.split('|').take(kept).collect::<Vec<_>>().join("|")))
            .collect();
        rows.sort();
    }
    rows
}

/// What an analyst gets of every question is, by brute force, what rests on k persons: of all, and of all without one. So a
/// person who is in no group of k changes nothing by coming or going.
#[test]
fn what_is_released_rests_on_k_persons_whatever_is_asked() {
    let folder = scratch();
    blocking(async {
        let mut random = ChaCha8Rng::seed_from_u64(20261122);
        let (mut released, mut unchanged) = (0, 0);
        for _ in 0..3 {
            let persons = 9 + random.next_u32() as usize % 6;
            let rows = visits(&mut random, persons);
            let questions: Vec<Question> = (0..20).map(|_| question(&mut random)).collect();
            let mut whole: Vec<(Vec<String>, Vec<String>)> = vec![];
            // Everybody, then everybody but one, for some of them.
            for gone in [None, Some(0), Some(3), Some(persons - 1)] {
                let some: Vec<(usize, String)> =
                    rows.iter().filter(|(p, _)| Some(*p) != gone).cloned().collect();
                let (owner, analyst) = shop_of(&some, folder.path()).await;
                for (i, question) in questions.iter().enumerate() {
                    let shown = analyst.query(&question.asked).await;
                    let expected = truth(&owner, question).await;
                    let Ok(_) = &shown else { panic!("{}\n{}", question.asked, said(&shown)) };
                    let shown = lines(&said(&shown));
                    match question.may_hide_more {
                        true => assert!(
                            shown.iter().all(|r| expected.contains(r)),
                            "{}\n{shown:?}\n{expected:?}",
                            question.asked
                        ),
                        false => assert_eq!(shown, expected, "{}", question.asked),
                    }
                    released += shown.len();
                    match whole.get(i) {
                        None => whole.push((shown, expected)),
                        Some((before, all)) if *all == expected && !question.may_hide_more => {
                            unchanged += 1;
                            assert_eq!(shown, *before, "{}", question.asked);
                        }
                        Some(_) => {}
                    }
                }
            }
            // Fewer than k persons in all: nothing is ever released, whatever they did.
            let few: Vec<(usize, String)> =
                rows.iter().filter(|(p, _)| *p < K - 1).cloned().collect();
            let (_, analyst) = shop_of(&few, folder.path()).await;
            for question in &questions {
                let shown = analyst.query(&question.asked).await;
                assert!(
                    shown.is_ok() && lines(&said(&shown)).is_empty(),
                    "{}\n{}",
                    question.asked,
                    said(&shown)
                );
            }
        }
        assert!(
            released > 100 && unchanged > 5,
            "{released} rows were released, {unchanged} answers stayed"
        );
    });
}
