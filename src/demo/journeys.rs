// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! How people come to the shop: paths that end in an order, paths that do not, and what is recorded of both
//! (touchpoints, sessions, events).

use super::Table;
use super::catalogue::sku_code;
use super::channels::{CHANNELS, DIRECT, Position};
use super::clock::{END, SECONDS};
use super::dice::{Dice, Thing};
use super::orders::Order;
use super::people::{Profile, Standing, customer_id, device_id};
use super::sheet::{Code, Sheet};
use super::shop::Shop;
use super::words::{CITIES, DEVICES};
use super::write::Staging;
use crate::error::Result;

/// A visit that a channel brought.
#[derive(Clone, Copy)]
pub(super) struct Touch {
    pub(super) time: u32,
    pub(super) channel: usize,
    campaign: &'static str,
    device: usize,
    signed_in: bool,
}

/// Paths of strangers that end without an order, for each order.
const STRANGERS: u64 = 1;
const DAY: f64 = SECONDS as f64;

/// The touches before an order, oldest first, all of them after the buyer's order before. None for a test order or a
/// purchase in a store.
pub(super) fn journey(shop: &Shop, index: usize) -> Vec<Touch> {
    let stub = &shop.stubs[index];
    let mut dice = Dice::new(shop.seed, Thing::Journey, index as u64);
    let in_store = dice.chance(0.05);
    let Some((_, person)) = shop.buyer(stub).filter(|_| !in_store) else { return vec![] };
    let first = stub.nth == 0;
    let gap = f64::from(stub.time - stub.previous);
    let room = (gap * 0.9).min(25.0 * DAY);
    let length = if room < DAY { 1 } else { dice.run(if first { 0.55 } else { 0.45 }, 6) };
    let mut ages: Vec<f64> =
        (1..length).map(|_| 0.04 * DAY + (room - 0.05 * DAY) * dice.unit().powi(2)).collect();
    ages.push((60.0 + dice.between(0.0, 1400.0)).min(gap * 0.5));
    ages.sort_by(|a, b| b.total_cmp(a));
    let touches = ages.into_iter().enumerate();
    touches
        .map(|(k, age)| {
            let channel = match k {
                0 if first => person.channel.into(),
                _ => shop.mixtures.draw(true, Position::of(k, length), &mut dice),
            };
            let anonymous = k + 1 < length && dice.chance(if first { 0.5 } else { 0.1 });
            Touch {
                signed_in: !anonymous,
                ..Touch::new(stub.time - age as u32, channel, &mut dice)
            }
        })
        .collect()
}

impl Touch {
    fn new(time: u32, channel: usize, dice: &mut Dice) -> Self {
        let campaign = dice.pick(&CHANNELS[channel].campaigns);
        Self { time, channel, campaign, device: dice.below(2), signed_in: false }
    }
}

/// A path that ends without an order, around that time.
fn fruitless(shop: &Shop, time: f64, dice: &mut Dice) -> Vec<Touch> {
    let length = dice.run(0.28, 6);
    let mut time = time.clamp(0.0, f64::from(END - 1));
    let mut path = vec![];
    for k in (0..length).rev() {
        let channel = shop.mixtures.draw(false, Position::of(k, length), dice);
        path.push(Touch::new(time as u32, channel, dice));
        time = (time - dice.between(0.05, 8.0) * DAY).max(0.0);
    }
    path.reverse();
    path
}

/// A visitor who has no account, as everybody else does but once.
pub(super) struct Stranger {
    pub(super) id: Code,
    pub(super) tracked: bool,
    country: &'static str,
    path: Vec<Touch>,
}

impl Stranger {
    /// When the visitor was first seen.
    pub(super) fn arrived(&self) -> u32 {
        self.path.first().map_or(0, |touch| touch.time)
    }
}

/// The strangers around an order: traffic follows the season as orders do.
pub(super) fn strangers(shop: &Shop, index: usize) -> impl Iterator<Item = Stranger> {
    (0..STRANGERS).map(move |n| {
        let mut dice = Dice::new(shop.seed, Thing::Visitor, index as u64 * STRANGERS + n);
        let time = f64::from(shop.stubs[index].time) + dice.between(-0.2, 0.2) * DAY;
        Stranger {
            id: Code::new("GA1.2").number(index as u64, 10).number(n, 1),
            tracked: dice.chance(0.5),
            country: CITIES[dice.weighted(&shop.cities)].0,
            path: fruitless(shop, time, &mut dice),
        }
    })
}

