// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What kind of value a text is, and so the type of a column of texts.
//!
//! Follows arrow-csv, whose reader will parse what is guessed here, with two exceptions. A number with a leading zero
//! is a name (a postcode, a customer number, an EAN) and stays text, for reading `01234` as 1234 destroys it. A date
//! has to exist: a column with a `2024-02-30` is text rather than an error at run time.

use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime, Utc};

/// How the texts of a file are to be read before their type is looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) nulls: Vec<String>,
    pub(super) trim: bool,
    pub(super) decimal_comma: bool,
    pub(super) date_format: Option<String>,
    pub(super) timestamp_format: Option<String>,
}

impl Reading {
    /// Whether every column needs a look before it is parsed.
    pub(super) fn touches_all(&self) -> bool {
        self.trim || !self.nulls.is_empty()
    }

    fn is_null(&self, text: &str) -> bool {
        text.is_empty() || self.nulls.iter().any(|null| null == text)
    }
}

const BOOLEAN: u16 = 1;
const INTEGER: u16 = 1 << 1;
const FLOAT: u16 = 1 << 2;
const DATE: u16 = 1 << 3;
const SECOND: u16 = 1 << 4;
const MILLISECOND: u16 = 1 << 5;
const MICROSECOND: u16 = 1 << 6;
const NANOSECOND: u16 = 1 << 7;
const TEXT: u16 = 1 << 8;
const TEMPORAL: u16 = DATE | SECOND | MILLISECOND | MICROSECOND | NANOSECOND;

/// What was seen in one column.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Kinds {
    seen: u16,
    not_date_format: bool,
    not_timestamp_format: bool,
}

/// The type of a column, and the format its values are written in when the user named one and they keep to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Guess {
    pub(super) data_type: DataType,
    pub(super) by_format: bool,
}

impl Kinds {
    pub(super) fn see(&mut self, text: &str, reading: &Reading) {
        let text = if reading.trim { text.trim() } else { text };
        if reading.is_null(text) {
            return;
        }
        if let Some(format) = &reading.date_format
            && !self.not_date_format
        {
            self.not_date_format = NaiveDate::parse_from_str(text, format).is_err();
        }
        if let Some(format) = &reading.timestamp_format
            && !self.not_timestamp_format
        {
            self.not_timestamp_format = NaiveDateTime::parse_from_str(text, format).is_err();
        }
        // Once text, always text, unless a format can still hold.
        if self.seen & TEXT == 0 {
            self.seen |= if reading.decimal_comma { comma_kind(text) } else { kind(text) };
        } else {
            self.seen |= TEXT;
        }
    }

    pub(super) fn guess(&self, reading: &Reading) -> Guess {
        let by_format = |data_type| Guess { data_type, by_format: true };
        if self.seen != 0 && reading.timestamp_format.is_some() && !self.not_timestamp_format {
            return by_format(DataType::Timestamp(TimeUnit::Microsecond, None));
        }
        if self.seen != 0 && reading.date_format.is_some() && !self.not_date_format {
            return by_format(DataType::Date32);
        }
        let data_type = match self.seen {
            0 => DataType::Null,
            BOOLEAN => DataType::Boolean,
            INTEGER => DataType::Int64,
            seen if seen & !(INTEGER | FLOAT) == 0 => DataType::Float64,
            DATE => DataType::Date32,
            seen if seen & !TEMPORAL == 0 => {
                let unit = match seen {
                    seen if seen & NANOSECOND != 0 => TimeUnit::Nanosecond,
                    seen if seen & MICROSECOND != 0 => TimeUnit::Microsecond,
                    seen if seen & MILLISECOND != 0 => TimeUnit::Millisecond,
                    _ => TimeUnit::Second,
                };
                DataType::Timestamp(unit, None)
            }
            _ => DataType::Utf8,
        };
        Guess { data_type, by_format: false }
    }
}

fn kind(text: &str) -> u16 {
    let bytes = text.as_bytes();
    match bytes[0] {
        b'0'..=b'9' if bytes.len() >= 10 && bytes[4] == b'-' => date_or_time(text),
        b'0'..=b'9' | b'-' | b'.' => number(text, b'.'),
        b't' | b'T' | b'f' | b'F' if is_boolean(text) => BOOLEAN,
        b'n' | b'N' | b'i' if matches!(text, "NaN" | "nan" | "inf") => FLOAT,
        _ => TEXT,
    }
}

/// Numbers as most of the continent writes them: `1.234,56`.
fn comma_kind(text: &str) -> u16 {
    match text.as_bytes()[0] {
        b'0'..=b'9' | b'-' | b',' => match date_or_time(text) {
            TEXT => match plain_number(text) {
                Some(plain) => number(&plain, b'.'),
                None => TEXT,
            },
            kind => kind,
        },
        _ => kind(text),
    }
}

/// `-1.234,56` as `-1234.56`; the same rule stands as a pattern in [`COMMA_NUMBER`].
pub(super) fn plain_number(text: &str) -> Option<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once(',').unwrap_or((digits, ""));
    let mut groups = whole.split('.');
    let first = groups.next().unwrap_or_default();
    let rest: Vec<_> = groups.collect();
    let grouped = rest.is_empty()
        || ((1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3));
    let digits_only = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let good = grouped
        && !(whole.is_empty() && fraction.is_empty())
        && digits_only(first)
        && rest.iter().all(|group| digits_only(group))
        && digits_only(fraction);
    good.then(|| text.replace('.', "").replace(',', "."))
}

