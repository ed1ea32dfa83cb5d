//! Client authentication: the only way to an [`AuthenticatedClient`].
//!
//! Guarantees: the method presented must be the method registered; every refusal reads the same from outside; a disabled
//! client is refused; nothing here locks a client out, since its secret is beyond guessing (256 random bits) and a
//! stranger must not be able to lock it. How long a refusal takes tells whether a client is known to this replica: its
//! identifier is no secret, every token bears it.

use std::sync::Arc;

use super::assertion::{Assertion, AssertionRefusal, AssertionRules, ReplayMarks};
use super::{Client, ClientAuthentication, Directory, SecretMethod};
use crate::ports::{StoreError, Timestamp};
use crate::secret::SecretDigest;

/// The credentials that a request carries, exactly one kind of them.
pub enum Presented<'a> {
    /// A client identifier and its secret.
    Secret {
        /// `client_id`.
        id: &'a str,
        /// `client_secret`.
        secret: &'a str,
        /// How it came.
        method: SecretMethod,
    },
    /// An assertion of `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`
    /// ([RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)).
    Assertion {
        /// `client_assertion`.
        assertion: &'a str,
        /// `client_id`, where the request has it too.
        id: Option<&'a str>,
    },
    /// An identifier alone, as public clients have it
    /// ([RFC 6749 §3.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-3.2.1)). It proves nothing: what is given for it
    /// must stand on something else that the request brings.
    Public {
        /// `client_id`.
        id: &'a str,
    },
}

/// Why credentials were refused. For the log: the caller learns `invalid_client` and no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request has no credentials.
    #[error("there are no client credentials")]
    Missing,
    /// The `Authorization` header is of another scheme, or not strictly encoded.
    #[error("the Authorization header is not strict Basic authentication")]
    Unreadable,
    /// Nobody registered that identifier.
    #[error("no such client")]
    UnknownClient,
    /// The client is disabled.
    #[error("the client is disabled")]
    Disabled,
    /// The client is registered for another method.
    #[error("the client is registered for {registered}")]
    WrongMethod {
        /// The registered method.
        registered: &'static str,
    },
    /// The secret is wrong or has ended.
    #[error("the secret is wrong or has ended")]
    WrongSecret,
    /// The assertion does not hold.
    #[error("the client assertion does not hold: {0}")]
    Assertion(#[from] AssertionRefusal),
}

impl Refusal {
    /// Every reason, in short: for counting.
    pub const REASONS: [&str; 7] =
        ["missing", "unreadable", "unknown_client", "disabled", "wrong_method", "wrong_secret", "assertion"];

    /// The reason in short, one of [`Self::REASONS`].
    pub const fn reason(&self) -> &'static str {
        let [missing, unreadable, unknown_client, disabled, wrong_method, wrong_secret, assertion] = Self::REASONS;
        match self {
            Self::Missing => missing,
            Self::Unreadable => unreadable,
            Self::UnknownClient => unknown_client,
            Self::Disabled => disabled,
            Self::WrongMethod { .. } => wrong_method,
            Self::WrongSecret => wrong_secret,
            Self::Assertion(_) => assertion,
        }
    }
}

/// Why there is no authenticated client.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthenticationError {
    /// The credentials are refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// They could not be checked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A client that proved who it is in this request, or a public one that said so.
#[derive(Clone, Debug)]
pub struct AuthenticatedClient {
    client: Arc<Client>,
}

impl AuthenticatedClient {
    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Checks credentials.
pub struct Authenticator {
    directory: Arc<Directory>,
    replay: Arc<dyn ReplayMarks>,
    rules: AssertionRules,
}

impl Authenticator {
    /// An authenticator for assertions addressed to `issuer` and living at most `assertion_lifetime`.
    pub fn new(directory: Arc<Directory>, replay: Arc<dyn ReplayMarks>, rules: AssertionRules) -> Self {
        Self { directory, replay, rules }
    }

    /// Checks `presented` at `now`. By secret, a client known here costs no question to any store; by assertion, one
    /// insertion of its replay mark.
    pub async fn authenticate(
        &self,
        presented: Presented<'_>,
        now: Timestamp,
    ) -> Result<AuthenticatedClient, AuthenticationError> {
        match presented {
            Presented::Secret { id, secret, method } => self.by_secret(id, secret, method, now).await,
            Presented::Assertion { assertion, id } => self.by_assertion(assertion, id, now).await,
            Presented::Public { id } => self.by_name(id).await,
        }
    }

    /// Only a public client is known by its name alone: any other is to prove who it is.
    async fn by_name(&self, id: &str) -> Result<AuthenticatedClient, AuthenticationError> {
        let Some(client) = self.directory.client(id).await? else {
            return Err(Refusal::UnknownClient.into());
        };
        match client.authentication {
            ClientAuthentication::Public => Ok(admit(client)?),
            ClientAuthentication::Secret { .. } | ClientAuthentication::PrivateKeyJwt { .. } => {
                Err(Refusal::Missing.into())
            }
        }
    }

    async fn by_secret(
        &self,
        id: &str,
        secret: &str,
        method: SecretMethod,
        now: Timestamp,
    ) -> Result<AuthenticatedClient, AuthenticationError> {
        let digest = SecretDigest::of(secret.as_bytes());
        let Some(client) = self.directory.client(id).await? else {
            return Err(Refusal::UnknownClient.into());
        };
        let ClientAuthentication::Secret { method: registered, secrets } = &client.authentication else {
            return Err(Refusal::WrongMethod { registered: client.authentication.name() }.into());
        };
        // Every stored digest is compared, so that time does not tell which one it was.
        let matches =
            secrets.iter().fold(false, |found, stored| (stored.digest == digest && stored.is_valid(now)) | found);
        if !matches {
            return Err(Refusal::WrongSecret.into());
        }
        if *registered != method {
            return Err(Refusal::WrongMethod { registered: client.authentication.name() }.into());
        }
        Ok(admit(client)?)
    }

    async fn by_assertion(
        &self,
        assertion: &str,
        id: Option<&str>,
        now: Timestamp,
    ) -> Result<AuthenticatedClient, AuthenticationError> {
        let assertion = Assertion::parse(assertion).map_err(Refusal::from)?;
        if id.is_some_and(|id| id != assertion.client_id()) {
            return Err(Refusal::from(AssertionRefusal::AnotherClient).into());
        }
        let Some(client) = self.directory.client(assertion.client_id()).await? else {
            return Err(Refusal::UnknownClient.into());
        };
        let ClientAuthentication::PrivateKeyJwt { keys, algorithm } = &client.authentication else {
            return Err(Refusal::WrongMethod { registered: client.authentication.name() }.into());
        };
        let mark = assertion.check(keys, *algorithm, &self.rules, now).map_err(Refusal::from)?;
        let admitted = admit(Arc::clone(&client))?;
        // Last, so that only an assertion that would be accepted uses up its identifier.
        if !self.replay.mark(&mark.digest, mark.until).await? {
            return Err(Refusal::from(AssertionRefusal::Replayed).into());
        }
        Ok(admitted)
    }
}

fn admit(client: Arc<Client>) -> Result<AuthenticatedClient, Refusal> {
    if client.enabled { Ok(AuthenticatedClient { client }) } else { Err(Refusal::Disabled) }
}
