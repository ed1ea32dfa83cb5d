//! The change of an account or a client ends its sessions: wherever they are kept, at every replica, and though nobody but
//! the database knows of the change.

mod program;
mod races;

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use signet::app::{Preparation, initialise, people};
use signet::clients::{ClientId, ClientStore, Power, Removal, Request};
use signet::tokens::session::SessionStore;
use signet::users::{Password, UserAdministration, UserId};

use crate::app::{Answer, Backend, Installation, Signet};
use crate::redis::{Redis, namespace};
use crate::world::{ORDERS, World, by, entry, eventually};

const RIGHT: &str = "mossy kettle orbit plank";
const NEXT: &str = "brisk lantern tulip gravel";
/// So long a change of another process may take until all replicas follow.
const FOLLOWED: Duration = Duration::from_secs(2);

/// Where accounts and sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Embedded,
    Postgres,
    Redis,
}

/// Issuers over one installation, with the client `login`, and what another process changes beside them.
struct House {
    replicas: Vec<Signet>,
    world: World,
    people: UserAdministration,
    installation: Installation,
}

impl House {
    async fn open(kept: Kept) -> Self {
        Self::with(kept, |installation| installation).await
    }

    async fn with(kept: Kept, more: impl FnOnce(Installation) -> Installation) -> Self {
        let installation = Installation::new()
            .with("ISSUER", "http://127.0.0.1:8080")
            .with("AUTH__REGISTRATION", "true")
            .with("AUTH__REGISTRATIONS_PER_ADDRESS", "100000")
            .with("AUTH__REGISTRATIONS_AN_HOUR", "100000")
            .with("KEYS__ALGORITHMS", "ES256")
            .with("PASSWORDS__FAILURES_PER_ADDRESS", "100000")
            // Other tests share this machine.
            .with("DATABASE__TIMEOUT", "20s");
        let installation = more(match kept {
            Kept::Embedded => installation,
            Kept::Postgres => installation.on(Backend::Postgres),
            Kept::Redis => {
                let url = Redis::shared().url();
                installation
                    .with("REDIS__URL", &url)
                    .with("REDIS__NAMESPACE", &namespace())
                    .with("REDIS__TIMEOUT", "5s")
            }
        });
        let opened = installation.open(Preparation::Initialise).await;
        let admin = initialise(&installation.settings(), &opened, &installation.parts()).await.unwrap();
        let credentials = std::fs::read(admin.credentials).unwrap();
        opened.store.close().await;
        drop(opened);
        // Before anybody serves: so that no test depends on a poll.
        let world = World::of(&installation).await;
        world.resource(ORDERS, "orders:read").await;
        world.client("login", login_client()).await;
        let mut replicas = Vec::new();
        for _ in 0..if kept == Kept::Postgres { 2 } else { 1 } {
            let mut signet = installation.start().await;
            signet.credentials = Some(serde_json::from_slice(&credentials).unwrap());
            replicas.push(signet);
        }
        let settings = installation.settings();
        let store = &world.opened.store;
        let attempts = std::sync::Arc::new(store.clone());
        let meter = std::sync::Arc::new(());
        let people = people(&settings, &world.opened.issuer, store, attempts, &installation.parts(), meter).unwrap();
        Self { replicas, world, people: people.administration, installation }
    }

    fn call(&self, replica: usize, method: Method, path: &str) -> RequestBuilder {
        let signet = &self.replicas[replica];
        signet.http.request(method, format!("{}{path}", signet.public))
    }

    async fn post(&self, replica: usize, path: &str, body: &Value) -> Answer {
        let request = self.call(replica, Method::POST, &format!("/auth/{path}"));
        let request = request.header("Content-Type", "application/json").body(body.to_string());
        Answer::of(request.send().await.unwrap()).await
    }

    /// A person of that name.
    async fn person(&self, name: &str) -> UserId {
        let answer = self.post(0, "register", &json!({"username": name, "password": RIGHT})).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.body["sub"].as_str().unwrap().parse().unwrap()
    }

    async fn log_in(&self, replica: usize, name: &str, password: &str) -> Answer {
        self.post(replica, "login", &json!({"username": name, "password": password})).await
    }

    /// Signs in, which must succeed.
    async fn tokens(&self, replica: usize, name: &str, password: &str) -> Value {
        let answer = self.log_in(replica, name, password).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body
    }

