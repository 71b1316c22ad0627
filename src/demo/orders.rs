// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! One order, whole: what was bought, what was paid, what came back. [`super::sales`] writes it down.

use super::catalogue::GIFT_CARDS;
use super::clock::{END, SECONDS};
use super::dice::{Dice, Thing, cumulative};
use super::journeys::{Touch, journey};
use super::people::{Standing, postal_code};
use super::sheet::Code;
use super::shop::Shop;
use super::words::country;

/// Amounts are in cents.
pub(super) struct Order {
    pub(super) index: usize,
    pub(super) time: u32,
    /// Whose account, if the buyer has one and was signed in.
    pub(super) account: Option<usize>,
    pub(super) email: Code,
    pub(super) country: &'static str,
    pub(super) postal: Code,
    pub(super) test: bool,
    /// Sold in a store.
    pub(super) in_store: bool,
    pub(super) cancelled: Option<u32>,
    pub(super) lines: Vec<Line>,
    /// Shipping paid by the customer.
    pub(super) shipping: i64,
    /// Shipping paid by the shop.
    pub(super) carrier: i64,
    pub(super) pick_pack: i64,
    pub(super) refund_time: Option<u32>,
    /// Channel of the last touch.
    pub(super) channel: Option<usize>,
}

pub(super) struct Line {
    /// Of the catalogue, or of the gift cards.
    pub(super) sku: usize,
    pub(super) card: bool,
    pub(super) quantity: i32,
    pub(super) price: i64,
    pub(super) discount: i64,
    pub(super) tax: i64,
    /// Units, amount and tax that came back.
    pub(super) back: Option<(i32, i64, i64)>,
}

impl Line {
    pub(super) fn gross(&self) -> i64 {
        self.price * i64::from(self.quantity)
    }

    pub(super) fn net(&self) -> i64 {
        self.gross() - self.discount
    }
}

impl Order {
    pub(super) fn draw(shop: &Shop, index: usize) -> Self {
        Self::after(shop, index, &journey(shop, index))
    }

    /// The order that the path led to, for who has the path already.
    pub(super) fn after(shop: &Shop, index: usize, path: &[Touch]) -> Self {
        let stub = &shop.stubs[index];
        let mut dice = Dice::new(shop.seed, Thing::Order, index as u64);
        let buyer = shop.buyer(stub);
        let profile = buyer.map(|(_, person)| shop.profile(person));
        let test = buyer.is_none();
        let in_store = path.is_empty() && !test;
        let country_code = profile.as_ref().map_or("FR", |p| p.country());
        let forgot = dice.chance(0.005);
        let account =
            buyer.filter(|(_, p)| p.standing == Standing::Account && !forgot).map(|(i, _)| i);
        let mut order = Self {
            index,
            time: stub.time,
            account,
            email: match (&profile, buyer) {
                (Some(profile), Some((_, person))) => profile.email(person),
                _ => Code::new("qa@comptoir.example"),
            },
            country: country_code,
            postal: profile.as_ref().map_or_else(|| postal_code("FR", 75_001), |p| p.postal_code()),
            test,
            in_store,
            cancelled: None,
            lines: vec![],
            shipping: 0,
            carrier: 0,
            pick_pack: 0,
            refund_time: None,
            channel: path.last().map(|touch| touch.channel),
        };
        order.fill(shop, profile.as_ref().map_or(1.0, |p| p.basket), &mut dice);
        let code = if stub.nth == 0 && dice.chance(0.25) {
            10
        } else if dice.chance(profile.as_ref().map_or(0.0, |p| p.coupon)) {
            15
        } else {
            0
        };
        order.reduce(code);
        order.tax_and_ship(shop, &mut dice);
        if !test && dice.chance(0.02) {
            order.cancelled = Some(stub.time + 600 + dice.below(2 * SECONDS as usize) as u32)
                .filter(|&t| t < END);
        }
        if !test && order.cancelled.is_none() {
            order.send_back(shop, &mut dice);
        }
        order
    }

    pub(super) fn day(&self) -> usize {
        (self.time / SECONDS) as usize
    }

    pub(super) fn id(&self) -> Code {
        order_id(self.index)
    }

    pub(super) fn gross(&self) -> i64 {
        self.lines.iter().map(Line::gross).sum()
    }

    pub(super) fn discounts(&self) -> i64 {
        self.lines.iter().map(|l| l.discount).sum()
    }

    pub(super) fn subtotal(&self) -> i64 {
        self.gross() - self.discounts()
    }

    pub(super) fn tax(&self) -> i64 {
        self.lines.iter().map(|l| l.tax).sum()
    }

    pub(super) fn total(&self) -> i64 {
        self.subtotal() + self.tax() + self.shipping
    }

