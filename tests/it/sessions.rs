//! People's sessions over the real program on Redis: replicas that race, stores that fail, and issuers that are killed.

mod faults;
mod killed;
mod races;
mod set_back;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use signet::store::sql::DatabaseUrl;
use signet_verify::base64url;

use crate::app::{Answer, Installation, Signet};
use crate::redis::{Redis, namespace};
use crate::rotation::initialised;
use crate::world::{ORDERS, World, eventually};

const GRACE: Duration = Duration::from_secs(10);
const PASSWORD: &str = "mossy kettle orbit plank";
/// The public client whose sessions these are, and another one.
const LOGIN: &str = "login";
const OTHER: &str = "other";

/// Where a refresh token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Auth,
    Token,
}

/// What presenting it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// The token that takes its place.
    Next(String),
    /// It goes on.
    GoesOn,
    /// Not now.
    Unavailable,
    /// Sign in again.
    Refused,
}

/// What a session begins with.
#[derive(Debug, Clone)]
struct Tokens {
    refresh: String,
    access: String,
    session: String,
}

/// Asks any of the replicas.
#[derive(Debug, Clone)]
struct Asker {
    http: reqwest::Client,
    publics: Vec<String>,
    till: String,
}

impl Asker {
    async fn post(&self, replica: usize, path: &str, body: &Value) -> Answer {
        let request = self.http.post(format!("{}/auth/{path}", self.publics[replica]));
        let request = request.header("Content-Type", "application/json").body(body.to_string());
        Answer::of(request.send().await.unwrap()).await
    }

    async fn get(&self, replica: usize, path: &str) -> Answer {
        Answer::of(self.http.get(format!("{}{path}", self.publics[replica])).send().await.unwrap()).await
    }

    async fn me(&self, replica: usize, access: &str) -> Answer {
        let request = self.http.get(format!("{}/auth/me", self.publics[replica])).bearer_auth(access);
        Answer::of(request.send().await.unwrap()).await
    }

    async fn log_in(&self, replica: usize) -> Answer {
        self.post(replica, "login", &json!({"username": "ann", "password": PASSWORD})).await
    }

    async fn tokens(&self, replica: usize) -> Tokens {
        let answer = told(async || self.log_in(replica).await).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        Tokens { refresh: text("refresh_token"), access: text("access_token"), session: text("session_id") }
    }

    async fn log_out(&self, replica: usize, token: &str) -> Answer {
        self.post(replica, "logout", &json!({"refresh_token": token})).await
    }

    /// A token of a client's own.
    async fn own_token(&self, replica: usize) -> Answer {
        let request = self.http.post(format!("{}/oauth2/token", self.publics[replica]));
        let request = request.basic_auth("till", Some(&self.till)).form(&[("grant_type", "client_credentials")]);
        Answer::of(request.send().await.unwrap()).await
    }

    async fn refresh(&self, replica: usize, endpoint: Endpoint, client: &str, token: &str) -> Answer {
        match endpoint {
            Endpoint::Auth => {
                self.post(replica, "refresh", &json!({"client_id": client, "refresh_token": token})).await
            }
            Endpoint::Token => {
                let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client)];
                let request = self.http.post(format!("{}/oauth2/token", self.publics[replica])).form(&form);
                Answer::of(request.send().await.unwrap()).await
            }
        }
    }

    /// Presents a refresh token, which must be answered in one of the ways that there are.
    async fn present(&self, replica: usize, endpoint: Endpoint, client: &str, token: &str) -> Said {
        said(endpoint, &self.refresh(replica, endpoint, client, token).await)
    }

    /// Presents it until somebody can answer, at each replica in turn.
    async fn insist(&self, first: usize, token: &str) -> Said {
        let turn = Cell::new(first);
        let answer = told(async || {
            let replica = turn.replace(turn.get() + 1) % self.publics.len();
            self.refresh(replica, Endpoint::Auth, LOGIN, token).await
        });
        said(Endpoint::Auth, &answer.await)
    }

    /// Presents it until that replica can answer.
    async fn insist_at(&self, replica: usize, endpoint: Endpoint, token: &str) -> Said {
        said(endpoint, &told(async || self.refresh(replica, endpoint, LOGIN, token).await).await)
    }
}

