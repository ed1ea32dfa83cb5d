//! The cookies that a refresh token and a device token travel in.
//!
//! Guarantees: their names have the prefix `__Host-`, so that no other host and no page over http can set it
//! ([RFC 6265bis §4.1.3.2](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3.2)), and
//! that of a refresh token carries the client, so that two clients in one browser don't overwrite each other's; scripts
//! can't read them; a request in which one stands twice, in quotes or larger than any of ours is refused.

use actix_web::http::header::{COOKIE, HeaderMap};

use crate::clients::ClientId;
use crate::http::error::{Denied, Problem};
use crate::secret::SecretText;
use crate::users::attempts::DeviceToken;

const PREFIX: &str = "__Host-signet-";
/// One a browser, whichever client; none is called so.
const DEVICE: &str = "__Host-signet_device";
/// As long as browsers keep any: 400 days
/// ([RFC 6265bis §5.5](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-5.5)).
const DEVICE_SECONDS: u64 = 400 * 86_400;
/// A refresh token is half as long.
const LONGEST: usize = 256;
/// All cookies of a request together. Browsers keep those of other programs on this host too.
const LONGEST_OF_ALL: usize = 16_384;

/// What the cookie of `client` is called. An identifier is made of characters that a name may have.
fn name(client: &ClientId) -> String {
    format!("{PREFIX}{}", client.as_str())
}

/// The refresh token that the browser keeps for `client`, if it has one.
pub(super) fn read<'h>(headers: &'h HeaderMap, client: &ClientId) -> Result<Option<&'h str>, Problem> {
    find(headers, &name(client))
}

/// The device token that the browser keeps, if it has one: any text in which ours could be.
pub(super) fn read_device(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    find(headers, DEVICE)
}

fn find<'h>(headers: &'h HeaderMap, wanted: &str) -> Result<Option<&'h str>, Problem> {
    let (mut found, mut length) = (None, 0);
    for value in headers.get_all(COOKIE) {
        length += value.len();
        if length > LONGEST_OF_ALL {
            return Err(Denied::Cookie.into());
        }
        for pair in value.as_bytes().split(|byte| *byte == b';') {
            let Some((name, value)) = std::str::from_utf8(pair).ok().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            if name.trim_matches([' ', '\t']) != wanted {
                continue;
            }
            let value = value.trim_matches([' ', '\t']);
            let is_token = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            if found.replace(value).is_some() || value.is_empty() || value.len() > LONGEST || !is_token {
                return Err(Denied::Cookie.into());
            }
        }
    }
    Ok(found)
}

/// Whether the request has any cookie of `client`, good or not.
pub(super) fn is_there(headers: &HeaderMap, client: &ClientId) -> bool {
    !matches!(read(headers, client), Ok(None))
}

/// `Set-Cookie` that has the browser keep `token` for `seconds`.
pub(super) fn set(client: &ClientId, token: &SecretText, seconds: u64) -> String {
    format!("{}={}; Max-Age={seconds}; Path=/; Secure; HttpOnly; SameSite=Strict", name(client), token.expose())
}

/// `Set-Cookie` that has the browser keep what it is known by.
pub(super) fn set_device(token: &DeviceToken) -> String {
    format!("{DEVICE}={}; Max-Age={DEVICE_SECONDS}; Path=/; Secure; HttpOnly; SameSite=Strict", token.expose())
}

/// `Set-Cookie` that has the browser forget it.
pub(super) fn clear(client: &ClientId) -> String {
    format!("{}=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict", name(client))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn found(values: &[&str]) -> Option<Option<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(COOKIE, HeaderValue::from_str(value).unwrap());
        }
        read(&headers, &ClientId::parse("web").unwrap()).ok().map(|found| found.map(str::to_owned))
    }

    #[test]
    fn the_cookie_of_the_client_is_found_among_others() {
        let token = || Some(Some("srt_a-b_9".to_owned()));
        assert_eq!(found(&["__Host-signet-web=srt_a-b_9"]), token());
        assert_eq!(found(&["a=1; __Host-signet-web=srt_a-b_9; b=\"2\""]), token());
        assert_eq!(found(&["__Host-signet-other=x; __Host-signet-web=srt_a-b_9"]), token());
        assert_eq!(found(&["a=1", "__Host-signet-web=srt_a-b_9"]), token());
        for none in
            [&[][..], &["a=1"], &["__Host-signet-webb=x"], &["__host-signet-web=x"], &["signet-web=x"], &["a; b"]]
        {
            assert_eq!(found(none), Some(None), "{none:?}");
        }
    }

    #[test]
    fn doubled_quoted_empty_and_huge_cookies_are_refused() {
        let huge = format!("__Host-signet-web={}", "a".repeat(LONGEST + 1));
        let many = "a=1; ".repeat(LONGEST_OF_ALL / 4);
        for values in [
            &["__Host-signet-web=a; __Host-signet-web=a"][..],
            &["__Host-signet-web=a; __Host-signet-web=b"],
            &["__Host-signet-web=a", "__Host-signet-web=a"],
            &["__Host-signet-web=\"a\""],
            &["__Host-signet-web="],
            &["__Host-signet-web=a b"],
            &["__Host-signet-web=a,b"],
            &["__Host-signet-web=a%20"],
            &[huge.as_str()],
            &[many.as_str()],
        ] {
            assert_eq!(found(values), None, "{values:?}");
        }
    }

    #[test]
    fn what_is_set_is_for_this_host_alone_and_for_no_script() {
        let client = ClientId::parse("web").unwrap();
        let set = set(&client, &SecretText::new("srt_x".to_owned()), 60);
        assert_eq!(set, "__Host-signet-web=srt_x; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Strict");
        let device = DeviceToken::parse("sdt_AAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(
            set_device(&device),
            "__Host-signet_device=sdt_AAAAAAAAAAAAAAAAAAAAAA; Max-Age=34560000; Path=/; Secure; HttpOnly; SameSite=Strict"
        );
        assert!(ClientId::parse("_device").is_err() || name(&ClientId::parse("_device").unwrap()) != DEVICE);
        assert_eq!(clear(&client), "__Host-signet-web=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict");
    }
}
