// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `CREATE EXTERNAL TABLE` over the same machinery as `--data`: the same options, checks and messages.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::common::{DataFusionError, plan_datafusion_err};
use datafusion::logical_expr::CreateExternalTable;
use datafusion::prelude::SessionContext;

use super::options::{Format, TableOptions, unknown};
use super::table::Extra;
use super::{discover, files, path_of, planned, split_options_over, table};
use crate::error::{Error, Result};

/// Puts our factories in the place of the engine's; what is not ours to do, such as endless streams and stores that are
/// no file system, still goes to what was there before, be it the engine's or, in a second call, our own.
pub(super) fn install(ctx: &SessionContext) {
    let state = ctx.state_ref();
    let mut state = state.write();
    let factories = state.table_factories_mut();
    for (name, format) in FORMATS {
        let engine = factories.get(name).cloned();
        factories.insert(name.to_owned(), Arc::new(Factory { format, engine }));
    }
}

const FORMATS: [(&str, Format); 5] = [
    ("ARROW", Format::Arrow),
    ("CSV", Format::Csv),
    ("JSON", Format::Json),
    ("NDJSON", Format::Json),
    ("PARQUET", Format::Parquet),
];

#[derive(Debug)]
struct Factory {
    format: Format,
    engine: Option<Arc<dyn TableProviderFactory>>,
}

#[async_trait]
impl TableProviderFactory for Factory {
    async fn create(
        &self,
        state: &dyn Session,
        command: &CreateExternalTable,
    ) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let endless = command.unbounded
            || command
                .options
                .iter()
                .any(|(key, value)| key.ends_with("unbounded") && value == "true");
        if endless {
            let engine = self.engine.as_ref();
            let engine = engine
                .ok_or_else(|| plan_datafusion_err!("this location is not on the file system"))?;
            return engine.create(state, command).await;
        }
        // Options may stand behind a location too; those that are named win.
        let mut behind = TableOptions::default();
        let mut locations = vec![];
        for location in &command.locations {
            let (location, options) = split_options_over(location, &behind)?;
            behind = options;
            locations.push(location);
        }
        if let [location] = locations.as_slice()
            && let Some(planned) = planned::table(state, location)?
        {
            return Ok(planned);
        }
        let paths: Vec<PathBuf> =
            locations.iter().map(|location| path_of(location)).collect::<Result<_>>()?;
        // A table may be declared over a folder that is still empty, to be filled by `COPY`.
        let empty_folder = |path: &PathBuf| {
            path.is_dir() && discover::source(path, &TableOptions::default()).is_err()
        };
        if let Some(engine) = &self.engine
            && !command.schema.fields().is_empty()
            && paths.iter().all(|path| empty_folder(path) || !files::exists(path))
            && locations.iter().all(|location| location.ends_with('/'))
        {
            return engine.create(state, command).await;
        }
        let (mut options, engine_options) = split(&command.options, behind)?;
        options.format = Some(self.format);
        let fields = command.schema.fields();
        let is_key = |name: &String| command.table_partition_cols.contains(name);
        let typed = |keys: bool| {
            let fields = fields.iter().filter(move |field| is_key(field.name()) == keys);
            fields.map(|field| (field.name().clone(), field.data_type().clone()))
        };
        let extra = Extra {
            engine_options,
            declared: typed(false).collect(),
            partition_types: typed(true).collect(),
            sort_order: command.order_exprs.clone(),
            constraints: command.constraints.clone(),
            column_defaults: command.column_defaults.clone(),
            definition: command.definition.clone(),
        };
        let source = discover::sources(command.name.table(), &paths, &options)?;
        if let Some(key) =
            command.table_partition_cols.iter().find(|key| !source.partitions.contains(key))
        {
            let error = Error::usage(format!(
                "`{}` has no folders `{key}=…`",
                discover::shown(&source.origin)
            ));
            return Err(error
                .hint(format!("its folders give [{}]", source.partitions.join(", ")))
                .into());
        }
        Ok(table::table(state, &command.name, source, &options, extra).await?)
    }
}

/// Our options, and those that only the engine knows. The SQL parser puts `format.` before a key without a dot.
fn split(
    given: &HashMap<String, String>,
    mut ours: TableOptions,
) -> Result<(TableOptions, HashMap<String, String>)> {
    let mut engine = HashMap::new();
    for (key, value) in given {
        let bare = key.strip_prefix("format.").unwrap_or(key);
        if bare == "format" || ours.set(bare, value)? {
            continue;
        }
        // The engine's own parsing says which keys it has; a key of neither is ours to explain.
        let mut probe = datafusion::common::config::TableOptions::new();
        let known = [
            datafusion::common::config::ConfigFileType::CSV,
            datafusion::common::config::ConfigFileType::JSON,
            datafusion::common::config::ConfigFileType::PARQUET,
        ]
        .into_iter()
        .any(|format| {
            probe.set_config_format(format);
            datafusion::common::config::TableOptions::set(&mut probe, key, value).is_ok()
        });
        if !known {
            return Err(unknown(bare));
        }
        engine.insert(key.clone(), value.clone());
    }
    Ok((ours, engine))
}
