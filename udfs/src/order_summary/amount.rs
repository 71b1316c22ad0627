// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Amounts and their sums: exact, hence the same whatever the order of the rows.
//!
//! A plain `f64` sum depends on the order of its terms, and the order of rows depends on the number
//! of partitions. So every sum here is an integer: the unscaled decimal, the integer itself, or,
//! for `f64`, a multiple of 2⁻⁶². A double of at least 2⁻¹⁰ and less than 2⁵⁰ is such a multiple
//! (its 53 bits end at 2⁻⁶² at the latest), and integer addition is associative; so the ordinary
//! float sum costs one 128-bit addition, keeps no terms, and is rounded once, at the end. Sorting
//! the terms would cost memory per row, and an expansion (Shewchuk) several doubles per group. The
//! rare doubles outside that range, NaN and the infinities are kept as they are and added in sorted
//! order at the end.

use std::cmp::Ordering;
use std::fmt::Debug;

use arrow::datatypes::{ArrowPrimitiveType, Decimal128Type, Float64Type, Int64Type};
use datafusion_common::{Result, exec_datafusion_err, exec_err};

/// One amount as it is stored per row, and how it enters a [`Sum`].
pub(super) trait Amount: Copy + Debug + PartialEq + Send + Sync + 'static {
    /// The arrow type of the argument and of the state column.
    type Column: ArrowPrimitiveType;
    /// The arrow type of the sum.
    type Total: ArrowPrimitiveType;
    /// The number of bytes that [`Amount::write`] appends.
    const WIDTH: usize;

    fn from_native(native: <Self::Column as ArrowPrimitiveType>::Native) -> Result<Self>;
    fn to_native(self) -> <Self::Column as ArrowPrimitiveType>::Native;
    /// A total order, so that the largest of two deliveries is the same on every machine.
    fn compare(&self, other: &Self) -> Ordering;
    /// The amount as a whole number of the smallest unit, or the float that is none.
    fn exact(self) -> Exact;
    fn write(self, bytes: &mut Vec<u8>);
    /// Reads what [`Amount::write`] wrote; `None` when `bytes` is too short.
    fn read(bytes: &[u8]) -> Option<Self>;
    /// The sum as a value of the output column.
    fn total(sum: &mut Sum) -> Result<<Self::Total as ArrowPrimitiveType>::Native>;
    fn is_positive(sum: &mut Sum) -> bool;
}

/// An amount as a term of a [`Sum`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Exact {
    /// A whole number of smallest units.
    Units(i128),
    /// A double that is no multiple of 2⁻⁶² below 2⁵⁰.
    Odd(f64),
}

impl Exact {
    /// Whether the order of this amount counts. NaN is not positive.
    pub(super) fn is_positive(self) -> bool {
        match self {
            Self::Units(units) => units > 0,
            Self::Odd(value) => value > 0.0,
        }
    }
}

/// A sum that does not depend on the order of its terms.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) units: i128,
    /// Empty but for odd doubles, so that an ordinary sum allocates nothing.
    pub(super) odd: Vec<f64>,
}

impl Sum {
    pub(super) fn add(&mut self, term: Exact) -> Result<()> {
        match term {
            Exact::Units(units) => self.units = add_units(self.units, units)?,
            Exact::Odd(value) => self.odd.push(value),
        }
        Ok(())
    }

    pub(super) fn append(&mut self, other: &Sum) -> Result<()> {
        self.units = add_units(self.units, other.units)?;
        self.odd.extend_from_slice(&other.odd);
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.units = 0;
        self.odd.clear();
    }
}

/// Adds two numbers of units, or says that their sum has no representation.
pub(super) fn add_units(left: i128, right: i128) -> Result<i128> {
    left.checked_add(right).ok_or_else(too_large)
}

fn too_large() -> datafusion_common::DataFusionError {
    exec_datafusion_err!("`order_summary`: the sum of `amount` exceeds the range of its exact sum")
}

impl Amount for i64 {
    type Column = Int64Type;
    type Total = Int64Type;
    const WIDTH: usize = 8;

    fn from_native(native: i64) -> Result<Self> {
        Ok(native)
    }

    fn to_native(self) -> i64 {
        self
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }

    fn exact(self) -> Exact {
        Exact::Units(i128::from(self))
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(|chunk| i64::from_le_bytes(*chunk))
    }

    fn total(sum: &mut Sum) -> Result<i64> {
        match i64::try_from(sum.units) {
            Ok(total) => Ok(total),
            Err(_) => exec_err!(
                "`order_summary`: the sum of `amount`, {}, exceeds BIGINT; \
                 cast `amount` to DECIMAL",
                sum.units
            ),
        }
    }

    fn is_positive(sum: &mut Sum) -> bool {
        sum.units > 0
    }
}

/// A decimal of at most 18 digits, which fits in half the memory of an `i128`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SmallDecimal(i64);

impl SmallDecimal {
    /// The largest precision whose values all fit in an `i64`.
    pub(super) const MAX_PRECISION: u8 = 18;
}

impl Amount for SmallDecimal {
    type Column = Decimal128Type;
    type Total = Decimal128Type;
    const WIDTH: usize = 8;

    fn from_native(native: i128) -> Result<Self> {
        // Arrow does not enforce the precision of a column, so that a value may be larger than its
        // type admits.
        match i64::try_from(native) {
            Ok(value) => Ok(Self(value)),
            Err(_) => exec_err!(
                "`order_summary`: the unscaled `amount` {native} exceeds the precision of \
                 its column; cast `amount` to DECIMAL(38, …)"
            ),
        }
    }

    fn to_native(self) -> i128 {
        i128::from(self.0)
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }

