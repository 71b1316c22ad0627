// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The sums that a log-log regression with robust errors needs, exactly.
//!
//! A logarithm is rounded to a multiple of 2⁻⁴⁸ (4e-15, the last digit of a logarithm of 16 to 32). Then x = ln price
//! and y = ln quantity are integers, and so are the sums of their products up to the fourth order, which the
//! heteroskedasticity-consistent variance takes: Σ dx² e² = M22 − 2b M31 + b² M40. Integer addition does not mind
//! order, so that partitions merge by plain addition, without a shift or a mean to agree on, and the result is rounded
//! once, after the sums are moved to the means, exactly. It costs some 20 multiplications and 40 additions a row.

use arrow::datatypes::i256;

use super::double_double::Double;
use super::wide::{Wide, product, times};

/// The sums of one group: 320 bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Moments {
    pub(super) n: u64,
    /// Rows without a positive quantity and a positive price.
    pub(super) excluded: u64,
    x: i128,
    y: i128,
    xx: Wide<3>,
    xy: Wide<3>,
    yy: Wide<3>,
    xxx: Wide<4>,
    xxy: Wide<4>,
    xyy: Wide<4>,
    xxxx: Wide<4>,
    xxxy: Wide<4>,
    xxyy: Wide<4>,
}

/// The logarithms of a row, in 2⁻⁴⁸.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: i64,
    pub(super) y: i64,
}

/// What the sums say about a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    pub(super) elasticity: f64,
    pub(super) intercept: f64,
    /// HC1; `None` below three rows.
    pub(super) std_error: Option<f64>,
    /// `None` when all quantities are equal.
    pub(super) r2: Option<f64>,
}

const UNITS: f64 = 281_474_976_710_656.0; // 2⁴⁸

impl Point {
    /// `None` where there is no logarithm.
    #[inline]
    pub(super) fn new(quantity: f64, price: f64) -> Option<Self> {
        let known = |v: f64| v > 0.0 && v < f64::INFINITY;
        (known(quantity) && known(price)).then(|| Self { x: units(price), y: units(quantity) })
    }
}

/// The logarithm of a positive, finite double: 58 bits at most.
#[inline]
fn units(value: f64) -> i64 {
    // `round` is a call where the target has no instruction for it; halves are not met in practice, and adding a half
    // and cutting is as deterministic.
    let scaled = value.ln() * UNITS;
    (scaled + if scaled < 0.0 { -0.5 } else { 0.5 }) as i64
}

impl Moments {
    /// The number of bytes that [`Moments::write`] appends.
    pub(super) const WIDTH: usize = 8 + 2 * 16 + 3 * Wide::<3>::WIDTH + 6 * Wide::<4>::WIDTH;

    #[inline]
    pub(super) fn add(&mut self, point: Point) {
        let Point { x, y } = point;
        let (ux, uy, sx, sy) = (x.unsigned_abs(), y.unsigned_abs(), x < 0, y < 0);
        let (xx, yy) = (u128::from(ux) * u128::from(ux), u128::from(uy) * u128::from(uy));
        let xy = u128::from(ux) * u128::from(uy);
        let three = |v: u128| [v as u64, (v >> 64) as u64, 0];
        self.n += 1;
        self.x += i128::from(x);
        self.y += i128::from(y);
        self.xx.add_signed(three(xx), false);
        self.xy.add_signed(three(xy), sx != sy);
        self.yy.add_signed(three(yy), false);
        self.xxx.add_signed(times(xx, ux), sx);
        self.xxy.add_signed(times(xx, uy), sy);
        self.xyy.add_signed(times(yy, ux), sx);
        self.xxxx.add_signed(product(xx, xx), false);
        self.xxxy.add_signed(product(xx, xy), sx != sy);
        self.xxyy.add_signed(product(xx, yy), false);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.excluded += other.excluded;
        self.x += other.x;
        self.y += other.y;
        self.xx.add(&other.xx);
        self.xy.add(&other.xy);
        self.yy.add(&other.yy);
        self.xxx.add(&other.xxx);
        self.xxy.add(&other.xxy);
        self.xyy.add(&other.xyy);
        self.xxxx.add(&other.xxxx);
        self.xxxy.add(&other.xxxy);
        self.xxyy.add(&other.xxyy);
    }

    /// The one row that the sums are of.
    pub(super) fn single(&self) -> Option<Point> {
        let point = Point { x: i64::try_from(self.x).ok()?, y: i64::try_from(self.y).ok()? };
        (self.n == 1).then_some(point)
    }

