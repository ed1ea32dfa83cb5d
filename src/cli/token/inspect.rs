//! `signet token inspect`.

use serde_json::{Map, Value, json};
use signet_verify::{base64url, json as strict_json};

use super::{Context, Failure, claims, read};

/// The members of a header, or of claims.
type Members = Map<String, Value>;

const WARNING: &str = "NOT VERIFIED: anybody can write a token that says this. `signet token verify` checks one.";

pub(super) fn run(context: &Context, token: &str) -> Result<(), Failure> {
    let token = read(token)?;
    let (header, payload) = take_apart(token.expose())?;
    let result = json!({
        "verified": false,
        "header": header,
        "claims": payload,
        "dates": claims::dates(&payload),
    });
    let now = context.parts.clock.now();
    context.output.result(&result, |_| {
        format!(
            "{WARNING}\n\nHeader\n{}\nClaims\n{}\n{WARNING}",
            claims::text(&header, now),
            claims::text(&payload, now)
        )
    })?;
    Ok(())
}

/// Header and claims of a token in compact form ([RFC 7515 §7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)).
fn take_apart(token: &str) -> Result<(Members, Members), Failure> {
    let segments: Vec<&str> = token.split('.').collect();
    let (header, payload) = match segments.as_slice() {
        [header, payload, _] => (header, payload),
        [_, _, _, _, _] => {
            return Err(Failure::Refused("this is an encrypted token (JWE): only its receiver can read it".to_owned()));
        }
        [_] => {
            return Err(Failure::Refused(
                "this is no JWT: an opaque token says nothing that could be shown".to_owned(),
            ));
        }
        parts => {
            return Err(Failure::Refused(format!(
                "this is no JWT: it has {} parts between dots, not three",
                parts.len()
            )));
        }
    };
    Ok((part("header", header)?, part("claims", payload)?))
}

fn part(name: &str, encoded: &str) -> Result<Members, Failure> {
    let bytes = base64url::decode(encoded);
    let bytes = bytes.map_err(|_| Failure::Refused(format!("the {name} of the token can't be read: not base64url")))?;
    strict_json::parse_object(&bytes)
        .map_err(|error| Failure::Refused(format!("the {name} of the token can't be read: {error}")))
}
