// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The arguments of one call, checked against what the callee takes. Every error names the parameter, what was expected,
//! what was found and what to write, and stands under the argument in the caller's SQL.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, DFSchemaRef, ScalarValue, Span, TableReference};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{
    Expr as PlanExpr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, lit,
};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Spanned, TableFactor, Value,
    ValueWithSpan,
};

use super::{Call, MARK, TableFunctions, call_of, fresh, keep, normalise, table_factor};
use crate::diagnostic::{nearest, or_list};
use crate::error::{Error, Result};
use crate::library::{Class, Column, Definition, Input, Kind, Parameter};
use crate::statement::walk::{self, EachExpr};

mod constant;
mod relation_function;

pub(super) use constant::is_text;
use constant::{check_scalar, text, typed};
pub(super) use relation_function::relation_function;

/// What the body of a macro is rewritten with.
#[derive(Default)]
pub(super) struct Bound {
    /// Relation parameter → the name under which its plan is kept.
    pub relations: HashMap<String, String>,
    /// Every other parameter → what stands for it in the body.
    pub scalars: HashMap<String, Expr>,
    /// The parameters that the call gave, or whose columns the relation has: `given(name)` in a body.
    pub given: HashSet<String>,
    /// A column argument's hidden name → the name it has in a result.
    pub hidden: HashMap<String, String>,
    /// Whether the call gave a column, and not only relations and constants.
    pub written_columns: bool,
}

impl Bound {
    /// Takes the hidden columns that a `SELECT *` in the body let through off the result.
    pub(super) fn finish(&self, plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        let is_hidden = |name: &str| self.hidden.contains_key(name);
        if !plan.schema().fields().iter().any(|f| is_hidden(f.name())) {
            return Ok(plan);
        }
        let shown: Vec<PlanExpr> = plan
            .schema()
            .columns()
            .into_iter()
            .filter(|c| !is_hidden(&c.name))
            .map(PlanExpr::Column)
            .collect();
        LogicalPlanBuilder::from(plan).project(shown)?.build()
    }
}

/// Where an argument stands.
fn place_of(argument: &FunctionArg) -> Option<Span> {
    match argument {
        FunctionArg::Named { name, .. } => {
            Span::try_from_sqlparser_span(name.span.union(&argument.span()))
        }
        other => Span::try_from_sqlparser_span(other.span()),
    }
}

/// Arguments by parameter name, in any order, each at most once.
fn assign<'a>(
    callee: &str,
    names: &[(String, bool)],
    arguments: &'a [FunctionArg],
) -> Result<HashMap<String, (&'a FunctionArg, &'a Expr)>> {
    let mut given: HashMap<String, (&FunctionArg, &Expr)> = HashMap::new();
    let mut places = names.iter().filter(|(_, positional)| *positional).map(|(name, _)| name);
    let mut named_before = false;
    for argument in arguments {
        let place = place_of(argument);
        let (name, value) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => {
                if named_before {
                    return Err(Error::query("an argument without a name follows one with a name")
                        .at(place));
                }
                let count = names.iter().filter(|(_, positional)| *positional).count();
                let name = places.next().ok_or_else(|| {
                    Error::query(format!(
                        "`{callee}` takes at most {count} arguments without a name"
                    ))
                    .at(place)
                    .note(format!("its parameters are {}", in_order(names)))
                })?;
                (name.clone(), value)
            }
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                named_before = true;
                let name = normalise(name);
                if !names.iter().any(|(n, _)| *n == name) {
                    let error =
                        Error::query(format!("`{callee}` has no parameter `{name}`")).at(place);
                    return Err(
                        match nearest(&name, names.iter().map(|(n, _)| n.as_str())).as_slice() {
                            [] => error.note(format!("its parameters are {}", in_order(names))),
                            near => error.hint(format!("did you mean {}?", or_list(near))),
                        },
                    );
                }
                (name, value)
            }
            other => {
                return Err(Error::query(format!("`{other}` cannot be an argument of `{callee}`"))
                    .at(place));
            }
        };
        if given.insert(name.clone(), (argument, value)).is_some() {
            return Err(Error::query(format!("`{name}` is given twice")).at(place));
        }
    }
    Ok(given)
}

