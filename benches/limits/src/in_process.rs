//! What needs no server: raw signatures, and the verifier library against the raw check of a signature.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding,
};
use serde_json::json;
use signet_verify::{Algorithm, Jwks, Policy, PublicJwk, PublicKey, base64url, verify};

use crate::Result;
use crate::load::Sample;
use crate::statistics::Comparison;

/// How many tokens are verified in turn. They outgrow the caches nearest to the core, as tokens off the network do.
const TOKENS: usize = 4096;

/// The issuer and the audience of the tokens.
const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "https://orders.example.com";

/// What is signed when signatures are counted.
static MESSAGE: [u8; 430] = [b'e'; 430];

/// A private key, parsed once, and how it signs.
enum SigningKey {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Result<Self> {
        Ok(Self::Ecdsa(EcdsaKeyPair::generate(algorithm)?))
    }

    fn rsa(size: KeySize, encoding: &'static dyn RsaEncoding) -> Result<Self> {
        Ok(Self::Rsa(RsaKeyPair::generate(size)?, encoding))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        Ok(match self {
            Self::Ecdsa(key) => key.sign(&random, message)?.as_ref().to_vec(),
            Self::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, message, &mut signature)?;
                signature
            }
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        })
    }

    /// The public key as the verifier library has it.
    fn public(&self) -> Result<PublicKey> {
        Ok(match self {
            Self::Ecdsa(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
                PublicKey::P256 { x: x.try_into()?, y: y.try_into()? }
            }
            Self::Rsa(key, _) => PublicKey::Rsa {
                n: key.public_key().modulus().big_endian_without_leading_zero().to_vec(),
                e: key.public_key().exponent().big_endian_without_leading_zero().to_vec(),
            },
            Self::Ed25519(key) => PublicKey::Ed25519 { x: key.public_key().as_ref().try_into()? },
        })
    }

    /// The public key as aws-lc-rs has it, parsed once.
    fn parsed(&self) -> Result<ParsedPublicKey> {
        Ok(match self {
            Self::Ecdsa(key) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref())?,
            Self::Rsa(key, _) => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref())?,
            Self::Ed25519(key) => ParsedPublicKey::new(&ED25519, key.public_key().as_ref())?,
        })
    }
}

/// A new P-256 key for a limit server, as PKCS#8.
pub(crate) fn new_es256_key() -> Result<Vec<u8>> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    Ok(key.to_pkcs8v1()?.as_ref().to_vec())
}

