//! `POST /oauth2/token` with a secret: the cases of the standards, and hostile ones.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};
use signet_verify::{Compact, Policy, verify};

use crate::app::{Answer, Installation};
use crate::world::{BILLING, ORDERS, World, eventually, shop};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

fn claims(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn token_of(answer: &Answer) -> &str {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.body["access_token"].as_str().unwrap()
}

/// Status, code, and what every error of the token endpoint has.
fn assert_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), &answer.body["error"]), (status, &json!(code)), "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("x-request-id").is_some());
    let description = answer.body["error_description"].as_str().unwrap();
    assert!(description.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{description}");
    assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
    if status == 401 {
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic "));
    }
}

#[actix_web::test]
async fn a_token_has_the_claims_of_rfc_9068_and_verifies_from_the_jwks() {
    let installation = Installation::new();
    let (signet, _, secret) = shop(&installation).await;
    let form = [GRANT, ("resource", ORDERS), ("scope", "orders:read")];
    let answer = signet.token(Some(("shop", &secret)), &form).await;
    let token = token_of(&answer);

    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], 300);
    assert_eq!(answer.body["scope"], "orders:read");
    assert_eq!(answer.body.as_object().unwrap().len(), 4, "no refresh token, nothing else: {}", answer.body);

    let payload = claims(token);
    assert_eq!(payload["iss"], signet.issuer.as_str());
    assert_eq!(payload["sub"], "client:shop");
    assert_eq!(payload["aud"], ORDERS);
    assert_eq!(payload["client_id"], "shop");
    assert_eq!(payload["scope"], "orders:read");
    assert_eq!(payload["iat"], 1_800_000_000);
    assert_eq!(payload["exp"], 1_800_000_300);
    assert_eq!(payload["jti"].as_str().unwrap().len(), 36);
    assert_eq!(payload.as_object().unwrap().len(), 8, "{payload}");

    let now = Duration::from_secs(1_800_000_000);
    let verified = verify(&signet.jwks().await, &Policy::new(&*signet.issuer, ORDERS), token, now).unwrap();
    assert_eq!(verified.client_id, "shop");
    signet.stop().await;
}

#[actix_web::test]
async fn each_secret_method_works_for_its_clients_only() {
    let installation = Installation::new();
    let (signet, world, basic) = shop(&installation).await;
    let post = world
        .client(
            "poster",
            json!({"token_endpoint_auth_method": "client_secret_post", "access": {ORDERS: "orders:read"}}),
        )
        .await;
    let by_post = |id, secret| [GRANT, ("resource", ORDERS), ("client_id", id), ("client_secret", secret)];

    token_of(&signet.token(Some(("shop", &basic)), &[GRANT, ("resource", ORDERS)]).await);
    token_of(&signet.token(None, &by_post("poster", &post)).await);
    // The secret is right, the method is not the registered one.
    assert_error(&signet.token(None, &by_post("shop", &basic)).await, 401, "invalid_client");
    let wrong_way = signet.token(Some(("poster", &post)), &[GRANT, ("resource", ORDERS)]).await;
    assert_error(&wrong_way, 401, "invalid_client");
    signet.stop().await;
}

#[actix_web::test]
async fn the_scope_is_all_that_the_client_may_get_or_what_it_asks_for_and_never_more() {
    let installation = Installation::new();
    let (signet, _, secret) = shop(&installation).await;
    let ask = async |form: &[(&str, &str)]| {
        let form = [&[GRANT], form].concat();
        signet.token(Some(("shop", &secret)), &form).await
    };
    assert_eq!(ask(&[("resource", ORDERS)]).await.body["scope"], "orders:read orders:write");
    assert_eq!(ask(&[("resource", ORDERS), ("scope", "")]).await.body["scope"], "orders:read orders:write");
    // The resource offers bills:pay, the client may not have it.
    assert_eq!(ask(&[("resource", BILLING)]).await.body["scope"], "bills:read");
    for scope in ["bills:pay", "bills:read bills:pay", "openid", "orders:read", "nonsense", " ", "a  b", "\"", "é"] {
        assert_error(&ask(&[("resource", BILLING), ("scope", scope)]).await, 400, "invalid_scope");
    }
    // Without a resource, the scope tells which one.
    let answer = ask(&[("scope", "bills:read")]).await;
    assert_eq!(claims(token_of(&answer))["aud"], BILLING);
    assert_error(&ask(&[("scope", "bills:read orders:read")]).await, 400, "invalid_scope");
    assert_error(&ask(&[]).await, 400, "invalid_target");
    signet.stop().await;
}

