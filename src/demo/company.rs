// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The tables of the company: ad_spend, targets, cash, costs, calendar, fx_rates, truth/channels, truth/shop.

use super::Table;
use super::channels::{CHANNELS, Channel};
use super::clock::{DAYS, events, months};
use super::dice::{Dice, Thing};
use super::people::Standing;
use super::sales::CURRENCY;
use super::sheet::{Code, Sheet};
use super::shop::Shop;
use super::write::Staging;
use crate::error::Result;

/// Goes up when the same seed gives other bytes.
const VERSION: i32 = 1;

pub(super) fn write_company(shop: &Shop, staging: &Staging<'_>) -> Result<Vec<Table>> {
    let budget = Budget::new(shop);
    Ok(vec![
        ad_spend(shop, &budget, staging.sheet("ad_spend")?)?,
        targets(shop, staging.sheet("targets")?)?,
        cash(shop, &budget, staging.sheet("cash")?)?,
        costs(&budget, staging.sheet("costs")?)?,
        calendar(staging.sheet("calendar")?)?,
        fx_rates(shop, staging.sheet("fx_rates")?)?,
        truth_channels(shop, staging.sheet("truth/channels")?)?,
        truth_shop(shop, staging.sheet("truth/shop")?)?,
    ])
}

/// What the company spends beside its goods, in cents.
struct Budget {
    /// Media by day and channel.
    media: Vec<[i64; CHANNELS.len()]>,
    /// Other marketing cost of a month, for each cost type.
    marketing: [(&'static str, i64); 5],
    /// Overhead of a month, for each type, with the key to spread it.
    overhead: [(&'static str, i64, &'static str); 5],
}

impl Budget {
    /// Media of a channel on a day: its true cost of a new customer, times the new customers to be expected, times luck.
    fn new(shop: &Shop) -> Self {
        let buyers = shop.people.iter().filter(|p| p.standing != Standing::Prospect).count() as f64;
        let shares = shop.mixtures.acquisition();
        let media = (0..DAYS)
            .map(|day| {
                let mut dice = Dice::new(shop.seed, Thing::Spend, day as u64);
                let expected = buyers * shop.clock.arrival_share(day);
                std::array::from_fn(|c| {
                    // The mean of the luck is 1, so that the planted cost of a customer is the true one.
                    let luck = (0.1 * dice.normal() - 0.005).exp();
                    (expected * shares[c] * CHANNELS[c].cac as f64 * luck) as i64
                })
            })
            .collect();
        let month = shop.ledger.sales.iter().sum::<i64>() / 36;
        let part = |percent: i64| month * percent / 1000;
        Self {
            media,
            marketing: [
                ("reactivation", part(6)),
                ("support", part(5)),
                ("internal", part(12)),
                ("tech", part(7)),
                ("content", part(8)),
            ],
            overhead: [
                ("rent", part(22), "volume"),
                ("salaries", part(95), "revenue"),
                ("software", part(12), "revenue"),
                ("insurance", part(4), "volume"),
                ("content", part(6), "quantity"),
            ],
        }
    }

    fn day(&self, day: usize) -> i64 {
        let monthly = self.marketing.iter().map(|m| m.1).sum::<i64>()
            + self.overhead.iter().map(|o| o.1).sum::<i64>();
        self.media[day].iter().sum::<i64>() + monthly * 36 / DAYS as i64
    }
}

fn ad_spend(shop: &Shop, budget: &Budget, mut sheet: Sheet) -> Result<Table> {
    let firsts = months();
    for day in 0..DAYS {
        let mut dice = Dice::new(shop.seed, Thing::Spend, (1 << 32) + day as u64);
        for (c, channel) in CHANNELS.iter().enumerate() {
            let Some(platform) = channel.platform else { continue };
            let mut left = budget.media[day][c];
            for (k, campaign) in channel.campaigns.iter().enumerate() {
                let spend = if k == 2 { left } else { budget.media[day][c] * [45, 35][k] / 100 };
                left -= spend;
                // Platforms claim some 30 % more orders than they brought.
                let claimed = (spend as f64 / channel.cac as f64 * dice.between(1.1, 1.5) * 100.0)
                    .round()
                    / 100.0;
                let clicks = (spend as f64 / dice.between(45.0, 75.0)) as i64;
                sheet
                    .date(day)
                    .text(platform)
                    .id(Code::new("ACC-").number(c as u64 + 1, 3))
                    .text(channel.name)
                    .id(Code::new("CMP-").number(c as u64 + 1, 2).number(k as u64 + 1, 2))
                    .text(*campaign)
                    .count(clicks)
                    .count((clicks as f64 / dice.between(0.008, 0.02)) as i64)
                    .money(spend)
                    .ratio(claimed)
                    .money((claimed * dice.between(5500.0, 7500.0)) as i64)
                    .text(CURRENCY)
                    .text("media")
                    .end_row()?;
            }
        }
        if firsts.contains(&day) {
            let shares = shop.mixtures.acquisition();
            for (kind, amount) in budget.marketing {
                for (channel, share) in CHANNELS.iter().zip(&shares) {
                    internal_row(&mut sheet, day, channel, kind, (amount as f64 * share) as i64)?;
                }
            }
        }
    }
    sheet.finish()
}

fn internal_row(
    sheet: &mut Sheet,
    day: usize,
    channel: &Channel,
    kind: &str,
    amount: i64,
) -> Result<()> {
    sheet.date(day).text("internal").text(None).text(channel.name).text(None).text(None);
    sheet
        .count(None)
        .count(None)
        .money(amount)
        .ratio(None)
        .money(None)
        .text(CURRENCY)
        .text(kind)
        .end_row()
}

/// The plan knows the season and not the luck, and asks for a little more than what came.
fn targets(shop: &Shop, mut sheet: Sheet) -> Result<Table> {
    let sales: i64 = shop.ledger.sales.iter().sum();
    let real = shop.stubs.iter().filter(|s| shop.buyer(s).is_some()).count() as f64;
    let mean: Vec<f64> = (0..DAYS)
        .map(|day| smooth(&shop.ledger.sales, day) / (sales as f64 / DAYS as f64).max(1.0))
        .collect();
    for (day, level) in mean.iter().enumerate() {
        let weight = level * shop.clock.planned[day] / smooth_plan(shop, day) / DAYS as f64 * 1.03;
        sheet
            .date(day)
            .text("net_sales")
            .money((sales as f64 * weight / 100.0) as i64 * 100)
            .end_row()?;
        sheet.date(day).text("orders").money((real * weight).round() as i64 * 100).end_row()?;
    }
    sheet.finish()
}

/// Mean of the 91 days around.
fn smooth(values: &[i64], day: usize) -> f64 {
    let near = &values[day.saturating_sub(45)..(day + 46).min(DAYS)];
    near.iter().sum::<i64>() as f64 / near.len() as f64
}

fn smooth_plan(shop: &Shop, day: usize) -> f64 {
    let near = day.saturating_sub(45)..(day + 46).min(DAYS);
    let n = near.len() as f64;
    near.map(|d| shop.clock.demand[d]).sum::<f64>() / n
}

fn cash(shop: &Shop, budget: &Budget, mut sheet: Sheet) -> Result<Table> {
    let ledger = &shop.ledger;
    let month = ledger.sales.iter().sum::<i64>() / 36;
    let mut balance = month * 3 / 2;
    for day in 0..DAYS {
        balance += ledger.sales[day] - ledger.refunds[day] - ledger.costs[day] - budget.day(day);
        sheet.date(day).money(balance).money(month / 2).end_row()?;
    }
    sheet.finish()
}

fn costs(budget: &Budget, mut sheet: Sheet) -> Result<Table> {
    for day in months() {
        for (kind, amount, key) in budget.overhead {
            sheet.date(day).text(kind).money(amount).text(key).end_row()?;
        }
    }
    sheet.finish()
}

fn calendar(mut sheet: Sheet) -> Result<Table> {
    for event in events() {
        sheet.date(event.day).text(event.name).text(event.kind).end_row()?;
    }
    sheet.finish()
}

fn fx_rates(shop: &Shop, mut sheet: Sheet) -> Result<Table> {
    let mut rates = [("USD", 1.08_f64), ("GBP", 0.87), ("CHF", 0.96)];
    for day in 0..DAYS {
        let mut dice = Dice::new(shop.seed, Thing::Day, 1 + day as u64);
        for (currency, rate) in &mut rates {
            *rate *= (0.004 * dice.normal()).exp();
            sheet
                .date(day)
                .text(CURRENCY)
                .text(*currency)
                .ratio((*rate * 1e6).round() / 1e6)
                .end_row()?;
        }
    }
    sheet.finish()
}

fn truth_channels(shop: &Shop, mut sheet: Sheet) -> Result<Table> {
    for (channel, share) in CHANNELS.iter().zip(shop.mixtures.acquisition()) {
        sheet
            .text(channel.name)
            .ratio(channel.exposure)
            .ratio(channel.log_odds)
            .ratio(share)
            .money(channel.cac)
            .ratio(channel.rate)
            .end_row()?;
    }
    sheet.finish()
}

fn truth_shop(shop: &Shop, mut sheet: Sheet) -> Result<Table> {
    sheet
        .int(VERSION)
        .count(shop.seed as i64)
        .count(shop.stubs.len() as i64)
        .count(shop.accounts().count() as i64)
        .count(shop.catalogue.len() as i64)
        .date(0)
        .date(DAYS - 1)
        .end_row()?;
    sheet.finish()
}
