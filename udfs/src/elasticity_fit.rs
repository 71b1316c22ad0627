// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`ElasticityFit`]: the price elasticity of a sku from what it sold in each period.

mod cross;
mod fit;
mod points;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Builder, Int64Builder, StringBuilder, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use crate::price_periods::{list_type, read_periods};
use crate::signature::{Takes, coerce_each, coerced_by_itself};
use fit::{Method, Outcome, fit};

pub(crate) use cross::cross;
pub(crate) use fit::{Controls, Inference, Options};

/// The scalar function `elasticity_fit`.
pub(crate) fn elasticity_fit() -> ScalarUDF {
    ScalarUDF::from(ElasticityFit::new())
}

const NAME: &str = "elasticity_fit";
const PARAMETERS: [&str; 9] = [
    "periods",
    "method",
    "controls",
    "exclude_promo",
    "exclude_stockout",
    "min_price_points",
    "min_periods",
    "min_price_cv",
    "conf",
];

#[user_doc(
    doc_section(label = "Products"),
    description = "Fits the price elasticity of a sku to its periods, as `price_periods` lists them, and returns a struct \
of `method` (the one used: 'midpoint', 'simple', 'loglog' or 'ppml', NULL for none), `elasticity`, `std_error`, `ci_low`, \
`ci_high`, `p_value`, `r2`, `n_obs`, `n_prices`, `price_min`, `price_max`, `price_last`, `quantity_mean`, \
`simple_elasticity`, `midpoint_elasticity` and `warnings`. 'loglog' is least squares of ln quantity on ln price and \
controls, over the periods with a sale; 'ppml' is Poisson regression of the quantity, zeros included; both with HC1 \
errors and Student's t with n − k degrees of freedom. `r2` is the share of the variance of ln quantity, or of the \
deviance. 'simple' and 'midpoint' compare the mean price and \
quantity of the periods below and above the geometric middle of the lowest and the highest price, from the side of the first \
period; prices within 0.1 % are one. Needs O(p · k²) time for p periods and k controls, and for 'ppml' some ten \
times that.",
    syntax_example = "elasticity_fit(periods[, method[, controls[, exclude_promo[, exclude_stockout[, min_price_points[, min_periods[, min_price_cv[, conf]]]]]]]])",
    sql_example = r#"```sql
> SELECT f['method'] AS method, round(f['elasticity'], 4) AS elasticity, round(f['std_error'], 4) AS std_error
  FROM (
    SELECT elasticity_fit(price_periods(NULL, quantity, price, NULL, NULL, 'row'), 'loglog') AS f
    FROM (VALUES (100, 10.0), (82, 11.0), (70, 12.0), (121, 9.0)) AS weeks(quantity, price)
  );
