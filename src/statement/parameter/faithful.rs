// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a value may not lose when it becomes one of the declared type: a cast rounds and cuts without a word.

use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, CharacterLength, DataType};

/// What must still be so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Faithful {
    /// Whatever the cast says.
    Anything,
    /// A decimal number has the digits that were written: money is never rounded.
    Digits,
    /// A number is none of the infinite ones, unless that was written.
    Finite,
    /// A text has at most so many characters.
    Characters(u64),
    /// A day has no time of day.
    Day,
    /// A moment or a time has the parts of seconds that were written.
    Seconds,
}

impl Faithful {
    /// What a type demands; for a list, of each value.
    pub(super) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Array(ArrayElemTypeDef::SquareBracket(of, _)) => Self::of(of),
            DataType::Decimal(_) | DataType::Numeric(_) | DataType::Dec(_) => Faithful::Digits,
            DataType::Real
            | DataType::Float(_)
            | DataType::Float4
            | DataType::Float8
            | DataType::Double(_)
            | DataType::DoublePrecision => Faithful::Finite,
            DataType::Text | DataType::String(None) => Faithful::Characters(u64::MAX),
            DataType::String(Some(length)) => Faithful::Characters(*length),
            DataType::Varchar(length)
            | DataType::CharacterVarying(length)
            | DataType::CharVarying(length)
            | DataType::Nvarchar(length) => match length {
                Some(CharacterLength::IntegerLength { length, .. }) => {
                    Faithful::Characters(*length)
                }
                Some(CharacterLength::Max) | None => Faithful::Characters(u64::MAX),
            },
            // `CHAR` is `CHAR(1)` in the standard, and a text in the engine.
            DataType::Char(Some(CharacterLength::IntegerLength { length, .. }))
            | DataType::Character(Some(CharacterLength::IntegerLength { length, .. })) => {
                Faithful::Characters(*length)
            }
            DataType::Char(_) | DataType::Character(_) => Faithful::Characters(u64::MAX),
            DataType::Date | DataType::Date32 => Faithful::Day,
            DataType::Timestamp(..)
            | DataType::TimestampNtz(_)
            | DataType::Datetime(_)
            | DataType::Time(..) => Faithful::Seconds,
            _ => Faithful::Anything,
        }
    }

    pub(super) fn is_text(self) -> bool {
        matches!(self, Faithful::Characters(_))
    }

    /// What was lost between what was written and what it became.
    pub(super) fn lost(self, written: &str, became: &str) -> Option<String> {
        match self {
            Faithful::Anything => None,
            Faithful::Digits => {
                let (before, after) = (digits(written)?, digits(became)?);
                (before != after).then(|| {
                    format!("it would be rounded to {became}, and a value is never rounded")
                })
            }
            Faithful::Finite => {
                let number: f64 = became.parse().ok()?;
                (number.is_infinite() && written.contains(|c: char| c.is_ascii_digit()))
                    .then(|| "it is larger than the largest number of the type".into())
            }
            Faithful::Characters(most) => {
                let count = written.chars().count() as u64;
                (count > most).then(|| format!("it has {count} characters"))
            }
            Faithful::Day => {
                written.contains(':').then(|| "it is a moment, and the day alone is wanted".into())
            }
            Faithful::Seconds => (parts_of_second(written) != parts_of_second(became))
                .then(|| format!("it would be cut to {became}")),
        }
    }
}

/// The digits behind the point of the seconds, without zeros at the end.
fn parts_of_second(moment: &str) -> &str {
    let behind = moment.split_once('.').map_or("", |(_, behind)| behind);
    let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
    behind[..end].trim_end_matches('0')
}

/// The sign, the digits without zeros at either end, and the power of ten of the last: equal for equal numbers.
fn digits(number: &str) -> Option<(bool, String, i64)> {
    let number = number.trim();
    let (number, exponent) = match number.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i64>().ok()?),
        None => (number, 0),
    };
    let negative = number.starts_with('-');
    let (whole, fraction) = number
        .trim_start_matches(['-', '+'])
        .split_once('.')
        .unwrap_or((number.trim_start_matches(['-', '+']), ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kept = all.trim_end_matches('0');
    if kept.is_empty() {
        return Some((false, String::new(), 0));
    }
    let power = exponent + (all.len() - kept.len()) as i64 - fraction.len() as i64;
    Some((negative, kept.trim_start_matches('0').to_string(), power))
}

#[cfg(test)]
mod tests {
    use super::{Faithful, digits};

    #[test]
    fn equal_numbers_have_equal_digits() {
        for (one, other) in [
            ("1.50", "1.5"),
            ("-0", "0.00"),
            ("1e-7", "0.0000001"),
            ("+1200", "1.2E3"),
            (".5", "0.5"),
        ] {
            assert_eq!(digits(one), digits(other), "{one} {other}");
            assert!(digits(one).is_some(), "{one}");
        }
        for (one, other) in [("1", "-1"), ("1.23456", "1.2346"), ("10", "1"), ("0.1", "0.01")] {
            assert_ne!(digits(one), digits(other), "{one} {other}");
        }
        assert!(["", "x", "1.2.3", "inf", "."].iter().all(|text| digits(text).is_none()));
    }

    #[test]
    fn what_is_lost_is_said() {
        assert!(
            Faithful::Digits.lost("1.23456", "1.2346").is_some_and(|why| why.contains("1.2346"))
        );
        assert_eq!(Faithful::Digits.lost("1.2", "1.2000"), None);
        assert!(Faithful::Finite.lost("1e400", "inf").is_some());
        assert_eq!(Faithful::Finite.lost("-inf", "-inf"), None);
        assert!(Faithful::Characters(3).lost("abcd", "abcd").is_some());
        assert_eq!(Faithful::Characters(3).lost("äöü", "äöü"), None);
        assert!(Faithful::Day.lost("2026-01-01T10:00:00", "2026-01-01").is_some());
        assert_eq!(Faithful::Day.lost("2026-01-01", "2026-01-01"), None);
        let lost = Faithful::Seconds.lost("2026-01-01 10:00:00.9Z", "2026-01-01T10:00:00");
        assert!(lost.is_some());
        assert_eq!(
            Faithful::Seconds.lost("2026-01-01 10:00:00.90Z", "2026-01-01T10:00:00.9"),
            None
        );
    }
}
