//! Accounts: names that are one, versions, pages, and links that are good once.

use std::time::Duration;

use serde_json::json;
use signet::audit::Entry;
use signet::clients::Removal;
use signet::ports::{StoreError, SystemEntropy, Timestamp};
use signet::store::sql::{Change, SqlStore};
use signet::users::{
    LoginName, PasswordLink, Redemption, StoredPassword, Taken, User, UserId, UserInsert, UserMetadata, UserStore,
    UserSwap,
};
use unicode_normalization::UnicodeNormalization;

use super::{Database, at_once, contract, entry, refusal};

contract! {
    every_kind_of_account_comes_back_as_it_was_stored,
    names_that_differ_in_case_or_normalisation_or_look_alike_are_one,
    of_fifty_accounts_at_once_under_names_that_look_alike_one_is_made,
    a_name_that_was_given_up_is_free,
    an_account_is_changed_only_from_the_version_before,
    a_hash_is_replaced_only_while_it_is_the_one,
    accounts_are_listed_by_age_and_a_damaged_one_is_named,
    an_account_that_is_removed_is_gone_with_its_link,
    of_fifty_redemptions_of_one_link_at_once_one_wins,
    a_link_takes_the_place_of_the_former_and_expired_ones_are_purged,
    each_change_leaves_its_row_in_the_audit_log_and_a_refused_one_none,
    each_change_of_an_account_that_there_was_is_told_to_who_follows,
}

const HASH: &str = "$2b$04$abcdefghijklmnopqrstuub.ZjCeFtaHcVNO3csJiht1Oa5O89F5e";
const OTHER_HASH: &str = "$2y$05$abcdefghijklmnopqrstuuNKTrdYIyJepeBe0WMJS4ZyMwX4aEJLK";

/// An account of that description.
pub fn user(metadata: serde_json::Value, now: Timestamp) -> User {
    let metadata: UserMetadata = serde_json::from_value(metadata).unwrap();
    let mut user = User::new(signet::users::Username::parse("x").unwrap(), None, now);
    metadata.apply(&mut user).unwrap();
    user
}

fn named(name: &str, now: Timestamp) -> User {
    user(json!({ "username": name }), now)
}

async fn inserted(store: &SqlStore, user: &User) {
    assert_eq!(store.insert_user(user, &entry()).await.unwrap(), UserInsert::Inserted, "{:?}", user.username);
}

fn stored(text: &str) -> StoredPassword {
    StoredPassword::parse(text).unwrap()
}

async fn every_kind_of_account_comes_back_as_it_was_stored(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let plain = named("plain", now);
    let all = json!({
        "username": "Zoë.Müller-3", "email": "Zoe+x@Bücher.example", "roles": ["signet:keys:read", "a/b:c"],
        "attributes": {"https://a.example/b": ["'\"\\ %s 🔏", 1, 2.5, true, {"x": "y"}], "n": 18_446_744_073_709_551_615_u64},
    });
    let all = user(all, now).with_password(stored(HASH), true, now.plus(Duration::from_millis(1)));
    let disabled = User { enabled: false, ..named("Пётр", now) };
    for user in [plain, all, disabled] {
        assert_eq!(store.load_user(&user.id).await.unwrap(), None);
        inserted(&store, &user).await;
        assert_eq!(store.load_user(&user.id).await.unwrap().as_ref(), Some(&user));
        let again = refusal(
            store
                .insert_user(&User { username: named("x", now).username, email: None, ..user.clone() }, &entry())
                .await,
        );
        assert!(again.contains("already"), "{again}");
        let changed =
            user.clone().with_password(stored(OTHER_HASH), false, now).changed(now.plus(Duration::from_secs(1)));
        assert_eq!(store.update_user(&changed, &entry()).await.unwrap(), UserSwap::Swapped);
        for name in changed.login_names() {
            assert_eq!(store.find_user(&name).await.unwrap().as_ref(), Some(&changed));
        }
    }
    assert_eq!(store.find_user(&LoginName::parse("no name at all")).await.unwrap(), None);
}

