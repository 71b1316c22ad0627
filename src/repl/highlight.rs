// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Colours for what is being typed, by the same tokenizer that will read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;
use nu_ansi_term::{Color, Style};
use reedline::{Highlighter, StyledText};

use super::command;
use super::lex::{self, Piece, lex};

/// Paints a line, and remembers whether there was anything on it: Ctrl-C means another thing on an empty line.
pub(super) struct Painter {
    pub(super) colours: bool,
    pub(super) is_empty: Arc<AtomicBool>,
}

impl Highlighter for Painter {
    fn highlight(&self, line: &str, _cursor: usize) -> StyledText {
        self.is_empty.store(line.trim().is_empty(), Ordering::Relaxed);
        let mut styled = StyledText::new();
        for (style, part) in paint(line) {
            let style = if self.colours { style } else { Style::new() };
            styled.push((style, part.to_string()));
        }
        styled
    }
}

/// The parts of a text and how each looks; together they are the text.
fn paint(text: &str) -> Vec<(Style, &str)> {
    if command::is_command(text) {
        let end = text.find(|c: char| c.is_whitespace()).unwrap_or(text.len());
        let known = command::parse(text).is_ok();
        let colour = if known { Color::Cyan } else { Color::Red };
        return vec![(Style::new().fg(colour), &text[..end]), (Style::new(), &text[end..])];
    }
    let (pieces, open) = lex(text);
    let mut parts = vec![];
    let mut at = 0;
    for (i, piece) in pieces.iter().enumerate() {
        if piece.range.start > at {
            parts.push((Style::new(), &text[at..piece.range.start]));
        }
        let next = pieces[i + 1..].iter().find(|p| !p.is_space());
        let is_call = next.is_some_and(|p| p.token == Token::LParen);
        parts.push((style(piece, is_call), &text[piece.range.clone()]));
        at = piece.range.end;
    }
    // What is not closed is red, so that it is seen before Enter does nothing.
    let rest = if open.is_some() { Style::new().fg(Color::Red) } else { Style::new() };
    if at < text.len() {
        parts.push((rest, &text[at..]));
    }
    parts
}

fn style(piece: &Piece, is_call: bool) -> Style {
    let plain = Style::new();
    match &piece.token {
        _ if piece.is_comment() => plain.fg(Color::DarkGray),
        Token::Word(w) if w.quote_style.is_some() => plain,
        _ if is_call && !lex::is_keyword(piece) && matches!(piece.token, Token::Word(_)) => {
            plain.fg(Color::Cyan)
        }
        Token::Word(w)
            if lex::is_keyword(piece)
                || (w.keyword != Keyword::NoKeyword && is_upper(&w.value)) =>
        {
            plain.fg(Color::Blue).bold()
        }
        Token::Number(..) | Token::Placeholder(_) => plain.fg(Color::Magenta),
        Token::SingleQuotedString(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::DollarQuotedString(_) => plain.fg(Color::Green),
        _ => plain,
    }
}

/// `date` may be a column; `DATE` is meant as a keyword.
fn is_upper(word: &str) -> bool {
    word.chars().all(|c| !c.is_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_text() {
        for text in [
            "select 'é', \"x\" from t -- end",
            "select 'open",
            "select\n\n  1;;",
            "\\man rfm",
            ".",
            "",
            "/* open",
            "é = '",
        ] {
            let joined: String = paint(text).iter().map(|(_, part)| *part).collect();
            assert_eq!(joined, text);
        }
    }

    #[test]
    fn keywords_functions_and_open_quotes_look_different() {
        let look = |text: &str, part: &str| {
            paint(text).into_iter().find(|(_, p)| *p == part).map(|(style, _)| style)
        };
        let text = "SELECT count(*) FROM t WHERE a = 'x' AND b = 'y";
        let colour = |part| look(text, part).and_then(|s| s.foreground);
        assert_eq!(colour("SELECT"), Some(Color::Blue));
        assert_eq!(colour("count"), Some(Color::Cyan));
        assert_eq!(colour("t"), None);
        assert_eq!(colour("'x'"), Some(Color::Green));
        assert_eq!(colour("'y"), Some(Color::Red));
        assert_eq!(look("\\tabels", "\\tabels").and_then(|s| s.foreground), Some(Color::Red));
    }
}
