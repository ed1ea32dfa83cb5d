//! The admin API: who may call it, how it reads requests, and what it changes.

mod changes;
mod forged;
mod guard;
mod keys;
mod lists;
mod paper;
mod people;
mod power;
mod requests;
mod secrets;
mod sessions;
mod users;

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use signet::app::{Credentials, Preparation, initialise};
use signet::audit::{AuditFilter, AuditLog, Row};

use crate::app::{Answer, Backend, Installation, Signet};
use crate::world::{ORDERS, World, eventually};

/// Makes a test of each backend of functions of a [`Backend`].
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[actix_web::test]
            async fn $name() {
                super::$name(crate::app::Backend::Sqlite).await;
            })+
        }
        mod postgres {
            $(#[actix_web::test]
            async fn $name() {
                super::$name(crate::app::Backend::Postgres).await;
            })+
        }
    };
}
pub(crate) use on_both;

/// A running issuer with the resource [`ORDERS`] and the client `shop`, and an admin with every scope.
pub struct Api {
    pub installation: Installation,
    pub signet: Signet,
    pub world: World,
    pub admin: Credentials,
    pub shop_secret: String,
    token: String,
}

impl Api {
    pub async fn start() -> Self {
        Self::over(Installation::new()).await
    }

    pub async fn on(backend: Backend) -> Self {
        let installation = Installation::new().on(backend);
        if backend == Backend::Postgres {
            let opened = installation.open(Preparation::Initialise).await;
            initialise(&installation.settings(), &opened, &installation.parts()).await.unwrap();
        }
        Self::over(installation).await
    }

    pub async fn over(installation: Installation) -> Self {
        let installation = installation.with("KEYS__ALGORITHMS", "ES256");
        let signet = installation.start().await;
        let world = World::of(&installation).await;
        world.resource(ORDERS, "orders:read orders:write").await;
        let shop_secret = world.client("shop", json!({"access": {ORDERS: "orders:read"}})).await;
        let credentials = std::fs::read(installation.folder.path().join("data/admin-credentials.json")).unwrap();
        let admin: Credentials = serde_json::from_slice(&credentials).unwrap();
        let mut api = Self { installation, signet, world, admin, shop_secret, token: String::new() };
        api.token = api.token_of(&api.admin.client_id, &api.admin.client_secret, None).await;
        // The running one has taken up what was registered beside it.
        let form = [("grant_type", "client_credentials")];
        let shop = Some(("shop", api.shop_secret.as_str()));
        eventually(async || api.signet.token(shop, &form).await.status.is_success().then_some(())).await;
        api
    }

    /// A token for the admin API, of some scopes or all that the client may have.
    pub async fn token_of(&self, id: &str, secret: &str, scope: Option<&str>) -> String {
        let audience = format!("{}/admin", self.signet.issuer);
        let mut form = vec![("grant_type", "client_credentials"), ("resource", &audience)];
        form.extend(scope.map(|scope| ("scope", scope)));
        eventually(async || {
            let answer = self.signet.token(Some((id, secret)), &form).await;
            answer.status.is_success().then(|| answer.body["access_token"].as_str().unwrap().to_owned())
        })
        .await
    }

    /// A token of the admin for these scopes alone.
    pub async fn token_for(&self, scope: &str) -> String {
        self.token_of(&self.admin.client_id, &self.admin.client_secret, Some(scope)).await
    }

    /// A new client with these admin scopes, and a token with all of them.
    pub async fn lesser(&self, id: &str, scopes: &str) -> String {
        // The second process does not know which port the first one got.
        let audience = self.world.opened.issuer.admin_audience();
        let secret = self.world.client(id, json!({"access": {audience: scopes}})).await;
        self.token_of(id, &secret, None).await
    }

    /// What the API's tokens are for.
    pub fn audience(&self) -> String {
        format!("{}/admin", self.signet.issuer)
    }

    /// A request without credentials.
    pub fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        self.signet.http.request(method.parse().unwrap(), format!("{}{path}", self.signet.admin))
    }

    /// A request with that token.
    pub fn with(&self, token: &str, method: &str, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(token)
    }

    /// A request of the admin.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.with(&self.token, method, path)
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request("GET", path)).await
    }

    /// A change of the admin's.
    pub async fn change(&self, method: &str, path: &str, if_match: Option<&str>, body: Value) -> Answer {
        change(self.request(method, path), if_match, body).await
    }

    /// All rows of the audit log, the newest first.
    pub async fn rows(&self) -> Vec<Row> {
        self.world.opened.store.audit_page(&AuditFilter::default(), None, 10_000).await.unwrap()
    }

    /// Moves on by `span`, and waits until the replica has taken note.
    pub async fn advance(&self, span: Duration) {
        self.installation.clock.advance(span);
        eventually(async || {
            let answer = answer(self.bare("GET", "/admin/v1/audit").bearer_auth("x")).await;
            (answer.status != StatusCode::SERVICE_UNAVAILABLE).then_some(())
        })
        .await;
    }
}

pub async fn answer(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.unwrap()).await
}

pub async fn change(request: RequestBuilder, if_match: Option<&str>, body: Value) -> Answer {
    let request = match if_match {
        Some(tags) => request.header("if-match", tags),
        None => request,
    };
    answer(if body.is_null() { request } else { with_json(request, &body) }).await
}

/// With a JSON document as its body.
pub fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

/// The answer is this problem, whole, and nobody may keep it.
#[track_caller]
pub fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (status, &json!(code)), "{}", answer.text);
    assert_eq!(answer.body["status"], status, "{}", answer.text);
    assert_eq!(answer.body["type"], "about:blank", "{}", answer.text);
    assert_eq!(answer.body["title"], answer.status.canonical_reason().unwrap(), "{}", answer.text);
    assert!(answer.body["detail"].is_string(), "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_dressed(answer);
}

/// What every answer of the API has.
#[track_caller]
pub fn assert_dressed(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 32));
}

/// It was done, and this is the tag that the object has now.
#[track_caller]
pub fn done(answer: &Answer) -> String {
    assert!(answer.status.is_success(), "{} {}", answer.status, answer.text);
    assert_dressed(answer);
    answer.header("etag").unwrap_or_default().to_owned()
}
