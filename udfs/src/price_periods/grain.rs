// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! From days to the numbers of periods and back. Days count from 1970-01-01.

/// What one observation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    Day,
    /// From Monday to Sunday, as ISO 8601 has it.
    Week,
    Month,
    /// Each row is an observation by itself.
    Row,
}

impl Grain {
    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "row" => Self::Row,
            _ => return None,
        })
    }

    /// The number of the period that a day belongs to: consecutive periods have consecutive numbers.
    pub(super) fn period(self, day: i32) -> i32 {
        match self {
            // 1970-01-01 was a Thursday.
            Self::Week => day.saturating_add(3).div_euclid(7),
            Self::Month => {
                let (year, month) = month_of(day);
                year * 12 + month
            }
            Self::Day | Self::Row => day,
        }
    }

    /// The first day of a period.
    pub(super) fn first_day(self, period: i32) -> i32 {
        match self {
            Self::Week => period * 7 - 3,
            Self::Month => first_of_month(period.div_euclid(12), period.rem_euclid(12)),
            Self::Day | Self::Row => period,
        }
    }
}

/// The year, and the month from 0.
pub(super) fn month_of(day: i32) -> (i32, i32) {
    // Years from March to February put the leap day at the end; 719,468 days lie between 0000-03-01 and 1970-01-01.
    let day = i64::from(day) + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = (from_march + 2) % 12;
    let year = era * 400 + year_of_era + i64::from(month < 2);
    (year as i32, month as i32)
}

fn first_of_month(year: i32, month: i32) -> i32 {
    let year = i64::from(year) - i64::from(month < 2);
    let from_march = i64::from((month + 10) % 12);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * from_march + 2) / 5;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    (era * 146_097 + of_era - 719_468) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar() {
        assert_eq!(month_of(0), (1970, 0));
        assert_eq!(month_of(-1), (1969, 11));
        assert_eq!(month_of(19_782), (2024, 1)); // 2024-02-29
        assert_eq!(month_of(19_783), (2024, 2));
        for grain in [Grain::Day, Grain::Week, Grain::Month, Grain::Row] {
            for day in (-200_000..200_000).step_by(13) {
                let period = grain.period(day);
                let first = grain.first_day(period);
                assert!(first <= day && grain.period(first) == period, "{grain:?} {day}");
                assert!(grain.period(first - 1) == period - 1, "{grain:?} {day}");
                assert!(grain.first_day(period + 1) > day);
            }
        }
        // 2024-01-01 was a Monday.
        assert_eq!(Grain::Week.first_day(Grain::Week.period(19_729)), 19_723);
        assert_eq!(Grain::parse("week"), Some(Grain::Week));
        assert_eq!(Grain::parse("weeks"), None);
    }
}
