//! What requests leave in the metrics: the facade that the request path records through, whoever counts.
//!
//! Guarantees: nothing that a client chose is recorded. A route is named as the table has it, a method is one of
//! [`METHODS`], an error is one of the codes that this server has.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::HeaderValue;
use signet_verify::Algorithm;

use super::answer::Answer;
use super::table::Listener;
use crate::clients::GrantType;

/// The methods that are told apart; all others are the sender's choice of words, and are `other`.
pub const METHODS: [&str; 9] = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", OTHER];
const OTHER: &str = "other";

/// How requests to no route are counted: their paths are the senders' choice of words.
pub const NO_ROUTE: &str = "-";

/// Counts what happens. On the path of every request: recording neither waits nor allocates.
pub trait Meter: Send + Sync {
    /// The counters of a route of `listener`. Asked for once a route and worker; `path` is that of the table, or
    /// [`NO_ROUTE`].
    fn route(&self, listener: Listener, path: &str) -> Arc<dyn RouteMeter>;

    /// A token was issued.
    fn token_issued(&self, grant: GrantType, algorithm: Algorithm);

    /// A token request was answered with the OAuth error `code`. No grant, when it was not understood so far.
    fn token_refused(&self, grant: Option<GrantType>, code: &'static str);

    /// A client's credentials were refused, for one of [`Refusal::REASONS`](crate::clients::Refusal::REASONS).
    fn client_refused(&self, reason: &'static str);

    /// Somebody logged in, or tried to: one of [`LOGIN_OUTCOMES`](super::LOGIN_OUTCOMES) or of
    /// [`LoginRefusal::REASONS`](crate::users::LoginRefusal::REASONS).
    fn login(&self, outcome: &'static str);

    /// All that was counted, and what holds now, in the
    /// [text format of Prometheus](https://prometheus.io/docs/instrumenting/exposition_formats/).
    fn page(&self) -> String;
}

/// Counts the requests to one route.
pub trait RouteMeter: Send + Sync {
    /// One was answered with `status`, after `took`. `method` is a place in [`METHODS`].
    fn answered(&self, method: usize, status: u16, took: Duration);
}

/// `GET /metrics`.
pub(super) fn page(meter: &dyn Meter) -> Answer {
    Answer {
        content_type: HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
        ..Answer::json(meter.page())
    }
}

/// The method's place in [`METHODS`].
pub(super) fn place(method: &Method) -> usize {
    METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_http_does_not_have_is_another() {
        for known in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::TRACE] {
            assert_eq!(METHODS[place(&known)], known.as_str());
        }
        for unknown in ["get", "Get", "PROPFIND", "A-LABEL", "other", "CONNECT"] {
            let method = Method::from_bytes(unknown.as_bytes()).unwrap_or_default();
            assert_eq!(METHODS[place(&method)], OTHER, "{unknown}");
        }
    }
}
