//! How often somebody may try to log in: by name, by address and in all.
//!
//! Guarantees, of [NIST SP 800-63B-4 §3.2.2](https://pages.nist.gov/800-63-4/sp800-63b.html): between two successes at
//! most [`Limits::MOST_AN_ACCOUNT`] attempts at an account fail, each a growing delay after the one before. **No stranger
//! locks an owner out**: from an address prefix where the owner logged in before, other limits count than from elsewhere,
//! and nothing that happens elsewhere uses them up. An attempt that has to wait is not counted, so that asking again
//! makes nobody wait longer. What is counted is the name as it was typed, whether or not anybody is called so: limits tell
//! nothing of who exists.
//!
//! [`decide`] is pure; a store applies it to what it keeps, in one act.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use super::LoginName;
use crate::ports::{StoreError, Timestamp};

/// From so many places the owner is known; of more, those seen last.
pub const MOST_PLACES: usize = 16;
/// For so long a place stays known that was not seen again.
pub const PLACE_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// For so long failures are remembered that nothing follows.
pub const FAILURES_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Where an attempt comes from: an address prefix, /32 of IPv4 and /64 of IPv6, which is what one customer of a network
/// has. An IPv4 address in IPv6 clothes is that IPv4 address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Prefix([u8; 8]);

impl Prefix {
    /// The prefix of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No global IPv6 prefix begins with zeros.
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                Self([0, 0, 0, 4, a, b, c, d])
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self([a, b, c, d, e, f, g, h])
            }
        }
    }

    /// What was kept as [`Self::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits.to_be_bytes())
    }

    /// As a number, to be kept.
    pub const fn to_bits(self) -> u64 {
        u64::from_be_bytes(self.0)
    }
}

/// Failures in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// How many, in thousandths: time forgives them bit by bit.
    pub weight: u32,
    /// When the last was counted.
    pub last_at: Timestamp,
}

/// One failure.
const ONE: u32 = 1_000;

/// How a tally makes attempts wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// So many failures cost nothing.
    pub free: u32,
    /// The wait after the next one; it doubles with each further one.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// So many failures are the end, until a success (or someone in charge) clears them; `None` is no end.
    pub most: Option<u32>,
    /// In this time one failure is forgiven; `None` forgives none.
    pub forgives_one_in: Option<Duration>,
}

impl Limit {
    /// The tally with one failure more at `now`, after what time has forgiven.
    fn counted(self, tally: Tally, now: Timestamp) -> Tally {
        let forgiven = self.forgives_one_in.map_or(0, |one_in| {
            now.since(tally.last_at).as_millis().saturating_mul(ONE.into()) / one_in.as_millis().max(1)
        });
        let left = tally.weight.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        Tally { weight: left.saturating_add(ONE), last_at: now }
    }

    /// How long after the last of so many failures nobody may try; `None` for ever.
    fn wait(self, failures: u32) -> Option<Duration> {
        if self.most.is_some_and(|most| failures >= most) {
            return None;
        }
        let Some(beyond) = failures.checked_sub(self.free) else { return Some(Duration::ZERO) };
        let doubled = 1_u32.checked_shl(beyond).unwrap_or(u32::MAX);
        Some(self.first_wait.saturating_mul(doubled).min(self.longest_wait))
    }

    /// How much of that is left at `now`.
    fn left(self, tally: Tally, now: Timestamp) -> Option<Duration> {
        // A last failure ahead of `now` comes of clocks that differ: nobody waits longer than the whole for that.
        Some(self.wait(tally.weight / ONE)?.saturating_sub(now.since(tally.last_at)))
    }
}

/// All limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// For attempts at one name from places where its owner is not known, all of them together.
    pub strangers: Limit,
    /// For attempts at one name from places where its owner is known, all of them together.
    pub owner: Limit,
    /// For attempts from one address prefix where the owner of the name is not known, whatever the name.
    pub prefix: Limit,
    /// For all attempts by strangers together.
    pub all: Limit,
}

impl Limits {
    /// Of one account, between two successes. It has at most two names, each with two tallies.
    pub const MOST_AN_ACCOUNT: u32 = 100;
    const MOST_A_TALLY: u32 = Self::MOST_AN_ACCOUNT / 4;

