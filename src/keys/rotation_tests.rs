//! The rules of the sweep, one at a time, and a story of several lifetimes.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use signet_verify::Algorithm::{self, Ed25519, Es256, Rs256};

use super::fixtures::{candidate, key, policy};
use super::kind::{KeySpec, Kid, Origin, RsaBits};
use super::plan::{PlanRefused, generated_by, plan};
use super::rotation::{Action, Broken, Policy, Step, SweepRefused, add, invariant, next_due, rotate_now, sweep};
use super::states::{Key, KeyState};
use super::store::KeyChange;
use super::table::KeyTable;
use crate::ports::Timestamp;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);
const MILLI: Duration = Duration::from_millis(1);

/// A table over which time passes. Keys are named by the order in which they were made.
struct Story {
    table: KeyTable,
    policy: Policy,
    now: Timestamp,
    made: Vec<Kid>,
}

impl Story {
    fn begin(specs: &[KeySpec]) -> Self {
        let mut story = Self { table: KeyTable::default(), policy: policy(specs), now: START, made: Vec::new() };
        story.sweep();
        story
    }

    fn candidate(&mut self, algorithm: Algorithm) -> super::plan::Candidate {
        let candidate = candidate(self.made.len() as u64, algorithm);
        self.made.push(candidate.kid.clone());
        candidate
    }

    fn apply(&mut self, actions: &[Action]) -> KeyChange {
        let wanted = generated_by(actions);
        let candidates = wanted.iter().map(|spec| self.candidate(spec.algorithm())).collect();
        self.commit(actions, candidates)
    }

    fn commit(&mut self, actions: &[Action], candidates: Vec<super::plan::Candidate>) -> KeyChange {
        let (table, change) = plan(&self.table, &self.policy, actions, candidates, self.now).unwrap();
        self.table = KeyTable { version: self.table.version + 1, ..table };
        change
    }

    /// Sweeps, and checks that a second sweep finds nothing.
    fn sweep(&mut self) -> usize {
        let actions = sweep(&self.table, &self.policy, self.now).unwrap();
        if !actions.is_empty() {
            self.apply(&actions);
        }
        assert_eq!(sweep(&self.table, &self.policy, self.now), Ok(vec![]));
        actions.len()
    }

    /// Lets time pass, and sweeps at its end.
    fn pass(&mut self, span: Duration) -> usize {
        self.now = self.now.plus(span);
        self.sweep()
    }

    /// Jumps to the next moment at which something is due.
    fn pass_to_due(&mut self) -> Timestamp {
        self.now = next_due(&self.table, &self.policy, self.now).unwrap();
        assert_ne!(self.sweep(), 0);
        self.now
    }

    fn key(&self, number: usize) -> &Key {
        self.table.find(&self.made[number]).unwrap()
    }

    /// The state of every key, in the order they were made.
    fn states(&self) -> String {
        let states: Vec<_> = (0..self.made.len()).map(|number| self.key(number).state.name()).collect();
        states.join(" ")
    }
}

#[test]
fn keys_live_through_several_rotations() {
    let mut story = Story::begin(&[KeySpec::Es256]);
    assert_eq!(story.states(), "active pending");
    assert_eq!(story.key(1).state, KeyState::Pending { usable_from: START });
    let retirement = MINUTE * (10 + 5 + 1);

    let mut rotated = START;
    for lifetime in 1..6 {
        // A month goes by from one rotation to the next; nothing is due before.
        let due = rotated.plus(DAY * 30);
        assert_eq!(story.pass(due.minus(MILLI).since(story.now)), 0);
        assert_eq!(story.pass_to_due(), due);
        rotated = story.now;
        let (old, new, next) = (lifetime - 1, lifetime, lifetime + 1);
        let until = rotated.plus(retirement);
        assert_eq!(story.key(old).state, KeyState::Retiring { since: rotated, until });
        assert_eq!(story.key(new).state, KeyState::Active { since: rotated });
        let usable_from = rotated.plus(MINUTE * 15);
        assert_eq!(story.key(next).state, KeyState::Pending { usable_from });
        assert_eq!(story.key(next).published_at, rotated);
        assert_eq!(story.table.published().len(), 3);

        assert_eq!(story.pass(retirement - MILLI), 0);
        assert_eq!(story.pass_to_due(), until);
        assert_eq!(story.key(old).state, KeyState::Retired { since: until });
        assert_eq!(story.table.published().len(), 2);
    }
    assert_eq!(story.states(), "retired retired retired retired retired active pending");
    let reasons: Vec<_> = (0..7).map(|number| story.key(number).reason.as_str()).collect();
    assert_eq!(reasons[0], "the last token it signed has expired");
    assert_eq!(reasons[5], "the active key has signed for as long as the policy says");
    assert_eq!(reasons[6], "ES256 has too few published successors");
}

