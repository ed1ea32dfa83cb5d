//! A client: who it is, how it proves that, and what it may get.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use signet_verify::{Algorithm, PublicJwk, VerifyingKey};

use super::{ResourceId, ScopeSet, WebOrigin};
use crate::ports::{Entropy, Timestamp, unique_id};
use crate::secret::{SecretDigest, SecretText, generate_client_secret};

/// How many secrets of one client are valid at a time, so that one can be rolled without a gap.
const SECRETS: usize = 2;
const MAX_ID: usize = 64;

/// The name of a client: 1 to 64 unreserved characters
/// ([RFC 3986 §2.3](https://www.rfc-editor.org/rfc/rfc3986#section-2.3)), so that no encoding changes it; `.` and `..`
/// are none, since no path can name them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Box<str>);

impl ClientId {
    /// A new identifier that no one chose: `c_` and a UUIDv7.
    pub fn generate(now: Timestamp) -> Self {
        Self(format!("c_{}", unique_id(now).simple()).into_boxed_str())
    }

    /// Reads an identifier.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let fits = (1..=MAX_ID).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
            && !matches!(text, "." | "..");
        if fits { Ok(Self(text.into())) } else { Err(ClientError::Id) }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({})", self.0)
    }
}

/// A grant that a client may use, by its name at the token endpoint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum GrantType {
    /// [RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4).
    ClientCredentials,
    /// [RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6).
    RefreshToken,
}

impl GrantType {
    /// Every grant that works.
    pub const ALL: [Self; 2] = [Self::ClientCredentials, Self::RefreshToken];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// The grant of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.name() == name)
    }
}

/// Where a secret travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecretMethod {
    /// `client_secret_basic`: in the `Authorization` header.
    Basic,
    /// `client_secret_post`: in the form.
    Post,
}

/// How a secret came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecretOrigin {
    /// Made at the first start, and written to a file: operators are reminded until it is rolled.
    FirstStart,
    /// Made on request, and shown once.
    Issued,
}

/// A client secret at rest: its digest only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredSecret {
    /// SHA-256 of the secret, which is random enough (256 bits) to need no slow hash.
    pub digest: SecretDigest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops to be valid; `None` while it is the newest.
    pub expires_at: Option<Timestamp>,
    /// How it came to be.
    pub origin: SecretOrigin,
}

impl StoredSecret {
    /// Whether it may be used at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// The public keys of a client that signs its assertions, each parsed once.
#[derive(Clone)]
pub struct ClientKeys {
    keys: Vec<(PublicJwk, Vec<VerifyingKey>)>,
}

impl ClientKeys {
    /// Takes parsed keys with all the verifiers they serve.
    pub(super) fn new(keys: Vec<(PublicJwk, Vec<VerifyingKey>)>) -> Self {
        Self { keys }
    }

    /// As they are published.
    pub fn jwks(&self) -> impl Iterator<Item = &PublicJwk> {
        self.keys.iter().map(|(jwk, _)| jwk)
    }

    /// The keys that may have made a signature of `algorithm` under `kid`: those of that `kid`, or all where the
    /// assertion names none or the keys have none.
    pub fn candidates<'k>(&'k self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &'k VerifyingKey> {
        self.keys
            .iter()
            .filter(move |(jwk, _)| match (kid, jwk.kid.as_deref()) {
                (Some(wanted), Some(own)) => wanted == own,
                _ => true,
            })
            .flat_map(|(_, verifiers)| verifiers)
            .filter(move |key| key.algorithm() == algorithm)
    }
}

/// By the public keys.
impl PartialEq for ClientKeys {
    fn eq(&self, other: &Self) -> bool {
        self.jwks().eq(other.jwks())
    }
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientKeys({})", self.keys.len())
    }
}