fn in_order(names: &[(String, bool)]) -> String {
    names.iter().map(|(n, _)| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

/// Binds a call of a macro.
pub(super) fn definition(
    functions: &TableFunctions,
    definition: &Definition,
    call: &Call,
    context: &mut dyn RelationPlannerContext,
) -> Result<Bound> {
    let names: Vec<(String, bool)> =
        definition.parameters.iter().map(|p| (p.name.clone(), p.positional)).collect();
    let given = assign(&call.shown, &names, &call.arguments)?;
    let mut bound = Bound { given: given.keys().cloned().collect(), ..Bound::default() };
    bound.written_columns = definition
        .parameters
        .iter()
        .filter(|p| !p.inherited && given.contains_key(&p.name))
        .any(|p| matches!(p.kind, Kind::Column(_) | Kind::Free));
    let mut plans: HashMap<&str, LogicalPlan> = HashMap::new();

    for parameter in definition.parameters.iter().filter(|p| !p.inherited) {
        let Kind::Relation(input) = &parameter.kind else { continue };
        let argument = given.get(&parameter.name).copied();
        // A parameter that also takes a word: the word is the scalar, anything else the relation.
        if let Some(scalar) = &input.or_scalar {
            let word = match argument {
                Some((_, value)) if is_text(value) => Some(value),
                Some(_) => None,
                None => parameter.default.as_ref(),
            };
            let value = word.cloned().unwrap_or_else(|| text("relation"));
            if word.is_some() {
                let place = argument.and_then(|(a, _)| place_of(a));
                check_scalar(functions, parameter, scalar, &value, context).map_err(|e| {
                    e.at(place).note(format!("`{}` also takes a relation", parameter.name))
                })?;
                bound.given.remove(&parameter.name);
            }
            bound.scalars.insert(parameter.name.clone(), typed(value, scalar));
            if word.is_some() {
                plans.insert(&parameter.name, empty(input)?);
                continue;
            }
        }
        let plan = relation_parameter(
            functions, definition, parameter, input, argument, &given, call, context,
        )?;
        plans.insert(&parameter.name, plan);
    }

    for parameter in definition.parameters.iter().filter(|p| !p.inherited) {
        let argument = given.get(&parameter.name).copied();
        match &parameter.kind {
            Kind::Scalar(scalar) => {
                let place = argument.and_then(|(a, _)| place_of(a)).or(call.span());
                let value = argument
                    .map(|(_, v)| v)
                    .or(parameter.default.as_ref())
                    .ok_or_else(|| missing(call, definition, parameter).at(call.span()))?;
                if argument.is_some() {
                    check_scalar(functions, parameter, scalar, value, context)
                        .map_err(|e| e.at(place))?;
                }
                bound.scalars.insert(parameter.name.clone(), typed(value.clone(), scalar));
            }
            Kind::Free => {
                let value = argument
                    .map(|(_, v)| v)
                    .or(parameter.default.as_ref())
                    .ok_or_else(|| missing(call, definition, parameter).at(call.span()))?;
                let place = argument.and_then(|(a, _)| place_of(a)).or(call.span());
                free(&mut bound, &mut plans, definition, parameter, value, context)
                    .map_err(|e| e.at(place))?;
            }
            // A relation is bound above; a column's own relation reads it below.
            Kind::Relation(_) | Kind::Column(_) => {}
        }
    }

    for parameter in definition.parameters.iter().filter(|p| !p.inherited) {
        let Kind::Relation(input) = &parameter.kind else { continue };
        let Some(plan) = plans.remove(parameter.name.as_str()) else { continue };
        let absent =
            input.optional && !bound.given.contains(&parameter.name) && parameter.default.is_none()
                || input.or_scalar.is_some() && !bound.given.contains(&parameter.name);
        let plan = if input.columns.is_empty() || absent {
            plan
        } else {
            let shown =
                given.get(&parameter.name).map_or(parameter.name.clone(), |(_, v)| shown(v));
            columns(&mut bound, input, plan, &given, &shown, call, context)?
        };
        bound.relations.insert(parameter.name.clone(), keep(&parameter.name, plan));
    }
    Ok(bound)
}

fn missing(call: &Call, definition: &Definition, parameter: &Parameter) -> Error {
    let error = Error::query(format!("`{}` needs the argument `{}`", call.shown, parameter.name));
    let error = if parameter.meaning.is_empty() {
        error
    } else {
        error.note(format!("`{}`: {}", parameter.name, parameter.meaning))
    };
    error.hint(format!("write `{}`", definition.signature()))
}

/// The plan of a relation parameter, before its columns are picked.
#[expect(
    clippy::too_many_arguments,
    reason = "all of it is one call's context; a struct would be built for this one use"
)]
fn relation_parameter(
    functions: &TableFunctions,
    definition: &Definition,
    parameter: &Parameter,
    input: &Input,
    argument: Option<(&FunctionArg, &Expr)>,
    given: &HashMap<String, (&FunctionArg, &Expr)>,
    call: &Call,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    if let Some((through, fixed)) = &input.through {
        let mut arguments: Vec<FunctionArg> = argument
            .map(|(_, value)| FunctionArg::Unnamed(FunctionArgExpr::Expr(value.clone())))
            .into_iter()
            .collect();
        arguments.extend(fixed.iter().filter_map(|a| passed_on(a, definition, given)));
        arguments.extend(
            definition
                .parameters
                .iter()
                .filter(|p| p.inherited && through.parameter(&p.name).is_some())
                .filter_map(|p| given.get(&p.name).map(|(argument, _)| (*argument).clone())),
        );
        let name = Ident { value: through.name.clone(), quote_style: None, span: call.name.span };
        return functions.expand(Call { name, shown: call.shown.clone(), arguments }, context);
    }
    match (argument, &parameter.default) {
        (Some((argument, value)), _) => relation(functions, &parameter.name, value, context)
            .map_err(|e| if e.span.is_some() { e } else { e.at(place_of(argument)) }),
        // A default is the definition's word, not the caller's: it reads the catalog, whatever is in scope.
        (None, Some(default)) => {
            let reference = TableReference::bare(default.to_string());
            match functions.catalog_table(reference.clone()).map_err(|e| e.at(call.span()))? {
                Some(plan) => Ok(plan),
                None if input.optional => empty(input),
                None => Err(functions
                    .unknown_table(&reference)
                    .at(call.span())
                    .note(format!("`{}` reads it when no relation is given", call.shown))
                    .hint(format!("give the relation: `{}(my_table)`", call.shown))),
            }
        }
        (None, None) if input.optional => empty(input),
        (None, None) => Err(missing(call, definition, parameter).at(call.span())),
    }
}