    pub(super) fn refunded(&self) -> i64 {
        self.lines.iter().filter_map(|l| l.back).map(|back| back.1).sum()
    }

    pub(super) fn payment_fee(&self) -> i64 {
        if self.test || self.cancelled.is_some() { 0 } else { 25 + share(self.total(), 14, 1000) }
    }

    fn fill(&mut self, shop: &Shop, basket: f64, dice: &mut Dice) {
        let (day, catalogue) = (self.day(), &shop.catalogue);
        for _ in 0..dice.run((0.31 * basket).min(0.85), 12) {
            let sku = catalogue.choose(day, dice);
            self.put(shop, sku, dice.run(0.2, 6) as i32);
            if let Some(other) = catalogue.companion(sku, day, dice) {
                self.put(shop, other, 1);
            }
        }
        if dice.chance(0.01) {
            let card = dice.below(GIFT_CARDS.len());
            let price = GIFT_CARDS[card].1;
            self.lines.push(Line {
                sku: card,
                card: true,
                quantity: 1,
                price,
                discount: 0,
                tax: 0,
                back: None,
            });
        }
    }

    /// A sku has one line.
    fn put(&mut self, shop: &Shop, sku: usize, quantity: i32) {
        let day = self.day();
        let price = shop.catalogue.price(sku, day);
        let at = self.lines.iter().position(|l| l.sku == sku && !l.card).unwrap_or_else(|| {
            self.lines.push(Line {
                sku,
                card: false,
                quantity: 0,
                price,
                discount: 0,
                tax: 0,
                back: None,
            });
            self.lines.len() - 1
        });
        let line = &mut self.lines[at];
        line.quantity += quantity;
        line.discount = share(line.gross(), shop.catalogue.percent(sku, day), 100);
    }

    /// Spreads a code over the lines so that not a cent is lost: each line takes what the running total has grown by.
    fn reduce(&mut self, percent: i64) {
        let (mut seen, mut given) = (0, 0);
        for line in self.lines.iter_mut().filter(|l| !l.card) {
            seen += line.net();
            let so_far = share(seen, percent, 100);
            line.discount += so_far - given;
            given = so_far;
        }
    }

    fn tax_and_ship(&mut self, shop: &Shop, dice: &mut Dice) {
        let (rate, carrier) = country(self.country);
        let mut grams = 0;
        for line in self.lines.iter_mut().filter(|l| !l.card) {
            line.tax = share(line.net(), rate, 100);
            grams += i64::from(shop.catalogue.skus[line.sku].weight) * i64::from(line.quantity);
        }
        if self.in_store || grams == 0 {
            return;
        }
        self.shipping = if self.subtotal() >= 6000 { 0 } else { 490 };
        self.carrier = carrier + grams * 6 / 100 + dice.below(60) as i64;
        self.pick_pack = 120 + 35 * self.lines.iter().map(|l| i64::from(l.quantity)).sum::<i64>();
    }

    fn send_back(&mut self, shop: &Shop, dice: &mut Dice) {
        let factors: Vec<f64> = self
            .lines
            .iter()
            .map(|l| {
                if l.card {
                    0.0
                } else {
                    shop.catalogue.skus[l.sku].return_rate * f64::from(l.quantity)
                }
            })
            .collect();
        let chosen = cumulative(factors);
        let time =
            self.time + (4 + dice.below(28) as u32) * SECONDS + dice.below(SECONDS as usize) as u32;
        let risk = 0.026 * chosen.last().copied().unwrap_or(0.0);
        if !dice.chance(risk.min(0.6)) || time >= END {
            return;
        }
        self.refund_time = Some(time);
        if dice.chance(0.4) {
            for line in self.lines.iter_mut().filter(|l| !l.card) {
                line.back = Some((line.quantity, line.net(), line.tax));
            }
        } else {
            let line = &mut self.lines[dice.weighted(&chosen)];
            let units = 1 + dice.below(line.quantity as usize) as i32;
            let part = |amount| share(amount, units.into(), line.quantity.into());
            line.back = Some((units, part(line.net()), part(line.tax)));
        }
    }

    pub(super) fn financial_status(&self) -> &'static str {
        match self.refunded() {
            _ if self.cancelled.is_some() => "voided",
            0 => "paid",
            back if back == self.subtotal() => "refunded",
            _ => "partially_refunded",
        }
    }
}

pub(super) fn order_id(index: usize) -> Code {
    Code::new("O").number(index as u64 + 1, 9)
}

/// `amount * part / whole`, halves up; amounts are not negative.
fn share(amount: i64, part: i64, whole: i64) -> i64 {
    (amount * part * 2 + whole) / (whole * 2)
}
