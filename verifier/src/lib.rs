#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod access_token;
mod algorithm;
pub mod base64url;
mod claims;
mod error;
pub mod json;
mod jwk;
mod jwks;
pub mod jws;
mod public_key;
pub mod revocation;
mod verify;
mod verifying_key;

pub use access_token::{AccessToken, Scope};
pub use algorithm::{Algorithm, AllowedAlgorithms, UnknownAlgorithm};
pub use claims::{Audience, Claims, NumericDate, UnverifiedClaims};
pub use error::VerifyError;
pub use jwk::{PRIVATE_MEMBERS, PublicJwk};
pub use jwks::{IgnoredKey, Jwks, JwksError, JwksKey, MAX_JWKS, MAX_KEYS};
pub use jws::{Admitted, Compact, TypRule, VerifiedJws};
pub use public_key::{JwkError, PublicKey};
pub use verify::{Policy, PolicyError, verify, verify_jws};
pub use verifying_key::{BadSignature, VerifyingKey};
