// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What the commands do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Next, Session, width};
use crate::diagnostic::or_list;
use crate::error::{Error, Kind, Result};
use crate::expand::Manual;
use crate::repl::command::{self, Action, first_argument, only_argument};
use crate::repl::fit::Cells;
use crate::repl::show::{self, MOST_ROWS, Mode};
use crate::repl::{chart, folders, manual, pager};
use crate::statement::parameters;

/// How many rows `\last` draws.
const LAST_ROWS: usize = 10 * MOST_ROWS;

impl Session<'_> {
    /// Does what a command says, and tells what went wrong.
    pub(super) async fn command(&mut self, line: &str) -> Next {
        let (command, rest) = match command::parse(line) {
            Ok(parsed) => parsed,
            Err(error) => return self.complain(&error, "", ""),
        };
        let done = match command.action {
            Action::Quit => return Next::Leave,
            Action::Read => {
                let file = match only_argument(command, &rest) {
                    Ok(file) if file.is_empty() => Err(needs(command)),
                    file => file,
                };
                return match file {
                    Ok(file) => self.read(&home(&file)).await,
                    Err(error) => self.complain(&error, "", ""),
                };
            }
            Action::Explain => return self.explain(&rest).await,
            Action::Help => help(&rest),
            Action::Tables => self.tables(&rest).await,
            Action::Describe => self.describe(&rest, command).await,
            Action::Functions => self.functions(&rest),
            Action::Manual => self.manual(&rest, command),
            Action::Mode => self.set_mode(&rest),
            Action::Output => self.set_output(&rest, command),
            Action::Set => self.set(&rest).await,
            Action::Timing => self.set_timing(&rest),
            Action::Last => self.show_last().await,
            Action::Chart => self.chart(&rest),
            Action::Edit => self.edit(&rest, command),
        };
        match done {
            Ok(()) => Next::Go,
            Err(error) => {
                self.complain(&error, "", "");
                if error.kind == Kind::Interrupted { Next::Interrupted } else { Next::Go }
            }
        }
    }

    async fn tables(&mut self, part: &str) -> Result<()> {
        let part = part.to_lowercase();
        let all = self.names.tables();
        let names = self.names.clone();
        let fit = all.iter().filter(|t| t.to_lowercase().contains(&part));
        let fit: Vec<String> = fit.cloned().collect();
        let listed = async move {
            let mut rows = vec![];
            for table in fit {
                let name = table.split('.').map(|p| format!("\"{p}\"")).collect::<Vec<_>>();
                let columns = match names.columns("", &name.join(".")).await {
                    Ok(columns) => columns.into_iter().map(|c| c.name).collect::<Vec<_>>(),
                    Err(error) => vec![format!("cannot be read: {error}")],
                };
                rows.push(vec![table, columns.join(", ")]);
            }
            Ok(rows)
        };
        let rows = self.wait(listed).await?;
        match (all.is_empty(), rows.is_empty()) {
            (true, _) => {
                (self.output.remark)(
                    "no tables: give files with `--data PATH`, or read one with `SELECT * FROM 'file.parquet'`",
                );
                Ok(())
            }
            (false, true) => Err(Error::usage(format!("no table has `{part}` in its name"))),
            _ => self.list(&["table", "columns"], rows),
        }
    }

    async fn describe(&mut self, relation: &str, command: &command::Command) -> Result<()> {
        if relation.is_empty() {
            return Err(needs(command));
        }
        let titles = ["column", "type", "null", "meaning"];
        let (names, engine) = (self.names.clone(), Arc::clone(&self.engine));
        let text = relation.to_string();
        let asked = async move {
            let error = match names.columns("", &text).await {
                Ok(columns) => return Ok(Ok(columns)),
                Err(error) => error,
            };
            // Planned as a statement, the error knows the names that exist.
            let said = match engine.parse(&format!("SELECT * FROM {text}")) {
                Ok(statements) => match statements.first() {
                    Some(statement) => engine.plan(statement).await.err(),
                    None => None,
                },
                Err(error) => Some(error),
            };
            // Its place is in a text that nobody has written.
            Ok(Err(Error { span: None, ..said.unwrap_or(error) }))
        };
        let columns = match self.wait(asked).await? {
            Ok(columns) => columns,
            // A table function by its name alone: what it promises.
            Err(_) if let Some(page) = self.table_function(relation) => {
                let rows = page.returns.into_iter();
                let rows = rows.map(|c| vec![c.name, c.data_type, String::new(), c.meaning]);
                return self.list(&titles, rows.collect());
            }
            Err(error) => return Err(error),
        };
        let null = |nullable: bool| if nullable { "yes" } else { "no" }.to_string();
        let rows = columns.into_iter();
        let rows = rows.map(|c| vec![c.name, c.data_type, null(c.nullable), c.meaning]);
        self.list(&titles, rows.collect())
    }

    fn table_function(&self, name: &str) -> Option<Manual> {
        let pages = self.names.manual(&name.to_lowercase()).ok()?;
        pages.into_iter().find(|p| p.kind == "table" && !p.returns.is_empty())
    }

    fn functions(&self, part: &str) -> Result<()> {
        let part = part.to_lowercase();
        let rows: Vec<Vec<String>> = self
            .names
            .functions()
            .into_iter()
            .filter(|f| f.name.to_lowercase().contains(&part))
            .map(|f| vec![f.name, f.kind.into(), f.about])
            .collect();
        if rows.is_empty() {
            return Err(match self.names.manual(&part) {
                Err(near) if !near.is_empty() => {
                    Error::usage(format!("no function has `{part}` in its name"))
                        .hint(format!("did you mean {}?", or_list(&near)))
                }
                _ => Error::usage(format!("no function has `{part}` in its name")),
            });
        }
        self.list(&["function", "kind", "what it answers"], rows)
    }

    /// Shows rows of our own as a result is shown.
    fn list(&self, titles: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
        let cells = Cells {
            names: titles.iter().map(ToString::to_string).collect(),
            numeric: vec![false; titles.len()],
            rows: rows
                .into_iter()
                .map(|r| r.iter().map(|t| crate::repl::fit::on_one_line(t)).collect())
                .collect(),
        };
        pager::print(&format!("{}\n", cells.draw(width()).text))
    }

    fn manual(&self, name: &str, command: &command::Command) -> Result<()> {
        let name = name.split('(').next().unwrap_or_default().trim();
        if name.is_empty() {
            return Err(needs(command));
        }
        match self.names.manual(&name.to_lowercase()) {
            Ok(pages) => pager::print(&manual::render(&pages, pager::size().0.min(110))),
            Err(near) => {
                let error = Error::usage(format!("there is no function `{name}`"));
                Err(match near.as_slice() {
                    [] => error.hint("`\\functions` lists them"),
                    near => error.hint(format!("did you mean {}?", or_list(near))),
                })
            }
        }
    }

    fn set_mode(&mut self, name: &str) -> Result<()> {
        if !name.is_empty() {
            self.mode = Mode::named(&name.to_lowercase())?;
        }
        (self.output.remark)(&format!("results are written as {}", self.mode.name()));
        Ok(())
    }

    fn set_output(&mut self, rest: &str, command: &command::Command) -> Result<()> {
        let file = only_argument(command, rest)?;
        self.file = Some(home(&file)).filter(|_| !file.is_empty());
        (self.output.remark)(&match &self.file {
            Some(file) => format!("the next result goes to `{}`", file.display()),
            None => "results are shown here".into(),
        });
        Ok(())
    }

    fn set_timing(&mut self, word: &str) -> Result<()> {
        self.timing = match word.to_lowercase().as_str() {
            "" => !self.timing,
            "on" => true,
            "off" => false,
            other => {
                return Err(Error::usage(format!("`\\timing` is on or off; found `{other}`")));
            }
        };
        (self.output.remark)(if self.timing { "timing is on" } else { "timing is off" });
        Ok(())
    }

    /// `\set day 2026-01-01` gives `$day` a value; a name with a dot is a setting of the engine.
    async fn set(&mut self, rest: &str) -> Result<()> {
        let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let name = name.trim_start_matches('$').to_lowercase();
        let value = value.trim().trim_start_matches('=').trim();
        let is_quoted = value.starts_with(['\'', '"']);
        let (value, after) =
            if is_quoted { first_argument(value) } else { (value.to_string(), "") };
        if !after.is_empty() {
            return Err(Error::usage(format!("found `{after}` behind the value of `{name}`")));
        }
        if name.is_empty() {
            return self.show_settings();
        }
        if name.contains('.') {
            let sql = match value.as_str() {
                "" if !is_quoted => format!("SHOW {name};"),
                value => format!("SET {name} = '{}';", value.replace('\'', "''")),
            };
            let typed = self.typed.clone();
            self.run(&sql, "sql").await;
            self.typed = typed;
            return Ok(());
        }
        if value.is_empty() && !is_quoted {
            return match self.values.get(&name) {
                Some(value) => {
                    let value = value.as_deref().unwrap_or("NULL");
                    (self.output.remark)(&format!("${name} is {value}"));
                    Ok(())
                }
                None => Err(Error::usage(format!("`${name}` has no value"))
                    .hint(format!("give it one: `\\set {name} VALUE`"))),
            };
        }
        if !name.chars().all(|c| c.is_alphanumeric() || c == '_')
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(Error::usage(format!("`{name}` is no name for a value"))
                .hint("use letters, digits and `_`, a letter first"));
        }
        let declared = self.declared.iter().find(|p| p.name == name).cloned();
        let is_new = declared.is_none();
        let parameter = match declared {
            Some(parameter) => parameter,
            None => {
                // What stands in quotes is a text, also when it is all digits.
                let data_type = if is_quoted { "VARCHAR".into() } else { type_of(&value) };
                let text = format!("PARAMETER {name} {data_type};");
                parameters(&text)?.pop().ok_or_else(|| Error::usage("no parameter"))?
            }
        };
        let shown = parameter.shown_type().to_string();
        let is_null = !is_quoted && value.eq_ignore_ascii_case("null");
        let text = Some(value.clone()).filter(|_| !is_null);
        let given = [(name.clone(), text)].into();
        // Its type refuses what it does not hold, now and not at its first use.
        super::bind::values(&self.engine, std::slice::from_ref(&parameter), &given)
            .await
            .map_err(|e| Error { span: None, ..e })?;
        self.values.extend(given);
        if is_new {
            self.declare(parameter);
        }
        (self.output.remark)(&format!("${name} is {value} ({shown})"));
        Ok(())
    }

    fn show_settings(&self) -> Result<()> {
        let on = |on: bool| if on { "on" } else { "off" }.to_string();
        let mut rows = vec![
            vec!["\\mode".to_string(), self.mode.name().to_string()],
            vec!["\\timing".into(), on(self.timing)],
            vec![
                "\\output".into(),
                self.file.as_ref().map_or("here".into(), |f| f.display().to_string()),
            ],
        ];
        for parameter in &self.declared {
            let value = match self.values.get(&parameter.name) {
                Some(Some(value)) => value.clone(),
                Some(None) => "NULL".into(),
                None if parameter.has_default() => "its default".into(),
                None => "no value".into(),
            };
            rows.push(vec![format!("${} {}", parameter.name, parameter.shown_type()), value]);
        }
        self.list(&["name", "value"], rows)
    }

    async fn show_last(&mut self) -> Result<()> {
        let last = self.last.as_ref().ok_or_else(nothing_yet)?;
        let (schema, all, mode) = (Arc::clone(&last.schema), last.rows, self.mode);
        let mut batches = vec![];
        let mut room = LAST_ROWS;
        for batch in &last.batches {
            let part = batch.num_rows().min(room);
            batches.push(batch.slice(0, part));
            room -= part;
        }
        let drawn = async move {
            let cells = Cells::of(&schema, &batches)?;
            let text = match mode {
                Mode::Vertical => show::vertical(&cells),
                Mode::Table | Mode::Format(_) => format!("{}\n", cells.draw(None).text),
            };
            Ok((text, cells.rows.len()))
        };
        let (text, shown) = self.wait(drawn).await?;
        let mut notes = vec![];
        if shown < all {
            notes.push(format!(
                "only the first {shown} of {all} rows are shown; `\\output FILE` and `SELECT * FROM _;` write all"
            ));
        }
        show::print(&text, &notes, self.output.remark)
    }

    fn chart(&self, said: &str) -> Result<()> {
        let last = self.last.as_ref().ok_or_else(nothing_yet)?;
        let (width, height) = pager::size();
        // The title, the axis and the next prompt need lines too.
        let height = height.saturating_sub(3).clamp(8, 24);
        let text = chart::draw(&last.schema, &last.batches, said, width.min(120), height)?;
        pager::print(&text)
    }

    async fn explain(&mut self, query: &str) -> Next {
        let query = match query {
            "" if self.typed.is_empty() => {
                return self.complain(&Error::usage("there is no query yet to explain"), "", "");
            }
            "" => self.typed.clone(),
            query => query.to_string(),
        };
        let (typed, file, mode) = (self.typed.clone(), self.file.take(), self.mode);
        // A plan is shown, whatever happens to results.
        self.mode = Mode::Table;
        let next = self.run(&format!("EXPLAIN FORMAT TREE {query};"), "sql").await;
        (self.typed, self.file, self.mode) = (typed, file, mode);
        next
    }

    fn edit(&mut self, rest: &str, command: &command::Command) -> Result<()> {
        let file = only_argument(command, rest)?;
        if !file.is_empty() {
            return edit_file(&home(&file));
        }
        static FILES: AtomicU64 = AtomicU64::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("comptoir-{}-{number}.sql", std::process::id());
        let file = Scratch(std::env::temp_dir().join(name));
        let text = if self.typed.is_empty() { String::new() } else { format!("{};\n", self.typed) };
        let mut new = folders::new_private(&file.0)?;
        std::io::Write::write_all(&mut new, text.as_bytes())?;
        edit_file(&file.0)?;
        let text = std::fs::read_to_string(&file.0)?;
        self.prefill = Some(text.trim_end().to_string()).filter(|t| !t.is_empty());
        Ok(())
    }
}

