// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Integers wide enough for sums of fourth powers, added without a branch.

use arrow::datatypes::i256;

/// A two's complement integer of `N` words of 64 bits, the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wide<const N: usize>([u64; N]);

impl<const N: usize> Default for Wide<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Wide<N> {
    /// The number of bytes that [`Wide::write`] appends.
    pub(super) const WIDTH: usize = 8 * N;

    /// Adds `magnitude`, or takes it away.
    #[inline]
    pub(super) fn add_signed(&mut self, magnitude: [u64; N], negative: bool) {
        // −m is !m + 1: the words are flipped by a mask, and the 1 comes in as the carry.
        let mask = 0_u64.wrapping_sub(u64::from(negative));
        let mut carry = negative;
        for (word, part) in self.0.iter_mut().zip(magnitude) {
            (*word, carry) = word.carrying_add(part ^ mask, carry);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.add_signed(other.0, false);
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        self.0.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    }

    pub(super) fn from_words(words: [u64; N]) -> Self {
        Self(words)
    }

    /// The same number; `N` is at most 4.
    pub(super) fn widen(&self) -> i256 {
        let sign = if self.0[N - 1] >> 63 == 1 { u64::MAX } else { 0 };
        let word = |i: usize| u128::from(self.0.get(i).copied().unwrap_or(sign));
        i256::from_parts(word(0) | word(1) << 64, (word(2) | word(3) << 64).cast_signed())
    }
}

/// The words of a product of 128 by 64 bits.
#[inline]
pub(super) fn times(a: u128, b: u64) -> [u64; 4] {
    let b = u128::from(b);
    let low = u128::from(a as u64) * b;
    let high = (a >> 64) * b + (low >> 64);
    [low as u64, high as u64, (high >> 64) as u64, 0]
}

/// The words of a product of 128 by 128 bits.
#[inline]
pub(super) fn product(a: u128, b: u128) -> [u64; 4] {
    let (low, high) = (times(a, b as u64), times(a, (b >> 64) as u64));
    let mut sum = Wide(low);
    sum.add_signed([0, high[0], high[1], high[2]], false);
    sum.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn as_arrow_has_it() {
        let mut random = Random::new(8);
        let (mut sum, mut expected) = (Wide::<4>::default(), i256::ZERO);
        for _ in 0..1000 {
            let shift = random.below(60) as u32;
            let (a, b) = (u128::from(random.next()) << shift, u128::from(random.next() >> shift));
            let exact = i256::from_parts(a, 0).wrapping_mul(i256::from_parts(b, 0));
            assert_eq!(Wide(product(a, b)).widen(), exact);
            assert_eq!(Wide(times(a, b as u64)).widen(), exact);
            let negative = random.one_in(2);
            sum.add_signed(product(a, b), negative);
            expected =
                if negative { expected.wrapping_sub(exact) } else { expected.wrapping_add(exact) };
            assert_eq!(sum.widen(), expected);
        }
        let mut small = Wide::<2>::default();
        small.add_signed([5, 0], true);
        assert_eq!(small.widen(), i256::from_i128(-5));
    }
}
