//! The audit log: a row with every change and none without, numbered in the order of commit, and changed unnoticed by
//! nobody who lacks the master key.

use std::time::Duration;

use serde_json::json;
use signet::audit::{Act, AuditFilter, AuditLog, By, Chain, Head, Verdict};
use signet::clients::{ClientStore, Insert, Removal, ResourceStore, Swap};
use signet::ports::{StoreError, SystemEntropy};
use signet::secret::MasterKey;
use signet::store::sql::{DatabaseUrl, Options, SqlStore};

use super::{Database, at_once, client, contract, entry, refusal, registered, resource};

contract! {
    every_change_leaves_one_row_and_a_change_that_is_not_made_leaves_none,
    changes_at_once_from_two_processes_make_one_chain,
    a_row_keeps_who_what_why_when_and_from_where,
    a_page_is_filtered_and_ends_where_the_next_begins,
    tampering_by_whoever_writes_the_database_is_found,
    nothing_is_changed_without_the_master_key,
    a_head_is_the_same_in_every_process,
}

async fn verdict(store: &SqlStore, noted: Option<Head>) -> Verdict {
    store.verify_audit(noted, |_, _| ()).await.unwrap()
}

async fn every_change_leaves_one_row_and_a_change_that_is_not_made_leaves_none(database: &Database) {
    let store = database.open().await;
    let now = database.now();
    let mut rows = 0;
    let mut expect = async |made: bool| {
        rows += usize::from(made);
        assert_eq!(database.count("audit_log").await, rows);
        let verdict = verdict(&store, None).await;
        assert!(verdict.holds(), "{verdict:?}");
        assert_eq!(verdict.rows, rows as u64);
    };
    let orders = resource("https://orders.example", now);
    assert_eq!(store.insert_resource(&orders, &entry()).await.unwrap(), Insert::Inserted);
    expect(true).await;
    assert_eq!(store.insert_resource(&orders, &entry()).await.unwrap(), Insert::Exists);
    expect(false).await;
    assert_eq!(store.update_resource(&orders, &entry()).await.unwrap(), Swap::Raced);
    expect(false).await;
    let shop = client("shop", json!({"access": {"https://orders.example": "read"}}), now);
    assert_eq!(store.insert_client(&shop, &entry()).await.unwrap(), Insert::Inserted);
    expect(true).await;
    refusal(store.insert_client(&client("b", json!({"serves": ["https://none.example"]}), now), &entry()).await);
    expect(false).await;
    assert_eq!(store.update_client(&shop, &entry()).await.unwrap(), Swap::Raced);
    expect(false).await;
    let changed = shop.clone().with_enabled(false, now);
    assert_eq!(store.update_client(&changed, &entry()).await.unwrap(), Swap::Swapped);
    expect(true).await;
    assert_eq!(store.delete_resource(&orders.id, None, &entry()).await.unwrap(), Removal::InUse);
    expect(false).await;
    assert_eq!(store.delete_client(&shop.id, None, &entry()).await.unwrap(), Removal::Removed);
    expect(true).await;
    assert_eq!(store.delete_client(&shop.id, None, &entry()).await.unwrap(), Removal::Absent);
    expect(false).await;
    assert_eq!(store.delete_resource(&orders.id, None, &entry()).await.unwrap(), Removal::Removed);
    expect(true).await;
}

async fn changes_at_once_from_two_processes_make_one_chain(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let now = database.now();
    let inserts = (0..40).map(|number| {
        let store = if number % 2 == 0 { one.clone() } else { two.clone() };
        let client = client(&format!("c{number}"), json!({}), now);
        async move { store.insert_client(&client, &entry()).await.unwrap() }
    });
    assert!(at_once(inserts).await.iter().all(|outcome| *outcome == Insert::Inserted));
    let verdict = verdict(&one, None).await;
    assert!(verdict.holds(), "{verdict:?}");
    assert_eq!((verdict.rows, verdict.head.number), (40, 40));
}

