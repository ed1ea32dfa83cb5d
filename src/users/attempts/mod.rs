//! How often somebody may try to log in: at a name from one place and from all, from an address and in all; and how often
//! somebody may register.
//!
//! Guarantees, of [NIST SP 800-63B-4 §3.2.2](https://pages.nist.gov/800-63-4/sp800-63b.html) and of
//! `docs/decisions/0016-failed-logins.md`: strangers get at most [`Limits::MOST_AN_ACCOUNT`] guesses at an account in 30
//! days, from however many addresses, each a growing delay after the one before. **No stranger locks an owner out**: from
//! an address prefix where the owner logged in before, other limits count than from elsewhere, and nothing that happens
//! elsewhere uses them up; and from a new place the owner is heard within minutes while up to two prefixes never stop. No
//! wait is for ever. An attempt that has to wait is not counted, so that asking again makes nobody wait longer. What is
//! counted is the name as it was typed, whether or not anybody is called so: limits tell nothing of who exists.
//!
//! [`decide`] is pure; a store applies it to what it keeps, in one act.

mod limit;
mod record;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use super::LoginName;
use crate::ports::{StoreError, Timestamp};

pub use limit::{Limit, Limits, RegistrationLimits, Tally};
pub use record::{FAILURES_KEPT, MOST_PAIRS, MOST_PLACES, NameRecord, PLACE_KEPT};

/// Where an attempt comes from: an address prefix, /32 of IPv4 and /64 of IPv6, which is what one customer of a network
/// has. An IPv4 address in IPv6 clothes is that IPv4 address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Prefix([u8; 8]);

impl Prefix {
    /// The prefix of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No global IPv6 prefix begins with zeros.
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                Self([0, 0, 0, 4, a, b, c, d])
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self([a, b, c, d, e, f, g, h])
            }
        }
    }

    /// What was kept as [`Self::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits.to_be_bytes())
    }

    /// As a number, to be kept.
    pub const fn to_bits(self) -> u64 {
        u64::from_be_bytes(self.0)
    }
}

/// One attempt: a name, and where it comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// [`LoginName::digest`].
    pub name: [u8; 32],
    /// Where it comes from.
    pub prefix: Prefix,
}

impl Attempt {
    /// An attempt at `name` from `address`.
    pub fn of(name: &LoginName, address: IpAddr) -> Self {
        Self { name: name.digest(), prefix: Prefix::of(address) }
    }
}

/// All that an attempt is decided by.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Of the name.
    pub name: NameRecord,
    /// Of the address prefix.
    pub prefix: Tally,
    /// Of all strangers together.
    pub all: Tally,
}

/// As whom an attempt was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// As one from where the owner is known.
    AsOwner,
    /// As a stranger's.
    AsStranger,
}

/// What makes a failure worth a row in the audit log. Those between leave none, so that a storm does not flood it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// It is the first in a row from its place.
    First,
    /// From now on nobody is heard there, or anywhere where the owner is not known, until time has forgiven one.
    Limited,
}

/// What is decided about an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Admission {
    /// It may go on, and is counted as failed until [`AttemptStore::succeeded`] says otherwise.
    Admitted {
        /// As whose.
        counted: Counted,
        /// What there is to say of it if it fails.
        mark: Option<Mark>,
    },
    /// It comes too early; nothing was counted.
    Wait(Duration),
}