/// A customer who comes back to look, weeks after an order; seldom one who is gone for good.
fn look_around(shop: &Shop, index: usize) -> Vec<Touch> {
    let stub = &shop.stubs[index];
    let mut dice = Dice::new(shop.seed, Thing::Browsing, index as u64);
    let time = f64::from(stub.time) + dice.between(20.0, 80.0) * DAY;
    let interest = match shop.buyer(stub) {
        Some((_, p)) if p.standing == Standing::Account => {
            if time < f64::from(p.dropout) {
                0.3
            } else {
                0.06
            }
        }
        _ => 0.0,
    };
    if !dice.chance(interest) || time >= f64::from(END) {
        return vec![];
    }
    let channel = shop.mixtures.draw(false, Position::Opening, &mut dice);
    vec![Touch { signed_in: dice.chance(0.7), ..Touch::new(time as u32, channel, &mut dice) }]
}

pub(super) fn write_touchpoints(shop: &Shop, staging: &Staging<'_>) -> Result<Vec<Table>> {
    let mut sheet = staging.sheet("touchpoints")?;
    for index in 0..shop.stubs.len() {
        if let Some((person, known)) = shop.buyer(&shop.stubs[index]) {
            let devices = shop.profile(known).devices;
            let account = (known.standing == Standing::Account).then(|| customer_id(person));
            for (prefix, path) in [("T", journey(shop, index)), ("B", look_around(shop, index))] {
                for (k, touch) in path.iter().enumerate() {
                    let device = device_id(person, touch.device % devices);
                    touch_row(
                        &mut sheet,
                        prefix,
                        index,
                        k,
                        touch,
                        account.filter(|_| touch.signed_in),
                        device,
                    )?;
                }
            }
        }
        for stranger in strangers(shop, index) {
            for (k, touch) in stranger.path.iter().enumerate() {
                touch_row(&mut sheet, "N", index, k, touch, None, stranger.id)?;
            }
        }
    }
    Ok(vec![sheet.finish()?])
}

fn touch_row(
    sheet: &mut Sheet,
    prefix: &str,
    index: usize,
    k: usize,
    touch: &Touch,
    account: Option<Code>,
    device: Code,
) -> Result<()> {
    let channel = &CHANNELS[touch.channel];
    let paid = channel.platform.is_some();
    let id = |prefix| Code::new(prefix).number(index as u64, 9).and("-").number(k as u64, 1);
    let landing = if touch.campaign == "welcome" { "/welcome" } else { ["/", "/new"][index % 2] };
    sheet
        .id(id(prefix))
        .time(touch.time)
        .id(account)
        .id(device)
        .text(channel.name)
        .text(channel.source)
        .text(channel.medium)
        .text(touch.campaign)
        .flag(paid)
        .money(paid.then_some(20 + (index as i64 * 7 + k as i64 * 13) % 90))
        .id(channel.click.map(|name| id(&name[..2]).and(prefix)))
        .text(landing)
        .end_row()
}

/// Visits and events, of those alone who let them be recorded.
pub(super) fn write_visits(shop: &Shop, staging: &Staging<'_>) -> Result<Vec<Table>> {
    let mut log =
        Log { shop, sessions: staging.sheet("sessions")?, events: staging.sheet("events")? };
    for index in 0..shop.stubs.len() {
        if let Some((person, known)) = shop.buyer(&shop.stubs[index]) {
            let profile = shop.profile(known);
            let account = (known.standing == Standing::Account).then(|| customer_id(person));
            log.person(index, person, &profile, account)?;
        }
        for stranger in strangers(shop, index).filter(|s| s.tracked) {
            let mut dice = Dice::new(shop.seed, Thing::Visitor, (1 << 40) + index as u64);
            for (k, touch) in stranger.path.iter().enumerate() {
                let id = session_id(index, 20 + k);
                log.visit(id, touch, stranger.id, None, stranger.country, None, &mut dice)?;
            }
        }
    }
    Ok(vec![log.sessions.finish()?, log.events.finish()?])
}

fn session_id(index: usize, k: usize) -> Code {
    Code::new("V").number(index as u64, 9).and("-").number(k as u64, 2)
}

struct Log<'a> {
    shop: &'a Shop,
    sessions: Sheet,
    events: Sheet,
}

/// What all events of a visit share.
struct Visit<'a> {
    id: Code,
    device: Code,
    account: Option<Code>,
    country: &'static str,
    touch: &'a Touch,
}

