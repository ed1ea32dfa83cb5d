//! Sessions in Redis: that its script decides as the domain does, in one round trip; what they take; what is on paper.

mod paper;
mod room;
mod writes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use signet::clients::{ClientId, Insert};
use signet::ports::{Clock, StoreError, SystemClock, Timestamp};
use signet::secret::sha256;
use signet::store::redis::{Options, RedisStore};
use signet::tokens::session::{
    ClientBinding, Decision, Delivery, DeviceLabel, Generation, MacKeyId, Motion, Presented, Presenter, RefreshPolicy,
    Rotation, Session, SessionId, SessionStore, decide,
};
use uuid::Uuid;

use super::connection::{cluster, open, opened, options};
use super::{Cluster, Redis, Watched, eventually};
use crate::app::HeldClock;
use crate::proxy::Proxy;

pub(super) const POLICY: RefreshPolicy = RefreshPolicy { grace: Duration::from_secs(10) };
const BOUND: Duration = Duration::from_millis(250);
pub(super) const NEXT_KEY: MacKeyId = MacKeyId(9);

/// One that begins now; `number` tells it from others, and its person from other persons.
pub(super) fn session(number: u32, now: Timestamp) -> Session {
    let id = sha256(&number.to_be_bytes());
    let id = SessionId::from_bytes(*id.first_chunk().unwrap());
    Session { id, user: Uuid::from_u128(u128::from(number)), ..crate::world::session(now) }
}

pub(super) fn presented(session: &Session, generation: u32) -> Presented<'_> {
    Presented { session: session.id, generation: Generation(generation), presenter: Presenter::of(session) }
}

async fn held(options: &Options, clock: &HeldClock) -> RedisStore {
    RedisStore::open(options, Arc::new(clock.clone())).await.unwrap()
}

/// Between the beginning of a session and the token that is presented.
const LATER: Duration = Duration::from_secs(100_000);

/// A token presented at a session.
#[derive(Debug, Clone)]
struct Case {
    session: Session,
    generation: Generation,
    client: ClientId,
    binding: ClientBinding,
    delivery: Delivery,
    policy: RefreshPolicy,
}

/// Of sessions that began at `start`, and tokens presented `LATER`.
fn case(start: Timestamp) -> impl Strategy<Value = Case> {
    let current = prop_oneof![Just(0_u32), Just(1), 2..1_000_u32, Just(u32::MAX - 1), Just(u32::MAX)];
    let away = prop_oneof![4 => Just(0_i64), 2 => Just(-1), 2 => Just(1), 1 => -3..4_i64];
    let since = prop_oneof![0..20_000_u64, 9_990..10_010_u64, 59_990..60_010_u64, 0..8_000_000_u64];
    let span = prop_oneof![9 => 8_000_000..90_000_000_u64, 1 => 0..8_000_000_u64, 1 => Just(0)];
    let rarely = || prop::bool::weighted(0.1);
    let flags = (any::<[bool; 4]>(), rarely(), rarely(), rarely());
    (current, away, since, span.clone(), span, flags, 0_u64..20_000).prop_map(
        move |(current, away, since, idle, left, (flags, foreign, otherwise, elsewhere), grace)| {
            let [stays, confidential, rotated, cookie] = flags;
            let now = start.plus(LATER);
            let used = now.minus(Duration::from_millis(since));
            let kind = |confidential| if confidential { ClientBinding::Confidential } else { ClientBinding::Public };
            let way = |cookie| if cookie { Delivery::Cookie } else { Delivery::Body };
            let motion = Motion {
                generation: Generation(current),
                mac_key: MacKeyId(7),
                rotated_at: rotated.then_some(used),
                last_used_at: used,
            };
            let session = Session {
                idle: Duration::from_secs(idle / 1_000),
                expires_at: now.plus(Duration::from_millis(left)),
                rotation: if stays { Rotation::Stays } else { Rotation::Rotates },
                binding: kind(confidential),
                delivery: way(cookie),
                motion,
                ..session(0, start)
            };
            Case {
                generation: Generation(
                    u32::try_from((i64::from(current) + away).clamp(0, i64::from(u32::MAX))).unwrap(),
                ),
                client: if foreign { ClientId::parse("other").unwrap() } else { session.client.clone() },
                binding: kind(confidential != otherwise),
                delivery: way(cookie != elsewhere),
                policy: RefreshPolicy { grace: Duration::from_millis(grace) },
                session,
            }
        },
    )
}

