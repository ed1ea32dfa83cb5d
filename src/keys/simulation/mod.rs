//! Random schedules: replicas that lag, race and sign within their lease, clocks that jump and run backwards, policies
//! that change, operators who act by hand. Whatever happens, the promises of the key module hold.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use signet_verify::Algorithm;

use self::acts::Hand;
use self::counts::{Counts, count, report};
use self::events::{Event, event, policies};
use self::promises::{check_promise, check_step};
use super::fixtures::candidate;
use super::kind::{KeySpec, Kid, RsaBits};
use super::plan::{generated_by, plan};
use super::rotation::{Action, KeyAct, Policy, SweepRefused, invariant, next_due, rotate_now, sweep};
use super::states::{Key, KeyState};
use super::table::KeyTable;
use crate::ports::Timestamp;

mod acts;
mod counts;
mod events;
mod promises;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const MILLI: Duration = Duration::from_millis(1);
const REPLICAS: usize = 3;

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
