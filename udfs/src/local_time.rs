// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `local_time(timestamp, zone)`: what the clock on a shop's wall said at a moment in UTC.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use chrono::{DateTime, Offset, TimeZone};
use datafusion_common::utils::take_function_args;
use datafusion_common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::{
    ColumnarValue, Documentation, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use crate::signature::coerced_by_itself;

const NAME: &str = "local_time";
const PARAMETERS: [&str; 2] = ["timestamp", "zone"];
/// The zone in which every moment already is.
const UTC: &str = "UTC";

/// The scalar function `local_time`.
pub(crate) fn local_time() -> ScalarUDF {
    ScalarUDF::from(LocalTime::new())
}

#[user_doc(
    doc_section(label = "Time"),
    description = "Turns a moment in UTC into the wall-clock time of a zone, so that days and weeks begin when the shop's do. \
A DATE has no time of day and stays as it is. Two moments have the same wall-clock time in the hour that is repeated when \
summer time ends.",
    syntax_example = "local_time(timestamp, zone)",
    sql_example = r#"```sql
> SELECT local_time(TIMESTAMP '2024-07-01 23:30:00', 'Europe/Paris') AS here;
+---------------------+
| here                |
+---------------------+
| 2024-07-02T01:30:00 |
+---------------------+
```"#,
    argument(
        name = "timestamp",
        description = "A TIMESTAMP, in UTC if it has no zone, or a DATE. The result has no zone. NULL for NULL."
    ),
    argument(
        name = "zone",
        description = "A constant: a name of the IANA time zone database, such as 'Europe/Paris', or an offset such as '+02:00'."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct LocalTime {
    signature: Signature,
}

impl LocalTime {
    fn new() -> Self {
        // Coercion is our own because the result follows the timestamp.
        Self { signature: coerced_by_itself(&PARAMETERS) }
    }
}

impl ScalarUDFImpl for LocalTime {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [timestamp, zone] = arg_types else {
            return plan_err!(
                "`{NAME}` takes 2 arguments ({}), found {}",
                PARAMETERS.join(", "),
                arg_types.len()
            );
        };
        let timestamp = match timestamp {
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => timestamp.clone(),
            DataType::Null => DataType::Timestamp(TimeUnit::Microsecond, None),
            other => {
                return plan_err!(
                    "`{NAME}`: argument `timestamp` must be a TIMESTAMP or a DATE, found {other}"
                );
            }
        };
        if !zone.is_string() && !zone.is_null() {
            return plan_err!("`{NAME}`: argument `zone` must be text, found {zone}");
        }
        Ok(vec![timestamp, DataType::Utf8])
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(match arg_types.first() {
            Some(DataType::Timestamp(unit, _)) => DataType::Timestamp(*unit, None),
            Some(other) => other.clone(),
            None => return plan_err!("`{NAME}` takes 2 arguments"),
        })
    }

    /// In UTC there is nothing to do, and filters on the column reach its files.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let [timestamp, zone] = take_function_args(NAME, args)?;
        let is_utc =
            matches!(&zone, Expr::Literal(ScalarValue::Utf8(Some(zone)), _) if zone == UTC);
        let has_no_zone = matches!(
            info.get_data_type(&timestamp)?,
            DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64
        );
        Ok(if is_utc && has_no_zone {
            ExprSimplifyResult::Simplified(timestamp)
        } else {
            ExprSimplifyResult::Original(vec![timestamp, zone])
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (rows, unknown) = (args.number_rows, ScalarValue::try_from(args.return_type())?);
        let [timestamp, zone] = take_function_args(NAME, args.args)?;
        let ColumnarValue::Scalar(ScalarValue::Utf8(zone)) = zone else {
            return exec_err!("`{NAME}`: argument `zone` must be a constant");
        };
        let Some(zone) = zone else { return Ok(ColumnarValue::Scalar(unknown)) };
        Ok(ColumnarValue::Array(told(&timestamp.into_array(rows)?, &zone)?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn told(timestamps: &ArrayRef, zone: &str) -> Result<ArrayRef> {
    let Ok(zone) = zone.parse::<Tz>() else {
        return exec_err!(
            "`{NAME}`: `{zone}` is not a time zone; write a name such as 'Europe/Paris', or an offset such as '+02:00'"
        );
    };
    match timestamps.data_type() {
        DataType::Date32 | DataType::Date64 => Ok(Arc::clone(timestamps)),
        DataType::Timestamp(TimeUnit::Second, _) => {
            shifted::<TimestampSecondType>(timestamps, zone, 1)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            shifted::<TimestampMillisecondType>(timestamps, zone, 1_000)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            shifted::<TimestampMicrosecondType>(timestamps, zone, 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            shifted::<TimestampNanosecondType>(timestamps, zone, 1_000_000_000)
        }
        other => internal_err!("`{NAME}` was coerced to {other}"),
    }
}

/// Adds the zone's offset of the moment to each moment.
fn shifted<T: ArrowPrimitiveType<Native = i64>>(
    timestamps: &ArrayRef,
    zone: Tz,
    per_second: i64,
) -> Result<ArrayRef> {
    let moments = timestamps.as_primitive::<T>();
    let told: PrimitiveArray<T> = moments.try_unary(|moment| {
        let told = DateTime::from_timestamp(moment.div_euclid(per_second), 0).and_then(|utc| {
            let offset = zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc();
            moment.checked_add(i64::from(offset) * per_second)
        });
        match told {
            Some(told) => Ok(told),
            None => exec_err!("`{NAME}`: a timestamp is too far away for a calendar"),
        }
    })?;
    Ok(Arc::new(told))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, TimestampMicrosecondArray, TimestampSecondArray};

    use super::*;

    #[test]
    fn summer_and_winter_have_their_offsets() -> Result<()> {
        // 2024-03-31 00:59:59 and 01:00:00 UTC: Paris leaves winter time.
        let moments: ArrayRef = Arc::new(TimestampSecondArray::from(vec![
            Some(1_711_846_799),
            Some(1_711_846_800),
            None,
        ]));
        let told = told(&moments, "Europe/Paris")?;
        let told = told.as_primitive::<TimestampSecondType>();
        assert_eq!(told.value(0), 1_711_846_799 + 3600);
        assert_eq!(told.value(1), 1_711_846_800 + 7200);
        assert!(told.is_null(2));
        Ok(())
    }

    #[test]
    fn fractions_and_moments_before_1970_are_kept() -> Result<()> {
        let moments: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![-1, 1_500_000]));
        let told = told(&moments, "-05:30")?;
        let told = told.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(told.values(), &[-1 - 19_800_000_000, 1_500_000 - 19_800_000_000]);
        Ok(())
    }

    #[test]
    fn what_is_no_zone_or_no_moment_is_an_error() {
        let moments: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
        assert!(told(&moments, "Europe/Paris").is_err());
        let error = told(&moments, "Paris").err().map(|e| e.strip_backtrace()).unwrap_or_default();
        assert!(error.contains("`Paris` is not a time zone"), "{error}");
    }
}
