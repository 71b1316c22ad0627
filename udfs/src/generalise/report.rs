// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The measures of what is published, in one row.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, ListArray, StringViewArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::Result;

use super::diversity::{self, Scratch};
use super::lattice::entropies;
use super::problem::{Member, Problem};
use super::release;
use super::solution::{SUPPRESSED, Solution, members};

/// The columns of the report.
pub(super) static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let fields = COLUMNS.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    fields.chain([Field::new("sensitive", sensitive_type(), true)]).collect()
});

/// The columns of a sensitive column's own report.
static SENSITIVE: LazyLock<Fields> = LazyLock::new(|| {
    let fields = SENSITIVE_COLUMNS.iter();
    fields.map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect()
});

fn sensitive_type() -> DataType {
    DataType::new_list(DataType::Struct(SENSITIVE.clone()), true)
}

const WHOLE: DataType = DataType::Int64;
const REAL: DataType = DataType::Float64;
const TEXT: DataType = DataType::Utf8View;
/// The square of a number of rows may have more digits than a BIGINT.
const SQUARE: DataType = DataType::Decimal128(38, 0);

/// The names and types of the columns that are no list.
pub(crate) const COLUMNS: [(&str, DataType); 33] = [
    ("rows_in", WHOLE),
    ("rows_out", WHOLE),
    ("suppressed_rows", WHOLE),
    ("suppressed_units", WHOLE),
    ("classes", WHOLE),
    ("k_real", WHOLE),
    ("k_unit_real", WHOLE),
    ("max_classes_per_unit", WHOLE),
    ("l_distinct", WHOLE),
    ("l_entropy", REAL),
    ("recursive_c", REAL),
    ("t_equal", REAL),
    ("t_ordered", REAL),
    ("t_hierarchical", REAL),
    ("t_equal_input", REAL),
    ("t_ordered_input", REAL),
    ("t_hierarchical_input", REAL),
    ("beta", REAL),
    ("delta_disclosure", REAL),
    ("max_risk", REAL),
    ("avg_risk", REAL),
    ("journalist_risk", REAL),
    ("uniques", WHOLE),
    ("dm", SQUARE),
    ("aecs", REAL),
    ("gcp", REAL),
    ("entropy_loss", REAL),
    ("precision", REAL),
    ("levels", TEXT),
    ("method", TEXT),
    ("ms", WHOLE),
    ("generalisation", TEXT),
    ("other_releases", WHOLE),
];

/// The names and types of a sensitive column's own report.
pub(crate) const SENSITIVE_COLUMNS: [(&str, DataType); 12] = [
    ("column_name", TEXT),
    ("l_distinct", WHOLE),
    ("l_entropy", REAL),
    ("recursive_c", REAL),
    ("t_equal", REAL),
    ("t_ordered", REAL),
    ("t_hierarchical", REAL),
    ("t_equal_input", REAL),
    ("t_ordered_input", REAL),
    ("t_hierarchical_input", REAL),
    ("beta", REAL),
    ("delta_disclosure", REAL),
];

/// The measures of one sensitive column, of its worst class each.
#[derive(Clone, Debug, Default)]
struct Sensitivity {
    l_distinct: Option<i64>,
    l_entropy: Option<f64>,
    /// Infinite when a class has fewer than l values.
    recursive_c: Option<f64>,
    /// To the published table, equal, ordered and hierarchical; then the same to the input.
    distances: [Option<f64>; 6],
    beta: Option<f64>,
    delta: Option<f64>,
}

fn least<T: PartialOrd + Copy>(worst: &mut Option<T>, value: T) {
    if worst.is_none_or(|known| value < known) {
        *worst = Some(value);
    }
}

fn most<T: PartialOrd + Copy>(worst: &mut Option<T>, value: T) {
    if worst.is_none_or(|known| value > known) {
        *worst = Some(value);
    }
}

impl Sensitivity {
    fn include(&mut self, other: &Self) {
        let low =
            |worst: &mut Option<f64>, value: Option<f64>| value.map_or((), |v| least(worst, v));
        let high =
            |worst: &mut Option<f64>, value: Option<f64>| value.map_or((), |v| most(worst, v));
        if let Some(l) = other.l_distinct {
            least(&mut self.l_distinct, l);
        }
        low(&mut self.l_entropy, other.l_entropy);
        high(&mut self.recursive_c, other.recursive_c);
        self.distances
            .iter_mut()
            .zip(other.distances)
            .for_each(|(worst, value)| high(worst, value));
        high(&mut self.beta, other.beta);
        high(&mut self.delta, other.delta);
    }

    fn finite_c(&self) -> Option<f64> {
        self.recursive_c.filter(|c| c.is_finite())
    }
}

/// The published classes as members: those of the solution and, with stars, that of the stars.
fn classes(problem: &Problem, solution: &Solution) -> Vec<(Vec<Member>, u64)> {
    let rows = |items: &[u32]| -> u64 {
        let records = items.iter().flat_map(|item| problem.records_of(*item as usize));
        records.map(|record| record.rows).sum()
    };
    let mut classes: Vec<(Vec<Member>, u64)> =
        solution.classes.iter().map(|items| (members(problem, items), rows(items))).collect();
    if problem.options.star {
        let stars: Vec<u32> = suppressed(solution);
        if !stars.is_empty() {
            classes.push((members(problem, &stars), rows(&stars)));
        }
    }
    classes
}