#[test]
fn only_the_keys_of_the_very_first_table_are_born_propagated() {
    let mut story = Story::begin(&[KeySpec::Es256, KeySpec::Rs256(RsaBits::B2048)]);
    assert_eq!(story.states(), "active pending active pending");
    // An algorithm that is enabled later waits, however young the table is.
    story.policy.specs.push(KeySpec::Ed25519);
    story.pass(MILLI);
    assert_eq!(story.states(), "active pending active pending pending pending");
    let enabled = story.now;
    assert_eq!(story.pass(MINUTE * 15 - MILLI), 0);
    assert_eq!(story.table.active(Ed25519), None);
    assert_eq!(story.pass_to_due(), enabled.plus(MINUTE * 15));
    assert_eq!(story.table.active(Ed25519).unwrap().state, KeyState::Active { since: story.now });
    assert!(story.table.successor(Ed25519).is_some());
}

#[test]
fn an_algorithm_no_longer_kept_ready_is_withdrawn_and_can_come_back() {
    let rsa = KeySpec::Rs256(RsaBits::B2048);
    let mut story = Story::begin(&[KeySpec::Es256, rsa]);
    story.policy.specs = vec![KeySpec::Es256];
    story.pass(DAY);
    assert_eq!(story.states(), "active pending retiring retired");
    assert_eq!(story.key(2).reason, "RS256 is no longer kept ready");
    story.pass_to_due();
    assert_eq!(story.states(), "active pending retired retired");
    story.policy.specs.push(rsa);
    story.pass(MILLI);
    assert_eq!(story.states(), "active pending retired retired pending pending");
    story.pass(MINUTE * 15);
    assert!(story.table.active(Rs256).is_some() && story.table.successor(Rs256).is_some());
}

#[test]
fn two_replicas_of_different_configuration_do_not_publish_and_withdraw_without_end() {
    let (old, new) = (policy(&[KeySpec::Es256]), policy(&[KeySpec::Es256, KeySpec::Ed25519]));
    let mut story = Story::begin(&[KeySpec::Es256]);
    for _ in 0..600 {
        story.policy = new.clone();
        story.pass(Duration::from_millis(500));
        story.policy = old.clone();
        story.pass(Duration::from_millis(500));
    }
    assert_eq!(story.states(), "active pending retired retired", "in ten minutes, one attempt");
    // Once the old ones are gone, it takes two propagation times.
    story.policy = new;
    story.pass_to_due();
    story.pass_to_due();
    assert!(story.table.active(Ed25519).is_some());
    assert!(story.now <= START.plus(MINUTE * 31));
}

#[test]
fn a_change_of_rsa_size_counts_from_the_next_key_on() {
    let mut story = Story::begin(&[KeySpec::Rs256(RsaBits::B2048)]);
    story.policy.specs = vec![KeySpec::Rs256(RsaBits::B3072)];
    assert_eq!(story.pass(DAY), 0);
    story.now = story.now.plus(DAY * 29);
    let actions = sweep(&story.table, &story.policy, story.now).unwrap();
    assert_eq!(generated_by(&actions), [KeySpec::Rs256(RsaBits::B3072)]);
}

#[test]
fn no_rotation_happens_before_the_successor_has_propagated() {
    let mut story = Story::begin(&[KeySpec::Es256]);
    story.policy.rotate_every = MINUTE;
    story.pass(MINUTE);
    assert_eq!(story.states(), "retiring active pending");
    // Due after a minute, possible after a quarter of an hour.
    assert_eq!(story.pass(MINUTE * 15 - MILLI), 0);
    assert_eq!(story.pass(MILLI), 2 + 1, "retire, activate, generate");
    assert_eq!(story.states(), "retiring retiring active pending");
}

#[test]
fn a_clock_that_ran_backwards_moves_nothing() {
    let mut story = Story::begin(&[KeySpec::Es256]);
    story.pass(DAY * 30);
    let recorded = story.now;
    let now = recorded.minus(MILLI);
    let refused = Err(SweepRefused::ClockWentBack { now, recorded });
    assert_eq!(sweep(&story.table, &story.policy, now), refused);
    assert_eq!(rotate_now(&story.table, &story.policy, Es256, now, true), refused);
    // The rows alone give it away, too.
    story.table.acted_at = None;
    assert_eq!(sweep(&story.table, &story.policy, now), refused);
}