    /// The limits where an address prefix may fail `prefix` times, and all strangers together `all` times a minute,
    /// before they wait.
    pub const fn new(prefix: u32, all: u32) -> Self {
        let minutes = Duration::from_secs(60);
        // A count of milliseconds: 60 000 failures a minute are more than any pool can check.
        let share = Duration::from_millis(60_000 / if all == 0 { 1 } else { all } as u64);
        let account = Limit {
            free: 4,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(15 * 60),
            most: Some(Self::MOST_A_TALLY),
            forgives_one_in: None,
        };
        Self {
            strangers: account,
            owner: Limit { longest_wait: minutes, ..account },
            prefix: Limit {
                free: prefix,
                first_wait: Duration::from_secs(1),
                longest_wait: Duration::from_secs(5 * 60),
                most: None,
                forgives_one_in: Some(minutes),
            },
            all: Limit {
                free: all,
                first_wait: Duration::from_secs(1),
                longest_wait: Duration::from_secs(4),
                most: None,
                forgives_one_in: Some(share),
            },
        }
    }
}

/// One attempt: a name, and where it comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// [`LoginName::digest`].
    pub name: [u8; 32],
    /// Where it comes from.
    pub prefix: Prefix,
}

impl Attempt {
    /// An attempt at `name` from `address`.
    pub fn of(name: &LoginName, address: IpAddr) -> Self {
        Self { name: name.digest(), prefix: Prefix::of(address) }
    }
}

/// What is kept of one name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NameRecord {
    /// Failures from where its owner is not known.
    pub strangers: Tally,
    /// Failures from where its owner is known.
    pub owner: Tally,
    /// Where its owner is known, and when they were last there; the latest first, at most [`MOST_PLACES`].
    pub places: Vec<(Prefix, Timestamp)>,
}

impl NameRecord {
    /// Whether its owner is known at `prefix`.
    pub fn knows(&self, prefix: Prefix, now: Timestamp) -> bool {
        self.places.iter().any(|(place, seen)| *place == prefix && now.since(*seen) < PLACE_KEPT)
    }

    /// After its owner has logged in from `prefix`: no failures, and one more place.
    pub fn succeeded(&mut self, prefix: Prefix, now: Timestamp) {
        self.places.retain(|(place, seen)| *place != prefix && now.since(*seen) < PLACE_KEPT);
        self.places.insert(0, (prefix, now));
        self.places.truncate(MOST_PLACES);
        self.cleared();
    }

    /// Without failures; what is known of its owner stays.
    pub fn cleared(&mut self) {
        self.strangers = Tally::default();
        self.owner = Tally::default();
    }
}

/// All that an attempt is decided by.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Of the name.
    pub name: NameRecord,
    /// Of the address prefix.
    pub prefix: Tally,
    /// Of all strangers together.
    pub all: Tally,
}

/// As whom an attempt was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// As one from where the owner is known.
    AsOwner,
    /// As a stranger's.
    AsStranger,
}

/// What is decided about an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Admission {
    /// It may go on, and is counted as failed until [`AttemptStore::succeeded`] says otherwise.
    Admitted(Counted),
    /// It comes too early; nothing was counted.
    Wait(Duration),
    /// Too many have failed. Nothing was counted; a success from elsewhere, a new password or someone in charge helps.
    Exhausted,
}

/// Decides about an attempt from `prefix` at `now`, and counts it where it is admitted.
pub fn decide(standing: &mut Standing, prefix: Prefix, limits: &Limits, now: Timestamp) -> Admission {
    let count = |limit: Limit, tally: &mut Tally| *tally = limit.counted(*tally, now);
    if standing.name.knows(prefix, now) {
        return match limits.owner.left(standing.name.owner, now) {
            None => Admission::Exhausted,
            Some(Duration::ZERO) => {
                count(limits.owner, &mut standing.name.owner);
                Admission::Admitted(Counted::AsOwner)
            }
            Some(wait) => Admission::Wait(wait),
        };
    }
    let left = [
        limits.strangers.left(standing.name.strangers, now),
        limits.prefix.left(standing.prefix, now),
        limits.all.left(standing.all, now),
    ];
    // Where one never ends, no wait of another is told.
    match left.into_iter().try_fold(Duration::ZERO, |longest, wait| Some(longest.max(wait?))) {
        None => Admission::Exhausted,
        Some(Duration::ZERO) => {
            count(limits.strangers, &mut standing.name.strangers);
            count(limits.prefix, &mut standing.prefix);
            count(limits.all, &mut standing.all);
            Admission::Admitted(Counted::AsStranger)
        }
        Some(wait) => Admission::Wait(wait),
    }
}

