// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! One line under a query that takes longer than a second: time, rows, rate, and the time left where it is known.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossterm::style::Print;
use crossterm::terminal::{Clear, ClearType};
use crossterm::{cursor, execute};

use super::fit::shortened;
use super::pager;
use crate::execute::Progress;
use crate::sink::Out;

/// Nothing is shown of a query that is faster.
const AFTER: Duration = Duration::from_secs(1);

/// How often the line is drawn anew.
const EVERY: Duration = Duration::from_millis(200);

/// A query that has read nothing for so long does something else: how long that takes is not known.
const STILL: Duration = Duration::from_secs(1);

/// How wide the bar is.
const BAR: usize = 20;

/// The query at work: it says which plan it runs once it knows.
#[derive(Clone, Default)]
pub(super) struct Watched(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    progress: Option<Progress>,
    /// Whether the line is on the screen.
    drawn: bool,
    /// Whether rows appear on the screen, among which a line would spoil both.
    shows: bool,
    /// Whether nobody wants more.
    stopped: bool,
}

impl Watched {
    pub(super) fn is(&self, progress: Progress) {
        self.state().progress = Some(progress);
    }

    /// Nothing more is written: a batch is a thousand lines, and the prompt does not wait for them.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
    }

    /// An output that hears of [`Self::stop`]; one on the screen takes the place of the line.
    pub(super) fn out(&self, out: Out, on_screen: bool) -> Out {
        Box::new(Stoppable { out, watched: self.clone(), on_screen })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Stoppable {
    out: Out,
    watched: Watched,
    on_screen: bool,
}

impl Stoppable {
    fn goes_on(&self) -> std::io::Result<()> {
        let mut state = self.watched.state();
        if state.stopped {
            return Err(std::io::Error::other("nobody wants more"));
        }
        if self.on_screen && !std::mem::replace(&mut state.shows, true) && state.drawn {
            clear();
        }
        Ok(())
    }
}

impl Write for Stoppable {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.goes_on()?;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.goes_on()?;
        self.out.flush()
    }
}

/// Waits for the work, and draws how far it is, where a person is looking.
pub(super) async fn watch<T>(visible: bool, watched: &Watched, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let mut work = std::pin::pin!(work);
    let mut bar: Option<Line> = None;
    loop {
        let wait = if bar.is_some() { EVERY } else { AFTER };
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(wait), if visible => {
                bar.get_or_insert_with(|| Line::of(watched)).draw(start.elapsed());
            }
        }
    }
}

/// The line on the screen, which goes when the query ends, however it ends. It is not as wide as the screen, where the
/// terminal's own `^C` would begin another.
struct Line {
    watched: Watched,
    /// How many rows had been read, and since when.
    rows: u64,
    since: Instant,
}

impl Line {
    fn of(watched: &Watched) -> Self {
        Line { watched: watched.clone(), rows: 0, since: Instant::now() }
    }

    fn draw(&mut self, elapsed: Duration) {
        let mut state = self.watched.state();
        if state.shows {
            return;
        }
        state.drawn = true;
        let (rows, total) = state.progress.as_ref().map_or((0, None), |p| (p.rows(), p.total()));
        if rows != self.rows {
            (self.rows, self.since) = (rows, Instant::now());
        }
        let reads = self.since.elapsed() < STILL;
        let text = line(elapsed.as_secs_f64(), rows, total, reads);
        let text = shortened(&text, pager::size().0.saturating_sub(4));
        // Who cannot be told how far it is gets the result all the same.
        let _ = execute!(
            std::io::stderr(),
            cursor::MoveToColumn(0),
            Print(text),
            Clear(ClearType::UntilNewLine)
        );
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.watched.state().shows {
            clear();
        }
    }
}

fn clear() {
    let _ = execute!(std::io::stderr(), cursor::MoveToColumn(0), Clear(ClearType::CurrentLine));
}

fn line(seconds: f64, rows: u64, total: Option<u64>, reads: bool) -> String {
    let mut text = format!("{seconds:.0} s");
    if rows == 0 {
        text.push_str("  at work; Ctrl-C gives up");
        return text;
    }
    let rate = rows as f64 / seconds.max(f64::MIN_POSITIVE);
    text.push_str(&format!("  {} rows read  {} a second", counted(rows as f64), counted(rate)));
    if let Some(total) = total {
        let part = (rows as f64 / total as f64).min(1.0);
        let full = (part * BAR as f64) as usize;
        text.push_str(&format!(
            "  {}{} {:.0} %",
            "█".repeat(full),
            "░".repeat(BAR - full),
            part * 100.0
        ));
        // Sums, sorts and joins go on without reading: how long is not known.
        if part < 1.0 && reads {
            text.push_str(&format!("  {:.0} s left", (seconds / part - seconds).max(1.0)));
        }
    }
    text
}

fn counted(number: f64) -> String {
    match number {
        n if n >= 1e9 => format!("{:.1} G", n / 1e9),
        n if n >= 1e6 => format!("{:.1} M", n / 1e6),
        n if n >= 1e4 => format!("{:.0} k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_said_only_where_the_end_is_known() {
        assert_eq!(
            line(2.0, 1_000_000, Some(4_000_000), true),
            "2 s  1.0 M rows read  500 k a second  █████░░░░░░░░░░░░░░░ 25 %  6 s left"
        );
        assert_eq!(line(2.0, 1_000_000, None, true), "2 s  1.0 M rows read  500 k a second");
        assert!(!line(9.0, 10, Some(10), true).contains("left"));
        assert!(!line(9.0, 8, Some(10), false).contains("left"), "it reads no more");
        assert!(line(1.0, 0, Some(10), true).contains("at work"));
    }

    #[test]
    fn what_is_given_up_writes_no_more() {
        let watched = Watched::default();
        let mut out = watched.out(Box::new(std::io::sink()), false);
        out.write_all(b"a").expect("goes on");
        watched.stop();
        out.write_all(b"b").expect_err("has stopped");
    }
}
