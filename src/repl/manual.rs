// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A function's manual page as text.

use unicode_width::UnicodeWidthStr;

use crate::expand::{Argument, Manual};

/// Draws the pages of a name.
pub(super) fn render(pages: &[Manual], width: usize) -> String {
    pages.iter().map(|p| page(p, width)).collect::<Vec<_>>().join("\n")
}

fn page(manual: &Manual, width: usize) -> String {
    let mut text = String::new();
    for line in wrapped(&manual.signature, width) {
        text.push_str(&format!("{line}\n"));
    }
    text.push_str(&format!("\n  {} function\n\n", manual.kind));
    paragraph(&mut text, &manual.about, width);
    let (placed, named): (Vec<&Argument>, Vec<&Argument>) =
        manual.parameters.iter().partition(|p| p.positional);
    let row = |p: &&Argument| (p.name.clone(), takes(p), p.meaning.clone());
    section(&mut text, "Parameters", placed.iter().map(row).collect(), width);
    section(&mut text, "By name only", named.iter().map(row).collect(), width);
    let returns = manual.returns.iter();
    let returns =
        returns.map(|c| (c.name.clone(), c.data_type.clone(), c.meaning.clone())).collect();
    let title = match manual.grain.as_str() {
        "" => "Columns".to_string(),
        grain => format!("Columns, {grain}"),
    };
    section(&mut text, &title, returns, width);
    if !manual.source.is_empty() {
        text.push_str("\nSource\n");
        paragraph(&mut text, &manual.source, width);
    }
    if !manual.examples.is_empty() {
        text.push_str(if manual.examples.len() == 1 { "\nExample\n" } else { "\nExamples\n" });
    }
    for example in &manual.examples {
        for line in example.lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

fn takes(argument: &Argument) -> String {
    let mut text = match argument.words.as_slice() {
        [] => argument.takes.clone(),
        words => {
            let words: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
            format!("{} {}", argument.takes, words.join(" | "))
        }
    };
    if let Some(default) = &argument.default {
        text.push_str(&format!(", else {default}"));
    }
    text.trim().to_string()
}

fn paragraph(text: &mut String, words: &str, width: usize) {
    for line in wrapped(words, width.saturating_sub(2)) {
        text.push_str(&format!("  {line}\n"));
    }
}

/// Names, what they take, and what they mean, each meaning wrapped in its own column.
fn section(text: &mut String, title: &str, rows: Vec<(String, String, String)>, width: usize) {
    if rows.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}\n"));
    let name = rows.iter().map(|r| r.0.width()).max().unwrap_or(0);
    let room = width.saturating_sub(name + 4).max(20);
    for (first, second, third) in rows {
        let both = [second, third].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>();
        let lines = wrapped(&both.join(": "), room);
        let mut first = first;
        for line in lines.iter().map(String::as_str).chain(lines.is_empty().then_some("")) {
            let pad = " ".repeat(name.saturating_sub(first.width()));
            text.push_str(format!("  {first}{pad}  {line}").trim_end());
            text.push('\n');
            first.clear();
        }
    }
}

/// Words in lines no wider than a width, except for words that are.
fn wrapped(words: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::ColumnDoc;

    #[test]
    fn a_page_has_all_its_parts_and_fits() {
        let argument = Argument {
            name: "k".into(),
            takes: "INTEGER".into(),
            default: Some("5".into()),
            meaning: "how many ".repeat(30),
            positional: true,
            ..Argument::default()
        };
        let column = ColumnDoc {
            name: "score".into(),
            data_type: "BIGINT".into(),
            meaning: "1 to k".into(),
        };
        let manual = Manual {
            name: "f".into(),
            kind: "table",
            signature: "f(t, k => 5)".into(),
            about: "Who is best.".into(),
            parameters: vec![argument],
            returns: vec![column],
            grain: "one row per customer".into(),
            source: "a book".into(),
            examples: vec!["SELECT 1".into()],
        };
        let text = render(&[manual], 60);
        for part in [
            "f(t, k => 5)",
            "Who is best.",
            "INTEGER, else 5: how many",
            "one row per customer",
            "score  BIGINT: 1 to k",
            "a book",
            "  SELECT 1",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(text.lines().all(|l| l.width() <= 60), "{text}");
    }
}
