//! `signet-verify` against honest and hostile tokens, with real keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod claims;
mod ed25519;
mod issuer;
mod keys;
mod kinds;
mod properties;
mod revocations;
mod tokens;
mod vectors;
