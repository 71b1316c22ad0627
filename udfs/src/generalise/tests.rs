// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The search against one that tries everything on the rows themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, ListArray, StringArray, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::Accumulator;

use super::lattice::{Cost, Found, allowed};
use super::options::{Distance, Diversity, Method, Metric, Options, Spec};
use super::problem::Problem;
use super::solution::{SUPPRESSED, Solution, members, solve};
use super::{GeneraliseAccumulator, lattice, result_fields};
use crate::testing::Random;

/// A row: two quasi-identifiers, a sensitive value and who it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    age: Option<i64>,
    city: &'static str,
    ill: &'static str,
    person: u64,
}

const CITIES: [&str; 4] = ["Lille", "Lyon", "Nice", "Paris"];
const ILLS: [&str; 3] = ["cold", "flu", "gout"];

fn rows(random: &mut Random, repeated: bool) -> Vec<Row> {
    let count = 4 + random.below(14);
    let people = if repeated { 2 + random.below(8) } else { count };
    (0..count)
        .map(|index| Row {
            age: (!random.one_in(9)).then(|| 20 + random.below(12) as i64),
            city: CITIES[random.below(4) as usize],
            ill: ILLS[random.below(3) as usize],
            person: if repeated { random.below(people) } else { index },
        })
        .collect()
}

/// The labels of a row by level: what the specification says, written anew.
fn label(row: &Row, column: usize, level: usize) -> String {
    match (column, level) {
        (0, 0) => row.age.map_or("NULL".into(), |age| age.to_string()),
        (0, 1 | 2) => {
            let width = if level == 1 { 3 } else { 6 };
            row.age.map_or("*".into(), |age| format!("{}", age / width * width))
        }
        (1, 0) => row.city.to_string(),
        (1, 1) => row.city[..1].to_string(),
        _ => "*".to_string(),
    }
}

fn options(random: &mut Random) -> Options {
    let spec = |name: &str, words: &[&str]| Spec {
        name: name.into(),
        generaliser: words[0].into(),
        steps: words[1..].iter().map(|word| (*word).into()).collect(),
    };
    let l_kind = [Diversity::Distinct, Diversity::Entropy, Diversity::Recursive];
    let judged = random.below(4);
    Options {
        k: 1 + random.below(4),
        l: (judged & 1 == 1).then_some(2.0),
        l_kind: l_kind[random.below(3) as usize],
        c: 1.5,
        t: (judged & 2 == 2).then(|| random.below(6) as f64 / 10.0),
        t_distance: if random.one_in(2) { Distance::Equal } else { Distance::Ordered },
        max_suppressed: random.below(4) as f64 * 0.1,
        metric: Metric::WORDS[random.below(6) as usize].1,
        star: random.one_in(3),
        method: Method::Optimal,
        quasi: vec![spec("age", &["width", "3", "6"]), spec("city", &["prefix", "1"])],
        sensitive: vec![spec("ill", &["plain"])],
        ..Options::default()
    }
}

