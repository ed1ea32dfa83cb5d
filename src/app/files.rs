//! Files that hold secrets.
//!
//! Guarantees: such a file appears whole or not at all, is this user's alone (mode 0600), and is on disk before anyone
//! relies on it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What becomes of a file that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// It is replaced.
    Replace,
    /// It stays, and the new one is not written: `AlreadyExists`.
    Keep,
}

/// Writes `contents` to `path` by way of a temporary file beside it. Missing folders are made, for this user alone.
pub(super) fn write_secret(path: &Path, contents: &[u8], existing: Existing) -> io::Result<()> {
    let folder = folder_of(path);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = write_whole(&temporary, contents).and_then(|()| match existing {
        Existing::Replace => fs::rename(&temporary, path),
        // A hard link never replaces: of two processes at once, one wins.
        Existing::Keep => fs::hard_link(&temporary, path),
    });
    if existing == Existing::Keep || written.is_err() {
        // Gone already, or in nobody's way: the outcome above is what counts.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(&folder)?.sync_all()
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new(".")).to_owned()
}

fn write_whole(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Waits until this process alone holds the lock file `path`; it holds it until the returned file is dropped.
pub(super) fn lock(path: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder_of(path))?;
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}

/// Whether users besides the owner and the group may read or change the file.
pub(super) fn is_open_to_others(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.mode() & 0o007 != 0)
}