#[tokio::test]
async fn the_script_does_what_the_domain_decides() {
    let clock = HeldClock::new();
    let redis = Redis::start(&[]);
    let store = held(&options(&redis.url()), &clock).await;
    let (start, now) = (clock.now(), clock.now().plus(LATER));
    let mut runner = TestRunner::new(Config::default());
    let cases = runner.config().cases * 10;
    let mut seen = std::collections::BTreeMap::<&str, u32>::new();
    for number in 1..=cases {
        let Case { session, generation, client, binding, delivery, policy } =
            case(start).new_tree(&mut runner).unwrap().current();
        let session = Session { id: self::session(number, start).id, ..session };
        assert_eq!(store.insert(&session).await.unwrap(), Insert::Inserted);
        clock.advance(LATER);
        let presenter = Presenter { client: &client, binding, delivery };
        let asked = Presented { session: session.id, generation, presenter };
        let swapped = store.swap(&asked, NEXT_KEY, &policy).await.unwrap();
        let after = store.load(session.id).await.unwrap();
        clock.set_back(LATER);
        let decision = decide(Some(&session), generation, &presenter, now, &policy);
        *seen.entry(decision.name()).or_default() += 1;
        let (moved, expected) = match decision {
            Decision::Rotate { to } | Decision::Adopt { to } => (true, session.clone().rotated(to, NEXT_KEY, now)),
            Decision::Stay { touch: true } => (false, session.clone().touched(now)),
            _ => (false, session.clone()),
        };
        assert_eq!((swapped.now, swapped.moved), (now, moved), "{decision:?} {session:?}");
        assert_eq!(after, (!expected.has_expired(now)).then_some(expected), "{decision:?}");
        assert_eq!(swapped.before, Some(session), "{decision:?}");
    }
    println!("{cases} tokens presented: the script did as the domain decides: {seen:?}");
    let missing: Vec<_> =
        Decision::NAMES.iter().filter(|name| **name != "absent" && !seen.contains_key(*name)).collect();
    assert!(missing.is_empty(), "never tried: {missing:?}");
}

#[tokio::test]
async fn a_refresh_is_one_round_trip_also_where_replicas_are_waited_for() {
    let watched = Watched::start();
    for wait_replicas in [0, 1] {
        let proxy = Proxy::before(&watched.servers[0].url());
        let store = opened(&Options { wait_replicas, ..options(&proxy.url) }).await;
        let sessions: Vec<_> = (0..10).map(|number| session(number, SystemClock.now())).collect();
        for session in &sessions {
            assert_eq!(store.insert(session).await.unwrap(), Insert::Inserted);
        }
        // The first tells Redis the script.
        let warmed = store.swap(&presented(&sessions[0], 0), NEXT_KEY, &POLICY).await.unwrap();
        assert!(warmed.moved);
        proxy.delay(Duration::from_millis(100));
        for session in &sessions[1..] {
            let begun = Instant::now();
            assert!(store.swap(&presented(session, 0), NEXT_KEY, &POLICY).await.unwrap().moved);
            assert!(begun.elapsed() < Duration::from_millis(190), "{:?}", begun.elapsed());
        }
        assert_eq!(store.health().unreplicated, 0);
        for session in &sessions {
            store.end(session.id).await.ok();
        }
    }
}

#[tokio::test]
async fn of_many_at_once_one_rotates_on_one_server_and_on_a_cluster() {
    let mut races = 0;
    for options in [options(&Redis::shared().url()), cluster(Cluster::shared())] {
        // Two replicas.
        let stores = [opened(&options).await, opened(&options).await];
        for number in 0..200_u32 {
            let session = session(number, SystemClock.now());
            assert_eq!(stores[0].insert(&session).await.unwrap(), Insert::Inserted);
            let callers = 2 + number % 49;
            let calls: Vec<_> = (0..callers)
                .map(|caller| {
                    let (store, session) = (stores[caller as usize % 2].clone(), session.clone());
                    tokio::spawn(async move {
                        let swapped = store.swap(&presented(&session, 0), NEXT_KEY, &POLICY).await.unwrap();
                        let decision = decide(
                            swapped.before.as_ref(),
                            Generation(0),
                            &presented(&session, 0).presenter,
                            swapped.now,
                            &POLICY,
                        );
                        assert_eq!(swapped.moved, decision.moves_to().is_some());
                        decision
                    })
                })
                .collect();
            let mut decisions = Vec::new();
            for call in calls {
                decisions.push(call.await.unwrap());
            }
            let rotated = decisions.iter().filter(|decision| matches!(decision, Decision::Rotate { .. })).count();
            let replayed = decisions.iter().filter(|decision| **decision == Decision::Replay).count();
            assert_eq!((rotated, replayed), (1, decisions.len() - 1), "{decisions:?}");
            races += 1;
        }
    }
    println!("{races} races of 2 to 50 over two replicas, on one server and on a Cluster: one rotation each");
}

#[tokio::test]
async fn a_session_that_ends_or_expires_is_gone_from_redis() {
    let redis = Redis::start(&[]);
    let store = opened(&options(&redis.url())).await;
    let now = SystemClock.now();
    let mut sessions: Vec<_> = (0..3).map(|number| session(number, now)).collect();
    sessions[1].expires_at = now.plus(Duration::from_millis(1_500));
    sessions[2].idle = Duration::from_secs(1);
    for session in &sessions {
        assert_eq!(store.insert(session).await.unwrap(), Insert::Inserted);
    }
    let keys = || redis.ask(&["KEYS", "test*"]).lines().filter(|line| !line.is_empty()).count();
    assert_eq!(keys(), 3);
    assert!(store.end(sessions[0].id).await.unwrap());
    assert!(!store.end(sessions[0].id).await.unwrap());
    eventually("all of them are gone", || keys() == 0);
    for session in &sessions {
        assert!(store.list_by_user(session.user, None, 10).await.unwrap().sessions.is_empty());
    }
    // Nothing of them is left in the hashes: by those who looked, or with the whole bucket.
    let left: Vec<String> =
        redis.ask(&["KEYS", "*:u:*"]).lines().map(|key| redis.ask(&["HLEN", key])).filter(|n| n != "0").collect();
    assert!(left.is_empty(), "{left:?}");
}