/// The arguments of the kernel after the options: one row a combination, as a plan counts them.
fn arguments(rows: &[Row]) -> Vec<ArrayRef> {
    type Key<'a> = (Option<i64>, &'a str, &'a str);
    let key = |row: &Row| (row.age, row.city, row.ill);
    let mut spread: BTreeMap<u64, BTreeSet<Key>> = BTreeMap::new();
    for row in rows {
        spread.entry(row.person).or_default().insert(key(row));
    }
    let mut found: Vec<(Key, i64, BTreeSet<u64>)> = vec![];
    for row in rows {
        let place = found.iter().position(|(known, ..)| *known == key(row)).unwrap_or_else(|| {
            found.push((key(row), 0, BTreeSet::new()));
            found.len() - 1
        });
        found[place].1 += 1;
        found[place].2.insert(row.person);
    }
    let is_single = |person: &&u64| spread[*person].len() == 1;
    let units = found.iter().map(|(_, _, people)| people.iter().filter(is_single).count() as i64);
    let listed: Vec<Vec<u64>> = found
        .iter()
        .map(|(_, _, people)| people.iter().filter(|p| !is_single(p)).copied().collect())
        .collect();
    let persons = ListArray::new(
        Arc::new(Field::new_list_field(DataType::UInt64, true)),
        OffsetBuffer::from_lengths(listed.iter().map(Vec::len)),
        Arc::new(UInt64Array::from(listed.concat())),
        Some(NullBuffer::from(listed.iter().map(|l| !l.is_empty()).collect::<Vec<_>>())),
    );
    vec![
        Arc::new(found.iter().map(|(_, rows, _)| Some(*rows)).collect::<Int64Array>()),
        Arc::new(units.map(Some).collect::<Int64Array>()),
        Arc::new(persons),
        Arc::new(found.iter().map(|(key, ..)| key.0).collect::<Int64Array>()),
        Arc::new(found.iter().map(|(key, ..)| Some(key.1)).collect::<StringArray>()),
        Arc::new(found.iter().map(|(key, ..)| Some(key.2)).collect::<StringArray>()),
    ]
}

/// Whether rows may be published as one class, from the definitions.
fn accepts(options: &Options, class: &[&Row], all: &[Row]) -> bool {
    let people: BTreeSet<u64> = class.iter().map(|row| row.person).collect();
    if (people.len() as u64) < options.k {
        return false;
    }
    let share = |rows: &[&Row]| -> Vec<f64> {
        let pairs: BTreeSet<(&str, u64)> = rows.iter().map(|row| (row.ill, row.person)).collect();
        let count = |ill: &&str| pairs.iter().filter(|(own, _)| own == ill).count() as f64;
        ILLS.iter().map(|ill| count(ill) / pairs.len() as f64).collect()
    };
    let (own, whole) = (share(class), share(&all.iter().collect::<Vec<_>>()));
    let mut sorted = own.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let diverse = options.l.is_none_or(|l| match options.l_kind {
        Diversity::Distinct => own.iter().filter(|s| **s > 0.0).count() as f64 >= l,
        Diversity::Entropy => {
            let entropy: f64 = own.iter().filter(|s| **s > 0.0).map(|s| -s * s.ln()).sum();
            entropy.exp() >= l - 1e-9
        }
        Diversity::Recursive => sorted[0] < options.c * sorted[1..].iter().sum::<f64>() - 1e-9,
    });
    let close = options.t.is_none_or(|t| {
        let distance = match options.t_distance {
            Distance::Ordered => {
                let present: Vec<usize> = (0..3).filter(|i| whole[*i] > 0.0).collect();
                let moved = |last: &usize| -> f64 {
                    present.iter().filter(|i| *i <= last).map(|i| own[*i] - whole[*i]).sum()
                };
                let steps = (present.len() - 1).max(1) as f64;
                present.iter().map(|i| moved(i).abs()).sum::<f64>() / steps
            }
            _ => own.iter().zip(&whole).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0,
        };
        distance <= t + 1e-9
    });
    diverse && close
}

