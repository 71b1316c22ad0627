// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Door 2: a plain read-eval loop. A statement ends with a semicolon, outside quotes and comments.

#![expect(clippy::print_stderr, reason = "a door speaks to people there")]

use std::io::{BufRead, IsTerminal, Write};

use futures::future::LocalBoxFuture;

use crate::engine::Engine;
use crate::error::Result;
use crate::script::{self, Output};
use crate::statement::is_complete;

const PROMPT: &str = "comptoir> ";
const MORE: &str = "       -> ";

/// Reads and runs until the end of the input. Ctrl-C gives up the statement and keeps the session.
pub fn run<'a>(engine: &'a Engine, output: &'a Output) -> LocalBoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let typed = std::io::stdin().is_terminal();
        if typed {
            let tables = engine.tables();
            eprintln!(
                "Comptoir {}: {} tables; end a statement with `;`, leave with Ctrl-D",
                env!("CARGO_PKG_VERSION"),
                tables.len()
            );
        }
        let mut text = String::new();
        loop {
            if typed {
                eprint!("{}", if text.trim().is_empty() { PROMPT } else { MORE });
                std::io::stderr().flush()?;
            }
            let Some(line) = next_line().await? else { break };
            text.push_str(&line);
            if text.trim().is_empty() || !is_complete(&text) {
                continue;
            }
            run_text(engine, &std::mem::take(&mut text), output).await;
        }
        if !text.trim().is_empty() {
            run_text(engine, &text, output).await;
        }
        Ok(())
    })
}

async fn run_text(engine: &Engine, text: &str, output: &Output) {
    tokio::select! {
        ran = script::run(engine, text, "sql", output) => if let Err(failure) = ran {
            eprintln!("{}", failure.render());
        },
        _ = tokio::signal::ctrl_c() => eprintln!("interrupted"),
    }
}

/// Reading blocks, so it has a thread of its own.
async fn next_line() -> Result<Option<String>> {
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|n| (n > 0).then_some(line))
    });
    line.await.map_err(|e| crate::Error::query(e.to_string()))?.map_err(Into::into)
}
