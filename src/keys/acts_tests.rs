//! The acts of an operator, one at a time.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use signet_verify::Algorithm::{self, Ed25519, Es256, Rs256};

use super::fixtures::{candidate, key, policy};
use super::kind::{KeySpec, Kid, RsaBits};
use super::plan::{generated_by, plan};
use super::rotation::{
    Action, Broken, KeyAct, Policy, Step, SweepRefused, activate, compromise, invariant, may_fail_until, retire,
    rotate, sweep,
};
use super::states::{Key, KeyState, TransitionRefused};
use super::table::KeyTable;
use crate::ports::Timestamp;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);
const MILLI: Duration = Duration::from_millis(1);
const RSA: KeySpec = KeySpec::Rs256(RsaBits::B2048);

/// A table that an operator acts on. Keys are named by the order in which they were made.
struct Desk {
    table: KeyTable,
    policy: Policy,
    now: Timestamp,
    made: Vec<Kid>,
}

impl Desk {
    /// A day after the first keys were made.
    fn of(specs: &[KeySpec]) -> Self {
        let mut desk = Self { table: KeyTable::default(), policy: policy(specs), now: START, made: Vec::new() };
        desk.sweep();
        desk.now = START.plus(DAY);
        desk
    }

    fn apply(&mut self, actions: &[Action]) {
        let mut candidates = Vec::new();
        for spec in generated_by(actions) {
            candidates.push(candidate(self.made.len() as u64, spec.algorithm()));
            self.made.push(candidates.last().unwrap().kid.clone());
        }
        let (table, _) = plan(&self.table, &self.policy, actions, candidates, self.now).unwrap();
        self.table = KeyTable { version: self.table.version + 1, ..table };
    }

    fn sweep(&mut self) -> usize {
        let actions = sweep(&self.table, &self.policy, self.now).unwrap();
        if !actions.is_empty() {
            self.apply(&actions);
        }
        assert_eq!(sweep(&self.table, &self.policy, self.now), Ok(vec![]));
        actions.len()
    }

    fn steps(&self, act: &KeyAct) -> Result<Vec<Action>, SweepRefused> {
        act.steps(&self.table, &self.policy, self.now)
    }

    /// Carries out the act, sees that it left the sweep nothing to do, and that it wants nothing when asked again.
    /// Answers until when tokens may fail.
    fn act(&mut self, act: &KeyAct) -> Option<Timestamp> {
        let actions = self.steps(act).unwrap();
        assert_ne!(actions, []);
        let until = may_fail_until(&self.table, &self.policy, &actions, self.now);
        self.apply(&actions);
        assert_eq!(sweep(&self.table, &self.policy, self.now), Ok(vec![]), "the act left something to do");
        if !matches!(act, KeyAct::Rotate { .. }) {
            assert_eq!(self.steps(act), Ok(vec![]), "again");
        }
        until
    }

    fn kid(&self, number: usize) -> Kid {
        self.made[number].clone()
    }

    fn key(&self, number: usize) -> &Key {
        self.table.find(&self.made[number]).unwrap()
    }

    fn states(&self) -> String {
        let states: Vec<_> = (0..self.made.len()).map(|number| self.key(number).state.name()).collect();
        states.join(" ")
    }

    fn activate(&self, number: usize, force: bool) -> KeyAct {
        KeyAct::Activate { kid: self.kid(number), force }
    }

    fn retire(&self, number: usize) -> KeyAct {
        KeyAct::Retire { kid: self.kid(number) }
    }

    fn compromise(&self, number: usize) -> KeyAct {
        KeyAct::Compromise { kid: self.kid(number), reason: "found on a stick".to_owned() }
    }

    fn refused_as_is(&self, number: usize, wanted: &'static str) -> Result<Vec<Action>, SweepRefused> {
        let from = self.key(number).state.name();
        Err(SweepRefused::Transition(TransitionRefused::NotFromHere { kid: self.kid(number), from, wanted }))
    }
}

const ROTATE: KeyAct = KeyAct::Rotate { algorithm: None, if_active: None, force: false };

