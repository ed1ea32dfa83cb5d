//! Which key signs: the life of signing keys, their rotation, and the ring that signs and publishes.
//!
//! - [`kind`]: what a key is, and how it is called
//! - [`states`] and [`history`]: what a key can be and has been, and the steps between
//! - [`table`]: all keys of a purpose at a moment
//! - [`rotation`] and [`mod@plan`]: the pure sweep and the acts by hand, and the change that comes of them
//! - [`mod@timeline`]: what keys went through, and what they will go through of themselves
//! - [`material`] and [`import`]: private keys, made here or read from PEM
//! - [`signer`]: a key that signs, parsed once
//! - [`ring`]: the snapshot that a replica signs with and publishes
//! - [`store`]: the port to where keys are kept
//! - [`keeper`]: carries out what the sweep finds, and keeps the ring fresh
//!
//! Guarantees: a key signs only after every verifier that honours the cache headers can have it, and stays published
//! until the last token it signed has expired; every algorithm in use has one active key and one published
//! successor; private keys leave this module sealed only.

pub mod history;
pub mod import;
pub mod keeper;
pub mod kind;
pub mod material;
pub mod plan;
pub mod ring;
pub mod rotation;
pub mod schedule;
pub mod signer;
mod skew;
pub mod states;
pub mod store;
pub mod table;
pub mod timeline;
mod wish;

pub use history::{History, PastState, StateName};
pub use import::{ImportRefused, import_pem};
pub use keeper::{Done, DryRun, KeeperError, KeeperSettings, KeyKeeper, Survey};
pub use kind::{KeySpec, Kid, Origin, Purpose, RsaBits};
pub use material::{KeyError, NewKey, generate};
pub use plan::{Candidate, PlanRefused, plan};
pub use ring::{Jwks, KeyRing, NotSigning, Ring, SHORTEST_MAX_AGE, stale_while_revalidate};
pub use rotation::{
    Action, KeyAct, MOST_BY_HAND, MOST_STEADY, Policy, Step, SweepRefused, activate, add, compromise, invariant,
    may_fail_until, next_due, retire, rotate, rotate_now, steady, sweep,
};
pub use schedule::next_rotation;
pub use signer::{Ed25519Name, SigningError, SigningKey};
pub use skew::ClockSkew;
pub use states::{Key, KeyState, TransitionRefused};
pub use store::{COMMIT_WITHIN, Commit, KeyChange, KeyStore, StoredKeys};
pub use table::KeyTable;
pub use timeline::{Foreseen, KeyTimeline, Milestone, Timeline, Transition, foresee, timeline};

#[cfg(test)]
mod acts_tests;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod keeper_acts_tests;
#[cfg(test)]
mod keeper_tests;
#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
mod pem_fixtures;
#[cfg(test)]
mod ring_tests;
#[cfg(test)]
mod room_tests;
#[cfg(test)]
mod rotation_tests;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod timeline_tests;
