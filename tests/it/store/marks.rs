//! Replay marks: of any number at the same instant, one is first.

use std::time::Duration;

use signet::clients::ReplayMarks;

use super::{Database, at_once, contract};

contract! {
    of_fifty_marks_at_once_one_is_the_first,
    a_mark_that_expired_is_purged_and_no_other,
}

async fn of_fifty_marks_at_once_one_is_the_first(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let until = database.now().plus(Duration::from_secs(60));
    for digest in [[0; 32], [255; 32], *b"\0' OR 1=1; -- \"\\ \xff\xfe 01234567890a"] {
        let outcomes = at_once((0..50).map(|place| {
            let store = if place % 2 == 0 { one.clone() } else { two.clone() };
            async move { store.mark(&digest, until).await.unwrap() }
        }))
        .await;
        assert_eq!(outcomes.iter().filter(|first| **first).count(), 1);
        assert!(!one.mark(&digest, until.plus(Duration::from_secs(9))).await.unwrap());
    }
    assert_eq!(database.count("replay_marks").await, 3);
}

async fn a_mark_that_expired_is_purged_and_no_other(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    for (digest, until) in [(1, now.minus(Duration::from_millis(1))), (2, now), (3, now.plus(Duration::from_secs(1)))] {
        assert!(store.mark(&[digest; 32], until).await.unwrap());
    }
    store.purge_expired(now).await.unwrap();
    assert_eq!(database.count("replay_marks").await, 2);
    assert!(store.mark(&[1; 32], now).await.unwrap());
    assert!(!store.mark(&[2; 32], now).await.unwrap());
    assert!(!store.mark(&[3; 32], now).await.unwrap());
}
