//! How failures add up, and for how long they make others wait.
//!
//! Guarantees: every wait ends; time forgives every failure; an attempt that waited as long as it was told is heard,
//! unless another came before it.

use std::time::Duration;

use super::{Counted, Mark};
use crate::ports::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);

/// Failures in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// How many, in thousandths: time forgives them bit by bit.
    pub weight: u32,
    /// When the last was counted.
    pub last_at: Timestamp,
}

/// One failure.
pub(super) const ONE: u32 = 1_000;

impl Tally {
    /// How many there are; one that is forgiven in part is one.
    pub const fn failures(self) -> u32 {
        self.weight.div_ceil(ONE)
    }

    /// One failure less.
    pub(super) const fn take_back(&mut self) {
        self.weight = self.weight.saturating_sub(ONE);
    }
}

/// How a tally makes attempts wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// So many failures cost nothing.
    pub free: u32,
    /// The wait after them; it doubles with each further one.
    pub first_wait: Duration,
    /// The longest that this wait grows to.
    pub longest_wait: Duration,
    /// Never more than so many that are not forgiven: the next waits until there is room. `None` is no such end.
    pub most: Option<u32>,
    /// In this time one failure is forgiven.
    pub forgives_one_in: Duration,
}

impl Limit {
    /// What time has left of `tally` at `now`, in thousandths of a failure.
    pub(super) fn remaining(self, tally: Tally, now: Timestamp) -> u32 {
        let forgiven = now.since(tally.last_at).as_millis().saturating_mul(ONE.into()) / self.one_in();
        tally.weight.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }

    /// The tally with one failure more at `now`.
    pub(super) fn counted(self, tally: Tally, now: Timestamp) -> Tally {
        Tally { weight: self.remaining(tally, now).saturating_add(ONE), last_at: now }
    }

    /// For how long from `now` on nobody may try.
    pub(super) fn left(self, tally: Tally, now: Timestamp) -> Duration {
        // A last failure ahead of `now` comes of clocks that differ: nobody waits longer than the whole for that.
        self.growing(tally.failures()).max(self.until_there_is_room(tally)).saturating_sub(now.since(tally.last_at))
    }

    /// The wait after so many failures.
    fn growing(self, failures: u32) -> Duration {
        let Some(beyond) = failures.checked_sub(self.free) else { return Duration::ZERO };
        let doubled = 1_u32.checked_shl(beyond).unwrap_or(u32::MAX);
        self.first_wait.saturating_mul(doubled).min(self.longest_wait)
    }

    /// How long after the last failure one more is not too many.
    fn until_there_is_room(self, tally: Tally) -> Duration {
        let most = self.most.map_or(u32::MAX, |most| most.saturating_mul(ONE));
        let lacking = tally.weight.saturating_add(ONE).saturating_sub(most);
        let millis = u128::from(lacking).saturating_mul(self.one_in()).div_ceil(ONE.into());
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// Milliseconds, and never none.
    fn one_in(self) -> u128 {
        self.forgives_one_in.as_millis().max(1)
    }
}

/// All limits on logging in. Those of a name are the same everywhere, so that what they promise is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// For attempts from one address prefix on devices that the name does not know, whatever the name.
    pub prefix: Limit,
    /// For all attempts by strangers together.
    pub all: Limit,
}

impl Limits {
    /// For attempts at one name from one prefix on devices that are not known.
    pub const PAIR: Limit = Limit {
        free: 4,
        first_wait: Duration::from_secs(1),
        longest_wait: Duration::from_secs(60),
        most: Some(8),
        forgives_one_in: Duration::from_secs(2 * DAY.as_secs()),
    };
    /// For attempts at one name from everywhere on devices that are not known, together. There is room for two prefixes
    /// that have used up all of [`Self::PAIR`], and for the owner besides, and one more is forgiven in the time in which
    /// each of two has half of one forgiven.
    pub const STRANGERS: Limit = Limit {
        free: 9,
        first_wait: Duration::from_secs(1),
        longest_wait: Duration::from_secs(15 * 60),
        most: Some(18),
        forgives_one_in: DAY,
    };
    /// For attempts at one name on all known devices, together.
    pub const OWNER: Limit = Limit { free: 4, longest_wait: Duration::from_secs(5 * 60), ..Self::STRANGERS };

    /// So many failures at one account, which has at most two names, are possible in 30 days on devices that are not
    /// known, from whatever number of addresses; and in 7 days on all.
    pub const MOST_AN_ACCOUNT: u32 = 100;

    /// The limits where an address prefix may fail `prefix` times, and all strangers together `all` times a minute,
    /// before they wait.
    pub const fn new(prefix: u32, all: u32) -> Self {
        let minute = Duration::from_secs(60);
        Self {
            prefix: Limit {
                free: prefix,
                first_wait: Duration::from_secs(1),
                longest_wait: Duration::from_secs(5 * 60),
                most: None,
                forgives_one_in: minute,
            },
            all: Limit {
                free: all,
                first_wait: Duration::from_secs(1),
                longest_wait: Duration::from_secs(4),
                most: None,
                // 60 000 failures a minute are more than any pool can check.
                forgives_one_in: share(minute, all),
            },
        }
    }

    /// What there is to say of an attempt that was counted as `counted`, if it fails: in its place (`here`, of a prefix or
    /// of the owner's) and among all of its kind (`together`) it makes so many failures.
    pub fn mark(counted: Counted, here: u32, together: u32) -> Option<Mark> {
        let (here_most, most) = match counted {
            Counted::AsOwner => (Self::OWNER.most, Self::OWNER.most),
            Counted::AsStranger => (Self::PAIR.most, Self::STRANGERS.most),
        };
        if here_most == Some(here) || most == Some(together) {
            Some(Mark::Limited)
        } else {
            (here == 1).then_some(Mark::First)
        }
    }
}

/// The limits on registering.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegistrationLimits {
    /// For one address prefix.
    pub prefix: Limit,
    /// For everybody together.
    pub all: Limit,
}

impl RegistrationLimits {
    /// The limits where an address prefix may register `prefix` times, and everybody together `all` times an hour.
    pub const fn new(prefix: u32, all: u32) -> Self {
        Self {
            prefix: Self::room_for(prefix, Duration::from_secs(10 * 60)),
            all: Self::room_for(all, share(Duration::from_secs(3600), all)),
        }
    }

    const fn room_for(most: u32, forgives_one_in: Duration) -> Limit {
        Limit {
            free: most,
            first_wait: Duration::ZERO,
            longest_wait: Duration::ZERO,
            most: Some(most),
            forgives_one_in,
        }
    }
}

/// The part of `span` that each of `count` has.
const fn share(span: Duration, count: u32) -> Duration {
    // Spans are of an hour at most.
    Duration::from_millis(span.as_secs() * 1000 / if count == 0 { 1 } else { count as u64 })
}
