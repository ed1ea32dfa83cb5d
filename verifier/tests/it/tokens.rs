//! Form, header, key and signature: what is refused before any claim is read.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use serde_json::{Value, json};
use signet_verify::{
    Algorithm, AllowedAlgorithms, Audience, Compact, Jwks, PublicJwk, PublicKey, TypRule, VerifyError, VerifyingKey,
    base64url, verify, verify_jws,
};

use crate::issuer::{AUDIENCE, ISSUER, NOW, Signer, claims, es256, now, policy};

fn malformed(result: Result<impl Sized, VerifyError>) -> bool {
    matches!(result, Err(VerifyError::Malformed(_)))
}

fn header_with(name: &str, value: Value) -> Value {
    let mut header = es256().header();
    header[name] = value;
    header
}

/// Signs `header` and `claims` anew with whatever bytes are given as the signature.
fn token_signed(header: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let header = base64url::encode(header.to_string());
    let sign = |input: &[u8]| Ok::<_, ()>(sign(input));
    signet_verify::jws::encode(&header, claims().to_string().as_bytes(), sign).unwrap()
}

#[test]
fn a_good_token_of_each_algorithm_is_read_whole() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::of(algorithm);
        let token = signer.verify_claims(&claims()).unwrap();
        assert_eq!(token.iss, ISSUER);
        assert_eq!(token.sub, "alice");
        assert_eq!(token.aud, Audience::One(AUDIENCE.to_owned()));
        assert_eq!((token.exp.secs(), token.iat.secs()), (NOW + 300, NOW));
        assert_eq!(token.nbf, None);
        assert_eq!(token.jti, "0190a5d6-7c1f-7000-8000-000000000001");
        assert_eq!(token.client_id, "app");
        assert_eq!(token.scope.iter().collect::<Vec<_>>(), ["orders:read", "orders:write"]);
        assert!(token.scope.contains("orders:read") && !token.scope.contains("orders"));
        assert_eq!(token.sid.as_deref(), Some("s1"));
        assert_eq!(token.auth_time.unwrap().secs(), NOW - 60);
        assert_eq!(token.acr.as_deref(), Some("1"));
        assert_eq!(token.amr, ["pwd", "otp"]);
        assert_eq!(token.cnf, None);
        assert_eq!(Value::Object(token.others), json!({ "roles": ["buyer"] }));
    }
}

#[test]
fn j1_no_spelling_of_none_is_an_algorithm() {
    for name in ["none", "None", "nOnE", "NONE", "", "es256", "ES256 ", "ES256K", "RSA1_5"] {
        let header = header_with("alg", json!(name));
        let expected = Some(VerifyError::AlgorithmNotAllowed);
        assert_eq!(es256().verify_header(&header).err(), expected, "{name:?}");
        assert_eq!(es256().verify(&token_signed(&header, |_| vec![])).err(), expected, "{name:?}");
    }
    for alg in [json!(null), json!(1), json!(["ES256"]), json!({})] {
        assert!(malformed(es256().verify_header(&header_with("alg", alg))));
    }
    assert!(malformed(es256().verify_header(&json!({ "typ": "at+jwt" }))));
}

#[test]
fn j2_a_public_key_is_no_hmac_secret() {
    let rsa = Signer::of(Algorithm::Rs256);
    let PublicKey::Rsa { n, .. } = &rsa.jwk.key else { panic!("an RSA key") };
    let jwk = rsa.jwk.to_json().to_string();
    for secret in [n.as_slice(), jwk.as_bytes()] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mac = |input: &[u8]| hmac::sign(&key, input).as_ref().to_vec();
        let mut header = rsa.header();
        assert_eq!(rsa.verify(&token_signed(&header, mac)), Err(VerifyError::BadSignature));
        header["alg"] = json!("HS256");
        assert_eq!(rsa.verify(&token_signed(&header, mac)), Err(VerifyError::AlgorithmNotAllowed));
    }
}

#[test]
fn j3_l2_l3_a_key_serves_its_own_algorithm_only() {
    for of_key in Algorithm::ALL {
        let signer = Signer::of(of_key);
        for named in Algorithm::ALL.into_iter().filter(|named| *named != of_key) {
            let mut header = signer.header();
            header["alg"] = json!(named.name());
            assert_eq!(signer.verify_header(&header), Err(VerifyError::KeyMismatch));
            // Nor does leaving the name of the key out help.
            header.as_object_mut().unwrap().remove("kid");
            assert_eq!(signer.verify_header(&header), Err(VerifyError::UnknownKey));
        }
    }
}

