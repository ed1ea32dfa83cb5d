//! Opening a database: which one, with which time-outs, and whether it keeps what Signet promises on it.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::door::Door;
use super::{DatabaseUrl, Pool, PostgresUrl, SqlStore, store_error};
use crate::ports::{Clock, StoreError};

/// The oldest Postgres that Signet is tested with, as `server_version_num`.
const OLDEST_POSTGRES: i64 = 140_000;
/// SQLite has one writer at a time; more connections only wait.
const SQLITE_CONNECTIONS: u32 = 4;

/// `PRAGMA synchronous`: each commit is on disk before it is answered (<https://www.sqlite.org/pragma.html>).
const SYNCHRONOUS_FULL: i64 = 2;

/// Between attempts to open a SQLite file that others open or close.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// How to open a database.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which one.
    pub url: DatabaseUrl,
    /// The most connections to Postgres.
    pub max_connections: u32,
    /// The longest any single act may take, waiting for a connection included.
    pub timeout: Duration,
    /// Whether a SQLite file that does not exist is created.
    pub create: bool,
}

impl SqlStore {
    /// Opens the database and checks that it keeps what it is told.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when Postgres can't be reached; [`StoreError::Refused`] when the file is missing and
    /// not to be created, can't be created, or the database would lose what it acknowledged.
    pub async fn open(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let pool = match &options.url {
            DatabaseUrl::Sqlite(path) => open_sqlite(path, options).await?,
            DatabaseUrl::Postgres(url) => open_postgres(url, options).await?,
        };
        let door = match &pool {
            Pool::Sqlite(_) => None,
            Pool::Postgres(pool) => Door::of(&pool.connect_options()).map(Arc::new),
        };
        let store = Self { pool, clock, timeout: options.timeout, door, chain: None, audit_head: Arc::default() };
        store.check_durability().await?;
        Ok(store)
    }

    /// What promise 4 stands on: a database that has on disk what it acknowledged.
    async fn check_durability(&self) -> Result<(), StoreError> {
        match &self.pool {
            Pool::Sqlite(pool) => {
                let (mode,): (String,) =
                    sqlx::query_as("PRAGMA journal_mode").fetch_one(pool).await.map_err(store_error)?;
                if mode != "wal" {
                    return Err(StoreError::Refused(format!(
                        "its file system allows no write-ahead log (journal mode {mode}): put it on a local disk"
                    )));
                }
                let (synchronous,): (i64,) =
                    sqlx::query_as("PRAGMA synchronous").fetch_one(pool).await.map_err(store_error)?;
                if synchronous < SYNCHRONOUS_FULL {
                    return Err(StoreError::Refused(format!(
                        "SQLite runs with `synchronous = {synchronous}`, which loses acknowledged writes"
                    )));
                }
            }
            Pool::Postgres(pool) => {
                for (setting, wrong) in [("fsync", "off"), ("synchronous_commit", "off")] {
                    let (value,): (String,) = sqlx::query_as("SELECT current_setting($1)")
                        .bind(setting)
                        .fetch_one(pool)
                        .await
                        .map_err(store_error)?;
                    if value == wrong {
                        return Err(StoreError::Refused(format!(
                            "Postgres runs with `{setting} = {value}`, which loses acknowledged writes: switch it on"
                        )));
                    }
                }
                let (version,): (i64,) = sqlx::query_as("SELECT CAST(current_setting('server_version_num') AS BIGINT)")
                    .fetch_one(pool)
                    .await
                    .map_err(store_error)?;
                if version < OLDEST_POSTGRES {
                    return Err(StoreError::Refused(format!(
                        "Postgres {} is too old: Signet needs 14 or newer",
                        version / 10_000
                    )));
                }
            }
        }
        Ok(())
    }
}

async fn open_sqlite(path: &Path, options: &Options) -> Result<Pool, StoreError> {
    if options.create {
        create_file(path)
            .map_err(|error| StoreError::Refused(format!("{} can't be created: {error}", path.display())))?;
    } else if !path.exists() {
        return Err(StoreError::Refused(format!("there is no database at {}", path.display())));
    }
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(options.timeout)
        .optimize_on_close(true, None);
    let pool = SqlitePoolOptions::new().max_connections(SQLITE_CONNECTIONS).acquire_timeout(options.timeout);
    let opened = async {
        loop {
            match pool.clone().connect_with(connect.clone()).await {
                // SQLite does not wait for another process that switches the same file to the write-ahead log, or
                // recovers it, or closes it as the last: it says at once that the file is busy.
                Err(error) if is_busy(&error) => tokio::time::sleep(BUSY_PAUSE).await,
                outcome => return outcome.map_err(store_error),
            }
        }
    };
    let opened = tokio::time::timeout(options.timeout, opened).await;
    opened.unwrap_or_else(|_| Err(StoreError::Unavailable("it is busy".to_owned()))).map(Pool::Sqlite)
}

/// `SQLITE_BUSY` or `SQLITE_LOCKED`, of whatever kind (<https://www.sqlite.org/rescode.html>).
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

/// Creates the file, and its folder, for this user alone: it holds sealed keys.
fn create_file(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

async fn open_postgres(url: &PostgresUrl, options: &Options) -> Result<Pool, StoreError> {
    let millis = options.timeout.as_millis().to_string();
    let connect = PgConnectOptions::from_str(url.expose());
    let connect = connect.map_err(|_| StoreError::Refused("the URL is not one of Postgres".to_owned()))?;
    let connect = connect.application_name("signet").options([
        ("statement_timeout", millis.as_str()),
        ("lock_timeout", millis.as_str()),
        ("idle_in_transaction_session_timeout", millis.as_str()),
    ]);
    // A pool tries again until its time is over, and then says only that it is: one plain connection tells why.
    let first = tokio::time::timeout(options.timeout, connect.connect()).await;
    let first = first.map_err(|_| StoreError::Unavailable(format!("no answer within {:?}", options.timeout)))?;
    first.map_err(store_error)?.close().await.map_err(store_error)?;
    let pool = PgPoolOptions::new().max_connections(options.max_connections).acquire_timeout(options.timeout);
    pool.connect_with(connect).await.map(Pool::Postgres).map_err(store_error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::ports::SystemClock;

    #[tokio::test]
    async fn every_connection_to_sqlite_writes_ahead_and_through_to_the_disk() {
        let folder = tempfile::TempDir::new().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("signet.db"));
        let options = Options { url, max_connections: 1, timeout: Duration::from_secs(5), create: true };
        let store = SqlStore::open(&options, Arc::new(SystemClock)).await.unwrap();
        let Pool::Sqlite(pool) = &store.pool else { panic!() };
        let mut connections = Vec::new();
        for _ in 0..SQLITE_CONNECTIONS {
            let mut connection = pool.acquire().await.unwrap();
            let (mode,): (String,) = sqlx::query_as("PRAGMA journal_mode").fetch_one(&mut *connection).await.unwrap();
            assert_eq!(mode, "wal");
            for (pragma, value) in
                [("PRAGMA synchronous", SYNCHRONOUS_FULL), ("PRAGMA foreign_keys", 1), ("PRAGMA busy_timeout", 5_000)]
            {
                let (found,): (i64,) = sqlx::query_as(pragma).fetch_one(&mut *connection).await.unwrap();
                assert_eq!(found, value, "{pragma}");
            }
            connections.push(connection);
        }
    }
}
