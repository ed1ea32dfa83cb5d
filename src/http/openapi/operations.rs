//! What each endpoint does, in words: the only description that is written by hand.

mod accounts;
mod clients;
mod keys;
mod people;
mod resources;

use serde_json::{Value, json};

use super::credentials::Credential;
use crate::http::admin::Operation;
use crate::http::table::Endpoint;

const JSON: &str = "application/json";
const PUBLIC: &str = "Tokens and keys";
const PEOPLE: &str = "People";
const HEALTH: &str = "Health";
const KEYS: &str = "Signing keys";
const CLIENTS: &str = "Clients";
const RESOURCES: &str = "Resources";
const USERS: &str = "Accounts";
const SESSIONS: &str = "Sessions";
const AUDIT: &str = "Audit log";
const DESCRIPTION: &str = "Description";

/// The groups, in the order in which they are shown.
pub(super) const TAGS: [(&str, &str); 10] = [
    (PUBLIC, "What applications and verifiers use."),
    (PEOPLE, "Signing in, by first-party clients and their pages alone."),
    (KEYS, "What signs the tokens."),
    (CLIENTS, "Who may ask for tokens."),
    (RESOURCES, "The services that tokens are for."),
    (USERS, "People who may sign in."),
    (SESSIONS, "Who is signed in, and where."),
    (AUDIT, "What was done, by whom and why."),
    (HEALTH, "Whether this replica runs and does its work."),
    (DESCRIPTION, "This description."),
];

/// A query parameter.
pub(super) struct Parameter {
    name: &'static str,
    schema: &'static str,
    description: &'static str,
}

impl Parameter {
    pub(super) fn to_json(&self) -> Value {
        // The schemas stand below, each as JSON.
        let schema: Value = serde_json::from_str(self.schema).unwrap_or(Value::Null);
        let mut parameter =
            json!({ "name": self.name, "in": "query", "schema": schema, "description": self.description });
        if self.name == CURSOR.name {
            parameter["x-credential"] = Credential::Cursor.name().into();
        }
        parameter
    }
}

/// What a request brings.
pub(super) struct Body {
    pub(super) content_type: &'static str,
    pub(super) schema: &'static str,
    pub(super) required: bool,
}

/// An answer that is no error.
pub(super) struct Success {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) content: Option<(&'static str, &'static str)>,
    /// Whether it bears the `ETag` of its version.
    pub(super) tagged: bool,
}

/// An endpoint in words.
pub(super) struct Described {
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) query: &'static [Parameter],
    pub(super) body: Option<Body>,
    pub(super) if_match: bool,
    pub(super) successes: Vec<Success>,
    /// The statuses of errors, besides those of the guard.
    pub(super) errors: &'static [u16],
}

const TEXT: &str = r#"{"type":"string","minLength":1}"#;
const MOMENT: &str = r#"{"type":"string","format":"date-time"}"#;

const fn parameter(name: &'static str, schema: &'static str, description: &'static str) -> Parameter {
    Parameter { name, schema, description }
}

