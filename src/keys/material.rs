//! Private keys, made here: generation, and the key pair that comes of a PKCS#8 document.
//!
//! Guarantees: randomness comes through [`Entropy`] alone; every new key was parsed by the library that will sign with
//! it, and its public half is what that library says; the private half is wiped when dropped and leaves sealed.
//! The `rsa`, `p256` and `p384` crates generate and encode, they never sign (RUSTSEC-2023-0071).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RsaKeyPair,
};
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core::{CryptoRng, Error as RngError, RngCore, impls};
use signet_verify::{Algorithm, PublicJwk, PublicKey};
use zeroize::Zeroizing;

use super::kind::{KeySpec, Kid, Origin, Purpose};
use super::plan::Candidate;
use crate::ports::Entropy;
use crate::secret::{Binding, MasterKey, SecretBytes, SecretError};

/// Why a private key can't be made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No key came of it.
    #[error("no key for {0} could be generated")]
    NotGenerated(KeySpec),
    /// The signing library does not take the private key for one of this algorithm.
    #[error("this is not a sound private key for {0}")]
    Unsound(Algorithm),
    /// The store has no private key where there should be one.
    #[error("the private key of {0} is missing")]
    Missing(Kid),
    /// The private key can't be sealed or opened.
    #[error("the private key of {kid} can't be used: {why}")]
    Sealed {
        /// The key.
        kid: Kid,
        /// Why.
        why: SecretError,
    },
    /// The stored public key is not the one that the name is the thumbprint of.
    #[error("the public key stored as {0} has another thumbprint: someone put it there")]
    WrongName(Kid),
    /// The private key belongs to another public key.
    #[error("the private key stored for {0} is of another key: someone put it there")]
    WrongPrivateKey(Kid),
    /// The stored public key is not for the algorithm that the row says.
    #[error("the key {kid} is not a key for {algorithm}")]
    WrongAlgorithm {
        /// The key.
        kid: Kid,
        /// The algorithm of its row.
        algorithm: Algorithm,
    },
}

/// A key pair that the signing library has parsed.
pub(super) enum KeyPair {
    /// P-256 or P-384.
    Ecdsa(EcdsaKeyPair),
    /// RSA of either padding.
    Rsa(RsaKeyPair),
    /// Ed25519.
    Ed25519(Ed25519KeyPair),
}

impl KeyPair {
    /// Parses a PKCS#8 document.
    pub(super) fn parse(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let parsed = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Self::Ecdsa),
            Algorithm::Es384 => EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8).map(Self::Ecdsa),
            Algorithm::Rs256 | Algorithm::Ps256 => RsaKeyPair::from_pkcs8(pkcs8).map(Self::Rsa),
            Algorithm::Ed25519 => Ed25519KeyPair::from_pkcs8(pkcs8).map(Self::Ed25519),
        };
        parsed.map_err(|_| KeyError::Unsound(algorithm))
    }

    /// The public half. `None` when the library gives it in a shape that no algorithm here has.
    pub(super) fn public(&self) -> Option<PublicKey> {
        match self {
            Self::Ecdsa(pair) => {
                // Uncompressed: 0x04, x, y (SEC 1 §2.3.3).
                let point = pair.public_key().as_ref().strip_prefix(&[4])?;
                let (x, y) = point.split_at(point.len() / 2);
                if let (Ok(x), Ok(y)) = (x.try_into(), y.try_into()) {
                    return Some(PublicKey::P256 { x, y });
                }
                Some(PublicKey::P384 { x: x.try_into().ok()?, y: y.try_into().ok()? })
            }
            Self::Rsa(pair) => {
                let public = pair.public_key();
                let n = public.modulus().big_endian_without_leading_zero().to_vec();
                let e = public.exponent().big_endian_without_leading_zero().to_vec();
                Some(PublicKey::Rsa { n, e })
            }
            Self::Ed25519(pair) => Some(PublicKey::Ed25519 { x: pair.public_key().as_ref().try_into().ok()? }),
        }
    }
}

/// A key that is in no table yet.
#[derive(Debug)]
pub struct NewKey {
    /// Its name.
    pub kid: Kid,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Its public half, with `kid` and `alg` set.
    pub public: PublicJwk,
    /// Where it came from.
    pub origin: Origin,
    private: SecretBytes,
}

impl NewKey {
    pub(super) fn from_pkcs8(algorithm: Algorithm, origin: Origin, private: SecretBytes) -> Result<Self, KeyError> {
        let pair = KeyPair::parse(algorithm, private.expose())?;
        let key = pair.public().ok_or(KeyError::Unsound(algorithm))?;
        let mut public = PublicJwk { kid: None, algorithm: Some(algorithm), key };
        let kid = Kid::of(&public);
        public.kid = Some(kid.to_string());
        Ok(Self { kid, algorithm, public, origin, private })
    }

    /// The key as it goes into a table, its private half sealed for its row.
    ///
    /// # Errors
    /// [`KeyError::Sealed`] when the cryptographic library fails.
    pub fn seal(&self, purpose: Purpose, master: &MasterKey, entropy: &dyn Entropy) -> Result<Candidate, KeyError> {
        let sealed = master
            .seal(&binding(purpose, &self.kid, self.algorithm), self.private.expose(), entropy)
            .map_err(|why| KeyError::Sealed { kid: self.kid.clone(), why })?;
        Ok(Candidate {
            kid: self.kid.clone(),
            algorithm: self.algorithm,
            public: self.public.clone(),
            origin: self.origin,
            sealed,
        })
    }
}

/// The row that the private half of a key is sealed for.
pub(super) fn binding(purpose: Purpose, kid: &Kid, algorithm: Algorithm) -> Binding<'_> {
    Binding { purpose: purpose.name(), kid: kid.as_str(), algorithm: algorithm.name() }
}

/// Makes a key. RSA takes from a tenth of a second to several: not for a thread that serves requests.
///
/// # Errors
/// [`KeyError::NotGenerated`] when a library fails, which no input explains.
pub fn generate(spec: KeySpec, entropy: &dyn Entropy) -> Result<NewKey, KeyError> {
    let private = generate_pkcs8(spec, entropy).ok_or(KeyError::NotGenerated(spec))?;
    NewKey::from_pkcs8(spec.algorithm(), Origin::Generated, private)
}

fn generate_pkcs8(spec: KeySpec, entropy: &dyn Entropy) -> Option<SecretBytes> {
    let mut rng = EntropyRng(entropy);
    let document = match spec {
        KeySpec::Es256 => p256::SecretKey::random(&mut rng).to_pkcs8_der().ok()?,
        KeySpec::Es384 => p384::SecretKey::random(&mut rng).to_pkcs8_der().ok()?,
        KeySpec::Rs256(size) | KeySpec::Ps256(size) => {
            rsa::RsaPrivateKey::new(&mut rng, size.bits()).ok()?.to_pkcs8_der().ok()?
        }
        KeySpec::Ed25519 => {
            let mut seed = Zeroizing::new([0; 32]);
            entropy.fill(seed.as_mut());
            let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).ok()?;
            return Some(SecretBytes::new(pair.to_pkcs8v1().ok()?.as_ref().to_vec()));
        }
    };
    Some(SecretBytes::new(document.as_bytes().to_vec()))
}

/// [`Entropy`] as the key crates want it.
struct EntropyRng<'a>(&'a dyn Entropy);

impl RngCore for EntropyRng<'_> {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), RngError> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl CryptoRng for EntropyRng<'_> {}
