//! What verbs read: files and standard input, bounded, with errors that say which.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::Failure;
use super::system_error::reason;

/// Reads the file `name`, or standard input where that is `-`; at most `most` bytes of UTF-8.
pub(super) fn text(name: &str, most: usize) -> Result<String, Failure> {
    let shown = shown(name);
    let refused = |why: &dyn std::fmt::Display| Failure::Refused(format!("{shown} can't be read: {why}"));
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if name == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(name).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| refused(&reason(&error)))?;
    if bytes.len() > most {
        return Err(refused(&format_args!("it is longer than {most} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| refused(&"it is not UTF-8 text"))
}

/// Reads a JSON document from a file or standard input.
pub(super) fn json<T: DeserializeOwned>(name: &str, most: usize) -> Result<T, Failure> {
    let text = text(name, most)?;
    serde_json::from_str(&text).map_err(|error| {
        let kind = if error.is_data() { "does not fit" } else { "is not JSON" };
        Failure::Refused(format!("{} {kind}: {error}", shown(name)))
    })
}

/// What people call the source `name`.
pub(super) fn shown(name: &str) -> String {
    if name == "-" { "standard input".to_owned() } else { super::output::plain(name) }
}

/// Whether `path` is one that others than its owner and group can read.
pub(super) fn is_open_to_others(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(path)?.mode() & 0o007 != 0)
}

/// Asks whether to go on, at a terminal; elsewhere `--yes` must have been given.
pub(super) fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Refused(format!("{question} Nobody is there to answer: say --yes")));
    }
    let mut err = io::stderr().lock();
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Refused("nothing was changed".to_owned()))
    }
}
