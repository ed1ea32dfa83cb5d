//! Finds the bearer token of a request ([RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)).
//!
//! Guarantees: a token is taken from the `Authorization` header alone, never from the query or a body, where it would
//! end up in logs and histories; two of them are refused before either is looked at.

use actix_web::http::header::{AUTHORIZATION, HeaderMap};

use super::error::Problem;

const SCHEME: &[u8] = b"bearer ";

/// The one token that the headers bear.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(AUTHORIZATION);
    let Some(value) = values.next() else { return Err(Problem::NoToken) };
    if values.next().is_some() {
        return Err(Problem::SeveralTokens);
    }
    // Credentials of another scheme are none for this one.
    let Some((scheme, token)) = value.as_bytes().split_at_checked(SCHEME.len()) else { return Err(Problem::NoToken) };
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(Problem::NoToken);
    }
    match str::from_utf8(token.trim_ascii_start()) {
        Ok(token) if token.bytes().all(is_token_byte) && !token.is_empty() => Ok(token),
        _ => Err(Problem::InvalidToken("it is not what a token is made of".into())),
    }
}

/// What a JWT in compact form is made of, which is less than `b64token` allows.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn the_scheme_is_read_whatever_its_case_and_the_token_exactly() {
        for value in ["Bearer a.b-c._d", "bearer a.b-c._d", "BEARER a.b-c._d", "Bearer  a.b-c._d"] {
            assert_eq!(bearer(&headers(&[value.as_bytes()])).unwrap(), "a.b-c._d", "{value}");
        }
    }

    #[test]
    fn what_is_no_bearer_token_is_told_apart_from_a_bad_one() {
        for value in ["", "Bearer", "Basic YTpi", "Bearera", "Token a", "DPoP a", "a.b.c"] {
            assert!(matches!(bearer(&headers(&[value.as_bytes()])), Err(Problem::NoToken)), "{value:?}");
        }
        assert!(matches!(bearer(&headers(&[])), Err(Problem::NoToken)));
        for value in [&b"Bearer a b"[..], b"Bearer a,b", b"Bearer \"a\"", b"Bearer a=", b"Bearer \xff", b"Bearer a\tb"]
        {
            assert!(matches!(bearer(&headers(&[value])), Err(Problem::InvalidToken(_))), "{value:?}");
        }
    }

    #[test]
    fn two_headers_are_refused_whatever_they_hold() {
        for values in [[&b"Bearer a"[..], b"Bearer a"], [b"Bearer a", b"Basic YTpi"], [b"", b""]] {
            assert!(matches!(bearer(&headers(&values)), Err(Problem::SeveralTokens)));
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_fail_otherwise(value in proptest::collection::vec(0x20u8.., 0..40)) {
            let value = [b"Bearer ", value.as_slice()].concat();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut headers = HeaderMap::new();
                headers.append(AUTHORIZATION, value);
                let _ = bearer(&headers);
            }
        }
    }
}
