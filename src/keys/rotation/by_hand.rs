//! What an operator asks for: rotate, activate, retire, compromise, add.
//!
//! Guarantees: each act leaves every algorithm with what [`invariant`](super::invariant) asks for, doing of what is due
//! of itself only what that needs; none but a compromise publishes more keys than there may be; asked for again after it was done, an act on a named key wants nothing; none of them
//! acts by a clock that ran backwards.

use signet_verify::Algorithm;

use super::room::bounded;
use super::steps::{Action, Policy, Step, SweepRefused};
use super::sweep::{check, kept_ready, promote, refill, retirement, sweep};
use crate::keys::kind::{KeySpec, Kid};
use crate::keys::states::{Key, KeyState, TransitionRefused};
use crate::keys::table::KeyTable;
use crate::ports::Timestamp;

/// What an operator asks for about keys that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyAct {
    /// See [`rotate`].
    Rotate {
        /// Which; all that are in use when `None`.
        algorithm: Option<Algorithm>,
        /// The key that must be active still.
        if_active: Option<Kid>,
        /// Whether a key may sign that has not propagated.
        force: bool,
    },
    /// See [`activate`].
    Activate {
        /// The key.
        kid: Kid,
        /// Whether it may sign although it has not propagated.
        force: bool,
    },
    /// See [`retire`].
    Retire {
        /// The key.
        kid: Kid,
    },
    /// See [`compromise`].
    Compromise {
        /// The key.
        kid: Kid,
        /// What happened, for people.
        reason: String,
    },
}

impl KeyAct {
    /// The steps that it takes on `table` at `now`, the store's time.
    ///
    /// # Errors
    /// As for the function of its name.
    pub fn steps(&self, table: &KeyTable, policy: &Policy, now: Timestamp) -> Result<Vec<Action>, SweepRefused> {
        match self {
            Self::Rotate { algorithm, if_active, force } => {
                rotate(table, policy, *algorithm, if_active.as_ref(), now, *force)
            }
            Self::Activate { kid, force } => activate(table, policy, kid, now, *force),
            Self::Retire { kid } => retire(table, policy, kid, now),
            Self::Compromise { kid, reason } => compromise(table, policy, kid, reason, now),
        }
    }
}

/// Adds the key `kid`, which an operator brought or asked for, together with all that is due anyhow. It queues behind
/// the successors that are published already, since each of those propagates first. A table that never had a key gets
/// the whole first set with it, and it is the first to sign: it is then part of the very first JWKS.
///
/// # Errors
/// As for [`sweep`], when the algorithm is not kept ready (the next sweep would withdraw the key), and
/// [`SweepRefused::TooManyKeys`].
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
    bounded(table, due)
}

/// Rotates `algorithm` at once, whatever the age of its active key.
///
/// # Errors
/// When the clock ran backwards, the algorithm is not kept, has no successor, or its successor has not propagated and
/// `force` is not given (the error then tells when it will have), or [`SweepRefused::TooManyKeys`].
pub fn rotate_now(
    table: &KeyTable,
    policy: &Policy,
    algorithm: Algorithm,
    now: Timestamp,
    force: bool,
) -> Result<Vec<Action>, SweepRefused> {
    rotate(table, policy, Some(algorithm), None, now, force)
}

