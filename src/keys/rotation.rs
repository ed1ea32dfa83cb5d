//! When keys are made, take over and leave: the pure sweep over a table, a policy and a moment.
//!
//! Guarantees: [`sweep`] touches nothing and tells why it wants each step; run again after its steps were applied, it
//! wants none; it refuses a clock that ran backwards. [`plan`](super::plan::plan) makes a change of the steps, and
//! [`invariant`] holds before the change is committed. Every replica may do this at any time.

use std::time::Duration;

use signet_verify::Algorithm;

use super::states::{Key, KeySpec, KeyState, KeyTable, Kid};
use crate::ports::Timestamp;

/// How keys are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The keys kept ready: one entry an algorithm (of several, the first counts).
    pub specs: Vec<KeySpec>,
    /// How long a key signs before its successor takes over.
    pub rotate_every: Duration,
    /// How long a key is published before every verifier that honours the cache headers has it.
    pub propagation: Duration,
    /// How long a replica may sign without having confirmed its ring.
    pub lease: Duration,
    /// How far a verifier's clock may be off.
    pub skew: Duration,
    /// The longest lifetime that a token may have.
    pub longest_lifetime: Duration,
}

impl Policy {
    /// What to generate for `algorithm`; `None` when it is not kept ready.
    #[must_use]
    pub fn spec(&self, algorithm: Algorithm) -> Option<KeySpec> {
        self.specs.iter().copied().find(|spec| spec.algorithm() == algorithm)
    }

    /// The specs that count, one an algorithm.
    fn kept(&self) -> impl Iterator<Item = KeySpec> + '_ {
        self.specs.iter().copied().filter(|spec| self.spec(spec.algorithm()) == Some(*spec))
    }
}

/// A step that is due, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What to do.
    pub step: Step,
    /// Why, for the log and for the key's row.
    pub reason: String,
}

/// What a sweep can ask for. Steps are applied in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make a key and publish it. Born propagated, it is in the very first JWKS: the first of its algorithm signs at
    /// once, the second may sign at once. Otherwise it waits for the propagation time.
    Generate {
        /// What kind of key.
        spec: KeySpec,
        /// Whether no verifier can have a JWKS without it.
        born_propagated: bool,
    },
    /// Publish the key that an operator brought or asked for, as [`Step::Generate`] does.
    Add {
        /// The key.
        kid: Kid,
        /// Whether no verifier can have a JWKS without it.
        born_propagated: bool,
    },
    /// pending → active. `forced` when it has not propagated and an operator insisted.
    Activate {
        /// The key.
        kid: Kid,
        /// Whether it may be early.
        forced: bool,
    },
    /// active → retiring.
    Retire {
        /// The key.
        kid: Kid,
        /// How long it stays published.
        until: Timestamp,
    },
    /// pending → retired: its algorithm is no longer kept ready.
    Withdraw {
        /// The key.
        kid: Kid,
    },
    /// retiring → retired: the last token it signed has expired.
    Expire {
        /// The key.
        kid: Kid,
    },
    /// Note on the key's row that its tokens may live longer than before.
    RaiseLifetime {
        /// The key.
        kid: Kid,
        /// The longest lifetime now.
        to: Duration,
        /// For a retiring key: how long it must then stay published.
        until: Option<Timestamp>,
    },
}

/// Why a sweep or a rotation does nothing at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SweepRefused {
    /// The store's clock is behind a moment that the table records as past.
    #[error("the store's clock says {now}, but the keys were last changed at {recorded}: it ran backwards")]
    ClockWentBack {
        /// What the clock says.
        now: Timestamp,
        /// The latest moment recorded.
        recorded: Timestamp,
    },
    /// The policy keeps no algorithm ready. Nothing could be signed after that, so it is taken for a mistake.
    #[error("no algorithm is to be kept ready")]
    NothingKept,
    /// The algorithm is not kept ready.
    #[error("{0} is not among the algorithms that are kept ready")]
    NotKept(Algorithm),
    /// There is no key to take over.
    #[error("there is no successor for {0} yet")]
    NoSuccessor(Algorithm),
    /// The successor has not propagated.
    #[error("the successor for {algorithm} may sign only from {possible_from} on, when every verifier has it")]
    NotPropagated {
        /// The algorithm.
        algorithm: Algorithm,
        /// When rotating becomes possible without force.
        possible_from: Timestamp,
    },
    /// The table is, or would become, one that must not be.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// What is wrong with a table of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Two keys sign with one algorithm.
    #[error("more than one key is active for {0}")]
    TwoActive(Algorithm),
    /// An algorithm has a key that may sign, and none that signs.
    #[error("no key is active for {0}, though one could be")]
    NoActive(Algorithm),
    /// An algorithm has no key to take over.
    #[error("no successor is published for {0}")]
    NoSuccessor(Algorithm),
}

