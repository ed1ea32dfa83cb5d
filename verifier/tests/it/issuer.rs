//! An issuer as tests need it: one key for each algorithm, any header, any claims.

use std::{sync::LazyLock, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
    },
};
use serde_json::{Value, json};
use signet_verify::{AccessToken, Algorithm, Jwks, Policy, PublicJwk, PublicKey, VerifyError, base64url, jws, verify};

pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const AUDIENCE: &str = "https://orders.example";
/// The time at which everything happens.
pub(crate) const NOW: u64 = 1_700_000_000;

enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ed(Ed25519KeyPair),
}

/// A key that signs.
pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    pub(crate) jwk: PublicJwk,
    pair: Pair,
}

impl Signer {
    pub(crate) fn generate(algorithm: Algorithm) -> Self {
        let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pair = match algorithm {
            Algorithm::Es256 => Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            Algorithm::Es384 => Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            Algorithm::Rs256 => Pair::Rsa(rsa(), &RSA_PKCS1_SHA256),
            Algorithm::Ps256 => Pair::Rsa(rsa(), &RSA_PSS_SHA256),
            Algorithm::Ed25519 => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
        };
        let key = public_key(&pair, algorithm);
        let kid = Some(format!("key-{algorithm}"));
        let jwk = PublicJwk { kid, algorithm: Some(algorithm), key };
        Self { algorithm, jwk, pair }
    }

    /// The key that all tests share for this algorithm.
    pub(crate) fn of(algorithm: Algorithm) -> &'static Self {
        static ALL: LazyLock<Vec<Signer>> =
            LazyLock::new(|| Algorithm::ALL.into_iter().map(Signer::generate).collect());
        ALL.iter().find(|signer| signer.algorithm == algorithm).unwrap()
    }

    pub(crate) fn jwks(&self) -> Jwks {
        Jwks::of_keys([self.jwk.clone()]).unwrap()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }

    pub(crate) fn header(&self) -> Value {
        json!({ "typ": "at+jwt", "alg": self.algorithm.name(), "kid": self.jwk.kid })
    }

    /// A token of exactly these bytes.
    pub(crate) fn raw_token(&self, header: &[u8], payload: &[u8]) -> String {
        let sign = |input: &[u8]| Ok::<_, ()>(self.sign(input));
        jws::encode(&base64url::encode(header), payload, sign).unwrap()
    }

    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.raw_token(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    /// What a service with the default policy says to a token of this header.
    pub(crate) fn verify_header(&self, header: &Value) -> Result<AccessToken, VerifyError> {
        self.verify(&self.token_with(header, &claims()))
    }

    /// What a service with the default policy says to a token of these claims.
    pub(crate) fn verify_claims(&self, claims: &Value) -> Result<AccessToken, VerifyError> {
        self.verify(&self.token(claims))
    }

    /// What a service with the default policy says.
    pub(crate) fn verify(&self, token: &str) -> Result<AccessToken, VerifyError> {
        verify(&self.jwks(), &policy(), token, now())
    }
}

fn public_key(pair: &Pair, algorithm: Algorithm) -> PublicKey {
    match pair {
        Pair::Rsa(pair, _) => {
            let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::from(pair.public_key());
            PublicKey::Rsa { n, e }
        }
        Pair::Ed(pair) => PublicKey::Ed25519 { x: pair.public_key().as_ref().try_into().unwrap() },
        Pair::Ec(pair) => {
            let point = &pair.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            match algorithm {
                Algorithm::Es256 => PublicKey::P256 { x: x.try_into().unwrap(), y: y.try_into().unwrap() },
                _ => PublicKey::P384 { x: x.try_into().unwrap(), y: y.try_into().unwrap() },
            }
        }
    }
}

pub(crate) fn es256() -> &'static Signer {
    Signer::of(Algorithm::Es256)
}

pub(crate) fn now() -> Duration {
    Duration::from_secs(NOW)
}

pub(crate) fn policy() -> Policy {
    Policy::new(ISSUER, AUDIENCE)
}

/// The claims of a good access token of a person.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "exp": NOW + 300, "iat": NOW,
        "jti": "0190a5d6-7c1f-7000-8000-000000000001", "client_id": "app",
        "scope": "orders:read orders:write", "sid": "s1", "auth_time": NOW - 60, "acr": "1",
        "amr": ["pwd", "otp"], "roles": ["buyer"],
    })
}

/// The claims of a good access token, but for one.
pub(crate) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// The claims of a good access token, without one.
pub(crate) fn claims_without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}
