//! Who serves: each replica says so every few seconds, with the master keys that it has at hand.

use super::{SqlStore, on_pool, read_rows, store_error};
use crate::ports::{StoreError, Timestamp};

/// A replica, as it tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its own: a new one at each start.
    pub id: String,
    /// The machine that it runs on.
    pub host: String,
    /// Its program's version.
    pub version: String,
    /// The ids of the master keys that it has at hand.
    pub master_key_ids: Vec<String>,
    /// When it started, by the store's time.
    pub started_at: Timestamp,
    /// When it was last heard of, by the store's time.
    pub seen_at: Timestamp,
}

const ANNOUNCE: &str = "INSERT INTO replicas (id, host, version, master_key_ids, started_at, seen_at) \
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET seen_at = $6";
const SINCE: &str = "SELECT id, host, version, master_key_ids, started_at, seen_at FROM replicas WHERE seen_at >= $1 \
    ORDER BY host, started_at, id";

#[derive(sqlx::FromRow)]
struct ReplicaRow {
    id: String,
    host: String,
    version: String,
    master_key_ids: String,
    started_at: i64,
    seen_at: i64,
}

impl From<ReplicaRow> for Replica {
    fn from(row: ReplicaRow) -> Self {
        Self {
            id: row.id,
            host: row.host,
            version: row.version,
            master_key_ids: row.master_key_ids.split_whitespace().map(str::to_owned).collect(),
            started_at: Timestamp::from_millis(row.started_at),
            seen_at: Timestamp::from_millis(row.seen_at),
        }
    }
}

impl SqlStore {
    /// Says that `replica` is there. Its start is kept as it was first told.
    pub async fn announce(&self, replica: &Replica) -> Result<(), StoreError> {
        self.bounded(async {
            on_pool!(self, |pool| sqlx::query(ANNOUNCE)
                .bind(&replica.id)
                .bind(&replica.host)
                .bind(&replica.version)
                .bind(replica.master_key_ids.join(" "))
                .bind(replica.started_at.millis())
                .bind(replica.seen_at.millis())
                .execute(pool)
                .await
                .map(drop))
            .map_err(store_error)
        })
        .await
    }

    /// Says that the replica `id` has stopped.
    pub async fn withdraw(&self, id: &str) -> Result<(), StoreError> {
        self.bounded(async {
            const WITHDRAW: &str = "DELETE FROM replicas WHERE id = $1";
            on_pool!(self, |pool| sqlx::query(WITHDRAW).bind(id).execute(pool).await.map(drop)).map_err(store_error)
        })
        .await
    }

    /// The replicas that were heard of at `since` or later.
    pub async fn replicas_since(&self, since: Timestamp) -> Result<Vec<Replica>, StoreError> {
        self.bounded(async {
            let rows: Vec<ReplicaRow> = on_pool!(self, |pool| {
                let rows = sqlx::query(SINCE).bind(since.millis()).fetch_all(pool).await;
                read_rows(&rows.map_err(store_error)?, "replica")?
            });
            Ok(rows.into_iter().map(Replica::from).collect())
        })
        .await
    }
}
