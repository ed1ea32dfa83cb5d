//! The built program: changed by its own command line, and killed.

use std::time::Instant;

use reqwest::StatusCode;
use serde_json::json;

use super::{FOLLOWED, NEXT, RIGHT, dead, refused};
use crate::app::Answer;
use crate::start::program::{Program, Running};
use crate::world::eventually;

async fn post(running: &Running, path: &str, body: &serde_json::Value) -> Answer {
    let request = reqwest::Client::new().post(format!("{}/auth/{path}", running.public));
    Answer::of(request.header("Content-Type", "application/json").body(body.to_string()).send().await.unwrap()).await
}

async fn log_in(running: &Running) -> Answer {
    post(running, "login", &json!({"username": "ann", "password": RIGHT})).await
}

fn program() -> Program {
    let program = Program::new().with("AUTH__REGISTRATION", "true");
    program.run(&["init"]);
    let orders = ["resources", "create", "https://orders.example", "--scope", "orders:read"];
    let login = ["clients", "update", "login", "--add-access", "https://orders.example=orders:read"];
    for arguments in [&orders[..], &login[..]] {
        let ended = program.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.err);
    }
    program
}

#[actix_web::test]
async fn a_running_server_refuses_whom_the_command_line_disabled_though_it_was_killed_in_between() {
    let program = program();
    let mut running = program.serve();
    let made = post(&running, "register", &json!({"username": "ann", "password": RIGHT})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let (one, two) = (log_in(&running).await.body, log_in(&running).await.body);
    let refresh = |tokens: &serde_json::Value| json!({"refresh_token": tokens["refresh_token"]});
    assert_eq!(program.run(&["users", "disable", "ann"]).code, Some(0));
    let since = Instant::now();
    eventually(async || {
        let answer = post(&running, "refresh", &refresh(&one)).await;
        (answer.status != StatusCode::OK).then(|| dead(&answer))
    })
    .await;
    println!("the running program refused after {:?}", since.elapsed());
    assert!(since.elapsed() < FOLLOWED);
    refused(&log_in(&running).await, "invalid_credentials");
    // Enabled and disabled again while nobody serves: the next server knows.
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    for verb in ["enable", "disable", "enable"] {
        assert_eq!(program.run(&["users", verb, "ann"]).code, Some(0));
    }
    let running = program.serve();
    for tokens in [&one, &two] {
        dead(&post(&running, "refresh", &refresh(tokens)).await);
    }
    let fresh = log_in(&running).await.body;
    let asked = json!({"username": "ann", "current_password": RIGHT, "new_password": NEXT});
    let next = post(&running, "refresh", &refresh(&fresh)).await;
    assert_eq!(next.status, StatusCode::OK, "{}", next.text);
    assert_eq!(post(&running, "password", &asked).await.status, StatusCode::NO_CONTENT);
    dead(&post(&running, "refresh", &refresh(&next.body)).await);
    running.stop();
}
