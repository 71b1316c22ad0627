// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Regression with an effect of each sku and of each period, exactly and without alternating projections.
//!
//! The skus' effects are weighted means and leave a system of as many equations as there are periods, which is solved
//! once: O(n + Σ Tᵢ² + T³) for n observations, Tᵢ of a sku, and T periods.

/// One sku in one period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Observation {
    pub(super) sku: usize,
    pub(super) period: usize,
    pub(super) quantity: f64,
    /// ln price
    pub(super) x: f64,
}

/// The pooled slope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pooled {
    pub(super) slope: f64,
    /// Clustered by sku; `None` with one sku only.
    pub(super) std_error: Option<f64>,
    pub(super) r2: Option<f64>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No price moves apart from the others.
    NotIdentified,
    NotConverged,
}

/// The observations after those that only their own effects explain are gone, numbered anew.
pub(super) struct Panel {
    pub(super) observations: Vec<Observation>,
    pub(super) skus: usize,
    pub(super) periods: usize,
}

impl Panel {
    /// Takes out, until none is left, the observations of skus and periods that have one only, and with `zeros` those of
    /// skus and periods that sold nothing: an effect of minus infinity explains them.
    pub(super) fn new(mut all: Vec<Observation>, zeros: bool) -> Self {
        loop {
            let length = all.len();
            let of = |key: &dyn Fn(&Observation) -> usize| {
                let mut counts =
                    vec![(0_usize, false); all.iter().map(key).max().map_or(0, |m| m + 1)];
                for o in &all {
                    let (count, sold) = &mut counts[key(o)];
                    *count += 1;
                    *sold |= o.quantity > 0.0;
                }
                counts
            };
            let (skus, periods) = (of(&|o| o.sku), of(&|o| o.period));
            let stays = |(count, sold): (usize, bool)| count > 1 && (sold || !zeros);
            all.retain(|o| stays(skus[o.sku]) && stays(periods[o.period]));
            if all.len() == length {
                break;
            }
        }
        let skus = renumber(all.iter_mut().map(|o| &mut o.sku));
        let periods = renumber(all.iter_mut().map(|o| &mut o.period));
        Self { observations: all, skus, periods }
    }

    /// Least squares of ln quantity.
    pub(super) fn least_squares(&self) -> Result<Pooled, Failure> {
        let weights = vec![1.0; self.observations.len()];
        let y: Vec<f64> = self.observations.iter().map(|o| o.quantity.ln()).collect();
        let system = System::new(self, &weights);
        let fit = self.weighted(&system, &y)?;
        let scores: Vec<f64> = fit.left.iter().zip(&fit.residuals).map(|(x, e)| x * e).collect();
        let mean = y.iter().sum::<f64>() / y.len() as f64;
        let total: f64 = y.iter().map(|v| (v - mean) * (v - mean)).sum();
        let rest: f64 = fit.residuals.iter().map(|e| e * e).sum();
        let r2 = (total > 0.0).then(|| (1.0 - rest / total).clamp(0.0, 1.0));
        Ok(Pooled { slope: fit.slope, std_error: self.clustered(&scores, fit.sxx), r2 })
    }

