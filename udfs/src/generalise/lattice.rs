// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The search for the combination of levels that costs least.
//!
//! Each node's classes are rolled up from those of a node one level below in one column, never from
//! the rows: the classes at the bottom are grouped once. A node costs time in proportion to the
//! classes of the node below it. With a limit on suppression neither k-anonymity nor the cost is
//! monotone along the lattice. What is monotone is the sum of the squares of all classes, published
//! or not, and the entropy: where they alone cost more than the best node so far, all nodes above
//! are left out.

use std::cmp::Ordering;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use datafusion_common::{Result, exec_err};

use super::NAME;
use super::diversity::Scratch;
use super::options::{Method, Metric};
use super::problem::{Member, Problem};
use super::table::{Layout, Slots, Table, Word};

/// Beyond so many nodes an exhaustive search is refused.
const MAX_NODES: u64 = 100_000;

/// What a node costs: in whole numbers, then in fractions, then in those of a list, the first first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cost(pub(super) u128, pub(super) f64, pub(super) Vec<f64>);

impl Cost {
    fn compare(&self, other: &Self) -> Ordering {
        let parts = self.2.iter().zip(&other.2).map(|(own, theirs)| own.total_cmp(theirs));
        let parts = parts.fold(Ordering::Equal, Ordering::then);
        let numbers = self.0.cmp(&other.0).then(self.1.total_cmp(&other.1));
        // A list that has not been reckoned yet is less than any.
        numbers.then(parts).then(self.2.len().cmp(&other.2.len()))
    }

    fn is_less(&self, other: &Self) -> bool {
        self.compare(other).is_lt()
    }

    fn is_equal(&self, other: &Self) -> bool {
        self.compare(other).is_eq()
    }
}

/// A node that may be published.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) cost: Cost,
    pub(super) levels: Vec<usize>,
}

impl Found {
    /// Cheaper, or as cheap and before it in the order of the level vectors.
    fn beats(&self, other: &Option<Self>) -> bool {
        other.as_ref().is_none_or(|other| {
            self.cost.is_less(&other.cost)
                || self.cost.is_equal(&other.cost) && self.levels < other.levels
        })
    }
}

/// What a search has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) best: Option<Found>,
    /// The fewest rows that any node leaves out.
    pub(super) fewest_suppressed: Option<u64>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        if let Some(found) = other.best
            && found.beats(&self.best)
        {
            self.best = Some(found);
        }
        let fewest = [self.fewest_suppressed, other.fewest_suppressed];
        self.fewest_suppressed = fewest.into_iter().flatten().min();
    }
}

/// The number of nodes of the lattice.
fn nodes(problem: &Problem) -> u64 {
    problem.columns.iter().map(|c| c.levels.len() as u64).fold(1, u64::saturating_mul)
}

/// Searches with the narrowest word that holds a combination.
pub(super) fn search(problem: &Problem) -> Result<Seen> {
    let layout = Layout::new(problem);
    if layout.bits <= u64::BITS {
        search_words::<u64>(problem, &layout)
    } else if layout.bits <= u128::BITS {
        search_words::<u128>(problem, &layout)
    } else {
        exec_err!(
            "the quasi-identifiers have too many distinct values for one search, {} bits where 128 are possible; make them coarser before, such as a birth date to its month",
            layout.bits
        )
    }
}

fn search_words<W: Word>(problem: &Problem, layout: &Layout) -> Result<Seen> {
    let bottom = Table::<W>::bottom(problem, layout);
    if problem.options.method == Method::TopDown {
        return Ok(top_down(problem, layout, &bottom));
    }
    let nodes = nodes(problem);
    if nodes > MAX_NODES {
        return exec_err!(
            "`{NAME}`: the lattice has {nodes} nodes, and an exhaustive search stops at {MAX_NODES}; give columns fewer levels, or write `method => 'topdown'` or `method => 'mondrian'`"
        );
    }
    Ok(exhaustive(problem, layout, &bottom))
}

