// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! JUnit's XML, as far as those who read it agree on it.

use std::collections::HashSet;
use std::fmt::Write;

use super::{Entry, Report, Status};

pub(super) fn xml(report: &Report) -> String {
    let mut files: Vec<&str> = report.entries.iter().map(|e| e.path.as_str()).collect();
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(*file));
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&Entry> = report.entries.iter().collect();
    let _ = writeln!(xml, "<testsuites name=\"comptoir\" {}>", counts(&all));
    for file in files {
        let entries: Vec<&Entry> = report.entries.iter().filter(|e| e.path == file).collect();
        let _ = writeln!(xml, "  <testsuite name=\"{}\" {}>", escaped(file), counts(&entries));
        for entry in entries {
            let _ = write!(
                xml,
                "    <testcase classname=\"{}\" name=\"line {}: {}\" file=\"{0}\" line=\"{1}\" time=\"{:.3}\"",
                escaped(file),
                entry.line(),
                escaped(&entry.title()),
                entry.seconds
            );
            let message = escaped(entry.message.as_deref().unwrap_or_default());
            let _ = match entry.status {
                Status::Passed => writeln!(xml, "/>"),
                Status::Skipped => {
                    writeln!(xml, "><skipped message=\"{message}\"/></testcase>")
                }
                Status::Warned => {
                    writeln!(xml, "><system-out>warning: {message}</system-out></testcase>")
                }
                Status::Failed => {
                    let tag = if entry.assertion { "failure" } else { "error" };
                    let text = escaped(&entry.text);
                    writeln!(xml, "><{tag} message=\"{message}\">{text}</{tag}></testcase>")
                }
            };
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn counts(entries: &[&Entry]) -> String {
    let count = |wanted: &dyn Fn(&Entry) -> bool| entries.iter().filter(|e| wanted(e)).count();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\"",
        entries.len(),
        count(&|e| e.status == Status::Failed && e.assertion),
        count(&|e| e.status == Status::Failed && !e.assertion),
        count(&|e| e.status == Status::Skipped),
        entries.iter().map(|e| e.seconds).sum::<f64>()
    )
}

/// Text for an element or an attribute. Characters that XML cannot hold are left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\r' | '\t' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() && u32::from(c) < 0x20 => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_escaped_or_left_out() {
        assert_eq!(escaped("a<b> & \"c\"\n\u{1}é"), "a&lt;b&gt; &amp; &quot;c&quot;&#10;é");
    }
}