async fn names_that_differ_in_case_or_normalisation_or_look_alike_are_one(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let email = json!({"username": "Zo\u{eb}.Ivan", "email": "Zoe@example.com"});
    inserted(&store, &user(email, now)).await;
    let decomposed: String = "Zo\u{eb}.Ivan".nfd().collect();
    for (name, taken) in [
        ("zo\u{eb}.ivan", Taken::Username),
        ("ZO\u{cb}.IVAN", Taken::Username),
        (decomposed.as_str(), Taken::Username),
        ("Zo\u{eb}.lvan", Taken::LookAlike),
        ("zo\u{eb}.1van", Taken::LookAlike),
    ] {
        assert_eq!(store.insert_user(&named(name, now), &entry()).await.unwrap(), UserInsert::Taken(taken), "{name}");
    }
    for email in ["ZOE@EXAMPLE.COM", "zoe@example.com"] {
        let other = user(json!({"username": "other", "email": email}), now);
        assert_eq!(store.insert_user(&other, &entry()).await.unwrap(), UserInsert::Taken(Taken::Email), "{email}");
    }
    for fine in ["zoe.ivan", "ivan"] {
        inserted(&store, &named(fine, now)).await;
    }
    let found = store.find_user(&LoginName::parse(&decomposed.to_uppercase())).await.unwrap().unwrap();
    assert_eq!(found.username.as_str(), "Zo\u{eb}.Ivan");
    // What only looks like a name finds nobody.
    assert_eq!(store.find_user(&LoginName::parse("zo\u{eb}.1van")).await.unwrap(), None);
    let counts = ["users", "user_looks"].map(|table| database.count(table));
    let [users, looks] = futures(counts).await;
    assert_eq!((users, looks), (3, 4));
}

async fn futures<const N: usize>(all: [impl Future<Output = usize>; N]) -> [usize; N] {
    let mut answers = [0; N];
    for (answer, one) in answers.iter_mut().zip(all) {
        *answer = one.await;
    }
    answers
}

async fn of_fifty_accounts_at_once_under_names_that_look_alike_one_is_made(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let now = database.now();
    let spellings = ["paul1", "paull", "PAUL1", "pauIl", "Paul1"];
    let outcomes = at_once((0..50).map(|place| {
        let store = if place % 2 == 0 { one.clone() } else { two.clone() };
        let new = named(spellings[place % spellings.len()], now);
        async move { store.insert_user(&new, &entry()).await.unwrap() }
    }))
    .await;
    let made = outcomes.iter().filter(|outcome| **outcome == UserInsert::Inserted).count();
    assert_eq!((made, database.count("users").await), (1, 1));
}

async fn a_name_that_was_given_up_is_free(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let ann = user(json!({"username": "Ann", "email": "ann@example.com"}), now);
    inserted(&store, &ann).await;
    let bob = named("bob", now);
    inserted(&store, &bob).await;
    let mut wants_ann = bob.clone().changed(now);
    wants_ann.username = ann.username.clone();
    assert_eq!(store.update_user(&wants_ann, &entry()).await.unwrap(), UserSwap::Taken(Taken::Username));
    let mut renamed = ann.clone().changed(now);
    renamed.username = named("hanna", now).username;
    renamed.email = None;
    assert_eq!(store.update_user(&renamed, &entry()).await.unwrap(), UserSwap::Swapped);
    assert_eq!(store.update_user(&wants_ann, &entry()).await.unwrap(), UserSwap::Swapped);
    let other = user(json!({"username": "other", "email": "ANN@example.com"}), now);
    inserted(&store, &other).await;
    assert_eq!(store.delete_user(&wants_ann.id, None, &entry()).await.unwrap(), Removal::Removed);
    inserted(&store, &named("ANN", now)).await;
}

async fn an_account_is_changed_only_from_the_version_before(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let first = named("ann", now);
    inserted(&store, &first).await;
    let outcomes = at_once((0..50).map(|place| {
        let (store, mut next) = (store.clone(), first.clone().changed(now));
        next.enabled = place % 2 == 0;
        async move { (store.update_user(&next, &entry()).await.unwrap(), next) }
    }))
    .await;
    let swapped: Vec<_> = outcomes.iter().filter(|(outcome, _)| *outcome == UserSwap::Swapped).collect();
    assert_eq!(swapped.len(), 1);
    assert_eq!(store.load_user(&first.id).await.unwrap().as_ref(), Some(&swapped[0].1));
    let gone = named("bob", now).changed(now);
    assert_eq!(store.update_user(&gone, &entry()).await.unwrap(), UserSwap::Raced);
}

