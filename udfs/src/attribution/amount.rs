// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Money as whole numbers of a smallest unit, so that what is shared out adds up again, in any order.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, NullArray};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use datafusion_common::{Result, exec_datafusion_err, exec_err};

use super::options::Weights;

/// Shares have at least ten thousandths.
const MIN_SCALE: i8 = 4;
/// A double is a multiple of 2⁻⁵⁰: what is smaller is dust, and 10¹² still fits.
const FLOAT_UNIT: f64 = 1_125_899_906_842_624.0;
/// The largest number of units: times [`Weights::WHOLE`], and summed over 10¹⁰ rows, it stays within `i128`.
const MAX_UNITS: i128 = 10_i128.pow(27);

/// How one column of money is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Money {
    /// Of a scale, with the factor from the scale of the argument.
    Decimal {
        scale: i8,
        factor: i128,
    },
    Float,
    /// The argument is NULL.
    Absent,
}

impl Money {
    /// Of an argument of a type that [`coerce`] returned.
    pub(super) fn of(argument: &DataType) -> Result<Self> {
        match argument {
            DataType::Decimal128(_, scale) => {
                let exact = (*scale).max(MIN_SCALE);
                let digits = (i32::from(exact) - i32::from(*scale)).unsigned_abs();
                match 10_i128.checked_pow(digits) {
                    Some(factor) => Ok(Self::Decimal { scale: exact, factor }),
                    None => exec_err!("a decimal of scale {scale} is too coarse for money"),
                }
            }
            DataType::Float64 => Ok(Self::Float),
            DataType::Null => Ok(Self::Absent),
            other => exec_err!("an amount cannot be of type {other}"),
        }
    }

    /// The type of credits.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Decimal { scale, .. } => DataType::Decimal128(38, scale),
            Self::Float => DataType::Float64,
            Self::Absent => DataType::Null,
        }
    }

    /// Amounts to units.
    pub(super) fn units(self, amounts: &ArrayRef) -> Result<Decimal128Array> {
        let checked = |units: i128| {
            if units.unsigned_abs() <= MAX_UNITS.unsigned_abs() { Ok(units) } else { Err(()) }
        };
        let too_large = |amount: &dyn std::fmt::Display| {
            exec_datafusion_err!("the amount {amount} is too large to be shared out exactly")
        };
        let units = match self {
            Self::Decimal { factor, .. } => {
                amounts.as_primitive::<Decimal128Type>().try_unary::<_, Decimal128Type, _>(|v| {
                    let units = v.checked_mul(factor).ok_or(()).and_then(checked);
                    units.map_err(|()| too_large(&v))
                })?
            }
            Self::Float => {
                amounts.as_primitive::<Float64Type>().try_unary::<_, Decimal128Type, _>(|v| {
                    if !v.is_finite() {
                        return Err(exec_datafusion_err!(
                            "an amount is {v}: it must be finite, or NULL"
                        ));
                    }
                    checked((v * FLOAT_UNIT).round() as i128).map_err(|()| too_large(&v))
                })?
            }
            Self::Absent => {
                return Ok(Decimal128Array::new_null(amounts.len()).with_data_type(UNITS));
            }
        };
        Ok(units.with_data_type(UNITS))
    }

    /// Units to credits.
    pub(super) fn credits(self, units: Vec<i128>) -> ArrayRef {
        match self {
            Self::Decimal { .. } => {
                let credits = Decimal128Array::new(units.into(), None);
                Arc::new(credits.with_data_type(self.data_type()))
            }
            Self::Float => Arc::new(Float64Array::from_iter_values(
                units.iter().map(|u| *u as f64 / FLOAT_UNIT),
            )),
            Self::Absent => Arc::new(NullArray::new(units.len())),
        }
    }
}

/// The type in which units travel.
pub(super) const UNITS: DataType = DataType::Decimal128(38, 0);

/// The type to which an amount is cast; `None` when it is none.
pub(super) fn coerce(found: &DataType) -> Option<DataType> {
    use DataType::*;
    Some(match found {
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => Decimal128(20, 0),
        Decimal32(precision, scale) | Decimal64(precision, scale) => Decimal128(*precision, *scale),
        Decimal128(_, _) | Null => found.clone(),
        Float16 | Float32 | Float64 => Float64,
        Dictionary(_, values) => coerce(values)?,
        _ => return None,
    })
}

/// What the first, each middle and the last of `n` positions get of `value`. They add up to it.
///
/// Two positions share what the middle would have. The middle shares are rounded to the nearest unit and the last
/// position has what is left; when that would turn its sign, the shares are rounded towards zero.
pub(super) fn split(value: i128, n: usize, weights: Weights) -> [i128; 3] {
    let (whole, n) = (Weights::WHOLE, n as i128);
    let middle = whole - weights.first - weights.last;
    match n {
        1 => [value, 0, 0],
        2 => {
            let first = share(value, 2 * weights.first + middle, 2 * whole, true);
            [first, 0, value - first]
        }
        _ => {
            let shares = |nearest| {
                let first = share(value, weights.first, whole, nearest);
                let each = share(value, middle, whole * (n - 2), nearest);
                [first, each, value - first - each * (n - 2)]
            };
            let nearest = shares(true);
            if turned(nearest[2], value) { shares(false) } else { nearest }
        }
    }
}

