//! Private keys from PEM files of operators.
//!
//! Guarantees: exactly one unencrypted private key is taken, of a kind and size that an algorithm here signs with, and
//! only when the library that will sign with it finds it sound. All else is refused in one sentence that says what the
//! file holds instead and, where there is a way, how to get what is wanted. No sentence holds any of the key.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, RsaKeyPair,
};
use rsa::pkcs1;
use rsa::pkcs8::{ObjectIdentifier, PrivateKeyInfo, SecretDocument};
use signet_verify::Algorithm;

use super::kind::Origin;
use super::material::NewKey;
use crate::secret::SecretBytes;

/// [RFC 8017 appendix A.1](https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1), `rsaEncryption`.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// [RFC 8017 appendix A.2.3](https://www.rfc-editor.org/rfc/rfc8017#appendix-A.2.3), `id-RSASSA-PSS`.
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
/// [RFC 5480 §2.1.1](https://www.rfc-editor.org/rfc/rfc5480#section-2.1.1), `id-ecPublicKey`.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// [RFC 8410 §3](https://www.rfc-editor.org/rfc/rfc8410#section-3), `id-Ed25519`.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

const SMALLEST_RSA: usize = 2048;
const LARGEST_RSA: usize = 4096;

/// Why a PEM file is not imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefused {
    /// There is no PEM block in it.
    #[error("the file holds no PEM block (a line \"-----BEGIN PRIVATE KEY-----\" and what follows)")]
    NotPem,
    /// More than one PEM block.
    #[error("the file holds {count} PEM blocks ({labels}): leave only the one private key in it")]
    SeveralBlocks {
        /// How many.
        count: usize,
        /// What each says it is.
        labels: String,
    },
    /// A public key or a certificate.
    #[error("the file holds a {0}, and a private key is needed to sign")]
    NotPrivate(&'static str),
    /// The key needs a password.
    #[error("the key is encrypted: decrypt it first with \"openssl pkey -in FILE -out PLAIN\"")]
    Encrypted,
    /// OpenSSH's own format.
    #[error("the key is in OpenSSH's own format: convert it first with \"ssh-keygen -p -m PKCS8 -f FILE\"")]
    OpenSsh,
    /// A PEM block of another kind.
    #[error(
        "the PEM block is of a kind that is not known here; known are \"PRIVATE KEY\", \"EC PRIVATE KEY\" and \"RSA PRIVATE KEY\""
    )]
    UnknownLabel,
    /// Damaged in one way or another.
    #[error("the private key is malformed")]
    Malformed,
    /// No algorithm here signs with such a key.
    #[error(
        "the key is of a kind that no algorithm here signs with ({0}); usable are RSA, EC on P-256 or P-384, and Ed25519"
    )]
    UnusableKind(String),
    /// An RSA key of an unfit size.
    #[error("the RSA key has {0} bits; usable are {SMALLEST_RSA} to {LARGEST_RSA}")]
    RsaSize(usize),
    /// An RSA key of an unfit public exponent.
    #[error("the RSA key's public exponent is not an odd number of at least 65537")]
    RsaExponent,
    /// The key is sound, and not for the algorithm asked for.
    #[error("the key is {kind} key, which {wanted} does not sign with")]
    WrongAlgorithm {
        /// What the key is.
        kind: KeyKind,
        /// The algorithm asked for.
        wanted: Algorithm,
    },
}

/// The kinds of key that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// EC on P-256.
    P256,
    /// EC on P-384.
    P384,
    /// RSA.
    Rsa,
    /// Ed25519.
    Ed25519,
}

impl KeyKind {
    /// The algorithms that sign with it, the usual one first.
    const fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::P256 => &[Algorithm::Es256],
            Self::P384 => &[Algorithm::Es384],
            Self::Rsa => &[Algorithm::Rs256, Algorithm::Ps256],
            Self::Ed25519 => &[Algorithm::Ed25519],
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "an EC (P-256)",
            Self::P384 => "an EC (P-384)",
            Self::Rsa => "an RSA",
            Self::Ed25519 => "an Ed25519",
        })
    }
}

