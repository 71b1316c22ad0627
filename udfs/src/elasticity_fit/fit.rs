// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! From periods to an elasticity: which periods count, which method, which controls, and what to doubt.

use std::collections::HashMap;

use super::points::Points;
use crate::price_periods::Period;
use crate::regression::{Failure, Slope, least_squares, poisson};
use crate::student_t;

/// How the elasticity is found; `None` in [`Options`] leaves it to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Simple,
    Midpoint,
    LogLog,
    Ppml,
}

impl Method {
    /// `Some(None)` is 'auto'.
    pub(super) fn parse(word: &str) -> Option<Option<Self>> {
        Some(match word {
            "auto" => None,
            "simple" => Some(Self::Simple),
            "midpoint" => Some(Self::Midpoint),
            "loglog" => Some(Self::LogLog),
            "ppml" => Some(Self::Ppml),
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Midpoint => "midpoint",
            Self::LogLog => "loglog",
            Self::Ppml => "ppml",
        }
    }
}

/// What else the quantity may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controls {
    Auto,
    None,
    Trend,
    Season,
}

impl Controls {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "auto" => Self::Auto,
            "none" => Self::None,
            "trend" => Self::Trend,
            "season" => Self::Season,
            _ => return None,
        })
    }
}

/// The arguments.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(super) method: Option<Method>,
    pub(crate) controls: Controls,
    pub(crate) exclude_promo: bool,
    pub(crate) exclude_stockout: bool,
    pub(super) min_price_points: i64,
    pub(super) min_periods: i64,
    pub(super) min_price_cv: f64,
    pub(crate) conf: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            method: None,
            controls: Controls::Auto,
            exclude_promo: true,
            exclude_stockout: true,
            min_price_points: 3,
            min_periods: 12,
            min_price_cv: 0.02,
            conf: 0.95,
        }
    }
}

/// How sure the elasticity is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Inference {
    pub(crate) std_error: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) p_value: f64,
}

/// The answer for one sku.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) method: Option<&'static str>,
    pub(super) elasticity: Option<f64>,
    pub(super) inference: Option<Inference>,
    pub(super) r2: Option<f64>,
    pub(super) n_obs: usize,
    pub(super) points: Points,
    pub(super) warnings: Vec<&'static str>,
}

/// A share of periods without a sale from which their absence from a log-log regression would bias it.
const MANY_ZEROS: f64 = 0.2;
const FEW_UNITS: f64 = 20.0;
/// The significance at which a doubt is raised.
const DOUBT: f64 = 0.01;
const MONTHS: usize = 12;

/// Fits one sku. `quantiles` remembers Student's quantiles by degrees of freedom.
pub(super) fn fit(
    periods: &[Period],
    options: &Options,
    quantiles: &mut HashMap<u64, f64>,
) -> Outcome {
    let counted: Vec<Period> = periods
        .iter()
        .filter(|p| !(options.exclude_promo && p.promo))
        .filter(|p| !(options.exclude_stockout && p.out_of_stock))
        .copied()
        .collect();
    let points = Points::new(&counted);
    let zeros = counted.iter().filter(|p| p.quantity == 0.0).count();
    let mut outcome = Outcome { points, n_obs: counted.len(), ..Outcome::default() };
    let method = options.method.unwrap_or_else(|| choose(&points, &counted, zeros, options));
    let mut doubts = Doubts::default();
    if points.count >= 2 {
        match method {
            Method::Simple | Method::Midpoint => {
                outcome.method = Some(method.name());
                outcome.elasticity =
                    if method == Method::Simple { points.simple } else { points.midpoint };
            }
            Method::LogLog | Method::Ppml => {
                regress(&counted, method, options, quantiles, &mut outcome, &mut doubts);
            }
        }
    }
    doubts.wrong_sign = outcome.elasticity.is_some_and(|e| e > 0.0);
    doubts.few_prices = (points.count as i64) < options.min_price_points.max(2);
    doubts.low_price_variation = points.count >= 2 && points.variation < options.min_price_cv;
    doubts.few_periods = (counted.len() as i64) < options.min_periods;
    doubts.promo_confounded = counted.iter().any(|p| p.promo);
    doubts.stockout_censored = counted.iter().any(|p| p.out_of_stock);
    doubts.carried_prices = 2 * counted.iter().filter(|p| p.carried).count() > counted.len();
    doubts.zero_sales = zeros > 0 && outcome.method == Some("loglog");
    outcome.warnings = doubts.codes();
    outcome
}

