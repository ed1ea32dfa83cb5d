//! Keys: versions, races, and private halves that go when they are no longer needed.

use std::time::Duration;

use signet::keys::{
    COMMIT_WITHIN, Commit, History, Key, KeyChange, KeySpec, KeyState, KeyStore, KeyTable, PastState, Purpose, RsaBits,
    StateName, StoredKeys, generate,
};
use signet::ports::{Clock, StoreError, SystemEntropy, Timestamp};
use signet::secret::{MasterKey, Sealed};
use signet::store::sql::SqlStore;

use super::{Database, at_once, contract, entry, head, refusal};

contract! {
    a_table_that_never_had_a_key_is_empty_and_of_version_0,
    every_kind_of_key_comes_back_as_it_was_stored,
    a_row_of_an_older_signet_has_an_empty_history_and_goes_on_from_what_is_known,
    a_raced_key_change_changes_nothing,
    a_key_change_that_was_decided_long_ago_changes_nothing,
    of_twenty_key_changes_at_once_one_wins_each_version,
    a_kid_is_never_stored_twice_and_nothing_of_the_change_is,
    an_update_of_an_unknown_kid_is_refused_and_nothing_of_the_change_stored,
    a_key_that_left_the_jwks_loses_its_private_half,
    a_damaged_row_is_named,
    a_snapshot_is_of_one_version,
}

const SIGNING: Purpose = Purpose::Signing;

/// A key as the keeper would insert it.
fn key(spec: KeySpec, state: KeyState, created_at: Timestamp) -> (Key, Sealed) {
    let master = MasterKey::generate(&SystemEntropy);
    let made = generate(spec, &SystemEntropy).unwrap().seal(SIGNING, &master, &SystemEntropy).unwrap();
    let key = Key {
        kid: made.kid,
        purpose: SIGNING,
        algorithm: made.algorithm,
        public: made.public,
        origin: made.origin,
        created_at,
        published_at: created_at,
        longest_lifetime: Duration::from_millis(3_600_001),
        state,
        reason: "it's \"the\" first 🔑".to_owned(),
        history: History::default(),
    };
    (key, made.sealed)
}

pub(super) fn pending(now: Timestamp) -> (Key, Sealed) {
    key(KeySpec::Ed25519, KeyState::Pending { usable_from: now }, now)
}

pub(super) fn inserting(now: Timestamp, keys: Vec<(Key, Sealed)>) -> KeyChange {
    KeyChange { acted_at: now, insert: keys, update: Vec::new() }
}

async fn done(store: &SqlStore, version: i64, change: &KeyChange) {
    let outcome = store.commit(SIGNING, version, change, &entry()).await.unwrap();
    assert_eq!(outcome, Commit::Done { version: version + 1 });
}

async fn load(store: &SqlStore) -> StoredKeys {
    store.load(SIGNING).await.unwrap()
}

async fn a_table_that_never_had_a_key_is_empty_and_of_version_0(database: &Database) {
    let store = database.open().await;
    let empty = StoredKeys { table: KeyTable::default(), sealed: Vec::new(), sealed_under: None, now: database.now() };
    assert_eq!(load(&store).await, empty);
    assert_eq!(store.master_key_ids().await.unwrap(), Vec::<String>::new());
}