    /// The line through the logarithms; `None` when all prices are equal or there are fewer than two rows.
    pub(super) fn fit(&self) -> Option<Fit> {
        if self.n < 2 {
            return None;
        }
        let n = self.n as f64;
        let (m, l) = (mean(self.x, self.n), mean(self.y, self.n));
        // What the whole numbers leave of the means, less than one unit.
        let dx = (self.x - i128::from(m) * i128::from(self.n)) as f64 / n;
        let dy = (self.y - i128::from(l) * i128::from(self.n)) as f64 / n;
        let central = self.central(m, l);
        let sxx = Double::from_integer(central.xx).minus(Double::from_f64(n * dx * dx));
        let sxy = Double::from_integer(central.xy).minus(Double::from_f64(n * dx * dy));
        let syy = Double::from_integer(central.yy).minus(Double::from_f64(n * dy * dy));
        if central.xx == i256::ZERO || sxx.0 <= 0.0 {
            return None;
        }
        let slope = sxy.over(sxx);
        let elasticity = slope.0;
        let std_error = (self.n > 2).then(|| {
            let [c30, c21, c12] = [central.xxx, central.xxy, central.xyy].map(Double::from_integer);
            let m40 = Double::from_integer(central.xxxx).minus(c30.scaled(4.0 * dx));
            let m31 = Double::from_integer(central.xxxy)
                .minus(c21.scaled(3.0 * dx))
                .minus(c30.scaled(dy));
            let m22 = Double::from_integer(central.xxyy)
                .minus(c12.scaled(2.0 * dx))
                .minus(c21.scaled(2.0 * dy));
            let middle =
                m22.minus(slope.times(m31).scaled(2.0)).plus(slope.times(slope).times(m40));
            // A perfect fit leaves what rounding leaves, on either side of 0.
            (n / (n - 2.0) * middle.0.max(0.0)).sqrt() / sxx.0
        });
        let r2 = (central.yy != i256::ZERO && syy.0 > 0.0)
            .then(|| sxy.times(sxy).over(sxx.times(syy)).0.clamp(0.0, 1.0));
        let (x, y) = ((m as f64 + dx) / UNITS, (l as f64 + dy) / UNITS);
        Some(Fit { elasticity, intercept: y - elasticity * x, std_error, r2 })
    }

    /// The sums about (m, l). Every step may wrap around; the end fits, because it is smaller than the beginning.
    fn central(&self, m: i64, l: i64) -> Central {
        let int = |v: i64| i256::from_i128(v.into());
        let (n, m, l) = (i256::from_i128(self.n.into()), int(m), int(l));
        let (s10, s01) = (i256::from_i128(self.x), i256::from_i128(self.y));
        let (s20, s11, s02) = (self.xx.widen(), self.xy.widen(), self.yy.widen());
        let (s30, s21, s12) = (self.xxx.widen(), self.xxy.widen(), self.xyy.widen());
        let (s40, s31, s22) = (self.xxxx.widen(), self.xxxy.widen(), self.xxyy.widen());
        let mul = |factors: &[i256]| factors.iter().fold(i256::ONE, |p, f| p.wrapping_mul(*f));
        let sum = |terms: &[(i64, i256)]| {
            terms.iter().fold(i256::ZERO, |s, (k, t)| s.wrapping_add(int(*k).wrapping_mul(*t)))
        };
        // Σ (x − m)^i y^j for each power of y, from the sums of x^k y^j.
        let second =
            |a: i256, b: i256, c: i256| sum(&[(1, a), (-2, mul(&[m, b])), (1, mul(&[m, m, c]))]);
        let third = |a: i256, b: i256, c: i256, d: i256| {
            sum(&[(1, a), (-3, mul(&[m, b])), (3, mul(&[m, m, c])), (-1, mul(&[m, m, m, d]))])
        };
        let first = |a: i256, b: i256| sum(&[(1, a), (-1, mul(&[m, b]))]);
        let (x1, x2, x3) = (first(s10, n), second(s20, s10, n), third(s30, s20, s10, n));
        let (x1y, x2y, x3y) = (first(s11, s01), second(s21, s11, s01), third(s31, s21, s11, s01));
        let (x1yy, x2yy) = (first(s12, s02), second(s22, s12, s02));
        Central {
            xx: x2,
            xy: sum(&[(1, x1y), (-1, mul(&[l, x1]))]),
            yy: sum(&[(1, s02), (-2, mul(&[l, s01])), (1, mul(&[l, l, n]))]),
            xxx: x3,
            xxy: sum(&[(1, x2y), (-1, mul(&[l, x2]))]),
            xyy: sum(&[(1, x1yy), (-2, mul(&[l, x1y])), (1, mul(&[l, l, x1]))]),
            xxxx: sum(&[
                (1, s40),
                (-4, mul(&[m, s30])),
                (6, mul(&[m, m, s20])),
                (-4, mul(&[m, m, m, s10])),
                (1, mul(&[m, m, m, m, n])),
            ]),
            xxxy: sum(&[(1, x3y), (-1, mul(&[l, x3]))]),
            xxyy: sum(&[(1, x2yy), (-2, mul(&[l, x2y])), (1, mul(&[l, l, x2]))]),
        }
    }