pub(super) fn choose(
    points: &Points,
    periods: &[Period],
    zeros: usize,
    options: &Options,
) -> Method {
    if (points.count as i64) < options.min_price_points
        || (periods.len() as i64) < options.min_periods
    {
        Method::Midpoint
    } else if (zeros as f64) < MANY_ZEROS * periods.len() as f64 && !few_units(points, periods) {
        Method::LogLog
    } else {
        Method::Ppml
    }
}

/// Whether quantities are counts of a few units: the mean of a logarithm is then far from the logarithm of the mean, by
/// 1 / 2q, and a log-log regression biased even without zeros.
fn few_units(points: &Points, periods: &[Period]) -> bool {
    points.quantity_mean.is_some_and(|mean| mean < FEW_UNITS)
        && periods.iter().all(|p| p.quantity.fract() == 0.0)
}

fn regress(
    counted: &[Period],
    method: Method,
    options: &Options,
    quantiles: &mut HashMap<u64, f64>,
    outcome: &mut Outcome,
    doubts: &mut Doubts,
) {
    let mut used: Vec<Period> = counted.to_vec();
    if method == Method::LogLog {
        used.retain(|p| p.quantity > 0.0);
    }
    let controls = controls(&used, options);
    if method == Method::Ppml {
        doubts.separated = take_out_separated(&mut used, controls, options);
    }
    outcome.n_obs = used.len();
    let columns = columns(&used, controls, options);
    let x: Vec<f64> = used.iter().map(|p| p.price.ln()).collect();
    let found = match method {
        Method::Ppml => poisson(&quantities(&used), &x, &columns),
        _ => least_squares(&logs(&used), &x, &columns),
    };
    match found {
        Ok(slope) => {
            outcome.method = Some(method.name());
            outcome.elasticity = Some(slope.slope);
            outcome.r2 = slope.r2;
            outcome.inference = inference(&slope, options.conf, quantiles);
            doubts.endogenous_price = follows_demand(&used, &x, &slope.residuals);
            doubts.seasonal = controls != Controls::Season && has_seasons(&used, &x);
        }
        Err(Failure::NotIdentified) => doubts.not_identified = true,
        Err(Failure::NotConverged) => doubts.not_converged = true,
        Err(Failure::TooFewRows) => doubts.too_few_rows = true,
    }
}

pub(super) fn quantities(periods: &[Period]) -> Vec<f64> {
    periods.iter().map(|p| p.quantity).collect()
}

pub(super) fn logs(periods: &[Period]) -> Vec<f64> {
    periods.iter().map(|p| p.quantity.ln()).collect()
}

pub(super) fn inference(
    slope: &Slope,
    conf: f64,
    quantiles: &mut HashMap<u64, f64>,
) -> Option<Inference> {
    let std_error = slope.std_error?;
    let t =
        *quantiles.entry(slope.df.to_bits()).or_insert_with(|| student_t::quantile(conf, slope.df));
    Some(Inference {
        std_error,
        low: slope.slope - t * std_error,
        high: slope.slope + t * std_error,
        p_value: student_t::two_sided(slope.slope / std_error, slope.df),
    })
}

/// What 'auto' comes to.
pub(super) fn controls(periods: &[Period], options: &Options) -> Controls {
    let days: Vec<i32> = periods.iter().filter_map(|p| p.day).collect();
    // Rows without a date have no place in time.
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return Controls::None };
    if days.len() < periods.len() {
        return Controls::None;
    }
    match (options.controls, last - first) {
        (Controls::Auto, 700..) if periods.len() >= 56 => Controls::Season,
        (Controls::Auto, 180..) => Controls::Trend,
        (Controls::Auto, _) => Controls::None,
        (chosen, _) => chosen,
    }
}

