//! The schemas of what is sent and answered: made from the types themselves, and by hand where a standard names them.
//!
//! Guarantees: a type that takes in another's members is described as one object, so that "no other members" means what
//! the program does.

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::credentials;
use crate::audit::AuditEntry;
use crate::clients::{ClientView, RegisteredClient, ResourceView};
use crate::http::admin::{
    ActivateKey, Because, CompromiseKey, CreateKey, CreateResource, CreateUser, EndedCount, ImportKey, ImportReport,
    ImportUsers, IssuedLink, KeyChangeView, KeyList, RegisterClient, ReplaceClient, ReplaceResource, ReplaceUser,
    RetireKey, RollSecret, RolledSecret, RotateKeys,
};

use crate::http::auth::{
    ChangePassword, LogIn, LogOut, LoggedIn, MeView, Refresh, Register, RegisteredUser, SessionList,
};
use crate::tokens::session::LiveSession;
use crate::users::{UserRecord, UserView};

const PREFIX: &str = "#/components/schemas/";

/// A reference to the schema called `name`.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{PREFIX}{name}") })
}

/// Every schema, by its name.
pub(super) fn all() -> Map<String, Value> {
    let mut schemas = Map::new();
    add::<CreateKey>(&mut schemas);
    add::<ImportKey>(&mut schemas);
    add::<RotateKeys>(&mut schemas);
    add::<ActivateKey>(&mut schemas);
    add::<RetireKey>(&mut schemas);
    add::<CompromiseKey>(&mut schemas);
    add::<KeyList>(&mut schemas);
    add::<KeyChangeView>(&mut schemas);
    add::<RegisterClient>(&mut schemas);
    add::<ReplaceClient>(&mut schemas);
    add::<RollSecret>(&mut schemas);
    add::<Because>(&mut schemas);
    add::<RolledSecret>(&mut schemas);
    add::<RegisteredClient>(&mut schemas);
    add::<ClientView>(&mut schemas);
    add::<CreateResource>(&mut schemas);
    add::<ReplaceResource>(&mut schemas);
    add::<ResourceView>(&mut schemas);
    add::<AuditEntry>(&mut schemas);
    add::<CreateUser>(&mut schemas);
    add::<ReplaceUser>(&mut schemas);
    add::<UserView>(&mut schemas);
    add::<IssuedLink>(&mut schemas);
    add::<UserRecord>(&mut schemas);
    add::<ImportUsers>(&mut schemas);
    add::<ImportReport>(&mut schemas);
    add::<LiveSession>(&mut schemas);
    add::<EndedCount>(&mut schemas);
    add::<LogIn>(&mut schemas);
    add::<Refresh>(&mut schemas);
    add::<LogOut>(&mut schemas);
    add::<ChangePassword>(&mut schemas);
    add::<Register>(&mut schemas);
    add::<LoggedIn>(&mut schemas);
    add::<MeView>(&mut schemas);
    add::<SessionList>(&mut schemas);
    add::<RegisteredUser>(&mut schemas);
    let whole = schemas.clone();
    for schema in schemas.values_mut() {
        *schema = merged(schema, &whole);
    }
    for item in ["ClientView", "ResourceView", "AuditEntry", "UserView", "UserRecord", "LiveSession"] {
        schemas.insert(format!("PageOf{item}"), page_of(item));
    }
    for page in ["PageOfClientView", "PageOfUserView", "PageOfUserRecord"] {
        schemas[page]["properties"]["damaged"] = json!({
            "type": "array",
            "items": { "type": "string" },
            "description": "The identifiers of those that belong on the page and can't be read; absent where there are none.",
        });
    }
    for (name, schema) in of_standards() {
        schemas.insert(name.to_owned(), schema);
    }
    drop_idle(&mut schemas);
    credentials::mark(&mut schemas);
    schemas
}

fn add<T: ToSchema>(schemas: &mut Map<String, Value>) {
    let mut found: Vec<(String, RefOr<Schema>)> = vec![(T::name().into_owned(), <T as PartialSchema>::schema())];
    T::schemas(&mut found);
    for (name, schema) in found {
        // These are plain data: writing them does not fail.
        schemas.insert(name, serde_json::to_value(schema).unwrap_or(Value::Null));
    }
}

