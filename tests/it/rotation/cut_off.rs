//! A replica that loses its database while the other rotates.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use signet::ports::Clock;
use signet_verify::{Algorithm, Policy};

use super::caching::Verifier;
use super::load::Token;
use super::replicas::{rotation, table};
use super::{LEASE, MINUTE, PROPAGATION, initialised, kid_of, max_age};
use crate::app::{Installation, Signet};
use crate::postgres::Postgres;
use crate::proxy::Proxy;
use crate::world::{ORDERS, by, eventually, shop};

const FORM: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("resource", ORDERS)];
const PATH: &str = "/.well-known/jwks.json";

async fn token(replica: &Signet, secret: &str) -> Result<String, StatusCode> {
    let answer = replica.token(Some(("shop", secret)), &FORM).await;
    answer.body["access_token"].as_str().map(str::to_owned).ok_or(answer.status)
}

/// A replica over the same folder and clock, on a database of another address.
fn beside(installation: &Installation, url: &str) -> Installation {
    let at = |name: &str| installation.folder.path().join(name).to_str().unwrap().to_owned();
    let mut other = common(Installation::new(), url).with("KEYS__MASTER_KEY_FILE", &at("keys/master.key"));
    other.clock = installation.clock.clone();
    other
}

fn common(installation: Installation, url: &str) -> Installation {
    installation
        .with("DATABASE__URL", url)
        .with("DATABASE__TIMEOUT", "400ms")
        .with("ISSUER", "https://as.example")
        .with("KEYS__ALGORITHMS", "ES256")
}

#[actix_web::test]
async fn a_replica_cut_off_while_the_other_rotates_stops_in_time_and_nothing_it_signed_fails() {
    let url = Postgres::shared().database();
    let installation = common(Installation::new(), &url);
    initialised(&installation).await;
    let (steady, world, secret) = shop(&installation).await;
    let proxy = Proxy::before(&url);
    let cut = beside(&installation, &proxy.url).start().await;
    let clock = &installation.clock;
    let keeper = &world.opened.keeper;
    eventually(async || token(&cut, &secret).await.ok()).await;

    let replicas = [steady, cut];
    let [steady, cut] = &replicas;
    let verifier = |seed| {
        let policy = Policy::new("https://as.example", ORDERS);
        Verifier::new(Arc::new(clock.clone()) as Arc<dyn Clock>, 0, policy, seed)
    };
    let mut verifiers: Vec<Verifier> = (1..=6).map(verifier).collect();
    let mut alive: Vec<Token> = Vec::new();
    let (mut by_cut, mut last_by_cut) = (0, None);
    let (mut rotations, mut refused) = (0, 0);
    let cut_at = clock.now();
    proxy.cut();
    // Twice the propagation time: one key is promoted that the cut replica has never heard of.
    for step in 0..60 {
        if keeper.act(&rotation(None), &by()).await.is_ok() {
            rotations += 1;
        }
        let since = clock.now().since(cut_at);
        let ready = cut.ready().await;
        match token(cut, &secret).await {
            Ok(text) => {
                assert!(since <= LEASE, "it signs {since:?} after it lost its database");
                assert_eq!(ready.status, StatusCode::OK);
                by_cut += 1;
                last_by_cut = Some(kid_of(&text));
                alive.push(told(text, clock));
            }
            Err(status) => {
                assert!(since > LEASE || step == 0, "it refuses {since:?} after it lost its database");
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE, "and says so: {}", ready.text);
                assert!(ready.body["checks"]["keys"].as_str().unwrap().contains("lease"), "{}", ready.text);
                refused += 1;
            }
        }
        alive.push(told(eventually(async || token(steady, &secret).await.ok()).await, clock));
        // It goes on publishing; the longer ago it heard, the shorter that may be kept.
        let jwks = cut.get(PATH).await;
        assert_eq!(jwks.status, StatusCode::OK);
        let holds = PROPAGATION.saturating_sub(MINUTE + MINUTE + since).max(Duration::from_secs(5));
        assert!(max_age(&jwks) <= holds, "{since:?}: {:?}", max_age(&jwks));
        for verifier in &mut verifiers {
            for token in &alive {
                verifier.check(token, &replicas, |_| None).await;
            }
        }
        alive.retain(|token| clock.now() < token.expires);
        clock.advance(MINUTE / 2);
        // The other one hears of it.
        eventually(async || token(steady, &secret).await.ok()).await;
    }
    let checked: u64 = verifiers.iter().map(|verifier| verifier.seen.checked).sum();
    let failed: Vec<_> = verifiers.iter().flat_map(|verifier| verifier.seen.failed.clone()).collect();
    println!(
        "cut off for 30 minutes: {by_cut} tokens within the lease, {refused} refusals after it, {rotations} rotations \
         meanwhile; {checked} checks, failed verifications: {}",
        failed.len()
    );
    assert!(failed.is_empty(), "{:#?}", &failed[..failed.len().min(3)]);
    assert!(by_cut > 10 && refused > 10 && rotations >= 2, "{by_cut} {refused} {rotations}");

    // It comes back by itself, with the key that signs now.
    proxy.restore();
    let active = table(&world).await.active(Algorithm::Es256).unwrap().kid.to_string();
    assert_ne!(last_by_cut, Some(active.clone()));
    let back = eventually(async || token(cut, &secret).await.ok()).await;
    assert_eq!(kid_of(&back), active);
    eventually(async || cut.ready().await.status.is_success().then_some(())).await;
    for replica in replicas {
        replica.stop().await;
    }
}

fn told(text: String, clock: &crate::app::HeldClock) -> Token {
    let (kid, now) = (kid_of(&text), clock.now());
    Token { text, kid, expires: now.plus(5 * MINUTE) }
}
