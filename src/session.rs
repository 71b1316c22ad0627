// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The one place where parts meet: runtime, functions, tables → a session.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::CatalogProviderList;
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::{FairSpillPool, PeakRecordingPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

mod clock;
mod one_stage;
mod pauses;
mod published;
mod share;
mod shared_exec;

use crate::catalog;
use crate::config::Config;
use crate::error::Result;
use crate::expand::TableFunctions;
use crate::library::Library;
use crate::policy::{Base, Rights, Who};

pub use published::ANALYSES;
use published::Views;
pub(crate) use published::check as check_published;

/// How many memory consumers an error about memory names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

/// What all sessions of a process have in common: memory, disk, files, tables and analyses.
pub(crate) struct Shared {
    config: Config,
    runtime: Arc<RuntimeEnv>,
    catalogs: Arc<dyn CatalogProviderList>,
    library: Library,
    /// The session that finds out what all sessions list.
    lister: OnceLock<(SessionContext, Arc<Views>)>,
}

impl Shared {
    /// Sets up what sessions share. There are no tables yet.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let memory = config.memory_limit.or_else(most_of_the_machine);
        let mut runtime =
            RuntimeEnvBuilder::new().with_disk_manager_builder(DiskManagerBuilder::default());
        if let Some(bytes) = memory {
            // Fair, because a query that spills must not starve the others' sorts; tracked, so that errors name the eater.
            let pool = TrackConsumersPool::new(FairSpillPool::new(bytes), NAMED_CONSUMERS);
            // Outermost, for what a report says of a statement.
            runtime = runtime.with_memory_pool(Arc::new(PeakRecordingPool::new(Arc::new(pool))));
        }
        let runtime = runtime.build_arc()?;
        // A state makes the default catalog, which knows how to drop and create schemas.
        let first = SessionStateBuilder::new().with_runtime_env(Arc::clone(&runtime)).build();
        let mut library = Library::built_in()?.clone();
        for folder in &config.library {
            library.add_folder(folder)?;
        }
        let catalogs = Arc::clone(first.catalog_list());
        Ok(Self { config: config.clone(), runtime, catalogs, library, lister: OnceLock::new() })
    }

    /// Whether nothing may be changed, by anybody.
    pub(crate) fn read_only(&self) -> bool {
        self.config.read_only
    }

    /// The analyses, those of the configuration's folders included.
    pub(crate) fn library(&self) -> &Library {
        &self.library
    }

    /// The session of somebody.
    pub(crate) fn open(&self, who: &Who) -> Result<(SessionContext, Arc<TableFunctions>)> {
        let lister = match published::is_owner(&self.config, who) {
            true => None,
            false => Some(self.lister()?),
        };
        let (ctx, functions, _) = self.session(who, lister)?;
        Ok((ctx, functions))
    }

    /// The columns of an analysis as somebody sees it listed; `None` for everything else.
    pub(crate) fn listed_columns(
        &self,
        who: &Who,
        catalog: &str,
        schema: &str,
        name: &str,
    ) -> Option<SchemaRef> {
        let tables = self.catalogs.catalog(catalog).and_then(|c| c.schema(schema));
        let is_table = || tables.is_some_and(|tables| tables.table_exist(name));
        if published::is_owner(&self.config, who) || is_table() {
            return None;
        }
        self.lister.get()?.1.columns(catalog, schema, name)
    }

    fn lister(&self) -> Result<Arc<Views>> {
        if let Some((_, views)) = self.lister.get() {
            return Ok(Arc::clone(views));
        }
        let nobody = Who { user: "nobody".into(), role: None, rights: Rights::Reader };
        let (ctx, _, views) = self.session(&nobody, None)?;
        Ok(Arc::clone(&self.lister.get_or_init(|| (ctx, views)).1))
    }

    /// The one place where a session is made.
    fn session(
        &self,
        who: &Who,
        lister: Option<Arc<Views>>,
    ) -> Result<(SessionContext, Arc<TableFunctions>, Arc<Views>)> {
        let config = &self.config;
        let mut settings = SessionConfig::new()
            .with_information_schema(true)
            .with_extension(Arc::new(catalog::planned::Planned::default()))
            .with_extension(Arc::new(catalog::Written::default()))
            .with_create_default_catalog_and_schema(false)
            .with_extension(Arc::new(Base(Arc::clone(&self.catalogs))))
            // For tables that show everybody their own.
            .with_extension(Arc::new(who.clone()));
        if let Some(threads) = config.threads {
            settings = settings.with_target_partitions(threads);
        }
        if let Some(rows) = config.batch_size {
            settings = settings.with_batch_size(rows);
        }
        let options = settings.options_mut();
        options.sql_parser.collect_spans = true;
        options.execution.parquet.pushdown_filters = true;
        options.execution.parquet.reorder_filters = true;
        // A file for each batch that a repartition spills: with two open files its reader may wait for one while what it
        // needs is in the other, for ever (apache/datafusion#24883, mended after 55.2).
        options.execution.max_spill_file_size_bytes = ConfigNonZeroUsize::try_new(1)?;
        let state = SessionStateBuilder::new()
            .with_config(settings)
            .with_runtime_env(Arc::clone(&self.runtime))
            .with_catalog_list(Arc::clone(&self.catalogs))
            .with_default_features()
            .with_query_planner(Arc::new(crate::policy::Planner))
            .with_physical_optimizer_rule(Arc::new(one_stage::OneStage))
            .with_physical_optimizer_rule(Arc::new(pauses::Pauses))
            // The last, when equal plans look equal: a rule that changes a plan with two readers would make two plans of it
            // that share operators, and an operator runs once.
            .with_physical_optimizer_rule(Arc::new(share::ShareSubplans))
            .build();
        let ctx = SessionContext::new_with_state(state);
        let functions = add_functions(&ctx, self.library.clone())?;
        let views = published::install(&ctx, config, &self.library, who, lister);
        // A path on the server's disk is nobody's business but its owner's.
        if who.rights == Rights::Admin {
            catalog::install(&ctx);
        }
        if let Some(moment) = config.as_of {
            clock::stop_at(&ctx, moment);
        }
        Ok((ctx, functions, views))
    }
}

