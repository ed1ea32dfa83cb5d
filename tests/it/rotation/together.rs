//! Two replicas that rotate at the same instant: one does, the other finds it done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use signet::app::Preparation;
use signet::keys::{KeeperError, KeyKeeper, KeyStore, Kid, Purpose, SweepRefused};
use signet::ports::{Clock, Timestamp};
use signet_verify::Algorithm;

use super::replicas::{at_full_scale, on_postgres, rotation, table, two_replicas};
use crate::app::{Installation, Signet};
use crate::world::{ORDERS, World, by, eventually};

const PATH: &str = "/.well-known/jwks.json";
const PROPAGATION: Duration = Duration::from_secs(900);

/// Whether it rotated away from the key `active`, or found that another had.
async fn rotates(keeper: &KeyKeeper, active: &Kid) -> bool {
    match keeper.act(&rotation(Some(active.clone())), &by()).await {
        Ok(_) => true,
        Err(KeeperError::Refused(SweepRefused::ActiveKeyDiffers { .. })) => false,
        Err(error) => panic!("{error}"),
    }
}

/// The names in the JWKS that a replica serves.
async fn published(replica: &Signet) -> BTreeSet<String> {
    let keys = replica.get(PATH).await.body["keys"].take();
    keys.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// The key that signs for the client `shop` at a replica, once that signs.
async fn signer(replica: &Signet, secret: &str) -> String {
    eventually(async || {
        let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
        let answer = replica.token(Some(("shop", secret)), &form).await;
        answer.body["access_token"].as_str().map(super::kid_of)
    })
    .await
}

struct Rounds {
    longest: Duration,
    signed: Vec<(String, Timestamp)>,
}

/// So many rounds in which two processes rotate at once, beside two that serve.
async fn rounds(installation: &Installation, many: usize) -> (Rounds, World) {
    let (replicas, world, secret) = two_replicas(installation).await;
    let others = [installation.open(Preparation::Existing).await, installation.open(Preparation::Existing).await];
    let mut seen = Rounds { longest: Duration::ZERO, signed: Vec::new() };
    let names = async || -> BTreeSet<Kid> { table(&world).await.keys.into_iter().map(|key| key.kid).collect() };
    let mut known = names().await;
    for round in 0..many {
        // In two leaps, so that no replica is past its lease.
        for _ in 0..2 {
            installation.clock.advance(PROPAGATION / 2);
            for replica in &replicas {
                eventually(async || replica.ready().await.status.is_success().then_some(())).await;
            }
        }
        let active = table(&world).await.active(Algorithm::Es256).unwrap().kid.clone();
        let both = async {
            let rotated = tokio::join!(rotates(&others[0].keeper, &active), rotates(&others[1].keeper, &active));
            (rotated, Instant::now())
        };
        // Tokens are asked for while it happens, and after.
        let signing = async { [signer(&replicas[0], &secret).await, signer(&replicas[1], &secret).await] };
        let now = installation.clock.now();
        let ((rotated, done), before) = tokio::join!(both, signing);
        assert!(matches!(rotated, (true, false) | (false, true)), "round {round}: {rotated:?}");
        let table = table(&world).await;
        let is: BTreeSet<Kid> = table.keys.iter().map(|key| key.kid.clone()).collect();
        assert_eq!(is.difference(&known).count(), 1, "round {round}: one new key");
        known = is;
        let active = table.active(Algorithm::Es256).unwrap().kid.to_string();
        eventually(async || {
            let [one, other] = [published(&replicas[0]).await, published(&replicas[1]).await];
            let stored = world.opened.store.load(Purpose::Signing).await.unwrap().table;
            let stored: BTreeSet<_> = stored.published().iter().map(|key| key.kid.to_string()).collect();
            (one == other && one == stored).then_some(())
        })
        .await;
        seen.longest = seen.longest.max(done.elapsed());
        for replica in &replicas {
            assert_eq!(signer(replica, &secret).await, active, "round {round}");
        }
        seen.signed.extend(before.into_iter().chain([active]).map(|kid| (kid, now)));
    }
    for opened in others {
        opened.store.close().await;
    }
    for replica in replicas {
        replica.stop().await;
    }
    (seen, world)
}

/// No key signed before it had propagated.
async fn judge(name: &str, many: usize, seen: &Rounds, world: &World, first: Timestamp) {
    let table = table(world).await;
    let published: BTreeMap<_, _> = table.keys.iter().map(|key| (key.kid.to_string(), key.published_at)).collect();
    let mut unpublished = 0;
    for (kid, signed_at) in &seen.signed {
        let at = published[kid];
        unpublished += usize::from(at > first && at.plus(PROPAGATION) > *signed_at);
    }
    println!(
        "{name}: {many} rounds of two at once, {} keys, one new each; both JWKS equal after {:?} at most; {} tokens, by a \
         key that was not published for the propagation time: {unpublished}",
        table.keys.len(),
        seen.longest,
        seen.signed.len(),
    );
    assert_eq!(unpublished, 0);
    assert_eq!(table.keys.len(), many + 2);
    assert!(seen.longest < Duration::from_secs(2), "{:?}", seen.longest);
}

#[actix_web::test]
async fn two_that_rotate_at_the_same_instant_make_one_new_key() {
    let many = if at_full_scale() { 1_000 } else { 100 };
    let installation = on_postgres();
    let first = installation.clock.now();
    let (seen, world) = rounds(&installation, many).await;
    judge("held clock", many, &seen, &world, first).await;
}

#[actix_web::test]
async fn replicas_that_follow_as_in_production_agree_within_two_seconds() {
    let many = if at_full_scale() { 50 } else { 6 };
    let installation = on_postgres().following_as_in_production();
    let first = installation.clock.now();
    let (seen, world) = rounds(&installation, many).await;
    judge("following as in production", many, &seen, &world, first).await;
}
