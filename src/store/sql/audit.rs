//! The audit log: appended to by every change, in its transaction; read by page, and whole for verification.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use tracing::info;

use super::{SqlStore, append_audit, in_snapshot, in_write, on_pool, read_rows, store_error};
use crate::audit::{Act, AuditFilter, AuditLog, Chain, Entry, Head, Row, Verdict, Verification};
use crate::ports::{StoreError, Timestamp};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT CAST(number AS TEXT) AS row_key, number, at, actor_kind, actor, act, subject, reason, origin, request_id, \
             detail, hash, mac, master_key_id FROM audit_log ",
            $rest
        )
    };
}

/// So many rows are read at a time.
const PAGE: i64 = 500;

const HEAD: &str = "SELECT number, hash FROM audit_head WHERE one = 1";
const FORWARD: &str = select!("WHERE number > $1 ORDER BY number LIMIT $2");
const NOT_UNDER: &str = select!("WHERE master_key_id <> $1 ORDER BY number LIMIT $2");
/// How many rows are not coded under a master key.
pub(super) const COUNT_NOT_UNDER: &str = "SELECT COUNT(*) FROM audit_log WHERE master_key_id <> $1";
/// Absent filters are empty texts and the ends of time, so that one text serves every combination.
const BACKWARD: &str = select!(
    "WHERE number < $1 AND ($2 = '' OR act = $2) AND ($3 = '' OR subject = $3) AND ($4 = '' OR actor = $4) \
     AND at >= $5 AND at < $6 ORDER BY number DESC LIMIT $7"
);

/// Binds a row for its insertion.
macro_rules! bind_row {
    ($row:expr) => {
        sqlx::query(
            "INSERT INTO audit_log (number, at, actor_kind, actor, act, subject, reason, origin, request_id, detail, \
             hash, mac, master_key_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind($row.number)
        .bind($row.at.millis())
        .bind(&$row.actor_kind)
        .bind(&$row.actor)
        .bind(&$row.act)
        .bind(&$row.subject)
        .bind(&$row.reason)
        .bind(&$row.origin)
        .bind(&$row.request_id)
        .bind(&$row.detail)
        .bind($row.hash.as_slice())
        .bind($row.mac.as_slice())
        .bind(&$row.master_key_id)
    };
}
pub(super) use bind_row;

#[derive(sqlx::FromRow)]
struct AuditRow {
    number: i64,
    at: i64,
    actor_kind: String,
    actor: String,
    act: String,
    subject: String,
    reason: String,
    origin: String,
    request_id: Option<String>,
    detail: String,
    hash: Vec<u8>,
    mac: Vec<u8>,
    master_key_id: String,
}

impl TryFrom<AuditRow> for Row {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        let what = format!("audit row {}", row.number);
        let bytes = |bytes: Vec<u8>, which| {
            let damaged = |_| StoreError::Corrupt { what: what.clone(), why: format!("its {which} is not 32 bytes") };
            <[u8; 32]>::try_from(bytes).map_err(damaged)
        };
        Ok(Self {
            number: row.number,
            at: Timestamp::from_millis(row.at),
            hash: bytes(row.hash, "hash")?,
            mac: bytes(row.mac, "code")?,
            actor_kind: row.actor_kind,
            actor: row.actor,
            act: row.act,
            subject: row.subject,
            reason: row.reason,
            origin: row.origin,
            request_id: row.request_id,
            detail: row.detail,
            master_key_id: row.master_key_id,
        })
    }
}

/// The head that the columns hold.
pub(super) fn head(number: i64, hash: &[u8]) -> Result<Head, StoreError> {
    let damaged = |_| StoreError::Corrupt { what: "the audit head".to_owned(), why: "it is not 32 bytes".to_owned() };
    Ok(Head { number, hash: hash.try_into().map_err(damaged)? })
}

/// Why a row was not appended. Where another has its number, somebody else than Signet wrote that.
pub(super) fn not_appended(error: sqlx::Error) -> StoreError {
    if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation) {
        let why = "a row stands behind its recorded head: `signet audit verify` tells which".to_owned();
        return StoreError::Corrupt { what: "the audit log".to_owned(), why };
    }
    store_error(error)
}

impl SqlStore {
    /// The same store, able to make changes: each is entered in the audit log by `chain`.
    #[must_use]
    pub fn audited_by(mut self, chain: Chain) -> Self {
        self.chain = Some(Arc::new(chain));
        self
    }

    pub(super) fn chain(&self) -> Result<&Chain, StoreError> {
        let missing = || StoreError::Refused("nothing can be changed without the master key".to_owned());
        self.chain.as_deref().ok_or_else(missing)
    }

