//! A client's own keys: signs assertions with aws-lc-rs, as another program would.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use signet_verify::{Algorithm, PublicJwk, PublicKey, base64url, jws};

/// One key pair and the algorithm that it signs with.
pub struct Signer {
    algorithm: Algorithm,
    kid: Option<String>,
    key: Key,
}

enum Key {
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    /// Shared: making one takes long.
    Rsa(&'static RsaKeyPair),
}

impl Signer {
    /// A new pair for that algorithm, its `kid` being the thumbprint.
    pub fn new(algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::Es256 => Key::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            Algorithm::Es384 => Key::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            Algorithm::Ed25519 => Key::Ed25519(Ed25519KeyPair::generate().unwrap()),
            Algorithm::Rs256 | Algorithm::Ps256 => Key::Rsa(rsa()),
        };
        let mut signer = Self { algorithm, kid: None, key };
        signer.kid = Some(signer.public().thumbprint());
        signer
    }

    /// The same pair under another `kid`, or none.
    pub fn called(mut self, kid: Option<&str>) -> Self {
        self.kid = kid.map(str::to_owned);
        self
    }

    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The public half, for that algorithm only.
    pub fn public(&self) -> PublicJwk {
        let key = match &self.key {
            Key::Ec(pair) => {
                // An uncompressed point: 4, x, y.
                let (x, y) = pair.public_key().as_ref()[1..].split_at((pair.public_key().as_ref().len() - 1) / 2);
                match self.algorithm {
                    Algorithm::Es256 => PublicKey::P256 { x: x.try_into().unwrap(), y: y.try_into().unwrap() },
                    _ => PublicKey::P384 { x: x.try_into().unwrap(), y: y.try_into().unwrap() },
                }
            }
            Key::Ed25519(pair) => PublicKey::Ed25519 { x: pair.public_key().as_ref().try_into().unwrap() },
            Key::Rsa(pair) => PublicKey::Rsa {
                n: pair.public_key().modulus().big_endian_without_leading_zero().to_vec(),
                e: pair.public_key().exponent().big_endian_without_leading_zero().to_vec(),
            },
        };
        PublicJwk { kid: self.kid.clone(), algorithm: Some(self.algorithm), key }
    }

    /// As a member of a set.
    pub fn jwk(&self) -> Value {
        self.public().to_json()
    }

    /// The header that fits the key, without a type.
    pub fn header(&self) -> Value {
        match &self.kid {
            Some(kid) => json!({"alg": self.algorithm.name(), "kid": kid}),
            None => json!({"alg": self.algorithm.name()}),
        }
    }

    /// A JWT with those claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    /// A JWT with that header, whatever it says.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        self.sign_as(self.algorithm, header, claims)
    }

    /// A JWT signed by another algorithm of the same kind of key.
    pub fn sign_as(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
        let header = base64url::encode(header.to_string());
        jws::encode(&header, claims.to_string().as_bytes(), |input| self.signature(algorithm, input)).unwrap()
    }

    /// A JWT of bytes that need not be claims.
    pub fn sign_raw(&self, header_b64: &str, payload: &[u8]) -> String {
        jws::encode(header_b64, payload, |input| self.signature(self.algorithm, input)).unwrap()
    }

    fn signature(&self, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        match &self.key {
            Key::Ec(pair) => Ok(pair.sign(&SystemRandom::new(), input)?.as_ref().to_vec()),
            Key::Ed25519(pair) => Ok(pair.sign(input).as_ref().to_vec()),
            Key::Rsa(pair) => {
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if algorithm == Algorithm::Rs256 { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &SystemRandom::new(), input, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

fn rsa() -> &'static RsaKeyPair {
    static PAIR: OnceLock<RsaKeyPair> = OnceLock::new();
    PAIR.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}
