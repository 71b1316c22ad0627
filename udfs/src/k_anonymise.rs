// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`KAnonymise`] and [`KAnonymiseReport`]: a table that may be published, and what it is worth.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_doc::{DocSection, Documentation};
use datafusion_expr::{Expr, LogicalPlan, col, lit, when};

use crate::anonymity::{
    GENERALISERS, HIERARCHY, QUASI, RELATION_PARAMETER, Roles, SENSITIVE, UNIT_PARAMETER,
};
use crate::generalise::options::{Diversity, Method, Options, Releases};
use crate::generalise::report::COLUMNS;
use crate::relation::{Arguments, ColumnCall, Parameter, ParameterKind, RelationFunction};

/// The relation function `k_anonymise`.
pub(crate) fn k_anonymise() -> Arc<dyn RelationFunction> {
    Arc::new(KAnonymise)
}

/// The relation function `k_anonymise_report`.
pub(crate) fn k_anonymise_report() -> Arc<dyn RelationFunction> {
    Arc::new(KAnonymiseReport)
}

const TREES: &[ColumnCall] = &[HIERARCHY];

const POPULATION: &str = "population";
const RELEASES: &str = "releases";
const SOURCE: &str = "source";
const BOUNDS: &str = "interval_bounds";

static PARAMETERS: LazyLock<Vec<Parameter>> = LazyLock::new(|| {
    let scalar = |name, data_type, default: Option<ScalarValue>, description| Parameter {
        name,
        kind: ParameterKind::Scalar { data_type, default },
        description,
    };
    let number = |name, default: Option<f64>, description| {
        scalar(name, DataType::Float64, Some(ScalarValue::Float64(default)), description)
    };
    let word = |name, default: &str, description| {
        scalar(name, DataType::Utf8, Some(ScalarValue::Utf8(Some(default.into()))), description)
    };
    vec![
        RELATION_PARAMETER,
        scalar(
            "k",
            DataType::Int64,
            None,
            "The least number of persons in a class of equal labels, from 1.",
        ),
        Parameter {
            name: QUASI,
            kind: ParameterKind::Columns { optional: false, calls: GENERALISERS },
            description: "The quasi-identifiers and how each is generalised, level by level: `column` (the value, then `*`), `width(number, 5, 10)` (intervals, of which one begins at 0; each width a multiple of the one before), `prefix(text, 3, 2)` (first characters), `date_parts(date, 'month', 'year')`, `top(number, 100000)` (one label from a threshold on), `hierarchy(column, table)` (the first column of the table is the value, the others are its levels), `exact(column)` (the value only). All but `exact` end with `*`. Levels must nest.",
        },
        Parameter {
            name: SENSITIVE,
            kind: ParameterKind::Columns { optional: true, calls: TREES },
            description: "The columns that `l` and `t` protect, published as they are; NULL is a value. `hierarchy(column, table)` gives a tree for `t_distance => 'hierarchical'`.",
        },
        Parameter {
            name: "keep",
            kind: ParameterKind::Columns { optional: true, calls: &[] },
            description: "Other columns to publish as they are. All columns without a role are left out.",
        },
        UNIT_PARAMETER,
        number(
            "l",
            None,
            "The least diversity of each sensitive column in a class; NULL for none.",
        ),
        word(
            "l_kind",
            "distinct",
            "What is diverse: `'distinct'`, the number of distinct values; `'entropy'`, e to the Shannon entropy; `'recursive'`, the most frequent value has fewer than c times the persons of the l-th most frequent and the rarer ones.",
        ),
        number("c", Some(1.0), "The c of recursive diversity."),
        number(
            "t",
            None,
            "The greatest distance of a class's sensitive values from those of the input, from 0 to 1; NULL for none.",
        ),
        word(
            "t_distance",
            "equal",
            "How far two values are apart: `'equal'`, `'ordered'`, `'hierarchical'`; see `t_closeness`.",
        ),
        number(
            "max_suppressed",
            Some(0.0),
            "The greatest share of rows that may be left out, from 0 to 1, by default 0; Mondrian leaves out none.",
        ),
        word(
            "suppress",
            "drop",
            "Rows left out are `'drop'`: not published; `'star'`: published with `*` for every quasi-identifier, as a class that meets the request too.",
        ),
        word(
            "method",
            "optimal",
            "`'optimal'`: every combination of levels, one for all rows of a column, at most 100,000; `'topdown'`: from the most general downwards, the best step each time; `'mondrian'`: boxes cut in two, intervals `[a,b]` of numbers and dates and sets `{a, b}` of texts; a hierarchy only orders its texts.",
        ),
        word(
            "metric",
            "discernibility",
            "What costs least: `'discernibility'`, each row costs the rows of its class, and a row left out all rows; `'entropy'`, the non-uniform entropy, to which rows left out do not count; `'gcp'`, the mean share of its column's values that a label covers, 0 for a single one and 1 for rows left out; `'loss'`, the same, but of several values the share of the others, as ARX has it; `'loss_geometric'`, the geometric mean over the columns of these losses, each plus 1, less 1; `'loss_rank'`, the loss of the column that loses most, then of the next, and so on. Of two combinations that cost the same, the one that is first in the order of its levels.",
        ),
        scalar(
            "seed",
            DataType::Int64,
            Some(ScalarValue::Int64(None)),
            "The key of the shuffle of the rows, whose order tells nothing; NULL is 0.",
        ),
        scalar(
            "one_row_per_unit",
            DataType::Boolean,
            Some(ScalarValue::Boolean(Some(false))),
            "Whether only the first row of each unit is published, in the order of the columns; rows without a unit are not.",
        ),
        scalar(
            BOUNDS,
            DataType::Boolean,
            Some(ScalarValue::Boolean(Some(false))),
            "Whether the ends of intervals stand beside the labels, as `age_lo` and `age_hi`, for columns of numbers and times with `width`, `top` or their values, and for all that Mondrian cuts; of a single value both ends are the value; NULL for no end, as of `*`.",
        ),
        Parameter {
            name: RELEASES,
            kind: ParameterKind::OptionalRelation,
            description: "What was published before: rows of `k_anonymise_report`, of which `source` and `generalisation` are read. Where it has other labels of the same source, and not these, `k_anonymise` is an error, because who has both releases can tell more than either; `k_anonymise_report` counts them in `other_releases` and warns.",
        },
        scalar(
            SOURCE,
            DataType::Utf8,
            Some(ScalarValue::Utf8(None)),
            "What the source is called in `releases`; NULL is the names of the tables that the relation reads.",
        ),
    ]
});

