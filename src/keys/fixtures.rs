//! What the tests of this module share: keys made from a number, so that they are cheap and the same each time, a clock
//! that the test holds, and a store in memory.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use signet_verify::{Algorithm, PublicJwk, PublicKey};

use super::history::History;
use super::kind::{KeySpec, Kid, Origin, Purpose};
use super::plan::Candidate;
use super::rotation::Policy;
use super::states::{Key, KeyState};
use super::store::{COMMIT_WITHIN, Commit, KeyChange, KeyStore, StoredKeys};
use super::table::KeyTable;
use crate::audit::{By, Entry};
use crate::ports::{Clock, StoreError, Timestamp};
use crate::secret::Sealed;

/// An operator, on whose behalf tests act.
pub(crate) fn by() -> By {
    By::operator("tester", "test")
}

/// A public key that is told from every other by `seed`. It is on Ed25519 whatever it is said to be for: the tests that
/// use it never sign.
pub(crate) fn public(seed: u64) -> PublicJwk {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let pair = Ed25519KeyPair::from_seed_unchecked(&bytes).unwrap();
    let x = pair.public_key().as_ref().try_into().unwrap();
    PublicJwk { kid: None, algorithm: None, key: PublicKey::Ed25519 { x } }
}

/// A pending key, usable from `created`.
pub(crate) fn key(seed: u64, algorithm: Algorithm, created: Timestamp) -> Key {
    let public = public(seed);
    Key {
        kid: Kid::of(&public),
        purpose: Purpose::Signing,
        algorithm,
        public,
        origin: Origin::Generated,
        created_at: created,
        published_at: created,
        longest_lifetime: Duration::from_secs(300),
        state: KeyState::Pending { usable_from: created },
        reason: String::new(),
        history: History::default(),
    }
}

/// A candidate that goes into a table, and whose private half nobody will open.
pub(crate) fn candidate(seed: u64, algorithm: Algorithm) -> Candidate {
    let Key { kid, public, origin, .. } = key(seed, algorithm, Timestamp::from_secs(0));
    let sealed = Sealed { master_key_id: String::new(), bytes: Vec::new() };
    Candidate { kid, algorithm, public, origin, sealed }
}

/// The policy by default: keys of these kinds sign for thirty days each.
pub(crate) fn policy(specs: &[KeySpec]) -> Policy {
    Policy {
        specs: specs.to_vec(),
        rotate_every: Duration::from_secs(30 * 86_400),
        propagation: Duration::from_secs(900),
        lease: Duration::from_secs(600),
        skew: Duration::from_secs(60),
        longest_lifetime: Duration::from_secs(300),
    }
}

/// A clock that stands until it is moved.
#[derive(Debug, Default)]
pub(crate) struct HeldClock(AtomicI64);

impl HeldClock {
    pub(crate) fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.millis())))
    }

    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.millis(), Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, span: Duration) -> Timestamp {
        self.set(self.now().plus(span));
        self.now()
    }
}

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

type Rows = (KeyTable, Vec<(Kid, Sealed)>);

/// A store in memory, with the promises of the port.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    pub(crate) rows: Mutex<Rows>,
    pub(crate) clock: Arc<HeldClock>,
    pub(crate) loads: AtomicUsize,
    pub(crate) down: AtomicBool,
    /// So many commits are answered as if another replica had come first.
    pub(crate) races: AtomicUsize,
    /// What was entered in the audit log.
    pub(crate) entries: Mutex<Vec<Entry>>,
    /// The master key on record.
    pub(crate) sealed_under: Mutex<Option<String>>,
}

impl MemoryStore {
    pub(crate) fn new(clock: &Arc<HeldClock>) -> Arc<Self> {
        Arc::new(Self {
            rows: Mutex::default(),
            clock: Arc::clone(clock),
            loads: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            races: AtomicUsize::new(0),
            entries: Mutex::default(),
            sealed_under: Mutex::default(),
        })
    }

    pub(crate) fn table(&self) -> KeyTable {
        self.rows.lock().unwrap().0.clone()
    }

    fn check_up(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the test took it down".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl KeyStore for MemoryStore {
    async fn load(&self, _purpose: Purpose) -> Result<StoredKeys, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.check_up()?;
        let (table, sealed) = self.rows.lock().unwrap().clone();
        Ok(StoredKeys { table, sealed, sealed_under: self.sealed_under.lock().unwrap().clone(), now: self.clock.now() })
    }

    async fn commit(
        &self,
        _purpose: Purpose,
        expected_version: i64,
        change: &KeyChange,
        entry: &Entry,
    ) -> Result<Commit, StoreError> {
        self.check_up()?;
        let raced = |left: usize| left.checked_sub(1);
        if self.races.fetch_update(Ordering::SeqCst, Ordering::SeqCst, raced).is_ok() {
            return Ok(Commit::Raced);
        }
        let mut rows = self.rows.lock().unwrap();
        let (table, sealed) = &mut *rows;
        if table.version != expected_version {
            return Ok(Commit::Raced);
        }
        if change.acted_at.plus(COMMIT_WITHIN) < self.clock.now() {
            return Ok(Commit::Late);
        }
        for (key, private) in &change.insert {
            assert!(table.find(&key.kid).is_none(), "a name is used twice");
            table.keys.push(key.clone());
            sealed.push((key.kid.clone(), private.clone()));
        }
        for key in &change.update {
            *table.keys.iter_mut().find(|known| known.kid == key.kid).unwrap() = key.clone();
        }
        sealed.retain(|(kid, _)| table.find(kid).unwrap().state.is_published());
        table.version += 1;
        table.acted_at = Some(change.acted_at);
        self.entries.lock().unwrap().push(entry.clone());
        Ok(Commit::Done { version: table.version })
    }

    async fn swap_sealed(
        &self,
        _purpose: Purpose,
        expected_version: i64,
        anew: &[(Kid, Sealed)],
    ) -> Result<Commit, StoreError> {
        self.check_up()?;
        let mut rows = self.rows.lock().unwrap();
        let (table, sealed) = &mut *rows;
        if table.version != expected_version {
            return Ok(Commit::Raced);
        }
        for (kid, private) in anew {
            if let Some((_, old)) = sealed.iter_mut().find(|(of, _)| of == kid) {
                old.clone_from(private);
            }
        }
        table.version += 1;
        Ok(Commit::Done { version: table.version })
    }
}
