// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The commands that begin with `\` or `.`: one list, from which help and completion are made.

use crate::diagnostic::{nearest, or_list};
use crate::error::{Error, Result};

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Chart,
    Describe,
    Edit,
    Explain,
    Functions,
    Help,
    Last,
    Manual,
    Mode,
    Output,
    Quit,
    Read,
    Set,
    Tables,
    Timing,
}

/// One command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) action: Action,
    /// What may follow it.
    pub(super) arguments: &'static str,
    pub(super) about: &'static str,
}

const fn command(
    name: &'static str,
    action: Action,
    arguments: &'static str,
    about: &'static str,
) -> Command {
    Command { name, action, arguments, about }
}

/// Every command, in the order of the help text.
pub(super) const COMMANDS: &[Command] = &[
    command("help", Action::Help, "[COMMAND]", "this list, or one command"),
    command("tables", Action::Tables, "[PART]", "tables and views, and their columns"),
    command(
        "describe",
        Action::Describe,
        "RELATION",
        "the columns of a table, a 'file' or a call, and what they mean",
    ),
    command("functions", Action::Functions, "[PART]", "functions whose name contains PART"),
    command(
        "manual",
        Action::Manual,
        "NAME",
        "a function: what it answers, takes and returns, and an example",
    ),
    command(
        "chart",
        Action::Chart,
        "[bar|line|scatter|histogram] [COLUMN…]",
        "draw the last result",
    ),
    command(
        "last",
        Action::Last,
        "",
        "the last result with all its rows and columns, in the pager",
    ),
    command("explain", Action::Explain, "[QUERY]", "the plan of a query, or of the last one"),
    command(
        "mode",
        Action::Mode,
        "[MODE]",
        "how results are written: table, vertical, or a format of `--format`",
    ),
    command(
        "output",
        Action::Output,
        "[FILE]",
        "write the next result to a file, which appears whole or not at all",
    ),
    command("read", Action::Read, "FILE", "run a file of statements and commands"),
    command("edit", Action::Edit, "[FILE]", "edit the last statement, or a file, in $EDITOR"),
    command(
        "set",
        Action::Set,
        "[NAME [VALUE]]",
        "give `$NAME` a value for the statements that follow; alone, show all",
    ),
    command("timing", Action::Timing, "[on|off]", "say how long statements take"),
    command("quit", Action::Quit, "", "leave, as Ctrl-D does"),
];

/// True for a line that is a command and not SQL, which begins with neither sign.
pub(super) fn is_command(line: &str) -> bool {
    line.trim_start().starts_with(['\\', '.']) || word(line).is_some()
}

/// What a person types who wants to leave, or is lost, and does not know the sign.
fn word(line: &str) -> Option<&'static str> {
    let line = line.trim().trim_end_matches(';').to_lowercase();
    ["exit", "quit", "help"].into_iter().find(|w| *w == line)
}

/// Splits a line into its command and the rest.
pub(super) fn parse(line: &str) -> Result<(&'static Command, String)> {
    let line = match word(line) {
        Some("exit") => "quit",
        Some(word) => word,
        None => line.trim().trim_start_matches(['\\', '.']).trim_end_matches(';'),
    };
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    Ok((find(name)?, rest.trim().to_string()))
}

/// The command of that name, or of the one name that begins so.
pub(super) fn find(name: &str) -> Result<&'static Command> {
    let name = name.to_lowercase();
    if let Some(exact) = COMMANDS.iter().find(|c| c.name == name) {
        return Ok(exact);
    }
    let begins: Vec<&Command> =
        COMMANDS.iter().filter(|c| !name.is_empty() && c.name.starts_with(&name)).collect();
    match begins.as_slice() {
        [one] => Ok(one),
        [] => {
            let error = Error::usage(format!("there is no command `\\{name}`"));
            Err(match nearest(&name, COMMANDS.iter().map(|c| c.name)).as_slice() {
                [] => error.hint("`\\help` lists the commands"),
                near => error.hint(format!("did you mean {}?", or_list(&signed(near)))),
            })
        }
        many => {
            let names: Vec<String> = many.iter().map(|c| c.name.to_string()).collect();
            Err(Error::usage(format!("`\\{name}` could be {}", or_list(&signed(&names)))))
        }
    }
}

fn signed(names: &[String]) -> Vec<String> {
    names.iter().map(|n| format!("\\{n}")).collect()
}

