// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Sums that cannot wrap, and sums that nobody dominates.
//!
//! DataFusion adds whole numbers up modulo 2⁶⁴ and says nothing; here they are added up in 128 bits, and a sum that does
//! not fit its type is NULL. Where the policy sets a dominance, a sum or mean of which one person holds more than that share
//! is NULL, for it would be as good as that person's own.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Column, DFSchema, ScalarValue, internal_err};
use datafusion::error::Result as EngineResult;
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ExprSchemable, Signature, Volatility, cast,
    lit, try_cast, when,
};

use super::gate::Gate;
use super::state::Private;
use crate::error::Result;

/// Twenty digits hold every whole number of 64 bits; the sum of 10¹⁰ of them has ten digits more.
const WHOLE: DataType = DataType::Decimal128(20, 0);

/// A call as it is evaluated, and how its result is shown.
pub(super) struct Measure {
    pub(super) call: Expr,
    /// The type that the statement expects, where the call gives another.
    fits: Option<DataType>,
    /// The share of the largest contributor, its column, and the largest that is allowed.
    pub(super) share: Option<(Expr, Column)>,
    limit: f64,
}

/// A call at the point of release.
pub(super) fn measure(
    gate: &Gate,
    call: &Expr,
    schema: &DFSchema,
    private: &Private,
    dominance: Option<f64>,
) -> Result<Measure> {
    let asked = function(call);
    let argument = asked.and_then(|f| f.params.args.first().cloned());
    let adds = asked.is_some_and(|f| matches!(f.func.name(), "sum" | "avg" | "mean"));
    let (mut evaluated, mut fits) = (call.clone(), None);
    if let (Some(asked), Some(argument)) = (asked, &argument)
        && asked.func.name() == "sum"
        && argument.get_type(schema)?.is_integer()
    {
        let mut params = asked.params.clone();
        params.args = vec![cast(argument.clone(), WHOLE)];
        let wide = AggregateFunction { func: Arc::clone(&asked.func), params };
        evaluated = Expr::AggregateFunction(wide).alias(gate.hidden("sum"));
        fits = Some(call.get_type(schema)?);
    }
    let units = private.supports.iter().filter(|s| s.outer.is_none());
    let units: Vec<Expr> = units.map(|s| Expr::Column(s.column.clone())).collect();
    let share = match (dominance, argument) {
        (Some(_), Some(argument)) if adds => {
            let name = gate.hidden("share");
            // Each part of a union has a column for its persons.
            let unit = match <[Expr; 1]>::try_from(units) {
                Ok([unit]) => unit,
                Err(units) => coalesce(units),
            };
            let arguments = vec![unit, cast(argument, DataType::Float64)];
            let share = AggregateFunction::new_udf(
                Arc::new(AggregateUDF::from(TopShare::new())),
                arguments,
                false,
                None,
                vec![],
                None,
            );
            let share = Expr::AggregateFunction(share).alias(name.clone());
            Some((share, Column::new_unqualified(name)))
        }
        _ => None,
    };
    Ok(Measure { call: evaluated, fits, share, limit: dominance.unwrap_or(1.0) })
}

fn function(call: &Expr) -> Option<&AggregateFunction> {
    match call {
        Expr::Alias(alias) => function(&alias.expr),
        Expr::AggregateFunction(function) => Some(function),
        _ => None,
    }
}

impl Measure {
    /// The result as the statement gets it.
    pub(super) fn shown(&self, column: Column) -> Result<Expr> {
        let value = Expr::Column(column);
        let value = match &self.fits {
            Some(data_type) => try_cast(value, data_type.clone()),
            None => value,
        };
        Ok(match &self.share {
            // Without an ELSE it is NULL.
            Some((_, share)) => {
                when(Expr::Column(share.clone()).lt_eq(lit(self.limit)), value).end()?
            }
            None => value,
        })
    }
}