/// Rotates `algorithm`, or every algorithm that is in use, at once: all of them or none. With `if_active`, only while that
/// key is active: what was done already is then not done twice when the answer was lost.
///
/// # Errors
/// As for [`rotate_now`]; of several algorithms that have to wait, the error names the one that waits longest.
/// [`SweepRefused::ActiveKeyDiffers`] when `if_active` is not active, or for another algorithm.
pub fn rotate(
    table: &KeyTable,
    policy: &Policy,
    algorithm: Option<Algorithm>,
    if_active: Option<&Kid>,
    now: Timestamp,
    force: bool,
) -> Result<Vec<Action>, SweepRefused> {
    check(table, policy, now)?;
    let wanted: Vec<Algorithm> = match algorithm {
        Some(algorithm) => vec![policy.spec(algorithm).ok_or(SweepRefused::NotKept(algorithm))?.algorithm()],
        None => in_use(table, policy),
    };
    if let Some(expected) = if_active {
        let is_expected = |algorithm: &Algorithm| table.active(*algorithm).is_some_and(|key| key.kid == *expected);
        if !wanted.iter().any(is_expected) {
            return Err(SweepRefused::ActiveKeyDiffers(expected.clone()));
        }
    }
    let mut core = Vec::new();
    let mut longest_wait = None;
    for algorithm in &wanted {
        match take_over(table, policy, *algorithm, now, force, "rotated by hand") {
            Ok(steps) => core.extend(steps),
            Err(SweepRefused::NotPropagated { possible_from, .. }) => {
                longest_wait = longest_wait.max(Some((possible_from, *algorithm)));
            }
            Err(refused) => return Err(refused),
        }
    }
    match longest_wait {
        Some((possible_from, algorithm)) => Err(SweepRefused::NotPropagated { algorithm, possible_from }),
        None => bounded(table, completed(table, policy, core, &wanted, now)?),
    }
}

/// The algorithms that are kept and sign; all that are kept when none does.
fn in_use(table: &KeyTable, policy: &Policy) -> Vec<Algorithm> {
    let kept = || policy.kept().map(KeySpec::algorithm);
    let signing: Vec<_> = kept().filter(|algorithm| table.active(*algorithm).is_some()).collect();
    if signing.is_empty() { kept().collect() } else { signing }
}

/// Lets the pending key `kid` sign from now on, in the place of the one that does. Active already, there is nothing to do.
///
/// # Errors
/// When the clock ran backwards, there is no such key, its algorithm is not kept, it has not propagated and `force` is
/// not given (the error tells when it will have), it is past being active, or [`SweepRefused::TooManyKeys`].
pub fn activate(
    table: &KeyTable,
    policy: &Policy,
    kid: &Kid,
    now: Timestamp,
    force: bool,
) -> Result<Vec<Action>, SweepRefused> {
    check(table, policy, now)?;
    let key = known(table, kid)?;
    let algorithm = key.algorithm;
    match key.state {
        KeyState::Active { .. } => Ok(Vec::new()),
        KeyState::Pending { .. } if policy.spec(algorithm).is_none() => Err(SweepRefused::NotKept(algorithm)),
        KeyState::Pending { usable_from } if usable_from > now && !force => {
            Err(SweepRefused::NotPropagated { algorithm, possible_from: usable_from })
        }
        KeyState::Pending { .. } => {
            let core = promote(table, policy, key, now, "a key was activated by hand");
            bounded(table, completed(table, policy, core, &[algorithm], now)?)
        }
        KeyState::Retiring { .. } | KeyState::Retired { .. } | KeyState::Compromised { .. } => {
            Err(not_from_here(key, "active"))
        }
    }
}

/// Takes the key `kid` out of use: an active one makes room for its successor and stays published for the tokens it
/// signed, a pending one is withdrawn and replaced. Retiring or retired already, there is nothing to do.
///
/// # Errors
/// When the clock ran backwards, there is no such key, an active one has no successor or its successor has not propagated
/// (the error tells when it will have), the key is compromised, or [`SweepRefused::TooManyKeys`].
pub fn retire(table: &KeyTable, policy: &Policy, kid: &Kid, now: Timestamp) -> Result<Vec<Action>, SweepRefused> {
    check(table, policy, now)?;
    let key = known(table, kid)?;
    let is_kept = policy.spec(key.algorithm).is_some();
    let core = match key.state {
        KeyState::Pending { .. } => vec![Action::new(Step::Withdraw { kid: kid.clone() }, "withdrawn by hand")],
        KeyState::Active { .. } if is_kept => {
            take_over(table, policy, key.algorithm, now, false, "the active key was retired by hand")?
        }
        KeyState::Active { .. } => {
            let until = retirement(key, policy, now);
            vec![Action::new(Step::Retire { kid: kid.clone(), until }, "retired by hand")]
        }
        KeyState::Retiring { .. } | KeyState::Retired { .. } => return Ok(Vec::new()),
        KeyState::Compromised { .. } => return Err(not_from_here(key, "retiring")),
    };
    bounded(table, completed(table, policy, core, &[key.algorithm], now)?)
}