async fn a_hash_is_replaced_only_while_it_is_the_one(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let ann = named("ann", now).with_password(stored(HASH), false, now);
    inserted(&store, &ann).await;
    let (from, to) = (stored(HASH), stored(OTHER_HASH));
    assert!(store.keep_hash(&ann.id, &from, &to).await.unwrap());
    assert!(!store.keep_hash(&ann.id, &from, &to).await.unwrap());
    let kept = store.load_user(&ann.id).await.unwrap().unwrap();
    assert_eq!((kept.version, kept.password_version), (ann.version, ann.password_version));
    assert_eq!(kept.password.map(|password| password.stored), Some(to.clone()));
    let nobody = named("bob", now).id;
    assert!(!store.keep_hash(&nobody, &from, &to).await.unwrap());
}

async fn accounts_are_listed_by_age_and_a_damaged_one_is_named(database: &Database) {
    let store = database.open().await;
    let mut ids = Vec::new();
    for place in 0..7 {
        let user = named(&format!("user-{place}"), database.now().plus(Duration::from_secs(place)));
        inserted(&store, &user).await;
        ids.push(user.id);
    }
    let page = |after: Option<UserId>, limit| {
        let store = store.clone();
        async move {
            let rows = store.list_users(after.as_ref(), limit).await.unwrap();
            rows.into_iter().map(|(id, user)| (id, user.is_ok())).collect::<Vec<_>>()
        }
    };
    let whole: Vec<_> = ids.iter().map(|id| (*id, true)).collect();
    assert_eq!(page(None, 100).await, whole);
    assert_eq!(page(None, 3).await, whole[..3]);
    assert_eq!(page(Some(ids[2]), 3).await, whole[3..6]);
    assert_eq!(page(Some(ids[6]), 3).await, []);
    database.sql(&format!("UPDATE users SET roles = 'a b\"' WHERE id = '{}'", ids[3])).await;
    let listed = page(None, 100).await;
    assert_eq!((listed.len(), listed[3]), (7, (ids[3], false)));
    let Err(StoreError::Corrupt { what, .. }) = store.load_user(&ids[3]).await else { panic!("it can be read") };
    assert!(what.contains(&ids[3].to_string()), "{what}");
}

async fn an_account_that_is_removed_is_gone_with_its_link(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let ann = named("ann", now);
    inserted(&store, &ann).await;
    let (link, _) = PasswordLink::issue(&ann, Duration::from_secs(60), &SystemEntropy, now);
    assert!(store.insert_link(&link, &entry()).await.unwrap());
    assert_eq!(store.delete_user(&ann.id, Some(2), &entry()).await.unwrap(), Removal::Raced);
    assert_eq!(store.delete_user(&ann.id, Some(1), &entry()).await.unwrap(), Removal::Removed);
    assert_eq!(store.delete_user(&ann.id, None, &entry()).await.unwrap(), Removal::Absent);
    assert_eq!(store.find_link(&link.digest).await.unwrap(), None);
    assert!(!store.insert_link(&link, &entry()).await.unwrap());
    for table in ["users", "user_looks", "password_links"] {
        assert_eq!(database.count(table).await, 0, "{table}");
    }
}

async fn of_fifty_redemptions_of_one_link_at_once_one_wins(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let now = database.now();
    let ann = named("ann", now);
    inserted(&one, &ann).await;
    let (link, _) = PasswordLink::issue(&ann, Duration::from_secs(60), &SystemEntropy, now);
    assert!(one.insert_link(&link, &entry()).await.unwrap());
    assert_eq!(two.find_link(&link.digest).await.unwrap(), Some(link));
    // One that comes with an older version leaves the link as it is.
    let early = ann.clone().with_password(stored(HASH), false, now);
    assert_eq!(one.redeem_link(&link.digest, &early, &entry()).await.unwrap(), Redemption::Raced);
    let outcomes = at_once((0..50).map(|place| {
        let store = if place % 2 == 0 { one.clone() } else { two.clone() };
        let next = ann.clone().with_password(stored(HASH), false, now).changed(now);
        async move { store.redeem_link(&link.digest, &next, &entry()).await.unwrap() }
    }))
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Redemption::Redeemed).count(), 1);
    assert!(outcomes.iter().all(|outcome| *outcome != Redemption::Raced), "{outcomes:?}");
    let now_has = one.load_user(&ann.id).await.unwrap().unwrap();
    assert_eq!((now_has.version, now_has.password_version), (2, 1));
}

