//! Nobody gives, takes or resets more than they have.

use serde_json::{Value, json};
use signet::clients::ADMIN_SCOPES;

use super::{Api, answer, assert_problem, change, done};
use crate::app::Answer;
use crate::world::ORDERS;

const CLIENTS: &str = "/admin/v1/clients";

/// Each way to touch a client, with a description where one is needed.
fn touches(id: &str, described: &Value) -> Vec<(&'static str, String, Value)> {
    let at = |rest: &str| format!("{CLIENTS}/{id}{rest}");
    vec![
        ("PUT", at(""), described.clone()),
        ("POST", at("/secret"), json!({})),
        ("POST", at("/disable"), json!({})),
        ("POST", at("/enable"), json!({})),
        ("DELETE", at(""), json!(null)),
    ]
}

#[actix_web::test]
async fn nobody_touches_a_client_that_is_stronger_than_their_token() {
    let api = Api::start().await;
    let audience = api.audience();
    let token = api.lesser("helper", "clients:read clients:write audit:read").await;
    let mut refused = 0;
    for (place, scope) in ADMIN_SCOPES.split(' ').enumerate() {
        let id = format!("strong{place}");
        let described = json!({"access": {&audience: scope}});
        let with_id = json!({"client_id": id, "access": {&audience: scope}});
        let within = "clients:read clients:write audit:read".split(' ').any(|own| own == scope);
        let created = change(api.with(&token, "POST", CLIENTS), None, with_id.clone()).await;
        if within {
            assert_eq!(created.status, 201, "{scope}: {}", created.text);
            continue;
        }
        assert_problem(&created, 403, "beyond_own_power");
        done(&change(api.request("POST", CLIENTS), None, with_id).await);
        let before = api.rows().await.len();
        let harmless = json!({"access": {ORDERS: "orders:read"}});
        for (method, path, body) in touches(&id, &described).into_iter().chain(touches(&id, &harmless)) {
            let answer = change(api.with(&token, method, &path), Some("*"), body).await;
            assert_problem(&answer, 403, "beyond_own_power");
            refused += 1;
        }
        assert_eq!(api.rows().await.len(), before, "what is refused leaves no trace");
        // Made stronger by a change.
        done(&change(api.with(&token, "POST", CLIENTS), None, json!({"client_id": format!("weak{place}")})).await);
        let answer = change(api.with(&token, "PUT", &format!("{CLIENTS}/weak{place}")), Some("*"), described).await;
        assert_problem(&answer, 403, "beyond_own_power");
        refused += 2;
    }
    println!("acts beyond one's power refused: {refused}");
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_token_of_few_scopes_has_little_power_whatever_its_client_may_get() {
    let api = Api::start().await;
    let own = format!("{CLIENTS}/{}", api.admin.client_id);
    let narrow = api.token_for("clients:write").await;
    let as_now = api.get(&own).await.body;
    let described = json!({"access": as_now["access"], "serves": as_now["serves"]});
    for (method, path, body) in touches(&api.admin.client_id, &described) {
        assert_problem(&change(api.with(&narrow, method, &path), Some("*"), body).await, 403, "beyond_own_power");
    }
    assert_problem(&answer(api.with(&narrow, "GET", &own)).await, 403, "insufficient_scope");
    // All of it may roll its own secret.
    done(&api.change("POST", &format!("{own}/secret"), Some("*"), json!({})).await);
    api.signet.stop().await;
}

#[actix_web::test]
async fn nobody_widens_their_own_client() {
    let api = Api::start().await;
    let audience = api.audience();
    let scopes = "clients:read clients:write";
    let token = api.lesser("helper", scopes).await;
    let own = format!("{CLIENTS}/helper");
    for wider in [
        json!({"access": {&audience: "clients:read clients:write keys:import"}}),
        json!({"access": {&audience: "clients:read clients:write audit:read"}}),
        json!({"access": {&audience: scopes, ORDERS: ""}}),
        json!({"access": {&audience: scopes, ORDERS: "orders:read"}}),
        json!({"access": {&audience: scopes}, "serves": [ORDERS]}),
        json!({"access": {&audience: scopes}, "serves": [&audience]}),
        json!({"access": {&audience: "clients:read clients:write no:such"}}),
    ] {
        let answer = change(api.with(&token, "PUT", &own), Some("*"), wider.clone()).await;
        assert_eq!(answer.body["code"], "beyond_own_power", "{wider}: {}", answer.text);
        assert_problem(&answer, 403, "beyond_own_power");
    }
    let same = json!({"client_name": "Helper", "access": {&audience: scopes}});
    done(&change(api.with(&token, "PUT", &own), Some("*"), same).await);
    // Narrower is allowed, and holds at once: there is no way back.
    let narrower = json!({"access": {&audience: "clients:write"}});
    done(&change(api.with(&token, "PUT", &own), Some("*"), narrower).await);
    let back = json!({"access": {&audience: scopes}});
    assert_problem(&change(api.with(&token, "PUT", &own), Some("*"), back).await, 403, "beyond_own_power");
    api.signet.stop().await;
}

#[actix_web::test]
async fn who_serves_the_admin_resource_is_out_of_reach_without_every_scope() {
    let api = Api::start().await;
    let audience = api.audience();
    let most: Vec<&str> = ADMIN_SCOPES.split(' ').filter(|scope| *scope != "keys:import").collect();
    let token = api.lesser("helper", &most.join(" ")).await;
    let server = json!({"client_id": "server", "serves": [&audience]});
    assert_problem(&change(api.with(&token, "POST", CLIENTS), None, server.clone()).await, 403, "beyond_own_power");
    done(&api.change("POST", CLIENTS, None, server).await);
    for (method, path, body) in touches("server", &json!({})) {
        assert_problem(&change(api.with(&token, method, &path), Some("*"), body).await, 403, "beyond_own_power");
    }
    api.signet.stop().await;
}

#[actix_web::test]
async fn members_that_are_not_for_the_caller_to_set_are_refused_by_name() {
    let api = Api::start().await;
    let before = (api.rows().await.len(), api.get(&format!("{CLIENTS}/shop")).await.body);
    let members = [
        "enabled",
        "version",
        "secrets",
        "client_secret",
        "client_secret_expires_at",
        "client_id_issued_at",
        "created_at",
        "updated_at",
        "__proto__",
        "constructor",
        "owner",
        "id",
        "scope",
        "scopes",
        "role",
        "admin",
        "power",
        "Access",
        "access ",
        "metadata",
        "client",
        "reasons",
        "redirect_uris",
        "software_statement",
        "",
    ];
    let mut refused = 0;
    for member in members {
        let with = |described: Value| {
            let mut described = described;
            described[member] = json!(true);
            described
        };
        let expect = |answer: &Answer| {
            assert_eq!(answer.body["code"], "unknown_member", "{member}: {}", answer.text);
            assert_problem(answer, 400, "unknown_member");
            assert_eq!(answer.body["member"], member);
        };
        let described = || json!({"client_name": "x"});
        expect(&api.change("POST", CLIENTS, None, with(described())).await);
        expect(&api.change("PUT", &format!("{CLIENTS}/shop"), Some("*"), with(described())).await);
        for act in ["secret", "disable", "enable"] {
            expect(&api.change("POST", &format!("{CLIENTS}/shop/{act}"), Some("*"), with(json!({}))).await);
        }
        refused += 5;
        if member != "scopes" {
            let path = "/admin/v1/resources/https%3A%2F%2Forders.example";
            expect(&api.change("PUT", path, Some("*"), with(json!({"name": "x"}))).await);
            let created = with(json!({"resource": "urn:x"}));
            expect(&api.change("POST", "/admin/v1/resources", None, created).await);
            refused += 2;
        }
    }
    let replaced = api.change("PUT", &format!("{CLIENTS}/shop"), Some("*"), json!({"client_id": "other"})).await;
    assert_problem(&replaced, 400, "unknown_member");
    println!("members refused: {refused}");
    assert_eq!((api.rows().await.len(), api.get(&format!("{CLIENTS}/shop")).await.body), before);
    api.signet.stop().await;
}

#[actix_web::test]
async fn the_reserved_resource_is_nobodys_to_change() {
    let api = Api::start().await;
    let path = format!("/admin/v1/resources/{}", api.audience().replace(':', "%3A").replace('/', "%2F"));
    let shown = api.get(&path).await;
    assert_eq!(shown.body["scopes"].as_array().unwrap().len(), ADMIN_SCOPES.split(' ').count());
    let described = json!({"scopes": ["keys:read"]});
    assert_problem(&api.change("PUT", &path, Some("*"), described).await, 403, "reserved_resource");
    assert_problem(&api.change("DELETE", &path, Some("*"), json!(null)).await, 403, "reserved_resource");
    let anew = json!({"resource": api.audience()});
    assert_problem(&api.change("POST", "/admin/v1/resources", None, anew).await, 403, "reserved_resource");
    for wrong in ["/admin", "admin", &api.signet.issuer, "https://x.example#f", "javascript:x", "", "urn:a b", "urn:é"]
    {
        let answer = api.change("POST", "/admin/v1/resources", None, json!({"resource": wrong})).await;
        assert_problem(&answer, 400, "invalid_member");
        assert_eq!(answer.body["member"], "resource", "{wrong}");
    }
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_resource_that_clients_name_stays_and_tells_who_only_to_those_who_may_know() {
    let api = Api::start().await;
    let path = "/admin/v1/resources/https%3A%2F%2Forders.example";
    let in_use = api.change("DELETE", path, Some("*"), json!(null)).await;
    assert_problem(&in_use, 409, "resource_in_use");
    assert_eq!(in_use.body["clients"], json!(["shop"]));
    let token = api.token_for("resources:write").await;
    let in_use = change(api.with(&token, "DELETE", path), Some("*"), json!(null)).await;
    assert_problem(&in_use, 409, "resource_in_use");
    assert_eq!(in_use.body.get("clients"), None);
    assert!(!in_use.text.contains("shop"), "{}", in_use.text);
    api.signet.stop().await;
}
