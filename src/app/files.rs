//! Files that hold secrets.
//!
//! Guarantees: such a file appears whole or not at all, is this user's alone (mode 0600), and is on disk before anyone
//! relies on it. What a killed process left half written is told from what is still being written, and cleared away.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tracing::{info, warn};

/// What becomes of a file that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced.
    Replace,
    /// It stays, and the new one is not written: `AlreadyExists`.
    Keep,
}

/// A secret on disk, whole, beside the file whose place it is to take. Dropped before that, it leaves nothing behind.
///
/// Its file is locked for as long as this lives: that tells it from the leftover of a process that was killed.
#[derive(Debug)]
pub struct PendingSecret {
    written: PathBuf,
    place: PathBuf,
    /// What is at `written` is to go.
    is_spare: bool,
    file: File,
}

impl PendingSecret {
    /// Writes `contents` beside `place`. Missing folders are made, for this user alone.
    ///
    /// # Errors
    /// What the system says; nothing is left behind then.
    pub fn write(place: &Path, contents: &[u8]) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder_of(place))?;
        let mut written = place.as_os_str().to_owned();
        written.push(format!(".{}.new", std::process::id()));
        let written = PathBuf::from(written);
        let file = create_locked(&written)?;
        let mut pending = Self { written, place: place.to_owned(), is_spare: true, file };
        pending.file.write_all(contents)?;
        pending.file.sync_all()?;
        Ok(pending)
    }

    /// Puts it in its place, on disk.
    ///
    /// # Errors
    /// `AlreadyExists` where what is there stays, and what the system says.
    pub fn publish(&mut self, existing: Existing) -> io::Result<()> {
        match existing {
            Existing::Replace => {
                fs::rename(&self.written, &self.place)?;
                self.is_spare = false;
            }
            // A hard link never replaces: of two processes at once, one wins.
            Existing::Keep => fs::hard_link(&self.written, &self.place)?,
        }
        File::open(folder_of(&self.place))?.sync_all()
    }

    /// Leaves it beside its place, if it can't take that, under a name that nobody clears away. Answers where it is.
    #[must_use]
    pub fn keep_aside(mut self) -> PathBuf {
        if !std::mem::take(&mut self.is_spare) {
            return std::mem::take(&mut self.place);
        }
        let mut kept = self.place.as_os_str().to_owned();
        kept.push(".kept");
        match fs::rename(&self.written, &kept) {
            Ok(()) => kept.into(),
            Err(_) => std::mem::take(&mut self.written),
        }
    }
}

impl Drop for PendingSecret {
    fn drop(&mut self) {
        if self.is_spare {
            // Gone already, or in nobody's way until a start clears it away.
            let _ = fs::remove_file(&self.written);
        }
    }
}

/// Writes `contents` to `path`, by way of a file beside it.
pub(super) fn write_secret(path: &Path, contents: &[u8], existing: Existing) -> io::Result<()> {
    PendingSecret::write(path, contents)?.publish(existing)
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new(".")).to_owned()
}

/// An empty file of that name that this process alone has locked.
fn create_locked(path: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.lock()?;
        // Another start may have taken it for a leftover before it was locked.
        if is_at(&file, path)? {
            file.set_len(0)?;
            return Ok(file);
        }
    }
}

/// Whether `path` names that very file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes what processes that were killed while they wrote `place` have left beside it. A file that is still being
/// written is locked, and stays.
pub(super) fn clear_leftovers(place: &Path) {
    // A folder that is not there or can't be read has nothing that could be cleared away.
    let Ok(entries) = fs::read_dir(folder_of(place)) else { return };
    let left = entries.flatten().filter(|entry| is_pending_name(place, &entry.file_name()));
    for path in left.map(|entry| entry.path()) {
        match clear(&path) {
            Ok(true) => warn!(file = %path.display(), "removed what a process that was killed left half written"),
            Ok(false) => {}
            Err(error) => warn!(file = %path.display(), %error, "what a killed process left can't be removed"),
        }
    }
}

