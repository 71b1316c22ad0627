// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The tables of people: customers, consents, email_events, experiments, truth/customers.

use super::Table;
use super::channels::CHANNELS;
use super::clock::{DAYS, END, SECONDS, date, months};
use super::dice::{Dice, Thing};
use super::journeys::strangers;
use super::people::{EXPERIMENTS, Person, Profile, Standing, customer_id, device_id, variant};
use super::sheet::{Code, Sheet};
use super::shop::Shop;
use super::write::Staging;
use crate::error::Result;

pub(super) fn write_customers(shop: &Shop, staging: &Staging<'_>) -> Result<Vec<Table>> {
    let mut customers = staging.sheet("customers")?;
    let mut truth = staging.sheet("truth/customers")?;
    for (index, person) in shop.accounts() {
        let profile = shop.profile(person);
        customer_row(&mut customers, index, person, &profile)?;
        truth_row(&mut truth, index, person, &profile)?;
    }
    Ok(vec![customers.finish()?, truth.finish()?])
}

fn customer_row(sheet: &mut Sheet, index: usize, person: &Person, profile: &Profile) -> Result<()> {
    let marketing = match profile.email_consent {
        true if unsubscribed(person, profile).is_some() => "unsubscribed",
        true => "subscribed",
        false => "not_subscribed",
    };
    let tags = match (profile.coupon > 0.3, profile.basket > 1.8) {
        (true, true) => Some("coupons,large_baskets"),
        (true, false) => Some("coupons"),
        (false, true) => Some("large_baskets"),
        (false, false) => None,
    };
    let dial = match profile.country() {
        "BE" => "+32",
        "DE" => "+49",
        "ES" => "+34",
        "IT" => "+39",
        "LU" => "+352",
        "NL" => "+31",
        _ => "+33",
    };
    sheet
        .id(customer_id(index))
        .id(profile.email(person))
        .id(profile.phone.map(|n| Code::new(dial).and("6").number(n.into(), 8)))
        .text(profile.first_name)
        .text(profile.last_name)
        .time(profile.created)
        .text(profile.country())
        .id(profile.postal_code())
        .text(profile.city())
        .text(marketing)
        .text(tags)
        .text(CHANNELS[usize::from(person.channel)].name)
        .end_row()
}

fn truth_row(sheet: &mut Sheet, index: usize, person: &Person, profile: &Profile) -> Result<()> {
    let bought = person.standing == Standing::Account;
    let alive = bought && person.dropout >= END;
    let segment = match person.standing {
        _ if !bought => "prospect",
        _ if !alive => "gone",
        _ if person.joined + 90 * SECONDS > END => "new",
        _ if person.rate * 365.25 >= 4.0 => "loyal",
        _ => "occasional",
    };
    sheet
        .id(customer_id(index))
        .text(segment)
        .text(CHANNELS[usize::from(person.channel)].name)
        .ratio(if bought { f64::from(person.rate) * 365.25 } else { 0.0 })
        .time(bought.then_some(person.dropout))
        .flag(alive)
        .int(i32::from(person.orders))
        .ratio(if alive {
            f64::from(person.rate) * f64::from((person.dropout - END).min(90 * SECONDS))
                / f64::from(SECONDS)
        } else {
            0.0
        })
        .ratio(profile.basket)
        .ratio(profile.coupon)
        .end_row()
}

pub(super) fn write_consents(shop: &Shop, staging: &Staging<'_>) -> Result<Vec<Table>> {
    let mut sheet = staging.sheet("consents")?;
    for (index, person) in shop.people.iter().enumerate() {
        let profile = shop.profile(person);
        if person.standing != Standing::Guest {
            let mut subject =
                Subject { sheet: &mut sheet, id: customer_id(index), kind: "customer" };
            subject.decides(
                "analytics_storage",
                profile.analytics,
                profile.created,
                profile.withdrawn,
            )?;
            subject.decides(
                "email_marketing",
                profile.email_consent,
                profile.created,
                unsubscribed(person, &profile),
            )?;
            if profile.ads {
                subject.decides("ad_personalization", true, profile.created, profile.withdrawn)?;
            }
            if profile.sms_consent {
                subject.decides("sms_marketing", true, profile.created, None)?;
            }
        }
        // The banner comes before the first visit of a path, which may be 25 days before the first order.
        let seen = person.joined.saturating_sub(26 * SECONDS);
        for device in (0..profile.devices).filter(|_| person.standing != Standing::Prospect) {
            let mut subject =
                Subject { sheet: &mut sheet, id: device_id(index, device), kind: "user_pseudo_id" };
            subject.decides("analytics_storage", profile.analytics, seen, profile.withdrawn)?;
        }
    }
    for index in 0..shop.stubs.len() {
        for stranger in strangers(shop, index).filter(|s| s.tracked) {
            let mut subject =
                Subject { sheet: &mut sheet, id: stranger.id, kind: "user_pseudo_id" };
            subject.decides("analytics_storage", true, stranger.arrived(), None)?;
        }
    }
    Ok(vec![sheet.finish()?])
}

