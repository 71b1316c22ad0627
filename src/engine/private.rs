// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The engine under a privacy policy.

use std::sync::Arc;

use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{ResetStatement, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Set, Statement as Sql, Value, ValueWithSpan,
};

use super::Engine;
use crate::catalog;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::policy::declarations::Openness;
use crate::policy::{self, Declarations, Made, Passed, Policy};

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
    let policy = Policy::attach(ctx, Declarations::of(privacy)?, config.as_of).await?;
    Ok(Some(Arc::new(policy)))
}

impl Engine {
    /// Puts this session under the policy, if there is one.
    pub(super) fn enter(&mut self) -> Result<()> {
        let Some(policy) = &self.policy else { return Ok(()) };
        let session = policy::Session::new(Arc::clone(policy), self.who.clone())?;
        self.functions.mark_expansions();
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

    /// Whether this session may not see every row.
    pub(super) fn hides_rows(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.openness() != Openness::Owner)
    }

    /// The plan that this session may run.
    pub(super) fn through_policy(&self, plan: LogicalPlan, state: &SessionState) -> Result<Passed> {
        match &self.session {
            Some(session) => session.pass(plan, state),
            None => Ok(Passed { plan, masked: false, found: policy::Found::default() }),
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
