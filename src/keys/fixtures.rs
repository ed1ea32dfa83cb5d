//! Keys for tests, made from a number so that they are cheap and the same each time.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use signet_verify::{Algorithm, PublicJwk, PublicKey};

use super::states::{Key, KeyState, Kid, Origin, Purpose};
use crate::ports::Timestamp;

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
    }
}
