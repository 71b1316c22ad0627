// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The generated parts of the documentation. `UPDATE=1 cargo test --test it generated` rewrites them.

#![expect(clippy::expect_used, reason = "a test panics")]

use std::fmt::Write;
use std::path::Path;

use comptoir::library::{Definition, Kind, Library, Limit};
use datafusion::logical_expr::Documentation;

#[test]
fn the_readme_lists_every_function_and_analysis() {
    check("README.md", "analyses", &analyses(""));
    check("README.md", "functions", &functions());
}

#[test]
fn the_manual_of_the_analyses_is_current() {
    check("sql/README.md", "analyses", &analyses("#"));
    check("sql/README.md", "manual", &manual());
}

/// Compares what stands between two marks of a file, or rewrites it.
fn check(file: &str, part: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(&path).expect("the file is readable");
    let (from, to) = (format!("<!-- generated: {part} -->\n"), format!("<!-- end: {part} -->"));
    let start = text.find(&from).unwrap_or_else(|| panic!("{file} lacks `{from}`")) + from.len();
    let end = text.find(&to).unwrap_or_else(|| panic!("{file} lacks `{to}`"));
    if &text[start..end] == expected {
        return;
    }
    if std::env::var_os("UPDATE").is_none() {
        panic!(
            "{file}: the part `{part}` is not current; `UPDATE=1 cargo test --test it generated` rewrites it"
        );
    }
    std::fs::write(&path, format!("{}{expected}{}", &text[..start], &text[end..]))
        .expect("the file is writable");
}

fn analyses(anchor: &str) -> String {
    let mut table = String::from("| analysis | what it answers | grain |\n| --- | --- | --- |\n");
    for analysis in Library::built_in().expect("the library loads").iter() {
        let link = if anchor.is_empty() {
            format!("sql/README.md#{}", analysis.name)
        } else {
            format!("#{}", analysis.name)
        };
        let _ = writeln!(
            table,
            "| [`{}`]({link}) | {} | {} |",
            analysis.name,
            first_sentence(&analysis.about),
            analysis.grain
        );
    }
    table
}

fn functions() -> String {
    let mut table = String::from("| function | kind | what it gives |\n| --- | --- | --- |\n");
    let mut line = |kind: &str, documentation: Option<&Documentation>| {
        let documentation = documentation.expect("every function is documented");
        let _ = writeln!(
            table,
            "| `{}` | {kind} | {} |",
            documentation.syntax_example.replace('|', "\\|"),
            first_sentence(&documentation.description)
        );
    };
    comptoir_udfs::aggregates().iter().for_each(|f| line("aggregate", f.documentation()));
    comptoir_udfs::scalars().iter().for_each(|f| line("scalar", f.documentation()));
    comptoir_udfs::windows().iter().for_each(|f| line("window", f.documentation()));
    comptoir_udfs::relations().iter().for_each(|f| line("table", Some(f.documentation())));
    table
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.')
}

fn manual() -> String {
    let mut manual = String::new();
    for analysis in Library::built_in().expect("the library loads").iter() {
        let _ = section(&mut manual, &analysis);
    }
    manual
}

fn section(out: &mut String, analysis: &Definition) -> std::fmt::Result {
    writeln!(out, "\n## {}\n\n{}\n", analysis.name, analysis.about)?;
    writeln!(
        out,
        "One row: {}. Source: {}.\n",
        analysis.grain.trim_start_matches("one row "),
        analysis.source
    )?;
    for example in &analysis.examples {
        writeln!(out, "```sql\n{example};\n```\n")?;
    }
    writeln!(out, "| parameter | takes | default | meaning |\n| --- | --- | --- | --- |")?;
    for parameter in &analysis.parameters {
        let takes = match &parameter.kind {
            Kind::Relation(input) if input.or_scalar.is_some() => {
                "a word or a relation".to_string()
            }
            Kind::Relation(_) => "a relation".to_string(),
            Kind::Column(column) => format!("a column: {}", column.class.expected()),
            Kind::Free => "anything".to_string(),
            Kind::Scalar(scalar) => match &scalar.limit {
                Limit::None => scalar.data_type.to_string(),
                Limit::Range(low, high) => format!("{} from {low} to {high}", scalar.data_type),
                Limit::Words(words) => {
                    words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(", ")
                }
            },
        };
        let default = match (&parameter.default, &parameter.kind) {
            (Some(default), _) => format!("`{default}`"),
            (None, Kind::Column(column)) if column.optional => "if it is there".to_string(),
            (None, Kind::Column(column)) => format!("`{}`", column.name),
            (None, Kind::Relation(input)) if input.optional => "none".to_string(),
            (None, Kind::Relation(input)) if input.through.is_some() => {
                "the canonical table".to_string()
            }
            (None, _) => "must be given".to_string(),
        };
        writeln!(
            out,
            "| `{}` | {takes} | {default} | {} |",
            parameter.name,
            parameter.meaning.replace('|', "\\|")
        )?;
    }
    writeln!(out, "\n| column | type | meaning |\n| --- | --- | --- |")?;
    for column in &analysis.returns {
        writeln!(
            out,
            "| `{}` | {} | {} |",
            column.name,
            column.data_type,
            column.meaning.replace('|', "\\|")
        )?;
    }
    Ok(())
}
