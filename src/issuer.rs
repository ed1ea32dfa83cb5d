//! The issuer identifier: the exact string that stands in `iss`, and every address derived from it.
//!
//! Guarantees: an [`Issuer`] is written the one way that a URL parser writes it back, so that verifiers which compare
//! strings and verifiers which compare URLs agree; nothing here ever comes from a request.

use std::fmt;

use url::{Host, Url};

/// The issuer identifier ([RFC 8414 §2](https://www.rfc-editor.org/rfc/rfc8414#section-2)), kept as it was written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Issuer {
    text: String,
    /// Where the path begins in `text`; its length when there is none.
    path_at: usize,
}

/// Why a text is no issuer identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// It can't be read as an absolute URL with a host.
    #[error("is not an absolute URL such as `https://login.example.com`")]
    NotAUrl,
    /// Neither `https` nor `http`.
    #[error("must begin with `https://`")]
    Scheme,
    /// Plain `http` beyond this machine.
    #[error("must begin with `https://`: plain http is for loopback hosts only, unless `allow_insecure_issuer = true`")]
    Insecure,
    /// A user name or a password.
    #[error("must not contain a user name or a password")]
    Userinfo,
    /// A query, even an empty one.
    #[error("must not contain a query (`?`)")]
    Query,
    /// A fragment, even an empty one.
    #[error("must not contain a fragment (`#`)")]
    Fragment,
    /// A trailing slash: `iss` is compared byte by byte, and the slash is what people forget.
    #[error("must not end with a slash: write it without")]
    TrailingSlash,
    /// A path of other than plain segments.
    #[error("has a path of other than plain segments (letters, digits, `-`, `.`, `_`, `~` between single slashes)")]
    Path,
    /// Not in the form in which a URL parser writes it.
    #[error("is not in its normal form: write `{normal}`")]
    NotNormal {
        /// The same URL as it should be written.
        normal: String,
    },
}

impl Issuer {
    /// Reads an issuer identifier; `allow_insecure` admits plain `http` for any host.
    ///
    /// # Errors
    /// The first rule that the text breaks. No error repeats a user name or a password.
    pub fn parse(text: &str, allow_insecure: bool) -> Result<Self, IssuerError> {
        let url = Url::parse(text).map_err(|_| IssuerError::NotAUrl)?;
        let host = url.host().ok_or(IssuerError::NotAUrl)?;
        // RFC 8414 §2: https, no query and no fragment components.
        match url.scheme() {
            "https" => {}
            "http" if allow_insecure || is_loopback(&host) => {}
            "http" => return Err(IssuerError::Insecure),
            _ => return Err(IssuerError::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(IssuerError::Userinfo);
        }
        if url.fragment().is_some() {
            return Err(IssuerError::Fragment);
        }
        if url.query().is_some() {
            return Err(IssuerError::Query);
        }
        if text.ends_with('/') {
            return Err(IssuerError::TrailingSlash);
        }
        // RFC 8414 §3.3 compares identifiers as strings: two spellings of one URL are two issuers, so one is admitted.
        let normal = url.as_str().trim_end_matches('/');
        if normal != text {
            return Err(IssuerError::NotNormal { normal: normal.to_owned() });
        }
        let path = url.path().trim_end_matches('/');
        if !path.split('/').skip(1).all(is_plain_segment) {
            return Err(IssuerError::Path);
        }
        Ok(Self { text: text.to_owned(), path_at: text.len() - path.len() })
    }

    /// The identifier, exactly as configured: the value of `iss`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its path without a trailing slash: empty, or such as `/t1`.
    pub fn path(&self) -> &str {
        self.text.get(self.path_at..).unwrap_or("")
    }

    /// The address of an endpoint whose path, within the issuer, is `path` (it begins with a slash).
    pub fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// The path, on this server, of the endpoint whose path within the issuer is `path`.
    pub fn endpoint_path(&self, path: &str) -> String {
        format!("{}{path}", self.path())
    }

    /// Where the public keys are.
    pub fn jwks_uri(&self) -> String {
        self.endpoint("/.well-known/jwks.json")
    }

    /// Where tokens are asked for.
    pub fn token_endpoint(&self) -> String {
        self.endpoint("/oauth2/token")
    }

    /// Scheme, host and port: the issuer without its path.
    pub fn origin(&self) -> &str {
        self.as_str().strip_suffix(self.path()).unwrap_or(self.as_str())
    }

    /// The audience of tokens for Signet's own admin API, a reserved resource.
    pub fn admin_audience(&self) -> String {
        self.endpoint("/admin")
    }

    /// The path of the authorization server metadata: the well-known name goes *before* the issuer's path
    /// ([RFC 8414 §3.1](https://www.rfc-editor.org/rfc/rfc8414#section-3.1)).
    pub fn oauth_metadata_path(&self) -> String {
        format!("/.well-known/oauth-authorization-server{}", self.path())
    }

    /// The path of the OpenID provider metadata: the well-known name goes *after* the issuer's path
    /// ([OpenID Connect Discovery §4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig)).
    pub fn openid_metadata_path(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.path())
    }

