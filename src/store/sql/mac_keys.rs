//! The keys that make refresh tokens, in the table of all keys.

use std::time::Duration;

use async_trait::async_trait;

use super::changes::KEYS;
use super::reseal::MASTER_KEY;
use super::{SqlStore, append_audit, in_snapshot, in_write, note_change, now_inside, read_rows, store_error};
use crate::audit::Entry;
use crate::keys::{COMMIT_WITHIN, Commit, Purpose};
use crate::ports::{StoreError, Timestamp};
use crate::secret::Sealed;
use crate::tokens::session::MacKeyId;
use crate::tokens::session::mac::{MacKeyChange, MacKeyRow, MacKeyState, MacKeyStore, StoredMacKeys};

const PURPOSE: &str = Purpose::SessionMac.name();
const RING: &str = "SELECT version FROM key_rings WHERE purpose = $1";
const LOAD: &str = "SELECT kid, state, state_since, state_until, created_at, longest_lifetime, master_key_id, sealed \
                    FROM keys WHERE purpose = $1 ORDER BY created_at, kid";
const INSERT_RING: &str =
    "INSERT INTO key_rings (purpose, version, acted_at) VALUES ($1, 0, NULL) ON CONFLICT (purpose) DO NOTHING";
const MOVE_RING: &str = "UPDATE key_rings SET version = version + 1, acted_at = $3 WHERE purpose = $1 AND version = $2";
const INSERT: &str = "INSERT INTO keys (kid, purpose, algorithm, public_jwk, origin, state, state_since, state_until, \
                      reason, created_at, published_at, longest_lifetime, master_key_id, sealed) \
                      VALUES ($1, $2, 'HS256', NULL, 'generated', $3, $4, $5, '', $6, $6, $7, $8, $9) \
                      ON CONFLICT (kid) DO NOTHING";
const UPDATE: &str = "UPDATE keys SET state = $3, state_since = $4, state_until = $5, longest_lifetime = $6 \
                      WHERE kid = $1 AND purpose = $2";
const ERASE: &str = "UPDATE keys SET sealed = NULL, master_key_id = NULL WHERE kid = $1 AND purpose = $2";

#[derive(sqlx::FromRow)]
struct KeyRow {
    kid: String,
    state: String,
    state_since: i64,
    state_until: Option<i64>,
    created_at: i64,
    longest_lifetime: i64,
    master_key_id: Option<String>,
    sealed: Option<Vec<u8>>,
}

/// For a pending key, the moment from which it is usable counts as its since.
const fn state_columns(state: MacKeyState) -> (i64, Option<i64>) {
    match state {
        MacKeyState::Pending { usable_from } => (usable_from.millis(), None),
        MacKeyState::Active { since } | MacKeyState::Retired { since } => (since.millis(), None),
        MacKeyState::Retiring { since, until } => (since.millis(), Some(until.millis())),
    }
}

fn state(name: &str, since: i64, until: Option<i64>) -> Option<MacKeyState> {
    let since = Timestamp::from_millis(since);
    Some(match (name, until) {
        ("pending", None) => MacKeyState::Pending { usable_from: since },
        ("active", None) => MacKeyState::Active { since },
        ("retiring", Some(until)) => MacKeyState::Retiring { since, until: Timestamp::from_millis(until) },
        ("retired", None) => MacKeyState::Retired { since },
        _ => return None,
    })
}

impl TryFrom<KeyRow> for (MacKeyRow, Option<Sealed>) {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let damaged = |why: &str| StoreError::Corrupt { what: format!("key {:?}", row.kid), why: why.to_owned() };
        let state =
            state(&row.state, row.state_since, row.state_until).ok_or_else(|| damaged("its state makes no sense"))?;
        let id = u32::from_str_radix(&row.kid, 16).map(MacKeyId).map_err(|_| damaged("its name is none"))?;
        let longest = u64::try_from(row.longest_lifetime).map_err(|_| damaged("its longest session is negative"))?;
        let key = MacKeyRow {
            id,
            created_at: Timestamp::from_millis(row.created_at),
            longest_session: Duration::from_millis(longest),
            state,
        };
        match (row.sealed, row.master_key_id) {
            (Some(bytes), Some(master_key_id)) => Ok((key, Some(Sealed { master_key_id, bytes }))),
            (None, None) if !state.is_alive() => Ok((key, None)),
            _ => Err(StoreError::Corrupt { what: format!("key {id}"), why: "its sealed secret is missing".to_owned() }),
        }
    }
}