/// The columns of the controls: the promotions, the trend, the months but the first one met.
pub(super) fn columns(periods: &[Period], controls: Controls, options: &Options) -> Vec<Vec<f64>> {
    let mut columns = vec![];
    if options.controls != Controls::None && periods.iter().any(|p| p.promo) {
        columns.push(periods.iter().map(|p| flag(p.promo)).collect());
    }
    if matches!(controls, Controls::Trend | Controls::Season) {
        let day = |p: &Period| f64::from(p.day.unwrap_or_default());
        let middle = periods.iter().map(day).sum::<f64>() / periods.len().max(1) as f64;
        columns.push(periods.iter().map(|p| (day(p) - middle) / 365.25).collect());
    }
    if controls == Controls::Season {
        columns.extend(months(periods));
    }
    columns
}

fn months(periods: &[Period]) -> impl Iterator<Item = Vec<f64>> {
    (1..MONTHS)
        .filter(|month| periods.iter().any(|p| p.month() == Some(*month)))
        .map(|month| periods.iter().map(|p| flag(p.month() == Some(month))).collect())
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Takes out the periods of a month, or of promotions, in which nothing was ever sold: their controls go to minus
/// infinity and they say nothing about the price.
pub(super) fn take_out_separated(
    periods: &mut Vec<Period>,
    controls: Controls,
    options: &Options,
) -> bool {
    let before = periods.len();
    loop {
        let length = periods.len();
        if controls == Controls::Season {
            let mut sold = [0.0; MONTHS];
            periods.iter().for_each(|p| sold[p.month().unwrap_or_default()] += p.quantity);
            periods.retain(|p| sold[p.month().unwrap_or_default()] > 0.0);
        }
        if options.controls != Controls::None
            && periods.iter().any(|p| p.promo)
            && periods.iter().filter(|p| p.promo).all(|p| p.quantity == 0.0)
        {
            periods.retain(|p| !p.promo);
        }
        if periods.len() == length {
            return length < before;
        }
    }
}

/// Whether the price of a period follows what the period before sold beyond expectation: then demand makes the price,
/// and the regression has cause and effect mixed up. A correlation over at least twelve pairs of periods.
fn follows_demand(periods: &[Period], x: &[f64], residuals: &[f64]) -> bool {
    if periods.iter().any(|p| p.day.is_none()) {
        return false;
    }
    let pairs: Vec<(f64, f64)> = (1..periods.len())
        .map(|i| (residuals[i - 1], x[i] - x[i - 1]))
        .filter(|p| p.1 != 0.0)
        .collect();
    let n = pairs.len() as f64;
    if n < 12.0 {
        return false;
    }
    let (a, b) =
        (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let sum = |f: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|p| f(p.0 - a, p.1 - b)).sum::<f64>();
    let (saa, sbb, sab) = (sum(&|a, _| a * a), sum(&|_, b| b * b), sum(&|a, b| a * b));
    if saa <= 0.0 || sbb <= 0.0 {
        return false;
    }
    let r = sab / (saa * sbb).sqrt();
    let t = r * ((n - 2.0) / (1.0 - r * r).max(1e-300)).sqrt();
    student_t::two_sided(t, n - 2.0) < DOUBT
}

/// Whether months of the year tell quantities apart beside the price and a trend: an F test, on ln(1 + q) so that zeros
/// count, from two years on.
fn has_seasons(periods: &[Period], x: &[f64]) -> bool {
    let days: Vec<i32> = periods.iter().filter_map(|p| p.day).collect();
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return false };
    if days.len() < periods.len() || last - first < 700 {
        return false;
    }
    let y: Vec<f64> = periods.iter().map(|p| p.quantity.ln_1p()).collect();
    let trend: Vec<f64> = days.iter().map(|d| f64::from(d - first) / 365.25).collect();
    let mut with = vec![trend.clone()];
    with.extend(months(periods));
    let (Ok(without), Ok(with)) = (least_squares(&y, x, &[trend]), least_squares(&y, x, &with))
    else {
        return false;
    };
    let rss = |s: &Slope| s.residuals.iter().map(|e| e * e).sum::<f64>();
    let (more, df) = (without.df - with.df, with.df);
    if more < 1.0 || df < 1.0 || rss(&with) <= 0.0 {
        return false;
    }
    let f = ((rss(&without) - rss(&with)) / more) / (rss(&with) / df);
    let tail = statrs::function::beta::checked_beta_reg(
        df / 2.0,
        more / 2.0,
        df / (df + more * f.max(0.0)),
    );
    tail.is_ok_and(|p| p < DOUBT)
}

