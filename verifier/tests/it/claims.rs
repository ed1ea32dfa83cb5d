//! Claims: present, of the right type, in range, and of this issuer, audience and time.

use std::time::Duration;

use serde_json::{Value, json};
use signet_verify::{Policy, VerifyError, verify};

use crate::issuer::{AUDIENCE, ISSUER, NOW, claims, claims_with, claims_without, es256, now, policy};

fn refused(name: &str, value: Value) -> Option<VerifyError> {
    es256().verify_claims(&claims_with(name, value)).err()
}

fn refused_payload(payload: &[u8]) -> Option<&'static str> {
    let header = es256().header().to_string();
    let token = es256().raw_token(header.as_bytes(), payload);
    es256().verify(&token).err().map(|error| error.code())
}

#[test]
fn every_required_claim_is_required() {
    for name in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"] {
        let refused = es256().verify_claims(&claims_without(name));
        assert_eq!(refused, Err(VerifyError::MissingClaim(name)));
    }
    for name in ["scope", "sid", "auth_time", "acr", "amr", "roles"] {
        assert!(es256().verify_claims(&claims_without(name)).is_ok(), "{name} is optional");
    }
}

#[test]
fn a_claim_of_another_type_is_refused() {
    let texts = ["iss", "sub", "jti", "client_id", "scope", "sid", "acr"];
    for name in texts {
        for value in [json!(1), json!(null), json!(["x"]), json!({})] {
            assert_eq!(refused(name, value), Some(VerifyError::BadClaim(name)));
        }
    }
    for value in [json!("pwd"), json!([1]), json!(null)] {
        assert_eq!(refused("amr", value), Some(VerifyError::BadClaim("amr")));
    }
    for value in [json!("jkt"), json!([]), json!(null)] {
        assert_eq!(refused("cnf", value), Some(VerifyError::BadClaim("cnf")));
    }
}

#[test]
fn j13_a_date_is_a_number_in_range() {
    for name in ["exp", "iat", "nbf", "auth_time"] {
        let hostile = [
            json!("1700000300"),
            json!(-1),
            json!(-0.5),
            json!(null),
            json!([NOW]),
            json!(true),
            json!((1_u64 << 53) + 1),
            json!(u64::MAX),
            json!(1e300),
            json!(1e16),
            json!(i64::MIN),
        ];
        for value in hostile {
            assert_eq!(refused(name, value.clone()), Some(VerifyError::BadClaim(name)), "{value}");
        }
    }
    for written in ["1e400", "NaN", "Infinity", "0x10", "-1e400", "01"] {
        let payload = claims().to_string().replace("1700000300", written);
        assert_eq!(refused_payload(payload.as_bytes()), Some("malformed"), "{written}");
    }
    assert_eq!(refused("exp", json!(1_u64 << 53)), None);
    assert_eq!(refused("exp", json!(1.700_000_3e9)), None);
}

#[test]
fn j13_a_fraction_of_a_second_counts() {
    let exact = policy().leeway(Duration::ZERO).unwrap();
    let token = es256().token(&claims_with("exp", json!(1_700_000_000.5)));
    let at = |millis| {
        let now = now() + Duration::from_millis(millis);
        verify(&es256().jwks(), &exact, &token, now).err()
    };
    assert_eq!(at(499), None);
    assert_eq!(at(500), Some(VerifyError::Expired));
}

#[test]
fn j14_the_audience_must_contain_us() {
    assert_eq!(refused("aud", json!([AUDIENCE])), None);
    assert_eq!(refused("aud", json!(["https://other.example", AUDIENCE])), None);
    for value in [json!([]), json!(""), json!(["x"]), json!("https://orders.example/")] {
        assert_eq!(refused("aud", value.clone()), Some(VerifyError::WrongAudience), "{value}");
    }
    for value in [json!(1), json!(null), json!({ AUDIENCE: true }), json!([AUDIENCE, 1]), json!([[AUDIENCE]])] {
        assert_eq!(refused("aud", value.clone()), Some(VerifyError::BadClaim("aud")), "{value}");
    }
}

#[test]
fn j15_the_issuer_is_compared_exactly() {
    for issuer in ["https://id.example/", "https://ID.example", "http://id.example", "", "id.example"] {
        assert_eq!(refused("iss", json!(issuer)), Some(VerifyError::WrongIssuer), "{issuer}");
    }
    assert_eq!(refused("iss", json!([ISSUER])), Some(VerifyError::BadClaim("iss")));
}

