// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The classes of one node of the lattice, rolled up from those of a node below.

use std::fmt::Debug;

use super::problem::{Member, Problem};

/// A combination of codes in the bits of one integer.
pub(super) trait Word: Copy + Debug + Ord + Send + Sync {
    const ZERO: Self;
    fn get(self, field: Field) -> u32;
    fn put(self, field: Field, code: u32) -> Self;
    fn hash(self) -> u64;
}

/// Where the code of a column stands in a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    shift: u32,
    bits: u32,
}

macro_rules! word {
    ($type:ty, $hash:expr) => {
        impl Word for $type {
            const ZERO: Self = 0;

            #[inline]
            fn get(self, field: Field) -> u32 {
                if field.bits == 0 {
                    return 0;
                }
                ((self >> field.shift) & ((1 << field.bits) - 1)) as u32
            }

            #[inline]
            fn put(self, field: Field, code: u32) -> Self {
                if field.bits == 0 {
                    return self;
                }
                let mask = ((1 << field.bits) - 1) << field.shift;
                (self & !mask) | (<$type>::from(code) << field.shift)
            }

            #[inline]
            fn hash(self) -> u64 {
                $hash(self)
            }
        }
    };
}
word!(u64, |word: u64| word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
word!(u128, |word: u128| {
    let (low, high) = (word as u64, (word >> 64) as u64);
    (low ^ high.rotate_left(29).wrapping_mul(0xff51_afd7_ed55_8ccd))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
});

/// The fields of a search: one a column, and one for the sensitive values.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) columns: Vec<Field>,
    pub(super) joint: Field,
    pub(super) bits: u32,
}

impl Layout {
    pub(super) fn new(problem: &Problem) -> Self {
        let width = |values: usize| usize::BITS - values.saturating_sub(1).leading_zeros();
        let joints = match problem.is_judged() {
            true => problem.joints.len() / problem.sensitive.len().max(1),
            false => 1,
        };
        let mut bits = 0;
        let mut field = |values: usize| {
            let field = Field { shift: bits, bits: width(values) };
            bits += field.bits;
            field
        };
        let joint = field(joints);
        let columns = problem.columns.iter().map(|column| field(column.len())).collect();
        Self { columns, joint, bits }
    }
}

/// The people of a class, or of a class and its combination of sensitive values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<W> {
    pub(super) key: W,
    pub(super) rows: u64,
    pub(super) units: u64,
}

/// The cells of a node, and the persons who are in several of those at the bottom.
#[derive(Clone, Debug)]
pub(super) struct Table<W> {
    pub(super) cells: Vec<Cell<W>>,
    /// Where the persons of each cell end; empty when there are none at all.
    pub(super) ends: Vec<usize>,
    pub(super) persons: Vec<u32>,
    /// How many persons of a cell are listed at most.
    limit: usize,
}

/// Memory that every roll-up uses again.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<u32>,
    targets: Vec<u32>,
}