/// Decides about an attempt from `prefix` at `now`, and counts it where it is admitted.
pub fn decide(standing: &mut Standing, prefix: Prefix, limits: &Limits, now: Timestamp) -> Admission {
    if standing.name.knows(prefix, now) {
        let wait = Limits::OWNER.left(standing.name.owner, now);
        if !wait.is_zero() {
            return Admission::Wait(wait);
        }
        standing.name.owner = Limits::OWNER.counted(standing.name.owner, now);
        let failures = standing.name.owner.failures();
        let counted = Counted::AsOwner;
        return Admission::Admitted { counted, mark: Limits::mark(counted, failures, failures) };
    }
    let wait = Limits::PAIR
        .left(standing.name.pair(prefix), now)
        .max(Limits::STRANGERS.left(standing.name.strangers, now))
        .max(limits.prefix.left(standing.prefix, now))
        .max(limits.all.left(standing.all, now));
    if !wait.is_zero() {
        return Admission::Wait(wait);
    }
    let (here, together) = standing.name.count_stranger(prefix, now);
    standing.prefix = limits.prefix.counted(standing.prefix, now);
    standing.all = limits.all.counted(standing.all, now);
    let counted = Counted::AsStranger;
    Admission::Admitted { counted, mark: Limits::mark(counted, here, together) }
}

/// Takes back what [`decide`] counted for an attempt from `prefix` that was not made.
pub fn take_back(standing: &mut Standing, prefix: Prefix, counted: Counted) {
    match counted {
        Counted::AsOwner => standing.name.owner.take_back(),
        Counted::AsStranger => {
            standing.name.take_back_stranger(prefix);
            take_back_of_address(&mut standing.prefix, &mut standing.all);
        }
    }
}

/// The same for what does not count a name: one of the prefix and one of all.
pub fn take_back_of_address(prefix: &mut Tally, all: &mut Tally) {
    prefix.take_back();
    all.take_back();
}

/// Decides about a registration by the tallies of its prefix and of all, and counts it where it may go on; otherwise tells
/// how long it has to wait, and nothing was counted.
///
/// # Errors
/// The wait.
pub fn decide_registration(
    prefix: &mut Tally,
    all: &mut Tally,
    limits: &RegistrationLimits,
    now: Timestamp,
) -> Result<(), Duration> {
    let wait = limits.prefix.left(*prefix, now).max(limits.all.left(*all, now));
    if !wait.is_zero() {
        return Err(wait);
    }
    *prefix = limits.prefix.counted(*prefix, now);
    *all = limits.all.counted(*all, now);
    Ok(())
}

/// Where attempts are counted, for all replicas together.
///
/// What is lost with a store that forgets is the count of failures, never more: attempts are slowed by other limits then.
#[async_trait]
pub trait AttemptStore: Send + Sync {
    /// Applies [`decide`] to what is kept, at the store's time, and keeps what it leaves. Of attempts that race, each is
    /// decided after the one before was counted. A name, prefix or record that is not there is an empty one.
    async fn admit(&self, attempt: &Attempt, limits: &Limits) -> Result<Admission, StoreError>;

    /// The owner, who is called `names`, is known at `prefix` from now on: applies [`NameRecord::succeeded`] to each. Where
    /// an attempt was counted for it, takes back what was counted for prefix and all. Saying it twice may take back twice,
    /// and never below nothing.
    async fn succeeded(&self, names: &[[u8; 32]], prefix: Prefix, counted: Option<Counted>) -> Result<(), StoreError>;

    /// The admitted attempt was not made after all: applies [`take_back`]. A record that is gone stays so.
    async fn not_made(&self, attempt: &Attempt, counted: Counted) -> Result<(), StoreError>;

    /// The owner has a new password: applies [`NameRecord::cleared`] to each name. A record that is not there is none to
    /// clear.
    async fn clear(&self, names: &[[u8; 32]]) -> Result<(), StoreError>;

    /// Applies [`decide_registration`] to what is kept, at the store's time: the wait, or `None` where it was counted. As
    /// with [`Self::admit`], of those that race each is decided after the one before.
    async fn admit_registration(
        &self,
        prefix: Prefix,
        limits: &RegistrationLimits,
    ) -> Result<Option<Duration>, StoreError>;

    /// The registration that was counted was not made after all: applies [`take_back_of_address`].
    async fn registration_not_made(&self, prefix: Prefix) -> Result<(), StoreError>;
}
