// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`ElasticityPanel`]: one price elasticity for many skus together.

mod two_way;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::format_state_name;
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Signature};
use datafusion_macros::user_doc;

use crate::literal::literal;
use crate::price_periods::{Period, list_type, read_periods};
use crate::signature::{Takes, coerce_each, coerced_by_itself};
use crate::student_t;
use two_way::{Failure, Observation, Panel};

/// The aggregate function `elasticity_panel`.
pub(crate) fn elasticity_panel() -> AggregateUDF {
    AggregateUDF::from(ElasticityPanel::new())
}

const NAME: &str = "elasticity_panel";
const PARAMETERS: [&str; 5] = ["periods", "method", "exclude_promo", "exclude_stockout", "conf"];

#[user_doc(
    doc_section(label = "Products"),
    description = "Fits one price elasticity to many skus, each row the periods of one of them as `price_periods` lists \
them, with an effect of each sku and of each period, so that neither what a sku sells at best nor what moves all skus \
together (season, growth, traffic) is taken for an effect of price. Returns a struct of `elasticity`, `std_error` \
(clustered by sku, CRV1), `ci_low`, `ci_high`, `p_value` (by Student's t with one degree of freedom less than skus), `r2`, \
`n_obs`, `n_skus`, `n_periods` and `warnings`. 'panel' is least squares of ln quantity over the periods with a sale, \
'panel_ppml' Poisson regression of the quantity, zeros included. Skus and periods of one observation, and for 'panel_ppml' \
those without a sale, say nothing and are taken out. The variance is that of pyfixest: the sum over skus times \
(n − 1) / (n − T − 1) · G / (G − 1) for T periods and G skus; it is NULL below three skus, whose scores are 0 whatever they sell. Needs O(n + Σ Tᵢ² + T³) time for n observations and Tᵢ of a \
sku, for 'panel_ppml' some ten times that, and 40 bytes per observation.",
    syntax_example = "elasticity_panel(periods[, method[, exclude_promo[, exclude_stockout[, conf]]]])",
    sql_example = r#"```sql
> SELECT round(e['elasticity'], 4) AS elasticity, e['n_skus'] AS skus, e['n_periods'] AS periods
  FROM (
    SELECT elasticity_panel(periods) AS e
    FROM (
      SELECT sku, price_periods(date, quantity, price) AS periods
      FROM (VALUES
        ('a', DATE '2026-01-05', 9, 10.0), ('a', DATE '2026-01-12', 8, 11.0), ('a', DATE '2026-01-19', 9, 11.0),
        ('b', DATE '2026-01-05', 5, 20.0), ('b', DATE '2026-01-12', 5, 20.0), ('b', DATE '2026-01-19', 7, 18.0)
      ) AS sales(sku, date, quantity, price)
      GROUP BY sku
    )
  );
