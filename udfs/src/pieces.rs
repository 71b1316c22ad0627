// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A list that grows without moving what it holds.
//!
//! A vector of a hundred megabytes that grows copies them into two hundred megabytes that no one has touched before, which
//! the system has to clear first.

use std::ops::Index;

/// Items of a piece; a power of two, so that an index is two shifts.
const PIECE: usize = 1 << 16;

/// See the [module documentation](self).
#[derive(Clone, Debug)]
pub(crate) struct Pieces<T> {
    /// All but the last are full. The first one grows as vectors do, so that a short list is small.
    pieces: Vec<Vec<T>>,
}

impl<T> Pieces<T> {
    pub(crate) fn push(&mut self, item: T) {
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push(item),
            Some(_) => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(item);
                self.pieces.push(piece);
            }
            None => self.pieces.push(vec![item]),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    /// The bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        self.pieces.iter().map(|piece| piece.capacity() * size_of::<T>()).sum()
    }
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self { pieces: vec![] }
    }
}

impl<T> Index<usize> for Pieces<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.pieces[index / PIECE][index % PIECE]
    }
}

impl<T> Extend<T> for Pieces<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(item));
    }
}

impl<T> FromIterator<T> for Pieces<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut pieces = Self::default();
        pieces.extend(items);
        pieces
    }
}

impl<T> IntoIterator for Pieces<T> {
    type Item = T;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Vec<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stand_where_they_were_put() {
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let list: Pieces<usize> = (0..len).collect();
            assert_eq!(list.len(), len);
            assert!(list.iter().enumerate().all(|(at, item)| at == *item && list[at] == at));
            assert!(list.size() >= len * size_of::<usize>());
            assert!(list.size() <= (2 * len).max(4).min(len + PIECE) * size_of::<usize>(), "{len}");
            assert!(list.into_iter().eq(0..len));
        }
    }
}