/// Reads the one private key in `text`: PKCS#8 ([RFC 5958](https://www.rfc-editor.org/rfc/rfc5958)), SEC1
/// ([RFC 5915](https://www.rfc-editor.org/rfc/rfc5915)) or PKCS#1
/// ([RFC 8017 appendix A.1.2](https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1.2)). `wanted` chooses between RS256
/// (the default) and PS256; a key that does not sign with it is refused.
///
/// # Errors
/// One clear sentence for everything that is not such a key.
pub fn import_pem(text: &str, wanted: Option<Algorithm>) -> Result<NewKey, ImportRefused> {
    let label = the_one_label(text)?;
    refuse_label(label, text)?;
    // Reads one DER value and refuses what follows it; wiped when dropped.
    let (_, document) = SecretDocument::from_pem(text).map_err(|_| ImportRefused::Malformed)?;
    let der = document.as_bytes();
    let (kind, pkcs8) = match label {
        "PRIVATE KEY" => from_pkcs8(der)?,
        "EC PRIVATE KEY" => from_sec1(der)?,
        _ => from_pkcs1(der)?,
    };
    let algorithm = match wanted {
        None => kind.algorithms()[0],
        Some(wanted) if kind.algorithms().contains(&wanted) => wanted,
        Some(wanted) => return Err(ImportRefused::WrongAlgorithm { kind, wanted }),
    };
    NewKey::from_pkcs8(algorithm, Origin::Imported, pkcs8).map_err(|_| ImportRefused::Malformed)
}

fn the_one_label(text: &str) -> Result<&str, ImportRefused> {
    let labels: Vec<&str> = text.lines().filter_map(label_of).collect();
    match labels[..] {
        [] => Err(ImportRefused::NotPem),
        [label] => Ok(label),
        _ => Err(ImportRefused::SeveralBlocks { count: labels.len(), labels: labels.join(", ") }),
    }
}

/// What a line that opens a PEM block says the block is.
fn label_of(line: &str) -> Option<&str> {
    line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----")
}

fn refuse_label(label: &str, text: &str) -> Result<(), ImportRefused> {
    match label {
        "PRIVATE KEY" => Ok(()),
        // The old way to encrypt (RFC 1421 §4.6.1.1): a header between the boundary and the data.
        "EC PRIVATE KEY" | "RSA PRIVATE KEY" if text.contains("ENCRYPTED") => Err(ImportRefused::Encrypted),
        "EC PRIVATE KEY" | "RSA PRIVATE KEY" => Ok(()),
        "ENCRYPTED PRIVATE KEY" => Err(ImportRefused::Encrypted),
        "OPENSSH PRIVATE KEY" => Err(ImportRefused::OpenSsh),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => Err(ImportRefused::NotPrivate("public key")),
        "CERTIFICATE" => Err(ImportRefused::NotPrivate("certificate")),
        _ => Err(ImportRefused::UnknownLabel),
    }
}

fn from_pkcs8(der: &[u8]) -> Result<(KeyKind, SecretBytes), ImportRefused> {
    let info = PrivateKeyInfo::try_from(der).map_err(|_| ImportRefused::Malformed)?;
    let kind = match info.algorithm.oid {
        RSA => {
            check_rsa(info.private_key)?;
            KeyKind::Rsa
        }
        EC => match info.algorithm.parameters_oid() {
            Ok(P256) => KeyKind::P256,
            Ok(P384) => KeyKind::P384,
            Ok(curve) => return Err(ImportRefused::UnusableKind(format!("EC on curve {curve}"))),
            Err(_) => return Err(ImportRefused::Malformed),
        },
        ED25519 => KeyKind::Ed25519,
        RSA_PSS => {
            let why = "RSA restricted to PSS; a plain RSA key serves PS256";
            return Err(ImportRefused::UnusableKind(why.to_owned()));
        }
        other => return Err(ImportRefused::UnusableKind(format!("object identifier {other}"))),
    };
    match kind {
        // Written anew: what is stored then has the public half, whether the file has it or not.
        KeyKind::P256 => from_ec(kind, &ECDSA_P256_SHA256_FIXED_SIGNING, der),
        KeyKind::P384 => from_ec(kind, &ECDSA_P384_SHA384_FIXED_SIGNING, der),
        KeyKind::Rsa | KeyKind::Ed25519 => Ok((kind, SecretBytes::new(der.to_vec()))),
    }
}

