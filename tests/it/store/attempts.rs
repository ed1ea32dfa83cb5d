//! Failed attempts and registrations: what a store decides is what the pure decision says, whoever asks at once. One text
//! for both databases, for a Redis and for a Cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use signet::store::redis::{Options, RedisStore};
use signet::users::LoginName;
use signet::users::attempts::{
    Admission, Attempt, AttemptStore, Caller, Counted, DEVICE_KEPT, DeviceTag, FAILURES_KEPT, Limits, Mark, NameRecord,
    Prefix, RegistrationLimits, Standing, Tally, decide, decide_registration, take_back, take_back_of_address,
};

use super::{Database, at_once, contract};
use crate::app::{Backend, HeldClock};
use crate::redis::{Cluster, Redis, connection};
use crate::rotation::load::Random;

const DAY: Duration = Duration::from_secs(86_400);

/// Where attempts are counted.
#[async_trait(?Send)]
trait Counting {
    /// Opens it, as one more process does.
    async fn open(&self) -> Arc<dyn AttemptStore>;

    /// The clock that holds the store's time too.
    fn clock(&self) -> &HeldClock;
}

#[async_trait(?Send)]
impl Counting for Database {
    async fn open(&self) -> Arc<dyn AttemptStore> {
        Arc::new(Database::open(self).await)
    }

    fn clock(&self) -> &HeldClock {
        &self.clock
    }
}

/// A namespace of its own in a Redis that all tests share.
struct InRedis {
    options: Options,
    clock: HeldClock,
}

impl InRedis {
    fn with(options: Options) -> Self {
        // Other tests share this machine.
        Self { options: Options { timeout: Duration::from_secs(10), ..options }, clock: HeldClock::new() }
    }
}

#[async_trait(?Send)]
impl Counting for InRedis {
    async fn open(&self) -> Arc<dyn AttemptStore> {
        Arc::new(RedisStore::open(&self.options, Arc::new(self.clock.clone())).await.unwrap())
    }

    fn clock(&self) -> &HeldClock {
        &self.clock
    }
}

/// Makes a module of tests, one of each law, on a backend.
macro_rules! on {
    ($module:ident, $backend:expr) => {
        on!(@laws $module, $backend, [
            the_store_decides_as_the_pure_decision_does,
            of_a_hundred_attempts_at_once_only_the_free_ones_are_admitted,
            what_was_not_made_or_was_cleared_no_longer_counts,
            a_device_is_known_at_every_name_whatever_its_address_until_it_is_forgotten,
            attempts_at_many_names_from_many_places_at_once_never_stand_in_each_others_way,
            registrations_are_decided_as_the_pure_decision_does,
        ]);
    };
    (@laws $module:ident, $backend:expr, [$($law:ident),+ $(,)?]) => {
        mod $module {
            use super::*;

            $(#[actix_web::test]
            async fn $law() {
                super::$law(&$backend).await;
            })+
        }
    };
}

on!(on_sqlite, Database::new(Backend::Sqlite));
on!(on_postgres, Database::new(Backend::Postgres));
on!(on_redis, InRedis::with(connection::options(&Redis::shared().url())));
on!(on_redis_cluster, InRedis::with(connection::cluster(Cluster::shared())));

contract!(what_is_long_past_is_purged_and_known_devices_are_kept);

fn limits() -> Limits {
    Limits::new(20, 600)
}

fn at(name: &str, address: &str) -> Attempt {
    let address = address.parse::<IpAddr>().unwrap();
    Attempt::of(&LoginName::parse(name), Caller { address, device: None })
}

fn on(attempt: Attempt, device: u64) -> Attempt {
    Attempt { device: Some(DeviceTag::from_bits(device)), ..attempt }
}

/// Where a failure taken back was counted.
fn stranger_at(attempt: &Attempt, counted: Counted) -> Option<Prefix> {
    (counted == Counted::AsStranger).then_some(attempt.prefix)
}