struct Subject<'a> {
    sheet: &'a mut Sheet,
    id: Code,
    kind: &'static str,
}

impl Subject<'_> {
    fn decides(
        &mut self,
        purpose: &str,
        granted: bool,
        time: u32,
        withdrawn: Option<u32>,
    ) -> Result<()> {
        let source = if self.kind == "customer" { "checkout" } else { "cookie_banner" };
        self.row(purpose, if granted { "granted" } else { "denied" }, time, source)?;
        match withdrawn.filter(|&t| granted && t > time) {
            Some(time) => self.row(purpose, "denied", time, "preference_centre"),
            None => Ok(()),
        }
    }

    fn row(&mut self, purpose: &str, status: &str, time: u32, source: &str) -> Result<()> {
        let until = (purpose == "ad_personalization" && status == "granted")
            .then(|| time.saturating_add(395 * SECONDS));
        self.sheet
            .id(self.id)
            .text(self.kind)
            .text(purpose)
            .text(status)
            .time(time)
            .time(until)
            .text(source)
            .end_row()
    }
}

/// One in twenty-five of those who agreed to e-mail takes it back, some time after joining.
fn unsubscribed(person: &Person, profile: &Profile) -> Option<u32> {
    let later = person.joined.saturating_add((10 + person.draw % 400) * SECONDS);
    (profile.email_consent
        && person.draw.wrapping_mul(2_246_822_519) >> 16 < 65_536 / 25
        && later < END)
        .then_some(later)
}

/// A newsletter a month, sent to a part of those who agreed. Who has dropped out hardly opens it any more.
pub(super) fn write_mail(shop: &Shop, staging: &Staging<'_>) -> Result<Vec<Table>> {
    let mut sheet = staging.sheet("email_events")?;
    let issues: Vec<(u32, Code)> = months()
        .into_iter()
        .map(|day| {
            (
                (day as u32 + 9) * SECONDS + 9 * 3600,
                Code::new("news_").and(&date(day).format("%Y_%m").to_string()),
            )
        })
        .collect();
    for (index, person) in shop.accounts() {
        let profile = shop.profile(person);
        if !profile.email_consent {
            continue;
        }
        let leaves = unsubscribed(person, &profile);
        let mut dice = Dice::new(shop.seed, Thing::Mail, person.draw.into());
        let mut row = |time: u32, event, issue: Code| {
            if time >= END {
                Ok(())
            } else {
                sheet.id(customer_id(index)).time(time).text(event).id(issue).end_row()
            }
        };
        for &(time, issue) in
            issues.iter().filter(|i| i.0 > profile.created && leaves.is_none_or(|t| i.0 < t))
        {
            if !dice.chance(0.2) {
                continue;
            }
            row(time, "sent", issue)?;
            let interest = profile.opens * if time < person.dropout { 1.0 } else { 0.2 };
            if dice.chance(interest) {
                let opened = time + 60 + (9.0 * 3600.0 * dice.exponential()).min(6e5) as u32;
                row(opened, "open", issue)?;
                if dice.chance(0.14) {
                    row(opened + 5 + dice.below(120) as u32, "click", issue)?;
                }
            }
        }
        if let Some(time) = leaves
            && let Some(&(_, issue)) = issues.iter().rfind(|i| i.0 <= time && i.0 > profile.created)
        {
            row(time, "unsubscribe", issue)?;
        }
    }
    Ok(vec![sheet.finish()?])
}

pub(super) fn write_experiments(shop: &Shop, staging: &Staging<'_>) -> Result<Vec<Table>> {
    let mut sheet = staging.sheet("experiments")?;
    let mut truth = staging.sheet("truth/experiments")?;
    for (name, from, to, effect) in EXPERIMENTS {
        truth.text(name).text("purchase_rate").ratio(effect).end_row()?;
        for (index, person) in shop.accounts().filter(|(_, p)| p.standing == Standing::Account) {
            if let Some(arm) = variant(person.draw, person.joined, from, to.min(DAYS)) {
                sheet.text(name).id(customer_id(index)).text(arm).time(person.joined).end_row()?;
            }
        }
    }
    Ok(vec![sheet.finish()?, truth.finish()?])
}