/// A new RSA key of 2048 bits for a limit server, as PKCS#8.
pub(crate) fn new_rs256_key() -> Result<Vec<u8>> {
    let key = RsaKeyPair::generate(KeySize::Rsa2048)?;
    Ok(AsDer::<Pkcs8V1Der<'_>>::as_der(&key)?.as_ref().to_vec())
}

/// Signatures a second of every algorithm with a key parsed once, each counted for `lasting`.
pub(crate) fn signatures(lasting: Duration) -> Result<Vec<(&'static str, f64)>> {
    let keys = [
        ("ES256", SigningKey::ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
        ("ES384", SigningKey::ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)?),
        ("Ed25519", SigningKey::Ed25519(Ed25519KeyPair::generate()?)),
        ("RS256, 2048 bits", SigningKey::rsa(KeySize::Rsa2048, &RSA_PKCS1_SHA256)?),
        ("RS256, 3072 bits", SigningKey::rsa(KeySize::Rsa3072, &RSA_PKCS1_SHA256)?),
        ("RS256, 4096 bits", SigningKey::rsa(KeySize::Rsa4096, &RSA_PKCS1_SHA256)?),
        ("PS256, 2048 bits", SigningKey::rsa(KeySize::Rsa2048, &RSA_PSS_SHA256)?),
    ];
    let mut rates = Vec::with_capacity(keys.len());
    for (name, key) in keys {
        let sample = repeat(lasting, 8, || {
            for _ in 0..8 {
                black_box(key.sign(black_box(&MESSAGE))?);
            }
            Ok(())
        })?;
        rates.push((name, sample.rate()));
    }
    Ok(rates)
}

/// A token and the parts that the raw check needs of it.
struct Token {
    compact: String,
    signed: usize,
    signature: Vec<u8>,
}

/// The whole verification of a token never seen before, against the raw check of its signature with a parsed key:
/// for each algorithm that this library verifies in the default configuration, and Ed25519.
pub(crate) fn verification(pairs: usize, lasting: Duration) -> Result<Vec<(Algorithm, Comparison)>> {
    let keys = [
        (Algorithm::Es256, SigningKey::ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
        (Algorithm::Rs256, SigningKey::rsa(KeySize::Rsa2048, &RSA_PKCS1_SHA256)?),
        (Algorithm::Ed25519, SigningKey::Ed25519(Ed25519KeyPair::generate()?)),
    ];
    let mut rows = Vec::with_capacity(keys.len());
    for (algorithm, key) in keys {
        rows.push((algorithm, verification_of(algorithm, &key, pairs, lasting)?));
    }
    Ok(rows)
}

fn verification_of(algorithm: Algorithm, key: &SigningKey, pairs: usize, lasting: Duration) -> Result<Comparison> {
    let mut jwk = PublicJwk { kid: None, algorithm: Some(algorithm), key: key.public()? };
    let kid = jwk.thumbprint();
    jwk.kid = Some(kid.clone());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let tokens = (0..TOKENS).map(|n| token(algorithm, &kid, key, n, now.as_secs())).collect::<Result<Vec<Token>>>()?;
    let raw = key.parsed()?;
    let jwks = Jwks::of_keys([jwk])?;
    let policy = Policy::new(ISSUER, AUDIENCE);
    let (mut next_raw, mut next_whole) = (0, 0);
    Comparison::measure(
        pairs,
        || {
            repeat(lasting, 1, || {
                let token = &tokens[next_raw % TOKENS];
                next_raw += 1;
                let message = &token.compact.as_bytes()[..token.signed];
                Ok(raw.verify_sig(black_box(message), black_box(&token.signature))?)
            })
        },
        || {
            repeat(lasting, 1, || {
                let token = &tokens[next_whole % TOKENS];
                next_whole += 1;
                black_box(verify(&jwks, &policy, black_box(&token.compact), now)?);
                Ok(())
            })
        },
    )
}

/// A token as Signet issues them, the `n`-th of its kind.
fn token(algorithm: Algorithm, kid: &str, key: &SigningKey, n: usize, now: u64) -> Result<Token> {
    let header = json!({ "alg": algorithm, "typ": "at+jwt", "kid": kid });
    let claims = json!({
        "iss": ISSUER,
        "sub": "client:0198c0de-0000-7000-8000-000000000001",
        "aud": AUDIENCE,
        "exp": now + 300,
        "iat": now,
        "jti": format!("0198c0de-0000-7000-8000-{n:012x}"),
        "client_id": "0198c0de-0000-7000-8000-000000000001",
        "scope": "orders:read orders:write",
    });
    let mut compact = base64url::encode(header.to_string());
    compact.push('.');
    compact.push_str(&base64url::encode(claims.to_string()));
    let signed = compact.len();
    let signature = key.sign(compact.as_bytes())?;
    compact.push('.');
    compact.push_str(&base64url::encode(&signature));
    Ok(Token { compact, signed, signature })
}

/// Repeats `act`, which does `worth` operations, for `lasting`.
fn repeat(lasting: Duration, worth: u64, mut act: impl FnMut() -> Result<()>) -> Result<Sample> {
    let before = own_cpu_time();
    let begun = Instant::now();
    let mut requests = 0;
    while begun.elapsed() < lasting {
        act()?;
        requests += worth;
    }
    let wall = begun.elapsed();
    Ok(Sample { requests, wall, cpu: own_cpu_time().saturating_sub(before) })
}

/// The processor time of this thread.
fn own_cpu_time() -> Duration {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ran = line.split_whitespace().next().and_then(|n| n.parse().ok());
    Duration::from_nanos(ran.unwrap_or(0))
}
