// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `SELECT * FROM functions()`: every scalar, aggregate, window and table function of the session.

use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Documentation, LogicalPlan, LogicalPlanBuilder, lit};

use super::{LISTING, TableFunctions, lock};
use crate::error::Result;

/// One line of the listing.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) signature: String,
    pub(crate) description: String,
    pub(crate) example: Option<String>,
}

/// The listing, ordered by name and kind.
pub(super) fn lines(functions: &TableFunctions) -> Result<Vec<Line>> {
    let mut lines = table_functions(functions);
    let state = functions.state()?;
    lines.extend(others(&state.read()));
    lines.extend(lock(&functions.scalars).values().map(|m| Line {
        name: m.name().to_string(),
        kind: "scalar",
        signature: m.signature(),
        description: "a macro of this session".into(),
        example: None,
    }));
    lines.sort_by(|a, b| (&a.name, a.kind).cmp(&(&b.name, b.kind)));
    Ok(lines)
}

/// The listing as constant rows.
pub(super) fn plan(functions: &TableFunctions) -> Result<LogicalPlan> {
    let rows = lines(functions)?
        .into_iter()
        .map(|l| {
            let example = l.example.map_or(lit(ScalarValue::Utf8(None)), lit);
            vec![lit(l.name), lit(l.kind), lit(l.signature), lit(l.description), example]
        })
        .collect();
    let names = ["name", "kind", "signature", "description", "example"];
    let values = LogicalPlanBuilder::values(rows)?;
    let columns = values.schema().columns();
    let named = columns
        .into_iter()
        .zip(names)
        .map(|(c, n)| datafusion::logical_expr::Expr::Column(c).alias(n));
    Ok(values.project(named.collect::<Vec<_>>())?.build()?)
}

fn table_functions(functions: &TableFunctions) -> Vec<Line> {
    let library = lock(&functions.library);
    let own = lock(&functions.own);
    let mut lines: Vec<Line> = library
        .iter()
        .chain(own.values().cloned())
        .map(|d| Line {
            name: d.name.clone(),
            kind: "table",
            signature: d.signature(),
            description: d.about.clone(),
            example: d.examples.first().cloned(),
        })
        .collect();
    lines.extend(
        functions
            .relations
            .values()
            .map(|f| documented(f.name(), "table", Some(f.documentation()))),
    );
    lines.push(Line {
        name: LISTING.into(),
        kind: "table",
        signature: format!("{LISTING}()"),
        description: "Every scalar, aggregate, window and table function of the session".into(),
        example: Some(format!("SELECT name, signature FROM {LISTING}() WHERE kind = 'table'")),
    });
    if let Ok(state) = functions.state() {
        lines.extend(state.read().table_functions().keys().map(|name| Line {
            name: name.clone(),
            kind: "table",
            signature: format!("{name}(…)"),
            description: "A table function of DataFusion".into(),
            example: None,
        }));
    }
    lines
}

fn others(state: &SessionState) -> Vec<Line> {
    let mut lines = vec![];
    // Aliases are listed too: a person looks for the name they know.
    lines.extend(
        state.scalar_functions().iter().map(|(n, f)| documented(n, "scalar", f.documentation())),
    );
    lines.extend(
        state
            .aggregate_functions()
            .iter()
            .map(|(n, f)| documented(n, "aggregate", f.documentation())),
    );
    lines.extend(
        state.window_functions().iter().map(|(n, f)| documented(n, "window", f.documentation())),
    );
    lines
}

pub(super) fn documented(
    name: &str,
    kind: &'static str,
    documentation: Option<&Documentation>,
) -> Line {
    Line {
        name: name.to_string(),
        kind,
        signature: documentation
            .map_or(format!("{name}(…)"), |d| d.syntax_example.trim().to_string()),
        description: documentation.map_or(String::new(), |d| d.description.trim().to_string()),
        example: documentation.and_then(|d| d.sql_example.as_deref()).map(first_block),
    }
}

/// DataFusion's examples are fenced and show their answers; the statement is what can be run.
fn first_block(example: &str) -> String {
    let inside =
        example.split("```").nth(1).map_or(example, |b| b.strip_prefix("sql").unwrap_or(b));
    let lines = inside.trim().lines().take_while(|l| !l.starts_with('+'));
    lines
        .map(|l| l.trim_start_matches("> "))
        .collect::<Vec<_>>()
        .join("\n")
        .trim_end_matches(';')
        .to_string()
}
