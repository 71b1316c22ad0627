// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Where a plan comes from, written into the plan.
//!
//! Under a privacy policy the gate has to know which part of a plan is a reviewed analysis and which part its caller
//! wrote. So an expansion stands in a node of its own, and so does every relation that a caller gives it. SQL has no words
//! for either, and the gate takes them out again before the plan is optimised.

use std::fmt;

use datafusion::common::{DFSchemaRef, TableReference, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

/// A part of a plan, and who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct Marker {
    /// Who wrote it.
    pub origin: Origin,
    /// The part.
    pub input: LogicalPlan,
}

/// Who wrote a part of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub enum Origin {
    /// A file of the library, or of the operator's own folders.
    Analysis {
        /// Its name.
        name: String,
        /// What a row of its result is.
        grain: String,
        /// The columns of its result that groups may be made by, where rows are about one person each.
        groups: Vec<String>,
        /// The columns of its result that hold the value of a single person, such as the greatest of a group.
        withheld: Vec<String>,
        /// Whether the caller wrote expressions into it: `net_sales => price * 2`.
        given_columns: bool,
    },
    /// The caller of an analysis, as its argument.
    Argument,
    /// Whoever made the table of that name: an analysis reads it by its own word, and the caller may have made it.
    Table(TableReference),
}

impl Marker {
    /// Marks a plan.
    pub(super) fn around(input: LogicalPlan, origin: Origin) -> LogicalPlan {
        let node = Marker { origin, input };
        LogicalPlan::Extension(Extension { node: std::sync::Arc::new(node) })
    }

    /// The marker that a node is, if it is one.
    pub fn of(extension: &Extension) -> Option<&Marker> {
        extension.node.as_any().downcast_ref()
    }
}

impl UserDefinedLogicalNodeCore for Marker {
    fn name(&self) -> &str {
        "Marker"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.origin {
            Origin::Analysis { name, .. } => write!(f, "Analysis: {name}"),
            Origin::Argument => f.write_str("Argument"),
            Origin::Table(name) => write!(f, "Table: {name}"),
        }
    }

    fn with_exprs_and_inputs(
        &self,
        _exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        match inputs.pop() {
            Some(input) => Ok(Self { input, origin: self.origin.clone() }),
            None => internal_err!("a marker has one input"),
        }
    }
}
