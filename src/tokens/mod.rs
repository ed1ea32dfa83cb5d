//! WHAT WE ISSUE.
//!
//! Guarantees: a token lives no longer than the key that signs it is kept published, and is signed only by a key that
//! every verifier which honours the cache headers already has.

mod access_token;
mod json;

pub use access_token::{AccessToken, CLIENT_SUBJECT, MintError, Minter, TokenRequest};
