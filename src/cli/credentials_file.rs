//! The file with an admin client's credentials, written beside the one whose place it is to take.

use std::path::PathBuf;

use super::{Failure, system_error};
use crate::app::{Credentials, Existing, PendingSecret};

/// Credentials on disk, beside the file whose place they are to take.
pub(super) struct PendingCredentials {
    secret: PendingSecret,
    place: PathBuf,
}

impl PendingCredentials {
    /// Writes them, through to the disk.
    pub(super) fn write(place: PathBuf, credentials: &Credentials) -> Result<Self, Failure> {
        match credentials.write_beside(&place) {
            Ok(secret) => Ok(Self { secret, place }),
            Err(error) => {
                Err(Failure::Refused(format!("{} can't be written: {}", place.display(), system_error::reason(&error))))
            }
        }
    }

    /// Puts them in their place. They are valid by now: losing them would lock the operator out.
    pub(super) fn publish(mut self) -> Result<PathBuf, Failure> {
        match self.secret.publish(Existing::Replace) {
            Ok(()) => Ok(self.place),
            Err(error) => Err(Failure::Refused(format!(
                "the new credentials are valid, and in {}: they can't take their place: {}",
                self.secret.keep_aside().display(),
                system_error::reason(&error)
            ))),
        }
    }
}
