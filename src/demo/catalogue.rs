// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What the shop sells: prices that move, costs that creep, stock that runs out, and demand that answers to price.
//!
//! On each day a buyer chooses a sku with a probability proportional to
//! `base * season * (net price / reference price) ^ elasticity * uplift`, where the uplift is above 1 during a promotion
//! and the weight is 0 while the sku is not on sale or out of stock. A log-log regression of a sku's share of the units
//! on its net price, promotions left out, therefore finds the elasticity.

use super::clock::{Clock, DAYS};
use super::dice::{Dice, Thing, cumulative};
use super::sheet::Code;
use super::words::{ADJECTIVES, TYPES};

/// Amounts are in cents.
pub(super) struct Sku {
    pub(super) kind: usize,
    pub(super) title: String,
    pub(super) reference: i64,
    pub(super) base: f64,
    pub(super) elasticity: f64,
    pub(super) return_rate: f64,
    pub(super) packaging: i64,
    pub(super) inbound: i64,
    pub(super) weight: i32,
    pub(super) volume: i32,
    pub(super) resale: f64,
    pub(super) lead_time: i32,
    /// The shop does not know the supplier price.
    pub(super) cost_unknown: bool,
    /// First day on sale, and first day no longer on sale.
    pub(super) launch: usize,
    pub(super) retired: usize,
    /// (first day, price), by day.
    pub(super) prices: Vec<(usize, i64)>,
    /// (first day, supplier price), by day.
    pub(super) costs: Vec<(usize, i64)>,
    /// (first day, first day after), by day.
    pub(super) stockouts: Vec<(usize, usize)>,
    /// (cell, price, first day, last day).
    pub(super) tests: Vec<(&'static str, i64, usize, usize)>,
    pub(super) companion: usize,
    /// For a bundle, (component, units).
    pub(super) parts: Vec<(usize, i32)>,
}

pub(super) struct Catalogue {
    pub(super) skus: Vec<Sku>,
    shelf: Vec<u32>,
    percent: Vec<u8>,
    /// How demand answers to the net price, 0 where nothing can be sold.
    appeal: Vec<f64>,
    /// Running sums of the weights of all skus, for each day.
    choice: Vec<f64>,
}

/// Factor on units during a promotion, beside what the lower price does.
pub(super) const UPLIFT: f64 = 1.35;

/// Gift cards: they are listed as products, have no stock, no cost and no tax, and are never reduced.
pub(super) const GIFT_CARDS: [(&str, i64); 3] =
    [("GIFT-025", 2500), ("GIFT-050", 5000), ("GIFT-100", 10_000)];

const BUNDLES: usize = 3;

impl Catalogue {
    pub(super) fn new(seed: u64, orders: u64, clock: &Clock) -> Self {
        // A shop ten times as large has some twice as many skus.
        let n = (20.0 * (orders as f64 / 1000.0).powf(0.37)).clamp(60.0, 396.0) as usize;
        let mut skus: Vec<Sku> = (0..n).map(|i| Sku::new(seed, i, n)).collect();
        for (k, bundle) in (n - BUNDLES..n).enumerate() {
            skus[bundle].parts = vec![(2 * k, 1), (2 * k + 1, 1 + (k as i32 % 2))];
            bundle_up(&mut skus, bundle);
        }
        let mut percent = vec![0; n * DAYS];
        for (k, promotion) in clock.promotions.iter().enumerate() {
            for i in 0..n {
                let mut dice = Dice::new(seed, Thing::Sku, ((k as u64 + 1) << 32) + i as u64);
                if dice.chance(promotion.share)
                    && skus[i].tests.iter().all(|t| t.3 < promotion.first || t.2 > promotion.last)
                {
                    (promotion.first..=promotion.last)
                        .for_each(|d| percent[d * n + i] = promotion.percent as u8);
                }
            }
        }
        let shelf = (0..DAYS).flat_map(|d| skus.iter().map(move |s| s.price(d) as u32)).collect();
        let mut catalogue = Self { skus, shelf, percent, appeal: vec![], choice: vec![] };
        for day in 0..DAYS {
            let appeal = (0..n).map(|i| catalogue.answer(i, day)).collect::<Vec<_>>();
            let weights = catalogue
                .skus
                .iter()
                .zip(&appeal)
                .map(|(sku, a)| sku.base * season(sku.kind, day) * a);
            catalogue.choice.extend(cumulative(weights));
            catalogue.appeal.extend(appeal);
        }
        catalogue
    }

    pub(super) fn len(&self) -> usize {
        self.skus.len()
    }

    /// Price before reductions, in cents.
    pub(super) fn price(&self, sku: usize, day: usize) -> i64 {
        i64::from(self.shelf[day * self.len() + sku])
    }

    /// Reduction by the promotion of the day, in percent.
    pub(super) fn percent(&self, sku: usize, day: usize) -> i64 {
        i64::from(self.percent[day * self.len() + sku])
    }