/// An argument that an analysis always gives to the one a relation is read through: a constant, or its own parameter of the
/// name that stands there, which is left to the other's default where the caller leaves it out.
fn passed_on(
    fixed: &FunctionArg,
    definition: &Definition,
    given: &HashMap<String, (&FunctionArg, &Expr)>,
) -> Option<FunctionArg> {
    let FunctionArg::Named { name, arg: FunctionArgExpr::Expr(Expr::Identifier(own)), operator } =
        fixed
    else {
        return Some(fixed.clone());
    };
    definition.parameter(&own.value)?;
    let (argument, value) = given.get(&own.value)?;
    Some(FunctionArg::Named {
        name: Ident { span: argument.span(), ..name.clone() },
        arg: FunctionArgExpr::Expr((*value).clone()),
        operator: operator.clone(),
    })
}

/// Plans a relation argument: a name, a quoted name or file, a subquery, or another call.
pub(super) fn relation(
    functions: &TableFunctions,
    parameter: &str,
    value: &Expr,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let plan = match value {
        Expr::Nested(inner) => return relation(functions, parameter, inner, context),
        Expr::Subquery(query) => context.plan(TableFactor::Derived {
            lateral: false,
            subquery: query.clone(),
            alias: None,
            sample: None,
        })?,
        Expr::Identifier(name) => {
            functions.named_relation(ObjectName::from(vec![name.clone()]), context)?
        }
        Expr::CompoundIdentifier(names) => {
            functions.named_relation(ObjectName::from(names.clone()), context)?
        }
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(name), span }) => {
            let name = Ident { value: name.clone(), quote_style: Some('"'), span: *span };
            functions.named_relation(ObjectName::from(vec![name]), context)?
        }
        Expr::Function(function) => {
            let call = call_of(function.clone())?;
            match (normalise(&call.name).as_str(), call.arguments.as_slice()) {
                // `TABLE(orders)`, the standard's spelling of a relation argument.
                ("table", [FunctionArg::Unnamed(FunctionArgExpr::Expr(inner))]) => {
                    return relation(functions, parameter, inner, context);
                }
                _ => context.plan(table_factor(function.name.clone(), Some(call.arguments)))?,
            }
        }
        other => {
            return Err(Error::query(format!("`{parameter}` takes a relation; found `{other}`"))
                .at(Span::try_from_sqlparser_span(other.span()))
                .hint("write a table's name, a quoted file, `(SELECT …)` or another table function's call"));
        }
    };
    Ok(functions.argument(plan))
}