    /// The same document at the path that RFC 8414 readers try
    /// ([RFC 8414 §5](https://www.rfc-editor.org/rfc/rfc8414#section-5)); the same path when the issuer has none.
    pub fn openid_metadata_inserted_path(&self) -> String {
        format!("/.well-known/openid-configuration{}", self.path())
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        // RFC 6761 §6.3: `localhost` and all below it.
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

/// Unreserved characters only ([RFC 3986 §2.3](https://www.rfc-editor.org/rfc/rfc3986#section-2.3)): what a router
/// and a proxy read alike.
fn is_plain_segment(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_issuer_is_kept_exactly_and_names_its_addresses() {
        let issuer = Issuer::parse("https://login.example.com", false).unwrap();
        assert_eq!(issuer.as_str(), "https://login.example.com");
        assert_eq!(issuer.path(), "");
        assert_eq!(issuer.jwks_uri(), "https://login.example.com/.well-known/jwks.json");
        assert_eq!(issuer.token_endpoint(), "https://login.example.com/oauth2/token");
        assert_eq!(issuer.admin_audience(), "https://login.example.com/admin");
        assert_eq!(issuer.oauth_metadata_path(), "/.well-known/oauth-authorization-server");
        assert_eq!(issuer.openid_metadata_path(), "/.well-known/openid-configuration");
        assert_eq!(issuer.openid_metadata_inserted_path(), "/.well-known/openid-configuration");
    }

    #[test]
    fn the_path_of_an_issuer_goes_where_each_specification_puts_it() {
        let issuer = Issuer::parse("https://example.com:8443/a/t1", false).unwrap();
        assert_eq!(issuer.path(), "/a/t1");
        assert_eq!(issuer.endpoint_path("/oauth2/token"), "/a/t1/oauth2/token");
        assert_eq!(issuer.jwks_uri(), "https://example.com:8443/a/t1/.well-known/jwks.json");
        assert_eq!(issuer.oauth_metadata_path(), "/.well-known/oauth-authorization-server/a/t1");
        assert_eq!(issuer.openid_metadata_path(), "/a/t1/.well-known/openid-configuration");
        assert_eq!(issuer.openid_metadata_inserted_path(), "/.well-known/openid-configuration/a/t1");
    }

    #[test]
    fn plain_http_is_for_loopback_hosts_or_by_leave() {
        for text in [
            "http://127.0.0.1:8080",
            "http://127.8.9.1",
            "http://[::1]:8080",
            "http://localhost:8080/t1",
            "http://signet.localhost",
        ] {
            assert!(Issuer::parse(text, false).is_ok(), "{text}");
        }
        for text in [
            "http://signet",
            "http://10.0.0.1:8080",
            "http://localhost.example.com",
            "http://notlocalhost",
            "http://[::ffff:127.0.0.1]",
            "http://0.0.0.0:8080",
        ] {
            if text.contains("ffff") {
                assert!(Issuer::parse(text, false).is_err(), "{text}");
                continue;
            }
            assert_eq!(Issuer::parse(text, false), Err(IssuerError::Insecure), "{text}");
            assert!(Issuer::parse(text, true).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_issuer_is_refused_by_the_rule_it_breaks() {
        for (text, error) in [
            ("", IssuerError::NotAUrl),
            ("login.example.com", IssuerError::NotAUrl),
            ("https://", IssuerError::NotAUrl),
            ("urn:example:issuer", IssuerError::NotAUrl),
            ("ftp://example.com", IssuerError::Scheme),
            ("https://u:p@example.com", IssuerError::Userinfo),
            ("https://u@example.com", IssuerError::Userinfo),
            ("https://example.com?", IssuerError::Query),
            ("https://example.com/a?b=c", IssuerError::Query),
            ("https://example.com#", IssuerError::Fragment),
            ("https://example.com/", IssuerError::TrailingSlash),
            ("https://example.com/t1/", IssuerError::TrailingSlash),
            ("https://example.com//t1", IssuerError::Path),
            ("https://example.com/%74", IssuerError::Path),
            ("https://example.com/a;b", IssuerError::Path),
        ] {
            assert_eq!(Issuer::parse(text, true), Err(error), "{text}");
        }
    }

    #[test]
    fn another_spelling_of_the_same_url_is_refused_with_the_normal_one() {
        for (text, normal) in [
            ("HTTPS://example.com", "https://example.com"),
            ("https://Example.com/T1", "https://example.com/T1"),
            ("https://example.com:443", "https://example.com"),
            ("https://example.com/a/../b", "https://example.com/b"),
            ("https://example.com\\t1", "https://example.com/t1"),
            (" https://example.com", "https://example.com"),
            ("https://exa\nmple.com", "https://example.com"),
            ("https://@example.com", "https://example.com"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://0x7f.1", "https://127.0.0.1"),
        ] {
            let normal = IssuerError::NotNormal { normal: normal.to_owned() };
            assert_eq!(Issuer::parse(text, false), Err(normal), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_admitted_issuer_is_what_a_url_parser_writes(text in "https?://[a-zA-Z0-9.:@/?#%~\\[\\]-]{0,24}") {
            if let Ok(issuer) = Issuer::parse(&text, true) {
                prop_assert_eq!(issuer.as_str(), text.as_str());
                let url = Url::parse(&text).unwrap();
                prop_assert_eq!(url.as_str().trim_end_matches('/'), text.as_str());
                prop_assert_eq!(url.path().trim_end_matches('/'), issuer.path());
                prop_assert!(Url::parse(&issuer.jwks_uri()).unwrap().path() == issuer.endpoint_path("/.well-known/jwks.json"));
            }
        }
    }
}
