//! Which of the algorithms that this replica keeps have no key that signs, and what is said about it.
//!
//! Guarantees: each change is logged once. That an algorithm went out of service is an error: tokens of it are refused on
//! every replica, most likely because another one's settings do not keep it. That one has not begun yet is not.

use std::sync::{Mutex, PoisonError};

use signet_verify::Algorithm;
use tracing::{error, info, warn};

use crate::keys::{KeyState, KeyTable};

/// The algorithms that lacked a key that signs when it was last looked.
#[derive(Debug, Default)]
pub(super) struct OutOfService(Mutex<Vec<Algorithm>>);

impl OutOfService {
    /// Takes note of which algorithms of `kept` lack a key that signs.
    pub(super) fn note(&self, table: &KeyTable, kept: &[Algorithm]) {
        let mut before = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lacks = |algorithm: &Algorithm| table.active(*algorithm).is_none();
        let now: Vec<Algorithm> = kept.iter().copied().filter(lacks).collect();
        for algorithm in now.iter().filter(|algorithm| !before.contains(algorithm)) {
            if has_signed(table, *algorithm) {
                error!(
                    %algorithm,
                    "an algorithm that this replica keeps went out of service: `keys.algorithms` must be the same everywhere"
                );
            } else {
                warn!(%algorithm, "an algorithm that this replica keeps has no key that signs yet");
            }
        }
        for algorithm in before.iter().filter(|algorithm| !now.contains(algorithm)) {
            info!(%algorithm, "a key signs with the algorithm");
        }
        *before = now;
    }
}

/// Whether tokens of `algorithm` may be alive that were signed before it went out of service.
fn has_signed(table: &KeyTable, algorithm: Algorithm) -> bool {
    let is_retiring = |state| matches!(state, KeyState::Retiring { .. });
    table.keys.iter().any(|key| key.algorithm == algorithm && is_retiring(key.state))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::said::said;
    use super::*;
    use crate::keys::fixtures::key;
    use crate::ports::Timestamp;

    #[test]
    fn each_algorithm_without_a_key_that_signs_is_said_once_and_worse_when_it_had_one() {
        const GONE: &str =
            "an algorithm that this replica keeps went out of service: `keys.algorithms` must be the same everywhere";
        const NOT_YET: &str = "an algorithm that this replica keeps has no key that signs yet";
        const SIGNS: &str = "a key signs with the algorithm";
        let at = Timestamp::from_secs(1_800_000_000);
        let table = |state| {
            let key = crate::keys::Key { state, ..key(1, Algorithm::Es384, at) };
            KeyTable { keys: vec![key], ..KeyTable::default() }
        };
        let noted = OutOfService::default();
        let says = |state| said(|| (0..3).for_each(|_| noted.note(&table(state), &[Algorithm::Es384])));
        let active = KeyState::Active { since: at };
        assert_eq!(says(KeyState::Pending { usable_from: at }), [NOT_YET]);
        assert_eq!(says(active), [SIGNS]);
        assert_eq!(says(KeyState::Retiring { since: at, until: at }), [GONE]);
        assert_eq!(says(active), [SIGNS]);
        assert_eq!(said(|| noted.note(&KeyTable::default(), &[])), [""; 0]);
    }
}
