//! Operators in the simulation: what they ask for, and what must hold after each act besides the promises that always do.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use signet_verify::Algorithm;

use super::{World, count};
use crate::keys::kind::Kid;
use crate::keys::rotation::{Action, KeyAct, MOST_BY_HAND, SweepRefused, may_fail_until};
use crate::keys::states::{Key, KeyState};
use crate::keys::table::KeyTable;
use crate::keys::timeline::{Foreseen, Timeline, foresee, timeline};
use crate::ports::Timestamp;

/// What an operator asks for; keys and algorithms are drawn from those that are there.
#[derive(Debug, Clone)]
pub(super) enum Hand {
    /// Rotates one algorithm or all.
    Rotate(Option<Index>, bool),
    /// Rotates the algorithm of a key, if that key is active.
    RotateIf(Index, bool),
    Activate(Index, bool),
    Retire(Index),
    Compromise(Index),
}

pub(super) fn hand() -> impl Strategy<Value = Hand> {
    let index = any::<Index>;
    let rotate = (proptest::option::of(index()), any::<bool>()).prop_map(|(index, force)| Hand::Rotate(index, force));
    prop_oneof![
        2 => rotate,
        1 => (index(), any::<bool>()).prop_map(|(index, force)| Hand::RotateIf(index, force)),
        2 => (index(), any::<bool>()).prop_map(|(index, force)| Hand::Activate(index, force)),
        2 => index().prop_map(Hand::Retire),
        2 => index().prop_map(Hand::Compromise),
    ]
}

/// Whether the act may let a key sign that has not propagated.
const fn may_be_early(act: &KeyAct) -> bool {
    match act {
        KeyAct::Rotate { force, .. } | KeyAct::Activate { force, .. } => *force,
        KeyAct::Retire { .. } => false,
        KeyAct::Compromise { .. } => true,
    }
}