#[actix_web::test]
async fn the_resource_must_be_one_of_the_clients_own() {
    let installation = Installation::new();
    let (signet, world, secret) = shop(&installation).await;
    world.resource("https://secret.example", "x").await;
    let admin = format!("{}/admin", signet.issuer);
    for resource in [
        "https://secret.example",
        "https://unknown.example",
        "https://orders.example/",
        "HTTPS://orders.example",
        "https://orders.example#f",
        "orders.example",
        "javascript:alert(1)",
        "/admin",
        &admin,
        &signet.issuer,
    ] {
        let answer = signet.token(Some(("shop", &secret)), &[GRANT, ("resource", resource)]).await;
        assert_error(&answer, 400, "invalid_target");
    }
    let two = [GRANT, ("resource", ORDERS), ("resource", BILLING)];
    assert_error(&signet.token(Some(("shop", &secret)), &two).await, 400, "invalid_target");
    let with_admin = [GRANT, ("resource", &admin), ("resource", ORDERS)];
    assert_error(&signet.token(Some(("shop", &secret)), &with_admin).await, 400, "invalid_target");
    signet.stop().await;
}

#[actix_web::test]
async fn a_resource_sets_lifetime_and_algorithm_of_its_tokens() {
    use signet_verify::Algorithm;
    let installation = Installation::new().with("KEYS__ALGORITHMS", "ES256,RS256,PS256,ES384,Ed25519");
    let signet = installation.start().await;
    let world = World::of(&installation).await;
    let jwks = signet.jwks().await;
    for algorithm in Algorithm::ALL {
        let resource = format!("https://{}.example", algorithm.name().to_lowercase());
        world
            .resource_with(&resource, "x", |resource| {
                resource.algorithm = Some(algorithm);
                resource.token_lifetime = Some(Duration::from_secs(1234));
            })
            .await;
        let id = algorithm.name();
        let secret = world.client(id, json!({"access": {resource.clone(): "x"}})).await;
        let answer = eventually(async || {
            let answer = signet.token(Some((id, &secret)), &[GRANT]).await;
            (answer.status != StatusCode::BAD_REQUEST).then_some(answer)
        })
        .await;
        let token = token_of(&answer);
        assert_eq!(answer.body["expires_in"], 1234);
        assert_eq!(claims(token)["exp"], 1_800_001_234);
        let policy = Policy::new(&*signet.issuer, &*resource);
        verify(&jwks, &policy, token, Duration::from_secs(1_800_000_000)).unwrap();
        let header = token.split('.').next().unwrap();
        use base64::Engine;
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header["alg"], algorithm.name());
        assert_eq!(header["typ"], "at+jwt");
    }
    signet.stop().await;
}

