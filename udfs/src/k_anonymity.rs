// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`KAnonymity`]: the size of the smallest class of a table.

use std::sync::{Arc, LazyLock};

use datafusion_common::Result;
use datafusion_doc::{DocSection, Documentation};
use datafusion_expr::{Expr, LogicalPlan, col, lit, when};
use datafusion_functions_aggregate::expr_fn::{count, min, sum};

use crate::anonymity::{PLAIN_QUASI, RELATION_PARAMETER, Roles, UNIT_PARAMETER, or_zero};
use crate::relation::{Arguments, Parameter, RelationFunction};

/// The relation function `k_anonymity`.
pub(crate) fn k_anonymity() -> Arc<dyn RelationFunction> {
    Arc::new(KAnonymity)
}

static PARAMETERS: [Parameter; 3] = [RELATION_PARAMETER, PLAIN_QUASI, UNIT_PARAMETER];

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    let builder = Documentation::builder(
        DocSection { include: true, label: "Privacy", description: None },
        "How anonymous a table is: one row with `k` BIGINT, the units in the smallest class of equal quasi-identifiers (NULL for an empty table), `classes` BIGINT, `uniques` BIGINT, the classes of one unit, and `rows` BIGINT. Groups the rows once, and spills when there are more classes than memory.",
        "k_anonymity(relation, quasi => [column, …][, unit => column])",
    )
    .with_sql_example(
        r#"```sql
> SELECT * FROM k_anonymity(
    (SELECT * FROM (VALUES ('F', 75), ('F', 75), ('M', 13)) AS t(sex, area)),
    quasi => [sex, area]
  );
+---+---------+---------+------+
| k | classes | uniques | rows |
+---+---------+---------+------+
| 1 | 2       | 1       | 3    |
+---+---------+---------+------+
```"#,
    );
    PARAMETERS.iter().fold(builder, |b, p| b.with_argument(p.name, p.description)).build()
});

#[derive(Debug)]
struct KAnonymity;

impl RelationFunction for KAnonymity {
    fn name(&self) -> &str {
        "k_anonymity"
    }

    fn documentation(&self) -> &Documentation {
        &DOCUMENTATION
    }

    fn parameters(&self) -> &[Parameter] {
        &PARAMETERS
    }

    fn plan(&self, arguments: Arguments) -> Result<LogicalPlan> {
        let unique = when(col("units").eq(lit(1_i64)), lit(1_i64)).otherwise(lit(0_i64))?;
        Roles::read(&arguments)?
            .classes()?
            .aggregate(
                Vec::<Expr>::new(),
                vec![
                    min(col("units")).alias("k"),
                    count(lit(1_i64)).alias("classes"),
                    sum(unique).alias("uniques"),
                    sum(col("rows")).alias("rows"),
                ],
            )?
            .project([
                col("k"),
                col("classes"),
                or_zero(col("uniques"))?.alias("uniques"),
                or_zero(col("rows"))?.alias("rows"),
            ])?
            .build()
    }
}
