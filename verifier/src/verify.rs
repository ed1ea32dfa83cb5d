//! The whole verification of an access token: [`verify`].
//!
//! The checks run in a fixed order and the first that fails decides: form, header, key, signature, claims. Claims
//! are not even parsed before the signature holds. Every check is made here, none left to a JWT library, and the
//! time is an argument.

use std::time::Duration;

use crate::{AccessToken, AllowedAlgorithms, Compact, Jwks, TypRule, VerifiedJws, VerifyError};

/// What a service asks of an access token.
///
/// ```
/// use std::time::Duration;
/// use signet_verify::{Algorithm, AllowedAlgorithms, Policy};
///
/// let policy = Policy::new("https://id.example", "https://orders.example")
///     .algorithms(AllowedAlgorithms::only([Algorithm::Es256]))
///     .leeway(Duration::from_secs(5))?;
/// assert!(policy.leeway(Duration::from_secs(61)).is_err());
/// # Ok::<(), signet_verify::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    issuer: String,
    audience: String,
    algorithms: AllowedAlgorithms,
    typ: String,
    leeway: Duration,
}

/// Why a [`Policy`] can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The leeway is longer than [`Policy::MAX_LEEWAY`].
    #[error("the leeway may be 60 seconds at most")]
    LeewayTooLong,
}

impl Policy {
    /// The most that two clocks may differ.
    pub const MAX_LEEWAY: Duration = Duration::from_secs(60);

    /// Tokens of `issuer` for `audience`, both compared exactly; all five algorithms, type `at+jwt`, a leeway of 10
    /// seconds.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            algorithms: AllowedAlgorithms::ALL,
            typ: "at+jwt".to_owned(),
            leeway: Duration::from_secs(10),
        }
    }

    /// Takes these algorithms only.
    #[must_use]
    pub fn algorithms(self, algorithms: AllowedAlgorithms) -> Self {
        Self { algorithms, ..self }
    }

    /// Takes `EdDSA` for Ed25519; off by default. See [`AllowedAlgorithms::accept_eddsa_name`].
    #[must_use]
    pub fn accept_eddsa_name(self, accept: bool) -> Self {
        Self { algorithms: self.algorithms.accept_eddsa_name(accept), ..self }
    }

    /// Takes tokens of this type instead of `at+jwt`.
    #[must_use]
    pub fn typ(self, typ: impl Into<String>) -> Self {
        Self { typ: typ.into(), ..self }
    }

    /// How far the issuer's clock may differ from this one.
    ///
    /// # Errors
    /// Above [`MAX_LEEWAY`](Self::MAX_LEEWAY).
    pub fn leeway(self, leeway: Duration) -> Result<Self, PolicyError> {
        if leeway > Self::MAX_LEEWAY {
            return Err(PolicyError::LeewayTooLong);
        }
        Ok(Self { leeway, ..self })
    }
}

/// Verifies an access token ([RFC 9068 §4](https://www.rfc-editor.org/rfc/rfc9068#section-4)) at `now`, the time
/// since the Unix epoch.
///
/// ```
/// use std::time::Duration;
/// use signet_verify::{Jwks, Policy, VerifyError, verify};
///
/// let jwks = Jwks::parse(br#"{"keys":[]}"#)?;
/// let policy = Policy::new("https://id.example", "https://orders.example");
/// let now = Duration::from_secs(1_700_000_000);
/// // {"alg":"ES256","typ":"at+jwt","kid":"a"}
/// let token = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6ImEifQ.e30.AA";
/// assert_eq!(verify(&jwks, &policy, token, now), Err(VerifyError::UnknownKey));
/// # Ok::<(), signet_verify::JwksError>(())
/// ```
///
/// # Errors
/// The first check that fails, see [`VerifyError`]. A service answers each of them with `invalid_token`.
pub fn verify(jwks: &Jwks, policy: &Policy, token: &str, now: Duration) -> Result<AccessToken, VerifyError> {
    let typ = TypRule::Explicit(&policy.typ);
    let verified = verify_jws(jwks, policy.algorithms, typ, token)?;
    let claims = verified.claims()?;
    claims.check_issuer(&policy.issuer)?;
    claims.check_audience(&policy.audience)?;
    claims.check_times(now, policy.leeway)?;
    // https://www.rfc-editor.org/rfc/rfc8725#section-3.12: what other kinds must have, this one must not.
    if claims.get("nonce").is_some() || claims.get("events").is_some() {
        return Err(VerifyError::WrongType);
    }
    AccessToken::of(claims, verified.into_kid())
}

/// Verifies the signature of a token of any kind with the one key of `jwks` that fits it. The claims are the caller's
/// to check.
///
/// ```
/// use signet_verify::{AllowedAlgorithms, Jwks, TypRule, VerifyError, verify_jws};
///
/// let jwks = Jwks::parse(br#"{"keys":[]}"#)?;
/// let typ = TypRule::UntypedOr("client-authentication+jwt");
/// let token = "eyJhbGciOiJFUzI1NiJ9.e30.AA"; // {"alg":"ES256"}
/// let refused = verify_jws(&jwks, AllowedAlgorithms::ALL, typ, token);
/// assert_eq!(refused.err(), Some(VerifyError::UnknownKey));
/// # Ok::<(), signet_verify::JwksError>(())
/// ```
///
/// # Errors
/// The first check that fails.
pub fn verify_jws(
    jwks: &Jwks,
    allowed: AllowedAlgorithms,
    typ: TypRule<'_>,
    token: &str,
) -> Result<VerifiedJws, VerifyError> {
    let admitted = Compact::parse(token)?.admit(allowed, typ)?;
    let key = jwks.find(admitted.unverified_kid(), admitted.algorithm())?;
    admitted.verify(key)
}