    pub(super) fn choose(&self, day: usize, dice: &mut Dice) -> usize {
        let n = self.len();
        dice.weighted(&self.choice[day * n..(day + 1) * n])
    }

    /// Whether the companion of what is in the basket is taken too. It answers to its own price as any choice does, so
    /// that joint purchases do not blur the elasticity.
    pub(super) fn companion(&self, sku: usize, day: usize, dice: &mut Dice) -> Option<usize> {
        let other = self.skus[sku].companion;
        dice.chance((0.22 * self.appeal[day * self.len() + other]).min(1.0)).then_some(other)
    }

    /// How demand for a sku answers to what is asked on a day: 1 at the reference price, 0 if it cannot be had.
    fn answer(&self, i: usize, day: usize) -> f64 {
        let (sku, percent) = (&self.skus[i], self.percent(i, day));
        if !sku.on_sale(day) || sku.out_of_stock(day) {
            return 0.0;
        }
        let net = self.price(i, day) as f64 * (100 - percent) as f64 / 100.0;
        let uplift = if percent > 0 { UPLIFT } else { 1.0 };
        (net / sku.reference as f64).powf(sku.elasticity) * uplift
    }
}

impl Sku {
    fn new(seed: u64, index: usize, n: usize) -> Self {
        let mut dice = Dice::new(seed, Thing::Sku, index as u64);
        let kind = index % TYPES.len();
        let typical = TYPES[kind].1 as f64;
        let reference = charm(typical * (0.45 * dice.normal()).exp());
        let base = (index as f64 + 3.0).powf(-0.9) * (0.35 * dice.normal()).exp();
        let elasticity = -dice.between(0.5, 3.0);
        let (mut launch, mut retired) = (0, DAYS);
        // The best sellers and the bundles are there from the first day to the last.
        if index > n / 5 && index < n - BUNDLES {
            if dice.chance(0.22) {
                launch = 30 + dice.below(800);
            }
            if dice.chance(0.08) {
                retired = 700 + dice.below(300).max(1);
            }
        }
        let tests =
            if (2..8).contains(&index) { price_test(reference, 400 + index * 17) } else { vec![] };
        let prices = price_history(reference, launch, &tests, &mut dice);
        let margin = dice.between(0.35, 0.68);
        let mut sku = Self {
            kind,
            title: format!(
                "{} {}",
                ADJECTIVES[(index / TYPES.len()) % ADJECTIVES.len()],
                TYPES[kind].2
            ),
            reference,
            base,
            elasticity,
            return_rate: TYPES[kind].4 * dice.between(0.6, 1.5),
            packaging: dice.between(15.0, 90.0) as i64,
            inbound: (reference as f64 * dice.between(0.02, 0.06)) as i64,
            weight: (f64::from(TYPES[kind].3) * dice.between(0.6, 1.6)) as i32,
            volume: (f64::from(TYPES[kind].3) * dice.between(2.0, 6.0)) as i32,
            resale: dice.between(0.5, 0.98),
            lead_time: 7 + dice.below(35) as i32,
            cost_unknown: dice.chance(0.05) && index < n - BUNDLES,
            launch,
            retired,
            prices,
            costs: cost_history(reference as f64 * (1.0 - margin), launch, &mut dice),
            stockouts: vec![],
            tests,
            companion: (index + TYPES.len() / 2 + dice.below(5)) % n,
            parts: vec![],
        };
        if sku.companion == index {
            sku.companion = (index + 1) % n;
        }
        sku.stockouts = stockouts(&sku, &mut dice);
        sku
    }

    pub(super) fn on_sale(&self, day: usize) -> bool {
        (self.launch..self.retired).contains(&day)
    }

    pub(super) fn out_of_stock(&self, day: usize) -> bool {
        self.stockouts.iter().any(|&(from, to)| (from..to).contains(&day))
    }

    /// Supplier price on a day.
    pub(super) fn cost(&self, day: usize) -> i64 {
        on_day(&self.costs, day)
    }

