// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`LDiversity`] and [`TCloseness`]: what a class says about its members' sensitive values.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion_common::{Column, Result, ScalarValue, plan_err};
use datafusion_doc::{DocSection, Documentation};
use datafusion_expr::{Expr, LogicalPlan, col};

use crate::anonymity::{
    HIERARCHY, PLAIN_QUASI, RELATION_PARAMETER, Roles, SENSITIVE, UNIT_PARAMETER, sorted, unnested,
};
use crate::generalise::options::{Method, Options};
use crate::generalise::report::SENSITIVE_COLUMNS;
use crate::relation::{Arguments, ColumnCall, Parameter, ParameterKind, RelationFunction};

/// The relation function `l_diversity`.
pub(crate) fn l_diversity() -> Arc<dyn RelationFunction> {
    Arc::new(LDiversity)
}

/// The relation function `t_closeness`.
pub(crate) fn t_closeness() -> Arc<dyn RelationFunction> {
    Arc::new(TCloseness)
}

const L: &str = "l";
const TREES: &[ColumnCall] = &[HIERARCHY];

static L_PARAMETERS: [Parameter; 5] = [
    RELATION_PARAMETER,
    PLAIN_QUASI,
    Parameter {
        name: SENSITIVE,
        kind: ParameterKind::Columns { optional: false, calls: &[] },
        description: "The sensitive columns; NULL is a value.",
    },
    UNIT_PARAMETER,
    Parameter {
        name: L,
        kind: ParameterKind::Scalar {
            data_type: DataType::Int64,
            default: Some(ScalarValue::Int64(Some(2))),
        },
        description: "The l of `recursive_c`, from 1, by default 2.",
    },
];

static T_PARAMETERS: [Parameter; 4] = [
    RELATION_PARAMETER,
    PLAIN_QUASI,
    Parameter {
        name: SENSITIVE,
        kind: ParameterKind::Columns { optional: false, calls: TREES },
        description: "The sensitive columns; NULL is a value, before all others. `hierarchy(column, table)` gives a column a tree, as in `k_anonymise`.",
    },
    UNIT_PARAMETER,
];