    /// Poisson pseudo maximum likelihood.
    pub(super) fn poisson(&self) -> Result<Pooled, Failure> {
        let y: Vec<f64> = self.observations.iter().map(|o| o.quantity).collect();
        let mean = y.iter().sum::<f64>() / y.len().max(1) as f64;
        let mut mu: Vec<f64> = y.iter().map(|v| (v + mean) / 2.0).collect();
        for _ in 0..200 {
            let working: Vec<f64> = y.iter().zip(&mu).map(|(y, m)| m.ln() + (y - m) / m).collect();
            let system = System::new(self, &mu);
            let fit = self.weighted(&system, &working)?;
            // Half a step keeps a first one that overshoots within bounds; near the end steps are short and whole.
            let next: Vec<f64> = working
                .iter()
                .zip(&fit.residuals)
                .zip(&mu)
                .map(|((z, e), m)| (z - e).clamp(m.ln() - 3.0, m.ln() + 3.0).exp())
                .collect();
            let moved = next.iter().zip(&mu).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max);
            if next.iter().any(|m| !m.is_finite() || *m < 1e-200) {
                return Err(Failure::NotConverged);
            }
            mu = next;
            if moved < 1e-11 {
                let system = System::new(self, &mu);
                let last = self.weighted(
                    &system,
                    &y.iter().zip(&mu).map(|(y, m)| m.ln() + (y - m) / m).collect::<Vec<_>>(),
                )?;
                let scores: Vec<f64> = last
                    .left
                    .iter()
                    .zip(y.iter().zip(&mu))
                    .map(|(x, (y, m))| x * (y - m))
                    .collect();
                let deviance = |m: &dyn Fn(usize) -> f64| -> f64 {
                    y.iter()
                        .enumerate()
                        .map(
                            |(i, y)| if *y > 0.0 { y * (y / m(i)).ln() - (y - m(i)) } else { m(i) },
                        )
                        .sum()
                };
                let (left, nothing) = (deviance(&|i| mu[i]), deviance(&|_| mean));
                let r2 = (nothing > 0.0).then(|| (1.0 - left / nothing).clamp(0.0, 1.0));
                return Ok(Pooled {
                    slope: last.slope,
                    std_error: self.clustered(&scores, last.sxx),
                    r2,
                });
            }
        }
        Err(Failure::NotConverged)
    }

    /// The slope of y on x beside the effects.
    fn weighted(&self, system: &System<'_>, y: &[f64]) -> Result<Fit, Failure> {
        let x: Vec<f64> = self.observations.iter().map(|o| o.x).collect();
        let (left, mut residuals) = (system.residuals(&x), system.residuals(y));
        let sum = |a: &[f64], b: &[f64]| -> f64 {
            a.iter().zip(b).zip(system.weights).map(|((a, b), w)| w * a * b).sum()
        };
        let sxx = sum(&left, &left);
        if sxx.is_nan() || sxx <= 1e-18 * sum(&x, &x).max(1e-300) {
            return Err(Failure::NotIdentified);
        }
        let slope = sum(&left, &residuals) / sxx;
        residuals.iter_mut().zip(&left).for_each(|(e, x)| *e -= slope * x);
        Ok(Fit { slope, sxx, left, residuals })
    }

    /// CRV1: the skus' sums of scores, with the corrections of fixest for effects nested in clusters: the skus' effects
    /// count as one coefficient, the periods' as one less than there are, and with the slope and one more that makes T + 1.
    /// Of two skus, what one is above the effects the other is below them: their scores are 0 whatever the data, and say
    /// nothing.
    fn clustered(&self, scores: &[f64], sxx: f64) -> Option<f64> {
        let (n, k, g) = (scores.len() as f64, (self.periods + 1) as f64, self.skus as f64);
        if self.skus < 3 || n <= k {
            return None;
        }
        let mut sums = vec![0.0; self.skus];
        self.observations.iter().zip(scores).for_each(|(o, s)| sums[o.sku] += s);
        let middle: f64 = sums.iter().map(|s| s * s).sum();
        Some(((n - 1.0) / (n - k) * g / (g - 1.0) * middle).sqrt() / sxx)
    }
}

struct Fit {
    slope: f64,
    sxx: f64,
    left: Vec<f64>,
    residuals: Vec<f64>,
}

/// Gives what is there numbers from 0, in the old order, and says how many there are.
fn renumber<'a>(numbers: impl Iterator<Item = &'a mut usize>) -> usize {
    let numbers: Vec<&mut usize> = numbers.collect();
    let mut old: Vec<usize> = numbers.iter().map(|n| **n).collect();
    old.sort_unstable();
    old.dedup();
    for number in numbers {
        *number = old.partition_point(|o| *o < *number);
    }
    old.len()
}

/// The equations of the periods' effects under one set of weights, factorised.
struct System<'a> {
    panel: &'a Panel,
    weights: &'a [f64],
    /// The sum of the weights of each sku.
    of_skus: Vec<f64>,
    /// LDLᵀ, row by row; a period that the others determine has a pivot of 0.
    lower: Vec<Vec<f64>>,
    pivots: Vec<f64>,
}

