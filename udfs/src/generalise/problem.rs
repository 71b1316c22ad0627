// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The input of a search as small integers: combinations of values, and who has them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use datafusion_common::{Result, exec_err};

use super::diversity::{self, Scratch};
use super::domain::{Column, Hierarchy, intern};
use super::options::Options;
use super::population::Population;
use super::{FIXED, NAME};

/// Everything that a search reads.
#[derive(Clone)]
pub(super) struct Problem {
    pub(super) options: Options,
    pub(super) columns: Vec<Column>,
    pub(super) sensitive: Vec<Sensitive>,
    /// The value of each sensitive column, for each combination of them: the `joint` codes.
    pub(super) joints: Vec<u32>,
    /// The value of each quasi-identifier, for each combination of them.
    pub(super) combinations: Vec<u32>,
    /// By combination, then by joint code.
    pub(super) records: Vec<Record>,
    /// Where the records of each combination end.
    pub(super) ends: Vec<usize>,
    /// The persons of the records, who have rows in several records.
    pub(super) persons: Vec<u32>,
    pub(super) rows: u64,
    /// What earlier releases of the source were, ascending.
    pub(super) earlier: Vec<String>,
    pub(super) population: Population,
}

/// A sensitive column: its values, and how its people spread over them in the whole input.
#[derive(Clone)]
pub(super) struct Sensitive {
    pub(super) column: Column,
    pub(super) shares: Vec<f64>,
}

/// The rows with one combination of quasi-identifiers and sensitive values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) combination: u32,
    pub(super) rows: u64,
    pub(super) member: Member,
}