#[test]
fn j4_a_key_is_found_by_exactly_its_kid() {
    let signer = es256();
    for kid in ["", "key-es256", "../key-ES256", "key-ES256' OR '1'='1", "key-ES256\r\nX: y", "*"] {
        let refused = signer.verify_header(&header_with("kid", json!(kid)));
        assert_eq!(refused, Err(VerifyError::UnknownKey), "{kid:?}");
    }
    let long = header_with("kid", json!("k".repeat(1 << 20)));
    assert_eq!(signer.verify_header(&long), Err(VerifyError::TooLarge));
    for kid in [json!(1), json!(null), json!(["key-ES256"])] {
        assert!(malformed(signer.verify_header(&header_with("kid", kid))));
    }
}

#[test]
fn j4_a_token_without_kid_is_taken_when_one_key_fits_its_algorithm() {
    let signer = es256();
    let mut header = signer.header();
    header.as_object_mut().unwrap().remove("kid");
    let token = signer.token_with(&header, &claims());
    let others = [Algorithm::Rs256, Algorithm::Ed25519].map(|other| Signer::of(other).jwk.clone());
    let mut keys = others.to_vec();
    keys.push(signer.jwk.clone());
    let one = Jwks::of_keys(keys.clone()).unwrap();
    assert!(verify(&one, &policy(), &token, now()).is_ok());
    keys.push(Signer::generate(Algorithm::Es256).jwk);
    let two = Jwks::of_keys(keys).unwrap();
    assert_eq!(verify(&two, &policy(), &token, now()), Err(VerifyError::AmbiguousKey));
}

#[test]
fn j4_keys_of_one_kid_are_told_apart_by_algorithm_alone() {
    let (signer, twin) = (es256(), Signer::generate(Algorithm::Es256).jwk);
    let mut rsa = Signer::of(Algorithm::Rs256).jwk.clone();
    rsa.kid.clone_from(&signer.jwk.kid);
    let token = signer.token(&claims());
    let told_apart = Jwks::of_keys([rsa, signer.jwk.clone()]).unwrap();
    assert!(verify(&told_apart, &policy(), &token, now()).is_ok());
    let alike = Jwks::of_keys([twin, signer.jwk.clone()]).unwrap();
    assert_eq!(verify(&alike, &policy(), &token, now()), Err(VerifyError::AmbiguousKey));
}

#[test]
fn j5_j6_keys_that_the_token_brings_or_points_to_are_not_looked_at() {
    let stranger = Signer::generate(Algorithm::Es256);
    let pointers = json!({
        "jwk": stranger.jwk, "jku": "http://169.254.169.254/jwks", "x5u": "http://localhost/x",
        "x5c": ["AA=="],
    });
    for (name, value) in pointers.as_object().unwrap() {
        let header = header_with(name, value.clone());
        let forged = stranger.token_with(&header, &claims());
        assert_eq!(es256().verify(&forged), Err(VerifyError::BadSignature), "{name}");
        assert!(es256().verify_header(&header).is_ok(), "{name} is ignored, not refused");
    }
}

#[test]
fn j7_no_critical_extension_is_understood() {
    for crit in [json!(["exp"]), json!([]), json!(["b64"]), json!(["alg"]), json!("b64"), json!(null)] {
        let refused = es256().verify_header(&header_with("crit", crit.clone()));
        assert_eq!(refused, Err(VerifyError::CriticalHeader), "{crit}");
    }
    let mut header = header_with("crit", json!(["b64"]));
    header["b64"] = json!(false);
    assert_eq!(es256().verify_header(&header), Err(VerifyError::CriticalHeader));
    let alone = header_with("b64", json!(false));
    assert_eq!(es256().verify_header(&alone), Err(VerifyError::CriticalHeader));
}

#[test]
fn j8_no_member_stands_twice() {
    let (header, payload) = (es256().header().to_string(), claims().to_string());
    for twice in [
        r#"{"alg":"none","#,
        r#"{"kid":"x","#,
        r#"{"typ":"at+jwt","#,
        r#"{"\u0061lg":"ES256","#,
        r#"{"x":1,"x":2,"#,
        r#"{"x":{"y":1,"y":1},"#,
    ] {
        let header = header.replacen('{', twice, 1);
        let token = es256().raw_token(header.as_bytes(), payload.as_bytes());
        assert!(malformed(es256().verify(&token)), "{twice}");
    }
    for twice in [r#"{"sub":"mallory","#, r#"{"x":1,"x":2,"#, r#"{"x":[{"y":1,"y":1}],"#] {
        let payload = payload.replacen('{', twice, 1);
        let token = es256().raw_token(header.as_bytes(), payload.as_bytes());
        assert!(malformed(es256().verify(&token)), "{twice}");
    }
}

