// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The line editor: reedline with our validator, painter, completer and history.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nu_ansi_term::{Color, Style};
use reedline::{
    Completer, DefaultHinter, EditCommand, Emacs, FileBackedHistory, IdeMenu, InputMode, KeyCode,
    KeyModifiers, MenuBuilder, Prompt, PromptEditMode, PromptHistorySearch,
    PromptHistorySearchStatus, Reedline, ReedlineEvent, ReedlineMenu, Signal, ValidationResult,
    Validator, default_emacs_keybindings,
};

use super::folders;
use super::highlight::Painter;
use super::text::is_whole;
use crate::error::{Error, Result};

/// How many statements are remembered.
const REMEMBERED: usize = 10_000;

const MENU: &str = "completion";

/// What came from the keyboard.
pub(super) enum Typed {
    Text(String),
    /// Ctrl-C on a line with something on it.
    Cleared,
    /// Ctrl-C on an empty line.
    Interrupt,
    End,
}

pub(super) struct Editor {
    reedline: Reedline,
    is_empty: Arc<AtomicBool>,
}

impl Editor {
    /// Opens the editor; what is wrong with the history is told and stops nobody.
    pub(super) fn open(
        completer: Box<dyn Completer + Send>,
        colours: bool,
        complain: impl Fn(&str),
    ) -> Self {
        let is_empty = Arc::new(AtomicBool::new(true));
        let painter = Painter { colours, is_empty: Arc::clone(&is_empty) };
        let mut keys = default_emacs_keybindings();
        let complete = ReedlineEvent::UntilFound(vec![
            ReedlineEvent::Menu(MENU.into()),
            ReedlineEvent::MenuNext,
        ]);
        keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, complete);
        keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
        let new_line = ReedlineEvent::Edit(vec![EditCommand::InsertNewline]);
        keys.add_binding(KeyModifiers::ALT, KeyCode::Enter, new_line);
        let menu = IdeMenu::default()
            .with_name(MENU)
            .with_marker("> ")
            // The tables often stand behind the cursor.
            .with_input_mode(InputMode::FullBuffer)
            .with_max_completion_height(12)
            .with_max_description_width(60);
        let hinter = DefaultHinter::default().with_style(Style::new().fg(Color::DarkGray));
        let mut reedline = Reedline::create()
            .with_edit_mode(Box::new(Emacs::new(keys)))
            .with_completer(completer)
            .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_highlighter(Box::new(painter))
            .with_validator(Box::new(Whole))
            .with_ansi_colors(colours)
            // A statement that begins with a space is not remembered, as in a shell.
            .with_history_exclusion_prefix(Some(" ".into()))
            .use_bracketed_paste(true);
        if colours {
            // Without a colour a hint looks as if it had been typed.
            reedline = reedline.with_hinter(Box::new(hinter));
        }
        match remembered() {
            Ok(Some(history)) => reedline = reedline.with_history(Box::new(history)),
            Ok(None) => complain("no home folder: statements are forgotten at the end"),
            Err(error) => complain(&format!("statements are forgotten at the end: {error}")),
        }
        Editor { reedline, is_empty }
    }

    /// Waits for a statement, a command, or a wish to leave.
    pub(super) fn read(&mut self) -> Result<Typed> {
        let signal = self.reedline.read_line(&Sign).map_err(|e| Error::usage(e.to_string()))?;
        // Kept at once, for other sessions and for a crash.
        let _ = self.reedline.sync_history();
        Ok(match signal {
            Signal::Success(text) => Typed::Text(text),
            Signal::CtrlC if self.is_empty.load(Ordering::Relaxed) => Typed::Interrupt,
            Signal::CtrlC => Typed::Cleared,
            _ => Typed::End,
        })
    }

    /// Puts a text on the next line to be read.
    pub(super) fn prefill(&mut self, text: &str) {
        let commands = [EditCommand::Clear, EditCommand::InsertString(text.to_string())];
        self.reedline.run_edit_commands(&commands);
    }
}

fn remembered() -> Result<Option<FileBackedHistory>> {
    let Some(file): Option<PathBuf> = folders::history() else { return Ok(None) };
    let failed = |e: String| Error::usage(format!("`{}`: {e}", file.display()));
    folders::private(&file).map_err(|e| failed(e.to_string()))?;
    let history = FileBackedHistory::with_file(REMEMBERED, file.clone());
    history.map(Some).map_err(|e| failed(e.to_string()))
}

/// Enter runs what is whole: commands, statements that end with their semicolon, and nothing at all.
struct Whole;

impl Validator for Whole {
    fn validate(&self, text: &str) -> ValidationResult {
        if is_whole(text) { ValidationResult::Complete } else { ValidationResult::Incomplete }
    }
}

/// The prompt.
struct Sign;

impl Prompt for Sign {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed("comptoir")
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("       -> ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let found = match search.status {
            PromptHistorySearchStatus::Passing => "earlier",
            PromptHistorySearchStatus::Failing => "no earlier",
        };
        Cow::Owned(format!(" ({found} with `{}`) ", search.term))
    }

    fn get_prompt_color(&self) -> Color {
        Color::Green
    }

    fn get_indicator_color(&self) -> Color {
        Color::Green
    }

    fn get_prompt_multiline_color(&self) -> Color {
        Color::DarkGray
    }
}
