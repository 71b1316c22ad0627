// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Queries that look like tables, for programs that know only those: the `[views]` of the configuration, and in the
//! schema `analyses` every analysis of the library that the tables at hand suffice for.
//!
//! A view is planned when it is asked for, in the session that asks: so it reads that session's tables under that
//! session's policy, and a table that appears later brings its analyses with it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableType};
use datafusion::prelude::SessionContext;
use futures::FutureExt;
use parking_lot::RwLock;

use crate::catalog::layer::{self, Layer, Place};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::library::{Definition, Kind, Library, Parameter};
use crate::policy::Who;
use crate::statement::parse;

/// The schema of the analyses that need no arguments.
pub const ANALYSES: &str = "analyses";

/// Lays the views over a session's catalogs. The owner, who calls analyses by their names, has no views of them.
///
/// Which analyses the tables suffice for is the same for all sessions, and takes a while to find out: `lister` is the
/// session that finds out, for itself where there is none.
pub(super) fn install(
    ctx: &SessionContext,
    config: &Config,
    library: &Library,
    who: &Who,
    lister: Option<Arc<Views>>,
) -> Arc<Views> {
    let state = ctx.state();
    let options = &state.config().options().catalog;
    let mut schemas: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (name, sql) in &config.views {
        let reference = TableReference::parse_str(name);
        let schema = reference.schema().unwrap_or(&options.default_schema).to_string();
        schemas.entry(schema).or_default().insert(reference.table().to_string(), sql.clone());
    }
    // Reading the definitions of all analyses takes time, which who sees none of them should not wait for.
    let seen: Vec<Arc<Definition>> = match is_owner(config, who) {
        true => vec![],
        false => library.iter().collect(),
    };
    let views = Arc::new(Views {
        state: ctx.state_weak_ref(),
        catalog: options.default_catalog.clone(),
        schema: options.default_schema.clone(),
        schemas,
        analyses: seen.iter().map(|a| a.name.clone()).collect(),
        reads: seen.iter().flat_map(|a| relations(a)).collect(),
        lister,
        listing: Mutex::default(),
    });
    layer::lay(ctx, Arc::clone(&views));
    views
}

/// Whether a session is the one that the configuration opens.
pub(super) fn is_owner(config: &Config, who: &Who) -> bool {
    *who == Who::local(config.role.clone())
}

/// The tables that an analysis reads when nothing else is said.
fn relations(analysis: &Definition) -> Vec<String> {
    let relations = analysis.parameters.iter().filter(|p| matches!(p.kind, Kind::Relation(_)));
    let table = |p: &Parameter| p.default.as_ref().map_or(p.name.clone(), ToString::to_string);
    relations.map(table).collect()
}

/// Plans every view of the configuration, so that a mistake is found when the program starts.
pub(crate) async fn check(ctx: &SessionContext, config: &Config) -> Result<()> {
    for name in config.views.keys() {
        let wrong = |e: Error| e.context(format_args!("[views] {name}"));
        let reference = TableReference::parse_str(name);
        let schema = ctx.state().schema_for_ref(reference.clone());
        let schema = schema.map_err(|e| wrong(e.into()))?;
        let found = schema.table(reference.table()).await.map_err(|e| wrong(e.into()))?;
        if found.is_none_or(|table| table.table_type() != TableType::View) {
            return Err(wrong(Error::usage("there is a table of that name already")));
        }
    }
    Ok(())
}

/// The published queries of a session.
pub(super) struct Views {
    state: Weak<RwLock<SessionState>>,
    catalog: String,
    schema: String,
    /// Schema → name → query.
    schemas: BTreeMap<String, BTreeMap<String, String>>,
    analyses: Vec<String>,
    /// The tables that they may read.
    reads: BTreeSet<String>,
    lister: Option<Arc<Views>>,
    listing: Mutex<Listing>,
}

/// The analyses that the tables suffice for, with their columns.
type Answering = Arc<BTreeMap<String, SchemaRef>>;

/// A table by its name, and which one it is.
type Seen = (String, Option<Weak<dyn TableProvider>>);

/// What was found out, and from which tables.
#[derive(Default)]
struct Listing {
    tables: Vec<Seen>,
    answering: Answering,
}

thread_local! {
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Views").field(&self.schemas).finish()
    }
}