async fn a_row_keeps_who_what_why_when_and_from_where(database: &Database) {
    let store = database.open().await;
    let by = By::client("c_1", "2001:db8::1", "0190").because("é\"\\ why");
    let entry = by.entry(Act::ClientsCreate, "shop", json!({"b": [1, null], "a": "ü"}));
    let shop = client("shop", json!({}), database.now());
    assert_eq!(store.insert_client(&shop, &entry).await.unwrap(), Insert::Inserted);
    let page = store.audit_page(&AuditFilter::default(), None, 10).await.unwrap();
    let [row] = &page[..] else { panic!("{page:?}") };
    assert_eq!((row.number, row.at, row.act()), (1, database.now(), Some(Act::ClientsCreate)));
    assert_eq!(row.actor().as_ref(), Some(&entry.by.actor));
    assert_eq!((&row.reason, &row.origin, &row.subject), (&entry.by.reason, &entry.by.origin, &entry.subject));
    assert_eq!(row.request_id, entry.by.request_id);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&row.detail).unwrap(), entry.detail);
}

async fn a_page_is_filtered_and_ends_where_the_next_begins(database: &Database) {
    let store = database.open().await;
    for number in 0..9 {
        let id = format!("c{number}");
        let by = if number % 3 == 0 { By::signet("host") } else { By::operator("root", "host") };
        let act = if number % 2 == 0 { Act::ClientsCreate } else { Act::ClientsUpdate };
        let entry = by.entry(act, &id, json!({}));
        let inserted = store.insert_client(&client(&id, json!({}), database.now()), &entry).await.unwrap();
        assert_eq!(inserted, Insert::Inserted);
        database.clock.advance(Duration::from_secs(10));
    }
    let numbers = async |filter: AuditFilter, before, limit| {
        let page = store.audit_page(&filter, before, limit).await.unwrap();
        page.iter().map(|row| row.number).collect::<Vec<_>>()
    };
    let all = AuditFilter::default;
    assert_eq!(numbers(all(), None, 4).await, [9, 8, 7, 6]);
    assert_eq!(numbers(all(), Some(6), 4).await, [5, 4, 3, 2]);
    assert_eq!(numbers(all(), Some(2), 4).await, [1]);
    assert_eq!(numbers(AuditFilter { act: Some(Act::ClientsUpdate), ..all() }, None, 9).await, [8, 6, 4, 2]);
    assert_eq!(numbers(AuditFilter { subject: Some("c3".to_owned()), ..all() }, None, 9).await, [4]);
    let by_root = AuditFilter { actor: Some("root".to_owned()), act: Some(Act::ClientsUpdate), ..all() };
    assert_eq!(numbers(by_root, None, 9).await, [8, 6, 2]);
    let now = database.now();
    let (since, until) = (Some(now.minus(Duration::from_secs(50))), Some(now.minus(Duration::from_secs(20))));
    assert_eq!(numbers(AuditFilter { since, until, ..all() }, None, 9).await, [7, 6, 5]);
}

