//! The journal of revocations.
//!
//! Guarantees: whoever writes to it holds the row of `change_counter`, so that its numbers have no gaps and follow the order
//! of commit.

use async_trait::async_trait;

use super::changes::REVOCATIONS;
use super::{SqlStore, append_audit, in_snapshot, in_write, note_change, on_pool, read_rows, store_error};
use crate::audit::Entry;
use crate::ports::{StoreError, Timestamp, unique_id};
use crate::tokens::revocation::{JournalHead, JournalPage, Revocation, RevocationJournal, Revoked, Revoking};

/// Whoever is first names the epoch.
const MOVE_HEAD: &str = "UPDATE revocation_head SET number = number + $1, \
                         epoch = CASE WHEN epoch = '' THEN $2 ELSE epoch END WHERE one = 1 RETURNING number";
const HEAD: &str = "SELECT epoch, number FROM revocation_head WHERE one = 1";
pub(super) const APPEND: &str = "INSERT INTO revocations (number, kind, value, at, until, why, shape, moment) \
                                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const READ: &str = "SELECT CAST(number AS TEXT) AS row_key, number, kind, value, until, shape, moment FROM revocations \
                    WHERE number > $1 ORDER BY number LIMIT $2";

#[derive(sqlx::FromRow)]
struct HeadRow {
    epoch: String,
    number: i64,
}

impl From<HeadRow> for JournalHead {
    fn from(HeadRow { epoch, number }: HeadRow) -> Self {
        Self { epoch, number }
    }
}

#[derive(sqlx::FromRow)]
struct RevocationRow {
    number: i64,
    kind: String,
    value: String,
    until: i64,
    shape: String,
    moment: Option<i64>,
}

/// Appends one entry inside a write transaction, at a place that [`MOVE_HEAD`] or [`TURN_HEAD`] gave.
macro_rules! append_revocation {
    ($tx:ident, $number:expr, $now:expr, $revocation:expr) => {
        sqlx::query($crate::store::sql::journal::APPEND)
            .bind($number)
            .bind($revocation.what.kind())
            .bind($revocation.what.value())
            .bind($now.millis())
            .bind($revocation.until.millis())
            .bind($revocation.why.name())
            .bind($revocation.what.reach().shape())
            .bind($revocation.what.reach().moment().map($crate::ports::Timestamp::millis))
            .execute(&mut *$tx)
            .await
            .map_err($crate::store::sql::store_error)?
    };
}

pub(super) use append_revocation;

impl From<RevocationRow> for Option<Revoking> {
    fn from(row: RevocationRow) -> Self {
        let moment = row.moment.map(Timestamp::from_millis);
        let what = Revoked::parse(&row.kind, &row.value, &row.shape, moment)?;
        Some(Revoking { number: row.number, what, until: Timestamp::from_millis(row.until) })
    }
}

#[async_trait]
impl RevocationJournal for SqlStore {
    async fn revoke(&self, revocations: &[Revocation], entry: &Entry) -> Result<i64, StoreError> {
        self.bounded(async {
            let now = self.now().await?;
            let count = i64::try_from(revocations.len()).unwrap_or(i64::MAX);
            let epoch = unique_id(now).simple().to_string();
            let (head, row) = in_write!(self, |tx| {
                note_change!(tx, now, REVOCATIONS, "");
                let (head,): (i64,) = sqlx::query_as(MOVE_HEAD)
                    .bind(count)
                    .bind(&epoch)
                    .fetch_one(&mut *tx)
                    .await
                    .map_err(store_error)?;
                if revocations.is_empty() {
                    return Ok(head);
                }
                for (number, revocation) in (head - count + 1..).zip(revocations) {
                    append_revocation!(tx, number, now, revocation);
                }
                (head, append_audit!(tx, self, now, entry))
            });
            self.appended(&row);
            Ok(head)
        })
        .await
    }

    async fn journal_head(&self) -> Result<JournalHead, StoreError> {
        self.bounded(async {
            let head: Result<HeadRow, _> = on_pool!(self, |pool| sqlx::query_as(HEAD).fetch_one(pool).await);
            Ok(head.map_err(store_error)?.into())
        })
        .await
    }

    async fn revocations_after(&self, number: i64, limit: u32) -> Result<JournalPage, StoreError> {
        self.bounded(async {
            let (head, rows): (JournalHead, Vec<RevocationRow>) = in_snapshot!(self, |tx| {
                let head: HeadRow = sqlx::query_as(HEAD).fetch_one(&mut *tx).await.map_err(store_error)?;
                let rows = sqlx::query(READ).bind(number).bind(i64::from(limit)).fetch_all(&mut *tx).await;
                (head.into(), read_rows(&rows.map_err(store_error)?, "revocation")?)
            });
            let full = u32::try_from(rows.len()).is_ok_and(|rows| rows >= limit);
            let told = rows.last().filter(|_| full).map_or(head.number, |last| last.number);
            Ok(JournalPage { head, entries: rows.into_iter().filter_map(Into::into).collect(), told })
        })
        .await
    }
}
