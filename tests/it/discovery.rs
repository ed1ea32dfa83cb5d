//! The JWKS and the metadata documents, as verifiers and clients fetch them.

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

/// Every document at the address that its specification derives from the issuer, on this server.
fn addresses(path: &str) -> [String; 3] {
    [format!("{OAUTH}{path}"), format!("{path}{OPENID}"), format!("{OPENID}{path}")]
}

fn assert_whole(value: &Value) {
    match value {
        Value::Null => panic!("a null"),
        Value::Array(items) => {
            assert!(!items.is_empty(), "an empty array");
            items.iter().for_each(assert_whole);
        }
        Value::Object(members) => members.values().for_each(assert_whole),
        Value::String(text) => assert!(!text.is_empty()),
        Value::Bool(_) | Value::Number(_) => {}
    }
}

#[actix_web::test]
async fn the_metadata_stand_at_all_three_addresses_of_an_issuer() {
    // D1, D7, D8.
    for issuer in
        [None, Some("http://127.0.0.1:9/t1"), Some("https://login.example.com/a/b"), Some("https://login.example.com")]
    {
        let mut installation = Installation::new();
        if let Some(issuer) = issuer {
            installation = installation.with("ISSUER", issuer);
        }
        let signet = installation.start().await;
        let issuer = issuer.map_or(signet.public.clone(), str::to_owned);
        let path = Issuer::parse(&issuer, true).unwrap().path().to_owned();
        for address in addresses(&path) {
            let answer = signet.get(&address).await;
            assert_eq!(answer.status, StatusCode::OK, "{issuer}: {address}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            let caching = answer.header("cache-control").unwrap();
            assert!(caching.starts_with("public, max-age="), "{caching}");
            assert_eq!(answer.body["issuer"], issuer.as_str(), "byte for byte");
            assert_eq!(answer.body["token_endpoint"], format!("{issuer}/oauth2/token"));
            assert_eq!(answer.body["jwks_uri"], format!("{issuer}{JWKS}"));
            assert_whole(&answer.body);
            let head = send(&signet, "HEAD", &address, &[]).await;
            assert_eq!((lasting(&head.headers), head.text.as_str()), (lasting(&answer.headers), ""));
        }
        signet.stop().await;
    }
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

#[actix_web::test]
async fn every_address_in_the_metadata_answers() {
    // D3.
    for issuer in ["http://127.0.0.1:9", "http://127.0.0.1:9/t1"] {
        let installation = Installation::new().with("ISSUER", issuer);
        let signet = installation.start().await;
        for address in addresses(issuer.strip_prefix("http://127.0.0.1:9").unwrap()) {
            let document = signet.get(&address).await.body;
            for (name, value) in document.as_object().unwrap() {
                let Some(url) = value.as_str().filter(|url| url.starts_with("http")) else { continue };
                let path = url.strip_prefix("http://127.0.0.1:9").unwrap();
                let (method, status) = match name.as_str() {
                    "issuer" => continue,
                    "jwks_uri" => ("GET", StatusCode::OK),
                    "token_endpoint" => ("POST", StatusCode::UNSUPPORTED_MEDIA_TYPE),
                    other => panic!("{other}: say here how it answers"),
                };
                assert_eq!(send(&signet, method, path, &[]).await.status, status, "{name} {url}");
            }
        }
        signet.stop().await;
    }
}

#[actix_web::test]
async fn every_method_algorithm_and_grant_in_the_metadata_works_and_no_other() {
    // D4.
    let installation = Installation::new();
    let (signet, world, _) = shop(&installation).await;
    let document = signet.get(OPENID).await.body;
    let listed = |name: &str| -> Vec<String> { serde_json::from_value(document[name].clone()).unwrap() };
    let access = |mut metadata: Value| {
        metadata["access"] = json!({ORDERS: "orders:read"});
        metadata
    };
    let registers = |metadata: Value| {
        let metadata: ClientMetadata = serde_json::from_value(metadata).unwrap();
        let issuer = Issuer::parse(&signet.issuer, true).unwrap();
        metadata.register(ClientId::parse("x").unwrap(), &issuer, Timestamp::default()).is_ok()
    };

    let methods = listed("token_endpoint_auth_methods_supported");
    assert_eq!(methods.len(), 3);
    for method in &methods {
        let metadata = access(json!({"token_endpoint_auth_method": method}));
        let answer = match method.as_str() {
            "client_secret_basic" => {
                let secret = world.client(method, metadata).await;
                signet.token(Some((method, &secret)), &[GRANT]).await
            }
            "client_secret_post" => {
                let secret = world.client(method, metadata).await;
                signet.token(None, &[GRANT, ("client_id", method), ("client_secret", &secret)]).await
            }
            "private_key_jwt" => continue, // with every algorithm, below
            other => panic!("{other}: try it here"),
        };
        assert_eq!(answer.status, StatusCode::OK, "{method}: {}", answer.text);
    }
    for method in
        ["none", "client_secret_jwt", "tls_client_auth", "self_signed_tls_client_auth", "Client_Secret_Basic", ""]
    {
        assert!(!registers(json!({"token_endpoint_auth_method": method})), "{method}");
    }

    let algorithms = listed("token_endpoint_auth_signing_alg_values_supported");
    assert_eq!(algorithms.len(), Algorithm::ALL.len());
    let metadata = |signer: &Signer, alg: &str| {
        access(json!({"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": alg,
                      "jwks": {"keys": [signer.jwk()]}}))
    };
    for name in &algorithms {
        let signer = Signer::new(Algorithm::from_name(name).unwrap());
        world.client(name, metadata(&signer, name)).await;
        let exp = signet::ports::Clock::now(&installation.clock).secs() + 60;
        let claims = json!({"iss": name, "sub": name, "aud": signet.issuer, "jti": jti(), "exp": exp});
        let answer = ask(&signet, &signer.sign(&claims)).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.text);
    }
    let signer = Signer::new(Algorithm::Es256);
    for name in
        ["none", "HS256", "HS512", "RS384", "RS512", "PS384", "PS512", "ES512", "ES256K", "EdDSA", "Ed448", "es256", ""]
    {
        assert!(!registers(metadata(&signer, name)), "{name}");
    }

    let grants = listed("grant_types_supported");
    assert_eq!(grants, ["client_credentials"]);
    let secret = world.client("granted", access(json!({}))).await;
    for grant in [
        "authorization_code",
        "implicit",
        "password",
        "refresh_token",
        "Client_Credentials",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ] {
        assert!(!registers(json!({"grant_types": [grant]})), "{grant}");
        let answer = signet.token(Some(("granted", &secret)), &[("grant_type", grant)]).await;
        assert_eq!(answer.body["error"], "unsupported_grant_type", "{grant}");
    }
    // Nothing is listed that comes with later endpoints, and what a reader would otherwise suppose is denied.
    let expected = [
        "grant_types_supported",
        "issuer",
        "jwks_uri",
        "request_uri_parameter_supported",
        "token_endpoint",
        "token_endpoint_auth_methods_supported",
        "token_endpoint_auth_signing_alg_values_supported",
    ];
    let members: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, expected);
    assert_eq!(document["request_uri_parameter_supported"], false);
    signet.stop().await;
}