/// How a client proves who it is
/// ([RFC 7591 §2](https://www.rfc-editor.org/rfc/rfc7591#section-2), `token_endpoint_auth_method`).
#[derive(Clone, PartialEq, Debug)]
pub enum ClientAuthentication {
    /// By a secret, in the one way it is registered for. The newest secret comes first.
    Secret {
        /// The registered way.
        method: SecretMethod,
        /// The digests, at most two.
        secrets: Vec<StoredSecret>,
    },
    /// `private_key_jwt`: by an assertion signed with a key of its own.
    PrivateKeyJwt {
        /// Its public keys.
        keys: ClientKeys,
        /// The one algorithm it registered, if any.
        algorithm: Option<Algorithm>,
    },
    /// `none`: a public client ([RFC 6749 §2.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.1)), which runs where
    /// nothing can be kept secret and says who it is without proof.
    Public,
}

impl ClientAuthentication {
    /// Every method that works.
    pub const METHODS: [&str; 4] = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];

    /// The method's registered name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Secret { method: SecretMethod::Basic, .. } => "client_secret_basic",
            Self::Secret { method: SecretMethod::Post, .. } => "client_secret_post",
            Self::PrivateKeyJwt { .. } => "private_key_jwt",
            Self::Public => "none",
        }
    }
}

/// A client. Equal versions of one client are equal.
#[derive(Clone, PartialEq, Debug)]
pub struct Client {
    /// Its identifier, `client_id`.
    pub id: ClientId,
    /// For people, `client_name`.
    pub name: String,
    /// How it proves who it is.
    pub authentication: ClientAuthentication,
    /// The grants it may use.
    pub grants: BTreeSet<GrantType>,
    /// The resources it may get tokens for, and which of their scopes.
    pub access: BTreeMap<ResourceId, ScopeSet>,
    /// The resources whose service it is.
    pub serves: BTreeSet<ResourceId>,
    /// Whether it is the operator's own, to which people give their passwords: only such a client may use `/auth`.
    pub first_party: bool,
    /// The pages that may use `/auth` for it, besides programs that are no page.
    pub web_origins: BTreeSet<WebOrigin>,
    /// Whether its refresh tokens are replaced when they are used; `None` takes the rule of
    /// [`rotates_refresh_tokens`](Self::rotates_refresh_tokens).
    pub rotation: Option<bool>,
    /// Whether it may do anything at all.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts its changes, from the milliseconds of `created_at` on.
    pub version: i64,
}

