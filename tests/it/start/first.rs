//! The first start, and those after it.

use reqwest::StatusCode;
use serde_json::{Map, Value};

use super::program::Program;

/// Every client.
const CLIENTS: &str = "SELECT client_id FROM clients ORDER BY client_id";
const REMINDER: &str = "the secret of the first start is still in use";

#[actix_web::test]
async fn the_first_start_makes_what_it_needs_and_nothing_else() {
    let program = Program::new();
    let running = program.serve();
    let credentials = program.credentials();
    running.admin_token(&credentials).await;

    let json: Map<String, Value> =
        serde_json::from_slice(&std::fs::read(program.path("data/admin-credentials.json")).unwrap()).unwrap();
    let members: Vec<&str> = json.keys().map(String::as_str).collect();
    assert_eq!(members, ["audience", "client_id", "client_secret", "scope", "token_endpoint"]);
    assert_eq!(json["token_endpoint"], "https://as.example/oauth2/token");
    assert_eq!(json["audience"], "https://as.example/admin");
    assert!(json["scope"].as_str().unwrap().contains("keys:write"));
    let ended = running.stop();
    assert_eq!(ended.out, "", "standard output is for people at a terminal");
    assert!(ended.err.contains("admin-credentials.json"), "the log says where they are");

    let made: Vec<(String, u32)> = program.contents().into_iter().map(|(name, (mode, _))| (name, mode)).collect();
    let expected = [
        ("data", 0o700),
        ("data/admin-credentials.json", 0o600),
        ("data/signet.db", 0o600),
        ("data/signet.db.lock", 0o600),
        ("data/start.lock", 0o600),
        ("keys", 0o700),
        ("keys/master.key", 0o600),
    ];
    assert_eq!(made, expected.map(|(name, mode)| (name.to_owned(), mode)));
}

#[actix_web::test]
async fn a_second_start_changes_nothing_and_makes_no_second_admin() {
    let program = Program::new();
    program.serve().stop();
    let before = program.contents();
    let rows = async || {
        let mut rows = Vec::new();
        for statement in [
            "SELECT client_id || secrets || version FROM clients",
            "SELECT kid || state || hex(sealed) FROM keys ORDER BY kid",
            "SELECT purpose || version FROM key_rings",
            "SELECT CAST(number AS TEXT) FROM change_counter",
            "SELECT name || value FROM facts",
        ] {
            rows.push(program.sql(statement).await);
        }
        rows
    };
    let (rows_before, jwks) = (rows().await, program.serve().get("/.well-known/jwks.json").await.text);
    for _ in 0..2 {
        let running = program.serve();
        running.admin_token(&program.credentials()).await;
        assert_eq!(running.get("/.well-known/jwks.json").await.text, jwks);
        running.stop();
    }
    assert_eq!(rows().await, rows_before);
    assert_eq!(rows_before[0].len(), 2);
    for (name, found) in program.contents() {
        if !name.starts_with("data/signet.db") {
            assert_eq!(before.get(&name), Some(&found), "{name}");
        }
    }
}

#[actix_web::test]
async fn an_operator_is_reminded_at_each_start_until_the_first_secret_is_rolled() {
    let program = Program::new().with("CLIENTS__SECRET_OVERLAP", "0s");
    program.serve().stop();
    let credentials = program.credentials();
    for _ in 0..2 {
        let log = program.serve().stop().err;
        assert!(log.contains(REMINDER) && log.contains(&credentials.client_id), "{log}");
    }
    let rolled = program.run(&["clients", "roll-secret", &credentials.client_id, "--json"]);
    assert_eq!(rolled.code, Some(0), "{rolled:?}");
    let running = program.serve();
    let old = running.token(&credentials.client_id, &credentials.client_secret).await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);
    let log = running.stop().err;
    assert!(!log.contains(REMINDER), "{log}");
}

#[actix_web::test]
async fn a_first_start_that_did_not_come_to_its_end_is_begun_anew() {
    let program = Program::new();
    program.serve().stop();
    let first = program.credentials();
    // As if it had ended after the file was written and before the client was.
    program.sql("DELETE FROM facts").await;
    program.sql("DELETE FROM clients").await;
    let running = program.serve();
    let second = program.credentials();
    assert_ne!(first.client_id, second.client_id);
    running.admin_token(&second).await;
    let refused = running.token(&first.client_id, &first.client_secret).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    running.stop();
    assert_eq!(program.sql(CLIENTS).await, [&second.client_id, "login"]);
}

#[actix_web::test]
async fn credentials_that_can_not_be_written_never_become_valid() {
    let program = Program::new();
    // A folder in its place, which no file replaces.
    std::fs::create_dir_all(program.path("data/admin-credentials.json")).unwrap();
    let refused = program.run(&["serve"]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{refused:?}");
    assert!(refused.err.contains("admin-credentials.json"), "{}", refused.err);
    assert_eq!(program.sql(CLIENTS).await, Vec::<String>::new());
    assert_eq!(program.sql("SELECT name FROM facts").await, Vec::<String>::new());
    std::fs::remove_dir(program.path("data/admin-credentials.json")).unwrap();
    let running = program.serve();
    running.admin_token(&program.credentials()).await;
    running.stop();
}

#[actix_web::test]
async fn of_two_first_starts_at_once_at_least_one_serves_with_the_credentials_that_stay() {
    for _ in 0..3 {
        let program = Program::new();
        let both = [program.spawn(), program.spawn()];
        let mut serving = 0;
        for mut running in both {
            if running.listens() {
                serving += 1;
                running.admin_token(&program.credentials()).await;
                running.stop();
            } else {
                let ended = running.wait();
                let told = ended.err.lines().filter(|line| !line.contains("waiting for another start"));
                assert!(ended.code == Some(1) && told.count() == 1, "{ended:?}");
            }
        }
        assert!(serving > 0);
        let running = program.serve();
        running.admin_token(&program.credentials()).await;
        running.stop();
        assert_eq!(program.sql(CLIENTS).await, [&program.credentials().client_id, "login"]);
    }
}
