// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A session under the policy, and what its role makes of a plan.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::SessionContext;

use super::declarations::{Openness, Role};
use super::refusal::{Code, refusal};
use super::{
    Found, Passed, Policy, Rights, Who, audit_table, gate, guarded, rows, statements, unlock,
};
use crate::error::Result;

/// A session under a policy: who asks, in which role, for which purpose.
#[derive(Debug)]
pub struct Session {
    pub(super) policy: Arc<Policy>,
    pub(super) who: Who,
    pub(super) role_name: String,
    role: Role,
    purpose: Mutex<Option<String>>,
}

impl Session {
    /// A session of somebody's.
    pub fn new(policy: Arc<Policy>, who: Who) -> Result<Self> {
        // A door's own words for what somebody may change are no roles, unless the policy has them.
        let asked = who.role.as_deref().filter(|role| {
            Rights::named(role).is_none() || policy.declared().roles.contains_key(*role)
        });
        let (name, role) = policy.declared().role(asked)?;
        let (role_name, role) = (name.to_string(), role.clone());
        Ok(Self { policy, who, role_name, role, purpose: Mutex::default() })
    }

    /// The policy.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Who asks.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// The role's name.
    pub fn role_name(&self) -> &str {
        &self.role_name
    }

    /// How open the role is.
    pub fn openness(&self) -> Openness {
        self.role.openness
    }

    /// Whether this role may write a file, be it named in a statement or on the command line.
    pub fn may_write(&self, target: &str) -> Result<()> {
        match self.role.openness {
            Openness::Owner => Ok(()),
            _ => self.policy.may_write(target),
        }
    }

    /// The purpose that is set.
    pub fn purpose(&self) -> Option<String> {
        self.purpose.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds `sys.audit` to an owner's session.
    pub fn show_log(&self, ctx: &SessionContext) -> Result<()> {
        match (self.role.openness, self.policy.log()) {
            (Openness::Owner, Some(_)) => audit_table::register(ctx, &self.policy),
            (_, _) => Ok(()),
        }
    }

    /// `SET purpose = '…'`; `None` takes it back.
    pub fn set_purpose(&self, purpose: Option<&str>) -> Result<()> {
        if let Some(purpose) = purpose {
            let known = self.policy.declared().purposes.contains_key(purpose);
            let allowed = self.role.purposes.is_empty() || self.role.purposes.contains(purpose);
            if !known || !allowed {
                let mine: Vec<&str> = match self.role.purposes.is_empty() {
                    true => self.policy.declared().purposes.keys().map(String::as_str).collect(),
                    false => self.role.purposes.iter().map(String::as_str).collect(),
                };
                return Err(refusal(
                    Code::NotAllowed,
                    format!("`{purpose}` is not a purpose of the role `{}`", self.role_name),
                )
                .hint(format!("its purposes are: {}", mine.join(", "))));
            }
        }
        *self.purpose.lock().unwrap_or_else(PoisonError::into_inner) = purpose.map(str::to_string);
        Ok(())
    }

    /// Turns a plan into one that this session may run, or refuses it.
    pub fn pass(&self, plan: LogicalPlan, state: &SessionState) -> Result<Passed> {
        let purpose = self.purpose();
        if !self.role.purposes.is_empty() && purpose.is_none() && statements::reads(&plan) {
            let words: Vec<&str> = self.role.purposes.iter().map(String::as_str).collect();
            return Err(refusal(
                Code::NotAllowed,
                format!("the role `{}` reads for a purpose, and none is set", self.role_name),
            )
            .hint(format!("`SET purpose = '…'` with one of: {}", words.join(", "))));
        }
        let names = statements::columns_named(&plan)?;
        let reading = rows::Reading::new(&self.policy, purpose.as_deref())?;
        match self.role.openness {
            Openness::Aggregate => {
                let gate = gate::Gate::new(reading, &self.role, state);
                let plan = statements::pass(&gate, plan)?;
                let trail = gate.trail.into_inner();
                let mut found =
                    Found { tables: trail.tables, steps: trail.steps, ..Found::default() };
                found.columns = self.policy.classes_of(&found.tables, &names);
                Ok(Passed { plan, masked: trail.private, found, ticket: None })
            }
            openness @ (Openness::Owner | Openness::Pseudonymised) => {
                let mut found = Found::default();
                let plan = unlock::pass(&reading, plan, openness, state, &mut found)?;
                let masked = openness != Openness::Owner;
                found.columns = self.policy.classes_of(&found.tables, &names);
                found.steps.push((
                    "scan".into(),
                    format!("rows as the role `{}` sees them", self.role_name),
                ));
                Ok(Passed { plan, masked, found, ticket: None })
            }
        }
    }

    /// A table of rows that this session was shown. What a role that sees groups was shown is an answer.
    pub fn keep_answer(&self, table: Arc<dyn TableProvider>) {
        if self.role.openness == Openness::Aggregate {
            self.policy.set_answer(table, true);
        }
    }

    /// Rows that a client brings along, under a name that only its own statement has: it may read them.
    pub fn bring(&self, rows: Arc<dyn TableProvider>) {
        self.policy.set_answer(rows, true);
    }

    /// After a statement has had its effect: a table that it has made is an answer, or stands behind the gate.
    pub async fn settle(&self, ctx: &SessionContext, made: &Made) -> Result<()> {
        let Some(name) = &made.table else { return Ok(()) };
        match self.role.openness {
            Openness::Aggregate => {
                let provider = ctx.table_provider(name.clone()).await?;
                // A view is its query, which the gate reads each time.
                if provider.get_logical_plan().is_none() {
                    self.policy.set_answer(provider, true);
                }
            }
            openness @ (Openness::Owner | Openness::Pseudonymised) => {
                let known = self.policy.known_as(name, &ctx.copied_config().options().catalog);
                // Only an owner's own table is open where the policy leaves a schema open.
                let opened =
                    |place: &guarded::Place| openness == Openness::Owner && place.name == known;
                let is_answer = |table: &_| self.policy.is_answer_table(table);
                let policy = &self.policy;
                guarded::guard_all(ctx, &policy.defaults, &policy.declared, opened, is_answer)
                    .await?;
                // Nobody else makes tables of files.
                if openness == Openness::Owner {
                    policy.fence_in(ctx, &made.locations).await?;
                }
            }
        }
        Ok(())
    }
}

/// The table that a statement makes, if it makes one.
#[derive(Clone, Debug, Default)]
pub struct Made {
    table: Option<TableReference>,
    /// The paths and addresses that it is read from.
    locations: Vec<String>,
}

impl Made {
    /// What a plan makes.
    pub fn by(plan: &LogicalPlan) -> Self {
        let (table, locations) = match plan {
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table)) => (&table.name, vec![]),
            LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table)) => {
                (&table.name, table.locations.clone())
            }
            LogicalPlan::Ddl(DdlStatement::CreateView(view)) => (&view.name, vec![]),
            _ => return Self::default(),
        };
        Self { table: Some(table.clone()), locations }
    }
}
