// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Comptoir's functions for Apache DataFusion.
//!
//! A function is one file and one line in a list: [`scalars`], [`aggregates`], [`windows`] or
//! [`relations`]. The crate knows no table, no configuration and no file, and depends on
//! DataFusion's leaf crates only, so that any DataFusion session can use it:
//!
//! ```
//! # use datafusion_common::Result;
//! # use datafusion_expr::registry::{FunctionRegistry, MemoryFunctionRegistry};
//! # fn main() -> Result<()> {
//! // Or a `SessionContext`, or a `SessionState`.
//! let mut registry = MemoryFunctionRegistry::new();
//! comptoir_udfs::register(&mut registry)?;
//! assert!(registry.udaf("order_summary").is_ok());
//! # Ok(())
//! # }
//! ```
//!
//! Two promises hold for all of them. The same input gives the same bytes, whatever the order of
//! its rows, the size of batches and the number of partitions. And nothing missing is invented:
//! each argument documents what its NULL means.

#![deny(missing_docs)]

mod anonymity;
mod apportion;
mod attribution;
mod cross_elasticity;
mod elasticity_fit;
mod elasticity_panel;
mod generalise;
mod generalise_date;
mod generalise_number;
mod generalise_text;
mod k_anonymise;
mod k_anonymity;
mod keyed_hash;
mod l_diversity;
mod literal;
mod local_time;
mod mask_email;
mod mask_phone;
mod masking;
mod order_summary;
mod ordered_key;
mod pieces;
mod price_elasticity;
mod price_periods;
mod profile;
mod pseudonymise;
mod raise;
mod redact;
mod regression;
mod reid_risk;
mod relation;
mod removal_effects;
mod rescale;
mod score;
mod score_bounds;
mod signature;
mod student_t;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use datafusion_common::Result;
use datafusion_expr::registry::FunctionRegistry;
use datafusion_expr::{AggregateUDF, ScalarUDF, WindowUDF};

pub use relation::{
    Arguments, CallTakes, ColumnCall, ListedColumn, Parameter, ParameterKind, RelationFunction,
};

/// The scalar functions.
pub fn scalars() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(cross_elasticity::cross_elasticity()), //
        Arc::new(elasticity_fit::elasticity_fit()),
        Arc::new(generalise_date::generalise_date()),
        Arc::new(generalise_number::generalise_number()),
        Arc::new(generalise_text::generalise_text()),
        Arc::new(keyed_hash::keyed_hash()),
        Arc::new(local_time::local_time()),
        Arc::new(mask_email::mask_email()),
        Arc::new(mask_phone::mask_phone()),
        Arc::new(pseudonymise::pseudonymise()),
        Arc::new(raise::raise()),
        Arc::new(redact::redact()),
        Arc::new(rescale::rescale()),
        Arc::new(score::score()),
    ]
}

/// The aggregate functions.
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![
        Arc::new(attribution::channel_credits()), //
        Arc::new(elasticity_panel::elasticity_panel()),
        Arc::new(generalise::generalise()),
        Arc::new(attribution::journey_credits()),
        Arc::new(attribution::journeys()),
        Arc::new(order_summary::order_summary()),
        Arc::new(price_elasticity::price_elasticity()),
        Arc::new(price_periods::price_periods()),
        Arc::new(removal_effects::removal_effects()),
        Arc::new(score_bounds::score_bounds()),
        Arc::new(attribution::touch_credits()),
    ]
}

/// The window functions.
pub fn windows() -> Vec<Arc<WindowUDF>> {
    vec![
        Arc::new(apportion::apportion()), //
    ]
}

/// The relation functions, which a planner calls; DataFusion has no registry for them.
pub fn relations() -> Vec<Arc<dyn RelationFunction>> {
    vec![
        k_anonymise::k_anonymise(), //
        k_anonymise::k_anonymise_report(),
        k_anonymity::k_anonymity(),
        l_diversity::l_diversity(),
        profile::profile(),
        reid_risk::reid_risk(),
        l_diversity::t_closeness(),
    ]
}

