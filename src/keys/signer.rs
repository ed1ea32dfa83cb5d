//! A key that signs: parsed once, with all that a token's header needs rendered beforehand.
//!
//! Guarantees: a signing key's name is the thumbprint of its public half, and its private half belongs to it; all
//! private operations run in aws-lc-rs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding};
use jsonwebtoken::crypto::JwtSigner;
use jsonwebtoken::signature::{Error as SignatureError, Signer};
use signet_verify::{Algorithm, base64url};

use super::kind::Kid;
use super::material::{KeyError, KeyPair, binding};
use super::states::Key;
use crate::secret::{MasterKeys, Sealed};

/// What Ed25519 is called in token headers and in the JWKS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ed25519Name {
    /// `Ed25519`, fully specified ([RFC 9864 §2.2](https://www.rfc-editor.org/rfc/rfc9864#section-2.2)).
    #[default]
    Ed25519,
    /// `EdDSA`, the deprecated name of the family, for verifiers that know no other.
    EdDsa,
}

impl Ed25519Name {
    /// What `algorithm` is called.
    #[must_use]
    pub const fn of(self, algorithm: Algorithm) -> &'static str {
        match (self, algorithm) {
            (Self::EdDsa, Algorithm::Ed25519) => "EdDSA",
            _ => algorithm.name(),
        }
    }
}

/// The signing library failed; no input explains that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing library failed")]
pub struct SigningError;

/// A key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    kid: Kid,
    algorithm: Algorithm,
    longest_lifetime: Duration,
    name: Ed25519Name,
    header: Box<str>,
    signer: Arc<dyn JwtSigner + Send + Sync>,
}

impl SigningKey {
    /// Opens and parses the private half of `key`.
    ///
    /// # Errors
    /// When it does not open, is no sound key, or name, public and private half do not belong together.
    pub fn open(key: &Key, sealed: &Sealed, masters: &MasterKeys, name: Ed25519Name) -> Result<Self, KeyError> {
        check_public(key)?;
        let private = masters
            .open(&binding(key.purpose, &key.kid, key.algorithm), sealed)
            .map_err(|why| KeyError::Sealed { kid: key.kid.clone(), why })?;
        let pair = KeyPair::parse(key.algorithm, private.expose())?;
        if pair.public().as_ref() != Some(&key.public.key) {
            return Err(KeyError::WrongPrivateKey(key.kid.clone()));
        }
        let signer = Arc::new(ParsedKey { pair, algorithm: key.algorithm });
        Ok(Self::with_signer(key, name, signer))
    }

    /// The same key with what its row says now, without parsing it again; `None` when it is another key.
    #[must_use]
    pub fn renewed(&self, key: &Key, name: Ed25519Name) -> Option<Self> {
        (self.kid == key.kid && self.algorithm == key.algorithm)
            .then(|| Self::with_signer(key, name, Arc::clone(&self.signer)))
    }

    fn with_signer(key: &Key, name: Ed25519Name, signer: Arc<dyn JwtSigner + Send + Sync>) -> Self {
        // Neither value needs escaping: one is a name of ours, the other base64url.
        let alg = name.of(key.algorithm);
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{}"}}"#, key.kid);
        Self {
            kid: key.kid.clone(),
            algorithm: key.algorithm,
            longest_lifetime: key.longest_lifetime,
            name,
            header: base64url::encode(header).into_boxed_str(),
            signer,
        }
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// What it signs with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What stands in the header as `alg`.
    #[must_use]
    pub const fn alg(&self) -> &'static str {
        self.name.of(self.algorithm)
    }

    /// The longest lifetime of a token that may be signed with it: the key is published long enough for that and no
    /// longer.
    #[must_use]
    pub const fn longest_lifetime(&self) -> Duration {
        self.longest_lifetime
    }

    /// The header of an access token ([RFC 9068 §2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.1)), in
    /// base64url.
    #[must_use]
    pub fn access_token_header(&self) -> &str {
        &self.header
    }

    /// Signs `message`, giving the signature as a JWS bears it.
    ///
    /// # Errors
    /// When the library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        self.signer.try_sign(message).map_err(|_| SigningError)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Whether the public half of a row is the key that the row's name and algorithm say.
///
/// # Errors
/// [`KeyError::WrongName`] or [`KeyError::WrongAlgorithm`].
pub(super) fn check_public(key: &Key) -> Result<(), KeyError> {
    if Kid::of(&key.public) != key.kid {
        return Err(KeyError::WrongName(key.kid.clone()));
    }
    if !key.public.key.fits(key.algorithm) {
        return Err(KeyError::WrongAlgorithm { kid: key.kid.clone(), algorithm: key.algorithm });
    }
    Ok(())
}

struct ParsedKey {
    pair: KeyPair,
    algorithm: Algorithm,
}

impl Signer<Vec<u8>> for ParsedKey {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        match &self.pair {
            KeyPair::Ecdsa(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignatureError::new()),
            KeyPair::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match self.algorithm {
                    // The salt is as long as the digest (RFC 7518 §3.5).
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &SystemRandom::new(), message, &mut signature).map_err(|_| SignatureError::new())?;
                Ok(signature)
            }
            KeyPair::Ed25519(pair) => {
                pair.try_sign(message).map(|signature| signature.as_ref().to_vec()).map_err(|_| SignatureError::new())
            }
        }
    }
}

impl JwtSigner for ParsedKey {
    fn algorithm(&self) -> jsonwebtoken::Algorithm {
        match self.algorithm {
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
            // The library knows it by the name of its family only.
            Algorithm::Ed25519 => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}
