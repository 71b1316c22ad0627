// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`Generalise`]: how to publish a table so that nobody stands out.

pub(crate) mod bounds;
mod diversity;
mod domain;
mod lattice;
mod mondrian;
pub(crate) mod options;
mod population;
pub(crate) mod problem;
mod release;
pub(crate) mod report;
mod solution;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, StringViewArray, StructArray, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion_common::utils::SingleRowListArrayBuilder;
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::format_state_name;
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Signature};
use datafusion_macros::user_doc;

use crate::literal::literal;
use crate::signature::coerced_by_itself;
use options::{Options, bounds_of, named_columns};
use problem::Problem;
use solution::{SUPPRESSED, Solution};

/// The aggregate function `generalise`.
pub(crate) fn generalise() -> AggregateUDF {
    AggregateUDF::from(Generalise::new())
}

pub(crate) const NAME: &str = "generalise";
/// The arguments between the options and the columns.
const FIXED: usize = 3;

#[user_doc(
    doc_section(label = "Privacy"),
    description = "The search behind `k_anonymise`, over combinations of values that are counted already. Returns a struct: `published`, a list with the values `v0`, `v1`, … of each combination that may be published and its labels `p0`, `p1`, …; and `report`, the columns of `k_anonymise_report`. `options` is a struct whose fields are the parameters of `k_anonymise`; its fields `quasi` and `sensitive` are structs with a list of texts for each column: the generaliser and its steps. Does not depend on the order of the rows, nor on partitions: the combinations are sorted first. The optimal search visits each of the N nodes of the lattice and rolls its classes up from a node below; it needs time in proportion to the classes of all nodes, and memory to the combinations, not to the rows. Mondrian needs O(n log² n) time for n combinations.",
    syntax_example = "generalise(options, rows, units, persons, quasi…, sensitive…[, column, value, level…])",
    sql_example = r#"```sql
> SELECT g['report']['levels'] AS levels, g['report']['classes'] AS classes
  FROM (
    SELECT generalise(
      named_struct('k', 2, 'quasi', named_struct('age', ['width', '10', '20'])),
      n, n, NULL, age
    ) AS g
    FROM (VALUES (21, 1), (28, 1), (34, 5), (39, 2)) AS ages(age, n)
  );
