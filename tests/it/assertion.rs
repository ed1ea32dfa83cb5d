//! `private_key_jwt`: which assertions authenticate a client, and which do not.

mod keys;
mod request;

use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::StatusCode;
use serde_json::{Value, json};
use signet::clients::{ClientId, ClientMetadata, ClientStore, Swap};
use signet::ports::Clock;
use signet_verify::{Algorithm, base64url, jws};

use crate::app::{Answer, Installation, Signet};
use crate::signer::Signer;
use crate::world::{ORDERS, World, eventually};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const TYPE: (&str, &str) = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
/// Independent of the port, so that another start is the same issuer.
pub const ISSUER: &str = "http://127.0.0.1:9";
/// What every failed authentication answers.
const REFUSED: &str = r#"{"error":"invalid_client","error_description":"client authentication failed"}"#;

/// Counts assertions, for their `jti`.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running issuer with the client `robot`, which signs with ES256.
pub struct Scene {
    pub installation: Installation,
    pub signet: Signet,
    pub world: World,
    pub signer: Signer,
}

impl Scene {
    pub async fn new() -> Self {
        Self::over(Installation::new()).await
    }

    pub async fn over(installation: Installation) -> Self {
        let installation = installation.with("ISSUER", ISSUER);
        let signet = installation.start().await;
        let world = World::of(&installation).await;
        world.resource(ORDERS, "orders:read").await;
        let signer = Signer::new(Algorithm::Es256);
        let scene = Self { installation, signet, world, signer };
        scene.client("robot", &[&scene.signer], None).await;
        let claims = scene.claims();
        eventually(async || {
            let mut claims = claims.clone();
            claims["jti"] = json!(jti());
            scene.ask(&scene.signer.sign(&claims)).await.status.is_success().then_some(())
        })
        .await;
        scene
    }

    /// Registers a client that signs with these keys.
    pub async fn client(&self, id: &str, signers: &[&Signer], algorithm: Option<Algorithm>) {
        self.world.client(id, metadata(signers, algorithm)).await;
    }

    /// The present time of the issuer, in seconds.
    pub fn now(&self) -> i64 {
        self.installation.clock.now().secs()
    }

    /// Claims of an assertion of `robot` that holds for a minute.
    pub fn claims(&self) -> Value {
        self.claims_of("robot")
    }

    pub fn claims_of(&self, client: &str) -> Value {
        json!({"iss": client, "sub": client, "aud": ISSUER, "jti": jti(), "iat": self.now(), "exp": self.now() + 60})
    }

    /// Asks for a token with an assertion.
    pub async fn ask(&self, assertion: &str) -> Answer {
        ask(&self.signet, assertion).await
    }

    async fn accepts(&self, what: &str, claims: &Value) {
        let answer = self.ask(&self.signer.sign(claims)).await;
        assert_eq!(answer.status, StatusCode::OK, "{what}: {}", answer.text);
    }

    async fn refuses(&self, what: &str, assertion: &str) {
        assert_refused(what, &self.ask(assertion).await);
    }
}

pub fn metadata(signers: &[&Signer], algorithm: Option<Algorithm>) -> Value {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    let mut metadata = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": keys},
                              "access": {ORDERS: "orders:read"}});
    if let Some(algorithm) = algorithm {
        metadata["token_endpoint_auth_signing_alg"] = json!(algorithm.name());
    }
    metadata
}

/// A `jti` that no other assertion has.
pub fn jti() -> String {
    format!("assertion-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub async fn ask(signet: &Signet, assertion: &str) -> Answer {
    signet.token(None, &[GRANT, TYPE, ("client_assertion", assertion)]).await
}

/// The one answer that every refusal has.
pub fn assert_refused(what: &str, answer: &Answer) {
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::UNAUTHORIZED, REFUSED), "{what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Basic ")), "{what}");
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name).unwrap();
    claims
}

