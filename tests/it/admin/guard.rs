//! Who gets past the guard: each guarded route of the table, with every kind of credential that must not do.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use signet::clients::Resource;
use signet::http::{Access, Listener, Route, table};
use signet::issuer::Issuer;
use signet_verify::base64url;

use super::{Api, answer, assert_problem, done};
use crate::app::{Answer, Installation};
use crate::raw::{request, say};
use crate::world::{ORDERS, World, eventually};

/// The guarded routes, each with a path that may be asked for.
fn guarded(api: &Api) -> Vec<(Route, String, &'static str)> {
    let routes = table(&Issuer::parse(&api.signet.issuer, false).unwrap());
    let guarded = routes.into_iter().filter_map(|route| match route.access {
        Access::Scope(scope) => {
            let path = route.path.replace("{client_id}", "shop").replace("{kid}", "a-kid");
            let path = path.replace("{resource}", "https%3A%2F%2Forders.example");
            let path = path.replace("{user}", "00000000-0000-7000-8000-000000000000").replace("{sid}", "a-sid");
            assert!(!path.contains('{'), "{path}: give its parameter a value here");
            Some((route, path, scope))
        }
        Access::Anyone | Access::Client | Access::Person => None,
    });
    guarded.collect()
}

fn assert_invalid(what: &str, answer: &Answer) {
    assert_eq!(answer.body["code"], "invalid_token", "{what}: {}", answer.text);
    assert_problem(answer, 401, "invalid_token");
    let challenge = "Bearer realm=\"signet\", error=\"invalid_token\"";
    assert_eq!(answer.header("www-authenticate"), Some(challenge), "{what}");
}

#[actix_web::test]
async fn each_route_is_refused_to_whoever_may_not_and_granted_by_exactly_its_scope() {
    let api = Api::start().await;
    // Another issuer that says it is this one: all is the same but the keys.
    let other = Installation::new().with("ISSUER", &api.signet.issuer).with("KEYS__ALGORITHMS", "ES256");
    let other = other.start().await;
    let foreign = other.admin_token().await;
    let all = Resource::admin().scopes;
    let good = api.token_for(all.as_str()).await;
    let elsewhere = api.signet.token(Some(("shop", &api.shop_secret)), &[("grant_type", "client_credentials")]).await;
    let elsewhere = elsewhere.body["access_token"].as_str().unwrap().to_owned();
    let disabled = api.lesser("disabled", all.as_str()).await;
    api.world.set_enabled("disabled", false).await;
    let deleted = api.lesser("deleted", all.as_str()).await;
    done(&api.change("DELETE", "/admin/v1/clients/deleted", Some("*"), json!(null)).await);
    let parts: Vec<&str> = good.split('.').collect();
    let signed_by_another = format!("{}.{}.{}", parts[0], parts[1], foreign.split('.').nth(2).unwrap());
    let mut claims: serde_json::Value = serde_json::from_slice(&base64url::decode(parts[1]).unwrap()).unwrap();
    claims["exp"] = json!(claims["exp"].as_i64().unwrap() + 3600);
    let lengthened = format!("{}.{}.{}", parts[0], base64url::encode(claims.to_string()), parts[2]);
    let none = base64url::encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    let unsigned = format!("{none}.{}.", parts[1]);
    let bad = [
        ("another issuer's key", foreign),
        ("another issuer's signature", signed_by_another),
        ("changed claims", lengthened),
        ("no signature", unsigned),
        ("another audience", elsewhere),
        ("a disabled client", disabled),
        ("a deleted client", deleted),
        ("no token at all", "x".to_owned()),
    ];
    let routes = guarded(&api);
    let (mut refused, mut granted) = (0, 0);
    for (route, path, scope) in &routes {
        let what = format!("{} {}", route.method, route.path);
        assert_eq!(route.listener, Listener::Admin, "{what}");
        let nobody = answer(api.bare(route.method, path)).await;
        assert_problem(&nobody, 401, "no_token");
        assert_eq!(nobody.header("www-authenticate"), Some("Bearer realm=\"signet\""), "{what}");
        for (why, token) in &bad {
            assert_invalid(&format!("{what} with {why}"), &answer(api.with(token, route.method, path)).await);
        }
        let others: Vec<&str> = all.iter().filter(|other| other != scope).collect();
        let lacking = answer(api.with(&api.token_for(&others.join(" ")).await, route.method, path)).await;
        assert_problem(&lacking, 403, "insufficient_scope");
        assert_eq!(lacking.body["scope"], *scope, "{what}");
        let challenge = format!("Bearer realm=\"signet\", error=\"insufficient_scope\", scope=\"{scope}\"");
        assert_eq!(lacking.header("www-authenticate"), Some(challenge.as_str()), "{what}");
        refused += 2 + bad.len();
        let exact = answer(api.with(&api.token_for(scope).await, route.method, path)).await;
        assert!(![401, 403].contains(&exact.status.as_u16()), "{what}: {}", exact.text);
        granted += 1;
        // The other listener does not know it.
        let public = api.signet.http.request(route.method.parse().unwrap(), format!("{}{path}", api.signet.public));
        assert_eq!(answer(public.bearer_auth(&good)).await.status, StatusCode::NOT_FOUND, "{what}");
    }
    // Last, since it makes all tokens old.
    api.advance(Duration::from_secs(303)).await;
    for (route, path, _) in &routes {
        let late = answer(api.with(&good, route.method, path)).await;
        assert_invalid(&format!("{} {} after its end", route.method, route.path), &late);
        refused += 1;
    }
    println!("guarded routes: {}, refused: {refused}, granted: {granted}", routes.len());
    assert!(routes.len() >= 14 && routes.iter().map(|(route, ..)| &route.path).collect::<HashSet<_>>().len() >= 8);
    api.signet.stop().await;
    other.stop().await;
}

