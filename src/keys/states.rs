//! A signing key's life: its states, what each knows, and the steps between them.
//!
//! Guarantees: a state carries the facts that came with it; a step takes the key and the moment and refuses what the
//! life of a key does not allow, so a retired or compromised key never comes back. Nothing here is secret.

use std::fmt;
use std::time::Duration;

use signet_verify::{Algorithm, PublicJwk};

use super::history::{History, StateName};
use crate::ports::Timestamp;

/// The name of a key: its RFC 7638 thumbprint, 43 characters of base64url
/// ([RFC 7638 §3](https://www.rfc-editor.org/rfc/rfc7638#section-3)).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid(String);

impl Kid {
    const LEN: usize = 43;

    /// The name of `public`.
    #[must_use]
    pub fn of(public: &PublicJwk) -> Self {
        Self(public.thumbprint())
    }

    /// Reads a name; `None` when it is not 43 characters of base64url.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (text.len() == Self::LEN && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the keys of a table are for. Each purpose has a table, a version and a sealing subkey of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Signing tokens that others verify from the JWKS.
    Signing,
    /// Making refresh tokens, which only Signet verifies.
    SessionMac,
}

impl Purpose {
    /// The stable text form, in the store and in the sealing.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::SessionMac => "session_mac",
        }
    }

    /// The purpose of exactly this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Signing, Self::SessionMac].into_iter().find(|purpose| purpose.name() == name)
    }
}

/// The size of a generated RSA modulus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RsaBits {
    /// 2048 bits.
    B2048,
    /// 3072 bits.
    B3072,
    /// 4096 bits.
    B4096,
}

impl RsaBits {
    /// Every size.
    pub const ALL: [Self; 3] = [Self::B2048, Self::B3072, Self::B4096];

    /// The number of bits.
    #[must_use]
    pub const fn bits(self) -> usize {
        match self {
            Self::B2048 => 2048,
            Self::B3072 => 3072,
            Self::B4096 => 4096,
        }
    }

    /// The size of exactly so many bits.
    #[must_use]
    pub fn from_bits(bits: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bits() == bits)
    }
}

/// What kind of key to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySpec {
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    Ed25519,
    /// RSA for PKCS #1 v1.5 signatures.
    Rs256(RsaBits),
    /// RSA for PSS signatures.
    Ps256(RsaBits),
}

impl KeySpec {
    /// The kind of key for `algorithm`; `rsa` counts for the RSA algorithms only.
    #[must_use]
    pub const fn new(algorithm: Algorithm, rsa: RsaBits) -> Self {
        match algorithm {
            Algorithm::Es256 => Self::Es256,
            Algorithm::Es384 => Self::Es384,
            Algorithm::Ed25519 => Self::Ed25519,
            Algorithm::Rs256 => Self::Rs256(rsa),
            Algorithm::Ps256 => Self::Ps256(rsa),
        }
    }

    /// The algorithm that such a key signs with.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::Es256,
            Self::Es384 => Algorithm::Es384,
            Self::Ed25519 => Algorithm::Ed25519,
            Self::Rs256(_) => Algorithm::Rs256,
            Self::Ps256(_) => Algorithm::Ps256,
        }
    }
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Es256 | Self::Es384 | Self::Ed25519 => self.algorithm().fmt(f),
            Self::Rs256(size) | Self::Ps256(size) => {
                write!(f, "{} with {} bits", self.algorithm(), size.bits())
            }
        }
    }
}

/// Where a key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Made here; no one else ever had it.
    Generated,
    /// Brought in by an operator; who else holds it is not known here.
    Imported,
}

impl Origin {
    /// The stable text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Imported => "imported",
        }
    }

    /// The origin of exactly this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Generated, Self::Imported].into_iter().find(|origin| origin.name() == name)
    }
}

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

/// All keys of a purpose, as one snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyTable {
    /// Grows with each committed change; 0 is a table that never had a key.
    pub version: i64,
    /// The store's time when it last changed.
    pub acted_at: Option<Timestamp>,
    /// The keys, in any order.
    pub keys: Vec<Key>,
}

