//! From steps to a change: what a table becomes when the steps of a sweep, or of an operator, are applied.
//!
//! Guarantees: pure, and nothing comes out unless every step is one that the life of its key allows and the whole
//! result holds the [`invariant`](super::rotation::invariant).

use signet_verify::{Algorithm, PublicJwk};

use super::history::History;
use super::kind::{KeySpec, Kid, Origin, Purpose};
use super::rotation::{self, Action, Broken, Policy, Step};
use super::states::{Key, KeyState, TransitionRefused};
use super::store::KeyChange;
use super::table::KeyTable;
use crate::ports::Timestamp;
use crate::secret::Sealed;

/// A new key, its private half sealed already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub kid: Kid,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Its public half, with `kid` and `alg` set.
    pub public: PublicJwk,
    /// Where it came from.
    pub origin: Origin,
    /// Its private half.
    pub sealed: Sealed,
}

/// Why steps make no change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanRefused {
    /// A step that the life of its key does not allow.
    #[error(transparent)]
    Transition(#[from] TransitionRefused),
    /// A step names a key that is neither in the table nor among the candidates.
    #[error("there is no key {0}")]
    UnknownKey(Kid),
    /// There are fewer new keys than steps that ask for one.
    #[error("no key was generated for {0}")]
    NotGenerated(KeySpec),
    /// A name is never used twice, not even that of a retired key.
    #[error("key {kid} is in the table already, and is {state}")]
    KnownKey {
        /// The key.
        kid: Kid,
        /// The state it has in the table, by name.
        state: &'static str,
    },
    /// The result would be a table that must not be.
    #[error("the change would leave the keys broken: {0}")]
    Broken(#[from] Broken),
}

/// Applies `actions` at `now`, taking a candidate for each key to generate or add. The table that comes out still has the old
/// version: the store gives the next.
///
/// # Errors
/// When a step is not allowed, a candidate is missing or known already, or the result breaks the invariant.
pub fn plan(
    table: &KeyTable,
    policy: &Policy,
    actions: &[Action],
    candidates: Vec<Candidate>,
    now: Timestamp,
) -> Result<(KeyTable, KeyChange), PlanRefused> {
    let mut draft = Draft::of(table, policy, now);
    let mut candidates = candidates;
    for action in actions {
        draft.apply(action, &mut candidates)?;
    }
    draft.finish()
}

/// The keys that `actions` need generated, in their order.
#[must_use]
pub fn generated_by(actions: &[Action]) -> Vec<KeySpec> {
    actions.iter().filter_map(|action| action.step.generates()).collect()
}

/// The first candidate that is of `spec`'s algorithm.
fn made_for(spec: KeySpec, candidates: &mut Vec<Candidate>) -> Result<Candidate, PlanRefused> {
    let fits = |candidate: &Candidate| candidate.algorithm == spec.algorithm();
    let place = candidates.iter().position(fits).ok_or(PlanRefused::NotGenerated(spec))?;
    Ok(candidates.remove(place))
}

/// How a new key begins.
#[derive(Clone, Copy)]
enum Birth {
    /// It is in the very first JWKS, so every verifier has it.
    Propagated,
    /// It waits for the propagation time.
    Waiting,
    /// It signs at once, though no verifier has it.
    Signing,
}

/// A table while steps are applied to it.
struct Draft<'a> {
    before: &'a KeyTable,
    policy: &'a Policy,
    now: Timestamp,
    keys: Vec<Key>,
    inserted: Vec<(Kid, Sealed)>,
}

impl<'a> Draft<'a> {
    fn of(table: &'a KeyTable, policy: &'a Policy, now: Timestamp) -> Self {
        Self { before: table, policy, now, keys: table.keys.clone(), inserted: Vec::new() }
    }

    fn apply(&mut self, action: &Action, candidates: &mut Vec<Candidate>) -> Result<(), PlanRefused> {
        let reason = action.reason.as_str();
        match &action.step {
            Step::Generate { spec, born_propagated } => {
                let birth = if *born_propagated { Birth::Propagated } else { Birth::Waiting };
                self.insert(made_for(*spec, candidates)?, birth, reason)
            }
            Step::GenerateActive { spec } => self.insert(made_for(*spec, candidates)?, Birth::Signing, reason),
            Step::Add { kid, born_propagated } => {
                let place = candidates.iter().position(|candidate| candidate.kid == *kid);
                let place = place.ok_or_else(|| PlanRefused::UnknownKey(kid.clone()))?;
                let birth = if *born_propagated { Birth::Propagated } else { Birth::Waiting };
                self.insert(candidates.remove(place), birth, reason)
            }
            step => step.changes().map_or(Ok(()), |kid| self.step(kid, action)),
        }
    }

    fn step(&mut self, kid: &Kid, action: &Action) -> Result<(), PlanRefused> {
        let place = self.keys.iter_mut().find(|key| key.kid == *kid);
        let key = place.ok_or_else(|| PlanRefused::UnknownKey(kid.clone()))?;
        *key = action.apply(key.clone(), self.now)?;
        Ok(())
    }

    fn insert(&mut self, candidate: Candidate, birth: Birth, reason: &str) -> Result<(), PlanRefused> {
        let Candidate { kid, algorithm, public, origin, sealed } = candidate;
        if let Some(known) = self.keys.iter().find(|key| key.kid == kid) {
            return Err(PlanRefused::KnownKey { kid, state: known.state.name() });
        }
        let is_first = !self.keys.iter().any(|key| key.algorithm == algorithm);
        let state = match birth {
            Birth::Propagated if is_first => KeyState::Active { since: self.now },
            Birth::Propagated => KeyState::Pending { usable_from: self.now },
            Birth::Waiting => KeyState::Pending { usable_from: self.now.plus(self.policy.propagation) },
            Birth::Signing => KeyState::Active { since: self.now },
        };
        self.inserted.push((kid.clone(), sealed));
        self.keys.push(Key {
            kid,
            purpose: Purpose::Signing,
            algorithm,
            public,
            origin,
            created_at: self.now,
            published_at: self.now,
            longest_lifetime: self.policy.longest_lifetime,
            state,
            reason: reason.to_owned(),
            history: History::default(),
        });
        Ok(())
    }

    fn finish(self) -> Result<(KeyTable, KeyChange), PlanRefused> {
        let Self { before, policy, now, keys, inserted } = self;
        let table = KeyTable { version: before.version, acted_at: Some(now), keys };
        rotation::invariant(&table, policy, now)?;
        let changed = |key: &&Key| before.find(&key.kid).is_some_and(|was| was != *key);
        let update = table.keys.iter().filter(changed).cloned().collect();
        let with_key = |(kid, sealed)| table.find(&kid).cloned().map(|key| (key, sealed));
        let insert = inserted.into_iter().filter_map(with_key).collect();
        Ok((table, KeyChange { acted_at: now, insert, update }))
    }
}
