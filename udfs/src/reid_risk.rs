// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`ReidRisk`]: how likely it is that somebody finds a person in a table.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion_common::{Column, JoinType, NullEquality, Result, ScalarValue, plan_err};
use datafusion_doc::{DocSection, Documentation};
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, col, lit, when};
use datafusion_functions_aggregate::expr_fn::{count, min, sum};

use crate::anonymity::{PLAIN_QUASI, RELATION_PARAMETER, Roles, UNIT_PARAMETER, or_zero};
use crate::relation::{Arguments, Parameter, ParameterKind, RelationFunction};

/// The relation function `reid_risk`.
pub(crate) fn reid_risk() -> Arc<dyn RelationFunction> {
    Arc::new(ReidRisk)
}

const THRESHOLD: &str = "threshold";
const POPULATION: &str = "population";

static PARAMETERS: [Parameter; 5] = [
    RELATION_PARAMETER,
    PLAIN_QUASI,
    UNIT_PARAMETER,
    Parameter {
        name: THRESHOLD,
        kind: ParameterKind::Scalar {
            data_type: DataType::Float64,
            default: Some(ScalarValue::Float64(Some(0.2))),
        },
        description: "A person whose risk is greater than this is at risk: from 0 to 1, by default 0.2, which is a class of fewer than five.",
    },
    Parameter {
        name: POPULATION,
        kind: ParameterKind::OptionalRelation,
        description: "The people of whom the table is a part, with columns of the same names as the quasi-identifiers and the unit: somebody who does not know who is in the table must search among them.",
    },
];

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    let builder = Documentation::builder(
        DocSection { include: true, label: "Privacy", description: None },
        "How likely it is that somebody who knows the quasi-identifiers of a person, and that the person is in the table, finds the person: 1 over the units in the class (prosecutor). One row with `max_risk` DOUBLE, that of the smallest class; `avg_risk` DOUBLE, the mean over persons, which is also the share that is found when everybody is looked for (marketer); `share_at_risk` DOUBLE, the persons above the threshold; `journalist_risk` DOUBLE, 1 over the units of the population in the smallest of \
the classes that the table has, NULL without a population; `unique_share` DOUBLE, the persons alone in their class; `classes`, `uniques` and `units` BIGINT. A person with rows in several classes counts in each. Ratios are NULL for a table without persons. Sums are of whole numbers, so the result is the same whatever the order of the rows.",
        "reid_risk(relation, quasi => [column, …][, unit => column][, threshold => 0.2][, population => relation])",
    )
    .with_sql_example(
        r#"```sql
> SELECT max_risk, avg_risk, share_at_risk FROM reid_risk(
    (SELECT * FROM (VALUES ('F', 75), ('F', 75), ('F', 75), ('M', 13)) AS t(sex, area)),
    quasi => [sex, area],
    threshold => 0.5
  );
+----------+----------+---------------+
| max_risk | avg_risk | share_at_risk |
+----------+----------+---------------+
| 1.0      | 0.5      | 0.25          |
+----------+----------+---------------+
```"#,
    );
    PARAMETERS.iter().fold(builder, |b, p| b.with_argument(p.name, p.description)).build()
});

#[derive(Debug)]
struct ReidRisk;

impl RelationFunction for ReidRisk {
    fn name(&self) -> &str {
        "reid_risk"
    }

    fn documentation(&self) -> &Documentation {
        &DOCUMENTATION
    }

    fn parameters(&self) -> &[Parameter] {
        &PARAMETERS
    }

    fn plan(&self, arguments: Arguments) -> Result<LogicalPlan> {
        let threshold = match arguments.literal(THRESHOLD)? {
            ScalarValue::Float64(Some(t)) if (0.0..=1.0).contains(t) => *t,
            other => return plan_err!("`{THRESHOLD}` is between 0 and 1; found {other}"),
        };
        let real = |expr: Expr| cast(expr, DataType::Float64);
        let units_where = |condition: Expr| when(condition, col("units")).otherwise(lit(0_i64));
        let risk = lit(1.0_f64) / real(col("units"));
        let roles = Roles::read(&arguments)?;
        let classes = match arguments.optional_relation(POPULATION)? {
            Some(population) => with_population(&roles, population)?,
            None => {
                let unknown = lit(ScalarValue::Int64(None)).alias(POPULATION);
                roles.classes()?.project([col("rows"), col("units"), unknown])?
            }
        };
        classes
            // A class of rows without a unit holds nobody who could be found.
            .filter(col("units").gt(lit(0_i64)))?
            .aggregate(
                Vec::<Expr>::new(),
                vec![
                    min(col("units")).alias("k"),
                    count(lit(1_i64)).alias("classes"),
                    sum(units_where(col("units").eq(lit(1_i64)))?).alias("uniques"),
                    sum(units_where(risk.gt(lit(threshold)))?).alias("at_risk"),
                    sum(col("units")).alias("units"),
                    min(col(POPULATION)).alias(POPULATION),
                ],
            )?
            .project([
                (lit(1.0_f64) / real(col("k"))).alias("max_risk"),
                (real(col("classes")) / real(col("units"))).alias("avg_risk"),
                (real(col("at_risk")) / real(col("units"))).alias("share_at_risk"),
                (lit(1.0_f64) / real(col(POPULATION))).alias("journalist_risk"),
                (real(col("uniques")) / real(col("units"))).alias("unique_share"),
                col("classes"),
                or_zero(col("uniques"))?.alias("uniques"),
                or_zero(col("units"))?.alias("units"),
            ])?
            .build()
    }
}

/// The classes of the table beside the units of the population in them.
fn with_population(roles: &Roles, population: &LogicalPlan) -> Result<LogicalPlanBuilder> {
    let n = roles.quasi.len();
    let keys = |letter: &str| -> Vec<Column> {
        (0..n).map(|index| Column::from_name(format!("{letter}{index}"))).collect()
    };
    let mut theirs: Vec<Expr> =
        (0..n).map(|index| col(format!("q{index}")).alias(format!("p{index}"))).collect();
    theirs.push(col("units").alias("others"));
    let theirs = roles.of(population, POPULATION)?.named_classes()?.project(theirs)?.build()?;
    let own = roles.named_classes()?;
    let joined = own.join_detailed(
        theirs,
        JoinType::Left,
        (keys("q"), keys("p")),
        None,
        NullEquality::NullEqualsNull,
    )?;
    // A table that is no part of the population has people whom nobody else hides.
    let others = or_zero(col("others"))?;
    let hidden = when(others.clone().lt(col("units")), col("units")).otherwise(others)?;
    joined.project([col("rows"), col("units"), hidden.alias(POPULATION)])
}
