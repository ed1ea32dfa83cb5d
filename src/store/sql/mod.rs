//! The SQL store: SQLite or Postgres behind one text.
//!
//! Guarantees: every write takes its lock before it reads (`BEGIN IMMEDIATE` on SQLite, the row of `change_counter` on
//! Postgres), so that no two writers act on the same state; every change that replicas keep in memory is numbered in
//! the order of commit; what was answered with success is on disk.

mod attempts;
mod audit;
mod backup;
mod changes;
mod clients;
mod connect;
mod door;
mod error;
mod journal;
mod keys;
mod listen;
mod mac_keys;
mod marks;
mod replicas;
mod reseal;
mod resources;
mod schema;
mod sessions;
mod turns;
mod url;
mod usage;
mod users;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{PgPool, SqlitePool};

use crate::audit::{Chain, Head};
use crate::ports::{Clock, StoreError, Timestamp, act, name_of};

pub use backup::Backup;
pub use changes::{Change, Changes};
pub use connect::Options;
pub use listen::Subscription;
pub use replicas::Replica;
pub use reseal::Recoded;
pub use schema::{Schema, SchemaAction};
pub use url::{DatabaseUrl, PostgresUrl};
pub use usage::Usage;

use door::Door;
use error::{check_text, read_each, read_rows, store_error};

#[derive(Debug, Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Accounts, clients, keys and everything else that must last. Cheap to clone: the clones share one pool.
#[derive(Debug, Clone)]
pub struct SqlStore {
    pool: Pool,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    /// Where Postgres is reached by a port.
    door: Option<Arc<Door>>,
    /// What links the rows of the audit log; without it nothing can be changed.
    chain: Option<Arc<Chain>>,
    /// The end of the audit log as far as this process knows it.
    audit_head: Arc<Mutex<Option<Head>>>,
}

/// Runs one expression over the pool of either database.
macro_rules! on_pool {
    ($store:expr, |$pool:ident| $body:expr) => {
        match &$store.pool {
            $crate::store::sql::Pool::Sqlite($pool) => $body,
            $crate::store::sql::Pool::Postgres($pool) => $body,
        }
    };
}

/// Runs a block in a write transaction of either database and commits it. Leaving the block by `return` or `?` rolls
/// back.
macro_rules! in_write {
    ($store:expr, |$tx:ident| $body:block) => {
        match &$store.pool {
            $crate::store::sql::Pool::Sqlite(pool) => {
                let mut $tx =
                    pool.begin_with("BEGIN IMMEDIATE").await.map_err($crate::store::sql::error::store_error)?;
                let done = $body;
                $tx.commit().await.map_err($crate::store::sql::error::store_error)?;
                done
            }
            $crate::store::sql::Pool::Postgres(pool) => {
                let mut $tx = pool.begin().await.map_err($crate::store::sql::error::store_error)?;
                let done = $body;
                $tx.commit().await.map_err($crate::store::sql::error::store_error)?;
                done
            }
        }
    };
}

/// Runs a block in a read transaction that sees one state of either database.
macro_rules! in_snapshot {
    ($store:expr, |$tx:ident| $body:block) => {
        match &$store.pool {
            $crate::store::sql::Pool::Sqlite(pool) => {
                let mut $tx = pool.begin().await.map_err($crate::store::sql::error::store_error)?;
                $body
            }
            $crate::store::sql::Pool::Postgres(pool) => {
                let mut $tx = pool
                    .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await
                    .map_err($crate::store::sql::error::store_error)?;
                $body
            }
        }
    };
}

/// Numbers a change inside a write transaction, and announces it. Comes first in it: the counter's row is the lock.
macro_rules! note_change {
    ($tx:ident, $now:expr, $topic:expr, $subject:expr) => {{
        let (number,): (i64,) =
            sqlx::query_as("UPDATE change_counter SET number = number + 1 WHERE one = 1 RETURNING number")
                .fetch_one(&mut *$tx)
                .await
                .map_err($crate::store::sql::error::store_error)?;
        sqlx::query("INSERT INTO changes (number, topic, subject, changed_at) VALUES ($1, $2, $3, $4)")
            .bind(number)
            .bind($topic)
            .bind($subject)
            .bind($now.millis())
            .execute(&mut *$tx)
            .await
            .map_err($crate::store::sql::error::store_error)?;
        $crate::store::sql::listen::Announce::announce(&mut $tx, number)
            .await
            .map_err($crate::store::sql::error::store_error)?;
    }};
}

