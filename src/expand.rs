// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `name(relation, arg => value)` → an ordinary logical plan, at planning time.
//!
//! [`TableFunctions`] is a DataFusion [`RelationPlanner`]. For a call it plans the relation arguments in the caller's
//! scope, checks every other argument against the definition, rewrites a copy of the macro's query so that nothing in it
//! can meet a name of the caller's (`rewrite`), and plans the copy as a derived table. What remains is relational
//! operators and functions by name: projections and filters push through the call, and the plan can be sent elsewhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use comptoir_udfs::RelationFunction;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Span, TableReference};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Spanned,
    TableFactor,
};

use crate::diagnostic::{nearest, or_list};
use crate::error::{Error, Result};
use crate::library::{Definition, Library, normalised as normalise};

mod bind;
mod fold;
mod listing;
mod lookup;
mod manual;
mod marker;
mod own;
mod rewrite;
mod scalar_macro;
mod scope;

pub(crate) use listing::Line;
pub(crate) use lookup::table_names;
pub use manual::{Argument, Manual, Role};
pub use marker::{Marker, Origin};
pub(crate) use scalar_macro::ScalarMacro;
use scope::{Body, Frame};

/// The table functions of a session: the library's, those written in Rust, and the analyst's own.
#[derive(Debug)]
pub struct TableFunctions {
    state: Weak<parking_lot::RwLock<SessionState>>,
    library: RwLock<Library>,
    relations: BTreeMap<String, Arc<dyn RelationFunction>>,
    own: RwLock<BTreeMap<String, Arc<Definition>>>,
    scalars: RwLock<BTreeMap<String, Arc<ScalarMacro>>>,
    /// Whether plans say which parts are whose.
    marks: AtomicBool,
}

/// What a name in `FROM name(…)` stands for.
#[derive(Clone, Debug)]
enum Callee {
    Sql(Arc<Definition>),
    Rust(Arc<dyn RelationFunction>),
    Listing,
}

/// A call as it was written.
struct Call {
    name: Ident,
    /// The name that the caller wrote, for messages: an analysis may be called on behalf of another.
    shown: String,
    arguments: Vec<FunctionArg>,
}

impl Call {
    fn new(name: Ident, arguments: Vec<FunctionArg>) -> Self {
        Self { shown: normalise(&name), name, arguments }
    }

    fn span(&self) -> Option<Span> {
        Span::try_from_sqlparser_span(self.name.span)
    }
}

/// The name of the function that lists all functions.
pub const LISTING: &str = "functions";

impl TableFunctions {
    /// The functions of a session that knows the library.
    pub fn new(state: Weak<parking_lot::RwLock<SessionState>>, library: Library) -> Self {
        let relations =
            comptoir_udfs::relations().into_iter().map(|f| (f.name().to_string(), f)).collect();
        Self {
            state,
            library: RwLock::new(library),
            relations,
            own: RwLock::default(),
            scalars: RwLock::default(),
            marks: AtomicBool::new(false),
        }
    }

    /// From now on expansions stand between markers, which somebody has to take out of every plan before it is run.
    pub fn mark_expansions(&self) {
        self.marks.store(true, Ordering::Relaxed);
    }

    /// A relation that the caller of an analysis gives it. What an analysis gives another is not the caller's.
    fn argument(&self, plan: LogicalPlan) -> LogicalPlan {
        match self.marks.load(Ordering::Relaxed) && self.is_callers_text() {
            true => Marker::around(plan, Origin::Argument),
            false => plan,
        }
    }

    /// Whether what is being planned was written by the caller, and not by an analysis of the library.
    fn is_callers_text(&self) -> bool {
        let innermost = scope::innermost();
        innermost.is_none_or(|name| lock(&self.own).contains_key(&name))
    }

