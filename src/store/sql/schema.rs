//! The schema: which version the database has, and bringing it to this program's.
//!
//! Guarantees: two processes that start at once migrate once; a database of a newer Signet is refused untouched. The
//! time-out of other acts does not end a migration, and whoever waits for one says so in the log.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgConnection, SqlitePool};
use tracing::warn;

use super::{Pool, SqlStore, on_pool, store_error};
use crate::ports::StoreError;

/// The longest that a migration may take, waiting for one of another process included: large tables take their time.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// The advisory lock on Postgres: "migrates" in ASCII.
const LOCK: i64 = i64::from_be_bytes(*b"migrates");

/// Between attempts to lock the file beside a SQLite database.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// The versions of a database and of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The database's; 0 when it is empty.
    pub applied: i64,
    /// What this program brings it to.
    pub known: i64,
}

/// What a schema asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaAction {
    /// It is this program's.
    Nothing,
    /// It is empty.
    Create,
    /// It is older.
    Upgrade,
}

impl Schema {
    /// What to do about it; an error when the database is newer than this program.
    pub fn action(self) -> Result<SchemaAction, StoreError> {
        match self.applied.cmp(&self.known) {
            std::cmp::Ordering::Greater => Err(StoreError::Refused(format!(
                "it was written by a newer Signet (schema {}, this program knows {}): use that one, or restore a backup",
                self.applied, self.known
            ))),
            std::cmp::Ordering::Equal => Ok(SchemaAction::Nothing),
            std::cmp::Ordering::Less if self.applied == 0 => Ok(SchemaAction::Create),
            std::cmp::Ordering::Less => Ok(SchemaAction::Upgrade),
        }
    }
}

impl SqlStore {
    fn migrator(&self) -> &'static Migrator {
        match self.pool {
            Pool::Sqlite(_) => &SQLITE,
            Pool::Postgres(_) => &POSTGRES,
        }
    }

    /// The versions now.
    pub async fn schema(&self) -> Result<Schema, StoreError> {
        let known = self.migrator().iter().map(|migration| migration.version).max().unwrap_or(0);
        self.bounded(async {
            const APPLIED: &str =
                "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM _sqlx_migrations WHERE success";
            let found: Result<(i64,), _> = on_pool!(self, |pool| sqlx::query_as(APPLIED).fetch_one(pool).await);
            match found {
                Ok((applied,)) => Ok(Schema { applied, known }),
                Err(error) if is_missing_table(&error) => Ok(Schema { applied: 0, known }),
                Err(error) => Err(store_error(error)),
            }
        })
        .await
    }

    /// Brings the database to this program's schema, under a lock, and returns the versions before and after.
    ///
    /// # Errors
    /// As for any act, but it may take an hour, whatever the store's time-out.
    pub async fn migrate(&self) -> Result<Schema, StoreError> {
        // On a connection of its own: what is set here, and a lock that a failure leaves, end with it.
        let migrated = async {
            match &self.pool {
                Pool::Sqlite(pool) => {
                    let _lock = lock_file(pool).await?;
                    let mut connection = pool.acquire().await.map_err(store_error)?.detach();
                    let patience = sqlx::AssertSqlSafe(format!("PRAGMA busy_timeout = {}", PATIENCE.as_millis()));
                    sqlx::query(patience).execute(&mut connection).await.map_err(store_error)?;
                    let before = self.schema().await?;
                    if before.action()? != SchemaAction::Nothing {
                        SQLITE.run(&mut connection).await.map_err(migrate_error)?;
                    }
                    connection.close().await.map_err(store_error)?;
                    Ok(before)
                }
                Pool::Postgres(pool) => {
                    let mut connection = pool.acquire().await.map_err(store_error)?.detach();
                    lock_postgres(&mut connection).await.map_err(store_error)?;
                    let before = self.schema().await?;
                    if before.action()? != SchemaAction::Nothing {
                        POSTGRES.run(&mut connection).await.map_err(migrate_error)?;
                    }
                    connection.close().await.map_err(store_error)?;
                    Ok(before)
                }
            }
        };
        let in_vain = |_| Err(StoreError::Unavailable(format!("its migration did not end within {PATIENCE:?}")));
        tokio::time::timeout(PATIENCE, migrated).await.unwrap_or_else(in_vain)
    }
}

/// Gives the connection its time, and waits until it alone may migrate.
async fn lock_postgres(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    for bound in ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"] {
        let set = sqlx::query("SELECT set_config($1, $2, FALSE)").bind(bound).bind(PATIENCE.as_millis().to_string());
        set.execute(&mut *connection).await?;
    }
    let try_lock = sqlx::query_as("SELECT pg_try_advisory_lock($1)").bind(LOCK);
    let (locked,): (bool,) = try_lock.fetch_one(&mut *connection).await?;
    if !locked {
        warn_of_waiting();
        sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(connection).await?;
    }
    Ok(())
}

/// SQLite has no lock that lasts for several transactions: a file beside the database serves.
async fn lock_file(pool: &SqlitePool) -> Result<File, StoreError> {
    let mut path = pool.connect_options().get_filename().as_os_str().to_owned();
    path.push(".lock");
    let failed = |error: std::io::Error| StoreError::Refused(format!("its lock file: {error}"));
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(PathBuf::from(path)).map_err(failed)?;
    let mut waiting = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) => {
                if !waiting {
                    warn_of_waiting();
                    waiting = true;
                }
                tokio::time::sleep(LOCK_PAUSE).await;
            }
        }
    }
}

fn warn_of_waiting() {
    warn!("waiting for another process that migrates the database");
}

fn migrate_error(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => store_error(error),
        other => StoreError::Refused(other.to_string()),
    }
}

fn is_missing_table(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database)
        if database.code().as_deref() == Some("42P01") || database.message().starts_with("no such table"))
}
