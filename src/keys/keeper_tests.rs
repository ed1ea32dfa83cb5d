//! The keeper over a store in memory and a clock that the test holds.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use signet_verify::Algorithm::{self, Ed25519, Es256, Rs256};

use super::fixtures::{HeldClock, MemoryStore, by};
use super::import::ImportRefused;
use super::keeper::{KeeperError, KeeperSettings, KeyKeeper};
use super::kind::{KeySpec, Origin, RsaBits};
use super::material::KeyError;
use super::pem_fixtures as pem;
use super::plan::PlanRefused;
use super::ring::NotSigning;
use super::rotation::{KeyAct, Policy, SweepRefused};
use super::signer::Ed25519Name;
use super::states::KeyState;
use crate::audit::By;
use crate::ports::{Clock, Entropy, SystemEntropy, Timestamp};
use crate::secret::{MasterKey, SecretError};

pub(super) const START: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) const ROTATE: KeyAct = KeyAct::Rotate { algorithm: Some(Es256), if_active: None, force: false };

pub(super) struct Setting {
    pub(super) clock: Arc<HeldClock>,
    pub(super) store: Arc<MemoryStore>,
    master: String,
    specs: Vec<KeySpec>,
}

impl Setting {
    pub(super) fn new(specs: &[KeySpec]) -> Self {
        let clock = HeldClock::at(START);
        let store = MemoryStore::new(&clock);
        let master = MasterKey::generate(&SystemEntropy).to_text().expose().to_owned();
        Self { clock, store, master, specs: specs.to_vec() }
    }

    pub(super) fn keeper(&self) -> KeyKeeper {
        self.keeper_with(Arc::clone(&self.clock), Arc::new(SystemEntropy))
    }

    fn keeper_with(&self, clock: Arc<HeldClock>, entropy: Arc<dyn Entropy>) -> KeyKeeper {
        let policy = Policy {
            specs: self.specs.clone(),
            rotate_every: DAY * 30,
            propagation: MINUTE * 15,
            lease: MINUTE * 10,
            skew: MINUTE,
            longest_lifetime: MINUTE * 5,
        };
        let settings = KeeperSettings {
            policy,
            ed25519_name: Ed25519Name::Ed25519,
            max_clock_skew: Duration::from_secs(1),
            by: By::signet("test"),
        };
        let master = MasterKey::parse(&self.master).unwrap();
        KeyKeeper::new(self.store.clone(), clock, entropy, Arc::new(master.into()), settings)
    }

    pub(super) fn signs(&self, keeper: &KeyKeeper, algorithm: Algorithm) -> String {
        let signer = keeper.ring().signer(algorithm, self.clock.now()).unwrap();
        signer.sign(b"a.b").unwrap();
        signer.kid().to_string()
    }

    pub(super) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn states(&self) -> String {
        let names: Vec<_> = self.store.table().keys.iter().map(|key| key.state.name()).collect();
        names.join(" ")
    }
}

#[tokio::test]
async fn an_empty_store_gets_its_first_keys_and_the_ring_signs_at_once() {
    let setting = Setting::new(&[KeySpec::Es256, KeySpec::Ed25519]);
    let keeper = setting.keeper();
    assert_eq!(keeper.sweep().await.unwrap().len(), 4);
    assert_eq!(setting.states(), "active pending active pending");
    setting.signs(&keeper, Es256);
    setting.signs(&keeper, Ed25519);
    assert_eq!(keeper.ring().jwks().key_count(), 4);
    assert_eq!(setting.store.rows.lock().unwrap().1.len(), 4);
}

#[tokio::test]
async fn looking_each_second_leaves_the_store_alone_until_something_is_due() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let keeper = setting.keeper();
    keeper.sweep().await.unwrap();
    let first = setting.signs(&keeper, Es256);
    let loads = setting.store.loads.load(Ordering::SeqCst);
    for _ in 0..1_000 {
        setting.clock.advance(Duration::from_secs(1));
        assert!(keeper.sweep().await.unwrap().is_empty());
    }
    assert_eq!(setting.store.loads.load(Ordering::SeqCst), loads);
    setting.clock.set(START.plus(DAY * 30));
    assert_eq!(keeper.sweep().await.unwrap().len(), 3);
    assert_eq!(setting.states(), "retiring active pending");
    assert_ne!(setting.signs(&keeper, Es256), first);
    setting.clock.advance(MINUTE * 16);
    assert_eq!(keeper.sweep().await.unwrap().len(), 1);
    assert_eq!(setting.states(), "retired active pending");
    assert_eq!(keeper.ring().jwks().key_count(), 2);
}