    /// Every name that can stand in `FROM name(…)`.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = lock(&self.library).names().cloned().collect();
        names.extend(self.relations.keys().cloned());
        names.extend(lock(&self.own).keys().cloned());
        names.push(LISTING.to_string());
        if let Ok(state) = self.state() {
            names.extend(state.read().table_functions().keys().cloned());
        }
        names.sort();
        names
    }

    /// Every function of the session, ordered by name and kind.
    pub(crate) fn lines(&self) -> Result<Vec<Line>> {
        listing::lines(self)
    }

    /// True when the name is one of ours, so that other parts can say `it is a table function`.
    pub fn knows(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<Callee> {
        if name == LISTING {
            return Some(Callee::Listing);
        }
        if let Some(own) = lock(&self.own).get(name) {
            return Some(Callee::Sql(Arc::clone(own)));
        }
        if let Some(definition) = lock(&self.library).find(name) {
            return Some(Callee::Sql(definition));
        }
        self.relations.get(name).map(|f| Callee::Rust(Arc::clone(f)))
    }

    fn state(&self) -> Result<Arc<parking_lot::RwLock<SessionState>>> {
        self.state
            .upgrade()
            .ok_or_else(|| Error::query("the session that these functions belong to has ended"))
    }

    /// Plans a call in the caller's scope.
    fn expand(&self, call: Call, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
        let name = normalise(&call.name);
        let place = call.span();
        let callee = self.find(&name).ok_or_else(|| self.unknown(&name).at(place))?;
        let _frame = Frame::enter();
        let plan = match &callee {
            Callee::Listing => {
                if !call.arguments.is_empty() {
                    return Err(Error::query(format!("`{LISTING}` takes no arguments")).at(place));
                }
                listing::plan(self)?
            }
            Callee::Rust(function) => {
                let arguments = bind::relation_function(self, function.as_ref(), &call, context)?;
                function.plan(arguments).map_err(|e| inside(e, &name).at(place))?
            }
            Callee::Sql(definition) => {
                let bound = bind::definition(self, definition, &call, context)?;
                let origin =
                    self.marks.load(Ordering::Relaxed).then(|| self.origin(definition, &bound));
                let _body = Body::enter(&name).map_err(|e| e.at(place))?;
                let body = rewrite::body(self, definition, &bound).map_err(|e| e.at(place))?;
                let planned = context.plan(TableFactor::Derived {
                    lateral: false,
                    subquery: Box::new(body),
                    alias: None,
                    sample: None,
                });
                let planned = planned.map_err(|e| inside(e, &name).at(place))?;
                let planned = bound.finish(planned).map_err(|e| inside(e, &name).at(place))?;
                match origin.flatten() {
                    Some(origin) => Marker::around(planned, origin),
                    None => planned,
                }
            }
        };
        typed_placeholders(plan)
            .and_then(|plan| {
                LogicalPlanBuilder::from(plan).alias(TableReference::bare(name.clone()))
            })
            .and_then(LogicalPlanBuilder::build)
            .map_err(|e| inside(e, &name).at(place))
    }

    /// What the marker of an expansion says; a macro of the session is its analyst's own text and has none.
    fn origin(&self, definition: &Definition, bound: &bind::Bound) -> Option<Origin> {
        (!definition.is_own()).then(|| Origin::Analysis {
            name: definition.name.clone(),
            grain: definition.grain.clone(),
            groups: definition.groups.clone(),
            withheld: definition.withheld.clone(),
            given_columns: bound.written_columns && self.is_callers_text(),
        })
    }

    fn unknown(&self, name: &str) -> Error {
        let names = self.names();
        let error = Error::query(format!("there is no table function `{name}`"));
        match nearest(name, names.iter().map(String::as_str)).as_slice() {
            [] => error.hint(format!(
                "`SELECT name, description FROM {LISTING}() WHERE kind = 'table'` lists them"
            )),
            near => error.hint(format!("did you mean {}?", or_list(near))),
        }
    }
}