    async fn refresh(&self, replica: usize, tokens: &Value) -> Answer {
        self.post(replica, "refresh", &json!({"refresh_token": tokens["refresh_token"]})).await
    }

    async fn me(&self, replica: usize, tokens: &Value) -> Answer {
        let token = tokens["access_token"].as_str().unwrap();
        Answer::of(self.call(replica, Method::GET, "/auth/me").bearer_auth(token).send().await.unwrap()).await
    }

    /// As another process changes accounts, which tells no replica.
    async fn change<T, E: std::fmt::Debug>(
        &self,
        act: impl AsyncFnOnce(&UserAdministration, Request<'_>) -> Result<T, E>,
    ) -> T {
        act(&self.people, Request { by: &by(), power: &Power::Everything, expected: None }).await.unwrap()
    }

    async fn set_enabled(&self, user: &UserId, enabled: bool) {
        self.change(async |people, request| people.set_enabled(request, user, enabled).await).await;
    }

    /// How many sessions of the person lie in the session store.
    async fn stored(&self, user: &UserId) -> usize {
        let opened = &self.world.opened;
        let page = match &opened.redis {
            Some(redis) => SessionStore::list_by_user(redis, *user.as_uuid(), None, 100).await,
            None => SessionStore::list_by_user(&opened.store, *user.as_uuid(), None, 100).await,
        };
        page.unwrap().sessions.len()
    }

    /// Every replica refuses these sessions, within the time in which changes are followed, and they are removed.
    async fn all_dead(&self, what: &str, user: &UserId, sessions: &[&Value]) {
        let since = Instant::now();
        for replica in 0..self.replicas.len() {
            for tokens in sessions {
                eventually(async || {
                    let answer = self.refresh(replica, tokens).await;
                    (answer.status != StatusCode::OK).then(|| dead(&answer))
                })
                .await;
                refused(&self.me(replica, tokens).await, "invalid_token");
            }
        }
        let took = since.elapsed();
        println!("{what}: {} replicas refused {} sessions after {took:?}", self.replicas.len(), sessions.len());
        assert!(took < FOLLOWED, "{what}: {took:?}");
        eventually(async || (self.stored(user).await == 0).then_some(())).await;
    }

    async fn close(self) {
        for signet in self.replicas {
            signet.stop().await;
        }
    }
}

fn login_client() -> Value {
    json!({"token_endpoint_auth_method": "none", "first_party": true, "grant_types": ["refresh_token"],
           "access": {ORDERS: "orders:read"}})
}

#[track_caller]
fn refused(answer: &Answer, code: &str) {
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (401, &json!(code)), "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[track_caller]
fn dead(answer: &Answer) {
    refused(answer, "invalid_refresh_token");
}

async fn a_disabled_person_has_no_session_until_they_sign_in_anew(kept: Kept) {
    let house = House::with(kept, Installation::following_as_in_production).await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (one, two) = (house.tokens(0, "ann", RIGHT).await, house.tokens(0, "ann", RIGHT).await);
    let bobs = house.tokens(0, "bob", RIGHT).await;
    house.set_enabled(&ann, false).await;
    house.all_dead(&format!("{kept:?}, disabled"), &ann, &[&one, &two]).await;
    refused(&house.log_in(0, "ann", RIGHT).await, "invalid_credentials");
    house.set_enabled(&ann, true).await;
    for replica in 0..house.replicas.len() {
        // At once, though this replica may not have heard that the mark was lifted.
        let fresh = house.tokens(replica, "ann", RIGHT).await;
        assert_eq!(house.me(replica, &fresh).await.status, 200);
        let next = house.refresh(replica, &fresh).await;
        assert_eq!(next.status, 200, "{}", next.text);
        dead(&house.refresh(replica, &one).await);
    }
    assert_eq!(house.refresh(0, &bobs).await.status, 200);
    let last = house.tokens(0, "ann", RIGHT).await;
    house.change(async |people, request| people.delete(request, &ann).await).await;
    house.all_dead(&format!("{kept:?}, deleted"), &ann, &[&last]).await;
    assert_eq!(house.stored(&bob).await, 1);
    house.close().await;
}

async fn a_password_that_others_set_ends_every_session(kept: Kept) {
    let house = House::open(kept).await;
    let ann = house.person("ann").await;
    let one = house.tokens(0, "ann", RIGHT).await;
    let password = || Password::parse(NEXT).unwrap();
    house.change(async |people, request| people.set_password(request, &ann, password()).await).await;
    house.all_dead(&format!("{kept:?}, password set"), &ann, &[&one]).await;
    let must = house.log_in(0, "ann", NEXT).await;
    assert_eq!((must.status.as_u16(), &must.body["code"]), (403, &json!("must_change_password")), "{}", must.text);
    // By name, and by a link: at once at the replica that is asked.
    let by_name = json!({"username": "ann", "current_password": NEXT, "new_password": RIGHT});
    assert_eq!(house.post(0, "password", &by_name).await.status, 204);
    let two = house.tokens(0, "ann", RIGHT).await;
    assert_eq!(house.refresh(0, &two).await.status, 200);
    let (_, link) = house.change(async |people, request| people.issue_link(request, &ann).await).await;
    let by_link = json!({"link_token": link.expose(), "new_password": NEXT});
    assert_eq!(house.post(0, "password", &by_link).await.status, 204);
    dead(&house.refresh(0, &two).await);
    refused(&house.me(0, &two).await, "invalid_token");
    eventually(async || (house.stored(&ann).await == 0).then_some(())).await;
    let three = house.tokens(0, "ann", NEXT).await;
    assert_eq!(house.refresh(0, &three).await.status, 200, "signed in in the very millisecond of the change");
    house.close().await;
}

async fn a_client_that_is_disabled_or_deleted_has_no_session_left(kept: Kept) {
    let house = House::open(kept).await;
    let ann = house.person("ann").await;
    let one = house.tokens(0, "ann", RIGHT).await;
    house.world.set_enabled("login", false).await;
    for replica in 0..house.replicas.len() {
        eventually(async || {
            // It may hear of its sessions before it hears of the client.
            let answer = house.refresh(replica, &one).await;
            (answer.body["code"] == "invalid_client").then(|| refused(&answer, "invalid_client"))
        })
        .await;
    }
    eventually(async || (house.stored(&ann).await == 0).then_some(())).await;
    house.world.set_enabled("login", true).await;
    let two = eventually(async || {
        let answer = house.log_in(0, "ann", RIGHT).await;
        (answer.status == StatusCode::OK).then_some(answer.body)
    })
    .await;
    dead(&house.refresh(0, &one).await);
    assert_eq!(house.refresh(0, &two).await.status, 200);
    let id = ClientId::parse("login").unwrap();
    let store = &house.world.opened.store;
    assert_eq!(store.delete_client(&id, None, &entry()).await.unwrap(), Removal::Removed);
    eventually(async || (house.stored(&ann).await == 0).then_some(())).await;
    // Another one of that name: its sessions live, those of the former do not.
    house.world.client("login", login_client()).await;
    for replica in 0..house.replicas.len() {
        let fresh = eventually(async || {
            let answer = house.log_in(replica, "ann", RIGHT).await;
            (answer.status == StatusCode::OK).then_some(answer.body)
        })
        .await;
        assert_eq!(house.refresh(replica, &fresh).await.status, 200);
        for old in [&one, &two] {
            dead(&house.refresh(replica, old).await);
        }
    }
    // And where nobody speaks HTTP of Signet's own: RFC 6749 §5.2.
    let form = [("grant_type", "refresh_token"), ("client_id", "login")];
    let old = [("refresh_token", two["refresh_token"].as_str().unwrap())];
    let answer = house.replicas[0].token(None, &[form.as_slice(), &old].concat()).await;
    assert_eq!((answer.status.as_u16(), &answer.body["error"]), (400, &json!("invalid_grant")), "{}", answer.text);
    house.close().await;
}

/// Makes a test of each law on every store.
macro_rules! everywhere {
    ($module:ident, $kept:expr) => {
        mod $module {
            use super::*;

            #[actix_web::test]
            async fn a_disabled_person_has_no_session_until_they_sign_in_anew() {
                super::a_disabled_person_has_no_session_until_they_sign_in_anew($kept).await;
            }

            #[actix_web::test]
            async fn a_password_that_others_set_ends_every_session() {
                super::a_password_that_others_set_ends_every_session($kept).await;
            }

            #[actix_web::test]
            async fn a_client_that_is_disabled_or_deleted_has_no_session_left() {
                super::a_client_that_is_disabled_or_deleted_has_no_session_left($kept).await;
            }
        }
    };
}

everywhere!(embedded, Kept::Embedded);
everywhere!(postgres, Kept::Postgres);
everywhere!(redis, Kept::Redis);

#[actix_web::test]
async fn a_change_through_the_admin_api_is_known_to_its_replica_before_it_is_answered() {
    // No poll comes to help.
    let house = House::with(Kept::Embedded, |made| made.following_every(Duration::from_secs(3600))).await;
    let ann = house.person("ann").await;
    let one = house.tokens(0, "ann", RIGHT).await;
    let signet = &house.replicas[0];
    let admin = signet.admin_token().await;
    let post = async |verb: &str| {
        let url = format!("{}/admin/v1/clients/login/{verb}", signet.admin);
        let answer =
            Answer::of(signet.http.post(url).bearer_auth(&admin).header("If-Match", "*").send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    post("disable").await;
    post("enable").await;
    dead(&house.refresh(0, &one).await);
    let page = Answer::of(signet.http.get(format!("{}/metrics", signet.admin)).send().await.unwrap()).await;
    assert!(page.text.contains("signet_refreshes_total{decision=\"ended\"} 1\n"), "{}", page.text);
    refused(&house.me(0, &one).await, "invalid_token");
    let two = house.tokens(0, "ann", RIGHT).await;
    assert_eq!(house.refresh(0, &two).await.status, 200);
    eventually(async || (house.stored(&ann).await == 1).then_some(())).await;
    house.close().await;
}

#[actix_web::test]
async fn who_starts_later_marks_whom_the_journal_marks_last() {
    let house = House::open(Kept::Embedded).await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let mut tokens = Vec::new();
    for name in ["ann", "bob"] {
        tokens.push(house.tokens(0, name, RIGHT).await);
    }
    // Marked, lifted and marked again; and marked, lifted, marked and lifted.
    for (user, times) in [(&ann, 3), (&bob, 4)] {
        for time in 0..times {
            house.set_enabled(user, time % 2 == 1).await;
        }
    }
    let fresh = house.tokens(0, "bob", RIGHT).await;
    let again = house.installation.open(Preparation::Existing).await;
    let sid =
        |tokens: &Value| signet::tokens::session::SessionId::parse(tokens["session_id"].as_str().unwrap()).unwrap();
    for old in &tokens {
        assert_eq!(again.sessions.load(sid(old)).await.unwrap(), None);
    }
    assert!(again.sessions.load(sid(&fresh)).await.unwrap().is_some());
    house.close().await;
}

#[actix_web::test]
async fn a_token_that_comes_in_another_way_than_its_session_has_it_travel_moves_nothing() {
    for kept in [Kept::Embedded, Kept::Redis] {
        let house = House::open(kept).await;
        house.person("ann").await;
        let in_body = house.tokens(0, "ann", RIGHT).await;
        let own = &house.replicas[0].issuer;
        let with = |path: &str, body: Value, cookie: Option<&str>| {
            let request = house.call(0, Method::POST, &format!("/auth/{path}")).header("Origin", own);
            let request = request.header("X-Signet-CSRF", "1").header("Content-Type", "application/json");
            let request = cookie.into_iter().fold(request, |request, cookie| request.header("Cookie", cookie));
            let request = request.body(body.to_string());
            async move { Answer::of(request.send().await.unwrap()).await }
        };
        let asked = json!({"username": "ann", "password": RIGHT, "delivery": "cookie"});
        let answer = with("login", asked, None).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let (name, token) = cookie.split_once('=').unwrap();
        // Many times, and at the other endpoint too: were the session moved by it, its own token would be replaced.
        for _ in 0..3 {
            dead(&house.refresh(0, &json!({"refresh_token": token})).await);
            let form = [("grant_type", "refresh_token"), ("client_id", "login"), ("refresh_token", token)];
            assert_eq!(house.replicas[0].token(None, &form).await.body["error"], "invalid_grant");
            let swapped = format!("{name}={}", in_body["refresh_token"].as_str().unwrap());
            dead(&with("refresh", json!({}), Some(&swapped)).await);
            house.installation.clock.advance(Duration::from_secs(11));
        }
        let next = with("refresh", json!({}), Some(&cookie)).await;
        assert_eq!(next.status, 200, "{}", next.text);
        assert!(next.header("set-cookie").is_some(), "the first rotation of it");
        let next = house.refresh(0, &in_body).await;
        assert!(next.body["refresh_token"].is_string(), "{}", next.text);
        house.close().await;
    }
}
