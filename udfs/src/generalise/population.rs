// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The people of whom a table is a part: how many of them a label could be about.
//!
//! Somebody who does not know who is in the table must search among all of them (the journalist of
//! El Emam and Dankar 2008). They have values that the table has not, so that their labels are made
//! anew, by the levels of the answer or by the ends of its boxes.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::UInt64Type;
use datafusion_common::Result;

use super::domain::{Column, Hierarchy, Label, intern};
use super::options::Options;
use super::problem::{Problem, listed, whole_numbers};
use super::solution::Solution;

/// Combinations of values, and who has them.
#[derive(Clone, Default)]
pub(super) struct Population {
    columns: Vec<Column>,
    /// The value of each column, for each combination.
    codes: Vec<Vec<u32>>,
    /// How many have this combination and no other.
    units: Vec<u64>,
    /// The others with this combination.
    persons: Vec<Vec<u64>>,
}

impl Population {
    pub(super) fn read(
        options: &Options,
        columns: &[ArrayRef],
        units: &ArrayRef,
        persons: &ArrayRef,
        hierarchies: &BTreeMap<i64, Hierarchy>,
    ) -> Result<Self> {
        let mut population = Self { units: whole_numbers("units", units)?, ..Self::default() };
        let persons = listed(persons)?;
        population.persons = (0..persons.len())
            .map(|row| match persons.is_valid(row) {
                true => persons.value(row).as_primitive::<UInt64Type>().iter().flatten().collect(),
                false => vec![],
            })
            .collect();
        for (index, (spec, array)) in options.quasi.iter().zip(columns).enumerate() {
            let interned = intern(array)?;
            population.codes.push(interned.codes);
            let hierarchy = hierarchies.get(&(index as i64));
            population.columns.push(Column::new(spec, interned.values, hierarchy)?);
        }
        Ok(population)
    }

    fn len(&self) -> usize {
        self.units.len()
    }

    /// How many people some combinations are about, each once.
    fn people(&self, combinations: &[u32]) -> u64 {
        let each = || combinations.iter().map(|combination| *combination as usize);
        let mut persons: Vec<u64> = each().flat_map(|place| self.persons[place].clone()).collect();
        persons.sort_unstable();
        persons.dedup();
        each().map(|place| self.units[place]).sum::<u64>() + persons.len() as u64
    }

    /// How many people each class of the answer could be about, in its order.
    pub(super) fn in_classes(&self, problem: &Problem, solution: &Solution) -> Vec<u64> {
        match &solution.levels {
            Some(levels) => self.at_levels(solution, levels),
            None => self.in_boxes(problem, solution),
        }
    }

    /// How many people there are.
    pub(super) fn all(&self) -> u64 {
        self.people(&(0..self.len() as u32).collect::<Vec<_>>())
    }

    fn at_levels(&self, solution: &Solution, levels: &[usize]) -> Vec<u64> {
        let mut classes: HashMap<Vec<Option<&str>>, usize> = HashMap::new();
        for (class, items) in solution.classes.iter().enumerate() {
            let Some(item) = items.first().map(|item| *item as usize) else { continue };
            let labels =
                solution.columns.iter().map(|c| c.labels[c.index[item] as usize].as_deref());
            classes.insert(labels.collect(), class);
        }
        let mut members: Vec<Vec<u32>> = vec![vec![]; solution.classes.len()];
        for combination in 0..self.len() {
            let columns = self.columns.iter().zip(levels).zip(&self.codes);
            let labels: Vec<Option<&str>> = columns
                .map(|((column, level), codes)| {
                    let level = &column.levels[*level];
                    level.labels[level.codes[codes[combination] as usize] as usize].as_deref()
                })
                .collect();
            if let Some(class) = classes.get(&labels) {
                members[*class].push(combination as u32);
            }
        }
        members.iter().map(|members| self.people(members)).collect()
    }

    /// Boxes may lie over each other where one has a star. Each looks at those people only who are in
    /// it by the column that leaves fewest.
    fn in_boxes(&self, problem: &Problem, solution: &Solution) -> Vec<u64> {
        let sorted: Vec<Vec<u32>> = self.codes.iter().map(|codes| by_code(codes)).collect();
        let known: Vec<HashMap<&Label, u32>> = self.columns.iter().map(by_text).collect();
        let count = |items: &Vec<u32>| -> u64 {
            let side = |index: usize| self.side(problem, index, items, &known[index]);
            let sides: Vec<Side> = (0..self.columns.len()).map(side).collect();
            let places = |index: usize| -> Vec<Range<usize>> {
                let place = |code: u32| {
                    sorted[index].partition_point(|c| self.codes[index][*c as usize] < code)
                };
                let ranges = sides[index].0.iter();
                ranges.map(|codes| place(codes.start)..place(codes.end)).collect()
            };
            let candidates = (0..sides.len()).map(|index| (index, places(index)));
            let fewest =
                candidates.min_by_key(|(_, places)| places.iter().map(Range::len).sum::<usize>());
            let Some((index, places)) = fewest else { return 0 };
            let inside: Vec<u32> = places
                .into_iter()
                .flat_map(|range| &sorted[index][range])
                .filter(|combination| {
                    let codes = self.codes.iter().map(|codes| codes[**combination as usize]);
                    sides.iter().zip(codes).all(|(side, code)| side.holds(code))
                })
                .copied()
                .collect();
            self.people(&inside)
        };
        solution.classes.iter().map(count).collect()
    }

    /// Which of the population's values of a column lie within a box of some combinations.
    fn side(
        &self,
        problem: &Problem,
        index: usize,
        items: &[u32],
        known: &HashMap<&Label, u32>,
    ) -> Side {
        let (own, theirs) = (&problem.columns[index], &self.columns[index]);
        let mut values: Vec<u32> =
            items.iter().map(|item| problem.values(*item as usize)[index]).collect();
        values.sort_unstable();
        values.dedup();
        let whole = own.len() - usize::from(own.has_null());
        let all = Side(vec![0..theirs.len() as u32]);
        match (values.as_slice(), &own.numbers, &theirs.numbers) {
            ([0, _, ..], ..) if own.has_null() => all,
            ([low, .., high], Some(own), Some(theirs)) => {
                let (low, high) = (own[*low as usize], own[*high as usize]);
                let from = theirs.partition_point(|number| number.is_nan() || *number < low);
                let to = theirs.partition_point(|number| number.is_nan() || *number <= high);
                Side(vec![from as u32..to as u32])
            }
            (several, None, _) if several.len() > 1 && several.len() == whole => all,
            (several, ..) => {
                let code = |value: &u32| known.get(&own.texts[*value as usize]).copied();
                let mut codes: Vec<u32> = several.iter().filter_map(code).collect();
                codes.sort_unstable();
                Side(codes.into_iter().map(|code| code..code + 1).collect())
            }
        }
    }
}

/// Runs of values.
struct Side(Vec<Range<u32>>);

impl Side {
    fn holds(&self, code: u32) -> bool {
        let after = self.0.partition_point(|range| range.end <= code);
        self.0.get(after).is_some_and(|range| range.contains(&code))
    }
}

fn by_text(column: &Column) -> HashMap<&Label, u32> {
    column.texts.iter().enumerate().map(|(code, text)| (text, code as u32)).collect()
}

/// The combinations in the order of their codes.
fn by_code(codes: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..codes.len() as u32).collect();
    order.sort_by_key(|combination| codes[*combination as usize]);
    order
}