fn suppressed(solution: &Solution) -> Vec<u32> {
    let items = solution.class_of.iter().enumerate();
    items.filter(|(_, class)| **class == SUPPRESSED).map(|(item, _)| item as u32).collect()
}

/// Measures each sensitive column.
fn sensitivities(problem: &Problem, classes: &[(Vec<Member>, u64)]) -> Vec<Sensitivity> {
    let mut scratch = Scratch::default();
    let everyone: Vec<Member> = classes.iter().flat_map(|(members, _)| members.clone()).collect();
    let mut measured = vec![];
    for (index, sensitive) in problem.sensitive.iter().enumerate() {
        let column = &sensitive.column;
        let is_hierarchy =
            column.levels.len() > 1 && problem.options.sensitive[index].generaliser == "hierarchy";
        let (counts, total) = problem.histogram(index, &everyone, &problem.persons, &mut scratch);
        let published = diversity::shares(&counts, total, column.len());
        let mut worst = Sensitivity::default();
        for (members, _) in classes {
            let (counts, total) = problem.histogram(index, members, &problem.persons, &mut scratch);
            if total == 0 {
                continue;
            }
            let (counts, l) = (counts.as_slice(), problem.options.recursive_l());
            let tree = |whole: &[f64]| {
                is_hierarchy.then(|| diversity::t_hierarchical(counts, total, whole, column))
            };
            worst.include(&Sensitivity {
                l_distinct: Some(counts.len() as i64),
                l_entropy: Some(diversity::entropy(counts, total)),
                recursive_c: Some(diversity::recursive(counts, l).unwrap_or(f64::INFINITY)),
                distances: [
                    Some(diversity::t_equal(counts, total, &published)),
                    Some(diversity::t_ordered(counts, total, &published)),
                    tree(&published),
                    Some(diversity::t_equal(counts, total, &sensitive.shares)),
                    Some(diversity::t_ordered(counts, total, &sensitive.shares)),
                    tree(&sensitive.shares),
                ],
                beta: Some(diversity::beta(counts, total, &published)),
                delta: Some(diversity::delta(counts, total, &published)),
            });
        }
        measured.push(worst);
    }
    measured
}

/// The report as a struct of one row, of a search that took so long.
pub(super) fn report(
    problem: &Problem,
    solution: &Solution,
    took: Duration,
) -> Result<StructArray> {
    let generalisation = release::generalisation(problem, solution);
    let others = release::others(problem, generalisation.as_deref())?;
    let mut scratch = Scratch::default();
    let classes = classes(problem, solution);
    let star = problem.options.star;
    let left_out = suppressed(solution);
    let sum = |items: &[u32]| -> u64 {
        let records = items.iter().flat_map(|item| problem.records_of(*item as usize));
        records.map(|record| record.rows).sum()
    };
    let suppressed_rows = sum(&left_out);
    let rows_out = if star { problem.rows } else { problem.rows - suppressed_rows };
    let mut people = |members: &[Member]| problem.units(members, &problem.persons, &mut scratch);
    let all: Vec<Member> = problem.records.iter().map(|record| record.member).collect();
    let in_classes: Vec<Member> =
        solution.classes.iter().flat_map(|items| members(problem, items)).collect();
    let suppressed_units = people(&all) - people(&in_classes);
    let sizes: Vec<u64> = classes.iter().map(|(members, _)| people(members)).collect();
    let memberships: u64 = sizes.iter().sum();
    let hidden = hidden(problem, solution, &sizes);

    let squares: u128 = solution.classes.iter().map(|items| u128::from(sum(items)).pow(2)).sum();
    let dm = squares + u128::from(suppressed_rows) * u128::from(problem.rows);
    let published = rows_out > 0;
    let smallest = sizes.iter().min().copied();
    let ratio = |over: f64, under: f64| (under > 0.0).then(|| over / under);

    let cells = problem.rows as f64 * problem.columns.len() as f64;
    let (mut lost, mut steps) = (0.0, 0.0);
    let heights: Vec<f64> =
        problem.columns.iter().map(|column| (column.levels.len() - 1).max(1) as f64).collect();
    for item in 0..problem.len() {
        let rows = sum(&[item as u32]) as f64;
        let is_out = solution.class_of[item] == SUPPRESSED;
        for (index, column) in solution.columns.iter().enumerate() {
            let share = column.shares[column.index[item] as usize];
            lost += rows * if is_out { 1.0 } else { share };
            if let Some(levels) = &solution.levels {
                steps += rows * if is_out { 1.0 } else { levels[index] as f64 / heights[index] };
            }
        }
    }
    let entropy = solution.levels.as_ref().map(|levels| {
        let entropies = entropies(problem);
        // A sum of nothing but zeros is the zero below them.
        levels.iter().zip(&entropies).fold(0.0, |sum, (level, entropy)| sum + entropy[*level])
    });
    let levels = solution.levels.as_ref().map(|levels| {
        let pairs = problem.columns.iter().zip(levels);
        let pairs = pairs.map(|(column, level)| format!("{}:{level}", quoted(&column.name)));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    });

    let each = sensitivities(problem, &classes);
    let mut worst = Sensitivity::default();
    each.iter().for_each(|one| worst.include(one));

    let whole = |value: Option<u64>| -> ArrayRef {
        Arc::new(Int64Array::from(vec![value.map(|v| v as i64)]))
    };
    let real = |value: Option<f64>| -> ArrayRef { Arc::new(Float64Array::from(vec![value])) };
    let text = |value: Option<String>| -> ArrayRef { Arc::new(StringViewArray::from(vec![value])) };
    let dm = Decimal128Array::from(vec![dm as i128]).with_data_type(SQUARE);
    let mut columns = vec![
        whole(Some(problem.rows)),
        whole(Some(rows_out)),
        whole(Some(suppressed_rows)),
        whole(Some(suppressed_units)),
        whole(Some(classes.len() as u64)),
        whole(classes.iter().map(|(_, rows)| *rows).min()),
        whole(smallest),
        whole(most_classes(problem, solution)),
        whole(worst.l_distinct.map(|l| l as u64)),
        real(worst.l_entropy),
        real(worst.finite_c()),
    ];
    columns.extend(worst.distances.iter().map(|distance| real(*distance)));
    columns.extend([
        real(worst.beta),
        real(worst.delta),
        real(smallest.and_then(|smallest| ratio(1.0, smallest as f64))),
        real(ratio(classes.len() as f64, memberships as f64)),
        real(hidden.and_then(|hidden| ratio(1.0, hidden as f64))),
        whole(Some(sizes.iter().filter(|size| **size == 1).count() as u64)),
        Arc::new(dm),
        real(ratio(rows_out as f64, classes.len() as f64 * problem.options.k as f64)),
        real(ratio(lost, cells)),
        real(entropy.filter(|_| published)),
        real(solution.levels.as_ref().and_then(|_| ratio(steps, cells)).map(|share| 1.0 - share)),
        text(levels),
        text(Some(problem.options.method.word().to_string())),
        whole(Some(took.as_millis() as u64)),
        text(generalisation),
        whole(others),
        Arc::new(sensitive_list(problem, &each)?),
    ]);
    Ok(StructArray::try_new(FIELDS.clone(), columns, None)?)
}

