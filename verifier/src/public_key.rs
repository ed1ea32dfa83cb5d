//! The values of a public key, and what makes them sound: [`PublicKey`].
//!
//! Values become a parsed key in one place, which refuses those that would make signatures worthless: RSA below
//! 2048 bits, points off their curve, Ed25519 points of small order.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, VerificationAlgorithm,
};

use crate::Algorithm;

/// The public values of a key, big-endian.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// RSA.
    Rsa {
        /// The modulus, without leading zeros.
        n: Vec<u8>,
        /// The public exponent, without leading zeros.
        e: Vec<u8>,
    },
    /// A point of P-256.
    P256 {
        /// The x coordinate.
        x: [u8; 32],
        /// The y coordinate.
        y: [u8; 32],
    },
    /// A point of P-384.
    P384 {
        /// The x coordinate.
        x: [u8; 48],
        /// The y coordinate.
        y: [u8; 48],
    },
    /// An Ed25519 public key.
    Ed25519 {
        /// The key as [RFC 8032 §5.1.5](https://www.rfc-editor.org/rfc/rfc8032#section-5.1.5) encodes it.
        x: [u8; 32],
    },
}

/// Why a JWK can't be used to verify signatures. No message repeats a value of the JWK.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwkError {
    /// It is no JSON object.
    #[error("a JWK is a JSON object")]
    NotAnObject,
    /// It bears a private or symmetric member.
    #[error("the JWK bears the private member \"{0}\": give the public key only")]
    PrivateMember(&'static str),
    /// A required member is absent.
    #[error("the JWK lacks the member \"{0}\"")]
    MissingMember(&'static str),
    /// A member has a value of the wrong type, length or range.
    #[error("the member \"{member}\" of the JWK {problem}")]
    BadMember {
        /// The name of the member.
        member: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// `kty` names a kind of key that is not supported.
    #[error("the key type is not supported; supported are RSA, EC and OKP")]
    UnsupportedKeyType,
    /// `crv` names a curve that is not supported for the key type.
    #[error("the curve is not supported; supported are P-256 and P-384 for EC, Ed25519 for OKP")]
    UnsupportedCurve,
    /// `alg` names an algorithm that is not supported.
    #[error("the algorithm of the JWK is not supported; supported are ES256, ES384, RS256, PS256 and Ed25519")]
    UnsupportedAlgorithm,
    /// The key can't be used with the algorithm.
    #[error("a key of type {key} is not for {algorithm}")]
    AlgorithmMismatch {
        /// The kind of key.
        key: &'static str,
        /// The algorithm that was asked for.
        algorithm: Algorithm,
    },
    /// `use` or `key_ops` say that the key is not for verifying signatures.
    #[error("the key is not for verifying signatures, says its member \"{0}\"")]
    NotForSignatures(&'static str),
    /// The RSA modulus is shorter or longer than is safe to use.
    #[error("an RSA key must have 2048 to 8192 bits, this one has {bits}")]
    RsaSize {
        /// The length of the modulus.
        bits: usize,
    },
    /// The point is not on its curve, or of small order.
    #[error("the values of the JWK are no public key of its curve")]
    InvalidPoint,
}

impl PublicKey {
    /// Whether the key can be used with `algorithm` at all.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms().contains(&algorithm)
    }

    /// The algorithms that the key can be used with; never none.
    #[must_use]
    pub const fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Rsa { .. } => &[Algorithm::Rs256, Algorithm::Ps256],
            Self::P256 { .. } => &[Algorithm::Es256],
            Self::P384 { .. } => &[Algorithm::Es384],
            Self::Ed25519 { .. } => &[Algorithm::Ed25519],
        }
    }

    pub(crate) fn check_algorithm(&self, algorithm: Algorithm) -> Result<(), JwkError> {
        if self.fits(algorithm) { Ok(()) } else { Err(JwkError::AlgorithmMismatch { key: self.kind(), algorithm }) }
    }

    /// Parses the values for `algorithm`.
    pub(crate) fn parsed(&self, algorithm: Algorithm) -> Result<ParsedPublicKey, JwkError> {
        self.check_algorithm(algorithm)?;
        match self {
            Self::Rsa { n, e } => rsa(n, e, algorithm),
            Self::P256 { x, y } => point(&ECDSA_P256_SHA256_FIXED, x, y),
            Self::P384 { x, y } => point(&ECDSA_P384_SHA384_FIXED, x, y),
            Self::Ed25519 { x } => edwards(x),
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => "RSA",
            Self::P256 { .. } => "EC P-256",
            Self::P384 { .. } => "EC P-384",
            Self::Ed25519 { .. } => "OKP Ed25519",
        }
    }
}