#[test]
fn j9_j10_j18_only_three_segments_of_strict_base64url_are_a_token() {
    let token = es256().token(&claims());
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = head.split_once('.').unwrap();
    let jwe = format!("{header}.AA.AA.AA.AA");
    let flattened = json!({ "protected": header, "payload": payload, "signature": signature });
    let general = json!({ "payload": payload, "signatures": [flattened] });
    let hostile = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        head.to_owned(),
        header.to_owned(),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.AA"),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{token}="),
        format!("{token}=="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}\0.{signature}"),
        format!("{header}.{payload}é.{signature}"),
        format!("{header}..{signature}"),
        format!("\"{token}\""),
        format!("Bearer {token}"),
        flattened.to_string(),
        general.to_string(),
        jwe,
    ];
    for token in hostile {
        let refused = es256().verify(&token);
        assert!(malformed(refused.clone()) || refused == Err(VerifyError::BadSignature), "{token}");
    }
    let enc = header_with("enc", json!("A128GCM"));
    assert!(malformed(es256().verify_header(&enc)), "a JWE header on three segments");
}

#[test]
fn j11_only_a_signature_of_fixed_length_and_range_is_an_ecdsa_signature() {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let der = |input: &[u8]| pair.sign(&SystemRandom::new(), input).unwrap().as_ref().to_vec();
    let point = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref().to_vec();
    let (x, y) = (point[1..33].try_into().unwrap(), point[33..].try_into().unwrap());
    let jwk = PublicJwk { key: PublicKey::P256 { x, y }, ..es256().jwk.clone() };
    let jwks = Jwks::of_keys([jwk]).unwrap();
    let token = token_signed(&es256().header(), der);
    assert_eq!(verify(&jwks, &policy(), &token, now()), Err(VerifyError::BadSignature), "DER");

    let good = |input: &[u8]| es256().sign(input);
    type Sign<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let changed: [(&str, Sign<'_>); 8] = [
        ("63 bytes", &|input| good(input)[..63].to_vec()),
        ("65 bytes", &|input| [good(input), vec![0]].concat()),
        ("65 bytes, zero first", &|input| [vec![0], good(input)].concat()),
        ("zero", &|_| vec![0; 64]),
        ("r = n", &|input| [&ORDER, &good(input)[32..]].concat()),
        ("s = n", &|input| [&good(input)[..32], &ORDER].concat()),
        ("r = 0", &|input| [&[0; 32], &good(input)[32..]].concat()),
        ("empty", &|_| vec![]),
    ];
    for (what, sign) in changed {
        let token = token_signed(&es256().header(), sign);
        assert_eq!(es256().verify(&token), Err(VerifyError::BadSignature), "{what}");
    }
    assert!(es256().verify(&token_signed(&es256().header(), good)).is_ok());
}

#[test]
fn j12_an_ed25519_signature_has_one_encoding() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let signer = Signer::of(Algorithm::Ed25519);
    let malleated = token_signed(&signer.header(), |input| {
        let mut signature = signer.sign(input);
        let mut carry = 0;
        for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        signature
    });
    assert_eq!(signer.verify(&malleated), Err(VerifyError::BadSignature));
}

#[test]
fn j16_the_keys_of_another_issuer_do_not_verify_even_under_the_same_kid() {
    for algorithm in Algorithm::ALL {
        let stranger = Signer::generate(algorithm).token(&claims());
        assert_eq!(Signer::of(algorithm).verify(&stranger), Err(VerifyError::BadSignature));
    }
}

#[test]
fn j20_size_and_nesting_are_bounded() {
    let signer = es256();
    let mut claims = claims();
    claims["x"] = json!("x".repeat(1 << 20));
    assert_eq!(signer.verify_claims(&claims), Err(VerifyError::TooLarge));
    claims["x"] = json!("x".repeat(11_000));
    assert!(signer.verify_claims(&claims).is_ok());
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let header = signer.header().to_string();
    assert!(malformed(signer.verify(&signer.raw_token(header.as_bytes(), deep.as_bytes()))));
    assert!(malformed(signer.verify(&signer.raw_token(deep.as_bytes(), b"{}"))));
    let many: Vec<String> = (0..1_000).map(|n| format!("\"m{n}\":0")).collect();
    let wide = format!("{{\"alg\":\"ES256\",{}}}", many.join(","));
    assert!(malformed(signer.verify(&signer.raw_token(wide.as_bytes(), b"{}"))));
}

#[test]
fn j22_a_key_that_left_the_set_verifies_nothing_more() {
    let rest = Signer::of(Algorithm::Ed25519).jwks();
    let token = es256().token(&claims());
    assert_eq!(verify(&rest, &policy(), &token, now()), Err(VerifyError::UnknownKey));
}

