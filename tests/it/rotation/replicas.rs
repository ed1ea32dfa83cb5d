//! Two replicas on one Postgres that rotate under load, and verifiers that keep the JWKS as they are told: not one
//! token fails.

use std::sync::Arc;
use std::time::Duration;

use signet::keys::{KeeperError, KeyAct, KeySpec, KeyState, KeyStore, KeyTable, Kid, Purpose, SweepRefused};
use signet::ports::{Clock, Timestamp};
use signet_verify::Algorithm;

use super::load::{Load, Outcome, Random};
use crate::app::{Backend, Installation, Signet};
use crate::world::{World, by, eventually, shop};

/// Whether the tests run at their full scale.
pub fn at_full_scale() -> bool {
    std::env::var("SIGNET_TEST_SCALE").is_ok_and(|scale| scale == "full")
}

/// Two replicas over an installation that was set up, with what is registered in it and the secret of the client `shop`.
pub async fn two_replicas(installation: &Installation) -> ([Signet; 2], World, String) {
    super::initialised(installation).await;
    let (one, world, secret) = shop(installation).await;
    let other = installation.start().await;
    ([one, other], world, secret)
}

/// An installation of ES256 on Postgres, whose issuer is the same whichever port a replica has.
pub fn on_postgres() -> Installation {
    let installation = Installation::new().on(Backend::Postgres);
    installation.with("ISSUER", "https://as.example").with("KEYS__ALGORITHMS", "ES256")
}

pub async fn table(world: &World) -> KeyTable {
    world.opened.store.load(Purpose::Signing).await.unwrap().table
}

/// How often a key took another's place.
fn rotations(table: &KeyTable) -> usize {
    let never_signed = |key: &&signet::keys::Key| matches!(key.state, KeyState::Pending { .. });
    table.keys.len() - table.keys.iter().filter(never_signed).count() - 1
}

/// A rotation of ES256 by hand, away from that key where one is named.
pub const fn rotation(if_active: Option<Kid>) -> KeyAct {
    KeyAct::Rotate { algorithm: Some(Algorithm::Es256), if_active, force: false }
}

