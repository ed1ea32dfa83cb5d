//! Web origins: which pages may call for a client.
//!
//! Guarantees: an origin is kept as browsers send it in `Origin`
//! ([RFC 6454 §6.2](https://www.rfc-editor.org/rfc/rfc6454#section-6.2)), so that comparing texts is comparing origins;
//! it is one of a secure context: https, or http on this machine; `null` is none.

use std::fmt;

use url::{Host, Url};

/// Names longer than any host has.
const LONGEST: usize = 300;

/// A scheme, a host and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebOrigin(Box<str>);

/// What is no [`WebOrigin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not as a browser sends it.
    #[error(
        "an origin is written as browsers send it: scheme, host in lower case, and the port where it is not the \
         scheme's own, such as `https://app.example`; no path, no wildcard, and never `null`"
    )]
    Malformed,
    /// Anyone on the way could put a page there.
    #[error("an origin is of https, or of http on localhost, 127.0.0.1 or [::1]")]
    Insecure,
}

impl WebOrigin {
    /// Reads an origin, which must be written in the one way in which browsers write it.
    ///
    /// # Errors
    /// When it is none, or not one of a secure context.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if text.len() > LONGEST {
            return Err(OriginError::Malformed);
        }
        let url = Url::parse(text).map_err(|_| OriginError::Malformed)?;
        // Whatever else stands in it, or is written otherwise, is not in the origin that is made of it.
        if url.origin().ascii_serialization() != text || text.contains('*') {
            return Err(OriginError::Malformed);
        }
        let local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return Err(OriginError::Malformed),
        };
        match url.scheme() {
            "https" => Ok(Self(text.into())),
            "http" if local => Ok(Self(text.into())),
            "http" => Err(OriginError::Insecure),
            _ => Err(OriginError::Malformed),
        }
    }

    /// As browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebOrigin({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_of_secure_contexts_are_taken_as_they_are_written() {
        for text in [
            "https://app.example",
            "https://app.example:8443",
            "https://xn--bcher-kva.example",
            "https://192.0.2.1",
            "https://[2001:db8::1]:444",
            "http://localhost",
            "http://localhost:5173",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
        ] {
            assert_eq!(WebOrigin::parse(text).map(|origin| origin.as_str().to_owned()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_a_browser_would_not_send_so_is_no_origin() {
        for text in [
            "",
            "null",
            "*",
            "app.example",
            "https://",
            "https://*.app.example",
            "https://app.example/",
            "https://app.example/path",
            "https://app.example?",
            "https://app.example#",
            "https://app.example:443",
            "http://localhost:80",
            "https://APP.example",
            "HTTPS://app.example",
            "https://user@app.example",
            "https://bücher.example",
            " https://app.example",
            "https://app.example ",
            "https://app.example\n",
            "https://app.example:",
            "https://app.example:0443",
            "https://0x7f.1",
            "file:///etc",
            "javascript:alert(1)",
            "chrome-extension://abc",
            "data:text/html,x",
            "https://a.example,https://b.example",
        ] {
            assert_eq!(WebOrigin::parse(text), Err(OriginError::Malformed), "{text:?}");
        }
        assert_eq!(WebOrigin::parse(&format!("https://{}.example", "a".repeat(300))), Err(OriginError::Malformed));
    }

    #[test]
    fn pages_that_anyone_on_the_way_could_make_are_not_let_in() {
        for text in ["http://app.example", "http://192.0.2.1", "http://localhost.example", "http://10.0.0.1:80"] {
            let text = text.trim_end_matches(":80");
            assert_eq!(WebOrigin::parse(text), Err(OriginError::Insecure), "{text}");
        }
    }
}
