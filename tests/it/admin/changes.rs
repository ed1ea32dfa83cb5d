//! What the API changes: each change once, with its one row in the audit log, whoever else is at it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Api, answer, assert_problem, change, done, on_both};
use crate::app::{Answer, Backend};
use crate::world::{ORDERS, eventually};

const CLIENTS: &str = "/admin/v1/clients";
const RESOURCES: &str = "/admin/v1/resources";

on_both! {
    a_client_lives_through_the_api,
    a_resource_lives_through_the_api,
    of_two_changes_at_once_one_is_made,
    two_admins_at_once_lose_no_change,
}

fn form(resource: &str) -> [(&'static str, &str); 2] {
    [("grant_type", "client_credentials"), ("resource", resource)]
}

/// The tag of the version number `change` of what was registered when the test began, at 2027-01-15T08:00:00Z.
fn version(change: i64) -> String {
    format!("\"{}\"", 1_800_000_000_000 + change - 1)
}

/// The newest row tells of the change that was answered so.
async fn assert_audited(api: &Api, answer: &Answer, act: &str, subject: &str, reason: &str, rows: &mut usize) {
    let log = api.rows().await;
    *rows += 1;
    assert_eq!(log.len(), *rows, "{act}: one row a change");
    let row = &log[0];
    let told = (row.act.as_str(), row.subject.as_str(), row.reason.as_str(), row.actor_kind.as_str());
    assert_eq!(told, (act, subject, reason, "client"));
    assert_eq!((row.actor.as_str(), row.origin.as_str()), (api.admin.client_id.as_str(), "127.0.0.1"));
    assert_eq!(row.request_id.as_deref(), answer.header("x-request-id"), "{act}");
}

async fn a_client_lives_through_the_api(backend: Backend) {
    let api = Api::on(backend).await;
    let mut rows = api.rows().await.len();
    let path = format!("{CLIENTS}/till");
    let body =
        json!({"client_id": "till", "client_name": "Till", "access": {ORDERS: "orders:read"}, "reason": "new shop"});
    let created = api.change("POST", CLIENTS, None, body).await;
    assert_eq!((created.status.as_u16(), done(&created)), (201, version(1)));
    assert_eq!(created.header("location"), Some(path.as_str()));
    assert_audited(&api, &created, "clients.create", "till", "new shop", &mut rows).await;
    let first = created.body["client_secret"].as_str().unwrap().to_owned();
    assert_eq!(created.body["client_secret_expires_at"], 0);
    let works = async |secret: &str| api.signet.token(Some(("till", secret)), &form(ORDERS)).await.status == 200;
    assert!(works(&first).await);

    let shown = api.get(&path).await;
    assert_eq!(done(&shown), version(1));
    assert_eq!(shown.body["secrets"], json!([{"created_at": "2027-01-15T08:00:00Z", "first_start": false}]));
    let secretless = ["client_secret", "client_secret_expires_at", "client_id_issued_at", "token_endpoint"];
    let mut expected = created.body.clone();
    expected.as_object_mut().unwrap().retain(|member, _| !secretless.contains(&member.as_str()));
    assert_eq!(shown.body, expected);
    let head = answer(api.request("HEAD", &path)).await;
    assert_eq!((head.text.as_str(), head.header("etag")), ("", Some(version(1).as_str())));

    let wider = json!({"client_name": "Till 2", "access": {ORDERS: "orders:read orders:write"}, "reason": "it sells"});
    let replaced = api.change("PUT", &path, Some(&version(1)), wider.clone()).await;
    assert_eq!(done(&replaced), version(2));
    assert_audited(&api, &replaced, "clients.update", "till", "it sells", &mut rows).await;
    assert_eq!(replaced.body, api.get(&path).await.body);
    let same = api.change("PUT", &path, Some(&version(2)), wider).await;
    assert_eq!((same.status.as_u16(), done(&same)), (200, version(2)), "what is so already is not changed");
    assert_eq!((&same.body, api.rows().await.len()), (&replaced.body, rows));
    assert!(works(&first).await, "secrets stay");

    let rolled = api.change("POST", &format!("{path}/secret"), Some(&version(2)), json!({"overlap_seconds": 60})).await;
    assert_eq!(done(&rolled), version(3));
    assert_eq!(rolled.body["old_secret_valid_until"], "2027-01-15T08:01:00Z");
    assert_audited(&api, &rolled, "clients.roll_secret", "till", "", &mut rows).await;
    let second = rolled.body["client_secret"].as_str().unwrap().to_owned();
    assert!(works(&first).await && works(&second).await);
    let ended = api.change("POST", &format!("{path}/secret"), Some(&version(3)), json!({"overlap_seconds": 0})).await;
    assert_eq!((done(&ended), ended.body.get("old_secret_valid_until")), (version(4), None));
    rows += 1;
    assert!(!works(&first).await && !works(&second).await);
    let third = ended.body["client_secret"].as_str().unwrap().to_owned();

    let disabled = api.change("POST", &format!("{path}/disable"), Some(&version(4)), json!({"reason": "stolen"})).await;
    assert_eq!((done(&disabled), &disabled.body["enabled"]), (version(5), &json!(false)));
    assert_audited(&api, &disabled, "clients.disable", "till", "stolen", &mut rows).await;
    assert!(!works(&third).await);
    let again = api.change("POST", &format!("{path}/disable"), Some("*"), json!(null)).await;
    assert_eq!(done(&again), version(5), "what is so already is not changed");
    let enabled = api.change("POST", &format!("{path}/enable"), Some(&version(5)), json!(null)).await;
    assert_eq!(done(&enabled), version(6));
    assert_audited(&api, &enabled, "clients.enable", "till", "", &mut rows).await;
    assert!(works(&third).await);

    let deleted = api.change("DELETE", &format!("{path}?reason=closed+down"), Some(&version(6)), json!(null)).await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    assert_audited(&api, &deleted, "clients.delete", "till", "closed down", &mut rows).await;
    assert!(!works(&third).await);
    assert_problem(&api.get(&path).await, 404, "no_such_client");
    assert_problem(&api.change("DELETE", &path, Some("*"), json!(null)).await, 404, "no_such_client");
    assert_problem(&api.change("PUT", &path, Some("*"), json!({})).await, 404, "no_such_client");

    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]});
    let signer = json!({"client_id": "signer", "token_endpoint_auth_method": "private_key_jwt", "jwks": keys});
    let created = api.change("POST", CLIENTS, None, signer).await;
    assert_eq!((created.status.as_u16(), created.body.get("client_secret")), (201, None));
    let answer = api.change("POST", &format!("{CLIENTS}/signer/secret"), Some("*"), json!(null)).await;
    assert_problem(&answer, 409, "no_secret");
    let unnamed = api.change("POST", CLIENTS, None, json!({})).await;
    assert!(unnamed.body["client_id"].as_str().unwrap().starts_with("c_"), "{}", unnamed.text);
    assert_chain_holds(&api).await;
    api.signet.stop().await;
}

