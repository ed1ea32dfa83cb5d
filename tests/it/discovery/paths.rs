//! Paths are exact.

use super::*;

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
