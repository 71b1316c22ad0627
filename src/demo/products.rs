// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The tables of things: products, product_costs, price_tests, bom, truth/skus.

use super::Table;
use super::catalogue::{GIFT_CARDS, UPLIFT, sku_code, variant_codes};
use super::clock::{DAYS, SECONDS};
use super::sheet::{Code, Sheet};
use super::shop::Shop;
use super::words::{TYPES, VENDORS};
use super::write::Staging;
use crate::error::Result;

pub(super) fn write_products(shop: &Shop, staging: &Staging<'_>) -> Result<Vec<Table>> {
    Ok(vec![
        products(shop, staging.sheet("products")?)?,
        product_costs(shop, staging.sheet("product_costs")?)?,
        price_tests(shop, staging.sheet("price_tests")?)?,
        bom(shop, staging.sheet("bom")?)?,
        truth(shop, staging.sheet("truth/skus")?)?,
    ])
}

fn products(shop: &Shop, mut sheet: Sheet) -> Result<Table> {
    for (i, sku) in shop.catalogue.skus.iter().enumerate() {
        let (product, variant) = variant_codes(i);
        let price = shop.catalogue.price(i, DAYS - 1);
        let tier = match sku.reference {
            ..2000 => "entry",
            2000..5500 => "mid",
            _ => "premium",
        };
        sheet
            .id(sku_code(i))
            .id(product)
            .id(variant)
            .text(sku.title.as_str())
            .text(if sku.parts.is_empty() { TYPES[sku.kind].0 } else { "Sets" })
            .text(VENDORS[sku.kind * 5 % VENDORS.len()])
            .money(price)
            .money((price < sku.reference).then_some(sku.reference))
            .money((!sku.cost_unknown).then(|| sku.cost(DAYS - 1)))
            .money(sku.packaging)
            .money(sku.inbound)
            .int(sku.weight)
            .int(sku.volume)
            .ratio((sku.resale * 100.0).round() / 100.0)
            .text(tier)
            .text(if sku.retired < DAYS { "archived" } else { "active" })
            .time(sku.launch as u32 * SECONDS)
            .end_row()?;
    }
    for (code, value) in GIFT_CARDS {
        sheet
            .text(code)
            .text("GIFT")
            .text(None)
            .text("Gift card")
            .text("Gift cards")
            .text(None)
            .money(value)
            .money(None);
        sheet
            .money(0)
            .money(0)
            .money(0)
            .int(0)
            .int(0)
            .ratio(None)
            .text(None)
            .text("active")
            .time(0)
            .end_row()?;
    }
    sheet.finish()
}

fn product_costs(shop: &Shop, mut sheet: Sheet) -> Result<Table> {
    for (i, sku) in shop.catalogue.skus.iter().enumerate().filter(|(_, s)| !s.cost_unknown) {
        for (k, &(from, cost)) in sku.costs.iter().enumerate() {
            let until = sku.costs.get(k + 1).map(|next| next.0 - 1);
            sheet.id(sku_code(i)).date(from).date(until).money(cost).end_row()?;
        }
    }
    sheet.finish()
}

fn price_tests(shop: &Shop, mut sheet: Sheet) -> Result<Table> {
    for (i, sku) in shop.catalogue.skus.iter().enumerate() {
        for &(cell, price, first, last) in &sku.tests {
            sheet.id(sku_code(i)).text(cell).money(price).date(first).date(last).end_row()?;
        }
    }
    sheet.finish()
}

fn bom(shop: &Shop, mut sheet: Sheet) -> Result<Table> {
    for (i, sku) in shop.catalogue.skus.iter().enumerate() {
        for &(part, units) in &sku.parts {
            sheet.id(sku_code(i)).id(sku_code(part)).int(units).end_row()?;
        }
    }
    sheet.finish()
}

fn truth(shop: &Shop, mut sheet: Sheet) -> Result<Table> {
    for (i, sku) in shop.catalogue.skus.iter().enumerate() {
        let dry: usize = sku.stockouts.iter().map(|&(from, to)| to - from).sum();
        let companion: Code = sku_code(sku.companion);
        sheet
            .id(sku_code(i))
            .ratio(sku.elasticity)
            .ratio(sku.base)
            .money(sku.reference)
            .money(sku.cost(DAYS - 1))
            .ratio(UPLIFT)
            .ratio(sku.return_rate)
            .id(companion)
            .int(dry as i32)
            .end_row()?;
    }
    sheet.finish()
}
