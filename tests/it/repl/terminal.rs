// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A terminal without a screen: util-linux's `script` gives the program a pseudo-terminal, vt100 draws what it writes,
//! and a test types and looks.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use vt100::{Callbacks, Parser, Screen};

/// How long a loaded machine may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// Answers a program that asks where the cursor is.
#[derive(Default)]
struct Answers(Vec<String>);

impl Callbacks for Answers {
    fn unhandled_csi(
        &mut self,
        screen: &mut Screen,
        _first: Option<u8>,
        _second: Option<u8>,
        parameters: &[&[u16]],
        last: char,
    ) {
        if last == 'n' && parameters.first() == Some(&&[6][..]) {
            let (row, column) = screen.cursor_position();
            self.0.push(format!("\x1b[{};{}R", row + 1, column + 1));
        }
    }
}

/// What the reading thread shares.
struct Shared {
    parser: Parser<Answers>,
    bytes: Vec<u8>,
    ended: bool,
}

pub(super) struct Terminal {
    child: Child,
    keys: Arc<Mutex<ChildStdin>>,
    shared: Arc<Mutex<Shared>>,
}

impl Terminal {
    /// Starts the program with a home of its own.
    pub(super) fn start(
        home: &Path,
        (rows, columns): (u16, u16),
        arguments: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let program = env!("CARGO_BIN_EXE_comptoir");
        // As under `nohup`: the program has to see for itself that its terminal is gone.
        let line =
            format!("stty rows {rows} cols {columns}; trap '' HUP; exec '{program}' {arguments}");
        let mut command = Command::new("script");
        command
            .args(["-q", "-f", "-e", "-c", &line, "/dev/null"])
            .current_dir(home)
            .env("HOME", home)
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh");
        for name in
            ["PAGER", "LESS", "NO_COLOR", "VISUAL", "EDITOR", "XDG_DATA_HOME", "XDG_CONFIG_HOME"]
        {
            command.env_remove(name);
        }
        let mut child = command
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`script` of util-linux starts");
        let keys = Arc::new(Mutex::new(child.stdin.take().expect("takes keys")));
        let mut out = child.stdout.take().expect("has an output");
        let parser = Parser::new_with_callbacks(rows, columns, 0, Answers::default());
        let shared = Arc::new(Mutex::new(Shared { parser, bytes: vec![], ended: false }));
        let (writer, reader) = (Arc::clone(&keys), Arc::clone(&shared));
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                let read = out.read(&mut buffer).unwrap_or(0);
                let mut shared = reader.lock().expect("is whole");
                if read == 0 {
                    shared.ended = true;
                    return;
                }
                shared.bytes.extend_from_slice(&buffer[..read]);
                shared.parser.process(&buffer[..read]);
                for answer in std::mem::take(&mut shared.parser.callbacks_mut().0) {
                    let mut keys = writer.lock().expect("is whole");
                    keys.write_all(answer.as_bytes()).and_then(|()| keys.flush()).ok();
                }
            }
        });
        let terminal = Terminal { child, keys, shared };
        terminal.until("a prompt", at_prompt);
        terminal
    }

    pub(super) fn screen(&self) -> String {
        self.shared.lock().expect("is whole").parser.screen().contents()
    }

    /// The process whose child is the program.
    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Everything that was written so far, escape codes included.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.shared.lock().expect("is whole").bytes.clone()
    }

    pub(super) fn keys(&self, keys: &str) {
        let mut stdin = self.keys.lock().expect("is whole");
        stdin.write_all(keys.as_bytes()).and_then(|()| stdin.flush()).expect("types");
    }

    /// Waits until the screen is as wanted.
    pub(super) fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            let ended = self.shared.lock().expect("is whole").ended;
            assert!(!ended, "the program ended before {what}:\n{screen}");
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn until_shown(&self, text: &str) -> String {
        self.until(&format!("`{text}`"), |screen| screen.contains(text))
    }

    /// Types a line on an empty screen and waits for the next prompt; what stands between.
    pub(super) fn run(&self, line: &str) -> String {
        self.keys("\x0c");
        self.until("an empty screen", |s| s.trim() == PROMPT.trim());
        self.keys(&format!("{line}\r"));
        let screen = self.until(&format!("the end of `{line}`"), |screen| {
            at_prompt(screen) && screen.trim() != PROMPT.trim()
        });
        screen.trim_end().trim_end_matches(PROMPT.trim()).to_string()
    }

    /// Waits for the end; the exit code.
    pub(super) fn ends(mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("can be asked") {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Hangs up, which ends the program behind `script` as well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

const PROMPT: &str = "comptoir> ";

fn at_prompt(screen: &str) -> bool {
    screen.trim_end().lines().last().is_some_and(|l| l.trim_end() == PROMPT.trim())
}
