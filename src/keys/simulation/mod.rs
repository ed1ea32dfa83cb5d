//! Random schedules: replicas that lag, race and sign within their lease, clocks that jump and run backwards, policies
//! that change, operators who act by hand. Whatever happens, the promises of the key module hold.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use signet_verify::Algorithm;

use self::acts::Hand;
use super::fixtures::candidate;
use super::plan::{generated_by, plan};
use super::rotation::{Action, KeyAct, Policy, SweepRefused, invariant, next_due, rotate_now, sweep};
use super::states::{Key, KeySpec, KeyState, KeyTable, Kid, RsaBits};
use crate::ports::Timestamp;

mod acts;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const MILLI: Duration = Duration::from_millis(1);
const REPLICAS: usize = 3;

#[derive(Debug, Clone)]
enum Event {
    /// Time passes.
    Pass(Duration),
    /// Time passes until something is due.
    PassToDue,
    /// A replica sweeps.
    Sweep(usize),
    /// Two replicas plan from the same snapshot; one of them comes second.
    Race(usize, usize),
    /// A replica takes up the table.
    Poll(usize),
    /// A replica signs a token of the longest lifetime, if it may.
    Mint(usize, Index),
    /// A replica hears of nothing from a rotation on, and signs at the last moment of its lease.
    LastToken(usize, Index),
    /// The configuration changes: which algorithms, how often, how long tokens may live.
    Configure(u8, Duration, Duration),
    /// A replica starts anew and takes up the configuration.
    Restart(usize),
    /// A replica sees the store's clock set back.
    Backwards(Duration),
    /// The key that a replica signs with leaks: it is compromised while another replica has not heard, and both go on.
    Leak(usize, usize, Index),
    /// An operator acts, right after a sweep or when nobody has swept for long.
    Act(Hand, bool),
}

fn seconds(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_secs)
}

fn event() -> impl Strategy<Value = Event> {
    let replica = || 0..REPLICAS;
    let pass = prop_oneof![
        4 => (0_u64..90_000).prop_map(Duration::from_millis),
        4 => seconds(60..3_600),
        1 => seconds(3_600..40 * 86_400),
    ];
    let every = prop_oneof![seconds(1..60), seconds(600..7_200), seconds(86_400..30 * 86_400)];
    let mint = (replica(), any::<Index>()).prop_map(|(at, index)| Event::Mint(at, index));
    let act = (acts::hand(), any::<bool>()).prop_map(|(hand, swept)| Event::Act(hand, swept));
    let configure =
        (1_u8..32, every, seconds(30..7_200)).prop_map(|(kept, every, longest)| Event::Configure(kept, every, longest));
    prop_oneof![
        6 => pass.prop_map(Event::Pass),
        3 => Just(Event::PassToDue),
        6 => replica().prop_map(Event::Sweep),
        2 => (replica(), replica()).prop_map(|(one, other)| Event::Race(one, other)),
        4 => replica().prop_map(Event::Poll),
        8 => mint,
        1 => (replica(), any::<Index>()).prop_map(|(at, index)| Event::LastToken(at, index)),
        1 => configure,
        1 => replica().prop_map(Event::Restart),
        1 => seconds(1..100_000).prop_map(Event::Backwards),
        4 => act,
        1 => (replica(), replica(), any::<Index>()).prop_map(|(at, other, index)| Event::Leak(at, other, index)),
    ]
}

/// What a replica holds.
#[derive(Clone)]
struct Replica {
    ring: KeyTable,
    confirmed_at: Timestamp,
    longest_lifetime: Duration,
    /// How far its clock is ahead of the store's, in milliseconds.
    drift: i64,
}

struct Token {
    kid: Kid,
    expires: Timestamp,
}

/// How often each thing happened, over all cases.
#[derive(Default)]
struct Counts {
    events: Cell<u64>,
    changes: Cell<u64>,
    raced: Cell<u64>,
    tokens: Cell<u64>,
    lagging: Cell<u64>,
    acted: Cell<u64>,
    refused: Cell<u64>,
    repeated: Cell<u64>,
    unpropagated: Cell<u64>,
    within_windows: Cell<u64>,
    compromised: Cell<u64>,
    lost_tokens: Cell<u64>,
    backwards: Cell<u64>,
}

fn count(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

struct World<'a> {
    table: KeyTable,
    policy: Policy,
    now: Timestamp,
    replicas: Vec<Replica>,
    tokens: Vec<Token>,
    made: u64,
    /// The keys of the first table: no verifier can lack them.
    first: BTreeSet<Kid>,
    /// Keys that signed before they propagated, and until when the operator was told that their tokens may fail.
    windows: BTreeMap<Kid, Timestamp>,
    /// Keys that were compromised, and the version of the table that first said so.
    compromised: BTreeMap<Kid, i64>,
    counts: &'a Counts,
}