fn span_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Inserts a key inside a write transaction.
macro_rules! insert_key {
    ($tx:ident, $key:expr, $sealed:expr) => {{
        let (since, until) = state_columns($key.state);
        let done = sqlx::query(INSERT)
            .bind($key.id.to_string())
            .bind(PURPOSE)
            .bind($key.state.name())
            .bind(since)
            .bind(until)
            .bind($key.created_at.millis())
            .bind(span_millis($key.longest_session))
            .bind(&$sealed.master_key_id)
            .bind(&$sealed.bytes)
            .execute(&mut *$tx)
            .await
            .map_err(store_error)?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Refused(format!("key {} is already there", $key.id)));
        }
    }};
}

/// Stores what changed of a key inside a write transaction; one that is retired loses its secret.
macro_rules! update_key {
    ($tx:ident, $key:expr) => {{
        let ((since, until), kid) = (state_columns($key.state), $key.id.to_string());
        let done = sqlx::query(UPDATE)
            .bind(&kid)
            .bind(PURPOSE)
            .bind($key.state.name())
            .bind(since)
            .bind(until)
            .bind(span_millis($key.longest_session))
            .execute(&mut *$tx)
            .await
            .map_err(store_error)?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Refused(format!("key {kid} is not there")));
        }
        if !$key.state.is_alive() {
            sqlx::query(ERASE).bind(&kid).bind(PURPOSE).execute(&mut *$tx).await.map_err(store_error)?;
        }
    }};
}

/// The version of the table, its rows, and the master key on record.
type Snapshot = (Option<(i64,)>, Vec<KeyRow>, Option<(String,)>);

#[async_trait]
impl MacKeyStore for SqlStore {
    async fn load_mac_keys(&self) -> Result<StoredMacKeys, StoreError> {
        self.bounded(async {
            let ((ring, rows, under), now): (Snapshot, Timestamp) = in_snapshot!(self, |tx| {
                let ring = sqlx::query_as(RING).bind(PURPOSE).fetch_optional(&mut *tx).await.map_err(store_error)?;
                let now = now_inside!(self, tx);
                let under = sqlx::query_as(MASTER_KEY).fetch_optional(&mut *tx).await.map_err(store_error)?;
                let rows = sqlx::query(LOAD).bind(PURPOSE).fetch_all(&mut *tx).await.map_err(store_error)?;
                ((ring, read_rows(&rows, "key")?, under), now)
            });
            Ok(StoredMacKeys {
                version: ring.map_or(0, |(version,)| version),
                keys: rows.into_iter().map(TryFrom::try_from).collect::<Result<_, _>>()?,
                sealed_under: under.map(|(id,)| id),
                now,
            })
        })
        .await
    }

    async fn commit_mac_keys(
        &self,
        expected_version: i64,
        change: &MacKeyChange,
        entry: &Entry,
    ) -> Result<Commit, StoreError> {
        self.bounded(async {
            let row = in_write!(self, |tx| {
                note_change!(tx, change.decided_at, KEYS, PURPOSE);
                sqlx::query(INSERT_RING).bind(PURPOSE).execute(&mut *tx).await.map_err(store_error)?;
                let moved = sqlx::query(MOVE_RING).bind(PURPOSE).bind(expected_version);
                let moved = moved.bind(change.decided_at.millis()).execute(&mut *tx).await.map_err(store_error)?;
                if moved.rows_affected() == 0 {
                    return Ok(Commit::Raced);
                }
                for (key, sealed) in &change.insert {
                    insert_key!(tx, key, sealed);
                }
                for key in &change.update {
                    update_key!(tx, key);
                }
                let row = append_audit!(tx, self, change.decided_at, entry);
                // Last, so that nothing but the commit itself can take time after it.
                if change.decided_at.plus(COMMIT_WITHIN) < now_inside!(self, tx) {
                    return Ok(Commit::Late);
                }
                row
            });
            self.appended(&row);
            Ok(Commit::Done { version: expected_version + 1 })
        })
        .await
    }

    async fn reseal_mac_keys(
        &self,
        expected_version: i64,
        sealed: &[(MacKeyId, Sealed)],
    ) -> Result<Commit, StoreError> {
        let sealed: Vec<_> = sealed.iter().map(|(id, sealed)| (id.to_string(), sealed)).collect();
        let named: Vec<_> = sealed.iter().map(|(id, sealed)| (id.as_str(), *sealed)).collect();
        self.put_sealed(Purpose::SessionMac, expected_version, &named).await
    }
}
