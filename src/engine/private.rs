// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The engine under a privacy policy.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, col, lit};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{ResetStatement, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Set, Statement as Sql, Value, ValueWithSpan,
};

use super::Engine;
use crate::catalog;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::execute::Rows;
use crate::policy::declarations::Openness;
use crate::policy::{self, Declarations, Made, Passed, Policy};
use crate::statement::Statement;

/// The word behind `SET` that the engine understands.
const PURPOSE: &str = "purpose";

/// The policy of the configuration, and every table behind it.
pub(super) async fn attach(ctx: &SessionContext, config: &Config) -> Result<Option<Arc<Policy>>> {
    let Some(privacy) = &config.privacy else {
        return match &config.role {
            None => Ok(None),
            Some(role) => {
                Err(Error::usage(format!("there is no privacy policy, and so no role `{role}`"))
                    .hint("name a policy with `privacy = \"policy.toml\"` in comptoir.toml"))
            }
        };
    };
    let policy = Policy::attach(ctx, Declarations::of(privacy)?, config).await?;
    Ok(Some(Arc::new(policy)))
}

impl Engine {
    /// Puts this session under the policy, if there is one.
    pub(super) fn enter(&mut self) -> Result<()> {
        let Some(policy) = &self.policy else { return Ok(()) };
        let session = policy::Session::new(Arc::clone(policy), self.who.clone())?;
        self.functions.mark_expansions();
        session.show_log(&self.ctx)?;
        match session.openness() {
            Openness::Owner => {}
            Openness::Pseudonymised | Openness::Aggregate => catalog::close_files(&self.ctx),
        }
        self.session = Some(session);
        Ok(())
    }

    /// Who asks, under a privacy policy.
    pub fn privacy(&self) -> Option<&policy::Session> {
        self.session.as_ref()
    }

    /// Fails for a file that this session may not write, whoever named it.
    pub fn may_write(&self, file: &Path) -> Result<()> {
        match &self.session {
            Some(session) => session.may_write(&file.to_string_lossy()),
            None => Ok(()),
        }
    }

    /// Whether this session may not see every row.
    pub(super) fn hides_rows(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.openness() != Openness::Owner)
    }

    /// The plan that this session may run.
    pub(super) fn through_policy(&self, plan: LogicalPlan, state: &SessionState) -> Result<Passed> {
        match &self.session {
            Some(session) => session.pass(plan, state),
            None => {
                let found = policy::Found::default();
                Ok(Passed { plan, masked: false, found, ticket: None })
            }
        }
    }

    /// The statement's line in the audit log.
    pub(super) fn write_down(
        &self,
        text: &str,
        said: std::result::Result<&policy::Found, &Error>,
    ) -> Result<Option<policy::Ticket>> {
        match &self.session {
            Some(session) => session.write_down(text, said),
            None => Ok(None),
        }
    }

    /// The line of a statement that reads nothing.
    pub(super) fn write_word_down(&self, text: &str) -> Result<()> {
        let ticket = self.write_down(text, Ok(&policy::Found::default()))?;
        ticket.map_or(Ok(()), |mut ticket| ticket.close("done", 0))
    }

    /// `EXPLAIN PRIVACY`: what the policy says of a statement, and why; nothing is run.
    pub(super) async fn explain_privacy(&self, statement: &Statement) -> Result<Rows> {
        if self.session.is_none() {
            return Err(Error::query("EXPLAIN PRIVACY asks a privacy policy, and there is none")
                .hint("name one with `privacy = \"policy.toml\"` in comptoir.toml"));
        }
        let judged = self.judged(statement).await;
        self.write_word_down(&statement.text)?;
        let mut found: Vec<(String, String)> = vec![];
        match judged {
            Ok(passed) => {
                found.extend(passed.found.steps);
                let columns = passed.found.columns.into_iter().collect::<Vec<_>>().join(", ");
                found.push(("columns".into(), columns));
                found.push(("verdict".into(), "allowed".into()));
            }
            Err(error) => {
                found.push(("verdict".into(), format!("refused: {}", error.message)));
                found.extend(error.notes.into_iter().map(|note| ("because".into(), note)));
                found.extend(error.hints.into_iter().map(|hint| ("accepted".into(), hint)));
            }
        }
        Rows::start(&self.ctx, findings(&found)?, None, false, None).await
    }

    /// The columns of `EXPLAIN PRIVACY`.
    pub(super) fn findings_schema(&self) -> Result<SchemaRef> {
        let plan = findings(&[(String::new(), String::new())])?;
        Ok(Arc::clone(plan.schema().inner()))
    }

    /// The rows of an answer, which this session keeps as a table: they are an answer still.
    pub(super) fn keeps_answer(&self, table: Arc<dyn TableProvider>) {
        if let Some(session) = &self.session {
            session.keep_answer(table);
        }
    }

    /// What a statement has made is put where the policy wants it.
    pub(super) async fn settle(&self, made: &Made) -> Result<()> {
        match &self.session {
            Some(session) => session.settle(&self.ctx, made).await,
            None => Ok(()),
        }
    }

    /// `SET purpose = '…'` and `RESET purpose`.
    pub(super) fn takes_purpose(&self, parsed: &Parsed) -> Result<bool> {
        let is_purpose = |name: &ObjectName| name.to_string().eq_ignore_ascii_case(PURPOSE);
        let purpose = match parsed {
            Parsed::Reset(ResetStatement::Variable(name)) if is_purpose(name) => None,
            Parsed::Statement(sql) => match sql.as_ref() {
                Sql::Set(Set::SingleAssignment { variable, values, .. })
                    if is_purpose(variable) =>
                {
                    Some(word(values)?)
                }
                _ => return Ok(false),
            },
            _ => return Ok(false),
        };
        match &self.session {
            Some(session) => session.set_purpose(purpose.as_deref()).map(|()| true),
            None => Err(Error::query("a purpose belongs to a privacy policy, and there is none")
                .hint("name one with `privacy = \"policy.toml\"` in comptoir.toml")),
        }
    }
}

fn word(values: &[Expr]) -> Result<String> {
    match values {
        [Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(word), .. })] => {
            Ok(word.clone())
        }
        [Expr::Identifier(word)] => Ok(word.value.clone()),
        _ => Err(Error::query("a purpose is one word").hint("write `SET purpose = 'marketing'`")),
    }
}

/// What was found, as rows.
fn findings(found: &[(String, String)]) -> Result<LogicalPlan> {
    let text = |t: &str| lit(t.to_string());
    let rows = found.iter().map(|(step, what)| vec![text(step), text(what)]).collect();
    let named = [("column1", "step"), ("column2", "finding")];
    let named = named.map(|(from, to)| col(from).alias(to));
    Ok(LogicalPlanBuilder::values(rows)?.project(named)?.build()?)
}