#[actix_web::test]
async fn only_a_well_formed_post_is_a_token_request() {
    let installation = Installation::new();
    let (signet, _, secret) = shop(&installation).await;
    let url = format!("{}/oauth2/token", signet.public);
    // T1, and every other method.
    for method in ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"] {
        let request = signet.http.request(method.parse().unwrap(), &url).basic_auth("shop", Some(&secret));
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.header("allow"), Some("POST"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    // T2: JSON, no type at all, a type that only looks like a form.
    let body = "grant_type=client_credentials&resource=https://orders.example";
    for content_type in ["application/json", "", "text/plain", "application/x-www-form-urlencoded2"] {
        let request = signet.http.post(&url).basic_auth("shop", Some(&secret)).header(CONTENT_TYPE, content_type);
        let answer = Answer::of(request.body(body).send().await.unwrap()).await;
        assert_error(&answer, 415, "invalid_request");
    }
    let typed = "Application/X-WWW-Form-Urlencoded; charset=UTF-8";
    let request = signet.http.post(&url).basic_auth("shop", Some(&secret)).header(CONTENT_TYPE, typed);
    token_of(&Answer::of(request.body(body).send().await.unwrap()).await);
    // T3: nothing is taken from the query.
    let query = format!("{url}?client_id=shop&client_secret={secret}&grant_type=client_credentials");
    let request = signet.http.post(&query).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    assert_error(&Answer::of(request.body(body).send().await.unwrap()).await, 401, "invalid_client");
    // T11: refused for its announced length, before it is read.
    let request = signet.http.post(&url).basic_auth("shop", Some(&secret)).header(CONTENT_TYPE, typed);
    let answer = Answer::of(request.body("x".repeat(100_000)).send().await.unwrap()).await;
    assert_error(&answer, 413, "invalid_request");
    signet.stop().await;
}

#[actix_web::test]
async fn a_form_that_is_not_strict_is_refused() {
    let installation = Installation::new();
    let (signet, _, secret) = shop(&installation).await;
    for (body, code) in [
        ("grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        ("grant_type=client_credentials&scope=orders:read&scope=", "invalid_request"),
        ("grant_type=client_credentials&unknown=1&unknown=2", "invalid_request"),
        ("grant_type=client_credentials&scope=%", "invalid_request"),
        ("grant_type=client_credentials&scope=%ff", "invalid_request"),
        ("grant_type=client_credentials&scope=%00", "invalid_request"),
        ("", "invalid_request"),
        ("grant_type=", "invalid_request"),
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("grant_type=implicit", "unsupported_grant_type"),
        ("grant_type=Client_Credentials", "unsupported_grant_type"),
        ("grant_type=client_credentials%20", "unsupported_grant_type"),
        ("grant_type=refresh_token&refresh_token=x", "unauthorized_client"),
    ] {
        let request = signet.token_request().basic_auth("shop", Some(&secret));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_error(&answer, 400, code);
    }
    // A parameter that no grant knows is ignored, and an empty one is absent.
    let form = [GRANT, ("resource", ORDERS), ("audience", "https://x"), ("scope", ""), ("openid", "1")];
    token_of(&signet.token(Some(("shop", &secret)), &form).await);
    signet.stop().await;
}

#[actix_web::test]
async fn more_than_one_way_to_authenticate_is_refused() {
    let installation = Installation::new();
    let (signet, _, secret) = shop(&installation).await;
    let assertion = [
        ("client_assertion", "a.b.c"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
    ];
    let in_form = [("client_id", "shop"), ("client_secret", secret.as_str())];
    // T4 and T5.
    let basic = Some(("shop", secret.as_str()));
    assert_error(&signet.token(basic, &[&[GRANT][..], &in_form].concat()).await, 400, "invalid_request");
    assert_error(&signet.token(basic, &[&[GRANT][..], &assertion].concat()).await, 400, "invalid_request");
    assert_error(&signet.token(None, &[&[GRANT][..], &assertion, &in_form].concat()).await, 400, "invalid_request");
    // Z4: another client_id beside the header; the same one is no harm.
    assert_error(&signet.token(basic, &[GRANT, ("client_id", "other")]).await, 400, "invalid_request");
    token_of(&signet.token(basic, &[GRANT, ("client_id", "shop"), ("resource", ORDERS)]).await);
    let request = signet.token_request().basic_auth("shop", Some(&secret)).basic_auth("shop", Some(&secret));
    let twice = request.header(AUTHORIZATION, "Basic YTpi").form(&[GRANT]);
    assert_error(&Answer::of(twice.send().await.unwrap()).await, 400, "invalid_request");
    signet.stop().await;
}

#[actix_web::test]
async fn every_failed_authentication_looks_the_same() {
    let installation = Installation::new();
    let (signet, world, secret) = shop(&installation).await;
    world.set_enabled("shop", false).await;
    let rolled = world.client("rolled", json!({"access": {ORDERS: "orders:read"}})).await;
    world.roll_secret("rolled", Duration::ZERO).await;
    let form = [GRANT, ("resource", ORDERS)];
    eventually(async || {
        let refused = signet.token(Some(("shop", &secret)), &form).await.status == StatusCode::UNAUTHORIZED;
        refused.then_some(())
    })
    .await;
    let mut bodies = HashSet::new();
    for (id, tried) in [
        ("shop", secret.as_str()),
        ("shop", "wrong"),
        ("shop", ""),
        ("rolled", &rolled),
        ("nobody", "wrong"),
        ("", ""),
        ("a:b%+ é", "x"),
        ("a\0b", "x"),
    ] {
        let answer = signet.token(Some((id, tried)), &[GRANT, ("resource", ORDERS)]).await;
        assert_error(&answer, 401, "invalid_client");
        bodies.insert(answer.text);
    }
    for value in ["Bearer x", "Basic", "Basic !!!", "Basic c2hvcA==", "Digest x"] {
        let request = signet.token_request().header(AUTHORIZATION, value).form(&[GRANT]);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_error(&answer, 401, "invalid_client");
        bodies.insert(answer.text);
    }
    bodies.insert(signet.token(None, &[GRANT]).await.text);
    bodies.insert(signet.token(None, &[GRANT, ("client_id", "shop")]).await.text);
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    signet.stop().await;
}

#[actix_web::test]
async fn a_strangers_failures_do_not_lock_a_client_out() {
    let installation = Installation::new();
    let (signet, _, secret) = shop(&installation).await;
    for place in 0..300 {
        let answer = signet.token(Some(("shop", &format!("wrong{place}"))), &[GRANT]).await;
        assert_error(&answer, 401, "invalid_client");
    }
    token_of(&signet.token(Some(("shop", &secret)), &[GRANT, ("resource", ORDERS)]).await);
    signet.stop().await;
}

#[actix_web::test]
async fn an_identifier_encoded_in_the_header_is_still_the_client() {
    let installation = Installation::new();
    let (signet, _, secret) = shop(&installation).await;
    let basic = Some(("sho%70", secret.as_str()));
    token_of(&signet.token(basic, &[GRANT, ("resource", ORDERS)]).await);
    signet.stop().await;
}

#[actix_web::test]
async fn what_another_process_changes_is_followed_within_two_seconds() {
    let installation = Installation::new().following_as_in_production();
    let (signet, world, first) = shop(&installation).await;
    let form = [GRANT, ("resource", ORDERS)];
    let ask = async |secret: &str| signet.token(Some(("shop", secret)), &form).await.status;
    assert_eq!(ask(&first).await, StatusCode::OK);

    let followed = async |secret: &str, status: StatusCode| {
        let started = std::time::Instant::now();
        eventually(async || (ask(secret).await == status).then_some(())).await;
        started.elapsed()
    };
    let mut longest = Duration::ZERO;
    let second = world.roll_secret("shop", Duration::from_secs(60)).await;
    longest = longest.max(followed(&second, StatusCode::OK).await);
    assert_eq!(ask(&first).await, StatusCode::OK, "the secret before stays valid for its overlap");
    installation.clock.advance(Duration::from_secs(61));
    assert_eq!(ask(&first).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&second).await, StatusCode::OK);

    // T12: disabled in the middle.
    world.set_enabled("shop", false).await;
    longest = longest.max(followed(&second, StatusCode::UNAUTHORIZED).await);
    world.set_enabled("shop", true).await;
    longest = longest.max(followed(&second, StatusCode::OK).await);
    println!("followed three changes, the slowest after {longest:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    signet.stop().await;
}

#[actix_web::test]
async fn a_client_that_was_unknown_is_known_soon_after_it_is_registered() {
    let installation = Installation::new();
    let (signet, world, _) = shop(&installation).await;
    assert_error(&signet.token(Some(("late", "x")), &[GRANT]).await, 401, "invalid_client");
    let secret = world.client("late", json!({"access": {ORDERS: "orders:read"}})).await;
    eventually(async || {
        let answer = signet.token(Some(("late", &secret)), &[GRANT]).await;
        (answer.status == StatusCode::OK).then_some(())
    })
    .await;
    signet.stop().await;
}

#[actix_web::test]
async fn many_unknown_clients_are_refused_and_known_ones_go_on() {
    let installation = Installation::new();
    let (signet, _, secret) = shop(&installation).await;
    for place in 0..2_500 {
        let id = format!("guess-{place}");
        assert_eq!(signet.token(Some((&id, "x")), &[GRANT]).await.status, StatusCode::UNAUTHORIZED);
    }
    token_of(&signet.token(Some(("shop", &secret)), &[GRANT, ("resource", ORDERS)]).await);
    signet.stop().await;
}

#[actix_web::test]
async fn a_client_without_the_grant_may_not_use_it() {
    let installation = Installation::new();
    let (signet, world, _) = shop(&installation).await;
    let secret = world.client("server", json!({"grant_types": [], "serves": [ORDERS]})).await;
    assert_error(&signet.token(Some(("server", &secret)), &[GRANT]).await, 400, "unauthorized_client");
    signet.stop().await;
}

#[actix_web::test]
async fn a_lifetime_beyond_what_the_keys_are_kept_for_is_not_signed() {
    let installation = Installation::new();
    let (signet, world, _) = shop(&installation).await;
    world
        .resource_with("https://long.example", "", |resource| resource.token_lifetime = Some(Duration::from_secs(3600)))
        .await;
    let secret = world.client("long", json!({"access": {"https://long.example": ""}})).await;
    let answer = eventually(async || {
        let answer = signet.token(Some(("long", &secret)), &[GRANT]).await;
        (answer.status != StatusCode::BAD_REQUEST).then_some(answer)
    })
    .await;
    assert_eq!(answer.body["expires_in"], 3600);
    assert_eq!(answer.body.get("scope"), None, "nothing to say of a scope that is empty");
    assert_eq!(claims(token_of(&answer)).get("scope"), None);
    signet.stop().await;

    // The same store under a server that keeps its keys for less: the keys keep what they promised.
    let shorter = installation.with("TOKENS__MAX_ACCESS_LIFETIME", "600");
    let signet = shorter.start().await;
    assert_eq!(signet.token(Some(("long", &secret)), &[GRANT]).await.status, StatusCode::OK);
    signet.stop().await;
}

#[actix_web::test]
async fn tokens_have_distinct_identifiers() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let admin = signet.admin_client();
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let answer = signet.token(Some((&admin.client_id, &admin.client_secret)), &[GRANT]).await;
        assert!(seen.insert(claims(token_of(&answer))["jti"].as_str().unwrap().to_owned()));
    }
    signet.stop().await;
}

#[actix_web::test]
async fn the_first_admin_gets_a_token_for_the_admin_resource() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let token = signet.admin_token().await;
    assert_eq!(claims(&token)["aud"], format!("{}/admin", signet.issuer));
    assert!(Compact::parse(&token).is_ok());
    signet.stop().await;
}