/// The cheapest node of all, each looked at row by row.
fn brute_force(options: &Options, rows: &[Row]) -> Option<(Vec<f64>, Vec<usize>)> {
    let mut best: Option<(Vec<f64>, Vec<usize>)> = None;
    let values = |column: usize| -> BTreeSet<String> {
        let known = rows.iter().filter(|row| column == 1 || row.age.is_some());
        known.map(|row| label(row, column, 0)).collect()
    };
    let ages: Vec<i64> = rows.iter().filter_map(|row| row.age).collect();
    let range = match (ages.iter().max(), ages.iter().min()) {
        (Some(high), Some(low)) => (high - low) as f64,
        _ => 0.0,
    };
    let loss = |row: &Row, column: usize, level: usize| -> f64 {
        let all: BTreeSet<String> = rows.iter().map(|row| label(row, column, 0)).collect();
        match (column, level) {
            (_, 0) => 0.0,
            (0, 3) | (1, 2) => f64::from(u8::from(all.len() > 1)),
            (0, _) if row.age.is_none() => 1.0,
            (0, level) => {
                if range > 0.0 {
                    (3.0 * level as f64 / range).min(1.0)
                } else {
                    0.0
                }
            }
            _ => {
                let same = values(1).iter().filter(|v| v[..1] == row.city[..1]).count();
                let all = values(1).len();
                match (options.metric, same) {
                    (_, 1) => 0.0,
                    (Metric::Gcp, _) => same as f64 / all as f64,
                    _ => (same - 1) as f64 / (all - 1) as f64,
                }
            }
        }
    };
    for age in 0..4 {
        for city in 0..3 {
            let levels = vec![age, city];
            let mut classes: BTreeMap<Vec<String>, Vec<&Row>> = BTreeMap::new();
            for row in rows {
                let labels = (0..2).map(|column| label(row, column, levels[column])).collect();
                classes.entry(labels).or_default().push(row);
            }
            let (kept, out): (Vec<_>, Vec<_>) =
                classes.into_values().partition(|class| accepts(options, class, rows));
            let stars: Vec<&Row> = out.concat();
            let too_many =
                stars.len() > (options.max_suppressed * rows.len() as f64 + 1e-9) as usize;
            let unsafe_stars = options.star && !stars.is_empty() && !accepts(options, &stars, rows);
            if kept.is_empty() || too_many || unsafe_stars {
                continue;
            }
            let lost = |column: usize| -> f64 {
                let kept = kept.iter().flatten();
                let lost: f64 = kept.map(|row| loss(row, column, levels[column])).sum();
                (lost + stars.len() as f64) / rows.len() as f64
            };
            let cost = match options.metric {
                Metric::Discernibility => {
                    let squares: usize = kept.iter().map(|class| class.len().pow(2)).sum();
                    vec![(squares + stars.len() * rows.len()) as f64]
                }
                Metric::Gcp | Metric::Loss => vec![(lost(0) + lost(1)) * rows.len() as f64],
                Metric::LossGeometric => {
                    vec![((1.0 + lost(0)) * (1.0 + lost(1))).sqrt() - 1.0]
                }
                Metric::LossRank => vec![lost(0).max(lost(1)), lost(0).min(lost(1))],
                Metric::Entropy => {
                    let of = |column: usize| -> f64 {
                        let same = |row: &Row, level: usize| {
                            let own = label(row, column, level);
                            rows.iter().filter(|r| label(r, column, level) == own).count() as f64
                        };
                        let bits = |row: &Row| (same(row, levels[column]) / same(row, 0)).log2();
                        rows.iter().map(bits).sum()
                    };
                    vec![of(0) + of(1)]
                }
            };
            let is_less = |known: &[f64]| {
                let first = cost.iter().zip(known).find(|(a, b)| (**a - **b).abs() > 1e-9);
                first.is_some_and(|(a, b)| a < b)
            };
            if best.as_ref().is_none_or(|(known, _)| is_less(known)) {
                best = Some((cost, levels));
            }
        }
    }
    best
}

