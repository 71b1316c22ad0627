// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`PriceElasticity`]: how the quantity sold answers to the price, in one pass and constant memory per group.

mod accumulator;
mod double_double;
mod moments;
mod wide;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::format_state_name;
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature,
};
use datafusion_macros::user_doc;

use crate::literal::literal;
use crate::signature::coerced_by_itself;
use accumulator::{Elasticities, ElasticityAccumulator};

/// The aggregate function `price_elasticity`.
pub(crate) fn price_elasticity() -> AggregateUDF {
    AggregateUDF::from(PriceElasticity::new())
}

const NAME: &str = "price_elasticity";
const PARAMETERS: [&str; 3] = ["quantity", "price", "conf"];

#[user_doc(
    doc_section(label = "Products"),
    description = "Fits ln quantity = intercept + elasticity · ln price by least squares to the rows of a group, usually \
the periods of a sku, and returns a struct of `elasticity`, `intercept`, `std_error` (HC1, robust to unequal variances), \
`ci_low` and `ci_high` (by Student's t with n − 2 degrees of freedom), `p_value` (of an elasticity of 0), `r2` (DOUBLE), \
`n` (the rows that count) and `n_excluded` (BIGINT). With one price only, or one row, the elasticity is NULL; with two \
rows its error is; with one quantity only `r2` is. Logarithms are rounded to 2⁻⁴⁸ and added up as integers, so that the \
result does not depend on the order of the rows or the number of partitions, and is rounded once. Needs O(n) time and \
320 bytes per group. For controls, zeros, excluded periods and decisions there is the analysis of the same name.",
    syntax_example = "price_elasticity(quantity, price[, conf])",
    sql_example = r#"```sql
> SELECT round(e['elasticity'], 4) AS elasticity, round(e['std_error'], 4) AS std_error, e['n'] AS n
  FROM (
    SELECT price_elasticity(quantity, price) AS e
    FROM (VALUES (100, 10.0), (82, 11.0), (70, 12.0), (121, 9.0)) AS weeks(quantity, price)
  );
+------------+-----------+---+
| elasticity | std_error | n |
+------------+-----------+---+
| -1.9198    | 0.023     | 4 |
+------------+-----------+---+
```"#,
    argument(
        name = "quantity",
        description = "The units sold, a number. A row where it is NULL, NaN, infinite, zero or negative does not count: it is one of `n_excluded`."
    ),
    argument(
        name = "price",
        description = "The price of a unit, a number. A row where it is NULL, NaN, infinite, zero or negative does not count: it is one of `n_excluded`."
    ),
    argument(
        name = "conf",
        description = "The confidence of the interval, a literal above 0 and below 1; by default 0.95."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct PriceElasticity {
    signature: Signature,
}

impl PriceElasticity {
    fn new() -> Self {
        // Coercion is our own so that an error names the argument.
        Self { signature: coerced_by_itself(&PARAMETERS) }
    }
}

impl AggregateUDFImpl for PriceElasticity {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        if !(2..=3).contains(&arg_types.len()) {
            return plan_err!(
                "`{NAME}` takes 2 or 3 arguments ({}), found {}",
                PARAMETERS.join(", "),
                arg_types.len()
            );
        }
        arg_types
            .iter()
            .zip(PARAMETERS)
            .map(|(found, name)| match found {
                found if is_number(found) => Ok(DataType::Float64),
                _ => plan_err!("`{NAME}`: argument `{name}` must be a number, found {found}"),
            })
            .collect()
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(result_fields()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |name, data_type| {
            Arc::new(Field::new(format_state_name(args.name, name), data_type, true))
        };
        Ok(vec![
            field("ln_price", DataType::Int64),
            field("ln_quantity", DataType::Int64),
            field("excluded", DataType::UInt64),
            field("sums", DataType::LargeBinary),
        ])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(ElasticityAccumulator::new(elasticities(&args)?)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(elasticities(&args)?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn is_number(found: &DataType) -> bool {
    match found {
        DataType::Dictionary(_, values) => is_number(values),
        other => other.is_numeric() || other.is_null(),
    }
}

fn elasticities(args: &AccumulatorArgs) -> Result<Elasticities> {
    if args.is_distinct {
        return plan_err!("`{NAME}` does not support DISTINCT; select distinct rows first");
    }
    Ok(Elasticities::new(confidence(literal(args, NAME, "conf", 2)?)?))
}

fn confidence(found: Option<ScalarValue>) -> Result<f64> {
    match found {
        None => Ok(0.95),
        Some(ScalarValue::Float64(Some(conf))) if conf > 0.0 && conf < 1.0 => Ok(conf),
        Some(found) => plan_err!(
            "`{NAME}`: argument `conf` must be above 0 and below 1, such as 0.95, found {found}"
        ),
    }
}

fn result_fields() -> Fields {
    let number = |name| Field::new(name, DataType::Float64, true);
    let count = |name| Field::new(name, DataType::Int64, true);
    Fields::from(vec![
        number("elasticity"),
        number("intercept"),
        number("std_error"),
        number("ci_low"),
        number("ci_high"),
        number("p_value"),
        number("r2"),
        count("n"),
        count("n_excluded"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_calls_name_the_argument() {
        let function = PriceElasticity::new();
        let error = |types: &[DataType]| {
            function.coerce_types(types).err().map(|e| e.strip_backtrace()).unwrap_or_default()
        };
        assert_eq!(
            error(&[DataType::Int64]),
            "Error during planning: `price_elasticity` takes 2 or 3 arguments (quantity, price, conf), found 1"
        );
        assert_eq!(
            error(&[DataType::Int64, DataType::Utf8]),
            "Error during planning: `price_elasticity`: argument `price` must be a number, found Utf8"
        );
        assert!(confidence(Some(ScalarValue::Float64(Some(1.0)))).is_err());
        assert!(confidence(Some(ScalarValue::Float64(None))).is_err());
        assert!(confidence(Some(ScalarValue::Float64(Some(0.9)))).is_ok_and(|c| c == 0.9));
    }
}