/// How an error names a relation argument.
fn shown(value: &Expr) -> String {
    match value {
        Expr::Subquery(_) => "the subquery".into(),
        Expr::Function(function) => function.name.to_string(),
        other => other.to_string().trim_matches('\'').to_string(),
    }
}

/// A relation that is not given: no rows, the declared columns.
fn empty(input: &Input) -> Result<LogicalPlan> {
    let columns: Vec<PlanExpr> =
        input.columns.iter().map(|c| lit(null_of(c.class)).alias(c.name.as_str())).collect();
    let one = LogicalPlanBuilder::empty(true);
    if columns.is_empty() {
        return Ok(LogicalPlanBuilder::empty(false).build()?);
    }
    Ok(one.project(columns)?.filter(lit(false))?.build()?)
}

fn null_of(class: Class) -> ScalarValue {
    match class {
        // Nothing is known of its type, and it must not decide that of an expression it meets.
        Class::Any => ScalarValue::Null,
        Class::Varchar => ScalarValue::Utf8View(None),
        Class::Numeric => ScalarValue::Decimal128(None, 18, 4),
        Class::Timestamp => ScalarValue::TimestampMicrosecond(None, None),
        Class::Date => ScalarValue::Date32(None),
        Class::Boolean => ScalarValue::Boolean(None),
        Class::Integer => ScalarValue::Int64(None),
    }
}

/// Picks what the body reads from a relation, by name, by mapping or by replacement.
fn columns(
    bound: &mut Bound,
    input: &Input,
    plan: LogicalPlan,
    given: &HashMap<String, (&FunctionArg, &Expr)>,
    relation: &str,
    call: &Call,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let mut picked = vec![];
    let mut lacking = vec![];
    for column in &input.columns {
        if let Some((argument, value)) = given.get(&column.parameter) {
            let place = place_of(argument);
            let expr = column_argument(&column.parameter, value, &schema, relation, context)
                .map_err(|e| e.at(place))?;
            if expr != PlanExpr::Literal(ScalarValue::Null, None) || !column.optional {
                picked.push(
                    classed(column, expr, &schema, Some(&value.to_string()))
                        .map_err(|e| e.at(place))?,
                );
            } else {
                // `order_id => NULL`: the caller says that there is none.
                bound.given.remove(&column.parameter);
                picked.push(lit(null_of(column.class)).alias(column.name.as_str()));
            }
        } else if let Some(field) = schema.fields().iter().position(|f| f.name() == &column.name) {
            bound.given.insert(column.parameter.clone());
            let (qualifier, field) = schema.qualified_field(field);
            let expr = PlanExpr::from((qualifier, field));
            picked.push(classed(column, expr, &schema, None).map_err(|e| {
                e.at(call.span()).hint(format!(
                    "write `{} => …` with an expression over `{relation}`",
                    column.parameter
                ))
            })?);
        } else if let Some(expr) =
            column.instead.iter().find_map(|e| context.sql_to_expr(e.clone(), &schema).ok())
        {
            // A column that may be missing is there; one that may not is worked out from others, which bodies can tell.
            if column.optional {
                bound.given.insert(column.parameter.clone());
            }
            picked.push(classed(column, expr, &schema, None).map_err(|e| e.at(call.span()))?);
        } else if column.optional {
            picked.push(lit(null_of(column.class)).alias(column.name.as_str()));
        } else {
            lacking.push(column);
        }
    }
    if !lacking.is_empty() {
        return Err(lacking_columns(call, &lacking, &schema, relation).at(call.span()));
    }
    Ok(LogicalPlanBuilder::from(plan).project(picked)?.build()?)
}

