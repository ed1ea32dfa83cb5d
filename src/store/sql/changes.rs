//! The change feed: what another process changed, for replicas to follow.

use std::time::Duration;

use super::{Pool, SqlStore, in_snapshot, on_pool, store_error};
use crate::ports::{StoreError, Timestamp};
use crate::users::attempts::{DEVICE_KEPT, FAILURES_KEPT};

pub(super) const KEYS: &str = "keys";
pub(super) const CLIENT: &str = "client";
pub(super) const RESOURCES: &str = "resources";
pub(super) const REVOCATIONS: &str = "revocations";
pub(super) const USER: &str = "user";

/// How long a change can be followed. A replica that was away for longer reads everything anew.
const KEPT: Duration = Duration::from_secs(3600);
const MOST: i64 = 10_000;
/// In so long every failure is forgiven that was counted for an address prefix.
const FORGIVEN: Duration = Duration::from_secs(86_400);

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Keys of the purpose that is named so.
    Keys(String),
    /// The client of that identifier: made, changed or gone.
    Client(String),
    /// Some resource.
    Resources,
    /// The journal of revocations has grown.
    Revocations,
    /// The account of that identifier: changed or gone.
    User(String),
}

/// The changes after a number.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The number of the last change in the store.
    pub head: i64,
    /// The store's time when it answered.
    pub now: Timestamp,
    /// What changed, oldest first; `None` when the feed does not reach back that far, and all must be read anew.
    pub changes: Option<Vec<Change>>,
}

impl SqlStore {
    /// What changed after the change `number`. Costs one small read when nothing did.
    pub async fn changes_after(&self, number: i64) -> Result<Changes, StoreError> {
        self.bounded(async {
            let (head, now) = self.head().await?;
            if head == number {
                return Ok(Changes { head, now, changes: Some(Vec::new()) });
            }
            const SINCE: &str =
                "SELECT topic, subject FROM changes WHERE number > $1 AND number <= $2 ORDER BY number LIMIT $3";
            let rows: Vec<(String, String)> = in_snapshot!(self, |tx| {
                sqlx::query_as(SINCE)
                    .bind(number)
                    .bind(head)
                    .bind(MOST)
                    .fetch_all(&mut *tx)
                    .await
                    .map_err(store_error)?
            });
            // The numbers have no gaps: fewer rows than numbers means that older ones were purged. A head before
            // `number` means that the database was set back.
            let complete = i64::try_from(rows.len()).is_ok_and(|rows| rows == head - number);
            Ok(Changes { head, now, changes: complete.then(|| rows.into_iter().filter_map(change).collect()) })
        })
        .await
    }

    /// The number of the last change, and the store's time, in one question.
    async fn head(&self) -> Result<(i64, Timestamp), StoreError> {
        match &self.pool {
            Pool::Sqlite(pool) => {
                const HEAD: &str = "SELECT number FROM change_counter WHERE one = 1";
                let (head,): (i64,) = sqlx::query_as(HEAD).fetch_one(pool).await.map_err(store_error)?;
                Ok((head, self.clock.now()))
            }
            Pool::Postgres(pool) => {
                const HEAD: &str = "SELECT number, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) \
                                    FROM change_counter WHERE one = 1";
                let (head, millis): (i64, i64) = sqlx::query_as(HEAD).fetch_one(pool).await.map_err(store_error)?;
                Ok((head, self.clock.of_store(Timestamp::from_millis(millis))))
            }
        }
    }

    /// Removes what is no longer needed at `now`: old changes, marks of assertions and links that have expired, replicas
    /// that are gone, sessions that have ended, revocations that hit nothing any more, attempts to log in that are long
    /// past.
    pub async fn purge_expired(&self, now: Timestamp) -> Result<(), StoreError> {
        self.bounded(async {
            for (sql, moment) in [
                ("DELETE FROM changes WHERE changed_at < $1", now.minus(KEPT)),
                ("DELETE FROM replay_marks WHERE until < $1", now),
                ("DELETE FROM replicas WHERE seen_at < $1", now.minus(KEPT)),
                ("DELETE FROM sessions WHERE ends_at <= $1", now),
                ("DELETE FROM revocations WHERE until < $1", now),
                ("DELETE FROM password_links WHERE expires_at < $1", now),
                ("DELETE FROM login_attempts WHERE touched_at < $1 AND kind <> 'name'", now.minus(FORGIVEN)),
                ("DELETE FROM login_attempts WHERE touched_at < $1 AND devices = '[]'", now.minus(FAILURES_KEPT)),
                ("DELETE FROM login_attempts WHERE touched_at < $1", now.minus(DEVICE_KEPT)),
            ] {
                on_pool!(self, |pool| sqlx::query(sql).bind(moment.millis()).execute(pool).await.map(drop))
                    .map_err(store_error)?;
            }
            Ok(())
        })
        .await
    }
}

/// A topic of a newer Signet is none of ours.
fn change((topic, subject): (String, String)) -> Option<Change> {
    match topic.as_str() {
        KEYS => Some(Change::Keys(subject)),
        CLIENT => Some(Change::Client(subject)),
        RESOURCES => Some(Change::Resources),
        REVOCATIONS => Some(Change::Revocations),
        USER => Some(Change::User(subject)),
        _ => None,
    }
}
