//! The limits at work: what attackers get, and how long owners wait, by examples and by random schedules.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const HOME: Prefix = Prefix::from_bits(1);
const AWAY: Prefix = Prefix::from_bits(2);
const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// The longest that an owner at a new place is held up by two prefixes that never stop.
const OWNERS_WAIT: Duration = Duration::from_secs(10 * 60);

fn limits() -> Limits {
    Limits::new(20, 600)
}

fn at_home() -> Standing {
    let mut standing = Standing::default();
    standing.name.succeeded(HOME, START);
    standing
}

/// Tries once: the wait, if there is one.
fn wait(standing: &mut Standing, prefix: Prefix, now: Timestamp) -> Option<Duration> {
    match decide(standing, prefix, &limits(), now) {
        Admission::Admitted { .. } => None,
        Admission::Wait(wait) => Some(wait),
    }
}

/// A name and the world around it, in which every prefix has a tally of its own.
struct World {
    standing: Standing,
    prefixes: std::collections::BTreeMap<Prefix, Tally>,
}

impl World {
    fn new(standing: Standing) -> Self {
        Self { standing, prefixes: std::collections::BTreeMap::new() }
    }

    fn attempt(&mut self, prefix: Prefix, now: Timestamp) -> Admission {
        self.standing.prefix = self.prefixes.get(&prefix).copied().unwrap_or_default();
        let admission = decide(&mut self.standing, prefix, &limits(), now);
        self.prefixes.insert(prefix, self.standing.prefix);
        admission
    }

    fn fails(&mut self, prefix: Prefix, now: Timestamp) -> bool {
        matches!(self.attempt(prefix, now), Admission::Admitted { .. })
    }
}

/// The moments at which whoever never stops fails, from `prefixes` in turn, within `span`.
fn hammered(world: &mut World, prefixes: &[Prefix], begin: Timestamp, span: Duration) -> Vec<Timestamp> {
    let (mut now, mut failed) = (begin, Vec::new());
    while now.since(begin) < span {
        let mut next = now.plus(span);
        for prefix in prefixes {
            match world.attempt(*prefix, now) {
                Admission::Admitted { .. } => {
                    failed.push(now);
                    next = now;
                }
                Admission::Wait(wait) => next = next.min(now.plus(wait)),
            }
        }
        now = next;
    }
    failed
}

/// The most of `moments` that lie within any `span`.
fn most_within(moments: &[Timestamp], span: Duration) -> u32 {
    let (mut window, mut most) = (VecDeque::new(), 0);
    for moment in moments {
        window.push_back(*moment);
        while window.front().is_some_and(|first| moment.since(*first) > span) {
            window.pop_front();
        }
        most = most.max(window.len());
    }
    u32::try_from(most).unwrap()
}

#[test]
fn an_account_has_at_most_a_hundred_failures_in_a_month_from_elsewhere_and_in_a_week_from_everywhere() {
    let botnet: Vec<Prefix> = (10..510).map(Prefix::from_bits).collect();
    let mut world = World::new(at_home());
    let elsewhere = hammered(&mut world, &botnet, START, DAY * 90);
    let a_month = 2 * most_within(&elsewhere, DAY * 30);
    assert!((90..=Limits::MOST_AN_ACCOUNT).contains(&a_month), "an account has two names: {a_month}");
    // The owner's places are kept for 90 days after they were last there.
    let at_home = hammered(&mut world, &[HOME], START, DAY * 89);
    let a_week = 2 * (most_within(&elsewhere, DAY * 7) + most_within(&at_home, DAY * 7));
    assert!((90..=Limits::MOST_AN_ACCOUNT).contains(&a_week), "{a_week}");
    println!(
        "failures at an account: {a_month} in 30 days from 500 prefixes elsewhere, {a_week} in 7 days from everywhere"
    );
}

#[test]
fn one_prefix_exhausts_itself_and_nobody_else() {
    let mut world = World::new(at_home());
    let failed = hammered(&mut world, &[AWAY], START, HOUR);
    assert_eq!(failed.len(), 8);
    let now = START.plus(HOUR);
    let Admission::Wait(wait) = world.attempt(AWAY, now) else { panic!("admitted") };
    assert!(wait > DAY && wait < DAY * 2, "{wait:?}");
    for place in [HOME, Prefix::from_bits(3)] {
        assert!(world.fails(place, now), "{place:?}");
    }
    // And it ends by itself.
    assert!(world.fails(AWAY, now.plus(wait)));
}