/// Takes back what [`decide`] counted for an attempt that was not made, or that did not fail.
pub fn take_back(standing: &mut Standing, counted: Counted) {
    let less = |tally: &mut Tally| tally.weight = tally.weight.saturating_sub(ONE);
    match counted {
        Counted::AsOwner => less(&mut standing.name.owner),
        Counted::AsStranger => {
            less(&mut standing.name.strangers);
            less(&mut standing.prefix);
            less(&mut standing.all);
        }
    }
}

/// Where attempts are counted, for all replicas together.
///
/// What is lost with a store that forgets is the count of failures, never more: attempts are slowed by other limits then.
#[async_trait]
pub trait AttemptStore: Send + Sync {
    /// Applies [`decide`] to what is kept, at the store's time, and keeps what it leaves. Of attempts that race, each is
    /// decided after the one before was counted. A name, prefix or record that is not there is an empty one.
    async fn admit(&self, attempt: &Attempt, limits: &Limits) -> Result<Admission, StoreError>;

    /// The admitted attempt was the owner's, who is called `names` (the attempt's among them): applies
    /// [`NameRecord::succeeded`] to each, and takes back what was counted for prefix and all. Saying it twice may take
    /// back twice, and never below nothing.
    async fn succeeded(&self, names: &[[u8; 32]], prefix: Prefix, counted: Counted) -> Result<(), StoreError>;

    /// The admitted attempt was not made after all: applies [`take_back`]. A record that is gone stays so.
    async fn not_made(&self, attempt: &Attempt, counted: Counted) -> Result<(), StoreError>;

    /// The owner has a new password: applies [`NameRecord::cleared`] to each name. A record that is not there is none to
    /// clear.
    async fn clear(&self, names: &[[u8; 32]]) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOME: Prefix = Prefix::from_bits(1);
    const AWAY: Prefix = Prefix::from_bits(2);
    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn limits() -> Limits {
        Limits::new(20, 600)
    }

    /// The failures that whoever never stops gets through, each as soon as it may be, and when the last was.
    fn hammered(standing: &mut Standing, prefix: Prefix, mut now: Timestamp) -> (u32, Timestamp) {
        let mut failed = 0;
        loop {
            match decide(standing, prefix, &limits(), now) {
                Admission::Admitted(_) => failed += 1,
                Admission::Wait(wait) => now = now.plus(wait),
                Admission::Exhausted => return (failed, now),
            }
        }
    }

    #[test]
    fn a_name_has_at_most_a_hundred_failures_between_two_successes_however_it_is_tried() {
        let mut standing = Standing::default();
        standing.name.succeeded(HOME, START);
        let (by_strangers, end) = hammered(&mut standing, AWAY, START);
        let (by_owner, _) = hammered(&mut standing, HOME, START);
        assert_eq!(2 * (by_strangers + by_owner), Limits::MOST_AN_ACCOUNT, "an account has two names");
        // For strangers that takes a while.
        assert!(end.since(START) > Duration::from_secs(3 * 3600), "{:?}", end.since(START));
        // Another address is no way around, and neither is a month.
        let later = end.plus(Duration::from_secs(86_400));
        assert_eq!(decide(&mut standing, Prefix::from_bits(3), &limits(), later), Admission::Exhausted);
    }

    #[test]
    fn no_stranger_keeps_an_owner_out_from_where_they_are_known() {
        let mut standing = Standing::default();
        standing.name.succeeded(HOME, START);
        let (_, end) = hammered(&mut standing, AWAY, START);
        assert_eq!(decide(&mut standing, HOME, &limits(), end), Admission::Admitted(Counted::AsOwner));
        // And their success opens the door elsewhere again.
        standing.name.succeeded(HOME, end);
        let later = end.plus(Duration::from_secs(3600));
        assert_eq!(decide(&mut standing, AWAY, &limits(), later), Admission::Admitted(Counted::AsStranger));
    }

