//! The keeper: carries out what the sweep finds due, and keeps this replica's ring fresh.
//!
//! Guarantees: any number of keepers may work on one store; a change is committed only to the version it was planned
//! for, and only after the successor it promotes was opened. When anything fails the ring stays as it was, and signs
//! until its lease runs out.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use signet_verify::Algorithm;
use tokio::sync::Mutex;

use super::import::{ImportRefused, import_pem};
use super::kind::{KeySpec, Purpose};
use super::material::{KeyError, NewKey, binding, generate};
use super::plan::{Candidate, PlanRefused, generated_by, plan};
use super::ring::{KeyRing, Ring, open_signer};
use super::rotation::{self, Action, KeyAct, Policy, Step, SweepRefused, may_fail_until};
use super::signer::Ed25519Name;
use super::skew::ClockSkew;
use super::states::Key;
use super::store::{Commit, KeyStore, StoredKeys};
use super::table::KeyTable;
use super::timeline::{Foreseen, Timeline, foresee, timeline};
use super::wish::{self, Wish};
use crate::audit::By;
use crate::ports::{Clock, Entropy, StoreError, Timestamp};
use crate::secret::{MasterKey, MasterKeys, SecretError};

/// How often a change that another replica's came before is planned anew.
const ATTEMPTS: usize = 8;

/// What a keeper goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperSettings {
    /// How keys are kept.
    pub policy: Policy,
    /// What Ed25519 is called.
    pub ed25519_name: Ed25519Name,
    /// How far this machine's clock may be from the store's.
    pub max_clock_skew: Duration,
    /// As whom this replica does what is due with time.
    pub by: By,
}

/// Why keys are not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The table, the policy or the clock allows no change.
    #[error(transparent)]
    Refused(#[from] SweepRefused),
    /// A change could not be planned.
    #[error(transparent)]
    Plan(#[from] PlanRefused),
    /// A PEM file was refused.
    #[error(transparent)]
    Import(#[from] ImportRefused),
    /// This machine's clock and the store's are apart. Leases and propagation times would mean nothing.
    #[error("this machine's clock is {skew} of the store's, more than the {most:?} that are allowed")]
    ClockApart {
        /// How far.
        skew: ClockSkew,
        /// How far they may be.
        most: Duration,
    },
    /// The master key that keys are to be sealed under is not at hand.
    #[error("the keys are sealed under another master key: {0}")]
    MasterKey(#[from] SecretError),
    /// Other replicas changed the keys each time.
    #[error("the keys were changed by others {ATTEMPTS} times in a row")]
    Contended,
    /// The thread that made a key died.
    #[error("making a key was interrupted")]
    Interrupted,
}

/// What became of an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The steps that were taken; none when what was asked for is so already. Then nothing was written.
    pub actions: Vec<Action>,
    /// The keys after them.
    pub table: KeyTable,
    /// The moment from which they count, by the store's time.
    pub at: Timestamp,
    /// Until when tokens may fail at verifiers that lack the key that signs them; `None` when none may.
    pub may_fail_until: Option<Timestamp>,
}

/// What would become of an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DryRun {
    /// The steps that would be taken; none when what is asked for is so already.
    pub actions: Vec<Action>,
    /// The store's time.
    pub at: Timestamp,
    /// Until when tokens might fail, and the lives of the keys after the steps.
    pub foreseen: Foreseen,
}

/// The keys as they are, with what they went through and what comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The keys.
    pub table: KeyTable,
    /// The store's time.
    pub at: Timestamp,
    /// Their lives.
    pub timeline: Timeline,
}

/// Keeps the signing keys of one replica.
pub struct KeyKeeper {
    store: Arc<dyn KeyStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    masters: Arc<MasterKeys>,
    settings: KeeperSettings,
    ring: Arc<KeyRing>,
    /// When the sweep has something to do next, in milliseconds: before that the store is left alone.
    due: AtomicI64,
    /// Held while a change is made: a sweep and an import of one process need not race each other.
    changing: Mutex<()>,
    /// Held from loading to swapping: an older snapshot never takes a newer one's place.
    refreshing: Mutex<()>,
}

