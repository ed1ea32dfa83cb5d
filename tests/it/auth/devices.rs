//! Known devices: under a storm of strangers an owner is heard at once on theirs, wherever it is, and nobody else learns
//! from it that there is an account.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{APP, Front, NEXT, RIGHT, assert_problem, text, with_json};
use crate::app::{Answer, Installation};
use crate::redis::{Redis, namespace};

const PAGE: [(&str, &str); 2] = [("Origin", APP), ("X-Signet-CSRF", "1")];
const COOKIE: &str = "__Host-signet_device";

/// Posts to `path` for a client at `address`, of whom a trusted proxy tells.
async fn post(front: &Front, path: &str, body: &Value, address: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = with_json(front.call(Method::POST, &format!("/auth/{path}")), body);
    for (name, value) in headers.iter().chain(&[("X-Forwarded-For", address)]) {
        request = request.header(*name, *value);
    }
    Answer::of(request.send().await.unwrap()).await
}

/// The device token that an answer has the browser keep.
fn set_device(answer: &Answer) -> Option<String> {
    let set = answer.headers.get_all("set-cookie").iter().find_map(|value| {
        value.to_str().unwrap().strip_prefix(COOKIE).and_then(|value| value.strip_prefix('=')).map(str::to_owned)
    })?;
    let (token, attributes) = set.split_once("; ").unwrap();
    assert_eq!(attributes, "Max-Age=34560000; Path=/; Secure; HttpOnly; SameSite=Strict");
    Some(token.to_owned())
}

async fn behind_a_proxy(installation: Installation) -> Front {
    Front::over(installation.with("PUBLIC__TRUSTED_PROXIES", "127.0.0.1")).await
}

/// Two strangers at each of many prefixes try both names until both are closed, and are answered alike.
async fn hammer(front: &Front, one: &str, other: &str) -> (usize, u64) {
    let (mut failed, mut closed_for) = (0, 0);
    for number in 0..400 {
        // Behind the address of the owner's first login too: it is nobody's.
        let address = if number % 5 == 0 { "192.0.2.1".to_owned() } else { format!("198.51.100.{}", number % 200) };
        let [first, second] = [one, other].map(|name| json!({"username": name, "password": NEXT}));
        let first = post(front, "login", &first, &address, &[]).await;
        let second = post(front, "login", &second, &address, &[]).await;
        let seen = |answer: &Answer| {
            let mut body = answer.body.clone();
            body.as_object_mut().unwrap().remove("request_id");
            (answer.status, answer.header("retry-after").map(str::to_owned), body)
        };
        assert_eq!(seen(&first), seen(&second), "{address}");
        if first.status == 401 {
            failed += 1;
            continue;
        }
        assert_problem(&first, 429, "too_many_attempts");
        closed_for = first.header("retry-after").unwrap().parse().unwrap();
        if failed >= 18 && closed_for > 3_600 {
            break;
        }
        // Only for so long that it is not from this prefix alone that they wait.
        front.installation.clock.advance(Duration::from_secs(closed_for.min(300)));
    }
    (failed, closed_for)
}

#[actix_web::test]
async fn an_owner_is_heard_at_once_on_their_device_while_strangers_close_their_name() {
    let on_redis =
        Installation::new().with("REDIS__URL", &Redis::shared().url()).with("REDIS__NAMESPACE", &namespace());
    for installation in [Installation::new(), on_redis] {
        let front = behind_a_proxy(installation).await;
        let right = json!({"username": "bob", "password": RIGHT});
        let by_body = post(&front, "login", &right, "192.0.2.1", &[]).await;
        let device = text(&by_body.body["device_token"]).to_owned();
        assert!(device.starts_with("sdt_") && by_body.header("set-cookie").is_none(), "{}", by_body.text);
        let in_cookie = json!({"username": "bob", "password": RIGHT, "delivery": "cookie"});
        let by_cookie = post(&front, "login", &in_cookie, "192.0.2.1", &PAGE).await;
        let cookie = set_device(&by_cookie).unwrap();
        assert!(cookie != device && !by_cookie.text.contains("sdt_"), "{}", by_cookie.text);

        let (failed, closed_for) = hammer(&front, "bob", "nobody").await;
        println!("{failed} strangers failed, and both names are closed for {closed_for} s");
        assert!(failed >= 18 && closed_for > 3_600, "{failed} {closed_for}");

        let presented = json!({"username": "bob@example.com", "password": RIGHT, "device_token": device});
        let heard = post(&front, "login", &presented, "203.0.113.1", &[]).await;
        assert_eq!((heard.status.as_u16(), &heard.body["device_token"]), (200, &json!(device)), "{}", heard.text);
        let presented = json!({"username": "bob", "password": RIGHT, "device_token": device});
        assert_eq!(post(&front, "login", &presented, "203.0.113.2", &[]).await.status, 200);
        let kept = format!("a=1; {COOKIE}={cookie}");
        let headers = [PAGE[0], PAGE[1], ("Cookie", kept.as_str())];
        let heard = post(&front, "login", &in_cookie, "203.0.113.3", &headers).await;
        assert_eq!((heard.status.as_u16(), set_device(&heard)), (200, Some(cookie.clone())), "{}", heard.text);
        // What is no page has no cookie, and whoever has no device waits like anybody: the owner at their own address too.
        for (body, headers) in [(&right, &headers[..]), (&right, &[]), (&in_cookie, &PAGE)] {
            let told = post(&front, "login", body, "192.0.2.1", headers).await;
            assert_problem(&told, 429, "too_many_attempts");
        }
        front.signet.stop().await;
    }
}