/// Every node, in parts that threads take in turn. The best is the same whoever finds it.
fn exhaustive<W: Word>(problem: &Problem, layout: &Layout, bottom: &Table<W>) -> Seen {
    // The columns of many values first: below them the tables are small, and there are most nodes.
    let mut order: Vec<usize> = (0..problem.columns.len()).collect();
    order.sort_by_key(|column| std::cmp::Reverse(problem.columns[*column].len()));
    let split = order.len().min(2);
    let mut parts: Vec<(Vec<usize>, Table<W>)> = vec![];
    let mut start = Walk::new(problem, layout, &order);
    start.spread(0, split, bottom, &mut parts);

    let next = AtomicUsize::new(0);
    let seen = Mutex::new(Seen::default());
    let work = || {
        let mut walk = Walk::new(problem, layout, &order);
        while let Some((levels, table)) = parts.get(next.fetch_add(1, Relaxed)) {
            walk.levels.clone_from(levels);
            walk.descend(split, table);
        }
        let mut all = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.add(std::mem::take(&mut walk.seen));
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    if threads < 2 || parts.len() < 2 || bottom.cells.len() < 256 {
        work();
    } else {
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    }
    seen.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// From the top downwards: each time the cheapest of the nodes one level below that may be
/// published, for as long as there is one and it costs no more.
fn top_down<W: Word>(problem: &Problem, layout: &Layout, bottom: &Table<W>) -> Seen {
    let order: Vec<usize> = (0..problem.columns.len()).collect();
    let mut walk = Walk::new(problem, layout, &order);
    let mut levels: Vec<usize> = problem.columns.iter().map(|c| c.levels.len() - 1).collect();
    walk.visit(bottom, &levels);
    while let Some(here) = walk.seen.best.clone() {
        for column in 0..levels.len() {
            if levels[column] > 0 {
                levels[column] -= 1;
                walk.visit(bottom, &levels);
                levels[column] += 1;
            }
        }
        match &walk.seen.best {
            Some(best) if best.levels != here.levels => levels.clone_from(&best.levels),
            _ => break,
        }
    }
    std::mem::take(&mut walk.seen)
}

/// One thread's way through the lattice.
struct Walk<'a> {
    problem: &'a Problem,
    layout: &'a Layout,
    order: &'a [usize],
    levels: Vec<usize>,
    judge: Judge<'a>,
    slots: Slots,
    seen: Seen,
}

impl<'a> Walk<'a> {
    fn new(problem: &'a Problem, layout: &'a Layout, order: &'a [usize]) -> Self {
        Self {
            problem,
            layout,
            order,
            levels: vec![0; order.len()],
            judge: Judge::new(problem, layout),
            slots: Slots::default(),
            seen: Seen::default(),
        }
    }

    /// One level up in a column.
    fn roll<W: Word>(&mut self, table: &Table<W>, column: usize, level: usize) -> Table<W> {
        let up = &self.problem.columns[column].levels[level].up;
        table.roll(&mut self.slots, self.layout.columns[column], up)
    }

    /// The tables of all levels of the first columns.
    fn spread<W: Word>(
        &mut self,
        depth: usize,
        split: usize,
        table: &Table<W>,
        parts: &mut Vec<(Vec<usize>, Table<W>)>,
    ) {
        if depth == split {
            parts.push((self.levels.clone(), table.clone()));
            return;
        }
        let column = self.order[depth];
        let mut table = table.clone();
        for level in 0..self.problem.columns[column].levels.len() {
            if level > 0 {
                table = self.roll(&table, column, level - 1);
            }
            self.levels[column] = level;
            self.spread(depth + 1, split, &table, parts);
        }
        self.levels[column] = 0;
    }

    /// All nodes that differ from this one in the columns from `depth` on.
    fn descend<W: Word>(&mut self, depth: usize, table: &Table<W>) {
        if self.judge.is_beyond(table, &self.levels, &self.seen) {
            return;
        }
        let Some(column) = self.order.get(depth).copied() else {
            let outcome = self.judge.outcome(table, &self.levels, &mut self.slots, &self.seen);
            note(&mut self.seen, self.problem, outcome, &self.levels);
            return;
        };
        self.levels[column] = 0;
        self.descend(depth + 1, table);
        let mut rolled: Option<Table<W>> = None;
        for level in 1..self.problem.columns[column].levels.len() {
            let up = self.roll(rolled.as_ref().unwrap_or(table), column, level - 1);
            self.levels[column] = level;
            if self.judge.is_beyond(&up, &self.levels, &self.seen) {
                break;
            }
            self.descend(depth + 1, &up);
            rolled = Some(up);
        }
        self.levels[column] = 0;
    }

    /// One node, rolled up from the bottom.
    fn visit<W: Word>(&mut self, bottom: &Table<W>, levels: &[usize]) {
        let mut table: Option<Table<W>> = None;
        for (column, target) in levels.iter().enumerate() {
            for level in 0..*target {
                table = Some(self.roll(table.as_ref().unwrap_or(bottom), column, level));
            }
        }
        let table = table.as_ref().unwrap_or(bottom);
        let outcome = self.judge.outcome(table, levels, &mut self.slots, &self.seen);
        note(&mut self.seen, self.problem, outcome, levels);
    }
}

fn note(seen: &mut Seen, problem: &Problem, outcome: Option<Outcome>, levels: &[usize]) {
    let Some(outcome) = outcome.filter(|outcome| outcome.classes > 0) else { return };
    let fewest = seen.fewest_suppressed.unwrap_or(u64::MAX).min(outcome.suppressed);
    seen.fewest_suppressed = Some(fewest);
    if outcome.suppressed > allowed(problem) || !outcome.stars_are_safe {
        return;
    }
    let cheaper = seen.best.as_ref().is_none_or(|best| {
        outcome.cost.is_less(&best.cost)
            || outcome.cost.is_equal(&best.cost) && levels < best.levels.as_slice()
    });
    if cheaper {
        seen.best = Some(Found { cost: outcome.cost, levels: levels.to_vec() });
    }
}

/// How many rows may be left out.
pub(super) fn allowed(problem: &Problem) -> u64 {
    (problem.options.max_suppressed * problem.rows as f64 + 1e-9) as u64
}

/// What a node would publish.
#[derive(Clone, Debug)]
struct Outcome {
    cost: Cost,
    suppressed: u64,
    classes: u64,
    stars_are_safe: bool,
}

/// Tells which classes of a node may be published, and what the node costs.
struct Judge<'a> {
    problem: &'a Problem,
    layout: &'a Layout,
    /// The cost of each level of each column, where it is a sum over columns.
    entropies: Vec<Vec<f64>>,
    /// What the rows so far lose in each column.
    lost: Vec<f64>,
    scratch: Scratch,
    members: Vec<Member>,
    stars: Vec<Member>,
}

