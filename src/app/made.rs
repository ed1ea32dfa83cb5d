//! What a start has made that was not there before, and how it goes again when the start fails.
//!
//! Guarantees: a master key goes only with the database that it was made for, or when the keys of that database are
//! proved to be sealed under another; what another start may have begun to use stays.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::config::Settings;
use crate::store::sql::{DatabaseUrl, SqlStore};

/// What a start has made so far.
pub(super) struct Made {
    /// The SQLite file, where there was none.
    database: Option<PathBuf>,
    store: OnceLock<SqlStore>,
    master_key: OnceLock<MadeKey>,
}

/// A master key that was made.
pub(super) struct MadeKey {
    /// Its file.
    pub(super) path: PathBuf,
    /// What keys that are sealed under it bear.
    pub(super) id: String,
}

impl Made {
    /// Nothing so far.
    pub(super) fn watch(settings: &Settings) -> Self {
        let database = match &settings.database.url {
            DatabaseUrl::Sqlite(path) if !path.exists() => Some(path.clone()),
            _ => None,
        };
        Self { database, store: OnceLock::new(), master_key: OnceLock::new() }
    }

    /// The database is open.
    pub(super) fn note_store(&self, store: &SqlStore) {
        // Noted once, as below: a start opens one store and looks for one master key.
        let _ = self.store.set(store.clone());
    }

    /// A master key was made.
    pub(super) fn note_master_key(&self, made: Option<MadeKey>) {
        if let Some(made) = made {
            let _ = self.master_key.set(made);
        }
    }

    /// Removes what is of no use to the next start. The lock of [`super::opened`] is held, so that no other start has
    /// begun to use a database that was made.
    pub(super) async fn undo(&self) {
        let master_key = self.master_key.get();
        match &self.database {
            Some(database) => {
                if let Some(store) = self.store.get() {
                    store.close().await;
                }
                let files = ["", "-wal", "-shm", ".lock"].map(|end| beside(database, end));
                remove(files.iter().chain(master_key.map(|made| &made.path)));
            }
            // In a database that stays, keys may be sealed under it, or about to be by a commit whose answer was lost.
            None => {
                if let Some(made) = master_key
                    && self.is_ruled_out(&made.id).await
                {
                    remove([&made.path]);
                }
            }
        }
    }

    /// Whether the database has keys, and none under the master key `id`: another start was first, and by that none of
    /// this start's keys can be added any more.
    async fn is_ruled_out(&self, id: &str) -> bool {
        let Some(store) = self.store.get() else { return false };
        let Ok(in_use) = store.master_key_ids().await else { return false };
        !in_use.is_empty() && in_use.iter().all(|known| known != id)
    }
}

fn remove<'a>(made: impl IntoIterator<Item = &'a PathBuf>) {
    for path in made {
        // What can't be removed was not made, or is of no harm: the error to tell is the one that led here.
        let _ = std::fs::remove_file(path);
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}