#[test]
fn no_stranger_keeps_an_owner_out_from_where_they_are_known() {
    let botnet: Vec<Prefix> = (10..510).map(Prefix::from_bits).collect();
    let mut world = World::new(at_home());
    hammered(&mut world, &botnet, START, DAY * 2);
    let now = START.plus(DAY * 2);
    let expected = Admission::Admitted { counted: Counted::AsOwner, mark: Some(Mark::First) };
    assert_eq!(world.attempt(HOME, now), expected);
    // Their success leaves the others where they are: nobody gets more tries by waiting for the owner.
    let strangers = world.standing.name.strangers;
    world.standing.name.succeeded(HOME, now);
    assert_eq!(world.standing.name.strangers, strangers);
    assert!(matches!(world.attempt(Prefix::from_bits(9_999), now), Admission::Wait(_)));
    // From anywhere the wait is a day at most.
    let Admission::Wait(wait) = world.attempt(Prefix::from_bits(9_999), now) else { panic!("admitted") };
    assert!(wait <= DAY, "{wait:?}");
}

#[test]
fn an_owner_who_mistypes_at_new_places_leaves_nothing_behind() {
    let mut standing = Standing::default();
    for day in 0..60 {
        let (now, place) = (START.plus(DAY * day), Prefix::from_bits(100 + u64::from(day)));
        for second in [0, 10, 20, 30] {
            assert_eq!(wait(&mut standing, place, now.plus(SECOND * second)), None, "day {day}");
        }
        standing.name.succeeded(place, now.plus(SECOND * 30));
        standing.prefix = Tally::default();
    }
    assert_eq!((standing.name.strangers.weight, standing.name.pairs.len()), (0, 0));
    assert_eq!(standing.name.places.len(), MOST_PLACES);
}

#[test]
fn waits_grow_from_a_second_at_home_elsewhere_and_from_many_places() {
    let waits = |prefixes: &[Prefix], standing: Standing| {
        let (mut world, mut now, mut waits) = (World::new(standing), START, Vec::new());
        for attempt in 0.. {
            match world.attempt(prefixes[attempt % prefixes.len()], now) {
                Admission::Admitted { .. } => {}
                Admission::Wait(wait) if wait > HOUR => break,
                Admission::Wait(wait) => {
                    waits.push(wait.as_secs());
                    now = now.plus(wait);
                    assert!(world.fails(prefixes[attempt % prefixes.len()], now), "who waits as told is heard");
                }
            }
        }
        waits
    };
    assert_eq!(waits(&[AWAY], Standing::default()), [1, 2, 4, 8]);
    assert_eq!(waits(&[HOME], at_home()), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300, 300]);
    let many: Vec<Prefix> = (10..510).map(Prefix::from_bits).collect();
    assert_eq!(waits(&many, Standing::default()), [1, 2, 4, 8, 16, 32, 64, 128, 256]);
}

#[test]
fn one_address_that_tries_many_names_waits_and_is_forgiven() {
    let mut standing = Standing::default();
    let at = |standing: &mut Standing, now| {
        standing.name = NameRecord::default();
        wait(standing, AWAY, now)
    };
    for _ in 0..20 {
        assert_eq!(at(&mut standing, START), None);
    }
    assert_eq!(at(&mut standing, START), Some(SECOND));
    // A failure each minute is forgiven as fast as it comes.
    for minute in 1..1_000 {
        assert_eq!(at(&mut standing, START.plus(SECOND * 60 * minute)), None);
    }
    assert_eq!(at(&mut standing, START.plus(DAY * 2)), None);
    assert_eq!(standing.prefix.weight, 1_000);
}

#[test]
fn what_was_not_made_costs_nothing() {
    let mut standing = Standing::default();
    for second in 0..1_000 {
        let now = START.plus(SECOND * second);
        let Admission::Admitted { counted, .. } = decide(&mut standing, AWAY, &limits(), now) else {
            panic!("turned away");
        };
        take_back(&mut standing, AWAY, counted);
    }
    assert_eq!((standing.prefix.weight, standing.all.weight), (0, 0));
    assert_eq!((standing.name.strangers.weight, standing.name.pairs.len()), (0, 0));
}