impl<'a> Judge<'a> {
    fn new(problem: &'a Problem, layout: &'a Layout) -> Self {
        let entropies = match problem.options.metric {
            Metric::Entropy => entropies(problem),
            _ => vec![],
        };
        let (lost, members, stars) = (vec![], vec![], vec![]);
        Self { problem, layout, entropies, lost, scratch: Scratch::default(), members, stars }
    }

    /// Whether every node from this one upwards costs more than what was found. Classes only grow
    /// on the way up, and a row left out costs more than any class; entropy only grows too.
    fn is_beyond<W: Word>(&self, table: &Table<W>, levels: &[usize], seen: &Seen) -> bool {
        let Some(best) = &seen.best else { return false };
        let least = match self.problem.options.metric {
            Metric::Discernibility => {
                let squares = table.cells.iter().map(|cell| u128::from(cell.rows).pow(2));
                Cost(squares.sum(), 0.0, vec![])
            }
            Metric::Entropy => Cost(0, self.entropy(levels) * (1.0 - 1e-9), vec![]),
            Metric::Gcp | Metric::Loss | Metric::LossGeometric | Metric::LossRank => return false,
        };
        best.cost.is_less(&least)
    }

    fn entropy(&self, levels: &[usize]) -> f64 {
        levels.iter().zip(&self.entropies).map(|(level, entropy)| entropy[*level]).sum()
    }

    /// The outcome of a node, or `None` as soon as it is sure to change nothing of what was seen.
    fn outcome<W: Word>(
        &mut self,
        table: &Table<W>,
        levels: &[usize],
        slots: &mut Slots,
        seen: &Seen,
    ) -> Option<Outcome> {
        self.stars.clear();
        self.lost.clear();
        self.lost.resize(levels.len(), 0.0);
        let mut outcome =
            Outcome { cost: Cost(0, 0.0, vec![]), suppressed: 0, classes: 0, stars_are_safe: true };
        let allowed = allowed(self.problem);
        let is_vain = |outcome: &Outcome| match &seen.best {
            // Every class adds to the cost, and none takes away.
            Some(best) => outcome.suppressed > allowed || best.cost.is_less(&outcome.cost),
            None => outcome.suppressed > allowed.max(seen.fewest_suppressed.unwrap_or(u64::MAX)),
        };
        if self.problem.options.metric == Metric::Entropy {
            outcome.cost.1 = self.entropy(levels);
        }
        if is_vain(&outcome) {
            return None;
        }
        let problem = self.problem;
        let options = &problem.options;
        if problem.is_judged() {
            let (order, ends) = table.classes(self.layout, slots);
            let mut start = 0;
            for end in ends {
                let cells = &order[start..end];
                start = end;
                let (mut rows, mut units) = (0, 0);
                for cell in cells {
                    rows += table.cells[*cell as usize].rows;
                    units += table.units(*cell as usize);
                }
                self.members.clear();
                let member = |cell: &u32| table.member(self.layout, *cell as usize);
                // A person in several cells is counted in each: a bound, which most classes miss.
                let accepted = units >= options.k && {
                    self.members.extend(cells.iter().map(member));
                    self.problem.accepts(&self.members, &table.persons, &mut self.scratch)
                };
                if !accepted && options.star {
                    self.stars.extend(cells.iter().map(member));
                }
                let first = cells.first().map(|cell| table.cells[*cell as usize].key);
                self.add(&mut outcome, rows, accepted, first, levels);
                if is_vain(&outcome) {
                    return None;
                }
            }
        } else {
            for (index, cell) in table.cells.iter().enumerate() {
                let accepted = table.units(index) >= options.k;
                if !accepted && options.star {
                    self.stars.push(table.member(self.layout, index));
                }
                self.add(&mut outcome, cell.rows, accepted, Some(cell.key), levels);
                if is_vain(&outcome) {
                    return None;
                }
            }
        }
        if !self.stars.is_empty() {
            let persons = &table.persons;
            outcome.stars_are_safe = self.problem.accepts(&self.stars, persons, &mut self.scratch);
        }
        self.weigh(&mut outcome);
        Some(outcome)
    }

