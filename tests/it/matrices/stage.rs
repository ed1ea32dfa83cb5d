//! An issuer with all that credentials are made by, one of each kind at a time, and requests that lack nothing but one.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use signet::app::{People, people};
use signet::clients::{Power, Request};
use signet::http::Credential;
use signet::ports::Clock;
use signet_verify::Algorithm;

use super::places::{Place, Way};
use crate::app::{Answer, Installation, Signet};
use crate::assertion::jti;
use crate::signer::Signer;
use crate::world::{BILLING, ORDERS, World, by, eventually};

pub const PAGE: &str = "https://app.example";
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const PASSWORD: &str = "mossy kettle orbit plank";
const NEXT: &str = "brisk lantern tulip gravel";

/// A credential.
#[derive(Debug, Clone)]
pub struct Held {
    pub kind: Credential,
    pub text: String,
}

/// A person, and what is theirs, or is held beside it.
pub struct Cast {
    pub name: String,
    /// One of each kind.
    pub held: Vec<Held>,
    /// The refresh token of a session at `till`.
    tills: String,
}

impl Cast {
    pub fn text(&self, kind: Credential) -> &str {
        &self.held.iter().find(|held| held.kind == kind).unwrap().text
    }
}

/// The issuer, and who is registered there: the public client `login`, the confidential ones `till` (first-party, by
/// Basic), `post` (by form) and `robot` (by assertions), and people.
pub struct Stage {
    pub signet: Signet,
    pub installation: Installation,
    /// Held open beside the running issuer.
    _world: World,
    people: People,
    signer: Signer,
    till: String,
    post: String,
}

