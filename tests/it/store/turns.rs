//! What the change of an account or a client leaves in the journal, and in which order with those who are authenticated.

use std::time::Duration;

use serde_json::json;
use signet::clients::{Client, ClientId, ClientMetadata, ClientStore, Insert, Removal, Swap};
use signet::issuer::Issuer;
use signet::ports::Timestamp;
use signet::store::sql::{Change, SqlStore};
use signet::tokens::revocation::{LONGEST_SESSION, Reach, RevocationJournal, Revoked, Revoking, VERIFIER_SKEW};
use signet::users::{StoredPassword, User, UserStore, UserSwap};

use super::{Database, at_once, contract, entry, head, users};

contract! {
    each_turn_of_an_account_is_in_the_journal_with_it,
    each_turn_of_a_client_is_in_the_journal_with_it,
    a_lifted_mark_goes_with_what_lifted_it_and_one_that_stands_stays,
    whoever_is_confirmed_is_hit_by_every_turn_that_comes_after_and_by_none_before,
    who_was_disabled_before_it_was_written_down_is_marked_by_the_upgrade,
}

const HASH: &str = "$2b$04$abcdefghijklmnopqrstuub.ZjCeFtaHcVNO3csJiht1Oa5O89F5e";

fn named(name: &str, database: &Database) -> User {
    users::user(json!({ "username": name }), database.now())
}

fn with_password(user: &User, now: Timestamp) -> User {
    user.clone().with_password(StoredPassword::parse(HASH).unwrap(), false, now).changed(now)
}

fn client(database: &Database) -> Client {
    let metadata: ClientMetadata = serde_json::from_value(json!({"token_endpoint_auth_method": "none"})).unwrap();
    let issuer = Issuer::parse("https://as.example", false).unwrap();
    metadata.register(ClientId::parse("web").unwrap(), &issuer, database.now()).unwrap()
}

async fn told(store: &SqlStore) -> Vec<Revoking> {
    store.revocations_after(0, 1_000).await.unwrap().entries
}

async fn swapped(store: &SqlStore, user: User) -> User {
    assert_eq!(store.update_user(&user, &entry()).await.unwrap(), UserSwap::Swapped);
    user
}

async fn each_turn_of_an_account_is_in_the_journal_with_it(database: &Database) {
    let store = database.open().await;
    let (now, ann) = (database.now(), named("ann", database));
    let _ = store.insert_user(&ann, &entry()).await.unwrap();
    let before = head(&store).await;
    let stale = User { enabled: false, ..ann.clone().changed(now).changed(now) };
    assert_eq!(store.update_user(&stale, &entry()).await.unwrap(), UserSwap::Raced);
    let ann = swapped(&store, ann.changed(now)).await;
    assert_eq!((told(&store).await.len(), head(&store).await), (0, before + 1), "what ends nothing is no end");
    let ann = swapped(&store, with_password(&ann, now)).await;
    let ann = swapped(&store, User { enabled: false, ..ann.changed(now) }).await;
    let ann = swapped(&store, User { enabled: true, ..with_password(&ann, now) }).await;
    assert_eq!(store.delete_user(&ann.id, None, &entry()).await.unwrap(), Removal::Removed);
    // Taken over once more under its identifier.
    let _ = store.insert_user(&ann, &entry()).await.unwrap();
    // The clock stands: moments grow all the same.
    let at = |millis: u64| now.plus(Duration::from_millis(millis));
    let reaches = [
        Reach::CutOff(at(0)),
        Reach::Marked,
        Reach::CutOff(at(2)),
        Reach::Lifted(at(3)),
        Reach::Marked,
        Reach::Lifted(at(5)),
    ];
    let id = *ann.id.as_uuid();
    let entries = told(&store).await;
    assert_eq!(
        entries.iter().map(|entry| (entry.number, entry.what.clone())).collect::<Vec<_>>(),
        (1..).zip(reaches.map(|reach| Revoked::Person(id, reach))).collect::<Vec<_>>()
    );
    for entry in &entries {
        assert!(entry.until >= now.plus(LONGEST_SESSION + VERIFIER_SKEW), "{entry:?}");
    }
    let changes = store.changes_after(before).await.unwrap().changes.unwrap();
    let (told, ends) = (|| Change::User(ann.id.to_string()), || Change::Revocations);
    let of_ends = (0..4).flat_map(|_| [told(), ends()]);
    assert_eq!(changes, [told()].into_iter().chain(of_ends).chain([ends()]).collect::<Vec<_>>());
    let standing = store.confirm_user(&ann.id).await.unwrap().unwrap();
    assert_eq!((standing.enabled, standing.password_version, standing.at), (true, 2, at(6)));
    assert_eq!(store.confirm_user(&named("bob", database).id).await.unwrap(), None);
}