#[test]
fn the_best_node_is_that_of_brute_force() -> Result<()> {
    let mut random = Random::new(5);
    let (mut found, mut none) = (0, 0);
    for case in 0..1_500 {
        let repeated = random.one_in(2);
        let rows = rows(&mut random, repeated);
        let options = options(&mut random);
        let expected = brute_force(&options, &rows);
        let problem = Problem::read(options.clone(), &arguments(&rows))?;
        let best = lattice::search(&problem)?.best;
        match (best, expected) {
            (Some(Found { cost, levels }), Some((expected, at))) => {
                let Cost(whole, part, parts) = cost;
                let cost = if parts.is_empty() { vec![whole as f64 + part] } else { parts };
                assert!(
                    cost.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6),
                    "{case}: {options:?} {rows:?}: {cost:?} at {levels:?}, not {expected:?} at {at:?}"
                );
                // Sums in another order may tell equal costs apart.
                if !matches!(options.metric, Metric::Gcp | Metric::Loss | Metric::Entropy) {
                    assert_eq!(levels, at, "{case}: {options:?} {rows:?}");
                }
                found += 1;
            }
            (None, None) => none += 1,
            (best, expected) => panic!("{case}: {options:?} {rows:?}: {best:?}, not {expected:?}"),
        }
    }
    assert!(found > 300 && none > 100, "{found} with an answer, {none} without");
    Ok(())
}

/// What a solution publishes: the labels of each row that is in a class.
fn published(problem: &Problem, solution: &Solution) -> Vec<(Vec<String>, Vec<u32>)> {
    let mut classes: BTreeMap<Vec<String>, Vec<u32>> = BTreeMap::new();
    for item in 0..problem.len() {
        if solution.class_of[item] == SUPPRESSED {
            continue;
        }
        let labels = solution.columns.iter().map(|column| {
            let label = &column.labels[column.index[item] as usize];
            label.as_deref().unwrap_or("NULL").to_string()
        });
        classes.entry(labels.collect()).or_default().push(item as u32);
    }
    classes.into_iter().collect()
}

#[test]
fn every_method_publishes_classes_that_meet_the_request() -> Result<()> {
    let mut random = Random::new(6);
    let mut answers = 0;
    for _ in 0..1_500 {
        let repeated = random.one_in(2);
        let rows = rows(&mut random, repeated);
        let method = [Method::Optimal, Method::TopDown, Method::Mondrian][random.below(3) as usize];
        let options = Options { method, ..options(&mut random) };
        let problem = Problem::read(options.clone(), &arguments(&rows))?;
        let Ok(solution) = solve(&problem) else { continue };
        answers += 1;
        let mut left_out = problem.rows;
        for (labels, items) in published(&problem, &solution) {
            let mut scratch = Default::default();
            let class = members(&problem, &items);
            assert!(
                problem.accepts(&class, &problem.persons, &mut scratch),
                "{options:?} {rows:?}: {labels:?}"
            );
            let records = items.iter().flat_map(|item| problem.records_of(*item as usize));
            left_out -= records.map(|record| record.rows).sum::<u64>();
        }
        assert!(left_out <= allowed(&problem), "{options:?} {rows:?}: {left_out} rows");
    }
    assert!(answers > 500, "{answers} answers");
    Ok(())
}

#[test]
fn a_relaxation_that_an_error_names_is_the_smallest() -> Result<()> {
    let mut random = Random::new(7);
    let mut checked = 0;
    for _ in 0..600 {
        let rows = rows(&mut random, false);
        let mut asked = Options { star: false, l: None, t: None, ..options(&mut random) };
        // Without stars at the end the most general class is not all rows.
        asked.quasi[0] = Spec { name: "age".into(), generaliser: "exact".into(), steps: vec![] };
        let problem = Problem::read(asked.clone(), &arguments(&rows))?;
        let Err(error) = solve(&problem) else { continue };
        let error = error.strip_backtrace();
        let Some((_, rest)) = error.split_once("`k => ") else { continue };
        let k: u64 = rest.split('`').next().and_then(|k| k.parse().ok()).unwrap_or(0);
        let answered = |k: u64| -> Result<bool> {
            Ok(solve(&problem.with(Options { k, ..asked.clone() })).is_ok())
        };
        assert!(k < asked.k && answered(k)? && !answered(k + 1)?, "{asked:?} {rows:?}: {error}");
        checked += 1;
    }
    assert!(checked > 50, "{checked} errors");
    Ok(())
}