#[actix_web::test]
async fn a_token_is_taken_from_one_authorization_header_and_from_nowhere_else() {
    let api = Api::start().await;
    let token = api.token_for("audit:read").await;
    let path = "/admin/v1/audit";
    let sent = async |lines: &[&str], path: &str| say(&api.signet.admin, request("GET", path, lines)).await.only();
    let bearer = format!("Authorization: Bearer {token}");
    for header in [&bearer, &format!("authorization: bearer {token}"), &format!("AUTHORIZATION: BEARER   {token}")] {
        assert_eq!(sent(&[header], path).await.status, 200, "{header}");
    }
    for header in [
        "Authorization: ",
        "Authorization: Bearer",
        "Authorization: Basic YTpi",
        &format!("Authorization: {token}"),
        &format!("Authorization: Token {token}"),
        &format!("Authorization: DPoP {token}"),
        &format!("X-Authorization: Bearer {token}"),
        &format!("Proxy-Authorization: Bearer {token}"),
        &format!("Cookie: access_token={token}"),
    ] {
        let answer = sent(&[header], path).await;
        assert_eq!((answer.status, answer.body.contains("\"no_token\"")), (401, true), "{header}: {}", answer.body);
    }
    for header in [
        format!("Authorization: Bearer {token} {token}"),
        format!("Authorization: Bearer {token},{token}"),
        format!("Authorization: Bearer {token}="),
        format!("Authorization: Bearer \"{token}\""),
        format!("Authorization: Bearer {}", "a".repeat(20_000)),
    ] {
        let answer = sent(&[&header], path).await;
        assert_eq!((answer.status, answer.body.contains("\"invalid_token\"")), (401, true), "{}", answer.body);
    }
    for second in [bearer.as_str(), "Authorization: Basic YTpi", "authorization: x"] {
        let answer = sent(&[&bearer, second], path).await;
        assert_eq!((answer.status, answer.body.contains("\"invalid_request\"")), (400, true), "{}", answer.body);
    }
    let in_query = format!("{path}?access_token={token}");
    assert_eq!(sent(&[], &in_query).await.status, 401);
    assert_eq!(sent(&[&bearer], &in_query).await.status, 400);
    let in_form = api.bare("POST", "/admin/v1/clients").form(&[("access_token", &token)]);
    assert_problem(&answer(in_form).await, 401, "no_token");
    api.signet.stop().await;
}