impl Slots {
    /// The place of a key among keys: where it stands, or the next place, which it takes.
    #[inline]
    fn place<W: Word>(&mut self, key: W, next: usize, at: impl Fn(usize) -> W) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (key.hash() >> 32) as usize & mask;
        loop {
            match self.slots[slot] {
                0 => {
                    self.slots[slot] = next as u32 + 1;
                    return next;
                }
                found if at(found as usize - 1) == key => return found as usize - 1,
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn reset(&mut self, keys: usize) {
        self.slots.clear();
        self.slots.resize((2 * keys).next_power_of_two().max(16), 0);
        self.targets.clear();
    }
}

impl<W: Word> Table<W> {
    /// The cells at the bottom.
    pub(super) fn bottom(problem: &Problem, layout: &Layout) -> Self {
        // Where k alone is asked for, k persons of a cell say as much as all of them: any union of
        // cells that holds them is large enough.
        let limit = if problem.is_judged() { usize::MAX } else { problem.options.k as usize };
        let mut table = Self { cells: vec![], ends: vec![], persons: vec![], limit };
        for record in &problem.records {
            let values = problem.values(record.combination as usize);
            let mut key = W::ZERO
                .put(layout.joint, if layout.joint.bits > 0 { record.member.joint } else { 0 });
            for (field, code) in layout.columns.iter().zip(values) {
                key = key.put(*field, *code);
            }
            table.cells.push(Cell { key, rows: record.rows, units: record.member.units });
            if !problem.persons.is_empty() {
                table.persons.extend(&problem.persons[record.member.start..record.member.end]);
                table.ends.push(table.persons.len());
            }
        }
        // Records differ by sensitive values, of which the search may know nothing.
        table.merge(&mut Slots::default(), |key| key)
    }

    /// The cells when a column goes one level up.
    pub(super) fn roll(&self, slots: &mut Slots, field: Field, up: &[u32]) -> Self {
        self.merge(slots, |key| key.put(field, up[key.get(field) as usize]))
    }

    fn merge(&self, slots: &mut Slots, change: impl Fn(W) -> W) -> Self {
        slots.reset(self.cells.len());
        let mut cells: Vec<Cell<W>> = Vec::with_capacity(self.cells.len());
        let listed = !self.ends.is_empty();
        for cell in &self.cells {
            let key = change(cell.key);
            let place = slots.place(key, cells.len(), |place| cells[place].key);
            match cells.get_mut(place) {
                Some(known) => {
                    known.rows += cell.rows;
                    known.units += cell.units;
                }
                None => cells.push(Cell { key, ..*cell }),
            }
            if listed {
                slots.targets.push(place as u32);
            }
        }
        let (ends, persons) =
            if listed { self.regroup(&slots.targets, cells.len()) } else { (vec![], vec![]) };
        Self { cells, ends, persons, limit: self.limit }
    }

    /// The persons by the cells in which they are now, each once in a cell.
    fn regroup(&self, targets: &[u32], cells: usize) -> (Vec<usize>, Vec<u32>) {
        let mut pairs: Vec<(u32, u32)> = vec![];
        for (cell, target) in targets.iter().enumerate() {
            pairs.extend(self.persons_of(cell).iter().map(|person| (*target, *person)));
        }
        pairs.sort_unstable();
        pairs.dedup();
        let mut ends = vec![0; cells];
        let mut persons = Vec::with_capacity(pairs.len());
        for run in pairs.chunk_by(|a, b| a.0 == b.0) {
            let listed = &run[..run.len().min(self.limit)];
            persons.extend(listed.iter().map(|(_, person)| *person));
            ends[run[0].0 as usize] = persons.len();
        }
        // A cell without persons ends where the one before it does.
        (1..cells).for_each(|cell| ends[cell] = ends[cell].max(ends[cell - 1]));
        (ends, persons)
    }

    fn range(&self, cell: usize) -> std::ops::Range<usize> {
        match self.ends.get(cell) {
            Some(end) => cell.checked_sub(1).map_or(0, |before| self.ends[before])..*end,
            None => 0..0,
        }
    }

    fn persons_of(&self, cell: usize) -> &[u32] {
        &self.persons[self.range(cell)]
    }

    /// The persons in a cell: those counted, and those listed.
    #[inline]
    pub(super) fn units(&self, cell: usize) -> u64 {
        self.cells[cell].units + self.range(cell).len() as u64
    }

    /// A cell as part of a class.
    pub(super) fn member(&self, layout: &Layout, cell: usize) -> Member {
        let range = self.range(cell);
        let Cell { key, units, .. } = self.cells[cell];
        Member { joint: key.get(layout.joint), units, start: range.start, end: range.end }
    }

    /// The cells by class, where a class has several: the order of the cells, and where each class
    /// ends in it.
    pub(super) fn classes(&self, layout: &Layout, slots: &mut Slots) -> (Vec<u32>, Vec<usize>) {
        slots.reset(self.cells.len());
        let mut firsts: Vec<W> = vec![];
        for cell in &self.cells {
            let key = cell.key.put(layout.joint, 0);
            let place = slots.place(key, firsts.len(), |place| firsts[place]);
            if place == firsts.len() {
                firsts.push(key);
            }
            slots.targets.push(place as u32);
        }
        let mut starts = vec![0; firsts.len() + 1];
        slots.targets.iter().for_each(|class| starts[*class as usize + 1] += 1);
        (1..starts.len()).for_each(|class| starts[class] += starts[class - 1]);
        let mut order = vec![0; self.cells.len()];
        let mut next = starts.clone();
        for (cell, class) in slots.targets.iter().enumerate() {
            order[next[*class as usize]] = cell as u32;
            next[*class as usize] += 1;
        }
        (order, starts.split_off(1))
    }
}
