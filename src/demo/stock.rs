// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The stock of each day, which agrees with what was sold: level today = level yesterday - units sold + receipts, and
//! nothing is left on the day before a stock-out begins.

use super::Table;
use super::catalogue::{Sku, sku_code};
use super::clock::DAYS;
use super::dice::{Dice, Thing};
use super::shop::Shop;
use super::write::Staging;
use crate::error::Result;

pub(super) fn write_stock(shop: &Shop, staging: &Staging<'_>) -> Result<Vec<Table>> {
    let mut sheet = staging.sheet("stock")?;
    let skus = &shop.catalogue.skus;
    let histories: Vec<History> = (0..skus.len()).map(|i| History::new(shop, i)).collect();
    for day in 0..DAYS {
        for (i, sku) in skus.iter().enumerate().filter(|(_, s)| s.on_sale(day)) {
            let history = &histories[i];
            let committed = sold(shop, i, day) / 3;
            sheet
                .date(day)
                .id(sku_code(i))
                .text("WAREHOUSE-1")
                .int(history.level[day])
                .int(history.level[day] + committed)
                .int(history.incoming[day])
                .int(committed)
                .int(history.safety)
                .money((!sku.cost_unknown).then(|| sku.cost(day)))
                .int(sku.lead_time)
                .end_row()?;
        }
    }
    Ok(vec![sheet.finish()?])
}

/// One sku's stock through time.
struct History {
    level: Vec<i32>,
    incoming: Vec<i32>,
    safety: i32,
}

impl History {
    fn new(shop: &Shop, index: usize) -> Self {
        let sku = &shop.catalogue.skus[index];
        let mut dice = Dice::new(shop.seed, Thing::Stock, index as u64);
        let total: i32 = (sku.launch..sku.retired).map(|d| sold(shop, index, d)).sum();
        let daily = f64::from(total) / (sku.retired - sku.launch).max(1) as f64;
        let safety = (daily * f64::from(sku.lead_time).sqrt() * 1.6).ceil() as i32 + 2;
        let receipts = receipts(sku, &mut dice);
        let units = |from: usize, to: usize| (from..to).map(|d| sold(shop, index, d)).sum::<i32>();
        // Backwards: what is left at the end of a period must not be more than the next one can use, or a stock-out
        // could not come about.
        let ends = receipts.iter().skip(1).copied().chain([sku.retired]);
        let periods: Vec<(usize, usize)> = receipts.iter().copied().zip(ends).collect();
        let mut openings = vec![0; periods.len()];
        let mut next_need = i32::MAX;
        for (k, &(from, to)) in periods.iter().enumerate().rev() {
            let runs_out = sku.stockouts.iter().any(|s| s.0 >= from && s.0 < to);
            let left = if runs_out { 0 } else { safety.min(next_need) };
            openings[k] = units(from, to) + left;
            next_need = openings[k];
        }
        let mut history = Self { level: vec![0; DAYS], incoming: vec![0; DAYS], safety };
        let mut level = 0;
        for (k, &(from, to)) in periods.iter().enumerate() {
            let received = openings[k] - level;
            let ordered = from.saturating_sub(sku.lead_time as usize).max(sku.launch);
            (ordered..from).for_each(|d| history.incoming[d] += received);
            level = openings[k];
            for day in from..to {
                level -= sold(shop, index, day);
                history.level[day] = level;
            }
        }
        history
    }
}

/// Days on which goods come: the launch, every five weeks or so, and the end of each stock-out.
fn receipts(sku: &Sku, dice: &mut Dice) -> Vec<usize> {
    let mut days = vec![sku.launch];
    let mut day = sku.launch + 21 + dice.below(21);
    while day < sku.retired {
        if !sku.stockouts.iter().any(|&(from, to)| (from..=to).contains(&day)) {
            days.push(day);
        }
        day += 28 + dice.below(14);
    }
    days.extend(sku.stockouts.iter().map(|s| s.1).filter(|&d| d < sku.retired));
    days.sort_unstable();
    days.dedup();
    days
}

fn sold(shop: &Shop, sku: usize, day: usize) -> i32 {
    shop.ledger.units[day * shop.catalogue.len() + sku] as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_agree_with_sales_and_stockouts() {
        let shop = Shop::plan(5, 20_000, 1);
        for (i, sku) in shop.catalogue.skus.iter().enumerate() {
            let history = History::new(&shop, i);
            for day in sku.launch..sku.retired {
                assert!(history.level[day] >= 0 && history.incoming[day] >= 0);
                if sku.out_of_stock(day) {
                    assert_eq!((history.level[day], sold(&shop, i, day)), (0, 0));
                }
            }
        }
    }
}