    /// Makes one cost of what the columns lose. The last digits of a sum depend on its order, so that
    /// levels that lose the same are told apart only above them.
    fn weigh(&mut self, outcome: &mut Outcome) {
        let rows = self.problem.rows.max(1) as f64;
        let shares = self.lost.iter().map(|lost| (lost / rows * 1e10).round() / 1e10);
        match self.problem.options.metric {
            Metric::LossGeometric => {
                let logs: f64 = shares.map(f64::ln_1p).sum();
                outcome.cost.1 = (logs / self.lost.len() as f64).exp_m1();
            }
            Metric::LossRank => {
                outcome.cost.2 = shares.collect();
                outcome.cost.2.sort_by(|a, b| b.total_cmp(a));
            }
            Metric::Discernibility | Metric::Entropy | Metric::Gcp | Metric::Loss => {}
        }
    }

    #[inline]
    fn add<W: Word>(
        &mut self,
        outcome: &mut Outcome,
        rows: u64,
        accepted: bool,
        key: Option<W>,
        levels: &[usize],
    ) {
        match accepted {
            true => outcome.classes += 1,
            false => outcome.suppressed += rows,
        }
        match self.problem.options.metric {
            Metric::Discernibility => {
                let each = if accepted { rows } else { self.problem.rows };
                outcome.cost.0 += u128::from(rows) * u128::from(each);
            }
            Metric::Gcp | Metric::Loss | Metric::LossGeometric | Metric::LossRank => {
                let problem = self.problem;
                let metric = problem.options.metric;
                let fields = self.layout.columns.iter().zip(&problem.columns).zip(levels);
                for (((field, column), level), lost) in fields.zip(&mut self.lost) {
                    let level = &column.levels[*level];
                    let losses = if metric == Metric::Gcp { &level.shares } else { &level.losses };
                    let loss = match key {
                        Some(key) if accepted => losses[key.get(*field) as usize],
                        _ => 1.0,
                    };
                    *lost += rows as f64 * loss;
                    if matches!(metric, Metric::Gcp | Metric::Loss) {
                        outcome.cost.1 += rows as f64 * loss;
                    }
                }
            }
            Metric::Entropy => {}
        }
    }
}

/// The non-uniform entropy that each level of each column loses, in bits: of each row, minus the log
/// of the share of its value among the rows with its label.
pub(super) fn entropies(problem: &Problem) -> Vec<Vec<f64>> {
    let columns = problem.columns.iter().enumerate();
    columns
        .map(|(index, column)| {
            let mut values = vec![0_u64; column.len()];
            for record in &problem.records {
                let code = problem.values(record.combination as usize)[index];
                values[code as usize] += record.rows;
            }
            let loss = |level: &super::domain::Level| {
                let mut labels = vec![0_u64; level.labels.len()];
                level.codes.iter().zip(&values).for_each(|(l, rows)| labels[*l as usize] += rows);
                let pairs = level.codes.iter().zip(&values).filter(|(_, rows)| **rows > 0);
                pairs
                    .map(|(label, rows)| {
                        let share = *rows as f64 / labels[*label as usize] as f64;
                        -(*rows as f64) * share.log2()
                    })
                    .sum::<f64>()
            };
            column.levels.iter().map(loss).collect()
        })
        .collect()
}
