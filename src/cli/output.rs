//! What verbs print.

use std::io::{self, Write};

use serde::Serialize;

/// Prints for people, or as JSON.
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
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
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Prints why a verb failed, on standard error.
    pub(super) fn complain(&self, failure: &dyn std::fmt::Display) {
        let text = if self.json {
            serde_json::json!({ "error": failure.to_string() }).to_string()
        } else {
            format!("signet: {failure}")
        };
        // Nobody is left to tell when that fails.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}
