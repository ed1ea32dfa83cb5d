//! Failed attempts to log in, counted for all replicas together.
//!
//! Rows are locked in one order (names ascending, then the address prefix, then all together), and each act locks what it
//! reads before it decides: of attempts that race each sees the one before. Registrations have rows of their own.

use std::time::Duration;

use async_trait::async_trait;

use super::{SqlStore, in_write, now_inside, store_error};
use crate::ports::{StoreError, Timestamp};
use crate::users::attempts::{
    Admission, Attempt, AttemptStore, Counted, DeviceTag, Limits, NameRecord, Prefix, RegistrationLimits, Standing,
    Tally, decide, decide_registration, take_back, take_back_of_address,
};

const NAME: &str = "name";
const PREFIX: &str = "prefix";
const ALL: &str = "all";
const REGISTERING: &str = "registering";
const REGISTERED: &str = "registered";

/// Reads a row and locks it, be it there or not.
const LOCK: &str = "INSERT INTO login_attempts (key, kind, weight, last_at, owner_weight, owner_last_at, places, \
    devices, pairs, touched_at) VALUES ($1, $2, 0, 0, 0, 0, '[]', '[]', '[]', $3) ON CONFLICT (key) \
    DO UPDATE SET touched_at = $3 RETURNING weight, last_at, owner_weight, owner_last_at, devices, pairs";
const STORE: &str = "UPDATE login_attempts SET weight = $2, last_at = $3, owner_weight = $4, owner_last_at = $5, \
    devices = $6, pairs = $7, places = '[]' WHERE key = $1";
const CLEAR: &str = "DELETE FROM login_attempts WHERE key = $1";

#[derive(sqlx::FromRow)]
struct AttemptRow {
    weight: i64,
    last_at: i64,
    owner_weight: i64,
    owner_last_at: i64,
    devices: String,
    pairs: String,
}

impl AttemptRow {
    fn record(&self) -> NameRecord {
        // What can't be read is forgotten: it decides about waits alone.
        let devices: Vec<(u64, i64)> = serde_json::from_str(&self.devices).unwrap_or_default();
        let device = |(bits, seen)| (DeviceTag::from_bits(bits), Timestamp::from_millis(seen));
        let pairs: Vec<(u64, i64, i64)> = serde_json::from_str(&self.pairs).unwrap_or_default();
        let pair = |(bits, weight, last_at)| (Prefix::from_bits(bits), tally(weight, last_at));
        NameRecord {
            strangers: tally(self.weight, self.last_at),
            owner: tally(self.owner_weight, self.owner_last_at),
            devices: devices.into_iter().map(device).collect(),
            pairs: pairs.into_iter().map(pair).collect(),
        }
    }
}

fn tally(weight: i64, last_at: i64) -> Tally {
    Tally { weight: u32::try_from(weight).unwrap_or_default(), last_at: Timestamp::from_millis(last_at) }
}

/// The keys of a prefix and of all, for logins.
fn address_keys(prefix: Prefix) -> [Vec<u8>; 2] {
    [[b"p".as_slice(), &prefix.to_bits().to_be_bytes()].concat(), b"a".to_vec()]
}

/// The same for registrations.
fn registration_keys(prefix: Prefix) -> [Vec<u8>; 2] {
    [[b"r".as_slice(), &prefix.to_bits().to_be_bytes()].concat(), b"R".to_vec()]
}

/// Reads and locks the record of `$key`.
macro_rules! locked {
    ($tx:ident, $key:expr, $kind:expr, $now:expr) => {{
        let row: AttemptRow = sqlx::query_as(LOCK)
            .bind($key)
            .bind($kind)
            .bind($now.millis())
            .fetch_one(&mut *$tx)
            .await
            .map_err(store_error)?;
        row.record()
    }};
}

/// Stores the record of `$key`, which is locked.
macro_rules! stored {
    ($tx:ident, $key:expr, $record:expr) => {{
        let record: &NameRecord = $record;
        let devices = record.devices.iter().map(|(tag, seen)| (tag.to_bits(), seen.millis())).collect::<Vec<_>>();
        let pairs = record.pairs.iter().map(|(prefix, pair)| (prefix.to_bits(), pair.weight, pair.last_at.millis()));
        let pairs = pairs.collect::<Vec<_>>();
        let text = |error: serde_json::Error| StoreError::Refused(error.to_string());
        let devices = serde_json::to_string(&devices).map_err(text)?;
        let pairs = serde_json::to_string(&pairs).map_err(text)?;
        sqlx::query(STORE)
            .bind($key)
            .bind(i64::from(record.strangers.weight))
            .bind(record.strangers.last_at.millis())
            .bind(i64::from(record.owner.weight))
            .bind(record.owner.last_at.millis())
            .bind(devices)
            .bind(pairs)
            .execute(&mut *$tx)
            .await
            .map_err(store_error)?;
    }};
}

/// Takes one back of a prefix and of all, whose rows are not locked yet.
macro_rules! taken_back {
    ($tx:ident, ($prefix_key:expr, $prefix_kind:expr), ($all_key:expr, $all_kind:expr), $now:expr) => {{
        let mut prefix = locked!($tx, $prefix_key, $prefix_kind, $now).strangers;
        let mut all = locked!($tx, $all_key, $all_kind, $now).strangers;
        take_back_of_address(&mut prefix, &mut all);
        stored!($tx, $prefix_key, &alone(prefix));
        stored!($tx, $all_key, &alone(all));
    }};
}

