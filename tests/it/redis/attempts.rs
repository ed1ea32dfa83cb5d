//! Attempts to log in, counted in Redis: one round trip each, keys that end by themselves, and the room they take.

use std::time::{Duration, Instant};

use signet::store::redis::{Options, RedisStore};
use signet::users::LoginName;
use signet::users::attempts::{
    Admission, Attempt, AttemptStore, Caller, Counted, DeviceTag, Limits, RegistrationLimits,
};

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
    let device = Some(DeviceTag::from_bits(u64::MAX - 1));
    Attempt::of(&LoginName::parse(name), Caller { address: "2001:db8::1".parse().unwrap(), device })
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
    assert_eq!(as_whom, Counted::AsStranger);
    store.succeeded(&names, of_ann.device, Some(of_ann.prefix)).await.unwrap();
    let as_whom = counted(store, &at("bob")).await;
    store.not_made(&at("bob"), as_whom).await.unwrap();
    store.clear(&names[1..]).await.unwrap();
    counted(store, &at("bob")).await;
    for _ in 0..2 {
        assert_eq!(store.admit_registration(of_ann.prefix, &registrations()).await.unwrap(), None);
    }
    store.registration_not_made(of_ann.prefix).await.unwrap();
}

#[tokio::test]
async fn each_act_is_one_round_trip() {
    let proxy = Proxy::before(&Redis::shared().url());
    // Other tests share this machine: of two round trips each would be longer than what is allowed for one.
    let store = opened(&Options { timeout: Duration::from_secs(5), ..options(&proxy.url) }).await;
    // The first tells Redis the scripts.
    of_every_kind(&store).await;
    proxy.delay(Duration::from_millis(400));
    for name in ["carl", "dora", "emil"] {
        let begun = Instant::now();
        let as_whom = counted(&store, &at(name)).await;
        let admitted = begun.elapsed();
        assert_eq!(as_whom, Counted::AsStranger);
        store.succeeded(&[at(name).name], at(name).device, Some(at(name).prefix)).await.unwrap();
        for took in [admitted, begun.elapsed() - admitted] {
            assert!(took < Duration::from_millis(790), "{took:?}");
        }
    }
}

#[tokio::test]
async fn what_is_forgiven_is_gone_and_a_name_takes_little_room() {
    let redis = Redis::start(&[]);
    let store = opened(&Options { timeout: Duration::from_secs(10), ..options(&redis.url()) }).await;
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
    // Names with one device each, as most people have.
    let before = redis.info("used_memory");
    const NAMES: u64 = 5_000;
    for number in 0..NAMES {
        let attempt = at(&format!("user-{number}"));
        store.succeeded(&[attempt.name], attempt.device, None).await.unwrap();
    }
    let each = (redis.info("used_memory") - before) / NAMES;
    println!("a name with one known device takes {each} bytes");
    assert!(each < 250, "{each}");
}

#[tokio::test]
async fn a_name_of_the_former_layout_keeps_its_failures_and_has_no_device() {
    let redis = Redis::start(&[]);
    let store = opened(&Options { timeout: Duration::from_secs(10), ..options(&redis.url()) }).await;
    for _ in 0..3 {
        counted(&store, &at("ann")).await;
    }
    let key = redis.ask(&["KEYS", "*:n:*"]);
    // Version 1, and a known place where devices are now: with the very bits of the device.
    let script = "local text = redis.call('GET', KEYS[1]) \
        local place = string.char(255, 255, 255, 255, 255, 255, 255, 254) .. string.sub(text, 6, 11) \
        text = string.char(1) .. string.sub(text, 2, 21) .. string.char(1) .. place .. string.sub(text, 23) \
        redis.call('SET', KEYS[1], text, 'KEEPTTL') return #text";
    let length = redis.ask(&["EVAL", script, "1", &key]);
    assert_eq!(length, (22 + 14 + 18).to_string());
    assert_eq!(counted(&store, &at("ann")).await, Counted::AsStranger);
    // The fifth has to wait as if nothing had happened in between.
    assert!(matches!(store.admit(&at("ann"), &limits()).await.unwrap(), Admission::Wait(_)));
    assert_eq!(redis.ask(&["EVAL", "return #redis.call('GET', KEYS[1])", "1", &key]), (22 + 18).to_string());
}
