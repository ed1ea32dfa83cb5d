//! The sample service beside the page: which access tokens it takes.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use signet_verify::base64url;

use super::{Page, RIGHT, front, post};
use crate::app::{Answer, Signet};
use crate::start::program::Program;

#[actix_web::test]
async fn the_sample_service_takes_good_tokens_and_refuses_all_others() {
    let (_installation, signet, page) = front(Duration::ZERO).await;
    let bills = async |page: &Page, token: Option<&str>| {
        let request = reqwest::Client::new().get(format!("{}/api/bills", page.url));
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        Answer::of(request.send().await.unwrap()).await
    };
    let token = async |signet: &Signet, scope: &str| {
        let login = json!({"username": "ann", "password": RIGHT, "scope": scope});
        post(signet, "login", &login).await.body["access_token"].as_str().unwrap().to_owned()
    };
    let good = token(&signet, "bills:read").await;
    let answer = bills(&page, Some(&good)).await;
    assert_eq!((answer.status.as_u16(), answer.body["bills"].as_array().map(Vec::len)), (200, Some(3)));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let [head, claims, signature] = *good.split('.').collect::<Vec<_>>() else { panic!("{good}") };
    let encoded = |text: &str| base64url::encode(text.as_bytes());
    let none = encoded(r#"{"alg":"none","typ":"at+jwt"}"#);
    let untyped = encoded(&format!(r#"{{"alg":"ES256","typ":"JWT","kid":"{head}"}}"#));
    let (_late, behind, of_behind) = front(Duration::from_secs(3600)).await;
    let expired = token(&behind, "bills:read").await;
    let refusals = [
        (&page, format!("{head}.{claims}.{}", encoded(&"s".repeat(64)))),
        (&page, format!("{head}.{}.{signature}", encoded("{}"))),
        (&page, format!("{none}.{claims}.x")),
        (&page, format!("{none}.{claims}.")),
        (&page, format!("{untyped}.{claims}.{signature}")),
        (&page, "x".to_owned()),
        // Another audience, another issuer, and one that has expired.
        (&page, signet.admin_token().await),
        (&page, expired.clone()),
        (&of_behind, expired),
    ];
    for (page, token) in &refusals {
        let answer = bills(page, Some(token)).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (401, &json!({"code": "invalid_token"})), "{token}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    }
    let answer = bills(&page, None).await;
    assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, Some("Bearer")));
    let answer = bills(&page, Some(&token(&signet, "bills:pay").await)).await;
    assert_eq!((answer.status.as_u16(), &answer.body), (403, &json!({"code": "insufficient_scope"})));
    // The issuer is away: who has its keys needs nobody.
    let unseen = Page::serve(&signet.issuer);
    signet.stop().await;
    assert_eq!(bills(&page, Some(&good)).await.status, 200);
    let answer = bills(&unseen, Some(&good)).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.body, json!({"code": "temporarily_unavailable"}));
    behind.stop().await;
}

#[test]
fn the_commands_of_its_paper_work_as_they_stand_and_are_for_what_it_is_set_to() {
    let read = |name: &str| {
        let path = format!("{}/docs/examples/spa/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let paper = read("README.md");
    let (_, rest) = paper.split_once("<!-- examples: spa -->\n```sh\n").unwrap();
    let program = Program::new();
    assert_eq!(program.run(&["init"]).code, Some(0));
    let ended = program.shell(rest.split("```").next().unwrap(), Path::new("/usr/bin"));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    let config: Value = serde_json::from_str(&read("config.json")).unwrap();
    let shown = program.run(&["clients", "show", config["client_id"].as_str().unwrap(), "--json"]);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["access"], json!({config["audience"].as_str().unwrap(): "bills:read"}));
    assert_eq!(shown["web_origins"], json!([format!("http://127.0.0.1:{}", config["port"])]));
}
