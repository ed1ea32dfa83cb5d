//! Problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): what every route but the token endpoint says of
//! an error.
//!
//! Guarantees: each case has one status, one code that programs may rely on, and one fixed text; what a caller sent comes
//! back, if at all, in a member of its own and never in the log.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use serde_json::{Map, Value};
use signet_verify::json::JsonError;

use super::{Denied, Refused, Told, dress, keys, users};
use crate::clients::{AdministrationError, ClientError, ResourceError};
use crate::http::answer::Answer;
use crate::keys::{KeeperError, SweepRefused};
use crate::ports::StoreError;
use crate::users::UserAdministrationError;

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error that is told with problem details.
#[derive(Debug)]
pub(in crate::http) enum Problem {
    /// The request was refused before any endpoint looked at it.
    Refused(Refused),
    /// The request bears no token.
    NoToken,
    /// It bears more than one.
    SeveralTokens,
    /// Its token is not good. Why is for the log.
    InvalidToken(Cow<'static, str>),
    /// Its token does not have this scope, or its client may not have it any more.
    InsufficientScope(&'static str),
    /// It can't be answered at the moment. Why is for the log.
    Unavailable(Cow<'static, str>),
    /// A store failed.
    Store(StoreError),
    /// The query is not well-formed.
    InvalidQuery,
    /// The query has a parameter that this route does not know.
    UnknownParameter(String),
    /// A parameter stands twice.
    RepeatedParameter,
    /// A parameter's value is not one.
    InvalidParameter {
        /// Its name.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A cursor that this route did not give out for this listing.
    InvalidCursor,
    /// The body is not `application/json`.
    NotJson,
    /// A body where none is read.
    UnexpectedBody,
    /// The body is not one JSON object with one reading.
    InvalidJson(JsonError),
    /// The body has a member that this route does not know.
    UnknownMember(String),
    /// The body lacks a member.
    MissingMember(String),
    /// A member's value is not one.
    InvalidMember {
        /// Its name, where it can be told.
        name: Option<String>,
        /// What is wrong with it, for people.
        why: String,
    },
    /// A reason that can't be kept.
    InvalidReason,
    /// The change needs `If-Match`.
    PreconditionRequired,
    /// `If-Match` is malformed.
    InvalidIfMatch,
    /// `If-Match` where it means nothing.
    UnexpectedIfMatch,
    /// Someone changed it since the caller saw it.
    Stale {
        /// The version that it has now.
        version: i64,
    },
    /// A client or resource was not changed.
    Administration(Kind, AdministrationError),
    /// There is no key of that name.
    NoSuchKey,
    /// The keys were not changed.
    Keys(KeeperError),
    /// An account was not changed.
    Users(UserAdministrationError),
    /// A row of an import is no account. Why, without any of its values.
    InvalidRow(String),
    /// There is no session of that name.
    NoSuchSession,
    /// `/auth` refuses.
    Denied(Denied),
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Kind {
    Client,
    Resource,
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<KeeperError> for Problem {
    fn from(error: KeeperError) -> Self {
        Self::Keys(error)
    }
}

impl From<SweepRefused> for Problem {
    fn from(refused: SweepRefused) -> Self {
        Self::Keys(refused.into())
    }
}

impl From<UserAdministrationError> for Problem {
    fn from(error: UserAdministrationError) -> Self {
        match error {
            UserAdministrationError::Store(error) => Self::Store(error),
            other => Self::Users(other),
        }
    }
}

impl Problem {
    /// Code and words, for what stands within an answer about several.
    pub(in crate::http) fn in_short(self) -> (&'static str, String) {
        let told = self.told();
        let why = self.more().into_iter().find(|(name, _)| *name == "why");
        let why = why.and_then(|(_, why)| why.as_str().map(str::to_owned));
        (told.code, why.unwrap_or_else(|| told.description.into_owned()))
    }

    fn told(&self) -> Told {
        let bad = |code, description| Told::new(code, StatusCode::BAD_REQUEST, description);
        match self {
            Self::Refused(refused) => refused.told(),
            Self::NoToken => Told::new("no_token", StatusCode::UNAUTHORIZED, "a bearer token is needed"),
            Self::SeveralTokens => bad("invalid_request", "there is more than one Authorization header"),
            Self::InvalidToken(why) => {
                Told::new("invalid_token", StatusCode::UNAUTHORIZED, "the token is not valid here").because(why)
            }
            Self::InsufficientScope(_) => {
                Told::new("insufficient_scope", StatusCode::FORBIDDEN, "the token does not allow this")
            }
            Self::Unavailable(why) => Told::unavailable(why),
            Self::Store(error) => Told::store(error),
            Self::InvalidQuery => bad("invalid_query", "the query is not well-formed"),
            Self::UnknownParameter(_) => bad("unknown_parameter", "this route does not know that parameter"),
            Self::RepeatedParameter => bad("repeated_parameter", "a parameter stands more than once"),
            Self::InvalidParameter { .. } => bad("invalid_parameter", "a parameter has a value that it can't have"),
            Self::InvalidCursor => bad("invalid_cursor", "the cursor is not of this listing: begin anew without one"),
            Self::NotJson => {
                let what = "the body must be application/json in UTF-8, without a content coding";
                Told::new("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, what)
            }
            Self::UnexpectedBody => bad("unexpected_body", "this route reads no body"),
            Self::InvalidJson(why) => {
                bad("invalid_json", "the body is not one JSON object that everybody reads alike").because(why)
            }
            Self::UnknownMember(_) => bad("unknown_member", "this route does not know that member"),
            Self::MissingMember(_) => bad("missing_member", "a member is missing"),
            Self::InvalidMember { .. } => bad("invalid_member", "a member has a value that it can't have"),
            Self::InvalidReason => {
                bad("invalid_reason", "a reason has at most 500 characters and no control characters")
            }
            Self::PreconditionRequired => Told::new(
                "precondition_required",
                StatusCode::PRECONDITION_REQUIRED,
                "If-Match is needed: read it first",
            ),
            Self::UnexpectedIfMatch => bad("unexpected_if_match", "this route takes no If-Match"),
            Self::InvalidIfMatch => bad("invalid_if_match", "If-Match is not a list of entity tags"),
            Self::Stale { .. } => {
                Told::new("stale_version", StatusCode::PRECONDITION_FAILED, "it was changed meanwhile: read it again")
            }
            Self::Administration(kind, error) => administration(*kind, error),
            Self::NoSuchKey => keys::no_such_key(),
            Self::Keys(error) => keys::told(error),
            Self::Users(error) => users::told(error),
            Self::InvalidRow(_) => bad("invalid_row", "it is no account that can be taken over"),
            Self::NoSuchSession => {
                Told::new("no_such_session", StatusCode::NOT_FOUND, "there is no session of that name")
            }
            Self::Denied(denied) => denied.told(),
        }
    }

    /// What else there is to know of this case.
    fn more(self) -> Vec<(&'static str, Value)> {
        match self {
            Self::InsufficientScope(scope) => vec![("scope", scope.into())],
            Self::UnknownParameter(name) => vec![("parameter", name.into())],
            Self::InvalidParameter { name, expected } => {
                vec![("parameter", name.into()), ("expected", expected.into())]
            }
            Self::InvalidJson(why) => vec![("why", why.to_string().into())],
            Self::UnknownMember(name) | Self::MissingMember(name) => vec![("member", name.into())],
            Self::InvalidMember { name, why } => {
                let name = name.map(|name| ("member", Value::from(name)));
                name.into_iter().chain([("why", why.into())]).collect()
            }
            Self::Stale { version } => vec![("version", version.into())],
            Self::Administration(_, error) => more_of_administration(error),
            Self::Keys(error) => keys::more(&error),
            Self::Users(error) => users::more(&error),
            Self::InvalidRow(why) => vec![("why", why.into())],
            Self::Denied(denied) => denied.more(),
            _ => Vec::new(),
        }
    }

    /// What a caller without a good token is told to bring
    /// ([RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3)).
    fn challenge(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            // "If the request lacks any authentication information, the resource server SHOULD NOT include an error
            // code": https://www.rfc-editor.org/rfc/rfc6750#section-3.1
            Self::NoToken => "Bearer realm=\"signet\"".into(),
            Self::Denied(denied) => denied.challenge()?.into(),
            Self::SeveralTokens => "Bearer realm=\"signet\", error=\"invalid_request\"".into(),
            Self::InvalidToken(_) => "Bearer realm=\"signet\", error=\"invalid_token\"".into(),
            Self::InsufficientScope(scope) => {
                format!("Bearer realm=\"signet\", error=\"insufficient_scope\", scope=\"{scope}\"").into()
            }
            _ => return None,
        })
    }
}

/// What the caller learns of a change that was not made.
fn administration(kind: Kind, error: &AdministrationError) -> Told {
    let conflict = |code, description| Told::new(code, StatusCode::CONFLICT, description);
    match (error, kind) {
        (AdministrationError::Absent, Kind::Client) => {
            Told::new("no_such_client", StatusCode::NOT_FOUND, "there is no client of that identifier")
        }
        (AdministrationError::Absent, Kind::Resource) => {
            Told::new("no_such_resource", StatusCode::NOT_FOUND, "there is no resource of that identifier")
        }
        (AdministrationError::Exists, Kind::Client) => conflict("client_exists", "the identifier is taken"),
        (AdministrationError::Exists, Kind::Resource) => conflict("resource_exists", "the identifier is taken"),
        (AdministrationError::Stale { version }, _) => Problem::Stale { version: *version }.told(),
        (AdministrationError::InUse(_), _) => conflict("resource_in_use", "clients name the resource"),
        (AdministrationError::Client(ClientError::HasNoSecret), _) => {
            conflict("no_secret", "the client authenticates with keys, and has no secret")
        }
        (AdministrationError::Resource(ResourceError::Reserved), _) => {
            Told::new("reserved_resource", StatusCode::FORBIDDEN, "the admin resource is Signet's own")
        }
        (AdministrationError::BeyondPower(_), _) => {
            Told::new("beyond_own_power", StatusCode::FORBIDDEN, "nobody gives, takes or resets more than they have")
        }
        (AdministrationError::Contended, _) => Told::unavailable(error),
        (AdministrationError::Store(error), _) => Told::store(error),
        (
            AdministrationError::Client(_) | AdministrationError::Resource(_) | AdministrationError::NoSuchResource(_),
            _,
        ) => Problem::InvalidMember { name: None, why: String::new() }.told(),
    }
}

fn more_of_administration(error: AdministrationError) -> Vec<(&'static str, Value)> {
    let why = error.to_string();
    let member = |name: &'static str, why: String| vec![("member", name.into()), ("why", why.into())];
    match error {
        AdministrationError::Stale { version } => vec![("version", version.into())],
        AdministrationError::InUse(clients) if !clients.is_empty() => vec![("clients", clients.into())],
        AdministrationError::BeyondPower(_) | AdministrationError::NoSuchResource(_) => vec![("why", why.into())],
        AdministrationError::Client(ClientError::Id) => member("client_id", why),
        AdministrationError::Client(ClientError::Metadata { member: name, why }) => member(name, why),
        AdministrationError::Resource(error) => match error {
            ResourceError::Reserved => Vec::new(),
            ResourceError::Identifier { why, .. } => member("resource", why.to_owned()),
            ResourceError::Lifetime { .. } => member("token_lifetime", why),
            ResourceError::Algorithm(_) | ResourceError::UnknownAlgorithm => member("algorithm", why),
            ResourceError::Name => member("name", why),
            ResourceError::Scopes(_) | ResourceError::TooManyScopes => member("scopes", why),
            ResourceError::Claims(_) | ResourceError::TooLargeWithClaims => member("claims", why),
        },
        _ => Vec::new(),
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let (told, challenge) = (problem.told(), problem.challenge());
        let mut body = Map::new();
        let mut say = |name: &str, value: Value| body.insert(name.to_owned(), value);
        say("type", "about:blank".into());
        say("title", told.status.canonical_reason().unwrap_or("error").into());
        say("status", told.status.as_u16().into());
        say("detail", told.description.as_ref().into());
        say("code", told.code.into());
        for (name, value) in problem.more() {
            say(name, value);
        }
        let answer = Self { content_type: PROBLEM, ..Self::json(Value::Object(body).to_string()) };
        let answer = dress(answer, told);
        // A scope is made of characters that a header may have: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
        match challenge.and_then(|challenge| HeaderValue::try_from(challenge.as_ref()).ok()) {
            Some(challenge) => answer.with(header::WWW_AUTHENTICATE, challenge),
            None => answer,
        }
    }
}
