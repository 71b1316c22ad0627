// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! [`RelationFunction`]: a table function that expands to an ordinary plan.
//!
//! An analysis whose columns are known is written in SQL. This trait is for the others: the columns
//! of the result depend on the arguments or on the columns of the input, or SQL cannot say it.
//! `plan` runs when the query is planned and returns DataFusion's own operators, so that filters
//! and projections push through the call, policies see the tables underneath, and a distributed
//! engine needs to know nothing about it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue, plan_datafusion_err, plan_err};
use datafusion_doc::Documentation;
use datafusion_expr::{Expr, LogicalPlan};

/// A function that is called as `FROM name(relation, parameter => value, …)`.
pub trait RelationFunction: Debug + Send + Sync {
    /// The name, in snake case.
    fn name(&self) -> &str;

    /// The documentation: description, syntax, an example that runs, the arguments.
    fn documentation(&self) -> &Documentation;

    /// The parameters in the order in which positional arguments fill them. The first relation
    /// among them is the input, over which column arguments are resolved.
    fn parameters(&self) -> &[Parameter];

    /// The plan of a call. The caller has checked the arguments against [`Self::parameters`],
    /// resolved them, and filled in the defaults.
    fn plan(&self, arguments: Arguments) -> Result<LogicalPlan>;
}

/// One parameter of a [`RelationFunction`].
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name, in snake case.
    pub name: &'static str,
    /// What an argument may be.
    pub kind: ParameterKind,
    /// What it means, with its unit and what NULL does.
    pub description: &'static str,
}

impl Parameter {
    /// Whether a call may leave the parameter out.
    pub fn is_optional(&self) -> bool {
        match &self.kind {
            ParameterKind::Relation => false,
            ParameterKind::OptionalRelation => true,
            ParameterKind::Column { optional } | ParameterKind::Columns { optional, .. } => {
                *optional
            }
            ParameterKind::Scalar { default, .. } => default.is_some(),
        }
    }
}

/// What the argument of a [`Parameter`] may be.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterKind {
    /// A table, a view, a CTE, a subquery or another call.
    Relation,
    /// A second relation, which a call may leave out.
    OptionalRelation,
    /// A column of the input, or an expression over its columns.
    Column {
        /// Whether a call may leave it out.
        optional: bool,
    },
    /// Several columns of the input, `[a, b]`, or one without brackets: each a column, an
    /// expression over columns, or a call of one of `calls`.
    Columns {
        /// Whether a call may leave them out.
        optional: bool,
        /// What may be written around a column.
        calls: &'static [ColumnCall],
    },
    /// An expression without columns, cast to a type.
    Scalar {
        /// The type that the function receives.
        data_type: DataType,
        /// What the function receives when a call leaves it out; `None` when it may not.
        default: Option<ScalarValue>,
    },
}

/// What a list of columns may hold besides plain columns: `name(column, …)`. It is no function of
/// SQL; it tells the relation function how to treat the column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColumnCall {
    /// The name, in snake case, which no function of SQL has.
    pub name: &'static str,
    /// What follows the column.
    pub takes: CallTakes,
    /// An example, for messages.
    pub example: &'static str,
}

/// What follows the column in a [`ColumnCall`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallTakes {
    /// Nothing.
    Nothing,
    /// One constant or more.
    Values,
    /// One relation: a table, a view, a CTE, a subquery or another call.
    Relation,
}

/// One element of a list of columns.
#[derive(Clone, Debug)]
pub struct ListedColumn {
    /// The column's name, or the text of an expression.
    pub name: String,
    /// The column, an expression over the columns of the input.
    pub expr: Expr,
    /// The name of the [`ColumnCall`] around it.
    pub call: Option<&'static str>,
    /// The constants of the call.
    pub values: Vec<ScalarValue>,
    /// The relation of the call.
    pub relation: Option<LogicalPlan>,
}

/// The arguments of one call by the name of their parameter.
///
/// The accessors return a plan error when an argument is absent or of another kind, so that a
/// function needs no check of its own.
#[derive(Clone, Debug)]
pub struct Arguments {
    function: String,
    arguments: BTreeMap<String, Argument>,
}

#[derive(Clone, Debug)]
enum Argument {
    Relation(LogicalPlan),
    Column(Expr),
    Columns(Vec<ListedColumn>),
    Scalar(Expr),
}

impl Argument {
    fn kind(&self) -> &'static str {
        match self {
            Self::Relation(_) => "a relation",
            Self::Column(_) => "a column",
            Self::Columns(_) => "a list of columns",
            Self::Scalar(_) => "a scalar",
        }
    }
}

impl Arguments {
    /// No arguments yet, for a call of the named function.
    pub fn new(function: impl Into<String>) -> Self {
        Self { function: function.into(), arguments: BTreeMap::new() }
    }

    /// Adds a relation.
    pub fn with_relation(self, name: impl Into<String>, plan: LogicalPlan) -> Self {
        self.with(name, Argument::Relation(plan))
    }

    /// Adds an expression over the columns of the input.
    pub fn with_column(self, name: impl Into<String>, expr: Expr) -> Self {
        self.with(name, Argument::Column(expr))
    }

    /// Adds a list of columns.
    pub fn with_columns(self, name: impl Into<String>, columns: Vec<ListedColumn>) -> Self {
        self.with(name, Argument::Columns(columns))
    }

