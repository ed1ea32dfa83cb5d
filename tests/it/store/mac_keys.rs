//! The contract of the keys that make refresh tokens: kept by keepers of any number of replicas.

use std::sync::Arc;
use std::time::Duration;

use signet::audit::By;
use signet::ports::SystemEntropy;
use signet::secret::{MasterKey, MasterKeys};
use signet::tokens::session::mac::{MacKeeper, MacPolicy};

use super::{Database, at_once, contract};

contract!(
    of_replicas_that_begin_at_once_one_makes_the_key,
    another_key_takes_over_once_all_know_it_and_the_old_one_checks_on,
    a_key_that_no_session_needs_loses_its_secret,
    resealed_keys_are_the_same,
    a_key_moved_to_another_row_does_not_open,
);

const DAY: Duration = Duration::from_secs(86_400);
const POLICY: MacPolicy =
    MacPolicy { rotate_every: Duration::from_secs(30 * 86_400), lead: Duration::from_secs(700), longest_session: DAY };

fn master(letter: char) -> MasterKey {
    let text = format!("signet-master-1:{}A", letter.to_string().repeat(42));
    MasterKey::parse(&text).unwrap()
}

async fn keeper(database: &Database, masters: MasterKeys) -> MacKeeper {
    let store = Arc::new(database.open().await);
    let clock = Arc::new(database.clock.clone());
    MacKeeper::new(store, clock, Arc::new(SystemEntropy), Arc::new(masters), POLICY, By::signet("test"))
}

async fn ours(database: &Database) -> MacKeeper {
    keeper(database, master('A').into()).await
}

async fn of_replicas_that_begin_at_once_one_makes_the_key(database: &Database) {
    let mut keepers = Vec::new();
    for _ in 0..8 {
        keepers.push(Arc::new(ours(database).await));
    }
    let sweeps = keepers.clone().into_iter().map(|keeper| async move { keeper.sweep().await.unwrap() });
    assert_eq!(at_once(sweeps).await.into_iter().sum::<usize>(), 1);
    let active = keepers[0].ring().current().active().unwrap();
    for keeper in &keepers {
        keeper.refresh().await.unwrap();
        let keys = keeper.ring().current();
        assert_eq!(keys.active(), Some(active));
        let code = keys.find(active).unwrap().mac(b"message");
        assert!(keepers[0].ring().current().find(active).unwrap().verifies(b"message", &code));
    }
    assert_eq!(database.count("keys").await, 1);
    assert_eq!(database.count("audit_log").await, 1);
}

async fn another_key_takes_over_once_all_know_it_and_the_old_one_checks_on(database: &Database) {
    let keeper = ours(database).await;
    keeper.sweep().await.unwrap();
    let first = keeper.ring().current().active().unwrap();
    database.clock.advance(POLICY.rotate_every - POLICY.lead);
    assert_eq!(keeper.sweep().await.unwrap(), 1);
    assert_eq!(keeper.ring().current().active(), Some(first));
    assert_eq!(database.count("keys").await, 2);
    database.clock.advance(POLICY.lead);
    assert_eq!(keeper.sweep().await.unwrap(), 2);
    let keys = keeper.ring().current();
    assert_ne!(keys.active(), Some(first));
    assert!(keys.find(first).is_some() && keys.find(keys.active().unwrap()).is_some());
    assert_eq!(keeper.sweep().await.unwrap(), 0);
}

async fn a_key_that_no_session_needs_loses_its_secret(database: &Database) {
    let keeper = ours(database).await;
    keeper.sweep().await.unwrap();
    let first = keeper.ring().current().active().unwrap();
    for pause in [POLICY.rotate_every - POLICY.lead, POLICY.lead] {
        database.clock.advance(pause);
        keeper.sweep().await.unwrap();
    }
    database.clock.advance(POLICY.lead + DAY - Duration::from_millis(1));
    assert_eq!(keeper.sweep().await.unwrap(), 0);
    database.clock.advance(Duration::from_millis(1));
    assert_eq!(keeper.sweep().await.unwrap(), 1);
    assert!(keeper.ring().current().find(first).is_none());
    let left = database.sql("SELECT kid FROM keys WHERE sealed IS NOT NULL OR master_key_id IS NOT NULL").await;
    assert_eq!(left, [keeper.ring().current().active().unwrap().to_string()]);
}

async fn resealed_keys_are_the_same(database: &Database) {
    let before = ours(database).await;
    before.sweep().await.unwrap();
    let active = before.ring().current().active().unwrap();
    let code = before.ring().current().find(active).unwrap().mac(b"message");
    let next = master('B');
    let to = next.id().to_owned();
    let both = keeper(database, MasterKeys::new(master('A'), Some(next))).await;
    assert_eq!((both.reseal(&to).await.unwrap(), both.reseal(&to).await.unwrap()), (1, 0));
    let after = keeper(database, master('B').into()).await;
    after.refresh().await.unwrap();
    assert!(after.ring().current().find(active).unwrap().verifies(b"message", &code));
    assert!(ours(database).await.refresh().await.is_err());
}

async fn a_key_moved_to_another_row_does_not_open(database: &Database) {
    let keeper = ours(database).await;
    keeper.sweep().await.unwrap();
    database.sql("UPDATE keys SET kid = '0badc0de'").await;
    let error = keeper.refresh().await.unwrap_err().to_string();
    assert!(error.contains("0badc0de") && error.contains("altered"), "{error}");
}
