//! Keys of every purpose, with their sealed private halves.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use signet_verify::PublicJwk;

use super::changes::KEYS;
use super::reseal::MASTER_KEY;
use super::{SqlStore, append_audit, in_snapshot, in_write, note_change, now_inside, read_rows, store_error};
use crate::audit::Entry;
use crate::keys::{
    COMMIT_WITHIN, Commit, History, Key, KeyChange, KeyState, KeyStore, KeyTable, Kid, Origin, PastState, Purpose,
    StateName, StoredKeys,
};
use crate::ports::{StoreError, Timestamp};
use crate::secret::Sealed;

const RING: &str = "SELECT version, acted_at FROM key_rings WHERE purpose = $1";
const LOAD: &str = "SELECT kid, algorithm, public_jwk, origin, state, state_since, state_until, reason, created_at, \
                    published_at, longest_lifetime, history, master_key_id, sealed FROM keys WHERE purpose = $1 \
                    ORDER BY created_at, kid";
const INSERT_RING: &str =
    "INSERT INTO key_rings (purpose, version, acted_at) VALUES ($1, 0, NULL) ON CONFLICT (purpose) DO NOTHING";
const MOVE_RING: &str = "UPDATE key_rings SET version = version + 1, acted_at = $3 WHERE purpose = $1 AND version = $2";
const INSERT: &str = "INSERT INTO keys (kid, purpose, algorithm, public_jwk, origin, state, state_since, state_until, \
                      reason, created_at, published_at, longest_lifetime, history, master_key_id, sealed) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (kid) DO NOTHING";
const UPDATE: &str = "UPDATE keys SET state = $3, state_since = $4, state_until = $5, reason = $6, published_at = $7, \
                      longest_lifetime = $8, history = $9 WHERE kid = $1 AND purpose = $2";
const ERASE: &str = "UPDATE keys SET sealed = NULL, master_key_id = NULL WHERE kid = $1";

#[derive(sqlx::FromRow)]
struct KeyRow {
    kid: String,
    algorithm: String,
    public_jwk: Option<String>,
    origin: String,
    state: String,
    state_since: i64,
    state_until: Option<i64>,
    reason: String,
    created_at: i64,
    published_at: i64,
    longest_lifetime: i64,
    history: String,
    master_key_id: Option<String>,
    sealed: Option<Vec<u8>>,
}

/// The columns of a state: for a pending key, the moment from which it is usable counts as its since.
const fn state_columns(state: KeyState) -> (&'static str, i64, Option<i64>) {
    match state {
        KeyState::Pending { usable_from } => (state.name(), usable_from.millis(), None),
        KeyState::Active { since } | KeyState::Retired { since } | KeyState::Compromised { since } => {
            (state.name(), since.millis(), None)
        }
        KeyState::Retiring { since, until } => (state.name(), since.millis(), Some(until.millis())),
    }
}

fn state(name: &str, since: i64, until: Option<i64>) -> Option<KeyState> {
    let since = Timestamp::from_millis(since);
    Some(match (name, until) {
        ("pending", None) => KeyState::Pending { usable_from: since },
        ("active", None) => KeyState::Active { since },
        ("retiring", Some(until)) => KeyState::Retiring { since, until: Timestamp::from_millis(until) },
        ("retired", None) => KeyState::Retired { since },
        ("compromised", None) => KeyState::Compromised { since },
        _ => return None,
    })
}

/// The states that a key has left, as JSON: `[["pending", 1800000000000], …]`.
fn history_column(key: &Key) -> String {
    let past: Vec<_> = key.history.past().iter().map(|past| (past.state.name(), past.since.millis())).collect();
    json!(past).to_string()
}

fn history(column: &str, state: KeyState) -> Option<History> {
    let past: Vec<(String, i64)> = serde_json::from_str(column).ok()?;
    let read = |(name, since): (String, i64)| {
        Some(PastState { state: StateName::from_name(&name)?, since: Timestamp::from_millis(since) })
    };
    History::before(state.bare(), past.into_iter().map(read).collect::<Option<_>>()?)
}

impl KeyRow {
    fn key(&self, purpose: Purpose) -> Result<Key, String> {
        let public = self.public_jwk.as_deref().ok_or("it has no public half")?;
        let public = serde_json::from_str(public).map_err(|error| error.to_string())?;
        let state = state(&self.state, self.state_since, self.state_until).ok_or("its state makes no sense")?;
        Ok(Key {
            kid: Kid::parse(&self.kid).ok_or("its kid is no thumbprint")?,
            purpose,
            algorithm: self.algorithm.parse().map_err(|_| "its algorithm is unknown".to_owned())?,
            public: PublicJwk::parse(&public).map_err(|error| error.to_string())?,
            origin: Origin::from_name(&self.origin).ok_or("its origin is unknown")?,
            created_at: Timestamp::from_millis(self.created_at),
            published_at: Timestamp::from_millis(self.published_at),
            longest_lifetime: u64::try_from(self.longest_lifetime)
                .map(Duration::from_millis)
                .map_err(|_| "its longest lifetime is negative")?,
            state,
            reason: self.reason.clone(),
            history: history(&self.history, state).ok_or("its history makes no sense")?,
        })
    }
}