#[test]
fn a_propagated_key_is_activated_before_its_time_and_gets_a_successor() {
    let mut desk = Desk::of(&[KeySpec::Es256]);
    assert_eq!(desk.steps(&desk.activate(0, false)), Ok(vec![]), "active already");
    assert_eq!(desk.act(&desk.activate(1, false)), None);
    assert_eq!(desk.states(), "retiring active pending");
    let until = desk.now.plus(MINUTE * 16);
    assert_eq!(desk.key(0).state, KeyState::Retiring { since: desk.now, until });
    assert_eq!(desk.key(2).state, KeyState::Pending { usable_from: desk.now.plus(MINUTE * 15) });
    assert_eq!(desk.steps(&desk.activate(0, true)), desk.refused_as_is(0, "active"));
}

#[test]
fn a_key_that_has_not_propagated_is_activated_by_force_only_and_the_answer_says_what_that_costs() {
    let mut desk = Desk::of(&[KeySpec::Es256]);
    desk.act(&desk.activate(1, false));
    let possible_from = desk.now.plus(MINUTE * 15);
    let refused = Err(SweepRefused::NotPropagated { algorithm: Es256, possible_from });
    desk.now = possible_from.minus(MILLI);
    assert_eq!(desk.steps(&desk.activate(2, false)), refused);
    assert_eq!(desk.act(&desk.activate(2, true)), Some(possible_from));
    assert_eq!(desk.states(), "retiring retiring active pending");
    // At its moment it needs no force, and force then costs nothing.
    desk.now = desk.now.plus(MINUTE * 15);
    desk.sweep();
    assert!(desk.steps(&desk.activate(3, false)).is_ok());
    assert_eq!(desk.act(&desk.activate(3, true)), None);
}

#[test]
fn a_key_further_back_in_the_queue_may_be_activated_and_the_first_stays_the_successor() {
    let mut desk = Desk::of(&[KeySpec::Es256]);
    let step = Step::Generate { spec: KeySpec::Es256, born_propagated: false };
    desk.apply(&[Action { step, reason: "one more".to_owned() }]);
    desk.now = desk.now.plus(MINUTE * 15);
    desk.act(&desk.activate(2, false));
    assert_eq!(desk.states(), "retiring pending active");
}

#[test]
fn retiring_the_active_key_lets_its_successor_take_over_when_that_has_propagated() {
    let mut desk = Desk::of(&[KeySpec::Es256]);
    assert_eq!(desk.act(&desk.retire(0)), None);
    assert_eq!(desk.states(), "retiring active pending");
    assert_eq!(desk.key(0).reason, "the active key was retired by hand");
    let possible_from = desk.now.plus(MINUTE * 15);
    let refused = Err(SweepRefused::NotPropagated { algorithm: Es256, possible_from });
    assert_eq!(desk.steps(&desk.retire(1)), refused);
    desk.now = possible_from;
    desk.act(&desk.retire(1));
    desk.now = desk.now.plus(DAY);
    desk.sweep();
    assert_eq!(desk.states(), "retired retired active pending");
    assert_eq!(desk.steps(&desk.retire(0)), Ok(vec![]), "retired already");
}

#[test]
fn a_withdrawn_successor_is_replaced_in_the_same_change() {
    let mut desk = Desk::of(&[KeySpec::Es256]);
    assert_eq!(desk.act(&desk.retire(1)), None);
    assert_eq!(desk.states(), "active retired pending");
    assert_eq!(desk.key(1).reason, "withdrawn by hand");
    assert_eq!(desk.key(2).state, KeyState::Pending { usable_from: desk.now.plus(MINUTE * 15) });
}

#[test]
fn an_algorithm_that_is_not_in_use_yet_is_never_left_without_keys() {
    let mut desk = Desk::of(&[KeySpec::Es256]);
    desk.policy.specs.push(KeySpec::Ed25519);
    desk.sweep();
    assert_eq!(desk.states(), "active pending pending pending");
    desk.act(&desk.retire(2));
    desk.act(&desk.retire(3));
    assert_eq!(desk.states(), "active pending retired retired pending pending");
    desk.act(&desk.compromise(4));
    desk.act(&desk.compromise(5));
    assert_eq!(desk.table.pending(Ed25519).len(), 2);
    assert_eq!(desk.table.active(Ed25519), None);
    // What is usable takes over in the same change, also where the sweep has not come by yet.
    desk.now = desk.now.plus(MINUTE * 15);
    desk.act(&desk.retire(6));
    assert_eq!(desk.table.active(Ed25519).unwrap().kid, desk.kid(7));
    assert_eq!(desk.table.pending(Ed25519).len(), 1);
}

