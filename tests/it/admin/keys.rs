//! The signing keys through the API: what is told of them, each act with each of its answers, and what is done once though
//! it is asked for twice.

use std::time::Duration;

use serde_json::{Value, json};
use signet::keys::MOST_BY_HAND;

use super::{Api, answer, assert_problem, change, done, on_both};
use crate::app::{Answer, Backend};
use crate::cli::keys::pem;

const KEYS: &str = "/admin/v1/keys";

/// The kid of the ES256 key in that state.
async fn kid(api: &Api, state: &str) -> String {
    let listed = api.get(KEYS).await;
    let keys = listed.body["items"].as_array().unwrap();
    let key =
        keys.iter().find(|key| key["state"] == state).unwrap_or_else(|| panic!("no {state} key: {}", listed.text));
    key["kid"].as_str().unwrap().to_owned()
}

async fn act(api: &Api, path: &str, body: Value) -> Answer {
    api.change("POST", &format!("{KEYS}{path}"), None, body).await
}

/// It was done or was so already: the answer's body.
#[track_caller]
fn changed(answer: &Answer, changed: bool) -> &Value {
    done(answer);
    assert_eq!(answer.body["changed"], changed, "{}", answer.text);
    &answer.body
}

fn published(jwks: &Answer) -> Vec<&str> {
    jwks.body["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn the_keys_are_listed_with_their_lives_and_by_page() {
    let api = Api::start().await;
    let listed = api.get(KEYS).await;
    let tag = done(&listed);
    assert_eq!(tag, format!("\"{}\"", listed.body["ring_version"]));
    assert!(listed.body["next_rotation"]["ES256"].as_str().unwrap().ends_with('Z'));
    let keys = listed.body["items"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    let active = keys.iter().find(|key| key["state"] == "active").unwrap();
    let milestones = |key: &Value, part: &str| -> Vec<String> {
        key[part].as_array().unwrap().iter().map(|one| one["milestone"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(milestones(active, "past"), ["published", "active"]);
    assert_eq!(milestones(active, "coming"), ["retiring", "retired"]);
    assert_eq!(active["coming"][0]["at"], listed.body["next_rotation"]["ES256"]);
    for key in keys {
        let path = format!("{KEYS}/{}", key["kid"].as_str().unwrap());
        assert_eq!(api.get(&path).await.body, *key);
    }
    let first = api.get(&format!("{KEYS}?page_size=1")).await;
    assert_eq!(first.body["items"], json!([keys[0]]));
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = api.get(&format!("{KEYS}?page_size=1&cursor={cursor}")).await;
    assert_eq!((&second.body["items"], &second.body["next_cursor"]), (&json!([keys[1]]), &Value::Null));
    assert_problem(&api.get(&format!("/admin/v1/clients?cursor={cursor}")).await, 400, "invalid_cursor");
    for unknown in ["x".repeat(43), "x".to_owned(), "rotate%2f".to_owned()] {
        assert_problem(&api.get(&format!("{KEYS}/{unknown}")).await, 404, "no_such_key");
        for verb in ["activate", "retire"] {
            assert_problem(&act(&api, &format!("/{unknown}/{verb}"), json!({})).await, 404, "no_such_key");
        }
        let lost = act(&api, &format!("/{unknown}/compromise"), json!({"reason": "x"})).await;
        assert_problem(&lost, 404, "no_such_key");
    }
    assert_problem(&answer(api.request("GET", &format!("{KEYS}/rotate"))).await, 405, "method_not_allowed");
    api.signet.stop().await;
}

async fn a_rotation_is_planned_done_once_and_told(backend: Backend) {
    let api = Api::on(backend).await;
    let (old, next) = (kid(&api, "active").await, kid(&api, "pending").await);
    let before = (api.get(KEYS).await.body, api.rows().await.len());
    let plan = act(&api, "/rotate", json!({"dry_run": true})).await;
    let plan = changed(&plan, false);
    let steps = |told: &Value| -> Vec<String> {
        told["actions"].as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (steps(plan), &plan["dry_run"]),
        (vec!["retire".into(), "activate".into(), "generate".into()], &json!(true))
    );
    assert!(plan["timeline"].as_array().unwrap().iter().any(|key| key.get("kid").is_none()), "{plan}");
    assert_eq!((api.get(KEYS).await.body, api.rows().await.len()), before, "a dry run changes nothing");

    let request = json!({"algorithm": "ES256", "if_active": old, "reason": "a drill"});
    let rotated = act(&api, "/rotate", request.clone()).await;
    let told = changed(&rotated, true);
    assert_eq!((steps(told), told.get("may_fail_until")), (steps(plan), None), "{told}");
    // This replica follows at once.
    assert_eq!(kid(&api, "active").await, next);
    let jwks = api.signet.get("/.well-known/jwks.json").await;
    assert!(published(&jwks).contains(&next.as_str()));
    assert!(published(&jwks).contains(&old.as_str()), "the old one verifies what it signed");
    done(&api.get(KEYS).await);
    let again = act(&api, "/rotate", request).await;
    assert_problem(&again, 409, "active_key_differs");
    assert_eq!(again.body["if_active"], old);
    let row = &api.rows().await[0];
    assert_eq!((row.act.as_str(), row.subject.as_str(), row.reason.as_str()), ("keys.rotate", "ES256", "a drill"));
    assert_eq!(
        (row.actor.as_str(), row.request_id.as_deref()),
        (api.admin.client_id.as_str(), rotated.header("x-request-id"))
    );

    let early = act(&api, "/rotate", json!({})).await;
    assert_problem(&early, 409, "not_propagated");
    let possible = early.body["possible_from"].as_str().unwrap();
    assert_eq!(early.body["algorithm"], "ES256");
    assert_problem(&act(&api, "/rotate", json!({"dry_run": true})).await, 409, "not_propagated");
    let forced = act(&api, "/rotate", json!({"force": true})).await;
    assert_eq!(changed(&forced, true)["may_fail_until"], possible);
    for (body, code) in [
        (json!({"algorithm": "HS256"}), "invalid_member"),
        (json!({"if_active": "short"}), "invalid_member"),
        (json!({"algorithms": "ES256"}), "unknown_member"),
        (json!({"reason": "a\nb"}), "invalid_reason"),
    ] {
        assert_problem(&act(&api, "/rotate", body).await, 400, code);
    }
    let not_kept = act(&api, "/rotate", json!({"algorithm": "RS256"})).await;
    assert_problem(&not_kept, 409, "algorithm_not_kept");
    api.signet.stop().await;
}

async fn of_two_admins_at_once_one_rotates(backend: Backend) {
    let api = Api::on(backend).await;
    let request = json!({"if_active": kid(&api, "active").await, "force": true});
    let (one, other) = tokio::join!(act(&api, "/rotate", request.clone()), act(&api, "/rotate", request.clone()));
    let (winner, loser) = if one.status.is_success() { (one, other) } else { (other, one) };
    changed(&winner, true);
    assert_problem(&loser, 409, "active_key_differs");
    let rotations = api.rows().await.into_iter().filter(|row| row.act == "keys.rotate").count();
    assert_eq!(rotations, 1);
    api.signet.stop().await;
}

async fn a_key_is_activated_retired_and_compromised_and_nothing_twice(backend: Backend) {
    let api = Api::on(backend).await;
    let first = kid(&api, "active").await;
    let made = api.change("POST", KEYS, None, json!({"algorithm": "ES256", "reason": "one more"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made_kid = made.body["kid"].as_str().unwrap();
    assert_eq!(made.header("location"), Some(format!("{KEYS}/{made_kid}").as_str()));
    let path = |verb: &str| format!("/{made_kid}/{verb}");

    let early = act(&api, &path("activate"), json!({})).await;
    assert_problem(&early, 409, "not_propagated");
    assert_eq!(early.body["possible_from"], made.body["usable_from"]);
    let forced = act(&api, &path("activate"), json!({"force": true})).await;
    assert_eq!(changed(&forced, true)["may_fail_until"], made.body["usable_from"]);
    changed(&act(&api, &path("activate"), Value::Null).await, false);
    let back = act(&api, &format!("/{first}/activate"), json!({"force": true})).await;
    assert_problem(&back, 409, "wrong_state");
    assert_eq!(back.body["state"], "retiring");

    // The successor of before has propagated: it takes over.
    changed(&act(&api, &path("retire"), Value::Null).await, true);
    changed(&act(&api, &path("retire"), json!({"reason": "again"})).await, false);
    let pending = kid(&api, "pending").await;
    let withdrawn = act(&api, &format!("/{pending}/retire"), Value::Null).await;
    assert_eq!(changed(&withdrawn, true)["actions"][0]["action"], "withdraw");

    for (body, code) in [
        (json!({}), "missing_member"),
        (json!({"reason": " "}), "invalid_member"),
        (json!({"reason": "x".repeat(501)}), "invalid_reason"),
    ] {
        assert_problem(&act(&api, &path("compromise"), body).await, 400, code);
    }
    let signing = kid(&api, "active").await;
    let lost = format!("/{signing}/compromise");
    let told = act(&api, &lost, json!({"reason": "found in a core dump"})).await;
    assert!(changed(&told, true)["may_fail_until"].is_string(), "its successor is young: {}", told.text);
    let jwks = api.signet.get("/.well-known/jwks.json").await;
    assert!(!published(&jwks).contains(&signing.as_str()), "out at once");
    let row = &api.rows().await[0];
    assert_eq!(
        (row.act.as_str(), row.subject.as_str(), row.reason.as_str()),
        ("keys.compromise", signing.as_str(), "found in a core dump")
    );
    let token = api.token_for("keys:write").await;
    let request = api.with(&token, "POST", &format!("{KEYS}{lost}"));
    changed(&change(request, None, json!({"reason": "again"})).await, false);
    let request = api.with(&token, "POST", &format!("{KEYS}/{signing}/retire"));
    assert_problem(&answer(request).await, 409, "wrong_state");
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_key_is_imported_once_and_never_again_and_no_refusal_repeats_it() {
    let api = Api::start().await;
    let import = async |body: Value| api.change("POST", &format!("{KEYS}/import"), None, body).await;
    let whole = pem("PRIVATE KEY");
    let imported = import(json!({"pem": whole, "reason": "migration"})).await;
    assert_eq!((imported.status.as_u16(), &imported.body["origin"]), (201, &json!("imported")), "{}", imported.text);
    let kid = imported.body["kid"].as_str().unwrap();
    let again = import(json!({"pem": whole})).await;
    assert_problem(&again, 409, "key_exists");
    assert_eq!((&again.body["kid"], &again.body["state"]), (&json!(kid), &json!("pending")));
    changed(&act(&api, &format!("/{kid}/compromise"), json!({"reason": "a copy was found"})).await, true);
    let again = import(json!({"pem": whole})).await;
    assert_problem(&again, 409, "key_exists");
    assert_eq!(again.body["state"], "compromised");

    let secret = whole.lines().nth(1).unwrap().to_owned();
    let mislabelled = pem(&secret);
    for (body, member) in [
        (json!({"pem": secret}), "pem"),
        (json!({"pem": whole.repeat(2)}), "pem"),
        (json!({"pem": mislabelled.repeat(2)}), "pem"),
        (json!({"pem": mislabelled}), "pem"),
        (json!({"pem": whole.replacen("MIG", "MIH", 1)}), "pem"),
        (json!({"pem": "x".repeat(64 * 1024 + 1)}), "pem"),
        (json!({"pem": [secret]}), "pem"),
        (json!({"pem": whole, "algorithm": "RS256"}), "algorithm"),
        (json!({"pem": whole, "algorithm": secret}), "algorithm"),
    ] {
        let refused = import(body).await;
        assert_problem(&refused, 400, "invalid_member");
        assert_eq!(refused.body["member"], member, "{}", refused.text);
        assert!(!refused.text.contains(&secret[..16]), "{}", refused.text);
    }
    assert_problem(&import(json!({})).await, 400, "missing_member");
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_key_of_what_is_not_kept_or_not_possible_is_refused() {
    let api = Api::start().await;
    for (body, status, code) in [
        (json!({"algorithm": "HS256"}), 400, "invalid_member"),
        (json!({"algorithm": "ES256", "rsa_bits": 2048}), 400, "invalid_member"),
        (json!({"algorithm": "ES256", "rsa_bits": -1}), 400, "invalid_member"),
        (json!({}), 400, "missing_member"),
        (json!({"algorithm": "RS256"}), 409, "algorithm_not_kept"),
    ] {
        assert_problem(&api.change("POST", KEYS, None, body).await, status, code);
    }
    assert_eq!(api.get(KEYS).await.body["items"].as_array().unwrap().len(), 2);
    api.signet.stop().await;
}

#[actix_web::test]
async fn no_more_keys_are_published_by_hand_than_verifiers_and_the_api_itself_read() {
    let api = Api::start().await;
    let create = async || api.change("POST", KEYS, None, json!({"algorithm": "ES256"})).await;
    for _ in 2..MOST_BY_HAND {
        assert_eq!(create().await.status, 201);
    }
    let rotate = json!({"force": true});
    let import = json!({"pem": pem("PRIVATE KEY")});
    for refused in [create().await, act(&api, "/import", import).await] {
        assert_problem(&refused, 409, "too_many_keys");
        assert_eq!((&refused.body["published"], &refused.body["most"]), (&MOST_BY_HAND.into(), &MOST_BY_HAND.into()));
    }
    // Its successor is there already, so a rotation publishes none.
    changed(&act(&api, "/rotate", rotate).await, true);
    let signing = kid(&api, "active").await;
    changed(&act(&api, &format!("/{signing}/compromise"), json!({"reason": "a drill"})).await, true);
    assert_eq!(create().await.status, 201, "it took one out");
    let jwks = api.signet.get("/.well-known/jwks.json").await;
    assert_eq!(published(&jwks).len(), MOST_BY_HAND);
    let read = signet_verify::Jwks::parse(jwks.text.as_bytes()).unwrap();
    assert_eq!(read.keys().len(), MOST_BY_HAND);
    api.signet.stop().await;
}

#[actix_web::test]
async fn what_was_refused_as_too_early_is_done_at_the_moment_that_was_named() {
    let api = Api::start().await;
    changed(&act(&api, "/rotate", json!({})).await, true);
    let early = act(&api, "/rotate", json!({})).await;
    let moment = |text: &Value| text.as_str().unwrap().parse::<signet::ports::Timestamp>().unwrap();
    let listed = api.get(KEYS).await;
    let wait = moment(&early.body["possible_from"]).since(moment(&listed.body["at"]));
    api.advance(wait.saturating_sub(Duration::from_secs(1))).await;
    let token = api.token_for("keys:write").await;
    let rotate = async || answer(api.with(&token, "POST", &format!("{KEYS}/rotate"))).await;
    assert_problem(&rotate().await, 409, "not_propagated");
    api.advance(Duration::from_secs(1)).await;
    let rotated = rotate().await;
    assert_eq!(changed(&rotated, true).get("may_fail_until"), None);
    api.signet.stop().await;
}

on_both!(
    a_rotation_is_planned_done_once_and_told,
    of_two_admins_at_once_one_rotates,
    a_key_is_activated_retired_and_compromised_and_nothing_twice,
);
