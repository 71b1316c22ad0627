// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Door 2: the prompt. A statement ends with a semicolon, outside quotes and comments; a command begins with `\`.

#![expect(clippy::print_stderr, reason = "a door speaks to people there")]

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

use futures::future::LocalBoxFuture;

mod chart;
mod command;
mod complete;
mod editor;
mod fit;
mod folders;
mod highlight;
mod lex;
mod manual;
mod pager;
mod progress;
mod queries;
mod session;
mod show;
mod text;

use editor::{Editor, Typed};
use session::{Next, Session};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::script::Output;
use crate::statement::is_complete;

/// The table that holds the last result.
const LAST: &str = "_";

/// Reads and runs until the end of the input. Ctrl-C gives up the statement and keeps the session.
pub fn run(engine: Arc<Engine>, output: &Output) -> LocalBoxFuture<'_, Result<()>> {
    Box::pin(async move {
        end_with_terminal()?;
        let terminal = std::io::stderr().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let tables = engine.tables().len();
        let mut session = Session::new(Arc::clone(&engine), output, colours);
        (output.remark)(&format!(
            "Comptoir {}: {tables} {}; \\help says what can be typed, Ctrl-D leaves",
            env!("CARGO_PKG_VERSION"),
            if tables == 1 { "table" } else { "tables" },
        ));
        session.init().await;
        let mut reader = Reader::open(&session, colours);
        // Read while the person thinks, so that the first Tab need not wait for it.
        let names = engine.names();
        std::thread::spawn(move || drop(names.functions()));
        // One Ctrl-C gives up what is being done; a second one, when nothing is, leaves.
        let mut armed = false;
        loop {
            if let (Some(text), Reader::Editor(editor)) = (session.prefill.take(), &mut reader) {
                editor.prefill(&text);
            }
            let typed = match tokio::task::block_in_place(|| reader.read()) {
                Ok(typed) => typed,
                // A terminal that does not answer as terminals do can still be read line by line.
                Err(error) if matches!(reader, Reader::Editor(_)) => {
                    (output.remark)(&format!("no line editor here: {error}"));
                    reader = Reader::Plain(String::new());
                    continue;
                }
                Err(error) => return Err(error),
            };
            match typed {
                Typed::End => return Ok(()),
                Typed::Interrupt if armed => return Ok(()),
                Typed::Interrupt => {
                    armed = true;
                    (output.remark)("Ctrl-C once more leaves, and so does Ctrl-D");
                }
                Typed::Cleared => armed = false,
                Typed::Text(text) => match session.take(&text).await {
                    Next::Go => armed = false,
                    Next::Interrupted => armed = true,
                    Next::Leave => return Ok(()),
                },
            }
        }
    })
}

/// An editor whose terminal is gone would ask it for ever. The signal that says so may have been ignored for us, as
/// `nohup` does.
fn end_with_terminal() -> Result<()> {
    #[cfg(unix)]
    {
        let mut gone = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
        tokio::spawn(async move {
            gone.recv().await;
            std::process::exit(129);
        });
    }
    Ok(())
}

/// Where lines come from.
enum Reader {
    Editor(Box<Editor>),
    /// What has been typed of a statement.
    Plain(String),
}

impl Reader {
    /// The editor needs to see the cursor's place, for which it asks through the standard output.
    fn open(session: &Session<'_>, colours: bool) -> Self {
        if !std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
            return Reader::Plain(String::new());
        }
        let editor = Editor::open(session.helper(), colours, session.remark());
        Reader::Editor(Box::new(editor))
    }

    fn read(&mut self) -> Result<Typed> {
        match self {
            Reader::Editor(editor) => editor.read(),
            Reader::Plain(text) => plain(text),
        }
    }
}

fn plain(text: &mut String) -> Result<Typed> {
    loop {
        eprint!("{}", if text.trim().is_empty() { "comptoir> " } else { "       -> " });
        std::io::stderr().flush()?;
        let read = std::io::stdin().lock().read_line(text).map_err(Error::from)?;
        match read {
            0 if text.trim().is_empty() => return Ok(Typed::End),
            0 => return Ok(Typed::Text(std::mem::take(text))),
            _ if text.trim().is_empty() => text.clear(),
            _ if command::is_command(text) || is_complete(text) => {
                return Ok(Typed::Text(std::mem::take(text)));
            }
            _ => {}
        }
    }
}
