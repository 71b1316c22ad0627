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

impl Points {
    pub(super) fn new(periods: &[Period]) -> Self {
        let (Some(first), Some(last)) = (periods.first(), periods.last()) else {
            return Self::default();
        };
        let n = periods.len() as f64;
        let mut sorted: Vec<(f64, f64)> = periods.iter().map(|p| (p.price, p.quantity)).collect();
        sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let (mut count, mut start) = (0, 0);
        while start < sorted.len() {
            let same = sorted[start].0 * SAME;
            start += sorted[start..].partition_point(|s| s.0 <= same);
            count += 1;
        }
        let mean = sorted.iter().map(|s| s.0).sum::<f64>() / n;
        let variance = sorted.iter().map(|s| (s.0 - mean).powi(2)).sum::<f64>() / n;
        let (low, high) = (sorted[0].0, sorted[sorted.len() - 1].0);
        let (simple, midpoint) = if count < 2 {
            (None, None)
        } else {
            compare(&sorted, (low * high).sqrt(), first.price)
        };
        Self {
            count,
            low: Some(low),
            high: Some(high),
            last: Some(last.price),
            variation: variance.sqrt() / mean,
            quantity_mean: Some(sorted.iter().map(|s| s.1).sum::<f64>() / n),
            simple,
            midpoint,
        }
    }
}

/// The mean price and quantity on the side of `middle` where the first price lies, against the other side.
fn compare(sorted: &[(f64, f64)], middle: f64, first: f64) -> (Option<f64>, Option<f64>) {
    let (low, high) = sorted.split_at(sorted.partition_point(|s| s.0 <= middle));
    let (base, other) = if first <= middle { (low, high) } else { (high, low) };
    let means = |side: &[(f64, f64)]| {
        let n = side.len() as f64;
        (side.iter().map(|s| s.0).sum::<f64>() / n, side.iter().map(|s| s.1).sum::<f64>() / n)
    };
    let ((p1, q1), (p2, q2)) = (means(base), means(other));
    let simple = (q1 > 0.0).then(|| ((q2 - q1) / q1) / ((p2 - p1) / p1));
    let midpoint = (q1 + q2 > 0.0)
        .then(|| ((q2 - q1) / f64::midpoint(q1, q2)) / ((p2 - p1) / f64::midpoint(p1, p2)));
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
                carried: false,
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
        // Above the middle of 8 and 12.5, which is 10, there is 12.5; below it 8, 9 and 10, where it began.
        let halves = of(&[(6.0, 9.0), (9.0, 12.5), (8.0, 8.0), (4.0, 10.0)]);
        assert!((halves.simple.unwrap_or(0.0) - 0.5 / (3.5 / 9.0)).abs() < 1e-12, "{halves:?}");
    }
}
