// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Which rows of a table a session may read at all: those whose retention has not run out and, for a purpose that needs
//! it, those of persons who consent. The conditions stand directly over the scan, for every role.

use std::cell::Cell;
use std::sync::Arc;

use chrono::{DateTime, Days, Months};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::{
    Expr, ExprSchemable, JoinType, LogicalPlan, LogicalPlanBuilder, cast, lit, when,
};

use super::Policy;
use super::declarations::{Consent, Openness, Owner, Retention, Table};
use super::gate::Node;
use super::guarded::Guarded;
use super::persons;
use super::pseudonym;
use super::refusal::{Code, refusal};
use super::release::Release;
use super::state::{Info, Kind, Private, State, Support};
use crate::error::{Error, Result};
use crate::library::PrivacyClass as Class;

/// One statement's way to the tables.
pub(super) struct Reading<'a> {
    pub(super) policy: &'a Policy,
    pub(super) purpose: Option<&'a str>,
    names: Cell<usize>,
    /// What no statement can have foreseen: part of every name that is added to its plan.
    nonce: String,
}

/// A table as it may be read.
struct Read {
    plan: LogicalPlan,
    /// The hidden column that says whom a row is about.
    unit: Option<Column>,
    /// Whether rows may have been left out.
    filtered: bool,
}

pub(super) fn undeclared(name: &str) -> Error {
    refusal(
        Code::NotAllowed,
        format!("the policy does not declare `{name}`, so this role may not read it"),
    )
    .hint("read one of the declared tables: `SHOW TABLES`; or ask for it to be declared in the policy")
}

impl<'a> Reading<'a> {
    pub(super) fn new(policy: &'a Policy, purpose: Option<&'a str>) -> Result<Self> {
        let nonce = getrandom::u64()
            .map_err(|e| Error::query(format!("the system gives no random numbers: {e}")))?;
        Ok(Self { policy, purpose, names: Cell::new(0), nonce: format!("-{nonce:016x}") })
    }

    /// A name for a hidden column that no other column has, and that nobody can write.
    pub(super) fn hidden(&self, what: &str) -> String {
        self.names.set(self.names.get() + 1);
        format!("#{what}{}{}", self.names.get(), self.nonce)
    }

    /// A text about a plan without what is new in every plan.
    pub(super) fn legible(&self, text: &str) -> String {
        text.replace(&self.nonce, "")
    }

    /// A table for the gate: with the hidden column, and with what is known of its columns.
    pub(super) fn private(&self, table: &Guarded, name: &TableReference) -> Result<Node> {
        let Some(declared) = table.declared() else {
            return match table.is_open() {
                true => Ok(Node { plan: base(table, name)?, state: State::Public }),
                false => Err(undeclared(table.name())),
            };
        };
        let read = self.read(table, declared, name)?;
        let Some(unit) = read.unit else {
            let plan = if read.filtered { Release::wall(read.plan)? } else { read.plan };
            return Ok(Node { plan, state: State::Public });
        };
        let columns = read
            .plan
            .schema()
            .columns()
            .into_iter()
            .filter(|c| *c != unit)
            .map(|column| {
                let info = self.info(table.name(), declared, &column.name);
                (column, info)
            })
            .collect();
        let support = Support {
            column: unit,
            is_set: false,
            unit: declared.unit.clone(),
            by_person: true,
            outer: None,
        };
        let private = Private { columns, supports: vec![support], keys: None };
        Ok(Node { plan: read.plan, state: State::Private(private) })
    }

