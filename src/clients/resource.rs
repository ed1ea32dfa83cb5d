//! Resources: the services that tokens are for.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use signet_verify::Algorithm;
use url::Url;

use super::version::first_version;
use super::{ClaimError, PersonClaims, ScopeError, ScopeSet};
use crate::issuer::Issuer;
use crate::ports::Timestamp;

/// What `<issuer>/admin` offers. A scope beyond the caller's own can never be given away; `keys:import` is everything,
/// since whoever brings a signing key can sign anything. `users:import` may take over identifiers that resources know
/// people by, and `users:export` gives what passwords can be guessed from: neither comes with `users:write`.
pub const ADMIN_SCOPES: &str = "keys:read keys:write keys:import clients:read clients:write resources:read \
     resources:write users:read users:write users:import users:export sessions:read sessions:write audit:read";

const ADMIN: &str = "/admin";
const MAX_IDENTIFIER: usize = 512;
const MAX_NAME: usize = 200;
const MAX_SCOPES: usize = 200;
/// All of a resource's scopes together, in bytes, so that a token with every one of them still fits where tokens travel.
const MAX_SCOPE_TEXT: usize = 4096;
/// The identifier and all scopes of a resource that asks for claims, together, in bytes: beside the claims of one person,
/// which are bounded where the account is described, that leaves a token of less than 4 kB.
const MAX_TEXT_WITH_CLAIMS: usize = 512;

/// The name of a resource: an absolute URI without fragment, compared as an exact string
/// ([RFC 8707 §2](https://www.rfc-editor.org/rfc/rfc8707#section-2)), or the reserved admin resource, which is kept as
/// the reference `/admin` so that it follows a change of the issuer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(Box<str>);

impl ResourceId {
    /// The reserved resource `<issuer>/admin`.
    pub fn admin() -> Self {
        Self(ADMIN.into())
    }

    /// Whether this is the reserved resource.
    pub fn is_admin(&self) -> bool {
        &*self.0 == ADMIN
    }

    /// Reads what a person or a request names: an absolute URI, or `<issuer>/admin` for the reserved resource.
    pub fn parse(text: &str, issuer: &Issuer) -> Result<Self, ResourceError> {
        if text == issuer.admin_audience() {
            return Ok(Self::admin());
        }
        let fault = |why| ResourceError::Identifier { identifier: text.to_owned(), why };
        if text == issuer.as_str() {
            return Err(fault("it is the issuer itself, which is never an audience"));
        }
        if text.len() > MAX_IDENTIFIER || !text.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) {
            return Err(fault("it must be printable ASCII without spaces, at most 512 characters"));
        }
        if text.contains('#') {
            return Err(fault("it has a fragment"));
        }
        let url = Url::parse(text).map_err(|_| fault("it is not an absolute URI"))?;
        if matches!(url.scheme(), "javascript" | "data" | "blob" | "file") {
            return Err(fault("its scheme names no service"));
        }
        if matches!(url.scheme(), "http" | "https")
            && (!url.has_host() || !url.username().is_empty() || url.password().is_some())
        {
            return Err(fault("it needs a host and no user name"));
        }
        Ok(Self(text.into()))
    }

    /// Takes the stored form.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The stored form: the identifier, or `/admin`.
    pub fn as_stored(&self) -> &str {
        &self.0
    }

    /// The `aud` of tokens for this resource.
    pub fn audience(&self, issuer: &Issuer) -> Cow<'_, str> {
        if self.is_admin() { Cow::Owned(issuer.admin_audience()) } else { Cow::Borrowed(&self.0) }
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResourceId({})", self.0)
    }
}

/// A service that tokens are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its identifier, which is the tokens' audience.
    pub id: ResourceId,
    /// For people.
    pub name: String,
    /// What can be asked of it.
    pub scopes: ScopeSet,
    /// How long its tokens live, whole seconds; `None` takes the issuer's default.
    pub token_lifetime: Option<Duration>,
    /// How its tokens are signed; `None` takes the issuer's default.
    pub algorithm: Option<Algorithm>,
    /// What its tokens tell of the people whom they speak for.
    pub claims: PersonClaims,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts its changes, from the milliseconds of `created_at` on.
    pub version: i64,
}

impl Resource {
    /// A new resource, with the issuer's defaults for lifetime and algorithm.
    pub fn new(id: ResourceId, name: &str, scopes: ScopeSet, now: Timestamp) -> Self {
        Self {
            id,
            name: name.to_owned(),
            scopes,
            token_lifetime: None,
            algorithm: None,
            claims: PersonClaims::default(),
            created_at: now,
            updated_at: now,
            version: first_version(now),
        }
    }

    /// The reserved admin resource, which exists by itself.
    pub fn admin() -> Self {
        let scopes = ScopeSet::parse(ADMIN_SCOPES).unwrap_or_default();
        Self::new(ResourceId::admin(), "Signet administration", scopes, Timestamp::default())
    }

