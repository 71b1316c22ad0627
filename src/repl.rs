// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Door 2: the prompt. A statement ends with a semicolon, outside quotes and comments; a command begins with `\`.

#![expect(clippy::print_stderr, reason = "a door speaks to people there")]

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

use futures::channel::oneshot;
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
use text::is_whole;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::script::Output;

/// The table that holds the last result.
const LAST: &str = "_";

/// Reads and runs until the end of the input. Ctrl-C gives up the statement and keeps the session.
pub fn run(engine: Arc<Engine>, output: &Output) -> LocalBoxFuture<'_, Result<()>> {
    Box::pin(async move {
        // From here on Ctrl-C ends nothing by itself: what takes long listens for it.
        tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
        end_with_terminal()?;
        let colours =
            pager::is_screen() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
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
            let typed = match reader.read().await {
                Ok(typed) => typed,
                // A terminal that does not answer as terminals do can still be read line by line.
                Err(error) if matches!(reader, Reader::Editor(_)) => {
                    (output.remark)(&format!("no line editor here: {error}"));
                    reader = Reader::Plain(Lines::default());
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
        use tokio::signal::unix::{SignalKind, signal};
        let (mut gone, mut ended) =
            (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);
        tokio::spawn(async move {
            let code = tokio::select! {
                _ = gone.recv() => 129,
                _ = ended.recv() => 143,
            };
            restore();
            std::process::exit(code);
        });
    }
    Ok(())
}

/// Leaves the terminal to the shell as it was, from the middle of a line.
#[cfg(unix)]
fn restore() {
    use crossterm::{cursor, execute, style, terminal};
    // Who is told to end does, whatever fails.
    let _ = terminal::disable_raw_mode();
    if std::io::stdout().is_terminal() && pager::is_screen() {
        // No more brackets around what is pasted.
        let _ = execute!(std::io::stdout(), style::Print("\x1b[?2004l\r\n"), cursor::Show);
    }
}

/// Where lines come from.
enum Reader {
    Editor(Box<Editor>),
    Plain(Lines),
}

impl Reader {
    /// The editor needs to see the cursor's place, for which it asks through the standard output.
    fn open(session: &Session<'_>, colours: bool) -> Self {
        if !std::io::stdout().is_terminal() || !pager::is_screen() {
            return Reader::Plain(Lines::default());
        }
        let editor = Editor::open(session.helper(), colours, session.remark());
        Reader::Editor(Box::new(editor))
    }

    async fn read(&mut self) -> Result<Typed> {
        match self {
            Reader::Editor(editor) => tokio::task::block_in_place(|| editor.read()),
            Reader::Plain(lines) => lines.read().await,
        }
    }
}

/// Lines as the terminal gives them.
#[derive(Default)]
struct Lines {
    /// What has been typed of a statement.
    text: String,
    /// The next line. A thread waits for it, which Ctrl-C cannot call back.
    next: Option<oneshot::Receiver<std::io::Result<String>>>,
}

impl Lines {
    async fn read(&mut self) -> Result<Typed> {
        loop {
            eprint!("{}", if self.text.trim().is_empty() { "comptoir> " } else { "       -> " });
            std::io::stderr().flush()?;
            let next = self.next.get_or_insert_with(next_line);
            let line = tokio::select! {
                biased;
                Ok(()) = tokio::signal::ctrl_c() => {
                    eprintln!();
                    let is_empty = std::mem::take(&mut self.text).trim().is_empty();
                    return Ok(if is_empty { Typed::Interrupt } else { Typed::Cleared });
                }
                line = next => line,
            };
            self.next = None;
            let line = line.map_err(|_| Error::usage("the input cannot be read"))??;
            let is_end = line.is_empty();
            self.text.push_str(&line);
            match self.text.trim().is_empty() {
                true if is_end => return Ok(Typed::End),
                true => self.text.clear(),
                false if is_end || is_whole(&self.text) => {
                    return Ok(Typed::Text(std::mem::take(&mut self.text)));
                }
                false => {}
            }
        }
    }
}

fn next_line() -> oneshot::Receiver<std::io::Result<String>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).map(|_| line);
        // Nobody is there any more at the end.
        let _ = sender.send(read);
    });
    receiver
}