/// Of the population, those whom the label least shared could be about. People of the table who are not
/// in the population have at least each other.
fn hidden(problem: &Problem, solution: &Solution, sizes: &[u64]) -> Option<u64> {
    if !problem.options.population {
        return None;
    }
    let population = &problem.population;
    let mut people = population.in_classes(problem, solution);
    // Behind stars may be anybody.
    people.resize(sizes.len(), population.all());
    let hidden = people.iter().zip(sizes).filter(|(_, own)| **own > 0);
    hidden.map(|(people, own)| *people.max(own)).min()
}

/// The most classes in which one person has rows: 1 for those who are counted by themselves.
fn most_classes(problem: &Problem, solution: &Solution) -> Option<u64> {
    let mut pairs: Vec<(u32, u32)> = vec![];
    let mut anyone = false;
    for record in &problem.records {
        let class = solution.class_of[record.combination as usize];
        if class == SUPPRESSED && !problem.options.star {
            continue;
        }
        anyone |= record.member.units > 0;
        let listed = &problem.persons[record.member.start..record.member.end];
        pairs.extend(listed.iter().map(|person| (*person, class)));
    }
    pairs.sort_unstable();
    pairs.dedup();
    let runs = pairs.chunk_by(|a, b| a.0 == b.0).map(|run| run.len() as u64);
    runs.max().max(anyone.then_some(1))
}

fn sensitive_list(problem: &Problem, each: &[Sensitivity]) -> Result<ListArray> {
    let real = |value: fn(&Sensitivity) -> Option<f64>| -> ArrayRef {
        Arc::new(each.iter().map(value).collect::<Float64Array>())
    };
    let names = problem.sensitive.iter().map(|s| Some(s.column.name.as_str()));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(names.collect::<StringViewArray>()),
        Arc::new(each.iter().map(|one| one.l_distinct).collect::<Int64Array>()),
        real(|one| one.l_entropy),
        real(Sensitivity::finite_c),
    ];
    for index in 0..6 {
        let distances = each.iter().map(|one| one.distances[index]);
        columns.push(Arc::new(distances.collect::<Float64Array>()));
    }
    columns.extend([real(|one| one.beta), real(|one| one.delta)]);
    let structs = StructArray::try_new(SENSITIVE.clone(), columns, None)?;
    let field = Arc::new(Field::new_list_field(DataType::Struct(SENSITIVE.clone()), true));
    let offsets = OffsetBuffer::from_lengths([each.len()]);
    Ok(ListArray::try_new(field, offsets, Arc::new(structs), None)?)
}

/// A name as JSON writes it.
pub(super) fn quoted(name: &str) -> String {
    let mut text = String::from('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => text.push_str(&format!("\\u{:04x}", c as u32)),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
