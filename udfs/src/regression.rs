// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Regressions of which one slope is wanted: least squares and Poisson, with controls and HC1 errors.
//!
//! By the theorem of Frisch, Waugh and Lovell the slope of x beside controls is that of what the controls leave of x, so
//! that the controls' own coefficients are never needed. They are made orthonormal one after the other, and taken out of
//! x and y, by the modified Gram-Schmidt process, twice, which is as stable as Householder's QR. A control that the ones
//! before it explain is dropped: the order decides which, and nothing else. All sums run in the order of the rows.

/// The slope of x.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slope {
    pub(crate) slope: f64,
    /// HC1: the sandwich times n / (n − k); `None` where there are as many coefficients as rows.
    pub(crate) std_error: Option<f64>,
    /// n − k.
    pub(crate) df: f64,
    /// The share of the variance (least squares) or of the deviance (Poisson) that is explained.
    pub(crate) r2: Option<f64>,
    /// y less what is expected; for Poisson divided by the root of what is expected.
    pub(crate) residuals: Vec<f64>,
}

/// Why there is no slope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Fewer rows than coefficients.
    TooFewRows,
    /// x does not vary, or the controls explain it whole.
    NotIdentified,
    /// The iteration found no end.
    NotConverged,
}

/// Least squares of y on an intercept, the controls and x.
pub(crate) fn least_squares(y: &[f64], x: &[f64], controls: &[Vec<f64>]) -> Result<Slope, Failure> {
    let n = y.len();
    let basis = Basis::new(n, controls, None);
    let k = basis.len() + 1;
    if n < k || n < 2 {
        return Err(Failure::TooFewRows);
    }
    let (left, mut residuals) = (basis.without(x).ok_or(Failure::NotIdentified)?, y.to_vec());
    basis.take_out(&mut residuals);
    let sxx = dot(&left, &left);
    let slope = dot(&left, &residuals) / sxx;
    residuals.iter_mut().zip(&left).for_each(|(e, x)| *e -= slope * x);
    let df = (n - k) as f64;
    let middle: f64 = left.iter().zip(&residuals).map(|(x, e)| (x * e) * (x * e)).sum();
    let mean = y.iter().sum::<f64>() / n as f64;
    let total: f64 = y.iter().map(|v| (v - mean) * (v - mean)).sum();
    Ok(Slope {
        slope,
        std_error: (n > k).then(|| (n as f64 / df * middle).sqrt() / sxx),
        df,
        r2: (total > 0.0).then(|| (1.0 - dot(&residuals, &residuals) / total).clamp(0.0, 1.0)),
        residuals,
    })
}

/// The most steps of the Poisson iteration; ten are usual.
const STEPS: usize = 100;

/// Poisson pseudo maximum likelihood of y ≥ 0 on an intercept, the controls and x, by iteratively reweighted least
/// squares. Rows that a control alone predicts to be 0 must have been taken out.
pub(crate) fn poisson(y: &[f64], x: &[f64], controls: &[Vec<f64>]) -> Result<Slope, Failure> {
    let n = y.len();
    if n < 2 {
        return Err(Failure::TooFewRows);
    }
    let mean = y.iter().sum::<f64>() / n as f64;
    if mean <= 0.0 {
        return Err(Failure::NotIdentified);
    }
    let mut mu: Vec<f64> = y.iter().map(|v| (v + mean) / 2.0).collect();
    let mut deviance = f64::INFINITY;
    for step in 0..STEPS {
        let eta: Vec<f64> = mu.iter().map(|m| m.ln()).collect();
        let fit = Weighted::new(y, x, controls, &mu, &eta).map_err(|e| match e {
            // What could be told apart at first cannot, as weights go to 0: x alone predicts the zeros.
            Failure::NotIdentified if step > 0 => Failure::NotConverged,
            other => other,
        })?;
        let mut next: Vec<f64> = fit.fitted(&eta, y, &mu);
        let mut reached = deviance_of(y, &next);
        // A step that overshoots is halved.
        for _ in 0..30 {
            if reached <= deviance * (1.0 + 1e-9) || reached - deviance < 1e-9 {
                break;
            }
            next.iter_mut()
                .zip(&mu)
                .for_each(|(new, old)| *new = (new.ln().midpoint(old.ln())).exp());
            reached = deviance_of(y, &next);
        }
        if next.iter().any(|m| !m.is_finite() || *m < 1e-200) {
            return Err(Failure::NotConverged);
        }
        let moved = next.iter().zip(&mu).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max);
        (mu, deviance) = (next, reached);
        if moved < 1e-11 {
            return poisson_slope(y, x, controls, &mu, deviance, mean);
        }
    }
    Err(Failure::NotConverged)
}

