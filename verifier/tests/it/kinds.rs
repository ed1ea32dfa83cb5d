//! J17: one good token of every kind, presented where an access token is expected, and where a client assertion is.

use serde_json::{Value, json};
use signet_verify::{AllowedAlgorithms, TypRule, VerifyError, verify_jws};

use crate::issuer::{AUDIENCE, ISSUER, NOW, claims, es256};

/// Every kind: its name, its `typ`, its claims.
fn kinds() -> Vec<(&'static str, Option<&'static str>, Value)> {
    let about = |more: Value| {
        let mut claims = json!({ "iss": ISSUER, "iat": NOW, "exp": NOW + 300, "jti": "1" });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    let id = about(json!({ "aud": "app", "sub": "alice", "nonce": "n" }));
    let logout = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let assertion = json!({ "iss": "app", "sub": "app", "aud": ISSUER, "exp": NOW + 60, "jti": "1" });
    vec![
        ("access token", Some("at+jwt"), claims()),
        ("ID token", None, id.clone()),
        ("ID token, typed", Some("JWT"), id),
        ("logout token", Some("logout+jwt"), about(json!({ "aud": "app", "events": logout }))),
        ("SET", Some("secevent+jwt"), about(json!({ "events": {}, "sub_id": {} }))),
        ("status list token", Some("statuslist+jwt"), about(json!({ "status_list": {} }))),
        ("DPoP proof", Some("dpop+jwt"), about(json!({ "htm": "GET", "htu": AUDIENCE }))),
        ("client assertion", None, assertion.clone()),
        ("client assertion, typed", Some("client-authentication+jwt"), assertion),
        ("request object", Some("oauth-authz-req+jwt"), about(json!({ "client_id": "app" }))),
        ("introspection", Some("token-introspection+jwt"), about(json!({ "aud": AUDIENCE }))),
        ("JARM response", None, about(json!({ "aud": "app", "code": "c" }))),
        ("transaction token", Some("txntoken+jwt"), about(json!({ "txn": "t" }))),
    ]
}

fn token(typ: Option<&str>, claims: &Value) -> String {
    let mut header = es256().header();
    match typ {
        Some(typ) => header["typ"] = json!(typ),
        None => drop(header.as_object_mut().unwrap().remove("typ")),
    }
    es256().token_with(&header, claims)
}

#[test]
fn j17_only_an_access_token_passes_as_one() {
    for (kind, typ, own) in kinds() {
        let said = es256().verify(&token(typ, &own));
        if kind == "access token" {
            assert!(said.is_ok());
        } else {
            assert_eq!(said, Err(VerifyError::WrongType), "{kind}");
            // Not even when it bears all that an access token bears: the type decides.
            let said = es256().verify(&token(typ, &claims()));
            assert_eq!(said, Err(VerifyError::WrongType), "{kind}");
        }
        // Nor does another kind pass under a borrowed type.
        if kind != "access token" {
            assert!(es256().verify(&token(Some("at+jwt"), &own)).is_err(), "{kind}");
        }
    }
}

#[test]
fn j17_only_untyped_tokens_and_its_own_type_get_as_far_as_the_claims_of_a_client_assertion() {
    let typ_rule = TypRule::UntypedOr("client-authentication+jwt");
    for (kind, typ, own) in kinds() {
        let token = token(typ, &own);
        let said = verify_jws(&es256().jwks(), AllowedAlgorithms::ALL, typ_rule, &token);
        let passes = matches!(typ, None | Some("JWT" | "client-authentication+jwt"));
        assert_eq!(said.is_ok(), passes, "{kind}");
    }
}

#[test]
fn an_access_token_bears_no_claim_that_marks_another_kind() {
    for name in ["nonce", "events"] {
        let mut claims = claims();
        claims[name] = json!({});
        assert_eq!(es256().verify_claims(&claims), Err(VerifyError::WrongType), "{name}");
    }
}

#[test]
fn types_are_compared_without_case_and_with_or_without_their_prefix() {
    assert!(!TypRule::Explicit("text/at+jwt").admits(Some("application/text/at+jwt")));
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        assert!(es256().verify(&token(Some(typ), &claims())).is_ok(), "{typ}");
    }
    for typ in [
        "",
        "JWT",
        "at+jwt ",
        " at+jwt",
        "at",
        "application/application/at+jwt",
        "text/at+jwt",
        "application/",
        "application/JWT",
        "at+jwt;v=1",
        "aţ+jwt",
    ] {
        assert_eq!(es256().verify(&token(Some(typ), &claims())), Err(VerifyError::WrongType), "{typ}");
    }
}
