// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The channels of the shop and what each one truly does.
//!
//! The touches of a path that ends in an order and of one that does not are drawn from two mixtures that differ by
//! `exp(log_odds)` and nothing else. So, path length held fixed, each touch of a channel adds exactly `log_odds` to the
//! log-odds of an order (Bayes), which is what a regression of conversion on touch counts finds.

use super::dice::{Dice, cumulative};

pub(super) struct Channel {
    pub(super) name: &'static str,
    pub(super) source: &'static str,
    pub(super) medium: &'static str,
    /// The advertising platform, for channels that are paid.
    pub(super) platform: Option<&'static str>,
    /// Name of the platform's click identifier and its letters.
    pub(super) click: Option<&'static str>,
    /// Share of the touches that do not lead to an order.
    pub(super) exposure: f64,
    /// True effect of one touch.
    pub(super) log_odds: f64,
    /// How much more often it opens a path, and closes one.
    opens: f64,
    closes: f64,
    /// Media spend for one new customer, in cents.
    pub(super) cac: i64,
    /// Purchase rate of the customers it brings.
    pub(super) rate: f64,
    pub(super) campaigns: [&'static str; 3],
}

pub(super) const DIRECT: usize = 2;

#[rustfmt::skip]
pub(super) const CHANNELS: [Channel; 8] = [
    Channel { name: "affiliate", source: "partner", medium: "affiliate", platform: Some("awin"), click: None,
        exposure: 0.07, log_odds: 0.0, opens: 0.7, closes: 1.3, cac: 2200, rate: 0.75,
        campaigns: ["cashback", "bloggers", "comparators"] },
    Channel { name: "email", source: "newsletter", medium: "email", platform: None, click: None,
        exposure: 0.10, log_odds: 0.8, opens: 0.3, closes: 1.4, cac: 0, rate: 1.35,
        campaigns: ["weekly", "welcome", "winback"] },
    Channel { name: "direct", source: "(direct)", medium: "(none)", platform: None, click: None,
        exposure: 0.15, log_odds: 0.4, opens: 0.5, closes: 1.6, cac: 0, rate: 1.2,
        campaigns: ["(none)", "(none)", "(none)"] },
    Channel { name: "google_ads", source: "google", medium: "cpc", platform: Some("google_ads"), click: Some("gclid"),
        exposure: 0.17, log_odds: 0.6, opens: 0.9, closes: 1.3, cac: 4500, rate: 1.05,
        campaigns: ["brand_search", "shopping", "generic_search"] },
    Channel { name: "instagram", source: "instagram", medium: "social", platform: None, click: None,
        exposure: 0.11, log_odds: 0.2, opens: 1.5, closes: 0.5, cac: 0, rate: 0.95,
        campaigns: ["stories", "reels", "creators"] },
    Channel { name: "meta_ads", source: "facebook", medium: "paid_social", platform: Some("facebook_ads"),
        click: Some("fbclid"), exposure: 0.15, log_odds: 0.3, opens: 1.6, closes: 0.7, cac: 3800, rate: 0.9,
        campaigns: ["prospecting", "lookalike", "retargeting"] },
    Channel { name: "seo", source: "google", medium: "organic", platform: None, click: None,
        exposure: 0.15, log_odds: 0.2, opens: 1.1, closes: 1.0, cac: 0, rate: 1.1,
        campaigns: ["(organic)", "(organic)", "(organic)"] },
    Channel { name: "tiktok", source: "tiktok", medium: "paid_social", platform: Some("tiktok_ads"),
        click: Some("ttclid"), exposure: 0.10, log_odds: -0.3, opens: 1.8, closes: 0.4, cac: 3400, rate: 0.6,
        campaigns: ["spark", "top_view", "creators_paid"] },
];

/// Where in a path a touch stands. A path of one touch is an opening.
#[derive(Clone, Copy)]
pub(super) enum Position {
    Opening,
    Middle,
    Closing,
}

impl Position {
    pub(super) fn of(index: usize, length: usize) -> Self {
        match index {
            0 => Position::Opening,
            _ if index + 1 == length => Position::Closing,
            _ => Position::Middle,
        }
    }
}

/// The two mixtures, by position.
pub(super) struct Mixtures {
    buying: [Vec<f64>; 3],
    looking: [Vec<f64>; 3],
}

impl Mixtures {
    pub(super) fn new() -> Self {
        let by_position = |buying| {
            [Position::Opening, Position::Middle, Position::Closing]
                .map(|p| cumulative(CHANNELS.iter().map(|c| weight(c, p, buying))))
        };
        Self { buying: by_position(true), looking: by_position(false) }
    }

    /// The channel of one touch of a path that ends in an order, or not.
    pub(super) fn draw(&self, buying: bool, position: Position, dice: &mut Dice) -> usize {
        let mixtures = if buying { &self.buying } else { &self.looking };
        dice.weighted(&mixtures[position as usize])
    }

    /// Shares of the channels among new customers.
    pub(super) fn acquisition(&self) -> Vec<f64> {
        let total: f64 = CHANNELS.iter().map(|c| weight(c, Position::Opening, true)).sum();
        CHANNELS.iter().map(|c| weight(c, Position::Opening, true) / total).collect()
    }
}

fn weight(channel: &Channel, position: Position, buying: bool) -> f64 {
    let place = match position {
        Position::Opening => channel.opens,
        Position::Middle => 1.0,
        Position::Closing => channel.closes,
    };
    channel.exposure * place * if buying { channel.log_odds.exp() } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        assert!((CHANNELS.iter().map(|c| c.exposure).sum::<f64>() - 1.0).abs() < 1e-9);
        assert!((Mixtures::new().acquisition().iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(CHANNELS[DIRECT].name, "direct");
    }
}