fn poisson_slope(
    y: &[f64],
    x: &[f64],
    controls: &[Vec<f64>],
    mu: &[f64],
    deviance: f64,
    mean: f64,
) -> Result<Slope, Failure> {
    let n = y.len();
    let eta: Vec<f64> = mu.iter().map(|m| m.ln()).collect();
    let last = Weighted::new(y, x, controls, mu, &eta)?;
    let df = n.saturating_sub(last.k) as f64;
    // What the controls leave of x, times the residual: the score of the slope.
    let middle: f64 = last
        .left
        .iter()
        .zip(mu)
        .zip(y)
        .map(|((x, m), y)| {
            let score = x / m.sqrt() * (y - m);
            score * score
        })
        .sum();
    let nothing = deviance_of(y, &vec![mean; n]);
    Ok(Slope {
        slope: last.slope,
        std_error: (df > 0.0).then(|| (n as f64 / df * middle).sqrt() / last.sxx),
        df,
        r2: (nothing > 0.0).then(|| (1.0 - deviance / nothing).clamp(0.0, 1.0)),
        residuals: y.iter().zip(mu).map(|(y, m)| (y - m) / m.sqrt()).collect(),
    })
}

/// One weighted least squares of the Poisson iteration.
struct Weighted {
    slope: f64,
    sxx: f64,
    k: usize,
    left: Vec<f64>,
    residuals: Vec<f64>,
}

impl Weighted {
    fn new(
        y: &[f64],
        x: &[f64],
        controls: &[Vec<f64>],
        mu: &[f64],
        eta: &[f64],
    ) -> Result<Self, Failure> {
        let roots: Vec<f64> = mu.iter().map(|m| m.sqrt()).collect();
        let basis = Basis::new(y.len(), controls, Some(&roots));
        let k = basis.len() + 1;
        if y.len() < k {
            return Err(Failure::TooFewRows);
        }
        let weighted: Vec<f64> = x.iter().zip(&roots).map(|(x, r)| x * r).collect();
        let left = basis.without(&weighted).ok_or(Failure::NotIdentified)?;
        let mut residuals: Vec<f64> =
            (0..y.len()).map(|i| (eta[i] + (y[i] - mu[i]) / mu[i]) * roots[i]).collect();
        basis.take_out(&mut residuals);
        let sxx = dot(&left, &left);
        let slope = dot(&left, &residuals) / sxx;
        residuals.iter_mut().zip(&left).for_each(|(e, x)| *e -= slope * x);
        Ok(Self { slope, sxx, k, left, residuals })
    }

    /// What is expected after the step.
    fn fitted(&self, eta: &[f64], y: &[f64], mu: &[f64]) -> Vec<f64> {
        (0..y.len())
            .map(|i| {
                let target = eta[i] + (y[i] - mu[i]) / mu[i];
                // Far beyond what a good step takes; a bad one is halved.
                (target - self.residuals[i] / mu[i].sqrt()).clamp(-400.0, 400.0).exp()
            })
            .collect()
    }
}

fn deviance_of(y: &[f64], mu: &[f64]) -> f64 {
    let sum: f64 =
        y.iter().zip(mu).map(|(y, m)| if *y > 0.0 { y * (y / m).ln() - (y - m) } else { *m }).sum();
    (2.0 * sum).max(0.0)
}