+--------+------------+-----------+
| method | elasticity | std_error |
+--------+------------+-----------+
| loglog | -1.9198    | 0.023     |
+--------+------------+-----------+
```"#,
    argument(name = "periods", description = "The periods, as `price_periods` makes them."),
    argument(
        name = "method",
        description = "A literal: 'simple', 'midpoint', 'loglog', 'ppml', or 'auto', the default: midpoint below `min_price_points` prices or `min_periods` periods, else loglog, unless a fifth of the periods or more are without a sale or quantities are counts with a mean below 20, else ppml."
    ),
    argument(
        name = "controls",
        description = "A literal: 'none'; 'trend', a straight line in time; 'season', that and the months of the year; or 'auto', the default: season from two years and 56 periods on, trend from half a year on, else none. Where promotions are kept, all but 'none' control for them."
    ),
    argument(
        name = "exclude_promo",
        description = "Whether periods of promotions are left out, a literal; by default true."
    ),
    argument(
        name = "exclude_stockout",
        description = "Whether periods in which the sku was out of stock are left out, a literal; by default true."
    ),
    argument(
        name = "min_price_points",
        description = "Prices below which a regression says little, a literal; by default 3."
    ),
    argument(
        name = "min_periods",
        description = "Periods below which a regression says little, a literal; by default 12."
    ),
    argument(
        name = "min_price_cv",
        description = "Deviation of the prices over their mean below which they hardly vary, a literal; by default 0.02."
    ),
    argument(
        name = "conf",
        description = "The confidence of the interval, a literal above 0 and below 1; by default 0.95."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct ElasticityFit {
    signature: Signature,
}

impl ElasticityFit {
    fn new() -> Self {
        // Coercion is our own so that an error names the argument.
        Self { signature: coerced_by_itself(&PARAMETERS) }
    }
}

impl ScalarUDFImpl for ElasticityFit {
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

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let options = options(&args.args)?;
        let Some(first) = args.args.into_iter().next() else {
            return exec_err!("`{NAME}` needs the argument `periods`");
        };
        let lists = first.into_array(args.number_rows)?;
        let lists = lists.as_list::<i32>();
        let mut rows = Rows::default();
        let (mut periods, mut quantiles) = (vec![], HashMap::new());
        for row in 0..lists.len() {
            read_periods(lists, row, &mut periods)?;
            rows.push(&fit(&periods, &options, &mut quantiles));
        }
        Ok(ColumnarValue::Array(rows.finish()?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn takes(place: usize) -> Takes {
    match place {
        0 => Takes::Exactly(list_type(), "a list that `price_periods` makes"),
        1 | 2 => Takes::Text,
        3 | 4 => Takes::Boolean,
        5 | 6 => Takes::Integer,
        _ => Takes::Number,
    }
}

/// The literals after the first argument.
fn options(args: &[ColumnarValue]) -> Result<Options> {
    let literal = |place: usize| match args.get(place) {
        None => Ok(None),
        Some(ColumnarValue::Scalar(value)) if !value.is_null() => Ok(Some(value)),
        Some(_) => {
            plan_err!("`{NAME}`: argument `{}` must be a literal and not NULL", PARAMETERS[place])
        }
    };
    let wrong = |place: usize, expected: &str, found: &ScalarValue| {
        plan_err!("`{NAME}`: argument `{}` must be {expected}, found {found}", PARAMETERS[place])
    };
    let mut options = Options::default();
    if let Some(value) = literal(1)? {
        match value.try_as_str().flatten().map(Method::parse) {
            Some(Some(method)) => options.method = method,
            _ => return wrong(1, "'auto', 'simple', 'midpoint', 'loglog' or 'ppml'", value),
        }
    }
    if let Some(value) = literal(2)? {
        match value.try_as_str().flatten().and_then(Controls::parse) {
            Some(controls) => options.controls = controls,
            None => return wrong(2, "'auto', 'none', 'trend' or 'season'", value),
        }
    }
    if let Some(ScalarValue::Boolean(Some(exclude))) = literal(3)? {
        options.exclude_promo = *exclude;
    }
    if let Some(ScalarValue::Boolean(Some(exclude))) = literal(4)? {
        options.exclude_stockout = *exclude;
    }
    if let Some(ScalarValue::Int64(Some(least))) = literal(5)? {
        options.min_price_points = *least;
    }
    if let Some(ScalarValue::Int64(Some(least))) = literal(6)? {
        options.min_periods = *least;
    }
    if let Some(ScalarValue::Float64(Some(least))) = literal(7)? {
        options.min_price_cv = *least;
    }
    match literal(8)? {
        Some(ScalarValue::Float64(Some(conf))) if *conf > 0.0 && *conf < 1.0 => {
            options.conf = *conf;
        }
        Some(found) => return wrong(8, "above 0 and below 1, such as 0.95", found),
        None => {}
    }
    Ok(options)
}

fn result_fields() -> Fields {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let number = |name| Field::new(name, DataType::Float64, true);
    let count = |name| Field::new(name, DataType::Int64, true);
    Fields::from(vec![
        text("method"),
        number("elasticity"),
        number("std_error"),
        number("ci_low"),
        number("ci_high"),
        number("p_value"),
        number("r2"),
        count("n_obs"),
        count("n_prices"),
        number("price_min"),
        number("price_max"),
        number("price_last"),
        number("quantity_mean"),
        number("simple_elasticity"),
        number("midpoint_elasticity"),
        text("warnings"),
    ])
}

/// The columns of the result.
#[derive(Default)]
struct Rows {
    method: StringBuilder,
    estimate: [Float64Builder; 6],
    counts: [Int64Builder; 2],
    facts: [Float64Builder; 6],
    warnings: StringBuilder,
}

impl Rows {
    fn push(&mut self, outcome: &Outcome) {
        self.method.append_option(outcome.method);
        let (e, i) = (outcome.elasticity, outcome.inference);
        let estimate = [
            e,
            i.map(|i| i.std_error),
            i.map(|i| i.low),
            i.map(|i| i.high),
            i.map(|i| i.p_value),
            outcome.r2,
        ];
        self.estimate.iter_mut().zip(estimate).for_each(|(column, v)| {
            column.append_option(v.filter(|v| v.is_finite()));
        });
        self.counts[0].append_value(outcome.n_obs as i64);
        self.counts[1].append_value(outcome.points.count as i64);
        let p = &outcome.points;
        let facts = [p.low, p.high, p.last, p.quantity_mean, p.simple, p.midpoint];
        self.facts.iter_mut().zip(facts).for_each(|(column, v)| {
            column.append_option(v.filter(|v| v.is_finite()));
        });
        self.warnings
            .append_option((!outcome.warnings.is_empty()).then(|| outcome.warnings.join(",")));
    }

    fn finish(mut self) -> Result<ArrayRef> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.method.finish())];
        columns.extend(self.estimate.iter_mut().map(|c| Arc::new(c.finish()) as ArrayRef));
        columns.extend(self.counts.iter_mut().map(|c| Arc::new(c.finish()) as ArrayRef));
        columns.extend(self.facts.iter_mut().map(|c| Arc::new(c.finish()) as ArrayRef));
        columns.push(Arc::new(self.warnings.finish()));
        Ok(Arc::new(StructArray::try_new(result_fields(), columns, None)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_calls_name_the_argument() {
        let check = |types: &[DataType], expected: &str| {
            let found = ElasticityFit::new().coerce_types(types);
            let found = found.err().map(|e| e.strip_backtrace()).unwrap_or_default();
            assert_eq!(
                found,
                format!("Error during planning: `elasticity_fit`: argument {expected}")
            );
        };
        use DataType::{Boolean, Int64, Utf8};
        check(&[Utf8], "`periods` must be a list that `price_periods` makes, found Utf8");
        check(&[list_type(), Int64], "`method` must be text, found Int64");
        check(&[list_type(), Utf8, Utf8, Int64], "`exclude_promo` must be BOOLEAN, found Int64");
        check(
            &[list_type(), Utf8, Utf8, Boolean, Boolean, Utf8],
            "`min_price_points` must be an integer, found Utf8",
        );
        let scalar = |v: ScalarValue| ColumnarValue::Scalar(v);
        let error = |args: &[ColumnarValue]| {
            options(args).err().map(|e| e.strip_backtrace()).unwrap_or_default()
        };
        let first = scalar(ScalarValue::Null);
        assert!(error(&[first.clone(), scalar(ScalarValue::from("ols"))]).contains("'loglog'"));
        assert!(error(&[first, scalar(ScalarValue::Utf8(None))]).contains("must be a literal"));
    }
}
