// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a role that sees groups only may do besides asking: every kind of statement, one by one.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::SessionState;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement, WriteOp};

use super::Policy;
use super::audit_table;
use super::declarations::Openness;
use super::gate::Gate;
use super::guarded::{Guarded, guarded};
use super::refusal::{Code, refusal};
use crate::error::{Error, Result};

/// Whether a plan is a question, and not a word to the session.
pub(super) fn reads(plan: &LogicalPlan) -> bool {
    !matches!(plan, LogicalPlan::Statement(_) | LogicalPlan::DescribeTable(_))
        && !matches!(plan, LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_))
}

/// The names of all columns in a plan's expressions.
pub(super) fn columns_named(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            names.extend(expr.column_refs().into_iter().map(|c| c.name.clone()));
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(names)
}

pub(super) fn protected(name: &str, what: &str) -> Error {
    refusal(
        Code::NotAllowed,
        format!("`{name}` belongs to the policy and cannot be {what} by this role"),
    )
}

pub(super) fn no_analyze() -> Error {
    refusal(Code::NotAllowed, "EXPLAIN ANALYZE counts rows of every step")
        .hint("`EXPLAIN` shows the plan, and `EXPLAIN PRIVACY` what the policy says of it")
}

pub(super) fn for_owners(what: &str) -> Error {
    refusal(Code::NotAllowed, format!("{what} is for the owner's role"))
        .hint("keep an answer with `CREATE TABLE name AS SELECT …`")
}

/// The statement as it may be run.
pub(super) fn pass(gate: &Gate, plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Explain(explain) => gate.explain(&explain),
        LogicalPlan::Analyze(_) => Err(no_analyze()),
        LogicalPlan::DescribeTable(describe) => Ok(LogicalPlan::DescribeTable(describe)),
        LogicalPlan::Copy(copy) => {
            let input = gate.query(&copy.input)?;
            gate.policy().may_write(&copy.output_url)?;
            Ok(LogicalPlan::Copy(CopyTo { input: Arc::new(input.plan), ..copy }))
        }
        LogicalPlan::Dml(dml) => match dml.op {
            WriteOp::Insert(_) => {
                if guarded(&dml.target).is_some() || !gate.policy().is_answer(&dml.target) {
                    return Err(protected(dml.table_name.table(), "written to"));
                }
                let input = gate.query(&dml.input)?;
                let dml = datafusion::logical_expr::dml::DmlStatement {
                    input: Arc::new(input.plan),
                    ..dml
                };
                Ok(LogicalPlan::Dml(dml))
            }
            WriteOp::Delete
            | WriteOp::Update
            | WriteOp::Ctas
            | WriteOp::Truncate
            | WriteOp::MergeInto(_) => Err(protected(dml.table_name.table(), "changed")),
            // Upstream reserves the right to add kinds of writing: they are refused.
            _ => Err(protected(dml.table_name.table(), "written to")),
        },
        LogicalPlan::Ddl(ddl) => define(gate, ddl),
        LogicalPlan::Statement(statement) => Err(word(&statement)),
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => Ok(gate.query(&plan)?.plan),
    }
}

fn define(gate: &Gate, ddl: DdlStatement) -> Result<LogicalPlan> {
    let may_make =
        |name: &TableReference| gate.policy().may_make(name, gate.session(), Openness::Aggregate);
    match ddl {
        DdlStatement::CreateMemoryTable(mut table) => {
            may_make(&table.name)?;
            let input = gate.query(&table.input)?;
            table.input = Arc::new(input.plan);
            Ok(LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table)))
        }
        DdlStatement::CreateView(view) => {
            may_make(&view.name)?;
            gate.query(&view.input)?;
            // It is kept as it was written: the policy is asked again by whoever reads it.
            Ok(LogicalPlan::Ddl(DdlStatement::CreateView(view)))
        }
        DdlStatement::DropTable(table) => {
            may_make(&table.name)?;
            Ok(LogicalPlan::Ddl(DdlStatement::DropTable(table)))
        }
        DdlStatement::DropView(view) => {
            may_make(&view.name)?;
            Ok(LogicalPlan::Ddl(DdlStatement::DropView(view)))
        }
        DdlStatement::CreateExternalTable(_)
        | DdlStatement::CreateCatalogSchema(_)
        | DdlStatement::CreateCatalog(_)
        | DdlStatement::CreateIndex(_)
        | DdlStatement::DropCatalogSchema(_)
        | DdlStatement::CreateFunction(_)
        | DdlStatement::DropFunction(_) => Err(for_owners(ddl.name())),
    }
}

fn word(statement: &Statement) -> Error {
    let what = match statement {
        Statement::TransactionStart(_) | Statement::TransactionEnd(_) => "a transaction",
        Statement::SetVariable(_) => "SET",
        Statement::ResetVariable(_) => "RESET",
        Statement::Prepare(_) | Statement::Execute(_) | Statement::Deallocate(_) => {
            "a prepared statement of the engine's own"
        }
    };
    refusal(Code::NotAllowed, format!("{what} is for the owner's role"))
        .hint("this role sets its purpose and nothing else: `SET purpose = '…'`")
}

impl Policy {
    /// Whether a table was there when the policy was read, or is named in it.
    pub(super) fn is_loaded(&self, table: &Guarded) -> bool {
        table.declared().is_some() || self.names.iter().any(|name| name == table.name())
    }

    /// Refuses a name that means something to the policy, or to the session: to make it anew, or to drop it.
    pub(super) fn may_make(
        &self,
        name: &TableReference,
        session: &SessionState,
        openness: Openness,
    ) -> Result<()> {
        let refused = || Err(protected(name.table(), "replaced or dropped"));
        let options = &session.config().options().catalog;
        let catalog = name.catalog().unwrap_or(&options.default_catalog);
        let schema_name = name.schema().unwrap_or(&options.default_schema);
        // A server has the schema for its own tables, and what is called `sys.audit` is the log.
        if schema_name == audit_table::SCHEMA {
            return refused();
        }
        let known = self.known_as(name, options);
        if self.declared.tables.contains_key(&known)
            || self.names.contains(&known)
            || self.views.contains(&known)
        {
            return refused();
        }
        let schema = session.catalog_list().catalog(catalog).and_then(|c| c.schema(schema_name));
        let Some(schema) = schema.filter(|s| s.table_exist(name.table())) else { return Ok(()) };
        use futures::FutureExt;
        // Tables that statements make are in memory schemas, which answer at once.
        let table = match schema.table(name.table()).now_or_never() {
            Some(Ok(None)) => return Ok(()),
            Some(Ok(Some(table))) => table,
            Some(Err(_)) | None => return refused(),
        };
        let may = match table.downcast_ref::<Guarded>() {
            // Made by a role that sees rows, whichever.
            Some(table) => openness != Openness::Aggregate && !self.is_loaded(table),
            None => self.is_answer_table(&table) || table.get_logical_plan().is_some(),
        };
        if may { Ok(()) } else { refused() }
    }
}