#[test]
fn l4_eddsa_stands_for_ed25519_only_where_it_is_asked_for() {
    let signer = Signer::of(Algorithm::Ed25519);
    let mut header = signer.header();
    header["alg"] = json!("EdDSA");
    let token = signer.token_with(&header, &claims());
    assert_eq!(signer.verify(&token), Err(VerifyError::AlgorithmNotAllowed));
    let lenient = policy().accept_eddsa_name(true);
    assert!(verify(&signer.jwks(), &lenient, &token, now()).is_ok());
    // The name brings no other key in, and no algorithm that is not allowed.
    header["kid"] = json!(es256().jwk.kid);
    let forged = signer.token_with(&header, &claims());
    assert_eq!(verify(&es256().jwks(), &lenient, &forged, now()), Err(VerifyError::KeyMismatch));
    let es256_only = policy().algorithms(AllowedAlgorithms::only([Algorithm::Es256])).accept_eddsa_name(true);
    let refused = verify(&signer.jwks(), &es256_only, &token, now());
    assert_eq!(refused, Err(VerifyError::AlgorithmNotAllowed));
}

#[test]
fn only_allowed_algorithms_pass() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::of(algorithm);
        let token = signer.token(&claims());
        let only = policy().algorithms(AllowedAlgorithms::only([algorithm]));
        assert!(verify(&signer.jwks(), &only, &token, now()).is_ok());
        let others = Algorithm::ALL.into_iter().filter(|other| *other != algorithm);
        let without = policy().algorithms(AllowedAlgorithms::only(others));
        let refused = verify(&signer.jwks(), &without, &token, now());
        assert_eq!(refused, Err(VerifyError::AlgorithmNotAllowed));
    }
}

#[test]
fn the_first_check_that_fails_decides() {
    let signer = es256();
    let stranger = Signer::generate(Algorithm::Es256);
    // Everything is wrong; one thing after the other is put right.
    let mut header = json!({ "alg": "none", "crit": [], "typ": "JWT", "kid": "x" });
    let bad_claims = json!({ "iss": "https://evil.example", "aud": "x", "exp": 1 });
    let say = |header: &Value, claims: &Value, by: &Signer| {
        signer.verify(&by.token_with(header, claims)).err().map(|error| error.code())
    };
    assert_eq!(say(&header, &bad_claims, &stranger), Some("algorithm_not_allowed"));
    header["alg"] = json!("ES256");
    assert_eq!(say(&header, &bad_claims, &stranger), Some("critical_header"));
    header.as_object_mut().unwrap().remove("crit");
    assert_eq!(say(&header, &bad_claims, &stranger), Some("wrong_type"));
    header["typ"] = json!("application/AT+jwt");
    assert_eq!(say(&header, &bad_claims, &stranger), Some("unknown_key"));
    header["kid"] = json!(signer.jwk.kid);
    assert_eq!(say(&header, &bad_claims, &stranger), Some("bad_signature"));
    assert_eq!(say(&header, &bad_claims, signer), Some("wrong_issuer"));
    assert_eq!(say(&header, &claims(), signer), None);
}

#[test]
fn a_signature_of_the_right_key_under_the_wrong_algorithm_is_refused() {
    let signer = Signer::of(Algorithm::Rs256);
    let mut header = signer.header();
    header["alg"] = json!("PS256");
    // The RS256 signature itself is good: only the name of the algorithm is not.
    let token = signer.token_with(&header, &claims());
    let key = VerifyingKey::new(&signer.jwk, Algorithm::Rs256).unwrap();
    let typ = TypRule::Explicit("at+jwt");
    let admitted = Compact::parse(&token).unwrap().admit(AllowedAlgorithms::ALL, typ).unwrap();
    assert_eq!(admitted.algorithm(), Algorithm::Ps256);
    assert_eq!(admitted.verify(&key).err(), Some(VerifyError::KeyMismatch));
}

#[test]
fn the_parts_verify_other_kinds_of_tokens() {
    let signer = es256();
    let header = json!({ "alg": "ES256", "kid": signer.jwk.kid });
    let assertion = json!({ "iss": "app", "sub": "app", "aud": ISSUER, "exp": NOW + 60, "jti": "1" });
    let token = signer.token_with(&header, &assertion);
    let typ = TypRule::UntypedOr("client-authentication+jwt");
    let compact = Compact::parse(&token).unwrap();
    assert_eq!(compact.unverified_claims().unwrap().unverified_text("iss"), Ok(Some("app")));
    let jws = verify_jws(&signer.jwks(), AllowedAlgorithms::ALL, typ, &token).unwrap();
    assert_eq!((jws.algorithm(), jws.kid()), (Algorithm::Es256, signer.jwk.kid.as_deref()));
    let claims = jws.claims().unwrap();
    assert_eq!(claims.required_text("sub"), Ok("app"));
    assert_eq!(claims.audience().unwrap().unwrap().sole(), Some(ISSUER));
}