/// Adds every function and table function to a session, and our way of reading files.
pub(crate) fn register_library(
    ctx: &SessionContext,
    library: Library,
) -> Result<Arc<TableFunctions>> {
    let functions = add_functions(ctx, library)?;
    catalog::install(ctx);
    Ok(functions)
}

fn add_functions(ctx: &SessionContext, library: Library) -> Result<Arc<TableFunctions>> {
    {
        let state = ctx.state_ref();
        let mut state = state.write();
        comptoir_udfs::register(&mut *state)?;
    }
    let functions = Arc::new(TableFunctions::new(ctx.state_weak_ref(), library));
    ctx.register_relation_planner(Arc::clone(&functions) as _)?;
    Ok(functions)
}

/// Loads the tables that the configuration names.
pub(crate) async fn load(ctx: &SessionContext, config: &Config) -> Result<Vec<String>> {
    let mut names = vec![];
    for (name, table) in &config.tables {
        catalog::add_table(ctx, name, &table.paths, &table.options).await?;
        names.push(name.clone());
    }
    for path in &config.data {
        names.extend(catalog::add_path(ctx, path, &catalog::TableOptions::default()).await?);
    }
    Ok(names)
}

/// Four fifths of the machine's memory, where the system says how much it has.
fn most_of_the_machine() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemTotal:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024 / 5 * 4)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::Engine;
    use crate::config::Config;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn repartitions_that_spill_do_not_wait_for_each_other() {
        let config = Config {
            threads: Some(2),
            batch_size: Some(1024),
            memory_limit: Some(4_000_000),
            ..Config::default()
        };
        let sql = "SELECT count(*), max(s) FROM (SELECT a.c, sum(a.v - coalesce(b.v, 0)) AS s \
            FROM (SELECT concat(repeat('k', 20), value) AS k, concat('customer', value % 50000) AS c, value AS v FROM generate_series(1, 200000)) AS a \
            LEFT JOIN (SELECT k, sum(v) AS v FROM (SELECT concat(repeat('k', 20), value % 150000) AS k, value AS v FROM generate_series(1, 200000)) GROUP BY k) AS b \
            ON a.k = b.k GROUP BY a.c)";
        for _ in 0..30 {
            let engine = Engine::open(&config).await.expect("opens");
            // It may say that the memory is not enough. It may not wait for ever.
            let ended = tokio::time::timeout(Duration::from_secs(120), engine.query(sql)).await;
            ended.expect("ends").expect_err("is more than the memory");
        }
    }
}
