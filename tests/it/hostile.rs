//! What nobody well-meaning sends: every route by every method, hostile bytes on the wire, lines forged into the log.

mod log;
mod slow_reader;
mod wire;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;
use signet::http::{Access, Listener, Route, table};
use signet::issuer::Issuer;

use crate::app::{Answer, Installation, Signet};
use crate::raw::{request, say};
use crate::world::shop;

const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"];

/// What every answer has, whatever it answers; `ids` are the request ids so far.
fn assert_dressed(what: &str, answer: &Answer, https: bool, ids: &mut HashSet<String>) {
    let id = answer.header("x-request-id").unwrap_or_else(|| panic!("{what}: no request id"));
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{what}: {id}");
    assert!(ids.insert(id.to_owned()), "{what}: {id} again");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
    assert!(answer.header("cache-control").is_some(), "{what}");
    let hsts = https.then_some("max-age=63072000; includeSubDomains; preload");
    assert_eq!(answer.header("strict-transport-security"), hsts, "{what}");
    for name in ["server", "x-powered-by", "set-cookie", "via"] {
        assert_eq!(answer.header(name), None, "{what}");
    }
    assert_eq!(
        answer.header("content-type").is_some(),
        answer.header("content-length").is_some_and(|n| n != "0"),
        "{what}"
    );
}

async fn send(signet: &Signet, route: &Route, method: &str) -> Answer {
    let base = if route.listener == Listener::Public { &signet.public } else { &signet.admin };
    let request = signet.http.request(method.parse().unwrap(), format!("{base}{}", route.path));
    let request = if route.method == "POST" { request.form(&[("grant_type", "client_credentials")]) } else { request };
    Answer::of(request.send().await.unwrap()).await
}

#[actix_web::test]
async fn every_route_answers_every_method_as_the_table_says_and_with_the_common_headers() {
    for issuer in ["http://127.0.0.1:9", "https://login.example.com/t1"] {
        let https = issuer.starts_with("https:");
        let installation = Installation::new().with("ISSUER", issuer);
        let signet = installation.start().await;
        let routes = table(&Issuer::parse(issuer, false).unwrap());
        assert!(routes.len() >= 6);
        let mut ids = HashSet::new();
        for route in &routes {
            for method in METHODS {
                let what = format!("{method} {}", route.path);
                let answer = send(&signet, route, method).await;
                assert_dressed(&what, &answer, https, &mut ids);
                let of_path =
                    routes.iter().filter(|other| other.listener == route.listener && other.path == route.path);
                let row = of_path.clone().find(|row| row.method == if method == "HEAD" { "GET" } else { method });
                let mut allow: Vec<&str> = of_path.map(|row| row.method).collect();
                if let Some(place) = allow.iter().position(|method| *method == "GET") {
                    allow.insert(place + 1, "HEAD");
                    if route.listener == Listener::Public {
                        allow.push("OPTIONS");
                    }
                }
                if route.access == Access::Person && !allow.contains(&"OPTIONS") {
                    allow.push("OPTIONS");
                }
                let allowed = allow.contains(&method);
                let status = match row.map(|row| row.access) {
                    _ if !allowed => StatusCode::METHOD_NOT_ALLOWED,
                    // Nobody gets past without credentials.
                    Some(Access::Client | Access::Scope(_)) => StatusCode::UNAUTHORIZED,
                    // What has no body is not looked at, and accounts are an administrator's to make.
                    Some(Access::Person) if route.path.ends_with("/register") => StatusCode::FORBIDDEN,
                    Some(Access::Person) if method == "POST" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    Some(Access::Person) => StatusCode::UNAUTHORIZED,
                    _ if method == "OPTIONS" => StatusCode::NO_CONTENT,
                    _ => StatusCode::OK,
                };
                assert_eq!(answer.status, status, "{what}: {}", answer.text);
                assert_eq!(answer.header("allow"), (!allowed).then_some(allow.join(", ").as_str()), "{what}");
                assert_eq!(answer.text.is_empty(), method == "HEAD" || status == StatusCode::NO_CONTENT, "{what}");
                // Pages of other origins read public documents and nothing else.
                let open = allowed && route.access == Access::Anyone && route.listener == Listener::Public;
                assert_eq!(answer.header("access-control-allow-origin"), open.then_some("*"), "{what}");
                if !open || status == StatusCode::NO_CONTENT {
                    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
                }
                if !allowed && method != "HEAD" {
                    let problem = if route.access == Access::Client { "error" } else { "title" };
                    assert!(answer.body[problem].is_string(), "{what}: {}", answer.text);
                }
            }
        }
        for (base, method) in [&signet.public, &signet.admin].into_iter().flat_map(|base| METHODS.map(|m| (base, m))) {
            let request = signet.http.request(method.parse().unwrap(), format!("{base}/nowhere"));
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND);
            assert_dressed(method, &answer, https, &mut ids);
        }
        signet.stop().await;
    }
}