/// Rotates ES256 unless the successor has not propagated.
async fn rotate(world: &World) -> bool {
    match world.opened.keeper.act(&rotation(None), &by()).await {
        Ok(_) => true,
        Err(KeeperError::Refused(SweepRefused::NotPropagated { .. })) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Compromises the key that signs, once its successor has propagated.
async fn compromise(world: &World, load: &Load) {
    eventually(async || {
        let foreseen = world.opened.keeper.dry_run(&rotation(None)).await.ok()?;
        let kid = table(world).await.active(Algorithm::Es256).unwrap().kid.clone();
        // From before it is told: some verifiers hear of it before this test does.
        load.is_compromised(kid.as_str(), foreseen.at);
        let act = KeyAct::Compromise { kid, reason: "found on a stick".to_owned() };
        let done = world.opened.keeper.act(&act, &by()).await.unwrap();
        assert_eq!(done.may_fail_until, None, "a successor had propagated");
        Some(())
    })
    .await;
}

/// What held throughout: prints the counts, and fails with the first failures.
async fn judge(
    name: &str,
    world: &World,
    outcome: Outcome,
    propagation: Duration,
    first: Timestamp,
    compromised: usize,
) {
    let table = table(world).await;
    let Outcome { replicas, seen, minted, signers } = outcome;
    println!(
        "{name}: {} rotations, {} + {} tokens by {} keys; verifiers: {} checks, {} while stale, {} answers ({} not \
         modified); tokens of compromised keys: {} refused, {} passed too late; failed verifications: {}",
        rotations(&table),
        minted[0],
        minted[1],
        signers.len(),
        seen.checked,
        seen.while_stale,
        seen.fetched,
        seen.not_modified,
        seen.compromised,
        seen.overdue,
        seen.failed.len(),
    );
    assert_eq!(seen.overdue, 0);
    assert_eq!(seen.compromised > 0, compromised > 0);
    assert!(seen.failed.is_empty(), "{:#?}", &seen.failed[..seen.failed.len().min(3)]);
    for (kid, signed_at) in &signers {
        let key = table.keys.iter().find(|key| key.kid.as_str() == kid).unwrap();
        let is_of_the_first = key.published_at <= first;
        // `iat` has whole seconds.
        let from = Timestamp::from_secs(key.published_at.plus(propagation).secs());
        assert!(is_of_the_first || from <= *signed_at, "{key:?} signed at {signed_at}");
    }
    assert!(minted.iter().all(|minted| *minted > rotations(&table) as u64), "{minted:?}");
    assert!(seen.checked as usize > 5 * rotations(&table) && seen.while_stale > 0 && seen.not_modified > 0);
    for replica in replicas {
        replica.stop().await;
    }
}

/// So many rotations on the held clock under load, the key that signs compromised after each of `compromised`.
async fn on_the_held_clock(name: &str, many: usize, compromised: &[usize]) {
    const PROPAGATION: Duration = Duration::from_secs(900);
    let installation = on_postgres().with("KEYS__ROTATE_EVERY", "1h");
    let (replicas, world, secret) = two_replicas(&installation).await;
    let first = installation.clock.now();
    let clock: Arc<dyn Clock> = Arc::new(installation.clock.clone());
    // A replica that does not hear of a compromise in time may be asked for its JWKS until its lease ends.
    let load = Load::on(replicas, &clock, &secret, &[0, 50_000, -50_000], PROPAGATION);
    let mut random = Random::new(3);
    let mut to_come = compromised.iter().copied().peekable();
    let (mut by_hand, mut steps) = (0, 0);
    while rotations(&table(&world).await) < many {
        // Mostly about as long as the times that matter; sometimes so long that every replica is past its lease.
        let most = [5, 30, 120, 300, 300, 600, 1_500][random.below(7)];
        installation.clock.advance(Duration::from_secs(1 + random.below(most) as u64));
        steps += 1;
        if random.below(4) == 0 {
            // All keep up, or in the other cases whoever can.
            load.more(1).await;
        }
        tokio::time::sleep(Duration::from_millis(random.below(40) as u64)).await;
        let so_far = rotations(&table(&world).await);
        if to_come.next_if(|after| *after <= so_far).is_some() {
            installation.clock.advance(PROPAGATION);
            load.more(3).await;
            compromise(&world, &load).await;
            load.more(3).await;
        }
        if random.below(2) == 0 && rotate(&world).await {
            by_hand += 1;
        }
    }
    println!(
        "{by_hand} rotations by hand, {} by a compromise, the others by schedule; the clock leapt {steps} times",
        compromised.len()
    );
    judge(name, &world, load.end().await, PROPAGATION, first, compromised.len()).await;
}

#[actix_web::test]
async fn of_many_rotations_under_load_no_verifier_notices_one() {
    on_the_held_clock("held clock", if at_full_scale() { 400 } else { 200 }, &[]).await;
}

#[actix_web::test]
async fn of_twenty_rotations_with_compromises_in_between_only_tokens_of_those_keys_fail() {
    on_the_held_clock("held clock", 20, &[5, 11, 16]).await;
}

/// Twenty rotations by this machine's clock under load, some of them because the key that signs is compromised.
async fn in_real_time(name: &str, compromised: &[usize]) {
    const PROPAGATION: Duration = Duration::from_secs(12);
    // More successors than one, so that not every rotation waits for the whole time.
    const AHEAD: usize = 9;
    // What compromise is to take: `max-age`, as long again while stale, and 2 s to follow.
    const HEARD: Duration = Duration::from_secs(4);
    let installation = on_postgres()
        .with("KEYS__JWKS_MAX_AGE", "1s")
        .with("KEYS__SKEW", "5s")
        .with("KEYS__LEASE", "3s")
        .with("KEYS__PROPAGATION", "12s")
        .with("TOKENS__ACCESS_LIFETIME", "8s")
        .with("TOKENS__MAX_ACCESS_LIFETIME", "8s")
        .following_as_in_production()
        .in_real_time();
    let clock = installation.parts().clock;
    let (replicas, world, secret) = two_replicas(&installation).await;
    let first = world.opened.store.load(Purpose::Signing).await.unwrap().now;
    let load = Load::on(replicas, &clock, &secret, &[0, 4_000, -4_000], HEARD);
    let keeper = &world.opened.keeper;
    for _ in 0..AHEAD {
        keeper.create(KeySpec::Es256, &by()).await.unwrap();
        tokio::time::sleep(PROPAGATION / 10).await;
    }
    let mut done = 0;
    while done < 20 {
        let rotated = if compromised.contains(&done) {
            compromise(&world, &load).await;
            true
        } else {
            rotate(&world).await
        };
        if rotated {
            done += 1;
            keeper.create(KeySpec::Es256, &by()).await.unwrap();
        }
        load.more(5).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    judge(name, &world, load.end().await, PROPAGATION, first, compromised.len()).await;
}

#[actix_web::test]
async fn of_twenty_rotations_in_real_time_no_verifier_notices_one() {
    in_real_time("real time", &[]).await;
}

#[actix_web::test]
async fn of_twenty_rotations_in_real_time_with_compromises_only_tokens_of_those_keys_fail() {
    in_real_time("real time, with compromises", &[6, 13]).await;
}