/// Shows the kind alone: a modulus in a log is only noise.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.kind())
    }
}

/// [RFC 7518 §3.3](https://www.rfc-editor.org/rfc/rfc7518#section-3.3): 2048 bits or more; above 8192 a check costs
/// more than a request is worth. The exponent is odd, at least 65537 (small ones are where RSA implementations
/// broke) and below 2^33, the most that the cryptography takes.
fn rsa(n: &[u8], e: &[u8], algorithm: Algorithm) -> Result<ParsedPublicKey, JwkError> {
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err(JwkError::RsaSize { bits });
    }
    if n.last().is_none_or(|last| last % 2 == 0) {
        return Err(JwkError::BadMember { member: "n", problem: "is even" });
    }
    let exponent =
        e.iter().try_fold(0_u64, |value, octet| value.checked_mul(256).map(|shifted| shifted | u64::from(*octet)));
    if exponent.is_none_or(|exponent| exponent % 2 == 0 || !(65_537..1 << 33).contains(&exponent)) {
        return Err(JwkError::BadMember { member: "e", problem: "is not an odd number from 65537 to 2^33" });
    }
    let parameters = match algorithm {
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        _ => &RSA_PKCS1_2048_8192_SHA256,
    };
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(parameters)
        .map_err(|_| JwkError::BadMember { member: "n", problem: "is no RSA modulus" })
}

/// [RFC 8725 §3.4](https://www.rfc-editor.org/rfc/rfc8725#section-3.4): the parser refuses points off the curve, and
/// the uncompressed form has no text for the point at infinity.
fn point(curve: &'static dyn VerificationAlgorithm, x: &[u8], y: &[u8]) -> Result<ParsedPublicKey, JwkError> {
    ParsedPublicKey::new(curve, [&[4], x, y].concat()).map_err(|_| JwkError::InvalidPoint)
}

fn edwards(x: &[u8; 32]) -> Result<ParsedPublicKey, JwkError> {
    if !is_canonical(x) || is_of_small_order(x) {
        return Err(JwkError::InvalidPoint);
    }
    ParsedPublicKey::new(&ED25519, x).map_err(|_| JwkError::InvalidPoint)
}

/// The y coordinates of the points of order 1, 2, 4 and 8, little-endian; each belongs to both signs of x. Anybody
/// can sign under such a key: [RFC 8037 §5](https://www.rfc-editor.org/rfc/rfc8037#section-5) asks for care, and
/// libraries differ.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// The bytes of y without the sign of x.
const fn y_coordinate(x: &[u8; 32]) -> [u8; 32] {
    let mut y = *x;
    y[31] &= 0x7f;
    y
}

fn is_of_small_order(x: &[u8; 32]) -> bool {
    SMALL_ORDER.contains(&y_coordinate(x))
}

/// [RFC 8032 §5.1.3](https://www.rfc-editor.org/rfc/rfc8032#section-5.1.3): y is below p = 2^255 - 19. Other
/// encodings would give one key two thumbprints.
fn is_canonical(x: &[u8; 32]) -> bool {
    let y = y_coordinate(x);
    y[0] < 0xed || y[31] != 0x7f || y[1..31].iter().any(|octet| *octet != 0xff)
}
