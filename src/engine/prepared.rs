// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Prepared statements as texts with holes: the values are put in before planning, because the constants of an analysis
//! decide what is planned.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Statement as Sql, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::error::{Error, Kind, Result};
use crate::statement::Statement;
use crate::statement::walk::{self, EachExpr, stop};

/// The prepared statements of a session, by name.
#[derive(Debug, Default)]
pub(super) struct Prepared(HashMap<String, (Vec<SqlType>, Sql)>);

impl Prepared {
    /// `PREPARE name (types) AS statement`
    pub(super) fn add(&mut self, name: &str, types: &[SqlType], statement: &Sql) -> Result<()> {
        if self.0.contains_key(name) {
            return Err(Error::query(format!("the statement `{name}` is prepared already"))
                .hint(format!("`DEALLOCATE {name}` first")));
        }
        // Nobody looks into it before it is executed, and then the engine would execute it by itself.
        if matches!(statement, Sql::Prepare { .. } | Sql::Execute { .. } | Sql::Deallocate { .. }) {
            return Err(Error::query("PREPARE takes a statement that does something by itself")
                .hint(
                    "prepare the statement that is meant, and write EXECUTE and DEALLOCATE alone",
                ));
        }
        self.0.insert(name.to_string(), (types.to_vec(), statement.clone()));
        Ok(())
    }

    /// `DEALLOCATE name`
    pub(super) fn remove(&mut self, name: &str) -> Result<()> {
        self.0.remove(name).map(|_| ()).ok_or_else(|| unknown(name))
    }

    /// `EXECUTE name(values)`: the statement with its values.
    pub(super) fn fill(&self, name: &str, values: &[Expr]) -> Result<Sql> {
        let (types, statement) = self.0.get(name).ok_or_else(|| unknown(name))?;
        let mut used = 0;
        let filled = fill(Parsed::Statement(Box::new(statement.clone())), &mut |place| {
            used = used.max(place);
            let Some(value) = values.get(place - 1) else {
                return Err(Error::query(format!(
                    "`{name}` needs a value for ${place}, and {} are given",
                    values.len()
                )));
            };
            Ok(match types.get(place - 1) {
                Some(data_type) => cast(value.clone(), data_type.clone()),
                None => value.clone(),
            })
        })?;
        if values.len() > used {
            return Err(Error::query(format!(
                "`{name}` takes {used} values, and {} are given",
                values.len()
            )));
        }
        match filled {
            Parsed::Statement(statement) => Ok(*statement),
            _ => Err(Error::query(format!("`{name}` cannot be executed"))),
        }
    }
}

/// Puts a value into every hole `$1`, `$2`, …
fn fill(mut parsed: Parsed, value: &mut dyn FnMut(usize) -> Result<Expr>) -> Result<Parsed> {
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
        match value(place) {
            Ok(value) => *expr = value,
            Err(error) => return stop(error),
        }
        ControlFlow::Continue(())
    });
    match walk::statement(&mut parsed, fill) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(parsed),
    }
}

impl Statement {
    /// Turns every `?` into `$1`, `$2`, …, in the order of the text.
    pub fn numbered(mut self) -> Self {
        let mut places = vec![];
        let mut each = |act: &mut dyn FnMut(&mut String, Location)| {
            let visit = &mut EachExpr(|expr: &mut Expr| {
                if let Expr::Value(ValueWithSpan { value: Value::Placeholder(hole), span }) = expr
                    && hole == "?"
                {
                    act(hole, span.start);
                }
                ControlFlow::Continue(())
            });
            // The closure never stops.
            let _ = walk::statement(&mut self.parsed, visit);
        };
        each(&mut |_, place| places.push(place));
        places.sort();
        each(&mut |hole, place| {
            let number = places.iter().position(|p| *p == place).unwrap_or_default() + 1;
            *hole = format!("${number}");
        });
        self
    }

    /// The numbers of its holes `$1`, `$2`, …
    pub fn holes(&self) -> Result<BTreeSet<usize>> {
        let mut holes = BTreeSet::new();
        fill(self.parsed.clone(), &mut |place| {
            holes.insert(place);
            Ok(null())
        })?;
        Ok(holes)
    }

    /// The statement with a value in every hole.
    pub fn with_values(&self, value: &dyn Fn(usize) -> Result<Expr>) -> Result<Self> {
        let parsed = fill(self.parsed.clone(), &mut |place| value(place))?;
        Ok(Self { parsed, ..self.clone() })
    }
}