impl KeyKeeper {
    /// A keeper whose ring is still empty: [`Self::sweep`] makes what is missing, [`Self::refresh`] fills the ring.
    #[must_use]
    pub fn new(
        store: Arc<dyn KeyStore>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        masters: Arc<MasterKeys>,
        settings: KeeperSettings,
    ) -> Self {
        let ring = Arc::new(KeyRing::new(&settings.policy));
        let due = AtomicI64::new(i64::MIN);
        let (changing, refreshing) = (Mutex::new(()), Mutex::new(()));
        Self { store, clock, entropy, masters, settings, ring, due, changing, refreshing }
    }

    /// The ring that this keeper keeps fresh.
    #[must_use]
    pub const fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// How keys are kept.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.settings.policy
    }

    /// Takes up what the store has, and confirms the ring.
    ///
    /// # Errors
    /// When the store fails, a key can't be used, or the clocks are apart: the ring then stays as it was, unconfirmed.
    pub async fn refresh(&self) -> Result<(), KeeperError> {
        let _refreshing = self.refreshing.lock().await;
        let asked_at = self.clock.now();
        let stored = self.load().await?;
        let KeeperSettings { policy, ed25519_name, .. } = &self.settings;
        let previous = self.ring.current();
        let ring = Ring::open(&stored, &self.masters, policy, *ed25519_name, Some(&previous))?;
        let due = rotation::next_due(&stored.table, policy, stored.now);
        self.due.store(due.map_or(i64::MAX, Timestamp::millis), Ordering::Release);
        self.ring.replace(ring, asked_at);
        Ok(())
    }

    /// Does what is due and says what that was. Costs a comparison when nothing is due by what this replica last saw.
    ///
    /// # Errors
    /// When the store fails, the sweep is refused, or a change can't be made; nothing is changed then.
    pub async fn sweep(&self) -> Result<Vec<Action>, KeeperError> {
        if self.clock.now().millis() < self.due.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        Ok(self.carry_out(&Wish::Sweep, &self.settings.by).await?.actions)
    }

    /// Imports the private key in `pem` and returns it as it stands in the table.
    ///
    /// # Errors
    /// When the PEM is refused, the key is known already, its algorithm is not kept ready, or the store fails.
    pub async fn import(&self, pem: &str, wanted: Option<Algorithm>, by: &By) -> Result<Key, KeeperError> {
        let key = import_pem(pem, wanted)?;
        self.add(&key, "imported by an operator", by).await
    }

    /// Makes one more key of `spec` and returns it as it stands in the table.
    ///
    /// # Errors
    /// When its algorithm is not kept ready, or the store fails.
    pub async fn create(&self, spec: KeySpec, by: &By) -> Result<Key, KeeperError> {
        let algorithm = spec.algorithm();
        self.settings.policy.spec(algorithm).ok_or(SweepRefused::NotKept(algorithm))?;
        let key = self.generate(&[spec]).await?.pop().ok_or(KeeperError::Interrupted)?;
        self.add(&key, "made for an operator", by).await
    }

    /// Does what an operator asks for about keys that are there.
    ///
    /// # Errors
    /// When the act is refused ([`SweepRefused::NotPropagated`] names the moment when it becomes possible without force), a
    /// key that is to sign can't be opened, or the store fails; nothing is changed then.
    pub async fn act(&self, act: &KeyAct, by: &By) -> Result<Done, KeeperError> {
        self.carry_out(&Wish::Act(act), by).await
    }

    /// What [`Self::act`] would do now. Nothing is made, opened or changed.
    ///
    /// # Errors
    /// When the act is refused, or the store fails.
    pub async fn dry_run(&self, act: &KeyAct) -> Result<DryRun, KeeperError> {
        let (stored, policy) = (self.load().await?, &self.settings.policy);
        let actions = act.steps(&stored.table, policy, stored.now)?;
        let foreseen = foresee(&stored.table, policy, &actions, stored.now)?;
        Ok(DryRun { actions, at: stored.now, foreseen })
    }

    /// The keys as the store has them, whatever this machine's clock says.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn survey(&self) -> Result<Survey, KeeperError> {
        let StoredKeys { table, now: at, .. } = self.store.load(Purpose::Signing).await?;
        let timeline = timeline(&table, &self.settings.policy, at);
        Ok(Survey { table, at, timeline })
    }

    async fn add(&self, key: &NewKey, reason: &str, by: &By) -> Result<Key, KeeperError> {
        let Done { table, .. } = self.carry_out(&Wish::Add { key, reason }, by).await?;
        let unknown = || PlanRefused::UnknownKey(key.kid.clone());
        Ok(table.find(&key.kid).cloned().ok_or_else(unknown)?)
    }

    /// How far this machine's clock may be from the store's.
    #[must_use]
    pub const fn max_clock_skew(&self) -> Duration {
        self.settings.max_clock_skew
    }

    /// Judges how far this machine's clock is from the store's. A replica whose clock is wrong must not renew its lease: by
    /// such a clock, leases mean nothing.
    ///
    /// # Errors
    /// [`KeeperError::ClockApart`].
    pub fn check_clock(&self, skew: ClockSkew) -> Result<(), KeeperError> {
        let most = self.settings.max_clock_skew;
        if skew.is_beyond(most) { Err(KeeperError::ClockApart { skew, most }) } else { Ok(()) }
    }

    /// A snapshot that may be acted on: the clocks agree, and this replica's master keys open all of it.
    async fn load(&self) -> Result<StoredKeys, KeeperError> {
        let asked_at = self.clock.now();
        let stored = self.store.load(Purpose::Signing).await?;
        self.check_clock(ClockSkew::measure(asked_at, stored.now, self.clock.now()))?;
        for (kid, sealed) in &stored.sealed {
            let wrong = |why| KeyError::Sealed { kid: kid.clone(), why };
            self.masters.check_opens(sealed).map_err(wrong)?;
        }
        self.masters.sealing(stored.sealed_under.as_deref())?;
        Ok(stored)
    }

    /// Plans and commits, again when another replica came first.
    async fn carry_out(&self, wish: &Wish<'_>, by: &By) -> Result<Done, KeeperError> {
        let _changing = self.changing.lock().await;
        let policy = &self.settings.policy;
        let mut made: Vec<NewKey> = Vec::new();
        for _ in 0..ATTEMPTS {
            let stored = self.load().await?;
            let actions = wish.actions(&stored.table, policy, stored.now)?;
            if actions.is_empty() {
                self.refresh().await?;
                return Ok(Done { actions, table: stored.table, at: stored.now, may_fail_until: None });
            }
            let missing = missing(&generated_by(&actions), &made);
            if !missing.is_empty() {
                // Making keys takes time. The moment of publication must not lie before it, so all is read again.
                made.extend(self.generate(&missing).await?);
                continue;
            }
            self.check_successors(&stored, &actions)?;
            let candidates = self.seal(wish, &made, &stored)?;
            let (table, change) = plan(&stored.table, policy, &actions, candidates, stored.now)?;
            let version = stored.table.version;
            let (at, may_fail_until) = (stored.now, may_fail_until(&stored.table, policy, &actions, stored.now));
            let entry = wish.entry(by, &actions, &change, may_fail_until);
            match self.store.commit(Purpose::Signing, version, &change, &entry).await? {
                Commit::Done { version } => {
                    wish::report(&actions, &change, may_fail_until);
                    wish::report_dropped(&stored.table, policy, &actions);
                    // The change is made, whatever becomes of this replica's own ring: the next poll refreshes it.
                    if let Err(error) = self.refresh().await {
                        tracing::warn!(%error, "the keys were changed, but can't be taken up yet");
                    }
                    return Ok(Done { actions, table: KeyTable { version, ..table }, at, may_fail_until });
                }
                Commit::Raced => tracing::debug!(version, "another replica changed the keys first"),
                Commit::Late => tracing::warn!(version, "a change of the keys took too long and is planned anew"),
            }
        }
        Err(KeeperError::Contended)
    }

    fn seal(&self, wish: &Wish<'_>, made: &[NewKey], stored: &StoredKeys) -> Result<Vec<Candidate>, KeeperError> {
        let added = match wish {
            Wish::Add { key, .. } => Some(*key),
            Wish::Sweep | Wish::Act(_) => None,
        };
        let master = self.masters.sealing(stored.sealed_under.as_deref())?;
        let seal = |key: &NewKey| key.seal(Purpose::Signing, master, self.entropy.as_ref());
        Ok(added.into_iter().chain(made).map(seal).collect::<Result<_, _>>()?)
    }

    /// A successor that can't be opened must not take over: all replicas would be left without a signer.
    fn check_successors(&self, stored: &StoredKeys, actions: &[Action]) -> Result<(), KeyError> {
        for action in actions {
            if let Step::Activate { kid, .. } = &action.step
                && let Some(key) = stored.table.find(kid)
            {
                open_signer(stored, key, &self.masters, self.settings.ed25519_name)?;
            }
        }
        Ok(())
    }

    /// Seals every private key that is not yet sealed under the master key `to` anew under it, and says how many those
    /// were.
    ///
    /// # Errors
    /// When a key does not open, a master key is not at hand, or the store fails; nothing is changed then.
    pub async fn reseal(&self, to: &str) -> Result<usize, KeeperError> {
        let _changing = self.changing.lock().await;
        for _ in 0..ATTEMPTS {
            let stored = self.load().await?;
            let mut anew = Vec::new();
            for (kid, sealed) in stored.sealed.iter().filter(|(_, sealed)| sealed.master_key_id != to) {
                let Some(key) = stored.table.find(kid) else { continue };
                let wrong = |why| KeyError::Sealed { kid: kid.clone(), why };
                let row = binding(key.purpose, kid, key.algorithm);
                let private = self.masters.open(&row, sealed).map_err(wrong)?;
                let master = self.masters.named(to)?;
                anew.push((kid.clone(), master.seal(&row, private.expose(), self.entropy.as_ref()).map_err(wrong)?));
            }
            if anew.is_empty() {
                return Ok(0);
            }
            if let Commit::Done { .. } = self.store.swap_sealed(Purpose::Signing, stored.table.version, &anew).await? {
                return Ok(anew.len());
            }
        }
        Err(KeeperError::Contended)
    }

    /// The ids of the master keys at hand.
    pub fn master_key_ids(&self) -> Vec<String> {
        self.masters.all().map(|master| master.id().to_owned()).collect()
    }

    /// The id of the master key that is to take the other's place.
    pub fn next_master_key_id(&self) -> Option<&str> {
        self.masters.next().map(MasterKey::id)
    }

    /// Makes keys on threads that may block, all at once.
    async fn generate(&self, specs: &[KeySpec]) -> Result<Vec<NewKey>, KeeperError> {
        let start = |spec: &KeySpec| {
            let (spec, entropy) = (*spec, Arc::clone(&self.entropy));
            tokio::task::spawn_blocking(move || generate(spec, entropy.as_ref()))
        };
        let started: Vec<_> = specs.iter().map(start).collect();
        let mut keys = Vec::with_capacity(started.len());
        for key in started {
            keys.push(key.await.map_err(|_| KeeperError::Interrupted)??);
        }
        Ok(keys)
    }
}

impl fmt::Debug for KeyKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyKeeper").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The keys of `wanted` that are not among `made`.
fn missing(wanted: &[KeySpec], made: &[NewKey]) -> Vec<KeySpec> {
    let mut have: Vec<Algorithm> = made.iter().map(|key| key.algorithm).collect();
    let mut missing = Vec::new();
    for spec in wanted {
        match have.iter().position(|algorithm| *algorithm == spec.algorithm()) {
            Some(place) => drop(have.swap_remove(place)),
            None => missing.push(*spec),
        }
    }
    missing
}
