// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `name(relation, arg => value)` → an ordinary logical plan, at planning time.
//!
//! [`TableFunctions`] is a DataFusion [`RelationPlanner`]. For a call it plans the relation arguments in the caller's
//! scope, checks every other argument against the definition, rewrites a copy of the macro's query so that nothing in it
//! can meet a name of the caller's ([`rewrite`]), and plans the copy as a derived table. What remains is relational
//! operators and functions by name: projections and filters push through the call, and the plan can be sent elsewhere.
//!
//! Planning is synchronous and stays on one thread, so what a call has bound lives in a thread-local for as long as its
//! body is being planned.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use comptoir_udfs::RelationFunction;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Span, TableReference};
use datafusion::datasource::{TableProvider, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, MacroArg,
    MacroDefinition, ObjectName, Spanned, TableFactor, TableFunctionArgs,
};
use futures::FutureExt;

use crate::diagnostic::{nearest, or_list};
use crate::error::{Error, Result};
use crate::library::{Definition, Library, normalised as normalise};
use crate::statement::walk;

mod bind;
mod fold;
mod listing;
mod manual;
mod marker;
mod rewrite;
mod scalar_macro;

pub(crate) use listing::Line;
pub use manual::{Argument, Manual, Role};
pub use marker::{Marker, Origin};
pub(crate) use scalar_macro::ScalarMacro;

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

thread_local! {
    static EXPANSION: RefCell<Expansion> = RefCell::default();
}

/// What the calls being planned on this thread have bound.
#[derive(Default)]
struct Expansion {
    calls: Vec<String>,
    bound: HashMap<String, LogicalPlan>,
    names: u64,
}

/// The mark of a name that only the expansion can have written.
const MARK: char = '#';

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
        let innermost = EXPANSION.with_borrow(|e| e.calls.last().cloned());
        innermost.is_none_or(|name| lock(&self.own).contains_key(&name))
    }

    /// Adds a `CREATE [OR REPLACE] MACRO` of the session.
    pub fn define(
        &self,
        name: &ObjectName,
        arguments: Vec<MacroArg>,
        definition: MacroDefinition,
        or_replace: bool,
    ) -> Result<()> {
        let ident = last_ident(name);
        let place = Span::try_from_sqlparser_span(ident.span);
        let key = normalise(&ident);
        if name.0.len() > 1 {
            return Err(
                Error::query(format!("a macro's name has no schema: write `{key}`")).at(place)
            );
        }
        for (i, argument) in arguments.iter().enumerate() {
            if arguments[..i].iter().any(|a| normalise(&a.name) == normalise(&argument.name)) {
                return Err(Error::query(format!(
                    "the parameter `{}` stands there twice",
                    argument.name.value
                ))
                .at(Span::try_from_sqlparser_span(argument.name.span)));
            }
        }
        let built_in = lock(&self.library).find(&key).is_some()
            || self.relations.contains_key(&key)
            || key == LISTING
            || self.state()?.read().table_functions().contains_key(&key);
        if built_in {
            return Err(Error::query(format!(
                "`{key}` is a function of Comptoir; choose another name"
            ))
            .at(place));
        }
        let taken = lock(&self.own).contains_key(&key) || lock(&self.scalars).contains_key(&key);
        if taken && !or_replace {
            return Err(Error::query(format!("the macro `{key}` exists already"))
                .at(place)
                .hint("write `CREATE OR REPLACE MACRO`"));
        }
        match definition {
            MacroDefinition::Table(body) => {
                let mut body = *body;
                scalar_macro::inline(&lock(&self.scalars), |calls| walk::query(&mut body, calls))?;
                let macro_ = rewrite::own_macro(self, &key, arguments, body)?;
                self.scalars.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
                self.own
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(key, Arc::new(macro_));
            }
            MacroDefinition::Expr(body) => {
                let state = self.state()?;
                if state.read().scalar_functions().contains_key(&key)
                    || state.read().aggregate_functions().contains_key(&key)
                    || state.read().window_functions().contains_key(&key)
                {
                    return Err(Error::query(format!(
                        "`{key}` is a function already; choose another name"
                    ))
                    .at(place));
                }
                let macro_ = ScalarMacro::new(&key, arguments, body)?;
                self.own.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
                self.scalars
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(key, Arc::new(macro_));
            }
        }
        Ok(())
    }

    /// Replaces calls of the session's scalar macros in a statement by their bodies.
    pub fn inline_scalars(&self, statement: &mut datafusion::sql::parser::Statement) -> Result<()> {
        scalar_macro::inline(&lock(&self.scalars), |calls| walk::statement(statement, calls))
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

    /// Plans what a relation argument names: the caller's own names first, then the catalog.
    fn named_relation(
        &self,
        name: ObjectName,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<LogicalPlan> {
        let place = Span::try_from_sqlparser_span(name.span());
        let reference = context.object_name_to_table_reference(name.clone())?;
        // A common table expression, or a table that the statement reads elsewhere too.
        if let Ok(plan) = context.plan(table_factor(name, None)) {
            return Ok(plan);
        }
        match self.catalog_table(reference.clone()).map_err(|e| e.at(place))? {
            Some(plan) => Ok(plan),
            None => Err(self.unknown_table(&reference).at(place)),
        }
    }

    /// A scan of a table of the catalog, whatever names are in scope where it is asked for.
    fn catalog_table(&self, reference: TableReference) -> Result<Option<LogicalPlan>> {
        let provider = match self.provider(&reference)? {
            // Somebody has moved to another schema, where the tables of the shop are not.
            None if reference.schema().is_none() => {
                self.provider(&TableReference::partial("public", reference.table().to_string()))?
            }
            found => found,
        };
        let Some(provider) = provider else { return Ok(None) };
        let plan =
            LogicalPlanBuilder::scan(reference, provider_as_source(provider), None)?.build()?;
        Ok(Some(plan))
    }

    fn provider(&self, reference: &TableReference) -> Result<Option<Arc<dyn TableProvider>>> {
        let state = self.state()?;
        let Ok(schema) = state.read().schema_for_ref(reference.clone()) else { return Ok(None) };
        let table = reference.table().to_string();
        // Tables in memory answer at once. A file asks the disk, and planning cannot wait: a thread of its own does.
        if let Some(ready) = schema.table(&table).now_or_never() {
            return Ok(ready?);
        }
        let asked = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(schema.table(&table))
        });
        match asked.join() {
            Ok(found) => Ok(found?),
            Err(_) => {
                Err(Error::query(format!("looking up the table `{}` failed", reference.table())))
            }
        }
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

    /// The error for a table that is not there.
    pub fn unknown_table(&self, reference: &TableReference) -> Error {
        let error = Error::query(format!("there is no table `{reference}`"));
        let Ok(state) = self.state() else { return error };
        // Listing the tables may plan views, and must not hold the session meanwhile.
        let state = state.read_recursive().clone();
        let names = table_names(&state);
        match nearest(reference.table(), names.iter().map(String::as_str)).as_slice() {
            [] if names.is_empty() => {
                error.hint("no table is loaded: give files with `--data PATH`")
            }
            [] if names.len() <= 12 => error.note(format!("tables here: {}", names.join(", "))),
            [] => error.hint("`SHOW TABLES` lists them"),
            near => error.hint(format!("did you mean {}?", or_list(near))),
        }
    }
}