#[test]
fn the_first_failure_from_a_place_and_the_one_that_reaches_a_limit_are_marked() {
    let mut world = World::new(at_home());
    let mut marks = Vec::new();
    for prefix in [AWAY, HOME, Prefix::from_bits(3), Prefix::from_bits(4)] {
        let (mut now, mut of_prefix) = (START.plus(HOUR * 8), Vec::new());
        for _ in 0..60 {
            match world.attempt(prefix, now) {
                Admission::Admitted { mark, .. } => of_prefix.push(mark),
                Admission::Wait(wait) if wait < HOUR => now = now.plus(wait),
                Admission::Wait(_) => break,
            }
        }
        marks.push((of_prefix.len(), of_prefix.iter().flatten().copied().collect::<Vec<_>>()));
    }
    let both = vec![Mark::First, Mark::Limited];
    assert_eq!(marks, [(8, both.clone()), (18, both.clone()), (8, both.clone()), (2, both)]);
}

#[test]
fn registrations_are_counted_by_prefix_and_in_all_and_forgiven() {
    let limits = RegistrationLimits::new(3, 60);
    let (mut prefix, mut all) = (Tally::default(), Tally::default());
    for _ in 0..3 {
        assert_eq!(decide_registration(&mut prefix, &mut all, &limits, START), Ok(()));
    }
    let ten_minutes = SECOND * 600;
    assert_eq!(decide_registration(&mut prefix, &mut all, &limits, START), Err(ten_minutes));
    assert_eq!(decide_registration(&mut prefix, &mut all, &limits, START.plus(ten_minutes)), Ok(()));
    // In all, whatever the prefix.
    let mut admitted = 0;
    while decide_registration(&mut Tally::default(), &mut all, &limits, START.plus(ten_minutes)).is_ok() {
        admitted += 1;
    }
    assert_eq!(admitted, 59, "all but the last from the prefix were forgiven");
    let mut taken_back = Tally { weight: 500, last_at: START };
    take_back_of_address(&mut prefix, &mut taken_back);
    assert_eq!(taken_back.weight, 0);
}

#[test]
fn an_address_is_known_by_its_prefix() {
    let of = |text: &str| text.parse().map(Prefix::of).ok();
    assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2::9"));
    assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
    assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
    assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    assert_eq!(of("192.0.2.7").map(Prefix::to_bits).map(Prefix::from_bits), of("192.0.2.7"));
}

/// What attackers do: after a pause of seconds, one of them tries, and perhaps goes on for as long as it is heard.
fn schedule(prefixes: u64) -> impl Strategy<Value = Vec<(u64, u64, bool)>> {
    let pause = prop_oneof![4 => 0_u64..5, 3 => 0_u64..2_000, 2 => 0_u64..100_000, 1 => 0_u64..1_000_000];
    prop::collection::vec((pause, 0..prefixes, prop::bool::weighted(0.3)), 0..120)
}

/// Plays a schedule: when which attempts failed.
fn play(world: &mut World, schedule: &[(u64, u64, bool)]) -> (Timestamp, Vec<Timestamp>) {
    let (mut now, mut failed) = (START, Vec::new());
    for (pause, prefix, goes_on) in schedule {
        now = now.plus(SECOND * u32::try_from(*pause).unwrap());
        let prefix = Prefix::from_bits(1_000 + prefix);
        let tries = if *goes_on { 20 } else { 1 };
        for _ in 0..tries {
            match world.attempt(prefix, now) {
                Admission::Admitted { .. } => failed.push(now),
                Admission::Wait(wait) if *goes_on && wait < HOUR => now = now.plus(wait),
                Admission::Wait(_) => break,
            }
        }
        assert!(world.standing.name.pairs.len() < MOST_PAIRS);
    }
    (now, failed)
}

/// How long the owner at a new place is held up, who comes as told, while attackers at `prefixes` try just before each time.
fn owners_wait(world: &mut World, prefixes: u64, begin: Timestamp) -> Duration {
    let (owner, mut now) = (Prefix::from_bits(7), begin);
    loop {
        for prefix in 0..prefixes {
            let _ = world.attempt(Prefix::from_bits(1_000 + prefix), now);
        }
        match world.attempt(owner, now) {
            Admission::Admitted { .. } => return now.since(begin),
            Admission::Wait(_) if now.since(begin) > DAY => return now.since(begin),
            Admission::Wait(wait) => now = now.plus(wait),
        }
    }
}