/// The texts [`plain_number`] accepts, for use in a query.
pub(super) const COMMA_NUMBER: &str =
    r"^-?([0-9]{1,3}(\.[0-9]{3})+(,[0-9]*)?|[0-9]+(,[0-9]*)?|,[0-9]+)$";

fn number(text: &str, point: u8) -> u16 {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let whole = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if whole > 1 && digits[0] == b'0' {
        return TEXT;
    }
    let mut rest = &digits[whole..];
    if rest.is_empty() {
        return match text.parse::<i64>() {
            Ok(_) => INTEGER,
            Err(_) => TEXT,
        };
    }
    let mut fraction = 0;
    if rest[0] == point {
        fraction = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest = &rest[1 + fraction..];
    }
    if whole + fraction == 0 {
        return TEXT;
    }
    if let Some((b'e' | b'E', exponent)) = rest.split_first() {
        let exponent =
            exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let good = !exponent.is_empty() && exponent.iter().all(u8::is_ascii_digit);
        return if good { FLOAT } else { TEXT };
    }
    if rest.is_empty() { FLOAT } else { TEXT }
}

pub(super) fn is_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

fn date_or_time(text: &str) -> u16 {
    let bytes = text.as_bytes();
    let shape = bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(i, byte)| match i {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !shape {
        return TEXT;
    }
    if bytes.len() == 10 {
        return if text.parse::<NaiveDate>().is_ok() { DATE } else { TEXT };
    }
    let clock = bytes.len() >= 19
        && matches!(bytes[10], b' ' | b'T')
        && bytes[13] == b':'
        && bytes[16] == b':';
    if !clock || string_to_datetime(&Utc, text).is_err() {
        return TEXT;
    }
    match bytes.get(19) {
        Some(b'.') => match bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count() {
            1..=3 => MILLISECOND,
            4..=6 => MICROSECOND,
            _ => NANOSECOND,
        },
        _ => SECOND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(texts: &[&str], reading: &Reading) -> DataType {
        let mut kinds = Kinds::default();
        texts.iter().for_each(|text| kinds.see(text, reading));
        kinds.guess(reading).data_type
    }

    #[test]
    fn plain() {
        let second = DataType::Timestamp(TimeUnit::Second, None);
        for (texts, expected) in [
            (&["", ""][..], DataType::Null),
            (&["1", "-2", "0"], DataType::Int64),
            (&["1", "2.5", ".5", "1e3", "NaN"], DataType::Float64),
            (&["17850.0", ""], DataType::Float64),
            (&["536365", "C536379"], DataType::Utf8),
            (&["00001"], DataType::Utf8),
            (&["0.5", "-0.5"], DataType::Float64),
            (&["99999999999999999999"], DataType::Utf8),
            (&["true", "False"], DataType::Boolean),
            (&["true", "1"], DataType::Utf8),
            (&["2024-02-29"], DataType::Date32),
            (&["2023-02-29"], DataType::Utf8),
            (&["2010-12-01 08:26:00", "2010-12-01T08:26:00Z"], second.clone()),
            (&["2010-12-01", "2010-12-01 08:26:00"], second),
            (&["2010-12-01 08:26:00.123456"], DataType::Timestamp(TimeUnit::Microsecond, None)),
            (&["12/27/2015"], DataType::Utf8),
            (&["-", "--1", "1.2.3", "1e", "."], DataType::Utf8),
        ] {
            assert_eq!(guess(texts, &Reading::default()), expected, "{texts:?}");
        }
    }

    #[test]
    fn nulls_blanks_and_formats() {
        let reading = Reading {
            nulls: vec!["NA".into()],
            trim: true,
            date_format: Some("%d.%m.%Y".into()),
            timestamp_format: Some("%d.%m.%Y %H:%M".into()),
            ..Reading::default()
        };
        assert_eq!(guess(&[" 1", "NA", "  "], &reading), DataType::Int64);
        assert_eq!(guess(&["24.12.2024", "NA"], &reading), DataType::Date32);
        assert_eq!(guess(&["24.12.2024", "x"], &reading), DataType::Utf8);
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
        assert_eq!(guess(&["24.12.2024 18:00"], &reading), timestamp);
    }

    #[test]
    fn decimal_comma() {
        let reading = Reading { decimal_comma: true, ..Reading::default() };
        let pattern = |text: &str| regex_like(text);
        for (text, expected) in [
            ("12,5", Some("12.5")),
            ("-1.234,56", Some("-1234.56")),
            ("1.234.567", Some("1234567")),
            (",5", Some(".5")),
            ("12", Some("12")),
            ("1.5", None),
            ("12.34,5", None),
            ("1,2,3", None),
            ("24.12.2024", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(plain_number(text).as_deref(), expected, "{text}");
            assert_eq!(pattern(text), expected.is_some(), "{text}");
        }
        assert_eq!(guess(&["1.234,56", "7"], &reading), DataType::Float64);
        assert_eq!(guess(&["1.234", "7"], &reading), DataType::Int64);
        assert_eq!(guess(&["1.5"], &reading), DataType::Utf8);
        assert_eq!(guess(&["2024-12-24"], &reading), DataType::Date32);
    }

    fn regex_like(text: &str) -> bool {
        use arrow::array::StringArray;
        use arrow::compute::kernels::regexp::regexp_is_match_scalar;
        let matches = regexp_is_match_scalar(&StringArray::from(vec![text]), COMMA_NUMBER, None);
        matches.unwrap().value(0)
    }
}
