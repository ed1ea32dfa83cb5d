//! Pages: whose origins may call, and the cookie that the refresh token travels in.

use reqwest::Method;
use serde_json::json;

use super::{APP, Front, OTHER_APP, RIGHT, assert_problem};
use crate::app::Answer;

const COOKIE: &str = "__Host-signet-login";

/// The headers of the client's own page, with that cookie.
fn page(cookie: &str) -> [(&str, &str); 3] {
    [("Origin", APP), ("X-Signet-CSRF", "1"), ("Cookie", cookie)]
}

#[actix_web::test]
async fn a_cookie_is_for_the_clients_own_pages_and_keeps_the_refresh_token_to_itself() {
    let front = Front::open().await;
    let body = json!({"username": "ann", "password": RIGHT, "delivery": "cookie"});
    for (headers, code) in [
        (&[][..], "csrf"),
        (&[("X-Signet-CSRF", "1")], "csrf"),
        (&[("Origin", APP)], "csrf"),
        (&[("Origin", APP), ("X-Signet-CSRF", "0")], "csrf"),
        (&[("Origin", "null"), ("X-Signet-CSRF", "1")], "origin_not_allowed"),
        (&[("Origin", "https://evil.example"), ("X-Signet-CSRF", "1")], "origin_not_allowed"),
        (&[("Origin", "https://app.example.evil.example"), ("X-Signet-CSRF", "1")], "origin_not_allowed"),
        (&[("Origin", "https://app.example:443"), ("X-Signet-CSRF", "1")], "origin_not_allowed"),
        (&[("Origin", "http://app.example"), ("X-Signet-CSRF", "1")], "origin_not_allowed"),
        (&[("Origin", APP), ("Origin", APP), ("X-Signet-CSRF", "1")], "origin_not_allowed"),
        // A page of another first-party client.
        (&[("Origin", OTHER_APP), ("X-Signet-CSRF", "1")], "origin_not_allowed"),
    ] {
        let answer = front.post_with("login", &body, headers).await;
        assert_problem(&answer, 403, code);
        assert!(answer.header("set-cookie").is_none());
    }

    let (answer, _) = front.login_by_cookie().await;
    assert!(answer.body.get("refresh_token").is_none() && !answer.text.contains("srt_"), "{}", answer.text);
    let set = answer.header("set-cookie").unwrap();
    let [_, attributes] = *set.splitn(2, "; ").collect::<Vec<_>>() else { panic!("{set}") };
    assert!(set.starts_with(&format!("{COOKIE}=srt_")));
    assert_eq!(attributes, "Max-Age=1209600; Path=/; Secure; HttpOnly; SameSite=Strict");
    assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("vary"), Some("origin"));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("retry-after"));
    front.signet.stop().await;
}

#[actix_web::test]
async fn a_session_in_a_cookie_goes_on_and_ends_by_that_cookie_alone() {
    let front = Front::open().await;
    let (_, cookie) = front.login_by_cookie().await;
    let token = cookie.split_once('=').unwrap().1;
    for bad in [
        format!("{cookie}; {cookie}"),
        format!("{COOKIE}=\"{token}\""),
        format!("{COOKIE}={}", "a".repeat(300)),
        format!("{COOKIE}="),
    ] {
        assert_problem(&front.post_with("refresh", &json!({}), &page(&bad)).await, 400, "invalid_cookie");
    }
    assert_problem(&front.post_with("refresh", &json!({}), &[("Cookie", &cookie)]).await, 403, "csrf");
    let both = json!({"refresh_token": token});
    assert_problem(&front.post_with("refresh", &both, &page(&cookie)).await, 400, "several_refresh_tokens");
    let form = front.call(Method::POST, "/auth/refresh").header("Cookie", &cookie).header("Origin", APP);
    let form = form.header("X-Signet-CSRF", "1").header("Content-Type", "text/plain").body("{}");
    assert_problem(&Answer::of(form.send().await.unwrap()).await, 415, "unsupported_media_type");

    let next = front.post_with("refresh", &json!({}), &page(&cookie)).await;
    assert_eq!(next.status, 200, "{}", next.text);
    assert!(next.body.get("refresh_token").is_none());
    let cookie = next.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    // Current within the window: an access token alone, and the cookie stays.
    let settling = front.post_with("refresh", &json!({}), &page(&cookie)).await;
    assert_eq!((settling.status.as_u16(), settling.header("set-cookie")), (200, None));
    // No page takes what travels in a cookie by a body, nor the reverse.
    let token = cookie.split_once('=').unwrap().1.to_owned();
    assert_problem(&front.refresh(&json!(token)).await, 401, "invalid_refresh_token");
    let out = front.post_with("logout", &json!({}), &page(&cookie)).await;
    assert_eq!(out.status, 204, "{}", out.text);
    let cleared = format!("{COOKIE}=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict");
    assert_eq!(out.header("set-cookie"), Some(cleared.as_str()));
    assert_problem(&front.post_with("refresh", &json!({}), &page(&cookie)).await, 401, "invalid_refresh_token");
    front.signet.stop().await;
}

#[actix_web::test]
async fn a_preflight_is_answered_for_registered_pages_and_for_the_issuers_own() {
    let front = Front::open().await;
    let own = front.signet.issuer.clone();
    for (path, methods) in [
        ("/auth/login", "POST, OPTIONS"),
        ("/auth/refresh", "POST, OPTIONS"),
        ("/auth/sessions", "GET, HEAD, DELETE, OPTIONS"),
        ("/auth/sessions/x", "DELETE, OPTIONS"),
        ("/auth/me", "GET, HEAD, OPTIONS"),
    ] {
        for (origin, allowed) in [
            (APP, true),
            (OTHER_APP, true),
            (own.as_str(), true),
            ("null", false),
            ("https://evil.example", false),
            ("*", false),
            ("", false),
        ] {
            let request = front.call(Method::OPTIONS, path).header("Origin", origin);
            let request = request.header("Access-Control-Request-Method", "POST");
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(answer.status, 204);
            assert_eq!(answer.header("vary"), Some("origin"));
            assert_eq!(answer.header("access-control-allow-origin"), allowed.then_some(origin), "{path} {origin}");
            assert_eq!(answer.header("access-control-allow-credentials"), allowed.then_some("true"));
            assert_eq!(answer.header("access-control-allow-methods"), allowed.then_some(methods));
            let headers = "authorization, content-type, x-signet-csrf";
            assert_eq!(answer.header("access-control-allow-headers"), allowed.then_some(headers));
        }
    }
    // Nowhere else.
    let token = front.call(Method::OPTIONS, "/oauth2/token").header("Origin", APP).send().await.unwrap();
    assert_eq!(token.status(), 405);
    assert!(!token.headers().contains_key("access-control-allow-origin"));
    front.signet.stop().await;
}