impl Log<'_> {
    fn person(
        &mut self,
        index: usize,
        person: usize,
        profile: &Profile,
        account: Option<Code>,
    ) -> Result<()> {
        let mut dice = Dice::new(self.shop.seed, Thing::Browsing, (1 << 40) + index as u64);
        let path = journey(self.shop, index);
        for (k, touch) in path.iter().enumerate().filter(|(_, t)| profile.tracked(t.time)) {
            let order = (k + 1 == path.len()).then(|| Order::after(self.shop, index, &path));
            let device = device_id(person, touch.device % profile.devices);
            let account = account.filter(|_| touch.signed_in);
            self.visit(
                session_id(index, k),
                touch,
                device,
                account,
                profile.country(),
                order.as_ref(),
                &mut dice,
            )?;
        }
        for touch in look_around(self.shop, index).iter().filter(|t| profile.tracked(t.time)) {
            let device = device_id(person, touch.device % profile.devices);
            let account = account.filter(|_| touch.signed_in);
            self.visit(
                session_id(index, 10),
                touch,
                device,
                account,
                profile.country(),
                None,
                &mut dice,
            )?;
        }
        Ok(())
    }

    /// Looks, perhaps a basket, seldom the checkout; with an order, all the way.
    #[expect(clippy::too_many_arguments, reason = "one call a visit, each argument a column")]
    fn visit(
        &mut self,
        id: Code,
        touch: &Touch,
        device: Code,
        account: Option<Code>,
        country: &'static str,
        order: Option<&Order>,
        dice: &mut Dice,
    ) -> Result<()> {
        let visit = Visit { id, device, account, country, touch };
        let (mut time, mut pages) = (touch.time, 0);
        let last = order.map_or(END - 1, |o| o.time);
        let mut step = |log: &mut Self, name, sku: Option<usize>, dice: &mut Dice| {
            pages += 1;
            let price = sku.map(|s| log.shop.catalogue.price(s, (touch.time / SECONDS) as usize));
            let at = time.min(last);
            // An order comes a minute or more after its visit began: steps of a third of what is left stay before it.
            time += order.map_or(10 + dice.below(110) as u32, |o| o.time.saturating_sub(time) / 3);
            log.event(&visit, at, name, sku, price, None).map(|()| at)
        };
        let mut end = touch.time;
        if let Some(order) = order {
            let seen: Vec<usize> =
                order.lines.iter().filter(|l| !l.card).map(|l| l.sku).take(3).collect();
            for &sku in &seen {
                step(self, "view_item", Some(sku), dice)?;
            }
            step(self, "add_to_cart", seen.first().copied(), dice)?;
            step(self, "begin_checkout", None, dice)?;
            self.event(
                &visit,
                order.time,
                "purchase",
                None,
                Some(order.subtotal()),
                Some(order.id()),
            )?;
            end = order.time;
            pages += 1;
        } else {
            let day = (touch.time / SECONDS) as usize;
            let mut sku = self.shop.catalogue.choose(day, dice);
            for _ in 0..dice.run(0.3, 5) {
                end = step(self, "view_item", Some(sku), dice)?;
                sku = self.shop.catalogue.choose(day, dice);
            }
            if dice.chance(0.16) {
                end = step(self, "add_to_cart", Some(sku), dice)?;
                if dice.chance(0.3) {
                    end = step(self, "begin_checkout", None, dice)?;
                }
            }
        }
        self.sessions
            .id(id)
            .id(device)
            .id(account)
            .time(touch.time)
            .time(end)
            .text(CHANNELS[touch.channel].name)
            .int(pages)
            .flag(order.is_some())
            .end_row()
    }

    fn event(
        &mut self,
        visit: &Visit<'_>,
        time: u32,
        name: &'static str,
        sku: Option<usize>,
        value: Option<i64>,
        order: Option<Code>,
    ) -> Result<()> {
        let channel = &CHANNELS[visit.touch.channel];
        let page = match name {
            "view_item" => "/product",
            "add_to_cart" => "/cart",
            "begin_checkout" => "/checkout",
            _ => "/thank-you",
        };
        let direct = visit.touch.channel == DIRECT;
        self.events
            .time(time)
            .text(name)
            .id(visit.device)
            .id(visit.account)
            .id(visit.id)
            .text(page)
            .id(sku.map(sku_code))
            .id(order)
            .money(value)
            .text(channel.source)
            .text(channel.medium)
            .text((!direct).then_some(visit.touch.campaign))
            .text(device_category(visit.device))
            .text(visit.country)
            .end_row()
    }
}

/// A device stays what it is.
fn device_category(device: Code) -> &'static str {
    DEVICES[device.as_str().bytes().map(usize::from).sum::<usize>() % DEVICES.len()]
}
