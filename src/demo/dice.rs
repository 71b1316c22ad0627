// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Chance that can be repeated: one independent stream of numbers for each thing in the shop.
//!
//! A stream depends on the seed, the kind of thing and its number, on nothing that happened before. So any order can be
//! drawn again, by any thread, at any time, and is the same.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The kinds of thing that own a stream. The numbers are part of the output: a new kind gets a new number.
#[derive(Clone, Copy)]
pub(super) enum Thing {
    Day = 1,
    Sku = 2,
    Person = 3,
    Profile = 4,
    Order = 5,
    Journey = 6,
    Visitor = 7,
    Aftermath = 8,
    Browsing = 9,
    TestOrder = 10,
    Mail = 11,
    Spend = 12,
    Stock = 13,
}

/// A stream of chance.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64, thing: Thing, index: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(thing as u64).to_le_bytes());
        key[16..24].copy_from_slice(&index.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        f64::from(self.0.next_u32()) < probability * 4_294_967_296.0
    }

    /// Uniform in 0..n, for an n far below 2^32, where the bias of a multiplication is not seen.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(super) fn pick<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())]
    }

    /// The index drawn with the given cumulative weights, the last of which is the total. An index of weight 0 is never
    /// drawn as long as any weight is above 0.
    pub(super) fn weighted(&mut self, cumulative: &[f64]) -> usize {
        let total = cumulative.last().copied().unwrap_or(0.0);
        let x = self.unit() * total;
        cumulative.partition_point(|&c| c <= x).min(cumulative.len().saturating_sub(1))
    }

    /// Mean 1.
    pub(super) fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// Mean 0, deviation 1 (Box and Muller; the second value is thrown away to keep no state).
    pub(super) fn normal(&mut self) -> f64 {
        (2.0 * self.exponential()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Mean `shape`, scale 1 (Marsaglia and Tsang 2000, with their boost for shapes below 1).
    pub(super) fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.gamma(shape + 1.0) * (1.0 - self.unit()).powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// 1, 2, 3 … up to `most`, each next one with probability `more`.
    pub(super) fn run(&mut self, more: f64, most: usize) -> usize {
        let mut n = 1;
        while n < most && self.chance(more) {
            n += 1;
        }
        n
    }
}

/// Running sums, as [`Dice::weighted`] wants them.
pub(super) fn cumulative(weights: impl IntoIterator<Item = f64>) -> Vec<f64> {
    weights
        .into_iter()
        .scan(0.0, |sum, w| {
            *sum += w;
            Some(*sum)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let mut dice = Dice::new(1, Thing::Day, 0);
        let n = 20_000;
        let mean = |f: &mut dyn FnMut() -> f64| (0..n).map(|_| f()).sum::<f64>() / f64::from(n);
        assert!((mean(&mut || dice.unit()) - 0.5).abs() < 0.01);
        assert!((mean(&mut || dice.exponential()) - 1.0).abs() < 0.03);
        assert!(mean(&mut || dice.normal()).abs() < 0.03);
        assert!((mean(&mut || dice.gamma(0.5)) - 0.5).abs() < 0.03);
        assert!((mean(&mut || dice.gamma(3.0)) - 3.0).abs() < 0.06);
    }

    #[test]
    fn weight_zero_is_never_drawn() {
        let mut dice = Dice::new(1, Thing::Day, 1);
        let weights = cumulative([0.0, 1.0, 0.0, 2.0, 0.0]);
        for _ in 0..1000 {
            assert!(matches!(dice.weighted(&weights), 1 | 3));
        }
    }
}
