//! What is kept of a name that somebody tried to log in by.
//!
//! Guarantees: it is of bounded size, however many come; whatever is in it is forgotten with time.

use std::time::Duration;

use super::{Limits, Prefix, Tally};
use crate::ports::Timestamp;

/// From so many places the owner is known; of more, those seen last.
pub const MOST_PLACES: usize = 16;
/// Of so many prefixes the failures are known; of more, the last. The limits admit strangers at fewer within the time in
/// which a prefix is forgiven.
pub const MOST_PAIRS: usize = 40;
/// For so long a place stays known that was not seen again.
pub const PLACE_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// For so long failures are remembered that nothing follows: longer than time takes to forgive them.
pub const FAILURES_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// What is kept of one name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NameRecord {
    /// Failures from where its owner is not known.
    pub strangers: Tally,
    /// Failures from where its owner is known.
    pub owner: Tally,
    /// Where its owner is known, and when they were last there; the latest first, at most [`MOST_PLACES`].
    pub places: Vec<(Prefix, Timestamp)>,
    /// Failures by the prefix, where its owner is not known; the latest first, at most [`MOST_PAIRS`].
    pub pairs: Vec<(Prefix, Tally)>,
}

impl NameRecord {
    /// Whether its owner is known at `prefix`.
    pub fn knows(&self, prefix: Prefix, now: Timestamp) -> bool {
        self.places.iter().any(|(place, seen)| *place == prefix && now.since(*seen) < PLACE_KEPT)
    }

    /// The failures from `prefix`.
    pub fn pair(&self, prefix: Prefix) -> Tally {
        self.pairs.iter().find(|(known, _)| *known == prefix).map(|(_, tally)| *tally).unwrap_or_default()
    }

    /// Counts a failure of a stranger at `prefix`: how many there are from there, and from everywhere.
    pub(super) fn count_stranger(&mut self, prefix: Prefix, now: Timestamp) -> (u32, u32) {
        let pair = Limits::PAIR.counted(self.pair(prefix), now);
        self.pairs.retain(|(known, tally)| *known != prefix && Limits::PAIR.remaining(*tally, now) > 0);
        self.pairs.insert(0, (prefix, pair));
        self.pairs.truncate(MOST_PAIRS);
        self.strangers = Limits::STRANGERS.counted(self.strangers, now);
        (pair.failures(), self.strangers.failures())
    }

    /// Takes back what was counted for a stranger at `prefix`.
    pub(super) fn take_back_stranger(&mut self, prefix: Prefix) {
        for (_, tally) in self.pairs.iter_mut().filter(|(known, _)| *known == prefix) {
            tally.take_back();
        }
        self.pairs.retain(|(_, tally)| tally.weight > 0);
        self.strangers.take_back();
    }

    /// After its owner has logged in from `prefix`: a place more, and no failures there, nor where they were known before.
    /// What others failed elsewhere stays counted, so that nobody gets more tries by waiting for the owner.
    pub fn succeeded(&mut self, prefix: Prefix, now: Timestamp) {
        let here = Limits::STRANGERS.remaining(self.pair(prefix), now);
        self.strangers.weight = self.strangers.weight.saturating_sub(here);
        self.pairs.retain(|(known, _)| *known != prefix);
        self.places.retain(|(place, seen)| *place != prefix && now.since(*seen) < PLACE_KEPT);
        self.places.insert(0, (prefix, now));
        self.places.truncate(MOST_PLACES);
        self.owner = Tally::default();
    }

    /// Without failures; what is known of its owner stays.
    pub fn cleared(&mut self) {
        self.strangers = Tally::default();
        self.owner = Tally::default();
        self.pairs.clear();
    }
}
