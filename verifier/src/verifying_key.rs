//! Keys parsed once, ready to verify: [`VerifyingKey`].
//!
//! One key serves one algorithm. It exists only over sound values, however the [`PublicJwk`] was made.

use std::fmt;

use aws_lc_rs::signature::ParsedPublicKey;
use jsonwebtoken::{crypto::JwtVerifier, signature};

use crate::{Algorithm, JwkError, PublicJwk};

/// The signature is not one of this key over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// A public key parsed for one algorithm. Cheap to share, costly to build: build it once per key.
///
/// ```
/// use signet_verify::{Algorithm, PublicJwk, VerifyingKey};
///
/// let jwk = PublicJwk::parse(&serde_json::json!({
///     "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
/// }))?;
/// let key = VerifyingKey::new(&jwk, Algorithm::Ed25519)?;
/// assert!(key.verify(b"message", &[0; 64]).is_err());
/// assert!(VerifyingKey::new(&jwk, Algorithm::Es256).is_err());
/// # Ok::<(), signet_verify::JwkError>(())
/// ```
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    /// Parses `jwk` for `algorithm`.
    ///
    /// # Errors
    /// When the key states another algorithm, is of a kind that does not fit, or its values make no sound key.
    pub fn new(jwk: &PublicJwk, algorithm: Algorithm) -> Result<Self, JwkError> {
        // https://www.rfc-editor.org/rfc/rfc8725#section-3.1: one key, one algorithm.
        match jwk.algorithm {
            Some(stated) if stated != algorithm => Err(JwkError::AlgorithmMismatch { key: stated.name(), algorithm }),
            _ => Ok(Self { algorithm, key: jwk.key.parsed(algorithm)? }),
        }
    }

    /// The one algorithm that this key verifies.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Checks `signature` over `message`. ECDSA signatures are `r || s` of fixed length
    /// ([RFC 7518 §3.4](https://www.rfc-editor.org/rfc/rfc7518#section-3.4)), never DER. Ed25519 signatures have S below
    /// the order of the group, and are judged without the cofactor
    /// ([RFC 8032 §5.1.7](https://www.rfc-editor.org/rfc/rfc8032#section-5.1.7)).
    ///
    /// # Errors
    /// When the signature does not verify.
    #[inline]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.key.verify_sig(message, signature).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.algorithm)
    }
}

impl signature::Verifier<Vec<u8>> for VerifyingKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        Self::verify(self, message, signature).map_err(signature::Error::from_source)
    }
}

impl JwtVerifier for VerifyingKey {
    fn algorithm(&self) -> jsonwebtoken::Algorithm {
        self.algorithm.jsonwebtoken()
    }
}
