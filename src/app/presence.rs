//! Says that this replica is there, and which master keys it has at hand.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::debug;

use super::host::host_name;
use crate::ports::{Timestamp, unique_id};
use crate::store::sql::{Replica, SqlStore};

/// How often a replica says that it is there.
const EVERY: Duration = Duration::from_secs(10);

/// This replica, as it tells of itself.
pub(super) struct Presence {
    replica: Mutex<Replica>,
}

impl Presence {
    /// A replica that has `master_key_ids` at hand, and that nobody has heard of yet.
    pub(super) fn new(master_key_ids: Vec<String>, now: Timestamp) -> Self {
        let replica = Replica {
            id: unique_id(now).simple().to_string(),
            host: host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            master_key_ids,
            started_at: Timestamp::default(),
            seen_at: Timestamp::default(),
        };
        Self { replica: Mutex::new(replica) }
    }

    /// Says that this replica is there, when it is time to by `now`, the store's time.
    pub(super) async fn announce(&self, store: &SqlStore, now: Timestamp) {
        let replica = {
            let mut replica = self.replica.lock().unwrap_or_else(PoisonError::into_inner);
            let is_first = replica.started_at == Timestamp::default();
            if !is_first && now < replica.seen_at.plus(EVERY) {
                return;
            }
            if is_first {
                replica.started_at = now;
            }
            replica.seen_at = now;
            replica.clone()
        };
        if let Err(error) = store.announce(&replica).await {
            // No reason not to serve: whoever replaces the master key waits for this replica to be heard of.
            debug!(%error, "the store was not told that this replica is there");
        }
    }

    /// Says that this replica is gone.
    pub(super) async fn withdraw(&self, store: &SqlStore) {
        let id = self.replica.lock().unwrap_or_else(PoisonError::into_inner).id.clone();
        if let Err(error) = store.withdraw(&id).await {
            // It is taken for gone all the same when it was not heard of for a minute.
            debug!(%error, "the store was not told that this replica stops");
        }
    }
}