static L_DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    let builder = Documentation::builder(
        DocSection { include: true, label: "Privacy", description: None },
        "How diverse the sensitive values are in the class where they are least: one row a sensitive column with `column_name` VARCHAR; `l_distinct` BIGINT, the distinct values; `l_entropy` DOUBLE, e to the Shannon entropy; `recursive_c` DOUBLE, such that the table is recursively (c, l)-diverse for every greater c: the most frequent value's persons over those of the l-th most frequent and the rarer ones (NULL when a class has fewer than l values); `beta` DOUBLE, the greatest relative gain of a value in a class (basic β-likeness); `delta_disclosure` DOUBLE, the greatest absolute log of a value's share in a class over that in the table. NULL for an empty table. A person counts once for each value in a class. Memory is in proportion to the distinct combinations, not to the rows. Sources: Machanavajjhala et al. 2007; Cao and Karras 2012; Brickell and Shmatikov 2008.",
        "l_diversity(relation, quasi => [column, …], sensitive => [column, …][, unit => column][, l => 2])",
    )
    .with_sql_example(
        r#"```sql
> SELECT l_distinct, round(l_entropy, 3) AS l_entropy, recursive_c FROM l_diversity(
    (SELECT * FROM (VALUES ('F', 'flu'), ('F', 'flu'), ('F', 'gout'), ('M', 'flu'), ('M', 'gout')) AS t(sex, ill)),
    quasi => [sex],
    sensitive => [ill]
  );
+------------+-----------+-------------+
| l_distinct | l_entropy | recursive_c |
+------------+-----------+-------------+
| 2          | 1.89      | 2.0         |
+------------+-----------+-------------+
```"#,
    );
    L_PARAMETERS.iter().fold(builder, |b, p| b.with_argument(p.name, p.description)).build()
});

static T_DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    let builder = Documentation::builder(
        DocSection { include: true, label: "Privacy", description: None },
        "How far the sensitive values of a class are from those of the whole table, in the class where they are farthest: the earth mover's distance. One row a sensitive column with `column_name` VARCHAR; `t_equal` DOUBLE, where any two values are equally far apart: half the sum of the differences of shares; `t_ordered` DOUBLE, over the places of the values in their order: the sum of the cumulative differences over the values less one; `t_hierarchical` DOUBLE, in the tree of the column, NULL without one: two values are as far apart as the level is high on which they become one. NULL for an empty table. Sums run in the order of the values, so the result is the same whatever the order of the rows. Memory is in proportion to the distinct combinations. Source: Li, Li and Venkatasubramanian 2007.",
        "t_closeness(relation, quasi => [column, …], sensitive => [column, …][, unit => column])",
    )
    .with_sql_example(
        r#"```sql
> SELECT t_equal, t_ordered FROM t_closeness(
    (SELECT * FROM (VALUES ('F', 1), ('F', 3), ('M', 2), ('M', 2)) AS t(sex, grade)),
    quasi => [sex],
    sensitive => [grade]
  );
+---------+-----------+
| t_equal | t_ordered |
+---------+-----------+
| 0.5     | 0.25      |
+---------+-----------+
```"#,
    );
    T_PARAMETERS.iter().fold(builder, |b, p| b.with_argument(p.name, p.description)).build()
});

/// The measures of each sensitive column, as the table is.
fn measured(arguments: &Arguments, l: Option<f64>, names: &[&str]) -> Result<LogicalPlan> {
    let roles = Roles::read(arguments)?;
    let (mut quasi, sensitive) = roles.specs()?;
    quasi.iter_mut().for_each(|column| column.generaliser = "exact".into());
    let options = Options { method: Method::Measure, l, quasi, sensitive, ..Options::default() };
    let report = roles.report(&options)?;
    let Some(list) = report.schema().columns().pop() else {
        return plan_err!("`{}` has no report", roles.function());
    };
    let each = unnested(report.project([Expr::Column(list).alias("each")])?, "each")?;
    let each = unnested(each, "each")?;
    let columns = each.schema().columns().into_iter().zip(SENSITIVE_COLUMNS);
    let named: Vec<Expr> = columns.map(|(c, (name, _))| Expr::Column(c).alias(name)).collect();
    let shown = names.iter().map(|name| Expr::Column(Column::from_name(*name)));
    sorted(each.project(named)?.project(shown)?, col("column_name").sort(true, true))
}

#[derive(Debug)]
struct LDiversity;

impl RelationFunction for LDiversity {
    fn name(&self) -> &str {
        "l_diversity"
    }

    fn documentation(&self) -> &Documentation {
        &L_DOCUMENTATION
    }

    fn parameters(&self) -> &[Parameter] {
        &L_PARAMETERS
    }

    fn plan(&self, arguments: Arguments) -> Result<LogicalPlan> {
        let l = match arguments.literal(L)? {
            ScalarValue::Int64(Some(l)) if *l >= 1 => *l as f64,
            other => return plan_err!("`{L}` is a whole number from 1; found {other}"),
        };
        let names =
            ["column_name", "l_distinct", "l_entropy", "recursive_c", "beta", "delta_disclosure"];
        measured(&arguments, Some(l), &names)
    }
}

#[derive(Debug)]
struct TCloseness;

impl RelationFunction for TCloseness {
    fn name(&self) -> &str {
        "t_closeness"
    }

    fn documentation(&self) -> &Documentation {
        &T_DOCUMENTATION
    }

    fn parameters(&self) -> &[Parameter] {
        &T_PARAMETERS
    }

    fn plan(&self, arguments: Arguments) -> Result<LogicalPlan> {
        measured(&arguments, None, &["column_name", "t_equal", "t_ordered", "t_hierarchical"])
    }
}
