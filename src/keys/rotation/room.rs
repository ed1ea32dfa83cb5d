//! How many keys may be published at once: a verifier reads a JWKS of bounded length, or none of it.
//!
//! Guarantees: neither acts by hand nor keys whose time has come bring about a JWKS that verifiers refuse; and no bound is
//! in the way of a compromise, or of an algorithm that lacks a key.
//!
//! Why rotation is never stuck: by hand there come to be [`MOST_BY_HAND`] keys at most. What the sweep publishes beside
//! them is [`steady`], which the settings keep to [`MOST_STEADY`]. Together that is [`MOST_BEFORE_TAKEOVER`], so a key
//! waits for its turn only after the settings were changed, while keys of both stay published. None of those stays for
//! longer than its tokens, so each wait ends by itself; and the active key signs meanwhile.

use std::time::Duration;

use signet_verify::Algorithm;

use super::steps::{Action, Step, SweepRefused};
use crate::keys::kind::Kid;
use crate::keys::table::KeyTable;

/// How many keys acts by hand leave published at most. A compromise is not held to it: it takes one out.
pub const MOST_BY_HAND: usize = 48;

/// How many keys settings may keep published if nobody acts. What is left to [`MOST_BY_HAND`] is for acts by hand.
pub const MOST_STEADY: usize = 40;

/// How many keys are published at most after one takes over because its time has come.
pub(super) const MOST_BEFORE_TAKEOVER: usize = MOST_BY_HAND + MOST_STEADY;

// An algorithm that lacks its keys gets two whatever else is published.
const _: () = assert!(MOST_BEFORE_TAKEOVER + 2 * Algorithm::ALL.len() < signet_verify::MAX_KEYS);

/// How many keys are published at once at most, if nobody acts: of each algorithm the active one, its successor, and those
/// that stopped signing less than `retirement` ago.
#[must_use]
pub fn steady(algorithms: usize, rotate_every: Duration, retirement: Duration) -> usize {
    let retiring = retirement.as_millis().div_ceil(rotate_every.as_millis().max(1));
    usize::try_from(retiring).unwrap_or(usize::MAX).saturating_add(2).saturating_mul(algorithms)
}

/// How many keys are published once `actions` are taken on `table`.
pub(super) fn published_after(table: &KeyTable, actions: &[Action]) -> usize {
    let is_published = |kid: &Kid| table.find(kid).is_some_and(|key| key.state.is_published());
    let comes = |action: &&Action| action.step.changes().is_none();
    let leaves = |action: &&Action| match &action.step {
        Step::Withdraw { kid } | Step::Expire { kid } | Step::Compromise { kid } => is_published(kid),
        _ => false,
    };
    let published = table.keys.iter().filter(|key| key.state.is_published()).count();
    published + actions.iter().filter(comes).count() - actions.iter().filter(leaves).count()
}

/// `actions`, asked for by hand, if they leave no more keys published than there may be, or no more than there were.
pub(super) fn bounded(table: &KeyTable, actions: Vec<Action>) -> Result<Vec<Action>, SweepRefused> {
    let (before, after) = (published_after(table, &[]), published_after(table, &actions));
    if after > MOST_BY_HAND && after > before {
        return Err(SweepRefused::TooManyKeys { published: before, most: MOST_BY_HAND });
    }
    Ok(actions)
}
