// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Who buys, when, and until when: a buy-till-you-die process (Pareto/NBD).
//!
//! Each person orders at random at an own rate (gamma over people) that follows the season, and drops out at random
//! (exponential, its rate gamma over people). People are simulated one after the other until the shop has its orders,
//! then numbered by the day they came. Only this outline is kept in memory, 16 bytes an order; the rest of an order is
//! drawn when it is written.

use super::channels::{CHANNELS, Mixtures, Position};
use super::clock::{Clock, END, SECONDS};
use super::dice::{Dice, Thing};
use super::sheet::Code;
use super::words::{CITIES, FIRST_NAMES, LAST_NAMES};

/// How a person stands to the shop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Has an account and buys.
    Account,
    /// Buys without an account.
    Guest,
    /// Has an account and never bought.
    Prospect,
}

pub(super) struct Person {
    /// Number of the person's streams of chance.
    pub(super) draw: u32,
    /// The first order, or for a prospect the account.
    pub(super) joined: u32,
    /// Buys no more after this second, which may lie after the end.
    pub(super) dropout: u32,
    /// Orders a day while alive.
    pub(super) rate: f32,
    pub(super) orders: u16,
    pub(super) channel: u8,
    pub(super) standing: Standing,
}

/// The outline of an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stub {
    pub(super) time: u32,
    /// Index of the person, [`NOBODY`] for a test order.
    pub(super) person: u32,
    /// Time of the person's order before, 0 if none.
    pub(super) previous: u32,
    /// 0 for the person's first order.
    pub(super) nth: u32,
}

pub(super) const NOBODY: u32 = u32::MAX;

/// Trials on new customers: (name, first day, first day after, effect of B on the purchase rate).
pub(super) const EXPERIMENTS: [(&str, usize, usize, f64); 2] =
    [("welcome_series", 600, 780, 0.25), ("checkout_copy", 820, 1000, 0.0)];

const TEST_SHARE: f64 = 0.003;
const YEAR: f64 = 365.25;

/// Exactly `orders` outlines by time, and the people by the time they came.
pub(super) fn simulate(
    seed: u64,
    orders: u64,
    clock: &Clock,
    mixtures: &Mixtures,
) -> (Vec<Person>, Vec<Stub>) {
    let tests = (orders as f64 * TEST_SHARE).round() as u64;
    let wanted = (orders - tests) as usize;
    let mut people = Vec::with_capacity(wanted / 2);
    let mut stubs = Vec::with_capacity(orders as usize);
    for i in 0..tests {
        let mut dice = Dice::new(seed, Thing::TestOrder, i);
        stubs.push(Stub {
            time: dice.below(END as usize) as u32,
            person: NOBODY,
            previous: 0,
            nth: i as u32,
        });
    }
    let before = stubs.len();
    while stubs.len() - before < wanted {
        let left = wanted - (stubs.len() - before);
        let person = live(seed, people.len() as u32, left, clock, mixtures, &mut stubs);
        people.push(person);
    }
    people.sort_unstable_by_key(|p| (p.joined, p.draw));
    let mut rank = vec![0_u32; people.len()];
    people.iter().enumerate().for_each(|(i, p)| rank[p.draw as usize] = i as u32);
    stubs[before..].iter_mut().for_each(|s| s.person = rank[s.person as usize]);
    stubs.sort_unstable();
    (people, stubs)
}

/// One person's life; adds at most `left` orders.
fn live(
    seed: u64,
    draw: u32,
    left: usize,
    clock: &Clock,
    mixtures: &Mixtures,
    stubs: &mut Vec<Stub>,
) -> Person {
    let mut dice = Dice::new(seed, Thing::Person, draw.into());
    let standing = match dice.unit() {
        x if x < 0.04 => Standing::Prospect,
        x if x < 0.12 => Standing::Guest,
        _ => Standing::Account,
    };
    let channel = mixtures.draw(true, Position::Opening, &mut dice);
    let joined = clock.arrival(&mut dice);
    let mut rate = dice.gamma(0.8) / 0.8 * 3.4 / YEAR * CHANNELS[channel].rate;
    if standing == Standing::Guest {
        rate *= 0.2;
    }
    for experiment in EXPERIMENTS {
        if variant(draw, joined, experiment.1, experiment.2) == Some("B") {
            rate *= 1.0 + experiment.3;
        }
    }
    let lifetime = dice.exponential() / (dice.gamma(1.6) / 1.6 * 0.85 / YEAR).max(1e-9);
    let dropout = (f64::from(joined) + lifetime * f64::from(SECONDS)) as u32;
    let mut person = Person {
        draw,
        joined,
        dropout,
        rate: rate as f32,
        orders: 0,
        channel: channel as u8,
        standing,
    };
    if standing == Standing::Prospect {
        return person;
    }
    let (mut time, mut previous) = (joined, 0);
    while usize::from(person.orders) < left && person.orders < u16::MAX {
        stubs.push(Stub { time, person: draw, previous, nth: person.orders.into() });
        person.orders += 1;
        previous = time;
        match clock.after(time, dice.exponential() / rate.max(1e-12), &mut dice) {
            // The hour of the day is drawn anew, and must not lie before the order before.
            Some(next) => time = next.max(previous + 1200),
            None => break,
        }
        if time >= dropout || time >= END {
            break;
        }
    }
    person
}

