// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The prices of a sku, and what two of them say.

use crate::price_periods::Period;

/// Prices within a thousandth of the lowest of them are one price: rounding and small codes make no new one.
const SAME: f64 = 1.001;

/// What the prices say without a regression.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Points {
    /// Different prices.
    pub(super) count: usize,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    pub(super) last: Option<f64>,
    /// The deviation of the periods' prices over their mean.
    pub(super) variation: f64,
    pub(super) quantity_mean: Option<f64>,
    pub(super) simple: Option<f64>,
    pub(super) midpoint: Option<f64>,
}

/// The periods at one price.
struct Point {
    price: f64,
    quantity: f64,
}

impl Points {
    pub(super) fn new(periods: &[Period]) -> Self {
        let (Some(first), Some(last)) = (periods.first(), periods.last()) else {
            return Self::default();
        };
        let n = periods.len() as f64;
        let mut sorted: Vec<(f64, f64)> = periods.iter().map(|p| (p.price, p.quantity)).collect();
        sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut points: Vec<Point> = vec![];
        let (mut base, mut start) = (0, 0);
        while start < sorted.len() {
            let end = start + sorted[start..].partition_point(|s| s.0 <= sorted[start].0 * SAME);
            let of = &sorted[start..end];
            let mean =
                |f: &dyn Fn(&(f64, f64)) -> f64| of.iter().map(f).sum::<f64>() / of.len() as f64;
            if of[0].0 <= first.price && first.price <= of[of.len() - 1].0 {
                base = points.len();
            }
            points.push(Point { price: mean(&|s| s.0), quantity: mean(&|s| s.1) });
            start = end;
        }
        let mean = sorted.iter().map(|s| s.0).sum::<f64>() / n;
        let variance = sorted.iter().map(|s| (s.0 - mean).powi(2)).sum::<f64>() / n;
        let (simple, midpoint) = compare(&points, base);
        Self {
            count: points.len(),
            low: sorted.first().map(|s| s.0),
            high: sorted.last().map(|s| s.0),
            last: Some(last.price),
            variation: variance.sqrt() / mean,
            quantity_mean: Some(sorted.iter().map(|s| s.1).sum::<f64>() / n),
            simple,
            midpoint,
        }
    }
}

/// The price that one is compared with is the farthest, the lower of two equally far.
fn compare(points: &[Point], base: usize) -> (Option<f64>, Option<f64>) {
    let distance = |p: &Point| (p.price / points[base].price).ln().abs();
    let mut other = base;
    for (i, point) in points.iter().enumerate() {
        // As far but for the last digit is as far.
        if distance(point) > distance(&points[other]) * (1.0 + 1e-9) {
            other = i;
        }
    }
    if other == base {
        return (None, None);
    }
    let (a, b) = (&points[base], &points[other]);
    let simple = (a.quantity > 0.0)
        .then(|| ((b.quantity - a.quantity) / a.quantity) / ((b.price - a.price) / a.price));
    let midpoint = (a.quantity + b.quantity > 0.0).then(|| {
        ((b.quantity - a.quantity) / ((b.quantity + a.quantity) / 2.0))
            / ((b.price - a.price) / ((b.price + a.price) / 2.0))
    });
    (simple, midpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(f64, f64)]) -> Points {
        let periods: Vec<Period> = rows
            .iter()
            .map(|(quantity, price)| Period {
                day: None,
                quantity: *quantity,
                price: *price,
                promo: false,
                out_of_stock: false,
            })
            .collect();
        Points::new(&periods)
    }

    #[test]
    fn two_prices() {
        // 100 at 10, 80 at 11: -20 % for +10 %; by midpoints -20/90 for 1/10.5.
        let points = of(&[(95.0, 10.0), (105.0, 10.0005), (80.0, 11.0)]);
        assert_eq!(points.count, 2);
        assert!((points.simple.unwrap_or(0.0) + 2.0).abs() < 1e-3);
        assert!((points.midpoint.unwrap_or(0.0) + 20.0 / 90.0 * 10.5).abs() < 2e-3);
        let turned = of(&[(80.0, 11.0), (100.0, 10.0)]);
        assert!((turned.simple.unwrap_or(0.0) + 0.25 * 11.0).abs() < 1e-12);
        assert!((turned.midpoint.unwrap_or(0.0) + 20.0 / 90.0 * 10.5).abs() < 1e-12);
    }

    #[test]
    fn edges() {
        assert_eq!(of(&[]), Points::default());
        let one = of(&[(5.0, 10.0), (7.0, 10.0)]);
        assert_eq!((one.count, one.simple, one.midpoint, one.variation), (1, None, None, 0.0));
        assert_eq!(one.quantity_mean, Some(6.0));
        let zero = of(&[(0.0, 10.0), (7.0, 9.0)]);
        assert_eq!(zero.simple, None);
        assert!(zero.midpoint.is_some_and(|m| (m + 19.0).abs() < 1e-12));
        // 8 and 12.5 are equally far from 10: the lower one.
        let far = of(&[(5.0, 10.0), (9.0, 12.5), (8.0, 8.0)]);
        assert!((far.simple.unwrap_or(0.0) + 3.0).abs() < 1e-12, "{far:?}");
    }
}