    #[test]
    fn waits_grow_from_a_second_and_have_an_end() {
        let mut standing = Standing::default();
        let mut waits = Vec::new();
        let mut now = START;
        while waits.len() < 12 {
            match decide(&mut standing, AWAY, &limits(), now) {
                Admission::Admitted(_) => {}
                Admission::Wait(wait) => {
                    waits.push(wait.as_secs());
                    now = now.plus(wait);
                }
                Admission::Exhausted => break,
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    }

    #[test]
    fn one_address_that_tries_many_names_waits_and_is_forgiven() {
        let mut standing = Standing::default();
        let at = |standing: &mut Standing, now| {
            standing.name = NameRecord::default();
            decide(standing, AWAY, &limits(), now)
        };
        for _ in 0..20 {
            assert_eq!(at(&mut standing, START), Admission::Admitted(Counted::AsStranger));
        }
        assert_eq!(at(&mut standing, START), Admission::Wait(Duration::from_secs(1)));
        // A failure each minute is forgiven as fast as it comes.
        for minute in 1..1_000 {
            let now = START.plus(Duration::from_secs(60 * minute));
            assert_eq!(at(&mut standing, now), Admission::Admitted(Counted::AsStranger));
        }
        let next_day = START.plus(Duration::from_secs(2 * 86_400));
        assert_eq!(at(&mut standing, next_day), Admission::Admitted(Counted::AsStranger));
        assert_eq!(standing.prefix.weight, ONE);
    }

    #[test]
    fn what_succeeds_costs_the_address_nothing() {
        let mut standing = Standing::default();
        for second in 0..1_000 {
            let now = START.plus(Duration::from_secs(second));
            standing.name = NameRecord::default();
            let Admission::Admitted(counted) = decide(&mut standing, AWAY, &limits(), now) else {
                unreachable!("turned away");
            };
            take_back(&mut standing, counted);
        }
        assert_eq!((standing.prefix.weight, standing.all.weight), (0, 0));
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
        fn whatever_happens_failures_are_bounded_waits_end_and_home_is_free_of_strangers(steps in steps()) {
            let (mut standing, mut now, limits) = (Standing::default(), START, limits());
            standing.name.succeeded(HOME, now);
            let mut since_success = 0_u32;
            for step in steps {
                match step {
                    Step::Pass(seconds) => now = now.plus(Duration::from_secs(seconds.into())),
                    Step::Try { home, right } => {
                        let before = standing.clone();
                        let prefix = if home { HOME } else { AWAY };
                        match decide(&mut standing, prefix, &limits, now) {
                            Admission::Admitted(counted) if right => {
                                take_back(&mut standing, counted);
                                standing.name.succeeded(prefix, now);
                                since_success = 0;
                                // So that the other prefix stays away.
                                standing.name.places.retain(|(place, _)| *place == HOME);
                            }
                            Admission::Admitted(counted) => {
                                since_success += 1;
                                // The place itself is forgotten after a long time.
                                prop_assert!(home || counted == Counted::AsStranger);
                                if counted == Counted::AsOwner {
                                    prop_assert_eq!(&standing.name.strangers, &before.name.strangers);
                                    prop_assert_eq!((standing.prefix, standing.all), (before.prefix, before.all));
                                } else {
                                    prop_assert_eq!(&standing.name.owner, &before.name.owner);
                                }
                            }
                            Admission::Wait(wait) => {
                                prop_assert!(!wait.is_zero() && wait <= Duration::from_secs(15 * 60));
                                prop_assert_eq!(&standing.name, &before.name, "asking again costs nothing");
                                let mut later = standing.clone();
                                prop_assert!(!matches!(
                                    decide(&mut later, prefix, &limits, now.plus(wait)),
                                    Admission::Wait(_)
                                ), "who waits as told is heard");
                            }
                            Admission::Exhausted => prop_assert!(since_success >= 25),
                        }
                        prop_assert!(2 * since_success <= Limits::MOST_AN_ACCOUNT);
                    }
                }
            }
        }
    }
}
