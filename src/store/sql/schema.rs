//! The schema: which version the database has, and bringing it to this program's.
//!
//! Guarantees: two processes that start at once migrate once; a database of a newer Signet is refused untouched.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use sqlx::migrate::Migrator;

use super::{Pool, SqlStore, on_pool, store_error};
use crate::ports::StoreError;

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
    pub async fn migrate(&self) -> Result<Schema, StoreError> {
        let _lock = self.lock_migrations().await?;
        let before = self.schema().await?;
        if before.action()? != SchemaAction::Nothing {
            let migrator = self.migrator();
            on_pool!(self, |pool| migrator.run(pool).await).map_err(|error| match error {
                sqlx::migrate::MigrateError::Execute(error) => store_error(error),
                other => StoreError::Refused(other.to_string()),
            })?;
        }
        Ok(before)
    }

    /// sqlx locks Postgres by itself, and SQLite not at all: there a lock file beside the database serves.
    async fn lock_migrations(&self) -> Result<Option<std::fs::File>, StoreError> {
        let Pool::Sqlite(pool) = &self.pool else { return Ok(None) };
        let mut path = pool.connect_options().get_filename().as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let locked = tokio::task::spawn_blocking(move || {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            file.lock()?;
            Ok::<_, std::io::Error>(file)
        });
        let locked = locked.await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        locked.map(Some).map_err(|error| StoreError::Refused(format!("its lock file: {error}")))
    }
}

fn is_missing_table(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database)
        if database.code().as_deref() == Some("42P01") || database.message().starts_with("no such table"))
}
