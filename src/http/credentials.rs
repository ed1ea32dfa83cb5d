//! Finds the one way in which a request presents a client
//! ([RFC 6749 §2.3](https://www.rfc-editor.org/rfc/rfc6749#section-2.3)).
//!
//! Guarantees: two ways at once are refused before either is looked at; the `Authorization` header is read strictly;
//! nothing is taken from the query.

use std::borrow::Cow;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::OAuthError;
use crate::clients::{AuthenticationError, Presented, Refusal, SecretMethod};
use crate::grants::{Parameters, decode};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// An identifier and a secret of Signet, encoded, take well under this.
const LONGEST: usize = 2048;

/// What the header holds, decoded.
pub(super) struct Basic {
    id: String,
    secret: String,
}

impl Basic {
    /// The client's identifier.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// As credentials.
    pub(super) fn presented(&self) -> Presented<'_> {
        Presented::Secret { id: &self.id, secret: &self.secret, method: SecretMethod::Basic }
    }
}

/// Reads `Authorization: Basic`; `None` without the header. Any other scheme, and anything not strictly encoded, is no
/// authentication that we know.
pub(super) fn basic(headers: &HeaderMap) -> Result<Option<Basic>, OAuthError> {
    let mut values = headers.get_all(AUTHORIZATION);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(OAuthError::InvalidRequest("there is more than one Authorization header"));
    }
    parse_basic(value.as_bytes()).map(Some).ok_or_else(refused)
}

fn refused() -> OAuthError {
    OAuthError::Authentication(AuthenticationError::Refused(Refusal::Unreadable))
}

/// [RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1): both halves are form-encoded before they are
/// joined by a colon.
fn parse_basic(value: &[u8]) -> Option<Basic> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") || rest.len() > LONGEST {
        return None;
    }
    let decoded = STANDARD.decode(rest).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let half = |text| decode(text).ok().map(Cow::into_owned);
    Some(Basic { id: half(&decoded[..colon])?, secret: half(&decoded[colon + 1..])? })
}

/// The credentials of a request: exactly one kind.
pub(super) fn presented<'a>(basic: Option<&'a Basic>, form: &'a Parameters<'_>) -> Result<Presented<'a>, OAuthError> {
    let (id, secret, assertion) = (form.get("client_id"), form.get("client_secret"), form.get("client_assertion"));
    // https://www.rfc-editor.org/rfc/rfc6749#section-2.3: never more than one method in a request.
    if usize::from(basic.is_some()) + usize::from(secret.is_some()) + usize::from(assertion.is_some()) > 1 {
        return Err(OAuthError::InvalidRequest("the client authenticates in more than one way"));
    }
    if let Some(assertion) = assertion {
        return match form.get("client_assertion_type") {
            Some(ASSERTION_TYPE) => Ok(Presented::Assertion { assertion, id }),
            Some(_) => Err(OAuthError::InvalidRequest("the client_assertion_type is not supported")),
            None => Err(OAuthError::InvalidRequest("client_assertion needs client_assertion_type")),
        };
    }
    if form.get("client_assertion_type").is_some() {
        return Err(OAuthError::InvalidRequest("client_assertion_type needs client_assertion"));
    }
    if let Some(basic) = basic {
        if id.is_some_and(|id| id != basic.id) {
            return Err(OAuthError::InvalidRequest("client_id is not the client that authenticates"));
        }
        return Ok(basic.presented());
    }
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Presented::Secret { id, secret, method: SecretMethod::Post }),
        (None, Some(_)) => Err(OAuthError::InvalidRequest("client_secret needs client_id")),
        (Some(id), None) => Ok(Presented::Public { id }),
        _ => Err(OAuthError::Authentication(AuthenticationError::Refused(Refusal::Missing))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(pair: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(pair)).into_bytes()
    }

    #[test]
    fn both_halves_are_form_encoded_and_the_first_colon_parts_them() {
        for (pair, id, secret) in [
            ("a:b", "a", "b"),
            ("a:b:c", "a", "b:c"),
            ("a:%3A%2B%25+", "a", ":+% "),
            ("%61:caf%C3%A9", "a", "café"),
            ("a:", "a", ""),
        ] {
            let basic = parse_basic(&header(pair)).unwrap();
            assert_eq!((basic.id.as_str(), basic.secret.as_str()), (id, secret));
        }
        assert!(parse_basic(&[b"bAsIc ", &header("a:b")[6..]].concat()).is_some());
    }

    #[test]
    fn what_is_not_strictly_encoded_is_refused() {
        for value in [
            "",
            "Basic",
            "Basic ",
            "Bearer YTpi",
            "Basic YTpi=",
            "Basic YTp",
            "Basic YTpi\n",
            "Basic  YTpi",
            "Basic YQ==",
            "Basic YTpj\u{0}",
            "Basic YR==",
            "BasicYTpi",
        ] {
            assert!(parse_basic(value.as_bytes()).is_none(), "{value:?}");
        }
        assert!(parse_basic(&header("a:%zz")).is_none());
        assert!(parse_basic(&header(&format!("a:{}", "x".repeat(3000)))).is_none());
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_fail_otherwise(value in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_basic(&value);
            let _ = parse_basic(&[b"Basic ", value.as_slice()].concat());
        }
    }
}
