// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Student's t, to some twelve digits, for as many degrees of freedom as there are rows.
//!
//! The tail is the regularised incomplete beta function I_x(ν/2, 1/2) at x = ν/(ν + t²), by its continued fraction
//! (DLMF 8.17.22, evaluated by the modified Lentz algorithm). statrs takes 1 − x from x, which costs digits where t is
//! small. Above 2,000 degrees of freedom, where the fraction too loses digits, t becomes a normal deviate by Hill's
//! series (1970, Communications of the ACM, algorithm 396), of which the first term left out is below 10⁻²⁰.

use statrs::function::gamma::ln_gamma;

/// The probability of a value of |t| or more on either side, with `df` degrees of freedom.
pub(crate) fn two_sided(t: f64, df: f64) -> f64 {
    if t.is_nan() || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    let t2 = t * t;
    if t2 == 0.0 {
        return 1.0;
    }
    if t2.is_infinite() {
        return 0.0;
    }
    if df > 2000.0 {
        return normal_two_sided(normal_equivalent(t2, df));
    }
    let (a, b) = (df / 2.0, 0.5);
    let (x, rest) = (df / (df + t2), t2 / (df + t2));
    // x^a (1 - x)^b / B(a, b)
    let front =
        (ln_gamma_ratio(a) - 0.572_364_942_924_700_1 - a * (t2 / df).ln_1p() + b * rest.ln()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        (front * fraction(a, b, x) / a).clamp(0.0, 1.0)
    } else {
        (1.0 - front * fraction(b, a, rest) / b).clamp(0.0, 1.0)
    }
}

/// The t that |t| stays below with probability `confidence`: 1.96 for 0.95 and many degrees of freedom.
pub(crate) fn quantile(confidence: f64, df: f64) -> f64 {
    if !(0.0..1.0).contains(&confidence) || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    let outside = 1.0 - confidence;
    let (mut low, mut high) = (0.0, 1.0);
    while two_sided(high, df) > outside {
        low = high;
        high *= 2.0;
        if high > 1e300 {
            return f64::INFINITY;
        }
    }
    let mut t = 0.5 * (low + high);
    for _ in 0..200 {
        let p = two_sided(t, df);
        if p > outside {
            low = t;
        } else {
            high = t;
        }
        let newton = t + (p - outside) / (2.0 * density(t, df));
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - t).abs() <= 2e-16 * t {
            return next;
        }
        t = next;
    }
    t
}

/// The normal deviate with as much beyond it as t has.
fn normal_equivalent(t2: f64, df: f64) -> f64 {
    let a = df - 0.5;
    let b = 48.0 * a * a;
    let z2 = a * (t2 / df).ln_1p();
    let z = z2.sqrt();
    let second = ((4.0 * z2 + 33.0) * z2 + 240.0) * z2 + 855.0;
    z + ((z2 + 3.0) / b - second / (10.0 * b * (b + 0.8 * z2 * z2 + 100.0))) * z
}

/// The probability of a normal deviate of z or more on either side: erfc(z / √2). statrs gives ten digits of it.
fn normal_two_sided(z: f64) -> f64 {
    let x2 = z * z / 2.0;
    let front = 2.0 * (x2 / std::f64::consts::PI).sqrt() * (-x2).exp();
    if x2 < 6.0 {
        // DLMF 7.6.2, a series of positive terms.
        let (mut term, mut sum, mut n) = (1.0, 1.0, 1.0);
        while term > sum * 1e-17 {
            term *= x2 / (n + 0.5);
            sum += term;
            n += 1.0;
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    // DLMF 7.9.2, from the tail: x² + (1/2)/(1 + 1/(x² + (3/2)/(1 + 2/(x² + …
    let mut fraction = x2;
    for k in (1..=60_u32).rev() {
        let k = f64::from(k);
        fraction = x2 + (k - 0.5) / (1.0 + k / fraction);
    }
    front / 2.0 / fraction
}

fn density(t: f64, df: f64) -> f64 {
    let a = df / 2.0;
    (ln_gamma_ratio(a) - 0.5 * (df * std::f64::consts::PI).ln() - (a + 0.5) * (t * t / df).ln_1p())
        .exp()
}

/// ln(Γ(a + 1/2) / Γ(a)); for a large `a` the difference of two large logarithms would leave few digits.
fn ln_gamma_ratio(a: f64) -> f64 {
    if a < 200.0 {
        return ln_gamma(a + 0.5) - ln_gamma(a);
    }
    let r = 1.0 / a;
    0.5 * a.ln()
        + (r * (-1.0 / 8.0 + r * (1.0 / 128.0 + r * (5.0 / 1024.0 - r * 21.0 / 32768.0)))).ln_1p()
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let keep = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / keep(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    // The number of terms grows as the root of `a + b`.
    for m in 1..1000_u32 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a - 1.0 + 2.0 * m) * (a + 2.0 * m));
        d = 1.0 / keep(1.0 + even * d);
        c = keep(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 1.0 + 2.0 * m));
        d = 1.0 / keep(1.0 + odd * d);
        c = keep(1.0 + odd / c);
        h *= d * c;
        if (d * c - 1.0).abs() <= 1e-16 {
            break;
        }
    }
    h
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-11, "{found} is not {expected}");
    }

    #[test]
    fn as_tables_have_it() {
        // ν = 1 is Cauchy's and ν = 2 has a closed form.
        for t in [1e-6, 0.3, 1.0, 12.7, 1e6] {
            close(two_sided(t, 1.0), 2.0 * f64::atan(1.0 / t) / std::f64::consts::PI);
            let far = t / f64::sqrt(2.0 + t * t);
            if far < 0.999 {
                close(two_sided(t, 2.0), 1.0 - far);
            }
        }
        // scipy.stats.t: 2 * sf(t, df) and ppf.
        close(two_sided(2.5, 10.0), 0.031_446_844_236_608_97);
        close(quantile(0.95, 10.0), 2.228_138_851_964_938_5);
        close(quantile(0.95, 1.0), 12.706_204_736_174_698);
        close(quantile(0.99, 3.0), 5.840_909_309_733_355);
        // scipy.stats.norm: 2 * sf(z), on either side of the switch to the fraction.
        close(normal_two_sided(3.4), 0.000_673_858_531_353_761_7);
        close(normal_two_sided(3.5), 0.000_465_258_158_071_050_03);
        close(normal_two_sided(8.0), 1.244_192_114_854_348e-15);
        // On either side of the switch to the series, a smooth function.
        let (below, above) = (two_sided(3.0, 2000.0), two_sided(3.0, 2_000.000_001));
        assert!((below / above - 1.0).abs() < 1e-11, "{below} {above}");
        assert!((quantile(0.95, 1e9) - 1.959_963_984_540_054).abs() < 1e-8);
    }

    #[test]
    fn the_quantile_is_the_inverse() {
        for df in [1.0, 2.0, 7.0, 155.0, 399.0, 401.0, 28_945.0, 3e6] {
            assert!((two_sided(2.0, df) / two_sided(2.0, df + 1e-9) - 1.0).abs() < 1e-9);
            for confidence in [0.001, 0.5, 0.9, 0.95, 0.999] {
                let t = quantile(confidence, df);
                assert!((two_sided(t, df) - (1.0 - confidence)).abs() < 1e-12, "{confidence} {df}");
            }
        }
        assert!(two_sided(0.0, 5.0) == 1.0 && two_sided(f64::INFINITY, 5.0) == 0.0);
        assert!(two_sided(1.0, 0.0).is_nan() && quantile(1.0, 5.0).is_nan());
    }
}