    /// A table for a role that sees rows.
    pub(super) fn open(
        &self,
        table: &Guarded,
        name: &TableReference,
        openness: Openness,
    ) -> Result<LogicalPlan> {
        let Some(declared) = table.declared() else {
            return match (openness, table.is_open()) {
                (Openness::Owner, _) | (_, true) => base(table, name),
                (Openness::Pseudonymised | Openness::Aggregate, false) => {
                    Err(undeclared(table.name()))
                }
            };
        };
        let read = self.read(table, declared, name)?;
        // What a user filters by must not be asked of rows that are not theirs to read: it could fail on one.
        let plan = if read.filtered { Release::wall(read.plan)? } else { read.plan };
        if openness == Openness::Owner && read.unit.is_none() {
            return Ok(plan);
        }
        let shown = plan
            .schema()
            .columns()
            .into_iter()
            .filter(|c| Some(c) != read.unit.as_ref())
            .map(|column| {
                let class = declared.classes.get(&column.name).copied();
                let class =
                    class.unwrap_or(if declared.public { Class::Plain } else { Class::Identifier });
                match openness {
                    Openness::Owner => Ok(Expr::Column(column)),
                    Openness::Pseudonymised | Openness::Aggregate => {
                        pseudonym::shown(self.policy.key()?, column, class, plan.schema())
                    }
                }
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(LogicalPlanBuilder::from(plan).project(shown)?.build()?)
    }

    /// The class of a column, and whether its values stand for persons.
    fn info(&self, table: &str, declared: &Table, column: &str) -> Info {
        let pointed = format!("{table}.{column}");
        let domain = match &declared.owner {
            Some(Owner::Column(unit)) if unit == column => Some(declared.unit.clone()),
            Some(Owner::Link { column: link, table, key }) if link == column => {
                Some(format!("{table}.{key}"))
            }
            _ if self.policy.is_pointed_at(table, column) => Some(pointed.clone()),
            Some(Owner::Column(_) | Owner::Link { .. }) | None => None,
        };
        // What nobody has classed is closed, and so is the key of persons, whatever its class.
        let class = declared.classes.get(column).copied().unwrap_or(Class::Identifier);
        let class = match (&domain, class) {
            (Some(_), Class::Quasi | Class::Sensitive | Class::Plain) => Class::Identifier,
            (_, class) => class,
        };
        let compare = match class {
            Class::Plain => true,
            Class::Quasi => declared.compare.contains(column),
            Class::Direct | Class::Text | Class::Identifier | Class::Sensitive => false,
        };
        Info { class, domain, origin: pointed, kind: Kind::Raw, compare, ..Info::constant() }
    }

    fn read(&self, table: &Guarded, declared: &Table, name: &TableReference) -> Result<Read> {
        self.purpose_fits(table.name(), declared)?;
        let mut read = Read { plan: base(table, name)?, unit: None, filtered: false };
        if let Some(retain) = &declared.retain {
            read.plan = self.retained(read.plan, name, retain)?;
            read.filtered = true;
        }
        let Some(owner) = &declared.owner else { return Ok(read) };
        read = self.owned(read, name, owner)?;
        if let (Some(word), Some(consent)) = (self.consent_word(), &self.policy.declared().consent)
        {
            if consent.unit != declared.unit {
                return Err(refusal(
                    Code::NotAllowed,
                    format!(
                        "`{}` belongs to units of kind {}, and no consent of theirs is known",
                        table.name(),
                        declared.unit
                    ),
                ));
            }
            let consenting = self.consenting(consent, word)?;
            let unit =
                read.unit.clone().ok_or_else(|| Error::query("a private table has a unit"))?;
            let subject = Column::from(consenting.schema().qualified_field(0));
            read.plan = LogicalPlanBuilder::from(read.plan)
                .join(consenting, JoinType::LeftSemi, (vec![unit], vec![subject]), None)?
                .build()?;
            read.filtered = true;
        }
        Ok(read)
    }

    fn purpose_fits(&self, name: &str, declared: &Table) -> Result<()> {
        let Some(purposes) = &declared.purposes else { return Ok(()) };
        if self.purpose.is_some_and(|p| purposes.contains(p)) {
            return Ok(());
        }
        let words: Vec<&str> = purposes.iter().map(String::as_str).collect();
        let error = refusal(
            Code::NotAllowed,
            match self.purpose {
                Some(purpose) => format!("`{name}` may not be read for the purpose `{purpose}`"),
                None => format!("`{name}` may be read for a purpose only, and none is set"),
            },
        );
        Err(error.hint(format!("`SET purpose = '…'` with one of: {}", words.join(", "))))
    }

    fn consent_word(&self) -> Option<&'a str> {
        self.policy.declared().purposes.get(self.purpose?)?.consent.as_deref()
    }

    fn retained(
        &self,
        plan: LogicalPlan,
        name: &TableReference,
        retain: &Retention,
    ) -> Result<LogicalPlan> {
        let column = Column::new(Some(name.clone()), retain.column.clone());
        let data_type = Expr::Column(column.clone()).get_type(plan.schema())?;
        let now = DateTime::from_timestamp_nanos(self.policy.now());
        let first = now
            .checked_sub_months(Months::new(retain.months.unsigned_abs()))
            .and_then(|t| t.checked_sub_days(Days::new(u64::from(retain.days.unsigned_abs()))))
            .and_then(|t| t.timestamp_nanos_opt())
            .ok_or_else(|| Error::usage("a retention reaches back before the first moment"))?;
        let first = ScalarValue::TimestampNanosecond(Some(first), None).cast_to(&data_type)?;
        // A row without a date is older than anything.
        Ok(LogicalPlanBuilder::from(plan)
            .filter(Expr::Column(column).gt_eq(lit(first)))?
            .build()?)
    }

    /// Adds the hidden column that says whom a row is about.
    fn owned(&self, read: Read, name: &TableReference, owner: &Owner) -> Result<Read> {
        let hidden = self.hidden("unit");
        let unit = Column::new_unqualified(hidden.clone());
        let mut filtered = read.filtered;
        let plan = match owner {
            Owner::Column(column) => {
                let column = Expr::Column(Column::new(Some(name.clone()), column.clone()));
                let text = as_text(column, &read.plan)?.alias(hidden);
                let all = read.plan.schema().columns().into_iter().map(Expr::Column);
                let all: Vec<Expr> = all.chain([text]).collect();
                LogicalPlanBuilder::from(read.plan).project(all)?.build()?
            }
            Owner::Link { column, table, key } => {
                let (owners, owner_key, owner_unit) = self.owners(table, key)?;
                // What lives no longer than its owner's row has no row without one.
                let lapses =
                    self.policy.declared().line_of(table).any(|(_, table)| table.retain.is_some());
                let join = if lapses { JoinType::Inner } else { JoinType::Right };
                filtered |= lapses;
                let pointing = Expr::Column(Column::new(Some(name.clone()), column.clone()));
                let pointing = as_text(pointing, &read.plan)?;
                let columns = read.plan.schema().columns().into_iter().map(Expr::Column);
                let all: Vec<Expr> =
                    columns.chain([Expr::Column(owner_unit).alias(hidden)]).collect();
                // The owners stand on the left, where a join keeps its table.
                LogicalPlanBuilder::from(owners)
                    .join_on(read.plan, join, [Expr::Column(owner_key).eq(pointing)])?
                    .project(all)?
                    .build()?
            }
        };
        Ok(Read { plan, unit: Some(unit), filtered })
    }

    /// Whose each key of a table is, as long as its rows may be used: one row a key, so that a link never makes one row two.
    fn owners(&self, table: &str, key: &str) -> Result<(LogicalPlan, Column, Column)> {
        let guarded = self.policy.table(table)?;
        let declared = guarded.declared().ok_or_else(|| undeclared(table))?;
        let owner = declared.owner.as_ref().ok_or_else(|| undeclared(table))?;
        let name = TableReference::bare(self.hidden("owner"));
        let mut read = Read { plan: base(guarded, &name)?, unit: None, filtered: false };
        if let Some(retain) = &declared.retain {
            read.plan = self.retained(read.plan, &name, retain)?;
        }
        let read = self.owned(read, &name, owner)?;
        let unit = read.unit.ok_or_else(|| undeclared(table))?;
        let key = Expr::Column(Column::new(Some(name), key.to_string()));
        let (key_name, unit_name) = (self.hidden("key"), self.hidden("unit"));
        let key = as_text(key, &read.plan)?.alias(key_name.clone());
        let plan = LogicalPlanBuilder::from(read.plan)
            .aggregate([key], [max(Expr::Column(unit)).alias(unit_name.clone())])?
            .build()?;
        let columns = (Column::new_unqualified(key_name), Column::new_unqualified(unit_name));
        Ok((plan, columns.0, columns.1))
    }

    /// The units whose latest decision allows: at the latest moment there is a grant that holds, and no refusal.
    fn consenting(&self, consent: &Consent, word: &str) -> Result<LogicalPlan> {
        let guarded = self.policy.table(&consent.table)?;
        let name = TableReference::bare(self.hidden("consent"));
        let column = |c: &str| Expr::Column(Column::new(Some(name.clone()), c.to_string()));
        let plan = base(guarded, &name)?;
        let moment = |c: &str| -> Result<(Expr, Expr)> {
            let data_type = column(c).get_type(plan.schema())?;
            let now = ScalarValue::TimestampNanosecond(Some(self.policy.now()), None);
            Ok((column(c), lit(now.cast_to(&data_type)?)))
        };
        let (time, now) = moment(&consent.time)?;
        let mut decisions = column(&consent.purpose).eq(lit(word)).and(time.clone().lt_eq(now));
        if let Some((kind, value)) = &consent.subject_type {
            decisions = decisions.and(column(kind).eq(lit(value.as_str())));
        }
        let mut grants = column(&consent.status).eq(lit(consent.granted.as_str()));
        if let Some(expires) = &consent.expires {
            let (until, now) = moment(expires)?;
            grants = grants.and(until.clone().is_null().or(until.gt(now)));
        }
        let none = lit(ScalarValue::try_from(&time.get_type(plan.schema())?)?);
        // A status that is missing is a refusal.
        let granted = when(grants.clone(), time.clone()).otherwise(none.clone())?;
        let refused = when(grants, none).otherwise(time)?;
        let (subject, good, bad) =
            (self.hidden("subject"), self.hidden("good"), self.hidden("bad"));
        let who = as_text(column(&consent.subject), &plan)?.alias(subject.clone());
        let named = |n: &str| Expr::Column(Column::new_unqualified(n.to_string()));
        let latest = named(&bad).is_null().or(named(&good).gt(named(&bad)));
        Ok(LogicalPlanBuilder::from(plan)
            .filter(decisions)?
            .aggregate([who], [max(granted).alias(good.clone()), max(refused).alias(bad.clone())])?
            .filter(named(&good).is_not_null().and(latest))?
            .project([named(&subject)])?
            .build()?)
    }
}

/// The table behind the gate.
fn base(table: &Guarded, name: &TableReference) -> Result<LogicalPlan> {
    let source = provider_as_source(table.unlocked());
    Ok(LogicalPlanBuilder::scan(name.clone(), source, None)?.build()?)
}

/// A key as text: keys of one domain are equal whatever their columns' types.
fn as_text(column: Expr, plan: &LogicalPlan) -> Result<Expr> {
    let data_type = column.get_type(plan.schema())?;
    Ok(match persons::is_text(&data_type) {
        true => column,
        false => cast(column, DataType::Utf8),
    })
}

/// Tables by name are held for the links between them.
pub(super) type Tables = std::collections::BTreeMap<String, Arc<Guarded>>;