/// Whether the state of an aggregate function grows with its rows, so that to aggregate before the rows of a group have come
/// together saves nothing. A planner may then do it in one stage; the result is the same.
pub fn keeps_rows(aggregate: &str) -> bool {
    matches!(
        aggregate,
        "channel_credits" | "journey_credits" | "journeys" | "order_summary" | "touch_credits"
    )
}

/// Registers the scalar, aggregate and window functions.
pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for function in scalars() {
        registry.register_udf(function)?;
    }
    for function in aggregates() {
        registry.register_udaf(function)?;
    }
    for function in windows() {
        registry.register_udwf(function)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use datafusion_doc::Documentation;
    use datafusion_expr::registry::MemoryFunctionRegistry;

    use super::*;

    type Listed = (String, Option<Documentation>);

    /// The four lists, each with the names and the documentation of its functions.
    fn lists() -> [(&'static str, Vec<Listed>); 4] {
        [
            (
                "scalars",
                scalars().iter().map(|f| (f.name().into(), f.documentation().cloned())).collect(),
            ),
            (
                "aggregates",
                aggregates()
                    .iter()
                    .map(|f| (f.name().into(), f.documentation().cloned()))
                    .collect(),
            ),
            (
                "windows",
                windows().iter().map(|f| (f.name().into(), f.documentation().cloned())).collect(),
            ),
            (
                "relations",
                relations()
                    .iter()
                    .map(|f| (f.name().into(), Some(f.documentation().clone())))
                    .collect(),
            ),
        ]
    }

    #[test]
    fn names_are_unique_snake_case_and_in_order() {
        let mut seen = BTreeSet::new();
        for (list, functions) in lists() {
            let names: Vec<String> = functions.into_iter().map(|(name, _)| name).collect();
            assert!(names.is_sorted(), "`{list}` is not in alphabetic order: {names:?}");
            for name in names {
                let mut characters = name.chars();
                assert!(
                    characters.next().is_some_and(|first| first.is_ascii_lowercase())
                        && characters
                            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
                    "`{name}` is not snake case"
                );
                assert!(seen.insert(name.clone()), "`{name}` is listed twice");
            }
        }
        for function in aggregates() {
            assert!(function.aliases().is_empty(), "one name per function");
        }
    }

    #[test]
    fn every_function_is_documented() {
        for (_, functions) in lists() {
            for (name, documentation) in functions {
                let Some(documentation) = documentation else {
                    panic!("`{name}` has no documentation")
                };
                assert!(
                    documentation.description.ends_with('.'),
                    "`{name}`: the description is prose"
                );
                assert!(
                    documentation.syntax_example.starts_with(&format!("{name}(")),
                    "`{name}`: the syntax example calls it"
                );
                let example = documentation.sql_example.unwrap_or_default();
                assert!(
                    example.starts_with("```sql\n> SELECT")
                        && example.contains(&format!("{name}(")),
                    "`{name}`: the SQL example is a query that calls it"
                );
                assert!(
                    documentation.arguments.is_some_and(|arguments| !arguments.is_empty()),
                    "`{name}`: the arguments are described"
                );
            }
        }
    }

    #[test]
    fn every_parameter_is_documented() {
        for function in relations() {
            let documented = function.documentation().arguments.clone().unwrap_or_default();
            let documented: Vec<&str> = documented.iter().map(|(name, _)| name.as_str()).collect();
            let parameters: Vec<&str> = function.parameters().iter().map(|p| p.name).collect();
            assert_eq!(parameters, documented, "`{}`", function.name());
        }
    }

    #[test]
    fn registration_shadows_nothing() -> Result<()> {
        let mut registry = MemoryFunctionRegistry::new();
        register(&mut registry)?;
        assert_eq!(registry.udfs().len(), scalars().len());
        assert_eq!(registry.udafs().len(), aggregates().len());
        assert_eq!(registry.udwfs().len(), windows().len());
        Ok(())
    }
}
