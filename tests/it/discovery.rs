//! The JWKS and the metadata documents, as verifiers and clients fetch them.

mod metadata;
mod paths;

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use signet::clients::{ClientId, ClientMetadata};
use signet::issuer::Issuer;
use signet::ports::Timestamp;
use signet_verify::Algorithm;

use crate::app::{Answer, Installation, Signet};
use crate::assertion::{ask, jti};
use crate::raw::{RawAnswer, request, say};
use crate::signer::Signer;
use crate::world::{ORDERS, eventually, shop};

const JWKS: &str = "/.well-known/jwks.json";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const ALL_ALGORITHMS: &str = "ES256,RS256,PS256,ES384,Ed25519";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

async fn get(signet: &Signet, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(signet, "GET", path, headers).await
}

async fn send(signet: &Signet, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = signet.http.request(method.parse().unwrap(), format!("{}{path}", signet.public));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request.send().await.unwrap()).await
}

/// Without what differs from answer to answer.
fn lasting(headers: &reqwest::header::HeaderMap) -> BTreeSet<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

#[actix_web::test]
async fn the_jwks_may_be_read_by_all_and_kept_for_a_while() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let answer = signet.get(JWKS).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("application/jwk-set+json"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300, stale-while-revalidate=60"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(answer.header("vary"), None);
    assert_eq!(answer.header("set-cookie"), None);
    let etag = answer.header("etag").unwrap();
    assert!(etag.len() > 10 && etag.starts_with('"') && etag.ends_with('"'), "strong: {etag}");
    assert_eq!(answer.body["keys"].as_array().unwrap().len(), 4, "an active key and a successor of ES256 and of RS256");
    // The same bytes under the same tag, whoever asks and how.
    for path in [JWKS, "/.well-known/jwks.json?", "/.well-known/jwks.json?kid=x"] {
        let again = get(&signet, path, &[("accept", "text/html"), ("authorization", "Basic eDp5")]).await;
        assert_eq!((&again.text, again.header("etag")), (&answer.text, Some(etag)));
    }

    let head = send(&signet, "HEAD", JWKS, &[]).await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(lasting(&head.headers), lasting(&answer.headers));
    assert_eq!(head.header("content-length"), Some(answer.text.len().to_string().as_str()));
    signet.stop().await;
}

#[actix_web::test]
async fn who_has_the_keys_gets_304_and_no_body() {
    let installation = Installation::new();
    let signet = installation.start().await;
    let full = signet.get(JWKS).await;
    let etag = full.header("etag").unwrap();
    let bare = etag.trim_matches('"');
    for method in ["GET", "HEAD"] {
        for held in
            [etag.to_owned(), format!("W/{etag}"), "*".into(), format!("\"x\", {etag}"), format!("\"x\",W/{etag}")]
        {
            let line = format!("If-None-Match: {held}");
            let heard = say(&signet.public, request(method, JWKS, &[&line])).await;
            let answer = heard.answers(&[method]).remove(0);
            assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{held}");
            assert_eq!(answer.header("etag"), Some(etag));
            assert_eq!(answer.header("cache-control"), full.header("cache-control"));
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            // RFC 9110 §8.6 and §15.4.5: no length but that of the 200, nor metadata of a body that is not there.
            assert!(answer.header("content-length").is_none_or(|length| length == full.text.len().to_string()));
            assert_eq!(answer.header("content-type"), None);
        }
        for held in ["\"x\"", bare, "\"\"", "", "W/*", "\"*\"", &etag.to_uppercase(), &format!("{etag}x")] {
            let answer = send(&signet, method, JWKS, &[("if-none-match", held)]).await;
            assert_eq!(answer.status, StatusCode::OK, "{held}");
            assert_eq!(answer.text.is_empty(), method == "HEAD");
        }
    }
    let two_lines = request("GET", JWKS, &["If-None-Match: \"x\"", &format!("If-None-Match: {etag}")]);
    assert_eq!(say(&signet.public, two_lines).await.only().status, 304);
    signet.stop().await;
}

#[actix_web::test]
async fn a_page_of_any_origin_may_ask_first() {
    let installation = Installation::new();
    let signet = installation.start().await;
    for path in [JWKS, OAUTH, OPENID] {
        let lines = ["Origin: https://app.example", "Access-Control-Request-Method: GET"];
        let answer = say(&signet.public, request("OPTIONS", path, &lines)).await.only();
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(answer.header("content-type"), None);
        assert_eq!(answer.header("content-length"), None, "RFC 9110 §8.6: never with 204");
        let page = get(&signet, path, &[("origin", "https://app.example")]).await;
        assert_eq!(page.header("access-control-allow-origin"), Some("*"));
    }
    signet.stop().await;
}

