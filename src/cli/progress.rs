//! A bar on the terminal for what takes a while.
//!
//! Guarantees: it is drawn on standard error of a terminal only, at most ten times a second, and is gone when the work is
//! done; the result on standard output stands alone.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::ports::Stopwatch;

const WIDTH: u64 = 30;
const PAUSE: Duration = Duration::from_millis(100);

/// A bar that fills.
pub(super) struct Progress {
    label: &'static str,
    shown: bool,
    drawn: Option<Stopwatch>,
}

impl Progress {
    /// A bar for what `label` names. `json` shows none.
    pub(super) fn new(label: &'static str, json: bool) -> Self {
        Self { label, shown: !json && io::stderr().is_terminal(), drawn: None }
    }

    /// Draws that `done` of `total` are done.
    pub(super) fn update(&mut self, done: u64, total: u64) {
        let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= PAUSE) || done >= total;
        if self.shown && is_due {
            self.drawn = Some(Stopwatch::start());
            // Nobody is left to tell when that fails.
            let _ = write!(io::stderr().lock(), "\r{}", bar(self.label, done, total));
        }
    }
}

fn bar(label: &str, done: u64, total: u64) -> String {
    let filled = (done.min(total) * WIDTH).checked_div(total).unwrap_or(WIDTH);
    let bar: String = (0..WIDTH).map(|place| if place < filled { '#' } else { '.' }).collect();
    format!("{label} [{bar}] {done}/{total}")
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            // Back to the beginning of the line, and all of it erased.
            let _ = write!(io::stderr().lock(), "\r\u{1b}[2K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_from_the_left_and_never_overflows() {
        assert_eq!(bar("rows", 0, 10), format!("rows [{}] 0/10", ".".repeat(30)));
        assert_eq!(bar("rows", 5, 10), format!("rows [{}{}] 5/10", "#".repeat(15), ".".repeat(15)));
        assert_eq!(bar("rows", 12, 10), format!("rows [{}] 12/10", "#".repeat(30)));
        assert_eq!(bar("rows", 0, 0), format!("rows [{}] 0/0", "#".repeat(30)));
    }
}