    /// Everything but `excluded`, as it goes into the state.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.n.to_le_bytes());
        bytes.extend_from_slice(&self.x.to_le_bytes());
        bytes.extend_from_slice(&self.y.to_le_bytes());
        [self.xx, self.xy, self.yy].iter().for_each(|sum| sum.write(bytes));
        [self.xxx, self.xxy, self.xyy, self.xxxx, self.xxxy, self.xxyy]
            .iter()
            .for_each(|sum| sum.write(bytes));
    }

    /// What [`Moments::write`] wrote; `None` for anything of another length.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::WIDTH {
            return None;
        }
        let mut words =
            bytes.chunks_exact(8).filter_map(|w| w.try_into().ok()).map(u64::from_le_bytes);
        let mut next = || words.next().unwrap_or_default();
        let two = |low: u64, high: u64| (u128::from(low) | u128::from(high) << 64).cast_signed();
        Some(Self {
            n: next(),
            excluded: 0,
            x: two(next(), next()),
            y: two(next(), next()),
            xx: Wide::from_words([next(), next(), next()]),
            xy: Wide::from_words([next(), next(), next()]),
            yy: Wide::from_words([next(), next(), next()]),
            xxx: Wide::from_words([next(), next(), next(), next()]),
            xxy: Wide::from_words([next(), next(), next(), next()]),
            xyy: Wide::from_words([next(), next(), next(), next()]),
            xxxx: Wide::from_words([next(), next(), next(), next()]),
            xxxy: Wide::from_words([next(), next(), next(), next()]),
            xxyy: Wide::from_words([next(), next(), next(), next()]),
        })
    }
}

/// The sums about whole numbers next to the means.
struct Central {
    xx: i256,
    xy: i256,
    yy: i256,
    xxx: i256,
    xxy: i256,
    xyy: i256,
    xxxx: i256,
    xxxy: i256,
    xxyy: i256,
}

