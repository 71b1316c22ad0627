// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Values as integers of the same order, so that a kernel is written once and not per type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, DataType, Decimal128Type, Float64Type, Int64Type,
    UInt64Type,
};
use datafusion_common::{Result, exec_datafusion_err};

/// An integer that stands for a value: `i64`, or `i128` for decimals of more than 18 digits.
pub(crate) trait Key: ArrowNativeType + Ord {
    /// The arrow type whose arrays hold the keys.
    type Array: ArrowPrimitiveType<Native = Self>;

    /// The keys of an array of a type that [`coerce`] returned. NaN has none: it is no observation,
    /// as NULL is none. −0 and 0 have the same.
    fn keys(values: &ArrayRef) -> Result<PrimitiveArray<Self::Array>>;

    /// The inverse of [`Key::keys`].
    fn values(keys: PrimitiveArray<Self::Array>, data_type: &DataType) -> Result<ArrayRef>;
}

/// The type to which a value is cast before it gets a key; `None` when its type has no order here.
pub(crate) fn coerce(data_type: &DataType) -> Option<DataType> {
    use DataType::*;
    Some(match data_type {
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => data_type.clone(),
        Date32 | Date64 | Timestamp(_, _) | Duration(_) => data_type.clone(),
        Float32 | Float64 | Decimal128(_, _) => data_type.clone(),
        Float16 => Float32,
        Decimal32(precision, scale) | Decimal64(precision, scale) => Decimal128(*precision, *scale),
        Null => Int64,
        Dictionary(_, values) => coerce(values)?,
        _ => return None,
    })
}

/// What [`coerce`] accepts, for messages.
pub(crate) const EXPECTED: &str =
    "a number (decimals of at most 38 digits), DATE, TIMESTAMP or duration";

/// Whether the keys of a type are `i128`.
pub(crate) fn is_wide(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(precision, _) if *precision > 18)
}

impl Key for i64 {
    type Array = Int64Type;

    fn keys(values: &ArrayRef) -> Result<Int64Array> {
        Ok(match values.data_type() {
            // Flipping the sign bit maps 0..2⁶⁴ to −2⁶³..2⁶³ in order.
            DataType::UInt64 => {
                values.as_primitive::<UInt64Type>().unary(|value| value.cast_signed() ^ i64::MIN)
            }
            DataType::Float64 => values
                .as_primitive::<Float64Type>()
                .unary_opt(|value| (!value.is_nan()).then(|| float_key(value))),
            DataType::Float32 => return Self::keys(&cast(values, &DataType::Float64)?),
            DataType::Decimal128(_, _) => {
                values.as_primitive::<Decimal128Type>().try_unary(|value| {
                    // Arrow does not enforce the precision of a column.
                    i64::try_from(value).map_err(|_| {
                        exec_datafusion_err!(
                            "the unscaled decimal {value} exceeds the precision of its column"
                        )
                    })
                })?
            }
            // Integers, dates, timestamps and durations are their own key.
            _ => cast(values, &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
        })
    }

    fn values(keys: Int64Array, data_type: &DataType) -> Result<ArrayRef> {
        Ok(match data_type {
            DataType::UInt64 => {
                Arc::new(keys.unary::<_, UInt64Type>(|key| (key ^ i64::MIN).cast_unsigned()))
            }
            DataType::Float64 => Arc::new(keys.unary::<_, Float64Type>(key_float)),
            DataType::Float32 => cast(&Self::values(keys, &DataType::Float64)?, data_type)?,
            DataType::Decimal128(_, _) => Arc::new(
                keys.unary::<_, Decimal128Type>(i128::from).with_data_type(data_type.clone()),
            ),
            _ => cast(&keys, data_type)?,
        })
    }
}

impl Key for i128 {
    type Array = Decimal128Type;

    fn keys(values: &ArrayRef) -> Result<PrimitiveArray<Decimal128Type>> {
        Ok(values.as_primitive::<Decimal128Type>().clone())
    }

    fn values(keys: PrimitiveArray<Decimal128Type>, data_type: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(keys.with_data_type(data_type.clone())))
    }
}

/// The bits of a double grow with its magnitude; those of a negative one are reversed.
fn float_key(value: f64) -> i64 {
    let bits = (value + 0.0).to_bits().cast_signed();
    bits ^ ((bits >> 63) & i64::MAX)
}

fn key_float(key: i64) -> f64 {
    // The map is its own inverse, as it leaves the sign bit alone.
    f64::from_bits((key ^ ((key >> 63) & i64::MAX)).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float32Array, Float64Array, UInt64Array};
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn check(ascending: ArrayRef) -> Result<()> {
        let keys = i64::keys(&ascending)?;
        assert!(keys.values().is_sorted_by(|left, right| left < right), "{keys:?}");
        assert_eq!(&i64::values(keys, ascending.data_type())?, &ascending);
        Ok(())
    }

    #[test]
    fn keys_keep_the_order_and_come_back() -> Result<()> {
        check(Arc::new(UInt64Array::from(vec![0, 1, 1 << 63, u64::MAX])))?;
        check(Arc::new(Float64Array::from(vec![
            f64::NEG_INFINITY,
            -1.5,
            -f64::MIN_POSITIVE,
            0.0,
            5e-324,
            1.5,
            f64::INFINITY,
        ])))?;
        check(Arc::new(Float32Array::from(vec![-1.25, 0.0, 3.5])))?;
        let numbers = Int64Array::from(vec![-3, 0, 40]);
        for data_type in [
            DataType::Int8,
            DataType::Int64,
            DataType::Date32,
            DataType::Date64,
            DataType::Timestamp(TimeUnit::Millisecond, Some("+01:00".into())),
            DataType::Duration(TimeUnit::Second),
            DataType::Decimal128(18, 4),
        ] {
            check(i64::values(numbers.clone(), &data_type)?)?;
        }
        Ok(())
    }

    #[test]
    fn nan_has_no_key_and_zero_has_one() -> Result<()> {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, 0.0, f64::NAN, -f64::NAN]));
        let keys = i64::keys(&values)?;
        assert_eq!(keys.value(0), keys.value(1));
        assert!(keys.is_null(2) && keys.is_null(3));
        Ok(())
    }
}
