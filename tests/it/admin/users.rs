//! People's accounts through the API: their life, their names, their passwords, and who may touch them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use signet::clients::ADMIN_SCOPES;

use super::people::{People, RIGHT, text};
use super::{answer, assert_problem, change, done, on_both};
use crate::app::Backend;

const USERS: &str = "/admin/v1/users";

on_both! {
    an_account_lives_through_the_api,
    what_is_imported_signs_in_and_what_is_not_is_told_in_its_place,
}

async fn an_account_lives_through_the_api(backend: Backend) {
    let people = People::on(backend).await;
    let api = &people.api;
    let described =
        json!({"username": "Zo\u{eb}", "email": "zoe@example.com", "roles": ["billing"], "attributes": {"x": [1]}});
    let mut body = described.clone();
    (body["password"], body["reason"]) = (json!(RIGHT), json!("new"));
    let created = api.change("POST", USERS, None, body).await;
    assert_eq!((created.status.as_u16(), done(&created)), (201, "\"1\"".to_owned()), "{}", created.text);
    let id = text(&created.body["id"]).to_owned();
    let path = format!("{USERS}/{id}");
    assert_eq!(created.header("location"), Some(path.as_str()));
    let mut whole = described.clone();
    whole["id"] = json!(id);
    whole["enabled"] = json!(true);
    whole["password"] = json!({"hash": "argon2id", "changed_at": "2027-01-15T08:00:00Z", "must_change": true});
    (whole["created_at"], whole["updated_at"]) = (json!("2027-01-15T08:00:00Z"), json!("2027-01-15T08:00:00Z"));
    whole["version"] = json!(1);
    assert_eq!(created.body, whole);
    let shown = api.get(&path).await;
    assert_eq!((done(&shown), &shown.body), ("\"1\"".to_owned(), &whole));
    // It must be changed before anything else.
    assert_problem(&people.try_login("zo\u{eb}", RIGHT).await, 403, "must_change_password");

    let mut changed = json!({"username": "zoe", "reason": "moved"});
    let replaced = api.change("PUT", &path, Some("\"1\""), changed.clone()).await;
    assert_eq!((done(&replaced), &replaced.body["username"]), ("\"2\"".to_owned(), &json!("zoe")));
    assert_eq!((replaced.body.get("email"), replaced.body.get("roles")), (None, None));
    changed["username"] = json!("zoe");
    assert_eq!(
        done(&api.change("PUT", &path, Some("\"2\""), changed).await),
        "\"2\"",
        "what is so already is not changed"
    );

    let link = api.change("POST", &format!("{path}/password-link"), Some("\"2\""), json!({"reason": "forgot"})).await;
    assert_eq!(done(&link), "\"2\"");
    let members: BTreeSet<&String> = link.body.as_object().unwrap().keys().collect();
    assert_eq!(members.into_iter().collect::<Vec<_>>(), ["expires_at", "id", "link_token"]);
    let chosen = json!({"link_token": link.body["link_token"], "new_password": RIGHT});
    assert_eq!(people.auth("password", &chosen).await.status, 204);
    let tokens = people.login("zoe", RIGHT).await;

    let disabled = api.change("POST", &format!("{path}/disable"), Some("*"), json!({"reason": "left"})).await;
    assert_eq!((done(&disabled), &disabled.body["enabled"]), ("\"4\"".to_owned(), &json!(false)));
    assert_problem(&people.refresh(&tokens).await, 401, "invalid_refresh_token");
    assert_problem(&people.me(&tokens).await, 401, "invalid_token");
    assert_problem(&people.try_login("zoe", RIGHT).await, 401, "invalid_credentials");
    assert_eq!(done(&api.change("POST", &format!("{path}/disable"), Some("*"), json!(null)).await), "\"4\"");
    assert_eq!(done(&api.change("POST", &format!("{path}/enable"), Some("\"4\""), json!(null)).await), "\"5\"");
    // A moment later: whoever was signed in at the moment at which it was disabled stays out.
    api.installation.clock.advance(std::time::Duration::from_millis(1_000));
    assert_problem(&people.refresh(&tokens).await, 401, "invalid_refresh_token");
    let tokens = people.login("zoe", RIGHT).await;

    let deleted = api.change("DELETE", &format!("{path}?reason=gone+for+good"), Some("\"5\""), json!(null)).await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    assert_problem(&people.refresh(&tokens).await, 401, "invalid_refresh_token");
    assert_problem(&people.me(&tokens).await, 401, "invalid_token");
    for (method, path, body) in touches(&id) {
        assert_problem(&api.change(method, &path, Some("*"), body).await, 404, "no_such_user");
    }
    assert_problem(&api.get(&path).await, 404, "no_such_user");

    let of_users = |row: &signet::audit::Row| row.act.starts_with("users.") && row.actor_kind == "client";
    let rows: Vec<_> = api.rows().await.into_iter().filter(of_users).collect();
    let told: Vec<_> = rows.iter().rev().map(|row| (row.act.as_str(), row.reason.as_str())).collect();
    let expected = [
        ("users.create", "new"),
        ("users.update", "moved"),
        ("users.issue_link", "forgot"),
        ("users.disable", "left"),
        ("users.enable", ""),
        ("users.delete", "gone for good"),
    ];
    assert_eq!(told, expected);
    assert_eq!(rows[0].request_id.as_deref(), deleted.header("x-request-id"));
    assert!(rows.iter().all(|row| row.subject == id && row.actor == api.admin.client_id));
    people.stop().await;
}

