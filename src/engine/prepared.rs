// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Prepared statements as texts with holes: the values are put in before planning, because the constants of an analysis
//! decide what is planned.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{CastKind, DataType, Expr, Statement, Value, ValueWithSpan};

use crate::error::{Error, Result};
use crate::statement::walk::{self, EachExpr, stop};

/// The prepared statements of a session, by name.
#[derive(Debug, Default)]
pub(super) struct Prepared(HashMap<String, (Vec<DataType>, Statement)>);

impl Prepared {
    /// `PREPARE name (types) AS statement`
    pub(super) fn add(
        &mut self,
        name: &str,
        types: &[DataType],
        statement: &Statement,
    ) -> Result<()> {
        if self.0.contains_key(name) {
            return Err(Error::query(format!("the statement `{name}` is prepared already"))
                .hint(format!("`DEALLOCATE {name}` first")));
        }
        self.0.insert(name.to_string(), (types.to_vec(), statement.clone()));
        Ok(())
    }

    /// `DEALLOCATE name`
    pub(super) fn remove(&mut self, name: &str) -> Result<()> {
        self.0.remove(name).map(|_| ()).ok_or_else(|| unknown(name))
    }

    /// `EXECUTE name(values)`: the statement with its values.
    pub(super) fn fill(&self, name: &str, values: &[Expr]) -> Result<Statement> {
        let (types, statement) = self.0.get(name).ok_or_else(|| unknown(name))?;
        let mut statement = statement.clone();
        let mut used = 0;
        let fill = &mut EachExpr(|expr: &mut Expr| {
            let Expr::Value(ValueWithSpan { value: Value::Placeholder(hole), .. }) = expr else {
                return ControlFlow::Continue(());
            };
            let Some(place) =
                hole.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()).filter(|n| *n > 0)
            else {
                return stop(Error::query(format!(
                    "`{hole}` is not a parameter: they are written $1, $2, …"
                )));
            };
            used = used.max(place);
            let Some(value) = values.get(place - 1) else {
                return stop(Error::query(format!(
                    "`{name}` needs a value for ${place}, and {} are given",
                    values.len()
                )));
            };
            *expr = match types.get(place - 1) {
                Some(data_type) => Expr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(value.clone()),
                    data_type: data_type.clone(),
                    array: false,
                    format: None,
                },
                None => value.clone(),
            };
            ControlFlow::Continue(())
        });
        match walk::sql(&mut statement, fill) {
            ControlFlow::Break(error) => Err(*error),
            ControlFlow::Continue(()) if values.len() > used => Err(Error::query(format!(
                "`{name}` takes {used} values, and {} are given",
                values.len()
            ))),
            ControlFlow::Continue(()) => Ok(statement),
        }
    }
}

fn unknown(name: &str) -> Error {
    Error::query(format!("no statement `{name}` is prepared"))
}
