// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What the calls being planned have bound. Planning is synchronous and stays on one thread, so it lives in a thread-local
//! for as long as a call's body is being planned.

use std::cell::RefCell;
use std::collections::HashMap;

use datafusion::logical_expr::LogicalPlan;

use crate::error::{Error, Result};

thread_local! {
    static EXPANSION: RefCell<Expansion> = RefCell::default();
}

/// What the calls being planned on this thread have bound.
#[derive(Default)]
struct Expansion {
    calls: Vec<String>,
    bound: HashMap<String, LogicalPlan>,
    names: u64,
}

/// The mark of a name that only the expansion can have written.
const MARK: char = '#';

/// The call whose body is being planned, if one is.
pub(super) fn innermost() -> Option<String> {
    EXPANSION.with_borrow(|e| e.calls.last().cloned())
}

/// The plan kept under a name.
pub(super) fn kept(name: &str) -> Option<LogicalPlan> {
    EXPANSION.with_borrow(|e| e.bound.get(name).cloned())
}

/// Keeps a plan under a name that nobody can write.
pub(super) fn keep(hint: &str, plan: LogicalPlan) -> String {
    let name = fresh(hint);
    EXPANSION.with_borrow_mut(|e| e.bound.insert(name.clone(), plan));
    name
}

/// A name that nobody can write.
pub(super) fn fresh(hint: &str) -> String {
    EXPANSION.with_borrow_mut(|e| {
        e.names += 1;
        format!("{hint}{MARK}{}", e.names)
    })
}

/// True for a name that an expansion made up.
pub(super) fn is_made_up(name: &str) -> bool {
    name.contains(MARK)
}

/// One call in progress: forgets what the call bound when it ends.
pub(super) struct Frame {
    before: Vec<String>,
}

impl Frame {
    pub(super) fn enter() -> Self {
        Frame { before: EXPANSION.with_borrow(|e| e.bound.keys().cloned().collect()) }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        EXPANSION.with_borrow_mut(|e| e.bound.retain(|name, _| self.before.contains(name)));
    }
}

/// One body being planned: refuses a macro whose body leads back to itself. A call within another call's arguments
/// (`pareto(pareto(t))`) is not recursion, and is not counted.
pub(super) struct Body;

impl Body {
    pub(super) fn enter(name: &str) -> Result<Self> {
        EXPANSION.with_borrow_mut(|e| {
            if e.calls.iter().any(|c| c == name) {
                let path: Vec<&str> = e.calls.iter().map(String::as_str).chain([name]).collect();
                return Err(Error::query(format!("the macro `{name}` calls itself"))
                    .note(format!("the calls are: {}", path.join(" → "))));
            }
            e.calls.push(name.to_string());
            Ok(Body)
        })
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        EXPANSION.with_borrow_mut(|e| e.calls.pop());
    }
}
