// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Completion: what could stand at the cursor ([`place`]), and the names of the session that fit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reedline::{Completer, CompletionResult, Span, Suggestion};
use tokio::runtime::Handle;

use super::command::{self, Action, COMMANDS};
use crate::engine::{Column, Names};
use crate::expand::{Argument, Manual, Role};
use crate::sink::FORMATS;

mod place;
mod scope;
mod words;

use place::{Call, Place, Wanted, place};
use words::{Candidate, IN_EXPRESSIONS, STARTS, WORDS, dotted, files, fitting, keywords, quoted};

/// How long planning a relation may keep the person waiting for its columns.
const PATIENCE: Duration = Duration::from_millis(500);

/// How many suggestions a list may have before nobody reads it.
const MOST: usize = 300;

/// What the prompt knows and the engine does not.
#[derive(Default)]
pub(super) struct Known {
    /// The names given by `\set`.
    pub(super) variables: Vec<String>,
    /// Counts statements: after each, what was looked up may be different.
    pub(super) statements: u64,
    /// Counts errors, for who must stop at one.
    pub(super) failures: u64,
    /// The columns of the last result.
    pub(super) last: Vec<String>,
}

/// Completes from a session's names.
pub(super) struct Helper {
    names: Names,
    known: Arc<Mutex<Known>>,
    runtime: Handle,
    /// Columns by relation, until the next statement.
    columns: HashMap<String, Vec<Column>>,
    at: u64,
}

impl Helper {
    pub(super) fn new(names: Names, known: Arc<Mutex<Known>>, runtime: Handle) -> Self {
        Self { names, known, runtime, columns: HashMap::new(), at: 0 }
    }
}

impl Completer for Helper {
    fn complete(&mut self, line: &str, cursor: usize) -> CompletionResult {
        let cursor = cursor.min(line.len());
        let statements = self.known.lock().unwrap_or_else(PoisonError::into_inner).statements;
        if statements != self.at {
            self.columns.clear();
            self.at = statements;
        }
        let (from, candidates) = match command::is_command(line) {
            true => self.in_command(line, cursor),
            false => self.in_statement(line, cursor),
        };
        // A quote that closes already is not closed once more.
        let quote = line[from..cursor].chars().next().filter(|c| matches!(c, '\'' | '"'));
        let quote = quote.or_else(|| line[..from].chars().next_back().filter(|c| *c == '\''));
        let closed = quote.filter(|q| line[cursor..].starts_with(*q)).map_or(0, char::len_utf8);
        let suggestions: Vec<Suggestion> = candidates
            .into_iter()
            .take(MOST)
            .map(|c| Suggestion {
                value: c.value,
                description: Some(c.about).filter(|a| !a.is_empty()),
                span: Span::new(from, cursor + closed),
                append_whitespace: c.space,
                ..Suggestion::default()
            })
            .collect();
        CompletionResult::fresh(suggestions)
    }
}

impl Helper {
    fn in_statement(&mut self, text: &str, cursor: usize) -> (usize, Vec<Candidate>) {
        let names = self.names.clone();
        let tables: Vec<String> =
            names.functions().into_iter().filter(|f| f.kind == "table").map(|f| f.name).collect();
        let place = place(text, cursor, &|name| tables.iter().any(|t| t == name));
        let mut from = place.from;
        let candidates = match &place.wanted {
            Wanted::Nothing => vec![],
            Wanted::Start => fitting(&place.word, vec![keywords(STARTS, &place.word)]),
            Wanted::Keyword => fitting(&place.word, vec![keywords(WORDS, &place.word)]),
            Wanted::Relation => fitting(&place.word, self.relations(&place)),
            Wanted::Expression { of } => {
                let mut groups = vec![self.columns_in_sight(&place, of.as_deref())];
                if of.is_none() {
                    let names = place.aliases.iter();
                    groups.insert(
                        0,
                        names.map(|n| Candidate::new(quoted(n), "named here")).collect(),
                    );
                }
                if of.is_none() && place.quote.is_none() {
                    groups.push(self.callables());
                    groups.push(keywords(IN_EXPRESSIONS, &place.word));
                }
                fitting(&place.word, groups)
            }
            Wanted::Argument(call) => fitting(&place.word, self.arguments(&place, call)),
            Wanted::Value(call, parameter) => {
                // The quote is part of what is suggested.
                from = place.from;
                fitting(&place.word, self.values(&place, call, parameter))
            }
            Wanted::File => {
                from = place.from + 1;
                files(&place.word, true)
            }
            Wanted::Variable => {
                let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                let variables = known.variables.iter();
                let variables = variables.map(|v| Candidate::new(format!("${v}"), "set here"));
                fitting(&place.word, vec![variables.collect()])
            }
        };
        (from, candidates)
    }

