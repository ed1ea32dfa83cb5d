//! Settings for operators: the table of values with their sources, and the annotated reference.
//!
//! Guarantees: secrets are redacted; the reference names every setting with its default.

use std::fmt::Write;

use serde_json::{Value as Json, json};

use super::entry::Entry;
use super::setting::{Fallback, Setting};
use super::{Loaded, SECTIONS};

/// The settings as a table: key, value, source.
pub fn show(loaded: &Loaded) -> String {
    let rows: Vec<_> = loaded.report.iter().map(|entry| (entry.key, entry.text(), entry.source.to_string())).collect();
    let wide = |n: usize, text: &str| n.max(text.chars().count());
    let keys = rows.iter().fold(0, |n, (key, _, _)| wide(n, key));
    // One long value must not push every source off the screen.
    let values = rows.iter().fold(0, |n, (_, value, _)| wide(n, value)).min(48);
    let mut table = String::new();
    for (key, value, source) in &rows {
        let _ = writeln!(table, "{key:keys$}  {value:values$}  {source}");
    }
    table
}

/// The settings as JSON: a list of `{"key", "value", "source"}`.
pub fn show_json(loaded: &Loaded) -> Json {
    let entry = |entry: &Entry| json!({"key": entry.key, "value": entry.value, "source": entry.source.to_string()});
    loaded.report.iter().map(entry).collect()
}

const HEAD: &str = "\
# Every setting of Signet with its default: written from the program's own table, and tested against it.
#
# Signet reads the built-in defaults, then `signet.toml` in the working directory (or the file named by --config),
# then the environment, in which two underscores separate the levels: SIGNET__PUBLIC__BIND=0.0.0.0:8080.
# `signet config check` finds what is wrong, `signet config show` tells where each value came from.
#
# Spans of time: \"300s\", \"15m\", \"1h30m\", \"30d\", \"500ms\", or a plain number of seconds.
# What is commented out has no fixed default. Relative paths begin at the working directory.
";

/// The text of `docs/configuration.toml`: every setting with its default and what it means.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for (about, rows) in SECTIONS {
        let section = rows.first().and_then(|row| row.key.split_once('.')).map(|(name, _)| name);
        if let Some(section) = section {
            text.push('\n');
            comment(&mut text, about);
            let _ = writeln!(text, "[{section}]");
        }
        for row in rows {
            text.push('\n');
            setting(&mut text, row);
        }
    }
    text
}

fn comment(text: &mut String, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(text, "# {}", line.trim());
    }
}

fn setting(text: &mut String, row: &Setting) {
    comment(text, row.doc);
    if let Some((least, most)) = row.rule.bounds {
        let _ = writeln!(text, "# From {least} to {most}.");
    }
    let name = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let (mark, value) = match row.rule.fallback {
        Fallback::Fixed(value) => ("", value),
        Fallback::Computed { example, .. } | Fallback::Unset { example } => ("# ", example),
    };
    // A secret would show itself redacted; the example of one is no secret.
    let value = if row.rule.secret { Some(json!(value)) } else { (row.example)(value) };
    let value = value.unwrap_or_default().to_string().replace("\",\"", "\", \"");
    let _ = writeln!(text, "{mark}{} = {value}", name(row.key));
    if let Some(file_key) = row.file_key() {
        let _ = writeln!(text, "# Or the file that holds it, which others must not be able to read:");
        let path = format!("/run/secrets/{}", row.key.replace(['.', '_'], "-"));
        let _ = writeln!(text, "# {} = {}", name(&file_key), json!(path));
    }
}
