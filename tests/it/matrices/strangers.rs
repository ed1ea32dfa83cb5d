//! Whatever is one client's in the hands of another client, and whatever is one person's in those of another person.

use serde_json::json;
use signet::http::Credential;

use super::stage::{PAGE, Stage, TYPE};
use crate::app::Answer;

/// What is tried with a credential of another: how it is presented, and the answer.
type Tried = (String, Answer);

/// `kind`, which belongs to the person `ann` or to the client that made it, used as `bob` or as another client would.
async fn by_another_client(stage: &Stage, kind: Credential) -> Vec<Tried> {
    let held = stage.make(kind, "ann").await;
    let text = held.text.as_str();
    let refresh = |client: &str| json!({"refresh_token": text, "client_id": client});
    let form = |form: Vec<(&'static str, String)>| async move {
        Answer::of(stage.at("POST", "/oauth2/token", false).form(&form).send().await.unwrap()).await
    };
    let grant = || ("grant_type", "client_credentials".to_owned());
    let mut tried = Vec::new();
    match kind {
        Credential::RefreshToken => {
            tried.push(("as other, by body".to_owned(), stage.post("/auth/refresh", &refresh("other"), &[]).await));
            tried.push((
                "as till, by Basic".to_owned(),
                stage.as_till("/auth/refresh", &json!({"refresh_token": text})).await,
            ));
            let asked = vec![
                ("grant_type", "refresh_token".to_owned()),
                ("client_id", "other".to_owned()),
                ("refresh_token", text.to_owned()),
            ];
            tried.push(("as other, at the token endpoint".to_owned(), form(asked).await));
        }
        Credential::RefreshCookie => {
            let page = [("Origin", PAGE), ("X-Signet-CSRF", "1")];
            for (named, cookie) in [("other", "other"), ("other", "login"), ("login", "other")] {
                let cookie = format!("__Host-signet-{cookie}={text}");
                let headers = [page[0], page[1], ("Cookie", &cookie)];
                let answer = stage.post("/auth/refresh", &json!({"client_id": named}), &headers).await;
                tried.push((format!("as {named}, in {}", &cookie[..20]), answer));
            }
        }
        Credential::ClientSecret => {
            for id in ["post", "login", "robot", "nobody"] {
                let asked = vec![grant(), ("client_id", id.to_owned()), ("client_secret", text.to_owned())];
                tried.push((format!("as {id}, by form"), form(asked).await));
                let basic = stage.signet.token(Some((id, text)), &[("grant_type", "client_credentials")]).await;
                tried.push((format!("as {id}, by Basic"), basic));
            }
        }
        Credential::ClientAssertion => {
            for id in ["post", "till", "login"] {
                let asked = |assertion: &str| {
                    let assertion = assertion.to_owned();
                    vec![
                        grant(),
                        ("client_id", id.to_owned()),
                        ("client_assertion_type", TYPE.to_owned()),
                        ("client_assertion", assertion),
                    ]
                };
                tried.push((format!("robot's as {id}"), form(asked(text)).await));
                tried.push((format!("signed by robot in the name of {id}"), form(asked(&stage.assertion(id))).await));
            }
        }
        Credential::PersonToken => {
            let body = json!({"client_id": "other"});
            tried.push((
                "to sign out at other".to_owned(),
                stage.bearing("POST", "/auth/logout", text, Some(&body)).await,
            ));
        }
        // An admin's token and cursor, a client's own token, a password, a link and a device are no client's in particular: who
        // bears them has them, at whatever client.
        Credential::AdminToken
        | Credential::ClientToken
        | Credential::Password
        | Credential::LinkToken
        | Credential::DeviceToken
        | Credential::Cursor => {}
    }
    tried
}