#[actix_web::test]
async fn the_audience_is_the_issuer_alone() {
    // Y2.
    let scene = Scene::new().await;
    scene.accepts("a string", &scene.claims()).await;
    scene.accepts("an array of one", &with(scene.claims(), "aud", json!([ISSUER]))).await;
    for audience in [
        json!(format!("{ISSUER}/oauth2/token")),
        json!([format!("{ISSUER}/oauth2/token")]),
        json!(format!("{}/oauth2/token", scene.signet.public)),
        json!(scene.signet.public),
        json!("https://other-as.example"),
        json!([ISSUER, "https://other-as.example"]),
        json!(["https://other-as.example", ISSUER]),
        json!([ISSUER, ISSUER]),
        json!(format!("{ISSUER}/")),
        json!(format!("{ISSUER}/admin")),
        json!(ISSUER.to_uppercase()),
        json!(format!("{ISSUER} ")),
        json!(ORDERS),
        json!("robot"),
        json!(""),
        json!([]),
        json!([[ISSUER]]),
        json!([ISSUER, 1]),
        json!({"0": ISSUER}),
        json!(1),
        json!(true),
        json!(null),
    ] {
        let claims = with(scene.claims(), "aud", audience.clone());
        scene.refuses(&format!("aud {audience}"), &scene.signer.sign(&claims)).await;
    }
    scene.refuses("no aud", &scene.signer.sign(&without(scene.claims(), "aud"))).await;
    scene.signet.stop().await;
}

#[actix_web::test]
async fn an_assertion_is_short_lived() {
    // Y4. Longest life 300 s, and 10 s for the difference of the clocks.
    let scene = Scene::new().await;
    let now = scene.now();
    for exp in [now + 310, now + 300, now + 1, now, now - 9] {
        scene.accepts(&format!("exp {}", exp - now), &with(scene.claims(), "exp", json!(exp))).await;
    }
    scene.accepts("a fraction", &with(scene.claims(), "exp", json!(60.5 + now as f64))).await;
    for exp in [
        json!(now + 311),
        json!(now - 10),
        json!(now - 300),
        json!(now + 10 * 365 * 86_400),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!((now + 60).to_string()),
        json!([now + 60]),
        json!(null),
        json!((now + 60) * 1000),
    ] {
        scene.refuses(&format!("exp {exp}"), &scene.signer.sign(&with(scene.claims(), "exp", exp))).await;
    }
    scene.refuses("no exp", &scene.signer.sign(&without(scene.claims(), "exp"))).await;
    scene.signet.stop().await;
}

#[actix_web::test]
async fn the_longest_life_of_an_assertion_is_a_setting() {
    let scene = Scene::over(Installation::new().with("CLIENTS__ASSERTION_MAX_LIFETIME", "60m")).await;
    let exp = scene.now() + 3600;
    scene.accepts("an hour", &with(scene.claims(), "exp", json!(exp))).await;
    scene.refuses("more", &scene.signer.sign(&with(scene.claims(), "exp", json!(exp + 11)))).await;
    scene.signet.stop().await;
}

#[actix_web::test]
async fn a_clock_that_is_a_little_ahead_is_no_fault_of_the_client() {
    // Y5.
    let scene = Scene::new().await;
    let now = scene.now();
    for name in ["iat", "nbf"] {
        for ahead in [-86_400, 0, 8, 10] {
            scene.accepts(&format!("{name} {ahead}"), &with(scene.claims(), name, json!(now + ahead))).await;
        }
        for value in [json!(now + 11), json!(now + 61), json!(now.to_string()), json!(null), json!({})] {
            let claims = with(scene.claims(), name, value.clone());
            scene.refuses(&format!("{name} {value}"), &scene.signer.sign(&claims)).await;
        }
    }
    scene.accepts("no iat", &without(scene.claims(), "iat")).await;
    scene.signet.stop().await;
}

