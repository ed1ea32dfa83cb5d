//! What resources ask for of people, and what people may do in the admin API: at login, at refresh and at each call.

mod admins;

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use signet::app::{Preparation, initialise};
use signet::clients::{Power, Request};
use signet::users::{User, UserAdministration, UserMetadata};
use signet_verify::{Policy, base64url, verify};

use crate::admin::{Api, answer, assert_problem, done, on_both, with_json};
use crate::app::{Answer, Backend, Installation};
use crate::postgres::Postgres;
use crate::proxy::Proxy;
use crate::redis::{Redis, namespace};
use crate::world::{BILLING, ORDERS, by, eventually};

const RIGHT: &str = "mossy kettle orbit plank";
const RESOURCES: &str = "/admin/v1/resources";
/// What every token of a person has, whatever its resource asks for.
const ALWAYS: [&str; 12] =
    ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "sid", "auth_time", "acr", "amr"];

/// A running issuer, where people sign in at the client `login` for every resource that there is.
struct House {
    api: Api,
    people: UserAdministration,
}

impl House {
    async fn on(backend: Backend) -> Self {
        Self::over(Installation::new().on(backend)).await
    }

    async fn over(installation: Installation) -> Self {
        let settings = installation.settings();
        if matches!(settings.database.url, signet::store::sql::DatabaseUrl::Postgres(_)) {
            let opened = installation.open(Preparation::Initialise).await;
            initialise(&settings, &opened, &installation.parts()).await.unwrap();
            opened.store.close().await;
        }
        let api = Api::over(installation).await;
        let (store, parts) = (&api.world.opened.store, api.installation.parts());
        let attempts = std::sync::Arc::new(store.clone());
        let meter = std::sync::Arc::new(());
        let people = signet::app::people(&settings, &settings.issuer, store, attempts, &parts, meter).unwrap();
        Self { people: people.administration, api }
    }

    /// A resource that asks for these claims.
    async fn resource(&self, resource: &str, claims: &[&str]) -> Answer {
        let body = json!({"resource": resource, "scopes": ["bills:read"], "claims": claims});
        self.api.change("POST", RESOURCES, None, body).await
    }

    /// The client that people sign in at, with this access.
    async fn client(&self, access: Value) {
        let body = json!({
            "token_endpoint_auth_method": "none", "first_party": true,
            "grant_types": ["refresh_token"], "access": access,
        });
        done(&self.api.change("PUT", "/admin/v1/clients/login", Some("*"), body).await);
    }

    /// Somebody of that description, who has the password that is right.
    async fn person(&self, described: Value) -> User {
        let (by, power) = (by(), Power::Everything);
        let request = Request { by: &by, power: &power, expected: None };
        let user = self.people.create(request, &metadata(described), None).await.unwrap();
        let (_, token) = self.people.issue_link(request, &user.id).await.unwrap();
        let chosen = self.auth("password", &json!({"link_token": token.expose(), "new_password": RIGHT})).await;
        assert_eq!(chosen.status, StatusCode::NO_CONTENT, "{}", chosen.text);
        user
    }

    /// Describes somebody anew, as another process does.
    async fn describe(&self, user: &User, described: Value) {
        let (by, power) = (by(), Power::Everything);
        let request = Request { by: &by, power: &power, expected: None };
        self.people.replace(request, &user.id, &metadata(described)).await.unwrap();
    }

    async fn set_enabled(&self, user: &User, enabled: bool) {
        let (by, power) = (by(), Power::Everything);
        let request = Request { by: &by, power: &power, expected: None };
        self.people.set_enabled(request, &user.id, enabled).await.unwrap();
    }

    async fn auth(&self, path: &str, body: &Value) -> Answer {
        let signet = &self.api.signet;
        answer(with_json(signet.http.post(format!("{}/auth/{path}", signet.public)), body)).await
    }

    async fn try_login(&self, name: &str, audience: &str) -> Answer {
        self.auth("login", &json!({"username": name, "password": RIGHT, "audience": audience})).await
    }

    async fn login(&self, name: &str, audience: &str) -> Value {
        let answer = self.try_login(name, audience).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.body
    }

