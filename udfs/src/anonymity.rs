// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What the functions about anonymity share: which columns, whose rows, and the plans that count
//! them.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::new_empty_array;
use arrow::datatypes::DataType;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{
    Column, DFSchemaRef, JoinType, NullEquality, Result, ScalarValue, UnnestOptions, plan_err,
};
use datafusion_expr::expr::{Sort, WindowFunction};
use datafusion_expr::{
    Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, LogicalPlanBuilder,
    WindowFunctionDefinition, cast, col, lit, when,
};
use datafusion_functions_aggregate::array_agg::array_agg_udaf;
use datafusion_functions_aggregate::count::count_udaf;
use datafusion_functions_aggregate::expr_fn::{count, first_value, sum};

use crate::generalise::bounds::bounds_type;
use crate::generalise::options::{Options, Spec};
use crate::generalise::problem::{POPULATION, RELEASE};
use crate::generalise::{check_column, generalise};
use crate::keyed_hash::keyed_hash;
use crate::relation::{Arguments, CallTakes, ColumnCall, ListedColumn, Parameter, ParameterKind};

pub(crate) const RELATION: &str = "relation";
pub(crate) const QUASI: &str = "quasi";
pub(crate) const SENSITIVE: &str = "sensitive";
pub(crate) const UNIT: &str = "unit";

/// What may stand around a quasi-identifier.
pub(crate) const GENERALISERS: &[ColumnCall] = &[
    ColumnCall { name: "width", takes: CallTakes::Values, example: "width(age, 5, 10)" },
    ColumnCall { name: "prefix", takes: CallTakes::Values, example: "prefix(postcode, 3, 2)" },
    ColumnCall {
        name: "date_parts",
        takes: CallTakes::Values,
        example: "date_parts(birthday, 'month', 'year')",
    },
    ColumnCall { name: "top", takes: CallTakes::Values, example: "top(income, 100000)" },
    HIERARCHY,
    ColumnCall { name: "exact", takes: CallTakes::Nothing, example: "exact(sex)" },
];

/// A table of levels.
pub(crate) const HIERARCHY: ColumnCall = ColumnCall {
    name: "hierarchy",
    takes: CallTakes::Relation,
    example: "hierarchy(city, city_levels)",
};

pub(crate) const RELATION_PARAMETER: Parameter = Parameter {
    name: RELATION,
    kind: ParameterKind::Relation,
    description: "The table: one row a person, or several.",
};

pub(crate) const PLAIN_QUASI: Parameter = Parameter {
    name: QUASI,
    kind: ParameterKind::Columns { optional: false, calls: &[] },
    description: "The quasi-identifiers: what somebody may know of a person from elsewhere. Rows with equal values are a class; NULL is a value.",
};

pub(crate) const UNIT_PARAMETER: Parameter = Parameter {
    name: UNIT,
    kind: ParameterKind::Column { optional: true },
    description: "Who the row is about: a class is as large as its distinct units. A row without a unit counts for nobody. Without the argument each row is a person.",
};

/// The table of a call and its columns by their roles.
pub(crate) struct Roles {
    function: String,
    input: LogicalPlan,
    pub(crate) quasi: Vec<ListedColumn>,
    pub(crate) sensitive: Vec<ListedColumn>,
    pub(crate) keep: Vec<ListedColumn>,
    unit: Option<Expr>,
    one_row: bool,
    /// The people of whom the table is a part.
    population: Option<Box<Roles>>,
    /// What earlier releases of the same source were, one text a row.
    releases: Option<LogicalPlan>,
}