/// The people with one combination of sensitive values: those counted, and a run of those listed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) joint: u32,
    pub(super) units: u64,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Problem {
    /// Reads the arguments of all rows.
    pub(super) fn read(options: Options, arguments: &[ArrayRef]) -> Result<Self> {
        let (n, m) = (options.quasi.len(), options.sensitive.len());
        if arguments.len() < FIXED + n + m {
            return exec_err!("`{NAME}` received fewer columns than its options name");
        }
        let (counts, rest) = arguments.split_at(FIXED);
        let (columns, tables) = rest.split_at(n + m);
        let Tables { kept, others, hierarchies, earlier } = Tables::read(tables)?;
        let keep = |array: &ArrayRef| rows_where(array, kept.as_ref());
        let mut codes: Vec<Vec<u32>> = vec![];
        let mut built: Vec<Column> = vec![];
        let specs = options.quasi.iter().chain(&options.sensitive);
        for (index, (spec, array)) in specs.zip(columns).enumerate() {
            let interned = intern(&keep(array)?)?;
            codes.push(interned.codes);
            built.push(Column::new(spec, interned.values, hierarchies.get(&(index as i64)))?);
        }
        let sensitive = built.split_off(n);
        let population = match others.filter(|_| options.population) {
            Some(others) => {
                let of = |array: &ArrayRef| rows_where(array, Some(&others));
                let columns = columns[..n].iter().map(of).collect::<Result<Vec<_>>>()?;
                Population::read(
                    &options,
                    &columns,
                    &of(&counts[1])?,
                    &of(&counts[2])?,
                    &hierarchies,
                )?
            }
            None => Population::default(),
        };
        let rows = whole_numbers("rows", &keep(&counts[0])?)?;
        let units = whole_numbers("units", &keep(&counts[1])?)?;
        let persons = keep(&counts[2])?;
        let persons = listed(&persons)?;

        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        let key = |row: u32| codes.iter().map(move |column| column[row as usize]);
        order.sort_unstable_by(|a, b| key(*a).cmp(key(*b)));

        let mut problem = Self {
            options,
            columns: built,
            sensitive: vec![],
            joints: vec![],
            combinations: vec![],
            records: vec![],
            ends: vec![],
            persons: vec![],
            rows: 0,
            earlier,
            population,
        };
        let mut joints: HashMap<Vec<u32>, u32> = HashMap::new();
        let mut people: HashMap<u64, u32> = HashMap::new();
        let mut before: Option<u32> = None;
        for row in order {
            let place = row as usize;
            let of_combination = |row: u32| key(row).take(n);
            let new_combination = before.is_none_or(|b| of_combination(b).ne(of_combination(row)));
            let new_record = before.is_none_or(|b| key(b).ne(key(row)));
            if new_combination {
                problem.combinations.extend(of_combination(row));
                if before.is_some() {
                    problem.ends.push(problem.records.len());
                }
            }
            if new_record {
                let joint: Vec<u32> = key(row).skip(n).collect();
                let next = joints.len() as u32;
                let code = *joints.entry(joint).or_insert_with_key(|joint| {
                    problem.joints.extend(joint);
                    next
                });
                let here = problem.persons.len();
                let member = Member { joint: code, units: 0, start: here, end: here };
                let combination = problem.ends.len() as u32;
                problem.records.push(Record { combination, rows: 0, member });
            }
            before = Some(row);
            if persons.is_valid(place) {
                let listed = persons.value(place);
                for person in listed.as_primitive::<UInt64Type>().iter().flatten() {
                    let next = people.len() as u32;
                    problem.persons.push(*people.entry(person).or_insert(next));
                }
            }
            if let Some(record) = problem.records.last_mut() {
                record.rows += rows[place];
                record.member.units += units[place];
                let start = record.member.start;
                // Rows that were given in parts: one person is listed once.
                if !new_record {
                    problem.persons[start..].sort_unstable();
                    let mut kept = start;
                    for place in start..problem.persons.len() {
                        if place == start || problem.persons[place] != problem.persons[kept - 1] {
                            problem.persons[kept] = problem.persons[place];
                            kept += 1;
                        }
                    }
                    problem.persons.truncate(kept);
                }
                record.member.end = problem.persons.len();
            }
            problem.rows += rows[place];
        }
        if before.is_some() {
            problem.ends.push(problem.records.len());
        }
        problem.sensitive = sensitive
            .into_iter()
            .map(|column| Sensitive { shares: vec![0.0; column.len()], column })
            .collect();
        let members: Vec<Member> = problem.records.iter().map(|r| r.member).collect();
        let mut scratch = Scratch::default();
        for index in 0..m {
            let (counts, total) =
                problem.histogram(index, &members, &problem.persons, &mut scratch);
            problem.sensitive[index].shares =
                diversity::shares(&counts, total, problem.sensitive[index].column.len());
        }
        Ok(problem)
    }

    /// The same input, of which something else is asked.
    pub(super) fn with(&self, options: Options) -> Self {
        Self { options, ..self.clone() }
    }

    /// How many combinations of quasi-identifiers there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The values of a combination.
    pub(super) fn values(&self, combination: usize) -> &[u32] {
        let n = self.columns.len();
        &self.combinations[combination * n..(combination + 1) * n]
    }

    /// The records of a combination.
    pub(super) fn records_of(&self, combination: usize) -> &[Record] {
        let start = combination.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.records[start..self.ends[combination]]
    }

    /// Whether a class is judged by its sensitive values too.
    pub(super) fn is_judged(&self) -> bool {
        self.options.l.is_some() || self.options.t.is_some()
    }

    /// The persons in some members, each once.
    pub(super) fn units(&self, members: &[Member], persons: &[u32], scratch: &mut Scratch) -> u64 {
        let counted: u64 = members.iter().map(|m| m.units).sum();
        if persons.is_empty() {
            return counted;
        }
        scratch.persons.clear();
        members.iter().for_each(|m| scratch.persons.extend(&persons[m.start..m.end]));
        scratch.persons.sort_unstable();
        scratch.persons.dedup();
        counted + scratch.persons.len() as u64
    }

    /// The persons of some members by their value of a sensitive column, and the sum.
    pub(super) fn histogram(
        &self,
        sensitive: usize,
        members: &[Member],
        persons: &[u32],
        scratch: &mut Scratch,
    ) -> (Vec<(u32, u64)>, u64) {
        let m = self.sensitive_count();
        let code = |member: &Member| self.joints[member.joint as usize * m + sensitive];
        scratch.counts.clear();
        scratch.counts.extend(members.iter().map(|member| (code(member), member.units)));
        scratch.pairs.clear();
        for member in members {
            let listed = &persons[member.start..member.end];
            scratch.pairs.extend(listed.iter().map(|person| (code(member), *person)));
        }
        scratch.pairs.sort_unstable();
        scratch.pairs.dedup();
        scratch.counts.extend(scratch.pairs.iter().map(|(code, _)| (*code, 1)));
        scratch.counts.sort_unstable();
        let mut counts: Vec<(u32, u64)> = vec![];
        for (code, units) in &scratch.counts {
            match counts.last_mut() {
                Some((last, sum)) if last == code => *sum += units,
                _ => counts.push((*code, *units)),
            }
        }
        counts.retain(|(_, units)| *units > 0);
        let total = counts.iter().map(|(_, units)| units).sum();
        (counts, total)
    }

    fn sensitive_count(&self) -> usize {
        self.options.sensitive.len()
    }

    /// Whether some members may be published as one class.
    pub(super) fn accepts(
        &self,
        members: &[Member],
        persons: &[u32],
        scratch: &mut Scratch,
    ) -> bool {
        self.units(members, persons, scratch) >= self.options.k
            && (!self.is_judged() || self.is_diverse(members, persons, scratch))
    }

    /// Whether the sensitive values of some members are as diverse as asked for.
    pub(super) fn is_diverse(
        &self,
        members: &[Member],
        persons: &[u32],
        scratch: &mut Scratch,
    ) -> bool {
        (0..self.sensitive.len()).all(|index| {
            let (counts, total) = self.histogram(index, members, persons, scratch);
            diversity::is_diverse(&self.options, &self.sensitive[index], &counts, total)
        })
    }
}

