//! Signing keys over time, as services see them: the whole program with a clock that the test holds.

mod caching;
mod cut_off;
mod disagreeing;
mod killed;
pub mod load;
mod replicas;
mod together;

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use signet::app::Preparation;
use signet::keys::{KeeperError, KeyAct, KeyStore, KeyTable, Purpose, SweepRefused};
use signet::ports::{Clock, Timestamp};
use signet_verify::{Algorithm, Compact, Jwks, Policy, verify};

use crate::app::{Answer, Backend, Installation, Signet};
use crate::postgres::Postgres;
use crate::stopped::Stopped;
use crate::world::by;
use crate::world::{ORDERS, World, eventually, shop};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
/// What the settings say by default.
const ROTATE_EVERY: Duration = Duration::from_secs(30 * 86_400);
const PROPAGATION: Duration = Duration::from_secs(900);
const LEASE: Duration = Duration::from_secs(600);
const SKEW: Duration = MINUTE;
const LONGEST_LIFETIME: Duration = HOUR;
const STALE_WHILE_REVALIDATE: Duration = MINUTE;

const PATH: &str = "/.well-known/jwks.json";

fn max_age(answer: &Answer) -> Duration {
    let value = answer.header("cache-control").unwrap();
    let age = value.strip_prefix("public, max-age=").and_then(|rest| rest.strip_suffix(", stale-while-revalidate=60"));
    Duration::from_secs(age.unwrap_or_else(|| panic!("{value}")).parse().unwrap())
}