pub(super) fn null() -> Expr {
    Expr::Value(Value::Null.with_empty_span())
}

/// A value as SQL would write it. Where the type that the statement reads it as is known, it gets that type, unless the
/// value would change: 1.5 is never read as 1.
pub fn literal(value: &ScalarValue, wanted: Option<&DataType>) -> Result<Expr> {
    if value.is_null() {
        return match wanted.filter(|t| **t != DataType::Null) {
            Some(wanted) => arrow_cast(null(), wanted),
            None => Ok(null()),
        };
    }
    let exact = wanted.filter(|wanted| **wanted != value.data_type()).and_then(|wanted| {
        let there = value.cast_to(wanted).ok()?;
        (there.cast_to(&value.data_type()).ok().as_ref() == Some(value)).then_some(there)
    });
    plain(exact.as_ref().unwrap_or(value))
}

fn plain(value: &ScalarValue) -> Result<Expr> {
    let number = |text: String| Expr::Value(Value::Number(text, false).with_empty_span());
    let text =
        |text: &str| Expr::Value(Value::SingleQuotedString(text.to_string()).with_empty_span());
    match value {
        ScalarValue::Boolean(Some(b)) => Ok(Expr::Value(Value::Boolean(*b).with_empty_span())),
        ScalarValue::Int64(Some(n)) => Ok(number(n.to_string())),
        ScalarValue::Float64(Some(x)) if x.is_finite() => Ok(number(format!("{x:?}"))),
        ScalarValue::Utf8(Some(s)) => Ok(text(s)),
        ScalarValue::Dictionary(_, inner) => plain(inner),
        ScalarValue::Binary(Some(bytes)) => {
            let hex = bytes.iter().map(|b| format!("{b:02x}")).collect();
            Ok(Expr::Value(Value::HexStringLiteral(hex).with_empty_span()))
        }
        ScalarValue::LargeBinary(Some(bytes))
        | ScalarValue::BinaryView(Some(bytes))
        | ScalarValue::FixedSizeBinary(_, Some(bytes)) => {
            plain(&ScalarValue::Binary(Some(bytes.clone())))
        }
        // Moments by their number: text would lose the time zone.
        ScalarValue::TimestampSecond(Some(n), _)
        | ScalarValue::TimestampMillisecond(Some(n), _)
        | ScalarValue::TimestampMicrosecond(Some(n), _)
        | ScalarValue::TimestampNanosecond(Some(n), _)
        | ScalarValue::Time64Microsecond(Some(n))
        | ScalarValue::Time64Nanosecond(Some(n))
        | ScalarValue::Date64(Some(n)) => arrow_cast(number(n.to_string()), &value.data_type()),
        ScalarValue::Date32(Some(n))
        | ScalarValue::Time32Second(Some(n))
        | ScalarValue::Time32Millisecond(Some(n)) => {
            arrow_cast(arrow_cast(number(n.to_string()), &DataType::Int32)?, &value.data_type())
        }
        value if value.data_type().is_numeric() || value.data_type().is_string() => {
            let shown = value.cast_to(&DataType::Utf8)?;
            let ScalarValue::Utf8(Some(shown)) = &shown else { return Ok(null()) };
            arrow_cast(text(shown), &value.data_type())
        }
        other => Err(Error::new(
            Kind::Unsupported,
            format!("a value of type {} cannot be a parameter", other.data_type()),
        )),
    }
}

fn arrow_cast(value: Expr, data_type: &DataType) -> Result<Expr> {
    let wrong = |e: ParserError| Error::query(e.to_string());
    let type_text = data_type.to_string().replace('\'', "''");
    let call = format!("arrow_cast(NULL, '{type_text}')");
    let parsed = Parser::new(&GenericDialect {}).try_with_sql(&call).map_err(wrong)?.parse_expr();
    let mut call = parsed.map_err(wrong)?;
    if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut call
        && let Some(first) = list.args.first_mut()
    {
        *first = FunctionArg::Unnamed(FunctionArgExpr::Expr(value));
    }
    Ok(call)
}

fn cast(expr: Expr, data_type: SqlType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn unknown(name: &str) -> Error {
    Error::query(format!("no statement `{name}` is prepared"))
}
