//! A backup of a running store.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use signet::clients::{ClientStore, Insert};
use signet::keys::{KeyStore, Purpose};
use signet::store::sql::{DatabaseUrl, Options, SqlStore};

use super::{Database, client, entry, refusal};
use crate::app::{Backend, Installation};
use crate::world::World;

#[actix_web::test]
async fn a_backup_made_under_writes_opens_with_the_keys_and_names_the_master_key() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let world = World::of(&installation).await;
    let store = world.opened.store.clone();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writing = actix_web::rt::spawn({
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        async move {
            let mut written = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let new = client(&format!("w{written}"), json!({}), signet::ports::Timestamp::from_secs(1));
                assert_eq!(store.insert_client(&new, &entry()).await.unwrap(), Insert::Inserted);
                written += 1;
            }
            written
        }
    });
    let keys = store.load(Purpose::Signing).await.unwrap();
    let mut backups = Vec::new();
    for place in 0..5 {
        let to = installation.folder.path().join(format!("backup-{place}.db"));
        let made = store.back_up(&to).await.unwrap();
        assert_eq!(made.master_key_ids, [keys.sealed[0].1.master_key_id.clone()]);
        let file = std::fs::metadata(&to).unwrap();
        assert_eq!((made.bytes, file.mode() & 0o777), (file.len(), 0o600));
        backups.push(to);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let written = writing.await.unwrap();
    assert!(written > 5, "{written}");

    for to in &backups {
        let url = DatabaseUrl::parse(&format!("sqlite:{}", to.display()), installation.folder.path()).unwrap();
        let options = Options { url, max_connections: 1, timeout: Duration::from_secs(50), create: false };
        let copy = SqlStore::open(&options, Arc::new(installation.clock.clone())).await.unwrap();
        let held = copy.load(Purpose::Signing).await.unwrap();
        assert_eq!((held.table, held.sealed), (keys.table.clone(), keys.sealed.clone()));
        assert!(copy.is_founded().await.unwrap());
        // One state of the feed and of the clients: what the one says, the other has.
        let head = copy.changes_after(-1).await.unwrap().head;
        let clients = copy.list_each_client("", 100_000).await.unwrap().len() as i64;
        // That of the key of refresh tokens is one more.
        let before = keys.table.version + 1;
        assert_eq!(head, clients + before, "a change a client, and those of the keys");
        copy.close().await;
    }

    // An issuer runs on it, with the master key it needs.
    let restored = Installation::new();
    let data = restored.folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::create_dir(restored.folder.path().join("keys")).unwrap();
    std::fs::copy(&backups[0], data.join("signet.db")).unwrap();
    let master = std::fs::read_to_string(installation.folder.path().join("keys/master.key")).unwrap();
    let without = restored.try_start().await.err().unwrap().to_string();
    assert!(without.contains("is missing") && without.contains(&keys.sealed[0].1.master_key_id), "{without}");
    std::fs::write(restored.folder.path().join("keys/master.key"), master).unwrap();
    let _ = std::process::Command::new("chmod").arg("600").arg(restored.folder.path().join("keys/master.key")).status();
    let second = restored.start().await;
    assert_eq!(second.get("/.well-known/jwks.json").await.text, signet.get("/.well-known/jwks.json").await.text);
    second.stop().await;
    signet.stop().await;
}

#[actix_web::test]
async fn a_backup_never_replaces_a_file() {
    let database = Database::new(Backend::Sqlite);
    let store = database.open().await;
    let to = database.folder().join("precious");
    std::fs::write(&to, "precious").unwrap();
    let why = refusal(store.back_up(&to).await);
    assert!(why.contains("precious"), "{why}");
    assert_eq!(std::fs::read(&to).unwrap(), b"precious");
    // Not even the database itself, nor what a link points to.
    refusal(store.back_up(&database.sqlite_file()).await);
    let link = database.folder().join("link");
    std::os::unix::fs::symlink(database.folder().join("nowhere"), &link).unwrap();
    refusal(store.back_up(&link).await);
    refusal(store.back_up(&database.folder().join("no/such/folder")).await);
    assert!(!database.folder().join("nowhere").exists());
}

#[actix_web::test]
async fn a_backup_of_postgres_is_left_to_its_own_tools() {
    let database = Database::new(Backend::Postgres);
    let store = database.open().await;
    let to = database.folder().join("backup");
    let why = refusal(store.back_up(&to).await);
    assert!(why.contains("pg_dump"), "{why}");
    assert!(!to.exists());
}
