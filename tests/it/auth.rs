//! `/auth`: signing in, refreshing and signing out, by bodies and by cookies, and whom it refuses.

mod devices;
mod limits;
mod pages;

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use signet_verify::{Policy, verify};

use crate::app::{Answer, Installation, Signet};
use crate::world::{ORDERS, World, eventually};

const APP: &str = "https://app.example";
const OTHER_APP: &str = "https://other.example";
const RIGHT: &str = "mossy kettle orbit plank";
const NEXT: &str = "brisk lantern tulip gravel";

/// An issuer with four clients, of which three are first-party, and the people `ann` and `bob`.
struct Front {
    signet: Signet,
    installation: Installation,
    till_secret: String,
}

impl Front {
    async fn open() -> Self {
        Self::over(Installation::new()).await
    }

    async fn over(installation: Installation) -> Self {
        let installation = installation.with("AUTH__REGISTRATION", "true").with("KEYS__ALGORITHMS", "ES256");
        let signet = installation.start().await;
        let world = World::of(&installation).await;
        world.resource(ORDERS, "orders:read orders:write").await;
        let public = |origins: &[&str]| {
            json!({"token_endpoint_auth_method": "none", "first_party": true, "web_origins": origins,
                   "access": {ORDERS: "orders:read orders:write"}})
        };
        world.client("login", public(&[APP])).await;
        world.client("other", public(&[OTHER_APP])).await;
        let mut stranger = public(&[]);
        stranger["first_party"] = json!(false);
        world.client("stranger", stranger).await;
        let till = json!({"first_party": true, "access": {ORDERS: "orders:read"}});
        let till_secret = world.client("till", till).await;
        world.opened.store.close().await;
        let front = Self { signet, installation, till_secret };
        // The running one has taken up what was registered beside it.
        for origin in [APP, OTHER_APP] {
            let asked = async || {
                let answer = front.call(Method::OPTIONS, "/auth/login").header("Origin", origin).send().await.unwrap();
                answer.headers().contains_key("access-control-allow-origin").then_some(())
            };
            eventually(asked).await;
        }
        for name in ["ann", "bob"] {
            let answer = front.post("register", &json!({"username": name, "password": RIGHT})).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
            // Registration takes no e-mail address: an administrator gives them theirs.
            let email = format!("{name}@example.com");
            let set = format!("UPDATE users SET email = '{email}', email_key = '{email}' WHERE username = '{name}'");
            front.installation.execute(&set).await;
        }
        let login = json!({"username": "ann", "password": RIGHT, "client_id": "till"});
        eventually(async || (front.as_till("login", &login).await.status == 200).then_some(())).await;
        front
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.signet.http.request(method, format!("{}{path}", self.signet.public))
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = with_json(self.call(Method::POST, &format!("/auth/{path}")), body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    async fn as_till(&self, path: &str, body: &Value) -> Answer {
        let request = self.call(Method::POST, &format!("/auth/{path}")).basic_auth("till", Some(&self.till_secret));
        Answer::of(with_json(request, body).send().await.unwrap()).await
    }

    async fn bearing(&self, method: Method, path: &str, token: &str) -> Answer {
        Answer::of(self.call(method, path).bearer_auth(token).send().await.unwrap()).await
    }

    async fn login(&self, name: &str) -> Value {
        let answer = self.post("login", &json!({"username": name, "password": RIGHT})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body
    }

    async fn refresh(&self, token: &Value) -> Answer {
        self.post("refresh", &json!({"refresh_token": token})).await
    }

    /// Signs in with the cookie, and gives what the browser would send.
    async fn login_by_cookie(&self) -> (Answer, String) {
        let body = json!({"username": "ann", "password": RIGHT, "delivery": "cookie"});
        let answer = self.post_with("login", &body, &[("Origin", APP), ("X-Signet-CSRF", "1")]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        (answer, cookie)
    }
}

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (status, Some(code)), "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401, "{}", answer.text);
}

fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("Content-Type", "application/json").body(body.to_string())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[actix_web::test]
async fn a_person_signs_in_refreshes_and_signs_out_by_bodies() {
    let front = Front::open().await;
    let tokens = front.login("ANN@example.com").await;
    let mut members: Vec<&String> = tokens.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(
        members,
        ["access_token", "device_token", "expires_in", "refresh_token", "scope", "session_id", "token_type"]
    );
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(300)));
    assert_eq!(tokens["scope"], "orders:read orders:write");

    // Any service can check it alone.
    let now = Duration::from_millis(signet::ports::Clock::now(&front.installation.clock).millis().try_into().unwrap());
    let policy = Policy::new(front.signet.issuer.as_str(), ORDERS);
    let claims = verify(&front.signet.jwks().await, &policy, text(&tokens["access_token"]), now).unwrap();
    assert_eq!(claims.sid.as_deref(), tokens["session_id"].as_str());
    assert_eq!((claims.acr.as_deref(), claims.amr.as_slice()), (Some("aal1"), &["pwd".to_owned()][..]));
    assert!(claims.auth_time.is_some());

    let me = front.bearing(Method::GET, "/auth/me", text(&tokens["access_token"])).await;
    assert_eq!((&me.body["username"], &me.body["email"]), (&json!("ann"), &json!("ann@example.com")), "{}", me.text);
    assert_eq!((me.body["sub"].as_str(), &me.body["session_id"]), (Some(claims.sub.as_str()), &tokens["session_id"]));

    let next = front.refresh(&tokens["refresh_token"]).await;
    assert_eq!(next.status, 200, "{}", next.text);
    assert_ne!(next.body["refresh_token"], tokens["refresh_token"]);
    assert_eq!(next.body["session_id"], tokens["session_id"]);
    // A narrower scope is for one answer.
    front.installation.clock.advance(Duration::from_secs(11));
    let asked = json!({"refresh_token": next.body["refresh_token"], "scope": "orders:read"});
    let narrow = front.post("refresh", &asked).await;
    assert_eq!(narrow.body["scope"], "orders:read", "{}", narrow.text);
    let wide = json!({"refresh_token": narrow.body["refresh_token"], "scope": "orders:read admin"});
    assert_problem(&front.post("refresh", &wide).await, 400, "invalid_scope");

    let out = front.post("logout", &json!({"refresh_token": narrow.body["refresh_token"]})).await;
    assert_eq!((out.status.as_u16(), out.text.as_str()), (204, ""));
    assert_problem(&front.refresh(&narrow.body["refresh_token"]).await, 401, "invalid_refresh_token");
    let me = front.bearing(Method::GET, "/auth/me", text(&narrow.body["access_token"])).await;
    assert_problem(&me, 401, "invalid_token");
    // Signing out again is no error.
    let again = front.post("logout", &json!({"refresh_token": narrow.body["refresh_token"]})).await;
    assert_eq!(again.status, 204);
    front.signet.stop().await;
}

#[actix_web::test]
async fn an_unknown_user_and_a_wrong_password_are_answered_alike() {
    let front = Front::open().await;
    let answers = [("ann", NEXT), ("nobody", RIGHT), ("a b", RIGHT), ("ann", "short"), ("", "")];
    let mut seen = Vec::new();
    for (name, password) in answers {
        let answer = front.post("login", &json!({"username": name, "password": password})).await;
        assert_problem(&answer, 401, "invalid_credentials");
        let mut headers: Vec<_> = answer.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        headers.retain(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()));
        seen.push((answer.text, headers));
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    // The limit on failures is told as one, and not before it is reached.
    let mut last = None;
    for _ in 0..8 {
        last = Some(front.post("login", &json!({"username": "bob", "password": NEXT})).await);
    }
    let last = last.unwrap();
    assert_problem(&last, 429, "too_many_attempts");
    assert!(last.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    let page = Answer::of(front.signet.http.get(format!("{}/metrics", front.signet.admin)).send().await.unwrap()).await;
    assert!(page.text.contains("signet_logins_total{outcome=\"unknown_user\"}"), "{}", page.text);
    for secret in [RIGHT, NEXT, "srt_"] {
        assert!(!page.text.contains(secret));
    }
    front.signet.stop().await;
}

#[actix_web::test]
async fn a_body_that_can_be_read_in_two_ways_or_says_more_is_refused() {
    let front = Front::open().await;
    let huge = format!(r#"{{"username":"ann","password":"{}"}}"#, "x".repeat(1 << 20));
    let long = format!(r#"{{"username":"ann","password":"{}"}}"#, "x".repeat(10_000));
    for (body, status, code) in [
        ("", 400, "invalid_json"),
        ("[]", 400, "invalid_json"),
        (r#"{"username":"ann"}"#, 400, "missing_member"),
        (r#"{"username":"ann","password":"p","username":"bob"}"#, 400, "invalid_json"),
        (r#"{"username":"ann","password":"p","pa\u0073sword":"q"}"#, 400, "invalid_json"),
        (r#"{"username":"ann","password":"p","remember":true}"#, 400, "unknown_member"),
        (r#"{"username":"ann","password":"p","delivery":"Cookie"}"#, 400, "invalid_member"),
        (r#"{"username":"ann","password":1}"#, 400, "invalid_member"),
        (r#"{"username":"ann","password":"\ud800"}"#, 400, "invalid_json"),
        (r#"{"username":"ann\u0000","password":"mossy kettle orbit plank"}"#, 401, "invalid_credentials"),
        (r#"{"username":"ann","password":"mossy kettle orbit plank\u0000"}"#, 401, "invalid_credentials"),
        (long.as_str(), 401, "invalid_credentials"),
        (r#"{"username":"ann","password":"p","audience":"https://nowhere.example"}"#, 400, "invalid_target"),
        (r#"{"username":"ann","password":"p","scope":"admin"}"#, 400, "invalid_scope"),
        (huge.as_str(), 413, "body_too_large"),
    ] {
        let request = front.call(Method::POST, "/auth/login").header("Content-Type", "application/json");
        let answer = Answer::of(request.body(body.to_owned()).send().await.unwrap()).await;
        assert_problem(&answer, status, code);
        assert!(!answer.text.contains("mossy"), "{}", answer.text);
    }
    front.signet.stop().await;
}

#[actix_web::test]
async fn only_first_party_clients_sign_people_in_each_its_own() {
    let front = Front::open().await;
    let login = |client: &str| json!({"username": "ann", "password": RIGHT, "client_id": client});
    assert_problem(&front.post("login", &login("stranger")).await, 403, "not_first_party");
    let unknown = front.post("login", &login("nobody")).await;
    assert_problem(&unknown, 401, "invalid_client");
    // No browser is to ask a person for a password of its own accord.
    assert_eq!(unknown.header("www-authenticate"), Some("Bearer realm=\"signet\""));
    // One with a secret proves who it is.
    assert_problem(&front.post("login", &login("till")).await, 401, "invalid_client");
    let failed = front.as_till("login", &login("login")).await;
    assert_problem(&failed, 401, "invalid_client");
    assert_eq!(failed.header("www-authenticate"), Some("Basic realm=\"signet\", charset=\"UTF-8\""));
    let till = front.as_till("login", &json!({"username": "ann", "password": RIGHT})).await;
    assert_eq!(till.body["scope"], "orders:read", "{}", till.text);
    // Its refresh tokens are not replaced, and are no one else's.
    let asked = json!({"refresh_token": till.body["refresh_token"]});
    assert_problem(&front.post("refresh", &asked).await, 401, "invalid_refresh_token");
    let next = front.as_till("refresh", &asked).await;
    assert_eq!((next.status.as_u16(), next.body.get("refresh_token")), (200, None), "{}", next.text);
    let tokens = front.login("ann").await;
    let asked = json!({"refresh_token": tokens["refresh_token"], "client_id": "other"});
    assert_problem(&front.post("refresh", &asked).await, 401, "invalid_refresh_token");
    let asked = json!({"refresh_token": tokens["access_token"]});
    assert_problem(&front.post("refresh", &asked).await, 401, "invalid_refresh_token");
    assert_problem(&front.post("refresh", &json!({})).await, 401, "no_refresh_token");
    // None of that moved the session.
    assert_eq!(front.refresh(&tokens["refresh_token"]).await.status, 200);
    front.signet.stop().await;
}

#[actix_web::test]
async fn an_access_token_is_taken_from_the_header_alone_and_only_that_of_a_session() {
    let front = Front::open().await;
    let tokens = front.login("ann").await;
    let access = text(&tokens["access_token"]);
    for scheme in ["Bearer", "bEaReR"] {
        let request = front.call(Method::GET, "/auth/me").header("Authorization", format!("{scheme} {access}"));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let query = format!("/auth/me?access_token={access}");
    let answer = Answer::of(front.call(Method::GET, &query).send().await.unwrap()).await;
    assert_problem(&answer, 401, "no_token");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"signet\""));
    let twice = front.call(Method::GET, "/auth/me").bearer_auth(access).bearer_auth(access);
    assert_eq!(Answer::of(twice.send().await.unwrap()).await.body["code"], "invalid_request");
    let own = front.signet.token(Some(("till", &front.till_secret)), &[("grant_type", "client_credentials")]).await;
    let bad =
        [text(&own.body["access_token"]).to_owned(), text(&tokens["refresh_token"]).to_owned(), "a.b.c".to_owned()];
    let admin = front.signet.admin_token().await;
    for token in bad.iter().chain([&admin, &format!("{access}A")]) {
        let answer = front.bearing(Method::GET, "/auth/me", token).await;
        assert_problem(&answer, 401, "invalid_token");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"signet\", error=\"invalid_token\""));
    }
    front.installation.clock.advance(Duration::from_secs(400));
    assert_problem(&front.bearing(Method::GET, "/auth/me", access).await, 401, "invalid_token");
    front.signet.stop().await;
}

#[actix_web::test]
async fn a_person_sees_and_ends_their_own_sessions_and_no_one_elses() {
    let front = Front::open().await;
    let (one, two, bobs) = (front.login("ann").await, front.login("ann").await, front.login("bob").await);
    let access = text(&one["access_token"]);
    let list = front.bearing(Method::GET, "/auth/sessions", access).await;
    let items = list.body["items"].as_array().unwrap();
    let current: Vec<_> = items.iter().filter(|item| item["current"] == true).map(|item| &item["session_id"]).collect();
    assert_eq!(current, [&one["session_id"]], "{}", list.text);
    assert!(items.iter().all(|item| item["address"] == "127.0.0.0/24" && item["session_id"] != bobs["session_id"]));
    let path = |session: &Value| format!("/auth/sessions/{}", text(&session["session_id"]));
    assert_problem(&front.bearing(Method::DELETE, &path(&bobs), access).await, 404, "no_such_session");
    assert_problem(&front.bearing(Method::DELETE, "/auth/sessions/x", access).await, 404, "no_such_session");
    assert_eq!(front.bearing(Method::DELETE, &path(&two), access).await.status, 204);
    assert_problem(&front.refresh(&two["refresh_token"]).await, 401, "invalid_refresh_token");
    let three = front.login("ann").await;
    assert_eq!(front.bearing(Method::DELETE, "/auth/sessions", access).await.status, 204);
    assert_problem(&front.refresh(&three["refresh_token"]).await, 401, "invalid_refresh_token");
    assert_eq!(front.bearing(Method::GET, "/auth/me", access).await.status, 200);
    // Everywhere is everywhere, and another person's lives.
    let out = front.call(Method::POST, "/auth/logout").bearer_auth(access);
    let out = with_json(out, &json!({"everywhere": true}));
    assert_eq!(out.send().await.unwrap().status(), 204);
    assert_problem(&front.refresh(&one["refresh_token"]).await, 401, "invalid_refresh_token");
    assert_eq!(front.refresh(&bobs["refresh_token"]).await.status, 200);
    front.signet.stop().await;
}

#[actix_web::test]
async fn the_current_session_is_in_the_list_however_many_there_are() {
    let front = Front::open().await;
    let own = front.login("ann").await;
    // Six hundred more of hers, with names that come before.
    let more = "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 600) \
                INSERT INTO sessions SELECT unhex(printf('%032x', number)), user_id, client_id, generation, mac_key, \
                rotated_at, last_used_at, ends_at, record FROM sessions, numbers WHERE client_id = 'login'";
    front.installation.execute(more).await;
    let list = front.bearing(Method::GET, "/auth/sessions", text(&own["access_token"])).await;
    let items = list.body["items"].as_array().unwrap();
    let current: Vec<_> = items.iter().filter(|item| item["current"] == true).map(|item| &item["session_id"]).collect();
    assert_eq!((items.len(), current), (500, vec![&own["session_id"]]));
    front.signet.stop().await;
}

#[actix_web::test]
async fn a_changed_password_ends_every_session_and_gives_a_new_one() {
    let front = Front::open().await;
    let (one, two) = (front.login("ann").await, front.login("ann").await);
    let access = text(&one["access_token"]);
    let change = async |body: &Value| {
        let request = with_json(front.call(Method::POST, "/auth/password").bearer_auth(access), body);
        Answer::of(request.send().await.unwrap()).await
    };
    let wrong = json!({"current_password": NEXT, "new_password": "another good long one"});
    assert_problem(&change(&wrong).await, 401, "invalid_credentials");
    let weak = change(&json!({"current_password": RIGHT, "new_password": "password"})).await;
    assert_problem(&weak, 422, "password_refused");
    assert_eq!(weak.body["member"], "new_password");
    assert_eq!(weak.body["reason"], "too_short");
    assert_problem(&front.post("password", &json!({"new_password": NEXT})).await, 400, "missing_member");
    let link = json!({"link_token": "spl_x", "new_password": NEXT});
    assert_problem(&front.post("password", &link).await, 400, "invalid_link");
    let changed = change(&json!({"current_password": RIGHT, "new_password": NEXT})).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_ne!(changed.body["session_id"], one["session_id"]);
    for old in [&one, &two] {
        assert_problem(&front.refresh(&old["refresh_token"]).await, 401, "invalid_refresh_token");
    }
    assert_eq!(front.refresh(&changed.body["refresh_token"]).await.status, 200);
    let again = front.post("login", &json!({"username": "ann", "password": RIGHT})).await;
    assert_problem(&again, 401, "invalid_credentials");
    front.signet.stop().await;
}

#[actix_web::test]
async fn nobody_makes_an_account_unless_the_settings_let_them() {
    let signet = Installation::new().start().await;
    let request = signet.http.post(format!("{}/auth/register", signet.public));
    let answer =
        Answer::of(with_json(request, &json!({"username": "eve", "password": RIGHT})).send().await.unwrap()).await;
    assert_problem(&answer, 403, "registration_closed");
    signet.stop().await;
    let front = Front::open().await;
    for (body, status, code) in [
        (json!({"username": "ANN", "password": RIGHT}), 409, "name_taken"),
        (json!({"username": "eve", "password": "short"}), 422, "password_refused"),
        (json!({"username": "eve", "password": RIGHT, "email": "eve@example.com"}), 400, "unknown_member"),
        (json!({"username": "e v e", "password": RIGHT}), 400, "invalid_name"),
        (json!({"username": "eve", "password": RIGHT, "client_id": "stranger"}), 403, "not_first_party"),
        (json!({"username": "eve", "password": RIGHT, "roles": ["signet:admin"]}), 400, "unknown_member"),
    ] {
        let refused = front.post("register", &body).await;
        assert_problem(&refused, status, code);
        assert_eq!(refused.body["member"] == "password", status == 422, "{}", refused.text);
    }
    front.signet.stop().await;
}