impl Views {
    /// Plans a query where the session began, wherever its user has moved since.
    async fn plan(&self, sql: &str) -> Result<LogicalPlan> {
        let ended = || Error::query("the session that this view belongs to has ended");
        let mut state = self.state.upgrade().ok_or_else(ended)?.read_recursive().clone();
        let options = state.config_mut().options_mut();
        options.catalog.default_catalog.clone_from(&self.catalog);
        options.catalog.default_schema.clone_from(&self.schema);
        // Places in a text that the user does not see.
        options.sql_parser.collect_spans = false;
        let [statement] =
            <[_; 1]>::try_from(parse(sql)?).map_err(|_| Error::usage("a view is one query"))?;
        let plan = state.statement_to_plan(statement.parsed).await?;
        match plan {
            LogicalPlan::Ddl(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::Statement(_) => {
                Err(Error::usage("a view is a query, and changes nothing"))
            }
            plan => Ok(plan),
        }
    }

    fn query(&self, place: &Place, name: &str) -> Option<String> {
        if place.catalog != self.catalog {
            return None;
        }
        let published = self.schemas.get(&place.schema).and_then(|views| views.get(name));
        let analysis = || {
            (place.schema == ANALYSES && self.analyses.iter().any(|a| a == name))
                .then(|| format!("SELECT * FROM {name}()"))
        };
        published.cloned().or_else(analysis)
    }

    /// The views of a schema: all that are published, and the analyses that can be planned.
    fn names(&self, schema: &str) -> Vec<String> {
        let published = self.schemas.get(schema).into_iter().flat_map(|views| views.keys());
        let mut names: Vec<String> = published.cloned().collect();
        if schema == ANALYSES && !self.analyses.is_empty() {
            names.extend(self.answering().keys().cloned());
        }
        names
    }

    /// The columns of an analysis, without planning it again; `None` where the tables do not suffice for it.
    pub(super) fn columns(&self, catalog: &str, schema: &str, name: &str) -> Option<SchemaRef> {
        if catalog != self.catalog || schema != ANALYSES {
            return None;
        }
        self.answering().get(name).cloned()
    }

    fn answering(&self) -> Answering {
        if let Some(lister) = &self.lister {
            return lister.answering();
        }
        // An analysis that does not plan has an error that lists the tables, which asks this again.
        if ASKING.replace(true) {
            return Answering::default();
        }
        let tables = self.tables_at_hand();
        let answering = self.known(&tables).unwrap_or_else(|| {
            let columns = |name: &String| {
                let plan = self.plan(&format!("SELECT * FROM {name}()")).now_or_never();
                let schema = plan?.ok()?.schema().as_arrow().clone();
                Some((name.clone(), Arc::new(schema)))
            };
            // Nothing is locked meanwhile: planning may ask on another thread.
            let answering: Answering = Arc::new(self.analyses.iter().filter_map(columns).collect());
            let known = Listing { tables, answering: Arc::clone(&answering) };
            *self.listing.lock().unwrap_or_else(PoisonError::into_inner) = known;
            answering
        });
        ASKING.set(false);
        answering
    }

    /// What was found out from these very tables.
    fn known(&self, tables: &[Seen]) -> Option<Answering> {
        let listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: &Seen, other: &Seen| {
            one.0 == other.0
                && match (&one.1, &other.1) {
                    (Some(one), Some(other)) => Weak::ptr_eq(one, other),
                    (one, other) => one.is_none() && other.is_none(),
                }
        };
        let all = listing.tables.len() == tables.len()
            && listing.tables.iter().zip(tables).all(|(one, other)| same(one, other));
        // Without tables nothing has been found out yet, or it is quickly found out again.
        (all && !tables.is_empty()).then(|| Arc::clone(&listing.answering))
    }

    /// The tables that analyses read, and which ones they are: a name may stand for another table than a while ago.
    fn tables_at_hand(&self) -> Vec<Seen> {
        let Some(state) = self.state.upgrade() else { return vec![] };
        // Recursive, because errors are written with the session in hand, and list its tables.
        let catalogs = Arc::clone(state.read_recursive().catalog_list());
        let schema = catalogs.catalog(&self.catalog).and_then(|c| c.schema(&self.schema));
        let Some(schema) = schema else { return vec![] };
        let there = self.reads.iter().filter(|name| schema.table_exist(name));
        let views = self.schemas.get(&self.schema);
        there
            .map(|name| {
                // What is published is planned anew each time it is looked at, and does not change.
                let published = views.is_some_and(|views| views.contains_key(name));
                let table = (!published).then(|| schema.table(name).now_or_never()).flatten();
                let table = table.and_then(Result::ok).flatten();
                (name.clone(), table.map(|table| Arc::downgrade(&table)))
            })
            .collect()
    }
}

#[async_trait]
impl Layer for Arc<Views> {
    fn schemas(&self, catalog: &str) -> Vec<String> {
        if catalog != self.catalog {
            return vec![];
        }
        let analyses = (!self.analyses.is_empty()).then(|| ANALYSES.to_string());
        self.schemas.keys().cloned().chain(analyses).collect()
    }

    fn tables(&self, place: &Place) -> Vec<String> {
        // Asking which analyses the tables suffice for asks for the tables.
        if place.catalog == self.catalog { self.names(&place.schema) } else { vec![] }
    }

    fn table_type(&self, place: &Place, name: &str) -> Option<TableType> {
        self.query(place, name).map(|_| TableType::View)
    }

    async fn table(
        &self,
        place: &Place,
        name: &str,
    ) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(sql) = self.query(place, name) else { return Ok(None) };
        let plan = self.plan(&sql).await?;
        Ok(Some(Arc::new(ViewTable::new(plan, Some(sql)))))
    }
}
