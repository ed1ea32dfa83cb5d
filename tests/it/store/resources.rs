//! Resources: versions, and none that goes while a client names it.

use std::time::Duration;

use serde_json::json;
use signet::clients::{
    ClientId, ClientStore, Insert, PersonClaims, Removal, Resource, ResourceId, ResourceStore, ScopeSet, Swap,
};
use signet::ports::StoreError;
use signet_verify::Algorithm;

use super::{Database, at_once, client, contract, entry, head, issuer, registered, resource};

contract! {
    a_resource_comes_back_as_it_was_stored,
    a_resource_is_changed_only_from_the_version_before,
    a_resource_that_is_not_there_is_absent,
    a_resource_in_use_stays,
    a_client_and_the_end_of_its_resource_never_both_succeed,
    a_damaged_resource_is_named,
}

const ORDERS: &str = "https://orders.example";

async fn a_resource_comes_back_as_it_was_stored(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let plain = resource("urn:plain", now);
    let name = format!("O'Neill \"& Söhne\" 🧾 {}", "ж".repeat(180));
    let full = Resource {
        name: name.clone(),
        scopes: ScopeSet::parse("orders:read !#$%&'()*+,-./[]^_`{|}~").unwrap(),
        token_lifetime: Some(Duration::from_secs(86_400)),
        algorithm: Some(Algorithm::Ed25519),
        claims: PersonClaims::of(["email", "roles", "username", "attributes.a:/-._b", "attributes.z"]).unwrap(),
        ..resource("https://orders.example/'\"%?x=🧾".split('🧾').next().unwrap(), now)
    };
    assert_eq!(name.chars().count(), 200);
    full.check(Duration::from_secs(86_400), &Algorithm::ALL).unwrap();
    let bare = Resource { scopes: ScopeSet::default(), ..resource("https://bare.example", now) };
    for resource in [&plain, &full, &bare] {
        assert_eq!(store.insert_resource(resource, &entry()).await.unwrap(), Insert::Inserted);
    }
    assert_eq!(store.load_resources().await.unwrap(), [bare, full.clone(), plain]);

    let moved = head(&store).await;
    let taken = Resource { name: "another".to_owned(), ..full.clone() };
    assert_eq!(store.insert_resource(&taken, &entry()).await.unwrap(), Insert::Exists);
    assert_eq!(store.load_resources().await.unwrap()[1], full);
    assert_eq!(head(&store).await, moved);
}

async fn a_resource_is_changed_only_from_the_version_before(database: &Database) {
    let store = database.open().await;
    let first = registered(&store, ORDERS, database.now()).await;
    let next = Resource { version: 2, name: "Orders".to_owned(), token_lifetime: None, ..first.clone() };
    let next = Resource { claims: PersonClaims::of(["roles"]).unwrap(), ..next };
    for version in [1, 3] {
        let outcome = store.update_resource(&Resource { version, ..next.clone() }, &entry()).await.unwrap();
        assert_eq!(outcome, Swap::Raced, "{version}");
    }
    assert_eq!(store.load_resources().await.unwrap(), [first]);
    assert_eq!(store.update_resource(&next, &entry()).await.unwrap(), Swap::Swapped);
    assert_eq!(store.load_resources().await.unwrap(), std::slice::from_ref(&next));
    assert_eq!(store.update_resource(&next, &entry()).await.unwrap(), Swap::Raced);
    let absent = Resource { version: 2, ..resource("urn:absent", database.now()) };
    assert_eq!(store.update_resource(&absent, &entry()).await.unwrap(), Swap::Raced);
    assert_eq!(head(&store).await, 2);
}

async fn a_resource_that_is_not_there_is_absent(database: &Database) {
    let store = database.open().await;
    let resource = registered(&store, ORDERS, database.now()).await;
    let prefix = ResourceId::parse("https://orders.exampl", &issuer()).unwrap();
    assert_eq!(store.delete_resource(&prefix, None, &entry()).await.unwrap(), Removal::Absent);
    assert_eq!(store.delete_resource(&resource.id, None, &entry()).await.unwrap(), Removal::Removed);
    assert_eq!(store.delete_resource(&resource.id, None, &entry()).await.unwrap(), Removal::Absent);
    assert_eq!(store.load_resources().await.unwrap(), []);
    assert_eq!(head(&store).await, 2, "what removed nothing is no change");
}

