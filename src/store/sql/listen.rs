//! Being told of changes: Postgres announces each numbered change to whoever listens, once it is committed.
//!
//! Guarantees: an announcement is part of the transaction that makes the change, so none comes early or for nothing. It
//! may be lost, with the connection or by a pooler between: it only makes sooner what asking finds anyway.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{Postgres, Sqlite, Transaction};

use super::{Pool, SqlStore, store_error};
use crate::ports::StoreError;

/// Where changes are announced, one channel a database.
const CHANNEL: &str = "signet_changes";
/// How often a connection on which nothing is heard is asked whether it is still there.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// A transaction that announces what it changes.
pub(super) trait Announce {
    /// Announces the change `number` when the transaction commits.
    async fn announce(&mut self, number: i64) -> Result<(), sqlx::Error>;
}

impl Announce for Transaction<'_, Sqlite> {
    /// Nobody listens: one process serves, and the others are commands that end.
    async fn announce(&mut self, _: i64) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

impl Announce for Transaction<'_, Postgres> {
    async fn announce(&mut self, number: i64) -> Result<(), sqlx::Error> {
        let announce = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(number.to_string());
        announce.execute(&mut **self).await.map(drop)
    }
}

/// A connection of its own, on which changes are heard of.
#[derive(Debug)]
pub struct Subscription {
    listener: PgListener,
    timeout: Duration,
}

impl SqlStore {
    /// Begins to listen: what is committed from now on is heard. `None` for a database that announces nothing.
    ///
    /// # Errors
    /// When the database can't be reached, or refuses to let this connection listen.
    pub async fn subscribe(&self) -> Result<Option<Subscription>, StoreError> {
        let Pool::Postgres(pool) = &self.pool else { return Ok(None) };
        // A pool of its own: one that serves requests may be in use to its last connection, and may be asked to close.
        let alone = PgPoolOptions::new().max_connections(1).acquire_timeout(self.timeout).test_before_acquire(false);
        let alone = alone.idle_timeout(None).max_lifetime(None).connect_lazy_with((*pool.connect_options()).clone());
        self.bounded(async {
            let mut listener = PgListener::connect_with(&alone).await.map_err(store_error)?;
            // A new connection is our caller's to make, who knows that something may have been missed.
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await.map_err(store_error)?;
            Ok(Some(Subscription { listener, timeout: self.timeout }))
        })
        .await
    }
}

impl Subscription {
    /// Waits until something has changed.
    ///
    /// # Errors
    /// When the connection is lost. That is noticed without a word from the other side, too: when nothing was heard for
    /// a while, the database is asked for a sign of life.
    pub async fn changed(&mut self) -> Result<(), StoreError> {
        let lost = |why: &str| Err(StoreError::Unavailable(why.to_owned()));
        loop {
            match tokio::time::timeout(PROBE_EVERY, self.listener.try_recv()).await {
                Ok(Ok(Some(_))) => return Ok(()),
                Ok(Ok(None)) => return lost("the connection was closed"),
                Ok(Err(error)) => return Err(store_error(error)),
                Err(_) => {
                    let alive = sqlx::query("SELECT 1").execute(&mut self.listener);
                    match tokio::time::timeout(self.timeout, alive).await {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => return Err(store_error(error)),
                        Err(_) => return lost("the database gives no sign of life"),
                    }
                }
            }
        }
    }
}
