//! Tokens that this issuer's own key signed, and that must not pass all the same.

use serde_json::{Value, json};
use signet::keys::{KeyAct, Kid};
use signet::ports::Clock;
use signet_verify::{Algorithm, base64url, jws};

use super::{Api, answer, assert_problem};
use crate::world::{by, eventually};

/// A token with the header and claims that the issuer would give it, after `change`.
fn sign(api: &Api, change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let now = api.installation.clock.now();
    let key = api.world.opened.keeper.ring().signer(Algorithm::Es256, now).unwrap();
    let mut header: Value = serde_json::from_slice(&base64url::decode(key.access_token_header()).unwrap()).unwrap();
    let mut claims = json!({
        "iss": api.signet.issuer, "sub": format!("client:{}", api.admin.client_id), "aud": api.audience(),
        "exp": now.secs() + 300, "iat": now.secs(), "jti": "x", "client_id": api.admin.client_id, "scope": "audit:read",
    });
    change(&mut header, &mut claims);
    let header = base64url::encode(header.to_string());
    jws::encode(&header, claims.to_string().as_bytes(), |input| key.sign(input)).unwrap()
}

#[actix_web::test]
async fn a_token_of_this_issuer_must_be_meant_for_the_admin_api_and_for_it_alone() {
    let api = Api::start().await;
    let ask = async |token: String| answer(api.with(&token, "GET", "/admin/v1/audit")).await;
    assert_eq!(ask(sign(&api, |_, _| {})).await.status, 200);
    let in_a_list = sign(&api, |_, claims| claims["aud"] = json!([claims["aud"]]));
    assert_eq!(ask(in_a_list).await.status, 200);
    type Change = fn(&mut Value, &mut Value);
    let changes: [(&str, Change); 23] = [
        ("two audiences", |_, claims| claims["aud"] = json!([claims["aud"], "https://orders.example"])),
        ("the same twice", |_, claims| claims["aud"] = json!([claims["aud"], claims["aud"]])),
        ("no audience", |_, claims| drop(claims.as_object_mut().unwrap().remove("aud"))),
        ("an empty list", |_, claims| claims["aud"] = json!([])),
        ("the issuer as audience", |_, claims| claims["aud"] = claims["iss"].clone()),
        ("a longer audience", |_, claims| claims["aud"] = json!(format!("{}/", claims["aud"].as_str().unwrap()))),
        ("another issuer", |_, claims| claims["iss"] = json!("https://elsewhere.example")),
        ("an issuer with a slash", |_, claims| claims["iss"] = json!(format!("{}/", claims["iss"].as_str().unwrap()))),
        ("bound to a key", |_, claims| claims["cnf"] = json!({"jkt": "x"})),
        ("a person", |_, claims| claims["sub"] = json!("u_1")),
        ("a person called as the client", |_, claims| claims["sub"] = claims["client_id"].clone()),
        ("another client's subject", |_, claims| claims["sub"] = json!("client:shop")),
        ("another client", |_, claims| claims["client_id"] = json!("shop")),
        ("no client", |_, claims| drop(claims.as_object_mut().unwrap().remove("client_id"))),
        ("an unknown client", |_, claims| {
            claims["client_id"] = json!("nobody");
            claims["sub"] = json!("client:nobody");
        }),
        ("no end", |_, claims| drop(claims.as_object_mut().unwrap().remove("exp"))),
        ("issued in the future", |_, claims| claims["iat"] = json!(claims["iat"].as_i64().unwrap() + 3)),
        ("not valid yet", |_, claims| claims["nbf"] = json!(claims["iat"].as_i64().unwrap() + 3)),
        ("no identifier", |_, claims| drop(claims.as_object_mut().unwrap().remove("jti"))),
        ("no type", |header, _| drop(header.as_object_mut().unwrap().remove("typ"))),
        ("a plain JWT", |header, _| header["typ"] = json!("JWT")),
        ("an extension", |header, _| header["crit"] = json!(["x"])),
        ("an unknown key", |header, _| header["kid"] = json!("x")),
    ];
    for (why, change) in changes {
        let refused = ask(sign(&api, change)).await;
        assert_eq!(refused.body["code"], "invalid_token", "{why}: {}", refused.text);
        assert_problem(&refused, 401, "invalid_token");
    }
    // A scope that its client may not have, however well it is signed.
    for scope in ["", "everything", "audit:read2", "AUDIT:READ", "audit", "audit:*", "*"] {
        let token = sign(&api, |_, claims| claims["scope"] = json!(scope));
        assert_problem(&ask(token).await, 403, "insufficient_scope");
    }
    println!("well signed tokens refused: {}", changes.len() + 7);
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_key_that_is_not_published_any_more_opens_nothing() {
    let api = Api::start().await;
    let token = api.token_for("audit:read").await;
    assert_eq!(answer(api.with(&token, "GET", "/admin/v1/audit")).await.status, 200);
    let header = base64url::decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    let kid: Kid = Kid::parse(header["kid"].as_str().unwrap()).unwrap();
    let act = KeyAct::Compromise { kid, reason: "a drill".to_owned() };
    api.world.opened.keeper.act(&act, &by()).await.unwrap();
    eventually(async || {
        let refused = answer(api.with(&token, "GET", "/admin/v1/audit")).await;
        (refused.body["code"] == "invalid_token").then_some(())
    })
    .await;
    // Its successor has signed this one.
    let anew = api.token_for("audit:read").await;
    assert_eq!(answer(api.with(&anew, "GET", "/admin/v1/audit")).await.status, 200);
    api.signet.stop().await;
}
