//! The signature algorithms that a token may bear.
//!
//! The set is closed: what is not a variant here can be neither signed nor verified, so `none`, HMAC and `RSA1_5`
//! have no name to be asked for by.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The name of the family that Ed25519 belongs to, deprecated by [RFC 9864](https://www.rfc-editor.org/rfc/rfc9864).
pub(crate) const EDDSA: &str = "EdDSA";

/// A signature algorithm, by its [registered name](https://www.iana.org/assignments/jose/jose.xhtml).
///
/// ```
/// use signet_verify::Algorithm;
///
/// assert_eq!(Algorithm::from_name("ES256"), Some(Algorithm::Es256));
/// assert_eq!(Algorithm::from_name("es256"), None);
/// assert_eq!(Algorithm::from_name("none"), None);
/// assert_eq!(Algorithm::Ed25519.to_string(), "Ed25519");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256; the signature is `r || s`, 64 bytes.
    Es256,
    /// ECDSA on P-384 with SHA-384; the signature is `r || s`, 96 bytes.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256, a salt of 32 bytes.
    Ps256,
    /// Ed25519, fully specified ([RFC 9864 §2.2](https://www.rfc-editor.org/rfc/rfc9864#section-2.2)).
    Ed25519,
}

impl Algorithm {
    /// Every algorithm, in the order of declaration.
    pub const ALL: [Self; 5] = [Self::Es256, Self::Es384, Self::Rs256, Self::Ps256, Self::Ed25519];

    /// The registered name, as it stands in `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// The algorithm of exactly this name; names are
    /// [case-sensitive](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.1). `EdDSA` is none of ours: it names a
    /// family, and only a [`Policy`](crate::Policy) may let it stand for Ed25519.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// What `jsonwebtoken` calls it; that crate knows Ed25519 only by the name of its family.
    pub(crate) const fn jsonwebtoken(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Ed25519 => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// The algorithms that a verifier takes. The list is the verifier's own and never follows from a token
/// ([RFC 8725 §3.1](https://www.rfc-editor.org/rfc/rfc8725#section-3.1)).
///
/// ```
/// use signet_verify::{Algorithm, AllowedAlgorithms};
///
/// let allowed = AllowedAlgorithms::only([Algorithm::Es256]);
/// assert!(allowed.contains(Algorithm::Es256) && !allowed.contains(Algorithm::Rs256));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowedAlgorithms {
    /// One bit for each algorithm, by its place in the declaration.
    bits: u8,
    eddsa_name: bool,
}

impl AllowedAlgorithms {
    /// All five.
    pub const ALL: Self = Self { bits: 0b1_1111, eddsa_name: false };

    /// Exactly these.
    #[must_use]
    pub fn only(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let bits = algorithms.into_iter().fold(0, |bits, algorithm| bits | 1 << algorithm as u8);
        Self { bits, eddsa_name: false }
    }

    /// Whether a header may say `EdDSA` and mean Ed25519. The name is
    /// [deprecated](https://www.rfc-editor.org/rfc/rfc9864#section-4) and refused unless asked for.
    #[must_use]
    pub const fn accept_eddsa_name(self, eddsa_name: bool) -> Self {
        Self { eddsa_name, ..self }
    }

    /// Whether `algorithm` is one of them.
    #[must_use]
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.bits & (1 << algorithm as u8) != 0
    }

    /// The allowed algorithm that a header means by `name`.
    pub(crate) fn named(self, name: &str) -> Option<Algorithm> {
        let algorithm = match name {
            EDDSA if self.eddsa_name => Some(Algorithm::Ed25519),
            _ => Algorithm::from_name(name),
        };
        algorithm.filter(|algorithm| self.contains(*algorithm))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name is of no [`Algorithm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a supported algorithm; supported are ES256, ES384, RS256, PS256 and Ed25519")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::from_name(name).ok_or(UnknownAlgorithm)
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_algorithm() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            let json = serde_json::to_string(&algorithm).unwrap();
            assert_eq!(serde_json::from_str::<Algorithm>(&json).unwrap(), algorithm);
        }
    }

    #[test]
    fn the_name_of_the_eddsa_family_counts_only_where_it_is_asked_for() {
        let allowed = AllowedAlgorithms::ALL;
        assert_eq!(allowed.named("EdDSA"), None);
        assert_eq!(allowed.accept_eddsa_name(true).named("EdDSA"), Some(Algorithm::Ed25519));
        let without = AllowedAlgorithms::only([Algorithm::Es256]).accept_eddsa_name(true);
        assert_eq!(without.named("EdDSA"), None);
        for algorithm in Algorithm::ALL {
            assert!(allowed.contains(algorithm));
            assert_eq!(without.contains(algorithm), algorithm == Algorithm::Es256);
        }
    }

    #[test]
    fn names_of_families_of_symmetric_algorithms_and_of_none_are_unknown() {
        for name in ["", "none", "None", "nOnE", "HS256", "EdDSA", "es256", " ES256", "RSA1_5", "ES512", "RS512"] {
            assert_eq!(Algorithm::from_name(name), None, "{name:?}");
        }
    }
}
