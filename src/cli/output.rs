//! What verbs print.
//!
//! Guarantees: nothing that comes from outside (a name, a claim) reaches a terminal as anything but plain text.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use super::Failure;

/// Prints for people, or as JSON.
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read what is printed.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result: `value` as JSON where that was asked for, else what `text` makes of it.
    pub(super) fn result<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> io::Result<()> {
        let mut printed = if self.json { serde_json::to_string_pretty(value)? } else { text(value) };
        if !printed.ends_with('\n') {
            printed.push('\n');
        }
        self.text(&printed)
    }

    /// Prints text as it is.
    pub(super) fn text(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // Whoever reads only the first lines has what they want.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome,
        }
    }

    /// Tells people something beside the result, on standard error; nothing with `--json`.
    pub(super) fn note(&self, text: &str) {
        if !self.json {
            // Nobody is left to tell when that fails.
            let _ = writeln!(io::stderr().lock(), "signet: note: {text}");
        }
    }

    /// Prints why a verb failed, on standard error.
    pub(super) fn complain(&self, failure: &Failure) {
        let text = if self.json { failure.to_json().to_string() } else { format!("signet: {failure}") };
        // Nobody is left to tell when that fails.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// Rows in aligned columns below their names, as plain text; the last column is as wide as it likes.
pub(super) fn table<const N: usize>(names: [&str; N], rows: &[[String; N]]) -> String {
    let wide = |text: &str| text.chars().count();
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| plain(cell))).collect();
    let mut widths = names.map(wide);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(wide(cell));
        }
    }
    let names = names.map(str::to_owned);
    let mut text = String::new();
    for row in std::iter::once(&names).chain(&rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Names and values below each other, the values aligned and as plain text.
pub(super) fn fields(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in rows {
        let line = format!("  {name:width$}  {}", plain(value));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `text` fit for a terminal: control characters, and those that turn the direction of writing, are escaped.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for sign in text.chars() {
        if sign.is_control()
            || matches!(sign, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            shown.extend(sign.escape_default());
        } else {
            shown.push(sign);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_aligns_its_columns_and_ends_no_line_in_spaces() {
        let rows =
            [["a".to_owned(), "long".to_owned(), String::new()], ["bcd".to_owned(), "x".to_owned(), "y".to_owned()]];
        assert_eq!(table(["N", "M", "O"], &rows), "N    M     O\na    long\nbcd  x     y\n");
    }

    #[test]
    fn what_would_steer_a_terminal_is_escaped() {
        assert_eq!(plain("a\u{1b}[2J\nb\u{202e}c\u{9b}é"), "a\\u{1b}[2J\\nb\\u{202e}c\\u{9b}é");
    }
}
