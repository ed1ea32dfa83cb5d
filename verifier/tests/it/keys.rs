//! JWKs and sets of them: what is taken, what is left out and why.

use serde_json::{Value, json};
use signet_verify::{
    Algorithm, JwkError, Jwks, JwksError, MAX_JWKS, PRIVATE_MEMBERS, PublicJwk, PublicKey, VerifyError, VerifyingKey,
    base64url,
};

use crate::issuer::{Signer, claims, es256, now, policy};

fn public(algorithm: Algorithm) -> Value {
    Signer::of(algorithm).jwk.to_json()
}

fn changed(algorithm: Algorithm, name: &str, value: Value) -> Result<PublicJwk, JwkError> {
    let mut jwk = public(algorithm);
    jwk[name] = value;
    PublicJwk::parse(&jwk)
}

fn without(algorithm: Algorithm, name: &str) -> Result<PublicJwk, JwkError> {
    let mut jwk = public(algorithm);
    jwk.as_object_mut().unwrap().remove(name);
    PublicJwk::parse(&jwk)
}

fn bad_member(result: Result<PublicJwk, JwkError>, name: &str) -> bool {
    matches!(result, Err(JwkError::BadMember { member, .. }) if member == name)
}

#[test]
fn a_jwk_comes_back_from_its_json() {
    for algorithm in Algorithm::ALL {
        let jwk = &Signer::of(algorithm).jwk;
        assert_eq!(PublicJwk::parse(&jwk.to_json()).as_ref(), Ok(jwk));
        assert_eq!(serde_json::to_value(jwk).unwrap(), jwk.to_json());
        let bare = PublicJwk { kid: None, algorithm: None, key: jwk.key.clone() };
        assert_eq!(PublicJwk::parse(&bare.to_json()).as_ref(), Ok(&bare));
        assert_eq!(bare.to_json().get("use"), None);
        assert_eq!(bare.thumbprint(), jwk.thumbprint());
    }
}

#[test]
fn w3_no_private_member_is_ever_serialised() {
    for algorithm in Algorithm::ALL {
        let json = public(algorithm);
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(PRIVATE_MEMBERS.iter().all(|private| !names.contains(private)));
        let mut expected = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => vec!["e", "n"],
            Algorithm::Ed25519 => vec!["crv", "x"],
            Algorithm::Es256 | Algorithm::Es384 => vec!["crv", "x", "y"],
        };
        expected.extend(["alg", "kid", "kty", "use"]);
        expected.sort_unstable();
        assert_eq!(names, expected);
    }
}

#[test]
fn w3_a_jwk_with_a_private_member_is_refused_by_name() {
    for algorithm in Algorithm::ALL {
        for name in PRIVATE_MEMBERS {
            let refused = changed(algorithm, name, json!("c2VjcmV0"));
            assert_eq!(refused, Err(JwkError::PrivateMember(name)));
            assert!(!JwkError::PrivateMember(name).to_string().contains("c2VjcmV0"));
        }
    }
    let symmetric = json!({ "kty": "oct", "k": "c2VjcmV0" });
    assert_eq!(PublicJwk::parse(&symmetric), Err(JwkError::PrivateMember("k")));
}

#[test]
fn values_must_be_there_and_of_the_right_form() {
    for (algorithm, names) in [
        (Algorithm::Es256, &["kty", "crv", "x", "y"][..]),
        (Algorithm::Es384, &["kty", "crv", "x", "y"]),
        (Algorithm::Rs256, &["kty", "n", "e"]),
        (Algorithm::Ed25519, &["kty", "crv", "x"]),
    ] {
        for name in names {
            assert_eq!(without(algorithm, name), Err(JwkError::MissingMember(name)));
            assert!(bad_member(changed(algorithm, name, json!(1)), name), "{algorithm} {name}");
        }
        for name in names.iter().filter(|name| !["kty", "crv"].contains(name)) {
            for text in ["", "A", "AA", "AA==", "+/+/", " ", &"A".repeat(100)] {
                let refused = changed(algorithm, name, json!(text));
                assert!(refused.is_err(), "{algorithm} {name} {text:?}");
            }
        }
    }
}

#[test]
fn kinds_curves_and_algorithms_that_are_not_supported_are_named() {
    for kty in ["oct", "AKP", "rsa", "ec", ""] {
        assert_eq!(changed(Algorithm::Es256, "kty", json!(kty)), Err(JwkError::UnsupportedKeyType));
    }
    for crv in ["P-521", "secp256k1", "p-256", "Ed25519", ""] {
        assert_eq!(changed(Algorithm::Es256, "crv", json!(crv)), Err(JwkError::UnsupportedCurve));
    }
    for crv in ["Ed448", "X25519", "X448", "P-256"] {
        assert_eq!(changed(Algorithm::Ed25519, "crv", json!(crv)), Err(JwkError::UnsupportedCurve));
    }
    for alg in ["none", "HS256", "RS512", "ES256K", "ECDH-ES", "EdDSA"] {
        let refused = changed(Algorithm::Es256, "alg", json!(alg));
        assert_eq!(refused, Err(JwkError::UnsupportedAlgorithm), "{alg}");
    }
    let mismatch = changed(Algorithm::Es256, "alg", json!("RS256"));
    let expected = JwkError::AlgorithmMismatch { key: "EC P-256", algorithm: Algorithm::Rs256 };
    assert_eq!(mismatch, Err(expected));
}

