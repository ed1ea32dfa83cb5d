//! The file with an admin client's credentials, written before they are valid and put in its place when they are.
//!
//! Guarantees: the file is this user's alone (mode 0600) and always whole; what is not published leaves nothing behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::app::Credentials;
use crate::cli::system_error;

/// Credentials on disk, beside the file whose place they are to take.
pub(super) struct PendingCredentials {
    written: PathBuf,
    place: PathBuf,
    is_published: bool,
}

impl PendingCredentials {
    /// Writes them, beside `place`, through to the disk.
    pub(super) fn write(place: &Path, credentials: &Credentials) -> Result<Self, Failure> {
        let mut name = place.as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let pending = Self { written: PathBuf::from(name), place: place.to_owned(), is_published: false };
        let json = serde_json::to_string_pretty(credentials).map_err(Failure::refused)?;
        let write = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&pending.written)?;
            file.write_all(json.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().map_err(|error| failed(place, &error))?;
        Ok(pending)
    }

    /// Puts them in their place.
    pub(super) fn publish(mut self) -> Result<PathBuf, Failure> {
        let folder = self.place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::rename(&self.written, &self.place).map_err(|error| {
            // They are valid by now: losing them would lock the operator out.
            self.is_published = true;
            Failure::Refused(format!(
                "the new credentials are valid, and in {}: they can't take their place: {}",
                self.written.display(),
                system_error::reason(&error)
            ))
        })?;
        self.is_published = true;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(&self.place, &error))?;
        Ok(self.place.clone())
    }
}

impl Drop for PendingCredentials {
    fn drop(&mut self) {
        if !self.is_published {
            // Gone already, or in nobody's way.
            let _ = fs::remove_file(&self.written);
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::Refused(format!("{} can't be written: {}", path.display(), system_error::reason(error)))
}
