//! What is told of the past and of the time to come.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use signet_verify::Algorithm::{self, Ed25519, Es256};

use super::fixtures::{self, candidate};
use super::kind::{KeySpec, Kid};
use super::plan::{generated_by, plan};
use super::rotation::{Action, KeyAct, MOST_STEADY, Policy, steady, sweep};
use super::schedule::next_rotation;
use super::table::KeyTable;
use super::timeline::Milestone::{Active, Compromised, Published, Retired, Retiring, Usable};
use super::timeline::{Milestone, Transition, foresee, timeline};
use crate::ports::Timestamp;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    fixtures::policy(&[KeySpec::Es256])
}

/// A table over which time passes. Keys are named by the order in which they were made.
struct Story {
    table: KeyTable,
    policy: Policy,
    now: Timestamp,
    made: u64,
}

impl Story {
    fn begin(policy: Policy) -> Self {
        let mut story = Self { table: KeyTable::default(), policy, now: START, made: 0 };
        story.sweep();
        story
    }

    fn apply(&mut self, actions: &[Action]) {
        let mut candidates = Vec::new();
        for spec in generated_by(actions) {
            candidates.push(candidate(self.made, spec.algorithm()));
            self.made += 1;
        }
        let (table, _) = plan(&self.table, &self.policy, actions, candidates, self.now).unwrap();
        self.table = KeyTable { version: self.table.version + 1, ..table };
    }

    fn sweep(&mut self) {
        let actions = sweep(&self.table, &self.policy, self.now).unwrap();
        if !actions.is_empty() {
            self.apply(&actions);
        }
    }

    fn act(&mut self, act: &KeyAct) {
        let actions = act.steps(&self.table, &self.policy, self.now).unwrap();
        self.apply(&actions);
    }

    fn kid(seed: u64) -> Kid {
        candidate(seed, Es256).kid
    }

    /// Past and coming milestones of the key made as that number, in minutes since the start.
    fn told(&self, seed: u64) -> (Minutes, Minutes) {
        let timeline = timeline(&self.table, &self.policy, self.now);
        let minutes = |all: &[Transition]| {
            all.iter().map(|one| (one.milestone, one.at.since(START).as_secs() / 60)).collect::<Vec<_>>()
        };
        let key = timeline.of(&Self::kid(seed)).unwrap();
        (minutes(&key.past), minutes(&key.coming))
    }
}

type Minutes = Vec<(Milestone, u64)>;

const MONTH: u64 = 30 * 24 * 60;
const ROTATE: KeyAct = KeyAct::Rotate { algorithm: None, if_active: None, force: false };

#[test]
fn a_key_is_told_from_its_publication_to_its_end() {
    let mut story = Story::begin(policy());
    assert_eq!(story.told(0), (vec![(Published, 0), (Active, 0)], vec![(Retiring, MONTH), (Retired, MONTH + 16)]));
    let next = vec![(Active, MONTH), (Retiring, 2 * MONTH), (Retired, 2 * MONTH + 16)];
    assert_eq!(story.told(1), (vec![(Published, 0), (Usable, 0)], next));
    story.now = START.plus(DAY);
    story.act(&ROTATE);
    let day = 24 * 60;
    assert_eq!(story.told(0).0, [(Published, 0), (Active, 0), (Retiring, day)]);
    assert_eq!(story.told(0).1, [(Retired, day + 16)]);
    assert_eq!(story.told(1).0, [(Published, 0), (Active, day)]);
    assert_eq!(story.told(2).0, [(Published, day)]);
    assert_eq!(story.told(2).1[..2], [(Usable, day + 15), (Active, day + MONTH)]);
    story.now = story.now.plus(DAY);
    story.sweep();
    let past = vec![(Published, 0), (Active, 0), (Retiring, day), (Retired, 2 * day)];
    assert_eq!(story.told(0), (past, vec![]));
}

#[test]
fn a_compromise_stays_the_last_word_about_a_key() {
    let mut story = Story::begin(policy());
    story.now = START.plus(MINUTE);
    story.act(&ROTATE);
    story.now = START.plus(MINUTE * 2);
    story.act(&KeyAct::Compromise { kid: Story::kid(0), reason: "leaked".to_owned() });
    let past = vec![(Published, 0), (Active, 0), (Retiring, 1), (Compromised, 2)];
    assert_eq!(story.told(0), (past, vec![]));
}

#[test]
fn what_is_not_known_of_an_older_key_is_not_made_up() {
    let mut story = Story::begin(policy());
    story.now = START.plus(MINUTE);
    story.act(&ROTATE);
    story.table.keys[0].history = super::history::History::default();
    assert_eq!(story.told(0).0, [(Published, 0), (Retiring, 1)]);
}

#[test]
fn an_algorithm_to_come_and_one_to_go_are_foretold() {
    let mut story = Story::begin(policy());
    story.policy.specs = vec![KeySpec::Ed25519];
    story.now = START.plus(MINUTE);
    // Nobody has swept since: both are due now.
    assert_eq!(story.told(0).1, [(Retiring, 1), (Retired, 17)]);
    assert_eq!(story.told(1).1, [(Retired, 1)]);
    let next = timeline(&story.table, &story.policy, story.now).next_rotation;
    assert_eq!(next, BTreeMap::from([(Ed25519, START.plus(MINUTE * 16))]));
}