    async fn refresh(&self, token: &Value) -> Answer {
        self.auth("refresh", &json!({"refresh_token": token})).await
    }
}

fn metadata(described: Value) -> UserMetadata {
    serde_json::from_value(described).unwrap()
}

fn claims(body: &Value) -> Map<String, Value> {
    let payload = body["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&base64url::decode(payload).unwrap()).unwrap()
}

/// What the token of an answer tells of its person.
fn told(body: &Value) -> Value {
    let mut claims = claims(body);
    claims.retain(|name, _| !ALWAYS.contains(&name.as_str()));
    claims.into()
}

on_both! {
    a_token_tells_of_a_person_what_its_resource_asks_for_and_what_is_so_now,
    nobody_gets_a_token_for_an_account_that_is_gone_or_disabled,
}

async fn a_token_tells_of_a_person_what_its_resource_asks_for_and_what_is_so_now(backend: Backend) {
    let house = House::on(backend).await;
    let asked = ["email", "roles", "attributes.department", "attributes.none", "username"];
    let made = house.resource(BILLING, &asked).await;
    done(&made);
    let kept = ["roles", "username", "email", "attributes.department", "attributes.none"];
    assert_eq!(made.body["claims"], json!(kept));
    house.client(json!({BILLING: "bills:read", ORDERS: "orders:read"})).await;
    let email = "ann@example.com";
    let attributes = json!({"department": "books", "hidden": true});
    let ann = json!({"username": "Ann", "email": email, "roles": ["lead", "billing"], "attributes": attributes});
    let ann = house.person(ann).await;
    let all = json!({
        "roles": ["billing", "lead"], "preferred_username": "Ann", "email": email,
        "attributes": {"department": "books"},
    });
    let tokens = house.login("ann", BILLING).await;
    assert_eq!(told(&tokens), all);
    let next = house.refresh(&tokens["refresh_token"]).await;
    assert_eq!((next.status, told(&next.body)), (StatusCode::OK, all.clone()), "{}", next.text);
    let refresh_token = next.body["refresh_token"].clone();
    // At the token endpoint it is the same.
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.as_str().unwrap())];
    let form = [form.as_slice(), &[("client_id", "login")]].concat();
    assert_eq!(told(&house.api.signet.token(None, &form).await.body), all);
    // A service reads them by the library.
    let now = signet::ports::Clock::now(&house.api.installation.clock).millis();
    let policy = Policy::new(house.api.signet.issuer.as_str(), BILLING);
    let token = tokens["access_token"].as_str().unwrap();
    let keys = house.api.signet.jwks().await;
    let read = verify(&keys, &policy, token, Duration::from_millis(now.try_into().unwrap())).unwrap();
    assert_eq!(read.roles(), Ok(vec!["billing", "lead"]));
    assert!(read.has_role("lead") && !read.has_role("leader"));
    assert_eq!((read.preferred_username(), read.email()), (Ok(Some("Ann")), Ok(Some(email))));
    assert_eq!(read.attribute("department"), Ok(Some(&json!("books"))));
    // Another resource asks for nothing, and a client's own token speaks for nobody.
    assert_eq!(told(&house.login("ann", ORDERS).await), json!({}));
    let till = json!({"client_id": "till", "access": {BILLING: "bills:read"}});
    let till = house.api.change("POST", "/admin/v1/clients", None, till).await;
    let secret = till.body["client_secret"].as_str().unwrap();
    let own = house.api.signet.token(Some(("till", secret)), &[("grant_type", "client_credentials")]).await;
    assert_eq!((own.status, told(&own.body)), (StatusCode::OK, json!({})), "{}", own.text);
    // What changes is in the next token, and what was taken is gone.
    let becomes = async |described: Value, expected: Value| {
        house.describe(&ann, described).await;
        let is_so = async || (told(&house.refresh(&refresh_token).await.body) == expected).then_some(());
        eventually(is_so).await;
    };
    let renamed = json!({"username": "anna", "roles": ["lead"], "attributes": {"department": ["maps", 1]}});
    let expected = json!({
        "roles": ["lead"], "preferred_username": "anna", "attributes": {"department": ["maps", 1]},
    });
    becomes(renamed, expected).await;
    becomes(json!({"username": "anna"}), json!({"roles": [], "preferred_username": "anna"})).await;
    // A resource may ask for less, at once.
    let path = format!("{RESOURCES}/https%3A%2F%2Fbilling.example");
    let less = json!({"scopes": ["bills:read"], "claims": ["username"]});
    done(&house.api.change("PUT", &path, made.header("etag"), less).await);
    let body = house.refresh(&refresh_token).await.body;
    assert_eq!(told(&body), json!({"preferred_username": "anna"}));
    done(&house.api.change("PUT", &path, Some("*"), json!({"scopes": ["bills:read"]})).await);
    assert_eq!(told(&house.refresh(&refresh_token).await.body), json!({}));
    house.api.signet.stop().await;
}