/// Each change of the account, with a body that would do it.
fn touches(id: &str) -> Vec<(&'static str, String, Value)> {
    let at = |rest: &str| format!("{USERS}/{id}{rest}");
    vec![
        ("PUT", at(""), json!({"username": "other"})),
        ("POST", at("/password-link"), json!({})),
        ("POST", at("/disable"), json!({})),
        ("POST", at("/enable"), json!({})),
        ("DELETE", at(""), json!(null)),
    ]
}

#[actix_web::test]
async fn what_can_not_be_an_account_is_refused_with_its_member_and_changes_nothing() {
    let people = People::start().await;
    let api = &people.api;
    let paul = json!({"username": "paul1", "email": "paul@example.com"});
    let paul = api.change("POST", USERS, None, paul).await;
    let path = format!("{USERS}/{}", text(&paul.body["id"]));
    let bob = api.change("POST", USERS, None, json!({"username": "bob"})).await;
    let bob = format!("{USERS}/{}", text(&bob.body["id"]));
    let rows = api.rows().await.len();
    for (body, status, code, member) in [
        (json!({"username": "PAUL1"}), 409, "username_taken", ""),
        (json!({"username": "paull"}), 409, "username_looks_alike", ""),
        (json!({"username": "p", "email": "Paul@EXAMPLE.com"}), 409, "email_taken", ""),
        (json!({"username": "a b"}), 400, "invalid_member", "username"),
        (json!({"username": "a\u{0}"}), 400, "invalid_member", "username"),
        (json!({"username": "p\u{430}ul"}), 400, "invalid_member", "username"),
        (json!({"username": "a".repeat(65)}), 400, "invalid_member", "username"),
        (json!({"username": 5}), 400, "invalid_member", "username"),
        (json!({"username": "x", "email": "x"}), 400, "invalid_member", "email"),
        (json!({"username": "x", "roles": ["a b"]}), 400, "invalid_member", "roles"),
        (json!({"username": "x", "roles": ["signet:nope"]}), 400, "invalid_member", "roles"),
        (json!({"username": "x", "attributes": {"sub": 1}}), 400, "invalid_member", "attributes"),
        (json!({"username": "x", "attributes": {"a": "\u{0}"}}), 400, "invalid_member", "attributes"),
        (json!({"username": "x", "attributes": {"a": "x".repeat(5000)}}), 400, "invalid_member", "attributes"),
        (json!({"email": "x@example.com"}), 400, "missing_member", "username"),
        (json!({"username": "x", "enabled": false}), 400, "unknown_member", "enabled"),
        (json!({"username": "x", "id": "y"}), 400, "unknown_member", "id"),
        (json!({"username": "x", "version": 3}), 400, "unknown_member", "version"),
        (json!({"username": "x", "password_hash": "y"}), 400, "unknown_member", "password_hash"),
    ] {
        for (method, path, tag) in [("POST", USERS, None), ("PUT", bob.as_str(), Some("*"))] {
            let refused = api.change(method, path, tag, body.clone()).await;
            assert_eq!(refused.body["code"], code, "{method} {body}: {}", refused.text);
            assert_problem(&refused, status, code);
            assert_eq!(
                refused.body["member"].as_str().unwrap_or_default(),
                member,
                "{method} {body}: {}",
                refused.text
            );
        }
    }
    for (password, reason) in
        [("sh0rt", "too_short"), ("passwordpassword", "guessable"), ("paul2 paul2 paul2", "personal")]
    {
        let refused = api.change("POST", USERS, None, json!({"username": "paul2", "password": password})).await;
        assert_problem(&refused, 422, "password_refused");
        assert_eq!((&refused.body["member"], &refused.body["reason"]), (&json!("password"), &json!(reason)));
        assert!(!refused.text.contains(password), "{}", refused.text);
    }
    let nul = api.change("POST", USERS, None, json!({"username": "x", "password": "correct\u{0}horse staple"})).await;
    assert_problem(&nul, 422, "password_refused");
    for (method, path, body) in touches(text(&paul.body["id"])) {
        assert_problem(&api.change(method, &path, None, body.clone()).await, 428, "precondition_required");
        let stale = api.change(method, &path, Some("\"7\""), body.clone()).await;
        assert_problem(&stale, 412, "stale_version");
        assert_eq!(stale.body["version"], 1);
        if method == "POST" {
            assert_problem(&api.change(method, &path, Some("*"), json!({"x": 1})).await, 400, "unknown_member");
        }
    }
    for id in ["x", "paul1", &text(&paul.body["id"]).to_uppercase(), "00000000-0000-7000-8000-000000000000"] {
        assert_problem(&api.get(&format!("{USERS}/{id}")).await, 404, "no_such_user");
    }
    assert_problem(&api.change("POST", USERS, Some("*"), json!({"username": "x"})).await, 400, "unexpected_if_match");
    assert_eq!(api.rows().await.len(), rows);
    assert_eq!(done(&api.get(&path).await), "\"1\"");
    people.stop().await;
}