impl<'a> System<'a> {
    fn new(panel: &'a Panel, weights: &'a [f64]) -> Self {
        let t = panel.periods;
        let mut of_skus = vec![0.0; panel.skus];
        let mut matrix: Vec<Vec<f64>> = (0..t).map(|i| vec![0.0; i + 1]).collect();
        for (o, w) in panel.observations.iter().zip(weights) {
            of_skus[o.sku] += w;
            matrix[o.period][o.period] += w;
        }
        // The observations of a sku stand together.
        let mut start = 0;
        for of in panel.observations.chunk_by(|a, b| a.sku == b.sku) {
            let w = &weights[start..start + of.len()];
            start += of.len();
            let total = of_skus[of[0].sku];
            for (a, wa) in of.iter().zip(w) {
                for (b, wb) in of.iter().zip(w) {
                    if b.period <= a.period {
                        matrix[a.period][b.period] -= wa * wb / total;
                    }
                }
            }
        }
        let mut diagonal: Vec<f64> = vec![0.0; t];
        panel.observations.iter().zip(weights).for_each(|(o, w)| diagonal[o.period] += w);
        let mut pivots = vec![0.0; t];
        for i in 0..t {
            let (before, rest) = matrix.split_at_mut(i);
            let row = &mut rest[0];
            for j in 0..i {
                let known: f64 = (0..j).map(|k| row[k] * before[j][k] * pivots[k]).sum();
                row[j] = if pivots[j] > 0.0 { (row[j] - known) / pivots[j] } else { 0.0 };
            }
            let known: f64 = (0..i).map(|k| row[k] * row[k] * pivots[k]).sum();
            let pivot = row[i] - known;
            pivots[i] = if pivot > 1e-11 * diagonal[i] { pivot } else { 0.0 };
        }
        Self { panel, weights, of_skus, lower: matrix, pivots }
    }

    /// What both effects leave of a column. Twice, which mends the digits lost to a system nearly singular.
    fn residuals(&self, column: &[f64]) -> Vec<f64> {
        let once = self.without_effects(column);
        self.without_effects(&once)
    }

    fn without_effects(&self, column: &[f64]) -> Vec<f64> {
        let mut left = self.without_skus(column);
        let mut effects = vec![0.0; self.panel.periods];
        for ((o, w), v) in self.panel.observations.iter().zip(self.weights).zip(&left) {
            effects[o.period] += w * v;
        }
        self.solve(&mut effects);
        for (o, v) in self.panel.observations.iter().zip(&mut left) {
            *v -= effects[o.period];
        }
        self.without_skus(&left)
    }

    fn without_skus(&self, column: &[f64]) -> Vec<f64> {
        let mut means = vec![0.0; self.panel.skus];
        for ((o, w), v) in self.panel.observations.iter().zip(self.weights).zip(column) {
            means[o.sku] += w * v / self.of_skus[o.sku];
        }
        self.panel.observations.iter().zip(column).map(|(o, v)| v - means[o.sku]).collect()
    }

