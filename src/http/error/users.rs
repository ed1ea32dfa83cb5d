//! What a caller learns of an account that was not changed.

use actix_web::http::StatusCode;
use serde_json::Value;

use super::Told;
use crate::users::password::NotHashed;
use crate::users::{NameError, NotChosen, UserAdministrationError, UserError};

fn conflict(code: &'static str, description: &'static str) -> Told {
    Told::new(code, StatusCode::CONFLICT, description)
}

pub(super) fn told(error: &UserAdministrationError) -> Told {
    match error {
        UserAdministrationError::Absent => {
            Told::new("no_such_user", StatusCode::NOT_FOUND, "there is no account of that identifier")
        }
        UserAdministrationError::Exists => conflict("user_exists", "there is an account of that identifier already"),
        UserAdministrationError::UsernameTaken => conflict("username_taken", "another account has this username"),
        UserAdministrationError::LookAlike => {
            conflict("username_looks_alike", "another account has a username that looks like this one")
        }
        UserAdministrationError::EmailTaken => conflict("email_taken", "another account has this e-mail address"),
        UserAdministrationError::Stale { .. } => {
            Told::new("stale_version", StatusCode::PRECONDITION_FAILED, "it was changed meanwhile: read it again")
        }
        UserAdministrationError::BeyondPower(_) | UserAdministrationError::Own => {
            Told::new("beyond_own_power", StatusCode::FORBIDDEN, "nobody gives, takes or resets more than they have")
        }
        UserAdministrationError::User(_) => {
            Told::new("invalid_member", StatusCode::BAD_REQUEST, "a member has a value that it can't have")
        }
        UserAdministrationError::Password(NotChosen::NotHashed(NotHashed::Busy { retry_after })) => {
            super::denied::after(Told::unavailable(error), *retry_after)
        }
        UserAdministrationError::Password(NotChosen::NotHashed(_) | NotChosen::Failed(_)) => Told::unavailable(error),
        UserAdministrationError::Password(_) => {
            Told::new("password_refused", StatusCode::UNPROCESSABLE_ENTITY, "this password can't be chosen")
        }
        UserAdministrationError::Contended => Told::unavailable(error),
        UserAdministrationError::Store(error) => Told::store(error),
    }
}

/// What else there is to know.
pub(super) fn more(error: &UserAdministrationError) -> Vec<(&'static str, Value)> {
    let why = ("why", Value::from(error.to_string()));
    match error {
        UserAdministrationError::Stale { version } => vec![("version", (*version).into())],
        UserAdministrationError::BeyondPower(_) | UserAdministrationError::Own => vec![why],
        UserAdministrationError::User(error) => vec![("member", member(error).into()), why],
        UserAdministrationError::Password(NotChosen::NotHashed(_) | NotChosen::Failed(_)) => Vec::new(),
        UserAdministrationError::Password(refused) => {
            let mut more = vec![("member", "password".into()), why];
            if let NotChosen::Refused(refused) = refused {
                more.extend([("reason", refused.reason().into()), ("hints", refused.hints().into())]);
            }
            more
        }
        _ => Vec::new(),
    }
}

const fn member(error: &UserError) -> &'static str {
    match error {
        UserError::Id => "id",
        UserError::Name(NameError::Email) => "email",
        UserError::Name(_) => "username",
        UserError::TooManyRoles | UserError::Role(_) | UserError::AdminRole(_) => "roles",
        UserError::Attribute(..) | UserError::AttributesTooLarge | UserError::ClaimsTooLarge => "attributes",
    }
}