fn kids(jwks: &Value) -> Vec<String> {
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid_of(token: &str) -> String {
    Compact::parse(token).unwrap().unverified_kid().unwrap().to_owned()
}

fn verifies(signet: &Signet, audience: &str, token: &str, jwks: &str, now: Timestamp) -> bool {
    let policy = Policy::new(&*signet.issuer, audience);
    let now = Duration::from_millis(now.millis().unsigned_abs());
    verify(&Jwks::parse(jwks.as_bytes()).unwrap(), &policy, token, now).is_ok()
}

/// A token of the client `shop`, once it is to be had with the key `kid`.
async fn token_by(signet: &Signet, secret: &str, kid: &str) -> String {
    eventually(async || {
        let answer = signet.token(Some(("shop", secret)), &[GRANT, ("resource", ORDERS)]).await;
        answer.body["access_token"].as_str().filter(|token| kid_of(token) == kid).map(str::to_owned)
    })
    .await
}

/// Sees every JWKS once it has that many keys, and holds that its tag changes exactly when its bytes do.
#[derive(Default)]
struct Seen(BTreeMap<String, String>);

impl Seen {
    async fn jwks(&mut self, signet: &Signet, keys: usize) -> Answer {
        eventually(async || {
            let answer = signet.get(PATH).await;
            let etag = answer.header("etag").unwrap().to_owned();
            let before = self.0.insert(answer.text.clone(), etag.clone());
            assert!(before.is_none_or(|before| before == etag), "the same bytes, another tag");
            let tags: std::collections::BTreeSet<_> = self.0.values().collect();
            assert_eq!(tags.len(), self.0.len(), "other bytes, the same tag");
            (kids(&answer.body).len() == keys).then_some(answer)
        })
        .await
    }
}

/// Sets a database up as `signet init` does.
pub async fn initialised(installation: &Installation) {
    let opened = installation.open(Preparation::Initialise).await;
    signet::app::initialise(&installation.settings(), &opened, &installation.parts()).await.unwrap();
    opened.store.close().await;
}

/// The keys as they stand in the store.
async fn table(installation: &Installation) -> KeyTable {
    let opened = installation.open(Preparation::Existing).await;
    let table = opened.store.load(Purpose::Signing).await.unwrap().table;
    opened.store.close().await;
    table
}

#[actix_web::test]
async fn a_rotation_takes_the_published_successor_and_the_old_key_leaves_after_its_last_token() {
    let installation = Installation::new().with("KEYS__ALGORITHMS", "ES256");
    let (signet, world, secret) = shop(&installation).await;
    world.resource_with("urn:long", "", |resource| resource.token_lifetime = Some(LONGEST_LIFETIME)).await;
    let long_secret = world.client("long", serde_json::json!({"access": {"urn:long": ""}})).await;
    let clock = &installation.clock;
    let mut seen = Seen::default();
    let first = seen.jwks(&signet, 2).await;
    assert_eq!(max_age(&first), Duration::from_secs(300));
    let token = signet.token(Some(("shop", &secret)), &[GRANT, ("resource", ORDERS)]).await;
    let old = kid_of(token.body["access_token"].as_str().unwrap());
    let successor = kids(&first.body).into_iter().find(|kid| *kid != old).unwrap();

    // A minute before the change caches are told to ask again in time.
    clock.advance(ROTATE_EVERY - MINUTE);
    let before = token_by(&signet, &secret, &old).await;
    let near = seen.jwks(&signet, 2).await;
    assert_eq!((&near.text, near.header("etag")), (&first.text, first.header("etag")), "nothing has changed yet");
    assert_eq!(max_age(&near), MINUTE);
    clock.advance(MINUTE - Duration::from_secs(1));
    assert_eq!(max_age(&seen.jwks(&signet, 2).await), Duration::from_secs(5), "never shorter");
    let last = eventually(async || {
        let answer = signet.token(Some(("long", &long_secret)), &[GRANT]).await;
        answer.body["access_token"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(kid_of(&last), old);
    let issued_at = clock.now();

    // The successor signs, which every verifier has had for thirty days; the next one is published.
    clock.advance(Duration::from_secs(1));
    let rotated_at = clock.now();
    let after = token_by(&signet, &secret, &successor).await;
    let rotated = seen.jwks(&signet, 3).await;
    assert!(kids(&rotated.body).contains(&old) && kids(&rotated.body).contains(&successor));
    assert_eq!(max_age(&rotated), Duration::from_secs(300));
    assert!(verifies(&signet, ORDERS, &after, &first.text, clock.now()), "with what a verifier had before");
    for (audience, token) in [(ORDERS, &before), (ORDERS, &after), ("urn:long", &last)] {
        assert!(verifies(&signet, audience, token, &rotated.text, clock.now()));
    }

    // The old key stays for as long as a token of it may be alive, then goes.
    clock.advance(LONGEST_LIFETIME - Duration::from_secs(2));
    assert!(clock.now() < issued_at.plus(LONGEST_LIFETIME));
    token_by(&signet, &secret, &successor).await;
    let current = seen.jwks(&signet, 3).await;
    assert!(verifies(&signet, "urn:long", &last, &current.text, clock.now()), "until its last second");
    assert!(!verifies(&signet, "urn:long", &last, &current.text, clock.now().plus(2 * MINUTE)));
    let leaves_at = rotated_at.plus(LEASE + LONGEST_LIFETIME + SKEW);
    clock.advance(leaves_at.since(clock.now()) - Duration::from_secs(1));
    token_by(&signet, &secret, &successor).await;
    let near = seen.jwks(&signet, 3).await;
    assert_eq!((&near.text, max_age(&near)), (&rotated.text, Duration::from_secs(5)));
    clock.advance(Duration::from_secs(1));
    let without = seen.jwks(&signet, 2).await;
    assert!(!kids(&without.body).contains(&old));
    let next = kids(&without.body).into_iter().find(|kid| *kid != successor).unwrap();

    // And so on.
    clock.advance(rotated_at.plus(ROTATE_EVERY).since(clock.now()));
    token_by(&signet, &secret, &next).await;
    seen.jwks(&signet, 3).await;
    assert_eq!(seen.0.len(), 4, "two keys, three, two, three: each with a tag of its own");
    let states: Vec<&str> = table(&installation).await.keys.iter().map(|key| key.state.name()).collect();
    assert_eq!(states.iter().filter(|state| **state == "retired").count(), 1);
    signet.stop().await;
}

/// A verifier that keeps the JWKS for as long as it may, and for a minute more as caches do.
struct Cache {
    jwks: String,
    until: Timestamp,
}

#[actix_web::test]
async fn a_verifier_that_caches_as_told_knows_every_key_that_signs() {
    let installation = Installation::new().with("KEYS__ALGORITHMS", "ES256");
    let (signet, _, secret) = shop(&installation).await;
    let started = installation.clock.now();
    let mut cache: Option<Cache> = None;
    let mut alive: Vec<(String, Timestamp)> = Vec::new();
    let mut signers: Vec<(String, Timestamp)> = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for step in 0..160 {
        // Spans of every size: most about as long as the times that matter, some of days.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let most = [20, 90, 400, 1_000, 5_000, 400_000, 3_000_000][(random >> 33) as usize % 7];
        installation.clock.advance(Duration::from_secs(1 + (random >> 40) % most));
        let now = installation.clock.now();
        if cache.as_ref().is_none_or(|cache| now > cache.until) {
            let answer = signet.get(PATH).await;
            let until = now.plus(max_age(&answer) + STALE_WHILE_REVALIDATE);
            cache = Some(Cache { jwks: answer.text, until });
        }
        let token = eventually(async || {
            let answer = signet.token(Some(("shop", &secret)), &[GRANT, ("resource", ORDERS)]).await;
            answer.body["access_token"].as_str().map(str::to_owned)
        })
        .await;
        let kid = kid_of(&token);
        let cache = cache.as_ref().unwrap();
        assert!(verifies(&signet, ORDERS, &token, &cache.jwks, now), "step {step}: {kid} is not in the cache");
        if signers.last().is_none_or(|(last, _)| *last != kid) {
            assert!(signers.iter().all(|(known, _)| *known != kid), "a key never comes back");
            signers.push((kid, now));
        }
        alive.push((token, now.plus(Duration::from_secs(300))));
        alive.retain(|(_, expires)| now < *expires);
        for (token, _) in &alive {
            assert!(verifies(&signet, ORDERS, token, &cache.jwks, now), "step {step}: a living token is refused");
        }
    }
    let table = table(&installation).await;
    for (kid, signed_at) in &signers {
        let key = table.keys.iter().find(|key| key.kid.as_str() == kid).unwrap();
        let from_the_beginning = key.published_at == started;
        assert!(from_the_beginning || key.published_at.plus(PROPAGATION) <= *signed_at, "{key:?} at {signed_at}");
    }
    println!("{} keys signed in turn", signers.len());
    assert!(signers.len() > 5);
    signet.stop().await;
}

#[actix_web::test]
async fn an_algorithm_enabled_later_is_published_at_once_and_signs_when_every_verifier_has_it() {
    let installation = Installation::new();
    let (signet, world, secret) = shop(&installation).await;
    let ed25519 = |resource: &mut signet::clients::Resource| resource.algorithm = Some(Algorithm::Ed25519);
    world.resource_with("urn:ed25519", "read", ed25519).await;
    let ed_secret = world.client("ed", serde_json::json!({"access": {"urn:ed25519": "read"}})).await;
    world.opened.store.close().await;
    signet.stop().await;

    let later = installation.with("KEYS__ALGORITHMS", "ES256,RS256,Ed25519");
    let signet = later.start().await;
    let ask = async || signet.token(Some(("ed", &ed_secret)), &[GRANT]).await;
    let published = signet.get(PATH).await;
    assert_eq!(kids(&published.body).len(), 6);
    for advance in [Duration::ZERO, PROPAGATION - Duration::from_secs(1)] {
        later.clock.advance(advance);
        // The others sign as before: this replica can do its work.
        eventually(async || {
            let answer = signet.token(Some(("shop", &secret)), &[GRANT, ("resource", ORDERS)]).await;
            answer.status.is_success().then_some(())
        })
        .await;
        let ready = signet.ready().await;
        assert_eq!(ready.status, StatusCode::OK, "{}", ready.text);
        let refused = ask().await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text);
        assert_eq!(refused.body["error"], "temporarily_unavailable");
        assert!(refused.header("retry-after").is_some());
    }
    later.clock.advance(Duration::from_secs(1));
    let token = eventually(async || ask().await.body["access_token"].as_str().map(str::to_owned)).await;
    assert!(kids(&published.body).contains(&kid_of(&token)));
    assert!(verifies(&signet, "urn:ed25519", &token, &published.text, later.clock.now()));
    signet.stop().await;
}

#[actix_web::test]
async fn replicas_that_sweep_at_once_agree_on_the_keys() {
    let installation = Installation::new().on(Backend::Postgres).with("KEYS__ALGORITHMS", "ES256");
    initialised(&installation).await;
    let replicas = [installation.start().await, installation.start().await];
    let world = World::of(&installation).await;
    let mut version = world.opened.store.load(Purpose::Signing).await.unwrap().table.version;
    for _ in 0..4 {
        installation.clock.advance(ROTATE_EVERY);
        let agreed = eventually(async || {
            let mut answers = Vec::new();
            for replica in &replicas {
                let admin = replica.admin_client();
                let token = replica.token(Some((&admin.client_id, &admin.client_secret)), &[GRANT]).await;
                let kid = kid_of(token.body["access_token"].as_str()?);
                answers.push((kid, replica.get(PATH).await.text));
            }
            (answers[0] == answers[1]).then(|| answers.swap_remove(0))
        })
        .await;
        let table = world.opened.store.load(Purpose::Signing).await.unwrap().table;
        let due = eventually(async || {
            let table = world.opened.store.load(Purpose::Signing).await.unwrap().table;
            (table.version > version).then_some(table)
        })
        .await;
        // One change: the loser of the race found nothing left to do.
        assert_eq!(due.version, version + 1, "{table:?}");
        version = due.version;
        assert!(agreed.1.contains(&agreed.0));
    }
    let table = world.opened.store.load(Purpose::Signing).await.unwrap().table;
    let counted = |state: &str| table.keys.iter().filter(|key| key.state.name() == state).count();
    assert_eq!((counted("active"), counted("pending"), table.keys.len()), (1, 1, 6), "{table:?}");
    let active = table.active(Algorithm::Es256).unwrap().kid.to_string();
    for replica in replicas {
        let admin = replica.admin_client();
        eventually(async || {
            let token = replica.token(Some((&admin.client_id, &admin.client_secret)), &[GRANT]).await;
            (kid_of(token.body["access_token"].as_str()?) == active).then_some(())
        })
        .await;
        replica.stop().await;
    }
}

#[actix_web::test]
async fn replicas_cut_off_from_their_store_sign_until_their_lease_ends_and_recover() {
    let cluster = Postgres::start();
    let url = cluster.database();
    let installation = Installation::new()
        .with("DATABASE__URL", &url)
        .with("DATABASE__TIMEOUT", "400ms")
        .with("KEYS__ALGORITHMS", "ES256");
    initialised(&installation).await;
    let replicas = [installation.start().await, installation.start().await];
    let admin = replicas[0].admin_client().clone();
    let ask = async |replica: &Signet| replica.token(Some((&admin.client_id, &admin.client_secret)), &[GRANT]).await;
    let token = ask(&replicas[0]).await;
    for replica in &replicas {
        let token = ask(replica).await;
        assert_eq!(token.status, StatusCode::OK, "{}", token.text);
    }
    let jwks = replicas[0].get(PATH).await;
    {
        let _stopped = Stopped::cluster(&cluster, &url);
        for advance in [Duration::ZERO, LEASE / 2, LEASE / 2 - MINUTE] {
            installation.clock.advance(advance);
            for replica in &replicas {
                // Whoever asked the database would wait for its time-out, or be refused.
                assert_eq!(ask(replica).await.status, StatusCode::OK, "the client is known, and the lease holds");
                assert_eq!(replica.ready().await.status, StatusCode::OK);
            }
        }
        let unknown = replicas[0].token(Some(("stranger", "x")), &[GRANT]).await;
        assert_eq!(unknown.status, StatusCode::SERVICE_UNAVAILABLE, "{}", unknown.text);

        installation.clock.advance(MINUTE + Duration::from_secs(1));
        for replica in &replicas {
            let refused = ask(replica).await;
            assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text);
            assert_eq!(refused.body["error"], "temporarily_unavailable");
            assert!(refused.header("retry-after").is_some());
            let ready = replica.ready().await;
            assert_eq!((ready.status, &ready.body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &"not ready".into()));
            assert!(ready.body["checks"]["keys"].as_str().unwrap().contains("lease"), "{}", ready.text);
            let still = replica.get(PATH).await;
            assert_eq!(
                (still.status, &still.text, still.header("etag")),
                (StatusCode::OK, &jwks.text, jwks.header("etag"))
            );
        }
    }
    let kid = |answer: &Answer| kid_of(answer.body["access_token"].as_str().unwrap());
    for replica in replicas {
        eventually(async || replica.ready().await.status.is_success().then_some(())).await;
        assert_eq!(kid(&ask(&replica).await), kid(&token));
        replica.stop().await;
    }
}

#[actix_web::test]
async fn nothing_is_changed_by_a_clock_that_was_set_back() {
    let installation = Installation::new().with("KEYS__ALGORITHMS", "ES256");
    let (signet, world, secret) = shop(&installation).await;
    let clock = &installation.clock;
    let first = kids(&signet.get(PATH).await.body);
    clock.advance(ROTATE_EVERY);
    let rotated = eventually(async || {
        let answer = signet.get(PATH).await;
        (kids(&answer.body).len() == 3).then_some(answer)
    })
    .await;
    assert!(first.iter().all(|kid| kids(&rotated.body).contains(kid)));
    let before = table(&installation).await;

    clock.set_back(HOUR);
    let forced = KeyAct::Rotate { algorithm: Some(Algorithm::Es256), if_active: None, force: true };
    let refused = world.opened.keeper.act(&forced, &by()).await;
    assert!(
        matches!(refused, Err(KeeperError::Refused(SweepRefused::ClockWentBack { .. }))),
        "an operator's wish counts no more: {refused:?}"
    );
    let started = installation.try_start().await.err().map(|error| error.to_string());
    assert!(started.as_ref().is_some_and(|why| why.contains("ran backwards")), "{started:?}");
    for _ in 0..5 {
        clock.advance(MINUTE);
        tokio::time::sleep(Duration::from_millis(40)).await;
        assert_eq!(signet.get(PATH).await.text, rotated.text);
    }
    assert_eq!(table(&installation).await, before, "nothing was changed");

    // Once it is right again, all goes on.
    clock.advance(HOUR * 3);
    eventually(async || (kids(&signet.get(PATH).await.body).len() == 2).then_some(())).await;
    let answer = signet.token(Some(("shop", &secret)), &[GRANT, ("resource", ORDERS)]).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert!(installation.try_start().await.is_ok());
    signet.stop().await;
}
