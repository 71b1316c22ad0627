// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `FROM 'orders.parquet'`: a name no schema knows, and which looks like a path, is read as one.
//!
//! DataFusion's `DynamicFileCatalog` does the same but cannot drop a schema, hides why a file could not be read, and
//! knows neither our options nor our checks.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionContext;

use super::discover::{self, known};
use super::layer::{self, Layer, Place};
use super::table::{Extra, table};
use super::{local_path, path_of, planned, split_options, store};
use crate::error::Result;

/// Lays the resolver over the session's catalogs; a second call changes nothing.
pub(super) fn install(ctx: &SessionContext) {
    if layer::uppermost::<Files>(ctx).is_some() {
        return;
    }
    let state = ctx.state();
    // Only the configuration and the runtime are needed, and a copy of them keeps no session alive.
    let session = SessionStateBuilder::new()
        .with_config(state.config().clone())
        .with_runtime_env(Arc::clone(state.runtime_env()))
        .build();
    layer::lay(ctx, Files { session: Arc::new(session), closed: Arc::default() });
}

/// From now on no path is read: under a privacy policy a file is read as the table that the policy knows, or not at all.
/// Even its columns' names would tell, for options can make any line of a file the line of names.
pub(super) fn close(ctx: &SessionContext) {
    if let Some(files) = layer::uppermost::<Files>(ctx) {
        files.closed.store(true, Ordering::Relaxed);
    }
}

/// The table at a path; `None` when the name is no path.
async fn resolve(session: &SessionState, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    let (text, options) = split_options(name)?;
    let path = match local_path(text) {
        Some(path) if looks_like_path(text, &path) => path,
        None if store::is_remote(text) => path_of(text)?,
        _ => return Ok(None),
    };
    if let Some(planned) = planned::table(session, text)? {
        return Ok(Some(planned));
    }
    let source = discover::source(&path, &options)?;
    let reference = TableReference::bare(name);
    table(session, &reference, source, &options, Extra::default()).await.map(Some)
}

fn looks_like_path(text: &str, path: &Path) -> bool {
    text.contains(['/', '*', '\\']) || known(path) || (text.contains('.') && path.is_file())
}

#[derive(Clone)]
struct Files {
    session: Arc<SessionState>,
    closed: Arc<AtomicBool>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files")
    }
}

#[async_trait]
impl Layer for Files {
    async fn table(
        &self,
        _: &Place,
        name: &str,
    ) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        match self.closed.load(Ordering::Relaxed) {
            true => Ok(None),
            false => Ok(resolve(&self.session, name).await?),
        }
    }
}