async fn a_link_takes_the_place_of_the_former_and_expired_ones_are_purged(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let (ann, bob) = (named("ann", now), named("bob", now));
    inserted(&store, &ann).await;
    inserted(&store, &bob).await;
    let issue = |user, seconds| PasswordLink::issue(user, Duration::from_secs(seconds), &SystemEntropy, now).0;
    let (former, latter, other) = (issue(&ann, 60), issue(&ann, 61), issue(&bob, 10));
    for link in [&former, &latter, &other] {
        assert!(store.insert_link(link, &entry()).await.unwrap());
    }
    assert_eq!(store.find_link(&former.digest).await.unwrap(), None);
    assert_eq!(store.find_link(&latter.digest).await.unwrap(), Some(latter));
    store.purge_expired(now.plus(Duration::from_secs(11))).await.unwrap();
    assert_eq!(store.find_link(&other.digest).await.unwrap(), None);
    assert_eq!(store.find_link(&latter.digest).await.unwrap(), Some(latter));
    // The token itself is nowhere.
    assert_eq!(database.count("password_links").await, 1);
}

async fn each_change_leaves_its_row_in_the_audit_log_and_a_refused_one_none(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let before = database.count("audit_log").await;
    let ann = named("ann", now);
    let act = |name: &str| Entry { subject: name.to_owned(), ..entry() };
    assert_eq!(store.insert_user(&ann, &act("1")).await.unwrap(), UserInsert::Inserted);
    assert_eq!(store.insert_user(&named("ANN", now), &act("no")).await.unwrap(), UserInsert::Taken(Taken::Username));
    let next = ann.clone().changed(now);
    assert_eq!(store.update_user(&next, &act("2")).await.unwrap(), UserSwap::Swapped);
    assert_eq!(store.update_user(&next, &act("no")).await.unwrap(), UserSwap::Raced);
    let (link, _) = PasswordLink::issue(&next, Duration::from_secs(60), &SystemEntropy, now);
    assert!(store.insert_link(&link, &act("3")).await.unwrap());
    let redeemed = next.with_password(stored(HASH), false, now).changed(now);
    assert_eq!(store.redeem_link(&link.digest, &redeemed, &act("4")).await.unwrap(), Redemption::Redeemed);
    assert_eq!(store.redeem_link(&link.digest, &redeemed, &act("no")).await.unwrap(), Redemption::Gone);
    assert!(store.keep_hash(&ann.id, &stored(HASH), &stored(OTHER_HASH)).await.unwrap());
    assert_eq!(store.delete_user(&ann.id, Some(1), &act("no")).await.unwrap(), Removal::Raced);
    assert_eq!(store.delete_user(&ann.id, None, &act("5")).await.unwrap(), Removal::Removed);
    let subjects = database.sql("SELECT subject FROM audit_log ORDER BY number").await;
    assert_eq!(subjects[before..], ["1", "2", "3", "4", "5"]);
}

async fn each_change_of_an_account_that_there_was_is_told_to_who_follows(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let ann = named("ann", now);
    let told = async || store.changes_after(0).await.unwrap().changes.unwrap().len();
    inserted(&store, &ann).await;
    assert_eq!(told().await, 0, "a new one is known to nobody");
    let next = ann.clone().changed(now);
    assert_eq!(store.update_user(&next, &entry()).await.unwrap(), UserSwap::Swapped);
    assert_eq!(store.update_user(&next, &entry()).await.unwrap(), UserSwap::Raced);
    let (link, _) = PasswordLink::issue(&next, Duration::from_secs(60), &SystemEntropy, now);
    assert!(store.insert_link(&link, &entry()).await.unwrap());
    assert_eq!(told().await, 1);
    let redeemed = next.with_password(stored(HASH), false, now).changed(now);
    assert_eq!(store.redeem_link(&link.digest, &redeemed, &entry()).await.unwrap(), Redemption::Redeemed);
    assert_eq!(store.redeem_link(&link.digest, &redeemed, &entry()).await.unwrap(), Redemption::Gone);
    // Another hash of the same password is no change of the account.
    assert!(store.keep_hash(&ann.id, &stored(HASH), &stored(OTHER_HASH)).await.unwrap());
    assert_eq!(told().await, 3, "another password ends sessions besides");
    assert_eq!(store.delete_user(&ann.id, None, &entry()).await.unwrap(), Removal::Removed);
    assert_eq!(store.delete_user(&ann.id, None, &entry()).await.unwrap(), Removal::Absent);
    let changes = store.changes_after(0).await.unwrap().changes;
    let told_of = || Change::User(ann.id.to_string());
    assert_eq!(
        changes,
        Some(vec![told_of(), told_of(), Change::Revocations, told_of(), Change::Revocations]),
        "what was refused left no gap"
    );
}