impl Roles {
    /// The columns of a call.
    pub(crate) fn read(arguments: &Arguments) -> Result<Self> {
        let roles = Self {
            function: arguments.function().to_string(),
            input: arguments.relation(RELATION)?.clone(),
            quasi: arguments.columns(QUASI)?.to_vec(),
            sensitive: arguments.columns(SENSITIVE)?.to_vec(),
            keep: arguments.columns("keep")?.to_vec(),
            unit: arguments.optional_column(UNIT)?.cloned(),
            one_row: false,
            population: None,
            releases: None,
        };
        let mut names: Vec<&str> = vec![];
        for column in roles.quasi.iter().chain(&roles.sensitive).chain(&roles.keep) {
            if names.contains(&column.name.as_str()) {
                return plan_err!(
                    "`{}` has two roles: a column is a quasi-identifier, sensitive or kept",
                    column.name
                );
            }
            names.push(&column.name);
        }
        for column in roles.quasi.iter().chain(&roles.sensitive) {
            let data_type = roles.data_type(column)?;
            if data_type.is_nested() || matches!(data_type, DataType::Interval(_)) {
                return plan_err!(
                    "`{}` is of type {data_type}; quasi-identifiers and sensitive columns are numbers, texts, dates or booleans",
                    column.name
                );
            }
        }
        Ok(roles)
    }

    /// Keeps one row of each person.
    pub(crate) fn one_row_per_unit(mut self) -> Result<Self> {
        if self.unit.is_none() {
            return plan_err!(
                "`one_row_per_unit` needs to know who a row is about: write `unit => customer_id`"
            );
        }
        self.one_row = true;
        Ok(self)
    }

    /// Adds the people of whom the table is a part.
    pub(crate) fn with_population(mut self, population: &LogicalPlan) -> Result<Self> {
        self.population = Some(Box::new(self.of(population, "population")?));
        Ok(self)
    }

    /// Adds a log of reports, of which those about this source count.
    pub(crate) fn with_releases(mut self, log: &LogicalPlan, source: Option<&str>) -> Result<Self> {
        let Some(source) = source else {
            return plan_err!(
                "`releases` is searched for the source, and the input reads no table: write `source => 'customers'`"
            );
        };
        let found = |name: &str| -> Result<Expr> {
            match log.schema().qualified_fields_with_unqualified_name(name).as_slice() {
                [(qualifier, field)] => Ok(cast(Expr::from((*qualifier, *field)), DataType::Utf8)),
                _ => plan_err!(
                    "`releases` has no column `{name}`: it is a table of rows that `k_anonymise_report` gave for what was published"
                ),
            }
        };
        let text = found("generalisation")?;
        let about = found("source")?.eq(lit(source)).and(text.clone().is_not_null());
        let releases = LogicalPlanBuilder::new(log.clone())
            .filter(about)?
            .project([text.alias("generalisation")])?
            .distinct()?;
        self.releases = Some(releases.build()?);
        Ok(self)
    }