#[test]
fn a_policy_that_keeps_nothing_is_taken_for_a_mistake() {
    let mut story = Story::begin(&[KeySpec::Es256]);
    story.policy.specs.clear();
    assert_eq!(sweep(&story.table, &story.policy, story.now), Err(SweepRefused::NothingKept));
}

#[test]
fn two_active_keys_of_an_algorithm_stop_the_sweep() {
    let mut story = Story::begin(&[KeySpec::Es256]);
    for key in &mut story.table.keys {
        key.state = KeyState::Active { since: START };
    }
    let broken = SweepRefused::Broken(Broken::TwoActive(Es256));
    assert_eq!(sweep(&story.table, &story.policy, story.now), Err(broken));
}

#[test]
fn longer_lifetimes_are_noted_on_every_row_that_may_sign_or_lately_did() {
    let mut story = Story::begin(&[KeySpec::Es256]);
    story.pass(DAY * 30);
    let rotated = story.now;
    story.policy.longest_lifetime = MINUTE * 60;
    assert_eq!(story.pass(MINUTE), 3);
    for number in 0..3 {
        assert_eq!(story.key(number).longest_lifetime, MINUTE * 60);
    }
    let until = rotated.plus(MINUTE * (10 + 60 + 1));
    assert_eq!(story.key(0).state, KeyState::Retiring { since: rotated, until });
    // Shorter ones are not: tokens of the longer kind are still about.
    story.policy.longest_lifetime = MINUTE;
    assert_eq!(story.pass(MINUTE), 0);
    story.pass(DAY * 30);
    let until = story.now.plus(MINUTE * (10 + 60 + 1));
    assert_eq!(story.key(1).state, KeyState::Retiring { since: story.now, until });
}

#[test]
fn a_key_that_nobody_can_sign_with_any_more_is_not_kept_longer() {
    let mut story = Story::begin(&[KeySpec::Es256]);
    story.policy.longest_lifetime = DAY;
    story.pass(MILLI);
    story.pass(DAY * 30);
    let before = story.key(0).state;
    story.policy.longest_lifetime = DAY * 2;
    story.pass(MINUTE * 12);
    assert_eq!(story.key(0).state, before);
    assert_eq!(story.key(1).longest_lifetime, DAY * 2);
}

#[test]
fn rotating_by_hand_says_when_it_becomes_possible() {
    let mut story = Story::begin(&[KeySpec::Es256]);
    let rotate = |story: &Story, force| rotate_now(&story.table, &story.policy, Es256, story.now, force);
    let actions = rotate(&story, false).unwrap();
    story.apply(&actions);
    assert_eq!(story.states(), "retiring active pending");
    let possible_from = story.now.plus(MINUTE * 15);
    let refused = SweepRefused::NotPropagated { algorithm: Es256, possible_from };
    assert_eq!(rotate(&story, false), Err(refused));
    let forced = rotate(&story, true).unwrap();
    let step = Step::Activate { kid: story.made[2].clone(), forced: true };
    assert_eq!(forced[1].step, step);
    story.apply(&forced);
    assert_eq!(story.states(), "retiring retiring active pending");
    assert_eq!(rotate_now(&story.table, &story.policy, Rs256, story.now, true), Err(SweepRefused::NotKept(Rs256)));
}

#[test]
fn after_a_compromise_the_successor_takes_over_in_the_same_change() {
    let mut story = Story::begin(&[KeySpec::Es256]);
    story.now = story.now.plus(DAY);
    story.table.keys[0] = story.table.keys[0].clone().compromise(story.now, "leaked").unwrap();
    assert_eq!(invariant(&story.table, &story.policy, story.now), Err(Broken::NoActive(Es256)));
    story.sweep();
    assert_eq!(story.states(), "compromised active pending");
    // The next one too: its successor has not propagated, so the algorithm waits.
    story.table.keys[1] = story.table.keys[1].clone().compromise(story.now, "leaked").unwrap();
    story.sweep();
    assert_eq!(story.states(), "compromised compromised pending pending");
    story.pass(MINUTE * 15);
    assert!(story.table.active(Es256).is_some() && story.table.successor(Es256).is_some());
}

