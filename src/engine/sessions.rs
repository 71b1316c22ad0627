// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Several sessions over the same tables, memory, disk and analyses.

use std::sync::{Arc, Mutex};

use datafusion::catalog::{MemorySchemaProvider, TableProvider};

use super::{Engine, footprint};
use crate::error::{Error, Result};
use crate::policy::{Rules, Who, gates};
use crate::session;
use crate::sink;

impl Engine {
    /// A session for somebody: its own settings, macros and prepared statements over the tables that all sessions share.
    pub fn session(&self, who: Who) -> Result<Engine> {
        let mut engine = Self::over(Arc::clone(&self.shared), who)?;
        engine.tables.clone_from(&self.tables);
        engine.policy.clone_from(&self.policy);
        engine.enter()?;
        Ok(engine)
    }

    /// For whom this session works.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// How many bytes of memory the statements of all sessions hold now.
    pub fn memory_in_use(&self) -> usize {
        self.ctx.runtime_env().memory_pool.reserved()
    }

    /// How many bytes they may hold together; `None` where nothing limits them.
    pub fn memory_limit(&self) -> Option<usize> {
        use datafusion::execution::memory_pool::MemoryLimit;
        match self.ctx.runtime_env().memory_pool.memory_limit() {
            MemoryLimit::Finite(bytes) => Some(bytes),
            MemoryLimit::Infinite | MemoryLimit::Unknown => None,
        }
    }

    /// Puts a table into the catalog that all sessions share.
    pub fn add_table(&self, schema: &str, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        let config = self.ctx.copied_config();
        let catalog = self.ctx.catalog(&config.options().catalog.default_catalog);
        let catalog = catalog.ok_or_else(|| Error::usage("the session has no default catalog"))?;
        if catalog.schema(schema).is_none() {
            catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()))?;
        }
        let schema = catalog.schema(schema).ok_or_else(|| Error::query("the schema is gone"))?;
        schema.register_table(name.to_string(), table)?;
        Ok(())
    }

    pub(super) fn over(shared: Arc<session::Shared>, who: Who) -> Result<Engine> {
        let (ctx, functions) = shared.open(&who)?;
        sink::install(&ctx)?;
        let rules = Rules { read_only: shared.read_only(), rights: who.rights };
        Ok(Self {
            ctx,
            shared,
            who,
            functions,
            gates: gates(rules),
            policy: None,
            session: None,
            prepared: Mutex::default(),
            tables: vec![],
            held: Mutex::default(),
            footprint: footprint::Watch::default(),
        })
    }
}
