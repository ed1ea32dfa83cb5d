//! The JWKS and the metadata documents.
//!
//! Guarantees: the JWKS is sent from bytes rendered once per change; every document names the configured issuer,
//! whatever the request's `Host` says; the metadata list what works, from the very tables that make it work.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::Bytes;
use arc_swap::ArcSwapOption;
use serde_json::{Value, json};
use signet_verify::Algorithm;

use super::answer::{Answer, Caching};
use super::error::not_modified;
use crate::clients::ClientAuthentication;
use crate::grants::GRANTS;
use crate::issuer::Issuer;
use crate::keys::{Jwks, KeyRing, SHORTEST_MAX_AGE, stale_while_revalidate};
use crate::ports::Timestamp;

/// [RFC 7517 §8.5](https://www.rfc-editor.org/rfc/rfc7517#section-8.5).
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// The documents, rendered once.
#[derive(Debug, Clone)]
pub struct Metadata {
    oauth: Bytes,
    openid: Bytes,
}

impl Metadata {
    /// Renders the documents of `issuer`.
    pub fn new(issuer: &Issuer) -> Self {
        let oauth = oauth_metadata(issuer);
        let mut openid = oauth.clone();
        // When absent, a client must take this to be supported:
        // https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
        openid["request_uri_parameter_supported"] = json!(false);
        Self { oauth: oauth.to_string().into(), openid: openid.to_string().into() }
    }

    /// `/.well-known/oauth-authorization-server`
    /// ([RFC 8414 §3](https://www.rfc-editor.org/rfc/rfc8414#section-3)).
    pub(super) fn oauth(&self, max_age: Duration) -> Answer {
        document(self.oauth.clone(), max_age)
    }

    /// `/.well-known/openid-configuration`.
    pub(super) fn openid(&self, max_age: Duration) -> Answer {
        document(self.openid.clone(), max_age)
    }
}

fn oauth_metadata(issuer: &Issuer) -> Value {
    let grants: Vec<&str> = GRANTS.iter().map(|grant| grant.kind.name()).collect();
    json!({
        "issuer": issuer.as_str(),
        "token_endpoint": issuer.token_endpoint(),
        "jwks_uri": issuer.jwks_uri(),
        "grant_types_supported": grants,
        "token_endpoint_auth_methods_supported": ClientAuthentication::METHODS,
        "token_endpoint_auth_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::name),
    })
}

fn document(body: Bytes, max_age: Duration) -> Answer {
    Answer { caching: public(max_age, stale_while_revalidate(max_age)), open_to_all: true, ..Answer::json(body) }
}

fn public(max_age: Duration, stale: Duration) -> Caching {
    let text = format!("public, max-age={}, stale-while-revalidate={}", max_age.as_secs(), stale.as_secs());
    HeaderValue::try_from(text).map_or(Caching::NoStore, Caching::Public)
}

/// The answer to a preflight of a public document.
pub(super) fn preflight(answer: Answer) -> Answer {
    Answer { open_to_all: true, ..answer }
        .with(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"))
        .with(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("If-None-Match"))
        .with(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"))
}

/// The JWKS with its headers, rendered once per change.
pub struct PublishedKeys {
    ring: Arc<KeyRing>,
    max_age: Duration,
    rendered: ArcSwapOption<Rendered>,
}

struct Rendered {
    of: Arc<Jwks>,
    max_age: Duration,
    caching: Caching,
    etag: HeaderValue,
    body: Bytes,
}

impl PublishedKeys {
    /// Publishes the keys of `ring`, which verifiers may keep for `max_age` when no change is near.
    pub fn new(ring: Arc<KeyRing>, max_age: Duration) -> Self {
        Self { ring, max_age, rendered: ArcSwapOption::empty() }
    }

    /// The public keys, or 304 to whom has them.
    pub(super) fn answer(&self, headers: &HeaderMap, now: Timestamp) -> Answer {
        let jwks = self.ring.jwks();
        let stale = stale_while_revalidate(self.max_age);
        let holds_for = self.ring.jwks_holds_for(now).saturating_sub(stale);
        let max_age = shortened(self.max_age, jwks.next_change(), holds_for, now);
        // What was rendered before, while neither keys nor age have changed since.
        match self.rendered.load().as_ref() {
            Some(known) if Arc::ptr_eq(&known.of, &jwks) && known.max_age == max_age => known.answer(headers),
            _ => {
                let rendered = Arc::new(Rendered::new(jwks, max_age, stale));
                let answer = rendered.answer(headers);
                self.rendered.store(Some(rendered));
                answer
            }
        }
    }
}

impl Rendered {
    fn new(jwks: Arc<Jwks>, max_age: Duration, stale: Duration) -> Self {
        Self {
            max_age,
            caching: public(max_age, stale),
            // Quotes and base64url: always a header's value.
            etag: HeaderValue::from_str(jwks.etag()).unwrap_or_else(|_| HeaderValue::from_static("\"\"")),
            body: Bytes::from_owner(Arc::clone(jwks.body())),
            of: jwks,
        }
    }

    fn answer(&self, headers: &HeaderMap) -> Answer {
        let answer = Answer {
            content_type: JWK_SET,
            caching: self.caching.clone(),
            open_to_all: true,
            etag: Some(self.etag.clone()),
            ..Answer::json(self.body.clone())
        };
        let etag = self.etag.as_bytes();
        let held = headers.get_all(header::IF_NONE_MATCH).any(|value| has_etag(value.as_bytes(), etag));
        if held { not_modified(answer) } else { answer }
    }
}

/// `max_age`; or the time until the next change where that is nearer, so that caches ask again once it has happened; or
/// for how long the set holds where that is shorter, because this replica has long not heard of what others publish.
fn shortened(max_age: Duration, next_change: Option<Timestamp>, holds_for: Duration, now: Timestamp) -> Duration {
    let until_change = next_change.map_or(Duration::MAX, |change| change.since(now));
    let least = until_change.min(holds_for).max(SHORTEST_MAX_AGE);
    max_age.min(Duration::from_secs(least.as_secs()))
}

/// The weak comparison that `If-None-Match` asks for
/// ([RFC 9110 §13.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2)).
fn has_etag(header: &[u8], etag: &[u8]) -> bool {
    header
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|value| value == b"*" || value.strip_prefix(b"W/").unwrap_or(value) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_found_in_a_list_weak_or_as_a_star() {
        for header in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*", " \"a\" "] {
            assert!(has_etag(header.as_bytes(), b"\"a\""), "{header}");
        }
        for header in ["", "a", "\"b\"", "\"A\"", "\"a", "w/\"a\""] {
            assert!(!has_etag(header.as_bytes(), b"\"a\""), "{header}");
        }
    }

    #[test]
    fn the_age_is_shortened_only_when_a_change_is_near() {
        let (now, max) = (Timestamp::from_secs(1000), Duration::from_secs(300));
        for (change, age) in [(None, 300), (Some(5000), 300), (Some(1100), 100), (Some(1001), 5), (Some(900), 5)] {
            let change = change.map(Timestamp::from_secs);
            assert_eq!(shortened(max, change, max, now), Duration::from_secs(age));
        }
        for (holds_for, age) in [(301, 300), (299, 299), (6, 6), (5, 5), (4, 5), (0, 5)] {
            assert_eq!(shortened(max, None, Duration::from_secs(holds_for), now), Duration::from_secs(age));
        }
        let second = Duration::from_secs(1);
        assert_eq!(shortened(second, Some(now), Duration::ZERO, now), second, "never longer than the settings say");
    }
}
