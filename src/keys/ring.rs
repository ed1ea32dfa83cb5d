//! The ring: what a replica signs with and publishes, as one snapshot of the table.
//!
//! Guarantees: a ring never changes, it is replaced whole; it signs only within the lease since it was last confirmed,
//! and publishes always; what it publishes is made of a type that has no room for anything private, in an order that
//! depends on the table alone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use signet_verify::{Algorithm, PublicJwk, base64url};

use super::material::KeyError;
use super::rotation::{self, Policy};
use super::signer::{Ed25519Name, SigningKey, check_public};
use super::states::{Key, KeyState};
use super::store::StoredKeys;
use super::table::KeyTable;
use crate::ports::Timestamp;
use crate::secret::{MasterKeys, sha256};

/// The set of public keys ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)), rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwks {
    body: Arc<[u8]>,
    etag: String,
    next_change: Option<Timestamp>,
    keys: usize,
}

impl Jwks {
    fn render(published: &[&Key], name: Ed25519Name, next_change: Option<Timestamp>) -> Self {
        let keys: Vec<Value> = published.iter().map(|key| rendered(key, name)).collect();
        let body = json!({ "keys": keys }).to_string().into_bytes();
        // 128 bits of the digest: equal exactly when the bytes are.
        let etag = format!("\"{}\"", base64url::encode(&sha256(&body)[..16]));
        Self { body: body.into(), etag, next_change, keys: published.len() }
    }

    /// The document, as bytes of JSON.
    #[must_use]
    pub const fn body(&self) -> &Arc<[u8]> {
        &self.body
    }

    /// The strong entity tag, in its quotes ([RFC 9110 §8.8.3](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3)).
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// The earliest moment at which another set may take its place, of itself.
    #[must_use]
    pub const fn next_change(&self) -> Option<Timestamp> {
        self.next_change
    }

    /// How many keys it has.
    #[must_use]
    pub const fn key_count(&self) -> usize {
        self.keys
    }
}

fn rendered(key: &Key, name: Ed25519Name) -> Value {
    let public =
        PublicJwk { kid: Some(key.kid.to_string()), algorithm: Some(key.algorithm), key: key.public.key.clone() };
    let mut jwk = public.to_json();
    jwk["alg"] = Value::from(name.of(key.algorithm));
    jwk
}

/// One snapshot of the keys.
#[derive(Debug)]
pub struct Ring {
    table: KeyTable,
    signers: [Option<Arc<SigningKey>>; Algorithm::ALL.len()],
    /// Those that are published and do not sign. Opened too: a damaged successor is noticed before it is needed, and a key
    /// that somebody else put into the table, whose private half is not under the master key, is never published.
    standby: Vec<SigningKey>,
    jwks: Arc<Jwks>,
}

impl Ring {
    /// A ring of no keys.
    #[must_use]
    pub fn empty() -> Self {
        let jwks = Arc::new(Jwks::render(&[], Ed25519Name::default(), None));
        Self { table: KeyTable::default(), signers: [const { None }; Algorithm::ALL.len()], standby: Vec::new(), jwks }
    }

    /// Makes a ring of what is stored. Every published key is opened; one that `previous` has parsed is not parsed again.
    ///
    /// # Errors
    /// When any published key is not what its row says or can't be opened. No ring comes out without it: a verifier or a
    /// client would be without a key that it needs.
    pub fn open(
        stored: &StoredKeys,
        masters: &MasterKeys,
        policy: &Policy,
        name: Ed25519Name,
        previous: Option<&Self>,
    ) -> Result<Self, KeyError> {
        let published = stored.table.published();
        let mut signers = [const { None }; Algorithm::ALL.len()];
        let mut standby = Vec::new();
        for key in &published {
            check_public(key)?;
            let signer = match previous.and_then(|ring| ring.renewed(key, name)) {
                Some(signer) => signer,
                None => open_signer(stored, key, masters, name)?,
            };
            if matches!(key.state, KeyState::Active { .. }) {
                signers[slot(key.algorithm)] = Some(Arc::new(signer));
            } else {
                standby.push(signer);
            }
        }
        let next_change = rotation::next_due(&stored.table, policy, stored.now);
        let jwks = Arc::new(Jwks::render(&published, name, next_change));
        Ok(Self { table: stored.table.clone(), signers, standby, jwks })
    }

    /// The key of that row, where this ring has parsed it already.
    fn renewed(&self, key: &Key, name: Ed25519Name) -> Option<SigningKey> {
        let active = self.signers.iter().flatten().map(Arc::as_ref);
        active.chain(&self.standby).find_map(|signer| signer.renewed(key, name))
    }

    /// The version of the table that it was made of.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.table.version
    }

    /// That table: every key and where in its life it is.
    #[must_use]
    pub const fn table(&self) -> &KeyTable {
        &self.table
    }

    /// The key that signs with `algorithm`.
    #[must_use]
    pub fn signer(&self, algorithm: Algorithm) -> Option<&Arc<SigningKey>> {
        self.signers[slot(algorithm)].as_ref()
    }

    /// The set of public keys.
    #[must_use]
    pub const fn jwks(&self) -> &Arc<Jwks> {
        &self.jwks
    }
}

