//! Another master key takes the place of the one in use: stopped anywhere, it goes on, and at no moment is anything
//! sealed that nobody can open.

use signet::audit::{Act, Chain};
use signet::clients::{ClientStore, Insert};
use signet::keys::{Commit, KeyStore, Purpose};
use signet::ports::{StoreError, SystemEntropy};
use signet::secret::{MasterKey, MasterKeys, Sealed};
use signet::store::sql::SqlStore;

use super::keys::{inserting, pending};
use super::{Database, client, contract, entry, refusal};

contract! {
    a_replacement_that_stops_anywhere_goes_on_and_the_log_holds_all_along,
    what_is_written_from_the_first_step_on_is_under_the_next_master_key,
    keys_are_swapped_only_in_the_table_they_were_read_from,
}

struct Masters {
    own: String,
    next: String,
}

impl Masters {
    fn new() -> Self {
        let [own, next] = [(); 2].map(|()| MasterKey::generate(&SystemEntropy).to_text().expose().to_owned());
        Self { own, next }
    }

    fn next_id(&self) -> String {
        MasterKey::parse(&self.next).unwrap().id().to_owned()
    }

    async fn store(&self, database: &Database, which: [bool; 2]) -> SqlStore {
        let master = |text: &String| MasterKey::parse(text).unwrap();
        let masters = match which {
            [true, true] => MasterKeys::new(master(&self.own), Some(master(&self.next))),
            [true, false] => master(&self.own).into(),
            _ => master(&self.next).into(),
        };
        database.open().await.audited_by(Chain::under(&masters).unwrap())
    }
}

async fn add_clients(store: &SqlStore, database: &Database, named: &str, count: usize) {
    for number in 0..count {
        let client = client(&format!("{named}{number}"), serde_json::json!({}), database.now());
        assert_eq!(store.insert_client(&client, &entry()).await.unwrap(), Insert::Inserted);
    }
}

async fn holds(store: &SqlStore) -> bool {
    store.verify_audit(None, |_, _| ()).await.unwrap().holds()
}

async fn a_replacement_that_stops_anywhere_goes_on_and_the_log_holds_all_along(database: &Database) {
    let masters = Masters::new();
    let both = masters.store(database, [true, true]).await;
    add_clients(&both, database, "a", 430).await;
    let noted = both.audit_head().await.unwrap();
    let next = masters.next_id();
    let begun = crate::world::by().entry(Act::KeysReseal, "", serde_json::json!({}));
    both.record_master_key(&next, &begun).await.unwrap();
    let mut steps = 0;
    loop {
        // Each step by a process of its own, as if the one before had been killed.
        let store = masters.store(database, [true, true]).await;
        let step = store.recode_audit(&next).await.unwrap();
        assert!(holds(&store).await);
        steps += 1;
        add_clients(&store, database, &format!("b{steps}-"), 3).await;
        if step.left == 0 {
            break;
        }
    }
    assert_eq!(steps, 3);
    let only_next = masters.store(database, [false, true]).await;
    let verdict = only_next.verify_audit(Some(noted), |_, _| ()).await.unwrap();
    assert!(verdict.holds(), "{verdict:?}");
    assert!(!holds(&masters.store(database, [true, false]).await).await);
}

async fn what_is_written_from_the_first_step_on_is_under_the_next_master_key(database: &Database) {
    let masters = Masters::new();
    let both = masters.store(database, [true, true]).await;
    add_clients(&both, database, "a", 1).await;
    assert_eq!(both.recorded_master_key().await.unwrap(), None);
    both.record_master_key(&masters.next_id(), &entry()).await.unwrap();
    assert_eq!(both.recorded_master_key().await.unwrap(), Some(masters.next_id()));
    assert_eq!(both.load(Purpose::Signing).await.unwrap().sealed_under, Some(masters.next_id()));
    add_clients(&both, database, "b", 1).await;
    let ids = database.sql("SELECT master_key_id FROM audit_log ORDER BY number").await;
    assert_ne!(ids[0], masters.next_id());
    assert_eq!(ids[1..], [masters.next_id(), masters.next_id()]);
    // Who does not have it changes nothing any more.
    let own = masters.store(database, [true, false]).await;
    let late = client("late", serde_json::json!({}), database.now());
    let why = refusal(own.insert_client(&late, &entry()).await);
    assert!(why.contains(&masters.next_id()), "{why}");
    // A forged row stops it.
    database.sql("UPDATE audit_log SET mac = hash WHERE number = 1").await;
    let stopped = both.recode_audit(&masters.next_id()).await;
    assert!(matches!(stopped, Err(StoreError::Corrupt { .. })), "{stopped:?}");
    assert_eq!(database.sql("SELECT master_key_id FROM audit_log ORDER BY number").await, ids);
}

async fn keys_are_swapped_only_in_the_table_they_were_read_from(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let change = inserting(now, vec![pending(now)]);
    assert_eq!(store.commit(Purpose::Signing, 0, &change, &entry()).await.unwrap(), Commit::Done { version: 1 });
    let before = store.load(Purpose::Signing).await.unwrap();
    let (kid, _) = before.sealed[0].clone();
    let anew = Sealed { master_key_id: "next".to_owned(), bytes: vec![1, 2, 3] };
    for version in [0, 2] {
        let outcome = store.swap_sealed(Purpose::Signing, version, &[(kid.clone(), anew.clone())]).await.unwrap();
        assert_eq!(outcome, Commit::Raced);
    }
    assert_eq!(store.load(Purpose::Signing).await.unwrap(), before);
    let outcome = store.swap_sealed(Purpose::Signing, 1, &[(kid.clone(), anew.clone())]).await.unwrap();
    assert_eq!(outcome, Commit::Done { version: 2 });
    let after = store.load(Purpose::Signing).await.unwrap();
    assert_eq!((&after.sealed[0].1, after.table.version), (&anew, 2));
    assert_eq!(after.table.keys, before.table.keys);
}
