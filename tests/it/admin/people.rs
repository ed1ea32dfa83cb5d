//! An issuer whose accounts are administered through the API, and at which people sign in.

use serde_json::{Value, json};

use super::{Api, with_json};
use crate::app::{Answer, Backend};
use crate::world::{ORDERS, eventually};

pub const RIGHT: &str = "mossy kettle orbit plank";

/// The issuer, with the first-party clients `login` and `other`.
pub struct People {
    pub api: Api,
}

impl People {
    pub async fn start() -> Self {
        Self::on(Backend::Sqlite).await
    }

    pub async fn on(backend: Backend) -> Self {
        let api = Api::on(backend).await;
        for id in ["login", "other"] {
            let client =
                json!({"token_endpoint_auth_method": "none", "first_party": true, "access": {ORDERS: "orders:read"}});
            api.world.client(id, client).await;
        }
        Self { api }
    }

    pub async fn auth(&self, path: &str, body: &Value) -> Answer {
        let request = self.api.signet.http.post(format!("{}/auth/{path}", self.api.signet.public));
        Answer::of(with_json(request, body).send().await.unwrap()).await
    }

    pub async fn try_login(&self, name: &str, password: &str) -> Answer {
        self.login_at("login", name, password).await
    }

    /// An answer of a client that the running issuer has taken up.
    async fn login_at(&self, client: &str, name: &str, password: &str) -> Answer {
        let body = json!({"username": name, "password": password, "client_id": client});
        eventually(async || {
            let answer = self.auth("login", &body).await;
            (answer.body["code"] != "invalid_client").then_some(answer)
        })
        .await
    }

    pub async fn login(&self, name: &str, password: &str) -> Value {
        let answer = self.try_login(name, password).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        answer.body
    }

    pub async fn login_elsewhere(&self, name: &str) -> Value {
        let answer = self.login_at("other", name, RIGHT).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        answer.body
    }

    pub async fn refresh(&self, tokens: &Value) -> Answer {
        self.auth("refresh", &json!({"refresh_token": tokens["refresh_token"]})).await
    }

    pub async fn refresh_elsewhere(&self, tokens: &Value) -> Answer {
        self.auth("refresh", &json!({"refresh_token": tokens["refresh_token"], "client_id": "other"})).await
    }

    pub async fn me(&self, tokens: &Value) -> Answer {
        let request = self.api.signet.http.get(format!("{}/auth/me", self.api.signet.public));
        Answer::of(request.bearer_auth(text(&tokens["access_token"])).send().await.unwrap()).await
    }

    /// An account that chose [`RIGHT`] by a link; answers its identifier.
    pub async fn person(&self, name: &str) -> String {
        let made = self.api.change("POST", "/admin/v1/users", None, json!({"username": name})).await;
        let id = text(&made.body["id"]).to_owned();
        let link = format!("/admin/v1/users/{id}/password-link");
        let link = self.api.change("POST", &link, Some("*"), json!(null)).await;
        let chosen = json!({"link_token": link.body["link_token"], "new_password": RIGHT});
        assert_eq!(self.auth("password", &chosen).await.status, 204);
        id
    }

    pub async fn stop(self) {
        self.api.signet.stop().await;
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
