//! The contract of the journal of revocations.

use std::time::Duration;

use signet::ports::StoreError;
use signet::store::sql::{Change, SqlStore};
use signet::tokens::revocation::{EndReason, JournalHead, JournalPage, Revocation, RevocationJournal, Revoked};
use signet::tokens::session::SessionId;

use super::{Database, at_once, contract, entry, head};

contract!(
    an_empty_journal_tells_nothing,
    what_was_written_is_told_in_order,
    numbers_have_no_gaps_however_many_write_at_once,
    what_a_newer_signet_revoked_is_passed_over,
    an_entry_goes_when_it_hits_nothing_any_more,
    a_journal_that_refuses_writes_nothing,
);

fn revocation(number: u8, database: &Database) -> Revocation {
    let what = Revoked::Session(SessionId::from_bytes([number; 16]));
    let until = database.now().plus(Duration::from_secs(number.into()));
    Revocation { what, until, why: EndReason::Logout }
}

async fn all(store: &SqlStore, limit: u32) -> Vec<i64> {
    let (mut numbers, mut told) = (Vec::new(), 0);
    loop {
        let page = store.revocations_after(told, limit).await.unwrap();
        numbers.extend(page.entries.iter().map(|entry| entry.number));
        told = page.told;
        if told >= page.head.number {
            return numbers;
        }
    }
}

async fn an_empty_journal_tells_nothing(database: &Database) {
    let store = database.open().await;
    let empty = JournalPage { head: JournalHead::default(), entries: Vec::new(), told: 0 };
    for number in [-1, 0, 5] {
        assert_eq!(store.revocations_after(number, 10).await.unwrap(), empty);
    }
    assert_eq!(store.revoke(&[], &entry()).await.unwrap(), 0);
    assert_eq!(store.revocations_after(0, 10).await.unwrap(), empty);
}

async fn what_was_written_is_told_in_order(database: &Database) {
    let store = database.open().await;
    let before = head(&store).await;
    let [one, two, three] = [1, 2, 3].map(|number| revocation(number, database));
    assert_eq!(store.revoke(&[one.clone(), two.clone()], &entry()).await.unwrap(), 2);
    assert_eq!(store.revoke(std::slice::from_ref(&three), &entry()).await.unwrap(), 3);
    let page = database.open().await.revocations_after(0, 10).await.unwrap();
    assert_eq!((page.head.number, page.told, page.head.epoch.len()), (3, 3, 32));
    let told: Vec<_> = page.entries.iter().map(|entry| (entry.number, entry.what.clone(), entry.until)).collect();
    assert_eq!(told, [(1, one.what, one.until), (2, two.what, two.until), (3, three.what, three.until)]);
    let page = store.revocations_after(1, 1).await.unwrap();
    assert_eq!((page.entries[0].number, page.entries.len(), page.told), (2, 1, 2));
    let changes = store.changes_after(before).await.unwrap().changes.unwrap();
    assert_eq!(changes, [Change::Revocations, Change::Revocations]);
}

async fn numbers_have_no_gaps_however_many_write_at_once(database: &Database) {
    let stores = [database.open().await, database.open().await];
    let writers = (0..40_u8).map(|writer| {
        let (store, database) = (stores[usize::from(writer % 2)].clone(), database.clone());
        async move {
            let two = [revocation(writer + 1, &database), revocation(writer + 101, &database)];
            store.revoke(&two, &entry()).await.unwrap()
        }
    });
    let mut last = at_once(writers).await;
    last.sort_unstable();
    assert_eq!(last, (1..=40).map(|writer| writer * 2).collect::<Vec<i64>>());
    for limit in [1, 7, 500] {
        assert_eq!(all(&stores[0], limit).await, (1..=80).collect::<Vec<i64>>());
    }
}

async fn what_a_newer_signet_revoked_is_passed_over(database: &Database) {
    let store = database.open().await;
    let [one, two] = [1, 2].map(|number| revocation(number, database));
    store.revoke(&[one, two], &entry()).await.unwrap();
    for newer in ["kind = 'newer'", "kind = 'sub', value = '00000000-0000-0000-0000-000000000001', shape = 'newer'"] {
        database.sql(&format!("UPDATE revocations SET {newer} WHERE number = 1")).await;
        for limit in [1, 10] {
            assert_eq!(all(&store, limit).await, [2]);
        }
    }
}

async fn an_entry_goes_when_it_hits_nothing_any_more(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    store.revoke(&[revocation(10, database), revocation(20, database)], &entry()).await.unwrap();
    store.purge_expired(now.plus(Duration::from_secs(10))).await.unwrap();
    assert_eq!(all(&store, 10).await, [1, 2]);
    store.purge_expired(now.plus(Duration::from_secs(11))).await.unwrap();
    assert_eq!(all(&store, 10).await, [2]);
    assert_eq!(store.revoke(&[revocation(30, database)], &entry()).await.unwrap(), 3, "no number is used twice");
}

async fn a_journal_that_refuses_writes_nothing(database: &Database) {
    let store = database.open().await;
    database.sql("DROP TABLE audit_head").await;
    let refused = store.revoke(&[revocation(1, database)], &entry()).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(store.revocations_after(0, 10).await.unwrap().head.number, 0);
}
