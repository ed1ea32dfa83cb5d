//! The journal of revocations.
//!
//! Guarantees: whoever writes to it holds the row of `change_counter`, so that its numbers have no gaps and follow the order
//! of commit; the change of an account or a client is in it by the transaction that makes the change, at a moment that is
//! later than every other so far and was read once the changed row was locked.

use async_trait::async_trait;

use super::changes::REVOCATIONS;
use super::{SqlStore, append_audit, in_snapshot, in_write, note_change, read_rows, store_error};
use crate::audit::Entry;
use crate::ports::{StoreError, Timestamp, unique_id};
use crate::tokens::revocation::{JournalPage, Revocation, RevocationJournal, Revoked, Revoking};

/// Whoever is first names the epoch.
const MOVE_HEAD: &str = "UPDATE revocation_head SET number = number + $1, \
                         epoch = CASE WHEN epoch = '' THEN $2 ELSE epoch END WHERE one = 1 RETURNING number";
/// The same, and the moment of the latest change of an account or a client, which only grows.
pub(super) const TURN_HEAD: &str = "UPDATE revocation_head SET number = number + $1, \
                         epoch = CASE WHEN epoch = '' THEN $2 ELSE epoch END, \
                         moment = CASE WHEN moment < $3 THEN $3 ELSE moment + 1 END \
                         WHERE one = 1 RETURNING number, moment";
/// A mark that was lifted, or that became another, need not last longer than what came after it.
pub(super) const SHORTEN: &str = "UPDATE revocations SET until = $3 \
                         WHERE kind = $1 AND value = $2 AND shape = 'mark' AND until > $3";
/// Whether the last word on that person or client is a mark.
pub(super) const LAST_SHAPE: &str = "SELECT shape FROM revocations WHERE kind = $1 AND value = $2 \
                         AND shape <> 'cut_off' ORDER BY number DESC LIMIT 1";
const HEAD: &str = "SELECT epoch, number FROM revocation_head WHERE one = 1";
pub(super) const APPEND: &str = "INSERT INTO revocations (number, kind, value, at, until, why, shape, moment) \
                                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const READ: &str = "SELECT CAST(number AS TEXT) AS row_key, number, kind, value, until, shape, moment FROM revocations \
                    WHERE number > $1 ORDER BY number LIMIT $2";

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

/// Writes [`Turn`](crate::tokens::revocation::Turn)s to the journal inside a write transaction. It has numbered a change of
/// [`REVOCATIONS`] first, and changed the row that they are about: so nobody who saw that row as it was before can be
/// authenticated later than at the moment which is read here (`SqlStore::confirm_user`).
macro_rules! append_turns {
    ($tx:ident, $store:expr, $turns:expr) => {{
        let turns: Vec<$crate::tokens::revocation::Turn> = $turns;
        for turn in turns {
            let now = $crate::store::sql::now_inside!($store, $tx);
            let (number, moment): (i64, i64) = sqlx::query_as($crate::store::sql::journal::TURN_HEAD)
                .bind(1_i64)
                .bind($crate::ports::unique_id(now).simple().to_string())
                .bind(now.millis())
                .fetch_one(&mut *$tx)
                .await
                .map_err($crate::store::sql::store_error)?;
            let revocation = turn.at($crate::ports::Timestamp::from_millis(moment));
            if !matches!(revocation.what.reach(), $crate::tokens::revocation::Reach::CutOff(_)) {
                sqlx::query($crate::store::sql::journal::SHORTEN)
                    .bind(revocation.what.kind())
                    .bind(revocation.what.value())
                    .bind(revocation.until.millis())
                    .execute(&mut *$tx)
                    .await
                    .map_err($crate::store::sql::store_error)?;
            }
            $crate::store::sql::journal::append_revocation!($tx, number, now, revocation);
        }
    }};
}

/// Whether that person or client is marked, inside a transaction: where there is one of a name that another had.
macro_rules! is_marked {
    ($tx:ident, $kind:expr, $value:expr) => {{
        let last: Option<(String,)> = sqlx::query_as($crate::store::sql::journal::LAST_SHAPE)
            .bind($kind)
            .bind($value)
            .fetch_optional(&mut *$tx)
            .await
            .map_err($crate::store::sql::store_error)?;
        last.is_some_and(|(shape,)| shape == "mark")
    }};
}

pub(super) use {append_revocation, append_turns, is_marked};

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

    async fn revocations_after(&self, number: i64, limit: u32) -> Result<JournalPage, StoreError> {
        self.bounded(async {
            let ((epoch, head), rows): ((String, i64), Vec<RevocationRow>) = in_snapshot!(self, |tx| {
                let head = sqlx::query_as(HEAD).fetch_one(&mut *tx).await.map_err(store_error)?;
                let rows = sqlx::query(READ).bind(number).bind(i64::from(limit)).fetch_all(&mut *tx).await;
                (head, read_rows(&rows.map_err(store_error)?, "revocation")?)
            });
            let full = u32::try_from(rows.len()).is_ok_and(|rows| rows >= limit);
            let told = rows.last().filter(|_| full).map_or(head, |last| last.number);
            Ok(JournalPage { epoch, head, entries: rows.into_iter().filter_map(Into::into).collect(), told })
        })
        .await
    }
}
