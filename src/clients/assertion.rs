//! Client assertions, `private_key_jwt`
//! ([RFC 7523 §3](https://www.rfc-editor.org/rfc/rfc7523#section-3), with the audience rule of
//! draft-ietf-oauth-rfc7523bis: the issuer and nothing else).
//!
//! Guarantees: an assertion is used once, until it would be refused for its age anyway; it is short-lived; it was made
//! for this issuer and no other place.

use std::time::Duration;

use async_trait::async_trait;
use signet_verify::{Algorithm, AllowedAlgorithms, Claims, Compact, TypRule, VerifyError};

use super::ClientKeys;
use crate::issuer::Issuer;
use crate::ports::{StoreError, Timestamp};
use crate::secret::sha256;

/// How far a client's clock may differ from ours.
pub const ASSERTION_SKEW: Duration = Duration::from_secs(10);
const TYPE: &str = "client-authentication+jwt";
const MAX_JTI: usize = 256;

/// Remembers which assertions were used, for all replicas together.
#[async_trait]
pub trait ReplayMarks: Send + Sync {
    /// Leaves the mark `digest` until `until`. False when it is there already; of two callers at the same instant,
    /// one gets true. A mark that has expired may still be there, and counts.
    async fn mark(&self, digest: &[u8; 32], until: Timestamp) -> Result<bool, StoreError>;
}

/// What assertions must keep to.
#[derive(Debug, Clone)]
pub struct AssertionRules {
    /// The only audience.
    pub issuer: Issuer,
    /// How far ahead `exp` may be.
    pub max_lifetime: Duration,
}

/// Why an assertion does not hold. For the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssertionRefusal {
    /// It is no valid JWT of this client.
    #[error(transparent)]
    Jwt(#[from] VerifyError),
    /// `iss` and `sub` are not the same client.
    #[error("`iss` and `sub` differ")]
    NotItsOwn,
    /// `client_id` in the form is another.
    #[error("`client_id` names another client")]
    AnotherClient,
    /// None of the client's keys fits, or more than one.
    #[error("not exactly one key of the client fits it")]
    NoKey,
    /// `aud` is not the issuer alone.
    #[error("`aud` is not the issuer alone")]
    Audience,
    /// `exp` is too far ahead.
    #[error("it lives too long")]
    TooLong,
    /// It was used before.
    #[error("it was used before")]
    Replayed,
}

/// The mark that an assertion leaves.
pub(super) struct Mark {
    pub(super) digest: [u8; 32],
    pub(super) until: Timestamp,
}

/// An assertion taken apart: it says whose it is, and nobody has checked that.
pub(super) struct Assertion<'a> {
    compact: Compact<'a>,
    client_id: String,
}

impl<'a> Assertion<'a> {
    /// Takes it apart.
    pub(super) fn parse(text: &'a str) -> Result<Self, AssertionRefusal> {
        let compact = Compact::parse(text)?;
        let claims = compact.unverified_claims()?;
        let subject = claims.unverified_text("sub")?.ok_or(VerifyError::MissingClaim("sub"))?;
        let client_id = subject.to_owned();
        Ok(Self { compact, client_id })
    }

    /// Whose it says it is.
    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Checks everything but that it is used for the first time, and returns the mark that says so.
    pub(super) fn check(
        self,
        keys: &ClientKeys,
        registered: Option<Algorithm>,
        rules: &AssertionRules,
        now: Timestamp,
    ) -> Result<Mark, AssertionRefusal> {
        let allowed = registered.map_or(AllowedAlgorithms::ALL, |only| AllowedAlgorithms::only([only]));
        let admitted = self.compact.admit(allowed, TypRule::UntypedOr(TYPE))?;
        let key = {
            let mut candidates = keys.candidates(admitted.unverified_kid(), admitted.algorithm());
            let (Some(key), None) = (candidates.next(), candidates.next()) else { return Err(AssertionRefusal::NoKey) };
            key
        };
        let claims = admitted.verify(key)?.claims()?;
        let until = check_claims(&claims, &self.client_id, rules, now)?;
        let jti = claims.required_text("jti")?;
        if jti.is_empty() || jti.len() > MAX_JTI {
            return Err(VerifyError::BadClaim("jti").into());
        }
        // A client identifier has no NUL, so no two pairs make the same text.
        let digest = sha256(format!("{}\0{jti}", self.client_id).as_bytes());
        Ok(Mark { digest, until })
    }
}

/// Checks the claims and returns the moment at which the assertion is refused for its age.
fn check_claims(
    claims: &Claims,
    client_id: &str,
    rules: &AssertionRules,
    now: Timestamp,
) -> Result<Timestamp, AssertionRefusal> {
    // https://www.rfc-editor.org/rfc/rfc7523#section-3: both name the client.
    if claims.required_text("iss")? != client_id || claims.required_text("sub")? != client_id {
        return Err(AssertionRefusal::NotItsOwn);
    }
    let audience = claims.audience()?.ok_or(VerifyError::MissingClaim("aud"))?;
    if audience.sole() != Some(rules.issuer.as_str()) {
        return Err(AssertionRefusal::Audience);
    }
    let since_epoch = Duration::from_millis(u64::try_from(now.millis()).unwrap_or(0));
    claims.check_times(since_epoch, ASSERTION_SKEW)?;
    let expires = claims.required_date("exp")?.since_epoch();
    if expires > since_epoch.saturating_add(rules.max_lifetime).saturating_add(ASSERTION_SKEW) {
        return Err(AssertionRefusal::TooLong);
    }
    // One second more than the check above asks for, against rounding.
    Ok(Timestamp::default().plus(expires).plus(ASSERTION_SKEW).plus(Duration::from_secs(1)))
}