/// An intercept and controls, orthonormal.
struct Basis {
    vectors: Vec<Vec<f64>>,
}

impl Basis {
    fn new(n: usize, controls: &[Vec<f64>], roots: Option<&[f64]>) -> Self {
        let mut basis = Self { vectors: vec![] };
        let intercept = vec![1.0; n];
        for column in std::iter::once(&intercept).chain(controls) {
            let weighted = match roots {
                Some(roots) => column.iter().zip(roots).map(|(c, r)| c * r).collect(),
                None => column.clone(),
            };
            if let Some(mut left) = basis.without(&weighted) {
                let norm = dot(&left, &left).sqrt();
                left.iter_mut().for_each(|v| *v /= norm);
                basis.vectors.push(left);
            }
        }
        basis
    }

    fn len(&self) -> usize {
        self.vectors.len()
    }

    /// What the basis leaves of a column; `None` when that is nothing but what rounding leaves.
    fn without(&self, column: &[f64]) -> Option<Vec<f64>> {
        let mut left = column.to_vec();
        self.take_out(&mut left);
        let (before, after) = (dot(column, column), dot(&left, &left));
        (after > before * 1e-20 && after > 0.0).then_some(left)
    }

    fn take_out(&self, column: &mut [f64]) {
        for _ in 0..2 {
            for vector in &self.vectors {
                let along = dot(vector, column);
                column.iter_mut().zip(vector).for_each(|(c, v)| *c -= along * v);
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn noise(random: &mut Random) -> f64 {
        // The sum of twelve uniforms is nearly normal.
        (0..12).map(|_| random.below(1 << 24) as f64 / f64::from(1 << 24)).sum::<f64>() - 6.0
    }

    /// The normal equations of all coefficients, by Gauss and Jordan.
    fn by_normal_equations(y: &[f64], columns: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
        let (n, k) = (y.len(), columns.len());
        let mut a: Vec<Vec<f64>> = (0..k)
            .map(|i| {
                let mut row: Vec<f64> = columns.iter().map(|c| dot(&columns[i], c)).collect();
                row.extend((0..k).map(|j| f64::from(u8::from(i == j))));
                row
            })
            .collect();
        for i in 0..k {
            let pivot = a[i][i];
            a[i].iter_mut().for_each(|v| *v /= pivot);
            let row = a[i].clone();
            for (j, other) in a.iter_mut().enumerate().filter(|(j, _)| *j != i) {
                let factor = other[i];
                assert_ne!(i, j);
                other.iter_mut().zip(&row).for_each(|(o, r)| *o -= factor * r);
            }
        }
        let inverse = |i: usize, j: usize| a[i][k + j];
        let xy: Vec<f64> = columns.iter().map(|c| dot(c, y)).collect();
        let b: Vec<f64> = (0..k).map(|i| (0..k).map(|j| inverse(i, j) * xy[j]).sum()).collect();
        let e: Vec<f64> =
            (0..n).map(|r| y[r] - (0..k).map(|i| b[i] * columns[i][r]).sum::<f64>()).collect();
        let errors = (0..k)
            .map(|i| {
                let h = |r: usize| (0..k).map(|j| inverse(i, j) * columns[j][r]).sum::<f64>();
                let sum: f64 = (0..n).map(|r| (h(r) * e[r]).powi(2)).sum();
                (n as f64 / (n - k) as f64 * sum).sqrt()
            })
            .collect();
        (b, errors)
    }

    #[test]
    fn least_squares_is_what_the_normal_equations_give() {
        let mut random = Random::new(11);
        for n in [6, 20, 200] {
            let x: Vec<f64> = (0..n).map(|_| noise(&mut random)).collect();
            let trend: Vec<f64> = (0..n).map(|i| i as f64 / 10.0).collect();
            let dummy: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
            let y: Vec<f64> = (0..n)
                .map(|i| 1.0 - 2.0 * x[i] + 0.3 * trend[i] + dummy[i] + noise(&mut random))
                .collect();
            let found = least_squares(&y, &x, &[trend.clone(), dummy.clone()]);
            let found = found.unwrap_or_else(|e| panic!("{e:?}"));
            let (b, errors) =
                by_normal_equations(&y, &[vec![1.0; n], trend.clone(), dummy.clone(), x.clone()]);
            assert!((found.slope - b[3]).abs() < 1e-10);
            assert!((found.std_error.unwrap_or(f64::NAN) - errors[3]).abs() < 1e-10);
            assert_eq!(found.df, n as f64 - 4.0);
            // A control twice, and one that the others make up, change nothing.
            let sum: Vec<f64> = trend.iter().zip(&dummy).map(|(t, d)| t - 2.0 * d + 7.0).collect();
            let again = least_squares(&y, &x, &[trend, dummy.clone(), dummy, sum]);
            let again = again.unwrap_or_else(|e| panic!("{e:?}"));
            assert!((again.slope - found.slope).abs() < 1e-12 && again.df == found.df);
        }
    }

    #[test]
    fn poisson_solves_its_equations() {
        let mut random = Random::new(12);
        for n in [12, 150] {
            let x: Vec<f64> = (0..n).map(|_| 0.3 * noise(&mut random)).collect();
            let trend: Vec<f64> = (0..n).map(|i| i as f64 / n as f64).collect();
            let y: Vec<f64> = (0..n)
                .map(|i| {
                    let mean = (0.4 - 1.5 * x[i] + 0.5 * trend[i]).exp();
                    let mut count = 0.0;
                    let mut left = mean;
                    // Exponential gaps.
                    while left > 0.0 {
                        left += (1.0 - random.below(1 << 24) as f64 / f64::from(1 << 24)).ln();
                        count += f64::from(u8::from(left > 0.0));
                    }
                    count
                })
                .collect();
            let found =
                poisson(&y, &x, std::slice::from_ref(&trend)).unwrap_or_else(|e| panic!("{e:?}"));
            let mu: Vec<f64> = y
                .iter()
                .zip(&found.residuals)
                // e = (y − m) / √m
                .map(|(y, e)| (((e * e + 4.0 * y).sqrt() - e) / 2.0).powi(2))
                .collect();
            for column in [&vec![1.0; n], &trend, &x] {
                let score: f64 = (0..n).map(|i| column[i] * (y[i] - mu[i])).sum();
                assert!(score.abs() < 1e-8, "{score}");
            }
            // The slope is what the fitted means have: ln m = a + b t + ε x.
            let eta: Vec<f64> = mu.iter().map(|m| m.ln()).collect();
            let (b, _) = by_normal_equations(&eta, &[vec![1.0; n], trend.clone(), x.clone()]);
            assert!((b[2] - found.slope).abs() < 1e-8);
            let (k, df) = (3, found.df);
            assert_eq!(df, (n - k) as f64);
        }
    }

    #[test]
    fn what_cannot_be_estimated_says_why() {
        let y = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(least_squares(&y, &[2.0; 4], &[]), Err(Failure::NotIdentified));
        assert_eq!(
            least_squares(&y, &[1.0, 2.0, 3.0, 4.0], &[vec![2.0, 4.0, 6.0, 8.0]]),
            Err(Failure::NotIdentified)
        );
        assert_eq!(least_squares(&y[..1], &[2.0], &[]), Err(Failure::TooFewRows));
        assert_eq!(poisson(&[0.0; 4], &[1.0, 2.0, 3.0, 4.0], &[]), Err(Failure::NotIdentified));
        // Sales only where x is at its highest: the slope has no end.
        let one = poisson(&[0.0, 0.0, 0.0, 5.0], &[1.0, 2.0, 3.0, 4.0], &[]);
        assert_eq!(one, Err(Failure::NotConverged));
        let exact =
            least_squares(&[1.0, 3.0], &[0.0, 1.0], &[]).unwrap_or_else(|e| panic!("{e:?}"));
        assert!((exact.slope - 2.0).abs() < 1e-14 && exact.std_error.is_none());
    }
}