+-----------+---------+
| levels    | classes |
+-----------+---------+
| {"age":1} | 2       |
+-----------+---------+
```"#,
    argument(
        name = "options",
        description = "A literal struct: `k`, `l`, `l_kind`, `c`, `t`, `t_distance`, `max_suppressed`, `method`, `metric`, `suppress`, `quasi`, `sensitive`. A field that is left out has the default of `k_anonymise`; `k` is 1. `releases` says what earlier releases are for: 'ignore', 'compare' or 'refuse'; `population` is whether there is one; `bounds` is a struct with a NULL for each column whose ends are wanted, named by the column's place and of the type of the ends, which come as `lo0`, `hi0`, …."
    ),
    argument(name = "rows", description = "How many rows have the combination, not NULL."),
    argument(
        name = "units",
        description = "How many persons have rows with this combination and no other, not NULL."
    ),
    argument(
        name = "persons",
        description = "A list of the other persons with rows of this combination, as 64-bit numbers; NULL for none."
    ),
    argument(name = "quasi", description = "The quasi-identifiers, in the order of the options."),
    argument(
        name = "sensitive",
        description = "The sensitive columns, in the order of the options."
    ),
    argument(
        name = "column",
        description = "In a row of a hierarchy, the place of its column, from 0; -1 in that of an earlier release; -2 in a row of the population, which has `units`, `persons` and `quasi`; NULL in all other rows."
    ),
    argument(
        name = "value",
        description = "In a row of a hierarchy, a value of the column; in that of a release, its generalisation."
    ),
    argument(
        name = "level",
        description = "In a row of a hierarchy, what the value generalises to, level by level; NULL ends the levels."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct Generalise {
    signature: Signature,
}

impl Generalise {
    fn new() -> Self {
        Self { signature: coerced_by_itself(&[]) }
    }
}

impl AggregateUDFImpl for Generalise {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerce(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(result_fields(arg_types)?))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let columns = args.input_fields.iter().enumerate().skip(1);
        Ok(columns
            .map(|(index, field)| {
                let item = Field::new_list_field(field.data_type().clone(), true);
                let name = format_state_name(args.name, &format!("argument_{index}"));
                Arc::new(Field::new_list(name, item, true))
            })
            .collect())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let types: Vec<DataType> = args.expr_fields.iter().map(|f| f.data_type().clone()).collect();
        let Some(options) = literal(&args, NAME, "options", 0)? else {
            return plan_err!("`{NAME}` needs options");
        };
        Ok(Box::new(GeneraliseAccumulator {
            options: Options::read(&options)?,
            fields: result_fields(&types)?,
            types: types.into_iter().skip(1).collect(),
            batches: vec![],
            bytes: 0,
        }))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
    let [options, _, _, persons, columns @ ..] = types else {
        return plan_err!("`{NAME}` takes at least 5 arguments, found {}", types.len());
    };
    let named = named_columns(options, "quasi")? + named_columns(options, "sensitive")?;
    if named == 0 || columns.len() < named {
        return plan_err!(
            "`{NAME}`: the options name {named} columns, and {} are given",
            columns.len()
        );
    }
    if !matches!(persons, DataType::Null | DataType::List(_)) {
        return plan_err!("`{NAME}`: `persons` must be a list, found {persons}");
    }
    let persons = DataType::new_list(DataType::UInt64, true);
    let mut coerced = vec![options.clone(), DataType::Int64, DataType::Int64, persons];
    for (index, column) in columns.iter().enumerate() {
        coerced.push(match column {
            _ if index == named => DataType::Int64,
            _ if index > named => DataType::Utf8,
            DataType::Dictionary(_, values) => values.as_ref().clone(),
            other => other.clone(),
        });
    }
    Ok(coerced)
}

/// The fields of the result: `published` and `report`.
pub(crate) fn result_fields(types: &[DataType]) -> Result<Fields> {
    let [options, _, _, _, columns @ ..] = types else {
        return plan_err!("`{NAME}` takes at least 5 arguments, found {}", types.len());
    };
    let quasi = named_columns(options, "quasi")?;
    let values = columns.iter().take(quasi).enumerate();
    let values = values.map(|(index, t)| Field::new(format!("v{index}"), t.clone(), true));
    let labels = (0..quasi).map(|index| Field::new(format!("p{index}"), DataType::Utf8View, true));
    let bounds = bounds_of(options)?.into_iter().flat_map(|(index, t)| {
        ["lo", "hi"].map(|end| Field::new(format!("{end}{index}"), t.clone(), true))
    });
    let row = DataType::Struct(values.chain(labels).chain(bounds).collect());
    Ok(Fields::from(vec![
        Field::new("published", DataType::new_list(row, true), true),
        Field::new("report", DataType::Struct(report::FIELDS.clone()), true),
    ]))
}

/// The columns that have come so far.
#[derive(Debug)]
struct GeneraliseAccumulator {
    options: Options,
    fields: Fields,
    types: Vec<DataType>,
    batches: Vec<Vec<ArrayRef>>,
    bytes: usize,
}

impl GeneraliseAccumulator {
    fn push(&mut self, columns: Vec<ArrayRef>) {
        // A batch may be a slice of a greater one, whose other parts are counted where they come.
        let bytes = |column: &ArrayRef| {
            let bytes = column.to_data().get_slice_memory_size();
            bytes.unwrap_or(column.len() * size_of::<u128>())
        };
        self.bytes += columns.iter().map(bytes).sum::<usize>();
        self.batches.push(columns);
    }

    /// All batches as one.
    fn columns(&mut self) -> Result<Vec<ArrayRef>> {
        let batches = std::mem::take(&mut self.batches);
        self.bytes = 0;
        let column = |(index, data_type): (usize, &DataType)| {
            let parts: Vec<&dyn Array> = batches.iter().map(|b| b[index].as_ref()).collect();
            match parts.as_slice() {
                [] => Ok(arrow::array::new_empty_array(data_type)),
                parts => Ok(concat(parts)?),
            }
        };
        self.types.iter().enumerate().map(column).collect()
    }
}

impl Accumulator for GeneraliseAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if values[0].is_empty() {
            return Ok(());
        }
        self.push(values[1..].to_vec());
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |state| state.len());
        for row in 0..rows {
            let column = |state: &ArrayRef| match state.as_list_opt::<i32>() {
                Some(list) => Ok(list.value(row)),
                None => exec_err!("`{NAME}` received a partial state that it did not write"),
            };
            let columns = states.iter().map(column).collect::<Result<Vec<_>>>()?;
            if columns.windows(2).any(|pair| pair[0].len() != pair[1].len()) {
                return exec_err!("`{NAME}` received a partial state that it did not write");
            }
            if !columns[0].is_empty() {
                self.push(columns);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let columns = self.columns()?;
        let begin = Instant::now();
        let problem = Problem::read(self.options.clone(), &columns)?;
        drop(columns);
        let solution = solution::solve(&problem)?;
        let report = report::report(&problem, &solution, begin.elapsed())?;
        let published = published(&problem, &solution, &self.fields)?;
        let columns: Vec<ArrayRef> = vec![Arc::new(published), Arc::new(report)];
        let result = StructArray::try_new(self.fields.clone(), columns, None)?;
        Ok(ScalarValue::Struct(Arc::new(result)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let lists = self.columns()?.into_iter();
        Ok(lists.map(|c| SingleRowListArrayBuilder::new(c).build_list_scalar()).collect())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes
    }
}

/// The combinations that are published, with their labels.
fn published(problem: &Problem, solution: &Solution, fields: &Fields) -> Result<ListArray> {
    let (DataType::List(item), DataType::Struct(columns)) = (
        fields[0].data_type(),
        match fields[0].data_type() {
            DataType::List(item) => item.data_type(),
            other => other,
        },
    ) else {
        return exec_err!("`{NAME}` has a result of another type");
    };
    let star = problem.options.star;
    let kept: Vec<usize> =
        (0..problem.len()).filter(|item| star || solution.class_of[*item] != SUPPRESSED).collect();
    let mut arrays: Vec<ArrayRef> = vec![];
    for (index, column) in problem.columns.iter().enumerate() {
        let codes: UInt32Array =
            kept.iter().map(|combination| Some(problem.values(*combination)[index])).collect();
        arrays.push(take(&column.values, &codes, None)?);
    }
    let codes = |column: &solution::Published| -> UInt32Array {
        kept.iter().map(|item| Some(column.index[*item])).collect()
    };
    for column in &solution.columns {
        let labels: StringViewArray = column.labels.iter().map(Option::as_deref).collect();
        arrays.push(take(&labels, &codes(column), None)?);
    }
    for (index, data_type) in &problem.options.bounds {
        let Some(column) = solution.columns.get(*index) else {
            return exec_err!("`{NAME}`: `bounds` names no column {index}");
        };
        for ends in bounds::bounds(&column.labels, data_type)? {
            arrays.push(take(&ends, &codes(column), None)?);
        }
    }
    let rows = StructArray::try_new_with_length(columns.clone(), arrays, None, kept.len())?;
    let offsets = OffsetBuffer::from_lengths([kept.len()]);
    Ok(ListArray::try_new(Arc::clone(item), offsets, Arc::new(rows), None)?)
}

/// Whether a column of this type can be generalised so: a plan can tell before any row is read.
pub(crate) fn check_column(spec: &options::Spec, nothing: ArrayRef) -> Result<()> {
    domain::Column::new(spec, nothing, None).map(|_| ())
}
