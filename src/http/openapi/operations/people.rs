//! What the endpoints of `/auth` do, in words.

use serde_json::{Value, json};

use super::{Described, JSON, PEOPLE, Success, answered, gone, json_body, plain};
use crate::http::auth::AuthOperation;

/// The errors of an endpoint that reads a body.
const OF_A_BODY: &[u16] = &[400, 401, 403, 408, 413, 415, 503];
const OF_A_PASSWORD: &[u16] = &[400, 401, 403, 408, 409, 413, 415, 422, 429, 503];
const OF_A_TOKEN: &[u16] = &[400, 401, 403, 503];

/// How it is known who calls, besides what stands in the body.
pub(super) fn presented(operation: AuthOperation) -> Value {
    match operation {
        AuthOperation::LogIn | AuthOperation::Register => json!([{}, { "client_secret_basic": [] }]),
        AuthOperation::Refresh => json!([{}, { "refresh_cookie": [] }, { "client_secret_basic": [] }]),
        AuthOperation::LogOut => {
            json!([{}, { "refresh_cookie": [] }, { "client_secret_basic": [] }, { "person_token": [] }])
        }
        AuthOperation::Password => json!([{}, { "person_token": [] }]),
        AuthOperation::Me
        | AuthOperation::ListSessions
        | AuthOperation::EndOtherSessions
        | AuthOperation::EndSession => json!([{ "person_token": [] }]),
    }
}

/// The endpoint in words.
pub(super) fn described(operation: AuthOperation) -> Described {
    let act = |id, summary, description, schema, errors, success| Described {
        body: json_body(schema, true),
        errors,
        ..plain(id, PEOPLE, summary, description, vec![success])
    };
    let read = |id, summary, description, errors, success| Described {
        errors,
        ..plain(id, PEOPLE, summary, description, vec![success])
    };
    match operation {
        AuthOperation::LogIn => act(
            "log_in",
            "Sign in by password",
            "An unknown user, a wrong password and a disabled account are answered alike. With `delivery` `cookie` the refresh \
             token is in a `__Host-` cookie alone; that takes `Origin` and `X-Signet-CSRF: 1`. The device token is what this device is known by at the next login: \
             it lets nobody in, but strangers hold nobody up there.",
            "LogIn",
            OF_A_PASSWORD,
            answered("The tokens of a new session.", JSON, "LoggedIn"),
        ),
        AuthOperation::Refresh => act(
            "refresh",
            "Prolong a session",
            "The refresh token is in the body or in the cookie, never in both. An answer without a refresh token means that \
             the one presented goes on. With a cookie, `Origin` and `X-Signet-CSRF: 1` are needed.",
            "Refresh",
            OF_A_BODY,
            answered("New tokens.", JSON, "LoggedIn"),
        ),
        AuthOperation::LogOut => act(
            "log_out",
            "Sign out",
            "The session is that of the access token, of the refresh token or of the cookie.",
            "LogOut",
            OF_A_BODY,
            gone("It has ended, or had before."),
        ),
        AuthOperation::Password => act(
            "change_password",
            "Set another password",
            "Every session of the account ends. Who did it by an access token gets the tokens of a new session; 204 answers \
             who did it by name and password, or by a one-time link. Every device is forgotten but the one that did it.",
            "ChangePassword",
            OF_A_PASSWORD,
            answered("The tokens of a new session.", JSON, "LoggedIn"),
        ),
        AuthOperation::Register => act(
            "register",
            "Make an account",
            "Where `auth.registration` lets anybody, within limits. An e-mail address is not taken.",
            "Register",
            OF_A_PASSWORD,
            Success { status: 201, description: "It is made.", content: Some((JSON, "RegisteredUser")), tagged: false },
        ),
        AuthOperation::Me => {
            read("me", "See who is signed in", "", OF_A_TOKEN, answered("The person.", JSON, "MeView"))
        }
        AuthOperation::ListSessions => read(
            "list_own_sessions",
            "See one's sessions",
            "At every client; the last used comes first.",
            OF_A_TOKEN,
            answered("The sessions.", JSON, "SessionList"),
        ),
        AuthOperation::EndOtherSessions => {
            read("end_other_sessions", "End one's other sessions", "", OF_A_TOKEN, gone("They have ended."))
        }
        AuthOperation::EndSession => {
            read("end_own_session", "End one of one's sessions", "", &[400, 401, 403, 404, 503], gone("It has ended."))
        }
    }
}
