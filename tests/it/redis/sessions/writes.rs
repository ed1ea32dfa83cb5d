//! Writes while Redis refuses them, and what a restart leaves of what was written.

use super::*;
use crate::redis::connection::in_time;

/// Fails in time with that word of a reason, for as long as `broken`, and then works.
async fn writes_fail(redis: &Redis, what: &str, breaks: &[&str], mends: &[&str]) {
    let store = opened(&in_time(options(&redis.url()))).await;
    let now = SystemClock.now();
    let (known, new) = (session(1, now), session(2, now));
    assert_eq!(store.insert(&known).await.unwrap(), Insert::Inserted);
    redis.tell(breaks);
    let (mut slowest, mut failed) = (Duration::ZERO, 0);
    for _ in 0..50 {
        let begun = Instant::now();
        let inserted = store.insert(&new).await.unwrap_err();
        let swapped = store.swap(&presented(&known, 0), NEXT_KEY, &POLICY).await.unwrap_err();
        slowest = slowest.max(begun.elapsed());
        for error in [inserted, swapped] {
            assert!(matches!(&error, StoreError::Unavailable(why) if why.contains(what)), "{error}");
            failed += 1;
        }
    }
    assert!(slowest < BOUND, "{slowest:?}");
    redis.tell(mends);
    let begun = Instant::now();
    while store.insert(&new).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let swapped = store.swap(&presented(&known, 0), NEXT_KEY, &POLICY).await.unwrap();
    assert!(swapped.moved && swapped.before == Some(known), "nothing moved meanwhile");
    println!("{what}: {failed} writes refused, two within {slowest:?}; works again after {:?}", begun.elapsed());
}

#[tokio::test]
async fn without_memory_or_replicas_writes_fail_in_time_and_go_on_when_they_can() {
    let redis = Redis::start(&["enable-debug-command yes"]);
    writes_fail(&redis, "memory is full", &["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"])
        .await;
    let [breaks, mends] = ["1", "0"].map(|replicas| ["CONFIG", "SET", "min-replicas-to-write", replicas]);
    writes_fail(&redis, "too few replicas", &breaks, &mends).await;
    writes_fail(&redis, "is a replica", &["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]).await;
}

#[tokio::test]
async fn a_restart_keeps_sessions_with_a_log_and_loses_them_without() {
    let redis = Redis::start(&["appendonly yes", "appendfsync always"]);
    let store = opened(&options(&redis.url())).await;
    let sessions: Vec<_> = (0..50).map(|number| session(number, SystemClock.now())).collect();
    for session in &sessions {
        assert_eq!(store.insert(session).await.unwrap(), Insert::Inserted);
    }
    let again = async || {
        redis.start_again();
        while store.load(sessions[0].id).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    redis.kill();
    again().await;
    for session in &sessions {
        assert_eq!(store.load(session.id).await.unwrap().as_ref(), Some(session));
        assert!(store.swap(&presented(session, 0), NEXT_KEY, &POLICY).await.unwrap().moved);
    }
    redis.kill();
    redis.wipe();
    again().await;
    for session in &sessions {
        assert_eq!(store.load(session.id).await.unwrap(), None);
        assert_eq!(store.swap(&presented(session, 1), NEXT_KEY, &POLICY).await.unwrap().before, None);
        assert_eq!(store.list_by_user(session.user, None, 10).await.unwrap().sessions, []);
    }
    println!("restarted with its log: {} sessions as they were; restarted empty: none", sessions.len());
}