/// The help text, made from the list.
pub(super) fn help() -> String {
    let call = |c: &Command| format!("\\{} {}", c.name, c.arguments).trim_end().to_string();
    let width = COMMANDS.iter().map(|c| call(c).chars().count()).max().unwrap_or(0);
    let mut text = String::from(
        "Statements end with `;` and may have many lines. Commands begin with `\\` or `.` and may be cut short.\n\n",
    );
    for command in COMMANDS {
        text.push_str(&format!("  {:width$}  {}\n", call(command), command.about));
    }
    text.push_str(
        "\n`_` is the last result: `SELECT count(*) FROM _;`\n\
         Tab completes, Ctrl-R searches earlier statements, Ctrl-C gives up a statement or a query, Ctrl-D leaves.\n",
    );
    text
}

/// A word or a quoted text at the start of an argument, and what follows it. A quote within is doubled.
pub(super) fn first_argument(text: &str) -> (String, &str) {
    let text = text.trim_start();
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        return (word.to_string(), rest.trim_start());
    };
    let mut inside = String::new();
    let mut rest = &text[1..];
    while let Some((part, after)) = rest.split_once(quote) {
        inside.push_str(part);
        let Some(more) = after.strip_prefix(quote) else {
            return (inside, after.trim_start());
        };
        inside.push(quote);
        rest = more;
    }
    (inside + rest, "")
}

/// The one argument of a command that takes no more.
pub(super) fn only_argument(command: &Command, text: &str) -> Result<String> {
    match first_argument(text) {
        (argument, "") => Ok(argument),
        (argument, after) => Err(Error::usage(format!(
            "`\\{}` takes one argument, and found `{after}` behind `{argument}`",
            command.name
        ))
        .hint(format!("put a name with spaces in quotes: `\\{} '{text}'`", command.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_enough_when_only_one_name_begins_so() {
        let action = |name| find(name).map(|c| c.action).expect("is found");
        assert_eq!(action("des"), Action::Describe);
        assert_eq!(action("EXPLAIN"), Action::Explain);
        assert_eq!(parse(".q").expect("is found").0.action, Action::Quit);
        assert_eq!(parse("exit;").expect("is found").0.action, Action::Quit);
        let (command, rest) = parse("\\man rfm_score  ").expect("is found");
        assert_eq!((command.action, rest.as_str()), (Action::Manual, "rfm_score"));
    }

    #[test]
    fn a_short_or_wrong_name_says_what_it_could_be() {
        let said = |name| {
            let error = find(name).expect_err("is refused");
            format!("{} {}", error.message, error.hints.join(" "))
        };
        assert_eq!(said("e"), "`\\e` could be `\\explain` or `\\edit` ");
        assert!(said("tabels").contains("did you mean `\\tables`"), "{}", said("tabels"));
        assert!(said("zzz").contains("\\help"));
        assert!(find("").is_err());
    }

    #[test]
    fn names_are_unique_and_help_has_them_all() {
        let help = help();
        for (i, command) in COMMANDS.iter().enumerate() {
            assert!(
                COMMANDS[..i].iter().all(|c| c.name != command.name && c.action != command.action)
            );
            assert!(help.contains(&format!("\\{}", command.name)) && help.contains(command.about));
        }
    }

    #[test]
    fn sql_is_no_command() {
        assert!(!is_command("select 1;") && !is_command("") && !is_command("help me"));
        assert!(is_command("  .tables") && is_command("\\q") && is_command("QUIT"));
    }

    #[test]
    fn arguments_may_be_quoted() {
        assert_eq!(first_argument("'a b' c"), ("a b".into(), "c"));
        assert_eq!(first_argument("a  b c"), ("a".into(), "b c"));
        assert_eq!(first_argument("'open"), ("open".into(), ""));
        assert_eq!(first_argument("'it''s' b"), ("it's".into(), "b"));
        assert_eq!(first_argument("''"), (String::new(), ""));
        let (command, _) = parse("\\output").expect("is found");
        assert!(only_argument(command, "a.csv").is_ok_and(|a| a == "a.csv"));
        let error = only_argument(command, "a 1.csv").expect_err("is two");
        assert!(error.hints[0].contains("`\\output 'a 1.csv'`"), "{error:?}");
    }

    #[test]
    fn a_semicolon_from_habit_is_no_part_of_a_command() {
        let parsed = |line| parse(line).map(|(c, rest)| (c.name, rest)).expect("is found");
        assert_eq!(parsed("\\q;"), ("quit", String::new()));
        assert_eq!(parsed("\\mode csv ;"), ("mode", "csv".into()));
        assert_eq!(parsed("\\set x ';'"), ("set", "x ';'".into()));
    }
}