#[tokio::test]
async fn a_replica_that_was_raced_plans_anew_and_finds_nothing_left() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let (one, other) = (setting.keeper(), setting.keeper());
    setting.store.races.store(3, Ordering::SeqCst);
    assert_eq!(one.sweep().await.unwrap().len(), 2);
    assert!(other.sweep().await.unwrap().is_empty());
    assert_eq!(setting.signs(&one, Es256), setting.signs(&other, Es256));
    assert_eq!(setting.store.table().version, 1);

    setting.clock.set(START.plus(DAY * 30));
    let (first, second) = tokio::join!(one.sweep(), other.sweep());
    assert_eq!(first.unwrap().len() + second.unwrap().len(), 3, "one of them did it");
    assert_eq!(setting.states(), "retiring active pending");
}

#[tokio::test]
async fn a_store_that_is_never_still_is_given_up_for_now() {
    let setting = Setting::new(&[KeySpec::Es256]);
    setting.store.races.store(1_000, Ordering::SeqCst);
    assert!(matches!(setting.keeper().sweep().await, Err(KeeperError::Contended)));
    assert!(setting.store.table().keys.is_empty());
}

#[tokio::test]
async fn cut_off_from_the_store_a_replica_signs_for_its_lease_and_publishes_on() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let keeper = setting.keeper();
    keeper.sweep().await.unwrap();
    setting.store.down.store(true, Ordering::SeqCst);
    setting.clock.advance(MINUTE * 10);
    assert!(matches!(keeper.refresh().await, Err(KeeperError::Store(_))));
    setting.signs(&keeper, Es256);
    let now = setting.clock.advance(Duration::from_millis(1));
    assert_eq!(keeper.ring().signer(Es256, now).map(|_| ()), Err(NotSigning::LeaseExpired));
    assert_eq!(keeper.ring().jwks().key_count(), 2);
    setting.store.down.store(false, Ordering::SeqCst);
    keeper.refresh().await.unwrap();
    setting.signs(&keeper, Es256);
}

#[tokio::test]
async fn a_wrong_master_key_is_named_and_changes_nothing() {
    let mut setting = Setting::new(&[KeySpec::Es256]);
    setting.keeper().sweep().await.unwrap();
    let before = setting.store.rows.lock().unwrap().clone();
    setting.master = MasterKey::generate(&SystemEntropy).to_text().expose().to_owned();
    setting.specs.push(KeySpec::Ed25519);
    let keeper = setting.keeper();
    for outcome in [keeper.refresh().await, keeper.sweep().await.map(|_| ())] {
        let Err(KeeperError::Key(KeyError::Sealed { why: SecretError::WrongMasterKey { .. }, .. })) = outcome else {
            panic!("{outcome:?}");
        };
    }
    assert_eq!(*setting.store.rows.lock().unwrap(), before);
}

#[tokio::test]
async fn a_successor_that_does_not_open_does_not_take_over() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let keeper = setting.keeper();
    keeper.sweep().await.unwrap();
    let first = setting.signs(&keeper, Es256);
    let successor = setting.store.table().successor(Es256).unwrap().0.kid.clone();
    for (kid, sealed) in &mut setting.store.rows.lock().unwrap().1 {
        if *kid == successor {
            sealed.bytes[20] ^= 1;
        }
    }
    setting.clock.set(START.plus(DAY * 30));
    let refused = keeper.sweep().await.unwrap_err().to_string();
    assert!(refused.contains(successor.as_str()), "{refused}");
    assert_eq!(setting.states(), "active pending");
    keeper.refresh().await.unwrap();
    assert_eq!(setting.signs(&keeper, Es256), first);
}

#[tokio::test]
async fn clocks_that_are_apart_stop_changes_and_confirmation() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let clock = HeldClock::at(START);
    let keeper = setting.keeper_with(Arc::clone(&clock), Arc::new(SystemEntropy));
    keeper.sweep().await.unwrap();
    for apart in [-1_001, 1_001] {
        clock.set(Timestamp::from_millis(setting.clock.now().millis() + apart));
        assert!(matches!(keeper.refresh().await, Err(KeeperError::ClockApart { .. })));
        assert!(matches!(keeper.create(KeySpec::Es256, &by()).await, Err(KeeperError::ClockApart { .. })));
    }
    clock.set(Timestamp::from_millis(setting.clock.now().millis() + 1_000));
    keeper.refresh().await.unwrap();
    assert_eq!(setting.states(), "active pending");
}

