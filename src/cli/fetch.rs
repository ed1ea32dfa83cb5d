//! Requests to other servers, bounded in time and size.
//!
//! Guarantees: http and https only, no redirect is followed, an answer is read to its limit and no further; a server
//! that can't be reached is told apart from one that answers badly.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, RequestBuilder, redirect};
use url::{Host, Url};

use super::output::plain;
use super::{Failure, system_error};

/// How long a request may take, from the first packet to the last, where nobody says otherwise.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

const UNKNOWN_AUTHORITY: &str = "its certificate is of an authority that this machine does not trust (for one of your \
                                 own, name its PEM file in the environment variable SSL_CERT_FILE)";

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Reads the URL of a server.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "it is not a URL such as https://login.example.com/…".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("only http and https are possible".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user name or password in a URL ends up in logs: leave it out".to_owned());
    }
    Ok(url)
}

/// Whether what is sent to `url` stays on this machine or is encrypted.
pub(super) fn is_private(url: &Url) -> bool {
    url.scheme() == "https"
        || match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        }
}

/// A client for requests to `url`.
pub(super) fn client(url: &Url) -> Result<Client, Failure> {
    let mut builder = builder();
    if url.scheme() == "http" {
        // Without TLS no certificates are needed, and a machine that has none can still ask.
        builder = builder.tls_certs_only([]);
    }
    built(builder)
}

/// A client that takes whoever answers for the server: only for a question without secrets, to this machine, whose
/// answer would be believed over plain http too.
pub(super) fn client_of_unverified_server() -> Result<Client, Failure> {
    built(builder().tls_danger_accept_invalid_certs(true))
}

fn builder() -> ClientBuilder {
    Client::builder().redirect(redirect::Policy::none()).user_agent(concat!("signet/", env!("CARGO_PKG_VERSION")))
}

fn built(builder: ClientBuilder) -> Result<Client, Failure> {
    builder.build().map_err(|error| Failure::Unavailable(format!("no request can be made: {}", cause(&error))))
}

/// Sends `request` to `url` and reads at most `most` bytes of the answer.
pub(super) async fn send(url: &Url, request: RequestBuilder, most: usize) -> Result<Answer, Failure> {
    send_within(TIMEOUT, url, request, most).await
}

/// As [`send`], in as much as `limit`.
pub(super) async fn send_within(
    limit: Duration,
    url: &Url,
    request: RequestBuilder,
    most: usize,
) -> Result<Answer, Failure> {
    let server = shown(url);
    let lost = |error: reqwest::Error| {
        let why = if error.is_timeout() {
            format!("no answer within {} s", limit.as_secs())
        } else if is_of_unknown_authority(&error) {
            UNKNOWN_AUTHORITY.to_owned()
        } else {
            cause(&error)
        };
        Failure::Unavailable(format!("{server} can't be reached: {why}"))
    };
    let mut response = request.timeout(limit).send().await.map_err(lost)?;
    let status = response.status();
    if status.is_redirection() {
        return Err(Failure::Refused(format!(
            "{server} redirects elsewhere, which is not followed: name the right address"
        )));
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(lost)? {
        if body.len() + part.len() > most {
            return Err(Failure::Refused(format!("the answer of {server} is longer than {most} bytes")));
        }
        body.extend_from_slice(&part);
    }
    Ok(Answer { status: status.as_u16(), body })
}

/// The answer of a server that has nothing to say but yes.
pub(super) async fn get(url: &Url, most: usize) -> Result<Vec<u8>, Failure> {
    let answer = send(url, client(url)?.get(url.clone()), most).await?;
    match answer.status {
        200 => Ok(answer.body),
        status @ (429 | 500..) => Err(Failure::Unavailable(format!("{} answers with status {status}", shown(url)))),
        status => Err(Failure::Refused(format!("{} answers with status {status}", shown(url)))),
    }
}

/// The address for a message: what follows `?` may be secret.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    plain(url.as_str())
}

/// The innermost cause: the layers around it only say that something failed.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = error.source().map_or_else(|| error.to_string(), |_| innermost.to_string());
    let text = system_error::without_number(&text);
    let mut signs = text.chars();
    plain(&signs.next().map(|first| first.to_lowercase().chain(signs).collect::<String>()).unwrap_or_default())
}

/// Whether a server's certificate leads to no root that is trusted here. The roots are the system's, or those that
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` name in their place.
fn is_of_unknown_authority(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        // An I/O error answers for its source with that of what it wraps.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = error.downcast_ref().or_else(|| wrapped.and_then(|wrapped| wrapped.downcast_ref()));
        if let Some(rustls::Error::InvalidCertificate(why)) = tls {
            return *why == rustls::CertificateError::UnknownIssuer;
        }
        cause = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_servers_are_taken() {
        for text in ["file:///etc/passwd", "ftp://a.example", "a.example/jwks", "https://u:p@a.example", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("https://a.example/jwks").is_ok());
    }

    #[test]
    fn a_secret_goes_in_plain_text_to_this_machine_only() {
        for (text, private) in [
            ("https://a.example", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]", true),
            ("http://signet.localhost", true),
            ("http://a.example", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(is_private(&Url::parse(text).unwrap()), private, "{text}");
        }
    }
}