    fn solve(&self, b: &mut [f64]) {
        let t = b.len();
        for i in 0..t {
            let known: f64 = (0..i).map(|k| self.lower[i][k] * b[k]).sum();
            b[i] -= known;
        }
        for (v, pivot) in b.iter_mut().zip(&self.pivots) {
            *v = if *pivot > 0.0 { *v / pivot } else { 0.0 };
        }
        for i in (0..t).rev() {
            let known: f64 = (i + 1..t).map(|k| self.lower[k][i] * b[k]).sum();
            b[i] = if self.pivots[i] > 0.0 { b[i] - known } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regression;
    use crate::testing::Random;

    fn random(random: &mut Random, skus: usize, periods: usize, zeros: bool) -> Vec<Observation> {
        let mut all = vec![];
        for sku in 0..skus {
            for period in 0..periods {
                if random.one_in(4) {
                    continue;
                }
                let unit = |r: &mut Random| r.below(1 << 30) as f64 / f64::from(1 << 30);
                let x = 2.0 + sku as f64 / 5.0 + 0.4 * unit(random);
                let mean =
                    (1.0 + sku as f64 / 10.0 + (period as f64).sin() / 2.0 - 1.5 * (x - 2.0)).exp();
                let quantity = mean * (0.5 + unit(random));
                let quantity = if zeros { quantity.floor() } else { quantity };
                all.push(Observation { sku, period, quantity, x });
            }
        }
        all
    }

    /// Dummies for every sku and every period but the first.
    fn dummies(panel: &Panel) -> Vec<Vec<f64>> {
        let flags = |is: &dyn Fn(&Observation) -> bool| -> Vec<f64> {
            panel.observations.iter().map(|o| f64::from(u8::from(is(o)))).collect()
        };
        let mut columns: Vec<Vec<f64>> = (1..panel.skus).map(|s| flags(&|o| o.sku == s)).collect();
        columns.extend((1..panel.periods).map(|p| flags(&|o| o.period == p)));
        columns
    }

    #[test]
    fn as_a_regression_on_dummies() {
        let mut dice = Random::new(31);
        for (skus, periods) in [(2, 3), (6, 9), (12, 5)] {
            let panel = Panel::new(random(&mut dice, skus, periods, false), false);
            let x: Vec<f64> = panel.observations.iter().map(|o| o.x).collect();
            let y: Vec<f64> = panel.observations.iter().map(|o| o.quantity.ln()).collect();
            let expected = regression::least_squares(&y, &x, &dummies(&panel));
            match (panel.least_squares(), expected) {
                (Ok(found), Ok(expected)) => assert!((found.slope - expected.slope).abs() < 1e-10),
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
            let panel = Panel::new(random(&mut dice, skus + 4, periods + 4, true), true);
            let x: Vec<f64> = panel.observations.iter().map(|o| o.x).collect();
            let y: Vec<f64> = panel.observations.iter().map(|o| o.quantity).collect();
            let expected = regression::poisson(&y, &x, &dummies(&panel));
            match (panel.poisson(), expected) {
                (Ok(found), Ok(expected)) => {
                    assert!((found.slope - expected.slope).abs() < 1e-9, "{found:?}");
                    assert!((found.r2.unwrap_or(0.0) - expected.r2.unwrap_or(1.0)).abs() < 1e-9);
                }
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
        }
    }

    #[test]
    fn two_groups_of_skus_that_share_no_period() {
        let mut dice = Random::new(32);
        let mut all = random(&mut dice, 4, 6, false);
        let mut others = random(&mut dice, 4, 6, false);
        others.iter_mut().for_each(|o| (o.sku, o.period) = (o.sku + 4, o.period + 6));
        all.extend(others);
        let panel = Panel::new(all, false);
        let x: Vec<f64> = panel.observations.iter().map(|o| o.x).collect();
        let y: Vec<f64> = panel.observations.iter().map(|o| o.quantity.ln()).collect();
        let expected = regression::least_squares(&y, &x, &dummies(&panel)).map(|s| s.slope);
        let found = panel.least_squares().map(|p| p.slope).unwrap_or(f64::NAN);
        assert!((found - expected.unwrap_or(0.0)).abs() < 1e-10);
    }

    #[test]
    fn what_says_nothing_is_taken_out() {
        let o = |sku, period, quantity| Observation { sku, period, quantity, x: 1.0 };
        // Sku 7 has one period; without it period 3 has one sku; without that sku 1 has one period.
        let all = vec![
            o(0, 0, 1.0),
            o(0, 1, 1.0),
            o(1, 0, 2.0),
            o(1, 1, 2.0),
            o(2, 0, 1.0),
            o(2, 3, 1.0),
            o(7, 3, 1.0),
        ];
        let panel = Panel::new(all, false);
        assert_eq!((panel.observations.len(), panel.skus, panel.periods), (4, 2, 2));
        assert_eq!(panel.least_squares(), Err(Failure::NotIdentified));
        let zeros = Panel::new(vec![o(0, 0, 0.0), o(0, 1, 1.0), o(1, 0, 0.0), o(1, 1, 2.0)], true);
        assert!(zeros.observations.is_empty());
        assert!(Panel::new(vec![], true).poisson().is_err());
    }
}