impl Client {
    /// Gives the client a new secret, shown here and never again. The newest of the old ones stays valid for
    /// `overlap`, all others end now; with no overlap all old ones end now.
    pub fn roll_secret(
        mut self,
        origin: SecretOrigin,
        overlap: Duration,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<(Self, SecretText), ClientError> {
        let ClientAuthentication::Secret { secrets, .. } = &mut self.authentication else {
            return Err(ClientError::HasNoSecret);
        };
        let secret = generate_client_secret(entropy);
        let digest = SecretDigest::of(secret.expose().as_bytes());
        let end = now.plus(overlap);
        secrets.retain(|old| old.is_valid(now) && !overlap.is_zero());
        secrets.truncate(SECRETS - 1);
        for old in secrets.iter_mut() {
            old.expires_at = Some(old.expires_at.map_or(end, |already| already.min(end)));
        }
        secrets.insert(0, StoredSecret { digest, created_at: now, expires_at: None, origin });
        Ok((self.changed(now), secret))
    }

    /// Enables or disables the client.
    pub fn with_enabled(mut self, enabled: bool, now: Timestamp) -> Self {
        self.enabled = enabled;
        self.changed(now)
    }

    /// The same at the next version.
    pub(super) fn changed(mut self, now: Timestamp) -> Self {
        self.version += 1;
        self.updated_at = now;
        self
    }

    /// Whether its refresh tokens are replaced when they are used: those of public clients always
    /// ([RFC 9700 §4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)), those of others where it is set.
    pub fn rotates_refresh_tokens(&self) -> bool {
        matches!(self.authentication, ClientAuthentication::Public) || self.rotation.unwrap_or(false)
    }

    /// Whether pages of `origin`, as a browser sent it, may use `/auth` for it.
    pub fn has_web_origin(&self, origin: &str) -> bool {
        self.web_origins.iter().any(|own| own.as_str() == origin)
    }

    /// Until when the newest of its older secrets is valid, if any is.
    pub fn old_secret_valid_until(&self) -> Option<Timestamp> {
        match &self.authentication {
            ClientAuthentication::Secret { secrets, .. } => {
                secrets.iter().skip(1).filter_map(|secret| secret.expires_at).max()
            }
            ClientAuthentication::PrivateKeyJwt { .. } | ClientAuthentication::Public => None,
        }
    }

    /// Whether the secret of the first start is still valid.
    pub fn uses_first_secret(&self, now: Timestamp) -> bool {
        match &self.authentication {
            ClientAuthentication::Secret { secrets, .. } => {
                secrets.iter().any(|secret| secret.origin == SecretOrigin::FirstStart && secret.is_valid(now))
            }
            ClientAuthentication::PrivateKeyJwt { .. } | ClientAuthentication::Public => false,
        }
    }
}

/// What is wrong with a client's description, or with a change of it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// Not an identifier.
    #[error("a client identifier has 1 to 64 characters of A-Z a-z 0-9 - . _ ~, and is neither `.` nor `..`")]
    Id,
    /// Its keys sign, or it is public; there is no secret to roll.
    #[error(
        "this client has no secret: it authenticates with private_key_jwt (change its `jwks` instead), or not at all"
    )]
    HasNoSecret,
    /// A member of its metadata is not acceptable
    /// ([RFC 7591 §3.2.2](https://www.rfc-editor.org/rfc/rfc7591#section-3.2.2)).
    #[error("{member}: {why}")]
    Metadata {
        /// The member's name.
        member: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
pub(super) mod tests {
    use super::*;
    use crate::ports::SystemEntropy;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn client() -> Client {
        Client {
            id: ClientId::parse("orders").unwrap(),
            name: String::new(),
            authentication: ClientAuthentication::Secret { method: SecretMethod::Basic, secrets: Vec::new() },
            grants: BTreeSet::from(GrantType::ALL),
            access: BTreeMap::new(),
            serves: BTreeSet::new(),
            first_party: false,
            web_origins: BTreeSet::new(),
            rotation: None,
            enabled: true,
            created_at: NOW,
            updated_at: NOW,
            version: 1,
        }
    }

    fn valid(client: &Client, secret: &SecretText, now: Timestamp) -> bool {
        let ClientAuthentication::Secret { secrets, .. } = &client.authentication else { panic!() };
        let digest = SecretDigest::of(secret.expose().as_bytes());
        secrets.iter().any(|stored| stored.is_valid(now) && stored.digest == digest)
    }

    #[test]
    fn a_rolled_secret_overlaps_with_the_one_before_and_ends_all_older_ones() {
        let roll = |client: Client, now| client.roll_secret(SecretOrigin::Issued, DAY, &SystemEntropy, now).unwrap();
        let (client, first) = roll(client(), NOW);
        let (client, second) = roll(client, NOW);
        let (client, third) = roll(client, NOW);
        assert_eq!(client.version, 4);
        assert_eq!([&first, &second, &third].map(|secret| valid(&client, secret, NOW)), [false, true, true]);
        let next_day = NOW.plus(DAY);
        assert_eq!([&second, &third].map(|secret| valid(&client, secret, next_day)), [false, true]);
    }

    #[test]
    fn a_secret_rolled_without_overlap_ends_every_other() {
        let (client, first) = client().roll_secret(SecretOrigin::FirstStart, DAY, &SystemEntropy, NOW).unwrap();
        assert!(client.uses_first_secret(NOW));
        let (client, second) = client.roll_secret(SecretOrigin::Issued, Duration::ZERO, &SystemEntropy, NOW).unwrap();
        assert_eq!([&first, &second].map(|secret| valid(&client, secret, NOW)), [false, true]);
        assert!(!client.uses_first_secret(NOW));
    }

    #[test]
    fn an_identifier_needs_no_encoding() {
        assert!(ClientId::parse(ClientId::generate(NOW).as_str()).is_ok());
        for text in ["", ".", "..", "a b", "a:b", "a%", "a/b", "é", &"a".repeat(65)] {
            assert_eq!(ClientId::parse(text), Err(ClientError::Id), "{text:?}");
        }
    }
}