#[test]
fn a_clock_that_ran_backwards_and_a_policy_of_nothing_foretell_nothing_wrong() {
    let mut story = Story::begin(policy());
    let before = timeline(&story.table, &story.policy, START.minus(DAY));
    assert_eq!(before, timeline(&story.table, &story.policy, START.minus(SECOND)));
    assert!(before.keys.iter().flat_map(|key| &key.coming).all(|coming| coming.at >= START));
    story.policy.specs.clear();
    let nothing = timeline(&story.table, &story.policy, START);
    assert!(nothing.keys.iter().all(|key| key.coming.is_empty()) && nothing.next_rotation.is_empty());
    assert_eq!(timeline(&KeyTable::default(), &policy(), START).keys, []);
}

#[test]
fn looking_ahead_has_an_end_however_often_keys_rotate() {
    let specs: Vec<_> = Algorithm::ALL.map(|algorithm| KeySpec::new(algorithm, super::kind::RsaBits::B2048)).into();
    let busy = Policy { specs, rotate_every: SECOND, propagation: SECOND, longest_lifetime: DAY, ..policy() };
    let story = Story::begin(busy);
    let timeline = timeline(&story.table, &story.policy, START);
    assert_eq!(timeline.next_rotation.len(), Algorithm::ALL.len());
    assert!(timeline.keys.iter().all(|key| key.coming.iter().any(|coming| coming.milestone == Retiring)));
}

#[test]
fn a_dry_run_tells_what_the_act_would_do_and_does_nothing() {
    let mut story = Story::begin(policy());
    story.act(&ROTATE);
    story.now = START.plus(MINUTE);
    let force = KeyAct::Rotate { algorithm: Some(Es256), if_active: None, force: true };
    let actions = force.steps(&story.table, &story.policy, story.now).unwrap();
    let before = story.table.clone();
    let foreseen = foresee(&story.table, &story.policy, &actions, story.now).unwrap();
    assert_eq!(story.table, before);
    assert_eq!(foreseen.may_fail_until, Some(START.plus(MINUTE * 15)));
    story.apply(&actions);
    let mut done = timeline(&story.table, &story.policy, story.now);
    assert_eq!(done.keys.len(), 4);
    done.keys[3].kid = None;
    assert_eq!(foreseen.timeline, done, "the key to be made has no name yet");
}

fn spans() -> impl Strategy<Value = Policy> {
    let span = |range| proptest::strategy::Strategy::prop_map(range, Duration::from_secs);
    let spans = (span(1..90_u64), span(1..40_u64), span(1..30_u64), span(1..10_u64), span(1..60_u64));
    (spans, any::<bool>())
        .prop_map(|((rotate_every, propagation, lease, skew, longest_lifetime), both)| Policy {
            specs: if both { vec![KeySpec::Es256, KeySpec::Ed25519] } else { vec![KeySpec::Es256] },
            rotate_every,
            propagation,
            lease,
            skew,
            longest_lifetime,
        })
        // Others no settings allow: a key would have to wait until there is room for it, which no closed form tells.
        .prop_filter("more keys than settings may keep published", |policy| {
            let Policy { specs, rotate_every, lease, skew, longest_lifetime, .. } = policy;
            steady(specs.len(), *rotate_every, *lease + *longest_lifetime + *skew) <= MOST_STEADY
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_foretold_is_what_a_sweep_each_second_does(policy in spans(), began in 0_u64..200, force in any::<bool>()) {
        let mut story = Story::begin(policy);
        let pass = |story: &mut Story, seconds: u64| for _ in 0..seconds {
            story.now = story.now.plus(SECOND);
            story.sweep();
        };
        pass(&mut story, began);
        if let Ok(actions) = (KeyAct::Rotate { algorithm: Some(Es256), if_active: None, force })
            .steps(&story.table, &story.policy, story.now)
        {
            story.apply(&actions);
        }
        let told = timeline(&story.table, &story.policy, story.now);
        for algorithm in [Es256, Ed25519].into_iter().filter(|algorithm| story.policy.spec(*algorithm).is_some()) {
            let closed = next_rotation(&story.table, &story.policy, algorithm);
            prop_assert_eq!(told.next_rotation.get(&algorithm).copied(), closed, "as the metric tells it");
        }
        let (then, known) = (story.now, told.keys.len());
        pass(&mut story, 400);
        let came = timeline(&story.table, &story.policy, story.now);
        let mut ended = 0;
        for (foretold, came) in told.keys.iter().zip(&came.keys[..known]) {
            let coming: Vec<_> = foretold.coming.iter().filter(|one| one.milestone != Usable && one.at <= story.now).collect();
            let happened: Vec<_> = came.past.iter().filter(|one| one.milestone != Usable && one.at > then).collect();
            prop_assert_eq!(coming, happened);
            ended += usize::from(came.past.last().unwrap().milestone == Retired);
        }
        prop_assert_eq!(ended, known, "every key came to its end");
    }
}