fn digests<const N: usize>(names: [&str; N]) -> [[u8; 32]; N] {
    names.map(|name| LoginName::parse(name).digest())
}

async fn admitted(store: &dyn AttemptStore, attempt: &Attempt) -> Counted {
    match store.admit(attempt, &limits()).await.unwrap() {
        Admission::Admitted { counted, .. } => counted,
        Admission::Wait(wait) => panic!("turned away for {wait:?}"),
    }
}

const HOME: &str = "192.0.2.1";
const AWAY: &str = "2001:db8::1";

/// What a store keeps, in memory.
#[derive(Default)]
struct Model {
    names: BTreeMap<[u8; 32], NameRecord>,
    prefixes: BTreeMap<Prefix, Tally>,
    all: Tally,
}

impl Model {
    fn change<T>(&mut self, attempt: &Attempt, act: impl FnOnce(&mut Standing) -> T) -> T {
        let name = self.names.entry(attempt.name).or_default();
        let prefix = self.prefixes.entry(attempt.prefix).or_default();
        let mut standing = Standing { name: name.clone(), prefix: *prefix, all: self.all };
        let done = act(&mut standing);
        (*name, *prefix, self.all) = (standing.name, standing.prefix, standing.all);
        done
    }
}

/// So many random attempts.
fn rounds() -> usize {
    if std::env::var("SIGNET_TEST_SCALE").is_ok_and(|scale| scale == "full") { 20_000 } else { 2_500 }
}

async fn the_store_decides_as_the_pure_decision_does(backend: &dyn Counting) {
    let (store, clock, mut random, mut model) =
        (backend.open().await, backend.clock(), Random::new(7), Model::default());
    let names = digests(["ann", "ann@example.com", "bob"]);
    // Few enough to meet again, and of devices more than are known.
    let places: Vec<Prefix> = (1..=20).map(|number| Prefix::from_bits(number << 30)).collect();
    let devices: Vec<DeviceTag> = (1..=20).map(|number| DeviceTag::from_bits(u64::MAX / number)).collect();
    let pauses = [0, 0, 400, 1_700, 5_000, 61_000, 130_000, 310_000];
    let limits = Limits::new(6, 12);
    let (mut seen, mut marks) = ([0_u32; 6], [0_u32; 3]);
    for _ in 0..rounds() {
        let long = if random.below(60) == 0 { 100_000_000 } else { 0 };
        clock.advance(Duration::from_millis(pauses[random.below(pauses.len())] + long));
        let place = if random.below(3) == 0 { random.below(places.len()) } else { random.below(2) };
        let device = if random.below(3) == 0 { random.below(devices.len()) } else { random.below(2) };
        let device = (random.below(8) > 0).then(|| devices[device]);
        let attempt = Attempt { name: names[random.below(3)], prefix: places[place], device };
        let now = signet::ports::Clock::now(clock);
        let expected = model.change(&attempt, |standing| decide(standing, &attempt, &limits, now));
        let decided = store.admit(&attempt, &limits).await.unwrap();
        assert_eq!(decided, expected, "{attempt:?} {:?}", model.names[&attempt.name]);
        let Admission::Admitted { counted, mark } = decided else {
            seen[0] += 1;
            continue;
        };
        seen[1 + usize::from(counted == Counted::AsOwner)] += 1;
        marks[mark.map_or(0, |mark| 1 + usize::from(mark == Mark::Limited))] += 1;
        match random.below(40) {
            0 => {
                let stranger_at = stranger_at(&attempt, counted);
                store.succeeded(&names[..2], attempt.device, stranger_at).await.unwrap();
                model.change(&attempt, |standing| {
                    if counted == Counted::AsStranger {
                        take_back_of_address(&mut standing.prefix, &mut standing.all);
                    }
                });
                for name in &names[..2] {
                    model.names.entry(*name).or_default().succeeded(attempt.device, stranger_at, now);
                }
                seen[3] += 1;
            }
            1 => {
                store.not_made(&attempt, counted).await.unwrap();
                model.change(&attempt, |standing| take_back(standing, attempt.prefix, counted));
                seen[4] += 1;
            }
            2 => {
                store.clear(&names[..1]).await.unwrap();
                model.names.remove(&names[0]);
                seen[5] += 1;
            }
            _ => {}
        }
    }
    let [waits, strangers, owners, successes, not_made, cleared] = seen;
    println!(
        "attempts decided alike: {waits} waits, {strangers} of strangers, {owners} of owners, {successes} successes, \
         {not_made} not made, {cleared} cleared; marks {marks:?}"
    );
    assert!(seen.iter().chain(&marks).all(|count| *count > 0), "never tried: {seen:?} {marks:?}");
}

