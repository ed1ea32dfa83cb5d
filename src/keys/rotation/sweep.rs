//! What is due of itself: the sweep, and what every table must show.
//!
//! Guarantees: [`sweep`] touches nothing and tells why it wants each step; run again after its steps were applied, it
//! wants none; it refuses a clock that ran backwards.

use signet_verify::Algorithm;

use super::room::{MOST_BEFORE_TAKEOVER, published_after};
use super::steps::{Action, Broken, Policy, Step, SweepRefused};
use crate::keys::kind::KeySpec;
use crate::keys::states::{Key, KeyState};
use crate::keys::table::KeyTable;
use crate::ports::Timestamp;

/// What every table must show before it is committed: each algorithm that is kept ready has one active key and one
/// published successor. An algorithm whose keys have not propagated is not in use yet, and has pending keys only.
///
/// # Errors
/// The first thing that is wrong.
pub fn invariant(table: &KeyTable, policy: &Policy, now: Timestamp) -> Result<(), Broken> {
    one_active_each(table)?;
    policy.kept().try_for_each(|spec| kept_ready(table, policy, spec.algorithm(), now))
}

/// The part of [`invariant`] that is about one algorithm that is kept ready.
pub(super) fn kept_ready(
    table: &KeyTable,
    policy: &Policy,
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<(), Broken> {
    let successor = table.successor(algorithm);
    let usable = successor.is_some_and(|(_, usable_from)| usable_from <= now);
    if table.active(algorithm).is_none() && usable {
        return Err(Broken::NoActive(algorithm));
    }
    if successor.is_none() && !is_settling(table, policy, algorithm, now) {
        return Err(Broken::NoSuccessor(algorithm));
    }
    Ok(())
}

fn one_active_each(table: &KeyTable) -> Result<(), Broken> {
    let is_active = |key: &&Key| matches!(key.state, KeyState::Active { .. });
    for algorithm in Algorithm::ALL {
        let of_algorithm = |key: &&Key| key.algorithm == algorithm;
        if table.keys.iter().filter(is_active).filter(of_algorithm).count() > 1 {
            return Err(Broken::TwoActive(algorithm));
        }
    }
    Ok(())
}

/// What is due at `now`, the store's time. Applying all of it makes a second sweep at the same moment empty.
///
/// # Errors
/// When the clock ran backwards, nothing is to be kept, or the table is broken already.
pub fn sweep(table: &KeyTable, policy: &Policy, now: Timestamp) -> Result<Vec<Action>, SweepRefused> {
    check(table, policy, now)?;
    let mut actions = raises(table, policy, now);
    actions.extend(departures(table, policy, now));
    for spec in policy.kept() {
        if table.keys.is_empty() {
            let step = || Step::Generate { spec, born_propagated: true };
            actions.push(Action::new(step(), "the first key of a new issuer"));
            actions.push(Action::new(step(), "the first successor of a new issuer"));
        } else {
            let due = keep_ready(table, policy, spec, now);
            if has_room(table, &actions, &due) {
                actions.extend(due);
            }
        }
    }
    Ok(actions)
}

/// The earliest moment from `now` on at which [`sweep`] will want something or refuse, if nobody changes the table
/// before: until then it need not be asked. `None` when that is never.
#[must_use]
pub fn next_due(table: &KeyTable, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let base = table.latest_moment().map_or(now, |latest| latest.max(now));
    let mut moments: Vec<Timestamp> = vec![base];
    for key in &table.keys {
        moments.extend(match key.state {
            KeyState::Pending { usable_from } => Some(usable_from),
            KeyState::Active { since } => Some(since.plus(policy.rotate_every)),
            KeyState::Retiring { until, .. } => Some(until),
            KeyState::Retired { .. } => Some(settled_at(key, policy)),
            KeyState::Compromised { .. } => None,
        });
    }
    moments.retain(|moment| *moment >= base);
    moments.sort_unstable();
    moments.dedup();
    // The sweep itself says which of them count: a second description of its rules could differ from it.
    let is_idle = |moment: Timestamp| sweep(table, policy, moment).is_ok_and(|actions| actions.is_empty());
    moments.into_iter().find(|moment| !is_idle(*moment))
}

/// What every decision on the table needs: a clock that did not run backwards, a policy that keeps something, a table
/// that is whole.
pub(super) fn check(table: &KeyTable, policy: &Policy, now: Timestamp) -> Result<(), SweepRefused> {
    if let Some(recorded) = table.latest_moment().filter(|recorded| *recorded > now) {
        return Err(SweepRefused::ClockWentBack { now, recorded });
    }
    if policy.specs.is_empty() {
        return Err(SweepRefused::NothingKept);
    }
    Ok(one_active_each(table)?)
}

/// Rows whose tokens may now live longer than the row says.
fn raises(table: &KeyTable, policy: &Policy, now: Timestamp) -> Vec<Action> {
    let to = policy.longest_lifetime;
    let mut actions = Vec::new();
    for key in &table.keys {
        let until = match key.state {
            KeyState::Pending { .. } | KeyState::Active { .. } => None,
            // A replica that has not heard yet signs with it for the lease. After that nobody does, and a policy that
            // came later lengthens no token of it.
            KeyState::Retiring { since, .. } if now <= since.plus(policy.lease).plus(policy.skew) => {
                Some(retirement(key, policy, since))
            }
            _ => continue,
        };
        let is_short = matches!((key.state, until),
            (KeyState::Retiring { until: had, .. }, Some(until)) if had < until);
        if key.longest_lifetime < to || is_short {
            let step = Step::RaiseLifetime { kid: key.kid.clone(), to, until };
            let reason = format!("tokens may now live {} s", to.as_secs());
            actions.push(Action::new(step, reason));
        }
    }
    actions
}

/// Until when a key stays that stopped signing at `stopped`, the policy's lifetime counted in.
pub(super) fn retirement(key: &Key, policy: &Policy, stopped: Timestamp) -> Timestamp {
    let lifetime = key.longest_lifetime.max(policy.longest_lifetime);
    stopped.plus(policy.lease).plus(lifetime).plus(policy.skew)
}

/// Keys that leave: those no longer needed, and those of algorithms no longer kept.
fn departures(table: &KeyTable, policy: &Policy, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    for key in &table.keys {
        let kid = key.kid.clone();
        let dropped = policy.spec(key.algorithm).is_none();
        let no_longer = || format!("{} is no longer kept ready", key.algorithm);
        match key.state {
            KeyState::Retiring { until, .. } if until <= now && !extends(key, policy, now) => {
                let reason = "the last token it signed has expired";
                actions.push(Action::new(Step::Expire { kid }, reason));
            }
            KeyState::Pending { .. } if dropped => {
                actions.push(Action::new(Step::Withdraw { kid }, no_longer()));
            }
            KeyState::Active { .. } if dropped => {
                let until = retirement(key, policy, now);
                actions.push(Action::new(Step::Retire { kid, until }, no_longer()));
            }
            _ => {}
        }
    }
    actions
}

/// Whether this very sweep extends a retiring key past `now`.
fn extends(key: &Key, policy: &Policy, now: Timestamp) -> bool {
    matches!(key.state, KeyState::Retiring { since, .. }
        if now <= since.plus(policy.lease).plus(policy.skew) && retirement(key, policy, since) > now)
}

/// One algorithm that is kept ready: promote what is due, and see that a successor is published.
fn keep_ready(table: &KeyTable, policy: &Policy, spec: KeySpec, now: Timestamp) -> Vec<Action> {
    let algorithm = spec.algorithm();
    let pending = table.pending(algorithm);
    let ready = pending.first().filter(|(_, usable_from)| *usable_from <= now);
    let is_due = table.active(algorithm).is_some_and(|active| match active.state {
        KeyState::Active { since } => since.plus(policy.rotate_every) <= now,
        _ => true,
    });
    match ready {
        Some((successor, _)) if is_due => {
            let reason = "the active key has signed for as long as the policy says";
            let mut actions = promote(table, policy, successor, now, reason);
            actions.extend(successors(spec, pending.len() - 1, 1));
            actions
        }
        _ if is_settling(table, policy, algorithm, now) => Vec::new(),
        _ => refill(table, spec, false, now),
    }
}

/// Whether `due` may come to `actions`: a takeover that publishes a key waits while so many are published that verifiers
/// would soon refuse the JWKS. The active key signs on meanwhile, and keys that retire make room.
fn has_room(table: &KeyTable, actions: &[Action], due: &[Action]) -> bool {
    let is_takeover = due.iter().any(|action| matches!(action.step, Step::Retire { .. }));
    let made = due.iter().filter(|action| action.step.generates().is_some()).count();
    !is_takeover || made == 0 || published_after(table, actions) + made <= MOST_BEFORE_TAKEOVER
}

/// What makes an algorithm whole again: a usable key becomes active where none is, and there is a successor to whatever
/// is active, or is about to be: `has_signer` when it is about to be by a step that the table does not show.
pub(super) fn refill(table: &KeyTable, spec: KeySpec, has_signer: bool, now: Timestamp) -> Vec<Action> {
    let pending = table.pending(spec.algorithm());
    let ready = pending.first().filter(|(_, usable_from)| *usable_from <= now);
    if has_signer || table.active(spec.algorithm()).is_some() {
        return successors(spec, pending.len(), 1);
    }
    let Some((successor, _)) = ready else { return successors(spec, pending.len(), 2) };
    let step = Step::Activate { kid: successor.kid.clone(), forced: false };
    let mut actions = vec![Action::new(step, "every verifier has it, and no key is active")];
    actions.extend(successors(spec, pending.len() - 1, 1));
    actions
}

/// The active key, if any, makes room for `successor`.
pub(super) fn promote(table: &KeyTable, policy: &Policy, successor: &Key, now: Timestamp, reason: &str) -> Vec<Action> {
    let mut actions = Vec::with_capacity(3);
    if let Some(active) = table.active(successor.algorithm) {
        let step = Step::Retire { kid: active.kid.clone(), until: retirement(active, policy, now) };
        actions.push(Action::new(step, reason));
    }
    let early = matches!(successor.state, KeyState::Pending { usable_from } if usable_from > now);
    let step = Step::Activate { kid: successor.kid.clone(), forced: early };
    actions.push(Action::new(step, reason));
    actions
}

/// So many keys as `wanted` is more than `had`.
fn successors(spec: KeySpec, had: usize, wanted: usize) -> Vec<Action> {
    let step = || Step::Generate { spec, born_propagated: false };
    let reason = format!("{} has too few published successors", spec.algorithm());
    (had..wanted).map(|_| Action::new(step(), reason.clone())).collect()
}

/// Whether a key of `algorithm` was published and withdrawn so lately that the next one has to wait. While a changed
/// configuration rolls out, one replica keeps an algorithm that the other drops; without a pause each would undo the
/// other's work every second, and publish and withdraw keys without end.
fn is_settling(table: &KeyTable, policy: &Policy, algorithm: Algorithm, now: Timestamp) -> bool {
    let was_withdrawn = |key: &&Key| key.algorithm == algorithm && matches!(key.state, KeyState::Retired { .. });
    table.active(algorithm).is_none()
        && table.pending(algorithm).is_empty()
        && table.keys.iter().filter(was_withdrawn).any(|key| now < settled_at(key, policy))
}

/// When the publication of a key that is retired now is long enough ago for its algorithm to begin anew.
fn settled_at(key: &Key, policy: &Policy) -> Timestamp {
    key.published_at.plus(policy.propagation)
}

/// Whether the sweep will never look at `key` again from `now` on.
pub(in crate::keys) fn counts_no_more(key: &Key, policy: &Policy, now: Timestamp) -> bool {
    match key.state {
        KeyState::Pending { .. } | KeyState::Active { .. } | KeyState::Retiring { .. } => false,
        KeyState::Retired { .. } => settled_at(key, policy) <= now,
        KeyState::Compromised { .. } => true,
    }
}