#[actix_web::test]
async fn accounts_are_found_by_each_name_and_listed_by_pages() {
    let people = People::start().await;
    let api = &people.api;
    let users: Vec<Value> =
        (0..250).map(|n| json!({"username": format!("person-{n}"), "email": format!("p{n}@example.com")})).collect();
    let taken = api.change("POST", &format!("{USERS}/import"), None, json!({"users": users})).await;
    assert_eq!((taken.status.as_u16(), &taken.body["imported"]), (200, &json!(250)), "{}", taken.text);
    for size in [7, 50, 200] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = api.get(&format!("{USERS}?page_size={size}{cursor}")).await;
            done(&page);
            let items = page.body["items"].as_array().unwrap();
            seen.extend(items.iter().map(|item| text(&item["id"]).to_owned()));
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            assert_eq!(items.len(), size);
            cursor = format!("&cursor={next}");
        }
        assert!(seen.is_sorted(), "the oldest first");
        assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (250, 250));
    }
    let found = async |query: &str| -> Vec<String> {
        let page = api.get(&format!("{USERS}?{query}")).await;
        done(&page);
        assert_eq!(page.body.get("next_cursor"), None, "{query}");
        page.body["items"].as_array().unwrap().iter().map(|user| text(&user["username"]).to_owned()).collect()
    };
    for query in
        ["username=person-7", "username=PERSON-7", "email=P7%40EXAMPLE.com", "username=person-7&email=p7%40example.com"]
    {
        assert_eq!(found(query).await, ["person-7"], "{query}");
    }
    for query in [
        "username=person",
        "username=p7%40example.com",
        "email=person-7",
        "username=person-7&email=p8%40example.com",
        "username=a+b",
    ] {
        assert_eq!(found(query).await, Vec::<String>::new(), "{query}");
    }
    for query in ["username=", "email="] {
        assert_problem(&api.get(&format!("{USERS}?{query}")).await, 400, "invalid_parameter");
    }
    assert_problem(&api.get(&format!("{USERS}?username=%00")).await, 400, "invalid_query");
    assert_problem(&api.get(&format!("{USERS}?name=x")).await, 400, "unknown_parameter");
    let next = api.get(&format!("{USERS}?page_size=1")).await.body["next_cursor"].clone();
    let elsewhere = format!("{USERS}/export?page_size=1&cursor={}", text(&next));
    assert_problem(&api.get(&elsewhere).await, 400, "invalid_cursor");
    people.stop().await;
}

