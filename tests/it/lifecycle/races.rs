//! Whoever signs in while the account is disabled, or gets another password: by what was right when they began, they have
//! no session afterwards that refreshes.

use std::time::Duration;

use actix_web::rt::{spawn, task::JoinHandle};
use serde_json::{Value, json};
use signet::ports::{Entropy, SystemEntropy};

use super::{House, Kept, NEXT, RIGHT, dead};
use crate::app::{Answer, Installation};
use crate::world::eventually;

/// How many sign in at once.
const EACH: usize = 3;

/// How often each is raced.
fn rounds() -> usize {
    if std::env::var("SIGNET_TEST_SCALE").is_ok_and(|scale| scale == "full") { 500 } else { 50 }
}

/// Some of the time that a login takes, or of so many.
async fn jitter(times: u64) {
    let mut byte = [0];
    SystemEntropy.fill(&mut byte);
    tokio::time::sleep(Duration::from_micros(u64::from(byte[0]) * 400 * times)).await;
}

/// What became of those who tried.
#[derive(Debug, Default)]
struct Outcome {
    let_in: usize,
    refused: usize,
    refreshed_after: usize,
}

/// Sends some logins that are on their way when this returns.
fn logins(house: &House, name: &str, within: u64) -> Vec<JoinHandle<Answer>> {
    let log_in = |_| {
        let body = json!({"username": name, "password": RIGHT});
        let request = house.call(0, reqwest::Method::POST, "/auth/login");
        let request = request.header("Content-Type", "application/json").body(body.to_string());
        spawn(async move {
            jitter(within).await;
            Answer::of(request.send().await.unwrap()).await
        })
    };
    (0..EACH).map(log_in).collect()
}

async fn let_in(logins: Vec<JoinHandle<Answer>>, outcome: &mut Outcome) -> Vec<Value> {
    let mut tokens = Vec::new();
    for login in logins {
        let answer = login.await.unwrap();
        match answer.status.as_u16() {
            200 => tokens.push(answer.body),
            401 => outcome.refused += 1,
            _ => panic!("{}", answer.text),
        }
    }
    outcome.let_in += tokens.len();
    tokens
}

async fn a_login_that_races_a_new_password_has_no_session_by_the_old_one(kept: Kept) {
    let house = House::with(kept, Installation::in_real_time).await;
    let mut outcome = Outcome::default();
    for round in 0..rounds() {
        let name = format!("p{round}");
        house.person(&name).await;
        // A change takes as long as some logins.
        let logins = logins(&house, &name, 5);
        jitter(1).await;
        let change = json!({"username": name, "current_password": RIGHT, "new_password": NEXT});
        let changed = house.post(0, "password", &change).await;
        assert_eq!(changed.status, 204, "{}", changed.text);
        let fresh = house.tokens(0, &name, NEXT).await;
        for tokens in let_in(logins, &mut outcome).await {
            dead(&house.refresh(0, &tokens).await);
        }
        let next = house.refresh(0, &fresh).await;
        assert_eq!(next.status, 200, "{}", next.text);
        outcome.refreshed_after += 1;
    }
    println!("{kept:?}, {} changed passwords, each raced by {EACH} logins by the old one: {outcome:?}", rounds());
    assert!(outcome.let_in > 0 && outcome.refused > 0, "{outcome:?}");
    house.close().await;
}

async fn a_login_that_races_a_stop_has_no_session_though_the_account_is_enabled_again(kept: Kept) {
    let house = House::with(kept, Installation::in_real_time).await;
    let mut outcome = Outcome::default();
    for round in 0..rounds() {
        let name = format!("s{round}");
        let user = house.person(&name).await;
        let logins = logins(&house, &name, 2);
        jitter(2).await;
        house.set_enabled(&user, false).await;
        let tokens = let_in(logins, &mut outcome).await;
        house.set_enabled(&user, true).await;
        let fresh = house.tokens(0, &name, RIGHT).await;
        // Another process changed the account: this one follows.
        for tokens in &tokens {
            eventually(async || {
                let answer = house.refresh(0, tokens).await;
                (answer.status != 200).then(|| dead(&answer))
            })
            .await;
        }
        let next = house.refresh(0, &fresh).await;
        assert_eq!(next.status, 200, "{}", next.text);
        outcome.refreshed_after += 1;
    }
    println!("{kept:?}, {} accounts stopped and let in again, each raced by {EACH} logins: {outcome:?}", rounds());
    assert!(outcome.let_in > 0 && outcome.refused > 0, "{outcome:?}");
    house.close().await;
}

macro_rules! raced {
    ($module:ident, $kept:expr) => {
        mod $module {
            use super::*;

            #[actix_web::test]
            async fn a_login_that_races_a_new_password_has_no_session_by_the_old_one() {
                super::a_login_that_races_a_new_password_has_no_session_by_the_old_one($kept).await;
            }

            #[actix_web::test]
            async fn a_login_that_races_a_stop_has_no_session_though_the_account_is_enabled_again() {
                super::a_login_that_races_a_stop_has_no_session_though_the_account_is_enabled_again($kept).await;
            }
        }
    };
}

raced!(embedded, Kept::Embedded);
raced!(postgres, Kept::Postgres);
raced!(redis, Kept::Redis);
