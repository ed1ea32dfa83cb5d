//! Putting another master key in the place of the one in use, in steps that may be interrupted anywhere and begun again.
//!
//! Guarantees: from the first step on, whatever is written is sealed and coded under the next master key; a row of the
//! audit log that does not hold under the old one gets no new code.

use super::changes::KEYS;
use super::{SqlStore, append_audit, audit, in_write, note_change, on_pool, store_error};
use crate::audit::Entry;
use crate::keys::{Commit, Purpose};
use crate::ports::StoreError;
use crate::secret::Sealed;

/// The id of the master key that new things are sealed under; none while it was never replaced.
pub(super) const MASTER_KEY: &str = "SELECT value FROM facts WHERE name = 'master_key'";

const RECORD: &str = "INSERT INTO facts (name, value) VALUES ('master_key', $1) \
                      ON CONFLICT (name) DO UPDATE SET value = $1";
const MOVE_RING: &str = "UPDATE key_rings SET version = version + 1 WHERE purpose = $1 AND version = $2";
const RESEAL: &str =
    "UPDATE keys SET sealed = $3, master_key_id = $4 WHERE kid = $1 AND purpose = $2 AND sealed IS NOT NULL";
const RECODE: &str = "UPDATE audit_log SET mac = $2, master_key_id = $3 WHERE number = $1 AND master_key_id = $4";
/// So many rows get new codes in one transaction: others wait for it.
const BATCH: i64 = 200;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recoded {
    /// How many rows got a new code.
    pub rows: u64,
    /// How many are left.
    pub left: u64,
}

impl SqlStore {
    /// The id of the master key that new things are sealed under, where one was recorded.
    pub async fn recorded_master_key(&self) -> Result<Option<String>, StoreError> {
        self.bounded(async {
            let found: Option<(String,)> =
                on_pool!(self, |pool| sqlx::query_as(MASTER_KEY).fetch_optional(pool).await).map_err(store_error)?;
            Ok(found.map(|(id,)| id))
        })
        .await
    }

    /// Records that from now on everything is sealed under the master key `id`.
    pub async fn record_master_key(&self, id: &str, entry: &Entry) -> Result<(), StoreError> {
        self.bounded(async {
            let now = self.now().await?;
            let row = in_write!(self, |tx| {
                note_change!(tx, now, KEYS, Purpose::Signing.name());
                sqlx::query(RECORD).bind(id).execute(&mut *tx).await.map_err(store_error)?;
                append_audit!(tx, self, now, entry)
            });
            self.appended(&row);
            Ok(())
        })
        .await
    }

    /// [`KeyStore::swap_sealed`](crate::keys::KeyStore::swap_sealed), of keys of any purpose.
    pub(super) async fn put_sealed(
        &self,
        purpose: Purpose,
        expected_version: i64,
        sealed: &[(&str, &Sealed)],
    ) -> Result<Commit, StoreError> {
        self.bounded(async {
            let now = self.now().await?;
            in_write!(self, |tx| {
                note_change!(tx, now, KEYS, purpose.name());
                let moved = sqlx::query(MOVE_RING).bind(purpose.name()).bind(expected_version).execute(&mut *tx).await;
                if moved.map_err(store_error)?.rows_affected() == 0 {
                    return Ok(Commit::Raced);
                }
                for (kid, sealed) in sealed {
                    sqlx::query(RESEAL)
                        .bind(*kid)
                        .bind(purpose.name())
                        .bind(&sealed.bytes)
                        .bind(&sealed.master_key_id)
                        .execute(&mut *tx)
                        .await
                        .map_err(store_error)?;
                }
            });
            Ok(Commit::Done { version: expected_version + 1 })
        })
        .await
    }

    /// Gives the next rows of the audit log that are not coded under the master key `id` their codes under it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] with the number of a row that does not hold under its own master key.
    pub async fn recode_audit(&self, id: &str) -> Result<Recoded, StoreError> {
        self.bounded(async {
            let chain = self.chain()?;
            let rows = self.audit_rows_not_under(id, BATCH).await?;
            let done = rows.len() as u64;
            in_write!(self, |tx| {
                for row in &rows {
                    if !chain.vouches_for(row) {
                        return Err(StoreError::Corrupt {
                            what: format!("audit row {}", row.number),
                            why: "its code does not fit: it gets no new one".to_owned(),
                        });
                    }
                    let anew = chain.coded_anew(row, id).map_err(|error| StoreError::Refused(error.to_string()))?;
                    sqlx::query(RECODE)
                        .bind(row.number)
                        .bind(anew.mac.as_slice())
                        .bind(id)
                        .bind(&row.master_key_id)
                        .execute(&mut *tx)
                        .await
                        .map_err(store_error)?;
                }
            });
            Ok(Recoded { rows: done, left: self.count_not_under(id).await? })
        })
        .await
    }

    async fn count_not_under(&self, id: &str) -> Result<u64, StoreError> {
        let (left,): (i64,) = on_pool!(self, |pool| {
            sqlx::query_as(audit::COUNT_NOT_UNDER).bind(id).fetch_one(pool).await.map_err(store_error)?
        });
        Ok(u64::try_from(left).unwrap_or(0))
    }
}
