//! Sets of public keys ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)): [`Jwks`].
//!
//! A set is read whole or not at all; every key in it is parsed once. Keys that can't be used do not spoil the set:
//! they are left out and [listed](Jwks::ignored). A token gets exactly one key, or none.

use std::slice;

use serde_json::{Map, Value};

use crate::{
    Algorithm, JwkError, PublicJwk, VerifyError, VerifyingKey,
    algorithm::EDDSA,
    json::{self, JsonError},
};

/// The longest set that is read, in bytes.
pub const MAX_JWKS: usize = 256 * 1024;

/// The most keys that a set may hold.
pub const MAX_KEYS: usize = 100;

/// A set of public keys, ready to verify.
///
/// ```
/// use signet_verify::{Algorithm, Jwks};
///
/// let jwks = Jwks::parse(br#"{"keys":[
///     {"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
///     {"kty":"oct","kid":"b","k":"c2VjcmV0"}
/// ]}"#)?;
/// assert_eq!(jwks.keys().len(), 1);
/// assert_eq!(jwks.ignored()[0].kid.as_deref(), Some("b"));
/// assert!(jwks.find(Some("a"), Algorithm::Ed25519).is_ok());
/// # Ok::<(), signet_verify::JwksError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Jwks {
    keys: Vec<JwksKey>,
    ignored: Vec<IgnoredKey>,
}

/// A usable key of a set.
#[derive(Debug, Clone)]
pub struct JwksKey {
    jwk: PublicJwk,
    eddsa_name: bool,
    /// One for each algorithm that the key may serve: two for an RSA key that does not state its own.
    verifying: Vec<VerifyingKey>,
}

/// A key of a set that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Its name, where it has one.
    pub kid: Option<String>,
    /// Why it is not used.
    pub reason: JwkError,
}

/// Why a set can't be used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// It is longer than [`MAX_JWKS`].
    #[error("the JWKS is longer than 262144 bytes")]
    TooLarge,
    /// It can't be read.
    #[error("the JWKS can't be read: {0}")]
    Json(#[from] JsonError),
    /// It has no array `keys`.
    #[error("the JWKS has no array \"keys\"")]
    NoKeys,
    /// It holds more than [`MAX_KEYS`].
    #[error("the JWKS holds more than 100 keys")]
    TooManyKeys,
}

impl Jwks {
    /// Reads a set.
    ///
    /// # Errors
    /// When it is too large, is not an object with an array `keys`, or holds too many keys.
    pub fn parse(json: &[u8]) -> Result<Self, JwksError> {
        if json.len() > MAX_JWKS {
            return Err(JwksError::TooLarge);
        }
        Self::of_members(&json::parse_object(json)?)
    }

    /// Reads a set that is JSON already, such as the `jwks` of a client.
    ///
    /// # Errors
    /// When it has no array `keys`, or holds too many keys.
    pub fn of_members(members: &Map<String, Value>) -> Result<Self, JwksError> {
        let Some(Value::Array(elements)) = members.get("keys") else {
            return Err(JwksError::NoKeys);
        };
        if elements.len() > MAX_KEYS {
            return Err(JwksError::TooManyKeys);
        }
        let mut jwks = Self::default();
        for (index, element) in elements.iter().enumerate() {
            match JwksKey::parse(element) {
                Ok(key) => jwks.keys.push(key),
                Err(reason) => {
                    let kid = element.get("kid").and_then(Value::as_str).map(str::to_owned);
                    jwks.ignored.push(IgnoredKey { index, kid, reason });
                }
            }
        }
        Ok(jwks)
    }

    /// The set of exactly these keys.
    ///
    /// # Errors
    /// When the values of one make no sound key.
    pub fn of_keys(keys: impl IntoIterator<Item = PublicJwk>) -> Result<Self, JwkError> {
        let keys = keys.into_iter().map(|jwk| JwksKey::new(jwk, false)).collect::<Result<_, _>>()?;
        Ok(Self { keys, ignored: Vec::new() })
    }

    /// The keys that are used, in the order of the set.
    #[must_use]
    pub fn keys(&self) -> &[JwksKey] {
        &self.keys
    }

    /// The keys that are not used, in the order of the set.
    #[must_use]
    pub fn ignored(&self) -> &[IgnoredKey] {
        &self.ignored
    }

    /// The one key for a token with this `kid` and algorithm. Several keys of one `kid` are told apart by algorithm
    /// ([FAPI 2.0 §5.4.3](https://openid.net/specs/fapi-security-profile-2_0.html)); a token without `kid` is taken
    /// when exactly one key of the set fits its algorithm.
    ///
    /// # Errors
    /// [`UnknownKey`](VerifyError::UnknownKey) when there is none, [`KeyMismatch`](VerifyError::KeyMismatch) when it
    /// is for another algorithm, [`AmbiguousKey`](VerifyError::AmbiguousKey) when there are several.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&VerifyingKey, VerifyError> {
        let named = |key: &&JwksKey| kid.is_none() || key.jwk.kid.as_deref() == kid;
        let mut fitting = self.keys.iter().filter(named).filter_map(|key| key.verifying_for(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(VerifyError::AmbiguousKey),
            (None, _) if kid.is_some() && self.keys.iter().any(|key| named(&key)) => Err(VerifyError::KeyMismatch),
            (None, _) => Err(VerifyError::UnknownKey),
        }
    }
}

impl JwksKey {
    fn parse(jwk: &Value) -> Result<Self, JwkError> {
        let eddsa_name = jwk.get("alg").is_some_and(|name| name == EDDSA);
        Self::new(PublicJwk::parse(jwk)?, eddsa_name)
    }

    fn new(jwk: PublicJwk, eddsa_name: bool) -> Result<Self, JwkError> {
        let served = match &jwk.algorithm {
            Some(algorithm) => slice::from_ref(algorithm),
            None => jwk.key.algorithms(),
        };
        let verifying = served.iter().map(|algorithm| VerifyingKey::new(&jwk, *algorithm));
        let verifying = verifying.collect::<Result<_, _>>()?;
        Ok(Self { jwk, eddsa_name, verifying })
    }

    /// The key as it was read.
    #[must_use]
    pub const fn jwk(&self) -> &PublicJwk {
        &self.jwk
    }

    /// The name that the set itself gives as the `alg` of the key: `EdDSA` where it uses the deprecated one.
    #[must_use]
    pub fn declared_alg(&self) -> Option<&'static str> {
        if self.eddsa_name { Some(EDDSA) } else { self.jwk.algorithm.map(Algorithm::name) }
    }

    /// The parsed key for `algorithm`, if the key may serve it.
    #[must_use]
    pub fn verifying_for(&self, algorithm: Algorithm) -> Option<&VerifyingKey> {
        self.verifying.iter().find(|key| key.algorithm() == algorithm)
    }
}