    /// Checks the bounds that a resource must keep before it is stored: a lifetime of whole seconds from 1 s to
    /// `longest`, an algorithm among those `kept` ready, names and lists of bounded length.
    pub fn check(&self, longest: Duration, kept: &[Algorithm]) -> Result<(), ResourceError> {
        if self.id.is_admin() {
            return Err(ResourceError::Reserved);
        }
        if let Some(lifetime) = self.token_lifetime
            && (lifetime.is_zero() || lifetime > longest || lifetime.subsec_nanos() != 0)
        {
            return Err(ResourceError::Lifetime { lifetime: lifetime.as_secs_f64(), longest: longest.as_secs() });
        }
        if let Some(algorithm) = self.algorithm
            && !kept.contains(&algorithm)
        {
            return Err(ResourceError::Algorithm(algorithm));
        }
        if self.name.chars().count() > MAX_NAME || self.name.contains(char::is_control) {
            return Err(ResourceError::Name);
        }
        if self.scopes.iter().count() > MAX_SCOPES || self.scopes.as_str().len() > MAX_SCOPE_TEXT {
            return Err(ResourceError::TooManyScopes);
        }
        let text = self.id.as_stored().len() + self.scopes.as_str().len();
        if !self.claims.is_empty() && text > MAX_TEXT_WITH_CLAIMS {
            return Err(ResourceError::TooLargeWithClaims);
        }
        Ok(())
    }

    /// Whether a token for it can be made only by who knows the person whom it speaks for: for what it tells of them, or
    /// for what their roles allow.
    pub fn asks_for_people(&self) -> bool {
        !self.claims.is_empty() || self.id.is_admin()
    }
}

/// What is wrong with a resource.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ResourceError {
    /// Not an identifier.
    #[error("`{identifier}` can't name a resource: {why}")]
    Identifier {
        /// As given.
        identifier: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The admin resource is not to be edited.
    #[error("`<issuer>/admin` is reserved for Signet itself")]
    Reserved,
    /// Not a lifetime that the keys are kept for.
    #[error(
        "a token lifetime of {lifetime} s is not possible: whole seconds from 1 to {longest} (`tokens.max_access_lifetime`)"
    )]
    Lifetime {
        /// As given, seconds.
        lifetime: f64,
        /// The longest, seconds.
        longest: u64,
    },
    /// No key of it is kept ready.
    #[error("no {0} key is kept ready: add it to `keys.algorithms`")]
    Algorithm(Algorithm),
    /// The name is too long or not text.
    #[error("a name has at most 200 characters and no control characters")]
    Name,
    /// Not the name of an algorithm.
    #[error("algorithm: one of {}", Algorithm::ALL.map(Algorithm::name).join(", "))]
    UnknownAlgorithm,
    /// A scope is malformed.
    #[error("scopes: {0}")]
    Scopes(ScopeError),
    /// More scopes than a person can oversee.
    #[error("a resource offers at most 200 scopes, of 4096 characters in all")]
    TooManyScopes,
    /// A claim that can't be asked for.
    #[error("claims: {0}")]
    Claims(#[from] ClaimError),
    /// Its tokens would be too large.
    #[error(
        "a resource that asks for claims has at most {MAX_TEXT_WITH_CLAIMS} characters of identifier and scopes, so that \
         its tokens stay below 4 kB"
    )]
    TooLargeWithClaims,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        Issuer::parse("https://as.example/t1", false).unwrap()
    }

    #[test]
    fn an_identifier_is_an_absolute_uri_kept_as_written() {
        for text in
            ["https://api.example", "https://api.example/v1?x=1", "urn:service:orders", "http://127.0.0.1:9000/a"]
        {
            let id = ResourceId::parse(text, &issuer()).unwrap();
            assert_eq!(id.audience(&issuer()), text);
        }
    }

    #[test]
    fn what_names_no_service_is_refused() {
        for text in [
            "",
            "orders",
            "/orders",
            "https://api.example#f",
            "javascript:alert(1)",
            "data:,x",
            "https://",
            "https://u@h",
            "https://u:p@h/",
            "https://api.example/a b",
            "https://api.exämple",
            "/admin",
            "https://as.example/t1",
        ] {
            assert!(ResourceId::parse(text, &issuer()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_admin_resource_follows_the_issuer() {
        let id = ResourceId::parse("https://as.example/t1/admin", &issuer()).unwrap();
        assert!(id.is_admin());
        let moved = Issuer::parse("https://other.example", false).unwrap();
        assert_eq!(id.audience(&moved), "https://other.example/admin");
        assert_eq!(Resource::admin().scopes.to_string(), ADMIN_SCOPES);
        assert_eq!(Resource::admin().check(Duration::from_secs(1), &[]), Err(ResourceError::Reserved));
    }

    #[test]
    fn a_resource_that_asks_for_claims_leaves_them_room() {
        let id = ResourceId::parse("https://api.example", &issuer()).unwrap();
        let scopes = |length: usize| ScopeSet::parse(&"s".repeat(length)).unwrap();
        let checked = |claims: &[&str], length| {
            let claims = PersonClaims::of(claims.iter().copied()).unwrap();
            let new = Resource::new(id.clone(), "", scopes(length), Timestamp::from_secs(1));
            Resource { claims, ..new }.check(Duration::from_secs(1), &[])
        };
        assert_eq!(checked(&[], 4096), Ok(()));
        assert_eq!(checked(&["roles"], 512 - 19), Ok(()));
        assert_eq!(checked(&["roles"], 512 - 18), Err(ResourceError::TooLargeWithClaims));
        assert!(Resource::admin().claims.is_empty() && Resource::admin().asks_for_people());
    }
}