#[actix_web::test]
async fn nobody_touches_an_account_that_is_stronger_than_their_token() {
    let people = People::start().await;
    let api = &people.api;
    let own = "users:read users:write users:import audit:read";
    let token = api.lesser("helper", own).await;
    let mut refused = 0;
    for (place, scope) in ADMIN_SCOPES.split(' ').enumerate() {
        let (name, role) = (format!("strong-{place}x"), format!("signet:{scope}"));
        let body = json!({"username": name, "roles": [role]});
        let created = change(api.with(&token, "POST", USERS), None, body.clone()).await;
        if own.split(' ').any(|own| own == scope) {
            assert_eq!(created.status, 201, "{scope}: {}", created.text);
            continue;
        }
        assert_problem(&created, 403, "beyond_own_power");
        let row = change(api.with(&token, "POST", &format!("{USERS}/import")), None, json!({"users": [body]})).await;
        assert_eq!(
            (row.status.as_u16(), &row.body["rows"][0]["code"]),
            (200, &json!("beyond_own_power")),
            "{}",
            row.text
        );
        let made = api.change("POST", USERS, None, body).await;
        let before = api.rows().await.len();
        for (method, path, body) in touches(text(&made.body["id"])) {
            assert_problem(&change(api.with(&token, method, &path), Some("*"), body).await, 403, "beyond_own_power");
            refused += 1;
        }
        assert_eq!(api.rows().await.len(), before, "what is refused leaves no trace");
        refused += 2;
    }
    println!("acts on accounts beyond one's power refused: {refused}");
    people.stop().await;
}