const PAGE_SIZE: Parameter = parameter(
    "page_size",
    r#"{"type":"integer","minimum":1,"maximum":200,"default":50}"#,
    "How many items the page has at most.",
);
const CURSOR: Parameter = parameter("cursor", TEXT, "Where the page begins: the `next_cursor` of the one before.");
const REASON: Parameter = parameter("reason", r#"{"type":"string","maxLength":500}"#, "Why, for the audit log.");

const LIST: &[Parameter] = &[PAGE_SIZE, CURSOR];
const AUDIT_LIST: &[Parameter] = &[
    PAGE_SIZE,
    CURSOR,
    parameter("act", TEXT, "Only this act, such as `clients.create`."),
    parameter(
        "subject",
        TEXT,
        "Only what was done to this: a `kid`, or the identifier of a client, a resource, an account or a session.",
    ),
    parameter("actor", TEXT, "Only what this client or operator did."),
    parameter("since", MOMENT, "Only what was done at this moment or later."),
    parameter("until", MOMENT, "Only what was done before this moment."),
];

const fn answered(description: &'static str, content_type: &'static str, schema: &'static str) -> Success {
    Success { status: 200, description, content: Some((content_type, schema)), tagged: false }
}

const fn tagged(status: u16, description: &'static str, schema: &'static str) -> Success {
    Success { status, description, content: Some((JSON, schema)), tagged: true }
}

const fn gone(description: &'static str) -> Success {
    Success { status: 204, description, content: None, tagged: false }
}

const fn json_body(schema: &'static str, required: bool) -> Option<Body> {
    Some(Body { content_type: JSON, schema, required })
}

fn plain(
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    successes: Vec<Success>,
) -> Described {
    Described { id, tag, summary, description, query: &[], body: None, if_match: false, successes, errors: &[] }
}

/// Of a list in pages of `schema`.
fn list(
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    schema: &'static str,
) -> Described {
    Described { query: LIST, ..plain(id, tag, summary, description, vec![answered("A page of them.", JSON, schema)]) }
}

/// Of one of many, which may not be there.
fn show(
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    success: Success,
) -> Described {
    Described { errors: &[404], ..plain(id, tag, summary, description, vec![success]) }
}

/// Of a new one, made of a body.
fn create(
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    body: &'static str,
    success: Success,
) -> Described {
    Described {
        body: json_body(body, true),
        errors: OF_A_NEW_ONE,
        ..plain(id, tag, summary, description, vec![success])
    }
}

/// Of a change of what may have been changed since: it takes `If-Match`.
fn change(
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    success: Success,
) -> Described {
    Described { if_match: true, errors: OF_A_CHANGE, ..plain(id, tag, summary, description, vec![success]) }
}

const NOT_MODIFIED: Success =
    Success { status: 304, description: "The caller has it: `If-None-Match`.", content: None, tagged: false };

/// The errors of reading a body, and of changing what someone else may have changed.
const OF_A_CHANGE: &[u16] = &[404, 408, 409, 412, 413, 415, 428];
const OF_A_NEW_ONE: &[u16] = &[408, 409, 413, 415];

/// The endpoint in words.
pub(super) fn of(endpoint: Endpoint) -> Described {
    match endpoint {
        Endpoint::Token => Described {
            body: Some(Body {
                content_type: "application/x-www-form-urlencoded",
                schema: "TokenRequest",
                required: true,
            }),
            errors: &[400, 401, 408, 413, 415, 503],
            ..plain(
                "token",
                PUBLIC,
                "Get an access token",
                "The client authenticates as it registered: by `client_secret_basic`, `client_secret_post` or \
                 `private_key_jwt`. A token is for one resource, and has those of the scopes asked for that the client may \
                 have there.",
                vec![answered("A token.", JSON, "TokenResponse")],
            )
        },
        Endpoint::Jwks => plain(
            "jwks",
            PUBLIC,
            "The public keys",
            "What verifies this issuer's tokens. Keep it as long as `Cache-Control` says: a key signs only after every \
             verifier that does so has it.",
            vec![answered("The keys.", "application/jwk-set+json", "JwkSet"), NOT_MODIFIED],
        ),
        Endpoint::OAuthMetadata => plain(
            "oauth_metadata",
            PUBLIC,
            "The issuer's metadata",
            "RFC 8414.",
            vec![answered("The metadata.", JSON, "Metadata")],
        ),
        Endpoint::OpenIdMetadata => plain(
            "openid_metadata",
            PUBLIC,
            "The issuer's metadata for OpenID Connect clients",
            "OpenID Connect Discovery 1.0.",
            vec![answered("The metadata.", JSON, "Metadata")],
        ),
        Endpoint::Healthy => {
            plain("healthy", HEALTH, "Whether the process runs", "", vec![answered("It runs.", JSON, "Health")])
        }
        Endpoint::Ready => Described {
            errors: &[],
            ..plain(
                "ready",
                HEALTH,
                "Whether this replica can do its work",
                "503 names what is missing: keys that may sign, a store that can be followed.",
                vec![
                    answered("It can.", JSON, "Health"),
                    Success { status: 503, description: "It can't.", content: Some((JSON, "Health")), tagged: false },
                ],
            )
        },
        Endpoint::Metrics => plain(
            "metrics",
            HEALTH,
            "What this replica does, for Prometheus",
            "The text format of OpenMetrics.",
            vec![answered("The metrics.", "text/plain", "Text")],
        ),
        Endpoint::OpenApi => {
            plain("openapi", DESCRIPTION, "This description", "", vec![answered("OpenAPI 3.1.", JSON, "OpenApi")])
        }
        Endpoint::Auth(operation) => people::described(operation),
        Endpoint::Docs => {
            plain("docs", DESCRIPTION, "This description as a page", "", vec![answered("A page.", "text/html", "Text")])
        }
        Endpoint::Admin(operation) => of_admin(operation),
    }
}

/// The ways in which a person is known to an endpoint of `/auth`, one of them at a time; none but what the body holds is
/// `{}`.
pub(super) fn presented_by_people(endpoint: Endpoint) -> Value {
    match endpoint {
        Endpoint::Auth(operation) => people::presented(operation),
        _ => json!([]),
    }
}

fn of_admin(operation: Operation) -> Described {
    match operation {
        Operation::ListKeys
        | Operation::CreateKey
        | Operation::ImportKey
        | Operation::RotateKeys
        | Operation::ShowKey
        | Operation::ActivateKey
        | Operation::RetireKey
        | Operation::CompromiseKey => keys::described(operation),
        Operation::ListClients
        | Operation::RegisterClient
        | Operation::ShowClient
        | Operation::ReplaceClient
        | Operation::DeleteClient
        | Operation::RollSecret
        | Operation::DisableClient
        | Operation::EnableClient => clients::described(operation),
        Operation::ListResources
        | Operation::CreateResource
        | Operation::ShowResource
        | Operation::ReplaceResource
        | Operation::DeleteResource => resources::described(operation),
        Operation::ListUsers
        | Operation::CreateUser
        | Operation::ImportUsers
        | Operation::ExportUsers
        | Operation::ShowUser
        | Operation::ReplaceUser
        | Operation::DeleteUser
        | Operation::IssueLink
        | Operation::DisableUser
        | Operation::EnableUser
        | Operation::ListSessions
        | Operation::EndSessions
        | Operation::ShowSession
        | Operation::EndSession => accounts::described(operation),
        Operation::ReadAudit => Described {
            query: AUDIT_LIST,
            ..plain(
                "audit",
                AUDIT,
                "Read the audit log",
                "The newest first.",
                vec![answered("A page of it.", JSON, "PageOfAuditEntry")],
            )
        },
    }
}

/// What a path's parameter names.
pub(super) fn path_parameter(name: &str) -> &'static str {
    match name {
        "client_id" => "The client's identifier.",
        "resource" => "The resource's identifier, an absolute URI, percent-encoded as one segment.",
        "user" => "The account's identifier, a UUID: the `sub` of its tokens.",
        "sid" => "The session's name.",
        "kid" => "The key's name: its thumbprint of RFC 7638.",
        _ => "",
    }
}

/// What an error's status means everywhere.
pub(super) const fn error_status(status: u16) -> &'static str {
    match status {
        400 => "The request is not well-formed, or asks for what is not possible.",
        401 => "There are no credentials, or they are not good.",
        403 => "The token does not allow this.",
        404 => "There is none of that name.",
        408 => "The body took too long.",
        409 => "It can't be done in the present state.",
        412 => "Someone changed it since: read it again.",
        413 => "The body is too large.",
        415 => "The body is of another media type.",
        422 => "The password can't be chosen.",
        428 => "The change needs `If-Match`.",
        _ => "It can't be answered at the moment: try again.",
    }
}