fn lacking_columns(
    call: &Call,
    lacking: &[&Column],
    schema: &DFSchemaRef,
    relation: &str,
) -> Error {
    let names: Vec<String> = lacking.iter().map(|c| c.name.clone()).collect();
    let all = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    let error =
        Error::query(format!("`{}` needs {all}, which {relation} does not have", call.shown));
    let found: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let error = error.note(format!(
        "{relation} has {}",
        found.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
    ));
    let mappings: Vec<String> = lacking
        .iter()
        .map(|column| {
            let known = |name: &&str| column.aliases.iter().any(|a| a.eq_ignore_ascii_case(name));
            let near = found.iter().find(|f| known(f)).map(|f| (*f).to_string());
            let near =
                near.or_else(|| nearest(&column.name, found.iter().copied()).into_iter().next());
            format!("{} => {}", column.parameter, near.map_or("…".into(), |n| quoted(&n)))
        })
        .collect();
    error.hint(format!(
        "say which columns they are: `{}({relation}, {})`",
        call.shown,
        mappings.join(", ")
    ))
}

/// A name as it must be written in SQL.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain { name.to_string() } else { format!("\"{name}\"") }
}

/// A column argument in the scope of the relation it belongs to. A name written without quotes finds a column that
/// differs only in case, as long as there is one such column.
fn column_argument(
    parameter: &str,
    value: &Expr,
    schema: &DFSchemaRef,
    relation: &str,
    context: &mut dyn RelationPlannerContext,
) -> Result<PlanExpr> {
    let mut value = value.clone();
    let as_written = &mut EachExpr(|expr: &mut Expr| {
        if let Expr::Identifier(ident) = expr
            && ident.quote_style.is_none()
            && schema.field_with_unqualified_name(&ident.value.to_lowercase()).is_err()
        {
            let mut same =
                schema.fields().iter().filter(|f| f.name().eq_ignore_ascii_case(&ident.value));
            if let (Some(field), None) = (same.next(), same.next()) {
                ident.value.clone_from(field.name());
                ident.quote_style = Some('"');
            }
        }
        std::ops::ControlFlow::Continue(())
    });
    let _ = walk::expr(&mut value, as_written);
    let planned = context.sql_to_expr(value.clone(), schema).map_err(|e| {
        let error = Error::from(e);
        let found: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        match &value {
            Expr::Identifier(ident) => {
                let error = Error::query(format!("{relation} has no column `{}`", ident.value));
                match nearest(&ident.value, found.iter().copied()).as_slice() {
                    [] => error.note(format!("{relation} has {}", found.join(", "))),
                    near => {
                        error.hint(format!("did you mean `{parameter} => {}`?", quoted(&near[0])))
                    }
                }
            }
            _ => error,
        }
    })?;
    let outer = planned.exists_outer();
    if outer {
        return Err(Error::query(format!(
            "`{parameter}` reads a column that is not in {relation}"
        )));
    }
    Ok(planned)
}

trait Outer {
    fn exists_outer(&self) -> bool;
}

impl Outer for PlanExpr {
    fn exists_outer(&self) -> bool {
        use datafusion::common::tree_node::TreeNode;
        self.exists(|e| Ok(matches!(e, PlanExpr::OuterReferenceColumn(..)))).unwrap_or(true)
    }
}