/// "correct horse é" as other programs hashed it, and "password" by the two argon2.
const HASHES: [(&str, &str, &str); 5] = [
    ("bcrypt", "$2b$04$abcdefghijklmnopqrstuub.ZjCeFtaHcVNO3csJiht1Oa5O89F5e", "correct horse é"),
    ("django", "pbkdf2_sha256$1000$saltsaltsalt$HpSbrkBrDWDAB9HrNXHZggikF+GO3Q6ksWrO0IeZG4M=", "correct horse é"),
    (
        "scrypt",
        "$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$BgXswDBQAwNsps4yaptIChzC47BvN3aox/CCkCkSYi0",
        "correct horse é",
    ),
    ("argon2i", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA", "password"),
    ("argon2id", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"),
];

async fn what_is_imported_signs_in_and_what_is_not_is_told_in_its_place(backend: Backend) {
    let people = People::on(backend).await;
    let api = &people.api;
    let import = format!("{USERS}/import");
    let mut users: Vec<Value> =
        HASHES.iter().map(|(name, hash, _)| json!({"username": name, "password_hash": hash})).collect();
    users.extend([
        json!({"username": "BCRYPT"}),
        json!({"username": "eve", "password_hash": "$1$canary$qJH7.N4xYta3aEG/dfqo/0"}),
        json!({"username": "eve", "passwort": "canary"}),
        json!({"username": "eve", "password_hash": ["canary"]}),
        json!({"username": "a b"}),
        json!({}),
        json!("canary"),
        json!({"email": "only@example.com", "enabled": false, "must_change_password": true}),
    ]);
    let report = api.change("POST", &import, None, json!({"users": users, "reason": "the old shop"})).await;
    assert_eq!((report.status.as_u16(), &report.body["imported"]), (200, &json!(6)), "{}", report.text);
    let rows = report.body["rows"].as_array().unwrap();
    let codes: Vec<_> = rows.iter().map(|row| row["code"].as_str().unwrap_or_default()).collect();
    let bad =
        ["username_taken", "invalid_row", "invalid_row", "invalid_row", "invalid_member", "invalid_row", "invalid_row"];
    assert_eq!(codes, [&[""; 5][..], &bad, &[""]].concat());
    assert!(rows.iter().all(|row| row["id"].is_string() != row["why"].is_string()), "{}", report.text);
    assert!(!report.text.contains("canary"), "{}", report.text);
    assert_eq!(rows[5]["why"], "another account has this username");
    assert!(text(&rows[7]["why"]).starts_with("unknown field `passwort`"), "{}", report.text);
    for (name, _, password) in HASHES {
        people.login(name, password).await;
        let user = api.get(&format!("{USERS}?username={name}")).await;
        assert_eq!(user.body["items"][0]["password"]["hash"], "argon2id", "{name} was hashed anew");
    }
    let audited = api.rows().await.into_iter().filter(|row| row.act == "users.import").collect::<Vec<_>>();
    assert!(audited.len() == 6 && audited.iter().all(|row| row.reason == "the old shop"));

    let again = json!({"users": [{"id": rows[0]["id"], "username": "another"}]});
    assert_eq!(api.change("POST", &import, None, again).await.body["rows"][0]["code"], "user_exists");
    for (body, member) in [
        (json!({"users": []}), "users"),
        (json!({"users": vec![json!({}); 501]}), "users"),
        (json!({"users": {}}), "users"),
        (json!({"users": [], "must_change_password": 1}), "must_change_password"),
    ] {
        let refused = api.change("POST", &import, None, body).await;
        assert_problem(&refused, 400, "invalid_member");
        assert_eq!(refused.body["member"], member, "{}", refused.text);
    }
    let large = json!({"users": [{"username": "x".repeat(2 * 1024 * 1024)}]});
    assert_problem(&api.change("POST", &import, None, large).await, 413, "body_too_large");
    people.stop().await;
}

#[actix_web::test]
async fn what_was_exported_is_imported_elsewhere_and_signs_in_there() {
    let (people, other) = (People::start().await, People::start().await);
    let link = async |name: &str| {
        let made = people.api.change("POST", USERS, None, json!({"username": name, "roles": ["a"]})).await;
        let path = format!("{USERS}/{}/password-link", text(&made.body["id"]));
        let link = people.api.change("POST", &path, Some("*"), json!(null)).await;
        let chosen = json!({"link_token": link.body["link_token"], "new_password": RIGHT});
        assert_eq!(people.auth("password", &chosen).await.status, 204);
    };
    link("ann").await;
    link("ben").await;
    let (mut records, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = people.api.get(&format!("{USERS}/export?page_size=1&reason=moving{cursor}")).await;
        done(&page);
        records.extend(page.body["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|record| text(&record["password_hash"]).starts_with("$argon2id$")));
    let rows = people.api.rows().await;
    let told: Vec<_> = rows.iter().filter(|row| row.act == "users.export").map(|row| row.reason.as_str()).collect();
    assert_eq!(told, ["moving", "moving"], "each page leaves a row");
    assert!(rows.iter().all(|row| !row.detail.contains("$argon2id$")));

    let report = other.api.change("POST", &format!("{USERS}/import"), None, json!({"users": records})).await;
    assert_eq!(report.body["imported"], 2, "{}", report.text);
    for (place, name) in ["ann", "ben"].into_iter().enumerate() {
        assert_eq!(report.body["rows"][place]["id"], records[place]["id"], "the same person there");
        other.login(name, RIGHT).await;
    }
    // Whoever may change accounts gets no hash, and whoever may see them neither.
    for scopes in ["users:read users:write", "users:import"] {
        let token = people.api.token_for(scopes).await;
        let refused = answer(people.api.with(&token, "GET", &format!("{USERS}/export"))).await;
        assert_problem(&refused, 403, "insufficient_scope");
    }
    let listed = people.api.get(USERS).await;
    assert!(!listed.text.contains("$argon2id$") && !listed.text.contains("password_hash"), "{}", listed.text);
    people.stop().await;
    other.stop().await;
}

#[actix_web::test]
async fn a_damaged_account_is_named_beside_the_others() {
    let people = People::start().await;
    let api = &people.api;
    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for name in ["ann", "bob"] {
            ids.push(text(&api.change("POST", USERS, None, json!({"username": name})).await.body["id"]).to_owned());
        }
        ids
    };
    api.installation.execute("UPDATE users SET attributes = 'canary' WHERE username = 'ann'").await;
    for path in [USERS.to_owned(), format!("{USERS}/export")] {
        let page = api.get(&path).await;
        assert_eq!((page.status.as_u16(), &page.body["damaged"]), (200, &json!([ids[0]])), "{}", page.text);
        assert_eq!(page.body["items"].as_array().unwrap().len(), 1);
        assert!(!page.text.contains("canary"), "{}", page.text);
    }
    assert_problem(&api.get(&format!("{USERS}/{}", ids[0])).await, 500, "server_error");
    assert_problem(&api.get(&format!("{USERS}?username=ann")).await, 500, "server_error");
    people.stop().await;
}