#[test]
fn a_key_for_another_purpose_is_refused() {
    for purpose in ["enc", "Sig", ""] {
        let refused = changed(Algorithm::Es256, "use", json!(purpose));
        assert_eq!(refused, Err(JwkError::NotForSignatures("use")));
    }
    for operations in [json!(["sign"]), json!(["encrypt"]), json!([]), json!("verify")] {
        let refused = changed(Algorithm::Es256, "key_ops", operations);
        assert_eq!(refused, Err(JwkError::NotForSignatures("key_ops")));
    }
    assert!(changed(Algorithm::Es256, "key_ops", json!(["verify"])).is_ok());
    assert!(without(Algorithm::Es256, "use").is_ok());
    assert!(changed(Algorithm::Es256, "x-unknown", json!({ "a": 1 })).is_ok());
}

#[test]
fn l8_an_rsa_key_has_2048_to_8192_bits_and_a_sound_exponent() {
    let with_modulus = |bits: usize| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        if !bits.is_multiple_of(8) {
            n[0] >>= 8 - bits % 8;
        }
        changed(Algorithm::Rs256, "n", json!(base64url::encode(n)))
    };
    for bits in [1, 8, 1024, 2040, 2047, 8193, 16384] {
        assert_eq!(with_modulus(bits), Err(JwkError::RsaSize { bits }));
    }
    for bits in [2048, 3072, 8192] {
        assert!(with_modulus(bits).is_ok(), "{bits}");
    }
    let even = [vec![0xff; 255], vec![0xfe]].concat();
    assert!(bad_member(changed(Algorithm::Rs256, "n", json!(base64url::encode(even))), "n"));
    let padded = [vec![0], vec![0xff; 256]].concat();
    assert!(bad_member(changed(Algorithm::Rs256, "n", json!(base64url::encode(padded))), "n"));
    for e in [&[1][..], &[3], &[2], &[1, 0, 0], &[0, 1, 0, 1], &[2, 0, 0, 0, 1], &[0xff; 9]] {
        let refused = changed(Algorithm::Rs256, "e", json!(base64url::encode(e)));
        assert!(bad_member(refused, "e"), "{e:?}");
    }
}

#[test]
fn a_point_must_lie_on_its_curve() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384] {
        let (x, y) = (public(algorithm)["x"].clone(), public(algorithm)["y"].clone());
        assert_eq!(changed(algorithm, "x", y), Err(JwkError::InvalidPoint));
        assert_eq!(changed(algorithm, "y", x), Err(JwkError::InvalidPoint));
    }
    // However the value was made: the fields of the type are open.
    let key = PublicKey::P256 { x: [0; 32], y: [0; 32] };
    let jwk = PublicJwk { kid: None, algorithm: None, key };
    let refused = VerifyingKey::new(&jwk, Algorithm::Es256);
    assert_eq!(refused.err(), Some(JwkError::InvalidPoint));
}

#[test]
fn j12_an_ed25519_key_of_small_order_or_in_another_encoding_is_refused() {
    let hexes = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        // y = p, p + 1, 2^255 - 1: not reduced.
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for hex in hexes {
        let mut x = [0; 32];
        for (place, byte) in x.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[place * 2..place * 2 + 2], 16).unwrap();
        }
        for sign in [0, 0x80] {
            x[31] |= sign;
            let refused = changed(Algorithm::Ed25519, "x", json!(base64url::encode(x)));
            assert_eq!(refused, Err(JwkError::InvalidPoint), "{hex}");
        }
    }
}

#[test]
fn a_set_leaves_out_what_it_cannot_use_and_says_so() {
    let mut encryption = public(Algorithm::Rs256);
    encryption["use"] = json!("enc");
    let mut private = public(Algorithm::Ed25519);
    private["d"] = json!("AA");
    let set = json!({ "keys": [
        public(Algorithm::Es256), { "kty": "AKP", "kid": "pq" }, encryption, 5, private,
        public(Algorithm::Ps256), { "kid": "no-type" },
    ], "other": 1 });
    let jwks = Jwks::parse(set.to_string().as_bytes()).unwrap();
    let used: Vec<_> = jwks.keys().iter().map(|key| key.declared_alg()).collect();
    assert_eq!(used, [Some("ES256"), Some("PS256")]);
    let ignored: Vec<_> = jwks.ignored().iter().map(|key| (key.index, &key.reason)).collect();
    assert_eq!(
        ignored,
        [
            (1, &JwkError::UnsupportedKeyType),
            (2, &JwkError::NotForSignatures("use")),
            (3, &JwkError::NotAnObject),
            (4, &JwkError::PrivateMember("d")),
            (6, &JwkError::MissingMember("kty")),
        ]
    );
    assert_eq!(jwks.ignored()[0].kid.as_deref(), Some("pq"));
}