/// The variant of a trial that a person saw, if the person came while it ran. A trial is assigned by a hash of the
/// person's number, so that it is independent of everything else about the person.
pub(super) fn variant(draw: u32, joined: u32, from: usize, to: usize) -> Option<&'static str> {
    let day = (joined / SECONDS) as usize;
    let coin = (draw.wrapping_add(from as u32).wrapping_mul(2_654_435_761) >> 15) & 1;
    (from..to).contains(&day).then_some(if coin == 1 { "B" } else { "A" })
}

/// What is known of a person beside the orders. Drawn when needed.
pub(super) struct Profile {
    pub(super) first_name: &'static str,
    pub(super) last_name: &'static str,
    city: usize,
    pub(super) postal: u32,
    pub(super) phone: Option<u32>,
    pub(super) created: u32,
    pub(super) email_consent: bool,
    pub(super) sms_consent: bool,
    pub(super) analytics: bool,
    pub(super) ads: bool,
    /// When the consent to analytics was withdrawn.
    pub(super) withdrawn: Option<u32>,
    /// How much larger than usual the baskets are.
    pub(super) basket: f64,
    /// Probability of a code on an order.
    pub(super) coupon: f64,
    pub(super) opens: f64,
    pub(super) devices: usize,
}

impl Profile {
    pub(super) fn new(seed: u64, person: &Person, cities: &[f64]) -> Self {
        let mut dice = Dice::new(seed, Thing::Profile, person.draw.into());
        let early = if dice.chance(0.25) {
            dice.below(20 * SECONDS as usize)
        } else {
            60 + dice.below(1100)
        } as u32;
        let created = person.joined.saturating_sub(early);
        let city = dice.weighted(cities);
        let analytics = dice.chance(0.58);
        let withdrawn = (analytics && dice.chance(0.04))
            .then(|| person.joined.saturating_add(dice.below(END as usize) as u32));
        Self {
            first_name: dice.pick(&FIRST_NAMES),
            last_name: dice.pick(&LAST_NAMES),
            city,
            postal: CITIES[city].2 + dice.below(8) as u32,
            phone: dice.chance(0.55).then(|| 10_000_000 + dice.below(89_999_999) as u32),
            created,
            email_consent: dice.chance(0.56),
            sms_consent: dice.chance(0.18),
            analytics,
            ads: analytics && dice.chance(0.7),
            withdrawn: withdrawn.filter(|&t| t < END),
            basket: (0.4 * dice.normal()).exp(),
            coupon: (0.22 * dice.gamma(0.6)).min(0.9),
            opens: dice.between(0.15, 0.65),
            devices: if dice.chance(0.35) { 2 } else { 1 },
        }
    }

    pub(super) fn country(&self) -> &'static str {
        CITIES[self.city].0
    }

    pub(super) fn city(&self) -> &'static str {
        CITIES[self.city].1
    }

    pub(super) fn postal_code(&self) -> Code {
        postal_code(self.country(), self.postal)
    }

    /// Everybody has another one, whatever the name.
    pub(super) fn email(&self, person: &Person) -> Code {
        Code::new("")
            .lower(self.first_name)
            .and(".")
            .lower(self.last_name)
            .number(person.draw.into(), 1)
            .and("@example.org")
    }

    /// Whether visits may be recorded at that second.
    pub(super) fn tracked(&self, second: u32) -> bool {
        self.analytics && self.withdrawn.is_none_or(|t| second < t)
    }
}

/// Belgium, Luxembourg and the Netherlands have four digits, the other countries five.
pub(super) fn postal_code(country: &str, number: u32) -> Code {
    Code::new("").number(number.into(), if matches!(country, "BE" | "LU" | "NL") { 4 } else { 5 })
}

pub(super) fn customer_id(person: usize) -> Code {
    Code::new("C").number(person as u64 + 1, 7)
}

/// The name of a person's device for analytics.
pub(super) fn device_id(person: usize, device: usize) -> Code {
    Code::new("GA1.1").number(person as u64, 9).number(device as u64, 1)
}