async fn each_turn_of_a_client_is_in_the_journal_with_it(database: &Database) {
    let store = database.open().await;
    let (now, web) = (database.now(), client(database));
    assert_eq!(store.insert_client(&web, &entry()).await.unwrap(), Insert::Inserted);
    let before = head(&store).await;
    let disabled = web.clone().with_enabled(false, now);
    let enabled = disabled.clone().with_enabled(true, now);
    for changed in [&disabled, &enabled] {
        assert_eq!(store.update_client(changed, &entry()).await.unwrap(), Swap::Swapped);
    }
    assert_eq!(store.update_client(&enabled, &entry()).await.unwrap(), Swap::Raced);
    assert_eq!(store.delete_client(&web.id, None, &entry()).await.unwrap(), Removal::Removed);
    assert_eq!(store.delete_client(&web.id, None, &entry()).await.unwrap(), Removal::Absent);
    assert_eq!(store.insert_client(&web, &entry()).await.unwrap(), Insert::Inserted);
    let at = |millis: u64| now.plus(Duration::from_millis(millis));
    let reaches = [Reach::Marked, Reach::Lifted(at(1)), Reach::Marked, Reach::Lifted(at(3))];
    let entries: Vec<_> = told(&store).await.into_iter().map(|entry| entry.what).collect();
    assert_eq!(entries, reaches.map(|reach| Revoked::Client(web.id.clone(), reach)));
    let changes = store.changes_after(before).await.unwrap().changes.unwrap();
    let two = || [Change::Client("web".to_owned()), Change::Revocations];
    assert_eq!(changes, (0..4).flat_map(|_| two()).collect::<Vec<_>>());
}

async fn a_lifted_mark_goes_with_what_lifted_it_and_one_that_stands_stays(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    for (name, times) in [("ann", 1), ("bob", 2), ("cem", 3)] {
        let mut user = named(name, database);
        let _ = store.insert_user(&user, &entry()).await.unwrap();
        for time in 0..times {
            user = swapped(&store, User { enabled: time % 2 == 1, ..user.changed(now) }).await;
        }
    }
    let kept = async |after: Duration| {
        store.purge_expired(now.plus(LONGEST_SESSION + VERIFIER_SKEW).plus(after)).await.unwrap();
        told(&store).await.iter().map(|entry| entry.number).collect::<Vec<_>>()
    };
    assert_eq!(kept(Duration::ZERO).await, [1, 2, 3, 4, 5, 6]);
    // A mark never outlives its lifting, and the one of who is disabled still lasts for years.
    for after in [Duration::from_secs(1), LONGEST_SESSION * 10] {
        assert_eq!(kept(after).await, [1, 6]);
    }
}

async fn whoever_is_confirmed_is_hit_by_every_turn_that_comes_after_and_by_none_before(database: &Database) {
    const ROUNDS: usize = 60;
    let stores = [database.open().await, database.open().await];
    let mut ann = named("ann", database);
    let _ = stores[0].insert_user(&ann, &entry()).await.unwrap();
    let (mut before, mut after) = (0, 0);
    for _ in 0..ROUNDS {
        // Who comes in the second of a cut-off would have to ask once more.
        database.clock.advance(Duration::from_secs(1));
        let next = with_password(&ann, database.now());
        let outcomes = at_once((0..7).map(|place| {
            let (store, next) = (stores[place % 2].clone(), next.clone());
            async move {
                if place == 3 {
                    assert_eq!(store.update_user(&next, &entry()).await.unwrap(), UserSwap::Swapped);
                    return None;
                }
                store.confirm_user(&next.id).await.unwrap()
            }
        }))
        .await;
        let Some(Revoked::Person(_, Reach::CutOff(moment))) = told(&stores[0]).await.pop().map(|last| last.what) else {
            panic!("the change left no cut-off")
        };
        for standing in outcomes.into_iter().flatten() {
            let is_new = standing.password_version == next.password_version;
            assert_eq!(standing.at.secs() > moment.secs(), is_new, "{standing:?}, cut off at {moment:?}");
            assert!(is_new || standing.wait.is_zero());
            if is_new { after += 1 } else { before += 1 }
        }
        ann = next;
    }
    println!("{ROUNDS} passwords changed while 6 were confirmed: {before} by the old one, {after} by the new one");
}

async fn who_was_disabled_before_it_was_written_down_is_marked_by_the_upgrade(database: &Database) {
    let store = database.open().await;
    let ann = named("ann", database);
    for user in [&ann, &named("bob", database)] {
        let _ = store.insert_user(user, &entry()).await.unwrap();
    }
    let web = client(database);
    assert_eq!(store.insert_client(&web, &entry()).await.unwrap(), Insert::Inserted);
    database.sql("UPDATE users SET enabled = FALSE WHERE username = 'ann'").await;
    database.sql("UPDATE clients SET enabled = FALSE").await;
    let migration = include_str!("../../../migrations/sqlite/0008_lifecycle.sql");
    let lines = migration.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    for statement in
        lines.split(';').map(str::trim).filter(|text| text.starts_with("INSERT") || text.starts_with("UPDATE"))
    {
        database.sql(statement).await;
    }
    let entries: Vec<_> = told(&store).await.into_iter().map(|entry| (entry.number, entry.what)).collect();
    let marked = [Revoked::Person(*ann.id.as_uuid(), Reach::Marked), Revoked::Client(web.id, Reach::Marked)];
    assert_eq!(entries, (1..).zip(marked).collect::<Vec<_>>());
    assert_eq!(store.revocations_after(0, 1).await.unwrap().head.number, 2);
}
