//! What holds after each change of the table, said in other words than those of the module that is tried.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use signet_verify::Algorithm;

use crate::keys::kind::Kid;
use crate::keys::rotation::Policy;
use crate::keys::states::KeyState;
use crate::keys::table::KeyTable;
use crate::ports::Timestamp;

/// Nothing goes backwards: no key is lost, no state returns, no lifetime or retirement shrinks.
pub(super) fn check_step(before: &KeyTable, after: &KeyTable) -> Result<(), TestCaseError> {
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
/// [`invariant`](crate::keys::rotation::invariant)'s.
pub(super) fn check_promise(
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