async fn a_resource_in_use_stays(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let resource = registered(&store, ORDERS, now).await;
    for (id, metadata) in [("gets", json!({"access": {ORDERS: "read"}})), ("serves", json!({"serves": [ORDERS]}))] {
        let named = client(id, metadata, now);
        assert_eq!(store.insert_client(&named, &entry()).await.unwrap(), Insert::Inserted);
        let moved = head(&store).await;
        assert_eq!(store.delete_resource(&resource.id, None, &entry()).await.unwrap(), Removal::InUse, "{id}");
        assert_eq!(head(&store).await, moved);

        // It goes when no client names it any more, by a change or by the client's end.
        let mut unnamed = named.clone().with_enabled(true, now);
        (unnamed.access, unnamed.serves) = Default::default();
        assert_eq!(store.update_client(&unnamed, &entry()).await.unwrap(), Swap::Swapped);
        assert_eq!(store.delete_resource(&resource.id, None, &entry()).await.unwrap(), Removal::Removed, "{id}");
        assert_eq!(store.insert_resource(&resource, &entry()).await.unwrap(), Insert::Inserted);
        let again = signet::clients::Client { version: 3, ..named };
        assert_eq!(store.update_client(&again, &entry()).await.unwrap(), Swap::Swapped);
        assert_eq!(store.delete_resource(&resource.id, None, &entry()).await.unwrap(), Removal::InUse, "{id}");
        assert_eq!(store.delete_client(&again.id, None, &entry()).await.unwrap(), Removal::Removed);
    }
    assert_eq!(store.delete_resource(&resource.id, None, &entry()).await.unwrap(), Removal::Removed);
}

async fn a_client_and_the_end_of_its_resource_never_both_succeed(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let now = database.now();
    for round in 0..10 {
        let orders = registered(&one, ORDERS, now).await;
        let id = format!("client-{round}");
        let new = client(&id, json!({"access": {ORDERS: "read"}, "serves": [ORDERS]}), now);
        let (inserting, deleting) = {
            let (one, two, id) = (one.clone(), two.clone(), orders.id.clone());
            let inserting = actix_web::rt::spawn(async move { one.insert_client(&new, &entry()).await });
            (inserting, actix_web::rt::spawn(async move { two.delete_resource(&id, None, &entry()).await }))
        };
        match (inserting.await.unwrap(), deleting.await.unwrap()) {
            (Ok(Insert::Inserted), Ok(Removal::InUse)) => {
                assert_eq!(
                    one.delete_client(&ClientId::parse(&id).unwrap(), None, &entry()).await.unwrap(),
                    Removal::Removed
                );
                assert_eq!(one.delete_resource(&orders.id, None, &entry()).await.unwrap(), Removal::Removed);
            }
            (Err(StoreError::Refused(_)), Ok(Removal::Removed)) => {
                assert_eq!(one.load_client(&ClientId::parse(&id).unwrap()).await.unwrap(), None);
            }
            other => panic!("{other:?}"),
        }
    }
    let outcomes = at_once((0..2).map(|_| {
        let store = one.clone();
        async move { store.insert_resource(&resource(ORDERS, now), &entry()).await.unwrap() }
    }))
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Insert::Inserted).count(), 1);
}

async fn a_damaged_resource_is_named(database: &Database) {
    let store = database.open().await;
    registered(&store, ORDERS, database.now()).await;
    let mut damages = vec![("scopes", "'a  b'"), ("token_lifetime", "-1"), ("algorithm", "'none'")];
    if database.backend == crate::app::Backend::Sqlite {
        damages.push(("version", "'one'"));
    }
    for (column, value) in damages {
        database.sql("DELETE FROM resources").await;
        registered(&store, ORDERS, database.now()).await;
        database.sql(&format!("UPDATE resources SET {column} = {value}")).await;
        match store.load_resources().await {
            Err(StoreError::Corrupt { what, .. }) => assert!(what.contains(ORDERS), "{column}: {what}"),
            other => panic!("{column} = {value}: {other:?}"),
        }
    }
}