impl Stage {
    pub async fn set() -> Self {
        let installation = Installation::new().with("KEYS__ALGORITHMS", "ES256").with("AUTH__REGISTRATION", "true");
        let installation = installation.with("AUTH__REGISTRATIONS_PER_ADDRESS", "1000");
        let signet = installation.start().await;
        let world = World::of(&installation).await;
        world.resource(ORDERS, "orders:read").await;
        world.resource(BILLING, "bills:read").await;
        let signer = Signer::new(Algorithm::Es256);
        let access = json!({ORDERS: "orders:read"});
        for id in ["login", "other"] {
            let public = json!({"token_endpoint_auth_method": "none", "first_party": true, "web_origins": [PAGE],
                                "grant_types": ["refresh_token"], "access": access});
            world.client(id, public).await;
        }
        let grants = json!(["client_credentials", "refresh_token"]);
        let till = json!({"first_party": true, "grant_types": grants, "access": access, "web_origins": [PAGE]});
        let till = world.client("till", till).await;
        let post = json!({"token_endpoint_auth_method": "client_secret_post", "access": access});
        let post = world.client("post", post).await;
        let robot = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [signer.jwk()]}, "access": access});
        world.client("robot", robot).await;
        let (settings, store) = (installation.settings(), &world.opened.store);
        let attempts = std::sync::Arc::new(store.clone());
        let meter = std::sync::Arc::new(());
        let people = people(&settings, &world.opened.issuer, store, attempts, &installation.parts(), meter).unwrap();
        let stage = Self { signet, installation, _world: world, people, signer, till, post };
        stage.person("ann", PASSWORD).await;
        eventually(async || {
            let signs_in = stage.log_in("ann", "login", true).await.status == 200;
            let form = [("grant_type", "client_credentials"), ("client_assertion_type", TYPE)];
            let assertion = stage.assertion("robot");
            let form = [form[0], form[1], ("client_assertion", &assertion)];
            (signs_in && stage.signet.token(None, &form).await.status == 200).then_some(())
        })
        .await;
        stage
    }

    /// Makes an account whose owner chose that password.
    pub async fn person(&self, name: &str, password: &str) {
        let home = std::net::Ipv4Addr::LOCALHOST.into();
        self.people.accounts.register(name, password, home, &by()).await.unwrap();
    }

    /// Posts an object with these headers.
    pub async fn post(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.at("POST", path, false);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request, Some(body), false).await
    }

    /// Posts an object as the client `till`.
    pub async fn as_till(&self, path: &str, body: &Value) -> Answer {
        self.send(self.at("POST", path, false).basic_auth("till", Some(&self.till)), Some(body), false).await
    }

    /// Asks with an access token.
    pub async fn bearing(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Answer {
        self.send(self.at(method, path, false).bearer_auth(token), body, false).await
    }

    /// A moment later: no wait after a failure is left over, and no access token has ended.
    pub fn later(&self) {
        self.installation.clock.advance(Duration::from_secs(17));
    }

    pub async fn log_in(&self, name: &str, client: &str, by_cookie: bool) -> Answer {
        let delivery = if by_cookie { "cookie" } else { "body" };
        let password = if name == "bob" { super::strangers::BOBS } else { PASSWORD };
        let body = json!({"username": name, "password": password, "client_id": client, "delivery": delivery});
        self.send(self.at("POST", "/auth/login", false), Some(&body), by_cookie).await
    }

    pub fn at(&self, method: &str, path: &str, of_admins: bool) -> RequestBuilder {
        let base = if of_admins { &self.signet.admin } else { &self.signet.public };
        self.signet.http.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{base}{path}"))
    }

    async fn send(&self, request: RequestBuilder, body: Option<&Value>, from_a_page: bool) -> Answer {
        let request = match body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.to_string()),
            None => request,
        };
        let request = if from_a_page { request.header("Origin", PAGE).header("X-Signet-CSRF", "1") } else { request };
        Answer::of(request.send().await.unwrap()).await
    }

    /// A person of that name, new here, and one credential of each kind, good now.
    pub async fn cast(&self, name: &str) -> Cast {
        self.person(name, PASSWORD).await;
        let mut held = Vec::new();
        for kind in Credential::ALL {
            held.push(self.make(kind, name).await);
        }
        let begun = self.as_till("/auth/login", &json!({"username": name, "password": PASSWORD})).await;
        let tills = begun.body["refresh_token"].as_str().unwrap().to_owned();
        Cast { name: name.to_owned(), held, tills }
    }

    /// A new credential of that kind, of `name` where it is a person's.
    pub async fn make(&self, kind: Credential, name: &str) -> Held {
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{kind:?} is not given")).to_owned();
        let text = match kind {
            Credential::AdminToken => self.signet.admin_token().await,
            Credential::PersonToken => text(&self.log_in(name, "login", false).await.body["access_token"]),
            Credential::ClientToken => {
                let form = [("grant_type", "client_credentials")];
                text(&self.signet.token(Some(("till", &self.till)), &form).await.body["access_token"])
            }
            Credential::RefreshToken => text(&self.log_in(name, "login", false).await.body["refresh_token"]),
            Credential::RefreshCookie => {
                let answer = self.log_in(name, "login", true).await;
                answer.header("set-cookie").unwrap().split(['=', ';']).nth(1).unwrap().to_owned()
            }
            Credential::ClientSecret => self.till.clone(),
            Credential::ClientAssertion => self.assertion("robot"),
            Credential::Password => PASSWORD.to_owned(),
            Credential::LinkToken => self.link(name).await,
            Credential::DeviceToken => text(&self.log_in(name, "login", false).await.body["device_token"]),
            Credential::Cursor => self.cursor("/admin/v1/clients").await.unwrap(),
        };
        Held { kind, text }
    }

    /// What `robot` signs, in the name of `id`.
    pub fn assertion(&self, id: &str) -> String {
        let now = self.installation.clock.now().secs();
        let audience = &self.signet.issuer;
        self.signer.sign(&json!({"iss": id, "sub": id, "aud": audience, "jti": jti(), "iat": now, "exp": now + 290}))
    }

    pub async fn link(&self, name: &str) -> String {
        let user = self.people.administration.find(name).await.unwrap();
        let request = Request { by: &by(), power: &Power::Everything, expected: None };
        let (_, token) = self.people.administration.issue_link(request, &user.id).await.unwrap();
        token.expose().to_owned()
    }

    /// A request to `place` in which nothing but `credential` is in doubt. What else is needed is of `cast`.
    pub async fn present(&self, place: &Place, credential: &Held, cast: &Cast) -> Answer {
        let text = self.right_of_its_kind(place, credential).await;
        let given = text.as_str();
        let path = place.path_of_nothing();
        if let Way::Field(name) = &place.way {
            let form = self.form(name, given);
            return Answer::of(self.at(&place.method, &path, false).form(&form).send().await.unwrap()).await;
        }
        let path = match &place.way {
            Way::Query(name) => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                format!("{path}?{}", query.append_pair(name, given).finish())
            }
            _ => path,
        };
        let request = self.at(&place.method, &path, place.of_admins);
        let request = match &place.way {
            Way::Scheme(scheme) => match scheme.as_str() {
                "admin_token" | "person_token" => request.header(AUTHORIZATION, format!("Bearer {given}")),
                "client_secret_basic" => request.basic_auth("till", Some(given)),
                "refresh_cookie" => request.header(COOKIE, format!("__Host-signet-login={given}")),
                other => panic!("nobody knows how {other} is presented"),
            },
            Way::Query(_) => request.bearer_auth(cast.text(Credential::AdminToken)),
            Way::Member(name)
                if name == "current_password" || name == "device_token" && place.path == "/auth/password" =>
            {
                request.bearer_auth(cast.text(Credential::PersonToken))
            }
            Way::Member(_) | Way::Field(_) => request,
        };
        if place.path == "/oauth2/token" {
            return Answer::of(request.form(&[("grant_type", "client_credentials")]).send().await.unwrap()).await;
        }
        let body = self.body(place, given, cast).await;
        self.send(request, body.as_ref(), place.way == Way::Scheme("refresh_cookie".to_owned())).await
    }

    /// Of some kinds each place wants its own: a secret that travels as its client registered, a cursor of that list.
    async fn right_of_its_kind(&self, place: &Place, credential: &Held) -> String {
        match (credential.kind, &place.way) {
            (Credential::ClientSecret, Way::Field(_)) => self.post.clone(),
            (Credential::Cursor, Way::Query(_)) => {
                self.cursor(&place.path).await.unwrap_or_else(|| credential.text.clone())
            }
            _ => credential.text.clone(),
        }
    }

    async fn cursor(&self, path: &str) -> Option<String> {
        let list = self.at("GET", &format!("{path}?page_size=1"), true).bearer_auth(self.signet.admin_token().await);
        Answer::of(list.send().await.unwrap()).await.body["next_cursor"].as_str().map(str::to_owned)
    }

    fn form<'a>(&self, field: &'a str, given: &'a str) -> Vec<(&'a str, &'a str)> {
        let grant = ("grant_type", "client_credentials");
        match field {
            "refresh_token" => vec![("grant_type", "refresh_token"), ("client_id", "login"), (field, given)],
            "client_secret" => vec![grant, ("client_id", "post"), (field, given)],
            "client_assertion" => vec![grant, ("client_assertion_type", TYPE), (field, given)],
            other => panic!("nobody knows what belongs beside {other}"),
        }
    }

    /// The rest of the body beside `given`, which is in it where the place is a member.
    async fn body(&self, place: &Place, given: &str, cast: &Cast) -> Option<Value> {
        if place.method == "GET" || place.method == "DELETE" {
            return None;
        }
        if place.of_admins {
            // Whoever is let in is told that it can't be read, and nothing changes.
            return Some(json!({"nobody_knows": 1}));
        }
        let by_basic = place.way == Way::Scheme("client_secret_basic".to_owned());
        let mut body = match place.path.as_str() {
            "/auth/login" => json!({"username": cast.name, "password": PASSWORD}),
            "/auth/register" => json!({"username": format!("new-{}", jti()), "password": PASSWORD}),
            "/auth/refresh" | "/auth/logout" if by_basic => json!({"refresh_token": cast.tills}),
            "/auth/refresh" | "/auth/logout" => json!({}),
            "/auth/password" if place.takes == Credential::LinkToken.name() => json!({"new_password": NEXT}),
            "/auth/password" => json!({"current_password": PASSWORD, "new_password": NEXT}),
            other => panic!("nobody knows what {other} needs"),
        };
        if let Way::Member(name) = &place.way {
            body[name] = given.into();
        }
        Some(body)
    }
}