fn from_ec(
    kind: KeyKind,
    algorithm: &'static EcdsaSigningAlgorithm,
    der: &[u8],
) -> Result<(KeyKind, SecretBytes), ImportRefused> {
    let pair = EcdsaKeyPair::from_private_key_der(algorithm, der).map_err(|_| ImportRefused::Malformed)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| ImportRefused::Malformed)?;
    Ok((kind, SecretBytes::new(pkcs8.as_ref().to_vec())))
}

fn from_sec1(der: &[u8]) -> Result<(KeyKind, SecretBytes), ImportRefused> {
    // The curve stands in the key (RFC 5915 §3); the library takes a key for its own curve only.
    from_ec(KeyKind::P256, &ECDSA_P256_SHA256_FIXED_SIGNING, der)
        .or_else(|_| from_ec(KeyKind::P384, &ECDSA_P384_SHA384_FIXED_SIGNING, der))
        .map_err(|_| ImportRefused::UnusableKind("EC on another curve, or malformed".to_owned()))
}

fn from_pkcs1(der: &[u8]) -> Result<(KeyKind, SecretBytes), ImportRefused> {
    check_rsa(der)?;
    let pair = RsaKeyPair::from_der(der).map_err(|_| ImportRefused::Malformed)?;
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| ImportRefused::Malformed)?;
    Ok((KeyKind::Rsa, SecretBytes::new(pkcs8.as_ref().to_vec())))
}

