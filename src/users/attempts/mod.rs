//! How often somebody may try to log in: at a name from one place and from all, from an address and in all; and how often
//! somebody may register.
//!
//! Guarantees, of [NIST SP 800-63B-4 §3.2.2](https://pages.nist.gov/800-63-4/sp800-63b.html) and of
//! `docs/decisions/0016-failed-logins.md`: strangers get at most [`Limits::MOST_AN_ACCOUNT`] guesses at an account in 30
//! days, from however many addresses, each a growing delay after the one before. **No stranger locks an owner out of a
//! device that they signed in with before**: other limits count there, wherever it is, and nothing that strangers do uses
//! them up; and on a new device the owner is heard within minutes while up to two prefixes never stop. No wait is for ever.
//! An attempt that has to wait is not counted, so that asking again makes nobody wait longer. What is counted is the name
//! as it was typed, whether or not anybody is called so, and whoever has no device of the owner is treated alike at every
//! name and address: limits tell nothing of who exists.
//!
//! [`decide`] is pure; a store applies it to what it keeps, in one act.

mod device;
mod limit;
mod record;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use super::LoginName;
use crate::ports::{StoreError, Timestamp};

pub use device::{DeviceTag, DeviceToken};
pub use limit::{Limit, Limits, RegistrationLimits, Tally};
pub use record::{DEVICE_KEPT, FAILURES_KEPT, MOST_DEVICES, MOST_PAIRS, NameRecord};

/// Where an attempt comes from: an address prefix, /32 of IPv4 and /56 of IPv6, which is what one customer of a network
/// has at least. An IPv4 address in IPv6 clothes is that IPv4 address.
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
                let [a, b, c, d, e, f, g, ..] = address.octets();
                Self([a, b, c, d, e, f, g, 0])
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

/// Who calls, as far as it is known before anything is proved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The address that they call from.
    pub address: IpAddr,
    /// What is kept of the device token that they presented, or are given if they succeed.
    pub device: Option<DeviceTag>,
}

/// One attempt: a name, where it comes from, and on which device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// [`LoginName::digest`].
    pub name: [u8; 32],
    /// Where it comes from.
    pub prefix: Prefix,
    /// On which device, if that is told.
    pub device: Option<DeviceTag>,
}

impl Attempt {
    /// An attempt at `name` of `caller`.
    pub fn of(name: &LoginName, caller: Caller) -> Self {
        Self { name: name.digest(), prefix: Prefix::of(caller.address), device: caller.device }
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
    /// As one on a device of the owner.
    AsOwner,
    /// As a stranger's.
    AsStranger,
}

/// What makes a failure worth a row in the audit log. Those between leave none, so that a storm does not flood it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// It is the first in a row from its place.
    First,
    /// From now on nobody is heard there, or on any device that is not known, until time has forgiven one.
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

/// Decides about `attempt` at `now`, and counts it where it is admitted.
pub fn decide(standing: &mut Standing, attempt: &Attempt, limits: &Limits, now: Timestamp) -> Admission {
    let prefix = attempt.prefix;
    if standing.name.knows(attempt.device, now) {
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

    /// The owner, who is called `names`, has logged in on `device`: applies [`NameRecord::succeeded`] to each. Where the
    /// attempt was counted as a stranger's at a prefix (`stranger_at`), takes back what was counted for prefix and all.
    /// Saying it twice may take back twice, and never below nothing.
    async fn succeeded(
        &self,
        names: &[[u8; 32]],
        device: Option<DeviceTag>,
        stranger_at: Option<Prefix>,
    ) -> Result<(), StoreError>;

    /// The admitted attempt was not made after all: applies [`take_back`]. A record that is gone stays so.
    async fn not_made(&self, attempt: &Attempt, counted: Counted) -> Result<(), StoreError>;

    /// The owner has a new password: forgets all failures at each name, and all devices. A record that is not there is none
    /// to clear.
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
