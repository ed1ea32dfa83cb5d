//! The words of rotation: the policy, the steps and why none is taken.
//!
//! Guarantees: a step names what it does to which key, and never holds anything secret.

use std::time::Duration;

use signet_verify::Algorithm;

use crate::keys::kind::{KeySpec, Kid};
use crate::keys::states::{Key, TransitionRefused};
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
    pub(super) fn kept(&self) -> impl Iterator<Item = KeySpec> + '_ {
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

impl Action {
    pub(super) fn new(step: Step, reason: impl Into<String>) -> Self {
        Self { step, reason: reason.into() }
    }

    /// `key` after this step at `now`; the key as it is when the step makes another.
    ///
    /// # Errors
    /// When the life of the key does not allow the step.
    pub(in crate::keys) fn apply(&self, key: Key, now: Timestamp) -> Result<Key, TransitionRefused> {
        let reason = self.reason.as_str();
        match &self.step {
            Step::Generate { .. } | Step::GenerateActive { .. } | Step::Add { .. } => Ok(key),
            Step::Activate { forced, .. } => key.activate(now, *forced, reason),
            Step::Retire { until, .. } => key.retire(now, *until, reason),
            Step::Withdraw { .. } => key.withdraw(now, reason),
            Step::Expire { .. } => key.expire(now, reason),
            Step::Compromise { .. } => key.compromise(now, reason),
            Step::RaiseLifetime { to, until, .. } => key.raise_lifetime(*to, *until),
        }
    }
}

/// What a sweep or an operator can ask for. Steps are applied in the order given.
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
    /// Make a key that signs at once, though no verifier has it yet: the active key was compromised, and there is none
    /// to take over.
    GenerateActive {
        /// What kind of key.
        spec: KeySpec,
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
    /// pending → retired: its algorithm is no longer kept ready, or an operator wants it gone.
    Withdraw {
        /// The key.
        kid: Kid,
    },
    /// retiring → retired: the last token it signed has expired.
    Expire {
        /// The key.
        kid: Kid,
    },
    /// Any state → compromised: another may hold it.
    Compromise {
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

impl Step {
    /// The key that the step changes; `None` when it makes or adds one.
    #[must_use]
    pub const fn changes(&self) -> Option<&Kid> {
        match self {
            Self::Generate { .. } | Self::GenerateActive { .. } | Self::Add { .. } => None,
            Self::Activate { kid, .. }
            | Self::Retire { kid, .. }
            | Self::Withdraw { kid }
            | Self::Expire { kid }
            | Self::Compromise { kid }
            | Self::RaiseLifetime { kid, .. } => Some(kid),
        }
    }

    /// What kind of key the step needs made; `None` when it needs none.
    #[must_use]
    pub const fn generates(&self) -> Option<KeySpec> {
        match self {
            Self::Generate { spec, .. } | Self::GenerateActive { spec } => Some(*spec),
            _ => None,
        }
    }
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
    /// The key to take over has not propagated.
    #[error("the next key for {algorithm} may sign only from {possible_from} on, when every verifier has it")]
    NotPropagated {
        /// The algorithm.
        algorithm: Algorithm,
        /// When it becomes possible without force.
        possible_from: Timestamp,
    },
    /// There is no such key.
    #[error("there is no key {0}")]
    UnknownKey(Kid),
    /// Another key is active than the one that was expected to be: what was asked for may have been done already.
    #[error("key {0} is not the active one")]
    ActiveKeyDiffers(Kid),
    /// More keys would be published than acts by hand may leave: a verifier reads a JWKS of bounded length.
    #[error(
        "{published} keys are published, and by hand there may come to be {most} at most: wait until retiring \
         keys have left, or retire pending ones"
    )]
    TooManyKeys {
        /// How many are.
        published: usize,
        /// How many there may be.
        most: usize,
    },
    /// The life of the key has no such step.
    #[error(transparent)]
    Transition(#[from] TransitionRefused),
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