/// The share of a sum that its largest contributor holds; infinite where contributions cancel each other out.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TopShare {
    signature: Signature,
}

impl TopShare {
    fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for TopShare {
    fn name(&self) -> &str {
        "top_share"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> EngineResult<Vec<FieldRef>> {
        let list = |item| DataType::new_list(item, true);
        Ok(vec![
            Arc::new(Field::new(format!("{}[units]", args.name), list(DataType::Binary), true)),
            Arc::new(Field::new(format!("{}[sums]", args.name), list(DataType::Float64), true)),
            Arc::new(Field::new(format!("{}[nobody]", args.name), DataType::Float64, true)),
            Arc::new(Field::new(format!("{}[top]", args.name), DataType::Float64, true)),
        ])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> EngineResult<Box<dyn Accumulator>> {
        Ok(Box::new(Shares::default()))
    }
}

#[derive(Debug, Default)]
struct Shares {
    sums: HashMap<Vec<u8>, f64>,
    /// The sum over rows that are nobody's, and the largest of them: each is a contributor of its own.
    nobody: f64,
    top_of_nobody: f64,
    bytes: usize,
}

impl Shares {
    fn add(&mut self, unit: &[u8], value: f64) {
        match self.sums.get_mut(unit) {
            Some(sum) => *sum += value,
            None => {
                self.bytes += unit.len() + size_of::<(Vec<u8>, f64)>();
                self.sums.insert(unit.to_vec(), value);
            }
        }
    }
}

impl Accumulator for Shares {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> EngineResult<()> {
        let [units, values] = columns else {
            return internal_err!("`top_share` takes two columns");
        };
        let units = arrow::compute::cast(units, &DataType::Binary)?;
        let (units, values) = (units.as_binary::<i32>(), values.as_primitive::<Float64Type>());
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            let value = values.value(row);
            if units.is_valid(row) {
                self.add(units.value(row), value);
            } else {
                self.nobody += value;
                self.top_of_nobody = self.top_of_nobody.max(value.abs());
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> EngineResult<ScalarValue> {
        let total: f64 = self.sums.values().sum::<f64>() + self.nobody;
        let top = self.sums.values().fold(self.top_of_nobody, |top, sum| top.max(sum.abs()));
        let share = match (top, total) {
            (0.0, _) => 0.0,
            (_, 0.0) => f64::INFINITY,
            (top, total) => top / total.abs(),
        };
        Ok(ScalarValue::Float64(Some(share)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes
    }

    fn state(&mut self) -> EngineResult<Vec<ScalarValue>> {
        let (units, sums): (Vec<ScalarValue>, Vec<ScalarValue>) = self
            .sums
            .drain()
            .map(|(unit, sum)| (ScalarValue::Binary(Some(unit)), ScalarValue::Float64(Some(sum))))
            .unzip();
        Ok(vec![
            ScalarValue::List(ScalarValue::new_list_nullable(&units, &DataType::Binary)),
            ScalarValue::List(ScalarValue::new_list_nullable(&sums, &DataType::Float64)),
            ScalarValue::Float64(Some(self.nobody)),
            ScalarValue::Float64(Some(self.top_of_nobody)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> EngineResult<()> {
        let [units, sums, nobody, top] = states else {
            return internal_err!("`top_share` has four states");
        };
        let (units, sums) = (units.as_list::<i32>(), sums.as_list::<i32>());
        let (nobody, top) =
            (nobody.as_primitive::<Float64Type>(), top.as_primitive::<Float64Type>());
        for row in 0..units.len() {
            let (unit, sum) = (units.value(row), sums.value(row));
            let (unit, sum) = (unit.as_binary::<i32>(), sum.as_primitive::<Float64Type>());
            for i in 0..unit.len() {
                self.add(unit.value(i), sum.value(i));
            }
            self.nobody += nobody.value(row);
            self.top_of_nobody = self.top_of_nobody.max(top.value(row));
        }
        Ok(())
    }
}