/// Checks a column's type and gives it the parameter's name.
fn classed(
    column: &Column,
    expr: PlanExpr,
    schema: &DFSchemaRef,
    written: Option<&str>,
) -> Result<PlanExpr> {
    let found = expr.get_type(schema.as_ref())?;
    let found = match &found {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        other => other.clone(),
    };
    let accepted = match column.class {
        Class::Any => true,
        Class::Numeric => found.is_numeric(),
        Class::Timestamp => {
            matches!(found, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
        }
        Class::Date => {
            matches!(found, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
        }
        Class::Varchar => {
            matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        }
        Class::Boolean => found == DataType::Boolean,
        Class::Integer => found.is_integer(),
    };
    let unknown = found == DataType::Null;
    if !accepted && !unknown {
        let what = written.map_or(format!("the column `{}`", column.name), |w| format!("`{w}`"));
        let error = Error::query(format!(
            "`{}` takes {}; {what} is of type {found}",
            column.name,
            column.class.expected()
        ));
        return Err(match (column.class, &found) {
            (Class::Timestamp, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8) => error
                .hint(format!(
                    "write `{} => to_timestamp({}, '%Y-%m-%d %H:%M:%S')`",
                    column.name,
                    written.unwrap_or(&column.name)
                )),
            (Class::Timestamp, other) if other.is_integer() => error.hint(format!(
                "for a day like 20240131 write `{} => to_timestamp(CAST({} AS VARCHAR), '%Y%m%d')`",
                column.name,
                written.unwrap_or(&column.name)
            )),
            (Class::Numeric, _) => error.hint(format!(
                "write `{} => CAST({} AS DECIMAL(18,4))`",
                column.name,
                written.unwrap_or(&column.name)
            )),
            (Class::Varchar, _) => error.hint(format!(
                "write `{} => CAST({} AS VARCHAR)`",
                column.name,
                written.unwrap_or(&column.name)
            )),
            _ => error,
        });
    }
    let expr = match (column.class, &found) {
        (_, DataType::Null) => cast(expr, null_of(column.class).data_type()),
        (Class::Timestamp, DataType::Date32 | DataType::Date64) => {
            cast(expr, DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        // A time zone is only how an instant is shown; analyses count in UTC.
        (Class::Timestamp, DataType::Timestamp(unit, Some(_))) => {
            cast(expr, DataType::Timestamp(*unit, None))
        }
        (Class::Date, DataType::Timestamp(..) | DataType::Date64) => cast(expr, DataType::Date32),
        _ => expr,
    };
    Ok(expr.alias(column.name.as_str()))
}

/// A parameter of an analyst's own macro: a constant stands for itself, an expression over one of the relations becomes
/// a column of that relation under a name that nothing else can have.
fn free<'d>(
    bound: &mut Bound,
    plans: &mut HashMap<&'d str, LogicalPlan>,
    definition: &'d Definition,
    parameter: &Parameter,
    value: &Expr,
    context: &mut dyn RelationPlannerContext,
) -> Result<()> {
    let nothing = DFSchema::empty();
    if let Ok(constant) = context.sql_to_expr(value.clone(), &nothing)
        && !constant.exists_outer()
    {
        bound.scalars.insert(parameter.name.clone(), Expr::Nested(Box::new(value.clone())));
        return Ok(());
    }
    let mut failed = None;
    for relation in definition.parameters.iter().filter(|p| matches!(p.kind, Kind::Relation(_))) {
        let Some(plan) = plans.get(relation.name.as_str()) else { continue };
        let schema = Arc::clone(plan.schema());
        match column_argument(
            &parameter.name,
            value,
            &schema,
            &format!("`{}`", relation.name),
            context,
        ) {
            Ok(expr) => {
                let hidden = fresh(&parameter.name);
                let name = match &expr {
                    PlanExpr::Column(column) => column.name.clone(),
                    _ => parameter.name.clone(),
                };
                let mut all: Vec<PlanExpr> =
                    schema.columns().into_iter().map(PlanExpr::Column).collect();
                all.push(expr.alias(hidden.as_str()));
                let plan = LogicalPlanBuilder::from(plan.clone()).project(all)?.build()?;
                plans.insert(&relation.name, plan);
                bound.scalars.insert(
                    parameter.name.clone(),
                    Expr::Identifier(Ident::with_quote('"', hidden.clone())),
                );
                bound.hidden.insert(hidden, name);
                return Ok(());
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Err(failed.unwrap_or_else(|| {
        Error::query(format!(
            "`{}` is not a constant, and `{}` has no relation to read it from",
            value, definition.name
        ))
    }))
}

/// True for a name that an expansion made up.
pub(super) fn is_made_up(name: &str) -> bool {
    name.contains(MARK)
}
