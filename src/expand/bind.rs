// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The arguments of one call, checked against what the callee takes. Every error names the parameter, what was expected,
//! what was found and what to write, and stands under the argument in the caller's SQL.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::common::{DFSchema, Span, TableReference};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Spanned, TableFactor, Value,
    ValueWithSpan,
};

use super::scope::{fresh, keep};
use super::{Call, TableFunctions, call_of, normalise};
use crate::diagnostic::{nearest, or_list};
use crate::error::{Error, Result};
use crate::library::{Definition, Input, Kind, Parameter};
use crate::statement::table_factor;

mod columns;
mod constant;
mod relation_function;

use columns::{column_argument, columns, null_of};
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
            let table = functions.table_read_by(definition, reference.clone());
            match table.map_err(|e| e.at(call.span()))? {
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
        Expr::Value(ValueWithSpan { value: Value::EscapedStringLiteral(_), span }) => {
            return Err(Error::usage(format!(
                "`{parameter}` takes a relation, and the text of a parameter is not a name"
            ))
            .at(Span::try_from_sqlparser_span(*span))
            .hint(
                "declare the parameter as IDENTIFIER and write it in quotes, as in `\"$name\"`",
            ));
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
        && !columns::reads_outer(&constant)
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