/// In the column that tells the rows of hierarchies, an earlier release.
pub(crate) const RELEASE: i64 = -1;
/// In the same column, people of the population.
pub(crate) const POPULATION: i64 = -2;

/// The rows that are no records, told from them.
struct Tables {
    /// The records; `None` for all rows.
    kept: Option<BooleanArray>,
    /// The people of the population.
    others: Option<BooleanArray>,
    /// By the place of the column.
    hierarchies: BTreeMap<i64, Hierarchy>,
    earlier: Vec<String>,
}

impl Tables {
    fn read(tables: &[ArrayRef]) -> Result<Self> {
        let mut found: BTreeMap<i64, Hierarchy> = BTreeMap::new();
        let mut earlier = vec![];
        let [column, value, levels @ ..] = tables else {
            return Ok(Self { kept: None, others: None, hierarchies: found, earlier });
        };
        let column = arrow::compute::cast(column, &DataType::Int64)?;
        let texts = [value]
            .into_iter()
            .chain(levels)
            .map(|array| Ok(arrow::compute::cast(array, &DataType::Utf8)?))
            .collect::<Result<Vec<ArrayRef>>>()?;
        let texts: Vec<_> = texts.iter().map(|array| array.as_string::<i32>()).collect();
        let mut shared: HashMap<&str, Arc<str>> = HashMap::new();
        let kinds = column.as_primitive::<Int64Type>();
        for (row, index) in kinds.iter().enumerate() {
            let Some(index) = index else { continue };
            // A NULL generalises to a star, whatever a table says.
            let Some(value) = texts[0].is_valid(row).then(|| texts[0].value(row)) else { continue };
            if index == RELEASE {
                earlier.push(value.to_string());
                continue;
            }
            let labels: Vec<Arc<str>> = texts[1..]
                .iter()
                .take_while(|labels| labels.is_valid(row))
                .map(|labels| {
                    let label = labels.value(row);
                    Arc::clone(shared.entry(label).or_insert_with(|| label.into()))
                })
                .collect();
            let known = found.entry(index).or_default();
            if let Some(other) = known.insert(value.to_string(), labels.clone())
                && other != labels
            {
                return exec_err!("a hierarchy has two different rows for the value '{value}'");
            }
        }
        for hierarchy in found.values() {
            let height = hierarchy.values().map(Vec::len).max().unwrap_or(0);
            if let Some((value, _)) = hierarchy.iter().find(|(_, levels)| levels.len() != height) {
                return exec_err!(
                    "a hierarchy lacks a level for the value '{value}': every row has as many levels"
                );
            }
        }
        earlier.sort_unstable();
        let others = kinds.iter().map(|kind| Some(kind == Some(POPULATION))).collect();
        Ok(Self {
            kept: Some(arrow::compute::is_null(&column)?),
            others: Some(others),
            hierarchies: found,
            earlier,
        })
    }
}

fn rows_where(array: &ArrayRef, kept: Option<&BooleanArray>) -> Result<ArrayRef> {
    Ok(match kept {
        Some(kept) => filter(array, kept)?,
        None => Arc::clone(array),
    })
}

/// The lists of persons.
pub(super) fn listed(persons: &ArrayRef) -> Result<&ListArray> {
    match persons.as_list_opt::<i32>() {
        Some(persons) => Ok(persons),
        None => exec_err!("`{NAME}`: `persons` must be a list"),
    }
}

pub(super) fn whole_numbers(name: &str, array: &ArrayRef) -> Result<Vec<u64>> {
    let array = arrow::compute::cast(array, &DataType::Int64)?;
    let numbers = array.as_primitive::<Int64Type>();
    let numbers: Option<Vec<u64>> =
        numbers.iter().map(|number| number.and_then(|n| u64::try_from(n).ok())).collect();
    match numbers {
        Some(numbers) => Ok(numbers),
        None => exec_err!("`{NAME}`: `{name}` must be a number from 0"),
    }
}
