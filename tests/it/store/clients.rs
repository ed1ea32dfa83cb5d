//! Clients: every kind of them, versions, and pages of them.

use std::time::Duration;

use serde_json::{Value, json};
use signet::clients::{
    Client, ClientAuthentication, ClientId, ClientStore, Insert, Removal, ResourceStore, SecretMethod, SecretOrigin,
    Swap,
};
use signet::keys::{KeySpec, RsaBits, generate};
use signet::ports::{StoreError, SystemEntropy};
use signet::store::sql::SqlStore;

use super::{Database, at_once, client, contract, entry, head, refusal, registered};

contract! {
    every_kind_of_client_comes_back_as_it_was_stored,
    an_identifier_that_is_taken_stays_with_its_client,
    a_client_is_changed_only_from_the_version_before,
    of_fifty_changes_of_a_client_at_once_one_wins_each_version,
    a_client_that_names_an_unknown_resource_is_refused_and_nothing_changes,
    clients_are_listed_by_the_bytes_of_their_identifiers,
    a_client_that_is_removed_is_gone_with_its_links,
    a_damaged_client_is_named,
}

const ORDERS: &str = "https://orders.example";
const BILLS: &str = "https://bills.example/'\"%";

fn jwk(spec: KeySpec, kid: Option<&str>, with_algorithm: bool) -> Value {
    let mut public = generate(spec, &SystemEntropy).unwrap().public;
    public.kid = kid.map(str::to_owned);
    if !with_algorithm {
        public.algorithm = None;
    }
    public.to_json()
}

fn id(text: &str) -> ClientId {
    ClientId::parse(text).unwrap()
}

async fn load(store: &SqlStore, of: &Client) -> Option<Client> {
    store.load_client(&of.id).await.unwrap()
}

/// One of every kind.
fn kinds(database: &Database) -> Vec<Client> {
    let now = database.now();
    let roll =
        |client: Client, origin| client.roll_secret(origin, Duration::from_secs(3_600), &SystemEntropy, now).unwrap().0;
    let name = format!("O'Neill \"& Söhne\" 🔏 \\ %s {}", "ж".repeat(175));
    assert_eq!(name.chars().count(), 200);
    let access = json!({ORDERS: "read write", BILLS: "", "https://as.example/admin": "keys:read"});
    let basic = client("basic", json!({"client_name": name, "access": access, "serves": [BILLS]}), now);
    let two_secrets = roll(roll(basic, SecretOrigin::FirstStart), SecretOrigin::Issued);
    let bare = client("post", json!({"token_endpoint_auth_method": "client_secret_post", "grant_types": []}), now);
    let post = roll(bare.clone(), SecretOrigin::Issued).with_enabled(false, now.plus(Duration::from_millis(1)));
    let jwt = |id: &str, algorithm: Option<&str>, keys: Vec<Value>| {
        let mut metadata = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": keys}});
        if let Some(algorithm) = algorithm {
            metadata["token_endpoint_auth_signing_alg"] = json!(algorithm);
        }
        client(id, metadata, now)
    };
    let rsa = KeySpec::Rs256(RsaBits::B2048);
    let public = json!({"token_endpoint_auth_method": "none", "first_party": true, "rotate_refresh_tokens": true,
        "web_origins": ["https://app.example", "http://[::1]:3000"]});
    vec![
        two_secrets,
        post,
        client("public", public, now),
        Client { id: id("no-secret-yet"), ..bare },
        jwt("any", None, vec![jwk(KeySpec::Es256, Some("a \"b\" 🔑"), true), jwk(rsa, None, false)]),
        jwt("rs256", Some("RS256"), vec![jwk(rsa, Some("k"), true)]),
        jwt("ps256", Some("PS256"), vec![jwk(rsa, Some("k"), false)]),
        jwt("es384", Some("ES384"), vec![jwk(KeySpec::Es384, None, true)]),
        jwt("ed25519", Some("Ed25519"), vec![jwk(KeySpec::Ed25519, None, false)]),
    ]
}

