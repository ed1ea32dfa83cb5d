//! Access tokens: JWTs of [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068).

use std::sync::Arc;
use std::time::Duration;

use signet_verify::{Algorithm, jws};
use uuid::Uuid;

use super::session::{Amr, Session, SessionId};
use super::{json, profile};
use crate::clients::{Client, Resource};
use crate::issuer::Issuer;
use crate::keys::{KeyRing, NotSigning, SigningError};
use crate::ports::{Timestamp, unique_id};
use crate::users::Profile;

/// A client's own subject is its identifier in this namespace, which no person's subject can be in
/// ([RFC 9700 §4.15](https://www.rfc-editor.org/rfc/rfc9700#section-4.15)).
pub const CLIENT_SUBJECT: &str = "client:";

/// The class of an authentication by a password alone: one factor, as of
/// [NIST SP 800-63B §2.1](https://pages.nist.gov/800-63-4/sp800-63b.html).
const ACR_ONE_FACTOR: &str = "aal1";

/// The person that a token speaks for
/// ([RFC 9068 §2.2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.1)).
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// The subject.
    pub user: Uuid,
    /// By which session.
    pub session: SessionId,
    /// When the person was authenticated.
    pub auth_time: Timestamp,
    /// How.
    pub amr: &'a [Amr],
    /// The session's end, which no token of it outlives.
    pub until: Timestamp,
    /// What is known of them; needed where the resource asks for it.
    pub profile: Option<&'a Profile>,
}

impl<'a> Person<'a> {
    /// The person of that session, with what is known of them.
    pub fn of(session: &'a Session, profile: Option<&'a Profile>) -> Self {
        let Session { user, id, auth_time, amr, expires_at, .. } = session;
        Self { user: *user, session: *id, auth_time: *auth_time, amr, until: *expires_at, profile }
    }

    /// Whether it is known whose the session is, and that they are who is known.
    fn is_known(&self) -> bool {
        self.profile.is_some_and(|profile| *profile.id.as_uuid() == self.user)
    }
}

/// What a token is asked for.
#[derive(Debug)]
pub struct TokenRequest<'a> {
    /// Who asks, and is the subject where no person is.
    pub client: &'a Client,
    /// For whom; `None` for a client's own use.
    pub person: Option<Person<'a>>,
    /// Whom the token is for.
    pub resource: &'a Resource,
    /// What it allows, space-separated; empty for a resource without scopes.
    pub scope: &'a str,
}

/// A signed token.
pub struct AccessToken {
    /// The compact form. A secret: whoever holds it may use it.
    pub compact: String,
    /// How long it lives, whole seconds.
    pub lifetime: Duration,
    /// What signed it.
    pub algorithm: Algorithm,
}