#[test]
fn a_set_is_bounded_and_has_one_reading() {
    let keys = |count: usize| json!({ "keys": vec![public(Algorithm::Ed25519); count] }).to_string();
    assert_eq!(Jwks::parse(keys(100).as_bytes()).unwrap().keys().len(), 100);
    assert_eq!(Jwks::parse(keys(101).as_bytes()).err(), Some(JwksError::TooManyKeys));
    let padded = format!("{}{}", keys(1), " ".repeat(MAX_JWKS));
    assert_eq!(Jwks::parse(padded.as_bytes()).err(), Some(JwksError::TooLarge));
    for json in ["{}", r#"{"keys":{}}"#, r#"{"keys":null}"#] {
        assert_eq!(Jwks::parse(json.as_bytes()).err(), Some(JwksError::NoKeys), "{json}");
    }
    for json in ["", "[]", "<html>", r#"{"keys":[],"keys":[]}"#, r#"{"keys":[{"a":1,"a":1}]}"#] {
        let refused = Jwks::parse(json.as_bytes()).err();
        assert!(matches!(refused, Some(JwksError::Json(_))), "{json}");
    }
}

#[test]
fn an_rsa_key_without_alg_serves_both_rsa_algorithms() {
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256] {
        let signer = Signer::of(algorithm);
        let mut jwk = signer.jwk.to_json();
        jwk.as_object_mut().unwrap().remove("alg");
        let set = json!({ "keys": [jwk] }).to_string();
        let jwks = Jwks::parse(set.as_bytes()).unwrap();
        let token = signer.token(&claims());
        assert!(signet_verify::verify(&jwks, &policy(), &token, now()).is_ok());
        assert_eq!(jwks.keys()[0].declared_alg(), None);
    }
}

#[test]
fn a_key_that_calls_its_algorithm_eddsa_is_an_ed25519_key() {
    let signer = Signer::of(Algorithm::Ed25519);
    let mut jwk = signer.jwk.to_json();
    jwk["alg"] = json!("EdDSA");
    assert_eq!(PublicJwk::parse(&jwk).as_ref(), Ok(&signer.jwk));
    let jwks = Jwks::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
    assert_eq!(jwks.keys()[0].declared_alg(), Some("EdDSA"));
    let token = signer.token(&claims());
    assert!(signet_verify::verify(&jwks, &policy(), &token, now()).is_ok());
}

#[test]
fn l5_an_ed448_key_is_not_used_under_eddsa() {
    let set = json!({ "keys": [
        { "kty": "OKP", "crv": "Ed448", "kid": "k", "alg": "EdDSA", "x": "A".repeat(76) },
    ] });
    let jwks = Jwks::parse(set.to_string().as_bytes()).unwrap();
    let signer = Signer::of(Algorithm::Ed25519);
    let token = signer.token_with(&json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k" }), &claims());
    let lenient = policy().accept_eddsa_name(true);
    let refused = signet_verify::verify(&jwks, &lenient, &token, now());
    assert_eq!(refused, Err(VerifyError::UnknownKey));
}

#[test]
fn a_key_that_states_its_algorithm_is_parsed_for_no_other() {
    let rs256 = &Signer::of(Algorithm::Rs256).jwk;
    let refused = VerifyingKey::new(rs256, Algorithm::Ps256).err();
    let expected = JwkError::AlgorithmMismatch { key: "RS256", algorithm: Algorithm::Ps256 };
    assert_eq!(refused, Some(expected));
    let open = PublicJwk { algorithm: None, ..rs256.clone() };
    assert!(VerifyingKey::new(&open, Algorithm::Ps256).is_ok());
}

#[test]
fn a_verifying_key_serves_jsonwebtoken_too() {
    use jsonwebtoken::{crypto::JwtVerifier, signature::Verifier};
    for algorithm in Algorithm::ALL {
        let signer = Signer::of(algorithm);
        let key: Box<dyn JwtVerifier + Send + Sync> = Box::new(VerifyingKey::new(&signer.jwk, algorithm).unwrap());
        let expected = if algorithm == Algorithm::Ed25519 { "EdDSA" } else { algorithm.name() };
        assert_eq!(key.algorithm(), expected.parse().unwrap());
        let signature = signer.sign(b"message");
        assert!(Verifier::verify(&*key, b"message", &signature).is_ok());
        assert!(Verifier::verify(&*key, b"another", &signature).is_err());
    }
}

#[test]
fn debug_output_shows_no_key() {
    let key = VerifyingKey::new(&es256().jwk, Algorithm::Es256).unwrap();
    assert_eq!(format!("{key:?}"), "VerifyingKey(ES256)");
    assert_eq!(format!("{:?}", es256().jwk.key), "PublicKey(EC P-256)");
}