+------------+------+---------+
| elasticity | skus | periods |
+------------+------+---------+
| -1.6837    | 2    | 3       |
+------------+------+---------+
```"#,
    argument(
        name = "periods",
        description = "The periods of one sku, as `price_periods` makes them; they need dates."
    ),
    argument(name = "method", description = "'panel', the default, or 'panel_ppml', a literal."),
    argument(
        name = "exclude_promo",
        description = "Whether periods of promotions are left out, a literal; by default true."
    ),
    argument(
        name = "exclude_stockout",
        description = "Whether periods in which the sku was out of stock are left out, a literal; by default true."
    ),
    argument(
        name = "conf",
        description = "The confidence of the interval, a literal above 0 and below 1; by default 0.95."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct ElasticityPanel {
    signature: Signature,
}

impl ElasticityPanel {
    fn new() -> Self {
        // Coercion is our own so that an error names the argument.
        Self { signature: coerced_by_itself(&PARAMETERS) }
    }
}

impl AggregateUDFImpl for ElasticityPanel {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerce_each(NAME, &PARAMETERS, 1, arg_types, takes)
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(result_fields()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "skus");
        Ok(vec![Arc::new(Field::new(name, DataType::LargeBinary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("`{NAME}` does not support DISTINCT: two skus may sell the same");
        }
        Ok(Box::new(PanelAccumulator::new(options(&args)?)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn takes(place: usize) -> Takes {
    match place {
        0 => Takes::Exactly(list_type(), "a list that `price_periods` makes"),
        1 => Takes::Text,
        2 | 3 => Takes::Boolean,
        _ => Takes::Number,
    }
}

#[derive(Clone, Copy, Debug)]
struct Options {
    poisson: bool,
    exclude_promo: bool,
    exclude_stockout: bool,
    conf: f64,
}

fn options(args: &AccumulatorArgs) -> Result<Options> {
    let poisson = match literal(args, NAME, "method", 1)? {
        None => false,
        Some(value) => match value.try_as_str().flatten() {
            Some("panel") => false,
            Some("panel_ppml") => true,
            _ => {
                return plan_err!(
                    "`{NAME}`: argument `method` must be 'panel' or 'panel_ppml', found {value}"
                );
            }
        },
    };
    let flag = |name, place| match literal(args, NAME, name, place)? {
        None => Ok(true),
        Some(ScalarValue::Boolean(Some(flag))) => Ok(flag),
        Some(found) => {
            plan_err!("`{NAME}`: argument `{name}` must be true or false, found {found}")
        }
    };
    let conf = match literal(args, NAME, "conf", 4)? {
        None => 0.95,
        Some(ScalarValue::Float64(Some(conf))) if conf > 0.0 && conf < 1.0 => conf,
        Some(found) => {
            return plan_err!(
                "`{NAME}`: argument `conf` must be above 0 and below 1, such as 0.95, found {found}"
            );
        }
    };
    Ok(Options {
        poisson,
        exclude_promo: flag("exclude_promo", 2)?,
        exclude_stockout: flag("exclude_stockout", 3)?,
        conf,
    })
}

fn result_fields() -> Fields {
    let number = |name| Field::new(name, DataType::Float64, true);
    let count = |name| Field::new(name, DataType::Int64, true);
    Fields::from(vec![
        number("elasticity"),
        number("std_error"),
        number("ci_low"),
        number("ci_high"),
        number("p_value"),
        number("r2"),
        count("n_obs"),
        count("n_skus"),
        count("n_periods"),
        Field::new("warnings", DataType::Utf8, true),
    ])
}

/// An observation of a sku as it is kept: the bits of doubles, so that they have an order.
type Kept = (i32, u64, u64);

/// The observations of each sku, skus in the order of arrival.
#[derive(Debug)]
struct PanelAccumulator {
    options: Options,
    skus: Vec<Vec<Kept>>,
    kept: usize,
}

impl PanelAccumulator {
    fn new(options: Options) -> Self {
        Self { options, skus: vec![], kept: 0 }
    }

    fn absorb(&mut self, periods: &[Period]) -> Result<()> {
        let Options { poisson, exclude_promo, exclude_stockout, .. } = self.options;
        let mut sku = vec![];
        for p in periods {
            if (exclude_promo && p.promo)
                || (exclude_stockout && p.out_of_stock)
                || (!poisson && p.quantity == 0.0)
            {
                continue;
            }
            let Some(day) = p.day else {
                return exec_err!(
                    "`{NAME}` needs the date of each period: a panel compares skus in the same period"
                );
            };
            sku.push((day, p.quantity.to_bits(), p.price.to_bits()));
        }
        // Rows of one day, with the grain 'row', come in an order of their own; this is the one that is summed in.
        sku.sort_unstable();
        self.kept += sku.len();
        if !sku.is_empty() {
            self.skus.push(sku);
        }
        Ok(())
    }

    /// The skus in an order that does not depend on where they came from.
    fn panel(&self) -> Panel {
        let mut skus: Vec<&Vec<Kept>> = self.skus.iter().collect();
        skus.sort_unstable();
        let mut days: Vec<i32> = skus.iter().flat_map(|s| s.iter().map(|o| o.0)).collect();
        days.sort_unstable();
        days.dedup();
        let observations = skus
            .iter()
            .enumerate()
            .flat_map(|(sku, of)| of.iter().map(move |o| (sku, o)))
            .map(|(sku, (day, quantity, price))| Observation {
                sku,
                period: days.partition_point(|d| d < day),
                quantity: f64::from_bits(*quantity),
                x: f64::from_bits(*price).ln(),
            })
            .collect();
        Panel::new(observations, self.options.poisson)
    }
}

impl Accumulator for PanelAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let lists = values[0].as_list::<i32>();
        let mut periods = vec![];
        for row in 0..lists.len() {
            read_periods(lists, row, &mut periods)?;
            self.absorb(&periods)?;
        }
        Ok(())
    }

    /// The state: of each sku the number of its observations, then each of them in 20 bytes.
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut bytes = Vec::with_capacity(20 * self.kept + 4 * self.skus.len());
        for sku in &self.skus {
            let Ok(length) = u32::try_from(sku.len()) else {
                return exec_err!("`{NAME}`: more than 4 billion observations of one sku");
            };
            bytes.extend_from_slice(&length.to_le_bytes());
            for (day, quantity, price) in sku {
                bytes.extend_from_slice(&day.to_le_bytes());
                bytes.extend_from_slice(&quantity.to_le_bytes());
                bytes.extend_from_slice(&price.to_le_bytes());
            }
        }
        Ok(vec![ScalarValue::LargeBinary(Some(bytes))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
            let Some((first, rest)) = bytes.split_first_chunk() else {
                return exec_err!("`{NAME}`: the state is malformed");
            };
            *bytes = rest;
            Ok(*first)
        }
        for state in states[0].as_binary::<i64>().iter().flatten() {
            let mut bytes = state;
            while !bytes.is_empty() {
                let length = u32::from_le_bytes(take(&mut bytes)?);
                let sku = (0..length)
                    .map(|_| {
                        Ok((
                            i32::from_le_bytes(take(&mut bytes)?),
                            u64::from_le_bytes(take(&mut bytes)?),
                            u64::from_le_bytes(take(&mut bytes)?),
                        ))
                    })
                    .collect::<Result<Vec<Kept>>>()?;
                self.kept += sku.len();
                self.skus.push(sku);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let panel = self.panel();
        let found = if self.options.poisson { panel.poisson() } else { panel.least_squares() };
        let (pooled, failure) = match found {
            Ok(pooled) => (Some(pooled), None),
            Err(Failure::NotIdentified) => (None, Some("not_identified")),
            Err(Failure::NotConverged) => (None, Some("not_converged")),
        };
        let df = panel.skus.saturating_sub(1) as f64;
        let error = pooled.and_then(|p| p.std_error);
        let margin = error.map(|e| e * student_t::quantile(self.options.conf, df));
        let slope = pooled.map(|p| p.slope);
        let p_value = slope.zip(error).map(|(s, e)| student_t::two_sided(s / e, df));
        let numbers = [
            slope,
            error,
            slope.zip(margin).map(|(s, m)| s - m),
            slope.zip(margin).map(|(s, m)| s + m),
            p_value,
            pooled.and_then(|p| p.r2),
        ];
        let mut columns: Vec<ArrayRef> = numbers
            .iter()
            .map(|v| Arc::new(Float64Array::from(vec![v.filter(|v| v.is_finite())])) as ArrayRef)
            .collect();
        for count in [panel.observations.len(), panel.skus, panel.periods] {
            columns.push(Arc::new(Int64Array::from(vec![count as i64])));
        }
        let mut warnings = vec![];
        warnings.extend(slope.filter(|s| *s > 0.0).map(|_| "wrong_sign"));
        // Errors clustered over few clusters are too small.
        warnings.extend((pooled.is_some() && panel.skus < 30).then_some("few_skus"));
        warnings.extend(failure);
        let warnings = (!warnings.is_empty()).then(|| warnings.join(","));
        columns.push(Arc::new(StringArray::from(vec![warnings])));
        let row = StructArray::try_new(result_fields(), columns, None)?;
        Ok(ScalarValue::Struct(Arc::new(row)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.skus.capacity() * size_of::<Vec<Kept>>()
            + self.skus.iter().map(|s| s.capacity() * size_of::<Kept>()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    const PLAIN: Options =
        Options { poisson: false, exclude_promo: true, exclude_stockout: true, conf: 0.95 };

    fn skus(random: &mut Random) -> Vec<Vec<Period>> {
        (0..12)
            .map(|sku| {
                (0..20)
                    .map(|week| {
                        let price = 10.0 + f64::from(sku) + random.below(400) as f64 / 100.0;
                        Period {
                            day: Some(19_000 + 7 * week),
                            quantity: (9000.0 / (price * price)).floor() + random.below(9) as f64,
                            price,
                            promo: random.one_in(9),
                            out_of_stock: random.one_in(9),
                            carried: false,
                        }
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn order_and_parts_do_not_matter() -> Result<()> {
        let mut random = Random::new(41);
        let mut all = skus(&mut random);
        for poisson in [false, true] {
            let options = Options { poisson, ..PLAIN };
            let mut seen = None;
            for _ in 0..5 {
                random.shuffle(&mut all);
                let (left, right) = all.split_at(random.below(12) as usize);
                let mut last = PanelAccumulator::new(options);
                for part in [left, right] {
                    let mut partial = PanelAccumulator::new(options);
                    part.iter().try_for_each(|sku| partial.absorb(sku))?;
                    let state = partial.state()?;
                    last.merge_batch(&[state[0].to_array()?])?;
                }
                let found = last.evaluate()?;
                assert_eq!(seen.get_or_insert(found.clone()), &found);
                assert_eq!(last.evaluate()?, found, "a window function evaluates repeatedly");
                assert!(last.size() > 12 * 20);
            }
        }
        Ok(())
    }

    #[test]
    fn bad_input_is_an_error() -> Result<()> {
        let undated = Period {
            day: None,
            quantity: 1.0,
            price: 1.0,
            promo: false,
            out_of_stock: false,
            carried: false,
        };
        assert!(PanelAccumulator::new(PLAIN).absorb(&[undated]).is_err());
        let state: ArrayRef =
            Arc::new(arrow::array::LargeBinaryArray::from_vec(vec![&[9, 0, 0, 0, 1]]));
        assert!(PanelAccumulator::new(PLAIN).merge_batch(&[state]).is_err());
        let nothing = PanelAccumulator::new(PLAIN).evaluate()?.to_array()?;
        assert_eq!(nothing.as_struct().column(9).as_string::<i32>().value(0), "not_identified");
        let error = ElasticityPanel::new()
            .coerce_types(&[DataType::Utf8])
            .err()
            .map(|e| e.strip_backtrace());
        assert!(error.unwrap_or_default().contains("`periods` must be a list"));
        Ok(())
    }
}