async fn every_kind_of_key_comes_back_as_it_was_stored(database: &Database) {
    let store = database.open().await;
    let at = |secs: i64| Timestamp::from_millis(1_800_000_000_000 + secs);
    let mut keys = vec![
        key(KeySpec::Es256, KeyState::Active { since: at(1) }, at(0)),
        key(KeySpec::Es384, KeyState::Pending { usable_from: at(900) }, at(1)),
        key(KeySpec::Ed25519, KeyState::Retiring { since: at(2), until: at(3_000) }, at(2)),
        key(KeySpec::Rs256(RsaBits::B2048), KeyState::Active { since: at(-5) }, at(3)),
        key(KeySpec::Ps256(RsaBits::B2048), KeyState::Active { since: at(0) }, at(4)),
    ];
    keys[3].0.origin = signet::keys::Origin::Imported;
    done(&store, 0, &inserting(at(7), keys.clone())).await;
    let stored = load(&store).await;
    let table: Vec<Key> = keys.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(stored.table, KeyTable { version: 1, acted_at: Some(at(7)), keys: table.clone() });
    assert_eq!(stored.sealed, keys.iter().map(|(key, sealed)| (key.kid.clone(), sealed.clone())).collect::<Vec<_>>());
    let mut needed: Vec<String> = keys.iter().map(|(_, sealed)| sealed.master_key_id.clone()).collect();
    needed.sort();
    assert_eq!(store.master_key_ids().await.unwrap(), needed);

    // What may change of a key changes; its private half stays while it is published.
    let mut changed = table;
    changed[0] = changed[0].clone().retire(at(8), at(5_000), "rotated").unwrap();
    changed[1] = changed[1].clone().activate(at(8), true, "rotated").unwrap();
    changed[2] = changed[2].clone().raise_lifetime(Duration::from_secs(7_200), Some(at(9_000))).unwrap();
    let update = KeyChange { acted_at: at(8), insert: Vec::new(), update: changed[..3].to_vec() };
    done(&store, 1, &update).await;
    let after = load(&store).await;
    assert_eq!(after.table, KeyTable { version: 2, acted_at: Some(at(8)), keys: changed });
    assert_eq!(after.sealed, stored.sealed);
    let was = |state, since| PastState { state, since };
    let histories: Vec<_> = after.table.keys.iter().map(|key| key.history.past().to_vec()).collect();
    assert_eq!(histories[0], [was(StateName::Active, at(1))]);
    assert_eq!(histories[1], [was(StateName::Pending, at(1))]);
    assert_eq!(histories[2..], [vec![], vec![], vec![]]);

    // The history grows with the life of the key.
    let compromised = after.table.keys[0].clone().compromise(at(9), "found on a stick").unwrap();
    let update = KeyChange { acted_at: at(9), insert: Vec::new(), update: vec![compromised.clone()] };
    done(&store, 2, &update).await;
    assert_eq!(load(&store).await.table.keys[0], compromised);
    assert_eq!(compromised.history.past(), [was(StateName::Active, at(1)), was(StateName::Retiring, at(8))]);
}

async fn a_row_of_an_older_signet_has_an_empty_history_and_goes_on_from_what_is_known(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    done(&store, 0, &inserting(now, vec![key(KeySpec::Ed25519, KeyState::Active { since: now }, now)])).await;
    let columns = "kid, purpose, algorithm, public_jwk, origin, state, state_since, state_until, reason, created_at, \
                   published_at, longest_lifetime, master_key_id, sealed";
    database.sql(&format!("CREATE TABLE older AS SELECT {columns} FROM keys")).await;
    database.sql("DELETE FROM keys").await;
    database.sql(&format!("INSERT INTO keys ({columns}) SELECT {columns} FROM older")).await;
    let older = load(&store).await.table.keys.remove(0);
    assert_eq!(older.history, History::default());
    let retiring = older.retire(now, now, "").unwrap();
    done(&store, 1, &KeyChange { acted_at: now, insert: Vec::new(), update: vec![retiring] }).await;
    let past = load(&store).await.table.keys.remove(0).history;
    assert_eq!(past.past(), [PastState { state: StateName::Active, since: now }]);
}

async fn a_raced_key_change_changes_nothing(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    done(&store, 0, &inserting(now, vec![pending(now)])).await;
    let (before, moved) = (load(&store).await, head(&store).await);
    let change = inserting(now.plus(Duration::from_secs(1)), vec![pending(now)]);
    for version in [-1, 0, 2] {
        assert_eq!(store.commit(SIGNING, version, &change, &entry()).await.unwrap(), Commit::Raced, "{version}");
    }
    assert_eq!(load(&store).await, before);
    assert_eq!(head(&store).await, moved, "nothing to follow");
    done(&store, 1, &change).await;
    assert_eq!(head(&store).await, moved + 1);
}