#[actix_web::test]
async fn issuer_and_subject_are_the_client() {
    // Y6, Y9, Y10.
    let scene = Scene::new().await;
    let other = Signer::new(Algorithm::Es256);
    scene.client("other", &[&other], None).await;
    for (name, value) in [
        ("iss", json!("other")),
        ("sub", json!("other")),
        ("iss", json!(ISSUER)),
        ("iss", json!("ROBOT")),
        ("sub", json!("robot ")),
        ("sub", json!("client:robot")),
        ("sub", json!("nobody")),
        ("sub", json!("")),
        ("sub", json!(1)),
        ("iss", json!(["robot"])),
        ("iss", json!(null)),
    ] {
        let claims = with(scene.claims(), name, value.clone());
        scene.refuses(&format!("{name} {value}"), &scene.signer.sign(&claims)).await;
    }
    scene.refuses("no sub", &scene.signer.sign(&without(scene.claims(), "sub"))).await;
    scene.refuses("no iss", &scene.signer.sign(&without(scene.claims(), "iss"))).await;
    // Another client of its own right signs what another one says.
    scene.refuses("other's hand", &other.sign(&scene.claims())).await;
    let own = other.sign(&scene.claims_of("other"));
    let form = [GRANT, TYPE, ("client_assertion", own.as_str()), ("client_id", "robot")];
    assert_refused("client_id of another", &scene.signet.token(None, &form).await);
    // And was not used up by that.
    let form = [GRANT, TYPE, ("client_assertion", own.as_str()), ("client_id", "other")];
    assert_eq!(scene.signet.token(None, &form).await.status, StatusCode::OK);
    scene.signet.stop().await;
}

#[actix_web::test]
async fn a_jwt_made_for_something_else_is_no_assertion() {
    // Y14.
    let scene = Scene::new().await;
    let typed = |typ: Value| scene.signer.sign_with(&with(scene.signer.header(), "typ", typ), &scene.claims());
    for typ in ["JWT", "jwt", "client-authentication+jwt", "application/client-authentication+jwt"] {
        let answer = scene.ask(&typed(json!(typ))).await;
        assert_eq!(answer.status, StatusCode::OK, "{typ}: {}", answer.text);
    }
    for typ in ["at+jwt", "application/at+jwt", "dpop+jwt", "oauth-authz-req+jwt", "secevent+jwt", "JWE", "", "JWT "] {
        scene.refuses(typ, &typed(json!(typ))).await;
    }
    scene.refuses("typ 1", &typed(json!(1))).await;

    // A token of Signet's own, also by a client that registered Signet's keys as its own.
    let token = scene.signet.admin_token().await;
    scene.refuses("an access token", &token).await;
    let published = scene.signet.get("/.well-known/jwks.json").await.body;
    let metadata = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": published,
                          "access": {ORDERS: "orders:read"}});
    scene.world.client("mirror", metadata).await;
    let token = scene.ask(&scene.signer.sign(&scene.claims())).await.body["access_token"].as_str().unwrap().to_owned();
    scene.refuses("an access token of a client", &token).await;
    let form = [GRANT, TYPE, ("client_assertion", token.as_str()), ("client_id", "mirror")];
    assert_refused("the same beside client_id", &scene.signet.token(None, &form).await);
    scene.signet.stop().await;
}

#[actix_web::test]
async fn claims_that_two_readers_would_read_differently_are_refused() {
    let scene = Scene::new().await;
    let header = base64url::encode(scene.signer.header().to_string());
    let (now, jti) = (scene.now(), jti());
    // The signature is good: what is signed is not.
    let sign = |claims: &str| scene.signer.sign_raw(&header, claims.as_bytes());
    let rest = format!(r#""aud":"{ISSUER}","jti":"{jti}","exp":{}"#, now + 60);
    for claims in [
        format!(r#"{{"iss":"robot","sub":"other","sub":"robot",{rest}}}"#),
        format!(r#"{{"iss":"robot","sub":"robot","s\u0075b":"other",{rest}}}"#),
        format!(r#"{{"iss":"robot","sub":"robot",{rest}}}{{}}"#),
        format!(r#"[{{"iss":"robot","sub":"robot",{rest}}}]"#),
        format!(r#"{{"iss":"robot","sub":"robot",{rest},}}"#),
        String::new(),
    ] {
        scene.refuses(&claims, &sign(&claims)).await;
    }
    assert_eq!(scene.ask(&sign(&format!(r#"{{"iss":"robot","sub":"robot",{rest}}}"#))).await.status, StatusCode::OK);
    scene.signet.stop().await;
}