impl<'a> World<'a> {
    fn new(policy: Policy, counts: &'a Counts) -> Self {
        let half_skew = i64::try_from(policy.skew.as_millis() / 2).unwrap();
        let replica = |drift| Replica {
            ring: KeyTable::default(),
            confirmed_at: START,
            longest_lifetime: policy.longest_lifetime,
            drift,
        };
        let replicas = [-half_skew, 0, half_skew].map(replica).to_vec();
        Self {
            table: KeyTable::default(),
            policy,
            now: START,
            replicas,
            tokens: Vec::new(),
            made: 0,
            first: BTreeSet::new(),
            windows: BTreeMap::new(),
            compromised: BTreeMap::new(),
            counts,
        }
    }

    /// The policy as replica `at` has it: what tokens may live, it takes up only when it starts.
    fn policy_of(&self, at: usize) -> Policy {
        let longest_lifetime = self.replicas[at].longest_lifetime;
        Policy { longest_lifetime, ..self.policy.clone() }
    }

    fn step(&mut self, event: &Event) -> Result<(), TestCaseError> {
        count(&self.counts.events);
        match event {
            Event::Pass(span) => self.now = self.now.plus(*span),
            Event::PassToDue => self.pass_to_due()?,
            Event::Sweep(at) => self.sweep(*at)?,
            Event::Race(one, other) => self.race(*one, *other)?,
            Event::Poll(at) => {
                self.replicas[*at].ring = self.table.clone();
                self.replicas[*at].confirmed_at = self.now;
            }
            Event::Mint(at, index) => self.mint(*at, *index)?,
            Event::LastToken(at, index) => {
                self.sweep(*at)?;
                self.step(&Event::Restart(*at))?;
                self.act(&Hand::Rotate(Some(*index), false), true)?;
                self.now = self.now.plus(self.policy.lease);
                self.mint(*at, *index)?;
                self.pass_to_due()?;
                self.sweep(*at)?;
            }
            Event::Configure(kept, every, longest) => {
                let kept_of = |(bit, algorithm): (usize, Algorithm)| {
                    (kept >> bit & 1 == 1).then(|| KeySpec::new(algorithm, RsaBits::B2048))
                };
                self.policy.specs = Algorithm::ALL.into_iter().enumerate().filter_map(kept_of).collect();
                self.policy.rotate_every = *every;
                self.policy.longest_lifetime = *longest;
            }
            Event::Restart(at) => {
                self.replicas[*at].longest_lifetime = self.policy.longest_lifetime;
                self.replicas[*at].ring = self.table.clone();
                self.replicas[*at].confirmed_at = self.now;
            }
            Event::Backwards(span) => self.run_backwards(*span)?,
            Event::Leak(at, other, index) => {
                for event in [Event::Poll(*at), Event::Poll(*other), Event::Mint(*at, *index)] {
                    self.step(&event)?;
                }
                let Some(leaked) = self.tokens.last().map(|token| token.kid.clone()) else { return Ok(()) };
                self.carry_out(&KeyAct::Compromise { kid: leaked, reason: "it leaked".to_owned() })?;
                for event in [Event::Mint(*other, *index), Event::Poll(*at), Event::Mint(*at, *index)] {
                    self.step(&event)?;
                }
            }
            Event::Act(hand, swept) => self.act(hand, *swept)?,
        }
        self.check_tokens()
    }

    fn pass_to_due(&mut self) -> Result<(), TestCaseError> {
        let Some(due) = next_due(&self.table, &self.policy, self.now) else { return Ok(()) };
        prop_assert!(due >= self.now);
        if due > self.now {
            let before = sweep(&self.table, &self.policy, due.minus(MILLI));
            prop_assert_eq!(before, Ok(vec![]), "something is due before it is said to be");
        }
        prop_assert_ne!(sweep(&self.table, &self.policy, due), Ok(vec![]));
        self.now = due;
        Ok(())
    }

    fn sweep(&mut self, at: usize) -> Result<(), TestCaseError> {
        let policy = self.policy_of(at);
        let actions = sweep(&self.table, &policy, self.now).unwrap();
        if !actions.is_empty() {
            let after = self.planned(&actions, &policy);
            self.commit(after, &policy, true)?;
        }
        invariant(&self.table, &policy, self.now).unwrap();
        prop_assert_eq!(sweep(&self.table, &policy, self.now), Ok(vec![]), "not idempotent");
        Ok(())
    }

    /// The table that comes of `actions`, not yet committed.
    fn planned(&mut self, actions: &[Action], policy: &Policy) -> KeyTable {
        let mut candidates = Vec::new();
        for spec in generated_by(actions) {
            self.made += 1;
            candidates.push(candidate(self.made, spec.algorithm()));
        }
        plan(&self.table, policy, actions, candidates, self.now).unwrap().0
    }

