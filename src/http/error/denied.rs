//! What `/auth` says of an error, besides what every route says.
//!
//! Guarantees: an unknown user, a wrong password and a disabled account are told in the same words; so are all reasons why
//! a refresh token is refused; what was typed is in no answer and in no log.

use std::time::Duration;

use actix_web::http::StatusCode;
use serde_json::Value;

use super::{BASIC, OAuthError, Told};
use crate::clients::AuthenticationError;
use crate::grants::GrantError;
use crate::tokens::session::RefreshRefusal;
use crate::users::password::NotHashed;
use crate::users::{AccountError, LoginRefused, NotChosen};

/// Why `/auth` refuses.
#[derive(Debug)]
pub(in crate::http) enum Denied {
    /// A page of an origin that is not registered for the client.
    OriginNotAllowed,
    /// A call with a cookie that a foreign page could have made.
    Csrf,
    /// A cookie that stands twice, or is none of ours.
    Cookie,
    /// A refresh token in more than one place.
    SeveralRefreshTokens,
    /// A device token in more than one place.
    SeveralDeviceTokens,
    /// No refresh token at all.
    NoRefreshToken,
    /// A refresh token that is refused. Why is for the log.
    RefreshToken(RefreshRefusal),
    /// The client is not who it says it is in the `Authorization` header.
    Client(AuthenticationError),
    /// The client that the body names, if any, is none that is there, or needs a secret.
    PublicClient(AuthenticationError),
    /// The client is not one that people give their passwords to.
    NotFirstParty,
    /// The client can't have what is asked for.
    Grant(GrantError),
    /// The person may have nothing of what is asked for.
    NothingAllowed,
    /// The person was not let in.
    Login(LoginRefused),
    /// The password must be changed first.
    MustChangePassword,
    /// Another password was not taken.
    Account(AccountError),
    /// An account was not made.
    Registration(AccountError),
    /// Nobody can make an account for themselves.
    RegistrationClosed,
    /// None of the person's own.
    NoSuchSession,
}

/// When a login may be tried again where too many are waiting: seconds, and never none.
pub(super) fn after(told: Told, span: Duration) -> Told {
    Told { retry_after: Some(span.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)), ..told }
}

impl Denied {
    pub(super) fn told(&self) -> Told {
        let told = |code, status, description| Told::new(code, status, description);
        let bad = |code, description| Told::new(code, StatusCode::BAD_REQUEST, description);
        let forbidden = |code, description| Told::new(code, StatusCode::FORBIDDEN, description);
        match self {
            Self::OriginNotAllowed => {
                forbidden("origin_not_allowed", "pages of this origin may not call here for this client")
            }
            Self::Csrf => forbidden("csrf", "a call with a cookie needs Origin and `X-Signet-CSRF: 1`"),
            Self::Cookie => bad("invalid_cookie", "the cookie stands more than once, or is not one that was set here"),
            Self::SeveralRefreshTokens => {
                bad("several_refresh_tokens", "the refresh token is in the body or in the cookie, never in both")
            }
            Self::SeveralDeviceTokens => {
                bad("several_device_tokens", "the device token is in the body or in the cookie, never in both")
            }
            Self::NoRefreshToken => {
                told("no_refresh_token", StatusCode::UNAUTHORIZED, "there is no refresh token, in body or cookie")
            }
            Self::RefreshToken(why) => told(
                "invalid_refresh_token",
                StatusCode::UNAUTHORIZED,
                "the refresh token is invalid, expired, or another client's: sign in again",
            )
            .because(why),
            Self::Client(AuthenticationError::Refused(why)) | Self::PublicClient(AuthenticationError::Refused(why)) => {
                told("invalid_client", StatusCode::UNAUTHORIZED, "client authentication failed").because(why)
            }
            Self::Client(AuthenticationError::Store(error)) | Self::PublicClient(AuthenticationError::Store(error)) => {
                Told::store(error)
            }
            Self::NotFirstParty => {
                forbidden("not_first_party", "only a first-party client signs people in here: others have /oauth2")
            }
            // The same codes and words as at the token endpoint.
            Self::Grant(GrantError::InvalidScope(why)) => bad("invalid_scope", *why),
            Self::Grant(GrantError::InvalidTarget(why)) => bad("invalid_target", *why),
            Self::Grant(error) => OAuthError::Grant(error.clone()).told(),
            Self::NothingAllowed => bad("invalid_scope", "the person may have nothing of what is asked for"),
            Self::Login(refused) => login(refused),
            Self::MustChangePassword => forbidden(
                "must_change_password",
                "the password is right, and must be changed first: POST /auth/password",
            ),
            Self::Account(error) | Self::Registration(error) => account(error),
            Self::RegistrationClosed => forbidden("registration_closed", "accounts are made by an administrator"),
            Self::NoSuchSession => {
                told("no_such_session", StatusCode::NOT_FOUND, "there is no session of yours of that name")
            }
        }
    }