#[test]
fn after_a_compromise_the_propagated_successor_signs_at_once_and_nothing_else_fails() {
    let mut desk = Desk::of(&[KeySpec::Es256]);
    assert_eq!(desk.act(&desk.compromise(0)), None);
    assert_eq!(desk.states(), "compromised active pending");
    assert_eq!(desk.key(0).reason, "found on a stick");
    assert_eq!(desk.key(0).state, KeyState::Compromised { since: desk.now });
    assert_eq!(desk.table.published().len(), 2);
    for act in [desk.activate(0, true), desk.retire(0)] {
        let wanted = if matches!(act, KeyAct::Retire { .. }) { "retiring" } else { "active" };
        assert_eq!(desk.steps(&act), desk.refused_as_is(0, wanted), "it never comes back");
    }
}

#[test]
fn after_a_second_compromise_a_key_signs_that_has_not_propagated_and_the_answer_says_until_when() {
    let mut desk = Desk::of(&[KeySpec::Es256]);
    desk.act(&desk.compromise(0));
    let usable_from = desk.now.plus(MINUTE * 15);
    desk.now = desk.now.plus(MINUTE);
    assert_eq!(desk.act(&desk.compromise(1)), Some(usable_from));
    assert_eq!(desk.states(), "compromised compromised active pending");
}

#[test]
fn of_two_successors_the_one_that_has_propagated_takes_over() {
    let mut desk = Desk::of(&[KeySpec::Es256]);
    let step = Step::Generate { spec: KeySpec::Es256, born_propagated: false };
    desk.apply(&[Action { step, reason: "one more".to_owned() }]);
    assert_eq!(desk.act(&desk.compromise(0)), None);
    assert_eq!(desk.states(), "compromised active pending");
}

#[test]
fn where_no_successor_is_left_two_keys_are_made_and_one_signs_at_once() {
    let mut desk = Desk::of(&[KeySpec::Es256, KeySpec::Ed25519]);
    // No act and no sweep leaves such a table: someone deleted a row.
    let gone = desk.table.successor(Es256).unwrap().0.kid.clone();
    desk.table.keys.retain(|key| key.kid != gone);
    assert_eq!(desk.act(&desk.compromise(0)), Some(desk.now.plus(MINUTE * 15)));
    assert_eq!((desk.table.published().len(), desk.table.pending(Es256).len()), (4, 1));
    let signer = desk.table.active(Es256).unwrap();
    assert_eq!((signer.published_at, signer.state), (desk.now, KeyState::Active { since: desk.now }));
}

#[test]
fn a_key_that_signs_no_more_is_compromised_without_touching_the_one_that_does() {
    let mut desk = Desk::of(&[KeySpec::Es256]);
    desk.act(&ROTATE);
    assert_eq!(desk.act(&desk.compromise(0)), None);
    assert_eq!(desk.states(), "compromised active pending");
    desk.act(&desk.compromise(2));
    assert_eq!(desk.states(), "compromised active compromised pending");
    desk.now = desk.now.plus(MINUTE * 15);
    desk.act(&ROTATE);
    desk.now = desk.now.plus(DAY);
    desk.sweep();
    assert_eq!(desk.key(1).state.name(), "retired");
    assert_eq!(desk.act(&desk.compromise(1)), None);
    assert_eq!(desk.states(), "compromised compromised compromised active pending");
}

#[test]
fn all_algorithms_rotate_together_or_none_does() {
    let mut desk = Desk::of(&[KeySpec::Es256, RSA]);
    desk.act(&ROTATE);
    assert_eq!(desk.states(), "retiring active retiring active pending pending");
    let since = desk.now;
    desk.now = desk.now.plus(MINUTE);
    desk.act(&desk.retire(5));
    // The successor for RS256 is a minute younger now: both wait for it.
    let possible_from = since.plus(MINUTE * 16);
    assert_eq!(desk.steps(&ROTATE), Err(SweepRefused::NotPropagated { algorithm: Rs256, possible_from }));
    desk.now = since.plus(MINUTE * 15);
    assert_eq!(desk.steps(&ROTATE), Err(SweepRefused::NotPropagated { algorithm: Rs256, possible_from }));
    let forced = KeyAct::Rotate { algorithm: None, if_active: None, force: true };
    assert_eq!(desk.act(&forced), Some(possible_from));
    assert_eq!(desk.table.active(Es256).unwrap().kid, desk.kid(4));
    assert_eq!(desk.table.active(Rs256).unwrap().kid, desk.kid(6));
}

