// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Long texts a screen at a time: `$PAGER` when it is set, else a small one of our own.

use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::{cursor, execute, queue, terminal};
use unicode_width::UnicodeWidthChar;

use crate::error::{Error, Result};

/// The terminal's columns and rows; what a terminal of old had where there is none.
pub(super) fn size() -> (usize, usize) {
    let (width, height) = terminal::size().unwrap_or((80, 24));
    (usize::from(width).max(20), usize::from(height).max(6))
}

/// Whether a person looks at a screen whose cursor can be moved.
pub(super) fn is_screen() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Prints a text, in a pager when it is longer or wider than the terminal.
pub(super) fn print(text: &str) -> Result<()> {
    let (width, height) = size();
    let long = text.lines().count() + 3 > height;
    let wide = text.lines().any(|l| l.chars().count() > width);
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if !terminal || !(long || wide) {
        return plain(text);
    }
    match std::env::var("PAGER").ok().filter(|p| !p.trim().is_empty()) {
        Some(pager) => outside(&pager, text),
        None if is_screen() => inside(text),
        None => plain(text),
    }
}

fn plain(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    finished(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// A reader that leaves early is no failure.
fn finished(result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn outside(pager: &str, text: &str) -> Result<()> {
    let mut command = if cfg!(windows) {
        let mut command = Command::new("cmd");
        command.args(["/C", pager]);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(["-c", pager]);
        command
    };
    if std::env::var_os("LESS").is_none() {
        // Tables are wider than the screen, and must not be wrapped.
        command.env("LESS", "-RS");
    }
    let failed = |e: std::io::Error| Error::usage(format!("the pager `{pager}` failed: {e}"));
    let mut child = command.stdin(Stdio::piped()).spawn().map_err(failed)?;
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(text.as_bytes()),
        None => Ok(()),
    };
    let status = child.wait().map_err(failed)?;
    // The shell has not found it, or may not run it: nothing has been shown.
    if matches!(status.code(), Some(126 | 127)) {
        if is_screen() { inside(text) } else { plain(text) }?;
        return Err(Error::usage(format!("the pager `{pager}` does not start; our own was used"))
            .hint("set PAGER to a program that is there, or unset it"));
    }
    finished(written)
}

/// What of the text is on the screen.
struct View<'a> {
    lines: Vec<&'a str>,
    top: usize,
    left: usize,
    width: usize,
    height: usize,
}

impl View<'_> {
    /// Moves as a key says; false when it says to leave.
    fn press(&mut self, key: KeyCode, control: bool) -> bool {
        let page = self.height.saturating_sub(1).max(1);
        match key {
            KeyCode::Char('c' | 'd') if control => return false,
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char(' ' | 'f') | KeyCode::PageDown => self.top += page,
            KeyCode::Char('b') | KeyCode::PageUp => self.top = self.top.saturating_sub(page),
            KeyCode::Char('j') | KeyCode::Down | KeyCode::Enter => self.top += 1,
            KeyCode::Char('k') | KeyCode::Up => self.top = self.top.saturating_sub(1),
            KeyCode::Char('g') | KeyCode::Home => self.top = 0,
            KeyCode::Char('G') | KeyCode::End => self.top = usize::MAX,
            KeyCode::Char('l') | KeyCode::Right => self.left += self.width / 2,
            KeyCode::Char('h') | KeyCode::Left => {
                self.left = self.left.saturating_sub(self.width / 2);
            }
            _ => {}
        }
        self.top = self.top.min(self.lines.len().saturating_sub(page));
        let widest = self.lines.iter().map(|l| l.chars().count()).max().unwrap_or(0);
        self.left = self.left.min(widest.saturating_sub(self.width));
        true
    }

    /// The lines of the screen, the last of which tells where it is.
    fn screen(&self) -> Vec<String> {
        let page = self.height.saturating_sub(1).max(1);
        let shown = self.lines.iter().skip(self.top).take(page);
        let mut screen: Vec<String> = shown.map(|l| window(l, self.left, self.width)).collect();
        screen.resize(page, String::new());
        let last = (self.top + page).min(self.lines.len());
        let status = format!(
            "lines {} to {last} of {}: Space next, b back, arrows, g first, G last, q leave",
            self.top + 1,
            self.lines.len()
        );
        screen.push(window(&status, 0, self.width));
        screen
    }
}

/// The part of a line that begins at a column and fits.
fn window(line: &str, left: usize, width: usize) -> String {
    let mut used = 0;
    line.chars()
        .skip(left)
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

fn inside(text: &str) -> Result<()> {
    let mut out = std::io::stdout();
    terminal::enable_raw_mode()?;
    execute!(out, terminal::EnterAlternateScreen, cursor::Hide)?;
    let read = turn(&mut out, text);
    execute!(out, cursor::Show, terminal::LeaveAlternateScreen)?;
    terminal::disable_raw_mode()?;
    read
}

fn turn(out: &mut std::io::Stdout, text: &str) -> Result<()> {
    let (width, height) = size();
    let mut view = View { lines: text.lines().collect(), top: 0, left: 0, width, height };
    loop {
        for (row, line) in view.screen().iter().enumerate() {
            let row = u16::try_from(row).unwrap_or(u16::MAX);
            queue!(out, cursor::MoveTo(0, row), terminal::Clear(terminal::ClearType::CurrentLine))?;
            out.write_all(line.as_bytes())?;
        }
        out.flush()?;
        let stays = match read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                view.press(key.code, key.modifiers.contains(KeyModifiers::CONTROL))
            }
            Event::Resize(..) => {
                (view.width, view.height) = size();
                true
            }
            _ => true,
        };
        if !stays {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_move_and_stop_at_the_ends() {
        let text: Vec<String> = (1..=100).map(|i| format!("line {i}")).collect();
        let lines = text.iter().map(String::as_str).collect();
        let mut view = View { lines, top: 0, left: 0, width: 40, height: 11 };
        assert_eq!(view.screen().len(), 11);
        assert_eq!(view.screen()[0], "line 1");
        assert!(view.press(KeyCode::Char(' '), false));
        assert_eq!(view.screen()[0], "line 11");
        view.press(KeyCode::Char('G'), false);
        assert_eq!(view.screen()[9], "line 100");
        assert!(view.screen()[10].starts_with("lines 91 to 100 of 100"));
        view.press(KeyCode::Char('b'), false);
        view.press(KeyCode::Char('k'), false);
        assert_eq!(view.screen()[0], "line 80");
        view.press(KeyCode::Char('g'), false);
        view.press(KeyCode::Up, false);
        assert_eq!(view.top, 0);
        assert!(!view.press(KeyCode::Char('q'), false) && !view.press(KeyCode::Char('c'), true));
    }

    #[test]
    fn a_window_cuts_by_width() {
        assert_eq!(window("日本語x", 1, 4), "本語");
        assert_eq!(window("abc", 5, 4), "");
    }
}
