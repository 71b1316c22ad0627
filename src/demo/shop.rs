// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The plan of the shop, which every table is drawn from: small, computed first, never changed.

use std::ops::Range;

use super::catalogue::Catalogue;
use super::channels::Mixtures;
use super::clock::{Clock, DAYS, SECONDS};
use super::dice::cumulative;
use super::orders::Order;
use super::people::{NOBODY, Person, Profile, Standing, Stub, simulate};
use super::words::CITIES;

pub(super) struct Shop {
    pub(super) seed: u64,
    pub(super) clock: Clock,
    pub(super) catalogue: Catalogue,
    pub(super) mixtures: Mixtures,
    pub(super) people: Vec<Person>,
    pub(super) stubs: Vec<Stub>,
    pub(super) cities: Vec<f64>,
    pub(super) ledger: Ledger,
}

/// What was sold, by day. Sums of whole numbers, so that the order of adding does not matter.
pub(super) struct Ledger {
    /// Units of each sku, day by day, cancelled and test orders left out.
    pub(super) units: Vec<u32>,
    /// Sales after discounts, excluding tax, in cents.
    pub(super) sales: Vec<i64>,
    /// Refunds by the day of the refund, in cents.
    pub(super) refunds: Vec<i64>,
    /// What the goods, the carrier, the payment provider and the packers took, in cents.
    pub(super) costs: Vec<i64>,
}

impl Shop {
    pub(super) fn plan(seed: u64, orders: u64, threads: usize) -> Self {
        let clock = Clock::new(seed);
        let mixtures = Mixtures::new();
        let (people, stubs) = simulate(seed, orders, &clock, &mixtures);
        let catalogue = Catalogue::new(seed, orders, &clock);
        let cities = cumulative(CITIES.iter().map(|c| c.3));
        let ledger = Ledger::new(catalogue.len());
        let mut shop = Self { seed, clock, catalogue, mixtures, people, stubs, cities, ledger };
        shop.ledger = shop.account(threads);
        shop
    }

    /// The person who placed an order; `None` for a test.
    pub(super) fn buyer(&self, stub: &Stub) -> Option<(usize, &Person)> {
        (stub.person != NOBODY).then(|| (stub.person as usize, &self.people[stub.person as usize]))
    }

    pub(super) fn profile(&self, person: &Person) -> Profile {
        Profile::new(self.seed, person, &self.cities)
    }

    /// Everybody with an account, by number.
    pub(super) fn accounts(&self) -> impl Iterator<Item = (usize, &Person)> {
        self.people.iter().enumerate().filter(|(_, p)| p.standing != Standing::Guest)
    }

    fn account(&self, threads: usize) -> Ledger {
        let size = self.stubs.len().div_ceil(threads).max(1);
        let parts: Vec<Range<usize>> = (0..threads)
            .map(|t| (t * size).min(self.stubs.len())..((t + 1) * size).min(self.stubs.len()))
            .collect();
        let mut ledger = Ledger::new(self.catalogue.len());
        std::thread::scope(|scope| {
            let running: Vec<_> =
                parts.into_iter().map(|part| scope.spawn(|| self.account_part(part))).collect();
            for thread in running {
                match thread.join() {
                    Ok(part) => ledger.add(&part),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        ledger
    }

    fn account_part(&self, part: Range<usize>) -> Ledger {
        let mut ledger = Ledger::new(self.catalogue.len());
        for index in part {
            let order = Order::draw(self, index);
            if order.test || order.cancelled.is_some() {
                continue;
            }
            let day = order.day();
            ledger.sales[day] += order.subtotal();
            ledger.costs[day] += order.carrier + order.payment_fee() + order.pick_pack;
            if let Some(time) = order.refund_time {
                ledger.refunds[(time / SECONDS) as usize] += order.refunded();
            }
            for line in order.lines.iter().filter(|l| !l.card) {
                ledger.units[day * self.catalogue.len() + line.sku] += line.quantity as u32;
                ledger.costs[day] +=
                    self.catalogue.skus[line.sku].cost(day) * i64::from(line.quantity);
            }
        }
        ledger
    }
}

impl Ledger {
    fn new(skus: usize) -> Self {
        Self {
            units: vec![0; skus * DAYS],
            sales: vec![0; DAYS],
            refunds: vec![0; DAYS],
            costs: vec![0; DAYS],
        }
    }

    fn add(&mut self, other: &Self) {
        self.units.iter_mut().zip(&other.units).for_each(|(a, b)| *a += b);
        for (mine, theirs) in [
            (&mut self.sales, &other.sales),
            (&mut self.refunds, &other.refunds),
            (&mut self.costs, &other.costs),
        ] {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }
}