async fn a_resource_lives_through_the_api(backend: Backend) {
    let api = Api::on(backend).await;
    let mut rows = api.rows().await.len();
    let identifier = "https://stock.example/v1?x=%20a";
    let path = format!("{RESOURCES}/https%3A%2F%2Fstock.example%2Fv1%3Fx%3D%2520a");
    let body = json!({"resource": identifier, "name": "Stock", "scopes": ["stock:read"], "token_lifetime": 60, "algorithm": "ES256", "reason": "new"});
    let created = api.change("POST", RESOURCES, None, body).await;
    assert_eq!((created.status.as_u16(), done(&created)), (201, version(1)));
    assert_eq!(created.header("location"), Some(path.as_str()));
    assert_audited(&api, &created, "resources.create", identifier, "new", &mut rows).await;
    assert_eq!(api.get(&path).await.body, created.body);
    assert_eq!(created.body["token_lifetime"], 60);

    let client = json!({"client_id": "till", "access": {identifier: "stock:read"}});
    let client = api.change("POST", CLIENTS, None, client).await;
    rows += 1;
    let secret = client.body["client_secret"].as_str().unwrap();
    let token = api.signet.token(Some(("till", secret)), &form(identifier)).await;
    assert_eq!((token.status.as_u16(), &token.body["expires_in"]), (200, &json!(60)), "{}", token.text);

    let replaced =
        api.change("PUT", &path, Some(&version(1)), json!({"scopes": ["stock:write"], "reason": "other"})).await;
    assert_eq!(done(&replaced), version(2));
    assert_eq!((&replaced.body["name"], replaced.body.get("token_lifetime")), (&json!(""), None));
    assert_audited(&api, &replaced, "resources.update", identifier, "other", &mut rows).await;
    let same = api.change("PUT", &path, Some(&version(2)), json!({"scopes": ["stock:write"]})).await;
    assert_eq!((same.status.as_u16(), done(&same)), (200, version(2)), "what is so already is not changed");
    assert_eq!((&same.body, api.rows().await.len()), (&replaced.body, rows));

    assert_problem(&api.change("DELETE", &path, Some(&version(2)), json!(null)).await, 409, "resource_in_use");
    done(&api.change("DELETE", &format!("{CLIENTS}/till"), Some("*"), json!(null)).await);
    rows += 1;
    let deleted = api.change("DELETE", &format!("{path}?reason=gone"), Some(&version(2)), json!(null)).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    assert_audited(&api, &deleted, "resources.delete", identifier, "gone", &mut rows).await;
    assert_problem(&api.get(&path).await, 404, "no_such_resource");
    assert_problem(&api.get(&format!("{RESOURCES}/not-a-uri")).await, 404, "no_such_resource");
    assert_chain_holds(&api).await;
    api.signet.stop().await;
}