async fn of_a_hundred_attempts_at_once_only_the_free_ones_are_admitted(backend: &dyn Counting) {
    let (one, two) = (backend.open().await, backend.open().await);
    let outcomes = at_once((0..100).map(|place| {
        let store = Arc::clone(if place % 2 == 0 { &one } else { &two });
        async move { store.admit(&at("ann", AWAY), &limits()).await.unwrap() }
    }))
    .await;
    let admitted = outcomes.iter().filter(|outcome| matches!(outcome, Admission::Admitted { .. })).count();
    assert_eq!(admitted, 4, "however many come at once");
}

async fn what_was_not_made_or_was_cleared_no_longer_counts(backend: &dyn Counting) {
    let store = backend.open().await;
    for _ in 0..40 {
        let counted = admitted(&*store, &at("ann", AWAY)).await;
        store.not_made(&at("ann", AWAY), counted).await.unwrap();
    }
    for _ in 0..4 {
        admitted(&*store, &at("ann", AWAY)).await;
    }
    assert!(matches!(store.admit(&at("ann", AWAY), &limits()).await.unwrap(), Admission::Wait(_)));
    store.clear(&digests(["ann", "nobody"])).await.unwrap();
    store.clear(&[]).await.unwrap();
    admitted(&*store, &at("ann", AWAY)).await;
}

async fn a_device_is_known_at_every_name_whatever_its_address_until_it_is_forgotten(backend: &dyn Counting) {
    let store = backend.open().await;
    let names = digests(["ann", "ann@example.com"]);
    let first = on(at("ann", HOME), 1);
    let counted = admitted(&*store, &first).await;
    assert_eq!(counted, Counted::AsStranger);
    store.succeeded(&names, first.device, Some(first.prefix)).await.unwrap();
    store.succeeded(&names, on(first, 2).device, None).await.unwrap();
    for (name, place) in [("ann", HOME), ("ann@example.com", HOME), ("ann", AWAY), ("ann@example.com", AWAY)] {
        for device in [1, 2] {
            assert_eq!(admitted(&*store, &on(at(name, place), device)).await, Counted::AsOwner, "{name} {place}");
            store.not_made(&on(at(name, place), device), Counted::AsOwner).await.unwrap();
        }
        // Nor is anybody known by an address.
        for stranger in [at(name, place), on(at(name, place), 3)] {
            assert_eq!(admitted(&*store, &stranger).await, Counted::AsStranger, "{name} {place}");
            store.not_made(&stranger, Counted::AsStranger).await.unwrap();
        }
    }
    // A success without a device makes none known, and forgets none.
    store.succeeded(&names, None, None).await.unwrap();
    assert_eq!(admitted(&*store, &on(first, 2)).await, Counted::AsOwner);
    // Another password forgets them all.
    store.clear(&names[1..]).await.unwrap();
    assert_eq!(admitted(&*store, &on(at("ann@example.com", HOME), 1)).await, Counted::AsStranger);
    backend.clock().advance(DEVICE_KEPT);
    assert_eq!(admitted(&*store, &on(first, 1)).await, Counted::AsStranger);
}

