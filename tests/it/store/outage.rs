//! A database that does not answer, and what a store must find in one before it trusts it.

use std::time::{Duration, Instant};

use serde_json::json;
use signet::clients::{ClientStore, Insert, ReplayMarks, ResourceStore};
use signet::keys::{KeyChange, KeyStore, Purpose};
use signet::ports::StoreError;
use signet::store::sql::SqlStore;
use sqlx::{ConnectOptions, Connection};

use super::{Database, at_once, client, entry, head};
use crate::app::Backend;
use crate::postgres::Postgres;
use crate::stopped::Stopped;
use crate::world::eventually;

const TIMEOUT: Duration = Duration::from_millis(400);

/// Every call of the store, at once; each must say within the time-out that it can't be reached.
async fn assert_unavailable(store: &SqlStore, database: &Database, calls: &[usize]) {
    let now = database.now();
    let started = Instant::now();
    let outcomes = at_once(calls.iter().map(|call| {
        let (store, call) = (store.clone(), *call);
        let new = client("late", json!({}), now);
        let change = KeyChange { acted_at: now, insert: Vec::new(), update: Vec::new() };
        async move {
            let outcome = match call {
                0 => store.mark(&[9; 32], now).await.map(drop),
                1 => store.insert_client(&new, &entry()).await.map(drop),
                2 => store.update_client(&new, &entry()).await.map(drop),
                3 => store.delete_client(&new.id, None, &entry()).await.map(drop),
                4 => store.commit(Purpose::Signing, 0, &change, &entry()).await.map(drop),
                5 => store.found(std::slice::from_ref(&new), &entry()).await.map(drop),
                6 => store.purge_expired(now).await,
                7 => store.load(Purpose::Signing).await.map(drop),
                8 => store.load_client(&new.id).await.map(drop),
                9 => store.load_resources().await.map(drop),
                10 => store.changes_after(0).await.map(drop),
                11 => store.is_founded().await.map(drop),
                12 => store.schema().await.map(drop),
                _ => store.now().await.map(drop),
            };
            (call, outcome)
        }
    }))
    .await;
    let took = started.elapsed();
    for (call, outcome) in outcomes {
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "call {call}: {outcome:?}");
    }
    assert!(took < TIMEOUT * 5, "within the time-out of {TIMEOUT:?}, with room for a busy machine: {took:?}");
}

#[actix_web::test]
async fn a_postgres_that_stands_still_is_unavailable_in_time_and_heals() {
    let cluster = Postgres::start();
    let database = Database::of(&cluster);
    database.open().await.close().await;
    let store = database.try_open(TIMEOUT).await.unwrap();
    let shop = client("shop", json!({}), database.now());
    assert_eq!(store.insert_client(&shop, &entry()).await.unwrap(), Insert::Inserted);
    let moved = head(&store).await;
    {
        let _stopped = Stopped::cluster(&cluster, database.url());
        let all: Vec<usize> = (0..14).collect();
        assert_unavailable(&store, &database, &all).await;
        // Again: what hung did not use up the pool in a way that makes the next call hang for longer.
        assert_unavailable(&store, &database, &all).await;
        let opening = Instant::now();
        assert!(matches!(database.try_open(TIMEOUT).await, Err(StoreError::Unavailable(_))));
        assert!(opening.elapsed() < TIMEOUT * 5);
    }
    let started = Instant::now();
    eventually(async || store.load_client(&shop.id).await.ok().flatten()).await;
    println!("healed after {:?}", started.elapsed());
    // What was interrupted may have been done or not, but every connection works and the feed has no gaps.
    let healed = client("healed", json!({}), database.now());
    eventually(async || {
        matches!(store.insert_client(&healed, &entry()).await, Ok(Insert::Inserted | Insert::Exists)).then_some(())
    })
    .await;
    for outcome in at_once((0..30).map(|_| {
        let (store, id) = (store.clone(), shop.id.clone());
        async move { store.load_client(&id).await }
    }))
    .await
    {
        assert_eq!(outcome.unwrap().as_ref(), Some(&shop));
    }
    let told = store.changes_after(moved).await.unwrap();
    assert_eq!(told.changes.map(|changes| changes.len() as i64), Some(told.head - moved));
}