#[test]
fn an_imported_key_queues_behind_the_successor() {
    let mut story = Story::begin(&[KeySpec::Es256]);
    story.now = story.now.plus(MINUTE);
    let imported = candidate(1_000, Es256);
    let kid = imported.kid.clone();
    let actions = add(&story.table, &story.policy, &kid, Es256, "imported", story.now).unwrap();
    let imported = super::plan::Candidate { origin: Origin::Imported, ..imported };
    story.commit(&actions, vec![imported.clone()]);
    story.made.push(kid.clone());
    assert_eq!(story.states(), "active pending pending");
    assert_eq!(story.key(2).origin, Origin::Imported);
    let usable_from = story.now.plus(MINUTE * 15);
    assert_eq!(story.key(2).state, KeyState::Pending { usable_from });
    // It is a successor: none is generated at the first rotation, and it signs after the second.
    story.pass(DAY * 30);
    assert_eq!(story.states(), "retiring active pending");
    story.pass(DAY * 30);
    assert_eq!(story.states(), "retired retiring active pending");
    // A name is used once.
    let actions = add(&story.table, &story.policy, &kid, Es256, "again", story.now).unwrap();
    assert_eq!(
        plan(&story.table, &story.policy, &actions, vec![imported], story.now),
        Err(PlanRefused::KnownKey { kid, state: "active" })
    );
}

#[test]
fn a_key_imported_into_an_empty_table_signs_first_and_the_rest_comes_with_it() {
    let mut story = Story {
        table: KeyTable::default(),
        policy: policy(&[KeySpec::Es256, KeySpec::Ed25519]),
        now: START,
        made: Vec::new(),
    };
    let imported = story.candidate(Ed25519);
    let actions = add(&story.table, &story.policy, &imported.kid, Ed25519, "imported", START).unwrap();
    assert_eq!(generated_by(&actions), [KeySpec::Es256, KeySpec::Es256, KeySpec::Ed25519]);
    let mut candidates = vec![imported];
    for spec in generated_by(&actions) {
        candidates.push(story.candidate(spec.algorithm()));
    }
    story.commit(&actions, candidates);
    assert_eq!(story.states(), "active active pending pending");
    assert_eq!(sweep(&story.table, &story.policy, START), Ok(vec![]));
}

#[test]
fn a_key_of_an_algorithm_that_is_not_kept_ready_is_not_added() {
    let story = Story::begin(&[KeySpec::Es256]);
    let kid = candidate(9, Rs256).kid;
    assert_eq!(add(&story.table, &story.policy, &kid, Rs256, "", story.now), Err(SweepRefused::NotKept(Rs256)));
}

#[test]
fn a_plan_that_would_break_the_invariant_comes_to_nothing() {
    let story = Story::begin(&[KeySpec::Es256]);
    let act = |step| {
        let actions = [Action { step, reason: String::new() }];
        plan(&story.table, &story.policy, &actions, vec![], story.now).map(|_| ())
    };
    let [active, pending] = [0, 1].map(|number| story.made[number].clone());
    let until = story.now;
    assert_eq!(act(Step::Retire { kid: active.clone(), until }), Err(PlanRefused::Broken(Broken::NoActive(Es256))));
    assert_eq!(act(Step::Withdraw { kid: pending.clone() }), Err(PlanRefused::Broken(Broken::NoSuccessor(Es256))));
    let both = Step::Activate { kid: pending, forced: false };
    assert_eq!(act(both), Err(PlanRefused::Broken(Broken::TwoActive(Es256))));
    let unknown = key(77, Es256, START).kid;
    assert_eq!(act(Step::Expire { kid: unknown.clone() }), Err(PlanRefused::UnknownKey(unknown)));
    assert!(matches!(act(Step::Expire { kid: active }), Err(PlanRefused::Transition(_))));
    let step = Step::Generate { spec: KeySpec::Es256, born_propagated: false };
    assert_eq!(act(step), Err(PlanRefused::NotGenerated(KeySpec::Es256)));
}

#[test]
fn a_change_holds_exactly_what_changed() {
    let mut story = Story::begin(&[KeySpec::Es256, KeySpec::Ed25519]);
    story.policy.rotate_every = DAY;
    story.policy.specs = vec![KeySpec::Es256];
    story.now = story.now.plus(DAY);
    let actions = sweep(&story.table, &story.policy, story.now).unwrap();
    let change = story.apply(&actions);
    assert_eq!(change.acted_at, story.now);
    assert_eq!(change.insert.len(), 1);
    assert_eq!(change.insert[0].0.kid, story.made[4]);
    let updated: Vec<_> = change.update.iter().map(|key| key.state.name()).collect();
    assert_eq!(updated, ["retiring", "active", "retiring", "retired"]);
}