#[actix_web::test]
async fn only_public_members_of_any_key_are_published() {
    // W3, over every kind of key there is and several generations of each.
    let installation = Installation::new().with("KEYS__ALGORITHMS", ALL_ALGORITHMS);
    let signet = installation.start().await;
    let mut seen = BTreeSet::new();
    let mut etags = BTreeSet::new();
    for _ in 0..3 {
        let answer = signet.get(JWKS).await;
        etags.insert(answer.header("etag").unwrap().to_owned());
        let keys = answer.body["keys"].as_array().unwrap();
        assert_eq!(answer.body.as_object().unwrap().len(), 1);
        let kids: BTreeSet<_> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
        assert_eq!(kids.len(), keys.len(), "every kid stands once");
        for key in keys {
            let members: BTreeSet<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
            let expected: &[&str] = match key["kty"].as_str().unwrap() {
                "RSA" => &["alg", "e", "kid", "kty", "n", "use"],
                "EC" => &["alg", "crv", "kid", "kty", "use", "x", "y"],
                "OKP" => &["alg", "crv", "kid", "kty", "use", "x"],
                other => panic!("{other}"),
            };
            assert_eq!(members, expected.iter().copied().collect());
            assert_eq!(key["use"], "sig");
            let parsed = signet_verify::PublicJwk::parse(key).unwrap();
            assert_eq!(key["kid"], parsed.thumbprint());
            seen.insert(parsed.algorithm.unwrap());
        }
        installation.clock.advance(Duration::from_secs(31 * 86_400));
        eventually(async || {
            let now = signet.get(JWKS).await;
            (!etags.contains(now.header("etag").unwrap())).then_some(())
        })
        .await;
    }
    assert_eq!(seen, Algorithm::ALL.into());
    signet.stop().await;
}

#[actix_web::test]
async fn the_age_is_shortened_when_a_change_is_near_and_the_tag_moves_with_the_keys() {
    let installation = Installation::new().with("KEYS__ALGORITHMS", "ES256").with("KEYS__ROTATE_EVERY", "1d");
    let signet = installation.start().await;
    let first = signet.get(JWKS).await;
    installation.clock.advance(Duration::from_secs(86_400 - 100));
    // Once the follower has heard from the store again: until then, nobody is to keep the set for long.
    let kept_for = async |age: u64| {
        let told = format!("public, max-age={age}, stale-while-revalidate=60");
        eventually(async || (signet.get(JWKS).await.header("cache-control") == Some(&told)).then_some(())).await;
    };
    kept_for(100).await;
    installation.clock.advance(Duration::from_secs(98));
    // Nobody need ask more often.
    kept_for(5).await;
    assert_eq!(signet.get(JWKS).await.header("etag"), first.header("etag"));
    installation.clock.advance(Duration::from_secs(2));
    let second = eventually(async || {
        let answer = signet.get(JWKS).await;
        (answer.header("etag") != first.header("etag")).then_some(answer)
    })
    .await;
    assert_ne!(second.text, first.text);
    let held = get(&signet, JWKS, &[("if-none-match", first.header("etag").unwrap())]).await;
    assert_eq!((held.status, &held.text), (StatusCode::OK, &second.text));
    signet.stop().await;
}

#[actix_web::test]
async fn what_a_request_says_of_host_and_scheme_changes_nothing() {
    // D2.
    let installation = Installation::new();
    let signet = installation.start().await;
    let spoofed = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "444"),
        ("x-forwarded-prefix", "/evil"),
        ("x-original-url", "/evil"),
        ("forwarded", "for=1.2.3.4;host=evil.example;proto=https"),
    ];
    for path in [JWKS, OAUTH, OPENID] {
        let (honest, answer) = (signet.get(path).await, get(&signet, path, &spoofed).await);
        assert_eq!((&answer.text, lasting(&answer.headers)), (&honest.text, lasting(&honest.headers)), "{path}");
        assert!(!answer.text.contains("evil"));
        // The absolute form of a request names a host too.
        let heard = say(&signet.public, request("GET", &format!("http://evil.example{path}"), &[])).await.only();
        assert_eq!((heard.status, &heard.body), (200, &honest.text));
    }
    let admin = signet.admin_client();
    let mut request = signet.token_request().basic_auth(&admin.client_id, Some(&admin.client_secret)).form(&[GRANT]);
    for (name, value) in spoofed {
        request = request.header(name, value);
    }
    let answer = Answer::of(request.send().await.unwrap()).await;
    let payload = answer.body["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let payload: Value = serde_json::from_slice(&signet_verify::base64url::decode(payload).unwrap()).unwrap();
    assert_eq!(payload["iss"], signet.issuer.as_str());
    signet.stop().await;
}