    /// Tables, then what `WITH` has named, then table functions.
    fn relations(&self, place: &Place) -> Vec<Vec<Candidate>> {
        let named = place.names.iter().map(|n| Candidate::new(quoted(n), "named by WITH"));
        let tables = self.names.tables().into_iter().map(|table| {
            let about = if table == super::LAST { "the last result" } else { "table" };
            Candidate::new(dotted(&table), about)
        });
        let functions = self.names.functions().into_iter().filter(|f| f.kind == "table");
        let functions =
            functions.map(|f| Candidate::new(format!("{}(", f.name), first_sentence(&f.about)));
        vec![named.collect(), tables.collect(), functions.collect()]
    }

    fn callables(&self) -> Vec<Candidate> {
        let functions = self.names.functions().into_iter().filter(|f| f.kind != "table");
        functions
            .map(|f| {
                let about = first_sentence(&f.about);
                Candidate::new(format!("{}(", f.name), format!("{}: {about}", f.kind))
            })
            .collect()
    }

    fn columns_in_sight(&mut self, place: &Place, of: Option<&str>) -> Vec<Candidate> {
        let mut found: Vec<Candidate> = vec![];
        for relation in place.relations.clone() {
            let alias = relation.alias.clone().unwrap_or_default();
            if of.is_some_and(|of| !alias.eq_ignore_ascii_case(of)) {
                continue;
            }
            for column in self.columns(&place.with, &relation.text) {
                let candidate = Candidate::new(quoted(&column.name), told(&column, &alias));
                if !found.iter().any(|c| c.value == candidate.value) {
                    found.push(candidate);
                }
            }
        }
        found
    }

