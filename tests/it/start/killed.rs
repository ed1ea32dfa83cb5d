//! `kill -9`, at the worst of moments.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use signet::ports::{Entropy, SystemEntropy};
use signet_verify::{Jwks, Policy, verify};

use super::program::Program;

/// How many first starts are killed.
fn rounds() -> usize {
    if std::env::var("SIGNET_TEST_SCALE").is_ok_and(|scale| scale == "full") { 100 } else { 15 }
}

#[actix_web::test]
async fn a_first_start_killed_at_any_moment_ends_with_working_credentials() {
    let started = Instant::now();
    Program::new().serve();
    let whole = started.elapsed();
    let (mut without_master, mut without_credentials, mut unfounded, mut founded) = (0, 0, 0, 0);
    for _ in 0..rounds() {
        let program = Program::new();
        // Some are killed twice, so that a second beginning is interrupted as well.
        let mut byte = [0; 3];
        SystemEntropy.fill(&mut byte);
        for moment in &byte[..1 + usize::from(byte[2] % 2)] {
            let mut running = program.spawn();
            std::thread::sleep(whole.mul_f64(f64::from(*moment) / 255.0 * 1.1));
            running.child.kill().unwrap();
            running.child.wait().unwrap();
        }
        let files = program.contents();
        if !files.contains_key("keys/master.key") {
            without_master += 1;
        } else if !files.contains_key("data/admin-credentials.json") {
            without_credentials += 1;
        } else if program.sql("SELECT value FROM facts").await.is_empty() {
            unfounded += 1;
        } else {
            founded += 1;
        }
        let running = program.serve();
        let credentials = program.credentials();
        running.admin_token(&credentials).await;
        running.stop();
        assert_eq!(program.sql("SELECT client_id FROM clients ORDER BY 1").await, [&credentials.client_id, "login"]);
        let states = program.sql("SELECT state FROM keys WHERE purpose = 'signing' ORDER BY state").await;
        assert_eq!(states, ["active", "pending"], "one set of first keys");
        assert!(!program.contents().keys().any(|name| name.ends_with(".new")), "nothing is left half written");
    }
    println!(
        "killed first starts ({whole:?} each): {without_master} before the master key, {without_credentials} before \
         the credentials, {unfounded} before they were valid, {founded} after"
    );
}

#[actix_web::test]
async fn what_was_answered_survives_kill_9() {
    let program = Program::new();
    let mut tokens = Vec::new();
    let mut jwks = String::new();
    let mut secrets: Vec<(String, String)> = Vec::new();
    for round in 0..3 {
        let mut running = program.serve();
        let credentials = program.credentials();
        tokens.push(running.admin_token(&credentials).await);
        let published = running.get("/.well-known/jwks.json").await;
        assert_eq!(published.status, StatusCode::OK);
        if round > 0 {
            assert_eq!(published.text, jwks, "the same keys");
        }
        jwks = published.text;
        let keys = Jwks::parse(jwks.as_bytes()).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        for token in &tokens {
            verify(&keys, &Policy::new("https://as.example", "https://as.example/admin"), token, now).unwrap();
        }
        // What the command line acknowledged beside the running server is there after the kill as well.
        let id = format!("client-{round}");
        let created =
            program.run(&["clients", "create", "--id", &id, "--serves", "https://as.example/admin", "--json"]);
        assert_eq!(created.code, Some(0), "{created:?}");
        let created: serde_json::Value = serde_json::from_str(&created.out).unwrap();
        secrets.push((id, created["client_secret"].as_str().unwrap().to_owned()));
        running.child.kill().unwrap();
        running.child.wait().unwrap();
    }
    let running = program.serve();
    for (id, secret) in &secrets {
        let answer = running.token(id, secret).await;
        // Known and authenticated; it has nothing to get a token for.
        assert_eq!(answer.body["error"], "invalid_target", "{}", answer.text);
    }
    running.stop();
}

#[actix_web::test]
async fn a_killed_server_leaves_its_folder_to_the_next_at_once() {
    let program = Program::new();
    let mut running = program.serve();
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    let started = Instant::now();
    program.serve().stop();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
