//! A signing key's life: its states, what each knows, and the steps between them.
//!
//! Guarantees: a state carries the facts that came with it; a step takes the key and the moment and refuses what the
//! life of a key does not allow, so a retired or compromised key never comes back. Nothing here is secret.

use std::time::Duration;

use signet_verify::{Algorithm, PublicJwk};

use super::history::{History, StateName};
use super::kind::{Kid, Origin, Purpose};
use crate::ports::Timestamp;

/// Where in its life a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// Published, and does not sign yet.
    Pending {
        /// From when on every verifier that honours the cache headers has it.
        usable_from: Timestamp,
    },
    /// Published and signs.
    Active {
        /// When it began to sign.
        since: Timestamp,
    },
    /// Published for the tokens it signed, and signs no more.
    Retiring {
        /// When another took over.
        since: Timestamp,
        /// When the last token it may have signed has expired everywhere.
        until: Timestamp,
    },
    /// No longer published; kept as public metadata for the audit. Terminal.
    Retired {
        /// When it left the JWKS.
        since: Timestamp,
    },
    /// Out of the JWKS at once, because another may hold it. Terminal.
    Compromised {
        /// When that was said.
        since: Timestamp,
    },
}

impl KeyState {
    /// The state without its facts.
    #[must_use]
    pub const fn bare(self) -> StateName {
        match self {
            Self::Pending { .. } => StateName::Pending,
            Self::Active { .. } => StateName::Active,
            Self::Retiring { .. } => StateName::Retiring,
            Self::Retired { .. } => StateName::Retired,
            Self::Compromised { .. } => StateName::Compromised,
        }
    }

    /// The stable text form of the state, without its facts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.bare().name()
    }

    /// Whether the JWKS has the key.
    #[must_use]
    pub const fn is_published(self) -> bool {
        matches!(self, Self::Pending { .. } | Self::Active { .. } | Self::Retiring { .. })
    }

    /// The moment at which the state began, where it records that.
    #[must_use]
    pub const fn since(self) -> Option<Timestamp> {
        match self {
            Self::Pending { .. } => None,
            Self::Active { since }
            | Self::Retiring { since, .. }
            | Self::Retired { since }
            | Self::Compromised { since } => Some(since),
        }
    }
}

/// A step that the life of a key does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransitionRefused {
    /// Some verifiers may not have it yet.
    #[error("key {kid} may sign only from {usable_from} on, when every verifier has it")]
    NotPropagated {
        /// The key.
        kid: Kid,
        /// From when on it may sign.
        usable_from: Timestamp,
    },
    /// Tokens that it signed may still be alive.
    #[error("key {kid} must stay published until {until}, when the last token it signed has expired")]
    StillNeeded {
        /// The key.
        kid: Kid,
        /// Until when it stays.
        until: Timestamp,
    },
    /// The state has no such step.
    #[error("key {kid} is {from} and can't become {wanted}")]
    NotFromHere {
        /// The key.
        kid: Kid,
        /// Its state, by name.
        from: &'static str,
        /// The state asked for, by name.
        wanted: &'static str,
    },
}

/// What is known of a key, its private half apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name: the thumbprint of `public`.
    pub kid: Kid,
    /// What it is for.
    pub purpose: Purpose,
    /// The one algorithm it signs with.
    pub algorithm: Algorithm,
    /// Its public half, with `kid` and `alg` set.
    pub public: PublicJwk,
    /// Where it came from.
    pub origin: Origin,
    /// When it was put into the table.
    pub created_at: Timestamp,
    /// From when on the JWKS had it.
    pub published_at: Timestamp,
    /// The longest lifetime a token signed with it may ever have had. Only grows.
    pub longest_lifetime: Duration,
    /// Where in its life it is.
    pub state: KeyState,
    /// Why it is in that state, for people.
    pub reason: String,
    /// The states before that one.
    pub history: History,
}

impl Key {
    /// pending → active. `force` lets it sign before every verifier has it; tokens may then be refused until they do.
    ///
    /// # Errors
    /// When it is not pending, or has not propagated and `force` is not given.
    pub fn activate(self, now: Timestamp, force: bool, reason: &str) -> Result<Self, TransitionRefused> {
        match self.state {
            KeyState::Pending { usable_from } if usable_from > now && !force => {
                Err(TransitionRefused::NotPropagated { kid: self.kid, usable_from })
            }
            KeyState::Pending { .. } => Ok(self.enter(KeyState::Active { since: now }, reason)),
            _ => Err(self.not_from_here("active")),
        }
    }

    /// active → retiring, published until `until`.
    ///
    /// # Errors
    /// When it is not active.
    pub fn retire(self, now: Timestamp, until: Timestamp, reason: &str) -> Result<Self, TransitionRefused> {
        match self.state {
            KeyState::Active { .. } => Ok(self.enter(KeyState::Retiring { since: now, until }, reason)),
            _ => Err(self.not_from_here("retiring")),
        }
    }

    /// pending → retired: it never signed, so nobody misses it.
    ///
    /// # Errors
    /// When it is not pending.
    pub fn withdraw(self, now: Timestamp, reason: &str) -> Result<Self, TransitionRefused> {
        match self.state {
            KeyState::Pending { .. } => Ok(self.enter(KeyState::Retired { since: now }, reason)),
            _ => Err(self.not_from_here("withdrawn")),
        }
    }

