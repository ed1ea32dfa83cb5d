//! BY WHAT RIGHT: one file per grant, all of the same shape, and the table of them.
//!
//! A grant sees only the parameters it declares, an already authenticated client, and the services it needs. What it
//! answers is a [`TokenAnswer`] or a [`GrantError`]; what those look like on the wire is not its business.

mod client_credentials;
mod parameters;
mod refresh_token;

use std::pin::Pin;
use std::sync::Arc;

use signet_verify::Algorithm;
use uuid::Uuid;

use crate::clients::{AuthenticatedClient, Client, Directory, GrantType, Resource};
use crate::issuer::Issuer;
use crate::ports::{StoreError, Timestamp};
use crate::secret::SecretText;
use crate::tokens::revocation::LiveRevocations;
use crate::tokens::session::{RefreshError, RefreshRefusal, SessionError, Sessions};
use crate::tokens::{MintError, Minter};
use crate::users::{Profile, Profiles, UserId};

pub use client_credentials::chosen;
pub use parameters::{ParameterError, Parameters, decode};
pub use refresh_token::{Prolonging, prolong};

/// What grants work with.
pub struct Services {
    /// Who we are.
    pub issuer: Issuer,
    /// Clients and resources.
    pub directory: Arc<Directory>,
    /// Makes tokens.
    pub minter: Minter,
    /// The sessions of people.
    pub sessions: Arc<Sessions>,
    /// What is known to be revoked.
    pub revocations: Arc<LiveRevocations>,
    /// What is known of them.
    pub profiles: Arc<Profiles>,
}

impl Services {
    /// Waits until what `client` gets is later than whatever cuts off what it has, by this replica's knowledge; the time
    /// then. Nearly always, that is `now`.
    pub async fn past_cut_offs(&self, client: &Client, now: Timestamp) -> Timestamp {
        let wait = self.revocations.wait_of(&client.id, now);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        now.plus(wait)
    }

    /// What a token for `resource` has to know of the person `user`; `None` where it needs to know nothing, which costs
    /// nothing.
    ///
    /// # Errors
    /// When nobody may have a token for that account any more, or it is not known and the store can't tell.
    async fn profile_for(&self, resource: &Resource, user: Uuid) -> Result<Option<Arc<Profile>>, GrantError> {
        if !resource.asks_for_people() {
            return Ok(None);
        }
        match self.profiles.find(UserId::from_uuid(user)).await? {
            Some(profile) if profile.enabled => Ok(Some(profile)),
            _ => Err(GrantError::InvalidGrant(RefreshRefusal::NoAccount)),
        }
    }
}

/// What a grant gives.
pub struct TokenAnswer {
    /// The access token. A secret.
    pub access_token: String,
    /// How long it lives, seconds.
    pub expires_in: u64,
    /// What it allows, space-separated.
    pub scope: String,
    /// A new refresh token, where there is one to be given.
    pub refresh_token: Option<SecretText>,
    /// What signed the access token.
    pub algorithm: Algorithm,
}

/// Why a grant gives nothing ([RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)). The texts go to the
/// caller: fixed, and free of what was sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GrantError {
    /// A parameter is missing.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The client may not use this grant.
    #[error("the client may not use this grant")]
    UnauthorizedClient,
    /// What the grant stands on is no good: which of the many reasons it is, callers do not learn.
    #[error("the refresh token is invalid, expired, or another client's")]
    InvalidGrant(RefreshRefusal),
    /// The scope is malformed, unknown, or more than the client may get.
    #[error("{0}")]
    InvalidScope(&'static str),
    /// The resource is malformed, unknown, or none the client may get tokens for
    /// ([RFC 8707 §2](https://www.rfc-editor.org/rfc/rfc8707#section-2)).
    #[error("{0}")]
    InvalidTarget(&'static str),
    /// No token can be signed now.
    #[error("no token can be signed now")]
    Minting(#[from] MintError),
    /// No refresh token can be made now.
    #[error("no refresh token can be made now")]
    NoRefreshKey,
    /// A store failed.
    #[error("a store can't be reached")]
    Store(#[from] StoreError),
}

impl From<RefreshError> for GrantError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Refused(refusal) => Self::InvalidGrant(refusal),
            RefreshError::Session(SessionError::Store(error)) => Self::Store(error),
            RefreshError::Session(SessionError::NoKey) => Self::NoRefreshKey,
        }
    }
}

/// The future of a grant's answer.
pub type Granting<'a> = Pin<Box<dyn Future<Output = Result<TokenAnswer, GrantError>> + 'a>>;

/// A row of the table of grants.
pub struct Grant {
    /// Which one.
    pub kind: GrantType,
    /// The parameters it knows, besides `grant_type` and those of client authentication; all others are dropped before
    /// it sees the request.
    pub parameters: &'static [&'static str],
    /// Those among them that may be sent more than once.
    pub repeatable: &'static [&'static str],
    /// Decides.
    pub handle: for<'a> fn(&'a Services, &'a AuthenticatedClient, &'a Parameters<'a>, Timestamp) -> Granting<'a>,
}

/// Every grant that works; the metadata lists these.
pub static GRANTS: [Grant; 2] = [client_credentials::GRANT, refresh_token::GRANT];

/// The grant of that `grant_type`.
pub fn find(name: &str) -> Option<&'static Grant> {
    GRANTS.iter().find(|grant| grant.kind.name() == name)
}

/// Whether any grant lets that parameter stand more than once.
pub fn is_repeatable(parameter: &str) -> bool {
    GRANTS.iter().any(|grant| grant.repeatable.contains(&parameter))
}