impl KeyTable {
    /// The key of this name.
    #[must_use]
    pub fn find(&self, kid: &Kid) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == *kid)
    }

    /// The key that signs with `algorithm`.
    #[must_use]
    pub fn active(&self, algorithm: Algorithm) -> Option<&Key> {
        let signs = |key: &&Key| key.algorithm == algorithm && matches!(key.state, KeyState::Active { .. });
        self.keys.iter().find(signs)
    }

    /// The keys that are to sign with `algorithm`, with the moment from which each may, in the order in which they
    /// will: the first to propagate first, then the older.
    #[must_use]
    pub fn pending(&self, algorithm: Algorithm) -> Vec<(&Key, Timestamp)> {
        let usable_from = |key: &Key| match key.state {
            KeyState::Pending { usable_from } => Some(usable_from),
            _ => None,
        };
        let mut pending: Vec<_> = self
            .keys
            .iter()
            .filter(|key| key.algorithm == algorithm)
            .filter_map(|key| usable_from(key).map(|moment| (key, moment)))
            .collect();
        pending.sort_by_key(|(key, moment)| (*moment, key.created_at, &key.kid));
        pending
    }

    /// The key that signs with `algorithm` next, and from when on it may.
    #[must_use]
    pub fn successor(&self, algorithm: Algorithm) -> Option<(&Key, Timestamp)> {
        self.pending(algorithm).into_iter().next()
    }

    /// The keys that the JWKS has: by algorithm, then the older first.
    #[must_use]
    pub fn published(&self) -> Vec<&Key> {
        let mut published: Vec<_> = self.keys.iter().filter(|key| key.state.is_published()).collect();
        published.sort_by_key(|key| (key.algorithm, key.created_at, &key.kid));
        published
    }

    /// The latest moment that the table records as past. A clock that is behind it ran backwards.
    #[must_use]
    pub fn latest_moment(&self) -> Option<Timestamp> {
        let of_key = |key: &Key| [Some(key.created_at), Some(key.published_at), key.state.since()];
        self.keys.iter().flat_map(of_key).chain([self.acted_at]).flatten().max()
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
    fn names_lead_back_to_what_they_name() {
        assert_eq!(Purpose::from_name(Purpose::Signing.name()), Some(Purpose::Signing));
        for origin in [Origin::Generated, Origin::Imported] {
            assert_eq!(Origin::from_name(origin.name()), Some(origin));
        }
        for size in RsaBits::ALL {
            assert_eq!(RsaBits::from_bits(size.bits()), Some(size));
            for algorithm in Algorithm::ALL {
                assert_eq!(KeySpec::new(algorithm, size).algorithm(), algorithm);
            }
        }
        assert_eq!(KeySpec::Rs256(RsaBits::B3072).to_string(), "RS256 with 3072 bits");
        assert_eq!(KeySpec::Ed25519.to_string(), "Ed25519");
    }

    #[test]
    fn a_kid_is_43_characters_of_base64url() {
        let good = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(Kid::parse(good).unwrap().as_str(), good);
        for bad in ["", &good[1..], &format!("{good}A"), &good.replace('_', "/")] {
            assert_eq!(Kid::parse(bad), None, "{bad:?}");
        }
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

    #[test]
    fn the_successor_is_the_first_to_propagate_then_the_older() {
        let pending = |seed, created: i64, usable: i64| {
            let usable_from = Timestamp::from_secs(usable);
            let state = KeyState::Pending { usable_from };
            Key { state, ..key(seed, Algorithm::Es256, Timestamp::from_secs(created)) }
        };
        let keys = vec![pending(1, 5, 90), pending(2, 4, 80), pending(3, 3, 80)];
        let table = KeyTable { keys, ..KeyTable::default() };
        let order: Vec<_> = table.pending(Algorithm::Es256).iter().map(|(key, _)| key.created_at.secs()).collect();
        assert_eq!(order, [3, 4, 5]);
        assert_eq!(table.successor(Algorithm::Es256).unwrap().1.secs(), 80);
        assert_eq!(table.successor(Algorithm::Rs256), None);
        assert_eq!(table.latest_moment(), Some(Timestamp::from_secs(5)));
    }
}