/// Appends a row to the audit log inside a write transaction, after [`note_change!`], whose lock orders them.
macro_rules! append_audit {
    ($tx:ident, $store:expr, $now:expr, $entry:expr) => {{
        let chain = $store.chain()?;
        const MOVE: &str = "UPDATE audit_head SET number = number + 1 WHERE one = 1 RETURNING number - 1, hash";
        let (number, hash): (i64, Vec<u8>) =
            sqlx::query_as(MOVE).fetch_one(&mut *$tx).await.map_err($crate::store::sql::error::store_error)?;
        let recorded: Option<(String,)> = sqlx::query_as($crate::store::sql::reseal::MASTER_KEY)
            .fetch_optional(&mut *$tx)
            .await
            .map_err($crate::store::sql::error::store_error)?;
        let under = recorded.as_ref().map(|(id,)| id.as_str());
        let row = chain
            .link(&$crate::store::sql::audit::head(number, &hash)?, $entry, $now, under)
            .map_err(|error| $crate::ports::StoreError::Refused(error.to_string()))?;
        sqlx::query("UPDATE audit_head SET hash = $1 WHERE one = 1")
            .bind(row.hash.as_slice())
            .execute(&mut *$tx)
            .await
            .map_err($crate::store::sql::error::store_error)?;
        $crate::store::sql::audit::bind_row!(row)
            .execute(&mut *$tx)
            .await
            .map_err($crate::store::sql::audit::not_appended)?;
        row
    }};
}

/// The store's time inside a transaction, on its connection.
macro_rules! now_inside {
    ($store:expr, $tx:ident) => {
        match &$store.pool {
            $crate::store::sql::Pool::Sqlite(_) => $store.clock.now(),
            $crate::store::sql::Pool::Postgres(_) => {
                let now = sqlx::query_as($crate::store::sql::POSTGRES_NOW).fetch_one(&mut *$tx);
                let (millis,): (i64,) = now.await.map_err($crate::store::sql::error::store_error)?;
                $store.clock.of_store($crate::ports::Timestamp::from_millis(millis))
            }
        }
    };
}

use {append_audit, in_snapshot, in_write, note_change, now_inside, on_pool};

const POSTGRES_NOW: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

impl SqlStore {
    /// The store's time: the database server's, or this machine's for an embedded database.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        match &self.pool {
            Pool::Sqlite(_) => Ok(self.clock.now()),
            Pool::Postgres(pool) => {
                self.bounded(async {
                    let (millis,): (i64,) = sqlx::query_as(POSTGRES_NOW).fetch_one(pool).await.map_err(store_error)?;
                    Ok(self.clock.of_store(Timestamp::from_millis(millis)))
                })
                .await
            }
        }
    }

    /// What kind of database it is, in the words of OpenTelemetry's `db.system.name`.
    pub const fn kind(&self) -> &'static str {
        match &self.pool {
            Pool::Sqlite(_) => "sqlite",
            Pool::Postgres(_) => "postgresql",
        }
    }

    /// Closes all connections, after the acts in progress.
    pub async fn close(&self) {
        on_pool!(self, |pool| pool.close().await);
    }

    /// Runs one act for at most the store's time-out, so that a connection into nowhere is an error and not a hang; and no
    /// longer than until the server is seen to refuse connections.
    async fn bounded<T, A: Future<Output = Result<T, StoreError>> + Send>(&self, work: A) -> Result<T, StoreError> {
        let late = || StoreError::Unavailable(format!("no answer within {:?}", self.timeout));
        let in_time = async {
            tokio::select! {
                biased;
                done = tokio::time::timeout(self.timeout, work) => done.unwrap_or_else(|_| Err(late())),
                () = self.is_shut() => Err(StoreError::Unavailable("it refuses connections".to_owned())),
            }
        };
        act(name_of::<A>, in_time).await
    }

    async fn is_shut(&self) {
        match &self.door {
            Some(door) => door.is_shut().await,
            None => std::future::pending().await,
        }
    }
}
