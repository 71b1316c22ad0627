// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What a role that sees groups only may do besides asking: every kind of statement, one by one.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement, WriteOp};

use super::gate::Gate;
use super::guarded::guarded;
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

/// The statement as it may be run.
pub(super) fn pass(gate: &Gate, plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Explain(explain) => gate.explain(&explain),
        LogicalPlan::Analyze(_) => {
            Err(refusal(Code::NotAllowed, "EXPLAIN ANALYZE counts rows of every step")
                .hint("`EXPLAIN` shows the plan, and `EXPLAIN PRIVACY` what the policy says of it"))
        }
        LogicalPlan::DescribeTable(describe) => Ok(LogicalPlan::DescribeTable(describe)),
        LogicalPlan::Copy(copy) => {
            let input = gate.query(&copy.input)?;
            gate.may_write(&copy.output_url)?;
            Ok(LogicalPlan::Copy(CopyTo { input: Arc::new(input.plan), ..copy }))
        }
        LogicalPlan::Dml(dml) => match dml.op {
            WriteOp::Insert(_) => {
                if guarded(&dml.target).is_some() || !gate.is_answer(&dml.target) {
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
    let refused = |what: &str| {
        Err(refusal(Code::NotAllowed, format!("{what} is for the owner's role"))
            .hint("keep an answer with `CREATE TABLE name AS SELECT …`"))
    };
    match ddl {
        DdlStatement::CreateMemoryTable(mut table) => {
            gate.is_free(&table.name)?;
            let input = gate.query(&table.input)?;
            table.input = Arc::new(input.plan);
            Ok(LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table)))
        }
        DdlStatement::CreateView(view) => {
            gate.is_free(&view.name)?;
            gate.query(&view.input)?;
            // It is kept as it was written: the policy is asked again by whoever reads it.
            Ok(LogicalPlan::Ddl(DdlStatement::CreateView(view)))
        }
        DdlStatement::DropTable(table) => {
            gate.is_free(&table.name)?;
            Ok(LogicalPlan::Ddl(DdlStatement::DropTable(table)))
        }
        DdlStatement::DropView(view) => {
            gate.is_free(&view.name)?;
            Ok(LogicalPlan::Ddl(DdlStatement::DropView(view)))
        }
        DdlStatement::CreateExternalTable(_) => refused("CREATE EXTERNAL TABLE"),
        DdlStatement::CreateCatalogSchema(_) => refused("CREATE SCHEMA"),
        DdlStatement::CreateCatalog(_) => refused("CREATE DATABASE"),
        DdlStatement::CreateIndex(_) => refused("CREATE INDEX"),
        DdlStatement::DropCatalogSchema(_) => refused("DROP SCHEMA"),
        DdlStatement::CreateFunction(_) => refused("CREATE FUNCTION"),
        DdlStatement::DropFunction(_) => refused("DROP FUNCTION"),
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

impl Gate<'_> {
    /// Refuses a name that a table of the policy has.
    fn is_free(&self, name: &TableReference) -> Result<()> {
        let options = self.session().config().options();
        let catalog = name.catalog().unwrap_or(&options.catalog.default_catalog);
        let schema = name.schema().unwrap_or(&options.catalog.default_schema);
        let schema = self.session().catalog_list().catalog(catalog).and_then(|c| c.schema(schema));
        let Some(schema) = schema else { return Ok(()) };
        if !schema.table_exist(name.table()) {
            return Ok(());
        }
        use futures::FutureExt;
        // Tables of the policy are in memory schemas, which answer at once.
        match schema.table(name.table()).now_or_never() {
            Some(Ok(None)) => Ok(()),
            Some(Ok(Some(table))) if !table.is::<super::guarded::Guarded>() => Ok(()),
            Some(Ok(Some(_))) | Some(Err(_)) | None => {
                Err(protected(name.table(), "replaced or dropped"))
            }
        }
    }
}