/// Why no token was made. All are the issuer's own troubles, none the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// There is no key to sign with now.
    #[error(transparent)]
    NotSigning(#[from] NotSigning),
    /// The resource wants a longer life than the key is kept published for; the next sweep mends it.
    #[error("tokens of {wanted:?} are asked for, and the key is kept published for tokens of {longest:?}")]
    TooLong {
        /// The resource's lifetime.
        wanted: Duration,
        /// The key's.
        longest: Duration,
    },
    /// The resource asks for what is not known of the person: no token leaves it out.
    #[error("the resource asks for claims of a person of whom nothing is known")]
    Unknown,
    /// The signature failed.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// Makes tokens.
pub struct Minter {
    issuer: Issuer,
    /// The claims that all tokens begin with.
    beginning: Vec<u8>,
    ring: Arc<KeyRing>,
    default_lifetime: Duration,
    default_algorithm: Algorithm,
}

impl Minter {
    /// Tokens of `issuer` signed by `ring`; the defaults serve resources that state none.
    pub fn new(issuer: Issuer, ring: Arc<KeyRing>, default_lifetime: Duration, default_algorithm: Algorithm) -> Self {
        let mut beginning = vec![b'{'];
        json::name(&mut beginning, "iss");
        json::text(&mut beginning, issuer.as_str());
        json::name(&mut beginning, "sub");
        beginning.push(b'"');
        Self { issuer, beginning, ring, default_lifetime, default_algorithm }
    }

    /// Whether a token for a resource that wants nothing of its own can be signed at `now`: to be asked before a refresh
    /// token is used up for one.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, now: Timestamp) -> Result<(), MintError> {
        Ok(self.ring.signer(self.default_algorithm, now).map(drop)?)
    }

    /// Signs an access token, issued at `now`.
    ///
    /// `now` decides the lease of the keys and is the token's `iat` alike: so however long the process is stopped in
    /// between, the token expires before its key leaves the JWKS.
    pub fn mint(&self, request: &TokenRequest<'_>, now: Timestamp) -> Result<AccessToken, MintError> {
        let algorithm = request.resource.algorithm.unwrap_or(self.default_algorithm);
        let lifetime = request.resource.token_lifetime.unwrap_or(self.default_lifetime);
        let key = self.ring.signer(algorithm, now)?;
        if lifetime > key.longest_lifetime() {
            return Err(MintError::TooLong { wanted: lifetime, longest: key.longest_lifetime() });
        }
        if !request.resource.claims.is_empty() && request.person.is_some_and(|person| !person.is_known()) {
            return Err(MintError::Unknown);
        }
        let left = request.person.map_or(lifetime, |person| Duration::from_secs(person.until.since(now).as_secs()));
        let lifetime = lifetime.min(left);
        let claims = self.claims(request, lifetime, now);
        let compact = jws::encode(key.access_token_header(), &claims, |input| key.sign(input))?;
        Ok(AccessToken { compact, lifetime, algorithm })
    }

    /// The claims of [RFC 9068 §2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2).
    fn claims(&self, request: &TokenRequest<'_>, lifetime: Duration, now: Timestamp) -> Vec<u8> {
        let id = request.client.id.as_str();
        let issued_at = now.secs();
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(&self.beginning);
        let mut uuid = Uuid::encode_buffer();
        match &request.person {
            None => {
                out.extend_from_slice(CLIENT_SUBJECT.as_bytes());
                // A client identifier is made of unreserved characters: nothing in it needs escaping.
                out.extend_from_slice(id.as_bytes());
            }
            Some(person) => out.extend_from_slice(person.user.as_hyphenated().encode_lower(&mut uuid).as_bytes()),
        }
        out.push(b'"');
        json::name(&mut out, "aud");
        json::text(&mut out, &request.resource.id.audience(&self.issuer));
        json::name(&mut out, "exp");
        json::number(&mut out, issued_at.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX)));
        json::name(&mut out, "iat");
        json::number(&mut out, issued_at);
        json::name(&mut out, "jti");
        json::text(&mut out, unique_id(now).as_hyphenated().encode_lower(&mut uuid));
        json::name(&mut out, "client_id");
        json::text(&mut out, id);
        if !request.scope.is_empty() {
            json::name(&mut out, "scope");
            json::text(&mut out, request.scope);
        }
        if let Some(person) = &request.person {
            claims_of(person, &mut out);
            if let Some(profile) = person.profile.filter(|_| person.is_known()) {
                profile::claims(&request.resource.claims, profile, &mut out);
            }
        }
        out.push(b'}');
        out
    }
}

/// When and how the person was authenticated, and by which session.
fn claims_of(person: &Person<'_>, out: &mut Vec<u8>) {
    json::name(out, "sid");
    json::text(out, &person.session.to_string());
    json::name(out, "auth_time");
    json::number(out, person.auth_time.secs());
    json::name(out, "acr");
    json::text(out, ACR_ONE_FACTOR);
    json::name(out, "amr");
    out.push(b'[');
    for (place, amr) in person.amr.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        json::text(out, amr.name());
    }
    out.push(b']');
}
