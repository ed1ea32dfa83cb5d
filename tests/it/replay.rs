//! Replay marks: an assertion is used once, on however many replicas, for as long as it would be good.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use signet::app::{Preparation, initialise};
use signet_verify::Algorithm;

use crate::app::{Answer, Installation};
use crate::assertion::{ISSUER, Scene, ask, assert_refused, jti};
use crate::postgres::Postgres;
use crate::signer::Signer;
use crate::world::eventually;

/// An installation on a fresh database of that cluster, set up.
async fn on(cluster: &Postgres) -> (Installation, String) {
    let url = cluster.database();
    let installation = Installation::new().with("DATABASE__URL", &url).with("ISSUER", ISSUER);
    let opened = installation.open(Preparation::Initialise).await;
    initialise(&installation.settings(), &opened, &installation.parts()).await.unwrap();
    (installation, url)
}

#[actix_web::test]
async fn an_assertion_is_used_once() {
    // Y3.
    let scene = Scene::new().await;
    let assertion = scene.signer.sign(&scene.claims());
    assert_eq!(scene.ask(&assertion).await.status, StatusCode::OK);
    for _ in 0..3 {
        assert_refused("a replay", &scene.ask(&assertion).await);
    }
    // It is the `jti` that is used up, not the text.
    let mut claims = scene.claims();
    assert_eq!(scene.ask(&scene.signer.sign(&claims)).await.status, StatusCode::OK);
    claims["exp"] = json!(scene.now() + 200);
    assert_refused("other claims, same jti", &scene.ask(&scene.signer.sign(&claims)).await);
    // Of this client: another may have the same.
    let other = Signer::new(Algorithm::Ed25519);
    scene.client("other", &[&other], None).await;
    let mut own = scene.claims_of("other");
    own["jti"] = claims["jti"].clone();
    assert_eq!(scene.ask(&other.sign(&own)).await.status, StatusCode::OK);
    assert_refused("its replay", &scene.ask(&other.sign(&own)).await);
    scene.signet.stop().await;
}

#[actix_web::test]
async fn a_jti_is_a_text_of_1_to_256_bytes() {
    let scene = Scene::new().await;
    for jti in ["x".repeat(256), "é".repeat(128), "a\n\u{1}\"\\ \u{0}".to_owned(), " ".to_owned()] {
        let mut claims = scene.claims();
        claims["jti"] = json!(jti);
        let answer = scene.ask(&scene.signer.sign(&claims)).await;
        assert_eq!(answer.status, StatusCode::OK, "{jti:?}: {}", answer.text);
        assert_refused("its replay", &scene.ask(&scene.signer.sign(&claims)).await);
    }
    for jti in [json!(""), json!("x".repeat(257)), json!("é".repeat(129)), json!(1), json!(null), json!(["x"])] {
        let mut claims = scene.claims();
        claims["jti"] = jti.clone();
        assert_refused(&format!("jti {jti}"), &scene.ask(&scene.signer.sign(&claims)).await);
    }
    let mut claims = scene.claims();
    claims.as_object_mut().unwrap().remove("jti");
    assert_refused("no jti", &scene.ask(&scene.signer.sign(&claims)).await);
    scene.signet.stop().await;
}

#[actix_web::test]
async fn an_assertion_is_used_once_over_two_replicas_at_the_same_instant() {
    const ROUNDS: usize = 50;
    const EACH: usize = 4;
    let (installation, url) = on(Postgres::shared()).await;
    let scene = Arc::new(Scene::over(installation).await);
    let other = Arc::new(scene.installation.start().await);
    assert_ne!(scene.signet.public, other.public);
    let marks = || Postgres::shared().psql(&url, "select count(*) from replay_marks").parse::<usize>().unwrap();
    let before = marks();
    let (mut here, mut there) = (0, 0);
    for _ in 0..ROUNDS {
        let assertion = scene.signer.sign(&scene.claims());
        let asked: Vec<_> = (0..2 * EACH)
            .map(|place| {
                let (scene, other, assertion) = (Arc::clone(&scene), Arc::clone(&other), assertion.clone());
                actix_web::rt::spawn(async move {
                    let signet = if place % 2 == 0 { &scene.signet } else { &other };
                    (place % 2 == 0, ask(signet, &assertion).await)
                })
            })
            .collect();
        let mut won = Vec::new();
        for answer in asked {
            let (is_here, answer) = answer.await.unwrap();
            if answer.status == StatusCode::OK { won.push(is_here) } else { assert_refused("the loser", &answer) }
        }
        assert_eq!(won.len(), 1, "exactly one of {} is served", 2 * EACH);
        if won[0] { here += 1 } else { there += 1 }
    }
    println!(
        "{ROUNDS} assertions, each {} times at once: served {here} times by one replica, {there} by the other",
        2 * EACH
    );
    assert_eq!((here + there, marks() - before), (ROUNDS, ROUNDS), "one mark for each");
    // Not at the same instant either.
    let assertion = scene.signer.sign(&scene.claims());
    assert_eq!(ask(&scene.signet, &assertion).await.status, StatusCode::OK);
    assert_refused("at the other replica", &ask(&other, &assertion).await);
    for signet in [Arc::into_inner(other).unwrap(), Arc::into_inner(scene).unwrap().signet] {
        signet.stop().await;
    }
}