async fn a_key_change_that_was_decided_long_ago_changes_nothing(database: &Database) {
    let store = database.open().await;
    let first = database.now();
    done(&store, 0, &inserting(first, vec![pending(first)])).await;
    let (before, moved) = (load(&store).await, head(&store).await);
    // A process that stalls between deciding and committing: the moments in its change are past.
    let (known, now) = (before.table.keys[0].clone(), first.plus(COMMIT_WITHIN));
    let retired = known.withdraw(now, "").unwrap();
    let early = first.minus(Duration::from_millis(1));
    database.clock.advance(COMMIT_WITHIN);
    for change in [
        inserting(early, vec![pending(early)]),
        KeyChange { acted_at: early, insert: Vec::new(), update: vec![retired] },
    ] {
        assert_eq!(store.commit(SIGNING, 1, &change, &entry()).await.unwrap(), Commit::Late);
    }
    assert_eq!(load(&store).await.table, before.table);
    assert_eq!((load(&store).await.sealed, head(&store).await), (before.sealed, moved), "nothing to follow");
    done(&store, 1, &inserting(first, vec![pending(first)])).await;
}

async fn of_twenty_key_changes_at_once_one_wins_each_version(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let now = database.now();
    for version in 0..3 {
        let outcomes =
            at_once(
                (0..20).map(|place| {
                    let store = if place % 2 == 0 { one.clone() } else { two.clone() };
                    async move {
                        store.commit(SIGNING, version, &inserting(now, vec![pending(now)]), &entry()).await.unwrap()
                    }
                }),
            )
            .await;
        let won = outcomes.iter().filter(|outcome| **outcome == Commit::Done { version: version + 1 }).count();
        let raced = outcomes.iter().filter(|outcome| **outcome == Commit::Raced).count();
        assert_eq!((won, raced), (1, 19), "{outcomes:?}");
    }
    assert_eq!((load(&one).await.table.version, load(&one).await.table.keys.len()), (3, 3));
    assert_eq!(head(&two).await, 3);
}

async fn a_kid_is_never_stored_twice_and_nothing_of_the_change_is(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let first = pending(now);
    done(&store, 0, &inserting(now, vec![first.clone()])).await;
    let (before, moved) = (load(&store).await, head(&store).await);
    let why = refusal(store.commit(SIGNING, 1, &inserting(now, vec![pending(now), first.clone()]), &entry()).await);
    assert!(why.contains(first.0.kid.as_str()), "{why}");
    assert_eq!((load(&store).await, head(&store).await), (before, moved));

    // Not even when it is retired.
    let retired = first.0.clone().withdraw(now, "").unwrap();
    done(&store, 1, &KeyChange { acted_at: now, insert: Vec::new(), update: vec![retired] }).await;
    refusal(store.commit(SIGNING, 2, &inserting(now, vec![first]), &entry()).await);
    assert_eq!(load(&store).await.table.version, 2);
}

async fn an_update_of_an_unknown_kid_is_refused_and_nothing_of_the_change_stored(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let (known, unknown) = (pending(now), pending(now).0);
    done(&store, 0, &inserting(now, vec![known.clone()])).await;
    let (before, moved) = (load(&store).await, head(&store).await);
    let active = known.0.activate(now, false, "").unwrap();
    let change = KeyChange { acted_at: now, insert: vec![pending(now)], update: vec![active, unknown.clone()] };
    let why = refusal(store.commit(SIGNING, 1, &change, &entry()).await);
    assert!(why.contains(unknown.kid.as_str()), "{why}");
    assert_eq!((load(&store).await, head(&store).await), (before, moved));
}

