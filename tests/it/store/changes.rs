//! The change feed: numbered without gaps in the order of commit, so that who follows it misses nothing.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use signet::clients::{ClientStore, Insert, ResourceStore, Swap};
use signet::keys::{Commit, KeyChange, KeyStore, Purpose};
use signet::store::sql::{Change, SqlStore};

use super::{Database, at_once, client, contract, entry, head, registered, resource};

contract! {
    a_follower_misses_nothing_of_two_hundred_writers,
    every_kind_of_change_is_told,
    a_feed_that_was_purged_is_incomplete,
    a_feed_that_was_set_back_is_incomplete,
    many_more_changes_than_a_poll_takes_are_incomplete,
}

/// Follows from the beginning until `until` changes were seen.
async fn follow(store: SqlStore, until: usize) -> Vec<Change> {
    let (mut followed, mut seen, mut polls) = (0, Vec::new(), 0);
    while seen.len() < until {
        let answer = store.changes_after(followed).await.unwrap();
        let changes = answer.changes.expect("a complete feed");
        assert_eq!(changes.len() as i64, answer.head - followed);
        seen.extend(changes);
        followed = answer.head;
        polls += 1;
        actix_web::rt::task::yield_now().await;
    }
    assert!(polls > 2, "it was all seen at once: nothing was shown");
    seen
}

async fn a_follower_misses_nothing_of_two_hundred_writers(database: &Database) {
    const WRITERS: usize = 200;
    let (one, two, third) = (database.open().await, database.open().await, database.open().await);
    let following = actix_web::rt::spawn(follow(third, WRITERS));
    let now = database.now();
    let outcomes = at_once((0..WRITERS).map(|place| {
        let store = if place % 2 == 0 { one.clone() } else { two.clone() };
        async move {
            match place % 4 {
                0 | 1 => {
                    let id = format!("client-{place}");
                    store.insert_client(&client(&id, json!({}), now), &entry()).await.unwrap() == Insert::Inserted
                }
                2 => {
                    let id = format!("urn:resource-{place}");
                    store.insert_resource(&resource(&id, now), &entry()).await.unwrap() == Insert::Inserted
                }
                _ => loop {
                    let version = store.load(Purpose::Signing).await.unwrap().table.version;
                    let change = KeyChange { acted_at: now, insert: Vec::new(), update: Vec::new() };
                    if store.commit(Purpose::Signing, version, &change, &entry()).await.unwrap() != Commit::Raced {
                        break true;
                    }
                },
            }
        }
    }))
    .await;
    assert!(outcomes.iter().all(|done| *done));

    let seen = following.await.unwrap();
    let numbers = database.sql("SELECT CAST(number AS TEXT) FROM changes ORDER BY changes.number").await;
    let expected: Vec<String> = (1..=WRITERS).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected, "no gaps");
    let stored: Vec<String> = database.sql("SELECT topic || ' ' || subject FROM changes ORDER BY number").await;
    let clients = |changes: &[Change]| -> Vec<String> {
        changes
            .iter()
            .filter_map(|change| if let Change::Client(id) = change { Some(id.clone()) } else { None })
            .collect()
    };
    let in_feed: Vec<String> =
        stored.iter().filter_map(|line| line.strip_prefix("client ")).map(str::to_owned).collect();
    assert_eq!(clients(&seen), in_feed, "in the order of the numbers");
    assert_eq!(in_feed.iter().collect::<HashSet<_>>().len(), WRITERS / 2, "each once");
    assert_eq!(seen.iter().filter(|change| **change == Change::Resources).count(), WRITERS / 4);
    assert_eq!(one.load(Purpose::Signing).await.unwrap().table.version, (WRITERS / 4) as i64);
}

