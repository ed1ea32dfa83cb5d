//! Why a token is refused: [`VerifyError`].

use crate::BadSignature;

/// Why a token is refused. Each variant has a stable [`code`](Self::code); no message repeats any part of the token.
///
/// ```
/// use signet_verify::VerifyError;
///
/// let error = VerifyError::MissingClaim("aud");
/// assert_eq!(error.code(), "missing_claim");
/// assert_eq!(error.to_string(), "the claim \"aud\" is missing");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is longer than [`MAX_TOKEN`](crate::jws::MAX_TOKEN).
    #[error("the token is longer than 16384 bytes")]
    TooLarge,
    /// The text is no JWS in compact form, or its header or claims can't be read.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// `alg` is not one of those allowed.
    #[error("the algorithm of the token is not allowed")]
    AlgorithmNotAllowed,
    /// The header asks for an extension; none is supported.
    #[error("the token asks for a header extension that is not supported")]
    CriticalHeader,
    /// The token is of another kind.
    #[error("the token is of another type than expected")]
    WrongType,
    /// No key of the set is the one that the token names.
    #[error("no known key bears the key id of the token")]
    UnknownKey,
    /// Several keys of the set fit the token.
    #[error("more than one known key fits the token")]
    AmbiguousKey,
    /// The key that the token names is for another algorithm.
    #[error("the key of the token is not for the algorithm of the token")]
    KeyMismatch,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    BadSignature,
    /// A required claim is absent.
    #[error("the claim \"{0}\" is missing")]
    MissingClaim(&'static str),
    /// A claim has a value of the wrong type or out of range.
    #[error("the claim \"{0}\" has a value that is not allowed")]
    BadClaim(&'static str),
    /// `iss` is not the expected issuer.
    #[error("the token is of another issuer")]
    WrongIssuer,
    /// `aud` does not contain the expected audience.
    #[error("the token is for another audience")]
    WrongAudience,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come yet.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` lies ahead.
    #[error("the token was issued in the future")]
    IssuedInTheFuture,
}

impl VerifyError {
    /// The name of the reason, for logs and counters. It does not change between versions.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed(_) => "malformed",
            Self::AlgorithmNotAllowed => "algorithm_not_allowed",
            Self::CriticalHeader => "critical_header",
            Self::WrongType => "wrong_type",
            Self::UnknownKey => "unknown_key",
            Self::AmbiguousKey => "ambiguous_key",
            Self::KeyMismatch => "key_mismatch",
            Self::BadSignature => "bad_signature",
            Self::MissingClaim(_) => "missing_claim",
            Self::BadClaim(_) => "bad_claim",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInTheFuture => "issued_in_the_future",
        }
    }
}

impl From<BadSignature> for VerifyError {
    fn from(_: BadSignature) -> Self {
        Self::BadSignature
    }
}