/// What every table must show before it is committed: each algorithm that is kept ready has one active key and one
/// published successor. An algorithm whose keys have not propagated is not in use yet, and has pending keys only.
///
/// # Errors
/// The first thing that is wrong.
pub fn invariant(table: &KeyTable, policy: &Policy, now: Timestamp) -> Result<(), Broken> {
    one_active_each(table)?;
    for algorithm in policy.kept().map(KeySpec::algorithm) {
        let successor = table.successor(algorithm);
        let usable = successor.is_some_and(|(_, usable_from)| usable_from <= now);
        if table.active(algorithm).is_none() && usable {
            return Err(Broken::NoActive(algorithm));
        }
        if successor.is_none() && !is_settling(table, policy, algorithm, now) {
            return Err(Broken::NoSuccessor(algorithm));
        }
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
            actions.extend(keep_ready(table, policy, spec, now));
        }
    }
    Ok(actions)
}

/// Adds the key `kid`, which an operator brought or asked for, together with all that is due anyhow. It queues behind
/// the successors that are published already, since each of those propagates first. A table that never had a key gets
/// the whole first set with it, and it is the first to sign: it is then part of the very first JWKS.
///
/// # Errors
/// As for [`sweep`], and when the algorithm is not kept ready: the next sweep would withdraw the key.
pub fn add(
    table: &KeyTable,
    policy: &Policy,
    kid: &Kid,
    algorithm: Algorithm,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<Action>, SweepRefused> {
    let mut due = sweep(table, policy, now)?;
    policy.spec(algorithm).ok_or(SweepRefused::NotKept(algorithm))?;
    // It takes the place of one that would have been generated.
    let replaces =
        |action: &Action| matches!(action.step, Step::Generate { spec, .. } if spec.algorithm() == algorithm);
    if let Some(place) = due.iter().position(replaces) {
        due.remove(place);
    }
    let step = Step::Add { kid: kid.clone(), born_propagated: table.keys.is_empty() };
    due.insert(0, Action::new(step, reason));
    Ok(due)
}

/// Rotates `algorithm` at once, whatever the age of its active key.
///
/// # Errors
/// When the clock ran backwards, the algorithm is not kept, has no successor, or its successor has not propagated and
/// `force` is not given; the error then tells when it will have.
pub fn rotate_now(
    table: &KeyTable,
    policy: &Policy,
    algorithm: Algorithm,
    now: Timestamp,
    force: bool,
) -> Result<Vec<Action>, SweepRefused> {
    check(table, policy, now)?;
    let spec = policy.spec(algorithm).ok_or(SweepRefused::NotKept(algorithm))?;
    let pending = table.pending(algorithm);
    let Some((successor, possible_from)) = pending.first().copied() else {
        return Err(SweepRefused::NoSuccessor(algorithm));
    };
    if possible_from > now && !force {
        return Err(SweepRefused::NotPropagated { algorithm, possible_from });
    }
    let mut actions = promote(table, policy, successor, now, "rotated by hand");
    actions.extend(successors(spec, pending.len() - 1, 1));
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

impl Action {
    fn new(step: Step, reason: impl Into<String>) -> Self {
        Self { step, reason: reason.into() }
    }
}

/// What every decision on the table needs: a clock that did not run backwards, a policy that keeps something, a table
/// that is whole.
fn check(table: &KeyTable, policy: &Policy, now: Timestamp) -> Result<(), SweepRefused> {
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
fn retirement(key: &Key, policy: &Policy, stopped: Timestamp) -> Timestamp {
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
    let due_since = table.active(algorithm).map(|active| match active.state {
        KeyState::Active { since } => since.plus(policy.rotate_every),
        _ => now,
    });
    match (due_since, ready) {
        (Some(due), Some((successor, _))) if due <= now => {
            let reason = "the active key has signed for as long as the policy says";
            let mut actions = promote(table, policy, successor, now, reason);
            actions.extend(successors(spec, pending.len() - 1, 1));
            actions
        }
        (Some(_), _) => successors(spec, pending.len(), 1),
        (None, Some((successor, _))) => {
            let reason = "every verifier has it, and no key is active";
            let mut actions = promote(table, policy, successor, now, reason);
            actions.extend(successors(spec, pending.len() - 1, 1));
            actions
        }
        (None, None) if is_settling(table, policy, algorithm, now) => Vec::new(),
        (None, None) => successors(spec, pending.len(), 2),
    }
}

/// The active key, if any, makes room for `successor`.
fn promote(table: &KeyTable, policy: &Policy, successor: &Key, now: Timestamp, reason: &str) -> Vec<Action> {
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
