//! The contract of every store: one text of tests, run against SQLite and against Postgres.
//!
//! Each test is a function of a [`Database`]; [`contract!`] makes a test of each backend of it. What Redis keeps as well
//! has a trait of its own for its backends; [`on_each_store!`] makes the tests.

mod attempts;
mod audit;
mod backup;
mod changes;
mod clients;
mod founding;
mod in_redis;
mod journal;
mod keys;
mod mac_keys;
mod marks;
mod outage;
mod replicas;
mod reseal;
mod resources;
mod schema;
mod sessions;
mod text;
mod turns;
mod users;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use signet::audit::Chain;
use signet::clients::{Client, ClientId, ClientMetadata, Insert, Resource, ResourceId, ResourceStore, ScopeSet};
use signet::issuer::Issuer;
use signet::ports::{Clock, StoreError, Timestamp};
use signet::secret::MasterKey;
use signet::store::sql::{DatabaseUrl, Options, SqlStore};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tempfile::TempDir;

use crate::app::{Backend, HeldClock};
use crate::postgres::Postgres;
pub use crate::world::entry;
pub use in_redis::InRedis;

/// Makes a test of each backend of functions of a `&Database`.
macro_rules! contract {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[actix_web::test]
            async fn $name() {
                super::$name(&crate::store::Database::new(crate::app::Backend::Sqlite)).await;
            })+
        }
        mod postgres {
            $(#[actix_web::test]
            async fn $name() {
                super::$name(&crate::store::Database::new(crate::app::Backend::Postgres)).await;
            })+
        }
    };
}
pub(crate) use contract;

/// Makes a test of each law, a function of a backend, on every store that there is: both databases, a Redis and a
/// Cluster.
macro_rules! on_each_store {
    ($($law:ident),+ $(,)?) => {
        $crate::store::on_each_store! {
            @on sqlite, $crate::store::Database::new($crate::app::Backend::Sqlite), [$($law),+]
        }
        $crate::store::on_each_store! {
            @on postgres, $crate::store::Database::new($crate::app::Backend::Postgres), [$($law),+]
        }
        $crate::store::on_each_store! { @on redis, $crate::store::InRedis::single(), [$($law),+] }
        $crate::store::on_each_store! { @on redis_cluster, $crate::store::InRedis::cluster(), [$($law),+] }
    };
    (@on $module:ident, $backend:expr, [$($law:ident),+]) => {
        mod $module {
            $(#[actix_web::test]
            async fn $law() {
                super::$law(&$backend).await;
            })+
        }
    };
}
pub(crate) use on_each_store;

/// The master key of every test here.
pub fn chain() -> Chain {
    let master = format!("signet-master-1:{}", "A".repeat(43));
    Chain::under(&MasterKey::parse(&master).unwrap().into()).unwrap()
}

/// An empty database that any number of stores may open.
#[derive(Clone)]
pub struct Database {
    pub backend: Backend,
    pub clock: HeldClock,
    folder: Arc<TempDir>,
    url: String,
}

impl Database {
    pub fn new(backend: Backend) -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        let url = match backend {
            Backend::Sqlite => format!("sqlite:{}", folder.path().join("signet.db").display()),
            Backend::Postgres => Postgres::shared().database(),
        };
        Self { backend, clock: HeldClock::new(), folder, url }
    }

    /// An empty one of that cluster.
    pub fn of(cluster: &Postgres) -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        Self { backend: Backend::Postgres, clock: HeldClock::new(), folder, url: cluster.database() }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn sqlite_file(&self) -> PathBuf {
        self.folder.path().join("signet.db")
    }

    /// Opens it as a process of its own does, with a pool of its own.
    pub async fn try_open(&self, timeout: Duration) -> Result<SqlStore, StoreError> {
        // Another test of this process may have done it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let url = DatabaseUrl::parse(&self.url, self.folder.path()).unwrap();
        let options = Options { url, max_connections: 10, timeout, create: true };
        Ok(SqlStore::open(&options, Arc::new(self.clock.clone())).await?.audited_by(chain()))
    }

    /// Opens it without its schema.
    pub async fn open_empty(&self) -> SqlStore {
        // Ten times what production gives: other tests share this machine.
        self.try_open(Duration::from_secs(50)).await.unwrap()
    }

    /// Opens it with its schema.
    pub async fn open(&self) -> SqlStore {
        let store = self.open_empty().await;
        store.migrate().await.unwrap();
        store
    }

    /// The first column, as text, of what a statement answers. NULL is empty.
    pub async fn sql(&self, statement: &str) -> Vec<String> {
        match self.backend {
            Backend::Postgres => Postgres::shared().psql(&self.url, statement).lines().map(str::to_owned).collect(),
            Backend::Sqlite => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.sqlite_file());
                let mut connection = options.busy_timeout(Duration::from_secs(50)).connect().await.unwrap();
                let rows = sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_all(&mut connection).await.unwrap();
                rows.iter().map(|row| row.get::<Option<String>, _>(0).unwrap_or_default()).collect()
            }
        }
    }

    /// How many rows `table` has.
    pub async fn count(&self, table: &str) -> usize {
        self.sql(&format!("SELECT CAST(COUNT(*) AS TEXT) FROM {table}")).await[0].parse().unwrap()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub fn issuer() -> Issuer {
    Issuer::parse("https://as.example", false).unwrap()
}

/// A client of that description, still without a secret, at version 1.
pub fn client(id: &str, metadata: serde_json::Value, now: Timestamp) -> Client {
    let metadata: ClientMetadata = serde_json::from_value(metadata).unwrap();
    let registered = metadata.register(ClientId::parse(id).unwrap(), &issuer(), now).unwrap();
    Client { version: 1, ..registered }
}

/// A resource at version 1.
pub fn resource(identifier: &str, now: Timestamp) -> Resource {
    let id = ResourceId::parse(identifier, &issuer()).unwrap();
    Resource { version: 1, ..Resource::new(id, "", ScopeSet::parse("read write").unwrap(), now) }
}

/// Stores a resource of that identifier.
pub async fn registered(store: &SqlStore, identifier: &str, now: Timestamp) -> Resource {
    let resource = resource(identifier, now);
    assert_eq!(store.insert_resource(&resource, &entry()).await.unwrap(), Insert::Inserted);
    resource
}

/// The number of the last change.
pub async fn head(store: &SqlStore) -> i64 {
    store.changes_after(-1).await.unwrap().head
}

/// Runs all of `acts` at once and answers what each answered, in their order.
pub async fn at_once<T: 'static>(acts: impl IntoIterator<Item = impl Future<Output = T> + 'static>) -> Vec<T> {
    let started: Vec<_> = acts.into_iter().map(actix_web::rt::spawn).collect();
    let mut answers = Vec::with_capacity(started.len());
    for act in started {
        answers.push(act.await.unwrap());
    }
    answers
}

/// What the store refuses with.
#[track_caller]
pub fn refusal<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Err(StoreError::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}
