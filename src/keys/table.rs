//! All keys of a purpose, as one snapshot: which of them signs, which is next, and which the JWKS has.
//!
//! Guarantees: what is told of a table depends on its keys alone, never on the order in which they stand.

use signet_verify::Algorithm;

use super::kind::Kid;
use super::states::{Key, KeyState};
use crate::ports::Timestamp;

/// All keys of a purpose, as one snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyTable {
    /// Grows with each committed change; 0 is a table that never had a key.
    pub version: i64,
    /// The store's time when it last changed.
    pub acted_at: Option<Timestamp>,
    /// The keys, in any order.
    pub keys: Vec<Key>,
}

impl KeyTable {
    /// The key of this name.
    #[must_use]
    pub fn find(&self, kid: &Kid) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == *kid)
    }

    /// The key that signs with `algorithm`.
    #[must_use]
    pub fn active(&self, algorithm: Algorithm) -> Option<&Key> {
        let signs = |key: &&Key| key.algorithm == algorithm && matches!(key.state, KeyState::Active { .. });
        self.keys.iter().find(signs)
    }

    /// The keys that are to sign with `algorithm`, with the moment from which each may, in the order in which they
    /// will: the first to propagate first, then the older.
    #[must_use]
    pub fn pending(&self, algorithm: Algorithm) -> Vec<(&Key, Timestamp)> {
        let usable_from = |key: &Key| match key.state {
            KeyState::Pending { usable_from } => Some(usable_from),
            _ => None,
        };
        let mut pending: Vec<_> = self
            .keys
            .iter()
            .filter(|key| key.algorithm == algorithm)
            .filter_map(|key| usable_from(key).map(|moment| (key, moment)))
            .collect();
        pending.sort_by_key(|(key, moment)| (*moment, key.created_at, &key.kid));
        pending
    }

    /// The key that signs with `algorithm` next, and from when on it may.
    #[must_use]
    pub fn successor(&self, algorithm: Algorithm) -> Option<(&Key, Timestamp)> {
        self.pending(algorithm).into_iter().next()
    }

    /// The keys that the JWKS has: by algorithm, then the older first.
    #[must_use]
    pub fn published(&self) -> Vec<&Key> {
        let mut published: Vec<_> = self.keys.iter().filter(|key| key.state.is_published()).collect();
        published.sort_by_key(|key| (key.algorithm, key.created_at, &key.kid));
        published
    }

    /// The latest moment that the table records as past. A clock that is behind it ran backwards.
    #[must_use]
    pub fn latest_moment(&self) -> Option<Timestamp> {
        let of_key = |key: &Key| [Some(key.created_at), Some(key.published_at), key.state.since()];
        self.keys.iter().flat_map(of_key).chain([self.acted_at]).flatten().max()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::keys::fixtures::key;

    #[test]
    fn the_successor_is_the_first_to_propagate_then_the_older() {
        let pending = |seed, created: i64, usable: i64| {
            let usable_from = Timestamp::from_secs(usable);
            let state = KeyState::Pending { usable_from };
            Key { state, ..key(seed, Algorithm::Es256, Timestamp::from_secs(created)) }
        };
        let keys = vec![pending(1, 5, 90), pending(2, 4, 80), pending(3, 3, 80)];
        let table = KeyTable { keys, ..KeyTable::default() };
        let order: Vec<_> = table.pending(Algorithm::Es256).iter().map(|(key, _)| key.created_at.secs()).collect();
        assert_eq!(order, [3, 4, 5]);
        assert_eq!(table.successor(Algorithm::Es256).unwrap().1.secs(), 80);
        assert_eq!(table.successor(Algorithm::Rs256), None);
        assert_eq!(table.latest_moment(), Some(Timestamp::from_secs(5)));
    }
}
