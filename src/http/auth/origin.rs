//! Which pages may call, and what they may read
//! ([CORS](https://fetch.spec.whatwg.org/#http-cors-protocol)).
//!
//! Guarantees: an origin is compared as an exact text; `null` and any origin that no first-party client registered are
//! refused before anything is read, and get no header that would let the page read the answer; the origin of the issuer
//! itself needs no registration. A cookie counts only with an origin and a header of our own, which no form can send.

use actix_web::dev::RequestHead;
use actix_web::http::header::{self, HeaderName, HeaderValue};

use crate::clients::Client;
use crate::http::Http;
use crate::http::answer::Answer;
use crate::http::error::{Denied, Problem, no_content};

/// What every call with a cookie has, so that it can't come of a form or a plain link.
const CSRF: HeaderName = HeaderName::from_static("x-signet-csrf");
const CSRF_VALUE: &[u8] = b"1";

const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, x-signet-csrf");
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("www-authenticate, retry-after, ratelimit, ratelimit-policy, x-request-id");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const VARY: HeaderValue = HeaderValue::from_static("origin");
/// For how long a browser may keep the answer to a preflight: what is registered may change.
const PREFLIGHT_KEPT: HeaderValue = HeaderValue::from_static("600");

/// The page that a request comes from.
pub(super) struct Pages {
    origin: Origin,
}

enum Origin {
    /// No page, or one of the issuer's own that need not say so.
    Unsaid,
    /// One that some first-party client has registered, or the issuer's own.
    Known(HeaderValue),
    /// Any other, or more than one.
    Foreign,
}

impl Pages {
    pub(super) fn of(http: &Http, head: &RequestHead) -> Self {
        let mut values = head.headers.get_all(header::ORIGIN);
        let origin = match (values.next(), values.next()) {
            (None, _) => Origin::Unsaid,
            (Some(value), None) if value.to_str().is_ok_and(|origin| is_known(http, origin)) => {
                Origin::Known(value.clone())
            }
            _ => Origin::Foreign,
        };
        Self { origin }
    }

    /// Refuses pages that nobody registered.
    pub(super) fn check(&self) -> Result<(), Problem> {
        match self.origin {
            Origin::Foreign => Err(Denied::OriginNotAllowed.into()),
            Origin::Unsaid | Origin::Known(_) => Ok(()),
        }
    }

    /// Lets the page read the answer, where it may.
    pub(super) fn mark(&self, answer: Answer) -> Answer {
        let answer = answer.with(header::VARY, VARY);
        match &self.origin {
            Origin::Known(origin) => answer
                .with(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())
                .with(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE)
                .with(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS),
            Origin::Unsaid | Origin::Foreign => answer,
        }
    }
}

/// The answer to a preflight, of a path that knows the methods `allow`.
pub(in crate::http) fn preflight(http: &Http, head: &RequestHead, allow: &HeaderValue) -> Answer {
    let pages = Pages::of(http, head);
    let answer = pages.mark(no_content());
    match pages.origin {
        Origin::Known(_) => answer
            .with(header::ACCESS_CONTROL_ALLOW_METHODS, allow.clone())
            .with(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS)
            .with(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_KEPT),
        Origin::Unsaid | Origin::Foreign => answer,
    }
}

fn is_known(http: &Http, origin: &str) -> bool {
    origin == http.services.issuer.origin() || http.services.directory.has_web_origin(origin)
}

/// Refuses a page that the client did not register. What is no page says no origin.
pub(super) fn check(http: &Http, head: &RequestHead, client: &Client) -> Result<(), Problem> {
    match said(head)? {
        None => Ok(()),
        Some(origin) if is_of(http, client, origin) => Ok(()),
        Some(_) => Err(Denied::OriginNotAllowed.into()),
    }
}

/// Whether a page made the call by a script of its own: it says its origin, which is some client's ([`Pages::check`]), and
/// has the header that takes a preflight. For calls of no client in particular.
pub(super) fn is_page_call(head: &RequestHead) -> bool {
    is_marked(head) && matches!(said(head), Ok(Some(_)))
}

fn is_marked(head: &RequestHead) -> bool {
    let mut values = head.headers.get_all(CSRF);
    matches!((values.next(), values.next()), (Some(value), None) if value.as_bytes() == CSRF_VALUE)
}

/// Refuses a call with a cookie that a foreign page could have made: without an origin of the client's, or without the
/// header that takes a preflight.
pub(super) fn check_cookie_call(http: &Http, head: &RequestHead, client: &Client) -> Result<(), Problem> {
    if !is_marked(head) {
        return Err(Denied::Csrf.into());
    }
    match said(head)? {
        Some(origin) if is_of(http, client, origin) => Ok(()),
        Some(_) => Err(Denied::OriginNotAllowed.into()),
        None => Err(Denied::Csrf.into()),
    }
}

fn said(head: &RequestHead) -> Result<Option<&str>, Problem> {
    let mut values = head.headers.get_all(header::ORIGIN);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Denied::OriginNotAllowed.into()),
        (Some(_), Some(_)) => Err(Denied::OriginNotAllowed.into()),
    }
}

fn is_of(http: &Http, client: &Client, origin: &str) -> bool {
    client.has_web_origin(origin) || origin == http.services.issuer.origin()
}