/// One object in place of several that are to hold together (`allOf`).
fn merged(schema: &Value, whole: &Map<String, Value>) -> Value {
    let Some(parts) = schema.get("allOf").and_then(Value::as_array) else { return schema.clone() };
    let (mut properties, mut required, mut closed) = (Map::new(), Vec::new(), false);
    for part in parts {
        let named = part.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix(PREFIX));
        let part = named.and_then(|name| whole.get(name)).unwrap_or(part);
        let part = merged(part, whole);
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
        // What is flattened into another is closed by itself: the whole is closed when its own part is.
        closed |= part["additionalProperties"] == json!(false);
    }
    let mut object = json!({ "type": "object", "properties": properties });
    if let Some(description) = schema.get("description") {
        object["description"] = description.clone();
    }
    if !required.is_empty() {
        object["required"] = required.into();
    }
    if closed {
        object["additionalProperties"] = false.into();
    }
    object
}

/// Removes what only stood in for parts that were merged.
fn drop_idle(schemas: &mut Map<String, Value>) {
    for name in ["ClientMetadata", "ResourceMetadata", "UserMetadata"] {
        schemas.remove(name);
    }
}

fn page_of(item: &str) -> Value {
    json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": { "type": "array", "items": reference(item) },
            "next_cursor": { "type": "string", "description": "What to send as `cursor` for the page after it; absent on \
                the last one." },
        },
    })
}

/// What standards describe in words.
fn of_standards() -> [(&'static str, Value); 9] {
    [
        (
            "Problem",
            json!({
                "type": "object",
                "description": "Problem details (RFC 9457). Some cases have further members, such as `possible_from`.",
                "required": ["type", "title", "status", "detail", "code"],
                "properties": {
                    "type": { "type": "string" },
                    "title": { "type": "string", "description": "The status in words." },
                    "status": { "type": "integer" },
                    "detail": { "type": "string", "description": "What is wrong, in fixed words." },
                    "code": { "type": "string", "description": "What is wrong, for programs." },
                },
            }),
        ),
        (
            "OAuthError",
            json!({
                "type": "object",
                "description": "RFC 6749 §5.2.",
                "required": ["error"],
                "properties": { "error": { "type": "string" }, "error_description": { "type": "string" } },
            }),
        ),
        (
            "TokenRequest",
            json!({
                "type": "object",
                "required": ["grant_type"],
                "properties": {
                    "grant_type": { "type": "string", "enum": ["client_credentials", "refresh_token"] },
                    "resource": { "type": "string", "description": "The service that the token is for (RFC 8707)." },
                    "scope": { "type": "string", "description": "Scopes, each after one space." },
                    "refresh_token": { "type": "string", "description": "With the grant `refresh_token`." },
                    "client_id": { "type": "string" },
                    "client_secret": { "type": "string" },
                    "client_assertion": { "type": "string" },
                    "client_assertion_type": { "type": "string",
                        "enum": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"] },
                },
            }),
        ),
        (
            "TokenResponse",
            json!({
                "type": "object",
                "description": "RFC 6749 §5.1.",
                "required": ["access_token", "token_type", "expires_in"],
                "properties": {
                    "access_token": { "type": "string", "description": "A JWT of RFC 9068." },
                    "token_type": { "type": "string", "const": "Bearer" },
                    "expires_in": { "type": "integer", "description": "Seconds." },
                    "scope": { "type": "string" },
                    "refresh_token": { "type": "string", "description": "In the place of the one presented." },
                },
            }),
        ),
        (
            "JwkSet",
            json!({
                "type": "object",
                "description": "RFC 7517 §5: public keys only.",
                "required": ["keys"],
                "properties": { "keys": { "type": "array", "items": { "type": "object" } } },
            }),
        ),
        ("Metadata", json!({ "type": "object", "description": "RFC 8414 §2.", "required": ["issuer", "jwks_uri"] })),
        (
            "OpenApi",
            json!({ "type": "object", "description": "OpenAPI 3.1.", "required": ["openapi", "info", "paths"] }),
        ),
        (
            "Health",
            json!({
                "type": "object",
                "required": ["status"],
                "properties": {
                    "status": { "type": "string" },
                    "checks": { "type": "object", "additionalProperties": { "type": "string" } },
                },
            }),
        ),
        ("Text", json!({ "type": "string" })),
    ]
}
