//! A copy of a running SQLite database.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{Pool, SqlStore, on_pool, store_error};
use crate::ports::StoreError;

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its size, in bytes.
    pub bytes: u64,
    /// The master keys that its sealed keys need.
    pub master_key_ids: Vec<String>,
}

impl SqlStore {
    /// The identifiers of the master keys that the stored keys are sealed under.
    pub async fn master_key_ids(&self) -> Result<Vec<String>, StoreError> {
        self.bounded(async {
            const IDS: &str = "SELECT DISTINCT master_key_id FROM keys WHERE sealed IS NOT NULL ORDER BY master_key_id";
            let rows: Vec<(String,)> =
                on_pool!(self, |pool| sqlx::query_as(IDS).fetch_all(pool).await).map_err(store_error)?;
            Ok(rows.into_iter().map(|(id,)| id).collect())
        })
        .await
    }

    /// Writes one consistent state of the database into the new file `to` (mode 0600) while others go on using it.
    /// An existing file is refused. Postgres is refused too: `pg_dump` does this better.
    pub async fn back_up(&self, to: &Path) -> Result<Backup, StoreError> {
        let Pool::Sqlite(pool) = &self.pool else {
            return Err(StoreError::Refused("Postgres is backed up with pg_dump or its base backups".to_owned()));
        };
        let refused = |error: std::io::Error| StoreError::Refused(format!("{}: {error}", to.display()));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(refused)?;
        let written = self.copy_into(pool, to).await;
        if written.is_err() {
            // Half a backup helps no one; that it can't be removed changes nothing about the error to tell.
            let _ = std::fs::remove_file(to);
        }
        written
    }

    async fn copy_into(&self, pool: &sqlx::SqlitePool, to: &Path) -> Result<Backup, StoreError> {
        let refused = |error: std::io::Error| StoreError::Refused(format!("{}: {error}", to.display()));
        let path = to.to_str().ok_or_else(|| StoreError::Refused("the file name is not UTF-8".to_owned()))?;
        sqlx::query("VACUUM INTO $1").bind(path).execute(pool).await.map_err(store_error)?;
        let file = File::open(to).map_err(refused)?;
        file.sync_all().map_err(refused)?;
        let bytes = file.metadata().map_err(refused)?.len();
        Ok(Backup { bytes, master_key_ids: self.master_key_ids().await? })
    }
}