async fn nobody_gets_a_token_for_an_account_that_is_gone_or_disabled(backend: Backend) {
    let house = House::on(backend).await;
    done(&house.resource(BILLING, &["roles"]).await);
    house.client(json!({BILLING: "bills:read"})).await;
    let ann = house.person(json!({"username": "ann"})).await;
    let token = house.login("ann", BILLING).await["refresh_token"].clone();
    house.set_enabled(&ann, false).await;
    let refused = async || {
        let answer = house.refresh(&token).await;
        (answer.status == StatusCode::UNAUTHORIZED).then_some(answer)
    };
    let answer = eventually(refused).await;
    assert_problem(&answer, 401, "invalid_refresh_token");
    // Whoever may again signs in anew: what was begun before stays dead.
    house.api.installation.clock.advance(Duration::from_secs(11));
    house.set_enabled(&ann, true).await;
    let signs_in = async || {
        let answer = house.try_login("ann", BILLING).await;
        (answer.status == StatusCode::OK).then_some(answer.body["refresh_token"].clone())
    };
    let next = eventually(signs_in).await;
    let dead = async || (house.refresh(&token).await.status == StatusCode::UNAUTHORIZED).then_some(());
    eventually(dead).await;
    let (by, power) = (by(), Power::Everything);
    house.people.delete(Request { by: &by, power: &power, expected: None }, &ann.id).await.unwrap();
    let gone = async || (house.refresh(&next).await.status == StatusCode::UNAUTHORIZED).then_some(());
    eventually(gone).await;
    house.api.signet.stop().await;
}