/// Opens the private half of `key` from the snapshot.
pub(super) fn open_signer(
    stored: &StoredKeys,
    key: &Key,
    masters: &MasterKeys,
    name: Ed25519Name,
) -> Result<SigningKey, KeyError> {
    let sealed = stored.sealed_of(&key.kid).ok_or_else(|| KeyError::Missing(key.kid.clone()))?;
    SigningKey::open(key, sealed, masters, name)
}

const fn slot(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Es256 => 0,
        Algorithm::Es384 => 1,
        Algorithm::Rs256 => 2,
        Algorithm::Ps256 => 3,
        Algorithm::Ed25519 => 4,
    }
}

/// Why nothing is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSigning {
    /// The ring was not confirmed within the lease: another replica may have retired its keys since.
    #[error("the signing keys were not confirmed for longer than the lease")]
    LeaseExpired,
    /// No key signs with the algorithm.
    #[error("no key signs with {0}")]
    NoKey(Algorithm),
}

/// However near a change of the JWKS is, and however long ago the ring was confirmed, verifiers need not ask more often
/// than this.
pub const SHORTEST_MAX_AGE: Duration = Duration::from_secs(5);

/// For how much longer a cache may serve the JWKS while it asks again (`stale-while-revalidate`,
/// [RFC 5861 §3](https://www.rfc-editor.org/rfc/rfc5861#section-3)), where it may keep it for `max_age`: as long again, a
/// minute at most.
#[must_use]
pub fn stale_while_revalidate(max_age: Duration) -> Duration {
    max_age.min(Duration::from_secs(60))
}

/// How far a clock may be behind the confirmation before it counts as set back. Threads that read it once a second
/// lag a little; a clock set back further would stretch the lease.
const CONFIRMED_AHEAD: Duration = Duration::from_secs(2);

/// The ring in use, and since when it is known to be current. Reading it takes no lock and no memory.
pub struct KeyRing {
    ring: ArcSwap<Ring>,
    confirmed_at: AtomicI64,
    lease: Duration,
    /// For how long after a confirmation no key signs that was published since.
    foresight: Duration,
}

impl KeyRing {
    /// Holds a ring of no keys, never confirmed.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let ring = ArcSwap::from_pointee(Ring::empty());
        let foresight = policy.propagation.saturating_sub(policy.skew);
        Self { ring, confirmed_at: AtomicI64::new(i64::MIN), lease: policy.lease, foresight }
    }

    /// The key to sign with, at `now` by this machine's clock. The token path calls this once a token.
    ///
    /// # Errors
    /// When the lease has run out, or no key signs with `algorithm`.
    pub fn signer(&self, algorithm: Algorithm, now: Timestamp) -> Result<Arc<SigningKey>, NotSigning> {
        // In this order the ring is at least as new as its confirmation.
        if !self.is_confirmed(now) {
            return Err(NotSigning::LeaseExpired);
        }
        let ring = self.ring.load();
        ring.signer(algorithm).map(Arc::clone).ok_or(NotSigning::NoKey(algorithm))
    }

    /// Whether the lease holds at `now`: whether this replica may sign at all.
    #[must_use]
    pub fn is_confirmed(&self, now: Timestamp) -> bool {
        let confirmed_at = self.confirmed_at.load(Ordering::Acquire);
        if confirmed_at == i64::MIN {
            return false;
        }
        let confirmed_at = Timestamp::from_millis(confirmed_at);
        now <= confirmed_at.plus(self.lease) && now >= confirmed_at.minus(CONFIRMED_AHEAD)
    }

    /// For how long from `now` on a verifier that is given the set of public keys may rely on it. What another replica
    /// published since the ring was confirmed is missing in it, and signs when it has propagated.
    #[must_use]
    pub fn jwks_holds_for(&self, now: Timestamp) -> Duration {
        match self.confirmed_at.load(Ordering::Acquire) {
            i64::MIN => Duration::ZERO,
            confirmed_at => Timestamp::from_millis(confirmed_at).plus(self.foresight).since(now),
        }
    }

    /// When it was last confirmed; `None` when it never was, or is suspended.
    #[must_use]
    pub fn confirmed_at(&self) -> Option<Timestamp> {
        let confirmed_at = self.confirmed_at.load(Ordering::Acquire);
        (confirmed_at != i64::MIN).then(|| Timestamp::from_millis(confirmed_at))
    }

    /// How long it signs without being confirmed.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// The set of public keys, whether confirmed or not: verifiers need it most when something is down.
    #[must_use]
    pub fn jwks(&self) -> Arc<Jwks> {
        Arc::clone(self.ring.load().jwks())
    }

    /// The ring in use.
    #[must_use]
    pub fn current(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    /// The ring is known to be that of the table as of `asked_at`: this machine's time *before* the store was asked
    /// whether anything changed, not after.
    pub fn confirm(&self, asked_at: Timestamp) {
        self.confirmed_at.store(asked_at.millis(), Ordering::Release);
    }

    /// Ends the lease at once, until the ring is confirmed again: this machine's clock can't be relied on.
    pub fn suspend(&self) {
        self.confirmed_at.store(i64::MIN, Ordering::Release);
    }

    /// Puts `ring` in use, as confirmed at `asked_at`, this machine's time before the store was asked for it.
    pub fn replace(&self, ring: Ring, asked_at: Timestamp) {
        self.ring.store(Arc::new(ring));
        self.confirm(asked_at);
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("version", &self.ring.load().version()).finish_non_exhaustive()
    }
}