async fn what_is_long_past_is_purged_and_known_devices_are_kept(database: &Database) {
    let store = Database::open(database).await;
    for name in ["ann", "bob"] {
        let attempt = on(at(name, HOME), 1);
        let counted = admitted(&store, &attempt).await;
        if name == "ann" {
            store.succeeded(&digests(["ann"]), attempt.device, stranger_at(&attempt, counted)).await.unwrap();
        }
    }
    let registrations = RegistrationLimits::new(3, 60);
    assert_eq!(store.admit_registration(at("ann", HOME).prefix, &registrations).await.unwrap(), None);
    assert_eq!(database.count("login_attempts").await, 6);
    let now = database.now();
    store.purge_expired(now.plus(DAY * 2)).await.unwrap();
    assert_eq!(database.count("login_attempts").await, 2, "prefix and all are forgiven by then");
    store.purge_expired(now.plus(FAILURES_KEPT + Duration::from_secs(60))).await.unwrap();
    assert_eq!(database.count("login_attempts").await, 1);
    database.clock.advance(FAILURES_KEPT + Duration::from_secs(60));
    assert_eq!(admitted(&store, &on(at("ann", AWAY), 1)).await, Counted::AsOwner);
    store.purge_expired(database.now().plus(DEVICE_KEPT + Duration::from_secs(60))).await.unwrap();
    assert_eq!(database.count("login_attempts").await, 0);
}

async fn attempts_at_many_names_from_many_places_at_once_never_stand_in_each_others_way(backend: &dyn Counting) {
    let (one, two) = (backend.open().await, backend.open().await);
    let names: Vec<_> = (0..6).map(|place| LoginName::parse(&format!("user-{place}")).digest()).collect();
    let done = at_once((0..120_usize).map(|place| {
        let store = Arc::clone(if place % 2 == 0 { &one } else { &two });
        let names = names.clone();
        async move {
            let prefix = Prefix::from_bits((place % 5) as u64);
            let attempt = Attempt { name: names[place % 6], prefix, device: None };
            if let Admission::Admitted { counted, .. } = store.admit(&attempt, &limits()).await.unwrap() {
                // In both orders: the store has its own.
                let both = [names[place % 6], names[(place + 1 + place / 6) % 6]];
                store.succeeded(&both, None, stranger_at(&attempt, counted)).await.unwrap();
            }
        }
    }))
    .await;
    assert_eq!(done.len(), 120);
    // Nothing is left of them.
    for name in &names {
        for prefix in (0..5).map(Prefix::from_bits) {
            let attempt = Attempt { name: *name, prefix, device: None };
            // Of a prefix 20 are free at all names together.
            for _ in 0..3 {
                admitted(&*one, &attempt).await;
            }
            one.clear(&[*name]).await.unwrap();
        }
    }
}

async fn registrations_are_decided_as_the_pure_decision_does(backend: &dyn Counting) {
    let (store, clock, mut random) = (backend.open().await, backend.clock(), Random::new(7));
    let limits = RegistrationLimits::new(3, 30);
    let (mut prefixes, mut all, mut seen) = ([Tally::default(); 4], Tally::default(), [0_u32; 3]);
    for _ in 0..rounds() / 5 {
        clock.advance(Duration::from_millis([0, 0, 1_000, 90_000, 700_000][random.below(5)]));
        let place = random.below(4);
        let prefix = Prefix::from_bits(place as u64);
        let now = signet::ports::Clock::now(clock);
        let expected = decide_registration(&mut prefixes[place], &mut all, &limits, now);
        let decided = store.admit_registration(prefix, &limits).await.unwrap();
        assert_eq!(decided, expected.err());
        seen[usize::from(decided.is_none())] += 1;
        if decided.is_none() && random.below(8) == 0 {
            store.registration_not_made(prefix).await.unwrap();
            take_back_of_address(&mut prefixes[place], &mut all);
            seen[2] += 1;
        }
    }
    println!("registrations decided alike: {} waits, {} counted, {} taken back", seen[0], seen[1], seen[2]);
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}
