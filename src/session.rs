// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The one place where parts meet: runtime, functions, tables → a session.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::{FairSpillPool, PeakRecordingPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

mod clock;
mod one_stage;
mod share;
mod shared_exec;

use crate::catalog;
use crate::config::Config;
use crate::error::Result;
use crate::expand::TableFunctions;
use crate::library::Library;

/// How many memory consumers an error about memory names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

/// Builds a session with our functions and settings, without tables.
pub(crate) fn build(config: &Config) -> Result<(SessionContext, Arc<TableFunctions>)> {
    let memory = config.memory_limit.or_else(most_of_the_machine);
    let mut runtime =
        RuntimeEnvBuilder::new().with_disk_manager_builder(DiskManagerBuilder::default());
    if let Some(bytes) = memory {
        // Fair, because a query that spills must not starve the others' sorts; tracked, so that errors name the eater.
        let pool = TrackConsumersPool::new(FairSpillPool::new(bytes), NAMED_CONSUMERS);
        // Outermost, for what a report says of a statement.
        runtime = runtime.with_memory_pool(Arc::new(PeakRecordingPool::new(Arc::new(pool))));
    }
    let mut settings = SessionConfig::new().with_information_schema(true);
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
    let state = SessionStateBuilder::new()
        .with_config(settings)
        .with_runtime_env(runtime.build_arc()?)
        .with_default_features()
        .with_query_planner(Arc::new(crate::policy::Planner))
        .with_physical_optimizer_rule(Arc::new(one_stage::OneStage))
        // Last, when equal plans look equal.
        .with_physical_optimizer_rule(Arc::new(share::ShareSubplans))
        .build();
    let ctx = SessionContext::new_with_state(state);
    let mut library = Library::built_in()?.clone();
    for folder in &config.library {
        library.add_folder(folder)?;
    }
    let functions = register_library(&ctx, library)?;
    if let Some(moment) = config.as_of {
        clock::stop_at(&ctx, moment);
    }
    Ok((ctx, functions))
}

/// Adds every function and table function to a session, and our way of reading files.
pub(crate) fn register_library(
    ctx: &SessionContext,
    library: Library,
) -> Result<Arc<TableFunctions>> {
    {
        let state = ctx.state_ref();
        let mut state = state.write();
        comptoir_udfs::register(&mut *state)?;
    }
    let functions = Arc::new(TableFunctions::new(ctx.state_weak_ref(), library));
    ctx.register_relation_planner(Arc::clone(&functions) as _)?;
    catalog::install(ctx);
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