    fn columns(&mut self, with: &str, relation: &str) -> Vec<Column> {
        let key = format!("{with} {relation}");
        if let Some(columns) = self.columns.get(&key) {
            return columns.clone();
        }
        // On a thread of its own: planning may wait for a store without a pause.
        let (names, planned) = (self.names.clone(), (with.to_string(), relation.to_string()));
        let planned =
            self.runtime.spawn(async move { names.columns(&planned.0, &planned.1).await });
        let columns = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, planned).await })
            .ok()
            .and_then(|planned| planned.ok()?.ok())
            .unwrap_or_else(|| self.promised(relation));
        self.columns.insert(key, columns.clone());
        columns
    }

    /// What a call returns by its documentation, for one that cannot be planned yet.
    fn promised(&self, relation: &str) -> Vec<Column> {
        let name = relation.split_once('(').map_or("", |(name, _)| name.trim());
        let page = self.page(&name.to_lowercase()).unwrap_or_default();
        let columns = page.returns.into_iter().map(|c| Column {
            name: c.name,
            data_type: c.data_type,
            nullable: true,
            meaning: c.meaning,
        });
        columns.collect()
    }

    fn arguments(&mut self, place: &Place, call: &Call) -> Vec<Vec<Candidate>> {
        let Some(manual) = self.page(&call.function) else { return vec![] };
        let mut groups = vec![];
        let next = manual.parameters.get(call.position).filter(|_| call.given.is_empty());
        if let Some(parameter) = next {
            groups.extend(match parameter.role {
                Role::Relation => self.relations(place),
                Role::Column => vec![self.input_columns(place, call, &manual)],
                Role::Constant => vec![],
            });
        }
        let taken = |p: &&Argument| {
            let by_place = manual.parameters.iter().position(|q| q.name == p.name);
            call.given.contains(&p.name)
                || (call.given.is_empty() && by_place.is_some_and(|i| i < call.position))
        };
        let parameters = manual.parameters.iter().filter(|p| !taken(p));
        let parameters = parameters.map(|p| Candidate::new(format!("{} => ", p.name), meant(p)));
        // Parameters come first where a relation cannot stand.
        let at = if next.is_some_and(|p| p.role == Role::Relation) { groups.len() } else { 0 };
        groups.insert(at, parameters.collect());
        groups
    }

    fn values(&mut self, place: &Place, call: &Call, name: &str) -> Vec<Vec<Candidate>> {
        let Some(manual) = self.page(&call.function) else { return vec![] };
        let Some(parameter) = manual.parameters.iter().find(|p| p.name == name) else {
            return vec![];
        };
        let mut constants: Vec<Candidate> =
            parameter.words.iter().map(|w| Candidate::new(format!("'{w}'"), "")).collect();
        if parameter.takes.eq_ignore_ascii_case("boolean") {
            constants.extend(["true", "false"].map(|w| Candidate::new(w, "")));
        }
        if let Some(default) =
            parameter.default.as_ref().filter(|_| parameter.role == Role::Constant)
            && !constants.iter().any(|c| c.value == *default)
        {
            constants.push(Candidate::new(default, "the default"));
        }
        match parameter.role {
            Role::Constant => vec![constants],
            Role::Relation => std::iter::once(constants).chain(self.relations(place)).collect(),
            Role::Column => vec![self.input_columns(place, call, &manual), self.callables()],
        }
    }

    /// The columns of what a call reads: its first argument, or the shop's table of that name.
    fn input_columns(&mut self, place: &Place, call: &Call, manual: &Manual) -> Vec<Candidate> {
        let relation = call.input.clone().or_else(|| {
            let first = manual.parameters.iter().find(|p| p.role == Role::Relation)?;
            Some(first.name.clone())
        });
        let Some(relation) = relation else { return vec![] };
        let columns = self.columns(&place.with, &relation);
        columns.iter().map(|c| Candidate::new(quoted(&c.name), told(c, &relation))).collect()
    }

    fn page(&self, function: &str) -> Option<Manual> {
        self.names.manual(function).ok()?.into_iter().find(|p| p.kind == "table")
    }

    fn in_command(&mut self, line: &str, cursor: usize) -> (usize, Vec<Candidate>) {
        let typed = &line[..cursor];
        let Some((name, rest)) = typed.trim_start().split_once(char::is_whitespace) else {
            let from = typed.len() - typed.trim_start().len();
            let sign: String =
                typed.trim_start().chars().take(1).filter(|c| !c.is_alphabetic()).collect();
            let commands = COMMANDS
                .iter()
                .map(|c| Candidate::new(format!("{sign}{}", c.name), c.about).spaced());
            return (from, fitting(typed.trim_start(), vec![commands.collect()]));
        };
        let Ok((command, _)) = command::parse(name) else { return (cursor, vec![]) };
        let from = typed.rfind(char::is_whitespace).map_or(0, |i| i + 1);
        let word = &typed[from..];
        let start = typed.len() - rest.trim_start().len();
        if command.action == Action::Explain {
            let (inner, candidates) = self.in_statement(&line[start..], cursor - start);
            return (inner + start, candidates);
        }
        let takes_file = matches!(command.action, Action::Read | Action::Output | Action::Edit);
        if (takes_file || command.action == Action::Describe)
            && let Some(path) = typed[start..].strip_prefix('\'')
        {
            return (start + 1, files(path, true));
        }
        if takes_file {
            return (start, files(&typed[start..], false));
        }
        let plain = |names: Vec<String>| {
            names.into_iter().map(|n| Candidate::new(n, "")).collect::<Vec<_>>()
        };
        let functions = || {
            let functions = self.names.functions().into_iter();
            functions.map(|f| Candidate::new(f.name, first_sentence(&f.about))).collect::<Vec<_>>()
        };
        let groups = match command.action {
            Action::Manual | Action::Functions => vec![functions()],
            Action::Describe | Action::Tables => vec![plain(self.names.tables()), functions()],
            Action::Help => vec![plain(COMMANDS.iter().map(|c| c.name.to_string()).collect())],
            Action::Mode => {
                let formats = FORMATS.iter().filter(|f| !f.binary).map(|f| f.name.to_string());
                vec![plain(formats.chain([super::show::VERTICAL.to_string()]).collect())]
            }
            Action::Timing => vec![plain(vec!["on".into(), "off".into()])],
            Action::Set => {
                let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                vec![plain(known.variables.clone())]
            }
            Action::Chart => {
                let kinds = super::chart::KINDS.iter().map(|k| k.0.to_string()).collect();
                let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                vec![plain(kinds), plain(known.last.clone())]
            }
            _ => vec![],
        };
        (from, fitting(word, groups))
    }
}

fn told(column: &Column, relation: &str) -> String {
    let meaning =
        if column.meaning.is_empty() { String::new() } else { format!(": {}", column.meaning) };
    format!("{} of {relation}{meaning}", column.data_type)
}

fn meant(parameter: &Argument) -> String {
    let words = match parameter.words.as_slice() {
        [] => String::new(),
        words => format!(" {}", words.join("|")),
    };
    let default = parameter.default.as_ref().map_or(String::new(), |d| format!(", else {d}"));
    format!("{}{words}{default}: {}", parameter.takes, parameter.meaning)
}

