//! Failed attempts and registrations: what a store decides is what the pure decision says, whoever asks at once. One text
//! for both databases, for a Redis and for a Cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use signet::users::LoginName;
use signet::users::attempts::{
    Admission, Attempt, AttemptStore, Counted, FAILURES_KEPT, Limits, Mark, NameRecord, PLACE_KEPT, Prefix,
    RegistrationLimits, Standing, Tally, decide, decide_registration, take_back, take_back_of_address,
};

use super::{Database, InRedis, at_once, on_each_store};
use crate::app::HeldClock;
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

#[async_trait(?Send)]
impl Counting for InRedis {
    async fn open(&self) -> Arc<dyn AttemptStore> {
        Arc::new(InRedis::open(self).await)
    }

    fn clock(&self) -> &HeldClock {
        &self.clock
    }
}

on_each_store![
    the_store_decides_as_the_pure_decision_does,
    of_a_hundred_attempts_at_once_only_the_free_ones_are_admitted,
    what_was_not_made_or_was_cleared_no_longer_counts,
    an_owner_is_known_at_every_name_and_where_a_link_was_used,
    attempts_at_many_names_from_many_places_at_once_never_stand_in_each_others_way,
    registrations_are_decided_as_the_pure_decision_does,
];

fn limits() -> Limits {
    Limits::new(20, 600)
}

fn at(name: &str, address: &str) -> Attempt {
    Attempt::of(&LoginName::parse(name), address.parse::<IpAddr>().unwrap())
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
    // Few enough to meet again, and more than an owner is known at.
    let places: Vec<Prefix> = (1..=20).map(|number| Prefix::from_bits(number << 30)).collect();
    let pauses = [0, 0, 400, 1_700, 5_000, 61_000, 130_000, 310_000];
    let limits = Limits::new(6, 12);
    let (mut seen, mut marks) = ([0_u32; 6], [0_u32; 3]);
    for _ in 0..rounds() {
        let long = if random.below(60) == 0 { 100_000_000 } else { 0 };
        clock.advance(Duration::from_millis(pauses[random.below(pauses.len())] + long));
        let place = if random.below(3) == 0 { random.below(places.len()) } else { random.below(2) };
        let attempt = Attempt { name: names[random.below(3)], prefix: places[place] };
        let now = signet::ports::Clock::now(clock);
        let expected = model.change(&attempt, |standing| decide(standing, attempt.prefix, &limits, now));
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
                store.succeeded(&names[..2], attempt.prefix, Some(counted)).await.unwrap();
                model.change(&attempt, |standing| {
                    if counted == Counted::AsStranger {
                        take_back_of_address(&mut standing.prefix, &mut standing.all);
                    }
                });
                for name in &names[..2] {
                    model.names.entry(*name).or_default().succeeded(attempt.prefix, now);
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
                model.names.entry(names[0]).or_default().cleared();
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

async fn an_owner_is_known_at_every_name_and_where_a_link_was_used(backend: &dyn Counting) {
    let store = backend.open().await;
    let names = digests(["ann", "ann@example.com"]);
    let counted = admitted(&*store, &at("ann", HOME)).await;
    assert_eq!(counted, Counted::AsStranger);
    store.succeeded(&names, at("ann", HOME).prefix, Some(counted)).await.unwrap();
    store.succeeded(&names, at("ann", AWAY).prefix, None).await.unwrap();
    for (name, place) in [("ann", HOME), ("ann@example.com", HOME), ("ann", AWAY), ("ann@example.com", AWAY)] {
        assert_eq!(admitted(&*store, &at(name, place)).await, Counted::AsOwner, "{name} {place}");
    }
    backend.clock().advance(PLACE_KEPT);
    assert_eq!(admitted(&*store, &at("ann", HOME)).await, Counted::AsStranger);
}

async fn attempts_at_many_names_from_many_places_at_once_never_stand_in_each_others_way(backend: &dyn Counting) {
    let (one, two) = (backend.open().await, backend.open().await);
    let names: Vec<_> = (0..6).map(|place| LoginName::parse(&format!("user-{place}")).digest()).collect();
    let done = at_once((0..120_usize).map(|place| {
        let store = Arc::clone(if place % 2 == 0 { &one } else { &two });
        let names = names.clone();
        async move {
            let prefix = Prefix::from_bits((place % 5) as u64);
            let attempt = Attempt { name: names[place % 6], prefix };
            if let Admission::Admitted { counted, .. } = store.admit(&attempt, &limits()).await.unwrap() {
                // In both orders: the store has its own.
                let both = [names[place % 6], names[(place + 1 + place / 6) % 6]];
                store.succeeded(&both, prefix, Some(counted)).await.unwrap();
            }
        }
    }))
    .await;
    assert_eq!(done.len(), 120);
    // Nothing is left of them but the places.
    for name in &names {
        for prefix in (0..5).map(Prefix::from_bits) {
            let attempt = Attempt { name: *name, prefix };
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

/// In a database, what is long past takes no room for long.
mod purge {
    use super::*;
    use crate::store::contract;

    contract!(what_is_long_past_is_purged_and_known_places_are_kept);

    async fn what_is_long_past_is_purged_and_known_places_are_kept(database: &Database) {
        let store = Database::open(database).await;
        for name in ["ann", "bob"] {
            let counted = admitted(&store, &at(name, HOME)).await;
            if name == "ann" {
                store.succeeded(&digests(["ann"]), at(name, HOME).prefix, Some(counted)).await.unwrap();
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
        assert_eq!(admitted(&store, &at("ann", HOME)).await, Counted::AsOwner);
        store.purge_expired(database.now().plus(PLACE_KEPT + Duration::from_secs(60))).await.unwrap();
        assert_eq!(database.count("login_attempts").await, 0);
    }
}
