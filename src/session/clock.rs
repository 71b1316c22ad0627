// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `--as-of`: a clock that stands still, so that a script run again gives what it gave then.
//!
//! The engine takes the time anew for every statement, so its functions that tell it are replaced by ours.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset, TimeZone};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::prelude::SessionContext;

/// Stops the session's clock at a moment, in nanoseconds since 1970, UTC.
pub(super) fn stop_at(ctx: &SessionContext, moment: i64) {
    for (tells, name, aliases) in [
        (Tells::Moment, "now", vec!["current_timestamp".to_string()]),
        (Tells::Day, "current_date", vec!["today".to_string()]),
        (Tells::Time, "current_time", vec![]),
    ] {
        let signature = Signature::nullary(Volatility::Stable);
        let clock = Clock { tells, name, aliases, signature, moment, zone: None };
        let config = ctx.copied_config();
        ctx.register_udf(clock.within(config.options()).into());
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tells {
    Moment,
    Day,
    Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Clock {
    tells: Tells,
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
    moment: i64,
    zone: Option<Arc<str>>,
}

impl Clock {
    fn within(&self, config: &ConfigOptions) -> Self {
        let zone = config.execution.time_zone.as_ref().map(|zone| Arc::from(zone.as_str()));
        Self { zone, ..self.clone() }
    }

    fn value(&self) -> ScalarValue {
        let utc: NaiveDateTime = DateTime::from_timestamp_nanos(self.moment).naive_utc();
        let zone = self.zone.as_ref().and_then(|zone| zone.parse::<Tz>().ok());
        let here = zone.map_or(utc, |zone| utc + zone.offset_from_utc_datetime(&utc).fix());
        match self.tells {
            Tells::Moment => ScalarValue::TimestampNanosecond(Some(self.moment), self.zone.clone()),
            Tells::Day => {
                let days = (here.date() - NaiveDate::default()).num_days();
                ScalarValue::Date32(i32::try_from(days).ok())
            }
            Tells::Time => {
                let passed = here - here.date().and_time(chrono::NaiveTime::default());
                ScalarValue::Time64Nanosecond(passed.num_nanoseconds())
            }
        }
    }
}

impl ScalarUDFImpl for Clock {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        Some(self.within(config).into())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(match self.tells {
            Tells::Moment => DataType::Timestamp(TimeUnit::Nanosecond, self.zone.clone()),
            Tells::Day => DataType::Date32,
            Tells::Time => DataType::Time64(TimeUnit::Nanosecond),
        })
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef, DataFusionError> {
        Ok(Arc::new(Field::new(self.name, self.return_type(&[])?, false)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        Ok(ColumnarValue::Scalar(self.value()))
    }

    fn simplify(
        &self,
        _: Vec<Expr>,
        _: &SimplifyContext,
    ) -> Result<ExprSimplifyResult, DataFusionError> {
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(self.value(), None)))
    }
}