async fn a_key_that_left_the_jwks_loses_its_private_half(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let keys = [pending(now), pending(now), pending(now)];
    done(&store, 0, &inserting(now, keys.to_vec())).await;
    let [kept, retired, compromised] = keys;
    let update =
        vec![retired.0.withdraw(now, "done").unwrap(), compromised.0.compromise(now, "found on a stick").unwrap()];
    done(&store, 1, &KeyChange { acted_at: now, insert: Vec::new(), update }).await;
    let stored = load(&store).await;
    assert_eq!(stored.sealed, vec![(kept.0.kid.clone(), kept.1.clone())]);
    assert_eq!(stored.table.keys.len(), 3, "the public halves stay for the audit");
    let left = database.sql("SELECT kid FROM keys WHERE sealed IS NOT NULL OR master_key_id IS NOT NULL").await;
    assert_eq!(left, [kept.0.kid.as_str()]);
    assert_eq!(store.master_key_ids().await.unwrap(), [kept.1.master_key_id]);
}

async fn a_damaged_row_is_named(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let damaged = key(KeySpec::Es256, KeyState::Active { since: now }, now);
    done(&store, 0, &inserting(now, vec![damaged.clone(), pending(now)])).await;
    let kid = damaged.0.kid.as_str();
    let mut damages = vec![
        ("algorithm", "'HS256'"),
        ("algorithm", "'es256'"),
        ("state", "'asleep'"),
        ("state", "'retiring'"),
        ("state_until", "5"),
        ("origin", "'found'"),
        ("public_jwk", "NULL"),
        ("public_jwk", "'{'"),
        ("public_jwk", "'{\"kty\":\"oct\",\"k\":\"AA\"}'"),
        ("longest_lifetime", "-1"),
        ("history", "''"),
        ("history", "'[[\"asleep\",1]]'"),
        ("history", "'[[\"active\",1]]'"),
        ("history", "'[[\"pending\",1],[\"pending\",2]]'"),
        ("master_key_id", "NULL"),
        ("sealed", "NULL"),
    ];
    if database.backend == crate::app::Backend::Sqlite {
        // Only SQLite lets a column hold what is not of its type.
        damages.extend([("state_since", "'soon'"), ("created_at", "X'00'"), ("reason", "X'ff'")]);
    }
    database.sql("CREATE TABLE whole AS SELECT * FROM keys").await;
    for (column, value) in damages {
        database.sql(&format!("UPDATE keys SET {column} = {value} WHERE kid = '{kid}'")).await;
        match store.load(SIGNING).await {
            Err(StoreError::Corrupt { what, why }) => {
                assert!(what.contains(kid), "{column} = {value}: {what}: {why}");
                assert!(!why.is_empty());
            }
            other => panic!("{column} = {value}: {other:?}"),
        }
        database.sql("DELETE FROM keys").await;
        database.sql("INSERT INTO keys SELECT * FROM whole").await;
        load(&store).await;
    }
    database.sql(&format!("UPDATE keys SET kid = 'short' WHERE kid = '{kid}'")).await;
    assert!(matches!(store.load(SIGNING).await, Err(StoreError::Corrupt { what, .. }) if what.contains("short")));
}

async fn a_snapshot_is_of_one_version(database: &Database) {
    let (writer, reader) = (database.open().await, database.open().await);
    let clock = database.clock.clone();
    let writing = actix_web::rt::spawn(async move {
        for version in 0..30 {
            clock.advance(Duration::from_millis(1));
            let now = clock.now();
            done(&writer, version, &inserting(now, vec![pending(now), pending(now)])).await;
        }
    });
    let mut seen = 0;
    while !writing.is_finished() {
        let stored = load(&reader).await;
        assert_eq!(stored.table.keys.len() as i64, 2 * stored.table.version);
        assert_eq!(stored.sealed.len() as i64, 2 * stored.table.version);
        // Or who loads would take the clock of whoever changed the keys meanwhile for one that runs ahead.
        assert!(stored.table.acted_at <= Some(stored.now), "it shows a change that is later than it says it is");
        seen += 1;
    }
    writing.await.unwrap();
    assert!(seen > 3, "read {seen} times meanwhile");
    assert_eq!(load(&reader).await.table.version, 30);
}
