// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`Score`]: the score of a value, given where the scores begin.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use datafusion_common::utils::take_function_args;
use datafusion_common::{Result, plan_err};
use datafusion_expr::type_coercion::binary::comparison_coercion;
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use crate::ordered_key::{EXPECTED, Key, coerce, is_wide};
use crate::signature::coerced_by_itself;

/// The scalar function `score`.
pub(crate) fn score() -> ScalarUDF {
    ScalarUDF::from(Score::new())
}

const NAME: &str = "score";
const PARAMETERS: [&str; 2] = ["value", "bounds"];

#[user_doc(
    doc_section(label = "Customers"),
    description = "Returns the score of a value as an INT: 1 plus the number of leading bounds \
that it reaches. The bounds come from `score_bounds` or are written by hand, in ascending order; a \
bound belongs to the higher score. Where less is better, as for days since the last order, score \
the negated value. Needs O(k) time per row for k bounds.",
    syntax_example = "score(value, bounds)",
    sql_example = r#"```sql
> SELECT frequency, score(frequency, [2, 4, 8]) AS f_score
  FROM (VALUES (1), (4), (9)) AS customers(frequency)
  ORDER BY frequency;
+-----------+---------+
| frequency | f_score |
+-----------+---------+
| 1         | 1       |
| 4         | 3       |
| 9         | 4       |
+-----------+---------+
```"#,
    argument(
        name = "value",
        description = "What is scored: a number, DATE, TIMESTAMP or duration. NULL and NaN have the score NULL."
    ),
    argument(
        name = "bounds",
        description = "A list of values in ascending order, of a type that compares with `value`. A NULL or NaN element is out of reach, and so is any after it; a NULL list gives NULL, an empty one 1."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct Score {
    signature: Signature,
}

impl Score {
    fn new() -> Self {
        // Coercion is our own because the two arguments are cast to a value and a list of values
        // of one type, which no ready-made signature says for all types in question.
        Self { signature: coerced_by_itself(&PARAMETERS) }
    }
}

impl ScalarUDFImpl for Score {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerce_arguments(arg_types)
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [value, bounds] = take_function_args(NAME, args.args)?;
        let all_scalar =
            matches!((&value, &bounds), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        // A literal list stays one row: it is read once, not once per row.
        let bounds = match bounds {
            ColumnarValue::Array(bounds) => bounds,
            ColumnarValue::Scalar(bounds) => bounds.to_array()?,
        };
        let value = value.into_array(if all_scalar { 1 } else { rows })?;
        let scores: ArrayRef = Arc::new(scores(&value, bounds.as_list())?);
        if all_scalar {
            let score = datafusion_common::ScalarValue::try_from_array(&scores, 0)?;
            return Ok(ColumnarValue::Scalar(score));
        }
        Ok(ColumnarValue::Array(scores))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn coerce_arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    let [value, bounds] = types else {
        return plan_err!(
            "`{NAME}` takes 2 arguments ({}), found {}",
            PARAMETERS.join(", "),
            types.len()
        );
    };
    let element = match bounds {
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => element.data_type(),
        DataType::Null => &DataType::Null,
        other => {
            return plan_err!("`{NAME}`: argument `bounds` must be a list, found {other}");
        }
    };
    let Some(value_type) = coerce(value) else {
        return plan_err!("`{NAME}`: argument `value` must be {EXPECTED}, found {value}");
    };
    let common = match (value, element) {
        (_, DataType::Null) => Some(value_type),
        (DataType::Null, _) => coerce(element),
        _ => comparison_coercion(&value_type, element).and_then(|common| coerce(&common)),
    };
    match common {
        Some(common) => Ok(vec![common.clone(), DataType::new_list(common, true)]),
        None => plan_err!(
            "`{NAME}`: argument `bounds` must be a list of values that compare with `value`, \
             which is {value}, found a list of {element}"
        ),
    }
}

/// The scores of all values; `bounds` has a list for each of them, or one for all.
fn scores(values: &ArrayRef, bounds: &ListArray) -> Result<Int32Array> {
    if is_wide(values.data_type()) {
        scores_of_keys::<i128>(&i128::keys(values)?, bounds)
    } else {
        scores_of_keys::<i64>(&i64::keys(values)?, bounds)
    }
}

fn scores_of_keys<K: Key>(
    values: &PrimitiveArray<K::Array>,
    bounds: &ListArray,
) -> Result<Int32Array> {
    let keys = K::keys(bounds.values())?;
    let list = |row: usize| {
        let offsets = bounds.value_offsets();
        let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
        // Ends at the first bound out of reach.
        let to = match keys.nulls() {
            None => to,
            Some(nulls) => (from..to).find(|at| nulls.is_null(*at)).unwrap_or(to),
        };
        &keys.values()[from..to]
    };
    if bounds.len() == 1 && values.len() != 1 {
        if bounds.is_null(0) {
            return Ok(Int32Array::new_null(values.len()));
        }
        let bounds = list(0);
        let scores = values.values().iter().map(|value| score_of(*value, bounds)).collect();
        return Ok(Int32Array::new(scores, values.nulls().cloned()));
    }
    // A cross join with the one row of `score_bounds` repeats its list. Reading each list where it
    // lies is as cheap as finding out that all are equal, so that case is not a special one.
    let nulls = NullBuffer::union(values.nulls(), bounds.nulls());
    let scores = values
        .values()
        .iter()
        .enumerate()
        .map(|(row, value)| score_of(*value, list(row)))
        .collect();
    Ok(Int32Array::new(scores, nulls))
}

/// 1 + the number of leading bounds that `value` reaches.
fn score_of<K: Ord>(value: K, bounds: &[K]) -> i32 {
    1 + bounds.iter().take_while(|bound| value >= **bound).count() as i32
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Float64Array, Int64Array};
    use arrow::compute::cast;
    use arrow::datatypes::{Field, Int64Type, TimeUnit};
    use datafusion_common::ScalarValue;
    use datafusion_common::config::ConfigOptions;

    use super::*;

    fn list(elements: Vec<Option<i64>>) -> ListArray {
        ListArray::from_iter_primitive::<Int64Type, _, _>([Some(elements)])
    }

    fn check(values: ArrayRef, bounds: &ListArray, expected: Vec<Option<i32>>) -> Result<()> {
        assert_eq!(scores(&values, bounds)?, Int32Array::from(expected.clone()));
        // The same list once per row.
        let repeated = vec![0_u64; values.len()];
        let repeated =
            arrow::compute::take(bounds, &arrow::array::UInt64Array::from(repeated), None)?;
        assert_eq!(scores(&values, repeated.as_list())?, Int32Array::from(expected));
        Ok(())
    }

    #[test]
    fn ties_share_a_score() -> Result<()> {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 1, 1, 1, 1, 1, 1, 2, 3, 4]));
        let expected = [1, 1, 1, 1, 1, 1, 1, 4, 5, 5].map(Some).to_vec();
        check(values, &list([2, 2, 2, 3].map(Some).to_vec()), expected)
    }

    #[test]
    fn nulls() -> Result<()> {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(5), Some(50)]));
        let some = list(vec![Some(10), None, Some(20)]);
        check(Arc::clone(&values), &some, vec![None, Some(1), Some(2)])?;
        check(Arc::clone(&values), &list(vec![]), vec![None, Some(1), Some(1)])?;
        let none = ListArray::from_iter_primitive::<Int64Type, Vec<Option<i64>>, _>([None]);
        check(values, &none, vec![None, None, None])
    }

    #[test]
    fn a_list_per_row_and_a_slice_of_them() -> Result<()> {
        let bounds = ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1)]),
            None,
            Some(vec![Some(1), Some(2), Some(3)]),
            Some(vec![]),
        ]);
        let values: ArrayRef = Arc::new(Int64Array::from(vec![2; 4]));
        let expected = Int32Array::from(vec![Some(2), None, Some(3), Some(1)]);
        assert_eq!(scores(&values, &bounds)?, expected);
        assert_eq!(scores(&values.slice(2, 2), &bounds.slice(2, 2))?, expected.slice(2, 2));
        Ok(())
    }

    /// As the planner would: coerce, cast, call.
    fn call(value: ColumnarValue, bounds: ColumnarValue, rows: usize) -> Result<ColumnarValue> {
        let types = coerce_arguments(&[value.data_type(), bounds.data_type()])?;
        let args = [value, bounds]
            .into_iter()
            .zip(&types)
            .map(|(arg, data_type)| arg.cast_to(data_type, None))
            .collect::<Result<Vec<_>>>()?;
        let field = |data_type: &DataType| Arc::new(Field::new("f", data_type.clone(), true));
        Score::new().invoke_with_args(ScalarFunctionArgs {
            args,
            arg_fields: types.iter().map(field).collect(),
            number_rows: rows,
            return_field: field(&DataType::Int32),
            config_options: Arc::new(ConfigOptions::default()),
        })
    }

    #[test]
    fn integer_literals_compare_with_any_number() -> Result<()> {
        let bounds = ScalarValue::List(Arc::new(list(vec![Some(30), Some(90)])));
        let decimals = Decimal128Array::from(vec![299_999, 300_000, 900_000]);
        let decimals = decimals.with_data_type(DataType::Decimal128(18, 4));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![29, 30, 90])),
            Arc::new(Float64Array::from(vec![29.999, 30.0, 90.0])),
            cast(&Int64Array::from(vec![29, 30, 90]), &DataType::Int16)?,
            cast(&decimals, &DataType::Decimal128(30, 4))?,
            Arc::new(decimals),
        ];
        for column in columns {
            let name = column.data_type().clone();
            let found = call(column.into(), bounds.clone().into(), 3)?.into_array(3)?;
            assert_eq!(&found, &(Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef), "{name}");
        }
        let one = call(ScalarValue::from(50_i64).into(), bounds.into(), 3)?;
        assert!(matches!(one, ColumnarValue::Scalar(ScalarValue::Int32(Some(2)))));
        Ok(())
    }

    #[test]
    fn one_row_and_no_row() -> Result<()> {
        let bounds = ScalarValue::List(Arc::new(list(vec![Some(30)])));
        for values in [vec![], vec![40]] {
            let expected = Int32Array::from(vec![2; values.len()]);
            let values: ArrayRef = Arc::new(Int64Array::from(values));
            let rows = values.len();
            let found = call(values.into(), bounds.clone().into(), rows)?.into_array(rows)?;
            assert_eq!(&found, &(Arc::new(expected) as ArrayRef));
        }
        Ok(())
    }

    #[test]
    fn wrong_calls_name_the_argument() {
        let check = |types: &[DataType], expected: &str| {
            let found = coerce_arguments(types).err().map(|error| error.strip_backtrace());
            let expected = format!("Error during planning: `score`{expected}");
            assert_eq!(found.unwrap_or_default(), expected);
        };
        use DataType::{Boolean, Int64};
        check(&[Int64], " takes 2 arguments (value, bounds), found 1");
        check(&[Int64, Int64], ": argument `bounds` must be a list, found Int64");
        check(
            &[Boolean, DataType::new_list(Int64, true)],
            &format!(": argument `value` must be {EXPECTED}, found Boolean"),
        );
        let time = DataType::Timestamp(TimeUnit::Second, None);
        check(
            &[DataType::Float64, DataType::new_list(time, true)],
            ": argument `bounds` must be a list of values that compare with `value`, which is Float64, found a list of Timestamp(s)",
        );
    }
}
