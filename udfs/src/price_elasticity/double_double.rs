// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Sums of two doubles, some 32 digits (Dekker 1971, Knuth's two-sum): enough that the residuals of a fit that is
//! almost perfect survive the subtraction that makes them.

use arrow::datatypes::i256;

/// The unevaluated sum of two doubles, the first of which is the sum rounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Double(pub(super) f64, f64);

impl Double {
    pub(super) fn from_f64(value: f64) -> Self {
        Self(value, 0.0)
    }

    /// An integer, to 106 bits.
    pub(super) fn from_integer(value: i256) -> Self {
        let high = round(value);
        let low = i256::from_f64(high).map_or(0.0, |h| round(value.wrapping_sub(h)));
        two_sum(high, low)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let sum = two_sum(self.0, other.0);
        two_sum(sum.0, sum.1 + (self.1 + other.1))
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(Self(-other.0, -other.1))
    }

    pub(super) fn times(self, other: Self) -> Self {
        let product = two_product(self.0, other.0);
        two_sum(product.0, product.1 + (self.0 * other.1 + self.1 * other.0))
    }

    pub(super) fn scaled(self, factor: f64) -> Self {
        self.times(Self(factor, 0.0))
    }

    pub(super) fn over(self, other: Self) -> Self {
        let first = self.0 / other.0;
        let rest = self.minus(other.scaled(first));
        let second = rest.0 / other.0;
        let rest = rest.minus(other.scaled(second));
        two_sum(first, second + rest.0 / other.0)
    }
}

/// The nearest double, or one beside it.
fn round(value: i256) -> f64 {
    let negative = value.is_negative();
    let (low, high) = if negative { value.wrapping_neg() } else { value }.to_parts();
    let magnitude = high.cast_unsigned() as f64 * 2_f64.powi(128) + low as f64;
    if negative { -magnitude } else { magnitude }
}

fn two_sum(a: f64, b: f64) -> Double {
    let sum = a + b;
    let part = sum - a;
    Double(sum, (a - (sum - part)) + (b - part))
}

fn two_product(a: f64, b: f64) -> Double {
    let product = a * b;
    let ((a1, a2), (b1, b2)) = (split(a), split(b));
    Double(product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2)
}

/// The upper and the lower half of the digits.
fn split(a: f64) -> (f64, f64) {
    let shifted = a * 134_217_729.0;
    let upper = shifted - (shifted - a);
    (upper, a - upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_digits() {
        let third = Double(1.0, 0.0).over(Double(3.0, 0.0));
        let one = third.scaled(3.0);
        assert!((one.0 - 1.0).abs() < 1e-30 && one.1.abs() < 1e-30, "{one:?}");
        let square = third.times(third).minus(Double(1.0, 0.0).over(Double(9.0, 0.0)));
        assert!(square.0.abs() < 1e-31);
        let big = i256::from_i128(i128::MAX).wrapping_mul(i256::from_i128(-3));
        let back = Double::from_integer(big);
        let exact = i256::from_f64(back.0).zip(i256::from_f64(back.1));
        let error = exact.map(|(h, l)| big.wrapping_sub(h).wrapping_sub(l));
        assert!(error.is_some_and(|e| e.wrapping_abs() < i256::from_i128(1 << 30)));
    }
}
