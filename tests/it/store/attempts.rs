//! Failed attempts: what the store decides is what the pure decision says, whoever asks at once.

use std::net::IpAddr;
use std::time::Duration;

use signet::users::LoginName;
use signet::users::attempts::{
    Admission, Attempt, AttemptStore, Counted, FAILURES_KEPT, Limits, NameRecord, PLACE_KEPT, Prefix, Standing, decide,
    take_back,
};

use super::{Database, at_once, contract};

contract! {
    the_store_decides_as_the_pure_decision_does,
    of_a_hundred_attempts_at_once_only_the_free_ones_are_admitted,
    what_was_not_made_or_was_cleared_no_longer_counts,
    what_is_long_past_is_purged_and_known_places_are_kept,
    attempts_at_many_names_from_many_places_at_once_never_stand_in_each_others_way,
}

fn limits() -> Limits {
    Limits::new(20, 600)
}

fn at(name: &str, address: &str) -> Attempt {
    Attempt::of(&LoginName::parse(name), address.parse::<IpAddr>().unwrap())
}

const HOME: &str = "192.0.2.1";
const AWAY: &str = "2001:db8::1";

async fn the_store_decides_as_the_pure_decision_does(database: &Database) {
    let store = database.open().await;
    // Two names, two places, and the same in a model.
    let names = ["ann", "ann@example.com"];
    let places = [HOME, AWAY];
    let mut records = [NameRecord::default(), NameRecord::default()];
    let mut tallies = [(); 2].map(|()| Standing::default().prefix);
    let mut all = Standing::default().all;
    let mut random = 0x9e37_79b9_u32;
    let mut draw = move |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % below
    };
    let mut seen = [0_u32; 3];
    for _ in 0..400 {
        let (name, place) = (draw(2) as usize, draw(2) as usize);
        database.clock.advance(Duration::from_millis([0, 400, 1_700, 61_000, 950_000][draw(5) as usize]));
        let attempt = at(names[name], places[place]);
        let mut standing = Standing { name: records[name].clone(), prefix: tallies[place], all };
        let expected = decide(&mut standing, attempt.prefix, &limits(), database.now());
        let decided = store.admit(&attempt, &limits()).await.unwrap();
        assert_eq!(decided, expected);
        match decided {
            Admission::Admitted(counted) => {
                match draw(12) {
                    0 => {
                        let both = names.map(|name| LoginName::parse(name).digest());
                        store.succeeded(&both, attempt.prefix, counted).await.unwrap();
                        take_back(&mut standing, counted);
                        records[name] = standing.name;
                        records.iter_mut().for_each(|record| record.succeeded(attempt.prefix, database.now()));
                    }
                    1 => {
                        store.not_made(&attempt, counted).await.unwrap();
                        take_back(&mut standing, counted);
                        records[name] = standing.name;
                    }
                    _ => records[name] = standing.name,
                }
                (tallies[place], all) = (standing.prefix, standing.all);
                seen[1] += 1;
            }
            Admission::Exhausted => {
                seen[2] += 1;
                let names = names.map(|name| LoginName::parse(name).digest());
                store.clear(&names).await.unwrap();
                records.iter_mut().for_each(NameRecord::cleared);
            }
            Admission::Wait(_) => seen[0] += 1,
        }
    }
    println!("attempts decided alike: {} waits, {} admitted, {} exhausted", seen[0], seen[1], seen[2]);
    assert!(seen[0] > 0 && seen[1] > 0);
}

async fn of_a_hundred_attempts_at_once_only_the_free_ones_are_admitted(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let outcomes = at_once((0..100).map(|place| {
        let store = if place % 2 == 0 { one.clone() } else { two.clone() };
        async move { store.admit(&at("ann", AWAY), &limits()).await.unwrap() }
    }))
    .await;
    let admitted = outcomes.iter().filter(|outcome| **outcome == Admission::Admitted(Counted::AsStranger)).count();
    assert_eq!(admitted, 4, "however many come at once");
    assert!(outcomes.iter().all(|outcome| *outcome != Admission::Exhausted));
}

async fn what_was_not_made_or_was_cleared_no_longer_counts(database: &Database) {
    let store = database.open().await;
    for _ in 0..40 {
        let Admission::Admitted(counted) = store.admit(&at("ann", AWAY), &limits()).await.unwrap() else {
            panic!("turned away")
        };
        store.not_made(&at("ann", AWAY), counted).await.unwrap();
    }
    for _ in 0..4 {
        assert!(matches!(store.admit(&at("ann", AWAY), &limits()).await.unwrap(), Admission::Admitted(_)));
    }
    assert!(matches!(store.admit(&at("ann", AWAY), &limits()).await.unwrap(), Admission::Wait(_)));
    store.clear(&[LoginName::parse("ann").digest(), LoginName::parse("nobody").digest()]).await.unwrap();
    assert!(matches!(store.admit(&at("ann", AWAY), &limits()).await.unwrap(), Admission::Admitted(_)));
    // Nobody was made by clearing: the name, the prefix, and all.
    assert_eq!(database.count("login_attempts").await, 3);
}

async fn what_is_long_past_is_purged_and_known_places_are_kept(database: &Database) {
    let store = database.open().await;
    for name in ["ann", "bob"] {
        let Admission::Admitted(counted) = store.admit(&at(name, HOME), &limits()).await.unwrap() else {
            panic!("turned away")
        };
        if name == "ann" {
            let ann = [LoginName::parse("ann").digest()];
            store.succeeded(&ann, at(name, HOME).prefix, counted).await.unwrap();
        }
    }
    assert_eq!(database.count("login_attempts").await, 4);
    let now = database.now();
    store.purge_expired(now.plus(Duration::from_secs(2 * 86_400))).await.unwrap();
    assert_eq!(database.count("login_attempts").await, 2, "prefix and all are forgiven by then");
    store.purge_expired(now.plus(FAILURES_KEPT + Duration::from_secs(60))).await.unwrap();
    assert_eq!(database.count("login_attempts").await, 1);
    database.clock.advance(FAILURES_KEPT + Duration::from_secs(60));
    let known = store.admit(&at("ann", HOME), &limits()).await.unwrap();
    assert_eq!(known, Admission::Admitted(Counted::AsOwner));
    store.purge_expired(database.now().plus(PLACE_KEPT + Duration::from_secs(60))).await.unwrap();
    assert_eq!(database.count("login_attempts").await, 0);
}

async fn attempts_at_many_names_from_many_places_at_once_never_stand_in_each_others_way(database: &Database) {
    let (one, two) = (database.open().await, database.open().await);
    let names: Vec<_> = (0..6).map(|place| LoginName::parse(&format!("user-{place}")).digest()).collect();
    let done = at_once((0..120_usize).map(|place| {
        let store = if place % 2 == 0 { one.clone() } else { two.clone() };
        let names = names.clone();
        async move {
            let prefix = Prefix::from_bits((place % 5) as u64);
            let attempt = Attempt { name: names[place % 6], prefix };
            if let Admission::Admitted(counted) = store.admit(&attempt, &limits()).await.unwrap() {
                // In both orders: the store has its own.
                let both = [names[place % 6], names[(place + 1 + place / 6) % 6]];
                store.succeeded(&both, prefix, counted).await.unwrap();
            }
        }
    }))
    .await;
    assert_eq!(done.len(), 120);
    let left = database.sql("SELECT CAST(MAX(weight) AS TEXT) FROM login_attempts").await;
    assert_eq!(left, ["0"]);
}