#[test]
fn an_algorithm_that_is_not_in_use_yet_does_not_keep_the_others_from_rotating() {
    let mut desk = Desk::of(&[KeySpec::Es256]);
    desk.policy.specs.push(KeySpec::Ed25519);
    desk.sweep();
    desk.act(&ROTATE);
    assert_eq!(desk.states(), "retiring active pending pending pending");
}

#[test]
fn a_rotation_asked_for_again_with_the_key_it_expected_does_not_happen_twice() {
    let mut desk = Desk::of(&[KeySpec::Es256, RSA]);
    let (first, other) = (desk.kid(0), desk.kid(2));
    let act = |algorithm| KeyAct::Rotate { algorithm, if_active: Some(first.clone()), force: true };
    let differs = || Err(SweepRefused::ActiveKeyDiffers(first.clone()));
    assert_eq!(desk.steps(&act(Some(Rs256))), differs(), "it signs with another algorithm");
    desk.act(&act(Some(Es256)));
    assert_eq!(desk.states(), "retiring active active pending pending");
    for algorithm in [Some(Es256), None] {
        assert_eq!(desk.steps(&act(algorithm)), differs());
    }
    let all = KeyAct::Rotate { algorithm: None, if_active: Some(other), force: true };
    desk.act(&all);
    assert!(matches!(desk.steps(&all), Err(SweepRefused::ActiveKeyDiffers(_))));
}

#[test]
fn what_another_algorithm_lacks_comes_with_the_act_and_what_is_merely_due_does_not() {
    let mut desk = Desk::of(&[KeySpec::Es256, RSA]);
    // Ed25519 was enabled a propagation time ago; nobody has swept since.
    desk.policy.specs.push(KeySpec::Ed25519);
    desk.sweep();
    desk.now = desk.now.plus(MINUTE * 15);
    assert_eq!(invariant(&desk.table, &desk.policy, desk.now), Err(Broken::NoActive(Ed25519)));
    desk.act(&desk.activate(1, false));
    assert!(desk.table.active(Ed25519).is_some());
    // Both are old enough to rotate; only the one asked for does.
    desk.now = desk.now.plus(DAY * 60);
    let active = desk.table.active(Rs256).unwrap().kid.clone();
    let actions = desk.steps(&KeyAct::Rotate { algorithm: Some(Es256), if_active: None, force: false }).unwrap();
    desk.apply(&actions);
    assert_eq!(desk.table.active(Rs256).unwrap().kid, active);
    assert!(desk.sweep() > 0);
}

#[test]
fn a_key_of_an_algorithm_that_is_no_longer_kept_can_go_and_can_not_come() {
    let mut desk = Desk::of(&[KeySpec::Es256, RSA]);
    desk.policy.specs = vec![KeySpec::Es256];
    assert_eq!(desk.steps(&desk.activate(3, true)), Err(SweepRefused::NotKept(Rs256)));
    let kept = |desk: &Desk, act: &KeyAct| {
        let actions = desk.steps(act).unwrap();
        assert_eq!((actions.len(), generated_by(&actions)), (1, vec![]));
        plan(&desk.table, &desk.policy, &actions, vec![], desk.now).unwrap();
    };
    for number in [2, 3] {
        kept(&desk, &desk.retire(number));
        kept(&desk, &desk.compromise(number));
    }
    assert_eq!(desk.steps(&KeyAct::Rotate { algorithm: Some(Rs256), if_active: None, force: true }), {
        Err(SweepRefused::NotKept(Rs256))
    });
}

#[test]
fn no_act_follows_a_clock_that_ran_backwards_or_names_a_key_that_is_not_there() {
    let desk = Desk::of(&[KeySpec::Es256]);
    let (table, policy) = (&desk.table, &desk.policy);
    let (now, kid) = (START.minus(MILLI), desk.kid(1));
    let refused = Err(SweepRefused::ClockWentBack { now, recorded: START });
    assert_eq!(activate(table, policy, &kid, now, true), refused);
    assert_eq!(retire(table, policy, &kid, now), refused);
    assert_eq!(compromise(table, policy, &kid, "", now), refused);
    assert_eq!(rotate(table, policy, None, None, now, true), refused);
    let unknown = key(77, Algorithm::Es256, START).kid;
    let refused = Err(SweepRefused::UnknownKey(unknown.clone()));
    assert_eq!(activate(table, policy, &unknown, START, true), refused);
    assert_eq!(retire(table, policy, &unknown, START), refused);
    assert_eq!(compromise(table, policy, &unknown, "", START), refused);
}
