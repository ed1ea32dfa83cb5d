//! Text: what people write comes back as written, and what no database keeps is refused on both alike.

use serde_json::json;
use signet::clients::{Client, ClientMetadata, ClientStore, Insert, Resource, ResourceStore};
use signet_verify::Algorithm;

use super::{Database, client, contract, entry, head, issuer, refusal, resource};

contract! {
    text_comes_back_as_it_was_written,
    text_with_nul_is_refused_by_the_store_too,
}

const TEXTS: [&str; 8] = [
    "",
    "'; DROP TABLE clients; --",
    "\"double\" and 'single' and `back`",
    "back\\slash \\0 \\x00 %s $1 ?1 :a @b",
    "🔏🧾👩‍👩‍👧‍👦 e\u{301} \u{202e}right to left",
    "\u{10ffff}\u{feff}\u{fffd}",
    " \t leading and trailing \n ",
    "NULL",
];

async fn text_comes_back_as_it_was_written(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    for (place, text) in TEXTS.into_iter().chain([&*"🔏".repeat(200)]).enumerate() {
        let new = Client { name: text.to_owned(), ..client(&format!("c{place}"), json!({}), now) };
        assert_eq!(store.insert_client(&new, &entry()).await.unwrap(), Insert::Inserted);
        assert_eq!(store.load_client(&new.id).await.unwrap(), Some(new));
        let new = Resource { name: text.to_owned(), ..resource("urn:only", now) };
        assert_eq!(store.insert_resource(&new, &entry()).await.unwrap(), Insert::Inserted);
        assert_eq!(store.load_resources().await.unwrap(), std::slice::from_ref(&new));
        let _ = store.delete_resource(&new.id, None, &entry()).await.unwrap();
    }
}

async fn text_with_nul_is_refused_by_the_store_too(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let shop = client("shop", json!({}), now);
    assert_eq!(store.insert_client(&shop, &entry()).await.unwrap(), Insert::Inserted);
    let moved = head(&store).await;
    let name = || "sh\0op".to_owned();
    let new = Client { name: name(), ..client("new", json!({}), now) };
    let changed = Client { name: name(), version: 2, ..shop.clone() };
    let named = Resource { name: name(), ..resource("urn:new", now) };
    for why in [
        refusal(store.insert_client(&new, &entry()).await),
        refusal(store.update_client(&changed, &entry()).await),
        refusal(store.insert_resource(&named, &entry()).await),
        refusal(store.found(std::slice::from_ref(&new), &entry()).await),
    ] {
        assert!(why.contains("NUL"), "{why}");
    }
    assert_eq!(store.load_client(&shop.id).await.unwrap(), Some(shop));
    assert_eq!((database.count("clients").await, database.count("resources").await), (1, 0));
    assert_eq!(head(&store).await, moved);
}

#[test]
fn text_with_nul_is_refused_before_any_store_sees_it() {
    let now = signet::ports::Timestamp::from_secs(0);
    for metadata in [
        json!({"client_name": "a\0b"}),
        json!({"access": {"urn:a\0b": "read"}}),
        json!({"access": {"urn:a": "re\0ad"}}),
        json!({"serves": ["urn:a\0b"]}),
    ] {
        let metadata: ClientMetadata = serde_json::from_value(metadata).unwrap();
        let id = signet::clients::ClientId::parse("x").unwrap();
        assert!(metadata.register(id, &issuer(), now).is_err(), "{metadata:?}");
    }
    assert!(signet::clients::ClientId::parse("a\0b").is_err());
    let named = Resource { name: "a\0b".to_owned(), ..resource("urn:a", now) };
    assert!(named.check(std::time::Duration::from_secs(1), &Algorithm::ALL).is_err());
}