async fn every_kind_of_client_comes_back_as_it_was_stored(database: &Database) {
    let store = database.open().await;
    for resource in [ORDERS, BILLS] {
        registered(&store, resource, database.now()).await;
    }
    for client in kinds(database) {
        assert_eq!(load(&store, &client).await, None);
        assert_eq!(store.insert_client(&client, &entry()).await.unwrap(), Insert::Inserted);
        assert_eq!(load(&store, &client).await.as_ref(), Some(&client), "{}", client.id);
        // And as the next version of another kind.
        let all = json!({"access": {ORDERS: "read"}});
        let fresh = super::client("x", all, database.now());
        let next = Client { id: client.id.clone(), version: client.version + 1, ..fresh };
        assert_eq!(store.update_client(&next, &entry()).await.unwrap(), Swap::Swapped);
        assert_eq!(load(&store, &client).await.as_ref(), Some(&next));
        let again = Client { version: next.version + 1, ..client };
        assert_eq!(store.update_client(&again, &entry()).await.unwrap(), Swap::Swapped);
        assert_eq!(load(&store, &again).await.as_ref(), Some(&again));
    }
    // A secret's digest and its ends come back to the bit; the secret itself is nowhere.
    let basic = store.load_client(&id("basic")).await.unwrap().unwrap();
    let ClientAuthentication::Secret { method: SecretMethod::Basic, secrets } = &basic.authentication else { panic!() };
    assert_eq!(secrets.len(), 2);
    assert_eq!((secrets[0].expires_at, secrets[0].origin), (None, SecretOrigin::Issued));
    let end = database.now().plus(Duration::from_secs(3_600));
    assert_eq!((secrets[1].expires_at, secrets[1].origin), (Some(end), SecretOrigin::FirstStart));
    assert!(!database.sql("SELECT secrets FROM clients").await.concat().contains("scs_"));
}

async fn an_identifier_that_is_taken_stays_with_its_client(database: &Database) {
    let store = database.open().await;
    let outcomes = at_once((0..20).map(|place| {
        let (store, now) = (store.clone(), database.now());
        async move {
            let new = client("same", json!({"client_name": format!("number {place}")}), now);
            (store.insert_client(&new, &entry()).await.unwrap(), new)
        }
    }))
    .await;
    let inserted: Vec<_> = outcomes.iter().filter(|(outcome, _)| *outcome == Insert::Inserted).collect();
    assert_eq!(inserted.len(), 1);
    assert_eq!(load(&store, &inserted[0].1).await.as_ref(), Some(&inserted[0].1));
    assert_eq!(head(&store).await, 1);
    // Identifiers are told apart by their bytes.
    let other = client("SAME", json!({}), database.now());
    assert_eq!(store.insert_client(&other, &entry()).await.unwrap(), Insert::Inserted);
}

async fn a_client_is_changed_only_from_the_version_before(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let first = client("shop", json!({"client_name": "one"}), now);
    assert_eq!(store.update_client(&first, &entry()).await.unwrap(), Swap::Raced, "there is none");
    assert_eq!(store.insert_client(&first, &entry()).await.unwrap(), Insert::Inserted);
    let next = first.clone().with_enabled(false, now.plus(Duration::from_secs(1)));
    for version in [0, 1, 3] {
        let wrong = Client { version, ..next.clone() };
        assert_eq!(store.update_client(&wrong, &entry()).await.unwrap(), Swap::Raced, "{version}");
    }
    assert_eq!(load(&store, &first).await, Some(first));
    assert_eq!(store.update_client(&next, &entry()).await.unwrap(), Swap::Swapped);
    assert_eq!(store.update_client(&next, &entry()).await.unwrap(), Swap::Raced, "the same change twice");
    assert_eq!(load(&store, &next).await, Some(next));
    assert_eq!(head(&store).await, 3, "each change, and the end of the sessions of one that is disabled");
}

async fn of_fifty_changes_of_a_client_at_once_one_wins_each_version(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let now = database.now();
    let first = client("shop", json!({}), now);
    assert_eq!(one.insert_client(&first, &entry()).await.unwrap(), Insert::Inserted);
    for version in 2..5 {
        let outcomes = at_once((0..50).map(|place| {
            let store = if place % 2 == 0 { one.clone() } else { two.clone() };
            let next = Client { version, name: format!("{version} by {place}"), ..first.clone() };
            async move { (store.update_client(&next, &entry()).await.unwrap(), next) }
        }))
        .await;
        let won: Vec<_> = outcomes.into_iter().filter(|(outcome, _)| *outcome == Swap::Swapped).collect();
        assert_eq!(won.len(), 1);
        assert_eq!(load(&two, &first).await.as_ref(), Some(&won[0].1));
    }
    assert_eq!(head(&one).await, 4);
}

async fn a_client_that_names_an_unknown_resource_is_refused_and_nothing_changes(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    registered(&store, ORDERS, now).await;
    let known = client("known", json!({"access": {ORDERS: "read"}}), now);
    assert_eq!(store.insert_client(&known, &entry()).await.unwrap(), Insert::Inserted);
    let moved = head(&store).await;
    let unknown = "https://unknown.example";
    for metadata in [json!({"access": {ORDERS: "read", unknown: "read"}}), json!({"serves": [ORDERS, unknown]})] {
        let new = client("new", metadata, now);
        let why = refusal(store.insert_client(&new, &entry()).await);
        assert!(why.contains(unknown), "{why}");
        let changed = Client { id: known.id.clone(), version: 2, ..new };
        refusal(store.update_client(&changed, &entry()).await);
    }
    assert_eq!(store.load_client(&id("new")).await.unwrap(), None);
    assert_eq!(load(&store, &known).await, Some(known));
    assert_eq!(database.sql("SELECT resource FROM client_resources").await, [ORDERS]);
    assert_eq!(head(&store).await, moved);
}