    /// What would do, where whoever calls has not proved who they are: a 401 says so
    /// ([RFC 9110 §11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)).
    pub(super) fn challenge(&self) -> Option<&'static str> {
        let challenge = match self {
            Self::Client(_) => BASIC,
            // For Basic a browser would ask the person for name and password, in words of its own, and send them.
            _ => "Bearer realm=\"signet\"",
        };
        (self.told().status == StatusCode::UNAUTHORIZED).then_some(challenge)
    }

    pub(super) fn more(&self) -> Vec<(&'static str, Value)> {
        match self {
            Self::Account(AccountError::Password(refused)) => not_chosen("new_password", refused),
            Self::Registration(AccountError::Password(refused)) => not_chosen("password", refused),
            Self::Account(AccountError::Name(error)) | Self::Registration(AccountError::Name(error)) => {
                vec![("why", error.to_string().into())]
            }
            _ => Vec::new(),
        }
    }
}

/// Why the password that stands in `member` of the body was not taken.
fn not_chosen(member: &'static str, refused: &NotChosen) -> Vec<(&'static str, Value)> {
    let mut more = vec![("member", member.into()), ("why", refused.to_string().into())];
    match refused {
        NotChosen::NotHashed(_) | NotChosen::Failed(_) => return Vec::new(),
        NotChosen::Refused(refused) => {
            more.push(("reason", refused.reason().into()));
            more.push(("hints", refused.hints().into()));
        }
        _ => {}
    }
    more
}

fn login(refused: &LoginRefused) -> Told {
    match refused {
        LoginRefused::Credentials(why) => {
            let words = "the username or the password is wrong, or nobody may sign in to this account";
            Told::new("invalid_credentials", StatusCode::UNAUTHORIZED, words).because(why)
        }
        LoginRefused::TooMany { retry_after } => {
            let words = "too many attempts have failed: wait, and try again";
            after(Told::new("too_many_attempts", StatusCode::TOO_MANY_REQUESTS, words), *retry_after)
        }
        LoginRefused::Busy { retry_after } => after(Told::unavailable(refused), *retry_after),
        LoginRefused::NotChecked(_) => Told::unavailable(refused),
        LoginRefused::Store(error) => Told::store(error),
    }
}

fn account(error: &AccountError) -> Told {
    match error {
        AccountError::Login(refused) => login(refused),
        AccountError::Link => Told::new("invalid_link", StatusCode::BAD_REQUEST, "this link is no longer good"),
        AccountError::Password(NotChosen::NotHashed(NotHashed::Busy { retry_after })) => {
            after(Told::unavailable(error), *retry_after)
        }
        AccountError::Password(NotChosen::NotHashed(_) | NotChosen::Failed(_)) => Told::unavailable(error),
        AccountError::Password(_) => {
            Told::new("password_refused", StatusCode::UNPROCESSABLE_ENTITY, "this password can't be chosen")
        }
        AccountError::Name(_) => {
            Told::new("invalid_name", StatusCode::BAD_REQUEST, "that can't be what an account is called")
        }
        AccountError::Taken(_) => Told::new("name_taken", StatusCode::CONFLICT, "another account is called so"),
        AccountError::TooManyRegistrations { retry_after } => {
            let words = "too many accounts were asked for: wait, and try again";
            after(Told::new("too_many_registrations", StatusCode::TOO_MANY_REQUESTS, words), *retry_after)
        }
        AccountError::Raced => {
            Told::new("changed_meanwhile", StatusCode::CONFLICT, "the account was changed meanwhile")
        }
        AccountError::Store(error) => Told::store(error),
    }
}
