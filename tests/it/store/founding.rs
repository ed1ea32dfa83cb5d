//! Founding: the first clients and the fact that there are some, together and once.

use serde_json::json;
use signet::clients::{ClientStore, Insert};

use super::{Database, at_once, client, contract, entry, head};

contract! {
    of_two_foundings_at_once_one_wins,
    a_founding_whose_identifier_is_taken_founds_nothing,
}

async fn of_two_foundings_at_once_one_wins(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    assert!(!one.is_founded().await.unwrap());
    let now = database.now();
    let outcomes = at_once([("first", one.clone()), ("second", two)].map(|(id, store)| {
        let admin = client(id, json!({"access": {"https://as.example/admin": "keys:read"}}), now);
        let (own, all) = (client(&format!("{id}-login"), json!({}), now), admin.clone());
        async move { (store.found(&[all, own], &entry()).await.unwrap(), admin) }
    }))
    .await;
    assert!(one.is_founded().await.unwrap());
    for (outcome, admin) in &outcomes {
        let expected = (*outcome == Insert::Inserted).then_some(admin);
        assert_eq!(one.load_client(&admin.id).await.unwrap().as_ref(), expected);
    }
    assert_eq!(database.count("clients").await, 2, "the two of one of them");
    assert_eq!(head(&one).await, 2, "a change for each");
    let late = client("late", json!({}), now);
    assert_eq!(one.found(std::slice::from_ref(&late), &entry()).await.unwrap(), Insert::Exists);
    assert_eq!(one.load_client(&late.id).await.unwrap(), None);
}

async fn a_founding_whose_identifier_is_taken_founds_nothing(database: &Database) {
    let store = database.open().await;
    let admin = client("admin", json!({}), database.now());
    assert_eq!(store.insert_client(&admin, &entry()).await.unwrap(), Insert::Inserted);
    let other = client("other", json!({}), database.now());
    for taken in [[admin.clone(), other.clone()], [other.clone(), admin.clone()]] {
        assert_eq!(store.found(&taken, &entry()).await.unwrap(), Insert::Exists);
        assert!(!store.is_founded().await.unwrap());
        assert_eq!(store.load_client(&other.id).await.unwrap(), None);
    }
}