/// Whether a label could be about a value, as somebody would say who reads it and knows the levels: below
/// the highest a star is the label of NULL alone.
fn fits(label: &str, value: &str, is_top: bool) -> bool {
    let inside = label.strip_prefix(['[', '{']).map(|rest| &rest[..rest.len() - 1]);
    match (inside, value.parse::<i64>()) {
        _ if label == "*" => is_top || value == "NULL",
        _ if label == value => true,
        (Some(inside), Ok(number)) => {
            let ends: Vec<i64> = inside.split(',').filter_map(|end| end.parse().ok()).collect();
            let last = if label.ends_with(']') { ends[1] } else { ends[1] - 1 };
            (ends[0]..=last).contains(&number)
        }
        (Some(inside), Err(_)) => value != "NULL" && inside.split(", ").any(|one| one == value),
        (None, _) => label.strip_suffix('*').is_some_and(|start| value.starts_with(start)),
    }
}

#[test]
fn the_journalist_counts_all_whom_a_label_could_be_about() -> Result<()> {
    let mut random = Random::new(9);
    let mut hidden = 0;
    for case in 0..600 {
        let repeated = random.one_in(2);
        let (own, town) = (rows(&mut random, repeated), rows(&mut random, repeated));
        let method = [Method::Optimal, Method::Mondrian][random.below(2) as usize];
        let options = Options { method, population: true, ..options(&mut random) };
        // The people of the town stand below the records, marked, and their illness is not known.
        let (records, people) = (arguments(&own), arguments(&town));
        let mut columns: Vec<ArrayRef> = records
            .iter()
            .zip(&people)
            .map(|(a, b)| Ok(arrow::compute::concat(&[a.as_ref(), b.as_ref()])?))
            .collect::<Result<_>>()?;
        let (n, m) = (records[0].len(), people[0].len());
        let kinds = (0..n).map(|_| None).chain((0..m).map(|_| Some(super::problem::POPULATION)));
        columns.push(Arc::new(kinds.collect::<Int64Array>()));
        columns.push(Arc::new(StringArray::new_null(n + m)));
        let problem = Problem::read(options.clone(), &columns)?;
        let Ok(solution) = solve(&problem) else { continue };
        let report = super::report::report(&problem, &solution, Default::default())?;
        let risk =
            report.column_by_name("journalist_risk").map(|c| c.as_primitive::<Float64Type>());
        let risk = risk.and_then(|risk| risk.iter().next().flatten());

        let count = |labels: &[String], rows: &[Row], fitting: bool| -> usize {
            let is_top = |column: usize| {
                solution.levels.as_ref().is_none_or(|levels| levels[column] == [3, 2][column])
            };
            let fits = |row: &Row, c: usize| fits(&labels[c], &label(row, c, 0), is_top(c));
            let could_be = |row: &&Row| !fitting || (0..2).all(|column| fits(row, column));
            rows.iter().filter(could_be).map(|row| row.person).collect::<BTreeSet<_>>().len()
        };
        let mut fewest: Option<usize> = None;
        let mut out: Vec<u32> = (0..problem.len() as u32).collect();
        for (labels, items) in published(&problem, &solution) {
            out.retain(|item| !items.contains(item));
            let mut scratch = Default::default();
            let class = members(&problem, &items);
            let sharing = problem.units(&class, &problem.persons, &mut scratch) as usize;
            let people = count(&labels, &town, true).max(sharing);
            fewest = Some(fewest.map_or(people, |fewest| fewest.min(people)));
        }
        if options.star && !out.is_empty() {
            let mut scratch = Default::default();
            let class = members(&problem, &out);
            let sharing = problem.units(&class, &problem.persons, &mut scratch) as usize;
            let people = count(&[], &town, false).max(sharing);
            fewest = Some(fewest.map_or(people, |fewest| fewest.min(people)));
        }
        let expected = fewest.map(|fewest| 1.0 / fewest as f64);
        assert_eq!(risk, expected, "{case}: {options:?} {own:?} {town:?}");
        hidden += usize::from(risk.is_some_and(|risk| risk < 1.0));
    }
    assert!(hidden > 150, "{hidden} answers");
    Ok(())
}

