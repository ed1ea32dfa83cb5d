//! An answer before it is an HTTP response.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Bytes;

use super::bodiless::in_turn;

/// How long anyone may keep an answer.
#[derive(Debug, Clone)]
pub(super) enum Caching {
    /// Never: it holds a secret, or is good for this moment only.
    NoStore,
    /// As the header says.
    Public(HeaderValue),
}

/// Status, headers and body, and what the log is to know of them.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: HeaderValue,
    pub(super) caching: Caching,
    /// Pages of any origin may read it: it is public, and no credentials are involved.
    pub(super) open_to_all: bool,
    /// The strong tag of its bytes.
    pub(super) etag: Option<HeaderValue>,
    /// What few answers have besides.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    pub(super) note: Note,
}

/// For the request's line in the log.
#[derive(Debug, Default)]
pub(super) struct Note {
    /// Who called, once that is known.
    pub(super) client: Option<String>,
    /// The error's code on the wire.
    pub(super) error: Option<&'static str>,
    /// What the caller does not get to know.
    pub(super) detail: Option<Cow<'static, str>>,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
const TWO_YEARS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains; preload");

impl Answer {
    /// 200 with JSON that no one may keep.
    pub(super) fn json(body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: JSON,
            caching: Caching::NoStore,
            open_to_all: false,
            etag: None,
            headers: Vec::new(),
            body: body.into(),
            note: Note::default(),
        }
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds a header whose value is made of text; left out where that is no header's value.
    pub(super) fn with_text(self, name: HeaderName, value: String) -> Self {
        match HeaderValue::try_from(value) {
            Ok(value) => self.with(name, value),
            Err(_) => self,
        }
    }

    /// The response, with what every response has: each header is new, so appending is all it takes. `over_tls` is
    /// whether clients reach this issuer by https only.
    pub(super) fn respond(self, request_id: HeaderValue, over_tls: bool) -> HttpResponse {
        let Self { status, content_type, caching, open_to_all, etag, headers: more, body, note: _ } = self;
        let has_body = !body.is_empty();
        let mut response = HttpResponse::with_body(status, BoxBody::new(body));
        let headers = response.headers_mut();
        if has_body {
            headers.append(header::CONTENT_TYPE, content_type);
        }
        headers.append(
            header::CACHE_CONTROL,
            match caching {
                Caching::NoStore => NO_STORE,
                Caching::Public(value) => value,
            },
        );
        headers.append(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
        if over_tls {
            headers.append(header::STRICT_TRANSPORT_SECURITY, TWO_YEARS);
        }
        headers.append(REQUEST_ID, request_id);
        if open_to_all {
            headers.append(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
        }
        if let Some(etag) = etag {
            headers.append(header::ETAG, etag);
        }
        for (name, value) in more {
            headers.append(name, value);
        }
        match status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => in_turn(response),
            _ => response,
        }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
