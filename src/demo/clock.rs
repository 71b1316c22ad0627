// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The time of the shop: three whole years, how busy each day is, and what happens on it.
//!
//! Days are counted from the first one, seconds from its midnight (UTC).

use chrono::{Datelike, Duration, NaiveDate};

use super::dice::{Dice, Thing, cumulative};

/// 2023-01-01 to 2025-12-31.
pub(super) const DAYS: usize = 1096;
/// 2023-01-01 in days since 1970-01-01.
pub(super) const FIRST_DAY: i32 = 19_358;
/// Seconds in a day.
pub(super) const SECONDS: u32 = 86_400;
/// The first second after the shop's data.
pub(super) const END: u32 = DAYS as u32 * SECONDS;

/// A period of reduced prices.
#[derive(Clone, Copy)]
pub(super) struct Promotion {
    pub(super) name: &'static str,
    pub(super) first: usize,
    pub(super) last: usize,
    /// Reduction in percent.
    pub(super) percent: i64,
    /// Probability that a sku takes part.
    pub(super) share: f64,
}

/// One line of the calendar.
pub(super) struct Event {
    pub(super) day: usize,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
}

pub(super) struct Clock {
    /// Demand of each day against the mean day: week, year, peaks and luck. Mean 1.
    pub(super) demand: Vec<f64>,
    /// The same without luck, as a plan would know it.
    pub(super) planned: Vec<f64>,
    /// Demand from the opening to the end of each day.
    running: Vec<f64>,
    /// Running sums of the flow of new customers, who also grow in number.
    arrivals: Vec<f64>,
    pub(super) promotions: Vec<Promotion>,
    hours: Vec<f64>,
}

impl Clock {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed, Thing::Day, 0);
        let planned = to_mean_one((0..DAYS).map(season).collect());
        let demand =
            to_mean_one(planned.iter().map(|p| p * (0.06 * dice.normal()).exp()).collect());
        let growth = |d: usize| 0.12 * d as f64 / 365.25;
        let arrivals = cumulative(demand.iter().enumerate().map(|(d, x)| x * growth(d).exp()));
        let running = cumulative(demand.iter().copied());
        Self {
            demand,
            planned,
            running,
            arrivals,
            promotions: promotions(),
            hours: cumulative(HOURS),
        }
    }

    /// When a new customer comes.
    pub(super) fn arrival(&self, dice: &mut Dice) -> u32 {
        let day = dice.weighted(&self.arrivals);
        self.moment(day, dice)
    }

    /// New customers expected on a day, as a share of all of them.
    pub(super) fn arrival_share(&self, day: usize) -> f64 {
        let before = if day == 0 { 0.0 } else { self.arrivals[day - 1] };
        (self.arrivals[day] - before) / self.arrivals[DAYS - 1]
    }

    /// The moment at which `effort` mean days of demand have passed since `start`; `None` after the end. With an
    /// exponential effort it gives the next event of a Poisson process whose rate follows the season (time change).
    pub(super) fn after(&self, start: u32, effort: f64, dice: &mut Dice) -> Option<u32> {
        let day = (start / SECONDS) as usize;
        let within = f64::from(start % SECONDS) / f64::from(SECONDS);
        let target = self.running.get(day)? - self.demand[day] * (1.0 - within) + effort;
        let then = self.running.partition_point(|&r| r < target);
        (then < DAYS).then(|| self.moment(then, dice))
    }

    /// A second of that day, at the hours when people shop.
    pub(super) fn moment(&self, day: usize, dice: &mut Dice) -> u32 {
        day as u32 * SECONDS + dice.weighted(&self.hours) as u32 * 3600 + dice.below(3600) as u32
    }
}

fn to_mean_one(mut values: Vec<f64>) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter_mut().for_each(|v| *v /= mean);
    values
}

/// Holidays, peaks and promotions, by day.
pub(super) fn events() -> Vec<Event> {
    let mut events = vec![];
    for year in 2023..=2025 {
        for (month, day, name) in HOLIDAYS {
            events.push(Event { day: day_of(year, month, day), name, kind: "holiday" });
        }
        let friday = black_friday(year);
        events.push(Event { day: friday, name: "black_friday", kind: "peak" });
        events.push(Event { day: friday + 3, name: "cyber_monday", kind: "peak" });
    }
    for p in promotions() {
        events.extend((p.first..=p.last).map(|day| Event { day, name: p.name, kind: "promotion" }));
    }
    events.sort_by_key(|e| (e.day, e.name));
    events
}