/// Takes the key `kid` out of the JWKS at once, because another may hold it. The successor of an active key signs from now
/// on, whether it has propagated or not: one that has goes first. Where there is none, two keys are made, and one of
/// them signs at once. Compromised already, there is nothing to do. [`may_fail_until`] tells what it costs.
///
/// # Errors
/// When the clock ran backwards, or there is no such key.
pub fn compromise(
    table: &KeyTable,
    policy: &Policy,
    kid: &Kid,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<Action>, SweepRefused> {
    check(table, policy, now)?;
    let key = known(table, kid)?;
    if matches!(key.state, KeyState::Compromised { .. }) {
        return Ok(Vec::new());
    }
    let mut core = vec![Action::new(Step::Compromise { kid: kid.clone() }, reason)];
    if let (KeyState::Active { .. }, Some(spec)) = (key.state, policy.spec(key.algorithm)) {
        let step = match table.successor(key.algorithm) {
            Some((successor, usable_from)) => Step::Activate { kid: successor.kid.clone(), forced: usable_from > now },
            None => Step::GenerateActive { spec },
        };
        core.push(Action::new(step, "the active key was compromised"));
    }
    completed(table, policy, core, &[key.algorithm], now)
}

/// Until when tokens may fail at verifiers that `actions`, decided at `now`, leave without the key that signs them:
/// some key signs before it has propagated. `None` when every verifier has every key that will sign.
#[must_use]
pub fn may_fail_until(table: &KeyTable, policy: &Policy, actions: &[Action], now: Timestamp) -> Option<Timestamp> {
    let of_step = |action: &Action| match &action.step {
        Step::Activate { kid, .. } => match table.find(kid)?.state {
            KeyState::Pending { usable_from } if usable_from > now => Some(usable_from),
            _ => None,
        },
        Step::GenerateActive { .. } => Some(now.plus(policy.propagation)),
        _ => None,
    };
    actions.iter().filter_map(of_step).max()
}

fn known<'a>(table: &'a KeyTable, kid: &Kid) -> Result<&'a Key, SweepRefused> {
    table.find(kid).ok_or_else(|| SweepRefused::UnknownKey(kid.clone()))
}

fn not_from_here(key: &Key, wanted: &'static str) -> SweepRefused {
    TransitionRefused::NotFromHere { kid: key.kid.clone(), from: key.state.name(), wanted }.into()
}

/// The successor of `algorithm` takes over, early only with `force`.
fn take_over(
    table: &KeyTable,
    policy: &Policy,
    algorithm: Algorithm,
    now: Timestamp,
    force: bool,
    reason: &str,
) -> Result<Vec<Action>, SweepRefused> {
    match table.successor(algorithm) {
        None => Err(SweepRefused::NoSuccessor(algorithm)),
        Some((_, possible_from)) if possible_from > now && !force => {
            Err(SweepRefused::NotPropagated { algorithm, possible_from })
        }
        Some((successor, _)) => Ok(promote(table, policy, successor, now, reason)),
    }
}

/// `core`, and after it what the invariant needs: successors for the algorithms of `own`, and whatever another algorithm
/// lacked before. The rest of what is due waits for the sweep.
fn completed(
    table: &KeyTable,
    policy: &Policy,
    core: Vec<Action>,
    own: &[Algorithm],
    now: Timestamp,
) -> Result<Vec<Action>, SweepRefused> {
    let mut draft = table.clone();
    for action in &core {
        if let Some(key) = draft.keys.iter_mut().find(|key| action.step.changes() == Some(&key.kid)) {
            *key = action.apply(key.clone(), now)?;
        }
    }
    let mut actions = core;
    for spec in policy.kept() {
        let algorithm = spec.algorithm();
        let is_signer = |action: &Action| action.step == Step::GenerateActive { spec };
        if own.contains(&algorithm) || kept_ready(&draft, policy, algorithm, now).is_err() {
            let has_signer = actions.iter().any(is_signer);
            actions.extend(refill(&draft, spec, has_signer, now));
        }
    }
    Ok(actions)
}