async fn assert_chain_holds(api: &Api) {
    let verdict = api.world.opened.store.verify_audit(None, |_, _| ()).await.unwrap();
    assert!(verdict.holds(), "{verdict:?}");
}

/// Each change that needs to know what it changes.
fn conditional() -> Vec<(&'static str, String, Value)> {
    let client = |rest: &str| format!("{CLIENTS}/shop{rest}");
    let resource = format!("{RESOURCES}/https%3A%2F%2Forders.example");
    vec![
        ("PUT", client(""), json!({"client_name": "x", "access": {ORDERS: ""}})),
        ("POST", client("/secret"), json!({})),
        ("POST", client("/disable"), json!({})),
        ("POST", client("/enable"), json!({})),
        ("PUT", resource.clone(), json!({"name": "x"})),
        ("DELETE", client(""), json!(null)),
        ("DELETE", resource, json!(null)),
    ]
}

#[actix_web::test]
async fn a_change_needs_the_version_that_is_there() {
    let api = Api::start().await;
    for (method, path, body) in conditional() {
        let rows = api.rows().await.len();
        let version = done(&api.get(&path.replace("/secret", "").replace("/disable", "").replace("/enable", "")).await);
        assert_problem(&api.change(method, &path, None, body.clone()).await, 428, "precondition_required");
        for stale in ["\"0\"", "\"999\"", "\"-1\"", &format!("W/{version}"), "\"\"", "\"x\"", "\"0\", \"7\""] {
            let answer = api.change(method, &path, Some(stale), body.clone()).await;
            assert_problem(&answer, 412, "stale_version");
            assert_eq!(format!("\"{}\"", answer.body["version"]), version, "{stale}");
        }
        for malformed in ["", "1", "x", "\"1", "*, \"1\"", "\"1\" \"2\"", "**"] {
            let answer = api.change(method, &path, Some(malformed), body.clone()).await;
            assert_problem(&answer, 400, "invalid_if_match");
        }
        assert_eq!(api.rows().await.len(), rows, "{method} {path}: what is refused leaves no trace");
        // One of a list, in two header lines.
        let request = api.request(method, &path).header("if-match", "\"77\", W/\"1\"").header("if-match", &version);
        done(&change(request, None, body.clone()).await);
        // The answer was lost, and the same is sent again.
        let again = api.change(method, &path, Some(&version), body.clone()).await;
        match (method, path.ends_with("/enable")) {
            ("DELETE", _) => assert_eq!(again.status, 404, "{}", again.text),
            // Nothing changed the first time but for what was disabled.
            _ => assert_problem(&again, 412, "stale_version"),
        }
    }
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_version_that_was_seen_is_never_that_of_another_registered_under_the_same_name() {
    let api = Api::start().await;
    for (path, place, body, member) in [
        (CLIENTS, format!("{CLIENTS}/till"), json!({"client_id": "till"}), "client_name"),
        (RESOURCES, format!("{RESOURCES}/urn%3Atill"), json!({"resource": "urn:till"}), "name"),
    ] {
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(done(&api.change("POST", path, None, body.clone()).await));
            seen.push(done(&api.change("PUT", &place, Some("*"), json!({member: "Till"})).await));
            api.change("DELETE", &place, Some("*"), json!(null)).await;
            // No two registrations are committed within a millisecond.
            api.installation.clock.advance(std::time::Duration::from_millis(10));
        }
        let now = done(&api.change("POST", path, None, body).await);
        for stale in &seen {
            assert_problem(&api.change("PUT", &place, Some(stale), json!({})).await, 412, "stale_version");
        }
        assert_eq!(done(&api.change("PUT", &place, Some(&now), json!({})).await), now);
    }
    api.signet.stop().await;
}

