//! The keeper of the keys that make refresh tokens: does what is due, and keeps this replica's ring fresh.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::super::token::MacKeyId;
use super::ring::{MacKeys, MacRing};
use super::store::{MacKeyChange, MacKeyStore, StoredMacKeys};
use super::sweep::{MacKeyRow, MacKeyState, MacKeyStep, MacPolicy, next_due, sweep};
use crate::audit::{Act, By};
use crate::keys::{Commit, Purpose};
use crate::ports::{Clock, Entropy, StoreError, Timestamp};
use crate::secret::{Binding, MacKey, MasterKeys, SecretBytes, SecretError};

/// How often a change that another replica's came before is planned anew.
const ATTEMPTS: usize = 8;
const KEY_LEN: usize = 32;
/// What sealing calls HMAC-SHA256 ([RFC 7518 §3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1)).
const ALGORITHM: &str = "HS256";

/// Why the keys are not kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MacKeeperError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key can't be sealed or opened.
    #[error("the key {id} of refresh tokens can't be used: {why}")]
    Sealed {
        /// Which.
        id: MacKeyId,
        /// Why.
        why: SecretError,
    },
    /// The master key that keys are to be sealed under is not at hand.
    #[error("the keys of refresh tokens are sealed under another master key: {0}")]
    MasterKey(#[from] SecretError),
    /// Other replicas changed the keys each time.
    #[error("the keys of refresh tokens were changed by others {ATTEMPTS} times in a row")]
    Contended,
}

/// Keeps the keys of one replica.
pub struct MacKeeper {
    store: Arc<dyn MacKeyStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    masters: Arc<MasterKeys>,
    policy: MacPolicy,
    by: By,
    ring: Arc<MacRing>,
    /// When the sweep has something to do next, in milliseconds: before that the store is left alone.
    due: AtomicI64,
    /// Held from loading to swapping: an older snapshot never takes a newer one's place.
    refreshing: Mutex<()>,
}

impl MacKeeper {
    /// A keeper whose ring is still empty: [`Self::sweep`] makes what is missing, [`Self::refresh`] fills the ring.
    pub fn new(
        store: Arc<dyn MacKeyStore>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        masters: Arc<MasterKeys>,
        policy: MacPolicy,
        by: By,
    ) -> Self {
        let (ring, due, refreshing) = (Arc::default(), AtomicI64::new(i64::MIN), Mutex::new(()));
        Self { store, clock, entropy, masters, policy, by, ring, due, refreshing }
    }

    /// The ring that this keeper keeps fresh.
    pub const fn ring(&self) -> &Arc<MacRing> {
        &self.ring
    }

    /// Takes up what the store has.
    ///
    /// # Errors
    /// When the store fails or a key does not open; the ring then stays as it was.
    pub async fn refresh(&self) -> Result<(), MacKeeperError> {
        let _refreshing = self.refreshing.lock().await;
        let stored = self.store.load_mac_keys().await?;
        let mut keys = HashMap::with_capacity(stored.keys.len());
        let mut active = None;
        for (row, sealed) in &stored.keys {
            let Some(sealed) = sealed else { continue };
            let secret = open(&self.masters, row.id, sealed)?;
            keys.insert(row.id, MacKey::new(&secret));
            if matches!(row.state, MacKeyState::Active { .. }) {
                active = Some(row.id);
            }
        }
        let due = next_due(&rows(&stored), &self.policy);
        self.due.store(due.map_or(i64::MIN, Timestamp::millis), Ordering::Release);
        self.ring.replace(MacKeys::new(active, keys));
        Ok(())
    }