/// A file that goes, however its use ends.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn edit_file(file: &Path) -> Result<()> {
    let set = |name| std::env::var(name).ok().filter(|v: &String| !v.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".into());
    // `code --wait` is an editor with an argument.
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program).args(words).arg(file).status();
    let hint = "set EDITOR to a program that edits a file";
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(Error::usage(format!("the editor `{editor}` ended with {status}")).hint(hint))
        }
        Err(error) => {
            Err(Error::usage(format!("the editor `{editor}` does not start: {error}")).hint(hint))
        }
    }
}

fn help(rest: &str) -> Result<()> {
    if rest.is_empty() {
        return pager::print(&command::help());
    }
    let command = command::find(rest.trim_start_matches(['\\', '.']))?;
    pager::print(&format!("\\{} {}: {}\n", command.name, command.arguments, command.about))
}

fn needs(command: &command::Command) -> Error {
    Error::usage(format!("`\\{}` needs {}", command.name, command.arguments))
}

fn nothing_yet() -> Error {
    Error::usage("there is no result yet").hint("run a query first; results too large are not kept")
}

/// `~` is the person's home, as in a shell.
fn home(file: &str) -> PathBuf {
    match (file.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(file),
    }
}

/// The type of a value that nobody has declared.
fn type_of(value: &str) -> String {
    let is_date =
        |v: &str| v.len() == 10 && chrono::NaiveDate::parse_from_str(v, "%Y-%m-%d").is_ok();
    let plain = value.trim_start_matches(['-', '+']);
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let is_plain = format!("{whole}{fraction}").bytes().all(|b| b.is_ascii_digit());
    match value {
        v if v.parse::<i64>().is_ok() => "BIGINT",
        // As it is written: a DOUBLE would keep some of its digits only.
        v if is_plain && v.parse::<f64>().is_ok() && plain.len() <= 38 => {
            return format!("DECIMAL(38,{})", fraction.len());
        }
        v if v.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.')
            && v.parse::<f64>().is_ok() =>
        {
            "DOUBLE"
        }
        v if is_date(v) => "DATE",
        v if v.eq_ignore_ascii_case("true") || v.eq_ignore_ascii_case("false") => "BOOLEAN",
        _ => "VARCHAR",
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repl::command::COMMANDS;

    #[test]
    fn a_value_says_its_type() {
        for (value, data_type) in [
            ("10", "BIGINT"),
            ("-1.5", "DECIMAL(38,1)"),
            ("12345678901234567890", "DECIMAL(38,0)"),
            ("1.5e3", "DOUBLE"),
            ("2026-01-01", "DATE"),
            ("2026-13-01", "VARCHAR"),
            ("true", "BOOLEAN"),
            ("nan", "VARCHAR"),
            ("FR", "VARCHAR"),
        ] {
            assert_eq!(type_of(value), data_type, "{value}");
        }
    }

    #[test]
    fn every_command_is_documented_by_its_needs() {
        for command in
            COMMANDS.iter().filter(|c| !c.arguments.is_empty() && !c.arguments.starts_with('['))
        {
            assert!(needs(command).message.contains(command.name));
        }
    }
}
