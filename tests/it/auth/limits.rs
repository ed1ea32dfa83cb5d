//! Limits on signing in and registering through the running program, embedded and on Redis: two replicas, proxies, a storm,
//! a Redis that is away, and what it all leaves in the audit log.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Front, NEXT, RIGHT, assert_problem, text, with_json};
use crate::app::{Answer, Installation, Signet};
use crate::metrics::scrape;
use crate::redis::{Redis, namespace};
use crate::store::at_once;
use crate::world::eventually;

const BOUND: Duration = Duration::from_millis(250);

fn on_redis(redis: &Redis) -> Installation {
    Installation::new().with("REDIS__URL", &redis.url()).with("REDIS__NAMESPACE", &namespace())
}

async fn post(signet: &Signet, path: &str, body: &Value) -> Answer {
    post_for(signet, path, body, None).await
}

/// The same for a client that a proxy tells of.
async fn post_for(signet: &Signet, path: &str, body: &Value, client: Option<&str>) -> Answer {
    let mut request = with_json(signet.http.post(format!("{}/auth/{path}", signet.public)), body);
    if let Some(client) = client {
        request = request.header("X-Forwarded-For", client);
    }
    Answer::of(request.send().await.unwrap()).await
}

fn retry_after(answer: &Answer) -> u64 {
    answer.header("retry-after").unwrap().parse().unwrap()
}

#[actix_web::test]
async fn two_replicas_share_the_limits_embedded_and_on_redis() {
    for installation in [Installation::new(), on_redis(Redis::shared())] {
        let front = Front::over(installation.with("ISSUER", "http://127.0.0.1:8080")).await;
        let other = front.installation.start().await;
        let replicas = [&front.signet, &other];
        for attempt in 0..4 {
            let body = json!({"username": "bob", "password": NEXT});
            assert_problem(&post(replicas[attempt % 2], "login", &body).await, 401, "invalid_credentials");
        }
        for replica in replicas {
            let refused = post(replica, "login", &json!({"username": "bob", "password": RIGHT})).await;
            assert_problem(&refused, 429, "too_many_attempts");
            assert_eq!(retry_after(&refused), 1);
        }
        // Two have registered already.
        for attempt in 0..8 {
            let body = json!({"username": "ann", "password": RIGHT});
            assert_problem(&post(replicas[attempt % 2], "register", &body).await, 409, "name_taken");
        }
        for (replica, name) in replicas.into_iter().zip(["ann", "free"]) {
            let refused = post(replica, "register", &json!({"username": name, "password": RIGHT})).await;
            assert_problem(&refused, 429, "too_many_registrations");
            assert_eq!(retry_after(&refused), 600);
        }
        front.installation.clock.advance(Duration::from_secs(2));
        let right = json!({"username": "bob", "password": RIGHT});
        assert_eq!(post(&other, "login", &right).await.status, 200);
        other.stop().await;
        front.signet.stop().await;
    }
}

#[actix_web::test]
async fn an_address_is_taken_from_proxies_that_are_trusted_and_from_nobody_else() {
    let wrong = json!({"username": "bob", "password": NEXT});
    let front = Front::over(Installation::new().with("PUBLIC__TRUSTED_PROXIES", "127.0.0.1")).await;
    for _ in 0..4 {
        let refused = post_for(&front.signet, "login", &wrong, Some("198.51.100.1")).await;
        assert_problem(&refused, 401, "invalid_credentials");
    }
    let refused = post_for(&front.signet, "login", &wrong, Some("198.51.100.1")).await;
    assert_problem(&refused, 429, "too_many_attempts");
    let other = post_for(&front.signet, "login", &wrong, Some("198.51.100.2")).await;
    assert_problem(&other, 401, "invalid_credentials");
    front.signet.stop().await;

    let front = Front::open().await;
    for last in 0..4 {
        let refused = post_for(&front.signet, "login", &wrong, Some(&format!("198.51.100.{last}"))).await;
        assert_problem(&refused, 401, "invalid_credentials");
    }
    let refused = post_for(&front.signet, "login", &wrong, Some("198.51.100.9")).await;
    assert_problem(&refused, 429, "too_many_attempts");
    front.signet.stop().await;
}