#[test]
fn j19_the_claims_are_utf8_without_a_byte_order_mark() {
    let good = claims().to_string();
    let bom = [b"\xef\xbb\xbf", good.as_bytes()].concat();
    assert_eq!(refused_payload(&bom), Some("malformed"));
    assert_eq!(
        refused_payload(
            &good
                .replace("alice", "@")
                .into_bytes()
                .iter()
                .map(|byte| { if *byte == b'@' { 0xff } else { *byte } })
                .collect::<Vec<_>>()
        ),
        Some("malformed")
    );
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(refused_payload(&utf16), Some("malformed"));
    for payload in ["", "null", "[]", "\"x\"", "1", "{}{}", "{} x"] {
        assert_eq!(refused_payload(payload.as_bytes()), Some("malformed"), "{payload}");
    }
    assert_eq!(refused_payload(b"{}"), Some("missing_claim"));
    assert_eq!(refused_payload(good.as_bytes()), None);
}

#[test]
fn j21_the_clocks_may_differ_by_the_leeway_and_no_more() {
    let say = |name: &str, value: u64, policy: &Policy| {
        let token = es256().token(&claims_with(name, json!(value)));
        verify(&es256().jwks(), policy, &token, now()).err()
    };
    let widest = policy().leeway(Policy::MAX_LEEWAY).unwrap();
    let exact = policy().leeway(Duration::ZERO).unwrap();
    for (policy, leeway) in [(&exact, 0), (&policy(), 10), (&widest, 60)] {
        assert_eq!(say("iat", NOW + leeway, policy), None);
        assert_eq!(say("iat", NOW + leeway + 1, policy), Some(VerifyError::IssuedInTheFuture));
        assert_eq!(say("nbf", NOW + leeway, policy), None);
        assert_eq!(say("nbf", NOW + leeway + 1, policy), Some(VerifyError::NotYetValid));
        assert_eq!(say("exp", NOW + 1 - leeway.min(NOW), policy), None);
        assert_eq!(say("exp", NOW - leeway, policy), Some(VerifyError::Expired));
    }
    assert!(policy().leeway(Duration::from_millis(60_001)).is_err());
}

#[test]
fn the_end_of_time_is_no_overflow() {
    let token = es256().token(&claims_with("exp", json!(1_u64 << 53)));
    let refused = verify(&es256().jwks(), &policy(), &token, Duration::MAX);
    assert_eq!(refused, Err(VerifyError::Expired));
}

#[test]
fn a_bound_token_shows_its_confirmation() {
    let token = es256().verify_claims(&claims_with("cnf", json!({ "jkt": "x" }))).unwrap();
    assert_eq!(token.cnf.unwrap()["jkt"], "x");
}

#[test]
fn what_is_said_of_a_person_is_read_by_its_type_or_is_an_error() {
    let read = |name: &str, value: Value| es256().verify_claims(&claims_with(name, value)).unwrap();
    let token = read("roles", json!(["lead", "orders:read"]));
    assert_eq!(token.roles(), Ok(vec!["lead", "orders:read"]));
    assert!(token.has_role("lead") && !token.has_role("Lead") && !token.has_role("orders"));
    let none = es256().verify_claims(&claims_without("roles")).unwrap();
    assert_eq!((none.roles(), none.has_role("")), (Ok(vec![]), false));
    assert_eq!((none.preferred_username(), none.email(), none.attribute("a")), (Ok(None), Ok(None), Ok(None)));
    // Nothing is converted: what is no list of strings allows nothing, not even what of it is a string.
    for wrong in [json!("lead"), json!({"lead": true}), json!(["lead", 1]), json!([["lead"]]), json!(null), json!(true)]
    {
        let token = read("roles", wrong.clone());
        assert_eq!(token.roles(), Err(VerifyError::BadClaim("roles")), "{wrong}");
        assert!(!token.has_role("lead"), "{wrong}");
    }
    let token = read("attributes", json!({"department": {"name": "books"}, "sub": "bob"}));
    assert_eq!(token.attribute("department"), Ok(Some(&json!({"name": "books"}))));
    assert_eq!((token.attribute("name"), token.sub.as_str()), (Ok(None), "alice"));
    assert_eq!(token.others["attributes"]["sub"], "bob");
    for wrong in [json!([]), json!("x"), json!(null)] {
        assert_eq!(read("attributes", wrong).attribute("x"), Err(VerifyError::BadClaim("attributes")));
    }
    assert_eq!(read("preferred_username", json!("Ann")).preferred_username(), Ok(Some("Ann")));
    assert_eq!(read("email", json!("ann@example.com")).email(), Ok(Some("ann@example.com")));
    let (username, email) = (read("preferred_username", json!(1)), read("email", json!(["a@b.example"])));
    assert_eq!(username.preferred_username(), Err(VerifyError::BadClaim("preferred_username")));
    assert_eq!(email.email(), Err(VerifyError::BadClaim("email")));
}