/// What to doubt, in the order in which it is named.
#[derive(Default)]
struct Doubts {
    wrong_sign: bool,
    few_prices: bool,
    low_price_variation: bool,
    promo_confounded: bool,
    stockout_censored: bool,
    endogenous_price: bool,
    seasonal: bool,
    zero_sales: bool,
    carried_prices: bool,
    few_periods: bool,
    separated: bool,
    not_identified: bool,
    not_converged: bool,
    too_few_rows: bool,
}

impl Doubts {
    fn codes(&self) -> Vec<&'static str> {
        [
            (self.wrong_sign, "wrong_sign"),
            (self.few_prices, "few_prices"),
            (self.low_price_variation, "low_price_variation"),
            (self.promo_confounded, "promo_confounded"),
            (self.stockout_censored, "stockout_censored"),
            (self.endogenous_price, "endogenous_price"),
            (self.seasonal, "seasonal"),
            (self.zero_sales, "zero_sales"),
            (self.carried_prices, "carried_prices"),
            (self.few_periods || self.too_few_rows, "few_periods"),
            (self.separated, "separated"),
            (self.not_identified, "not_identified"),
            (self.not_converged, "not_converged"),
        ]
        .iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, code)| *code)
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn unit(random: &mut Random) -> f64 {
        (random.below(1 << 30) as f64 + 0.5) / f64::from(1 << 30)
    }

    fn poisson_count(random: &mut Random, mean: f64) -> f64 {
        let (mut count, mut left) = (0.0, mean + unit(random).ln());
        while left > 0.0 {
            count += 1.0;
            left += unit(random).ln();
        }
        count
    }

    /// Weeks at some ten prices, a trend, a season of the given strength, Poisson sales.
    fn weeks(
        random: &mut Random,
        n: usize,
        mean: f64,
        elasticity: f64,
        season: f64,
    ) -> Vec<Period> {
        let mut price = 10.0;
        (0..n)
            .map(|i| {
                if i % 13 == 0 {
                    price = 8.0 + 5.0 * unit(random);
                }
                let at = i as f64 / 52.18;
                let expected = mean
                    * (price / 10.0_f64).powf(elasticity)
                    * (0.1 * at + season * (std::f64::consts::TAU * at).cos()).exp();
                Period {
                    day: Some(19_000 + 7 * i as i32),
                    quantity: poisson_count(random, expected),
                    price,
                    promo: false,
                    out_of_stock: false,
                    carried: false,
                }
            })
            .collect()
    }

    fn run(periods: &[Period], options: &Options) -> Outcome {
        fit(periods, options, &mut HashMap::new())
    }

    #[test]
    fn planted_elasticities_lie_in_their_intervals_as_often_as_they_should() {
        let mut random = Random::new(21);
        for (mean, method) in [(40.0, "loglog"), (1.5, "ppml")] {
            let (mut inside, mut doubted, trials) = (0, 0, 400);
            for i in 0..trials {
                let planted = -0.5 - 2.5 * f64::from(i) / 400.0;
                let outcome =
                    run(&weeks(&mut random, 156, mean, planted, 0.2), &Options::default());
                assert_eq!(outcome.method, Some(method), "{:?}", outcome.warnings);
                let found = outcome.inference.unwrap_or_else(|| panic!("an interval"));
                inside += i32::from(found.low <= planted && planted <= found.high);
                doubted += i32::from(outcome.warnings.contains(&"endogenous_price"));
            }
            // 380 of 400 expected; 4.4 is the deviation of a binomial count.
            assert!((366..=393).contains(&inside), "{method}: {inside} of {trials}");
            assert!(doubted < 20, "{method}: {doubted} of {trials} doubted");
        }
    }

    #[test]
    fn the_method_follows_the_data() {
        let mut random = Random::new(22);
        let all = weeks(&mut random, 60, 50.0, -1.5, 0.0);
        let options = Options::default();
        assert_eq!(run(&all, &options).method, Some("loglog"));
        let few = run(&all[..11], &options);
        assert_eq!(few.method, None, "one price");
        assert_eq!(few.warnings, ["few_prices", "few_periods"]);
        let two = run(&all[..26], &options);
        assert_eq!((two.method, two.points.count), (Some("midpoint"), 2));
        assert_eq!(two.elasticity, two.points.midpoint);
        assert!(two.inference.is_none());
        let rare = weeks(&mut random, 60, 0.8, -1.5, 0.0);
        assert_eq!(run(&rare, &options).method, Some("ppml"));
        let forced = Options { method: Some(Method::LogLog), ..options };
        assert!(run(&rare, &forced).warnings.contains(&"zero_sales"));
        assert_eq!(run(&[], &Options::default()).warnings, ["few_prices", "few_periods"]);
    }

    #[test]
    fn marked_periods_are_left_out_or_doubted() {
        let mut random = Random::new(23);
        let mut all = weeks(&mut random, 80, 60.0, -1.5, 0.0);
        for i in (0..80).step_by(9) {
            all[i].promo = true;
            all[i].price *= 0.7;
            all[i].quantity *= 5.0;
        }
        for i in (4..80).step_by(9) {
            all[i].out_of_stock = true;
            all[i].quantity = 0.0;
        }
        let left_out = run(&all, &Options::default());
        assert_eq!(left_out.n_obs, 80 - 9 - 9);
        assert!(left_out.elasticity.is_some_and(|e| (e + 1.5).abs() < 0.4), "{left_out:?}");
        assert!(!left_out.warnings.contains(&"promo_confounded"));
        let options =
            Options { exclude_promo: false, exclude_stockout: false, ..Options::default() };
        let kept = run(&all, &options);
        assert!(
            kept.warnings.contains(&"promo_confounded")
                && kept.warnings.contains(&"stockout_censored")
        );
        // The promotions' own effect is controlled for, unless nothing is.
        let mean = |o: &Outcome| o.elasticity.unwrap_or(0.0);
        assert!((mean(&kept) + 1.5).abs() < 0.5);
        let nothing = run(&all, &Options { controls: Controls::None, ..options });
        assert!(mean(&nothing) < -2.0);
    }

    #[test]
    fn seasons_and_prices_that_follow_demand_are_noticed() {
        let mut random = Random::new(24);
        let all = weeks(&mut random, 156, 80.0, -1.5, 0.4);
        let plain = Options { controls: Controls::Trend, ..Options::default() };
        assert!(run(&all, &plain).warnings.contains(&"seasonal"));
        assert!(!run(&all, &Options::default()).warnings.contains(&"seasonal"));
        let quiet = weeks(&mut random, 156, 80.0, -1.5, 0.0);
        assert!(!run(&quiet, &plain).warnings.contains(&"seasonal"));
        let mut reacting = quiet.clone();
        for i in 1..156 {
            reacting[i].price = 10.0 * (reacting[i - 1].quantity / 80.0).powf(0.5);
        }
        assert!(run(&reacting, &Options::default()).warnings.contains(&"endogenous_price"));
    }

    #[test]
    fn months_without_a_sale_are_taken_out() {
        let mut random = Random::new(25);
        let mut all = weeks(&mut random, 156, 1.2, -1.5, 0.0);
        all.iter_mut().filter(|p| p.month() == Some(6)).for_each(|p| p.quantity = 0.0);
        let outcome = run(&all, &Options::default());
        assert_eq!(outcome.method, Some("ppml"));
        assert!(outcome.warnings.contains(&"separated") && outcome.n_obs < 156);
        assert!(outcome.inference.is_some_and(|i| i.std_error < 1.5));
    }
}
