//! `kill -9` of the issuer after a session has moved and before its caller hears of it: whoever asks again, at the next
//! process, gets the same successor.

use actix_web::rt::task::JoinHandle;
use serde_json::{Value, json};

use super::{PASSWORD, generation_in, generation_of};
use crate::app::Answer;
use crate::proxy::{Proxy, Way};
use crate::redis::Redis;
use crate::start::program::{Program, Running};
use crate::world::{ORDERS, eventually};

/// How often it is killed, on either store.
fn rounds() -> usize {
    if std::env::var("SIGNET_TEST_SCALE").is_ok_and(|scale| scale == "full") { 200 } else { 20 }
}

/// Set up, with a client and a person. The grace outlasts a start on a busy machine.
async fn set_up(program: Program) -> (Program, Running) {
    let program = program.with("SESSIONS__GRACE", "2m").with("AUTH__REGISTRATION", "true");
    let access = format!("{ORDERS}=orders:read");
    let login = ["clients", "update", "login", "--add-access", &access];
    for verb in [&["init"][..], &["resources", "create", ORDERS, "--scope", "orders:read"], &login] {
        let ran = program.run(verb);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let running = program.serve();
    let registered = post(&running.public, "register", &json!({"username": "ann", "password": PASSWORD})).await;
    assert_eq!(registered.status, 201, "{}", registered.text);
    (program, running)
}

async fn post(base: &str, path: &str, body: &Value) -> Answer {
    let request = reqwest::Client::new().post(format!("{base}/auth/{path}"));
    let request = request.header("Content-Type", "application/json").body(body.to_string());
    Answer::of(request.send().await.unwrap()).await
}

/// A new session: its name and its first refresh token.
async fn log_in(running: &Running) -> (String, String) {
    let answer = post(&running.public, "login", &json!({"username": "ann", "password": PASSWORD})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
    (text("session_id"), text("refresh_token"))
}

async fn refresh(base: &str, token: &str) -> Answer {
    post(base, "refresh", &json!({"refresh_token": token})).await
}

/// Presents a token at `base`, to hear nothing of it.
fn present_unheard(base: &str, token: &str) -> JoinHandle<reqwest::Result<reqwest::Response>> {
    let (url, body) = (format!("{base}/auth/refresh"), json!({"refresh_token": token}).to_string());
    let request = reqwest::Client::new().post(url).header("Content-Type", "application/json").body(body);
    actix_web::rt::spawn(request.send())
}

fn kill(running: &mut Running) {
    running.child.kill().unwrap();
    running.child.wait().unwrap();
}

/// At the next process: the same successor each time, which is the session's current token.
async fn assert_same_successor(running: &Running, token: &str) -> String {
    let mut given = Vec::new();
    for _ in 0..2 {
        let answer = refresh(&running.public, token).await;
        assert_eq!(answer.status, 200, "signed out: {}", answer.text);
        given.push(answer.body["refresh_token"].as_str().unwrap().to_owned());
    }
    assert_eq!((&given[0], generation_of(&given[0])), (&given[1], 1));
    let goes_on = refresh(&running.public, &given[0]).await;
    assert_eq!((goes_on.status.as_u16(), goes_on.body.get("refresh_token")), (200, None), "{}", goes_on.text);
    given.swap_remove(0)
}

#[actix_web::test]
async fn an_issuer_killed_between_the_swap_in_redis_and_the_answer_gives_the_same_successor_again() {
    let redis = Redis::start(&["appendonly yes"]);
    let way = Proxy::before(&redis.url());
    let program = Program::new().with("REDIS__URL", &way.url).with("REDIS__TIMEOUT", "10s");
    let (program, mut running) = set_up(program).await;
    // Redis gets to know the script.
    let (_, first) = log_in(&running).await;
    assert_eq!(refresh(&running.public, &first).await.status, 200);
    for _ in 0..rounds() {
        let (session, token) = log_in(&running).await;
        let key = format!("signet:{session}");
        way.hold(Way::Back);
        let unheard = present_unheard(&running.public, &token);
        eventually(async || (generation_in(&redis, &key) == 1).then_some(())).await;
        kill(&mut running);
        assert!(unheard.await.unwrap().is_err(), "it was answered");
        way.release();
        running = program.serve();
        assert_same_successor(&running, &token).await;
        assert_eq!(generation_in(&redis, &key), 1);
    }
    running.stop();
    println!(
        "killed {} times between the swap in Redis and the answer: the same successor each time, nobody signed out",
        rounds()
    );
}

#[actix_web::test]
async fn an_issuer_killed_between_the_swap_on_its_disk_and_the_answer_gives_the_same_successor_again() {
    let (program, mut running) = set_up(Program::new()).await;
    for _ in 0..rounds() {
        let (_, token) = log_in(&running).await;
        let way = Proxy::before(&running.public);
        way.hold(Way::Back);
        let moved = async || program.sql("SELECT CAST(COUNT(*) AS TEXT) FROM sessions WHERE generation = 1").await;
        let before = moved().await;
        let unheard = present_unheard(&way.url, &token);
        eventually(async || (moved().await != before).then_some(())).await;
        kill(&mut running);
        assert!(!unheard.is_finished(), "it was answered");
        unheard.abort();
        running = program.serve();
        assert_same_successor(&running, &token).await;
    }
    running.stop();
    println!(
        "killed {} times between the swap on disk and the answer: the same successor each time, nobody signed out",
        rounds()
    );
}