    fn race(&mut self, one: usize, other: usize) -> Result<(), TestCaseError> {
        let plans = [one, other].map(|at| {
            let policy = self.policy_of(at);
            let actions = sweep(&self.table, &policy, self.now).unwrap();
            let is_due = !actions.is_empty();
            is_due.then(|| (self.planned(&actions, &policy), policy))
        });
        for planned in plans.into_iter().flatten() {
            let (after, policy) = planned;
            if after.version == self.table.version {
                self.commit(after, &policy, true)?;
            } else {
                count(&self.counts.raced);
            }
        }
        // Who came second looks again, and finds at most what its own configuration adds.
        self.sweep(other)
    }

    /// `swept`: after it nothing is left of what was due.
    fn commit(&mut self, after: KeyTable, policy: &Policy, swept: bool) -> Result<(), TestCaseError> {
        count(&self.counts.changes);
        let before = std::mem::take(&mut self.table);
        if before.keys.is_empty() {
            self.first.extend(after.keys.iter().map(|key| key.kid.clone()));
        }
        self.table = KeyTable { version: before.version + 1, ..after };
        check_step(&before, &self.table)?;
        for key in self.table.published() {
            prop_assert!(!self.compromised.contains_key(&key.kid), "a compromised key is published again");
        }
        check_promise(&before, &self.table, policy, self.now, swept)
    }

    /// A replica signs for as long as it may, the longest token it may.
    fn mint(&mut self, at: usize, index: Index) -> Result<(), TestCaseError> {
        let replica = self.replicas[at].clone();
        let active: Vec<&Key> =
            replica.ring.keys.iter().filter(|key| matches!(key.state, KeyState::Active { .. })).collect();
        if active.is_empty() || self.now.since(replica.confirmed_at) > self.policy.lease {
            return Ok(());
        }
        let key = active[index.index(active.len())];
        let heard = self.compromised.get(&key.kid).is_some_and(|version| replica.ring.version >= *version);
        prop_assert!(!heard, "a compromised key signs where that is known");
        self.check_propagated(key)?;
        let lifetime = replica.longest_lifetime.min(key.longest_lifetime);
        let by_its_clock = Timestamp::from_millis(self.now.millis() + replica.drift);
        self.tokens.push(Token { kid: key.kid.clone(), expires: by_its_clock.plus(lifetime) });
        count(&self.counts.tokens);
        if self.table.version != replica.ring.version {
            count(&self.counts.lagging);
        }
        Ok(())
    }

    /// Every verifier has the key, or the operator who let it sign was told until when some may not.
    fn check_propagated(&self, key: &Key) -> Result<(), TestCaseError> {
        if self.is_propagated(key) {
            return Ok(());
        }
        let is_stated = self.windows.get(&key.kid).is_some_and(|until| self.now < *until);
        prop_assert!(is_stated, "{} signs before it propagated, and nobody was told", key.kid);
        count(&self.counts.within_windows);
        Ok(())
    }

    fn is_propagated(&self, key: &Key) -> bool {
        self.first.contains(&key.kid) || key.published_at.plus(self.policy.propagation) <= self.now
    }

    /// A token that some verifier may still take has its key published, unless that was compromised.
    fn check_tokens(&mut self) -> Result<(), TestCaseError> {
        let now = self.now;
        let behind = now.minus(self.policy.skew / 2);
        let (compromised, counts) = (&self.compromised, self.counts);
        self.tokens.retain(|token| {
            let is_lost = behind < token.expires && compromised.contains_key(&token.kid);
            counts.lost_tokens.set(counts.lost_tokens.get() + u64::from(is_lost));
            behind < token.expires && !is_lost
        });
        for token in &self.tokens {
            let key = self.table.find(&token.kid);
            let is_published = key.is_some_and(|key| key.state.is_published());
            prop_assert!(is_published, "token of {} outlives its key at {}", token.kid, now);
        }
        Ok(())
    }

    fn run_backwards(&self, span: Duration) -> Result<(), TestCaseError> {
        let Some(recorded) = self.table.latest_moment() else { return Ok(()) };
        let now = recorded.minus(span);
        let refused = Err(SweepRefused::ClockWentBack { now, recorded });
        prop_assert_eq!(sweep(&self.table, &self.policy, now), refused.clone());
        prop_assert_eq!(rotate_now(&self.table, &self.policy, Algorithm::Es256, now, true), refused);
        count(&self.counts.backwards);
        Ok(())
    }
}