async fn every_kind_of_change_is_told(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    assert_eq!(store.changes_after(0).await.unwrap().changes, Some(Vec::new()));
    let shop = client("shop", json!({}), now);
    assert_eq!(store.insert_client(&shop, &entry()).await.unwrap(), Insert::Inserted);
    assert_eq!(store.update_client(&shop.clone().with_enabled(false, now), &entry()).await.unwrap(), Swap::Swapped);
    let _ = store.delete_client(&shop.id, None, &entry()).await.unwrap();
    let orders = registered(&store, "urn:orders", now).await;
    let next = signet::clients::Resource { version: 2, ..orders.clone() };
    assert_eq!(store.update_resource(&next, &entry()).await.unwrap(), Swap::Swapped);
    let _ = store.delete_resource(&orders.id, None, &entry()).await.unwrap();
    let change = KeyChange { acted_at: now, insert: Vec::new(), update: Vec::new() };
    store.commit(Purpose::Signing, 0, &change, &entry()).await.unwrap();
    let of_shop = || Change::Client("shop".to_owned());
    let all = vec![
        of_shop(),
        of_shop(),
        // One that is disabled or goes ends sessions.
        Change::Revocations,
        of_shop(),
        Change::Revocations,
        Change::Resources,
        Change::Resources,
        Change::Resources,
        Change::Keys("signing".to_owned()),
    ];
    let told = store.changes_after(0).await.unwrap();
    assert_eq!((told.head, told.changes.as_ref()), (9, Some(&all)));
    assert_eq!(store.changes_after(5).await.unwrap().changes, Some(all[5..].to_vec()));
    assert_eq!(store.changes_after(9).await.unwrap().changes, Some(Vec::new()));
    // A topic of a newer Signet counts as followed.
    database.sql("INSERT INTO changes (number, topic, subject, changed_at) VALUES (10, 'moons', 'io', 1)").await;
    database.sql("UPDATE change_counter SET number = 10").await;
    assert_eq!(store.changes_after(9).await.unwrap().changes, Some(Vec::new()));
}

async fn a_feed_that_was_purged_is_incomplete(database: &Database) {
    let store = database.open().await;
    for place in 0..3 {
        registered(&store, &format!("urn:{place}"), database.now()).await;
        database.clock.advance(Duration::from_secs(1_800));
    }
    // The first is 90 minutes old, the second an hour, the third half of one.
    store.purge_expired(database.now()).await.unwrap();
    let told = store.changes_after(0).await.unwrap();
    assert_eq!((told.head, told.changes), (3, None), "all is to be read anew");
    assert_eq!(store.changes_after(1).await.unwrap().changes.map(|changes| changes.len()), Some(2));
    database.clock.advance(Duration::from_secs(7_200));
    store.purge_expired(database.now()).await.unwrap();
    assert_eq!(store.changes_after(2).await.unwrap().changes, None);
    assert_eq!(store.changes_after(3).await.unwrap().changes, Some(Vec::new()), "who was up to date still is");
    registered(&store, "urn:next", database.now()).await;
    assert_eq!(store.changes_after(3).await.unwrap().changes, Some(vec![Change::Resources]));
}

async fn a_feed_that_was_set_back_is_incomplete(database: &Database) {
    let store = database.open().await;
    registered(&store, "urn:one", database.now()).await;
    let told = store.changes_after(5).await.unwrap();
    assert_eq!((told.head, told.changes), (1, None));
}

async fn many_more_changes_than_a_poll_takes_are_incomplete(database: &Database) {
    let store = database.open().await;
    let digits = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL \
                  SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
    database
        .sql(&format!(
            "INSERT INTO changes (number, topic, subject, changed_at) \
             SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d, 'client', 'x', 1 \
             FROM {digits} AS a, {digits} AS b, {digits} AS c, {digits} AS e"
        ))
        .await;
    database.sql("UPDATE change_counter SET number = 10000").await;
    assert_eq!(store.changes_after(0).await.unwrap().changes.map(|changes| changes.len()), Some(10_000));
    registered(&store, "urn:one", database.now()).await;
    assert_eq!(store.changes_after(0).await.unwrap().changes, None);
    assert_eq!(head(&store).await, 10_001);
}
