//! `private_key_jwt`: which assertions authenticate a client, and which do not.

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
async fn an_assertion_of_every_algorithm_gets_a_token() {
    // Y1.
    let scene = Scene::new().await;
    for algorithm in Algorithm::ALL {
        let signer = Signer::new(algorithm);
        for (id, registered) in [("any", None), ("one", Some(algorithm))] {
            let id = format!("{id}-{}", algorithm.name());
            scene.client(&id, &[&signer], registered).await;
            let answer = scene.ask(&signer.sign(&scene.claims_of(&id))).await;
            assert_eq!(answer.status, StatusCode::OK, "{id}: {}", answer.text);
            let payload = answer.body["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
            let payload: Value = serde_json::from_slice(&base64url::decode(payload).unwrap()).unwrap();
            assert_eq!((&payload["client_id"], &payload["aud"]), (&json!(id), &json!(ORDERS)));
            assert_eq!(payload["sub"], format!("client:{id}"));
        }
    }
    scene.signet.stop().await;
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
async fn only_the_registered_algorithm_counts() {
    // Y7, L2 to L5: the header can't choose.
    let scene = Scene::new().await;
    let rsa = Signer::new(Algorithm::Rs256);
    // A key that says nothing of algorithms itself.
    let mut registered = metadata(&[&rsa], Some(Algorithm::Rs256));
    registered["jwks"]["keys"][0].as_object_mut().unwrap().remove("alg").unwrap();
    scene.world.client("rs256-only", registered).await;
    let claims = || scene.claims_of("rs256-only");
    let header = |alg: &str| json!({"alg": alg, "kid": rsa.kid()});
    scene.refuses("PS256", &rsa.sign_as(Algorithm::Ps256, &header("PS256"), &claims())).await;
    scene.refuses("says RS256, is PS256", &rsa.sign_as(Algorithm::Ps256, &header("RS256"), &claims())).await;
    scene.refuses("RS256 where ES256 is registered", &rsa.sign(&scene.claims())).await;
    let named_alike = json!({"alg": "RS256", "kid": scene.signer.kid()});
    scene.refuses("the same with its kid", &rsa.sign_with(&named_alike, &scene.claims())).await;
    let p384 = Signer::new(Algorithm::Es384);
    let named_alike = json!({"alg": "ES256", "kid": scene.signer.kid()});
    scene.refuses("ES256 by a P-384 key", &p384.sign_with(&named_alike, &scene.claims())).await;
    for alg in ["es256", "ES256 ", "ES512", "ES256K", "EdDSA", "none", "None", "nOnE", "HS256", ""] {
        let header = json!({"alg": alg, "kid": scene.signer.kid()});
        scene.refuses(&format!("alg {alg:?}"), &scene.signer.sign_with(&header, &scene.claims())).await;
    }
    assert_eq!(scene.ask(&rsa.sign(&claims())).await.status, StatusCode::OK);
    scene.signet.stop().await;
}

#[actix_web::test]
async fn an_assertion_without_a_signature_or_under_the_public_key_as_a_secret_is_refused() {
    let scene = Scene::new().await;
    let unsigned = |header: &Value, claims: &Value| {
        format!("{}.{}.", base64url::encode(header.to_string()), base64url::encode(claims.to_string()))
    };
    for alg in ["none", "None", "ES256"] {
        let header = json!({"alg": alg, "kid": scene.signer.kid()});
        scene.refuses(alg, &unsigned(&header, &scene.claims())).await;
    }
    let rsa = Signer::new(Algorithm::Rs256);
    scene.client("rsa", &[&rsa], None).await;
    let jwk = rsa.jwk();
    let modulus = base64url::decode(jwk["n"].as_str().unwrap()).unwrap();
    for (what, secret) in [("jwk", jwk.to_string().into_bytes()), ("modulus", modulus), ("kid", b"rsa".to_vec())] {
        let header = base64url::encode(json!({"alg": "HS256", "kid": rsa.kid()}).to_string());
        let claims = scene.claims_of("rsa").to_string();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
        let sign = |input: &[u8]| Ok::<_, ()>(aws_lc_rs::hmac::sign(&key, input).as_ref().to_vec());
        scene.refuses(what, &jws::encode(&header, claims.as_bytes(), sign).unwrap()).await;
    }
    // One bit of signature, claims or header.
    let good = scene.signer.sign(&scene.claims());
    for place in [good.len() - 20, good.find('.').unwrap() + 20] {
        let mut bad = good.clone().into_bytes();
        bad[place] = if bad[place] == b'A' { b'B' } else { b'A' };
        scene.refuses("a changed character", &String::from_utf8(bad).unwrap()).await;
    }
    for bad in [good.replacen('.', "..", 1), format!("{good}."), format!("{good}="), format!(" {good}"), "a.b.c".into()]
    {
        scene.refuses(&bad, &bad).await;
    }
    assert_eq!(scene.ask(&good).await.status, StatusCode::OK);
    scene.signet.stop().await;
}

#[actix_web::test]
async fn nothing_in_the_header_brings_a_key_along() {
    // Y8, and the header's other ways to name a key.
    let scene = Scene::new().await;
    let thief = Signer::new(Algorithm::Es256).called(scene.signer.kid());
    scene.refuses("another key under the same kid", &thief.sign(&scene.claims())).await;
    scene.client("thief", &[&thief], None).await;
    scene.refuses("the same, registered elsewhere", &thief.sign(&scene.claims())).await;
    for (name, value) in [
        ("jwk", thief.jwk()),
        ("jku", json!("https://thief.example/jwks.json")),
        ("x5u", json!("https://thief.example/x5u")),
        ("x5c", json!(["MIIB"])),
    ] {
        scene.refuses(name, &thief.sign_with(&with(thief.header(), name, value), &scene.claims())).await;
    }
    for (name, value) in [("crit", json!(["exp"])), ("crit", json!([])), ("b64", json!(false)), ("kid", json!(1))] {
        scene.refuses(name, &scene.signer.sign_with(&with(scene.signer.header(), name, value), &scene.claims())).await;
    }
    let unknown = with(scene.signer.header(), "kid", json!("unknown"));
    scene.refuses("a kid that is not the key's", &scene.signer.sign_with(&unknown, &scene.claims())).await;
    // Without a kid, the only key is meant.
    let nameless = json!({"alg": "ES256"});
    assert_eq!(scene.ask(&scene.signer.sign_with(&nameless, &scene.claims())).await.status, StatusCode::OK);
    scene.signet.stop().await;
}

#[actix_web::test]
async fn a_client_of_several_keys_says_which_one_signed() {
    let scene = Scene::new().await;
    let (one, two) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let ed25519 = Signer::new(Algorithm::Ed25519);
    scene.client("several", &[&one, &two, &ed25519], None).await;
    let claims = || scene.claims_of("several");
    for signer in [&one, &two, &ed25519] {
        assert_eq!(scene.ask(&signer.sign(&claims())).await.status, StatusCode::OK);
    }
    assert_eq!(scene.ask(&ed25519.sign_with(&json!({"alg": "Ed25519"}), &claims())).await.status, StatusCode::OK);
    scene.refuses("two would fit", &one.sign_with(&json!({"alg": "ES256"}), &claims())).await;
    scene.refuses("the wrong one", &one.sign_with(&two.header(), &claims())).await;
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
async fn an_assertion_comes_with_its_type_and_nothing_else_that_authenticates() {
    // Y11.
    let scene = Scene::new().await;
    let assertion = scene.signer.sign(&scene.claims());
    let sent = ("client_assertion", assertion.as_str());
    for form in [
        vec![GRANT, sent],
        vec![GRANT, sent, ("client_assertion_type", "")],
        vec![GRANT, sent, ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")],
        vec![GRANT, sent, ("client_assertion_type", "jwt-bearer")],
        vec![GRANT, sent, ("client_assertion_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")],
        vec![GRANT, TYPE],
        vec![GRANT, TYPE, ("client_assertion", "")],
        vec![GRANT, TYPE, sent, sent],
        vec![GRANT, TYPE, TYPE, sent],
        vec![GRANT, TYPE, sent, ("client_id", "robot"), ("client_secret", "x")],
    ] {
        let answer = scene.signet.token(None, &form).await;
        assert_eq!((answer.status.as_u16(), &answer.body["error"]), (400, &json!("invalid_request")), "{form:?}");
    }
    let both = scene.signet.token(Some(("robot", "x")), &[GRANT, TYPE, sent]).await;
    assert_eq!((both.status.as_u16(), &both.body["error"]), (400, &json!("invalid_request")));
    assert_eq!(scene.ask(&assertion).await.status, StatusCode::OK, "none of these used it up");
    scene.signet.stop().await;
}

#[actix_web::test]
async fn a_client_authenticates_only_by_the_method_it_registered() {
    let scene = Scene::new().await;
    let secret = scene.world.client("secretive", json!({"access": {ORDERS: "orders:read"}})).await;
    scene.refuses("an assertion of a client with a secret", &scene.signer.sign(&scene.claims_of("secretive"))).await;
    assert_eq!(scene.signet.token(Some(("secretive", &secret)), &[GRANT]).await.status, StatusCode::OK);
    for secret in ["", "x", &secret] {
        assert_refused("a secret of a client with keys", &scene.signet.token(Some(("robot", secret)), &[GRANT]).await);
    }
    scene.signet.stop().await;
}

#[actix_web::test]
async fn a_disabled_client_is_refused_until_it_is_enabled() {
    let scene = Scene::new().await;
    let fresh = || scene.signer.sign(&scene.claims());
    scene.world.set_enabled("robot", false).await;
    let refused = async || (scene.ask(&fresh()).await.status == StatusCode::UNAUTHORIZED).then_some(());
    eventually(refused).await;
    let kept = fresh();
    scene.refuses("disabled", &kept).await;
    scene.world.set_enabled("robot", true).await;
    eventually(async || (scene.ask(&fresh()).await.status == StatusCode::OK).then_some(())).await;
    assert_eq!(scene.ask(&kept).await.status, StatusCode::OK, "it was not used up while the client was disabled");
    scene.signet.stop().await;
}

#[actix_web::test]
async fn a_client_that_rolls_its_key_is_followed() {
    // Y13, for inline keys.
    let scene = Scene::new().await;
    let next = Signer::new(Algorithm::Ed25519);
    scene.refuses("not yet registered", &next.sign(&scene.claims())).await;
    let id = ClientId::parse("robot").unwrap();
    for keys in [vec![&scene.signer, &next], vec![&next]] {
        let client = scene.world.opened.store.load_client(&id).await.unwrap().unwrap();
        let metadata: ClientMetadata = serde_json::from_value(metadata(&keys, None)).unwrap();
        let changed = metadata.replace(client, &scene.world.opened.issuer, scene.installation.clock.now()).unwrap();
        assert_eq!(
            scene.world.opened.store.update_client(&changed, &crate::world::entry()).await.unwrap(),
            Swap::Swapped
        );
        let old = if keys.len() == 2 { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        eventually(async || {
            let new = scene.ask(&next.sign(&scene.claims())).await.status;
            let before = scene.ask(&scene.signer.sign(&scene.claims())).await.status;
            (new == StatusCode::OK && before == old).then_some(())
        })
        .await;
    }
    scene.refuses("the key that was replaced", &scene.signer.sign(&scene.claims())).await;
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