    /// retiring → retired.
    ///
    /// # Errors
    /// When it is not retiring, or tokens it signed may still be alive.
    pub fn expire(self, now: Timestamp, reason: &str) -> Result<Self, TransitionRefused> {
        match self.state {
            KeyState::Retiring { until, .. } if until > now => {
                Err(TransitionRefused::StillNeeded { kid: self.kid, until })
            }
            KeyState::Retiring { .. } => Ok(self.enter(KeyState::Retired { since: now }, reason)),
            _ => Err(self.not_from_here("retired")),
        }
    }

    /// Any state but itself → compromised.
    ///
    /// # Errors
    /// When it is compromised already.
    pub fn compromise(self, now: Timestamp, reason: &str) -> Result<Self, TransitionRefused> {
        match self.state {
            KeyState::Compromised { .. } => Err(self.not_from_here("compromised")),
            _ => Ok(self.enter(KeyState::Compromised { since: now }, reason)),
        }
    }

    /// Notes that its tokens may now live as long as `to`, and a retiring key stays until `until` at least. Neither
    /// ever shrinks.
    ///
    /// # Errors
    /// When it is retired or compromised: none of its tokens is good any more.
    pub fn raise_lifetime(mut self, to: Duration, until: Option<Timestamp>) -> Result<Self, TransitionRefused> {
        if !self.state.is_published() {
            return Err(self.not_from_here("longer-lived"));
        }
        self.longest_lifetime = self.longest_lifetime.max(to);
        if let (KeyState::Retiring { since, until: had }, Some(until)) = (self.state, until) {
            self.state = KeyState::Retiring { since, until: had.max(until) };
        }
        Ok(self)
    }

    fn enter(mut self, state: KeyState, reason: &str) -> Self {
        // A key waits from its publication on.
        self.history.push(self.state.bare(), self.state.since().unwrap_or(self.published_at));
        self.state = state;
        reason.clone_into(&mut self.reason);
        self
    }

    fn not_from_here(self, wanted: &'static str) -> TransitionRefused {
        TransitionRefused::NotFromHere { from: self.state.name(), kid: self.kid, wanted }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::keys::fixtures::key;

    const NOW: Timestamp = Timestamp::from_secs(1_000);
    const LATER: Timestamp = Timestamp::from_secs(1_060);

    fn in_state(state: KeyState) -> Key {
        Key { state, ..key(1, Algorithm::Es256, NOW) }
    }

    #[test]
    fn each_state_allows_its_own_steps_and_no_others() {
        let states = [
            KeyState::Pending { usable_from: NOW },
            KeyState::Active { since: NOW },
            KeyState::Retiring { since: NOW, until: NOW },
            KeyState::Retired { since: NOW },
            KeyState::Compromised { since: NOW },
        ];
        // activate, retire, withdraw, expire, compromise, raise
        let allowed = [
            [true, false, true, false, true, true],
            [false, true, false, false, true, true],
            [false, false, false, true, true, true],
            [false, false, false, false, true, false],
            [false; 6],
        ];
        for (state, allowed) in states.into_iter().zip(allowed) {
            let key = || in_state(state);
            let steps = [
                key().activate(LATER, true, "").is_ok(),
                key().retire(LATER, LATER, "").is_ok(),
                key().withdraw(LATER, "").is_ok(),
                key().expire(LATER, "").is_ok(),
                key().compromise(LATER, "").is_ok(),
                key().raise_lifetime(Duration::ZERO, None).is_ok(),
            ];
            assert_eq!(steps, allowed, "{state:?}");
        }
    }

    #[test]
    fn a_key_does_not_sign_before_it_has_propagated_unless_forced() {
        let key = in_state(KeyState::Pending { usable_from: LATER });
        let early = LATER.minus(Duration::from_millis(1));
        let refused = key.clone().activate(early, false, "").unwrap_err();
        let usable_from = LATER;
        assert_eq!(refused, TransitionRefused::NotPropagated { kid: key.kid.clone(), usable_from });
        let forced = key.clone().activate(early, true, "lost both").unwrap();
        assert_eq!(forced.state, KeyState::Active { since: early });
        assert_eq!(forced.reason, "lost both");
        assert!(key.activate(LATER, false, "").is_ok());
    }

    #[test]
    fn a_retiring_key_stays_until_its_moment() {
        let key = in_state(KeyState::Retiring { since: NOW, until: LATER });
        let early = LATER.minus(Duration::from_millis(1));
        assert!(matches!(key.clone().expire(early, ""), Err(TransitionRefused::StillNeeded { until: LATER, .. })));
        assert_eq!(key.expire(LATER, "").unwrap().state, KeyState::Retired { since: LATER });
    }

    #[test]
    fn a_lifetime_and_a_retirement_only_grow() {
        let key = in_state(KeyState::Retiring { since: NOW, until: LATER });
        let had = key.longest_lifetime;
        let lower = key.clone().raise_lifetime(Duration::ZERO, Some(NOW)).unwrap();
        assert_eq!(lower, key);
        let higher = key.raise_lifetime(had * 2, Some(LATER.plus(had))).unwrap();
        assert_eq!(higher.longest_lifetime, had * 2);
        assert_eq!(higher.state, KeyState::Retiring { since: NOW, until: LATER.plus(had) });
    }
}
