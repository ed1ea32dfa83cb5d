//! A person in the layout of docker-compose.yml: signs in, goes on and signs out through nginx, over both replicas, and is
//! known by the address from where they came to nginx, whatever they say.

use std::fs;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::layout::Layout;
use crate::app::Answer;
use crate::world::eventually;

/// What a client at `from` is answered, which says that it is somebody else.
pub(super) async fn ask_from(
    from: &str,
    root: &str,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> Answer {
    let http = reqwest::Client::builder().local_address(Some(from.parse().unwrap())).timeout(Duration::from_secs(20));
    let request = http.build().unwrap().request(method, format!("{root}/auth/{path}"));
    let mut request = request.header("X-Forwarded-For", "203.0.113.9").header("X-Real-IP", "203.0.113.9");
    request = request.header("Forwarded", "for=203.0.113.9");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.header("Content-Type", "application/json").body(body.to_string());
    }
    Answer::of(request.send().await.unwrap()).await
}

#[actix_web::test]
async fn a_person_signs_in_refreshes_and_signs_out_through_nginx_over_both_replicas() {
    const PERSON: &str = "127.7.7.7";
    let layout = Layout::start(false);
    let nginx = layout.nginx.url.clone();
    layout.verb(0, &["resources", "create", "https://bills.example", "--scope", "bills:read"]);
    layout.verb(0, &["clients", "update", "login", "--add-access", "https://bills.example=bills:read"]);
    let file = layout.replicas[0].path("password");
    fs::write(&file, "a first one for somebody\n").unwrap();
    layout.verb(0, &["users", "create", "--username", "ann", "--password-file", file.to_str().unwrap()]);
    let post =
        async |root: &str, path: &str, body: Value| ask_from(PERSON, root, Method::POST, path, None, Some(body)).await;
    let chosen = json!({"username": "ann", "current_password": "a first one for somebody",
                        "new_password": "mossy kettle orbit plank"});
    assert_eq!(post(&nginx, "password", chosen).await.status, StatusCode::NO_CONTENT);
    let login = json!({"username": "ann", "password": "mossy kettle orbit plank"});
    // Each replica has taken up what the client may get.
    for root in layout.roots() {
        eventually(async || (post(&root, "login", login.clone()).await.status == StatusCode::OK).then_some(())).await;
    }
    let begun = post(&nginx, "login", login.clone()).await;
    assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
    let of = |answer: &Answer, name: &str| answer.body[name].as_str().unwrap().to_owned();
    let session = of(&begun, "session_id");
    assert_eq!(layout.redis.ask(&["EXISTS", &format!("signet:{session}")]), "1", "it is in Redis");
    // Who asked is who connected to nginx, and not whom they claimed to be.
    let listed = ask_from(PERSON, &nginx, Method::GET, "sessions", Some(&of(&begun, "access_token")), None).await;
    let items = listed.body["items"].as_array().unwrap();
    let seen = items.iter().find(|item| item["session_id"] == session.as_str()).unwrap();
    assert_eq!(seen["address"], "127.7.7.0/24", "{seen}");
    // Nor is anybody else than the proxy believed.
    let direct = ask_from("127.7.8.8", &layout.roots()[0], Method::POST, "login", None, Some(login.clone())).await;
    let token = of(&direct, "access_token");
    let listed = ask_from(PERSON, &nginx, Method::GET, "sessions", Some(&token), None).await;
    let addresses = listed.body["items"].to_string();
    assert!(addresses.contains("127.7.8.0/24") && !addresses.contains("203.0.113"), "{addresses}");
    // The session goes on, whichever replica is asked.
    let before = layout.nginx.access_log().len();
    let mut refresh = of(&begun, "refresh_token");
    for _ in 0..6 {
        let next = post(&nginx, "refresh", json!({"refresh_token": refresh})).await;
        assert_eq!((next.status, of(&next, "session_id")), (StatusCode::OK, session.clone()), "{}", next.text);
        refresh = next.body["refresh_token"].as_str().map_or(refresh, str::to_owned);
    }
    assert_eq!(layout.asked(before).len(), 2, "{:?}", layout.asked(before));
    let out = post(&nginx, "logout", json!({"refresh_token": refresh})).await;
    assert_eq!((out.status, out.text.as_str()), (StatusCode::NO_CONTENT, ""));
    for root in layout.roots() {
        let refused = post(&root, "refresh", json!({"refresh_token": refresh})).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (StatusCode::UNAUTHORIZED, &json!("invalid_refresh_token"))
        );
    }
    let log = format!("{:?}{}", layout.nginx.access_log(), layout.nginx.errors());
    assert!(!log.contains("srt_") && !log.contains("kettle"), "{log}");
}