/// Whether `name` is what [`PendingSecret::write`] calls a file beside `place`, in whatever process.
fn is_pending_name(place: &Path, name: &OsStr) -> bool {
    let of_place = place.file_name().and_then(|place| name.as_bytes().strip_prefix(place.as_bytes()));
    let process = of_place.and_then(|rest| rest.strip_prefix(b".")?.strip_suffix(b".new"));
    process.is_some_and(|process| !process.is_empty() && process.iter().all(u8::is_ascii_digit))
}

fn clear(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(false);
    }
    let file = OpenOptions::new().write(true).open(path)?;
    // Once it is locked and still of that name, nobody gives the name to another.
    if file.try_lock().is_err() || !is_at(&file, path)? {
        return Ok(false);
    }
    fs::remove_file(path)?;
    Ok(true)
}

/// Waits until this process alone holds the lock file `path`; it holds it until the returned file is dropped.
pub(super) fn lock(path: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder_of(path))?;
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => info!(lock = %path.display(), "waiting for another start to finish"),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.lock()?;
    Ok(file)
}

/// Whether users besides the owner and the group may read or change the file.
pub(super) fn is_open_to_others(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.mode() & 0o007 != 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_secret_that_takes_no_place_leaves_nothing_behind() {
        let folder = tempfile::TempDir::new().unwrap();
        let place = folder.path().join("key");
        drop(PendingSecret::write(&place, b"one").unwrap());
        assert!(names(folder.path()).is_empty());
        write_secret(&place, b"two", Existing::Keep).unwrap();
        let refused = write_secret(&place, b"three", Existing::Keep).unwrap_err();
        assert_eq!((refused.kind(), fs::read(&place).unwrap()), (ErrorKind::AlreadyExists, b"two".to_vec()));
        write_secret(&place, b"four", Existing::Replace).unwrap();
        assert_eq!((names(folder.path()), fs::read(&place).unwrap()), (vec!["key".to_owned()], b"four".to_vec()));
        assert_eq!(fs::metadata(&place).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_secret_that_is_valid_and_can_not_take_its_place_is_kept_from_being_cleared_away() {
        let folder = tempfile::TempDir::new().unwrap();
        let place = folder.path().join("key");
        fs::create_dir(&place).unwrap();
        let mut pending = PendingSecret::write(&place, b"valid").unwrap();
        pending.publish(Existing::Replace).unwrap_err();
        let kept = pending.keep_aside();
        clear_leftovers(&place);
        assert_eq!(fs::read(kept).unwrap(), b"valid");
    }

    #[test]
    fn only_what_a_dead_process_left_of_that_very_file_is_cleared_away() {
        let folder = tempfile::TempDir::new().unwrap();
        let place = folder.path().join("key");
        let others =
            ["key", "key.12", "key.new", "key..new", "key.1x.new", "key.1.new.new", "other.1.new", "akey.1.new"];
        for name in others.iter().chain(&["key.1.new", "key.4194304.new"]) {
            fs::write(folder.path().join(name), "half a sec").unwrap();
        }
        fs::create_dir(folder.path().join("key.2.new")).unwrap();
        std::os::unix::fs::symlink("key", folder.path().join("key.3.new")).unwrap();
        let pending = PendingSecret::write(&place, b"being written").unwrap();
        let mine = format!("key.{}.new", std::process::id());
        clear_leftovers(&place);
        let mut stay: Vec<_> = others.iter().map(|name| (*name).to_owned()).collect();
        stay.extend(["key.2.new".to_owned(), "key.3.new".to_owned(), mine.clone()]);
        stay.sort();
        assert_eq!(names(folder.path()), stay);

        // The same process number again, after a kill: what is left of it is begun anew, however long it was.
        drop(pending);
        fs::write(folder.path().join(mine), "the leftover of a longer secret").unwrap();
        write_secret(&place, b"new", Existing::Replace).unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"new");
    }
}