#[actix_web::test]
async fn acts_on_keys_refuse_an_if_match_that_they_would_not_heed() {
    let api = Api::start().await;
    let rows = api.rows().await.len();
    for (path, body) in [
        ("", json!({"algorithm": "ES256"})),
        ("/import", json!({"pem": ""})),
        ("/rotate", json!({})),
        ("/x/activate", json!({})),
        ("/x/retire", json!({})),
        ("/x/compromise", json!({"reason": "x"})),
    ] {
        for tag in ["*", "\"1\"", ""] {
            let answer = api.change("POST", &format!("/admin/v1/keys{path}"), Some(tag), body.clone()).await;
            assert_problem(&answer, 400, "unexpected_if_match");
        }
    }
    assert_eq!(api.rows().await.len(), rows);
    api.signet.stop().await;
}

#[actix_web::test]
async fn what_is_registered_under_a_name_is_registered_once() {
    let api = Api::start().await;
    for (path, body, code) in [
        (CLIENTS, json!({"client_id": "till"}), "client_exists"),
        (RESOURCES, json!({"resource": "urn:till"}), "resource_exists"),
    ] {
        assert_eq!(api.change("POST", path, None, body.clone()).await.status, 201);
        let rows = api.rows().await.len();
        assert_problem(&api.change("POST", path, None, body).await, 409, code);
        assert_eq!(api.rows().await.len(), rows);
    }
    api.signet.stop().await;
}

async fn of_two_changes_at_once_one_is_made(backend: Backend) {
    let api = Api::on(backend).await;
    let (mut won, mut lost) = (0, 0);
    for round in 0..20 {
        let version = done(&api.get(&format!("{CLIENTS}/shop")).await);
        let rows = api.rows().await.len();
        let write = async |writer: &str| {
            let body = json!({"client_name": format!("{writer}{round}"), "access": {ORDERS: "orders:read"}});
            api.change("PUT", "/admin/v1/clients/shop", Some(&version), body).await
        };
        let answers = <[Answer; 3]>::from(tokio::join!(write("a"), write("b"), write("c")));
        let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!((made.len(), refused.len()), (1, 2), "{answers:?}");
        refused.iter().for_each(|answer| assert_problem(answer, 412, "stale_version"));
        assert_eq!(api.get("/admin/v1/clients/shop").await.body, made[0].body);
        let log = api.rows().await;
        assert_eq!(log.len(), rows + 1, "one row a change");
        assert_eq!(log[0].request_id.as_deref(), made[0].header("x-request-id"));
        won += made.len();
        lost += refused.len();
    }
    println!("writers at once: {won} won, {lost} got 412");
    api.signet.stop().await;
}

async fn two_admins_at_once_lose_no_change(backend: Backend) {
    let api = Api::on(backend).await;
    let second = api.lesser("second", "clients:read clients:write resources:read resources:write").await;
    let before = api.rows().await.len();
    let first = api.token_for("clients:read clients:write resources:read resources:write").await;
    let admin = async |token: &str, name: &str| {
        let mut made = BTreeSet::new();
        for number in 0..15 {
            let id = format!("{name}{number}");
            let created =
                change(api.with(token, "POST", CLIENTS), None, json!({"client_id": id, "reason": name})).await;
            assert_eq!(created.status, 201, "{}", created.text);
            made.insert(created.header("x-request-id").unwrap().to_owned());
            // Both work on the same client, and the one that is late looks again.
            loop {
                let shop = answer(api.with(token, "GET", "/admin/v1/clients/shop")).await;
                let body = json!({"client_name": id, "access": {ORDERS: "orders:read"}, "reason": name});
                let etag = shop.header("etag").unwrap().to_owned();
                let changed = change(api.with(token, "PUT", "/admin/v1/clients/shop"), Some(&etag), body).await;
                if changed.status == 200 {
                    made.insert(changed.header("x-request-id").unwrap().to_owned());
                    break;
                }
                assert_problem(&changed, 412, "stale_version");
            }
        }
        made
    };
    let (one, two) = tokio::join!(admin(&first, "one"), admin(&second, "two"));
    let log = api.rows().await;
    let audited: BTreeSet<String> =
        log[..log.len() - before].iter().map(|row| row.request_id.clone().unwrap()).collect();
    assert_eq!(audited, &one | &two);
    assert_eq!(log.len() - before, 60, "one row a change");
    for row in &log[..60] {
        let client = if row.reason == "one" { api.admin.client_id.as_str() } else { "second" };
        assert_eq!(row.actor, client);
    }
    assert_eq!(api.get("/admin/v1/clients/shop").await.body["version"], 31);
    assert_chain_holds(&api).await;
    eventually(async || (api.signet.ready().await.status == 200).then_some(())).await;
    api.signet.stop().await;
}