#[actix_web::test]
async fn while_the_database_is_away_only_tokens_that_tell_of_somebody_unknown_wait_for_it() {
    let (redis, cluster) = (Redis::start(&[]), Postgres::shared());
    let proxy = Proxy::before(&cluster.database());
    let installation = Installation::new().with("DATABASE__URL", &proxy.url);
    let house = House::over(installation.with("REDIS__URL", &redis.url()).with("REDIS__NAMESPACE", &namespace())).await;
    done(&house.resource(BILLING, &["roles"]).await);
    house.client(json!({BILLING: "bills:read", ORDERS: "orders:read"})).await;
    for (name, role) in [("ann", "lead"), ("bob", "clerk")] {
        house.person(json!({"username": name, "roles": [role]})).await;
    }
    let known = house.login("ann", BILLING).await;
    let known = house.refresh(&known["refresh_token"]).await.body;
    let (unknown, other) = (house.login("bob", BILLING).await, house.login("bob", ORDERS).await);
    proxy.cut();
    let answer = house.refresh(&known["refresh_token"]).await;
    assert_eq!((answer.status, told(&answer.body)), (StatusCode::OK, json!({"roles": ["lead"]})), "{}", answer.text);
    let waits = house.refresh(&unknown["refresh_token"]).await;
    assert_problem(&waits, 503, "temporarily_unavailable");
    assert_eq!(waits.header("retry-after"), Some("2"));
    let form = [("grant_type", "refresh_token"), ("client_id", "login")];
    let form = [form.as_slice(), &[("refresh_token", unknown["refresh_token"].as_str().unwrap())]].concat();
    let waits = house.api.signet.token(None, &form).await;
    assert_eq!((waits.status.as_u16(), &waits.body["error"]), (503, &json!("temporarily_unavailable")));
    let goes_on = house.refresh(&other["refresh_token"]).await;
    assert_eq!((goes_on.status, told(&goes_on.body)), (StatusCode::OK, json!({})), "{}", goes_on.text);
    // Had the token been used up, this would be reuse.
    house.api.installation.clock.advance(Duration::from_secs(11));
    proxy.restore();
    let next = async || {
        let answer = house.refresh(&unknown["refresh_token"]).await;
        (answer.status != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
    };
    let next = eventually(next).await;
    assert_eq!((next.status, told(&next.body)), (StatusCode::OK, json!({"roles": ["clerk"]})), "{}", next.text);
    assert!(next.body["refresh_token"].is_string());
    house.api.signet.stop().await;
}

#[actix_web::test]
async fn what_can_not_be_asked_for_is_refused_where_it_is_said() {
    let house = House::on(Backend::Sqlite).await;
    let too_many: Vec<String> = (0..33).map(|n| format!("attributes.a{n}")).collect();
    let long = "s".repeat(622);
    for (member, body) in [
        ("claims", json!({"claims": ["sub"]})),
        ("claims", json!({"claims": ["attributes.a b"]})),
        ("claims", json!({"claims": too_many})),
        ("claims", json!({"claims": ["roles"], "scopes": [long]})),
    ] {
        let mut body = body;
        body["resource"] = BILLING.into();
        let refused = house.api.change("POST", RESOURCES, None, body).await;
        assert_problem(&refused, 400, "invalid_member");
        assert_eq!(refused.body["member"], member, "{}", refused.text);
    }
    let admin = format!("{RESOURCES}/{}", signet::http::path_segment(&house.api.audience()));
    let refused = house.api.change("PUT", &admin, Some("*"), json!({"claims": ["roles"]})).await;
    assert_problem(&refused, 403, "reserved_resource");
    house.api.signet.stop().await;
}

#[actix_web::test]
async fn the_largest_token_of_a_person_is_smaller_than_four_kilobytes() {
    let issuer = format!("https://{}.{}.example", "i".repeat(40), "i".repeat(23));
    let house = House::over(Installation::new().with("ISSUER", &issuer)).await;
    let names: Vec<String> = (0..4).map(|n| format!("a{n}")).collect();
    let mut asked: Vec<String> = names.iter().map(|name| format!("attributes.{name}")).collect();
    asked.extend(["roles", "username", "email"].map(str::to_owned));
    // 512 characters with the identifier.
    let scopes: Vec<String> = (0..24).map(|n| format!("scope-number-{n:06}")).collect();
    let scopes = [scopes, vec!["s".repeat(512 - 19 - 24 * 20)]].concat();
    let body = json!({"resource": "https://api.example", "scopes": scopes, "claims": asked});
    done(&house.api.change("POST", RESOURCES, None, body).await);
    house.client(json!({"https://api.example": scopes.join(" ")})).await;
    // 1024 bytes together.
    let roles: Vec<String> = (0..40).map(|n| format!("role-{n:05}")).collect();
    let of_roles = serde_json::to_string(&roles).unwrap().len();
    let mut attributes: Map<String, Value> = names.iter().map(|name| (name.clone(), json!("x".repeat(100)))).collect();
    let room = 1024 - of_roles - serde_json::to_string(&attributes).unwrap().len();
    attributes["a0"] = json!("x".repeat(100 + room));
    let email = format!("{}@{}.example", "e".repeat(64), ["d".repeat(60), "d".repeat(60), "d".repeat(56)].join("."));
    let username = "水".repeat(64);
    let described = json!({"username": username, "email": email, "roles": roles, "attributes": attributes});
    house.person(described).await;
    let tokens = house.login(&username, "https://api.example").await;
    let token = tokens["access_token"].as_str().unwrap();
    let attributes_told = &told(&tokens)["attributes"];
    assert_eq!(attributes_told, &Value::from(attributes));
    println!("the largest token of a person, signed by ES256: {} bytes", token.len());
    // With RS256 it has 256 more, with the longest client identifier 79, with four bytes for each letter of the name 84.
    assert!(token.len() < 4096 - 256 - 79 - 84 && token.len() > 3000, "{}", token.len());
    house.api.signet.stop().await;
}
