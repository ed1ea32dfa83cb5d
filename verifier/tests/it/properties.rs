//! What holds for any input.

use proptest::prelude::*;
use serde_json::{Value, json};
use signet_verify::{
    Algorithm, AllowedAlgorithms, Claims, Compact, Jwks, NumericDate, PRIVATE_MEMBERS, PublicJwk, PublicKey, TypRule,
    VerifyingKey, base64url, jws, verify_jws,
};

use crate::issuer::{Signer, claims, es256};

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= {";

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL.to_vec())
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec!["RSA", "EC", "OKP", "P-256", "Ed25519", "ES256", "sig", "AQAB"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((member_name(), inner), 0..6)
                .prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

fn member_name() -> impl Strategy<Value = String> {
    let known = [
        "kty",
        "crv",
        "x",
        "y",
        "n",
        "e",
        "d",
        "k",
        "alg",
        "kid",
        "use",
        "key_ops",
        "keys",
        "typ",
        "crit",
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "client_id",
        "scope",
        "cnf",
    ];
    prop_oneof![
        4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn public_key() -> impl Strategy<Value = PublicKey> {
    prop_oneof![
        (any::<Vec<u8>>(), any::<Vec<u8>>()).prop_map(|(n, e)| PublicKey::Rsa { n, e }),
        any::<([u8; 32], [u8; 32])>().prop_map(|(x, y)| PublicKey::P256 { x, y }),
        (prop::array::uniform32(any::<u8>()), any::<[u8; 16]>()).prop_map(|(most, rest)| {
            let mut x = [0; 48];
            x[..32].copy_from_slice(&most);
            x[32..].copy_from_slice(&rest);
            PublicKey::P384 { x, y: x }
        }),
        any::<[u8; 32]>().prop_map(|x| PublicKey::Ed25519 { x }),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_the_verifier_panic(token: String) {
        prop_assert!(es256().verify(&token).is_err());
        let _ = Compact::parse(&token).map(|compact| compact.unverified_claims().is_ok());
    }

    #[test]
    fn no_three_segments_make_the_verifier_panic(header: Vec<u8>, payload: Vec<u8>, signature: Vec<u8>) {
        let token = [header, payload, signature].map(base64url::encode).join(".");
        prop_assert!(es256().verify(&token).is_err());
    }

    #[test]
    fn no_signed_header_and_claims_make_the_verifier_panic(header in json_value(), claims in json_value()) {
        let token = es256().token_with(&header, &claims);
        prop_assert!(es256().verify(&token).is_err());
        prop_assert!(es256().verify(&es256().token(&claims)).is_err());
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes: Vec<u8>) {
        let _ = Jwks::parse(&bytes);
        let _ = Claims::parse(&bytes);
    }

    #[test]
    fn no_json_makes_a_parser_panic(value in json_value()) {
        let _ = PublicJwk::parse(&value);
        let _ = NumericDate::of(&value);
        let _ = Jwks::parse(json!({ "keys": [value] }).to_string().as_bytes());
    }

    #[test]
    fn no_key_or_signature_makes_verification_panic(key in public_key(), message: Vec<u8>, signature: Vec<u8>) {
        let jwk = PublicJwk { kid: None, algorithm: None, key };
        for algorithm in Algorithm::ALL {
            if let Ok(key) = VerifyingKey::new(&jwk, algorithm) {
                prop_assert!(key.verify(&message, &signature).is_err());
            }
        }
    }

    #[test]
    fn w3_no_value_of_the_type_serialises_to_a_private_member(
        key in public_key(), kid: Option<String>, algorithm in prop::option::of(algorithm()),
    ) {
        let json = PublicJwk { kid, algorithm, key }.to_json();
        for name in PRIVATE_MEMBERS {
            prop_assert!(json.get(name).is_none());
        }
    }

    #[test]
    fn what_was_signed_comes_back(payload: Vec<u8>, algorithm in algorithm()) {
        let signer = Signer::of(algorithm);
        let header = json!({ "alg": algorithm.name(), "kid": signer.jwk.kid }).to_string();
        let token = signer.raw_token(header.as_bytes(), &payload);
        let jws = verify_jws(&signer.jwks(), AllowedAlgorithms::ALL, TypRule::Untyped, &token).unwrap();
        prop_assert_eq!(jws.payload(), payload);
    }

    #[test]
    fn the_writer_writes_three_segments(payload: Vec<u8>, signature: Vec<u8>) {
        let token = jws::encode("e30", &payload, |_| Ok::<_, ()>(signature.clone())).unwrap();
        let expected = ["e30", &base64url::encode(&payload), &base64url::encode(&signature)].join(".");
        prop_assert_eq!(token, expected);
    }

    #[test]
    fn any_change_of_one_character_is_refused(
        algorithm in algorithm(), place in any::<prop::sample::Index>(),
        replacement in prop::sample::select(ALPHABET.to_vec()),
    ) {
        let signer = Signer::of(algorithm);
        let mut token = signer.token(&claims()).into_bytes();
        let place = place.index(token.len());
        prop_assume!(token[place] != replacement);
        token[place] = replacement;
        prop_assert!(signer.verify(&String::from_utf8(token).unwrap()).is_err());
    }
}

#[test]
fn the_writer_allocates_once() {
    let payload = claims().to_string();
    for signature_len in [64, 96, 256] {
        let mut before = std::ptr::null();
        let sign = |input: &[u8]| {
            before = input.as_ptr();
            Ok::<_, ()>(vec![7; signature_len])
        };
        let token = jws::encode("e30", payload.as_bytes(), sign).unwrap();
        assert_eq!(token.as_ptr(), before);
    }
}

#[test]
fn a_change_at_any_place_is_refused() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::of(algorithm);
        let token = signer.token(&claims());
        assert!(signer.verify(&token).is_ok());
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            // The neighbour in the alphabet: at the end of a segment it differs in bits that must be zero.
            let here = ALPHABET.iter().position(|letter| *letter == changed[place]).unwrap();
            changed[place] = ALPHABET[here ^ 1];
            let changed = String::from_utf8(changed).unwrap();
            assert!(signer.verify(&changed).is_err(), "{algorithm} at {place}");
            let shorter = format!("{}{}", &token[..place], &token[place + 1..]);
            assert!(signer.verify(&shorter).is_err(), "{algorithm} without {place}");
        }
    }
}

#[test]
fn errors_never_repeat_the_token() {
    let secret = "s3cr3t-part";
    let header = json!({ "alg": secret, "typ": secret, "kid": secret });
    let claims = json!({ "iss": secret, "sub": secret, "exp": secret });
    let tokens = [
        es256().token_with(&header, &claims),
        es256().token(&claims),
        es256().raw_token(secret.as_bytes(), b"{}"),
        format!("{secret}.{secret}"),
    ];
    for token in tokens {
        let error = es256().verify(&token).unwrap_err();
        let said = format!("{error} {error:?} {}", error.code());
        assert!(!said.contains(secret) && !said.contains(&base64url::encode(secret)), "{said}");
    }
}
