//! The only place that says which error has which status and which words.
//!
//! OAuth endpoints answer as [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2) has it, all others
//! with problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). What a caller reads is fixed per case and
//! repeats nothing that was sent; the detail goes to the log.

mod denied;
mod keys;
mod problem;
mod users;

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use serde_json::json;

use super::answer::{Answer, Note};
use crate::clients::AuthenticationError;
use crate::grants::{GrantError, ParameterError};
use crate::ports::StoreError;

pub(super) use denied::Denied;
pub(super) use problem::{Kind, Problem};

/// When a caller may try again, seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");
/// What a client that failed is told to bring.
const BASIC: &str = "Basic realm=\"signet\", charset=\"UTF-8\"";
const CHALLENGE: HeaderValue = HeaderValue::from_static(BASIC);

/// Every code with which a token request may be refused.
pub const OAUTH_ERRORS: [&str; 9] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unsupported_grant_type",
    "unauthorized_client",
    "invalid_scope",
    "invalid_target",
    "temporarily_unavailable",
    "server_error",
];

/// With which of them, when it could not even be read.
pub(super) const UNREAD: &str = "invalid_request";

/// What went wrong before any endpoint looked at the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    NotFound,
    MethodNotAllowed,
    BodyTooLarge,
    BodyTooSlow,
    BodyBroken,
}

/// An error of an OAuth endpoint.
#[derive(Debug)]
pub(super) enum OAuthError {
    /// The request itself is wrong.
    InvalidRequest(&'static str),
    /// It is not a form.
    NotAForm,
    /// No such grant.
    UnsupportedGrantType,
    /// The client is not who it says it is.
    Authentication(AuthenticationError),
    /// The grant refuses.
    Grant(GrantError),
}

/// Code, status and words.
struct Told {
    code: &'static str,
    status: StatusCode,
    description: Cow<'static, str>,
    detail: Option<Cow<'static, str>>,
    /// When to come again, seconds, where that is known.
    retry_after: Option<u64>,
}

impl Told {
    fn new(code: &'static str, status: StatusCode, description: impl Into<Cow<'static, str>>) -> Self {
        Self { code, status, description: description.into(), detail: None, retry_after: None }
    }

    fn because(mut self, detail: &impl ToString) -> Self {
        self.detail = Some(detail.to_string().into());
        self
    }

    fn unavailable(detail: &impl ToString) -> Self {
        let description = "this can't be answered at the moment";
        Self::new("temporarily_unavailable", StatusCode::SERVICE_UNAVAILABLE, description).because(detail)
    }

    fn store(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::unavailable(error),
            StoreError::Corrupt { .. } | StoreError::Refused(_) => {
                Self::new("server_error", StatusCode::INTERNAL_SERVER_ERROR, "an operator has to look").because(error)
            }
        }
    }
}

impl OAuthError {
    /// Why the client was not let in, in short, if that is what went wrong.
    pub(super) const fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Authentication(AuthenticationError::Refused(refusal)) => Some(refusal.reason()),
            _ => None,
        }
    }

    fn told(&self) -> Told {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::InvalidRequest(why) => Told::new("invalid_request", bad, *why),
            Self::NotAForm => Told::new(
                "invalid_request",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be application/x-www-form-urlencoded",
            ),
            Self::UnsupportedGrantType => Told::new("unsupported_grant_type", bad, "this grant type is not supported"),
            Self::Authentication(AuthenticationError::Refused(refusal)) => {
                Told::new("invalid_client", StatusCode::UNAUTHORIZED, "client authentication failed").because(refusal)
            }
            Self::Authentication(AuthenticationError::Store(error)) => Told::store(error),
            Self::Grant(error) => match error {
                GrantError::InvalidRequest(why) => Told::new("invalid_request", bad, *why),
                GrantError::InvalidGrant(why) => Told::new("invalid_grant", bad, error.to_string()).because(why),
                GrantError::NoRefreshKey => Told::unavailable(error),
                GrantError::UnauthorizedClient => Told::new("unauthorized_client", bad, error.to_string()),
                GrantError::InvalidScope(why) => Told::new("invalid_scope", bad, *why),
                GrantError::InvalidTarget(why) => Told::new("invalid_target", bad, *why),
                GrantError::Minting(minting) => Told::unavailable(minting),
                GrantError::Store(error) => Told::store(error),
            },
        }
    }
}