    /// Adds an expression without columns: a literal, or a placeholder of a prepared statement.
    pub fn with_scalar(self, name: impl Into<String>, expr: Expr) -> Self {
        self.with(name, Argument::Scalar(expr))
    }

    fn with(mut self, name: impl Into<String>, argument: Argument) -> Self {
        self.arguments.insert(name.into(), argument);
        self
    }

    /// The name of the function that is called, for messages.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The relation `name`.
    pub fn relation(&self, name: &str) -> Result<&LogicalPlan> {
        match self.get(name)? {
            Argument::Relation(plan) => Ok(plan),
            other => self.wrong_kind(name, "a relation", other),
        }
    }

    /// The relation `name`, or `None` when the call leaves it out.
    pub fn optional_relation(&self, name: &str) -> Result<Option<&LogicalPlan>> {
        if self.arguments.contains_key(name) { self.relation(name).map(Some) } else { Ok(None) }
    }

    /// The column `name`, an expression over the columns of the input.
    pub fn column(&self, name: &str) -> Result<&Expr> {
        match self.get(name)? {
            Argument::Column(expr) => Ok(expr),
            other => self.wrong_kind(name, "a column", other),
        }
    }

    /// The column `name`, or `None` when the call leaves it out.
    pub fn optional_column(&self, name: &str) -> Result<Option<&Expr>> {
        if self.arguments.contains_key(name) { self.column(name).map(Some) } else { Ok(None) }
    }

    /// The list of columns `name`; empty when the call leaves it out.
    pub fn columns(&self, name: &str) -> Result<&[ListedColumn]> {
        match self.arguments.get(name) {
            None => Ok(&[]),
            Some(Argument::Columns(columns)) => Ok(columns),
            Some(other) => self.wrong_kind(name, "a list of columns", other),
        }
    }

    /// The scalar `name` as an expression, which may be a placeholder.
    pub fn scalar(&self, name: &str) -> Result<&Expr> {
        match self.get(name)? {
            Argument::Scalar(expr) => Ok(expr),
            other => self.wrong_kind(name, "a scalar", other),
        }
    }

    /// The value of the scalar `name`, for a function whose columns depend on it.
    pub fn literal(&self, name: &str) -> Result<&ScalarValue> {
        match self.scalar(name)? {
            Expr::Literal(value, _) => Ok(value),
            other => plan_err!(
                "`{}`: argument `{name}` must be a literal, found `{other}`",
                self.function
            ),
        }
    }

    fn get(&self, name: &str) -> Result<&Argument> {
        self.arguments.get(name).ok_or_else(|| {
            plan_datafusion_err!("`{}`: argument `{name}` is missing", self.function)
        })
    }

    fn wrong_kind<T>(&self, name: &str, expected: &str, found: &Argument) -> Result<T> {
        plan_err!(
            "`{}`: argument `{name}` must be {expected}, found {}",
            self.function,
            found.kind()
        )
    }
}

#[cfg(test)]
mod tests {
    use datafusion_expr::{LogicalPlanBuilder, col, lit, placeholder};

    use super::*;

    fn listed(name: &str) -> ListedColumn {
        ListedColumn {
            name: name.into(),
            expr: col(name),
            call: None,
            values: vec![],
            relation: None,
        }
    }

    #[test]
    fn arguments_are_found_by_name_and_kind() -> Result<()> {
        let plan = LogicalPlanBuilder::empty(true).build()?;
        let arguments = Arguments::new("shift")
            .with_relation("input", plan.clone())
            .with_column("by", col("a"))
            .with_columns("keys", vec![listed("b")])
            .with_scalar("steps", lit(3_i64))
            .with_scalar("later", placeholder("$1"));
        assert_eq!(arguments.function(), "shift");
        assert_eq!(arguments.relation("input")?, &plan);
        assert_eq!(arguments.optional_relation("input")?, Some(&plan));
        assert_eq!(arguments.optional_relation("beside")?, None);
        assert_eq!(arguments.column("by")?, &col("a"));
        assert_eq!(arguments.optional_column("by")?, Some(&col("a")));
        assert_eq!(arguments.optional_column("over")?, None);
        assert_eq!(arguments.columns("keys")?.len(), 1);
        assert_eq!(arguments.columns("others")?.len(), 0);
        assert_eq!(arguments.literal("steps")?, &ScalarValue::Int64(Some(3)));
        assert_eq!(arguments.scalar("later")?, &placeholder("$1"));

        let message = |result: Result<String>| {
            result.err().map(|error| error.strip_backtrace()).unwrap_or_default()
        };
        assert_eq!(
            message(arguments.column("over").map(Expr::to_string)),
            "Error during planning: `shift`: argument `over` is missing"
        );
        assert_eq!(
            message(arguments.column("input").map(Expr::to_string)),
            "Error during planning: `shift`: argument `input` must be a column, found a relation"
        );
        assert_eq!(
            message(arguments.columns("by").map(|_| String::new())),
            "Error during planning: `shift`: argument `by` must be a list of columns, found a column"
        );
        assert_eq!(
            message(arguments.literal("later").map(ScalarValue::to_string)),
            "Error during planning: `shift`: argument `later` must be a literal, found `$1`"
        );
        Ok(())
    }
}
