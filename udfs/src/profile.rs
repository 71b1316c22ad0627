// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`Profile`]: what is in each column of a relation.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion_common::{Column, Result, ScalarValue, plan_err};
use datafusion_doc::{DocSection, Documentation};
use datafusion_expr::conditional_expressions::CaseBuilder;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder, case, cast, col, lit};
use datafusion_functions_aggregate::expr_fn::{approx_distinct, count, max, min};

use crate::relation::{Arguments, Parameter, ParameterKind, RelationFunction};

/// The relation function `profile`.
pub(crate) fn profile() -> Arc<dyn RelationFunction> {
    Arc::new(Profile)
}

const NAME: &str = "profile";
const INPUT: &str = "relation";

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Documentation::builder(
        DocSection { include: true, label: "Data", description: None },
        "Describes a relation: one row per column, with \
`column_name` VARCHAR, `column_type` VARCHAR (Arrow's name of the type), `rows` BIGINT, `nulls` \
BIGINT, `approx_distinct` BIGINT (HyperLogLog, within about 2 %; NULL values are not counted), \
`min` VARCHAR and `max` VARCHAR (NULL for nested and binary types). Reads the relation once.",
        "profile(relation)",
    )
    .with_sql_example(
        r#"```sql
> SELECT column_name, "rows", nulls, min, max
  FROM profile((SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS t(id, label)));
+-------------+------+-------+-----+-----+
| column_name | rows | nulls | min | max |
+-------------+------+-------+-----+-----+
| id          | 2    | 0     | 1   | 2   |
| label       | 2    | 1     | a   | a   |
+-------------+------+-------+-----+-----+
```"#,
    )
    .with_argument(INPUT, "The relation to describe.")
    .build()
});

static PARAMETERS: [Parameter; 1] = [Parameter {
    name: INPUT,
    kind: ParameterKind::Relation,
    description: "The relation to describe.",
}];

#[derive(Debug)]
struct Profile;

impl RelationFunction for Profile {
    fn name(&self) -> &str {
        NAME
    }

    fn documentation(&self) -> &Documentation {
        &DOCUMENTATION
    }

    fn parameters(&self) -> &[Parameter] {
        &PARAMETERS
    }

    fn plan(&self, arguments: Arguments) -> Result<LogicalPlan> {
        plan(arguments.relation(INPUT)?)
    }
}

/// One aggregation without groups makes one wide row, joined to a literal row per column, which
/// picks its own values. A UNION ALL of one query per column would read the input once for each.
fn plan(input: &LogicalPlan) -> Result<LogicalPlan> {
    if input.schema().fields().is_empty() {
        return plan_err!("`{NAME}`: the relation has no columns");
    }
    let mut aggregates = vec![count(lit(1_i64)).alias("rows")];
    let mut names = vec![];
    for (index, (qualifier, field)) in input.schema().iter().enumerate() {
        let column = Expr::Column(Column::from((qualifier, field)));
        let column = plain(column, field.data_type());
        aggregates.push(count(column.clone()).alias(format!("known_{index}")));
        aggregates.push(distinct(&column, field.data_type()).alias(format!("distinct_{index}")));
        if has_order(field.data_type()) {
            aggregates.push(min(column.clone()).alias(format!("min_{index}")));
            aggregates.push(max(column).alias(format!("max_{index}")));
        }
        names.push(vec![
            lit(index as i64),
            lit(field.name().clone()),
            lit(field.data_type().to_string()),
        ]);
    }
    let wide = LogicalPlanBuilder::new(input.clone())
        .aggregate(Vec::<Expr>::new(), aggregates)?
        .build()?;

    // Adds one arm per column: its value is that of its own aggregate.
    let fields = input.schema().fields();
    let pick = |value: &dyn Fn(usize, &DataType) -> Expr| -> Result<Expr> {
        let mut arms: Option<CaseBuilder> = None;
        for (index, field) in fields.iter().enumerate() {
            let (when, then) = (lit(index as i64), value(index, field.data_type()));
            arms = Some(match arms {
                None => case(col("column1")).when(when, then),
                Some(mut arms) => arms.when(when, then),
            });
        }
        arms.map_or(Ok(text(lit(ScalarValue::Null))), |arms| arms.end())
    };
    let of = |name: &str, index: usize| col(format!("{name}_{index}"));
    let bound = |name: &str, index: usize, data_type: &DataType| match has_order(data_type) {
        true => text(of(name, index)),
        false => text(lit(ScalarValue::Null)),
    };
    let nulls = pick(&|index, _| col("rows") - of("known", index))?;
    let distinct = pick(&|index, _| cast(of("distinct", index), DataType::Int64))?;
    let lowest = pick(&|index, data_type| bound("min", index, data_type))?;
    let highest = pick(&|index, data_type| bound("max", index, data_type))?;

    LogicalPlanBuilder::values(names)?
        .cross_join(wide)?
        .sort([col("column1").sort(true, false)])?
        .project([
            text(col("column2")).alias("column_name"),
            text(col("column3")).alias("column_type"),
            col("rows"),
            nulls.alias("nulls"),
            distinct.alias("approx_distinct"),
            lowest.alias("min"),
            highest.alias("max"),
        ])?
        .build()
}

/// The column without its dictionary, which `approx_distinct` does not know.
fn plain(column: Expr, data_type: &DataType) -> Expr {
    match data_type {
        DataType::Dictionary(_, values) => cast(column, values.as_ref().clone()),
        _ => column,
    }
}

/// `approx_distinct` does not know floats: their shortest text is as distinct as they are.
fn distinct(column: &Expr, data_type: &DataType) -> Expr {
    match data_type {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            approx_distinct(cast(column.clone(), DataType::Utf8))
        }
        DataType::Dictionary(_, values) => distinct(column, values),
        _ => approx_distinct(column.clone()),
    }
}

/// Whether a type has a minimum, and a text to show it.
fn has_order(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => has_order(values),
        DataType::Null
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Interval(_) => false,
        other => !other.is_nested(),
    }
}

/// As VARCHAR. By way of `Utf8`, to which arrow can cast every type that has an order.
fn text(expr: Expr) -> Expr {
    cast(cast(expr, DataType::Utf8), DataType::Utf8View)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Fields, Schema, TimeUnit};
    use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
    use datafusion_expr::table_scan;

    use super::*;

    fn profile_of(fields: Vec<Field>) -> Result<LogicalPlan> {
        let input = table_scan(Some("Odd Name"), &Schema::new(fields), None)?.build()?;
        Profile.plan(Arguments::new(NAME).with_relation(INPUT, input))
    }

    fn odd_fields() -> Vec<Field> {
        let dictionary = DataType::Dictionary(DataType::Int8.into(), DataType::Utf8.into());
        vec![
            Field::new("id", DataType::Int64, false),
            Field::new("rows", DataType::Float64, true),
            Field::new("Strange \"name\"", dictionary, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
            Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
            Field::new("pair", DataType::Struct(Fields::empty()), true),
            Field::new("bytes", DataType::Binary, true),
            Field::new("flag", DataType::Boolean, true),
            Field::new("nothing", DataType::Null, true),
        ]
    }

    #[test]
    fn columns_are_those_of_the_documentation() -> Result<()> {
        let plan = profile_of(odd_fields())?;
        let columns: Vec<(String, DataType)> = plan
            .schema()
            .fields()
            .iter()
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect();
        use DataType::{Int64, Utf8View};
        let expected = [
            ("column_name", Utf8View),
            ("column_type", Utf8View),
            ("rows", Int64),
            ("nulls", Int64),
            ("approx_distinct", Int64),
            ("min", Utf8View),
            ("max", Utf8View),
        ];
        assert_eq!(columns, expected.map(|(name, data_type)| (name.to_string(), data_type)));
        Ok(())
    }

    #[test]
    fn the_input_is_read_once_and_in_one_aggregation() -> Result<()> {
        let (mut scans, mut aggregations) = (0, 0);
        profile_of(odd_fields())?.apply(|node| {
            match node {
                LogicalPlan::TableScan(_) => scans += 1,
                LogicalPlan::Aggregate(_) => aggregations += 1,
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        assert_eq!((scans, aggregations), (1, 1));
        Ok(())
    }

    #[test]
    fn a_relation_without_columns_is_refused() {
        let error = profile_of(vec![]).err().map(|error| error.strip_backtrace());
        assert_eq!(
            error.unwrap_or_default(),
            "Error during planning: `profile`: the relation has no columns"
        );
    }
}