impl From<ParameterError> for OAuthError {
    fn from(error: ParameterError) -> Self {
        Self::InvalidRequest(match error {
            ParameterError::Malformed => "the form is not well-formed",
            ParameterError::Repeated => "a parameter stands more than once",
            ParameterError::TooMany => "the form has too many parameters",
        })
    }
}

impl From<AuthenticationError> for OAuthError {
    fn from(error: AuthenticationError) -> Self {
        Self::Authentication(error)
    }
}

impl From<GrantError> for OAuthError {
    fn from(error: GrantError) -> Self {
        Self::Grant(error)
    }
}

/// Every status that asks for a further header gets it here, but for a challenge, which is the scheme's.
fn dress(mut answer: Answer, told: Told) -> Answer {
    answer.status = told.status;
    answer.note = Note { client: None, error: Some(told.code), detail: told.detail };
    match (told.status, told.retry_after) {
        (_, Some(seconds)) => answer.with(header::RETRY_AFTER, HeaderValue::from(seconds)),
        (StatusCode::SERVICE_UNAVAILABLE, None) => answer.with(header::RETRY_AFTER, RETRY_AFTER),
        _ => answer,
    }
}

impl From<OAuthError> for Answer {
    fn from(error: OAuthError) -> Self {
        let told = error.told();
        let body = json!({ "error": told.code, "error_description": told.description });
        let answer = dress(Self::json(body.to_string()), told);
        if answer.status == StatusCode::UNAUTHORIZED {
            answer.with(header::WWW_AUTHENTICATE, CHALLENGE)
        } else {
            answer
        }
    }
}

impl Refused {
    fn told(self) -> Told {
        match self {
            Self::NotFound => Told::new("not_found", StatusCode::NOT_FOUND, "there is nothing at this path"),
            Self::MethodNotAllowed => {
                Told::new("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "this path knows other methods")
            }
            Self::BodyTooLarge => Told::new("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            Self::BodyTooSlow => Told::new("body_too_slow", StatusCode::REQUEST_TIMEOUT, "the body took too long"),
            Self::BodyBroken => Told::new("body_broken", StatusCode::BAD_REQUEST, "the body can't be read"),
        }
    }

    /// As an OAuth endpoint says it, or with problem details.
    pub(super) fn answer(self, as_oauth: bool) -> Answer {
        if !as_oauth {
            return Problem::Refused(self).into();
        }
        let told = self.told();
        let body = json!({ "error": UNREAD, "error_description": told.description });
        dress(Answer::json(body.to_string()), told)
    }
}

/// 405 with what the path allows ([RFC 9110 §15.5.6](https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6)).
pub(super) fn method_not_allowed(allow: &HeaderValue, as_oauth: bool) -> Answer {
    Refused::MethodNotAllowed.answer(as_oauth).with(header::ALLOW, allow.clone())
}

/// 503 with what is missing.
pub(super) fn not_ready(body: String, detail: String) -> Answer {
    let told = Told::unavailable(&detail);
    dress(Answer::json(body), told)
}

/// 304: the caller has these bytes.
pub(super) fn not_modified(mut answer: Answer) -> Answer {
    answer.status = StatusCode::NOT_MODIFIED;
    answer.body = actix_web::web::Bytes::new();
    answer
}

/// 201: what the request made.
pub(super) fn created(answer: Answer) -> Answer {
    Answer { status: StatusCode::CREATED, ..answer }
}

/// 204: the answer to a preflight, or to what leaves nothing to show.
pub(super) fn no_content() -> Answer {
    Answer { status: StatusCode::NO_CONTENT, ..Answer::json("") }
}
