// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a call asks for, read from its literal arguments.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::function::AccumulatorArgs;

use super::{ARGUMENTS, FIRST_OPTION};
use crate::literal::literal;

/// How the value of a conversion is shared among the positions of its journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    First,
    Last,
    LastNonDirect,
    Linear,
    /// The weights of the call.
    Weighted,
    /// 40/20/40.
    Position,
    TimeDecay,
    /// Equal shares for the distinct channels, each at its first touch.
    Shapley,
    /// Linear credits, for a caller who scales them by removal effects.
    Markov,
}

impl Model {
    pub(super) const ALL: [(&'static str, Model); 9] = [
        ("first", Model::First),
        ("last", Model::Last),
        ("last_non_direct", Model::LastNonDirect),
        ("linear", Model::Linear),
        ("weighted", Model::Weighted),
        ("position", Model::Position),
        ("time_decay", Model::TimeDecay),
        ("shapley", Model::Shapley),
        ("markov", Model::Markov),
    ];

    /// The place in [`Model::ALL`], which is the key of the output's dictionary.
    pub(super) fn key(self) -> i8 {
        self as i8
    }
}

/// Which touches of the window are positions of the journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Neighbours of one channel are one position.
    Exposure,
    /// Every touch is one.
    None,
    /// The first touch of each channel.
    First,
}

/// When touches of a direct channel are left out of a journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direct {
    /// Unless the journey has no other.
    UnlessOnly,
    Never,
    Always,
}

/// The shares of the first and the last position, in parts of [`Weights::WHOLE`]; the positions between share the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weights {
    pub(super) first: i128,
    pub(super) last: i128,
}

impl Weights {
    /// Whole numbers, so that a share of an exact amount is exact; nine digits are more than anybody means.
    pub(super) const WHOLE: i128 = 1_000_000_000;
    pub(super) const POSITION: Self = Self { first: 400_000_000, last: 400_000_000 };

    pub(super) fn new(first: f64, last: f64) -> Result<Self> {
        let part = |share: f64| (share * Self::WHOLE as f64).round() as i128;
        let whole = (0.0..=1.0).contains(&first) && (0.0..=1.0).contains(&last);
        if !whole || part(first) + part(last) > Self::WHOLE {
            return plan_err!(
                "the shares of the first and the last touch must be from 0 to 1 and together at most 1, \
                 found {first} and {last}"
            );
        }
        Ok(Self { first: part(first), last: part(last) })
    }
}

/// All of it; times in the ticks of `at`.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) models: Vec<Model>,
    pub(super) path: Path,
    pub(super) direct: Direct,
    pub(super) reset: bool,
    /// `None` looks back without end.
    pub(super) lookback: Option<i64>,
    pub(super) weights: Weights,
    pub(super) half_life: f64,
    pub(super) new_customers: bool,
    /// The first days of a customer, whose orders are credited as the first one.
    pub(super) horizon: Option<i64>,
}

const DAY: i64 = 86_400_000_000_000;

impl Options {
    pub(super) fn read(args: &AccumulatorArgs, function: &str, unit: TimeUnit) -> Result<Self> {
        let option = |index: usize| {
            let name = ARGUMENTS[FIRST_OPTION + index].0;
            literal(args, function, name, FIRST_OPTION + index)
                .map(|value| (name, value.filter(|value| !value.is_null())))
        };
        let word = |index: usize, default: &str| -> Result<(&str, String)> {
            let (name, value) = option(index)?;
            let word = value.as_ref().and_then(|value| value.try_as_str().flatten());
            Ok((name, word.unwrap_or(default).to_string()))
        };
        let number = |index: usize, default: f64| -> Result<f64> {
            match option(index)? {
                (_, Some(ScalarValue::Float64(Some(number)))) => Ok(number),
                _ => Ok(default),
            }
        };
        let flag = |index: usize, default: bool| -> Result<bool> {
            match option(index)? {
                (_, Some(ScalarValue::Boolean(Some(flag)))) => Ok(flag),
                _ => Ok(default),
            }
        };
        let time = |index: usize| -> Result<Option<i64>> {
            let (name, value) = option(index)?;
            value.map(|value| ticks(&value, function, name, unit)).transpose()
        };

        let (name, models) = word(0, "weighted")?;
        let models = read_models(&models, function, name)?;
        let path = match word(1, "exposure")? {
            (_, path) if path == "exposure" => Path::Exposure,
            (_, path) if path == "none" => Path::None,
            (_, path) if path == "first" => Path::First,
            (name, path) => {
                return plan_err!(
                    "`{function}`: argument `{name}` must be 'exposure', 'none' or 'first', found '{path}'"
                );
            }
        };
        let direct = match word(2, "unless_only")? {
            (_, direct) if direct == "unless_only" => Direct::UnlessOnly,
            (_, direct) if direct == "never" => Direct::Never,
            (_, direct) if direct == "always" => Direct::Always,
            (name, direct) => {
                return plan_err!(
                    "`{function}`: argument `{name}` must be 'unless_only', 'never' or 'always', found '{direct}'"
                );
            }
        };
        let weights = Weights::new(number(5, 0.3)?, number(6, 0.3)?)
            .map_err(|error| error.context(format!("`{function}`")))?;
        let week = 7 * DAY / nanoseconds(unit);
        let half_life = time(7)?.unwrap_or(week);
        if half_life <= 0 {
            return plan_err!("`{function}`: argument `half_life` must be longer than nothing");
        }
        Ok(Self {
            models,
            path,
            direct,
            reset: flag(3, true)?,
            lookback: time(4)?,
            weights,
            half_life: half_life as f64,
            new_customers: flag(8, false)?,
            horizon: time(9)?,
        })
    }
}

/// One name, several with commas between them, or `all`.
fn read_models(text: &str, function: &str, name: &str) -> Result<Vec<Model>> {
    if text == "all" {
        return Ok(Model::ALL.map(|(_, model)| model).into());
    }
    let mut models = vec![];
    for word in text.split(',').map(str::trim) {
        let Some((_, model)) = Model::ALL.iter().find(|(name, _)| *name == word) else {
            let names = Model::ALL.map(|(name, _)| name).join(", ");
            return plan_err!(
                "`{function}`: argument `{name}` must be among {names} and all, found '{word}'"
            );
        };
        if !models.contains(model) {
            models.push(*model);
        }
    }
    Ok(models)
}

/// A length of time in ticks.
fn ticks(value: &ScalarValue, function: &str, name: &str, unit: TimeUnit) -> Result<i64> {
    if let ScalarValue::Float64(Some(days)) = value
        && (0.0..100_000.0).contains(days)
    {
        return Ok((days * DAY as f64 / nanoseconds(unit) as f64).round() as i64);
    }
    let ScalarValue::IntervalMonthDayNano(Some(interval)) = value else {
        return plan_err!("`{function}`: argument `{name}` must be an INTERVAL, found {value}");
    };
    if interval.months != 0 {
        return plan_err!(
            "`{function}`: argument `{name}` must have a fixed length; \
             write days in place of months and years"
        );
    }
    let length = i64::from(interval.days).checked_mul(DAY);
    match length.and_then(|length| length.checked_add(interval.nanoseconds)) {
        Some(length) if length >= 0 => Ok(length / nanoseconds(unit)),
        _ => plan_err!(
            "`{function}`: argument `{name}` must be from nothing to 292 years, found {value}"
        ),
    }
}

fn nanoseconds(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// The unit of a time column.
pub(super) fn unit_of(data_type: &DataType) -> TimeUnit {
    match data_type {
        DataType::Timestamp(unit, _) => *unit,
        _ => TimeUnit::Microsecond,
    }
}
