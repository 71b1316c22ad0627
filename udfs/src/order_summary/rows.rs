// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The rows of all groups in two flat columns, handed out group by group.

use datafusion_common::{Result, exec_datafusion_err};

use crate::pieces::Pieces;

/// One row with an order id: 24 bytes, or 32 for a wide decimal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row<A> {
    /// The identity of the order id.
    pub(super) order: u64,
    /// The time of the order, or [`NO_TIME`].
    pub(super) at: i64,
    pub(super) amount: A,
}

/// A NULL time. The smallest value, so that a known time is always the later one.
pub(super) const NO_TIME: i64 = i64::MIN;

/// Rows in order of arrival, sorted by group only when somebody asks.
///
/// A merge of spilled, sorted state and an aggregation over sorted input append in group order, so
/// that nothing is ever sorted there, and emitting the first groups costs only what is emitted.
#[derive(Debug)]
pub(super) struct Rows<A> {
    /// The group of each row, counted from `base`.
    groups: Vec<u32>,
    rows: Pieces<Row<A>>,
    /// Rows before `start` are emitted but not yet dropped, and so are the groups before `base`:
    /// dropping them at once would move all remaining rows for each emission.
    start: usize,
    base: u32,
    in_group_order: bool,
}

impl<A: Copy> Rows<A> {
    pub(super) fn new() -> Self {
        Self { groups: vec![], rows: Pieces::default(), start: 0, base: 0, in_group_order: true }
    }

    pub(super) fn push(&mut self, group: usize, row: Row<A>) -> Result<()> {
        let group = u32::try_from(group)
            .ok()
            .and_then(|group| group.checked_add(self.base))
            .ok_or_else(too_many)?;
        self.in_group_order &= self.groups.last().is_none_or(|last| *last <= group);
        self.groups.push(group);
        self.rows.push(row);
        Ok(())
    }

    pub(super) fn reserve(&mut self, additional: usize) {
        self.groups.reserve(additional);
    }

    /// Calls `visit` with the rows of each of the first `groups` groups, of `total` in all, in an
    /// unspecified order within the group. `visit` may reorder its slice, which is a copy.
    pub(super) fn visit(
        &mut self,
        groups: usize,
        total: usize,
        mut visit: impl FnMut(usize, &mut [Row<A>]) -> Result<()>,
    ) -> Result<()> {
        if !self.in_group_order && groups < total {
            // More emissions will follow: pay for the order once.
            self.sort(total)?;
        }
        if self.in_group_order {
            let mut copy: Vec<Row<A>> = vec![];
            let mut from = self.start;
            for group in 0..groups {
                let mut to = from;
                while self.groups.get(to).is_some_and(|g| (*g - self.base) as usize == group) {
                    to += 1;
                }
                copy.clear();
                copy.extend((from..to).map(|at| self.rows[at]));
                visit(group, &mut copy)?;
                from = to;
            }
        } else {
            self.visit_unsorted(total, visit)?;
        }
        Ok(())
    }

    /// Everything leaves at once. An index needs 4 bytes a row, where a sorted copy of the rows
    /// would need 28; and ranges of groups go one after the other because rows that lie anywhere
    /// in memory are fetched many times faster by a loop that does nothing else, after which
    /// ordering them takes place in the cache.
    fn visit_unsorted(
        &mut self,
        total: usize,
        mut visit: impl FnMut(usize, &mut [Row<A>]) -> Result<()>,
    ) -> Result<()> {
        const SHIFT: u32 = 12;
        let (index, ends) = self.index(SHIFT, total.div_ceil(1 << SHIFT))?;
        let (mut groups, mut rows, mut sorted) = (vec![], vec![], vec![]);
        let mut from = 0;
        for (range, end) in ends.into_iter().enumerate() {
            let index = &index[from..end as usize];
            from = end as usize;
            let first = range << SHIFT;
            groups.clear();
            groups.extend(index.iter().map(|at| self.groups[*at as usize] as usize - first));
            rows.clear();
            rows.extend(index.iter().map(|at| self.rows[*at as usize]));
            sorted.clear();
            sorted.extend_from_slice(&rows);
            let mut ends = starts(groups.iter().copied(), (total - first).min(1 << SHIFT));
            for (group, row) in groups.iter().zip(&rows) {
                let next = &mut ends[*group];
                sorted[*next as usize] = *row;
                *next += 1;
            }
            let mut from = 0;
            for (group, end) in ends.into_iter().enumerate() {
                visit(first + group, &mut sorted[from..end as usize])?;
                from = end as usize;
            }
        }
        Ok(())
    }

    /// Drops the first `groups` groups of `total`, and counts the others from 0 again.
    pub(super) fn drop_first(&mut self, groups: usize, total: usize) -> Result<()> {
        if groups >= total {
            *self = Self::new();
            return Ok(());
        }
        if !self.in_group_order {
            self.sort(total)?;
        }
        let groups = u32::try_from(groups).map_err(|_| too_many())?;
        self.base += groups;
        let base = self.base;
        self.start += self.groups[self.start..].partition_point(|group| *group < base);
        if self.start * 2 >= self.rows.len() || base > u32::MAX / 2 {
            self.rebase();
        }
        Ok(())
    }

    pub(super) fn size(&self) -> usize {
        self.groups.capacity() * size_of::<u32>() + self.rows.size()
    }