async fn tampering_by_whoever_writes_the_database_is_found(database: &Database) {
    let store = database.open().await;
    for number in 0..6 {
        registered(&store, &format!("https://r{number}.example"), database.now()).await;
    }
    let noted = store.audit_head().await.unwrap();
    assert!(verdict(&store, Some(noted)).await.holds());
    let found = async |harm: &str, mend: &str| {
        database.sql(harm).await;
        let verdict = verdict(&store, Some(noted)).await;
        assert!(!verdict.holds(), "not found: {harm}");
        for mend in mend.split(';').filter(|mend| !mend.is_empty()) {
            database.sql(mend).await;
        }
        assert!(self::verdict(&store, Some(noted)).await.holds(), "not mended: {mend}");
    };
    found(
        "UPDATE audit_log SET reason = 'x' WHERE number = 3",
        "UPDATE audit_log SET reason = 'a test' WHERE number = 3",
    )
    .await;
    found("UPDATE audit_log SET at = at + 1 WHERE number = 6", "UPDATE audit_log SET at = at - 1 WHERE number = 6")
        .await;
    found(
        "UPDATE audit_log SET number = number + 100 WHERE number IN (3, 4)",
        "UPDATE audit_log SET number = number - 100 WHERE number > 100",
    )
    .await;
    database.sql("CREATE TABLE kept AS SELECT * FROM audit_log").await;
    for number in 1..=6 {
        found(
            &format!("DELETE FROM audit_log WHERE number = {number}"),
            &format!("INSERT INTO audit_log SELECT * FROM kept WHERE number = {number}"),
        )
        .await;
    }
    // A row is added behind the head: it is found, and nothing that would come after it is written.
    let behind = |number: i64| {
        format!(
            "INSERT INTO audit_log SELECT {number}, at, actor_kind, actor, act, subject, reason, origin, request_id, \
             detail, hash, mac, master_key_id FROM audit_log WHERE number = 3"
        )
    };
    for number in [noted.number + 1, noted.number + 4] {
        database.sql(&behind(number)).await;
        for noted in [None, Some(noted)] {
            let found = verdict(&store, noted).await.findings;
            assert_eq!(found.iter().map(|finding| finding.number).collect::<Vec<_>>(), [number], "{found:?}");
        }
        if number == noted.number + 1 {
            let why = store.append(&entry()).await.unwrap_err().to_string();
            assert!(why.contains("audit verify"), "{why}");
        }
        database.sql(&format!("DELETE FROM audit_log WHERE number = {number}")).await;
    }
    assert!(verdict(&store, Some(noted)).await.holds());
    // The tail is cut, and the recorded head with it: the database alone tells of nothing.
    database.sql("CREATE TABLE kept_head AS SELECT * FROM audit_head").await;
    database.sql("DELETE FROM audit_log WHERE number > 4").await;
    database.sql("UPDATE audit_head SET number = 4, hash = (SELECT hash FROM audit_log WHERE number = 4)").await;
    assert!(verdict(&store, None).await.holds());
    assert!(!verdict(&store, Some(noted)).await.holds());
    database.clock.advance(Duration::from_secs(1));
    // What is appended then makes the log long enough again, and still it is not the one that was noted.
    registered(&store, "https://new1.example", database.now()).await;
    registered(&store, "https://new2.example", database.now()).await;
    assert!(verdict(&store, None).await.holds());
    assert!(!verdict(&store, Some(noted)).await.holds());
}

async fn nothing_is_changed_without_the_master_key(database: &Database) {
    let store = database.open().await;
    let url = DatabaseUrl::parse(database.url(), database.folder()).unwrap();
    let options = Options { url, max_connections: 2, timeout: Duration::from_secs(50), create: false };
    let plain = SqlStore::open(&options, std::sync::Arc::new(database.clock.clone())).await.unwrap();
    let shop = client("shop", json!({}), database.now());
    let why = refusal(plain.insert_client(&shop, &entry()).await);
    assert!(why.contains("master key"), "{why}");
    assert_eq!(store.load_client(&shop.id).await.unwrap(), None);
    // Under another master key rows can be written, and don't pass.
    let other = plain.audited_by(Chain::under(&MasterKey::generate(&SystemEntropy).into()).unwrap());
    assert_eq!(other.insert_client(&shop, &entry()).await.unwrap(), Insert::Inserted);
    assert!(!verdict(&store, None).await.holds());
}

async fn a_head_is_the_same_in_every_process(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    assert_eq!(one.audit_head().await.unwrap(), Head::EMPTY);
    registered(&one, "https://r.example", database.now()).await;
    let head = one.known_audit_head().unwrap();
    assert_eq!(two.audit_head().await.unwrap(), head);
    assert_eq!(head.to_string().parse(), Ok(head));
    database.sql("UPDATE audit_head SET hash = hash || hash").await;
    assert!(matches!(two.audit_head().await, Err(StoreError::Corrupt { .. })));
}