/// The whole number next to the mean, which lies between the least and the greatest value and so fits.
fn mean(sum: i128, n: u64) -> i64 {
    let n = i128::from(n);
    (sum.div_euclid(n) + i128::from(sum.rem_euclid(n) * 2 >= n)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn of(rows: &[(f64, f64)]) -> Moments {
        let mut moments = Moments::default();
        rows.iter().filter_map(|(q, p)| Point::new(*q, *p)).for_each(|p| moments.add(p));
        moments
    }

    /// The same by the book, in two passes.
    fn by_the_book(rows: &[(f64, f64)]) -> (f64, f64, f64, f64) {
        let logs: Vec<(f64, f64)> = rows.iter().map(|(q, p)| (p.ln(), q.ln())).collect();
        let n = logs.len() as f64;
        let mean = |f: &dyn Fn(&(f64, f64)) -> f64| logs.iter().map(f).sum::<f64>() / n;
        let (mx, my) = (mean(&|r| r.0), mean(&|r| r.1));
        let sum =
            |f: &dyn Fn(f64, f64) -> f64| logs.iter().map(|r| f(r.0 - mx, r.1 - my)).sum::<f64>();
        let (sxx, sxy, syy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        let b = sxy / sxx;
        let middle = sum(&|x, y| (x * (y - b * x)).powi(2));
        let error = (n / (n - 2.0) * middle).sqrt() / sxx;
        (b, my - b * mx, error, sxy * sxy / (sxx * syy))
    }

    fn random_rows(random: &mut Random, n: u64, price: f64, spread: f64) -> Vec<(f64, f64)> {
        (0..n)
            .map(|_| {
                let unit = |r: &mut Random| r.below(1 << 30) as f64 / f64::from(1 << 30);
                let relative = 1.0 + spread * (unit(random) - 0.5);
                let quantity = 40.0 * relative.powf(-1.7) * (1.0 + 0.4 * unit(random));
                (quantity, price * relative)
            })
            .collect()
    }

    #[test]
    fn as_the_book_has_it_at_any_scale() {
        let mut random = Random::new(1);
        // The last ones are what doubles allow: ln 1e9 has a last digit of 4e-15, a spread of 1e-6 leaves 9 digits.
        for (price, spread, digits) in [
            (12.0, 0.5, 1e-12),
            (1e9, 0.5, 1e-12),
            (1e-6, 0.5, 1e-12),
            (1e9, 1e-3, 1e-10),
            (1e-6, 1e-3, 1e-10),
            (1e9, 1e-6, 1e-7),
        ] {
            for n in [3, 10, 1000] {
                let rows = random_rows(&mut random, n, price, spread);
                let found = of(&rows).fit().unwrap_or_else(|| panic!("{price} {n}"));
                let (b, a, error, r2) = by_the_book(&rows);
                let close = |found: f64, expected: f64, what: &str| {
                    let off = (found - expected).abs() / expected.abs();
                    assert!(
                        off < digits,
                        "{what}: {found}, {expected}: {off} at {price} ± {spread}, {n}"
                    );
                };
                close(found.elasticity, b, "elasticity");
                close(found.intercept, a, "intercept");
                close(found.std_error.unwrap_or(f64::NAN), error, "std_error");
                close(found.r2.unwrap_or(f64::NAN) + 1.0, r2 + 1.0, "r2");
            }
        }
    }

    #[test]
    fn a_perfect_fit_has_no_error_and_a_nearly_perfect_one_a_small_one() {
        // Powers of two: their logarithms are multiples of one double to the last digit.
        let perfect: Vec<(f64, f64)> =
            (0..20).map(|i| (2_f64.powi(20 - 2 * i), 2_f64.powi(i))).collect();
        let fit = of(&perfect).fit().unwrap_or_else(|| panic!("a fit"));
        assert!((fit.elasticity + 2.0).abs() < 1e-15);
        assert!(fit.std_error.is_some_and(|e| e < 1e-15));
        assert!(fit.r2.is_some_and(|r| (r - 1.0).abs() < 1e-15));
        let mut nearly = perfect;
        nearly[7].0 *= 1.0 + 1e-9;
        let (_, _, error, _) = by_the_book(&nearly);
        let found = of(&nearly).fit().and_then(|f| f.std_error).unwrap_or(0.0);
        assert!((found / error - 1.0).abs() < 1e-4, "{found} {error}");
    }

    #[test]
    fn order_and_parts_do_not_matter() {
        let mut random = Random::new(2);
        let mut rows = random_rows(&mut random, 300, 19.9, 0.4);
        rows.push((1e300, 1e-300));
        rows.push((5e-324, f64::MAX));
        let whole = of(&rows);
        for _ in 0..20 {
            random.shuffle(&mut rows);
            let (left, right) = rows.split_at(random.below(300) as usize);
            let mut parts = of(left);
            parts.merge(&of(right));
            assert_eq!(parts, whole);
            let mut bytes = vec![];
            parts.write(&mut bytes);
            assert_eq!(bytes.len(), Moments::WIDTH);
            assert_eq!(Moments::read(&bytes).as_ref(), Some(&whole));
        }
        assert_eq!(Moments::read(&[0; 7]), None);
    }

    #[test]
    fn what_cannot_be_fitted_is_not() {
        assert_eq!(of(&[]).fit(), None);
        assert_eq!(of(&[(3.0, 2.0)]).fit(), None);
        assert_eq!(of(&[(3.0, 2.0), (4.0, 2.0), (5.0, 2.0)]).fit(), None);
        assert_eq!(Point::new(0.0, 1.0), None);
        assert_eq!(Point::new(1.0, -1.0), None);
        assert_eq!(Point::new(f64::NAN, 1.0), None);
        assert_eq!(Point::new(1.0, f64::INFINITY), None);
        let two = of(&[(4.0, 1.0), (1.0, 2.0)]).fit().unwrap_or_else(|| panic!("a line"));
        assert_eq!(two.std_error, None);
        assert!((two.elasticity + 2.0).abs() < 1e-14);
        let flat =
            of(&[(4.0, 1.0), (4.0, 2.0), (4.0, 3.0)]).fit().unwrap_or_else(|| panic!("a line"));
        assert_eq!((flat.elasticity, flat.std_error, flat.r2), (0.0, Some(0.0), None));
    }
}