    fn rebase(&mut self) {
        if self.start > 0 {
            self.rows = self.rows.iter().skip(self.start).copied().collect();
        }
        self.groups.drain(..self.start);
        self.groups.iter_mut().for_each(|group| *group -= self.base);
        self.start = 0;
        self.base = 0;
    }

    fn sort(&mut self, total: usize) -> Result<()> {
        self.rebase();
        let (index, ends) = self.index(0, total)?;
        self.rows = index.iter().map(|at| self.rows[*at as usize]).collect();
        let mut from = 0;
        for (group, end) in ends.into_iter().enumerate() {
            // `push` accepted every group as a `u32`.
            self.groups[from..end as usize].fill(group as u32);
            from = end as usize;
        }
        self.in_group_order = true;
        Ok(())
    }

    /// A counting sort by ranges of 2^`shift` groups: the positions of the rows range by range, and
    /// the end of each range in them.
    fn index(&mut self, shift: u32, ranges: usize) -> Result<(Vec<u32>, Vec<u32>)> {
        self.rebase();
        if u32::try_from(self.rows.len()).is_err() {
            return Err(too_many());
        }
        let mut ends = starts(self.groups.iter().map(|group| (*group >> shift) as usize), ranges);
        let mut index = vec![0_u32; self.rows.len()];
        for (at, group) in self.groups.iter().enumerate() {
            let next = &mut ends[(*group >> shift) as usize];
            index[*next as usize] = at as u32;
            *next += 1;
        }
        Ok((index, ends))
    }
}

/// Where each bucket starts when items are ordered by bucket. Advanced by one for each item that is
/// put in its place, a start becomes the end.
fn starts(items: impl Iterator<Item = usize>, buckets: usize) -> Vec<u32> {
    let mut starts = vec![0_u32; buckets];
    items.for_each(|bucket| starts[bucket] += 1);
    let mut sum = 0;
    for start in &mut starts {
        sum += std::mem::replace(start, sum);
    }
    starts
}

fn too_many() -> datafusion_common::DataFusionError {
    exec_datafusion_err!(
        "`order_summary` holds at most {} rows and groups per partition; use more partitions",
        u32::MAX
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_unsorted_groups_leave_in_order() -> Result<()> {
        const GROUPS: usize = 10_001;
        let mut rows = Rows::new();
        for order in 0..30_000 {
            push(&mut rows, &[(order as usize * 7919 % GROUPS, order)])?;
        }
        assert!(!rows.in_group_order);
        let seen = collect(&mut rows, GROUPS, GROUPS)?;
        assert_eq!(seen.len(), GROUPS);
        for (group, orders) in seen.into_iter().enumerate() {
            assert!(orders.iter().all(|order| *order as usize * 7919 % GROUPS == group));
            assert!((2..=3).contains(&orders.len()));
        }
        Ok(())
    }

    fn collect(rows: &mut Rows<i64>, groups: usize, total: usize) -> Result<Vec<Vec<u64>>> {
        let mut seen = vec![];
        rows.visit(groups, total, |group, rows| {
            assert_eq!(group, seen.len());
            let mut orders: Vec<u64> = rows.iter().map(|row| row.order).collect();
            orders.sort_unstable();
            seen.push(orders);
            Ok(())
        })?;
        rows.drop_first(groups, total)?;
        Ok(seen)
    }

    fn push(rows: &mut Rows<i64>, pairs: &[(usize, u64)]) -> Result<()> {
        pairs
            .iter()
            .try_for_each(|&(group, order)| rows.push(group, Row { order, at: 0, amount: 0 }))
    }

    #[test]
    fn unsorted_rows_leave_by_group() -> Result<()> {
        let mut rows = Rows::new();
        push(&mut rows, &[(3, 1), (0, 2), (3, 3), (1, 4)])?;
        assert_eq!(collect(&mut rows, 4, 4)?, vec![vec![2], vec![4], vec![], vec![1, 3]]);
        assert_eq!(rows.size(), 0);
        Ok(())
    }

    #[test]
    fn first_groups_leave_and_the_rest_is_renumbered() -> Result<()> {
        let mut rows = Rows::new();
        push(&mut rows, &[(4, 1), (0, 2), (1, 3), (4, 4), (2, 5), (4, 6), (3, 7)])?;
        assert_eq!(collect(&mut rows, 1, 5)?, vec![vec![2]]);
        assert_eq!((rows.start, rows.base), (1, 1), "one row of seven is not worth moving six");
        // Old group 4 is now group 3, and group 0 continues.
        push(&mut rows, &[(3, 8), (0, 9)])?;
        assert_eq!(collect(&mut rows, 2, 4)?, vec![vec![3, 9], vec![5]]);
        assert_eq!(collect(&mut rows, 0, 2)?, Vec::<Vec<u64>>::new());
        assert_eq!(collect(&mut rows, 2, 2)?, vec![vec![7], vec![1, 4, 6, 8]]);
        Ok(())
    }

    #[test]
    fn sorted_rows_stay_sorted() -> Result<()> {
        let mut rows = Rows::new();
        for round in 0..10 {
            push(&mut rows, &[(0, round), (1, round), (2, round)])?;
            assert!(rows.in_group_order);
            assert_eq!(collect(&mut rows, 3, 4)?.len(), 3);
        }
        Ok(())
    }
}