#[actix_web::test]
async fn a_storm_of_logins_is_told_when_to_come_again_while_tokens_and_refreshes_go_on() {
    for installation in [Installation::new(), on_redis(Redis::shared())] {
        let small = installation.with("PASSWORDS__HASH_THREADS", "1").with("PASSWORDS__HASH_QUEUE", "2");
        let front = Front::over(small.with("SESSIONS__GRACE", "0s")).await;
        let mut token = front.login("ann").await["refresh_token"].clone();
        let storm = actix_web::rt::spawn({
            let (http, url) = (front.signet.http.clone(), format!("{}/auth/login", front.signet.public));
            at_once((0..60).map(move |number| {
                let body = json!({"username": format!("nobody-{number}"), "password": NEXT});
                let request = with_json(http.post(&url), &body);
                async move { Answer::of(request.send().await.unwrap()).await }
            }))
        });
        let mut went_on = 0;
        while !storm.is_finished() || went_on < 5 {
            let next = front.refresh(&token).await;
            assert_eq!(next.status, 200, "{}", next.text);
            token = next.body["refresh_token"].clone();
            let form = [("grant_type", "client_credentials")];
            assert_eq!(front.signet.token(Some(("till", &front.till_secret)), &form).await.status, 200);
            went_on += 1;
        }
        let mut counts = [0; 3];
        for answer in storm.await.unwrap() {
            match answer.status.as_u16() {
                401 => counts[0] += 1,
                429 => {
                    assert_problem(&answer, 429, "too_many_attempts");
                    counts[1] += 1;
                }
                _ => {
                    assert_problem(&answer, 503, "temporarily_unavailable");
                    counts[2] += 1;
                }
            }
            assert!(answer.status == 401 || retry_after(&answer) >= 1);
        }
        println!("storm of 60: {counts:?} answered 401, 429, 503; {went_on} refreshes and tokens meanwhile");
        assert!(counts[0] >= 3 && counts[1] + counts[2] >= 1, "{counts:?}");
        let page = scrape(&front.signet).await;
        let full = page.value("signet_password_hashes_refused_total", &[("reason", "queue_full")]);
        assert_eq!(full, Some(f64::from(counts[2])));
        assert_eq!(page.value("signet_password_hashes_running", &[]), Some(0.0));
        front.signet.stop().await;
    }
}

#[actix_web::test]
async fn without_redis_a_login_is_refused_in_time_and_goes_on_when_it_is_back() {
    let redis = Redis::start(&[]);
    let front = Front::over(on_redis(&redis)).await;
    redis.kill();
    let body = json!({"username": "ann", "password": RIGHT});
    let mut slowest = Duration::ZERO;
    for call in ["login", "register", "login", "login"] {
        let begun = Instant::now();
        let refused = front.post(call, &body).await;
        slowest = slowest.max(begun.elapsed());
        assert_problem(&refused, 503, "temporarily_unavailable");
        assert!(retry_after(&refused) >= 1);
    }
    println!("without Redis: refused within {slowest:?}");
    assert!(slowest < BOUND, "{slowest:?}");
    redis.start_again();
    eventually(async || (front.post("login", &body).await.status == 200).then_some(())).await;
    front.signet.stop().await;
}

#[actix_web::test]
async fn a_session_is_entered_in_the_audit_log_or_not_begun() {
    for installation in [Installation::new(), on_redis(Redis::shared())] {
        let front = Front::over(installation).await;
        let tokens = front.login("ann").await;
        let access = text(&tokens["access_token"]).to_owned();
        let person = front.bearing(reqwest::Method::GET, "/auth/me", &access).await.body["sub"].clone();
        let admin = front.signet.admin_token().await;
        let rows = async || {
            let url = format!("{}/admin/v1/audit?act=sessions.begin", front.signet.admin);
            let page = Answer::of(front.signet.http.get(url).bearer_auth(&admin).send().await.unwrap()).await;
            page.body["items"].as_array().unwrap_or_else(|| panic!("{}", page.text)).clone()
        };
        let before = rows().await;
        assert_eq!(before[0]["subject"], tokens["session_id"]);
        assert_eq!(before[0]["detail"], json!({"user": person, "client": "login"}));
        let sessions = async || {
            let list = front.bearing(reqwest::Method::GET, "/auth/sessions", &access).await;
            list.body["items"].as_array().unwrap().len()
        };
        let living = sessions().await;
        let trigger = "CREATE TRIGGER no_row BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'no row'); END";
        front.installation.execute(trigger).await;
        let refused = front.post("login", &json!({"username": "ann", "password": RIGHT})).await;
        assert_problem(&refused, 503, "temporarily_unavailable");
        assert!(retry_after(&refused) >= 1);
        assert_eq!(sessions().await, living, "nobody has a token of it, and it is gone");
        front.installation.execute("DROP TRIGGER no_row").await;
        front.login("ann").await;
        assert_eq!(rows().await.len(), before.len() + 1);
        front.signet.stop().await;
    }
}