/// What is ann's, used to get at what is bob's.
async fn by_another_person(stage: &Stage, kind: Credential) -> Vec<Tried> {
    let held = stage.make(kind, "ann").await;
    let text = held.text.as_str();
    let bobs = stage.log_in("bob", "login", false).await.body;
    let sid = bobs["session_id"].as_str().unwrap();
    let mut tried = Vec::new();
    match kind {
        Credential::PersonToken => {
            let path = format!("/auth/sessions/{sid}");
            tried.push(("to end bob's session".to_owned(), stage.bearing("DELETE", &path, text, None).await));
            let body = json!({"current_password": BOBS, "new_password": "brisk lantern tulip gravel"});
            let changed = stage.bearing("POST", "/auth/password", text, Some(&body)).await;
            tried.push(("to change a password by bob's".to_owned(), changed));
            let list = stage.bearing("GET", "/auth/sessions", text, None).await;
            assert!(!list.text.contains(sid), "bob's sessions are shown to ann");
            let me = stage.bearing("GET", "/auth/me", text, None).await;
            assert_eq!(me.body["username"], "ann");
        }
        Credential::Password => {
            let body = json!({"username": "bob", "password": text});
            tried.push(("as bob".to_owned(), stage.post("/auth/login", &body, &[]).await));
            let body =
                json!({"username": "bob", "current_password": text, "new_password": "brisk lantern tulip gravel"});
            tried.push(("to change bob's".to_owned(), stage.post("/auth/password", &body, &[]).await));
            let body = json!({"current_password": text, "new_password": "brisk lantern tulip gravel"});
            let bearer = bobs["access_token"].as_str().unwrap();
            tried.push((
                "beside bob's token".to_owned(),
                stage.bearing("POST", "/auth/password", bearer, Some(&body)).await,
            ));
        }
        Credential::LinkToken => {
            let body = json!({"username": "bob", "link_token": text, "new_password": "brisk lantern tulip gravel"});
            tried.push(("beside bob's name".to_owned(), stage.post("/auth/password", &body, &[]).await));
        }
        Credential::RefreshToken => {
            // Halves of two tokens: version and key are both's, then comes the session, then the code.
            let bobs = bobs["refresh_token"].as_str().unwrap();
            for at in [14, 20, 34, 44, 60] {
                let mixed = format!("{}{}", &text[..at], &bobs[at..]);
                let answer = stage.post("/auth/refresh", &json!({"refresh_token": mixed}), &[]).await;
                tried.push((format!("half ann's, half bob's from {at} on"), answer));
            }
        }
        Credential::RefreshCookie => {
            let cookie = format!("__Host-signet-login={text}");
            let headers = [("Origin", PAGE), ("X-Signet-CSRF", "1"), ("Cookie", cookie.as_str())];
            let body = json!({"refresh_token": bobs["refresh_token"]});
            tried.push(("beside bob's token".to_owned(), stage.post("/auth/refresh", &body, &headers).await));
        }
        Credential::DeviceToken => {
            let body = json!({"username": "bob", "password": "brisk lantern tulip gravel", "device_token": text});
            tried.push(("beside bob's name".to_owned(), stage.post("/auth/login", &body, &[]).await));
        }
        // No person's at all.
        Credential::AdminToken
        | Credential::ClientToken
        | Credential::ClientSecret
        | Credential::ClientAssertion
        | Credential::Cursor => {}
    }
    let alive = stage.post("/auth/refresh", &json!({"refresh_token": bobs["refresh_token"]}), &[]).await;
    assert_eq!(alive.status, 200, "bob's session goes on after {kind:?}: {}", alive.text);
    tried
}

/// The password of `bob`; all others have the same.
pub const BOBS: &str = "cedar violin harbor quilt";

#[actix_web::test]
async fn what_is_one_clients_or_one_persons_is_of_no_use_to_another() {
    let stage = Stage::set().await;
    stage.person("bob", BOBS).await;
    let (mut clients, mut people) = (0, 0);
    for kind in Credential::ALL {
        stage.later();
        for (how, answer) in by_another_client(&stage, kind).await {
            assert!(
                [400, 401, 403].contains(&answer.status.as_u16()),
                "{kind:?} {how}: {} {}",
                answer.status,
                answer.text
            );
            clients += 1;
        }
        stage.later();
        for (how, answer) in by_another_person(&stage, kind).await {
            let status = answer.status.as_u16();
            assert!([400, 401, 403, 404].contains(&status), "{kind:?} {how}: {status} {}", answer.text);
            people += 1;
        }
    }
    // None of that took anything from whose it is.
    stage.later();
    assert_eq!(stage.log_in("ann", "login", false).await.status, 200);
    println!("{clients} uses by another client and {people} by another person refused");
    stage.signet.stop().await;
}
