// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The quantity of one sku on the price of another, its own price held fixed.

use std::collections::HashMap;

use super::fit::{
    Inference, Method, Options, choose, columns, controls, inference, logs, quantities,
    take_out_separated,
};
use super::points::Points;
use crate::price_periods::Period;
use crate::regression::{Failure, least_squares, poisson};

/// What was found, from how many periods.
pub(crate) struct Cross {
    pub(crate) n_obs: usize,
    pub(crate) estimate: Result<Estimate, &'static str>,
}

pub(crate) struct Estimate {
    pub(crate) method: &'static str,
    pub(crate) elasticity: f64,
    pub(crate) inference: Option<Inference>,
}

/// The cross-price elasticity of `a` with respect to the price of `b`.
pub(crate) fn cross(
    a: &[Period],
    b: &[Period],
    options: &Options,
    quantiles: &mut HashMap<u64, f64>,
) -> Cross {
    let others: HashMap<i32, &Period> = b.iter().filter_map(|p| p.day.map(|d| (d, p))).collect();
    let marked = |p: &Period| {
        (options.exclude_promo && p.promo) || (options.exclude_stockout && p.out_of_stock)
    };
    let mut own: Vec<Period> = a
        .iter()
        .filter(|p| {
            let other = p.day.and_then(|d| others.get(&d));
            !marked(p) && other.is_some_and(|o| !marked(o))
        })
        .copied()
        .collect();
    let zeros = own.iter().filter(|p| p.quantity == 0.0).count();
    let method = match choose(&Points::new(&own), &own, zeros, options) {
        // Two prices of its own are enough, where the other's are what counts.
        Method::Midpoint if zeros > 0 => Method::Ppml,
        Method::Midpoint | Method::Simple => Method::LogLog,
        other => other,
    };
    if method == Method::LogLog {
        own.retain(|p| p.quantity > 0.0);
    }
    let held = controls(&own, options);
    if method == Method::Ppml {
        take_out_separated(&mut own, held, options);
    }
    let mut held = columns(&own, held, options);
    held.push(own.iter().map(|p| p.price.ln()).collect());
    let x: Vec<f64> = own
        .iter()
        .filter_map(|p| p.day.and_then(|d| others.get(&d)))
        .map(|p| p.price.ln())
        .collect();
    let found = match method {
        Method::Ppml => poisson(&quantities(&own), &x, &held),
        _ => least_squares(&logs(&own), &x, &held),
    };
    let estimate = found
        .map(|slope| Estimate {
            method: method.name(),
            elasticity: slope.slope,
            inference: inference(&slope, options.conf, quantiles),
        })
        .map_err(|failure| match failure {
            Failure::TooFewRows => "few_periods",
            Failure::NotIdentified => "not_identified",
            Failure::NotConverged => "not_converged",
        });
    Cross { n_obs: own.len(), estimate }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn sku(random: &mut Random, other: Option<&[Period]>, own: f64, cross: f64) -> Vec<Period> {
        (0..80)
            .map(|week| {
                let unit = |r: &mut Random| r.below(1 << 20) as f64 / f64::from(1 << 20);
                let price = 8.0 + 4.0 * unit(random);
                let theirs = other.map_or(10.0, |o: &[Period]| o[week].price);
                let mean = 300.0 * (price / 10.0).powf(own) * (theirs / 10.0).powf(cross);
                Period {
                    day: Some(19_000 + 7 * week as i32),
                    quantity: (mean * (0.9 + 0.2 * unit(random))).round(),
                    price,
                    promo: false,
                    out_of_stock: false,
                    carried: false,
                }
            })
            .collect()
    }

    #[test]
    fn planted_substitutes_and_complements() {
        let mut random = Random::new(51);
        let b = sku(&mut random, None, -1.0, 0.0);
        for planted in [0.8, -0.6, 0.0] {
            let a = sku(&mut random, Some(&b), -1.5, planted);
            let found = cross(&a, &b, &Options::default(), &mut HashMap::new());
            let estimate = found.estimate.unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((found.n_obs, estimate.method), (80, "loglog"));
            let interval = estimate.inference.unwrap_or_else(|| panic!("an interval"));
            assert!((estimate.elasticity - planted).abs() < 3.5 * interval.std_error);
            assert!(interval.std_error < 0.1);
        }
    }

    #[test]
    fn only_periods_that_both_have_and_neither_is_marked_in() {
        let mut random = Random::new(52);
        let mut a = sku(&mut random, None, -1.0, 0.0);
        let mut b = sku(&mut random, None, -1.0, 0.0);
        a[3].promo = true;
        b[4].out_of_stock = true;
        b.truncate(60);
        let found = cross(&a, &b, &Options::default(), &mut HashMap::new());
        assert_eq!(found.n_obs, 58);
        let none = cross(&a, &[], &Options::default(), &mut HashMap::new());
        assert_eq!(none.estimate.err(), Some("few_periods"));
        let same = cross(&a, &a, &Options::default(), &mut HashMap::new());
        assert_eq!(same.estimate.err(), Some("not_identified"));
    }
}