/// What all but the last of `n` positions get of `value`, and the last: equal shares, rounded as by [`split`].
pub(super) fn split_evenly(value: i128, n: usize) -> [i128; 2] {
    let n = n as i128;
    let shares = |nearest| {
        let each = share(value, 1, n, nearest);
        [each, value - each * (n - 1)]
    };
    let nearest = shares(true);
    if turned(nearest[1], value) { shares(false) } else { nearest }
}

/// Writes what each position gets of `value` by weights that add up to 1, rounded as by [`split`].
pub(super) fn split_by(value: i128, weights: &[f64], shares: &mut Vec<i128>) {
    shares.clear();
    shares.extend(weights.iter().map(|weight| (value as f64 * weight).round() as i128));
    settle(shares, value, |position| value as f64 * weights[position]);
}

/// Gives the last share what the others leave of `total`; turns to rounding towards zero where that turns its sign.
pub(super) fn settle(shares: &mut [i128], total: i128, exact: impl Fn(usize) -> f64) {
    let rest = |shares: &[i128]| match shares {
        [others @ .., _] => total - others.iter().sum::<i128>(),
        [] => 0,
    };
    let mut last = rest(shares);
    if turned(last, total) {
        for (position, share) in shares.iter_mut().enumerate() {
            *share = exact(position).trunc() as i128;
        }
        last = rest(shares);
    }
    if let Some(share) = shares.last_mut() {
        *share = last;
    }
}

fn turned(share: i128, value: i128) -> bool {
    share != 0 && (share < 0) != (value < 0)
}

/// `value · part / whole`, to the nearest integer (halves away from zero) or towards zero.
fn share(value: i128, part: i128, whole: i128, nearest: bool) -> i128 {
    // Division of 128 bits is slow, and most amounts do not need it.
    if let (Ok(product), Ok(whole)) = (i64::try_from(value * part), i64::try_from(whole)) {
        return i128::from(divide_small(product, whole, nearest));
    }
    let (product, half) = (value * part, if nearest { whole / 2 } else { 0 });
    if product < 0 { (product - half) / whole } else { (product + half) / whole }
}

fn divide_small(product: i64, whole: i64, nearest: bool) -> i64 {
    let (quotient, rest) = (product / whole, product % whole);
    let up = nearest && rest.unsigned_abs() >= whole.unsigned_abs() - rest.unsigned_abs();
    if up { quotient + product.signum() } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn shares_add_up_and_keep_the_sign() -> Result<()> {
        let mut random = Random::new(1);
        for _ in 0..20_000 {
            let large = if random.one_in(4) { 1_i128 << 70 } else { 1 };
            let value = (random.below(10_000) as i128 - 3_000) * large + random.below(7) as i128;
            let longest = if random.one_in(10) { 5_000 } else { 6 };
            let n = 1 + random.below(longest) as usize;
            let first = random.below(1_001) as f64 / 1_000.0;
            let last = random.below(1_001 - (first * 1_000.0) as u64) as f64 / 1_000.0;
            let weights = Weights::new(first, last)?;
            let [first, each, last] = split(value, n, weights);
            assert_eq!(first + each * (n.max(2) as i128 - 2) + last, value);
            assert!(![first, each, last].iter().any(|s| turned(*s, value)), "{value} over {n}");
            let [each, last] = split_evenly(value, n);
            assert_eq!(each * (n as i128 - 1) + last, value);
            assert!(!turned(each, value) && !turned(last, value), "{value} over {n}");
        }
        Ok(())
    }

    #[test]
    fn halves_go_away_from_zero_whatever_the_width() {
        for value in [-5_i128, -3, -1, 1, 3, 5] {
            assert_eq!(share(value, 1, 2, true), (value + value.signum()) / 2);
            let wide = 1_i128 << 80;
            assert_eq!(share(value * wide, 1, 2 * wide, true), (value + value.signum()) / 2);
            assert_eq!(share(value, 1, 2, false), value / 2);
        }
    }

    #[test]
    fn the_weights_of_the_playbook() -> Result<()> {
        let weights = Weights::new(0.3, 0.3)?;
        assert_eq!(split(100, 3, weights), [30, 40, 30]);
        assert_eq!(split(80, 4, weights), [24, 16, 24]);
        assert_eq!(split(40, 2, weights), [20, 0, 20]);
        assert_eq!(split(50, 1, weights), [50, 0, 0]);
        assert_eq!(split_evenly(1000, 3), [333, 334]);
        assert!(Weights::new(0.7, 0.4).is_err() && Weights::new(f64::NAN, 0.0).is_err());
        Ok(())
    }
}