impl World<'_> {
    fn asked(&self, hand: &Hand) -> KeyAct {
        // Mostly of keys that are in use; the old ones would outnumber them soon.
        let kid = |index: &Index| {
            let mut keys: Vec<Kid> = self.table.published().iter().map(|key| key.kid.clone()).collect();
            keys.extend(self.table.keys.iter().rev().find(|key| !key.state.is_published()).map(|key| key.kid.clone()));
            index.get(&keys).clone()
        };
        let algorithm = |index: &Index| index.get(&self.policy.specs).algorithm();
        match hand {
            Hand::Rotate(index, force) => {
                KeyAct::Rotate { algorithm: index.as_ref().map(algorithm), if_active: None, force: *force }
            }
            Hand::RotateIf(index, force) => {
                let kid = kid(index);
                let algorithm = self.table.find(&kid).map(|key| key.algorithm);
                KeyAct::Rotate { algorithm, if_active: Some(kid), force: *force }
            }
            Hand::Activate(index, force) => KeyAct::Activate { kid: kid(index), force: *force },
            Hand::Retire(index) => KeyAct::Retire { kid: kid(index) },
            Hand::Compromise(index) => KeyAct::Compromise { kid: kid(index), reason: "drawn by lot".to_owned() },
        }
    }

    pub(super) fn act(&mut self, hand: &Hand, swept: bool) -> Result<(), TestCaseError> {
        if swept {
            self.sweep(1)?;
        }
        self.carry_out(&self.asked(hand))
    }

    pub(super) fn carry_out(&mut self, act: &KeyAct) -> Result<(), TestCaseError> {
        let policy = self.policy_of(1);
        let steps = match act.steps(&self.table, &policy, self.now) {
            Ok(steps) if steps.is_empty() => return self.check_unchanged(act),
            Ok(steps) => steps,
            Err(refused) => return self.check_refusal(act, &refused),
        };
        count(&self.counts.acted);
        let before = self.table.clone();
        let told = may_fail_until(&before, &policy, &steps, self.now);
        // Looking ahead costs a lot: one act of eight is enough.
        let look_ahead = self.counts.acted.get().is_multiple_of(8);
        let foreseen = look_ahead.then(|| foresee(&before, &policy, &steps, self.now).unwrap());
        let after = self.planned(&steps, &policy);
        if let KeyAct::Compromise { kid, .. } = act {
            count(&self.counts.compromised);
            self.compromised.insert(kid.clone(), before.version + 1);
        }
        self.commit(after, &policy, false)?;
        self.check_done(act, &before)?;
        prop_assert!(told.is_none() || may_be_early(act), "a key signs early, and nobody asked for that");
        self.check_told(&before, told)?;
        foreseen.map_or(Ok(()), |foreseen| self.check_foreseen(&before, foreseen, told))?;
        self.check_again(act, &before, &steps)?;
        self.sweep(1)
    }

    /// What was asked for is so.
    fn check_done(&self, act: &KeyAct, before: &KeyTable) -> Result<(), TestCaseError> {
        let state = |kid: &Kid| self.table.find(kid).map(|key| key.state.name());
        match act {
            KeyAct::Rotate { algorithm, .. } => {
                for algorithm in Algorithm::ALL.iter().filter(|one| algorithm.is_none_or(|wanted| wanted == **one)) {
                    let (was, is) = [before, &self.table].map(|table| table.active(*algorithm)).into();
                    let is_kept = self.policy.spec(*algorithm).is_some();
                    prop_assert!(was.is_none() || !is_kept || was.map(|key| &key.kid) != is.map(|key| &key.kid));
                }
            }
            KeyAct::Activate { kid, .. } => prop_assert_eq!(state(kid), Some("active")),
            KeyAct::Retire { kid } => prop_assert!(matches!(state(kid), Some("retiring" | "retired"))),
            KeyAct::Compromise { kid, .. } => prop_assert_eq!(state(kid), Some("compromised")),
        }
        Ok(())
    }

    /// The operator was told of every key that now signs before it propagated, until the moment when it has, and of
    /// nothing else.
    fn check_told(&mut self, before: &KeyTable, told: Option<Timestamp>) -> Result<(), TestCaseError> {
        let signed = |key: &Key| before.find(&key.kid).is_some_and(|was| matches!(was.state, KeyState::Active { .. }));
        let signs = |key: &&Key| matches!(key.state, KeyState::Active { .. });
        let taken_over = self.table.keys.iter().filter(signs).filter(|key| !signed(key));
        let early: Vec<Key> = taken_over.filter(|key| !self.is_propagated(key)).cloned().collect();
        let latest = early.iter().map(|key| key.published_at.plus(self.policy.propagation)).max();
        prop_assert_eq!(told, latest);
        if let Some(until) = told {
            count(&self.counts.unpropagated);
            self.windows.extend(early.into_iter().map(|key| (key.kid, until)));
        }
        Ok(())
    }

    /// A dry run told the same.
    fn check_foreseen(
        &self,
        before: &KeyTable,
        foreseen: Foreseen,
        told: Option<Timestamp>,
    ) -> Result<(), TestCaseError> {
        let mut timeline = timeline(&self.table, &self.policy_of(1), self.now);
        timeline.keys[before.keys.len()..].iter_mut().for_each(|made| made.kid = None);
        let mut foreseen = foreseen;
        // Of keys made at one moment the name decides, and the names of keys to be made are not known.
        let is_tied = Algorithm::ALL.iter().any(|algorithm| {
            let moments: Vec<Timestamp> = self.table.pending(*algorithm).iter().map(|(_, from)| *from).collect();
            moments.windows(2).any(|pair| pair[0] == pair[1])
        });
        if is_tied {
            let forget = |told: &mut Timeline| told.keys.iter_mut().for_each(|key| key.coming.clear());
            [&mut timeline, &mut foreseen.timeline].into_iter().for_each(forget);
        }
        prop_assert_eq!(foreseen, Foreseen { may_fail_until: told, timeline });
        Ok(())
    }

    /// Asked for again, as when the answer was lost, nothing happens twice.
    fn check_again(&self, act: &KeyAct, before: &KeyTable, steps: &[Action]) -> Result<(), TestCaseError> {
        count(&self.counts.repeated);
        let again = |act: &KeyAct| act.steps(&self.table, &self.policy_of(1), self.now);
        let KeyAct::Rotate { algorithm, force, .. } = act else {
            prop_assert_eq!(again(act), Ok(vec![]), "after {:?}", steps);
            return Ok(());
        };
        let was_active = algorithm.and_then(|algorithm| before.active(algorithm));
        if let Some(expected) = was_active.map(|key| key.kid.clone()) {
            let repeated = KeyAct::Rotate { algorithm: *algorithm, if_active: Some(expected.clone()), force: *force };
            prop_assert_eq!(again(&repeated), Err(SweepRefused::ActiveKeyDiffers(expected)));
        }
        Ok(())
    }

    fn check_unchanged(&self, act: &KeyAct) -> Result<(), TestCaseError> {
        let state = |kid: &Kid| self.table.find(kid).map(|key| key.state.name());
        match act {
            KeyAct::Rotate { .. } => prop_assert!(false, "a rotation that does nothing"),
            KeyAct::Activate { kid, .. } => prop_assert_eq!(state(kid), Some("active")),
            KeyAct::Retire { kid } => prop_assert!(matches!(state(kid), Some("retiring" | "retired"))),
            KeyAct::Compromise { kid, .. } => prop_assert_eq!(state(kid), Some("compromised")),
        }
        Ok(())
    }

    /// A refusal is one that the act can get, and the moment that it names is the moment.
    fn check_refusal(&self, act: &KeyAct, refused: &SweepRefused) -> Result<(), TestCaseError> {
        count(&self.counts.refused);
        match (act, refused) {
            (KeyAct::Compromise { .. }, _) => prop_assert!(false, "a compromise is refused: {}", refused),
            (_, SweepRefused::NotPropagated { possible_from, .. }) => {
                prop_assert!(!may_be_early(act));
                let at = |moment: Timestamp| act.steps(&self.table, &self.policy_of(1), moment);
                let just_before = possible_from.minus(super::MILLI);
                let is_early = matches!(at(just_before), Err(SweepRefused::NotPropagated { .. }));
                prop_assert!(is_early, "possible before the moment that is named");
                let possible = at(*possible_from);
                let is_full = matches!(possible, Err(SweepRefused::TooManyKeys { .. }));
                prop_assert!(is_full || possible.is_ok_and(|steps| !steps.is_empty()));
            }
            (_, SweepRefused::TooManyKeys { published, .. }) => {
                // An act publishes at most two keys an algorithm.
                prop_assert!(published + 2 * Algorithm::ALL.len() > MOST_BY_HAND);
                prop_assert_eq!(*published, self.table.published().len());
            }
            (KeyAct::Rotate { if_active: Some(_), .. }, SweepRefused::ActiveKeyDiffers(_)) => {}
            (KeyAct::Rotate { .. } | KeyAct::Activate { .. }, SweepRefused::NotKept(_)) => {}
            (KeyAct::Rotate { .. } | KeyAct::Retire { .. }, SweepRefused::NoSuccessor(algorithm)) => {
                prop_assert!(self.table.successor(*algorithm).is_none());
            }
            (KeyAct::Activate { .. } | KeyAct::Retire { .. }, SweepRefused::Transition(_)) => {}
            _ => prop_assert!(false, "{:?} is refused: {}", act, refused),
        }
        Ok(())
    }
}