async fn asked(base: &str, path: &str) -> RawAnswer {
    say(base, request("GET", path, &[])).await.only()
}

#[actix_web::test]
async fn a_path_is_exact_or_it_is_nothing() {
    // D6.
    let installation = Installation::new();
    let signet = installation.start().await;
    for path in [
        "/",
        "/.well-known",
        "/.well-known/",
        "/.well-known/jwks",
        "/.well-known/jwks.json/",
        "//.well-known/jwks.json",
        "/.well-known//jwks.json",
        "/./.well-known/jwks.json",
        "/x/../.well-known/jwks.json",
        "/%2ewell-known/jwks.json",
        "/.well-known/jwks%2ejson",
        "/.well-known/%6Awks.json",
        "/.well-known%2fjwks.json",
        "/.well-known/jwks.json%00",
        "/.well-known/jwks.json%20",
        "/.well-known/jwks.json;v=1",
        "/.WELL-KNOWN/jwks.json",
        "/.well-known/JWKS.json",
        "/.well-known\\jwks.json",
        "/.well-known/openid-configuration/",
        "/.well-known/openid-configuration/t1",
        "/.well-known/oauth-authorization-server/t1",
        "/t1/.well-known/openid-configuration",
        "/t1/.well-known/jwks.json",
        "/oauth2/token/",
        "/oauth2",
        "/oauth2/Token",
        "/oauth2/%74oken",
        "/healthz",
        "/readyz",
        "/metrics",
        "/admin",
        "/favicon.ico",
        "/%",
        "/%zz",
        "/%ff",
        "/%E2%82%AC",
        "http://x",
    ] {
        let answer = asked(&signet.public, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap()["status"], 404);
    }
    assert_eq!(asked(&signet.public, JWKS).await.status, 200);
    for path in [JWKS, OPENID, OAUTH, "/oauth2/token", "/healthz/", "//healthz", "/%68ealthz", "/"] {
        assert_eq!(asked(&signet.admin, path).await.status, 404, "{path}");
    }
    signet.stop().await;

    let installation = Installation::new().with("ISSUER", "http://127.0.0.1:9/t1");
    let signet = installation.start().await;
    for path in [
        "/oauth2/token",
        JWKS,
        OPENID,
        OAUTH,
        "/t1",
        "/t1/",
        "/t2/oauth2/token",
        "/T1/.well-known/jwks.json",
        "/t1/t1/.well-known/jwks.json",
        "/t1%2f.well-known/jwks.json",
        "/t1//.well-known/jwks.json",
        "//t1/.well-known/jwks.json",
        "/%741/.well-known/jwks.json",
        "/t1/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration/t1/",
        "/.well-known/openid-configuration/t2",
        "/.well-known/jwks.json/t1",
        "/t11/.well-known/jwks.json",
        "/t1.well-known/jwks.json",
    ] {
        assert_eq!(asked(&signet.public, path).await.status, 404, "{path}");
    }
    assert_eq!(asked(&signet.public, "/t1/.well-known/jwks.json").await.status, 200);
    assert_eq!(asked(&signet.public, "/t1/oauth2/token").await.status, 405);
    signet.stop().await;
}

#[actix_web::test]
async fn the_metadata_stay_the_same_while_keys_rotate() {
    // D9.
    let installation = Installation::new();
    let signet = installation.start().await;
    let (oauth, openid, keys) = (signet.get(OAUTH).await, signet.get(OPENID).await, signet.get(JWKS).await);
    installation.clock.advance(Duration::from_secs(31 * 86_400));
    eventually(async || (signet.get(JWKS).await.text != keys.text).then_some(())).await;
    for (path, before) in [(OAUTH, &oauth), (OPENID, &openid)] {
        let after = signet.get(path).await;
        assert_eq!((&after.text, lasting(&after.headers)), (&before.text, lasting(&before.headers)));
    }
    signet.stop().await;
    // Another start over the same store is the same issuer with the same keys.
    let installation = installation.with("ISSUER", &issuer_of(&openid));
    let signet = installation.start().await;
    assert_eq!(signet.get(OPENID).await.text, openid.text);
    signet.stop().await;
}

fn issuer_of(document: &Answer) -> String {
    document.body["issuer"].as_str().unwrap().to_owned()
}