/// Those of `k_anonymise`, and what only the report speaks of.
static REPORT_PARAMETERS: LazyLock<Vec<Parameter>> = LazyLock::new(|| {
    let mut parameters = PARAMETERS.clone();
    parameters.push(Parameter {
        name: POPULATION,
        kind: ParameterKind::OptionalRelation,
        description: "The people of whom the table is a part, with columns of the same names as the quasi-identifiers and the unit, for `journalist_risk`; a value that only they have needs a row in a hierarchy too.",
    });
    parameters
});

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    let builder = Documentation::builder(
        DocSection { include: true, label: "Privacy", description: None },
        "A table in which nobody stands out: every class of equal quasi-identifiers has k persons at least, and as diverse and close sensitive values as asked for. Its columns are the quasi-identifiers as VARCHAR labels, then the sensitive and the kept columns as they are; its rows are shuffled. NULL is a value of its own and generalises to `*` only. The same rows give the same table, in whatever order they come. A request that no table meets is an error that says what binds and which change would do. The distance t is that from the input, which a search cannot change. The rows are grouped once, by their distinct combinations; the search and the join of the labels need memory for those, not for the rows. Publishing one source twice with different labels can tell more than either alone. Sources: full-domain generalisation, Samarati 2001; Mondrian, LeFevre et al. 2006; l-diversity, Machanavajjhala et al. 2007; t-closeness, Li et al. 2007.",
        "k_anonymise(relation, k => 5, quasi => [column, …][, …])",
    )
    .with_sql_example(
        r#"```sql
> SELECT * FROM k_anonymise(
    (SELECT * FROM (VALUES (21, 'F', 'flu'), (28, 'F', 'gout'), (34, 'F', 'flu'), (39, 'F', 'flu')) AS t(age, sex, ill)),
    k => 2,
    quasi => [width(age, 5, 10), sex],
    keep => [ill]
  ) ORDER BY age, ill;
+---------+-----+------+
| age     | sex | ill  |
+---------+-----+------+
| [20,30) | F   | flu  |
| [20,30) | F   | gout |
| [30,40) | F   | flu  |
| [30,40) | F   | flu  |
+---------+-----+------+
```"#,
    );
    PARAMETERS.iter().fold(builder, |b, p| b.with_argument(p.name, p.description)).build()
});

static REPORT_DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    let builder = Documentation::builder(
        DocSection { include: true, label: "Privacy", description: None },
        "What `k_anonymise` with the same arguments publishes, in one row: `rows_in`, `rows_out`, `suppressed_rows`, `suppressed_units` (persons with no row in a class), `classes`, `k_real` (rows of the smallest class), `k_unit_real` (its persons), `max_classes_per_unit`, all BIGINT; of the worst class and sensitive column `l_distinct`, `l_entropy`, `recursive_c`, `t_equal`, `t_ordered`, `t_hierarchical` (from the published table), the same with `_input` (from the input), `beta` and `delta_disclosure` (see `l_diversity` and `t_closeness`); `max_risk` (prosecutor), `avg_risk` (marketer) and `journalist_risk` (1 over the people of `population` whom the label least shared could be about, never fewer than those of the table; below the highest level a `*` is about people without a value only; NULL without `population`), see `reid_risk`; `uniques`, the classes of one person; `dm` DECIMAL, the discernibility: the squares of the rows of the classes, and a row left out costs all rows; `aecs`, the mean rows of a class over k; `gcp`, the global certainty penalty (Xu et al. 2006): the mean share of its column's values that a label covers: the width of an interval over the range, or the number of values under a label over that of all; 0 for a single value, 1 for what is left out; `entropy_loss`, the non-uniform entropy in bits; `precision`, 1 less the mean height of a label in its hierarchy; `levels` VARCHAR, a JSON object; `method` VARCHAR; `ms` BIGINT, how long the search took; `source` VARCHAR, the tables that the relation reads; `generalisation` VARCHAR, a JSON object with what each column's level does, the same for the same labels, with fingerprints of tables of labels and of Mondrian's boxes; `other_releases` BIGINT, how many different ones of this source `releases` has, NULL without `releases`; `warnings` VARCHAR, `other_labels` when there are any, else NULL. A measure that the method does not have is NULL. A release log is these rows kept in a folder of files: `COPY (SELECT now() AS published_at, * FROM k_anonymise_report(…)) TO 'releases/2026-11.parquet'`, and `releases => 'releases/'` from then on.",
        "k_anonymise_report(relation, k => 5, quasi => [column, …][, …][, population => relation])",
    )
    .with_sql_example(
        r#"```sql
> SELECT classes, k_real, dm, levels FROM k_anonymise_report(
    (SELECT * FROM (VALUES (21, 'F'), (28, 'F'), (34, 'F'), (39, 'F')) AS t(age, sex)),
    k => 2,
    quasi => [width(age, 5, 10), sex]
  );
+---------+--------+----+-------------------+
| classes | k_real | dm | levels            |
+---------+--------+----+-------------------+
| 2       | 2      | 8  | {"age":2,"sex":0} |
+---------+--------+----+-------------------+
```"#,
    );
    REPORT_PARAMETERS.iter().fold(builder, |b, p| b.with_argument(p.name, p.description)).build()
});

/// What the source is called in a log of releases.
fn source(arguments: &Arguments, roles: &Roles) -> Result<Option<String>> {
    match arguments.literal(SOURCE)?.try_as_str().flatten() {
        Some(name) => Ok(Some(name.to_string())),
        None => roles.source(),
    }
}

/// The columns and the options of a call.
fn request(arguments: &Arguments, releases: Releases) -> Result<(Roles, Options)> {
    let mut roles = Roles::read(arguments)?;
    if arguments.literal("one_row_per_unit")? == &ScalarValue::Boolean(Some(true)) {
        roles = roles.one_row_per_unit()?;
    }
    let mut options = Options::default();
    let names = [
        "k",
        "l",
        "l_kind",
        "c",
        "t",
        "t_distance",
        "max_suppressed",
        "suppress",
        "method",
        "metric",
    ];
    for name in names {
        options.set(name, arguments.literal(name)?.clone())?;
    }
    // A word of the kernel's own, which would publish the table as it is.
    if options.method == Method::Measure {
        return plan_err!("`method` is one of 'optimal', 'topdown', 'mondrian'; found 'measure'");
    }
    if options.l.is_none() && options.l_kind != Diversity::Distinct {
        return plan_err!("`l_kind` needs `l`: write `l => 2`");
    }
    (options.quasi, options.sensitive) = roles.specs()?;
    if arguments.literal(BOUNDS)? == &ScalarValue::Boolean(Some(true)) {
        options.bounds = roles.bounds(&options)?;
    }
    if let Some(log) = arguments.optional_relation(RELEASES)? {
        options.releases = releases;
        let source = source(arguments, &roles)?;
        roles = roles.with_releases(log, source.as_deref())?;
    }
    Ok((roles, options))
}

#[derive(Debug)]
struct KAnonymise;

impl RelationFunction for KAnonymise {
    fn name(&self) -> &str {
        "k_anonymise"
    }

    fn documentation(&self) -> &Documentation {
        &DOCUMENTATION
    }

    fn parameters(&self) -> &[Parameter] {
        &PARAMETERS
    }

    fn plan(&self, arguments: Arguments) -> Result<LogicalPlan> {
        let (roles, options) = request(&arguments, Releases::Refuse)?;
        roles.published(&options, arguments.literal("seed")?)
    }
}

#[derive(Debug)]
struct KAnonymiseReport;

impl RelationFunction for KAnonymiseReport {
    fn name(&self) -> &str {
        "k_anonymise_report"
    }

    fn documentation(&self) -> &Documentation {
        &REPORT_DOCUMENTATION
    }

    fn parameters(&self) -> &[Parameter] {
        &REPORT_PARAMETERS
    }

    fn plan(&self, arguments: Arguments) -> Result<LogicalPlan> {
        let (mut roles, mut options) = request(&arguments, Releases::Compare)?;
        if let Some(population) = arguments.optional_relation(POPULATION)? {
            options.population = true;
            roles = roles.with_population(population)?;
        }
        let source = source(&arguments, &roles)?;
        let report = roles.report(&options)?;
        let columns = report.schema().columns().into_iter().zip(COLUMNS);
        let mut named: Vec<Expr> =
            columns.map(|(c, (name, _))| Expr::Column(c).alias(name)).collect();
        let place = COLUMNS.iter().position(|(name, _)| *name == "generalisation");
        named
            .insert(place.unwrap_or(named.len()), lit(ScalarValue::Utf8View(source)).alias(SOURCE));
        let shown: Vec<Expr> =
            named.iter().map(|expr| col(expr.schema_name().to_string())).collect();
        let warnings = when(col("other_releases").gt(lit(0_i64)), lit("other_labels")).end()?;
        let shown = shown.into_iter().chain([warnings.alias("warnings")]);
        report.project(named)?.project(shown)?.build()
    }
}
