// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What readers and writers of a server may not do. Files by their paths are not in their catalogs at all; here is what
//! a plan would change.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement};

use super::{Gate, Rights};
use crate::error::{Error, Kind, Result};

/// Settings that change how an answer looks or where names are looked up, and nothing that others share.
const SETTINGS: [&str; 5] = [
    "datafusion.catalog.default_catalog",
    "datafusion.catalog.default_schema",
    "datafusion.execution.time_zone",
    "datafusion.explain.",
    "datafusion.format.",
];

#[derive(Debug)]
pub(super) struct Allowed(pub(super) Rights);

impl Gate for Allowed {
    fn check(&self, plan: &LogicalPlan) -> Result<()> {
        let mut refused = None;
        // `EXPLAIN ANALYZE COPY …` writes as well, so the whole tree is asked.
        plan.apply_with_subqueries(|node| {
            refused = needs(node).filter(|(rights, _)| *rights > self.0);
            Ok(if refused.is_some() {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        })?;
        match refused {
            Some((rights, what)) => {
                Err(Error::new(Kind::Denied, format!("a {} cannot {what}", self.0.word()))
                    .note(format!("it takes the rights of a {}", rights.word())))
            }
            None => Ok(()),
        }
    }
}

/// The rights that a node needs, and for what.
fn needs(node: &LogicalPlan) -> Option<(Rights, String)> {
    Some(match node {
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(_)) => {
            (Rights::Admin, "read files by their paths".into())
        }
        LogicalPlan::Ddl(
            DdlStatement::CreateCatalog(_)
            | DdlStatement::CreateFunction(_)
            | DdlStatement::DropFunction(_),
        ) => (Rights::Admin, "change catalogs and functions".into()),
        LogicalPlan::Ddl(
            DdlStatement::CreateMemoryTable(_)
            | DdlStatement::CreateView(_)
            | DdlStatement::CreateCatalogSchema(_)
            | DdlStatement::CreateIndex(_)
            | DdlStatement::DropTable(_)
            | DdlStatement::DropView(_)
            | DdlStatement::DropCatalogSchema(_),
        ) => (Rights::Writer, "change tables".into()),
        LogicalPlan::Dml(_) => (Rights::Writer, "change a table's rows".into()),
        LogicalPlan::Copy(_) => (Rights::Admin, "write files".into()),
        LogicalPlan::Statement(Statement::SetVariable(set)) => setting(&set.variable)?,
        LogicalPlan::Statement(Statement::ResetVariable(reset)) => setting(&reset.variable)?,
        _ => return None,
    })
}

fn setting(name: &str) -> Option<(Rights, String)> {
    let name = name.to_lowercase();
    let name = match name.as_str() {
        "timezone" | "time.zone" => "datafusion.execution.time_zone",
        name => name,
    };
    let free =
        SETTINGS.iter().any(|s| if s.ends_with('.') { name.starts_with(s) } else { name == *s });
    (!free).then(|| (Rights::Admin, format!("change the setting `{name}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_free_by_its_name_or_its_group() {
        assert!(setting("datafusion.execution.time_zone").is_none());
        assert!(setting("TimeZone").is_none());
        assert!(setting("datafusion.explain.logical_plan_only").is_none());
        assert!(setting("datafusion.runtime.memory_limit").is_some());
        assert!(setting("datafusion.execution.time_zone.x").is_some());
    }
}
