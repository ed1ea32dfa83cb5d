//! What is kept of a name that somebody tried to log in by.
//!
//! Guarantees: it is of bounded size, however many come; whatever is in it is forgotten with time.

use std::time::Duration;

use super::{DeviceTag, Limits, Prefix, Tally};
use crate::ports::Timestamp;

/// So many devices of an owner are known; of more, those that succeeded last.
pub const MOST_DEVICES: usize = 16;
/// Of so many prefixes the failures are known; of more, the last. The limits admit strangers at fewer within the time in
/// which a prefix is forgiven.
pub const MOST_PAIRS: usize = 40;
/// For so long a device stays known that did not succeed again.
pub const DEVICE_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// For so long failures are remembered that nothing follows: longer than time takes to forgive them.
pub const FAILURES_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// What is kept of one name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NameRecord {
    /// Failures of whoever has no known device.
    pub strangers: Tally,
    /// Failures on known devices.
    pub owner: Tally,
    /// Its owner's devices, and when each last succeeded; the latest first, at most [`MOST_DEVICES`].
    pub devices: Vec<(DeviceTag, Timestamp)>,
    /// Failures of strangers by the prefix; the latest first, at most [`MOST_PAIRS`].
    pub pairs: Vec<(Prefix, Tally)>,
}

impl NameRecord {
    /// Whether `device` is one of its owner's.
    pub fn knows(&self, device: Option<DeviceTag>, now: Timestamp) -> bool {
        self.devices.iter().any(|(known, seen)| Some(*known) == device && now.since(*seen) < DEVICE_KEPT)
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

    /// After its owner has logged in: `device` is known from now on, and what failed on known devices is forgotten. Where
    /// they were counted as a stranger at a prefix (`stranger_at`), what failed there is forgotten too, since they may have
    /// mistyped. What others failed stays counted, so that nobody gets more tries by waiting for the owner.
    pub fn succeeded(&mut self, device: Option<DeviceTag>, stranger_at: Option<Prefix>, now: Timestamp) {
        if let Some(prefix) = stranger_at {
            let here = Limits::STRANGERS.remaining(self.pair(prefix), now);
            self.strangers.weight = self.strangers.weight.saturating_sub(here);
            self.pairs.retain(|(known, _)| *known != prefix);
        }
        self.devices.retain(|(known, seen)| Some(*known) != device && now.since(*seen) < DEVICE_KEPT);
        if let Some(device) = device {
            self.devices.insert(0, (device, now));
            self.devices.truncate(MOST_DEVICES);
        }
        self.owner = Tally::default();
    }
}