    /// The names of the tables that the input reads, in their order; `None` when it reads none.
    pub(crate) fn source(&self) -> Result<Option<String>> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        self.input.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                names.insert(scan.table_name.to_string());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok((!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join(", ")))
    }

    /// The type of the ends of each quasi-identifier's intervals, where it has intervals.
    pub(crate) fn bounds(&self, options: &Options) -> Result<Vec<(usize, DataType)>> {
        let mut bounds = vec![];
        for (index, (column, spec)) in self.quasi.iter().zip(&options.quasi).enumerate() {
            let found = bounds_type(spec, options.method, &self.data_type(column)?);
            bounds.extend(found.map(|data_type| (index, data_type)));
        }
        if bounds.is_empty() {
            return plan_err!(
                "`interval_bounds` is about intervals of numbers or times, and no quasi-identifier has any: write `width(column, 10)`, or leave it out"
            );
        }
        let mut all: Vec<&ListedColumn> = self.quasi.iter().collect();
        all.extend(self.sensitive.iter().chain(&self.keep));
        for (index, _) in &bounds {
            let ends = ["lo", "hi"].map(|end| format!("{}_{end}", self.quasi[*index].name));
            if let Some(taken) = all.iter().find(|column| ends.contains(&column.name)) {
                return plan_err!(
                    "`interval_bounds` gives a column `{0}`, and one of this name is published already: call that one otherwise, as in `(SELECT {0} AS other, …)`",
                    taken.name
                );
            }
        }
        Ok(bounds)
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn data_type(&self, column: &ListedColumn) -> Result<DataType> {
        Ok(match column.expr.get_type(self.schema().as_ref())? {
            DataType::Dictionary(_, values) => values.as_ref().clone(),
            other => other,
        })
    }

    /// A column as it is grouped by: without its dictionary, and with one zero.
    fn value(&self, column: &ListedColumn) -> Result<Expr> {
        let data_type = self.data_type(column)?;
        let expr = match column.expr.get_type(self.schema().as_ref())? {
            DataType::Dictionary(_, _) => cast(column.expr.clone(), data_type.clone()),
            _ => column.expr.clone(),
        };
        Ok(match data_type {
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                cast(expr + lit(0.0_f64), data_type)
            }
            _ => expr,
        })
    }

    /// The input under names of our own: `q0`, `q1`, …, `s0`, …, `k0`, …, `unit`.
    pub(crate) fn prepared(&self) -> Result<LogicalPlan> {
        let mut columns = vec![];
        for (letter, list) in [("q", &self.quasi), ("s", &self.sensitive)] {
            for (index, column) in list.iter().enumerate() {
                columns.push(self.value(column)?.alias(format!("{letter}{index}")));
            }
        }
        for (index, column) in self.keep.iter().enumerate() {
            columns.push(column.expr.clone().alias(format!("k{index}")));
        }
        columns.extend(self.unit.clone().map(|unit| unit.alias(UNIT)));
        let prepared = LogicalPlanBuilder::new(self.input.clone()).project(columns)?;
        if !self.one_row {
            return prepared.build();
        }
        // The first row of each person in the order of the columns, which does not depend on how the
        // rows came. Rows of nobody are left out.
        let names: Vec<String> =
            prepared.schema().fields().iter().map(|f| f.name().clone()).collect();
        let columns: Vec<&String> = names.iter().filter(|name| *name != UNIT).collect();
        let order: Vec<_> = columns.iter().map(|name| col(*name).sort(true, true)).collect();
        let first = |name: &&String| first_value(col(*name), order.clone()).alias(*name);
        prepared
            .filter(col(UNIT).is_not_null())?
            .aggregate([col(UNIT)], columns.iter().map(first).collect::<Vec<_>>())?
            .project(names.iter().map(col))?
            .build()
    }

    fn names(&self, with_sensitive: bool) -> Vec<String> {
        let quasi = (0..self.quasi.len()).map(|index| format!("q{index}"));
        let sensitive = (0..self.sensitive.len()).map(|index| format!("s{index}"));
        quasi.chain(sensitive.take(if with_sensitive { usize::MAX } else { 0 })).collect()
    }

    /// The same columns of another relation, found by their names.
    pub(crate) fn of(&self, other: &LogicalPlan, what: &str) -> Result<Self> {
        let schema = other.schema();
        let found = |expr: &Expr| -> Result<Expr> {
            let rebased = expr.clone().transform(|e| {
                let Expr::Column(column) = &e else { return Ok(Transformed::no(e)) };
                let fields = schema.qualified_fields_with_unqualified_name(&column.name);
                match fields.as_slice() {
                    [(qualifier, field)] => Ok(Transformed::yes(Expr::from((*qualifier, *field)))),
                    _ => plan_err!("`{what}` has no column `{}`", column.name),
                }
            })?;
            Ok(rebased.data)
        };
        let rebase = |column: &ListedColumn| -> Result<ListedColumn> {
            let (expr, own) = (found(&column.expr)?, self.data_type(column)?);
            let is_text = |t: &DataType| {
                matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
            };
            // Files differ in how they keep texts, which is nobody's concern.
            let expr = match is_text(&own) && is_text(&expr.get_type(schema.as_ref())?) {
                true => cast(expr, own),
                false => expr,
            };
            Ok(ListedColumn { expr, ..column.clone() })
        };
        let quasi = self.quasi.iter().map(rebase).collect::<Result<Vec<_>>>()?;
        let roles = Self {
            function: self.function.clone(),
            input: other.clone(),
            quasi,
            sensitive: vec![],
            keep: vec![],
            unit: self.unit.as_ref().map(found).transpose()?,
            one_row: false,
            population: None,
            releases: None,
        };
        for (own, theirs) in self.quasi.iter().zip(&roles.quasi) {
            let (own_type, their_type) = (self.data_type(own)?, roles.data_type(theirs)?);
            if own_type != their_type {
                return plan_err!(
                    "`{}` is of type {own_type} in `{RELATION}`, and of type {their_type} in `{what}`",
                    own.name
                );
            }
        }
        Ok(roles)
    }

    /// One row a class of equal quasi-identifiers, with the values: `q0`, …, `rows` and `units`.
    pub(crate) fn named_classes(&self) -> Result<LogicalPlanBuilder> {
        let prepared = LogicalPlanBuilder::new(self.prepared()?);
        let keys: Vec<Expr> = self.names(false).iter().map(col).collect();
        let mut columns = keys.clone();
        let rows = || count(lit(1_i64)).alias("rows");
        if self.unit.is_none() {
            columns.extend([col("rows"), col("rows").alias("units")]);
            return prepared.aggregate(keys, vec![rows()])?.project(columns);
        }
        columns.extend([col("rows"), col("units")]);
        let mut with_unit = keys.clone();
        with_unit.push(col(UNIT));
        prepared
            .aggregate(with_unit, vec![rows()])?
            .aggregate(keys, vec![sum(col("rows")).alias("rows"), count(col(UNIT)).alias("units")])?
            .project(columns)
    }

    /// One row a class of equal quasi-identifiers: `rows` and `units`.
    pub(crate) fn classes(&self) -> Result<LogicalPlanBuilder> {
        self.named_classes()?.project([col("rows"), col("units")])
    }

    /// One row a combination of quasi-identifiers and sensitive values: the arguments of
    /// `generalise` after its options.
    fn combinations(&self) -> Result<LogicalPlan> {
        let prepared = LogicalPlanBuilder::new(self.prepared()?);
        let names = self.names(true);
        let keys: Vec<Expr> = names.iter().map(col).collect();
        let no_persons = lit(ScalarValue::try_from(&persons_type())?);
        let (counted, mut columns) = if self.unit.is_none() {
            let counted = prepared.aggregate(keys, vec![count(lit(1_i64)).alias("rows")])?;
            (counted, vec![col("rows"), col("rows").alias("units"), no_persons.alias("persons")])
        } else {
            let mut with_unit = keys.clone();
            with_unit.push(col(UNIT));
            let spread = Expr::from(WindowFunction::new(
                WindowFunctionDefinition::AggregateUDF(count_udaf()),
                vec![lit(1_i64)],
            ))
            .partition_by(vec![col(UNIT)])
            .build()?
            .alias("spread");
            let known = || col(UNIT).is_not_null();
            let single = when(known().and(col("spread").eq(lit(1_i64))), lit(1_i64))
                .otherwise(lit(0_i64))?;
            let person = keyed_hash().call(vec![lit(0_i64), col(UNIT)]);
            let persons = array_agg_udaf()
                .call(vec![person])
                .filter(known().and(col("spread").gt(lit(1_i64))))
                .build()?;
            let counted = prepared
                .aggregate(with_unit, vec![count(lit(1_i64)).alias("rows")])?
                .window(vec![spread])?
                .aggregate(
                    keys,
                    vec![
                        sum(col("rows")).alias("rows"),
                        sum(single).alias("units"),
                        persons.alias("persons"),
                    ],
                )?;
            (
                counted,
                vec![
                    col("rows"),
                    col("units"),
                    cast(col("persons"), persons_type()).alias("persons"),
                ],
            )
        };
        columns.extend(names.iter().map(col));
        counted.project(columns)?.build()
    }

    /// The combinations, and below them the rows of the hierarchies.
    fn evidence(&self) -> Result<LogicalPlan> {
        let combinations = self.combinations()?;
        let listed: Vec<&ListedColumn> = self.quasi.iter().chain(&self.sensitive).collect();
        let mut height = 0;
        for column in &listed {
            let Some(table) = &column.relation else { continue };
            let levels = table.schema().fields().len().saturating_sub(1);
            if levels == 0 {
                return plan_err!(
                    "the hierarchy of `{}` has one column; it needs a value and at least one level",
                    column.name
                );
            }
            height = height.max(levels);
        }
        if height == 0 && self.population.is_none() && self.releases.is_none() {
            return Ok(combinations);
        }
        let fields = combinations.schema().fields().clone();
        let text = || lit(ScalarValue::Utf8(None));
        let mut all: Vec<Expr> =
            combinations.schema().columns().into_iter().map(Expr::Column).collect();
        all.push(lit(ScalarValue::Int64(None)).alias("h"));
        all.extend((0..=height).map(|level| text().alias(format!("h{level}"))));
        let mut evidence = LogicalPlanBuilder::new(combinations).project(all)?;
        // Rows of another kind: texts of a table beside what stands for the combinations.
        let marked = |table: LogicalPlan, kind: i64, counted: &[Column], texts: Vec<Column>| {
            let mut columns = vec![];
            for field in &fields {
                let own = counted.iter().find(|column| column.name == *field.name());
                let value = match own {
                    Some(column) => Expr::Column(column.clone()),
                    None => lit(ScalarValue::try_from(field.data_type())?),
                };
                columns.push(value.alias(field.name()));
            }
            columns.push(lit(kind).alias("h"));
            let mut texts = texts.into_iter();
            for level in 0..=height {
                let label =
                    texts.next().map_or_else(text, |c| cast(Expr::Column(c), DataType::Utf8));
                columns.push(label.alias(format!("h{level}")));
            }
            LogicalPlanBuilder::new(table).project(columns)?.build()
        };
        for (index, column) in listed.into_iter().enumerate() {
            let Some(table) = &column.relation else { continue };
            let table =
                LogicalPlanBuilder::new(table.clone()).alias(format!("levels_{index}"))?.build()?;
            let levels = table.schema().columns();
            evidence = evidence.union(marked(table, index as i64, &[], levels)?)?;
        }
        if let Some(releases) = &self.releases {
            let texts = releases.schema().columns();
            evidence = evidence.union(marked(releases.clone(), RELEASE, &[], texts)?)?;
        }
        if let Some(population) = &self.population {
            let people = population.combinations()?;
            let counted = people.schema().columns();
            evidence = evidence.union(marked(people, POPULATION, &counted, vec![])?)?;
        }
        evidence.build()
    }

    /// The columns as the options name them, checked against their types.
    pub(crate) fn specs(&self) -> Result<(Vec<Spec>, Vec<Spec>)> {
        let spec = |column: &ListedColumn| -> Result<Spec> {
            let text = |value: &ScalarValue| value.to_string();
            let spec = Spec {
                name: column.name.clone(),
                generaliser: column.call.unwrap_or("plain").to_string(),
                steps: column.values.iter().map(text).collect(),
            };
            check_column(&spec, new_empty_array(&self.data_type(column)?))?;
            Ok(spec)
        };
        let quasi = self.quasi.iter().map(spec).collect::<Result<_>>()?;
        let sensitive = self.sensitive.iter().map(spec).collect::<Result<_>>()?;
        Ok((quasi, sensitive))
    }

    /// The search as one row: `published` and `report`.
    pub(crate) fn searched(&self, options: &Options) -> Result<LogicalPlanBuilder> {
        let literal = options.literal()?;
        Options::read(&literal)?;
        let evidence = self.evidence()?;
        let mut arguments = vec![lit(literal)];
        arguments.extend(evidence.schema().columns().into_iter().map(Expr::Column));
        let found = generalise().call(arguments).alias("found");
        let found = LogicalPlanBuilder::new(evidence).aggregate(Vec::<Expr>::new(), vec![found])?;
        unnested(found, "found")
    }

    /// The report as one row; `sensitive` is a list.
    pub(crate) fn report(&self, options: &Options) -> Result<LogicalPlanBuilder> {
        let report = self.searched(options)?;
        let column = Expr::Column(report.schema().columns().swap_remove(1));
        unnested(report.project([column.alias("report")])?, "report")
    }

    /// The rows of the input with their labels in place of the quasi-identifiers, shuffled.
    pub(crate) fn published(&self, options: &Options, seed: &ScalarValue) -> Result<LogicalPlan> {
        let found = self.searched(options)?;
        let column = Expr::Column(found.schema().columns().swap_remove(0));
        let rows = unnested(found.project([column.alias("label")])?, "label")?;
        let rows = unnested(rows, "label")?;
        let n = self.quasi.len();
        let letters = |letter: &'static str| (0..n).map(move |index| format!("{letter}{index}"));
        let ends = options
            .bounds
            .iter()
            .flat_map(|(index, _)| ["lo", "hi"].map(|e| format!("{e}{index}")));
        let names = letters("v").chain(letters("p")).chain(ends);
        let columns = rows.schema().columns().into_iter();
        let named: Vec<Expr> =
            columns.zip(names).map(|(column, name)| Expr::Column(column).alias(name)).collect();
        let keys = |letter: &str| -> Vec<Column> {
            (0..n).map(|index| Column::from_name(format!("{letter}{index}"))).collect()
        };
        // The combinations are fewer than the rows: they stand on the left, which is kept in memory.
        let joined = rows.project(named)?.join_detailed(
            self.prepared()?,
            JoinType::Inner,
            (keys("v"), keys("q")),
            None,
            NullEquality::NullEqualsNull,
        )?;
        let mut columns = vec![];
        for (letter, list) in [("p", &self.quasi), ("s", &self.sensitive), ("k", &self.keep)] {
            for (index, column) in list.iter().enumerate() {
                let from = Expr::Column(Column::from_name(format!("{letter}{index}")));
                columns.push(from.alias(&column.name));
                if letter == "p" && options.bounds.iter().any(|(place, _)| *place == index) {
                    columns.extend(["lo", "hi"].map(|end| {
                        let from = Expr::Column(Column::from_name(format!("{end}{index}")));
                        from.alias(format!("{}_{end}", column.name))
                    }));
                }
            }
        }
        let published = joined.project(columns)?;
        let mut hashed = vec![lit(seed.clone())];
        hashed.extend(published.schema().columns().into_iter().map(Expr::Column));
        let order = keyed_hash().call(hashed).sort(true, false);
        sorted(published, order)
    }

    /// The name of the function, for messages.
    pub(crate) fn function(&self) -> &str {
        &self.function
    }
}

/// Sorted rows. The planner forgets the order of a subquery, which a call of a function is to it,
/// unless there is a limit on top.
pub(crate) fn sorted(plan: LogicalPlanBuilder, by: Sort) -> Result<LogicalPlan> {
    plan.sort([by])?.limit(0, None)?.build()
}

/// A list as rows, or a struct as columns.
pub(crate) fn unnested(plan: LogicalPlanBuilder, name: &str) -> Result<LogicalPlanBuilder> {
    let options = UnnestOptions::new().with_preserve_nulls(false);
    plan.unnest_columns_with_options(vec![Column::from_name(name)], options)
}

/// NULL as 0.
pub(crate) fn or_zero(expr: Expr) -> Result<Expr> {
    when(expr.clone().is_null(), lit(0_i64)).otherwise(expr)
}

fn persons_type() -> DataType {
    DataType::List(Arc::new(arrow::datatypes::Field::new_list_field(DataType::UInt64, true)))
}
