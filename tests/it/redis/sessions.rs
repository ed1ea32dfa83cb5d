//! Sessions in Redis: that its script decides as the domain does, in one round trip; what they take; what is on paper.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use signet::clients::{ClientId, Insert, ResourceId, ScopeSet};
use signet::ports::{Clock, StoreError, SystemClock, Timestamp};
use signet::secret::sha256;
use signet::store::redis::{Options, RedisStore};
use signet::tokens::session::{
    AddressPrefix, Amr, ClientBinding, Decision, Delivery, DeviceLabel, Generation, MacKeyId, Motion, Presented,
    Presenter, RefreshPolicy, Rotation, Session, SessionGrant, SessionId, SessionStore, decide,
};
use uuid::Uuid;

use super::connection::{cluster, open, opened, options};
use super::{Cluster, Redis, Watched, eventually};
use crate::app::HeldClock;
use crate::proxy::Proxy;

const PAPER: &str = include_str!("../../../docs/redis.md");
pub(super) const POLICY: RefreshPolicy = RefreshPolicy { grace: Duration::from_secs(10) };
const BOUND: Duration = Duration::from_millis(250);
pub(super) const NEXT_KEY: MacKeyId = MacKeyId(9);

/// One of a public client that begins now; `number` tells it from others, and its person from other persons.
pub(super) fn session(number: u32, now: Timestamp) -> Session {
    let id = sha256(&number.to_be_bytes());
    Session {
        id: SessionId::from_bytes(*id.first_chunk().unwrap()),
        user: Uuid::from_u128(u128::from(number)),
        client: ClientId::parse("web").unwrap(),
        binding: ClientBinding::Public,
        grant: SessionGrant {
            resource: ResourceId::from_stored("https://api.example"),
            scope: ScopeSet::parse("read write").unwrap(),
        },
        rotation: Rotation::Rotates,
        delivery: Delivery::Body,
        created_at: now,
        auth_time: now,
        amr: vec![Amr::Password],
        idle: Duration::from_secs(14 * 86_400),
        expires_at: now.plus(Duration::from_secs(90 * 86_400)),
        device: DeviceLabel::fitting("Firefox on Linux"),
        address: Some(AddressPrefix::V4([192, 0, 2])),
        motion: Motion { generation: Generation::FIRST, mac_key: MacKeyId(1), rotated_at: None, last_used_at: now },
    }
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
    let store = held(&Options { timeout: Duration::from_secs(10), ..options(&redis.url()) }, &clock).await;
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

/// It is copied into its box with every refresh: with all that hardly ever happens in it, that took a twentieth of one.
#[tokio::test]
async fn the_future_of_a_refresh_is_small() {
    let store = opened(&options(&Redis::shared().url())).await;
    let session = session(1, SystemClock.now());
    let presented = presented(&session, 0);
    let swap = store.swap(&presented, NEXT_KEY, &POLICY);
    let size = size_of_val(&*swap);
    println!("the future of a refresh: {size} bytes");
    assert!(size <= 12 * 1024, "{size}");
    assert!(swap.await.unwrap().before.is_none());
}

#[tokio::test]
async fn of_many_at_once_one_rotates_on_one_server_and_on_a_cluster() {
    let mut races = 0;
    for options in [options(&Redis::shared().url()), cluster(Cluster::shared())] {
        let options = Options { timeout: Duration::from_secs(10), ..options };
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

/// Fails in time with that word of a reason, for as long as `broken`, and then works.
async fn writes_fail(redis: &Redis, what: &str, breaks: &[&str], mends: &[&str]) {
    let store = opened(&options(&redis.url())).await;
    let now = SystemClock.now();
    let (known, new) = (session(1, now), session(2, now));
    assert_eq!(store.insert(&known).await.unwrap(), Insert::Inserted);
    redis.tell(breaks);
    let (mut slowest, mut failed) = (Duration::ZERO, 0);
    for _ in 0..50 {
        let begun = Instant::now();
        let inserted = store.insert(&new).await.unwrap_err();
        let swapped = store.swap(&presented(&known, 0), NEXT_KEY, &POLICY).await.unwrap_err();
        slowest = slowest.max(begun.elapsed());
        for error in [inserted, swapped] {
            assert!(matches!(&error, StoreError::Unavailable(why) if why.contains(what)), "{error}");
            failed += 1;
        }
    }
    assert!(slowest < BOUND, "{slowest:?}");
    redis.tell(mends);
    let begun = Instant::now();
    while store.insert(&new).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let swapped = store.swap(&presented(&known, 0), NEXT_KEY, &POLICY).await.unwrap();
    assert!(swapped.moved && swapped.before == Some(known), "nothing moved meanwhile");
    println!("{what}: {failed} writes refused, two within {slowest:?}; works again after {:?}", begun.elapsed());
}

#[tokio::test]
async fn without_memory_or_replicas_writes_fail_in_time_and_go_on_when_they_can() {
    let redis = Redis::start(&["enable-debug-command yes"]);
    writes_fail(&redis, "memory is full", &["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"])
        .await;
    let [breaks, mends] = ["1", "0"].map(|replicas| ["CONFIG", "SET", "min-replicas-to-write", replicas]);
    writes_fail(&redis, "too few replicas", &breaks, &mends).await;
    writes_fail(&redis, "is a replica", &["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]).await;
}

#[tokio::test]
async fn a_restart_keeps_sessions_with_a_log_and_loses_them_without() {
    let redis = Redis::start(&["appendonly yes", "appendfsync always"]);
    let store = opened(&options(&redis.url())).await;
    let sessions: Vec<_> = (0..50).map(|number| session(number, SystemClock.now())).collect();
    for session in &sessions {
        assert_eq!(store.insert(session).await.unwrap(), Insert::Inserted);
    }
    let again = async || {
        redis.start_again();
        while store.load(sessions[0].id).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    redis.kill();
    again().await;
    for session in &sessions {
        assert_eq!(store.load(session.id).await.unwrap().as_ref(), Some(session));
        assert!(store.swap(&presented(session, 0), NEXT_KEY, &POLICY).await.unwrap().moved);
    }
    redis.kill();
    redis.wipe();
    again().await;
    for session in &sessions {
        assert_eq!(store.load(session.id).await.unwrap(), None);
        assert_eq!(store.swap(&presented(session, 1), NEXT_KEY, &POLICY).await.unwrap().before, None);
        assert_eq!(store.list_by_user(session.user, None, 10).await.unwrap().sessions, []);
    }
    println!("restarted with its log: {} sessions as they were; restarted empty: none", sessions.len());
}

/// The text between a mark in the paper and the end of the fenced block after it.
fn block(mark: &str) -> String {
    let rest = PAPER.split(&format!("<!-- redis: {mark} -->\n```\n")).nth(1).expect("the block");
    rest.split("\n```").next().unwrap().to_owned()
}

#[tokio::test]
async fn the_keys_on_paper_are_those_that_are_there() {
    let redis = Redis::start(&[]);
    let store = opened(&options(&redis.url())).await;
    let namespace = options_namespace(&redis);
    for number in 0..20 {
        assert_eq!(store.insert(&session(number, SystemClock.now())).await.unwrap(), Insert::Inserted);
    }
    super::attempts::of_every_kind(&store).await;
    let pattern = |row: &str| {
        let key = row.split('`').nth(1).unwrap().replace("signet", &namespace);
        let shape: String = key.replace("SID", &"?".repeat(22)).replace("BUCKET", "????");
        let shape = shape.replace("NAME", &"?".repeat(22)).replace("PREFIX", &"?".repeat(11));
        (shape, row.split('|').nth(2).unwrap().trim().to_owned())
    };
    let rows: Vec<_> = PAPER
        .lines()
        .filter(|line| line.starts_with("| `{signet") || line.starts_with("| `signet:"))
        .map(pattern)
        .collect();
    assert_eq!(rows.len(), 9);
    let mut unknown: Vec<String> = redis.ask(&["KEYS", "*"]).lines().map(str::to_owned).collect();
    for (shape, kind) in &rows {
        let found = redis.ask(&["KEYS", &shape.replace('{', "[{]").replace('}', "[}]")]);
        assert!(!found.is_empty(), "no key is like {shape}");
        for key in found.lines() {
            assert_eq!(redis.ask(&["TYPE", key]), *kind, "{key}");
            assert_eq!(redis.ask(&["PTTL", key]) == "-1", shape.ends_with("layout"), "{key}");
        }
        unknown.retain(|key| !found.lines().any(|known| known == key));
    }
    assert!(unknown.is_empty(), "not on paper: {unknown:?}");
}

/// Of the store that was opened last on that server.
fn options_namespace(redis: &Redis) -> String {
    let key = redis.ask(&["KEYS", "*:layout"]);
    key.trim_start_matches('{').split('}').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_users_on_paper_may_do_what_they_need_and_no_more() {
    let [own, reader] = ["signet", "reader"].map(|user| block(&format!("acl {user}")));
    let own = format!("{own} +wait");
    let redis = Redis::start(&[&own, &reader]);
    let at = |user: &str, password: &str| {
        let mut options = options(&redis.url().replace("redis://", &format!("redis://{user}:{password}@")));
        options.namespace = signet::store::redis::Namespace::parse("signet").unwrap();
        options
    };
    let store = opened(&Options { wait_replicas: 0, ..at("signet", "change-me") }).await;
    let now = SystemClock.now();
    let all: Vec<_> = (0..5).map(|number| Session { user: Uuid::nil(), ..session(number, now) }).collect();
    for session in &all {
        assert_eq!(store.insert(session).await.unwrap(), Insert::Inserted);
        assert!(store.swap(&presented(session, 0), NEXT_KEY, &POLICY).await.unwrap().moved);
        assert!(store.load(session.id).await.unwrap().is_some());
    }
    assert_eq!(store.list_by_user(Uuid::nil(), None, 10).await.unwrap().sessions.len(), 5);
    assert!(store.list_by_client(&all[0].client, None, 10).await.unwrap().next.is_some());
    assert!(store.end(all[0].id).await.unwrap());
    super::attempts::of_every_kind(&store).await;
    let denied = redis.ask(&["ACL", "LOG"]);
    assert!(denied.is_empty() || denied.contains("config|get") && !denied.contains("reason\nkey"), "{denied}");
    // Nothing of another namespace.
    let mut other = at("signet", "change-me");
    other.namespace = signet::store::redis::Namespace::parse("other").unwrap();
    let refused = open(&other).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(why) if why.contains("docs/redis.md")), "{refused}");
    let key = format!("signet:{}", all[1].id);
    let ask = |command: &[&str]| {
        let user = ["--user", "signet-reader", "--pass", "change-me-too", "--no-auth-warning"];
        redis.ask(&[&user[..], command].concat())
    };
    assert_eq!(ask(&["EXISTS", &key]), "1");
    for command in
        [&["DEL", &key][..], &["SET", &key, "x"], &["EVAL", "return 1", "0"], &["GET", "else"], &["KEYS", "*"]]
    {
        assert!(ask(command).starts_with("NOPERM"), "{command:?}");
    }
}

/// What a session takes at a million of them. For fewer, as many fewer buckets are used, so that each is as full.
#[tokio::test]
async fn a_session_takes_less_than_400_bytes_at_a_million() {
    const MILLION: u32 = 1_000_000;
    let full = std::env::var("SIGNET_TEST_SCALE").is_ok_and(|scale| scale == "full");
    let count = if full { MILLION } else { MILLION / 20 };
    let first_bytes = |bytes: &[u8]| u32::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    let fits = |bytes: &[u8]| u64::from(first_bytes(bytes)) * u64::from(MILLION) < u64::from(count) << 16;
    let redis = Redis::start(&[]);
    let store = opened(&Options { timeout: Duration::from_secs(10), ..options(&redis.url()) }).await;
    let now = SystemClock.now();
    let before = redis.info("used_memory");
    let mut inserting = tokio::task::JoinSet::new();
    let mut user = 0_u128;
    for number in 0..count {
        let mut session = session(number, now);
        let spread = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let mut id = *session.id.as_bytes();
        let within = u32::from(u16::from_be_bytes([spread[0], spread[1]])) * (count / 1_000) / (MILLION / 1_000);
        id[..2].copy_from_slice(&u16::try_from(within).unwrap().to_be_bytes());
        session.id = SessionId::from_bytes(id);
        loop {
            user += 1;
            if fits(&sha256(Uuid::from_u128(user).as_bytes())) {
                break;
            }
        }
        session.user = Uuid::from_u128(user);
        session.client = ClientId::parse(&format!("c_{}", "0".repeat(32))).unwrap();
        session.device = DeviceLabel::fitting(&"x".repeat(32));
        let store = store.clone();
        inserting.spawn(async move { store.insert(&session).await.unwrap() });
        if inserting.len() == 256 {
            assert_eq!(inserting.join_next().await.unwrap().unwrap(), Insert::Inserted);
        }
    }
    while let Some(inserted) = inserting.join_next().await {
        assert_eq!(inserted.unwrap(), Insert::Inserted);
    }
    let each = (redis.info("used_memory") - before) / u64::from(count);
    let size = |kind: &str| {
        redis.ask(&["EVAL", "local n, c = 0, '0' repeat local r = redis.call('SCAN', c, 'MATCH', ARGV[1], 'COUNT', 1000) c = r[1] n = n + #r[2] until c == '0' return n", "0", kind])
    };
    println!(
        "{count} sessions in {} and {} buckets: {each} bytes each, label of 32 bytes and both entries included",
        size("*:u:*"),
        size("*:n:*")
    );
    assert!(each < 400, "{each}");
}