#[actix_web::test]
async fn what_a_client_may_get_no_more_its_live_tokens_lose_too() {
    let api = Api::start().await;
    let token = api.lesser("helper", "clients:read audit:read").await;
    let sees = async |path: &str| answer(api.with(&token, "GET", path)).await;
    assert_eq!(sees("/admin/v1/audit").await.status, StatusCode::OK);
    let narrower = json!({"access": {api.audience(): "clients:read"}});
    let seen = done(&api.get("/admin/v1/clients/helper").await);
    let changed = done(&api.change("PUT", "/admin/v1/clients/helper", Some(&seen), narrower).await);
    assert_problem(&sees("/admin/v1/audit").await, 403, "insufficient_scope");
    assert_eq!(sees("/admin/v1/clients").await.status, StatusCode::OK);
    let none = json!({"access": {ORDERS: "orders:read"}});
    done(&api.change("PUT", "/admin/v1/clients/helper", Some(&changed), none).await);
    assert_problem(&sees("/admin/v1/clients").await, 403, "insufficient_scope");
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_client_that_is_registered_anew_is_not_the_one_that_a_token_was_issued_to() {
    let api = Api::start().await;
    let token = api.lesser("helper", "audit:read").await;
    done(&api.change("DELETE", "/admin/v1/clients/helper", Some("*"), json!(null)).await);
    assert_invalid("deleted", &answer(api.with(&token, "GET", "/admin/v1/audit")).await);
    api.installation.clock.advance(Duration::from_secs(2));
    let anew = json!({"client_id": "helper", "access": {api.audience(): "audit:read"}});
    let registered = api.change("POST", "/admin/v1/clients", None, anew).await;
    assert_eq!(registered.status, StatusCode::CREATED, "{}", registered.text);
    assert_invalid("another's", &answer(api.with(&token, "GET", "/admin/v1/audit")).await);
    let own = api.token_of("helper", registered.body["client_secret"].as_str().unwrap(), None).await;
    assert_eq!(answer(api.with(&own, "GET", "/admin/v1/audit")).await.status, StatusCode::OK);
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_token_ends_when_it_says_and_not_later_than_clocks_may_differ() {
    let api = Api::start().await;
    let token = api.token_for("audit:read").await;
    let status = async || answer(api.with(&token, "GET", "/admin/v1/audit")).await.status;
    // `clock.max_skew` is a second: two replicas are two apart at most.
    api.advance(Duration::from_millis(301_900)).await;
    assert_eq!(status().await, StatusCode::OK);
    api.advance(Duration::from_millis(100)).await;
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_replica_that_can_not_know_answers_nobody() {
    let installation = Installation::new().on(crate::app::Backend::Postgres);
    let opened = installation.open(signet::app::Preparation::Initialise).await;
    signet::app::initialise(&installation.settings(), &opened, &installation.parts()).await.unwrap();
    let api = Api::over(installation).await;
    let status = async || api.get("/admin/v1/audit").await.status;
    assert_eq!(status().await, StatusCode::OK);
    // A replica whose clock is wrong suspends its lease, as one does that is cut off for longer than it.
    api.installation.clock.skew_from_the_store(Duration::from_secs(100), false);
    eventually(async || (status().await == StatusCode::SERVICE_UNAVAILABLE).then_some(())).await;
    let away = api.get("/admin/v1/audit").await;
    assert_problem(&away, 503, "temporarily_unavailable");
    assert_eq!(away.header("retry-after"), Some("2"));
    // Who brings nothing is told so all the same.
    assert_problem(&answer(api.bare("GET", "/admin/v1/audit")).await, 401, "no_token");
    api.installation.clock.skew_from_the_store(Duration::ZERO, false);
    eventually(async || (status().await == StatusCode::OK).then_some(())).await;
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_change_of_another_process_is_known_at_once() {
    // This replica looks for changes once a second, and not in between.
    let api = Api::over(Installation::new().following_as_in_production()).await;
    let token = api.lesser("helper", "audit:read").await;
    let status = async || answer(api.with(&token, "GET", "/admin/v1/audit")).await.status;
    assert_eq!(status().await, StatusCode::OK);
    let second = World::of(&api.installation).await;
    for _ in 0..3 {
        second.set_enabled("helper", false).await;
        assert_eq!(status().await, StatusCode::UNAUTHORIZED);
        second.set_enabled("helper", true).await;
        assert_eq!(status().await, StatusCode::OK);
    }
    api.signet.stop().await;
}