/// Size and exponent, before the library is asked: it says only yes or no.
fn check_rsa(der: &[u8]) -> Result<(), ImportRefused> {
    let key = pkcs1::RsaPrivateKey::try_from(der).map_err(|_| ImportRefused::Malformed)?;
    let modulus = key.modulus.as_bytes();
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = modulus.len() * 8 - leading;
    if !(SMALLEST_RSA..=LARGEST_RSA).contains(&bits) {
        return Err(ImportRefused::RsaSize(bits));
    }
    // FIPS 186-5 §5.1: odd, and more than 2¹⁶.
    let exponent = key.public_exponent.as_bytes();
    let is_odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
    if exponent.len() < 3 || !is_odd {
        return Err(ImportRefused::RsaExponent);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::pem_fixtures as pem;

    fn refusal(text: &str) -> ImportRefused {
        import_pem(text, None).map(|key| key.kid).unwrap_err()
    }

    #[test]
    fn each_kind_and_each_encoding_of_a_key_is_taken() {
        for (texts, algorithm) in [
            (&[pem::P256_PKCS8, pem::P256_SEC1][..], Algorithm::Es256),
            (&[pem::P384_PKCS8, pem::P384_SEC1], Algorithm::Es384),
            (&[pem::RSA_PKCS8, pem::RSA_PKCS1], Algorithm::Rs256),
            (&[pem::ED25519_PKCS8], Algorithm::Ed25519),
        ] {
            let keys: Vec<_> = texts.iter().map(|text| import_pem(text, None).unwrap()).collect();
            for key in &keys {
                assert_eq!(key.algorithm, algorithm);
                assert_eq!(key.origin, Origin::Imported);
                assert_eq!(key.kid, keys[0].kid, "one key, one name");
                assert_eq!(key.public, keys[0].public);
            }
        }
    }

    #[test]
    fn an_rsa_key_serves_ps256_when_asked() {
        let key = import_pem(pem::RSA_PKCS1, Some(Algorithm::Ps256)).unwrap();
        assert_eq!(key.algorithm, Algorithm::Ps256);
        assert_eq!(key.public.algorithm, Some(Algorithm::Ps256));
    }

    #[test]
    fn a_key_for_another_algorithm_than_the_one_asked_for_is_refused() {
        let refused = import_pem(pem::P256_PKCS8, Some(Algorithm::Rs256)).map(|_| ()).unwrap_err();
        assert_eq!(refused.to_string(), "the key is an EC (P-256) key, which RS256 does not sign with");
        for (text, wanted) in [
            (pem::P256_SEC1, Algorithm::Es384),
            (pem::P384_PKCS8, Algorithm::Es256),
            (pem::RSA_PKCS8, Algorithm::Es256),
            (pem::ED25519_PKCS8, Algorithm::Ps256),
        ] {
            let refused = import_pem(text, Some(wanted)).map(|_| ()).unwrap_err();
            assert!(matches!(refused, ImportRefused::WrongAlgorithm { .. }), "{refused}");
        }
    }

    #[test]
    fn what_is_no_usable_private_key_is_refused_by_name() {
        for (text, expected) in [
            ("", ImportRefused::NotPem),
            ("not a key", ImportRefused::NotPem),
            (pem::PUBLIC, ImportRefused::NotPrivate("public key")),
            (pem::ENCRYPTED_PKCS8, ImportRefused::Encrypted),
            (pem::ENCRYPTED_PKCS1, ImportRefused::Encrypted),
            (pem::RSA_1024, ImportRefused::RsaSize(1024)),
            (pem::RSA_5120, ImportRefused::RsaSize(5120)),
            (pem::RSA_E3, ImportRefused::RsaExponent),
            (
                pem::WITH_PARAMETERS,
                ImportRefused::SeveralBlocks { count: 2, labels: "EC PARAMETERS, EC PRIVATE KEY".to_owned() },
            ),
        ] {
            assert_eq!(refusal(text), expected);
        }
        for text in [pem::RSA_PSS, pem::ED448, pem::P521, pem::SECP256K1_PKCS8, pem::SECP256K1_SEC1, pem::X25519] {
            let refused = refusal(text);
            assert!(matches!(refused, ImportRefused::UnusableKind(_)), "{refused:?}");
        }
        let relabelled = |label| refusal(&pem::P256_PKCS8.replace("PRIVATE KEY", label));
        assert_eq!(relabelled("CERTIFICATE"), ImportRefused::NotPrivate("certificate"));
        assert_eq!(relabelled("OPENSSH PRIVATE KEY"), ImportRefused::OpenSsh);
        assert_eq!(relabelled("DSA PRIVATE KEY"), ImportRefused::UnknownLabel);
        assert_eq!(relabelled("RSA PRIVATE KEY"), ImportRefused::Malformed);
        let twice = format!("{}{}", pem::P256_PKCS8, pem::ED25519_PKCS8);
        assert!(matches!(refusal(&twice), ImportRefused::SeveralBlocks { count: 2, .. }));
    }

    #[test]
    fn a_damaged_key_is_refused_whatever_is_damaged() {
        for text in [pem::P256_PKCS8, pem::P256_SEC1, pem::ED25519_PKCS8, pem::P384_SEC1, pem::RSA_PKCS1] {
            let whole = import_pem(text, None).unwrap().kid;
            let body: Vec<usize> = text.char_indices().map(|(at, _)| at).filter(|at| *at > 40).collect();
            for at in body.iter().step_by(7) {
                let mut altered = text.as_bytes().to_vec();
                altered[*at] = if altered[*at] == b'A' { b'B' } else { b'A' };
                let altered = String::from_utf8(altered).unwrap();
                if altered != text
                    && let Ok(key) = import_pem(&altered, None)
                {
                    // An Ed25519 seed is sound whatever it is, and then it is another key.
                    assert!(key.kid != whole || text == pem::ED25519_PKCS8, "{at} in {text}");
                }
            }
            let cut = &text[..text.len() / 2];
            assert_eq!(refusal(cut), ImportRefused::Malformed);
        }
    }

    #[test]
    fn no_refusal_shows_any_of_the_key() {
        let secret = pem::P521.lines().nth(1).unwrap();
        for text in [pem::P521, pem::ENCRYPTED_PKCS8, &pem::P521[..200]] {
            assert!(!format!("{0} {0:?}", refusal(text)).contains(&secret[..12]));
        }
        let key = import_pem(pem::P256_PKCS8, None).unwrap();
        assert!(format!("{key:?}").contains("SecretBytes(..)"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_import_stumble(label in "(EC |RSA |)PRIVATE KEY", body: Vec<u8>) {
            let block = rsa::pkcs8::der::pem::encode_string(&label, Default::default(), &body).unwrap();
            prop_assert!(import_pem(&block, None).is_err());
        }
    }
}