    /// Does what is due, and says how many steps that took. Costs a comparison when nothing is due by what this replica
    /// last saw.
    ///
    /// # Errors
    /// When the store fails or a key can't be sealed; nothing is changed then.
    pub async fn sweep(&self) -> Result<usize, MacKeeperError> {
        if self.clock.now().millis() < self.due.load(Ordering::Acquire) {
            return Ok(0);
        }
        for _ in 0..ATTEMPTS {
            let stored = self.store.load_mac_keys().await?;
            let steps = sweep(&rows(&stored), &self.policy, stored.now);
            if steps.is_empty() {
                self.refresh().await?;
                return Ok(0);
            }
            let change = self.change(&stored, &steps)?;
            let told: Vec<_> = change.insert.iter().map(|(row, _)| row).chain(&change.update).map(told).collect();
            let detail = json!({ "purpose": Purpose::SessionMac.name(), "keys": told });
            let entry = self.by.entry(Act::KeysSweep, Purpose::SessionMac.name(), detail);
            if let Commit::Done { .. } = self.store.commit_mac_keys(stored.version, &change, &entry).await? {
                self.refresh().await?;
                return Ok(steps.len());
            }
        }
        Err(MacKeeperError::Contended)
    }

    /// Seals every key that is not yet sealed under the master key `to` anew under it, and says how many those were.
    ///
    /// # Errors
    /// When a key does not open, a master key is not at hand, or the store fails; nothing is changed then.
    pub async fn reseal(&self, to: &str) -> Result<usize, MacKeeperError> {
        for _ in 0..ATTEMPTS {
            let stored = self.store.load_mac_keys().await?;
            let mut anew = Vec::new();
            for (row, sealed) in &stored.keys {
                let Some(sealed) = sealed.as_ref().filter(|sealed| sealed.master_key_id != to) else { continue };
                let secret = open(&self.masters, row.id, sealed)?;
                let (master, kid) = (self.masters.named(to)?, row.id.to_string());
                let wrong = |why| MacKeeperError::Sealed { id: row.id, why };
                let again = master.seal(&binding(&kid), secret.expose(), self.entropy.as_ref()).map_err(wrong)?;
                anew.push((row.id, again));
            }
            if anew.is_empty() {
                return Ok(0);
            }
            if let Commit::Done { .. } = self.store.reseal_mac_keys(stored.version, &anew).await? {
                return Ok(anew.len());
            }
        }
        Err(MacKeeperError::Contended)
    }

    fn change(&self, stored: &StoredMacKeys, steps: &[MacKeyStep]) -> Result<MacKeyChange, MacKeeperError> {
        let mut change = MacKeyChange { decided_at: stored.now, insert: Vec::new(), update: Vec::new() };
        for step in steps {
            match *step {
                MacKeyStep::Change(row) => change.update.push(row),
                MacKeyStep::Make(state) => {
                    let master = self.masters.sealing(stored.sealed_under.as_deref())?;
                    let id = self.new_id(stored);
                    let mut secret = Zeroizing::new([0; KEY_LEN]);
                    self.entropy.fill(secret.as_mut());
                    let kid = id.to_string();
                    let sealed = master.seal(&binding(&kid), secret.as_ref(), self.entropy.as_ref());
                    let sealed = sealed.map_err(|why| MacKeeperError::Sealed { id, why })?;
                    let longest_session = self.policy.longest_session;
                    change.insert.push((MacKeyRow { id, created_at: stored.now, longest_session, state }, sealed));
                }
            }
        }
        Ok(change)
    }

    /// A name that no key has, nor ever had.
    fn new_id(&self, stored: &StoredMacKeys) -> MacKeyId {
        loop {
            let mut bytes = [0; 4];
            self.entropy.fill(&mut bytes);
            let id = MacKeyId(u32::from_be_bytes(bytes));
            if id.0 != 0 && stored.keys.iter().all(|(row, _)| row.id != id) {
                return id;
            }
        }
    }
}

impl fmt::Debug for MacKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MacKeeper").field("policy", &self.policy).finish_non_exhaustive()
    }
}

fn rows(stored: &StoredMacKeys) -> Vec<MacKeyRow> {
    stored.keys.iter().map(|(row, _)| *row).collect()
}

fn told(row: &MacKeyRow) -> serde_json::Value {
    json!({ "key": row.id.to_string(), "state": row.state.name() })
}

const fn binding(kid: &str) -> Binding<'_> {
    Binding { purpose: Purpose::SessionMac.name(), kid, algorithm: ALGORITHM }
}

fn open(masters: &MasterKeys, id: MacKeyId, sealed: &crate::secret::Sealed) -> Result<SecretBytes, MacKeeperError> {
    masters.open(&binding(&id.to_string()), sealed).map_err(|why| MacKeeperError::Sealed { id, why })
}
