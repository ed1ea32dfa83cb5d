//! What a key is from its beginning: its name, what it is for, of which kind it is, and where it came from.
//!
//! Guarantees: each has one stable text form, which leads back to it; nothing here is secret or ever changes.

use std::fmt;

use signet_verify::{Algorithm, PublicJwk};

/// The name of a key: its RFC 7638 thumbprint, 43 characters of base64url
/// ([RFC 7638 §3](https://www.rfc-editor.org/rfc/rfc7638#section-3)).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid(String);

impl Kid {
    const LEN: usize = 43;

    /// The name of `public`.
    #[must_use]
    pub fn of(public: &PublicJwk) -> Self {
        Self(public.thumbprint())
    }

    /// Reads a name; `None` when it is not 43 characters of base64url.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (text.len() == Self::LEN && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the keys of a table are for. Each purpose has a table, a version and a sealing subkey of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Signing tokens that others verify from the JWKS.
    Signing,
    /// Making refresh tokens, which only Signet verifies.
    SessionMac,
}

impl Purpose {
    /// The stable text form, in the store and in the sealing.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::SessionMac => "session_mac",
        }
    }

    /// The purpose of exactly this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Signing, Self::SessionMac].into_iter().find(|purpose| purpose.name() == name)
    }
}

/// The size of a generated RSA modulus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RsaBits {
    /// 2048 bits.
    B2048,
    /// 3072 bits.
    B3072,
    /// 4096 bits.
    B4096,
}

impl RsaBits {
    /// Every size.
    pub const ALL: [Self; 3] = [Self::B2048, Self::B3072, Self::B4096];

    /// The number of bits.
    #[must_use]
    pub const fn bits(self) -> usize {
        match self {
            Self::B2048 => 2048,
            Self::B3072 => 3072,
            Self::B4096 => 4096,
        }
    }

    /// The size of exactly so many bits.
    #[must_use]
    pub fn from_bits(bits: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bits() == bits)
    }
}

/// What kind of key to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySpec {
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    Ed25519,
    /// RSA for PKCS #1 v1.5 signatures.
    Rs256(RsaBits),
    /// RSA for PSS signatures.
    Ps256(RsaBits),
}

impl KeySpec {
    /// The kind of key for `algorithm`; `rsa` counts for the RSA algorithms only.
    #[must_use]
    pub const fn new(algorithm: Algorithm, rsa: RsaBits) -> Self {
        match algorithm {
            Algorithm::Es256 => Self::Es256,
            Algorithm::Es384 => Self::Es384,
            Algorithm::Ed25519 => Self::Ed25519,
            Algorithm::Rs256 => Self::Rs256(rsa),
            Algorithm::Ps256 => Self::Ps256(rsa),
        }
    }

    /// The algorithm that such a key signs with.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::Es256,
            Self::Es384 => Algorithm::Es384,
            Self::Ed25519 => Algorithm::Ed25519,
            Self::Rs256(_) => Algorithm::Rs256,
            Self::Ps256(_) => Algorithm::Ps256,
        }
    }
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Es256 | Self::Es384 | Self::Ed25519 => self.algorithm().fmt(f),
            Self::Rs256(size) | Self::Ps256(size) => {
                write!(f, "{} with {} bits", self.algorithm(), size.bits())
            }
        }
    }
}

/// Where a key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Made here; no one else ever had it.
    Generated,
    /// Brought in by an operator; who else holds it is not known here.
    Imported,
}

impl Origin {
    /// The stable text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Imported => "imported",
        }
    }

    /// The origin of exactly this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Generated, Self::Imported].into_iter().find(|origin| origin.name() == name)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_what_they_name() {
        assert_eq!(Purpose::from_name(Purpose::Signing.name()), Some(Purpose::Signing));
        for origin in [Origin::Generated, Origin::Imported] {
            assert_eq!(Origin::from_name(origin.name()), Some(origin));
        }
        for size in RsaBits::ALL {
            assert_eq!(RsaBits::from_bits(size.bits()), Some(size));
            for algorithm in Algorithm::ALL {
                assert_eq!(KeySpec::new(algorithm, size).algorithm(), algorithm);
            }
        }
        assert_eq!(KeySpec::Rs256(RsaBits::B3072).to_string(), "RS256 with 3072 bits");
        assert_eq!(KeySpec::Ed25519.to_string(), "Ed25519");
    }

    #[test]
    fn a_kid_is_43_characters_of_base64url() {
        let good = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(Kid::parse(good).unwrap().as_str(), good);
        for bad in ["", &good[1..], &format!("{good}A"), &good.replace('_', "/")] {
            assert_eq!(Kid::parse(bad), None, "{bad:?}");
        }
    }
}
