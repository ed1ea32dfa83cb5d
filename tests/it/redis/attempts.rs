//! Attempts to log in, counted in Redis: one round trip each, keys that end by themselves, and the room they take.

use std::time::{Duration, Instant};

use signet::store::redis::RedisStore;
use signet::users::LoginName;
use signet::users::attempts::{Admission, Attempt, AttemptStore, Counted, Limits, RegistrationLimits};

use super::connection::{opened, options};
use super::{Redis, eventually};
use crate::proxy::Proxy;

fn limits() -> Limits {
    Limits::new(20, 600)
}

fn registrations() -> RegistrationLimits {
    RegistrationLimits::new(10, 300)
}

fn at(name: &str) -> Attempt {
    Attempt::of(&LoginName::parse(name), "2001:db8::1".parse().unwrap())
}

async fn counted(store: &RedisStore, attempt: &Attempt) -> Counted {
    match store.admit(attempt, &limits()).await.unwrap() {
        Admission::Admitted { counted, .. } => counted,
        Admission::Wait(wait) => panic!("turned away for {wait:?}"),
    }
}

/// Calls each act once, and leaves a key of each kind.
pub async fn of_every_kind(store: &RedisStore) {
    let names = ["ann", "ann@example.com"].map(|name| LoginName::parse(name).digest());
    let of_ann = at("ann");
    let as_whom = counted(store, &of_ann).await;
    store.succeeded(&names, of_ann.prefix, Some(as_whom)).await.unwrap();
    let as_whom = counted(store, &at("bob")).await;
    store.not_made(&at("bob"), as_whom).await.unwrap();
    store.clear(&names).await.unwrap();
    counted(store, &at("bob")).await;
    for _ in 0..2 {
        assert_eq!(store.admit_registration(of_ann.prefix, &registrations()).await.unwrap(), None);
    }
    store.registration_not_made(of_ann.prefix).await.unwrap();
}

#[tokio::test]
async fn each_act_is_one_round_trip() {
    let proxy = Proxy::before(&Redis::shared().url());
    // Two round trips would take longer than what is allowed for one on a busy machine.
    let store = opened(&options(&proxy.url)).await;
    // The first tells Redis the scripts.
    of_every_kind(&store).await;
    proxy.delay(Duration::from_millis(400));
    for name in ["carl", "dora", "emil"] {
        let begun = Instant::now();
        let as_whom = counted(&store, &at(name)).await;
        let admitted = begun.elapsed();
        store.succeeded(&[at(name).name], at(name).prefix, Some(as_whom)).await.unwrap();
        for took in [admitted, begun.elapsed() - admitted] {
            assert!(took < Duration::from_millis(790), "{took:?}");
        }
    }
}

#[tokio::test]
async fn what_is_forgiven_is_gone_and_a_name_takes_little_room() {
    let redis = Redis::start(&[]);
    let store = opened(&options(&redis.url())).await;
    let keys = || redis.ask(&["KEYS", "*:login}*"]).lines().filter(|line| !line.is_empty()).count();
    let as_whom = counted(&store, &at("ann")).await;
    assert_eq!(keys(), 3);
    store.not_made(&at("ann"), as_whom).await.unwrap();
    eventually("nothing is left of what was not made", || keys() == 0);
    counted(&store, &at("ann")).await;
    let ttl = |like: &str| {
        let key = redis.ask(&["KEYS", like]);
        redis.ask(&["PTTL", &key]).parse::<u64>().unwrap() / 1_000
    };
    // With a minute to spare: a prefix is forgiven in a minute, all at the rate of the setting, a pair in two days.
    for (like, seconds) in [("*:n:*", 2 * 86_400 + 60), ("*:p:*", 120), ("*:all", 60)] {
        let left = ttl(like);
        assert!((seconds - 20..=seconds).contains(&left), "{like}: {left}");
    }
    // Names at one place each, as most people are.
    let before = redis.info("used_memory");
    const NAMES: u64 = 5_000;
    for number in 0..NAMES {
        let attempt = at(&format!("user-{number}"));
        store.succeeded(&[attempt.name], attempt.prefix, None).await.unwrap();
    }
    let each = (redis.info("used_memory") - before) / NAMES;
    println!("a name with one known place takes {each} bytes");
    assert!(each < 250, "{each}");
}