/// Every table of the session that is not part of the information schema.
pub(crate) fn table_names(state: &SessionState) -> Vec<String> {
    let options = &state.config().options().catalog;
    let catalogs = state.catalog_list();
    let Some(catalog) = catalogs.catalog(&options.default_catalog) else { return vec![] };
    let mut names = vec![];
    for schema_name in catalog.schema_names() {
        let Some(schema) =
            catalog.schema(&schema_name).filter(|_| schema_name != "information_schema")
        else {
            continue;
        };
        for table in schema.table_names() {
            names.push(if schema_name == options.default_schema {
                table
            } else {
                format!("{schema_name}.{table}")
            });
        }
    }
    names.sort();
    names
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
                    [one] => one
                        .as_ident()
                        .and_then(|i| EXPANSION.with_borrow(|e| e.bound.get(&i.value).cloned())),
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

/// One call in progress: forgets what the call bound when it ends.
struct Frame {
    before: Vec<String>,
}

impl Frame {
    fn enter() -> Self {
        Frame { before: EXPANSION.with_borrow(|e| e.bound.keys().cloned().collect()) }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        EXPANSION.with_borrow_mut(|e| e.bound.retain(|name, _| self.before.contains(name)));
    }
}

/// One body being planned: refuses a macro whose body leads back to itself. A call within another call's arguments
/// (`pareto(pareto(t))`) is not recursion, and is not counted.
struct Body;

impl Body {
    fn enter(name: &str) -> Result<Self> {
        EXPANSION.with_borrow_mut(|e| {
            if e.calls.iter().any(|c| c == name) {
                let path: Vec<&str> = e.calls.iter().map(String::as_str).chain([name]).collect();
                return Err(Error::query(format!("the macro `{name}` calls itself"))
                    .note(format!("the calls are: {}", path.join(" → "))));
            }
            e.calls.push(name.to_string());
            Ok(Body)
        })
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        EXPANSION.with_borrow_mut(|e| e.calls.pop());
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

/// Keeps a plan under a name that nobody can write.
fn keep(hint: &str, plan: LogicalPlan) -> String {
    let name = fresh(hint);
    EXPANSION.with_borrow_mut(|e| e.bound.insert(name.clone(), plan));
    name
}

fn fresh(hint: &str) -> String {
    EXPANSION.with_borrow_mut(|e| {
        e.names += 1;
        format!("{hint}{MARK}{}", e.names)
    })
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

fn table_factor(name: ObjectName, arguments: Option<Vec<FunctionArg>>) -> TableFactor {
    TableFactor::Table {
        name,
        alias: None,
        args: arguments.map(|args| TableFunctionArgs { args, settings: None }),
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
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
