//! Sessions through the API: who is signed in, by person and by client, and what ends.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use signet::tokens::session::{SessionId, SessionStore};

use super::people::{People, RIGHT, text};
use super::{assert_problem, done, on_both};
use crate::app::Backend;
use crate::world::ORDERS;

const SESSIONS: &str = "/admin/v1/sessions";

on_both! {
    sessions_are_seen_by_person_and_by_client_and_ended,
    a_session_whose_record_is_damaged_ends_by_its_name,
}

/// The names of all sessions of a list, read by pages of that size.
async fn names(people: &People, filter: &str, size: usize) -> BTreeSet<String> {
    let (mut names, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = people.api.get(&format!("{SESSIONS}?{filter}&page_size={size}{cursor}")).await;
        done(&page);
        for item in page.body["items"].as_array().unwrap() {
            assert!(names.insert(text(&item["session_id"]).to_owned()), "on two pages");
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return names,
        }
    }
}

fn sid_of(tokens: &Value) -> SessionId {
    SessionId::parse(text(&tokens["session_id"])).unwrap()
}

async fn sessions_are_seen_by_person_and_by_client_and_ended(backend: Backend) {
    let people = People::on(backend).await;
    let api = &people.api;
    let (ann, bob) = (people.person("ann").await, people.person("bob").await);
    let mut anns = Vec::new();
    for _ in 0..5 {
        anns.push(people.login("ann", RIGHT).await);
    }
    let anns_other = people.login_elsewhere("ann").await;
    let bobs = people.login("bob", RIGHT).await;
    let name = |tokens: &Value| text(&tokens["session_id"]).to_owned();
    let of_ann: BTreeSet<String> = anns.iter().chain([&anns_other]).map(name).collect();
    for size in [1, 2, 200] {
        assert_eq!(names(&people, &format!("user={ann}"), size).await, of_ann);
        assert_eq!(names(&people, &format!("user={bob}"), size).await, BTreeSet::from([name(&bobs)]));
        assert_eq!(names(&people, "client=other", size).await, BTreeSet::from([name(&anns_other)]));
        assert_eq!(names(&people, "client=login", size).await.len(), 6);
    }
    assert_eq!(names(&people, "client=nobody", 7).await, BTreeSet::new());

    let path = |tokens: &Value| format!("{SESSIONS}/{}", text(&tokens["session_id"]));
    let shown = api.get(&path(&bobs)).await;
    done(&shown);
    let at = "2027-01-15T08:00:00Z";
    let mut expected = json!({
        "session_id": bobs["session_id"], "user": bob, "client_id": "login", "resource": ORDERS, "scope": "orders:read",
        "address": "127.0.0.0/24", "created_at": at, "auth_time": at, "last_used_at": at, "delivery": "body",
    });
    // It stands in the settings, and what the program of this test calls itself is no matter here.
    for member in ["expires_at", "device"] {
        if let Some(told) = shown.body.get(member) {
            expected[member] = told.clone();
        }
    }
    // Moments may be told to the millisecond once a link has been redeemed.
    for member in ["created_at", "auth_time", "last_used_at"] {
        assert!(text(&shown.body[member]).starts_with("2027-01-15T08:00:0"), "{}", shown.text);
        expected[member] = shown.body[member].clone();
    }
    assert_eq!(shown.body, expected);
    assert!(!shown.text.contains("srt_") && shown.body["expires_at"].is_string(), "{}", shown.text);

    let ended = api.change("DELETE", &format!("{}?reason=lost+phone", path(&anns[0])), None, json!(null)).await;
    assert_eq!((ended.status.as_u16(), ended.text.as_str()), (204, ""));
    let row = &api.rows().await[0];
    assert_eq!(
        (row.act.as_str(), row.reason.as_str(), row.subject.clone()),
        ("sessions.end", "lost phone", name(&anns[0]))
    );
    assert_eq!((&row.actor, row.request_id.as_deref()), (&api.admin.client_id, ended.header("x-request-id")));
    assert_problem(&people.refresh(&anns[0]).await, 401, "invalid_refresh_token");
    assert_problem(&people.me(&anns[0]).await, 401, "invalid_token");
    assert_problem(&api.get(&path(&anns[0])).await, 404, "no_such_session");
    assert_problem(&api.change("DELETE", &path(&anns[0]), None, json!(null)).await, 404, "no_such_session");
    assert_eq!(people.me(&anns[1]).await.status, 200);

    let at_other = api.change("DELETE", &format!("{SESSIONS}?client=other"), None, json!(null)).await;
    assert_eq!((at_other.status.as_u16(), &at_other.body), (200, &json!({"ended": 1})));
    assert_problem(&people.refresh_elsewhere(&anns_other).await, 401, "invalid_refresh_token");
    let of_ann = api.change("DELETE", &format!("{SESSIONS}?user={ann}&reason=drill"), None, json!(null)).await;
    assert_eq!((of_ann.status.as_u16(), &of_ann.body), (200, &json!({"ended": 4})));
    for tokens in &anns {
        assert_problem(&people.refresh(tokens).await, 401, "invalid_refresh_token");
    }
    assert_eq!(people.refresh(&bobs).await.status, 200, "another person's lives");
    let again = api.change("DELETE", &format!("{SESSIONS}?user={ann}"), None, json!(null)).await;
    assert_eq!(again.body, json!({"ended": 0}));
    people.stop().await;
}