    fn price(&self, day: usize) -> i64 {
        on_day(&self.prices, day)
    }
}

pub(super) fn sku_code(sku: usize) -> Code {
    Code::new("SKU-").number(sku as u64 + 1, 4)
}

/// Product and variant: two neighbours of a category are variants of one product.
pub(super) fn variant_codes(sku: usize) -> (Code, Code) {
    let product = sku / (2 * TYPES.len()) * TYPES.len() + sku % TYPES.len();
    (Code::new("P").number(product as u64 + 1, 4), Code::new("V").number(sku as u64 + 1, 4))
}

fn on_day(history: &[(usize, i64)], day: usize) -> i64 {
    let next = history.partition_point(|&(from, _)| from <= day);
    history.get(next.saturating_sub(1)).map_or(0, |&(_, amount)| amount)
}

/// A price that ends in 90 cents.
fn charm(cents: f64) -> i64 {
    ((cents / 100.0).round().max(2.0) as i64) * 100 - 10
}

/// Some eight prices within a quarter of the reference, drawn without regard to the season: a price that followed demand
/// would hide the elasticity from every regression.
fn price_history(
    reference: i64,
    launch: usize,
    tests: &[(&'static str, i64, usize, usize)],
    dice: &mut Dice,
) -> Vec<(usize, i64)> {
    let mut history = vec![(launch, reference)];
    let mut day = launch + 60 + dice.below(120);
    while day < DAYS {
        history.push((day, charm(reference as f64 * dice.between(0.76, 1.28))));
        day += 50 + dice.below(110);
    }
    if let (Some(first), Some(last)) = (tests.first(), tests.last()) {
        let after = on_day(&history, last.3 + 1);
        history.retain(|h| h.0 < first.2 || h.0 > last.3);
        history.extend(tests.iter().map(|t| (t.2, t.1)));
        history.push((last.3 + 1, after));
        history.sort_by_key(|h| h.0);
        history.dedup_by_key(|h| h.0);
    }
    history
}

/// Five cells of three weeks: the current price, then a little more and less.
fn price_test(reference: i64, start: usize) -> Vec<(&'static str, i64, usize, usize)> {
    [("A", 100), ("B", 105), ("C", 110), ("D", 95), ("E", 90)]
        .iter()
        .enumerate()
        .map(|(k, &(cell, percent))| {
            (cell, reference * percent / 100, start + 21 * k, start + 21 * k + 20)
        })
        .collect()
}

fn cost_history(start: f64, launch: usize, dice: &mut Dice) -> Vec<(usize, i64)> {
    let mut history = vec![(launch, (start as i64).max(20))];
    let mut cost = start;
    let mut day = launch + 150 + dice.below(200);
    while day < DAYS {
        cost *= dice.between(0.98, 1.07);
        history.push((day, (cost as i64).max(20)));
        day += 150 + dice.below(200);
    }
    history
}

/// None to a few times in three years the supplier is late.
fn stockouts(sku: &Sku, dice: &mut Dice) -> Vec<(usize, usize)> {
    let mut periods = vec![];
    let mut day = sku.launch + 45 + (350.0 * dice.exponential()) as usize;
    while day + 20 < sku.retired {
        let end = day + 2 + dice.below(13);
        if sku.tests.iter().all(|t| t.3 < day || t.2 > end) {
            periods.push((day, end));
        }
        day = end + 45 + (450.0 * dice.exponential()) as usize;
    }
    periods
}

/// A bundle costs and weighs what its parts do, and is sold a tenth under their prices.
fn bundle_up(skus: &mut [Sku], bundle: usize) {
    let sum = |f: &dyn Fn(&Sku) -> i64| -> i64 {
        skus[bundle].parts.iter().map(|&(part, units)| f(&skus[part]) * i64::from(units)).sum()
    };
    let reference = charm(sum(&|s| s.reference) as f64 * 0.9);
    let (inbound, weight, volume) =
        (sum(&|s| s.inbound), sum(&|s| s.weight.into()), sum(&|s| s.volume.into()));
    let mut days: Vec<usize> = skus[bundle]
        .parts
        .iter()
        .flat_map(|&(part, _)| skus[part].costs.iter().map(|c| c.0))
        .collect();
    days.sort_unstable();
    days.dedup();
    let costs = days.iter().map(|&day| (day, sum(&|s| s.cost(day)))).collect();
    let sku = &mut skus[bundle];
    sku.title = format!("Set of {}", ADJECTIVES[bundle % ADJECTIVES.len()].to_lowercase());
    let scale = reference as f64 / sku.reference as f64;
    sku.prices.iter_mut().for_each(|p| p.1 = charm(p.1 as f64 * scale));
    (sku.reference, sku.inbound, sku.weight, sku.volume) =
        (reference, inbound, weight as i32, volume as i32);
    sku.costs = costs;
}

/// Some categories have their own year.
fn season(kind: usize, day: usize) -> f64 {
    let phase = TYPES[kind].5;
    if phase < 0 {
        return 1.0;
    }
    let angle = std::f64::consts::TAU * (day as f64 - f64::from(phase)) / 365.25;
    (0.35 * angle.cos()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_stock_is_not_chosen() {
        let clock = Clock::new(3);
        let catalogue = Catalogue::new(3, 2000, &clock);
        let (sku, day) = (0..catalogue.len())
            .find_map(|i| catalogue.skus[i].stockouts.first().map(|&(from, _)| (i, from)))
            .unwrap_or((0, 0));
        let mut dice = Dice::new(3, Thing::Day, 9);
        assert!((0..3000).all(|_| catalogue.choose(day, &mut dice) != sku));
    }

    #[test]
    fn a_bundle_costs_its_parts() {
        let catalogue = Catalogue::new(3, 2000, &Clock::new(3));
        let bundle = &catalogue.skus[catalogue.len() - 1];
        let parts: i64 = bundle
            .parts
            .iter()
            .map(|&(p, n)| catalogue.skus[p].cost(DAYS - 1) * i64::from(n))
            .sum();
        assert_eq!(bundle.cost(DAYS - 1), parts);
    }
}
