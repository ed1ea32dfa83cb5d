//! No secret in the log of the built program or in the audit log, whatever the API is asked.

use serde_json::{Value, json};

use super::with_json;
use crate::app::Answer;
use crate::start::program::Program;

#[actix_web::test]
async fn no_secret_reaches_the_log_or_the_audit_log() {
    let program = Program::new().with("TELEMETRY__LEVEL", "trace").with("TELEMETRY__ACCESS_LOG", "true");
    let running = program.serve();
    let credentials = program.credentials();
    let token = running.admin_token(&credentials).await;
    let http = reqwest::Client::new();
    let send = async |method: &str, path: &str, body: Value| {
        let request = http.request(method.parse().unwrap(), format!("{}/admin/v1{path}", running.admin));
        let request = request.bearer_auth(&token).header("if-match", "*");
        let request = if body.is_null() { request } else { with_json(request, &body) };
        Answer::of(request.send().await.unwrap()).await
    };
    let audience = credentials.audience.as_str();
    let registered =
        send("POST", "/clients", json!({"client_id": "shop", "access": {audience: "audit:read"}, "reason": "new"}))
            .await;
    let rolled = send("POST", "/clients/shop/secret", json!({"reason": "again"})).await;
    let [first, second] =
        [&registered, &rolled].map(|answer| answer.body["client_secret"].as_str().unwrap().to_owned());
    let weak = running.token("shop", &second).await;
    let weak = weak.body["access_token"].as_str().unwrap().to_owned();
    // What is refused may hold a secret that was put in a wrong place.
    let misplaced = "scs_misplaced-0123456789abcdefghijklmnopqrstuvwxyz";
    for (method, path, body) in [
        ("POST", "/clients".to_owned(), json!({"client_secret": misplaced})),
        ("POST", "/clients".to_owned(), json!({misplaced: 1})),
        ("POST", "/clients".to_owned(), json!({"client_id": misplaced.repeat(2)})),
        ("POST", "/clients".to_owned(), json!({"grant_types": [misplaced]})),
        ("POST", "/clients".to_owned(), json!({"access": {misplaced: ""}})),
        ("POST", "/clients/shop/secret".to_owned(), json!({"overlap_seconds": misplaced})),
        ("GET", format!("/clients/{misplaced}"), json!(null)),
        ("GET", format!("/clients?client_secret={misplaced}"), json!(null)),
        ("GET", format!("/clients?cursor={misplaced}"), json!(null)),
        ("GET", format!("/{misplaced}"), json!(null)),
    ] {
        assert!(send(method, &path, body).await.status.is_client_error(), "{method} {path}");
    }
    let refused = http.get(format!("{}/admin/v1/clients", running.admin)).bearer_auth(&weak).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let forged =
        http.get(format!("{}/admin/v1/audit", running.admin)).bearer_auth(format!("{weak}x")).send().await.unwrap();
    assert_eq!(forged.status(), 401);
    let audit = send("GET", "/audit?page_size=200", json!(null)).await;
    assert_eq!(audit.body["items"][0]["act"], "clients.roll_secret", "{}", audit.text);
    let shown = send("GET", "/clients", json!(null)).await.text + &send("GET", "/clients/shop", json!(null)).await.text;
    let log = running.stop().err;
    // Its requests are there, so the log was kept.
    for route in ["/admin/v1/clients/{client_id}/secret", "/admin/v1/audit", "invalid_token", "insufficient_scope"] {
        assert!(log.contains(route), "{route}: {log}");
    }
    for secret in [&first, &second, &credentials.client_secret, &token, &weak, &misplaced.to_owned()] {
        let signature = secret.rsplit('.').next().unwrap();
        for (what, text) in [("the log", &log), ("the audit log", &audit.text), ("what is shown", &shown)] {
            assert!(!text.contains(signature), "{what} has a secret");
        }
    }
}