    fn exact(self) -> Exact {
        Exact::Units(i128::from(self.0))
    }

    fn write(self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        i64::read(bytes).map(Self)
    }

    fn total(sum: &mut Sum) -> Result<i128> {
        i128::total(sum)
    }

    fn is_positive(sum: &mut Sum) -> bool {
        sum.units > 0
    }
}

impl Amount for i128 {
    type Column = Decimal128Type;
    type Total = Decimal128Type;
    const WIDTH: usize = 16;

    fn from_native(native: i128) -> Result<Self> {
        Ok(native)
    }

    fn to_native(self) -> i128 {
        self
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }

    fn exact(self) -> Exact {
        Exact::Units(self)
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(|chunk| i128::from_le_bytes(*chunk))
    }

    fn total(sum: &mut Sum) -> Result<i128> {
        const LIMIT: u128 = 10_u128.pow(38);
        if sum.units.unsigned_abs() < LIMIT { Ok(sum.units) } else { Err(too_large()) }
    }

    fn is_positive(sum: &mut Sum) -> bool {
        sum.units > 0
    }
}

/// 2⁶², the number of units in 1.0.
const UNITS_PER_ONE: f64 = (1_u64 << 62) as f64;

impl Amount for f64 {
    type Column = Float64Type;
    type Total = Float64Type;
    const WIDTH: usize = 8;

    /// One bit pattern per value: −0 becomes 0, and every NaN the same NaN.
    fn from_native(native: f64) -> Result<Self> {
        Ok(if native.is_nan() { f64::NAN } else { native + 0.0 })
    }

    fn to_native(self) -> f64 {
        self
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.total_cmp(other)
    }

    fn exact(self) -> Exact {
        const LOW: f64 = 1.0 / (1_u64 << 10) as f64;
        const HIGH: f64 = (1_u64 << 50) as f64;
        let magnitude = self.abs();
        if (LOW..HIGH).contains(&magnitude) || magnitude == 0.0 {
            // Exact: the product is a scaling by a power of two, and a whole number within 113
            // bits.
            Exact::Units((self * UNITS_PER_ONE) as i128)
        } else {
            Exact::Odd(self)
        }
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(|chunk| f64::from_le_bytes(*chunk))
    }

    fn total(sum: &mut Sum) -> Result<f64> {
        Ok(float_total(sum))
    }

    fn is_positive(sum: &mut Sum) -> bool {
        if sum.odd.is_empty() { sum.units > 0 } else { float_total(sum) > 0.0 }
    }
}

/// Rounds the units once; odd doubles join by increasing magnitude, with Neumaier's correction of
/// the rounding errors.
fn float_total(sum: &mut Sum) -> f64 {
    let rounded = sum.units as f64;
    if sum.odd.is_empty() {
        return rounded / UNITS_PER_ONE;
    }
    sum.odd.sort_unstable_by(|left, right| {
        left.abs().total_cmp(&right.abs()).then_with(|| left.total_cmp(right))
    });
    let rest = sum.units.wrapping_sub(rounded as i128) as f64;
    let mut total = rounded / UNITS_PER_ONE;
    let mut correction = rest / UNITS_PER_ONE;
    let mut plain = total;
    for &term in &sum.odd {
        let next = total + term;
        correction +=
            if total.abs() >= term.abs() { (total - next) + term } else { (term - next) + total };
        total = next;
        plain += term;
    }
    let corrected = total + correction;
    // The correction of an infinite sum is NaN; the plain sum says whether it is infinite or
    // undefined.
    if corrected.is_finite() {
        corrected
    } else if plain.is_nan() {
        f64::NAN
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64]) -> Result<f64> {
        let mut sum = Sum::default();
        for &value in values {
            sum.add(f64::from_native(value)?.exact())?;
        }
        f64::total(&mut sum)
    }

    #[test]
    fn float_sums_are_exact_and_rounded_once() -> Result<()> {
        assert_eq!(sum(&[0.1, 0.2])?, 0.1 + 0.2);
        // A running sum gives 9.99999999999998 here.
        assert_eq!(sum(&[0.1; 100])?, 10.0);
        assert_eq!(sum(&[1e14, 0.01, -1e14])?, 0.01);
        assert_eq!(sum(&[-0.0])?.to_bits(), 0);
        assert_eq!(sum(&[1.0 / 1024.0, -1.0 / 1024.0])?, 0.0);
        Ok(())
    }

    #[test]
    fn odd_floats_are_order_independent() -> Result<()> {
        let values = [1e-9, 1e300, -1e300, 3e-300, 12.34, -1e17, 1e17, 0.1];
        let forward = sum(&values)?;
        let mut backward = values;
        backward.reverse();
        assert_eq!(forward.to_bits(), sum(&backward)?.to_bits());
        assert!((forward - 12.440000001).abs() < 1e-12, "{forward}");
        Ok(())
    }

    #[test]
    fn infinities_and_nan_survive() -> Result<()> {
        assert_eq!(sum(&[f64::INFINITY, 1.0])?, f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY])?.is_nan());
        assert!(sum(&[f64::NAN, 1.0])?.is_nan());
        assert_eq!(sum(&[f64::MAX, f64::MAX])?, f64::INFINITY);
        Ok(())
    }

    #[test]
    fn overflow_is_an_error() {
        let mut sum = Sum { units: i128::from(i64::MAX) + 1, odd: vec![] };
        assert!(i64::total(&mut sum).is_err());
        let mut sum = Sum { units: 10_i128.pow(38), odd: vec![] };
        assert!(i128::total(&mut sum).is_err());
        assert!(add_units(i128::MAX, 1).is_err());
        assert!(SmallDecimal::from_native(1 << 64).is_err());
    }
}