async fn clients_are_listed_by_the_bytes_of_their_identifiers(database: &Database) {
    let store = database.open().await;
    let mut names =
        ["a", "A", "b", "B", "a-b", "a.b", "a_b", "a~b", "ab", "0", "9", "Z", "z", "~", "-", "...", "_", "aa"];
    for name in names {
        assert_eq!(
            store.insert_client(&client(name, json!({}), database.now()), &entry()).await.unwrap(),
            Insert::Inserted
        );
    }
    names.sort_unstable();
    let list = async |after: Option<&str>, limit| -> Vec<String> {
        let page = store.list_each_client(after.unwrap_or_default(), limit).await.unwrap();
        page.into_iter()
            .map(|(listed, client)| {
                assert_eq!(client.unwrap().id.as_str(), listed);
                listed
            })
            .collect()
    };
    assert_eq!(list(None, 100).await, names);
    assert_eq!(list(None, 0).await, Vec::<String>::new());
    for size in [1, 5, 6, 17, 18] {
        let mut all: Vec<String> = Vec::new();
        loop {
            let page = list(all.last().map(String::as_str), size).await;
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= size as usize);
            all.extend(page);
        }
        assert_eq!(all, names, "by {size}");
    }
    assert_eq!(list(Some("a_c"), 1).await, ["aa"], "from an identifier that is not there");
    assert_eq!(list(Some(names[names.len() - 1]), 5).await, Vec::<String>::new());
    assert_eq!(list(Some(names[names.len() - 2]), 5).await, names[names.len() - 1..]);
}

async fn a_client_that_is_removed_is_gone_with_its_links(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let orders = registered(&store, ORDERS, now).await;
    let shop = client("shop", json!({"access": {ORDERS: "read"}, "serves": [ORDERS]}), now);
    assert_eq!(store.delete_client(&shop.id, None, &entry()).await.unwrap(), Removal::Absent);
    assert_eq!(store.insert_client(&shop, &entry()).await.unwrap(), Insert::Inserted);
    assert_eq!(store.delete_client(&shop.id, None, &entry()).await.unwrap(), Removal::Removed);
    assert_eq!(store.delete_client(&shop.id, None, &entry()).await.unwrap(), Removal::Absent);
    assert_eq!(load(&store, &shop).await, None);
    assert_eq!(database.count("client_resources").await, 0);
    assert_eq!(head(&store).await, 4, "what removed nothing is no change, and a removal ends sessions too");
    assert_eq!(store.delete_resource(&orders.id, None, &entry()).await.unwrap(), Removal::Removed);
}

async fn a_damaged_client_is_named(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let jwt = json!({"token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [jwk(KeySpec::Ed25519, None, true)]}});
    let mut damages = vec![
        ("auth_method", "'tls_client_auth'"),
        ("web_origins", "'{}'"),
        ("web_origins", "'[\"null\"]'"),
        ("auth_algorithm", "'HS256'"),
        ("auth_algorithm", "'RS256'"),
        ("jwks", "NULL"),
        ("jwks", "'{}'"),
        ("grant_types", "'implicit'"),
        ("access", "'{'"),
        ("access", "'{\"urn:x\":\"a  b\"}'"),
        ("serves", "'{}'"),
    ];
    if database.backend == crate::app::Backend::Sqlite {
        damages.push(("version", "'one'"));
    }
    for (column, value) in damages {
        database.sql("DELETE FROM clients").await;
        assert_eq!(store.insert_client(&client("shop", jwt.clone(), now), &entry()).await.unwrap(), Insert::Inserted);
        database.sql(&format!("UPDATE clients SET {column} = {value}")).await;
        let (listed, client) = store.list_each_client("", 9).await.unwrap().remove(0);
        assert_eq!(listed, "shop");
        for outcome in [store.load_client(&id("shop")).await.map(drop), client.map(drop)] {
            match outcome {
                Err(StoreError::Corrupt { what, .. }) => assert!(what.contains("shop"), "{column}: {what}"),
                other => panic!("{column} = {value}: {other:?}"),
            }
        }
    }
    database.sql("DELETE FROM clients").await;
    assert_eq!(store.insert_client(&client("shop", json!({}), now), &entry()).await.unwrap(), Insert::Inserted);
    for secrets in ["'x'", "'[{\"sha256\":\"AA\",\"created_at\":1}]'"] {
        database.sql(&format!("UPDATE clients SET secrets = {secrets}")).await;
        let found = store.load_client(&id("shop")).await;
        assert!(matches!(found, Err(StoreError::Corrupt { what, .. }) if what.contains("shop")));
    }
}