#[actix_web::test]
async fn a_device_token_is_in_the_body_or_in_the_cookie_and_looks_like_one() {
    let front = behind_a_proxy(Installation::new()).await;
    let made = "sdt_AAAAAAAAAAAAAAAAAAAAAA";
    let login = |token: &str, delivery: &str| json!({"username": "ann", "password": RIGHT, "delivery": delivery, "device_token": token});
    for wrong in ["", "sdt_", "x", "sdt_AAAAAAAAAAAAAAAAAAAAAB", "srt_AAAAAAAAAAAAAAAAAAAAAA"] {
        let refused = front.post("login", &login(wrong, "body")).await;
        assert_problem(&refused, 400, "invalid_member");
        assert_eq!(refused.body["member"], "device_token");
        assert!(wrong.len() < 5 || !refused.text.contains(wrong), "{}", refused.text);
    }
    // One that nobody knows is kept: a browser has one, whoever signs in there.
    for name in ["ann", "bob"] {
        let body = json!({"username": name, "password": RIGHT, "device_token": made});
        let answer = front.post("login", &body).await;
        assert_eq!((answer.status.as_u16(), &answer.body["device_token"]), (200, &json!(made)), "{}", answer.text);
    }
    let both = format!("{COOKIE}={made}");
    let headers = [PAGE[0], PAGE[1], ("Cookie", both.as_str())];
    assert_problem(&front.post_with("login", &login(made, "cookie"), &headers).await, 400, "several_device_tokens");
    let twice = format!("{both}; {both}");
    let headers = [PAGE[0], PAGE[1], ("Cookie", twice.as_str())];
    let in_cookie = json!({"username": "ann", "password": RIGHT, "delivery": "cookie"});
    assert_problem(&front.post_with("login", &in_cookie, &headers).await, 400, "invalid_cookie");
    // No script can replace one that can't be read: a success does.
    let headers = [PAGE[0], PAGE[1], ("Cookie", "__Host-signet_device=former")];
    let answer = front.post_with("login", &in_cookie, &headers).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(set_device(&answer).is_some_and(|token| token.starts_with("sdt_")), "{:?}", answer.headers);
    front.signet.stop().await;
}

#[actix_web::test]
async fn a_refresh_and_a_logout_leave_the_device_and_a_new_password_forgets_the_others() {
    let front = behind_a_proxy(Installation::new()).await;
    let right = json!({"username": "bob", "password": RIGHT});
    let stolen = text(&front.post("login", &right).await.body["device_token"]).to_owned();
    let own = front.post("login", &right).await.body;
    let device = text(&own["device_token"]).to_owned();
    let next = front.refresh(&own["refresh_token"]).await;
    assert_eq!((next.status.as_u16(), next.body.get("device_token")), (200, None), "{}", next.text);
    let (answer, session) = front.login_by_cookie().await;
    let kept = format!("{session}; {COOKIE}={}", set_device(&answer).unwrap());
    let out = front.post_with("logout", &json!({}), &[PAGE[0], PAGE[1], ("Cookie", kept.as_str())]).await;
    assert_eq!((out.status.as_u16(), set_device(&out)), (204, None));
    assert_eq!(out.headers.get_all("set-cookie").iter().count(), 1, "the session's alone");

    let change = json!({"current_password": RIGHT, "new_password": NEXT, "device_token": device});
    let request = front.call(Method::POST, "/auth/password").bearer_auth(text(&next.body["access_token"]));
    let changed = Answer::of(with_json(request, &change).send().await.unwrap()).await;
    assert_eq!((changed.status.as_u16(), &changed.body["device_token"]), (200, &json!(device)), "{}", changed.text);
    hammer_with(&front, RIGHT).await;
    let login = |device: &str| json!({"username": "bob", "password": NEXT, "device_token": device});
    let refused = post(&front, "login", &login(&stolen), "203.0.113.1", &[]).await;
    assert_problem(&refused, 429, "too_many_attempts");
    assert_eq!(post(&front, "login", &login(&device), "203.0.113.1", &[]).await.status, 200);
    front.signet.stop().await;
}

/// Closes the name `bob` for a moment, from more prefixes than are free.
async fn hammer_with(front: &Front, password: &str) {
    for last in 1..=12 {
        let body = json!({"username": "bob", "password": password});
        let _ = post(front, "login", &body, &format!("198.51.100.{last}"), &[]).await;
    }
}