    /// Tells of a row that was committed.
    pub(super) fn appended(&self, row: &Row) {
        let head = row.head();
        let mut known = self.audit_head.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|known| known.number < head.number) {
            *known = Some(head);
        }
        drop(known);
        // With the head, so that a log kept elsewhere can tell later whether the audit log was cut.
        info!(
            act = row.act, subject = row.subject, actor = row.actor_kind, name = row.actor, origin = row.origin,
            audit_head = %head, "audited"
        );
    }

    /// The end of the audit log as far as this process has seen it; `None` before it has looked.
    pub fn known_audit_head(&self) -> Option<Head> {
        *self.audit_head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an entry that no other change comes with.
    pub async fn append(&self, entry: &Entry) -> Result<(), StoreError> {
        self.bounded(async {
            let now = self.now().await?;
            let row = in_write!(self, |tx| { append_audit!(tx, self, now, entry) });
            self.appended(&row);
            Ok(())
        })
        .await
    }

    /// The end of the audit log now.
    pub async fn audit_head(&self) -> Result<Head, StoreError> {
        self.bounded(async {
            let (number, hash): (i64, Vec<u8>) =
                on_pool!(self, |pool| sqlx::query_as(HEAD).fetch_one(pool).await).map_err(store_error)?;
            let head = head(number, &hash)?;
            *self.audit_head.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
            Ok(head)
        })
        .await
    }

    /// Reads the whole log and finds what does not fit. `noted` is a head that was kept somewhere else. `progress` is
    /// told how many rows were read, of about how many. Rows that are appended meanwhile are read too.
    pub async fn verify_audit(
        &self,
        noted: Option<Head>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Verdict, StoreError> {
        let chain = self.chain()?;
        let mut recorded = self.audit_head().await?;
        let mut verification = Verification::begin(chain, noted);
        let (mut last, mut read) = (i64::MIN, 0);
        loop {
            let rows = self.audit_rows(last).await?;
            let Some(end) = rows.last() else { break };
            last = end.number;
            if last > recorded.number {
                // A row is appended together with the head that it is: what this one does not reach is no such row.
                recorded = self.audit_head().await?;
            }
            for row in &rows {
                if row.number > recorded.number {
                    verification.read_beyond(row, recorded);
                } else {
                    verification.read(row);
                }
            }
            read += rows.len() as u64;
            progress(read, u64::try_from(recorded.number).unwrap_or(0));
        }
        Ok(verification.end(recorded))
    }

    /// Up to `limit` rows whose codes are not under the master key `id`, by ascending number.
    pub(super) async fn audit_rows_not_under(&self, id: &str, limit: i64) -> Result<Vec<Row>, StoreError> {
        let rows: Vec<AuditRow> = on_pool!(self, |pool| {
            let page = sqlx::query(NOT_UNDER).bind(id).bind(limit).fetch_all(pool).await;
            read_rows(&page.map_err(store_error)?, "audit row")?
        });
        rows.into_iter().map(Row::try_from).collect()
    }

    async fn audit_rows(&self, after: i64) -> Result<Vec<Row>, StoreError> {
        self.bounded(async {
            let rows: Vec<AuditRow> = in_snapshot!(self, |tx| {
                let page = sqlx::query(FORWARD).bind(after).bind(PAGE).fetch_all(&mut *tx).await;
                read_rows(&page.map_err(store_error)?, "audit row")?
            });
            rows.into_iter().map(Row::try_from).collect()
        })
        .await
    }
}

#[async_trait]
impl AuditLog for SqlStore {
    async fn audit_page(&self, filter: &AuditFilter, before: Option<i64>, limit: u32) -> Result<Vec<Row>, StoreError> {
        self.bounded(async {
            let rows: Vec<AuditRow> = on_pool!(self, |pool| {
                let page = sqlx::query(BACKWARD)
                    .bind(before.unwrap_or(i64::MAX))
                    .bind(filter.act.map(Act::name).unwrap_or_default())
                    .bind(filter.subject.as_deref().unwrap_or_default())
                    .bind(filter.actor.as_deref().unwrap_or_default())
                    .bind(filter.since.map_or(i64::MIN, Timestamp::millis))
                    .bind(filter.until.map_or(i64::MAX, Timestamp::millis))
                    .bind(i64::from(limit))
                    .fetch_all(pool)
                    .await;
                read_rows(&page.map_err(store_error)?, "audit row")?
            });
            rows.into_iter().map(Row::try_from).collect()
        })
        .await
    }

    async fn append_entry(&self, entry: &Entry) -> Result<(), StoreError> {
        self.append(entry).await
    }
}
