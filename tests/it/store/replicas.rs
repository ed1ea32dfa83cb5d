//! Who serves, and which master keys each has.

use std::time::Duration;

use signet::store::sql::Replica;

use super::{Database, contract};

contract! {
    a_replica_is_there_from_its_first_word_until_it_says_that_it_goes,
    a_replica_that_was_not_heard_of_for_long_is_no_longer_counted,
}

fn replica(database: &Database, id: &str, master_key_ids: &[&str]) -> Replica {
    Replica {
        id: id.to_owned(),
        host: "host".to_owned(),
        version: "0.1.0".to_owned(),
        master_key_ids: master_key_ids.iter().map(|id| (*id).to_owned()).collect(),
        started_at: database.now(),
        seen_at: database.now(),
    }
}

async fn a_replica_is_there_from_its_first_word_until_it_says_that_it_goes(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let started = database.now();
    let first = replica(database, "a", &["old", "new"]);
    one.announce(&first).await.unwrap();
    one.announce(&replica(database, "b", &[])).await.unwrap();
    database.clock.advance(Duration::from_secs(10));
    let later = replica(database, "a", &["old", "new"]);
    one.announce(&later).await.unwrap();
    let seen = two.replicas_since(started).await.unwrap();
    assert_eq!(seen[0], Replica { started_at: started, ..later });
    assert_eq!(seen.len(), 2);
    two.withdraw("a").await.unwrap();
    two.withdraw("nobody").await.unwrap();
    assert_eq!(one.replicas_since(started).await.unwrap().len(), 1);
}

async fn a_replica_that_was_not_heard_of_for_long_is_no_longer_counted(database: &Database) {
    let store = database.open().await;
    store.announce(&replica(database, "a", &[])).await.unwrap();
    database.clock.advance(Duration::from_secs(61));
    assert_eq!(store.replicas_since(database.now().minus(Duration::from_secs(60))).await.unwrap(), []);
    database.clock.advance(Duration::from_secs(7200));
    store.purge_expired(database.now()).await.unwrap();
    assert_eq!(database.count("replicas").await, 0);
}