#[actix_web::test]
async fn a_list_is_of_one_person_or_of_one_client() {
    let people = People::start().await;
    let api = &people.api;
    let id = people.person("ann").await;
    people.login("ann", RIGHT).await;
    people.login("ann", RIGHT).await;
    let rows = api.rows().await.len();
    for method in ["GET", "DELETE"] {
        for query in ["", "?user=", "?user=ann", "?client=", "?client=a%20b", &format!("?user={id}&client=login")] {
            let refused = api.change(method, &format!("{SESSIONS}{query}"), None, json!(null)).await;
            assert_problem(&refused, 400, "invalid_parameter");
        }
        let unknown = format!("{SESSIONS}?user={id}&sid=x");
        assert_problem(&api.change(method, &unknown, None, json!(null)).await, 400, "unknown_parameter");
        let body = api.change(method, &format!("{SESSIONS}?user={id}"), None, json!({"reason": "x"})).await;
        assert_problem(&body, 400, "unexpected_body");
    }
    for path in [SESSIONS.to_owned() + "?user=" + &id, format!("{SESSIONS}/x")] {
        assert_problem(&api.change("DELETE", &path, Some("*"), json!(null)).await, 400, "unexpected_if_match");
    }
    for sid in ["x", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB"] {
        assert_problem(&api.get(&format!("{SESSIONS}/{sid}")).await, 404, "no_such_session");
    }
    let cursor = api.get(&format!("{SESSIONS}?user={id}&page_size=1")).await.body["next_cursor"].clone();
    let elsewhere = format!("{SESSIONS}?client=login&page_size=1&cursor={}", text(&cursor));
    assert_problem(&api.get(&elsewhere).await, 400, "invalid_cursor");
    assert_eq!(api.rows().await.len(), rows);
    people.stop().await;
}

async fn a_session_whose_record_is_damaged_ends_by_its_name(backend: Backend) {
    let people = People::on(backend).await;
    let api = &people.api;
    let ann = people.person("ann").await;
    let (damaged, other) = (people.login("ann", RIGHT).await, people.login("ann", RIGHT).await);
    let name = |tokens: &Value| text(&tokens["session_id"]).to_owned();
    let path = format!("{SESSIONS}/{}", name(&damaged));
    let sid = format!("{:032x}", u128::from_be_bytes(*sid_of(&damaged).as_bytes()));
    let sid = if backend == Backend::Sqlite { format!("X'{sid}'") } else { format!("'\\x{sid}'") };
    api.installation.execute(&format!("UPDATE sessions SET record = substr(record, 1, 3) WHERE sid = {sid}")).await;
    assert_eq!(names(&people, &format!("user={ann}"), 10).await, BTreeSet::from([name(&other)]));
    assert_problem(&api.get(&path).await, 500, "server_error");
    assert_problem(&people.refresh(&damaged).await, 500, "server_error");
    let ended = api.change("DELETE", &format!("{path}?reason=damaged"), None, json!(null)).await;
    assert_eq!((ended.status.as_u16(), ended.text.as_str()), (204, ""));
    let row = &api.rows().await[0];
    assert_eq!(
        (row.act.as_str(), row.reason.as_str(), row.subject.clone()),
        ("sessions.end", "damaged", name(&damaged))
    );
    let detail: Value = serde_json::from_str(&row.detail).unwrap();
    assert_eq!(detail, json!({"why": "admin", "damaged": true, "sessions": [name(&damaged)]}));
    assert_problem(&api.get(&path).await, 404, "no_such_session");
    assert_problem(&api.change("DELETE", &path, None, json!(null)).await, 404, "no_such_session");
    assert_problem(&people.refresh(&damaged).await, 401, "invalid_refresh_token");
    let stored = SessionStore::load(&api.world.opened.store, sid_of(&damaged)).await;
    assert_eq!(stored.unwrap(), None, "the record is gone");
    assert_eq!(people.refresh(&other).await.status, 200, "the other one lives");
    people.stop().await;
}
