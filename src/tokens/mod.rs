//! WHAT WE ISSUE.
//!
//! Guarantees: a token lives no longer than the key that signs it is kept published, and is signed only by a key that
//! every verifier which honours the cache headers already has; a refresh token has exactly one successor.

mod access_token;
mod json;
mod profile;
pub mod revocation;
pub mod session;
mod sid;

pub use access_token::{AccessToken, CLIENT_SUBJECT, MintError, Minter, Person, TokenRequest};