#[actix_web::test]
async fn what_is_under_way_when_postgres_stands_still_ends_in_time() {
    let cluster = Postgres::start();
    let database = Database::of(&cluster);
    database.open().await.close().await;
    let store = database.try_open(TIMEOUT).await.unwrap();
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            // Until it fails: at any moment most of these wait for an answer.
            actix_web::rt::spawn(async move {
                loop {
                    if let Err(error) = store.load(Purpose::Signing).await {
                        return (error, Instant::now());
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let _stopped = Stopped::cluster(&cluster, database.url());
    let stopped_at = Instant::now();
    for asked in asking {
        let (error, ended_at) = asked.await.unwrap();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(ended_at.saturating_duration_since(stopped_at) < TIMEOUT * 5);
    }
}

#[actix_web::test]
async fn a_postgres_that_is_gone_is_unavailable_at_once() {
    let cluster = Postgres::start();
    let database = Database::of(&cluster);
    database.open().await.close().await;
    let store = database.try_open(TIMEOUT).await.unwrap();
    let patient = database.try_open(Duration::from_secs(50)).await.unwrap();
    drop(cluster);
    // However long an act may take: that connections are refused is known at once.
    let started = Instant::now();
    for _ in 0..5 {
        let outcome = patient.load_resources().await;
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let started = Instant::now();
    for _ in 0..3 {
        let outcome = store.load_resources().await;
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    assert!(matches!(database.try_open(TIMEOUT).await, Err(StoreError::Unavailable(_))));
    assert!(started.elapsed() < TIMEOUT * 10, "{:?}", started.elapsed());
}

#[actix_web::test]
async fn a_sqlite_file_that_another_process_holds_is_unavailable_in_time_and_heals() {
    let database = Database::new(Backend::Sqlite);
    database.open().await.close().await;
    let store = database.try_open(TIMEOUT).await.unwrap();
    let shop = client("shop", json!({}), database.now());
    assert_eq!(store.insert_client(&shop, &entry()).await.unwrap(), Insert::Inserted);

    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database.sqlite_file());
    let mut other = options.connect().await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_unavailable(&store, &database, &[0, 1, 2, 3]).await;
    assert_unavailable(&store, &database, &[4, 5, 6, 0, 1, 2, 3]).await;
    held.rollback().await.unwrap();

    eventually(async || store.mark(&[1; 32], database.now()).await.ok()).await;
    // No connection is left inside a transaction: that would be refused, or hold up all others for good.
    at_once((0..40).map(|place| {
        let (store, now) = (store.clone(), database.now());
        async move {
            let new = client(&format!("c{place}"), json!({}), now);
            eventually(async || match store.insert_client(&new, &entry()).await {
                Ok(_) => Some(()),
                // Forty at once may take longer than this store's short time-out on a busy machine.
                Err(StoreError::Unavailable(_)) => None,
                Err(error) => panic!("{error}"),
            })
            .await;
        }
    }))
    .await;
    assert_eq!(database.count("clients").await, 41);
    assert_eq!(store.load_client(&shop.id).await.unwrap(), Some(shop));
    let told = store.changes_after(0).await.unwrap();
    assert_eq!(told.changes.map(|changes| changes.len() as i64), Some(told.head));
    assert_eq!(database.count("clients").await as i64, told.head, "what was said to have failed was not done");
}

#[actix_web::test]
async fn a_postgres_that_would_lose_what_it_acknowledged_is_refused() {
    let database = Database::new(Backend::Postgres);
    database.open().await.close().await;
    let name = database.url().rsplit('/').next().unwrap();
    database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
    let why = super::refusal(database.try_open(TIMEOUT).await);
    assert!(why.contains("synchronous_commit = off"), "{why}");
    database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = local")).await;
    database.try_open(TIMEOUT).await.unwrap();
}

#[actix_web::test]
async fn a_sqlite_store_writes_ahead_for_this_user_alone() {
    use std::os::unix::fs::MetadataExt;
    let database = Database::new(Backend::Sqlite);
    let store = database.open().await;
    assert_eq!(database.sql("PRAGMA journal_mode").await, ["wal"]);
    let _ = store.insert_client(&client("shop", json!({}), database.now()), &entry()).await.unwrap();
    for name in ["signet.db", "signet.db-wal", "signet.db-shm", "signet.db.lock"] {
        let mode = std::fs::metadata(database.folder().join(name)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[actix_web::test]
async fn what_is_no_database_of_signet_is_refused_and_stays_as_it_is() {
    let database = Database::new(Backend::Sqlite);
    std::fs::write(database.sqlite_file(), "Dear diary, ".repeat(1_000)).unwrap();
    assert!(database.try_open(TIMEOUT).await.is_err());
    assert_eq!(std::fs::read_to_string(database.sqlite_file()).unwrap(), "Dear diary, ".repeat(1_000));
}