fn stored(
    rows: Vec<KeyRow>,
    ring: Option<(i64, Option<i64>)>,
    purpose: Purpose,
    now: Timestamp,
) -> Result<StoredKeys, StoreError> {
    let (version, acted_at) = ring.unwrap_or((0, None));
    let mut keys = Vec::with_capacity(rows.len());
    let mut sealed = Vec::with_capacity(rows.len());
    for row in rows {
        let what = format!("key {:?}", row.kid);
        let damaged = |why| StoreError::Corrupt { what: what.clone(), why };
        let key = row.key(purpose).map_err(damaged)?;
        match (row.sealed, row.master_key_id) {
            (Some(bytes), Some(master_key_id)) => sealed.push((key.kid.clone(), Sealed { master_key_id, bytes })),
            (None, None) if !key.state.is_published() => {}
            _ => return Err(damaged("its sealed private half is missing or incomplete".to_owned())),
        }
        keys.push(key);
    }
    let acted_at = acted_at.map(Timestamp::from_millis);
    Ok(StoredKeys { table: KeyTable { version, acted_at, keys }, sealed, sealed_under: None, now })
}

/// The rows, the version of their table and when it was last acted on, and the master key on record.
type Snapshot = (Vec<KeyRow>, Option<(i64, Option<i64>)>, Option<(String,)>);

fn lifetime_millis(key: &Key) -> i64 {
    i64::try_from(key.longest_lifetime.as_millis()).unwrap_or(i64::MAX)
}

/// Inserts a new key inside a write transaction.
macro_rules! insert_key {
    ($tx:ident, $purpose:expr, $key:expr, $sealed:expr) => {{
        let (name, since, until) = state_columns($key.state);
        let done = sqlx::query(INSERT)
            .bind($key.kid.as_str())
            .bind($purpose.name())
            .bind($key.algorithm.name())
            .bind($key.public.to_json().to_string())
            .bind($key.origin.name())
            .bind(name)
            .bind(since)
            .bind(until)
            .bind(&$key.reason)
            .bind($key.created_at.millis())
            .bind($key.published_at.millis())
            .bind(lifetime_millis($key))
            .bind(history_column($key))
            .bind(&$sealed.master_key_id)
            .bind(&$sealed.bytes)
            .execute(&mut *$tx)
            .await
            .map_err(store_error)?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Refused(format!("key {} is already there", $key.kid)));
        }
    }};
}

/// Stores what changed of a key inside a write transaction; one that is no longer published loses its private half.
macro_rules! update_key {
    ($tx:ident, $purpose:expr, $key:expr) => {{
        let (name, since, until) = state_columns($key.state);
        let done = sqlx::query(UPDATE)
            .bind($key.kid.as_str())
            .bind($purpose.name())
            .bind(name)
            .bind(since)
            .bind(until)
            .bind(&$key.reason)
            .bind($key.published_at.millis())
            .bind(lifetime_millis($key))
            .bind(history_column($key))
            .execute(&mut *$tx)
            .await
            .map_err(store_error)?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Refused(format!("key {} is not there", $key.kid)));
        }
        if !$key.state.is_published() {
            sqlx::query(ERASE).bind($key.kid.as_str()).execute(&mut *$tx).await.map_err(store_error)?;
        }
    }};
}

#[async_trait]
impl KeyStore for SqlStore {
    async fn load(&self, purpose: Purpose) -> Result<StoredKeys, StoreError> {
        self.bounded(async {
            let ((rows, ring, under), now): (Snapshot, Timestamp) = in_snapshot!(self, |tx| {
                let ring =
                    sqlx::query_as(RING).bind(purpose.name()).fetch_optional(&mut *tx).await.map_err(store_error)?;
                // The first read makes the snapshot. The time is read right after it: read before, it could lie before a
                // change that the snapshot shows, and would pass for a clock that ran backwards. A change that came in
                // between is no harm, since the next commit compares the version.
                let now = now_inside!(self, tx);
                let under = sqlx::query_as(MASTER_KEY).fetch_optional(&mut *tx).await.map_err(store_error)?;
                let rows = sqlx::query(LOAD).bind(purpose.name()).fetch_all(&mut *tx).await.map_err(store_error)?;
                ((read_rows(&rows, "key")?, ring, under), now)
            });
            Ok(StoredKeys { sealed_under: under.map(|(id,)| id), ..stored(rows, ring, purpose, now)? })
        })
        .await
    }

    async fn commit(
        &self,
        purpose: Purpose,
        expected_version: i64,
        change: &KeyChange,
        entry: &Entry,
    ) -> Result<Commit, StoreError> {
        self.bounded(async {
            let row = in_write!(self, |tx| {
                note_change!(tx, change.acted_at, KEYS, purpose.name());
                sqlx::query(INSERT_RING).bind(purpose.name()).execute(&mut *tx).await.map_err(store_error)?;
                let moved = sqlx::query(MOVE_RING)
                    .bind(purpose.name())
                    .bind(expected_version)
                    .bind(change.acted_at.millis())
                    .execute(&mut *tx)
                    .await
                    .map_err(store_error)?;
                if moved.rows_affected() == 0 {
                    return Ok(Commit::Raced);
                }
                for (key, sealed) in &change.insert {
                    insert_key!(tx, purpose, key, sealed);
                }
                for key in &change.update {
                    update_key!(tx, purpose, key);
                }
                let row = append_audit!(tx, self, change.acted_at, entry);
                // Last, so that nothing but the commit itself can take time after it.
                if change.acted_at.plus(COMMIT_WITHIN) < now_inside!(self, tx) {
                    return Ok(Commit::Late);
                }
                row
            });
            self.appended(&row);
            Ok(Commit::Done { version: expected_version + 1 })
        })
        .await
    }

    async fn swap_sealed(
        &self,
        purpose: Purpose,
        expected_version: i64,
        sealed: &[(Kid, Sealed)],
    ) -> Result<Commit, StoreError> {
        let named: Vec<_> = sealed.iter().map(|(kid, sealed)| (kid.as_str(), sealed)).collect();
        self.put_sealed(purpose, expected_version, &named).await
    }
}