#[actix_web::test]
async fn refusals_before_the_endpoint_have_the_common_headers_too() {
    for issuer in ["http://127.0.0.1:9", "https://login.example.com"] {
        let installation = Installation::new().with("ISSUER", issuer);
        let signet = installation.start().await;
        let mut ids = HashSet::new();
        let form = "application/x-www-form-urlencoded";
        let post = |content_type: &'static str, body: String| {
            let request = signet.token_request().header("content-type", content_type).body(body);
            async move { Answer::of(request.send().await.unwrap()).await }
        };
        for (answer, status, code) in [
            (post(form, "x".repeat(20_000)).await, 413, "invalid_request"),
            (post("application/json", "{}".into()).await, 415, "invalid_request"),
            (post(form, "a=1&a=2".into()).await, 400, "invalid_request"),
            (post(form, "grant_type=client_credentials".into()).await, 401, "invalid_client"),
        ] {
            assert_eq!((answer.status.as_u16(), &answer.body["error"]), (status, &json!(code)));
            assert_dressed(&answer.text, &answer, issuer.starts_with("https:"), &mut ids);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        signet.stop().await;
    }
}

#[actix_web::test]
async fn what_a_request_says_is_not_in_its_answer() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let canary = "c4n4ry";
    for bytes in [
        request(
            "GET",
            &format!("/{canary}?{canary}"),
            &[&format!("X-Request-Id: {canary}"), &format!("Origin: {canary}")],
        ),
        request("GET", "/.well-known/jwks.json", &[&format!("X-Request-Id: {canary}"), &format!("Origin: {canary}")]),
        request("POST", "/oauth2/token", &[&format!("Content-Type: {canary}"), "Content-Length: 0"]),
        request("OPTIONS", "/.well-known/jwks.json", &[&format!("Access-Control-Request-Headers: {canary}")]),
        request(&canary.to_uppercase(), "/oauth2/token", &[]),
    ] {
        let heard = say(&signet.public, bytes).await;
        assert!(!String::from_utf8(heard.bytes).unwrap().to_lowercase().contains(canary));
    }
    let forms: [Vec<(&str, &str)>; 4] = [
        vec![("grant_type", canary)],
        vec![("client_id", canary), ("client_secret", canary), ("grant_type", canary)],
        vec![("client_assertion", canary), ("client_assertion_type", canary)],
        vec![(canary, canary), (canary, canary)],
    ];
    for form in forms {
        let answer = signet.token(None, &form).await;
        assert!(!answer.status.is_success() && !answer.text.contains(canary), "{}", answer.text);
    }
    let admin = signet.admin_client();
    for name in ["scope", "resource", "grant_type"] {
        let form = [("grant_type", "client_credentials"), (name, canary)];
        let form = if name == "grant_type" { &form[1..] } else { &form };
        let answer = signet.token(Some((&admin.client_id, &admin.client_secret)), form).await;
        assert!(!answer.status.is_success() && !answer.text.contains(canary), "{}", answer.text);
    }
    signet.stop().await;
}

/// Asserts nothing of time: it shows it.
#[actix_web::test]
async fn an_unknown_client_and_a_wrong_secret_are_told_apart_by_nothing_but_the_log() {
    // T9.
    const CALLS: usize = 2_000;
    let installation = Installation::new();
    let (signet, _, _) = shop(&installation).await;
    let mut took = [const { Vec::new() }; 2];
    let mut bodies = HashSet::new();
    for _ in 0..CALLS {
        for (place, id) in ["shop", "nobody"].into_iter().enumerate() {
            let started = Instant::now();
            let answer = signet.token(Some((id, "wrong")), &[("grant_type", "client_credentials")]).await;
            took[place].push(started.elapsed());
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            bodies.insert(answer.text);
        }
    }
    assert_eq!(bodies.len(), 1);
    let [wrong, unknown] = took.map(|mut times: Vec<Duration>| {
        times.sort_unstable();
        times[CALLS / 2]
    });
    println!("{CALLS} calls each: a wrong secret takes {wrong:?}, an unknown client {unknown:?} (medians)");
    signet.stop().await;
}