fn accumulator(options: &Options, columns: &[ArrayRef]) -> Result<GeneraliseAccumulator> {
    let types: Vec<DataType> = columns.iter().map(|c| c.data_type().clone()).collect();
    let all: Vec<DataType> =
        std::iter::once(options.literal()?.data_type()).chain(types.iter().cloned()).collect();
    Ok(GeneraliseAccumulator {
        options: options.clone(),
        fields: result_fields(&all)?,
        types,
        batches: vec![],
        bytes: 0,
    })
}

/// The answer to rows in some order, given in parts to several accumulators whose states are merged.
fn answer(options: &Options, columns: &[ArrayRef], parts: usize) -> Result<ScalarValue> {
    let nothing: ArrayRef = Arc::new(Int64Array::from(vec![0; columns[0].len()]));
    let rows = columns[0].len();
    let mut total = accumulator(options, columns)?;
    for part in 0..parts {
        let (from, to) = (rows * part / parts, rows * (part + 1) / parts);
        let mut accumulator = accumulator(options, columns)?;
        let slices: Vec<ArrayRef> = std::iter::once(&nothing)
            .chain(columns)
            .map(|column| column.slice(from, to - from))
            .collect();
        accumulator.update_batch(&slices)?;
        let state =
            accumulator.state()?.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?;
        total.merge_batch(&state)?;
    }
    total.evaluate()
}

/// What was found, without how long it took.
fn without_time(answer: &ScalarValue) -> Vec<ArrayRef> {
    let ScalarValue::Struct(answer) = answer else { return vec![] };
    let report = answer.column(1).as_struct();
    let fields = report.fields().iter().zip(report.columns());
    let report = fields.filter(|(field, _)| field.name() != "ms").map(|(_, column)| column);
    std::iter::once(answer.column(0)).chain(report).cloned().collect()
}

#[test]
fn neither_the_order_of_rows_nor_partitions_change_the_answer() -> Result<()> {
    let mut random = Random::new(8);
    let mut answers = 0;
    for _ in 0..200 {
        let rows = rows(&mut random, true);
        let method = [Method::Optimal, Method::TopDown, Method::Mondrian][random.below(3) as usize];
        let options = Options { method, ..options(&mut random) };
        let columns = arguments(&rows);
        let expected = answer(&options, &columns, 1);
        let mut shuffled = rows.clone();
        random.shuffle(&mut shuffled);
        let again = answer(&options, &arguments(&shuffled), 3);
        match (expected, again) {
            (Ok(expected), Ok(again)) => {
                let (expected, again) = (without_time(&expected), without_time(&again));
                assert_eq!(expected, again, "{options:?} {rows:?}");
                answers += 1;
            }
            (Err(expected), Err(again)) => {
                assert_eq!(expected.strip_backtrace(), again.strip_backtrace());
            }
            (expected, again) => panic!("{options:?} {rows:?}: {expected:?}, then {again:?}"),
        }
    }
    assert!(answers > 50, "{answers} answers");
    Ok(())
}

#[test]
fn nothing_is_an_answer_to_nothing() -> Result<()> {
    for method in [Method::Optimal, Method::TopDown, Method::Mondrian, Method::Measure] {
        let options = Options { method, k: 5, ..options(&mut Random::new(1)) };
        let ScalarValue::Struct(result) = answer(&options, &arguments(&[]), 2)? else {
            panic!("a struct")
        };
        let report = result.column(1).as_struct();
        assert_eq!(result.column(0).as_list::<i32>().value(0).len(), 0);
        assert_eq!(report.column(0).as_primitive::<Int64Type>().value(0), 0);
    }
    Ok(())
}