impl RelationPlanner for TableFunctions {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning, DataFusionError> {
        let (call, alias) = match relation {
            // DataFusion parses a sample and then reads the whole table: a wrong answer, and for groups a leak.
            TableFactor::Table { sample: Some(_), ref name, .. } => {
                return Err(Error::query(
                    "TABLESAMPLE is not supported: it would be read and ignored",
                )
                .at(Span::try_from_sqlparser_span(name.span()))
                .hint("filter on a hash of the key instead, which gives the same rows every time")
                .into());
            }
            TableFactor::Derived { sample: Some(_), .. } => {
                return Err(Error::query(
                    "TABLESAMPLE is not supported: it would be read and ignored",
                )
                .hint("filter on a hash of the key instead, which gives the same rows every time")
                .into());
            }
            TableFactor::Table { ref name, args: Some(_), with_ordinality: true, .. } => {
                return Err(Error::query(
                    "WITH ORDINALITY is not supported: it would be read and ignored",
                )
                .at(Span::try_from_sqlparser_span(name.span()))
                .hint("number the rows with `row_number() OVER (ORDER BY …)`")
                .into());
            }
            TableFactor::Table { ref name, args: Some(_), .. } if name.0.len() > 1 => {
                return Err(Error::query(format!(
                    "`{name}`: a table function's name has no schema"
                ))
                .at(Span::try_from_sqlparser_span(name.span()))
                .hint(format!("write `{}(…)`", last_ident(name)))
                .into());
            }
            TableFactor::Table { ref name, args: None, .. } => {
                let bound = match name.0.as_slice() {
                    [one] => one.as_ident().and_then(|i| scope::kept(&i.value)),
                    _ => None,
                };
                match (bound, relation) {
                    (Some(plan), TableFactor::Table { alias, .. }) => {
                        return Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
                            plan, alias,
                        ))));
                    }
                    (_, relation) => return Ok(RelationPlanning::Original(Box::new(relation))),
                }
            }
            TableFactor::Table { name, alias, args: Some(arguments), .. }
                if !self.is_theirs(&normalise(&last_ident(&name))) =>
            {
                (Call::new(last_ident(&name), arguments.args), alias)
            }
            // `TABLE(name(…))`, the standard's spelling.
            TableFactor::TableFunction { expr: Expr::Function(function), alias } => {
                (call_of(function)?, alias)
            }
            TableFactor::Function { lateral, name, args, .. }
                if self.knows(&normalise(&last_ident(&name)))
                    || args.iter().any(|a| !matches!(a, FunctionArg::Unnamed(_))) =>
            {
                // DataFusion would drop the names and take the values by position.
                let word = if lateral { "LATERAL " } else { "" };
                let place = Span::try_from_sqlparser_span(name.span());
                let written: Vec<String> = args.iter().map(ToString::to_string).collect();
                return Err(Error::query(format!(
                    "`{word}{name}(…)` cannot take a table function's arguments"
                ))
                .at(place)
                .hint(format!("write `{name}({})` without LATERAL", written.join(", ")))
                .into());
            }
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let plan = self.expand(call, context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

impl TableFunctions {
    /// True for a table function that somebody else registered with the session.
    fn is_theirs(&self, name: &str) -> bool {
        !self.knows(name)
            && self.state().is_ok_and(|s| s.read().table_functions().contains_key(name))
    }
}

/// Gives `CAST($1 AS T)`, which is how a constant parameter stands in a body, the type that the cast says: DataFusion
/// infers the types of a prepared statement's values from comparisons only.
fn typed_placeholders(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let typed = |expr: PlanExpr| {
        let PlanExpr::Cast(mut cast) = expr else { return Ok(Transformed::no(expr)) };
        let mut changed = false;
        if let PlanExpr::Placeholder(placeholder) = cast.expr.as_mut()
            && placeholder.field.is_none()
        {
            placeholder.field = Some(Arc::clone(&cast.field));
            changed = true;
        }
        Ok(Transformed::new_transformed(PlanExpr::Cast(cast), changed))
    };
    let done =
        plan.transform_up_with_subqueries(|node| node.map_expressions(|e| e.transform_up(typed)))?;
    Ok(done.data)
}

/// An error from within a macro's body: its places count in another text, so only its words are kept.
fn inside(error: DataFusionError, name: &str) -> Error {
    let error = Error::from(error);
    Error { span: None, ..error }.context(format!("in `{name}`"))
}

fn call_of(function: Function) -> Result<Call> {
    let name = last_ident(&function.name);
    match function.args {
        FunctionArguments::List(list) => Ok(Call::new(name, list.args)),
        FunctionArguments::None => Ok(Call::new(name, vec![])),
        FunctionArguments::Subquery(query) => Ok(Call::new(
            name,
            vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(query)))],
        )),
    }
}

fn last_ident(name: &ObjectName) -> Ident {
    name.0
        .last()
        .and_then(|p| p.as_ident())
        .cloned()
        .unwrap_or_else(|| Ident::new(name.to_string()))
}

/// Nothing below panics while it holds a lock, so a poisoned one still holds a whole value.
fn lock<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}