#[actix_web::test]
async fn an_assertion_costs_one_insert_and_a_refused_one_none() {
    let (installation, url) = on(Postgres::shared()).await;
    let scene = Scene::over(installation).await;
    let marks = || Postgres::shared().psql(&url, "select count(*) from replay_marks").parse::<usize>().unwrap();
    let before = marks();
    for _ in 0..20 {
        assert_eq!(scene.ask(&scene.signer.sign(&scene.claims())).await.status, StatusCode::OK);
    }
    assert_eq!(marks() - before, 20);
    for (name, value) in
        [("aud", json!("x")), ("exp", json!(1)), ("iss", json!("x")), ("jti", json!("")), ("sub", json!("x"))]
    {
        let mut claims = scene.claims();
        claims[name] = value;
        assert_refused(name, &scene.ask(&scene.signer.sign(&claims)).await);
    }
    let stranger = Signer::new(Algorithm::Es256).called(scene.signer.kid());
    assert_refused("a stranger", &scene.ask(&stranger.sign(&scene.claims())).await);
    assert_eq!(marks() - before, 20);
    scene.signet.stop().await;
}

#[actix_web::test]
async fn a_replay_after_a_restart_is_still_refused() {
    let scene = Scene::new().await;
    let assertion = scene.signer.sign(&scene.claims());
    assert_eq!(scene.ask(&assertion).await.status, StatusCode::OK);
    let fresh = scene.signer.sign(&scene.claims());
    scene.signet.stop().await;
    let signet = scene.installation.start().await;
    assert_refused("after the restart", &ask(&signet, &assertion).await);
    assert_eq!(ask(&signet, &fresh).await.status, StatusCode::OK);
    signet.stop().await;
}

#[actix_web::test]
async fn a_mark_stays_for_as_long_as_its_assertion_is_good_and_is_purged_afterwards() {
    let (installation, url) = on(Postgres::shared()).await;
    let scene = Scene::over(installation).await;
    let marks = || Postgres::shared().psql(&url, "select count(*) from replay_marks").parse::<usize>().unwrap();
    let clock = &scene.installation.clock;
    // Until the first purge has certainly been, and all marks up to here are gone.
    clock.advance(Duration::from_secs(600));
    eventually(async || (marks() == 0).then_some(())).await;

    let expiring_in = |seconds: i64| {
        let mut claims = scene.claims();
        claims["exp"] = json!(scene.now() + seconds);
        claims
    };
    let (long, late) = (expiring_in(100), {
        let mut late = expiring_in(100);
        late["jti"] = json!(jti());
        late
    });
    assert_eq!(scene.ask(&scene.signer.sign(&long)).await.status, StatusCode::OK);
    assert_eq!(scene.ask(&scene.signer.sign(&expiring_in(10))).await.status, StatusCode::OK);
    assert_eq!(marks(), 2);

    // 100 s and the 10 s that clocks may differ, less a moment: a purge has been, of the other mark.
    clock.advance(Duration::from_millis(109_900));
    eventually(async || (marks() == 1).then_some(())).await;
    assert_refused("a replay in the last moment", &scene.ask(&scene.signer.sign(&long)).await);
    let answer = scene.ask(&scene.signer.sign(&late)).await;
    assert_eq!(answer.status, StatusCode::OK, "as good in the last moment as it ever was: {}", answer.text);

    clock.advance(Duration::from_millis(100));
    late_is_refused(&scene, &long).await;
    clock.advance(Duration::from_secs(61));
    eventually(async || (marks() == 0).then_some(())).await;
    late_is_refused(&scene, &long).await;
    late_is_refused(&scene, &late).await;
    assert_eq!(marks(), 0, "it left no new mark");
    scene.signet.stop().await;
}

async fn late_is_refused(scene: &Scene, claims: &serde_json::Value) {
    assert_refused("too old", &scene.ask(&scene.signer.sign(claims)).await);
}

#[actix_web::test]
async fn without_the_database_an_assertion_is_answered_503_and_not_refused() {
    let cluster = Postgres::start();
    let (installation, _) = on(&cluster).await;
    let mut scene = Scene::over(installation.with("DATABASE__TIMEOUT", "500ms")).await;
    // Another start has nothing to follow any more, so what it met once it knows.
    scene.signet.stop().await;
    scene.signet = scene.installation.start().await;
    assert_eq!(scene.ask(&scene.signer.sign(&scene.claims())).await.status, StatusCode::OK);
    scene.signet.admin_token().await;
    drop(cluster);

    let unavailable = |what: &str, answer: &Answer| {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{what}: {}", answer.text);
        assert_eq!(answer.body["error"], "temporarily_unavailable", "{what}");
        assert_eq!(answer.header("retry-after"), Some("2"), "{what}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(answer.header("www-authenticate"), None, "{what}");
        for word in ["sql", "postgres", "connect", "127.0.0.1", "replay"] {
            assert!(!answer.text.to_lowercase().contains(word), "{what}: {}", answer.text);
        }
    };
    unavailable("a good assertion", &scene.ask(&scene.signer.sign(&scene.claims())).await);
    unavailable("of a client that is not known here", &scene.ask(&scene.signer.sign(&scene.claims_of("new"))).await);
    let grant = [("grant_type", "client_credentials")];
    unavailable("a secret of the same", &scene.signet.token(Some(("new", "x")), &grant).await);
    // What needs no database goes on.
    let stranger = Signer::new(Algorithm::Es256).called(scene.signer.kid());
    assert_refused("a bad one", &scene.ask(&stranger.sign(&scene.claims())).await);
    scene.signet.admin_token().await;
    assert_eq!(scene.signet.get("/.well-known/jwks.json").await.status, StatusCode::OK);
    scene.signet.stop().await;
}