/// Asks until it is answered with more than "not now", which on a machine that is busy with other tests comes of a Redis
/// that is slow for once.
async fn told(ask: impl AsyncFn() -> Answer) -> Answer {
    for _ in 0..2_000 {
        let answer = ask().await;
        if answer.status != 503 {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody could answer");
}

#[track_caller]
fn said(endpoint: Endpoint, answer: &Answer) -> Said {
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", answer.text);
    match answer.status.as_u16() {
        200 => match answer.body.get("refresh_token") {
            Some(token) => Said::Next(token.as_str().unwrap().to_owned()),
            None => Said::GoesOn,
        },
        503 => {
            assert_unavailable(answer);
            Said::Unavailable
        }
        _ => {
            let (status, code) = match endpoint {
                Endpoint::Auth => (401, &answer.body["code"] == "invalid_refresh_token"),
                Endpoint::Token => (400, &answer.body["error"] == "invalid_grant"),
            };
            assert!(answer.status == status && code, "{} {}", answer.status, answer.text);
            Said::Refused
        }
    }
}

/// The whole of an answer that says: not now.
#[track_caller]
fn assert_unavailable(answer: &Answer) {
    let words = "this can't be answered at the moment";
    let (kind, body) = if answer.body.get("error").is_some() {
        ("application/json", json!({"error": "temporarily_unavailable", "error_description": words}))
    } else {
        let body = json!({"type": "about:blank", "title": "Service Unavailable", "status": 503,
                          "detail": words, "code": "temporarily_unavailable"});
        ("application/problem+json", body)
    };
    assert_eq!((answer.status.as_u16(), &answer.body), (503, &body), "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some(kind));
    assert_eq!(answer.header("retry-after"), Some("2"));
}

/// Replicas of one installation, with a person called `ann` and the clients `login` and `other`, which are public, and
/// `till`, which is not.
struct Front {
    signets: Vec<Signet>,
    installation: Installation,
    ask: Asker,
}

impl Front {
    /// Over an installation that is not set up yet. Each replica has these settings besides.
    async fn open(installation: Installation, replicas: &[&[(&str, &str)]]) -> Self {
        let mut installation = installation
            .with("ISSUER", "https://as.example")
            .with("KEYS__ALGORITHMS", "ES256")
            .with("AUTH__REGISTRATION", "true")
            .with("REDIS__NAMESPACE", &namespace());
        if let DatabaseUrl::Postgres(_) = installation.settings().database.url {
            initialised(&installation).await;
        }
        let mut signets = Vec::new();
        for settings in replicas {
            for (name, value) in *settings {
                installation = installation.with(name, value);
            }
            signets.push(installation.start().await);
        }
        let world = World::of(&installation).await;
        world.resource(ORDERS, "orders:read").await;
        let public = json!({"token_endpoint_auth_method": "none", "first_party": true,
                            "access": {ORDERS: "orders:read"}});
        world.client(LOGIN, public.clone()).await;
        world.client(OTHER, public).await;
        let till = world.client("till", json!({"access": {ORDERS: "orders:read"}})).await;
        world.opened.store.close().await;
        let publics = signets.iter().map(|signet| signet.public.clone()).collect();
        let ask = Asker { http: signets[0].http.clone(), publics, till };
        let register = json!({"username": "ann", "password": PASSWORD});
        eventually(async || (ask.post(0, "register", &register).await.status == 201).then_some(())).await;
        for replica in 0..signets.len() {
            // It has taken up what was registered beside it.
            eventually(async || ask.own_token(replica).await.status.is_success().then_some(())).await;
            eventually(async || (ask.log_in(replica).await.status == 200).then_some(())).await;
            let known = async || ask.refresh(replica, Endpoint::Auth, OTHER, "x").await.body["code"].clone();
            eventually(async || (known().await == "invalid_refresh_token").then_some(())).await;
        }
        Self { signets, installation, ask }
    }

    /// The key of a session in Redis.
    fn key(&self, session: &str) -> String {
        format!("{}:{session}", self.installation.settings().redis.namespace)
    }

    async fn stop(self) {
        for signet in self.signets {
            signet.stop().await;
        }
    }
}

/// How many rotations the token is away from the first of its session.
fn generation_of(token: &str) -> u32 {
    let bytes = base64url::decode(token.strip_prefix("srt_").unwrap()).unwrap();
    u32::from_be_bytes(bytes[21..25].try_into().unwrap())
}

/// The generation that a session in Redis is at.
fn generation_in(redis: &Redis, key: &str) -> u32 {
    const READ: &str = "local record = redis.call('GET', KEYS[1]) return record and struct.unpack('>I4', record, 3)";
    redis.ask(&["EVAL", READ, "1", key]).parse().unwrap_or_else(|_| panic!("{key} is not there"))
}

/// The refresh tokens that were given, by session and generation.
#[derive(Debug, Default)]
struct Given(BTreeMap<(String, u32), BTreeSet<String>>);

impl Given {
    fn note(&mut self, token: &str) {
        let bytes = base64url::decode(token.strip_prefix("srt_").unwrap()).unwrap();
        let session = base64url::encode(&bytes[5..21]);
        self.0.entry((session, generation_of(token))).or_default().insert(token.to_owned());
    }

    /// How many generations there were, and how many tokens the one had that had most.
    fn widest(&self) -> (usize, usize) {
        (self.0.len(), self.0.values().map(BTreeSet::len).max().unwrap_or_default())
    }
}