#[tokio::test]
async fn a_store_clock_that_ran_backwards_moves_nothing() {
    let mut setting = Setting::new(&[KeySpec::Es256]);
    setting.keeper().sweep().await.unwrap();
    setting.specs.push(KeySpec::Ed25519);
    setting.clock.set(START.minus(DAY));
    let refused = setting.keeper().sweep().await;
    assert!(matches!(refused, Err(KeeperError::Refused(SweepRefused::ClockWentBack { .. }))));
    assert_eq!(setting.states(), "active pending");
}

/// Randomness that takes its time: each draw costs a second of the held clock.
#[derive(Debug)]
struct Slow(Arc<HeldClock>);

impl Entropy for Slow {
    fn fill(&self, buf: &mut [u8]) {
        self.0.advance(Duration::from_secs(1));
        SystemEntropy.fill(buf);
    }
}

#[tokio::test]
async fn a_key_that_took_long_to_make_counts_as_published_when_it_was() {
    let mut setting = Setting::new(&[KeySpec::Es256]);
    setting.keeper().sweep().await.unwrap();
    setting.specs.push(KeySpec::Ed25519);
    let slow = Arc::new(Slow(Arc::clone(&setting.clock)));
    let keeper = setting.keeper_with(Arc::clone(&setting.clock), slow);
    // Only the nonces that seal the keys are drawn between the reading of the clock and the commit.
    let outcome = keeper.sweep().await;
    let finished = setting.clock.now();
    outcome.unwrap();
    let table = setting.store.table();
    let (successor, usable_from) = table.successor(Ed25519).unwrap();
    assert_eq!(successor.published_at, finished.minus(Duration::from_secs(2)));
    assert_eq!(usable_from, successor.published_at.plus(MINUTE * 15));
    assert!(finished >= START.plus(Duration::from_secs(4)));
}

#[tokio::test]
async fn an_imported_key_is_published_at_once_and_signs_in_its_turn() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let keeper = setting.keeper();
    keeper.sweep().await.unwrap();
    let key = keeper.import(pem::P256_SEC1, None, &by()).await.unwrap();
    assert_eq!(key.origin, Origin::Imported);
    assert_eq!(key.state, KeyState::Pending { usable_from: START.plus(MINUTE * 15) });
    assert_eq!(keeper.ring().jwks().key_count(), 3);
    let again = keeper.import(pem::P256_PKCS8, None, &by()).await;
    assert!(matches!(again, Err(KeeperError::Plan(PlanRefused::KnownKey { .. }))));
    let refused = keeper.import(pem::ED25519_PKCS8, None, &by()).await;
    assert!(matches!(refused, Err(KeeperError::Refused(SweepRefused::NotKept(Ed25519)))));
    let refused = keeper.import(pem::PUBLIC, None, &by()).await;
    assert!(matches!(refused, Err(KeeperError::Import(ImportRefused::NotPrivate(_)))));
    assert_eq!(setting.states(), "active pending pending");
    keeper.act(&ROTATE, &by()).await.unwrap();
    setting.clock.advance(MINUTE * 15);
    keeper.act(&ROTATE, &by()).await.unwrap();
    assert_eq!(setting.signs(&keeper, Es256), key.kid.as_str());
}

#[tokio::test]
async fn a_key_imported_before_anything_else_is_the_first_to_sign() {
    let setting = Setting::new(&[KeySpec::Es256, KeySpec::Ed25519]);
    let keeper = setting.keeper();
    let key = keeper.import(pem::ED25519_PKCS8, None, &by()).await.unwrap();
    assert_eq!(key.state, KeyState::Active { since: START });
    assert_eq!(setting.states(), "active active pending pending");
    assert_eq!(setting.signs(&keeper, Ed25519), key.kid.as_str());
    setting.signs(&keeper, Es256);
    assert!(keeper.sweep().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_operator_makes_a_key_of_a_size_of_its_own() {
    let setting = Setting::new(&[KeySpec::Rs256(RsaBits::B2048)]);
    let keeper = setting.keeper();
    keeper.sweep().await.unwrap();
    let refused = keeper.create(KeySpec::Ps256(RsaBits::B2048), &by()).await;
    assert!(matches!(refused, Err(KeeperError::Refused(SweepRefused::NotKept(Algorithm::Ps256)))));
    let key = keeper.create(KeySpec::Rs256(RsaBits::B3072), &by()).await.unwrap();
    let signet_verify::PublicKey::Rsa { n, .. } = key.public.key else { panic!("not RSA") };
    assert_eq!(n.len() * 8, 3072);
    setting.signs(&keeper, Rs256);
}
