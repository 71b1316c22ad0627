// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The tables of orders: orders, order_lines, returns, support_tickets, truth/guest_orders.

use super::Table;
use super::catalogue::{GIFT_CARDS, sku_code, variant_codes};
use super::channels::CHANNELS;
use super::clock::{END, SECONDS};
use super::dice::{Dice, Thing};
use super::orders::{Line, Order};
use super::people::{Standing, customer_id};
use super::sheet::{Code, Sheet};
use super::shop::Shop;
use super::words::REASONS;
use super::write::Staging;
use crate::error::Result;

pub(super) const CURRENCY: &str = "EUR";

pub(super) fn write_orders(shop: &Shop, staging: &Staging<'_>) -> Result<Vec<Table>> {
    let mut orders = staging.sheet("orders")?;
    let mut guests = staging.sheet("truth/guest_orders")?;
    for index in 0..shop.stubs.len() {
        let order = Order::draw(shop, index);
        order_row(&mut orders, &order)?;
        if let Some((person, known)) = shop.buyer(&shop.stubs[index])
            && order.account.is_none()
        {
            let account = (known.standing == Standing::Account).then(|| customer_id(person));
            guests
                .id(order.id())
                .id(Code::new("P").number(person as u64 + 1, 7))
                .id(account)
                .end_row()?;
        }
    }
    Ok(vec![orders.finish()?, guests.finish()?])
}

pub(super) fn write_lines(shop: &Shop, staging: &Staging<'_>) -> Result<Vec<Table>> {
    let mut lines = staging.sheet("order_lines")?;
    let mut returns = staging.sheet("returns")?;
    let mut tickets = staging.sheet("support_tickets")?;
    for index in 0..shop.stubs.len() {
        let order = Order::draw(shop, index);
        let mut dice = Dice::new(shop.seed, Thing::Aftermath, index as u64);
        for (n, line) in order.lines.iter().enumerate() {
            line_row(&mut lines, shop, &order, n, line)?;
            if line.back.is_some() {
                return_row(&mut returns, shop, &order, n, line, &mut dice)?;
            }
        }
        ticket_row(&mut tickets, &order, &mut dice)?;
    }
    Ok(vec![lines.finish()?, returns.finish()?, tickets.finish()?])
}

fn order_row(sheet: &mut Sheet, order: &Order) -> Result<()> {
    let channel = order.channel.map(|c| CHANNELS[c].name).or(order.in_store.then_some("store"));
    let seller = order.index as u64 % 5 + 1;
    let fulfilment = match order.cancelled {
        Some(_) => "restocked",
        None if order.time + 2 * SECONDS > END => "unfulfilled",
        None => "fulfilled",
    };
    sheet
        .id(order.id())
        .id(order.account.map(customer_id))
        .id(order.email)
        .time(order.time)
        .time(
            order
                .cancelled
                .is_none()
                .then_some(order.time + 20 + order.index as u32 % 40)
                .filter(|&t| t < END),
        )
        .time(order.cancelled)
        .text(order.financial_status())
        .text(fulfilment)
        .text(CURRENCY)
        .money(order.gross())
        .money(order.discounts())
        .money(order.subtotal())
        .money(order.tax())
        .money(order.shipping)
        .money(order.carrier)
        .money(order.payment_fee())
        .money(order.pick_pack)
        .money(order.total())
        .money(order.refunded())
        .text(if order.in_store { "pos" } else { "web" })
        .text(channel)
        .text((!order.in_store).then_some("https://shop.example/"))
        .text(order.country)
        .id(order.postal)
        .flag(order.test)
        .id(order.in_store.then(|| Code::new("STORE-").number(1 + seller % 2, 1)))
        .id(order.in_store.then(|| Code::new("S").number(seller, 3)))
        .end_row()
}

fn line_id(order: &Order, n: usize) -> Code {
    Code::new("L").number(order.index as u64 + 1, 9).and("-").number(n as u64 + 1, 1)
}

fn line_row(sheet: &mut Sheet, shop: &Shop, order: &Order, n: usize, line: &Line) -> Result<()> {
    let (product, variant, sku) = if line.card {
        (Code::new("GIFT"), None, Code::new(GIFT_CARDS[line.sku].0))
    } else {
        let (product, variant) = variant_codes(line.sku);
        (product, Some(variant), sku_code(line.sku))
    };
    sheet
        .id(line_id(order, n))
        .id(order.id())
        .id(product)
        .id(variant)
        .id(sku)
        .int(line.quantity)
        .money(line.price)
        .money(line.discount)
        .money(line.tax)
        .flag(line.card)
        .int((!line.card).then(|| shop.catalogue.skus[line.sku].weight))
        .end_row()
}

fn return_row(
    sheet: &mut Sheet,
    shop: &Shop,
    order: &Order,
    n: usize,
    line: &Line,
    dice: &mut Dice,
) -> Result<()> {
    let (Some((units, subtotal, tax)), Some(time)) = (line.back, order.refund_time) else {
        return Ok(());
    };
    let restocked = dice.chance(shop.catalogue.skus[line.sku].resale);
    let paid_by_us = dice.chance(0.7);
    sheet
        .id(Code::new("R").number(order.index as u64 + 1, 9))
        .id(Code::new("R").number(order.index as u64 + 1, 9).and("-").number(n as u64 + 1, 1))
        .id(line_id(order, n))
        .id(order.id())
        .id(sku_code(line.sku))
        .int(units)
        .money(subtotal)
        .money(tax)
        .time(time)
        .text(if restocked { "return" } else { "no_restock" })
        .flag(restocked)
        .text(if restocked { dice.pick(&REASONS) } else { "damaged" })
        .money(90 + 40 * i64::from(units))
        .money(if paid_by_us && !order.in_store { order.carrier } else { 0 })
        .end_row()
}

/// People write more often, and are less content, when they send something back.
fn ticket_row(sheet: &mut Sheet, order: &Order, dice: &mut Dice) -> Result<()> {
    let unhappy = order.lines.iter().any(|l| l.back.is_some());
    let time =
        order.time + (1 + dice.below(9) as u32) * SECONDS + dice.below(SECONDS as usize) as u32;
    if order.test || time >= END || !dice.chance(if unhappy { 0.25 } else { 0.02 }) {
        return Ok(());
    }
    let line =
        order.lines.iter().find(|l| l.back.is_some()).or(order.lines.first()).filter(|l| !l.card);
    let score = if unhappy { 1 + dice.below(4) } else { 3 + dice.below(3) };
    sheet
        .id(Code::new("K").number(order.index as u64 + 1, 9))
        .id(order.account.map(customer_id))
        .id(line.map(|l| sku_code(l.sku)))
        .time(time)
        .int(dice.chance(0.6).then_some(score as i32))
        .money(180 + dice.below(700) as i64)
        .end_row()
}