fn first_sentence(text: &str) -> String {
    text.split(". ").next().unwrap_or_default().lines().next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::Engine;

    /// What is suggested at `|`.
    fn suggested(setup: &str, text: &str) -> Vec<String> {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let engine = runtime.block_on(async {
            let engine = Engine::open(&Config::default()).await.expect("opens");
            engine.query(setup).await.expect("the setup runs");
            engine
        });
        let mut helper = Helper::new(engine.names(), Arc::default(), runtime.handle().clone());
        let cursor = text.find('|').expect("a cursor");
        let result = helper.complete(&text.replacen('|', "", 1), cursor);
        result.suggestions().iter().map(|s| s.value.clone()).collect()
    }

    const ORDERS: &str = "CREATE TABLE orders AS SELECT 'o' AS order_id, 'c' AS customer_id, now() AS created_timestamp, 1.5 AS \"Net\"";

    #[test]
    fn names_of_the_session_are_suggested_where_they_fit() {
        for (text, first) in [
            ("SELECT * FROM ord|", "orders"),
            ("SELECT cust| FROM orders", "customer_id"),
            ("SELECT o.cr| FROM orders o", "created_timestamp"),
            ("SELECT ne| FROM orders", "\"Net\""),
            ("SELECT \"N| FROM orders", "\"Net\""),
            ("SELECT * FROM rfm_sc|", "rfm_score("),
            ("SELECT * FROM rfm_score(ord|", "orders"),
            ("SELECT * FROM rfm_score(orders, metho|", "method => "),
            ("SELECT * FROM rfm_score(orders, method => 'qu|", "'quantile'"),
            ("SELECT * FROM rfm_score(orders, customer_id => cu|", "customer_id"),
            ("SELECT mone| FROM rfm_score(orders)", "monetary"),
            ("SELECT tw| FROM (SELECT 2 AS two) q", "two"),
            ("WITH w AS (SELECT 2 AS two) SELECT t| FROM w", "two"),
            ("WITH wide AS (SELECT 2 AS two) SELECT * FROM wi|", "wide"),
            ("sel|", "select"),
            ("SELECT regr_slo|", "regr_slope("),
            ("\\des|", "\\describe"),
            ("\\describe ord|", "orders"),
            ("\\man rfm_sco|", "rfm_score"),
            ("  \\explain  SELECT * FROM ord|", "orders"),
            (".mode ver|", "vertical"),
            ("SELECT * FROM orders o LEFT J|", "JOIN"),
            (
                "SELECT 1 FROM orders WHERE EXISTS (SELECT 1 FROM orders i WHERE orders.cust|",
                "customer_id",
            ),
            ("SELECT order_id AS wanted FROM orders ORDER BY wan|", "wanted"),
            ("EXPLAIN WITH w(two) AS (SELECT 2) SELECT t| FROM w", "two"),
            ("INSERT INTO orders (cust|", "customer_id"),
        ] {
            let found = suggested(ORDERS, text);
            assert_eq!(found.first().map(String::as_str), Some(first), "{text}: {found:?}");
        }
    }

    #[test]
    fn nothing_is_suggested_where_only_the_person_knows() {
        for text in
            ["SELECT 1 AS o|", "SELECT * FROM orders LIMIT |", "SELECT 1 -- sel|", "\\nonsense a|"]
        {
            assert_eq!(suggested(ORDERS, text), Vec::<String>::new(), "{text}");
        }
        let found = suggested(ORDERS, "SELECT * FROM orders WHERE customer_id = 'or|");
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_parameter_that_is_given_is_not_suggested_again() {
        let found = suggested(ORDERS, "SELECT * FROM rfm_score(orders, k => 4, |");
        assert!(!found.contains(&"k => ".to_string()) && found.contains(&"ties => ".to_string()));
    }

    #[test]
    fn files_end_their_quote_and_folders_do_not() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("sales")).expect("makes");
        std::fs::write(folder.path().join("shop.csv"), "a\n1\n").expect("writes");
        let path = folder.path().display();
        let found = suggested(ORDERS, &format!("SELECT * FROM '{path}/s|"));
        assert_eq!(found, [format!("{path}/sales/"), format!("{path}/shop.csv'")]);
        let found = suggested(ORDERS, &format!("SELECT a| FROM '{path}/shop.csv'"));
        assert_eq!(found.first().map(String::as_str), Some("a"));
        let found = suggested(ORDERS, &format!("\\read {path}/sh|"));
        assert_eq!(found, [format!("{path}/shop.csv")]);
        std::fs::write(folder.path().join("it's.csv"), "b\n1\n").expect("writes");
        std::fs::write(folder.path().join("my own.csv"), "b\n1\n").expect("writes");
        for (typed, expected) in [
            ("SELECT * FROM '{}/it|", "{}/it''s.csv'"),
            ("SELECT * FROM '{}/it''|", "{}/it''s.csv'"),
            ("\\describe '{}/my|", "{}/my own.csv'"),
            ("\\read {}/my|", "'{}/my own.csv'"),
            ("\\read {}/my o|", "'{}/my own.csv'"),
        ] {
            let found = suggested(ORDERS, &typed.replace("{}", &path.to_string()));
            assert_eq!(found, [expected.replace("{}", &path.to_string())], "{typed}");
        }
    }
}
