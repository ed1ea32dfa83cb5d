//! The master key: from the settings, from its file, or made where nothing is sealed yet.
//!
//! Guarantees: it is never made in place of one that is missing; its file is read only when it is a regular file that
//! nobody else may read.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::files::{Existing, is_open_to_others, write_secret};
use super::made::MadeKey;
use super::{Parts, StartError};
use crate::audit::Chain;
use crate::config::Settings;
use crate::http::Cursors;
use crate::secret::{MasterKey, MasterKeys, SecretText};
use crate::store::sql::SqlStore;

/// More than any file of a master key has, in bytes.
const LONGEST_FILE: u64 = 4096;

/// A master key, and what is known of it when it was made just now.
pub(super) struct Found {
    pub(super) master: MasterKey,
    pub(super) made: Option<MadeKey>,
}

/// The master key of an installation; `may_make` one where there is nothing yet that needs one.
pub(super) async fn find(
    settings: &Settings,
    store: &SqlStore,
    parts: &Parts,
    may_make: bool,
) -> Result<Found, StartError> {
    if let Some(text) = &settings.keys.master_key {
        let master = MasterKey::parse(text.expose()).map_err(|error| StartError::MasterKey(error.to_string()))?;
        return Ok(Found { master, made: None });
    }
    let path = &settings.keys.master_key_file;
    if let Some(master) = read(path)? {
        return Ok(Found { master, made: None });
    }
    let missing = |why: &str| Err(StartError::MasterKey(format!("{} is missing{why}", path.display())));
    if let Some(id) = store.master_key_ids().await?.first() {
        return missing(&format!(
            ", and the stored keys are sealed under the master key {id}: bring it back from its backup"
        ));
    }
    if !may_make {
        return missing("");
    }
    let master = MasterKey::generate(&*parts.entropy);
    let text = SecretText::new(format!("{}\n", master.to_text().expose()));
    match write_secret(path, text.expose().as_bytes(), Existing::Keep) {
        Ok(()) => {
            let made = MadeKey { path: path.clone(), id: master.id().to_owned() };
            Ok(Found { master, made: Some(made) })
        }
        // Another process made it in this very moment.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match read(path)? {
            Some(master) => Ok(Found { master, made: None }),
            None => missing(""),
        },
        Err(why) => Err(StartError::File { path: path.clone(), why }),
    }
}

/// `own` with the master key that is to take its place, where the settings name one.
pub(super) fn with_next(settings: &Settings, own: MasterKey) -> Result<MasterKeys, StartError> {
    let next = settings.keys.next_master_key_file.as_ref().map(|path| {
        let missing = || StartError::MasterKey(format!("{} (`keys.next_master_key_file`) is missing", path.display()));
        read(path)?.ok_or_else(missing)
    });
    Ok(MasterKeys::new(own, next.transpose()?))
}

/// Makes a new master key in the new file `path`, mode 0600, and returns its id.
pub fn make_master_key(path: &Path, parts: &Parts) -> Result<String, StartError> {
    let master = MasterKey::generate(&*parts.entropy);
    let text = SecretText::new(format!("{}\n", master.to_text().expose()));
    let failed = |why| StartError::File { path: path.to_owned(), why };
    write_secret(path, text.expose().as_bytes(), Existing::Keep).map_err(failed)?;
    Ok(master.id().to_owned())
}

/// The chain of the audit log under `masters`.
pub(super) fn chain(masters: &MasterKeys) -> Result<Chain, StartError> {
    Chain::under(masters).map_err(|error| StartError::MasterKey(error.to_string()))
}

/// Cursors that every replica with one of `masters` takes.
pub(super) fn cursors(masters: &MasterKeys) -> Result<Cursors, StartError> {
    Cursors::under(masters).map_err(|error| StartError::MasterKey(error.to_string()))
}

/// Refuses master keys other than those that the stored keys are sealed under: what they would add to the audit log
/// could not be verified.
pub(super) async fn check_is_in_use(store: &SqlStore, masters: &MasterKeys) -> Result<(), StartError> {
    for id in store.master_key_ids().await? {
        masters.named(&id).map_err(|error| StartError::MasterKey(error.to_string()))?;
    }
    Ok(())
}

/// The key in the file at `path`; `None` when there is no file.
fn read(path: &Path) -> Result<Option<MasterKey>, StartError> {
    let failed = |why| StartError::File { path: path.to_owned(), why };
    let refused = |why: &str| StartError::MasterKey(format!("{} {why}", path.display()));
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(failed(why)),
        // Before it is opened: a pipe would be waited for.
        Ok(metadata) if !metadata.is_file() => return Err(refused("is not a file")),
        Ok(_) => {}
    }
    if is_open_to_others(path).map_err(failed)? {
        return Err(StartError::MasterKey(format!(
            "other users can read {}: set its mode to 0600, and take it for compromised if they are not trusted",
            path.display()
        )));
    }
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(LONGEST_FILE).read_to_string(&mut text)).map_err(failed)?;
    let text = SecretText::new(text);
    MasterKey::parse(text.expose().trim()).map(Some).map_err(|error| refused(&format!("does not hold one: {error}")))
}
