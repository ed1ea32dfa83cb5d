//! Replay marks of client assertions.

use async_trait::async_trait;

use super::{SqlStore, on_pool, store_error};
use crate::clients::ReplayMarks;
use crate::ports::{StoreError, Timestamp};

#[async_trait]
impl ReplayMarks for SqlStore {
    async fn mark(&self, digest: &[u8; 32], until: Timestamp) -> Result<bool, StoreError> {
        const MARK: &str = "INSERT INTO replay_marks (digest, until) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";
        self.bounded(async {
            let inserted = on_pool!(self, |pool| {
                let done = sqlx::query(MARK).bind(digest.as_slice()).bind(until.millis()).execute(pool).await;
                done.map(|done| done.rows_affected())
            });
            Ok(inserted.map_err(store_error)? == 1)
        })
        .await
    }
}
