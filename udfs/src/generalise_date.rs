// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `generalise_date(value, part)`: the first day of a week, month, quarter or year.

use std::sync::Arc;

use arrow::array::{AsArray, Date32Array};
use arrow::datatypes::{DataType, Date32Type};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use crate::masking::signature;

/// The scalar function `generalise_date`.
pub(crate) fn generalise_date() -> ScalarUDF {
    ScalarUDF::from(GeneraliseDate { signature: signature() })
}

const NAME: &str = "generalise_date";

#[user_doc(
    doc_section(label = "Privacy"),
    description = "The first day of the week (a Monday), month, quarter, year or decade in which a day lies. NULL when the value is.",
    syntax_example = "generalise_date(value, part)",
    sql_example = r#"```sql
> SELECT generalise_date(DATE '1987-06-14', 'year') AS born;
+------------+
| born       |
+------------+
| 1987-01-01 |
+------------+
```"#,
    argument(name = "value", description = "A date or a timestamp."),
    argument(name = "part", description = "A constant: week, month, quarter, year or decade.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct GeneraliseDate {
    signature: Signature,
}

impl ScalarUDFImpl for GeneraliseDate {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [
                DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Null,
                part,
            ] if part.is_string() => Ok(vec![DataType::Date32, DataType::Utf8]),
            [value, part] => {
                plan_err!("`{NAME}` takes a date and a word, found {value} and {part}")
            }
            _ => plan_err!("`{NAME}` takes 2 arguments (value, part), found {}", arg_types.len()),
        }
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [value, part] = args.args.as_slice() else {
            return exec_err!("`{NAME}` takes a value and a part");
        };
        let part = match part {
            ColumnarValue::Scalar(ScalarValue::Utf8(Some(part))) => Part::named(part),
            _ => None,
        };
        let Some(part) = part else {
            return exec_err!(
                "`{NAME}`: argument `part` must be one of the constants week, month, quarter, year and decade"
            );
        };
        let values = value.to_array(rows)?;
        let days = values.as_primitive::<Date32Type>().iter().map(|day| part.first_day(day?));
        Ok(ColumnarValue::Array(Arc::new(days.collect::<Date32Array>())))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

#[derive(Clone, Copy)]
enum Part {
    Week,
    /// So many months.
    Months(i32),
}

impl Part {
    fn named(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "week" => Part::Week,
            "month" => Part::Months(1),
            "quarter" => Part::Months(3),
            "year" => Part::Months(12),
            "decade" => Part::Months(120),
            _ => return None,
        })
    }

    /// The first day, in days since 1970; NULL for days that the calendar does not have.
    fn first_day(self, day: i32) -> Option<i32> {
        match self {
            // 1970-01-01 was a Thursday.
            Part::Week => day.checked_sub(day.checked_add(3)?.rem_euclid(7)),
            Part::Months(months) => {
                let (year, month) = year_and_month(day)?;
                let first = (year * 12 + month - 1).div_euclid(months) * months;
                days_from_civil(first.div_euclid(12), first.rem_euclid(12) + 1)
            }
        }
    }
}

/// The year and month of a day, in the proleptic Gregorian calendar.
fn year_and_month(day: i32) -> Option<(i32, i32)> {
    // Counted from the first of March of the year 0, so that the day that a leap year has more is its last.
    let day = day.checked_add(719_468)?;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let month = if month < 10 { month + 3 } else { month - 9 };
    Some((year + era * 400 + i32::from(month <= 2), month))
}

/// The days from 1970-01-01 to the first of a month, in the proleptic Gregorian calendar.
fn days_from_civil(year: i32, month: i32) -> Option<i32> {
    // Years begin in March, so that the day that a leap year has more is their last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5;
    let day = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era.checked_mul(146_097)?.checked_add(day - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_days_are_those_of_the_calendar() {
        let first = |day: i32, part: &str| Part::named(part).and_then(|p| p.first_day(day));
        // 1987-06-14, a Sunday, is day 6373.
        assert_eq!(first(6373, "week"), Some(6367));
        assert_eq!(first(6373, "month"), Some(6360));
        assert_eq!(first(6373, "quarter"), Some(6299));
        assert_eq!(first(6373, "year"), Some(6209));
        assert_eq!(first(6373, "decade"), Some(3652));
        // 1968-02-29 and the day before 1970.
        assert_eq!(first(-672, "month"), Some(-700));
        assert_eq!(first(-1, "year"), Some(-365));
        assert_eq!(Part::named("day").map(|_| ()), None);
    }
}