/// The date of a day.
pub(super) fn date(day: usize) -> NaiveDate {
    NaiveDate::default() + Duration::days(i64::from(FIRST_DAY) + day as i64)
}

/// The first day of each month of the shop.
pub(super) fn months() -> Vec<usize> {
    (0..DAYS).filter(|&d| date(d).day() == 1).collect()
}

fn day_of(year: i32, month: u32, day: u32) -> usize {
    let days = NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default() - date(0);
    days.num_days().max(0) as usize
}

/// The Friday after the fourth Thursday of November.
fn black_friday(year: i32) -> usize {
    let first = day_of(year, 11, 1);
    let to_thursday = (3 + 7 - date(first).weekday().num_days_from_monday() as usize) % 7;
    first + to_thursday + 21 + 1
}

fn promotions() -> Vec<Promotion> {
    let mut all = vec![];
    for year in 2023..=2025 {
        let mut add = |name, first: usize, days: usize, percent, share| {
            all.push(Promotion {
                name,
                first,
                last: (first + days - 1).min(DAYS - 1),
                percent,
                share,
            });
        };
        add("winter_sales", day_of(year, 1, 11), 21, 20, 0.5);
        add("spring_days", day_of(year, 4, 10), 7, 15, 0.3);
        add("summer_sales", day_of(year, 6, 26), 21, 20, 0.5);
        add("back_to_school", day_of(year, 9, 4), 7, 10, 0.3);
        add("black_friday_deals", black_friday(year) - 1, 5, 25, 0.8);
        add("christmas_offer", day_of(year, 12, 10), 9, 10, 0.3);
    }
    all
}

const HOLIDAYS: [(u32, u32, &str); 6] = [
    (1, 1, "new_year"),
    (2, 14, "valentines_day"),
    (5, 1, "labour_day"),
    (7, 14, "bastille_day"),
    (8, 15, "assumption"),
    (12, 25, "christmas"),
];

/// Orders by hour of the day.
const HOURS: [f64; 24] = [
    1.0, 0.6, 0.4, 0.3, 0.3, 0.5, 1.2, 2.4, 3.6, 4.6, 5.2, 5.4, 5.6, 5.2, 4.8, 4.8, 5.0, 5.4, 6.2,
    7.4, 8.6, 8.4, 6.0, 3.1,
];

/// Orders by day of the week, Monday first.
const WEEK: [f64; 7] = [1.08, 1.00, 0.97, 0.98, 0.92, 0.93, 1.12];

/// Orders by month.
const YEAR: [f64; 12] = [0.98, 0.88, 0.92, 0.95, 0.98, 0.96, 0.94, 0.82, 0.98, 1.02, 1.20, 1.38];

fn season(day: usize) -> f64 {
    let date = date(day);
    // Between mid-months, so that no month begins with a jump.
    let month = date.month0() as usize;
    let shift = (f64::from(date.day()) - 15.0) / 30.0;
    let other = if shift < 0.0 { (month + 11) % 12 } else { (month + 1) % 12 };
    let year = YEAR[month] * (1.0 - shift.abs()) + YEAR[other] * shift.abs();
    let peak = match day as i64 - black_friday(date.year()) as i64 {
        0 => 4.0,
        3 => 2.6,
        1 | 2 => 2.2,
        -4..=-1 => 1.4,
        4..=6 => 1.2,
        _ => 1.0,
    };
    let rest = match (date.month(), date.day()) {
        (1, 1) | (12, 25) => 0.45,
        (12, 24 | 26 | 31) => 0.6,
        (12, 19..=23) => 0.85,
        _ => 1.0,
    };
    year * peak * rest * WEEK[date.weekday().num_days_from_monday() as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_years() {
        assert_eq!(date(0).to_string(), "2023-01-01");
        assert_eq!(date(DAYS - 1).to_string(), "2025-12-31");
        assert_eq!(months().len(), 36);
    }

    #[test]
    fn black_fridays() {
        let days: Vec<_> = (2023..=2025).map(|y| date(black_friday(y)).to_string()).collect();
        assert_eq!(days, ["2023-11-24", "2024-11-29", "2025-11-28"]);
    }

    #[test]
    fn demand_has_mean_one_and_peaks_on_black_friday() {
        let clock = Clock::new(7);
        assert!((clock.demand.iter().sum::<f64>() / DAYS as f64 - 1.0).abs() < 1e-9);
        assert!(clock.demand[black_friday(2024)] > 3.0);
    }
}