/// Nothing goes backwards: no key is lost, no state returns, no lifetime or retirement shrinks.
fn check_step(before: &KeyTable, after: &KeyTable) -> Result<(), TestCaseError> {
    let rank = |state: KeyState| match state {
        KeyState::Pending { .. } => 0,
        KeyState::Active { .. } => 1,
        KeyState::Retiring { .. } => 2,
        KeyState::Retired { .. } => 3,
        KeyState::Compromised { .. } => 4,
    };
    for was in &before.keys {
        let is = after.find(&was.kid).unwrap();
        prop_assert!(rank(is.state) >= rank(was.state));
        prop_assert!(is.longest_lifetime >= was.longest_lifetime);
        if let (KeyState::Retiring { until: had, .. }, KeyState::Retiring { until, .. }) = (was.state, is.state) {
            prop_assert!(until >= had);
        }
    }
    let names: BTreeSet<_> = after.keys.iter().map(|key| &key.kid).collect();
    prop_assert_eq!(names.len(), after.keys.len());
    Ok(())
}

/// Every algorithm in use has one active key and one published successor; said here in other words than
/// [`invariant`]'s.
fn check_promise(
    before: &KeyTable,
    after: &KeyTable,
    policy: &Policy,
    now: Timestamp,
    swept: bool,
) -> Result<(), TestCaseError> {
    let mut active = BTreeMap::<Algorithm, usize>::new();
    for key in &after.keys {
        let signs = matches!(key.state, KeyState::Active { .. });
        *active.entry(key.algorithm).or_default() += usize::from(signs);
    }
    for algorithm in Algorithm::ALL {
        let active = active.get(&algorithm).copied().unwrap_or(0);
        let kept = policy.spec(algorithm).is_some();
        let was_in_use = before.active(algorithm).is_some();
        if !kept {
            prop_assert!(active == 0 || !swept, "{} signs though it is not kept", algorithm);
            continue;
        }
        let first = before.keys.is_empty();
        let is_left = |kid: &Kid| after.find(kid).is_some_and(|key| key.state.is_published());
        let usable = before.pending(algorithm).iter().any(|(key, from)| *from <= now && is_left(&key.kid));
        let expected = usize::from(was_in_use || first || usable);
        // An operator may also let a key sign for an algorithm that is not in use yet.
        prop_assert!(active == expected || !swept && active > expected, "{}: {}", algorithm, active);
        if active == 1 {
            prop_assert!(!after.pending(algorithm).is_empty(), "{} has no successor", algorithm);
        }
    }
    Ok(())
}

fn policies() -> impl Strategy<Value = Policy> {
    let waits = (seconds(60..1_800), seconds(10..900), seconds(1..60));
    (1_u8..32, waits, seconds(30..7_200)).prop_map(|(kept, waits, longest_lifetime)| {
        let (propagation, lease, skew) = waits;
        let spec = |algorithm| KeySpec::new(algorithm, RsaBits::B2048);
        let is_kept = |(bit, _): &(usize, Algorithm)| kept >> bit & 1 == 1;
        let kept = Algorithm::ALL.into_iter().enumerate().filter(is_kept);
        Policy {
            specs: kept.map(|(_, algorithm)| spec(algorithm)).collect(),
            rotate_every: Duration::from_secs(86_400),
            propagation,
            lease,
            skew,
            longest_lifetime,
        }
    })
}

#[test]
fn the_promises_hold_over_random_schedules_and_clocks() {
    let config = Config { cases: 300, max_shrink_iters: 20_000, failure_persistence: None, ..Config::default() };
    let schedules = (policies(), proptest::collection::vec(event(), 20..200));
    let counts = Counts::default();
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&schedules, |(policy, events)| {
        let mut world = World::new(policy, &counts);
        world.sweep(0)?;
        for event in &events {
            world.step(event)?;
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    report(&counts);
}

fn report(counts: &Counts) {
    let Counts { events, changes, raced, tokens, lagging, acted, refused, repeated, unpropagated, .. } = counts;
    let Counts { within_windows, compromised, lost_tokens, backwards, .. } = counts;
    let named = [
        ("events", events),
        ("changes", changes),
        ("raced", raced),
        ("tokens", tokens),
        ("tokens by replicas that lagged", lagging),
        ("acts by hand", acted),
        ("acts refused", refused),
        ("acts asked for again", repeated),
        ("acts that let a key sign before it propagated", unpropagated),
        ("tokens within a stated window", within_windows),
        ("keys compromised", compromised),
        ("tokens lost to a compromise", lost_tokens),
        ("clocks set back", backwards),
    ];
    let counted: Vec<String> = named.iter().map(|(name, seen)| format!("{} {name}", seen.get())).collect();
    println!("300 schedules: {}", counted.join(", "));
    for (name, seen) in named {
        assert!(seen.get() > 20, "the schedules hardly try this: {name}");
    }
}