proptest! {
    #[test]
    fn two_prefixes_that_never_stop_hold_an_owner_at_a_new_place_up_for_minutes_and_one_not_at_all(
        (prefixes, schedule) in (1_u64..=2).prop_flat_map(|prefixes| (Just(prefixes), schedule(prefixes))),
    ) {
        let mut world = World::new(at_home());
        let (now, _) = play(&mut world, &schedule);
        let waited = owners_wait(&mut world, prefixes, now);
        prop_assert!(waited <= OWNERS_WAIT, "{:?}", waited);
        prop_assert!(prefixes == 2 || waited.is_zero(), "{:?}", waited);
        // And at home nobody holds them up.
        if now.since(START) < PLACE_KEPT {
            prop_assert!(world.fails(HOME, now));
        }
    }

    #[test]
    fn from_however_many_prefixes_and_whatever_the_owner_does_guesses_are_bounded(
        schedule in schedule(64),
        logins in prop::collection::vec(0_usize..120, 0..10),
    ) {
        let mut world = World::new(at_home());
        let (mut begin, mut failed) = (0, Vec::new());
        let mut logins = logins;
        logins.sort_unstable();
        logins.push(schedule.len());
        let mut offset = Duration::ZERO;
        for end in logins {
            let end = end.clamp(begin, schedule.len());
            let mut part = schedule[begin..end].to_vec();
            if let Some(first) = part.first_mut() {
                first.0 += offset.as_secs();
            }
            let (now, more) = play(&mut world, &part);
            failed.extend(more);
            // The owner logs in at home.
            // Nothing may have come since the last time: the clock stands where it stood.
            offset = offset.max(now.since(START));
            world.standing.name.succeeded(HOME, START.plus(offset));
            begin = end;
        }
        prop_assert!(2 * most_within(&failed, DAY * 30) <= Limits::MOST_AN_ACCOUNT, "{}", failed.len());
    }
}

#[derive(Debug, Clone)]
enum Step {
    Try { home: bool, right: bool },
    Pass(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tries = (any::<bool>(), prop::bool::weighted(0.05)).prop_map(|(home, right)| Step::Try { home, right });
    prop::collection::vec(prop_oneof![3 => tries, 1 => (0_u32..100_000).prop_map(Step::Pass)], 1..400)
}

proptest! {
    #[test]
    fn whatever_happens_waits_end_and_home_is_free_of_strangers(steps in steps()) {
        let (mut standing, mut now, limits) = (at_home(), START, limits());
        for step in steps {
            match step {
                Step::Pass(seconds) => now = now.plus(Duration::from_secs(seconds.into())),
                Step::Try { home, right } => {
                    let before = standing.clone();
                    let prefix = if home { HOME } else { AWAY };
                    match decide(&mut standing, prefix, &limits, now) {
                        Admission::Admitted { .. } if right => {
                            standing.name.succeeded(prefix, now);
                            // So that the other prefix stays away.
                            standing.name.places.retain(|(place, _)| *place == HOME);
                        }
                        Admission::Admitted { counted, .. } => {
                            // The place itself is forgotten after a long time.
                            prop_assert!(home || counted == Counted::AsStranger);
                            if counted == Counted::AsOwner {
                                prop_assert_eq!(&standing.name.strangers, &before.name.strangers);
                                prop_assert_eq!(&standing.name.pairs, &before.name.pairs);
                                prop_assert_eq!((standing.prefix, standing.all), (before.prefix, before.all));
                            } else {
                                prop_assert_eq!(&standing.name.owner, &before.name.owner);
                            }
                        }
                        Admission::Wait(wait) => {
                            prop_assert!(!wait.is_zero() && wait <= DAY * 2);
                            prop_assert_eq!(&standing, &before, "asking again costs nothing");
                            let mut later = standing.clone();
                            let heard = decide(&mut later, prefix, &limits, now.plus(wait));
                            prop_assert!(!matches!(heard, Admission::Wait(_)), "who waits as told is heard");
                        }
                    }
                }
            }
        }
    }
}