/// A tally alone, as it stands in a row.
fn alone(tally: Tally) -> NameRecord {
    NameRecord { strangers: tally, ..NameRecord::default() }
}

#[async_trait]
impl AttemptStore for SqlStore {
    async fn admit(&self, attempt: &Attempt, limits: &Limits) -> Result<Admission, StoreError> {
        let (name_key, [prefix_key, all_key]) = (attempt.name.to_vec(), address_keys(attempt.prefix));
        self.bounded(async {
            let admission = in_write!(self, |tx| {
                let now = now_inside!(self, tx);
                let name = locked!(tx, &name_key, NAME, now);
                let mut standing = Standing { name, ..Standing::default() };
                let is_stranger = !standing.name.knows(attempt.device, now);
                if is_stranger {
                    standing.prefix = locked!(tx, &prefix_key, PREFIX, now).strangers;
                    standing.all = locked!(tx, &all_key, ALL, now).strangers;
                }
                let admission = decide(&mut standing, attempt, limits, now);
                if matches!(admission, Admission::Wait(_)) {
                    // Nothing was counted, and nothing is stored.
                    return Ok(admission);
                }
                stored!(tx, &name_key, &standing.name);
                if is_stranger {
                    stored!(tx, &prefix_key, &alone(standing.prefix));
                    stored!(tx, &all_key, &alone(standing.all));
                }
                admission
            });
            Ok(admission)
        })
        .await
    }

    async fn succeeded(
        &self,
        names: &[[u8; 32]],
        device: Option<DeviceTag>,
        stranger_at: Option<Prefix>,
    ) -> Result<(), StoreError> {
        let mut names: Vec<_> = names.iter().map(|name| name.to_vec()).collect();
        names.sort_unstable();
        names.dedup();
        self.bounded(async {
            in_write!(self, |tx| {
                let now = now_inside!(self, tx);
                for name in &names {
                    let mut record = locked!(tx, name, NAME, now);
                    record.succeeded(device, stranger_at, now);
                    stored!(tx, name, &record);
                }
                if let Some(prefix) = stranger_at {
                    let [prefix_key, all_key] = address_keys(prefix);
                    taken_back!(tx, (&prefix_key, PREFIX), (&all_key, ALL), now);
                }
            });
            Ok(())
        })
        .await
    }

    async fn not_made(&self, attempt: &Attempt, counted: Counted) -> Result<(), StoreError> {
        let (name_key, [prefix_key, all_key]) = (attempt.name.to_vec(), address_keys(attempt.prefix));
        self.bounded(async {
            in_write!(self, |tx| {
                let now = now_inside!(self, tx);
                let name = locked!(tx, &name_key, NAME, now);
                let mut standing = Standing { name, ..Standing::default() };
                if counted == Counted::AsStranger {
                    standing.prefix = locked!(tx, &prefix_key, PREFIX, now).strangers;
                    standing.all = locked!(tx, &all_key, ALL, now).strangers;
                }
                take_back(&mut standing, attempt.prefix, counted);
                stored!(tx, &name_key, &standing.name);
                if counted == Counted::AsStranger {
                    stored!(tx, &prefix_key, &alone(standing.prefix));
                    stored!(tx, &all_key, &alone(standing.all));
                }
            });
            Ok(())
        })
        .await
    }

    async fn clear(&self, names: &[[u8; 32]]) -> Result<(), StoreError> {
        let mut names: Vec<_> = names.iter().map(|name| name.to_vec()).collect();
        names.sort_unstable();
        self.bounded(async {
            in_write!(self, |tx| {
                for name in &names {
                    sqlx::query(CLEAR).bind(name).execute(&mut *tx).await.map_err(store_error)?;
                }
            });
            Ok(())
        })
        .await
    }

    async fn admit_registration(
        &self,
        prefix: Prefix,
        limits: &RegistrationLimits,
    ) -> Result<Option<Duration>, StoreError> {
        let [prefix_key, all_key] = registration_keys(prefix);
        self.bounded(async {
            in_write!(self, |tx| {
                let now = now_inside!(self, tx);
                let mut prefix = locked!(tx, &prefix_key, REGISTERING, now).strangers;
                let mut all = locked!(tx, &all_key, REGISTERED, now).strangers;
                if let Err(wait) = decide_registration(&mut prefix, &mut all, limits, now) {
                    return Ok(Some(wait));
                }
                stored!(tx, &prefix_key, &alone(prefix));
                stored!(tx, &all_key, &alone(all));
            });
            Ok(None)
        })
        .await
    }

    async fn registration_not_made(&self, prefix: Prefix) -> Result<(), StoreError> {
        let [prefix_key, all_key] = registration_keys(prefix);
        self.bounded(async {
            in_write!(self, |tx| {
                let now = now_inside!(self, tx);
                taken_back!(tx, (&prefix_key, REGISTERING), (&all_key, REGISTERED), now);
            });
            Ok(())
        })
        .await
    }
}
